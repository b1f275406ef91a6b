"""One box on one order: samples in whatever order they arrive, the verdict that the clean series would have given.

The record is a chain of frozen links, newest first, each with the state after it. A sample goes where it belongs in
measured time: at the end for the price of one step, or further back by judging the later ones again. Skip pointers
(Myers 1983, as for random access lists) find a time in a record of n samples in log n steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from missions.boxes import BoxSample
from missions.coldchain import assess, samples
from missions.coldchain.assess import Assessment, Finding, Rules
from missions.coldchain.product import Outcome
from missions.coldchain.samples import BoxClock, Reading, SensorLimits, SensorState
from missions.snapshot import BoxVerdict, BoxView, Timed


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


@dataclass(frozen=True, slots=True)
class Monitor:
    """A box as watched for an order. A value: `observe` returns a new one."""

    box_id: str
    rules: Rules
    limits: SensorLimits = field(default_factory=SensorLimits)
    clock: BoxClock = field(default_factory=BoxClock)
    newest: Link | None = None
    newest_received_s: float | None = None
    counts: tuple[tuple[str, int], ...] = ()
    """arrivals by kind: accepted, late, duplicate, replayed, clock_step"""

    def count(self, kind: str) -> int:
        return dict(self.counts).get(kind, 0)


def observe(monitor: Monitor, sample: BoxSample, received_s: float) -> Monitor:
    """A message arrived. Duplicates change nothing but their count; a forged or impossible one is only counted."""
    if sample.box_id != monitor.box_id:
        raise ValueError(f"sample of {sample.box_id} given to the monitor of {monitor.box_id}")
    clock = monitor.clock.see(sample, received_s)
    at_s = sample.box_time_s + clock.shift_s
    newest = monitor.newest
    if newest is None or _follows(newest, sample, at_s):
        if clock.steps(sample, received_s):
            return _counted(monitor, samples.CLOCK_STEP)
        kind, link = "accepted", _append(newest, sample, at_s, monitor)
    else:
        after = _oldest_after(newest, at_s)
        before = newest if after is None else after.parent
        kind = _belongs(before, after, sample, at_s)
        if kind != "late":
            return _counted(replace(monitor, clock=clock), kind)
        link = _append(before, sample, at_s, monitor)
        for later in _links_after(newest, before):
            link = _append(link, later.sample, later.at_s, monitor)
    received = received_s if kind == "accepted" else monitor.newest_received_s
    return _counted(replace(monitor, clock=clock, newest=link, newest_received_s=received), kind)


def _counted(monitor: Monitor, kind: str) -> Monitor:
    counts = Counter(dict(monitor.counts))
    counts[kind] += 1
    return replace(monitor, counts=tuple(sorted(counts.items())))


def _follows(newest: Link, sample: BoxSample, at_s: float) -> bool:
    if at_s <= newest.at_s:
        return False
    return sample.boot_id != newest.sample.boot_id or sample.seq > newest.sample.seq


def _belongs(before: Link | None, after: Link | None, sample: BoxSample, at_s: float) -> str:
    """What a sample that is not the newest is: late, duplicate or replayed.

    Sequence number and time must both fit between the neighbours; a number that comes again with another content or at
    another time was not sent by this box now.
    """
    if before is not None and before.sample == sample:
        return "duplicate"
    if before is not None and before.at_s == at_s:
        return samples.REPLAYED
    for near, sign in ((before, 1), (after, -1)):
        if near is not None and near.sample.boot_id == sample.boot_id and sign * (sample.seq - near.sample.seq) <= 0:
            return samples.REPLAYED
    strangers = [n for n in (before, after) if n is not None and n.sample.boot_id != sample.boot_id]
    if len(strangers) == 2 and strangers[0].sample.boot_id == strangers[1].sample.boot_id:
        return samples.REPLAYED  # a box does not boot twice in between two samples of one boot
    return "late"


def _append(parent: Link | None, sample: BoxSample, at_s: float, monitor: Monitor) -> Link:
    rules = monitor.rules
    sensor = parent.sensor if parent is not None else SensorState()
    assessment = parent.assessment if parent is not None else assess.start(rules)
    sensor, reading = samples.judge(sensor, sample, at_s, monitor.limits)
    if reading.usable:
        value = assess.furthest(rules.product, reading.temp_c)
        assessment = assess.step(assessment, rules, at_s, value)
        assessment = _with_mkt(parent, assessment, rules)
    handling = _handling(sample, rules, at_s)
    if handling is not None:
        assessment = assess.with_finding(assessment, handling)
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


def _with_mkt(parent: Link | None, assessment: Assessment, rules: Rules) -> Assessment:
    rule = rules.product.mkt
    if rule is None or parent is None:
        return assessment
    after = None
    if assessment.first_at_s is not None and assessment.at_s - assessment.first_at_s > 3600.0 * rule.window_h:
        after = _oldest_after(parent, assessment.at_s - 3600.0 * rule.window_h)
    if after is not None and after.parent is not None:
        mkt = assess.window_mkt_c(rules, assessment, after.parent.assessment, after.assessment)
    else:
        mkt = assess.window_mkt_c(rules, assessment, None, None)
    return assess.with_finding(assessment, assess.mkt_finding(rules, mkt, assessment.at_s))


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


def _oldest_after(newest: Link, t_s: float) -> Link | None:
    """The oldest link later than t_s; None if none is."""
    if newest.at_s <= t_s:
        return None
    link = newest
    while True:
        if link.jump is not None and link.jump.at_s > t_s:
            link = link.jump
        elif link.parent is not None and link.parent.at_s > t_s:
            link = link.parent
        else:
            return link


def _links_after(newest: Link, stop: Link | None) -> list[Link]:
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
    kind, why = assess.verdict(a, monitor.rules, now_s - monitor.clock.lag_s)
    expired = assess.overdue(monitor.rules, None, now_s) if a.finding is None else None
    if expired is not None:  # by our clock: a slow clock in the box keeps no lot fresh
        kind, why = BoxVerdict.QUARANTINE, expired.why
    return BoxView(
        box_id=monitor.box_id,
        sample=Timed(newest.sample, monitor.newest_received_s),
        temp_c=a.temp_c,
        verdict=kind,
        why=why,
        sensor_faults=sensor_faults(monitor),
        ambient_c=ambient_c,
    )


def sensor_faults(monitor: Monitor) -> tuple[str, ...]:
    """Names of what is wrong with the sensor now: of the newest sample, and of the stream as a whole."""
    names = list(monitor.newest.reading.faults) if monitor.newest is not None else []
    if monitor.newest is not None and monitor.newest.sensor.missing and samples.GAP not in names:
        names.append(samples.GAP)
    if monitor.clock.skewed:
        names.append(samples.CLOCK_SKEW)
    names += [kind for kind in (samples.REPLAYED, samples.CLOCK_STEP) if monitor.count(kind)]
    return tuple(names)
