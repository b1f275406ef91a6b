"""From a wish to fly somewhere to a plan that was proven, or to the reasons why there is none.

What the waypoints of a plan mean:

- `legs[0].start` is where the plan begins. With `take_off` it lies over the pad at cruise height: the climb from the
  ground to it has no leg of its own, its time lies between `depart_s` and the first `eta_s`, and its energy is in the
  first leg. Without `take_off` it is where the vehicle is, or where it can stop, at the height it has: not a place to
  fly to, so what a link uploads begins with the end of the first leg.
- In the air and more than 5 m off cruise height, the first leg is a climb or descent over one place.
- Then follow cruise waypoints, each `cruise_agl_m` (or another of `layers_agl_m`) above the ground below it, the last
  of them over the pad. Two over one place are a climb or descent between layers.
- The last leg is vertical: for HOLD_AT_DROP down to `drop_height_agl_m` above the site's elevation, for LAND down to
  the site's elevation (the touchdown).
- `Leg.length_m` is horizontal, so that of a vertical leg is 0.

The energy budget covers all legs; after a drop also `DROP_HOVER_S` of hovering and, with `then_home`, the way home
through the same airspace, without what was dropped. Should the drop fail: each leg's alternates, the hover's too, are
reckoned with the payload and keep the reserve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import hypot

import numpy as np
from numpy.typing import NDArray

from geofences.airspace import frame_for
from geofences.geodesy import LatLon, LocalFrame, bearing_deg, distance_m
from geofences.heights import FlatTerrain
from geofences.volumes import Restriction
from missions.energy import FREE, LegCost, climb_cost, hover_cost, leg_energy, slowest_ground_speed_m_s
from missions.plan import Ending, Infeasible, Leg, Plan, Reason, Waypoint
from missions.planrequest import PlanRequest
from missions.proving import checked, proven_plan, scene_for, sure
from missions.routing.blockers import LOWEST_LAYER_M
from missions.routing.pace import Pace
from missions.routing.planner import plan_route
from missions.routing.route import Climbing, Route, RouteRequest
from missions.routing.scene import Scene
from missions.routing.static import column_block, route_in
from missions.routing.tangent import NoPath
from missions.vehicles import Airframe

DROP_HOVER_S = 45.0
"""over the pad from arrival to release: settle, the recipient's confirmation, the gripper"""
REACTION_S = 1.0
BRAKING_M_S2 = 3.0
"""PX4 MPC_ACC_HOR: told to hold, it goes on for a second and brakes at that"""
STILL_M_S = 2.0
"""slower than this a vehicle counts as standing"""
UNTRIED = "not tried: "
"""begins a fix that nobody has planned with"""
OTHER_HEIGHT_M = 30.0
"""how much higher or lower is tried where a flight is refused"""
LEVEL_M = 5.0
"""a vehicle this near to cruise height needs no vertical leg first"""

Array = NDArray[np.float64]


def make_plan(request: PlanRequest) -> Plan | Infeasible:
    """A plan that the independent checker found nothing wrong with, or why there is none and what would help.

    A draft nobody has checked: for what a flight could do, of which one at most will be done.
    """
    refusal = _hopeless(request)
    if refusal is not None:
        return refusal
    speed = slowest_ground_speed_m_s(request.vehicle, request.wind)
    assert speed is not None
    try:
        frame = frame_for((request.start, request.goal.position, request.home.position))
    except ValueError as error:
        return Infeasible((Reason("area", str(error)),))
    given: Route | None = None
    if request.layers_agl_m or request.latest_depart_s is not None or request.corridors or not _level(request):
        found = plan_route(_wanted(request))
        if isinstance(found, Infeasible):
            return found
        given, request = found, replace(request, cruise_agl_m=found.layer_agl_m, depart_s=found.depart_s)
    straight = distance_m(request.start, request.goal.position)
    back = distance_m(request.goal.position, request.home.position) if request.then_home else 0.0
    window = 1.5 * (straight + back) / speed + 300.0
    made: Plan | Infeasible = Infeasible((Reason("window", "the flight's time could not be settled"),))
    for _ in range(4):
        begun, scene, xy = _begin(request, frame, request.depart_s + window)
        made, end_s = _in_scene(begun, scene, xy, given)
        if isinstance(made, Infeasible) or end_s <= scene.view.end_s:
            break
        window = 1.3 * (end_s - request.depart_s)  # zones may open or close within a longer flight
    if isinstance(made, Plan) and not request.draft:
        made = checked(begun, made)
    if isinstance(made, Plan):
        made = sure(request, made)
    return _untried(made) if isinstance(made, Infeasible) else made


