"""Sunrise, sunset and civil twilight where a zone lies, and the periods that begin or end with them.

With astral's position of the sun (NOAA's equations): within a minute of published tables below 65° latitude. Like them
they hold for a level horizon at sea level; the margins in time of planner and checker cover the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from functools import lru_cache
from math import degrees

from astral import SunDirection
from astral.julian import julianday_to_juliancentury
from astral.sun import eq_of_time, hour_angle, sun_declination

from geofences.geodesy import LatLon

DAY_S = 86_400
_JULIAN_EPOCH = 2_440_587.5
"""Julian date of 1 January 1970"""
_MOST_HELD = 50_000
"""a week of a thousand places: planning asks for the same days again and again"""
_AGAIN_S = 25 * 3600
"""an event comes again within this, or not for days: the polar day or night has begun"""


class SunEvent(StrEnum):
    """ED-318's daylight events."""

    BMCT = "BMCT"
    """begin of morning civil twilight"""
    SR = "SR"
    """sunrise"""
    SS = "SS"
    """sunset"""
    EECT = "EECT"
    """end of evening civil twilight"""


Moment = time | SunEvent
"""a time of day in UTC, or a daylight event of the place"""

# Zenith angle of the sun's centre: at sunrise 50' below the horizon (34' refraction, 16' radius), in twilight 6°.
_SIGNS = {
    SunEvent.BMCT: (96.0, SunDirection.RISING),
    SunEvent.SR: (90.0 + 50 / 60, SunDirection.RISING),
    SunEvent.SS: (90.0 + 50 / 60, SunDirection.SETTING),
    SunEvent.EECT: (96.0, SunDirection.SETTING),
}


@dataclass(frozen=True, slots=True)
class Sky:
    """Where a zone's daylight events are looked up: at one place, or for a large zone at several.

    `generous` tells which way to err between the places, and where the sun neither rises nor sets: a zone to keep out
    of then applies rather too long, one to stay inside rather too short.
    """

    places: tuple[LatLon, ...]
    generous: bool = True

    def period(self, day: int, start: Moment, end: Moment) -> tuple[float, float] | None:
        """From `start` on a day to the first `end` after it: [begin, end) in seconds since the epoch; None: nothing.

        `day` counts from 1 January 1970: in UTC for a time of day, as the place itself counts for an event.
        """
        found = [_period(day, start, end, at) for at in self.places]
        known = [f for f in found if f is not None]
        if self.generous:
            # Without the event the whole day counts, as UTC and as the place has it, and a day from a known begin.
            spans = [f or _whole(day, start, at) for f, at in zip(found, self.places, strict=True)]
            return min(a for a, _ in spans), max(b for _, b in spans)
        if len(known) < len(found):
            return None
        begin, finish = max(a for a, _ in known), min(b for _, b in known)
        return (begin, finish) if begin < finish else None


@lru_cache(maxsize=_MOST_HELD)
def event_s(event: SunEvent, day: int, at: LatLon) -> float | None:
    """When the event is at a place, seconds since the epoch; None where the sun does not come to it that day.

    `day` counts from 1 January 1970 as the place counts: twelve hours around its own mean noon, whatever the UTC date.
    """
    zenith_deg, direction = _SIGNS[event]
    noon = _solar_midnight(day, at) + DAY_S / 2
    t = noon + (-DAY_S / 4 if direction is SunDirection.RISING else DAY_S / 4)
    try:
        # astral's own `sunrise` starts from midnight UTC, and may take the sun of the day before; this does not.
        for _ in range(3):
            century = julianday_to_juliancentury(_JULIAN_EPOCH + t / DAY_S)
            before_noon = degrees(hour_angle(at.lat_deg, sun_declination(century), zenith_deg, direction))
            t = noon - eq_of_time(century) * 60.0 - before_noon * (DAY_S / 360.0)
    except ValueError:  # the sun stays above or below that angle all day
        return None
    return t


def seconds(t: time) -> float:
    """Since midnight."""
    return t.hour * 3600 + t.minute * 60 + t.second + t.microsecond * 1e-6


def _solar_midnight(day: int, at: LatLon) -> float:
    return day * DAY_S - at.lon_deg * (DAY_S / 360.0)


@lru_cache(maxsize=_MOST_HELD)
def _period(day: int, start: Moment, end: Moment, at: LatLon) -> tuple[float, float] | None:
    begin = event_s(start, day, at) if isinstance(start, SunEvent) else day * DAY_S + seconds(start)
    if begin is None:
        return None
    finish = next((t for t in _coming(end, day, at) if begin < t <= begin + _AGAIN_S), None)
    return None if finish is None else (begin, finish)


def _coming(end: Moment, day: int, at: LatLon) -> Iterator[float]:
    for k in range(day - 1, day + 3):
        t = event_s(end, k, at) if isinstance(end, SunEvent) else k * DAY_S + seconds(end)
        if t is not None:
            yield t


def _whole(day: int, start: Moment, at: LatLon) -> tuple[float, float]:
    begin = event_s(start, day, at) if isinstance(start, SunEvent) else day * DAY_S + seconds(start)
    utc, local = float(day * DAY_S), _solar_midnight(day, at)
    return min(utc, local), max(utc, local, utc if begin is None else begin) + DAY_S
