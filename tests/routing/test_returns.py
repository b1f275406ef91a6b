"""Where PX4 goes by itself from every place of a plan, against a look at each 25 m; and what it takes along."""

from dataclasses import replace
from datetime import time

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from geofences.volumes import Applicability, Circle, DailyPeriod
from missions.plan import Ending, FenceSet, OnBoard, Plan
from missions.planning import make_plan, why_not
from missions.sites import SiteKind
from missions.snapshot import Wind
from missions.vehicles import ReturnRule
from tests.routing.valley import (
    ALTERNATES,
    COURIER,
    FRAME,
    GROUND,
    SITES,
    SUNDAY,
    at,
    circle,
    in_air,
    planned,
    polygon,
    refused,
    request,
    site,
    xy,
)

EARTH_M = 6_371_000.0
OPEN = Airspace(1, ())


def px4_distance_m(a: LatLon, b: LatLon) -> float:
    """As PX4's geo library reckons it: haversine on a sphere."""
    lat_a, lat_b = np.radians(a.lat_deg), np.radians(b.lat_deg)
    east = np.radians(b.lon_deg - a.lon_deg)
    h = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin(east / 2) ** 2
    return float(2 * EARTH_M * np.arcsin(np.sqrt(h)))


def destinations(plan: Plan) -> dict[str, LatLon]:
    return {"teral": plan.home} | {r.site_id: r.position for r in plan.rally}


def places(plan: Plan, step_m: float = 25.0):
    """(leg, metres along it, position)"""
    for leg in plan.legs:
        a, b = xy(leg.start.position), xy(leg.end.position)
        for share in np.linspace(0.0, 1.0, max(2, int(leg.length_m / step_m))):
            yield leg, float(share) * leg.length_m, FRAME.to_latlon([tuple(a + share * (b - a))])[0]


def crosses(a: LatLon, b: LatLon, zone) -> bool:
    outline = zone.volumes[0].outline
    way = shapely.LineString([xy(a), xy(b)])
    if isinstance(outline, Circle):
        return float(way.distance(shapely.Point(xy(outline.centre)))) < outline.radius_m
    return bool(way.intersects(shapely.Polygon(FRAME.to_xy(outline.outer))))


def share_text(plan: Plan) -> list[str]:
    return [n.text for n in plan.notes if n.code == "rtl"]


# the pieces


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_wherever_the_link_dies_the_plan_says_where_px4_goes_and_is_never_wrong_in_saying_that_it_may(data):
    coordinate = st.floats(-6000.0, 6000.0)
    zones = []
    for i in range(data.draw(st.integers(1, 6))):
        east, north = data.draw(coordinate), data.draw(coordinate)
        if min(np.hypot(*(xy(s.position) - (east, north))) for s in SITES.values()) > 900.0:
            zones.append(circle(f"Z{i}", east, north, data.draw(st.floats(100.0, 800.0))))
    made = make_plan(
        request(data.draw(st.sampled_from(["ndeba", "koru", "salme"])), airspace=Airspace(1, tuple(zones)))
    )
    if not isinstance(made, Plan):
        return
    targets = destinations(made)
    for leg, along_m, here in places(made, 100.0):
        nearest = min(targets, key=lambda name: px4_distance_m(here, targets[name]))
        told = [r for r in leg.returns if r.site_id == nearest and r.from_m - 0.01 <= along_m <= r.to_m + 0.01]
        assert told, f"nothing is said of {nearest} from {along_m:.0f} m"
        if all(r.legal for r in told):
            assert not any(crosses(here, targets[nearest], zone) for zone in zones)


