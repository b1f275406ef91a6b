"""Keeps signing times across restarts, in one small file: no timestamp is used, or accepted, a second time.

    async with open_signing(folder, keys, clock) as store:
        station = Station(guards=store.guards, ...)

The file is not written for each frame. It promises ahead: what it names lies `AHEAD_S` beyond what was used, so that
after a crash nothing that may have been used or accepted is taken again. A vehicle whose time lies below that mark
after a crash takes the new time from our first signed message. An orderly end writes what was used exactly.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.signing import PER_S, KeyGuard, Marks, SigningClock, Stream, timestamp

FILE = "mavlink-signing.json"
FORMAT = "coldwing signing times 1"
AHEAD_S = 10
"""a write every five seconds while frames flow; after a crash the clock towards a vehicle is this much ahead"""
LOOK_EVERY_S = 1.0


class SigningStoreError(Exception):
    """The file or its folder cannot be used. The message names it and the fix."""


@dataclass(frozen=True, slots=True)
class _Keyed:
    """One vehicle with a key."""

    key_id: str
    guard: KeyGuard

    def marks(self, now: int, ahead: int) -> Marks:
        """What to promise. `sent` is never below `received`: whoever takes our time gets beyond all marks."""
        received = {stream: newest + ahead for stream, newest in self.guard.newest.items()}
        return Marks(max(self.guard.clock.newest, now) + ahead, received)

    def promised(self, marks: Marks) -> None:
        self.guard.clock.reserved = marks.sent
        self.guard.reserved = marks.received

    def used_up(self, left: int) -> bool:
        """Less than `left` of what was promised lies ahead."""
        clock, reserved = self.guard.clock, self.guard.reserved
        return clock.newest + left > clock.reserved or any(
            newest + left > reserved.get(stream, -1) for stream, newest in self.guard.newest.items()
        )


class SigningStore:
    """Guards of all vehicles with a key, and what must be known of them after a restart."""

    def __init__(
        self,
        folder: Path,
        keys: Mapping[str, bytes],
        clock: Clock,
        soon: Callable[[Callable[[], None]], object] = lambda save: save(),
    ) -> None:
        """Reads the file and writes it anew, so that a disk that will not do says so now. SigningStoreError.

        `soon`: how a save follows a frame that went beyond the promise: the first of its stream, or a leap in time.
        """
        self.file = folder / FILE
        self.trouble: str | None = None
        """why signing times are not kept at present, with the fix; signing itself goes on"""
        self._clock = clock
        self._soon = soon
        self._unsaved = False
        self._writes = Lock()
        self._made = self._written = self._promised = 0
        """generations: a write that was overtaken by a later one is dropped"""
        self._entries: dict[str, dict[str, Any]] = {}
        self._vehicles: dict[str, _Keyed] = {}
        if not keys:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SigningStoreError(_no_folder(folder, error)) from None
        self._entries = _read(self.file)
        self._vehicles = {vehicle_id: self._keyed(vehicle_id, key) for vehicle_id, key in keys.items()}
        self._save()
        if self.trouble is not None:
            raise SigningStoreError(self.trouble)

    def _keyed(self, vehicle_id: str, key: bytes) -> _Keyed:
        key_id = sha256(b"coldwing signing key" + key).hexdigest()[:16]
        entry = self._entries.get(vehicle_id, {})
        # A new key begins a new count: nothing signed with the old one fits it.
        marks = _marks(entry) if entry.get("key") == key_id else Marks()
        return _Keyed(key_id, KeyGuard(key, SigningClock(marks.sent, self._reserve), marks.received, self._note))

    @property
    def guards(self) -> Mapping[str, KeyGuard]:
        """By vehicle id, for the vehicles with a key."""
        return {vehicle_id: keyed.guard for vehicle_id, keyed in self._vehicles.items()}

    async def run(self) -> None:
        """Renews the promise before it is used up, on a thread of its own, until cancelled."""
        with ThreadPoolExecutor(1, "signing times") as thread:
            while True:
                await self._clock.sleep(LOOK_EVERY_S)
                left = AHEAD_S * PER_S // 2
                if self.trouble is not None or any(keyed.used_up(left) for keyed in self._vehicles.values()):
                    made, marks = self._next(AHEAD_S)
                    writing = asyncio.get_running_loop().run_in_executor(thread, self._write, made, marks)
                    self._wrote(made, marks, await writing)

    def close(self) -> None:
        """Writes exactly what was used: after an orderly end every vehicle goes on where it was."""
        if self._vehicles:
            self._save(ahead_s=0)

    # -- the file ----------------------------------------------------------------------------------------------------

    def _note(self) -> None:
        """A frame beyond the promise was accepted. One save serves a whole burst of them."""
        if not self._unsaved and self.trouble is None:
            self._unsaved = True
            self._soon(self._catch_up)

    def _catch_up(self) -> None:
        self._unsaved = False
        self._save()

    def _reserve(self) -> None:
        """A signer needs a timestamp beyond the promise. While the disk fails `run` tries again, not every frame."""
        if self.trouble is None:
            self._save()

    def _save(self, ahead_s: int = AHEAD_S) -> None:
        made, marks = self._next(ahead_s)
        self._wrote(made, marks, self._write(made, marks))

    def _next(self, ahead_s: int) -> tuple[int, dict[str, Marks]]:
        self._made += 1
        # A vehicle that was sent nothing yet is promised the present too: its first frame need not wait for the disk.
        now = timestamp(self._clock.now_s()) if ahead_s else 0
        return self._made, {name: keyed.marks(now, ahead_s * PER_S) for name, keyed in self._vehicles.items()}

    def _write(self, made: int, marks: Mapping[str, Marks]) -> OSError | None:
        """Replaces the file, safe against a power cut at any moment. Runs on either thread."""
        fresh = {name: _entry(self._vehicles[name].key_id, each) for name, each in marks.items()}
        with self._writes:
            if made < self._written:
                return None
            try:
                _replace(self.file, _encoded({**self._entries, **fresh}))
            except OSError as error:
                return error
            self._written = made
        return None

    def _wrote(self, made: int, marks: Mapping[str, Marks], error: OSError | None) -> None:
        if error is not None:
            self.trouble = _no_folder(self.file.parent, error)
            return
        self.trouble = None
        if made > self._promised:
            self._promised = made
            for name, each in marks.items():
                self._vehicles[name].promised(each)


@asynccontextmanager
async def open_signing(folder: Path, keys: Mapping[str, bytes], clock: Clock) -> AsyncIterator[SigningStore]:
    """The store, kept up to date inside the `async with`. `keys`: vehicle id → 32 bytes. SigningStoreError."""
    store = SigningStore(folder, keys, clock, asyncio.get_running_loop().call_soon)
    runner = asyncio.create_task(store.run(), name="signing times")
    try:
        yield store
    finally:
        runner.cancel()
        await asyncio.wait([runner])
        store.close()
        if not runner.cancelled():
            runner.result()


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """The file's entries by vehicle id; none where there is no file yet."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SigningStoreError(f"{file} cannot be read: {error.strerror}. Mend its owner or permissions.") from None
    try:
        held = json.loads(text)
        entries: dict[str, dict[str, Any]] = held["vehicles"]
        if text != _encoded(entries):
            raise ValueError
        for entry in entries.values():
            _marks(entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SigningStoreError(
            f"{file} is damaged: it keeps which signed MAVLink frames were seen already. See that this machine's date "
            f"and time are right, then move the file away: from then on only what was signed in the last minute could "
            f"be replayed."
        ) from None
    return entries


def _marks(entry: Mapping[str, Any]) -> Marks:
    return Marks(int(entry["sent"]), {_stream(name): int(at) for name, at in entry["received"].items()})


def _stream(name: str) -> Stream:
    system, component, link_id = map(int, name.split("/"))
    return system, component, link_id


def _entry(key_id: str, marks: Marks) -> dict[str, Any]:
    received = {"/".join(map(str, stream)): at for stream, at in marks.received.items()}
    return {"key": key_id, "sent": marks.sent, "received": received}


def _encoded(entries: Mapping[str, Any]) -> bytes:
    text = json.dumps(entries)
    digest = sha256(text.encode()).hexdigest()
    return f'{{"format": "{FORMAT}", "sha256": "{digest}", "vehicles": {text}}}'.encode()


def _replace(file: Path, data: bytes) -> None:
    beside = file.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _no_folder(folder: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"signing times cannot be kept in {folder}: {reason}. Make it a folder that the controller can write to, with "
        f"some space left."
    )
