"""What must hold whatever goes wrong, and the excuses there are where it does not.

A rule finds incidents. An incident is broken unless an excuse that the rule admits fits it, and it was alarmed. The
world and the observer are asked, and of the record only what an operator was told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fleet.simulate.evidence import clock_text, in_the_air, stays
from fleet.simulate.excuses import EXCUSES, FOREVER_S, Incident, Trial
from fleet.simulate.outcome import Finding, OrderOutcome, Outcome
from fleet.simulate.scenario import Scenario
from geofences.volumes import Restriction, Role
from missions.orders import FINAL_ORDER_STATES, OrderState
from sitl import geo

AT_SITE_M = 15.0
LET_GO_S = 3.0
"""a vehicle tells its mode once a second; a command on its way when a pilot takes over may be repeated for a moment"""
COLD_TOLERANCE_K = 0.5
"""probes hang in the air of the box, the dose is slower"""
ENDED = FINAL_ORDER_STATES - {OrderState.LOST}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says of an incident; `excuse` is the name of a row of `EXCUSES`, empty where there is none."""

    rule: str
    text: str
    excuse: str = ""
    broken: bool = False


# --- rules


def _zones(trial: Trial) -> Iterator[Incident]:
    run = trial.run
    closed = [z for z in run.zones if (z.zone.restriction, z.zone.role) == (Restriction.PROHIBITED, Role.KEEP_OUT)]
    for vehicle_id, sighting in run.sightings.items():
        flights = in_the_air(sighting)
        for zone in closed:
            for stay in stays(zone, vehicle_id, flights, run.terrain):
                since_s = max(zone.since_s, run.started_s)
                yield Incident(str(stay), vehicle_id, since_s, stay.since_s, stay, zone)


def _reserve(trial: Trial) -> Iterator[Incident]:
    need = trial.scenario.config.policy.reserve_pct
    for e in trial.run.world:
        if e.get("event") == "landed" and e["battery_pct"] < need:
            vehicle_id, at_s = str(e["vehicle"]), float(e["at_s"])
            duty = trial.duty(vehicle_id, at_s)
            text = f"{vehicle_id} landed {clock_text(at_s)} with {e['battery_pct']:.1f} %"
            yield Incident(text, vehicle_id, duty.since_s if duty is not None else at_s, at_s)


def _orders(trial: Trial) -> Iterator[Incident]:
    for order in trial.run.orders:
        state = order.view.state if order.view is not None else None
        if state in ENDED or (state is None and order.refused):
            continue
        duty = next((d for d in reversed(trial.duties) if d.order == order.name), None)
        since_s = duty.since_s if duty is not None else trial.run.ended_s
        vehicle_id, box_id = (duty.vehicle_id, duty.box_id) if duty is not None else ("", "")
        phase = order.view.phase if order.view is not None else None
        text = f"{order.name} is {state.value if state is not None else 'not taken'} at the end, phase {phase}"
        reasons = order.view.reasons if order.view is not None else ()
        text += "".join(f", {r.text}" for r in reasons)
        yield Incident(text, vehicle_id, since_s, trial.run.ended_s, box_id=box_id, order=order)


def _vehicles(trial: Trial) -> Iterator[Incident]:
    for vehicle_id, sighting in trial.run.sightings.items():
        flights = sighting.flights()
        if flights and flights[-1][1] == FOREVER_S:
            text = f"{vehicle_id} is in the air at the end, since {clock_text(flights[-1][0])}"
            yield Incident(text, vehicle_id, flights[-1][0], trial.run.ended_s)


def _drops(trial: Trial) -> Iterator[Incident]:
    goals = {o.name: o.to for o in trial.scenario.file.orders}
    for e in trial.run.world:
        if e.get("event") != "released":
            continue
        vehicle_id, at_s = str(e["vehicle"]), float(e["at_s"])
        duty = trial.duty(vehicle_id, at_s)
        goal = goals[duty.order] if duty is not None else next(iter(goals.values()))
        lat, lon, _ = trial.run.sites[goal]
        away_m = geo.distance_m(float(e["lat_deg"]), float(e["lon_deg"]), lat, lon)
        if away_m > AT_SITE_M:
            text = f"{e['box']} was set down {away_m:.0f} m from {goal} at {clock_text(at_s)}"
            yield Incident(text, vehicle_id, at_s, at_s)


def _known(trial: Trial) -> Iterator[Incident]:
    """A box that is gone must be known to be, and one that is not must not be called so."""
    for order in trial.run.orders:
        served = [d for d in trial.duties if d.order == order.name]
        gone = [
            e
            for e in trial.run.world
            if e.get("event") == "released"
            and any(d.vehicle_id == e["vehicle"] and d.covers(float(e["at_s"])) for d in served)
        ]
        said = [e for e in order.events if e.kind == "order_state" and e.body.get("event") == "release"]
        if len(gone) == len(said):
            continue
        text = f"the box of {order.name} left the vehicle {len(gone)} times, the record says {len(said)}"
        at_s = float(gone[-1]["at_s"]) if gone else trial.run.ended_s
        yield Incident(text, served[-1].vehicle_id if served else "", at_s, trial.run.ended_s, order=order)


def _crashes(trial: Trial) -> Iterator[Incident]:
    for e in trial.run.world:
        if e.get("event") == "crashed":
            at_s = float(e["at_s"])
            yield Incident(f"{e['vehicle']} crashed {clock_text(at_s)}", str(e["vehicle"]), at_s, at_s)


