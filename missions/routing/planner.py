"""The best legal route between two places: around, over or under what is closed, and before or after it is.

Which routes are compared. In one layer and one window of time: all of them; the answer is the optimum (see
`missions.routing.tangent`). Over several layers: those that change layer straight up or down over a corner of an
obstacle, a point of a corridor, the start or the goal, or where a piece of way enters or leaves an obstacle. Through
time: those that wait on the pad and then fly without a stop, each zone being judged while it is passed. A corridor is
joined and left at its points.

What is made least: seconds of waiting and flight, the climbs included; where `RouteRequest.climbing` weighs these by
energy, seconds of cruise that take as much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geofences.airspace import frame_for
from geofences.geodesy import LocalFrame, distance_m
from missions.plan import Infeasible, Reason
from missions.routing.blockers import blockers
from missions.routing.ends import ends_of
from missions.routing.explain import explain_way
from missions.routing.lattice import Expired, Lattice, NoWay, Way
from missions.routing.on_board import on_board
from missions.routing.route import Climbing, Corridor, Route, RouteRequest
from missions.routing.scene import Scene, View, band_at
from missions.routing.space import Space
from missions.routing.static import column_block, route_in, settled_in
from missions.routing.waypoints import over_ground, tidied

Array = NDArray[np.float64]
Stop = Callable[[], bool]

_EXPIRED = Infeasible((Reason("deadline", "no route was found in the time given", "allow more time"),))


def plan_route(request: RouteRequest) -> Route | Infeasible:
    """The best route, or why there is none and what would unblock it: each fix was planned with."""
    try:
        frame = frame_for((request.start, request.goal, *(p for c in request.corridors for p in c.points)))
    except ValueError as error:
        return Infeasible((Reason("area", str(error)),))
    if not request.layers_agl_m:
        return Infeasible((Reason("no_layer", "no cruise height was given"),))
    low = tuple(layer for layer in request.layers_agl_m if layer <= request.ceiling_agl_m + 1e-9)
    if not low:
        text = f"{min(request.layers_agl_m):.0f} m is above the ceiling of {request.ceiling_agl_m:.0f} m above ground"
        return Infeasible((Reason("ceiling", text, "choose a lower cruise height"),))
    stop = _deadline(request)
    wanted = replace(request, layers_agl_m=low)
    made = _solve(wanted, frame, stop)
    if isinstance(made, Route):
        return made
    return blockers(wanted, made, lambda other: _solve(other, frame, stop), stop)


def _deadline(request: RouteRequest) -> Stop:
    clock, limit_s = request.clock, request.deadline_s
    if clock is None or limit_s is None:
        return lambda: False
    end = clock() + limit_s
    return lambda: clock() >= end


def _solve(request: RouteRequest, frame: LocalFrame, stop: Stop) -> Route | Infeasible:
    """The route, or a refusal that names every zone looked at."""
    xy = frame.to_xy([request.start, request.goal])
    lasts = _lasts_s(request, xy)
    if not np.isfinite(lasts):
        return Infeasible((Reason("wind", "the wind does not let the way be held", "wait for less wind"),))
    if request.window_s is not None:
        return _best([_static(request, layer, frame, xy, request.window_s)[0] for layer in request.layers_agl_m])
    best: Route | None = None
    simple = len(request.layers_agl_m) == 1 and not request.corridors
    if simple or request.clock is not None:
        for layer in request.layers_agl_m:
            if best is not None and stop():
                return replace(best, proven_optimal=False)
            made, stands = _over_its_time(request, layer, frame, xy, lasts)
            if simple and (stands or (isinstance(made, Route) and made.exits_zone)):
                return made
            if isinstance(made, Route) and (best is None or made.cost_s < best.cost_s):
                best = made
    return _woven(request, frame, xy, lasts, best, stop)


def _lasts_s(request: RouteRequest, xy: Array) -> float:
    """Longer than most flights between the two ends."""
    there, back = request.speed.seconds(*(np.stack([xy[1] - xy[0], xy[0] - xy[1]]).T)).tolist()
    highest = max(request.layers_agl_m)
    climbs = request.climbing.time_s(highest) + request.climbing.time_s(-highest)
    return float(1.5 * max(there, back) + climbs + 120.0)


def _best(made: list[Route | Infeasible]) -> Route | Infeasible:
    routes = [r for r in made if isinstance(r, Route)]
    return min(routes, key=lambda r: r.cost_s) if routes else made[0]


def _over_its_time(
    request: RouteRequest, layer: float, frame: LocalFrame, xy: Array, lasts_s: float
) -> tuple[Route | Infeasible, bool]:
    """The route in one layer that is legal whenever it is flown within its own time."""
    for _ in range(5):
        made, stands = _static(request, layer, frame, xy, lasts_s)
        if isinstance(made, Infeasible) or made.time_s <= lasts_s:
            return made, stands
        lasts_s = 1.3 * made.time_s  # zones may open or close within a longer flight: judge it over all of its time
    return Infeasible((Reason("window", "the flight's time could not be settled"),)), False


def _static(
    request: RouteRequest, layer: float, frame: LocalFrame, xy: Array, window_s: float
) -> tuple[Route | Infeasible, bool]:
    slack = request.time_slack_s if request.window_s is None else 0.0
    view = View(
        band_at(layer),
        request.depart_s - slack,
        request.depart_s + window_s + slack,
        request.clear_m,
        request.authorised,
        request.ceiling_agl_m,
    )
    near = (xy[0], xy[1])
    held = on_board(request.fence, frame, request.clear_m, near)
    scene = Scene(request.airspace, request.terrain, frame, view, near, held)
    return settled_in(scene, request, layer, xy)


def _woven(
    request: RouteRequest, frame: LocalFrame, xy: Array, lasts_s: float, best: Route | None, stop: Stop
) -> Route | Infeasible:
    """The best over all layers, departures and corridors."""
    for _ in range(5):
        space = Space(request, frame, (xy[0], xy[1]), lasts_s)
        if request.in_air and (out := _way_out(request, space, frame, xy, lasts_s)) is not None:
            return out
        found = Lattice(space, xy[0], xy[1], ends_of(space), stop).best()
        if isinstance(found, Expired):
            return replace(best, proven_optimal=False) if best is not None else _EXPIRED
        if isinstance(found, NoWay):
            return _refused(request, space, found)
        if found.tau_s <= lasts_s:
            return over_ground(request, _route(request, space, found), frame)
        lasts_s = 1.3 * found.tau_s
    return Infeasible((Reason("window", "the flight's time could not be settled"),))


def _way_out(
    request: RouteRequest, space: Space, frame: LocalFrame, xy: Array, lasts_s: float
) -> Route | Infeasible | None:
    """Where a closed zone holds the vehicle: out first, in the layer where that and the rest is best."""
    if not any(scene.field.around(xy[0]) for scene in space.scenes):
        return None
    return _best([_over_its_time(request, layer, frame, xy, lasts_s)[0] for layer in request.layers_agl_m])


def _refused(request: RouteRequest, space: Space, found: NoWay) -> Infeasible:
    ids = dict.fromkeys(space.zone_ids(found.met))
    for layer in space.layers:
        for at, low in ((request.start, request.start_agl_m), (request.goal, request.goal_agl_m)):
            ids |= dict.fromkeys(zone.zone_id for zone, _ in space.column(at, low, layer))
    for scene in space.scenes:
        ids |= dict.fromkeys(scene.tightened)
    ids |= dict.fromkeys(space.scenes[0].keep_in_ids)
    return Infeasible((Reason("blocked", "every way is closed"),), tuple(ids))


def _route(request: RouteRequest, space: Space, way: Way) -> Route:
    xy, layers = tidied(space, way)
    places = list(space.scenes[0].frame.to_latlon(xy))
    places[0], places[-1] = request.start, request.goal
    length = sum(distance_m(a, b) for a, b in pairwise(places))
    straight = distance_m(request.start, request.goal)
    heights = tuple(space.layers[layer] for layer in layers)
    flown = [0.0] * len(space.layers)
    for i, layer in enumerate(layers[1:]):
        flown[layer] += float(np.hypot(*(xy[i + 1] - xy[i])))
    main = int(np.argmax(flown)) if len(xy) > 2 else layers[0]
    return Route(
        points=tuple(places),
        layer_agl_m=space.layers[main],
        length_m=length,
        straight_m=straight,
        reasons=explain_way(space, way, xy, layers, main, length - straight),
        heights_agl_m=heights,
        depart_s=request.depart_s + way.depart_s,
        time_s=way.tau_s,
        cost_s=way.depart_s + way.cost_s,
    )


__all__ = [
    "Climbing",
    "Corridor",
    "Route",
    "RouteRequest",
    "band_at",
    "column_block",
    "plan_route",
    "route_in",
]
