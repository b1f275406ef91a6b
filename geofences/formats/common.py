"""What the airspace codecs share: problems with place and fix, and the reading of outlines, heights and numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import hypot, isfinite
from typing import Any, NoReturn

import shapely

from geofences.geodesy import LatLon, distance_m, local_frame
from geofences.heights import M_PER_FT, Datum, Height
from geofences.volumes import Circle, Polygon, Volume, Zone

MAX_VERTICES = 10_000
"""per zone, as ASTM F3548-21 bounds a volume: more is a mistake of an exporter, and would be slow everywhere"""
MIN_AREA_M2 = 1.0
REPAIR_M = 1.0
"""a self-crossing whose loops stay within this distance of the rest is repaired: the margin flown is far larger"""
UNKNOWN_COUNTRY = "ZZZ"
"""ISO 3166-1 leaves ZZZ to users: both formats demand a country, and a zone of ours has none"""

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

    def refuse(self, field: str, text: str, fix: str) -> None:
        self.problems.append(Problem(self.source, self.feature_id, field, text, fix))

    def note(self, field: str, text: str, fix: str = "") -> None:
        self.notes.append(Problem(self.source, self.feature_id, field, text, fix))

    def add(self, zone: Zone) -> None:
        if any(z.zone_id == zone.zone_id for z in self.zones):
            self.refuse("identifier", f"the id {zone.zone_id!r} occurs twice in this file", "give each zone its own id")
        else:
            self.zones.append(zone)

    def result(self) -> ParsedAirspace:
        return ParsedAirspace(tuple(self.zones), tuple(self.problems), tuple(self.notes), self.format)

    def nothing(self, field: str, text: str, fix: str) -> ParsedAirspace:
        """The file as a whole is refused."""
        self.feature_id, self.zones = "", []
        self.refuse(field, text, fix)
        return self.result()


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
    return f"{json.dumps(head | {list_name: None})[:-5]}[\n{lines}\n]}}\n"


def number(value: Any, field: str, *, text_allowed: bool = False) -> float:
    """A finite number; with `text_allowed` also one in quotes, as real ED-269 files write them."""
    if text_allowed and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise FeatureError(field, f"{value!r} is not a number", "give a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise FeatureError(field, f"{value!r} is not a number", "give a finite number")
    return float(value)


def member(mapping: Any, name: str, field: str, kind: type | tuple[type, ...], what: str) -> Any:
    """mapping[name] of the wanted type, or a FeatureError that says what is missing."""
    if not isinstance(mapping, dict):
        raise FeatureError(field, f"this is not an object: {_short(mapping)}", f"give an object with {name!r}")
    if name not in mapping:
        raise FeatureError(f"{field}.{name}".lstrip("."), "is missing", f"add {what}")
    value = mapping[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FeatureError(f"{field}.{name}".lstrip("."), f"{_short(value)} is not {what}", f"give {what}")
    return value


def height(value: Any, reference: Any, unit: Any, field: str, *, text_allowed: bool = False) -> Height | None:
    """A limit in metres with its datum; None stays None (no limit)."""
    if value is None:
        return None
    metres = number(value, field, text_allowed=text_allowed)
    if not isinstance(unit, str) or unit.lower() not in ("m", "ft"):
        raise FeatureError(field, f"unknown unit {_short(unit)}", "give m or ft")
    if reference not in list(Datum):
        raise FeatureError(field, f"unknown vertical reference {_short(reference)}", "give AGL, AMSL or WGS84")
    return Height(metres * M_PER_FT if unit.lower() == "ft" else metres, Datum(reference))


def volume(outline: Polygon | Circle, lower: Height | None, upper: Height | None, field: str) -> Volume:
    """Refuses a band whose floor is above its top."""
    if lower is not None and upper is not None and lower.datum is upper.datum and lower.value_m > upper.value_m:
        text = f"the lower limit {lower.value_m:g} m is above the upper limit {upper.value_m:g} m"
        raise FeatureError(field, text, "swap or correct the limits")
    return Volume(outline, lower, upper)


def circle(reader: Reader, centre: Any, radius: Any, field: str) -> Circle:
    position = _position(centre, field)
    radius_m = number(radius, f"{field}.radius")
    if radius_m <= 0.0 or radius_m > 500_000.0:
        raise FeatureError(f"{field}.radius", f"a radius of {radius_m:g} m cannot be", "give metres above 0")
    _check_order(reader, [position], field)
    return Circle(_latlon(position, field), radius_m)


def polygon(reader: Reader, rings: Any, field: str) -> Polygon:
    """An outline from GeoJSON rings in lon, lat order: closed, valid, large enough; repaired only when that is sure."""
    if not isinstance(rings, list) or not rings or not all(isinstance(r, list) for r in rings):
        raise FeatureError(field, "a polygon needs a list of rings", "give [[[lon, lat], …]]")
    total = sum(len(r) for r in rings)
    if total > MAX_VERTICES:
        text = f"the outline has {total} vertices; at most {MAX_VERTICES} are read"
        raise FeatureError(field, text, "simplify the outline, outwards for a zone to keep out of")
    parsed = [[_position(p, field) for p in ring] for ring in rings]
    _check_order(reader, [p for ring in parsed for p in ring], field)
    open_rings = [_opened(ring) for ring in parsed]
    for ring in open_rings:
        if len(ring) < 3:
            raise FeatureError(field, f"a ring has {len(ring)} distinct corners", "give at least three")
        lons = [lon for lon, _ in ring]
        if max(lons) - min(lons) > 180.0:
            raise FeatureError(field, "the outline crosses the antimeridian", "cut it there into two zones")
        if max(abs(lat) for _, lat in ring) > 85.0:
            raise FeatureError(
                field, "the outline reaches beyond 85 degrees of latitude", "not supported; leave it out"
            )
    latlons = [tuple(_latlon(p, field) for p in ring) for ring in open_rings]
    return _validated(reader, Polygon(latlons[0], tuple(latlons[1:])), field)


def ring_json(ring: Sequence[LatLon]) -> list[list[float]]:
    """Closed, lon, lat."""
    return [[p.lon_deg, p.lat_deg] for p in (*ring, ring[0])]


def polygon_json(outline: Polygon) -> list[list[list[float]]]:
    return [ring_json(r) for r in (outline.outer, *outline.holes)]


def contact(entry: Json, name: str, field: str) -> str | None:
    """An optional text of an authority."""
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise FeatureError(f"{field}.{name}", f"{_short(value)} is not text", "give text in quotes")
    return value


def text_of(value: Any) -> Iterator[str]:
    """The strings in a value that is a string, a list of strings, or ED-318 texts with `text` and `lang`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from text_of(value.get("text"))
    elif isinstance(value, list):
        for item in value:
            yield from text_of(item)


