"""The independent judge of plans: every leg along its whole length, in four dimensions, before any upload.

It shares values with the planner (positions, zones, plans) and the physics of `missions.energy`, but no geometry: see
`missions.routing.judge` for how it looks and its error bound of 1.4 mm. It trusts nothing that a plan says of itself
where it can look itself. It asks for no clearance: a route at a zone's very edge is inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import hypot, inf, isfinite

from geofences.heights import Terrain
from geofences.volumes import Circle, Polygon
from missions.energy import FREE, climb_cost, leg_energy
from missions.plan import Ending, Plan, Waypoint
from missions.routing.flown import (
    TIME_SLACK_S,
    Flown,
    Rules,
    Violation,
    airspace_violations,
    bearing_deg,
    distance_m,
    fence_violations,
    forbidden,
    height_violations,
    holds,
)
from missions.routing.homeward import Destination, Homeward, Line
from missions.routing.judge import Outlines, outlines, track
from missions.sites import Site
from missions.vehicles import Airframe

FARTHEST_M = 300_000.0
"""the width of the largest area of operation: a longer leg is a mistake, and would take minutes to judge"""


def check_plan(plan: Plan, rules: Rules) -> tuple[Violation, ...]:
    """Everything wrong with the plan; empty means that it may be flown."""
    broken = tuple(_structure(plan, rules))
    if any(v.code in ("no_legs", "not_finite", "far") for v in broken):
        return broken  # what is no line through an area of operation cannot be judged further
    found, lines = outlines(rules.airspace), tuple(_lines(plan, rules.terrain))
    return (
        *broken,
        *airspace_violations(lines, rules, found, set() if plan.take_off else set(plan.exits_zone)),
        *height_violations(lines, rules),
        *_ending(plan, rules),
        *_energy(plan, rules),
        *_alternates(plan, rules, found),
        *_returns(plan, rules, found),
        *_fence(plan, lines),
    )


def _structure(plan: Plan, rules: Rules) -> Iterator[Violation]:
    if not plan.legs:
        yield Violation(-1, "no_legs", "the plan has no legs")
        return
    for i, leg in enumerate(plan.legs):
        numbers = (leg.start.alt_amsl_m, leg.end.alt_amsl_m, leg.start.eta_s, leg.end.eta_s, leg.energy_wh)
        if not all(map(isfinite, numbers)):
            yield Violation(i, "not_finite", f"leg {i} holds a number that is not finite")
            return
        length = distance_m(leg.start.position, leg.end.position)
        if length > FARTHEST_M:
            text = f"leg {i} is {length / 1000:.0f} km long; are latitude and longitude swapped?"
            yield Violation(i, "far", text, at=leg.end.position)
            return
        if abs(length - leg.length_m) > 1.0 + 1e-3 * length:
            text = f"leg {i} says {leg.length_m:.0f} m, its ends are {length:.0f} m apart"
            yield Violation(i, "length", text, at=leg.start.position)
        if leg.end.eta_s < leg.start.eta_s:
            yield Violation(i, "time", f"leg {i} ends before it begins", at=leg.end.position)
        elif rules.vehicle is not None and length > 1.0:
            fastest = rules.vehicle.cruise_m_s + hypot(rules.wind.north_m_s, rules.wind.east_m_s)
            if length > (leg.end.eta_s - leg.start.eta_s + 1.0) * fastest * 1.02:
                text = f"leg {i} is timed faster than {fastest:.1f} m/s"
                yield Violation(i, "time", text, at=leg.start.position)
    for i, (before, after) in enumerate(pairwise(plan.legs)):
        if before.end != after.start:
            yield Violation(i + 1, "gap", f"leg {i + 1} does not begin where leg {i} ends", at=after.start.position)
    last = plan.legs[-1].end
    if abs(last.eta_s - plan.arrive_s) > 1.0 or plan.legs[0].start.eta_s < plan.depart_s - 1.0:
        yield Violation(-1, "time", "the legs' times do not fit the plan's departure and arrival")
    if rules.goal is not None:
        off = distance_m(last.position, rules.goal.position)
        if plan.goal_site != rules.goal.site_id or off > 2.0:
            text = f"the plan ends {off:.0f} m from {rules.goal.site_id}"
            yield Violation(len(plan.legs) - 1, "goal", text, at=last.position)
    if plan.airspace_version != rules.airspace.version:
        text = f"planned against airspace {plan.airspace_version}, now it is {rules.airspace.version}"
        yield Violation(-1, "airspace_version", text)


def _lines(plan: Plan, terrain: Terrain) -> Iterator[Flown]:
    """Every leg, after the climb from the ground that a take-off begins with."""
    first = plan.legs[0].start
    if plan.take_off:
        ground = terrain.ground_amsl_m(first.position)
        low = min(ground if ground is not None else plan.home_amsl_m, first.alt_amsl_m)
        climb = track(first.position, low, first.position, first.alt_amsl_m, terrain)
        yield Flown(0, "leg 0", climb, min(plan.depart_s, first.eta_s), first.eta_s, vertical=True)
    for i, leg in enumerate(plan.legs):
        line = track(leg.start.position, leg.start.alt_amsl_m, leg.end.position, leg.end.alt_amsl_m, terrain)
        yield Flown(
            i,
            f"leg {i}",
            line,
            leg.start.eta_s,
            leg.end.eta_s,
            vertical=leg.length_m <= 1.0 or float(line.along_m[-1]) == 0.0,
            may_descend=i == 0 and not plan.take_off,
        )


def _ending(plan: Plan, rules: Rules) -> Iterator[Violation]:
    last = plan.legs[-1].end
    ground = rules.terrain.ground_amsl_m(last.position)
    if ground is None:
        return
    if plan.ending is Ending.HOLD_AT_DROP and last.alt_amsl_m - ground < 2.0:
        yield Violation(len(plan.legs) - 1, "ending", "the drop height is on the ground", at=last.position)
    elevation = rules.goal.elevation_amsl_m if rules.goal is not None else ground
    if plan.ending is Ending.LAND and abs(last.alt_amsl_m - elevation) > 2.0:
        yield Violation(len(plan.legs) - 1, "ending", "the landing does not end on the ground", at=last.position)


def _energy(plan: Plan, rules: Rules) -> Iterator[Violation]:
    energy = plan.energy
    if energy.end_pct < rules.reserve_pct - 1e-6:
        text = f"{energy.end_pct:.0f} % of battery left at the end; the reserve is {rules.reserve_pct:.0f} %"
        yield Violation(-1, "reserve", text)
    if energy.reserve_pct < rules.reserve_pct - 1e-6:
        text = f"the plan keeps a reserve of {energy.reserve_pct:.0f} %; policy asks for {rules.reserve_pct:.0f} %"
        yield Violation(-1, "reserve", text)
    if energy.use_wh < sum(leg.energy_wh for leg in plan.legs) - 0.1 or not 0.0 <= energy.start_pct <= 100.0:
        yield Violation(-1, "energy", "the energy budget is less than its legs need")
    vehicle = rules.vehicle
    if vehicle is None:
        return
    if abs(energy.start_pct - 100.0 * energy.use_wh / vehicle.battery_wh - energy.end_pct) > 0.1:
        yield Violation(-1, "energy", "the energy budget does not add up for this battery")
    for i, leg in enumerate(plan.legs):
        needed = leg_energy(
            vehicle,
            rules.payload_kg,
            length_m=distance_m(leg.start.position, leg.end.position),
            track_deg=bearing_deg(leg.start.position, leg.end.position),
            climb_m=leg.end.alt_amsl_m - leg.start.alt_amsl_m,
            wind=rules.wind,
        )
        ground = rules.terrain.ground_amsl_m(leg.start.position)
        if needed is not None and i == 0 and plan.take_off and ground is not None:
            needed += climb_cost(vehicle, rules.payload_kg, max(0.0, leg.start.alt_amsl_m - ground))
        if needed is None:
            yield Violation(i, "wind", f"leg {i} cannot be held in this wind", at=leg.start.position)
        elif leg.energy_wh < needed.energy_wh * 0.99 - 0.05:
            text = f"leg {i} needs {needed.energy_wh:.1f} Wh, the plan says {leg.energy_wh:.1f} Wh"
            yield Violation(i, "energy", text, at=leg.start.position)


def _alternates(plan: Plan, rules: Rules, found: Outlines) -> Iterator[Violation]:
    closed: dict[str, str | None] = {}
    used_wh = 0.0
    for i, leg in enumerate(plan.legs):
        before_wh, used_wh = used_wh, used_wh + leg.energy_wh
        if not leg.alternates:
            yield Violation(i, "no_alternate", f"leg {i} has no legal alternate within reach", at=leg.end.position)
        for alternate in leg.alternates:
            if alternate.reserve_pct < rules.reserve_pct - 1e-6:
                text = f"alternate {alternate.site_id} of leg {i} leaves {alternate.reserve_pct:.0f} % of battery"
                yield Violation(i, "alternate_reserve", text, at=leg.end.position)
            if not rules.sites:
                continue
            site = rules.sites.get(alternate.site_id)
            if site is None:
                yield Violation(i, "alternate_unknown", f"leg {i} names an unknown alternate {alternate.site_id}")
                continue
            nearest = min(distance_m(p.position, site.position) for p in (leg.start, leg.end))
            if alternate.distance_m < nearest - 1.0:
                text = f"alternate {alternate.site_id} of leg {i} is farther than the plan says"
                yield Violation(i, "alternate_distance", text, at=leg.end.position)
            # What is used grows evenly along a leg, and the way left is convex: the least left is at one of its ends.
            for point, wh in ((leg.start, before_wh), (leg.end, used_wh)):
                left = _left_at(plan, site, point, wh, rules)
                if left < rules.reserve_pct - 0.1:
                    text = f"alternate {site.site_id} of leg {i} is out of reach: {left:.0f} % of battery left at best"
                    yield Violation(i, "alternate_energy", text, at=point.position)
                    break
            if site.site_id not in closed:
                closed[site.site_id] = _closed_over(plan, site, rules, found)
            if closed[site.site_id] is not None:
                text = f"alternate {site.site_id} of leg {i} is closed by {closed[site.site_id]}"
                yield Violation(i, "alternate_closed", text, closed[site.site_id], site.position)


def _left_at(plan: Plan, site: Site, point: Waypoint, used_wh: float, rules: Rules) -> float:
    """Percent of battery over the site after the straight way there, the shortest that could be legal; -inf if none."""
    if rules.vehicle is None:
        return inf
    length, track_deg = distance_m(point.position, site.position), bearing_deg(point.position, site.position)
    way = FREE
    if length > 0.5:
        flown = leg_energy(
            rules.vehicle, rules.payload_kg, length_m=length, track_deg=track_deg, climb_m=0.0, wind=rules.wind
        )
        if flown is None:
            return -inf
        way = flown
    return plan.energy.start_pct - 100.0 * (used_wh + way.energy_wh) / rules.vehicle.battery_wh


def _closed_over(plan: Plan, site: Site, rules: Rules, found: Outlines) -> str | None:
    """The closed zone, or the keep-in, that forbids a descent over the site at any time of the plan; None if none."""
    if found.nothing_near(site.position):
        return None
    low, high = site.elevation_amsl_m, site.elevation_amsl_m + plan.cruise_agl_m
    line = track(site.position, low, site.position, high, rules.terrain)
    whole = Flown(-1, site.site_id, line, plan.legs[0].start.eta_s, plan.legs[-1].end.eta_s, vertical=True)
    return next(iter(forbidden(whole, rules, found)), None)


def _returns(plan: Plan, rules: Rules, found: Outlines) -> Iterator[Violation]:
    """What the plan says of PX4's own return: from everywhere to where PX4 goes, and legal where it is said to be."""
    vehicle = rules.vehicle
    if vehicle is None:
        return
    keep_ins, keep_outs, strayed = _held_fence(plan)
    home = Destination("home", plan.home, plan.home_amsl_m)
    rally = [Destination(r.site_id, r.position, plan.home_amsl_m + r.alt_rel_home_m) for r in plan.rally]
    px4 = Homeward([home, *rally], rules, vehicle.returns, found, () if strayed else keep_ins, keep_outs)
    numbers = {to.name: k for k, to in enumerate(rally, start=1)}
    used_wh = 0.0
    for i, leg in enumerate(plan.legs):
        before_wh, used_wh = used_wh, used_wh + leg.energy_wh
        start_pct, end_pct = (plan.energy.start_pct - 100.0 * wh / vehicle.battery_wh for wh in (before_wh, used_wh))
        hovers = vehicle.airframe is Airframe.VTOL and leg.length_m == 0.0
        line = Line(leg.start, leg.end, (start_pct, end_pct), on_rotors=hovers)
        said: list[tuple[float, float, int]] = []
        for stretch in leg.returns:
            number = numbers.get(stretch.site_id, 0)
            if number == 0 and not _is_home(stretch.site_id, plan, rules):
                text = f"leg {i} says that PX4 returns to {stretch.site_id}, which is neither home nor a rally point"
                yield Violation(i, "return_unknown", text, at=leg.start.position)
                continue
            if not -1.0 <= stretch.from_m <= stretch.to_m <= leg.length_m + 1.0:
                yield Violation(i, "return_gap", f"leg {i} has returns from beyond its ends", at=leg.start.position)
                continue
            span = (stretch.from_m / max(leg.length_m, 1e-3), min(1.0, stretch.to_m / max(leg.length_m, 1e-3)))
            said.append((*span, number))
            if stretch.legal and (why := px4.objection(line, *span, number)) is not None:
                yield why.violation(i, f"leg {i}", px4.destinations[number])
            if not stretch.legal and rules.require_contingency and plan.take_off:
                text = f"leg {i}: PX4's own return to {stretch.site_id} is not legal everywhere: {stretch.reason}"
                yield Violation(i, "rtl", text, at=line.at(span[0]).position)
        if px4.known and (gap := px4.gap(line, said)) is not None:
            text = f"leg {i} does not say that PX4 may return to {gap[1]} from here"
            yield Violation(i, "return_gap", text, at=gap[0])


