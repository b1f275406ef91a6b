"""The recorder beside the flights: it prunes, lives with disks that fail, and is no danger to a flight."""

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
from structlog.testing import capture_logs

from fleet.mavlink import recorder as recorder_module
from fleet.mavlink import tlog
from fleet.mavlink.recorder import Recorder, Tap, recording
from tests.mavlink.recorders import DAY_S, GB, START_S, SetClock, a_recorder, frame, numbers_in

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
