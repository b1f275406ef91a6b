"""The picture of flights that were flown: fences, planned routes and flown tracks, with the boxes' temperatures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleet.maps.png import draw_map, draw_sites, legend, new_figure
from fleet.maps.scene import base_features, unlabelled, zone_areas
from geofences.airspace import Airspace
from geofences.geodesy import LatLon, local_frame
from missions.plan import Plan
from missions.sites import Site

_COLOURS = ("#1f5fa8", "#b3368f", "#0b8f6a", "#a0622d", "#56489e")


@dataclass(frozen=True, slots=True)
class FlownFlight:
    """One flight: its plans in the order they were flown, and where the vehicle was."""

    label: str
    plans: tuple[Plan, ...]
    track: tuple[LatLon, ...]
    events: tuple[tuple[LatLon, str], ...] = ()
    """places worth a word: "closure appears", "re-iced"""


@dataclass(frozen=True, slots=True)
class TemperatureTrace:
    """One box's product temperature over its flight."""

    label: str
    minutes: tuple[float, ...]
    temp_c: tuple[float | None, ...]
    band_c: tuple[float, float]
    events: tuple[tuple[float, str], ...] = ()
    """(minutes, what happened)"""


def flight_picture(
    path: Path,
    flights: Sequence[FlownFlight],
    traces: Sequence[TemperatureTrace],
    airspace: Airspace,
    sites: Iterable[Site],
    *,
    base_geojson: str | None = None,
    title: str = "",
) -> None:
    """A PNG: the map with every flight on the left, a plot of temperature per box on the right."""
    places = list(sites)
    positions = [p for f in flights for p in f.track] + [s.position for s in places]
    frame = local_frame(
        LatLon(float(np.mean([p.lat_deg for p in positions])), float(np.mean([p.lon_deg for p in positions])))
    )
    xy = frame.to_xy(positions)
    low, high = xy.min(axis=0), xy.max(axis=0)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * 1.12 + 200.0
    box = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)

    rows = max(1, len(traces))
    figure = new_figure(13.5, 7.6)
    figure.subplots_adjust(top=0.965)
    grid = figure.add_gridspec(rows, 2, width_ratios=(1.32, 1.0), wspace=0.09, hspace=0.42)
    axes = figure.add_subplot(grid[:, 0])
    zones = zone_areas(airspace, frame, box)
    base = unlabelled(base_features(base_geojson, frame), [s.name for s in places]) if base_geojson else ()
    draw_map(axes, box, base, zones)
    for flight, colour in zip(flights, _cycle(len(flights)), strict=True):
        for plan in flight.plans:
            planned = frame.to_xy([w.position for w in plan.waypoints])
            axes.plot(*planned.T, ls=(0, (4, 2)), lw=1.3, color=colour, alpha=0.75, zorder=5)
        if flight.track:
            flown = frame.to_xy(flight.track)
            axes.plot(*flown.T, lw=4.4, color="white", alpha=0.85, zorder=6)
            axes.plot(*flown.T, lw=2.2, color=colour, zorder=7, label=flight.label)
        for at, text in flight.events:
            x, y = frame.to_xy([at])[0]
            axes.plot(x, y, "o", ms=6, mfc="white", mec=colour, mew=1.8, zorder=8)
            note = {"facecolor": "white", "edgecolor": colour, "boxstyle": "round,pad=0.25", "alpha": 0.92, "lw": 0.8}
            axes.annotate(text, (x, y), xytext=(-6, -24), textcoords="offset points", fontsize=8, bbox=note, zorder=11)
    at_sites = frame.to_xy([s.position for s in places])
    draw_sites(axes, [(s.name, s.kind.value, float(x), float(y)) for s, (x, y) in zip(places, at_sites, strict=True)])
    legend(axes, {z.kind for z in zones})
    lines, labels = axes.get_legend_handles_labels()
    if lines:
        first = axes.get_legend()
        axes.legend(
            lines, labels, loc="upper right", fontsize=9, framealpha=0.94, edgecolor="#c9c3b4", title=title or None
        )
        axes.add_artist(first)
    for k, (trace, colour) in enumerate(zip(traces, _cycle(len(traces)), strict=True)):
        _temperature(figure.add_subplot(grid[k, 1]), trace, colour, last=k == len(traces) - 1)
    figure.savefig(path, dpi=130, facecolor="white")


def _temperature(axes: Any, trace: TemperatureTrace, colour: str, *, last: bool) -> None:
    values = np.array([np.nan if t is None else t for t in trace.temp_c], dtype=np.float64)
    minutes = np.array(trace.minutes, dtype=np.float64)
    low, high = trace.band_c
    known = values[~np.isnan(values)]
    bottom = min(low, float(known.min()) if len(known) else low) - 1.5
    top = max(high, float(known.max()) if len(known) else high) + 2.5
    axes.axhspan(low, high, color="#0b8f6a", alpha=0.12, lw=0)
    for edge in (low, high):
        axes.axhline(edge, color="#0b8f6a", lw=0.9, ls=(0, (4, 3)))
        axes.annotate(f"{edge:g} °C", (1.0, edge), xycoords=("axes fraction", "data"), xytext=(4, -3),
                      textcoords="offset points", fontsize=8, color="#0b8f6a")  # fmt: skip
    axes.plot(minutes, values, color=colour, lw=2.0)
    out = (values < low) | (values > high)
    axes.plot(minutes[out], values[out], ".", ms=3, color="#c8372d")
    for at, text in trace.events:
        axes.axvline(at, color="#5b6770", lw=0.9, ls=":")
        axes.annotate(
            text, (at, top), xytext=(3, -4), textcoords="offset points", fontsize=8, va="top", color="#1c2730"
        )
    axes.set_ylim(bottom, top)
    if len(minutes):
        axes.set_xlim(minutes.min(), max(minutes.max(), minutes.min() + 0.1))
    axes.set_title(trace.label, fontsize=9.5, loc="left", color="#1c2730")
    axes.set_ylabel("°C", fontsize=8.5)
    if last:
        axes.set_xlabel("minutes since take-off", fontsize=8.5)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    box = axes.get_position()
    axes.set_position([box.x0 + 0.02, box.y0 + 0.03, box.width - 0.06, box.height - 0.035])


def _cycle(n: int) -> list[str]:
    return [_COLOURS[k % len(_COLOURS)] for k in range(n)]
