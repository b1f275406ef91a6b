"""`fleet plan --out`: what was planned as a QGroundControl plan, which `fleet plan check` then takes."""

import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli.plan_file import plan_file
from fleet.cli.plan_group import app
from fleet.mavlink.items import fence_items, plan_items
from geofences.formats.qgc_plan import dump_plan, parse_plan
from geofences.volumes import Polygon
from missions.plan import Ending, FenceSet
from missions.planning import make_plan
from missions.vehicles import Airframe
from tests.routing.valley import COURIER, at, planned, request

CONFIGS = Path(__file__).parents[2] / "configs"
SUNDAY = "2026-03-01T00:00:00Z"


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def planned_to(path, goal, config, *more):
    return run("--from", "teral", "--to", goal, "--config", config, "--depart", SUNDAY, "--out", path, *more)


@pytest.mark.parametrize(
    ("config", "vehicle", "goal"),
    [("fleet.yaml", "courier-x8", "ndeba"), ("fleet-vtol.yaml", "courier-vtol", "salme")],
)
def test_a_plan_is_written_for_qgroundcontrol_and_the_check_takes_it(tmp_path, config, vehicle, goal):
    path = tmp_path / "out.plan"
    path.write_text("the plan of yesterday")
    made = planned_to(path, goal, CONFIGS / config, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["file"] == str(path)
    answer = run("check", path, "--config", CONFIGS / config, "--vehicle", vehicle, "--depart", SUNDAY, "--json")
    assert answer.exit_code == 0, answer.output
    told, flown = json.loads(answer.stdout), json.loads(made.stdout)
    assert told["notes"] == []
    assert told["lands"]
    assert told["length_m"] == pytest.approx(flown["length_m"], rel=1e-3)


@pytest.mark.parametrize("airframe", list(Airframe))
def test_the_file_holds_what_the_link_would_upload(airframe):
    vehicle = replace(COURIER, airframe=airframe, min_turn_radius_m=60.0 if airframe is Airframe.VTOL else 0.0)
    plan = planned(make_plan(request("koru", ending=Ending.LAND, vehicle=vehicle)))
    file = plan_file(plan, vehicle)
    items = plan_items(plan, cruise_m_s=vehicle.cruise_m_s, airframe=airframe).mission
    assert [(i.command, i.param(1), i.params[6]) for i in file.items] == [(i.command, i.param1, i.z) for i in items]
    assert [i.params[3] is None for i in file.items] == [isnan(i.param4) for i in items]
    for item, sent in zip(file.items, items, strict=True):
        if item.position is not None:
            assert (round(item.position.lat_deg * 1e7), round(item.position.lon_deg * 1e7)) == (sent.x, sent.y)
    assert file.rally, "the valley has rally points"
    assert file.fence[0].inclusion
    assert parse_plan(json.dumps(dump_plan(file)), "out.plan").plan == file


def test_a_hole_of_the_keep_in_becomes_a_keep_out_as_on_the_wire():
    ring, hole = (tuple(at(x * size, y * size) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))) for size in (9e3, 100))
    plan = replace(planned(make_plan(request("koru"))), fence=FenceSet(Polygon(ring, (hole,)), (), ()))
    areas = plan_file(plan, COURIER).fence
    assert [(a.inclusion, a.outline) for a in areas] == [(True, Polygon(ring)), (False, Polygon(hole))]
    assert len(fence_items(plan.fence)) == 8


def test_where_nothing_can_be_written_is_told_before_or_after_the_work(tmp_path):
    wrong = planned_to(tmp_path / "out.json", "koru", CONFIGS / "fleet.yaml")
    assert (wrong.exit_code, "end it in .plan" in wrong.stderr) == (2, True)
    nowhere = planned_to(tmp_path / "no" / "out.plan", "koru", CONFIGS / "fleet.yaml")
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (1, True)


def test_a_refusal_writes_nothing(tmp_path):
    path = tmp_path / "out.plan"
    refused = planned_to(path, "koru", CONFIGS / "fleet.yaml", "--battery", 20)
    assert refused.exit_code == 3
    assert not path.exists()
