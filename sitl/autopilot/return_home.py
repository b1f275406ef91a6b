"""PX4's return (RTL direct): climb, go, descend, wait, land; a VTOL on its wing circles down and lands on rotors."""

from __future__ import annotations

from collections.abc import Iterable
from math import radians, tan

from sitl import geo
from sitl.autopilot.events import Level
from sitl.autopilot.plans import GLOBAL, RELATIVE, Item
from sitl.autopilot.steering import Phase, Place, Rally, Steering

APART_M = 10.0
"""a rally point nearer to home than this is left out"""
NEARER_M = 2.0
"""and one that is not nearer to the vehicle by this much"""
NOWHERE = Place(0.0, 0.0, 0.0)
"""v1.17 does not set the destination of a rally point in another frame than 0 and 3, and returns to what is there"""


def read_rally(items: Iterable[Item], home_amsl_m: float) -> tuple[Rally, ...]:
    """The stored rally points."""
    places = [(item.frame, Place(item.lat_deg, item.lon_deg, item.amsl_m(home_amsl_m))) for item in items]
    return tuple(Rally(at, at if frame in (GLOBAL, RELATIVE) else NOWHERE) for frame, at in places)


class Return:
    """Flies by the steering it is given."""

    def __init__(self, steering: Steering) -> None:
        self._s = steering
        self._to = steering.target

    def destination(self) -> Place:
        """The horizontally closest of home and rally points, whatever wind and energy say (RTL_TYPE 0, 1, 3)."""
        s, home = self._s, self._s.home or self._s.here()
        to, nearest_m = home, s.distance_m(home)
        for point in s.rally:
            away_m = s.distance_m(point.at)
            apart_m = geo.distance_m(home.lat, home.lon, point.at.lat, point.at.lon)
            if apart_m > APART_M and away_m + NEARER_M < nearest_m:
                to, nearest_m = point.leads_to, away_m
        return to

    def amsl_m(self) -> float:
        """RTL_RETURN_ALT above the destination, never below the present height; on rotors less inside the cone."""
        s, here, to = self._s, self._s.here(), self.destination()
        distance = s.distance_m(to)
        height = s.params["RTL_RETURN_ALT"]
        half_angle = s.params["RTL_CONE_ANG"]
        if not s.vtol.on_rotors:
            pass
        elif distance <= s.params["RTL_MIN_DIST"]:
            height = min(height, s.params["RTL_DESCEND_ALT"])
        elif 0 < half_angle < 90:
            height = min(height, max(s.params["RTL_DESCEND_ALT"], distance / tan(radians(half_angle))))
        return max(here.amsl, to.amsl + height)

    def begin(self) -> None:
        s, here, up_to = self._s, self._s.here(), self.amsl_m()
        if any(point.leads_to is NOWHERE for point in s.rally):
            s.out.text(Level.CRITICAL, "RTL: unsupported MAV_FRAME")
        self._to = to = self.destination()
        s.phase, s.origin, s.target = Phase.CLIMB, here, Place(here.lat, here.lon, up_to)
        if not s.on_ground:
            above = up_to - to.amsl
            s.out.text(Level.INFO, f"RTL: start return at {up_to:.0f} m ({above:.0f} m above destination)")
            arguments = int(up_to).to_bytes(4, "little", signed=True) + int(above).to_bytes(4, "little", signed=True)
            s.out.event("vrtl_return_at", Level.INFO, arguments=arguments)

    def tick(self, now_s: float) -> None:
        s, to = self._s, self._to
        if s.on_ground and s.phase is not Phase.LAND:
            return
        around_m = s.params["RTL_LOITER_RAD"] if s.vtol.winged else 0.0
        if s.phase is Phase.CLIMB:
            s.stay()
            if s.high_enough():
                s.set_off(Place(to.lat, to.lon, s.target.amsl))
                s.phase = Phase.GO
        elif s.phase is Phase.GO:
            s.fly(Place(to.lat, to.lon, s.target.amsl))
            if s.reached(s.acceptance_m() + (around_m if s.vtol.on_wing else 0.0)):
                s.phase = Phase.DESCEND
        elif s.phase is Phase.DESCEND:
            low = min(to.amsl + s.params["RTL_DESCEND_ALT"], s.target.amsl)
            s.fly(Place(to.lat, to.lon, low), circle_m=around_m)
            if s.here().amsl <= low or s.level():
                delay = s.params["RTL_LAND_DELAY"]
                s.phase, s.until_s = Phase.WAIT, now_s + delay if delay >= 0.0 else float("inf")
        elif s.phase is Phase.WAIT:
            s.fly(s.target, circle_m=around_m)
            if now_s >= s.until_s:
                s.set_off(s.target)
                s.phase = Phase.APPROACH if s.vtol.winged else Phase.TO_ROTORS
        elif s.phase is Phase.APPROACH:
            s.fly(s.target)
            if not s.vtol.on_wing or s.over_target(s.vtol.brake_m()):
                s.transition(now_s, wing=False)
                s.phase = Phase.TO_ROTORS
        elif s.phase is Phase.TO_ROTORS:
            s.fly(s.target)
            if s.vtol.on_rotors and s.over_target(s.acceptance_m()):
                s.phase = Phase.LAND
                s.out.text(Level.INFO, "RTL: land at destination")
                s.out.event("rtl_land_at_destination", Level.INFO)
        else:
            s.fly(Place(to.lat, to.lon, to.amsl), landing=True)
