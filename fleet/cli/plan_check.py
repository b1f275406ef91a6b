"""`fleet plan check`: a QGroundControl plan file judged item by item, with reasons and a picture."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output, check_picture, when
from fleet.cli.world import World, read_instant, read_wind, read_world, read_zones

if TYPE_CHECKING:
    from geofences.formats.qgc_plan import PlanFile
    from geofences.geodesy import LatLon
    from geofences.heights import Terrain
    from missions.plan import Reason
    from missions.routing.flown import Rules, Violation
    from missions.routing.imported import FileVerdict
    from missions.vehicles import VehicleType


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a QGroundControl .plan")],
    airspace: Annotated[list[Path] | None, typer.Option("--airspace", help="an airspace file; repeatable")] = None,
    vehicle: Annotated[
        str | None, typer.Option("--vehicle", metavar="TYPE", help="vehicle type; without one energy is not judged")
    ] = None,
    authorise: Annotated[
        list[str] | None, typer.Option("--authorise", metavar="ZONE", help="zone id; repeatable")
    ] = None,
    wind: Annotated[str, typer.Option("--wind", metavar="N,E", help="the air's motion north and east, m/s")] = "0,0",
    depart: Annotated[str | None, typer.Option("--depart", metavar="ISO", help="departure time; default now")] = None,
    battery: Annotated[float, typer.Option("--battery", metavar="PCT", help="battery at departure")] = 100.0,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="OUT", help="write a picture: .png or .html")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="a fleet.yaml: terrain, airspace, vehicle types")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check a plan made elsewhere before it is flown: zones, heights, energy, ways back, and PX4's own rules."""
    from missions.routing.imported import check_file

    out = Output(json)
    check_picture(out, map_file)
    world = read_world(out, config)
    plan = read_plan(out, file)
    rules = _rules(out, world, plan, config, vehicle, airspace or [], frozenset(authorise or []), wind)
    depart_s = time.time() if depart is None else read_instant(out, depart)
    verdict = check_file(plan, rules, depart_s, airframe=_airframe(plan), battery_pct=battery)
    if map_file is not None:
        _picture(out, map_file, file, plan, verdict, rules, world, depart_s)
    if json:
        out.data(_as_json(file, plan, verdict))
    for note in verdict.notes:
        out.say(f"note: {note}")
    if verdict.violations:
        count = f"{len(verdict.violations)} reason{'s' if len(verdict.violations) != 1 else ''}"
        # With --json the reasons are on stdout already.
        Output().fail(ExitCode.REFUSED, f"{file} must not be flown: {count}", reasons=_reasons(verdict))
    if not json:
        out.data(None, _as_text(file, plan, verdict))


def read_plan(out: Output, file: Path) -> PlanFile:
    """The plan of a QGroundControl file; ends the command where it cannot be used."""
    from geofences.formats.qgc_plan import parse_plan
    from missions.plan import Reason

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{file} cannot be read: {error.strerror}", "check the path")
    except UnicodeDecodeError:
        out.fail(ExitCode.REFUSED, f"{file} is not text in UTF-8", "save it as UTF-8")
    parsed = parse_plan(text, str(file))
    for note in parsed.notes:
        out.say(f"note: {note}")
    if parsed.plan is None:
        found = [
            Reason("plan_invalid", ": ".join(x for x in (p.feature_id, p.field, p.text) if x), p.fix)
            for p in parsed.problems
        ]
        out.fail(ExitCode.REFUSED, f"{file} cannot be used", reasons=found)
    return parsed.plan


def _rules(
    out: Output,
    world: World,
    plan: PlanFile,
    config: Path | None,
    vehicle: str | None,
    airspace: list[Path],
    authorised: frozenset[str],
    wind: str,
) -> Rules:
    from geofences.heights import FlatTerrain
    from missions.routing.flown import Rules

    zones = read_zones(out, [*world.airspace_files, *airspace])
    unknown = sorted(z for z in authorised if zones.zone(z) is None)
    if unknown:
        fix = "see `fleet airspace check FILE` for ids"
        out.fail(ExitCode.USAGE, f"--authorise: no zone {', '.join(unknown)}", fix)
    # Without a configuration nothing is known of the ground but what the plan says of its home.
    terrain: Terrain = FlatTerrain(plan.home_amsl_m) if config is None else world.terrain
    flies = _vehicle(out, world, vehicle)
    return Rules(
        airspace=zones,
        authorised=world.authorised | authorised,
        terrain=terrain,
        ceiling_agl_m=world.ceiling_agl_m,
        reserve_pct=world.reserve_pct,
        vehicle=flies,
        payload_kg=flies.max_payload_kg if flies is not None else 0.0,
        wind=read_wind(out, wind),
    )


