"""Times as loggers write them: dates in three orders, clocks of 12 and 24 hours, with an offset or in some zone.

A date may only be readable once all of them are known (03/04/2026), and a local time only once its neighbours are (the
hour that comes twice in autumn), so texts are taken apart first and put on the time axis when the file has been read.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

DateOrder = Literal["dmy", "mdy"]
Array = npt.NDArray[np.float64]

STAMP = re.compile(
    r"\s*(?P<date>\d{1,4}[-/.](?:\d{1,2}|[A-Za-z]{3,4}\.?)[-/.]\d{1,4})[T ,]\s*"
    r"(?P<h>\d{1,2})[:.](?P<m>\d{2})(?:[:.](?P<s>\d{2})(?:[.,](?P<frac>\d{1,9}))?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?\s*(?P<offset>Z|UTC|GMT|[+-](?:0\d|1[0-4]):?[0-5]\d)?\s*",
    re.IGNORECASE,
)
UNIX = re.compile(r"\s*(\d{10})(?:\.\d+|\d{3})?\s*")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EPOCH = date(1970, 1, 1).toordinal()
YEARS = range(1970, 2200)
"""what a logger's clock shows, set or not"""
DAY_S = 86_400.0
QUARTER_S = 900.0
"""offsets change at full quarters of an hour"""


def zone_of(text: str) -> tzinfo | None:
    """A zone by name (`Africa/Kampala`), an offset (`+03:00`, `UTC`); None for anything else."""
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    found = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", text, re.IGNORECASE)
    if found is not None:
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(ahead if found[1] == "+" else -ahead) if ahead < timedelta(hours=24) else None
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return None


@dataclass(slots=True)
class Stamps:
    """The times of a file, taken apart, in the order of its rows."""

    dates: dict[str, int] = field(default_factory=dict)
    """each date's text with its number"""
    dated: array[int] = field(default_factory=lambda: array("l"))
    """per row: number of its date; -1: the time is counted from 1970"""
    seconds: array[float] = field(default_factory=lambda: array("d"))
    """per row: since the date's midnight, or since 1970"""
    offset_s: array[float] = field(default_factory=lambda: array("d"))
    """per row: as written beside the time; NaN where nothing is"""

    def add(self, text: str) -> bool:
        """Takes the next row's time apart; False if it is none."""
        found = STAMP.fullmatch(text)
        if found is None:
            return self._add_unix(text)
        stamp, h, m, s, frac, half, offset = found.groups()
        hour, minute, second = int(h), int(m), int(s) if s else 0
        if half:
            if not 1 <= hour <= 12:
                return False
            hour = hour % 12 + (12 if half[0] in "pP" else 0)
        if hour > 23 or minute > 59 or second > 59:
            return False
        self.dated.append(self.dates.setdefault(stamp, len(self.dates)))
        self.seconds.append(3600 * hour + 60 * minute + second + (float(f"0.{frac}") if frac else 0.0))
        self.offset_s.append(_offset_s(offset) if offset else np.nan)
        return True

    def _add_unix(self, text: str) -> bool:
        found = UNIX.fullmatch(text)
        if found is None:
            return False
        self.dated.append(-1)
        self.seconds.append(int(text) / 1000.0 if text.strip().isdigit() and len(text.strip()) == 13 else float(text))
        self.offset_s.append(0.0)
        return True

    def local_s(self, order: DateOrder | None) -> Array:
        """Per row: seconds from 1970 as the logger's clock showed them. Raises UnclearDateError."""
        order = self._order() or order
        days = np.array([_day(text, order) for text in self.dates] + [0.0])  # the last is for what counts from 1970
        return np.asarray(days[np.array(self.dated, dtype=np.int64)] * DAY_S + np.array(self.seconds))

    def _order(self) -> DateOrder | None:
        """What the dates themselves say of their order."""
        told: dict[DateOrder, str] = {}
        for text in self.dates:
            a, b, _ = re.split(r"[-/.]", text, maxsplit=2)
            if len(a) == 4 or not b.isdigit():
                continue
            if int(a) > 12:
                told.setdefault("dmy", text)
            if int(b) > 12:
                told.setdefault("mdy", text)
        if len(told) == 2:
            text = f"{told['dmy']} has the day first and {told['mdy']} the month"
            raise UnclearDateError(told["mdy"], text, "export the file again with one format of dates")
        return next(iter(told), None)


class UnclearDateError(ValueError):
    """A date that cannot be read: its text, what is wrong, the fix."""

    def __init__(self, date_text: str, text: str, fix: str) -> None:
        super().__init__(text)
        self.date_text, self.text, self.fix = date_text, text, fix


def _day(text: str, order: DateOrder | None) -> float:
    """The date as days since 1970."""
    a, b, c = re.split(r"[-/.]", text, maxsplit=2)
    if len(a) == 4:
        year, month, day = a, b, c
    elif not b.isdigit():
        year, month, day = c, b, a
    elif order is None and int(a) != int(b) and "." not in text:  # with dots the day is first everywhere
        fix = "say which: --dates dmy for day first, --dates mdy for month first"
        raise UnclearDateError(text, f"{text} may have the day or the month first", fix)
    else:
        year, month, day = (c, a, b) if order == "mdy" else (c, b, a)
    try:
        number = int(month) if month.isdigit() else MONTHS.index(month[:3].lower()) + 1
        full = int(year) + (2000 if len(year) <= 2 else 0)
        if full not in YEARS:
            raise ValueError(full)
        return float(date(full, number, int(day)).toordinal() - EPOCH)
    except ValueError:
        raise UnclearDateError(text, f"{text} is no date", "mend the date, or say its order with --dates") from None


def _offset_s(text: str) -> float:
    if text.upper() in ("Z", "UTC", "GMT"):
        return 0.0
    size = 3600.0 * int(text[1:3]) + 60.0 * int(text[-2:])
    return size if text[0] == "+" else -size


@dataclass(frozen=True, slots=True)
class Offsets:
    """A zone's offsets at local times: two where the hour comes twice or not at all."""

    early_s: Array
    late_s: Array
    missing: npt.NDArray[np.bool_]
    """the clock never showed that time"""


def offsets(local_s: Array, zone: tzinfo) -> Offsets:
    """What to subtract from local times for UTC."""
    quarters, back = np.unique(np.floor(local_s / QUARTER_S), return_inverse=True)
    early, late, missing = np.zeros(len(quarters)), np.zeros(len(quarters)), np.zeros(len(quarters), dtype=bool)
    for i, quarter in enumerate(quarters):
        shown = datetime(1970, 1, 1) + timedelta(seconds=float(quarter) * QUARTER_S)  # noqa: DTZ001 - as the clock shows it
        first, second = (shown.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        early[i], late[i] = (t.utcoffset().total_seconds() for t in (first, second))  # type: ignore[union-attr]
        missing[i] = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != shown
    return Offsets(early[back], late[back], missing[back])
