"""Heights with unit and datum, and the ground below them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Protocol

from geofences.geodesy import LatLon

M_PER_FT = 0.3048


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


class Terrain(Protocol):
    """The ground: where it is not known, it says None and the caller must refuse or assume all heights."""

    def ground_amsl_m(self, at: LatLon) -> float | None: ...


@dataclass(frozen=True, slots=True)
class FlatTerrain:
    """Level ground at one elevation: the default where no terrain file is configured."""

    elevation_amsl_m: float = 0.0

    def ground_amsl_m(self, at: LatLon) -> float | None:
        return self.elevation_amsl_m
