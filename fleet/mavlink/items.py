"""A plan as the three lists of the mission protocol.

Heights travel as AMSL (frame 5): PX4 reports them so, and a relative height would move with a home that is set anew.
Rally points alone must be frame 3, relative to home: PX4 acknowledges frame 6 and then ignores the point.

A VTOL's mission also says where it changes between rotors and wing; what PX4 v1.17 makes of its items is the reason for
where they stand:

- NAV_VTOL_TAKEOFF climbs straight up, turns towards its position and transitions: so it lies ahead, on the first leg.
- To brake with the rotors takes v² / 2a. Before NAV_VTOL_LAND PX4 reckons with that by itself; before a hover the
  transition is commanded that far ahead of the pad.
- NAV_VTOL_LAND is approached at the height of the item before it. That must be a waypoint at cruise height: right after
  a transition PX4 would sink towards the ground while it still speeds up.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

from fleet.mavlink.messages import MissionItemInt
from geofences.geodesy import LatLon, bearing_deg, destination
from geofences.volumes import Circle, Polygon
from missions.plan import Ending, FenceSet, Leg, Plan, RallyPoint
from missions.vehicles import Airframe

FRAME_MISSION = 2
FRAME_GLOBAL_RELATIVE_ALT = 3
FRAME_GLOBAL_INT = 5

NAV_WAYPOINT = 16
NAV_LAND = 21
NAV_TAKEOFF = 22
NAV_VTOL_TAKEOFF = 84
NAV_VTOL_LAND = 85
DO_CHANGE_SPEED = 178
DO_VTOL_TRANSITION = 3000
TO_ROTORS, TO_WING = 3.0, 4.0
"""its param1, MAV_VTOL_STATE"""
FENCE_POLYGON_INCLUSION = 5001
FENCE_POLYGON_EXCLUSION = 5002
FENCE_CIRCLE_EXCLUSION = 5004
RALLY_POINT = 5100

AIRSPEED, GROUND_SPEED = 0.0, 1.0
"""param1 of DO_CHANGE_SPEED"""
TAKE_OFF_RUN_M = 250.0
"""how far ahead the take-off of a VTOL lies: it is on its wing after 60 to 150 m"""
BRAKING_M_S2 = 2.0
"""PX4 VT_B_DEC_MSS"""
ACCEPTED_M = 10.0
"""PX4 NAV_ACC_RAD of a VTOL: a waypoint is reached this near to it"""
SHORT_M = 600.0
"""a way no longer than this is flown on the rotors: it would be used up by two transitions"""


class PlanItems(NamedTuple):
    mission: tuple[MissionItemInt, ...]
    fence: tuple[MissionItemInt, ...]
    rally: tuple[MissionItemInt, ...]


def plan_items(plan: Plan, *, cruise_m_s: float | None = None, airframe: Airframe = Airframe.MULTIROTOR) -> PlanItems:
    """All three lists. `cruise_m_s`: speed to fly at (over ground; of a VTOL through the air); None leaves it to the
    vehicle's parameters."""
    mission = vtol_mission_items if airframe is Airframe.VTOL else mission_items
    return PlanItems(mission(plan, cruise_m_s), fence_items(plan.fence), rally_items(plan.rally))


def mission_items(plan: Plan, cruise_m_s: float | None = None) -> tuple[MissionItemInt, ...]:
    """The route. ValueError for a plan without legs.

    With take-off, the first waypoint (the start at cruise height) becomes NAV_TAKEOFF, which PX4 wants first. In the
    air, the start is where the vehicle was when the plan was made: it flies on to the end of the first leg.
    """
    if not plan.legs:
        raise ValueError(f"plan {plan.plan_id} has no legs: there is nothing to upload")
    first, *rest = plan.waypoints
    items = [_place(NAV_TAKEOFF, first.position, first.alt_amsl_m)] if plan.take_off else []
    items += _speed(GROUND_SPEED, cruise_m_s)
    for waypoint in rest:
        last = waypoint is rest[-1]
        command = NAV_LAND if last and plan.ending is Ending.LAND else NAV_WAYPOINT
        items.append(_place(command, waypoint.position, waypoint.alt_amsl_m))
    return _from_the_first(items)


