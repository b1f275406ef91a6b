"""Telemetry logs (tlog): flights as they were on the wire, for MAVExplorer, QGroundControl, MAVProxy and pymavlink.

Each frame stands behind eight bytes: the time in µs since the Unix epoch, big-endian. The two lowest bits of the time
are the number of the link, as MAVProxy writes and pymavlink reads it.

A flight is one or more parts in its vehicle's folder: `<vehicle>/<flight>.tlog`, `<flight>.2.tlog`, `<flight>.3.tlog`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from urllib.parse import quote, unquote

from fleet.mavlink.frame import MAGIC_1, MAGIC_2, SIGNATURE_SIZE, SIGNED, Frame, scan

KEEP_AT_LEAST_S = 86_400.0
"""a flight that ended less than a day ago is never pruned: it may still be asked about, and no size is worth that"""

_TIME = Struct(">Q")
_NAME = re.compile(r"(?P<flight>[^.]+)(?:\.(?P<number>[1-9]\d*))?\.tlog")
_SETUP_SIGNING = bytes((0, 1, 0))
"""message 256 as its id stands on the wire"""


class Entry(NamedTuple):
    at_s: float
    """when it was sent or received, s since the Unix epoch"""
    link: int
    frame: Frame
    end: int
    """where the next one begins in the file"""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a flight."""

    path: Path
    vehicle_id: str
    flight_id: str
    number: int
    size_bytes: int
    changed_s: float
    """the file system's time of the last write, s since the Unix epoch"""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a file holds."""

    frames: int
    first_s: float | None
    last_s: float | None
    by_message: Mapping[int, int]
    """frames by message id"""
    by_system: Mapping[int, int]
    """frames by the system id that sent them: the vehicle's, and the controller's own"""
    unread_bytes: int
    """a tail cut off in mid-write, or damage"""


def entry(at_s: float, raw: bytes, link: int = 0) -> bytes:
    """One frame as it stands in the file."""
    return _TIME.pack(int(at_s * 1e6) & ~3 | link & 3) + raw


def carries_a_key(raw: bytes) -> bool:
    """SETUP_SIGNING: its payload is the vehicle's secret key, which may not lie about in a log."""
    return raw[0] == MAGIC_2 and raw[7:10] == _SETUP_SIGNING


def entries(data: bytes) -> Iterator[Entry]:
    """Every whole frame of a file's bytes. What is damaged or cut off is passed over."""
    at = 0
    while at + 8 < len(data):
        # No checksum covers the time, but its highest byte is 0 until the year 4253.
        found = scan(data[at + 8 : at + 8 + _size(data, at + 8)]).frames if data[at] == 0 else []
        if not found:
            at += 1
            continue
        (time_us,) = _TIME.unpack_from(data, at)
        at += 8 + len(found[0].raw)
        yield Entry(time_us / 1e6, time_us & 3, found[0], at)


def summarise(path: Path) -> Summary:
    """Reads a file. OSError where that fails."""
    data = path.read_bytes()
    by_message: Counter[int] = Counter()
    by_system: Counter[int] = Counter()
    first_s = last_s = None
    read = 0
    for at_s, _, frame, _ in entries(data):
        first_s, last_s = first_s or at_s, at_s
        by_message[frame.msg_id] += 1
        by_system[frame.system] += 1
        read += 8 + len(frame.raw)
    return Summary(by_message.total(), first_s, last_s, dict(by_message), dict(by_system), len(data) - read)


def mend(path: Path) -> None:
    """Cuts off the frame that a power cut left half written: pymavlink's indexed reader fails on some of them."""
    data = path.read_bytes()
    whole = 0
    for said in entries(data):
        whole = said.end
    if whole < len(data):
        with path.open("rb+") as file:
            file.truncate(whole)


def _size(data: bytes, at: int) -> int:
    """How long the frame that may begin there claims to be; 0 where none can."""
    if at + 3 > len(data):
        return 0
    if data[at] == MAGIC_2:
        return 12 + data[at + 1] + (SIGNATURE_SIZE if data[at + 2] & SIGNED else 0)
    return 8 + data[at + 1] if data[at] == MAGIC_1 else 0


# -- files -----------------------------------------------------------------------------------------------------------


def part_path(folder: Path, vehicle_id: str, flight_id: str, number: int = 1) -> Path:
    """Where a part lies. Ids may hold anything: what a file name may not is written as in a URL."""
    suffix = ".tlog" if number == 1 else f".{number}.tlog"
    return folder / _safe(vehicle_id) / (_safe(flight_id) + suffix)


def parts(folder: Path, vehicle_id: str = "*") -> list[Part]:
    """All recordings in the folder, by vehicle, flight and part. Empty where the folder does not exist."""
    found = []
    for path in folder.glob(f"{_safe(vehicle_id) if vehicle_id != '*' else '*'}/*.tlog"):
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        with suppress(OSError):  # pruned in this moment
            stat = path.stat()
            flight_id, number = unquote(name["flight"]), int(name["number"] or 1)
            found.append(Part(path, unquote(path.parent.name), flight_id, number, stat.st_size, stat.st_mtime))
    return sorted(found, key=lambda part: (part.vehicle_id, part.flight_id, part.number))


def find(folder: Path, order_or_flight: str) -> list[Part]:
    """The parts of a flight, or of all flights of an order: its id and a number."""
    flight = re.compile(rf"{re.escape(order_or_flight)}(-\d+)?")
    return [part for part in parts(folder) if flight.fullmatch(part.flight_id)]


def prune(folder: Path, keep_bytes: int, now_s: float, open_flights: Collection[tuple[str, str]] = ()) -> int:
    """Deletes whole flights, the oldest first, until the rest fits. Returns how many bytes are still too many.

    Never deleted: open flights (vehicle id, flight id), and those that ended less than KEEP_AT_LEAST_S ago.
    `now_s` is the file system's time.
    """
    held = parts(folder)
    over_bytes = sum(part.size_bytes for part in held) - keep_bytes
    flights = [tuple(group) for _, group in groupby(held, key=lambda part: (part.vehicle_id, part.flight_id))]
    for flight in sorted(flights, key=_ended_s):
        if over_bytes <= 0 or now_s - _ended_s(flight) < KEEP_AT_LEAST_S:
            break
        if (flight[0].vehicle_id, flight[0].flight_id) in open_flights:
            continue
        for part in flight:
            part.path.unlink(missing_ok=True)
            over_bytes -= part.size_bytes
    return max(0, over_bytes)


def _ended_s(flight: tuple[Part, ...]) -> float:
    return max(part.changed_s for part in flight)


def _safe(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")
