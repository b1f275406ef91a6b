"""PX4's failsafes: what sets each off, the hold before it acts, and what it does."""

from __future__ import annotations

import pytest

from tests.fidelity.flights import modes, on_its_way
from tests.fidelity.items import circle, item
from tests.fidelity.wire import (
    ACCEPTED,
    ACTIVE,
    COMPANION,
    FAILSAFE,
    FENCE_LIST,
    GCS,
    HOLD,
    LAND,
    MISSION,
    RALLY_LIST,
    RETURN,
    Wire,
)

LOSS_S = 5
"""COM_DL_LOSS_T, its least"""
LINGER_S = 2.5
"""a heartbeat counts as present for so long before that time even begins; PX4 looks every 1.25 s"""


# --- data link


@pytest.mark.parametrize(("action", "then"), [(2, RETURN), (3, LAND)])
def test_without_a_ground_station_the_vehicle_holds_five_seconds_then_acts_as_nav_dll_act_says(
    air: Wire, action: int, then: int
) -> None:
    air.set_param("COM_DL_LOSS_T", LOSS_S)
    air.set_param("NAV_DLL_ACT", action)
    on_its_way(air)
    since, began_s = air.mark(), air.now_s
    with air.silence():
        air.until(lambda: air.mode == then, 22.0)
        (first, hold_s), (second, then_s) = modes(air, since)
        assert (first, second) == (HOLD, then)
        assert hold_s - began_s == pytest.approx(LINGER_S + LOSS_S, abs=1.8)
        assert then_s - hold_s == pytest.approx(5.0, abs=1.2)
        assert air.next("HEARTBEAT")["system_status"] == FAILSAFE
    air.run(3.0)
    assert air.mode == then, "it does not go on by itself when the ground station is back"
    air.become(MISSION)
    air.wait("HEARTBEAT", lambda m: m["system_status"] == ACTIVE, 3.0)


def test_nav_dll_act_1_holds_and_goes_on_holding_when_the_ground_station_is_back(air: Wire) -> None:
    air.set_param("COM_DL_LOSS_T", LOSS_S)
    air.set_param("NAV_DLL_ACT", 1)
    on_its_way(air)
    with air.silence():
        air.until(lambda: air.mode == HOLD, 11.0)
        air.run(7.0)
        assert air.mode == HOLD
    air.run(4.0)
    assert air.mode == HOLD
    air.become(MISSION)


def test_nav_dll_act_0_does_nothing(air: Wire) -> None:
    air.set_param("COM_DL_LOSS_T", LOSS_S)
    on_its_way(air)
    with air.silence():
        air.run(12.0)
        assert air.mode == MISSION
        assert air.next("HEARTBEAT")["system_status"] == ACTIVE


def test_a_companions_heartbeat_does_not_count_as_a_ground_station(air: Wire) -> None:
    air.set_param("COM_DL_LOSS_T", LOSS_S)
    air.set_param("NAV_DLL_ACT", 1)
    on_its_way(air)
    with air.silence():
        for _ in range(23):
            air.beat(COMPANION)
            air.run(0.5)
        assert air.mode == HOLD


def test_another_ground_station_on_the_other_link_hides_that_this_one_is_gone(air: Wire) -> None:
    air.set_param("COM_DL_LOSS_T", LOSS_S)
    air.set_param("NAV_DLL_ACT", 1)
    on_its_way(air)
    other = air.others[0]
    other.kind = GCS
    try:
        with air.silence():
            air.run(12.0)
            assert air.mode == MISSION
    finally:
        other.kind = COMPANION


def test_the_loss_of_the_ground_station_and_its_return_are_said(air: Wire) -> None:
    """STATUSTEXT does not reach a silent station: EVENT and the text after its return do."""
    air.set_param("COM_DL_LOSS_T", LOSS_S)
    since = air.mark()
    with air.silence():
        air.run(12.0)
    air.wait_text("regained", 4.0, since)


# --- fence


