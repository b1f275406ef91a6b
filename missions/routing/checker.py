"""The independent judge of plans: every leg along its whole length, in four dimensions, before any upload.

It shares values with the planner (positions, zones, plans) and the physics of `missions.energy`, but no geometry: see
`missions.routing.judge` for how it looks and its error bound of 1.4 mm. It trusts nothing that a plan says of itself
where it can look itself. It asks for no clearance: a route at a zone's very edge is inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import hypot, isfinite

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import FlatTerrain, Terrain
from geofences.volumes import Circle, Restriction, Role, Volume, Zone
from missions.energy import STILL, leg_energy
from missions.plan import Ending, Leg, Plan
from missions.routing.judge import (
    IdentityCache,
    Outline,
    Outlines,
    Track,
    outlines,
    outside_keep_ins,
    polygon_of,
    track,
)
from missions.sites import Site
from missions.snapshot import Wind
from missions.vehicles import VehicleType

TIME_SLACK_S = 60.0
"""a zone in force up to this long before or after the planned time over it counts: flights run early and late"""
TIME_STEP_S = 15.0
FARTHEST_M = 300_000.0
"""the width of the largest area of operation: a longer leg is a mistake, and would take minutes to judge"""
MAX_FENCE_VERTICES = 64
"""what PX4 stores (DM_KEY_FENCE_POINTS_MAX)"""
MAX_RALLY_POINTS = 8
"""DM_KEY_SAFE_POINTS_MAX"""
MIN_AGL_M = 3.0
_GEOD = Geod(ellps="WGS84")
_HEIGHT_TOLERANCE_M = 0.5
_SEA = FlatTerrain(0.0)
_FENCE = Zone("fence", "", Restriction.PROHIBITED, ())
_keep_outs: IdentityCache[Outline] = IdentityCache(512)
"""plans made in the air share the fence that is on board"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan is judged by. What is None is not judged."""

    airspace: Airspace
    authorised: frozenset[str]
    terrain: Terrain
    ceiling_agl_m: float = 120.0
    reserve_pct: float = 20.0
    vehicle: VehicleType | None = None
    payload_kg: float = 0.0
    wind: Wind = STILL
    goal: Site | None = None
    sites: Mapping[str, Site] = field(default_factory=dict)
    """sites that alternates may name; empty: their names are not judged"""
    time_slack_s: float = TIME_SLACK_S


@dataclass(frozen=True, slots=True)
class Violation:
    """`leg_index` is -1 where the plan as a whole is at fault."""

    leg_index: int
    code: str
    text: str
    zone_id: str | None = None
    at: LatLon | None = None


