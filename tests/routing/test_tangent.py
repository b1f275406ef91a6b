"""The shortest path among polygons, against an exhaustive visibility graph and against sampling."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.routing.tangent import Field, NoPath, Obstacles, Path
from tests.routing.oracles import exhaustive_length, random_polygons, samples

START, GOAL = np.array([100.0, 5000.0]), np.array([9900.0, 5000.0])


def field(polygons, active=lambda _: True, own=()):
    return Field(Obstacles(polygons), active, own)


def found(polygons, start=START, goal=GOAL):
    result = field(polygons).shortest(start, goal)
    assert isinstance(result, Path)
    return result


def test_with_nothing_in_the_way_the_path_is_straight():
    path = found([shapely.box(0, 6000, 9000, 9000)])
    assert len(path.xy) == 2
    assert path.met == ()


def test_the_path_bends_round_a_square_at_two_corners_on_the_shorter_side():
    path = found([shapely.box(4000, 4000, 6000, 7000)])
    assert np.allclose(path.xy[1:-1], [(4000, 4000), (6000, 4000)], atol=1e-3)


def test_adjacent_polygons_leave_no_crack_to_slip_through():
    path = found([shapely.box(4000, 3000, 6000, 5000), shapely.box(4000, 5000, 6000, 8000)])
    assert np.allclose(path.xy[1:-1], [(4000, 3000), (6000, 3000)], atol=1e-3)


def test_a_hole_is_free_but_closed_in():
    ring = shapely.Polygon(shapely.box(8000, 3000, 9950, 7000).exterior, [shapely.box(9000, 4000, 9940, 6000).exterior])
    assert isinstance(field([ring]).shortest(START, GOAL), NoPath)
    inside = field([ring]).shortest(np.array([9100.0, 4100.0]), GOAL)
    assert isinstance(inside, Path)


def test_obstacles_that_are_not_in_the_way_now_are_not_met():
    square = [shapely.box(4000, 4000, 6000, 7000)]
    assert len(field(square, active=lambda _: False).shortest(START, GOAL).xy) == 2


def test_a_goal_inside_an_obstacle_has_no_path():
    result = field([shapely.box(9000, 4000, 9990, 6000)]).shortest(START, GOAL)
    assert isinstance(result, NoPath)
    assert result.met == (0,)


def test_a_wall_of_overlapping_polygons_is_gone_round_and_named_when_it_closes():
    wall = [shapely.box(5000, y, 5200, y + 2600) for y in range(0, 8001, 2000)]
    assert np.isclose(found(wall).length, exhaustive_length(START, GOAL, wall), rtol=1e-6)
    world = shapely.Polygon(shapely.box(-1e6, -1e6, 1e6, 1e6).exterior, [shapely.box(0, 0, 10_000, 10_000).exterior])
    closed = Field(Obstacles(wall), lambda _: True, [world]).shortest(START, GOAL)
    assert isinstance(closed, NoPath)
    assert set(closed.met) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("n", [3, 6, 10])
def test_the_length_is_that_of_an_exhaustive_visibility_graph(n):
    rng = np.random.default_rng(n)
    compared = 0
    for _ in range(25):
        polygons = random_polygons(rng, n)
        if any(p.buffer(1.0).intersects(shapely.Point(q)) for p in polygons for q in (START, GOAL)):
            continue
        result = field(polygons).shortest(START, GOAL)
        oracle = exhaustive_length(START, GOAL, polygons)
        assert isinstance(result, Path) == np.isfinite(oracle)
        if isinstance(result, Path):
            assert np.isclose(result.length, oracle, rtol=1e-6)
            compared += len(result.xy) > 2
    assert compared >= 8, "too few instances that needed a detour"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_a_path_is_never_inside_an_obstacle_and_is_legal_reversed(seed, n):
    rng = np.random.default_rng(seed)
    polygons = random_polygons(rng, n)
    f = field(polygons)
    there, back = f.shortest(START, GOAL), f.shortest(GOAL, START)
    assert type(there) is type(back)
    if isinstance(there, Path) and isinstance(back, Path):
        assert np.isclose(there.length, back.length, rtol=1e-9)
        points = samples(there.xy)
        assert not any(shapely.contains_xy(p, *points.T).any() for p in polygons)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_withdrawing_an_obstacle_never_makes_the_path_longer(seed):
    polygons = random_polygons(np.random.default_rng(seed), 12)
    whole = field(polygons).shortest(START, GOAL)
    for left_out in range(0, 12, 4):
        fewer = field([p for i, p in enumerate(polygons) if i != left_out]).shortest(START, GOAL)
        if isinstance(whole, Path):
            assert isinstance(fewer, Path)
            assert fewer.length <= whole.length + 1e-3
