"""When a zone is in force, as intervals: exact, so that a plan can be judged over its whole time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from geofences.volumes import Applicability, DailyPeriod, Zone

HORIZON_S = 8 * 86_400.0
"""how far ahead a next opening is looked for: weekly schedules repeat within it"""

_FOREVER = float("inf")


def intervals(zone: Zone, start_s: float, end_s: float) -> list[tuple[float, float]]:
    """The merged times within [start_s, end_s] at which the zone is in force, seconds since the Unix epoch."""
    if not zone.applicability:
        return [(start_s, end_s)]
    found = [i for a in zone.applicability for i in _of_applicability(a, start_s, end_s)]
    merged: list[tuple[float, float]] = []
    for a, b in sorted(found):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def applies_within(zone: Zone, start_s: float, end_s: float) -> bool:
    """True if the zone is in force at any moment of [start_s, end_s]."""
    return not zone.applicability or bool(intervals(zone, start_s, end_s))


def applies_throughout(zone: Zone, start_s: float, end_s: float) -> bool:
    """True if the zone is in force for all of [start_s, end_s]."""
    return intervals(zone, start_s, end_s) == [(start_s, end_s)]


def next_free(zone: Zone, after_s: float, duration_s: float) -> float | None:
    """The first time from `after_s` at which the zone stays out of force for `duration_s`; None within a week."""
    at = after_s
    for a, b in intervals(zone, after_s, after_s + HORIZON_S):
        if a - at > duration_s:
            return at
        at = max(at, b + 1.0)
    return at if at + duration_s <= after_s + HORIZON_S else None


def _of_applicability(a: Applicability, start_s: float, end_s: float) -> list[tuple[float, float]]:
    first = max(start_s, a.start.timestamp() if a.start else -_FOREVER)
    last = min(end_s, a.end.timestamp() if a.end else _FOREVER)
    if first > last or (a.end is not None and first >= a.end.timestamp()):
        return []
    if not a.daily:
        return [(first, last)]
    return [i for period in a.daily for i in _of_period(period, first, last)]


def _of_period(period: DailyPeriod, first: float, last: float) -> list[tuple[float, float]]:
    # An overnight period of the day before may reach into the first day.
    day = datetime.fromtimestamp(first, UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    found = []
    while day.timestamp() <= last:
        if not period.weekdays or day.isoweekday() in period.weekdays:
            begin = day + timedelta(hours=period.start.hour, minutes=period.start.minute, seconds=period.start.second)
            if period.start == period.end:
                begin, end = day, day + timedelta(days=1)
            else:
                end = datetime.combine(day.date(), period.end, UTC)
                if end <= begin:
                    end += timedelta(days=1)
            if begin.timestamp() <= last and end.timestamp() > first:
                found.append((max(begin.timestamp(), first), min(end.timestamp(), last)))
        day += timedelta(days=1)
    return found
