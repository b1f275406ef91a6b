"""Records flights as tlogs while they happen: one writer thread for all vehicles, and an event loop that never waits.

    async with recording(folder, max_bytes=64_000_000, keep_bytes=10_000_000_000, clock=clock) as recorder:
        tap = recorder.tap("cw-1")             # for the link: tap.frame(raw, now_s) for each frame in and out
        recorder.begin("cw-1", "ord-5-1")      # for the session, as is recorder.end("cw-1")

A disk that is full, gone or slow costs frames of the recording and raises `trouble`; it never stops a flight.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

import structlog

from fleet.clock import Clock
from fleet.mavlink import tlog

log = structlog.get_logger()

PRE_ROLL_S = 10.0
PRE_ROLL_FRAMES = 128
"""what an idle vehicle's last seconds may take: about 25 kB, 8 s of a thinned link"""
MAX_QUEUED = 50_000
"""frames that wait for the disk: 3 s of 1,000 vehicles at 15 msg/s, about 15 MB; what comes on top is dropped"""
TURN_S = 0.1
TURNS = 20
"""each turn the thread takes what has come in and writes every 20th flight: a thousand flights at once would hold up
the event loop, which shares the interpreter with it. So a crash of the controller can cost 2 s of a recording. The
kernel brings it to the disk in its own time; at a flight's end that is done at once"""
TIDY_EVERY_S = 60.0
RESERVE_BYTES = 256 * 2**20
"""disk space left to others: orders and their record are stored on the same disk, and must never lack room for this"""
CLOSE_WAIT_S = 5.0
"""a disk that hangs may not keep the controller from ending"""


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """Counters since the start."""

    open_flights: int
    frames: int
    """written"""
    dropped: int
    """lost because the disk was slower than the frames came"""
    lost: int
    """lost because the disk refused them"""


class Tap:
    """Where a link hands over one vehicle's frames. Cheap: it is called for each of them."""

    __slots__ = ("_before", "_queue", "dropped", "flight")

    def __init__(self, queue: deque[_Job]) -> None:
        self._queue = queue
        self._before: deque[tuple[float, bytes, int]] = deque(maxlen=PRE_ROLL_FRAMES)
        self.flight: _Flight | None = None
        self.dropped = 0

    def frame(self, raw: bytes, now_s: float, link: int = 0) -> None:
        """A whole frame, in or out, signature included. `link`: 0 to 3, which of the vehicle's links it took."""
        if self.flight is None:
            self._before.append((now_s, raw, link))
        elif len(self._queue) < MAX_QUEUED:
            self._queue.append((self.flight, now_s, raw, link))
        else:
            self.dropped += 1

    def begin(self, flight: _Flight, now_s: float) -> None:
        """From now on what comes belongs to the flight, and so do the last seconds."""
        self.flight = flight
        before = [(flight, *said) for said in self._before if now_s - said[0] <= PRE_ROLL_S]
        self._before.clear()
        self._queue.extend(before)


class FlightRecorder(Protocol):
    """What a session tells a recorder."""

    def begin(self, vehicle_id: str, flight_id: str) -> None: ...

    def end(self, vehicle_id: str) -> None: ...


class Unrecorded:
    """Records nothing."""

    def begin(self, vehicle_id: str, flight_id: str) -> None: ...

    def end(self, vehicle_id: str) -> None: ...


UNRECORDED = Unrecorded()


