"""Values over time as inline SVG. Lines stretch with the page; words are HTML on top, so that they stay readable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, floor, hypot, inf, log10

import shapely

from fleet.simulate.report.scene import Scene

WIDE, HIGH = 1000.0, 200.0
GAP_S = 30.0
FINE = 0.4
"""units of 1000 × 200 by which a line may be straightened"""

Series = Sequence[tuple[float, float]]
"""(seconds of the run, value)"""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    colour: str
    """a class of the style sheet"""
    values: Series
    dashed: bool = False
    gap_s: float = GAP_S
    """it is broken where nothing was known for so long"""


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    unit: str
    lines: Sequence[Line]
    band: tuple[float, float] | None = None
    least: float | None = None
    """the axis reaches at least down to here"""


def plots(scene: Scene) -> Iterator[str]:
    """Height, speed with wind, and battery of the vehicles; then each order's box."""
    run, start_s = scene.outcome, scene.outcome.started_s
    heights, speeds, batteries = [], [], []
    for v in scene.vehicles:
        seen, colour, track = run.sightings[v], scene.colour(v), scene.tracks[v]
        heights.append(Line(v, colour, [(p.t_s, p.height_m) for p in track]))
        speeds.append(Line(v, colour, [(p.t_s, p.ground_m_s) for p in track]))
        wind = [(at_s - start_s, hypot(north, east)) for at_s, north, east in seen.wind]
        if wind:
            speeds.append(Line(f"wind at {v}", colour, wind, dashed=True))
        told = [(at_s - start_s, pct) for at_s, pct in seen.battery]
        if told:
            batteries.append(Line(v, colour, _stairs([*told, (scene.duration_s, told[-1][1])]), gap_s=inf))
    yield _drawn(scene, Plot("Height above home", "m", heights, least=0.0))
    windy = ", and wind as the vehicles estimate it" if any(line.dashed for line in speeds) else ""
    yield _drawn(scene, Plot(f"Ground speed{windy}", "m/s", speeds, least=0.0))
    yield _drawn(scene, Plot("Battery", "%", batteries))
    for order in run.orders:
        boxes = list(_boxes(scene, order.name))
        if boxes:
            yield _drawn(scene, Plot(f"Box of {order.name}", "°C", boxes, band=order.band_c))


def _boxes(scene: Scene, order: str) -> Iterator[Line]:
    run, colour = scene.outcome, scene.order_colour(order)
    for duty in scene.served:
        if duty.order != order:
            continue
        loads = (e for e in run.world if (e.get("event"), e.get("box")) == ("loaded", duty.box_id))
        loaded = [float(e["at_s"]) for e in loads]
        since_s = max((at_s for at_s in loaded if duty.covers(at_s)), default=duty.since_s)
        told = run.box_truth.get(duty.box_id, ())
        truth = [(at_s - run.started_s, c) for at_s, c in told if duty.covers(at_s) and at_s >= since_s]
        if truth:
            yield Line(f"payload in {duty.box_id}", colour, truth)
    measured = [(at_s - run.started_s, temp_c) for at_s, temp_c in run.measured.get(order, ())]
    if measured:
        yield Line("as the controller had it", "measured", measured, dashed=True)


def _stairs(values: Series) -> list[tuple[float, float]]:
    """A value stays until it changes."""
    steps = [values[0]]
    for (_, before), (t_s, value) in pairwise(values):
        steps += [(t_s, before), (t_s, value)]
    return steps


def _drawn(scene: Scene, plot: Plot) -> str:
    values = [value for line in plot.lines for _, value in line.values]
    if plot.band is not None:
        values += plot.band
    if not values:
        return ""
    low, high = min(values), max(values)
    if plot.least is not None:
        low = min(low, plot.least)
    step = _nice(max(high - low, 1e-3) / 3.0)
    low, high = floor(low / step) * step, ceil(high / step) * step
    high = high if high > low else low + step

    def across(t_s: float) -> float:
        return WIDE * min(1.0, max(0.0, t_s / scene.duration_s))

    def up(value: float) -> float:
        return HIGH * (high - value) / (high - low)

    ticks = [low + k * step for k in range(round((high - low) / step) + 1)]
    parts = [f'<path class="grid" d="{"".join(f"M0 {up(y):.1f}H{WIDE:g}" for y in ticks)}"/>']
    if plot.band is not None:
        top, bottom = up(plot.band[1]), up(plot.band[0])
        parts.append(f'<rect class="band" y="{top:.1f}" width="{WIDE:g}" height="{bottom - top:.1f}"/>')
    for line in plot.lines:
        d = "".join(_path([(across(t_s), up(v)) for t_s, v in piece]) for piece in _unbroken(line.values, line.gap_s))
        parts.append(f'<path class="line {line.colour}{" dashed" if line.dashed else ""}" d="{d}"/>')
    labels = "".join(
        f'<span class="y" style="top:{100 * up(y) / HIGH:.1f}%">{y:g}{f" {plot.unit}" if i == len(ticks) - 1 else ""}'
        "</span>"
        for i, y in enumerate(ticks)
    )
    return (
        f'<figure class="plot"><figcaption><b>{escape(plot.title)}</b>{_key(plot.lines)}</figcaption>'
        f'<div class="canvas" role="img" aria-label="{escape(plot.title)}"><svg viewBox="0 0 {WIDE:g} {HIGH:g}" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>{labels}{_minutes(scene.duration_s)}'
        '<i class="cursor"></i></div></figure>'
    )


def _key(lines: Sequence[Line]) -> str:
    return "".join(
        f'<span class="key {line.colour}{" dashed" if line.dashed else ""}">{escape(line.label)}</span>'
        for line in lines
        if not line.label.startswith("wind")
    ) + ('<span class="key dashed">wind</span>' if any(x.label.startswith("wind") for x in lines) else "")


def _minutes(duration_s: float) -> str:
    """The time axis; a label at the right end must not stick out of the page."""
    step = _nice(duration_s / 60.0 / 6.0)
    count = int(duration_s / 60.0 / step)
    labels = []
    for k in range(1, count + 1):
        left = 100.0 * k * step * 60.0 / duration_s
        css, unit = "x end" if left > 94.0 else "x", " min" if k == count else ""
        labels.append(f'<span class="{css}" style="left:{left:.2f}%">{k * step:g}{unit}</span>')
    return "".join(labels)


def _unbroken(values: Series, gap_s: float) -> Iterator[Series]:
    begin = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i][0] - values[i - 1][0] > gap_s:
            yield values[begin:i]
            begin = i


def _path(points: Sequence[tuple[float, float]]) -> str:
    if len(points) > 2:
        points = list(shapely.LineString(points).simplify(FINE, preserve_topology=False).coords)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _nice(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    unit = 10.0 ** floor(log10(rough))
    return next(unit * k for k in (1.0, 2.0, 5.0, 10.0) if unit * k >= rough * (1 - 1e-9))
