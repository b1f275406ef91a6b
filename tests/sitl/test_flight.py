"""Flights in fake time: the mission engine, return, failsafes."""

import math

import pytest

from tests.sitl.helpers import HOLD, LAND, MISSION, RETURN, Station, item, station, takeoff_and


def flying(*, items: list[dict] | None = None, **changes: object) -> Station:
    """On its way north at 30 m with a mission of 3 km."""
    gcs = station(**changes)
    gcs.start(items or takeoff_and(item(16, 3000)))
    gcs.until(lambda: gcs.away() > 200.0)
    gcs.heard.clear()
    return gcs


def test_a_mission_takes_off_visits_its_waypoints_lands_and_disarms() -> None:
    gcs = station()
    visited: list[int] = []
    gcs.start(takeoff_and(item(16, 200), item(16, 200, 150), item(21, 0, 150, z=0.0)))
    for north, east in ((200, 0), (200, 150), (0, 150)):
        gcs.until(lambda n=north, e=east: gcs.away(n, e) < 3.0)
    gcs.until(lambda: not gcs.armed())
    assert gcs.away(0, 150) < 1.0
    assert gcs.height() == 0.0
    assert gcs.mode() == HOLD
    assert gcs.mission_state() == 5
    for m in gcs.of("MISSION_ITEM_REACHED"):
        if m["seq"] not in visited:
            visited.append(m["seq"])
    assert visited == [0, 1, 2, 3]
    said = gcs.texts()
    for text in ("Armed by mission start\t", "Takeoff detected\t", "Landing detected\t", "Disarmed by landing\t"):
        assert text in said


def test_a_mission_start_that_arrives_twice_starts_it_all_the_same() -> None:
    gcs = station()
    gcs.start(takeoff_and(item(16, 300)))
    gcs.command(300)
    gcs.until(lambda: gcs.away() > 200.0, limit_s=90.0)


def test_landed_state_goes_ground_takeoff_air_landing_ground() -> None:
    gcs = station()
    gcs.start(takeoff_and(item(16, 100), item(21, 100, z=0.0)))
    gcs.until(lambda: not gcs.armed())
    gcs.run(1.5)
    states = [m["landed_state"] for m in gcs.of("EXTENDED_SYS_STATE")]
    assert [s for i, s in enumerate(states) if i == 0 or s != states[i - 1]] == [1, 3, 2, 4, 1]


def test_a_reached_item_is_told_about_ten_times_over() -> None:
    gcs = flying(items=takeoff_and(item(16, 250), item(16, 3000)))
    gcs.until(lambda: gcs.away() > 300.0)
    gcs.run(12.0)
    assert len([m for m in gcs.of("MISSION_ITEM_REACHED") if m["seq"] == 1]) == 11


def test_hold_time_at_a_waypoint_then_the_gripper_item_drops_the_box_without_stopping() -> None:
    drop = [item(16, 300, z=8.0, param1=3.0), item(211, frame=2, param1=1.0), item(16, 300, z=30.0), item(20, frame=2)]
    gcs = station()
    gcs.start(takeoff_and(item(16, 300), *drop))
    gcs.until(lambda: gcs.world.ground.boxes["box-1"].on is None)
    assert gcs.away(300) < 2.0
    assert gcs.height() < 15.0
    gcs.until(lambda: gcs.mode() == RETURN)
    gcs.until(lambda: not gcs.armed())
    assert gcs.away() < 1.0


def test_a_mission_without_an_end_holds_at_its_last_waypoint() -> None:
    gcs = station()
    gcs.start(takeoff_and(item(16, 200)))
    gcs.until(lambda: gcs.mission_state() == 5)
    gcs.run(20.0)
    assert gcs.away(200) < 1.0
    assert gcs.height() == pytest.approx(30.0, abs=1.0)
    assert "Mission finished, loitering\t" in gcs.texts()