class Recorder:
    """Taps and flights on the event loop's side, files on the writer thread's. Made by `recording`."""

    def __init__(self, folder: Path, max_bytes: int, keep_bytes: int, clock: Clock, reserve_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_bytes = keep_bytes
        self._reserve_bytes = reserve_bytes
        self._clock = clock
        self._taps: dict[str, Tap] = {}
        self._queue: deque[_Job] = deque()
        self._waiting: dict[_Flight, list[bytes]] = {}
        self._begun = 0
        self._stop = Event()
        self._tidied_s: float | None = None
        self._told: tuple[str | None, float] = (None, 0.0)
        self._frames = self._lost = self._dropped = 0
        self.trouble: str | None = None
        """why flights are not recorded at present, with the fix; None while all is well"""

    # -- the event loop's side ---------------------------------------------------------------------------------------

    def tap(self, vehicle_id: str) -> Tap:
        """The same one at each call."""
        return self._taps.setdefault(vehicle_id, Tap(self._queue))

    def begin(self, vehicle_id: str, flight_id: str) -> None:
        """The flight is recorded from its last seconds before on. A flight begun before goes on in its next part."""
        tap = self.tap(vehicle_id)
        if tap.flight is not None:
            if tap.flight.flight_id == flight_id:
                return
            self.end(vehicle_id)
        self._begun += 1
        tap.begin(_Flight(self._folder, vehicle_id, flight_id, self._begun % TURNS), self._clock.now_s())

    def end(self, vehicle_id: str) -> None:
        """The vehicle is idle again; nothing happens if it was."""
        tap = self.tap(vehicle_id)
        if tap.flight is not None:
            self._queue.append((tap.flight, 0.0, None, 0))
            tap.flight = None

    def stats(self) -> RecorderStats:
        taps = list(self._taps.values())
        open_flights = sum(tap.flight is not None for tap in taps)
        return RecorderStats(open_flights, self._frames, sum(tap.dropped for tap in taps), self._lost)

    # -- the writer's side -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Writes until `stop`; whatever goes wrong, it goes on."""
        turn = 0
        ending = False
        while not ending:
            ending = self._stop.wait(TURN_S if turn else 0.0)
            turn += 1
            try:
                self.work(None if ending else turn % TURNS)
            except Exception as e:  # a fault of ours: it must be seen, and the next second may be recorded
                log.exception("flight recording")
                self.trouble = f"flights are not recorded: {e!r}; this is a fault of Coldwing: please report it"

    def stop(self) -> None:
        """Ends the open flights; the writer ends when all is written."""
        for vehicle_id in self._taps:
            self.end(vehicle_id)
        self._stop.set()

    def work(self, turn: int | None = None) -> None:
        """Takes what has come in, writes the flights whose turn it is (None: all) and keeps the folder in order."""
        problem: str | None = None
        tidied = self._tidied_s is None or time.monotonic() - self._tidied_s >= TIDY_EVERY_S
        if tidied:
            self._tidied_s = time.monotonic()
            try:
                problem = self._tidy()
            except OSError as e:
                problem = self._said(e)
        ended = self._take()
        due = [flight for flight in self._waiting if turn in (None, flight.turn) or flight in ended]
        full = bool(due) and self._is_full()
        for flight in due:
            blobs = self._waiting.pop(flight)
            try:
                if full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                flight.write(blobs, self._max_bytes)
                self._frames += len(blobs)
            except OSError as e:
                self._lost += len(blobs)
                problem = self._said(e)
        for flight in ended:
            try:
                flight.settle()
            except OSError as e:
                problem = self._said(e)
        dropped = self.stats().dropped
        if dropped > self._dropped:
            problem = f"the disk of {self._folder} is too slow: {dropped - self._dropped} frames were not recorded"
            self._dropped = dropped
        if problem is not None or due or tidied:
            self._tell(problem)

    def _take(self) -> set[_Flight]:
        """Empties the queue. Returns the flights that have ended."""
        ended = set()
        for _ in range(len(self._queue)):
            flight, at_s, raw, link = self._queue.popleft()
            if raw is None:
                ended.add(flight)
            elif not tlog.carries_a_key(raw):
                self._waiting.setdefault(flight, []).append(tlog.entry(at_s, raw, link))
        return ended

    def _tidy(self) -> str | None:
        """Prunes, and looks whether the folder can be written even while nobody flies. Returns what is wrong."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self._folder))
        missing_bytes = self._reserve_bytes - shutil.disk_usage(self._folder).free
        kept_bytes = sum(part.size_bytes for part in tlog.parts(self._folder))
        keep_bytes = min(self._keep_bytes, kept_bytes - max(0, missing_bytes))
        open_flights = {(v, tap.flight.flight_id) for v, tap in list(self._taps.items()) if tap.flight is not None}
        # Files bear the file system's time, which no clock of ours moves.
        over_bytes = tlog.prune(self._folder, keep_bytes, time.time(), open_flights)
        if over_bytes and missing_bytes <= 0:
            return (
                f"the flight recordings in {self._folder} take {over_bytes / 1e6:.0f} MB more than recording.keep_gb "
                f"allows, and none is older than a day: raise keep_gb, or move some elsewhere"
            )
        return None

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self._folder).free < self._reserve_bytes
        except OSError:
            return False  # the attempt to write says what is wrong

    def _said(self, error: OSError) -> str:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"flights are not recorded: less than {self._reserve_bytes / 1e6:.0f} MB are free for {self._folder}; "
                f"make room on that disk, or lower recording.keep_gb"
            )
        return (
            f"flights are not recorded: {error.filename or self._folder}: {error.strerror or error}; "
            f"make recording.folder a folder that the controller may write to"
        )

    def _tell(self, problem: str | None) -> None:
        """Into the log when it comes, when it goes, and once a minute as long as it lasts."""
        told, told_s = self._told
        self.trouble = problem
        now_s = time.monotonic()
        if problem is None and told is not None:
            log.info("flights are recorded again", folder=str(self._folder), lost_frames=self._lost)
        elif problem is not None and (told is None or now_s - told_s >= TIDY_EVERY_S):
            log.error("flight recording", reason=problem, lost_frames=self._lost)
        else:
            return
        self._told = (problem, now_s)


class _Flight:
    """One flight's files. No file is held open: a thousand flights would need a thousand descriptors."""

    __slots__ = ("_folder", "_number", "_size", "flight_id", "turn", "vehicle_id")

    def __init__(self, folder: Path, vehicle_id: str, flight_id: str, turn: int) -> None:
        self._folder = folder
        self.vehicle_id = vehicle_id
        self.flight_id = flight_id
        self.turn = turn
        self._number = 0
        self._size = 0

    @property
    def path(self) -> Path:
        return tlog.part_path(self._folder, self.vehicle_id, self.flight_id, self._number)

    def write(self, blobs: Iterable[bytes], max_bytes: int) -> None:
        """Appends whole entries; a part is full when the next would make it larger than `max_bytes`."""
        if not self._number:
            self._open_next_part()
        run: list[bytes] = []
        size = self._size
        for blob in blobs:
            if size and size + len(blob) > max_bytes:
                self._append(b"".join(run))
                self._number, self._size = self._number + 1, 0
                run, size = [], 0
            run.append(blob)
            size += len(blob)
        self._append(b"".join(run))

    def _open_next_part(self) -> None:
        """After the last part that is there: what a controller that was killed left behind is not written to again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        held = [p for p in tlog.parts(self._folder, self.vehicle_id) if p.flight_id == self.flight_id]
        if held:
            tlog.mend(held[-1].path)
        self._number = held[-1].number + 1 if held else 1

    def _append(self, data: bytes) -> None:
        """All of it or nothing: half a frame would garble those behind it."""
        with self.path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
        self._size = size + len(data)

    def settle(self) -> None:
        """To the disk itself: a power cut does not take a flight that has ended."""
        if self._size:
            with self.path.open("rb+", buffering=0) as file:
                os.fsync(file.fileno())


_Job = tuple[_Flight, float, bytes | None, int]
"""flight, time of the frame, the frame (None: the flight has ended), link"""


@asynccontextmanager
async def recording(
    folder: Path, *, max_bytes: int, keep_bytes: int, clock: Clock, reserve_bytes: int = RESERVE_BYTES
) -> AsyncIterator[Recorder]:
    """A recorder at work. A folder that cannot be written is `trouble`, not an error: flights matter more.

    A part is at most `max_bytes`; old flights go when the folder holds more than `keep_bytes` (see `tlog.prune`);
    `reserve_bytes` of the disk are never touched.
    """
    recorder = Recorder(folder, max_bytes, keep_bytes, clock, reserve_bytes)
    writer = Thread(target=recorder.run, name="flight-recorder", daemon=True)
    writer.start()
    try:
        yield recorder
    finally:
        recorder.stop()
        await asyncio.to_thread(writer.join, CLOSE_WAIT_S)
        if writer.is_alive():
            log.error("the last seconds of the flight recordings are lost: the disk hangs", folder=str(folder))
