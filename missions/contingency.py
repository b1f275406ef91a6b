"""What a plan carries for when it cannot be flown on: alternates per leg, rally points and the vehicle's own fence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, pairwise
from math import ceil

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import is_closed
from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon
from geofences.shapes import Shape
from geofences.times import applies_within
from geofences.volumes import Circle, Polygon
from missions.energy import LegCost, climb_cost, cruise_power_w, slowest_ground_speed_m_s
from missions.plan import Alternate, FenceSet, RallyPoint
from missions.routing.planner import column_block
from missions.routing.scene import Scene
from missions.routing.tangent import Path
from missions.sites import Site
from missions.snapshot import Wind
from missions.vehicles import VehicleType

Array = NDArray[np.float64]

RALLY_SAMPLE_M = 250.0
AREA_MARGIN_M = 1000.0
"""how far beyond route and rally lines a zone still belongs to the plan's own area"""
MAX_FENCE_VERTICES = 64
"""PX4's DM_KEY_FENCE_POINTS_MAX; keep-ins and keep-outs share it"""
MAX_RALLY_CANDIDATES = 6
"""all subsets are tried: 64. PX4 stores 8"""
_MAX_RING = 24
_CLEAR_M = 2.0
"""what a fence on the vehicle must at least stay away from the legal route"""


@dataclass(frozen=True, slots=True)
class Carrier:
    """The vehicle as energy sees it."""

    vehicle: VehicleType
    payload_kg: float
    wind: Wind
    start_pct: float

    def left_pct(self, used_wh: float) -> float:
        return self.start_pct - 100.0 * used_wh / self.vehicle.battery_wh

    def way(self, length_m: float, descent_m: float) -> LegCost | None:
        """A way in an unknown direction, so against the wind all along, and the descent at its end."""
        speed = slowest_ground_speed_m_s(self.vehicle, self.wind)
        if speed is None:
            return None
        time_s = length_m / speed
        cruise = LegCost(time_s, cruise_power_w(self.vehicle, self.payload_kg) * time_s / 3600.0)
        return cruise + climb_cost(self.vehicle, self.payload_kg, -descent_m)


def usable(scene: Scene, sites: Sequence[Site], cruise_agl_m: float) -> list[Site]:
    """Sites where a descent from cruise height is legal, once each."""
    unique = {s.site_id: s for s in sites}.values()
    return [s for s in unique if column_block(scene, s.position, 0.0, cruise_agl_m, s.site_id) is None]


def leg_alternates(
    scene: Scene,
    nodes: Array,
    used_wh: Sequence[float],
    sites: Sequence[Site],
    carrier: Carrier,
    cruise_agl_m: float,
    reserve_pct: float,
) -> list[tuple[Alternate, ...]]:
    """For each leg (from node i to node i + 1; `used_wh[i]` at its end) the sites that every point of it can reach.

    From a point x metres along a leg of length L, one of x + d(start) and L − x + d(end) is at most
    (L + d(start) + d(end)) / 2: the way back or on along the leg, which is legal, and then the legal way from that
    end. So the bound holds for every point, and what is carried is proven without looking at each.
    """
    if not sites:
        return [() for _ in range(len(nodes) - 1)]
    there = scene.frame.to_xy([s.position for s in sites])
    direct = _distances(nodes, there)
    free = scene.field.free(np.repeat(nodes, len(sites), axis=0), np.tile(there, (len(nodes), 1)))
    ways = np.where(free.reshape(direct.shape), direct, np.inf)
    lengths = np.hypot(*np.diff(nodes, axis=0).T)
    for i in range(len(nodes) - 1):
        if np.isinf(ways[i]).all() and np.isinf(ways[i + 1]).all():
            _plan_ways(scene, nodes[i + 1], there, direct[i + 1], ways[i + 1])
    for i in reversed(range(len(nodes) - 1)):
        if np.isinf(ways[i]).all():  # inside a zone that closed around the vehicle: first out along the route
            ways[i] = lengths[i] + ways[i + 1]
    result = []
    for i, length in enumerate(lengths.tolist()):
        reach = np.minimum(ways[i : i + 2].min(axis=0) + length, (length + ways[i] + ways[i + 1]) / 2.0)
        found = []
        for site, way in zip(sites, reach.tolist(), strict=True):
            cost = carrier.way(way, cruise_agl_m) if np.isfinite(way) else None
            if cost is None:
                continue
            left = carrier.left_pct(used_wh[i] + cost.energy_wh)
            if left >= reserve_pct:
                found.append(Alternate(site.site_id, way, cost.energy_wh, left))
        result.append(tuple(sorted(found, key=lambda a: a.distance_m)))
    return result