def _vehicle(out: Output, world: World, name: str | None) -> VehicleType | None:
    if name is None:
        return None
    found = next((v for v in world.vehicles if v.name == name), None)
    if found is None:
        known = ", ".join(v.name for v in world.vehicles)
        out.fail(ExitCode.USAGE, f"--vehicle {name}: no such type", f"known types: {known}; --config brings others")
    return found


def _airframe(plan: PlanFile) -> Any:
    """What the file was made for: without a vehicle there is nothing to compare it with."""
    from missions.routing.px4 import airframe_of

    return airframe_of(plan)


def _reasons(verdict: FileVerdict) -> list[Reason]:
    from missions.plan import Reason

    return [Reason(v.code, v.text) for v in sorted(verdict.violations, key=lambda v: v.leg_index)]


def _as_json(file: Path, plan: PlanFile, verdict: FileVerdict) -> dict[str, Any]:
    stretches = verdict.flight.stretches
    return {
        "file": str(file),
        "ok": not verdict.violations,
        "items": len(plan.items),
        "length_m": round(sum(s.length_m for s in stretches), 1),
        "time_s": round(stretches[-1].end.eta_s - stretches[0].start.eta_s, 1) if stretches else 0.0,
        "battery_at_end_pct": None if verdict.end_pct is None else round(verdict.end_pct, 1),
        "lands": verdict.flight.landed,
        "violations": [_violation(v) for v in verdict.violations],
        "notes": verdict.notes,
        "stretches": [
            {"item": s.item, "doing": s.doing, "length_m": round(s.length_m, 1), "until": when(s.end.eta_s)}
            for s in stretches
        ],
    }


def _violation(v: Violation) -> dict[str, Any]:
    at = None if v.at is None else {"lat": round(v.at.lat_deg, 7), "lon": round(v.at.lon_deg, 7)}
    item = v.leg_index if v.leg_index >= 0 else None
    return {"item": item, "code": v.code, "text": v.text, "zone": v.zone_id, "at": at}


def _as_text(file: Path, plan: PlanFile, verdict: FileVerdict) -> str:
    stretches = verdict.flight.stretches
    length = sum(s.length_m for s in stretches) / 1000.0
    minutes = (stretches[-1].end.eta_s - stretches[0].start.eta_s) / 60.0
    battery = "" if verdict.end_pct is None else f", {verdict.end_pct:.0f} % of battery left"
    head = f"{file} may be flown: {len(plan.items)} items, {length:.2f} km in {minutes:.1f} min{battery}"
    listed = dict.fromkeys(f"  item {s.item}: {s.doing}" for s in stretches if s.doing not in ("climb", "descent"))
    return "\n".join([head, *listed])


def _picture(
    out: Output,
    path: Path,
    file: Path,
    plan: PlanFile,
    verdict: FileVerdict,
    rules: Rules,
    world: World,
    depart_s: float,
) -> None:
    from fleet.maps import picture_of, write_picture
    from missions.plan import Reason
    from missions.planfile import as_plan
    from missions.sites import Site, SiteKind

    if not verdict.flight.stretches:
        out.say(f"no picture: {file} holds nothing that is flown")
        return
    told = _reasons(verdict) or [Reason("ok", "every item was checked: it may be flown")]
    drawn = as_plan(plan, verdict.flight, notes=tuple(told))
    marks: dict[LatLon, Site] = {}
    for v in verdict.violations:
        if v.at is not None and v.at not in marks:
            marks[v.at] = Site(f"{v.leg_index}", f"item {v.leg_index}: {v.code}", SiteKind.ALTERNATE, v.at, 0.0)
    picture = picture_of(
        drawn,
        rules.airspace,
        [*world.sites.values(), *marks.values()],
        start=drawn.waypoints[0].position,
        goal=drawn.waypoints[-1].position,
        names=("home", file.name),
        authorised=rules.authorised,
        terrain=rules.terrain,
        base_geojson=world.base_map.read_text(encoding="utf-8") if world.base_map else None,
        ceiling_agl_m=rules.ceiling_agl_m,
        depart_s=depart_s,
    )
    answer = "must not be flown" if verdict.violations else "may be flown"
    battery = "not judged" if verdict.end_pct is None else f"{verdict.end_pct:.0f} % of battery left at the end"
    facts = [f for f in picture.facts if f[0] in ("Route", "Time", "Rally points", "Fence")]
    facts = [("Verdict", answer), *facts, ("Energy", battery)]
    try:
        write_picture(path, replace(picture, title=file.name, subtitle=answer, facts=tuple(facts)))
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{path} cannot be written: {error.strerror}", "check the path")
    out.say(f"picture: {path}")
