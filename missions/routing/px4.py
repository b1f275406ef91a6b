"""PX4 v1.17's own rules for a mission, before any geometry: what it would refuse, or take and fly otherwise than meant.

Of these PX4 itself says some at the upload (commands, frames), some afterwards by an event alone (its feasibility
checker: take-off, landing, gates), and some never (waiting with NAV_DELAY sinks).
"""

from __future__ import annotations

from collections.abc import Iterator

from geofences.formats.qgc_plan import MISSION_FRAME, PX4, TERRAIN_FRAMES, MissionItem, PlanFile
from geofences.geodesy import distance_m
from geofences.heights import Terrain
from geofences.volumes import Circle
from missions.planfile import (
    DELAY,
    FLOWN_TO,
    GATE,
    LANDINGS,
    TAKE_OFFS,
    VTOL_LAND,
    VTOL_TAKEOFF,
    VTOL_TRANSITION,
    amsl_m,
)
from missions.routing.flown import Violation
from missions.vehicles import Airframe

MAX_MISSION_ITEMS = 500
"""DM_KEY_WAYPOINTS_OFFBOARD_MAX of boards with little memory; SITL stores 10,000"""
FIRST_M = 10_000.0
"""MIS_DIST_1WP: a first place farther from home than this is warned of"""
PLACED = FLOWN_TO | {80, 195, 201, GATE}
"""commands taken in a frame with places (mavlink_mission.cpp, parse_mavlink_mission_item)"""
PLACELESS = frozenset(
    {20, DELAY, 177, 178, 189, 211, 42600}
    | {80, 112, 114, 179, 187, 196, 197, 201, 202, 203, 204, 205, 206, 214, 260}
    | {530, 531, 532, 534, 1000, 1001, 2000, 2001, 2003, 2500, 2501, VTOL_TRANSITION}
)
"""commands taken in the frame without places"""
FIXED_WING = 1
"""MAV_TYPE"""
_GATE_M = 0.05
_VTOL_TYPES = range(19, 26)
"""MAV_TYPE of VTOLs"""


def px4_violations(file: PlanFile, airframe: Airframe, terrain: Terrain) -> Iterator[Violation]:
    """By item number, as QGroundControl shows it; -1 for the file as a whole."""
    items = file.items
    if not items:
        yield Violation(-1, "no_items", "the mission is empty: there is nothing to fly")
    if len(items) > MAX_MISSION_ITEMS:
        text = f"the mission has {len(items)} items; PX4 stores {MAX_MISSION_ITEMS} on small boards"
        yield Violation(-1, "too_many", text)
    yield from _vehicle(file, airframe)
    before: MissionItem | None = None
    for item in items:
        yield from _item(item, airframe)
        yield from _take_off(item, before, file, terrain)
        yield from _gate(item, before)
        if item.position is not None:
            before = item
    yield from _ends(items, airframe)
    yield from _order(file)


def px4_notes(file: PlanFile) -> Iterator[str]:
    """What PX4 only warns of."""
    if file.firmware not in (0, PX4):
        yield f"the plan was made for firmware {file.firmware}; it is judged as PX4 ({PX4}) would fly it"
    first = next((i for i in file.items if i.position is not None), None)
    if first is not None and first.position is not None:
        away = distance_m(file.home, first.position)
        if away > FIRST_M:
            yield f"item {first.number}, the first place, is {away / 1000:.1f} km from home; PX4 warns above 10 km"


def airframe_of(file: PlanFile) -> Airframe:
    """What the file says that it was made for."""
    return Airframe.VTOL if file.vehicle_type in _VTOL_TYPES else Airframe.MULTIROTOR


def _vehicle(file: PlanFile, airframe: Airframe) -> Iterator[Violation]:
    kind = file.vehicle_type
    if kind == FIXED_WING:
        yield Violation(-1, "vehicle", f"the plan was made for a fixed wing (MAV_TYPE {kind}), not for a {airframe}")
    elif kind and airframe_of(file) is not airframe:
        made_for = f"a {airframe_of(file)} (MAV_TYPE {kind})"
        yield Violation(-1, "vehicle", f"the plan was made for {made_for}, not for a {airframe}")


def _item(item: MissionItem, airframe: Airframe) -> Iterator[Violation]:
    def broken(code: str, text: str) -> Violation:
        return Violation(item.number, code, f"item {item.number} {text}", at=item.position)

    allowed = PLACELESS if item.frame == MISSION_FRAME else PLACED
    if item.command not in allowed:
        where = " in the frame without places" if item.frame == MISSION_FRAME and item.command in PLACED else ""
        yield broken("command", f"(command {item.command}) is refused by PX4{where}")
    elif item.frame in TERRAIN_FRAMES:
        yield broken("frame", "counts heights from the terrain (frame 10); PX4 v1.17 refuses that frame")
    elif item.frame != MISSION_FRAME and item.position is None:
        yield broken("place", "has no latitude and longitude: PX4 would fly to 0, 0")
    elif item.command in FLOWN_TO and item.params[6] is None:
        yield broken("height", "has no height")
    if item.command == DELAY:
        yield broken("delay", "waits with NAV_DELAY, which makes the vehicle sink: let a waypoint hold instead")
    if item.command in (VTOL_TAKEOFF, VTOL_LAND, VTOL_TRANSITION) and airframe is not Airframe.VTOL:
        yield broken("vtol", f"(command {item.command}) is for VTOLs only")


def _take_off(item: MissionItem, before: MissionItem | None, file: PlanFile, terrain: Terrain) -> Iterator[Violation]:
    if item.command not in TAKE_OFFS:
        return
    height = amsl_m(item, file, terrain)
    if height is not None and height - file.home_amsl_m <= 0.0:
        text = f"item {item.number} takes off to {height - file.home_amsl_m:.0f} m above home: PX4 rejects the mission"
        yield Violation(item.number, "take_off_low", text, at=item.position)
    if before is not None:
        text = f"item {item.number} takes off after another place: PX4 wants the take-off first"
        yield Violation(item.number, "take_off_first", text, at=item.position)


def _gate(item: MissionItem, before: MissionItem | None) -> Iterator[Violation]:
    if before is None or item.position is None or before.position is None or GATE not in (item.command, before.command):
        return
    if distance_m(before.position, item.position) < _GATE_M:
        text = f"item {item.number} lies on the place before it, and one of them is a gate"
        yield Violation(item.number, "gate", text, at=item.position)


def _ends(items: tuple[MissionItem, ...], airframe: Airframe) -> Iterator[Violation]:
    landings = LANDINGS if airframe is Airframe.VTOL else {min(LANDINGS)}
    if items and items[0].command in landings:
        yield Violation(items[0].number, "starts_with_landing", "the mission begins with a landing: PX4 rejects it")


def _order(file: PlanFile) -> Iterator[Violation]:
    circle_seen = False
    for area in file.fence:
        if circle_seen and not isinstance(area.outline, Circle):
            yield Violation(-1, "fence_order", "a fence polygon follows a circle: PX4 v1.17 misreads it")
            return
        circle_seen |= isinstance(area.outline, Circle)
