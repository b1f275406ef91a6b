"""QGroundControl's `.plan` (JSON, version 1): mission, fence and rally points in one file, read and written.

What the file means (QGroundControl's developer guide, "Plan File Format"):

- positions are [latitude, longitude(, height)], other than in GeoJSON; a JSON null is "not given" (NaN on the wire);
- mission heights are AMSL in frame 0, above home in frame 3, above the ground in frame 10; items in frame 2 have none;
- heights of rally points are above home, fences have none;
- an item's number is the one QGroundControl shows: 0 is the home, the items of a survey count one by one.

Members that are not understood are kept as they are and written back, and a note says so; a shape, an item or a version
that is not understood is a problem, since what it would have forbidden or flown is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from geofences.formats.common import (
    AreaOfOperation,
    FeatureError,
    Json,
    Problem,
    Reader,
    load_json,
    member,
    number,
)
from geofences.formats.outlines import circle, polygon
from geofences.geodesy import LatLon
from geofences.volumes import Circle, Polygon

NAME = "QGC"
RELATIVE_FRAMES = frozenset({3, 6})
AMSL_FRAMES = frozenset({0, 5})
TERRAIN_FRAMES = frozenset({10, 11})
MISSION_FRAME = 2
MAX_ITEMS = 10_000
"""more than any autopilot stores"""
PX4 = 12
"""MAV_AUTOPILOT, as `firmwareType`"""
T = TypeVar("T")

_FILE = {"fileType", "version", "mission", "geoFence", "rallyPoints"}
_MISSION = {"version", "items", "plannedHomePosition", "cruiseSpeed", "hoverSpeed", "firmwareType", "vehicleType"}
_ITEM = {"type", "command", "frame", "params", "autoContinue", "doJumpId"}
_HEIGHTS = {"Altitude", "AltitudeMode", "AMSLAltAboveTerrain", "globalPlanAltitudeMode"}
_OURS = {"groundStation": "QGroundControl"}
_QUIET = _HEIGHTS | {"groundStation", "breachReturn", "id", "name", "restriction"}
"""members that say nothing about where is flown: they are kept without a word"""


@dataclass(frozen=True, slots=True)
class MissionItem:
    """One MAVLink mission item. `params` are seven, None where the file says null; 5 and 6 are degrees, 7 metres."""

    number: int
    """as QGroundControl shows it"""
    command: int
    frame: int
    params: tuple[float | None, ...]
    jump_id: int | None = None
    """what a DO_JUMP names it by"""
    auto_continue: bool = True
    extra: Json = field(default_factory=dict)

    @property
    def position(self) -> LatLon | None:
        """None in the frame without places, and where the file leaves the place to the vehicle."""
        lat, lon = self.params[4], self.params[5]
        return None if self.frame == MISSION_FRAME or lat is None or lon is None else LatLon(lat, lon)

    def param(self, i: int, default: float = 0.0) -> float:
        """Parameter i, from 1; `default` where the file says null."""
        value = self.params[i - 1]
        return default if value is None else value


@dataclass(frozen=True, slots=True)
class ComplexItem:
    """A survey or the like with the items that QGroundControl made of it."""

    kind: str
    items: tuple[MissionItem, ...]
    extra: Json


@dataclass(frozen=True, slots=True)
class FenceArea:
    outline: Polygon | Circle
    inclusion: bool
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RallyPlace:
    position: LatLon
    alt_rel_home_m: float


@dataclass(frozen=True, slots=True)
class PlanFile:
    """All that a `.plan` holds. `extra`: what was not understood, by the object that held it ("" is the file)."""

    home: LatLon
    home_amsl_m: float
    mission: tuple[MissionItem | ComplexItem, ...]
    fence: tuple[FenceArea, ...] = ()
    rally: tuple[RallyPlace, ...] = ()
    cruise_m_s: float | None = None
    hover_m_s: float | None = None
    vehicle_type: int | None = None
    """MAV_TYPE"""
    firmware: int = PX4
    extra: dict[str, Json] = field(default_factory=dict)

    @property
    def items(self) -> tuple[MissionItem, ...]:
        """The mission as it would be uploaded: complex items are those they were made into."""
        return tuple(i for m in self.mission for i in (m.items if isinstance(m, ComplexItem) else (m,)))


@dataclass(frozen=True, slots=True)
class ParsedPlan:
    """`plan` is None where there are problems: half a plan would look as if it had been read."""

    plan: PlanFile | None
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return self.plan is not None


def parse_plan(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedPlan:
    """The plan in a file's text. Without `area`, the planned home says where its places should be."""
    reader = Reader(source, NAME, area)
    document = open_document(reader, text)
    plan = None if document is None else attempt(reader, "", lambda: _plan(reader, document))
    return ParsedPlan(None if reader.problems else plan, tuple(reader.problems), tuple(reader.notes))


