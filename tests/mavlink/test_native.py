"""The vehicle port over real frames to a scripted PX4, in fake time."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from fleet.mavlink.items import plan_items
from fleet.mavlink.messages import (
    CommandLong,
    Message,
    MissionAck,
    MissionCount,
    MissionItemInt,
    MissionRequestInt,
    StatusText,
)
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.params import INT32
from fleet.mavlink.port import Outcome, PlanIds, UploadOutcome, VehiclePort, Verdict
from fleet.mavlink.transfer import ListType, Stored
from geofences.geodesy import LatLon
from missions.snapshot import Mode
from tests.mavlink import fake_px4
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import long_plan, plan

TRANSFER = (MissionCount, MissionItemInt, MissionRequestInt, MissionAck)
OLD = plan_items(plan(east_deg=0.01)).mission
Story = Callable[[NativeVehicle, FakePx4, Air], Awaitable[Any]]


def tell(story: Story, px4: FakePx4 | None = None, **air: Any) -> Any:
    """Runs a story with one vehicle on the air."""

    async def run() -> Any:
        vehicle = px4 or FakePx4()
        async with Air(vehicle, **air) as sky:
            port: VehiclePort = NativeVehicle(sky.station.peer("cw-1"), cruise_m_s=20.0)
            assert isinstance(port, NativeVehicle)
            return await story(port, vehicle, sky)

    return in_fake_time(run())


def commands(px4: FakePx4, number: int) -> int:
    return sum(isinstance(m, CommandLong) and m.command == number for m in px4.log)


def test_a_plan_is_uploaded_as_a_set_and_proven_by_its_ids() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
        order = [m.mission_type for m in px4.log if isinstance(m, MissionCount)]
        assert order == [ListType.FENCE, ListType.RALLY, ListType.MISSION]
        assert outcome.ids == PlanIds(px4.ids[0], px4.ids[1], px4.ids[2])
        return outcome

    assert tell(story).verdict is Verdict.DONE


def test_a_flight_upload_start_hold_resume_release_reposition_return_land() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        assert (await vehicle.upload(plan(), with_fence_and_rally=True)).verdict is Verdict.DONE
        assert (await vehicle.start_mission()).ok
        state = vehicle.state()
        assert state.armed is not None
        assert state.mode is not None
        assert (state.armed.value, state.mode.value) == (True, Mode.MISSION)
        for act, mode in (
            (vehicle.hold, Mode.HOLD),
            (vehicle.fly_mission, Mode.MISSION),
            (vehicle.release, Mode.MISSION),
            (lambda: vehicle.reposition(LatLon(7.51, 38.21), 500.0), Mode.HOLD),
            (vehicle.return_home, Mode.RETURN),
            (vehicle.land, Mode.LAND),
            (vehicle.disarm, Mode.LAND),
        ):
            outcome = await act()
            assert outcome.ok, outcome
            state = vehicle.state()
            assert state.mode is not None
            assert state.mode.value is mode
        assert px4.grips == 1
        assert not px4.armed

    tell(story)


def test_a_new_route_in_the_air_leaves_fence_and_rally_alone() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        first = await vehicle.upload(plan(), with_fence_and_rally=True)
        await vehicle.start_mission()
        await vehicle.hold()
        px4.log.clear()
        second = await vehicle.upload(plan(take_off=False, east_deg=0.03), with_fence_and_rally=False)
        assert [m.mission_type for m in px4.log if isinstance(m, MissionCount)] == [0]
        assert first.ids is not None
        assert second.ids is not None
        assert second.ids == replace(first.ids, mission=px4.ids[0])
        assert second.ids.mission != first.ids.mission
        assert (await vehicle.fly_mission()).ok

    tell(story)


def test_a_plan_judged_infeasible_after_its_ack_is_refused_with_the_vehicles_reason() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
        assert (outcome.verdict, outcome.ids) == (Verdict.REFUSED, None)
        assert "infeasible (Mission rejected: geofence violation at waypoint 0)" in outcome.text
        start = await vehicle.start_mission()
        assert start.verdict is Verdict.REFUSED
        assert px4.starts == 0

    tell(story, FakePx4(feasible=False))


def test_firmware_that_only_says_in_words_that_a_plan_is_infeasible_is_understood() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        shown = px4.current
        px4.current = lambda: shown()._replace(mission_state=0)  # type: ignore[method-assign]
        outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
        assert (outcome.verdict, outcome.ids) == (Verdict.REFUSED, None)
        assert "infeasible (Mission rejected: geofence violation at waypoint 0)" in outcome.text

    tell(story, FakePx4(feasible=False))


def test_nothing_starts_without_proof() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        outcome = await vehicle.start_mission()
        assert px4.starts == 0
        return outcome

    assert tell(story).text == "no plan was proven to be on the vehicle: upload it"


def test_a_plan_changed_by_somebody_else_is_not_started() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        px4.ids[0] = 4711
        await asyncio.sleep(1.5)
        outcome = await vehicle.start_mission()
        assert outcome.verdict is Verdict.REFUSED
        assert "somebody changed its plan" in outcome.text
        assert px4.starts == 0

    tell(story)


def test_a_vehicle_that_rebooted_after_the_upload_is_not_started() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        px4.boot_s = air.clock.now_s() - 3.0
        await asyncio.sleep(1.5)
        assert vehicle.state().boot == 1
        outcome = await vehicle.start_mission()
        assert "booted anew" in outcome.text
        assert px4.starts == 0

    tell(story)


def test_a_reboot_in_mid_upload_is_no_proof() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        upload = asyncio.create_task(vehicle.upload(plan(), with_fence_and_rally=True))
        await asyncio.sleep(0.5)
        px4.boot_s = air.clock.now_s() - 3.0
        return await upload

    outcome = tell(story, rtt_s=0.3)
    assert (outcome.verdict, outcome.ids) == (Verdict.UNKNOWN, None)
    assert "booted anew during the upload" in outcome.text


def test_firmware_without_plan_ids_is_read_back_and_compared() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
        assert (await vehicle.start_mission()).ok
        return outcome

    outcome = tell(story, FakePx4(knows_ids=False))
    assert (outcome.verdict, outcome.text) == (Verdict.DONE, "verified by read-back")


def test_a_checksum_of_another_firmware_is_read_back_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_px4, "crc_of", lambda items: 1 + len(items))

    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        return await vehicle.upload(plan(), with_fence_and_rally=True)

    outcome = tell(story)
    assert (outcome.verdict, outcome.text) == (Verdict.DONE, "verified by read-back")


def test_a_plan_of_which_one_item_was_stored_otherwise_is_never_proven() -> None:
    """As an item of an older upload would be that was long under way."""

    class Mixing(FakePx4):
        def receive(self, message: Message, now_s: float, source: tuple[int, int] = (245, 190)) -> list[Message]:
            if isinstance(message, MissionItemInt) and message.seq == 2 and message.mission_type == 0:
                message = message._replace(z=message.z + 10.0)
            return super().receive(message, now_s, source)

    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
        assert (await vehicle.start_mission()).verdict is Verdict.REFUSED
        assert px4.starts == 0
        return outcome

    outcome = tell(story, Mixing())
    assert (outcome.verdict, outcome.ids) == (Verdict.UNKNOWN, None)
    assert "what the vehicle gave back is not what it was given" in outcome.text


def test_a_read_back_that_differs_is_no_proof() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        keep = px4._keep

        def corrupt(now_s: float) -> Any:
            px4._incoming[-1] = px4._incoming[-1]._replace(x=1)
            return keep(now_s)

        px4._keep = corrupt  # type: ignore[method-assign]
        return await vehicle.upload(plan(), with_fence_and_rally=True)

    outcome = tell(story, FakePx4(knows_ids=False))
    assert outcome.verdict is Verdict.UNKNOWN
    assert "not what it was given" in outcome.text


@pytest.mark.parametrize("direction", ["to the vehicle", "from the vehicle"])
def test_a_link_cut_after_each_message_of_an_upload_leaves_old_or_new_and_never_ends_in_a_start(direction: str) -> None:
    """A mission of thirty items after fence and rally points, cut for good after its first, second, … last message."""
    new = long_plan(30)
    items = plan_items(new)

    async def story(cut_after: int) -> bool:
        px4 = FakePx4(lists={0: list(OLD), 1: [], 2: []})
        async with Air(px4, rtt_s=0.05) as air:
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            passed = 0

            def lost(message: Message) -> bool:
                nonlocal passed
                passed += type(message) in TRANSFER
                return passed > cut_after

            if direction == "to the vehicle":
                air.drop_to_vehicle = lost
            else:
                air.drop_from_vehicle = lost
            outcome = await vehicle.upload(new, with_fence_and_rally=True)
            whole = passed <= cut_after
            assert (outcome.verdict is Verdict.DONE) is whole
            held = [(m.command, m.x, m.y) for m in px4.lists[0]]
            sent = [(m.command, m.x, m.y) for m in items.mission]
            assert held in ([(m.command, m.x, m.y) for m in OLD], sent), "old or new, never mixed"
            air.drop_to_vehicle = air.drop_from_vehicle = lambda message: False
            await asyncio.sleep(2.0)
            started = await vehicle.start_mission()
            assert (started.verdict is Verdict.DONE) is whole, started
            assert px4.starts == whole
            return whole

    cut_after = 0
    while not in_fake_time(story(cut_after)):
        cut_after += 1
    assert cut_after >= 30


def test_a_set_is_proven_through_heavy_loss_and_a_satellite_round_trip() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        for _ in range(3):
            outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
            if outcome.verdict is Verdict.DONE:
                break
        assert outcome.verdict is Verdict.DONE, outcome
        assert outcome.ids == PlanIds(px4.ids[0], px4.ids[1], px4.ids[2])

    for seed in range(3):
        tell(story, rtt_s=2.0, loss=0.3, seed=seed)


def test_the_hold_race_after_an_upload_is_won() -> None:
    """PX4 accepts mission mode right after an upload and may stay in HOLD."""

    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        await vehicle.upload(plan(take_off=False), with_fence_and_rally=False)
        px4.ignore_modes = 2
        return await vehicle.fly_mission()

    assert tell(story).ok


def test_a_mode_that_does_not_take_is_unknown_and_says_which_mode_it_is() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        return await vehicle.land()

    outcome = tell(story, FakePx4(ignore_modes=99))
    assert (outcome.verdict, outcome.text) == (Verdict.UNKNOWN, "land: accepted, but the mode stays hold")


def test_an_arm_refusal_carries_the_vehicles_words() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        px4.arm_refused = True
        outcome = await vehicle.start_mission()
        await asyncio.sleep(0.5)
        return outcome

    outcome = tell(story)
    assert outcome.verdict is Verdict.REFUSED
    assert "TEMPORARILY_REJECTED" in outcome.text


@pytest.mark.parametrize(("rtt_s", "loss"), [(0.02, 0.0), (2.0, 0.0), (0.2, 0.2)])
def test_an_arm_refusal_says_why_by_the_checks_that_fail_now(rtt_s: float, loss: float) -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        px4.arm_refused, px4.failing = True, ("check_modes_global_pos", "check_modes_home_position")
        outcome = await vehicle.start_mission()
        assert not vehicle.state().armed or not vehicle.state().armed.value
        return outcome

    outcome = tell(story, rtt_s=rtt_s, loss=loss)
    assert outcome.verdict is Verdict.REFUSED
    reasons = "; not ready to arm: no valid global position estimate; home position not set"
    assert outcome.text.endswith(reasons) or loss, outcome.text


def test_a_start_denied_while_the_vehicle_is_still_judging_is_asked_for_again() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        px4.judged_late = 2
        outcome = await vehicle.start_mission()
        assert px4.starts == 3
        return outcome

    assert tell(story).ok


def test_a_start_that_stays_denied_is_refused_in_the_vehicles_words() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        px4.judged_late = 99
        return await vehicle.start_mission()

    outcome = tell(story)
    assert outcome.verdict is Verdict.REFUSED
    assert "DENIED (Mission start denied: no valid mission)" in outcome.text


def test_a_newer_mode_command_does_not_wait_for_an_older_one() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        px4.ignore_modes = 1
        resume = asyncio.create_task(vehicle.fly_mission())
        await asyncio.sleep(0.1)
        landed = await vehicle.land()
        assert landed.ok
        outcome = await resume
        assert (outcome.verdict, outcome.text) == (Verdict.UNKNOWN, "mission mode: given up for a newer command")
        assert commands(px4, 176) == 2

    tell(story)


def test_a_release_is_sent_once_even_when_asked_for_twice() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        both = await asyncio.gather(vehicle.release(), vehicle.release())
        assert [outcome.verdict for outcome in both] == [Verdict.DONE, Verdict.REFUSED]
        assert px4.grips == 1

    tell(story)


def test_a_release_without_a_final_ack_is_unknown_and_not_repeated() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        outcome = await vehicle.release()
        await asyncio.sleep(30)
        assert px4.grips == 1
        return outcome

    assert tell(story, FakePx4(final_grip_ack=False)).verdict is Verdict.UNKNOWN


def test_a_grab_that_nobody_answers_is_asked_again_as_a_closed_gripper_stays_closed() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        outcome = await vehicle.grab()
        assert px4.grips == 3
        return outcome

    assert tell(story, FakePx4(final_grip_ack=False)).verdict is Verdict.UNKNOWN
    assert tell(lambda vehicle, px4, air: vehicle.grab()).verdict is Verdict.DONE


def test_a_reposition_outside_the_fence_is_accepted_by_px4_and_refused_by_us() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        asked = asyncio.create_task(vehicle.reposition(LatLon(7.9, 38.9), 500.0))
        await asyncio.sleep(0.1)
        air.from_vehicle(1, [StatusText(2, b"Reposition is outside geofence\t")])
        return await asked

    outcome = tell(story)
    assert outcome.verdict is Verdict.REFUSED
    assert "Reposition is outside geofence" in outcome.text


def test_disarming_in_the_air_is_refused_and_never_forced() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        outcome = await vehicle.disarm()
        assert outcome.verdict is Verdict.REFUSED
        assert all(m.param2 == 0 for m in px4.log if isinstance(m, CommandLong) and m.command == 400)

    tell(story, FakePx4(armed=True, alt_mm=500000))


def test_no_answer_at_all_is_unknown() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        air.cut = True
        return await vehicle.return_home()

    outcome = tell(story)
    assert (outcome.verdict, outcome.text) == (Verdict.UNKNOWN, "return: no answer from the vehicle")


def ints(**values: int) -> dict[str, tuple[bytes, int]]:
    return {name: (struct.pack("<i", value), INT32) for name, value in values.items()}


def test_required_parameters_are_read_compared_and_set() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        required = {"GF_ACTION": 3, "NAV_DLL_ACT": (2, 3), "COM_LOW_BAT_ACT": (2, 3)}
        outcome = await vehicle.ensure_params(required)
        assert outcome.verdict is Verdict.DONE
        assert outcome.text.startswith("3 parameters as required")
        held = {name: struct.unpack("<i", raw)[0] for name, (raw, _) in px4.params.items()}
        assert held == {"GF_ACTION": 3, "NAV_DLL_ACT": 2, "COM_LOW_BAT_ACT": 3}

    tell(story, FakePx4(params=ints(GF_ACTION=2, NAV_DLL_ACT=0, COM_LOW_BAT_ACT=3)))


def test_parameters_that_may_not_be_set_are_named_with_both_values() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        return await vehicle.ensure_params({"GF_ACTION": 3, "NAV_DLL_ACT": (2, 3)}, may_set=False)

    outcome = tell(story, FakePx4(params=ints(GF_ACTION=2, NAV_DLL_ACT=0)))
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.text == "parameters: GF_ACTION is 2, required 3; NAV_DLL_ACT is 0, required 2..3"


def test_a_parameter_the_vehicle_does_not_know_is_unknown() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> Outcome:
        return await vehicle.ensure_params({"NO_SUCH": 1})

    assert tell(story).verdict is Verdict.UNKNOWN


def test_a_stored_list_can_be_read_back() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> None:
        await vehicle.upload(plan(), with_fence_and_rally=True)
        held = await vehicle.download(ListType.RALLY)
        assert isinstance(held, Stored)
        assert [item.frame for item in held.items] == [6, 6]

    tell(story)


def test_a_cancelled_upload_leaves_the_next_one_free() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        first = asyncio.create_task(vehicle.upload(plan(), with_fence_and_rally=True))
        await asyncio.sleep(0.3)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return await vehicle.upload(plan(east_deg=0.02), with_fence_and_rally=True)

    assert tell(story, rtt_s=0.1).verdict is Verdict.DONE


@pytest.mark.parametrize("wrong", ["mission_id", "fence_id", "rally_points_id"])
def test_an_acked_plan_that_mission_current_never_shows_is_unproven(wrong: str) -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        shown = px4.current
        px4.current = lambda: shown()._replace(**{wrong: 4711})  # type: ignore[method-assign]
        outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
        assert any(isinstance(m, MissionItemInt) for m in px4.log)
        return outcome

    outcome = tell(story)
    assert (outcome.verdict, outcome.ids) == (Verdict.UNKNOWN, None)
    assert "another station may be uploading too" in outcome.text


def test_a_refused_list_names_the_list_and_the_code() -> None:
    async def story(vehicle: NativeVehicle, px4: FakePx4, air: Air) -> UploadOutcome:
        px4._refusal = lambda item: 3 if item.command == 178 else 0  # type: ignore[method-assign]
        return await vehicle.upload(plan(), with_fence_and_rally=True)

    outcome = tell(story)
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.text == "mission: the vehicle refused the list at item 1 with UNSUPPORTED"
