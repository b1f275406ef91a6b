"""What is asked of planning: one flight, with everything that it must obey."""

from __future__ import annotations

from dataclasses import dataclass

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from missions.draw import Assurance
from missions.plan import Ending, OnBoard
from missions.routing.route import Corridor
from missions.sites import Site
from missions.snapshot import Wind
from missions.vehicles import VehicleType


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """One flight from where a vehicle is to a site. Heights AGL or AMSL as named, times since the Unix epoch."""

    plan_id: str
    start: LatLon
    start_amsl_m: float
    take_off: bool
    goal: Site
    ending: Ending
    home: Site
    alternates: tuple[Site, ...]
    vehicle: VehicleType
    payload_kg: float
    """box and content"""
    battery_pct: float
    wind: Wind
    depart_s: float
    airspace: Airspace
    authorised: frozenset[str]
    terrain: Terrain
    cruise_agl_m: float
    drop_height_agl_m: float = 8.0
    ceiling_agl_m: float = 120.0
    margin_m: float = 30.0
    reserve_pct: float = 20.0
    then_home: bool = False
    on_board: OnBoard | None = None
    """of a vehicle in the air: its fence and rally points stay as they are. None: the plan brings its own"""
    layers_agl_m: tuple[float, ...] = ()
    """other heights that may be flown where that is quicker, on the way too; `cruise_agl_m` is preferred"""
    latest_depart_s: float | None = None
    """waiting on the pad until a zone opens is allowed until then; None: no waiting"""
    corridors: tuple[Corridor, ...] = ()
    """ways that are liked"""
    velocity_m_s: tuple[float, float] | None = None
    """of a vehicle in the air, north and east over ground: its route begins where it can stop"""
    assurance: Assurance | None = None
    """of a departure, that it will come to its end above the reserve; None: on the mean"""
    require_contingency: bool = False
    """no take-off where PX4's own return would not be legal from every place of the route"""
    draft: bool = False
    """for a comparison: the route, its energy and PX4's returns from it, but no ways out, no fence and no check"""
