"""The planner over heights, through time, in wind, along corridors and over hills: by brute force, and in words."""

from datetime import UTC, datetime
from itertools import pairwise
from math import inf, isinf

import numpy as np
import pytest
import shapely

from geofences.airspace import Airspace
from geofences.heights import Datum, Height
from geofences.volumes import Applicability, Polygon, Restriction, Volume, Zone
from missions.plan import Infeasible
from missions.routing.pace import Pace
from missions.routing.planner import Route, RouteRequest, plan_route
from tests.routing.brute import Block, Brute
from tests.routing.oracles import random_polygons
from tests.routing.valley import FRAME, GROUND, SUNDAY, at

START, GOAL = (-4000.0, 0.0), (4000.0, 0.0)
HEIGHTS = ((-inf, inf), (-inf, 70.0), (80.0, inf), (74.0, 86.0))
"""all; what 65 m meets; what 95 m meets; what only a change between the two meets"""


def zone_of(i: int, block: Block) -> Zone:
    spans = tuple(
        Applicability(*(datetime.fromtimestamp(SUNDAY + t, UTC) for t in span)) for span in block.times
    )  # fmt: skip
    low, high = (None if isinf(h) else Height(h, Datum.AGL) for h in (block.low_m, block.high_m))
    outline = Polygon(tuple(at(*c) for c in block.corners))
    return Zone(f"Z{i}", "", Restriction.PROHIBITED, (Volume(outline, low, high),), applicability=spans)


def problem(rng: np.random.Generator, blocks: int, *, timed: bool, layered: bool) -> list[Block]:
    """Stars, and walls across the way that are long to fly around: those make waiting or another height worth it."""
    found: list[Block] = []
    ends = shapely.MultiPoint([START, GOAL]).buffer(50.0)
    while len(found) < blocks:
        if rng.random() < 0.5:
            x, y, tilt = rng.uniform(-3500.0, 3500.0), rng.uniform(-2500.0, 2500.0), rng.uniform(-800.0, 800.0)
            half, thick = rng.uniform(2000.0, 6000.0), rng.uniform(100.0, 900.0)
            corners = np.array([(x + tilt, y + half), (x - tilt, y - half), (x - tilt + thick, y - half),
                                (x + tilt + thick, y + half)])  # fmt: skip
        else:
            corners = shapely.get_coordinates(random_polygons(rng, 1, 8000.0)[0])[:-1] * 1.6 - (6400.0, 6400.0)
        if ends.intersects(shapely.Polygon(corners)):
            continue
        low, high = HEIGHTS[int(rng.choice(4, p=(0.1, 0.35, 0.35, 0.2)))] if layered else HEIGHTS[0]
        times: tuple[tuple[float, float], ...] = ()
        if timed and rng.random() < 0.8:
            begin = float(rng.integers(0, 400))
            times = ((begin, begin + float(rng.integers(100, 700))),)
            if rng.random() < 0.3:
                times = (*times, (times[0][1] + 150.0, times[0][1] + 400.0))
        found.append(Block(tuple(map(tuple, corners.tolist())), low, high, times))
    return found


def ask(blocks: list[Block], **more) -> RouteRequest:
    zones = tuple(zone_of(i, b) for i, b in enumerate(blocks))
    basic = {"margin_m": 0.0, "time_slack_s": 0.0}
    return RouteRequest(at(*START), at(*GOAL), Airspace(1, zones), frozenset(), GROUND, SUNDAY, **basic | more)


def must(outcome: Route | Infeasible) -> Route:
    assert isinstance(outcome, Route), str(outcome)
    return outcome


def assert_legal(route: Route, request: RouteRequest, blocks: list[Block]) -> None:
    """Sampled each 25 m and in each climb: never inside of what is closed there and then."""
    polygons = [b.polygon.buffer(-0.1) for b in blocks]
    xy, t = FRAME.to_xy(route.points), route.depart_s - SUNDAY + request.climbing.time_s(route.heights_agl_m[0])
    for (a, b), (low, high) in zip(pairwise(xy), pairwise(route.heights_agl_m), strict=True):
        if low != high:
            assert np.hypot(*(a - b)) < 0.01, "a change of height is over one place"
            lasts = request.climbing.stop_s + request.climbing.time_s(high - low)
            places, times = [(a, t), (a, t + lasts)], lasts
        else:
            n = max(1, int(np.hypot(*(b - a)) / 25.0))
            times = float(request.speed.seconds(*(b - a)[:, None])[0])
            places = [(a + (b - a) * k / n, t + times * k / n) for k in range(n + 1)]
        for block, shape in zip(blocks, polygons, strict=True):
            if block.blocks(min(low, high) - 5.0, max(low, high) + 5.0):
                for place, when in places:
                    closed = any(x + 0.01 < when < y - 0.01 for x, y in block.spans)
                    assert not (closed and shapely.intersects_xy(shape, *place)), f"inside at {when:.0f} s"
        t += times
    end = t + request.climbing.time_s(-route.heights_agl_m[-1])
    assert route.arrive_s - SUNDAY == pytest.approx(end, abs=0.05 + 1e-4 * (end - route.depart_s + SUNDAY))


def compare(seed: int, *, layers, timed: bool, latest_s: float = 0.0, blocks: int = 5, grid: int = 0) -> None:
    rng = np.random.default_rng(seed)
    parts = problem(rng, blocks, timed=timed, layered=len(layers) > 1)
    pace = Pace(20.0, *rng.uniform(-6.0, 6.0, 2).tolist())
    request = ask(parts, layers_agl_m=layers, pace=pace, latest_depart_s=SUNDAY + latest_s)
    made = plan_route(request)
    brute = Brute(START, GOAL, parts, layers, pace, request.climbing, grid).least(latest_s, 30.0)
    if isinf(brute):
        return
    route = must(made)
    assert_legal(route, request, parts)
    assert route.proven_optimal
    assert route.cost_s <= 1.02 * brute, f"seed {seed}: {route.cost_s:.1f} s, brute force finds {brute:.1f} s"


@pytest.mark.parametrize("seed", range(8))
def test_over_two_heights_it_is_as_good_as_brute_force(seed):
    compare(seed, layers=(65.0, 95.0), timed=False, blocks=7, grid=9)


@pytest.mark.parametrize("seed", range(8))
def test_through_schedules_it_is_as_good_as_brute_force(seed):
    compare(seed, layers=(80.0,), timed=True, latest_s=1500.0, blocks=6)


@pytest.mark.parametrize("seed", range(4))
def test_over_heights_and_through_schedules_at_once_it_is_as_good_as_brute_force(seed):
    compare(seed, layers=(65.0, 95.0), timed=True, latest_s=600.0, blocks=6, grid=5)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_problems_of_heights_and_schedules_against_brute_force(seed):
    compare(seed, layers=(65.0, 95.0), timed=False, blocks=9, grid=13)
    compare(seed, layers=(80.0,), timed=True, latest_s=1500.0, blocks=8)
    compare(seed, layers=(65.0, 95.0), timed=True, latest_s=900.0, blocks=8, grid=7)
