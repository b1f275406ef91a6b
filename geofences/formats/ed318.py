"""ED-318 (EUROCAE, GeoJSON with layers): UAS geographical zones.

A keep-in is not part of ED-318. Its `extendedProperties` hold `"coldwing:role": "keep_in"`, and its restriction should
be NO_RESTRICTION: a reader that does not know this sees a zone that restricts nothing. An id of more than 7 characters
is kept there too, as `coldwing:id`, and the identifier is made from its hash.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from geofences.formats import schedules
from geofences.formats.codec import Keeps
from geofences.formats.common import (
    UNKNOWN_COUNTRY,
    AreaOfOperation,
    FeatureError,
    Json,
    ParsedAirspace,
    Problem,
    Reader,
    collection_text,
    contact,
    height,
    load_json,
    member,
    text_of,
    volume,
)
from geofences.formats.outlines import circle, polygon, polygon_json
from geofences.heights import Height
from geofences.volumes import Applicability, Authority, Circle, Restriction, Role, Volume, Zone

NAME = "ED-318"
ROLE_PROPERTY = "coldwing:role"
ID_PROPERTY = "coldwing:id"
MAX_IDENTIFIER = 7
"""Schema_GeoZoneProperties.json: identifier.maxLength"""
MAX_DEPTH = 8
KEEPS = Keeps(longest_id=MAX_IDENTIFIER)

_TYPES = {
    "PROHIBITED": Restriction.PROHIBITED,
    "REQ_AUTHORIZATION": Restriction.REQ_AUTHORISATION,
    "CONDITIONAL": Restriction.CONDITIONAL,
    "USPACE": Restriction.USPACE,
    "NO_RESTRICTION": Restriction.NO_RESTRICTION,
}
_TYPE_NAMES = {v: k for k, v in _TYPES.items()}
_LANG = "en-GB"


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones of an ED-318 collection. A file with broken metadata is refused as a whole: its validity matters."""
    document = load_json(text, source)
    if isinstance(document, Problem):
        return ParsedAirspace((), (document,), (), NAME)
    return read(document, source, area)


