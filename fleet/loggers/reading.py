"""A logger's file read into times (UTC) and temperatures (°C); what is not certain about it is refused with its line.

One pass takes the rows apart, as there may be millions; order of dates, offsets and the direction of time are settled
when all have been seen.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from fleet.loggers.errors import LogError
from fleet.loggers.layouts import HEAD_LINES, Shape, shape_of, unit_of
from fleet.loggers.stamps import DateOrder, Stamps, UnclearDateError, offsets, zone_of

Array = npt.NDArray[np.float64]

NO_READING = frozenset(
    ("-", "--", "---", "n/a", "na", "nan", "null", "none", "err", "error", "ol", "fault", "open", "no data")
)
"""what loggers write where a probe failed"""
NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
EVERY_ROWS = 20_000
"""progress is told so often"""
HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says of a file, where the file does not."""

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """names (or #2) under `date`, `time` and `temp`; several of `temp` are probes in one box"""
    layout: str | None = None
    zone: str | None = None
    dates: DateOrder | None = None
    unit: str | None = None
    """C or F"""


@dataclass(frozen=True, slots=True, eq=False)
class LogFile:
    """The readings of a file, oldest first. All arrays have one entry per reading."""

    path: Path
    layout: str
    probes: tuple[str, ...]
    unit: str
    """as the file has it: C or F"""
    zone: str
    """of the logger's clock, as it was found or said"""
    lines: npt.NDArray[np.int64]
    at_s: Array
    """seconds since the Unix epoch"""
    temp_c: Array
    """(probe, reading) in °C; NaN where a probe failed"""
    events: int
    """rows without a temperature, which loggers write for marks and downloads"""
    duplicates: int
    """rows that say again what the row before said; left out"""
    newest_first: bool


def read_log(path: Path, options: Options, progress: Callable[[int], None] = lambda read: None) -> LogFile:
    """The file's readings; `progress` gets the bytes read so far. Raises LogError for what cannot be used, OSError."""
    with path.open("rb") as raw:
        encoding = _encoding(path, raw)
        text = io.TextIOWrapper(raw, encoding, newline="")
        try:
            head = [line for _, line in zip(range(HEAD_LINES), text, strict=False)]
            shape = shape_of(path, head, options.columns, options.layout)
            text.seek(0)
            return _settled(path, shape, options, _rows(path, shape, options, text, raw, progress))
        except UnicodeDecodeError as error:
            raise LogError(path, None, f"is not text in {encoding}: {error.reason}", "save it as UTF-8") from None


def _encoding(path: Path, raw: BinaryIO) -> str:
    head = raw.read(HEAD_BYTES)
    raw.seek(0)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        fix = "export the readings as CSV with the logger's software; a logger's own file is not read"
        raise LogError(path, None, "is not text", fix)
    try:
        head[: max(0, len(head) - 4) or len(head)].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 4 or len(head) < HEAD_BYTES:
            return "cp1252"
    return "utf-8-sig"


@dataclass(slots=True)
class _Rows:
    """What the rows hold, before it is known how to read their times."""

    stamps: Stamps = field(default_factory=Stamps)
    lines: array[int] = field(default_factory=lambda: array("l"))
    temps: list[array[float]] = field(default_factory=list)
    unit: str | None = None
    unit_line: int | None = None
    events: int = 0


def _rows(
    path: Path,
    shape: Shape,
    options: Options,
    text: io.TextIOWrapper,
    raw: BinaryIO,
    progress: Callable[[int], None],
) -> _Rows:
    rows = _Rows(temps=[array("d") for _ in shape.temps], unit=shape.unit, unit_line=shape.header_line or None)
    last = max(*shape.stamp, *shape.temps)
    stamp, temps, width = shape.stamp, shape.temps, shape.width
    started = shape.header_line > 0 or not options.columns
    for line, cells in _numbered(path, text, shape):
        if len(rows.lines) % EVERY_ROWS == 0:
            progress(raw.tell())
        if width is not None and len(cells) > width and any(cell.strip() for cell in cells[width:]):
            fix = "export it with semicolons or with decimal points"
            raise LogError(path, line, f"has {len(cells)} cells under a header of {width}: decimal commas?", fix)
        if len(cells) <= last:
            if not any(cell.strip() for cell in cells):
                continue
            if started:
                fix = "export the file again, or remove the line if it is no reading"
                raise LogError(path, line, f"has {len(cells)} cells, too few for a reading: cut off?", fix)
            continue
        values = [cells[i].strip() for i in temps]
        if not any(values) and started:
            rows.events += 1
            continue
        when = cells[stamp[0]] if len(stamp) == 1 else f"{cells[stamp[0]].strip()} {cells[stamp[1]].strip()}"
        if not rows.stamps.add(when):
            if not started:
                continue
            fix = "mend it, or remove the line if it is no reading; the time column is named with --columns time=NAME"
            raise LogError(path, line, f"{when!r} is no date and time", fix)
        started = True
        rows.lines.append(line)
        for column, value in zip(rows.temps, values, strict=True):
            column.append(_value(path, line, value, rows))
    if not rows.lines:
        raise LogError(path, None, "holds no readings", "was the logger started? export it again")
    progress(raw.tell())
    return rows


