"""What the box says of itself, and what the product's own monitor and estimator make of it.

A `BoxLine` is one course that a box's temperature can take in a delivery: that without a new pack, or that with one at
a certain second. All policies that leave the pack alone share one line, and so see the same noise to the last digit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from benchmarks.outcomes.drawing import BOX, Delivery, fleet, model
from benchmarks.outcomes.truth import DoseJudge, Heat, Nodes, at_sealing, tolerance_c
from missions.boxes import BoxSample
from missions.coldchain import thermal
from missions.coldchain.assess import rules_for
from missions.coldchain.forecast import Outlook as Forecasts
from missions.coldchain.monitor import Link, Monitor, observe, view
from missions.coldchain.thermal import ThermalEstimate
from missions.options import Outlook
from missions.snapshot import BoxView

HORIZON_S = 3 * 3600
SENT_S = 0.2
"""from the measurement to the controller"""


class BoxLine:
    """Truth, samples and what is believed, second by second since the sealing; made as far as anybody asks."""

    def __init__(self, delivery: Delivery, parent: BoxLine | None = None, branch: int = 0) -> None:
        """With `parent` it is that line with a fresh pack at second `branch`."""
        self.delivery, self._parent, self._branch = delivery, parent, branch
        self._limit_c = tolerance_c()
        if parent is None:
            self._heat = Heat(delivery, delivery.sealed_s, at_sealing(delivery), sealed_well=False)
            rules = rules_for(delivery.product, delivery.order.budget_min)
            self.rules = rules
            self._monitors = [Monitor(BOX, rules)]
            self._judges = [_judge(delivery, self._limit_c)]
        else:
            self.rules = parent.rules
            before, box = parent.nodes(branch), delivery.box
            fresh = replace_pack(before, box.pack_temp_c, 1000.0 * thermal.FRESH_SHARE * box.latent_kj)
            self._heat = Heat(delivery, delivery.sealed_s + branch, fresh, sealed_well=delivery.mends)
            self._monitors = [parent.monitor(branch)]
            self._judges = [parent._judged(branch).copy()]
        self._news: list[list[Link]] = [[]]
        self._estimates: list[ThermalEstimate | None] = []
        self._swaps: dict[int, BoxLine] = {}

    def swapped(self, second: int) -> BoxLine:
        """This line with a fresh pack from that second on."""
        if second not in self._swaps:
            self._swaps[second] = BoxLine(self.delivery, self, second)
        return self._swaps[second]

    # the truth

    def nodes(self, second: int) -> Nodes:
        if self._parent is not None and second < self._branch:
            return self._parent.nodes(second)
        return self._heat.at(self.delivery.sealed_s + second)

    def good(self, second: int) -> bool:
        """Whether the dose is still good then."""
        return self._judged(second).good

    def _judged(self, second: int) -> DoseJudge:
        if self._parent is not None and second < self._branch:
            return self._parent._judged(second)
        while len(self._judges) <= second - self._branch:
            n, judge = self.nodes(self._branch + len(self._judges)), self._judges[-1]
            if judge.good:
                judge = judge.copy()
                judge.second(n.outer, n.inner)
            self._judges.append(judge)
        return self._judges[second - self._branch]

    # what it says

    @cached_property
    def _noise(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        if self._parent is not None:
            return self._parent._noise
        rng = np.random.default_rng(self.delivery.seed)
        return rng.normal(0.0, model()["box"]["probe_noise_c"], (HORIZON_S, 2))

    def measured(self, second: int) -> BoxSample:
        """What the box measures in that second, whether or not it can be sent."""
        if self._parent is not None and second < self._branch:
            return self._parent.measured(second)
        d, fault = self.delivery, self.delivery.sensor
        t_s, shown = d.sealed_s + second, self._noise[second]
        fault = fault if fault is not None and fault.holds(t_s) else None
        kind = fault.kind if fault is not None else ""
        read = second if fault is None or kind != "stuck" else round(fault.from_s - d.sealed_s) - 1
        n = self.nodes(max(0, read))
        shown = self._noise[max(0, read)]
        temps = [n.probe_1 + d.box.probe_offset_c[0] + shown[0], n.probe_2 + d.box.probe_offset_c[1] + shown[1]]
        if fault is not None and kind == "one_probe_off":
            temps[1] += fault.size
        elif fault is not None and kind == "one_probe_drifts":
            temps[1] += fault.size * (t_s - fault.from_s) / 60.0
        ahead_s = fault.size if fault is not None and kind == "clock_ahead" else 0.0
        told_open = d.lid is not None and d.lid.holds(t_s) and d.lid.reported
        mended = self._parent is not None and d.mends
        told_broken = d.seal is not None and not mended and d.seal.holds(t_s) and d.seal.reported
        return BoxSample(
            box_id=BOX,
            boot_id="b1",
            seq=second,
            box_time_s=t_s + ahead_s,
            temp_c=(None, None) if kind == "nan" else (round(float(temps[0]), 2), round(float(temps[1]), 2)),
            lid_open=told_open,
            seal_ok=not told_broken,
        )

    def messages(self, second: int) -> list[BoxSample]:
        """What arrives in that second, oldest first."""
        fault = self.delivery.sensor
        if fault is None:
            return [self.measured(second)]
        begun, over = round(fault.from_s - self.delivery.sealed_s), round(fault.to_s - self.delivery.sealed_s)
        if begun <= second < over:
            match fault.kind:
                case "silent" | "buffered":
                    return []
                case "replayed":
                    return [self.measured((second * 7919) % begun)]
        if fault.kind == "buffered" and second == over:
            return [self.measured(s) for s in range(begun, over + 1)]
        return [self.measured(second)]

    # what is made of it

    def monitor(self, second: int) -> Monitor:
        if self._parent is not None and second < self._branch:
            return self._parent.monitor(second)
        while len(self._monitors) <= second - self._branch:
            at = self._branch + len(self._monitors)
            monitor, news = self._monitors[-1], list[Link]()
            for sample in self.messages(at):
                before = monitor.newest
                monitor = observe(monitor, sample, self.delivery.sealed_s + at + SENT_S)
                newest = monitor.newest
                if newest is not None and newest is not before and newest.reading.usable:
                    news.append(newest)
            self._monitors.append(monitor)
            self._news.append(news)
        return self._monitors[second - self._branch]

    def estimate(self, second: int) -> ThermalEstimate | None:
        """The belief about the box's physics, kept as the controller keeps it."""
        if self._parent is not None and second < self._branch:
            return self._parent.estimate(second)
        self.monitor(second)
        d = self.delivery
        while len(self._estimates) <= second - self._branch:
            at = len(self._estimates)
            if at:
                estimate = self._estimates[-1]
            else:
                estimate = self._parent.estimate(self._branch) if self._parent is not None else None
                if estimate is not None:
                    estimate = thermal.reiced(estimate, d.sealed_s + self._branch, mended=d.mends)
            for link in self._news[at]:
                estimate = self._update(estimate, link)
            self._estimates.append(estimate)
        return self._estimates[second - self._branch]

    def _update(self, estimate: ThermalEstimate | None, link: Link) -> ThermalEstimate | None:
        temp_c, lid, seal = link.assessment.temp_c, link.sample.lid_open, link.sample.seal_ok
        if temp_c is None:
            return estimate
        if estimate is None:
            flagged = lid is True or seal is False
            box, told = fleet().boxes[BOX], self.delivery.declared_kj
            return thermal.initial(box, temp_c, link.at_s, pack_left_kj=told, flagged=flagged)
        return thermal.update(estimate, temp_c, self.delivery.ambient_believed_c, link.at_s, lid, seal)

    def view(self, second: int) -> BoxView:
        now_s = self.delivery.sealed_s + second + SENT_S
        return view(self.monitor(second), now_s, self.delivery.ambient_believed_c)

    def outlook(self, second: int) -> Outlook:
        """The forecast of every way, as the controller would make it then."""
        estimate, newest = self.estimate(second), self.monitor(second).newest
        if estimate is None or newest is None:
            return lambda arrive_s, swap_s, amsl_m: None
        ambient_c, now_s = self.delivery.ambient_believed_c, self.delivery.sealed_s + second
        forecasts = Forecasts(estimate, newest.assessment, self.rules, ambient_c, now_s)
        return lambda arrive_s, swap_s, amsl_m: forecasts(arrive_s, swap_s)


def _judge(delivery: Delivery, tolerance: float) -> DoseJudge:
    return DoseJudge(delivery.product, delivery.order.budget_min, tolerance)


def replace_pack(n: Nodes, pack_c: float, latent_j: float) -> Nodes:
    return replace(n, pack=pack_c, latent_j=latent_j)