def _is_home(site_id: str, plan: Plan, rules: Rules) -> bool:
    site = rules.sites.get(site_id)
    return not rules.sites or (site is not None and distance_m(site.position, plan.home) <= 2.0)


def _held_fence(plan: Plan) -> tuple[list[Polygon], list[Polygon | Circle], bool]:
    """Keep-ins and keep-outs on board that bind, and whether the flight begins out of bounds.

    What begins in the air beyond the fence may come back by any way: PX4 lets it go on flying.
    """
    keep_ins = [] if plan.fence.keep_in is None else [plan.fence.keep_in]
    begins = plan.legs[0].start.position
    strayed = bool(plan.exits_zone) or (not plan.take_off and any(not holds(k, begins) for k in keep_ins))
    return keep_ins, [k for k in plan.fence.keep_out if plan.take_off or not holds(k, begins)], strayed


def _fence(plan: Plan, lines: Sequence[Flown]) -> Iterator[Violation]:
    keep_ins, keep_outs, strayed = _held_fence(plan)
    rally = [(point.site_id, point.position) for point in plan.rally]
    yield from fence_violations(keep_ins, keep_outs, plan.home, lines, rally, strayed=strayed)


__all__ = ["TIME_SLACK_S", "Rules", "Violation", "check_plan"]
