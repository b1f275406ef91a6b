"""A small plan in the demo's valley."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from geofences.geodesy import LatLon
from geofences.volumes import Circle, Polygon
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, RallyPoint, Waypoint

HUB = LatLon(7.5, 38.2)
SQUARE = (LatLon(7.4, 38.1), LatLon(7.4, 38.4), LatLon(7.6, 38.4), LatLon(7.6, 38.1))
PARK = (LatLon(7.51, 38.21), LatLon(7.51, 38.22), LatLon(7.52, 38.22))
FENCE = FenceSet(Polygon(SQUARE, holes=(PARK,)), (Polygon(PARK), Circle(LatLon(7.45, 38.3), 500.0)), ("prison",))
RALLY = (RallyPoint("quarry", LatLon(7.53, 38.22), 30.0), RallyPoint("ferry", LatLon(7.51, 38.18), 40.0))


def plan(ending: Ending = Ending.HOLD_AT_DROP, *, take_off: bool = True, east_deg: float = 0.04) -> Plan:
    """Up over the hub, across at 500 m AMSL, and down to the drop at 428 m or to the ground at 420 m."""
    there = LatLon(7.52, 38.2 + east_deg)
    last_m = 420.0 if ending is Ending.LAND else 428.0
    points = [Waypoint(HUB, 500.0, 0.0), Waypoint(there, 500.0, 200.0), Waypoint(there, last_m, 240.0)]
    legs = tuple(Leg(a, b, 1000.0, 20.0, ()) for a, b in pairwise(points))
    energy = EnergyBudget(100.0, 40.0, 90.0, 20.0)
    return Plan("p1", "ndeba", ending, take_off, legs, FENCE, RALLY, energy, HUB, 420.0, 80.0, 0.0, 240.0, 1)


def long_plan(items: int) -> Plan:
    """A zigzag that becomes that many mission items: the take-off and a waypoint for each leg."""
    start = plan()
    points = [Waypoint(HUB, 500.0, 0.0)]
    points += [Waypoint(LatLon(7.5 + 0.001 * n, 38.2 + 0.002 * (n % 2)), 500.0, 10.0 * n) for n in range(1, items)]
    legs = tuple(Leg(a, b, 200.0, 5.0, ()) for a, b in pairwise(points))
    return replace(start, plan_id=f"p{items}", legs=legs)
