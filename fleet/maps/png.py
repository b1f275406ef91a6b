"""Pictures as PNG, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from fleet.maps.profile import band_outline, uneven
from fleet.maps.scene import (
    BASE_COLOURS,
    COLOURS,
    LAND,
    NAMES,
    ROUTE,
    Array,
    BaseFeature,
    Picture,
    ReturnArea,
    ZoneArea,
    labels,
    scale_length_m,
)

_GREY = "#5b6770"
_INK = "#1c2730"
_NO_RETURN_TEXT = "PX4's own return is not legal"


def draw_plan(path: Path, picture: Picture) -> None:
    """Map on the left; facts, reasons and the profile of heights on the right."""
    figure = new_figure(13.5, 8.4)
    figure.subplots_adjust(bottom=0.1)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.45, 1.0), height_ratios=(1.0, 0.52), wspace=0.05, hspace=0.08)
    axes = figure.add_subplot(grid[:, 0])
    draw_map(axes, picture.box, picture.base, picture.zones)
    _returns(axes, picture.returns)
    axes.plot(*picture.straight.T, ls=(0, (2, 3)), lw=1.1, color=_GREY, zorder=5)
    for line in picture.alternates:
        axes.plot(*line.T, ls=(0, (1, 2)), lw=1.3, color="#0b8f6a", zorder=5)
    if len(picture.route):
        draw_route(axes, picture.route)
    draw_sites(axes, picture.sites)
    legend(axes, {z.kind for z in picture.zones}, alternates=bool(picture.alternates), returns=picture.returns)
    _text(figure.add_subplot(grid[0, 1]), picture)
    _profile(figure.add_subplot(grid[1, 1]), picture)
    figure.savefig(path, dpi=130, facecolor="white")


def new_figure(width: float, height: float) -> Any:
    """A figure that no window system ever sees."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.015, right=0.985, top=0.985, bottom=0.05)
    return figure


def draw_map(
    axes: Any, box: tuple[float, float, float, float], base: Sequence[BaseFeature], zones: Sequence[ZoneArea]
) -> None:
    axes.set_facecolor(LAND)
    axes.set_aspect("equal")
    axes.set_xlim(box[0], box[2])
    axes.set_ylim(box[1], box[3])
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#c9c3b4")
    for feature in base:
        _base(axes, feature)
    for zone in zones:
        _zone(axes, zone)
    for zone in labels(zones).values():
        _zone_label(axes, zone, box)
    _scale(axes, box)
    _north(axes)


def _returns(axes: Any, returns: Sequence[ReturnArea]) -> None:
    """Under the route: a band in the colour of where PX4 would return to, and faintly what it would fly over."""
    for area in returns:
        if np.ptp(area.line, axis=0).max() > 1.0:
            axes.fill(*area.ring.T, color=area.colour, alpha=0.09 if area.place else 0.16, lw=0, zorder=2.5)
        axes.plot(*area.line.T, lw=11.0, color=area.colour, alpha=0.45, zorder=4.5, solid_capstyle="butt")


def draw_route(axes: Any, route: Array, colour: str = ROUTE, *, label: str | None = None) -> None:
    axes.plot(*route.T, lw=5.0, color="white", alpha=0.85, zorder=6, solid_capstyle="round")
    axes.plot(*route.T, lw=2.4, color=colour, zorder=7, solid_capstyle="round", label=label)
    axes.plot(*route.T, "o", ms=4.2, mfc="white", mec=colour, mew=1.4, zorder=8)


def draw_sites(axes: Any, sites: Iterable[tuple[str, str, float, float]]) -> None:
    marks = {"start": "o", "goal": "*", "hub": "s", "clinic": "P", "reicing": "X", "alternate": "^"}
    for name, kind, x, y in sites:
        main = kind in ("start", "goal")
        size = 13 if kind == "goal" else 8
        axes.plot(x, y, marks.get(kind, "o"), ms=size, mfc=ROUTE if main else "white", mec=ROUTE, mew=1.3, zorder=9)
        west, east = axes.get_xlim()
        leftwards = x > west + 0.78 * (east - west)  # so that no name runs out of the map
        axes.annotate(
            name,
            (x, y),
            xytext=(-7 if leftwards else 7, 6),
            textcoords="offset points",
            ha="right" if leftwards else "left",
            fontsize=9 if main else 8,
            fontweight="bold" if main else "normal",
            color=_INK,
            zorder=10,
            path_effects=_halo(),
        )


