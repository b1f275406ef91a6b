"""What a vehicle really draws, told by whole percents, and what that leaves at an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.records.codec import from_json, to_json
from missions.draw import LEAST, MOST, PRIOR_SD, RISE_S, Draw, drawn, end_pct, left_pct, per_planned
from missions.energy import cruise_power_w
from missions.snapshot import Battery, Timed, VehicleState, Velocity, Wind
from tests.routing.valley import COURIER

LOAD_KG = 1.8
PLANNED_PCT_S = 100.0 * cruise_power_w(COURIER, LOAD_KG) / 3600.0 / COURIER.battery_wh


def told(pct: float, at_s: float, *, north_m_s: float = 20.0, wind_m_s: float = 0.0) -> VehicleState:
    """In cruise northwards."""
    return VehicleState(
        "cw-1",
        battery=Timed(Battery(pct), at_s),
        velocity=Timed(Velocity(north_m_s, 0.0, 0.0), at_s),
        wind=Timed(Wind(wind_m_s, 0.0), at_s),
    )


def flown(
    until_s: int,
    ratio: Callable[[float], float] = lambda t: 1.0,
    *,
    start: Draw | None = None,
    start_s: int = 0,
    charge_pct: float = 90.3,
    lies: Sequence[tuple[int, float]] = (),
    lost: Sequence[tuple[int, float]] = (),
) -> tuple[Draw, float]:
    """Belief and true charge after a cruise told once a second; `lies` are readings, `lost` is charge gone at once."""
    draw, said, gone = start, dict(lies), dict(lost)
    for t in range(start_s, until_s):
        charge_pct -= ratio(t) * PLANNED_PCT_S + gone.get(t, 0.0)
        draw = drawn(draw, COURIER, LOAD_KG, told(said.get(t, ceil(charge_pct)), float(t)), airborne=True)
    assert draw is not None
    return draw, charge_pct


def test_before_anything_was_drawn_the_types_own_figures_count() -> None:
    first = drawn(None, COURIER, LOAD_KG, told(90.0, 0.0), airborne=True)
    assert first is not None
    assert (first.ratio, first.sd) == (1.0, pytest.approx(PRIOR_SD))
    assert end_pct(None, 90.0, 40.0, 0.0).mean == end_pct(first, 90.0, 40.0, 0.0).mean == pytest.approx(50.0)


def test_a_vehicle_that_draws_as_planned_becomes_certain_of_it() -> None:
    draw, _ = flown(400)
    assert draw.ratio == pytest.approx(1.0, abs=0.03)
    assert draw.sd < 0.06


@settings(max_examples=40, deadline=None)
@given(ratio=st.floats(0.7, 2.5), charge=st.floats(85.0, 95.0))
def test_whatever_it_draws_is_found_within_five_minutes(ratio: float, charge: float) -> None:
    draw, _ = flown(300, lambda t: ratio, charge_pct=charge)
    assert draw.ratio == pytest.approx(ratio, rel=0.08)


@pytest.mark.parametrize("factor", [1.6, 2.0, 3.0])
def test_a_draw_that_grows_shows_within_a_minute(factor: float) -> None:
    before, charge = flown(300)
    after, _ = flown(360, lambda t: factor, start=before, start_s=300, charge_pct=charge)
    assert before.ratio < 1.05
    assert after.ratio > 1.0 + 0.7 * (factor - 1.0)
    assert end_pct(after, 80.0, 30.0, 0.0).mean < end_pct(before, 80.0, 30.0, 0.0).mean - 10.0


def test_charge_that_is_lost_at_once_is_lost_and_teaches_nothing() -> None:
    draw, charge = flown(300, lost=[(200, 12.0)])
    assert draw.left_pct == ceil(charge)
    assert draw.ratio == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("lost_pct", [10.0, 30.0, 60.0])
@pytest.mark.parametrize("settles_s", [2.0, 5.0, 10.0])
def test_charge_that_is_lost_and_told_by_and_by_teaches_nothing_either(lost_pct: float, settles_s: float) -> None:
    """As PX4's smoothed reading tells it: what was taken for power once made a vehicle land where it was."""
    tail = [(t, lost_pct * (exp((200 - t) / settles_s) - exp((199 - t) / settles_s))) for t in range(200, 260)]
    draw, charge = None, 90.3
    for until_s in range(200, 320):
        draw, charge = flown(until_s + 1, start=draw, start_s=until_s if draw else 0, charge_pct=charge, lost=tail)
        assert 0.9 < draw.ratio < 1.15, until_s
    assert draw is not None
    assert draw.left_pct == ceil(charge)


