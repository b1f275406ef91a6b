"""Pictures as one HTML file with an SVG inside: nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np

from fleet.maps.profile import band_outline, uneven
from fleet.maps.scene import (
    BASE_COLOURS,
    COLOURS,
    LAND,
    NAMES,
    ROUTE,
    Array,
    Picture,
    labels,
    scale_length_m,
)

_SIZE = 820.0
_PROFILE = (520.0, 180.0)

_STYLE = """
:root{color-scheme:light}body{font:14px/1.45 system-ui,sans-serif;margin:0;background:#fff;color:#1c2730}
main{display:flex;flex-wrap:wrap;gap:24px;padding:20px;align-items:flex-start}
section.map{flex:1 1 560px;max-width:820px}section.why{flex:1 1 320px;max-width:520px}
svg{width:100%;height:auto;border:1px solid #c9c3b4;border-radius:6px;display:block;margin-bottom:10px}
h1{font-size:20px;margin:0}p.sub{margin:2px 0 14px;color:#5b6770}h2{font-size:15px;margin:18px 0 6px}
table{border-collapse:collapse}td{padding:2px 12px 2px 0;vertical-align:top}
td:first-child{color:#5b6770;white-space:nowrap}
li{margin-bottom:7px}.fix{color:#5b6770}text{font-family:system-ui,sans-serif}
.halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}
.key span{display:inline-block;margin-right:14px}.key i{display:inline-block;width:14px;height:10px;margin-right:5px}
"""


def write_plan(path: Path, picture: Picture) -> None:
    """Map, profile, facts and reasons on one page."""
    path.write_text(page(picture), encoding="utf-8")


def page(picture: Picture) -> str:
    reasons = "".join(
        f"<li>{escape(r.text)}"
        + (f'<br><span class="fix">to change that: {escape(r.fix)}</span>' if r.fix else "")
        + "</li>"
        for r in picture.reasons
    )
    facts = "".join(f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>" for n, v in picture.facts)
    kinds = {z.kind for z in picture.zones}
    key = "".join(
        f'<span><i style="background:{COLOURS[k]}66;border:1px solid {COLOURS[k]}"></i>{escape(NAMES[k])}</span>'
        for k in NAMES
        if k in kinds
    )
    told = {
        f"PX4 returns to {a.place}" if a.place else "PX4's own return is not legal": a.colour for a in picture.returns
    }
    key += "".join(f'<span><i style="background:{c}88"></i>{escape(text)}</span>' for text, c in told.items())
    if picture.alternates:
        key += '<span><i style="border-top:2px dotted #0b8f6a;height:0"></i>way out to an alternate</span>'
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(picture.title)}</title>'
        f"<style>{_STYLE}</style><main><section class=map>{_map(picture)}"
        f'<div class="key">{key}</div></section><section class=why><h1>{escape(picture.title)}</h1>'
        f'<p class="sub">{escape(picture.subtitle)}</p><table>{facts}</table>'
        f"<h2>Why</h2><ul>{reasons or '<li>nothing closed lies in the straight way</li>'}</ul>"
        f"{_profile(picture)}</section></main></html>\n"
    )


def _map(picture: Picture) -> str:
    return f'<svg viewBox="0 0 {_SIZE:g} {_SIZE:g}" role="img" aria-label="map">{"".join(_map_parts(picture))}</svg>'


def _map_parts(picture: Picture) -> Iterator[str]:
    west, _, east, north = picture.box
    scale = _SIZE / (east - west)

    def path(xy: Array) -> str:
        return "M" + "L".join(f"{(x - west) * scale:.1f} {(north - y) * scale:.1f}" for x, y in xy.tolist())

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - west) * scale, (north - y) * scale

    yield f'<rect width="100%" height="100%" fill="{LAND}"/>'
    for f in picture.base:
        colour = BASE_COLOURS.get(f.kind, "#ddd8ca")
        if f.geometry == "Polygon":
            yield f'<path d="{path(f.xy)}Z" fill="{colour}"/>'
        elif f.geometry == "LineString":
            width = {"river": 4, "road": 2.4, "corridor": 7}.get(f.kind, 1.3)
            yield f'<path d="{path(f.xy)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        elif f.name:
            x, y = at(*f.xy[0])
            yield _label(f.name, x, y, "#9b8f7c", 10, anchor="middle")
    for zone in picture.zones:
        colour, keep_in = COLOURS[zone.kind], zone.kind == "keep_in"
        fill = "none" if keep_in else colour + ("48" if zone.closed else "12")
        dash = ' stroke-dasharray="9 5"' if keep_in else "" if zone.closed else ' stroke-dasharray="4 3"'
        outline = "".join(path(r) + "Z" for r in zone.rings)
        tip = escape(f"{zone.zone_id} {zone.name}")
        yield (
            f'<path d="{outline}" fill="{fill}" fill-rule="evenodd" stroke="{colour}" stroke-width="1.5"{dash}>'
            f"<title>{tip}</title></path>"
        )
    for zone in labels(picture.zones).values():
        yield _label(zone.zone_id, *at(*zone.label_at), COLOURS[zone.kind], 11, anchor="middle")
    for area in picture.returns:
        tip = f"PX4 returns to {area.place}" if area.place else "PX4's own return is not legal from here"
        title = f"<title>{escape(tip)}</title>"
        yield f'<path d="{path(area.ring)}Z" fill="{area.colour}" fill-opacity="{0.1 if area.place else 0.18}"/>'
        band = f'stroke="{area.colour}" stroke-opacity="0.5" stroke-width="13"'
        yield f'<path d="{path(area.line)}" {band} fill="none">{title}</path>'
    yield f'<path d="{path(picture.straight)}" stroke="#5b6770" stroke-dasharray="3 5" fill="none"/>'
    for line in picture.alternates:
        yield f'<path d="{path(line)}" stroke="#0b8f6a" stroke-width="1.6" stroke-dasharray="2 4" fill="none"/>'
    if len(picture.route):
        yield f'<path d="{path(picture.route)}" stroke="#fff" stroke-width="7" fill="none" stroke-linejoin="round"/>'
        yield f'<path d="{path(picture.route)}" stroke="{ROUTE}" stroke-width="3" fill="none" stroke-linejoin="round"/>'
        for x, y in picture.route.tolist():
            cx, cy = at(x, y)
            yield f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="3.2" fill="#fff" stroke="{ROUTE}" stroke-width="1.6"/>'
    for name, kind, sx, sy in picture.sites:
        x, y = at(sx, sy)
        main = kind in ("start", "goal")
        fill = ROUTE if main else "#fff"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{fill}" stroke="{ROUTE}" stroke-width="2"/>'
        left = x > 0.78 * _SIZE  # so that no name runs out of the map
        yield _label(
            name, x - 10 if left else x + 10, y - 8, "#1c2730", 13 if main else 11, anchor="end" if left else "start"
        )
    length = scale_length_m(east - west)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    yield f'<path d="M24 {_SIZE - 24}h{length * scale:.1f}" stroke="#1c2730" stroke-width="3"/>'
    yield f'<path d="M{_SIZE - 30} 58V26m-6 10l6-10l6 10" stroke="#1c2730" stroke-width="2.4" fill="none"/>'
    yield _label("N", _SIZE - 30, 74, "#1c2730", 13, anchor="middle")
    yield _label(text, 24 + length * scale / 2, _SIZE - 30, "#1c2730", 11, anchor="middle")


def _profile(picture: Picture) -> str:
    if not len(picture.profile):
        return ""
    width, height = _PROFILE
    lift = uneven(picture.profile)
    along, agl, ground = picture.profile.T
    base = ground if lift else np.zeros(len(ground))
    low, top = float(base.min()), float(base.max()) + picture.ceiling_agl_m * 1.18
    total = max(1.0, float(along.max()))

    def at(x: float, y: float) -> tuple[float, float]:
        return 8 + x / total * (width - 60), height - 26 - (min(y, top) - low) / (top - low) * (height - 36)

    def path(x: Array, y: Array) -> str:
        return "M" + "L".join("{:.1f} {:.1f}".format(*at(a, h)) for a, h in zip(x.tolist(), y.tolist(), strict=True))

    parts = [f'<rect width="{width:g}" height="{height:g}" fill="#fbfaf6"/>']
    named: set[str] = set()
    words = []
    for band in sorted(picture.bands, key=lambda b: b.beside):
        colour = COLOURS[band.kind]
        ring = band_outline(picture.profile, band, top)
        face = colour + ("1e" if band.beside or not band.closed else "55")
        dash = ' stroke-dasharray="4 3"' if band.beside else ""
        parts.append(f'<path d="{path(*ring.T)}Z" fill="{face}" stroke="{colour}"{dash}/>')
        if band.zone_id not in named:
            named.add(band.zone_id)
            x, y = at((band.start_m + band.end_m) / 2, float((ring[:, 1].min() + ring[:, 1].max()) / 2))
            text = band.zone_id + (" (beside)" if band.beside else "" if band.closed else " (open)")
            words.append(_label(text, x, y + 4, colour, 11, anchor="middle"))
    x1 = at(total, low)[0]
    parts.append(f'<path d="{path(along, base)}L{x1:.1f} {height - 18:g}H8Z" fill="#cdbf9f"/>')
    parts.append(
        f'<path d="{path(along, base + picture.ceiling_agl_m)}" fill="none" stroke="#c8372d" stroke-dasharray="6 4"/>'
    )
    over = at(total, float(base[-1]) + picture.ceiling_agl_m)[1]
    parts.append(_label(f"ceiling {picture.ceiling_agl_m:.0f} m", x1, over - 4, "#c8372d", 10, anchor="end"))
    parts.append(f'<path d="{path(along, base + agl)}" fill="none" stroke="{ROUTE}" stroke-width="2.6"/>')
    high = int(np.argmax(agl))
    parts.append(_label(f"{agl[high]:.0f} m", x1 + 6, at(total, float(base[-1] + agl[high]))[1] + 4, ROUTE, 11))
    heights = "heights above sea level" if lift else "heights above ground"
    parts.append(_label(f"{total / 1000:.1f} km along the route, {heights}", 8, height - 5, "#5b6770", 10))
    drawn = "".join([*parts, *words])
    return f'<h2>Heights</h2><svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="heights">{drawn}</svg>'


def _label(text: str, x: float, y: float, colour: str, size: int, *, anchor: str = "start") -> str:
    return (
        f'<text class="halo" x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" font-weight="600" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