def test_from_behind_a_zone_and_from_nowhere_else_the_return_is_not_legal():
    block = circle("MID", 3400, -1200, 500)
    plan = planned(make_plan(request("koru", airspace=Airspace(1, (block,)), alternates=())))
    for leg, along_m, here in places(plan):
        gap = shapely.LineString([xy(here), xy(plan.home)]).distance(shapely.Point(xy(block.volumes[0].outline.centre)))
        told = [r.legal for r in leg.returns if r.from_m <= along_m <= r.to_m]
        if gap < 500.0:
            assert not all(told)
        elif gap > 520.0:  # 10 m are asked for, and a circle is drawn as a polygon around it
            assert any(told)
    (text,) = share_text(plan)
    assert text.endswith("closed by MID")


def test_a_rally_point_where_the_returns_are_cut_off_makes_them_legal():
    """The way back from the far half is closed; a field in front of the zone is nearer to all of it than home."""
    wall = polygon("WALL", (3000, -3800), (3300, -3800), (3300, 300), (3000, 300))
    field = site("field", SiteKind.ALTERNATE, 5200, -1500)
    without = planned(make_plan(request("koru", airspace=Airspace(1, (wall,)), alternates=())))
    assert share_text(without)
    beside = planned(make_plan(request("koru", airspace=Airspace(1, (wall,)), alternates=(field,))))
    assert [r.site_id for r in beside.rally] == ["field"]
    bad = [sum(r.to_m - r.from_m for leg in p.legs for r in leg.returns if not r.legal) for p in (without, beside)]
    assert bad[1] < 0.5 * bad[0]


def test_policy_may_ask_for_a_legal_return_from_everywhere_before_take_off_but_not_in_the_air():
    shut = Airspace(1, (circle("MID", 3400, -1200, 500),))
    why = refused(make_plan(request("koru", airspace=shut, alternates=(), require_contingency=True)))
    assert why.reasons[0].code == "rtl"
    assert why.reasons[0].fix
    planned(make_plan(request("koru", airspace=OPEN, require_contingency=True)))
    up = in_air("koru", 3400, -1500, shut, require_contingency=True)
    planned(make_plan(replace(up, ending=Ending.LAND, then_home=False)))


# heights, times, wind, ground


def test_the_return_is_judged_at_the_height_that_px4_climbs_to():
    roof = Airspace(1, (circle("ROOF", 3400, -1200, 900, lower_agl_m=95.0),))
    low, high = (
        planned(make_plan(request("koru", airspace=roof, vehicle=replace(COURIER, returns=ReturnRule(0, 30.0, top)))))
        for top in (60.0, 110.0)
    )
    assert not share_text(low), "flown and returned at 80 m, it stays under the roof"
    assert "ROOF" in share_text(high)[0]


def test_a_zone_that_closes_after_the_flight_is_over_cuts_no_return_off():
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(8), time(9)),)),)
    shut = Airspace(1, (circle("SCHOOL", 3400, -1200, 300, applicability=hours),))
    early, late = (
        planned(make_plan(request("koru", airspace=shut, depart_s=SUNDAY + 3600.0 * h, alternates=())))
        for h in (5, 8.1)
    )
    assert not share_text(early)
    assert "SCHOOL" in share_text(late)[0]


def test_a_return_for_which_the_battery_does_not_last_is_not_legal():
    gale = planned(make_plan(request("koru", wind=Wind(0.0, 9.0), alternates=(), battery_pct=100.0, then_home=False)))
    calm = planned(make_plan(request("koru", alternates=(), then_home=False)))
    assert all(r.legal for leg in calm.legs for r in leg.returns)
    spent = planned(make_plan(request("koru", battery_pct=73.0, wind=Wind(0.0, 9.0), then_home=False)))
    assert any("battery" in r.reason for leg in (*gale.legs, *spent.legs) for r in leg.returns) or all(
        a.reserve_pct >= 20.0 for leg in gale.legs for a in leg.alternates
    )


