"""Finished runs made by hand: an hour in the Teral valley in which cw-1 brings one order to Ndeba and comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fleet.service import OrderView, RecordedEvent
from fleet.simulate.outcome import OrderOutcome, Outcome, ZoneSeen
from geofences.geodesy import LatLon, destination
from geofences.volumes import Polygon, Restriction, Volume, Zone
from missions.orders import Order, OrderState, Priority
from sitl.observer import Fix, Landing, Sighting

START_S = 1_773_133_200.0
"""2026-03-10 09:00:00 UTC"""
HUB, CLINIC = LatLon(7.5, 38.2), LatLon(7.52, 38.2)
GROUND_M, CRUISE_M = 420.0, 80.0
SITES = {"teral": (7.5, 38.2, GROUND_M), "ndeba": (7.52, 38.2, GROUND_M)}
UP_S, THERE_S, DROP_S, BACK_S, DOWN_S = 100.0, 300.0, 320.0, 340.0, 540.0
"""after the start: take-off, over the clinic, the drop, on the way home, landing"""


def event(at_s: float, kind: str, *, stream: str = "order/ord-1", **body: Any) -> RecordedEvent:
    """A line of a record, `at_s` after the start; its hashes are of no interest here."""
    return RecordedEvent(stream, 1, 1, START_S + at_s, kind, body, "", "")


def world(at_s: float, event: str, **more: Any) -> dict[str, Any]:
    """Something that the simulated world tells, `at_s` after the start."""
    return {"event": event, "at_s": START_S + at_s, **more}


def fault(at_s: float, name: str, *, on: str | None = None, state: str = "begun") -> dict[str, Any]:
    return world(at_s, "fault", name=name, kind=name, on=on, state=state)


def decision(at_s: float, kind: str | None = None, *, action: str = "CONTINUE", faults: Sequence[tuple[str, str]] = ()):
    """`kind`: of the chosen candidate; `faults`: (name, text)."""
    candidate = None if kind is None else {"kind": kind, "site_id": "teral"}
    active = [{"name": n, "text": t, "since_s": START_S + at_s, "asks": action} for n, t in faults]
    sentence = f"{kind or action.lower()} it is."
    considered = [
        {"kind": "continue", "site_id": "ndeba", "expected_loss": 0.9, "p_in_range": 0.4, "rejected": ""},
        {"kind": "return", "site_id": "teral", "expected_loss": None, "p_in_range": None, "rejected": "too far"},
    ]
    return event(
        at_s,
        "decision",
        decision={
            "action": action,
            "candidate": candidate,
            "sentence": sentence,
            "faults": active,
            "considered": considered if kind else [],
        },
    )


def place(share: float, *, east_m: float = 0.0) -> LatLon:
    """On the way from the hub (0) to the clinic (1)."""
    on_line = LatLon(HUB.lat_deg + share * (CLINIC.lat_deg - HUB.lat_deg), HUB.lon_deg)
    return destination(on_line, 90.0, east_m) if east_m else on_line


def flown(vehicle_id: str = "cw-1", *, east_m: float = 0.0, late_s: float = 0.0) -> Sighting:
    """Out to the clinic at 80 m, down to 8 m for the drop, and home; four fixes a second."""
    seen = Sighting(vehicle_id, modes=[(START_S, 0x03040000), (START_S + UP_S + late_s, 0x04040000)])
    for quarter in range(600 * 4):
        at_s = quarter / 4
        share = min(max((at_s - UP_S) / (THERE_S - UP_S), 0.0), 1.0)
        if at_s > BACK_S:
            share = min(max((DOWN_S - at_s) / (DOWN_S - BACK_S), 0.0), 1.0)
        height_m = CRUISE_M * min(1.0, max(0.0, at_s - UP_S) / 20.0, max(0.0, DOWN_S - at_s) / 20.0)
        if THERE_S < at_s < BACK_S:
            height_m = 8.0
        at = place(share, east_m=east_m)
        moving = UP_S < at_s < DOWN_S and not THERE_S < at_s < BACK_S
        speed = 11.0 if moving else 0.0
        fix = Fix(START_S + at_s + late_s, at.lat_deg, at.lon_deg, GROUND_M + height_m, height_m, speed)
        seen.fixes.append(fix)
    seen.battery = [(START_S + s + late_s, 100.0 - s / 20.0) for s in range(0, 600, 20)]
    seen.armed = [(START_S, False), (START_S + UP_S + late_s, True), (START_S + DOWN_S + late_s + 2.0, False)]
    seen.takeoffs = [START_S + UP_S + late_s]
    seen.landings = [Landing(START_S + DOWN_S + late_s, 7.5, 38.2, 73.0)]
    seen.wind = [(START_S + s, 2.0 + s / 300.0, -1.0) for s in range(0, 600, 2)]
    return seen


def square(zone_id: str, at: LatLon, half_m: float = 100.0, **more: Any) -> Zone:
    """A prohibited square about a place, unless told otherwise."""
    north, east = destination(at, 0.0, half_m), destination(at, 90.0, half_m)
    dn, de = north.lat_deg - at.lat_deg, east.lon_deg - at.lon_deg
    corners = tuple(LatLon(at.lat_deg + a * dn, at.lon_deg + b * de) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1)))
    volume = Volume(Polygon(corners), more.pop("lower", None), more.pop("upper", None))
    restriction = more.pop("restriction", Restriction.PROHIBITED)
    return Zone(zone_id, more.pop("name", f"zone {zone_id}"), restriction, (volume,), **more)


ORDER = Order(
    "ord-1",
    "vaccine",
    "teral",
    "ndeba",
    "ref-1",
    0.6,
    1.5,
    Priority.URGENT,
    deadline_s=START_S + 3600.0,
    requested_at_s=START_S,
)
RECORD = (
    event(0.0, "order_requested", order={"order_id": "ord-1"}),
    event(5.0, "order_state", event="accept", state="accepted"),
    event(20.0, "assigned", vehicle_id="cw-1", box_id="box-1"),
    event(90.0, "command", step="upload", vehicle_id="cw-1"),
    event(UP_S, "phase", phase="launching", event="launch"),
    event(THERE_S, "order_state", event="arrive", state="at_drop"),
    event(DROP_S - 1.0, "command", step="release", vehicle_id="cw-1"),
    event(DROP_S, "custody", step="release", vehicle_id="cw-1"),
    event(DROP_S, "order_state", event="release", state="released"),
    event(BACK_S + 10.0, "custody", step="hand_over", actor="recipient"),
    event(BACK_S + 10.0, "order_state", event="receive", state="received"),
    event(DOWN_S + 1.0, "landed", at="teral", payload_on_board=False),
)
VIEW = OrderView(
    ORDER, OrderState.RECEIVED, vehicle_id="cw-1", box_id="box-1", verdict="in_range", verdict_why="4.0 to 5.0 °C"
)


def outcome(**changes: Any) -> Outcome:
    """The run as it should be; `record` adds to the order's events, `happened` to the world's."""
    record = sorted((*RECORD, *changes.pop("record", ())), key=lambda e: e.at_s)
    happened = changes.pop("happened", ())
    told = [
        world(15.0, "loaded", box="box-1", vehicle="cw-1"),
        world(DROP_S, "released", box="box-1", vehicle="cw-1", lat_deg=7.52, lon_deg=38.20002, agl_m=8.0),
        world(DOWN_S, "landed", vehicle="cw-1", lat_deg=7.5, lon_deg=38.2, battery_pct=73.0),
    ]
    whole = Outcome(
        title="One delivery",
        scenario_text="title: One delivery\n",
        seed=7,
        stage="virtual",
        started_s=START_S,
        ended_s=START_S + 600.0,
        wall_s=2.5,
        timed_out=False,
        orders=[OrderOutcome("vaccine", VIEW, events=record, band_c=(2.0, 8.0))],
        sightings={"cw-1": flown()},
        world=sorted((*told, *happened), key=lambda e: e["at_s"]),
        zones=[ZoneSeen(square("PARK", place(0.5, east_m=1000.0)), 0.0)],
        sites=SITES,
        streams_intact={"order/ord-1": "", "airspace": ""},
        box_truth={"box-1": [(START_S + s, 4.0 + s / 600.0) for s in range(0, 601, 10)]},
    )
    return replace(whole, **changes)
