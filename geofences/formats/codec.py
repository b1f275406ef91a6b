"""One row per file format: how it is read and written, and what it can say.

What a format cannot say is cut down before it is written, always to the safe side (a keep-out may grow, never shrink),
and each cut is told. So `parse(dump_text(zones).text).zones == fit(zones).zones` for every format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from geofences.formats.common import AreaOfOperation, ParsedAirspace, Problem, unique_id
from geofences.formats.schedules import permanent
from geofences.heights import Datum, Height
from geofences.volumes import Applicability, Authority, Polygon, Restriction, Role, Volume, Zone

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")
_OTHER_FORMAT = "write GeoJSON, which can"


@dataclass(frozen=True, slots=True)
class Keeps:
    """What a format can say; the default is everything."""

    roles: frozenset[Role] = frozenset(Role)
    restrictions: frozenset[Restriction] = frozenset(Restriction)
    datums: frozenset[Datum] = frozenset(Datum)
    heights: bool = True
    times: bool = True
    open_zones: bool = True
    """keep-outs that restrict nothing"""
    unions: bool = True
    """several keep-ins, or one of several volumes; without, the first of one volume is kept"""
    holes: bool = True
    schedules: bool = True
    """periods of the day on weekdays; without them a zone keeps its start and end only"""
    message: bool = True
    """message and conditions"""
    authority: bool = True
    contacts: bool = True
    """several authorities with phone, email and site; without, the first one's name"""
    any_text: bool = True
    """line breaks and control characters in texts"""
    longest_id: int | None = None
    """longer ids are written in another form that `parse` reads back, but others may not"""


@dataclass(frozen=True, slots=True)
class Dumped:
    """A file's text, and what it does not say of the zones that were to be written."""

    text: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Codec:
    """A format: `name` in messages, file `extensions` with the dot, `write` for zones that fit `keeps`."""

    name: str
    extensions: tuple[str, ...]
    parse: Callable[[str, str, AreaOfOperation | None], ParsedAirspace]
    write: Callable[[Sequence[Zone]], str]
    keeps: Keeps

    def dump_text(self, zones: Sequence[Zone]) -> Dumped:
        """The zones as a file of this format, and everything that could not be said in it."""
        fitting, problems = self.fit(zones)
        return Dumped(self.write(fitting), problems)

    def fit(self, zones: Sequence[Zone]) -> tuple[tuple[Zone, ...], tuple[Problem, ...]]:
        """The zones as far as this format can say them, and a problem for each thing that it cannot."""
        fitting: list[Zone] = []
        problems: list[Problem] = []
        taken: dict[str, int] = {}
        has_keep_in = False
        for zone in zones:
            cut = _Cut(zone, self.name, taken, has_keep_in=has_keep_in)
            left = cut.fit(self.keeps)
            problems += cut.problems
            if left is not None:
                fitting.append(left)
                has_keep_in |= left.role is Role.KEEP_IN
        return tuple(fitting), tuple(problems)