def test_a_ridge_below_a_return_makes_it_illegal_and_an_unknown_ground_too():
    class Ridge(Terrain):
        """Level but for a hill of 150 m between the way and home."""

        def ground_amsl_m(self, place: LatLon) -> float | None:
            east, north = xy(place)
            return 570.0 if np.hypot(east - 2000, north - 1000) < 400 else 420.0

    plan = planned(make_plan(in_air("koru", 2000, 4000, OPEN, terrain=Ridge(), alternates=(), then_home=False)))
    assert any("ground" in r.reason for leg in plan.legs for r in leg.returns)


def test_another_way_of_returning_than_the_nearest_place_is_not_called_legal():
    plan = planned(make_plan(request("koru", vehicle=replace(COURIER, returns=ReturnRule(2, 60.0, 110.0)))))
    assert not any(r.legal for leg in plan.legs for r in leg.returns)
    assert "RTL_TYPE 2" in share_text(plan)[0]


# alternates


@pytest.mark.parametrize("wind", [Wind(0.0, 0.0), Wind(0.0, -8.0), Wind(7.0, 4.0)])
def test_from_every_place_an_alternate_is_reached_with_what_the_plan_says_at_most(wind):
    """Straight, where that is free, in the wind as it is: never dearer than what is carried."""
    plan = planned(make_plan(request("koru", airspace=OPEN, wind=wind, payload_kg=1.0)))
    vehicle = COURIER
    for leg, _, here in places(plan, 200.0):
        for alternate in leg.alternates:
            way = xy(SITES[alternate.site_id].position) - xy(here)
            along = way / max(float(np.hypot(*way)), 1e-9)
            drift = np.array([wind.east_m_s, wind.north_m_s])
            across = float(along[0] * drift[1] - along[1] * drift[0])
            speed = float(along @ drift) + np.sqrt(vehicle.cruise_m_s**2 - across**2)
            least_wh = float(np.hypot(*way)) / speed * 700.0 / 3600.0
            assert alternate.energy_wh > least_wh


# the fence


def test_the_plan_says_which_zone_is_enforced_by_whom_and_why():
    fence = planned(make_plan(request("orvane"))).fence
    assert len(fence.on_vehicle) == len(fence.keep_out)
    assert len(fence.why_controller) == len(fence.enforced_by_controller) > 0
    assert not set(fence.on_vehicle) & set(fence.enforced_by_controller)
    assert all("PX4" in why for why in fence.why_controller)


def test_zones_above_outside_of_the_hours_or_far_away_are_nobodys_business():
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(8), time(9)),)),)
    zones = (
        circle("HIGH", 3400, -2400, 300, lower_agl_m=300.0),
        circle("LATER", 3400, 200, 300, applicability=hours),
        circle("FAR", -30_000, 0, 500),
        circle("NEAR", 3400, -1900, 300),
    )
    fence = planned(make_plan(request("koru", airspace=Airspace(1, zones), depart_s=SUNDAY + 3600.0))).fence
    assert (*fence.on_vehicle, *fence.enforced_by_controller) == ("NEAR",)


class Plain(Terrain):
    """Level, but who plans does not know: routes in one layer have to follow the ground."""

    def ground_amsl_m(self, at):
        return 420.0

    def ground_amsl_m_many(self, lat_deg, lon_deg):
        return np.full(len(lat_deg), 420.0)


@pytest.mark.parametrize("ground", [GROUND, Plain()], ids=["level", "terrain"])
def test_in_the_air_the_way_goes_round_what_px4_has_on_board_although_it_is_open_now(ground):
    held = planned(make_plan(request("koru", airspace=Airspace(1, (circle("OLD", 3400, -2100, 500),)))))
    assert held.fence.on_vehicle == ("OLD",)
    home = {"ending": Ending.LAND, "then_home": False, "terrain": ground}
    free = planned(make_plan(in_air("teral", 6800, -5200, OPEN, **home)))
    kept = planned(make_plan(in_air("teral", 6800, -5200, OPEN, on_board=held.on_board, **home)))
    assert crosses(free.legs[0].start.position, free.legs[-1].end.position, circle("OLD", 3400, -2100, 500))
    way = shapely.LineString(FRAME.to_xy([w.position for w in kept.waypoints]))
    assert way.distance(shapely.Point(3400, -2100)) >= 529.9
    assert kept.fence.keep_out == held.fence.keep_out


