"""What proves a plan where the ACK's opaque_id is not known: reading back, between two sights of the same ids."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleet.mavlink.messages import MissionCount, MissionItemInt, MissionRequestList
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import PlanIds, UploadOutcome, Verdict
from fleet.mavlink.transfer import ListType
from tests.mavlink.fake_px4 import FakePx4, crc_of
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import plan


class Discreet(FakePx4):
    """Its ACK tells no opaque_id, as MAVSDK passes it on; MISSION_CURRENT does."""

    def _mission_ack(self, code: int, opaque_id: int = 0, **rest: Any) -> Any:
        return super()._mission_ack(code, 0, **rest)


def upload(px4: FakePx4, meanwhile: Callable[[FakePx4, Air], Awaitable[None]]) -> tuple[UploadOutcome, str | None]:
    """An upload with something going on beside it, and what speaks against a start after it."""

    async def run() -> tuple[UploadOutcome, str | None]:
        async with Air(px4) as air:
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            other = asyncio.create_task(meanwhile(px4, air))
            outcome = await vehicle.upload(plan(), with_fence_and_rally=True)
            other.cancel()
            return outcome, vehicle.holds_proven_plan()

    return in_fake_time(run())


async def nothing(px4: FakePx4, air: Air) -> None: ...


def replaced_by_a_rival(px4: FakePx4) -> None:
    items: list[MissionItemInt] = px4.lists[0][:-1]
    px4.lists[0], px4.ids[0] = items, crc_of(items)


def test_what_was_read_back_is_what_the_shown_ids_stand_for() -> None:
    px4 = Discreet()
    outcome, why_not = upload(px4, nothing)
    assert (outcome.verdict, outcome.text) == (Verdict.DONE, "verified by read-back")
    assert outcome.ids == PlanIds(px4.ids[0], px4.ids[1], px4.ids[2])
    assert px4.ids[0], "so that a change of it shows later"
    assert why_not is None
    asked = [m.mission_type for m in px4.log if isinstance(m, MissionRequestList)]
    assert asked == [ListType.FENCE, ListType.RALLY, ListType.MISSION]


def test_a_rival_after_the_proof_bars_the_start_here_too() -> None:
    async def run() -> str | None:
        px4 = Discreet()
        async with Air(px4) as air:
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            assert (await vehicle.upload(plan(), with_fence_and_rally=True)).verdict is Verdict.DONE
            replaced_by_a_rival(px4)
            await asyncio.sleep(2.0)
            return vehicle.holds_proven_plan()

    assert "somebody changed its plan" in str(in_fake_time(run()))


@pytest.mark.parametrize("after", ["first sight", "read-back"])
def test_a_rival_during_the_proof_leaves_it_unproven(after: str) -> None:
    async def rival(px4: FakePx4, air: Air) -> None:
        def reading(kind: int) -> bool:
            return any(isinstance(m, MissionRequestList) and m.mission_type == kind for m in px4.log)

        while not reading(ListType.FENCE if after == "first sight" else ListType.MISSION):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        if after == "read-back":
            await asyncio.sleep(0.3)
            assert px4._state == "idle"
        replaced_by_a_rival(px4)

    outcome, why_not = upload(Discreet(), rival)
    assert (outcome.verdict, outcome.ids) == (Verdict.UNKNOWN, None), outcome
    assert why_not is not None


def test_an_infeasible_plan_is_refused_before_anything_is_read_back() -> None:
    px4 = Discreet(feasible=False)
    outcome, why_not = upload(px4, nothing)
    assert (outcome.verdict, outcome.ids) == (Verdict.REFUSED, None)
    assert "infeasible" in outcome.text
    assert not any(isinstance(m, MissionRequestList) for m in px4.log)
    assert sum(isinstance(m, MissionCount) for m in px4.log) == 3
    assert why_not is not None
