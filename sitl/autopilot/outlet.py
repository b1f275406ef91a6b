"""What an autopilot says to the outside, without knowing about links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sitl.autopilot.events import Level

Reply = Callable[[int], None]
"""answers one command with a MAV_RESULT"""


class Outlet(Protocol):
    def text(self, level: Level, text: str) -> None:
        """STATUSTEXT, on the links that hear a ground station."""
        ...

    def event(self, name: str, level: Level, internal: Level = Level.INFO, arguments: bytes = b"") -> None:
        """EVENT, on every link."""
        ...

    def reached(self, seq: int) -> None:
        """A mission item is done: MISSION_ITEM_REACHED, on every link."""
        ...

    def release(self, open_it: bool) -> None:
        """The gripper has moved."""
        ...
