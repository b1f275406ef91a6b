"""What the dose will be like at the end of each way the vehicle could go.

Every hypothesis of the thermal bank is followed in closed form to the arrival; each is checked against the product's
rules along its whole path, on top of what the record has already spent. The shares that stay within them add up to
the chance of arriving in range.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import exp, inf, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from missions.boxes import Box
from missions.coldchain import thermal
from missions.coldchain.assess import Assessment, Rules, overdue, start
from missions.coldchain.product import Product
from missions.coldchain.tally import ACTIVATION_K, ZERO_C_K, rate
from missions.coldchain.thermal import Array, ThermalEstimate
from missions.decision.types import Forecast

BRACKETS_S = np.concatenate([[0.0], np.geomspace(5.0, 86_400.0, 31)])
"""the end of a pack is looked for between these times; after a day it counts as endless"""
POINTS = 20
"""times at which a path is looked at; between two of them it is an exponential of minutes"""
KEPT_SHARE = 0.995
KEPT_MOST = 64
"""hypotheses followed: the likeliest that make up this share of the belief"""
MODEL_SD_C = 0.12
"""accuracy of the probe and of taking the box for one node"""
MODEL_SD_C_SQRT_S = 0.005
"""and the random walk of the estimate, going on"""
CHANGE_SD_SHARE = 0.3
"""and of the change foretold, which is as uncertain as capacity, resistance and air together"""
AIR_GRAIN_C = 0.5
"""ways whose air is that alike share their solution: no weather is known better"""
SHUT_AGAIN = 0.5
"""of lids that open on the way, how many are shut again, by their latch or by hand; no source: one in two"""
SHUT_AFTER_S = 90.0
"""how long those stand open on average; the longer one has, the likelier it is of the others"""
SHUT_POINTS = tuple(-SHUT_AFTER_S * log(1.0 - p) for p in (1 / 6, 3 / 6, 5 / 6))
"""three equally likely times from now on: an exponential time has no memory"""
KEPT_MOST_OPEN = 24
"""hypotheses followed where each is followed with the lid shut at these times, too"""
NODES = np.array([-sqrt(3.0), 0.0, sqrt(3.0)])
NODE_WEIGHTS = np.array([1.0, 4.0, 1.0]) / 6.0
"""three-point Gauss-Hermite rule over the error common to a whole path"""
TENTHS = np.array([NormalDist().inv_cdf(0.05 + 0.1 * n) for n in range(10)])
"""ten equally likely points of a normal distribution; the outermost are its 5 % and 95 %"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a dose will be like at the end of one way."""

    temp_c: Forecast
    p_in_range: float
    """that the verdict is in range or excursion allowed"""
    budget_left_min: tuple[tuple[str, Forecast], ...] = ()
    """of each limited allowance of the order, by its name"""


@dataclass(frozen=True, slots=True, eq=False)
class _Bank:
    """The likeliest hypotheses, flat."""

    weight: Array
    temp_c: Array
    var_c2: Array
    pack_kj: Array
    r_k_w: Array
    pack_k_w: Array
    inner_k_w: Array
    shut_s: Array
    """from the start on, when a lid that is open now is shut; inf: never, or there is none"""


