"""Positions on the WGS84 ellipsoid and a local metric frame for an area of operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from geofences.values import quick

_GEOD = Geod(ellps="WGS84")


@quick
@dataclass(frozen=True, slots=True)
class LatLon:
    """A position in degrees, WGS84. Raises ValueError outside ±90 / ±180 or for a number that is not finite."""

    lat_deg: float
    lon_deg: float

    def __post_init__(self) -> None:
        if not -90.0 <= self.lat_deg <= 90.0:  # nor is NaN
            raise ValueError(f"latitude {self.lat_deg} is not within -90..90 degrees")
        if not -180.0 <= self.lon_deg <= 180.0:
            raise ValueError(f"longitude {self.lon_deg} is not within -180..180 degrees")


@dataclass(frozen=True, slots=True)
class Box:
    """What lies between two parallels and two meridians; across the antimeridian it cannot be told."""

    south_deg: float
    west_deg: float
    north_deg: float
    east_deg: float

    @property
    def corners(self) -> tuple[LatLon, LatLon, LatLon, LatLon]:
        """South-west, south-east, north-west, north-east."""
        a, b, c, d = self.south_deg, self.west_deg, self.north_deg, self.east_deg
        return LatLon(a, b), LatLon(a, d), LatLon(c, b), LatLon(c, d)

    @property
    def middle(self) -> LatLon:
        return LatLon((self.south_deg + self.north_deg) / 2, (self.west_deg + self.east_deg) / 2)

    def lattice(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes of n × n places, the edges among them."""
        lat, lon = np.meshgrid(
            np.linspace(self.south_deg, self.north_deg, n), np.linspace(self.west_deg, self.east_deg, n)
        )
        return lat.ravel(), lon.ravel()


def distance_m(a: LatLon, b: LatLon) -> float:
    """Geodesic distance on WGS84 in metres (Karney 2013, through PROJ)."""
    return float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[2])


def bearing_deg(a: LatLon, b: LatLon) -> float:
    """Initial geodesic bearing from a to b, degrees clockwise from true north, 0 ≤ bearing < 360."""
    return float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[0]) % 360.0


def destination(a: LatLon, bearing: float, distance: float) -> LatLon:
    """The point `distance` metres from a along the geodesic with initial `bearing` degrees."""
    lon, lat, _ = _GEOD.fwd(a.lon_deg, a.lat_deg, bearing, distance, return_back_azimuth=True)
    return LatLon(float(lat), float(lon))


class LocalFrame:
    """East-north metres about an origin: ellipsoidal azimuthal equidistant projection (Snyder 1987, PROJ `aeqd`).

    `frame_error_m` bounds what is wrong with it: 0.4 m within 50 km of the origin, 11 m within 150 km.
    """

    def __init__(self, origin: LatLon) -> None:
        self.origin = origin
        crs = f"+proj=aeqd +lat_0={origin.lat_deg!r} +lon_0={origin.lon_deg!r} +ellps=WGS84 +units=m"
        self._forward = Transformer.from_crs("EPSG:4326", crs, always_xy=True)

    def to_xy(self, points: Sequence[LatLon]) -> NDArray[np.float64]:
        """(n, 2) east, north in metres."""
        lon = np.array([p.lon_deg for p in points], dtype=np.float64)
        lat = np.array([p.lat_deg for p in points], dtype=np.float64)
        x, y = self._forward.transform(lon, lat)
        return np.column_stack([x, y])

    def to_latlon(self, xy: NDArray[np.float64] | Sequence[tuple[float, float]]) -> list[LatLon]:
        """The inverse of `to_xy` for an (n, 2) array."""
        grid = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        lon, lat = self._forward.transform(grid[:, 0], grid[:, 1], direction="INVERSE")
        return [LatLon(float(la), float(lo)) for la, lo in zip(lat, lon, strict=True)]


def frame_error_m(radius_m: float) -> float:
    """Bound on a frame's error between two places within a radius of its origin, up to 85° latitude, in metres.

    On their distance, and on how far the straight line between them leaves the geodesic. A sphere's curvature makes it
    grow as the cube of the radius; the factor is measured and holds to 200 km.
    """
    return 0.4 * (radius_m / 50_000.0) ** 3


@lru_cache(maxsize=64)
def local_frame(origin: LatLon) -> LocalFrame:
    """A cached frame: building a projection costs a millisecond, using one a microsecond."""
    return LocalFrame(origin)
