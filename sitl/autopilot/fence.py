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
        before_lat, before_lon = self.vertices[-1]
        before_east = before_lon >= lon
        for at_lat, at_lon in self.vertices:
            east = at_lon >= lon
            if east != before_east and lat <= (before_lat - at_lat) * (lon - at_lon) / (before_lon - at_lon) + at_lat:
                inside = not inside
            before_lat, before_lon, before_east = at_lat, at_lon, east
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
        for shape in self.shapes:  # noqa: SIM110 – asked in every turn of every vehicle: a generator takes twice as long
            if shape.holds(lat, lon) != shape.inclusion:
                return False
        return True


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
