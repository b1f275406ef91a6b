"""What PX4 does by itself if its link dies: at this place, and over all that is left to fly.

PX4 v1.17 flies straight to the horizontally closest of home and rally points (RTL_TYPE 0), if the vehicle's contract
asks that of its data-link failsafe (NAV_DLL_ACT). Whether that way is open and within reach was proven for every
stretch of a plan when it was made (`missions.returns`); here it is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from geofences.geodesy import distance_m
from missions.decision.types import LastLine
from missions.plan import Leg, Plan, Return
from missions.returns import ROTORS_CARRY_M
from missions.routing.conflict import Progress, progress
from missions.sites import Site
from missions.snapshot import Position, VehicleState

ON_ROUTE_M = 60.0
"""farther off its plan than this the proof of the plan says nothing about where it is"""
_AT_M = 1.0
_NONE: Mapping[str, Site] = {}


def last_line(plan: Plan, here: Position | None = None) -> LastLine:
    """Over what is left of the plan, from where the vehicle is; without a place over all of it.

    A leg of which it is not known where PX4 would go counts as bad.
    """
    at = progress(plan, here.point, here.alt_amsl_m) if here is not None else Progress(0, 0.0, 0.0, 0.0)
    bad_s = left_s = 0.0
    for i, leg in enumerate(plan.legs[at.leg_index :]):
        from_m = at.along_m if i == 0 else 0.0
        whole_s = leg.end.eta_s - leg.start.eta_s
        share = 1.0 - min(1.0, from_m / leg.length_m) if leg.length_m > 0.0 else 1.0
        left_s += share * whole_s
        bad_s += _bad_share(leg, from_m) * whole_s
    return LastLine(bad_s, left_s)


def _bad_share(leg: Leg, from_m: float) -> float:
    """Of the leg's length: what lies from there on, with no return or with one that is no way out."""
    if leg.length_m <= 0.0:
        return float(not leg.returns or any(not r.legal for r in leg.returns))
    marks = {from_m, leg.length_m, *(m for r in leg.returns for m in (r.from_m, r.to_m) if from_m < m < leg.length_m)}
    bad_m = 0.0
    for a, b in pairwise(sorted(marks)):
        there = _returns_at(leg, (a + b) / 2.0)
        bad_m += b - a if not there or any(not r.legal for r in there) else 0.0
    return bad_m / leg.length_m


def _returns_at(leg: Leg, along_m: float) -> list[Return]:
    return [r for r in leg.returns if r.from_m - _AT_M <= along_m <= r.to_m + _AT_M]


def if_link_dies(
    plan: Plan | None,
    state: VehicleState,
    *,
    airborne: bool,
    airspace_version: int | None = None,
    sites: Mapping[str, Site] = _NONE,
) -> str:
    """One phrase for the operator: where PX4 goes from here by itself, and whether that is legal and within reach.

    `airspace_version`: of now; the proof is of the airspace that the plan was made in.
    """
    if not airborne:
        return "it stays on the ground"
    if state.link.other_gcs:
        return "it flies on as it was last told: another ground station keeps PX4's data-link failsafe from acting"
    if plan is None or state.position is None:
        return "PX4 returns straight to the nearest of home and rally points"
    here = state.position.value
    away = {r.site_id: distance_m(here.point, r.position) for r in plan.rally}
    site_id, away_m = min(away.items(), key=lambda place: place[1], default=("", float("inf")))
    home_m = distance_m(here.point, plan.home)
    if home_m <= away_m:
        name, away_m = "home", home_m
    else:
        name = sites[site_id].name if site_id in sites else f"rally point {site_id}"
    way = f"PX4 returns straight to {name}, {away_m / 1000.0:.1f} km away"
    if state.on_wing is not None and not state.on_wing.value and away_m > ROTORS_CARRY_M:
        return f"{way}, on its rotors, which are not meant to carry it that far"
    return f"{way}: {_proof(plan, here, airspace_version)}"


def _proof(plan: Plan, here: Position, airspace_version: int | None) -> str:
    """What is known of that way."""
    at = progress(plan, here.point, here.alt_amsl_m)
    there = _returns_at(plan.legs[at.leg_index], at.along_m)
    if at.cross_track_m > ON_ROUTE_M or not there:
        return "not proven to be open from here"
    bad = next((r for r in there if not r.legal), None)
    told = f"not safe ({bad.reason})" if bad is not None else "open all the way, with the reserve"
    changed = airspace_version is not None and airspace_version != plan.airspace_version
    return f"{told}, by the airspace of when it was planned" if changed else told
