"""From a way that was found to the waypoints that are flown: few, but near enough to the shape of the ground.

A leg between two waypoints is a straight line in height above sea. Where the ground below is not level, waypoints are
added until each leg stays within `FOLLOW_M` of its layer wherever the ground is looked at: that leaves the rest of the
vertical margin to what lies between, to barometric drift and to height control.

A leg that passes a zone which is closed at another time of the same leg is cut where it enters and leaves that zone,
so that whoever judges leg by leg comes to the planner's answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from geofences.geodesy import LatLon, LocalFrame, distance_m
from geofences.heights import FlatTerrain, Terrain
from missions.plan import Infeasible, Reason
from missions.routing.cuts import shares
from missions.routing.lattice import Way
from missions.routing.route import Route, RouteRequest
from missions.routing.space import Space
from missions.routing.spans import during
from missions.routing.tangent import segments

Array = NDArray[np.float64]

FOLLOW_M = 3.0
"""how far from its layer a leg may be where the ground is looked at"""
GROUND_STEP_M = 30.0
"""apart at most: the posts of common terrain grids"""
_STRAIGHT = 1e-9
"""sine below which three places count as one line"""


def tidied(space: Space, way: Way) -> tuple[Array, list[int]]:
    """The places of a way and the layer at each, without those that it passes straight on, cut at timed zones."""
    steps = [i for i in range(len(way.xy) - 1) if way.layers[i] == way.layers[i + 1]]
    # Steps over the start and the goal are parts of the climb and the descent there.
    first, last = (steps[0], steps[-1] + 2) if steps else (0, 1)
    xy, layers, at_s = way.xy[first:last], way.layers[first:last], way.at_s[first:last]
    keep = [0, *(i for i in range(1, len(xy) - 1) if not _passed(xy, layers, i)), len(xy) - 1]
    places, levels = [xy[0]], [layers[0]]
    for a, b in pairwise(keep):
        for share in _cuts(space, xy[[a, b]], layers[a], at_s[a], at_s[b]) if layers[a] == layers[b] else ():
            places.append(xy[a] + share * (xy[b] - xy[a]))
            levels.append(layers[a])
        places.append(xy[b])
        levels.append(layers[b])
    return np.array(places), levels


def _passed(xy: Array, layers: tuple[int, ...], i: int) -> bool:
    """Nothing happens at place i: the way goes straight on, at the same height, or further up or down."""
    if layers[i - 1] == layers[i] == layers[i + 1]:
        into, out = xy[i] - xy[i - 1], xy[i + 1] - xy[i]
        turn = abs(into[0] * out[1] - into[1] * out[0])
        return bool(turn <= _STRAIGHT * np.hypot(*into) * np.hypot(*out) and into @ out >= 0.0)
    return layers[i - 1] != layers[i] != layers[i + 1]


def _cuts(space: Space, ends: Array, layer: int, start_s: float, end_s: float) -> list[float]:
    line = segments(ends[:1], ends[1:])
    cuts: list[float] = []
    for k in space.hits(line, layer).what.tolist():
        if during(space.closed(k, layer), start_s, end_s):
            cuts += shares(line, np.array([space.polygon(k)]))[0]
    return sorted({share for share in cuts if 1e-6 < share < 1.0 - 1e-6})


def over_ground(request: RouteRequest, route: Route, frame: LocalFrame) -> Route | Infeasible:
    """The route with waypoints that follow the ground; or the place where that is not known, or too steep."""
    terrain = request.terrain
    if isinstance(terrain, FlatTerrain):
        return route
    xy = frame.to_xy(route.points)
    points, heights = [route.points[0]], [route.heights_agl_m[0]]
    for i, (a, b) in enumerate(pairwise(xy)):
        if route.heights_agl_m[i] == route.heights_agl_m[i + 1]:
            places, ground = _ground_below(terrain, frame, a, b)
            if np.isnan(ground).any():
                where = places[int(np.argmax(np.isnan(ground)))]
                text = f"the ground is not known at {where.lat_deg:.5f}, {where.lon_deg:.5f}, below the route"
                return Infeasible((Reason("terrain", text, "load a terrain model of the area"),))
            cut = [0, *_followed(ground), len(ground) - 1]
            if (steep := _steep(request, places, ground, cut)) is not None:
                return steep
            points += [places[k] for k in cut[1:-1]]
            heights += [route.heights_agl_m[i]] * (len(cut) - 2)
        points.append(route.points[i + 1])
        heights.append(route.heights_agl_m[i + 1])
    return replace(route, points=tuple(points), heights_agl_m=tuple(heights))


def _ground_below(terrain: Terrain, frame: LocalFrame, a: Array, b: Array) -> tuple[list[LatLon], Array]:
    n = max(1, ceil(float(np.hypot(*(b - a))) / GROUND_STEP_M))
    places = frame.to_latlon(a + (b - a) * (np.arange(n + 1) / n)[:, None])
    lat, lon = (np.array([getattr(p, name) for p in places]) for name in ("lat_deg", "lon_deg"))
    return places, terrain.ground_amsl_m_many(lat, lon)


def _followed(ground: Array) -> Iterator[int]:
    """Places between the first and the last, in order, so that straight lines keep to the ground (Douglas, Peucker)."""
    todo, kept = [(0, len(ground) - 1)], []
    while todo:
        a, b = todo.pop()
        line = ground[a] + (ground[b] - ground[a]) * np.arange(b - a + 1) / max(1, b - a)
        off = np.abs(ground[a : b + 1] - line)
        k = a + int(np.argmax(off))
        if off[k - a] > FOLLOW_M:
            kept.append(k)
            todo += [(a, k), (k, b)]
    return iter(sorted(kept))


def _steep(request: RouteRequest, places: list[LatLon], ground: Array, cut: list[int]) -> Infeasible | None:
    if request.max_gradient is None:
        return None
    for a, b in pairwise(cut):
        gradient = abs(float(ground[b] - ground[a])) / max(1e-9, distance_m(places[a], places[b]))
        if gradient > request.max_gradient:
            at = places[a]
            text = (
                f"the ground at {at.lat_deg:.5f}, {at.lon_deg:.5f} rises or falls by {100 * gradient:.0f} %, "
                f"the vehicle follows {100 * request.max_gradient:.0f} %"
            )
            return Infeasible((Reason("steep", text, "send a vehicle that can climb on the spot"),))
    return None
