"""One box on one order: samples in whatever order they arrive, the verdict that the clean series would have given.

The record is a chain of frozen links, newest first, each with the state after it. A sample goes where it belongs in
measured time: at the end for the price of one step, or further back by judging the later ones again. Skip pointers
(Myers 1983, as for random access lists) find a time in a record of n samples in log n steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf, nextafter
from operator import attrgetter

from missions.boxes import BoxSample
from missions.coldchain import assess, samples
from missions.coldchain.assess import Assessment, Finding, Judgement, Rules
from missions.coldchain.mkt import mkt_finding, window_mkt
from missions.coldchain.product import Outcome
from missions.coldchain.samples import BoxClock, Reading, SensorLimits, SensorState
from missions.coldchain.tally import Bounds
from missions.snapshot import BoxVerdict, BoxView, SampleRef, Timed


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One sample in the record, what was made of it, and the state after it."""

    sample: BoxSample
    at_s: float
    """box time on the record's axis: corrected only for a clock that is certainly wrong"""
    reading: Reading
    sensor: SensorState
    assessment: Assessment
    depth: int
    parent: Link | None = field(repr=False)
    jump: Link | None = field(repr=False)


KEPT = 8192
"""newest samples that are kept, at least, and at most twice as many: as far back as the feed of the boxes takes a late
one; 2.3 h at one a second. Older ones live on in the sums, where nothing can be put between them"""
MARKS = 1000
"""points kept of the mean kinetic temperature's window where its samples are not: it is exact to a part in so many"""
BOOTS = 16
"""clocks of a box's latest starts"""


@dataclass(frozen=True, slots=True)
class Monitor:
    """A box as watched for an order. A value: `observe` returns a new one."""

    box_id: str
    rules: Rules
    limits: SensorLimits = field(default_factory=SensorLimits)
    begins_s: float | None = None
    """when the box was sealed, by our clock: what it measured before was not the dose"""
    clocks: tuple[BoxClock, ...] = ()
    """one per start of the box, the latest heard last"""
    newest: Link | None = None
    newest_received_s: float | None = None
    stepped: bool = False
    """what came last claimed a time that does not fit the box's own clock"""
    marks: tuple[Assessment, ...] = ()
    """of the time before the oldest link, for the mean kinetic temperature"""
    forgotten: int = 0
    """samples before the oldest link"""
    kept: int = KEPT
    counts: tuple[tuple[str, int], ...] = ()
    """arrivals by kind: accepted, late, duplicate, replayed, two_senders, clock_step, too_late, before_start; and those
    with a clock_skew or clock_drift"""

    def count(self, kind: str) -> int:
        """Of arrivals by their kind, or of samples by what was wrong with them."""
        found = dict(self.counts).get(kind, 0)
        return found or (dict(self.newest.sensor.counts).get(kind, 0) if self.newest is not None else 0)

    @property
    def clock(self) -> BoxClock:
        """Of the box's present start."""
        return self._clock_of(self.newest.sample.boot_id) if self.newest is not None else BoxClock()

    def _clock_of(self, boot_id: str) -> BoxClock:
        return next((c for c in self.clocks if c.boot_id == boot_id), BoxClock())


PROBE_LATE_S = 30.0
"""by how much a reading may be late, as `thermal.PROBE_LAG_S`"""
MOVING_C = 0.6
"""in that time; less is within a probe's accuracy, or one step of a coarse one"""
ACCEPTED, LATE, DUPLICATE = "accepted", "late", "duplicate"
TOO_LATE, BEFORE_START = "too_late", "before_start"


