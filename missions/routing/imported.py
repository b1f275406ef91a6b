"""The judge of plans made elsewhere, as in QGroundControl: item by item, by the same rules as plans of our own.

Such a plan tells no times, no energy and no alternates. Times and energy follow from the vehicle; the alternates are
those that PX4 itself would choose: from every place, each `RETURN_STEP_M`, its return to the closest of home and rally
points must be legal and within reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from geofences.formats.qgc_plan import PlanFile
from geofences.geodesy import LatLon, destination
from geofences.volumes import Role
from missions.energy import climb_cost, leg_energy
from missions.planfile import RETURN_M, FlightOfFile, Stretch, fly, nearest_landing
from missions.routing.flown import (
    Flown,
    Rules,
    Violation,
    airspace_violations,
    bearing_deg,
    distance_m,
    fence_violations,
    forbidden,
    height_violations,
)
from missions.routing.judge import Outlines, outlines, track
from missions.routing.px4 import px4_notes, px4_violations
from missions.vehicles import Airframe

FARTHEST_M = 300_000.0
"""a longer stretch is a mistake, and would take minutes to judge"""
RETURN_STEP_M = 250.0
HOME_M = 10.0
"""a planned home this far above or below the ground says that heights were meant otherwise"""


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """`violations` empty: it may be flown. Their `leg_index` is the item's number, 0 the home, -1 the whole."""

    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    flight: FlightOfFile
    end_pct: float | None
    """of the battery at the end; None where no vehicle is known"""


def check_file(
    file: PlanFile,
    rules: Rules,
    depart_s: float,
    *,
    airframe: Airframe = Airframe.MULTIROTOR,
    battery_pct: float = 100.0,
    return_m: float = RETURN_M,
) -> FileVerdict:
    """Everything wrong with an imported plan. Without `rules.vehicle`, energy is not judged, and a note says so."""
    vehicle = rules.vehicle
    airframe = vehicle.airframe if vehicle is not None else airframe
    broken = list(px4_violations(file, airframe, rules.terrain))
    flight = fly(
        file,
        rules.terrain,
        depart_s,
        vehicle=vehicle,
        payload_kg=rules.payload_kg,
        wind=rules.wind,
        return_m=return_m,
    )
    known = {(v.leg_index, v.code) for v in broken}
    faults = ((f.item, f.code, f"item {f.item} {f.text}") for f in flight.faults)
    broken += [Violation(*f) for f in dict.fromkeys(faults) if f[:2] not in known]
    broken += _home(file, rules)
    notes = list(px4_notes(file))
    if not flight.landed:
        notes.append("the mission ends in the air: PX4 holds there until told otherwise or the battery is low")
    if vehicle is None:
        notes.append("no vehicle was given: speed is the file's, and energy is not judged")
    far = next((s for s in flight.stretches if s.length_m > FARTHEST_M), None)
    if far is not None:
        text = f"item {far.item} is {far.length_m / 1000:.0f} km away; are latitude and longitude swapped?"
        broken.append(Violation(far.item, "far", text, at=far.end.position))
        return FileVerdict(tuple(broken), tuple(notes), flight, None)
    found, lines = outlines(rules.airspace), [_flown(s, rules) for s in flight.stretches]
    broken += airspace_violations(lines, rules, found, set())
    broken += height_violations(lines, rules)
    broken += _fence(file, lines)
    left = _left_pct(flight, rules, battery_pct)
    if left and left[-1] < rules.reserve_pct:
        text = f"{left[-1]:.0f} % of battery left at the end; the reserve is {rules.reserve_pct:.0f} %"
        broken.append(Violation(-1, "reserve", text))
    broken += _returns(file, flight, rules, found, left, return_m)
    return FileVerdict(tuple(_once(broken)), tuple(notes), flight, left[-1] if left else None)


def _once(broken: Sequence[Violation]) -> Iterator[Violation]:
    """The first of each kind per item and zone: a climb, a way and a descent of one item may all break one rule."""
    seen: set[tuple[int, str, str | None, str]] = set()
    for v in broken:
        key = v.leg_index, v.code, v.zone_id, "" if v.leg_index >= 0 else v.text
        if key not in seen:
            seen.add(key)
            yield v


def _flown(stretch: Stretch, rules: Rules) -> Flown:
    start, end = stretch.start, stretch.end
    line = track(start.position, start.alt_amsl_m, end.position, end.alt_amsl_m, rules.terrain)
    name = f"item {stretch.item} ({stretch.doing})"
    return Flown(stretch.item, name, line, start.eta_s, end.eta_s, vertical=float(line.along_m[-1]) <= 1.0)


