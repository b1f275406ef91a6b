"""A flight in the Teral valley as `decide` sees it, and the ways in which it can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from geofences.geodesy import LatLon, destination
from missions.boxes import BoxSample
from missions.decision.engine import decide
from missions.decision.types import (
    Candidate,
    CandidateKind,
    Conflict,
    Decision,
    FlightPhase,
    Forecast,
    Memory,
    Policy,
    Snapshot,
)
from missions.orders import Order, Priority
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, RallyPoint, Waypoint
from missions.position import Fix, Reckoning
from missions.snapshot import (
    Battery,
    BoxVerdict,
    BoxView,
    MissionState,
    MissionStatus,
    Mode,
    Position,
    Timed,
    VehicleState,
    Velocity,
)

NOW = 1_773_140_400.0
HUB = LatLon(7.5, 38.2)
HERE = destination(HUB, 110.0, 2000.0)
POLICY = Policy()


def plan(goal: str, *, plan_id: str = "", ending: Ending = Ending.LAND, version: int = 1) -> Plan:
    start, end = Waypoint(HERE, 500.0, NOW), Waypoint(destination(HERE, 110.0, 5000.0), 500.0, NOW + 250)
    return Plan(
        plan_id=plan_id or f"to-{goal}",
        goal_site=goal,
        ending=ending,
        take_off=False,
        legs=(Leg(start, end, 5000.0, 60.0, ()),),
        fence=FenceSet(None, (), ()),
        rally=(RallyPoint("quarry", destination(HERE, 0.0, 900.0), 0.0),),
        energy=EnergyBudget(80.0, 120.0, 62.0, 20.0),
        home=HUB,
        home_amsl_m=420.0,
        cruise_agl_m=80.0,
        depart_s=NOW,
        arrive_s=NOW + 250,
        airspace_version=version,
    )


def candidate(
    kind: CandidateKind,
    site: str,
    *,
    p: float | None = 0.99,
    end_pct: float = 60.0,
    sd: float = 1.5,
    after_s: float = 250.0,
    temp_c: float = 5.0,
    version: int = 1,
    p_on_time: float = 1.0,
) -> Candidate:
    temp = None if p is None else Forecast(temp_c, 0.5)
    made = plan(site, plan_id=f"{kind}-{site}", version=version)
    return Candidate(kind, site, made, Forecast(end_pct, sd), NOW + after_s, temp, p, p_on_time)


CONTINUE, REROUTE, REICE = CandidateKind.CONTINUE, CandidateKind.REROUTE, CandidateKind.REICE
RETURN, ALTERNATE, DELIVER = CandidateKind.RETURN, CandidateKind.ALTERNATE, CandidateKind.DELIVER

EVERYWHERE = (
    candidate(CONTINUE, "koru"),
    candidate(REICE, "midway", after_s=560.0, end_pct=50.0),
    candidate(RETURN, "teral", after_s=110.0, end_pct=74.0),
    candidate(ALTERNATE, "quarry", after_s=90.0, end_pct=76.0),
    candidate(ALTERNATE, "ferry", after_s=220.0, end_pct=68.0),
)

BOX = BoxView(
    "box-1",
    Timed(BoxSample("box-1", "b1", 60, NOW - 0.5, (5.0,), lid_open=False, seal_ok=True), NOW - 0.3),
    5.0,
    BoxVerdict.IN_RANGE,
    "4.9 to 5.1 °C, within 2 to 8 °C",
)


def vehicle(now_s: float = NOW, mode: Mode = Mode.MISSION, battery_pct: float = 80.0) -> VehicleState:
    return VehicleState(
        "cw-2",
        heard_s=now_s - 0.2,
        boot=1,
        armed=Timed(True, now_s - 0.5),
        mode=Timed(mode, now_s - 0.5),
        position=Timed(Position(HERE, 500.0, 80.0), now_s - 0.2),
        battery=Timed(Battery(battery_pct), now_s - 0.5),
        failsafe=Timed(False, now_s - 0.5),
        mission=Timed(MissionStatus(MissionState.ACTIVE, 1, 3, 7, 8, 9), now_s - 0.5),
    )


ORDER = Order(
    "o-2", "vaccine_freeze_sensitive", "teral", "koru", "r-1", 0.6, 1.5, Priority.URGENT, NOW + 3600.0, NOW - 300.0
)

CALM = Snapshot(
    phase=FlightPhase.OUTBOUND,
    order=ORDER,
    plan=plan("koru", ending=Ending.HOLD_AT_DROP),
    vehicle=vehicle(),
    box=BOX,
    candidates=EVERYWHERE,
    candidates_at_s=NOW - 2.0,
    conflict=None,
    cross_track_m=3.0,
    home_end_pct=Forecast(74.0, 1.0),
    expected_mode="mission",
    authority=True,
    dispatched_at_s=NOW - 60.0,
    airspace_version=1,
    held_boot=1,
    plan_held=True,
)


def at(s: Snapshot, now_s: float) -> Snapshot:
    """The same situation with everything as fresh at another time as it is at NOW."""
    d = now_s - NOW

    def later(x: Any) -> Any:
        return None if x is None else Timed(x.value, x.at_s + d)

    v = s.vehicle
    moved = replace(
        v,
        heard_s=None if v.heard_s is None else v.heard_s + d,
        armed=later(v.armed),
        mode=later(v.mode),
        position=later(v.position),
        battery=later(v.battery),
        failsafe=later(v.failsafe),
        mission=later(v.mission),
    )
    box = s.box if s.box is None else replace(s.box, sample=later(s.box.sample))
    fresh = None if s.candidates_at_s is None else s.candidates_at_s + d
    return replace(s, vehicle=moved, box=box, candidates_at_s=fresh)


def with_candidates(s: Snapshot, *changes: Candidate) -> Snapshot:
    """Candidates of the same kind and site replaced, others added."""
    new = {(c.kind, c.site_id): c for c in s.candidates} | {(c.kind, c.site_id): c for c in changes}
    return replace(s, candidates=tuple(new.values()))


def without(s: Snapshot, *kinds: CandidateKind) -> Snapshot:
    return replace(s, candidates=tuple(c for c in s.candidates if c.kind not in kinds))


Change = Callable[[Snapshot], Snapshot]


def closure(metres: float) -> Change:
    return lambda s: replace(s, conflict=Conflict("valley-closure", metres, NOW + metres / 20.0))


def excursion_forecast(s: Snapshot) -> Snapshot:
    """The seal has failed: only what ends soon ends in range."""
    chances = {
        "koru": (0.05, 10.5),
        "midway": (0.93, 6.5),
        "teral": (0.98, 6.0),
        "quarry": (0.99, 5.5),
        "ferry": (0.5, 8.0),
    }
    new = tuple(
        replace(c, p_in_range=chances[c.site_id][0], product_temp_c=Forecast(chances[c.site_id][1], 0.6))
        for c in s.candidates
    )
    return replace(s, candidates=new)


def verdict(kind: BoxVerdict) -> Change:
    def change(s: Snapshot) -> Snapshot:
        return s if s.box is None else replace(s, box=replace(s.box, verdict=kind, why="9.0 °C at 10:59:00Z"))

    return change


def sagging(s: Snapshot) -> Snapshot:
    """The battery sags: every end is so much lower that turning home now just keeps the reserve."""
    new = tuple(
        replace(c, energy_end_pct=Forecast(c.energy_end_pct.mean - 50.0, c.energy_end_pct.sd)) for c in s.candidates
    )
    return replace(s, candidates=new, home_end_pct=Forecast(23.0, 1.0))


def critical(s: Snapshot) -> Snapshot:
    new = tuple(replace(c, energy_end_pct=Forecast(9.0 - (c.arrive_s - NOW) / 60.0, 0.5)) for c in s.candidates)
    battery = Timed(Battery(9.5), NOW - 0.5)
    return replace(s, candidates=new, vehicle=replace(s.vehicle, battery=battery), home_end_pct=Forecast(6.0, 0.5))


def mode(value: Mode) -> Change:
    return lambda s: replace(s, vehicle=replace(s.vehicle, mode=Timed(value, NOW - 0.5)))


def link_lost(s: Snapshot) -> Snapshot:
    return replace(s, vehicle=replace(s.vehicle, heard_s=NOW - 6.0))


def position_late(s: Snapshot) -> Snapshot:
    assert s.vehicle.position is not None
    return replace(s, vehicle=replace(s.vehicle, position=Timed(s.vehicle.position.value, NOW - 5.0)))


def astray(s: Snapshot) -> Snapshot:
    return replace(s, reckoning=Reckoning(Fix(60.0, HERE, 0.0, 0.0), north_m=480.0, east_m=140.0, jumped_s=58.0))


def failsafe(s: Snapshot) -> Snapshot:
    return replace(s, vehicle=replace(s.vehicle, failsafe=Timed(True, NOW - 0.5), mode=Timed(Mode.RETURN, NOW - 0.5)))


def rebooted(s: Snapshot) -> Snapshot:
    return replace(s, vehicle=replace(s.vehicle, boot=2))


def other_plan(s: Snapshot) -> Snapshot:
    return replace(s, plan_held=False)


def off_route(s: Snapshot) -> Snapshot:
    return replace(s, cross_track_m=90.0)


def stuck_in_the_air(s: Snapshot) -> Snapshot:
    return replace(s, vehicle=replace(s.vehicle, velocity=Timed(Velocity(0.1, 0.0, 0.05), NOW - 0.2)))


def silent_box(s: Snapshot) -> Snapshot:
    assert s.box is not None
    assert s.box.sample is not None
    return replace(s, box=replace(s.box, sample=Timed(s.box.sample.value, NOW - 70.0), verdict=_unknown(s.box.verdict)))


def stuck_sensor(s: Snapshot) -> Snapshot:
    assert s.box is not None
    return replace(s, box=replace(s.box, sensor_faults=("stuck",), verdict=_unknown(s.box.verdict), why="stuck"))


def _unknown(before: BoxVerdict) -> BoxVerdict:
    """What is not measured does not undo what was: see `missions.coldchain.assess`."""
    return before if before in (BoxVerdict.QUARANTINE, BoxVerdict.SPOILED) else BoxVerdict.UNKNOWN


def good_after_all(s: Snapshot) -> Snapshot:
    """It has turned home for the dose's sake, and would deliver it in range."""
    ways = tuple(c for c in s.candidates if c.kind is ALTERNATE)
    ways = (candidate(CONTINUE, "teral", end_pct=74.0), candidate(DELIVER, "koru", end_pct=55.0), *ways)
    return replace(s, phase=FlightPhase.INBOUND, plan=plan("teral"), candidates=ways)


