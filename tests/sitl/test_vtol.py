"""A standard VTOL in fake time: transitions, flight on the wing, its mission items, hold and return."""

import math
from typing import Any

import numpy as np
import pytest

from sitl import geo
from sitl.autopilot.events import event_id
from sitl.simulation import World
from sitl.spec import Performance, SimSpec
from sitl.vehicle.dynamics import STEP_S
from sitl.vehicle.power import PowerModel
from sitl.vehicle.wing import Regime
from tests.sitl.helpers import GROUND_M, HOLD, HOME, MISSION, RETURN, START_S, Station, item, spec_dict, station

TO_FW, TO_MC, MC, FW = 1, 2, 3, 4
WING: dict[str, Any] = {
    "cruise_m_s": 25.0,
    "climb_m_s": 3.0,
    "descent_m_s": 2.0,
    "hover_power_w": 2200.0,
    "cruise_power_w": 520.0,
    "empty_mass_kg": 12.0,
    "battery_wh": 900.0,
}
FIT = {"MIS_TKO_LAND_REQ": 0, "RTL_TYPE": 0}


def vtol(params: dict[str, float] | None = None, **changes: Any) -> Station:
    vehicle = {"model": "vtol", "performance": WING, "params": FIT | (params or {})}
    return station(vehicle=vehicle | changes.pop("vehicle", {}), **changes)


def takeoff(north_m: float = 250.0, z: float = 60.0) -> dict[str, Any]:
    return item(84, north_m, z=z)


def state(gcs: Station) -> int:
    return int(gcs.world.vehicles[0].pilot.navigator.vtol.state)


def on_wing(north_m: float = 5000.0, **changes: Any) -> Station:
    """On its way north on the wing, 60 m up."""
    gcs = vtol(**changes)
    gcs.start([takeoff(), item(16, north_m, z=60.0)])
    gcs.until(lambda: gcs.away() > 600.0)
    assert state(gcs) == FW
    gcs.heard.clear()
    return gcs


def changes(values: list[Any]) -> list[Any]:
    return [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]


def airspeed(gcs: Station) -> float:
    return float(gcs.world.fleet.airspeed[0])


def ground_speed(gcs: Station) -> float:
    return math.hypot(float(gcs.world.fleet.vn[0]), float(gcs.world.fleet.ve[0]))


def test_it_takes_off_flies_on_its_wing_and_lands_on_its_rotors() -> None:
    gcs = vtol()
    gcs.command(511, 245, 200_000)
    gcs.start([takeoff(), item(16, 2000, z=60.0), item(85, 2000, 1500, z=0.0)])
    gcs.until(lambda: not gcs.armed())
    assert gcs.away(2000, 1500) < 1.0
    assert gcs.height() == 0.0
    assert changes([m["vtol_state"] for m in gcs.of("EXTENDED_SYS_STATE")]) == [MC, TO_FW, FW, TO_MC, MC]
    assert {m["type"] for m in gcs.of("HEARTBEAT")} == {22}
    assert changes([m["seq"] for m in gcs.of("MISSION_ITEM_REACHED")]) == [0, 1, 2]


def test_it_turns_to_its_course_before_it_transitions() -> None:
    gcs = vtol()
    gcs.start([item(84, 0, -400, z=60.0), item(16, 0, -3000, z=60.0)])
    gcs.until(lambda: state(gcs) == TO_FW)
    assert math.degrees(gcs.world.fleet.yaw[0]) % 360.0 == pytest.approx(270.0, abs=12.0)
    assert gcs.height() == pytest.approx(60.0, abs=1.0)
    gcs.until(lambda: state(gcs) == FW)
    assert airspeed(gcs) >= 0.7 * 25.0


def test_the_wing_holds_its_airspeed_and_the_wind_makes_the_difference_over_ground() -> None:
    gcs = on_wing(world={"wind_north_m_s": -8.0, "wind_east_m_s": 6.0})
    gcs.run(20.0)
    fleet = gcs.world.fleet
    assert airspeed(gcs) == pytest.approx(25.0, abs=0.1)
    assert ground_speed(gcs) == pytest.approx(math.sqrt(25.0**2 - 6.0**2) - 8.0, abs=0.2)
    assert abs(geo.offset_m(*HOME, float(fleet.lat[0]), float(fleet.lon[0]))[1]) < 2.0, "on its line, not blown off it"
    crab = math.degrees(math.asin(6.0 / 25.0))
    assert math.degrees(fleet.yaw[0]) % 360.0 == pytest.approx(360.0 - crab, abs=1.0)
    hud = gcs.of("VFR_HUD")[-1]
    assert hud["airspeed"] == pytest.approx(25.0, abs=0.2)
    assert hud["groundspeed"] == pytest.approx(ground_speed(gcs), abs=0.2)
    wind = gcs.of("WIND_COV")[-1]
    assert (wind["wind_x"], wind["wind_y"]) == (-8.0, 6.0)