@dataclass(frozen=True, slots=True)
class Returns:
    """PX4's own way back: v1.17 returns straight to the horizontally closest of home and rally points."""

    lines: Array
    """(n, 2, 2): from places along the route to where PX4 would return from there"""
    illegal_share: float
    """of these lines, those that meet something closed: there the controller must bring the vehicle back itself"""


def choose_rally(scene: Scene, route: Array, home: Site, sites: Sequence[Site]) -> tuple[tuple[Site, ...], Returns]:
    """The rally set that makes PX4's own return legal from as many places of the route as can be.

    All subsets are compared by the number of places (each 250 m) from which that return meets something closed, then
    by its length.
    """
    samples = _samples(route)
    there = scene.frame.to_xy([s.position for s in sites])
    nearest = np.argsort(_distances(samples, there).min(axis=0))[:MAX_RALLY_CANDIDATES]
    kept = [sites[k] for k in nearest.tolist()]
    subsets = _subsets(len(kept))
    best, found = _returns(scene, samples, [s.position for s in (home, *kept)], subsets)
    return tuple(site for site, k in zip(kept, subsets[best, 1:].tolist(), strict=True) if k), found


def returns(scene: Scene, route: Array, home: LatLon, rally: Sequence[LatLon]) -> Returns:
    """Of a vehicle whose rally points are given."""
    everything = np.ones((1, 1 + len(rally)), dtype=np.bool_)
    return _returns(scene, _samples(route), [home, *rally], everything)[1]


def _returns(scene: Scene, samples: Array, places: Sequence[LatLon], subsets: NDArray[np.bool_]) -> tuple[int, Returns]:
    """The best of the subsets of the places, home being the first of these, and the returns that it brings."""
    targets = scene.frame.to_xy(places)
    away = _distances(samples, targets)
    free = scene.field.free(np.repeat(samples, len(targets), axis=0), np.tile(targets, (len(samples), 1)))
    illegal = ~free.reshape(away.shape)
    # (subset, place): where PX4 would go from there, home (column 0) always being possible
    chosen = np.where(subsets[:, None, :], away[None, :, :], np.inf).argmin(axis=2)
    rows = np.arange(len(samples))
    bad, far_m = illegal[rows, chosen].sum(axis=1), away[rows, chosen].sum(axis=1).round(3)
    best = int(np.lexsort((far_m, bad))[0])
    lines = np.stack([samples, targets[chosen[best]]], axis=1)
    return best, Returns(lines, int(bad[best]) / len(samples))


@lru_cache
def _subsets(n: int) -> NDArray[np.bool_]:
    """Which of home and n sites are in each subset, the smallest ones first; home is in all."""
    rows = [subset for size in range(n + 1) for subset in combinations(range(1, n + 1), size)]
    masks = np.zeros((len(rows), n + 1), dtype=np.bool_)
    for mask, subset in zip(masks, rows, strict=True):
        mask[[0, *subset]] = True
    return masks


def rally_points(sites: Sequence[Site], home: Site) -> tuple[RallyPoint, ...]:
    return tuple(RallyPoint(s.site_id, s.position, s.elevation_amsl_m - home.elevation_amsl_m) for s in sites)


def fence_set(scene: Scene, route: Array, home: Array, rally_lines: Array, ceiling_agl_m: float) -> FenceSet:
    """The zones the vehicle enforces by itself, and those in the plan's area that only the controller can.

    PX4 fences have neither heights nor times. To the vehicle go closed zones in the plan's own area that touch neither
    the route nor home nor a line that PX4 would return on, nearest first until its memory is full.
    """
    ways = [shapely.Point(home), *shapely.linestrings(rally_lines)]
    ways.append(shapely.LineString(route) if len(route) > 1 else shapely.Point(route[0]))
    own = shapely.GeometryCollection(ways)
    area = own.convex_hull.buffer(AREA_MARGIN_M, quad_segs=2)
    keep_in = _keep_in(scene, own, area)
    room = MAX_FENCE_VERTICES - (len(keep_in.outer) if keep_in is not None else 0)
    found = []
    for shape in _closed_in(scene, area, ceiling_agl_m):
        outline, polygon = _flat(scene, shape)
        found.append((float(shapely.distance(polygon, own)), shape.zone.zone_id, outline))
    keep_out: list[Polygon | Circle] = []
    left: dict[str, None] = {}
    for gap, zone_id, outline in sorted(found, key=lambda f: f[:2]):
        cost = 1 if isinstance(outline, Circle) else len(outline.outer)
        if gap < _CLEAR_M or cost > room:
            left[zone_id] = None
        else:
            keep_out.append(outline)
            room -= cost
    return FenceSet(keep_in, tuple(keep_out), tuple(left))


