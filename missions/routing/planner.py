"""The shortest legal route between two places: around what is closed at the height flown, or at another height."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import Airspace, frame_for, is_closed
from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon, LocalFrame, distance_m
from geofences.heights import Terrain
from geofences.times import applies_within, next_free
from geofences.volumes import Restriction, Role, Volume, Zone
from missions.plan import Infeasible, Reason
from missions.routing.scene import MIN_MARGIN_M, Scene, View
from missions.routing.tangent import NoPath

VERTICAL_MARGIN_M = 5.0
"""between a zone's limit and the height flown: barometric drift and PX4's height control"""
_LAYER_COST = 16.0
"""metres of route that a metre of extra climb and descent is worth: 1/3 + 1/2 s at 20 m/s"""
_MAX_BLOCKERS = 12


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """Where from and to, through which airspace, when and how. `layers_agl_m`: preferred cruise height first."""

    start: LatLon
    goal: LatLon
    airspace: Airspace
    authorised: frozenset[str]
    terrain: Terrain
    depart_s: float
    ground_speed_m_s: float = 20.0
    """the slowest expected: the time window in which zones are judged follows from it"""
    layers_agl_m: tuple[float, ...] = (80.0,)
    margin_m: float = 30.0
    ceiling_agl_m: float = 120.0
    in_air: bool = False
    """the vehicle is flying at the start: if a zone has closed around it, the way out comes first"""
    start_agl_m: float = 0.0
    """the start's column reaches from here to the layer"""
    goal_agl_m: float = 0.0
    """the goal's column reaches from here to the layer"""
    window_s: float | None = None
    """zones in force at any time of depart_s … depart_s + window_s are closed; None: as long as the route takes"""


@dataclass(frozen=True, slots=True)
class Route:
    """A route at one cruise layer; `points` runs from start to goal, straight (geodesic) in between."""

    points: tuple[LatLon, ...]
    layer_agl_m: float
    length_m: float
    straight_m: float
    reasons: tuple[Reason, ...]
    """why it runs around, under, over or through each zone that lies in the straight way"""
    exits_zone: tuple[str, ...] = ()
    """closed zones that hold the start: the first piece is the shortest way out"""


def plan_route(request: RouteRequest) -> Route | Infeasible:
    """The best route over the layers, or why there is none and what would unblock it."""
    found: list[Route] = []
    refused: list[Infeasible] = []
    try:
        frame = frame_for((request.start, request.goal))
    except ValueError as error:
        return Infeasible((Reason("area", str(error)),))
    for layer in request.layers_agl_m:
        result = _in_layer(request, layer, frame)
        if isinstance(result, Route):
            found.append(result)
            if len(result.points) == 2:
                break  # nothing is shorter than straight in the preferred layer
        else:
            refused.append(result)
    if found:
        first = request.layers_agl_m[0]
        return min(found, key=lambda r: r.length_m + _LAYER_COST * abs(r.layer_agl_m - first))
    return refused[0] if refused else Infeasible((Reason("no_layer", "no cruise height was given"),))


def band_at(layer_agl_m: float) -> AglBand:
    """The heights that a flight in a layer may have."""
    return AglBand(layer_agl_m - VERTICAL_MARGIN_M, layer_agl_m + VERTICAL_MARGIN_M)


def column_block(scene: Scene, at: LatLon, low_agl_m: float, high_agl_m: float, what: str) -> Infeasible | None:
    """Why a vertical climb or descent over `at` is not legal; None if it is."""
    band = AglBand(low_agl_m, high_agl_m)
    view = scene.view
    here = shapely.Point(scene.frame.to_xy([at])[0])
    reasons: dict[str, Reason] = {}
    for i in sorted(scene.index.tree.query(here, predicate="intersects").tolist()):
        zone, volume = scene.index.shapes[i].zone, scene.index.shapes[i].volume
        if not is_closed(zone, view.authorised) or not applies_within(zone, view.start_s, view.end_s):
            continue
        if outer_band(volume, scene.terrain).overlaps(band):
            text = f"{what} is inside {_label(zone)}, closed ({zone.restriction})"
            reasons[zone.zone_id] = Reason("inside_zone", text, _fix(zone, view, scene.terrain))
    if scene.keep_in is not None and not scene.keep_in.covers(here):
        for zone_id in scene.keep_in_ids:
            text = f"{what} is outside of the keep-in boundary {zone_id}"
            reasons[zone_id] = Reason("outside", text, "extend the boundary")
    return Infeasible(tuple(reasons.values()), tuple(reasons)) if reasons else None


