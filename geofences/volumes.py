"""Zones in four dimensions: an outline, a height band with datum, and times of applicability."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import cos, radians

from geofences.daylight import DAY_S, Moment, Sky, SunEvent
from geofences.geodesy import Box, LatLon, distance_m
from geofences.heights import Height

_SMALL_M = 50_000.0
"""across so much the sun rises within 3 minutes at 45°: a smaller zone has the daylight of its middle"""
_M_PER_DEG = 110_500.0
"""of latitude, at least: 110.57 km at the equator"""
_NO_SKY = Sky(())


class Restriction(StrEnum):
    """ED-269 / ED-318 zone types, in ED-269 spelling."""

    PROHIBITED = "PROHIBITED"
    REQ_AUTHORISATION = "REQ_AUTHORISATION"
    CONDITIONAL = "CONDITIONAL"
    USPACE = "USPACE"
    NO_RESTRICTION = "NO_RESTRICTION"


class Role(StrEnum):
    """Whether one must stay out of a zone or inside it. Several keep-ins mean their union."""

    KEEP_OUT = "keep_out"
    KEEP_IN = "keep_in"


@dataclass(frozen=True, slots=True)
class Polygon:
    """Outer ring and holes, each a tuple of at least three positions, not closed (first point not repeated)."""

    outer: tuple[LatLon, ...]
    holes: tuple[tuple[LatLon, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Circle:
    centre: LatLon
    radius_m: float


@dataclass(frozen=True, slots=True)
class Volume:
    """An outline between two heights; None as a limit, or one that cannot be resolved, means all heights."""

    outline: Polygon | Circle
    lower: Height | None = None
    upper: Height | None = None


@dataclass(frozen=True, slots=True)
class DailyPeriod:
    """From a time of day in UTC or a daylight event to another, on ISO weekdays (1 Monday … 7 Sunday; none: every day).

    The weekday is that of the start: an end before it runs past midnight. Two equal times of day mean the whole day.
    """

    weekdays: frozenset[int]
    start: Moment
    end: Moment

    @property
    def by_sun(self) -> bool:
        """Whether the place must be known to tell when it is."""
        return isinstance(self.start, SunEvent) or isinstance(self.end, SunEvent)

    def on(self, day: int) -> bool:
        """Whether it begins on a day, counted from 1 January 1970, a Thursday."""
        return not self.weekdays or (day + 3) % 7 + 1 in self.weekdays


@dataclass(frozen=True, slots=True)
class Applicability:
    """When a zone applies: within [start, end) if given, and in one of the daily periods if there are any."""

    start: datetime | None = None
    end: datetime | None = None
    daily: tuple[DailyPeriod, ...] = ()

    def applies_at(self, t_s: float, sky: Sky = _NO_SKY) -> bool:
        """True if the period holds at t_s, seconds since the Unix epoch, under a zone's sky."""
        t = datetime.fromtimestamp(t_s, UTC)
        if (self.start is not None and t < self.start) or (self.end is not None and t >= self.end):
            return False
        return not self.daily or any(_in_daily(p, t, t_s, sky) for p in self.daily)


@dataclass(frozen=True, slots=True)
class Authority:
    name: str
    phone: str | None = None
    email: str | None = None
    site_url: str | None = None


@dataclass(frozen=True, slots=True)
class Zone:
    """A UAS geographical zone. Empty `applicability` means permanently."""

    zone_id: str
    name: str
    restriction: Restriction
    volumes: tuple[Volume, ...]
    role: Role = Role.KEEP_OUT
    applicability: tuple[Applicability, ...] = ()
    message: str = ""
    authority: tuple[Authority, ...] = ()
    conditions: str = ""
    """under which one may fly there, in words"""
    source: str = field(default="", compare=False)
    """where the zone came from: file and feature, for messages"""
    sky: Sky = field(default=_NO_SKY, init=False, repr=False, compare=False)
    """where its daylight events are; empty without any"""

    def __post_init__(self) -> None:
        if any(period.by_sun for a in self.applicability for period in a.daily):
            object.__setattr__(self, "sky", _sky(self.volumes, self.role))

    def applies_at(self, t_s: float) -> bool:
        return not self.applicability or any(a.applies_at(t_s, self.sky) for a in self.applicability)


def _in_daily(period: DailyPeriod, t: datetime, t_s: float, sky: Sky) -> bool:
    if isinstance(period.start, SunEvent) or isinstance(period.end, SunEvent):
        today_utc = int(t_s // DAY_S)
        spans = (sky.period(d, period.start, period.end) for d in range(today_utc - 2, today_utc + 2) if period.on(d))
        return any(s is not None and s[0] <= t_s < s[1] for s in spans)
    now, today = t.time(), t.isoweekday()
    yesterday = 7 if today == 1 else today - 1

    def on(day: int) -> bool:
        return not period.weekdays or day in period.weekdays

    if period.start == period.end:
        return on(today)
    if period.start < period.end:
        return on(today) and period.start <= now < period.end
    return (on(today) and now >= period.start) or (on(yesterday) and now < period.end)


def box_of(*outlines: Polygon | Circle) -> Box:
    """The box around outlines, at most the whole world; a little larger than a circle."""
    south, west, north, east = 90.0, 180.0, -90.0, -180.0
    for outline in outlines:
        reach, ring = (outline.radius_m, (outline.centre,)) if isinstance(outline, Circle) else (0.0, outline.outer)
        up = reach / _M_PER_DEG
        for p in ring:
            across = up / max(0.01, cos(radians(min(90.0, abs(p.lat_deg) + up))))
            south, north = min(south, p.lat_deg - up), max(north, p.lat_deg + up)
            west, east = min(west, p.lon_deg - across), max(east, p.lon_deg + across)
    return Box(max(-90.0, south), max(-180.0, west), min(90.0, north), min(180.0, east))


def _sky(volumes: tuple[Volume, ...], role: Role) -> Sky:
    """The middle of a zone, to 0.1° (12 s) so that neighbours share it; for a large one the corners of its box too."""
    box = box_of(*(v.outline for v in volumes))
    a, b, c, d = box.corners
    small = max(distance_m(a, d), distance_m(b, c)) <= _SMALL_M
    middle = LatLon(round(box.middle.lat_deg, 1), round(box.middle.lon_deg, 1))
    return Sky((middle,) if small else (middle, *box.corners), generous=role is Role.KEEP_OUT)
