"""What the vehicle port promises, told once for all drivers and vehicles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fleet.mavlink import native
from fleet.mavlink.items import PlanItems, plan_items
from fleet.mavlink.port import Verdict
from fleet.mavlink.transfer import ListType, Stored, same_list
from fleet.mavlink.watch import EventKind
from geofences.geodesy import destination
from missions.plan import Plan
from missions.snapshot import Landed, Mode, VehicleState
from tests.conformance.subjects import CRUISE_M_S, DROP_M, RIVAL, Subject, done, flown, off_m, short_plan

LOCAL_NED = 1
"""a frame that PX4 takes no mission items in"""
Subjects = Callable[[str, Path], AbstractAsyncContextManager[Subject]]


def is_mode(mode: Mode) -> Callable[[VehicleState], bool]:
    return lambda s: s.mode is not None and s.mode.value is mode


def above_home(height_m: float) -> Callable[[VehicleState], bool]:
    return lambda s: s.position is not None and s.position.value.alt_rel_home_m > height_m


def at_rest(state: VehicleState) -> bool:
    landed = state.landed is not None and state.landed.value is Landed.ON_GROUND
    return landed and state.armed is not None and not state.armed.value


def finished(state: VehicleState) -> bool:
    """PX4 says so in words in every version; newer ones also by mission_state."""
    return any(text.value.startswith("Mission finished") for text in state.texts)


async def airborne(subject: Subject) -> None:
    """A whole set uploaded and proven, started, and under way upwards."""
    outcome = await subject.vehicle.upload(short_plan(subject.home), with_fence_and_rally=True)
    assert outcome.verdict is Verdict.DONE, outcome
    await done(subject.vehicle.start_mission())
    await subject.until("climbed", above_home(8.0))


async def down(subject: Subject) -> None:
    await done(subject.vehicle.land())
    await subject.until("on the ground and disarmed", at_rest)


class Conformance:
    """Subclasses name the driver and where the vehicle comes from."""

    driver: ClassVar[str]
    subjects: ClassVar[Subjects]

    def subject(self, folder: Path) -> AbstractAsyncContextManager[Subject]:
        return type(self).subjects(self.driver, folder)

    async def test_a_delivery_is_flown_through_the_whole_port(self, tmp_path: Path) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle, home = subject.vehicle, subject.home
            unproven = await vehicle.start_mission()
            assert (unproven.verdict, subject.state.armed and subject.state.armed.value) == (Verdict.REFUSED, False)

            first = await vehicle.upload(short_plan(home), with_fence_and_rally=True)
            assert first.verdict is Verdict.DONE, first
            assert first.ids is not None
            sent = plan_items(short_plan(home), cruise_m_s=CRUISE_M_S)
            for kind, rows in zip(ListType, (sent.mission, sent.fence, sent.rally), strict=True):
                held = await vehicle.download(kind)
                assert isinstance(held, Stored), held
                assert same_list(rows, held.items)

            await done(vehicle.start_mission())
            await subject.until("climbed", above_home(8.0))
            in_the_air = await vehicle.disarm()
            assert in_the_air.verdict is Verdict.REFUSED, in_the_air
            await done(vehicle.hold())
            await done(vehicle.fly_mission())
            await done(vehicle.hold())

            onwards = short_plan(home, bearing=60.0, take_off=False)
            second = await vehicle.upload(onwards, with_fence_and_rally=False)
            assert second.verdict is Verdict.DONE, second
            assert second.ids is not None
            assert (second.ids.fence, second.ids.rally) == (first.ids.fence, first.ids.rally)
            assert second.ids.mission != first.ids.mission or first.ids.mission == 0
            await done(vehicle.fly_mission())
            await subject.until("at the drop", finished)
            assert off_m(subject.state, destination(home.point, 60.0, DROP_M)) < 12.0

            await done(vehicle.grab())
            await done(vehicle.release())
            aside = destination(home.point, 20.0, 50.0)
            await done(vehicle.reposition(aside, home.alt_amsl_m + 12))
            await subject.until("aside", lambda s: off_m(s, aside) < 12.0)
            await done(vehicle.return_home())
            await down(subject)
            assert not subject.events, subject.events

    async def test_a_vehicle_that_is_not_ready_is_not_armed(self, tmp_path: Path) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle = subject.vehicle
            outcome = await vehicle.upload(short_plan(subject.home), with_fence_and_rally=True)
            assert outcome.verdict is Verdict.DONE, outcome
            await subject.make_unready()
            await subject.until("not ready", lambda s: s.health_ok and not s.health_ok.value)
            start = await vehicle.start_mission()
            assert start.verdict is Verdict.REFUSED, start
            assert at_rest(subject.state)

    async def test_a_list_in_a_frame_px4_lacks_is_refused_and_the_old_plan_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle, good = subject.vehicle, short_plan(subject.home)
            assert (await vehicle.upload(good, with_fence_and_rally=True)).verdict is Verdict.DONE
            before = await vehicle.download(ListType.MISSION)
            assert isinstance(before, Stored), before

            def local(plan: Plan, **how: Any) -> PlanItems:
                items = plan_items(plan, **how)
                return items._replace(mission=tuple(item._replace(frame=LOCAL_NED) for item in items.mission))

            with monkeypatch.context() as patch:
                patch.setattr(native, "plan_items", local)
                refused = await vehicle.upload(good, with_fence_and_rally=False)
            assert (refused.verdict, refused.ids) == (Verdict.REFUSED, None), refused
            assert "UNSUPPORTED" in refused.text
            after = await vehicle.download(ListType.MISSION)
            assert isinstance(after, Stored), after
            assert same_list(before.items, after.items)
            assert (await vehicle.start_mission()).verdict is Verdict.REFUSED, "what it holds was not proven anew"

    async def test_a_plan_judged_infeasible_after_its_ack_is_refused_and_a_good_one_is_taken_after(
        self, tmp_path: Path
    ) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle, home = subject.vehicle, subject.home
            outside = await vehicle.upload(short_plan(home, fence_m=30.0), with_fence_and_rally=True)
            assert (outside.verdict, outside.ids) == (Verdict.REFUSED, None), outside
            assert "geofence violation" in outside.text
            start = await vehicle.start_mission()
            assert start.verdict is Verdict.REFUSED, start
            assert at_rest(subject.state)
            good = await vehicle.upload(short_plan(home), with_fence_and_rally=True)
            assert good.verdict is Verdict.DONE, good

    async def test_a_mode_that_does_not_take_is_not_believed(self, tmp_path: Path) -> None:
        async with self.subject(tmp_path) as subject:
            await airborne(subject)
            vehicle = subject.vehicle
            await done(vehicle.hold())
            outside = short_plan(subject.home, out_m=1000.0, take_off=False)
            infeasible = await vehicle.upload(outside, with_fence_and_rally=False)
            assert infeasible.verdict is Verdict.REFUSED, infeasible
            # The simulator, as some PX4, accepts DO_SET_MODE and stays in HOLD; PX4 1.17 in the air rejects it.
            flying = await vehicle.fly_mission()
            assert flying.verdict in (Verdict.UNKNOWN, Verdict.REFUSED), flying
            assert "accepted, but the mode stays hold" in flying.text or "REJECTED" in flying.text
            assert is_mode(Mode.HOLD)(subject.state)
            await down(subject)

    async def test_parameters_are_read_compared_and_set(self, tmp_path: Path) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle = subject.vehicle
            wanted = {"GF_ACTION": 3, "NAV_DLL_ACT": (2, 3), "RTL_RETURN_ALT": (35.5, 60.0)}
            refused = await vehicle.ensure_params(wanted, may_set=False)
            assert refused.verdict is Verdict.REFUSED, refused
            assert "GF_ACTION is 2, required 3" in refused.text
            await done(vehicle.ensure_params(wanted))
            await done(vehicle.ensure_params(wanted, may_set=False))
            # PX4 takes a senseless value; −1 is a NaN's bits on the wire.
            await done(vehicle.ensure_params({"COM_LOW_BAT_ACT": -1}))
            await done(vehicle.ensure_params({"COM_LOW_BAT_ACT": (-1, -1)}, may_set=False))
            unknown = await vehicle.ensure_params({"NO_SUCH_NAME": 2})
            assert unknown.verdict is Verdict.UNKNOWN, unknown


class SimulatorConformance(Conformance):
    """What needs a link that can be cut, and a second one."""

    async def test_a_rivals_upload_raises_an_alarm_and_bars_the_start(self, tmp_path: Path) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle, clock = subject.vehicle, subject.vehicle.peer.clock
            outcome = await vehicle.upload(short_plan(subject.home), with_fence_and_rally=True)
            assert outcome.verdict is Verdict.DONE, outcome
            assert subject.rival is not None
            async with flown("native", subject.rival, 1, clock, RIVAL) as (rival, _):
                await Subject(rival, [], subject.make_unready).ready()
                theirs = await rival.upload(short_plan(subject.home, bearing=90.0), with_fence_and_rally=False)
                assert theirs.verdict is Verdict.DONE, theirs
            await subject.until("noticed", lambda _: vehicle.holds_proven_plan() is not None)
            start = await vehicle.start_mission()
            assert start.verdict is Verdict.REFUSED, start
            assert "somebody changed its plan" in start.text
            assert EventKind.RIVAL_PLAN in {event.kind for event in subject.events}
            assert at_rest(subject.state)

    async def test_an_upload_into_silence_is_not_known_to_have_arrived_and_bars_the_start(self, tmp_path: Path) -> None:
        async with self.subject(tmp_path) as subject:
            vehicle, clock = subject.vehicle, subject.vehicle.peer.clock
            assert (await vehicle.upload(short_plan(subject.home), with_fence_and_rally=True)).ids is not None
            assert vehicle.holds_proven_plan() is None
            assert subject.cut is not None
            await subject.cut()
            while clock.now_s() - (subject.state.heard_s or 0.0) < 2.0:
                await clock.sleep(0.5)
            outcome = await vehicle.upload(short_plan(subject.home, bearing=90.0), with_fence_and_rally=True)
            assert (outcome.verdict, outcome.ids) == (Verdict.UNKNOWN, None), outcome
            start = await vehicle.start_mission()
            assert start.verdict is Verdict.REFUSED, start
