"""The state of all vehicles, stepped together; between two steps each moves on at its velocity.

A multirotor is a point mass that follows velocity: towards a target at a speed it can still brake from, within its
acceleration and within the airspeed that full tilt reaches. Against more wind than that it drifts. What a wing or a
pusher moves is in `sitl.vehicle.wing`. Positions are the truth; an autopilot sees them through `seen`, shifted by what
its GPS gets wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, cos, hypot, nan, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from sitl.geo import metres_per_degree_array
from sitl.spec import VehicleSpec
from sitl.vehicle.power import G_M_S2, PowerModel
from sitl.vehicle.wing import Regime, Wings
from sitl.world import Weather

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP_S = 0.08
"""Also the beat of the autopilots, who could not act on more. The gains here are about 1/s, so that a step is a tenth
of what it follows; a velocity changes by 0.24 m/s in it, so that what is said between two steps is true to 2 cm."""
SCALE_STEPS = 8
"""steps between two looks at metres per degree: a parallel is as long 16 m further on, to 3e-6 at 45°"""
ACCELERATION_M_S2 = 3.0
"""PX4 MPC_ACC_HOR"""
BRAKING_M_S2 = 2.0
"""what the speed profile before a stop assumes: less than the limit, so that it can be followed"""
CLIMB_ACCELERATION_M_S2 = 3.0
POSITION_GAIN_S = 0.9
"""1/s, PX4 MPC_XY_P"""
NO_STOP_S = 1e12
"""the same where the vehicle does not stop: no limit at any distance"""
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


# Arrays of no dimension: numpy makes one of a Python float at every use, on a small fleet dearer than the sum itself.
_DT, _HOUR_S = np.array(STEP_S), np.array(3600.0)
_ZERO, _ONE, _PI, _TURN = (np.array(x) for x in (0.0, 1.0, pi, 2.0 * pi))
_NEAR_M, _SLOW_M_S = np.array(1e-6), np.array(1e-9)
"""so that nothing is divided by zero"""
_TWICE_BRAKING = np.array(2.0 * BRAKING_M_S2)
_CHANGE_M_S = np.array(ACCELERATION_M_S2 * STEP_S)
_RISE_M_S, _SINK_M_S = (np.array(x * CLIMB_ACCELERATION_M_S2 * STEP_S) for x in (1.0, -1.0))
_FALL_M_S, _TERMINAL_M_S = np.array(-G_M_S2 * STEP_S), np.array(-TERMINAL_FALL_M_S)
_RIGHT_RAD, _LEFT_RAD = (np.array(x * YAW_RATE_RAD_S * STEP_S) for x in (1.0, -1.0))


def _between(values: Array, low: Array, high: Array) -> Array:
    """np.clip, whose own call costs more than the work on a small fleet."""
    between: Array = np.minimum(np.maximum(values, low), high)
    return between


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
        # Two rows each, north and east; the names are of the rows.
        self.at = np.array([[v.lat_deg for v in vehicles], [v.lon_deg for v in vehicles]])
        self.v, self.a, self.gps = np.zeros((2, n)), np.zeros((2, n)), np.zeros((2, n))
        self.per, self.wind, self.to = np.zeros((2, n)), np.zeros((2, n)), self.at.copy()
        self.lat, self.lon = self.at
        self.vn, self.ve = self.v
        self.an, self.ae = self.a
        self.gps_north, self.gps_east = self.gps
        self.per_lat, self.per_lon = self.per
        self.to_lat, self.to_lon = self.to
        self.ground = np.array([weather.ground_amsl_m(v.lat_deg, v.lon_deg) for v in vehicles])
        self.rise = np.zeros(n)
        """how fast the ground below comes up as the vehicle moves, m/s"""
        self.alt = self.ground.copy()
        self.vu, self.yaw = np.zeros(n), np.zeros(n)
        self.airspeed = np.zeros(n)
        self.power_w = np.zeros(n)
        self.capacity_wh = np.array([p.battery_wh for p in performance])
        self.used_wh = self.capacity_wh * (1.0 - np.array([v.battery_pct for v in vehicles]) / 100.0)
        self.payload_kg = np.zeros(n)
        self._loads, self._mass_kg = self.payload_kg.tobytes(), self.empty_kg.copy()
        self.flown_m = np.zeros(n)
        self.armed: Mask = np.zeros(n, dtype=np.bool_)
        self.on_ground: Mask = np.ones(n, dtype=np.bool_)
        self.crashed: Mask = np.zeros(n, dtype=np.bool_)
        self.blind: Mask = np.zeros(n, dtype=np.bool_)
        """without any position: level, so that the wind takes it along"""
        self._believed = [(v.lat_deg, v.lon_deg) for v in vehicles]
        self.drain = np.ones(n)
        """how much faster than its power tells the battery empties"""
        self.lifts: Mask = np.ones(n, dtype=np.bool_)
        self._full_airspeed = self.max_airspeed.copy()
        self._thrust_left, self._extra_power = np.ones(n), np.ones(n)
        # What the autopilots want.
        self.flying: Mask = np.zeros(n, dtype=np.bool_)
        """motors above idle"""
        self.to_alt = self.alt.copy()
        self.speed = np.zeros(n)
        self.corner = np.zeros(n)
        """speed that is allowed at the target: 0 to stop there"""
        self._stop_gain = np.full(n, POSITION_GAIN_S)
        """1/s from distance to speed before a stop: as good as endless where there is none"""
        self.climb, self.sink = np.ones(n), np.ones(n)
        self.landing: Mask = np.zeros(n, dtype=np.bool_)
        self.face = np.full(n, np.nan)
        """heading to turn to while rotors drive; NaN: the nose follows the course"""
        self.age_s = 0.0
        """since the last step; whoever keeps the time sets it"""
        self._steps = 0
        self._lifted: Mask = np.zeros(n, dtype=np.bool_)
        self._scale()

    def _scale(self) -> None:
        self.per_lat[:], self.per_lon[:] = metres_per_degree_array(self.lat)

    def mass_kg(self) -> Array:
        """The same array for as long as no load has changed."""
        loads = self.payload_kg.tobytes()
        if loads != self._loads:
            self._loads, self._mass_kg = loads, self.empty_kg + self.payload_kg
        return self._mass_kg

    def charge(self, i: int) -> float:
        """0…1 of the battery."""
        return float(max(0.0, 1.0 - self.used_wh.item(i) / self.capacity_wh.item(i)))

    def seen(self, i: int) -> tuple[float, float]:
        """Latitude and longitude as the vehicle believes them; blind, it believes that it has not moved."""
        if self.blind[i]:
            return self._believed[i]
        return self.shifted(i, self.gps_north.item(i), self.gps_east.item(i))

    def shifted(self, i: int, north_m: float, east_m: float) -> tuple[float, float]:
        """Latitude and longitude of a place that far from where it is now."""
        north = north_m + self.vn.item(i) * self.age_s
        east = east_m + self.ve.item(i) * self.age_s
        return self.lat.item(i) + north / self.per_lat.item(i), self.lon.item(i) + east / self.per_lon.item(i)

    def amsl_m(self, i: int) -> float:
        """As the vehicle has it now."""
        return float(self.alt.item(i) + self.vu.item(i) * self.age_s)

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
        self._stop_gain[i] = NO_STOP_S if corner > 0.0 else POSITION_GAIN_S
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

    def grope(self, i: int, *, blind: bool) -> None:
        """Vehicle i has lost its position, or found it again."""
        if blind and not self.blind[i]:
            self._believed[i] = self.seen(i)
        self.blind[i] = blind

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

    def step(self) -> None:
        """One step of everything, STEP_S long."""
        self.age_s = 0.0
        self.weather.step(STEP_S)
        self.wind[0], self.wind[1] = self.weather.wind(self.lat, self.lon, self.alt - self.ground)
        lifts = self.lifts | (self.wings.regime == Regime.WING) if self.wings.busy else self.lifts
        self._lifted = self.armed & self.flying & lifts & (self.used_wh < self.capacity_wh)
        if np.count_nonzero(self.armed) or np.count_nonzero(self.on_ground) < self.n:
            self._follow_ground()
            self._move(self._lifted)
        self._spend()
        self._steps += 1
        if self._steps % SCALE_STEPS == 0:
            self._scale()

    def _follow_ground(self) -> None:
        if self.weather.terrain.flat:
            return
        ground = self.weather.terrain.amsl_m(self.lat, self.lon)
        self.rise = (ground - self.ground) / STEP_S
        self.ground = ground

    def _wanted(self, drifting: Mask) -> tuple[Array, Array]:
        """Velocities over ground (north and east) and up that lead to the targets; the wind's, of those who drift."""
        velocity = (self.to - self.at) * self.per - self.gps
        north, east = velocity[0], velocity[1]
        distance = np.hypot(north, east)
        brake = np.sqrt(self.corner * self.corner + _TWICE_BRAKING * distance)
        pace = np.minimum(self.speed, np.minimum(brake, self._stop_gain * distance))
        pace /= np.maximum(distance, _NEAR_M)
        np.multiply(north, pace, north)
        np.multiply(east, pace, east)
        velocity -= self.wind
        short = np.minimum(_ONE, self.max_airspeed / np.maximum(np.hypot(north, east), _NEAR_M))
        np.copyto(short, _ZERO, where=drifting)
        np.multiply(north, short, north)
        np.multiply(east, short, east)
        velocity += self.wind
        up = _between(self.to_alt - self.alt, -self.sink, self.climb)
        if np.count_nonzero(self.landing):
            up = np.where(self.landing, -self._landing_sink(), up)
        return velocity, up

    def _landing_sink(self) -> Array:
        height = self.alt - self.ground
        fraction = _between((height - LAND_SLOW_M) / (LAND_FAST_M - LAND_SLOW_M), _ZERO, _ONE)
        fast = np.maximum(0.0, self.sink - LAND_SPEED_M_S)
        return np.asarray(np.minimum(self.sink, LAND_SPEED_M_S + fraction * fast))

    def _move(self, lifted: Mask) -> None:
        gliding = self.wings.flying(lifted) if self.wings.busy else NOBODY
        if gliding.size:
            before, before_u = self.v[:, gliding], self.vu[gliding]
        # Without thrust it falls and is taken along by the wind; blind, it is taken along.
        change, up = self._wanted(lifted <= self.blind)
        change -= self.v
        share = np.minimum(_ONE, _CHANGE_M_S / np.maximum(np.hypot(change[0], change[1]), _SLOW_M_S))
        np.multiply(change[0], share, change[0])
        np.multiply(change[1], share, change[1])
        np.divide(change, _DT, self.a)
        self.v += change
        rise = _between(up - self.vu, _SINK_M_S, _RISE_M_S)
        if np.count_nonzero(lifted | self.on_ground) < self.n:
            rise = np.where(lifted, rise, np.maximum(_FALL_M_S, _TERMINAL_M_S - self.vu))
        self.vu += rise
        if gliding.size:
            self.v[:, gliding], self.vu[gliding] = before, before_u
            self.wings.move(self, gliding, STEP_S, self.wind[0], self.wind[1])

        alt = self.alt + self.vu * _DT
        if np.count_nonzero(self.on_ground) or np.count_nonzero(alt <= self.ground):
            alt = self._meet_ground(alt, lifted)
        self.alt[:] = alt
        self.at += self.v * _DT / self.per
        pace = np.hypot(self.vn, self.ve)
        self.flown_m += pace * _DT
        towards, turning = np.arctan2(self.ve, self.vn), pace > _ONE
        free = np.isnan(self.face)
        if np.count_nonzero(free) < self.n:
            towards, turning = np.where(free, towards, self.face), ~free | turning
        turning &= lifted
        if gliding.size:
            turning[gliding] = False
        turn = (towards - self.yaw + _PI) % _TURN - _PI
        np.add(self.yaw, _between(turn, _LEFT_RAD, _RIGHT_RAD), self.yaw, where=turning)

    def _meet_ground(self, alt: Array, lifted: Mask) -> Array:
        """Who stands, touches down or crashes; the heights that come of it."""
        stays = self.on_ground & ~(lifted & (self.vu > 0.0))
        sinks = self.vu - self.rise
        touches = ~self.on_ground & (alt <= self.ground) & (sinks <= 0.0)
        # Ground that rises ahead is met at flying speed, however gently it rises.
        strikes = (self.rise > 0.0) & (np.hypot(*self.v) > CRASH_M_S)
        self.crashed |= touches & (strikes | (sinks < -CRASH_M_S))
        self.on_ground = stays | touches
        for velocity in (self.vn, self.ve, self.vu, self.an, self.ae):
            velocity[self.on_ground] = 0.0
        return np.where(self.on_ground, self.ground, alt)

    def _spend(self) -> None:
        mass, air = self.mass_kg(), self.v - self.wind
        self.airspeed = np.hypot(air[0], air[1])
        aloft = self._lifted > self.on_ground
        self.power_w = self.power.flying_w(mass, self.airspeed, self.vu) * self._extra_power
        if np.count_nonzero(aloft) < self.n:
            np.copyto(self.airspeed, _ZERO, where=self.on_ground)
            np.copyto(self.power_w, np.where(self.armed, self.power.idle_w, self.power.avionics_w), where=~aloft)
        gliding = np.flatnonzero(aloft & (self.wings.regime != Regime.ROTORS)) if self.wings.busy else NOBODY
        if gliding.size:
            self.power_w[gliding] = self._glide_w(gliding, mass)
        self.used_wh = np.minimum(self.capacity_wh, self.used_wh + self.power_w * self.drain * _DT / _HOUR_S)

    def _glide_w(self, k: NDArray[np.intp], mass: Array) -> Array:
        """On the wing what the wing takes; in a transition the rotors carry, and in the front one the pusher drives."""
        regime, airspeed = self.wings.regime[k], self.airspeed[k]
        wing = self.power.wing_w(k, mass[k], airspeed, self.vu[k], self.wings.load[k])
        pusher = np.where(regime == Regime.PUSHING, self.power.pusher_w(mass[k], airspeed, self.wings.push[k]), 0.0)
        return np.where(regime == Regime.WING, wing, self.power_w[k] + pusher)

    def throttle(self, i: int) -> float:
        """0…1: what weight and tilt ask of the rotors, or what the pusher gives on the wing."""
        if self.on_ground[i] or not self._lifted[i]:
            return 0.08 if self.armed[i] else 0.0
        if self.wings.busy and self.wings.regime[i] == Regime.WING:
            return float(min(1.0, TRIM_THROTTLE * self.power_w[i] / self.power.cruise_w[i]))
        tilt = hypot(self.an.item(i), self.ae.item(i), 0.01 * self.airspeed.item(i) ** 2) / G_M_S2
        load = 1.0 + self.payload_kg.item(i) / self.empty_kg.item(i)
        return float(min(1.0, HOVER_THROTTLE * load * sqrt(1.0 + tilt * tilt) / self._thrust_left.item(i)))

    def attitude(self, i: int) -> tuple[float, float, float]:
        """Roll, pitch, yaw in radians: the tilt that its acceleration and drag ask for; on the wing, bank and climb."""
        yaw, an, ae = self.yaw.item(i), self.an.item(i), self.ae.item(i)
        c, s = cos(yaw), sin(yaw)
        forward = an * c + ae * s
        right = ae * c - an * s
        drag = 0.01 * self.airspeed.item(i) ** 2
        yaw = (yaw + pi) % (2.0 * pi) - pi
        if self.wings.busy and self.wings.regime[i] == Regime.WING:
            return self.wings.bank.item(i), atan2(self.vu.item(i), max(1.0, self.airspeed.item(i))), yaw
        return atan2(right, G_M_S2), -atan2(forward + drag, G_M_S2), yaw
