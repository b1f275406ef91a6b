"""An independent observer: what a vehicle says on a second link, to somebody who only listens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fix:
    at_s: float
    lat_deg: float
    lon_deg: float
    amsl_m: float
    relative_m: float
    ground_m_s: float


@dataclass(frozen=True, slots=True)
class Landing:
    at_s: float
    lat_deg: float
    lon_deg: float
    battery_pct: float | None


@dataclass(slots=True)
class Sighting:
    """One vehicle, as seen from outside. Each list is in the order of time."""

    vehicle_id: str
    fixes: list[Fix] = field(default_factory=list)
    modes: list[tuple[float, int]] = field(default_factory=list)
    """(at_s, custom_mode), at each change"""
    armed: list[tuple[float, bool]] = field(default_factory=list)
    takeoffs: list[float] = field(default_factory=list)
    landings: list[Landing] = field(default_factory=list)
    battery: list[tuple[float, float]] = field(default_factory=list)
    """(at_s, percent), at each change"""
    states: list[tuple[float, int]] = field(default_factory=list)
    """(at_s, MAV_STATE), at each change"""
