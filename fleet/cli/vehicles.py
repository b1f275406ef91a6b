"""`fleet vehicle`: list, show, hold, resume, return, land."""

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
            "; ".join(v["faults"]),
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
    human = {**vehicle, "route": f"{len(vehicle['route'])} points" if vehicle["route"] else None}
    out.data(vehicle, describe(human))


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


def _command(vehicle_id: str, command: str, url: str, token: str, out: Output) -> None:
    with Api(url, token, out) as api:
        again = f"look at `fleet vehicle show {vehicle_id}` before giving the command again"
        vehicle = api.post(f"/v1/vehicles/{segment(vehicle_id)}/commands", {"command": command}, again=again)
    out.data(vehicle, f"{vehicle_id}  {command} taken; mode {vehicle['mode'] or 'unknown'}")


def _link(vehicle: dict[str, Any]) -> str:
    age = vehicle["heard_age_s"]
    return vehicle["link"] if age is None or vehicle["link"] == "up" else f"{vehicle['link']} ({age:.0f} s)"


def _with_unit(value: float | None, unit: str, digits: int = 0) -> str | None:
    return None if value is None else f"{value:.{digits}f}{unit}"
