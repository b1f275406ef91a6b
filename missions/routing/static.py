"""The route in one layer over one window of time: whatever closes within the window is closed all of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import is_closed
from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon, distance_m
from geofences.times import applies_within
from missions.plan import Infeasible, Reason
from missions.routing.explain import explain, fix_for, kind, label
from missions.routing.route import Route, RouteRequest
from missions.routing.scene import MIN_MARGIN_M, Scene
from missions.routing.tangent import NoPath
from missions.routing.waypoints import over_ground

_MAX_BLOCKERS = 12


def column_block(scene: Scene, at: LatLon, low_agl_m: float, high_agl_m: float, what: str) -> Infeasible | None:
    """Why a vertical climb or descent over `at` is not legal; None if it is."""
    band = AglBand(low_agl_m, high_agl_m)
    view = scene.view
    reasons: dict[str, Reason] = {}
    for i in scene.index.over(at):
        zone, volume = scene.index.shapes[i].zone, scene.index.shapes[i].volume
        if not is_closed(zone, view.authorised) or not applies_within(zone, view.start_s, view.end_s):
            continue
        if outer_band(volume, scene.terrain).overlaps(band):
            text = f"{what} is inside {label(zone)}, closed ({zone.restriction})"
            reasons[zone.zone_id] = Reason("inside_zone", text, fix_for(zone, view, scene.terrain))
    if scene.keep_in is not None and not scene.keep_in.covers(shapely.Point(scene.frame.to_xy([at])[0])):
        for zone_id in scene.keep_in_ids:
            text = f"{what} is outside of the keep-in boundary {zone_id}"
            reasons[zone_id] = Reason("outside", text, "extend the boundary")
    return Infeasible(tuple(reasons.values()), tuple(reasons)) if reasons else None


def route_in(scene: Scene, request: RouteRequest, layer: float, xy: NDArray[np.float64]) -> Route | Infeasible:
    """The route of `request` in a scene that was made for its layer and time; of least time where it has a pace."""
    return settled_in(scene, request, layer, xy)[0]


def settled_in(
    scene: Scene, request: RouteRequest, layer: float, xy: NDArray[np.float64]
) -> tuple[Route | Infeasible, bool]:
    """As `route_in`, and whether that stands for any departure: no zone that opens or closes was looked at."""
    start, goal = xy[0], xy[1]
    blocked = column_block(scene, request.goal, request.goal_agl_m, layer, "the destination")
    if blocked is None and not request.in_air:
        blocked = column_block(scene, request.start, request.start_agl_m, layer, "the start")
    if blocked is not None:
        return blocked, not any(z.applicability for z in map(scene.zone, blocked.zone_ids) if z is not None)
    for zone_id, margin in scene.tightened.items():
        if margin < MIN_MARGIN_M * 0.5 and not request.in_air:
            text = f"a pad lies only {margin / 0.9:.1f} m from the edge of {zone_id}"
            return Infeasible((Reason("too_near", text, "move the pad, or authorise the zone"),), (zone_id,)), False
    exits: tuple[str, ...] = ()
    first: list[NDArray[np.float64]] = []
    if request.in_air and scene.field.around(start):
        exits = scene.holding(start)
        first, start = [start], scene.way_out(start)
    path = scene.field.shortest(start, goal, request.pace)
    stands = all(scene.closures(i) is None for i in path.met)
    if isinstance(path, NoPath):
        return _blocked(scene, path, start, goal), stands
    points = np.concatenate([np.array(first).reshape(-1, 2), path.xy])
    places = list(scene.frame.to_latlon(points))
    places[0], places[-1] = request.start, request.goal
    length = sum(distance_m(a, b) for a, b in pairwise(places))
    straight = distance_m(request.start, request.goal)
    reasons = explain(scene, layer, xy, places, length - straight, exits)
    rise, fall = layer - request.start_agl_m, request.goal_agl_m - layer
    steps = np.diff(points, axis=0)
    cruise_s = float(request.speed.seconds(steps[:, 0], steps[:, 1]).sum())
    route = Route(
        points=tuple(places),
        layer_agl_m=layer,
        length_m=length,
        straight_m=straight,
        reasons=reasons,
        exits_zone=exits,
        heights_agl_m=(layer,) * len(places),
        depart_s=request.depart_s,
        time_s=cruise_s + request.climbing.time_s(rise) + request.climbing.time_s(fall),
        cost_s=cruise_s + request.climbing.cost_s(rise) + request.climbing.cost_s(fall),
    )
    return over_ground(request, route, scene.frame), stands


def _blocked(scene: Scene, path: NoPath, start: NDArray[np.float64], goal: NDArray[np.float64]) -> Infeasible:
    """A smallest set (by inclusion) of zones that block, each with what would open it."""
    ids = set(scene.zone_ids(path.met))
    opened = scene.without(frozenset(ids))
    for _ in range(5):
        again = opened.shortest(start, goal)
        if not isinstance(again, NoPath):
            break
        ids |= {scene.index.shapes[i].zone.zone_id for i in again.met if i < len(scene.index.shapes)}
        opened = scene.without(frozenset(ids))
    if len(ids) <= _MAX_BLOCKERS:
        for zone_id in sorted(ids):
            fewer = ids - {zone_id}
            if not isinstance(scene.without(frozenset(fewer)).shortest(start, goal), NoPath):
                ids = fewer
    zones = [s.zone for s in scene.index.shapes if s.zone.zone_id in ids]
    unique = list({z.zone_id: z for z in zones}.values())
    reasons = tuple(
        Reason("blocked", f"every way is closed by {label(z)} ({kind(z)})", fix_for(z, scene.view, scene.terrain))
        for z in unique
    )
    return Infeasible(reasons or (Reason("blocked", "every way is closed"),), tuple(z.zone_id for z in unique))
