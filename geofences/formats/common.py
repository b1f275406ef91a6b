"""What the airspace codecs share: problems with place and fix, and the reading of outlines, heights and numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NoReturn

from geofences.geodesy import LatLon, distance_m
from geofences.heights import M_PER_FT, Datum, Height
from geofences.volumes import Circle, Polygon, Volume, Zone

MAX_HEIGHT_M = 1_000_000.0
"""further from the ground no aircraft is; files that mean "no limit" stay well below it"""
UNKNOWN_COUNTRY = "ZZZ"
"""ISO 3166-1 leaves ZZZ to users: both formats demand a country, and a zone of ours has none"""
_SURROGATE = re.compile("[\ud800-\udfff]")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that could not be used (or, among the notes, was read in a way worth knowing)."""

    source: str
    feature_id: str
    """empty: the file as a whole"""
    field: str
    text: str
    fix: str

    def __str__(self) -> str:
        place = ": ".join(x for x in (self.source, self.feature_id, self.field) if x)
        return f"{place}: {self.text}" + (f"; fix: {self.fix}" if self.fix else "")


@dataclass(frozen=True, slots=True)
class ParsedAirspace:
    """What a file holds. `problems` lists every feature that was not used; `notes` what was repaired or assumed."""

    zones: tuple[Zone, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...] = ()
    format: str = ""

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class AreaOfOperation:
    """Where zones are expected: with it, latitude and longitude in the wrong order are found."""

    centre: LatLon
    radius_m: float = 150_000.0

    def holds(self, lat: float, lon: float) -> bool:
        if not (abs(lat) <= 90.0 and abs(lon) <= 180.0):
            return False
        return distance_m(self.centre, LatLon(lat, lon)) <= self.radius_m


class FeatureError(ValueError):
    """One feature cannot be used: field, what is wrong, what to do."""

    def __init__(self, field: str, text: str, fix: str) -> None:
        super().__init__(text)
        self.field, self.text, self.fix = field, text, fix


class Reader:
    """Collects the zones, problems and notes of one file."""

    def __init__(self, source: str, format_name: str, area: AreaOfOperation | None) -> None:
        self.source = source
        self.format = format_name
        self.area = area
        self.zones: list[Zone] = []
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.feature_id = ""
        self._ids: set[str] = set()
        self._tallies: dict[tuple[str, str], list[str]] = {}

    def refuse(self, field: str, text: str, fix: str) -> None:
        self.problems.append(Problem(self.source, self.feature_id, field, text, fix))

    def note(self, field: str, text: str, fix: str = "") -> None:
        self.notes.append(Problem(self.source, self.feature_id, field, text, fix))

    def tally(self, field: str, text: str) -> None:
        """A note that may hold for many zones: it is made once, with a count and the first few of them."""
        self._tallies.setdefault((field, text), []).append(self.feature_id)

    def add(self, zone: Zone) -> None:
        if zone.zone_id in self._ids:
            self.refuse("identifier", f"the id {zone.zone_id!r} occurs twice in this file", "give each zone its own id")
        else:
            self._ids.add(zone.zone_id)
            self.zones.append(zone)

    def result(self) -> ParsedAirspace:
        for (field, text), ids in self._tallies.items():
            some = ", ".join(dict.fromkeys(ids[:5])) + (", …" if len(ids) > 5 else "")
            self.notes.append(Problem(self.source, "", field, f"{text} ({len(ids)}: {some})", ""))
        return ParsedAirspace(tuple(self.zones), tuple(self.problems), tuple(self.notes), self.format)

    def nothing(self, field: str, text: str, fix: str) -> ParsedAirspace:
        """The file as a whole is refused."""
        self.feature_id, self.zones = "", []
        self.refuse(field, text, fix)
        return self.result()


def unique_id(wanted: str, taken: dict[str, int]) -> str:
    """`wanted`, with a number behind it where a zone before has that id; for formats without ids."""
    found = wanted
    while found in taken:
        taken[wanted] += 1
        found = f"{wanted} #{taken[wanted]}"
    taken[found] = 1
    return found


