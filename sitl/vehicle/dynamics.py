"""The state of all vehicles, stepped together at a fixed step.

A multirotor is a point mass that follows velocity: towards a target at a speed it can still brake from, within its
acceleration and within the airspeed that full tilt reaches. Against more wind than that it drifts. What a wing or a
pusher moves is in `sitl.vehicle.wing`. Positions are the truth; an autopilot sees them through `seen`, shifted by what
its GPS gets wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, nan, pi

import numpy as np
from numpy.typing import NDArray

from sitl.geo import metres_per_degree_array
from sitl.spec import VehicleSpec
from sitl.vehicle.power import G_M_S2, PowerModel
from sitl.vehicle.wing import Regime, Wings
from sitl.world import Weather

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP_S = 0.02
"""as fast as PX4's fastest ground-station streams"""
ACCELERATION_M_S2 = 3.0
"""PX4 MPC_ACC_HOR"""
BRAKING_M_S2 = 2.0
"""what the speed profile before a stop assumes: less than the limit, so that it can be followed"""
CLIMB_ACCELERATION_M_S2 = 3.0
POSITION_GAIN_S = 0.9
"""1/s, PX4 MPC_XY_P"""
YAW_RATE_RAD_S = pi / 4
"""PX4 MPC_YAWRAUTO_MAX, rounded down"""
LAND_SPEED_M_S = 0.7
"""PX4 MPC_LAND_SPEED, below LAND_SLOW_M"""
LAND_SLOW_M = 5.0
LAND_FAST_M = 10.0
"""above it the descent rate is the vehicle's; in between it is interpolated (MPC_LAND_ALT1 and 2)"""
HOVER_THROTTLE = 0.42
"""of the empty vehicle"""
TERMINAL_FALL_M_S = 25.0
CRASH_M_S = 4.0
"""a touch-down faster than this breaks it"""
FALLS_BELOW = 0.5
"""of the thrust: a multirotor with no more than that cannot hold itself level and up"""
DISTANT_M = 1e9
HOVER_AIRSPEED_M_S = 16.0
"""what a VTOL's lift rotors and tilt hold against: its body is built for another direction"""
TRIM_THROTTLE = 0.6
"""PX4 FW_THR_TRIM: the pusher's in cruise of the empty vehicle"""
NOBODY: NDArray[np.intp] = np.zeros(0, dtype=np.intp)


