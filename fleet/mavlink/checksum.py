"""PX4's checksum of a list of mission, fence or rally items: the `opaque_id` of what it stored.

Worked out here from what was sent, so that the vehicle's own value proves the list item by item. An equal id twice
would only prove that it still is what it was. Checked against recorded flights of PX4 v1.17.0; another firmware may do
it otherwise, and then the list is read back.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from fleet.mavlink.messages import MissionItemInt

_ITEM = struct.Struct("<BHB4fiif")
"""frame, command, autocontinue, param1–4, x, y, z, without gaps (CrcMissionItem_t in PX4's mavlink_mission.h)"""


def opaque_id(items: Iterable[MissionItemInt]) -> int:
    """CRC-32 over the items; 0 for an empty list. Unlike zip's it inverts neither the first nor the last value."""
    crc = 0
    for item in items:
        row = _ITEM.pack(item.frame, item.command, item.autocontinue, *item[:4], item.x, item.y, item.z)
        crc = zlib.crc32(row, crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc
