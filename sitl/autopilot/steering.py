"""What every mode of flight uses: where the vehicle is, where it flies to and how, on rotors or on the wing."""

from __future__ import annotations

from enum import Enum
from math import cos, hypot, nan, radians, sin
from typing import NamedTuple

from sitl import geo
from sitl.autopilot.outlet import Outlet
from sitl.autopilot.params import Params
from sitl.autopilot.vtol import Transitions
from sitl.vehicle.dynamics import BRAKING_M_S2, POSITION_GAIN_S, FleetState


class Phase(Enum):
    """What is done at the moment; an item of a mission, or a return, is one after another."""

    CLIMB = "climb"
    ALIGN = "align"
    """turn the nose to where the transition will lead"""
    TO_WING = "to_wing"
    GO = "go"
    APPROACH = "approach"
    """on the wing to where braking has to begin"""
    TO_ROTORS = "to_rotors"
    WAIT = "wait"
    DESCEND = "descend"
    LAND = "land"
    SINK = "sink"
    STAY = "stay"


class Place(NamedTuple):
    """Degrees and metres AMSL."""

    lat: float
    lon: float
    amsl: float


class Rally(NamedTuple):
    """Where a rally point is, and where a return to it leads."""

    at: Place
    leads_to: Place


class Steering:
    """Of vehicle i."""

    def __init__(self, i: int, fleet: FleetState, params: Params, out: Outlet) -> None:
        self.i, self.fleet, self.params, self.out = i, fleet, params, out
        self.vtol = Transitions(i, fleet, params, out)
        self.home: Place | None = None
        self.rally: tuple[Rally, ...] = ()
        self.phase = Phase.STAY
        self.target = self.origin = self.here()
        """`origin`: where the line to the target begins; only a wing follows lines"""
        self.until_s = 0.0
        self.speed_override: float | None = None

    def here(self) -> Place:
        lat, lon = self.fleet.seen(self.i)
        return Place(lat, lon, self.fleet.alt.item(self.i))

    @property
    def on_ground(self) -> bool:
        return bool(self.fleet.on_ground[self.i])

    def ground_m_s(self) -> float:
        return hypot(float(self.fleet.vn[self.i]), float(self.fleet.ve[self.i]))

    def cruise_m_s(self) -> float:
        """Over ground, on rotors."""
        return self.speed_override or min(self.params["MPC_XY_CRUISE"], self.params["MPC_XY_VEL_MAX"])

    def airspeed_m_s(self) -> float:
        """On the wing."""
        wanted = self.speed_override or self.params["FW_AIRSPD_TRIM"]
        return min(max(wanted, self.params["FW_AIRSPD_MIN"]), self.params["FW_AIRSPD_MAX"])

    def transition(self, now_s: float, *, wing: bool) -> None:
        """PX4 forgets a commanded speed with every transition."""
        self.speed_override = None
        self.vtol.request(now_s, wing=wing)

    # --- flying

    def set_off(self, to: Place) -> None:
        """A new leg. A wing goes on from the end of the last one, if it has just come by there."""
        here = self.here()
        self.origin = self.target if self.vtol.on_wing and self.over_target(self.acceptance_m()) else here
        self.target = to

    def fly(
        self,
        to: Place,
        *,
        corner: float = 0.0,
        landing: bool = False,
        up: float | None = None,
        face: float = nan,
        circle_m: float = 0.0,
    ) -> None:
        """Towards a place. `circle_m`: on the wing, around it, for there is no stopping; rotors stop there."""
        self.target = to
        if self.vtol.on_rotors:
            climb = self.params["MPC_Z_V_AUTO_UP"] if up is None else up
            # Blind, PX4 goes down at this speed from any height.
            sink = self.params["MPC_LAND_SPEED" if self.fleet.blind[self.i] else "MPC_Z_V_AUTO_DN"]
            self.fleet.aim(
                self.i, to.lat, to.lon, to.amsl,
                speed=self.cruise_m_s(), climb=climb, sink=sink, corner=corner, landing=landing, face=face,
            )  # fmt: skip
            return
        self.fleet.glide(
            self.i,
            (self.origin.lat, self.origin.lon),
            (to.lat, to.lon),
            to.amsl,
            airspeed=self.airspeed_m_s(),
            climb=self.params["FW_T_CLMB_R_SP"],
            sink=self.params["FW_T_SINK_R_SP"],
            circle=circle_m,
        )

    def stay(self, *, landing: bool = False) -> None:
        """At the target: hover, or circle around it."""
        self.fly(self.target, landing=landing, circle_m=self.loiter_m())

    def loiter_m(self) -> float:
        return self.params["NAV_LOITER_RAD"] if self.vtol.winged else 0.0

    # --- having got there

    def distance_m(self, to: Place) -> float:
        return geo.distance_m(*self.fleet.seen(self.i), to.lat, to.lon)

    def acceptance_m(self) -> float:
        """Within this a place counts as reached. PX4 v1.17 no longer makes it wider on the wing, as flown with SIH."""
        return self.params["NAV_ACC_RAD"]

    def passed(self) -> bool:
        """Beyond the target, seen along the leg; rotors turn round for it."""
        if not self.vtol.on_wing:
            return False
        here, to, start = self.here(), self.target, self.origin
        leg_n, leg_e = geo.offset_m(start.lat, start.lon, to.lat, to.lon)
        beyond_n, beyond_e = geo.offset_m(to.lat, to.lon, here.lat, here.lon)
        return hypot(leg_n, leg_e) > 1.0 and leg_n * beyond_n + leg_e * beyond_e > 0.0

    def over_target(self, radius_m: float) -> bool:
        """Whatever the height."""
        return self.distance_m(self.target) <= radius_m or self.passed()

    def level(self) -> bool:
        """At the target's height, near enough."""
        tolerance_m = self.params["NAV_FW_ALT_RAD" if self.vtol.on_wing else "NAV_MC_ALT_RAD"]
        return bool(abs(self.fleet.alt.item(self.i) - self.target.amsl) <= tolerance_m)

    def reached(self, radius_m: float) -> bool:
        return self.over_target(radius_m) and self.level()

    def brakes_m(self) -> float:
        """So near a target it begins to matter how fast the target is to be passed."""
        pace = self.cruise_m_s()
        return max(pace * pace / (2.0 * BRAKING_M_S2), pace / POSITION_GAIN_S) + 1.0

    def high_enough(self) -> bool:
        tolerance_m = self.params["NAV_FW_ALT_RAD" if self.vtol.on_wing else "NAV_MC_ALT_RAD"]
        return float(self.fleet.alt[self.i]) >= self.target.amsl - tolerance_m

    def facing(self, course_rad: float) -> bool:
        """Within MIS_YAW_ERR of that heading."""
        return cos(float(self.fleet.yaw[self.i]) - course_rad) >= cos(radians(self.params["MIS_YAW_ERR"]))

    def stopping_point(self) -> Place:
        """Where full braking ends; where it is, on the wing."""
        here = self.here()
        if not self.vtol.on_rotors:
            return here
        vn, ve = float(self.fleet.vn[self.i]), float(self.fleet.ve[self.i])
        reach = hypot(vn, ve) / (2.0 * BRAKING_M_S2)
        return Place(*geo.shifted(here.lat, here.lon, vn * reach, ve * reach), here.amsl)

    def by_hand(self, sticks: tuple[float, float, float]) -> None:
        """Forward, right, up, −1…1: towards where the sticks point."""
        forward, right, up = sticks
        if self.on_ground and up <= 0.1:
            return
        here, yaw = self.here(), float(self.fleet.yaw[self.i])
        pace = self.params["MPC_XY_VEL_MAX"]
        north = (forward * cos(yaw) - right * sin(yaw)) * pace
        east = (forward * sin(yaw) + right * cos(yaw)) * pace
        ahead = geo.shifted(here.lat, here.lon, north * 2.0, east * 2.0)
        self.fly(Place(*ahead, here.amsl + 3.0 * up))
