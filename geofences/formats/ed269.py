"""ED-269 (EUROCAE, JSON): UAS geographical zones as many states still publish them.

Read with the liberties of real files: limits as strings, `upperLimit: null`, `day: []`, two forms of times, the list of
zones under `UASZoneList` or `features`. Coordinates are lon, lat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from geofences.heights import Datum
from geofences.volumes import Applicability, Authority, Circle, Restriction, Role, Volume, Zone

NAME = "ED-269"
_RESTRICTIONS = {r.value: r for r in Restriction if r is not Restriction.USPACE}
KEEPS = Keeps(
    roles=frozenset({Role.KEEP_OUT}),
    restrictions=frozenset(_RESTRICTIONS.values()),
    datums=frozenset({Datum.AGL, Datum.AMSL}),
)


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones of an ED-269 file."""
    document = load_json(text, source)
    if isinstance(document, Problem):
        return ParsedAirspace((), (document,), (), NAME)
    return read(document, source, area)


def read(document: Json, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """`parse` for JSON that has been read."""
    reader = Reader(source, NAME, area)
    features = document.get("UASZoneList", document.get("features"))
    if not isinstance(features, list):
        return reader.nothing("UASZoneList", "there is no list of zones", "give UASZoneList")
    for i, feature in enumerate(features):
        reader.feature_id = f"zone {i + 1}"
        try:
            reader.add(_zone(reader, feature))
        except FeatureError as error:
            reader.refuse(error.field, error.text, error.fix)
    return reader.result()


def write(zones: Sequence[Zone]) -> str:
    """An ED-269 file, one zone to a line, that `parse` reads back to equal zones; they must fit `KEEPS`."""
    return collection_text({"formatVersion": "1.0.0"}, "UASZoneList", (_feature(z) for z in zones))


def _zone(reader: Reader, feature: Any) -> Zone:
    zone_id = member(feature, "identifier", "", str, "the zone's identifier")
    reader.feature_id = zone_id
    if not zone_id:
        raise FeatureError("identifier", "is empty", "give the zone's identifier")
    restriction = member(feature, "restriction", "", str, "the zone's restriction")
    if restriction not in _RESTRICTIONS:
        fix = f"give one of {', '.join(_RESTRICTIONS)}"
        raise FeatureError("restriction", f"unknown restriction {restriction!r}", fix)
    geometries = member(feature, "geometry", "", list, "a list of geometries")
    if not geometries:
        raise FeatureError("geometry", "is empty", "give at least one geometry")
    return Zone(
        zone_id=zone_id,
        name=next(iter(text_of(feature.get("name"))), "") or zone_id,
        restriction=_RESTRICTIONS[restriction],
        volumes=tuple(_volume(reader, g, f"geometry[{i}]") for i, g in enumerate(geometries)),
        applicability=_applicability(feature.get("applicability")),
        message=next(iter(text_of(feature.get("message"))), ""),
        authority=tuple(_authorities(feature.get("zoneAuthority"))),
        conditions="; ".join(text_of(feature.get("restrictionConditions"))),
        source=f"{reader.source}: {zone_id}",
    )


def _volume(reader: Reader, geometry: Any, field: str) -> Volume:
    shape = member(geometry, "horizontalProjection", field, dict, "a Polygon or Circle")
    unit = member(geometry, "uomDimensions", field, str, "M or FT")
    limits = [
        height(
            geometry.get(f"{name}Limit"),
            geometry.get(f"{name}VerticalReference"),
            unit,
            f"{field}.{name}Limit",
            text_allowed=True,
        )
        for name in ("lower", "upper")
    ]
    here = f"{field}.horizontalProjection"
    kind = shape.get("type")
    if kind == "Polygon":
        outline: Any = polygon(reader, shape.get("coordinates"), here)
    elif kind == "Circle":
        outline = circle(reader, shape.get("center"), shape.get("radius"), here)
    else:
        raise FeatureError(f"{here}.type", f"unknown shape {kind!r}", "give Polygon or Circle")
    return volume(outline, limits[0], limits[1], field)


def _applicability(value: Any) -> tuple[Applicability, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FeatureError("applicability", "is not a list", "give a list of periods")
    periods = []
    for i, entry in enumerate(value):
        field = f"applicability[{i}]"
        if not isinstance(entry, dict):
            raise FeatureError(field, "is not an object", "give permanent, or start, end and dailyPeriod")
        if entry.get("permanent") == "YES":
            return ()
        listed = entry.get("dailyPeriod") or []
        if not isinstance(listed, list):
            raise FeatureError(f"{field}.dailyPeriod", "is not a list", "give a list of daily periods")
        daily = [schedules.daily_period(e, f"{field}.dailyPeriod[{k}]") for k, e in enumerate(listed)]
        names = ("startDateTime", "endDateTime")
        periods.append(schedules.applicability(entry.get(names[0]), entry.get(names[1]), daily, field, names))
    return () if schedules.permanent(tuple(periods)) else tuple(periods)


def _authorities(value: Any) -> Iterator[Authority]:
    entries = [value] if isinstance(value, dict) else value or []
    if not isinstance(entries, list):
        raise FeatureError("zoneAuthority", "is not a list", "give a list of authorities")
    for i, entry in enumerate(entries):
        field = f"zoneAuthority[{i}]"
        if not isinstance(entry, dict):
            raise FeatureError(field, "is not an object", "give name, phone, email or siteURL")
        name = next(iter(text_of(entry.get("name"))), "")
        found = Authority(name, *(contact(entry, k, field) for k in ("phone", "email", "siteURL")))
        if found != Authority(""):
            yield found


def _feature(zone: Zone) -> Json:
    return {
        "identifier": zone.zone_id,
        "country": UNKNOWN_COUNTRY,
        "name": zone.name,
        "type": "COMMON",
        "restriction": zone.restriction.value,
        "restrictionConditions": zone.conditions or None,
        "message": zone.message or None,
        "applicability": [_period(a) for a in zone.applicability] or [{"permanent": "YES"}],
        "zoneAuthority": [
            {"name": a.name, "phone": a.phone, "email": a.email, "siteURL": a.site_url} for a in zone.authority
        ],
        "geometry": [_geometry(v) for v in zone.volumes],
    }


def _geometry(v: Volume) -> Json:
    if isinstance(v.outline, Circle):
        centre = v.outline.centre
        shape: Json = {
            "type": "Circle",
            "center": [centre.lon_deg, centre.lat_deg],
            "radius": v.outline.radius_m,
        }
    else:
        shape = {"type": "Polygon", "coordinates": polygon_json(v.outline)}
    limits: Json = {"uomDimensions": "M"}
    for name, limit in (("lower", v.lower), ("upper", v.upper)):
        limits[f"{name}Limit"] = limit.value_m if limit is not None else None
        limits[f"{name}VerticalReference"] = limit.datum.value if limit is not None else "AGL"
    return limits | {"horizontalProjection": shape}


def _period(a: Applicability) -> Json:
    return {
        "permanent": "NO",
        "startDateTime": schedules.instant_json(a.start) if a.start is not None else None,
        "endDateTime": schedules.instant_json(a.end) if a.end is not None else None,
        "dailyPeriod": [schedules.daily_json(d) for d in a.daily],
    }
