"""Where a line of flight lies inside zones: for the checker and the watch, and written apart from the planner.

Nothing is projected. A leg is cut along its geodesic into pieces of at most `STEP_M`; zones keep their outlines in
longitude and latitude, where their edges are straight by definition (RFC 7946). Error bound: a geodesic leaves the
chord of a piece by at most s² tan(lat) / 8R = 1.3 mm at 70° latitude, and rounding adds less than 0.1 mm. A circle is
judged by geodesic distances to both ends of a piece and the plane triangle on them, good to 1 mm for radii to 500 km.
What comes nearer than `CONTACT_M`, above that bound, counts as contact: so no error can turn inside into outside.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil, cos, radians
from typing import Any, Generic, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Datum, FlatTerrain, Height, Terrain
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone

STEP_M = 100.0
GROUND_STEPS = 8
"""looks at the ground per piece, one each 12.5 m or less: a ridge of slope g between two is missed by 6.3 m · g"""
CONTACT_M = 0.002
"""what is this near to an edge counts as on the closed side of it"""
_RIM_DEG = 1e-4
"""far more than `CONTACT_M` at any latitude that is flown at"""
_DEG_M = 110_500.0
"""less than a degree of latitude anywhere"""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
T = TypeVar("T")
_GEOD = Geod(ellps="WGS84")


class IdentityCache(Generic[T]):
    """Results by the identity of the objects they were made from; it holds these, so that no id is used again.

    Of more than `size` what was asked for longest ago goes. So it must have room for what all flights of a fleet ask
    for in turn, or it holds nothing that anybody asks for again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: OrderedDict[tuple[Hashable, ...], tuple[tuple[Any, ...], T]] = OrderedDict()

    def get(self, *objects: Any, make: Callable[[], T], extra: Hashable = None) -> T:
        """What `make` gave for these objects and an `extra` that is compared by value."""
        key = (*map(id, objects), extra)
        held = self._held.get(key)
        if held is not None:
            with suppress(KeyError):  # another thread may have put it away
                self._held.move_to_end(key)
            return held[1]
        value = make()
        self._held[key] = (objects, value)
        if len(self._held) > self._size:
            with suppress(KeyError):  # another thread may have been quicker
                self._held.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Track:
    """A leg in pieces: n + 1 places with height, ground below (NaN where not known) and way from the leg's start."""

    lon: Array
    lat: Array
    alt_amsl_m: Array
    ground_amsl_m: Array
    along_m: Array
    pieces: NDArray[np.object_]
    """the pieces as lines in lon, lat; a vertical leg as points"""
    agl_m: Array
    """(2, n): lowest and highest height above ground of each piece; NaN where the ground is not known"""
    terrain: Terrain

    @property
    def contact_deg(self) -> float:
        """`CONTACT_M` or more, in degrees of latitude and of longitude alike."""
        return CONTACT_M / (_DEG_M * max(0.05, cos(radians(float(np.abs(self.lat).max())))))

    def place(self, i: int) -> LatLon:
        return LatLon(float(self.lat[i]), float(self.lon[i]))


def track(a: LatLon, a_amsl_m: float, b: LatLon, b_amsl_m: float, terrain: Terrain) -> Track:
    """The geodesic from a to b, its height changing linearly along it."""
    length = 0.0 if a == b else float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[2])
    n = max(1, ceil(length / STEP_M))
    if n == 1:
        lon, lat = np.array([a.lon_deg, b.lon_deg]), np.array([a.lat_deg, b.lat_deg])
    else:
        cut = _GEOD.inv_intermediate(
            a.lon_deg,
            a.lat_deg,
            b.lon_deg,
            b.lat_deg,
            npts=n + 1,
            initial_idx=0,
            terminus_idx=0,
            return_back_azimuth=False,
        )
        lon, lat = np.array(cut.lons), np.array(cut.lats)
    share = np.arange(n + 1) / n
    along_m = share * (0.0 if length < 1e-3 else length)
    height_m = a_amsl_m + share * (b_amsl_m - a_amsl_m)
    ground_m = terrain.ground_amsl_m_many(lat, lon)
    if length < 1e-3 or isinstance(terrain, FlatTerrain):
        ends = height_m - ground_m
        agl_m = np.stack([np.minimum(ends[:-1], ends[1:]), np.maximum(ends[:-1], ends[1:])])
    else:
        agl_m = _agl_between(lat, lon, height_m, terrain)
    pieces = _pieces(lon, lat, vertical=length < 1e-3)
    return Track(lon, lat, height_m, ground_m, along_m, pieces, agl_m, terrain)


