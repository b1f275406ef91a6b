"""The watch on a plan that is being flown: where the vehicle is along it, and the first closed zone ahead.

Asked several times a second for many vehicles: where the plan meets zones is worked out once per plan and airspace
version, and each question is then a look-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, inf, radians

import numpy as np
from numpy.typing import NDArray

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from geofences.volumes import Role, Zone
from missions.decision.types import Conflict
from missions.plan import Plan
from missions.routing.judge import IdentityCache, Track, outlines, outside_keep_ins, track

TIME_SLACK_S = 60.0
"""a zone that opens or closes this near to the planned passage counts as closed"""
EXIT_SLACK_M = 50.0
"""how far along its way out of a zone a vehicle may still be found inside: braking and position error"""

_M_PER_DEG = 111_195.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a vehicle is along a plan."""

    leg_index: int
    along_m: float
    """along that leg"""
    cross_track_m: float
    """distance from the leg; in three dimensions where a height was given"""
    remaining_m: float
    """horizontal way to the end of the plan"""


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of the plan inside a closed zone or outside of the keep-ins, in metres from the plan's start."""

    zone: Zone
    start_m: float
    end_m: float
    enter_s: float
    leave_s: float
    """planned times"""


class _Line:
    """The plan's centre line in metres north and east of its start, good to 0.1 % over tens of kilometres."""

    __slots__ = ("answer", "asked", "at", "cos_lat", "lat0", "lon0", "points", "total")

    def __init__(self, plan: Plan) -> None:
        first = plan.legs[0].start
        self.lat0, self.lon0 = first.position.lat_deg, first.position.lon_deg
        middle = plan.legs[-1].end.position.lat_deg
        self.cos_lat = cos(radians((self.lat0 + middle) / 2))
        self.points = [(*self.xy(w.position), w.alt_amsl_m) for w in plan.waypoints]
        self.at = [0.0]
        for leg in plan.legs:
            self.at.append(self.at[-1] + leg.length_m)
        self.total = self.at[-1]
        self.asked: tuple[LatLon, float | None] | None = None
        self.answer = Progress(0, 0.0, 0.0, self.total)
        """to the last question: each look at a vehicle asks it several times"""

    def xy(self, p: LatLon) -> tuple[float, float]:
        return (p.lon_deg - self.lon0) * self.cos_lat * _M_PER_DEG, (p.lat_deg - self.lat0) * _M_PER_DEG


_lines: IdentityCache[_Line] = IdentityCache(1024)
_tracks: IdentityCache[tuple[Track, ...]] = IdentityCache(1024)
"""apart from the spans: a new zone asks anew of all plans in the air at once, and a track is most of the work"""
_spans: IdentityCache[tuple[_Span, ...]] = IdentityCache(1024)


def progress(plan: Plan, at: LatLon, alt_amsl_m: float | None = None) -> Progress:
    """The nearest place on the plan. Without a height, climbs and descents over one place cannot be told apart."""
    line = _lines.get(plan, make=lambda: _Line(plan))
    if line.asked == (at, alt_amsl_m):
        return line.answer
    x, y = line.xy(at)
    points = line.points
    leg_index, share, nearest = 0, 0.0, inf
    if plan.take_off and alt_amsl_m is not None:
        px, py, pz = points[0]  # the climb from the ground, which has no leg of its own
        low = min(plan.home_amsl_m, pz)
        dz = max(0.0, low - alt_amsl_m, alt_amsl_m - pz)
        nearest = hypot(x - px, y - py, dz)
    for i, ((ax, ay, az), (bx, by, bz)) in enumerate(pairwise(points)):
        dx, dy, dz = bx - ax, by - ay, bz - az
        rise = 0.0 if alt_amsl_m is None else alt_amsl_m - az
        if alt_amsl_m is None:
            dz = 0.0
        square = dx * dx + dy * dy + dz * dz
        part = 0.0
        if square > 0.0:
            part = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy + rise * dz) / square))
        off = hypot(x - ax - part * dx, y - ay - part * dy, rise - part * dz)
        if off < nearest - 1e-6:
            leg_index, share, nearest = i, part, off
    along = share * plan.legs[leg_index].length_m
    line.asked = at, alt_amsl_m
    line.answer = Progress(leg_index, along, nearest, line.total - line.at[leg_index] - along)
    return line.answer


