"""Flight recordings: read back by pymavlink as they were written, rotated, pruned, and no danger to a flight."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fleet.mavlink import recorder as recorder_module
from fleet.mavlink import tlog
from fleet.mavlink.codec import encode
from fleet.mavlink.messages import Heartbeat, Ping
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from fleet.mavlink.recorder import Recorder, Tap, recording
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import plan
from tests.mavlink.recordings import recorded_files, recorded_frames

START_S = 1_800_000_000.0
DAY_S = 86_400.0
GB = 10**9


class SetClock:
    """Stands until it is set."""

    now_at_s = START_S

    def now_s(self) -> float:
        return self.now_at_s

    async def sleep(self, duration_s: float) -> None:
        raise AssertionError("nothing waits here")

    def wall_s(self, duration_s: float) -> float:
        return duration_s


def frame(n: int, system: int = 1) -> bytes:
    """A PING with a number in it; 30 bytes at most."""
    return encode(Ping(n + 1, n, 0, 0), seq=n & 0xFF, system=system, component=1)


def a_recorder(folder: Path, clock: SetClock | None = None, **changes: int) -> Recorder:
    """Without its thread: the test says when it works."""
    numbers = {"max_bytes": 10**6, "keep_bytes": GB, "reserve_bytes": 0, **changes}
    return Recorder(folder, clock=clock or SetClock(), **numbers)  # type: ignore[arg-type]


def numbers_in(*paths: Path) -> list[int]:
    """The numbers of the PINGs in these files, as our own reader finds them."""
    said = [entry for path in paths for entry in tlog.entries(path.read_bytes())]
    return [int.from_bytes(entry.frame.payload[8:12].ljust(4, b"\0"), "little") for entry in said]


def read_by_pymavlink(path: Path, **options: Any) -> list[tuple[float, bytes]]:
    """Time and bytes of each message; `notimestamps` and the like choose which of pymavlink's readers."""
    from pymavlink import mavutil

    log = mavutil.mavlink_connection(str(path), dialect="development", **options)
    try:
        messages = []
        while (message := log.recv_match(blocking=False)) is not None:
            messages.append((float(message._timestamp), bytes(message.get_msgbuf())))
        return messages
    finally:
        log.close()


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


# -- pruning ---------------------------------------------------------------------------------------------------------


def aged_flight(folder: Path, vehicle_id: str, flight_id: str, age_s: float, size_bytes: int, parts: int = 1) -> None:
    for number in range(1, parts + 1):
        path = tlog.part_path(folder, vehicle_id, flight_id, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size_bytes))
        os.utime(path, (START_S - age_s, START_S - age_s))


def test_whole_flights_go_oldest_first_until_the_rest_fits(tmp_path: Path) -> None:
    aged_flight(tmp_path, "cw-1", "oldest", 5 * DAY_S, 100, parts=2)
    aged_flight(tmp_path, "cw-2", "older", 4 * DAY_S, 100)
    aged_flight(tmp_path, "cw-1", "old", 3 * DAY_S, 100)
    stranger = tmp_path / "cw-1" / "notes.txt"
    stranger.write_text("kept")
    assert tlog.prune(tmp_path, 250, START_S) == 0
    assert [part.flight_id for part in tlog.parts(tmp_path)] == ["old", "older"]
    assert tlog.prune(tmp_path, 199, START_S) == 0
    assert [part.flight_id for part in tlog.parts(tmp_path)] == ["old"]
    assert stranger.exists()


def test_neither_an_open_flight_nor_one_of_the_last_day_is_ever_pruned(tmp_path: Path) -> None:
    aged_flight(tmp_path, "cw-1", "open", 5 * DAY_S, 100)
    aged_flight(tmp_path, "cw-2", "open", 4 * DAY_S, 100)
    aged_flight(tmp_path, "cw-2", "yesterday", 0.9 * DAY_S, 100)
    assert tlog.prune(tmp_path, 0, START_S, {("cw-1", "open")}) == 200
    assert [(part.vehicle_id, part.flight_id) for part in tlog.parts(tmp_path)] == [
        ("cw-1", "open"),
        ("cw-2", "yesterday"),
    ]


