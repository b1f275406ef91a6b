"""`fleet vehicle`: list, show, hold, resume, return, land, confirm, decline."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleet.cli.client import DEFAULT_URL, Api, Token, Url, segment
from fleet.cli.orders import describe
from fleet.cli.output import JsonFlag, Output

app = typer.Typer(no_args_is_help=True, help="List, show and command vehicles.")

VehicleId = Annotated[str, typer.Argument(metavar="VEHICLE", help="the vehicle's id")]


@app.command("list")
def list_vehicles(url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """List vehicles as last known."""
    out = Output(json)
    with Api(url, token, out) as api:
        answer = api.get("/v1/vehicles")
    columns = ("vehicle", "link", "phase", "mode", "order", "battery", "box", "verdict", "eta", "wrong")
    rows = [
        (
            v["vehicle_id"],
            _link(v),
            v["phase"],
            v["mode"],
            v["order_id"],
            _with_unit(v["battery_pct"], "%"),
            _with_unit(v["box_temp_c"], " °C", 1),
            v["verdict"],
            v["eta"],
            "; ".join([*v["faults"], *([v["unfit"]] if v["unfit"] else []), *v["not_ready"]]),
        )
        for v in answer["vehicles"]
    ]
    out.table(answer, columns, rows, empty="No vehicles are configured.")


@app.command()
def show(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Show one vehicle."""
    out = Output(json)
    with Api(url, token, out) as api:
        vehicle = api.get(f"/v1/vehicles/{segment(vehicle_id)}")
    ids = vehicle["plan_ids"]
    human = {
        **vehicle,
        "route": f"{len(vehicle['route'])} points" if vehicle["route"] else None,
        "links": "\n".join(_path(path) for path in vehicle["links"]),
        "plan_ids": " ".join(f"{name} {value:08x}" for name, value in ids.items()) if ids else None,
    }
    out.data(vehicle, describe(human))


@app.command()
def links(url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Show the MAVLink links: what comes in, what is dropped, and who was not admitted and why."""
    out = Output(json)
    with Api(url, token, out) as api:
        answer = api.get("/v1/links")
    columns = ("link", "frames", "damaged", "refused", "dropped", "who was not admitted, and what is wrong")
    rows = [
        (
            link["link"],
            link["frames"],
            f"{link['bad_bytes']} B",
            link["refused_frames"],
            (link["kernel_drops"] or 0) + link["send_drops"] + sum(link["over_budget"].values()),
            "\n".join([*([link["trouble"]] if link["trouble"] else []), *map(_refused, link["refused"])]),
        )
        for link in answer["links"]
    ]
    out.table(answer, columns, rows, empty="No links are configured.")


@app.command()
def hold(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Stop and hover until told otherwise."""
    _command(vehicle_id, "hold", url, token, Output(json))


@app.command()
def resume(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Go on with the plan; after a takeover, hand authority back to the controller."""
    _command(vehicle_id, "resume", url, token, Output(json))


@app.command("return")
def return_home(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Fly home with the payload."""
    _command(vehicle_id, "return", url, token, Output(json))


@app.command()
def land(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Land where it is now."""
    _command(vehicle_id, "land", url, token, Output(json))


@app.command()
def confirm(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Do at once what is proposed for the dose."""
    _command(vehicle_id, "confirm", url, token, Output(json))


@app.command()
def decline(vehicle_id: VehicleId, url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """Fly on: what is proposed for the dose is not to be done."""
    _command(vehicle_id, "decline", url, token, Output(json))


def _command(vehicle_id: str, command: str, url: str, token: str, out: Output) -> None:
    with Api(url, token, out) as api:
        again = f"look at `fleet vehicle show {vehicle_id}` before giving the command again"
        vehicle = api.post(f"/v1/vehicles/{segment(vehicle_id)}/commands", {"command": command}, again=again)
    out.data(vehicle, f"{vehicle_id}  {command} taken; mode {vehicle['mode'] or 'unknown'}")


def _link(vehicle: dict[str, Any]) -> str:
    age = vehicle["heard_age_s"]
    return vehicle["link"] if age is None or vehicle["link"] == "up" else f"{vehicle['link']} ({age:.0f} s)"


def _path(path: dict[str, Any]) -> str:
    parts = [
        "in use" if path["in_use"] else "stands by" if path["up"] else "down",
        None if path["rtt_s"] is None else f"round trip {1000 * path['rtt_s']:.0f} ms",
        None if path["loss_pct"] is None else f"loss {path['loss_pct']:.1f} %",
        path["trouble"],
    ]
    return f"{path['link']}: {', '.join(part for part in parts if part)}"


def _refused(sender: dict[str, Any]) -> str:
    return f"system id {sender['system_id']} at {sender['address']}, {sender['frames']} frames: {sender['why']}"


def _with_unit(value: float | None, unit: str, digits: int = 0) -> str | None:
    return None if value is None else f"{value:.{digits}f}{unit}"