def short_plan(s: Snapshot) -> Snapshot:
    return with_candidates(s, candidate(CONTINUE, "koru", end_pct=19.0))


FAULTS: dict[str, Change] = {
    "link_stale": link_lost,
    "px4_failsafe": failsafe,
    "takeover": mode(Mode.MANUAL),
    "vehicle_rebooted": rebooted,
    "plan_not_verified": other_plan,
    "telemetry_stale": position_late,
    "position_untrusted": astray,
    "battery_critical": critical,
    "battery_below_way_home": sagging,
    "plan_below_reserve": short_plan,
    "inside_closed_zone": closure(0.0),
    "closure_near": closure(300.0),
    "closure_ahead": closure(2500.0),
    "conformance_lost": off_route,
    "standing_still": stuck_in_the_air,
    "box_silent": silent_box,
    "sensor_untrusted": stuck_sensor,
    "excursion_now": verdict(BoxVerdict.QUARANTINE),
    "excursion_forecast": excursion_forecast,
    "delivery_possible": good_after_all,
}
"""the situation in which each row of the fault table is raised"""


def run(
    s: Snapshot, seconds: float, memory: Memory | None = None, *, begin_s: float = NOW, policy: Policy = POLICY
) -> tuple[Memory, list[Decision]]:
    """The same situation looked at twice a second, with fresh telemetry each time."""
    memory, decisions = memory or Memory(), []
    for i in range(int(seconds * 2) + 1):
        now_s = begin_s + i / 2
        memory, decision = decide(memory, at(s, now_s), policy, now_s)
        decisions.append(decision)
    return memory, decisions


def settled(s: Snapshot, memory: Memory | None = None, policy: Policy = POLICY) -> Decision:
    """The decision after ten seconds of the same situation: all rows but the slowest have been raised by then."""
    return run(s, 10.0, memory, policy=policy)[1][-1]
