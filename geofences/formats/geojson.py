"""Coldwing's own GeoJSON (RFC 7946): features with the properties that `features` tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from geofences.formats import features
from geofences.formats.codec import Keeps
from geofences.formats.common import (
    AreaOfOperation,
    FeatureError,
    Json,
    ParsedAirspace,
    Problem,
    Reader,
    collection_text,
    load_json,
    member,
    volume,
)
from geofences.formats.outlines import circle, polygon, polygon_json
from geofences.volumes import Circle, Volume, Zone

NAME = "GeoJSON"
KEEPS = Keeps()


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones of a FeatureCollection, or of a single Feature."""
    document = load_json(text, source)
    if isinstance(document, Problem):
        return ParsedAirspace((), (document,), (), NAME)
    return read(document, source, area)


def read(document: Json, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """`parse` for JSON that has been read."""
    reader = Reader(source, NAME, area)
    listed = [document] if document.get("type") == "Feature" else document.get("features")
    if not isinstance(listed, list):
        return reader.nothing("features", "this is not a GeoJSON FeatureCollection", "give type and features")
    merger = features.Merger(reader)
    for i, feature in enumerate(listed):
        reader.feature_id = f"feature {i + 1}"
        try:
            merger.add(_zone(reader, feature))
        except FeatureError as error:
            merger.refuse(error)
    merger.finish()
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
    role = features.role_of(properties.get("role"))
    volumes = list(_volumes(reader, feature.get("geometry"), properties))
    return features.zone(reader, zone_id, role, properties, volumes)


def _volumes(reader: Reader, geometry: Any, properties: Json) -> Iterator[Volume]:
    lower, upper = features.limits(properties)
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


def _feature(zone: Zone, v: Volume) -> Json:
    if isinstance(v.outline, Circle):
        centre = v.outline.centre
        geometry: Json = {"type": "Point", "coordinates": [centre.lon_deg, centre.lat_deg]}
    else:
        geometry = {"type": "Polygon", "coordinates": polygon_json(v.outline)}
    return {"type": "Feature", "properties": features.properties(zone, v), "geometry": geometry}
