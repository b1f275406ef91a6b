"""One MAVLink link of one vehicle: what it streams, whom it hears, and how badly the radio treats it."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from sitl.autopilot.autopilot import Autopilot
from sitl.radio import STILL_AIR, Channel, Radio
from sitl.wire.dialect import Message, Packer, frames
from sitl.wire.streams import NEEDS_HOME, RESTORED_HZ, STREAMS

GCS_HEARD_S = 2.5
"""STATUSTEXT flows on a link while a ground station's heartbeat is this fresh there"""
CHUNK = 50
PARAMS_PER_STEP = 8


class Link:
    """Sans-IO: each of `hearers` is given the bytes it sends, `receive` gets what came in."""

    def __init__(
        self,
        name: str,
        pilot: Autopilot,
        packer: Packer,
        rates: Mapping[str, float],
        dispatch: Callable[[Link, Message, float], None],
        rng: random.Random,
    ) -> None:
        self.name, self.pilot, self.packer = name, pilot, packer
        self.hearers: list[Callable[[bytes], None]] = []
        self.down, self.up = Channel(self._put, rng), Channel(self._take, rng)
        self.gcs_s: float | None = None
        self.seen: set[tuple[int, int]] = set()
        """(system, component) of all who were heard on it"""
        self.params_to_send: list[str] = []
        self.sent = 0
        """frames, for measurements"""
        self.wake_s = -math.inf
        """`step` has nothing to do before; whatever might change that makes it look again"""
        self._dispatch, self._rng = dispatch, rng
        self._defaults = dict(rates)
        self._interval_s: dict[str, float] = {}
        self._due: list[tuple[float, int, str]] = []
        self._tickets: dict[str, int] = {}
        self._ticket = 0
        self._text_id = 0

    def suffer(self, radio: Radio) -> None:
        """From now on the radio is this good."""
        self.down.air, self.up.air = radio.down, radio.up
        self.wake_s = -math.inf

    # --- streams

    def start(self, now_s: float) -> None:
        """Default rates from now on: at boot. PX4 does not send all on the same beat, so they are spread."""
        self._due, self._tickets, self.gcs_s = [], {}, None
        self._interval_s = {name: 1.0 / hz for name, hz in self._defaults.items()}
        for name, interval in self._interval_s.items():
            self._plan(name, now_s + self._rng.random() * min(interval, 1.0))

    def _plan(self, name: str, at_s: float) -> None:
        self._ticket += 1
        self._tickets[name] = self._ticket
        heapq.heappush(self._due, (at_s, self._ticket, name))
        self.wake_s = -math.inf

    def interval_us(self, name: str) -> int:
        """0: not streamed."""
        return round(self._interval_s.get(name, 0.0) * 1e6)

    def set_interval(self, name: str, interval_us: float, now_s: float) -> None:
        """SET_MESSAGE_INTERVAL: 0 the default, −1 off."""
        if interval_us == 0:
            hz = RESTORED_HZ.get(self.name, {}).get(name, self._defaults.get(name, 0.0))
            interval_s = 1.0 / hz if hz else -1.0
        else:
            interval_s = interval_us * 1e-6
        if interval_s < 0.0:
            self._interval_s.pop(name, None)
            self._tickets.pop(name, None)
        else:
            self._interval_s[name] = max(interval_s, 1e-3)
            self._plan(name, now_s)

    def step(self, now_s: float) -> None:
        """Sends what is due by now."""
        if self.up.next_s <= now_s:
            self.up.step(now_s)
        if self.down.next_s <= now_s:
            self.down.step(now_s)
        due = self._due
        while due and due[0][0] <= now_s:
            at_s, ticket, name = due[0]
            if self._tickets.get(name) != ticket:
                heapq.heappop(due)
                continue
            following = at_s + self._interval_s[name]
            # After a pause (a suspended computer) the missed ones are not made up for.
            heapq.heapreplace(due, (following if following > now_s - 1.0 else now_s, ticket, name))
            self.stream(name, now_s)
        if self.params_to_send:
            batch, self.params_to_send = self.params_to_send[:PARAMS_PER_STEP], self.params_to_send[PARAMS_PER_STEP:]
            for name in batch:
                self.send_param(name)
        beat_s = due[0][0] if due else math.inf
        self.wake_s = now_s if self.params_to_send else min(beat_s, self.up.next_s, self.down.next_s)

    def stream(self, name: str, now_s: float) -> None:
        """Sends the message's present content."""
        if not self.hearers or (name in NEEDS_HOME and self.pilot.navigator.home is None):
            return
        self.send(name, STREAMS[name](self.pilot, now_s))

    # --- sending

    def send(self, name: str, fields: Mapping[str, Any]) -> None:
        if not self.hearers:
            return
        self.down.send(self.packer.pack(name, fields), self.now_s)
        if self.down.air is not STILL_AIR:
            self.wake_s = -math.inf  # it may be under way now

    def pass_on(self, message: Message) -> None:
        """What came in on another link, to who listens here; only where somebody it may concern was heard here."""
        system = message.fields.get("target_system", 0)
        component = message.fields.get("target_component", 0)
        concerned = any(system in (0, s) and component in (0, c) for s, c in self.seen)
        if concerned and self.hearers:
            self.down.send(message.frame, self.now_s)
            self.wake_s = -math.inf

    def send_text(self, severity: int, text: str, now_s: float) -> None:
        """STATUSTEXT with PX4's trailing tab, in chunks, to a link that hears a ground station."""
        if self.gcs_s is None or now_s - self.gcs_s > GCS_HEARD_S:
            return
        data = f"{text}\t".encode()
        for n, at in enumerate(range(0, len(data), CHUNK)):
            fields = {"severity": severity, "text": data[at : at + CHUNK], "id": self._text_id, "chunk_seq": n}
            self.send("STATUSTEXT", fields)
        self._text_id = (self._text_id + 1) % 65536

    def send_param(self, name: str) -> None:
        fields = self.pilot.params.wire(name)
        if fields is not None:
            self.send("PARAM_VALUE", fields)

    def _put(self, data: bytes, now_s: float) -> None:
        self.sent += 1
        for hear in self.hearers:
            hear(data)

    now_s = 0.0
    """kept by the vehicle's step: a frame is delayed from the present on"""

    # --- receiving

    def receive(self, data: bytes, now_s: float) -> None:
        self.up.send(data, now_s)
        self.wake_s = -math.inf

    def _take(self, data: bytes, now_s: float) -> None:
        if self.pilot.silent(now_s):
            return
        for message in frames(data):
            self._dispatch(self, message, now_s)