def _untried(refused: Infeasible) -> Infeasible:
    """The refusal with its fixes called what they are: one zone or rule would be met, nobody has planned with it."""
    marked = (replace(r, fix=UNTRIED + r.fix) if r.fix else r for r in refused.reasons)
    return replace(refused, reasons=tuple(marked))


def why_not(request: PlanRequest, refused: Infeasible) -> Infeasible:
    """The refusal with fixes that were planned with, where any help; of the way itself the fewest zones that block.

    It plans many times: for people who ask, not for every candidate.
    """
    found = plan_route(_wanted(request)) if refused.zone_ids else None
    if isinstance(found, Infeasible):
        return found
    if not any(r.fix.startswith(UNTRIED) for r in refused.reasons):
        return refused
    helps = [text for text, other in _remedies(request, refused) if isinstance(make_plan(other), Plan)]
    if not helps:
        return refused
    tried = (replace(r, fix="; or ".join(helps)) if r.fix.startswith(UNTRIED) else r for r in refused.reasons)
    return replace(refused, reasons=tuple(tried))


def _remedies(request: PlanRequest, refused: Infeasible) -> Iterator[tuple[str, PlanRequest]]:
    """What might help where it is not the way that is closed: said, and as a request."""
    if request.battery_pct < 100.0:
        yield "charge the battery", replace(request, battery_pct=100.0)
    if request.payload_kg > 0.1:
        yield f"carry {request.payload_kg / 2.0:.1f} kg", replace(request, payload_kg=request.payload_kg / 2.0)
    zones = [request.airspace.zone(zone_id) for zone_id in refused.zone_ids]
    shut = [z.zone_id for z in zones if z is not None and z.restriction is not Restriction.PROHIBITED]
    if shut and len(shut) == len(zones):
        yield f"authorise {' and '.join(shut)}", replace(request, authorised=request.authorised | frozenset(shut))
    for by in (-OTHER_HEIGHT_M, OTHER_HEIGHT_M):
        height = request.cruise_agl_m + by
        if LOWEST_LAYER_M <= height <= request.ceiling_agl_m:
            yield f"fly at {height:.0f} m above ground", replace(request, cruise_agl_m=height)


def _level(request: PlanRequest) -> bool:
    return isinstance(request.terrain, FlatTerrain)


def _begin(request: PlanRequest, frame: LocalFrame, end_s: float) -> tuple[PlanRequest, Scene, Array]:
    """The request from where the flight can begin, its scene, and start, goal and home in that."""
    here, goal, home = frame.to_xy([request.start, request.goal.position, request.home.position])
    ahead = here + _braking(request)
    scene = scene_for(request, frame, request.cruise_agl_m, end_s, (here, goal, home))
    if request.take_off or np.array_equal(here, ahead) or not scene.field.free(here[None], ahead[None])[0]:
        return request, scene, np.stack([here, goal, home])
    begun = replace(request, start=frame.to_latlon(ahead[None])[0], velocity_m_s=None)
    return begun, scene, np.stack([ahead, goal, home])


