"""Flight recordings: read back by pymavlink as they were written, one per flight, whole after a crash."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink import recorder as recorder_module
from fleet.mavlink import tlog
from fleet.mavlink.codec import encode
from fleet.mavlink.messages import Heartbeat
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import plan
from tests.mavlink.recorders import START_S, SetClock, a_recorder, frame, numbers_in, read_by_pymavlink
from tests.mavlink.recordings import recorded_files, recorded_frames

# -- the format ------------------------------------------------------------------------------------------------------


def test_a_flight_is_read_by_pymavlink_message_for_message_with_its_times(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    tap = recorder.tap("cw-1")
    recorder.begin("cw-1", "ord-7-1")
    sent = []
    for n in range(300):
        at_s = START_S + n / 15
        raw = frame(n) if n % 3 else encode(Heartbeat(0, 6, 8, 0, 4), seq=n & 0xFF, system=245, component=190)
        tap.frame(raw, at_s)
        sent.append((at_s, raw))
    recorder.end("cw-1")
    recorder.work()

    path = tmp_path / "cw-1" / "ord-7-1.tlog"
    read = read_by_pymavlink(path)
    assert [raw for _, raw in read] == [raw for _, raw in sent]
    # The two lowest bits of the µs are the link's number.
    assert all(abs(at_s - told_s) < 5e-6 for (at_s, _), (told_s, _) in zip(read, sent, strict=True))
    assert recorder.stats().frames == 300
    held = tlog.summarise(path)
    assert (held.frames, held.by_message, held.by_system) == (300, {0: 100, 4: 200}, {245: 100, 1: 200})
    assert (held.first_s, held.unread_bytes) == (pytest.approx(START_S), 0)


def test_the_number_of_the_link_is_where_pymavlink_looks_for_it(tmp_path: Path) -> None:
    from pymavlink import mavutil

    recorder = a_recorder(tmp_path)
    recorder.begin("cw-1", "f-1")
    for link in range(4):
        recorder.tap("cw-1").frame(frame(link), START_S, link)
    recorder.work()
    log = mavutil.mavlogfile(str(tmp_path / "cw-1" / "f-1.tlog"))
    assert [log.recv_match()._link for _ in range(4)] == [0, 1, 2, 3]
    log.close()


def test_the_loader_of_mavexplorer_finds_every_message_and_the_flight_modes(tmp_path: Path) -> None:
    """MAVExplorer opens a log by pymavlink's indexed reader, lists the modes, then asks for one type after another."""
    from pymavlink import mavutil

    recorder = a_recorder(tmp_path)
    recorder.begin("cw-1", "f-1")
    for n in range(50):
        recorder.tap("cw-1").frame(frame(n), START_S + n)
    beat = encode(Heartbeat(0x04040000, 2, 12, 157, 4), seq=50, system=1, component=1)
    recorder.tap("cw-1").frame(beat, START_S + 50)
    recorder.work()
    log = mavutil.mavlink_connection(str(tmp_path / "cw-1" / "f-1.tlog"), dialect="development")
    assert isinstance(log, mavutil.mavmmaplog)
    assert log.counts == {4: 50, 0: 1}
    assert [mode for mode, _, _ in log.flightmode_list()] == ["MISSION"]
    log.rewind()
    assert log.recv_match(type="PING").seq == 0
    log.close()


def test_recorded_px4_traffic_is_copied_byte_for_byte(tmp_path: Path) -> None:
    """A real PX4's frames, through a tap and back; the µs differ in their two lowest bits at most."""
    file = recorded_files()[0]
    frames = list(recorded_frames(file))[:20_000]
    recorder = a_recorder(tmp_path, max_bytes=10**8)
    recorder.begin("cw-1", "f-1")
    for at_s, raw in frames:
        recorder.tap("cw-1").frame(raw, at_s)
    recorder.work()
    read = list(tlog.entries((tmp_path / "cw-1" / "f-1.tlog").read_bytes()))
    assert [entry.frame.raw for entry in read] == [raw for _, raw in frames]
    assert max(abs(entry.at_s - at_s) for entry, (at_s, _) in zip(read, frames, strict=True)) < 5e-6


