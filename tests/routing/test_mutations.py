"""Plans made wrong on purpose, 200 of each kind, between the checker and a referee that shares nothing with it.

The checker refuses every plan that the referee finds unsafe, for a reason that names it, and accepts those that it
finds safe with more than a metre to spare: a checker that refuses all would fail here too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import time
from functools import lru_cache
from math import inf, nan

import numpy as np
import pytest

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Applicability, Circle, DailyPeriod, Polygon, Zone
from missions.energy import climb_cost, leg_energy
from missions.plan import Alternate, Leg, Plan, RallyPoint, Return, Waypoint
from missions.planning import make_plan
from missions.routing.checker import Rules, check_plan
from tests.routing import referee
from tests.routing.valley import COURIER, GROUND, SITES, SUNDAY, at, circle, keep_in, polygon, request, xy

EACH = 200
PAYLOAD_KG, RESERVE_PCT, GROUND_M = 2.0, 20.0, 420.0
UNSAFE_M, SAFE_M = -0.05, 1.0
"""the referee is true to some centimetres; within a metre of an edge it does not say"""
PAIRS = (("teral", "ndeba"), ("teral", "koru"), ("teral", "salme"), ("teral", "orvane"), ("salme", "koru"))


@dataclass
class Case:
    plan: Plan
    airspace: Airspace
    goal: str
    wrong: set[str] = field(default_factory=set)
    """codes of which one must be told: what the mutation broke by itself"""


Mutation = Callable[[Case, np.random.Generator], Case]


# worlds and plans that are good


@lru_cache
def good(seed: int) -> Case:
    """A plan through a random airspace: circles and polygons, some with heights or hours, at times a keep-in."""
    rng = np.random.default_rng(seed)
    while True:  # until there is a way
        start, goal = PAIRS[int(rng.integers(len(PAIRS)))]
        zones = [z for i in range(14) if (z := _zone(rng, f"Z{i}")) is not None]
        if rng.random() < 0.3:
            zones.append(keep_in("BOX", -9000.0, -9000.0, 9000.0, 9000.0))
        airspace = Airspace(1, tuple(zones))
        made = make_plan(request(goal, start, airspace, home=SITES[start], depart_s=SUNDAY + 7.5 * 3600))
        if isinstance(made, Plan):
            legs = tuple(replace(leg, returns=_unclaimed(made, leg.length_m)) for leg in made.legs)
            return Case(replace(made, legs=legs), airspace, goal)


def _zone(rng: np.random.Generator, name: str) -> Zone | None:
    where = rng.uniform(-7000, 7000, 2)
    size = float(rng.uniform(150, 1300))
    if min(np.hypot(*(xy(s.position) - where)) for s in SITES.values()) < size + 150.0:
        return None
    if rng.random() < 0.5:
        zone = circle(name, *where, size)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        reach = rng.uniform(0.3, 1.0, 7) * size
        zone = polygon(name, *(where + np.column_stack([reach * np.cos(angles), reach * np.sin(angles)])))
    kind = rng.random()
    if kind < 0.15:
        return replace(zone, volumes=(replace(zone.volumes[0], lower=Height(float(rng.uniform(90, 150)), Datum.AGL)),))
    if kind < 0.3:
        top = Height(GROUND_M + float(rng.uniform(30, 110)), Datum.AMSL)
        return replace(zone, volumes=(replace(zone.volumes[0], upper=top),))
    if kind < 0.65:
        hours = (Applicability(daily=(DailyPeriod(frozenset(), time(8), time(9, 30)),)),)
        return replace(zone, applicability=hours)
    return zone


def _unclaimed(plan: Plan, length_m: float) -> tuple[Return, ...]:
    """Nothing is claimed of PX4's own returns here: what is claimed of them is made wrong in `test_homeward`."""
    names = (*(s for s in SITES if SITES[s].position == plan.home), *(r.site_id for r in plan.rally))
    return tuple(Return(0.0, length_m, name, legal=False, reason="not looked at") for name in names)


