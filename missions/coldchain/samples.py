"""Sensor truth: a sample is judged before it is believed, in the order in which the box measured.

Each check has a name; a reading that fails one that matters is not used, so the time it stands for becomes a gap and
the verdict `unknown`, never `in range`. Pure: `judge(state, sample)` → (state, reading). Arrival in another order,
late or twice is `monitor`'s matter; it calls this in measured order again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log, sqrt

from missions.boxes import BoxSample
from missions.coldchain.product import PROBE_HIGHEST_C, PROBE_LOWEST_C, Product
from missions.coldchain.tally import FASTEST_C_S

NO_READING = "no_reading"
PROBE_FAILED = "probe_failed"
OUT_OF_PHYSICAL_RANGE = "out_of_physical_range"
PROBES_DISAGREE = "probes_disagree"
IMPOSSIBLE_SLOPE = "impossible_slope"
STUCK = "stuck"
RECOVERING = "recovering"
CLOCK_STEP = "clock_step"
CLOCK_SKEW = "clock_skew"
CLOCK_DRIFT = "clock_drift"
GAP = "gap"
REPLAYED = "replayed"
TWO_SENDERS = "two_senders"

OPEN_FAILURES = frozenset({NO_READING, OUT_OF_PHYSICAL_RANGE})
"""a probe that says so itself casts no doubt on the others"""
BENIGN = frozenset({PROBE_FAILED, GAP, CLOCK_SKEW, REPLAYED})
"""Named and counted, but what is believed can still be used. A replayed message itself is never used; its name stays
on the list because somebody or something sent it."""


@dataclass(frozen=True, slots=True)
class SensorLimits:
    """What a healthy probe in a closed box can show."""

    lowest_c: float = PROBE_LOWEST_C
    highest_c: float = PROBE_HIGHEST_C
    slope_c_s: float = FASTEST_C_S
    slope_slack_c: float = 1.0
    """noise and quantisation of two readings"""
    disagree_c: float = 2.0
    """two probes in one box: gradient plus twice the accuracy of 0.5 °C"""
    stuck_chance: float = 1e-6
    """a run of equal readings less likely than this, by how this sensor flickered before, is a stuck sensor"""
    stuck_run: int = 30
    """and at least this many"""
    relearn_after: int = 5
    """bad readings in a row, or more among good ones, after which it must first show `relearn_ok` good ones again"""
    relearn_ok: int = 10


def limits_for(product: Product) -> SensorLimits:
    """The limits of a probe beside that product: one in a dry shipper measures further down than others."""
    lowest_c, highest_c = product.probe_range_c
    return SensorLimits(lowest_c, highest_c)


@dataclass(frozen=True, slots=True)
class Probe:
    """How one probe has moved so far: what tells a stuck one from a steady one."""

    last_c: float | None
    previous_c: float | None = None
    run: int = 1
    """readings equal to the newest, without a break"""
    grain_c: float = inf
    """smallest change seen: its resolution, or more"""
    flickers: int = 0
    """times it went up and down again, or down and up, across three or more levels of its resolution. A probe whose
    noise is far below its resolution does not: on the edge between two levels it hops, and between edges it rests"""

    def then(self, temp_c: float | None) -> Probe:
        """After the next reading."""
        last, previous = self.last_c, self.previous_c
        if temp_c is None or last is None or not isfinite(temp_c) or not isfinite(last):
            return Probe(temp_c, last, 1, self.grain_c, self.flickers)
        if temp_c == last:
            return Probe(temp_c, last, self.run + 1, self.grain_c, self.flickers)
        grain, flickers = min(self.grain_c, abs(temp_c - last)), self.flickers
        if previous is not None and (temp_c - last) * (last - previous) < 0.0:
            span = max(abs(temp_c - last), abs(last - previous))
            flickers += span > 1.5 * grain
        return Probe(temp_c, last, 1, grain, flickers)


@dataclass(frozen=True, slots=True)
class SensorState:
    """What judging needs of the past. `good_*`: the last reading that was believed."""

    boot_id: str = ""
    seq: int = -1
    at_s: float = 0.0
    good_at_s: float | None = None
    good_c: tuple[float | None, ...] = ()
    probes: tuple[Probe, ...] = ()
    readings: int = 0
    """since the number of probes last changed"""
    badness: int = 0
    """two more for a bad reading, one less for a good one"""
    to_relearn: int = 0
    missing: int = 0
    """sequence numbers never seen"""
    counts: tuple[tuple[str, int], ...] = ()
    """samples by what was wrong with them"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The judgement of one sample. `temp_c` holds the believed probes; empty when none can be."""

    at_s: float
    temp_c: tuple[float, ...]
    faults: tuple[str, ...]

    @property
    def usable(self) -> bool:
        return bool(self.temp_c)


