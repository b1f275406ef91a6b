"""Weather and ground: what vehicles fly through and boxes warm up in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitl.spec import WorldSpec

GUST_S = 8.0
"""correlation time of gusts: Dryden's length scale near 100 m at 12 m/s"""


class Weather:
    """Mean wind and gusts per vehicle (an Ornstein-Uhlenbeck process, exact for any step), and air by height."""

    def __init__(self, spec: WorldSpec, vehicles: int, rng: np.random.Generator) -> None:
        self.spec = spec
        self._rng = rng
        self._gust: NDArray[np.float64] = np.zeros((2, vehicles))
        self.extra_north_m_s = 0.0
        """wind that faults add to the mean"""
        self.extra_east_m_s = 0.0

    def step(self, dt_s: float) -> None:
        sigma = self.spec.gust_m_s
        if sigma > 0.0:
            keep = np.exp(-dt_s / GUST_S)
            kick = sigma * np.sqrt(1.0 - keep * keep)
            self._gust = keep * self._gust + kick * self._rng.standard_normal(self._gust.shape)

    def mean(self) -> tuple[float, float]:
        """North and east, m/s."""
        return self.spec.wind_north_m_s + self.extra_north_m_s, self.spec.wind_east_m_s + self.extra_east_m_s

    def wind(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """North and east at each vehicle, m/s."""
        north, east = self.mean()
        return north + self._gust[0], east + self._gust[1]

    def ground_amsl_m(self, lat_deg: float, lon_deg: float) -> float:
        """Flat for now; every reader asks by place."""
        return self.spec.ground_amsl_m

    def ambient_c(self, amsl_m: float) -> float:
        return self.spec.ambient_c - self.spec.lapse_k_km * (amsl_m - self.spec.ground_amsl_m) / 1000.0
