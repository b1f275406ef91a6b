"""Weather and ground: what vehicles fly through and boxes warm up in."""

from __future__ import annotations

from math import cos, exp, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from sitl.geo import metres_per_degree
from sitl.sun import elevation_deg, irradiance_w_m2
from sitl.terrain import Terrain
from sitl.worldspec import FrontSpec, WorldSpec

GUST_S = 8.0
"""correlation time of gusts: Dryden's length scale near 100 m at 12 m/s"""
SHEAR_TOP_M = 200.0
"""above ground; the power law belongs to the surface layer, and above it wind no longer follows the ground"""
WARMEST_H = 15.0
"""local solar time: the air is warmest some hours after the sun was highest"""
SUN_EVERY_S = 30.0
"""the sun moves 0.1° in that"""

Array = NDArray[np.float64]


class _Front:
    """How much of a front a place has: 0 before it comes, 1 once its ramp is over."""

    def __init__(self, spec: FrontSpec) -> None:
        self.spec = spec
        self._ramp_s = max(spec.ramp_s, 1e-3)

    def share(self, elapsed_s: float, lat: Array, lon: Array) -> Array | float:
        since_s = elapsed_s - self._comes_s(lat, lon)
        return np.clip(since_s / self._ramp_s, 0.0, 1.0)

    def _comes_s(self, lat: Array, lon: Array) -> Array | float:
        s = self.spec
        if s.lat_deg is None or s.lon_deg is None or s.towards_deg is None or s.speed_m_s is None:
            return s.at_s
        per_lat, per_lon = metres_per_degree(s.lat_deg)
        towards = radians(s.towards_deg)
        along_m = (lat - s.lat_deg) * (per_lat * cos(towards)) + (lon - s.lon_deg) * (per_lon * sin(towards))
        return s.at_s + along_m / s.speed_m_s


class Weather:
    """Wind at each vehicle (mean by height, fronts, gusts), air by height and hour, sun, and the ground below.

    Gusts are an Ornstein-Uhlenbeck process per vehicle, exact for any step. The sun and the hour of the day are those
    of one place, `lat_deg` and `lon_deg`, for the whole world: 100 km away the sun stands within a degree of it.
    """

    def __init__(
        self,
        spec: WorldSpec,
        vehicles: int,
        rng: np.random.Generator,
        *,
        start_s: float = 0.0,
        lat_deg: float = 0.0,
        lon_deg: float = 0.0,
    ) -> None:
        self.spec = spec
        self.terrain = Terrain(spec.terrain, spec.ground_amsl_m)
        self.extra_north_m_s = 0.0
        """wind that faults add to the mean"""
        self.extra_east_m_s = 0.0
        self._start_s, self._lat_deg, self._lon_deg = start_s, lat_deg, lon_deg
        self._elapsed_s = 0.0
        self._rng = rng
        self._gust: Array = np.zeros((2, vehicles))
        self._fronts = [_Front(front) for front in spec.fronts]
        self._mean: tuple[Array | float, Array | float] = (spec.wind_north_m_s, spec.wind_east_m_s)
        self._sun_w_m2 = 0.0
        self._sun_until_s = 0.0

    def step(self, dt_s: float) -> None:
        self._elapsed_s += dt_s
        sigma = self.spec.gust_m_s
        if sigma > 0.0:
            keep = exp(-dt_s / GUST_S)
            kick = sigma * sqrt(1.0 - keep * keep)
            self._gust = keep * self._gust + kick * self._rng.standard_normal(self._gust.shape)

    # --- wind

    def wind(self, lat: Array, lon: Array, agl_m: Array) -> tuple[Array, Array]:
        """North and east at each vehicle, which is there, m/s."""
        north: Array | float = self.spec.wind_north_m_s
        east: Array | float = self.spec.wind_east_m_s
        for front in self._fronts:
            share = front.share(self._elapsed_s, lat, lon)
            north = north + (front.spec.wind_north_m_s - north) * share
            east = east + (front.spec.wind_east_m_s - east) * share
        north, east = north + self.extra_north_m_s, east + self.extra_east_m_s
        if self.spec.wind_shear_exponent > 0.0:
            shear = self.shear(agl_m)
            north, east = north * shear, east * shear
        self._mean = (north, east)
        return north + self._gust[0], east + self._gust[1]

    def shear(self, agl_m: Array) -> Array:
        """Wind at a height as a share of that at the reference height: (z / z_ref)^α, Hellmann's power law."""
        height = np.clip(agl_m, 0.0, SHEAR_TOP_M)
        return np.asarray((height / self.spec.wind_reference_agl_m) ** self.spec.wind_shear_exponent)

    def mean(self, i: int) -> tuple[float, float]:
        """North and east at vehicle i without gusts, as of the last `wind`, m/s."""
        north, east = self._mean
        return float(np.ravel(north)[i % np.size(north)]), float(np.ravel(east)[i % np.size(east)])

    # --- ground, air and sun

    def ground_amsl_m(self, lat_deg: float, lon_deg: float) -> float:
        return self.terrain.at(lat_deg, lon_deg)

    def ambient_c(self, amsl_m: float) -> float:
        s = self.spec
        at_s = self._start_s + self._elapsed_s
        hour = at_s / 3600.0 + self._lon_deg / 15.0
        day_k = s.day_amplitude_k * cos(2.0 * pi * (hour - WARMEST_H) / 24.0) if s.day_amplitude_k else 0.0
        return s.ambient_c + day_k - s.lapse_k_km * (amsl_m - s.ground_amsl_m) / 1000.0

    def sun_w_m2(self) -> float:
        """On level ground, through the clouds; 0 where the spec has no sun."""
        if self.spec.sun and self._elapsed_s >= self._sun_until_s:
            self._sun_until_s = self._elapsed_s + SUN_EVERY_S
            elevation = elevation_deg(self._start_s + self._elapsed_s, self._lat_deg, self._lon_deg)
            self._sun_w_m2 = irradiance_w_m2(elevation, self.spec.cloud_cover)
        return self._sun_w_m2
