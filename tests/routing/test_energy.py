"""Energy: the physics that can be said without a wind tunnel."""

from math import cos, hypot, radians, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from missions.energy import (
    STILL,
    TRANSITION_S,
    climb_cost,
    cruise_power_w,
    ground_speed_m_s,
    hover_power_w,
    leg_energy,
    slowest_ground_speed_m_s,
)
from missions.planning import make_plan
from missions.routing.pace import Pace
from missions.snapshot import Wind
from missions.vehicles import Airframe, VehicleType
from tests.routing.valley import COURIER, planned, request, xy

WING = VehicleType("wing", Airframe.VTOL, 25.0, 3.0, 2.0, 2200.0, 520.0, 12.0, 3.0, 900.0, 12.0, 150.0)


def leg(length=1000.0, payload=0.0, track=0.0, climb=0.0, wind=STILL):
    return leg_energy(COURIER, payload, length_m=length, track_deg=track, climb_m=climb, wind=wind)


def test_an_empty_vehicle_in_still_air_has_its_types_numbers():
    assert leg().time_s == pytest.approx(50.0)
    assert leg().energy_wh == pytest.approx(700.0 * 50.0 / 3600.0)
    assert hover_power_w(COURIER, 0.0) == 900.0


def test_power_grows_with_mass_to_the_one_and_a_half():
    assert leg(payload=3.0).energy_wh / leg().energy_wh == pytest.approx((12.0 / 9.0) ** 1.5)


def test_a_climb_lifts_the_weight_through_the_drive_trains_losses():
    up, down = climb_cost(COURIER, 0.0, 80.0), climb_cost(COURIER, 0.0, -80.0)
    lift_wh = 9.0 * 9.80665 * 80.0 / 0.6 / 3600.0
    assert up.energy_wh == pytest.approx(900.0 * (80.0 / 3.0) / 3600.0 + lift_wh)
    assert down.time_s == pytest.approx(40.0)
    assert climb_cost(COURIER, 0.0, 0.0).energy_wh == 0.0


@given(st.floats(0, 360), st.floats(-11, 11), st.floats(-11, 11))
def test_the_wind_triangle_closes(track, north, east):
    speed = ground_speed_m_s(20.0, track, Wind(north, east))
    assert speed is not None
    through_air = (speed * cos(radians(track)) - north, speed * sin(radians(track)) - east)
    assert hypot(*through_air) == pytest.approx(20.0)
    assert speed >= slowest_ground_speed_m_s(COURIER, Wind(north, east)) - 1e-9


@given(st.floats(1, 20_000), st.floats(0, 359), st.floats(0, COURIER.max_wind_m_s), st.floats(0, 359))
def test_the_time_of_a_leg_is_that_by_which_its_route_was_chosen(length, track, blows_m_s, towards):
    to, air = radians(track), radians(towards)
    wind = Wind(blows_m_s * cos(air), blows_m_s * sin(air))
    pace = Pace(COURIER.cruise_m_s, wind.east_m_s, wind.north_m_s)
    chosen_by = pace.seconds(np.array([length * sin(to)]), np.array([length * cos(to)]))
    assert leg(length, track=track, wind=wind).time_s == pytest.approx(float(chosen_by[0]), rel=1e-9)


def test_a_plan_in_wind_is_timed_by_the_wind_triangle_along_its_whole_way():
    wind = Wind(-7.0, 8.0)
    plan = planned(make_plan(request("ndeba", wind=wind)))
    pace = Pace(COURIER.cruise_m_s, wind.east_m_s, wind.north_m_s)
    level = [leg for leg in plan.legs if leg.length_m > 0.0]
    way = np.array([xy(leg.end.position) - xy(leg.start.position) for leg in level])
    assert len(way) > 1
    assert [leg.end.eta_s - leg.start.eta_s for leg in level] == pytest.approx(pace.seconds(*way.T).tolist(), rel=1e-4)


def test_a_wind_as_fast_as_the_vehicle_leaves_no_track_to_hold():
    assert leg(track=90.0, wind=Wind(20.0, 0.0)) is None
    assert leg(track=0.0, wind=Wind(-20.0, 0.0)) is None
    assert slowest_ground_speed_m_s(COURIER, Wind(0.0, 25.0)) is None


@given(st.floats(1, 20_000), st.floats(0, 3), st.floats(-100, 100))
def test_a_leg_never_costs_less_than_its_parts_in_time_or_than_nothing(length, payload, climb):
    cost = leg(length, payload, 45.0, climb)
    assert cost.energy_wh >= 0.0
    assert cost.time_s >= length / 20.0 - 1e-9
    assert cost.time_s >= climb_cost(COURIER, payload, climb).time_s - 1e-9


def test_a_load_costs_a_wing_less_than_it_costs_rotors():
    assert cruise_power_w(WING, 0.0) == 520.0
    assert cruise_power_w(WING, 3.0) == pytest.approx(520.0 * (0.5 + 0.5 * 1.25**2))
    assert hover_power_w(WING, 3.0) == pytest.approx(2200.0 * 1.25**1.5)
    assert cruise_power_w(WING, 3.0) / 520.0 < hover_power_w(WING, 3.0) / 2200.0


def test_a_vtol_pays_a_transition_for_every_way_up_or_down_and_none_along_a_leg_that_climbs():
    level = climb_cost(WING, 1.0, 0.0)
    assert level.time_s == TRANSITION_S
    assert level.energy_wh == pytest.approx(hover_power_w(WING, 1.0) * TRANSITION_S / 3600.0)
    along = leg_energy(WING, 0.0, length_m=5000.0, track_deg=0.0, climb_m=20.0, wind=STILL)
    assert along.time_s == pytest.approx(200.0)
    assert along.energy_wh == pytest.approx((520.0 * 200.0 + 12.0 * 9.80665 * 20.0 / 0.6) / 3600.0)
