"""The vehicle's side of the mission protocol on one link: the states and answers of PX4's MavlinkMissionManager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from sitl.autopilot import plans
from sitl.autopilot.events import Level
from sitl.autopilot.plans import Ack, Item, read_item
from sitl.wire.dialect import Message

RETRY_S = 0.28
"""a missing item is asked for again (250 ms, seen on the wire as 0.28 s)"""
TIMEOUT_S = 5.0


class Keeper(Protocol):
    """The part of the autopilot that keeps plans."""

    plans: dict[int, plans.Plan]

    def store(self, kind: int, items: list[Item], raw: list[dict[str, Any]], seq: int, now_s: float) -> int: ...


@dataclass(slots=True)
class Turnstile:
    """One upload at a time on all links of a vehicle."""

    taken: bool = False


class State(Enum):
    IDLE = "idle"
    GETTING = "getting"
    SENDING = "sending"


Send = Callable[[str, dict[str, Any]], None]
Say = Callable[[Level, str], None]
Peer = tuple[int, int]


class MissionServer:
    def __init__(self, keeper: Keeper, turnstile: Turnstile, send: Send, say: Say) -> None:
        self.keeper, self.turnstile, self.send, self.say = keeper, turnstile, send, say
        self.state = State.IDLE
        self.peer: Peer = (0, 0)
        self.kind = plans.MISSION
        self.as_int = True
        self.seq = 0
        """of the next item"""
        self.count = 0
        self._items: list[Item] = []
        self._raw: list[dict[str, Any]] = []
        self._current = -1
        self._last_id = 0
        self._sent_s = self._heard_s = 0.0
        self._handlers = {
            "MISSION_COUNT": self._on_count,
            "MISSION_ITEM_INT": self._on_item,
            "MISSION_ITEM": self._on_item,
            "MISSION_REQUEST_LIST": self._on_list,
            "MISSION_REQUEST_INT": self._on_request,
            "MISSION_REQUEST": self._on_request,
            "MISSION_ACK": self._on_ack,
            "MISSION_CLEAR_ALL": self._on_clear,
        }

    @property
    def names(self) -> set[str]:
        return set(self._handlers)

    def receive(self, message: Message, now_s: float) -> None:
        self._handlers[message.name](message, now_s)

    def tick(self, now_s: float) -> None:
        if self.state is State.IDLE:
            return
        if now_s - self._heard_s > TIMEOUT_S:
            self.say(Level.CRITICAL, "Operation timeout")
            self._idle(release=self.state is State.GETTING)
        elif self.state is State.GETTING and now_s - self._sent_s > RETRY_S:
            self._request(now_s)

    def _idle(self, *, release: bool) -> None:
        self.state = State.IDLE
        if release:
            self.turnstile.taken = False

    def _ack(self, peer: Peer, code: Ack, opaque_id: int = 0) -> None:
        self.send(
            "MISSION_ACK",
            {
                "target_system": peer[0],
                "target_component": peer[1],
                "type": int(code),
                "mission_type": self.kind,
                "opaque_id": opaque_id,
            },
        )

    def _request(self, now_s: float) -> None:
        self._sent_s = now_s
        self.send(
            "MISSION_REQUEST_INT" if self.as_int else "MISSION_REQUEST",
            {
                "target_system": self.peer[0],
                "target_component": self.peer[1],
                "seq": self.seq,
                "mission_type": self.kind,
            },
        )

    # --- upload

    def _on_count(self, message: Message, now_s: float) -> None:
        peer = (message.system, message.component)
        if self.state is State.IDLE:
            if self.turnstile.taken:
                self.kind = message["mission_type"]
                self._ack(peer, Ack.ERROR)
                return
            self._begin(peer, message["count"], message["mission_type"], now_s)
            return
        if self.state is State.SENDING or peer != self.peer:
            if self.state is State.SENDING:
                self.say(Level.CRITICAL, "WPM: IGN MISSION_COUNT: Busy")
            self._ack(peer, Ack.ERROR)
            return
        self._heard_s = now_s
        if self.seq == 0:
            self._request(now_s)
        else:
            self.say(Level.CRITICAL, "WPM: REJ. CMD: Busy")
            self._ack(peer, Ack.ERROR)

    def _begin(self, peer: Peer, count: int, kind: int, now_s: float) -> None:
        self.peer, self.kind, self.count = peer, kind, count
        self._heard_s = now_s
        if count > plans.MAX_ITEMS.get(kind, 0):
            self._ack(peer, Ack.NO_SPACE)
            return
        if count == 0:
            if kind in self.keeper.plans:
                self.keeper.store(kind, [], [], 0, now_s)
            self._ack(peer, Ack.ACCEPTED)
            return
        self.turnstile.taken = True
        self.state, self.seq, self._current = State.GETTING, 0, -1
        self._items, self._raw = [], []
        self._request(now_s)

    def _on_item(self, message: Message, now_s: float) -> None:
        self.as_int = message.name == "MISSION_ITEM_INT"
        if (message.system, message.component) != self.peer:
            self.say(Level.CRITICAL, "REJ. MIS ITEM: partner id mismatch")
            return
        if message["mission_type"] != self.kind:
            self._ack(self.peer, Ack.ERROR)
            return
        if self.state is State.IDLE:
            if self._items and message["seq"] + 1 == self.seq:
                # The last item again: our ACK was lost.
                self._ack(self.peer, Ack.ACCEPTED, self._last_id)
            else:
                self.say(Level.CRITICAL, "IGN MISSION_ITEM: No transfer")
                self._ack(self.peer, Ack.ERROR)
            return
        if self.state is State.SENDING:
            self.say(Level.CRITICAL, "IGN MISSION_ITEM: Busy")
            self._ack(self.peer, Ack.ERROR)
            return
        self._heard_s = now_s
        if message["seq"] != self.seq:
            return
        item, code = read_item(message.fields, self.kind, as_int=self.as_int)
        if item is None:
            if code is not Ack.ERROR:
                self.say(Level.CRITICAL, "IGN MISSION_ITEM: Invalid item")
            self._ack(self.peer, code)
            self._idle(release=True)
            return
        self._items.append(item)
        self._raw.append(message.fields)
        if message["current"]:
            self._current = message["seq"]
        self.seq += 1
        if self.seq < self.count:
            self._request(now_s)
            return
        self._last_id = self.keeper.store(self.kind, self._items, self._raw, self._current, now_s)
        self._idle(release=True)
        self._ack(self.peer, Ack.ACCEPTED, self._last_id)

    # --- download

    def _stored(self) -> plans.Plan:
        return self.keeper.plans.get(self.kind, plans.Plan())

    def _on_list(self, message: Message, now_s: float) -> None:
        peer = (message.system, message.component)
        done = self.state is State.SENDING and self.seq >= self.count
        again = self.state is State.SENDING and peer == self.peer and message["mission_type"] == self.kind
        if not (self.state is State.IDLE or done or again):
            self.say(Level.CRITICAL, "WPM: REJ. CMD: Busy")
            return
        self.kind, self.peer = message["mission_type"], peer
        plan = self._stored()
        self.count, self.seq = len(plan.items), 0
        self._heard_s = now_s
        self.state = State.SENDING if self.count else State.IDLE
        self.send(
            "MISSION_COUNT",
            {
                "target_system": peer[0],
                "target_component": peer[1],
                "count": self.count,
                "mission_type": self.kind,
                "opaque_id": plan.opaque_id,
            },
        )

    def _on_request(self, message: Message, now_s: float) -> None:
        if (message.system, message.component) != self.peer:
            self.say(Level.CRITICAL, "WPM: REJ. CMD: partner id mismatch")
            return
        if self.state is State.GETTING:
            self.say(Level.CRITICAL, "WPM: REJ. CMD: Busy")
            return
        if self.state is State.IDLE or message["mission_type"] != self.kind:
            return
        self._heard_s = now_s
        self.as_int = message.name == "MISSION_REQUEST_INT"
        seq, items = message["seq"], self._stored().items
        if seq == self.seq and seq < self.count:
            self.seq += 1
        elif seq != self.seq - 1:
            seq = len(items)
        if seq >= len(items):
            self._idle(release=False)
            self._ack(self.peer, Ack.ERROR)
            self.say(Level.CRITICAL, "WPM: REJ. CMD: Req. WP was unexpected")
            return
        fields = {
            "target_system": self.peer[0],
            "target_component": self.peer[1],
            "seq": seq,
            "mission_type": self.kind,
            **items[seq].on_wire(as_int=self.as_int),
        }
        self.send("MISSION_ITEM_INT" if self.as_int else "MISSION_ITEM", fields)

    def _on_ack(self, message: Message, now_s: float) -> None:
        if (message.system, message.component) != self.peer:
            self.say(Level.CRITICAL, "REJ. WP CMD: partner id mismatch")
            return
        if self.state is State.SENDING and message["mission_type"] == self.kind:
            self._idle(release=False)
        elif self.state is State.GETTING:
            if message["type"] == Ack.UNSUPPORTED:
                self.as_int = not self.as_int
                self._request(now_s)
            elif message["type"] == Ack.CANCELLED:
                self._idle(release=True)

    def _on_clear(self, message: Message, now_s: float) -> None:
        if self.state is not State.IDLE:
            self.say(Level.CRITICAL, "WPM: IGN CLEAR CMD: Busy")
            return
        self.kind = message["mission_type"]
        kinds = tuple(self.keeper.plans) if self.kind == plans.ALL else (self.kind,)
        for kind in kinds:
            if kind in self.keeper.plans:
                self.keeper.store(kind, [], [], 0, now_s)
        self._ack((message.system, message.component), Ack.ACCEPTED)
