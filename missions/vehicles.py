"""Vehicle types and their performance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Airframe(StrEnum):
    MULTIROTOR = "multirotor"
    VTOL = "vtol"


@dataclass(frozen=True, slots=True)
class ReturnRule:
    """How PX4 returns by itself, from the parameters that the vehicle's contract demands; else PX4's own defaults."""

    rtl_type: int = 0
    """RTL_TYPE; 0: straight to the horizontally closest of home and rally points"""
    lowest_m: float = 30.0
    """RTL_RETURN_ALT above the destination, the least and the most of it"""
    highest_m: float = 30.0


@dataclass(frozen=True, slots=True)
class VehicleType:
    """Performance at mean sea level in still air; powers include avionics, without and with the payload as noted."""

    name: str
    airframe: Airframe
    cruise_m_s: float
    """true airspeed in cruise"""
    climb_m_s: float
    descent_m_s: float
    hover_power_w: float
    """with an empty vehicle; grows with mass as (m/m0)^1.5 (momentum theory)"""
    cruise_power_w: float
    empty_mass_kg: float
    """with battery, without box"""
    max_payload_kg: float
    battery_wh: float
    max_wind_m_s: float
    min_turn_radius_m: float = 0.0
    """room that turns and circles take beside a route, in the strongest wind it may fly in; plans keep it clear"""
    returns: ReturnRule = ReturnRule()


@dataclass(frozen=True, slots=True)
class Vehicle:
    vehicle_id: str
    type: VehicleType
    home_site: str
    system_id: int
    """MAVLink system id"""
