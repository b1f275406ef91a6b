"""What a picture of a plan shows, worked out once for both PNG and HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log10

import numpy as np
import shapely
from numpy.typing import NDArray

from fleet.maps.profile import Band, profile_of, zone_kind
from geofences.airspace import Airspace, is_closed
from geofences.bands import outer_band
from geofences.geodesy import LatLon, LocalFrame, local_frame
from geofences.heights import FlatTerrain, Terrain
from geofences.shapes import ShapeIndex
from geofences.times import applies_within
from geofences.volumes import Restriction
from missions.plan import Infeasible, Plan, Reason
from missions.routing.route import Corridor
from missions.sites import Site

Array = NDArray[np.float64]

COLOURS = {
    "keep_in": "#2f6db3",
    Restriction.PROHIBITED.value: "#c8372d",
    Restriction.REQ_AUTHORISATION.value: "#dd7a1a",
    Restriction.CONDITIONAL.value: "#b8960c",
    Restriction.USPACE.value: "#7a55b8",
    Restriction.NO_RESTRICTION.value: "#4f9a57",
}
NAMES = {
    "keep_in": "keep-in boundary",
    Restriction.PROHIBITED.value: "prohibited",
    Restriction.REQ_AUTHORISATION.value: "authorisation needed",
    Restriction.CONDITIONAL.value: "conditional",
    Restriction.USPACE.value: "U-space",
    Restriction.NO_RESTRICTION.value: "no restriction",
}
BASE_COLOURS = {
    "contour": "#ece7d6",
    "ridge": "#e2dac4",
    "forest": "#d3e2c4",
    "field": "#e9e6bd",
    "lake": "#a9cde0",
    "water": "#a9cde0",
    "river": "#a9cde0",
    "settlement": "#ded3c8",
    "runway": "#8f8b86",
    "track": "#cfc4ac",
    "road": "#c9b68c",
    "corridor": "#86b8d6",
}
LAND = "#f5f2e9"
ROUTE = "#12395b"
FLOWN = "#0b8f6a"
RETURNS = ("#0b8f6a", "#1f78b4", "#b8860b", "#c2559b", "#5f7f2a", "#6a5acd", "#008b8b")
"""a colour for each place that PX4 may return to"""
NO_RETURN = "#d4150f"


@dataclass(frozen=True, slots=True)
class ZoneArea:
    """One volume in metres east and north; `closed` for this flight: drawn filled."""

    zone_id: str
    name: str
    kind: str
    rings: tuple[Array, ...]
    closed: bool
    label_at: tuple[float, float]


@dataclass(frozen=True, slots=True)
class BaseFeature:
    kind: str
    name: str
    geometry: str
    xy: Array


@dataclass(frozen=True, slots=True)
class ReturnArea:
    """A stretch of the route, where PX4 returns to from there, and what these returns sweep."""

    place: str
    """name of the destination; "" where the return is not legal"""
    colour: str
    line: Array
    ring: Array


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn. Positions in metres east and north of the middle."""

    title: str
    subtitle: str
    zones: tuple[ZoneArea, ...]
    base: tuple[BaseFeature, ...]
    route: Array
    straight: Array
    sites: tuple[tuple[str, str, float, float], ...]
    """name, kind, x, y"""
    alternates: tuple[Array, ...]
    """from the middle of a leg to its nearest alternate, where that is open straight ahead"""
    returns: tuple[ReturnArea, ...]
    profile: Array
    """distance along the route, height above ground, ground above mean sea level"""
    bands: tuple[Band, ...]
    ceiling_agl_m: float
    reasons: tuple[Reason, ...]
    facts: tuple[tuple[str, str], ...]
    box: tuple[float, float, float, float]
    """west, south, east, north"""