def legend(
    axes: Any, kinds: set[str], *, alternates: bool = False, returns: Sequence[ReturnArea] | None = None
) -> None:
    """In the map's corner; with returns, which take more room, below it."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    items: list[Any] = []
    for kind, name in NAMES.items():
        if kind in kinds:
            colour = COLOURS[kind]
            if kind == "keep_in":
                items.append(Line2D([], [], color=colour, ls="--", lw=1.6, label=name))
            else:
                items.append(Patch(facecolor=colour + "55", edgecolor=colour, label=name))
    if alternates:
        items.append(Line2D([], [], color="#0b8f6a", ls=":", lw=1.6, label="way out to an alternate"))
    told = {area.place or _NO_RETURN_TEXT: area.colour for area in returns or ()}
    items += [
        Line2D(
            [], [], color=colour, lw=7, alpha=0.5, label=text if text == _NO_RETURN_TEXT else f"PX4 returns to {text}"
        )
        for text, colour in told.items()
    ]
    if items and returns is not None:
        low = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.008), "ncols": 3, "borderaxespad": 0.0}
        axes.legend(handles=items, fontsize=8, framealpha=0.0, handlelength=1.8, columnspacing=1.4, **low)
    elif items:
        axes.legend(handles=items, loc="lower right", fontsize=8, framealpha=0.92, edgecolor="#c9c3b4")


def _base(axes: Any, feature: BaseFeature) -> None:
    colour = BASE_COLOURS.get(feature.kind, "#ddd8ca")
    x, y = feature.xy.T
    if feature.geometry == "Polygon":
        axes.fill(x, y, color=colour, lw=0, zorder=1)
    elif feature.geometry == "LineString":
        width = {"river": 3.2, "road": 1.8, "track": 1.0, "corridor": 6.0}.get(feature.kind, 1.0)
        axes.plot(x, y, color=colour, lw=width, zorder=1.5, solid_capstyle="round")
    elif feature.name:
        axes.annotate(
            feature.name,
            (x[0], y[0]),
            fontsize=7.5,
            color="#9b8f7c",
            ha="center",
            style="italic",
            zorder=2,
            clip_on=True,
        )


def _zone(axes: Any, zone: ZoneArea) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    vertices = np.concatenate(zone.rings)
    codes = np.concatenate(
        [[Outline.MOVETO] + [Outline.LINETO] * (len(r) - 2) + [Outline.CLOSEPOLY] for r in zone.rings]
    )
    colour = COLOURS[zone.kind]
    keep_in = zone.kind == "keep_in"
    fill = colour + ("48" if zone.closed else "12") if not keep_in else "none"
    dash = (0, (6, 3)) if keep_in else "-" if zone.closed else (0, (3, 2))
    axes.add_patch(
        PathPatch(
            Outline(vertices, codes), facecolor=fill, edgecolor=colour, lw=1.7 if keep_in else 1.2, ls=dash, zorder=3
        )
    )


def _zone_label(axes: Any, zone: ZoneArea, box: tuple[float, float, float, float]) -> None:
    x, y = zone.label_at
    if not (box[0] < x < box[2] and box[1] < y < box[3]):
        return
    plain = zone.closed or zone.kind == "NO_RESTRICTION"
    axes.annotate(
        zone.zone_id if plain else f"{zone.zone_id}\n(open to this flight)",
        (x, y),
        fontsize=7.5,
        color=COLOURS[zone.kind],
        ha="center",
        va="center",
        fontweight="bold",
        zorder=4,
        path_effects=_halo(),
        clip_on=True,
    )


def _scale(axes: Any, box: tuple[float, float, float, float]) -> None:
    width = box[2] - box[0]
    length = scale_length_m(width)
    x, y = box[0] + 0.03 * width, box[1] + 0.03 * (box[3] - box[1])
    axes.plot([x, x + length], [y, y], color=_INK, lw=2.2, zorder=10, solid_capstyle="butt")
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    axes.annotate(
        text, (x + length / 2, y), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=8, zorder=10
    )


def _north(axes: Any) -> None:
    place = {"xycoords": "axes fraction", "textcoords": "axes fraction", "ha": "center", "zorder": 10}
    arrow = {"arrowstyle": "-|>", "color": _INK, "lw": 1.6}
    axes.annotate("N", xy=(0.965, 0.975), xytext=(0.965, 0.915), arrowprops=arrow, fontsize=10, color=_INK, **place)


def _text(axes: Any, picture: Picture) -> None:
    """Facts and reasons from top to bottom; as small as it takes for all of them to fit."""
    axes.axis("off")
    rows = [(0.0, picture.title, 13.0, _INK, "bold")]  # x, text, size, colour, weight
    rows += [(0.0, picture.subtitle, 10.0, _GREY, "normal"), (0.0, "", 4.0, _INK, "normal")]
    for name, value in picture.facts:
        first, *rest = wrap(value, 58)
        rows.append((0.0, f"{name}\t{first}", 9.0, _INK, "normal"))
        rows += [(0.2, line, 9.0, _INK, "normal") for line in rest]
    rows.append((0.0, "", 5.0, _INK, "normal"))
    rows.append((0.0, "Why", 10.0, _INK, "bold"))
    for reason in picture.reasons:
        rows += [(0.0, line, 8.6, _INK, "normal") for line in wrap(reason.text, 74)]
        rows += [
            (0.02, line, 8.0, _GREY, "normal")
            for line in wrap(f"to change that: {reason.fix}" if reason.fix else "", 80)
        ]
        rows.append((0.0, "", 3.5, _INK, "normal"))
    if not picture.reasons:
        rows.append((0.0, "nothing closed lies in the straight way", 8.6, _INK, "normal"))
    high = sum(size for _, _, size, _, _ in rows) * 1.42 / 72.0  # inches
    room = axes.get_position().height * axes.figure.get_figheight()
    shrink = min(1.0, room / high)
    y = 1.0
    for x, text, size, colour, weight in rows:
        style = {"va": "top", "transform": axes.transAxes, "fontsize": size * shrink}
        name, _, value = text.rpartition("\t")
        axes.text(0.02, y, name, color=_GREY, **style)
        axes.text(0.02 + (0.2 if name else x), y, value, color=colour, fontweight=weight, **style)
        y -= size * 1.42 * shrink / 72.0 / room


def _profile(axes: Any, picture: Picture) -> None:
    if not len(picture.profile):
        axes.axis("off")
        return
    lift = uneven(picture.profile)
    along, agl, ground = picture.profile.T
    base = ground if lift else np.zeros(len(ground))
    low, top = float(base.min()), float(base.max()) + picture.ceiling_agl_m * 1.18
    foot = low - 0.04 * (top - low)
    axes.set_facecolor("#fbfaf6")
    axes.fill_between(along / 1000, foot, base, color="#cdbf9f", lw=0, zorder=2.5)
    named: set[str] = set()
    for band in sorted(picture.bands, key=lambda b: b.beside):
        colour = COLOURS[band.kind]
        ring = band_outline(picture.profile, band, top)
        face = colour + ("1e" if band.beside or not band.closed else "55")
        edge = {"ls": (0, (3, 2)), "hatch": "//"} if band.beside else {}
        axes.fill(ring[:, 0] / 1000, ring[:, 1], facecolor=face, edgecolor=colour, lw=0.8, zorder=2, **edge)
        if band.zone_id not in named:
            named.add(band.zone_id)
            y = float((ring[:, 1].min() + ring[:, 1].max()) / 2)
            how = "" if band.closed else " (open)"
            text = f"{band.zone_id}{how}" + ("\nbeside" if band.beside else "")
            x = (band.start_m + band.end_m) / 2000
            axes.text(x, y, text, fontsize=7.5, color=colour, ha="center", va="center", fontweight="bold", zorder=6,
                      path_effects=_halo())  # fmt: skip
    axes.plot(along / 1000, base + picture.ceiling_agl_m, color="#c8372d", lw=1.0, ls=(0, (5, 3)), zorder=3)
    end = float(along.max()) / 1000
    axes.text(end, base[-1] + picture.ceiling_agl_m + 2, "ceiling", fontsize=8, color="#c8372d", ha="right")
    axes.plot(along / 1000, base + agl, color=ROUTE, lw=2.2, zorder=5)
    axes.set_xlim(0, max(end, 0.05))
    axes.set_ylim(foot, top)
    axes.set_xlabel("km along the route", fontsize=8.5)
    axes.set_ylabel("m above sea level" if lift else "m above ground", fontsize=8.5)
    axes.tick_params(labelsize=8)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    for side in ("top", "left"):
        axes.spines[side].set_visible(False)
    box = axes.get_position()
    axes.set_position([box.x0 + 0.01, box.y0, box.width - 0.055, box.height])


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.6, foreground="white", alpha=0.9)]
