"""Message intervals: a PX4 sends 370 to 410 messages a second to a ground station; a controller needs about 15.

Nothing is remembered of what the vehicle was told: what it sends is counted, and what comes too often or too seldom
is set again. So a lost command, a reboot and another station's wishes all mend themselves.
"""

from __future__ import annotations

from collections import defaultdict

from fleet.mavlink.messages import CommandLong, Message

SET_MESSAGE_INTERVAL = 511

WANTED_HZ = {
    33: 4.0,  # GLOBAL_POSITION_INT: conformance to the planned tube
    1: 1.0,  # SYS_STATUS
    24: 2.0,  # GPS_RAW_INT: what the estimator believes only 7 s later, or misses for 5 s before it says so
    245: 2.0,  # EXTENDED_SYS_STATE
    74: 2.0,  # VFR_HUD
    147: 0.5,  # BATTERY_STATUS
    242: 0.5,  # HOME_POSITION
    231: 0.5,  # WIND_COV: absent until the vehicle estimates wind
}
KEPT = frozenset({0, 4, 22, 42, 44, 46, 47, 40, 51, 73, 77, 111, 148, 244, 253, 410, 411, 412, 413})
"""HEARTBEAT, MISSION_CURRENT and all answers: not streams, or at a pace that cannot be set in PX4"""

FIRST_WINDOW_S = 1.0
WINDOW_S = 4.0
SETTLE_S = 2.0
"""what was set takes a round trip to show"""
MAX_PER_TICK = 8
"""a command each for 25 streams at once would crowd a slow uplink"""
GIVE_UP = 4
"""times a message is set before it is left alone for `LEFT_ALONE_S`: this firmware does not send or stop it"""
LEFT_ALONE_S = 60.0
OFF_HZ = 0.5
"""an unwanted message below this rate is no burden"""


class Thinning:
    """Counts one vehicle's messages and says which intervals to set."""

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        """messages by id since the count began; whoever receives one counts it here"""
        self._pending: list[Message] = []
        self._tries: dict[int, int] = {}
        self._left_alone_s: dict[int, float] = {}
        self._window_s = FIRST_WINDOW_S
        self._from_s: float | None = None
        """beginning of the count; in the future while what was set settles"""

    def restart(self) -> None:
        """The vehicle booted: it sends its defaults again."""
        self.__init__()  # type: ignore[misc]

    def tick(self, now_s: float) -> list[Message]:
        """SET_MESSAGE_INTERVAL commands to send now, for a few messages at a time."""
        if self._pending:
            out, self._pending = self._pending[:MAX_PER_TICK], self._pending[MAX_PER_TICK:]
            if not self._pending:
                self._from_s = now_s + SETTLE_S
            return out
        if self._from_s is None:
            self._from_s = now_s
        if now_s <= self._from_s:
            self.counts.clear()
        elif now_s - self._from_s >= self._window_s:
            self._pending = [set_interval(msg_id, hz) for msg_id, hz in self._wrong(now_s, now_s - self._from_s)]
            self._window_s, self._from_s = WINDOW_S, now_s
            self.counts.clear()
        return []

    def _wrong(self, now_s: float, span_s: float) -> list[tuple[int, float]]:
        wrong = [(msg_id, 0.0) for msg_id, n in self.counts.items() if n > 1 and self._too_often(msg_id, n / span_s)]
        for msg_id, hz in WANTED_HZ.items():
            heard = self.counts.get(msg_id, 0)
            absent = heard == 0 and hz * span_s >= 2
            if absent or not 0.4 * hz * span_s - 1 <= heard <= 1.6 * hz * span_s + 1:
                wrong.append((msg_id, hz))
        return [row for row in wrong if self._may_try(row[0], now_s)]

    def _too_often(self, msg_id: int, hz: float) -> bool:
        return msg_id not in WANTED_HZ and msg_id not in KEPT and hz > OFF_HZ

    def _may_try(self, msg_id: int, now_s: float) -> bool:
        if now_s < self._left_alone_s.get(msg_id, 0.0):
            return False
        tries = self._tries[msg_id] = self._tries.get(msg_id, 0) + 1
        if tries % GIVE_UP == 0:
            self._left_alone_s[msg_id] = now_s + LEFT_ALONE_S
        return True


def set_interval(msg_id: int, hz: float) -> CommandLong:
    """Rate 0 turns the message off. Target ids are filled in when it is sent."""
    interval_us = 1e6 / hz if hz > 0 else -1.0
    return CommandLong(float(msg_id), interval_us, 0.0, 0.0, 0.0, 0.0, 0.0, SET_MESSAGE_INTERVAL, 0, 0)