def check_plan(plan: Plan, rules: Rules) -> tuple[Violation, ...]:
    """Everything wrong with the plan; empty means that it may be flown."""
    broken = tuple(_structure(plan, rules))
    if any(v.code in ("no_legs", "not_finite", "far") for v in broken):
        return broken  # what is no line through an area of operation cannot be judged further
    found, lines = outlines(rules.airspace), tuple(_tracks(plan, rules.terrain))
    return (
        *broken,
        *_airspace(plan, rules, found, lines),
        *_heights(plan, rules, lines),
        *_energy(plan, rules),
        *_alternates(plan, rules, found),
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
        length = _distance(leg.start.position, leg.end.position)
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
        off = _distance(last.position, rules.goal.position)
        if plan.goal_site != rules.goal.site_id or off > 2.0:
            text = f"the plan ends {off:.0f} m from {rules.goal.site_id}"
            yield Violation(len(plan.legs) - 1, "goal", text, at=last.position)
    if plan.airspace_version != rules.airspace.version:
        text = f"planned against airspace {plan.airspace_version}, now it is {rules.airspace.version}"
        yield Violation(-1, "airspace_version", text)


Lines = Sequence[tuple[int, Leg, Track]]
"""(index of the leg, the leg, its pieces)"""


def _tracks(plan: Plan, terrain: Terrain) -> Iterator[tuple[int, Leg, Track]]:
    """Every leg, after the climb from the ground that a take-off begins with."""
    if plan.take_off:
        first = plan.legs[0].start
        ground = terrain.ground_amsl_m(first.position)
        low = ground if ground is not None else plan.home_amsl_m
        yield (
            0,
            plan.legs[0],
            track(first.position, min(low, first.alt_amsl_m), first.position, first.alt_amsl_m, terrain),
        )
    for i, leg in enumerate(plan.legs):
        line = track(leg.start.position, leg.start.alt_amsl_m, leg.end.position, leg.end.alt_amsl_m, terrain)
        yield i, leg, line


def _airspace(plan: Plan, rules: Rules, found: Outlines, lines: Lines) -> Iterator[Violation]:
    """A plan that says it starts inside a zone may leave it, once: until it is first outside, and no more after."""
    leaving = set() if plan.take_off else set(plan.exits_zone)
    for i, leg, line in lines:
        for zone_id, (zone, inside) in _forbidden(line, leg, rules, found).items():
            out = np.flatnonzero(~inside)
            if zone_id in leaving:
                inside[: out[0] if len(out) else None] = False
            if not inside.any():
                continue
            k = int(np.argmax(inside))
            if zone.role is Role.KEEP_IN:
                yield Violation(i, "keep_in", f"leg {i} leaves the keep-in boundary {zone_id}", zone_id, line.place(k))
            else:
                text = f"leg {i} enters {zone_id} ({zone.name}), closed ({zone.restriction})"
                yield Violation(i, "zone", text, zone_id, line.place(k))
        if leaving:
            end = leg.end
            here = track(end.position, end.alt_amsl_m, end.position, end.alt_amsl_m, rules.terrain)
            still = {z for z, (_, inside) in _forbidden(here, leg, rules, found).items() if inside.any()}
            leaving &= still


def _forbidden(line: Track, leg: Leg, rules: Rules, found: Outlines) -> dict[str, tuple[Zone, NDArray[np.bool_]]]:
    """Per zone, the pieces of the line inside of it while it is closed; for the keep-ins, those outside of all."""
    met: dict[str, tuple[Zone, NDArray[np.bool_]]] = {}
    for outline in found.closed_near(line, rules.authorised):
        zone = outline.zone
        if _ever(zone, leg, rules):
            inside = outline.inside(line)
            met[zone.zone_id] = zone, inside | met[zone.zone_id][1] if zone.zone_id in met else inside
    outside = outside_keep_ins(found, line, lambda z: _always(z, leg, rules))
    if outside.any():
        met |= {o.zone.zone_id: (o.zone, outside.copy()) for o in found.keep_ins}
    return met


def _ever(zone: Zone, leg: Leg, rules: Rules) -> bool:
    return not zone.applicability or any(zone.applies_at(t) for t in _times(leg, rules))


def _always(zone: Zone, leg: Leg, rules: Rules) -> bool:
    return not zone.applicability or all(zone.applies_at(t) for t in _times(leg, rules))


def _times(leg: Leg, rules: Rules) -> Iterator[float]:
    t, end = leg.start.eta_s - rules.time_slack_s, leg.end.eta_s + rules.time_slack_s
    while t < end:
        yield t
        t += TIME_STEP_S
    yield end


def _heights(plan: Plan, rules: Rules, lines: Lines) -> Iterator[Violation]:
    for i, leg, line in lines:
        agl = line.alt_amsl_m - line.ground_amsl_m
        if np.isnan(agl).any():
            k = int(np.argmax(np.isnan(agl)))
            yield Violation(i, "terrain", f"the ground below leg {i} is not known", at=line.place(k))
            continue
        # A vehicle that is above the ceiling already may come down to it on its first leg.
        excused = i == 0 and not plan.take_off
        if agl.max() > rules.ceiling_agl_m + _HEIGHT_TOLERANCE_M and not (excused and agl[-1] <= rules.ceiling_agl_m):
            k = int(np.argmax(agl))
            text = f"leg {i} is {agl[k]:.0f} m above ground; the ceiling is {rules.ceiling_agl_m:.0f} m"
            yield Violation(i, "ceiling", text, at=line.place(k))
        lowest = MIN_AGL_M if leg.length_m > 1.0 and line.along_m[-1] > 0.0 and not excused else -2.0
        if agl.min() < lowest:
            k = int(np.argmin(agl))
            yield Violation(i, "terrain", f"leg {i} is {agl[k]:.1f} m above ground", at=line.place(k))
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
            length_m=_distance(leg.start.position, leg.end.position),
            track_deg=_bearing(leg.start.position, leg.end.position),
            climb_m=leg.end.alt_amsl_m - leg.start.alt_amsl_m,
            wind=rules.wind,
        )
        if needed is None:
            yield Violation(i, "wind", f"leg {i} cannot be held in this wind", at=leg.start.position)
        elif leg.energy_wh < needed.energy_wh * 0.99 - 0.05:
            text = f"leg {i} needs {needed.energy_wh:.1f} Wh, the plan says {leg.energy_wh:.1f} Wh"
            yield Violation(i, "energy", text, at=leg.start.position)


