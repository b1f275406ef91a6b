"""How long a straight piece of route takes in uniform wind.

The time to fly a displacement d at air speed v in a wind w is the least t with |d − w t| = v t (the wind triangle), so
t = |d|² / (d·w + sqrt((d·w)² + (v² − |w|²) |d|²)). Times of a displacement add up like lengths: none is longer than
the sum of two that lead there (what two pieces reach, one mean velocity reaches in the same time). So a path of least
time bends where a shortest path may bend, at tangent corners; only there and back differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pace:
    """Constant air speed in uniform wind; the wind is the motion of the air, towards east and north."""

    air_speed_m_s: float
    wind_east_m_s: float = 0.0
    wind_north_m_s: float = 0.0

    def seconds(self, dx_m: Array, dy_m: Array) -> Array:
        """Time of each displacement (east, north); inf where the wind does not let it be flown straight."""
        square = dx_m * dx_m + dy_m * dy_m
        along = dx_m * self.wind_east_m_s + dy_m * self.wind_north_m_s
        spare = self.air_speed_m_s**2 - self.wind_east_m_s**2 - self.wind_north_m_s**2
        under = along * along + spare * square
        if spare > 0.0:  # the same with no case to tell apart, and in half the calls
            always: Array = (np.sqrt(under) - along) / spare
            return always
        reach = along + np.sqrt(np.maximum(under, 0.0))
        held = (under >= 0.0) & (reach > 0.0)
        seconds: Array = np.where(held, square / np.where(held, reach, 1.0), np.where(square > 0.0, np.inf, 0.0))
        return seconds
