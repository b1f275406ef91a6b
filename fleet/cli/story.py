"""A scenario as a person watches it: a live table, or lines, or JSON; then the summary."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.cli.output import ExitCode, Output, console
from fleet.heap import steady_heap
from fleet.service import RecordedEvent
from fleet.simulate.live import live_stage
from fleet.simulate.outcome import Outcome
from fleet.simulate.picture import draw
from fleet.simulate.px4 import px4_stage, why_not
from fleet.simulate.report import write_report
from fleet.simulate.run import Play, play
from fleet.simulate.scenario import Scenario
from fleet.simulate.stage import Stage
from fleet.simulate.virtual import virtual_stage
from missions.orders import OrderState

SHOW_EVERY_S = 0.25
FOLLOW_EVERY_S = 1.0
_GOOD = frozenset({OrderState.RECEIVED})


@dataclass(frozen=True, slots=True)
class Telling:
    """How a run is shown and what is kept of it."""

    folder: Path
    """of its store and logs"""
    seed: int | None = None
    """none: the scenario's"""
    speed: float | None = None
    """none: the scenario's"""
    table: bool = False
    port: int | None = None
    stay: bool = False
    report: Path | None = None
    picture: Path | None = None


async def show_live(scenario: Scenario, out: Output, how: Telling) -> int:
    """Against the wall clock, with everything embedded and the console to look at. Gives the exit code."""
    speed = how.speed or scenario.file.speed
    seed = scenario.file.seed if how.seed is None else how.seed
    out.say(f"{scenario.file.title}: starting broker, simulator and controller …")
    async with live_stage(scenario, speed=speed, folder=how.folder, api_port=how.port, seed=seed) as stage:
        assert stage.app is not None
        token = next((t for t in stage.app.tokens if t.role == "operator"), None)
        url = f"{stage.app.url}/console/" + (f"#token={token.secret}" if token is not None else "")
        out.say(f"console: {url}   at {speed:g} times real time")
        code = await _tell(scenario, stage, seed, out, how, url)
        if how.stay:
            out.say(f"still serving {url}; Ctrl-C ends it")
            await asyncio.Event().wait()
        return code


async def show_virtual(scenario: Scenario, out: Output, how: Telling) -> int:
    """In virtual time, to be run on a `fleet.virtual.VirtualLoop`. Gives the exit code."""
    seed = scenario.file.seed if how.seed is None else how.seed
    out.say(f"{scenario.file.title}: in virtual time, seed {seed}")
    with steady_heap():
        async with virtual_stage(scenario, seed) as stage:
            return await _tell(scenario, stage, seed, out, how, "")


async def show_px4(scenario: Scenario, out: Output, how: Telling) -> int:
    """With real PX4 SITL instances. Gives the exit code."""
    if reasons := why_not(scenario):
        out.fail(ExitCode.REFUSED, "no real PX4 can fly this scenario", "; ".join(reasons))
    seed = scenario.file.seed if how.seed is None else how.seed
    out.say(f"{scenario.file.title}: starting {len(scenario.config.vehicles)} PX4 …")
    async with px4_stage(scenario, speed=how.speed, folder=how.folder, seed=seed) as stage:
        return await _tell(scenario, stage, seed, out, how, "")


async def _tell(scenario: Scenario, stage: Stage, seed: int, out: Output, how: Telling, url: str) -> int:
    """Plays it, telling what happens, and keeps what is asked for. Done only if every expectation was met."""
    live_table = how.table and not out.json
    lines: list[str] = []

    def say(kind: str, data: dict[str, Any]) -> None:
        text = _line(kind, data)
        if out.json:
            out.line({"kind": kind, **data}, "")
        elif text and live_table:
            lines.append(text)
        elif text:
            out.say(text)

    run = Play(scenario, stage, seed, say)
    async with _events(run, out, live_table, lines, url):
        outcome = await play(run)
    _summary(scenario, outcome, out)
    if how.report is not None:
        write_report(outcome, how.report)
        out.say(f"report: {how.report}")
    if how.picture is not None:
        draw(scenario, outcome, how.picture)
        out.say(f"picture: {how.picture}")
    return ExitCode.DONE if outcome.ok else ExitCode.FAILED