def test_against_a_wind_that_would_stop_it_the_airspeed_rises() -> None:
    gcs = on_wing(world={"wind_north_m_s": -23.0}, params={"VT_F_TR_OL_TM": 15})
    gcs.run(20.0)
    assert airspeed(gcs) == pytest.approx(28.0, abs=0.3), "5 m/s over ground, PX4's FW_GND_SPD_MIN"


def test_waypoints_are_passed_not_stopped_at_and_corners_are_flown_as_turns() -> None:
    gcs = vtol()
    gcs.start([takeoff(), item(16, 2000, z=60.0), item(16, 2000, 2000, z=60.0), item(16, 2000, 4000, z=60.0)])
    gcs.until(lambda: gcs.away(2000, 0) < 80.0)
    slowest, farthest = 99.0, 0.0
    while gcs.away(2000, 1000) > 100.0:
        gcs.run(0.2)
        slowest = min(slowest, ground_speed(gcs))
        north, _ = geo.offset_m(*HOME, float(gcs.world.fleet.lat[0]), float(gcs.world.fleet.lon[0]))
        farthest = max(farthest, north)
    assert slowest > 24.0
    assert 2020.0 < farthest < 2100.0, "the turn begins at the waypoint: it takes room beyond"
    assert abs(gcs.world.fleet.attitude(0)[0]) < math.radians(50.1)


def test_a_hold_on_the_wing_is_a_circle_and_on_the_rotors_a_stop() -> None:
    gcs = on_wing()
    here = float(gcs.world.fleet.lat[0]), float(gcs.world.fleet.lon[0])
    gcs.set_mode(4, 3)
    gcs.run(60.0)
    for _ in range(30):
        gcs.run(1.0)
        there = float(gcs.world.fleet.lat[0]), float(gcs.world.fleet.lon[0])
        assert geo.distance_m(*here, *there) == pytest.approx(80.0, abs=8.0)
    assert gcs.mode() == HOLD
    assert gcs.command(3000, 3) == [0]
    gcs.until(lambda: state(gcs) == MC)
    gcs.until(lambda: ground_speed(gcs) < 0.1)
    assert gcs.height() == pytest.approx(60.0, abs=2.0)


def test_a_hover_between_transitions_waits_and_lowers_itself_as_a_multirotor_does() -> None:
    drop = [item(3000, frame=2, param1=3.0), item(16, 1500, z=60.0), item(16, 1500, z=8.0, param1=5.0)]
    way = [item(16, 1500, z=60.0), item(3000, frame=2, param1=4.0), item(16, 500, z=60.0), item(85, 0, z=0.0)]
    gcs = vtol()
    gcs.start([takeoff(), item(16, 1390, z=60.0), *drop, *way])
    gcs.until(lambda: gcs.height() < 8.5 and gcs.away() > 1000.0)
    assert gcs.away(1500) < 3.0
    assert state(gcs) == MC
    gcs.until(lambda: state(gcs) == FW)
    assert gcs.height() > 55.0
    gcs.until(lambda: not gcs.armed())
    assert gcs.away() < 1.0


def test_a_transition_that_does_not_gain_speed_is_given_up_and_the_mission_waits_in_the_hover() -> None:
    gcs = vtol(params={"VT_F_TRANS_THR": 0.2})
    gcs.start([takeoff(), item(16, 3000, z=60.0)])
    gcs.until(lambda: "Quad-chute triggered\t" in gcs.texts())
    gcs.run(30.0)
    assert state(gcs) == MC
    assert gcs.mode() == MISSION
    assert ground_speed(gcs) < 0.5


def test_return_on_the_wing_circles_down_over_home_and_lands_on_the_rotors() -> None:
    gcs = on_wing()
    gcs.set_mode(4, 5)
    assert gcs.mode() == RETURN
    gcs.until(lambda: gcs.away() < 300.0)
    assert state(gcs) == FW
    gcs.until(lambda: state(gcs) == TO_MC)
    assert gcs.height() < 45.0, "down to RTL_DESCEND_ALT first, give or take NAV_FW_ALT_RAD"
    gcs.until(lambda: not gcs.armed())
    assert gcs.away() < 1.0


def test_return_from_the_hover_is_flown_on_the_rotors_and_no_transition_is_granted() -> None:
    gcs = on_wing(north_m=800.0)
    gcs.command(3000, 3)
    gcs.until(lambda: ground_speed(gcs) < 5.0)
    gcs.set_mode(4, 5)
    assert gcs.command(3000, 4) == [1], "temporarily rejected"
    gcs.run(60.0)
    assert state(gcs) == MC
    assert ground_speed(gcs) == pytest.approx(5.0, abs=0.5)


