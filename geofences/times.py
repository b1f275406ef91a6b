"""When a zone is in force, as intervals: exact, so that a plan can be judged over its whole time.

A zone is in force from the begin of a period up to, and without, its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from math import inf

from geofences.daylight import DAY_S, Sky, seconds
from geofences.volumes import Applicability, DailyPeriod, Zone

HORIZON_S = 8 * 86_400.0
"""how far ahead a next opening is looked for: weekly schedules repeat within it"""

Span = tuple[float, float]


def intervals(zone: Zone, start_s: float, end_s: float) -> list[Span]:
    """The merged times within [start_s, end_s] at which the zone is in force, seconds since the Unix epoch."""
    return [(max(a, start_s), min(b, end_s)) for a, b in _merged(zone, start_s, end_s)]


def applies_within(zone: Zone, start_s: float, end_s: float) -> bool:
    """True if the zone is in force at any moment of [start_s, end_s]."""
    return not zone.applicability or any(True for _ in _spans(zone, start_s, end_s))


def applies_throughout(zone: Zone, start_s: float, end_s: float) -> bool:
    """True if the zone is in force at every moment of [start_s, end_s]."""
    return not zone.applicability or any(a <= start_s and end_s < b for a, b in _merged(zone, start_s, end_s))


def next_free(zone: Zone, after_s: float, duration_s: float) -> float | None:
    """The first time from `after_s` on at which the zone stays out of force for `duration_s`; None within 8 days."""
    at = after_s
    for a, b in _merged(zone, after_s, after_s + HORIZON_S + duration_s):
        if at + duration_s < a:
            break
        at = max(at, b)
    return at if at <= after_s + HORIZON_S else None


def _merged(zone: Zone, start_s: float, end_s: float) -> list[Span]:
    """The spans in order, those that touch made one."""
    merged: list[Span] = []
    for a, b in sorted(_spans(zone, start_s, end_s)):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _spans(zone: Zone, start_s: float, end_s: float) -> Iterator[Span]:
    """Every span [a, b) in which the zone is in force at some moment of [start_s, end_s], as long as it is."""
    if not zone.applicability:
        yield -inf, inf
    for a in zone.applicability:
        yield from _of_applicability(a, zone.sky, start_s, end_s)


def _of_applicability(applicability: Applicability, sky: Sky, start_s: float, end_s: float) -> Iterator[Span]:
    opens = applicability.start.timestamp() if applicability.start else -inf
    closes = applicability.end.timestamp() if applicability.end else inf
    if opens > end_s or closes <= start_s:
        return
    if not applicability.daily:
        yield opens, closes
    first, last = max(start_s, opens), min(end_s, closes)
    for period in applicability.daily:
        for a, b in _of_period(period, sky, first, last):
            a, b = max(a, opens), min(b, closes)
            if a < b and a <= end_s and b > start_s:
                yield a, b


def _of_period(period: DailyPeriod, sky: Sky, first: float, last: float) -> Iterator[Span]:
    # A period of the day before may reach past midnight; a place's own day may be up to half a day off UTC's.
    start, end = period.start, period.end
    if isinstance(start, time) and isinstance(end, time):
        begin, finish = (0.0, 86_400.0) if start == end else (seconds(start), seconds(end))
        if finish <= begin:
            finish += DAY_S
        for day in range(int(first // DAY_S) - 1, int(last // DAY_S) + 1):
            if period.on(day):
                yield day * DAY_S + begin, day * DAY_S + finish
        return
    for day in range(int(first // DAY_S) - 2, int(last // DAY_S) + 2):
        if period.on(day) and (span := sky.period(day, start, end)) is not None:
            yield span
