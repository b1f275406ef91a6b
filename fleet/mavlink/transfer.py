"""Mission protocol: upload, download and clear of one list (mission 0, fence 1, rally 2).

https://mavlink.io/en/services/mission.html, with the habits of PX4: it drives an upload by asking for each item,
asks again every 0.28 s, gives up after 5 s of silence without a word, and acknowledges a repeated last item again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isnan
from typing import TypeAlias

from fleet.mavlink.exchange import Exchange, Messages, Parties
from fleet.mavlink.messages import (
    Message,
    MissionAck,
    MissionClearAll,
    MissionCount,
    MissionItemInt,
    MissionRequest,
    MissionRequestInt,
    MissionRequestList,
)
from fleet.mavlink.timing import RoundTrip

VEHICLE_SILENCE_S = 5.0
"""PX4 abandons a transfer after this much silence (MAVLINK_MISSION_PROTOCOL_TIMEOUT_DEFAULT)"""
VEHICLE_ASKS_S = 0.28
"""it asks for the next item this often until it comes"""
QUIET_S = 1.0
"""three of its questions were lost, or it has the list and its ACK was: sending the item again brings an answer"""
MAX_AHEAD = 8
"""items sent before they are asked for: half a kilobyte at once, which the slowest telemetry radio still buffers"""
DOWNLOAD_ASK_S = 0.35
"""how often the next item is asked for: with 30 % loss PX4 goes without a question for the 5 s after which it gives up
once in 10^7; and a lost question costs no more than this, whatever the round trip"""
MAX_RESTARTS = 20
ERROR_RESTARTS = 2
"""MAV_MISSION_ERROR also means busy: another station's transfer ends within seconds, a bad item stays bad"""


class ListType(IntEnum):
    """MAV_MISSION_TYPE."""

    MISSION = 0
    FENCE = 1
    RALLY = 2


class AckCode(IntEnum):
    """MAV_MISSION_RESULT."""

    ACCEPTED = 0
    ERROR = 1
    UNSUPPORTED_FRAME = 2
    UNSUPPORTED = 3
    NO_SPACE = 4
    INVALID = 5
    INVALID_PARAM1 = 6
    INVALID_PARAM2 = 7
    INVALID_PARAM3 = 8
    INVALID_PARAM4 = 9
    INVALID_PARAM5_X = 10
    INVALID_PARAM6_Y = 11
    INVALID_PARAM7 = 12
    INVALID_SEQUENCE = 13
    DENIED = 14
    OPERATION_CANCELLED = 15


