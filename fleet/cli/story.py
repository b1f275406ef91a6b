"""A scenario as a person watches it: a live table, or lines, or JSON; then the summary."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.cli.output import ExitCode, Output, console
from fleet.service import RecordedEvent
from fleet.simulate.picture import draw
from fleet.simulate.run import Run, fly, scenario_run
from fleet.simulate.scenario import Scenario
from missions.orders import OrderState

SHOW_EVERY_S = 0.25
_GOOD = frozenset({OrderState.RECEIVED})


async def show(
    scenario: Scenario,
    out: Output,
    headless: bool,
    speed: float,
    stay: bool,
    port: int | None,
    folder: Path,
    picture: Path | None,
) -> int:
    """Runs the scenario and shows it. Gives the exit code: done only if every expectation was met."""
    live_table = not headless and not out.json
    out.say(f"{scenario.file.title}: starting broker, simulator and controller …")
    lines: list[str] = []

    def say(kind: str, data: dict[str, Any]) -> None:
        text = _line(kind, data)
        if out.json:
            out.line({"kind": kind, **data}, "")
        elif text and live_table:
            lines.append(text)
        elif text:
            out.say(text)

    async with scenario_run(scenario, speed=speed, folder=folder, api_port=port, say=say) as run:
        token = next((t for t in run.app.tokens if t.role == "operator"), None)
        url = f"{run.app.url}/console/" + (f"#token={token.secret}" if token is not None else "")
        out.say(f"console: {url}   at {speed:g} times real time")
        async with _events(run, out, live_table, lines, url):
            await fly(run)
        _summary(run, out)
        if picture is not None:
            draw(run, picture)
            out.say(f"picture: {picture}")
        if stay:
            out.say(f"still serving {url}; Ctrl-C ends it")
            await asyncio.Event().wait()
        return ExitCode.DONE if run.ok else ExitCode.FAILED


@contextlib.asynccontextmanager
async def _events(run: Run, out: Output, live_table: bool, lines: list[str], url: str) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_follow(run, out, lines, live_table), name="story")]
    if live_table:
        tasks.append(asyncio.create_task(_draw(run, lines, url), name="table"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(run: Run, out: Output, lines: list[str], live_table: bool) -> None:
    """Order states, phases and decisions as they are recorded."""
    read: dict[str, int] = {}
    while True:
        for delivery in run.people.deliveries:
            if delivery.order_id is None:
                continue
            for event in run.app.service.record(f"order/{delivery.order_id}", after_seq=read.get(delivery.order_id, 0)):
                read[delivery.order_id] = event.seq
                text = _event_text(event)
                if not text:
                    continue
                if out.json:
                    at = {"at_s": event.at_s, "order_id": delivery.order_id, "name": delivery.wanted.name}
                    out.line({"kind": event.kind, **at, "text": text}, "")
                    continue
                line = f"{_clock(event.at_s)}  {delivery.wanted.name:<12} {text}"
                if live_table:
                    lines.append(line)
                else:
                    out.say(line)
        await asyncio.sleep(0.1)


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


async def _draw(run: Run, lines: list[str], url: str) -> None:
    with Live(console=console(stderr=True), refresh_per_second=8, transient=False) as live:
        while True:
            live.update(_table(run, lines, url))
            await asyncio.sleep(SHOW_EVERY_S)


def _table(run: Run, lines: list[str], url: str) -> Group:
    now_s = run.clock.now_s()
    table = Table(
        title=f"{run.scenario.file.title}   {_clock(run.clock.now_s())} UTC", title_justify="left", expand=True
    )
    for column in ("order", "to", "state", "vehicle", "phase", "ETA", "battery", "box", "cold verdict"):
        table.add_column(column, no_wrap=True)
    for delivery in run.people.deliveries:
        view = run.app.service.order(delivery.order_id) if delivery.order_id is not None else None
        if view is None:
            table.add_row(delivery.wanted.name, delivery.wanted.to, "waiting", *[""] * 6)
            continue
        vehicle = run.app.service.vehicle(view.vehicle_id) if view.vehicle_id is not None else None
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
        case "closure", _:
            return f"          an authority closes the air: {data['name']}"
        case "refused", _:
            return f"          refused: {data['why']}"
        case "world", "fault" if data.get("state") == "begun":
            return f"          fault: {data.get('kind')} on {data.get('on')}"
        case "world", "reiced":
            return f"          the staff at {data.get('site')} have swapped the pack of {data.get('box')}"
        case "world", "released":
            return f"          {data.get('box')} is on the ground"
    return ""


def _summary(run: Run, out: Output) -> None:
    service = run.app.service
    if out.json:
        orders = []
        for delivery in run.people.deliveries:
            view = service.order(delivery.order_id) if delivery.order_id is not None else None
            orders.append(
                {
                    "name": delivery.wanted.name,
                    "order_id": delivery.order_id,
                    "state": view.state.value if view is not None else None,
                    "verdict": view.verdict if view is not None else None,
                }
            )
        findings = [
            {"order": f.order, "expectation": f.expectation, "met": f.met, "seen": f.seen} for f in run.findings
        ]
        out.line(
            {
                "kind": "summary",
                "ok": run.ok,
                "wall_s": round(run.wall_s, 1),
                "orders": orders,
                "findings": findings,
                "timed_out": run.timed_out,
            },
            "",
        )
        return
    table = Table(title="How it ended", title_justify="left")
    for column in ("order", "expected", "met", "seen"):
        table.add_column(column, overflow="fold")
    for f in run.findings:
        met = Text("yes", style="green") if f.met else Text("NO", style="bold red")
        table.add_row(f.order, f.expectation, met, f.seen)
    console().print(table)
    if run.timed_out:
        out.say(f"not finished within {run.scenario.file.limit_min:g} simulated minutes")
    out.say(f"{'all expectations met' if run.ok else 'expectations were missed'}; {run.wall_s:.0f} s on the wall clock")
