"""KML 2.3 (OGC 12-007): placemarks with polygons.

What KML has no words for stands in `ExtendedData`, under the names that `features` tells (`times` and `authority` as
JSON); so a file of ours reads back to equal zones. A circle is a point with `radius_m`, and a polygon that draws it.
In a file of somebody else a placemark is a zone to keep out of, prohibited, and its heights are those of its geometry:
with `extrude` it reaches from the ground up to its altitude (relativeToGround: AGL; absolute: AMSL, above the geoid),
otherwise it counts as all heights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from geofences.formats import features
from geofences.formats.codec import Keeps
from geofences.formats.common import (
    AreaOfOperation,
    FeatureError,
    Json,
    ParsedAirspace,
    Reader,
    number,
    short,
    unique_id,
    volume,
)
from geofences.formats.markup import Element, tree
from geofences.formats.outlines import MAX_VERTICES, circle, polygon
from geofences.geodesy import LatLon, destination
from geofences.heights import Datum, Height
from geofences.volumes import Circle, Role, Volume, Zone

NAME = "KML"
KEEPS = Keeps(any_text=False)

_UNUSABLE = {"GroundOverlay", "ScreenOverlay", "PhotoOverlay", "NetworkLink", "Tour"}
_LOOKS = {"Style", "StyleMap", "styleUrl", "Snippet", "LookAt", "Camera", "Region"}
_GEOMETRIES = {"Polygon", "MultiGeometry", "Point", "LineString", "LinearRing", "Model", "Track", "MultiTrack"}
_READ = {"name", "description", "ExtendedData", "TimeSpan", "TimeStamp", *_GEOMETRIES}
_JSON = ("times", "authority")
_NUMBERS = ("lower_m", "upper_m", "radius_m")
_DATUMS = {"relativeToGround": Datum.AGL, "absolute": Datum.AMSL}
_MODES = {datum: mode for mode, datum in _DATUMS.items()}
_CIRCLE_SIDES = 72


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones of a KML file."""
    reader = Reader(source, NAME, area)
    try:
        root = tree(text)
    except FeatureError as error:
        return reader.nothing(error.field, error.text, error.fix)
    if root.tag != "kml":
        return reader.nothing("line 1", f"the document is <{root.tag}>, not <kml>", "give a KML file")
    merger = features.Merger(reader)
    taken: dict[str, int] = {}
    for element in _listed(root):
        reader.feature_id = element.attributes.get("id") or element.child_text("name") or f"line {element.line}"
        if element.tag == "Placemark":
            try:
                merger.add(_zone(reader, element, taken))
            except FeatureError as error:
                place = f"line {element.line}" + (f" {error.field}" if error.field else "")
                merger.refuse(FeatureError(place, error.text, error.fix))
        elif element.tag in _UNUSABLE:
            reader.refuse(f"line {element.line}", f"a {element.tag} holds no zone that can be read", "remove it")
        else:
            reader.tally(element.tag, "this says nothing about a zone and was not read")
    merger.finish()
    return reader.result()


def write(zones: Sequence[Zone]) -> str:
    """A KML document, a placemark per volume, that `parse` reads back to equal zones; they must fit `KEEPS`."""
    marks = "".join(_placemark(z, v) for z in zones for v in z.volumes)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document>\n'
        f"{marks}</Document></kml>\n"
    )


def _listed(element: Element) -> Iterator[Element]:
    """The placemarks of all folders, and what else a document holds that somebody may miss."""
    for child in element.children:
        if child.tag == "Placemark" or child.tag in _UNUSABLE or child.tag in _LOOKS:
            yield child
        else:
            yield from _listed(child)


