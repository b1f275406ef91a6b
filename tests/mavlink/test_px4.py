"""The native vehicle flies a real PX4 (its own SITL process): `make test-px4`.

What both drivers promise is flown in tests/conformance; here stands what needs a real PX4, or a rival beside us.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pymavlink import mavutil

from fleet.clock import ScaledClock
from fleet.mavlink.items import plan_items
from fleet.mavlink.messages import MissionCount, MissionItemInt
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from fleet.mavlink.transfer import ListType, Stored, same_list
from fleet.mavlink.watch import EventKind, LinkEvent
from geofences.geodesy import destination
from geofences.volumes import Polygon
from missions.plan import FenceSet, Leg, Plan
from missions.snapshot import MissionState, Mode
from sitl.px4 import Px4Instance, find_px4, start_px4
from tests.mavlink.flight import (
    above_home,
    controlled,
    disarmed,
    done,
    fly_everything,
    is_mode,
    landed,
    small_plan,
    until,
)

INSTANCE = 7
"""away from 0…3, which people and other tests use"""
SPEED = 2.0
HUB = (7.5, 38.2, 420.0)
CRUISE_M_S = 8.0
PARAMS = {"SIM_BAT_DRAIN": 1800.0, "COM_DISARM_PRFLT": 60.0}
"""SIH's battery is empty after a minute unless told otherwise; time to arm and take off while time runs faster"""
RIVAL = 246

pytestmark = [pytest.mark.px4]


@dataclass(frozen=True)
class Flown:
    vehicle: NativeVehicle
    px4: Px4Instance
    events: list[LinkEvent]

    def plan(self, *, bearing: float = 0.0, take_off: bool = True) -> Plan:
        home = self.vehicle.state().home
        assert home is not None
        return small_plan(home.value.point, home.value.alt_amsl_m, bearing=bearing, take_off=take_off)


@pytest.fixture(autouse=True)
def _a_px4() -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")


@asynccontextmanager
async def flying_px4(folder: Path, *, speed: float = SPEED) -> AsyncIterator[Flown]:
    async with start_px4([HUB], speed=speed, first_index=INSTANCE, folder=folder) as (px4,):
        url = f"udpout://127.0.0.1:{px4.gcs_local_port}"
        events: list[LinkEvent] = []
        async with controlled(url, px4.system_id, ScaledClock(speed), events) as vehicle:
            ready = "its health is good, and it knows home"
            await until(vehicle, ready, lambda s: bool(s.health_ok and s.health_ok.value and s.home), 120.0)
            yield Flown(vehicle, px4, events)


def rival_uploads(px4: Px4Instance, items: tuple[MissionItemInt, ...]) -> None:
    """Another ground station, plain pymavlink on PX4's other link, which knows nothing of us."""
    link = mavutil.mavlink_connection(f"udpout:127.0.0.1:{px4.onboard_local_port}", source_system=RIVAL)
    try:
        for _ in range(3):
            link.mav.heartbeat_send(6, 8, 0, 0, 0)
        link.mav.mission_count_send(px4.system_id, 1, len(items), 0)
        while True:
            message = link.recv_match(
                type=["MISSION_REQUEST_INT", "MISSION_REQUEST", "MISSION_ACK"], timeout=5.0, blocking=True
            )
            assert message is not None, "the vehicle does not answer the rival"
            if message.get_type() == "MISSION_ACK":
                assert message.type == 0
                return
            i = items[message.seq]
            link.mav.mission_item_int_send(
                px4.system_id, 1, message.seq, i.frame, i.command, i.current, 1, *i[:4], i.x, i.y, i.z, 0
            )  # fmt: skip
    finally:
        link.close()