def _numbered(path: Path, text: io.TextIOWrapper, shape: Shape) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, with their lines."""
    reader = csv.reader(text, delimiter=shape.delimiter)
    try:
        for cells in reader:
            if reader.line_num > shape.header_line:
                yield reader.line_num, cells
    except csv.Error as error:
        raise LogError(path, reader.line_num, f"is not CSV: {error}", "look for a quote that is not closed") from None


def _value(path: Path, line: int, text: str, rows: _Rows) -> float:
    try:
        value = float(text)
    except ValueError:
        return _odd_value(path, line, text, rows)
    return value if np.isfinite(value) else np.nan


def _odd_value(path: Path, line: int, text: str, rows: _Rows) -> float:
    """A number with a decimal comma or a unit behind it; NaN where the probe failed."""
    if not text or text.lower() in NO_READING:
        return float("nan")
    found = NUMBER.match(text)
    rest = text[found.end() :].strip() if found else text
    unit = None
    if found is not None and rest:
        unit = rest.upper() if rest.upper() in ("C", "F") else unit_of(rest) if re.fullmatch(r"\W*[CcFf]", rest) else ""
    if found is None or unit == "":
        fix = "mend it; where a probe failed, leave the cell empty"
        raise LogError(path, line, f"{text!r} is no temperature", fix)
    if unit is not None and rows.unit not in (None, unit):
        place = "" if rows.unit_line is None else f", and line {rows.unit_line} says °{rows.unit}"
        raise LogError(path, line, f"{text!r} is in °{unit}{place}", "export the file again with one unit")
    if unit is not None and rows.unit is None:
        rows.unit, rows.unit_line = unit, line
    return float(found[0].replace(",", "."))


def _settled(path: Path, shape: Shape, options: Options, rows: _Rows) -> LogFile:
    """The readings on the time axis and in °C."""
    lines = np.array(rows.lines, dtype=np.int64)
    unit = _unit(path, options, rows)
    temp = np.array([np.frombuffer(column, dtype=np.float64) for column in rows.temps])
    temp_c = temp if unit == "C" else (temp - 32.0) / 1.8
    try:
        local_s = rows.stamps.local_s(options.dates or shape.layout.date_order)
    except UnclearDateError as error:
        number = rows.stamps.dates[error.date_text]
        row = next(i for i, dated in enumerate(rows.stamps.dated) if dated == number)
        raise LogError(path, int(lines[row]), error.text, error.fix) from None
    written_s = np.array(rows.stamps.offset_s)
    forwards = np.diff(local_s - np.nan_to_num(written_s))
    newest_first = bool(np.sum(forwards < 0.0) > np.sum(forwards > 0.0))
    if newest_first:
        lines, local_s, written_s, temp_c = lines[::-1], local_s[::-1], written_s[::-1], temp_c[:, ::-1]
    at_s, zone = _on_axis(path, shape, options, lines, local_s, written_s)
    kept = _forwards(path, lines, at_s, temp_c)
    return LogFile(
        path=path,
        layout=shape.layout.name,
        probes=shape.names,
        unit=unit,
        zone=zone,
        lines=lines[kept],
        at_s=at_s[kept],
        temp_c=temp_c[:, kept],
        events=rows.events,
        duplicates=int(len(kept) - np.sum(kept)),
        newest_first=newest_first,
    )


def _unit(path: Path, options: Options, rows: _Rows) -> str:
    if rows.unit is None and options.unit is None:
        raise LogError(path, rows.lines[0], "nothing says whether that is °C or °F", "say it: --unit c or --unit f")
    if rows.unit is not None and options.unit not in (None, rows.unit):
        raise LogError(path, rows.unit_line, f"says °{rows.unit}", f"leave --unit {options.unit} out") from None
    return rows.unit or options.unit or "C"


def _on_axis(
    path: Path, shape: Shape, options: Options, lines: npt.NDArray[np.int64], local_s: Array, written_s: Array
) -> tuple[Array, str]:
    """Seconds since the Unix epoch, and the zone they were read in."""
    bare = np.isnan(written_s)
    if np.any(bare) and not np.all(bare):
        row, other = int(np.argmax(bare)), int(np.argmax(~bare))
        text = f"has a time without offset, and line {lines[other]} one with"
        raise LogError(path, int(lines[row]), text, "export the file again with one format of times")
    said = None if options.zone is None else _zone(path, options.zone)
    if not bare[0]:
        _same_offset(path, lines, local_s, written_s, said)
        return local_s - written_s, options.zone or _offset_text(written_s[0])
    if shape.offset is None and said is None:
        fix = "say where the logger's clock is set: --tz Africa/Kampala, --tz +03:00 or --tz UTC"
        raise LogError(path, int(lines[0]), "the times have no offset", fix)
    found = None if shape.offset is None else _zone(path, shape.offset)
    zone = said or found
    assert zone is not None
    found_offsets = offsets(local_s, zone)
    if found is not None and said is not None:
        ahead = offsets(local_s, found).early_s
        clash = (ahead != found_offsets.early_s) & (ahead != found_offsets.late_s)
        if np.any(clash):
            text = f"says {shape.offset}, which {options.zone} was not at line {lines[int(np.argmax(clash))]}"
            raise LogError(
                path, shape.header_line or None, text, "leave --tz out, or give the one the clock was set to"
            )
    if np.any(found_offsets.missing):
        row = int(np.argmax(found_offsets.missing))
        shown = datetime.fromtimestamp(local_s[row], UTC).strftime("%Y-%m-%d %H:%M:%S")
        fix = "the logger does not follow daylight saving: give --tz with its offset, such as --tz +01:00"
        raise LogError(path, int(lines[row]), f"{shown} never was in {options.zone}", fix)
    at_s = local_s - found_offsets.early_s
    for i in np.flatnonzero(found_offsets.early_s != found_offsets.late_s):
        if i > 0 and at_s[i] <= at_s[i - 1]:  # the hour comes twice: the second time when time would go back
            at_s[i] = local_s[i] - found_offsets.late_s[i]
    return at_s, options.zone or str(shape.offset)


def _zone(path: Path, text: str) -> tzinfo:
    zone = zone_of(text)
    if zone is None:
        raise LogError(
            path, None, f"{text!r} is no time zone", "give a place (Africa/Kampala), an offset (+03:00) or UTC"
        )
    return zone


def _same_offset(
    path: Path, lines: npt.NDArray[np.int64], local_s: Array, written_s: Array, said: tzinfo | None
) -> None:
    """Offsets that change are believed only where a zone explains them."""
    if said is None:
        row = int(np.argmax(written_s != written_s[0]))
        if row:
            text = f"has the offset {_offset_text(written_s[row])}, and line {lines[0]} {_offset_text(written_s[0])}"
            fix = "name the place if its clocks follow daylight saving: --tz Europe/Berlin"
            raise LogError(path, int(lines[row]), text, fix)
        return
    known = offsets(local_s, said)
    wrong = (written_s != known.early_s) & (written_s != known.late_s)
    if np.any(wrong):
        row = int(np.argmax(wrong))
        text = f"has the offset {_offset_text(written_s[row])}, which the zone of --tz did not have then"
        raise LogError(path, int(lines[row]), text, "leave --tz out, or give the place of the logger")


def _forwards(path: Path, lines: npt.NDArray[np.int64], at_s: Array, temp_c: Array) -> npt.NDArray[np.bool_]:
    """Which readings to keep: all but repeated ones. Time that goes back is refused."""
    step_s = np.diff(at_s)
    back = int(np.argmax(step_s < 0.0)) if np.any(step_s < 0.0) else None
    if back is not None:
        times = [datetime.fromtimestamp(at_s[i], UTC).strftime("%Y-%m-%d %H:%M:%SZ") for i in (back, back + 1)]
        fix = (
            "was the clock set? judge the parts before and after one by one; if it was daylight saving, give --tz PLACE"
        )
        raise LogError(path, int(lines[back + 1]), f"goes back in time: {times[1]} after {times[0]}", fix)
    again = np.concatenate([[False], step_s == 0.0])
    for row in np.flatnonzero(again):
        if not np.array_equal(temp_c[:, row], temp_c[:, row - 1], equal_nan=True):
            text = f"has another temperature than line {lines[row - 1]} at the same time"
            _refuse_twice(path, int(lines[row]), text)
    return ~again


def _refuse_twice(path: Path, line: int, text: str) -> NoReturn:
    raise LogError(path, line, text, "two loggers in one file? export each by itself; or give seconds in the times")


def _offset_text(offset_s: float) -> str:
    sign, minutes = "-" if offset_s < 0 else "+", round(abs(offset_s) / 60)
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