def _zone(reader: Reader, mark: Element, taken: dict[str, int]) -> Zone:
    properties = _properties(mark)
    zone_id = properties.get("id", "")
    if not zone_id:
        zone_id = unique_id(reader.feature_id, taken)
        reader.tally("ExtendedData.id", "there is no id; the placemark's name was taken")
    reader.feature_id = zone_id
    if "role" not in properties:
        reader.tally("ExtendedData.role", "there is no role; taken as a zone to keep out of")
    role = features.role_of(properties.get("role", Role.KEEP_OUT))
    properties.setdefault("name", mark.child_text("name"))
    properties.setdefault("message", mark.child_text("description"))
    span = mark.child("TimeSpan")
    if span is not None and "times" not in properties:
        properties["times"] = [{k: span.child_text(tag) or None for k, tag in (("start", "begin"), ("end", "end"))}]
    for other in mark.children:
        if other.tag not in _READ:
            reader.tally(other.tag, "this says nothing about a zone and was not read")
    if mark.child("TimeStamp") is not None:
        reader.tally("TimeStamp", "a moment is no time of applicability; the zone applies always")
    volumes = list(_volumes(reader, mark, role, properties))
    return features.zone(reader, zone_id, role, properties, volumes)


def _properties(mark: Element) -> Json:
    """The data of ours and others: text, but for the numbers and the lists."""
    found: Json = {}
    extended = mark.child("ExtendedData")
    if extended is None:
        return found
    for element in (*extended.all("Data"), *extended.all("SimpleData")):
        name = element.attributes.get("name", "")
        text = element.child_text("value") if element.tag == "Data" else element.text
        field = f"ExtendedData.{name}"
        if not text:
            continue
        if name in _NUMBERS:
            found[name] = number(text, field, text_allowed=True)
        elif name in _JSON:
            try:
                found[name] = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise FeatureError(field, f"this is not JSON: {error}", "give a list as in our GeoJSON") from None
        else:
            found[name] = text
    return found


def _volumes(reader: Reader, mark: Element, role: Role, properties: Json) -> Iterator[Volume]:
    stated = features.limits(properties) if "lower_m" in properties or "upper_m" in properties else None
    geometries = [g for c in mark.children if c.tag in _GEOMETRIES for g in _simple(c)]
    points = [g for g in geometries if g.tag == "Point"]
    if "radius_m" in properties:
        if len(points) != 1:
            raise FeatureError("ExtendedData.radius_m", f"there are {len(points)} points", "give the centre as a Point")
        (centre, altitude), *_ = _coordinates(points[0])
        limits = stated or _heights(reader, points[0], [altitude], role)
        yield volume(circle(reader, centre, properties["radius_m"], "Point"), *limits, "ExtendedData.lower_m")
        return
    polygons = [g for g in geometries if g.tag == "Polygon"]
    if not polygons:
        kinds = ", ".join(sorted({g.tag for g in geometries})) or "nothing"
        text = f"a zone needs a Polygon; the placemark holds {kinds}"
        raise FeatureError("", text, "draw the area as a polygon, or give a Point its radius_m")
    for other in geometries:
        if other.tag != "Polygon":
            reader.tally(other.tag, f"a {other.tag} beside the polygons has no inside and was not read")
    for element in polygons:
        rings, altitudes = _rings(element)
        limits = stated or _heights(reader, element, altitudes, role)
        yield volume(polygon(reader, rings, "Polygon"), *limits, "Polygon.coordinates")


def _simple(geometry: Element) -> Iterator[Element]:
    if geometry.tag == "MultiGeometry":
        for child in geometry.children:
            yield from _simple(child)
    elif geometry.tag in _GEOMETRIES:
        yield geometry


def _rings(element: Element) -> tuple[list[list[tuple[float, float]]], list[float]]:
    """Outer ring first, with the altitudes of all corners."""
    rings, altitudes = [], []
    for side in ("outerBoundaryIs", "innerBoundaryIs"):
        for boundary in (c for c in element.children if c.tag == side):
            for ring in (c for c in boundary.children if c.tag == "LinearRing"):
                corners = _coordinates(ring)
                rings.append([position for position, _ in corners])
                altitudes += [altitude for _, altitude in corners]
        if not rings:
            raise FeatureError("Polygon.outerBoundaryIs", "there is no ring", "give a LinearRing with coordinates")
    return rings, altitudes


