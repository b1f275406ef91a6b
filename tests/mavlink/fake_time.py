"""Fake time: an event loop whose clock jumps, and a link to scripted vehicles on it."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fleet.mavlink.codec import decode, encode
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import Message
from fleet.mavlink.station import Station
from fleet.mavlink.transport import Received
from tests.mavlink.fake_px4 import FakePx4

T = TypeVar("T")
EPOCH_S = 1_800_000_000.0


class _JumpingSelector(selectors.SelectSelector):
    """Nothing real is waited for: a wait moves the loop's clock instead."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits and nothing is scheduled: a deadlock")
            self.now_s += max(0.0, timeout)
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumper = _JumpingSelector()
        super().__init__(self.jumper)

    def time(self) -> float:
        return self.jumper.now_s


def in_fake_time(story: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a loop whose time jumps."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(story)


class LoopClock:
    """The running loop's time as a Clock."""

    def now_s(self) -> float:
        return EPOCH_S + asyncio.get_running_loop().time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, duration_s))

    def wall_s(self, duration_s: float) -> float:
        return duration_s


class Air:
    """A link and scripted vehicles joined by real frames over a pipe with delay and loss, in fake time.

    `beside`: another link of the same station to the same vehicles.
    """

    def __init__(
        self,
        *vehicles: FakePx4,
        rtt_s: float = 0.02,
        loss: float = 0.0,
        seed: int = 1,
        telemetry_s: float = 1.0,
        names: dict[int, str] | None = None,
        beside: Air | None = None,
        **of_vehicles: Any,
    ) -> None:
        self.peer: Any = None
        self.send_drops = 0
        self.ended: set[Any] = set()
        """addresses whose connection was closed"""
        self.trouble: str | None = None
        self.vehicles = {v.system: v for v in vehicles}
        self.addresses = {v.system: (f"10.0.0.{v.system}", 14580) for v in vehicles}
        self.rtt_s, self.loss, self.telemetry_s = rtt_s, loss, telemetry_s
        self.cut = False
        self.drop_to_vehicle: Callable[[Message], bool] = lambda message: False
        self.drop_from_vehicle: Callable[[Message], bool] = lambda message: False
        self._chance = random.Random(seed)
        self._seq = dict.fromkeys(self.vehicles, 0)
        self._last_s = 0.0
        self.sent: list[tuple[int, Message]] = []
        """what the link sent, as decoded from its frames"""
        self.clock = LoopClock()
        names = names if names is not None else {system: f"cw-{system}" for system in self.vehicles}
        self._first = beside is None
        self.station = Station(clock=self.clock, **of_vehicles) if beside is None else beside.station
        self.link = self.station.add_link("air" if beside is None else "second air", self, names)

    def _lost(self) -> bool:
        return self.cut or self._chance.random() < self.loss

    def _later(self, what: Callable[..., None], *args: Any) -> None:
        """After half a round trip, in the order sent."""
        loop = asyncio.get_running_loop()
        self._last_s = max(self._last_s + 1e-6, loop.time() + self.rtt_s / 2)
        loop.call_at(self._last_s, what, *args)

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        """Nothing to open: `arrive` hands the link what comes in."""

    def close(self) -> None: ...

    def gone(self, address: Any) -> bool:
        return address in self.ended

    def kernel_drops(self) -> int | None:
        return None

    def send(self, data: bytes, address: Any) -> None:
        """The link's transport."""
        for frame in scan(data).frames:
            message = decode(frame)
            assert message is not None, "the link sends only what it can also read"
            system = next((s for s, a in self.addresses.items() if a == address), None)
            if system is None:
                continue  # nobody of ours lives there
            self.sent.append((system, message))
            if not self.drop_to_vehicle(message) and not self._lost():
                self._later(self._deliver, system, message, (frame.system, frame.component))

    def _deliver(self, system: int, message: Message, source: tuple[int, int]) -> None:
        vehicle = self.vehicles[system]
        self.from_vehicle(system, vehicle.receive(message, self.clock.now_s(), source))

    def from_vehicle(self, system: int, messages: list[Message], *, address: Any = None) -> None:
        for message in messages:
            data = encode(message, seq=self._seq[system], system=system, component=1)
            self._seq[system] = (self._seq[system] + 1) & 0xFF
            if not self.drop_from_vehicle(message) and not self._lost():
                self._later(self.arrive, data, address or self.addresses[system])

    def arrive(self, data: bytes, address: Any) -> None:
        found = scan(data)
        self.link.received(found.frames, found.bad, address, self.clock.now_s())
        self.station.turn_over()

    async def __aenter__(self) -> Air:
        self._tasks = [asyncio.create_task(self._fly())]
        if self._first:
            self._tasks.append(asyncio.create_task(self.station.run()))
        await asyncio.sleep(1.5)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _fly(self) -> None:
        beats = 0.0
        for vehicle in self.vehicles.values():
            vehicle.boot_s = vehicle.boot_s or self.clock.now_s() - 100.0
        while True:
            now_s = self.clock.now_s()
            self.station.beat(now_s)
            for system, vehicle in self.vehicles.items():
                if not vehicle.silent:
                    self.from_vehicle(system, vehicle.tick(now_s))
                    if now_s - EPOCH_S >= beats:
                        self.from_vehicle(system, vehicle.telemetry(now_s))
            if now_s - EPOCH_S >= beats:
                beats += self.telemetry_s
            await asyncio.sleep(0.05)
