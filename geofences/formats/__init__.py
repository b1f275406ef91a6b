"""Airspace files: one codec per format, and the detection of which one a file is."""

from __future__ import annotations

import gc
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from geofences.formats import ed269, ed318, geojson, kml, openair, qgc
from geofences.formats.codec import Codec, Dumped, Keeps
from geofences.formats.common import AreaOfOperation, ParsedAirspace, Problem, load_json
from geofences.volumes import Zone

_ZIP = b"PK\x03\x04"
_OPENAIR = re.compile(r"^\s*AC[ \t]", re.MULTILINE)

CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "ed318": Codec(ed318.NAME, (".ed318.json", ".json"), ed318.parse, ed318.write, ed318.KEEPS),
        "ed269": Codec(ed269.NAME, (".ed269.json",), ed269.parse, ed269.write, ed269.KEEPS),
        "geojson": Codec(geojson.NAME, (".geojson",), geojson.parse, geojson.write, geojson.KEEPS),
        "kml": Codec(kml.NAME, (".kml",), kml.parse, kml.write, kml.KEEPS),
        "openair": Codec(openair.NAME, (".openair", ".air", ".txt"), openair.parse, openair.write, openair.KEEPS),
        "qgc": Codec(qgc.NAME, (".plan",), qgc.parse, qgc.write, qgc.KEEPS),
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


def load_airspace_bytes(data: bytes, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """`load_airspace_text` for a file as it lies on the disk: UTF-8, UTF-16 with its mark, or Windows-1252."""
    if data.startswith(_ZIP):
        text = "this is a compressed file, as KMZ is"
        return ParsedAirspace((), (Problem(source, "", "", text, "unpack it and give the doc.kml inside"),))
    for encoding in ("utf-16", "utf-8") if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ("utf-8",):
        try:
            return load_airspace_text(data.decode(encoding), source, area)
        except UnicodeDecodeError:
            continue
    parsed = load_airspace_text(data.decode("cp1252", "replace"), source, area)
    note = Problem(source, "", "", "this is not UTF-8; it was read as Windows-1252", "look at the names, save as UTF-8")
    return replace(parsed, notes=(note, *parsed.notes))


def load_airspace_text(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones in a file of any known format; `source` names it in messages."""
    with _collector_paused():
        return _load(text.removeprefix("\ufeff"), source, area)


def _load(text: str, source: str, area: AreaOfOperation | None) -> ParsedAirspace:
    start = text.lstrip()[:1]
    if start == "<":
        return kml.parse(text, source, area)
    if start not in ("{", "[") and _OPENAIR.search(text):
        return openair.parse(text, source, area)
    document = load_json(text, source)
    if isinstance(document, Problem):
        return ParsedAirspace((), (document,))
    if document.get("fileType") == "Plan":
        return qgc.parse(text, source, area)
    features = document.get("features")
    first = features[0] if isinstance(features, list) and features else None
    if "UASZoneList" in document or (isinstance(first, dict) and "restriction" in first):
        return ed269.read(document, source, area)
    if document.get("type") == "FeatureCollection" and (_is_ed318(first) or "metadata" in document):
        return ed318.read(document, source, area)
    if document.get("type") in ("FeatureCollection", "Feature"):
        return geojson.read(document, source, area)
    what = "not ED-269 (UASZoneList), ED-318 or GeoJSON (FeatureCollection), KML, OpenAir or .plan"
    return ParsedAirspace((), (Problem(source, "", "type", f"no known airspace format: {what}", "give one of these"),))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Reading makes values by the hundred thousand and no cycles: looking for those would take half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
    "kml",
    "load_airspace_bytes",
    "load_airspace_text",
    "openair",
    "qgc",
]
