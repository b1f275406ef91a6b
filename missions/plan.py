"""A plan: what a vehicle will fly, everything that was proven about it, and against which airspace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geofences.geodesy import LatLon
from geofences.volumes import Circle, Polygon


class Ending(StrEnum):
    """What the vehicle does at the last waypoint."""

    HOLD_AT_DROP = "hold_at_drop"
    """stay at drop height above the pad until told otherwise"""
    LAND = "land"


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A point of the route; the leg to it is a geodesic flown at a height that changes linearly along it."""

    position: LatLon
    alt_amsl_m: float
    eta_s: float
    """planned time over the point, seconds since the Unix epoch"""


@dataclass(frozen=True, slots=True)
class Alternate:
    """A legal, reachable way out for a vehicle on a leg."""

    site_id: str
    distance_m: float
    energy_wh: float
    reserve_pct: float
    """battery left at touchdown there"""


@dataclass(frozen=True, slots=True)
class Return:
    """Where PX4 goes by itself from a stretch of a leg if its link dies there: straight, at its own height."""

    from_m: float
    to_m: float
    """along the leg; equal where the leg is vertical"""
    site_id: str
    legal: bool
    """open all the way, clear of the ground, with the reserve left"""
    reason: str = ""
    """why not"""


@dataclass(frozen=True, slots=True)
class Leg:
    start: Waypoint
    end: Waypoint
    length_m: float
    energy_wh: float
    alternates: tuple[Alternate, ...]
    returns: tuple[Return, ...] = ()
    """by stretch; near where two destinations are equally far both are given"""


@dataclass(frozen=True, slots=True)
class FenceSet:
    """The zones handed to the vehicle: PX4 fences are 2D, so only zones that never touch the legal route go there."""

    keep_in: Polygon | None
    keep_out: tuple[Polygon | Circle, ...]
    enforced_by_controller: tuple[str, ...]
    """ids of closed zones near the plan that the vehicle does not hold: only the controller enforces them"""
    on_vehicle: tuple[str, ...] = ()
    """for each of `keep_out`, the id of the zone that it stands for"""
    why_controller: tuple[str, ...] = ()
    """for each of `enforced_by_controller`, why the vehicle cannot"""


@dataclass(frozen=True, slots=True)
class RallyPoint:
    site_id: str
    position: LatLon
    alt_rel_home_m: float


@dataclass(frozen=True, slots=True)
class OnBoard:
    """What a vehicle in the air keeps of the plan that it took off with: they are uploaded only on the ground."""

    fence: FenceSet
    rally: tuple[RallyPoint, ...]


@dataclass(frozen=True, slots=True)
class EnergyBudget:
    """Watt hours and percent of the usable battery at the plan's start."""

    start_pct: float
    use_wh: float
    end_pct: float
    reserve_pct: float
    """what policy requires at touchdown"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One flight from where a vehicle is to a site. `take_off` False: it replaces a plan in the air."""

    plan_id: str
    goal_site: str
    ending: Ending
    take_off: bool
    legs: tuple[Leg, ...]
    fence: FenceSet
    rally: tuple[RallyPoint, ...]
    energy: EnergyBudget
    home: LatLon
    home_amsl_m: float
    cruise_agl_m: float
    depart_s: float
    arrive_s: float
    airspace_version: int
    checked_by: str = "missions.routing.checker"
    """empty: a draft, to be compared and never to be flown"""
    exits_zone: tuple[str, ...] = ()
    """ids of closed zones that hold the start: the first leg is the shortest way out of them"""
    notes: tuple[Reason, ...] = ()
    """why the route is as it is: around, over, under or through which zone"""

    @property
    def waypoints(self) -> tuple[Waypoint, ...]:
        return (self.legs[0].start, *(leg.end for leg in self.legs)) if self.legs else ()

    @property
    def on_board(self) -> OnBoard:
        return OnBoard(self.fence, self.rally)

    @property
    def length_m(self) -> float:
        return sum(leg.length_m for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something cannot be: a stable code for programs, a sentence for people, and what would change it."""

    code: str
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Infeasible:
    """No plan, as a value."""

    reasons: tuple[Reason, ...]
    zone_ids: tuple[str, ...] = ()
    """a smallest set of zones that block every way"""

    def __str__(self) -> str:
        return "; ".join(r.text for r in self.reasons)
