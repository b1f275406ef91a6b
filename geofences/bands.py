"""Height limits against heights flown, conservatively: what cannot be resolved counts as all heights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from geofences.geodesy import LatLon
from geofences.heights import Datum, FlatTerrain, Height, Terrain
from geofences.volumes import Circle, Volume


@dataclass(frozen=True, slots=True)
class AglBand:
    """Heights above ground in metres, both ends included."""

    lower_m: float
    upper_m: float

    def overlaps(self, other: AglBand) -> bool:
        return self.lower_m <= other.upper_m and other.lower_m <= self.upper_m

    def covers(self, other: AglBand) -> bool:
        return self.lower_m <= other.lower_m and other.upper_m <= self.upper_m


ALL_HEIGHTS = AglBand(-inf, inf)


def outer_band(volume: Volume, terrain: Terrain) -> AglBand:
    """Every height above ground that the volume may hold anywhere in its outline: for zones to keep out of."""
    low, high = _ground_range(volume, terrain)
    return AglBand(
        _agl(volume.lower, high, unresolved=-inf, absent=-inf),
        _agl(volume.upper, low, unresolved=inf, absent=inf),
    )


def inner_band(volume: Volume, terrain: Terrain) -> AglBand:
    """The heights above ground that the volume holds everywhere in its outline: for zones to stay inside.

    A limit that cannot be resolved leaves nothing, since no height is then known to be inside.
    """
    low, high = _ground_range(volume, terrain)
    return AglBand(
        _agl(volume.lower, low, unresolved=inf, absent=-inf),
        _agl(volume.upper, high, unresolved=-inf, absent=inf),
    )


def _agl(limit: Height | None, ground_m: float | None, *, unresolved: float, absent: float) -> float:
    if limit is None:
        return absent
    if limit.datum is Datum.AGL:
        return limit.value_m
    if limit.datum is Datum.AMSL and ground_m is not None:
        return limit.value_m - ground_m
    return unresolved  # WGS84 needs a geoid model; AMSL needs the ground


def _ground_range(volume: Volume, terrain: Terrain) -> tuple[float | None, float | None]:
    """Lowest and highest ground in the outline, sampled; None where any sample is not known."""
    if isinstance(terrain, FlatTerrain):
        return terrain.elevation_amsl_m, terrain.elevation_amsl_m
    heights = [terrain.ground_amsl_m(p) for p in _samples(volume)]
    known = [h for h in heights if h is not None]
    if len(known) < len(heights):
        return None, None
    return min(known), max(known)


def _samples(volume: Volume, per_side: int = 12) -> Iterable[LatLon]:
    """A grid over the outline's box. The relief between samples is covered by the planner's vertical margin."""
    outline = volume.outline
    if isinstance(outline, Circle):
        # 1 degree of latitude is 110.6 km at least; of longitude it is cos(lat) of that, so 3 times bounds it to 70°.
        d = outline.radius_m / 110_600.0
        c = outline.centre
        south, north, west, east = c.lat_deg - d, c.lat_deg + d, c.lon_deg - 3 * d, c.lon_deg + 3 * d
    else:
        lats, lons = [p.lat_deg for p in outline.outer], [p.lon_deg for p in outline.outer]
        south, north, west, east = min(lats), max(lats), min(lons), max(lons)
        yield from outline.outer
    steps = [i / (per_side - 1) for i in range(per_side)]
    for u in steps:
        for v in steps:
            lat, lon = south + u * (north - south), west + v * (east - west)
            yield LatLon(max(-90.0, min(90.0, lat)), max(-180.0, min(180.0, lon)))