def observe(monitor: Monitor, sample: BoxSample, received_s: float) -> Monitor:
    """A message arrived. Duplicates change nothing but their count; a forged or impossible one is only counted."""
    if sample.box_id != monitor.box_id:
        raise ValueError(f"sample of {sample.box_id} given to the monitor of {monitor.box_id}")
    clock = monitor._clock_of(sample.boot_id)
    seen = clock.see(sample, received_s)
    at_s = sample.box_time_s + seen.shift_s
    clocks = (*[c for c in monitor.clocks if c.boot_id != sample.boot_id], seen)[-BOOTS:]
    if monitor.begins_s is not None and at_s + seen.lag_s < monitor.begins_s - samples.FAST_S:
        return replace(monitor, counts=samples.counted(monitor.counts, BEFORE_START), clocks=clocks)
    newest = monitor.newest
    after = _oldest_after(newest, at_s) if newest is not None else None
    before = newest if after is None else after.parent
    kind = _kind(monitor, before, after, sample, at_s)
    if kind == ACCEPTED and clock.steps(sample, received_s):
        kind = samples.CLOCK_STEP
    if kind not in (ACCEPTED, LATE):
        stepped = monitor.stepped or kind == samples.CLOCK_STEP
        return replace(monitor, counts=samples.counted(monitor.counts, kind), stepped=stepped)
    link = _append(before, sample, at_s, monitor)
    if kind == LATE:
        for later in _links_after(newest, before):
            link = _append(link, later.sample, later.at_s, monitor)
    names = [kind]
    if seen.skewed:
        names.append(samples.CLOCK_SKEW)
    if seen.drifts:
        names.append(samples.CLOCK_DRIFT)
    grown = Monitor(
        box_id=monitor.box_id,
        rules=monitor.rules,
        limits=monitor.limits,
        begins_s=monitor.begins_s,
        clocks=clocks,
        newest=link,
        newest_received_s=received_s if kind == ACCEPTED else monitor.newest_received_s,
        stepped=monitor.stepped and kind != ACCEPTED,
        marks=monitor.marks,
        forgotten=monitor.forgotten,
        kept=monitor.kept,
        counts=samples.counted(monitor.counts, *names),
    )
    return _forgetting(grown, link) if link.depth >= 2 * monitor.kept else grown


def _kind(monitor: Monitor, before: Link | None, after: Link | None, sample: BoxSample, at_s: float) -> str:
    """What a sample is that belongs in time between these two, before the clock is asked.

    Sequence number and time must both fit between the neighbours; a number that comes again with another content or at
    another time was not sent by this box now.
    """
    boot_id = sample.boot_id
    if before is not None and before.sample == sample:
        return DUPLICATE
    if before is None and monitor.forgotten:
        return TOO_LATE
    if before is not None and before.at_s == at_s:
        return samples.REPLAYED
    if before is not None and before.sample.boot_id == boot_id and sample.seq <= before.sample.seq:
        return samples.REPLAYED
    if after is not None and after.sample.boot_id == boot_id and sample.seq >= after.sample.seq:
        newest = monitor.newest
        ahead = newest is not None and newest.sample.boot_id == boot_id and sample.seq > newest.sample.seq
        return samples.CLOCK_STEP if ahead else samples.REPLAYED
    if before is not None and before.sample.boot_id != boot_id:
        if after is not None and after.sample.boot_id == before.sample.boot_id:
            return samples.REPLAYED  # a box does not boot twice in between two samples of one boot
        if after is None and any(c.boot_id == boot_id for c in monitor.clocks):
            # An earlier start of the box goes on beside the later one: two senders, unless the clocks merely overlap.
            later = monitor.clock
            return samples.TWO_SENDERS if at_s > later.first_s + 2.0 * samples.FAST_S else samples.REPLAYED
    return ACCEPTED if after is None else LATE


def _forgetting(monitor: Monitor, newest: Link) -> Monitor:
    """The monitor with its newest `kept` links; what was before is in their sums, and in marks of the window."""
    chain = list(islice(links(newest), newest.depth + 1))
    link: Link | None = None
    for old in reversed(chain[: monitor.kept]):
        link = _linked(link, old.sample, old.at_s, old.reading, old.sensor, old.assessment)
    dropped = chain[monitor.kept :]
    marks = monitor.marks
    rule = monitor.rules.product.mkt
    if rule is not None:
        window_s = 3600.0 * rule.window_h
        for old in reversed(dropped):
            a = old.assessment
            if a.temp_c is not None and (not marks or a.at_s - marks[-1].at_s >= window_s / MARKS):
                marks = (*marks, a)
        start_s = newest.at_s - window_s
        first = max(0, bisect_right(marks, start_s, key=lambda a: a.at_s) - 1)
        marks = marks[first:]
    return replace(monitor, newest=link, marks=marks, forgotten=monitor.forgotten + len(dropped))


def _append(parent: Link | None, sample: BoxSample, at_s: float, monitor: Monitor) -> Link:
    rules = monitor.rules
    sensor = parent.sensor if parent is not None else SensorState()
    assessment = parent.assessment if parent is not None else assess.start(rules)
    sensor, reading = samples.judge(sensor, sample, at_s, monitor.limits)
    if reading.usable:
        value = assess.furthest(rules.product, reading.temp_c)
        assessment = assess.step(assessment, rules, at_s, value)
        mean = _window_mkt(monitor, parent, assessment)
        assessment = assess.with_finding(assessment, mkt_finding(rules, mean, assessment))
    elif parent is not None and samples.STUCK in reading.faults and samples.STUCK not in parent.reading.faults:
        parent = _taken_back(parent, max(p.run for p in sensor.probes) - 1, rules)
        assessment = parent.assessment
    handling = _handling(sample, rules, at_s)
    if handling is not None:
        assessment = assess.with_finding(assessment, handling)
    return _linked(parent, sample, at_s, reading, sensor, assessment)