def picture_of(
    outcome: Plan | Infeasible,
    airspace: Airspace,
    sites: Iterable[Site],
    *,
    start: LatLon,
    goal: LatLon,
    names: tuple[str, str] = ("start", "destination"),
    authorised: frozenset[str] = frozenset(),
    terrain: Terrain | None = None,
    base_geojson: str | None = None,
    ceiling_agl_m: float = 120.0,
    depart_s: float = 0.0,
    corridors: Sequence[Corridor] = (),
) -> Picture:
    """The picture of a plan, or of why there is none."""
    ground = terrain if terrain is not None else FlatTerrain(0.0)
    frame = local_frame(LatLon((start.lat_deg + goal.lat_deg) / 2, (start.lon_deg + goal.lon_deg) / 2))
    known = {s.site_id: s for s in sites}
    plan = outcome if isinstance(outcome, Plan) else None
    ends = frame.to_xy([start, goal])
    route = frame.to_xy([w.position for w in plan.waypoints]) if plan is not None else np.empty((0, 2))
    returns = tuple(return_areas(plan, known, frame)) if plan is not None else ()
    box = _box(np.concatenate([ends, route, *(area.ring for area in returns)]))
    cruise = plan.cruise_agl_m if plan is not None else None
    times = (depart_s, plan.arrive_s if plan is not None else depart_s + 1800.0)
    marks = [
        (names[0], "start", float(ends[0, 0]), float(ends[0, 1])),
        (names[1], "goal", float(ends[1, 0]), float(ends[1, 1])),
    ]
    for site in known.values():
        x, y = map(float, frame.to_xy([site.position])[0])
        if min(np.hypot(*(ends - (x, y)).T)) > 50.0 and _inside(box, x, y):
            marks.append((site.name, site.kind.value, x, y))
    profile, bands = (
        profile_of(plan, airspace, authorised, ground, times) if plan is not None else (np.empty((0, 3)), ())
    )
    zones = _zones(airspace, frame, box, authorised, cruise, ground, times)
    shut = shapely.union_all([shapely.Polygon(z.rings[0], z.rings[1:]) for z in zones if z.closed])
    base = unlabelled(base_features(base_geojson, frame), [m[0] for m in marks]) if base_geojson else ()
    liked = (BaseFeature("corridor", c.name, "LineString", frame.to_xy(c.points)) for c in corridors)
    ways = _alternate_lines(plan, known, frame) if plan is not None else ()
    return Picture(
        title=f"{names[0]} → {names[1]}",
        subtitle=_subtitle(outcome),
        zones=zones,
        base=(*base, *liked),
        route=route,
        straight=ends,
        sites=tuple(marks),
        alternates=tuple(way for way in ways if not shut.intersects(shapely.LineString(way))),
        returns=returns,
        profile=profile,
        bands=bands,
        ceiling_agl_m=ceiling_agl_m,
        reasons=plan.notes if plan is not None else outcome.reasons if isinstance(outcome, Infeasible) else (),
        facts=tuple(_facts(plan)) if plan is not None else (),
        box=box,
    )


def base_features(text: str, frame: LocalFrame) -> Iterable[BaseFeature]:
    """The parts of a base map that can be drawn: polygons, lines and named points."""
    for feature in json.loads(text).get("features", []):
        geometry, properties = feature["geometry"], feature.get("properties") or {}
        coordinates = geometry["coordinates"]
        kind = geometry["type"]
        if kind == "Polygon":
            coordinates = coordinates[0]
        elif kind == "Point":
            coordinates = [coordinates]
        elif kind != "LineString":
            continue
        xy = frame.to_xy([LatLon(lat, lon) for lon, lat in coordinates])
        yield BaseFeature(properties.get("kind", ""), properties.get("name", ""), kind, xy)


def unlabelled(base: Iterable[BaseFeature], names: Iterable[str]) -> tuple[BaseFeature, ...]:
    """The base without the names of places that a site's own name already tells."""
    told = tuple(names)
    return tuple(f for f in base if f.geometry != "Point" or not any(n.startswith(f.name) for n in told))


def labels(zones: Iterable[ZoneArea]) -> dict[str, ZoneArea]:
    """Where each zone is labelled: once, on a part that is closed if there is one."""
    chosen: dict[str, ZoneArea] = {}
    for zone in zones:
        if zone.kind != "keep_in" and (zone.closed or zone.zone_id not in chosen):
            chosen[zone.zone_id] = zone
    return chosen


def scale_length_m(width_m: float) -> float:
    """A round length for a scale bar, about a fifth of the width."""
    rough = width_m / 5.0
    unit = 10.0 ** ceil(log10(rough) - 1.0)
    return next((unit * k for k in (5.0, 2.0, 1.0) if unit * k <= rough), unit)