def flown(case: Case, points: list[tuple[LatLon, float]], *, depart_s: float | None = None) -> Case:
    """The plan over other points, with all that follows from them set right: only the points may be wrong."""
    plan = case.plan
    depart = plan.depart_s if depart_s is None else depart_s
    climb = climb_cost(COURIER, PAYLOAD_KG, points[0][1] - plan.home_amsl_m)
    here = Waypoint(*points[0], depart + climb.time_s)
    extra, used, legs = climb.energy_wh, 0.0, []
    for k, (to, amsl) in enumerate(points[1:]):
        length = referee_length(here.position, to)
        cost = leg_energy(COURIER, PAYLOAD_KG, length_m=length, track_deg=0.0, climb_m=amsl - here.alt_amsl_m)
        assert cost is not None
        there = Waypoint(to, amsl, here.eta_s + cost.time_s + 0.1)
        wh = cost.energy_wh + extra + 0.1
        used, extra = used + wh, 0.0
        names = [a.site_id for a in plan.legs[min(k, len(plan.legs) - 1)].alternates]
        length = 0.0 if length < 0.5 else length
        legs.append(Leg(here, there, length, wh, _ways(case, names, here, there, used), _unclaimed(plan, length)))
        here = there
    after = plan.energy.use_wh - sum(leg.energy_wh for leg in plan.legs)
    use = used + max(0.0, after)
    left = plan.energy.start_pct - 100.0 * use / COURIER.battery_wh
    energy = replace(plan.energy, use_wh=use, end_pct=left)
    wrong = set(case.wrong)
    if left < RESERVE_PCT:
        wrong |= {"reserve"}
    if any(not leg.alternates for leg in legs):
        wrong |= {"no_alternate"}
    made = replace(plan, legs=tuple(legs), energy=energy, depart_s=depart, arrive_s=here.eta_s)
    return replace(case, plan=made, wrong=wrong)


def referee_length(a: LatLon, b: LatLon) -> float:
    from geofences.geodesy import distance_m

    return distance_m(a, b)


def _ways(case: Case, names: list[str], a: Waypoint, b: Waypoint, used: float) -> tuple[Alternate, ...]:
    found = []
    for name in names:
        if name not in SITES:
            continue
        far = max(referee_length(p.position, SITES[name].position) for p in (a, b))
        cost = leg_energy(COURIER, PAYLOAD_KG, length_m=max(far, 1.0), track_deg=0.0, climb_m=0.0)
        assert cost is not None
        left = case.plan.energy.start_pct - 100.0 * (used + cost.energy_wh) / COURIER.battery_wh
        if left >= RESERVE_PCT:
            found.append(Alternate(name, far, cost.energy_wh, left))
    return tuple(found)


def points_of(case: Case) -> list[tuple[LatLon, float]]:
    return [(w.position, w.alt_amsl_m) for w in case.plan.waypoints]


# the twenty-four kinds


def _inner(case: Case, rng: np.random.Generator) -> int:
    """A waypoint on the way, or the first where there is none: not that over the pad."""
    return int(rng.integers(1, max(2, len(case.plan.waypoints) - 2)))


def vertex_shifted(case: Case, rng: np.random.Generator) -> Case:
    points, k = points_of(case), _inner(case, rng)
    if k >= len(points) - 2:  # a straight way: bent in its middle
        points.insert(1, (at(*((xy(points[0][0]) + xy(points[1][0])) / 2)), points[1][1]))
        k = 1
    points[k] = at(*(xy(points[k][0]) + rng.uniform(-1, 1, 2) * 10 ** rng.uniform(0.5, 3.4))), points[k][1]
    return flown(case, points)


def corner_cut(case: Case, rng: np.random.Generator) -> Case:
    points = points_of(case)
    if len(points) > 3:
        del points[_inner(case, rng)]
    return flown(case, points)


def item_dropped(case: Case, rng: np.random.Generator) -> Case:
    legs = list(case.plan.legs)
    k = int(rng.integers(0, len(legs)))  # without the first, the plan begins over a place that it never climbed to
    last = k == len(legs) - 1
    wrong = {"goal", "time", "ending", "no_legs"} if last else {"gap", "time"} if k else {"energy"}
    del legs[k]
    return replace(case, plan=replace(case.plan, legs=tuple(legs)), wrong=wrong)


def wrong_frame(case: Case, rng: np.random.Generator) -> Case:
    sign = 1 if rng.random() < 0.5 else -1
    return flown(case, [(p, h + sign * GROUND_M) for p, h in points_of(case)])


def wrong_datum(case: Case, rng: np.random.Generator) -> Case:
    off = float(rng.uniform(-60, 60))
    return flown(case, [(p, h + off) for p, h in points_of(case)])