def _linked(
    parent: Link | None, sample: BoxSample, at_s: float, reading: Reading, sensor: SensorState, assessment: Assessment
) -> Link:
    jump, far = parent, parent.jump if parent is not None else None
    if (
        parent is not None
        and far is not None
        and far.jump is not None
        and parent.depth - far.depth == far.depth - far.jump.depth
    ):
        jump = far.jump
    depth = 0 if parent is None else parent.depth + 1
    return Link(sample, at_s, reading, sensor, assessment, depth, parent, jump)


def _taken_back(newest: Link, run: int, rules: Rules) -> Link:
    """The record with its last `run` readings not believed: the sensor was stuck before it showed. What they made of
    the dose stays: a fault does not take an alarm back."""
    doubted = list(islice(links(newest), run))
    link, now = doubted[-1].parent, newest.assessment
    before = link.assessment if link is not None else assess.start(rules)
    kept = replace(before, touched=now.touched, touched_at_s=now.touched_at_s, finding=now.finding)
    for old in reversed(doubted):
        reading = Reading(old.at_s, (), tuple(dict.fromkeys((*old.reading.faults, samples.STUCK))))
        link = _linked(link, old.sample, old.at_s, reading, old.sensor, kept)
    assert link is not None
    return link


def _window_mkt(monitor: Monitor, newest: Link | None, now: Assessment) -> Bounds | None:
    """Over the window up to `now`, whose record ends with `newest` or right after it."""
    rule = monitor.rules.product.mkt
    if rule is None:
        return None
    start_s = now.at_s - 3600.0 * rule.window_h
    if now.first_at_s is None or newest is None or start_s <= now.first_at_s:
        return window_mkt(monitor.rules, now, None, None)
    after = _oldest_after(newest, start_s, BELIEVED_S)
    if after is None:
        return window_mkt(monitor.rules, now, newest.assessment, now)
    if after.parent is not None:
        return window_mkt(monitor.rules, now, after.parent.assessment, after.assessment)
    at = bisect_right(monitor.marks, start_s, key=lambda a: a.at_s) - 1
    return window_mkt(monitor.rules, now, monitor.marks[at] if at >= 0 else None, None)


def _handling(sample: BoxSample, rules: Rules, at_s: float) -> Finding | None:
    """Light, tilt, shock and humidity where the product has limits."""
    product = rules.product
    for name, value, limit, unit in (
        ("light", sample.light_lux, product.light_lux_max, "lux"),
        ("tilt", sample.tilt_deg, product.tilt_deg_max, "°"),
        ("shock", sample.shock_g, product.shock_g_max, "g"),
        ("humidity", sample.rh_pct, product.rh_pct_max, "%"),
    ):
        if limit is not None and value is not None and value > limit:
            text = f"{name} {value:g} {unit} at {assess.clock_time(at_s)}: at most {limit:g} {unit}"
            return Finding(Outcome.QUARANTINE, text, at_s)
    return None


MEASURED_S, BELIEVED_S = attrgetter("at_s"), attrgetter("assessment.at_s")
"""times of a link: of its sample, and of the last reading believed by then"""


def _oldest_after(newest: Link, t_s: float, time: Callable[[Link], float] = MEASURED_S) -> Link | None:
    """The oldest link later than t_s; None if none is."""
    if time(newest) <= t_s:
        return None
    link = newest
    while True:
        if link.jump is not None and time(link.jump) > t_s:
            link = link.jump
        elif link.parent is not None and time(link.parent) > t_s:
            link = link.parent
        else:
            return link


def _links_after(newest: Link | None, stop: Link | None) -> list[Link]:
    later = []
    for link in links(newest):
        if link is stop:
            break
        later.append(link)
    return later[::-1]


def links(newest: Link | None) -> Iterator[Link]:
    """The record, newest first."""
    while newest is not None:
        yield newest
        newest = newest.parent