def test_a_finished_mission_leaves_mission_mode_for_hold_and_stays_complete() -> None:
    gcs = station()
    gcs.start(takeoff_and(item(16, 200)))
    gcs.until(lambda: gcs.mission_state() == 5)
    gcs.run(1.5)
    assert gcs.mode() == HOLD
    assert gcs.of("HEARTBEAT")[-1]["custom_mode"] == HOLD
    gcs.run(5.0)
    assert gcs.of("MISSION_CURRENT")[-1]["mission_state"] == 5
    assert gcs.away(200) < 1.0, "it holds at the last waypoint, not where it entered the acceptance radius"
    gcs.set_mode(4, 4)
    gcs.until(lambda: gcs.mode() == HOLD, limit_s=10.0)
    assert gcs.mission_state() == 5


def test_a_mission_is_replaced_in_flight_from_hold() -> None:
    gcs = flying()
    gcs.set_mode(4, 3)
    gcs.run(5.0)
    ack = gcs.upload([item(16, 100, 400), item(21, 100, 400, z=0.0)])
    gcs.run(0.5)
    assert gcs.of("MISSION_CURRENT")[-1]["mission_id"] == ack["opaque_id"]
    gcs.set_mode(4, 4)
    gcs.until(lambda: not gcs.armed())
    assert gcs.away(100, 400) < 1.0


def test_a_replaced_mission_without_a_current_item_goes_on_at_the_number_of_the_old_one() -> None:
    def replaced(**first: int) -> Station:
        gcs = flying()
        gcs.set_mode(4, 3)
        gcs.run(5.0)
        gcs.upload([item(16, 100, 400, **first), item(16, 100, 800)])
        gcs.run(1.5)
        return gcs

    assert replaced(current=1).of("MISSION_CURRENT")[-1]["seq"] == 0
    gcs = replaced()
    assert gcs.of("MISSION_CURRENT")[-1]["seq"] == 1
    gcs.heard.clear()
    gcs.set_mode(4, 4)
    gcs.until(lambda: gcs.mission_state() == 5)
    assert {m["seq"] for m in gcs.of("MISSION_ITEM_REACHED")} == {1}, "the first item is never flown to"


def test_clearing_the_mission_in_flight_means_hold() -> None:
    gcs = flying()
    gcs.send(gcs.mav.mission_clear_all_encode(1, 1, 0))
    gcs.run(1.0)
    assert gcs.mode() == HOLD


def test_return_goes_straight_to_the_closest_of_home_and_rally_points() -> None:
    gcs = station()
    near, ignored = item(5100, 900, 0, z=0.0, frame=3), item(5100, 1500, 0, z=0.0, frame=6)
    gcs.upload([near, ignored], 2)
    gcs.start(takeoff_and(item(16, 3000)))
    gcs.until(lambda: gcs.away() > 1000.0)
    gcs.command(20)
    gcs.until(lambda: not gcs.armed())
    assert gcs.away(900) < 1.0, "the rally point in frame 6 is ignored, home is farther"


def test_return_climbs_to_rtl_return_alt_above_its_destination() -> None:
    gcs = flying(vehicle={"params": {"RTL_RETURN_ALT": 60.0}})
    gcs.command(20)
    gcs.until(lambda: gcs.height() > 59.0)
    assert any("60 m above destination" in said for said in gcs.texts())
    gcs.until(lambda: not gcs.armed())
    assert gcs.away() < 1.0


def test_a_lost_ground_station_returns_the_vehicle_only_if_nav_dll_act_says_so() -> None:
    gcs = flying()
    gcs.quiet = True
    gcs.run(30.0)
    assert gcs.mode() == MISSION, "PX4's default is to do nothing"

    gcs = flying(vehicle={"params": {"NAV_DLL_ACT": 2}})
    gcs.quiet = True
    gcs.run(14.0)
    assert gcs.mode() == HOLD
    gcs.run(5.5)
    assert gcs.mode() == RETURN
    gcs.run(1.0)
    assert gcs.of("HEARTBEAT")[-1]["system_status"] == 5
    gcs.quiet = False
    gcs.run(3.0)
    assert gcs.mode() == RETURN, "it does not come back to the mission by itself"
    gcs.set_mode(4, 4)
    gcs.run(2.0)
    assert gcs.mode() == MISSION


