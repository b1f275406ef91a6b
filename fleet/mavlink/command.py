"""Commands: COMMAND_LONG or COMMAND_INT until acknowledged and, where an effect shows in HEARTBEAT, seen.

PX4 accepts DO_SET_MODE for any mode and may stay in HOLD, so an ACK alone proves nothing about a mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum

from fleet.mavlink.exchange import Exchange, Messages, Parties
from fleet.mavlink.messages import CommandAck, CommandInt, CommandLong, Heartbeat, Message
from fleet.mavlink.timing import RoundTrip

EFFECT_S = 3.0
"""HEARTBEAT comes once a second; three of them may be lost before an effect counts as missing"""
PROGRESS_S = 10.0
"""how long after IN_PROGRESS a final ACK may take: a PX4 gripper needs about 1 s"""


class MavResult(IntEnum):
    """MAV_RESULT."""

    ACCEPTED = 0
    TEMPORARILY_REJECTED = 1
    DENIED = 2
    UNSUPPORTED = 3
    FAILED = 4
    IN_PROGRESS = 5
    CANCELLED = 6


class Repeat(Enum):
    """What a lost answer allows."""

    FREELY = "freely"
    """twice is as good as once: modes, intervals, requests, disarm"""
    IF_NO_EFFECT = "if_no_effect"
    """only when a HEARTBEAT sent after the command could have arrived still shows no effect: arm and start"""
    NEVER = "never"
    """a payload release"""


@dataclass(frozen=True, slots=True)
class Answer:
    """`ack`: the final MAV_RESULT, None if none came; `seen`: whether the effect showed, None if none was asked for."""

    ack: int | None
    seen: bool | None
    sent: int
    superseded: bool = False

    @property
    def accepted(self) -> bool:
        return self.ack == MavResult.ACCEPTED

    @property
    def refused(self) -> bool:
        return self.ack is not None and self.ack != MavResult.ACCEPTED and not self.seen

    @property
    def word(self) -> str:
        if self.ack is None:
            return "no answer"
        return MavResult(self.ack).name if self.ack in MavResult._value2member_map_ else f"result {self.ack}"


class Command(Exchange[Answer]):
    """One command. With `effect`, over when it shows; without, with the final ACK."""

    def __init__(
        self,
        parties: Parties,
        message: CommandLong | CommandInt,
        rtt: RoundTrip,
        *,
        repeat: Repeat,
        effect: Callable[[Heartbeat], bool] | None = None,
        tries: int = 6,
    ) -> None:
        self._to = parties
        self._message = message._replace(
            target_system=parties.vehicle_system, target_component=parties.vehicle_component
        )
        self._rtt = rtt
        self._repeat = repeat
        self._effect = effect
        self._max_tries = 1 if repeat is Repeat.NEVER else tries
        self._sent = 0
        self._sent_s = 0.0
        self._ack: int | None = None
        self._acked_s: float | None = None

    def start(self, now_s: float) -> Messages:
        return self._send(now_s)

    def _send(self, now_s: float) -> Messages:
        message = self._message
        if isinstance(message, CommandLong):
            message = message._replace(confirmation=min(self._sent, 255))
        self._sent += 1
        self._sent_s = now_s
        wait_s = self._rtt.backoff_s(self._sent - 1)
        if self._repeat is Repeat.NEVER:
            wait_s = self._rtt.patience_s(4)
        elif self._repeat is Repeat.IF_NO_EFFECT:
            wait_s = max(wait_s, EFFECT_S + self._rtt.timeout_s)
        self.next_deadline = now_s + wait_s
        return [message]

    def supersede(self) -> None:
        """Another command of this kind takes over: what became of this one is not known."""
        self._finish(seen=False if self._effect else None, superseded=True)

    def _finish(self, *, seen: bool | None, superseded: bool = False) -> None:
        self.result = Answer(self._ack, seen, self._sent, superseded)
        self.next_deadline = None

    def receive(self, message: Message, now_s: float) -> Messages:
        if self.result is not None:
            return ()
        if isinstance(message, CommandAck):
            if message.command == self._message.command and message.target_system in (0, self._to.own_system):
                self._acknowledged(message.result, now_s)
        elif self._effect is not None and isinstance(message, Heartbeat):
            if self._effect(message):
                self._finish(seen=True)
            elif self._no_effect(now_s):
                return self._send(now_s)
        return ()

    def _acknowledged(self, result: int, now_s: float) -> None:
        if result == MavResult.IN_PROGRESS:
            self._acked_s = now_s
            self.next_deadline = now_s + PROGRESS_S + self._rtt.timeout_s
            return
        if self._sent == 1 and self._acked_s is None:
            self._rtt.sample(now_s - self._sent_s)
        self._ack, self._acked_s = result, now_s
        if self._effect is None or result != MavResult.ACCEPTED:
            self._finish(seen=None if self._effect is None else False)
        else:
            self.next_deadline = now_s + EFFECT_S

    def _no_effect(self, now_s: float) -> bool:
        """True when a HEARTBEAT that must have left after the command arrived shows that the command was lost."""
        return (
            self._repeat is Repeat.IF_NO_EFFECT
            and self._acked_s is None
            and self._sent < self._max_tries
            and now_s - self._sent_s > 1.0 + 2 * self._rtt.timeout_s
        )

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        if self._repeat is Repeat.FREELY and self._sent < self._max_tries:
            return self._send(now_s)
        if self._repeat is Repeat.IF_NO_EFFECT and self._acked_s is None and self._sent < self._max_tries:
            # Nothing at all is heard, so nothing shows that it was lost: wait as long as repeating would take.
            until_s = self._sent_s + self._rtt.patience_s(self._max_tries)
            if now_s < until_s:
                self.next_deadline = until_s
                return ()
        self._finish(seen=False if self._effect else None)
        return ()
