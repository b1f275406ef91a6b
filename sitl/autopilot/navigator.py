"""Where to fly: the mission engine, take-off, hold, return, land. Writes targets into the fleet's state."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import acos, cos, hypot, pi, radians, sqrt, tan

from sitl import geo
from sitl.autopilot import plans
from sitl.autopilot.events import Level
from sitl.autopilot.modes import Mode
from sitl.autopilot.outlet import Outlet
from sitl.autopilot.params import Params
from sitl.autopilot.plans import Item, Plan
from sitl.vehicle.dynamics import ACCELERATION_M_S2, BRAKING_M_S2, FleetState

SPOOL_S = 1.6
"""from arming until the rotors lift (recordings of PX4: 1.7 s from arming to "Takeoff detected")"""
DELAY_SINK_M_S = 0.5
"""NAV_DELAY made a real vehicle sink; how fast is a guess"""


class Phase(Enum):
    CLIMB = "climb"
    GO = "go"
    WAIT = "wait"
    DESCEND = "descend"
    LAND = "land"
    SINK = "sink"
    STAY = "stay"


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees and metres AMSL."""

    lat: float
    lon: float
    amsl: float


class Navigator:
    """Of vehicle i. `tick` answers the mode that ought to follow, where the flight itself asks for one."""

    def __init__(
        self, i: int, fleet: FleetState, params: Params, out: Outlet, gripper: Callable[[bool, float], None]
    ) -> None:
        self.i, self.fleet, self.params, self.out = i, fleet, params, out
        self._gripper = gripper
        self.home: Place | None = None
        self.mission = Plan()
        self.rally: tuple[Place, ...] = ()
        self.seq = 0
        self.finished = False
        self.started = False
        self.armed_s = 0.0
        self.mode = Mode.HOLD
        self.phase = Phase.STAY
        self.target = self.here()
        self.takeoff_amsl: float | None = None
        self.speed_override: float | None = None
        self._until_s = 0.0
        self._jumps: dict[int, int] = {}
        self._destination = self.target
        self.sticks = (0.0, 0.0, 0.0)
        """forward, right, up, −1…1, when a pilot flies"""

    # --- what it sees and sets

    def here(self) -> Place:
        lat, lon = self.fleet.seen(self.i)
        return Place(lat, lon, float(self.fleet.alt[self.i]))

    def _cruise(self) -> float:
        return self.speed_override or min(self.params["MPC_XY_CRUISE"], self.params["MPC_XY_VEL_MAX"])

    def _fly(self, to: Place, *, corner: float = 0.0, landing: bool = False, up: float | None = None) -> None:
        self.target = to
        climb = self.params["MPC_Z_V_AUTO_UP"] if up is None else up
        sink = self.params["MPC_Z_V_AUTO_DN"]
        self.fleet.aim(
            self.i, to.lat, to.lon, to.amsl,
            speed=self._cruise(), climb=climb, sink=sink, corner=corner, landing=landing,
        )  # fmt: skip

    def _reached(self, radius_m: float) -> bool:
        here = self.here()
        near = geo.distance_m(here.lat, here.lon, self.target.lat, self.target.lon) <= radius_m
        return near and abs(here.amsl - self.target.amsl) <= self.params["NAV_MC_ALT_RAD"]

    def _high_enough(self) -> bool:
        return float(self.fleet.alt[self.i]) >= self.target.amsl - self.params["NAV_MC_ALT_RAD"]

    def stopping_point(self) -> Place:
        """Where full braking ends."""
        here, vn, ve = self.here(), float(self.fleet.vn[self.i]), float(self.fleet.ve[self.i])
        reach = hypot(vn, ve) / (2.0 * BRAKING_M_S2)
        return Place(*geo.shifted(here.lat, here.lon, vn * reach, ve * reach), here.amsl)

    @property
    def on_ground(self) -> bool:
        return bool(self.fleet.on_ground[self.i])

    # --- modes

    def enter(self, mode: Mode, now_s: float) -> None:
        """The mode has become this one; on the ground nothing moves until armed."""
        before, self.mode = self.mode, mode
        if mode is Mode.MISSION:
            if self.fleet.armed[self.i]:
                # A finished mission taken up again in the air flies to its last item once more.
                self.finished = False
                self.begin_item(now_s)
        elif mode is Mode.HOLD and before is Mode.MISSION and self.finished:
            self.phase = Phase.STAY  # at the place where the mission ended
        elif mode is Mode.RETURN:
            self._begin_return()
        elif mode is Mode.TAKEOFF:
            self.phase = Phase.CLIMB
            here = self.here()
            up_to = self.takeoff_amsl or here.amsl + self.params["MIS_TAKEOFF_ALT"]
            self.target = Place(here.lat, here.lon, up_to)
        else:
            self.phase = Phase.LAND if mode is Mode.LAND else Phase.STAY
            self.target = self.stopping_point()

    def reposition(self, to: Place) -> None:
        """A new hold point."""
        self.phase, self.target = Phase.STAY, to

    def tick(self, now_s: float, *, armed: bool) -> Mode | None:
        if not armed or self.mode is Mode.TERMINATION:
            self.fleet.stop_motors(self.i)
            return None
        if now_s - self.armed_s < SPOOL_S:
            return None
        if self.mode is Mode.MISSION:
            return self._tick_mission(now_s)
        if self.mode is Mode.TAKEOFF:
            self._fly(self.target, up=self.params["MPC_TKO_SPEED"])
            return Mode.HOLD if self._high_enough() and not self.on_ground else None
        if self.mode is Mode.RETURN:
            self._tick_return(now_s)
        elif self.mode.flown_by_hand:
            self._tick_sticks()
        elif not self.on_ground or self.phase is not Phase.STAY:
            self._fly(self.target, landing=self.phase is Phase.LAND)
        return None

    def _tick_sticks(self) -> None:
        forward, right, up = self.sticks
        if self.on_ground and up <= 0.1:
            return
        here, yaw = self.here(), float(self.fleet.yaw[self.i])
        pace = self.params["MPC_XY_VEL_MAX"]
        north = (forward * cos(yaw) - right * cos(yaw - pi / 2)) * pace
        east = (forward * cos(yaw - pi / 2) + right * cos(yaw)) * pace
        ahead = geo.shifted(here.lat, here.lon, north * 2.0, east * 2.0)
        self._fly(Place(*ahead, here.amsl + 3.0 * up))

    # --- mission

    def load(self, plan: Plan, seq: int) -> None:
        """A new mission is stored. `seq` −1: no item was marked as current, and PX4 stays at the number it was at."""
        kept = min(self.seq, max(0, len(plan.items) - 1))
        self.mission, self.seq, self.finished, self.started = plan, seq if seq >= 0 else kept, False, False
        self._jumps = {}
        self.phase, self.target = Phase.STAY, self.stopping_point()

    def set_current(self, seq: int, now_s: float) -> None:
        self.seq, self.finished = seq, False
        if self.mode is Mode.MISSION and self.fleet.armed[self.i]:
            self.begin_item(now_s)

    def begin_item(self, now_s: float) -> None:
        """Takes up item `seq`; items without a place are carried out on the way to the next that has one."""
        self.started = True
        for _ in range(len(self.mission.items) + 1):
            if self.seq >= len(self.mission.items):
                self._finish()
                return
            item = self.mission.items[self.seq]
            if item.placed or item.command in (plans.RETURN, plans.DELAY):
                self._begin_placed(item, now_s)
                return
            self._do(item, now_s)
        self._finish()

    def _begin_placed(self, item: Item, now_s: float) -> None:
        here = self.here()
        if item.command == plans.RETURN:
            self._finish()
            return
        if item.command == plans.DELAY:
            self.phase, self._until_s = Phase.SINK, now_s + max(0.0, item.params[0])
            self.target = here
            return
        to = self._place(item)
        if item.command == plans.TAKEOFF or (self.on_ground and item.command != plans.LAND):
            # Without a take-off item PX4 climbs first all the same.
            above_home = (self.home.amsl if self.home else here.amsl) + self.params["MIS_TAKEOFF_ALT"]
            self.phase, self.target = Phase.CLIMB, Place(here.lat, here.lon, max(to.amsl, above_home))
            height = self.target.amsl - (self.home.amsl if self.home else here.amsl)
            self.out.text(Level.INFO, f"Climb to {height:.1f} meters above home")
            self.out.event("mission_climb_before_start", Level.INFO, arguments=struct.pack("<f", height))
        elif item.command == plans.LAND:
            self.phase, self.target = Phase.GO, Place(to.lat, to.lon, max(here.amsl, to.amsl))
        else:
            self.phase, self.target = Phase.GO, to

    def _place(self, item: Item) -> Place:
        home = self.home.amsl if self.home else 0.0
        return Place(item.lat_deg, item.lon_deg, item.amsl_m(home))

    def _do(self, item: Item, now_s: float) -> None:
        if item.command == plans.GRIPPER:
            self._gripper(item.params[1] == 0.0, now_s)
        elif item.command == plans.CHANGE_SPEED and item.params[1] > 0.0:
            self.speed_override = item.params[1]
        elif item.command == plans.DO_JUMP:
            done = self._jumps.get(self.seq, 0)
            if done < item.params[1]:
                self._jumps[self.seq] = done + 1
                self.seq = max(0, min(int(item.params[0]), len(self.mission.items) - 1))
                return
        self.out.reached(self.seq)
        self.seq += 1

    def _finish(self) -> None:
        if not self.finished:
            self.out.text(Level.INFO, "Mission finished, loitering")
            self.out.event("mission_finished_loiter", Level.INFO)
        self.finished = True
        self.seq = max(0, len(self.mission.items) - 1)
        self.phase = Phase.LAND if self.on_ground else Phase.STAY
        self.target = self.target if self._reached(self.params["NAV_ACC_RAD"]) else self.stopping_point()

    def _advance(self, now_s: float) -> None:
        self.out.reached(self.seq)
        self.seq += 1
        self.begin_item(now_s)

    def _tick_mission(self, now_s: float) -> Mode | None:
        if not self.started and not self.finished:
            # Stored in flight and not judged yet: stop and wait.
            self._fly(self.target)
        elif not self.finished:
            self._tick_item(now_s)
        if not self.finished:
            return None
        items = self.mission.items
        if items and items[-1].command == plans.RETURN:
            self.out.reached(self.seq)
            return Mode.RETURN
        if self.on_ground:
            return None
        self._fly(self.target)
        return Mode.HOLD  # Commander.cpp: "Transition to loiter when the mission is finished"

    def _tick_item(self, now_s: float) -> None:
        item = self.mission.items[self.seq]
        if self.phase is Phase.CLIMB:
            self._fly(self.target, up=self.params["MPC_TKO_SPEED"])
            if self._high_enough():
                self.phase, self.target = Phase.GO, self._place(item)
        elif self.phase is Phase.GO:
            radius = (
                item.params[1]
                if item.command == plans.WAYPOINT and item.params[1] > 0.0
                else self.params["NAV_ACC_RAD"]
            )
            self._fly(self.target, corner=self._corner(item, radius))
            if self._reached(radius):
                self._arrive(item, now_s)
        elif self.phase is Phase.WAIT:
            self._fly(self.target)
            if now_s >= self._until_s:
                self._advance(now_s)
        elif self.phase is Phase.SINK:
            here = self.here()
            self._fly(Place(self.target.lat, self.target.lon, here.amsl - DELAY_SINK_M_S))
            if now_s >= self._until_s:
                self._advance(now_s)
        elif self.phase is Phase.LAND:
            self._fly(self.target, landing=True)
            if self.on_ground:
                self._advance(now_s)

    def _arrive(self, item: Item, now_s: float) -> None:
        if item.command == plans.LAND:
            self.phase = Phase.LAND
        elif item.command == plans.LOITER_UNLIM:
            self.phase, self._until_s = Phase.WAIT, float("inf")
        elif item.command in (plans.WAYPOINT, plans.LOITER_TIME) and item.params[0] > 0.0:
            self.phase, self._until_s = Phase.WAIT, now_s + item.params[0]
        else:
            self._advance(now_s)

    def _corner(self, item: Item, radius_m: float) -> float:
        """Speed allowed through the waypoint: PX4's computeMaxSpeedInWaypoint, sqrt(a · d · tan(α/2))."""
        waits = item.command == plans.WAYPOINT and item.params[0] > 0.0
        if waits or item.command not in (plans.WAYPOINT, plans.TAKEOFF):
            return 0.0
        after = next((x for x in self.mission.items[self.seq + 1 :] if x.placed), None)
        if after is None or after.command == plans.LAND:
            return 0.0
        here = self.here()
        in_n, in_e = geo.offset_m(here.lat, here.lon, self.target.lat, self.target.lon)
        out_n, out_e = geo.offset_m(self.target.lat, self.target.lon, after.lat_deg, after.lon_deg)
        legs = hypot(in_n, in_e) * hypot(out_n, out_e)
        if legs < 1e-3:
            return 0.0
        # α is the inner angle between the legs: π straight on, 0 straight back.
        alpha = pi - acos(max(-1.0, min(1.0, (in_n * out_n + in_e * out_e) / legs)))
        if alpha > pi - 0.02:
            return self._cruise()
        return min(self._cruise(), sqrt(ACCELERATION_M_S2 * radius_m * tan(alpha / 2.0)))

    # --- return

    def destination(self) -> Place:
        """The horizontally closest of home and rally points, whatever wind and energy say (RTL_TYPE 0, 1, 3)."""
        here = self.here()
        places: Sequence[Place] = [*([self.home] if self.home else []), *self.rally] or [here]
        return min(places, key=lambda p: geo.distance_m(here.lat, here.lon, p.lat, p.lon))

    def return_amsl_m(self) -> float:
        """RTL_RETURN_ALT above the destination, less inside the cone around it, never below the present height."""
        here, to = self.here(), self.destination()
        distance = geo.distance_m(here.lat, here.lon, to.lat, to.lon)
        height = self.params["RTL_RETURN_ALT"]
        half_angle = self.params["RTL_CONE_ANG"]
        if distance <= self.params["RTL_MIN_DIST"]:
            height = min(height, self.params["RTL_DESCEND_ALT"])
        elif 0 < half_angle < 90:
            height = min(height, max(self.params["RTL_DESCEND_ALT"], distance / tan(radians(half_angle))))
        return max(here.amsl, to.amsl + height)

    def _begin_return(self) -> None:
        here, to = self.here(), self.destination()
        up_to = self.return_amsl_m()
        self._destination = to
        self.phase, self.target = Phase.CLIMB, Place(here.lat, here.lon, up_to)
        if not self.on_ground:
            above = up_to - to.amsl
            self.out.text(Level.INFO, f"RTL: start return at {up_to:.0f} m ({above:.0f} m above destination)")
            arguments = int(up_to).to_bytes(4, "little", signed=True) + int(above).to_bytes(4, "little", signed=True)
            self.out.event("vrtl_return_at", Level.INFO, arguments=arguments)

    def _tick_return(self, now_s: float) -> None:
        if self.on_ground and self.phase is not Phase.LAND:
            return
        to, here = self._destination, self.here()
        if self.phase is Phase.CLIMB:
            self._fly(self.target)
            if self._high_enough():
                self.phase = Phase.GO
        elif self.phase is Phase.GO:
            self._fly(Place(to.lat, to.lon, self.target.amsl))
            if self._reached(self.params["NAV_ACC_RAD"]):
                self.phase = Phase.DESCEND
        elif self.phase is Phase.DESCEND:
            low = to.amsl + self.params["RTL_DESCEND_ALT"]
            self._fly(Place(to.lat, to.lon, min(low, self.target.amsl)))
            if here.amsl <= low + self.params["NAV_MC_ALT_RAD"]:
                delay = self.params["RTL_LAND_DELAY"]
                self.phase, self._until_s = Phase.WAIT, now_s + delay if delay >= 0.0 else float("inf")
        elif self.phase is Phase.WAIT:
            self._fly(self.target)
            if now_s >= self._until_s:
                self.phase = Phase.LAND
                self.out.text(Level.INFO, "RTL: land at destination")
                self.out.event("rtl_land_at_destination", Level.INFO)
        else:
            self._fly(Place(to.lat, to.lon, to.amsl), landing=True)
