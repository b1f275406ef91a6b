"""Says of each expectation whether it was met, by what the observer saw, the world did and the record holds.

One row per expectation. Where the observer or the world can tell, the controller's own opinion is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fleet.service import RecordedEvent
from fleet.simulate import sound
from fleet.simulate.evidence import (
    Alarm,
    Duty,
    Stay,
    alarms,
    battery_at,
    choices,
    clock_text,
    duties,
    fault_s,
    in_the_air,
    stays,
)
from fleet.simulate.expect import ANY, AlarmWithin, Between, DecisionWithin, Expect, ExpectRun, is_given
from fleet.simulate.outcome import Finding, OrderOutcome, Outcome, ZoneSeen
from fleet.simulate.scenario import Scenario
from geofences.geodesy import LatLon, distance_m
from geofences.volumes import Restriction, Role
from sitl.observer import Landing

AT_SITE_M = 15.0
"""a hub's pads are 6 m apart, and a vehicle's idea of where it is errs by a few metres"""
NOTICE_S = 3.0
"""a vehicle tells its mode once a second, and a command may be under way for a second or two"""

Seen = tuple[bool, str]


class Case:
    """One order with all that was seen of the vehicles and boxes that served it."""

    def __init__(self, run: Outcome, order: OrderOutcome, expect: Expect, served: Sequence[Duty]) -> None:
        self.run, self.order, self.expect, self.served = run, order, expect, served

    @cached_property
    def events(self) -> Sequence[RecordedEvent]:
        """The order's record, and what was recorded of its vehicle meanwhile."""
        streams = [(f"vehicle/{d.vehicle_id}", d) for d in self.served]
        meanwhile = [e for e in self.run.events if any(e.stream == s and d.covers(e.at_s) for s, d in streams)]
        return [*self.order.events, *meanwhile]

    @property
    def subjects(self) -> list[str]:
        return [name for d in self.served for name in (d.vehicle_id, d.box_id)]

    def landings(self) -> list[tuple[str, Landing]]:
        return [
            (d.vehicle_id, x)
            for d in self.served
            if d.vehicle_id in self.run.sightings
            for x in self.run.sightings[d.vehicle_id].landings
            if d.covers(x.at_s)
        ]

    def releases(self) -> list[Mapping[str, Any]]:
        return [
            e
            for e in self.run.world
            if e.get("event") == "released"
            and any(d.vehicle_id == e.get("vehicle") and d.covers(float(e["at_s"])) for d in self.served)
        ]

    def began_s(self, fault: str) -> float | None:
        return fault_s(self.run, fault, subjects=self.subjects)

    def first_s(self, *found: tuple[str, str, str]) -> float | None:
        """When the record first had one of these (kind, field, value)."""
        times = [e.at_s for e in self.order.events for kind, k, v in found if e.kind == kind and e.body.get(k) == v]
        return min(times, default=None)


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole run and what must come of it."""

    run: Outcome
    expect: ExpectRun


@dataclass(frozen=True, slots=True)
class Row:
    """An expectation: the field that asks for it, what it is judged by, its text for a value, and how it is judged."""

    field: str
    reads: str
    text: Callable[[Any], str]
    look: Callable[[Any, Any], Seen]
    each: bool = False
    """a finding for each item of the list"""


def judge(scenario: Scenario, outcome: Outcome) -> list[Finding]:
    """Whether the scenario's expectations were met: its orders' in the order of the file, then the run's."""
    expects = {o.name: o.expect for o in scenario.file.orders if o.expect is not None}
    found = findings_of(outcome, expects, scenario.file.expect)
    return found + sound.findings(scenario, outcome) if scenario.file.expect.sound else found


def findings_of(outcome: Outcome, expects: Mapping[str, Expect], run: ExpectRun) -> list[Finding]:
    """The same for expectations by order's name."""
    served = duties(outcome)
    findings: list[Finding] = []
    for order in outcome.orders:
        if (expect := expects.get(order.name)) is not None:
            case = Case(outcome, order, expect, [d for d in served if d.order == order.name])
            findings += _judged(order.name, ORDER_ROWS, case)
    return findings + _judged("", RUN_ROWS, Whole(outcome, run))


def _judged(order: str, rows: Sequence[Row], about: Case | Whole) -> list[Finding]:
    findings = []
    for row in rows:
        wanted = is_given(about.expect, row.field)
        if wanted is None:
            continue
        for item in wanted if row.each else (wanted,):
            met, seen = row.look(about, item)
            findings.append(Finding(order, row.text(item), met, seen))
    return findings


# --- of one order


def _state(case: Case, wanted: Sequence[Any]) -> Seen:
    if case.order.view is None:
        return False, f"it was not taken: {case.order.refused}" if case.order.refused else "it was never placed"
    state = case.order.view.state
    return state in wanted, f"it ended {state.value}"