def feet_as_metres(case: Case, rng: np.random.Generator) -> Case:
    points, k = points_of(case), _inner(case, rng)
    for i in (k, k + 1):
        if i < len(points):
            points[i] = points[i][0], GROUND_M + (points[i][1] - GROUND_M) / 0.3048
    return flown(case, points)


def all_swapped(case: Case, rng: np.random.Generator) -> Case:
    points = [(LatLon(p.lon_deg, p.lat_deg), h) for p, h in points_of(case)]
    return replace(flown(case, points), wrong={"goal", "far"})


def one_swapped(case: Case, rng: np.random.Generator) -> Case:
    points, k = points_of(case), int(rng.integers(0, len(case.plan.waypoints)))
    points[k] = LatLon(points[k][0].lon_deg, points[k][0].lat_deg), points[k][1]
    return replace(flown(case, points), wrong={"far"})


def alternate_closed(case: Case, rng: np.random.Generator) -> Case:
    names = sorted({a.site_id for leg in case.plan.legs for a in leg.alternates} & SITES.keys())
    where = xy(SITES[str(rng.choice(names))].position) + rng.uniform(-150, 150, 2)
    return _with(case, circle("FIRE", *where, float(rng.uniform(20, 120))))


def alternates_removed(case: Case, rng: np.random.Generator) -> Case:
    k = int(rng.integers(len(case.plan.legs)))
    legs = tuple(replace(leg, alternates=()) if i == k else leg for i, leg in enumerate(case.plan.legs))
    return replace(case, plan=replace(case.plan, legs=legs), wrong={"no_alternate"})


def alternate_out_of_reach(case: Case, rng: np.random.Generator) -> Case:
    """The battery is lower at the start than planned for; what the plan claims of its alternates stays."""
    end_pct = float(rng.uniform(RESERVE_PCT, RESERVE_PCT + 2.0))
    start = end_pct + 100.0 * case.plan.energy.use_wh / COURIER.battery_wh
    energy = replace(case.plan.energy, start_pct=start, end_pct=end_pct)
    far = Alternate("salme" if case.goal != "salme" else "koru", 50_000.0, 1.0, 90.0)
    legs = (*case.plan.legs[:-1], replace(case.plan.legs[-1], alternates=(far,)))
    used = sum(leg.energy_wh for leg in legs)
    way = leg_energy(
        COURIER, PAYLOAD_KG, length_m=referee_length(legs[-1].end.position, SITES[far.site_id].position), track_deg=0.0,
        climb_m=0.0,
    )  # fmt: skip
    assert way is not None
    left = start - 100.0 * (used + way.energy_wh) / COURIER.battery_wh
    wrong = {"alternate_energy"} if left < RESERVE_PCT - 0.2 else {"?"}
    return replace(case, plan=replace(case.plan, energy=energy, legs=legs), wrong=wrong)


def reserve_lowered(case: Case, rng: np.random.Generator) -> Case:
    energy = replace(case.plan.energy, reserve_pct=float(rng.uniform(0, 19.9)))
    return replace(case, plan=replace(case.plan, energy=energy), wrong={"reserve"})


def battery_overstated(case: Case, rng: np.random.Generator) -> Case:
    energy = replace(case.plan.energy, end_pct=case.plan.energy.end_pct + float(rng.uniform(1, 30)))
    return replace(case, plan=replace(case.plan, energy=energy), wrong={"energy"})


def energy_understated(case: Case, rng: np.random.Generator) -> Case:
    k = int(rng.integers(len(case.plan.legs)))
    legs = tuple(
        replace(leg, energy_wh=leg.energy_wh * float(rng.uniform(0.0, 0.9)) - 0.1) if i == k else leg
        for i, leg in enumerate(case.plan.legs)
    )
    return replace(case, plan=replace(case.plan, legs=legs), wrong={"energy"})


def height_shifted(case: Case, rng: np.random.Generator) -> Case:
    points, k = points_of(case), int(rng.integers(0, len(case.plan.waypoints) - 1))
    points[k] = points[k][0], points[k][1] + float(rng.uniform(-120, 120))
    return flown(case, points)


def time_shifted(case: Case, rng: np.random.Generator) -> Case:
    return flown(case, points_of(case), depart_s=case.plan.depart_s + float(rng.uniform(-1800, 7200)))


