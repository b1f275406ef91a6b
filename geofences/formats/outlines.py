"""Outlines as files draw them: read, judged, and repaired where it is sure what was meant; and written as GeoJSON.

Which way round a ring is drawn carries no meaning here: the outer ring is the first one (RFC 7946, 3.1.6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import cos, radians
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.formats.common import FeatureError, Reader, number, short
from geofences.geodesy import LatLon
from geofences.volumes import Circle, Polygon

MAX_VERTICES = 10_000
"""per outline, as ASTM F3548-21 bounds a volume: more is a mistake of an exporter, and would be slow everywhere.
They are refused rather than thinned out here: whoever publishes the zone can do that knowing what it is for."""
MAX_RADIUS_M = 500_000.0
MIN_AREA_M2 = 1.0
REPAIR_M = 0.5
"""a self-crossing that goes when corners within this distance of the rest are left out is repaired: the margin flown is
far larger"""

_M_PER_DEG = 111_320.0
_PLACE = re.compile(r"\[(\S+) (\S+)\]")

Position = tuple[float, float]
"""longitude, latitude"""


def circle(reader: Reader, centre: Any, radius: Any, field: str) -> Circle:
    """From a [lon, lat] position and metres."""
    position = _position(centre, field)
    radius_m = number(radius, f"{field}.radius")
    if radius_m <= 0.0 or radius_m > MAX_RADIUS_M:
        raise FeatureError(f"{field}.radius", f"a radius of {radius_m:g} m cannot be", "give metres above 0")
    _check_order(reader, [position], field)
    return Circle(_latlon(position, field), radius_m)


def polygon(reader: Reader, rings: Any, field: str, *, closed: bool = True) -> Polygon:
    """An outline from rings of [lon, lat] positions: valid and large enough, repaired only when that is sure.

    `closed`: the format wants the first position again as the last; where it is missing that is noted.
    """
    if not isinstance(rings, list) or not rings or not all(isinstance(r, list) for r in rings):
        raise FeatureError(field, "a polygon needs a list of rings", "give [[[lon, lat], …]]")
    total = sum(len(r) for r in rings)
    if total > MAX_VERTICES:
        text = f"the outline has {total} vertices; at most {MAX_VERTICES} are read"
        raise FeatureError(field, text, "simplify the outline, outwards for a zone to keep out of")
    parsed = [[_position(p, field) for p in ring] for ring in rings]
    _check_order(reader, [p for ring in parsed for p in ring], field)
    corners = [_corners(reader, ring, field, closed) for ring in parsed]
    for ring in corners:
        _check_extent(ring, field)
    corners = _validated(reader, corners, field)
    latlons = [tuple(_latlon(p, field) for p in ring) for ring in corners]
    return Polygon(latlons[0], tuple(latlons[1:]))


def ring_json(ring: Sequence[LatLon]) -> list[list[float]]:
    """Closed, lon, lat."""
    return [[p.lon_deg, p.lat_deg] for p in (*ring, ring[0])]


def polygon_json(outline: Polygon) -> list[list[list[float]]]:
    return [ring_json(r) for r in (outline.outer, *outline.holes)]


def _corners(reader: Reader, ring: list[Position], field: str, closed: bool) -> list[Position]:
    """The ring without its repeated first position and without repeated neighbours."""
    if closed and len(ring) > 2 and ring[0] != ring[-1]:
        reader.note(field, "a ring does not end where it began; it was closed by a straight edge")
    corners = [p for i, p in enumerate(ring) if i == 0 or p != ring[i - 1]]
    repeated = len(ring) - len(corners)
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    if len(corners) < 3:
        raise FeatureError(field, f"a ring has {len(corners)} distinct corners", "give at least three")
    if repeated:
        reader.note(field, f"{repeated} corners that repeat the one before were left out")
    return corners


def _check_extent(ring: list[Position], field: str) -> None:
    lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
    if max(lons) - min(lons) > 180.0:
        raise FeatureError(field, "the outline crosses the antimeridian", "cut it there into two zones")
    if max(lats) > 85.0 or min(lats) < -85.0:
        raise FeatureError(field, "the outline reaches beyond 85 degrees of latitude", "not supported; leave it out")
    _latlon((max(lons), lats[0]), field)
    _latlon((min(lons), lats[0]), field)


def _validated(reader: Reader, corners: list[list[Position]], field: str) -> list[list[Position]]:
    """The rings, or those left of them by the repair. Metres about the first corner, straight in lon and lat."""
    origin = np.array(corners[0][0])
    scale = _M_PER_DEG * np.array([cos(radians(min(85.0, abs(corners[0][0][1])))), 1.0])
    rings = [(np.array(ring) - origin) * scale for ring in corners]
    shape = shapely.Polygon(rings[0], rings[1:])
    if not shape.is_valid:
        why = shapely.is_valid_reason(shape)
        kept = [_smoothed(ring) for ring in rings]
        # None where nothing is left of a ring
        shape = shapely.Polygon(rings[0][kept[0]], [r[k] for r, k in zip(rings[1:], kept[1:], strict=True)])
        if not shape.is_valid or min(len(k) for k in kept) < 3:
            text = f"the outline crosses or touches itself ({_told(why, origin, scale)}); what is meant is not clear"
            raise FeatureError(field, text, "draw the corners in order around the area, or split it into several zones")
        text = f"the outline crosses itself ({_told(why, origin, scale)}) by less than {REPAIR_M:g} m and was repaired"
        reader.note(field, text)
        corners = [[ring[i] for i in k] for ring, k in zip(corners, kept, strict=True)]
    if shape.area < MIN_AREA_M2:
        raise FeatureError(field, f"the outline holds only {shape.area:.2g} m²", "give its true corners")
    return corners


def _smoothed(ring: NDArray[np.float64]) -> list[int]:
    """The corners (by index) that Douglas and Peucker's simplification to REPAIR_M leaves."""
    left = shapely.get_coordinates(shapely.simplify(shapely.LinearRing(ring), REPAIR_M, preserve_topology=False))[:-1]
    indexes = {(x, y): i for i, (x, y) in enumerate(ring.tolist())}
    return [indexes[x, y] for x, y in left.tolist()]