def _home(file: PlanFile, rules: Rules) -> Iterator[Violation]:
    ground = rules.terrain.ground_amsl_m(file.home)
    if ground is None:
        yield Violation(0, "terrain", "the ground at the planned home is not known", at=file.home)
    elif abs(ground - file.home_amsl_m) > HOME_M:
        text = f"the planned home is at {file.home_amsl_m:.0f} m AMSL, the ground there at {ground:.0f} m: wrong datum?"
        yield Violation(0, "home_height", text, at=file.home)


def _fence(file: PlanFile, lines: Sequence[Flown]) -> Iterator[Violation]:
    keep_ins = [a.outline for a in file.fence if a.inclusion]
    keep_outs = [a.outline for a in file.fence if not a.inclusion]
    rally = [(str(i), r.position) for i, r in enumerate(file.rally, start=1)]
    yield from fence_violations(keep_ins, keep_outs, file.home, lines, rally)


def _left_pct(flight: FlightOfFile, rules: Rules, battery_pct: float) -> list[float]:
    """The battery at the end of each stretch; empty where no vehicle is known."""
    if rules.vehicle is None:
        return []
    left, result = battery_pct, []
    for stretch in flight.stretches:
        left -= 100.0 * stretch.energy_wh / rules.vehicle.battery_wh
        result.append(left)
    return result


def _returns(
    file: PlanFile, flight: FlightOfFile, rules: Rules, found: Outlines, left: Sequence[float], return_m: float
) -> Iterator[Violation]:
    """PX4's own return from every stretch but landings: the first place of each from which it cannot be flown."""
    for i, stretch in enumerate(flight.stretches):
        if stretch.doing in ("climb", "descent", "return"):
            continue
        for at, amsl_m, eta_s in _places(stretch):
            name, target, ground = nearest_landing(file, at)
            height = max(amsl_m, ground + return_m)
            climb = track(at, amsl_m, at, height, rules.terrain)
            way = track(at, height, target, height, rules.terrain)
            down = track(target, min(ground, height), target, height, rules.terrain)
            late_s = eta_s + distance_m(at, target) / (rules.vehicle.cruise_m_s if rules.vehicle else 5.0)
            lines = [Flown(stretch.item, "", line, eta_s, late_s) for line in (climb, way, down)]
            closed = [zone_id for line in lines for zone_id in forbidden(line, rules, found)]
            if closed:
                zone = rules.airspace.zone(closed[0])
                would = "leave" if zone is not None and zone.role is Role.KEEP_IN else "enter"
                text = f"item {stretch.item}: PX4's own return to {name} from here would {would} {closed[0]}"
                yield Violation(stretch.item, "return", text, closed[0], at)
                break
        if left:
            yield from _within_reach(file, stretch, left[i], rules, return_m)


def _within_reach(
    file: PlanFile, stretch: Stretch, left_pct: float, rules: Rules, return_m: float
) -> Iterator[Violation]:
    vehicle = rules.vehicle
    assert vehicle is not None
    end = stretch.end
    name, target, ground = nearest_landing(file, end.position)
    height = max(end.alt_amsl_m, ground + return_m)
    used = climb_cost(vehicle, rules.payload_kg, height - end.alt_amsl_m)
    used += climb_cost(vehicle, rules.payload_kg, ground - height)
    length = distance_m(end.position, target)
    if length > 0.5:
        track_deg = bearing_deg(end.position, target)
        way = leg_energy(vehicle, rules.payload_kg, length_m=length, track_deg=track_deg, climb_m=0.0, wind=rules.wind)
        if way is None:
            text = f"item {stretch.item}: PX4's own return to {name} cannot be held in this wind"
            yield Violation(stretch.item, "return_wind", text, at=end.position)
            return
        used += way
    at_touchdown = left_pct - 100.0 * used.energy_wh / vehicle.battery_wh
    if at_touchdown < rules.reserve_pct:
        text = f"item {stretch.item}: PX4's own return to {name} from here leaves {at_touchdown:.0f} % of battery"
        yield Violation(stretch.item, "return_reserve", text, at=end.position)


def _places(stretch: Stretch) -> Iterator[tuple[LatLon, float, float]]:
    """Places along a stretch with height and time, its start left out: it is the end of the one before."""
    start, end, length = stretch.start, stretch.end, stretch.length_m
    n = max(1, ceil(length / RETURN_STEP_M))
    course = bearing_deg(start.position, end.position) if length > 0.0 else 0.0
    for k in range(1, n + 1):
        share = k / n
        at = end.position if k == n else destination(start.position, course, share * length)
        height = start.alt_amsl_m + share * (end.alt_amsl_m - start.alt_amsl_m)
        yield at, height, start.eta_s + share * (end.eta_s - start.eta_s)
