"""One vehicle over several links: the best is used, another takes over, and no time, plan or answer is mixed up."""

from __future__ import annotations

import asyncio
from typing import Any

from fleet.mavlink.codec import encode
from fleet.mavlink.messages import (
    AutopilotVersion,
    GlobalPositionInt,
    Heartbeat,
    Message,
    MissionClearAll,
)
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from fleet.mavlink.watch import EventKind, LinkEvent
from missions.snapshot import LinkPath, Mode
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import plan


def frame(message: Message, system: int = 1, seq: int = 0) -> bytes:
    return encode(message, seq=seq, system=system, component=1)


def paths(air: Air) -> tuple[LinkPath, ...]:
    return air.station.peer("cw-1").state().link.paths


def told(air: Air) -> list[LinkEvent]:
    events: list[LinkEvent] = []
    air.station.on_event(events.append)
    return events


async def until(events: list[LinkEvent]) -> None:
    for _ in range(400):
        if events:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nothing was told in 20 s")


async def both(px4: FakePx4, radio: dict[str, Any], satellite: dict[str, Any]) -> tuple[Air, Air]:
    first = Air(px4, **radio)
    second = Air(px4, beside=first, **satellite)
    await first.__aenter__()
    await second.__aenter__()
    return first, second


def test_the_first_link_is_used_and_the_second_takes_over_when_it_falls_silent() -> None:
    async def story() -> None:
        radio, _ = await both(FakePx4(), {"rtt_s": 0.05}, {"rtt_s": 1.6})
        events = told(radio)
        await asyncio.sleep(30)
        assert [(p.link, p.up, p.in_use) for p in paths(radio)] == [("air", True, True), ("second air", True, False)]
        assert paths(radio)[1].rtt_s is not None
        assert abs(paths(radio)[1].rtt_s - 1.6) < 0.01
        assert events == []

        radio.cut = True
        cut_s = radio.clock.now_s()
        peer = radio.station.peer("cw-1")
        while not paths(radio)[1].in_use:
            await asyncio.sleep(0.1)
            assert radio.clock.now_s() - cut_s < 3.5
        assert [event.kind for event in events] == [EventKind.LINK_CHANGED]
        assert "goes on over second air" in events[0].text
        await asyncio.sleep(3)
        state = peer.state()
        assert state.heard_s is not None
        assert radio.clock.now_s() - state.heard_s < 2.0
        assert state.boot == 0, "what a slower link brings late is no reboot"
        outcome = await NativeVehicle(peer).return_home()
        assert outcome.ok, outcome

        radio.cut = False
        await asyncio.sleep(30)
        assert paths(radio)[0].in_use, "the clearly better link is used again"
        assert peer.state().boot == 0

    in_fake_time(story())


def test_a_link_that_stutters_is_not_left_at_once_and_not_come_back_to_at_once() -> None:
    async def story() -> None:
        radio, _ = await both(FakePx4(), {"rtt_s": 0.3, "telemetry_s": 0.25}, {"rtt_s": 0.5})
        events = told(radio)
        for _ in range(20):
            radio.cut = True
            await asyncio.sleep(1.5)
            radio.cut = False
            await asyncio.sleep(2.0)
        assert events == []
        assert paths(radio)[0].in_use

    in_fake_time(story())


def test_an_upload_under_way_is_carried_over_the_link_that_is_left() -> None:
    async def story() -> None:
        px4 = FakePx4()
        radio, _ = await both(px4, {"rtt_s": 0.4}, {"rtt_s": 1.0})
        await asyncio.sleep(5)
        vehicle = NativeVehicle(radio.station.peer("cw-1"))
        upload = asyncio.create_task(vehicle.upload(plan(), with_fence_and_rally=True))
        await asyncio.sleep(1.0)
        radio.cut = True
        outcome = await upload
        assert outcome.verdict is Verdict.DONE, outcome
        assert outcome.ids is not None
        assert (outcome.ids.mission, outcome.ids.fence, outcome.ids.rally) == tuple(px4.ids[n] for n in range(3))

    in_fake_time(story())


def test_a_reboot_is_seen_once_also_when_the_slower_link_takes_over_after_it() -> None:
    async def story() -> None:
        px4 = FakePx4()
        radio, _ = await both(px4, {"rtt_s": 0.05}, {"rtt_s": 2.0})
        events = told(radio)
        await asyncio.sleep(20)
        px4.boot_s = radio.clock.now_s()
        await asyncio.sleep(10)
        assert radio.station.peer("cw-1").state().boot == 1
        radio.cut = True
        await asyncio.sleep(20)
        assert radio.station.peer("cw-1").state().boot == 1
        px4.boot_s = radio.clock.now_s()
        await asyncio.sleep(10)
        assert radio.station.peer("cw-1").state().boot == 2
        kinds = [event.kind for event in events]
        assert kinds == [EventKind.REBOOTED, EventKind.LINK_CHANGED, EventKind.REBOOTED]

    in_fake_time(story())


