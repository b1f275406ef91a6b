"""The simulation with real PX4s in place of the simulator's autopilots: the same surface, on the wall clock.

async with start_px4(vehicles_of(spec), speed=spec.speed) as instances, Px4Simulation(spec, instances) as simulation:
    await simulation.run()
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from sitl.clock import Clock, SharedClock
from sitl.faults import FAULTS
from sitl.mirror import MirrorWorld
from sitl.px4 import Px4Error, Px4Instance
from sitl.px4_faults import IMPOSSIBLE, Deed, Restart, Run, Wait
from sitl.relay import Hear, Meeting, Relay
from sitl.scene import Emit, ignore
from sitl.spec import SimSpec
from sitl.udp import UdpPort
from sitl.uplink import publish_forever

TICK_S = 0.02
"""simulated time between two looks at late frames; frames that are not late wait for nothing"""
KNOCK_S = 1.0
"""wall clock; PX4's ground-station link speaks to 14550 until somebody speaks to it"""
KNOCK = b"\0"
"""no MAVLink frame: PX4 takes the sender for its peer and reads nothing into it"""


class Px4Simulation:
    """See `sitl.simulation.Simulation`: the same, but that `run` also ends when a PX4 ends by itself (Px4Error).

    Each link is met in PX4's stead: by the UDP ports of the spec's vehicles, or with `sockets=False` by `connect`.
    """

    def __init__(
        self,
        spec: SimSpec,
        instances: Sequence[Px4Instance],
        *,
        clock: Clock | None = None,
        emit: Emit = ignore,
        sockets: bool = True,
    ) -> None:
        self.spec = spec
        self.clock: Clock = clock or SharedClock(spec.epoch_s, spec.monotonic_s, spec.speed)
        by_system = {i.system_id: i for i in instances}
        self.instances = [by_system[v.system_id] for v in spec.vehicles]
        self.world = MirrorWorld(spec, self.clock.now_s(), emit, do=self._do)
        self.world.fleet.ground[:] = [i.vehicle.home[2] for i in self.instances]
        self._sockets = sockets
        self._stack = AsyncExitStack()
        self._todo: list[asyncio.Queue[list[Deed]]] = [asyncio.Queue() for _ in instances]
        self._restarting = [False] * len(self.instances)
        self.ports: dict[tuple[str, str], int] = {}
        """(vehicle_id, link) → the local UDP port it is bound to"""

    async def __aenter__(self) -> Self:
        try:
            self._meet()
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

    def _meet(self) -> None:
        """The sockets on PX4's side."""
        gcs = self._meeting(0)
        onboard = {port: self._meeting(port) for port in sorted({i.onboard_port for i in self.instances})}
        for instance, links in zip(self.instances, self.world.links, strict=True):
            links["gcs"].transmit = gcs.meet(instance.gcs_local_port, self._into(links["gcs"]))
            links["onboard"].transmit = onboard[instance.onboard_port].meet(
                instance.onboard_local_port, self._into(links["onboard"])
            )

    def _meeting(self, port: int) -> Meeting:
        meeting = Meeting(port)
        self._stack.callback(meeting.close)
        return meeting

    def _into(self, relay: Relay) -> Hear:
        return lambda data: relay.hear(data, self.clock.now_s())

    def _open(self) -> None:
        """The sockets on the side of ground stations."""
        for vehicle, links in zip(self.spec.vehicles, self.world.links, strict=True):
            for name, spec in (("gcs", vehicle.gcs), ("onboard", vehicle.onboard)):
                if spec is None:
                    continue
                port = UdpPort(spec, links[name], self.clock.now_s)
                port.open()
                self._stack.callback(port.close)
                self.ports[vehicle.vehicle_id, name] = port.port

    # --- as Simulation has it

    def connect(self, vehicle_id: str, hear: Hear, link: str = "gcs") -> Hear:
        """A byte pipe to a vehicle's link: `hear` gets each frame it sends; the result takes frames for it.

        Several may be connected to one link, and all hear the same.
        """
        relay = self._link(vehicle_id, link)
        relay.hearers.append(hear)
        return lambda data: relay.receive(data, self.clock.now_s())

    def disconnect(self, vehicle_id: str, hear: Hear, link: str = "gcs") -> None:
        """Who was connected with this `hear` hears no more."""
        self._link(vehicle_id, link).hearers.remove(hear)

    def _link(self, vehicle_id: str, name: str) -> Relay:
        return self.world.links[self.world.ground.index[vehicle_id]][name]

    def take_samples(self, box_id: str, limit: int | None = None) -> list[bytes]:
        """Box samples, oldest first, up to the limit; they count as sent."""
        return self.world.ground.boxes[box_id].device.take(limit)

    def command(self, raw: object) -> None:
        """What the people on the ground do; see `sitl.ground`. What no real PX4 can do is refused with the reason."""
        why = _cannot(raw)
        if why:
            self.world.ground.emit({"event": "refused", "reason": f"not possible on a real PX4: {why}", "asked": raw})
        else:
            self.world.ground.command(raw)

    # --- running

    async def run(self) -> None:
        """Follows, publishes and afflicts until cancelled. Raises Px4Error when a PX4 ends or does not obey."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._sockets and self.spec.mqtt is not None:
                    for box in self.world.ground.boxes.values():
                        tasks.create_task(publish_forever(box.device, self.spec.mqtt), name=f"mqtt {box.spec.box_id}")
                for i, instance in enumerate(self.instances):
                    tasks.create_task(self._obey(i), name=f"px4 {instance.index} faults")
                tasks.create_task(self._knock_forever(), name="px4 links")
                tasks.create_task(self._step_forever(), name="world")
        except* Px4Error as group:
            raise group.exceptions[0] from None

    async def _step_forever(self) -> None:
        while True:
            self.world.advance(self.clock.now_s())
            await self.clock.sleep(TICK_S)

    async def _knock_forever(self) -> None:
        """Also after a restart, when PX4 has forgotten its peer."""
        while True:
            for i, instance in enumerate(self.instances):
                if instance.ended and not self._restarting[i]:
                    raise Px4Error(f"PX4 {instance.index} ended by itself: {instance.last_words()}")
                gcs = self.world.links[i]["gcs"]
                if self.clock.now_s() - gcs.heard_s > KNOCK_S * self.spec.speed:
                    gcs.transmit(KNOCK)
            await asyncio.sleep(KNOCK_S)

    def _do(self, i: int, deeds: list[Deed]) -> None:
        self._todo[i].put_nowait(deeds)

    async def _obey(self, i: int) -> None:
        """One after the other, as a deed may take its time."""
        while True:
            for deed in await self._todo[i].get():
                await self._carry_out(i, deed)

    async def _carry_out(self, i: int, deed: Deed) -> None:
        instance, fleet = self.instances[i], self.world.fleet
        match deed:
            case Run(command):
                await instance.run(*command)
            case Wait(seconds_s):
                await self.clock.sleep(seconds_s)
            case Restart():
                self._restarting[i] = True
                await instance.restart((float(fleet.lat[i]), float(fleet.lon[i]), float(fleet.ground[i])))
                self._restarting[i] = False


def _cannot(raw: object) -> str:
    """Why a real PX4 cannot do what the people ask for; empty if it can."""
    if not isinstance(raw, dict):
        return ""
    if raw.get("do") == "fault" and raw.get("kind") in FAULTS:
        return IMPOSSIBLE.get(raw["kind"], "")
    if raw.get("do") == "battery" and raw.get("battery_pct", 100.0) != 100.0:
        return "SIH's battery is full whenever the vehicle stands disarmed"
    return ""