def read(document: Json, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """`parse` for JSON that has been read."""
    reader = Reader(source, NAME, area)
    features = document.get("features")
    if document.get("type") != "FeatureCollection" or not isinstance(features, list):
        return reader.nothing("features", "this is not a FeatureCollection", "give type and features")
    _metadata(reader, document.get("metadata", {}))
    broken = bool(reader.problems)
    for i, feature in enumerate(features):
        reader.feature_id = f"feature {i + 1}"
        try:
            reader.add(_zone(reader, feature))
        except FeatureError as error:
            reader.refuse(error.field, error.text, error.fix)
    if broken:
        reader.zones.clear()
    return reader.result()


def write(zones: Sequence[Zone]) -> str:
    """An ED-318 collection, one feature to a line, that `parse` reads back to equal zones."""
    return collection_text({"type": "FeatureCollection"}, "features", (_feature(z) for z in zones))


def _metadata(reader: Reader, metadata: Any) -> None:
    if not isinstance(metadata, dict):
        reader.refuse("metadata", "is not an object", "give an object or leave it out")
        return
    for name in ("validFrom", "validTo", "issued"):
        if metadata.get(name) is None:
            continue
        try:
            schedules.instant(metadata[name], f"metadata.{name}")
        except FeatureError as error:
            reader.refuse(error.field, error.text, error.fix)
    if "technicalLimitation" in metadata:  # as the Swiss file spells it; the schema has technicalLimitations
        reader.note("metadata.technicalLimitation", "; ".join(text_of(_english(metadata["technicalLimitation"]))))


def _zone(reader: Reader, feature: Any) -> Zone:
    properties = member(feature, "properties", "", dict, "the zone's properties")
    zone_id = member(properties, "identifier", "properties", str, "the zone's identifier")
    extended = properties.get("extendedProperties")
    extended = extended if isinstance(extended, dict) else {}
    zone_id = (
        member(extended, ID_PROPERTY, "properties.extendedProperties", str, "the id")
        if ID_PROPERTY in extended
        else zone_id
    )
    reader.feature_id = zone_id
    if not zone_id:
        raise FeatureError("properties.identifier", "is empty", "give the zone's identifier")
    if len(zone_id) > MAX_IDENTIFIER and ID_PROPERTY not in extended:
        reader.note("properties.identifier", f"longer than the {MAX_IDENTIFIER} characters of ED-318; read as it is")
    kind = member(properties, "type", "properties", str, "the zone's type")
    if kind not in _TYPES:
        hint = "REQ_AUTHORIZATION is written with a Z in ED-318; " if kind == "REQ_AUTHORISATION" else ""
        raise FeatureError("properties.type", f"unknown type {kind!r}", f"{hint}give one of {', '.join(_TYPES)}")
    role = extended.get(ROLE_PROPERTY, Role.KEEP_OUT)
    if role not in list(Role):
        field = f"properties.extendedProperties.{ROLE_PROPERTY}"
        raise FeatureError(field, f"unknown role {role!r}", "give keep_in or keep_out")
    return Zone(
        zone_id=zone_id,
        name=_text(properties.get("name"), "properties.name") or zone_id,
        restriction=_TYPES[kind],
        volumes=tuple(_volumes(reader, feature.get("geometry"), "geometry")),
        role=Role(role),
        applicability=_applicability(properties.get("limitedApplicability")),
        message=_text(properties.get("message"), "properties.message"),
        authority=tuple(_authorities(properties.get("zoneAuthority"))),
        conditions="; ".join(text_of(properties.get("restrictionConditions"))),
        source=f"{reader.source}: {zone_id}",
    )


def _volumes(reader: Reader, geometry: Any, field: str, depth: int = 0) -> Iterator[Volume]:
    kind = member(geometry, "type", field, str, "a geometry type")
    if depth > MAX_DEPTH:
        raise FeatureError("geometry", f"collections are nested more than {MAX_DEPTH} deep", "flatten them")
    if kind == "GeometryCollection":
        parts = member(geometry, "geometries", field, list, "a list of geometries")
        if not parts:
            raise FeatureError(field, "the collection is empty", "give at least one geometry")
        for i, part in enumerate(parts):
            yield from _volumes(reader, part, f"{field}.geometries[{i}]", depth + 1)
        return
    lower, upper = _layer(geometry.get("layer"), f"{field}.layer")
    coordinates = geometry.get("coordinates")
    if kind == "Polygon":
        yield volume(polygon(reader, coordinates, field), lower, upper, f"{field}.layer")
    elif kind == "MultiPolygon":
        for part in member(geometry, "coordinates", field, list, "a list of polygons"):
            yield volume(polygon(reader, part, field), lower, upper, f"{field}.layer")
    elif kind == "Point":
        extent = member(geometry, "extent", field, dict, "extent with subType Circle and a radius")
        if extent.get("subType") != "Circle":
            raise FeatureError(f"{field}.extent.subType", f"unknown {extent.get('subType')!r}", "give Circle")
        yield volume(circle(reader, coordinates, extent.get("radius"), field), lower, upper, f"{field}.layer")
    else:
        text = f"a {kind} has no inside"
        raise FeatureError(f"{field}.type", text, "give a Polygon, MultiPolygon, or Point with extent")


def _layer(layer: Any, field: str) -> tuple[Height | None, Height | None]:
    if layer is None:
        return None, None
    if not isinstance(layer, dict):
        raise FeatureError(field, "is not an object", "give upper, lower and their references")
    unit = layer.get("uom", "m")
    lower = height(layer.get("lower"), layer.get("lowerReference"), unit, f"{field}.lower")
    upper = height(layer.get("upper"), layer.get("upperReference"), unit, f"{field}.upper")
    return lower, upper


def _applicability(value: Any) -> tuple[Applicability, ...]:
    if value is None:
        return ()
    field = "properties.limitedApplicability"
    if not isinstance(value, list):
        raise FeatureError(field, "is not a list", "give a list of periods")
    periods = []
    for i, entry in enumerate(value):
        here = f"{field}[{i}]"
        if not isinstance(entry, dict):
            raise FeatureError(here, "is not an object", "give startDateTime, endDateTime or schedule")
        schedule = entry.get("schedule") or []
        if not isinstance(schedule, list):
            raise FeatureError(f"{here}.schedule", "is not a list", "give a list of daily periods")
        daily = [schedules.daily_period(e, f"{here}.schedule[{k}]") for k, e in enumerate(schedule)]
        names = ("startDateTime", "endDateTime")
        periods.append(schedules.applicability(entry.get(names[0]), entry.get(names[1]), daily, here, names))
    return () if schedules.permanent(tuple(periods)) else tuple(periods)


def _authorities(value: Any) -> Iterator[Authority]:
    if not isinstance(value, list):
        raise FeatureError("properties.zoneAuthority", "is missing", "name at least one authority with its purpose")
    for i, entry in enumerate(value):
        field = f"properties.zoneAuthority[{i}]"
        if not isinstance(entry, dict):
            raise FeatureError(field, "is not an object", "give name and purpose")
        name = _text(entry.get("name"), f"{field}.name")
        found = Authority(name, *(contact(entry, k, field) for k in ("phone", "email", "siteURL")))
        if found != Authority(""):
            yield found


def _text(value: Any, field: str) -> str:
    """The English text of a list of texts, or the first. A text without a language is an error of the schema."""
    if value is None:
        return ""
    if not isinstance(value, list):
        raise FeatureError(field, "is not a list of texts", 'give [{"text": …, "lang": "en-GB"}]')
    for entry in value:
        if not isinstance(entry, dict) or not isinstance(entry.get("lang"), str):
            raise FeatureError(field, "a text has no lang", 'give [{"text": …, "lang": "en-GB"}]')
    return next(iter(text_of(_english(value))), "")


def _english(value: Any) -> Any:
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict) and str(entry.get("lang", "")).startswith("en"):
                return entry
        return value[:1]
    return value


