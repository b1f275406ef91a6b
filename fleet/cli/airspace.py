"""`fleet airspace`: look at, check, convert and compare airspace files; change a running controller's zones."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli.airspace_diff import diff
from fleet.cli.airspace_files import convert, info, refuse_unusable
from fleet.cli.airspace_reading import KNOWN, AirspaceFile, as_json, read_airspace, reasons
from fleet.cli.client import DEFAULT_URL, Api, Token, Url, segment
from fleet.cli.output import ExitCode, JsonFlag, Output

if TYPE_CHECKING:
    from geofences.volumes import Zone

COLUMNS = ("id", "name", "restriction", "role", "heights", "times")
app = typer.Typer(
    no_args_is_help=True,
    help="Look at, check, convert and compare airspace files; list, add and withdraw the controller's zones.",
)
zones = typer.Typer(no_args_is_help=True, help="List, add and withdraw the zones that the controller keeps.")
app.add_typer(zones, name="zones")
for command in (info, convert, diff):
    app.command()(command)


@app.command()
def check(file: AirspaceFile, json: JsonFlag = False) -> None:
    """Check an airspace file without a controller: every feature that cannot be used, with its field and a fix."""
    out = Output(json)
    parsed = read_airspace(out, file)
    listed = [_zone(z) for z in parsed.zones]
    found = {
        "file": str(file),
        "format": parsed.format,
        "ok": parsed.ok,
        "zones": listed,
        "problems": [as_json(p) for p in parsed.problems],
        "notes": [as_json(p) for p in parsed.notes],
    }
    if json:
        out.data(found)
    for note in parsed.notes:
        out.say(f"note: {note}")
    refuse_unusable(file, parsed)
    if not json:
        out.table(found, COLUMNS, _rows(listed))
        out.say(f"{file} is good: {parsed.format}, {len(parsed.zones)} zones.")


@zones.command("list")
def list_zones(url: Url = DEFAULT_URL, token: Token = "", json: JsonFlag = False) -> None:
    """List the zones as they are now; with --json as GeoJSON."""
    from geofences.formats import geojson

    out = Output(json)
    with Api(url, token, out) as api:
        answer = api.get("/v1/airspace/zones")
    listed = [_zone(z) for z in geojson.parse(dumps(answer), url).zones]
    out.table(answer, COLUMNS, _rows(listed), empty="No zones.")
    out.say(f"airspace version {answer['airspace_version']}")


@zones.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=f"{KNOWN} with one zone")],
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Close (or open) a zone from now on: flights in the air are re-checked at once."""
    from geofences.formats import geojson

    out = Output(json)
    parsed = read_airspace(out, file)
    if not parsed.ok:
        out.fail(ExitCode.REFUSED, f"{file} cannot be used; nothing was changed", reasons=reasons(parsed))
    if len(parsed.zones) != 1:
        text = f"{file} holds {len(parsed.zones)} zones; nothing was changed"
        out.fail(ExitCode.REFUSED, text, "give one zone per file, so that it is all or nothing")
    again = "look at `fleet airspace zones list` before giving the command again"
    with Api(url, token, out) as api:
        changed = api.post("/v1/airspace/zones", geojson.dump(parsed.zones), again=again)
    out.data(changed, f"{changed['zone_id']}  added; airspace version {changed['airspace_version']}")


@zones.command()
def withdraw(
    zone_id: Annotated[str, typer.Argument(metavar="ZONE", help="the zone's id")],
    url: Url = DEFAULT_URL,
    token: Token = "",
    json: JsonFlag = False,
) -> None:
    """Withdraw a zone, those of the airspace files too; flights in the air are re-checked at once."""
    out = Output(json)
    again = "look at `fleet airspace zones list` before giving the command again"
    with Api(url, token, out) as api:
        changed = api.delete(f"/v1/airspace/zones/{segment(zone_id)}", again=again)
    out.data(changed, f"{changed['zone_id']}  withdrawn; airspace version {changed['airspace_version']}")


def _rows(listed: list[dict[str, str]]) -> list[tuple[str, ...]]:
    return [tuple(z[column] for column in COLUMNS) for z in listed]


def _zone(zone: Zone) -> dict[str, str]:
    from geofences.comparing import heights_text, times_kind

    return {
        "id": zone.zone_id,
        "name": zone.name,
        "restriction": zone.restriction.value,
        "role": zone.role.value,
        "heights": "; ".join(map(heights_text, zone.volumes)),
        "times": times_kind(zone),
    }
