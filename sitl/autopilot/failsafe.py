"""PX4's failsafes as rows: what triggers each, what it asks for, and when it lets go."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from sitl.autopilot.modes import Mode
from sitl.autopilot.params import Params


class Action(IntEnum):
    """By severity; the worst wins."""

    NONE = 0
    WARN = 1
    HOLD = 2
    RETURN = 3
    LAND = 4
    DESCEND = 5
    """land without knowing where; at once, since a vehicle that does not know where it is cannot hold either"""
    TERMINATE = 6


MODE_OF = {
    Action.HOLD: Mode.HOLD,
    Action.RETURN: Mode.RETURN,
    Action.LAND: Mode.LAND,
    Action.DESCEND: Mode.LAND,
    Action.TERMINATE: Mode.TERMINATION,
}


class Sight(NamedTuple):
    """What the failsafes look at."""

    gcs_lost: bool
    outside_fence: bool
    charge: float
    """0…1"""
    sticks_lost: bool
    """a pilot's mode without a pilot"""
    position_lost: bool
    """in a mode that needs it"""


class Cause(IntEnum):
    """failsafe_cause_t of PX4's events."""

    GENERIC = 0
    STICKS_LOST = 1
    GCS_LOST = 2
    BATTERY_LOW = 3
    BATTERY_CRITICAL = 4
    BATTERY_EMERGENCY = 5


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cause: Cause
    text: str
    """of its own, beside the notice; empty: none"""
    active: Callable[[Sight, Params], bool]
    action: Callable[[Params], Action]
    sticks_from: Action
    """from this action on it lasts until the mode is changed by command; a milder one only while the row is active"""


def _choice(name: str, table: dict[int, Action]) -> Callable[[Params], Action]:
    return lambda params: table.get(int(params[name]), Action.WARN)


_LINK = {0: Action.NONE, 1: Action.HOLD, 2: Action.RETURN, 3: Action.LAND, 5: Action.TERMINATE}
_FENCE = {0: Action.NONE, 1: Action.WARN, 2: Action.HOLD, 3: Action.RETURN, 4: Action.TERMINATE, 5: Action.LAND}
_CRITICAL = {0: Action.WARN, 1: Action.RETURN, 2: Action.LAND, 3: Action.RETURN}
_EMERGENCY = _CRITICAL | {3: Action.LAND}

FAILSAFES: tuple[Row, ...] = (
    Row(
        "data link",
        Cause.GCS_LOST,
        "",
        lambda see, params: see.gcs_lost,
        _choice("NAV_DLL_ACT", _LINK),
        sticks_from=Action.HOLD,
    ),
    Row(
        "fence",
        Cause.GENERIC,
        "Geofence violation",
        lambda see, params: see.outside_fence,
        _choice("GF_ACTION", _FENCE),
        sticks_from=Action.HOLD,
    ),
    Row(
        "low battery",
        Cause.BATTERY_LOW,
        "",
        lambda see, params: see.charge < params["BAT_LOW_THR"],
        lambda params: Action.WARN,
        sticks_from=Action.TERMINATE,
    ),
    Row(
        "critical battery",
        Cause.BATTERY_CRITICAL,
        "",
        lambda see, params: see.charge < params["BAT_CRIT_THR"],
        _choice("COM_LOW_BAT_ACT", _CRITICAL),
        sticks_from=Action.HOLD,
    ),
    Row(
        "empty battery",
        Cause.BATTERY_EMERGENCY,
        "",
        lambda see, params: see.charge < params["BAT_EMERGEN_THR"],
        _choice("COM_LOW_BAT_ACT", _EMERGENCY),
        sticks_from=Action.HOLD,
    ),
    Row(
        "manual control",
        Cause.STICKS_LOST,
        "Manual control lost",
        lambda see, params: see.sticks_lost,
        _choice("NAV_RCL_ACT", _LINK),
        sticks_from=Action.HOLD,
    ),
    Row(
        "position",
        Cause.GENERIC,
        "",
        lambda see, params: see.position_lost,
        lambda params: Action.DESCEND,
        # With the position back the vehicle takes up again what it was doing (flown on a real PX4).
        sticks_from=Action.TERMINATE,
    ),
)