def up_to(line: Track, top_amsl_m: float) -> Track:
    """A level line as flown at any height from its own up to a higher one."""
    heights = np.where(np.arange(len(line.lon)) % 2 == 0, line.alt_amsl_m, top_amsl_m)
    low, high = line.agl_m
    return replace(line, alt_amsl_m=heights, agl_m=np.stack([low, high + (top_amsl_m - line.alt_amsl_m[0])]))


def _agl_between(lat: Array, lon: Array, height_m: Array, terrain: Terrain) -> Array:
    at = np.arange(len(lat))
    fine = np.arange((len(lat) - 1) * GROUND_STEPS + 1) / GROUND_STEPS
    agl = np.interp(fine, at, height_m) - terrain.ground_amsl_m_many(np.interp(fine, at, lat), np.interp(fine, at, lon))
    each = np.stack([agl[k : len(agl) - GROUND_STEPS + k : GROUND_STEPS] for k in range(GROUND_STEPS + 1)])
    return np.stack([each.min(axis=0), each.max(axis=0)])


def _pieces(lon: Array, lat: Array, *, vertical: bool) -> NDArray[np.object_]:
    if vertical:
        return np.array([shapely.Point(lon[0], lat[0])] * (len(lon) - 1), dtype=object)
    at = np.column_stack([lon, lat])
    lines: NDArray[np.object_] = shapely.linestrings(np.stack([at[:-1], at[1:]], axis=1))
    return lines


class Outline:
    """One volume of a zone, ready to be asked about."""

    __slots__ = ("bounds", "circle", "polygon", "volume", "zone")

    def __init__(self, zone: Zone, volume: Volume) -> None:
        self.zone, self.volume = zone, volume
        shape = volume.outline
        self.polygon: shapely.Polygon | None = None
        self.circle: Circle | None = None
        if isinstance(shape, Circle):
            self.circle = shape
            c = shape.centre
            corners = [
                _GEOD.fwd(c.lon_deg, c.lat_deg, azimuth, shape.radius_m * 1.01 + 1.0) for azimuth in (0, 90, 180, 270)
            ]
            self.bounds = shapely.box(corners[3][0], corners[2][1], corners[1][0], corners[0][1])
        else:
            self.polygon = polygon_of(shape)
            shapely.prepare(self.polygon)
            self.bounds = shapely.box(*self.polygon.bounds)

    @property
    def corners(self) -> shapely.Polygon:
        """In lon, lat; a circle as a polygon inside of it."""
        if self.polygon is not None:
            return self.polygon
        assert self.circle is not None
        return inscribed(self.circle)

    def touched(self, line: Track) -> Mask:
        """The pieces that lie at least in part inside the outline or `CONTACT_M` from it, whatever their height."""
        if self.polygon is not None:
            hit: Mask = shapely.intersects(self.polygon, line.pieces)
            missed = np.flatnonzero(~hit & self._beside(line))
            if len(missed):
                hit[missed] = shapely.dwithin(self.polygon, line.pieces[missed], line.contact_deg)
            return hit
        assert self.circle is not None
        c, n = self.circle.centre, len(line.lon)
        d = np.asarray(_GEOD.inv(np.full(n, c.lon_deg), np.full(n, c.lat_deg), line.lon, line.lat)[2])
        d0, d1, s = d[:-1], d[1:], np.diff(line.along_m)
        with np.errstate(divide="ignore", invalid="ignore"):
            foot = np.where(s > 0, (d0**2 - d1**2 + s**2) / (2 * s), 0.0)
        height = np.sqrt(np.maximum(0.0, d0**2 - foot**2))
        nearest = np.where((foot > 0) & (foot < s), height, np.minimum(d0, d1))
        return np.asarray(nearest <= self.circle.radius_m + CONTACT_M)

    def _beside(self, line: Track) -> Mask:
        """The pieces whose box meets the outline's: only they can be near its edge."""
        west, south, east, north = shapely.bounds(self.bounds)
        room = line.contact_deg
        mask = np.minimum(line.lon[:-1], line.lon[1:]) <= east + room
        mask &= np.maximum(line.lon[:-1], line.lon[1:]) >= west - room
        mask &= np.minimum(line.lat[:-1], line.lat[1:]) <= north + room
        return np.asarray(mask & (np.maximum(line.lat[:-1], line.lat[1:]) >= south - room))

    def inside(self, line: Track) -> Mask:
        """The pieces that the volume may hold, with heights; what cannot be resolved counts as inside."""
        hit = self.touched(line)
        return hit & _in_band(self.volume, line) if hit.any() else hit


