"""Heights with unit and datum, and what they are measured from: the ground, mean sea level, the ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geofences.geodesy import Box, LatLon

M_PER_FT = 0.3048

Array = NDArray[np.float64]


class Datum(StrEnum):
    """What a height is measured from."""

    AGL = "AGL"
    """the ground below"""
    AMSL = "AMSL"
    """mean sea level (EGM96, as PX4 reports altitude)"""
    WGS84 = "WGS84"
    """the ellipsoid"""


@dataclass(frozen=True, slots=True)
class Height:
    """A height in metres over its datum."""

    value_m: float
    datum: Datum

    def __post_init__(self) -> None:
        if not isfinite(self.value_m):
            raise ValueError(f"height {self.value_m} is not finite")


class Geoid(Protocol):
    """How far mean sea level lies above the ellipsoid."""

    def undulation_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        """At each place; NaN where it is not known."""
        ...


class Terrain(Protocol):
    """The ground: where it is not known, it says None or NaN and the caller must refuse or assume all heights."""

    def ground_amsl_m(self, at: LatLon) -> float | None: ...

    def ground_amsl_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        """The ground at each of n places, metres; NaN where it is not known."""
        at = zip(lat_deg.tolist(), lon_deg.tolist(), strict=True)
        ground = [self.ground_amsl_m(LatLon(lat, lon)) for lat, lon in at]
        return np.array([nan if g is None else g for g in ground], dtype=np.float64)

    def ground_range_amsl_m(self, box: Box) -> tuple[float, float] | None:
        """Lowest and highest ground in a box; None where any of it is not known.

        This default looks at 24 × 24 places: relief between them is left to the margin in height.
        """
        lat, lon = box.lattice(24)
        ground = self.ground_amsl_m_many(lat, lon)
        return None if np.isnan(ground).any() else (float(ground.min()), float(ground.max()))

    @property
    def geoid(self) -> Geoid | None:
        """Where mean sea level is; None: heights over the ellipsoid cannot be resolved."""
        return None


@dataclass(frozen=True, slots=True)
class FlatTerrain(Terrain):
    """Level ground at one elevation: the default where no terrain file is configured."""

    elevation_amsl_m: float = 0.0
    geoid: Geoid | None = None

    def ground_amsl_m(self, at: LatLon) -> float | None:
        return self.elevation_amsl_m

    def ground_amsl_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        return np.full(len(lat_deg), self.elevation_amsl_m)

    def ground_range_amsl_m(self, box: Box) -> tuple[float, float] | None:
        return self.elevation_amsl_m, self.elevation_amsl_m


def amsl_m_many(limit: Height, lat_deg: Array, lon_deg: Array, terrain: Terrain) -> Array:
    """A height limit in metres above mean sea level at each of n places; NaN where it cannot be resolved."""
    return limit.value_m + _zero_amsl_m(limit.datum, lat_deg, lon_deg, terrain)


def in_datum(height: Height, datum: Datum, at: LatLon, terrain: Terrain) -> Height | None:
    """The same height over another datum; None where it cannot be resolved."""
    lat, lon = np.array([at.lat_deg]), np.array([at.lon_deg])
    value_m = amsl_m_many(height, lat, lon, terrain) - _zero_amsl_m(datum, lat, lon, terrain)
    return Height(float(value_m[0]), datum) if np.isfinite(value_m[0]) else None


def _zero_amsl_m(datum: Datum, lat_deg: Array, lon_deg: Array, terrain: Terrain) -> Array:
    """Where a datum has its zero, metres above mean sea level; NaN where it is not known."""
    if datum is Datum.AGL:
        return terrain.ground_amsl_m_many(lat_deg, lon_deg)
    if datum is Datum.AMSL:
        return np.zeros(len(lat_deg))
    if terrain.geoid is None:
        return np.full(len(lat_deg), nan)
    return -terrain.geoid.undulation_m_many(lat_deg, lon_deg)