def _validated(reader: Reader, outline: Polygon, field: str) -> Polygon:
    frame = local_frame(LatLon(round(outline.outer[0].lat_deg), round(outline.outer[0].lon_deg)))
    rings = [frame.to_xy(r) for r in (outline.outer, *outline.holes)]
    shape = shapely.Polygon(rings[0], rings[1:])
    if shape.is_valid:
        if shape.area < MIN_AREA_M2:
            raise FeatureError(field, f"the outline holds only {shape.area:.2g} m²", "give its true corners")
        return outline
    why = shapely.is_valid_reason(shape).split("[")[0].lower()
    parts = shapely.get_parts(shapely.make_valid(shape))
    areas = [p for p in parts if p.geom_type == "Polygon" and p.area >= MIN_AREA_M2]
    largest = max(areas, key=lambda p: p.area, default=None)
    points = shapely.MultiPoint([tuple(p) for r in rings for p in r])
    if largest is None or not largest.buffer(REPAIR_M).covers(points):
        text = f"the outline crosses or touches itself ({why}); what is meant is not clear"
        raise FeatureError(field, text, "draw the corners in order around the area, or split it into several zones")
    reader.note(field, f"the outline crosses itself ({why}) by less than {REPAIR_M:g} m and was repaired")

    def back(ring: shapely.LinearRing) -> tuple[LatLon, ...]:
        return tuple(frame.to_latlon(shapely.get_coordinates(ring)[:-1]))

    return Polygon(back(largest.exterior), tuple(back(r) for r in largest.interiors))


def _opened(ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without the repeated first point and without repeated neighbours."""
    result: list[tuple[float, float]] = []
    for point in ring:
        if not result or hypot(point[0] - result[-1][0], point[1] - result[-1][1]) > 0.0:
            result.append(point)
    while len(result) > 1 and result[0] == result[-1]:
        result.pop()
    return result


def _position(value: Any, field: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) < 2:
        raise FeatureError(field, f"{_short(value)} is not a position", "give [longitude, latitude]")
    return number(value[0], field), number(value[1], field)


def _latlon(position: tuple[float, float], field: str) -> LatLon:
    lon, lat = position
    try:
        return LatLon(lat, lon)
    except ValueError as error:
        raise FeatureError(field, str(error), "give [longitude, latitude] in degrees, in this order") from None


def _check_order(reader: Reader, positions: list[tuple[float, float]], field: str) -> None:
    area = reader.area
    if area is None or not positions:
        return
    sample = positions[:: max(1, len(positions) // 16)]
    if not any(area.holds(lat, lon) for lon, lat in sample) and all(area.holds(lon, lat) for lon, lat in sample):
        text = "latitude and longitude are in the wrong order: only swapped do they lie in the area of operation"
        raise FeatureError(field, text, "write [longitude, latitude]")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