async def test_a_real_px4_is_flown_through_the_whole_port_and_a_second_time_right_after(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as flown:
        vehicle = flown.vehicle
        assert (await vehicle.ensure_params(PARAMS)).ok
        told = await fly_everything(vehicle)
        assert told["release"].verdict is Verdict.DONE, told["release"]
        assert vehicle.state().boot == 0

        again = await vehicle.upload(flown.plan(), with_fence_and_rally=True)
        assert again.verdict is Verdict.DONE, again
        await done(vehicle.start_mission())
        await until(vehicle, "climbed", above_home(5.0), 60.0)
        await done(vehicle.return_home())
        await until(vehicle, "home again", lambda s: landed(s) and disarmed(s), 180.0)
        assert not flown.events, flown.events


async def test_a_real_px4_refuses_what_it_finds_infeasible_and_takes_a_good_plan_after(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as flown:
        vehicle, good = flown.vehicle, flown.plan()
        home, amsl_m = good.home, good.home_amsl_m
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
        assert (right.verdict, right.text) == (Verdict.DONE, "verified by opaque_id"), right
        mission = vehicle.state().mission
        assert mission is not None
        assert mission.value.state is not MissionState.NO_MISSION


async def test_a_real_px4s_parameters_are_read_compared_and_set(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as flown:
        vehicle = flown.vehicle
        first = await vehicle.ensure_params({"GF_ACTION": 3, "NAV_DLL_ACT": (2, 3), "RTL_RETURN_ALT": (20.0, 60.0)})
        assert first.verdict is Verdict.DONE, first
        second = await vehicle.ensure_params({"GF_ACTION": 3, "NAV_DLL_ACT": 2}, may_set=False)
        assert second.verdict is Verdict.DONE, second
        assert (await vehicle.ensure_params({"GF_ACTION": 2}, may_set=False)).verdict is Verdict.REFUSED
        assert (await vehicle.ensure_params({"NO_SUCH_NAME": 2})).verdict is Verdict.UNKNOWN


async def test_a_real_px4_that_refuses_to_arm_says_why_and_flies_once_that_is_mended(tmp_path: Path) -> None:
    # At its own speed: PX4 saves what was set while it takes off, and at twice the speed it then took its simulated
    # barometer for dead in one run of five.
    async with flying_px4(tmp_path, speed=1.0) as flown:
        vehicle = flown.vehicle
        await done(vehicle.ensure_params(PARAMS))
        assert (await vehicle.upload(flown.plan(), with_fence_and_rally=True)).ids
        await done(vehicle.ensure_params({"COM_ARMABLE": 0}))
        await until(vehicle, "not ready", lambda s: bool(s.not_ready), 10.0)
        refused = await vehicle.start_mission()
        assert refused.verdict is Verdict.REFUSED, refused
        assert "TEMPORARILY_REJECTED" in refused.text
        assert refused.text.endswith("not ready to arm: in its safety configuration"), refused
        assert disarmed(vehicle.state())

        await done(vehicle.ensure_params({"COM_ARMABLE": 1}))
        await until(vehicle, "ready", lambda s: not s.not_ready, 10.0)
        await done(vehicle.start_mission())
        await until(vehicle, "climbed", above_home(3.0), 60.0)
        await done(vehicle.land())
        await until(vehicle, "on the ground", lambda s: landed(s) and disarmed(s), 120.0)


async def test_a_real_px4_does_not_fly_to_a_place_outside_its_fence(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as flown:
        vehicle, plan = flown.vehicle, flown.plan()
        await done(vehicle.ensure_params(PARAMS))
        assert (await vehicle.upload(plan, with_fence_and_rally=True)).ids
        await done(vehicle.start_mission())
        await until(vehicle, "climbed", above_home(10.0), 60.0)
        outcome = await vehicle.reposition(destination(plan.home, 0.0, 2000.0), plan.home_amsl_m + 30)
        assert outcome.verdict is Verdict.REFUSED, outcome
        assert "outside" in outcome.text
        await until(vehicle, "holds", is_mode(Mode.HOLD), 10.0)
        await done(vehicle.land())
        await until(vehicle, "on the ground", lambda s: landed(s) and disarmed(s), 120.0)


async def test_a_rivals_plan_on_a_real_px4_is_noticed_within_two_seconds_and_bars_the_start(tmp_path: Path) -> None:
    async with flying_px4(tmp_path, speed=1.0) as flown:
        vehicle, clock = flown.vehicle, flown.vehicle.peer.clock
        assert (await vehicle.upload(flown.plan(), with_fence_and_rally=True)).ids
        theirs = plan_items(flown.plan(bearing=120.0), cruise_m_s=CRUISE_M_S).mission
        await asyncio.to_thread(rival_uploads, flown.px4, theirs)
        uploaded_s = clock.now_s()
        await until(vehicle, "told", lambda _: any(e.kind is EventKind.RIVAL_PLAN for e in flown.events), 5.0)
        took_s = clock.now_s() - uploaded_s
        start = await vehicle.start_mission()
        assert start.verdict is Verdict.REFUSED, start
        assert "somebody changed its plan" in start.text
        assert disarmed(vehicle.state())
        assert took_s < 2.0, f"{took_s:.2f} s"


@pytest.mark.parametrize("held", [0, 2])
async def test_an_upload_of_ours_that_was_broken_off_is_not_mixed_with_the_next_by_a_real_px4(
    tmp_path: Path, held: int
) -> None:
    async with flying_px4(tmp_path) as flown:
        vehicle, peer = flown.vehicle, flown.vehicle.peer
        to = (flown.px4.system_id, 1)
        old = plan_items(flown.plan(bearing=200.0), cruise_m_s=CRUISE_M_S).mission
        new = plan_items(flown.plan(), cruise_m_s=CRUISE_M_S).mission
        assert len(old) == len(new)
        peer.send([MissionCount(len(old), *to, 0)])
        for seq in range(held):
            await peer.clock.sleep(0.2)
            peer.send([old[seq]._replace(seq=seq, target_system=to[0], target_component=to[1])])
        await peer.clock.sleep(0.2)

        outcome = await vehicle.upload(flown.plan(), with_fence_and_rally=True)
        assert (outcome.verdict, outcome.text) == (Verdict.DONE, "verified by opaque_id"), outcome
        stored = await vehicle.download(ListType.MISSION)
        assert isinstance(stored, Stored), stored
        assert same_list(new, stored.items)


async def test_a_real_px4_that_dies_in_mid_upload_keeps_its_old_plan_whole_and_is_not_started(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as flown:
        vehicle, peer, first = flown.vehicle, flown.vehicle.peer, flown.plan()
        before = await vehicle.upload(first, with_fence_and_rally=True)
        assert before.ids is not None, before
        # Its dataman writes to the disk a moment later.
        await peer.clock.sleep(3.0)
        peer.send([MissionCount(9, flown.px4.system_id, 1, 0)])
        await peer.clock.sleep(0.2)
        os.killpg(flown.px4.pid, signal.SIGKILL)
    async with flying_px4(tmp_path) as flown:
        vehicle = flown.vehicle
        await until(vehicle, "it tells its plan", lambda s: s.mission is not None, 10.0)
        mission = vehicle.state().mission
        assert mission is not None
        assert mission.value.mission_id == before.ids.mission
        stored = await vehicle.download(ListType.MISSION)
        assert isinstance(stored, Stored), stored
        assert same_list(plan_items(first, cruise_m_s=CRUISE_M_S).mission, stored.items)
        start = await vehicle.start_mission()
        assert (start.verdict, disarmed(vehicle.state())) == (Verdict.REFUSED, True), start
        assert "no plan was proven" in start.text
