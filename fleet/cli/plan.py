"""`fleet plan`: a route through the airspace, with its reasons and a picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output, check_picture, when
from fleet.cli.world import World, read_instant, read_place, read_wind, read_world, read_zones

if TYPE_CHECKING:
    from geofences.geodesy import LatLon
    from missions.plan import Infeasible, Plan
    from missions.planning import PlanRequest
    from missions.sites import Site
    from missions.vehicles import VehicleType


def plan(
    start: Annotated[str, typer.Option("--from", metavar="LAT,LON|SITE", help="where the flight begins")],
    to: Annotated[str, typer.Option("--to", metavar="LAT,LON|SITE", help="where it goes")],
    airspace: Annotated[
        list[Path] | None, typer.Option("--airspace", help="ED-318, ED-269 or GeoJSON; repeatable")
    ] = None,
    height: Annotated[
        list[float] | None,
        typer.Option("--height", metavar="M", help="cruise height, m above ground; repeatable, the first is preferred"),
    ] = None,
    authorise: Annotated[
        list[str] | None, typer.Option("--authorise", metavar="ZONE", help="zone id; repeatable")
    ] = None,
    wind: Annotated[str, typer.Option("--wind", metavar="N,E", help="the air's motion north and east, m/s")] = "0,0",
    depart: Annotated[str | None, typer.Option("--depart", metavar="ISO", help="departure time; default now")] = None,
    latest: Annotated[
        str | None, typer.Option("--latest", metavar="ISO", help="it may wait for a zone to open until then")
    ] = None,
    vehicle: Annotated[
        str | None, typer.Option("--vehicle", metavar="TYPE", help="of the configuration's types; default its first")
    ] = None,
    payload: Annotated[
        float | None, typer.Option("--payload", metavar="KG", min=0.0, help="default: the most it carries")
    ] = None,
    battery: Annotated[float, typer.Option("--battery", metavar="PCT", min=0.0, max=100.0)] = 100.0,
    alternate: Annotated[
        list[str] | None,
        typer.Option("--alternate", metavar="LAT,LON|SITE", help="one more place to land on; repeatable"),
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="OUT", help="write a picture: .png or .html")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.plan", help="write it for QGroundControl, over what is there"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="a fleet.yaml: sites, vehicle types")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Plan a route through the airspace: around, over, under or through zones, with the reason for each."""
    from missions.plan import Ending, Infeasible
    from missions.planning import PlanRequest, make_plan, why_not
    from missions.sites import SiteKind

    out = Output(json)
    check_picture(out, map_file)
    if file is not None and file.suffix.lower() != ".plan":
        out.fail(ExitCode.USAGE, f"--out {file}: QGroundControl opens plans by their name", "end it in .plan")
    world = read_world(out, config)
    begin, goal = read_place(out, "--from", start, world), read_place(out, "--to", to, world)
    zones = read_zones(out, [*world.airspace_files, *(airspace or [])])
    authorised = world.authorised | frozenset(authorise or [])
    unknown = sorted(z for z in authorise or [] if zones.zone(z) is None)
    if unknown:
        out.fail(
            ExitCode.USAGE, f"--authorise: no zone {', '.join(unknown)}", "see `fleet airspace check FILE` for ids"
        )
    depart_s = time.time() if depart is None else read_instant(out, depart)
    heights = tuple(height or [world.layer_agl_m])
    carrier = _vehicle(out, world, vehicle)
    ways_out = [s for s in world.sites.values() if s.kind in (SiteKind.ALTERNATE, SiteKind.REICING)]
    more = [read_place(out, "--alternate", text, world) for text in alternate or []]
    request = PlanRequest(
        plan_id="plan",
        start=begin.position,
        start_amsl_m=begin.elevation_amsl_m,
        take_off=True,
        goal=goal,
        ending=Ending.LAND,
        home=begin,
        alternates=tuple({s.site_id: s for s in (*ways_out, *more)}.values()),
        vehicle=carrier,
        payload_kg=carrier.max_payload_kg if payload is None else payload,
        battery_pct=battery,
        wind=read_wind(out, wind),
        depart_s=depart_s,
        airspace=zones,
        authorised=authorised,
        terrain=world.terrain,
        cruise_agl_m=heights[0],
        layers_agl_m=heights[1:],
        latest_depart_s=None if latest is None else read_instant(out, latest),
        ceiling_agl_m=world.ceiling_agl_m,
        margin_m=world.margin_m,
        reserve_pct=world.reserve_pct,
        corridors=world.corridors,
    )
    began = time.perf_counter()
    outcome = make_plan(request)
    took_ms = (time.perf_counter() - began) * 1000.0
    if isinstance(outcome, Infeasible):
        outcome = why_not(request, outcome)
    if map_file is not None:
        _picture(out, map_file, outcome, request, begin, goal, world, more)
    if isinstance(outcome, Infeasible):
        out.fail(ExitCode.REFUSED, f"no legal route from {begin.name} to {goal.name}", reasons=outcome.reasons)
    if file is not None:
        _write(out, file, outcome, carrier)
    out.data(_as_json(outcome, took_ms, file), _as_text(outcome, begin, goal, took_ms, depart_s))


