"""Airspace files: one codec per format, and the detection of which one a file is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from geofences.formats import ed269, ed318, geojson
from geofences.formats.codec import Codec, Dumped, Keeps
from geofences.formats.common import AreaOfOperation, ParsedAirspace, Problem, load_json
from geofences.volumes import Zone

CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "ed318": Codec(ed318.NAME, (".ed318.json", ".json"), ed318.parse, ed318.write, ed318.KEEPS),
        "ed269": Codec(ed269.NAME, (".ed269.json",), ed269.parse, ed269.write, ed269.KEEPS),
        "geojson": Codec(geojson.NAME, (".geojson",), geojson.parse, geojson.write, geojson.KEEPS),
    }
)
"""The formats by the name that a command takes."""


def codec_for(file_name: str) -> Codec | None:
    """The format that a file's name asks for, by its longest known ending; None if there is none."""
    endings = [(e, c) for c in CODECS.values() for e in c.extensions if file_name.lower().endswith(e)]
    return max(endings, key=lambda found: len(found[0]))[1] if endings else None


def dump_airspace(zones: Sequence[Zone], format_name: str) -> Dumped:
    """The zones in a format of `CODECS`, and what could not be said in it. Raises KeyError for an unknown name."""
    return CODECS[format_name].dump_text(zones)


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


__all__ = [
    "CODECS",
    "AreaOfOperation",
    "Codec",
    "Dumped",
    "Keeps",
    "ParsedAirspace",
    "Problem",
    "codec_for",
    "dump_airspace",
    "ed269",
    "ed318",
    "geojson",
    "load_airspace_text",
]