def _alternates(plan: Plan, rules: Rules, found: Outlines) -> Iterator[Violation]:
    closed: dict[str, str | None] = {}
    for i, leg in enumerate(plan.legs):
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
            nearest = min(_distance(p.position, site.position) for p in (leg.start, leg.end))
            if alternate.distance_m < nearest - 1.0:
                text = f"alternate {alternate.site_id} of leg {i} is farther than the plan says"
                yield Violation(i, "alternate_distance", text, at=leg.end.position)
            if site.site_id not in closed:
                closed[site.site_id] = _closed_over(plan, site, rules, found)
            if closed[site.site_id] is not None:
                text = f"alternate {site.site_id} of leg {i} is closed by {closed[site.site_id]}"
                yield Violation(i, "alternate_closed", text, closed[site.site_id], site.position)


def _closed_over(plan: Plan, site: Site, rules: Rules, found: Outlines) -> str | None:
    """The closed zone, or the keep-in, that forbids a descent over the site at any time of the plan; None if none."""
    low, high = site.elevation_amsl_m, site.elevation_amsl_m + plan.cruise_agl_m
    line = track(site.position, low, site.position, high, rules.terrain)
    whole = Leg(plan.legs[0].start, plan.legs[-1].end, 0.0, 0.0, ())
    for outline in found.closed_near(line, rules.authorised):
        if _ever(outline.zone, whole, rules) and outline.inside(line).any():
            return outline.zone.zone_id
    if outside_keep_ins(found, line, lambda z: _always(z, whole, rules)).any():
        return found.keep_ins[0].zone.zone_id
    return None


def _fence(plan: Plan, lines: Lines) -> Iterator[Violation]:
    """PX4's own rules: home and route inside the keep-in, outside of every keep-out, within what it can store."""
    fence = plan.fence
    route = shapely.LineString([(w.position.lon_deg, w.position.lat_deg) for w in plan.waypoints])
    home = shapely.Point(plan.home.lon_deg, plan.home.lat_deg)
    vertices = sum(1 if isinstance(k, Circle) else len(k.outer) for k in fence.keep_out)
    if fence.keep_in is not None:
        vertices += len(fence.keep_in.outer)
        area = polygon_of(fence.keep_in)
        if not area.covers(home):
            yield Violation(
                -1, "fence", "the fence's keep-in does not hold home: PX4 would not enforce it", at=plan.home
            )
        begins = shapely.Point(route.coords[0])
        strayed = not plan.take_off and not area.covers(begins)  # it is outside already: any way back is one
        if not area.covers(route) and not plan.exits_zone and not strayed:
            yield Violation(-1, "fence", "the fence's keep-in does not hold the whole route")
        for point in plan.rally:
            if not area.covers(shapely.Point(point.position.lon_deg, point.position.lat_deg)):
                yield Violation(
                    -1, "fence", f"rally point {point.site_id} is outside of the keep-in", at=point.position
                )
    if vertices > MAX_FENCE_VERTICES:
        yield Violation(-1, "fence", f"the fence has {vertices} vertices; PX4 stores {MAX_FENCE_VERTICES}")
    if len(plan.rally) > MAX_RALLY_POINTS:
        yield Violation(-1, "rally", f"there are {len(plan.rally)} rally points; PX4 stores {MAX_RALLY_POINTS}")
    at_home = track(plan.home, 0.0, plan.home, 0.0, _SEA)
    for keep_out in fence.keep_out:
        outline = _keep_outs.get(keep_out, make=partial(Outline, _FENCE, Volume(keep_out)))
        for i, _, line in lines:
            if outline.touched(line).any():
                yield Violation(i, "fence", f"leg {i} touches a keep-out of the fence", at=plan.legs[i].start.position)
        if outline.touched(at_home).any():
            yield Violation(-1, "fence", "home is inside a keep-out of the fence", at=plan.home)


def _distance(a: LatLon, b: LatLon) -> float:
    return float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[2])


def _bearing(a: LatLon, b: LatLon) -> float:
    return float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[0])