class Outlook:
    """The forecasts of one box at one time, for as many ways as asked."""

    def __init__(
        self,
        estimate: ThermalEstimate,
        assessment: Assessment | None,
        rules: Rules,
        ambient_c: float,
        now_s: float,
        *,
        fresh_pack_kj: float | None = None,
    ) -> None:
        box = estimate.box
        self._box = box
        self._assessment = start(rules) if assessment is None else assessment
        self._rules = rules
        self._ambient_c = ambient_c
        self._start_s = estimate.at_s
        self._now_s = now_s
        self._fresh_kj = thermal.FRESH_SHARE * box.pack_latent_kj if fresh_pack_kj is None else fresh_pack_kj
        self._bank = _likeliest(estimate)
        self._courses: dict[float, _Course | _UntilShut] = {}

    def __call__(self, arrive_s: float, swap_at_s: float | None = None, ambient_c: float | None = None) -> Arrival:
        """The dose at `arrive_s`.

        `swap_at_s`: when a fresh pack is put in on the way, with the seal as it is; None for no stop.
        `ambient_c`: the mean of the air on this way; None: as it is here and now.
        """
        times, temps = self._path(arrive_s, swap_at_s, ambient_c)
        weight, end, var = self._bank.weight, temps[:, -1], self._var_c2(times, temps)
        mean = float(weight @ end)
        temp_c = Forecast(mean, sqrt(max(0.0, float(weight @ (end * end + var[:, -1])) - mean * mean)))
        paths = (temps + np.sqrt(var) * NODES[:, None, None]).reshape(-1, len(times))
        shares = np.outer(NODE_WEIGHTS, weight).ravel()
        spent = _time_in_excursions(self._rules.product, times, paths)
        p_in_range = 0.0
        if self._assessment.finding is None and not overdue(self._rules, self._assessment.first_at_s, arrive_s):
            p_in_range = float(shares @ stays_in_rules(self._rules, self._assessment, times, paths, spent))
        left = tuple(self._left(n, spent, shares) for n, limit in enumerate(self._rules.allowed_s) if limit is not None)
        return Arrival(temp_c, min(1.0, max(0.0, p_in_range)), left)

    def interval_c(
        self, arrive_s: float, swap_at_s: float | None = None, ambient_c: float | None = None
    ) -> tuple[float, float]:
        """5 % and 95 % of the temperature at `arrive_s`: no normal distribution where a pack may or may not last."""
        times, temps = self._path(arrive_s, swap_at_s, ambient_c)
        return _ends(temps[:, -1], np.sqrt(self._var_c2(times, temps)[:, -1]), self._bank.weight)

    def _var_c2(self, times: Array, temps: Array) -> Array:
        """Of each hypothesis along its path: it grows with the time and with the change foretold."""
        drift = MODEL_SD_C**2 + MODEL_SD_C_SQRT_S**2 * (times - self._start_s)
        return np.asarray(self._bank.var_c2[:, None] + drift + (CHANGE_SD_SHARE * (temps - temps[:, :1])) ** 2)

    def _left(self, n: int, spent_s: list[Array], shares: Array) -> tuple[str, Forecast]:
        """Minutes left of the allowance of the product's excursion `n`."""
        allowed_s = self._rules.allowed_s[n]
        assert allowed_s is not None
        left = np.maximum(0.0, allowed_s - self._assessment.spent_s[n] - spent_s[n]) / 60.0
        mean = float(shares @ left)
        sd = sqrt(max(0.0, float(shares @ (left * left)) - mean * mean))
        return self._rules.product.excursions[n].name, Forecast(mean, sd)

    def _path(self, arrive_s: float, swap_at_s: float | None, ambient_c: float | None) -> tuple[Array, Array]:
        """Times and, per hypothesis, temperatures from the last sample to the arrival."""
        arrive_s = max(arrive_s, self._start_s + 1e-3)
        air_c = AIR_GRAIN_C * round((self._ambient_c if ambient_c is None else ambient_c) / AIR_GRAIN_C)
        course = self._courses.get(air_c)
        if course is None:
            course = _course(self._box, self._bank, air_c)
            self._courses[air_c] = course
        if swap_at_s is None or swap_at_s >= arrive_s:
            times = np.linspace(self._start_s, arrive_s, POINTS)
            return times, course.temps(times - self._start_s)
        swap_at_s = max(swap_at_s, self._now_s, self._start_s + 1e-3)
        first = np.linspace(self._start_s, swap_at_s, POINTS)
        before = course.temps(first - self._start_s)
        fresh = np.full_like(self._bank.pack_kj, self._fresh_kj)
        second = np.linspace(swap_at_s, max(arrive_s, swap_at_s + 1e-3), POINTS)
        shut = self._bank.shut_s < swap_at_s - self._start_s  # else it is as it was: nothing says that they mend it
        there = _shut(self._bank, self._box, shut)
        after = _Course(self._box, there, before[:, -1], fresh, air_c).temps(second - swap_at_s)
        return np.concatenate([first, second[1:]]), np.concatenate([before, after[:, 1:]], axis=1)


def _ends(mean_c: Array, sd_c: Array, weight: Array) -> tuple[float, float]:
    """5 % and 95 % of a mixture of normal distributions."""
    points = (mean_c[:, None] + sd_c[:, None] * TENTHS).ravel()
    order = np.argsort(points)
    share = np.repeat(weight / len(TENTHS), len(TENTHS))[order]
    middle = np.cumsum(share) - 0.5 * share
    low, high = np.interp((0.05, 0.95), middle, points[order])
    return float(low), float(high)


def _likeliest(estimate: ThermalEstimate) -> _Bank:
    flat, open_s = estimate.weight.ravel(), estimate.lid_since_s
    order = np.argsort(-flat, kind="stable")[: KEPT_MOST if open_s is None else KEPT_MOST_OPEN]
    running = np.cumsum(flat[order])
    order = order[: int(np.searchsorted(running, KEPT_SHARE)) + 1]
    rows, columns = np.divmod(order, estimate.weight.shape[1])
    weight = flat[order]
    bank = _Bank(
        weight=weight / weight.sum(),
        temp_c=estimate.temp_c.ravel()[order],
        var_c2=estimate.var_c2.ravel()[order],
        pack_kj=estimate.pack_kj.ravel()[order],
        r_k_w=thermal.MULTIPLIERS[rows] * estimate.box.resistance_k_w,
        pack_k_w=estimate.pack_k_w[columns],
        inner_k_w=estimate.inner_k_w[columns],
        shut_s=np.full(len(weight), inf),
    )
    return bank if open_s is None else _with_shutting(bank, estimate.at_s - open_s)


