"""Preferred corridors: from fleet.yaml to the departure that follows one, and to its picture."""

import json

from typer.testing import CliRunner

from fleet.cli.plan_group import app
from geofences.geodesy import LatLon
from missions.routing.route import Corridor

RIVER = "  corridors: [{name: river, factor: 0.4, points: [{lat: 7.5, lon: 38.2}, {lat: 7.47, lon: 38.2}, {lat: 7.444, lon: 38.222}]}]\n"  # noqa: E501


def with_corridor(sandbox, text=RIVER):
    sandbox.replace("planning:\n", f"planning:\n{text}")
    return sandbox


def planned(sandbox, goal="orvane", *more):
    args = [
        "--from",
        "teral",
        "--to",
        goal,
        "--config",
        str(sandbox.path),
        "--depart",
        "2026-03-01T00:00:00Z",
        "--json",
    ]
    made = CliRunner().invoke(app, [*args, *map(str, more)])
    assert made.exit_code == 0, made.output
    return json.loads(made.stdout)


def test_a_corridor_is_read_with_its_points_and_factor(sandbox):
    (river,) = with_corridor(sandbox).load().planning.corridors
    assert river == Corridor("river", (LatLon(7.5, 38.2), LatLon(7.47, 38.2), LatLon(7.444, 38.222)), 0.4)


def test_a_departure_follows_it_where_it_pays_and_its_picture_shows_it(sandbox, tmp_path):
    straight = planned(sandbox)
    picture = tmp_path / "out.html"
    followed = planned(with_corridor(sandbox), "orvane", "--map", picture)
    assert followed["length_m"] > straight["length_m"] + 50.0
    assert any((w["lat"], w["lon"]) == (7.47, 38.2) for w in followed["waypoints"])
    assert 'stroke-width="7"' in picture.read_text(encoding="utf-8")


def test_a_corridor_elsewhere_is_refused_by_its_line(sandbox):
    far = "  corridors:\n    - {name: river, points: [{lat: 7.5, lon: 38.2}, {lat: 38.2, lon: 7.5}]}\n"
    problem = with_corridor(sandbox, far).problem()
    assert "corridor river" in problem.text
    assert problem.line == sandbox.line_of("name: river")


def test_a_corridor_of_one_point_or_a_factor_above_one_is_refused(sandbox):
    with_corridor(sandbox, "  corridors: [{name: river, factor: 1.4, points: [{lat: 7.5, lon: 38.2}]}]\n")
    texts = " ".join(f"{p.key} {p.text}" if hasattr(p, "key") else p.text for p in sandbox.problems())
    assert len(sandbox.problems()) == 2, texts
