"""`fleet plan`: a route through the airspace, with its reasons and a picture."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.airspace import read_airspace, reasons
from fleet.cli.output import ExitCode, JsonFlag, Output, when

if TYPE_CHECKING:
    from geofences.airspace import Airspace
    from geofences.geodesy import LatLon
    from geofences.heights import Terrain
    from missions.plan import Infeasible, Plan
    from missions.planning import PlanRequest
    from missions.sites import Site
    from missions.snapshot import Wind
    from missions.vehicles import VehicleType

_PAIR = re.compile(r"^\s*([+-]?[\d.]+)\s*,\s*([+-]?[\d.]+)\s*$")


@dataclass(frozen=True, slots=True)
class _World:
    """What a configuration gives; without one, level ground and one vehicle type."""

    sites: dict[str, Site]
    vehicle: VehicleType
    terrain: Terrain
    airspace_files: tuple[Path, ...]
    authorised: frozenset[str]
    layer_agl_m: float
    ceiling_agl_m: float
    margin_m: float
    reserve_pct: float
    base_map: Path | None


def plan(
    start: Annotated[str, typer.Option("--from", metavar="LAT,LON|SITE", help="where the flight begins")],
    to: Annotated[str, typer.Option("--to", metavar="LAT,LON|SITE", help="where it goes")],
    airspace: Annotated[
        list[Path] | None, typer.Option("--airspace", help="ED-318, ED-269 or GeoJSON; repeatable")
    ] = None,
    height: Annotated[float | None, typer.Option("--height", metavar="M", help="cruise height, m above ground")] = None,
    authorise: Annotated[
        list[str] | None, typer.Option("--authorise", metavar="ZONE", help="zone id; repeatable")
    ] = None,
    wind: Annotated[str, typer.Option("--wind", metavar="N,E", help="the air's motion north and east, m/s")] = "0,0",
    depart: Annotated[str | None, typer.Option("--depart", metavar="ISO", help="departure time; default now")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="OUT", help="write a picture: .png or .html")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="a fleet.yaml: sites, vehicle types")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Plan a route through the airspace: around, over, under or through zones, with the reason for each."""
    from missions.plan import Infeasible
    from missions.planning import make_plan

    out = Output(json)
    if map_file is not None and map_file.suffix.lower() not in (".png", ".html", ".htm"):
        out.fail(ExitCode.USAGE, f"--map {map_file}: unknown kind of picture", "end it in .png or .html")
    world = _world(out, config)
    begin, goal = _place(out, "--from", start, world), _place(out, "--to", to, world)
    zones = _airspace(out, [*world.airspace_files, *(airspace or [])])
    authorised = world.authorised | frozenset(authorise or [])
    unknown = sorted(z for z in authorise or [] if zones.zone(z) is None)
    if unknown:
        out.fail(
            ExitCode.USAGE, f"--authorise: no zone {', '.join(unknown)}", "see `fleet airspace check FILE` for ids"
        )
    request = _request(out, world, begin, goal, zones, authorised, height, wind, depart)
    began = time.perf_counter()
    outcome = make_plan(request)
    took_ms = (time.perf_counter() - began) * 1000.0
    if map_file is not None:
        _picture(out, map_file, outcome, request, begin, goal, world)
    if isinstance(outcome, Infeasible):
        out.fail(ExitCode.REFUSED, f"no legal route from {begin.name} to {goal.name}", reasons=outcome.reasons)
    out.data(_as_json(outcome, took_ms), _as_text(outcome, begin, goal, took_ms))


def _world(out: Output, path: Path | None) -> _World:
    from geofences.heights import FlatTerrain
    from missions.vehicles import Airframe, VehicleType

    if path is None:
        courier = VehicleType("courier-x8", Airframe.MULTIROTOR, 20.0, 3.0, 2.0, 900.0, 700.0, 9.0, 3.0, 710.0, 12.0)
        return _World({}, courier, FlatTerrain(0.0), (), frozenset(), 80.0, 120.0, 30.0, 20.0, None)
    from fleet.cli.config import refuse
    from fleet.config import ConfigError, load_config

    try:
        loaded = load_config(path)
    except ConfigError as error:
        refuse(out, error)
    numbers = loaded.planning
    base = path.parent / "airspace" / "valley-base.geojson"
    return _World(
        dict(loaded.sites),
        next(iter(loaded.vehicle_types.values())),
        loaded.terrain,
        tuple(loaded.airspace_files),
        loaded.policy.authorised_zones,
        numbers.layers_agl_m[0],
        numbers.ceiling_agl_m,
        numbers.margin_m,
        numbers.reserve_pct,
        base if base.exists() else None,
    )


