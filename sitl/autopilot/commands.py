"""The commands PX4 v1.17 answers, as a table. What is not in it is UNSUPPORTED; None means silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from sitl.autopilot import plans
from sitl.autopilot.autopilot import Autopilot
from sitl.autopilot.events import Level
from sitl.autopilot.modes import AUTO, Mode, mode_of
from sitl.autopilot.outlet import Reply
from sitl.autopilot.results import ACCEPTED, DENIED, TEMPORARILY_REJECTED, UNSUPPORTED
from sitl.autopilot.steering import Place

CUSTOM_MODE = 1
"""MAV_MODE_FLAG_CUSTOM_MODE_ENABLED"""
FORCE = 21196
GRIPPER_RELEASE, GRIPPER_GRAB = 0, 1
CHANGE_MODE = 1
"""MAV_DO_REPOSITION_FLAGS"""


@dataclass(frozen=True, slots=True)
class Command:
    """COMMAND_LONG or COMMAND_INT; `lat_deg` and `lon_deg` are params 5 and 6 as a position."""

    number: int
    params: Sequence[float]
    """seven"""
    lat_deg: float
    lon_deg: float


Handler = Callable[[Autopilot, Command, float, Reply], int | None]


def execute(pilot: Autopilot, command: Command, now_s: float, reply: Reply) -> None:
    """Carries a command out and answers it; `reply` may be called again later."""
    handler = COMMANDS.get(command.number)
    result = UNSUPPORTED if handler is None else handler(pilot, command, now_s, reply)
    if result is not None:
        reply(result)


def _arm(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    force = round(command.params[1]) == FORCE
    if round(command.params[0]) == 1:
        done = pilot.arm(now_s, by="external command", code=4, force=force)
    else:
        done = pilot.disarm(now_s, by="external command", code=4, force=force)
    return ACCEPTED if done else TEMPORARILY_REJECTED


def _set_mode(pilot: Autopilot, command: Command, now_s: float, reply: Reply) -> int:
    """Answered twice, by PX4's link, which accepts everything, and by its commander: only HEARTBEAT tells."""
    reply(ACCEPTED)
    if int(command.params[0]) & CUSTOM_MODE:
        mode = mode_of(int(command.params[1]), int(command.params[2]))
        if mode is not None:
            return ACCEPTED if pilot.request_mode(mode, now_s) else TEMPORARILY_REJECTED
        if int(command.params[1]) == AUTO:
            pilot.out.text(Level.CRITICAL, "Unsupported auto mode")
            pilot.out.event("commander_unsupported_auto_mode", Level.ERROR, Level.ERROR)
            return TEMPORARILY_REJECTED
    return ACCEPTED


def _takeoff(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    amsl = command.params[6]
    pilot.navigator.takeoff_amsl = amsl if isfinite(amsl) and amsl != 0.0 else None
    pilot.request_mode(Mode.TAKEOFF, now_s)
    return ACCEPTED


def _return(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    pilot.out.text(Level.INFO, "Returning to launch")
    pilot.out.event("commander_rtl", Level.INFO)
    pilot.request_mode(Mode.RETURN, now_s)
    return ACCEPTED


def _land(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    pilot.out.text(Level.INFO, "Landing at current position")
    pilot.out.event("commander_landing_current_pos", Level.INFO)
    pilot.request_mode(Mode.LAND, now_s)
    return ACCEPTED


def _mission_start(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    if not pilot.valid:
        pilot.out.text(Level.CRITICAL, "Mission start denied! No valid mission")
        pilot.out.event("commander_mission_start_denied_no_mission", Level.CRITICAL)
        return DENIED
    first = int(command.params[0])
    pilot.navigator.started = False  # where it flies the mission already, the item is begun again at once
    pilot.navigator.set_current(first if 0 <= first < len(pilot.plans[plans.MISSION].items) else 0, now_s)
    if not pilot.request_mode(Mode.MISSION, now_s) or not pilot.arm(now_s, by="mission start", code=5):
        return TEMPORARILY_REJECTED
    pilot.out.text(Level.INFO, "Executing Mission")
    pilot.out.event("mission_execute", Level.INFO)
    return ACCEPTED


def _reposition(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    if not int(command.params[1]) & CHANGE_MODE:
        return UNSUPPORTED
    # The height counts as AMSL in every frame (a relative one was misread by a real PX4).
    here, amsl = pilot.navigator.here(), command.params[6]
    placed = isfinite(command.lat_deg) and isfinite(command.lon_deg)
    to = Place(
        command.lat_deg if placed else here.lat,
        command.lon_deg if placed else here.lon,
        amsl if isfinite(amsl) else here.amsl,
    )
    outside = pilot.fence_enforced and not pilot.fence.allows(to.lat, to.lon)
    pilot.request_mode(Mode.HOLD, now_s)
    if outside and pilot.params["GF_ACTION"] >= 2:
        pilot.out.text(Level.CRITICAL, "Reposition is outside geofence")
    elif not pilot.landed:
        if command.params[0] > 0.0:
            pilot.navigator.speed_override = command.params[0]
        pilot.navigator.reposition(to)
    return ACCEPTED


def _run_checks(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    pilot.report_checks(now_s)
    return ACCEPTED


def _change_speed(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    if command.params[1] > 0.0:
        pilot.navigator.speed_override = command.params[1]
    return ACCEPTED


def _gripper(pilot: Autopilot, command: Command, now_s: float, reply: Reply) -> int | None:
    action = round(command.params[1])
    if action not in (GRIPPER_RELEASE, GRIPPER_GRAB):
        return DENIED
    pilot.gripper.move(action == GRIPPER_RELEASE, now_s, reply)
    return None


def _silence(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> None:
    return None


def _vtol_transition(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int | None:
    """param1 4 to the wing, else to the rotors; param2 1 to them at once. A multirotor has no module that answers."""
    vtol, wing = pilot.navigator.vtol, round(command.params[0]) == plans.TO_WING
    if not vtol.winged:
        return None
    if wing and pilot.mode in (Mode.TAKEOFF, Mode.LAND, Mode.RETURN):
        return TEMPORARILY_REJECTED
    if not pilot.landed:
        if not wing and isfinite(command.params[1]) and round(command.params[1]) == 1:
            vtol.quad_chute(now_s, "vtol_att_ctrl_quadchute_ext_cmd")
        else:
            pilot.navigator.transition(now_s, wing=wing)
    return ACCEPTED


def _terminate(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    """Only what flies can be terminated, and termination cannot be taken back."""
    if not pilot.armed or command.params[0] <= 0.5:
        return DENIED
    return ACCEPTED if pilot.request_mode(Mode.TERMINATION, now_s) else TEMPORARILY_REJECTED


def _reboot(pilot: Autopilot, command: Command, now_s: float, _: Reply) -> int:
    """A PX4 in SITL cannot reboot itself; to play one, declare the fault."""
    return DENIED


COMMANDS: dict[int, Handler] = {
    20: _return,
    21: _land,
    22: _takeoff,
    176: _set_mode,
    178: _change_speed,
    185: _terminate,
    192: _reposition,
    211: _gripper,
    246: _reboot,
    300: _mission_start,
    400: _arm,
    401: _run_checks,
    3000: _vtol_transition,
    42600: _silence,
}
