"""Every mistake in a scenario file gets its line, its field, what is wrong and the fix; nothing is started for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli.app import app
from fleet.cli.output import ExitCode
from fleet.config import ConfigError, data_dir
from fleet.config.problems import Problem
from fleet.simulate.scenario import load_scenario

GOOD = f"""\
title: one delivery
fleet: {data_dir() / "fleet.yaml"}
start: 2026-03-10T09:00:00Z
world:
  ambient_c: 25.0
people:
  load_s: 15
only: [cw-1]
sites: []
vehicles: {{cw-1: {{battery_pct: 90}}}}
boxes: {{box-1: {{temp_c: 5.0}}}}
orders:
  - name: insulin
    product: insulin
    to: ndeba
    mass_kg: 0.5
    volume_l: 1.0
    deadline_min: 60
    payload_c: 5.0
    faults:
      - name: radio
        kind: link_loss
        rate: 1.0
        when: {{flown_m: 1200}}
    expect:
      state: [received]
faults:
  - kind: second_gcs
    vehicle: cw-1
expect:
  record_intact: yes
"""
CLOSURE = data_dir() / "airspace" / "valley-closure.geojson"
ORDER, FAULT, WHEN, EXPECT = "orders[0]", "orders[0].faults[0]", "orders[0].faults[0].when", "orders[0].expect"

CASES = {
    # what is written → what is written instead, the field, what is wrong, the fix
    "an unknown section": ("people:", "poeple:", "poeple", "not a known key", "`people`?"),
    "no start": ("start: 2026-03-10T09:00:00Z\n", "", "start", "is missing", "Add `start:`"),
    "a start that is no time": ("2026-03-10T09:00:00Z", "soon", "start", "'soon'", "valid datetime"),
    "no fleet's file": ("fleet.yaml", "flet.yaml", "fleet", "flet.yaml, which does not exist", "Check the path"),
    # the world and its people
    "the world, a typo": ("ambient_c:", "ambient:", "world.ambient", "unknown field", "'ambient_c'?"),
    "the world, a word": ("ambient_c: 25.0", "ambient_c: warm", "world.ambient_c", "'warm'", "Give a number"),
    "the world, too much": ("ambient_c: 25.0", "gust_m_s: 90", "world.gust_m_s", "90 is out of range", "0 to 20"),
    "the world, inside": (
        "ambient_c: 25.0", "fronts: [{at: 5}]", "world.fronts[0].at_s", "missing", "Rename 'at' to 'at_s'",
    ),
    "people, a typo": ("load_s:", "load:", "people.load", "not a known key", "`load_s`?"),
    "people, negative": ("load_s: 15", "load_s: -15", "people.load_s", "-15", "greater than or equal to 0"),
    # the fleet
    "an unknown vehicle alone": ("[cw-1]", "[cw-11]", "only[0]", "'cw-11' is no vehicle", "`cw-1`?"),
    "an unknown vehicle": ("cw-1: {battery", "cw-9: {battery", "vehicles.cw-9", "no vehicle of the fleet", "`cw-1`?"),
    "a vehicle's typo": ("battery_pct", "battry_pct", "vehicles.cw-1.battry_pct", "unknown field", "'battery_pct'?"),
    "a vehicle's charge": ("pct: 90", "pct: 150", "vehicles.cw-1.battery_pct", "150 is out of range", "0 to 100"),
    "an unknown box": ("{box-1:", "{bx-1:", "boxes.bx-1", "no box of the fleet", "`box-1`?"),
    "a box's typo": ("temp_c: 5.0}", "temp: 5.0}", "boxes.box-1.temp", "unknown field", "'temp_c'?"),
    "a site's typo": (
        "sites: []", "sites: [{id: a, lat: 7.5, lon: 38.2, knd: clinic}]", "sites[0].knd", "not a known key", "`kind`?",
    ),
    "a site that is there": (
        "sites: []", "sites: [{id: koru, lat: 7.5, lon: 38.2}]", "sites[0].id", "'koru' is a site already", "its own",
    ),
    # orders
    "an order's typo": ("volume_l:", "volume:", f"{ORDER}.volume", "not a known key", "`volume_l`?"),
    "an order without its mass": ("    mass_kg: 0.5\n", "", f"{ORDER}.mass_kg", "is missing", "Add `mass_kg:`"),
    "a mass in words": ("mass_kg: 0.5", "mass_kg: half", f"{ORDER}.mass_kg", "'half'", "valid number"),
    "nothing to carry": ("mass_kg: 0.5", "mass_kg: 0", f"{ORDER}.mass_kg", "is 0", "greater than 0"),
    "an unknown product": ("product: insulin", "product: insuline", f"{ORDER}.product", "is no product", "`insulin`?"),
    "an unknown destination": ("to: ndeba", "to: ndebba", f"{ORDER}.to", "'ndebba' is no site", "`ndeba`?"),
    "an unknown priority": ("payload_c:", "priority: sta\n    payload_c:", f"{ORDER}.priority", "'sta'", "`stat`?"),
    "a deadline without end": ("deadline_min: 60", "deadline_min: .inf", f"{ORDER}.deadline_min", "inf", "finite"),
    "a dose on fire": ("payload_c: 5.0", "payload_c: 500", f"{ORDER}.payload_c", "500", "or equal to 80"),
    "a budget of nothing": (
        "payload_c: 5.0", "payload_c: 5.0\n    budget_min: {cool: 3}", f"{ORDER}.budget_min.cool",
        "insulin has no such excursion", "Use room",
    ),
    "nothing expected": ("    expect:\n      state: [received]\n", "", ORDER, "expects nothing", "Add `expect:`"),
    # faults
    "an unknown fault": ("link_loss", "link_lost", f"{FAULT}.kind", "no kind of fault", "`link_loss`?"),
    "a fault's typo": ("rate: 1.0", "rat: 1.0", f"{FAULT}.rat", "unknown field", "'rate'?"),
    "a fault's word": ("rate: 1.0", "rate: all", f"{FAULT}.rate", "'all'", "Give a number"),
    "a fault's range": ("rate: 1.0", "rate: 3", f"{FAULT}.rate", "3 is out of range", "from 0 to 1"),
    "a fault's choice": ("rate: 1.0", "direction: sideways", f"{FAULT}.direction", "'sideways'", "both, down, up"),
    "a fault without its number": ("link_loss\n        rate: 1.0", "battery_sag", f"{FAULT}.share", "missing", "Add"),
    "a fault that ends early": ("rate: 1.0", "duration_s: -3", f"{FAULT}.duration_s", "-3", "or equal to 0"),
    "an unknown order's fault": ("rate: 1.0", "order: insuline", f"{FAULT}.order", "is no order", "`insulin`?"),
    "an unknown vehicle's fault": ("vehicle: cw-1", "vehicle: cw-7", "faults[0].vehicle", "is no vehicle", "`cw-1`?"),
    "a vehicle's fault on a box": ("vehicle: cw-1", "box: box-1", "faults[0].box", "concerns no box", "Remove it"),
    "a fault of nobody": ("    vehicle: cw-1\n", "", "faults[0]", "happens to whom?", "Add `order:` or `vehicle:`"),
    "an unknown box's fault": (
        "second_gcs\n    vehicle: cw-1", "box_nan\n    box: box-7", "faults[0].box", "'box-7' is no box", "`box-3`?",
    ),
    "an unknown command": (
        "second_gcs", "operator\n    command: retrun", "faults[0].command", "'retrun'", "hold, resume, return, land",
    ),
    "a closure from nowhere": (
        "second_gcs\n    vehicle: cw-1", "closure\n    file: no.geojson", "faults[0].file", "does not exist", "Check",
    ),
    "a closure without a zone": (
        "second_gcs\n    vehicle: cw-1", f"closure\n    file: {data_dir() / 'fleet.yaml'}", "faults[0].file",
        "one usable zone", "Mend",
    ),
    "half a circle": (
        "second_gcs\n    vehicle: cw-1", "closure\n    circle: {lat: 7.5, lon: 38.2}", "faults[0].circle.radius_m",
        "missing", "Add 'radius_m'",
    ),
    "two shapes": (
        "second_gcs\n    vehicle: cw-1", f"closure\n    file: {CLOSURE}\n    circle: {{lat: 7, lon: 38, radius_m: 9}}",
        "faults[0].file", "stands beside `circle`", "Leave one",
    ),
    # when
    "when, a typo": ("flown_m:", "flown:", f"{WHEN}.flown", "not a known key", "`flown_m`?"),
    "when, negative": ("flown_m: 1200", "flown_m: -1", f"{WHEN}.flown_m", "-1", "or equal to 0"),
    "when, an order's state": ("flown_m: 1200", "state: in_fligth", f"{WHEN}.state", "'in_fligth'", "`in_flight`?"),
    "when, a flight's phase": ("flown_m: 1200", "phase: lauching", f"{WHEN}.phase", "'lauching'", "`launching`?"),
    "when, near what": ("flown_m: 1200", "near: salmee", f"{WHEN}.near", "'salmee' is no site", "`salme`?"),
    "when, after what": ("flown_m: 1200", "after: radioo", f"{WHEN}.after", "is no fault's name", "`radio`?"),
    "when, after itself": ("flown_m: 1200", "after: radio", f"{WHEN}.after", "'radio' never begins", "a time or"),
    "when, after each other": (
        "when: {flown_m: 1200}", "when: {after: b}\n      - {name: b, kind: gripper_jam, when: {after: radio}}",
        f"{WHEN}.after", "'b' never begins", "a time or a place",
    ),
    "two faults of one name": (
        "  - kind: second_gcs", "  - kind: second_gcs\n    name: radio", "faults[0].name", "used twice", "its own",
    ),
    "when, of whom": ("vehicle: cw-1", "vehicle: cw-1\n    when: {state: ready}", "faults[0].when", "whom", "order:"),
    # expectations
    "expect, a typo": ("state: [", "stat: [", f"{EXPECT}.stat", "not a known key", "`state`?"),
    "expect, a state": ("[received]", "[recieved]", f"{EXPECT}.state[0]", "'recieved'", "`received`?"),
    "expect, no list": ("[received]", "received", f"{EXPECT}.state", "'received'", "valid list"),
    "expect, a verdict": ("state: [received]", "verdict: [in range]", f"{EXPECT}.verdict[0]", "", "`in_range`?"),
    "expect, a choice": ("state: [received]", "decision: [retrn]", f"{EXPECT}.decision[0]", "'retrn'", "`return`?"),
    "expect, a zone": ("state: [received]", "never_inside: [PARC]", f"{EXPECT}.never_inside", "no zone", "`PARK`?"),
    "expect, a site": ("state: [received]", "lands_at: terall", f"{EXPECT}.lands_at", "is no site", "`teral`?"),
    "expect, two releases": ("state: [received]", "released: 2", f"{EXPECT}.released", "is 2", "or equal to 1"),
    "expect, a reserve": (
        "state: [received]", "never_below_reserve: 120", f"{EXPECT}.never_below_reserve", "120", "or equal to 100",
    ),
    "expect, a band": (
        "state: [received]", "temperature_at_hand_over_c: [8, 2]", f"{EXPECT}.temperature_at_hand_over_c", "[8, 2]",
        "the lower one first",
    ),
    "expect, after what": (
        "state: [received]", "decision_within_s: {kind: hold, after: radioo, s: 5}", f"{EXPECT}.decision_within_s",
        "'radioo' is no fault", "`radio`?",
    ),
    "expect, within what": (
        "state: [received]", "alarm_within_s: [{alarm: x, after: radio}]", f"{EXPECT}.alarm_within_s[0].s",
        "is missing", "Add `s:`",
    ),
    "expect, inside a list": (
        "state: [received]", "alarm_within_s: [{alarm: x, after: radio, s: 5, before: x}]",
        f"{EXPECT}.alarm_within_s[0].before", "not a known key", "Known: after, alarm, s",
    ),
    "expect, grounded during what": (
        "state: [received]", "grounded_during: [lid]", f"{EXPECT}.grounded_during", "'lid' is no fault", "radio",
    ),
    "expect, before what": (
        "state: [received]", "no_commands_between: {after: radio, before: raido}", f"{EXPECT}.no_commands_between",
        "'raido' is no fault", "`radio`?",
    ),
    "expect, half a band": (
        "state: [received]", "temperature_at_hand_over_c: [2]", f"{EXPECT}.temperature_at_hand_over_c[1]", "is missing",
        "at least 2 in the brackets",
    ),
    "expect, an alarm": (
        "state: [received]", "alarm: [link_stall]", f"{EXPECT}.alarm", "'link_stall' is no alarm", "`link_stale`?",
    ),
    "expect, no alarm, a typo": (
        "state: [received]", "no_alarm: [takeovr]", f"{EXPECT}.no_alarm", "'takeovr' is no alarm", "`takeover`?",
    ),
    "expect, an alarm in time": (
        "state: [received]", "alarm_within_s: [{alarm: box_silnt, after: radio, s: 5}]", f"{EXPECT}.alarm_within_s",
        "'box_silnt' is no alarm", "`box_silent`?",
    ),
    "expect of the run, a typo": ("record_intact", "record_intakt", "expect.record_intakt", "", "`record_intact`?"),
    "expect of the run, a word": ("intact: yes", "intact: perhaps", "expect.record_intact", "'perhaps'", "boolean"),
}  # fmt: skip


def problems(path: Path, text: str) -> list[Problem]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    return list(caught.value.problems)


def test_the_file_that_the_mistakes_are_made_in_is_good(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_scenario(path).file.title == "one delivery"


@pytest.mark.parametrize(("good", "bad", "field", "text", "fix"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_its_field_and_a_fix(
    tmp_path: Path, good: str, bad: str, field: str, text: str, fix: str
) -> None:
    assert GOOD.count(good) >= 1
    path = tmp_path / "bad.yaml"
    found = {p.field: p for p in problems(path, GOOD.replace(good, bad, 1))}
    assert field in found
    assert text in found[field].text
    assert fix in found[field].fix
    assert found[field].file == str(path)
    assert found[field].line is not None


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("rate: 1.0", "rate: 3"),
        ("to: ndeba", "to: ndebba"),
        ("battery_pct: 90", "battery_pct: 150"),
        ("vehicle: cw-1", "vehicle: cw-7"),
        ("state: [received]", "lands_at: terall"),
        ("record_intact: yes", "record_intact: perhaps"),
    ],
)
def test_the_line_is_that_of_the_key(tmp_path: Path, good: str, bad: str) -> None:
    text = GOOD.replace(good, bad, 1)
    line = next(n for n, row in enumerate(text.splitlines(), start=1) if bad in row)
    assert [p.line for p in problems(tmp_path / "bad.yaml", text)] == [line]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("to: ndeba", "to: x").replace("rate: 1.0", "rate: 3").replace("vehicle: cw-1", "vehicle: y")
    fields = [p.field for p in problems(tmp_path / "bad.yaml", text)]
    assert fields == ["orders[0].to", "orders[0].faults[0].rate", "faults[0].vehicle"]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (GOOD.replace("  load_s", "\tload_s"), 7, "is not YAML"),
        (GOOD.replace("only: [cw-1]", "only: [cw-1"), 9, "is not YAML"),
        (GOOD.replace("one delivery", "one: delivery"), 1, "is not YAML"),
        (GOOD + "title: again\n", 32, 'duplicate key "title"'),
        ("", 1, "is not a mapping"),
        ("- title: x\n", 1, "is not a mapping"),
        (GOOD[: GOOD.index("orders:")] + "orders: []\n", 12, "is empty"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    (problem,) = problems(tmp_path / "bad.yaml", text)
    assert problem.line == line
    assert told in problem.text
    assert problem.fix


def test_a_file_that_is_no_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(GOOD.replace("people:", "# für Menschen\npeople:").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"bad\.yaml:6: is not YAML in UTF-8.*Save it as UTF-8"):
        load_scenario(path)


@pytest.mark.parametrize("words", ["any", "takeover", "rebooted", "compass", "the lid of box-1 is open", "stale"])
def test_an_alarm_is_named_or_a_part_of_its_text(tmp_path: Path, words: str) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD.replace("state: [received]", f"no_alarm: ['{words}']"), encoding="utf-8")
    assert load_scenario(path).file.orders[0].expect


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: does not exist\. Check the path\."):
        load_scenario(tmp_path / "nowhere.yaml")


def test_the_command_tells_it_without_a_trace_and_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace("to: ndeba", "to: ndebba"), encoding="utf-8")
    for command in (["check", str(path)], ["run", str(path)], ["run", str(path), "--live"]):
        result = CliRunner().invoke(app, ["scenario", *command])
        assert result.exit_code == ExitCode.REFUSED
        assert f"{path}:15: orders[0].to 'ndebba' is no site" in result.output
        assert "fix: Did you mean `ndeba`?" in result.output
        assert "Traceback" not in result.output