def test_land_on_the_wing_brakes_first_and_comes_down_where_it_stops() -> None:
    gcs = on_wing()
    away_m = gcs.away()
    gcs.set_mode(4, 6)
    gcs.until(lambda: not gcs.armed())
    assert 100.0 < gcs.away() - away_m < 200.0


def test_without_a_landing_item_a_vtol_as_delivered_refuses_the_mission() -> None:
    gcs = vtol(params={"MIS_TKO_LAND_REQ": 2})
    assert gcs.upload([takeoff(), item(16, 1000, z=60.0)])["type"] == 0
    gcs.run(1.0)
    assert gcs.mission_state() == 1
    assert event_id("navigator_mis_land_missing") in [m["id"] for m in gcs.of("EVENT")]


@pytest.mark.parametrize("vtol_item", [item(84, 100), item(85, 100), item(3000, frame=2, param1=4.0)])
def test_a_multirotor_refuses_a_vtols_items(vtol_item: dict[str, Any]) -> None:
    gcs = station()
    assert gcs.upload([item(22), item(16, 100), vtol_item])["type"] == 0
    gcs.run(1.0)
    assert gcs.mission_state() == 1


def test_a_multirotor_does_not_answer_a_transition() -> None:
    assert station().command(3000, 4) == []


def test_the_wing_costs_its_cruise_power_and_more_in_climbs_turns_and_with_a_load() -> None:
    gcs = on_wing(boxes=[], vehicle={"box": None})
    gcs.run(10.0)
    assert float(gcs.world.fleet.power_w[0]) == pytest.approx(520.0, rel=0.01)
    model = PowerModel([Performance(**WING)], np.array([True]))

    def watts(mass_kg: float = 12.0, up: float = 0.0, bank_deg: float = 0.0) -> float:
        load = np.array([1.0 / math.cos(math.radians(bank_deg))])
        return float(model.wing_w(np.array([0]), np.array([mass_kg]), np.array([25.0]), np.array([up]), load)[0])

    assert watts() == pytest.approx(520.0)
    assert watts(mass_kg=15.0) == pytest.approx(25.0 + 495.0 * (0.6 + 0.4 * 1.25**2))
    assert watts(bank_deg=45.0) == pytest.approx(25.0 + 495.0 * (0.6 + 0.4 * 2.0))
    assert watts(up=2.0) == pytest.approx(520.0 + 12.0 * 9.80665 * 2.0 / 0.6)
    assert 25.0 <= watts(up=-2.0) < 520.0


def test_from_any_heading_and_in_wind_from_anywhere_it_comes_onto_its_line() -> None:
    rng, n = np.random.default_rng(1), 100
    one = spec_dict(vehicle={"model": "vtol", "performance": WING, "box": None}, world={"wind_north_m_s": -12.0})
    several = [one["vehicles"][0] | {"vehicle_id": f"cw-{i}", "system_id": i} for i in range(1, n + 1)]
    several = [v | {"gcs": {"local_port": 0}} for v in several]
    fleet = World(SimSpec.from_dict(one | {"vehicles": several, "boxes": []}), START_S).fleet
    yaw, track = rng.uniform(-math.pi, math.pi, (2, n))
    aside_m = rng.uniform(-1000.0, 1000.0, n)
    fleet.armed[:], fleet.on_ground[:], fleet.alt[:], fleet.yaw[:] = True, False, GROUND_M + 60.0, yaw
    fleet.vn[:], fleet.ve[:] = 25.0 * np.cos(yaw) - 12.0, 25.0 * np.sin(yaw)
    fleet.wings.bank_limit[:] = math.radians(50.0)
    lines = []
    for i in range(n):
        north, east = math.cos(track[i]), math.sin(track[i])
        start = geo.shifted(*HOME, -aside_m[i] * east, aside_m[i] * north)
        far = geo.shifted(*start, 9000.0 * north, 9000.0 * east)
        fleet.wings.enter(i, Regime.WING)
        fleet.glide(i, start, far, GROUND_M + 60.0, airspeed=25.0, climb=3.0, sink=2.0)
        lines.append(start)
    for _ in range(round(180.0 / STEP_S)):
        fleet.step()
    for i, start in enumerate(lines):
        north, east = geo.offset_m(*start, float(fleet.lat[i]), float(fleet.lon[i]))
        off_m = east * math.cos(track[i]) - north * math.sin(track[i])
        assert abs(off_m) < 3.0, f"vehicle {i}, from {math.degrees(yaw[i]):.0f} to {math.degrees(track[i]):.0f} degrees"
    assert fleet.airspeed == pytest.approx(np.full(n, 25.0), abs=0.2)
    assert fleet.alt == pytest.approx(np.full(n, GROUND_M + 60.0), abs=0.5)
