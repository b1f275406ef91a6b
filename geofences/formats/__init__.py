"""Airspace files: one codec each for ED-318, ED-269 and Coldwing's GeoJSON, and the detection of which one it is."""

from __future__ import annotations

from typing import Any

from geofences.formats import ed269, ed318, geojson
from geofences.formats.common import AreaOfOperation, ParsedAirspace, Problem, load_json


def load_airspace_text(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones in a file of any known format; `source` names it in messages."""
    document = load_json(text, source)
    if isinstance(document, Problem):
        return ParsedAirspace((), (document,))
    features = document.get("features")
    first = features[0] if isinstance(features, list) and features else None
    if "UASZoneList" in document or (isinstance(first, dict) and "restriction" in first):
        return ed269.parse(text, source, area)
    if document.get("type") == "FeatureCollection" and (_is_ed318(first) or "metadata" in document):
        return ed318.parse(text, source, area)
    if document.get("type") in ("FeatureCollection", "Feature"):
        return geojson.parse(text, source, area)
    text = "no known airspace format: neither UASZoneList (ED-269) nor a FeatureCollection (ED-318, GeoJSON)"
    return ParsedAirspace((), (Problem(source, "", "type", text, "give one of these formats"),))


def _is_ed318(feature: Any) -> bool:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return isinstance(properties, dict) and ("identifier" in properties or "zoneAuthority" in properties)


__all__ = ["AreaOfOperation", "ParsedAirspace", "Problem", "ed269", "ed318", "geojson", "load_airspace_text"]
