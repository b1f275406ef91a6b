"""A plan as the three lists of the mission protocol.

Heights travel as AMSL (frame 5): PX4 reports them so, and a relative height would move with a home that is set anew.
Rally points alone must be frame 3, relative to home: PX4 acknowledges frame 6 and then ignores the point.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

from fleet.mavlink.messages import MissionItemInt
from geofences.geodesy import LatLon
from geofences.volumes import Circle, Polygon
from missions.plan import Ending, FenceSet, Plan, RallyPoint

FRAME_MISSION = 2
FRAME_GLOBAL_RELATIVE_ALT = 3
FRAME_GLOBAL_INT = 5

NAV_WAYPOINT = 16
NAV_LAND = 21
NAV_TAKEOFF = 22
DO_CHANGE_SPEED = 178
FENCE_POLYGON_INCLUSION = 5001
FENCE_POLYGON_EXCLUSION = 5002
FENCE_CIRCLE_EXCLUSION = 5004
RALLY_POINT = 5100


class PlanItems(NamedTuple):
    mission: tuple[MissionItemInt, ...]
    fence: tuple[MissionItemInt, ...]
    rally: tuple[MissionItemInt, ...]


def plan_items(plan: Plan, *, cruise_m_s: float | None = None) -> PlanItems:
    """All three lists. `cruise_m_s`: ground speed to fly at; None leaves it to the vehicle's parameters."""
    return PlanItems(mission_items(plan, cruise_m_s), fence_items(plan.fence), rally_items(plan.rally))


def mission_items(plan: Plan, cruise_m_s: float | None = None) -> tuple[MissionItemInt, ...]:
    """The route. ValueError for a plan without legs.

    With take-off, the first waypoint (the start at cruise height) becomes NAV_TAKEOFF, which PX4 wants first. In the
    air, the start is where the vehicle was when the plan was made: it flies on to the end of the first leg.
    """
    if not plan.legs:
        raise ValueError(f"plan {plan.plan_id} has no legs: there is nothing to upload")
    first, *rest = plan.waypoints
    items = [_place(NAV_TAKEOFF, first.position, first.alt_amsl_m)] if plan.take_off else []
    if cruise_m_s is not None:
        items.append(MissionItemInt(1.0, cruise_m_s, -1.0, 0.0, 0, 0, 0.0, 0, DO_CHANGE_SPEED, 0, 0, FRAME_MISSION))
    for waypoint in rest:
        last = waypoint is rest[-1]
        command = NAV_LAND if last and plan.ending is Ending.LAND else NAV_WAYPOINT
        items.append(_place(command, waypoint.position, waypoint.alt_amsl_m))
    # Without a current item PX4 goes on at the number it had reached in the mission before: at its end, as a rule.
    items[0] = items[0]._replace(current=1)
    return tuple(items)


def fence_items(fence: FenceSet) -> tuple[MissionItemInt, ...]:
    """The fence. PX4 knows no holes: one in the keep-in becomes a keep-out, one in a keep-out is filled, to be safe."""
    items: list[MissionItemInt] = []
    if fence.keep_in is not None:
        items += _ring(FENCE_POLYGON_INCLUSION, fence.keep_in.outer)
        for hole in fence.keep_in.holes:
            items += _ring(FENCE_POLYGON_EXCLUSION, hole)
    for zone in fence.keep_out:
        if isinstance(zone, Polygon):
            items += _ring(FENCE_POLYGON_EXCLUSION, zone.outer)
        else:
            items.append(_circle(zone))
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
