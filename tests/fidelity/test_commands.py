"""Each command and the answer PX4 v1.17 gives it."""

from __future__ import annotations

import math

import pytest

from tests.fidelity.items import GROUND_M, circle
from tests.fidelity.wire import (
    ACCEPTED,
    CANCELLED,
    DENIED,
    FAILED,
    HOLD,
    IN_PROGRESS,
    LAND,
    RETURN,
    TAKEOFF,
    TEMPORARILY_REJECTED,
    UNSUPPORTED,
    Wire,
)

ARM, GRIPPER, WINCH, REQUEST_MESSAGE, SET_INTERVAL = 400, 211, 42600, 512, 511
OPEN, CLOSE = 0, 1


# --- on the ground


def test_an_answer_comes_within_fifty_milliseconds_and_is_addressed_to_who_asked(wire: Wire) -> None:
    since = wire.tell(178, 1, 5.0, -1)
    began_s = wire.now_s
    ack = wire.wait("COMMAND_ACK", lambda m: m["command"] == 178, 1.0, since)
    assert ack.at_s - began_s < 0.05
    assert (ack["target_system"], ack["target_component"]) == (245, 190)


@pytest.mark.parametrize("command", [193, 207, 181, 183, 224, 31000])
def test_what_px4_does_not_carry_out_is_unsupported(wire: Wire, command: int) -> None:
    assert wire.command(command) == UNSUPPORTED


def test_a_winch_gets_no_answer_at_all(wire: Wire) -> None:
    since = wire.tell(WINCH, 1, 0)
    wire.run(2.0)
    assert wire.results(WINCH, since) == []


def test_a_wrong_component_is_met_with_silence_and_nothing_happens(wire: Wire) -> None:
    since = wire.tell(ARM, 1, component=42)
    wire.run(2.0)
    assert wire.results(ARM, since) == []
    assert not wire.armed


def test_another_system_is_not_answered(wire: Wire) -> None:
    since = wire.tell(ARM, 1, system=wire.target + 1)
    wire.run(2.0)
    assert wire.results(ARM, since) == []
    assert not wire.armed


def test_a_command_to_all_components_is_carried_out_and_one_to_all_systems_is_not(wire: Wire) -> None:
    since = wire.tell(178, 1, 5.0, -1, component=0)
    wire.run(1.0)
    assert wire.results(178, since) == [ACCEPTED]
    since = wire.tell(178, 1, 5.0, -1, system=0)
    wire.run(1.0)
    assert wire.results(178, since) == []


def test_a_change_of_speed_is_accepted_on_the_ground(wire: Wire) -> None:
    assert wire.command(178, 1, 5.0, -1) == ACCEPTED


@pytest.mark.parametrize(("command", "mode"), [(22, TAKEOFF), (20, RETURN), (21, LAND)])
def test_take_off_return_and_land_are_accepted_disarmed_and_change_the_mode(
    wire: Wire, command: int, mode: int
) -> None:
    assert wire.command(command, 0, 0, 0, math.nan, math.nan, math.nan, GROUND_M + 10) == ACCEPTED
    wire.until(lambda: wire.mode == mode, 2.0)
    assert not wire.armed


def test_arming_is_rejected_for_now_in_a_mode_one_cannot_arm_in(wire: Wire) -> None:
    wire.become(RETURN)
    since = wire.mark()
    assert wire.command(ARM, 1) == TEMPORARILY_REJECTED
    wire.wait_text("Arming denied: Resolve system health failures first", since=since)
    assert not wire.armed


def test_arming_is_rejected_for_now_while_the_vehicle_is_not_armable(wire: Wire) -> None:
    wire.set_param("COM_ARMABLE", 0)
    wire.run(1.5)
    assert wire.command(ARM, 1) == TEMPORARILY_REJECTED


def test_arming_without_a_ground_station_is_rejected_when_its_loss_would_return_the_vehicle(wire: Wire) -> None:
    wire.set_param("COM_DL_LOSS_T", 5)
    wire.set_param("NAV_DLL_ACT", 2)
    with wire.silence():
        wire.run(11.0)
        assert wire.command(ARM, 1) == TEMPORARILY_REJECTED


def test_arming_without_a_ground_station_is_accepted_when_its_loss_does_nothing(wire: Wire) -> None:
    wire.set_param("COM_DL_LOSS_T", 5)
    with wire.silence():
        wire.run(11.0)
        assert wire.command(ARM, 1) == ACCEPTED
    assert wire.command(ARM, 0) == ACCEPTED


def test_an_armed_vehicle_that_does_not_take_off_disarms_after_com_disarm_prflt(wire: Wire) -> None:
    wire.set_param("COM_DISARM_PRFLT", 5.0)
    assert wire.command(ARM, 1) == ACCEPTED
    wire.until(lambda: wire.armed, 2.0)
    took_s = wire.until(lambda: not wire.armed, 10.0)
    assert took_s == pytest.approx(5.0, abs=1.5)


def test_arming_and_disarming_twice_is_accepted(wire: Wire) -> None:
    assert [wire.command(ARM, 1), wire.command(ARM, 1)] == [ACCEPTED, ACCEPTED]
    assert [wire.command(ARM, 0), wire.command(ARM, 0)] == [ACCEPTED, ACCEPTED]


def test_mission_start_without_a_mission_is_denied(wire: Wire) -> None:
    since = wire.mark()
    assert wire.command(300, 0, 0) == DENIED
    wire.wait_text("No valid mission", since=since)


@pytest.fixture
def closed(wire: Wire) -> Wire:
    """With its gripper closed, however the check before left it."""
    since = wire.tell(GRIPPER, 1, CLOSE)
    wire.wait("COMMAND_ACK", lambda m: m["result"] == ACCEPTED, 3.0, since)
    return wire


