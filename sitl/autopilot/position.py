"""Where an autopilot believes itself, and whether it knows: what GPS that is lost, or that errs, does to it, and when.

Seen on PX4 v1.17.0 (SIH). Satellites taken away and given back in flight, twice: the estimator goes on by inertia for
5.2 s, then the position counts as lost; it is good again 2.4 s after the fix. GPS moved by 2 m: followed within
seconds. By 22 and 370 m: called a glitch and disregarded for 7 to 9 s, then the position steps there at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from sitl.autopilot.modes import Mode
from sitl.vehicle.dynamics import FleetState

COASTS_S = 5.2
FINDS_S = 2.4
GATE_M = 4.0
"""further off is a glitch: five standard deviations of 0.75 m (EKF2_GPS_P_GATE; by the test ratio 0.31 of those 2 m)"""
DISREGARDS_S = 7.0
"""reset_timeout_max of PX4's estimator"""
WITHOUT_POSITION = frozenset({Mode.MANUAL, Mode.ACRO, Mode.STABILIZED, Mode.ALTITUDE, Mode.LAND, Mode.TERMINATION})
"""modes that can be entered without knowing where; LAND then goes down wherever the wind takes the vehicle"""


@dataclass(slots=True)
class Gps:
    """What the receiver tells: nothing, or a place that is off by this much."""

    fix: bool = True
    north_m: float = 0.0
    east_m: float = 0.0


class Position:
    """Of vehicle i, since its boot. Tells the fleet's state what the vehicle believes."""

    def __init__(self, i: int, fleet: FleetState, gps: Gps) -> None:
        self.known = True
        self.glitch = False
        """GPS is being disregarded"""
        self._i, self._fleet, self._gps = i, fleet, gps
        self._fix = True
        self._since_s = self._glitch_s = 0.0
        self._off_m = (gps.north_m, gps.east_m)
        fleet.grope(i, blind=False)
        self._believe()

    def _believe(self) -> None:
        self._fleet.gps_north[self._i], self._fleet.gps_east[self._i] = self._off_m

    def update(self, now_s: float) -> None:
        gps = self._gps
        if gps.fix != self._fix:
            self._fix, self._since_s = gps.fix, now_s
        if gps.fix != self.known and now_s - self._since_s >= (FINDS_S if gps.fix else COASTS_S):
            self.known = gps.fix
            self._fleet.grope(self._i, blind=not self.known)
        if gps.fix and self._off_m != (gps.north_m, gps.east_m):
            self._follow(now_s)

    def _follow(self, now_s: float) -> None:
        off_m = hypot(self._gps.north_m - self._off_m[0], self._gps.east_m - self._off_m[1])
        if off_m > GATE_M and not self.glitch:
            self.glitch, self._glitch_s = True, now_s
        if off_m <= GATE_M or now_s - self._glitch_s >= DISREGARDS_S:
            self.glitch, self._off_m = False, (self._gps.north_m, self._gps.east_m)
            self._believe()