@given(damage=st.binary(max_size=60), at=st.integers(0, 20), cut=st.integers(0, 40))
def test_frames_around_damage_and_before_a_cut_are_read(damage: bytes, at: int, cut: int) -> None:
    whole = [tlog.entry(START_S + n, frame(n)) for n in range(20)]
    data = b"".join([*whole[:at], damage, *whole[at:]])
    assert {e.frame.raw for e in tlog.entries(data)} >= {frame(n) for n in range(20)}
    left = b"".join(whole)[: -cut or None]
    assert [e.frame.raw for e in tlog.entries(left)] == [frame(n) for n in range(20 - -(-cut // len(whole[-1])))]


def test_a_vehicles_secret_key_on_its_way_there_is_not_recorded(tmp_path: Path) -> None:
    from pymavlink.dialects.v20 import development

    recorder = a_recorder(tmp_path)
    recorder.begin("cw-1", "f-1")
    setup = development.MAVLink(None).setup_signing_encode(1, 1, b"k" * 32, 0)
    recorder.tap("cw-1").frame(setup.pack(development.MAVLink(None, srcSystem=245)), START_S)
    recorder.tap("cw-1").frame(frame(1), START_S)
    recorder.work()
    assert b"kkkk" not in (tmp_path / "cw-1" / "f-1.tlog").read_bytes()
    assert numbers_in(tmp_path / "cw-1" / "f-1.tlog") == [1]


def test_the_frames_of_a_link_in_both_directions_are_in_the_recording_in_their_order(tmp_path: Path) -> None:
    """A plan is uploaded: the seconds before, our questions and the vehicle's answers."""
    recorder = a_recorder(tmp_path)

    async def story() -> float:
        async with Air(FakePx4(), tap=recorder.tap) as air:
            await asyncio.sleep(4.0)
            began_s = air.clock.now_s()
            recorder._clock = air.clock
            recorder.begin("cw-1", "f-1")
            vehicle = NativeVehicle(air.station.peer("cw-1"), cruise_m_s=20.0)
            assert (await vehicle.upload(plan(), with_fence_and_rally=True)).verdict is Verdict.DONE
            recorder.end("cw-1")
            return began_s

    began_s = in_fake_time(story())
    recorder.work()
    read = list(tlog.entries((tmp_path / "cw-1" / "f-1.tlog").read_bytes()))
    times = [entry.at_s for entry in read]
    assert times == sorted(times)
    assert times[0] < began_s - 3.0
    mission = [(entry.frame.system, entry.frame.msg_id) for entry in read if entry.frame.msg_id in (44, 47)]
    count, ack = (245, 44), (1, 47)
    assert mission == [count, ack] * 3, "fence, rally and mission: a MISSION_COUNT of ours, a MISSION_ACK of its"


# -- flights ---------------------------------------------------------------------------------------------------------


def test_a_flight_begins_with_its_last_seconds_before_and_an_idle_vehicle_leaves_nothing(tmp_path: Path) -> None:
    clock = SetClock()
    recorder = a_recorder(tmp_path, clock)
    flown, idle = recorder.tap("cw-1"), recorder.tap("cw-2")
    for n in range(60):
        clock.now_at_s = START_S + n
        flown.frame(frame(n), clock.now_at_s)
        idle.frame(frame(n, system=2), clock.now_at_s)
    recorder.begin("cw-1", "f-1")
    flown.frame(frame(60), clock.now_at_s)
    recorder.end("cw-1")
    flown.frame(frame(61), clock.now_at_s)
    recorder.work()
    assert numbers_in(tmp_path / "cw-1" / "f-1.tlog") == list(range(49, 61))
    assert [part.vehicle_id for part in tlog.parts(tmp_path)] == ["cw-1"]


def test_what_is_kept_of_an_idle_vehicle_is_bounded_however_fast_it_talks(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    for n in range(5000):
        recorder.tap("cw-1").frame(frame(n), START_S)
    recorder.begin("cw-1", "f-1")
    recorder.work()
    assert numbers_in(tmp_path / "cw-1" / "f-1.tlog") == list(range(5000 - recorder_module.PRE_ROLL_FRAMES, 5000))


def test_each_flight_has_its_own_file_and_the_next_flight_ends_the_one_before(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    tap = recorder.tap("cw-1")
    tap.frame(frame(0), START_S)
    for flight in (1, 2):
        recorder.begin("cw-1", f"f-{flight}")
        tap.frame(frame(flight), START_S)
        recorder.work()
        recorder.begin("cw-1", f"f-{flight}")
        tap.frame(frame(10 * flight), START_S)
        recorder.work()
    assert recorder.stats().open_flights == 1
    recorder.stop()
    recorder.work()
    assert recorder.stats().open_flights == 0
    assert [numbers_in(part.path) for part in tlog.parts(tmp_path)] == [[0, 1, 10], [2, 20]]


def test_a_flight_that_has_ended_is_on_the_disk_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    recorder = a_recorder(tmp_path)
    for vehicle_id in ("cw-1", "cw-2", "cw-3"):
        recorder.begin(vehicle_id, "f-1")
        recorder.tap(vehicle_id).frame(frame(1), START_S)
    recorder.end("cw-1")
    recorder.work()
    size = tlog.parts(tmp_path)[0].size_bytes
    assert synced == [size]
    recorder.stop()
    recorder.work()
    assert synced == [size] * 3


def test_a_long_flight_goes_on_in_parts_none_larger_than_allowed_and_nothing_is_lost_between(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path, max_bytes=1000)
    recorder.begin("cw-1", "f-1")
    for n in range(200):
        recorder.tap("cw-1").frame(frame(n), START_S + n)
        if n % 17 == 0:
            recorder.work()
    recorder.work()
    parts = tlog.parts(tmp_path)
    assert [part.path.name for part in parts][:3] == ["f-1.tlog", "f-1.2.tlog", "f-1.3.tlog"]
    assert len(parts) == parts[-1].number > 5
    assert all(900 < part.size_bytes <= 1000 for part in parts[:-1])
    assert numbers_in(*[part.path for part in parts]) == list(range(200))
    for part in parts:
        assert len(read_by_pymavlink(part.path)) == len(numbers_in(part.path))


def test_ids_that_are_no_file_names_stay_inside_the_folder_and_come_back_as_they_were(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path / "tlog")
    for vehicle_id, flight_id in (("../../etc", "a/b"), ("cw.1", "v1.2.tlog"), ("*", "[x]"), ("..", ".")):
        recorder.begin(vehicle_id, flight_id)
        recorder.tap(vehicle_id).frame(frame(1), START_S)
    recorder.work()
    found = {(part.vehicle_id, part.flight_id, part.number) for part in tlog.parts(tmp_path / "tlog")}
    assert found == {("../../etc", "a/b", 1), ("cw.1", "v1.2.tlog", 1), ("*", "[x]", 1), ("..", ".", 1)}
    assert [path.name for path in tmp_path.iterdir()] == ["tlog"]


def test_the_parts_of_an_orders_flights_are_found_by_order_and_by_flight(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    for vehicle_id, flight_id in (("cw-1", "ord-5-1"), ("cw-2", "ord-5-2"), ("cw-1", "ord-55-1")):
        recorder.begin(vehicle_id, flight_id)
        recorder.tap(vehicle_id).frame(frame(1), START_S)
    recorder.work()
    assert [part.flight_id for part in tlog.find(tmp_path, "ord-5")] == ["ord-5-1", "ord-5-2"]
    assert [part.vehicle_id for part in tlog.find(tmp_path, "ord-5-2")] == ["cw-2"]
    assert tlog.find(tmp_path, "ord") == tlog.find(tmp_path / "none", "ord-5") == []


# -- power cuts and restarts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_controller_killed_in_mid_write_goes_on_in_the_flights_next_part(tmp_path: Path, cut: int) -> None:
    before = a_recorder(tmp_path)
    before.begin("cw-1", "f-1")
    for n in range(10):
        before.tap("cw-1").frame(frame(n), START_S + n)
    before.work()
    path = tmp_path / "cw-1" / "f-1.tlog"
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    assert numbers_in(path) == list(range(9))
    assert [raw for _, raw in read_by_pymavlink(path, notimestamps=False)] == [frame(n) for n in range(9)]

    after = a_recorder(tmp_path)
    after.begin("cw-1", "f-1")
    after.tap("cw-1").frame(frame(10), START_S + 60)
    after.work()
    assert [numbers_in(part.path) for part in tlog.parts(tmp_path)] == [list(range(9)), [10]]
    assert torn.startswith(path.read_bytes())
    assert len(read_by_pymavlink(path)) == 9
    assert tlog.summarise(path).unread_bytes == 0
