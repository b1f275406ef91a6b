"""Plans in the demo valley: around, under, through and out of zones, with energy and ways out, or the reasons."""

from dataclasses import replace
from datetime import time

import numpy as np
import pytest
import shapely

from geofences.airspace import Airspace
from geofences.geodesy import LatLon, distance_m
from geofences.heights import FlatTerrain, Terrain
from geofences.volumes import Applicability, Circle, DailyPeriod, Restriction, Role
from missions.plan import Ending, Infeasible, Plan
from missions.planning import DROP_HOVER_S, make_plan, why_not
from missions.routing.planner import Route, RouteRequest, plan_route
from missions.sites import SiteKind
from missions.snapshot import Wind
from missions.vehicles import Airframe
from tests.routing.oracles import samples, winding_inside
from tests.routing.valley import (
    ALTERNATES,
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
    polygon,
    refused,
    request,
    site,
    xy,
)

CLOSED = VALLEY.with_zone(CLOSURE)


def path_xy(plan):
    return FRAME.to_xy([w.position for w in plan.waypoints])


def clearance_m(plan, zone):
    line = shapely.LineString(path_xy(plan))
    gaps = []
    for v in zone.volumes:
        if isinstance(v.outline, Circle):
            gaps.append(line.distance(shapely.Point(xy(v.outline.centre))) - v.outline.radius_m)
        else:
            gaps.append(line.distance(shapely.Polygon(FRAME.to_xy(v.outline.outer))))
    return min(gaps)


# the demo's story


def test_the_straight_way_to_ndeba_crosses_two_closed_zones_and_the_plan_goes_round_both():
    plan = planned(make_plan(request("ndeba")))
    around = [r.text.split()[1] for r in plan.notes if r.code == "around"]
    assert around == ["TVAD", "PARK"]
    for zone_id in around:
        assert clearance_m(plan, VALLEY.zone(zone_id)) >= 30.0 - 0.1
    straight = distance_m(SITES["teral"].position, SITES["ndeba"].position)
    assert straight < plan.length_m < 1.12 * straight


@pytest.mark.parametrize("goal", ["koru", "salme", "midway"])
def test_the_ways_to_the_others_are_straight(goal):
    plan = planned(make_plan(request(goal)))
    assert plan.length_m == pytest.approx(distance_m(SITES["teral"].position, SITES[goal].position), abs=1.0)
    assert not [r for r in plan.notes if r.code == "around"]


@pytest.mark.parametrize("height", [80.0, 95.0, 65.0])
def test_every_site_can_be_flown_between_at_every_layer(height):
    for start in SITES:
        for goal in SITES:
            if start != goal:
                planned(make_plan(request(goal, start, ending=Ending.LAND, cruise_agl_m=height)))


def test_a_closure_across_the_way_to_salme_is_flown_round_from_the_air():
    before = planned(make_plan(in_air("salme", -1000, 1095)))
    after = planned(make_plan(in_air("salme", -1000, 1095, CLOSED)))
    assert len(before.legs) == 2
    assert clearance_m(after, CLOSURE) >= 29.9
    assert after.length_m > before.length_m + 50.0
    assert after.airspace_version == 2


# what the waypoints mean


def test_a_delivery_climbs_cruises_and_comes_down_over_the_pad():
    plan = planned(make_plan(request("koru")))
    heights = [w.alt_amsl_m for w in plan.waypoints]
    assert heights == [500.0, 500.0, 428.0]
    assert plan.waypoints[0].position == SITES["teral"].position
    assert plan.waypoints[1].position == plan.waypoints[2].position == SITES["koru"].position
    climb_s = 80.0 / COURIER.climb_m_s
    assert plan.waypoints[0].eta_s == pytest.approx(SUNDAY + climb_s)
    assert plan.legs[-1].length_m == 0.0
    assert plan.arrive_s == plan.waypoints[-1].eta_s
    assert plan.waypoints[1].eta_s == pytest.approx(plan.waypoints[0].eta_s + plan.length_m / 20.0)


def test_a_landing_ends_on_the_ground():
    plan = planned(make_plan(request("quarry", ending=Ending.LAND)))
    assert [w.alt_amsl_m for w in plan.waypoints[-2:]] == [500.0, 420.0]


