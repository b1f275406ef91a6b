"""Zones as polygons in a local metric frame, with an R-tree and what is made of inflated copies.

Polygon edges are straight in longitude and latitude, as GeoJSON (RFC 7946, 3.1.1) defines them. A chord in the frame
leaves such an edge by at most `EDGE_ERROR_M`: longer edges are densified. Circles become circumscribed polygons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi, radians, sqrt, tan
from typing import Protocol, Self, TypeVar, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.geodesy import LatLon, LocalFrame
from geofences.rtree import PolygonTree
from geofences.volumes import Circle, Volume, Zone

EDGE_ERROR_M = 0.5
CIRCLE_SIDES = 32
"""a circumscribed 32-gon sticks out of its circle by at most 0.5 % of the radius"""

_M_PER_DEG = 111_320.0
_EARTH_RADIUS_M = 6_371_000.0
_MITRE_LIMIT = 1.5
_MOST_PLACES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One volume of one zone in the frame."""

    zone: Zone
    volume: Volume
    polygon: shapely.Polygon


class FollowsChanges(Protocol):
    """Made of polygons by number; `changed` makes the next one of what changed, in far less time."""

    def changed(self, gone: range, added: Sequence[shapely.Polygon] | NDArray[np.object_], /) -> Self: ...


G = TypeVar("G", bound=FollowsChanges)


class ShapeIndex:
    """All volumes of a set of zones in one frame, numbered in the order of the zones. Never changed once built."""

    def __init__(self, frame: LocalFrame, shapes: tuple[Shape, ...], tree: PolygonTree) -> None:
        self.frame = frame
        self.shapes = shapes
        self.tree = tree
        self._grown: dict[float, FollowsChanges] = {}
        self._over: dict[LatLon, tuple[int, ...]] = {}

    @classmethod
    def build(cls, frame: LocalFrame, zones: Sequence[Zone]) -> ShapeIndex:
        shapes = _project(frame, zones)
        return cls(frame, shapes, PolygonTree([s.polygon for s in shapes]))

    def changed(self, gone: range, added: Zone | None) -> ShapeIndex:
        """The index without the volumes numbered `gone` and with those of `added` at the end: under a millisecond."""
        fresh = _project(self.frame, [added]) if added is not None else ()
        polygons = [s.polygon for s in fresh]
        shapes = (*self.shapes[: gone.start], *self.shapes[gone.stop :], *fresh)
        after = ShapeIndex(self.frame, shapes, self.tree.changed(gone, polygons))
        after._grown = {m: g.changed(gone, inflate(polygons, m)) for m, g in self._grown.items()}
        return after

    def over(self, place: LatLon) -> tuple[int, ...]:
        """Numbers of the shapes that hold a place or touch it, in order. Sites are asked about again and again."""
        found = self._over.get(place)
        if found is None:
            if len(self._over) >= _MOST_PLACES:
                self._over.clear()
            here = shapely.Point(self.frame.to_xy([place])[0])
            found = self._over[place] = tuple(sorted(self.tree.query(here, predicate="intersects").tolist()))
        return found

    def grown(self, margin_m: float, make: Callable[[NDArray[np.object_]], G]) -> G:
        """What `make` makes of the polygons grown by a margin: made once, and then from what changes.

        Corners are mitred: one reaches out at most 1.5 times the margin.
        """
        found = self._grown.get(margin_m)
        if found is None:
            found = self._grown[margin_m] = make(inflate(self.tree.polygons, margin_m))
        return cast("G", found)


def inflate(polygons: Sequence[shapely.Polygon] | NDArray[np.object_], margin_m: float) -> NDArray[np.object_]:
    """Grown by `margin_m`; mitred, because that keeps the vertex count and contains the round buffer."""
    if margin_m == 0.0:
        return np.array(polygons, dtype=object)
    grown: NDArray[np.object_] = shapely.buffer(
        np.array(polygons, dtype=object), margin_m, join_style="mitre", mitre_limit=_MITRE_LIMIT
    )
    return grown