def zone_areas(
    airspace: Airspace,
    frame: LocalFrame,
    box: tuple[float, float, float, float],
    is_shut: Sequence[bool] | None = None,
) -> tuple[ZoneArea, ...]:
    """Every volume that shows in the box, in the order it should be drawn."""
    index = ShapeIndex.build(frame, airspace.zones)
    window = shapely.box(*box)
    areas = []
    for i in sorted(index.tree.query(window, predicate="intersects").tolist()):
        shape = index.shapes[i]
        rings = tuple(shapely.get_coordinates(r) for r in (shape.polygon.exterior, *shape.polygon.interiors))
        seen = shapely.intersection(shape.polygon, window)
        point = seen.representative_point() if not seen.is_empty else shape.polygon.centroid
        kind = zone_kind(shape.zone.role, shape.zone.restriction)
        closed = is_shut[i] if is_shut is not None else kind not in ("keep_in", Restriction.NO_RESTRICTION.value)
        areas.append(ZoneArea(shape.zone.zone_id, shape.zone.name, kind, rings, closed, (point.x, point.y)))
    return tuple(sorted(areas, key=lambda a: (a.kind != "keep_in", a.closed)))


def _zones(
    airspace: Airspace,
    frame: LocalFrame,
    box: tuple[float, float, float, float],
    authorised: frozenset[str],
    cruise_agl_m: float | None,
    terrain: Terrain,
    times: tuple[float, float],
) -> tuple[ZoneArea, ...]:
    shut = []
    for zone in airspace.zones:
        for volume in zone.volumes:
            band = outer_band(volume, terrain)
            at_height = cruise_agl_m is None or band.lower_m - 5.0 <= cruise_agl_m <= band.upper_m + 5.0
            shut.append(is_closed(zone, authorised) and at_height and applies_within(zone, *times))
    return zone_areas(airspace, frame, box, shut)


def return_areas(plan: Plan, sites: dict[str, Site], frame: LocalFrame) -> Iterable[ReturnArea]:
    """The plan's own account of where PX4 returns to, by stretch."""
    places = {r.site_id: r.position for r in plan.rally}
    order = dict.fromkeys(r.site_id for leg in plan.legs for r in leg.returns)
    colours = {site_id: RETURNS[i % len(RETURNS)] for i, site_id in enumerate(order)}
    for leg in plan.legs:
        a, b = frame.to_xy([leg.start.position, leg.end.position])
        for part in leg.returns:
            to = frame.to_xy([places.get(part.site_id, plan.home)])[0]
            shares = np.array([part.from_m, part.to_m]) / leg.length_m if leg.length_m > 0.0 else np.zeros(2)
            line = a + np.outer(shares, b - a)
            name = sites[part.site_id].name if part.site_id in sites else part.site_id
            colour = colours[part.site_id] if part.legal else NO_RETURN
            yield ReturnArea(name if part.legal else "", colour, line, np.vstack([line, to, line[:1]]))


def _alternate_lines(plan: Plan, sites: dict[str, Site], frame: LocalFrame) -> Iterable[Array]:
    for leg in plan.legs:
        site = next((sites[a.site_id] for a in leg.alternates if a.site_id in sites), None)
        if site is None or leg.length_m < 200.0:
            continue
        a, b, there = frame.to_xy([leg.start.position, leg.end.position, site.position])
        middle = (a + b) / 2
        if np.hypot(*(there - middle)) > 100.0:
            yield np.array([middle, there])


def _facts(plan: Plan) -> Iterable[tuple[str, str]]:
    yield "Route", f"{plan.length_m / 1000:.2f} km in {len(plan.legs)} legs at {plan.cruise_agl_m:.0f} m above ground"
    yield "Time", f"{(plan.arrive_s - plan.depart_s) / 60:.1f} min"
    energy = plan.energy
    yield "Energy", f"{energy.use_wh:.0f} Wh; {energy.end_pct:.0f} % left (reserve {energy.reserve_pct:.0f} %)"
    nearest = dict.fromkeys(leg.alternates[0].site_id for leg in plan.legs if leg.alternates)
    yield "Alternates", ", ".join(nearest) or "none"
    yield "Rally points", ", ".join(r.site_id for r in plan.rally) or "home only"
    fence = plan.fence
    held = f"{'keep-in and ' if fence.keep_in else ''}{len(fence.keep_out)} keep-outs"
    by_us = ", ".join(fence.enforced_by_controller)
    yield "Fence", f"{held} on the vehicle" + (f"; by the controller alone: {by_us}" if by_us else "")
    yield "Airspace", f"version {plan.airspace_version}; every leg checked against it"


def _subtitle(outcome: Plan | Infeasible) -> str:
    if isinstance(outcome, Infeasible):
        return "no legal route"
    return f"{outcome.length_m / 1000:.2f} km, {outcome.cruise_agl_m:.0f} m above ground"


def _box(points: Array) -> tuple[float, float, float, float]:
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, max(600.0, float((high - low).max()) / 2 * 1.22)
    return middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half


def _inside(box: tuple[float, float, float, float], x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]
