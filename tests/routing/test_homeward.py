"""What a plan says of PX4's own returns, made wrong on purpose, between the checker and a referee of its own.

The referee samples: from places along each leg it picks the destination by PX4's formula and looks at the straight
way there each 25 m. What it finds wrong, the checker must tell; what the checker tells, it must find wrong on a closer
look.
"""

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Datum, FlatTerrain, Height
from geofences.volumes import Circle, Polygon, Restriction, Volume, Zone
from missions.energy import climb_cost, leg_energy
from missions.plan import Leg, Plan, Return, Waypoint
from missions.planning import make_plan
from missions.routing.checker import Rules, check_plan
from missions.routing.homeward import DOUBTS, Destination, Homeward, Line
from missions.routing.judge import outlines
from missions.snapshot import Wind
from missions.vehicles import Airframe, ReturnRule
from tests.routing import referee
from tests.routing.test_mutations import PAIRS, _zone
from tests.routing.valley import (
    COURIER,
    GROUND,
    SITES,
    SUNDAY,
    VALLEY,
    at,
    circle,
    in_air,
    planned,
    polygon,
    request,
    xy,
)

EACH = 6
RULE = ReturnRule(0, 60.0, 110.0)
FLIER = replace(COURIER, returns=RULE)
PAYLOAD_KG, RESERVE_PCT, GROUND_M = 2.0, 20.0, 420.0
PX4_EARTH_M = 6_371_000.0
SURE_M = 1.0
WGS84 = Geod(ellps="WGS84")

Case = tuple[Plan, Airspace]