def dump_plan(plan: PlanFile) -> Json:
    """The file's JSON; `parse_plan` reads it back to an equal plan."""
    extra = plan.extra
    mission: Json = {
        "version": 2,
        "firmwareType": plan.firmware,
        "plannedHomePosition": [plan.home.lat_deg, plan.home.lon_deg, plan.home_amsl_m],
        "items": [_item_json(m) for m in plan.mission],
        **extra.get("mission", {}),
    }
    for name, value in (
        ("cruiseSpeed", plan.cruise_m_s),
        ("hoverSpeed", plan.hover_m_s),
        ("vehicleType", plan.vehicle_type),
    ):
        if value is not None:
            mission[name] = value
    points = [[r.position.lat_deg, r.position.lon_deg, r.alt_rel_home_m] for r in plan.rally]
    return {
        "fileType": "Plan",
        "version": 1,
        **extra.get("", _OURS),
        "mission": mission,
        "geoFence": {"version": 2, **_fence_json(plan.fence), **extra.get("geoFence", {})},
        "rallyPoints": {"version": 2, "points": points, **extra.get("rallyPoints", {})},
    }


def attempt(reader: Reader, feature_id: str, read: Callable[[], T]) -> T | None:
    reader.feature_id = feature_id
    try:
        return read()
    except FeatureError as error:
        reader.refuse(error.field, error.text, error.fix)
        return None


def open_document(reader: Reader, text: str) -> Json | None:
    document = load_json(text, reader.source)
    if isinstance(document, Problem):
        reader.problems.append(document)
        return None
    if document.get("fileType") != "Plan":
        reader.refuse("fileType", f"{document.get('fileType')!r} is not a plan", 'give a file with "fileType": "Plan"')
    elif document.get("version") != 1:
        text = f"version {document.get('version')!r} of the plan format is not known"
        reader.refuse("version", text, "save the plan anew with a current QGroundControl (version 1)")
    else:
        return document
    return None


def _section(reader: Reader, document: Json, name: str) -> Json:
    """One of the file's three parts, of version 2."""
    reader.feature_id = ""
    section: Json = member(document, name, "", dict, "an object")
    if section.get("version") != 2:
        text = f"version {section.get('version')!r} of {name} is not known"
        raise FeatureError(f"{name}.version", text, "save the plan anew with a current QGroundControl (version 2)")
    return section


def _plan(reader: Reader, document: Json) -> PlanFile:
    mission = _section(reader, document, "mission")
    lat, lon, home_amsl_m = _place(reader, mission.get("plannedHomePosition"), "mission.plannedHomePosition", 3)
    home = LatLon(lat, lon)
    reader.area = reader.area or AreaOfOperation(home)
    entries = member(mission, "items", "mission", list, "a list of items")
    if len(entries) > MAX_ITEMS:
        raise FeatureError("mission.items", f"there are {len(entries)} items", f"at most {MAX_ITEMS} are read")
    items: list[MissionItem | ComplexItem] = []
    at = 1
    for entry in entries:
        item = attempt(reader, f"item {at}", lambda entry=entry, at=at: _item(reader, entry, at))  # type: ignore[misc]
        if item is not None:
            items.append(item)
        at += len(item.items) if isinstance(item, ComplexItem) else 1
    fence = attempt(reader, "", lambda: read_fence(reader, document)) or ()
    rally = attempt(reader, "", lambda: _rally(reader, document)) or ()
    extra: dict[str, Json] = {
        "": _rest(reader, document, _FILE, ""),
        "mission": _rest(reader, mission, _MISSION, "mission"),
        "geoFence": _rest(reader, document["geoFence"], {"version", "polygons", "circles"}, "geoFence"),
        "rallyPoints": _rest(reader, document["rallyPoints"], {"version", "points"}, "rallyPoints"),
    } if not reader.problems else {}  # fmt: skip
    return PlanFile(
        home,
        home_amsl_m,
        tuple(items),
        tuple(fence),
        tuple(rally),
        _optional(mission, "cruiseSpeed"),
        _optional(mission, "hoverSpeed"),
        None if mission.get("vehicleType") is None else _whole(mission, "vehicleType", "mission"),
        _whole(mission, "firmwareType", "mission"),
        {name: members for name, members in extra.items() if members and members != _OURS},
    )


