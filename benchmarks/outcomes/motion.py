"""The vehicle's truth: along a way at its own pace, in the wind as it blows, drawing what it really draws.

Power is the bundled simulator's, which shares nothing with the planner's energy model, times the delivery's own factor.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, inf, radians, sin, sqrt

import numpy as np

from benchmarks.outcomes.drawing import VEHICLE, Delivery, fleet
from geofences.geodesy import LatLon, bearing_deg, distance_m
from missions.vehicles import VehicleType
from sitl.spec import Performance
from sitl.vehicle.power import PowerModel

PIECE_S = 15.0
"""within a piece wind and draw count as constant"""
CRAWL_M_S = 0.5
"""the least progress against a wind that is too strong"""

Place = tuple[LatLon, float]
"""position and height above mean sea level in metres"""


@cache
def vehicle_type() -> VehicleType:
    return fleet().vehicles[VEHICLE].type


@cache
def powers_w(mass_kg: float) -> tuple[float, float, float, float]:
    """Hovering, cruising, climbing and descending, with this mass in all."""
    t = vehicle_type()
    shape = Performance(
        t.cruise_m_s, t.climb_m_s, t.descent_m_s, t.hover_power_w, t.cruise_power_w, t.empty_mass_kg,
        t.max_payload_kg, t.battery_wh,
    )  # fmt: skip
    power, mass = PowerModel([shape], np.array([False])), np.array([mass_kg])

    def flying(airspeed: float, up: float) -> float:
        return float(power.flying_w(mass, np.array([airspeed]), np.array([up]))[0])

    return flying(0.0, 0.0), flying(t.cruise_m_s, 0.0), flying(0.0, t.climb_m_s), flying(0.0, -t.descent_m_s)


@dataclass(frozen=True, slots=True)
class Fix:
    """Where it is at a time, how it moves, and what it has drawn since the battery was full."""

    t_s: float
    at: LatLon
    amsl_m: float
    north_m_s: float
    east_m_s: float
    down_m_s: float
    used_wh: float


class Motion:
    """A way flown to its end, in pieces."""

    def __init__(self, delivery: Delivery, start: Fix, payload_kg: float) -> None:
        self._delivery, self._powers = delivery, powers_w(vehicle_type().empty_mass_kg + payload_kg)
        self._fixes = [start]
        self._times = [start.t_s]
        self.last_leg_s = inf
        """when the last leg begins, which for a landing is its final descent"""

    @property
    def end(self) -> Fix:
        return self._fixes[-1]

    def at(self, t_s: float) -> Fix:
        if t_s >= self._times[-1]:
            e = self._fixes[-1]
            return Fix(t_s, e.at, e.amsl_m, 0.0, 0.0, 0.0, e.used_wh)
        i = max(1, bisect_right(self._times, t_s))
        a, b = self._fixes[i - 1], self._fixes[i]
        share = (t_s - a.t_s) / (b.t_s - a.t_s)
        at = LatLon(
            a.at.lat_deg + share * (b.at.lat_deg - a.at.lat_deg), a.at.lon_deg + share * (b.at.lon_deg - a.at.lon_deg)
        )
        amsl, used = a.amsl_m + share * (b.amsl_m - a.amsl_m), a.used_wh + share * (b.used_wh - a.used_wh)
        return Fix(t_s, at, amsl, b.north_m_s, b.east_m_s, b.down_m_s, used)

    def fly(self, way: Sequence[Place]) -> Motion:
        """On through these places."""
        for n, (to, amsl_m) in enumerate(way):
            here = self._fixes[-1]
            if n == len(way) - 1:
                self.last_leg_s = here.t_s
            length_m = distance_m(here.at, to)
            if length_m < 0.5:
                self._up_or_down(to, amsl_m)
            else:
                self._across(to, amsl_m, length_m, bearing_deg(here.at, to))
        return self

    def hover(self, seconds: float) -> Motion:
        here = self._fixes[-1]
        self._piece(seconds, here.at, here.amsl_m, 0.0, 0.0, self._powers[0])
        return self

    def stand(self, seconds: float) -> Motion:
        """On the ground, with rotors still."""
        here = self._fixes[-1]
        self._piece(seconds, here.at, here.amsl_m, 0.0, 0.0, 0.0)
        return self

    def _up_or_down(self, to: LatLon, amsl_m: float) -> None:
        here, t = self._fixes[-1], vehicle_type()
        rise = amsl_m - here.amsl_m
        up = rise >= 0.0
        seconds = rise / t.climb_m_s if up else -rise / t.descent_m_s
        self._piece(seconds, to, amsl_m, 0.0, 0.0, self._powers[2 if up else 3])

    def _across(self, to: LatLon, amsl_m: float, length_m: float, track_deg: float) -> None:
        north, east, left_m = cos(radians(track_deg)), sin(radians(track_deg)), length_m
        start = self._fixes[-1]
        while left_m > 1e-6:
            wind = self._delivery.wind(self._fixes[-1].t_s)
            along = wind.north_m_s * north + wind.east_m_s * east
            across = wind.east_m_s * north - wind.north_m_s * east
            speed = max(CRAWL_M_S, along + sqrt(max(0.0, vehicle_type().cruise_m_s ** 2 - across**2)))
            flown_m = min(left_m, speed * PIECE_S)
            left_m -= flown_m
            share = 1.0 - left_m / length_m
            at = LatLon(
                start.at.lat_deg + share * (to.lat_deg - start.at.lat_deg),
                start.at.lon_deg + share * (to.lon_deg - start.at.lon_deg),
            )
            height = start.amsl_m + share * (amsl_m - start.amsl_m)
            self._piece(flown_m / speed, at, height, speed * north, speed * east, self._powers[1])

    def _piece(self, seconds: float, at: LatLon, amsl_m: float, north: float, east: float, power_w: float) -> None:
        if seconds <= 0.0:
            return
        here, d = self._fixes[-1], self._delivery
        drain = d.drain.size if d.drain is not None and d.drain.holds(here.t_s) else 1.0
        used = here.used_wh + power_w * d.draw_factor * drain * seconds / 3600.0
        down_m_s = (here.amsl_m - amsl_m) / seconds
        self._fixes.append(Fix(here.t_s + seconds, at, amsl_m, north, east, down_m_s, used))
        self._times.append(here.t_s + seconds)

    def first_below(self, pct: float, until_s: float) -> float:
        """When the battery first comes to that, before a time; inf if it does not."""
        for before, fix in zip(self._fixes, self._fixes[1:], strict=False):
            if before.t_s >= until_s:
                break
            if battery_pct(self._delivery, fix) <= pct:
                return fix.t_s
        return inf


def start_fix(delivery: Delivery) -> Fix:
    plan = delivery.plan
    used = vehicle_type().battery_wh * (1.0 - delivery.battery_pct / 100.0)
    return Fix(plan.depart_s, plan.home, plan.home_amsl_m, 0.0, 0.0, 0.0, used)


def battery_pct(delivery: Delivery, fix: Fix) -> float:
    """What is really left, in percent of a full battery."""
    sag = 100.0 * delivery.sag.size if delivery.sag is not None and delivery.sag.holds(fix.t_s) else 0.0
    return 100.0 * (1.0 - fix.used_wh / vehicle_type().battery_wh) - sag
