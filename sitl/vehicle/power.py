"""Electrical power, from two measured points: hover and cruise of the empty vehicle.

Hover power grows with mass as (m/m0)^1.5 (momentum theory at constant figure of merit). Forward flight follows
Glauert: induced power falls with airspeed, profile power stays, parasite power grows with its cube; the parasite
coefficient is what makes the cruise figure come true.

A wing's polar: parasite power grows with the cube of airspeed, induced power is lift² over airspeed (Anderson,
Introduction to Flight, 6.5). The cruise figure fixes both, given their shares there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sitl.spec import Performance

G_M_S2 = 9.80665
INDUCED_SHARE = 0.75
"""of hover power; the rest drags the blades (profile power). Leishman, Principles of Helicopter Aerodynamics, ch. 2"""
CLIMB_EFFICIENCY = 0.75
DESCENT_GAIN = 0.3
"""share of the potential energy that lightens the rotors in a descent; the rest is lost in their wake"""
IDLE_SHARE = 0.06
"""of hover power, armed on the ground"""

WING_INDUCED_SHARE = 0.4
"""of a wing's power in cruise: one half would be the speed of longest range, and types cruise faster than that"""
PUSHER_EFFICIENCY = 0.6
"""motor, speed controller and propeller"""
GLIDE_GAIN = 0.6
"""share of the potential energy that a descent on the wing saves; the pusher cannot give less than nothing"""

Array = NDArray[np.float64]

# Arrays of no dimension: numpy makes one of a Python float at every use, on a small fleet dearer than the sum itself.
_HALF, _ONE, _G = np.array(0.5), np.array(1.0), np.array(G_M_S2)
_INDUCED, _PROFILE = np.array(INDUCED_SHARE), np.array(1.0 - INDUCED_SHARE)
_CLIMBING, _DESCENDING = np.array(CLIMB_EFFICIENCY), np.array(DESCENT_GAIN)


class PowerModel:
    """For n vehicles at once."""

    def __init__(self, vehicles: Sequence[Performance], winged: NDArray[np.bool_]) -> None:
        def column(name: str) -> Array:
            return np.array([getattr(p, name) for p in vehicles], dtype=np.float64)

        self.avionics_w = column("avionics_w")
        self.empty_kg = column("empty_mass_kg")
        self.rotor_w = column("hover_power_w") - self.avionics_w
        self.idle_w = self.avionics_w + IDLE_SHARE * self.rotor_w
        # Power into the wake is thrust times induced speed.
        self.hover_induced_m_s = INDUCED_SHARE * self.rotor_w / (self.empty_kg * G_M_S2)
        cruise = column("cruise_m_s")
        self._weigh(self.empty_kg)
        self.parasite_w_s3 = np.zeros(len(vehicles))
        without_drag = self._level(self.empty_kg, cruise)
        self.cruise_w = column("cruise_power_w")
        pusher_w = self.cruise_w - self.avionics_w
        self.induced_w_m_s = WING_INDUCED_SHARE * pusher_w * cruise
        """times (m/m0)² over airspeed"""
        # A figure below what the rotors need alone cannot be met by drag; then there is none.
        drag_w = np.where(winged, (1.0 - WING_INDUCED_SHARE) * pusher_w, np.maximum(0.0, self.cruise_w - without_drag))
        self.parasite_w_s3 = drag_w / cruise**3

    def _weigh(self, mass_kg: Array) -> None:
        """What mass alone decides is kept for as long as the same array is given."""
        ratio = mass_kg / self.empty_kg
        root = np.sqrt(ratio)
        self._mass_kg, self._weight_n = mass_kg, mass_kg * _G
        self._induced_m_s, self._hover_w = self.hover_induced_m_s * root, self.rotor_w * ratio * root

    def _level(self, mass_kg: Array, airspeed_m_s: Array) -> Array:
        if mass_kg is not self._mass_kg:
            self._weigh(mass_kg)
        x = airspeed_m_s / self._induced_m_s
        half_x2 = _HALF * (x * x)
        glauert = np.sqrt(np.sqrt(half_x2 * half_x2 + _ONE) - half_x2)
        rotor = self._hover_w * (_INDUCED * glauert + _PROFILE)
        level: Array = self.avionics_w + rotor + self.parasite_w_s3 * (airspeed_m_s * airspeed_m_s * airspeed_m_s)
        return level

    def flying_w(self, mass_kg: Array, airspeed_m_s: Array, up_m_s: Array) -> Array:
        level = self._level(mass_kg, airspeed_m_s)
        weight_w = self._weight_n * up_m_s
        # Upwards the first is the greater, downwards the second.
        climb = np.maximum(weight_w / _CLIMBING, weight_w * _DESCENDING)
        flying: Array = np.maximum(level + climb, self.avionics_w)
        return flying

    def wing_w(self, k: NDArray[np.intp], mass_kg: Array, airspeed_m_s: Array, up_m_s: Array, load: Array) -> Array:
        """Of the vehicles `k` on their wings; `load` is lift over weight, more than 1 in a turn."""
        lift = load * mass_kg / self.empty_kg[k]
        induced = self.induced_w_m_s[k] * lift**2 / np.maximum(airspeed_m_s, 1.0)
        weight_w = mass_kg * G_M_S2 * up_m_s
        climb = np.where(up_m_s > 0.0, weight_w / PUSHER_EFFICIENCY, weight_w * GLIDE_GAIN)
        pushed = self.parasite_w_s3[k] * airspeed_m_s**3 + induced + climb
        return np.asarray(self.avionics_w[k] + np.maximum(0.0, pushed))

    @staticmethod
    def pusher_w(mass_kg: Array, airspeed_m_s: Array, acceleration_m_s2: Array) -> Array:
        """To speed a vehicle up."""
        return np.asarray(mass_kg * acceleration_m_s2 * airspeed_m_s / PUSHER_EFFICIENCY)