def _in_layer(request: RouteRequest, layer: float, frame: LocalFrame) -> Route | Infeasible:
    if layer + 1e-9 > request.ceiling_agl_m:
        text = f"{layer:.0f} m is above the ceiling of {request.ceiling_agl_m:.0f} m above ground"
        return Infeasible((Reason("ceiling", text, "choose a lower cruise height"),))
    straight = distance_m(request.start, request.goal)
    window = request.window_s
    guess = window if window is not None else 1.5 * straight / request.ground_speed_m_s + 120.0
    result: Route | Infeasible = Infeasible((Reason("window", "the flight's time could not be settled"),))
    for _ in range(5):
        result = _in_window(request, layer, frame, guess)
        if window is not None or isinstance(result, Infeasible):
            return result
        needed = result.length_m / request.ground_speed_m_s + 90.0
        if needed <= guess:
            return result
        guess = 1.3 * needed  # zones may open or close within a longer flight: judge it over all of its time
    return result


def _in_window(request: RouteRequest, layer: float, frame: LocalFrame, window_s: float) -> Route | Infeasible:
    xy = frame.to_xy([request.start, request.goal])
    view = View(
        band_at(layer),
        request.depart_s,
        request.depart_s + window_s,
        request.margin_m,
        request.authorised,
        request.ceiling_agl_m,
    )
    scene = Scene(request.airspace, request.terrain, frame, view, near=(xy[0], xy[1]))
    return route_in(scene, request, layer, xy)


def route_in(scene: Scene, request: RouteRequest, layer: float, xy: NDArray[np.float64]) -> Route | Infeasible:
    """The route of `request` in a scene that was made for its layer and time."""
    start, goal = xy[0], xy[1]
    blocked = column_block(scene, request.goal, request.goal_agl_m, layer, "the destination")
    if blocked is None and not request.in_air:
        blocked = column_block(scene, request.start, request.start_agl_m, layer, "the start")
    if blocked is not None:
        return blocked
    for zone_id, margin in scene.tightened.items():
        if margin < MIN_MARGIN_M * 0.5 and not request.in_air:
            text = f"a pad lies only {margin / 0.9:.1f} m from the edge of {zone_id}"
            return Infeasible((Reason("too_near", text, "move the pad, or authorise the zone"),), (zone_id,))
    exits: tuple[str, ...] = ()
    first: list[NDArray[np.float64]] = []
    if request.in_air and scene.field.around(start):
        exits = scene.holding(start)
        first, start = [start], scene.way_out(start)
    path = scene.field.shortest(start, goal)
    if isinstance(path, NoPath):
        return _blocked(scene, path, start, goal)
    points = np.concatenate([np.array(first).reshape(-1, 2), path.xy])
    places = list(scene.frame.to_latlon(points))
    places[0], places[-1] = request.start, request.goal
    length = sum(distance_m(a, b) for a, b in pairwise(places))
    straight = distance_m(request.start, request.goal)
    reasons = _explain(scene, request, layer, xy, places, length - straight, exits)
    return Route(tuple(places), layer, length, straight, reasons, exits)


def _blocked(scene: Scene, path: NoPath, start: NDArray[np.float64], goal: NDArray[np.float64]) -> Infeasible:
    """A smallest set (by inclusion) of zones that block, each with what would open it."""
    ids = set(scene.zone_ids(path.met))
    opened = scene.without(frozenset(ids))
    for _ in range(5):
        again = opened.shortest(start, goal)
        if not isinstance(again, NoPath):
            break
        ids |= {scene.index.shapes[i].zone.zone_id for i in again.met if i < len(scene.index.shapes)}
        opened = scene.without(frozenset(ids))
    if len(ids) <= _MAX_BLOCKERS:
        for zone_id in sorted(ids):
            fewer = ids - {zone_id}
            if not isinstance(scene.without(frozenset(fewer)).shortest(start, goal), NoPath):
                ids = fewer
    zones = [s.zone for s in scene.index.shapes if s.zone.zone_id in ids]
    unique = list({z.zone_id: z for z in zones}.values())
    reasons = tuple(
        Reason("blocked", f"every way is closed by {_label(z)} ({_kind(z)})", _fix(z, scene.view, scene.terrain))
        for z in unique
    )
    return Infeasible(reasons or (Reason("blocked", "every way is closed"),), tuple(z.zone_id for z in unique))