@contextlib.asynccontextmanager
async def _events(run: Play, out: Output, live_table: bool, lines: list[str], url: str) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_follow(run, out, lines, live_table), name="story")]
    if live_table:
        tasks.append(asyncio.create_task(_draw(run, lines, url), name="table"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(run: Play, out: Output, lines: list[str], live_table: bool) -> None:
    """Order states, phases and decisions as they are recorded."""
    read: dict[str, int] = {}
    try:
        while True:
            _read_on(run, out, lines, live_table, read)
            await run.stage.clock.sleep(FOLLOW_EVERY_S)
    finally:
        _read_on(run, out, lines, live_table, read)


def _read_on(run: Play, out: Output, lines: list[str], live_table: bool, read: dict[str, int]) -> None:
    for delivery in run.people.deliveries:
        order_id = delivery.order_id
        if order_id is None or run.stage.app is None:
            continue
        for event in run.stage.app.service.record(f"order/{order_id}", after_seq=read.get(order_id, 0)):
            read[order_id] = event.seq
            text = _event_text(event)
            if not text:
                continue
            if out.json:
                at = {"at_s": event.at_s, "order_id": order_id, "name": delivery.wanted.name}
                out.line({"kind": event.kind, **at, "text": text}, "")
                continue
            line = f"{_clock(event.at_s)}  {delivery.wanted.name:<12} {text}"
            if live_table:
                lines.append(line)
            else:
                out.say(line)


def _event_text(event: RecordedEvent) -> str:
    """What a person who watches wants to read of an event; empty for the rest."""
    body = event.body
    match event.kind:
        case "order_state":
            return str(body["state"])
        case "phase":
            return f"· {body['phase']}"
        case "decision" if body["decision"]["faults"] or body["decision"]["candidate"] is not None:
            return f"— {body['decision']['sentence']}"
        case "alarm":
            return f"! {body['text']}"
        case "infeasible" | "abandoned":
            return f"! {body.get('why') or '; '.join(r['text'] for r in body['reasons'])}"
    return ""


async def _draw(run: Play, lines: list[str], url: str) -> None:
    with Live(console=console(stderr=True), refresh_per_second=8, transient=False) as live:
        while True:
            live.update(_table(run, lines, url))
            await asyncio.sleep(SHOW_EVERY_S)


def _table(run: Play, lines: list[str], url: str) -> Group:
    now_s = run.stage.clock.now_s()
    table = Table(title=f"{run.scenario.file.title}   {_clock(now_s)} UTC", title_justify="left", expand=True)
    for column in ("order", "to", "state", "vehicle", "phase", "ETA", "battery", "box", "cold verdict"):
        table.add_column(column, no_wrap=True)
    service = run.stage.app.service if run.stage.app is not None else None
    for delivery in run.people.deliveries:
        view = run.people.view(delivery.wanted.name)
        if view is None:
            table.add_row(delivery.wanted.name, delivery.wanted.to, "waiting", *[""] * 6)
            continue
        vehicle = service.vehicle(view.vehicle_id) if service is not None and view.vehicle_id is not None else None
        mine = vehicle if vehicle is not None and vehicle.order_id == view.order.order_id else None
        left_s = view.eta_s - now_s if view.eta_s is not None else None
        table.add_row(
            delivery.wanted.name,
            delivery.wanted.to,
            Text(view.state.value, style="green" if view.state in _GOOD else ""),
            view.vehicle_id or "",
            view.phase or "",
            f"{int(left_s) // 60}:{int(left_s) % 60:02d}" if left_s is not None and left_s > 0 else "",
            f"{mine.battery_pct:.0f} %" if mine is not None and mine.battery_pct is not None else "",
            f"{mine.box_temp_c:.1f} °C" if mine is not None and mine.box_temp_c is not None else "",
            Text(view.verdict or "", style="yellow" if view.verdict not in (None, "in_range") else ""),
        )
    recent = Text("\n".join(lines[-12:]), overflow="fold", style="dim")
    return Group(table, recent, Text(f"console: {url}"))


def _clock(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S")


def _line(kind: str, data: dict[str, Any]) -> str:
    match kind, data.get("event"):
        case "refused", _:
            return f"          refused: {data['why']}"
        case "world", "fault":
            on = f" on {data['on']}" if data.get("on") else ""
            named = f" ({data['name']})" if data["name"] != data["kind"] else ""
            return (
                f"{_clock(data['at_s'])}  {'fault' if data['state'] == 'begun' else 'over'}: {data['kind']}{on}{named}"
            )
        case "world", "refused":
            return f"          refused: {data['reason']}"
        case "world", "reiced":
            return f"          the staff at {data.get('site')} have swapped the pack of {data.get('box')}"
        case "world", "released":
            return f"          {data.get('box')} is on the ground"
        case "world", "crashed":
            return f"          {data.get('vehicle')} has crashed"
    return ""


def _summary(scenario: Scenario, outcome: Outcome, out: Output) -> None:
    if out.json:
        out.line({"kind": "summary", "scenario": str(scenario.path), **summary(outcome)}, "")
        return
    table = Table(title="How it ended", title_justify="left")
    for column in ("order", "expected", "met", "seen"):
        table.add_column(column, overflow="fold")
    for f in outcome.findings:
        met = Text("yes", style="green") if f.met else Text("NO", style="bold red")
        table.add_row(f.order, f.expectation, met, f.seen)
    console().print(table)
    if outcome.timed_out:
        out.say(f"not finished within {scenario.file.limit_min:g} simulated minutes")
    flown_min = (outcome.ended_s - outcome.started_s) / 60.0
    out.say(
        f"{'all expectations met' if outcome.ok else 'expectations were missed'}; "
        f"{flown_min:.1f} simulated minutes in {outcome.wall_s:.1f} s"
    )


def summary(outcome: Outcome) -> dict[str, Any]:
    """The run's end as JSON."""
    return {
        "ok": outcome.ok,
        "title": outcome.title,
        "stage": outcome.stage,
        "seed": outcome.seed,
        "wall_s": round(outcome.wall_s, 1),
        "simulated_s": round(outcome.ended_s - outcome.started_s, 1),
        "orders": [
            {
                "name": o.name,
                "order_id": o.view.order.order_id if o.view is not None else None,
                "state": o.view.state.value if o.view is not None else None,
                "verdict": o.view.verdict if o.view is not None else None,
                "refused": o.refused,
            }
            for o in outcome.orders
        ],
        "findings": [
            {"order": f.order, "expectation": f.expectation, "met": f.met, "seen": f.seen} for f in outcome.findings
        ],
        "timed_out": outcome.timed_out,
    }