def test_the_gripper_is_in_progress_and_after_about_a_second_accepted(closed: Wire) -> None:
    since, began_s = closed.tell(GRIPPER, 1, OPEN), closed.now_s
    ack = closed.wait("COMMAND_ACK", lambda m: m["result"] == ACCEPTED, 3.0, since)
    assert closed.results(GRIPPER, since) == [IN_PROGRESS, ACCEPTED]
    assert ack.at_s - began_s == pytest.approx(1.0, abs=0.35)


def test_the_opposite_gripper_command_cancels_the_one_under_way(closed: Wire) -> None:
    since = closed.tell(GRIPPER, 1, OPEN)
    closed.run(0.4)
    closed.tell(GRIPPER, 1, CLOSE)
    closed.run(2.0)
    assert closed.results(GRIPPER, since) == [IN_PROGRESS, CANCELLED, IN_PROGRESS, ACCEPTED]


def test_the_same_gripper_command_again_is_rejected_for_now_while_it_is_under_way(closed: Wire) -> None:
    since = closed.tell(GRIPPER, 1, OPEN)
    closed.run(0.4)
    closed.tell(GRIPPER, 1, OPEN)
    closed.run(2.0)
    assert closed.results(GRIPPER, since) == [IN_PROGRESS, TEMPORARILY_REJECTED, ACCEPTED]


def test_a_gripper_that_is_open_already_answers_at_once_and_does_not_move(closed: Wire) -> None:
    since = closed.tell(GRIPPER, 1, OPEN)
    closed.run(2.0)
    closed.tell(GRIPPER, 1, OPEN)
    closed.run(0.3)
    assert closed.results(GRIPPER, since) == [IN_PROGRESS, ACCEPTED, ACCEPTED]


def test_a_gripper_action_that_does_not_exist_is_denied(closed: Wire) -> None:
    assert closed.command(GRIPPER, 1, 7) == DENIED


def test_an_unknown_message_is_denied_on_request_and_its_interval_fails(wire: Wire) -> None:
    assert (wire.command(REQUEST_MESSAGE, 9999), wire.command(SET_INTERVAL, 9999, 1e6)) == (DENIED, FAILED)


def test_autopilot_version_comes_on_request(wire: Wire) -> None:
    since = wire.mark()
    assert wire.command(REQUEST_MESSAGE, 148) == ACCEPTED
    version = wire.wait("AUTOPILOT_VERSION", lambda m: True, 1.0, since)
    assert version["flight_sw_version"] >> 8 == 0x011100


def test_a_reboot_is_denied_in_sitl(wire: Wire) -> None:
    assert wire.command(246, 1) == DENIED


def test_the_long_and_the_integer_command_are_answered_alike(wire: Wire) -> None:
    since = wire.mark()
    wire.send(wire.mav.command_int_encode(wire.target, 1, 0, 178, 0, 0, 1, 5.0, -1, 0, 0, 0, 0))
    wire.wait("COMMAND_ACK", lambda m: m["command"] == 178 and m["result"] == ACCEPTED, 1.0, since)


@pytest.mark.parametrize(("main", "sub", "then"), [(99, 0, ACCEPTED), (4, 99, TEMPORARILY_REJECTED), (4, 3, ACCEPTED)])
def test_a_mode_is_answered_twice_first_always_accepted_and_only_the_heartbeat_tells(
    wire: Wire, main: int, sub: int, then: int
) -> None:
    since = wire.tell(176, 1, main, sub)
    wire.run(2.0)
    assert wire.results(176, since) == [ACCEPTED, then]
    assert wire.mode == HOLD


# --- in the air


def test_a_take_off_climbs_to_an_altitude_above_sea_level_and_holds_there(air: Wire) -> None:
    air.run(2.0)
    assert air.height_m == pytest.approx(10.0, abs=1.5)
    assert air.last("GLOBAL_POSITION_INT")["alt"] / 1000.0 == pytest.approx(GROUND_M + 10.0, abs=2.5)
    assert air.mode == HOLD


def test_disarming_in_the_air_is_rejected_for_now(air: Wire) -> None:
    since = air.mark()
    assert air.command(ARM, 0) == TEMPORARILY_REJECTED
    air.wait_text("not landed", since=since)
    air.run(1.5)
    assert air.armed


def test_reposition_without_the_change_mode_flag_is_unsupported(air: Wire) -> None:
    since = air.reposition(20.0, 0.0, 10.0, flags=0)
    assert air.wait("COMMAND_ACK", lambda m: m["command"] == 192, 2.0, since)["result"] == UNSUPPORTED


def test_reposition_flies_to_the_place_at_its_altitude_above_sea_level(air: Wire) -> None:
    since = air.reposition(20.0, 0.0, 12.0)
    assert air.wait("COMMAND_ACK", lambda m: m["command"] == 192, 2.0, since)["result"] == ACCEPTED
    air.until(lambda: air.off_m(20.0) < 2.0 and abs(air.height_m - 12.0) < 1.0, 30.0)
    assert air.mode == HOLD


def test_reposition_outside_the_fence_is_accepted_said_to_be_outside_and_not_flown(air: Wire) -> None:
    air.hold_plan([circle(5003, 60.0)], 1)
    air.run(0.5)
    since = air.reposition(100.0, 0.0, 10.0)
    assert air.wait("COMMAND_ACK", lambda m: m["command"] == 192, 2.0, since)["result"] == ACCEPTED
    air.wait_text("outside", since=since)
    air.run(5.0)
    assert air.off_m() < 5.0
