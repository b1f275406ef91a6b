"""Items of plans, placed in metres from home."""

from __future__ import annotations

import math
from typing import Any

HOME = (7.5, 38.2)
GROUND_M = 420.0
METRES_PER_DEGREE = 110_598.0
"""of latitude at HOME; the suite measures tens of metres"""


def place(north_m: float, east_m: float) -> tuple[int, int]:
    """Degrees × 1e7 of a place given in metres from home."""
    lat = HOME[0] + north_m / METRES_PER_DEGREE
    lon = HOME[1] + east_m / (METRES_PER_DEGREE * math.cos(math.radians(HOME[0])))
    return round(lat * 1e7), round(lon * 1e7)


def item(command: int, north_m: float = 0.0, east_m: float = 0.0, z: float = 10.0, **more: Any) -> dict[str, Any]:
    """An item in frame 6 unless told otherwise; `frame=2` has no place. param4 of a place is NaN: any heading."""
    frame = more.pop("frame", 6)
    x, y = (0, 0) if frame == 2 else place(north_m, east_m)
    base = {f"param{i}": 0.0 for i in (1, 2, 3)} | {"param4": 0.0 if frame == 2 else math.nan}
    return base | {"command": command, "frame": frame, "x": x, "y": y, "z": 0.0 if frame == 2 else z} | more


def circle(command: int, radius_m: float, north_m: float = 0.0) -> dict[str, Any]:
    """A fence circle: 5003 to stay in, 5004 to keep out."""
    return item(command, north_m, 0.0, z=0.0, frame=0, param1=radius_m, param4=0.0)


def polygon(command: int, *corners: tuple[float, float]) -> list[dict[str, Any]]:
    """A fence polygon: 5001 to stay in, 5002 to keep out; corners in metres from home."""
    return [item(command, n, e, z=0.0, frame=0, param1=float(len(corners)), param4=0.0) for n, e in corners]


def square(command: int, half_m: float, north_m: float = 0.0) -> list[dict[str, Any]]:
    low, high = north_m - half_m, north_m + half_m
    return polygon(command, (low, -half_m), (low, half_m), (high, half_m), (high, -half_m))
