"""What a vehicle says. Fields that pymavlink does not know are read from the payload by their place in common.xml."""

from __future__ import annotations

import struct
from typing import Any

INT32, REAL32 = 6, 9
"""MAV_PARAM_TYPE"""

_NEWEST: dict[int, tuple[int, str, tuple[str, ...]]] = {
    42: (6, "<III", ("mission_id", "fence_id", "rally_points_id")),
    44: (5, "<I", ("opaque_id",)),
    47: (4, "<I", ("opaque_id",)),
    410: (0, "<IIHBBB40s", ("id", "boot_ms", "sequence", "to_component", "to_system", "levels", "arguments")),
    411: (0, "<HB", ("sequence", "flags")),
    413: (0, "<HHBBB", ("sequence", "sequence_oldest_available", "to_system", "to_component", "reason")),
}
"""message id → offset in the payload, layout and names of what pymavlink does not know"""
_NAMES = {410: "EVENT", 411: "CURRENT_EVENT_SEQUENCE", 413: "RESPONSE_EVENT_ERROR"}


class Heard:
    """One message, with the vehicle's time when it came."""

    __slots__ = ("_message", "_newest", "at_s", "name", "system")

    def __init__(self, message: Any, at_s: float) -> None:
        # From the frame: of a message that pymavlink does not know it keeps neither number nor sender.
        frame = bytes(message.get_msgbuf())
        number, self.system = int.from_bytes(frame[7:10], "little"), frame[5]
        self.name = _NAMES.get(number) or message.get_type()
        self.at_s = at_s
        self._message = message
        self._newest: dict[str, Any] = {}
        if number in _NEWEST:
            offset, layout, names = _NEWEST[number]
            payload = frame[10 : 10 + frame[1]].ljust(offset + struct.calcsize(layout), b"\0")
            self._newest = dict(zip(names, struct.unpack_from(layout, payload, offset), strict=True))

    def __getitem__(self, name: str) -> Any:
        return self._newest[name] if name in self._newest else getattr(self._message, name)

    def __repr__(self) -> str:
        return f"{self.at_s:.2f} {self._message} {self._newest or ''}"


def event_id(name: str) -> int:
    """The autopilot's event of that name: FNV-1a, 24 bits of it under the component's number."""
    digest = 0x811C9DC5
    for byte in name.encode():
        digest = (digest ^ byte) * 0x01000193 % 2**32
    return 1 << 24 | digest % 2**24


def on_wire(value: float) -> float:
    """An int travels bytewise in the float."""
    return float(struct.unpack("<f", struct.pack("<i", value))[0]) if isinstance(value, int) else value


def number_of(told: Heard) -> float:
    """The value of a PARAM_VALUE."""
    raw = struct.pack("<f", told["param_value"])
    kind = {5: "<I", INT32: "<i"}.get(told["param_type"])
    return struct.unpack(kind, raw)[0] if kind else float(told["param_value"])
