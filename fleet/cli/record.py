"""`fleet record`: an order's hash-chained record, over the API or from the store's file; its flights' recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.client import DEFAULT_URL, Api, OrderId, Token, Url, segment
from fleet.cli.orders import describe_body
from fleet.cli.output import ExitCode, JsonFlag, Output, to_json, when

if TYPE_CHECKING:
    from fleet.mavlink.tlog import Part, Summary
    from fleet.records.replay import Replayed
    from fleet.service import RecordedEvent
    from missions.decision.types import Decision, Policy

app = typer.Typer(no_args_is_help=True, help="Show and verify an order's hash-chained record; list its recordings.")

StorePath = Annotated[Path | None, typer.Option("--store", help="read the store's file instead of asking the API")]
Anchor = Annotated[
    str | None, typer.Option("--anchor", help="a hash noted earlier, as on the hand-over slip: it must occur")
]
OtherPolicy = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="YAML with other numbers of the policy: what would they have done? What it does "
        "not name stays as recorded; a fleet.yaml does too",
    ),
]
OrderOrFlight = Annotated[
    str, typer.Argument(metavar="ORDER_OR_FLIGHT", help="the order's id, or one flight's as the record gives it")
]
Recordings = Annotated[
    Path, typer.Option("--folder", help="where the recordings are: recording.folder of the configuration")
]


@app.command()
def show(
    order_id: OrderId, store: StorePath = None, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False
) -> None:
    """Show what was known, decided, commanded and acknowledged."""
    out = Output(json)
    stream, events = _read(order_id, store, url, token, out)
    rows = [(e["seq"], e["at"], e["kind"], describe_body(e["body"])) for e in events]
    out.table({"stream": stream, "events": events}, ("seq", "at", "kind", "what"), rows, empty="No events.")


@app.command()
def verify(
    order_id: OrderId,
    anchor: Anchor = None,
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


@app.command()
def replay(
    order_id: OrderId,
    policy: OtherPolicy = None,
    store: StorePath = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Decide again what was decided, from what was known then; exit code 1 if it does not come out the same."""
    from fleet.records.replay import policies
    from fleet.records.replay import replay as replay_record

    out = Output(json)
    stream, data = _read(order_id, store, url, token, out)
    events = [_event(e, out) for e in data]
    other = _other_policy(policy, list(policies(events).values()), out) if policy is not None else None
    decisions = list(replay_record(events, other))
    wrong = [d for d in decisions if not d.same]
    first = next((d for d in decisions if d.otherwise), None)
    value = {
        "stream": stream,
        "policy": str(policy) if policy is not None else "recorded",
        "decisions": [_replayed(d) for d in decisions],
        "same": len(decisions) - len(wrong),
        "not_the_same": len(wrong),
        "first_otherwise": first.seq if first is not None else None,
    }
    rows = [(d.seq, when(d.at_s), _outcome(d), _told(d)) for d in decisions]
    out.table(value, ("seq", "at", "again", "decided"), rows, empty="No decision was recorded.")
    if other is not None and not json:
        out.say(_verdict(first, policy))
    if wrong:
        # The JSON object is complete without an error beside it: `not_the_same` says it.
        out.say(f"{len(wrong)} of {len(decisions)} recorded decisions do not come out the same.")
        raise typer.Exit(int(ExitCode.FAILED))


def _other_policy(path: Path, recorded: list[Policy], out: Output) -> Policy:
    from fleet.config import ConfigError
    from fleet.config.policy import read_policy

    if not recorded:
        out.fail(
            ExitCode.FAILED, "the record does not hold the policy of its decisions", "it has none, or is not whole"
        )
    try:
        return read_policy(path, recorded[-1])
    except ConfigError as error:
        out.fail(ExitCode.USAGE, "\n".join(str(p) for p in error.problems))


def _replayed(d: Replayed) -> dict[str, Any]:
    return {
        "seq": d.seq,
        "at": when(d.at_s),
        "vehicle_id": d.vehicle_id,
        "policy_hash": d.policy_hash,
        "same": d.same,
        "differs": d.differs,
        "problem": d.problem,
        "recorded": _done(d.recorded),
        "instead": _done(d.instead),
        "otherwise": d.otherwise,
    }