def vtol_mission_items(plan: Plan, cruise_m_s: float | None = None) -> tuple[MissionItemInt, ...]:
    """The route of a VTOL: up on rotors, along on the wing, down on rotors. ValueError for a plan without legs."""
    level = [leg for leg in plan.legs if not _vertical(leg)]
    if sum(leg.length_m for leg in level) <= SHORT_M:
        items = list(mission_items(plan))
        return _from_the_first(items if plan.take_off else [_transition(TO_ROTORS), *items])
    first, last = plan.legs[0], plan.legs[-1]
    if plan.take_off:
        ahead, _ = _along(level[0], min(TAKE_OFF_RUN_M, level[0].length_m))
        items = [_place(NAV_VTOL_TAKEOFF, ahead, level[0].start.alt_amsl_m)]
    else:
        items = [_place(NAV_WAYPOINT, first.end.position, first.end.alt_amsl_m)] if _vertical(first) else []
        items.append(_transition(TO_WING))
    items += _speed(AIRSPEED, cruise_m_s)
    items += [_place(NAV_WAYPOINT, leg.end.position, leg.end.alt_amsl_m) for leg in level[:-1]]
    final = level[-1]
    ground_m_s = final.length_m / max(1.0, final.end.eta_s - final.start.eta_s)
    brake_m = ground_m_s**2 / (2.0 * BRAKING_M_S2)
    if plan.ending is Ending.LAND:
        before_m = min(2.0 * brake_m, final.length_m / 2.0)
        items.append(_place(NAV_WAYPOINT, *_along(final, final.length_m - before_m)))
        items.append(_place(NAV_VTOL_LAND, last.end.position, last.end.alt_amsl_m))
        return _from_the_first(items)
    before_m = min(max(0.0, brake_m - ACCEPTED_M), final.length_m)
    items += [_place(NAV_WAYPOINT, *_along(final, final.length_m - before_m)), _transition(TO_ROTORS)]
    items += [_place(NAV_WAYPOINT, point.position, point.alt_amsl_m) for point in (final.end, last.end)]
    return _from_the_first(items)


def _vertical(leg: Leg) -> bool:
    return leg.length_m == 0.0


def _along(leg: Leg, metres: float) -> tuple[LatLon, float]:
    """Place and height AMSL that far along a leg."""
    start, end = leg.start, leg.end
    at = destination(start.position, bearing_deg(start.position, end.position), metres)
    return at, start.alt_amsl_m + (end.alt_amsl_m - start.alt_amsl_m) * metres / leg.length_m


def _speed(kind: float, m_s: float | None) -> list[MissionItemInt]:
    if m_s is None:
        return []
    return [MissionItemInt(kind, m_s, -1.0, 0.0, 0, 0, 0.0, 0, DO_CHANGE_SPEED, 0, 0, FRAME_MISSION)]


def _transition(to: float) -> MissionItemInt:
    return MissionItemInt(to, 0.0, 0.0, 0.0, 0, 0, 0.0, 0, DO_VTOL_TRANSITION, 0, 0, FRAME_MISSION)


def _from_the_first(items: list[MissionItemInt]) -> tuple[MissionItemInt, ...]:
    """Without a current item PX4 goes on at the number it had reached in the mission before: at its end, as a rule."""
    return tuple(item._replace(current=int(i == 0)) for i, item in enumerate(items))


def fence_items(fence: FenceSet) -> tuple[MissionItemInt, ...]:
    """The fence. PX4 knows no holes: one in the keep-in becomes a keep-out, one in a keep-out is filled, to be safe.

    Circles come last: after one PX4 v1.17 misreads every polygon and refuses missions that are legal.
    """
    items: list[MissionItemInt] = []
    if fence.keep_in is not None:
        items += _ring(FENCE_POLYGON_INCLUSION, fence.keep_in.outer)
        for hole in fence.keep_in.holes:
            items += _ring(FENCE_POLYGON_EXCLUSION, hole)
    for zone in fence.keep_out:
        if isinstance(zone, Polygon):
            items += _ring(FENCE_POLYGON_EXCLUSION, zone.outer)
    items += [_circle(zone) for zone in fence.keep_out if not isinstance(zone, Polygon)]
    return tuple(items)


def rally_items(points: tuple[RallyPoint, ...]) -> tuple[MissionItemInt, ...]:
    return tuple(
        _place(RALLY_POINT, point.position, point.alt_rel_home_m, frame=FRAME_GLOBAL_RELATIVE_ALT) for point in points
    )


def degrees_e7(degrees: float) -> int:
    return round(degrees * 1e7)


def _place(
    command: int, at: LatLon, z_m: float, *, frame: int = FRAME_GLOBAL_INT, param1: float = 0.0, param4: float = nan
) -> MissionItemInt:
    """An item with a position; param4 NaN: the heading is the vehicle's own choice."""
    x, y = degrees_e7(at.lat_deg), degrees_e7(at.lon_deg)
    return MissionItemInt(param1, 0.0, 0.0, param4, x, y, z_m, 0, command, 0, 0, frame)


def _ring(command: int, ring: tuple[LatLon, ...]) -> list[MissionItemInt]:
    """One item a vertex, each with the ring's vertex count in param1."""
    return [_place(command, vertex, 0.0, param1=float(len(ring)), param4=0.0) for vertex in ring]


def _circle(circle: Circle) -> MissionItemInt:
    return _place(FENCE_CIRCLE_EXCLUSION, circle.centre, 0.0, param1=circle.radius_m, param4=0.0)