def _item(reader: Reader, entry: Any, at: int) -> MissionItem | ComplexItem:
    kind = member(entry, "type", "", str, "SimpleItem or ComplexItem")
    if kind == "ComplexItem":
        return _complex(reader, entry, at)
    if kind != "SimpleItem":
        raise FeatureError("type", f"unknown type of item {kind!r}", "give SimpleItem or ComplexItem")
    listed = member(entry, "params", "", list, "a list of seven numbers")
    if len(listed) != 7:
        raise FeatureError("params", f"there are {len(listed)} of them", "give seven numbers, null where not given")
    params = tuple(None if p is None else number(p, f"params[{i}]") for i, p in enumerate(listed))
    frame = _whole(entry, "frame", "")
    if frame not in AMSL_FRAMES | RELATIVE_FRAMES | TERRAIN_FRAMES | {MISSION_FRAME}:
        fix = "give 0 (AMSL), 3 (above home), 10 (above ground) or 2 (no place)"
        raise FeatureError("frame", f"the height reference of frame {frame} is not known", fix)
    if frame != MISSION_FRAME and params[4] is not None and params[5] is not None:
        _place(reader, [params[4], params[5]], "params", 2)
    return MissionItem(
        at,
        _whole(entry, "command", ""),
        frame,
        params,
        None if entry.get("doJumpId") is None else _whole(entry, "doJumpId", ""),
        bool(entry.get("autoContinue", True)),
        _rest(reader, entry, _ITEM, ""),
    )


def _complex(reader: Reader, entry: Json, at: int) -> ComplexItem:
    kind = member(entry, "complexItemType", "", str, "the kind of complex item")
    carried = entry.get("TransectStyleComplexItem")
    if not isinstance(carried, dict) or not isinstance(carried.get("Items"), list):
        text = f"a {kind} without the items that it was made into: where it would fly is not known"
        raise FeatureError("TransectStyleComplexItem.Items", text, "replace it by waypoints, or save the plan anew")
    items = []
    for k, simple in enumerate(carried["Items"]):
        reader.feature_id = f"item {at + k}"
        item = _item(reader, simple, at + k)
        if isinstance(item, ComplexItem):
            raise FeatureError("type", f"a {kind} within a {kind}", "save the plan anew")
        items.append(item)
    extra = {**entry, "TransectStyleComplexItem": {k: v for k, v in carried.items() if k != "Items"}}
    return ComplexItem(kind, tuple(items), extra)


def read_fence(reader: Reader, document: Json) -> tuple[FenceArea, ...]:
    section = _section(reader, document, "geoFence")
    found: list[FenceArea] = []
    for name, read in (("polygons", _fence_polygon), ("circles", _fence_circle)):
        for i, entry in enumerate(member(section, name, "geoFence", list, f"a list of {name}"), start=1):
            one = attempt(reader, f"fence {name[:-1]} {i}", lambda e=entry, r=read: r(reader, e))  # type: ignore[misc]
            if one is not None:
                found.append(one)
    return tuple(found)


def _fence_polygon(reader: Reader, entry: Any) -> FenceArea:
    corners = member(entry, "polygon", "", list, "a list of [latitude, longitude]")
    ring = [_place(reader, c, "polygon", 2)[1::-1] for c in corners]
    outline = polygon(reader, [[list(p) for p in ring]], "polygon", closed=False)
    return _area(reader, entry, outline, "polygon")


