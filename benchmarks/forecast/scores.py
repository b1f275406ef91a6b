"""Scores of forecasts: how often the truth lies inside, and how sharp they are for it."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Z90 = 1.6448536269514722
"""half of a normal distribution's 90 % interval, in standard deviations"""


def coverage(truth: Array, low: Array, high: Array) -> float:
    """Percent of truths inside."""
    return round(100.0 * float(np.mean((truth >= low) & (truth <= high))), 1)


def interval_score(truth: Array, low: Array, high: Array) -> float:
    """Of a central 90 % interval: its width, and 20 times what it misses by (Gneiting & Raftery 2007, eq. 43)."""
    missed = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    return round(float(np.mean(high - low + 20.0 * missed)), 3)


def crps_normal(truth: Array, mean: Array, sd: Array) -> float:
    """Mean continuous ranked probability score of normal distributions (Gneiting & Raftery 2007, section 4.2)."""
    z = (truth - mean) / sd
    cdf = np.array([NormalDist().cdf(x) for x in z])
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return round(float(np.mean(sd * (z * (2.0 * cdf - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi)))), 3)
