"""PX4's flight modes and the numbers by which HEARTBEAT tells them."""

from __future__ import annotations

from enum import Enum

AUTO, OFFBOARD_MAIN, TERMINATION_MAIN = 4, 6, 10
"""main modes without a pilot"""


class Mode(Enum):
    """(main mode, sub mode, base_mode when disarmed, can arm in it, standard mode of CURRENT_MODE)."""

    MANUAL = (1, 0, 81, False, 0)
    ALTITUDE = (2, 0, 81, False, 4)
    POSITION = (3, 0, 81, False, 1)
    TAKEOFF = (4, 2, 29, True, 8)
    HOLD = (4, 3, 29, True, 0)
    MISSION = (4, 4, 29, True, 6)
    RETURN = (4, 5, 29, False, 5)
    LAND = (4, 6, 29, False, 7)
    ACRO = (5, 0, 65, False, 0)
    OFFBOARD = (OFFBOARD_MAIN, 0, 1, False, 0)
    STABILIZED = (7, 0, 81, False, 0)
    TERMINATION = (TERMINATION_MAIN, 0, 1, False, 0)

    def __init__(self, main: int, sub: int, base: int, arms: bool, standard: int) -> None:
        self.main, self.sub, self.base, self.arms, self.standard = main, sub, base, arms, standard
        self.custom_mode = main << 16 | sub << 24
        """main mode in byte 2, sub mode in byte 3 (px4_custom_mode.h)"""
        self.flown_by_hand = main not in (AUTO, OFFBOARD_MAIN, TERMINATION_MAIN)


ARMED_FLAG = 128
_BY_NUMBERS = {(m.main, m.sub): m for m in Mode}


def mode_of(main: int, sub: int) -> Mode | None:
    """The mode that DO_SET_MODE names; sub mode 0 of AUTO means the mission. None: PX4 knows no such mode."""
    if main == AUTO:
        return _BY_NUMBERS.get((main, sub or Mode.MISSION.sub))
    return _BY_NUMBERS.get((main, 0))
