"""The picture of a temperature record: the readings over the product's bands, with what broke a rule marked."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from fleet.maps.png import new_figure
from fleet.maps.scene import Array

_GREY, _INK, _GREEN, _AMBER, _RED = "#5b6770", "#1c2730", "#0b8f6a", "#d99a1c", "#c8372d"
_PROBES = ("#1f5fa8", "#b3368f", "#a0622d", "#56489e")
COLUMNS = 2000
"""of the picture: more readings than that become the lowest and the highest of each column, so no spike is lost"""

_STYLE = """
:root{color-scheme:light}body{font:14px/1.45 system-ui,sans-serif;margin:20px;background:#fff;color:#1c2730}
h1{font-size:20px;margin:0}p{margin:2px 0 14px;color:#5b6770}svg{width:100%;height:auto;max-width:1300px}
td{padding:2px 14px 2px 0;vertical-align:top}td:first-child{color:#5b6770;white-space:nowrap}
"""


@dataclass(frozen=True, slots=True, eq=False)
class RecordPicture:
    """What is to be drawn. Times are seconds since the Unix epoch, temperatures °C."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    at_s: Array
    temp_c: Array
    """(probe, reading); NaN where a probe failed"""
    probes: tuple[str, ...]
    band_c: tuple[float, float]
    excursions: tuple[tuple[str, float, float], ...] = ()
    """name, lower, upper"""
    limits: tuple[tuple[str, float], ...] = ()
    """thresholds of alarms: name, °C"""
    gaps: tuple[tuple[float, float], ...] = ()
    caused: tuple[float, float] | None = None
    """when the rule was broken that decides: from and to"""


def draw_record(path: Path, picture: RecordPicture) -> None:
    """Writes a .png or .html. Raises ValueError for another suffix, OSError where the file cannot be written."""
    kind = path.suffix.lower()
    if kind not in (".png", ".html", ".htm"):
        raise ValueError(f"{path.name}: a picture is a .png or .html file")
    if kind == ".png":
        figure = new_figure(13.0, 6.6)
        figure.subplots_adjust(left=0.055, right=0.905, top=0.74, bottom=0.085)
        _head(figure, picture)
        _plot(figure.add_subplot(), picture)
        figure.savefig(path, dpi=130, facecolor="white")
        return
    figure = new_figure(13.0, 5.0)
    figure.subplots_adjust(left=0.055, right=0.905, top=0.97, bottom=0.09)
    _plot(figure.add_subplot(), picture)
    svg = io.StringIO()
    figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None})
    drawing = svg.getvalue()
    facts = "".join(f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>" for n, v in picture.facts)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(picture.title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(picture.title)}</h1><p>{escape(picture.subtitle)}</p>"
        f"{drawing[drawing.index('<svg') :]}<table>{facts}</table></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _head(figure: Any, picture: RecordPicture) -> None:
    figure.text(0.03, 0.965, picture.title, fontsize=13, fontweight="bold", color=_INK, va="top")
    figure.text(0.03, 0.92, "\n".join(wrap(picture.subtitle, 150)[:2]), fontsize=9.5, color=_GREY, va="top")
    half = (len(picture.facts) + 1) // 2
    for k, (name, value) in enumerate(picture.facts):
        x, y = 0.03 + 0.48 * (k // half), 0.865 - 0.029 * (k % half)
        figure.text(x, y, name, fontsize=8.2, color=_GREY, va="top")
        figure.text(x + 0.075, y, value, fontsize=8.2, color=_INK, va="top")


def _plot(axes: Any, picture: RecordPicture) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    low, high = picture.band_c
    axes.axhspan(low, high, color=_GREEN, alpha=0.13, lw=0)
    _edge_name(axes, (low + high) / 2, "label", _GREEN)
    bottom, top = _ends(picture)
    for name, lower, upper in picture.excursions:
        axes.axhspan(lower, upper, color=_AMBER, alpha=0.13, lw=0)
        if lower < top and upper > bottom:
            _edge_name(axes, (max(lower, bottom) + min(upper, top)) / 2, name, _AMBER)
    for name, at_c in picture.limits:
        if bottom < at_c < top:
            axes.axhline(at_c, color=_RED, lw=0.9, ls=(0, (5, 3)))
            _edge_name(axes, at_c, name, _RED)
    for from_s, to_s in picture.gaps:
        axes.axvspan(_date(from_s), _date(to_s), facecolor="none", edgecolor=_GREY, hatch="///", alpha=0.45, lw=0)
    if picture.caused is not None:
        from_s, to_s = picture.caused
        axes.axvspan(_date(from_s), _date(to_s), color=_RED, alpha=0.14, lw=0)
        axes.axvline(_date(to_s), color=_RED, lw=1.2)
    for k, temps in enumerate(picture.temp_c):
        at_s, shown = _broken_at(*thinned(picture.at_s, temps), picture.gaps)
        dates = np.array([_date(t) for t in at_s])
        axes.plot(dates, shown, color=_PROBES[k % len(_PROBES)], lw=1.3, label=picture.probes[k], zorder=5)
        out = (shown < low) | (shown > high)
        axes.plot(dates[out], shown[out], ".", ms=4, color=_RED, zorder=6)
    axes.set_ylim(bottom, top)
    span = _date(float(picture.at_s[0])), _date(float(picture.at_s[-1]))
    if span[0] < span[1]:
        axes.set_xlim(*span)
    locator = AutoDateLocator(tz=UTC)
    axes.xaxis_date(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.set_ylabel("°C", fontsize=9)
    axes.set_xlabel("UTC", fontsize=8.5, color=_GREY)
    axes.tick_params(labelsize=8.5)
    axes.xaxis.get_offset_text().set_fontsize(8.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(picture.probes) > 1:
        axes.legend(loc="upper left", fontsize=8.5, framealpha=0.9)


def _ends(picture: RecordPicture) -> tuple[float, float]:
    """The readings and the label's band, with room; not all of an allowance that was never met."""
    known = picture.temp_c[~np.isnan(picture.temp_c)]
    bottom = min(picture.band_c[0], float(known.min()) if len(known) else picture.band_c[0])
    top = max(picture.band_c[1], float(known.max()) if len(known) else picture.band_c[1])
    room = max(0.6, 0.12 * (top - bottom))
    return bottom - room, top + room


def _edge_name(axes: Any, at_c: float, name: str, colour: str) -> None:
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(name, (1.0, at_c), xytext=(5, 0), fontsize=8, va="center", color=colour, **place)


def _date(at_s: float) -> Any:
    from matplotlib.dates import date2num

    return date2num(datetime.fromtimestamp(at_s, UTC))


def _broken_at(at_s: Array, temps_c: Array, gaps: tuple[tuple[float, float], ...]) -> tuple[Array, Array]:
    """The line ends where a gap begins."""
    rows = np.searchsorted(at_s, [to_s for _, to_s in gaps])
    middles = [(from_s + to_s) / 2.0 for from_s, to_s in gaps]
    return np.insert(at_s, rows, middles), np.insert(temps_c, rows, np.nan)


def thinned(at_s: Array, temps_c: Array) -> tuple[Array, Array]:
    """At most two readings per column of the picture: the lowest and the highest, in their order."""
    if len(at_s) <= 2 * COLUMNS:
        return at_s, temps_c
    column = np.minimum(((at_s - at_s[0]) / (at_s[-1] - at_s[0]) * COLUMNS).astype(np.int64), COLUMNS - 1)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(column) > 0]))
    kept: set[int] = set()
    for first, last in zip(starts, [*starts[1:], len(at_s)], strict=True):
        part = temps_c[first:last]
        if np.all(np.isnan(part)):
            kept.add(int(first))
            continue
        kept |= {int(first) + int(np.nanargmin(part)), int(first) + int(np.nanargmax(part))}
    rows = np.array(sorted(kept))
    return at_s[rows], temps_c[rows]
