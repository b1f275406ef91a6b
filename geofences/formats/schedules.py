"""Times in airspace files: instants, and periods of the day on weekdays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time
from typing import Any

from geofences.daylight import Moment, SunEvent
from geofences.formats.common import FeatureError, Json
from geofences.volumes import Applicability, DailyPeriod

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
# Morning civil twilight ends with the sunrise, and evening civil twilight begins with the sunset.
_EVENTS = {e.value: e for e in SunEvent} | {"EMCT": SunEvent.SR, "BECT": SunEvent.SS}
_TIME = re.compile(r"^T?(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?(Z|[+-]\d{2}:?\d{2})?$")
_MIDNIGHT = time(0, 0)


def instant(value: Any, field: str) -> datetime:
    """An RFC 3339 instant in UTC; one without a zone is refused, since it could be hours off."""
    if not isinstance(value, str):
        raise FeatureError(field, f"{value!r} is not a date and time", 'give one such as "2026-03-01T08:00:00Z"')
    try:
        parsed = datetime.fromisoformat(value)
        in_utc = parsed.astimezone(UTC) if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        fix = 'give one such as "2026-03-01T08:00:00Z"'
        raise FeatureError(field, f"{value!r} is not a date and time", fix) from None
    if in_utc is None:
        raise FeatureError(field, f"{value!r} has no time zone", "end it in Z or an offset such as +03:00")
    return in_utc


def time_of_day(value: Any, field: str) -> tuple[time, int]:
    """A time of day in UTC and the days it moved by the change to UTC (-1, 0 or 1); 24:00 is midnight."""
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise FeatureError(field, f"{value!r} is not a time of day", 'give one such as "08:00:00Z"')
    hours, minutes, seconds, zone = int(match[1]), int(match[2]), int(match[3] or 0), match[5]
    if zone is None:
        raise FeatureError(field, f"{value!r} has no time zone", "end it in Z or an offset such as +03:00")
    if (hours, minutes, seconds) == (24, 0, 0):
        hours = 0
    if hours > 23 or minutes > 59 or seconds > 59:
        raise FeatureError(field, f"{value!r} is not a time of day", "give 00:00:00Z to 23:59:59Z, or 24:00Z")
    offset = 0
    if zone != "Z":
        digits = zone[1:].replace(":", "")
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    total = hours * 60 + minutes - offset
    return time(total % 1440 // 60, total % 60, seconds, int((match[4] or "").ljust(6, "0"))), total // 1440


def weekdays(value: Any, field: str) -> frozenset[int]:
    """ISO weekdays; ANY, an empty list or all seven mean every day (an empty set)."""
    if value is None:
        return frozenset()
    if not isinstance(value, list):
        raise FeatureError(field, f"{value!r} is not a list of days", 'give a list such as ["MON", "TUE"] or ["ANY"]')
    if "ANY" in value:
        return frozenset()
    for day in value:
        if day not in DAYS:
            raise FeatureError(field, f"unknown day {day!r}", f"give ANY or some of {', '.join(DAYS)}")
    found = frozenset(DAYS.index(day) + 1 for day in value)
    return frozenset() if len(found) == 7 else found


def moment(time_value: Any, event: Any, default: str, field: str, name: str) -> tuple[Moment, int]:
    """A time of day in UTC or a daylight event, and the days it moved by the change to UTC."""
    if event is None:
        return time_of_day(default if time_value is None else time_value, f"{field}.{name}Time")
    if time_value is not None:
        text = f"there is {name}Time as well, and only one of them can hold"
        raise FeatureError(f"{field}.{name}Event", text, f"keep {name}Time or {name}Event")
    found = _EVENTS.get(event) if isinstance(event, str) else None
    if found is None:
        fix = f"give one of {', '.join(SunEvent)}"
        raise FeatureError(f"{field}.{name}Event", f"unknown daylight event {event!r}", fix)
    return found, 0


def daily_period(entry: Any, field: str) -> DailyPeriod | None:
    """One entry of a schedule; None where it says nothing (ED-269 files hold `day: []` with null times)."""
    if not isinstance(entry, dict):
        raise FeatureError(field, f"{entry!r} is not an object", "give day, startTime and endTime")
    days = weekdays(entry.get("day"), f"{field}.day")
    if all(entry.get(k) is None for k in ("startTime", "startEvent", "endTime", "endEvent")):
        return DailyPeriod(days, _MIDNIGHT, _MIDNIGHT) if days else None
    start, moved = moment(entry.get("startTime"), entry.get("startEvent"), "00:00Z", field, "start")
    end, _ = moment(entry.get("endTime"), entry.get("endEvent"), "24:00Z", field, "end")
    if moved and days:
        days = frozenset((d - 1 + moved) % 7 + 1 for d in days)
    return DailyPeriod(days, start, end)


def daily_json(period: DailyPeriod) -> Json:
    """The inverse of `daily_period`."""
    days = [DAYS[d - 1] for d in sorted(period.weekdays)] if period.weekdays else ["ANY"]
    found: Json = {"day": days}
    for name, at in (("start", period.start), ("end", period.end)):
        if isinstance(at, SunEvent):
            found[f"{name}Event"] = at.value
        else:
            found[f"{name}Time"] = f"{at.isoformat()}Z"
    return found


def instant_json(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def permanent(periods: tuple[Applicability, ...]) -> bool:
    """True if one of the periods has no bound, so that the zone always applies."""
    return any(p.start is None and p.end is None and not p.daily for p in periods)


def applicability(
    start: Any, end: Any, daily: Iterable[DailyPeriod | None], field: str, names: tuple[str, str]
) -> Applicability:
    first = instant(start, f"{field}.{names[0]}") if start is not None else None
    last = instant(end, f"{field}.{names[1]}") if end is not None else None
    if first is not None and last is not None and last <= first:
        raise FeatureError(f"{field}.{names[1]}", "the end is not after the start", "correct the times")
    return Applicability(first, last, tuple(p for p in daily if p is not None))


__all__ = [
    "DAYS",
    "applicability",
    "daily_json",
    "daily_period",
    "instant",
    "instant_json",
    "moment",
    "permanent",
    "time_of_day",
    "weekdays",
]