class _Cut:
    """One zone on its way into a format."""

    def __init__(self, zone: Zone, format_name: str, taken: dict[str, int], *, has_keep_in: bool) -> None:
        self.zone = zone
        self.format = format_name
        self.taken = taken
        self.has_keep_in = has_keep_in
        self.problems: list[Problem] = []
        self.grown = False

    def fit(self, keeps: Keeps) -> Zone | None:
        zone = self.zone
        if not zone.volumes:
            self._leave_out("volumes", "the zone has no volume", "give it an outline")
            return None
        if zone.role not in keeps.roles:
            self._leave_out("role", f"{self.format} has no {zone.role.value} zones", _OTHER_FORMAT)
            return None
        if not keeps.open_zones and zone.role is Role.KEEP_OUT and zone.restriction is Restriction.NO_RESTRICTION:
            self._leave_out("restriction", f"{self.format} cannot show a zone that restricts nothing", _OTHER_FORMAT)
            return None
        if not keeps.unions and zone.role is Role.KEEP_IN and (self.has_keep_in or len(zone.volumes) > 1):
            self._leave_out("role", f"{self.format} has one keep-in of one volume", _OTHER_FORMAT)
            return None
        zone_id = self._text(zone.zone_id, "id", keeps)
        if not zone_id:
            self._leave_out("id", "the id is empty", "give it one")
            return None
        result = replace(
            zone,
            zone_id=unique_id(zone_id, self.taken),
            name=self._text(zone.name, "name", keeps) or zone_id,
            restriction=self._restriction(keeps),
            volumes=tuple(self._volume(v, keeps) for v in zone.volumes),
            applicability=self._applicability(keeps),
            message=self._text(zone.message if keeps.message else "", "message", keeps),
            conditions=self._text(zone.conditions if keeps.message else "", "conditions", keeps),
            authority=self._authority(keeps),
        )
        if result.zone_id != zone_id:
            self._tell("id", f"another zone has this id: written as {result.zone_id!r}", "give each its own id")
        if (zone.message or zone.conditions) and not keeps.message:
            self._tell("message", f"{self.format} has no messages or conditions", _OTHER_FORMAT)
        if keeps.longest_id is not None and len(zone.zone_id) > keeps.longest_id:
            text = f"an id has at most {keeps.longest_id} characters: a short one is written, with this one beside it"
            self._tell("id", text, "other programs will show the short one")
        if self.grown and zone.role is Role.KEEP_IN:
            self._leave_out("role", "a keep-in must not grow when written", _OTHER_FORMAT)
            return None
        return result

    def _restriction(self, keeps: Keeps) -> Restriction:
        wanted = self.zone.restriction
        if wanted in keeps.restrictions:
            return wanted
        # USPACE is the only one that formats lack; both are closed without an authorisation.
        self._tell("restriction", f"{self.format} has no {wanted}: written as REQ_AUTHORISATION", _OTHER_FORMAT)
        return Restriction.REQ_AUTHORISATION

    def _volume(self, v: Volume, keeps: Keeps) -> Volume:
        outline = v.outline
        if isinstance(outline, Polygon) and outline.holes and not keeps.holes:
            self._grow("outline", f"{self.format} has no holes: they are filled")
            outline = Polygon(outline.outer)
        return Volume(outline, self._limit(v.lower, "lower", keeps), self._limit(v.upper, "upper", keeps))

    def _limit(self, limit: Height | None, name: str, keeps: Keeps) -> Height | None:
        if limit is None or (keeps.heights and limit.datum in keeps.datums):
            return limit
        if not keeps.heights:
            self._grow(name, f"{self.format} has no heights: written without this limit")
            return None
        self._grow(name, f"{self.format} has no heights over {limit.datum}: written without this limit")
        return None

    def _applicability(self, keeps: Keeps) -> tuple[Applicability, ...]:
        periods = self.zone.applicability
        if periods and not permanent(periods) and not keeps.times:
            self._grow("times", f"{self.format} has no times: written as if it always applied")
            return ()
        if any(p.daily for p in periods) and not keeps.schedules:
            self._grow("times", f"{self.format} has no times of the day: written for the whole time between")
            periods = tuple(replace(p, daily=()) for p in periods)
        return () if permanent(periods) else periods

    def _authority(self, keeps: Keeps) -> tuple[Authority, ...]:
        listed = tuple(a for a in self.zone.authority if a != Authority(""))
        if not keeps.authority:
            if listed:
                self._tell("authority", f"{self.format} has no authorities", _OTHER_FORMAT)
            return ()
        if not keeps.contacts:
            kept = tuple(Authority(a.name) for a in listed[:1] if a.name)
            if kept != listed:
                self._tell("authority", f"{self.format} keeps one authority's name only", _OTHER_FORMAT)
            listed = kept
        return tuple(
            Authority(
                self._text(a.name, "authority.name", keeps),
                *(None if t is None else self._text(t, "authority", keeps) for t in (a.phone, a.email, a.site_url)),
            )
            for a in listed
        )

    def _text(self, text: str, field: str, keeps: Keeps) -> str:
        if keeps.any_text:
            return text
        plain = _CONTROL.sub(" ", text).strip()
        if plain != text:
            self._tell(field, f"{self.format} has no control characters, nor blanks around a text: left out", "")
        return plain

    def _grow(self, field: str, text: str) -> None:
        self.grown = True
        self._tell(field, text, _OTHER_FORMAT)

    def _tell(self, field: str, text: str, fix: str) -> None:
        self.problems.append(Problem(self.format, self.zone.zone_id, field, text, fix))

    def _leave_out(self, field: str, text: str, fix: str) -> None:
        self.problems = []
        self._tell(field, f"{text}: not written", fix)
