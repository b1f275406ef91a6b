"""PX4's geofence: two-dimensional; inside every inclusion and outside every exclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sitl import geo

POLYGON_IN, POLYGON_OUT, CIRCLE_IN, CIRCLE_OUT = 5001, 5002, 5003, 5004


class FenceItem(Protocol):
    @property
    def command(self) -> int: ...
    @property
    def params(self) -> tuple[float, float, float, float]: ...
    @property
    def lat_deg(self) -> float: ...
    @property
    def lon_deg(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Polygon:
    inclusion: bool
    vertices: tuple[tuple[float, float], ...]

    def holds(self, lat: float, lon: float) -> bool:
        """Even-odd rule in degrees: edges are straight in latitude and longitude, as in PX4."""
        inside = False
        previous = self.vertices[-1]
        for vertex in self.vertices:
            if (vertex[1] >= lon) != (previous[1] >= lon):
                cut = (previous[0] - vertex[0]) * (lon - vertex[1]) / (previous[1] - vertex[1]) + vertex[0]
                if lat <= cut:
                    inside = not inside
            previous = vertex
        return inside


@dataclass(frozen=True, slots=True)
class Circle:
    inclusion: bool
    lat: float
    lon: float
    radius_m: float

    def holds(self, lat: float, lon: float) -> bool:
        return geo.distance_m(self.lat, self.lon, lat, lon) < self.radius_m


@dataclass(frozen=True, slots=True)
class Fence:
    shapes: tuple[Polygon | Circle, ...] = field(default=())

    def allows(self, lat: float, lon: float) -> bool:
        return all(shape.holds(lat, lon) == shape.inclusion for shape in self.shapes)


def read_fence(items: Sequence[FenceItem]) -> Fence:
    """The shapes of a stored fence, as PX4 v1.17 reads them.

    After a circle it takes every vertex for the first of a polygon with as many vertices, whatever those items are
    (geofence.cpp, `_updateFence`: `is_circle_area` stays set). One that lacks vertices holds nothing.
    """
    shapes: list[Polygon | Circle] = []
    at, after_circle = 0, False
    while at < len(items):
        item = items[at]
        step = 1
        if item.command in (POLYGON_IN, POLYGON_OUT):
            count = int(item.params[0] + 0.5)
            corners = items[at : at + count]
            if count >= 3 and len(corners) == count:
                vertices = tuple((x.lat_deg, x.lon_deg) for x in corners)
                shapes.append(Polygon(item.command == POLYGON_IN, vertices))
            step = 1 if after_circle else max(1, count)
        elif item.command in (CIRCLE_IN, CIRCLE_OUT):
            shapes.append(Circle(item.command == CIRCLE_IN, item.lat_deg, item.lon_deg, item.params[0]))
            after_circle = True
        at += step
    return Fence(tuple(shapes))
