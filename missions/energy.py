"""Time and energy of flight: simple physics of a multirotor, or of a wing, in uniform wind.

Power grows with mass as m^1.5: the ideal power of a hovering rotor is T^1.5 / sqrt(2 ρ A) with thrust T = m g (momentum
theory; Leishman, Principles of Helicopter Aerodynamics, 2.2), and the type's measured powers fix the constant. Cruise
power is scaled alike, which overstates it a little: only its induced part grows so. Climbing adds m g v through the
drive train's efficiency; descending is counted as hovering, since what it saves in power is lost in vortices.

A VTOL cruises on its wing, where the induced part of its power grows as m² and the rest not at all (drag polar;
Anderson, Introduction to Flight, 6.5). It goes up and down on its rotors, and every such climb is followed, every such
descent preceded by a transition.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sin, sqrt

from missions.snapshot import Wind
from missions.vehicles import Airframe, VehicleType

G_M_S2 = 9.80665
CLIMB_EFFICIENCY = 0.6
"""electric power to climb power: motor, speed controller and rotor together"""
WING_INDUCED_SHARE = 0.5
"""of a wing's power in cruise. At the speed of longest range it is one half, above it less: a load is overstated"""
TRANSITION_S = 15.0
"""of hover power that a transition costs beyond the leg itself: turning to the course and speeding up with rotors and
pusher together, or braking and the last metres to the pad"""
STILL = Wind(0.0, 0.0)
HOVERING_M_S = 1.0
"""slower than this over ground a multirotor hovers"""
TILT_IN_HAND = 1.25
"""airspeed at full tilt to that of cruise. Up to it power grows about as airspeed: what the rotors save in inflow is
taken by drag; below cruise it hardly falls (the bottom of the power curve; Leishman, 5.5)"""


@dataclass(frozen=True, slots=True)
class LegCost:
    time_s: float
    energy_wh: float

    def __add__(self, other: LegCost) -> LegCost:
        return LegCost(self.time_s + other.time_s, self.energy_wh + other.energy_wh)


FREE = LegCost(0.0, 0.0)


def mass_kg(vehicle: VehicleType, payload_kg: float) -> float:
    return vehicle.empty_mass_kg + payload_kg


def hover_power_w(vehicle: VehicleType, payload_kg: float) -> float:
    return float(vehicle.hover_power_w * (mass_kg(vehicle, payload_kg) / vehicle.empty_mass_kg) ** 1.5)


def cruise_power_w(vehicle: VehicleType, payload_kg: float) -> float:
    """At cruise airspeed."""
    ratio = mass_kg(vehicle, payload_kg) / vehicle.empty_mass_kg
    if vehicle.airframe is Airframe.VTOL:
        return float(vehicle.cruise_power_w * (1.0 + WING_INDUCED_SHARE * (ratio**2 - 1.0)))
    return float(vehicle.cruise_power_w * ratio**1.5)


def ground_speed_m_s(airspeed_m_s: float, track_deg: float, wind: Wind) -> float | None:
    """Speed over ground along a track, by the wind triangle; None where the wind does not let the track be held.

    v_ground = w·t + sqrt(v_air² − (w×t)²), with t the unit vector of the track and w the air's motion.
    """
    north, east = cos(radians(track_deg)), sin(radians(track_deg))
    along = wind.north_m_s * north + wind.east_m_s * east
    across = wind.east_m_s * north - wind.north_m_s * east
    if abs(across) >= airspeed_m_s:
        return None
    speed = along + sqrt(airspeed_m_s**2 - across**2)
    return speed if speed > 0.5 else None  # slower than a walk is no progress to plan with


def planned_power_w(
    vehicle: VehicleType,
    payload_kg: float,
    *,
    north_m_s: float,
    east_m_s: float,
    climb_m_s: float,
    wind: Wind = STILL,
    on_wing: bool = False,
) -> float:
    """What a plan reckons for a moment flown like this, at a velocity over ground."""
    lift_w = max(0.0, mass_kg(vehicle, payload_kg) * G_M_S2 * climb_m_s / CLIMB_EFFICIENCY)
    hover, speed = hover_power_w(vehicle, payload_kg), hypot(north_m_s, east_m_s)
    if speed < HOVERING_M_S or (vehicle.airframe is Airframe.VTOL and not on_wing):
        return hover + lift_w
    cruise = cruise_power_w(vehicle, payload_kg)
    metre = metre_ws(vehicle, payload_kg, degrees(atan2(east_m_s, north_m_s)), wind)
    cruise_w = cruise if metre is None else metre * speed
    return cruise_w + max(0.0, 1.0 - speed / vehicle.cruise_m_s) * hover + lift_w