def test_a_reboot_that_only_the_other_link_saw_is_known_when_it_takes_over() -> None:
    async def story() -> None:
        px4 = FakePx4()
        radio, _ = await both(px4, {"rtt_s": 0.05}, {"rtt_s": 0.5})
        await asyncio.sleep(30)
        radio.cut = True
        px4.boot_s = radio.clock.now_s()
        await asyncio.sleep(10)
        assert paths(radio)[1].in_use
        assert radio.station.peer("cw-1").state().boot == 1

    in_fake_time(story())


def test_another_vehicle_on_the_second_link_with_the_same_system_id_is_not_taken_for_it() -> None:
    async def story() -> None:
        first = Air(FakePx4())
        second = Air(FakePx4(mode=0x05040000), beside=first)
        second.send = lambda data, address: None  # type: ignore[method-assign]
        await first.__aenter__()
        events = told(first)
        await second.__aenter__()
        for n in range(60):
            version = AutopilotVersion._make(
                (0, 4711, 0x011100FF, 0, 0, 0, 0, 0, bytes(8), bytes(8), bytes(8), bytes(18))
            )
            second.arrive(frame(version, seq=n), second.addresses[1])
            await asyncio.sleep(0.5)
        state = first.station.peer("cw-1").state()
        assert state.mode is not None
        assert state.mode.value is Mode.HOLD
        assert state.uid == 77
        assert paths(first)[1].trouble is not None
        assert [event.kind for event in events] == [EventKind.REFUSED]
        first.cut = True
        await asyncio.sleep(20)
        assert paths(first)[0].in_use, "it never becomes the vehicle, also when nothing else is heard"

    in_fake_time(story())


def test_telemetry_of_the_link_that_stands_by_is_not_mixed_into_the_state() -> None:
    async def story() -> None:
        radio, satellite = await both(FakePx4(), {}, {})
        peer = radio.station.peer("cw-1")
        await asyncio.sleep(5)
        satellite.arrive(frame(Heartbeat(0x05040000, 2, 12, 157, 4)), satellite.addresses[1])
        satellite.arrive(frame(GlobalPositionInt(1, 1, 1, 1, 1, 0, 0, 0, 0)), satellite.addresses[1])
        state = peer.state()
        assert state.mode is not None
        assert state.position is not None
        assert state.mode.value is Mode.HOLD
        assert state.position.value.point.lat_deg > 1.0
        assert state.boot == 0

    in_fake_time(story())


def test_our_heartbeat_goes_out_on_every_link() -> None:
    async def story() -> None:
        radio, satellite = await both(FakePx4(), {}, {})
        radio.sent.clear()
        satellite.sent.clear()
        await asyncio.sleep(10)
        for air in (radio, satellite):
            assert 9 <= sum(isinstance(message, Heartbeat) for _, message in air.sent) <= 11

    in_fake_time(story())


def test_a_rivals_upload_is_told_within_two_seconds_and_the_start_is_refused() -> None:
    """With three of ten messages lost it takes as long as MISSION_CURRENT needs to come through."""

    async def story(loss: float, seed: int) -> float:
        px4 = FakePx4()
        async with Air(px4, rtt_s=0.3, loss=loss, seed=seed) as air:
            events = told(air)
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            uploaded = await vehicle.upload(plan(), with_fence_and_rally=True)
            assert uploaded.verdict is Verdict.DONE, uploaded
            await asyncio.sleep(5.3)
            events.clear()
            rival_s = air.clock.now_s()
            px4.ids[0] ^= 1  # another station has stored another mission
            outcome = await vehicle.start_mission()
            assert outcome.verdict is Verdict.REFUSED, outcome
            assert "changed its plan" in outcome.text or "does not say" in outcome.text
            assert not px4.armed
            await until(events)
            assert [event.kind for event in events] == [EventKind.RIVAL_PLAN]
            return events[0].at_s - rival_s

    assert in_fake_time(story(0.0, 1)) < 1.6
    for seed in range(5):
        assert in_fake_time(story(0.3, seed)) < 6.0


def test_a_rivals_upload_to_a_vehicle_that_waits_is_told_within_two_seconds() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4, rtt_s=0.3) as air:
            events = told(air)
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            await vehicle.upload(plan(), with_fence_and_rally=True)
            for moment in range(20):
                await asyncio.sleep(2.0 + moment * 0.05)
                events.clear()
                began_s = air.clock.now_s()
                px4.ids[moment % 3] ^= 1
                await until(events)
                assert air.clock.now_s() - began_s < 2.0
                assert [event.kind for event in events] == [EventKind.RIVAL_PLAN]

    in_fake_time(story())


def test_a_rival_that_clears_the_mission_is_told_too() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4) as air:
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            await vehicle.upload(plan(), with_fence_and_rally=True)
            await asyncio.sleep(2)
            events = told(air)
            px4.receive(MissionClearAll(1, 1, 0), air.clock.now_s(), (255, 190))
            await asyncio.sleep(2)
            assert [event.kind for event in events] == [EventKind.RIVAL_PLAN]
            assert (await vehicle.start_mission()).verdict is Verdict.REFUSED

    in_fake_time(story())