@dataclass(frozen=True, slots=True)
class Stored:
    """The vehicle said that it holds the list. `opaque_id` is its checksum of it; 0 where it has none."""

    opaque_id: int
    items: tuple[MissionItemInt, ...] = ()
    """only of a download"""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The vehicle said no: it still holds what it held."""

    code: int
    seq: int
    """the item it had asked for last"""

    def __str__(self) -> str:
        name = AckCode(self.code).name if self.code in AckCode._value2member_map_ else str(self.code)
        hint = ": busy with another transfer, or it cannot store the item" if self.code == AckCode.ERROR else ""
        return f"the vehicle refused the list at item {self.seq} with {name}{hint}"


@dataclass(frozen=True, slots=True)
class Silent:
    """No answer any more: the vehicle may hold the old list or the new one."""

    phase: str

    def __str__(self) -> str:
        return f"the vehicle stopped answering while {self.phase}"


Transferred: TypeAlias = Stored | Rejected | Silent


class _Transfer(Exchange[Transferred]):
    def __init__(self, parties: Parties, kind: ListType, rtt: RoundTrip) -> None:
        self._to = parties
        self._kind = kind
        self._rtt = rtt
        self._tries = 0
        self._heard_s = 0.0
        self.restarts = 0

    @property
    def _give_up_s(self) -> float:
        """Some 16 tries: with 30 % loss each way one transfer in 50,000 finds nobody who is there."""
        return 16 * max(1.0, self._rtt.timeout_s)

    def _again_after(self, now_s: float) -> None:
        self.next_deadline = now_s + self._rtt.retry_s(self._tries)

    def _heard(self, now_s: float) -> None:
        self._heard_s = now_s
        self._tries = 0

    def _finish(self, result: Transferred) -> None:
        self.result = result
        self.next_deadline = None

    def _ack(self, message: Message) -> MissionAck | None:
        if (
            isinstance(message, MissionAck)
            and message.mission_type == self._kind
            and self._to.is_for_us(message.target_system, message.target_component)
        ):
            return message
        return None


class Upload(_Transfer):
    """Sends a list. An ACK counts only once the last item was asked for: PX4 acknowledges a stale repeat as well.

    On a slow link the items after the one asked for are sent ahead, since PX4 takes each that is next in order and
    ignores any other. Of what it asks for, one round trip would otherwise pass for each item. The last item waits until
    it is asked for, so that an ACK is always about the whole list.
    """

    def __init__(self, parties: Parties, kind: ListType, items: Sequence[MissionItemInt], rtt: RoundTrip) -> None:
        super().__init__(parties, kind, rtt)
        self._items = tuple(
            item._replace(
                seq=n,
                target_system=parties.vehicle_system,
                target_component=parties.vehicle_component,
                mission_type=int(kind),
            )
            for n, item in enumerate(items)
        )
        self._asked = -1
        """highest item asked for since the last COUNT"""
        self._next = 0
        """first item not sent since `_burst_s`"""
        self._burst_s = 0.0
        self._error = False
        """an ERROR came; believed only if the vehicle does not go on asking"""
        self._cancelled_s = float("-inf")
        self._errors = 0
        self._error_at: int | None = None

    def start(self, now_s: float) -> Messages:
        self._heard_s = now_s
        return self._count(now_s)

    def _count(self, now_s: float) -> Messages:
        self._asked = -1
        self._error = False
        self._again_after(now_s)
        return [
            MissionCount(len(self._items), self._to.vehicle_system, self._to.vehicle_component, int(self._kind)),
        ]

    def receive(self, message: Message, now_s: float) -> Messages:
        if self.result is not None:
            return ()
        if isinstance(message, MissionRequestInt | MissionRequest):
            if not self._to.is_for_us(message.target_system, message.target_component):
                return ()
            begun, ours = self._asked >= 0, message.mission_type == self._kind
            if (not begun and (message.seq or not ours)) or (ours and message.seq >= len(self._items)):
                return self._outdated(now_s)
            if not ours:
                return ()
            if 0 < message.seq < self._asked:
                # Overtaken by a later one: an item from before would be acknowledged as if it were the last.
                return ()
            self._heard(now_s)
            self._error = False
            # The old float request gets the integer item too: the protocol allows it and PX4 then changes over.
            return self._asked_for(message.seq, now_s)
        ack = self._ack(message)
        if ack is not None:
            self._acknowledged(ack, now_s)
        return ()

    def _asked_for(self, seq: int, now_s: float) -> Messages:
        """The item and what may follow it; asked for again, all of it again, as a lost one voids those after it.

        Again at most four times in a round trip: with 30 % loss that is as many items in all as one for each question.
        """
        advanced, self._asked = seq > self._asked >= 0, seq
        self.next_deadline = now_s + min(self._rtt.timeout_s, QUIET_S)
        rtt_s = self._rtt.rtt_s or 0.0
        end = max(seq + 1, min(seq + 1 + min(MAX_AHEAD, round(rtt_s / VEHICLE_ASKS_S)), len(self._items) - 1))
        if advanced and self._next > seq:
            begin = min(self._next, end)
        elif advanced or now_s - self._burst_s >= rtt_s / 4:
            begin, self._burst_s = seq, now_s
        else:
            return [self._items[seq]]
        self._next = end
        return self._items[begin:end]

    def _outdated(self, now_s: float) -> Messages:
        """It asks for what this transfer cannot be at: PX4 is still in one of ours that was broken off. An item would
        be put behind those of the other list. After a COUNT it must ask for item 0 first; yet where it has nothing it
        takes a COUNT for a repeated one, and goes by the kind and the number of items it was told before."""
        if now_s - self._cancelled_s < self._rtt.timeout_s or self.restarts > MAX_RESTARTS:
            return ()  # on its way already
        self._cancelled_s = now_s
        self._heard(now_s)
        return [*self._cancel(), *self._restart(now_s)]

    def _acknowledged(self, ack: MissionAck, now_s: float) -> None:
        if ack.type == AckCode.ACCEPTED:
            if self._asked == len(self._items) - 1:
                self._finish(Stored(ack.opaque_id))
        elif ack.type == AckCode.ERROR:
            # Also the answer to a COUNT that was repeated, or to a late item of another list, while the transfer goes
            # on. Wait for the next request.
            self._heard_s = now_s
            if not self._error:
                self._error = True
                self._tries = 0
                self.next_deadline = now_s + max(1.0, self._rtt.timeout_s)
                if self._asked < 0 and self._errors:
                    # Busy. Any COUNT keeps even a dead transfer awake, so let it fall asleep.
                    self.next_deadline += VEHICLE_SILENCE_S
        else:
            self._finish(Rejected(ack.type, max(self._asked, 0)))

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        if self._error:
            self._errors += 1
            if self._errors > ERROR_RESTARTS or self._asked == self._error_at:
                self._finish(Rejected(AckCode.ERROR, max(self._asked, 0)))
                return ()
            self._error_at = self._asked if self._asked >= 0 else None
            return [*self._cancel(), *self._restart(now_s)]
        silent_s = now_s - self._heard_s
        if silent_s > self._give_up_s or self.restarts > MAX_RESTARTS:
            self._finish(Silent("asking for the first item" if self._asked < 0 else f"at item {self._asked}"))
            return ()
        self._tries += 1
        if self._asked < 0:
            return self._count(now_s)
        if silent_s > VEHICLE_SILENCE_S + self._rtt.timeout_s:
            return self._restart(now_s)
        self.next_deadline = now_s + min(self._rtt.timeout_s, QUIET_S)
        return [self._items[self._asked]]

    def _restart(self, now_s: float) -> Messages:
        self.restarts += 1
        return self._count(now_s)

    def _cancel(self) -> Messages:
        """Ends a transfer of ours that was broken off and in which the vehicle may still be, of whatever list.

        PX4 is idle at once, instead of after 5 s of silence. It minds only who began a transfer: one of another
        station goes on.
        """
        whom = (self._to.vehicle_system, self._to.vehicle_component)
        return [MissionAck(*whom, AckCode.OPERATION_CANCELLED, kind) for kind in ListType]


class Download(_Transfer):
    """Reads a list back. Asks again soon on any link, because here it is the vehicle that gives up after 5 s.

    A repeated request only brings the same item again.
    """

    def __init__(self, parties: Parties, kind: ListType, rtt: RoundTrip) -> None:
        super().__init__(parties, kind, rtt)
        self._count: int | None = None
        self._opaque_id = 0
        self._items: list[MissionItemInt] = []

    def start(self, now_s: float) -> Messages:
        self._heard_s = now_s
        return self._ask(now_s)

    def _ask(self, now_s: float) -> Messages:
        self.next_deadline = now_s + min(self._rtt.backoff_s(self._tries), DOWNLOAD_ASK_S)
        target = (self._to.vehicle_system, self._to.vehicle_component)
        if self._count is None:
            return [MissionRequestList(*target, int(self._kind))]
        return [MissionRequestInt(len(self._items), *target, int(self._kind))]

    def _restart(self, now_s: float) -> Messages:
        self.restarts += 1
        if self.restarts > MAX_RESTARTS:
            self._finish(Silent(f"sending item {len(self._items)}"))
            return ()
        self._count = None
        self._items.clear()
        return self._ask(now_s)

    def receive(self, message: Message, now_s: float) -> Messages:
        if self.result is not None:
            return ()
        ours = self._to.is_for_us
        if isinstance(message, MissionCount):
            if (
                message.mission_type != self._kind
                or self._count is not None
                or not ours(message.target_system, message.target_component)
            ):
                return ()
            self._heard(now_s)
            self._count, self._opaque_id = message.count, message.opaque_id
            return self._ask(now_s) if message.count else self._done()
        if isinstance(message, MissionItemInt):
            if (
                message.mission_type != self._kind
                or self._count is None
                or message.seq != len(self._items)
                or not ours(message.target_system, message.target_component)
            ):
                return ()
            self._heard(now_s)
            self._items.append(message)
            return self._ask(now_s) if len(self._items) < self._count else self._done()
        ack = self._ack(message)
        if ack is not None and ack.type != AckCode.ACCEPTED:
            if ack.type == AckCode.ERROR:
                return self._restart(now_s)
            self._finish(Rejected(ack.type, len(self._items)))
        return ()

    def _done(self) -> Messages:
        self._finish(Stored(self._opaque_id, tuple(self._items)))
        return [
            MissionAck(self._to.vehicle_system, self._to.vehicle_component, int(AckCode.ACCEPTED), int(self._kind)),
        ]

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        silent_s = now_s - self._heard_s
        if silent_s > self._give_up_s:
            self._finish(Silent("asked for its count" if self._count is None else f"asked for item {len(self._items)}"))
            return ()
        self._tries += 1
        # It may only be that question or answer were lost each time, and to begin anew costs far more than to ask on.
        if self._count is not None and silent_s > 2 * VEHICLE_SILENCE_S + self._rtt.timeout_s:
            return self._restart(now_s)
        return self._ask(now_s)


class Clear(_Transfer):
    """Empties a list; repeated until acknowledged, which is harmless."""

    def start(self, now_s: float) -> Messages:
        self._heard_s = now_s
        return self._ask(now_s)

    def _ask(self, now_s: float) -> Messages:
        self._again_after(now_s)
        return [MissionClearAll(self._to.vehicle_system, self._to.vehicle_component, int(self._kind))]

    def receive(self, message: Message, now_s: float) -> Messages:
        ack = self._ack(message)
        if ack is not None and self.result is None:
            self._finish(Stored(0) if ack.type == AckCode.ACCEPTED else Rejected(ack.type, 0))
        return ()

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        if now_s - self._heard_s > self._give_up_s:
            self._finish(Silent("asked to clear its list"))
            return ()
        self._tries += 1
        return self._ask(now_s)


_FRAMES = {0: 5, 5: 5, 3: 6, 6: 6}
"""PX4 gives back frame 0 as 5 and 3 as 6"""
_KEPT_PARAMS = {16: (0, 1), 178: (0, 1), 5001: (0,), 5002: (0,), 5003: (0,), 5004: (0,)}
"""params of a command that PX4 stores and that change the flight, by MAV_CMD"""


def same_list(sent: Sequence[MissionItemInt], held: Sequence[MissionItemInt]) -> bool:
    """Whether a read-back list is the one sent, in all that the vehicle keeps."""
    return len(sent) == len(held) and all(_same_item(a, b) for a, b in zip(sent, held, strict=True))


def _same_item(a: MissionItemInt, b: MissionItemInt) -> bool:
    if a.command != b.command or _FRAMES.get(a.frame, a.frame) != _FRAMES.get(b.frame, b.frame):
        return False
    if a.frame in _FRAMES and (abs(a.x - b.x) > 1 or abs(a.y - b.y) > 1 or not _close(a.z, b.z)):
        return False
    return all(_close(a[n], b[n]) for n in _KEPT_PARAMS.get(a.command, ()))


def _close(a: float, b: float) -> bool:
    """Equal as 32-bit floats, which carry AMSL heights to a millimetre."""
    return abs(a - b) <= 1e-6 * max(1.0, abs(a)) or (isnan(a) and isnan(b))
