"""One admitted vehicle on a link: its track, its link quality and the exchanges under way with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from fleet.clock import Clock
from fleet.mavlink.codec import decode
from fleet.mavlink.exchange import Exchange, Parties
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import CommandLong, Message, Ping, TimeSync
from fleet.mavlink.quality import LinkMeter
from fleet.mavlink.reduce import Track
from fleet.mavlink.thinning import Thinning
from fleet.mavlink.timing import RoundTrip
from missions.snapshot import LinkQuality, VehicleState

R = TypeVar("R")
REQUEST_MESSAGE = 512
AUTOPILOT_VERSION = 148
FIRST_WISHES = (42, 1, 245, 33)
"""MISSION_CURRENT, SYS_STATUS, EXTENDED_SYS_STATE, GLOBAL_POSITION_INT: asked for at first sight, as what a vehicle
in the air needs must not wait for the next turn of streams that come once a second"""
OTHER_GCS_S = 10.0
"""another ground station silent for this long is gone"""
MAX_FRAMES_PER_S = 1000.0
"""a PX4 sends about 400 a second before it is thinned; more is a fault, and may not starve the other vehicles"""


class Send(Protocol):
    def __call__(self, peer: Peer, messages: Iterable[Message]) -> None: ...


class Peer:
    """A vehicle heard on the link. All times by the link's clock."""

    def __init__(self, vehicle_id: str, parties: Parties, clock: Clock, send: Send) -> None:
        self.vehicle_id = vehicle_id
        self.parties = parties
        self.clock = clock
        self._send = send
        self.address: Any = None
        self.seq = 0
        self.rtt = RoundTrip()
        self.meter = LinkMeter(self.rtt)
        self.thinning = Thinning()
        self.track = Track(vehicle_id)
        self.dropped = 0
        self._budget = MAX_FRAMES_PER_S
        self._budget_s = 0.0
        self._other_gcs: dict[int, float] = {}
        self._exchanges: dict[Exchange[Any], asyncio.Event] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self._version_asked_s = 0.0
        self._greeted = False

    # -- frames in ---------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame, now_s: float) -> bool:
        """Takes a frame of this vehicle. True when something an onlooker could see may have changed."""
        if not self._within_budget(now_s):
            self.dropped += 1
            return False
        if frame.component != self.parties.vehicle_component:
            return False
        self.meter.count(frame.seq, now_s)
        self.thinning.observe(frame.msg_id)
        self.track.hear(now_s)
        message = decode(frame)
        if message is None:
            return False
        if self.track.reduce(message, now_s):
            self.meter.restart()
            self.thinning.restart()
            self._version_asked_s = 0.0
        if isinstance(message, TimeSync | Ping):
            self.meter.receive(message, now_s)
        if self._exchanges:
            for exchange, wake in list(self._exchanges.items()):
                self.send(exchange.receive(message, now_s))
                wake.set()
        return True

    def _within_budget(self, now_s: float) -> bool:
        self._budget = min(MAX_FRAMES_PER_S, self._budget + (now_s - self._budget_s) * MAX_FRAMES_PER_S)
        self._budget_s = now_s
        if self._budget < 1.0:
            return False
        self._budget -= 1.0
        return True

    def hear_gcs(self, system: int, now_s: float) -> None:
        """Another ground station's heartbeat came from this vehicle's address: PX4 forwards between its links."""
        self._other_gcs[system] = now_s

    # -- messages out ------------------------------------------------------------------------------------------------

    def send(self, messages: Iterable[Message]) -> None:
        if messages:
            self._send(self, messages)

    def tick(self, now_s: float) -> None:
        """Housekeeping, about four times a second: round trip, thinning, the version, link quality."""
        if self.track.heard_s is None:
            return
        self.send(self.meter.tick(now_s))
        wishes = self.thinning.tick(now_s)
        if not self._greeted:
            self._greeted = True
            wishes = [*wishes, *(_request(message_id) for message_id in FIRST_WISHES)]
        if self.track.state().firmware is None and now_s - self._version_asked_s > 5 * self.rtt.timeout_s:
            self._version_asked_s = now_s
            wishes = [*wishes, _request(AUTOPILOT_VERSION)]
        self.send([_aimed(wish, self.parties) for wish in wishes])
        gcs = tuple(sorted(system for system, at_s in self._other_gcs.items() if now_s - at_s < OTHER_GCS_S))
        quality = LinkQuality(self.rtt.rtt_s, self.meter.loss_pct, gcs)
        if quality != self.track.state().link:
            self.track.set_quality(quality)

    # -- for those who command it ------------------------------------------------------------------------------------

    def state(self) -> VehicleState:
        return self.track.state()

    async def run(self, exchange: Exchange[R]) -> R:
        """Carries an exchange to its result. Cancelling it ends it without a further word to the vehicle."""
        wake = self._exchanges[exchange] = asyncio.Event()
        try:
            self.send(exchange.start(self.clock.now_s()))
            while exchange.result is None:
                deadline = exchange.next_deadline
                wait_s = None if deadline is None else self.clock.wall_s(deadline - self.clock.now_s())
                try:
                    async with asyncio.timeout(None if wait_s is None else max(0.0, wait_s)):
                        await wake.wait()
                except TimeoutError:
                    self.send(exchange.tick(self.clock.now_s()))
                wake.clear()
            return exchange.result
        finally:
            del self._exchanges[exchange]

    def nudge(self, exchange: Exchange[Any]) -> None:
        """Somebody changed the exchange from outside: let its runner look."""
        if exchange in self._exchanges:
            self._exchanges[exchange].set()

    async def wait_changed(self, timeout_s: float | None = None) -> bool:
        """Waits for the next change of the vehicle's state; False when none came in time."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(None if timeout_s is None else self.clock.wall_s(timeout_s)):
                await waiter
            return True
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)

    async def wait_until(self, holds: Callable[[VehicleState], bool], timeout_s: float) -> bool:
        """Waits until the state fulfils a condition; False when it did not in time."""
        until_s = self.clock.now_s() + timeout_s
        while not holds(self.state()):
            left_s = until_s - self.clock.now_s()
            if left_s <= 0 or not await self.wait_changed(left_s):
                return holds(self.state())
        return True

    def changed(self) -> None:
        """Wakes all who wait for a change."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _request(message_id: int) -> CommandLong:
    return CommandLong(float(message_id), *(0.0,) * 6, REQUEST_MESSAGE, 0, 0)


def _aimed(message: Message, parties: Parties) -> Message:
    if isinstance(message, CommandLong):
        return message._replace(target_system=parties.vehicle_system, target_component=parties.vehicle_component)
    return message
