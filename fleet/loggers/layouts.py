"""Where the columns of a logger's export are: layouts that are known by name, and any other with a header.

A layout is recognised by its header, or by its first row where it has none. What the header or the lines above it say
of unit and time zone is taken from there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleet.loggers.errors import LogError
from fleet.loggers.stamps import DateOrder

DELIMITERS = ("\t", ";", ",")
HEAD_LINES = 200
"""a header is looked for in so many lines; preambles of loggers have a few dozen"""

DATE = re.compile(r"dat(?:e|um|a\b)|fecha|time ?stamp|recorded at", re.IGNORECASE)
CLOCK = re.compile(r"time(?! ?zone)|zeit|uhr|heure|hora", re.IGNORECASE)
TEMPERATURE = re.compile(r"temp|celsius|fahrenheit|[°º]\s*[cf]\b", re.IGNORECASE)
NOT_THE_PROBE = re.compile(r"dew|alarm|limit|\bmin|\bmax|\bavg|average|mean|set ?point|mkt", re.IGNORECASE)
UNIT = re.compile(r"(?:[°º*?�(_]|\bdeg(?:rees)?)\s*\.?\s*([cf])\b|\b(c)elsius|\b(f)ahrenheit", re.IGNORECASE)
OFFSET = re.compile(r"(?:gmt|utc)\s*([+-]\d{1,2}(?::?\d{2})?)", re.IGNORECASE)
UTC = re.compile(r"zone\W.*\b(?:utc|gmt)\b(?!\s*[+-]?\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of one maker's export. `header` is looked for in the header's cells, joined by `|`."""

    name: str
    loggers: str
    header: re.Pattern[str] | None
    date_order: DateOrder | None
    """of dates that could be read either way; None: it must be said"""
    columns: tuple[int, int, int] | None = None
    """date, time, temperature, where there is no header"""


HOBO = Layout(
    "hobo",
    "Onset HOBO, exported by HOBOware: `Plot Title:` above, the offset in the header (`Date Time, GMT+03:00`)",
    re.compile(r"date time, gmt[+-]", re.IGNORECASE),
    "mdy",
)
EASYLOG = Layout(
    "easylog",
    "Lascar EL-USB, saved by EasyLog: `NAME,Time,Celsius(°C),…,Serial Number`",
    re.compile(r"\|time\|(?:celsius|fahrenheit)\s*\(.*\|serial number", re.IGNORECASE),
    "dmy",
)
LOGTAG = Layout(
    "logtag",
    "LogTag, exported without a header: number, date, time, temperature, humidity, note",
    None,
    None,
    (1, 2, 3),
)
GENERIC = Layout("generic", "anything with a header that names a time and a temperature", re.compile(""), None)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (HOBO, EASYLOG, LOGTAG, GENERIC)}


@dataclass(frozen=True, slots=True)
class Shape:
    """Where what is in one file."""

    layout: Layout
    delimiter: str
    header_line: int
    """the last line before the readings; 0: there is none"""
    width: int | None
    """cells of the header"""
    stamp: tuple[int, ...]
    """the column of date and time, or one of each"""
    temps: tuple[int, ...]
    names: tuple[str, ...]
    unit: str | None
    """C or F, if the header or the lines above it say so"""
    offset: str | None
    """of the logger's clock, likewise: +03:00"""


def shape_of(path: Path, head: Sequence[str], columns: Mapping[str, Sequence[str]], layout: str | None) -> Shape:
    """The shape of a file by its first lines. `columns` names them where they are not to be guessed."""
    if not any(line.strip() for line in head):
        raise LogError(path, None, "is empty", "export the logger again")
    for delimiter in DELIMITERS:
        found = _with_header(path, head, delimiter, columns, layout)
        if found is not None:
            return found
    if not columns and layout in (None, LOGTAG.name):
        found = _without_header(head)
        if found is not None:
            return found
    if layout is not None:
        raise LogError(path, None, f"is not of the layout {layout}", f"that is: {LAYOUTS[layout].loggers}")
    if columns:
        named = ", ".join(name for names in columns.values() for name in names)
        raise LogError(
            path, None, f"has no header with {named}", "give the names as the header has them, or #2 for 2nd"
        )
    fix = "say which they are: --columns time=NAME,temp=NAME, or #2 for the 2nd column"
    raise LogError(path, None, f"has no time and temperature column in its first {HEAD_LINES} lines", fix)


