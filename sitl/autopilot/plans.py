"""Stored plans – mission, fence, rally – as PX4 takes, keeps, checksums and judges them."""

from __future__ import annotations

import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sitl import geo
from sitl.autopilot.fence import Fence


class Ack(IntEnum):
    """MAV_MISSION_RESULT, those PX4 uses."""

    ACCEPTED = 0
    ERROR = 1
    UNSUPPORTED_FRAME = 2
    UNSUPPORTED = 3
    NO_SPACE = 4
    INVALID_PARAM1 = 6
    CANCELLED = 15


MISSION, FENCE, RALLY, ALL = 0, 1, 2, 255
MAX_ITEMS = {MISSION: 10_000, FENCE: 64, RALLY: 32}
"""PX4's dataman on SITL"""

WAYPOINT, LOITER_UNLIM, LOITER_TIME, RETURN, LAND, TAKEOFF, LOITER_TO_ALT = 16, 17, 19, 20, 21, 22, 31
VTOL_TAKEOFF, VTOL_LAND, DELAY = 84, 85, 93
DO_JUMP, CHANGE_SPEED, LAND_START, GRIPPER, WINCH = 177, 178, 189, 211, 42600
VTOL_TRANSITION = 3000
TO_ROTORS, TO_WING = 3, 4
"""its param1, MAV_VTOL_STATE"""
FENCE_RETURN, POLYGON_IN, POLYGON_OUT, CIRCLE_IN, CIRCLE_OUT, RALLY_POINT = 5000, 5001, 5002, 5003, 5004, 5100
FENCE_COMMANDS = {POLYGON_IN, POLYGON_OUT, CIRCLE_IN, CIRCLE_OUT}

GLOBAL, MISSION_FRAME, RELATIVE, GLOBAL_INT, RELATIVE_INT = 0, 2, 3, 5, 6
PLACED = {
    WAYPOINT,
    LOITER_UNLIM,
    LOITER_TIME,
    LAND,
    TAKEOFF,
    LOITER_TO_ALT,
    80,
    VTOL_TAKEOFF,
    VTOL_LAND,
    195,
    201,
    4501,
    FENCE_RETURN,
    RALLY_POINT,
} | FENCE_COMMANDS
"""commands taken in a global frame (mavlink_mission.cpp, parse_mavlink_mission_item)"""
PLACELESS = frozenset(
    {RETURN, DELAY, DO_JUMP, CHANGE_SPEED, LAND_START, GRIPPER, WINCH}
    | {80, 112, 114, 179, 187, 196, 197, 201, 202, 203, 204, 205, 206, 214, 260}
    | {530, 531, 532, 534, 1000, 1001, 2000, 2001, 2003, 2500, 2501, 3000}
)
"""commands taken in frame 2 (MAV_FRAME_MISSION)"""


@dataclass(frozen=True, slots=True)
class Item:
    """One stored item; `x`, `y` are degrees × 1e7 in a global frame, plain numbers in frame 2."""

    command: int
    frame: int
    params: tuple[float, float, float, float]
    x: int
    y: int
    z: float
    autocontinue: int = 1

    @property
    def placed(self) -> bool:
        return self.frame != MISSION_FRAME

    @property
    def lat_deg(self) -> float:
        return self.x * 1e-7

    @property
    def lon_deg(self) -> float:
        return self.y * 1e-7

    def amsl_m(self, home_amsl_m: float) -> float:
        return self.z + (home_amsl_m if self.frame in (RELATIVE, RELATIVE_INT) else 0.0)

    def on_wire(self, *, as_int: bool) -> dict[str, Any]:
        """Fields of MISSION_ITEM(_INT) as PX4 gives them back: frame 0 as 5, 3 as 6 in the integer style."""
        fields: dict[str, Any] = {
            "command": self.command,
            "autocontinue": self.autocontinue,
            "z": self.z,
            **{f"param{i + 1}": p for i, p in enumerate(self.params)},
        }
        relative = self.frame in (RELATIVE, RELATIVE_INT)
        if not self.placed:
            fields["frame"] = MISSION_FRAME
        elif as_int:
            fields["frame"] = RELATIVE_INT if relative else GLOBAL_INT
        else:
            fields["frame"] = RELATIVE if relative else GLOBAL
        scale = 1e-7 if self.placed and not as_int else 1
        fields["x"], fields["y"] = self.x * scale, self.y * scale
        return fields


