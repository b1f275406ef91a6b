"""Many vehicles on one link: admission, clashes, our heartbeat, thinning, errors, and real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymavlink.dialects.v20 import development

from fleet.clock import ScaledClock
from fleet.mavlink.codec import encode
from fleet.mavlink.events import event_id
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import (
    Attitude,
    AutopilotVersion,
    CommandLong,
    Event,
    Heartbeat,
    MissionCount,
    MissionCurrent,
    RequestEvent,
    SystemTime,
    TimeSync,
)
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.peer import Peer
from fleet.mavlink.station import open_station
from fleet.mavlink.urls import LinkError, parse_url
from fleet.mavlink.watch import EventKind, LinkEvent
from missions.snapshot import Mode
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import plan

ELSEWHERE = ("10.9.9.9", 9999)
PX4_BEAT = Heartbeat(0x04040000, 2, 12, 157, 4)
GCS_BEAT = Heartbeat(0, 6, 8, 0, 4)


VERSION = AutopilotVersion._make((0, 0, 0x011100FF, 0, 0, 0, 0, 0, bytes(8), bytes(8), bytes(8), bytes(18)))


def in_mode(peer: Peer) -> Mode:
    mode = peer.state().mode
    assert mode is not None
    return mode.value


def raw(message: Any, system: int, seq: int = 0) -> bytes:
    return encode(message, seq=seq, system=system, component=1)


def test_two_vehicles_on_one_link_keep_apart() -> None:
    async def story() -> None:
        async with Air(FakePx4(system=1), FakePx4(system=2, mode=0x05040000, lat=76000000)) as air:
            one, two = air.station.peer("cw-1").state(), air.station.peer("cw-2").state()
            assert one.mode is not None
            assert two.mode is not None
            assert (one.mode.value, two.mode.value) == (Mode.HOLD, Mode.RETURN)
            done = await asyncio.gather(
                *(
                    NativeVehicle(air.station.peer(name)).upload(plan(), with_fence_and_rally=True)
                    for name in ("cw-1", "cw-2")
                )
            )
            assert all(outcome.ids for outcome in done)
            assert air.station.refusals == ()

    in_fake_time(story())


def test_adopting_a_vehicle_in_flight_sends_no_mission_and_no_mode() -> None:
    async def story() -> None:
        px4 = FakePx4(armed=True, mode=0x04040000)
        async with Air(px4) as air:
            await asyncio.sleep(120)
            assert air.station.peer("cw-1").state().firmware == "1.17.0"
            kinds = {type(m) for _, m in air.sent}
            assert kinds == {Heartbeat, TimeSync, CommandLong}
            assert {m.command for _, m in air.sent if isinstance(m, CommandLong)} == {511, 512}

    in_fake_time(story())


def test_an_unknown_system_is_refused_and_listed() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            air.arrive(raw(PX4_BEAT, 42), ELSEWHERE)
            air.arrive(raw(PX4_BEAT, 42), ELSEWHERE)
            (refusal,) = air.station.refusals
            assert (refusal.system_id, refusal.address, refusal.frames) == (42, "10.9.9.9:9999", 2)
            assert "no vehicle with system id 42 is configured" in refusal.why
            assert air.link.stats().refused_frames == 2

    in_fake_time(story())


def test_a_second_vehicle_with_a_live_vehicles_id_is_refused_and_changes_nothing() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
            air.arrive(raw(SystemTime(0, 1), 1), ELSEWHERE)
            state = air.station.peer("cw-1").state()
            assert state.mode is not None
            assert (state.mode.value, state.boot) == (Mode.HOLD, 0)
            (refusal,) = air.station.refusals
            assert "already in use by cw-1 at 10.0.0.1:14580" in refusal.why

    in_fake_time(story())


def test_a_vehicle_silent_for_three_seconds_may_come_back_from_elsewhere() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4) as air:
            px4.silent = True
            await asyncio.sleep(4.0)
            peer = air.station.peer("cw-1")
            air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
            assert in_mode(peer) is Mode.HOLD, "who answers from there is not known yet"
            air.arrive(raw(VERSION._replace(uid=77), 1), ELSEWHERE)
            air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
            assert in_mode(peer) is Mode.MISSION
            assert peer.path.address == ELSEWHERE

    in_fake_time(story())


def test_another_autopilot_with_the_vehicles_system_id_never_becomes_it() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4) as air:
            told: list[LinkEvent] = []
            air.station.on_event(told.append)
            px4.silent = True
            await asyncio.sleep(4.0)
            for _ in range(20):
                air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
                air.arrive(raw(VERSION._replace(uid=78), 1), ELSEWHERE)
                await asyncio.sleep(1.0)
            peer = air.station.peer("cw-1")
            assert in_mode(peer) is Mode.HOLD
            assert peer.state().heard_s is not None
            assert air.clock.now_s() - peer.state().heard_s > 20
            (path,) = peer.state().link.paths
            assert path.trouble is not None
            assert "its uid is 0x4e, that of cw-1 0x4d" in path.trouble
            assert [event.kind for event in told] == [EventKind.REFUSED]

    in_fake_time(story())


def test_a_vehicle_whose_uid_is_configured_is_taken_only_when_it_tells_it() -> None:
    async def story() -> None:
        async with Air(FakePx4(), uids={"cw-1": 78}) as air:
            await asyncio.sleep(10)
            assert air.station.peer("cw-1").state().heard_s is None
        async with Air(FakePx4(), uids={"cw-1": 77}) as air:
            assert air.station.peer("cw-1").state().heard_s is not None

    in_fake_time(story())


def test_a_telemetry_radio_that_speaks_for_itself_is_no_stranger() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            radio = development.MAVLink(None, srcSystem=ord("3"), srcComponent=ord("D"))
            status = radio.radio_status_encode(200, 190, 100, 40, 35, 0, 0).pack(radio)
            air.arrive(bytes(status), air.addresses[1])
            assert air.station.refusals == ()

    in_fake_time(story())


def test_a_vehicle_whose_connection_ended_may_call_again_at_once() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            air.ended.add(air.addresses[1])
            air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
            peer = air.station.peer("cw-1")
            assert peer.path.address == ELSEWHERE
            assert air.station.refusals == ()

    in_fake_time(story())


def test_an_autopilot_that_is_not_px4_is_refused() -> None:
    async def story() -> None:
        async with Air(names={7: "cw-7"}) as air:
            air.arrive(raw(PX4_BEAT._replace(autopilot=3), 7), ELSEWHERE)
            (refusal,) = air.station.refusals
            assert "autopilot is type 3, not PX4" in refusal.why
            assert air.station.peer("cw-7").state().heard_s is None

    in_fake_time(story())


def test_another_ground_station_on_a_vehicles_address_is_flagged_until_it_leaves() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            for _ in range(5):
                air.arrive(raw(GCS_BEAT, 255), air.addresses[1])
                await asyncio.sleep(1.0)
            assert air.station.peer("cw-1").state().link.other_gcs == (255,)
            await asyncio.sleep(12)
            assert air.station.peer("cw-1").state().link.other_gcs == ()

    in_fake_time(story())


def test_another_ground_station_that_falls_silent_together_with_the_vehicle_is_not_called_gone() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4) as air:
            air.arrive(raw(GCS_BEAT, 255), air.addresses[1])
            await asyncio.sleep(2.0)
            px4.silent = True
            await asyncio.sleep(30)
            assert air.station.peer("cw-1").state().link.other_gcs == (255,), "it may keep PX4 from acting"
            px4.silent = False
            await asyncio.sleep(5.0)
            assert air.station.peer("cw-1").state().link.other_gcs == (255,), "its next heartbeat may still come"
            await asyncio.sleep(7.0)
            assert air.station.peer("cw-1").state().link.other_gcs == ()

    in_fake_time(story())


def test_our_heartbeat_goes_out_once_a_second_and_stops_when_the_control_loop_hangs() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            air.station.beat = lambda now_s: None  # type: ignore[method-assign]
            air.sent.clear()
            await asyncio.sleep(20)
            beats = sum(isinstance(m, Heartbeat) for _, m in air.sent)
            assert beats <= 3
            assert air.station.beacon_silent

    in_fake_time(story())


def test_round_trip_loss_and_silence_show_in_the_state() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4, rtt_s=0.4, loss=0.2, telemetry_s=0.2) as air:
            await asyncio.sleep(60)
            link = air.station.peer("cw-1").state().link
            assert link.rtt_s is not None
            assert link.loss_pct is not None
            assert abs(link.rtt_s - 0.4) < 0.01
            assert 5 < link.loss_pct < 35
            px4.silent = True
            await asyncio.sleep(5)
            heard_s = air.station.peer("cw-1").state().heard_s
            assert heard_s is not None
            assert air.clock.now_s() - heard_s > 4

    in_fake_time(story())


def test_a_rebooted_vehicle_is_thinned_and_asked_for_its_version_at_once() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with Air(px4) as air:
            await asyncio.sleep(20)
            px4.boot_s = air.clock.now_s() - 3.0
            air.sent.clear()
            for _ in range(60):
                boot_ms = int((air.clock.now_s() - px4.boot_s) * 1000)
                air.from_vehicle(1, [Attitude(boot_ms)])
                await asyncio.sleep(0.05)
            asked = [(m.command, m.param1) for _, m in air.sent if isinstance(m, CommandLong)]
            assert (512, 148.0) in asked
            assert (511, 30.0) in asked

    in_fake_time(story())


def test_a_vehicle_on_the_ground_is_asked_why_it_would_not_arm_and_for_the_events_that_were_lost() -> None:
    async def story() -> None:
        async with Air(FakePx4(system=1)) as air:
            await asyncio.sleep(1.0)
            checks = [m for _, m in air.sent if isinstance(m, CommandLong) and m.command == 401]
            assert [(m.target_system, m.target_component) for m in checks] == [(1, 1)]
            air.from_vehicle(1, [Event(event_id("commander_rtl"), 0, n, 0, 0, 102, b"") for n in (100, 103)])
            await asyncio.sleep(1.0)
            assert RequestEvent(101, 102, 1, 1) in [m for _, m in air.sent]

    in_fake_time(story())


def test_a_link_that_carries_noise_says_so_and_what_to_look_at_until_it_is_over() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            link = air.station.links[0]
            for _ in range(300):
                air.arrive(bytes(range(100, 160)), ELSEWHERE)
                await asyncio.sleep(0.05)
            assert link.trouble is not None
            assert "check the baud rate" in link.trouble
            assert air.station.peer("cw-1").state().mode is not None
            await asyncio.sleep(25)
            assert link.trouble is None

    in_fake_time(story())


def test_what_a_vehicle_said_just_before_its_first_heartbeat_is_known_with_its_own_time_when_that_comes() -> None:
    async def story() -> None:
        async with Air(names={1: "cw-1"}) as air:
            current = MissionCurrent(2, 4, 3, 0, 11, 22, 33)
            air.arrive(raw(current._replace(mission_id=99), 1), ("10.6.6.6", 1))
            await asyncio.sleep(0.2)
            air.arrive(raw(current, 1), ELSEWHERE)
            said_s = air.clock.now_s()
            peer = air.station.peer("cw-1")
            assert peer.state().mission is None
            await asyncio.sleep(0.9)
            air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
            mission = peer.state().mission
            assert mission is not None
            assert (mission.value.mission_id, mission.at_s) == (11, said_s)
        async with Air(names={1: "cw-1"}) as air:
            air.arrive(raw(current, 1), ELSEWHERE)
            await asyncio.sleep(3.0)
            air.arrive(raw(PX4_BEAT, 1), ELSEWHERE)
            assert air.station.peer("cw-1").state().mission is None, "too old"

    in_fake_time(story())


def test_listeners_hear_of_each_burst_once_and_waiters_wake() -> None:
    async def story() -> None:
        async with Air(FakePx4()) as air:
            heard: list[str] = []
            stop = air.station.on_change(heard.append)
            for n in range(5):
                air.link.received(scan(raw(PX4_BEAT, 1, n)).frames, 0, air.addresses[1], air.clock.now_s())
            air.station.turn_over()
            assert heard == ["cw-1"]
            stop()
            peer = air.station.peer("cw-1")
            assert await peer.wait_changed(5.0)
            air.cut = True
            await asyncio.sleep(1)
            assert not await peer.wait_changed(5.0)

    in_fake_time(story())


def test_a_vehicle_that_floods_the_link_loses_its_own_frames_only() -> None:
    async def story() -> None:
        async with Air(FakePx4(system=1), FakePx4(system=2)) as air:
            for n in range(5000):
                air.link.received(scan(raw(PX4_BEAT, 1, n)).frames, 0, air.addresses[1], air.clock.now_s())
            dropped = air.link.stats().over_budget
            assert set(dropped) == {"cw-1"}
            assert 3900 < dropped["cw-1"] < 4100
            air.link.received(scan(raw(PX4_BEAT, 2)).frames, 0, air.addresses[2], air.clock.now_s())
            state = air.station.peer("cw-2").state()
            assert state.heard_s == air.clock.now_s()

    in_fake_time(story())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "carrier-pigeon://127.0.0.1:1",
            "unknown scheme 'carrier-pigeon'; use udpin://, udpout://, tcpin://, tcpout:// or serial://",
        ),
        ("udpin://127.0.0.1", "the port is missing; write it as udpin://127.0.0.1:14550"),
        ("udpin://:14550", "the host is missing"),
        ("udpin://127.0.0.1:99999", "Port out of range"),
        ("udpin://127.0.0.1:14550/path", "only a host and a port belong there"),
        ("14550", "unknown scheme ''"),
    ],
)
def test_a_bad_url_is_refused_with_the_url_and_the_fix(url: str, says: str) -> None:
    with pytest.raises(LinkError) as refused:
        parse_url(url)
    assert says in str(refused.value)
    assert url in str(refused.value)


@contextmanager
def bound() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


async def test_a_port_in_use_is_named_with_the_fix() -> None:
    with bound() as sock:
        port = sock.getsockname()[1]
        with pytest.raises(LinkError, match=f"port {port} is in use by another program"):
            async with open_station({f"udpin://127.0.0.1:{port}": {1: "cw-1"}}, clock=ScaledClock()):
                pass


@pytest.mark.parametrize(
    ("vehicles", "system_id", "says"),
    [
        ({1: "cw-1"}, 255, "255 is QGroundControl's"),
        ({245: "cw-1"}, 245, "is the controller's own"),
        ({300: "cw-1"}, 245, "not within 1..254"),
        ({1: "cw-1", 2: "cw-1"}, 245, "two system ids"),
    ],
)
async def test_system_ids_that_cannot_be_are_refused(vehicles: dict[int, str], system_id: int, says: str) -> None:
    with pytest.raises(LinkError, match=says):
        async with open_station(
            {f"udpin://127.0.0.1:{free_port()}": vehicles}, clock=ScaledClock(), system_id=system_id
        ):
            pass


async def test_a_fault_in_the_body_leaves_the_link_as_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_station({f"udpin://127.0.0.1:{free_port()}": {1: "cw-1"}}, clock=ScaledClock()):
            raise ZeroDivisionError


def free_port() -> int:
    with bound() as sock:
        return int(sock.getsockname()[1])


class _PymavlinkVehicle(asyncio.DatagramProtocol):
    """A vehicle made of pymavlink alone, on a real socket: an encoder and decoder that are not ours."""

    def __init__(self, controller: tuple[str, int], system: int) -> None:
        self.controller = controller
        self.mav = development.MAVLink(None, srcSystem=system, srcComponent=1)
        self.mode = 0x03040000
        self.heard: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.beat()

    def beat(self) -> None:
        self.send(self.mav.heartbeat_encode(2, 12, 29, self.mode, 3))
        self.send(self.mav.global_position_int_encode(1000, 75000000, 382000000, 420000, 0, 0, 0, 0, 0))

    def send(self, message: Any) -> None:
        self.transport.sendto(bytes(message.pack(self.mav)), self.controller)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for message in self.mav.parse_buffer(data) or []:
            self.heard.append(message)
            if message.get_type() == "COMMAND_LONG":
                if message.command == 176:
                    self.mode = int(message.param2) << 16 | int(message.param3) << 24
                self.send(self.mav.command_ack_encode(message.command, 0))
                self.beat()


@pytest.mark.parametrize("scheme", ["udpin", "udpout"])
async def test_a_pymavlink_vehicle_is_flown_over_real_sockets(scheme: str) -> None:
    """At ten times wall speed; nothing here waits for the wall but the sockets."""
    clock, loop, port = ScaledClock(10.0), asyncio.get_running_loop(), free_port()
    out = scheme == "udpout"
    where = ("127.0.0.1", port)
    vehicle_port = port if out else 0

    async def connect(controller: tuple[str, int]) -> _PymavlinkVehicle:
        _, protocol = await loop.create_datagram_endpoint(
            lambda: _PymavlinkVehicle(controller, 3), local_addr=("127.0.0.1", vehicle_port)
        )
        return protocol

    if out:
        px4 = await connect(("127.0.0.1", free_port()))
    async with open_station({f"{scheme}://127.0.0.1:{port}": {3: "cw-3"}}, clock=clock) as station:
        if out:
            px4.controller = ("127.0.0.1", station.links[0].transport.port)  # type: ignore[attr-defined]
            px4.beat()
        else:
            px4 = await connect(where)
        vehicle = NativeVehicle(station.peer("cw-3"))
        assert await vehicle.peer.wait_until(lambda s: s.mode is not None and s.position is not None, 300.0)
        station.beat(clock.now_s())
        outcome = await vehicle.return_home()
        assert outcome.ok, outcome
        state = vehicle.state()
        assert state.mode is not None
        assert state.mode.value is Mode.RETURN
        for _ in range(200):
            station.beat(clock.now_s())
            if any(m.get_type() == "HEARTBEAT" and m.type == 6 for m in px4.heard):
                break
            await clock.sleep(0.5)
        sources = {(m.get_srcSystem(), m.get_srcComponent()) for m in px4.heard}
        assert sources == {(245, 190)}
        assert any(m.get_type() == "HEARTBEAT" and m.type == 6 for m in px4.heard)
        assert station.links[0].stats().kernel_drops in (0, None)
        assert not any(isinstance(m, MissionCount) for m in px4.heard)
    px4.transport.close()
