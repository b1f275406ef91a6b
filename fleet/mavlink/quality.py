"""How good a vehicle's link is: loss from gaps in its sequence numbers, round trip from TIMESYNC or PING."""

from __future__ import annotations

from collections import deque

from fleet.mavlink.messages import Message, Ping, TimeSync
from fleet.mavlink.timing import RoundTrip

WINDOW_S = 5.0
"""loss is over the present and the last window: 5 to 10 s"""
UNNUMBERED = -1
"""sequence number of a frame whose transport does not tell it: no loss is counted, and none is shown"""
ASK_S = 5.0
"""round trips are measured this often; each second until the first answer"""
PING_AFTER = 2
"""questions in a row without an answer, and PING is asked too: a router or a vehicle may know only one of the two"""
MAX_OPEN = 64
"""questions remembered: one a second for as long as a round trip may take"""


class LinkMeter:
    """Counts one vehicle's frames. Sequence numbers wrap at 256, so a longer outage shows as silence, not loss."""

    __slots__ = (
        "_got", "_lost", "_next", "_old_got", "_old_lost", "_open", "_turn_s", "_unanswered", "next_ask_s", "rtt"
    )  # fmt: skip

    def __init__(self, rtt: RoundTrip) -> None:
        self.rtt = rtt
        self._next: int | None = None
        self._got = self._lost = 0
        self._old_got = self._old_lost = 0
        self._turn_s = 0.0
        self._open: deque[int] = deque(maxlen=MAX_OPEN)
        """times of our questions, µs: an answer to somebody else's must not be measured by our clock"""
        self._unanswered = 0
        self.next_ask_s = 0.0

    def count(self, seq: int, now_s: float) -> None:
        """A frame with this sequence number came."""
        if seq == self._next and now_s < self._turn_s:
            self._got += 1
            self._next = (seq + 1) & 0xFF
            return
        if seq == UNNUMBERED:
            return
        if now_s >= self._turn_s:
            self._old_got, self._old_lost = (self._got, self._lost) if now_s < self._turn_s + WINDOW_S else (0, 0)
            self._got = self._lost = 0
            self._turn_s = now_s + WINDOW_S
        if self._next is not None:
            gap = (seq - self._next) & 0xFF
            if gap >= 128:
                # Behind the newest: late or doubled. It was counted as lost before if it is late.
                self._got += 1
                self._lost = max(0, self._lost - 1)
                return
            self._lost += gap
        self._got += 1
        self._next = (seq + 1) & 0xFF

    def restart(self) -> None:
        """The vehicle booted: its numbers begin anew."""
        self._next = None

    @property
    def loss_pct(self) -> float | None:
        got, lost = self._got + self._old_got, self._lost + self._old_lost
        return 100.0 * lost / (got + lost) if got else None

    def tick(self, now_s: float) -> list[Message]:
        """Questions when they are due. They carry our time and come back with it."""
        if now_s < self.next_ask_s:
            return []
        self.next_ask_s = now_s + (1.0 if self.rtt.rtt_s is None else ASK_S)
        asked_us = int(now_s * 1e6)
        self._open.append(asked_us)
        questions: list[Message] = [TimeSync(0, asked_us * 1000)]
        if self._unanswered >= PING_AFTER:
            questions.append(Ping(asked_us, self._unanswered & 0xFF, 0, 0))
        self._unanswered += 1
        return questions

    def receive(self, message: TimeSync | Ping, now_s: float) -> None:
        """Takes the first answer to one of our questions. The vehicle's own have tc1 0 or no target, and are not ours
        to answer: it keeps its own time."""
        if isinstance(message, TimeSync):
            asked_us = message.ts1 // 1000 if message.tc1 > 0 else None
        else:
            asked_us = message.time_usec if message.target_system else None
        if asked_us is None or asked_us not in self._open:
            return
        self._open.remove(asked_us)
        self._unanswered = 0
        self.rtt.sample(now_s - asked_us / 1e6)