def metre_ws(vehicle: VehicleType, payload_kg: float, track_deg: float, wind: Wind) -> float | None:
    """What a metre of cruise along a track costs, watt seconds; None where the wind does not let it be held.

    A wing holds its airspeed. A multirotor's autopilot holds its speed over ground (PX4 MPC_XY_CRUISE) as long as tilt
    reaches: against the wind at more power, since drag grows, with the wind in no less time.
    """
    speed, power = ground_speed_m_s(vehicle.cruise_m_s, track_deg, wind), cruise_power_w(vehicle, payload_kg)
    if speed is None:
        return None
    if vehicle.airframe is Airframe.VTOL:
        return power / speed
    most = TILT_IN_HAND * vehicle.cruise_m_s
    held = min(vehicle.cruise_m_s, ground_speed_m_s(most, track_deg, wind) or speed)
    north, east = cos(radians(track_deg)), sin(radians(track_deg))
    airspeed = hypot(held * north - wind.north_m_s, held * east - wind.east_m_s)
    return power * max(1.0, airspeed / vehicle.cruise_m_s) / held


def slowest_ground_speed_m_s(vehicle: VehicleType, wind: Wind) -> float | None:
    """Over all tracks: straight against the wind; None if that is no progress."""
    speed = vehicle.cruise_m_s - hypot(wind.north_m_s, wind.east_m_s)
    return speed if speed > 0.5 else None


def climb_cost(vehicle: VehicleType, payload_kg: float, height_m: float) -> LegCost:
    """Straight up (positive) or down (negative) by `height_m`, with the transition of a VTOL."""
    cost = _vertical(vehicle, payload_kg, height_m)
    return cost + hover_cost(vehicle, payload_kg, TRANSITION_S) if vehicle.airframe is Airframe.VTOL else cost


def _vertical(vehicle: VehicleType, payload_kg: float, height_m: float) -> LegCost:
    hover = hover_power_w(vehicle, payload_kg)
    if height_m >= 0:
        time_s = height_m / vehicle.climb_m_s
        power = hover + mass_kg(vehicle, payload_kg) * G_M_S2 * vehicle.climb_m_s / CLIMB_EFFICIENCY
    else:
        time_s = -height_m / vehicle.descent_m_s
        power = hover
    return LegCost(time_s, power * time_s / 3600.0)


def hover_cost(vehicle: VehicleType, payload_kg: float, time_s: float) -> LegCost:
    return LegCost(time_s, hover_power_w(vehicle, payload_kg) * time_s / 3600.0)


def leg_energy(
    vehicle: VehicleType, payload_kg: float, *, length_m: float, track_deg: float, climb_m: float, wind: Wind = STILL
) -> LegCost | None:
    """A straight leg of `length_m` over ground that ends `climb_m` higher (or lower) than it begins.

    None where the wind does not let the track be held. The time is that of the slower of the two motions.
    """
    if length_m < 0.5:
        return climb_cost(vehicle, payload_kg, climb_m)
    speed = ground_speed_m_s(vehicle.cruise_m_s, track_deg, wind)
    metre = metre_ws(vehicle, payload_kg, track_deg, wind)
    if speed is None or metre is None:
        return None
    vertical = _vertical(vehicle, payload_kg, climb_m)
    time_s = max(length_m / speed, vertical.time_s)
    lift = max(0.0, mass_kg(vehicle, payload_kg) * G_M_S2 * climb_m / CLIMB_EFFICIENCY)
    cruise_ws = metre * length_m
    if vertical.time_s > length_m / speed:  # so steep that it is flown slowly
        slowly_w = max(cruise_power_w(vehicle, payload_kg), hover_power_w(vehicle, payload_kg))
        cruise_ws = max(cruise_ws, slowly_w * time_s)
    return LegCost(time_s, (cruise_ws + lift) / 3600.0)
