"""Sensor truth: a sample is judged before it is believed, in the order in which the box measured.

Each check has a name; a reading that fails one that matters is not used, so the time it stands for becomes a gap and
the verdict `unknown`, never `in range`. Pure: `judge(state, sample)` → (state, reading). Arrival in another order,
late or twice is `monitor`'s matter; it calls this in measured order again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log

from missions.boxes import BoxSample
from missions.coldchain.product import PROBE_HIGHEST_C, PROBE_LOWEST_C, Product

NO_READING = "no_reading"
PROBE_FAILED = "probe_failed"
OUT_OF_PHYSICAL_RANGE = "out_of_physical_range"
PROBES_DISAGREE = "probes_disagree"
IMPOSSIBLE_SLOPE = "impossible_slope"
STUCK = "stuck"
RECOVERING = "recovering"
CLOCK_STEP = "clock_step"
CLOCK_SKEW = "clock_skew"
GAP = "gap"
REPLAYED = "replayed"

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
    slope_c_s: float = 0.5
    """fastest believable change: a probe in 38 °C air after the lid flew off; the payload itself is ten times slower"""
    slope_slack_c: float = 1.0
    """noise and quantisation of two readings"""
    disagree_c: float = 2.0
    """two probes in one box: gradient plus twice the accuracy of 0.5 °C"""
    stuck_chance: float = 1e-6
    """a run of equal readings less likely than this, by how often this sensor changed before, is a stuck sensor"""
    stuck_run: int = 30
    """and at least this many"""
    relearn_after: int = 5
    """bad readings in a row after which it must first show `relearn_ok` good ones again"""
    relearn_ok: int = 10


def limits_for(product: Product) -> SensorLimits:
    """The limits of a probe beside that product: one in a dry shipper measures further down than others."""
    lowest_c, highest_c = product.probe_range_c
    return SensorLimits(lowest_c, highest_c)


@dataclass(frozen=True, slots=True)
class SensorState:
    """What judging needs of the past. `good_*`: the last reading that was believed."""

    boot_id: str = ""
    seq: int = -1
    at_s: float = 0.0
    good_at_s: float | None = None
    good_c: tuple[float | None, ...] = ()
    last_c: tuple[float | None, ...] = ()
    changes: tuple[int, ...] = ()
    """per probe: readings that differed from the one before"""
    readings: int = 0
    run: tuple[int, ...] = ()
    """per probe: readings equal to the newest, without a break"""
    bad_run: int = 0
    to_relearn: int = 0
    missing: int = 0
    """sequence numbers never seen"""


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
    same = len(temps) == len(state.last_c)
    run, changes = _runs(state, temps) if same else ((1,) * len(temps), (0,) * len(temps))
    readings = state.readings + 1 if same else 1
    found = [_probe_fault(state, i, temp, at_s, limits) for i, temp in enumerate(temps)]
    for i, fault in enumerate(found):
        if fault is None and _stuck(run[i], changes[i], readings, limits):
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
    bad_run, to_relearn = (0, state.to_relearn) if good else (state.bad_run + 1, state.to_relearn)
    if bad_run >= limits.relearn_after:
        to_relearn = limits.relearn_ok
    believed = good
    if good and to_relearn > 0:
        to_relearn -= 1
        faults.append(RECOVERING)
        believed = []
    new = SensorState(
        boot_id=sample.boot_id,
        seq=sample.seq,
        at_s=at_s,
        good_at_s=at_s if good else state.good_at_s,
        good_c=probes if good else state.good_c,
        last_c=temps,
        changes=changes,
        readings=readings,
        run=run,
        bad_run=bad_run,
        to_relearn=to_relearn,
        missing=missing,
    )
    return new, Reading(at_s, tuple(believed), tuple(dict.fromkeys(faults)))


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


def _runs(state: SensorState, temps: tuple[float | None, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    pairs = list(zip(temps, state.last_c, strict=True))
    equal = [a is not None and a == b for a, b in pairs]
    run = tuple(r + 1 if same else 1 for r, same in zip(state.run, equal, strict=True))
    changes = tuple(c + (not same) for c, same in zip(state.changes, equal, strict=True))
    return run, changes


def _stuck(run: int, changes: int, readings: int, limits: SensorLimits) -> bool:
    """Too many equal readings for a sensor that changed as often as this one did before the run."""
    if run < limits.stuck_run:
        return False
    before = readings - run
    if before < limits.stuck_run:
        return False
    chance_of_change = min(0.999, changes / before)
    return chance_of_change > 0 and run * log(1.0 - chance_of_change) < log(limits.stuck_chance)


FAST_S = 5.0
"""a message cannot arrive before it was measured; 5 s for the drift of two set clocks"""
OLDEST_S = 86_400.0
"""a box buffers at most a day: older times come from a clock that was never set"""
STEADY = 10
"""messages in step with our clock that prove a live stream: a buffer is emptied faster than it was filled"""
STEP_S = 2.0
"""jitter of transport within a live stream"""


@dataclass(frozen=True, slots=True)
class BoxClock:
    """The box's clock against ours. Our time = box time + `shift_s` + `lag_s`.

    `shift_s` moves a clock that is certainly wrong onto our axis, once per boot: it shows a time that has not come yet,
    or one that is impossibly old. A slow clock and a late message look the same until the stream proves to be live;
    then `lag_s` says by how much it is slow. The record keeps the axis: durations do not depend on it.
    """

    boot_id: str = ""
    shift_s: float = 0.0
    offset_s: float | None = None
    """smallest (received − box time) seen in this boot: skew plus the shortest transport delay"""
    steady: int = 0
    box_time_s: float = 0.0
    received_s: float = 0.0

    @property
    def lag_s(self) -> float:
        if self.offset_s is None or self.steady < STEADY:
            return 0.0
        return max(0.0, self.offset_s - self.shift_s)

    @property
    def skewed(self) -> bool:
        return self.shift_s != 0.0 or self.lag_s > FAST_S

    def see(self, sample: BoxSample, received_s: float) -> BoxClock:
        """The clock after a message; called in order of arrival."""
        offset = received_s - sample.box_time_s
        if sample.boot_id != self.boot_id or self.offset_s is None:
            shift = 0.0 if -FAST_S <= offset <= OLDEST_S else offset
            return BoxClock(sample.boot_id, shift, offset, 0, sample.box_time_s, received_s)
        waited, took = received_s - self.received_s, sample.box_time_s - self.box_time_s
        in_step = took > 0.0 and abs(waited - took) < min(STEP_S, 0.5 * took + 0.2)
        return BoxClock(
            boot_id=self.boot_id,
            shift_s=self.shift_s,
            offset_s=min(self.offset_s, offset),
            steady=self.steady + 1 if in_step else self.steady if self.steady >= STEADY else 0,
            box_time_s=sample.box_time_s,
            received_s=received_s,
        )

    def steps(self, sample: BoxSample, received_s: float) -> bool:
        """True if the sample claims a time that has not come yet by what this clock showed before."""
        return sample.box_time_s + self.shift_s > received_s + FAST_S
