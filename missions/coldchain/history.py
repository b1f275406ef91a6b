"""A whole record at once, as a logger's file holds it: sensor truth, assessment, the verdict and what led to it.

The same checks and the same assessment as a box has in flight (`monitor`), folded over readings that are in order
already: nothing is kept of a reading but what the sums and the window of the mean kinetic temperature need.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from missions.boxes import BoxSample
from missions.coldchain import assess, samples
from missions.coldchain.assess import Assessment, Judgement, Rules, judge, start, step, until
from missions.coldchain.mkt import MKT_TOLERANCE_C, mkt_finding, window_mkt
from missions.coldchain.samples import Reading, SensorState, limits_for
from missions.coldchain.tally import Bounds, temp_of_rate
from missions.snapshot import BoxVerdict

Temps = tuple[float | None, ...]
"""one per probe, °C; None where it failed"""

EVERY = 20_000
"""progress is told so often"""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the sensor: how many readings showed it, and the first of them."""

    name: str
    readings: int
    first_at_s: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Unmeasured time between two believed readings."""

    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class History:
    """A judged record."""

    rules: Rules
    judgement: Judgement
    assessment: Assessment
    believed: int
    """readings"""
    mkt_c: Bounds | None
    """mean kinetic temperature over the whole record; None without measured time"""
    highest_mkt_c: Bounds | None
    """the highest over the product's window; None where it has no rule"""
    highest_mkt_at_s: float | None
    """end of that window"""
    faults: tuple[Fault, ...]
    gaps: tuple[Gap, ...]


def judge_record(
    rules: Rules, readings: Iterable[tuple[float, Temps]], progress: Callable[[int], None] = lambda done: None
) -> History:
    """`readings` are (seconds since the Unix epoch, temperatures), oldest first, no two at one time."""
    fold = _Fold(rules)
    for n, (at_s, temps_c) in zip(count(), readings, strict=False):
        if n % EVERY == 0:
            progress(n)
        fold.add(n, at_s, temps_c)
    return fold.history()


@dataclass(frozen=True, slots=True)
class _State:
    """What may have to be taken back."""

    assessment: Assessment
    believed: int = 0


class _Fold:
    """The readings so far."""

    def __init__(self, rules: Rules) -> None:
        self._rules, self._limits, self._sensor = rules, limits_for(rules.product), SensorState()
        self._reading = Reading(0.0, (), ())
        self._state = _State(start(rules))
        self._before_runs: tuple[_State, ...] = ()
        """per probe: before the first of its newest equal readings"""
        self._past = _Past(rules) if rules.product.mkt is not None else None
        self._peak: tuple[float, Bounds] | None = None
        self._counts: Counter[str] = Counter()
        self._firsts: dict[str, float] = {}
        self._gaps: list[Gap] = []

    def add(self, n: int, at_s: float, temps_c: Temps) -> None:
        was, before = self._reading, self._state
        sample = BoxSample("log", "log", n, at_s, temps_c)
        self._sensor, reading = samples.judge(self._sensor, sample, at_s, self._limits)
        runs = [probe.run for probe in self._sensor.probes]
        if len(runs) != len(self._before_runs):
            self._before_runs = (before,) * len(runs)
        self._before_runs = tuple(
            [before if run == 1 else since for run, since in zip(runs, self._before_runs, strict=True)]
        )
        for fault in reading.faults:
            self._counts[fault] += 1
            self._firsts.setdefault(fault, at_s)
        self._reading = reading
        if reading.usable:
            self._believe(at_s, assess.furthest(self._rules.product, reading.temp_c))
        elif samples.STUCK in reading.faults and samples.STUCK not in was.faults:
            self._take_back(self._before_runs[runs.index(max(runs))])

    def _believe(self, at_s: float, temp_c: float) -> None:
        before, rules = self._state.assessment, self._rules
        a = step(before, rules, at_s, temp_c)
        if a.unmeasured_s > before.unmeasured_s:
            self._gaps.append(Gap(before.at_s, at_s))
        if self._past is not None:
            mean = window_mkt(rules, a, *self._past.around(a))
            self._past.add(a)
            a = assess.with_finding(a, mkt_finding(rules, mean, a))
            if mean is not None and (self._peak is None or mean.read > self._peak[1].read + MKT_TOLERANCE_C):
                self._peak = at_s, mean
        self._state = _State(a, self._state.believed + 1)

    def _take_back(self, to: _State) -> None:
        """The sensor was stuck before it showed. What that made of the dose stays: a fault takes no alarm back."""
        now = self._state.assessment
        kept = replace(to.assessment, touched=now.touched, touched_at_s=now.touched_at_s, finding=now.finding)
        self._state = _State(kept, to.believed)
        self._gaps = [gap for gap in self._gaps if gap.to_s <= kept.at_s]
        if self._past is not None:
            self._past.forget_after(kept.at_s)

    def history(self) -> History:
        a, rules, end_s = self._state.assessment, self._rules, self._sensor.at_s
        judgement = judge(a, rules, end_s)
        if judgement.verdict in (BoxVerdict.IN_RANGE, BoxVerdict.EXCURSION_ALLOWED) and not self._reading.usable:
            text = f"the last reading is not believed: {', '.join(self._reading.faults)}"
            judgement = Judgement(BoxVerdict.UNKNOWN, text, "sensor", end_s, end_s)
        complete = until(a, rules, end_s)
        gaps = self._gaps if complete.unmeasured_s == a.unmeasured_s else [*self._gaps, Gap(a.at_s, end_s)]
        return History(
            rules=rules,
            judgement=judgement,
            assessment=complete,
            believed=self._state.believed,
            mkt_c=_overall_mkt(complete),
            highest_mkt_c=None if self._peak is None else self._peak[1],
            highest_mkt_at_s=None if self._peak is None else self._peak[0],
            faults=tuple(Fault(name, n, self._firsts[name]) for name, n in self._counts.most_common()),
            gaps=tuple(gaps),
        )


