"""Reading an airspace file for a command, and telling what of it cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.output import ExitCode, Output

if TYPE_CHECKING:
    from geofences.formats import ParsedAirspace, Problem

KNOWN = "ED-318, ED-269, GeoJSON, KML or OpenAir"
AirspaceFile = Annotated[Path, typer.Argument(metavar="FILE", help=KNOWN)]


def read_airspace(out: Output, file: Path) -> ParsedAirspace:
    """The file's zones and problems; ends the command where it cannot be read at all."""
    from geofences.formats import load_airspace_bytes

    try:
        data = file.read_bytes()
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{file} cannot be read: {error.strerror}", "check the path")
    return load_airspace_bytes(data, str(file))


def reasons(parsed: ParsedAirspace) -> list[Any]:
    """The problems, as refusals list them."""
    from missions.plan import Reason

    return [
        Reason("airspace_invalid", ": ".join(x for x in (p.feature_id, p.field, p.text) if x), p.fix)
        for p in parsed.problems
    ]


def as_json(p: Problem) -> dict[str, str]:
    return {"feature": p.feature_id, "field": p.field, "text": p.text, "fix": p.fix}