def test_a_recorder_prunes_by_itself_and_says_when_a_day_alone_is_too_much(tmp_path: Path) -> None:
    aged_flight(tmp_path, "cw-1", "old", 3 * DAY_S, 5_000_000)
    os.utime(tlog.part_path(tmp_path, "cw-1", "old"), (time.time() - 3 * DAY_S,) * 2)
    recorder = a_recorder(tmp_path, keep_bytes=1_000_000)
    recorder.work()
    assert tlog.parts(tmp_path) == []
    assert recorder.trouble is None

    aged_flight(tmp_path, "cw-1", "today", 0.0, 4_000_000)
    os.utime(tlog.part_path(tmp_path, "cw-1", "today"))
    full = a_recorder(tmp_path, keep_bytes=1_000_000)
    full.work()
    assert "3 MB more than recording.keep_gb allows" in (full.trouble or "")
    assert len(tlog.parts(tmp_path)) == 1


# -- disks that fail -------------------------------------------------------------------------------------------------


@contextmanager
def writes_that_fail(monkeypatch: pytest.MonkeyPatch, after_bytes: int) -> Iterator[None]:
    """A disk with room for so many bytes in one write, then none."""
    really_open = Path.open

    class Full:
        def __init__(self, file: Any) -> None:
            self.file, self.left = file, after_bytes

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = int(self.file.write(data[: self.left]))
            self.left -= written
            return written

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def full_open(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        file = really_open(path, mode, *args, **options)
        return Full(file) if mode == "ab" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full_open)
        yield


def test_a_full_disk_is_an_alarm_leaves_whole_frames_only_and_recording_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = a_recorder(tmp_path)
    tap = recorder.tap("cw-1")
    recorder.begin("cw-1", "f-1")
    with capture_logs() as logs:
        tap.frame(frame(1), START_S)
        recorder.work()
        with writes_that_fail(monkeypatch, after_bytes=11):
            for n in (2, 3, 4):
                tap.frame(frame(n), START_S)
                recorder.work()
            assert "make room on that disk" in (recorder.trouble or "")
        assert recorder.stats().lost == 3
        tap.frame(frame(5), START_S)
        recorder.work()
    assert recorder.trouble is None
    assert numbers_in(tmp_path / "cw-1" / "f-1.tlog") == [1, 5]
    assert tlog.summarise(tmp_path / "cw-1" / "f-1.tlog").unread_bytes == 0
    assert [(line["log_level"], line["lost_frames"]) for line in logs] == [("error", 1), ("info", 3)]


def test_the_last_room_on_the_disk_is_left_to_the_orders(tmp_path: Path) -> None:
    aged_flight(tmp_path, "cw-1", "old", 0.0, 1000)
    os.utime(tlog.part_path(tmp_path, "cw-1", "old"), (time.time() - 3 * DAY_S,) * 2)
    aged_flight(tmp_path, "cw-1", "today", 0.0, 1000)
    os.utime(tlog.part_path(tmp_path, "cw-1", "today"))
    recorder = a_recorder(tmp_path, reserve_bytes=10**18)
    recorder.begin("cw-1", "f-1")
    recorder.tap("cw-1").frame(frame(1), START_S)
    recorder.work()
    assert [part.flight_id for part in tlog.parts(tmp_path)] == ["today"], "old flights make room, young ones do not"
    assert "flights are not recorded" in (recorder.trouble or "")
    assert recorder.stats().lost == 1


def test_a_folder_that_cannot_be_written_is_said_before_the_first_flight_and_harms_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = a_recorder(tmp_path / "file" / "tlog")
    with capture_logs():
        recorder.work()
        assert "make recording.folder a folder that the controller may write to" in (recorder.trouble or "")
        recorder.begin("cw-1", "f-1")
        recorder.tap("cw-1").frame(frame(1), START_S)
        recorder.end("cw-1")
        recorder.work()
    assert recorder.stats().lost == 1
    assert recorder.stats().open_flights == 0


def test_one_vehicles_unwritable_folder_costs_the_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "cw-1").write_text("in the way")
    recorder = a_recorder(tmp_path)
    with capture_logs():
        for vehicle_id in ("cw-1", "cw-2"):
            recorder.begin(vehicle_id, "f-1")
            recorder.tap(vehicle_id).frame(frame(1), START_S)
        recorder.work()
    assert str(tmp_path / "cw-1") in (recorder.trouble or "")
    assert numbers_in(tmp_path / "cw-2" / "f-1.tlog") == [1]
    assert (recorder.stats().frames, recorder.stats().lost) == (1, 1)