def _braking(request: PlanRequest) -> Array:
    """East and north: how far it goes on until it has stopped; a wing circles instead, in the room of its turns."""
    if request.velocity_m_s is None or request.vehicle.airframe is Airframe.VTOL:
        return np.zeros(2)
    north, east = request.velocity_m_s
    speed = hypot(north, east)
    return np.array([east, north]) * (REACTION_S + speed / (2.0 * BRAKING_M_S2)) if speed > STILL_M_S else np.zeros(2)


def _hopeless(request: PlanRequest) -> Infeasible | None:
    vehicle = request.vehicle
    wind = (request.wind.north_m_s**2 + request.wind.east_m_s**2) ** 0.5
    # Who is in the air already must come down somewhere: the limit bars no way to a landing that the wind lets it hold.
    barred = wind > vehicle.max_wind_m_s and (request.take_off or request.ending is not Ending.LAND)
    if barred or slowest_ground_speed_m_s(vehicle, request.wind) is None:
        text = f"the wind of {wind:.0f} m/s is beyond what {vehicle.name} may fly in ({vehicle.max_wind_m_s:.0f} m/s)"
        return Infeasible((Reason("wind", text, "wait for less wind"),))
    if request.payload_kg > vehicle.max_payload_kg:
        text = f"{request.payload_kg:.1f} kg is more than {vehicle.name} carries ({vehicle.max_payload_kg:.1f} kg)"
        return Infeasible((Reason("payload", text, "split the order or use a larger vehicle"),))
    if request.cruise_agl_m > request.ceiling_agl_m:
        text = f"{request.cruise_agl_m:.0f} m is above the ceiling of {request.ceiling_agl_m:.0f} m above ground"
        return Infeasible((Reason("ceiling", text, "choose a lower cruise height"),))
    if any(request.terrain.ground_amsl_m(p) is None for p in (request.start, request.goal.position)):
        return Infeasible((Reason("terrain", "the ground is not known there", "load a terrain model of the area"),))
    return None


def _wanted(request: PlanRequest) -> RouteRequest:
    ground = request.terrain.ground_amsl_m(request.start)
    return RouteRequest(
        start=request.start,
        goal=request.goal.position,
        airspace=request.airspace,
        authorised=request.authorised,
        terrain=request.terrain,
        depart_s=request.depart_s,
        layers_agl_m=tuple(dict.fromkeys((request.cruise_agl_m, *request.layers_agl_m))),
        margin_m=request.margin_m,
        ceiling_agl_m=request.ceiling_agl_m,
        in_air=not request.take_off,
        start_agl_m=0.0 if ground is None else request.start_amsl_m - ground,
        goal_agl_m=request.drop_height_agl_m if request.ending is Ending.HOLD_AT_DROP else 0.0,
        pace=Pace(request.vehicle.cruise_m_s, request.wind.east_m_s, request.wind.north_m_s),
        climbing=Climbing.least_time(request.vehicle),
        latest_depart_s=request.latest_depart_s,
        corridors=request.corridors,
        fence=request.on_board.fence if request.on_board is not None and not request.take_off else None,
        turn_radius_m=request.vehicle.min_turn_radius_m,
    )


def _in_scene(request: PlanRequest, scene: Scene, xy: Array, given: Route | None) -> tuple[Plan | Infeasible, float]:
    """The plan in this scene, by the route given or the one found in it, and when all of it is over."""
    route = given if given is not None else route_in(scene, _wanted(request), request.cruise_agl_m, xy[:2])
    if isinstance(route, Infeasible):
        return route, request.depart_s
    legs = _legs(request, route)
    if isinstance(legs, Infeasible):
        return legs, request.depart_s
    if given is not None:  # by then other zones may be closed than at the departure
        landed = replace(request, depart_s=legs[-1].end.eta_s)
        homeward = scene_for(landed, scene.frame, request.cruise_agl_m, scene.view.end_s, (xy[1], xy[2]))
    after = _afterwards(request, scene if given is None else homeward, xy)
    if isinstance(after, Infeasible):
        return after, request.depart_s
    arrive_s = legs[-1].end.eta_s
    return proven_plan(request, scene, route, legs, after, timed=given is not None), arrive_s + after.time_s


