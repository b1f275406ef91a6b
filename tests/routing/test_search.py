"""The tangent search against an exhaustive visibility graph, with and without wind, on many random maps."""

from math import hypot

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from missions.routing.pace import Pace
from missions.routing.tangent import Field, NoPath, Obstacles, Path
from tests.routing.oracles import exhaustive_cost, random_polygons, samples, tricky_polygons

WIND = Pace(20.0, 6.0, -9.0)
SIZE_M = 10_000.0


def searched(polygons, start, goal, pace=None):
    return Field(Obstacles(polygons), lambda _: True).shortest(start, goal, pace)


def boxes_on_a_grid(rng, n):
    """Many edges in one line, many corners in one place."""
    at, size = 1000.0 * rng.integers(1, 8, (n, 2)), 1000.0 * rng.integers(1, 3, (n, 2))
    return [shapely.box(x, y, x + w, y + h) for (x, y), (w, h) in zip(at, size, strict=True)]


def place(rng, polygons):
    """Outside of every polygon by a metre and more."""
    solid = shapely.union_all(polygons)
    while True:
        point = rng.uniform(0.0, SIZE_M, 2)
        if not shapely.dwithin(solid, shapely.Point(point), 1.0):
            return point


def place_on_edge(rng, polygons):
    """On an edge of a polygon, not near to a corner or another polygon, and the place a millimetre beside it."""
    solid = shapely.union_all(polygons)
    for _ in range(200):
        ring = polygons[rng.integers(len(polygons))].exterior
        at = rng.uniform(1.0, ring.length - 1.0)
        before, point, after = (shapely.get_coordinates(ring.interpolate(at + d))[0] for d in (-1.0, 0.0, 1.0))
        along = (after - before) / 2.0
        beside = point + 1e-3 * np.array([along[1], -along[0]]) * (1 if ring.is_ccw else -1)
        alone = shapely.Point(point).buffer(1.0).intersection(solid).area
        if abs(np.hypot(*along) - 1.0) < 1e-9 and alone == pytest.approx(np.pi / 2, rel=0.02):
            return point, beside
    point = place(rng, polygons)
    return point, point


def mapped(polygons, start, goal, pace=None):
    field = Field(Obstacles(polygons), lambda _: True)
    field.prepare()
    return field.shortest(start, goal, pace)


def compare(seed, polygons, pace):
    """1 if search and roadmap found what the oracle finds and it was not straight, else 0."""
    rng = np.random.default_rng(seed)
    start = beside = place(rng, polygons)
    if seed % 4 == 0:
        start, beside = place_on_edge(rng, polygons)
    goal = place(rng, polygons)
    found = searched(polygons, start, goal, pace)
    oracle = exhaustive_cost(beside, goal, polygons, np.hypot if pace is None else pace.seconds)
    assert isinstance(found, Path) == np.isfinite(oracle), f"seed {seed}: {found}, the oracle says {oracle}"
    by_map = mapped(polygons, start, goal, pace)
    assert type(by_map) is type(found), f"seed {seed}"
    if isinstance(found, NoPath):
        return 0
    assert found.cost == pytest.approx(oracle, rel=1e-6, abs=1e-3 if start is beside else 4e-3), f"seed {seed}"
    assert by_map.cost == pytest.approx(found.cost, rel=1e-9), f"seed {seed}"
    return len(found.xy) > 2


def random_instances(seeds):
    bent = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        bent += compare(seed, tricky_polygons(rng, int(rng.integers(1, 11))), (None, WIND)[seed % 2])
    assert bent > 0.2 * len(seeds), "too few instances that needed a detour"


def fifty_zones(seed):
    whole = [shapely.Polygon(p.exterior) for p in tricky_polygons(np.random.default_rng(seed), 50)]
    compare(seed, whole, None)


@pytest.mark.parametrize("part", range(20))
def test_on_two_thousand_maps_the_cheapest_path_is_that_of_an_exhaustive_visibility_graph(part):
    random_instances(range(100 * part, 100 * part + 100))


@pytest.mark.parametrize("part", range(5))
def test_on_fifty_maps_of_fifty_zones_too(part):
    for seed in range(10 * part, 10 * part + 10):
        fifty_zones(seed)


