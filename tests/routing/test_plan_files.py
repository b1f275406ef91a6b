"""Plans made in QGroundControl: what each item is flown as, and what is refused, by the item's number."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli.plan_group import app
from geofences.airspace import Airspace
from geofences.formats.qgc_plan import FenceArea, MissionItem, PlanFile, RallyPlace, dump_plan, parse_plan
from geofences.volumes import Circle, Polygon
from missions.planfile import fly
from missions.routing.checker import Rules
from missions.routing.imported import check_file
from tests.routing.valley import COURIER, GROUND, HUB, SUNDAY, at, circle

PLANS = Path(__file__).parents[3] / "shared" / "data" / "plans"


def item(number, command, east=None, north=None, height=60.0, frame=3, param1=0.0, param2=0.0):
    if east is None:
        return MissionItem(number, command, 2, (param1, param2, 0.0, 0.0, 0.0, 0.0, 0.0), number)
    p = at(east, north)
    return MissionItem(number, command, frame, (param1, param2, 0.0, None, p.lat_deg, p.lon_deg, height), number)


GOOD = (item(1, 22, 0, 50), item(2, 16, 1000, 50), item(3, 16, 1000, 900), item(4, 20))


def file(*items, **more):
    return PlanFile(HUB, 420.0, items or GOOD, vehicle_type=2, **more)


def verdict(plan, *zones, **more):
    rules = Rules(Airspace(1, zones), frozenset(), GROUND, vehicle=COURIER, payload_kg=2.0)
    return check_file(plan, replace(rules, **more), SUNDAY)


def told(plan, *zones, **more):
    return {(v.leg_index, v.code) for v in verdict(plan, *zones, **more).violations}


def test_a_good_plan_may_be_flown_and_ends_on_the_ground():
    answer = verdict(file())
    assert answer.violations == ()
    assert answer.flight.landed
    doing = [(s.item, s.doing) for s in answer.flight.stretches]
    assert doing == [(1, "climb"), (1, "take-off"), (2, "waypoint"), (3, "waypoint"), (4, "return"), (4, "descent")]
    assert 80.0 < answer.end_pct < 99.0


def test_a_zone_between_two_good_waypoints_is_told_by_the_item_flown_to():
    found = told(file(), circle("Z", 500, 50, 100))
    assert (2, "zone") in found
    assert (3, "zone") not in found


def test_a_return_is_flown_to_the_nearest_rally_point_and_judged():
    rally = RallyPlace(at(1000, 1200), 0.0)
    plan = file(rally=(rally,))
    assert fly(plan, GROUND, SUNDAY).stretches[-1].end.position == rally.position
    over = circle("Z", 1000, 1050, 80)
    assert {(4, "zone"), (3, "return")} <= told(plan, over)


def test_a_battery_that_cannot_bring_it_back_is_told():
    far = file(item(1, 22, 0, 50), item(2, 16, 28_000, 50), item(3, 20))
    found = told(far)
    assert (-1, "reserve") in found
    assert (2, "return_reserve") in found


def test_jumps_are_flown_as_often_as_they_say():
    around = file(*GOOD[:3], item(4, 177, param1=2, param2=2), item(5, 20))
    flown = [s.item for s in fly(around, GROUND, SUNDAY).stretches if s.doing == "waypoint"]
    assert flown == [2, 3, 2, 3, 2, 3]
    endless = file(*GOOD[:3], item(4, 177, param1=2, param2=-1), item(5, 20))
    assert (4, "endless") in told(endless)
    assert (4, "jump") in told(file(*GOOD[:3], item(4, 177, param1=77, param2=1)))


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((GOOD[1], item(2, 22, 0, 50)), (2, "take_off_first")),
        ((item(1, 22, 0, 50, height=-5.0), GOOD[1]), (1, "take_off_low")),
        ((item(1, 21, 0, 50), GOOD[1]), (1, "starts_with_landing")),
        ((GOOD[0], item(2, 93, param1=5.0), GOOD[3]), (2, "delay")),
        ((GOOD[0], item(2, 82, 100, 100), GOOD[3]), (2, "command")),
        ((GOOD[0], item(2, 16, 500, 50, frame=10), GOOD[3]), (2, "frame")),
        ((GOOD[0], item(2, 85, 500, 50), GOOD[3]), (2, "vtol")),
        ((GOOD[0], item(2, 16, 500, 50), item(3, 4501, 500, 50), GOOD[3]), (3, "gate")),
        ((GOOD[0], item(2, 16, 500, 50, height=200.0), GOOD[3]), (2, "ceiling")),
        ((GOOD[0], item(2, 16, 500, 50, height=480.0, frame=0), GOOD[3]), None),
        ((GOOD[0], item(2, 16, 500, 50, height=60.0, frame=0), GOOD[3]), (2, "terrain")),
        ((GOOD[0], item(2, 17, 500, 50)), (2, "endless")),
        ((GOOD[0], item(2, 179), GOOD[3]), (2, "set_home")),
    ],
)
def test_px4s_rules_are_told_by_item(items, expected):
    found = told(file(*items))
    assert expected in found if expected else not found


def test_the_fence_must_suit_home_and_every_leg():
    square = Polygon(tuple(at(x, y) for x, y in ((-100, -100), (1100, -100), (1100, 400), (-100, 400))))
    assert (3, "fence") in told(file(fence=(FenceArea(square, True),)))
    away = Polygon(tuple(at(x + 500, y) for x, y in ((0, -100), (900, -100), (900, 1400), (0, 1400))))
    assert (-1, "fence") in told(file(fence=(FenceArea(away, True),))), "each inclusion must hold home"
    assert (2, "fence") in told(file(fence=(FenceArea(Circle(at(500, 50), 60.0), False),)))
    order = (FenceArea(Circle(at(0, 9000), 60.0), False), FenceArea(square, False))
    assert (-1, "fence_order") in told(file(fence=order))
    many = tuple(FenceArea(Circle(at(9000 + i, 9000), 1.0), False) for i in range(65))
    assert (-1, "fence") in told(file(fence=many))


def test_a_home_in_another_datum_is_told():
    assert (0, "home_height") in told(replace(file(), home_amsl_m=450.0))


@pytest.mark.skipif(not PLANS.exists(), reason="needs the shared data folder")
def test_real_files_are_answered_with_exit_codes(tmp_path):
    run = CliRunner()
    box = run.invoke(app, ["check", str(PLANS / "MC_mission_box.plan"), "--vehicle", "courier-x8", "--json"])
    assert box.exit_code == 0
    assert json.loads(box.stdout)["ok"] is True
    wrong = run.invoke(app, ["check", str(PLANS / "qgroundcontrol_sample_wrong_overall_version.plan"), "--json"])
    assert wrong.exit_code == 3
    assert "version 42" in wrong.stdout
    picture = tmp_path / "plan.html"
    vtol = run.invoke(
        app, ["check", str(PLANS / "vtol_mission.plan"), "--vehicle", "courier-x8", "--map", str(picture)]
    )
    assert vtol.exit_code == 3
    assert "must not be flown" in picture.read_text(encoding="utf-8")


def test_what_was_judged_comes_back_from_its_file():
    plan = file(rally=(RallyPlace(at(10, 20), 3.0),))
    assert parse_plan(json.dumps(dump_plan(plan)), "a.plan").plan == plan
