"""Every command as it leaves for a vehicle, held against the store at that instant.

A record that is right afterwards does not show that it was written before. Written apart from the controller: it reads
frames by their bytes, and tables as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from fleet.simulate.outcome import Commanded
from fleet.store import MemoryStore
from sitl.outsider import frames_by_header

COMMAND_LONG, COMMAND_INT, MISSION_COUNT = 76, 75, 44
_HEADER, _COMMAND_AT = 10, 28
"""in both of the first two seven four-byte fields come before the command's number"""
_GRIP_AT = 4
_U16, _FLOAT = Struct("<H"), Struct("<f")
DO_SET_MODE = 176
STEPS = {
    DO_SET_MODE: {"fly", "hold", "return", "land"},
    300: {"start"},  # MISSION_START
    192: {"stay"},  # DO_REPOSITION
    400: set[str](),  # COMPONENT_ARM_DISARM: no step of a flight does it
    185: set[str](),  # DO_FLIGHTTERMINATION
    21: set[str](),  # NAV_LAND
    20: set[str](),  # NAV_RETURN_TO_LAUNCH
}
"""MAV_CMD → the steps of a flight that send it; what is not here moves no vehicle"""
DO_GRIPPER = 211
GRIPS = {0.0: {"release"}, 1.0: {"start", "release"}}
"""its second field → the steps that send it: a gripper is closed before a start, and before it is opened once more"""


class Witness:
    """`hear` takes what is sent to a vehicle."""

    def __init__(self, store: MemoryStore, now_s: Callable[[], float]) -> None:
        self.commanded: list[Commanded] = []
        self._store, self._now_s = store, now_s

    def hear(self, vehicle_id: str, data: bytes) -> None:
        for frame, message_id, _ in frames_by_header(data):
            steps: set[str] | None = None
            if message_id == MISSION_COUNT:
                steps = {"upload"}
            elif message_id in (COMMAND_LONG, COMMAND_INT):
                payload = frame[_HEADER : _HEADER + frame[1]].ljust(_COMMAND_AT + 2, b"\0")
                command = _U16.unpack_from(payload, _COMMAND_AT)[0]
                steps = STEPS.get(command)
                if command == DO_GRIPPER:
                    steps = GRIPS.get(_FLOAT.unpack_from(payload, _GRIP_AT)[0], set())
            if steps is not None:
                self.commanded.append(self._judged(vehicle_id, steps))

    def _judged(self, vehicle_id: str, steps: set[str]) -> Commanded:
        now_s, what = self._now_s(), " or ".join(sorted(steps)) or "a command that no flight gives"
        flights = [f for f in self._store.load("flights").values() if f["vehicle_id"] == vehicle_id]
        flights = [f for f in flights if f["phase"] != "closed"]
        if len(flights) != 1:
            return Commanded(vehicle_id, now_s, what, f"{len(flights)} open flights are stored")
        if not flights[0]["authority"]:
            return Commanded(vehicle_id, now_s, what, "it is sent without authority")
        events = self._store.events(f"order/{flights[0]['order_id']}")
        said = next((e for e in reversed(events) if e.kind in ("command", "outcome")), None)
        if said is None or said.kind != "command" or said.body["step"] not in steps:
            return Commanded(vehicle_id, now_s, what, "it is not in the record before it is sent")
        return Commanded(vehicle_id, now_s, str(said.body["step"]), "")