def judge(state: SensorState, sample: BoxSample, at_s: float, limits: SensorLimits) -> tuple[SensorState, Reading]:
    """One sample, measured after everything in `state`; `at_s` is its time on the monitor's axis."""
    faults: list[str] = []
    missing = state.missing
    if sample.boot_id == state.boot_id and sample.seq > state.seq + 1:
        faults.append(GAP)
        missing += sample.seq - state.seq - 1
    temps = sample.temp_c
    same = len(temps) == len(state.probes)
    probed = tuple([p.then(t) for p, t in zip(state.probes, temps, strict=True)]) if same else tuple(map(Probe, temps))
    readings = state.readings + 1 if same else 1
    found = [_probe_fault(state, i, temp, at_s, limits) for i, temp in enumerate(temps)]
    for i, fault in enumerate(found):
        if fault is None and _stuck(probed[i], readings, limits):
            found[i] = STUCK
    probes = tuple(None if fault else temp for temp, fault in zip(temps, found, strict=True))
    good = [p for p in probes if p is not None]
    if good and not set(found) <= {None, *OPEN_FAILURES}:
        # One probe is stuck or jumps while another looks well: which of them is wrong is not known.
        good = []
    if len(good) > 1 and max(good) - min(good) > limits.disagree_c:
        faults.append(PROBES_DISAGREE)
        good = []
    if good and len(good) < len(temps):
        faults.append(PROBE_FAILED)
    if not good:
        faults.extend(fault for fault in found if fault)
    badness, to_relearn = max(0, state.badness - 1) if good else state.badness + 2, state.to_relearn
    if not good and badness >= 2 * limits.relearn_after:
        badness, to_relearn = 2 * limits.relearn_after, limits.relearn_ok
    believed = good
    if good and to_relearn > 0:
        to_relearn -= 1
        faults.append(RECOVERING)
        believed = []
    named = tuple(dict.fromkeys(faults))
    new = SensorState(
        boot_id=sample.boot_id,
        seq=sample.seq,
        at_s=at_s,
        good_at_s=at_s if good else state.good_at_s,
        good_c=probes if good else state.good_c,
        probes=probed,
        readings=readings,
        badness=badness,
        to_relearn=to_relearn,
        missing=missing,
        counts=counted(state.counts, *named) if named else state.counts,
    )
    return new, Reading(at_s, tuple(believed), named)


def counted(counts: tuple[tuple[str, int], ...], *names: str) -> tuple[tuple[str, int], ...]:
    """The counts with one more of each of these."""
    totals = dict(counts)
    for name in names:
        totals[name] = totals.get(name, 0) + 1
    return tuple(sorted(totals.items()))


def _probe_fault(state: SensorState, i: int, temp: float | None, at_s: float, limits: SensorLimits) -> str | None:
    if temp is None or not isfinite(temp):
        return NO_READING
    if not limits.lowest_c <= temp <= limits.highest_c:
        return OUT_OF_PHYSICAL_RANGE
    before = state.good_c[i] if i < len(state.good_c) else None
    if before is None or state.good_at_s is None:
        return None
    reach = limits.slope_slack_c + limits.slope_c_s * max(0.0, at_s - state.good_at_s)
    return IMPOSSIBLE_SLOPE if abs(temp - before) > reach else None


def _stuck(probe: Probe, readings: int, limits: SensorLimits) -> bool:
    """Too many equal readings for a probe that flickered as often as this one did before the run.

    At rest in the middle of a level, a probe leaves it upwards or downwards with chance p/2 each, and flickers across
    three levels with about p²: so p can be read off the flickers, wherever between two levels they were seen. Counted
    with two standard deviations, and two, to spare.
    """
    before = readings - probe.run
    if probe.run < limits.stuck_run or before < limits.stuck_run:
        return False
    surely = probe.flickers - sqrt(probe.flickers) - 1.0
    if surely <= 0.0:
        return False
    return probe.run * log(1.0 - min(0.999, sqrt(surely / before))) < log(limits.stuck_chance)


