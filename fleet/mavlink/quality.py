"""How good a vehicle's link is: loss from gaps in its sequence numbers, round trip from TIMESYNC."""

from __future__ import annotations

from fleet.mavlink.messages import Message, Ping, TimeSync
from fleet.mavlink.timing import RoundTrip

WINDOW_S = 5.0
"""loss is over the present and the last window: 5 to 10 s"""
UNNUMBERED = -1
"""sequence number of a frame whose transport does not tell it: no loss is counted, and none is shown"""
ASK_S = 5.0
"""round trips are measured this often; each second until the first answer"""


class LinkMeter:
    """Counts one vehicle's frames. Sequence numbers wrap at 256, so a longer outage shows as silence, not loss."""

    def __init__(self, rtt: RoundTrip) -> None:
        self.rtt = rtt
        self._next: int | None = None
        self._got = self._lost = 0
        self._old_got = self._old_lost = 0
        self._turn_s = 0.0
        self.next_ask_s = 0.0

    def count(self, seq: int, now_s: float) -> None:
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
        """A TIMESYNC question when one is due. It carries our time in ns and comes back with the vehicle's."""
        if now_s < self.next_ask_s:
            return []
        self.next_ask_s = now_s + (1.0 if self.rtt.rtt_s is None else ASK_S)
        return [TimeSync(0, int(now_s * 1e9))]

    def receive(self, message: TimeSync | Ping, now_s: float) -> None:
        """Takes the answer to one of our questions; the vehicle's own questions have tc1 0 and are not for us."""
        if isinstance(message, TimeSync) and message.tc1 > 0:
            self.rtt.sample(now_s - message.ts1 / 1e9)
