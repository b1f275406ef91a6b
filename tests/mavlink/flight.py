"""One flight through the whole vehicle port, for any vehicle that speaks PX4's MAVLink on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

from fleet.clock import ScaledClock
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Outcome, Verdict
from fleet.mavlink.station import open_station
from fleet.mavlink.watch import LinkEvent
from geofences.geodesy import LatLon, destination, distance_m
from geofences.volumes import Circle, Polygon
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, RallyPoint, Waypoint
from missions.snapshot import Landed, Mode, VehicleState


def small_plan(home: LatLon, home_amsl_m: float, *, take_off: bool = True, bearing: float = 0.0) -> Plan:
    """150 m out at 30 m above home, then down to 12 m; a fence of 600 m around home with a circle off to the south."""
    there = destination(home, bearing, 150.0)
    points = [
        Waypoint(home, home_amsl_m + 30, 0.0),
        Waypoint(there, home_amsl_m + 30, 30.0),
        Waypoint(there, home_amsl_m + 12, 40.0),
    ]
    legs = tuple(Leg(a, b, distance_m(a.position, b.position), 1.0, ()) for a, b in pairwise(points))
    ring = Polygon(tuple(destination(home, angle, 600.0) for angle in (45, 135, 225, 315)))
    fence = FenceSet(ring, (Circle(destination(home, 180.0, 300.0), 40.0),), ())
    rally = (RallyPoint("field", destination(home, 90.0, 120.0), 25.0),)
    energy = EnergyBudget(100.0, 5.0, 95.0, 20.0)
    return Plan(
        "small",
        "there",
        Ending.HOLD_AT_DROP,
        take_off,
        legs,
        fence,
        rally,
        energy,
        home,
        home_amsl_m,
        30.0,
        0.0,
        40.0,
        1,
    )


@asynccontextmanager
async def controlled(
    url: str, system_id: int, clock: ScaledClock, events: list[LinkEvent] | None = None
) -> AsyncIterator[NativeVehicle]:
    """A vehicle on a link whose control loop is alive. `events`: takes what an operator should know."""
    async with open_station({url: {system_id: "test"}}, clock=clock) as station:
        if events is not None:
            station.on_event(events.append)

        async def beat() -> None:
            while True:
                station.beat(clock.now_s())
                await clock.sleep(0.5)

        beating = asyncio.create_task(beat())
        try:
            yield NativeVehicle(station.peer("test"), cruise_m_s=8.0)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


async def until(vehicle: NativeVehicle, what: str, holds: Callable[[VehicleState], bool], timeout_s: float) -> None:
    if not await vehicle.peer.wait_until(holds, timeout_s):
        raise AssertionError(f"not within {timeout_s} s: {what}; {vehicle.state()}")


def is_mode(mode: Mode) -> Callable[[VehicleState], bool]:
    return lambda s: s.mode is not None and s.mode.value is mode


def landed(state: VehicleState) -> bool:
    return state.landed is not None and state.landed.value is Landed.ON_GROUND


def disarmed(state: VehicleState) -> bool:
    return state.armed is not None and not state.armed.value


def above_home(height_m: float) -> Callable[[VehicleState], bool]:
    return lambda s: s.position is not None and s.position.value.alt_rel_home_m > height_m


def finished(state: VehicleState) -> bool:
    """PX4 says so in words in every version; newer ones also by mission_state. The mode may stay MISSION."""
    return any(text.value.startswith("Mission finished") for text in state.texts)


async def done(what: Awaitable[Outcome]) -> None:
    outcome = await what
    assert outcome.ok, outcome


async def fly_everything(vehicle: NativeVehicle) -> dict[str, Any]:
    """Upload and prove, start, hold, resume, replace in the air, drop, release, reposition, return, land."""
    await until(vehicle, "ready", lambda s: bool(s.health_ok and s.health_ok.value and s.home and s.position), 120.0)
    state = vehicle.state()
    assert state.home is not None
    home, amsl_m = state.home.value.point, state.home.value.alt_amsl_m

    refused = await vehicle.start_mission()
    assert refused.verdict is Verdict.REFUSED, "nothing was proven yet"
    first = await vehicle.upload(small_plan(home, amsl_m), with_fence_and_rally=True)
    assert first.verdict is Verdict.DONE, first
    assert first.ids is not None
    assert first.ids.mission
    assert first.ids.fence
    assert first.ids.rally

    await done(vehicle.start_mission())
    await until(vehicle, "climbed", above_home(20.0), 120.0)
    airborne = await vehicle.disarm()
    assert airborne.verdict is Verdict.REFUSED, airborne
    await done(vehicle.hold())
    await done(vehicle.fly_mission())
    await done(vehicle.hold())
    second = await vehicle.upload(small_plan(home, amsl_m, take_off=False, bearing=60.0), with_fence_and_rally=False)
    assert second.verdict is Verdict.DONE, second
    assert second.ids is not None
    assert (second.ids.fence, second.ids.rally) == (first.ids.fence, first.ids.rally)
    assert second.ids.mission != first.ids.mission
    await done(vehicle.fly_mission())
    await until(vehicle, "at the drop", finished, 180.0)
    state = vehicle.state()
    assert state.position is not None
    off_m = distance_m(state.position.value.point, destination(home, 60.0, 150.0))
    assert off_m < 12.0, f"{off_m:.1f} m from the drop"

    release = await vehicle.release()
    await done(vehicle.reposition(destination(home, 20.0, 60.0), amsl_m + 25))
    await done(vehicle.return_home())
    await done(vehicle.land())
    await until(vehicle, "on the ground", landed, 180.0)
    await until(vehicle, "disarmed", disarmed, 60.0)
    await vehicle.peer.wait_changed(5.0)
    return {"release": release, "off_m": off_m, "state": vehicle.state()}
