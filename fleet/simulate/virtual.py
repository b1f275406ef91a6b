"""A stage in virtual time: controller and simulated world in one process on one fake clock, joined by bytes.

Nothing waits for the wall: an hour's flight takes as long as its work, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet.app import Outside, Running, running
from fleet.clock import Clock, LoopClock
from fleet.coldbox import ColdBoxFeed
from fleet.config import Driver, Handling
from fleet.mavlink.frame import scan
from fleet.mavlink.transport import Received
from fleet.simulate.scenario import Scenario
from fleet.simulate.stage import OBSERVED_HZ, RIVAL_SYSTEM, Heard
from fleet.store import MemoryStore, StorePort
from missions.vehicles import Vehicle
from sitl.observer import Observer
from sitl.rival import Rival
from sitl.simulation import Simulation
from sitl.spec import SimSpec

TICK_S = 0.1
"""what vehicles and boxes say in this time arrives together: a latency that no decision notices"""
TRUTH_EVERY_S = 5.0


class Pipe:
    """A link's transport without a socket: what the vehicles send waits for `flush`."""

    peer: Any = None
    send_drops = 0
    trouble: str | None = None

    def __init__(self, to_vehicle: Mapping[str, Callable[[bytes], None]]) -> None:
        self._to_vehicle = to_vehicle
        self._waiting: list[tuple[str, bytes]] = []
        self._received: Received | None = None
        self._turn_over: Callable[[], None] = lambda: None

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        self._received, self._turn_over = received, turn_over

    def close(self) -> None:
        self._received = None
        self._waiting.clear()

    def send(self, data: bytes, address: Any) -> None:
        self._to_vehicle[address](data)

    def gone(self, address: Any) -> bool:
        return False

    def kernel_drops(self) -> int | None:
        return None

    def hear(self, vehicle_id: str, data: bytes) -> None:
        if self._received is not None:
            self._waiting.append((vehicle_id, data))

    def flush(self) -> None:
        if self._received is None or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for vehicle_id, data in waiting:
            found = scan(data)
            self._received(found.frames, found.bad, vehicle_id)
        self._turn_over()


