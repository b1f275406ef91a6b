"""Our own heartbeat. PX4's data-link failsafe watches it, so it must stop when nobody is at the controls."""

from __future__ import annotations

from fleet.mavlink.messages import Heartbeat

PERIOD_S = 1.0
HANG_S = 2.0
"""a control loop that has not reported for this long is hung: better PX4 acts by itself"""

GCS_HEARTBEAT = Heartbeat(custom_mode=0, type=6, autopilot=8, base_mode=0, system_status=4)
"""MAV_TYPE_GCS, MAV_AUTOPILOT_INVALID, MAV_STATE_ACTIVE"""


class Beacon:
    """Says when a heartbeat is due, as long as the control loop reports by `beat`."""

    def __init__(self, now_s: float) -> None:
        self._beat_s = now_s
        self.next_s = now_s

    def beat(self, now_s: float) -> None:
        self._beat_s = max(self._beat_s, now_s)

    def silent(self, now_s: float) -> bool:
        return now_s - self._beat_s > HANG_S

    def due(self, now_s: float) -> bool:
        if now_s < self.next_s or self.silent(now_s):
            return False
        self.next_s = max(self.next_s + PERIOD_S, now_s + PERIOD_S / 2)
        return True
