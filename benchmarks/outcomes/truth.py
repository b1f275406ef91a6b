"""The dose's truth: a cold box of six nodes, and whether the dose is still good.

Wall, air with liner, pack (latent heat, then sensible), outer and inner vials, and two probes that lag behind them;
parameters are the delivery's own. The estimator under test knows one node and a bank of guesses. Heat in joules,
explicit Euler of one second: the fastest node takes nine.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf

from benchmarks.outcomes.drawing import TAKE_OFF_S, Delivery, model
from geofences.values import quick
from missions.coldchain.product import Product

WALL_J_K = 800.0
AIR_SHARE = 0.15
"""of the box's heat capacity: air and liner; the rest is payload"""
PACK_J_K = 1000.0
ACTIVATION_K = 10_000.0
"""ΔH/R of USP <1079.2>"""
ZERO_C_K = 273.15


@quick
@dataclass(frozen=True, slots=True)
class Nodes:
    """Temperatures in °C and the latent heat left, at one second."""

    wall: float
    air: float
    pack: float
    latent_j: float
    outer: float
    inner: float
    probe_1: float
    probe_2: float


class Heat:
    """The nodes second by second, from a start on, as far as anybody asks."""

    def __init__(self, delivery: Delivery, start_s: float, start: Nodes, *, sealed_well: bool) -> None:
        self._delivery, self._start_s, self._nodes, self._mended = delivery, start_s, [start], sealed_well

    def at(self, t_s: float) -> Nodes:
        """At a whole second."""
        n = round(t_s - self._start_s)
        while len(self._nodes) <= n:
            self._nodes.append(self._step(self._start_s + len(self._nodes) - 1, self._nodes[-1]))
        return self._nodes[n]

    def _step(self, t_s: float, n: Nodes) -> Nodes:
        d, box = self._delivery, self._delivery.box
        ambient = d.ambient_c.at(t_s)
        half = 2.0 / box.resistance_k_w
        leak = d.lid.size if d.lid is not None and d.lid.holds(t_s) else 0.0
        if d.seal is not None and not self._mended and d.seal.holds(t_s):
            leak += (d.seal.size - 1.0) / box.resistance_k_w
        outside, through, in_w = (ambient - n.wall) * half, (n.wall - n.air) * half, (ambient - n.air) * leak
        to_pack, to_outer = (n.air - n.pack) / box.pack_k_w, (n.air - n.outer) / box.payload_k_w
        to_inner = (n.outer - n.inner) / box.inside_k_w
        joules_k = 1000.0 * box.capacity_kj_k
        outer_j_k = joules_k * (1.0 - AIR_SHARE) * box.outer_share
        inner_j_k = joules_k * (1.0 - AIR_SHARE) - outer_j_k
        latent, pack = n.latent_j, n.pack
        if latent > 0.0:
            latent = min(1000.0 * box.latent_kj, latent - to_pack)
            if latent < 0.0:
                pack, latent = pack - latent / PACK_J_K, 0.0
        else:
            pack += to_pack / PACK_J_K
        lag_1, lag_2 = box.probe_lag_s
        return Nodes(
            wall=n.wall + (outside - through) / WALL_J_K,
            air=n.air + (through + in_w - to_pack - to_outer) / (joules_k * AIR_SHARE),
            pack=pack,
            latent_j=latent,
            outer=n.outer + (to_outer - to_inner) / outer_j_k,
            inner=n.inner + to_inner / inner_j_k,
            probe_1=n.probe_1 + (n.outer - n.probe_1) / lag_1,
            probe_2=n.probe_2 + (0.5 * (n.outer + n.inner) - n.probe_2) / lag_2,
        )


def at_sealing(delivery: Delivery) -> Nodes:
    box = delivery.box
    warm, left = box.payload_c, 1000.0 * box.pack_left_kj
    wall = 0.5 * (warm + delivery.ambient_c.at(TAKE_OFF_S - 2.0))
    return Nodes(wall, warm, box.pack_temp_c if left > 0.0 else warm, left, warm, warm, warm, warm)


class DoseJudge:
    """Whether the dose keeps its product's rules, from its true temperatures; written apart from the assessment that
    is under test. `tolerance_c` is taken off whatever lies outside the band: what no probe could have told.

    An alarm of the listed products never lies within one of their excursions, so leaving band and excursions comes
    first and alarms need no case of their own.
    """

    def __init__(self, product: Product, budget_min: tuple[tuple[str, float], ...], tolerance_c: float) -> None:
        self._product, self._tolerance_c = product, tolerance_c
        left = dict(budget_min)
        self._allowed_s = [
            inf if e.allowed_min is None else 60.0 * min(e.allowed_min, left.get(e.name, inf))
            for e in product.excursions
        ]
        self._spent_s = [0.0] * len(self._allowed_s)
        self._rates, self._seconds = 0.0, 0
        self.good = True

    def copy(self) -> DoseJudge:
        other = object.__new__(DoseJudge)
        other.__dict__.update(self.__dict__)
        other._spent_s = list(self._spent_s)
        return other

    def second(self, *temps_c: float) -> bool:
        """One more second at these temperatures of its vials; False from the moment at which it is not good."""
        self._outside(max(temps_c, key=self._product.excess_c))
        self._mean(max(temps_c))
        return self.good

    def _outside(self, temp_c: float) -> None:
        p, by = self._product, self._tolerance_c
        if temp_c > p.upper_c:
            temp_c = max(p.upper_c, temp_c - by)
        elif temp_c < p.lower_c:
            temp_c = min(p.lower_c, temp_c + by)
        if p.lower_c <= temp_c <= p.upper_c:
            return
        for i, e in enumerate(p.excursions):
            if e.lower_c <= temp_c <= e.upper_c:
                self._spent_s[i] += 1.0
                self.good = self.good and self._spent_s[i] <= self._allowed_s[i]
                return
        self.good = False

    def _mean(self, temp_c: float) -> None:
        rule = self._product.mkt
        if rule is None or rule.prior_c is None:
            return
        self._rates += _rate(temp_c - self._tolerance_c)
        self._seconds += 1
        window_s = 3600.0 * rule.window_h
        prior = max(0.0, window_s - self._seconds) * _rate(rule.prior_c)
        if (self._rates + prior) / max(window_s, self._seconds) > _rate(rule.limit_c):
            self.good = False


def _rate(temp_c: float) -> float:
    return exp(ACTIVATION_K / ZERO_C_K - ACTIVATION_K / (ZERO_C_K + temp_c))


def tolerance_c() -> float:
    return float(model()["judgement"]["probe_accuracy_c"])
