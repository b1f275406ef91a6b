"""The flight's table and the one missing command, as timelines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.geodesy import destination
from missions.decision.types import FlightPhase
from missions.delivery import (
    AIRBORNE_PHASES,
    PHASE_TRANSITIONS,
    Flight,
    FlightEvent,
    Intent,
    ReleaseState,
    Step,
    at_drop,
    may_be_in,
    may_have_ended,
    next_phase,
    next_step,
    observe,
)
from missions.drop import SIGN_WAIT_S, release_sign
from missions.orders import IllegalTransitionError
from missions.plan import Ending
from missions.snapshot import Landed, MissionState, Mode, Timed, VehicleState
from tests.missions.builders import DROP, GROUND_M, HOME, flight, plan, state


def test_every_phase_but_closed_has_a_way_out_and_closed_has_none():
    sources = {phase for phase, _ in PHASE_TRANSITIONS}
    assert sources == set(FlightPhase) - {FlightPhase.CLOSED}


@given(phase=st.sampled_from(FlightPhase), event=st.sampled_from(FlightEvent))
def test_an_event_is_either_in_the_table_or_refused(phase, event):
    if (phase, event) in PHASE_TRANSITIONS:
        assert next_phase(phase, event) is PHASE_TRANSITIONS[phase, event]
    else:
        with pytest.raises(IllegalTransitionError):
            next_phase(phase, event)


def test_before_take_off_the_plan_is_uploaded_and_started_once_it_is_proven():
    ground = state(mode=Mode.HOLD, armed=False, landed=Landed.ON_GROUND, mission_id=0)
    f = flight(FlightPhase.PREPARING, Intent.PREPARE, held=None)
    assert next_step(f, ground) is Step.UPLOAD
    proven = flight(FlightPhase.PREPARING, Intent.PREPARE)
    ready = state(mode=Mode.HOLD, armed=False, landed=Landed.ON_GROUND)
    assert next_step(proven, ready) is None
    assert next_step(replace(proven, phase=FlightPhase.LAUNCHING, intent=Intent.FLY), ready) is Step.START


def test_a_vehicle_whose_stored_ids_have_changed_is_never_started():
    rival = state(mode=Mode.HOLD, armed=False, landed=Landed.ON_GROUND, mission_id=99)
    assert next_step(flight(FlightPhase.LAUNCHING), rival) is Step.UPLOAD


def test_a_reboot_voids_the_proof():
    assert next_step(flight(FlightPhase.LAUNCHING), state(armed=False, landed=Landed.ON_GROUND, boot=1)) is Step.UPLOAD


def test_a_change_of_route_in_the_air_goes_hold_upload_proof_mission():
    f = flight(plan=plan("new"), held=None)
    assert next_step(f, state(mode=Mode.MISSION)) is Step.HOLD
    assert next_step(f, state(mode=Mode.HOLD)) is Step.UPLOAD
    held = flight(plan=plan("new"))
    assert next_step(held, state(mode=Mode.HOLD)) is Step.FLY
    assert next_step(held, state(mode=Mode.MISSION)) is None


def test_a_vehicle_that_does_what_is_meant_gets_no_command_at_all():
    for phase in AIRBORNE_PHASES - {FlightPhase.LAUNCHING}:
        assert next_step(flight(phase), state(mode=Mode.MISSION)) is None
    assert next_step(flight(intent=Intent.HOLD), state(mode=Mode.HOLD)) is None
    assert next_step(flight(intent=Intent.RETURN), state(mode=Mode.RETURN)) is None
    assert next_step(flight(intent=Intent.LAND), state(mode=Mode.LAND)) is None


def test_without_authority_nothing_is_commanded():
    for intent in Intent:
        assert next_step(flight(intent=intent, authority=False), state(mode=Mode.MANUAL)) is None


def test_a_landed_vehicle_is_not_started_again_by_an_intent_to_fly():
    f = flight(FlightPhase.INBOUND)
    assert next_step(f, state(mode=Mode.HOLD, armed=False, landed=Landed.ON_GROUND)) is None


def test_a_release_is_commanded_only_from_none():
    here = state(mode=Mode.HOLD)
    for release in ReleaseState:
        expected = Step.RELEASE if release is ReleaseState.NONE else None
        assert next_step(flight(FlightPhase.RELEASING, Intent.RELEASE, release=release), here) is expected


def over_the_drop(**changes) -> VehicleState:
    values = {"mode": Mode.HOLD, "at": DROP, "alt_amsl_m": GROUND_M + 8.0, "mission": MissionState.COMPLETE}
    return state(**{**values, **changes})


def test_arrival_needs_the_finished_mission_the_place_the_height_and_stillness():
    f = flight()
    assert at_drop(f, over_the_drop(), 0.0)
    assert observe(f, over_the_drop(), 0.0) is FlightEvent.REACHED_DROP
    assert not at_drop(f, over_the_drop(mission=MissionState.ACTIVE), 0.0)
    assert not at_drop(f, over_the_drop(at=destination(DROP, 0.0, 7.0)), 0.0)
    assert not at_drop(f, over_the_drop(alt_amsl_m=GROUND_M + 30.0), 0.0)
    assert not at_drop(f, over_the_drop(speed_m_s=2.0), 0.0)
    assert not at_drop(f, over_the_drop(mission_id=99), 0.0)


def test_a_gps_jump_onto_the_pad_is_no_arrival():
    assert observe(flight(), over_the_drop(mission=MissionState.ACTIVE), 0.0) is None


def test_old_readings_change_no_phase():
    assert observe(flight(), over_the_drop(), 4.0) is None


def test_touchdown_needs_ground_and_disarmed():
    f = flight(FlightPhase.INBOUND, plan=plan(ending=Ending.LAND, goal=HOME))
    assert observe(f, state(landed=Landed.ON_GROUND, armed=True), 0.0) is None
    assert observe(f, state(landed=Landed.ON_GROUND, armed=False), 0.0) is FlightEvent.TOUCHED_DOWN


def test_a_hold_at_the_last_item_is_judged_when_the_mission_has_had_its_say():
    flying = flight(expected=frozenset({Mode.MISSION}))
    held = state(100.0, mode=Mode.HOLD)
    assert held.mission is not None

    def said(seq: int, at_s: float) -> VehicleState:
        return replace(held, mission=Timed(replace(held.mission.value, seq=seq), at_s))

    assert may_have_ended(flying, said(2, 99.2), Mode.HOLD), "no word from the mission since it holds"
    assert not may_have_ended(flying, said(2, 100.2), Mode.HOLD), "it said since that it is not complete"
    assert not may_have_ended(flying, said(1, 99.2), Mode.HOLD), "not yet at the last item"
    assert not may_have_ended(flying, said(2, 90.0), Mode.HOLD), "the mission has been silent for too long"
    assert not may_have_ended(flying, said(2, 99.2), Mode.MANUAL), "a pilot"
    assert not may_have_ended(replace(flying, held=None), said(2, 99.2), Mode.HOLD), "another plan"


def test_modes_that_follow_from_a_command_are_no_takeover():
    flying = flight(expected=frozenset({Mode.MISSION, Mode.TAKEOFF}))
    assert may_be_in(flying, state(), Mode.MISSION)
    assert not may_be_in(flying, state(), Mode.HOLD)
    assert may_be_in(flying, state(mission=MissionState.COMPLETE), Mode.HOLD)
    assert not may_be_in(flying, state(mission=MissionState.COMPLETE), Mode.MANUAL)
    assert may_be_in(flight(), state(), Mode.MANUAL), "nothing was commanded yet"


class TestSignsOfARelease:
    """The ACK alone never confirms; the box's mount is believed first, then the hover throttle."""

    def commanded(self, **changes) -> Flight:
        values = {"release": ReleaseState.ACKNOWLEDGED, "release_at_s": 100.0, "hover_throttle_pct": 60.0}
        return flight(FlightPhase.RELEASING, Intent.RELEASE, **{**values, **changes})

    def sign(self, f: Flight, now_s: float, *, throttle: float | None = None, docked: bool | None = None):
        return release_sign(f, throttle, 9.0, docked, now_s)

    def test_the_open_mount_confirms_at_once(self):
        assert self.sign(self.commanded(), 100.5, docked=False) is ReleaseState.CONFIRMED

    def test_a_box_still_docked_after_the_wait_is_a_failure(self):
        assert self.sign(self.commanded(), 101.0, docked=True) is None
        assert self.sign(self.commanded(), 100.0 + SIGN_WAIT_S, docked=True) is ReleaseState.FAILED

    def test_a_lighter_hover_confirms_without_a_mount_contact(self):
        late = 100.0 + SIGN_WAIT_S
        assert self.sign(self.commanded(), late, throttle=54.0) is ReleaseState.CONFIRMED
        assert self.sign(self.commanded(), late, throttle=60.0) is ReleaseState.UNCONFIRMED

    def test_neither_ack_nor_sign_is_unknown(self):
        f = self.commanded(release=ReleaseState.COMMANDED)
        assert self.sign(f, 100.0 + SIGN_WAIT_S, throttle=60.0) is ReleaseState.UNKNOWN

    def test_before_a_release_there_is_nothing_to_say(self):
        assert self.sign(self.commanded(release_at_s=None), 500.0, docked=False) is None
