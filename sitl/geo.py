"""Metres on the WGS84 ellipsoid, for short distances: degrees are scaled by the local radii of curvature.

Scaling at the mid latitude is true to 1e-6 of the distance within 50 km (second-order terms cancel there).
"""

from __future__ import annotations

from math import atan2, cos, degrees, hypot, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

A_M = 6378137.0
"""WGS84 semi-major axis"""
E2 = 6.69437999014e-3
"""WGS84 first eccentricity squared"""


def metres_per_degree(lat_deg: float) -> tuple[float, float]:
    """North and east metres per degree of latitude and longitude there (radii M and N of the ellipsoid)."""
    s = sin(radians(lat_deg))
    w2 = 1.0 - E2 * s * s
    n = A_M / sqrt(w2)
    m = n * (1.0 - E2) / w2
    return radians(m), radians(n * cos(radians(lat_deg)))


def metres_per_degree_array(lat_deg: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`metres_per_degree` for many latitudes."""
    phi = np.radians(lat_deg)
    w2 = 1.0 - E2 * np.sin(phi) ** 2
    n = A_M / np.sqrt(w2)
    return np.radians(n * (1.0 - E2) / w2), np.radians(n * np.cos(phi))


def offset_m(from_lat: float, from_lon: float, to_lat: float, to_lon: float) -> tuple[float, float]:
    """North and east metres from the one to the other."""
    per_lat, per_lon = metres_per_degree((from_lat + to_lat) / 2.0)
    return (to_lat - from_lat) * per_lat, (to_lon - from_lon) * per_lon


def distance_m(from_lat: float, from_lon: float, to_lat: float, to_lon: float) -> float:
    return hypot(*offset_m(from_lat, from_lon, to_lat, to_lon))


def bearing_deg(from_lat: float, from_lon: float, to_lat: float, to_lon: float) -> float:
    """Clockwise from true north, 0 ≤ bearing < 360."""
    north, east = offset_m(from_lat, from_lon, to_lat, to_lon)
    return degrees(atan2(east, north)) % 360.0


def shifted(lat: float, lon: float, north_m: float, east_m: float) -> tuple[float, float]:
    """The point that many metres north and east."""
    per_lat, _ = metres_per_degree(lat)
    to_lat = lat + north_m / per_lat
    _, per_lon = metres_per_degree((lat + to_lat) / 2.0)
    return to_lat, lon + east_m / per_lon
