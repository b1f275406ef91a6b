"""Signing across restarts: orderly ends, crashes, clocks that went back, disks that will not do."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.mavlink.codec import encode
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import Heartbeat
from fleet.mavlink.signing import PER_S, KeyGuard, Verdict, timestamp
from fleet.mavlink.signing_store import AHEAD_S, FILE, LOOK_EVERY_S, SigningStore, SigningStoreError, open_signing
from tests.mavlink.test_signing import NOW_S, Px4, the_frame

KEY = bytes(range(7, 39))
KEYS = {"cw-1": KEY}
BEAT = encode(Heartbeat(0x03040000, 6, 8, 0, 4), seq=0, system=245, component=190)


class HandClock:
    """Stands still until the test moves it on."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.time_s = now_s
        self._go: asyncio.Queue[None] = asyncio.Queue()
        self._asleep = asyncio.Event()

    def now_s(self) -> float:
        return self.time_s

    async def sleep(self, duration_s: float) -> None:
        self._asleep.set()
        await self._go.get()

    async def look(self) -> None:
        """Lets a sleeper do what it wakes for, and waits until it sleeps again."""
        await self._asleep.wait()
        self._asleep.clear()
        self._go.put_nowait(None)
        await self._asleep.wait()

    def wall_s(self, duration_s: float) -> float:
        return duration_s


class Disk:
    """Counts writes, and fails on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.full = False
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, file: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.writes += 1
        self._fsync(file)


def opened(folder: Path, now_s: float = NOW_S, keys: dict[str, bytes] = KEYS) -> tuple[SigningStore, KeyGuard]:
    store = SigningStore(folder, keys, HandClock(now_s))
    return store, store.guards["cw-1"]


def stamp_of(raw: bytes) -> int:
    return int.from_bytes(raw[-12:-6], "little")


# -- restarts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orderly", [True, False])
def test_timestamps_go_on_after_a_restart_although_the_clock_went_back(tmp_path: Path, orderly: bool) -> None:
    vehicle = Px4(at=0)
    store, guard = opened(tmp_path)
    for n in range(100):
        vehicle.hears(guard.seal(BEAT, 0, NOW_S + n / 10))
    if orderly:
        store.close()
    _, guard = opened(tmp_path, NOW_S - 86_400.0)  # the computer woke up a day too early
    vehicle.hears(guard.seal(BEAT, 0, NOW_S - 86_400.0))


def test_a_capture_from_before_an_orderly_restart_is_refused_and_the_vehicle_goes_on_at_once(tmp_path: Path) -> None:
    vehicle = Px4()
    store, guard = opened(tmp_path)
    captured = [the_frame(vehicle.beats()) for _ in range(20)]
    assert all(guard.authentic(frame, NOW_S) for frame in captured)
    store.close()
    _, guard = opened(tmp_path, NOW_S + 1.0)
    assert {guard.check(frame, NOW_S + 1.0) for frame in captured} == {Verdict.REPLAYED}
    assert guard.authentic(the_frame(vehicle.beats()), NOW_S + 1.0)


def test_after_a_crash_a_vehicle_goes_on_when_it_has_heard_us(tmp_path: Path) -> None:
    vehicle = Px4()
    _, guard = opened(tmp_path)
    captured = the_frame(vehicle.beats())
    assert guard.authentic(captured, NOW_S)
    _, guard = opened(tmp_path, NOW_S + 1.0)  # the store was not closed
    assert guard.check(captured, NOW_S + 1.0) is Verdict.REPLAYED
    assert guard.check(the_frame(vehicle.beats()), NOW_S + 1.0).behind
    vehicle.hears(guard.seal(BEAT, 0, NOW_S + 1.0))
    assert guard.authentic(the_frame(vehicle.beats()), NOW_S + 1.0)


def test_a_vehicle_with_a_clock_of_its_own_goes_on_after_a_crash_when_its_time_has_come(tmp_path: Path) -> None:
    _, guard = opened(tmp_path)
    assert guard.authentic(the_frame(Px4().beats()), NOW_S)
    later_s = NOW_S + AHEAD_S + 1.0
    _, guard = opened(tmp_path, later_s)
    assert guard.authentic(the_frame(Px4(at=timestamp(later_s)).beats()), later_s)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lives=st.lists(
        st.tuples(
            st.lists(st.tuples(st.booleans(), st.floats(-30.0, 30.0)), max_size=12), st.booleans(), st.floats(-1e5, 1e3)
        ),
        max_size=4,
    )
)
def test_over_any_number_of_lives_nothing_is_used_or_accepted_twice(
    lives: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A life: frames sent or received at times that go either way; its end, orderly or not; the clock at the next."""
    folder = tmp_path_factory.mktemp("signing")
    used: list[int] = []
    captured: list[bytes] = []
    now_s = NOW_S
    for steps, orderly, leap_s in lives:
        store, guard = opened(folder, now_s)
        assert not any(guard.authentic(the_frame(raw), now_s) for raw in captured)
        for sends, step_s in steps:
            now_s += step_s
            if sends:
                used.append(stamp_of(guard.seal(BEAT, 0, now_s)))
                continue
            raw = Px4(at=timestamp(now_s)).beats()
            if guard.authentic(the_frame(raw), now_s):
                assert raw not in captured
                captured.append(raw)
        if orderly:
            store.close()
        now_s += leap_s
    assert used == sorted(set(used))


