"""The simulation: steps the world to its clock's present and connects it to sockets, a broker, or a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self

from sitl.clock import Clock, SharedClock
from sitl.faults import VehicleTroubles
from sitl.scene import Emit, Scene, ignore
from sitl.spec import SimSpec
from sitl.udp import UdpPort
from sitl.uplink import publish_forever
from sitl.vehicle.dynamics import STEP_S
from sitl.wire.link import Link
from sitl.wire.vehicle import WireVehicle

TICK_S = 0.02
"""as fast as PX4's fastest ground-station streams"""
STEP_TICKS = round(STEP_S / TICK_S)
"""ticks between two steps of the vehicles, each with a turn of the autopilots: 12.5 Hz, at 20 m/s every 1.6 m"""
GROUND_TICKS = 25
"""ticks between two looks at boxes and faults: 2 Hz"""
WALL_TICK_S = 0.01
ROUNDING_S = 1e-6
"""seconds since 1970 are known to 0.24 µs in a float"""
SLICE_TICKS = 50
"""when behind, other tasks get a turn every so many ticks"""


class World(Scene):
    """Vehicles, boxes and weather, without sockets: `advance` steps them to a time. Deterministic for a seed."""

    def __init__(self, spec: SimSpec, start_s: float, emit: Emit = ignore) -> None:
        super().__init__(spec, start_s, emit)
        self._ticks = 0
        self.vehicles = [
            WireVehicle(i, v, self.fleet, start_s, seed=spec.seed, on_release=partial(self.ground.release, i))
            for i, v in enumerate(spec.vehicles)
        ]

    def behind(self, to_s: float) -> bool:
        return self.start_s + (self._ticks + 1) * TICK_S <= to_s + ROUNDING_S

    def advance(self, to_s: float, max_ticks: int = 10**9) -> None:
        """Whole ticks up to that time: in how many calls makes no difference."""
        for _ in range(max_ticks):
            if not self.behind(to_s):
                return
            self._ticks += 1
            # From the tick's number, so that rounding does not add up.
            self.now_s = self.start_s + self._ticks * TICK_S
            steps = self._ticks % STEP_TICKS == 0
            if steps:
                self._move()
            else:
                self.fleet.age_s += TICK_S
            if self._ticks % GROUND_TICKS == 0:
                self._tend()
            if steps:
                self._pilot()
            self._stream()

    def _move(self) -> None:
        self.fleet.step()

    def _pilot(self) -> None:
        for i, vehicle in enumerate(self.vehicles):
            vehicle.tick(self.now_s)
            self._report_landing(i, landed=vehicle.pilot.landed)

    def _stream(self) -> None:
        for vehicle in self.vehicles:
            vehicle.step(self.now_s)

    def _afflict(self, i: int, before: VehicleTroubles, now: VehicleTroubles) -> None:
        vehicle = self.vehicles[i]
        for link in vehicle.links:
            link.suffer(now.gcs if link.name == "gcs" else now.onboard)
        vehicle.pilot.gripper_jammed = now.gripper_jammed
        vehicle.pilot.compass_failed = now.compass_failed
        gps = vehicle.pilot.gps
        gps.fix, gps.north_m, gps.east_m = not now.gps_lost, now.gps_north_m, now.gps_east_m
        self.fleet.drain[i] = now.drain
        self.fleet.lose_thrust(i, now.thrust_lost)
        lost_wh = max(0.0, now.charge_lost - before.charge_lost) * self.fleet.capacity_wh[i]
        self.fleet.used_wh[i] = min(self.fleet.capacity_wh[i], self.fleet.used_wh[i] + lost_wh)
        if now.reboots > before.reboots:
            vehicle.pilot.reboot(self.now_s)


class Simulation:
    """A world on a clock. As an async context manager it opens its sockets; `run` then steps until cancelled.

    `clock` defaults to the shared clock of the spec; a test gives its own. With `sockets=False` nothing is opened:
    `connect` gives a byte pipe to a vehicle, and box samples wait for `take_samples`.
    """

    def __init__(self, spec: SimSpec, *, clock: Clock | None = None, emit: Emit = ignore, sockets: bool = True) -> None:
        self.spec = spec
        self.clock: Clock = clock or SharedClock(spec.epoch_s, spec.monotonic_s, spec.speed)
        self.world = World(spec, self.clock.now_s(), emit)
        self._sockets = sockets
        self._stack = AsyncExitStack()
        self.ports: dict[tuple[str, str], int] = {}
        """(vehicle_id, link) → the local UDP port it is bound to"""

    async def __aenter__(self) -> Self:
        try:
            if self._sockets:
                self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _open(self) -> None:
        for vehicle in self.world.vehicles:
            for link in vehicle.links:
                spec = vehicle.spec.gcs if link.name == "gcs" else vehicle.spec.onboard
                assert spec is not None
                port = UdpPort(spec, link, self._present)
                port.open()
                self._stack.callback(port.close)
                self.ports[vehicle.spec.vehicle_id, link.name] = port.port

    def _present(self) -> float:
        """What a vehicle's own clock shows when a frame comes in: the last step, never ahead of it."""
        return self.world.now_s

    def connect(self, vehicle_id: str, hear: Callable[[bytes], None], link: str = "gcs") -> Callable[[bytes], None]:
        """A byte pipe to a vehicle's link: `hear` gets each frame it sends; the result takes frames for it.

        Several may be connected to one link, and all hear the same.
        """
        end = self._link(vehicle_id, link)
        end.hearers.append(hear)
        return lambda data: end.receive(data, self._present())

    def disconnect(self, vehicle_id: str, hear: Callable[[bytes], None], link: str = "gcs") -> None:
        """Who was connected with this `hear` hears no more."""
        self._link(vehicle_id, link).hearers.remove(hear)

    def _link(self, vehicle_id: str, name: str) -> Link:
        return self.world.vehicles[self.world.ground.index[vehicle_id]].link(name)

    def take_samples(self, box_id: str, limit: int | None = None) -> list[bytes]:
        """Box samples, oldest first, up to the limit; they count as sent. Without a call, as while a broker is down,
        they wait in the box, which keeps the newest `buffer_samples`. None while the box's own link is gone."""
        return self.world.ground.boxes[box_id].device.take(limit)

    def command(self, raw: object) -> None:
        """What the people on the ground do; see `sitl.ground`."""
        self.world.ground.command(raw)

    async def run(self) -> None:
        """Steps and publishes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._sockets and self.spec.mqtt is not None:
                for box in self.world.ground.boxes.values():
                    tasks.create_task(publish_forever(box.device, self.spec.mqtt), name=f"mqtt {box.spec.box_id}")
            tasks.create_task(self._step_forever(), name="world")

    async def _step_forever(self) -> None:
        tick_s = max(TICK_S, WALL_TICK_S * self.spec.speed)
        while True:
            now_s = self.clock.now_s()
            while self.world.behind(now_s):
                self.world.advance(now_s, SLICE_TICKS)
                await asyncio.sleep(0)
            await self.clock.sleep(tick_s)