def _done(decision: Decision | None) -> dict[str, Any] | None:
    """What a decision does, and why."""
    if decision is None:
        return None
    c = decision.candidate
    return {
        "action": decision.action.name.lower(),
        "candidate": None if c is None else {"kind": c.kind, "site_id": c.site_id},
        "cause": decision.cause,
        "sentence": decision.sentence,
        "considered": [to_json(option) for option in decision.considered],
    }


def _outcome(d: Replayed) -> str:
    return d.problem or ("same" if d.same else "; ".join(d.differs[:3]))


def _told(d: Replayed) -> str:
    told = d.recorded.sentence if d.recorded is not None else ""
    return f"{told}\n→ instead: {d.instead.sentence}" if d.otherwise and d.instead is not None else told


def _verdict(first: Replayed | None, policy: Path | None) -> str:
    if first is None:
        return f"{policy} would have decided the same at each recorded decision; between them nothing is known."
    return (
        f"{policy} would have acted otherwise for the first time at event {first.seq}. From there on the flight would "
        "have been another one: what follows tells how it judges those moments, not how that flight would have ended."
    )


@app.command("tlog")
def recordings(order_or_flight: OrderOrFlight, folder: Recordings = Path("var/tlog"), json: JsonFlag = False) -> None:
    """List the telemetry recordings (tlog) of a flight or an order's flights: size, span and messages.

    The files open in MAVExplorer, QGroundControl and pymavlink.
    """
    from fleet.mavlink import tlog

    out = Output(json)
    found = tlog.find(folder, order_or_flight)
    if not found:
        where = "holds no recording of" if folder.is_dir() else "does not exist, so there is no recording of"
        out.fail(
            ExitCode.REFUSED,
            f"{folder} {where} {order_or_flight!r}",
            "check the id, and --folder against recording.folder of the configuration; beyond recording.keep_gb the "
            "oldest flights are deleted",
        )
    files = []
    for part in found:
        try:
            files.append(_described(part, tlog.summarise(part.path)))
        except OSError as error:
            fix = "check its permissions" if isinstance(error, PermissionError) else "try again"
            out.fail(ExitCode.FAILED, f"{part.path} cannot be read: {error.strerror}", fix)
    rows = []
    for file in files:
        most = ", ".join(f"{name} {n}" for name, n in list(file["by_message"].items())[:3])
        damage = f"; {file['unread_bytes']} bytes unreadable" if file["unread_bytes"] else ""
        size, span = f"{file['size_bytes'] / 1e6:.2f} MB", f"{file['span_s']:.0f} s"
        rows.append((file["vehicle_id"], file["path"], size, file["from"], span, file["frames"], most + damage))
    columns = ("vehicle", "file", "size", "from", "span", "frames", "most frequent")
    out.table({"id": order_or_flight, "files": files}, columns, rows)


def _described(part: Part, held: Summary) -> dict[str, Any]:
    span = None if held.first_s is None or held.last_s is None else (held.first_s, held.last_s)
    most_first = sorted(held.by_message.items(), key=lambda item: -item[1])
    return {
        "path": str(part.path),
        "vehicle_id": part.vehicle_id,
        "flight_id": part.flight_id,
        "part": part.number,
        "size_bytes": part.size_bytes,
        "from": when(span[0]) if span else None,
        "to": when(span[1]) if span else None,
        "span_s": round(span[1] - span[0], 3) if span else 0.0,
        "frames": held.frames,
        "by_message": {_message_name(message_id): n for message_id, n in most_first},
        "by_system": held.by_system,
        "unread_bytes": held.unread_bytes,
    }


def _message_name(message_id: int) -> str:
    from pymavlink.dialects.v20 import development

    known = development.mavlink_map.get(message_id)
    return str(known.msgname) if known is not None else f"message {message_id}"


def _read(order_id: str, store: Path | None, url: str, token: str, out: Output) -> tuple[str, list[dict[str, Any]]]:
    stream = f"order/{order_id}"
    if store is None:
        with Api(url, token, out) as api:
            return stream, api.get(f"/v1/orders/{segment(order_id)}/record")["events"]
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
