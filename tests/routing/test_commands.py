"""`fleet plan` and `fleet airspace check`: answers with reasons, exit codes, and pictures that stand alone."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fleet.cli.airspace import app as airspace_app
from fleet.cli.plan import plan
from tests.support.shared import SHARED_DATA, needs_shared

ROOT = Path(__file__).parents[2]
SWISS = SHARED_DATA / "airspace" / "cis_source_sample_ed318.json"
SWISS_OLD = SWISS.with_name("cis_source_sample_ed269.json")
FLEET = ROOT / "configs" / "fleet.yaml"
VALLEY = ROOT / "configs" / "airspace" / "valley.ed318.json"
SUNDAY = "2026-03-01T00:00:00Z"
needs_samples = needs_shared("airspace")

plan_app = typer.Typer()
plan_app.command()(plan)


def run(app, *args):
    return CliRunner().invoke(app, [str(a) for a in args])


def swiss(*more):
    """Across LSZB003, whose floor is 60 m above ground, from south to north."""
    return run(plan_app, "--from", "46.946,7.475", "--to", "46.970,7.470", "--airspace", SWISS, "--json", *more)


@needs_samples
def test_at_80_m_the_swiss_zone_is_flown_round():
    result = swiss()
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["length_m"] > 6000
    (around,) = [r for r in found["reasons"] if r["code"] == "around"]
    assert "LSZB003" in around["text"]
    assert "from 60 m above ground" in around["text"]
    assert around["fix"] == "authorise LSZB003; or fly below 55 m above ground"


@needs_samples
def test_at_50_m_it_is_flown_under_and_with_an_authorisation_through():
    under, through = json.loads(swiss("--height", 50).stdout), json.loads(swiss("--authorise", "LSZB003").stdout)
    assert under["length_m"] == through["length_m"] < 2800
    assert [r["code"] for r in under["reasons"]] == ["under"]
    assert [r["code"] for r in through["reasons"]] == ["through"]
    assert "authorised" in through["reasons"][0]["text"]


@needs_samples
def test_a_destination_inside_it_is_refused_with_what_would_open_it():
    result = run(plan_app, "--from", "46.946,7.475", "--to", "46.955,7.475", "--airspace", SWISS)
    assert result.exit_code == 3
    assert "authorise LSZB003" in result.stderr
    assert result.stdout == ""


@needs_samples
def test_the_swiss_sample_in_ed269_routes_too():
    args = ("--from", "46.2165,6.160", "--to", "46.2165,6.180", "--airspace", SWISS_OLD, "--json")
    found = json.loads(run(plan_app, *args).stdout)
    assert [r["code"] for r in found["reasons"] if "LSXX" in r["text"] and r["code"] != "rtl"] == ["around"]


def test_sites_of_a_configuration_can_be_named():
    result = run(plan_app, "--from", "teral", "--to", "ndeba", "--config", FLEET, "--depart", SUNDAY)
    assert result.exit_code == 0, result.output
    assert "around TVAD" in result.stdout
    assert "around PARK" in result.stdout
    assert result.stdout.count("\n") < 25


def test_vehicle_load_battery_heights_and_further_alternates_can_be_said():
    there = ("--from", "teral", "--to", "orvane", "--config", FLEET, "--depart", SUNDAY, "--json")
    full = json.loads(run(plan_app, *there).stdout)
    light = json.loads(run(plan_app, *there, "--vehicle", "courier-x8", "--payload", 0.5, "--battery", 60).stdout)
    assert light["energy"]["start_pct"] == 60.0
    assert light["energy"]["use_wh"] < full["energy"]["use_wh"]
    field = json.loads(run(plan_app, *there, "--alternate", "7.45,38.215", "--height", 80, "--height", 110).stdout)
    assert "7.45,38.215" in [r["site_id"] for leg in field["px4_returns"] for r in leg]
    assert {"PRISON", "USPACE"} <= set(full["fence"]["on_vehicle"])
    unknown = run(plan_app, *there, "--vehicle", "glider")
    assert unknown.exit_code == 2
    assert "courier-x8" in unknown.stderr


def test_a_refusal_says_what_would_open_the_way():
    blocked = ("--from", "7.5,38.2", "--to", "7.5225,38.235", "--airspace", VALLEY, "--depart", SUNDAY)
    result = run(plan_app, *blocked)
    assert result.exit_code == 3
    assert "PARK" in result.stderr or "TVAD" in result.stderr
    poor = run(plan_app, "--from", "7.5,38.2", "--to", "7.5,38.25", "--battery", 20)
    assert poor.exit_code == 3
    assert "no legal place to land is within reach from leg 0, 1" in poor.stderr


def test_without_a_configuration_pairs_and_a_default_vehicle_work():
    result = run(plan_app, "--from", "7.5,38.2", "--to", "7.51,38.21")
    assert result.exit_code == 0, result.output
    assert "nothing closed lies in the straight way" in result.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--to", "nowhere"), "neither LAT,LON nor a known site"),
        (("--to", "95,38.2"), "latitude 95"),
        (("--to", "7.51,38.21", "--authorise", "NOPE"), "no zone NOPE"),
        (("--to", "7.51,38.21", "--wind", "strong"), "not two numbers"),
        (("--to", "7.51,38.21", "--depart", "tomorrow"), "not a time"),
        (("--to", "7.51,38.21", "--depart", "2026-03-01T00:00:00"), "has no zone"),
        (("--to", "7.51,38.21", "--map", "out.gif"), "unknown kind of picture"),
    ],
)
def test_a_wrong_argument_is_a_sentence_and_exit_code_2(args, says):
    result = run(plan_app, "--from", "7.5,38.2", *args)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_an_airspace_file_with_a_feature_that_cannot_be_used_is_not_planned_against(tmp_path):
    broken = json.loads(VALLEY.read_text(encoding="utf-8"))
    broken["features"][2]["properties"]["type"] = "FORBIDDEN"
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(broken), encoding="utf-8")
    result = run(plan_app, "--from", "7.5,38.2", "--to", "7.51,38.21", "--airspace", file)
    assert result.exit_code == 3
    assert "PARK" in result.stderr
    checked = run(airspace_app, "check", file, "--json")
    assert checked.exit_code == 3
    found = json.loads(checked.stdout)
    assert (found["ok"], len(found["zones"])) == (False, 13)
    assert found["problems"][0]["feature"] == "PARK"


def test_a_missing_file_says_so_and_a_good_one_is_listed(tmp_path):
    missing = run(airspace_app, "check", tmp_path / "none.json")
    assert missing.exit_code == 1
    assert "cannot be read" in missing.stderr
    good = run(airspace_app, "check", VALLEY)
    assert good.exit_code == 0
    assert "60 m AGL – 1300 m AMSL" in good.stdout


def test_a_picture_in_html_stands_alone_and_shows_zones_route_and_reasons(tmp_path):
    out = tmp_path / "plan.html"
    result = run(
        plan_app,
        "--from",
        "teral",
        "--to",
        "ndeba",
        "--config",
        FLEET,
        "--depart",
        SUNDAY,
        "--height",
        50,
        "--map",
        out,
    )
    assert result.exit_code == 0, result.output
    page = out.read_text(encoding="utf-8")
    assert not re.search(r"https?://|src=|@import|url\(", page), "nothing may be fetched"
    for wanted in ("TVAD", "PARK", "under TVAD", "Ndeba Health Post", "ceiling", "<svg"):
        assert wanted in page


def test_a_picture_of_a_refusal_is_drawn_too(tmp_path):
    out = tmp_path / "refused.png"
    args = ("--from", "7.5,38.2", "--to", "7.512,38.2216", "--airspace", VALLEY, "--map", out)
    assert run(plan_app, *args).exit_code == 3
    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size > 20_000
