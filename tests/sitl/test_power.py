"""Power against hand-calculated figures, and the wind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitl.spec import Performance
from sitl.vehicle.power import PowerModel
from tests.sitl.helpers import item, station, takeoff_and

COURIER = Performance(cruise_m_s=20.0, hover_power_w=900.0, cruise_power_w=700.0, empty_mass_kg=9.0)


def watts(mass_kg: float, airspeed: float, up: float = 0.0, vehicle: Performance = COURIER) -> float:
    return float(
        PowerModel([vehicle], np.array([False])).flying_w(np.array([mass_kg]), np.array([airspeed]), np.array([up]))[0]
    )


def test_the_two_measured_points_come_back() -> None:
    assert watts(9.0, 0.0) == pytest.approx(900.0)
    assert watts(9.0, 20.0) == pytest.approx(700.0)


def test_hover_power_grows_with_mass_to_the_power_of_one_and_a_half() -> None:
    # Avionics (25 W) do not grow: 25 + 875 · (12/9)^1.5 = 25 + 875 · 1.5396
    assert watts(12.0, 0.0) == pytest.approx(1372.2, abs=0.1)


def test_a_climb_lifts_the_weight_at_three_quarters_efficiency() -> None:
    # 9 kg · 9.80665 m/s² · 3 m/s / 0.75
    assert watts(9.0, 0.0, up=3.0) - watts(9.0, 0.0) == pytest.approx(353.0, abs=0.1)


@settings(max_examples=60)
@given(st.floats(9.0, 12.0), st.floats(0.0, 25.0), st.floats(-2.0, 3.0))
def test_power_is_positive_and_more_mass_needs_more(mass: float, speed: float, up: float) -> None:
    assert watts(mass, speed, up) > 0.0
    assert watts(mass + 0.5, speed) > watts(mass, speed)


def test_power_has_its_least_between_hover_and_full_speed() -> None:
    curve = [watts(9.0, float(v)) for v in range(26)]
    least = curve.index(min(curve))
    assert 5 < least < 20
    assert curve[25] > curve[20]


def test_two_minutes_of_hover_cost_the_hover_power() -> None:
    gcs = station(vehicle={"box": None})
    gcs.start(takeoff_and(z=30.0))
    gcs.until(lambda: gcs.height() > 29.0)
    gcs.run(5.0)
    before = float(gcs.world.fleet.used_wh[0])
    gcs.run(120.0)
    assert float(gcs.world.fleet.used_wh[0]) - before == pytest.approx(900.0 / 30.0, rel=0.01)


def test_the_box_costs_energy_on_the_same_flight() -> None:
    def used(box: str | None) -> float:
        gcs = station(vehicle={"box": box})
        gcs.start(takeoff_and(item(16, 500), item(21, 0, 0, z=0.0)))
        gcs.until(lambda: not gcs.armed())
        return float(gcs.world.fleet.used_wh[0])

    assert used("box-1") > 1.15 * used(None)


def test_one_model_knows_each_mass_that_it_is_given_in_turn() -> None:
    model, still, level = PowerModel([Performance()], np.array([False])), np.array([0.0]), np.array([0.0])
    light, laden = np.array([6.0]), np.array([9.0])
    drawn = [float(model.flying_w(mass, still, level)[0]) for mass in (light, laden, light, laden)]
    assert drawn[:2] == drawn[2:]
    assert drawn[1] > drawn[0] * 1.5