def test_in_the_air_the_plan_begins_where_the_vehicle_is():
    level = planned(make_plan(in_air("salme", -1000, 1095)))
    assert level.waypoints[0].position == at(-1000, 1095)
    low = planned(make_plan(in_air("teral", 6800, -2400, start_amsl_m=428.0, ending=Ending.LAND, then_home=False)))
    assert [w.alt_amsl_m for w in low.waypoints] == [428.0, 500.0, 500.0, 420.0]
    assert low.waypoints[0].position == low.waypoints[1].position


def test_a_landing_right_below_is_one_vertical_leg():
    plan = planned(make_plan(in_air("teral", 0, 0, ending=Ending.LAND, then_home=False)))
    assert plan.length_m == 0.0
    assert plan.waypoints[-1].alt_amsl_m == 420.0


# heights, authorisations, times


def test_below_its_floor_the_ring_of_the_aerodrome_is_flown_under_and_its_core_round():
    high, low = planned(make_plan(request("ndeba"))), planned(make_plan(request("ndeba", cruise_agl_m=50.0)))
    assert low.length_m < high.length_m - 50.0
    assert {(r.code, r.text.split()[1]) for r in low.notes} >= {("under", "TVAD"), ("around", "TVAD")}
    assert "TVAD" in low.fence.enforced_by_controller


def test_an_authorisation_opens_the_aerodrome_but_nothing_opens_the_park():
    plan = planned(make_plan(request("ndeba", authorised=frozenset({"TVAD", "PARK"}))))
    codes = {r.text.split()[1]: r.code for r in plan.notes if r.code in ("around", "through")}
    assert codes == {"TVAD": "through", "PARK": "around"}


def test_a_zone_closes_for_every_flight_that_reaches_into_its_hours():
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(8), time(9)),)),)
    airspace = Airspace(1, (circle("SCHOOL", 3400, -1200, 300, applicability=hours),))
    at_s = {"early": SUNDAY + 7 * 3600, "into": SUNDAY + 7.95 * 3600, "after": SUNDAY + 9.2 * 3600}
    lengths = {k: planned(make_plan(request("koru", airspace=airspace, depart_s=t))).length_m for k, t in at_s.items()}
    assert lengths["early"] == lengths["after"] < lengths["into"]


def test_what_blocks_is_the_smallest_set_with_what_would_open_it():
    ring = [(-900, -900), (900, -900), (900, 900), (-900, 900)]
    wall = [polygon(f"W{i}", a, b, (b[0] * 1.2, b[1] * 1.2), (a[0] * 1.2, a[1] * 1.2)) for i, (a, b) in
            enumerate(zip(ring, ring[1:] + ring[:1], strict=True))]  # fmt: skip
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(0), time(6)),)),)
    wall[1] = replace(wall[1], applicability=hours)
    outcome = refused(make_plan(request("koru", airspace=Airspace(1, tuple(wall)), depart_s=SUNDAY + 3600)))
    assert len(outcome.zone_ids) == 1, "opening any one wall is enough"
    (reason,) = outcome.reasons
    assert reason.code == "blocked"
    only = refused(make_plan(request("koru", airspace=Airspace(1, (replace(wall[1], volumes=tuple(
        v for w in wall for v in w.volumes)),)), depart_s=SUNDAY + 3600)))  # fmt: skip
    assert "depart at 2026-03-01 06:00 UTC" in only.reasons[0].fix


def test_a_destination_inside_a_zone_is_refused_with_what_would_open_it():
    over = circle("CTR", 6800, -2400, 400, lower_agl_m=60.0, restriction=VALLEY.zone("TVAD").restriction)
    outcome = refused(make_plan(request("koru", airspace=Airspace(1, (over,)))))
    assert outcome.zone_ids == ("CTR",)
    assert outcome.reasons[0].fix == "not tried: authorise CTR; or fly below 55 m above ground"
    planned(make_plan(request("koru", airspace=Airspace(1, (over,)), cruise_agl_m=50.0)))


def test_no_take_off_inside_a_closed_zone():
    outcome = refused(make_plan(request("koru", airspace=VALLEY.with_zone(circle("FIRE", 100, 0, 300)))))
    assert outcome.reasons[0].code == "inside_zone"