def _with_shutting(bank: _Bank, open_for_s: float) -> _Bank:
    """The hypotheses with the lid open to the end, and each again for every time at which it may be shut."""
    yet = SHUT_AGAIN * exp(-open_for_s / SHUT_AFTER_S)
    will_shut = yet / (yet + 1.0 - SHUT_AGAIN)
    n, times = len(bank.weight), (inf, *SHUT_POINTS)
    shares = (1.0 - will_shut, *[will_shut / len(SHUT_POINTS)] * len(SHUT_POINTS))
    every = {f.name: np.tile(getattr(bank, f.name), len(times)) for f in fields(bank)}
    every |= {"weight": np.outer(shares, bank.weight).ravel(), "shut_s": np.repeat(times, n)}
    return _Bank(**every)


def _shut(bank: _Bank, box: Box, shut: NDArray[np.bool_]) -> _Bank:
    """These hypotheses with the lid on again: as good as the label says."""
    return replace(bank, r_k_w=np.where(shut, np.maximum(bank.r_k_w, box.resistance_k_w), bank.r_k_w))


def _course(box: Box, bank: _Bank, ambient_c: float) -> _Course | _UntilShut:
    course = _Course(box, bank, bank.temp_c, bank.pack_kj, ambient_c)
    return _UntilShut(box, bank, course, ambient_c) if np.isfinite(bank.shut_s).any() else course


class _UntilShut:
    """The solution with an open lid until it is shut, and the solution with it shut from there."""

    def __init__(self, box: Box, bank: _Bank, course: _Course, ambient_c: float) -> None:
        closes = np.isfinite(bank.shut_s)
        self._shut_s, self._open = bank.shut_s[:, None], course
        at_s = np.where(closes, bank.shut_s, 0.0)
        temp_c, pack_kj = course.temps(at_s[:, None])[:, 0], course.pack_kj(at_s)
        self._at_s = at_s[:, None]
        self._shut = _Course(box, _shut(bank, box, closes), temp_c, pack_kj, ambient_c)

    def temps(self, t_s: Array) -> Array:
        """Temperatures (hypothesis, time) at times `t_s` from the moment on."""
        after = self._shut.temps(np.maximum(0.0, t_s - self._at_s))
        return np.where(t_s < self._shut_s, self._open.temps(t_s), after)


class _Course:
    """The closed solution of every hypothesis from one moment on, at constant ambient.

    While the pack works the temperature tends to a balance between ambient and melting point; from the time at which
    the pack is spent (or frozen through, where it is cold outside) it tends to ambient.
    """

    def __init__(self, box: Box, bank: _Bank, temp_c: Array, pack_kj: Array, ambient_c: float) -> None:
        sign = 1.0 if ambient_c > box.pack_temp_c else -1.0
        store = 1000.0 * (pack_kj if sign > 0 else box.pack_latent_kj - pack_kj)
        flow = thermal.balance(box, bank.r_k_w, bank.pack_k_w, bank.inner_k_w, ambient_c)
        self._ambient_c, self._sign, self._full_kj = ambient_c, sign, box.pack_latent_kj
        self._settle, self._tau, self._tau_free = flow.settle_c, flow.tau_s, flow.tau_free_s
        self._offset = temp_c - flow.settle_c
        steady, bent = sign * flow.steady_w, sign * flow.bend_w_k * self._offset
        self._store, self._steady, self._bent = store, steady, bent
        self._spent_s = np.where(store > 0.0, self._when_spent(steady, bent, store), 0.0)
        self._at_spent = self._settle + self._offset * np.exp(-self._spent_s / self._tau)

    def _when_spent(self, steady_w: Array, bent_w: Array, store: Array) -> Array:
        """When the heat that has flowed into the pack (out of it, where it is cold) is all it can take."""
        tau = self._tau

        def flowed(t_s: Array) -> Array:
            return steady_w * t_s + bent_w * tau * (1.0 - np.exp(-t_s / tau))

        # Bracketed on a coarse grid, then by Newton's method: the flow bends within a few time constants.
        curve = (bent_w * tau)[:, None] * (1.0 - np.exp(-BRACKETS_S / tau[:, None]))
        over = steady_w[:, None] * BRACKETS_S + curve >= store[:, None]
        last = np.argmax(over, axis=1)
        never = ~over.any(axis=1)
        early, late = BRACKETS_S[np.maximum(last - 1, 0)], BRACKETS_S[last]
        a, b = flowed(early), flowed(late)
        t = early + np.clip((store - a) / np.where(b > a, b - a, 1.0), 0.0, 1.0) * (late - early)
        for _ in range(3):
            slope = steady_w + bent_w * np.exp(-t / tau)
            t = np.clip(t - (flowed(t) - store) / np.where(np.abs(slope) > 1e-9, slope, np.inf), early, late)
        return np.where(never, np.inf, t)

    def pack_kj(self, t_s: Array) -> Array:
        """What each hypothesis's pack has left at its own time `t_s` from the moment on."""
        flowed = self._steady * t_s + self._bent * self._tau * (1.0 - np.exp(-t_s / self._tau))
        left_kj = np.where(t_s < self._spent_s, np.maximum(0.0, self._store - flowed), 0.0) / 1000.0
        return np.asarray(left_kj if self._sign > 0 else self._full_kj - left_kj)

    def temps(self, t_s: Array) -> Array:
        """Temperatures (hypothesis, time) at times `t_s` from the moment on; (time,) or (hypothesis, time)."""
        working = self._settle[:, None] + self._offset[:, None] * np.exp(-t_s / self._tau[:, None])
        since = t_s - self._spent_s[:, None]
        beyond = since >= 0.0
        if not beyond.any():
            return working
        decay = np.exp(-np.maximum(since, 0.0) / self._tau_free[:, None])
        return np.where(beyond, self._ambient_c + (self._at_spent - self._ambient_c)[:, None] * decay, working)


