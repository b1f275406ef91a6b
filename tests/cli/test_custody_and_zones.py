"""The custody steps of `fleet order` and the controller's zones of `fleet airspace`, over a real socket."""

import json
from pathlib import Path

import pytest

from fleet.cli.output import ExitCode
from geofences.formats import geojson
from missions.orders import OrderState
from tests.cli.conftest import Run
from tests.support.serving import Served, request

CLOSURE = {
    "type": "Feature",
    "properties": {"id": "closure-7", "name": "Helicopter work", "role": "keep_out", "restriction": "PROHIBITED"},
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[38.16, 7.51], [38.18, 7.51], [38.18, 7.53], [38.16, 7.53], [38.16, 7.51]]],
    },
}


def custody_of(server: Served, order_id: str = "ord-1") -> tuple[str, dict]:
    event = server.fleet.records[f"order/{order_id}"][-1]
    return event.kind, event.body


@pytest.mark.parametrize(
    ("words", "step", "detail"),
    [
        (("seal",), "seal", {}),
        (("seal", "--seal", "S-20411", "--pack-left-kj", "90"), "seal", {"seal": "S-20411", "pack_left_kj": 90.0}),
        (("load",), "load", {}),
        (("hand-over", "--to", "night nurse"), "hand_over", {"to": "night nurse"}),
        (("reiced",), "reiced", {}),
        (("box-back",), "box_back", {}),
    ],
)
def test_each_custody_step_is_recorded_once_with_its_actor_and_detail(
    server: Served, fleet_command: Run, words: tuple[str, ...], step: str, detail: dict
) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    server.do(lambda fleet: fleet.deliver("ord-1", upto=OrderState.LOADING))
    before = len(server.fleet.records["order/ord-1"])
    done = fleet_command("order", words[0], "ord-1", *words[1:], url=server.url)
    assert (done.code, done.out) == (ExitCode.DONE, f"ord-1  {step.replace('_', ' ')} recorded; loading\n")
    assert custody_of(server) == (f"custody.{step}", {"actor": "olga", **detail})
    assert len(server.fleet.records["order/ord-1"]) == before + 1


def test_a_custody_step_tells_programs_the_order(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    assert fleet_command("order", "load", "ord-1", "--json", url=server.url).json["order_id"] == "ord-1"


@pytest.mark.parametrize("step", ["seal", "load", "hand-over", "reiced", "box-back"])
def test_custody_is_for_operators_and_for_orders_that_exist(server: Served, fleet_command: Run, step: str) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    requester = ("--token", "clinic-token", "--json")
    denied = fleet_command("order", step, "ord-1", *requester, url=server.url)
    assert (denied.code, denied.json["error"]["exit_code"]) == (ExitCode.NOT_ALLOWED, 4)
    assert "Use an operator's token." in denied.err
    unknown = fleet_command("order", step, "ord-9", "--json", url=server.url)
    assert (unknown.code, unknown.json["error"]["reasons"][0]["code"]) == (ExitCode.REFUSED, "order_unknown")


def test_a_pack_of_less_than_nothing_is_a_usage_error(server: Served, fleet_command: Run) -> None:
    ended = fleet_command("order", "seal", "ord-1", "--pack-left-kj", "-5", "--json", url=server.url)
    assert (ended.code, ended.json["error"]["exit_code"]) == (ExitCode.USAGE, 2)
    assert "--pack-left-kj" in ended.err


def test_a_zone_is_added_listed_and_withdrawn(server: Served, fleet_command: Run, tmp_path: Path) -> None:
    file = tmp_path / "closure.geojson"
    file.write_text(json.dumps(CLOSURE))
    added = fleet_command("airspace", "zones", "add", str(file), url=server.url)
    assert (added.code, added.out) == (ExitCode.DONE, "closure-7  added; airspace version 2\n")
    table = fleet_command("airspace", "zones", "list", url=server.url)
    (row,) = [line for line in table.out.splitlines() if line.startswith("closure-7")]
    assert "PROHIBITED" in row
    assert "airspace version 2" in table.err
    listed = fleet_command("airspace", "zones", "list", "--json", url=server.url).json
    assert listed["airspace_version"] == 2
    assert len(geojson.parse(json.dumps(listed), "answer").zones) == len(server.fleet.zone_list)
    gone = fleet_command("airspace", "zones", "withdraw", "closure-7", "--json", url=server.url)
    assert (gone.code, gone.json) == (ExitCode.DONE, {"zone_id": "closure-7", "airspace_version": 3})
    assert "closure-7" not in server.fleet.zone_list


def test_a_zone_may_come_in_ed318_too(server: Served, fleet_command: Run, tmp_path: Path) -> None:
    valley = json.loads((Path(__file__).parents[2] / "configs" / "airspace" / "valley.ed318.json").read_text())
    prison = [f for f in valley["features"] if f["properties"]["identifier"] == "JAIL"] or valley["features"][1:2]
    file = tmp_path / "one.json"
    file.write_text(json.dumps({**valley, "features": prison}))
    added = fleet_command("airspace", "zones", "add", str(file), "--json", url=server.url)
    assert (added.code, added.json["zone_id"]) == (ExitCode.DONE, prison[0]["properties"]["identifier"])


def bow_tie() -> dict:
    ring = [[38.16, 7.51], [38.18, 7.53], [38.18, 7.51], [38.16, 7.53], [38.16, 7.51]]
    return {**CLOSURE, "geometry": {"type": "Polygon", "coordinates": [ring]}}


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (json.dumps(bow_tie()), ExitCode.REFUSED, "crosses or touches itself"),
        (
            json.dumps(
                {
                    "type": "FeatureCollection",
                    "features": [CLOSURE, {**CLOSURE, "properties": {**CLOSURE["properties"], "id": "two"}}],
                }
            ),
            ExitCode.REFUSED,
            "holds 2 zones",
        ),
        ("{", ExitCode.REFUSED, "JSON"),
        (None, ExitCode.FAILED, "cannot be read"),
    ],
    ids=["bow tie", "two zones", "not JSON", "no file"],
)
def test_a_zone_file_that_is_no_use_changes_nothing(
    server: Served, fleet_command: Run, tmp_path: Path, content: str | None, code: ExitCode, says: str
) -> None:
    file = tmp_path / "zone.geojson"
    if content is not None:
        file.write_text(content)
    ended = fleet_command("airspace", "zones", "add", str(file), "--json", url=server.url)
    assert (ended.code, ended.json["error"]["exit_code"]) == (code, code)
    assert says in ended.err
    assert str(file) in ended.err
    assert server.fleet.airspace_version == 1


def test_zones_are_changed_by_operators_only_and_must_exist(server: Served, fleet_command: Run, tmp_path: Path) -> None:
    file = tmp_path / "closure.geojson"
    file.write_text(json.dumps(CLOSURE))
    viewer = ("--token", "view-token", "--json")
    assert fleet_command("airspace", "zones", "list", *viewer, url=server.url).code == ExitCode.DONE
    denied = fleet_command("airspace", "zones", "add", str(file), *viewer, url=server.url)
    assert (denied.code, denied.json["error"]["exit_code"]) == (ExitCode.NOT_ALLOWED, 4)
    assert fleet_command("airspace", "zones", "withdraw", "park", *viewer, url=server.url).code == ExitCode.NOT_ALLOWED
    unknown = fleet_command("airspace", "zones", "withdraw", "no/such", "--json", url=server.url)
    assert unknown.code == ExitCode.REFUSED
    assert server.fleet.airspace_version == 1
