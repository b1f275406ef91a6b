"""The demo valley as the tests fly it: its sites, its airspace file, one vehicle type, and a request builder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geofences.airspace import Airspace
from geofences.formats import load_airspace_text
from geofences.geodesy import LatLon, LocalFrame
from geofences.heights import Datum, FlatTerrain, Height
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone
from missions.plan import Ending, Infeasible, Plan
from missions.planning import PlanRequest
from missions.sites import Site, SiteKind
from missions.snapshot import Wind
from missions.vehicles import Airframe, VehicleType

CONFIGS = Path(__file__).parents[2] / "configs" / "airspace"
HUB = LatLon(7.5, 38.2)
FRAME = LocalFrame(HUB)
GROUND = FlatTerrain(420.0)
SUNDAY = 1772323200.0  # 1 March 2026, 00:00 UTC: no schedule of the valley is running
COURIER = VehicleType("courier-x8", Airframe.MULTIROTOR, 20.0, 3.0, 2.0, 900.0, 700.0, 9.0, 3.0, 710.0, 12.0)


def at(east_m: float, north_m: float) -> LatLon:
    return FRAME.to_latlon([(east_m, north_m)])[0]


def xy(point: LatLon) -> np.ndarray:
    return FRAME.to_xy([point])[0]


def site(site_id: str, kind: SiteKind, east_m: float, north_m: float) -> Site:
    return Site(site_id, site_id.title(), kind, at(east_m, north_m), 420.0)


SITES = {
    s.site_id: s
    for s in (
        site("teral", SiteKind.HUB, 0, 0),
        site("ndeba", SiteKind.CLINIC, 5200, 2600),
        site("koru", SiteKind.CLINIC, 6800, -2400),
        site("salme", SiteKind.CLINIC, -4200, 4600),
        site("orvane", SiteKind.CLINIC, 2500, -6200),
        site("midway", SiteKind.REICING, 3500, -1000),
        site("quarry", SiteKind.ALTERNATE, 2600, 3600),
        site("ferry", SiteKind.ALTERNATE, -2200, 1900),
    )
}
ALTERNATES = tuple(s for s in SITES.values() if s.kind in (SiteKind.ALTERNATE, SiteKind.REICING))


def zones_of(name: str) -> tuple[Zone, ...]:
    return load_airspace_text((CONFIGS / name).read_text(encoding="utf-8"), name).zones


VALLEY = Airspace(1, zones_of("valley.ed318.json"))
CLOSURE = zones_of("valley-closure.geojson")[0]


def circle(zone_id: str, east_m: float, north_m: float, radius_m: float, **more: Any) -> Zone:
    restriction = more.pop("restriction", Restriction.PROHIBITED)
    lower, upper = more.pop("lower_agl_m", None), more.pop("upper_agl_m", None)
    limits = [None if v is None else Height(v, Datum.AGL) for v in (lower, upper)]
    volume = Volume(Circle(at(east_m, north_m), radius_m), limits[0], limits[1])
    return Zone(zone_id, zone_id, restriction, (volume,), **more)


def polygon(zone_id: str, *corners: tuple[float, float], **more: Any) -> Zone:
    restriction = more.pop("restriction", Restriction.PROHIBITED)
    volume = Volume(Polygon(tuple(at(*c) for c in corners)))
    return Zone(zone_id, zone_id, restriction, (volume,), **more)


def keep_in(zone_id: str, west: float, south: float, east: float, north: float) -> Zone:
    corners = ((west, south), (east, south), (east, north), (west, north))
    return polygon(zone_id, *corners, restriction=Restriction.NO_RESTRICTION, role=Role.KEEP_IN)


def request(goal: str = "ndeba", start: str = "teral", airspace: Airspace = VALLEY, **changes: Any) -> PlanRequest:
    ending = changes.get("ending", Ending.HOLD_AT_DROP)
    made = PlanRequest(
        plan_id="plan-1",
        start=SITES[start].position,
        start_amsl_m=420.0,
        take_off=True,
        goal=SITES[goal],
        ending=ending,
        home=SITES["teral"],
        alternates=ALTERNATES,
        vehicle=COURIER,
        payload_kg=2.0,
        battery_pct=100.0,
        wind=Wind(0.0, 0.0),
        depart_s=SUNDAY,
        airspace=airspace,
        authorised=frozenset(),
        terrain=GROUND,
        cruise_agl_m=80.0,
        then_home=ending is Ending.HOLD_AT_DROP,
    )
    return replace(made, **changes)


def in_air(goal: str, east_m: float, north_m: float, airspace: Airspace = VALLEY, **changes: Any) -> PlanRequest:
    here = {"start": at(east_m, north_m), "start_amsl_m": 500.0, "take_off": False, "battery_pct": 80.0}
    return replace(request(goal, airspace=airspace), **{**here, **changes})


def planned(outcome: Plan | Infeasible) -> Plan:
    assert isinstance(outcome, Plan), str(outcome)
    return outcome


def refused(outcome: Plan | Infeasible) -> Infeasible:
    assert isinstance(outcome, Infeasible), "a plan where none should be"
    return outcome
