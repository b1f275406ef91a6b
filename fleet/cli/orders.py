"""`fleet order`: place, list, show, cancel, watch and receive; the custody steps are in `fleet.cli.custody`."""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import httpx
import typer

from fleet.cli import custody
from fleet.cli.client import DEFAULT_URL, Api, ApiReason, OrderId, Token, Url, segment
from fleet.cli.output import ExitCode, JsonFlag, Output

app = typer.Typer(no_args_is_help=True, help="Place, follow, cancel and receive orders; record custody steps.")
custody.register(app)


class Priority(StrEnum):
    ROUTINE = "routine"
    URGENT = "urgent"
    ASAP = "asap"
    STAT = "stat"


@app.command()
def place(
    product: Annotated[str, typer.Option("--product", metavar="ID", help="a product id of the configuration")],
    to: Annotated[str, typer.Option("--to", metavar="SITE", help="destination, a site id of the configuration")],
    recipient: Annotated[
        str, typer.Option("--recipient", metavar="REF", help="your opaque reference; never patient data")
    ],
    mass_kg: Annotated[float, typer.Option("--mass-kg", metavar="KG", help="of the medicine, without the box")],
    volume_l: Annotated[float, typer.Option("--volume-l", metavar="L", help="of the medicine; the box must hold it")],
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="TIME", help="latest arrival: RFC 3339, or from now: +45m, +2h")
    ],
    priority: Annotated[
        Priority, typer.Option("--priority", help="who goes first when vehicles are scarce")
    ] = Priority.ROUTINE,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="SITE", help="origin; default: the hub nearest to the destination")
    ] = None,
    lot: Annotated[str, typer.Option("--lot", help="the manufacturer's lot number, for the record")] = "",
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", metavar="BAND=MINUTES", help="stability budget left; may be repeated"),
    ] = None,
    single_patient: Annotated[
        bool, typer.Option("--single-patient", help="made for one patient, cannot be replaced")
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="the lot's expiry, RFC 3339; not before the deadline"),
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="idempotency key; the same key never orders twice")] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Place an order. It is stored before this returns."""
    out = Output(json)
    body = {
        "product_id": product,
        "destination_site": to,
        "recipient_ref": recipient,
        "mass_kg": mass_kg,
        "volume_l": volume_l,
        "deadline": _deadline(deadline, out),
        "priority": priority.value,
        "origin_site": origin,
        "lot": lot,
        "budget_min": _budget(budget or [], out),
        "single_patient": single_patient,
        **({} if expires is None else {"expires": expires}),
    }
    key = key or secrets.token_hex(8)
    again = f"give the same command with --key {key}: it will not be ordered twice"
    with Api(url, token, out) as api:
        order = api.post("/v1/orders", body, {"Idempotency-Key": f'"{key}"'}, again=again)
    if order["state"] == "refused":
        out.fail(ExitCode.REFUSED, f"order {order['order_id']} was refused", reasons=_reasons(order))
    if order["confirmation_code"]:
        out.say(f"The recipient's one-time code is {order['confirmation_code']}.")
    out.data(order, f"{order['order_id']}  {order['state']}")


@app.command("list")
def list_orders(
    state: Annotated[list[str] | None, typer.Option("--state", help="only this state; may be repeated")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="at most so many")] = 50,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """List orders, newest first."""
    out = Output(json)
    orders: list[dict[str, Any]] = []
    with Api(url, token, out) as api:
        page = api.get("/v1/orders", state=state or [], limit=min(limit, 200))
        orders += page["orders"]
        while page["next"] and len(orders) < limit:
            page = api.get(page["next"])
            orders += page["orders"]
    orders = orders[:limit]
    columns = ("order", "state", "product", "to", "vehicle", "phase", "due", "eta", "verdict")
    rows = [
        (
            o["order_id"],
            o["state"],
            o["product_id"],
            o["destination_site"],
            o["vehicle_id"],
            o["phase"],
            o["deadline"],
            o["eta"],
            o["verdict"],
        )
        for o in orders
    ]
    out.table({"orders": orders, "total": page["total"]}, columns, rows, empty="No orders.")
    if page["total"] > len(orders):
        out.say(f"{len(orders)} of {page['total']} orders; more with --limit.")


@app.command()
def show(order_id: OrderId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Show one order."""
    out = Output(json)
    with Api(url, token, out) as api:
        order = api.get(f"/v1/orders/{segment(order_id)}")
    out.data(order, describe(order))


