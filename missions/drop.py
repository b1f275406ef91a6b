"""At the drop: whether it is still where it may release, and what shows that it did."""

from __future__ import annotations

from geofences.geodesy import distance_m
from missions.decision.types import FlightPhase
from missions.delivery import (
    AT_REST_M_S,
    Flight,
    Intent,
    ReleaseState,
    holds,
    mission_complete,
    over_pad,
    speed_m_s,
)
from missions.plan import Ending
from missions.position import doubt
from missions.snapshot import VehicleState

_UNDECIDED = (FlightPhase.AT_DROP, FlightPhase.RELEASING)


def may_release(flight: Flight, state: VehicleState, now_s: float) -> bool:
    """At the drop with nothing sent yet, nothing in the way, and still over the pad."""
    waits = flight.phase in _UNDECIDED and flight.release is ReleaseState.NONE and flight.intent is Intent.FLY
    return waits and over_pad(flight, state, now_s)


STRAYED_M = 12.0
"""twice the radius of the drop: further off than a gust pushes a vehicle that holds"""


def has_strayed(flight: Flight, state: VehicleState) -> bool:
    """It means to drop, has flown its mission to the end and rests, but not over the pad: its position had been wrong.

    Nothing was released yet, so it can fly there once more.
    """
    if flight.phase not in (FlightPhase.OUTBOUND, *_UNDECIDED) or flight.intent is not Intent.FLY:
        return False
    plan = flight.plan
    if plan is None or flight.release is not ReleaseState.NONE:
        return False
    if plan.ending is not Ending.HOLD_AT_DROP or not holds(flight, state) or not mission_complete(state):
        return False
    if state.position is None or state.velocity is None or doubt(flight.reckoning, state):
        return False
    away_m = distance_m(state.position.value.point, plan.waypoints[-1].position)
    return away_m > STRAYED_M and speed_m_s(state) <= AT_REST_M_S


THROTTLE_DROP_SHARE = 0.5
"""share of the throttle fall expected from the mass ratio that counts as the sign of a release"""
SIGN_WAIT_S = 8.0


def release_sign(
    flight: Flight, throttle_pct: float | None, empty_mass_kg: float, docked: bool | None, now_s: float
) -> ReleaseState | None:
    """What the independent signs say after a release was commanded; None while it is too early to tell.

    The mount's contact is the surest sign. Else the hover throttle: thrust is proportional to mass, and throttle
    roughly to the square root of thrust, so it falls by about half the payload's share of the mass.
    """
    if flight.release_at_s is None:
        return None
    if docked is False:
        return ReleaseState.CONFIRMED
    waited = now_s - flight.release_at_s >= SIGN_WAIT_S
    if docked is True:
        return ReleaseState.FAILED if waited else None
    if not waited:
        return None
    if flight.hover_throttle_pct and throttle_pct is not None:
        share = (flight.payload_kg + flight.box.empty_mass_kg) / (
            empty_mass_kg + flight.payload_kg + flight.box.empty_mass_kg
        )
        fall = 1.0 - throttle_pct / flight.hover_throttle_pct
        if fall >= THROTTLE_DROP_SHARE * share / 2:
            return ReleaseState.CONFIRMED
    acknowledged = flight.release is ReleaseState.ACKNOWLEDGED
    return ReleaseState.UNCONFIRMED if acknowledged else ReleaseState.UNKNOWN


def owes_way_home(flight: Flight) -> bool:
    """It is to fly home, but its plan leads elsewhere: none could be made while its position could not be believed."""
    return (
        flight.phase is FlightPhase.INBOUND
        and flight.intent is Intent.FLY
        and flight.plan is not None
        and flight.plan.goal_site != flight.goal_site
    )
