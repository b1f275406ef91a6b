"""The observer on a second link of simulated vehicles: it sees what the world really did, and says nothing."""

from __future__ import annotations

import asyncio
import gzip
import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import development as mavlink

from sitl import geo
from sitl.observer import FIX_EVERY_S, Observer, Sighting, listen
from sitl.simulation import World
from sitl.spec import SimSpec
from tests.sitl.helpers import GROUND_M, HOLD, LAND, MISSION, START_S, Station, item, spec_dict, takeoff_and
from tests.support.shared import SHARED_DATA, needs_shared


class Flown:
    """A short flight out and down, watched from the second link."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.world = World(SimSpec.from_dict(spec_dict(vehicle={"onboard": {}})), START_S, self.events.append)
        self.station = Station(self.world).ready(thin=True)
        self.observer = Observer({1: "cw-1"})
        self.link = self.world.vehicles[0].link("onboard")
        self.link.hearers.append(lambda data: self.observer.hear(data, self.world.now_s))
        self.station.run(3.0)  # so that it is seen on the ground first
        self.station.start(takeoff_and(item(16, 300.0), item(21, 300.0)))
        self.station.until(lambda: any(e["event"] == "landed" for e in self.events), 300.0)
        self.station.run(10.0)
        self.seen = self.observer.sightings["cw-1"]


@pytest.fixture(scope="module")
def flown() -> Flown:
    return Flown()


def test_positions_come_four_times_a_second_and_are_the_worlds(flown: Flown) -> None:
    fixes = flown.seen.fixes
    gaps = [b.at_s - a.at_s for a, b in pairwise(fixes)]
    assert min(gaps) >= FIX_EVERY_S - 1e-6
    assert max(gaps) < 2 * FIX_EVERY_S
    last, fleet = fixes[-1], flown.world.fleet
    assert geo.distance_m(last.lat_deg, last.lon_deg, float(fleet.lat[0]), float(fleet.lon[0])) < 0.5
    top = max(fixes, key=lambda f: f.relative_m)
    assert top.relative_m == pytest.approx(30.0, abs=2.0)
    assert top.amsl_m - top.relative_m == pytest.approx(GROUND_M, abs=0.5)
    assert max(f.ground_m_s for f in fixes) == pytest.approx(20.0, abs=2.0)


def test_it_lands_where_when_and_with_the_charge_that_the_world_says(flown: Flown) -> None:
    (told,) = [e for e in flown.events if e["event"] == "landed"]
    (landing,) = flown.seen.landings
    assert landing.at_s == pytest.approx(told["at_s"], abs=0.5)
    assert geo.distance_m(landing.lat_deg, landing.lon_deg, told["lat_deg"], told["lon_deg"]) < 1.0
    assert landing.battery_pct == pytest.approx(told["battery_pct"], abs=1.0)
    (takeoff,) = flown.seen.takeoffs
    assert flown.seen.flights() == [(takeoff, landing.at_s)]
    falling = [pct for at_s, pct in flown.seen.battery if at_s <= landing.at_s]
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == len(falling)


def test_modes_arming_and_the_stored_mission_are_noted_at_each_change(flown: Flown) -> None:
    seen = flown.seen
    modes = [mode for _, mode in seen.modes]
    assert modes[0] == HOLD
    assert MISSION in modes
    assert all(a != b for a, b in pairwise(modes))
    assert LAND not in modes, "a landing item is flown in mission mode"
    assert [armed for _, armed in seen.armed] == [False, True, False]
    assert seen.armed[1][0] < seen.takeoffs[0] < seen.armed[2][0]
    told = flown.station.of("MISSION_ACK")[-1]["opaque_id"]
    assert [mission for _, mission in seen.missions] == [0, told]
    assert [state for _, state in seen.states] == [
        mavlink.MAV_STATE_STANDBY,
        mavlink.MAV_STATE_ACTIVE,
        mavlink.MAV_STATE_STANDBY,
    ]


def test_other_vehicles_and_spoilt_frames_are_not_taken() -> None:
    observer = Observer({1: "cw-1"})
    beat = mavlink.MAVLink_heartbeat_message(2, 12, 157, MISSION, 4, 3)

    observer.hear(beat.pack(mavlink.MAVLink(None, srcSystem=9, srcComponent=1)), 0.0)
    observer.hear(beat.pack(mavlink.MAVLink(None, srcSystem=1, srcComponent=191)), 0.0)
    good = bytes(beat.pack(mavlink.MAVLink(None, srcSystem=1, srcComponent=1)))
    observer.hear(good[:-1] + bytes([good[-1] ^ 1]), 0.0)
    assert observer.sightings["cw-1"].modes == []
    assert observer.rejected == 1

    observer.hear(b"\x00\x17" + good + good[:5], 1.0)
    assert observer.sightings["cw-1"].modes == [(1.0, MISSION)]


def test_the_same_words_under_other_numbers_are_no_news_and_others_after_them_are() -> None:
    observer = Observer({1: "cw-1"})
    autopilot = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)

    def beats(at_s: float, base_mode: int) -> None:
        frame = autopilot.heartbeat_encode(2, 12, base_mode, MISSION, 4).pack(autopilot)
        autopilot.seq = (autopilot.seq + 1) % 256
        observer.hear(bytes(frame), at_s)

    for at_s, armed in ((1.0, 0), (2.0, 0), (3.0, 128), (4.0, 128), (5.0, 0), (6.0, 0)):
        beats(at_s, 29 | armed)
    assert observer.sightings["cw-1"].armed == [(1.0, False), (3.0, True), (5.0, False)]
    assert observer.sightings["cw-1"].modes == [(1.0, MISSION)]


def test_a_vehicle_that_is_in_the_air_when_first_heard_has_not_taken_off_just_then() -> None:
    observer = Observer({1: "cw-1"})
    mav = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)
    at = mavlink.MAVLink_global_position_int_message(0, 75000000, 382000000, 450000, 30000, 0, 0, 0, 0)
    observer.hear(at.pack(mav), 0.0)
    for now_s, landed_state in enumerate((0, 2, 2, 1, 1, 3, 2, 4, 1)):
        observer.hear(mavlink.MAVLink_extended_sys_state_message(0, landed_state).pack(mav), float(now_s))
    seen = observer.sightings["cw-1"]
    assert seen.takeoffs == [5.0]
    assert [x.at_s for x in seen.landings] == [3.0, 8.0]
    assert seen.flights() == [(0.0, 3.0), (5.0, 8.0)]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    observer = Observer({1: "cw-1"})
    for chunk in chunks:
        observer.hear(b"\xfd" + chunk, 0.0)
        observer.hear(chunk, 0.0)


def test_flights_are_told_by_take_offs_and_landings_even_if_it_was_in_the_air_when_first_heard(flown: Flown) -> None:
    landing = flown.seen.landings[0]
    up = Sighting("cw-1", fixes=flown.seen.fixes, landings=[landing])
    assert up.flights() == [(flown.seen.fixes[0].at_s, landing.at_s)]
    again = Sighting("cw-1", takeoffs=[landing.at_s + 5.0], landings=[landing])
    assert again.flights() == [(landing.at_s + 5.0, float("inf"))]


async def test_on_sockets_it_listens_and_never_sends() -> None:
    observer = Observer({1: "cw-1"})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as vehicle, socket.socket(type=socket.SOCK_DGRAM) as probe:
        vehicle.bind(("127.0.0.1", 0))
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(OSError, match=f"UDP port {port} is taken"):
            async with listen(observer, [port], lambda: 7.0):
                pass
        probe.close()
        beat = mavlink.MAVLink_heartbeat_message(2, 12, 29, HOLD, 3, 3)
        heard = asyncio.Event()

        def now_s() -> float:
            heard.set()
            return 7.0

        async with listen(observer, [port, port], now_s):
            vehicle.sendto(beat.pack(mavlink.MAVLink(None, srcSystem=1, srcComponent=1)), ("127.0.0.1", port))
            await asyncio.wait_for(heard.wait(), 10.0)
        vehicle.setblocking(False)
        with pytest.raises(BlockingIOError):
            vehicle.recv(100)
    assert observer.sightings["cw-1"].modes == [(7.0, HOLD)]


@needs_shared("px4-recordings")
def test_of_a_real_px4s_recording_it_makes_out_the_flight() -> None:
    raw = gzip.decompress((SHARED_DATA / "px4-recordings" / "quad-gripper-mission-onboard.tlog.gz").read_bytes())
    observer, at = Observer({1: "cw-1"}), 0
    while at < len(raw):  # each frame after its time in µs
        now_s = int.from_bytes(raw[at : at + 8], "big") / 1e6
        size = 12 + raw[at + 9] + (13 if raw[at + 10] & 1 else 0)
        observer.hear(raw[at + 8 : at + 8 + size], now_s)
        at += 8 + size
    seen = observer.sightings["cw-1"]
    assert observer.rejected == 0
    assert [mode for _, mode in seen.modes] == [HOLD, MISSION, 0x05040000, HOLD]
    assert [mission for _, mission in seen.missions] == [0, 559842085]
    ((up_s, down_s),) = seen.flights()
    assert 30.0 < down_s - up_s < 60.0
    assert seen.landings[0].battery_pct == 51.0, "SITL fills the battery up again once it is disarmed"