def _coordinates(element: Element) -> list[tuple[tuple[float, float], float]]:
    """Positions (lon, lat) with their altitudes; 0 where there is none."""
    field = f"{element.tag}.coordinates"
    tokens = re.sub(r"\s*,\s*", ",", element.child_text("coordinates")).split()
    if not tokens:
        raise FeatureError(field, "there are no coordinates", "give lon,lat[,altitude] separated by blanks")
    if len(tokens) > MAX_VERTICES:
        text = f"the outline has {len(tokens)} vertices; at most {MAX_VERTICES} are read"
        raise FeatureError(field, text, "simplify the outline, outwards for a zone to keep out of")
    found = []
    for token in tokens:
        parts = token.split(",")
        if len(parts) not in (2, 3):
            raise FeatureError(field, f"{short(token)} is not a position", "give lon,lat[,altitude]")
        lon, lat, altitude = (number(p, field, text_allowed=True) for p in (*parts, "0")[:3])
        found.append(((lon, lat), altitude))
    return found


def _heights(
    reader: Reader, element: Element, altitudes: Sequence[float], role: Role
) -> tuple[Height | None, Height | None]:
    """Limits as the geometry shows them. Of a slanting roof the side counts that closes more."""
    mode = element.child_text("altitudeMode") or "clampToGround"
    if mode == "clampToGround":
        return None, None
    if mode not in _DATUMS or element.child_text("extrude") not in ("1", "true"):
        reader.tally(element.tag, "an area not extruded to the ground has no limits: taken as all heights")
        return None, None
    return None, Height(min(altitudes) if role is Role.KEEP_IN else max(altitudes), _DATUMS[mode])


def _placemark(zone: Zone, v: Volume) -> str:
    data = "".join(
        f'<Data name="{name}"><value>{escape(_value(value))}</value></Data>'
        for name, value in features.properties(zone, v).items()
    )
    upper = v.upper if v.upper is not None and v.upper.datum in _MODES else None
    altitude = "" if upper is None else f",{upper.value_m!r}"
    shown = "" if upper is None else f"<extrude>1</extrude><altitudeMode>{_MODES[upper.datum]}</altitudeMode>"

    def ring(corners: Sequence[LatLon]) -> str:
        tokens = " ".join(f"{p.lon_deg!r},{p.lat_deg!r}{altitude}" for p in (*corners, corners[0]))
        return f"<LinearRing><coordinates>{tokens}</coordinates></LinearRing>"

    def area(outer: Sequence[LatLon], holes: Sequence[Sequence[LatLon]] = ()) -> str:
        inner = "".join(f"<innerBoundaryIs>{ring(h)}</innerBoundaryIs>" for h in holes)
        return f"<Polygon>{shown}<outerBoundaryIs>{ring(outer)}</outerBoundaryIs>{inner}</Polygon>"

    if isinstance(v.outline, Circle):
        centre, step = v.outline.centre, 360.0 / _CIRCLE_SIDES
        edge = [destination(centre, -k * step, v.outline.radius_m) for k in range(_CIRCLE_SIDES)]
        point = f"<Point><coordinates>{centre.lon_deg!r},{centre.lat_deg!r}</coordinates></Point>"
        geometry = f"<MultiGeometry>{point}{area(edge)}</MultiGeometry>"
    else:
        geometry = area(v.outline.outer, v.outline.holes)
    head = f"<name>{escape(zone.name)}</name>"
    if zone.message:
        head += f"<description>{escape(zone.message)}</description>"
    return f"<Placemark>{head}<ExtendedData>{data}</ExtendedData>{geometry}</Placemark>\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
