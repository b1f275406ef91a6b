"""The report of a scenario run: one HTML file with verdicts, map, time-lapse, plots and story, complete in itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from fleet.simulate.evidence import clock_text
from fleet.simulate.outcome import Finding, Outcome
from fleet.simulate.report.chart import SIGNS, chart
from fleet.simulate.report.plots import plots
from fleet.simulate.report.scene import Point, Scene
from fleet.simulate.report.story import Line, mode_name, story

_HERE = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""the browser itself sees to it that nothing is fetched"""
STAGES = {
    "virtual": "bundled simulator, virtual time",
    "live": "bundled simulator, against the wall clock",
    "px4": "real PX4",
}
LAPSES = (10, 30, 60, 120, 300)
"""times real time"""
LAPSE_S = 40.0
"""about how long the time-lapse takes if nobody chooses"""


def write_report(outcome: Outcome, path: Path) -> None:
    """Raises OSError where the file cannot be written."""
    path.write_text(page(outcome), encoding="utf-8")


def page(outcome: Outcome) -> str:
    scene, lines = Scene(outcome), story(outcome)
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = "".join(
        (
            _head(outcome),
            f'<section class="findings"><h2>Expectations</h2>{_findings(outcome.findings)}</section>',
            f"<section><h2>Flights</h2>{chart(scene, lines)}{_player(scene, lines)}{_now(scene)}</section>",
            f"<section><h2>Over time</h2>{''.join(plots(scene))}</section>",
            f"<section><h2>What happened</h2>{_story(lines, outcome)}</section>",
            f"<section><details><summary>The scenario's file</summary><pre>{escape(outcome.scenario_text)}</pre>",
            "</details></section>",
        )
    )
    data = json.dumps(_data(scene), separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(outcome.title)}</title><style>{style}</style></head><body><main>{body}</main>"
        f'<script type="application/json" id="data">{data}</script><script>{script}</script></body></html>\n'
    )