def kept(scene: Scene, route: Array, fence: FenceSet, ceiling_agl_m: float) -> FenceSet:
    """The fence that is on the vehicle already, and what only the controller enforces along this route."""
    way = shapely.LineString(route) if len(route) > 1 else shapely.Point(route[0])
    area = way.buffer(AREA_MARGIN_M, quad_segs=2)
    left = [s.zone.zone_id for s in _closed_in(scene, area, ceiling_agl_m) if s.volume.outline not in fence.keep_out]
    return replace(fence, enforced_by_controller=tuple(dict.fromkeys(left)))


def _closed_in(scene: Scene, area: shapely.Polygon, ceiling_agl_m: float) -> Iterator[Shape]:
    view, low = scene.view, AglBand(0.0, ceiling_agl_m)
    for i in sorted(scene.index.tree.query(area, predicate="intersects").tolist()):
        shape = scene.index.shapes[i]
        if (
            is_closed(shape.zone, view.authorised)
            and outer_band(shape.volume, scene.terrain).overlaps(low)
            and applies_within(shape.zone, view.start_s, view.end_s)
        ):
            yield shape


def _keep_in(scene: Scene, own: shapely.Geometry, area: shapely.Polygon) -> Polygon | None:
    """The keep-in boundary that holds the plan; without one, the plan's own area with a wide margin."""
    region = area
    if scene.keep_in is not None:
        region = next((p for p in shapely.get_parts(scene.keep_in) if p.covers(own)), None)
        if region is None:
            return None
    outer = shapely.Polygon(region.exterior)
    if len(outer.exterior.coords) - 1 > _MAX_RING:
        slim = outer.buffer(-10.0).simplify(9.0)  # inside the true one wherever it is
        if slim.geom_type == "Polygon" and slim.covers(own) and len(slim.exterior.coords) - 1 <= _MAX_RING:
            outer = slim
        else:
            outer = shapely.intersection(outer.minimum_rotated_rectangle, outer) if outer is area else outer
    if len(outer.exterior.coords) - 1 > MAX_FENCE_VERTICES:
        return None
    return Polygon(tuple(scene.frame.to_latlon(shapely.get_coordinates(outer.exterior)[:-1])))


def _flat(scene: Scene, shape: Shape) -> tuple[Polygon | Circle, shapely.Polygon]:
    """The outline as PX4 can hold it: without holes, with few corners, never smaller."""
    outline = shape.volume.outline
    if isinstance(outline, Circle):
        return outline, shape.polygon
    solid = shapely.Polygon(shape.polygon.exterior)
    if not outline.holes and len(outline.outer) <= _MAX_RING:
        return outline, solid
    if len(solid.exterior.coords) - 1 > _MAX_RING:
        solid = solid.buffer(10.0, join_style="mitre").simplify(9.0)
    if solid.geom_type != "Polygon" or len(solid.exterior.coords) - 1 > _MAX_RING:
        solid = shape.polygon.convex_hull
    return Polygon(tuple(scene.frame.to_latlon(shapely.get_coordinates(solid.exterior)[:-1]))), solid


def _plan_ways(scene: Scene, node: Array, there: Array, direct: Array, ways: Array) -> None:
    """Planned ways home (the first site) and to the two nearest, where no straight one is free."""
    for k in {0, *np.argsort(direct)[:2].tolist()}:
        path = scene.field.shortest(node, there[k])
        if isinstance(path, Path):
            ways[k] = path.length


def _samples(route: Array) -> Array:
    parts = [route[:1]]
    for a, b in pairwise(route):
        n = max(1, ceil(float(np.hypot(*(b - a))) / RALLY_SAMPLE_M))
        parts.append(a + (b - a) * (np.arange(1, n + 1) / n)[:, None])
    return np.concatenate(parts)


def _distances(a: Array, b: Array) -> Array:
    d = a[:, None, :] - b[None, :, :]
    result: Array = np.hypot(d[..., 0], d[..., 1])
    return result
