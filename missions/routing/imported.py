"""The judge of plans made elsewhere, as in QGroundControl: item by item, by the same rules as plans of our own.

Such a plan tells no times, no energy and no alternates. Times and energy follow from the vehicle; the alternates are
those that PX4 itself would choose: from every place its return to the closest of home and rally points must be legal
and within reach (`missions.routing.homeward`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from geofences.formats.qgc_plan import PlanFile
from missions.planfile import RETURN_M, FlightOfFile, Stretch, fly
from missions.routing.flown import (
    Flown,
    Rules,
    Violation,
    airspace_violations,
    fence_violations,
    height_violations,
)
from missions.routing.homeward import Destination, Homeward, Line
from missions.routing.judge import Outlines, outlines, track
from missions.routing.px4 import px4_notes, px4_violations
from missions.vehicles import Airframe, ReturnRule

FARTHEST_M = 300_000.0
"""a longer stretch is a mistake, and would take minutes to judge"""
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
) -> FileVerdict:
    """Everything wrong with an imported plan. Without `rules.vehicle`, energy is not judged, and a note says so."""
    vehicle = rules.vehicle
    rule = vehicle.returns if vehicle is not None else ReturnRule(lowest_m=RETURN_M, highest_m=RETURN_M)
    airframe = vehicle.airframe if vehicle is not None else airframe
    broken = list(px4_violations(file, airframe, rules.terrain))
    flight = fly(
        file,
        rules.terrain,
        depart_s,
        vehicle=vehicle,
        payload_kg=rules.payload_kg,
        wind=rules.wind,
        return_m=rule.highest_m,
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
    broken += _returns(file, flight, rules, found, left, rule)
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
    file: PlanFile, flight: FlightOfFile, rules: Rules, found: Outlines, left: Sequence[float], rule: ReturnRule
) -> Iterator[Violation]:
    """PX4's own return from every stretch but landings: the first reason of each for which it cannot be flown."""
    home = Destination("home", file.home, file.home_amsl_m)
    rally = (
        Destination(f"rally point {i}", r.position, file.home_amsl_m + r.alt_rel_home_m)
        for i, r in enumerate(file.rally, start=1)
    )
    keep_ins = [a.outline for a in file.fence if a.inclusion]
    keep_outs = [a.outline for a in file.fence if not a.inclusion]
    px4 = Homeward([home, *rally], rules, rule, found, keep_ins, keep_outs)
    for i, stretch in enumerate(flight.stretches):
        if stretch.doing in ("climb", "descent", "return"):
            continue
        at_ends = (left[i - 1] if i else left[0], left[i]) if left else None
        line = Line(stretch.start, stretch.end, at_ends)
        told = ((k, px4.objection(line, a, b, k)) for a, b, chosen in px4.chosen(line) for k in chosen)
        first = next(((k, why) for k, why in told if why is not None), None)
        if first is not None:
            yield first[1].violation(stretch.item, f"item {stretch.item}", px4.destinations[first[0]])
