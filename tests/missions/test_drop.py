"""At the drop: what a wrong position must not bring about, and how it is made good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from geofences.geodesy import destination
from missions.decision.types import FlightPhase
from missions.delivery import Flight, Intent, ReleaseState, Step, at_drop, near_goal, next_step, observe
from missions.drop import has_strayed, may_release, owes_way_home
from missions.plan import Ending
from missions.position import Fix, Reckoning
from missions.snapshot import Gps, MissionState, Mode, Timed, VehicleState
from tests.missions.builders import DROP, GROUND_M, flight, plan, state

ASTRAY = Reckoning(Fix(60.0, DROP, 0.0, 0.0), north_m=500.0, jumped_s=58.0)
NO_FIX = Timed(Gps(None, 60.0), 0.0)


def over_the_pad(**changes: Any) -> VehicleState:
    values = {"mode": Mode.HOLD, "at": DROP, "alt_amsl_m": GROUND_M + 8.0, "mission": MissionState.COMPLETE}
    return state(**{**values, **changes})


def hovering(**changes: Any) -> Flight:
    return flight(**{"phase": FlightPhase.AT_DROP, **changes})


def test_a_complete_mission_over_the_pad_is_no_arrival_while_the_position_cannot_be_believed():
    assert observe(flight(), over_the_pad(), 0.0) is not None
    assert observe(flight(reckoning=ASTRAY), over_the_pad(), 0.0) is None
    assert not at_drop(flight(), replace(over_the_pad(), gps=NO_FIX), 0.0)


def test_nothing_is_released_from_a_place_that_cannot_be_believed():
    assert may_release(hovering(), over_the_pad(), 0.0)
    assert not may_release(hovering(reckoning=ASTRAY), over_the_pad(), 0.0)
    assert not may_release(hovering(), replace(over_the_pad(), gps=NO_FIX), 0.0)


@pytest.mark.parametrize(
    "there", [{"at": destination(DROP, 0.0, 8.0)}, {"alt_amsl_m": GROUND_M + 20.0}, {"speed_m_s": 2.0}]
)
def test_nothing_is_released_once_it_is_no_longer_over_the_pad(there: dict[str, Any]):
    assert not may_release(hovering(), over_the_pad(**there), 0.0)


def test_a_release_that_was_about_to_be_sent_is_taken_up_again_and_one_that_was_sent_is_not():
    releasing = flight(FlightPhase.RELEASING)
    assert may_release(releasing, over_the_pad(), 0.0)
    assert not may_release(replace(releasing, intent=Intent.HOLD), over_the_pad(), 0.0)
    assert not may_release(replace(releasing, release=ReleaseState.COMMANDED), over_the_pad(), 0.0)


def test_a_vehicle_that_rests_far_from_its_pad_after_its_mission_has_strayed():
    away = over_the_pad(at=destination(DROP, 0.0, 40.0))
    for phase in (FlightPhase.OUTBOUND, FlightPhase.AT_DROP, FlightPhase.RELEASING):
        assert has_strayed(flight(phase), away)
        assert not has_strayed(flight(phase), over_the_pad())
        assert not has_strayed(flight(phase), replace(away, gps=NO_FIX)), "who knows where it rests?"
        assert not has_strayed(flight(phase, Intent.HOLD), away), "it was told to"
        assert not has_strayed(flight(phase, release=ReleaseState.COMMANDED), away), "it may be empty"
    assert not has_strayed(flight(), over_the_pad(at=away.position.value.point, speed_m_s=5.0)), "on its way"
    assert not has_strayed(flight(FlightPhase.INBOUND), away)


def test_a_flight_that_was_sent_home_without_a_plan_owes_one_once_it_may_fly():
    homeward = flight(FlightPhase.INBOUND, goal_site="hub")
    assert owes_way_home(homeward)
    assert not owes_way_home(replace(homeward, intent=Intent.HOLD))
    assert not owes_way_home(flight(FlightPhase.INBOUND, plan=plan(ending=Ending.LAND)))


def test_a_pad_that_may_be_another_is_not_the_goal():
    assert near_goal(flight(), over_the_pad())
    assert not near_goal(flight(reckoning=ASTRAY), over_the_pad())


def test_a_vehicle_that_holds_is_told_to_stay_once_when_its_position_jumps():
    """It holds at a place on the map: when the map moves under it, it would fly after that place."""
    holding = flight(intent=Intent.HOLD)
    assert next_step(holding, state(mode=Mode.HOLD)) is None
    jumped = replace(holding, reckoning=ASTRAY)
    assert next_step(jumped, state(mode=Mode.MISSION)) is Step.HOLD
    assert next_step(jumped, state(mode=Mode.HOLD)) is Step.STAY
    assert next_step(replace(jumped, stays_s=58.5), state(mode=Mode.HOLD)) is None
