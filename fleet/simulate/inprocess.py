"""A stage within one process: controller and vehicles are joined by bytes, without a socket between them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from fleet.app import Outside, Running, running
from fleet.clock import Clock
from fleet.coldbox import ColdBoxFeed
from fleet.config import Driver, FleetConfig, Handling
from fleet.mavlink.frame import scan
from fleet.mavlink.transport import Received
from fleet.runtime.dispatcher import Offload
from fleet.simulate.outcome import Commanded
from fleet.simulate.scenario import Scenario
from fleet.simulate.stage import OBSERVED_HZ, RIVAL_SYSTEM, Heard
from fleet.simulate.witness import Witness
from fleet.store import MemoryStore, StorePort
from missions.vehicles import Vehicle
from sitl.ground import Ground
from sitl.observer import Observer
from sitl.rival import Rival

TRUTH_EVERY_S = 5.0
Hear = Callable[[bytes], None]


class SimulatedWorld(Protocol):
    @property
    def ground(self) -> Ground: ...


class Simulated(Protocol):
    """What `sitl.simulation.Simulation` and `sitl.px4_world.Px4Simulation` have in common."""

    @property
    def world(self) -> SimulatedWorld: ...

    def connect(self, vehicle_id: str, hear: Hear, link: str = "gcs") -> Hear: ...

    def take_samples(self, box_id: str, limit: int | None = None) -> list[bytes]: ...

    def command(self, raw: object) -> None: ...


class Pipe:
    """A link's transport without a socket: what the vehicles send waits for `flush`."""

    peer: Any = None
    send_drops = 0
    trouble: str | None = None

    def __init__(self, to_vehicle: Mapping[str, Hear], witness: Witness) -> None:
        self._to_vehicle, self._witness = to_vehicle, witness
        self._waiting: list[tuple[str, bytes]] = []
        self._received: Received | None = None
        self._turn_over: Callable[[], None] = lambda: None

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        self._received, self._turn_over = received, turn_over

    def close(self) -> None:
        self._received = None
        self._waiting.clear()

    def send(self, data: bytes, address: Any) -> None:
        self._witness.hear(address, data)
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


