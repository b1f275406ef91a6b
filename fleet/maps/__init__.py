"""Pictures: a plan with its zones, heights, alternates and reasons, and a flown flight with its temperatures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fleet.maps.flight import FlownFlight, TemperatureTrace, flight_picture
from fleet.maps.scene import Picture, picture_of
from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from missions.plan import Infeasible, Plan
from missions.routing.route import Corridor
from missions.sites import Site


def plan_picture(
    path: Path,
    outcome: Plan | Infeasible,
    airspace: Airspace,
    sites: Iterable[Site],
    *,
    start: LatLon,
    goal: LatLon,
    names: tuple[str, str] = ("start", "destination"),
    authorised: frozenset[str] = frozenset(),
    terrain: Terrain | None = None,
    base_geojson: str | None = None,
    ceiling_agl_m: float = 120.0,
    depart_s: float = 0.0,
    corridors: tuple[Corridor, ...] = (),
) -> None:
    """Writes a .png or .html. Raises ValueError for another suffix, OSError where the file cannot be written."""
    picture = picture_of(
        outcome,
        airspace,
        sites,
        start=start,
        goal=goal,
        names=names,
        authorised=authorised,
        terrain=terrain,
        base_geojson=base_geojson,
        ceiling_agl_m=ceiling_agl_m,
        depart_s=depart_s,
        corridors=corridors,
    )
    write_picture(path, picture)


def write_picture(path: Path, picture: Picture) -> None:
    """Writes a .png or .html. Raises ValueError for another suffix, OSError where the file cannot be written."""
    if path.suffix.lower() not in (".png", ".html", ".htm"):
        raise ValueError(f"{path.name}: a picture is a .png or .html file")
    if path.suffix.lower() == ".png":
        from fleet.maps.png import draw_plan

        draw_plan(path, picture)
    else:
        from fleet.maps.html import write_plan

        write_plan(path, picture)


__all__ = [
    "FlownFlight",
    "Picture",
    "TemperatureTrace",
    "flight_picture",
    "picture_of",
    "plan_picture",
    "write_picture",
]