@lru_cache
def good(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    while True:
        start, goal = PAIRS[int(rng.integers(len(PAIRS)))]
        zones = tuple(z for i in range(14) if (z := _zone(rng, f"Z{i}")) is not None)
        airspace = Airspace(1, zones)
        asked = request(goal, start, airspace, home=SITES[start], depart_s=SUNDAY + 7.5 * 3600, vehicle=FLIER)
        if isinstance(made := make_plan(asked), Plan):
            return made, airspace


def told(case: Case, **more):
    plan, airspace = case
    rules = Rules(airspace, frozenset(), GROUND, vehicle=FLIER, payload_kg=PAYLOAD_KG, sites=SITES)
    found = check_plan(plan, replace(rules, **more))
    return [v for v in found if v.code.startswith("return") or v.code == "rtl"]


# the referee


def haversine(a: LatLon, b: LatLon) -> float:
    """As PX4's get_distance_to_next_waypoint."""
    lat_a, lon_a, lat_b, lon_b = np.radians([a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg])
    h = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return float(2 * PX4_EARTH_M * np.arcsin(np.sqrt(h)))


def place(leg: Leg, share: float) -> LatLon:
    a, b = (
        leg.start.position,
        leg.end.position,
    )  # between places 500 m apart straight: some millimetres beside the geodesic
    steps = referee.along(a, b, 500.0)
    along = np.linspace(0.0, 1.0, len(steps))
    return LatLon(*(float(np.interp(share, along, steps[:, k])) for k in (0, 1)))


def destinations(plan: Plan) -> dict[str, tuple[LatLon, float]]:
    home = next(s.site_id for s in SITES.values() if s.position == plan.home)
    rally = {r.site_id: (r.position, plan.home_amsl_m + r.alt_rel_home_m) for r in plan.rally}
    return {home: (plan.home, plan.home_amsl_m), **rally}


def named(plan: Plan, name: str) -> str:
    return next(iter(destinations(plan))) if name == "home" else name


def open_by(plan: Plan, airspace: Airspace, leg: Leg, share: float, name: str, step_m: float) -> float:
    """How far the return is from what is closed, metres; 0 where that is left open."""
    here = place(leg, share)
    to, ground_m = destinations(plan)[name]
    amsl = leg.start.alt_amsl_m + share * (leg.end.alt_amsl_m - leg.start.alt_amsl_m)
    way = referee.along(here, to, step_m)
    begin = leg.start.eta_s + share * (leg.end.eta_s - leg.start.eta_s)
    low, high = (max(amsl, ground_m + m) for m in (RULE.lowest_m, RULE.highest_m))
    gaps = [f.gap_m for f in referee._fence(plan, way)]
    for level, climb_s in ((low, (low - amsl) / 3.0), (high, (high - amsl) / 3.0)):
        times = begin + climb_s + np.linspace(0.0, haversine(here, to) / COURIER.cruise_m_s, len(way))
        gaps += [f.gap_m for f in referee._zones(way, np.full(len(way), level), times, airspace, GROUND_M)]
    down = np.linspace(ground_m, high, 15)
    spot = np.repeat(way[-1:], 15, axis=0)
    gaps += [f.gap_m for f in referee._zones(spot, down, np.full(15, times[-1] + 15.0), airspace, GROUND_M)]
    return min(gaps, default=9.0)


def left_pct(plan: Plan, k: int, share: float, name: str) -> float:
    leg, (to, ground_m) = plan.legs[k], destinations(plan)[name]
    here = place(leg, share)
    amsl = leg.start.alt_amsl_m + share * (leg.end.alt_amsl_m - leg.start.alt_amsl_m)
    high = max(amsl, ground_m + RULE.highest_m)
    used = sum(x.energy_wh for x in plan.legs[:k]) + share * leg.energy_wh
    way = leg_energy(FLIER, PAYLOAD_KG, length_m=max(1.0, referee.gap(here, to)), track_deg=0.0, climb_m=0.0)
    assert way is not None
    used += way.energy_wh
    used += sum(climb_cost(FLIER, PAYLOAD_KG, rise).energy_wh for rise in (high - amsl, ground_m - high))
    return plan.energy.start_pct - 100.0 * used / COURIER.battery_wh


def covering(leg: Leg, share: float, name: str, room_m: float) -> list[Return]:
    along = share * leg.length_m
    return [r for r in leg.returns if r.site_id == name and r.from_m - room_m <= along <= r.to_m + room_m]


def nearest(plan: Plan, leg: Leg, share: float, tie_m: float) -> list[str]:
    here = place(leg, share)
    away = {name: haversine(here, to) for name, (to, _) in destinations(plan).items()}
    return [name for name, m in away.items() if m <= min(away.values()) + tie_m]


def found_wrong(case: Case) -> set[str]:
    plan, airspace = case
    wrong = set()
    for k, leg in enumerate(plan.legs):
        for share in np.linspace(0.0, 1.0, 2 + int(leg.length_m / 300.0)):
            for name in nearest(plan, leg, share, 0.5):
                said = covering(leg, share, name, 1.5)
                if not said:
                    wrong.add("return_gap")
                if said and all(r.legal for r in said) and covering(leg, share, name, -5.0):
                    if open_by(plan, airspace, leg, share, name, 25.0) < -0.05:
                        wrong.add("return")
                    if left_pct(plan, k, share, name) < RESERVE_PCT - 0.3:
                        wrong.add("return_reserve")
    return wrong


def confirmed(case: Case, violation) -> bool:
    """A closer look at the place that the checker names."""
    plan, airspace = case
    if violation.code == "return_unknown":
        return not any(f" to {n}," in violation.text for n in destinations(plan))
    leg = plan.legs[violation.leg_index]
    share = referee.gap(leg.start.position, violation.at) / leg.length_m if leg.length_m else 0.0
    name = named(plan, next((n for n in ("home", *destinations(plan)) if f" to {n} from here" in violation.text), ""))
    if violation.code == "return_gap":
        return name in nearest(plan, leg, share, 4.0) and not covering(leg, share, name, -1.0)
    if violation.code == "return_reserve":
        return left_pct(plan, violation.leg_index, share, name) < RESERVE_PCT + 0.3
    return open_by(plan, airspace, leg, share, name, 2.0) < SURE_M


# what is made wrong


def one_return(case: Case, rng, change) -> Case | None:
    plan, airspace = case
    spots = [(i, j) for i, leg in enumerate(plan.legs) for j in range(len(leg.returns))]
    for i, j in rng.permutation(spots).tolist():
        changed = change(plan.legs[i].returns[j], plan.legs[i])
        if changed is not None:
            returns = (*plan.legs[i].returns[:j], *changed, *plan.legs[i].returns[j + 1 :])
            legs = (*plan.legs[:i], replace(plan.legs[i], returns=returns), *plan.legs[i + 1 :])
            return replace(plan, legs=legs), airspace
    return None


def claimed(case, rng):
    return one_return(case, rng, lambda r, leg: None if r.legal else (replace(r, legal=True),))


def dropped(case, rng):
    return one_return(case, rng, lambda r, leg: ())


def shortened(case, rng):
    by = float(rng.uniform(0.1, 0.9))
    return one_return(case, rng, lambda r, leg: (replace(r, to_m=r.from_m + by * (r.to_m - r.from_m)),))


def to_another(case, rng):
    names = list(destinations(case[0]))
    return one_return(case, rng, lambda r, leg: (replace(r, site_id=str(rng.choice(names))),))


def rally_moved(case, rng):
    plan, airspace = case
    if not plan.rally:
        return None
    k = int(rng.integers(len(plan.rally)))
    spot = at(*(xy(plan.rally[k].position) + rng.uniform(-1500, 1500, 2)))
    rally = tuple(replace(r, position=spot) if i == k else r for i, r in enumerate(plan.rally))
    return replace(plan, rally=rally), airspace


def rally_dropped(case, rng):
    plan, airspace = case
    return (replace(plan, rally=plan.rally[:-1]), airspace) if plan.rally else None


def zone_on_a_return(case, rng, **more):
    plan, airspace = case
    leg = plan.legs[int(rng.integers(len(plan.legs)))]
    name = nearest(plan, leg, share := float(rng.random()), 0.0)[0]
    a, s = xy(leg.start.position) * (1 - share) + xy(leg.end.position) * share, xy(destinations(plan)[name][0])
    where = a + rng.uniform(0.2, 0.9) * (s - a) + rng.uniform(-200, 200, 2)
    radius = float(10 ** rng.uniform(1.0, 2.5))
    if rng.random() < 0.5:
        zone = circle("NEW", *where, radius, **more)
    else:
        ring = [at(*(where + radius * np.array(c))) for c in ((-1, -0.3), (1, -0.5), (0.4, 1))]
        blank = circle("NEW", 0, 0, 1, **more)
        zone = replace(blank, volumes=(replace(blank.volumes[0], outline=Polygon(tuple(ring))),))
    return plan, Airspace(1, (*airspace.zones, zone))


def low_zone_on_a_return(case, rng):
    plan, airspace = zone_on_a_return(case, rng)
    zone: Zone = airspace.zones[-1]
    limits = {str(rng.choice(["lower", "upper"])): Height(float(rng.uniform(20.0, 140.0)), Datum.AGL)}
    return plan, Airspace(1, (*airspace.zones[:-1], replace(zone, volumes=(replace(zone.volumes[0], **limits),))))


def destination_closed(case, rng):
    plan, airspace = case
    to = xy(destinations(plan)[str(rng.choice(list(destinations(plan))))][0]) + rng.uniform(-60, 60, 2)
    return plan, Airspace(1, (*airspace.zones, circle("NEW", *to, 40.0, upper_agl_m=float(rng.uniform(20, 90)))))


def battery_lowered(case, rng):
    plan, airspace = case
    lower = plan.energy.start_pct - float(rng.uniform(20.0, 75.0))
    return replace(plan, energy=replace(plan.energy, start_pct=lower)), airspace


KINDS = (
    claimed,
    dropped,
    shortened,
    to_another,
    rally_moved,
    rally_dropped,
    zone_on_a_return,
    low_zone_on_a_return,
    destination_closed,
    battery_lowered,
)


def play(kind, times: int, seed: int) -> Counter[str]:
    tally: Counter[str] = Counter()
    for n in range(times):
        case = kind(good(n % 8 + 1000 * seed), np.random.default_rng((seed, n, KINDS.index(kind))))
        if case is None:
            continue
        violations, wrong = told(case), found_wrong(case)
        assert wrong <= {v.code for v in violations}, f"{kind.__name__} {seed} {n}: not told of {wrong}"
        for v in violations:
            assert confirmed(case, v), f"{kind.__name__} {seed} {n}: told {v}"
        tally["wrong" if wrong else "told" if violations else "fine"] += 1
    return tally


def test_what_good_plans_say_of_returns_is_taken():
    for n in range(8):
        assert told(good(n)) == []
        assert found_wrong(good(n)) == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_what_is_made_wrong_is_told_and_nothing_else(kind):
    tally = play(kind, EACH, 0)
    assert tally["wrong"] + tally["told"] >= 1, tally


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_the_same_of_other_plans(kind):
    for seed in range(1, 11):
        play(kind, 100, seed)


# single claims


def test_a_speck_between_two_looks_is_seen():
    """Two metres wide, wholly inside of what the returns sweep, and 60 m from the nearest regular look."""
    plan = planned(make_plan(request("ndeba", vehicle=FLIER)))
    leg = next(leg for leg in plan.legs if leg.length_m > 1500.0 and [r.site_id for r in leg.returns] == ["midway"])
    start, end, to = xy(leg.start.position), xy(leg.end.position), xy(SITES["midway"].position)
    a = start + (0.5 + 60.0 / leg.length_m) * (end - start)
    speck = circle("SPECK", *(a + 0.4 * (to - a)), 1.0)
    assert [v.zone_id for v in told((plan, Airspace(1, (*VALLEY.zones, speck))))] == ["SPECK"]


@given(st.integers(0, 2**32 - 1), st.sampled_from([-34.0, 7.0, 47.0, 65.0]))
def test_what_lies_across_any_one_return_is_seen(seed, lat_deg):
    """A circle of half a metre or a hundred, by the geodesic from a random place of a line of flight of up to 40 km."""
    rng = np.random.default_rng(seed)

    def off(at: LatLon, course_deg: float, by_m: float) -> LatLon:
        lon, lat, _ = WGS84.fwd(at.lon_deg, at.lat_deg, course_deg, by_m)
        return LatLon(lat, lon)

    start = LatLon(lat_deg, 8.0)
    length_m, away_m = 10 ** rng.uniform(2.5, 4.6, 2)
    line = Line(Waypoint(start, 80.0, 0.0), Waypoint(off(start, rng.uniform(0, 360), length_m), 80.0, length_m / 20.0))
    home = off(start, rng.uniform(0, 360), away_m)
    here = line.at(rng.uniform(0.01, 0.99)).position
    course_deg, _, way_m = WGS84.inv(here.lon_deg, here.lat_deg, home.lon_deg, home.lat_deg)
    speck = Circle(off(here, course_deg, rng.uniform(0.05, 0.95) * way_m), float(10 ** rng.uniform(-0.3, 2.0)))
    airspace = Airspace(1, (Zone("SPECK", "", Restriction.PROHIBITED, (Volume(speck),)),))
    rules = Rules(airspace, frozenset(), FlatTerrain(0.0))
    px4 = Homeward([Destination("home", home, 0.0)], rules, RULE, outlines(airspace))
    assert px4.objection(line, 0.0, 1.0, 0) is not None


def test_the_tip_of_a_zone_that_only_climbing_to_the_return_meets_is_seen():
    """It crosses the leg, above it, from the other side and askew: the return by way of its tip only grazes it."""
    plan = planned(make_plan(request("ndeba", vehicle=FLIER)))
    leg = next(leg for leg in plan.legs if leg.length_m > 1500.0 and [r.site_id for r in leg.returns] == ["midway"])
    start, end, to = xy(leg.start.position), xy(leg.end.position), xy(SITES["midway"].position)
    across, back = (end - start) / leg.length_m, (start - to) / np.hypot(*(start - to))
    tip = start + (0.5 * leg.length_m + 60.0) * across - 20.0 * back
    corners = tip, tip + 60.0 * back + 60.0 * across, tip + 60.0 * back + 100.0 * across
    zone = polygon("TIP", *corners)
    zone = replace(zone, volumes=(replace(zone.volumes[0], lower=Height(100.0, Datum.AGL)),))
    assert [v.zone_id for v in told((plan, Airspace(1, (*VALLEY.zones, zone))))] == ["TIP"]


def test_a_return_that_the_wind_does_not_let_be_flown_is_told():
    assert {v.code for v in told(good(0), wind=Wind(0.0, 19.8))} >= {"return_wind"}


def test_without_a_known_rule_no_return_counts_as_legal():
    circling = replace(FLIER, returns=replace(RULE, rtl_type=1))
    assert {v.code for v in told(good(0), vehicle=circling)} == {"return_rule"}


def test_a_vtol_that_hovers_far_from_where_it_would_return_to_is_told():
    vtol = replace(FLIER, airframe=Airframe.VTOL)
    assert "return_rotors" in {v.code for v in told(good(0), vehicle=vtol)}


def test_a_departure_without_a_whole_envelope_is_refused_where_policy_asks_for_one():
    beside = make_plan(request("orvane", vehicle=FLIER))
    assert any(not r.legal for leg in planned(beside).legs for r in leg.returns)
    assert told((beside, VALLEY)) == []
    assert {v.code for v in told((beside, VALLEY), require_contingency=True)} == {"rtl"}


def test_a_destination_that_is_neither_home_nor_a_rally_point_is_told():
    plan, airspace = good(0)
    legs = tuple(replace(leg, returns=tuple(replace(r, site_id="quay") for r in leg.returns)) for leg in plan.legs)
    assert {"return_unknown", "return_gap"} == {v.code for v in told((replace(plan, legs=legs), airspace))}


def test_numbers_that_are_none_claim_nothing():
    plan, airspace = good(0)
    nan, home = float("nan"), next(iter(destinations(plan)))
    legs = tuple(replace(leg, returns=(Return(nan, nan, home, legal=True),)) for leg in plan.legs)
    assert {v.code for v in told((replace(plan, legs=legs), airspace))} == {"return_gap"}


def test_a_return_across_the_fence_on_board_is_told():
    plan, _ = good(0)
    free = Airspace(1, ())
    leg = max(plan.legs, key=lambda leg: leg.length_m)
    to = xy(destinations(plan)[leg.returns[0].site_id][0])
    where = 0.5 * (to + xy(leg.start.position))
    fence = replace(plan.fence, keep_out=(Circle(at(*where), 30.0),))
    case = replace(plan, fence=fence), free
    crossing = [v for v in told(case) if "enter a keep-out of the fence" in v.text]
    assert crossing
    assert all(confirmed(case, v) for v in crossing), "the referee must know of the fence too"


def test_in_the_air_a_return_that_leads_down_into_a_zone_is_not_called_legal():
    """A rally point stays on board although the ground below it has been closed."""
    held = planned(make_plan(request("koru", airspace=Airspace(1, ()), vehicle=FLIER)))
    low = circle("FIRE", *xy(held.rally[0].position), 60.0, upper_agl_m=40.0)
    there = in_air("koru", 5000, -2000, Airspace(1, (low,)), vehicle=FLIER, on_board=held.on_board)
    said = [r for leg in planned(make_plan(there)).legs for r in leg.returns if r.site_id == held.rally[0].site_id]
    assert said
    assert not any(r.legal for r in said)
    assert "FIRE" in said[0].reason


def test_codes_of_doubt_are_those_that_the_checker_tells():
    codes = {v.code for n, kind in enumerate(KINDS) if (c := kind(good(n), np.random.default_rng(n))) for v in told(c)}
    assert codes & DOUBTS