def _refusal(case: Case, words: str) -> Seen:
    view = case.order.view
    why = case.order.refused
    if not why and view is not None and view.state.value == "refused":
        why = "; ".join(r.text for r in view.reasons)
    if not why:
        return False, "it was not refused" if view is not None else "it was never placed"
    return words.lower() in why.lower(), f"refused: {why}"


def _verdict(case: Case, wanted: Sequence[Any]) -> Seen:
    view = case.order.view
    if view is None or view.verdict is None:
        return False, "no verdict was given"
    return view.verdict in wanted, f"{view.verdict} ({view.verdict_why})"


def _decision(case: Case, wanted: Sequence[str]) -> Seen:
    chosen = list(dict.fromkeys(word for _, word in choices(case.order.events)))
    return bool(set(chosen) & set(wanted)), f"chosen: {_words(chosen)}" if chosen else "nothing but going on was chosen"


def _within_text(wanted: DecisionWithin) -> str:
    return f"decides to {wanted.kind} within {wanted.s:g} s of {wanted.after}"


def _decision_within(case: Case, wanted: DecisionWithin) -> Seen:
    began_s = case.began_s(wanted.after)
    if began_s is None:
        return False, f"{wanted.after} never began"
    first_s = next((at_s for at_s, word in choices(case.order.events) if word == wanted.kind and at_s >= began_s), None)
    if first_s is None:
        return False, f"never chosen after {wanted.after} began at {clock_text(began_s)}"
    return first_s - began_s <= wanted.s, f"chosen {first_s - began_s:.1f} s after {wanted.after} began"


def _never_inside(case: Case, zone_id: str) -> Seen:
    zones = [z for z in case.run.zones if z.zone.zone_id == zone_id]
    if not zones:
        return False, "the zone never appeared"
    watched = [(d.vehicle_id, d.since_s, d.until_s) for d in case.served]
    if not watched:
        return False, "no vehicle served it"
    return _outside(case.run, zones, watched, case.expect.leave_within_s)


def _reserve(case: Case, pct: float) -> Seen:
    told: list[tuple[float | None, str]] = []
    for e in case.releases():
        sighting = case.run.sightings.get(str(e["vehicle"]))
        at_drop = battery_at(sighting, float(e["at_s"])) if sighting is not None else None
        told.append((at_drop, f"at the drop {clock_text(float(e['at_s']))}"))
    landings = case.landings()
    told += [(x.battery_pct, f"as {vehicle_id} landed {clock_text(x.at_s)}") for vehicle_id, x in landings]
    if not landings:
        return False, "no landing was seen"
    unknown = [where for battery, where in told if battery is None]
    if unknown:
        return False, f"the battery was not known {unknown[0]}"
    lowest, where = min((battery, where) for battery, where in told if battery is not None)
    return lowest >= pct, f"lowest {lowest:.0f} % {where}"


def _lands_at(case: Case, site: str) -> Seen:
    landings = case.landings()
    if not landings:
        return False, "no landing was seen"
    found = [_near(case.run, x.lat_deg, x.lon_deg, site) for _, x in landings]
    return any(ok for ok, _ in found), f"landed {', then '.join(text for _, text in found)}"


def _released(case: Case, times: int) -> Seen:
    releases = case.releases()
    at = f": {', '.join(clock_text(float(e['at_s'])) for e in releases)}" if releases else ""
    return len(releases) == times, f"the box left the vehicle {_times(len(releases))}{at}"


def _released_at(case: Case, site: str) -> Seen:
    releases = case.releases()
    if not releases:
        return False, "the box never left the vehicle"
    found = [_near(case.run, float(e["lat_deg"]), float(e["lon_deg"]), site) for e in releases]
    return all(ok for ok, _ in found), f"set down {', then '.join(text for _, text in found)}"


def _alarm(case: Case, words: str) -> Seen:
    raised = alarms(case.events)
    found = next((a for a in raised if _means(a, words)), None)
    if found is not None:
        return True, f"{clock_text(found.at_s)} {found.text}"
    return False, f"raised: {_words([a.name for a in raised])}" if raised else "no alarm was raised"


def _alarm_within(case: Case, wanted: AlarmWithin) -> Seen:
    began_s = case.began_s(wanted.after)
    if began_s is None:
        return False, f"{wanted.after} never began"
    raised = [a for a in alarms(case.events, repeated=True) if _means(a, wanted.alarm)]
    found = next((a for a in raised if a.at_s >= began_s), None)
    if found is None:
        when = f"only before, {clock_text(raised[-1].at_s)}" if raised else "never raised"
        return False, f"{when}; {wanted.after} began {clock_text(began_s)}"
    return found.at_s - began_s <= wanted.s, f"{found.at_s - began_s:.1f} s after {wanted.after} began: {found.text}"