def over_the_fence(air: Wire, action: int) -> int:
    """Sent out while GF_ACTION only warns, else it would not go; the action is set on the way. A mark at the fence."""
    air.set_param("GF_ACTION", 1)
    air.hold_plan([circle(5003, 45.0)], FENCE_LIST)
    air.reposition(90.0, 0.0, 10.0)
    air.until(lambda: air.off_m() > 12.0, 20.0)
    air.set_param("GF_ACTION", action)
    since = air.mark()
    air.until(lambda: air.off_m() > 46.0, 30.0)
    return since


def test_gf_action_1_only_warns(air: Wire) -> None:
    since = over_the_fence(air, 1)
    air.wait_text("eofence", 3.0, since)
    air.until(lambda: air.off_m() > 85.0, 20.0)
    assert air.mode == HOLD


def test_gf_action_2_stops_at_the_fence(air: Wire) -> None:
    over_the_fence(air, 2)
    air.wait("HEARTBEAT", lambda m: m["system_status"] == FAILSAFE, 3.0)
    air.run(6.0)
    assert air.off_m() < 60.0
    assert air.mode == HOLD


@pytest.mark.parametrize(("action", "then"), [(3, RETURN), (5, LAND)])
def test_a_worse_gf_action_holds_five_seconds_at_the_fence_and_then_acts(air: Wire, action: int, then: int) -> None:
    over_the_fence(air, action)
    began_s = air.wait("HEARTBEAT", lambda m: m["system_status"] == FAILSAFE, 3.0).at_s
    assert air.mode == HOLD
    air.until(lambda: air.mode == then, 8.0)
    assert air.now_s - began_s == pytest.approx(5.0, abs=1.6)


# --- return


def home_bound(air: Wire, north_m: float) -> Wire:
    """North of home, on its way back; low, so that it does not take long."""
    air.set_param("RTL_RETURN_ALT", 12.0)
    air.reposition(north_m, 0.0, 12.0)
    air.until(lambda: air.off_m(north_m) < 2.5, 30.0)
    assert air.command(20) == ACCEPTED
    air.until(lambda: air.mode == RETURN, 2.0)
    return air


def test_a_return_goes_to_the_nearest_of_home_and_rally_points(air: Wire) -> None:
    air.hold_plan([item(5100, 40.0, z=0.0, frame=3), item(5100, -30.0, z=0.0, frame=3)], RALLY_LIST)
    home_bound(air, 30.0)
    air.until(lambda: air.off_m(40.0) < 2.0 and air.height_m < 9.0, 60.0)


def test_a_rally_point_in_frame_6_is_acknowledged_and_ignored_while_home_is_nearer(air: Wire) -> None:
    air.hold_plan([item(5100, 90.0, z=0.0, frame=6)], RALLY_LIST)
    home_bound(air, 30.0)
    air.until(lambda: air.off_m() < 2.0, 60.0)


def test_the_nearest_rally_point_in_frame_6_leads_away_from_it_and_from_home(air: Wire) -> None:
    """v1.17 says "unsupported" and then returns to a place nobody gave: measured with latitude 0, longitude 0."""
    air.hold_plan([item(5100, 40.0, z=0.0, frame=6)], RALLY_LIST)
    home_bound(air, 30.0)
    air.wait_text("unsupported MAV_FRAME", 3.0, 0)
    air.until(lambda: air.off_m() > 60.0 and air.off_m(40.0) > 40.0, 60.0)
    air.become(HOLD)


def test_a_return_lands_and_disarms_and_the_vehicle_is_back_in_hold(air: Wire) -> None:
    home_bound(air, 12.0)
    air.until(lambda: air.landed and not air.armed, 90.0)
    assert air.off_m() < 3.0
    air.until(lambda: air.mode == HOLD, 3.0)


def test_a_landing_goes_on_whatever_becomes_of_the_plan(air: Wire) -> None:
    on_its_way(air)
    air.become(LAND)
    air.clear(0)
    air.until(lambda: not air.armed, 60.0)