def _legs(request: PlanRequest, route: Route) -> list[Leg] | Infeasible:
    vehicle, payload = request.vehicle, request.payload_kg
    heights = route.heights_agl_m or (request.cruise_agl_m,) * len(route.points)
    cruise: list[tuple[LatLon, float]] = []
    for point, agl_m in zip(route.points, heights, strict=True):
        ground = request.terrain.ground_amsl_m(point)
        if ground is None:
            return Infeasible((Reason("terrain", "the ground below the route is not known", "load a terrain model"),))
        cruise.append((point, ground + agl_m))
    site = request.goal
    low = site.elevation_amsl_m + (request.drop_height_agl_m if request.ending is Ending.HOLD_AT_DROP else 0.0)
    stops = [*cruise, (site.position, low)]
    extra = FREE
    if request.take_off:
        extra = climb_cost(vehicle, payload, cruise[0][1] - request.start_amsl_m)
    elif abs(request.start_amsl_m - cruise[0][1]) > LEVEL_M:
        stops.insert(0, (request.start, request.start_amsl_m))
    else:
        stops[0] = (request.start, request.start_amsl_m)
    at_s = request.depart_s + extra.time_s
    here = Waypoint(*stops[0], at_s)
    legs: list[Leg] = []
    for i, (position, amsl) in enumerate(stops[1:], start=1):
        length = distance_m(here.position, position)
        if length < 0.5 and abs(amsl - here.alt_amsl_m) < 0.5 and i < len(stops) - 1:
            continue  # already there
        cost = leg_energy(
            vehicle,
            payload,
            length_m=length,
            track_deg=bearing_deg(here.position, position),
            climb_m=amsl - here.alt_amsl_m,
            wind=request.wind,
        )
        if cost is None:
            return Infeasible((Reason("wind", "a leg of the route cannot be held in this wind", "wait for less wind"),))
        at_s += cost.time_s
        there = Waypoint(position, amsl, at_s)
        legs.append(Leg(here, there, 0.0 if length < 0.5 else length, cost.energy_wh + extra.energy_wh, ()))
        here, extra = there, FREE
    return legs


def _afterwards(request: PlanRequest, scene: Scene, xy: Array) -> LegCost | Infeasible:
    """Time and energy after the last waypoint: hovering over the drop and the way home."""
    if request.ending is not Ending.HOLD_AT_DROP:
        return FREE
    vehicle, payload = request.vehicle, request.payload_kg
    cost = hover_cost(vehicle, payload, DROP_HOVER_S)
    if not request.then_home:
        return cost
    blocked = column_block(scene, request.home.position, 0.0, request.cruise_agl_m, "home")
    if blocked is not None:
        return blocked
    pace = Pace(vehicle.cruise_m_s, request.wind.east_m_s, request.wind.north_m_s)
    path = scene.field.shortest(xy[1], xy[2], pace)
    if isinstance(path, NoPath):
        ids = scene.zone_ids(path.met)
        text = f"there is no legal way home from {request.goal.site_id}: closed by {', '.join(ids)}"
        return Infeasible((Reason("no_way_home", text, "authorise a zone, or choose another height or time"),), ids)
    up = request.cruise_agl_m - request.drop_height_agl_m
    cost = cost + climb_cost(vehicle, 0.0, up) + climb_cost(vehicle, 0.0, -request.cruise_agl_m)
    points = scene.frame.to_latlon(path.xy)
    for a, b in pairwise(points):
        leg = leg_energy(
            vehicle, 0.0, length_m=distance_m(a, b), track_deg=bearing_deg(a, b), climb_m=0.0, wind=request.wind
        )
        if leg is None:
            return Infeasible((Reason("wind", "the way home cannot be held in this wind", "wait for less wind"),))
        cost = cost + leg
    return cost


__all__ = ["DROP_HOVER_S", "PlanRequest", "make_plan", "why_not"]
