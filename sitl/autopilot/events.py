"""PX4's events interface: an event's id is the FNV-1a hash of its name, so names here are PX4's own."""

from __future__ import annotations

from enum import IntEnum

COMPONENT_AUTOPILOT = 1


class Level(IntEnum):
    """Log level of an event (and severity of a STATUSTEXT): syslog numbers."""

    EMERGENCY = 0
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    INFO = 6
    PROTOCOL = 8


def event_id(name: str) -> int:
    """24 bits of the 32-bit FNV-1a hash, with the component in the top byte (PX4 events.h)."""
    digest = 0x811C9DC5
    for byte in name.encode():
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return COMPONENT_AUTOPILOT << 24 | digest & 0xFFFFFF
