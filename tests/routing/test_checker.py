"""The independent checker: it refuses what was made wrong, each for the right reason, and lets safe plans pass."""

import random
from dataclasses import replace

import numpy as np
import pytest

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.volumes import Applicability, Circle, DailyPeriod, Polygon
from missions.plan import Ending, Infeasible, Leg, RallyPoint, Waypoint
from missions.planning import make_plan
from missions.routing.checker import Rules, check_plan
from missions.snapshot import Wind
from tests.routing.oracles import samples
from tests.routing.valley import (
    CLOSURE,
    COURIER,
    FRAME,
    GROUND,
    SITES,
    SUNDAY,
    VALLEY,
    at,
    circle,
    in_air,
    keep_in,
    planned,
    request,
    xy,
)

PLAN = planned(make_plan(request("ndeba")))


def rules(airspace=VALLEY, goal="ndeba", **more):
    return Rules(
        airspace=airspace,
        authorised=frozenset(),
        terrain=GROUND,
        vehicle=COURIER,
        payload_kg=2.0,
        goal=SITES[goal],
        sites=SITES,
        **more,
    )


def codes(plan, the_rules=None):
    return {v.code for v in check_plan(plan, the_rules or rules())}


def with_waypoints(plan, change):
    """The plan with each waypoint changed and its lengths made to fit, so that only the change itself is wrong."""
    from geofences.geodesy import distance_m

    points = [change(i, w) for i, w in enumerate(plan.waypoints)]
    legs = tuple(
        Leg(a, b, distance_m(a.position, b.position), max(leg.energy_wh, 60.0), leg.alternates)
        for leg, a, b in zip(plan.legs, points, points[1:], strict=False)
    )
    return replace(plan, legs=legs, energy=replace(plan.energy, use_wh=1000.0))


def moved(plan, k, east_m, north_m):
    def change(i, w):
        if i != k:
            return w
        x, y = xy(w.position)
        return replace(w, position=at(x + east_m, y + north_m))

    return with_waypoints(plan, change)


def test_a_good_plan_passes():
    assert check_plan(PLAN, rules()) == ()


def test_a_waypoint_inside_a_zone_is_found_with_leg_zone_and_place():
    found = [v for v in check_plan(moved(PLAN, 1, 0.0, 200.0), rules()) if v.code == "zone"]
    assert {v.leg_index for v in found} == {0, 1}
    assert {v.zone_id for v in found} == {"TVAD"}
    assert all(v.at is not None and 400 < xy(v.at)[1] < 800 for v in found)


def test_a_leg_that_crosses_a_zone_between_good_waypoints_is_found():
    straight = replace(PLAN, legs=(replace(PLAN.legs[0], end=PLAN.legs[-2].end), PLAN.legs[-1]))
    straight = with_waypoints(straight, lambda _, w: w)
    assert {v.zone_id for v in check_plan(straight, rules()) if v.code == "zone"} == {"TVAD", "PARK"}


@pytest.mark.parametrize("gap_m", [-0.05, 0.05])
def test_a_circle_is_judged_to_centimetres(gap_m):
    plan = planned(make_plan(request("koru", airspace=Airspace(1, ()))))
    (a, b) = (xy(w.position) for w in plan.waypoints[:2])
    along = (b - a) / np.hypot(*(b - a))
    centre = a + along * 3333.3 + np.array([-along[1], along[0]]) * (500.0 + gap_m)
    airspace = Airspace(1, (circle("C", *centre, 500.0),))
    # The valley's plane is true to some centimetres over these kilometres: the middle is corrected on the ellipsoid.
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    start, end = plan.waypoints[0].position, plan.waypoints[1].position
    c = airspace.zones[0].volumes[0].outline.centre
    line = geod.inv_intermediate(
        start.lon_deg, start.lat_deg, end.lon_deg, end.lat_deg, npts=20_001, initial_idx=0, terminus_idx=0,
        return_back_azimuth=False,
    )  # fmt: skip
    nearest = float(np.min(geod.inv([c.lon_deg] * 20_001, [c.lat_deg] * 20_001, line.lons, line.lats)[2]))
    touched = Airspace(1, (replace(airspace.zones[0], volumes=(replace(airspace.zones[0].volumes[0],
        outline=Circle(c, nearest - gap_m)),)),))  # fmt: skip
    assert ("zone" in codes(plan, rules(touched, "koru"))) == (gap_m < 0)