def test_only_ground_station_heartbeats_feed_the_data_link_failsafe() -> None:
    gcs = flying(vehicle={"params": {"NAV_DLL_ACT": 1}})
    gcs.quiet = True
    for _ in range(30):
        gcs.heartbeat(kind=18)
        gcs.run(0.5)
    assert gcs.mode() == HOLD


@pytest.mark.parametrize(
    ("action", "first", "then"), [(1, MISSION, MISSION), (2, HOLD, HOLD), (3, HOLD, RETURN), (5, HOLD, LAND)]
)
def test_the_fence_acts_as_gf_action_says(action: int, first: int, then: int) -> None:
    gcs = station(vehicle={"params": {"GF_ACTION": action}})
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: gcs.height() > 25.0)
    # Uploaded in flight, so that the mission was judged without it.
    gcs.upload([item(5003, 0, 0, z=0.0, param1=300.0, param4=0.0)], 1)
    gcs.world.vehicles[0].pilot.valid = True
    gcs.run(0.5)
    gcs.world.vehicles[0].pilot.valid = True
    gcs.set_mode(4, 4)
    gcs.until(lambda: gcs.away() > 302.0)
    gcs.run(0.5)
    assert gcs.mode() == first
    gcs.run(6.0)
    assert gcs.mode() == then


def test_a_critical_battery_lands_the_vehicle_if_com_low_bat_act_says_so() -> None:
    gcs = flying(vehicle={"params": {"COM_LOW_BAT_ACT": 2}, "battery_pct": 100.0})
    gcs.world.fleet.used_wh[0] = 0.94 * gcs.world.fleet.capacity_wh[0]
    gcs.run(1.0)
    assert gcs.mode() == HOLD
    gcs.run(5.0)
    assert gcs.mode() == LAND
    gcs.until(lambda: not gcs.armed())


def test_an_empty_battery_brings_it_down() -> None:
    gcs = flying()
    gcs.world.fleet.used_wh[0] = gcs.world.fleet.capacity_wh[0]
    gcs.until(lambda: gcs.height() == 0.0, limit_s=20.0)
    assert gcs.world.fleet.crashed[0]


def test_headwind_takes_longer_and_costs_more_and_a_storm_blows_it_away() -> None:
    def flight(wind: float) -> tuple[float, float]:
        gcs = flying(world={"wind_north_m_s": wind})
        used, since = float(gcs.world.fleet.used_wh[0]), gcs.world.now_s
        gcs.until(lambda: gcs.away() > 1200.0)
        return gcs.world.now_s - since, float(gcs.world.fleet.used_wh[0]) - used

    still_s, still_wh = flight(0.0)
    head_s, head_wh = flight(-10.0)
    assert head_s > 1.2 * still_s
    assert head_wh > 1.2 * still_wh
    gcs = station(world={"wind_north_m_s": 0.0})
    gcs.start(takeoff_and(item(16, 500)))
    gcs.until(lambda: gcs.height() > 25.0)
    gcs.world.weather.extra_north_m_s = -40.0
    gcs.run(30.0)
    north = (float(gcs.world.fleet.lat[0]) - 7.5) * 110_600.0
    assert north < -200.0


def test_two_runs_of_the_same_seed_are_the_same_flight() -> None:
    def flight() -> tuple[float, float, float, int]:
        gcs = flying(seed=7, world={"gust_m_s": 1.5})
        gcs.run(20.0)
        fleet = gcs.world.fleet
        return float(fleet.lat[0]), float(fleet.lon[0]), float(fleet.used_wh[0]), len(gcs.heard)

    assert flight() == flight()


def test_a_takeoff_command_climbs_to_its_amsl_height_and_holds() -> None:
    gcs = station()
    gcs.command(22, 0, 0, 0, math.nan, math.nan, math.nan, 440.0)
    gcs.command(400, 1)
    gcs.until(lambda: gcs.mode() == HOLD)
    gcs.run(5.0)
    assert gcs.height() == pytest.approx(20.0, abs=1.0)
    gcs.command(21)
    gcs.until(lambda: not gcs.armed())
