"""Pictures as one HTML file with an SVG inside: nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from fleet.maps.scene import BASE_COLOURS, COLOURS, LAND, NAMES, ROUTE, Array, Picture, labels, scale_length_m

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
            width = {"river": 4, "road": 2.4}.get(f.kind, 1.3)
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
    yield _label(text, 24 + length * scale / 2, _SIZE - 30, "#1c2730", 11, anchor="middle")


def _profile(picture: Picture) -> str:
    if not len(picture.profile):
        return ""
    width, height = _PROFILE
    top, total = picture.ceiling_agl_m * 1.18, max(1.0, float(picture.profile[:, 0].max()))

    def at(along: float, agl: float) -> tuple[float, float]:
        return 8 + along / total * (width - 60), height - 22 - min(agl, top) / top * (height - 32)

    parts = [f'<rect width="{width:g}" height="{height:g}" fill="#fbfaf6"/>']
    named: set[str] = set()
    for band in picture.bands:
        colour = COLOURS[band.kind]
        (x0, y0), (x1, y1) = at(band.start_m, band.lower_m), at(band.end_m, band.upper_m)
        face = colour + ("55" if band.closed else "1e")
        place = f'x="{x0:.1f}" y="{y1:.1f}" width="{x1 - x0:.1f}" height="{max(0.0, y0 - y1):.1f}"'
        parts.append(f'<rect {place} fill="{face}" stroke="{colour}"/>')
        if band.zone_id not in named:
            named.add(band.zone_id)
            parts.append(_label(band.zone_id, (x0 + x1) / 2, (y0 + y1) / 2 + 4, colour, 11, anchor="middle"))
    x1, y0 = at(total, 0.0)
    yc = at(0.0, picture.ceiling_agl_m)[1]
    parts.append(f'<path d="M8 {yc:.1f}H{x1:.1f}" stroke="#c8372d" stroke-dasharray="6 4"/>')
    parts.append(_label(f"ceiling {picture.ceiling_agl_m:.0f} m", x1, yc - 4, "#c8372d", 10, anchor="end"))
    parts.append(f'<path d="M8 {y0:.1f}H{x1:.1f}" stroke="#a08d63" stroke-width="3"/>')
    line = "L".join("{:.1f} {:.1f}".format(*at(a, h)) for a, h in picture.profile.tolist())
    parts.append(f'<path d="M{line}" fill="none" stroke="{ROUTE}" stroke-width="2.6"/>')
    cruise = float(picture.profile[:, 1].max())
    parts.append(_label(f"{cruise:.0f} m", x1 + 6, at(0.0, cruise)[1] + 4, ROUTE, 11))
    parts.append(_label(f"{total / 1000:.1f} km along the route, heights above ground", 8, height - 6, "#5b6770", 10))
    drawn = "".join(parts)
    return f'<h2>Heights</h2><svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="heights">{drawn}</svg>'


def _label(text: str, x: float, y: float, colour: str, size: int, *, anchor: str = "start") -> str:
    return (
        f'<text class="halo" x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" font-weight="600" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