def _cold(trial: Trial) -> Iterator[Incident]:
    for order in trial.run.orders:
        view, taken_s = order.view, _taken_s(order)
        if view is None or taken_s is None or view.verdict != "in_range" or order.band_c is None:
            continue
        duty = next(d for d in reversed(trial.duties) if d.order == order.name)
        loaded = [
            float(e["at_s"])
            for e in trial.run.world
            if e.get("event") == "loaded" and e.get("box") == duty.box_id and float(e["at_s"]) <= taken_s
        ]
        if not loaded:
            continue
        low_c, high_c = order.band_c[0] - COLD_TOLERANCE_K, order.band_c[1] + COLD_TOLERANCE_K
        truth = [(s, c) for s, c in trial.run.box_truth.get(duty.box_id, ()) if max(loaded) < s <= taken_s]
        bad = [(s, c) for s, c in truth if not low_c <= c <= high_c]
        if bad:
            text = f"{order.name} had {bad[0][1]:.1f} °C at {clock_text(bad[0][0])} and was handed over as in_range"
            yield Incident(text, duty.vehicle_id, bad[0][0], taken_s, box_id=duty.box_id)


def _taken_s(order: OrderOutcome) -> float | None:
    times = [e.at_s for e in order.events if e.kind == "order_state" and e.body["state"] == "received"]
    return min(times, default=None)


def _commands(trial: Trial) -> Iterator[Incident]:
    for c in trial.run.commanded:
        if c.wrong:
            yield Incident(f"{c.step} to {c.vehicle_id} {clock_text(c.at_s)}: {c.wrong}", c.vehicle_id, c.at_s, c.at_s)


def _pilots(trial: Trial) -> Iterator[Incident]:
    """From when the vehicle is in a mode for sticks until it is in another one, or an operator hands it back."""
    for vehicle_id, sighting in trial.run.sightings.items():
        ends = [*(s for s, _ in sighting.modes[1:]), FOREVER_S]
        for (since_s, mode), until_s in zip(sighting.modes, ends, strict=False):
            if mode >> 16 & 0xFF == AUTO_MODE or not trial.in_air(vehicle_id, since_s):
                continue
            by_hand = [e.at_s for e in trial.events(vehicle_id, since_s) if e.kind == "operator_command"]
            end_s = min((at_s for at_s in by_hand if at_s > since_s), default=until_s)
            for c in trial.run.commanded:
                if c.vehicle_id == vehicle_id and since_s + LET_GO_S < c.at_s < min(end_s, until_s):
                    text = f"{c.step} to {vehicle_id}, {c.at_s - since_s:.1f} s after a pilot took over"
                    yield Incident(text, vehicle_id, since_s, c.at_s)


AUTO_MODE = 4
"""PX4's main mode of all that it flies by itself"""


def _faults(trial: Trial) -> Iterator[Incident]:
    for e in trial.run.events:
        if e.kind == "fault":
            yield Incident(f"the controller failed in {e.body['what']}: {e.body['text']}", "", e.at_s, e.at_s)


RULES: tuple[tuple[str, Callable[[Trial], Iterator[Incident]], tuple[str, ...]], ...] = (
    (
        "keeps out of prohibited zones",
        _zones,
        ("appeared_there", "fell", "battery_forced", "gps_untrue", "nobody_could_command", "operator"),
    ),
    ("lands with its reserve", _reserve, ("energy_taken", "gps_untrue", "nobody_could_command", "operator")),
    (
        "loses no order",
        _orders,
        ("crashed", "link_gone", "stood_down", "doubted", "foreign_plan", "unconfirmed", "waits"),
    ),
    ("brings every vehicle down", _vehicles, ("link_gone", "stood_down", "doubted", "foreign_plan")),
    ("releases at the destination", _drops, ("gps_drifted",)),
    ("knows which boxes are gone", _known, ("crashed", "link_gone", "stood_down", "unconfirmed")),
    ("does not crash", _crashes, ("fell", "empty", "gps_untrue")),
    ("says in_range only of what is", _cold, ("sensors_lied",)),
    ("commands what is recorded, with authority", _commands, ()),
    ("leaves a pilot alone", _pilots, ("unheard",)),
    ("has no fault of its own", _faults, ()),
)


def rulings(scenario: Scenario, run: Outcome) -> list[Ruling]:
    """Every rule, once where it holds, else once per incident."""
    trial, found = Trial(scenario, run), list[Ruling]()
    for rule, look, admitted in RULES:
        before = len(found)
        found += [_ruled(trial, rule, about, admitted) for about in look(trial)]
        if len(found) == before:
            found.append(Ruling(rule, "held"))
    return found


def _ruled(trial: Trial, rule: str, about: Incident, admitted: Sequence[str]) -> Ruling:
    for row in (EXCUSES[name] for name in admitted):
        if not row.fits(trial, about):
            continue
        if row.alarmed(trial, about):
            return Ruling(rule, f"{about.text}; excused: {row.reason}", row.name)
        return Ruling(rule, f"{about.text}; {row.reason}, but nobody was told", row.name, broken=True)
    return Ruling(rule, about.text, broken=True)


def findings(scenario: Scenario, run: Outcome) -> list[Finding]:
    """The same as findings of the whole run."""
    return [Finding("", r.rule, not r.broken, r.text) for r in rulings(scenario, run)]


def as_markdown() -> str:
    """The rules and their excuses, for the manual."""
    lines = ["| it … | excused where |", "|---|---|"]
    for rule, _, admitted in RULES:
        reasons = "; ".join(f"{EXCUSES[name].reason} (`{name}`)" for name in admitted)
        lines.append(f"| {rule} | {reasons or 'never'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
