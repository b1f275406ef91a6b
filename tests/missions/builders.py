"""Values for tests about flights: a plan, a flight, a vehicle's state, each with only what a test names changed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from geofences.geodesy import LatLon, destination, distance_m
from missions.boxes import Box
from missions.decision.types import FlightPhase
from missions.delivery import Flight, HeldPlan, Intent
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, Waypoint
from missions.snapshot import (
    Battery,
    Landed,
    MissionState,
    MissionStatus,
    Mode,
    Position,
    Timed,
    VehicleState,
    Velocity,
)

HOME = LatLon(7.5, 38.2)
DROP = destination(HOME, 60.0, 5000.0)
GROUND_M = 420.0
BOX = Box("box-1", 6.0, 1.2, frozenset({"vaccine"}), 4.0, 150.0, 1.2, 7.0)


def plan(
    plan_id: str = "p1", *, ending: Ending = Ending.HOLD_AT_DROP, goal: LatLon = DROP, depart_s: float = 0.0
) -> Plan:
    cruise = GROUND_M + 80.0
    last_m = GROUND_M + (8.0 if ending is Ending.HOLD_AT_DROP else 0.0)
    points = [(HOME, cruise), (goal, cruise), (goal, last_m)]
    ways = [Waypoint(p, alt, depart_s + 300.0 * i) for i, (p, alt) in enumerate(points)]
    legs = tuple(Leg(a, b, distance_m(a.position, b.position), 50.0, ()) for a, b in pairwise(ways))
    return Plan(
        plan_id=plan_id,
        goal_site="clinic" if ending is Ending.HOLD_AT_DROP else "hub",
        ending=ending,
        take_off=True,
        legs=legs,
        fence=FenceSet(None, (), ()),
        rally=(),
        energy=EnergyBudget(100.0, 200.0, 60.0, 20.0),
        home=HOME,
        home_amsl_m=GROUND_M,
        cruise_agl_m=80.0,
        depart_s=depart_s,
        arrive_s=depart_s + 600.0,
        airspace_version=1,
    )


def flight(phase: FlightPhase = FlightPhase.OUTBOUND, intent: Intent = Intent.FLY, **changes: Any) -> Flight:
    the_plan = changes.pop("plan", plan())
    base: dict[str, Any] = {
        "flight_id": "f1",
        "order_id": "o1",
        "vehicle_id": "cw-1",
        "box": BOX,
        "payload_kg": 0.8,
        "home_site": "hub",
        "layer_agl_m": 80.0,
        "phase": phase,
        "intent": intent,
        "plan": the_plan,
        "goal_site": the_plan.goal_site if the_plan is not None else "clinic",
        "held": HeldPlan(the_plan.plan_id, 11, 22, 33, 0) if the_plan is not None else None,
    }
    return Flight(**{**base, **changes})


def state(
    now_s: float = 0.0,
    *,
    mode: Mode = Mode.MISSION,
    armed: bool = True,
    landed: Landed = Landed.IN_AIR,
    at: LatLon = HOME,
    alt_amsl_m: float = GROUND_M + 80.0,
    speed_m_s: float = 0.0,
    mission: MissionState = MissionState.ACTIVE,
    mission_id: int = 11,
    boot: int = 0,
    battery_pct: float = 90.0,
) -> VehicleState:
    return VehicleState(
        vehicle_id="cw-1",
        heard_s=now_s,
        boot=boot,
        armed=Timed(armed, now_s),
        mode=Timed(mode, now_s),
        landed=Timed(landed, now_s),
        position=Timed(Position(at, alt_amsl_m, alt_amsl_m - GROUND_M), now_s),
        velocity=Timed(Velocity(speed_m_s, 0.0, 0.0), now_s),
        battery=Timed(Battery(battery_pct), now_s),
        mission=Timed(MissionStatus(mission, 1, 3, mission_id, 22, 33), now_s),
    )
