"""`fleet record`: show and verify an order's hash-chained record, over the API or from the store's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.client import DEFAULT_URL, Api, OrderId, Token, Url, segment
from fleet.cli.orders import describe_body
from fleet.cli.output import ExitCode, JsonFlag, Output, to_json

if TYPE_CHECKING:
    from fleet.service import RecordedEvent

app = typer.Typer(no_args_is_help=True, help="Show and verify an order's hash-chained record.")

StorePath = Annotated[Path | None, typer.Option("--store", help="read the store's file instead of asking the API")]


@app.command()
def show(
    order_id: OrderId,
    store: StorePath = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Show what was known, decided, commanded and acknowledged."""
    out = Output(json)
    stream, events = _read(order_id, store, url, token, out)
    rows = [(e["seq"], e["at"], e["kind"], describe_body(e["body"])) for e in events]
    out.table({"stream": stream, "events": events}, ("seq", "at", "kind", "what"), rows, empty="No events.")


@app.command()
def verify(
    order_id: OrderId,
    anchor: Annotated[
        str | None, typer.Option("--anchor", help="a hash noted earlier, as on the hand-over slip: it must occur")
    ] = None,
    store: StorePath = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Check that no event was changed, removed or reordered; exit code 1 if one was."""
    from fleet.records.chain import verify as verify_chain

    out = Output(json)
    stream, events = _read(order_id, store, url, token, out)
    report = verify_chain([_event(e, out) for e in events], stream=stream, anchor=anchor)
    if not report.ok:
        out.fail(
            ExitCode.FAILED,
            f"the record of {order_id} is not whole: {report.text}",
            "keep the store's file as it is, and compare it with a backup and with hashes noted elsewhere",
        )
    out.data(report, f"The record of {order_id} is whole: {report.checked} events, last hash {report.head_hash}")


def _read(order_id: str, store: Path | None, url: str, token: str, out: Output) -> tuple[str, list[dict[str, Any]]]:
    stream = f"order/{order_id}"
    if store is None:
        with Api(url, token, out) as api:
            return stream, api.get(f"/v1/orders/{segment(order_id)}/record")["events"]
    from fleet.cli.output import when
    from fleet.store import Store, StoreOpenError

    try:
        with Store.open_readonly(store) as reader:
            events = [{**to_json(e), "at": when(e.at_s)} for e in reader.events(stream)]
    except StoreOpenError as error:
        out.fail(ExitCode.UNREACHABLE, str(error))
    if not events:
        out.fail(ExitCode.REFUSED, f"the store {store} has no order {order_id!r}", "check the order's id")
    return stream, events


def _event(data: dict[str, Any], out: Output) -> RecordedEvent:
    from fleet.api.views import event_from_json

    try:
        return event_from_json(data)
    except (KeyError, TypeError) as error:
        out.fail(ExitCode.FAILED, f"an event of the record lacks {error}", "use a controller of the same version")