def test_frames_that_come_faster_than_the_disk_takes_them_are_dropped_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_QUEUED", 100)
    recorder = a_recorder(tmp_path)
    recorder.begin("cw-1", "f-1")
    for n in range(150):
        recorder.tap("cw-1").frame(frame(n), START_S)
    with capture_logs() as logs:
        recorder.work()
    assert recorder.stats().dropped == 50
    assert "50 frames were not recorded" in (recorder.trouble or "")
    assert [line["log_level"] for line in logs] == ["error"]
    assert numbers_in(tmp_path / "cw-1" / "f-1.tlog") == list(range(100))


# -- the thread ------------------------------------------------------------------------------------------------------


def test_every_flight_has_its_turn_and_one_that_ends_does_not_wait_for_it(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    vehicles = [f"cw-{n}" for n in range(45)]
    for vehicle_id in vehicles:
        recorder.begin(vehicle_id, "f-1")
        recorder.tap(vehicle_id).frame(frame(1), START_S)
    written = []
    for turn in range(recorder_module.TURNS):
        recorder.work(turn)
        written.append(recorder.stats().frames)
        if turn == 9:
            for vehicle_id in vehicles:
                recorder.tap(vehicle_id).frame(frame(2), START_S)
    steps = [after - before for before, after in pairwise([0, *written])]
    assert max(steps) <= 2 * 3, "no turn writes more than its share of the flights"
    assert all(numbers_in(part.path)[0] == 1 for part in tlog.parts(tmp_path))
    assert len(tlog.parts(tmp_path)) == 45
    recorder.end("cw-0")
    recorder.work(recorder_module.TURNS - 1)
    assert numbers_in(tmp_path / "cw-0" / "f-1.tlog") == [1, 2]


async def test_the_writer_thread_writes_all_before_the_recorder_is_left(tmp_path: Path) -> None:
    async with recording(tmp_path, max_bytes=10**6, keep_bytes=GB, clock=SetClock(), reserve_bytes=0) as recorder:
        for vehicle_id in ("cw-1", "cw-2"):
            recorder.begin(vehicle_id, "f-1")
            for n in range(500):
                recorder.tap(vehicle_id).frame(frame(n), START_S)
    for vehicle_id in ("cw-1", "cw-2"):
        assert numbers_in(tmp_path / vehicle_id / "f-1.tlog") == list(range(500))
    assert recorder.stats().open_flights == 0
    assert "flight-recorder" not in [thread.name for thread in threading.enumerate()]


async def test_a_disk_that_hangs_never_makes_the_event_loop_wait_nor_the_controller_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, freed = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hung.set()
        freed.wait(30.0)

    monkeypatch.setattr(recorder_module, "TURN_S", 0.0)
    monkeypatch.setattr(recorder_module, "CLOSE_WAIT_S", 0.01)
    monkeypatch.setattr(recorder_module._Flight, "write", hang)
    with capture_logs() as logs:
        async with recording(tmp_path, max_bytes=10**6, keep_bytes=GB, clock=SetClock(), reserve_bytes=0) as recorder:
            recorder.begin("cw-1", "f-1")
            recorder.tap("cw-1").frame(frame(0), START_S)
            assert await asyncio.to_thread(hung.wait, 30.0)
            for n in range(recorder_module.MAX_QUEUED + 10):
                recorder.tap("cw-1").frame(frame(n % 100), START_S)
            assert recorder.stats().dropped == 10
    assert "the disk hangs" in logs[-1]["event"]
    freed.set()
    writer = next((t for t in threading.enumerate() if t.name == "flight-recorder"), None)
    if writer is not None:
        await asyncio.to_thread(writer.join, 30.0)


async def test_a_fault_of_the_recorders_own_is_seen_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()
    really: Callable[..., Any] = Recorder.work

    def once(self: Recorder, turn: int | None = None) -> None:
        if broken.is_set():
            return really(self, turn)
        broken.set()
        raise ZeroDivisionError

    monkeypatch.setattr(Recorder, "work", once)
    with capture_logs() as logs:
        async with recording(tmp_path, max_bytes=10**6, keep_bytes=GB, clock=SetClock(), reserve_bytes=0) as recorder:
            assert await asyncio.to_thread(broken.wait, 30.0)
            recorder.begin("cw-1", "f-1")
            recorder.tap("cw-1").frame(frame(7), START_S)
    assert numbers_in(tmp_path / "cw-1" / "f-1.tlog") == [7]
    assert any(line["log_level"] == "error" for line in logs)


def test_a_tap_is_made_once_per_vehicle(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    assert recorder.tap("cw-1") is recorder.tap("cw-1")
    assert isinstance(recorder.tap("cw-1"), Tap)