def _told(reason: str, origin: NDArray[np.float64], scale: NDArray[np.float64]) -> str:
    """What shapely says about a shape, its place in degrees instead of metres."""
    what = reason.split("[")[0].strip().lower()
    place = _PLACE.search(reason)
    if place is None:
        return what
    lon, lat = np.array([float(place[1]), float(place[2])]) / scale + origin
    return f"{what} near {lat:.6f}, {lon:.6f}"


def _position(value: Any, field: str) -> Position:
    if type(value) is list and len(value) == 2 and type(value[0]) is float and type(value[1]) is float:
        return value[0], value[1]  # most of a large file; whether they are on the globe is checked for each ring
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise FeatureError(field, f"{short(value)} is not a position", "give [longitude, latitude]")
    return number(value[0], field), number(value[1], field)


def _latlon(position: Position, field: str) -> LatLon:
    lon, lat = position
    try:
        return LatLon(lat, lon)
    except ValueError as error:
        raise FeatureError(field, str(error), "give [longitude, latitude] in degrees, in this order") from None


def _check_order(reader: Reader, positions: list[Position], field: str) -> None:
    area = reader.area
    if area is None or not positions:
        return
    sample = positions[:: max(1, len(positions) // 16)]
    if not any(area.holds(lat, lon) for lon, lat in sample) and all(area.holds(lon, lat) for lon, lat in sample):
        text = "latitude and longitude are in the wrong order: only swapped do they lie in the area of operation"
        raise FeatureError(field, text, "write [longitude, latitude]")
