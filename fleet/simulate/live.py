"""A stage on the wall clock: broker, simulator and controller over real sockets, with the console to look at."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet.app import Running, running
from fleet.clock import ScaledClock
from fleet.config import Driver, FleetConfig, Handling, MqttConfig
from fleet.simulate.outcome import Commanded
from fleet.simulate.processes import Simulator, SimulatorError, simulator
from fleet.simulate.scenario import Scenario
from fleet.simulate.stage import OBSERVED_HZ, RIVAL_SYSTEM, Heard
from missions.vehicles import Vehicle
from sitl.broker import BrokerError, RunningBroker, start_broker
from sitl.observer import Observer
from sitl.rival import Rival

READ_AT_ONCE = 64


class Post:
    """Where vehicles' second links arrive: everybody here hears, and a rival may answer."""

    def __init__(self, observer: Observer, now_s: Callable[[], float]) -> None:
        self.observer, self._now_s = observer, now_s
        self._addresses: dict[int, tuple[str, int]] = {}
        """MAVLink system → where it sends from"""
        self._rivals: dict[int, Rival] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                data, address = self._socket.recvfrom(65536)
            except OSError:
                return
            if len(data) < 8:
                continue
            system = data[5]  # of a MAVLink 2 header
            self._addresses[system] = address
            self.observer.hear(data, self._now_s())
            if system in self._rivals:
                self._rivals[system].hear(data, self._now_s())

    def rival(self, system: int) -> Rival:
        if system not in self._rivals:
            self._rivals[system] = Rival(RIVAL_SYSTEM, system, lambda data: self._send(system, data))
        return self._rivals[system]

    def _send(self, system: int, data: bytes) -> None:
        if system in self._addresses:
            with contextlib.suppress(OSError):
                self._socket.sendto(data, self._addresses[system])


class LiveStage:
    """See `fleet.simulate.stage.Stage`. Made by `live_stage`."""

    name = "live"
    commanded: Sequence[Commanded] = ()

    def __init__(self, config: FleetConfig, clock: ScaledClock, sim: Simulator, post: Post, broker: _Broker) -> None:
        self.config, self.clock = config, clock
        self._sim, self._post, self._broker = sim, post, broker
        self.observer = post.observer
        self.heard: list[Heard] = sim.listeners
        self.box_truth: Mapping[str, Sequence[tuple[float, float]]] = {}
        self._app: Running | None = None
        self._up = asyncio.Event()
        self._controller: asyncio.Task[None] | None = None

    @property
    def app(self) -> Running | None:
        return self._app

    def tell(self, **command: Any) -> None:
        self._sim.tell(**command)

    def rival(self, vehicle_id: str) -> Rival:
        return self._post.rival(self.config.vehicles[vehicle_id].system_id)

    async def set_broker(self, up: bool) -> None:
        await (self._broker.start() if up else self._broker.stop())

    async def kill_controller(self, down_s: float) -> None:
        await self.stop()
        await self.clock.sleep(down_s)
        await self.start()

    async def start(self) -> None:
        self._controller = asyncio.create_task(self._control(), name="controller")
        up = asyncio.create_task(self._up.wait(), name="controller is up")
        await asyncio.wait([self._controller, up], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._controller.done():
            self._controller.result()

    async def stop(self) -> None:
        if self._controller is not None:
            self._controller.cancel()
            await asyncio.gather(self._controller, return_exceptions=True)

    async def _control(self) -> None:
        async with running(self.config, self.clock) as app:
            self._app = app
            self._up.set()
            try:
                await asyncio.Event().wait()
            finally:
                self._app = None
                self._up.clear()


class _Broker:
    """The bundled broker, which may go and come back on its port."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self.at: RunningBroker | None = None

    async def start(self) -> None:
        known: dict[str, Any] = {} if self.at is None else {
            "host": self.at.host, "port": self.at.port, "username": self.at.username, "password": self.at.password,
        }  # fmt: skip
        try:
            self.at = await self._stack.enter_async_context(start_broker(**known))
        except BrokerError as error:
            raise SimulatorError(str(error)) from None

    async def stop(self) -> None:
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def live_stage(
    scenario: Scenario, *, speed: float, folder: Path, api_port: int | None, seed: int
) -> AsyncIterator[LiveStage]:
    """Broker, simulator and controller, ended in the other order whatever happens."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    clock = ScaledClock(speed, epoch_s=scenario.start_s, monotonic_s=time.monotonic())
    async with contextlib.AsyncExitStack() as stack:
        broker = _Broker()
        stack.push_async_callback(broker.stop)
        await broker.start()
        assert broker.at is not None
        at = broker.at
        # A port of its own, so that a ground station on this computer is not in the way.
        gcs_port = _free_udp_port()
        config = replace(
            scenario.config,
            mqtt=MqttConfig(at.host, at.port, at.username, at.password),
            store_path=folder / "fleet.sqlite3",
            recording=replace(scenario.config.recording, folder=folder / "tlog"),
            api=replace(
                scenario.config.api,
                port=_usual_or_free(scenario.config.api.port) if api_port is None else api_port,
            ),
            handling=Handling(),
            links=dict.fromkeys(scenario.config.links, (f"udpin://127.0.0.1:{gcs_port}",)),
            # Simulated autopilots have neither the real ones' hardware ids nor their keys.
            uids={},
            mavlink_keys={},
            drivers=dict.fromkeys(scenario.config.links, Driver.NATIVE),
        )
        post = Post(Observer({v.system_id: v.vehicle_id for v in config.vehicles.values()}), clock.now_s)
        stack.callback(post.close)

        def wire(n: int, vehicle: Vehicle) -> dict[str, Any]:
            return {
                "gcs": {"local_port": 0, "port": gcs_port},
                "onboard": {"local_port": 0, "port": post.port, "rates_hz": OBSERVED_HZ},
            }

        spec = {
            "epoch_s": clock.epoch_s,
            "monotonic_s": clock.monotonic_s,
            "speed": clock.speed,
            "mqtt": {"host": at.host, "port": at.port, "username": at.username, "password": at.password},
            **scenario.sim_spec(wire, seed),
        }
        sim = await stack.enter_async_context(simulator(spec, folder / "simulator.log"))
        stage = LiveStage(config, clock, sim, post, broker)
        stack.push_async_callback(stage.stop)
        await stage.start()
        yield stage


def _usual_or_free(port: int) -> int:
    """The usual port, so that the console is where people expect it; 0 if something else listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
