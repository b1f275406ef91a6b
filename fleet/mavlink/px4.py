"""PX4's own numbers: flight modes in custom_mode, versions, health bits."""

from __future__ import annotations

from missions.snapshot import Mode

AUTOPILOT_PX4 = 12
ARMED = 0x80
"""base_mode: MAV_MODE_FLAG_SAFETY_ARMED"""
CUSTOM_MODE_ENABLED = 0x01
PREARM_CHECK = 1 << 28
"""MAV_SYS_STATUS_PREARM_CHECK in the health bits of SYS_STATUS"""
FAILSAFE_STATES = frozenset({5, 6, 8})
"""MAV_STATE critical, emergency, flight termination"""

AUTO = 4
_MAIN = {1: Mode.MANUAL, 2: Mode.MANUAL, 3: Mode.MANUAL, 5: Mode.MANUAL, 7: Mode.MANUAL, 8: Mode.MANUAL}
_MAIN |= {6: Mode.OFFBOARD, 10: Mode.TERMINATION}
_AUTO = {2: Mode.TAKEOFF, 3: Mode.HOLD, 4: Mode.MISSION, 5: Mode.RETURN, 6: Mode.LAND, 9: Mode.LAND, 10: Mode.TAKEOFF}
_AUTO_SUB = {Mode.TAKEOFF: 2, Mode.HOLD: 3, Mode.MISSION: 4, Mode.RETURN: 5, Mode.LAND: 6}


def mode_of(custom_mode: int) -> Mode:
    """custom_mode: sub mode in bits 24–31, main mode in bits 16–23 (px4_custom_mode.h)."""
    main, sub = custom_mode >> 16 & 0xFF, custom_mode >> 24 & 0xFF
    if main == AUTO:
        return _AUTO.get(sub, Mode.OTHER)
    return _MAIN.get(main, Mode.OTHER)


def auto_sub_mode(mode: Mode) -> int:
    """param3 of DO_SET_MODE for one of the automatic modes."""
    return _AUTO_SUB[mode]


def version_text(flight_sw_version: int) -> str:
    """`1.17.0`, with a suffix for what is not a release (FIRMWARE_VERSION_TYPE in the lowest byte)."""
    major, minor, patch, kind = flight_sw_version.to_bytes(4, "big")
    suffix = "" if kind == 255 else "rc" if kind >= 192 else "beta" if kind >= 128 else "alpha" if kind >= 64 else "dev"
    return f"{major}.{minor}.{patch}{suffix}"