class Outlines:
    """All volumes of an airspace with their boxes, in the order of its zones.

    No tree: to look at thousands of boxes at once takes 10 µs, and nothing is to be built when a zone comes or goes.
    """

    def __init__(self, all_: Sequence[Outline], boxes: Array) -> None:
        self.all = tuple(all_)
        self._boxes = boxes
        """(4, n): west, south, east, north in degrees"""
        self.keep_ins = tuple(o for o in self.all if o.zone.role is Role.KEEP_IN)
        self._keeps_out = np.array([o.zone.role is not Role.KEEP_IN for o in self.all], dtype=bool)
        self._calm = _well_inside(self.keep_ins)

    @classmethod
    def of(cls, zones: Sequence[Zone]) -> Outlines:
        every = [Outline(z, v) for z in zones for v in z.volumes]
        return cls(every, _boxes_of(every))

    def changed(self, gone: range, added: Zone | None) -> Outlines:
        """Without the volumes numbered `gone`, and with those of `added` at the end."""
        fresh = [Outline(added, v) for v in added.volumes] if added is not None else []
        kept = (*self.all[: gone.start], *self.all[gone.stop :])
        boxes = [self._boxes[:, : gone.start], self._boxes[:, gone.stop :], _boxes_of(fresh)]
        return Outlines((*kept, *fresh), np.concatenate(boxes, axis=1))

    def nothing_near(self, at: LatLon) -> bool:
        """True where there is surely nothing more to ask at any height or time: outside of the boxes of all keep-outs,
        and well inside a keep-in, if there is one."""
        if self._calm is not None and not shapely.contains_xy(self._calm, at.lon_deg, at.lat_deg):
            return False
        lon, lat = at.lon_deg, at.lat_deg
        hit = self._touching(lon - _RIM_DEG, lat - _RIM_DEG, lon + _RIM_DEG, lat + _RIM_DEG)
        return not bool((hit & self._keeps_out).any())

    def surely_in(self, area: shapely.Geometry, room_deg: float) -> bool:
        """Whether an area and all around it lie well inside a keep-in of all heights and times, if there is any."""
        return self._calm is None or (room_deg <= _RIM_DEG and bool(shapely.contains(self._calm, area)))

    def _touching(self, west: float, south: float, east: float, north: float) -> Mask:
        box = self._boxes
        hit: Mask = (box[0] <= east) & (box[2] >= west) & (box[1] <= north) & (box[3] >= south)
        return hit

    def near(self, line: Track) -> Iterator[Outline]:
        for i in np.flatnonzero(self._touching(*_box_of(line))).tolist():
            yield self.all[i]

    def closed_near(self, line: Track, authorised: frozenset[str]) -> Iterator[Outline]:
        return self.closed_in(*_box_of(line), authorised)

    def closed_in(
        self, west: float, south: float, east: float, north: float, authorised: frozenset[str]
    ) -> Iterator[Outline]:
        """The closed ones near a box: written out here, so that planner and checker do not share a mistake."""
        for i in np.flatnonzero(self._touching(west, south, east, north)).tolist():
            zone = self.all[i].zone
            if zone.role is Role.KEEP_IN or zone.restriction is Restriction.NO_RESTRICTION:
                continue
            if zone.restriction is Restriction.PROHIBITED or zone.zone_id not in authorised:
                yield self.all[i]


