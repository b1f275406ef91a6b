"""How a standard VTOL moves while its wing or its pusher works: a point mass in coordinated flight.

The nose points along `yaw`; the airspeed along it follows a setpoint, sideslip dies away, a turn is a bank. Over ground
the air's motion is added, so the wind triangle, crab angles and drift come by themselves. Guidance is a vector field
around a line or a circle (Nelson et al., Vector Field Path Following for Miniature Air Vehicles, 2007): the course
closes in on the path within a look-ahead length.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from math import cos, pi, sin
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sitl.spec import VehicleSpec

if TYPE_CHECKING:
    from sitl.vehicle.dynamics import FleetState

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

G_M_S2 = 9.80665
PUSH_M_S2 = 3.0
"""of the pusher at full throttle, before drag"""
AIRSPEED_M_S2 = 1.5
"""how fast a cruising wing changes its airspeed"""
SIDESLIP_S = 1.0
"""time constant in which the fin turns sideslip away"""
LOOK_AHEAD_S = 2.24
"""of flight: PX4's NPFG_PERIOD 10 s · NPFG_DAMPING 0.7 · NPFG_SW_DST_MLT 0.32"""
HEADING_GAIN_S = 1.0
"""1/s from heading error to turn rate"""
ROLL_RATE_RAD_S = 1.2
"""PX4 FW_R_RMAX, 70°/s"""
HEIGHT_S = 5.0
"""PX4 FW_T_ALT_TC"""
SINK_ACCELERATION_M_S2 = 3.0
MIN_GROUND_M_S = 5.0
"""PX4 FW_GND_SPD_MIN: against a stronger wind the airspeed rises, up to its maximum"""
BRAKING_M_S2 = 2.0
"""PX4 VT_B_DEC_MSS"""


class Regime(IntEnum):
    """What carries and drives a vehicle."""

    ROTORS = 0
    PUSHING = 1
    """front transition: rotors carry, the pusher drives along the nose"""
    WING = 2
    BRAKING = 3
    """back transition: rotors carry, speed over ground falls"""


