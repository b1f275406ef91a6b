"""The heights along a route: ground, flight, and the zones that it passes under, over, through and by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import Airspace, is_closed
from geofences.bands import outer_band
from geofences.geodesy import local_frame
from geofences.heights import Terrain
from geofences.shapes import ShapeIndex
from geofences.times import applies_within
from geofences.volumes import Restriction, Role
from missions.plan import Plan
from missions.routing.judge import outlines, track

Array = NDArray[np.float64]

BESIDE_M = 60.0
"""a zone as near to the route as this shows in the profile"""


@dataclass(frozen=True, slots=True)
class Band:
    """A zone's heights above ground over a stretch of the route."""

    zone_id: str
    kind: str
    start_m: float
    end_m: float
    lower_m: float
    upper_m: float
    closed: bool
    beside: bool = False
    """the route passes it by within `BESIDE_M`"""


def zone_kind(role: Role, restriction: Restriction) -> str:
    return "keep_in" if role is Role.KEEP_IN else restriction.value


def profile_of(
    plan: Plan, airspace: Airspace, authorised: frozenset[str], terrain: Terrain, times: tuple[float, float]
) -> tuple[Array, tuple[Band, ...]]:
    """Distance along the route, height above ground and ground above sea (n, 3), and the zones beside and below it."""
    points: list[tuple[float, float, float]] = []
    bands: list[Band] = []
    begin = 0.0
    found = outlines(airspace)
    for leg in plan.legs:
        line = track(leg.start.position, leg.start.alt_amsl_m, leg.end.position, leg.end.alt_amsl_m, terrain)
        ground = np.nan_to_num(line.ground_amsl_m)
        if plan.take_off and not points:
            points.append((0.0, 0.0, float(ground[0])))
        points += np.column_stack([begin + line.along_m, line.alt_amsl_m - ground, ground]).tolist()
        for outline in found.near(line):
            kind = zone_kind(outline.zone.role, outline.zone.restriction)
            if kind == "keep_in" or leg.length_m == 0.0:
                continue
            hit = np.flatnonzero(outline.touched(line))
            if len(hit):
                band = outer_band(outline.volume, terrain)
                a, b = begin + float(line.along_m[hit[0]]), begin + float(line.along_m[hit[-1] + 1])
                closed = is_closed(outline.zone, authorised) and applies_within(outline.zone, *times)
                bands.append(Band(outline.zone.zone_id, kind, a, b, max(0.0, band.lower_m), band.upper_m, closed))
        begin += leg.length_m
    inside = {band.zone_id for band in bands}
    bands += _passed(plan, airspace, authorised, terrain, times, inside)
    return np.array(points), tuple(bands)


def _passed(
    plan: Plan,
    airspace: Airspace,
    authorised: frozenset[str],
    terrain: Terrain,
    times: tuple[float, float],
    inside: set[str],
) -> Iterable[Band]:
    """Zones that the route does not enter but passes by within `BESIDE_M`."""
    start = plan.legs[0].start.position
    frame = local_frame(start)
    way = frame.to_xy([w.position for w in plan.waypoints])
    if np.hypot(*np.ptp(way, axis=0)) < 1.0:
        return
    line, index = shapely.LineString(way), ShapeIndex.build(frame, airspace.zones)
    for i in sorted(index.tree.query(line.buffer(BESIDE_M), predicate="intersects").tolist()):
        shape = index.shapes[i]
        kind = zone_kind(shape.zone.role, shape.zone.restriction)
        if kind == "keep_in" or shape.zone.zone_id in inside:
            continue
        near = shapely.intersection(line, shape.polygon.buffer(BESIDE_M))
        band = outer_band(shape.volume, terrain)
        closed = is_closed(shape.zone, authorised) and applies_within(shape.zone, *times)
        for part in shapely.get_parts(near):
            along = [line.project(shapely.Point(p)) for p in shapely.get_coordinates(part)]
            if along and max(along) > min(along):
                yield Band(
                    shape.zone.zone_id, kind, min(along), max(along), max(0.0, band.lower_m), band.upper_m, closed, True
                )


def uneven(profile: Array) -> bool:
    """Whether the ground along the route is worth drawing: heights are then shown above sea level."""
    return bool(len(profile)) and float(np.ptp(profile[:, 2])) > 2.0


def band_outline(profile: Array, band: Band, top_m: float) -> Array:
    """A zone's heights over its stretch of the route as a closed ring: distance, height as the profile shows it."""
    lift = uneven(profile)
    inner = profile[(profile[:, 0] > band.start_m) & (profile[:, 0] < band.end_m), 0]
    along = np.concatenate([[band.start_m], inner, [band.end_m]])
    ground = np.interp(along, profile[:, 0], profile[:, 2]) if lift else np.zeros(len(along))
    low = ground + band.lower_m
    high = np.maximum(low, np.minimum(ground + band.upper_m, top_m))
    return np.column_stack([np.concatenate([along, along[::-1]]), np.concatenate([low, high[::-1]])])