def outlines(airspace: Airspace) -> Outlines:
    """The airspace's outlines: made once, then from what changes between its versions."""
    return airspace.derived("outlines", Outlines.of)


def _box_of(line: Track) -> tuple[float, float, float, float]:
    room = line.contact_deg
    return line.lon.min() - room, line.lat.min() - room, line.lon.max() + room, line.lat.max() + room


def _boxes_of(found: Sequence[Outline]) -> Array:
    return np.asarray(shapely.bounds([o.bounds for o in found]), dtype=np.float64).reshape(-1, 4).T


def outside_keep_ins(found: Outlines, line: Track, applies: Callable[[Zone], bool]) -> Mask:
    """The pieces not wholly inside the union of the keep-ins; none where there is no keep-in."""
    n = len(line.lon) - 1
    if not found.keep_ins:
        return np.zeros(n, dtype=bool)
    usable = [o for o in found.keep_ins if applies(o.zone) and _holds(o.volume, line)]
    parts = [o.corners for o in usable]
    region = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    shapely.prepare(region)
    return ~covered(region, line)


def _well_inside(keep_ins: Sequence[Outline]) -> shapely.Geometry | None:
    """What keep-ins of all heights and times hold, without a rim of some metres; None where there is no keep-in."""
    if not keep_ins:
        return None
    always = [
        o.polygon
        for o in keep_ins
        if o.polygon is not None and o.volume.lower is None and o.volume.upper is None and not o.zone.applicability
    ]
    region = shapely.union_all([shapely.buffer(p, -_RIM_DEG) for p in always])
    shapely.prepare(region)
    return region


def covered(region: shapely.Geometry, line: Track) -> Mask:
    """The pieces inside the region and farther than `CONTACT_M` from its edge."""
    inside: Mask = shapely.covers(region, line.pieces)
    some = np.flatnonzero(inside)
    if len(some):
        inside[some] = ~shapely.dwithin(region.boundary, line.pieces[some], line.contact_deg)
    return inside


def polygon_of(outline: Polygon) -> shapely.Polygon:
    """In lon, lat."""
    rings = [[(p.lon_deg, p.lat_deg) for p in ring] for ring in (outline.outer, *outline.holes)]
    return shapely.Polygon(rings[0], rings[1:])


def inscribed(circle: Circle) -> shapely.Polygon:
    """A polygon inside of it."""
    c, n = circle.centre, 64
    lon, lat, _ = _GEOD.fwd([c.lon_deg] * n, [c.lat_deg] * n, np.arange(n) * (360.0 / n), [circle.radius_m] * n)
    return shapely.Polygon(np.column_stack([lon, lat]))


def _in_band(volume: Volume, line: Track) -> Mask:
    """Pieces whose heights may reach into the volume's band."""
    above_floor = _reaches(volume.lower, line, up=True)
    below_top = _reaches(volume.upper, line, up=False)
    return above_floor & below_top


def _reaches(limit: Height | None, line: Track, *, up: bool) -> Mask:
    if limit is None:
        return np.ones(len(line.lon) - 1, dtype=bool)
    low, high = _over(limit, line)
    return np.asarray(((high >= 0.0) if up else (low <= 0.0)) | np.isnan(low))


def _holds(volume: Volume, line: Track) -> bool:
    """True if all heights of the line are surely within a keep-in's limits."""
    above = volume.lower is None or bool(np.all(_over(volume.lower, line)[0] >= 0.0))
    below = volume.upper is None or bool(np.all(_over(volume.upper, line)[1] <= 0.0))
    return above and below  # NaN compares false: what cannot be resolved is not inside


def _over(limit: Height, line: Track) -> Array:
    """(2, n): how far each piece is above the limit, at least and at most; NaN where that cannot be resolved."""
    if limit.datum is Datum.AGL:
        return np.asarray(line.agl_m - limit.value_m)
    over = line.alt_amsl_m - limit.value_m
    if limit.datum is Datum.WGS84:
        geoid = line.terrain.geoid
        over = over + (np.nan if geoid is None else geoid.undulation_m_many(line.lat, line.lon))
    return np.stack([np.minimum(over[:-1], over[1:]), np.maximum(over[:-1], over[1:])])
