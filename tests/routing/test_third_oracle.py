"""Routes from the planner between the checker and the third oracle, which samples each 25 m with its own arithmetic.

No route lies inside a zone by either; and of the straight ways between the same places, which mostly do, the checker
misses none that the oracle finds, and refuses none that the oracle finds a metre clear.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Circle, Volume, Zone
from missions.plan import Infeasible
from missions.routing.checker import Rules
from missions.routing.flown import Flown, airspace_violations
from missions.routing.judge import outlines, track
from missions.routing.planner import plan_route
from missions.routing.route import RouteRequest
from tests.routing.referee import STEP_M, along, outside, radii
from tests.routing.valley import GROUND, SUNDAY, at, circle, polygon

ROUTES, PER_AIRSPACE = 10_000, 250
AGL_M, GROUND_M = 80.0, 420.0
HALF_M = 9000.0
HOUR_S = 3600.0


def airspace_of(rng: np.random.Generator) -> Airspace:
    zones = []
    for i in range(24):
        where, size = rng.uniform(-HALF_M, HALF_M, 2), float(rng.uniform(200, 1500))
        if rng.random() < 0.4:
            zone = circle(f"Z{i}", *where, size)
        else:
            corners = int(rng.integers(3, 9))
            angles = (np.arange(corners) + rng.uniform(0.1, 0.9, corners)) * 2 * np.pi / corners
            reach = rng.uniform(0.3, 1.0, corners) * size
            zone = polygon(f"Z{i}", *(where + np.column_stack([reach * np.cos(angles), reach * np.sin(angles)])))
        zones.append(_with_band(zone, rng))
    return Airspace(1, tuple(zones))


def _with_band(zone: Zone, rng: np.random.Generator) -> Zone:
    """Some end below the height flown, some begin above it, some hold it."""
    kind, outline = rng.random(), zone.volumes[0].outline
    if kind < 0.1:
        volume = Volume(outline, None, Height(60.0, Datum.AGL))
    elif kind < 0.2:
        volume = Volume(outline, Height(GROUND_M + 100.0, Datum.AMSL), None)
    elif kind < 0.3:
        volume = Volume(outline, Height(50.0, Datum.AGL), Height(GROUND_M + 110.0, Datum.AMSL))
    else:
        return zone
    return Zone(zone.zone_id, zone.name, zone.restriction, (volume,))


def closed_at_height(airspace: Airspace) -> list[Volume]:
    """By the oracle's own arithmetic."""

    def level(h: Height) -> float:
        return h.value_m + (GROUND_M if h.datum is Datum.AGL else 0.0)

    flown = GROUND_M + AGL_M
    return [
        v
        for z in airspace.zones
        for v in z.volumes
        if (v.lower is None or level(v.lower) <= flown) and (v.upper is None or level(v.upper) >= flown)
    ]


def boxes(volumes: list[Volume], room_m: float) -> np.ndarray:
    rows = []
    for v in volumes:
        o = v.outline
        places = [o.centre] if isinstance(o, Circle) else list(o.outer)
        m, n = radii(places[0].lat_deg)
        room = room_m + (o.radius_m if isinstance(o, Circle) else 0.0)
        lats, lons = [p.lat_deg for p in places], [p.lon_deg for p in places]
        rows.append((min(lats) - room / m, max(lats) + room / m, min(lons) - room / n, max(lons) + room / n))
    return np.array(rows)


def nearest(points: tuple[LatLon, ...], volumes: list[Volume], box: np.ndarray) -> float:
    """The least distance of the samples along the way from any zone, negative inside; 100 where none is that near."""
    samples = np.concatenate([along(a, b) for a, b in pairwise(points)])
    least = 100.0
    for volume, (south, north, west, east) in zip(volumes, box.tolist(), strict=True):
        near = samples[
            (samples[:, 0] > south) & (samples[:, 0] < north) & (samples[:, 1] > west) & (samples[:, 1] < east)
        ]
        if len(near):
            least = min(least, float(outside(near, volume.outline).min()))
    return least


def refused(points: tuple[LatLon, ...], rules: Rules) -> bool:
    h = GROUND_M + AGL_M
    lines = [
        Flown(i, f"leg {i}", track(a, h, b, h, GROUND), SUNDAY, SUNDAY + HOUR_S)
        for i, (a, b) in enumerate(pairwise(points))
    ]
    return any(True for _ in airspace_violations(lines, rules, outlines(rules.airspace), set()))


def play(count: int, seed: int) -> Counter[str]:
    rng = np.random.default_rng(seed)
    tally: Counter[str] = Counter()
    while tally["routes"] < count:
        airspace = airspace_of(rng)
        volumes = closed_at_height(airspace)
        box = boxes(volumes, 100.0)
        rules = Rules(airspace=airspace, authorised=frozenset(), terrain=GROUND)
        for _ in range(PER_AIRSPACE):
            start, goal = (at(*p) for p in rng.uniform(-HALF_M, HALF_M, (2, 2)))
            route = plan_route(
                RouteRequest(start, goal, airspace, frozenset(), GROUND, SUNDAY, window_s=HOUR_S, layers_agl_m=(AGL_M,))
            )
            straight = nearest((start, goal), volumes, box)
            told = refused((start, goal), rules)
            assert told or straight > -0.05, f"missed by {straight} m: {start} {goal} {seed}"
            tally["cut"] += straight < 0
            tally["clear"] += straight > 1.0
            # A corner may reach between two samples: what the oracle finds clear it must be by half a step.
            tally["refused though clear"] += told and straight > STEP_M / 2
            if isinstance(route, Infeasible):
                tally["infeasible"] += 1
                continue
            tally["routes"] += 1
            assert nearest(route.points, volumes, box) > -0.05, f"the route is inside: {start} {goal} {seed}"
            assert not refused(route.points, rules), f"refused: {start} {goal} {seed}"
    return tally


def test_no_route_is_inside_a_zone_and_no_straight_way_through_one_is_missed():
    tally = play(ROUTES, 1)
    assert tally["refused though clear"] == 0, tally
    assert tally["cut"] > ROUTES / 4, tally
    assert tally["clear"] > ROUTES / 20, tally


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_the_same_a_hundred_thousand_times(seed):
    assert play(10_000, seed)["refused though clear"] == 0