def test_a_zone_with_hours_counts_only_near_its_hours():
    from datetime import time

    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(8), time(9)),)),)
    plan = planned(make_plan(request("koru", airspace=Airspace(1, ()), depart_s=SUNDAY + 7.8 * 3600)))
    over = circle("H", 3400, -1200, 300, applicability=hours)
    assert codes(plan, rules(Airspace(1, (over,)), "koru")) == set(), "over it at 07:51"
    later = planned(make_plan(request("koru", airspace=Airspace(1, ()), depart_s=SUNDAY + 7.93 * 3600)))
    assert "zone" in codes(later, rules(Airspace(1, (over,)), "koru")), "08:00 within the slack of a minute"


def test_a_way_out_is_excused_once_and_only_at_the_start():
    closed = VALLEY.with_zone(CLOSURE)
    plan = planned(make_plan(in_air("salme", -2550, 2800, closed)))
    assert codes(plan, rules(closed, "salme")) == set()
    assert "zone" in codes(replace(plan, exits_zone=()), rules(closed, "salme"))
    back = with_waypoints(plan, lambda i, w: replace(w, position=at(-2550, 2800)) if i == 2 else w)
    assert "zone" in codes(back, rules(closed, "salme")), "in again after having left"


def test_leaving_the_keep_in_is_found():
    small = Airspace(1, (keep_in("BOX", -500, -500, 3000, 4000),))
    assert "keep_in" in codes(PLAN, rules(small))


def test_fence_and_rally_must_suit_px4():
    home = at(0, 0)
    square = Polygon(tuple(at(x, y) for x, y in ((100, 100), (900, 100), (900, 900), (100, 900))))
    assert "fence" in codes(replace(PLAN, fence=replace(PLAN.fence, keep_in=square)))
    assert "fence" in codes(replace(PLAN, fence=replace(PLAN.fence, keep_out=(Circle(home, 50.0),))))
    across = Circle(PLAN.waypoints[2].position, 50.0)
    assert "fence" in codes(replace(PLAN, fence=replace(PLAN.fence, keep_out=(across,))))
    many = tuple(Polygon(tuple(at(-3000 + k, -3000 + j) for k, j in ((0, 0), (9, 0), (9, 9)))) for _ in range(22))
    assert "fence" in codes(replace(PLAN, fence=replace(PLAN.fence, keep_out=many)))
    assert "rally" in codes(replace(PLAN, rally=tuple(RallyPoint(f"r{i}", home, 0.0) for i in range(9))))


# plans made wrong on purpose


def swap(p):
    return LatLon(p.lon_deg, p.lat_deg)


