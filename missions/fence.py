"""The fence a vehicle takes along: which zones it enforces by itself, and which only the controller can, and why.

PX4 fences have neither heights nor times. To the vehicle go closed zones near the plan that touch neither the route nor
a return that PX4 would fly by itself, nearest first until its memory is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import is_closed
from geofences.bands import AglBand, outer_band
from geofences.shapes import Shape
from geofences.times import applies_within
from geofences.volumes import Circle, Polygon
from missions.plan import FenceSet, RallyPoint
from missions.routing.scene import Scene
from missions.sites import Site

Array = NDArray[np.float64]

AREA_MARGIN_M = 1000.0
"""how far beyond route and returns a zone still belongs to the plan's own area"""
ROOM_SHARE = 0.25
"""of the plan's own width: what a keep-in of its own leaves around it, for ways around what may come"""
MAX_VERTICES = 64
"""PX4's DM_KEY_FENCE_POINTS_MAX; keep-ins and keep-outs share it"""
_MAX_RING = 24
_CLEAR_M = 2.0
"""what a fence on the vehicle must at least stay away from the legal route"""


def rally_points(sites: list[Site], home: Site) -> tuple[RallyPoint, ...]:
    return tuple(RallyPoint(s.site_id, s.position, s.elevation_amsl_m - home.elevation_amsl_m) for s in sites)


def fence_set(scene: Scene, route: Array, others: Array, swept: shapely.Geometry, top_agl_m: float) -> FenceSet:
    """For a route (n, 2), home and the alternates (m, 2), and what PX4's own returns sweep, up to a height."""
    way = _way(route)
    own = shapely.GeometryCollection([way, *shapely.points(others), *shapely.get_parts(swept)])
    hull = own.convex_hull
    keep_in = _keep_in(scene, own, hull)
    room = MAX_VERTICES - (len(keep_in.outer) if keep_in is not None else 0)
    found = []
    for shape in _closed_in(scene, hull.buffer(AREA_MARGIN_M, quad_segs=2), top_agl_m):
        outline, polygon = _flat(scene, shape)
        found.append((float(shapely.distance(polygon, own)), shape.zone.zone_id, outline, polygon))
    keep_out: list[Polygon | Circle] = []
    held: list[str] = []
    left: dict[str, str] = {}
    for gap, zone_id, outline, polygon in sorted(found, key=lambda f: f[:2]):
        cost = 1 if isinstance(outline, Circle) else len(outline.outer)
        if gap < _CLEAR_M:
            what = "the route" if shapely.distance(polygon, way) < _CLEAR_M else "a place or a return that PX4 may fly"
            left[zone_id] = f"touches {what}: PX4's fence knows no heights and times"
        elif cost > room:
            left.setdefault(zone_id, f"PX4's memory of {MAX_VERTICES} points is taken by nearer ones")
        else:
            keep_out.append(outline)
            held.append(zone_id)
            room -= cost
    return FenceSet(keep_in, tuple(keep_out), tuple(left), tuple(held), tuple(left.values()))


def kept(scene: Scene, route: Array, fence: FenceSet, top_agl_m: float) -> FenceSet:
    """The fence that is on the vehicle already, and what only the controller enforces along this route."""
    area = _way(route).buffer(AREA_MARGIN_M, quad_segs=2)
    left = dict.fromkeys(
        s.zone.zone_id for s in _closed_in(scene, area, top_agl_m) if s.volume.outline not in fence.keep_out
    )
    why = "PX4 takes no other fence in the air"
    return replace(fence, enforced_by_controller=tuple(left), why_controller=tuple(why for _ in left))


def _way(route: Array) -> shapely.Geometry:
    return shapely.LineString(route) if len(route) > 1 else shapely.Point(route[0])


def _closed_in(scene: Scene, area: shapely.Polygon, top_agl_m: float) -> Iterator[Shape]:
    view, low = scene.view, AglBand(0.0, top_agl_m)
    for i in sorted(scene.index.tree.query(area, predicate="intersects").tolist()):
        shape = scene.index.shapes[i]
        if (
            is_closed(shape.zone, view.authorised)
            and outer_band(shape.volume, scene.terrain).overlaps(low)
            and applies_within(shape.zone, view.start_s, view.end_s)
        ):
            yield shape


def _keep_in(scene: Scene, own: shapely.Geometry, hull: shapely.Geometry) -> Polygon | None:
    """The keep-in boundary that holds the plan; without one, the plan's own area with room for ways around."""
    if scene.keep_in is None:
        west, south, east, north = hull.bounds
        room = max(AREA_MARGIN_M, ROOM_SHARE * max(east - west, north - south))
        region = hull.buffer(room, quad_segs=1)
        if shapely.get_num_coordinates(region) - 1 > _MAX_RING:
            region = shapely.minimum_rotated_rectangle(region)
    else:
        holding = next((p for p in shapely.get_parts(scene.keep_in) if p.covers(own)), None)
        if holding is None:
            return None
        region = holding
    outer = shapely.Polygon(region.exterior)
    if len(outer.exterior.coords) - 1 > _MAX_RING:
        slim = outer.buffer(-10.0).simplify(9.0)  # inside the true one wherever it is
        if slim.geom_type == "Polygon" and slim.covers(own) and len(slim.exterior.coords) - 1 <= _MAX_RING:
            outer = slim
    if len(outer.exterior.coords) - 1 > MAX_VERTICES:
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
