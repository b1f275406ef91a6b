"""Coldwing's own GeoJSON (RFC 7946): each feature is one volume; features with one `id` make one zone.

Properties: `id`; `role` keep_out | keep_in; `name`; `restriction` (default PROHIBITED for a keep-out); `lower_m` with
`lower_datum`, `upper_m` with `upper_datum` (AGL, AMSL, WGS84; a limit left out means no limit); `times`, a list of
`{start, end, daily: [{day, startTime, endTime}]}`; `message`; `authority`; and `radius_m` for a Point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from geofences.formats import schedules
from geofences.formats.codec import Keeps
from geofences.formats.common import (
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
    volume,
)
from geofences.formats.outlines import circle, polygon, polygon_json
from geofences.heights import Height
from geofences.volumes import Applicability, Authority, Circle, Restriction, Role, Volume, Zone

NAME = "GeoJSON"
KEEPS = Keeps()


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones of a FeatureCollection, or of a single Feature."""
    reader = Reader(source, NAME, area)
    document = load_json(text, source)
    if isinstance(document, Problem):
        return ParsedAirspace((), (document,), (), NAME)
    features = [document] if document.get("type") == "Feature" else document.get("features")
    if not isinstance(features, list):
        return reader.nothing("features", "this is not a GeoJSON FeatureCollection", "give type and features")
    zones: dict[str, Zone] = {}
    broken: set[str] = set()
    for i, feature in enumerate(features):
        reader.feature_id = f"feature {i + 1}"
        try:
            zone = _zone(reader, feature)
        except FeatureError as error:
            broken.add(reader.feature_id)
            reader.refuse(error.field, error.text, error.fix)
            continue
        known = zones.get(zone.zone_id)
        if known is None:
            zones[zone.zone_id] = zone
        elif replace(known, volumes=()) == replace(zone, volumes=()):
            zones[zone.zone_id] = replace(known, volumes=known.volumes + zone.volumes)
        else:
            text = "features of this id differ in more than their volume"
            reader.refuse("properties", text, "give them the same properties, or different ids")
            broken.add(zone.zone_id)
    # Half a zone would be worse than none: it would look as if it had been read.
    reader.zones = [z for z in zones.values() if z.zone_id not in broken]
    return reader.result()


def dump(zones: Sequence[Zone]) -> Json:
    """A FeatureCollection that `parse` reads back to equal zones."""
    return {"type": "FeatureCollection", "features": [_feature(z, v) for z in zones for v in z.volumes]}


def write(zones: Sequence[Zone]) -> str:
    """`dump` as text, one feature to a line."""
    return collection_text({"type": "FeatureCollection"}, "features", dump(zones)["features"])


def _zone(reader: Reader, feature: Any) -> Zone:
    properties = member(feature, "properties", "", dict, "the zone's properties")
    zone_id = properties.get("id", feature.get("id"))
    if not isinstance(zone_id, str) or not zone_id:
        raise FeatureError("properties.id", "is missing", "give the zone an id (text)")
    reader.feature_id = zone_id
    role = properties.get("role")
    if role not in list(Role):
        raise FeatureError("properties.role", f"{role!r} is not a role", "give keep_out or keep_in")
    default = Restriction.PROHIBITED if role == Role.KEEP_OUT else Restriction.NO_RESTRICTION
    restriction = properties.get("restriction", default)
    if restriction not in list(Restriction):
        fix = f"give one of {', '.join(Restriction)}"
        raise FeatureError("properties.restriction", f"unknown restriction {restriction!r}", fix)
    return Zone(
        zone_id=zone_id,
        name=_string(properties, "name") or zone_id,
        restriction=Restriction(restriction),
        volumes=tuple(_volumes(reader, feature.get("geometry"), properties)),
        role=Role(role),
        applicability=_applicability(reader, properties.get("times")),
        message=_string(properties, "message"),
        authority=tuple(_authorities(properties.get("authority"))),
        source=f"{reader.source}: {zone_id}",
    )