# keep-ins


def test_several_keep_ins_are_their_union_and_the_way_stays_inside():
    airspace = Airspace(1, (keep_in("A", -500, -500, 1500, 3500), keep_in("B", -500, 2500, 6000, 3500)))
    plan = planned(make_plan(request("ndeba", airspace=airspace)))
    points = samples(path_xy(plan))
    in_a = (points > (-500, -500)).all(axis=1) & (points < (1500, 3500)).all(axis=1)
    in_b = (points > (-500, 2500)).all(axis=1) & (points < (6000, 3500)).all(axis=1)
    assert (in_a | in_b).all()
    assert plan.length_m > 6000.0


def test_a_goal_outside_of_every_keep_in_is_refused():
    outcome = refused(make_plan(request("koru", airspace=Airspace(1, (keep_in("A", -500, -500, 1500, 3500),)))))
    assert outcome.zone_ids == ("A",)


# in a closed zone, and near one


def test_when_a_zone_closes_around_the_vehicle_the_shortest_way_out_comes_first():
    plan = planned(make_plan(in_air("salme", -2550, 2800, CLOSED)))
    assert plan.exits_zone == ("TFR-1",)
    outline = shapely.Polygon(FRAME.to_xy(CLOSURE.volumes[0].outline.outer))
    way_out = plan.legs[0].length_m
    nearest = outline.exterior.distance(shapely.Point(-2550, 2800))
    assert nearest < way_out < nearest + 50.0
    rest = samples(path_xy(plan)[1:])
    assert not winding_inside(rest, shapely.get_coordinates(outline)[:-1]).any()
    assert plan.notes[0].code == "exit"


def test_there_is_a_way_out_of_it_from_any_height():
    """The first leg climbs within the zone: from there the alternates are reached by the way out, like everything."""
    plan = planned(make_plan(in_air("salme", -2550, 2800, CLOSED, start_amsl_m=475.0)))
    assert plan.exits_zone == ("TFR-1",)
    assert plan.legs[0].length_m == 0.0
    assert all(leg.alternates for leg in plan.legs)


def test_out_of_two_overlapping_zones_at_once():
    airspace = Airspace(1, (circle("A", 1000, 0, 400), circle("B", 1500, 0, 400)))
    plan = planned(make_plan(in_air("ndeba", 1250, 0, airspace)))
    assert set(plan.exits_zone) == {"A", "B"}


def test_a_pad_near_a_zone_is_flown_with_a_smaller_margin_and_says_so():
    airspace = Airspace(1, (circle("NEAR", 7120, -2400, 300),))
    plan = planned(make_plan(request("koru", airspace=airspace)))
    assert any(r.code == "near" and "only 17 m clear of NEAR" in r.text for r in plan.notes)


# energy and ways out


def test_each_leg_has_a_way_out_that_leaves_the_reserve():
    for goal in ("ndeba", "koru", "salme", "orvane"):
        plan = planned(make_plan(request(goal)))
        for leg in plan.legs:
            assert leg.alternates
            assert all(a.reserve_pct >= 20.0 for a in leg.alternates)
            assert list(leg.alternates) == sorted(leg.alternates, key=lambda a: a.distance_m)


def test_a_way_out_is_never_longer_than_the_plan_says():
    """From any point of a leg: straight to the alternate where that is free is at most what the plan carries."""
    plan = planned(make_plan(request("koru")))
    for leg in plan.legs:
        for alternate in leg.alternates:
            there = xy(SITES[alternate.site_id].position)
            a, b = xy(leg.start.position), xy(leg.end.position)
            farthest = max(float(np.hypot(*(a + (b - a) * s - there))) for s in np.linspace(0, 1, 50))
            assert alternate.distance_m >= farthest - 1.0 or alternate.distance_m >= leg.length_m / 2


def test_the_budget_counts_the_hover_and_the_way_home():
    there = planned(make_plan(request("koru", then_home=False)))
    both = planned(make_plan(request("koru")))
    legs = sum(leg.energy_wh for leg in there.legs)
    assert there.energy.use_wh > legs
    assert both.energy.use_wh > 1.8 * legs
    assert both.energy.end_pct == pytest.approx(100 - 100 * both.energy.use_wh / COURIER.battery_wh)
    assert DROP_HOVER_S > 0


