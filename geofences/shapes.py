"""Zones as polygons in a local metric frame, with an R-tree and inflated copies.

Polygon edges are straight in longitude and latitude, as GeoJSON (RFC 7946, 3.1.1) defines them. A chord in the frame
leaves such an edge by at most `EDGE_ERROR_M`: longer edges are densified. Circles become circumscribed polygons.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, radians, sqrt, tan

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.geodesy import LatLon, LocalFrame
from geofences.volumes import Circle, Volume, Zone

EDGE_ERROR_M = 0.5
CIRCLE_SIDES = 32
"""a circumscribed 32-gon sticks out of its circle by at most 0.5 % of the radius"""

_M_PER_DEG = 111_320.0
_EARTH_RADIUS_M = 6_371_000.0
_MITRE_LIMIT = 1.5


class Shape:
    """One volume of one zone in the frame. The inflated copies are made once per margin."""

    __slots__ = ("inflated", "polygon", "volume", "zone")

    def __init__(self, zone: Zone, volume: Volume, polygon: shapely.Polygon) -> None:
        self.zone = zone
        self.volume = volume
        self.polygon = polygon
        self.inflated: dict[float, shapely.Polygon] = {}


class ShapeIndex:
    """All volumes of a set of zones in one frame. Immutable once built; `derive` reuses what did not change."""

    def __init__(self, frame: LocalFrame, shapes: Sequence[Shape]) -> None:
        self.frame = frame
        self.shapes = tuple(shapes)
        self.polygons = np.array([s.polygon for s in self.shapes], dtype=object)
        self.tree = shapely.STRtree(self.polygons)

    @classmethod
    def build(cls, frame: LocalFrame, zones: Sequence[Zone]) -> ShapeIndex:
        return cls(frame, _project(frame, [(z, v) for z in zones for v in z.volumes]))

    def derive(self, zones: Sequence[Zone]) -> ShapeIndex:
        """The index of another set of zones; zones that are the same objects keep their shapes."""
        known: dict[int, list[Shape]] = {}
        for shape in self.shapes:
            known.setdefault(id(shape.zone), []).append(shape)
        fresh = [z for z in zones if id(z) not in known]
        for shape in _project(self.frame, [(z, v) for z in fresh for v in z.volumes]):
            known.setdefault(id(shape.zone), []).append(shape)
        return ShapeIndex(self.frame, [s for z in zones for s in known.get(id(z), [])])

    def inflated(self, margin_m: float) -> NDArray[np.object_]:
        """Each polygon grown by `margin_m` with mitred corners; a corner reaches out at most 1.5 times the margin."""
        missing = [s for s in self.shapes if margin_m not in s.inflated]
        if missing:
            for shape, grown in zip(missing, inflate([s.polygon for s in missing], margin_m), strict=True):
                shape.inflated[margin_m] = grown
        return np.array([s.inflated[margin_m] for s in self.shapes], dtype=object)


def inflate(polygons: Sequence[shapely.Polygon], margin_m: float) -> NDArray[np.object_]:
    """Grown by `margin_m`; mitred, because that keeps the vertex count and contains the round buffer."""
    if margin_m == 0.0:
        return np.array(polygons, dtype=object)
    grown: NDArray[np.object_] = shapely.buffer(
        np.array(polygons, dtype=object), margin_m, join_style="mitre", mitre_limit=_MITRE_LIMIT
    )
    return grown


def _project(frame: LocalFrame, volumes: Sequence[tuple[Zone, Volume]]) -> list[Shape]:
    """All in one call of PROJ: thousands of small calls would cost a second."""
    rings: list[list[LatLon]] = []
    for _, volume in volumes:
        if isinstance(volume.outline, Circle):
            rings.append([volume.outline.centre])
        else:
            rings.extend(densified(r) for r in (volume.outline.outer, *volume.outline.holes))
    if not rings:
        return []
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
    return shapes


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


__all__ = ["Shape", "ShapeIndex", "circumscribed", "densified", "inflate"]
