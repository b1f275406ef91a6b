"""The roadmap of a field that is asked many questions. That its paths are the cheapest: `test_search.py`, each map."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.routing.pace import Pace
from missions.routing.tangent import Field, NoPath, Obstacles, Path
from tests.routing.oracles import samples, tricky_polygons

WEST, EAST = np.array([100.0, 5000.0]), np.array([9900.0, 5000.0])
WIND = Pace(20.0, 6.0, -9.0)


def field(polygons, active=lambda _: True, own=(), *, prepared=True):
    made = Field(Obstacles(polygons), active, own)
    if prepared:
        made.prepare()
    return made


def places(rng, polygons, n):
    solid = shapely.union_all(polygons)
    points = rng.uniform(0.0, 10_000.0, (20 * n, 2))
    return [p for p in points if not shapely.dwithin(solid, shapely.Point(p), 1.0)][:n]


def test_a_field_makes_its_roadmap_when_questions_have_paid_for_it_and_goes_on_giving_the_same_answers():
    rng = np.random.default_rng(4)
    polygons = [shapely.Polygon(p.exterior) for p in tricky_polygons(rng, 20)]
    ends = places(rng, polygons, 80)
    asked, by_map = field(polygons, prepared=False), []
    for k, (start, goal) in enumerate(zip(ends[::2] * 3, ends[1::2] * 3, strict=True)):
        pace = (None, WIND, Pace(20.0, -3.0, 1.0))[k % 3]
        found, anew = (f.shortest(start, goal, pace) for f in (asked, field(polygons, prepared=False)))
        assert type(found) is type(anew)
        if isinstance(found, Path):
            assert found.cost == pytest.approx(anew.cost, rel=1e-9)
            by_map.append(found.met == tuple(range(len(polygons))))
    assert not any(by_map[:3])
    assert all(by_map[-40:]), "the roadmap looks at all obstacles, the search at few"


def test_what_is_open_now_is_not_in_the_roadmap_and_what_is_the_question_s_own_is():
    shared, own = [shapely.box(4000, 4000, 6000, 7000)], [shapely.box(2000, 4900, 3000, 9000)]
    way = field(shared, lambda _: False, own).shortest(WEST, EAST)
    assert np.allclose(way.xy[1:-1], [(2000, 4900), (3000, 4900)], atol=1e-3)
    assert way.met == (1,)
    both = field(shared, lambda _: True, own).shortest(WEST, EAST)
    assert both.cost == pytest.approx(field(shared, own=own, prepared=False).shortest(WEST, EAST).cost, rel=1e-12)


def test_with_nothing_in_the_way_at_all_the_path_is_straight():
    assert len(field([]).shortest(WEST, EAST).xy) == 2
    assert len(field([shapely.box(0, 0, 9, 9)], lambda _: False).shortest(WEST, EAST, WIND).xy) == 2


def test_a_goal_that_is_closed_in_has_no_path_and_the_fewest_that_close_it_in_are_named():
    fort = [shapely.box(9000, 4000, 9950, 4200), shapely.box(9000, 5800, 9950, 6000)]
    fort += [shapely.box(9000, 4100, 9200, 5900), shapely.box(9940, 4100, 9990, 5900)]
    closed = field([shapely.box(4000, 4000, 6000, 7000), *fort]).shortest(WEST, EAST)
    assert closed == NoPath((1, 2, 3, 4))


def test_against_too_much_wind_there_is_no_path_and_with_it_there_is():
    storm, square = Pace(20.0, 25.0, 0.0), field([shapely.box(4000, 4000, 6000, 7000)])
    assert square.shortest(EAST, WEST, storm) == NoPath(())
    assert isinstance(square.shortest(WEST, EAST, storm), Path)
    wall = [shapely.Polygon([(5000, 90_000), (4000, 5000), (5000, -90_000), (6000, 5000)])]
    assert isinstance(field(wall).shortest(WEST, EAST, WIND), Path)
    assert field(wall).shortest(WEST, EAST, storm) == NoPath((0,)), "its tips lie across the wind, out of reach"


def test_the_free_space_between_the_arms_of_an_obstacle_is_free():
    arms = shapely.difference(shapely.box(2000, 2000, 8000, 8000), shapely.box(2500, 2500, 8000, 7500))
    inside = np.array([3000.0, 5000.0])
    found, search = (field([arms], prepared=p).shortest(inside, WEST) for p in (True, False))
    assert found.cost == pytest.approx(search.cost, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([None, WIND]))
def test_a_path_is_outside_of_every_polygon_and_costs_the_same_back_against_the_wind_reversed(seed, n, pace):
    rng = np.random.default_rng(seed)
    polygons = tricky_polygons(rng, n)
    asked = field(polygons)
    ends = places(rng, polygons, 6)
    for start, goal in zip(ends[::2], ends[1::2], strict=False):
        found = asked.shortest(start, goal, pace)
        back = asked.shortest(goal, start, None if pace is None else Pace(20.0, -6.0, 9.0))
        assert type(found) is type(back)
        if isinstance(found, Path):
            assert back.cost == pytest.approx(found.cost, rel=1e-9)
            for polygon in polygons:
                assert not shapely.contains_xy(polygon, *samples(found.xy).T).any()