class VirtualStage:
    """See `fleet.simulate.stage.Stage`."""

    name = "virtual"

    def __init__(self, scenario: Scenario, seed: int) -> None:
        urls = sorted({url for links in scenario.config.links.values() for url in links[:1]})
        self.config = replace(
            scenario.config,
            handling=Handling(),
            # One link per vehicle: the first. Simulated autopilots have neither hardware ids nor keys.
            links={v: links[:1] for v, links in scenario.config.links.items()},
            uids={},
            mavlink_keys={},
            drivers=dict.fromkeys(scenario.config.links, Driver.NATIVE),
            recording=replace(scenario.config.recording, folder=None),
        )
        self.clock: Clock = LoopClock(scenario.start_s)
        self.heard: list[Heard] = []
        self.box_truth: dict[str, list[tuple[float, float]]] = {}
        self.store = MemoryStore()
        self._app: Running | None = None
        self._chance = random.Random(seed)
        self._broker_up = True
        self._feed: ColdBoxFeed | None = None
        spec = SimSpec.from_dict({"epoch_s": scenario.start_s, "monotonic_s": 0.0, **scenario.sim_spec(_wire, seed)})
        self._simulation = Simulation(spec, clock=self.clock, emit=self._emit, sockets=False)
        self.observer = Observer({v.system_id: v.vehicle_id for v in self.config.vehicles.values()})
        self._rivals: dict[str, Rival] = {}
        to_vehicle: dict[str, Callable[[bytes], None]] = {}
        self._pipes = {url: Pipe(to_vehicle) for url in urls}
        for vehicle_id, (url,) in self.config.links.items():
            pipe = self._pipes[url]
            to_vehicle[vehicle_id] = self._simulation.connect(vehicle_id, _to(pipe, vehicle_id))
            self._simulation.connect(vehicle_id, self._observe, link="onboard")
        self._truth_s = scenario.start_s
        self._controller: asyncio.Task[None] | None = None

    @property
    def app(self) -> Running | None:
        return self._app

    def _emit(self, event: dict[str, Any]) -> None:
        for heard in self.heard:
            heard(event)

    def _observe(self, data: bytes) -> None:
        self.observer.hear(data, self._simulation.world.now_s)

    def tell(self, **command: Any) -> None:
        # As over a real pipe: JSON, so that what is told is plain data.
        self._simulation.command(json.loads(json.dumps(command)))

    def rival(self, vehicle_id: str) -> Rival:
        if vehicle_id not in self._rivals:
            system = self.config.vehicles[vehicle_id].system_id
            rival: Rival

            def hear(data: bytes) -> None:
                rival.hear(data, self._simulation.world.now_s)

            rival = Rival(RIVAL_SYSTEM, system, self._simulation.connect(vehicle_id, hear, link="onboard"))
            self._rivals[vehicle_id] = rival
        return self._rivals[vehicle_id]

    async def set_broker(self, up: bool) -> None:
        self._broker_up = up
        self._tell_feed()

    def _tell_feed(self) -> None:
        if self._feed is not None:
            self._feed.note(self._broker_up, "ok" if self._broker_up else "the broker is down")

    async def kill_controller(self, down_s: float) -> None:
        assert self._controller is not None
        self._app = None
        self._controller.cancel()
        await asyncio.wait([self._controller])
        await self.clock.sleep(down_s)
        self._controller = asyncio.create_task(self._control(), name="controller")

    # --- running

    async def _control(self) -> None:
        outside = Outside(
            store=self._open_store,
            transport=lambda url, clock: self._pipes[str(url)],
            listen=self._listen,
            serves=False,
            offload=_inline,
            token=lambda n: f"{self._chance.getrandbits(8 * n):0{2 * n}x}",
        )
        async with running(self.config, self.clock, outside) as app:
            self._app = app
            try:
                await asyncio.Event().wait()
            finally:
                self._app = None

    @asynccontextmanager
    async def _open_store(self, path: Path) -> AsyncIterator[StorePort]:
        yield self.store

    async def _listen(self, feed: ColdBoxFeed) -> None:
        self._feed = feed
        self._tell_feed()
        try:
            await asyncio.Event().wait()
        finally:
            self._feed = None

    async def _step(self) -> None:
        world = self._simulation.world
        while True:
            world.advance(self.clock.now_s())
            for pipe in self._pipes.values():
                pipe.flush()
            if self._feed is not None and self._broker_up:
                for box_id in world.ground.boxes:
                    for sample in self._simulation.take_samples(box_id):
                        self._feed.receive(f"coldwing/v1/boxes/{box_id}/samples", sample)
            if self.clock.now_s() >= self._truth_s:
                self._truth_s += TRUTH_EVERY_S
                for box_id, box in world.ground.boxes.items():
                    self.box_truth.setdefault(box_id, []).append((self.clock.now_s(), box.heat.payload_c))
            await self.clock.sleep(TICK_S)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """World and controller are alive inside; a fault of either ends what runs inside, loudly."""
        self._controller = asyncio.create_task(self._control(), name="controller")
        world = asyncio.create_task(self._step(), name="world")
        try:
            while self._app is None:
                _raise_if_dead(self._controller)
                await self.clock.sleep(TICK_S)
            yield
        finally:
            tasks = [self._controller, world]
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


def _raise_if_dead(task: asyncio.Task[None]) -> None:
    if task.done():
        task.result()


def _to(pipe: Pipe, vehicle_id: str) -> Callable[[bytes], None]:
    return lambda data: pipe.hear(vehicle_id, data)


def _wire(n: int, vehicle: Vehicle) -> dict[str, Any]:
    """No sockets are opened: the second link is the observer's."""
    return {"gcs": {"local_port": 0}, "onboard": {"local_port": 0, "rates_hz": OBSERVED_HZ}}


async def _inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """In place of a thread, which virtual time would not wait for."""
    return function(*arguments)