def read_item(fields: Mapping[str, Any], kind: int, *, as_int: bool) -> tuple[Item | None, Ack]:
    """What PX4 makes of a received MISSION_ITEM(_INT): the item, or the code it is refused with."""
    frame, command = int(fields["frame"]), int(fields["command"])
    scale = 1 if as_int or frame == MISSION_FRAME else 1e7
    if not all(math.isfinite(fields[axis]) for axis in ("x", "y")):
        return None, Ack.UNSUPPORTED
    item = Item(
        command,
        frame,
        (fields["param1"], fields["param2"], fields["param3"], fields["param4"]),
        round(fields["x"] * scale),
        round(fields["y"] * scale),
        fields["z"],
        int(fields["autocontinue"]),
    )
    if frame in (GLOBAL, RELATIVE) or (as_int and frame in (GLOBAL_INT, RELATIVE_INT)):
        if command not in PLACED:
            return None, Ack.UNSUPPORTED
    elif frame == MISSION_FRAME:
        if command not in PLACELESS:
            return None, Ack.UNSUPPORTED
    else:
        return None, Ack.UNSUPPORTED_FRAME
    if kind == MISSION and command in FENCE_COMMANDS | {RALLY_POINT}:
        return None, Ack.ERROR
    if kind == FENCE and command in (POLYGON_IN, POLYGON_OUT) and fields["param1"] + 0.5 < 3.0:
        return None, Ack.ERROR
    return item, Ack.ACCEPTED


def opaque_id(items: Sequence[Mapping[str, Any]]) -> int:
    """PX4's checksum of a plan, from the item messages as received (crc32part over CrcMissionItem_t). 0: empty.

    Compared with a real PX4's answer in `tests/sitl`.
    """
    crc = 0
    for item in items:
        number = "f" if isinstance(item["x"], float) else "i"
        raw = struct.pack(
            "<BHB4f", item["frame"], item["command"], item["autocontinue"], *(item[f"param{i}"] for i in (1, 2, 3, 4))
        )
        raw += struct.pack(f"<{number}{number}f", item["x"], item["y"], item["z"])
        # NuttX's crc32part starts from the last value and inverts neither before nor after.
        crc = (binascii.crc32(raw, crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF) & 0xFFFFFFFF
    return crc


@dataclass(frozen=True, slots=True)
class Plan:
    items: tuple[Item, ...] = ()
    opaque_id: int = 0


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a mission is infeasible (or, with `fatal` false, worth a warning), by PX4's event."""

    event: str
    fatal: bool = True
    arguments: bytes = b""
    """of the event"""
    text: str = ""
    """v1.17 says it of the fence alone: its feasibility checker has lost the way to STATUSTEXT"""


_LAND_MISSING = Flaw("navigator_mis_land_missing")
_TAKEOFF_MISSING = Flaw("navigator_mis_takeoff_missing")


def _required(items: Sequence[Item], required: int) -> Flaw | None:
    """MIS_TKO_LAND_REQ: 1 take-off, 2 landing, 3 both, 4 both or neither."""
    commands = {item.command for item in items}
    takes_off, lands = bool(commands & {TAKEOFF, VTOL_TAKEOFF}), bool(commands & {LAND, VTOL_LAND})
    match required:
        case 1 if not takes_off:
            return _TAKEOFF_MISSING
        case 2 if not lands:
            return _LAND_MISSING
        case 3 if not (takes_off and lands):
            return Flaw("navigator_mis_takeoff_or_land_missing")
        case 4 if takes_off and not lands:
            return Flaw("navigator_mis_add_land_or_rm_to")
        case 4 if lands and not takes_off:
            return Flaw("navigator_mis_add_to_or_rm_land")
        case _:
            return None


def judge(
    items: Sequence[Item],
    home: tuple[float, float, float],
    fence: Fence,
    *,
    landed: bool,
    first_m: float,
    vtol: bool = False,
    required: int = 0,
) -> Flaw | None:
    """PX4's FeasibilityChecker on a stored mission; `home` is lat, lon, AMSL; `required` is MIS_TKO_LAND_REQ.

    None: feasible.
    """
    home_lat, home_lon, home_amsl = home
    placed_before = False
    for i, item in enumerate(items):
        if i == 0 and item.command == LAND and landed:
            return Flaw("navigator_mis_starts_w_landing")
        if i == 0 and item.command in (LAND, VTOL_LAND) and vtol:
            return Flaw("navigator_mis_starts_w_landing2")
        if item.command in (VTOL_TAKEOFF, VTOL_LAND, VTOL_TRANSITION) and not vtol:
            return Flaw("navigator_mis_vtol_items")
        if item.command in (TAKEOFF, VTOL_TAKEOFF):
            if item.amsl_m(home_amsl) - home_amsl < 1e-6:
                return Flaw("navigator_mis_takeoff_too_low", arguments=struct.pack("<f", 0.0))
            if placed_before:
                return Flaw("navigator_mis_takeoff_not_first")
        if item.placed:
            placed_before = True
            if not fence.allows(item.lat_deg, item.lon_deg):
                number = struct.pack("<h", i + 1)
                text = f"Geofence violation for waypoint {i + 1}"
                return Flaw("navigator_mis_geofence_violation", arguments=number, text=text)
    missing = _required(items, required)
    if missing is not None:
        return missing
    first = next((item for item in items if item.placed), None)
    if first is not None:
        distance = geo.distance_m(home_lat, home_lon, first.lat_deg, first.lon_deg)
        if 0.0 < first_m < distance:
            return Flaw("navigator_mis_first_wp_far", fatal=False, arguments=struct.pack("<I", round(distance)))
    return None