def _with_header(
    path: Path, head: Sequence[str], delimiter: str, columns: Mapping[str, Sequence[str]], layout: str | None
) -> Shape | None:
    for header_line, cells in _rows(head, delimiter):
        names = [" ".join(cell.split()) for cell in cells]
        chosen = _chosen(names, columns) if columns else _guessed(names)
        if chosen is None:
            continue
        stamp, temps = chosen
        line = 0 if all(n.startswith("#") for named in columns.values() for n in named) and columns else header_line
        if not columns and len(temps) > 1:
            text = f"has several temperatures: {', '.join(names[i] for i in temps)}"
            fix = "choose one with --columns time=NAME,temp=NAME, or give temp= several times for probes in one box"
            raise LogError(path, header_line, text, fix)
        joined = "|".join(names)
        known = next(known for known in (HOBO, EASYLOG, GENERIC) if known.header and known.header.search(joined))
        if layout not in (None, GENERIC.name, known.name):
            return None
        above = [joined, *head[: header_line - 1]] if line else []
        units = {unit_of(names[i]) for i in temps if line} - {None}
        if len(units) > 1:
            text = f"has columns in °C and °F: {', '.join(names[i] for i in temps)}"
            raise LogError(path, line, text, "choose those of one unit with --columns")
        return Shape(
            layout=known,
            delimiter=delimiter,
            header_line=line,
            width=len(names) if line else None,
            stamp=stamp,
            temps=temps,
            names=tuple(names[i] if line else f"#{i + 1}" for i in temps),
            unit=next(iter(units), None) or _unit_above(above[1:]),
            offset=_offset_above(above),
        )
    return None


def _rows(lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with their lines, up to one that is not CSV: whether that is a fault is seen when the readings are read."""
    reader = csv.reader(lines, delimiter=delimiter)
    with suppress(csv.Error):
        for cells in reader:
            yield reader.line_num, cells


def _guessed(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The columns of a header by their names."""
    plain = [i for i, name in enumerate(names) if not TEMPERATURE.search(name)]
    dates = [i for i in plain if DATE.match(names[i])]
    clocks = [i for i in plain if CLOCK.match(names[i]) and i not in dates]
    temps = [i for i, name in enumerate(names) if TEMPERATURE.search(name) and not NOT_THE_PROBE.search(name)]
    if not temps or not (dates or clocks):
        return None
    if dates and clocks and not CLOCK.search(names[dates[0]]):
        return (dates[0], clocks[0]), tuple(temps)
    return ((dates or clocks)[0],), tuple(temps)


def _chosen(
    names: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The columns that the user named, if this row has all of them."""
    found: dict[str, list[int]] = {}
    for key, wanted in columns.items():
        for name in wanted:
            i = _find(names, name)
            if i is None:
                return None
            found.setdefault(key, []).append(i)
    return (*found.get("date", ()), *found.get("time", ())), tuple(found["temp"])


def _find(names: Sequence[str], wanted: str) -> int | None:
    """By number (#2), by the whole name, or by how the name of one column begins."""
    if re.fullmatch(r"#\d+", wanted):
        i = int(wanted[1:]) - 1
        return i if 0 <= i < len(names) else None
    low = " ".join(wanted.lower().split())
    whole = [i for i, name in enumerate(names) if name.lower() == low]
    begins = [i for i, name in enumerate(names) if name.lower().startswith(low)]
    return whole[0] if len(whole) == 1 else begins[0] if len(begins) == 1 else None


def _without_header(head: Sequence[str]) -> Shape | None:
    first = next(line for line in head if line.strip())
    for delimiter in DELIMITERS:
        cells = [cell.strip() for _, row in _rows([first], delimiter) for cell in row]
        if len(cells) < 4 or not cells[0].isdigit():
            continue
        dated = re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", cells[1])
        if dated and re.match(r"\d{1,2}:\d{2}", cells[2]) and re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?", cells[3]):
            assert LOGTAG.columns is not None
            date, time, temp = LOGTAG.columns
            return Shape(LOGTAG, delimiter, 0, None, (date, time), (temp,), ("temperature",), None, None)
    return None


def unit_of(text: str) -> str | None:
    """C or F, if the text has a unit."""
    found = UNIT.search(text)
    return None if found is None else next(g for g in found.groups() if g).upper()


def _unit_above(lines: Sequence[str]) -> str | None:
    units = {unit_of(line) for line in lines if re.search(r"\bunit", line, re.IGNORECASE)} - {None}
    return units.pop() if len(units) == 1 else None


def _offset_above(lines: Sequence[str]) -> str | None:
    for line in lines:
        found = OFFSET.search(line)
        if found is not None:
            return found[1]
        if UTC.search(line):
            return "UTC"
    return None
