"""An airspace: a version and its zones, immutable, with a spatial index per local frame.

What is closed: PROHIBITED always; REQ_AUTHORISATION, CONDITIONAL and USPACE unless the zone's id is authorised;
NO_RESTRICTION never. Several keep-ins mean their union: where there is any, one must be inside one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import shapely

from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon, LocalFrame, local_frame
from geofences.heights import Terrain
from geofences.shapes import ShapeIndex
from geofences.times import applies_within
from geofences.volumes import Restriction, Role, Zone

_FRAME_GRID_DEG = 0.5
"""frames are shared between queries by rounding their origin: 39 km at most to the next one"""


def is_closed(zone: Zone, authorised: frozenset[str]) -> bool:
    """True if a vehicle with these authorisations must stay out of the zone while it is in force."""
    if zone.role is Role.KEEP_IN or zone.restriction is Restriction.NO_RESTRICTION:
        return False
    return zone.restriction is Restriction.PROHIBITED or zone.zone_id not in authorised


def frame_for(points: Iterable[LatLon]) -> LocalFrame:
    """A shared frame near the middle of `points`; its distances are true to 0.4 m within 50 km of its origin.

    Raises ValueError across the antimeridian and beyond 85° latitude, where zones as drawn in lon, lat break down.
    """
    lats, lons = zip(*((p.lat_deg, p.lon_deg) for p in points), strict=True)
    if max(lons) - min(lons) > 180.0:
        raise ValueError("an area of operation across the antimeridian is not supported; plan each side by itself")
    if max(map(abs, lats)) > 85.0:
        raise ValueError("an area of operation beyond 85 degrees of latitude is not supported")

    def middle(values: tuple[float, ...]) -> float:
        return round((min(values) + max(values)) / 2 / _FRAME_GRID_DEG) * _FRAME_GRID_DEG

    return local_frame(LatLon(middle(lats), middle(lons)))


@dataclass(frozen=True, slots=True)
class Airspace:
    """One version of the zones. Zone ids are unique; adding a zone with a known id replaces it."""

    version: int
    zones: tuple[Zone, ...]
    _indexes: dict[LatLon, ShapeIndex] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for zone in self.zones:
            if zone.zone_id in seen:
                raise ValueError(f"zone id {zone.zone_id!r} occurs twice ({zone.source or 'unknown source'})")
            seen.add(zone.zone_id)

    def with_zone(self, zone: Zone) -> Airspace:
        """The next version, with `zone` added or replaced. Costs milliseconds at thousands of zones."""
        return self._next((*(z for z in self.zones if z.zone_id != zone.zone_id), zone))

    def without_zone(self, zone_id: str) -> Airspace:
        """The next version, without the zone. Raises KeyError if there is none of that id."""
        left = tuple(z for z in self.zones if z.zone_id != zone_id)
        if len(left) == len(self.zones):
            raise KeyError(zone_id)
        return self._next(left)

    def zone(self, zone_id: str) -> Zone | None:
        return next((z for z in self.zones if z.zone_id == zone_id), None)

    def closed_zones(self, authorised: frozenset[str] = frozenset()) -> tuple[Zone, ...]:
        """The zones to keep out of while they are in force."""
        return tuple(z for z in self.zones if is_closed(z, authorised))

    def keep_ins(self) -> tuple[Zone, ...]:
        return tuple(z for z in self.zones if z.role is Role.KEEP_IN)

    def index(self, frame: LocalFrame) -> ShapeIndex:
        """The zones' shapes in a frame; built once per version and frame."""
        index = self._indexes.get(frame.origin)
        if index is None:
            index = self._indexes[frame.origin] = ShapeIndex.build(frame, self.zones)
        return index

    def at(self, point: LatLon, band: AglBand, start_s: float, end_s: float, terrain: Terrain) -> tuple[Zone, ...]:
        """Every zone, closed or not, over `point` within a height band at some time of [start_s, end_s]."""
        return self.along(point, point, band, start_s, end_s, terrain)

    def along(
        self, a: LatLon, b: LatLon, band: AglBand, start_s: float, end_s: float, terrain: Terrain
    ) -> tuple[Zone, ...]:
        """Every zone, closed or not, met on the straight way from a to b; in the order of `zones`."""
        frame = frame_for((a, b))
        index = self.index(frame)
        xy = frame.to_xy([a, b])
        line = shapely.Point(xy[0]) if a == b else shapely.LineString(xy)
        met: dict[str, Zone] = {}
        for i in sorted(index.tree.query(line, predicate="intersects").tolist()):
            shape = index.shapes[i]
            if outer_band(shape.volume, terrain).overlaps(band) and applies_within(shape.zone, start_s, end_s):
                met[shape.zone.zone_id] = shape.zone
        return tuple(met.values())

    def _next(self, zones: tuple[Zone, ...]) -> Airspace:
        after = Airspace(self.version + 1, zones)
        after._indexes.update({origin: index.derive(zones) for origin, index in self._indexes.items()})
        return after