def distances_m(zone: Zone, places: Sequence[LatLon]) -> list[float]:
    """From each place to the zone's outline, 0 inside, whatever the heights. To order by: good to 2 % within 100 km."""
    if not places or not zone.volumes:
        return [float("inf")] * len(places)
    first = zone.volumes[0].outline
    middle = first.centre if isinstance(first, Circle) else first.outer[0]
    east_m = _M_PER_DEG * cos(radians(middle.lat_deg))

    def xy(points: Sequence[LatLon]) -> NDArray[np.float64]:
        return np.array([(p.lon_deg * east_m, p.lat_deg * _M_PER_DEG) for p in points])

    at = shapely.points(xy(places))
    away = np.full(len(places), np.inf)
    for outline in (v.outline for v in zone.volumes):
        if isinstance(outline, Circle):
            gap = shapely.distance(shapely.points(xy([outline.centre])), at) - outline.radius_m
        else:
            gap = shapely.distance(shapely.Polygon(xy(outline.outer), [xy(h) for h in outline.holes]), at)
        away = np.minimum(away, np.maximum(gap, 0.0))
    return [float(a) for a in away]


def _project(frame: LocalFrame, zones: Sequence[Zone]) -> tuple[Shape, ...]:
    """All in one call of PROJ: thousands of small calls would cost a second."""
    volumes = [(z, v) for z in zones for v in z.volumes]
    rings: list[list[LatLon]] = []
    for _, volume in volumes:
        if isinstance(volume.outline, Circle):
            rings.append([volume.outline.centre])
        else:
            rings.extend(densified(r) for r in (volume.outline.outer, *volume.outline.holes))
    if not rings:
        return ()
    xy = frame.to_xy([p for ring in rings for p in ring])
    parts = iter(np.split(xy, np.cumsum([len(r) for r in rings])[:-1]))
    shapes = []
    for zone, volume in volumes:
        if isinstance(volume.outline, Circle):
            polygon = circumscribed(next(parts)[0], volume.outline.radius_m)
        else:
            outer = next(parts)
            polygon = shapely.Polygon(outer, [next(parts) for _ in volume.outline.holes])
        shapes.append(Shape(zone, volume, polygon))
    return tuple(shapes)


def circumscribed(centre: NDArray[np.float64], radius_m: float, sides: int = CIRCLE_SIDES) -> shapely.Polygon:
    """The regular polygon around a circle."""
    angles = np.arange(sides) * (2 * pi / sides)
    reach = radius_m / cos(pi / sides)
    return shapely.Polygon(np.column_stack([centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)]))


def densified(ring: tuple[LatLon, ...]) -> list[LatLon]:
    """The ring with points added on edges where a straight line and the parallel's curve part by over 0.5 m.

    A chord of length L departs from the line straight in lon, lat by L² tan(lat) / 8R (second order).
    """
    steepest = tan(radians(min(85.0, max(abs(p.lat_deg) for p in ring)))) + 0.05
    longest = sqrt(8 * _EARTH_RADIUS_M * EDGE_ERROR_M / steepest)
    dense: list[LatLon] = []
    for i, a in enumerate(ring):
        b = ring[(i + 1) % len(ring)]
        dense.append(a)
        span = _M_PER_DEG * (abs(b.lat_deg - a.lat_deg) + abs(b.lon_deg - a.lon_deg))
        if span > longest:
            n = min(1000, int(span / longest) + 1)
            dense.extend(
                LatLon(a.lat_deg + (b.lat_deg - a.lat_deg) * k / n, a.lon_deg + (b.lon_deg - a.lon_deg) * k / n)
                for k in range(1, n)
            )
    return dense


__all__ = ["FollowsChanges", "Shape", "ShapeIndex", "circumscribed", "densified", "distances_m", "inflate"]