def _short_id(zone_id: str) -> str:
    """Seven characters for a longer id, the same each time: 35 bits of its hash."""
    return b32encode(sha256(zone_id.encode()).digest()).decode()[:MAX_IDENTIFIER]


def _feature(zone: Zone) -> Json:
    is_long = len(zone.zone_id) > MAX_IDENTIFIER
    extended = {ID_PROPERTY: zone.zone_id} if is_long else {}
    if zone.role is Role.KEEP_IN:
        extended[ROLE_PROPERTY] = zone.role.value
    geometries = [_geometry(v) for v in zone.volumes]
    properties: Json = {
        "identifier": _short_id(zone.zone_id) if is_long else zone.zone_id,
        "country": UNKNOWN_COUNTRY,
        "name": _texts(zone.name),
        "type": _TYPE_NAMES[zone.restriction],
        "variant": "COMMON",
        "zoneAuthority": [_authority(zone, a) for a in zone.authority or (Authority(""),)],
    }
    if zone.conditions:
        properties["restrictionConditions"] = zone.conditions
    if zone.message:
        properties["message"] = _texts(zone.message)
    if zone.applicability:
        properties["limitedApplicability"] = [_period(a) for a in zone.applicability]
    if extended:
        properties["extendedProperties"] = extended
    geometry = geometries[0] if len(geometries) == 1 else {"type": "GeometryCollection", "geometries": geometries}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _geometry(v: Volume) -> Json:
    if isinstance(v.outline, Circle):
        centre = v.outline.centre
        shape: Json = {
            "type": "Point",
            "coordinates": [centre.lon_deg, centre.lat_deg],
            "extent": {"subType": "Circle", "radius": v.outline.radius_m},
        }
    else:
        shape = {"type": "Polygon", "coordinates": polygon_json(v.outline)}
    layer: Json = {}
    for name, limit in (("upper", v.upper), ("lower", v.lower)):
        if limit is not None:
            layer |= {name: limit.value_m, f"{name}Reference": limit.datum.value}
    return shape | ({"layer": layer | {"uom": "m"}} if layer else {})


def _period(a: Applicability) -> Json:
    period: Json = {}
    if a.start is not None:
        period["startDateTime"] = schedules.instant_json(a.start)
    if a.end is not None:
        period["endDateTime"] = schedules.instant_json(a.end)
    if a.daily:
        period["schedule"] = [schedules.daily_json(d) for d in a.daily]
    return period


def _authority(zone: Zone, a: Authority) -> Json:
    purpose = "AUTHORIZATION" if zone.restriction is Restriction.REQ_AUTHORISATION else "INFORMATION"
    optional = {"phone": a.phone, "email": a.email, "siteURL": a.site_url}
    named: Json = {"name": _texts(a.name)} if a.name else {}
    return named | {k: v for k, v in optional.items() if v is not None} | {"purpose": purpose}


def _texts(text: str) -> list[Json]:
    return [{"text": text, "lang": _LANG}]