def test_a_new_key_begins_a_new_count(tmp_path: Path) -> None:
    store, guard = opened(tmp_path)
    assert guard.authentic(the_frame(Px4(at=timestamp(NOW_S + 1e8)).beats()), NOW_S)  # its clock is three years ahead
    store.close()
    other = bytes(reversed(KEY))
    _, guard = opened(tmp_path, keys={"cw-1": other})
    assert guard.authentic(the_frame(Px4(other).beats()), NOW_S)
    assert stamp_of(guard.seal(BEAT, 0, NOW_S)) < timestamp(NOW_S + 1.0)


def test_a_vehicle_that_was_away_from_the_fleet_is_remembered(tmp_path: Path) -> None:
    store, guard = opened(tmp_path)
    captured = the_frame(Px4().beats())
    assert guard.authentic(captured, NOW_S)
    store.close()
    SigningStore(tmp_path, {"cw-2": bytes(range(50, 82))}, HandClock()).close()
    _, guard = opened(tmp_path)
    assert guard.check(captured, NOW_S) is Verdict.REPLAYED


# -- how often it writes ---------------------------------------------------------------------------------------------


def test_it_writes_for_the_first_frame_of_a_stream_and_not_for_each_one(tmp_path, monkeypatch) -> None:
    disk = Disk(monkeypatch)
    _, guard = opened(tmp_path)
    vehicle = Px4()
    before = disk.writes
    for n in range(1000):
        guard.seal(BEAT, 0, NOW_S + n / 1000)
        assert guard.authentic(the_frame(vehicle.beats()), NOW_S + n / 1000)
    assert disk.writes - before == 2, "one save: the file and its folder"


async def test_while_frames_flow_the_promise_is_renewed_before_it_is_used_up(tmp_path, monkeypatch) -> None:
    disk = Disk(monkeypatch)
    clock = HandClock()
    async with open_signing(tmp_path, KEYS, clock) as store:
        guard = store.guards["cw-1"]
        before = disk.writes
        for _ in range(30):
            clock.time_s += LOOK_EVERY_S
            saves = disk.writes
            guard.seal(BEAT, 0, clock.time_s)
            assert disk.writes == saves, "no frame waits for the disk"
            await clock.look()
            assert guard.clock.reserved - guard.clock.newest >= AHEAD_S / 2 * PER_S
        assert disk.writes - before <= 2 * 8
        idle = disk.writes
        for _ in range(30):
            clock.time_s += LOOK_EVERY_S
            await clock.look()
        assert disk.writes - idle <= 2, "nothing flows, nothing is written"


async def test_a_burst_of_new_streams_is_one_save(tmp_path, monkeypatch) -> None:
    keys = {f"cw-{n}": bytes((n, *range(100, 131))) for n in range(50)}
    async with open_signing(tmp_path, keys, HandClock()) as store:
        disk = Disk(monkeypatch)
        for vehicle_id, key in keys.items():
            assert store.guards[vehicle_id].authentic(the_frame(Px4(key).beats()), NOW_S)
        await asyncio.sleep(0)
        assert disk.writes == 2
        held = json.loads((tmp_path / FILE).read_text())["vehicles"]
        assert all(len(entry["received"]) == 1 for entry in held.values())