class Wings:
    """The part of a fleet's state that only VTOLs use. Angles radians, clockwise from north; `circle` metres."""

    def __init__(self, vehicles: Sequence[VehicleSpec]) -> None:
        n = len(vehicles)
        self.fitted: NDArray[np.bool_] = np.array([v.model == "vtol" for v in vehicles])
        self.regime: NDArray[np.int8] = np.zeros(n, dtype=np.int8)
        self.busy = False
        """at least one vehicle is in a regime other than ROTORS"""
        self.bank = np.zeros(n)
        self.from_lat, self.from_lon = np.zeros(n), np.zeros(n)
        """where the line to the target begins"""
        self.circle = np.zeros(n)
        """radius around the target, clockwise; 0: fly the line"""
        self.airspeed = np.ones(n)
        """setpoint"""
        self.max_airspeed = np.array([v.performance.max_airspeed_m_s for v in vehicles])
        self.bank_limit = np.full(n, pi / 4)
        self.push = np.full(n, PUSH_M_S2)
        self.load = np.ones(n)
        """lift over weight"""

    def enter(self, i: int, regime: Regime) -> None:
        self.regime[i] = regime
        self.busy = bool(self.regime.any())
        if regime is not Regime.WING:
            self.bank[i], self.load[i] = 0.0, 1.0

    @staticmethod
    def pitot_m_s(fleet: FleetState, i: int) -> float:
        """Airspeed along the nose of vehicle i, as its sensor has it; before the wind there is none."""
        yaw = float(fleet.yaw[i])
        air_n, air_e = (fleet.v - fleet.wind)[:, i]
        return max(0.0, float(air_n) * cos(yaw) + float(air_e) * sin(yaw))

    def flying(self, lifted: NDArray[np.bool_]) -> Indices:
        """Those that move by `move` in this step."""
        return np.flatnonzero((self.regime != Regime.ROTORS) & lifted)

    def move(self, fleet: FleetState, k: Indices, dt: float, wind_n: Array, wind_e: Array) -> None:
        """New velocities and headings of the vehicles `k`; the fleet moves them by these."""
        regime, yaw = self.regime[k], fleet.yaw[k]
        was_n, was_e = fleet.vn[k], fleet.ve[k]
        wn, we = wind_n[k], wind_e[k]
        forward = (was_n - wn) * np.cos(yaw) + (was_e - we) * np.sin(yaw)
        slip = ((was_e - we) * np.cos(yaw) - (was_n - wn) * np.sin(yaw)) * np.exp(-dt / SIDESLIP_S)
        on_wing = regime == Regime.WING

        course, turning = self._course(fleet, k, np.hypot(was_n, was_e))
        wanted = self._airspeed_for(k, course, wn, we)
        crab = np.arcsin(np.clip((wn * np.sin(course) - we * np.cos(course)) / np.maximum(forward, 1.0), -1.0, 1.0))
        rate = turning + HEADING_GAIN_S * ((course + crab - yaw + pi) % (2.0 * pi) - pi)
        self._turn(k, rate, np.maximum(forward, 5.0), on_wing, dt)
        yaw = yaw + np.where(on_wing, G_M_S2 * np.tan(self.bank[k]) / np.maximum(forward, 5.0), 0.0) * dt
        surge = np.where(on_wing, np.clip(wanted - forward, -AIRSPEED_M_S2 * dt, AIRSPEED_M_S2 * dt), self.push[k] * dt)
        forward = forward + np.where(on_wing, surge, np.minimum(surge, np.maximum(0.0, wanted - forward)))

        vn = wn + forward * np.cos(yaw) - slip * np.sin(yaw)
        ve = we + forward * np.sin(yaw) + slip * np.cos(yaw)
        ground = np.maximum(np.hypot(was_n, was_e), 1e-6)
        slowed = np.maximum(0.0, 1.0 - BRAKING_M_S2 * dt / ground)
        braking = regime == Regime.BRAKING
        fleet.vn[k] = np.where(braking, was_n * slowed, vn)
        fleet.ve[k] = np.where(braking, was_e * slowed, ve)
        fleet.an[k], fleet.ae[k] = (fleet.vn[k] - was_n) / dt, (fleet.ve[k] - was_e) / dt
        fleet.yaw[k] = yaw

        up = np.clip((fleet.to_alt[k] - fleet.alt[k]) / HEIGHT_S, -fleet.sink[k], fleet.climb[k])
        change = SINK_ACCELERATION_M_S2 * dt
        fleet.vu[k] = fleet.vu[k] + np.clip(up - fleet.vu[k], -change, change)

    def _course(self, fleet: FleetState, k: Indices, ground: Array) -> tuple[Array, Array]:
        """The course over ground that leads onto the line or circle, as the vehicle's GPS sees it, and how fast the
        path itself turns there, rad/s."""
        per_lat, per_lon = fleet.per_lat[k], fleet.per_lon[k]
        north = (fleet.lat[k] - fleet.to_lat[k]) * per_lat + fleet.gps_north[k]
        east = (fleet.lon[k] - fleet.to_lon[k]) * per_lon + fleet.gps_east[k]
        reach = np.maximum(LOOK_AHEAD_S * ground, 10.0)
        outside = np.hypot(north, east) - self.circle[k]
        around = np.arctan2(east, north) + pi / 2 + np.arctan(outside / reach)
        radius = np.maximum(self.circle[k], 1.0)
        turning = np.where(self.circle[k] > 0.0, ground / radius * np.maximum(0.0, 1.0 - np.abs(outside) / radius), 0.0)
        line_n = (fleet.to_lat[k] - self.from_lat[k]) * per_lat
        line_e = (fleet.to_lon[k] - self.from_lon[k]) * per_lon
        track = np.arctan2(line_e, line_n)
        right = east * np.cos(track) - north * np.sin(track)
        # A line of no length has no direction: straight to the target then.
        along = np.where(np.hypot(line_n, line_e) > 1.0, track - np.arctan(right / reach), np.arctan2(-east, -north))
        return np.where(self.circle[k] > 0.0, around, along), turning

    def _airspeed_for(self, k: Indices, course: Array, wn: Array, we: Array) -> Array:
        """The setpoint, or more where less would not make the least speed over ground on this course."""
        along = wn * np.cos(course) + we * np.sin(course)
        across = we * np.cos(course) - wn * np.sin(course)
        needed = np.where(along < MIN_GROUND_M_S, np.hypot(MIN_GROUND_M_S - along, across), 0.0)
        return np.asarray(np.minimum(np.maximum(self.airspeed[k], needed), self.max_airspeed[k]))

    def _turn(self, k: Indices, rate: Array, speed: Array, on_wing: NDArray[np.bool_], dt: float) -> None:
        limit = self.bank_limit[k]
        bank = np.clip(np.arctan(rate * speed / G_M_S2), -limit, limit)
        bank = np.where(on_wing, bank, 0.0)
        rolled = self.bank[k] + np.clip(bank - self.bank[k], -ROLL_RATE_RAD_S * dt, ROLL_RATE_RAD_S * dt)
        self.bank[k] = rolled
        self.load[k] = 1.0 / np.cos(rolled)
