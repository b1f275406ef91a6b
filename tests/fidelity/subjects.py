"""The two vehicles that are held to the same facts: the bundled simulator in fake time, and a real PX4."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sitl.px4 import start_px4
from sitl.simulation import World
from sitl.spec import SimSpec
from tests.fidelity.items import GROUND_M, HOME
from tests.fidelity.wire import COMPANION, Wire

PX4_INSTANCE = 20
"""away from 0…9, which people and other tests use"""
PX4_SPEED = 2.0
START_S = 1_700_000_000.0
TURN_S = 0.02
WAIT_S = 0.05
"""wall clock; a real vehicle says something every few milliseconds"""
THIN = {30: 20.0, 33: 5.0} | dict.fromkeys((31, 32, 36, 65, 74, 83, 85, 105, 141, 234, 331), 0.0)
"""Hz: ATTITUDE tells the time often; position, modes and plans come as PX4 has it; the rest only costs time"""
THIN_ONBOARD = dict.fromkeys((30, 31, 32, 33, 36, 74, 83, 85, 105, 111, 141, 331), 0.0)
COMMON = {"SIM_BAT_DRAIN": 3600.0, "COM_DISARM_PRFLT": 60.0}
"""SIH's battery is empty after a minute unless told otherwise; time to arm, look and take off"""


class Simulated:
    """A world of one vehicle, without sockets: a turn is 20 ms of its time, whatever the clock on the wall says."""

    is_real = False
    system_id = 1
    speed = 1.0

    def __init__(self) -> None:
        self.world = World(
            SimSpec.from_dict(
                {
                    "epoch_s": START_S,
                    "monotonic_s": 0.0,
                    "world": {"ground_amsl_m": GROUND_M},
                    "vehicles": [
                        {
                            "vehicle_id": "subject",
                            "system_id": self.system_id,
                            "lat_deg": HOME[0],
                            "lon_deg": HOME[1],
                            "onboard": {"local_port": 0},
                            # SIH's quadrotor flies by PX4's defaults; its battery is not on trial.
                            "performance": {"cruise_m_s": 5.0, "climb_m_s": 3.0, "battery_wh": 9000.0},
                        }
                    ],
                }
            ),
            START_S,
        )
        self._to_s = START_S
        self._came: list[tuple[str, bytes]] = []
        for link in self.world.vehicles[0].links:
            link.hearers.append(lambda data, name=link.name: self._came.append((name, data)))

    def put(self, link: str, data: bytes) -> None:
        self.world.vehicles[0].link(link).receive(data, self.world.now_s)

    def turn(self) -> list[tuple[str, bytes]]:
        self._to_s += TURN_S
        self.world.advance(self._to_s)
        came, self._came[:] = list(self._came), []
        return came


@dataclass
class RealPx4:
    """A PX4 process on two UDP links."""

    system_id: int
    speed: float
    sockets: dict[str, socket.socket]
    is_real = True

    def put(self, link: str, data: bytes) -> None:
        self.sockets[link].send(data)

    def turn(self) -> list[tuple[str, bytes]]:
        names = {udp: name for name, udp in self.sockets.items()}
        ready, _, _ = select.select(list(names), [], [], WAIT_S)
        return [(names[udp], udp.recv(65536)) for udp in ready]


@contextmanager
def real_px4(folder: Path, speed: float = PX4_SPEED) -> Iterator[RealPx4]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            home = (*HOME, GROUND_M)
            start = start_px4([home], speed=speed, first_index=PX4_INSTANCE, folder=folder)
            (px4,) = runner.run(stack.enter_async_context(start))
            ports = {"gcs": px4.gcs_local_port, "onboard": px4.onboard_local_port}
            sockets = {name: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for name in ports}
            for name, udp in sockets.items():
                stack.callback(udp.close)
                udp.connect(("127.0.0.1", ports[name]))
            yield RealPx4(px4.system_id, speed, sockets)
        finally:
            runner.run(stack.aclose())


def meet(subject: Simulated | RealPx4, *, thin: bool = True) -> Wire:
    """A ready vehicle's ground-station link; its other link hangs on it as `others[0]`, with a companion's voice."""
    gcs = Wire(subject)
    companion = Wire(subject, "onboard", system=11, kind=COMPANION)
    gcs.others, companion.others = [companion], [gcs]
    gcs.beat()
    companion.beat()
    gcs.until(lambda: gcs.has("HEARTBEAT", "EXTENDED_SYS_STATE", "SYS_STATUS"), 20.0, "a heartbeat")
    if thin:
        gcs.intervals(THIN)
        companion.intervals(THIN_ONBOARD)
    gcs.until_ready()
    gcs.until(lambda: gcs.has("GLOBAL_POSITION_INT"), 10.0, "a position")
    return gcs


class Hangar:
    """Where the vehicle for the checks of a file stands, with what every check wants set."""

    def __init__(self, start: Callable[[], AbstractContextManager[Simulated | RealPx4]]) -> None:
        self._start = start
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def renew(self) -> Wire:
        """Another vehicle instead."""
        self._stack.close()
        self.vehicle = meet(self._stack.enter_context(self._start()))
        for name, value in COMMON.items():
            self.vehicle.set_param(name, value)
        self.vehicle.keep()
        return self.vehicle