def _fence_circle(reader: Reader, entry: Any) -> FenceArea:
    round_ = member(entry, "circle", "", dict, "an object with center and radius")
    lat, lon = _place(reader, round_.get("center"), "circle.center", 2)
    return _area(reader, entry, circle(reader, [lon, lat], round_.get("radius"), "circle"), "circle")


def _area(reader: Reader, entry: Json, outline: Polygon | Circle, name: str) -> FenceArea:
    if entry.get("version") != 1:
        raise FeatureError("version", f"version {entry.get('version')!r} is not known", "save the plan anew")
    inclusion = member(entry, "inclusion", "", bool, "true (stay inside) or false (stay out)")
    return FenceArea(outline, inclusion, _rest(reader, entry, {name, "inclusion", "version"}, ""))


def _rally(reader: Reader, document: Json) -> tuple[RallyPlace, ...]:
    section = _section(reader, document, "rallyPoints")
    found = []
    for i, entry in enumerate(member(section, "points", "rallyPoints", list, "a list of points"), start=1):
        place = attempt(reader, f"rally point {i}", lambda e=entry: _place(reader, e, "", 3))  # type: ignore[misc]
        if place is not None:
            found.append(RallyPlace(LatLon(place[0], place[1]), place[2]))
    return tuple(found)


def _place(reader: Reader, value: Any, name: str, size: int) -> tuple[float, ...]:
    """Latitude, longitude and, where size is 3, a height; refused where they are in the wrong order."""
    order = "[latitude, longitude, height]" if size == 3 else "[latitude, longitude]"
    if not isinstance(value, (list, tuple)) or len(value) != size:
        raise FeatureError(name, f"{value!r:.60} is not a position", f"give {order}")
    numbers = tuple(number(v, name) for v in value)
    lat, lon = numbers[:2]
    area = reader.area
    if area is not None and not area.holds(lat, lon) and area.holds(lon, lat):
        text = "latitude and longitude are in the wrong order: only swapped do they lie near home"
        raise FeatureError(name, text, f"write {order}")
    if not (abs(lat) <= 90.0 and abs(lon) <= 180.0):
        raise FeatureError(name, f"{lat:g}, {lon:g} is no latitude and longitude", f"write {order} in degrees")
    return numbers


def _rest(reader: Reader, mapping: Json, known: set[str], place: str) -> Json:
    rest = {k: v for k, v in mapping.items() if k not in known}
    for name in rest.keys() - _QUIET:
        reader.note(f"{place}.{name}".lstrip("."), "is not understood: it is kept, and nothing is judged by it")
    return rest


def _whole(mapping: Json, name: str, place: str) -> int:
    value = number(member(mapping, name, place, (int, float), "a whole number"), f"{place}.{name}".lstrip("."))
    if value != int(value):
        raise FeatureError(f"{place}.{name}".lstrip("."), f"{value:g} is not a whole number", "give a whole number")
    return int(value)


def _optional(mapping: Json, name: str) -> float | None:
    return None if mapping.get(name) is None else number(mapping[name], f"mission.{name}")


def _item_json(item: MissionItem | ComplexItem) -> Json:
    if isinstance(item, ComplexItem):
        carried = {**item.extra["TransectStyleComplexItem"], "Items": [_item_json(i) for i in item.items]}
        return {**item.extra, "TransectStyleComplexItem": carried}
    jump = {} if item.jump_id is None else {"doJumpId": item.jump_id}
    return {
        "type": "SimpleItem",
        "command": item.command,
        "frame": item.frame,
        "params": list(item.params),
        "autoContinue": item.auto_continue,
        **jump,
        **item.extra,
    }


def _fence_json(fence: Sequence[FenceArea]) -> Json:
    polygons: list[Json] = []
    circles: list[Json] = []
    for area in fence:
        common = {"inclusion": area.inclusion, "version": 1, **area.extra}
        if isinstance(area.outline, Circle):
            centre = area.outline.centre
            shape = {"center": [centre.lat_deg, centre.lon_deg], "radius": area.outline.radius_m}
            circles.append({"circle": shape, **common})
        else:
            polygons.append({"polygon": [[p.lat_deg, p.lon_deg] for p in area.outline.outer], **common})
    return {"polygons": polygons, "circles": circles}