def load_json(text: str, source: str) -> Json | Problem:
    """The JSON object in `text`, or what is wrong with it, with line and column."""
    try:
        document = json.loads(text, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        return Problem(source, "", place, f"this is not JSON: {error.msg}", "correct the file at that place")
    except (ValueError, RecursionError) as error:
        return Problem(source, "", "", f"this is not JSON: {error}", "write plain JSON with finite numbers")
    if not isinstance(document, dict):
        return Problem(source, "", "", "the file is not a JSON object", "give an ED-318, ED-269 or GeoJSON collection")
    return document


def collection_text(head: Json, list_name: str, features: Iterable[Json]) -> str:
    """A JSON object whose long list stands one feature to a line, so that files can be compared by line."""
    lines = ",\n".join(json.dumps(f, ensure_ascii=False, allow_nan=False) for f in features)
    # A lone surrogate from a file's escapes is no UTF-8; as an escape it can be written again.
    lines = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", lines)
    return f"{json.dumps(head | {list_name: None})[:-5]}[\n{lines}\n]}}\n"


def number(value: Any, field: str, *, text_allowed: bool = False) -> float:
    """A finite number; with `text_allowed` also one in quotes, as real ED-269 files write them."""
    if text_allowed and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise FeatureError(field, f"{short(value)} is not a number", "give a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FeatureError(field, f"{short(value)} is not a number", "give a number")
    try:
        result = float(value)
    except OverflowError:  # JSON may hold an integer of any length
        result = inf
    if not isfinite(result):
        raise FeatureError(field, f"{short(value)} is not a finite number", "give a finite number")
    return result


def member(mapping: Any, name: str, field: str, kind: type | tuple[type, ...], what: str) -> Any:
    """mapping[name] of the wanted type, or a FeatureError that says what is missing."""
    if not isinstance(mapping, dict):
        raise FeatureError(field, f"this is not an object: {short(mapping)}", f"give an object with {name!r}")
    if name not in mapping:
        raise FeatureError(f"{field}.{name}".lstrip("."), "is missing", f"add {what}")
    value = mapping[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FeatureError(f"{field}.{name}".lstrip("."), f"{short(value)} is not {what}", f"give {what}")
    return value


def height(value: Any, reference: Any, unit: Any, field: str, *, text_allowed: bool = False) -> Height | None:
    """A limit in metres with its datum; None stays None (no limit)."""
    if value is None:
        return None
    metres = number(value, field, text_allowed=text_allowed)
    if not isinstance(unit, str) or unit.lower() not in ("m", "ft"):
        raise FeatureError(field, f"unknown unit {short(unit)}", "give m or ft")
    if reference not in list(Datum):
        raise FeatureError(field, f"unknown vertical reference {short(reference)}", "give AGL, AMSL or WGS84")
    if unit.lower() == "ft":
        metres *= M_PER_FT
    if abs(metres) > MAX_HEIGHT_M:
        raise FeatureError(field, f"{metres:g} m is no height", "leave the limit out if there is none")
    return Height(metres, Datum(reference))


def volume(outline: Polygon | Circle, lower: Height | None, upper: Height | None, field: str) -> Volume:
    """Refuses a band whose floor is above its top."""
    if lower is not None and upper is not None and lower.datum is upper.datum and lower.value_m > upper.value_m:
        text = f"the lower limit {lower.value_m:g} m is above the upper limit {upper.value_m:g} m"
        raise FeatureError(field, text, "swap or correct the limits")
    return Volume(outline, lower, upper)


def contact(entry: Json, name: str, field: str) -> str | None:
    """An optional text of an authority."""
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise FeatureError(f"{field}.{name}", f"{short(value)} is not text", "give text in quotes")
    return value


def text_of(value: Any) -> Iterator[str]:
    """The strings in a value that is a string, a list of strings, or ED-318 texts with `text` and `lang`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, list):
                yield from text_of(item)


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