@pytest.mark.parametrize("seed", [9, 239, 429, 833])
def test_a_place_that_was_settled_too_early_is_settled_anew_when_a_cheaper_way_there_comes(seed):
    rng = np.random.default_rng(seed)  # of maps where the search would answer wrongly without that
    whole = [shapely.Polygon(p.exterior) for p in tricky_polygons(rng, 30)]
    start, goal = place(rng, whole), place(rng, whole)
    assert searched(whole, start, goal).cost == pytest.approx(exhaustive_cost(start, goal, whole, np.hypot), rel=1e-6)


def grid_instances(seeds):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        compare(seed, boxes_on_a_grid(rng, int(rng.integers(2, 9))), (None, WIND)[seed % 2])


def test_corners_in_one_place_hide_nothing_that_is_beside_both():
    grid_instances(range(1000))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_nor_do_they_on_twenty_thousand_maps(part):
    grid_instances(range(1000 + 1000 * part, 2000 + 1000 * part))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(200))
def test_on_twenty_thousand_maps_more_the_cheapest_path_is_that_of_an_exhaustive_visibility_graph(part):
    random_instances(range(10_000 + 100 * part, 10_100 + 100 * part))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([None, WIND]))
def test_a_path_is_outside_of_every_polygon_and_never_longer_when_one_is_withdrawn(seed, n, pace):
    rng = np.random.default_rng(seed)
    polygons = tricky_polygons(rng, n)
    start, goal = place(rng, polygons), place(rng, polygons)
    found = searched(polygons, start, goal, pace)
    assume(isinstance(found, Path))
    for polygon in polygons:
        assert not shapely.contains_xy(polygon, *samples(found.xy).T).any()
    left_out = int(rng.integers(n))
    fewer = searched([p for i, p in enumerate(polygons) if i != left_out], start, goal, pace)
    assert isinstance(fewer, Path)
    assert fewer.cost <= found.cost * (1.0 + 1e-7)
    back = searched(polygons, goal, start, None if pace is None else Pace(20.0, -6.0, 9.0))
    assert isinstance(back, Path)
    assert back.cost == pytest.approx(found.cost, rel=1e-7), "back against the wind reversed costs the same"


def test_an_enclosed_goal_is_told_with_those_that_enclose_it_among_a_hundred_others():
    fort = [shapely.box(4000, 4000, 6000, 4200), shapely.box(4000, 5800, 6000, 6000)]
    fort += [shapely.box(4000, 4100, 4200, 5900), shapely.box(5800, 4100, 6000, 5900)]
    others = random_polygons(np.random.default_rng(3), 100)
    others = [p for p in others if not p.intersects(shapely.box(3900, 3900, 6100, 6100))]
    start = np.array([50.0, 50.0])
    found = searched([*others, *fort], start, np.array([5000.0, 5000.0]))
    assert isinstance(found, NoPath)
    assert set(found.met) == {len(others) + k for k in range(4)}


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 19), st.floats(0, 6.3))
def test_the_time_of_a_piece_keeps_the_wind_triangle(dx, dy, wind, towards):
    assume(hypot(dx, dy) > 1e-3)
    pace = Pace(20.0, wind * np.cos(towards), wind * np.sin(towards))
    t = float(pace.seconds(np.array(dx), np.array(dy)))
    through_air = hypot(dx - pace.wind_east_m_s * t, dy - pace.wind_north_m_s * t)
    assert through_air == pytest.approx(20.0 * t, rel=1e-9)


@given(st.lists(st.floats(-100, 100), min_size=4, max_size=4), st.floats(0, 40), st.floats(0, 6.3))
def test_no_piece_takes_longer_than_two_that_lead_to_its_end(d, wind, towards):
    pace = Pace(20.0, wind * np.cos(towards), wind * np.sin(towards))
    one, two, whole = pace.seconds(np.array([d[0], d[2], d[0] + d[2]]), np.array([d[1], d[3], d[1] + d[3]]))
    assert whole <= (one + two) * (1.0 + 1e-9) + 1e-9 or hypot(d[0] + d[2], d[1] + d[3]) < 1e-6


def test_against_too_much_wind_there_is_no_path_and_with_it_there_is():
    storm = Pace(20.0, 25.0, 0.0)
    square = [shapely.box(4000, 4000, 6000, 7000)]
    west, east = np.array([0.0, 5000.0]), np.array([9000.0, 5000.0])
    assert searched(square, east, west, storm) == NoPath(())
    found = searched(square, west, east, storm)
    assert isinstance(found, Path)
    assert found.cost < found.length / 20.0