MUTANTS = {
    "vertex shifted into a zone": (lambda r: moved(PLAN, 1, 0.0, r.uniform(60, 600)), {"zone"}),
    "vertex shifted into the park": (lambda r: moved(PLAN, 2, -r.uniform(60, 300), 30.0), {"zone"}),
    "leg dropped": (lambda r: replace(PLAN, legs=PLAN.legs[:2] + PLAN.legs[3:]), {"gap"}),
    "last leg dropped": (lambda r: replace(PLAN, legs=PLAN.legs[: r.randint(1, 3)]), {"goal", "time"}),
    "no legs": (lambda r: replace(PLAN, legs=()), {"no_legs"}),
    "relative heights as AMSL": (
        lambda r: with_waypoints(PLAN, lambda _, w: replace(w, alt_amsl_m=w.alt_amsl_m - 420.0)),
        {"terrain"},
    ),
    "AMSL heights as above ground": (
        lambda r: with_waypoints(PLAN, lambda _, w: replace(w, alt_amsl_m=w.alt_amsl_m + 420.0)),
        {"ceiling"},
    ),
    "feet as metres": (
        lambda r: with_waypoints(PLAN, lambda _, w: replace(w, alt_amsl_m=420 + (w.alt_amsl_m - 420) / 0.3048)),
        {"ceiling"},
    ),
    "lat and lon swapped": (
        lambda r: with_waypoints(PLAN, lambda _, w: replace(w, position=swap(w.position))),
        {"goal"},
    ),
    "one waypoint swapped": (
        lambda r: with_waypoints(PLAN, lambda i, w: replace(w, position=swap(w.position)) if i == 2 else w),
        {"far"},
    ),
    "reserve lowered": (
        lambda r: replace(PLAN, energy=replace(PLAN.energy, reserve_pct=r.uniform(0, 19))),
        {"reserve"},
    ),
    "end of battery raised": (
        lambda r: replace(PLAN, energy=replace(PLAN.energy, end_pct=PLAN.energy.end_pct + r.uniform(1, 20))),
        {"energy"},
    ),
    "use of energy lowered": (
        lambda r: replace(PLAN, energy=replace(PLAN.energy, use_wh=PLAN.energy.use_wh * r.uniform(0.1, 0.5))),
        {"energy"},
    ),
    "a leg's energy lowered": (
        lambda r: replace(PLAN, legs=(replace(PLAN.legs[0], energy_wh=r.uniform(0, 20)), *PLAN.legs[1:])),
        {"energy"},
    ),
    "alternates removed": (
        lambda r: replace(PLAN, legs=tuple(replace(leg, alternates=()) for leg in PLAN.legs)),
        {"no_alternate"},
    ),
    "alternate unknown": (
        lambda r: replace(PLAN, legs=tuple(replace(leg, alternates=(replace(leg.alternates[0], site_id="x"),))
                          for leg in PLAN.legs)),
        {"alternate_unknown"},
    ),
    "alternate nearer than it is": (
        lambda r: replace(PLAN, legs=tuple(replace(leg, alternates=(replace(leg.alternates[0], distance_m=1.0),))
                          for leg in PLAN.legs)),
        {"alternate_distance"},
    ),
    "alternate without reserve": (
        lambda r: replace(PLAN, legs=tuple(replace(leg, alternates=(replace(leg.alternates[0], reserve_pct=5.0),))
                          for leg in PLAN.legs)),
        {"alternate_reserve"},
    ),
    "another goal": (lambda r: replace(PLAN, goal_site="koru"), {"goal"}),
    "older airspace": (lambda r: replace(PLAN, airspace_version=0), {"airspace_version"}),
    "flown twice as fast": (
        lambda r: with_waypoints(PLAN, lambda _, w: replace(w, eta_s=SUNDAY + (w.eta_s - SUNDAY) / 2)),
        {"time"},
    ),
    "backwards in time": (
        lambda r: with_waypoints(PLAN, lambda i, w: replace(w, eta_s=SUNDAY - 100.0 * i)),
        {"time"},
    ),
    "not a number": (
        lambda r: with_waypoints(PLAN, lambda i, w: replace(w, alt_amsl_m=float("nan")) if i == 1 else w),
        {"not_finite"},
    ),
    "drop on the ground": (
        lambda r: with_waypoints(PLAN, lambda i, w: replace(w, alt_amsl_m=420.0) if i == len(PLAN.legs) else w),
        {"ending"},
    ),
    "landing in the air": (lambda r: replace(PLAN, ending=Ending.LAND), {"ending"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_plan_made_wrong_is_refused_for_that(name):
    mutate, expected = MUTANTS[name]
    rng = random.Random(name)
    for _ in range(10):
        assert codes(mutate(rng)) & expected, name


def test_a_closed_alternate_is_refused():
    fire = VALLEY.with_zone(circle("FIRE", 3500, -1000, 200))
    plan = replace(PLAN, airspace_version=2)
    found = [v for v in check_plan(plan, rules(fire)) if v.code == "alternate_closed"]
    assert found
    assert {v.zone_id for v in found} == {"FIRE"}


def test_a_wind_that_was_not_planned_for_is_found():
    assert codes(PLAN, rules(wind=Wind(-9.0, -9.0))) & {"energy", "time"}


def test_safe_plans_pass_over_a_random_field_and_moved_ones_only_where_the_oracle_agrees():
    rng = np.random.default_rng(3)
    passed = moved_in = moved_out = 0
    for _ in range(40):
        zones = [circle(f"Z{i}", *rng.uniform(-6500, 6500, 2), float(rng.uniform(200, 900))) for i in range(8)]
        clear = [z for z in zones if min(
            np.hypot(*(xy(s.position) - xy(z.volumes[0].outline.centre))) for s in SITES.values()
        ) > z.volumes[0].outline.radius_m + 100]  # fmt: skip
        airspace = Airspace(1, tuple(clear))
        plan = make_plan(request("koru", "salme", airspace=airspace, home=SITES["salme"], then_home=False))
        if isinstance(plan, Infeasible):
            continue
        passed += 1
        k = int(rng.integers(1, len(plan.waypoints) - 1))
        other = moved(plan, k, *rng.uniform(-600, 600, 2))
        points = samples(FRAME.to_xy([w.position for w in other.waypoints]), 5.0)
        gaps = [
            np.hypot(*(points - xy(z.volumes[0].outline.centre)).T).min() - z.volumes[0].outline.radius_m for z in clear
        ]
        found = "zone" in codes(other, rules(airspace, "koru"))
        if gaps and min(gaps) < -1.0:
            assert found
            moved_in += 1
        elif not gaps or min(gaps) > 1.0:
            assert not found
            moved_out += 1
    assert passed > 25
    assert moved_in > 3
    assert moved_out > 3


def test_the_first_waypoint_is_a_waypoint():
    assert isinstance(PLAN.waypoints[0], Waypoint)
