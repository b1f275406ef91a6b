"""Zones in four dimensions: an outline, a height band with datum, and times of applicability."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from enum import StrEnum

from geofences.geodesy import LatLon
from geofences.heights import Height


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
    """Times of day in UTC on ISO weekdays (1 Monday … 7 Sunday); empty `weekdays` means every day.

    An end before the start runs past midnight. start == end means the whole day.
    """

    weekdays: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Applicability:
    """When a zone applies: within [start, end) if given, and in one of the daily periods if there are any."""

    start: datetime | None = None
    end: datetime | None = None
    daily: tuple[DailyPeriod, ...] = ()

    def applies_at(self, t_s: float) -> bool:
        """True if the period holds at t_s, seconds since the Unix epoch."""
        t = datetime.fromtimestamp(t_s, UTC)
        if (self.start is not None and t < self.start) or (self.end is not None and t >= self.end):
            return False
        return not self.daily or any(_in_daily(period, t) for period in self.daily)


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
    source: str = field(default="", compare=False)
    """where the zone came from: file and feature, for messages"""

    def applies_at(self, t_s: float) -> bool:
        return not self.applicability or any(a.applies_at(t_s) for a in self.applicability)


def _in_daily(period: DailyPeriod, t: datetime) -> bool:
    now, today = t.time(), t.isoweekday()
    yesterday = 7 if today == 1 else today - 1

    def on(day: int) -> bool:
        return not period.weekdays or day in period.weekdays

    if period.start == period.end:
        return on(today)
    if period.start < period.end:
        return on(today) and period.start <= now < period.end
    return (on(today) and now >= period.start) or (on(yesterday) and now < period.end)
