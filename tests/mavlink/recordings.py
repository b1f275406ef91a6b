"""Real PX4 traffic: the frames of the recordings beside the project, where they are at hand."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shared import SHARED_DATA

FOLDER = SHARED_DATA / "px4-recordings"


def recorded_files() -> list[Path]:
    files = sorted(FOLDER.glob("*.tlog.gz"))
    if not files:
        pytest.skip(f"needs the shared data folder: no recordings in {FOLDER}")
    return files


def recorded_frames(file: Path) -> Iterator[tuple[float, bytes]]:
    """Time of receipt in seconds since the Unix epoch, and one frame (a tlog: 8 bytes of µs before each)."""
    data = gzip.decompress(file.read_bytes())
    at = 0
    while at + 8 < len(data):
        (time_us,) = struct.unpack_from(">Q", data, at)
        at += 8
        signed = data[at] == 0xFD and data[at + 2] & 1
        size = 12 + data[at + 1] + (13 if signed else 0) if data[at] == 0xFD else 8 + data[at + 1]
        yield time_us / 1e6, data[at : at + size]
        at += size
