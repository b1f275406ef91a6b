"""`fleet airspace`: check airspace files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output

if TYPE_CHECKING:
    from geofences.formats import ParsedAirspace, Problem

app = typer.Typer(no_args_is_help=True, help="Check airspace files.")


@app.callback()
def _group() -> None:
    """Keeps `check` a subcommand while it is the only one."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="ED-318, ED-269 or GeoJSON")], json: JsonFlag = False
) -> None:
    """Check an airspace file: every feature that cannot be used, with its field and a fix."""
    out = Output(json)
    parsed = read_airspace(out, file)
    zones = [_zone(z) for z in parsed.zones]
    found = {
        "file": str(file),
        "format": parsed.format,
        "ok": parsed.ok,
        "zones": zones,
        "problems": [_problem(p) for p in parsed.problems],
        "notes": [_problem(p) for p in parsed.notes],
    }
    if json:
        out.data(found)
    for note in parsed.notes:
        out.say(f"note: {note}")
    if not parsed.ok:
        count = f"{len(parsed.problems)} problem{'s' if len(parsed.problems) != 1 else ''}"
        # With --json the problems are on stdout already.
        Output().fail(ExitCode.REFUSED, f"{file}: {count}, {len(parsed.zones)} usable zones", reasons=reasons(parsed))
    if not json:
        rows = [(z["id"], z["name"], z["restriction"], z["role"], z["heights"], z["times"]) for z in zones]
        out.table(found, ("ID", "NAME", "RESTRICTION", "ROLE", "HEIGHTS", "TIMES"), rows)
        out.say(f"{file} is good: {parsed.format}, {len(parsed.zones)} zones.")


def read_airspace(out: Output, file: Path) -> ParsedAirspace:
    """The file's zones and problems; ends the command where it cannot be read at all."""
    from geofences.formats import load_airspace_text

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{file} cannot be read: {error.strerror}", "check the path")
    except UnicodeDecodeError:
        out.fail(ExitCode.REFUSED, f"{file} is not text in UTF-8", "save it as UTF-8")
    return load_airspace_text(text, str(file))


def reasons(parsed: ParsedAirspace) -> list[Any]:
    """The problems, as refusals list them."""
    from missions.plan import Reason

    return [
        Reason("airspace_invalid", ": ".join(x for x in (p.feature_id, p.field, p.text) if x), p.fix)
        for p in parsed.problems
    ]


def _problem(p: Problem) -> dict[str, str]:
    return {"feature": p.feature_id, "field": p.field, "text": p.text, "fix": p.fix}


def _zone(zone: Any) -> dict[str, str]:
    def limit(height: Any, none: str) -> str:
        return none if height is None else f"{height.value_m:.0f} m {height.datum}"

    heights = [f"{limit(v.lower, 'ground')} – {limit(v.upper, 'no limit')}" for v in zone.volumes]
    times = "scheduled" if zone.applicability else "always"
    return {
        "id": zone.zone_id,
        "name": zone.name,
        "restriction": zone.restriction.value,
        "role": zone.role.value,
        "heights": "; ".join(heights),
        "times": times,
    }