@app.command()
def cancel(order_id: OrderId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Cancel an order that has not taken off."""
    out = Output(json)
    with Api(url, token, out) as api:
        order = api.post(f"/v1/orders/{segment(order_id)}/cancel")
    out.data(order, f"{order['order_id']}  {order['state']}")


@app.command()
def watch(
    order_id: OrderId,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.1, help="seconds; then exit code 5")] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Follow an order to its end: exit code 0 when it was received, 1 when it ended otherwise."""
    out = Output(json)
    with Api(url, token, out) as api:
        _follow(api, order_id, out, timeout)
        order = api.get(f"/v1/orders/{segment(order_id)}")
    if order["state"] != "received":
        reasons = _reasons(order)
        out.fail(ExitCode.FAILED, f"order {order_id} ended {order['state']}, not received", reasons=reasons)
    out.say(f"Order {order_id} was received.")


@app.command()
def receive(
    order_id: OrderId,
    code: Annotated[str | None, typer.Option("--code", help="the order's one-time code; asked for if left out")] = None,
    verdict_seen: Annotated[
        str | None, typer.Option("--verdict-seen", help="for scripts: the verdict that the recipient has read")
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Confirm the receipt, after reading the cold verdict."""
    out = Output(json)
    with Api(url, token, out) as api:
        order = api.get(f"/v1/orders/{segment(order_id)}")
        verdict = order["verdict"] or "unknown"
        out.say(f"Cold verdict: {verdict.replace('_', ' ')}. {order['verdict_why'] or ''}".rstrip())
        if verdict_seen is None:
            answer = _ask("Have you read the verdict, and do you take the medicine over? [y/N] ")
            if answer.lower() not in ("y", "yes"):
                out.fail(ExitCode.FAILED, "nothing was confirmed", "quarantine the medicine if you doubt it")
        body = {"code": code or _ask("One-time code: "), "verdict_seen": verdict_seen or verdict}
        order = api.post(f"/v1/orders/{segment(order_id)}/receipt", body)
    out.data(order, f"{order['order_id']}  {order['state']}")


def _ask(question: str) -> str:
    """Asks on stderr: stdout carries data only (typer's prompts write there too)."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def describe(fields: dict[str, Any]) -> str:
    """An object of the API as aligned lines; empty fields are left out."""
    shown = {name.replace("_", " "): _say(value) for name, value in fields.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown.items())


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(_say(v) for v in value)
    if isinstance(value, dict) and "text" in value:
        return f"{value['text']} {value.get('fix', '')}".rstrip()
    if isinstance(value, dict):
        return ", ".join(f"{k} {_say(v)}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reasons(order: dict[str, Any]) -> Sequence[ApiReason]:
    return [ApiReason(r["code"], r["text"], r.get("fix", "")) for r in order["reasons"]]


def _follow(api: Api, order_id: str, out: Output, timeout_s: float | None) -> None:
    """Prints events until the order is final; a broken stream is resumed after the last event seen."""
    begin, seen, failures = time.monotonic(), 0, 0
    path = f"/v1/orders/{segment(order_id)}/events"

    def left_s() -> float | None:
        if timeout_s is None:
            return None
        left = timeout_s - (time.monotonic() - begin)
        if left <= 0:
            out.fail(ExitCode.UNREACHABLE, f"order {order_id} is not final after {timeout_s:g} s", "watch it again")
        return left

    while True:
        try:
            # The server says something every few seconds; half a minute of silence is a dead connection.
            with api.events(path, seen, min(30.0, left_s() or 30.0)) as events:
                for kind, event in events:
                    seen, failures = event["seq"], 0
                    out.line(event, f"{event['at']}  {kind:<18} {describe_body(event['body'])}")
                    left_s()
            return
        except httpx.TransportError as error:
            left_s()
            failures += 1
            if failures > 5:
                api.unreachable(error)
            time.sleep(min(2.0, 0.2 * 2**failures))


def describe_body(body: dict[str, Any], width: int = 100) -> str:
    """An event's body on one line."""
    text = ", ".join(f"{k}={_say(v)}" for k, v in body.items())
    return text if len(text) <= width else text[: width - 1] + "…"


def _deadline(text: str, out: Output) -> str:
    fix = "give an RFC 3339 time like 2026-03-01T09:30:00Z, or +45m, +2h from now"
    if relative := re.fullmatch(r"\+(\d{1,5})(m|min|h)", text):
        minutes = int(relative[1]) * (60 if relative[2] == "h" else 1)
        return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        out.fail(ExitCode.USAGE, f"--deadline {text!r} is not a time", fix)
    if at.tzinfo is None:
        out.fail(ExitCode.USAGE, f"--deadline {text!r} has no offset from UTC", fix)
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _budget(pairs: list[str], out: Output) -> dict[str, float]:
    budget: dict[str, float] = {}
    for pair in pairs:
        band, sign, minutes = pair.partition("=")
        try:
            budget[band] = float(minutes)
        except ValueError:
            sign = ""
        if not sign or not band:
            out.fail(ExitCode.USAGE, f"--budget {pair!r} is not BAND=MINUTES", "give it like --budget 8-15=120")
    return budget
