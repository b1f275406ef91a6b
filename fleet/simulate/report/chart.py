"""The map: land, zones, planned and flown routes as SVG; names, marks and vehicles as HTML on top of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
import shapely

from fleet.maps.profile import zone_kind
from fleet.maps.scene import COLOURS, NAMES, base_features, scale_length_m, unlabelled
from fleet.simulate.evidence import clock_text
from fleet.simulate.report.scene import Array, Scene
from fleet.simulate.report.story import Line
from geofences.shapes import ShapeIndex

WIDE = 1000.0
FINE = 0.6
"""units of the map's 1000 by which a track may be straightened"""
SIGNS = {"fault": "⚡", "decision": "◆", "alarm": "!", "zone": "⊘"}


def chart(scene: Scene, lines: Sequence[Line]) -> str:
    high = WIDE * scene.aspect
    return (
        f'<div class="map" style="aspect-ratio:{1 / scene.aspect:.4f}"><svg viewBox="0 0 {WIDE:g} {high:.0f}" '
        f'role="img" aria-label="map">{"".join(_drawn(scene))}</svg>{"".join(_written(scene, lines))}</div>'
        f"{_key(scene)}"
    )


def _drawn(scene: Scene) -> Iterator[str]:
    run = scene.outcome
    yield '<rect class="land" width="100%" height="100%"/>'
    if run.base_map is not None:
        for f in base_features(run.base_map, scene.frame):
            if f.geometry == "Polygon":
                yield f'<path class="area b-{escape(f.kind)}" d="{_path(scene, f.xy, True)}"/>'
            elif f.geometry == "LineString":
                yield f'<path class="way b-{escape(f.kind)}" d="{_path(scene, f.xy)}"/>'
    for n, seen in enumerate(run.zones):
        kind = zone_kind(seen.zone.role, seen.zone.restriction)
        shapes = ShapeIndex.build(scene.frame, [seen.zone]).shapes
        rings = [r for s in shapes for r in (s.polygon.exterior, *s.polygon.interiors)]
        d = "".join(_path(scene, shapely.get_coordinates(r), True) for r in rings)
        tip = escape(f"{seen.zone.zone_id}: {seen.zone.name}")
        yield (
            f'<path class="zone {kind}" data-zone="{n}" d="{d}" style="--zone:{COLOURS[kind]}">'
            f"<title>{tip}</title></path>"
        )
    for order, plans in scene.plans.items():
        for _, plan in plans:
            d = _path(scene, scene.frame.to_xy([w.position for w in plan.waypoints]))
            yield f'<path class="planned {scene.order_colour(order)}" d="{d}"/>'
    for vehicle in scene.vehicles:
        at = np.array([(p.left_pct, p.top_pct * scene.aspect) for p in scene.tracks[vehicle]]) * WIDE / 100.0
        if len(at) > 1:
            kept = shapely.get_coordinates(shapely.LineString(at).simplify(FINE, preserve_topology=False))
            d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in kept.tolist())
            yield f'<path class="flown {scene.colour(vehicle)}" d="{d}"/>'
        yield f'<polyline class="trail {scene.colour(vehicle)}" data-trail="{escape(vehicle)}"/>'


def _written(scene: Scene, lines: Sequence[Line]) -> Iterator[str]:
    run = scene.outcome
    window = shapely.box(scene.west, scene.south, scene.east, scene.north)
    if run.base_map is not None:
        for f in unlabelled(base_features(run.base_map, scene.frame), run.sites):
            if f.geometry == "Point" and f.name and f.name.lower() not in run.sites:
                yield _at(scene.percent(f.xy)[0].tolist(), "town", escape(f.name))
    for n, seen in enumerate(run.zones):
        kind = zone_kind(seen.zone.role, seen.zone.restriction)
        if kind == "keep_in":
            continue
        seen_part = max(
            (s.polygon.intersection(window) for s in ShapeIndex.build(scene.frame, [seen.zone]).shapes),
            key=lambda part: float(part.area),
            default=None,
        )
        if seen_part is None or seen_part.is_empty:
            continue
        point = seen_part.representative_point()
        where = scene.percent(np.array([[point.x, point.y]]))[0].tolist()
        extra = f'data-zone="{n}" style="--zone:{COLOURS[kind]};'
        yield _at(where, "zone-name", escape(seen.zone.zone_id), extra)
    for name, (lat, lon, _) in run.sites.items():
        yield _at(scene.place(lat, lon), "site", f"<i></i>{escape(name)}")
    for line in lines:
        where_seen = scene.place_of(scene.vehicle_at(line.who, line.at_s), line.at_s) if line.mark else None
        if where_seen is not None:
            tip = escape(f"{clock_text(line.at_s)} {line.who}: {line.text}")
            extra = f'data-t="{line.at_s - run.started_s:.1f}" title="{tip}" style="'
            yield _at(where_seen, f"mark {line.kind}", SIGNS[line.kind], extra, tag="button")
    for vehicle in scene.vehicles:
        arrow = '<svg viewBox="-10 -10 20 20"><path d="M0-9 7 8 0 4-7 8Z"/></svg>'
        name = f"<b>{escape(vehicle)}</b>"
        yield _at(
            (50, 50), f"vehicle {scene.colour(vehicle)}", arrow + name, f'data-vehicle="{escape(vehicle)}" style="'
        )
    width_m = scene.east - scene.west
    bar_m = scale_length_m(width_m)
    text = f"{bar_m / 1000:g} km" if bar_m >= 1000 else f"{bar_m:g} m"
    yield f'<span class="scale" style="width:{100 * bar_m / width_m:.1f}%">{text}</span>'


def _at(where: Sequence[float], css: str, inner: str, extra: str = 'style="', tag: str = "span") -> str:
    """An element on the map; nothing where it would lie outside. `extra` ends inside its style."""
    left, top = where
    if not (0.0 <= left <= 100.0 and 0.0 <= top <= 100.0):
        return ""
    return f'<{tag} class="{css}" {extra}left:{left:.2f}%;top:{top:.2f}%">{inner}</{tag}>'


def _path(scene: Scene, xy: Array, closed: bool = False) -> str:
    if len(xy) == 0:
        return ""
    at = scene.percent(xy) * (WIDE / 100.0, WIDE * scene.aspect / 100.0)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at.tolist()) + ("Z" if closed else "")


def _key(scene: Scene) -> str:
    window = shapely.box(scene.west, scene.south, scene.east, scene.north)
    index = ShapeIndex.build(scene.frame, list({id(z.zone): z.zone for z in scene.outcome.zones}.values()))
    seen = [index.shapes[i].zone for i in index.tree.query(window, predicate="intersects").tolist()]
    kinds = {zone_kind(zone.role, zone.restriction) for zone in seen}
    zones = "".join(
        f'<span><i class="chip" style="--zone:{COLOURS[k]}"></i>{escape(NAMES[k])}</span>' for k in NAMES if k in kinds
    )
    lines = '<span><i class="dash"></i>planned</span><span><i class="solid"></i>flown</span>'
    marks = "".join(f'<span><i class="mark {k}">{SIGNS[k]}</i>{k}</span>' for k in ("fault", "decision", "alarm"))
    return f'<p class="keys">{lines}{marks}{zones}</p>'