def _steps_s(times: Array) -> Array:
    """What each point of a path stands for."""
    edges = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2.0, times[-1:]])
    return np.diff(edges)


def _time_in_excursions(product: Product, times: Array, temps: Array) -> list[Array]:
    """Per excursion of the product, how long each path is in it, seconds."""
    steps, spent = _steps_s(times), []
    for e in product.excursions:
        above = e.lower_c >= product.upper_c
        inside = (temps > e.lower_c) & (temps <= e.upper_c) if above else (temps >= e.lower_c) & (temps < e.upper_c)
        spent.append(inside @ steps)
    return spent


def stays_in_rules(rules: Rules, a: Assessment, times: Array, temps: Array, spent_s: list[Array]) -> Array:
    """1.0 for each path that breaks no rule of the product up to its end, after what the record has already spent.

    `spent_s`: what each path adds to the product's excursions.
    """
    product = rules.product
    low = min([product.lower_c, *(e.lower_c for e in product.excursions)])
    high = max([product.upper_c, *(e.upper_c for e in product.excursions)])
    lowest, highest = temps.min(axis=1), temps.max(axis=1)
    ok = (lowest >= low) & (highest <= high)
    if product.spoiled_at_or_below_c is not None:
        ok &= lowest > product.spoiled_at_or_below_c
    if product.spoiled_at_or_above_c is not None:
        ok &= highest < product.spoiled_at_or_above_c
    for before_s, new_s, allowed_s in zip(a.spent_s, spent_s, rules.allowed_s, strict=True):
        if allowed_s is not None:
            ok &= (before_s + new_s <= allowed_s) if allowed_s > 0.0 else new_s <= 0.0
    steps = _steps_s(times)
    horizon_s = float(times[-1] - times[0])
    for alarm, total_s, run_s in zip(product.alarms, a.alarm_total_s, a.alarm_run_s, strict=True):
        limit_s, so_far_s = 60.0 * alarm.minutes, run_s if alarm.consecutive else total_s
        if so_far_s + horizon_s < limit_s:
            continue
        inside = temps >= alarm.threshold_c if alarm.above else temps <= alarm.threshold_c
        # A consecutive alarm is taken as cumulative over the forecast: a path crosses a threshold at most twice.
        ok &= ~(inside.any(axis=1) & (so_far_s + inside @ steps >= limit_s))
    return np.asarray(ok & _mkt_holds(rules, a, temps, steps, horizon_s), dtype=np.float64)


def _mkt_holds(rules: Rules, a: Assessment, temps: Array, steps: Array, horizon_s: float) -> Array:
    rule = rules.product.mkt
    if rule is None:
        return np.ones(len(temps), dtype=bool)
    window_s = 3600.0 * rule.window_h
    rates = np.exp(ACTIVATION_K / ZERO_C_K - ACTIVATION_K / (ZERO_C_K + temps))
    time_s, rate_s = a.measured_s + horizon_s, a.rate_s + rates @ steps
    if rule.prior_c is not None:
        prior_s = max(0.0, window_s - time_s)
        time_s, rate_s = time_s + prior_s, rate_s + prior_s * rate(rule.prior_c)
    return np.asarray(rate_s <= rate(rule.limit_c) * max(time_s, 1e-9))
