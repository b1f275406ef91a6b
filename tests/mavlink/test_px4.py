"""The native vehicle flies a real PX4 (its own SITL process): `make test-px4`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.clock import ScaledClock
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from geofences.geodesy import destination
from geofences.volumes import Polygon
from missions.plan import FenceSet, Leg
from missions.snapshot import MissionState
from sitl.px4 import find_px4, start_px4
from tests.mavlink.flight import controlled, fly_everything, small_plan, until

INSTANCE = 7
"""away from 0…3, which people and other tests use"""
SPEED = 2.0
HUB = (7.5, 38.2, 420.0)
GRIPPER = {"PD_GRIPPER_EN": 1, "PD_GRIPPER_TYPE": 0, "SIM_BAT_DRAIN": 1800.0, "COM_DISARM_PRFLT": 60.0}
"""PX4 starts its gripper at boot only"""

pytestmark = [pytest.mark.px4, pytest.mark.xdist_group("px4")]


@pytest.fixture(autouse=True)
def _a_px4() -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")


@asynccontextmanager
async def flying_px4(folder: Path) -> AsyncIterator[NativeVehicle]:
    async with start_px4([HUB], speed=SPEED, first_index=INSTANCE, folder=folder) as (px4,):
        url = f"udpout://127.0.0.1:{px4.gcs_local_port}"
        async with controlled(url, px4.system_id, ScaledClock(SPEED)) as vehicle:
            ready = "its health is good, and it knows home"
            await until(vehicle, ready, lambda s: bool(s.health_ok and s.health_ok.value and s.home), 120.0)
            yield vehicle


async def test_a_real_px4_is_flown_through_the_whole_port(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as vehicle:
        assert (await vehicle.ensure_params(GRIPPER)).ok
        # It saves a changed parameter a moment later.
        await vehicle.peer.clock.sleep(5.0)
    async with flying_px4(tmp_path) as vehicle:
        told = await fly_everything(vehicle)
        assert told["release"].verdict is Verdict.DONE, told["release"]
        assert vehicle.state().boot == 0
        assert vehicle.state().texts


async def test_a_real_px4_refuses_what_it_finds_infeasible_and_takes_a_good_plan_after(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as vehicle:
        state = vehicle.state()
        assert state.home is not None
        home, amsl_m = state.home.value.point, state.home.value.alt_amsl_m
        good = small_plan(home, amsl_m)
        tight = Polygon(tuple(destination(home, angle, 60.0) for angle in (45, 135, 225, 315)))
        outside = await vehicle.upload(replace(good, fence=FenceSet(tight, (), ())), with_fence_and_rally=True)
        assert (outside.verdict, outside.ids) == (Verdict.REFUSED, None), outside
        assert "geofence violation" in outside.text
        assert (await vehicle.start_mission()).verdict is Verdict.REFUSED

        first = good.legs[0]
        buried = Leg(replace(first.start, alt_amsl_m=amsl_m - 30), first.end, first.length_m, 1.0, ())
        too_low = await vehicle.upload(replace(good, legs=(buried, *good.legs[1:])), with_fence_and_rally=True)
        assert (too_low.verdict, too_low.ids) == (Verdict.REFUSED, None), too_low
        assert "altitude too low" in too_low.text

        right = await vehicle.upload(good, with_fence_and_rally=True)
        assert right.verdict is Verdict.DONE, right
        mission = vehicle.state().mission
        assert mission is not None
        assert mission.value.state is not MissionState.NO_MISSION


async def test_a_real_px4s_parameters_are_read_compared_and_set(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as vehicle:
        first = await vehicle.ensure_params({"GF_ACTION": 3, "NAV_DLL_ACT": (2, 3), "RTL_RETURN_ALT": (20.0, 60.0)})
        assert first.verdict is Verdict.DONE, first
        second = await vehicle.ensure_params({"GF_ACTION": 3, "NAV_DLL_ACT": 2}, may_set=False)
        assert second.verdict is Verdict.DONE, second
        assert (await vehicle.ensure_params({"GF_ACTION": 2}, may_set=False)).verdict is Verdict.REFUSED
        assert (await vehicle.ensure_params({"NO_SUCH_NAME": 2})).verdict is Verdict.UNKNOWN
