"""Modes by their numbers, and how a mission goes on, stops and ends."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.fidelity.items import item
from tests.fidelity.wire import ACCEPTED, HOLD, LAND, MISSION, RETURN, TAKEOFF, TEMPORARILY_REJECTED, UNSUPPORTED, Wire

AUTO_BASE = 29
MANUAL, ALTITUDE, POSITION, ACRO, OFFBOARD, STABILIZED = (n << 16 for n in (1, 2, 3, 5, 6, 7))


# --- on the ground


@pytest.mark.parametrize(
    ("mode", "base_mode"),
    [
        (HOLD, AUTO_BASE),
        (TAKEOFF, AUTO_BASE),
        (MISSION, AUTO_BASE),
        (RETURN, AUTO_BASE),
        (LAND, AUTO_BASE),
        (MANUAL, 81),
        (ALTITUDE, 81),
        (POSITION, 81),
        (ACRO, 65),
        (STABILIZED, 81),
        (OFFBOARD, 1),
    ],
)
def test_the_heartbeat_tells_a_mode_by_its_number_and_flags(wire: Wire, mode: int, base_mode: int) -> None:
    if mode == MISSION:
        wire.hold_plan([item(22), item(16, 20.0)])
    wire.become(mode)
    beat = wire.next("HEARTBEAT")
    assert (beat["custom_mode"], beat["base_mode"]) == (mode, base_mode)


def test_auto_with_sub_mode_zero_means_the_mission(wire: Wire) -> None:
    wire.hold_plan([item(22), item(16, 20.0)])
    assert wire.set_mode(4, 0) == ACCEPTED
    wire.until(lambda: wire.mode == MISSION, 3.0)


def test_current_mode_agrees_with_the_heartbeat(wire: Wire) -> None:
    wire.become(RETURN)
    assert wire.wait("CURRENT_MODE", lambda m: m["custom_mode"] == RETURN, 5.0)["intended_custom_mode"] == RETURN


def test_identity_a_px4_quadrotor_of_version_1_17(wire: Wire) -> None:
    beat = wire.next("HEARTBEAT")
    assert (beat["type"], beat["autopilot"], beat["mavlink_version"]) == (2, 12, 3)
    assert beat.system == wire.target


def test_standing_by_ready_and_armed_active(wire: Wire) -> None:
    wire.next("HEARTBEAT")
    assert wire.next("HEARTBEAT")["system_status"] == 3
    assert wire.command(400, 1) == ACCEPTED
    beat = wire.wait("HEARTBEAT", lambda m: m["base_mode"] & 128, 2.0)
    assert (beat["system_status"], beat["base_mode"]) == (4, AUTO_BASE | 128)
    assert wire.command(400, 0) == ACCEPTED
    wire.wait("HEARTBEAT", lambda m: m["system_status"] == 3, 3.0)


def test_a_vehicle_that_must_not_arm_shows_it_in_its_health_and_state(wire: Wire) -> None:
    wire.set_param("COM_ARMABLE", 0)
    wire.until(lambda: not wire.ready, 4.0)
    wire.wait("HEARTBEAT", lambda m: m["system_status"] == 0, 3.0)


def test_landed_state_and_home_are_told_on_the_ground(wire: Wire) -> None:
    assert wire.next("EXTENDED_SYS_STATE")["landed_state"] == 1
    home = wire.next("HOME_POSITION", 6.0)
    assert home["altitude"] / 1000.0 == pytest.approx(420.0, abs=3.0)


# --- a mission from the ground


def test_mission_start_arms_takes_off_flies_every_item_reports_each_and_ends_in_hold(wire: Wire) -> None:
    wire.hold_plan([item(22), item(16, 12.0), item(16, 12.0, 12.0)])
    wire.run(4.0)
    since = wire.mark()
    assert wire.command(300, 0, 0) == ACCEPTED
    wire.until(lambda: wire.armed and wire.mode == MISSION, 3.0)
    assert wire.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 3, 3.0)["mission_mode"] == 1
    wire.wait("EXTENDED_SYS_STATE", lambda m: m["landed_state"] == 3, 15.0)
    wire.wait("EXTENDED_SYS_STATE", lambda m: m["landed_state"] == 2, 30.0)
    wire.until(lambda: wire.mode == HOLD, 60.0)
    wire.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 5, 3.0)
    wire.wait_text("Mission finished", 3.0, since)
    reached = [m["seq"] for m in wire.of("MISSION_ITEM_REACHED", since)]
    assert sorted(set(reached)) == [0, 1, 2]
    assert [a for a, b in pairwise([*reached, -1]) if a != b] == [0, 1, 2], "in order"
    assert wire.off_m(12.0, 12.0) < 3.0


# --- a mission in the air


def flying(air: Wire, *more: dict) -> Wire:
    """On its way north, far enough for what is to come."""
    air.hold_plan([item(16, 150.0, current=1), *more])
    air.become(MISSION)
    air.until(lambda: air.off_m() > 5.0, 20.0)
    return air


def test_a_mission_is_paused_once_an_item_was_reached_before_it_counts_as_not_started(air: Wire) -> None:
    air.hold_plan([item(16, 30.0, current=1), item(16, 150.0)])
    air.become(MISSION)
    air.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 3, 3.0)
    air.become(HOLD)
    air.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 2, 3.0)
    air.become(MISSION)
    air.wait("MISSION_ITEM_REACHED", lambda m: m["seq"] == 0, 20.0)
    air.become(HOLD)
    air.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 4, 3.0)
    air.become(MISSION)
    air.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 3, 3.0)


def test_a_landing_by_command_shows_as_mission_mode(air: Wire) -> None:
    air.hold_plan([item(16, 30.0, current=1)])
    air.become(LAND)
    now = air.wait("MISSION_CURRENT", lambda m: m["mission_mode"] == 1, 3.0)
    assert now["mission_state"] == 3


def test_the_first_item_is_flown_to_from_where_the_vehicle_is(air: Wire) -> None:
    air.hold_plan([item(16, 20.0, 10.0, current=1)])
    air.become(MISSION)
    air.until(lambda: air.off_m(20.0, 10.0) < 3.0, 30.0)


def test_a_reached_item_is_told_once_a_second_about_ten_times_over(air: Wire) -> None:
    air.hold_plan([item(16, 8.0, current=1), item(16, 150.0)])
    air.become(MISSION)
    since = air.mark()
    air.wait("MISSION_ITEM_REACHED", lambda m: m["seq"] == 0, 20.0, since)
    air.run(13.0)
    times = [m.at_s for m in air.of("MISSION_ITEM_REACHED", since) if m["seq"] == 0]
    assert 9 <= len(times) <= 12
    assert (times[-1] - times[0]) / (len(times) - 1) == pytest.approx(1.0, abs=0.15)


def test_set_current_turns_to_that_item(air: Wire) -> None:
    flying(air, item(16, 10.0, 20.0))
    air.send(air.mav.mission_set_current_encode(air.target, 1, 1))
    assert air.wait("MISSION_CURRENT", lambda m: m["seq"] == 1, 2.0)
    air.until(lambda: air.off_m(10.0, 20.0) < 4.0, 30.0)


def test_set_current_of_an_item_that_does_not_exist_is_refused_by_a_text(air: Wire) -> None:
    flying(air)
    since = air.mark()
    air.send(air.mav.mission_set_current_encode(air.target, 1, 9))
    air.wait_text("ot in list", 2.0, since)


def test_set_current_by_command_is_unsupported(air: Wire) -> None:
    assert air.command(224, 0) == UNSUPPORTED


def test_clearing_the_mission_in_flight_means_hold(air: Wire) -> None:
    flying(air)
    air.clear(0)
    air.until(lambda: air.mode == HOLD, 3.0)


def test_a_mission_is_replaced_from_hold_and_its_first_item_is_flown_to(air: Wire) -> None:
    flying(air)
    air.become(HOLD)
    air.hold_plan([item(16, 0.0, 20.0, current=1)])
    air.become(MISSION)
    air.until(lambda: air.off_m(0.0, 20.0) < 3.0, 40.0)


def test_a_new_list_without_a_current_item_keeps_the_number_the_old_one_had_reached(air: Wire) -> None:
    air.hold_plan([item(16, 6.0, current=1), item(16, 150.0)])
    air.become(MISSION)
    air.wait("MISSION_CURRENT", lambda m: m["seq"] == 1, 20.0)
    air.become(HOLD)
    assert air.hold_plan([item(16, 7.0), item(16, 140.0)])["seq"] == 1
    assert air.hold_plan([item(16, 8.0, current=1), item(16, 140.0)])["seq"] == 0


def test_a_gripper_item_does_not_stop_the_vehicle(air: Wire) -> None:
    air.hold_plan([item(16, 10.0, current=1), item(211, frame=2, param1=1.0), item(16, 60.0)])
    air.become(MISSION)
    air.wait("MISSION_ITEM_REACHED", lambda m: m["seq"] == 0, 20.0)
    took_s = air.until(lambda: air.off_m() > 20.0, 20.0)
    assert took_s < 8.0


def test_a_return_is_flown_after_which_the_mission_can_be_resumed(air: Wire) -> None:
    flying(air)
    assert air.command(20) == ACCEPTED
    air.until(lambda: air.mode == RETURN, 2.0)
    air.become(MISSION)
    assert air.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 3, 3.0)["seq"] == 0


@pytest.mark.parametrize("mode", [POSITION, OFFBOARD])
def test_a_mode_that_lacks_its_input_is_not_entered_in_the_air(air: Wire, mode: int) -> None:
    since = air.tell(176, 1, mode >> 16, 0)
    air.run(2.0)
    assert air.mode == HOLD
    assert air.results(176, since) == [ACCEPTED, TEMPORARILY_REJECTED]