def test_a_goal_beyond_the_keep_in_on_board_is_refused_and_one_inside_is_reached_within_it():
    held = planned(make_plan(request("salme", airspace=OPEN, alternates=())))
    home = {"ending": Ending.LAND, "then_home": False, "on_board": held.on_board}
    beyond = in_air("koru", -1000, 1000, OPEN, **home)
    refused(make_plan(beyond))
    over_terrain = replace(beyond, terrain=Plain())
    refused(why_not(over_terrain, refused(make_plan(over_terrain))))
    planned(make_plan(in_air("teral", -1000, 1000, OPEN, **home)))


def test_who_is_beyond_the_fence_on_board_comes_back_the_shortest_way():
    tight = OnBoard(FenceSet(VALLEY_KEEP_IN, (), ()), ())
    plan = planned(make_plan(in_air("teral", 2000, 3500, OPEN, ending=Ending.LAND, then_home=False, on_board=tight)))
    assert plan.legs[0].end.position != plan.legs[-1].end.position


VALLEY_KEEP_IN = polygon("K", (-3000, -3000), (3000, -3000), (3000, 3000), (-3000, 3000)).volumes[0].outline


# where it begins


def test_a_route_in_the_air_begins_where_the_vehicle_can_stop():
    here = in_air("salme", -1000, 1095, ending=Ending.LAND, then_home=False)
    still = planned(make_plan(replace(here, velocity_m_s=(0.5, 0.0))))
    moving = planned(make_plan(replace(here, velocity_m_s=(18.0, 0.0))))
    assert still.waypoints[0].position == at(-1000, 1095)
    east, north = xy(moving.waypoints[0].position)
    assert east == pytest.approx(-1000, abs=1.0)
    assert 1095 + 60.0 < north < 1095 + 90.0


def test_a_place_to_stop_behind_the_edge_of_a_zone_is_none():
    wall = Airspace(1, (polygon("WALL", (-1300, 1130), (-700, 1130), (-700, 1400), (-1300, 1400)),))
    here = in_air("teral", -1000, 1095, wall, ending=Ending.LAND, then_home=False, velocity_m_s=(18.0, 0.0))
    assert planned(make_plan(here)).waypoints[0].position == at(-1000, 1095)


# wind, layers, waiting


def test_the_way_home_is_reckoned_without_what_was_dropped():
    full, empty = (planned(make_plan(request("koru", airspace=OPEN, payload_kg=kg))) for kg in (2.0, 0.0))
    out = {p: sum(leg.energy_wh for leg in p.legs) for p in (full, empty)}
    assert full.energy.use_wh - out[full] == pytest.approx(empty.energy.use_wh - out[empty], rel=0.15)


def test_another_height_is_flown_where_it_is_quicker_and_a_short_wait_where_the_way_round_takes_longer():
    low = Airspace(1, (circle("LOW", 3400, -1200, 1500, upper_agl_m=90.0),))
    over = planned(make_plan(request("koru", airspace=low, layers_agl_m=(110.0,))))
    assert max(w.alt_amsl_m for w in over.waypoints) == pytest.approx(GROUND.elevation_amsl_m + 110.0)
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(0), time(0, 10)),)),)
    wall = polygon("W", (3000, -60000), (3600, -60000), (3600, 60000), (3000, 60000), applicability=hours)
    waits = planned(
        make_plan(
            request("koru", airspace=Airspace(1, (wall,)), alternates=ALTERNATES, latest_depart_s=SUNDAY + 1800.0)
        )
    )
    assert SUNDAY + 100.0 < waits.depart_s < SUNDAY + 900.0