def _overall_mkt(a: Assessment) -> Bounds | None:
    if a.measured_s <= 0.0:
        return None
    least, read, most = a.rates_s
    time_s = a.measured_s + a.unmeasured_s
    return Bounds(temp_of_rate(least / time_s), temp_of_rate(read / a.measured_s), temp_of_rate(most / time_s))


class _Past:
    """What the sliding window needs of earlier assessments: a few numbers of each, not the assessments."""

    def __init__(self, rules: Rules) -> None:
        assert rules.product.mkt is not None
        self._window_s = 3600.0 * rules.product.mkt.window_h
        self._tally = start(rules).read
        self._columns = tuple(array("d") for _ in range(7))
        self._next = 0
        """the oldest within the window"""

    def add(self, a: Assessment) -> None:
        assert a.temp_c is not None
        values = (a.at_s, a.temp_c, *a.rates_s, a.measured_s, a.unmeasured_s)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def forget_after(self, at_s: float) -> None:
        times = self._columns[0]
        while times and times[-1] > at_s:
            for column in self._columns:
                column.pop()

    def around(self, now: Assessment) -> tuple[Assessment | None, Assessment | None]:
        """The assessments before and after the window's start; None while the record is younger than the window."""
        start_s, times = now.at_s - self._window_s, self._columns[0]
        self._next = min(self._next, len(times))
        while self._next < len(times) and times[self._next] <= start_s:
            self._next += 1
        if self._next == 0:
            return None, None
        before = self._at(self._next - 1)
        return before, self._at(self._next) if self._next < len(times) else now

    def _at(self, i: int) -> Assessment:
        at_s, temp_c, least, read, most, measured_s, unmeasured_s = (column[i] for column in self._columns)
        return Assessment(
            self._tally,
            self._tally,
            self._tally,
            rates_s=(least, read, most),
            at_s=at_s,
            temp_c=temp_c,
            measured_s=measured_s,
            unmeasured_s=unmeasured_s,
        )


def probe_temps(values: Sequence[float]) -> Temps:
    """Numbers of one reading, NaN where a probe failed, as sensor truth takes them."""
    return tuple(None if value != value else float(value) for value in values)