def _no_alarm(case: Case, words: str) -> Seen:
    found = [a for a in alarms(case.events) if words == ANY or _means(a, words)]
    return not found, "none" if not found else f"{clock_text(found[0].at_s)} {found[0].text}"


def _delivered_within(case: Case, minutes: float) -> Seen:
    received_s = case.first_s(("order_state", "state", "received"))
    if received_s is None or case.order.view is None:
        return False, "it was never received"
    took_min = (received_s - case.order.view.order.requested_at_s) / 60.0
    return took_min <= minutes, f"received after {took_min:.1f} min"


def _handed_over(case: Case, band: tuple[float, float]) -> Seen:
    taken_s = case.first_s(("custody", "step", "hand_over"), ("order_state", "state", "received"))
    if taken_s is None or not case.served:
        return False, "nobody took the payload"
    truth = case.run.box_truth.get(case.served[-1].box_id, ())
    if not truth:
        return False, f"nothing is known of {case.served[-1].box_id}"
    temp_c = float(np.interp(taken_s, [t for t, _ in truth], [c for _, c in truth]))
    return band[0] <= temp_c <= band[1], f"{temp_c:.1f} °C at {clock_text(taken_s)}"


def _between_text(wanted: Between) -> str:
    return f"no commands from {wanted.after} to {wanted.before or 'its end'}"


def _alarm_within_text(wanted: AlarmWithin) -> str:
    return f"alarm within {wanted.s:g} s of {wanted.after}: {wanted.alarm}"


def _no_commands(case: Case, between: Between) -> Seen:
    """Without `before`, it ends when the fault is over or when an operator gives a command."""
    began_s = case.began_s(between.after)
    if began_s is None:
        return False, f"{between.after} never began"
    if between.before is not None:
        ends = [case.began_s(between.before)]
        if ends == [None]:
            return False, f"{between.before} never began"
    else:
        by_hand = [e.at_s for e in case.order.events if e.kind == "operator_command" and e.at_s > began_s]
        ends = [fault_s(case.run, between.after, "over", case.subjects), *by_hand]
    end_s = min((at_s for at_s in ends if at_s is not None), default=case.run.ended_s)
    sent = [e for e in case.order.events if e.kind == "command" and began_s + NOTICE_S < e.at_s < end_s]
    if sent:
        return False, f"{clock_text(sent[0].at_s)} {sent[0].body['step']}, {_times(len(sent))} in all"
    return True, f"none from {clock_text(began_s)} to {clock_text(end_s)}"


def _grounded(case: Case, fault: str) -> Seen:
    began_s = case.began_s(fault)
    if began_s is None:
        return False, f"{fault} never began"
    over_s = fault_s(case.run, fault, "over", case.subjects) or case.run.ended_s
    watched = [case.run.sightings[d.vehicle_id] for d in case.served if d.vehicle_id in case.run.sightings]
    if not watched:
        return False, "no vehicle was observed"
    flights = [f for sighting in watched for f in sighting.flights()]
    away = next((up_s for up_s, down_s in flights if up_s < over_s and down_s > began_s), None)
    if away is not None:
        return False, f"took off {clock_text(away)}"
    first_s = min((up_s for up_s, _ in flights), default=None)
    then = f", took off {first_s - over_s:.0f} s later" if first_s is not None and first_s >= over_s else ""
    return True, f"on the ground from {clock_text(began_s)} to {clock_text(over_s)}{then}"


# --- of the whole run


def _never_prohibited(whole: Whole, wanted: bool) -> Seen:
    run = whole.run
    zones = [z for z in run.zones if (z.zone.restriction, z.zone.role) == (Restriction.PROHIBITED, Role.KEEP_OUT)]
    everywhere = [(vehicle_id, -float("inf"), float("inf")) for vehicle_id in run.sightings]
    return _outside(run, zones, everywhere, whole.expect.leave_within_s)


def _record_intact(whole: Whole, wanted: bool) -> Seen:
    streams = whole.run.streams_intact
    bad = [f"{stream}: {what}" for stream, what in streams.items() if what]
    if bad:
        return False, "; ".join(bad)
    return bool(streams), f"the hash chains of {len(streams)} streams hold" if streams else "no stream was checked"