def _place(out: Output, option: str, text: str, world: _World) -> Site:
    """A site of the configuration, or one made of a pair of degrees."""
    from geofences.geodesy import LatLon
    from missions.sites import Site, SiteKind

    if text in world.sites:
        return world.sites[text]
    pair = _PAIR.match(text)
    if pair is None:
        known = ", ".join(world.sites) or "none: give --config for sites"
        out.fail(ExitCode.USAGE, f"{option} {text}: neither LAT,LON nor a known site", f"known sites: {known}")
    try:
        position = LatLon(float(pair[1]), float(pair[2]))
    except ValueError as error:
        out.fail(ExitCode.USAGE, f"{option} {text}: {error}", "give latitude, then longitude, in degrees")
    ground = world.terrain.ground_amsl_m(position)
    return Site(text, text.replace(" ", ""), SiteKind.ALTERNATE, position, ground if ground is not None else 0.0)


def _airspace(out: Output, files: list[Path]) -> Airspace:
    from geofences.airspace import Airspace

    zones: dict[str, Any] = {}
    for file in files:
        parsed = read_airspace(out, file)
        if not parsed.ok:
            # A zone that was not understood is not a zone that may be ignored.
            out.fail(ExitCode.REFUSED, f"{file} holds features that cannot be used", reasons=reasons(parsed))
        for note in parsed.notes:
            out.say(f"note: {note}")
        for zone in parsed.zones:
            if zone.zone_id in zones:
                fix = "leave one of the files out, or rename the zone"
                out.fail(ExitCode.REFUSED, f"{file}: zone {zone.zone_id} is in {zones[zone.zone_id].source} too", fix)
            zones[zone.zone_id] = zone
    return Airspace(1, tuple(zones.values()))


def _request(
    out: Output,
    world: _World,
    begin: Site,
    goal: Site,
    airspace: Airspace,
    authorised: frozenset[str],
    height: float | None,
    wind: str,
    depart: str | None,
) -> PlanRequest:
    from missions.plan import Ending
    from missions.planning import PlanRequest
    from missions.sites import SiteKind

    ways_out = (SiteKind.ALTERNATE, SiteKind.REICING)
    return PlanRequest(
        plan_id="plan",
        start=begin.position,
        start_amsl_m=begin.elevation_amsl_m,
        take_off=True,
        goal=goal,
        ending=Ending.LAND,
        home=begin,
        alternates=tuple(s for s in world.sites.values() if s.kind in ways_out),
        vehicle=world.vehicle,
        payload_kg=world.vehicle.max_payload_kg,
        battery_pct=100.0,
        wind=_wind(out, wind),
        depart_s=time.time() if depart is None else _instant(out, depart),
        airspace=airspace,
        authorised=authorised,
        terrain=world.terrain,
        cruise_agl_m=world.layer_agl_m if height is None else height,
        ceiling_agl_m=world.ceiling_agl_m,
        margin_m=world.margin_m,
        reserve_pct=world.reserve_pct,
    )


def _wind(out: Output, text: str) -> Wind:
    from missions.snapshot import Wind

    pair = _PAIR.match(text)
    if pair is None:
        out.fail(
            ExitCode.USAGE, f"--wind {text}: not two numbers", "give metres per second north and east, such as 3,-2"
        )
    return Wind(float(pair[1]), float(pair[2]))


def _instant(out: Output, text: str) -> float:
    fix = "give a time with its zone, such as 2026-03-01T08:00:00Z"
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        out.fail(ExitCode.USAGE, f"--depart {text}: not a time", fix)
    if at.tzinfo is None:
        out.fail(ExitCode.USAGE, f"--depart {text}: the time has no zone", fix)
    return at.timestamp()


def _picture(
    out: Output, path: Path, outcome: Plan | Infeasible, request: PlanRequest, begin: Site, goal: Site, world: _World
) -> None:
    from fleet.maps import plan_picture

    try:
        plan_picture(
            path,
            outcome,
            request.airspace,
            world.sites.values(),
            start=begin.position,
            goal=goal.position,
            names=(begin.name, goal.name),
            authorised=request.authorised,
            terrain=request.terrain,
            base_geojson=world.base_map.read_text(encoding="utf-8") if world.base_map else None,
            ceiling_agl_m=request.ceiling_agl_m,
            depart_s=request.depart_s,
        )
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{path} cannot be written: {error.strerror}", "check the path")
    out.say(f"picture: {path}")


def _as_json(made: Plan, took_ms: float) -> dict[str, Any]:
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
        "alternates": [[a.site_id for a in leg.alternates] for leg in made.legs],
        "fence": {
            "keep_outs_on_vehicle": len(made.fence.keep_out),
            "enforced_by_controller": made.fence.enforced_by_controller,
        },
        "reasons": made.notes,
        "checked_by": made.checked_by,
        "planned_in_ms": round(took_ms, 2),
    }


def _as_text(made: Plan, begin: Site, goal: Site, took_ms: float) -> str:
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
    lines.append("waypoints (lat, lon, m AMSL):")
    lines += [f"  {w.position.lat_deg:.6f}, {w.position.lon_deg:.6f}, {w.alt_amsl_m:.0f}" for w in made.waypoints]
    lines.append(f"planned in {took_ms:.1f} ms and checked leg by leg by {made.checked_by}")
    return "\n".join(lines)
