"""Height limits against heights flown, conservatively: what cannot be resolved counts as all heights."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from geofences.geoid import undulation_range_m
from geofences.heights import Datum, Height, Terrain
from geofences.volumes import Circle, Polygon, Volume, box_of


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
    return AglBand(
        _agl(volume, volume.lower, terrain, lowest=True, unresolved=-inf, absent=-inf),
        _agl(volume, volume.upper, terrain, lowest=False, unresolved=inf, absent=inf),
    )


def inner_band(volume: Volume, terrain: Terrain) -> AglBand:
    """The heights above ground that the volume holds everywhere in its outline: for zones to stay inside.

    A limit that cannot be resolved leaves nothing, since no height is then known to be inside.
    """
    return AglBand(
        _agl(volume, volume.lower, terrain, lowest=False, unresolved=inf, absent=-inf),
        _agl(volume, volume.upper, terrain, lowest=True, unresolved=-inf, absent=inf),
    )


def _agl(
    volume: Volume, limit: Height | None, terrain: Terrain, *, lowest: bool, unresolved: float, absent: float
) -> float:
    """The limit above ground where in the outline it is lowest, or highest."""
    if limit is None:
        return absent
    if limit.datum is Datum.AGL:
        return limit.value_m
    ground = _within(volume.outline, terrain).ground
    below = (0.0, 0.0) if limit.datum is Datum.AMSL else _within(volume.outline, terrain).geoid
    if ground is None or below is None:
        return unresolved
    # The ellipsoid lies `below` under mean sea level, and that `ground` under the ground.
    return limit.value_m - (ground[1] + below[1] if lowest else ground[0] + below[0])


@dataclass(frozen=True, slots=True)
class _Relief:
    """Bounds within an outline's box: of the ground above mean sea level, and of that above the ellipsoid."""

    ground: tuple[float, float] | None
    geoid: tuple[float, float] | None


_MOST_HELD = 50_000
_held: dict[tuple[int, int], tuple[Polygon | Circle, Terrain, _Relief]] = {}
"""by the identity of the objects they were made from, which it holds so that no id is used again"""


def _within(outline: Polygon | Circle, terrain: Terrain) -> _Relief:
    """Looked up by the hundred thousand while planning, so found once per outline."""
    key = id(outline), id(terrain)
    held = _held.get(key)
    if held is None:
        box = box_of(outline)
        relief = _Relief(terrain.ground_range_amsl_m(box), undulation_range_m(terrain.geoid, box))
        if len(_held) >= _MOST_HELD:
            _held.clear()
        held = _held[key] = outline, terrain, relief
    return held[2]
