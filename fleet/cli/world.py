"""What the planning commands share: the configuration's world, and the reading of places, zones, wind and times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.cli.airspace_reading import read_airspace, reasons
from fleet.cli.output import ExitCode, Output

if TYPE_CHECKING:
    from geofences.airspace import Airspace
    from geofences.heights import Terrain
    from missions.routing.route import Corridor
    from missions.sites import Site
    from missions.snapshot import Wind
    from missions.vehicles import VehicleType

_PAIR = re.compile(r"^\s*([+-]?[\d.]+)\s*,\s*([+-]?[\d.]+)\s*$")


@dataclass(frozen=True, slots=True)
class World:
    """What a configuration gives; without one, level ground and one vehicle type."""

    sites: dict[str, Site]
    vehicles: tuple[VehicleType, ...]
    """one at least; a plan is made for the first"""
    terrain: Terrain
    airspace_files: tuple[Path, ...]
    authorised: frozenset[str]
    layer_agl_m: float
    ceiling_agl_m: float
    margin_m: float
    reserve_pct: float
    corridors: tuple[Corridor, ...]
    base_map: Path | None

    @property
    def vehicle(self) -> VehicleType:
        return self.vehicles[0]


def read_world(out: Output, path: Path | None) -> World:
    """The world of a configuration file; ends the command where it cannot be used."""
    from geofences.heights import FlatTerrain
    from missions.vehicles import Airframe, VehicleType

    if path is None:
        courier = VehicleType("courier-x8", Airframe.MULTIROTOR, 20.0, 3.0, 2.0, 900.0, 700.0, 9.0, 3.0, 710.0, 12.0)
        return World({}, (courier,), FlatTerrain(0.0), (), frozenset(), 80.0, 120.0, 30.0, 20.0, (), None)
    from fleet.cli.config import refuse
    from fleet.config import ConfigError, load_config

    try:
        loaded = load_config(path)
    except ConfigError as error:
        refuse(out, error)
    numbers = loaded.planning
    base = path.parent / "airspace" / "valley-base.geojson"
    return World(
        dict(loaded.sites),
        tuple(loaded.vehicle_types.values()),
        loaded.terrain,
        tuple(loaded.airspace_files),
        loaded.policy.authorised_zones,
        numbers.layers_agl_m[0],
        numbers.ceiling_agl_m,
        numbers.margin_m,
        numbers.reserve_pct,
        numbers.corridors,
        base if base.exists() else None,
    )


def read_place(out: Output, option: str, text: str, world: World) -> Site:
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


def read_zones(out: Output, files: list[Path]) -> Airspace:
    """All zones of the files; ends the command where one holds what cannot be used."""
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


def read_wind(out: Output, text: str) -> Wind:
    """The air's motion from "N,E"."""
    from missions.snapshot import Wind

    pair = _PAIR.match(text)
    if pair is None:
        out.fail(
            ExitCode.USAGE, f"--wind {text}: not two numbers", "give metres per second north and east, such as 3,-2"
        )
    return Wind(float(pair[1]), float(pair[2]))


def read_instant(out: Output, text: str) -> float:
    """Seconds since the Unix epoch of an ISO time with its zone."""
    fix = "give a time with its zone, such as 2026-03-01T08:00:00Z"
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        out.fail(ExitCode.USAGE, f"--depart {text}: not a time", fix)
    if at.tzinfo is None:
        out.fail(ExitCode.USAGE, f"--depart {text}: the time has no zone", fix)
    return at.timestamp()
