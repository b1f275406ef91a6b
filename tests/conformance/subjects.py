"""Vehicles to hold a driver to its word on: the bundled simulator or a real PX4, by either driver, on real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fleet.clock import ScaledClock
from fleet.mavlink.mavsdk_driver import open_mavsdk
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Outcome
from fleet.mavlink.station import Station, open_station
from fleet.mavlink.watch import LinkEvent
from geofences.geodesy import LatLon, destination, distance_m
from geofences.volumes import Polygon
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, RallyPoint, Waypoint
from missions.snapshot import Position, VehicleState
from sitl.px4 import start_px4
from tests.mavlink.test_link import free_port

SIM_SPEED = 8.0
PX4_SPEED = 2.0
PX4_INSTANCE = 8
"""away from 0…3, which people use, and from other tests'"""
NAME = "test"
RIVAL = 246
HUB = (7.5, 38.2, 420.0)
DROP_M = 60.0
CRUISE_M_S = 8.0
PX4_PARAMS = {"SIM_BAT_DRAIN": 1800.0, "COM_DISARM_PRFLT": 60.0}
"""its simulated battery is empty after a minute unless told otherwise; time to take off while time runs faster"""


@dataclass
class Subject:
    vehicle: NativeVehicle
    events: list[LinkEvent]
    make_unready: Callable[[], Awaitable[None]]
    """breaks what its arming checks look at"""
    cut: Callable[[], Awaitable[None]] | None = None
    """cuts the link both ways, for good; only where that can be done"""
    rival: str | None = None
    """URL of a second link, for another ground station"""

    @property
    def state(self) -> VehicleState:
        return self.vehicle.state()

    @property
    def home(self) -> Position:
        assert self.state.home is not None
        return self.state.home.value

    async def until(self, what: str, holds: Callable[[VehicleState], Any], timeout_s: float = 120.0) -> None:
        """Waits, in the vehicle's time; the limit only ends a run that hangs."""
        if not await self.vehicle.peer.wait_until(lambda state: bool(holds(state)), timeout_s):
            raise AssertionError(f"not within {timeout_s} s: {what}; {self.state}")

    async def ready(self) -> None:
        await self.until("ready", lambda s: s.health_ok and s.health_ok.value and s.home and s.position)


def short_plan(
    home: Position, *, bearing: float = 0.0, out_m: float = DROP_M, take_off: bool = True, fence_m: float = 400.0
) -> Plan:
    """15 m up, out, down to 8 m. `fence_m`: half the diagonal of the square around home that it must stay in."""
    there, amsl_m = destination(home.point, bearing, out_m), home.alt_amsl_m
    points = [
        Waypoint(home.point, amsl_m + 15, 0.0),
        Waypoint(there, amsl_m + 15, 20.0),
        Waypoint(there, amsl_m + 8, 30.0),
    ]
    legs = tuple(Leg(a, b, distance_m(a.position, b.position), 1.0, ()) for a, b in pairwise(points))
    ring = Polygon(tuple(destination(home.point, angle, fence_m) for angle in (45, 135, 225, 315)))
    rally = (RallyPoint("field", destination(home.point, 90.0, 50.0), 25.0),)
    energy = EnergyBudget(100.0, 5.0, 95.0, 20.0)
    ending, fence = Ending.HOLD_AT_DROP, FenceSet(ring, (), ())
    return Plan("short", "there", ending, take_off, legs, fence, rally, energy, home.point, amsl_m, 15.0, 0.0, 30.0, 1)


# -- drivers ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _native(url: str, system: int, clock: ScaledClock, own: int) -> AsyncIterator[tuple[Station, NativeVehicle]]:
    async with open_station({url: {system: NAME}}, clock=clock, system_id=own) as station:
        yield station, NativeVehicle(station.peer(NAME), cruise_m_s=CRUISE_M_S)


@asynccontextmanager
async def _mavsdk(url: str, system: int, clock: ScaledClock, own: int) -> AsyncIterator[tuple[Station, NativeVehicle]]:
    of_vehicle = {NAME: {"cruise_m_s": CRUISE_M_S}}
    vehicles = {system: NAME}
    async with open_mavsdk(url, clock=clock, vehicles=vehicles, system_id=own, of_vehicle=of_vehicle) as fleet:
        yield fleet.station, fleet[NAME]


DRIVERS = {"native": _native, "mavsdk": _mavsdk}


@asynccontextmanager
async def flown(
    driver: str, url: str, system: int, clock: ScaledClock, own: int = 245
) -> AsyncIterator[tuple[NativeVehicle, list[LinkEvent]]]:
    """A vehicle by that driver, with a control loop that is alive."""
    async with DRIVERS[driver](url, system, clock, own) as (station, vehicle):
        events: list[LinkEvent] = []
        station.on_event(events.append)

        async def beat() -> None:
            while True:
                station.beat(clock.now_s())
                await clock.sleep(0.5)

        beating = asyncio.create_task(beat())
        try:
            yield vehicle, events
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


# -- vehicles --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def simulated(driver: str, folder: Path) -> AsyncIterator[Subject]:
    """The bundled simulator in a process of its own."""
    clock, port, second = ScaledClock(SIM_SPEED), free_port(), free_port()
    spec: Mapping[str, Any] = {
        "epoch_s": clock.epoch_s,
        "monotonic_s": clock.monotonic_s,
        "speed": SIM_SPEED,
        "world": {"ground_amsl_m": HUB[2]},
        "vehicles": [
            {
                "vehicle_id": NAME,
                "system_id": 1,
                "lat_deg": HUB[0],
                "lon_deg": HUB[1],
                "gcs": {"local_port": 0, "port": port},
                "onboard": {"local_port": 0, "port": second},
            }
        ],
    }
    file = folder / "spec.json"
    file.write_text(json.dumps(spec))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sitl",
        "--spec",
        str(file),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    stdin = process.stdin
    assert stdin is not None

    async def fault(kind: str, **of_fault: Any) -> None:
        stdin.write(json.dumps({"do": "fault", "kind": kind, "on": NAME, **of_fault}).encode() + b"\n")
        await stdin.drain()

    try:
        async with flown(driver, f"udpin://127.0.0.1:{port}", 1, clock) as (vehicle, events):
            rival = f"udpin://127.0.0.1:{second}"
            subject = Subject(vehicle, events, lambda: fault("compass_failure"), lambda: fault("link_loss"), rival)
            await subject.ready()
            yield subject
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def real_px4(driver: str, folder: Path) -> AsyncIterator[Subject]:
    """A real PX4 of 1.17 or newer: its gripper needs no parameter."""
    clock = ScaledClock(PX4_SPEED)
    async with start_px4([HUB], speed=PX4_SPEED, first_index=PX4_INSTANCE, folder=folder) as (px4,):
        url = f"udpout://127.0.0.1:{px4.gcs_local_port}"
        async with flown(driver, url, px4.system_id, clock) as (vehicle, events):

            async def forbid() -> None:
                await done(vehicle.ensure_params({"COM_ARMABLE": 0}))

            subject = Subject(vehicle, events, forbid)
            await subject.ready()
            await done(vehicle.ensure_params(PX4_PARAMS))
            yield subject


async def done(what: Awaitable[Outcome]) -> None:
    outcome = await what
    assert outcome.ok, f"{outcome}"


def off_m(state: VehicleState, place: LatLon) -> float:
    assert state.position is not None
    return distance_m(state.position.value.point, place)
