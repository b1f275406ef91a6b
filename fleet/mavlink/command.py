"""Commands: COMMAND_LONG or COMMAND_INT until acknowledged and, where an effect shows in HEARTBEAT, seen.

PX4 accepts DO_SET_MODE for any mode and may stay in HOLD, so an ACK alone proves nothing about a mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum

from fleet.mavlink import px4
from fleet.mavlink.exchange import Exchange, Messages, Parties
from fleet.mavlink.messages import CommandAck, CommandInt, CommandLong, Heartbeat, Message, TimeSync
from fleet.mavlink.timing import RoundTrip

# Times at the vehicle, the same on any link: what a link takes comes on top, as measured.
EFFECT_S = 3.0
"""from the ACK to the effect in HEARTBEAT, which comes once a second"""
REACTION_S = 1.0
"""from a command's arrival to the effect in what is sent: a PX4 arms within milliseconds"""
WORK_S = 3.0
"""a PX4 gripper needs about 1 s, and the IN_PROGRESS before may be lost"""
PROGRESS_S = 10.0
"""how long after IN_PROGRESS a final ACK may take"""
PROBE_S = 0.5
"""how often a TIMESYNC asks whether the command must have come: each answer names its question, and half may be lost"""
DISARMS_ITSELF_S = 10.0
"""a PX4 that was armed and did not take off is disarmed after this long: from then on `disarmed` proves nothing"""
HEARTBEATS_LOST_S = 10.0
"""with half of them lost, once in a thousand none is heard for this long"""


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
    """only once a HEARTBEAT that left after the command must have arrived shows the vehicle disarmed: arm and start.
    A TIMESYNC sent right after it tells: once that is answered the command has come or is lost, whatever the round
    trip is"""
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
        tries: int = 8,
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
        self._probes: set[int] = set()
        """TIMESYNC questions on their way since the command was sent last"""
        self._arrived_s: float | None = None
        """one of them was answered"""

    def start(self, now_s: float) -> Messages:
        return self._send(now_s)

    def _send(self, now_s: float) -> Messages:
        message = self._message
        if isinstance(message, CommandLong):
            message = message._replace(confirmation=min(self._sent, 255))
        self._sent += 1
        self._sent_s = now_s
        if self._repeat is Repeat.IF_NO_EFFECT:
            self._probes.clear()
            self._arrived_s = None
            return [message, self._probe(now_s)]
        wait_s = self._rtt.retry_s(self._sent - 1)
        if self._repeat is Repeat.NEVER:
            wait_s = max(self._rtt.patience_s(4), WORK_S + self._rtt.timeout_s)
        self.next_deadline = now_s + wait_s
        return [message]

    def _probe(self, now_s: float) -> Message:
        ts1 = int(now_s * 1e9)
        self._probes.add(ts1)
        self.next_deadline = now_s + PROBE_S
        return TimeSync(0, ts1)

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
        elif isinstance(message, TimeSync):
            if message.tc1 > 0 and message.ts1 in self._probes and self._arrived_s is None:
                self._arrived_s = now_s
        elif self._effect is not None and isinstance(message, Heartbeat):
            if self._effect(message):
                self._finish(seen=True)
            elif self._acked_s is not None:
                if self._ack is not None and self._repeat is not Repeat.FREELY and now_s - self._acked_s > EFFECT_S:
                    self._finish(seen=False)
            elif self._lost(message, now_s):
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
            self.next_deadline = now_s + (EFFECT_S if self._repeat is Repeat.FREELY else HEARTBEATS_LOST_S)

    def _lost(self, beat: Heartbeat, now_s: float) -> bool:
        """Whether it was lost and may be sent again. Armed in another mode, somebody else may have taken over."""
        return (
            self._arrived_s is not None
            and now_s - self._arrived_s > REACTION_S
            and now_s - self._sent_s < DISARMS_ITSELF_S + (self._rtt.rtt_s or 0.0)
            and not beat.base_mode & px4.ARMED
            and self._sent < self._max_tries
        )

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        if self._repeat is Repeat.FREELY and self._sent < self._max_tries:
            return self._send(now_s)
        if self._repeat is Repeat.IF_NO_EFFECT and self._acked_s is None:
            until_s = self._sent_s + HEARTBEATS_LOST_S + self._rtt.patience_s(4)
            if now_s < until_s:
                if self._arrived_s is None:
                    return [self._probe(now_s)]
                self.next_deadline = until_s
                return ()
        self._finish(seen=False if self._effect else None)
        return ()
