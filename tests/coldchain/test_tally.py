"""What unmeasured time and accuracy allow: the bounds hold for every course a temperature can take, and are reached."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain.tally import (
    FASTEST_C_S,
    Range,
    Times,
    gap_rate_s,
    held,
    may_be_in,
    must_be_in,
    no_times,
    rate,
    spent,
    turning_c,
)

COOL = Range(8.0, 15.0)


def test_in_a_gap_it_may_have_been_where_it_could_go_and_come_back_from() -> None:
    """From 5 °C to 10 °C in 60 s at 0.5 K/s: 8 °C is 6 s away, and the end lies inside."""
    assert may_be_in(COOL, 5.0, 10.0, 60.0, 0.0) == [(6.0, 60.0)]
    assert may_be_in(COOL, 5.0, 5.0, 60.0, 0.0) == [(6.0, 54.0)]
    assert may_be_in(COOL, 20.0, 20.0, 60.0, 0.0) == [(10.0, 50.0)]
    assert may_be_in(COOL, 5.0, 5.0, 12.0, 0.0) == []
    assert may_be_in(COOL, 5.0, None, 60.0, 0.0) == [(6.0, 60.0)]
    assert may_be_in(COOL, 5.0, 5.0, 60.0, 0.5) == [(5.0, 55.0)]


def test_in_a_gap_it_must_have_been_where_it_could_not_get_out_of() -> None:
    assert must_be_in(COOL, 11.0, 12.0, 60.0, 0.0) == [(0.0, 6.0), (54.0, 60.0)]
    assert must_be_in(COOL, 11.0, 12.0, 12.0, 0.0) == [(0.0, 12.0)]
    assert must_be_in(COOL, 11.0, 5.0, 60.0, 0.0) == [(0.0, 6.0)]
    assert must_be_in(COOL, 5.0, 11.0, 60.0, 0.0) == [(54.0, 60.0)]
    assert must_be_in(COOL, 11.0, None, 60.0, 0.0) == [(0.0, 6.0)]
    assert must_be_in(COOL, 11.0, 12.0, 60.0, 0.5) == [(0.0, 5.0), (55.0, 60.0)]
    assert must_be_in(COOL, 5.0, 5.0, 60.0, 0.0) == []
    assert must_be_in(Range(8.0, inf), 11.0, 11.0, 60.0, 0.0) == [(0.0, 6.0), (54.0, 60.0)]


def test_the_turning_point_lies_between_the_readings_and_no_further_than_a_probe_can_show() -> None:
    assert turning_c(5.0, 5.0, 60.0, 1, 70.0) == 20.0
    assert turning_c(5.0, 9.0, 60.0, -1, -50.0) == -8.0
    assert turning_c(5.0, None, 60.0, 1, 70.0) == 35.0
    assert turning_c(5.0, None, 60.0, -1, -50.0) == -25.0
    assert turning_c(5.0, 5.0, 600.0, 1, 70.0) == 70.0
    assert turning_c(5.0, 5.0, 600.0, -1, -50.0) == -50.0
    assert turning_c(69.9, 71.0, 600.0, 1, 70.0) == 71.0
    assert turning_c(-51.0, 5.0, 600.0, -1, -50.0) == -51.0


def test_time_in_a_range_adds_up_and_its_longest_stay_is_kept() -> None:
    times = no_times(1)
    for at_s, inside in ((0.0, True), (10.0, True), (20.0, False), (30.0, True)):
        times = held(times, [inside], at_s, 10.0)
    assert times == Times((30.0,), (10.0,), (20.0,), (0.0,), (30.0,))
    assert held(times, [False], 40.0, 10.0) == Times((30.0,), (0.0,), (20.0,), (0.0,), (30.0,))


def test_what_was_never_entered_costs_nothing() -> None:
    times = no_times(2)
    assert held(times, [False, False], 0.0, 10.0) is times


def test_a_stay_goes_on_through_a_gap_only_where_the_gap_allows_it() -> None:
    ten_s = held(no_times(1), [True], 0.0, 10.0)
    whole = spent(ten_s, [[(0.0, 60.0)]], 10.0, 60.0)
    assert whole == Times((70.0,), (70.0,), (70.0,), (0.0,), (0.0,))
    ends = spent(ten_s, [[(0.0, 6.0), (54.0, 60.0)]], 10.0, 60.0)
    assert ends == Times((22.0,), (6.0,), (16.0,), (0.0,), (64.0,))
    head = spent(ten_s, [[(0.0, 6.0)]], 10.0, 60.0)
    assert head == Times((16.0,), (0.0,), (16.0,), (0.0,), (0.0,))
    middle = spent(ten_s, [[(6.0, 54.0)]], 10.0, 60.0)
    assert middle == Times((58.0,), (0.0,), (48.0,), (0.0,), (16.0,))
    soon = spent(ten_s, [[(0.5, 60.0)]], 10.0, 60.0)
    assert soon == Times((69.5,), (59.5,), (59.5,), (0.0,), (10.5,))
    nothing = spent(ten_s, [[]], 10.0, 60.0)
    assert nothing == Times((10.0,), (0.0,), (10.0,), (0.0,), (0.0,))
    fresh = spent(no_times(1), [[(54.0, 60.0)]], 10.0, 60.0)
    assert fresh == Times((6.0,), (6.0,), (6.0,), (64.0,), (64.0,))
    assert spent(no_times(0), [], 0.0, 60.0) == no_times(0)


@st.composite
def courses(draw: st.DrawFn) -> tuple[list[float], float]:
    """Temperatures a second apart that a probe in the box can go through, and the error of the two readings."""
    moves = draw(st.lists(st.floats(-FASTEST_C_S, FASTEST_C_S), min_size=2, max_size=60))
    drive = draw(st.sampled_from([0.0, 0.0, 1.0, -1.0]))
    temp, course = draw(st.floats(-10.0, 40.0)), []
    for i, move in enumerate(moves):
        course.append(temp)
        steered = drive * FASTEST_C_S * (1.0 if i < len(moves) / 2 else -1.0)
        temp += steered if drive else move
    return [*course, temp], draw(st.floats(-0.5, 0.5))


@settings(max_examples=400, deadline=None)
@given(course=courses(), low=st.floats(-20.0, 30.0), width=st.floats(0.1, 20.0))
def test_every_course_that_is_possible_lies_within_the_bounds(
    course: tuple[list[float], float], low: float, width: float
) -> None:
    temps, error = course
    gap_s, a, b = float(len(temps) - 1), temps[0] + error, temps[-1] + error
    r = Range(low, low + width)
    at = [(i + k / 20.0, t + (u - t) * k / 20.0) for i, (t, u) in enumerate(pairwise(temps)) for k in range(20)]
    inside = [t for t, temp in at if r.low_c <= temp <= r.high_c]
    may, must = may_be_in(r, a, b, gap_s, 0.5), must_be_in(r, a, b, gap_s, 0.5)
    assert all(any(x - 1e-6 <= t <= y + 1e-6 for x, y in may) for t in inside)
    surely = [t for t, _ in at if any(x + 1e-6 < t < y - 1e-6 for x, y in must)]
    assert set(surely) <= set(inside)
    heat = sum(rate(temp) / 20.0 for _, temp in at)
    slack = 1e-9 + 0.1 * max(rate(t) for t in temps) / 20.0
    assert gap_rate_s(a - 0.5, b - 0.5, gap_s, -1, -80.0) <= heat + slack
    assert gap_rate_s(a + 0.5, b + 0.5, gap_s, 1, 90.0) >= heat - slack


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("b_c", [5.0, None])
def test_a_gap_of_a_few_seconds_has_hardly_another_heat_than_its_readings(sign: int, b_c: float | None) -> None:
    """In 4 s a probe moves by 1 K and back, or by 2 K."""
    bound = gap_rate_s(5.0, b_c, 4.0, sign, sign * 60.0)
    mean_c = 5.0 + sign * (0.5 if b_c is not None else 1.0)
    assert bound == pytest.approx(4.0 * rate(mean_c), rel=0.01)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("b_c", [5.0, 9.0, None])
def test_the_heat_of_a_gap_is_that_of_the_utmost_course_to_a_hundredth(sign: int, b_c: float | None) -> None:
    a_c, gap_s, utmost_c = 5.0, 200.0, 20.0 if sign > 0 else -10.0
    heat = 0.0
    for k in range(20_000):
        t = (k + 0.5) * gap_s / 20_000
        back = inf if b_c is None else b_c * sign + FASTEST_C_S * (gap_s - t)
        heat += rate(sign * min(sign * a_c + FASTEST_C_S * t, back, sign * utmost_c)) * gap_s / 20_000
    bound = gap_rate_s(a_c, b_c, gap_s, sign, utmost_c)
    assert bound == pytest.approx(heat, rel=0.01)
    assert sign * bound >= sign * heat * (1.0 - sign * 1e-6)
