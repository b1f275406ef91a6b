"""One vehicle's autopilot: boot, health, arming, modes, plans, failsafes. Commands come in through `commands`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sitl.autopilot import plans
from sitl.autopilot.checks import CheckReport
from sitl.autopilot.events import Level
from sitl.autopilot.failsafe import Action, Failsafes, Row, Sight, notice
from sitl.autopilot.fence import Fence, read_fence
from sitl.autopilot.gripper import Gripper
from sitl.autopilot.modes import Mode
from sitl.autopilot.navigator import Navigator
from sitl.autopilot.outlet import Outlet
from sitl.autopilot.params import Params
from sitl.autopilot.plans import Item, Plan
from sitl.autopilot.position import WITHOUT_POSITION, Gps, Position
from sitl.autopilot.return_home import read_rally
from sitl.autopilot.steering import Phase, Place
from sitl.autopilot.sticks import Axes, Sticks
from sitl.spec import VehicleSpec
from sitl.vehicle.dynamics import FleetState

BOOT_S = 5.0
"""from power-on until the prearm checks pass"""
FIX_S = 2.0
"""until GPS and home are there"""
JUDGING_S = 0.25
"""a new mission is judged this long after its ACK; until then it counts as none (the HOLD race)"""
LANDED_S = 1.0
"""on the ground until "Landing detected" """
HEARTBEAT_LINGERS_S = 2.5
"""a ground station counts as present this long after its heartbeat; only then COM_DL_LOSS_T begins"""
REBOOT_S = 3.0
"""silence between a reboot and the first message"""

GROUND, IN_AIR, TAKING_OFF, LANDING = 1, 2, 3, 4
"""MAV_LANDED_STATE"""


class Autopilot:
    def __init__(self, i: int, spec: VehicleSpec, fleet: FleetState, out: Outlet, now_s: float) -> None:
        self.i, self.spec, self.fleet, self.out = i, spec, fleet, out
        self.params = Params(spec.system_id, spec.performance, spec.params, vtol=spec.model == "vtol")
        self.plans: dict[int, Plan] = {plans.MISSION: Plan(), plans.FENCE: Plan(), plans.RALLY: Plan()}
        self.compass_failed = False
        self.gps = Gps()
        self.gripper_jammed = False
        self._boot(now_s)

    def _boot(self, now_s: float) -> None:
        """Everything that does not survive a reboot; plans and parameters do."""
        self.boot_s = now_s
        self.gripper = Gripper(self.params, self._let_go)
        self.navigator = Navigator(self.i, self.fleet, self.params, self.out, self.gripper.move)
        self.failsafes = Failsafes(self.params)
        self.position = Position(self.i, self.fleet, self.gps)
        self.intended = self.mode = Mode.HOLD
        self.in_failsafe = False
        self.landed = True
        self.valid = False
        """the stored mission was judged feasible"""
        self._judge_at: float | None = now_s + FIX_S + JUDGING_S
        self.fence = Fence()
        self.fence_enforced = False
        self.armed_s = 0.0
        self._ground_s = now_s
        self._took_off = False
        self.gcs_heard_s: float | None = None
        self._gcs_lost = False
        self.sticks = Sticks(self.params)
        self._checks = CheckReport()
        self.navigator.load(self.plans[plans.MISSION], 0)

    def reboot(self, now_s: float) -> None:
        """Power cycle: in the air the vehicle falls."""
        self.fleet.armed[self.i] = False
        self.fleet.stop_motors(self.i)
        self._boot(now_s + REBOOT_S)

    # --- what others read

    @property
    def armed(self) -> bool:
        return bool(self.fleet.armed.item(self.i))

    def silent(self, now_s: float) -> bool:
        """Rebooting."""
        return now_s < self.boot_s

    def boot_ms(self, now_s: float) -> int:
        return max(0, int((now_s - self.boot_s) * 1000.0))

    def gcs_lost(self, now_s: float) -> bool:
        if self.gcs_heard_s is None:
            return True
        return now_s - self.gcs_heard_s > HEARTBEAT_LINGERS_S + self.params["COM_DL_LOSS_T"]

    def healthy(self, now_s: float) -> bool:
        """The prearm check: SYS_STATUS health bit 28."""
        return not self.failing_checks(now_s)

    def failing_checks(self, now_s: float) -> list[str]:
        """PX4's names of the checks that forbid arming."""
        checks = {
            "check_estimator_missing_data": now_s - self.boot_s < BOOT_S,
            "check_armable_configuration": self.params["COM_ARMABLE"] < 1,
            "check_mag_fault": self.compass_failed,
            "check_estimator_gps_fix_too_low": not self.gps.fix and not self.armed,
            "check_estimator_hor_pos_not_stable": self.position.glitch and not self.armed,
            "check_modes_local_pos": not self.position.known,
            "check_modes_global_pos": not self.position.known,
            "check_modes_cannot_takeoff": not self.intended.arms,
            "check_modes_mission": self.intended is Mode.MISSION and not self.valid,
            "check_battery_critical": self.fleet.charge(self.i) <= self.params["BAT_CRIT_THR"],
            "check_rc_dl_no_dllink": self.params["NAV_DLL_ACT"] > 0 and self.gcs_lost(now_s),
            "check_failure_detector_roll": bool(self.fleet.crashed[self.i]),
        }
        return [name for name, fails in checks.items() if fails]

    def report_checks(self, now_s: float) -> None:
        """RUN_PREARM_CHECKS: the report, changed or not."""
        self._checks.tell(self.failing_checks(now_s), self.out, now_s, force=True)

    def system_status(self, now_s: float) -> int:
        """MAV_STATE as PX4 reports it."""
        if self.mode is Mode.TERMINATION:
            return 8
        if self.in_failsafe:
            return 5
        if self.armed:
            return 4
        return 3 if self.healthy(now_s) else 0

    def landed_state(self) -> int:
        if self.landed:
            return GROUND
        if self.navigator.phase is Phase.LAND:
            return LANDING
        if self.navigator.phase is Phase.CLIMB and self.mode in (Mode.TAKEOFF, Mode.MISSION):
            return TAKING_OFF
        return IN_AIR

    def mission_state(self) -> int:
        """MISSION_STATE: 1 none, 2 not started, 3 active, 4 paused, 5 complete."""
        if not self.valid:
            return 1
        if self.navigator.finished:
            return 5
        if self.in_mission_mode:
            return 3
        return 4 if self.navigator.reached_one else 2

    @property
    def in_mission_mode(self) -> bool:
        """As MISSION_CURRENT has it: take-off and land count too, and armed or not is all one."""
        return self.mode in (Mode.MISSION, Mode.TAKEOFF, Mode.LAND)

    # --- modes and arming

    def can_run(self, mode: Mode, now_s: float) -> bool:
        """Whether an armed vehicle may enter the mode."""
        if not self.position.known and mode not in WITHOUT_POSITION:
            return False
        if mode is Mode.MISSION:
            return self.valid
        if mode.flown_by_hand:
            return self.sticks.out(now_s)
        return mode is not Mode.OFFBOARD

    def hear_sticks(self, at: Axes, now_s: float) -> None:
        """From a pilot; not while a failsafe waits for him to see what is wrong (PX4's COM_FAIL_ACT_T)."""
        moved = self.sticks.hear(at, now_s, armed=self.armed)
        self.navigator.sticks = at
        waiting = self.in_failsafe and self.mode is Mode.HOLD
        automatic = self.armed and not self.landed and not self.mode.flown_by_hand and not waiting
        if moved and automatic and self.request_mode(Mode.POSITION, now_s):
            self.out.text(Level.INFO, "Pilot took over using sticks")
            self.out.event("commander_rc_override", Level.INFO)

    def request_mode(self, mode: Mode, now_s: float) -> bool:
        """A commanded mode change. Disarmed anything goes; LAND always does."""
        if self.mode is Mode.TERMINATION:
            return False
        if self.armed and mode is not Mode.LAND and not self.can_run(mode, now_s):
            return False
        self.failsafes.overrule()
        self.intended = mode
        self.navigator.speed_override = None
        self._set_mode(mode, now_s)
        return True

    def _set_mode(self, mode: Mode, now_s: float) -> None:
        if mode is self.mode and mode is not Mode.TAKEOFF:
            return
        self.mode = mode
        self.navigator.enter(mode, now_s)
        if mode is Mode.TERMINATION:
            self.fleet.armed[self.i] = False

    def arm(self, now_s: float, *, by: str, code: int, force: bool = False) -> bool:
        if self.armed:
            return True
        if not force and not self.healthy(now_s):
            self.out.text(Level.CRITICAL, "Arming denied: Resolve system health failures first")
            self.out.event("commander_arm_denied_resolve_failures", Level.CRITICAL)
            return False
        self.fleet.armed[self.i] = True
        self.fleet.flown_m[self.i] = 0.0
        self.armed_s = self.navigator.armed_s = now_s
        self._took_off = False
        self._set_home()
        self.out.text(Level.INFO, f"Armed by {by}")
        self.out.event("commander_armed_by", Level.INFO, Level.INFO, bytes((code,)))
        self.navigator.enter(self.mode, now_s)
        return True

    def disarm(self, now_s: float, *, by: str, code: int, force: bool = False) -> bool:
        if not self.armed:
            return True
        if not self.landed and not force:
            self.out.text(Level.CRITICAL, "Disarming denied: not landed")
            self.out.event("commander_disarm_denied_not_landed", Level.CRITICAL)
            return False
        self.fleet.armed[self.i] = False
        self.failsafes.reset()
        self.sticks.put_down()
        self.in_failsafe = False
        self.out.text(Level.INFO, f"Disarmed by {by}")
        self.out.event("commander_disarmed_by", Level.INFO, Level.INFO, bytes((code,)))
        if self.mode in (Mode.RETURN, Mode.LAND, Mode.TAKEOFF) or (self.mode is Mode.MISSION and self._took_off):
            self.intended = Mode.HOLD
            self._set_mode(Mode.HOLD, now_s)
        return True

    def _set_home(self) -> None:
        here = self.navigator.here()
        self.navigator.home = Place(here.lat, here.lon, float(self.fleet.ground[self.i]))

    # --- plans

    def store(self, kind: int, items: Sequence[Item], raw: Sequence[Mapping[str, Any]], seq: int, now_s: float) -> int:
        """Keeps a complete upload (empty: clears) and returns its opaque_id. The same plan again changes nothing."""
        checksum = plans.opaque_id(raw)
        if items and checksum == self.plans[kind].opaque_id:
            return checksum
        self.plans[kind] = Plan(tuple(items), checksum)
        if kind == plans.MISSION:
            self.valid = False
            self.navigator.load(self.plans[kind], seq)
        self._judge_at = now_s + JUDGING_S
        return checksum

    def _judge(self, now_s: float) -> None:
        """The navigator looks at what is stored: fence first, then rally points, then the mission."""
        self._judge_at = None
        home = self.navigator.home
        if home is None:
            self._judge_at = now_s + JUDGING_S
            return
        self._take_fence(home)
        self.navigator.rally = read_rally(self.plans[plans.RALLY].items, home.amsl)
        items = self.plans[plans.MISSION].items
        fence = self.fence if self.fence_enforced else Fence()
        flaw = plans.judge(
            items,
            (home.lat, home.lon, home.amsl),
            fence,
            landed=self.landed,
            first_m=self.params["MIS_DIST_1WP"],
            vtol=self.navigator.vtol.winged,
            required=int(self.params["MIS_TKO_LAND_REQ"]),
        )
        if flaw is not None and items:
            level = Level.ERROR if flaw.fatal else Level.WARNING
            if flaw.text:
                self.out.text(Level.CRITICAL, flaw.text)
            self.out.event(flaw.event, level, arguments=flaw.arguments)
        was_flying = self.mode is Mode.MISSION
        self.valid = bool(items) and (flaw is None or not flaw.fatal)
        if was_flying and self.armed:
            if not self.valid:
                self.intended = Mode.HOLD
                self._set_mode(Mode.HOLD, now_s)
            elif not self.navigator.started:
                self.navigator.begin_item(now_s)

    def _take_fence(self, home: Place) -> None:
        fence = read_fence(self.plans[plans.FENCE].items)
        if fence == self.fence:
            return
        self.fence, self.fence_enforced = fence, True
        here = self.navigator.here()
        for place, what, event in (
            (home, "Home", "navigator_geofence_invalid_against_home"),
            (here, "current vehicle", "navigator_geofence_invalid_against_cur_pos"),
        ):
            if not fence.allows(place.lat, place.lon):
                self.out.text(Level.CRITICAL, f"Geofence invalid, doesn't contain {what} position")
                self.out.event(event, Level.CRITICAL, Level.WARNING)
                self.fence_enforced = False

    # --- gripper

    def _let_go(self, open_it: bool) -> None:
        """The servo has moved: nobody but the load notices that a jammed gripper stays shut."""
        if not (open_it and self.gripper_jammed):
            self.out.release(open_it)

    # --- time

    def tick(self, now_s: float) -> None:
        """A turn; none while it is silent."""
        if self.navigator.home is None and now_s - self.boot_s >= FIX_S and self.gps.fix:
            self._set_home()
        if self._judge_at is not None and now_s >= self._judge_at:
            self._judge(now_s)
        self.gripper.tick(now_s)
        self.position.update(now_s)
        self._watch_link(now_s)
        self._watch_ground(now_s)
        if self._checks.due(now_s):
            self._checks.tell(self.failing_checks(now_s), self.out, now_s)
        if self.armed:
            self._apply_failsafes(now_s)
        wish = self.navigator.tick(now_s, armed=self.armed)
        if wish is not None:
            if wish is Mode.RETURN:
                self.out.text(Level.INFO, "Returning to launch")
                self.out.event("commander_rtl", Level.INFO)
            self.intended = wish
            self._set_mode(wish, now_s)

    def _watch_link(self, now_s: float) -> None:
        if self.gcs_heard_s is None:
            return
        lost = self.gcs_lost(now_s)
        if lost != self._gcs_lost:
            self.out.text(Level.INFO, "Connection to ground station lost" if lost else "GCS connection regained")
        self._gcs_lost = lost

    def _watch_ground(self, now_s: float) -> None:
        down = self.fleet.on_ground.item(self.i)
        if self.landed and not down:
            self.landed = False
            self._took_off = True
            self.out.text(Level.INFO, "Takeoff detected")
            self.out.event("commander_takeoff_detected", Level.INFO)
        if not down:
            self._ground_s = now_s
        elif not self.landed and now_s - self._ground_s >= LANDED_S:
            self.landed = True
            self.out.text(Level.INFO, "Landing detected")
            self.out.event("commander_landing_detected", Level.INFO)
        if not self.armed or not self.landed:
            return
        if self._took_off:
            if now_s - self._ground_s >= LANDED_S + self.params["COM_DISARM_LAND"]:
                self.disarm(now_s, by="landing", code=6)
        elif now_s - self.armed_s > self.params["COM_DISARM_PRFLT"]:
            self.disarm(now_s, by="auto preflight disarming", code=7)

    def _apply_failsafes(self, now_s: float) -> None:
        airborne = not self.landed
        see = Sight(
            gcs_lost=airborne and self.gcs_lost(now_s),
            outside_fence=airborne and self.fence_enforced and not self.fence.allows(*self.fleet.seen(self.i)),
            charge=self.fleet.charge(self.i),
            sticks_lost=airborne and self.sticks.missed(now_s, self.intended),
            position_lost=not self.position.known and not self.intended.flown_by_hand,
        )
        imposed = self.failsafes.update(see, now_s)
        for row in self.failsafes.started:
            if row.text:
                self.out.text(Level.CRITICAL, row.text)
            if row.action(self.params) is Action.WARN:
                self._announce(row, Action.WARN, 0.0)
        if imposed is not None and not self.in_failsafe:
            assert self.failsafes.acts is not None  # it imposes
            self._announce(*self.failsafes.acts)
            if imposed is self.mode:
                # It was on its way somewhere in that mode.
                self.navigator.enter(imposed, now_s)
        if imposed is not None or self.in_failsafe:
            self._set_mode(imposed or self.intended, now_s)
        self.in_failsafe = imposed is not None

    def _announce(self, row: Row, action: Action, delay_s: float) -> None:
        text, event, arguments = notice(row.cause, action, self.intended, delay_s)
        level = Level.WARNING if action is Action.WARN else Level.CRITICAL
        if text:
            self.out.text(level, text)
        self.out.event(event, level, Level.WARNING, arguments)