def first_conflict(
    plan: Plan,
    at: LatLon,
    alt_amsl_m: float,
    airspace: Airspace,
    authorised: frozenset[str],
    terrain: Terrain,
    now_s: float,
    *,
    time_slack_s: float = TIME_SLACK_S,
) -> Conflict | None:
    """The nearest closed zone (or missing keep-in) on the rest of the plan, or around the vehicle now."""
    here = progress(plan, at, alt_amsl_m)
    line = _lines.get(plan, make=lambda: _Line(plan))
    done = line.at[here.leg_index] + here.along_m
    spans = _spans.get(
        plan, airspace, terrain, extra=authorised, make=lambda: _find_spans(plan, airspace, authorised, terrain)
    )
    way_out = {s.zone.zone_id for s in spans if _is_way_out(plan, s) and done <= s.end_m + EXIT_SLACK_M}
    for zone in _around(at, alt_amsl_m, airspace, authorised, terrain, now_s):
        if zone.zone_id not in way_out:
            return Conflict(zone.zone_id, 0.0, now_s)
    late_s = now_s - _planned_s(plan, here)
    best: Conflict | None = None
    for span in spans:
        if span.end_m < done or _is_way_out(plan, span):
            continue
        enter_s, leave_s = max(now_s, span.enter_s + late_s), max(now_s, span.leave_s + late_s)
        if not _is_keep_in(span.zone) and not _applies(span.zone, enter_s - time_slack_s, leave_s + time_slack_s):
            continue
        ahead_m = max(0.0, span.start_m - done)
        if best is None or ahead_m < best.distance_ahead_m:
            best = Conflict(span.zone.zone_id, ahead_m, enter_s)
    return best


def _find_spans(plan: Plan, airspace: Airspace, authorised: frozenset[str], terrain: Terrain) -> tuple[_Span, ...]:
    found = outlines(airspace)
    spans: list[_Span] = []
    begin_m = 0.0
    for leg, line in zip(plan.legs, _tracks.get(plan, terrain, make=lambda: _along(plan, terrain)), strict=True):
        masks = [(o.zone, o.inside(line)) for o in found.closed_near(line, authorised)]
        if found.keep_ins:
            times = leg.start.eta_s, leg.end.eta_s
            outside = outside_keep_ins(found, line, lambda z, times=times: all(map(z.applies_at, times)))  # type: ignore[misc]
            masks.append((found.keep_ins[0].zone, outside))
        times_s = np.linspace(leg.start.eta_s, leg.end.eta_s, len(line.along_m))
        for zone, mask in masks:
            for a, b in _runs(mask):
                enter_m, leave_m = begin_m + float(line.along_m[a]), begin_m + float(line.along_m[b])
                spans.append(_Span(zone, enter_m, leave_m, float(times_s[a]), float(times_s[b])))
        begin_m += leg.length_m
    return tuple(spans)


def _along(plan: Plan, terrain: Terrain) -> tuple[Track, ...]:
    ends = ((leg.start, leg.end) for leg in plan.legs)
    return tuple(track(a.position, a.alt_amsl_m, b.position, b.alt_amsl_m, terrain) for a, b in ends)


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Pairs (first, last + 1) of the stretches where the mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _is_way_out(plan: Plan, span: _Span) -> bool:
    return span.zone.zone_id in plan.exits_zone and span.start_m <= 1.0


def _is_keep_in(zone: Zone) -> bool:
    return zone.role is Role.KEEP_IN


def _around(
    at: LatLon, alt_amsl_m: float, airspace: Airspace, authorised: frozenset[str], terrain: Terrain, now_s: float
) -> Iterator[Zone]:
    """Closed zones that hold the vehicle now."""
    found = outlines(airspace)
    if found.nothing_near(at):
        return
    here = track(at, alt_amsl_m, at, alt_amsl_m, terrain)
    for outline in found.closed_near(here, authorised):
        if outline.zone.applies_at(now_s) and outline.inside(here).any():
            yield outline.zone
    if outside_keep_ins(found, here, lambda z: z.applies_at(now_s)).any():
        yield found.keep_ins[0].zone


def _applies(zone: Zone, start_s: float, end_s: float) -> bool:
    """At any time of the window, looked at every quarter minute."""
    if not zone.applicability:
        return True
    steps = max(1, int((end_s - start_s) / 15.0) + 1)
    return any(zone.applies_at(start_s + (end_s - start_s) * k / steps) for k in range(steps + 1))


def _planned_s(plan: Plan, here: Progress) -> float:
    leg = plan.legs[here.leg_index]
    share = here.along_m / leg.length_m if leg.length_m > 0.0 else 0.0
    return leg.start.eta_s + share * (leg.end.eta_s - leg.start.eta_s)