def _explain(
    scene: Scene,
    request: RouteRequest,
    layer: float,
    xy: NDArray[np.float64],
    places: Iterable[LatLon],
    detour_m: float,
    exits: tuple[str, ...],
) -> tuple[Reason, ...]:
    index, view = scene.index, scene.view
    straight = shapely.LineString(xy) if not np.array_equal(xy[0], xy[1]) else shapely.Point(xy[0])
    flown = shapely.LineString(scene.frame.to_xy(list(places)))
    met = set(index.tree.query(straight, predicate="intersects").tolist())
    met |= set(index.tree.query(flown, predicate="intersects").tolist())
    reasons: dict[tuple[str, str], Reason] = {}
    for zone_id in exits:
        reasons[zone_id, "exit"] = Reason("exit", f"the start is inside {zone_id}: the shortest way out comes first")
    for i in sorted(met):
        shape = index.shapes[i]
        if shape.zone.role is Role.KEEP_IN or shape.zone.zone_id in exits:
            continue
        reason = _why(shape.zone, shape.volume, scene, layer, detour_m, closed=scene.closed(i))
        if reason is not None:
            reasons[shape.zone.zone_id, reason.code] = reason
    for zone_id, margin in scene.tightened.items():
        if margin < view.margin_m:
            text = f"only {margin:.0f} m clear of {zone_id}: the start or destination is that near to it"
            reasons[zone_id, "near"] = Reason("near", text)
    return tuple(reasons.values())


def _why(zone: Zone, volume: Volume, scene: Scene, layer: float, detour_m: float, *, closed: bool) -> Reason | None:
    view, name = scene.view, _label(zone)
    band = outer_band(volume, scene.terrain)
    if closed:
        text = f"around {name}: closed ({_kind(zone)}) {_heights(band)}; the route is {detour_m:.0f} m longer"
        return Reason("around", text, _fix(zone, view, scene.terrain))
    if zone.restriction is Restriction.NO_RESTRICTION:
        return None
    if band.lower_m > view.band.upper_m:
        return Reason("under", f"under {name}: it begins {band.lower_m:.0f} m above ground, flown at {layer:.0f} m")
    if band.upper_m < view.band.lower_m:
        return Reason("over", f"over {name}: it ends {band.upper_m:.0f} m above ground, flown at {layer:.0f} m")
    if not applies_within(zone, view.start_s, view.end_s):
        return Reason("through", f"through {name}: not in force during the flight")
    return Reason("through", f"through {name}: {_kind(zone)}, authorised")


def _label(zone: Zone) -> str:
    return zone.zone_id if zone.name in ("", zone.zone_id) else f"{zone.zone_id} ({zone.name})"


def _kind(zone: Zone) -> str:
    return "keep-in boundary" if zone.role is Role.KEEP_IN else str(zone.restriction)


def _heights(band: AglBand) -> str:
    low = "the ground" if band.lower_m <= 0 else f"{band.lower_m:.0f} m"
    if band.upper_m > 50_000:
        return "at all heights" if band.lower_m <= 0 else f"from {low} above ground up"
    return f"from {low} to {band.upper_m:.0f} m above ground"


def _fix(zone: Zone, view: View, terrain: Terrain) -> str:
    """What would open the zone: an authorisation, another height, a later departure."""
    if zone.role is Role.KEEP_IN:
        return "extend the keep-in boundary"
    ways = []
    if zone.restriction is not Restriction.PROHIBITED:
        ways.append(f"authorise {zone.zone_id}")
    bands = [outer_band(v, terrain) for v in zone.volumes]
    floor, top = min(b.lower_m for b in bands), max(b.upper_m for b in bands)
    if floor > 2 * VERTICAL_MARGIN_M:
        ways.append(f"fly below {floor - VERTICAL_MARGIN_M:.0f} m above ground")
    if top + VERTICAL_MARGIN_M < view.ceiling_agl_m:
        ways.append(f"fly above {top + VERTICAL_MARGIN_M:.0f} m above ground")
    if zone.applicability:
        free = next_free(zone, view.start_s, view.end_s - view.start_s)
        if free is not None and free > view.start_s:
            ways.append(f"depart at {datetime.fromtimestamp(free, UTC):%Y-%m-%d %H:%M} UTC or later")
    return "; or ".join(ways)


__all__ = ["Route", "RouteRequest", "band_at", "column_block", "plan_route", "route_in"]
