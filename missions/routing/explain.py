"""Why a route runs as it does, and what would open a zone: the words of routes and refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from geofences.times import applies_within, next_free
from geofences.volumes import Restriction, Role, Volume, Zone
from missions.plan import Reason
from missions.routing.cuts import shares
from missions.routing.lattice import Way
from missions.routing.scene import VERTICAL_MARGIN_M, Scene, View
from missions.routing.space import Space
from missions.routing.spans import during
from missions.routing.tangent import segments


def explain(
    scene: Scene,
    layer: float,
    xy: NDArray[np.float64],
    places: Iterable[LatLon],
    detour_m: float,
    exits: tuple[str, ...],
) -> tuple[Reason, ...]:
    index = scene.index
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
        reason = why(shape.zone, shape.volume, scene, layer, detour_m, closed=scene.closed(i))
        if reason is not None:
            reasons[shape.zone.zone_id, reason.code] = reason
    return (*reasons.values(), *_near(scene))


def explain_way(
    space: Space, way: Way, xy: NDArray[np.float64], layers: Sequence[int], main: int, detour_m: float
) -> tuple[Reason, ...]:
    """The same for a way over several layers: what it passes, seen from where it does; the rest from the main layer."""
    scene = space.scenes[main]
    flown = {
        (layer, i): None
        for a, b, layer in zip(xy[:-1], xy[1:], layers[1:], strict=True)
        for i in scene.index.tree.query(shapely.LineString([a, b]), predicate="intersects").tolist()
    }
    passed = {i for _, i in flown}
    straight = shapely.LineString(xy[[0, -1]])
    beside = [i for i in scene.index.tree.query(straight, predicate="intersects").tolist() if i not in passed]
    reasons: dict[tuple[str, str], Reason] = {}
    if way.depart_s > 1.0:
        reasons["", "wait"] = _waits(space, way)
    for layer, i in sorted([*flown, *((main, i) for i in beside)], key=lambda f: f[1]):
        shape, seen = scene.index.shapes[i], space.scenes[layer]
        if shape.zone.role is Role.KEEP_IN:
            continue
        if i in passed and seen.closed(i):
            reason: Reason | None = Reason("through", f"through {label(shape.zone)}: not in force when it is passed")
        else:
            reason = why(shape.zone, shape.volume, seen, space.layers[layer], detour_m, closed=seen.closed(i))
        if reason is not None:
            reasons[shape.zone.zone_id, reason.code] = reason
    return (*reasons.values(), *_near(scene))


def _waits(space: Space, way: Way) -> Reason:
    """Which zone a departure a little earlier would meet."""
    minutes, early = max(1.0, way.depart_s / 60.0), way.depart_s - 1.0
    request = space.request
    ends = [
        (zone.zone_id, spans, at_s)
        for at, low, at_s in ((request.start, request.start_agl_m, 0.0), (request.goal, request.goal_agl_m, way.tau_s))
        for layer in (way.layers[0 if at_s == 0.0 else -1],)
        for zone, spans in space.column(at, low, space.layers[layer])
    ]
    ids = [zone_id for zone_id, spans, at_s in ends if during(spans, early + at_s - 1.0, early + at_s + 1.0)]
    for k, (a, b) in enumerate(pairwise(way.xy)):
        if way.layers[k] != way.layers[k + 1]:
            continue
        line = segments(a[None], b[None])
        for i in space.hits(line, way.layers[k]).what.tolist():
            enter, leave = shares(line, np.array([space.polygon(i)]))[0]
            start, lasts = way.at_s[k] - 1.0, way.at_s[k + 1] - way.at_s[k]
            if during(space.closed(i, way.layers[k]), start + enter * lasts, start + leave * lasts):
                ids.extend(space.zone_ids((i,)))
    until = f" until {' and '.join(dict.fromkeys(ids))} ends" if ids else " for a way to open"
    return Reason("wait", f"waits {minutes:.0f} min{until}")


def why(zone: Zone, volume: Volume, scene: Scene, layer: float, detour_m: float, *, closed: bool) -> Reason | None:
    view, name = scene.view, label(zone)
    band = outer_band(volume, scene.terrain)
    if closed:
        text = f"around {name}: closed ({kind(zone)}) {_heights(band)}; the route is {detour_m:.0f} m longer"
        return Reason("around", text, fix_for(zone, view, scene.terrain))
    if zone.restriction is Restriction.NO_RESTRICTION:
        return None
    if band.lower_m > view.band.upper_m:
        return Reason("under", f"under {name}: it begins {band.lower_m:.0f} m above ground, flown at {layer:.0f} m")
    if band.upper_m < view.band.lower_m:
        return Reason("over", f"over {name}: it ends {band.upper_m:.0f} m above ground, flown at {layer:.0f} m")
    if not applies_within(zone, view.start_s, view.end_s):
        return Reason("through", f"through {name}: not in force during the flight")
    return Reason("through", f"through {name}: {kind(zone)}, authorised")


def _near(scene: Scene) -> Iterator[Reason]:
    for zone_id, margin in scene.tightened.items():
        if margin < scene.view.margin_m:
            yield Reason("near", f"only {margin:.0f} m clear of {zone_id}: the start or destination is that near to it")


def label(zone: Zone) -> str:
    return zone.zone_id if zone.name in ("", zone.zone_id) else f"{zone.zone_id} ({zone.name})"


def kind(zone: Zone) -> str:
    return "keep-in boundary" if zone.role is Role.KEEP_IN else str(zone.restriction)


def _heights(band: AglBand) -> str:
    low = "the ground" if band.lower_m <= 0 else f"{band.lower_m:.0f} m"
    if band.upper_m > 50_000:
        return "at all heights" if band.lower_m <= 0 else f"from {low} above ground up"
    return f"from {low} to {band.upper_m:.0f} m above ground"


def fix_for(zone: Zone, view: View, terrain: Terrain) -> str:
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