def _vehicle(out: Output, world: World, name: str | None) -> VehicleType:
    if name is None:
        return world.vehicle
    found = next((v for v in world.vehicles if v.name == name), None)
    if found is None:
        known = ", ".join(v.name for v in world.vehicles)
        out.fail(ExitCode.USAGE, f"--vehicle {name}: no such vehicle type", f"known types: {known}")
    return found


def _write(out: Output, path: Path, made: Plan, vehicle: VehicleType) -> None:
    from fleet.cli.plan_file import write_plan

    try:
        write_plan(path, made, vehicle)
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{path} cannot be written: {error.strerror}", "check the path")
    out.say(f"plan: {path}; it tells no times: check it for its departure, `fleet plan check --depart`")


def _picture(
    out: Output,
    path: Path,
    outcome: Plan | Infeasible,
    request: PlanRequest,
    begin: Site,
    goal: Site,
    world: World,
    more: list[Site],
) -> None:
    from fleet.maps import plan_picture

    try:
        plan_picture(
            path,
            outcome,
            request.airspace,
            [*world.sites.values(), *more],
            start=begin.position,
            goal=goal.position,
            names=(begin.name, goal.name),
            authorised=request.authorised,
            terrain=request.terrain,
            base_geojson=world.base_map.read_text(encoding="utf-8") if world.base_map else None,
            ceiling_agl_m=request.ceiling_agl_m,
            depart_s=request.depart_s,
            corridors=request.corridors,
        )
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{path} cannot be written: {error.strerror}", "check the path")
    out.say(f"picture: {path}")


def _as_json(made: Plan, took_ms: float, file: Path | None) -> dict[str, Any]:
    def at(p: LatLon) -> dict[str, float]:
        return {"lat": round(p.lat_deg, 7), "lon": round(p.lon_deg, 7)}

    return {
        "length_m": round(made.length_m, 1),
        "time_s": round(made.arrive_s - made.depart_s, 1),
        "cruise_agl_m": made.cruise_agl_m,
        "depart": when(made.depart_s),
        "arrive": when(made.arrive_s),
        "waypoints": [
            {**at(w.position), "alt_amsl_m": round(w.alt_amsl_m, 1), "eta": when(w.eta_s)} for w in made.waypoints
        ],
        "energy": made.energy,
        "px4_returns": [leg.returns for leg in made.legs],
        "alternates": [[a.site_id for a in leg.alternates] for leg in made.legs],
        "fence": {
            "on_vehicle": made.fence.on_vehicle,
            "enforced_by_controller": dict(
                zip(made.fence.enforced_by_controller, made.fence.why_controller, strict=True)
            ),
        },
        "reasons": made.notes,
        "checked_by": made.checked_by,
        "planned_in_ms": round(took_ms, 2),
        "file": None if file is None else str(file),
    }


def _as_text(made: Plan, begin: Site, goal: Site, took_ms: float, asked_s: float) -> str:
    energy = made.energy
    lines = [
        f"{begin.name} → {goal.name}: {made.length_m / 1000:.2f} km in {(made.arrive_s - made.depart_s) / 60:.1f} min "
        f"at {made.cruise_agl_m:.0f} m above ground, {energy.use_wh:.0f} Wh, {energy.end_pct:.0f} % of battery left",
    ]
    for reason in made.notes:
        lines.append(f"  {reason.text}")
        if reason.fix:
            lines.append(f"      to change that: {reason.fix}")
    if not made.notes:
        lines.append("  nothing closed lies in the straight way")
    if made.depart_s - asked_s > 1.0:
        lines.append(f"  departs at {when(made.depart_s)}, {(made.depart_s - asked_s) / 60:.0f} min later")
    lines += _fence_lines(made)
    lines.append("waypoints (lat, lon, m AMSL):")
    lines += [f"  {w.position.lat_deg:.6f}, {w.position.lon_deg:.6f}, {w.alt_amsl_m:.0f}" for w in made.waypoints]
    lines.append(f"planned in {took_ms:.1f} ms and checked leg by leg by {made.checked_by}")
    return "\n".join(lines)


def _fence_lines(made: Plan) -> list[str]:
    """Who enforces what, and where PX4 goes by itself."""
    fence = made.fence
    held = ", ".join(dict.fromkeys(fence.on_vehicle))
    lines = [f"  enforced by PX4: {held}"] if held else []
    for zone_id, why in zip(fence.enforced_by_controller, fence.why_controller, strict=True):
        lines.append(f"  enforced by the controller alone: {zone_id}: {why}")
    places = dict.fromkeys(r.site_id for leg in made.legs for r in leg.returns if r.legal)
    if places:
        lines.append(f"  should the link die, PX4 returns to the nearest of {', '.join(places)}")
    return lines