def _released_once(whole: Whole, wanted: bool) -> Seen:
    served, away = duties(whole.run), set[str]()
    times = 0
    for e in whole.run.world:
        box, at_s = str(e.get("box")), float(e.get("at_s", 0.0))
        if e.get("event") == "loaded":
            away.discard(box)
        elif e.get("event") == "released":
            times += 1
            if box in away:
                return False, f"{box} left a vehicle again at {clock_text(at_s)}, without having been loaded"
            if not any(d.vehicle_id == e.get("vehicle") and d.covers(at_s) for d in served):
                return False, f"{box} left {e.get('vehicle')} at {clock_text(at_s)}, which served no order"
            away.add(box)
    return True, f"{times} in all, each by a vehicle on its order" if times else "no box left a vehicle"


def _faults_begin(whole: Whole, wanted: bool) -> Seen:
    missing = [name for name in whole.run.faults if fault_s(whole.run, name) is None]
    if missing:
        return False, f"never began: {_words(missing)}"
    return True, f"{_words(whole.run.faults)} began" if whole.run.faults else "none was to begin"


ORDER_ROWS: tuple[Row, ...] = (
    Row("state", "record", lambda v: f"ends {_or(v)}", _state),
    Row("refusal", "record", lambda v: f"is refused: “{v}”", _refusal),
    Row("verdict", "record", lambda v: f"cold verdict {_or(v)}", _verdict),
    Row("decision", "record", lambda v: f"decides to {_or(v)}", _decision),
    Row("decision_within_s", "record, world", _within_text, _decision_within),
    Row("never_inside", "observer", lambda v: f"never inside {v}", _never_inside, each=True),
    Row("never_below_reserve", "observer, world", lambda v: f"battery {v:g} % or more at drop and landing", _reserve),
    Row("lands_at", "observer", lambda v: f"lands at {v}", _lands_at),
    Row("released", "world", lambda v: f"the box leaves the vehicle {_times(v)}", _released),
    Row("released_at", "world", lambda v: f"the box is set down at {v}", _released_at),
    Row("alarm", "record", lambda v: f"alarm: {v}", _alarm, each=True),
    Row("alarm_within_s", "record, world", _alarm_within_text, _alarm_within, each=True),
    Row("no_alarm", "record", lambda v: "no alarm" if v == ANY else f"no alarm: {v}", _no_alarm, each=True),
    Row("delivered_within_min", "record", lambda v: f"delivered within {v:g} min", _delivered_within),
    Row(
        "temperature_at_hand_over_c", "world, record", lambda v: f"handed over at {v[0]:g} to {v[1]:g} °C", _handed_over
    ),
    Row("no_commands_between", "record, world", _between_text, _no_commands),
    Row("grounded_during", "observer, world", lambda v: f"stays on the ground during {v}", _grounded, each=True),
)
RUN_ROWS: tuple[Row, ...] = (
    Row("never_inside_prohibited", "observer", lambda _: "no vehicle flies in a prohibited zone", _never_prohibited),
    Row("record_intact", "record", lambda _: "the record is intact", _record_intact),
    Row("faults_begin", "world", lambda _: "what was to go wrong did", _faults_begin),
    Row("released_once", "world", lambda _: "no box is released twice or without an order", _released_once),
)


# --- what rows share


def _outside(
    run: Outcome, zones: Sequence[ZoneSeen], watched: Sequence[tuple[str, float, float]], leave_within_s: float
) -> Seen:
    """Whether the vehicles kept out while they were watched (vehicle, since, until)."""
    found: list[Stay] = []
    positions = 0
    for vehicle_id, since_s, until_s in watched:
        if vehicle_id not in run.sightings:
            return False, f"{vehicle_id} was not observed"
        flights = in_the_air(run.sightings[vehicle_id], since_s, until_s)
        positions += sum(map(len, flights))
        for zone in zones:
            found += stays(zone, vehicle_id, flights, run.terrain)
    wrong = [s for s in found if not (s.caught and s.left and s.seconds <= leave_within_s)]
    if wrong:
        return False, "; ".join(map(str, wrong))
    if found:
        return True, "; ".join(map(str, found))
    what = f"none of {positions} positions in the air lies inside" if positions else "nothing was seen in the air"
    return True, what


def _near(run: Outcome, lat_deg: float, lon_deg: float, site: str) -> Seen:
    """Whether a place is at the site, and which site is the nearest to it."""
    here = LatLon(lat_deg, lon_deg)
    away = {name: distance_m(here, LatLon(lat, lon)) for name, (lat, lon, _) in run.sites.items()}
    nearest = min(away, key=lambda name: away[name], default="")
    text = f"{away[nearest]:.0f} m from {nearest}" if nearest else f"at {lat_deg:.5f}, {lon_deg:.5f}"
    return away.get(site, float("inf")) <= AT_SITE_M, text


def _means(alarm: Alarm, words: str) -> bool:
    return words == alarm.name or words.lower() in alarm.text.lower()


def _or(values: Sequence[Any]) -> str:
    return " or ".join(str(v) for v in values)


def _words(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")