def zone_appears(case: Case, rng: np.random.Generator) -> Case:
    way = np.array([xy(p) for p, _ in points_of(case)])
    k = int(rng.integers(len(way) - 1))
    where = way[k] + rng.random() * (way[k + 1] - way[k]) + rng.uniform(-600, 600, 2)
    return _with(case, circle("NEW", *where, float(rng.uniform(50, 700))))


def zone_grows(case: Case, rng: np.random.Generator) -> Case:
    zones = [z for z in case.airspace.zones if z.role == "keep_out"]
    here = points_of(case)[_inner(case, rng)][0]
    zone = min(
        zones, key=lambda z: float(referee.outside(np.array([[here.lat_deg, here.lon_deg]]), z.volumes[0].outline)[0])
    )
    outline, by = zone.volumes[0].outline, float(rng.uniform(1.0, 2.0))
    if isinstance(outline, Circle):
        grown: Circle | Polygon = Circle(outline.centre, outline.radius_m * by)
    else:
        ring = np.array([xy(p) for p in outline.outer])
        middle = ring.mean(axis=0)
        grown = Polygon(tuple(at(*(middle + by * (p - middle))) for p in ring))
    changed = replace(zone, volumes=(replace(zone.volumes[0], outline=grown),))
    return replace(case, airspace=Airspace(1, tuple(changed if z is zone else z for z in case.airspace.zones)))


def rally_outside(case: Case, rng: np.random.Generator) -> Case:
    far = at(*(rng.choice([-1, 1], 2) * rng.uniform(15_000, 40_000, 2)))
    rally = (*case.plan.rally, RallyPoint("x", far, 0.0))
    return replace(case, plan=replace(case.plan, rally=rally), wrong={"fence"})


def keep_in_without_home(case: Case, rng: np.random.Generator) -> Case:
    home = xy(case.plan.home)
    x, y = home + rng.uniform(-1.0, 1.0, 2) * 3000.0
    w, h = rng.uniform(200, 20_000, 2)
    box = Polygon(tuple(at(*p) for p in ((x, y), (x + w, y), (x + w, y + h), (x, y + h))))
    return replace(case, plan=replace(case.plan, fence=replace(case.plan.fence, keep_in=box)))


def many_vertices(case: Case, rng: np.random.Generator) -> Case:
    x, y = rng.uniform(30_000, 40_000, 2)
    corners = int(rng.integers(20, 90))
    ring = Polygon(tuple(at(x + 500 * np.cos(a), y + 500 * np.sin(a)) for a in np.linspace(0, 6.2, corners)))
    fence = replace(case.plan.fence, keep_out=(*case.plan.fence.keep_out, ring))
    return replace(case, plan=replace(case.plan, fence=fence))


def leg_reversed(case: Case, rng: np.random.Generator) -> Case:
    k = int(rng.integers(len(case.plan.legs)))
    leg = case.plan.legs[k]
    there = replace(leg, start=leg.end, end=leg.start)
    legs = (*case.plan.legs[:k], there, *case.plan.legs[k + 1 :])
    return replace(case, plan=replace(case.plan, legs=legs), wrong={"time", "gap"})


def item_twice(case: Case, rng: np.random.Generator) -> Case:
    points = points_of(case)
    k = int(rng.integers(len(points)))
    return flown(case, [*points[: k + 1], *points[k:]])


def not_a_number(case: Case, rng: np.random.Generator) -> Case:
    k = int(rng.integers(len(case.plan.legs)))
    bad = float(rng.choice([nan, inf, -inf]))
    leg = case.plan.legs[k]
    name = str(rng.choice(["alt_amsl_m", "eta_s", "energy_wh"]))
    changed = replace(leg, energy_wh=bad) if name == "energy_wh" else replace(leg, end=replace(leg.end, **{name: bad}))
    legs = (*case.plan.legs[:k], changed, *case.plan.legs[k + 1 :])
    return replace(case, plan=replace(case.plan, legs=legs), wrong={"not_finite"})


def stale_airspace(case: Case, rng: np.random.Generator) -> Case:
    return replace(case, airspace=Airspace(int(rng.integers(2, 9)), case.airspace.zones), wrong={"airspace_version"})


def wrong_goal(case: Case, rng: np.random.Generator) -> Case:
    other = str(rng.choice([s for s in SITES if s != case.goal]))
    return replace(case, goal=other, wrong={"goal"})