_ACTION_NUMBERS = {
    Action.WARN: 1,
    Action.HOLD: 5,
    Action.RETURN: 6,
    Action.LAND: 7,
    Action.DESCEND: 8,
    Action.TERMINATE: 10,
}
"""failsafe_action_t of PX4's events"""
_WARNINGS = {
    Cause.BATTERY_LOW: "commander_failsafe_enter_low_bat",
    Cause.BATTERY_CRITICAL: "commander_failsafe_enter_crit_bat_warn",
    Cause.BATTERY_EMERGENCY: "commander_failsafe_enter_crit_low_bat_warn",
}


class Notice(NamedTuple):
    """What is told of a failsafe when it begins: a text unless it only warns, and an event."""

    text: str
    event: str
    arguments: bytes


def notice(cause: Cause, action: Action, intended: Mode, delay_s: float) -> Notice:
    """`delay_s` of HOLD before the action, 0 if it comes at once; the words of PX4's failsafe framework."""
    number, mode = _ACTION_NUMBERS[action], intended.custom_mode
    if delay_s > 0.0:
        text = f"Failsafe activated: entering Hold for {round(delay_s)} seconds"
        arguments = struct.pack("<IBH", mode, number, round(delay_s))
        if cause is Cause.GENERIC:
            return Notice(text, "commander_failsafe_enter_generic_hold", arguments)
        return Notice(text, "commander_failsafe_enter_hold", arguments + bytes((cause,)))
    if action is Action.WARN:
        if cause in _WARNINGS:
            return Notice("", _WARNINGS[cause], b"")
        if cause is Cause.GENERIC:
            return Notice("", "commander_failsafe_enter_generic_warn", struct.pack("<I", mode))
        return Notice("", "commander_failsafe_enter_warn", struct.pack("<IB", mode, cause))
    text, arguments = "Failsafe activated", struct.pack("<IB", mode, number)
    if action is Action.DESCEND:
        return Notice(text, "commander_failsafe_enter_autopilot_disengaged", arguments)
    if cause is Cause.GENERIC:
        return Notice(text, "commander_failsafe_enter_generic", arguments)
    return Notice(text, "commander_failsafe_enter", arguments + bytes((cause,)))


class Failsafes:
    """Turns active rows into the mode to fly: HOLD for COM_FAIL_ACT_T first where the action is worse than HOLD."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._active: set[str] = set()
        self._held: dict[str, tuple[Action, float]] = {}
        """actions in force and since when, by row"""
        self._overruled: set[str] = set()
        """rows whose action a command ended; they count again once they have cleared"""
        self.started: list[Row] = []
        """rows that became active in the last `update`"""
        self.acts: tuple[Row, Action, float] | None = None
        """the row that imposes a mode, what it is for in the end, and for how long it holds first"""

    def overrule(self) -> None:
        """A mode was commanded."""
        self._overruled |= set(self._held)
        self._held.clear()

    def reset(self) -> None:
        """Disarmed."""
        self._active.clear()
        self._held.clear()
        self._overruled.clear()

    def update(self, see: Sight, now_s: float) -> Mode | None:
        """The mode that failsafes impose now, if any; call only while armed."""
        self.started = []
        active = [row for row in FAILSAFES if row.active(see, self.params)]
        if not (active or self._active or self._held or self._overruled):
            return None
        for row in FAILSAFES:
            if row in active:
                if row.name not in self._active:
                    self._active.add(row.name)
                    self.started.append(row)
                action = row.action(self.params)
                if action > Action.WARN and row.name not in self._overruled:
                    _, since_s = self._held.get(row.name, (action, now_s))
                    self._held[row.name] = (action, since_s)
            else:
                self._active.discard(row.name)
                self._overruled.discard(row.name)
                if row.name in self._held and self._held[row.name][0] < row.sticks_from:
                    del self._held[row.name]
        if not self._held:
            return None
        name, (action, since_s) = max(self._held.items(), key=lambda held: held[1][0])
        delay_s = self.params["COM_FAIL_ACT_T"] if Action.HOLD < action < Action.DESCEND else 0.0
        self.acts = next(row for row in FAILSAFES if row.name == name), action, delay_s
        return Mode.HOLD if now_s - since_s < delay_s else MODE_OF[action]