class FleetState:
    """n vehicles. Arrays are indexed like the spec's vehicles; angles radians, positions degrees and metres AMSL."""

    def __init__(self, vehicles: Sequence[VehicleSpec], weather: Weather) -> None:
        n = len(vehicles)
        performance = [v.performance for v in vehicles]
        self.n = n
        self.weather = weather
        self.wings = Wings(vehicles)
        self.power = PowerModel(performance, self.wings.fitted)
        fastest = self.wings.max_airspeed
        self.max_airspeed = np.where(self.wings.fitted, np.minimum(fastest, HOVER_AIRSPEED_M_S), fastest)
        """while rotors drive"""
        self.empty_kg = np.array([p.empty_mass_kg for p in performance])
        self.lat = np.array([v.lat_deg for v in vehicles])
        self.lon = np.array([v.lon_deg for v in vehicles])
        self.ground = np.array([weather.ground_amsl_m(v.lat_deg, v.lon_deg) for v in vehicles])
        self.rise = np.zeros(n)
        """how fast the ground below comes up as the vehicle moves, m/s"""
        self.alt = self.ground.copy()
        self.vn, self.ve, self.vu = np.zeros(n), np.zeros(n), np.zeros(n)
        self.an, self.ae = np.zeros(n), np.zeros(n)
        self.yaw = np.zeros(n)
        self.airspeed = np.zeros(n)
        self.power_w = np.zeros(n)
        self.throttle = np.zeros(n)
        self.capacity_wh = np.array([p.battery_wh for p in performance])
        self.used_wh = self.capacity_wh * (1.0 - np.array([v.battery_pct for v in vehicles]) / 100.0)
        self.payload_kg = np.zeros(n)
        self.flown_m = np.zeros(n)
        self.armed: Mask = np.zeros(n, dtype=np.bool_)
        self.on_ground: Mask = np.ones(n, dtype=np.bool_)
        self.crashed: Mask = np.zeros(n, dtype=np.bool_)
        self.gps_north, self.gps_east = np.zeros(n), np.zeros(n)
        self.blind: Mask = np.zeros(n, dtype=np.bool_)
        """without any position: level, so that the wind takes it along"""
        self.drain = np.ones(n)
        """how much faster than its power tells the battery empties"""
        self.lifts: Mask = np.ones(n, dtype=np.bool_)
        self._full_airspeed = self.max_airspeed.copy()
        self._thrust_left, self._extra_power = np.ones(n), np.ones(n)
        # What the autopilots want.
        self.flying: Mask = np.zeros(n, dtype=np.bool_)
        """motors above idle"""
        self.to_lat, self.to_lon, self.to_alt = self.lat.copy(), self.lon.copy(), self.alt.copy()
        self.speed = np.zeros(n)
        self.corner = np.zeros(n)
        """speed that is allowed at the target: 0 to stop there"""
        self.climb, self.sink = np.ones(n), np.ones(n)
        self.landing: Mask = np.zeros(n, dtype=np.bool_)
        self.face = np.full(n, np.nan)
        """heading to turn to while rotors drive; NaN: the nose follows the course"""
        self._scale()

    def _scale(self) -> None:
        self.per_lat, self.per_lon = metres_per_degree_array(self.lat)

    def mass_kg(self) -> Array:
        return self.empty_kg + self.payload_kg

    def charge(self, i: int) -> float:
        """0…1 of the battery."""
        return float(max(0.0, 1.0 - self.used_wh[i] / self.capacity_wh[i]))

    def seen(self, i: int) -> tuple[float, float]:
        """Latitude and longitude as the vehicle's own GPS has them."""
        return (
            float(self.lat[i] + self.gps_north[i] / self.per_lat[i]),
            float(self.lon[i] + self.gps_east[i] / self.per_lon[i]),
        )

    def height_m(self, i: int) -> float:
        return float(self.alt[i] - self.ground[i])

    def aim(
        self,
        i: int,
        lat: float,
        lon: float,
        alt: float,
        *,
        speed: float,
        climb: float,
        sink: float,
        corner: float = 0.0,
        landing: bool = False,
        face: float = nan,
    ) -> None:
        """Sends vehicle i there (as its GPS sees it); `landing` goes down to the ground, `alt` is then ignored."""
        self.flying[i] = True
        self.to_lat[i], self.to_lon[i], self.to_alt[i] = lat, lon, alt
        self.speed[i], self.corner[i], self.climb[i], self.sink[i] = speed, corner, climb, sink
        self.landing[i], self.face[i] = landing, face

    def glide(
        self,
        i: int,
        start: tuple[float, float],
        to: tuple[float, float],
        alt: float,
        *,
        airspeed: float,
        climb: float,
        sink: float,
        circle: float = 0.0,
    ) -> None:
        """Sends the wing of vehicle i along the line from `start` to `to` and beyond, or on a circle around `to`."""
        self.flying[i] = True
        (self.wings.from_lat[i], self.wings.from_lon[i]), (self.to_lat[i], self.to_lon[i]) = start, to
        self.to_alt[i], self.climb[i], self.sink[i] = alt, climb, sink
        self.wings.airspeed[i], self.wings.circle[i] = airspeed, circle

    def lose_thrust(self, i: int, lost: float) -> None:
        """That share of vehicle i's rotors stands still; 0: none.

        The rest carry its weight with less disc area: induced and profile power grow as 1/√(what is left) (momentum
        theory). What thrust is left for tilting limits the airspeed.
        """
        left = 1.0 - lost
        self.lifts[i] = left > FALLS_BELOW
        self.max_airspeed[i] = self._full_airspeed[i] * left
        self._thrust_left[i] = max(left, FALLS_BELOW)
        self._extra_power[i] = self._thrust_left[i] ** -0.5

    def stop_motors(self, i: int) -> None:
        self.flying[i] = False
        if self.wings.regime[i]:
            self.wings.enter(i, Regime.ROTORS)

    def step(self, dt_s: float = STEP_S) -> None:
        """One step of everything."""
        self._scale()
        self._follow_ground(dt_s)
        self.weather.step(dt_s)
        wind_n, wind_e = self.weather.wind(self.lat, self.lon, self.alt - self.ground)
        lifts = self.lifts | (self.wings.regime == Regime.WING) if self.wings.busy else self.lifts
        lifted = self.armed & self.flying & lifts & (self.used_wh < self.capacity_wh)
        want_n, want_e, want_u = self._wanted(wind_n, wind_e)
        self._move(dt_s, lifted, want_n, want_e, want_u, wind_n, wind_e)
        self._spend(dt_s, lifted, wind_n, wind_e)

    def _follow_ground(self, dt: float) -> None:
        if self.weather.terrain.flat:
            return
        ground = self.weather.terrain.amsl_m(self.lat, self.lon)
        self.rise = (ground - self.ground) / dt
        self.ground = ground

    def _wanted(self, wind_n: Array, wind_e: Array) -> tuple[Array, Array, Array]:
        north = (self.to_lat - self.lat) * self.per_lat - self.gps_north
        east = (self.to_lon - self.lon) * self.per_lon - self.gps_east
        distance = np.hypot(north, east)
        stop = np.minimum(np.sqrt(2.0 * BRAKING_M_S2 * distance), POSITION_GAIN_S * distance)
        through = np.sqrt(self.corner**2 + 2.0 * BRAKING_M_S2 * distance)
        pace = np.minimum(self.speed, np.where(self.corner > 0.0, through, stop)) / np.maximum(distance, 1e-6)
        air_n, air_e = north * pace - wind_n, east * pace - wind_e
        short = np.minimum(1.0, self.max_airspeed / np.maximum(np.hypot(air_n, air_e), 1e-6))
        height = self.alt - self.ground
        fraction = np.clip((height - LAND_SLOW_M) / (LAND_FAST_M - LAND_SLOW_M), 0.0, 1.0)
        land_sink = np.minimum(self.sink, LAND_SPEED_M_S + fraction * np.maximum(0.0, self.sink - LAND_SPEED_M_S))
        up = np.where(self.landing, -land_sink, np.clip(self.to_alt - self.alt, -self.sink, self.climb))
        return air_n * short + wind_n, air_e * short + wind_e, up

    def _move(
        self, dt: float, lifted: Mask, want_n: Array, want_e: Array, want_u: Array, wind_n: Array, wind_e: Array
    ) -> None:
        gliding = self.wings.flying(lifted) if self.wings.busy else NOBODY
        before = self.vn[gliding], self.ve[gliding], self.vu[gliding]
        # A vehicle without thrust falls and is taken along by the wind.
        steered = lifted & ~self.blind
        change_n = np.where(steered, want_n, wind_n) - self.vn
        change_e = np.where(steered, want_e, wind_e) - self.ve
        limit = ACCELERATION_M_S2 * dt / np.maximum(np.hypot(change_n, change_e), 1e-9)
        share = np.minimum(1.0, limit)
        self.an, self.ae = change_n * share / dt, change_e * share / dt
        self.vn = self.vn + change_n * share
        self.ve = self.ve + change_e * share
        powered = np.clip(want_u - self.vu, -CLIMB_ACCELERATION_M_S2 * dt, CLIMB_ACCELERATION_M_S2 * dt)
        falling = np.maximum(-G_M_S2 * dt, -TERMINAL_FALL_M_S - self.vu)
        self.vu = self.vu + np.where(lifted, powered, falling)
        if gliding.size:
            self.vn[gliding], self.ve[gliding], self.vu[gliding] = before
            self.wings.move(self, gliding, dt, wind_n, wind_e)

        stays = self.on_ground & ~(lifted & (self.vu > 0.0))
        sinks = self.vu - self.rise
        touches = ~self.on_ground & (self.alt + self.vu * dt <= self.ground) & (sinks <= 0.0)
        # Ground that rises ahead is met at flying speed, however gently it rises.
        strikes = (self.rise > 0.0) & (np.hypot(self.vn, self.ve) > CRASH_M_S)
        self.crashed |= touches & (strikes | (sinks < -CRASH_M_S))
        self.on_ground = stays | touches
        for velocity in (self.vn, self.ve, self.vu, self.an, self.ae):
            velocity[self.on_ground] = 0.0
        self.lat = self.lat + self.vn * dt / self.per_lat
        self.lon = self.lon + self.ve * dt / self.per_lon
        self.alt = np.where(self.on_ground, self.ground, self.alt + self.vu * dt)
        pace = np.hypot(self.vn, self.ve)
        self.flown_m = self.flown_m + pace * dt
        free = np.isnan(self.face)
        turn = (np.where(free, np.arctan2(self.ve, self.vn), self.face) - self.yaw + pi) % (2.0 * pi) - pi
        step = np.clip(turn, -YAW_RATE_RAD_S * dt, YAW_RATE_RAD_S * dt)
        turning = lifted & (~free | (pace > 1.0))
        turning[gliding] = False
        self.yaw = np.where(turning, self.yaw + step, self.yaw)

    def _spend(self, dt: float, lifted: Mask, wind_n: Array, wind_e: Array) -> None:
        mass = self.mass_kg()
        aloft = lifted & ~self.on_ground
        self.airspeed = np.where(self.on_ground, 0.0, np.hypot(self.vn - wind_n, self.ve - wind_e))
        idle = np.where(self.armed, self.power.idle_w(), self.power.avionics_w)
        self.power_w = np.where(aloft, self.power.flying_w(mass, self.airspeed, self.vu) * self._extra_power, idle)
        gliding = np.flatnonzero(aloft & (self.wings.regime != Regime.ROTORS)) if self.wings.busy else NOBODY
        if gliding.size:
            self.power_w[gliding] = self._glide_w(gliding, mass)
        self.used_wh = np.minimum(self.capacity_wh, self.used_wh + self.power_w * self.drain * dt / 3600.0)
        tilt = np.hypot(np.hypot(self.an, self.ae), 0.01 * self.airspeed**2) / G_M_S2
        thrust = HOVER_THROTTLE * mass / self.empty_kg * np.sqrt(1.0 + tilt * tilt) / self._thrust_left
        self.throttle = np.where(aloft, np.minimum(1.0, thrust), np.where(self.armed, 0.08, 0.0))
        if gliding.size:
            on_wing = self.wings.regime[gliding] == Regime.WING
            pushed = np.minimum(1.0, TRIM_THROTTLE * self.power_w[gliding] / self.power.cruise_w[gliding])
            self.throttle[gliding] = np.where(on_wing, pushed, self.throttle[gliding])

    def _glide_w(self, k: NDArray[np.intp], mass: Array) -> Array:
        """On the wing what the wing takes; in a transition the rotors carry, and in the front one the pusher drives."""
        regime, airspeed = self.wings.regime[k], self.airspeed[k]
        wing = self.power.wing_w(k, mass[k], airspeed, self.vu[k], self.wings.load[k])
        pusher = np.where(regime == Regime.PUSHING, self.power.pusher_w(mass[k], airspeed, self.wings.push[k]), 0.0)
        return np.where(regime == Regime.WING, wing, self.power_w[k] + pusher)

    def attitude(self, i: int) -> tuple[float, float, float]:
        """Roll, pitch, yaw in radians: the tilt that its acceleration and drag ask for; on the wing, bank and climb."""
        c, s = float(np.cos(self.yaw[i])), float(np.sin(self.yaw[i]))
        forward = float(self.an[i]) * c + float(self.ae[i]) * s
        right = float(self.ae[i]) * c - float(self.an[i]) * s
        drag = 0.01 * float(self.airspeed[i]) ** 2
        yaw = (float(self.yaw[i]) + pi) % (2.0 * pi) - pi
        if self.wings.regime[i] == Regime.WING:
            return float(self.wings.bank[i]), atan2(float(self.vu[i]), max(1.0, float(self.airspeed[i]))), yaw
        return atan2(right, G_M_S2), -atan2(forward + drag, G_M_S2), yaw