FAST_S = 5.0
"""a message cannot arrive before it was measured; 5 s for the drift of two set clocks"""
OLDEST_S = 86_400.0
"""a box buffers at most a day: older times come from a clock that was never set"""
STEADY = 10
"""messages in step with our clock that prove a live stream: a buffer is emptied faster than it was filled"""
STEP_S = 2.0
"""jitter of transport within a live stream"""


DRIFT_S, DRIFT_SHARE = 10.0, 0.02
"""a clock that is right to a fiftieth gives durations that can be used; messages are not all equally quick"""
DRIFT_RUN = 3
"""messages in a row that show it: one alone was only held up"""


@dataclass(frozen=True, slots=True)
class BoxClock:
    """The box's clock against ours, since one start of the box. Our time = box time + `shift_s` + `lag_s`.

    `shift_s` moves a clock that is certainly wrong onto our axis, once: it shows a time that has not come yet, or one
    that is impossibly old. A slow clock and a late message look the same until the stream proves to be live; then
    `lag_s` says by how much it is slow. The record keeps the axis: durations do not depend on it.
    """

    boot_id: str = ""
    first_s: float = 0.0
    """the first sample's time on the record's axis"""
    shift_s: float = 0.0
    offset_s: float | None = None
    """smallest (received − box time) seen: skew plus the shortest transport delay"""
    steady: int = 0
    """messages in step with our clock, up to `STEADY`"""
    box_time_s: float = 0.0
    received_s: float = 0.0
    heard_s: float = 0.0
    """when it was first received"""
    lost_s: float = 0.0
    """by how much the newest message came later than the quickest one, in its own time"""
    losing: int = 0
    """messages in a row that came so late and did not catch up, as those of a buffer do"""

    @property
    def lag_s(self) -> float:
        if self.offset_s is None:
            return 0.0
        lag_s = self.offset_s - self.shift_s
        return lag_s if lag_s < 0.0 or self.steady >= STEADY else 0.0

    @property
    def skewed(self) -> bool:
        return self.shift_s != 0.0 or abs(self.lag_s) > FAST_S

    @property
    def proved(self) -> bool:
        """False for a clock that is certainly wrong and has not yet gone in step with ours for a while."""
        return self.shift_s == 0.0 or self.steady >= STEADY

    @property
    def drifts(self) -> bool:
        """It loses time: the durations that the record is made of would be too short."""
        return self.losing >= DRIFT_RUN

    def see(self, sample: BoxSample, received_s: float) -> BoxClock:
        """The clock after a message; called in order of arrival."""
        box_time_s = sample.box_time_s
        offset = received_s - box_time_s
        if self.offset_s is None:
            shift = 0.0 if -FAST_S <= offset <= OLDEST_S else offset
            return BoxClock(
                sample.boot_id, box_time_s + shift, shift, offset, 0, box_time_s, received_s, received_s
            )  # fmt: skip
        waited, took = received_s - self.received_s, box_time_s - self.box_time_s
        in_step = took > 0.0 and abs(waited - took) < min(STEP_S, 0.5 * took + 0.2)
        least = min(self.offset_s, offset)
        steady = self.steady if self.steady >= STEADY else self.steady + 1 if in_step else 0
        lost_s, losing = offset - least, self.losing
        if lost_s <= max(DRIFT_S, DRIFT_SHARE * (received_s - self.heard_s)):
            losing = 0
        elif steady >= STEADY and 0.5 * waited < took <= waited:
            losing += 1
        return BoxClock(
            boot_id=self.boot_id,
            first_s=min(self.first_s, box_time_s + self.shift_s),
            shift_s=self.shift_s,
            offset_s=least,
            steady=steady,
            box_time_s=box_time_s,
            received_s=received_s,
            heard_s=self.heard_s,
            lost_s=lost_s,
            losing=losing,
        )

    def steps(self, sample: BoxSample, received_s: float) -> bool:
        """True if the sample claims a time that has not come yet, by a clock that was seen to be steady before."""
        if self.offset_s is None or self.steady < STEADY:
            return False
        return received_s - sample.box_time_s < min(self.offset_s, self.shift_s) - FAST_S