def _head(run: Outcome) -> str:
    missed = sum(not f.met for f in run.findings)
    if run.ok:
        verdict, css = f"all {len(run.findings)} expectations met", "yes"
    elif missed:
        verdict, css = f"{missed} of {len(run.findings)} expectations missed", "no"
    else:
        verdict, css = "not judged" if not run.findings else "not finished in time", "no"
    if run.timed_out and missed:
        verdict += ", not finished in time"
    start = datetime.fromtimestamp(run.started_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    facts = [
        STAGES.get(run.stage, run.stage),
        f"seed {run.seed}",
        f"{(run.ended_s - run.started_s) / 60:.1f} min from {start}",
        f"run in {run.wall_s:.1f} s",
    ]
    return (
        f'<header><h1>{escape(run.title)}</h1><p class="verdict {css}">{escape(verdict)}</p>'
        f'<p class="facts">{escape(" · ".join(facts))}</p>{_orders(run)}</header>'
    )


def _orders(run: Outcome) -> str:
    rows = []
    for o in run.orders:
        view = o.view
        if view is None:
            cells = [o.name, "", "not taken", o.refused or "never placed", ""]
        else:
            verdict = f"{view.verdict.replace('_', ' ')} ({view.verdict_why})" if view.verdict else ""
            to, by = f"{view.order.product_id} to {view.order.destination_site}", view.vehicle_id or ""
            cells = [o.name, to, view.state.value.replace("_", " "), verdict, by]
        rows.append("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>")
    head = "<tr><th>order<th>what<th>ended<th>cold verdict<th>last vehicle</tr>"
    return f'<div class="wide"><table class="orders">{head}{"".join(rows)}</table></div>' if rows else ""


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>Nothing was judged.</p>"
    rows = "".join(
        f'<tr class="{"yes" if f.met else "no"}"><td>{"✓" if f.met else "✗"}</td>'
        f"<td>{escape(f.order or 'whole run')}</td>"
        f"<td>{escape(f.expectation)}</td><td>{escape(f.seen)}</td></tr>"
        for f in sorted(findings, key=lambda f: f.met)
    )
    return f'<div class="wide"><table class="judged"><tr><th><th>of<th>expected<th>seen</tr>{rows}</table></div>'


def _player(scene: Scene, lines: Sequence[Line]) -> str:
    run, end_s = scene.outcome, scene.duration_s
    ticks = "".join(
        f'<button class="tick {line.kind}" data-t="{line.at_s - run.started_s:.1f}" style="left:{where:.2f}%" '
        f'title="{escape(f"{clock_text(line.at_s)} {line.who}: {line.text}")}">{SIGNS[line.kind]}</button>'
        for line in lines
        if line.mark and 0.0 <= (where := 100.0 * (line.at_s - run.started_s) / end_s) <= 100.0
    )
    usual = min(LAPSES, key=lambda k: abs(end_s / k - LAPSE_S))
    speeds = "".join(f"<option value={k}{' selected' if k == usual else ''}>{k}×</option>" for k in LAPSES)
    return (
        '<div class="player"><button id="play" aria-label="play">▶</button>'
        f'<div class="line"><div class="ticks">{ticks}</div>'
        f'<input id="time" type="range" min="0" max="{end_s:.0f}" step="1" value="{end_s:.0f}" aria-label="time"></div>'
        f'<output id="clock"></output><select id="speed" aria-label="speed">{speeds}</select></div>'
    )


def _now(scene: Scene) -> str:
    """What each vehicle does at the chosen time; filled in by the script."""
    rows = "".join(
        f'<tr data-now="{escape(v)}"><td><span class="key {scene.colour(v)}">{escape(v)}</span></td>'
        "<td></td><td></td><td></td><td></td><td></td></tr>"
        for v in scene.vehicles
    )
    head = "<tr><th>vehicle<th>order<th>mode<th>height<th>speed<th>battery</tr>"
    return f'<div class="wide"><table class="now">{head}{rows}</table></div>' if rows else ""


def _story(lines: Sequence[Line], run: Outcome) -> str:
    rows = "".join(
        f'<tr class="{line.kind}{" minor" if line.minor else ""}" data-t="{line.at_s - run.started_s:.1f}">'
        f"<td>{clock_text(line.at_s)}</td><td>{escape(line.who)}</td><td>{_told(line)}</td></tr>"
        for line in lines
    )
    return (
        '<label class="every"><input type="checkbox" id="every"> every recorded step</label>'
        f'<table class="story">{rows}</table>'
    )


def _told(line: Line) -> str:
    text = f"<b>{SIGNS[line.kind]}</b> {escape(line.text)}" if line.kind in SIGNS else escape(line.text)
    return f"<details><summary>{text}</summary>{line.details}</details>" if line.details else text


def _data(scene: Scene) -> dict[str, Any]:
    """For the script: whole numbers where they are fine enough, because there are thousands of them."""
    run = scene.outcome
    start_s = run.started_s

    def track(points: Sequence[Point]) -> Iterator[list[int]]:
        for p in points:
            height_dm, speed_dm_s = round(p.height_m * 10), round(p.ground_m_s * 10)
            yield [round(p.t_s * 10), round(p.left_pct * 100), round(p.top_pct * 100), height_dm, speed_dm_s]

    return {
        "start": start_s,
        "end": scene.duration_s,
        "aspect": scene.aspect,
        "vehicles": {
            v: {
                "track": list(track(scene.tracks[v])),
                "modes": [[round(at_s - start_s, 1), mode_name(m)] for at_s, m in run.sightings[v].modes],
                "battery": [[round(at_s - start_s, 1), round(pct)] for at_s, pct in run.sightings[v].battery],
                "orders": [
                    [round(d.since_s - start_s, 1), round(min(d.until_s, run.ended_s) - start_s, 1), d.order]
                    for d in scene.served
                    if d.vehicle_id == v
                ],
            }
            for v in scene.vehicles
        },
        "zones": [
            [max(0.0, z.since_s - start_s), None if z.until_s is None else z.until_s - start_s] for z in run.zones
        ],
    }
