"""`fleet airspace info` and `convert`: what an airspace file holds, and the same in another format."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.airspace_reading import AirspaceFile, as_json, read_airspace, reasons
from fleet.cli.output import ExitCode, JsonFlag, Output, check_picture

if TYPE_CHECKING:
    from geofences.comparing import Summary
    from geofences.formats import ParsedAirspace


def info(
    file: AirspaceFile,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="OUT", help="write a picture: .png or .html")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Tell what an airspace file holds: zones by restriction, heights, times and authority, and where they lie."""
    from geofences.comparing import summarise

    out = Output(json)
    check_picture(out, map_file)
    parsed = read_airspace(out, file)
    found = summarise(parsed.zones)
    facts = _facts(found)
    if json:
        problems = [as_json(p) for p in parsed.problems]
        out.data({"file": str(file), "format": parsed.format, **asdict(found), "problems": problems})
    else:
        out.table(None, (str(file), parsed.format), facts)
    if map_file is not None:
        _picture(out, map_file, file, parsed, found, facts)
    refuse_unusable(file, parsed)


def convert(
    file: Annotated[Path, typer.Argument(metavar="IN", help="an airspace file of any known format")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="the file to write; its ending says the format")],
    to: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help="the format, where OUT does not say")] = None,
    json: JsonFlag = False,
) -> None:
    """Write an airspace file in another format; all that could not be used or said in it is told, zone by zone."""
    from geofences.formats import CODECS, codec_for

    out = Output(json)
    codec = CODECS.get(to) if to is not None else codec_for(target.name)
    known = ", ".join(CODECS)
    if codec is None and to is not None:
        out.fail(ExitCode.USAGE, f"--to {to}: no such format", f"one of {known}")
    if codec is None:
        out.fail(ExitCode.USAGE, f"{target}: its ending says no format", f"give --to with one of {known}")
    if target.exists() and target.samefile(file):
        out.fail(ExitCode.USAGE, f"{target} is the file to be read", "write to another one")
    parsed = read_airspace(out, file)
    fitting, cut = codec.fit(parsed.zones)
    try:
        target.write_text(codec.write(fitting), encoding="utf-8")
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{target} cannot be written: {error.strerror}", "check the path")
    if json:
        out.data(
            {
                "file": str(file),
                "format": parsed.format,
                "written": str(target),
                "written_format": codec.name,
                "zones_read": len(parsed.zones),
                "zones_written": len(fitting),
                "problems": [as_json(p) for p in parsed.problems],
                "notes": [as_json(p) for p in parsed.notes],
                "not_said": [as_json(p) for p in cut],
            }
        )
    else:
        for note in (*parsed.notes, *cut):
            out.say(f"note: {note}")
        told = "" if not cut else f"; {len(cut)} thing{'s' if len(cut) != 1 else ''} could not be said in it"
        out.data(None, f"{target}: {codec.name}, {len(fitting)} of {len(parsed.zones)} zones of {file}{told}")
    refuse_unusable(file, parsed)
    if len(fitting) < len(parsed.zones):
        left = len(parsed.zones) - len(fitting)
        Output().fail(ExitCode.REFUSED, f"{left} of the zones cannot be said in {codec.name}", "see the notes")


def refuse_unusable(file: Path, parsed: ParsedAirspace) -> None:
    """Ends the command where the file held what could not be used: what was told of it is not the whole of it."""
    if not parsed.ok:
        count = f"{len(parsed.problems)} problem{'s' if len(parsed.problems) != 1 else ''}"
        # With --json the problems are on stdout already.
        Output().fail(ExitCode.REFUSED, f"{file}: {count}, {len(parsed.zones)} usable zones", reasons=reasons(parsed))


def _facts(s: Summary) -> list[tuple[str, str]]:
    def listed(counts: Any) -> str:
        return ", ".join(f"{n} {name}" for name, n in counts.items()) or "none"

    box = "nowhere"
    if s.box is not None:
        b = s.box
        box = f"{b.south_deg:.4f} to {b.north_deg:.4f} N, {b.west_deg:.4f} to {b.east_deg:.4f} E"
    heights = "none given" if s.lowest_m is None else f"limits from {s.lowest_m:.0f} to {s.highest_m:.0f} m"
    return [
        ("zones", f"{s.zones} with {s.volumes} volumes: {listed(s.roles)}"),
        ("restriction", listed(s.restrictions)),
        ("outlines", f"{listed(s.outlines)}; {s.vertices} corners, most in {s.largest_zone or 'none'}"),
        ("heights", f"{heights}; over {listed(s.datums)}"),
        ("times", listed(s.times)),
        ("authority", listed(s.authorities)),
        ("where", box),
    ]


def _picture(
    out: Output, path: Path, file: Path, parsed: ParsedAirspace, found: Summary, facts: list[tuple[str, str]]
) -> None:
    import numpy as np

    from fleet.maps import picture_of, write_picture
    from geofences.airspace import Airspace
    from missions.plan import Infeasible, Reason

    if found.box is None:
        out.say(f"no picture: {file} holds no zone that can be used")
        return
    south_west, _, _, north_east = found.box.corners
    zones = {z.zone_id: z for z in parsed.zones}
    # The picture of a route that nobody asked for: the zones between two corners.
    picture = picture_of(Infeasible(()), Airspace(1, tuple(zones.values())), (), start=south_west, goal=north_east)
    nothing = np.zeros((0, 2))
    told = (Reason("file", "all zones of the file, whatever their heights and times"),)
    bare = replace(
        picture, title=file.name, subtitle=parsed.format, straight=nothing, sites=(), reasons=told, facts=tuple(facts)
    )
    try:
        write_picture(path, bare)
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{path} cannot be written: {error.strerror}", "check the path")
    out.say(f"picture: {path}")