def view(monitor: Monitor, now_s: float, ambient_c: float | None = None) -> BoxView:
    """What is known of the box now. A reading's age counts from when it was measured, not from when it came."""
    newest = monitor.newest
    if newest is None or monitor.newest_received_s is None:
        return BoxView(monitor.box_id, None, None, BoxVerdict.UNKNOWN, "no sample yet", (), ambient_c)
    a = newest.assessment
    judged = judgement(monitor, now_s)
    return BoxView(
        box_id=monitor.box_id,
        sample=Timed(newest.sample, monitor.newest_received_s),
        temp_c=a.temp_c,
        verdict=judged.verdict,
        why=judged.why,
        sensor_faults=sensor_faults(monitor),
        ambient_c=ambient_c,
        excursion=assess.excursion(a, monitor.rules),
        rule=judged.rule,
        caused_by=_causes(newest, judged),
    )


def judgement(monitor: Monitor, now_s: float) -> Judgement:
    """The verdict now, by our clock, and what it rests on."""
    newest = monitor.newest
    a = newest.assessment if newest is not None else assess.start(monitor.rules)
    expired = assess.overdue(monitor.rules, None, now_s) if a.finding is None else None
    if expired is not None:  # by our clock: a slow clock in the box keeps no lot fresh
        return assess.of_finding(expired)
    judged = assess.judge(a, monitor.rules, now_s - monitor.clock.lag_s)
    if newest is None or judged.verdict not in (BoxVerdict.IN_RANGE, BoxVerdict.EXCURSION_ALLOWED):
        return judged
    doubt = _doubt(monitor, newest)
    return judged if doubt is None else Judgement(BoxVerdict.UNKNOWN, doubt, "sensor", newest.at_s, newest.at_s)


def _doubt(monitor: Monitor, newest: Link) -> str | None:
    """Why what the box says now is not believed, if it is not; what was believed before does not speak for now."""
    clock = monitor.clock
    if monitor.count(samples.TWO_SENDERS):
        return f"two senders say that they are {monitor.box_id}"
    if monitor.stepped:
        return "the box's clock jumped, and no sample came since that fits"
    if clock.drifts:
        return f"the box's clock runs slow: {clock.lost_s:.0f} s lost since it was first heard"
    if not clock.proved:
        return f"the box's clock is {clock.shift_s:+.0f} s off ours, and not yet seen to be steady"
    if not newest.reading.usable:
        return f"the newest reading is not believed: {', '.join(newest.reading.faults)}"
    return _late(monitor.rules, newest)


def _late(rules: Rules, newest: Link) -> str | None:
    """Where a reading that moves is on its way out of what is tolerated: the product is there before its probe."""
    before, temp_c = _oldest_after(newest, newest.at_s - PROBE_LATE_S), newest.assessment.temp_c
    if before is None or temp_c is None or not before.reading.usable or before.assessment.temp_c is None:
        return None
    over_s = newest.at_s - before.at_s
    if over_s < 0.5 * PROBE_LATE_S:
        return None
    moved_c = (temp_c - before.assessment.temp_c) * PROBE_LATE_S / over_s
    if abs(moved_c) < MOVING_C or rules.tolerates(temp_c + moved_c):
        return None
    text = f"{temp_c:.1f} °C moves by {60.0 * moved_c / PROBE_LATE_S:+.1f} K/min"
    return f"{text}: the product may be at {temp_c + moved_c:.1f} °C already, where no time is allowed"


def _causes(newest: Link, judged: Judgement) -> tuple[SampleRef, ...]:
    """The first and the last sample that count for a verdict."""
    refs = []
    for at_s in (judged.since_s, judged.at_s):
        if at_s is not None:
            link = _oldest_after(newest, nextafter(at_s, -inf)) or newest
            refs.append(SampleRef(link.sample.boot_id, link.sample.seq, link.at_s))
    return tuple(dict.fromkeys(refs))


def sensor_faults(monitor: Monitor) -> tuple[str, ...]:
    """Names of what is wrong with the sensor now: of the newest sample, and of the stream as a whole."""
    newest, clock = monitor.newest, monitor.clock
    names = list(newest.reading.faults) if newest is not None else []
    if newest is not None and newest.sensor.missing and samples.GAP not in names:
        names.append(samples.GAP)
    if clock.skewed:
        names.append(samples.CLOCK_SKEW)
    if clock.drifts:
        names.append(samples.CLOCK_DRIFT)
    if monitor.stepped:
        names.append(samples.CLOCK_STEP)
    names += [kind for kind in (samples.REPLAYED, samples.TWO_SENDERS) if monitor.count(kind)]
    return tuple(names)
