"""The arming checks as PX4 reports them: a summary, an event for each finding, a second summary.

The report comes when something has changed, at most every 2 s, and when it is asked for (RUN_PREARM_CHECKS).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sitl.autopilot.events import Level
from sitl.autopilot.outlet import Outlet

EVERY_MODE = 0xFFFFFFFF
REPORT_S = 2.0
"""PX4's min_reporting_interval"""
LOOK_S = 0.5


class CheckReport:
    """Says what fails when that has changed. `failing`: names of PX4's check events."""

    def __init__(self) -> None:
        self._told: tuple[str, ...] | None = None
        self._told_s = self._looked_s = float("-inf")

    def due(self, now_s: float) -> bool:
        if now_s - self._looked_s < LOOK_S or now_s - self._told_s < REPORT_S:
            return False
        self._looked_s = now_s
        return True

    def tell(self, failing: Sequence[str], out: Outlet, now_s: float, *, force: bool = False) -> None:
        """Each finding forbids arming in every mode; what only warns is not played."""
        if tuple(failing) == self._told and not force:
            return
        self._told, self._told_s = tuple(failing), now_s
        modes = 0 if failing else EVERY_MODE
        out.event("commander_arming_check_summary", Level.PROTOCOL, Level.PROTOCOL, _summary(modes))
        for name in failing:
            out.event(name, Level.ERROR, Level.ERROR, struct.pack("<IB", EVERY_MODE, 0))
        out.event("commander_health_summary", Level.PROTOCOL, Level.PROTOCOL, struct.pack("<BIII", 0, 0, 0, 0))


def _summary(modes: int) -> bytes:
    """Chunk, components with errors, with warnings, modes one can arm in, modes that can run."""
    return struct.pack("<BIIII", 0, 0, 0, modes, modes)