def _volumes(reader: Reader, geometry: Any, properties: Json) -> Iterator[Volume]:
    lower, upper = _limit(properties, "lower"), _limit(properties, "upper")
    kind = member(geometry, "type", "geometry", str, "a geometry type")
    coordinates = geometry.get("coordinates")
    if kind == "Polygon":
        yield volume(polygon(reader, coordinates, "geometry"), lower, upper, "properties.lower_m")
    elif kind == "MultiPolygon":
        for part in member(geometry, "coordinates", "geometry", list, "a list of polygons"):
            yield volume(polygon(reader, part, "geometry"), lower, upper, "properties.lower_m")
    elif kind == "Point":
        if "radius_m" not in properties:
            raise FeatureError("properties.radius_m", "is missing", "give a Point its radius in metres")
        outline = circle(reader, coordinates, properties["radius_m"], "geometry")
        yield volume(outline, lower, upper, "properties.lower_m")
    else:
        text = f"a {kind} has no inside"
        raise FeatureError("geometry.type", text, "give a Polygon, MultiPolygon, or a Point with radius_m")


def _limit(properties: Json, name: str) -> Height | None:
    value = properties.get(f"{name}_m")
    if value is not None and properties.get(f"{name}_datum") is None:
        raise FeatureError(f"properties.{name}_datum", "is missing", "give AGL, AMSL or WGS84")
    return height(value, properties.get(f"{name}_datum"), "m", f"properties.{name}_m")


def _applicability(reader: Reader, value: Any) -> tuple[Applicability, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FeatureError("properties.times", "is not a list", "give a list of {start, end, daily}")
    periods = []
    for i, entry in enumerate(value):
        field = f"properties.times[{i}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("daily", []), list):
            raise FeatureError(field, "is not an object", "give {start, end, daily: […]}")
        daily = [schedules.daily_period(reader, e, f"{field}.daily[{k}]") for k, e in enumerate(entry.get("daily", []))]
        periods.append(schedules.applicability(entry.get("start"), entry.get("end"), daily, field, ("start", "end")))
    return () if schedules.permanent(tuple(periods)) else tuple(periods)


def _authorities(value: Any) -> Iterator[Authority]:
    if value is not None and not isinstance(value, list):
        raise FeatureError("properties.authority", "is not a list", "give a list of {name, phone, email, site_url}")
    for i, entry in enumerate(value or []):
        field = f"properties.authority[{i}]"
        name = member(entry, "name", field, str, "the authority's name")
        yield Authority(name, *(contact(entry, k, field) for k in ("phone", "email", "site_url")))


def _string(properties: Json, name: str) -> str:
    value = properties.get(name, "")
    if not isinstance(value, str):
        raise FeatureError(f"properties.{name}", f"{value!r} is not text", "give text in quotes")
    return value


def _feature(zone: Zone, v: Volume) -> Json:
    properties: Json = {
        "id": zone.zone_id,
        "name": zone.name,
        "role": zone.role.value,
        "restriction": zone.restriction.value,
    }
    for name, limit in (("lower", v.lower), ("upper", v.upper)):
        if limit is not None:
            properties |= {f"{name}_m": limit.value_m, f"{name}_datum": limit.datum.value}
    if zone.applicability:
        properties["times"] = [_period(a) for a in zone.applicability]
    if zone.message:
        properties["message"] = zone.message
    if zone.authority:
        properties["authority"] = [
            {"name": a.name, "phone": a.phone, "email": a.email, "site_url": a.site_url} for a in zone.authority
        ]
    if isinstance(v.outline, Circle):
        centre = v.outline.centre
        properties["radius_m"] = v.outline.radius_m
        geometry: Json = {"type": "Point", "coordinates": [centre.lon_deg, centre.lat_deg]}
    else:
        geometry = {"type": "Polygon", "coordinates": polygon_json(v.outline)}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _period(a: Applicability) -> Json:
    period: Json = {}
    if a.start is not None:
        period["start"] = schedules.instant_json(a.start)
    if a.end is not None:
        period["end"] = schedules.instant_json(a.end)
    if a.daily:
        period["daily"] = [schedules.daily_json(d) for d in a.daily]
    return period