# -- files and disks that will not do --------------------------------------------------------------------------------


def test_the_file_is_ours_alone_to_read(tmp_path: Path) -> None:
    opened(tmp_path / "deep" / "folder")
    assert (tmp_path / "deep" / "folder" / FILE).stat().st_mode & 0o777 == 0o600


def test_without_keys_nothing_is_written(tmp_path: Path) -> None:
    store = SigningStore(tmp_path / "none", {}, HandClock())
    store.close()
    assert store.guards == {}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"sent": ', '"sent": 1'),
        lambda text: text.replace("cw-1", "cw-9"),
        lambda text: "[]",
        lambda text: '{"format": "coldwing signing times 1", "sha256": "", "vehicles": 7}',
        lambda text: "\udcff\udcfe",
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_fix_and_left_alone(tmp_path: Path, spoil) -> None:
    store, _ = opened(tmp_path)
    store.close()
    file = tmp_path / FILE
    spoilt = spoil(file.read_text()).encode("utf-8", "surrogateescape")
    assert spoilt != file.read_bytes()
    file.write_bytes(spoilt)
    with pytest.raises(SigningStoreError) as refused:
        opened(tmp_path)
    text = str(refused.value)
    assert f"{file} is damaged" in text
    assert "move the file away" in text
    assert file.read_bytes() == spoilt
    file.unlink()
    opened(tmp_path)


def test_a_power_cut_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    _, guard = opened(tmp_path)
    captured = the_frame(Px4().beats())
    assert guard.authentic(captured, NOW_S)
    (tmp_path / FILE).with_suffix(".new").write_text('{"format": "coldw')
    _, guard = opened(tmp_path)
    assert guard.check(captured, NOW_S) is Verdict.REPLAYED


def test_a_folder_that_cannot_be_is_refused_at_the_start(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SigningStoreError, match=r"cannot be kept in .*file: File exists.*Make it a folder"):
        opened(tmp_path / "file")
    with pytest.raises(SigningStoreError, match=r"cannot be kept in .*under: Not a directory"):
        opened(tmp_path / "file" / "under")
    (tmp_path / FILE).mkdir()
    with pytest.raises(SigningStoreError, match="cannot be read: Is a directory"):
        opened(tmp_path)
    Disk(monkeypatch).full = True
    with pytest.raises(SigningStoreError, match=r"No space left on device.*some space left"):
        opened(tmp_path / "full")


async def test_a_disk_that_fills_up_in_flight_is_told_and_stops_nothing(tmp_path, monkeypatch) -> None:
    clock = HandClock()
    async with open_signing(tmp_path, KEYS, clock) as store:
        guard, vehicle = store.guards["cw-1"], Px4()
        disk = Disk(monkeypatch)
        disk.full = True
        clock.time_s += 100.0
        for _ in range(5):
            vehicle.hears(guard.seal(BEAT, 0, clock.time_s))
            assert guard.authentic(the_frame(vehicle.beats()), clock.time_s)
        assert store.trouble is not None
        assert "No space left on device" in store.trouble
        assert str(tmp_path) in store.trouble
        disk.full = False
        await clock.look()
        assert store.trouble is None
        assert guard.clock.reserved > guard.clock.newest
    assert disk.writes


def test_frames_of_the_link_pass_through_it(tmp_path: Path) -> None:
    """What a guard seals is a frame like any other to whoever reads it."""
    _, guard = opened(tmp_path)
    (frame,) = scan(guard.seal(BEAT, 3, NOW_S)).frames
    assert (frame.system, frame.component, frame.signed, frame.raw[-13]) == (245, 190, True, 3)


def test_a_write_that_was_overtaken_does_not_take_the_file_back(tmp_path: Path) -> None:
    store, guard = opened(tmp_path)
    slow = store._next(AHEAD_S)  # a write that begins on the thread
    captured = the_frame(Px4(at=timestamp(NOW_S + 3600.0)).beats())
    assert guard.authentic(captured, NOW_S)  # an hour ahead: saved at once
    store._wrote(*slow, store._write(*slow))
    assert guard.clock.reserved >= timestamp(NOW_S + 3600.0)
    _, guard = opened(tmp_path)
    assert guard.check(captured, NOW_S) is Verdict.REPLAYED
