"""What people do with an order's box, from the command line: `fleet order seal`, `load`, `hand-over`, `reiced`,
`box-back`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleet.cli.client import DEFAULT_URL, Api, OrderId, Token, Url, segment
from fleet.cli.output import JsonFlag, Output

Seal = Annotated[str | None, typer.Option("--seal", metavar="TEXT", help="the seal's number, for the record")]


def register(app: typer.Typer) -> None:
    """Adds the custody steps to `fleet order`."""
    app.command()(seal)
    app.command()(load)
    app.command("hand-over")(hand_over)
    app.command()(reiced)
    app.command("box-back")(box_back)


def seal(
    order_id: OrderId,
    seal_text: Seal = None,
    pack_left_kj: Annotated[
        float | None,
        typer.Option("--pack-left-kj", metavar="KJ", min=0.0, help="cold left in the pack; default: a fresh pack"),
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """The medicine is in its box and the box is sealed: its cold chain begins."""
    detail = {"seal": seal_text, "pack_left_kj": pack_left_kj}
    _step(order_id, "seal", {k: v for k, v in detail.items() if v is not None}, url, token, json)


def load(order_id: OrderId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """The sealed box hangs in its vehicle."""
    _step(order_id, "load", {}, url, token, json)


def hand_over(
    order_id: OrderId,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TEXT", help="role of who has it now; no patient data")
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """The box went from one person to another."""
    _step(order_id, "hand_over", {} if to is None else {"to": to}, url, token, json)


def reiced(order_id: OrderId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """The box has a fresh pack: its vehicle, which waits at the re-icing station, flies on."""
    _step(order_id, "reiced", {}, url, token, json)


def box_back(order_id: OrderId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """The empty box is back at its hub and may be used again."""
    _step(order_id, "box_back", {}, url, token, json)


def _step(order_id: str, step: str, detail: dict[str, Any], url: str, token: str, json: bool) -> None:
    out = Output(json)
    again = f"look at `fleet record show {order_id}` before giving the command again"
    with Api(url, token, out) as api:
        order = api.post(f"/v1/orders/{segment(order_id)}/custody", {"step": step, "detail": detail}, again=again)
    out.data(order, f"{order['order_id']}  {step.replace('_', ' ')} recorded; {order['state']}")