class InProcessStage:
    """See `fleet.simulate.stage.Stage`. `advance` lets the world catch up with the clock, once per `tick_s` of it."""

    def __init__(
        self,
        name: str,
        config: FleetConfig,
        clock: Clock,
        simulated: Callable[[Callable[[dict[str, Any]], None]], Simulated],
        *,
        seed: int,
        tick_s: float,
        offload: Offload,
    ) -> None:
        """`config`: as `in_process` makes it; `simulated` is given whom to tell the world's events."""
        self.name, self.config, self.clock = name, config, clock
        self.heard: list[Heard] = []
        self.box_truth: dict[str, list[tuple[float, float]]] = {}
        self.store = MemoryStore()
        self._simulated = simulated(self._emit)
        self._tick_s, self._offload = tick_s, offload
        self._app: Running | None = None
        self._chance = random.Random(seed)
        self._broker_up = True
        self._feed: ColdBoxFeed | None = None
        self._truth_s = clock.now_s()
        self.observer = Observer({v.system_id: v.vehicle_id for v in config.vehicles.values()})
        self._rivals: dict[str, Rival] = {}
        self._controller: asyncio.Task[None] | None = None
        self._kills = 0
        """how often it is down: a second kill may come before it is started again"""
        to_vehicle: dict[str, Hear] = {}
        self.witness = Witness(self.store, clock.now_s)
        self._pipes = {url: Pipe(to_vehicle, self.witness) for (url,) in config.links.values()}
        for vehicle_id, (url,) in config.links.items():
            to_vehicle[vehicle_id] = self._simulated.connect(vehicle_id, _to(self._pipes[url], vehicle_id))
            self._simulated.connect(vehicle_id, self._observe, link="onboard")

    @property
    def commanded(self) -> Sequence[Commanded]:
        return self.witness.commanded

    @property
    def app(self) -> Running | None:
        """None while it is down. Raises what it died of, if nobody has killed it."""
        if self._controller is not None and self._controller.done() and self._kills == 0:
            self._controller.result()
        return self._app

    def _emit(self, event: dict[str, Any]) -> None:
        for heard in self.heard:
            heard(event)

    def _observe(self, data: bytes) -> None:
        self.observer.hear(data, self.clock.now_s())

    def tell(self, **command: Any) -> None:
        # As over a real pipe: JSON, so that what is told is plain data.
        self._simulated.command(json.loads(json.dumps(command)))

    def rival(self, vehicle_id: str) -> Rival:
        if vehicle_id not in self._rivals:
            system = self.config.vehicles[vehicle_id].system_id
            rival: Rival

            def hear(data: bytes) -> None:
                rival.hear(data, self.clock.now_s())

            rival = Rival(RIVAL_SYSTEM, system, self._simulated.connect(vehicle_id, hear, link="onboard"))
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
        self._kills += 1
        self._app = None
        try:
            self._controller.cancel()
            await asyncio.wait([self._controller])
            await self.clock.sleep(down_s)
        finally:  # also where the story ends meanwhile: its end is judged by the record
            self._kills -= 1
            if self._kills == 0:  # else it has been killed again, and is not started twice
                self._controller = asyncio.create_task(self._control(), name="controller")

    # --- running

    async def _control(self) -> None:
        outside = Outside(
            store=self._open_store,
            transport=lambda url, clock: self._pipes[str(url)],
            listen=self._listen,
            serves=False,
            offload=self._offload,
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

    async def _carry(self, advance: Callable[[float], None]) -> None:
        """Lets the world go on, and carries what vehicles and boxes say."""
        while True:
            now_s = self.clock.now_s()
            advance(now_s)
            for pipe in self._pipes.values():
                pipe.flush()
            boxes = self._simulated.world.ground.boxes
            if self._feed is not None and self._broker_up:
                for box_id in boxes:
                    for sample in self._simulated.take_samples(box_id):
                        self._feed.receive(f"coldwing/v1/boxes/{box_id}/samples", sample)
            if now_s >= self._truth_s:
                self._truth_s += TRUTH_EVERY_S
                for box_id, box in boxes.items():
                    self.box_truth.setdefault(box_id, []).append((now_s, box.heat.payload_c))
            await self.clock.sleep(self._tick_s)

    @asynccontextmanager
    async def playing(self, advance: Callable[[float], None]) -> AsyncIterator[None]:
        """World and controller are alive inside; a fault of either ends what runs inside, loudly."""
        self._controller = asyncio.create_task(self._control(), name="controller")
        world = asyncio.create_task(self._carry(advance), name="world")
        try:
            while self._app is None:
                if self._controller.done():
                    self._controller.result()
                await self.clock.sleep(self._tick_s)
            yield
        finally:
            tasks = [self._controller, world]
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


def in_process(config: FleetConfig) -> FleetConfig:
    """The fleet with one link each, no keys and nothing on disk: simulated autopilots have neither hardware ids nor
    keys."""
    return replace(
        config,
        handling=Handling(),
        links={v: links[:1] for v, links in config.links.items()},
        uids={},
        mavlink_keys={},
        drivers=dict.fromkeys(config.links, Driver.NATIVE),
        recording=replace(config.recording, folder=None),
    )


def sim_fields(scenario: Scenario, seed: int, speed: float = 1.0) -> dict[str, Any]:
    """The spec of its world, as JSON."""
    return {"epoch_s": scenario.start_s, "monotonic_s": 0.0, "speed": speed, **scenario.sim_spec(_wire, seed)}


def _to(pipe: Pipe, vehicle_id: str) -> Hear:
    return lambda data: pipe.hear(vehicle_id, data)


def _wire(n: int, vehicle: Vehicle) -> dict[str, Any]:
    """No sockets are opened: the second link is the observer's."""
    return {"gcs": {"local_port": 0}, "onboard": {"local_port": 0, "rates_hz": OBSERVED_HZ}}