def test_too_little_battery_too_much_wind_or_load_is_refused_with_a_fix():
    low = refused(make_plan(request("koru", battery_pct=45.0)))
    assert {"reserve"} <= {r.code for r in low.reasons}
    assert all(r.fix for r in low.reasons)
    assert refused(make_plan(request("koru", wind=Wind(10.0, 10.0)))).reasons[0].code == "wind"
    assert refused(make_plan(request("koru", payload_kg=3.5))).reasons[0].code == "payload"
    assert refused(make_plan(request("koru", cruise_agl_m=130.0))).reasons[0].code == "ceiling"


def test_a_vehicle_in_the_air_is_led_to_a_landing_also_in_wind_beyond_its_limit():
    storm = Wind(10.0, 10.0)
    homeward = {"start": "koru", "start_amsl_m": 500.0, "take_off": False, "ending": Ending.LAND}
    assert isinstance(make_plan(request("teral", wind=storm, **homeward)), Plan)
    assert refused(make_plan(request("teral", wind=storm, **homeward | {"ending": Ending.HOLD_AT_DROP})))


def test_a_head_wind_costs_time_and_energy():
    calm = planned(make_plan(request("koru")))
    head = planned(make_plan(request("koru", wind=Wind(0.0, -8.0))))
    assert head.arrive_s - head.depart_s > 1.3 * (calm.arrive_s - calm.depart_s)
    assert head.energy.use_wh > calm.energy.use_wh


def test_unknown_ground_is_refused():
    class Unknown(Terrain):
        def ground_amsl_m(self, at):
            return None

    assert refused(make_plan(request("koru", terrain=Unknown()))).reasons[0].code == "terrain"


# the vehicle's own fence


def test_the_fence_holds_home_and_route_and_keeps_off_the_ways_px4_returns_on():
    plan = planned(make_plan(request("ndeba")))
    area = shapely.Polygon(FRAME.to_xy(plan.fence.keep_in.outer))
    assert all(area.contains(shapely.Point(p)) for p in path_xy(plan))
    targets = [plan.home, *(r.position for r in plan.rally)]
    for place in samples(path_xy(plan), 250.0):
        nearest = min((xy(t) for t in targets), key=lambda t: float(np.hypot(*(t - place))))
        home = shapely.LineString([place, nearest])
        for keep_out in plan.fence.keep_out:
            if isinstance(keep_out, Circle):
                assert home.distance(shapely.Point(xy(keep_out.centre))) > keep_out.radius_m
            else:
                assert not home.intersects(shapely.Polygon(FRAME.to_xy(keep_out.outer)))


def test_rally_points_are_chosen_so_that_a_straight_return_is_legal_if_it_can_be():
    field = site("field", SiteKind.ALTERNATE, 5200, -2300)
    block = circle("MID", 3400, -200, 1200)
    airspace = Airspace(1, (block,))
    without = planned(make_plan(request("koru", airspace=airspace, alternates=())))
    assert any(r.code == "rtl" for r in without.notes)
    with_sites = planned(make_plan(request("koru", airspace=airspace, alternates=(*ALTERNATES, field))))
    assert [r.site_id for r in with_sites.rally] == ["field"]

    def share(plan):
        return next((float(r.text.split()[1]) for r in plan.notes if r.code == "rtl"), 0.0)

    assert share(with_sites) < share(without)


def test_the_fence_fits_into_px4s_memory_however_detailed_the_zones_are():
    detailed = [
        polygon(f"Z{i}", *[(2000 * i + 300 * np.cos(t), 3000 + 300 * np.sin(t)) for t in np.linspace(0, 6.2, 200)])
        for i in range(-2, 4)
    ]
    plan = planned(make_plan(request("koru", airspace=Airspace(1, tuple(detailed)))))
    used = len(plan.fence.keep_in.outer) + sum(len(k.outer) for k in plan.fence.keep_out)
    assert used <= 64


# over the whole field