def _with(case: Case, zone: Zone) -> Case:
    return replace(case, airspace=Airspace(1, (*case.airspace.zones, zone)))


KINDS: tuple[Mutation, ...] = (
    vertex_shifted,
    corner_cut,
    item_dropped,
    wrong_frame,
    wrong_datum,
    feet_as_metres,
    all_swapped,
    one_swapped,
    alternate_closed,
    alternates_removed,
    alternate_out_of_reach,
    reserve_lowered,
    battery_overstated,
    energy_understated,
    height_shifted,
    time_shifted,
    zone_appears,
    zone_grows,
    rally_outside,
    keep_in_without_home,
    many_vertices,
    leg_reversed,
    item_twice,
    not_a_number,
    stale_airspace,
    wrong_goal,
)


def judged(case: Case) -> tuple[set[str], bool]:
    """What the referee finds unsafe, and whether it finds the plan safe with a metre to spare."""
    findings = [
        *referee.judge(case.plan, case.airspace, GROUND_M),
        *referee.ways_out(case.plan, case.airspace, {k: s.position for k, s in SITES.items()}, GROUND_M),
    ]
    flat = [f.gap_m for f in findings if f.what in ("zone", "keep_in")]
    if SAFE_M < min(flat, default=0.0) < SAFE_M + referee.STEP_M / 2 and all(f.gap_m > SAFE_M for f in findings):
        # A corner may reach between two samples: to say that there is room, it looks more closely.
        findings += referee.judge(case.plan, case.airspace, GROUND_M, step_m=2.0)
    unsafe = {f.what for f in findings if f.gap_m < UNSAFE_M} | (case.wrong - {"?"})
    if case.plan.legs[-1].end.alt_amsl_m - GROUND_M < 2.0:
        unsafe.add("ending")
    return unsafe, not case.wrong and not unsafe and all(f.gap_m > SAFE_M for f in findings)


def checked(case: Case) -> set[str]:
    rules = Rules(
        airspace=case.airspace,
        authorised=frozenset(),
        terrain=GROUND,
        reserve_pct=RESERVE_PCT,
        vehicle=COURIER,
        payload_kg=PAYLOAD_KG,
        goal=SITES[case.goal],
        sites=SITES,
    )
    return {v.code for v in check_plan(case.plan, rules)}


def play(kind: Mutation, times: int, seed: int) -> Counter[str]:
    tally: Counter[str] = Counter()
    for n in range(times):
        rng = np.random.default_rng((seed, n, KINDS.index(kind)))
        case = kind(good(n % 25 + 1000 * seed), rng)
        told = checked(case)
        # What the mutation broke by itself is known; the referee measures the rest.
        unsafe, safe = judged(case) if case.wrong <= {"?"} else (case.wrong, False)
        if unsafe:
            assert told, f"{kind.__name__} {seed} {n}: passed, though {unsafe}"
            assert told & unsafe, f"{kind.__name__} {seed} {n}: told {told}, it is {unsafe}"
            tally["unsafe"] += 1
        elif safe:
            tally["safe"] += 1
            if told:
                tally["refused though safe"] += 1
                tally[f"refused for {sorted(told)} at {n}"] += 1
        else:
            tally["open"] += 1
    return tally


def test_the_plans_are_good_before_they_are_made_wrong():
    for n in range(25):
        case = good(n)
        assert checked(case) == set()
        unsafe, _ = judged(case)
        assert unsafe == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_unsafe_plan_is_refused_for_what_is_wrong_with_it(kind):
    tally = play(kind, EACH, 0)
    assert tally["unsafe"] + tally["safe"] + tally["open"] == EACH
    assert tally["refused though safe"] == 0, tally
    assert tally["open"] <= EACH // 4, tally


def test_mutations_of_both_sorts_are_among_them():
    """A checker that refuses all, and one that accepts all, would not get here."""
    kinds = vertex_shifted, zone_appears, zone_grows, time_shifted, item_twice
    total = sum((play(k, 40, 0) for k in kinds), Counter())
    assert total["safe"] > 60, total
    assert total["unsafe"] > 30, total


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_the_same_over_other_airspaces(kind):
    total = sum((play(kind, EACH, seed) for seed in range(1, 11)), Counter())
    assert total["refused though safe"] <= 0.001 * total["safe"], total