def test_what_is_drawn_after_a_loss_is_learnt_once_the_reading_has_settled() -> None:
    draw, _ = flown(340, lambda t: 2.0 if t >= 200 else 1.0, lost=[(200, 12.0)])
    assert draw.ratio == pytest.approx(2.0, abs=0.15)


def test_one_reading_that_is_far_too_low_counts_only_until_the_next_ones_have_stood_for_a_while() -> None:
    draw, _ = flown(202, lies=[(200, 3.0)])
    assert draw.left_pct == 3.0
    later, charge = flown(202 + int(RISE_S) + 2, lies=[(200, 3.0)])
    assert later.left_pct == ceil(charge)
    assert later.ratio == pytest.approx(1.0, abs=0.05)


def test_a_reading_that_is_too_high_is_not_believed_in_the_air() -> None:
    draw, charge = flown(205, lies=[(t, 99.0) for t in range(200, 205)])
    assert left_pct(draw, told(99.0, 205.0)) <= ceil(charge) + 1.0
    assert left_pct(None, told(99.0, 205.0)) == 99.0


def test_on_the_ground_a_fresh_battery_is_believed_and_the_airframes_ratio_stays() -> None:
    draw, _ = flown(300, lambda t: 1.5)
    swapped = drawn(draw, COURIER, LOAD_KG, told(100.0, 400.0), airborne=False)
    assert swapped is not None
    assert swapped.left_pct == 100.0
    assert swapped.ratio == draw.ratio


def test_what_was_flown_while_nothing_was_heard_teaches_nothing() -> None:
    before, charge = flown(200)
    after, _ = flown(420, start=before, start_s=400, charge_pct=charge - 30.0)
    assert after.ratio == before.ratio
    assert after.left_pct < before.left_pct - 25.0


def test_a_reading_twice_told_or_overtaken_changes_nothing() -> None:
    draw, _ = flown(100)
    assert drawn(draw, COURIER, LOAD_KG, told(20.0, 99.0), airborne=True) is draw
    assert drawn(draw, COURIER, LOAD_KG, VehicleState("cw-1"), airborne=True) is draw


def test_less_than_planned_with_one_load_is_not_counted_on_with_another() -> None:
    light = Draw(0.0, 80.0, ratio=0.9, var=0.03**2)
    heavy = Draw(0.0, 80.0, ratio=1.2, var=0.03**2)
    assert end_pct(light, 80.0, 20.0, 10.0).mean == pytest.approx(80.0 - 0.9 * 20.0 - 10.0)
    assert end_pct(heavy, 80.0, 20.0, 10.0).mean == pytest.approx(80.0 - 1.2 * 30.0)
    assert end_pct(light, 80.0, 20.0, 10.0).sd > end_pct(light, 80.0, 30.0, 0.0).sd


@settings(max_examples=60, deadline=None)
@given(
    readings=st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 30.0), st.floats(0.0, 40.0)), max_size=60),
)
def test_no_series_of_readings_leaves_bounds_or_charge_that_was_never_told(
    readings: list[tuple[float, float, float]],
) -> None:
    draw, at_s, lowest = None, 0.0, 100.0
    for pct, gap_s, speed in readings:
        at_s, lowest = at_s + gap_s, min(lowest, pct)
        draw = drawn(draw, COURIER, LOAD_KG, told(pct, at_s, north_m_s=speed), airborne=True)
        assert draw is not None
        assert LEAST <= draw.ratio <= MOST
        assert 0.0 < draw.var <= 1.0
        assert draw.left_pct >= lowest
        assert left_pct(draw, told(pct, at_s)) <= pct
    assert from_json(Draw | None, to_json(draw, Draw | None)) == draw


def test_a_more_certain_vehicle_keeps_a_narrower_reserve() -> None:
    unsure, sure = end_pct(None, 90.0, 50.0, 0.0), end_pct(flown(400)[0], 90.0, 50.0, 0.0)
    assert sure.sd < 0.75 * unsure.sd
    assert per_planned(None).sd > PRIOR_SD