def test_no_route_is_inside_a_zone_by_an_oracle_that_samples_each_25_m():
    rng = np.random.default_rng(11)
    flown = 0
    for _ in range(60):
        zones = []
        for i in range(int(rng.integers(3, 14))):
            east, north = rng.uniform(-7000, 7000, 2)
            if min(np.hypot(*(xy(s.position) - (east, north))) for s in SITES.values()) > 1000:
                zones.append(circle(f"Z{i}", east, north, float(rng.uniform(100, 900))))
        for start, goal in (("salme", "koru"), ("orvane", "ndeba"), ("teral", "quarry")):
            wanted = RouteRequest(
                SITES[start].position, SITES[goal].position, Airspace(1, tuple(zones)), frozenset(), GROUND, SUNDAY
            )
            route = plan_route(wanted)
            if isinstance(route, Infeasible):
                continue
            flown += 1
            points = samples(FRAME.to_xy(route.points))
            for zone in zones:
                outline = zone.volumes[0].outline
                assert np.hypot(*(points - xy(outline.centre)).T).min() > outline.radius_m + 29.0
    assert flown > 150


def test_of_several_layers_the_best_is_taken():
    low_gate = circle("TOWER", 3400, -1200, 2500, upper_agl_m=70.0)
    wanted = RouteRequest(
        SITES["teral"].position,
        SITES["koru"].position,
        Airspace(1, (low_gate,)),
        frozenset(),
        GROUND,
        SUNDAY,
        layers_agl_m=(65.0, 95.0),
    )
    route = plan_route(wanted)
    assert isinstance(route, Route)
    assert route.layer_agl_m == 95.0
    assert [r.code for r in route.reasons] == ["over"]


def test_across_the_antimeridian_a_route_is_refused_by_name():
    wanted = RouteRequest(LatLon(0, 179.9), LatLon(0, -179.9), Airspace(1, ()), frozenset(), FlatTerrain(), SUNDAY)
    outcome = plan_route(wanted)
    assert isinstance(outcome, Infeasible)
    assert "antimeridian" in outcome.reasons[0].text


def test_roles_of_the_valley():
    assert [z.zone_id for z in VALLEY.zones if z.role is Role.KEEP_IN] == ["VALLEY"]
    assert isinstance(make_plan(request("orvane")), Plan)


# turns


def test_a_wing_keeps_the_room_of_its_turns_clear_and_has_the_pad_below_its_hover_as_a_way_out():
    wing = replace(COURIER, airframe=Airframe.VTOL, cruise_m_s=25.0, battery_wh=1500.0, min_turn_radius_m=150.0)
    narrow, wide = planned(make_plan(request("ndeba"))), planned(make_plan(request("ndeba", vehicle=wing)))
    gap_m = min(clearance_m(wide, VALLEY.zone(r.text.split()[1])) for r in wide.notes if r.code == "around")
    assert gap_m >= 180.0 - 0.1
    assert wide.length_m > narrow.length_m
    assert "ndeba" in [point.site_id for point in wide.rally]
    assert "ndeba" not in [point.site_id for point in narrow.rally]


# what is said to help


def test_what_a_refusal_says_to_help_was_planned_with_or_is_called_untried():
    poor = request("koru", battery_pct=30.0)
    said = refused(make_plan(poor))
    assert all(r.fix.startswith("not tried: ") for r in said.reasons if r.fix)
    assert {r.fix for r in refused(why_not(poor, said)).reasons} == {"charge the battery"}


def test_what_does_not_help_is_not_said_to_have_been_tried():
    far = at(60_000, 0)
    goal = replace(SITES["koru"], site_id="far", position=far)
    beyond = replace(request("koru", airspace=Airspace(1, ()), battery_pct=90.0), goal=goal)
    said = refused(make_plan(beyond))
    assert refused(why_not(beyond, said)) == said
    assert any(r.fix.startswith("not tried: ") for r in said.reasons)


def test_a_landing_without_alternates_is_helped_by_the_authorisation_that_opens_them():
    over = circle("FIRE", *xy(SITES["teral"].position), 200.0, restriction=Restriction.REQ_AUTHORISATION)
    from_salme = request("koru", "salme", Airspace(1, (over,)), alternates=())
    said = refused(make_plan(from_salme))
    fixes = {r.fix for r in refused(why_not(from_salme, said)).reasons}
    assert fixes == {"authorise FIRE"}
    assert isinstance(make_plan(replace(from_salme, authorised=frozenset({"FIRE"}))), Plan)
