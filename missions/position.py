"""Whether a vehicle is where it says, by two signs.

The receiver's own place against the vehicle's: PX4's estimator disregards a receiver that jumps for 7 s and flies on by
inertia; then it believes it. So this sign comes first, and goes when the estimator has given in.

Each position against the one before and the vehicle's velocity, in which inertia has its say: an estimator that gives
in moves the position in a step that the velocity does not explain. What is not explained is added up, so that a
position which jumps back is believed again. It stays until then, or until somebody vouches for the place.

A drift that the estimator follows is not seen: one of 1 m/s is not, by either sign.

All by the vehicle's own clock, since its boot: late, lost, doubled and overtaken messages change nothing, nor does
another link. A clock that runs backwards is a reboot, and the reckoning begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atan2, cos, degrees, hypot, radians, sin

from geofences.geodesy import LatLon, bearing_deg, distance_m
from missions.snapshot import VehicleState

GATE_M = 30.0
"""further off than this the position is not believed. An estimator that trusts its receiver again after an outage of
seconds corrects itself by some 10 m, and may do so twice; a plan's routes keep 30 m from what is closed"""
NOISE_M = 5.0
"""what a step may leave unexplained at any pace: receiver noise, velocity in cm/s, two estimates 50 ms apart"""
TURN_M_S2 = 10.0
"""the hardest a vehicle turns or brakes: a wing banked by 45°, or a multirotor at its limit. Between two readings `t`
apart it may have gone off and come back by a · t² / 4 of what the mean of both velocities tells"""
PAIR_S = 2.0
"""the receiver's word and the vehicle's position further apart in time are not compared"""
REBOOT_S = 2.0
"""a clock further back than this is another boot; less is a message that was overtaken"""


@dataclass(frozen=True, slots=True)
class Fix:
    """A position and the velocity over ground that came with it, by the vehicle's clock since its boot."""

    clock_s: float
    point: LatLon
    north_m_s: float
    east_m_s: float


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The newest fix, and how far north and east the positions have gone beyond what velocities explain."""

    fix: Fix
    north_m: float = 0.0
    east_m: float = 0.0
    jumped_s: float | None = None
    """when it last did so, by the vehicle's clock"""

    @property
    def off_m(self) -> float:
        return hypot(self.north_m, self.east_m)

    @property
    def believed(self) -> bool:
        return self.off_m <= GATE_M

    def forgiven(self) -> Reckoning:
        """Somebody vouches for the position as it is now."""
        return Reckoning(self.fix, jumped_s=self.jumped_s)


def unseen_m(gap_s: float) -> float:
    """The longest jump that is not noticed between two fixes so far apart: 5 m at once, 15 m in 2 s, 500 m in 14 s."""
    return NOISE_M + TURN_M_S2 * gap_s * gap_s / 4.0


def reckon(before: Reckoning | None, fix: Fix) -> Reckoning:
    """The reckoning with one more fix. One that is older than the newest changes nothing."""
    if before is None:
        return Reckoning(fix)
    last = before.fix
    gap_s = fix.clock_s - last.clock_s
    if gap_s < -REBOOT_S:
        return Reckoning(fix)
    if gap_s <= 0.0:
        return before
    course, length_m = radians(bearing_deg(last.point, fix.point)), distance_m(last.point, fix.point)
    north_m = length_m * cos(course) - gap_s * (last.north_m_s + fix.north_m_s) / 2.0
    east_m = length_m * sin(course) - gap_s * (last.east_m_s + fix.east_m_s) / 2.0
    if hypot(north_m, east_m) <= unseen_m(gap_s):
        return replace(before, fix=fix)
    return Reckoning(fix, before.north_m + north_m, before.east_m + east_m, fix.clock_s)


def reckoned(before: Reckoning | None, state: VehicleState) -> Reckoning | None:
    """The same from telemetry; as it was, where the vehicle does not tell position, velocity and its own time."""
    fix = _fix(state)
    return before if fix is None else reckon(before, fix)


def _fix(state: VehicleState) -> Fix | None:
    position, velocity = state.position, state.velocity
    if position is None or velocity is None or position.value.clock_s is None:
        return None
    v = velocity.value
    return Fix(position.value.clock_s, position.value.point, v.north_m_s, v.east_m_s)


def receiver_off_m(state: VehicleState) -> float:
    """How far its receiver is from where the vehicle says it is, beyond what their times explain; 0: not known."""
    fix = _fix(state)
    if fix is None or state.gps is None or state.gps.value.point is None:
        return 0.0
    gap_s = abs(state.gps.value.clock_s - fix.clock_s)
    if gap_s > PAIR_S:
        return 0.0
    flown_m = gap_s * hypot(fix.north_m_s, fix.east_m_s)
    return max(0.0, distance_m(state.gps.value.point, fix.point) - flown_m - unseen_m(gap_s))


def doubt(reckoning: Reckoning | None, state: VehicleState) -> str:
    """Why the vehicle's position cannot be believed; empty when it can, as far as can be told."""
    if state.gps is not None and state.gps.value.point is None:
        return "no GPS fix"
    if (apart_m := receiver_off_m(state)) > GATE_M:
        return f"its receiver is {apart_m:.0f} m from where it says it is"
    if reckoning is None or reckoning.believed:
        return ""
    return f"{reckoning.off_m:.0f} m {_toward(reckoning)} of where its own velocity leads"


def _toward(r: Reckoning) -> str:
    names = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
    return names[round(degrees(atan2(r.east_m, r.north_m)) / 45.0) % 8]
