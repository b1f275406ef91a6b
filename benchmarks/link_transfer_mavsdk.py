"""Our uploader and MAVSDK's own beside each other, in real time: a lossy, slow UDP relay before the simulator."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import say
from fleet.clock import ScaledClock
from fleet.mavlink.mavsdk_driver import open_mavsdk
from fleet.mavlink.messages import MissionItemInt
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.station import open_station
from fleet.mavlink.transfer import ListType, Stored
from tests.mavlink.test_link import free_port

ITEMS = 20
MEET_S = 10.0
BOUND_S = 20.0
"""on the wall, for each upload"""
CASES: tuple[tuple[float, float], ...] = ((0.05, 0.05), (2.0, 0.0))
"""round trip in s, share lost each way"""


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, hear: Callable[[bytes, Any], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._hear(data, addr)


@asynccontextmanager
async def relay(to_port: int, rtt_s: float, loss: float, seed: int) -> AsyncIterator[int]:
    """A port whose datagrams go on to `to_port`, and the answers back, each late by half a round trip or lost."""
    loop, chance = asyncio.get_running_loop(), random.Random(seed)
    vehicle: list[Any] = []

    def late(by: asyncio.DatagramTransport, data: bytes, to: Any) -> None:
        def send() -> None:
            if not by.is_closing():
                by.sendto(data, to)

        if chance.random() >= loss:
            loop.call_later(rtt_s / 2, send)

    def from_vehicle(data: bytes, address: Any) -> None:
        vehicle[:] = [address]
        late(ground, data, ("127.0.0.1", to_port))

    def from_ground(data: bytes, _: Any) -> None:
        if vehicle:
            late(air, data, vehicle[0])

    air, _ = await loop.create_datagram_endpoint(lambda: _Ear(from_vehicle), ("127.0.0.1", 0))
    ground, _ = await loop.create_datagram_endpoint(lambda: _Ear(from_ground), ("127.0.0.1", 0))
    try:
        yield air.get_extra_info("sockname")[1]
    finally:
        air.close()
        ground.close()


@asynccontextmanager
async def simulator(port: int, clock: ScaledClock) -> AsyncIterator[None]:
    """The bundled simulator with one vehicle, in its own process."""
    vehicle = {"vehicle_id": "cw-1", "system_id": 1, "lat_deg": 7.5, "lon_deg": 38.2}
    vehicle["gcs"] = {"local_port": 0, "host": "127.0.0.1", "port": port}
    spec = {"epoch_s": clock.epoch_s, "monotonic_s": clock.monotonic_s, "speed": 1.0}
    spec |= {"world": {"ground_amsl_m": 420.0}, "vehicles": [vehicle]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spec.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        command = (sys.executable, "-m", "sitl", "--spec", str(file))
        quiet, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=quiet)
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def driven(driver: str, port: int, clock: ScaledClock) -> AsyncIterator[NativeVehicle]:
    url = f"udpin://127.0.0.1:{port}"
    if driver == "mavsdk":
        async with open_mavsdk(url, clock=clock, vehicles={1: "cw-1"}) as fleet:
            yield fleet["cw-1"]
    else:
        async with open_station({url: {1: "cw-1"}}, clock=clock) as station:
            yield NativeVehicle(station.peer("cw-1"))


async def upload(driver: str, rtt_s: float, loss: float) -> dict[str, Any]:
    """One upload of a mission, by the driver's own uploader."""
    say(f"{driver}: {ITEMS} items, round trip {rtt_s:g} s, {loss:.0%} lost each way, in real time")
    clock, port = ScaledClock(), free_port()
    items = tuple(
        # MAVSDK refuses a list of which no item is the current one.
        MissionItemInt(0, 0, 0, 0, 75000000 + 100 * k, 382000000, 500.0, k, 16, 1, 1, 5, current=int(k == 0))
        for k in range(ITEMS)
    )
    async with (
        relay(port, rtt_s, loss, seed=1) as air_port,
        driven(driver, port, clock) as vehicle,
        simulator(air_port, clock),
    ):
        met = await vehicle.peer.wait_until(lambda s: s.position is not None and s.uid is not None, MEET_S)
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(BOUND_S):
                result = await vehicle._send_list(ListType.MISSION, items)
        except TimeoutError:
            result = None
        took_s = time.monotonic() - began_s
    ended = "stored" if isinstance(result, Stored) else f"gave up: {result}" if result else f"not within {BOUND_S:g} s"
    return {"met": met, "ended": ended, "took_s": round(took_s, 1)}


async def side_by_side() -> dict[str, Any]:
    """Every case by both. About two minutes at most."""
    return {
        f"{ITEMS}_items_{rtt_s:g}_s_{loss * 100:.0f}_pct": {
            driver: await upload(driver, rtt_s, loss) for driver in ("native", "mavsdk")
        }
        for rtt_s, loss in CASES
    }
