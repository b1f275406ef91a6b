"""Where to fly: the mission engine, take-off, hold, return, land. Writes targets into the fleet's state."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import acos, atan2, hypot, nan, pi, sqrt, tan

from sitl import geo
from sitl.autopilot import plans
from sitl.autopilot.events import Level
from sitl.autopilot.modes import Mode
from sitl.autopilot.outlet import Outlet
from sitl.autopilot.params import Params
from sitl.autopilot.plans import Item, Plan
from sitl.autopilot.return_home import Return
from sitl.autopilot.steering import Phase, Place, Steering
from sitl.vehicle.dynamics import ACCELERATION_M_S2, FleetState

SPOOL_S = 1.6
"""from arming until the rotors lift (recordings of PX4: 1.7 s from arming to "Takeoff detected")"""
DELAY_SINK_M_S = 0.5
"""NAV_DELAY made a real vehicle sink; how fast is a guess"""


class Navigator(Steering):
    """Of vehicle i. `tick` answers the mode that ought to follow, where the flight itself asks for one."""

    def __init__(
        self, i: int, fleet: FleetState, params: Params, out: Outlet, gripper: Callable[[bool, float], None]
    ) -> None:
        super().__init__(i, fleet, params, out)
        self._gripper = gripper
        self.returning = Return(self)
        self.mission = Plan()
        self.seq = 0
        self.finished = False
        self.started = False
        self.reached_one = False
        """an item of this mission: before, it counts as not started even if it was flown"""
        self.armed_s = 0.0
        self.mode = Mode.HOLD
        self.takeoff_amsl: float | None = None
        self._work: list[Phase] = []
        """what is left of the present item"""
        self._course_rad = nan
        self._jumps: dict[int, int] = {}
        self.sticks = (0.0, 0.0, 0.0)
        """forward, right, up, −1…1, when a pilot flies"""

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
            self.returning.begin()
        elif mode is Mode.TAKEOFF:
            self.phase = Phase.CLIMB
            here = self.here()
            up_to = self.takeoff_amsl or here.amsl + self.params["MIS_TAKEOFF_ALT"]
            self.target = Place(here.lat, here.lon, up_to)
        else:
            self.phase = Phase.LAND if mode is Mode.LAND else Phase.STAY
            self.origin, self.target = self.here(), self.stopping_point()
            if mode is Mode.LAND:
                self.transition(now_s, wing=False)  # NAV_FORCE_VT

    def reposition(self, to: Place) -> None:
        """A new hold point."""
        self.set_off(to)
        self.phase = Phase.STAY

    def tick(self, now_s: float, *, armed: bool) -> Mode | None:
        if not armed or self.mode is Mode.TERMINATION:
            self.fleet.stop_motors(self.i)
            self.vtol.landed(now_s)
            return None
        if now_s - self.armed_s < SPOOL_S:
            return None
        self.vtol.tick(now_s)
        if self.mode is Mode.MISSION:
            return self._tick_mission(now_s)
        if self.mode is Mode.TAKEOFF:
            self.fly(self.target, up=self.params["MPC_TKO_SPEED"])
            return Mode.HOLD if self.high_enough() and not self.on_ground else None
        if self.mode is Mode.RETURN:
            self.returning.tick(now_s)
        elif self.mode.flown_by_hand:
            self.by_hand(self.sticks)
        elif not self.on_ground or self.phase is not Phase.STAY:
            landing = self.phase is Phase.LAND
            if landing and not self.vtol.on_rotors:
                self.target = self.stopping_point()  # it comes down where braking ends
            self.stay(landing=landing)
        return None

    # --- mission

    def load(self, plan: Plan, seq: int) -> None:
        """A new mission is stored. `seq` −1: no item was marked as current, and PX4 stays at the number it was at."""
        kept = min(self.seq, max(0, len(plan.items) - 1))
        self.mission, self.seq = plan, seq if seq >= 0 else kept
        self.finished = self.started = self.reached_one = False
        self._jumps = {}
        if self.mode is Mode.MISSION:
            # Not judged yet: it stops and waits. A return or a landing has nothing to do with the plan.
            self.phase, self.target = Phase.STAY, self.stopping_point()

    def set_current(self, seq: int, now_s: float) -> None:
        self.seq, self.finished = seq, False
        if self.mode is Mode.MISSION and self.fleet.armed[self.i]:
            self.begin_item(now_s)

    def begin_item(self, now_s: float) -> None:
        """Takes up item `seq`; items that take no time are carried out on the way to the next that does."""
        self.started = True
        for _ in range(len(self.mission.items) + 1):
            if self.seq >= len(self.mission.items):
                self._finish()
                return
            item = self.mission.items[self.seq]
            work = self._work_of(item)
            if work:
                self._work = work
                self._go_on(now_s)
                return
            if item.command == plans.RETURN:
                self._finish()
                return
            self._do(item, now_s)
        self._finish()

    def _work_of(self, item: Item) -> list[Phase]:
        """PX4's work items: what the item takes from here on. None: it takes no time, or is skipped."""
        on_wing, on_rotors = self.vtol.on_wing, self.vtol.on_rotors
        wait = [Phase.WAIT] if self._waits(item) else []
        match item.command:
            case plans.DELAY:
                return [Phase.SINK]
            case plans.VTOL_TRANSITION if not self.vtol.winged or self.on_ground:
                return []
            case plans.VTOL_TRANSITION if round(item.params[0]) == plans.TO_WING:
                return [Phase.ALIGN, Phase.TO_WING] if on_rotors and self._next_place() else [Phase.TO_WING]
            case plans.VTOL_TRANSITION:
                return [Phase.TO_ROTORS]
            case plans.TAKEOFF | plans.VTOL_TAKEOFF if on_wing and not self.on_ground:
                return []
            case plans.VTOL_TAKEOFF:
                return [Phase.CLIMB, Phase.ALIGN, Phase.TO_WING, Phase.GO]
            case plans.LAND | plans.VTOL_LAND if not on_rotors:
                return [Phase.APPROACH, Phase.TO_ROTORS, Phase.GO, Phase.LAND]
            case plans.LAND | plans.VTOL_LAND:
                return [Phase.GO, Phase.LAND]
            case plans.TAKEOFF:
                return [Phase.CLIMB, Phase.GO]
            case _ if not item.placed:
                return []
            case _ if self.on_ground:
                # Without a take-off item PX4 climbs first all the same.
                return [Phase.CLIMB, Phase.GO, *wait]
            case _:
                return [Phase.GO, *wait]

    def _waits(self, item: Item) -> bool:
        if item.command == plans.LOITER_UNLIM:
            return True
        timed = item.command == plans.LOITER_TIME or (item.command == plans.WAYPOINT and not self.vtol.on_wing)
        return timed and item.params[0] > 0.0

    def _go_on(self, now_s: float) -> None:
        """The item's next piece of work, or the next item."""
        if not self._work:
            self._report_reached()
            self.seq += 1
            self.begin_item(now_s)
            return
        item, here = self.mission.items[self.seq], self.here()
        self.phase = self._work.pop(0)
        match self.phase:
            case Phase.CLIMB:
                home = self.home.amsl if self.home else here.amsl
                up_to = max(item.amsl_m(home), home + self.params["MIS_TAKEOFF_ALT"])
                self.target = Place(here.lat, here.lon, up_to)
                self.out.text(Level.INFO, f"Climb to {up_to - home:.1f} meters above home")
                self.out.event("mission_climb_before_start", Level.INFO, arguments=struct.pack("<f", up_to - home))
            case Phase.ALIGN:
                to = self._place(item) if item.placed else self._next_place() or here
                north, east = geo.offset_m(here.lat, here.lon, to.lat, to.lon)
                near = hypot(north, east) < 1.0
                self._course_rad = float(self.fleet.yaw[self.i]) if near else atan2(east, north)
                self.target = self.stopping_point()
            case Phase.TO_WING | Phase.TO_ROTORS:
                self.transition(now_s, wing=self.phase is Phase.TO_WING)
                self.origin = here
                if self.phase is Phase.TO_ROTORS:
                    self.target = Place(self.target.lat, self.target.lon, here.amsl)
            case Phase.GO | Phase.APPROACH:
                to = self._place(item)
                if item.command in (plans.LAND, plans.VTOL_LAND):
                    # PX4 ignores the item's height until it is there: it keeps that of the leg before.
                    to = Place(to.lat, to.lon, max(to.amsl, self.target.amsl if self.vtol.winged else here.amsl))
                self.set_off(to)
            case Phase.WAIT:
                unlimited = item.command == plans.LOITER_UNLIM
                self.until_s = float("inf") if unlimited else now_s + item.params[0]
            case Phase.SINK:
                self.until_s = now_s + max(0.0, item.params[0])
                self.target = here

    def _next_place(self) -> Place | None:
        """Of the first item after this one that has one."""
        return next((self._place(x) for x in self.mission.items[self.seq + 1 :] if x.placed), None)

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
        self._report_reached()
        self.seq += 1

    def _report_reached(self) -> None:
        self.reached_one = True
        self.out.reached(self.seq)

    def _finish(self) -> None:
        if not self.finished:
            landed = self.on_ground
            self.out.text(Level.INFO, f"Mission finished, {'landed' if landed else 'loitering'}")
            self.out.event("mission_finished" if landed else "mission_finished_loiter", Level.INFO)
        self.finished = True
        self.seq = max(0, len(self.mission.items) - 1)
        self.phase = Phase.LAND if self.on_ground else Phase.STAY
        self.target = self.target if self.reached(self.acceptance_m()) else self.stopping_point()

    def _tick_mission(self, now_s: float) -> Mode | None:
        if not self.started and not self.finished:
            self.stay()  # stored in flight and not judged yet
        elif not self.finished:
            self._tick_item(now_s)
        if not self.finished:
            return None
        items = self.mission.items
        if items and items[-1].command == plans.RETURN:
            self._report_reached()
            return Mode.RETURN
        if self.on_ground:
            return None
        self.stay()
        return Mode.HOLD  # Commander.cpp: "Transition to loiter when the mission is finished"

    def _tick_item(self, now_s: float) -> None:
        if self._work_is_done(self.mission.items[self.seq], now_s):
            self._go_on(now_s)

    def _work_is_done(self, item: Item, now_s: float) -> bool:
        """Flies the present phase; True at its end."""
        match self.phase:
            case Phase.GO:  # first, for it lasts longest
                radius_m = self.acceptance_m()
                if item.command == plans.WAYPOINT and item.params[1] > 0.0 and not self.vtol.on_wing:
                    radius_m = item.params[1]
                # On the wing a place that is reached at another height is circled until the height is.
                away_m = self.distance_m(self.target)
                there = away_m <= radius_m or self.passed()
                corner = self._corner(item, radius_m) if away_m <= self.brakes_m() else 0.0
                self.fly(self.target, corner=corner, circle_m=self.loiter_m() if there else 0.0)
                return there and self.level()
            case Phase.CLIMB:
                self.fly(self.target, up=self.params["MPC_TKO_SPEED"])
                return self.high_enough()
            case Phase.ALIGN:
                self.fly(self.target, face=self._course_rad)
                return self.facing(self._course_rad)
            case Phase.TO_WING:
                self.fly(self.target, face=self._course_rad)
                return self.vtol.on_wing
            case Phase.TO_ROTORS:
                self.fly(self.target)
                return self.vtol.on_rotors
            case Phase.APPROACH:
                self.fly(self.target)
                return self.over_target(self.vtol.brake_m())
            case Phase.WAIT:
                self.stay()
                return now_s >= self.until_s
            case Phase.SINK:
                self.fly(Place(self.target.lat, self.target.lon, self.here().amsl - DELAY_SINK_M_S))
                return now_s >= self.until_s
            case _:
                self.fly(self.target, landing=True)
                return self.on_ground

    def _corner(self, item: Item, radius_m: float) -> float:
        """Speed allowed through the waypoint: PX4's computeMaxSpeedInWaypoint, sqrt(a · d · tan(α/2))."""
        waits = item.command == plans.WAYPOINT and item.params[0] > 0.0
        if waits or item.command not in (plans.WAYPOINT, plans.TAKEOFF):
            return 0.0
        after = next((x for x in self.mission.items[self.seq + 1 :] if x.placed), None)
        if after is None or after.command in (plans.LAND, plans.VTOL_LAND):
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
            return self.cruise_m_s()
        return min(self.cruise_m_s(), sqrt(ACCELERATION_M_S2 * radius_m * tan(alpha / 2.0)))
