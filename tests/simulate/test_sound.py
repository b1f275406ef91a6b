"""What must hold whatever goes wrong: each rule told by a run in which it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.config import data_dir
from fleet.config.source import parse_yaml
from fleet.simulate import sound
from fleet.simulate.excuses import EXCUSES
from fleet.simulate.outcome import Commanded, OrderOutcome, Outcome, ZoneSeen
from fleet.simulate.scenario import Scenario, scenario_of
from fleet.simulate.sound import RULES, Ruling, rulings
from geofences.geodesy import destination
from geofences.volumes import Circle, Restriction, Volume, Zone
from missions.orders import OrderState
from tests.support.outcomes import (
    DOWN_S,
    DROP_S,
    RECORD,
    START_S,
    THERE_S,
    UP_S,
    VIEW,
    decision,
    event,
    fault,
    outcome,
    place,
    world,
)

MANUAL, MISSION = 3 << 16, 4 << 16 | 4 << 24


def scenario(*faults: str) -> Scenario:
    """One order to Ndeba; `faults` in YAML's flow style."""
    text = f"""
fleet: ../fleet.yaml
title: One delivery
start: 2026-03-10T09:00:00Z
only: [cw-1]
orders:
- {{name: vaccine, product: insulin, to: ndeba, mass_kg: 0.5, volume_l: 1, deadline_min: 60, payload_c: 5}}
faults: [{", ".join(faults)}]
expect: {{sound: true}}
"""
    return scenario_of(parse_yaml(data_dir() / "scenarios" / "one.yaml", text.encode()))


def ruled(run: Outcome, rule: str, *faults: str) -> Ruling:
    """What the rule says of the run, of the first incident if there are several."""
    return next(r for r in rulings(scenario(*faults), run) if rule in r.rule)


def broken(run: Outcome, rule: str, *faults: str) -> bool:
    return ruled(run, rule, *faults).broken


ALARM = decision(120.0, "return", action="HOLD", faults=[("inside_closed_zone", "Inside a closed zone: leaving it")])


def closed(since_s: float, at: float = 0.5, radius_m: float = 300.0) -> list[ZoneSeen]:
    """A circle about a place on the way, from so long after the start on."""
    zone = Zone("TFR", "rescue", Restriction.PROHIBITED, (Volume(Circle(place(at), radius_m)),))
    return [ZoneSeen(zone, START_S + since_s)]


def test_a_run_without_trouble_holds_by_every_rule() -> None:
    found = rulings(scenario(), outcome())
    assert [r.rule for r in found] == [rule for rule, _, _ in RULES]
    assert not any(r.broken or r.excuse for r in found)


def test_every_excuse_is_admitted_by_some_rule_and_every_admitted_one_exists() -> None:
    admitted = {name for _, _, names in RULES for name in names}
    assert admitted == set(EXCUSES)


def test_the_manual_has_every_rule_with_its_excuses() -> None:
    page = (Path(__file__).parents[2] / "docs/random-flights.md").read_text(encoding="utf-8")
    assert sound.as_markdown() in page, "make it anew: python -m fleet.simulate.sound"
    assert all(f"`{name}`" in page for name in EXCUSES)


# --- zones


def test_flying_into_a_zone_that_stood_there_is_broken() -> None:
    assert broken(outcome(zones=closed(0.0), record=[ALARM]), "prohibited zones")


def test_a_zone_that_appeared_around_the_vehicle_is_excused_if_it_leaves_and_somebody_was_told() -> None:
    inside_s = (UP_S + THERE_S) / 2.0
    run = outcome(zones=closed(inside_s), record=[ALARM])
    assert ruled(run, "prohibited zones").excuse == "appeared_there"
    assert not broken(run, "prohibited zones")
    assert broken(replace(run, orders=outcome(zones=closed(inside_s)).orders), "prohibited zones"), "nobody was told"


def test_a_zone_that_is_not_left_in_time_is_no_longer_excused() -> None:
    early_s = UP_S + 20.0
    assert broken(outcome(zones=closed(early_s, at=0.6, radius_m=1300.0), record=[ALARM]), "prohibited zones")


def test_without_a_link_nobody_could_command_it_out_of_the_way() -> None:
    lost = "{name: lost, kind: link_loss, order: vaccine}"
    run = outcome(zones=closed(UP_S + 5.0), happened=[fault(UP_S, "lost", on="cw-1") | {"kind": "link_loss"}])
    run = replace(run, orders=outcome(record=[ALARM]).orders)
    assert ruled(run, "prohibited zones", lost).excuse == "nobody_could_command"
    weak = "{name: lost, kind: link_loss, order: vaccine, rate: 0.2}"
    assert broken(run, "prohibited zones", weak), "with most frames coming through it could be commanded"


# --- energy


def low(pct: float, *happened: dict[str, Any], record: Any = ()) -> Outcome:
    run = outcome(record=record)
    told = [e for e in run.world if e["event"] != "landed"]
    landed = world(DOWN_S, "landed", vehicle="cw-1", lat_deg=7.5, lon_deg=38.2, battery_pct=pct)
    return replace(run, world=[*told, *happened, landed])


def test_landing_below_the_reserve_is_broken_unless_a_fault_took_the_energy_and_it_was_told_in_time() -> None:
    sag = "{name: sag, kind: battery_sag, order: vaccine, share: 0.5}"
    sagged = fault(200.0, "sag", on="cw-1") | {"kind": "battery_sag"}
    told = decision(210.0, faults=[("battery_below_way_home", "Battery is down")])
    late = decision(DOWN_S - 5.0, faults=[("battery_below_way_home", "Battery is down")])
    assert not broken(low(20.0), "reserve")
    assert broken(low(19.9), "reserve")
    assert broken(low(12.0, sagged), "reserve", sag)
    assert broken(low(12.0, sagged, record=[late]), "reserve", sag)
    assert ruled(low(12.0, sagged, record=[told]), "reserve", sag).excuse == "energy_taken"
    assert not broken(low(12.0, sagged, record=[told]), "reserve", sag)


def test_an_energy_that_is_gone_at_once_is_told_at_once_though_no_time_is_left() -> None:
    sag = "{name: sag, kind: battery_sag, order: vaccine, share: 1.0}"
    sagged = fault(DOWN_S - 8.0, "sag", on="cw-1") | {"kind": "battery_sag"}
    told = decision(DOWN_S - 7.0, faults=[("battery_critical", "Battery critical")])
    late = decision(DOWN_S - 1.0, faults=[("battery_critical", "Battery critical")])
    assert not broken(low(0.0, sagged, record=[told]), "reserve", sag)
    assert broken(low(0.0, sagged, record=[late]), "reserve", sag)


# --- the controller itself


def test_a_fault_of_the_controller_is_never_excused() -> None:
    told = event(150.0, "fault", stream="fleet", what="flight 1 of cw-1", text="KeyError: 'x'")
    assert broken(replace(outcome(), events=[told]), "fault of its own")
    assert "KeyError" in ruled(replace(outcome(), events=[told]), "fault of its own").text


# --- orders, boxes, vehicles


def ended(state: OrderState, *happened: dict[str, Any], record: Any = ()) -> Outcome:
    run = outcome(happened=happened, record=record)
    return replace(run, orders=[replace(run.orders[0], view=replace(VIEW, state=state))])


@pytest.mark.parametrize("state", [OrderState.RETURNED, OrderState.QUARANTINED, OrderState.REFUSED])
def test_an_order_may_end_in_any_final_state_but_lost(state: OrderState) -> None:
    assert not broken(ended(state), "loses no order")


@pytest.mark.parametrize("state", [OrderState.IN_FLIGHT, OrderState.RELEASED, OrderState.LOST])
def test_an_order_that_does_not_end_is_lost(state: OrderState) -> None:
    assert broken(ended(state), "loses no order")


def test_an_order_on_a_vehicle_that_has_crashed_is_excused_once_somebody_was_told() -> None:
    crash = world(250.0, "crashed", vehicle="cw-1", lat_deg=7.51, lon_deg=38.2, battery_pct=50.0)
    told = event(251.0, "alarm", text="link lost")
    assert broken(ended(OrderState.IN_FLIGHT, crash), "loses no order")
    assert ruled(ended(OrderState.IN_FLIGHT, crash, record=[told]), "loses no order").excuse == "crashed"
    assert broken(ended(OrderState.IN_FLIGHT, crash, record=[told]), "does not crash"), "but why did it crash?"


def test_a_crash_is_excused_by_half_of_the_thrust_gone_not_by_an_eighth() -> None:
    crash = world(250.0, "crashed", vehicle="cw-1", lat_deg=7.51, lon_deg=38.2, battery_pct=50.0)
    failed = fault(245.0, "motor", on="cw-1") | {"kind": "motor_failure"}
    run = outcome(happened=[crash, failed], record=[event(251.0, "alarm", text="it falls")])
    assert not broken(run, "does not crash", "{name: motor, kind: motor_failure, order: vaccine, share: 0.5}")
    assert broken(run, "does not crash", "{name: motor, kind: motor_failure, order: vaccine, share: 0.125}")


def test_a_box_set_down_elsewhere_is_excused_only_by_a_position_that_went_astray_unseen() -> None:
    run = outcome()
    off = destination(place(1.0), 90.0, 40.0)
    moved = [e | {"lat_deg": off.lat_deg, "lon_deg": off.lon_deg} if e["event"] == "released" else e for e in run.world]
    assert broken(replace(run, world=moved), "destination")
    drift = fault(150.0, "drift", on="cw-1") | {"kind": "gps_drift"}
    drifting = "{name: drift, kind: gps_drift, order: vaccine, east_m_s: 1}"
    assert ruled(replace(run, world=[*moved, drift]), "destination", drifting).excuse == "gps_drifted"


def test_a_box_that_is_gone_must_be_known_to_be() -> None:
    quiet = [e for e in RECORD if e.body.get("event") != "release"]
    run = outcome()
    assert broken(replace(run, orders=[OrderOutcome("vaccine", VIEW, events=quiet)]), "boxes are gone")
    kept = [e for e in run.world if e["event"] != "released"]
    assert broken(replace(run, world=kept), "boxes are gone")


def test_a_vehicle_that_never_comes_down_is_missed() -> None:
    run = outcome()
    run.sightings["cw-1"].landings.clear()
    assert broken(run, "every vehicle down")


# --- the dose


def test_what_left_its_band_must_not_be_handed_over_as_in_range() -> None:
    warm = {"box-1": [(START_S + s, 4.0 if s < 200 else 9.0) for s in range(0, 601, 10)]}
    run = outcome(box_truth=warm)
    assert broken(run, "in_range")
    assert not broken(outcome(box_truth={"box-1": [(START_S + s, 8.3) for s in range(0, 601, 10)]}), "in_range")
    told = OrderOutcome("vaccine", replace(VIEW, verdict="spoiled"), events=RECORD, band_c=(2.0, 8.0))
    assert not broken(replace(run, orders=[told]), "in_range")
    lied = fault(20.0, "wrong", on="box-1") | {"kind": "box_probe_wrong"}
    both = "{name: wrong, kind: box_probe_wrong, box: box-1, offset_c: -5}"
    one = "{name: wrong, kind: box_probe_wrong, box: box-1, offset_c: -5, probe: first}"
    lying = outcome(box_truth=warm, happened=[lied])
    assert ruled(lying, "in_range", both).excuse == "sensors_lied"
    assert broken(lying, "in_range", one)


# --- commands


def test_a_command_that_was_not_recorded_first_has_no_excuse() -> None:
    right = Commanded("cw-1", START_S + DROP_S, "release", "")
    wrong = Commanded("cw-1", START_S + DROP_S, "release", "it is not in the record before it is sent")
    assert not broken(outcome(commanded=[right]), "recorded")
    assert broken(outcome(commanded=[right, wrong]), "recorded")


def test_a_command_to_a_vehicle_in_a_pilots_hands_is_broken_from_three_seconds_on() -> None:
    run = outcome(commanded=[Commanded("cw-1", START_S + 152.9, "fly", "")])
    run.sightings["cw-1"].modes[:] = [(START_S, MISSION), (START_S + 150.0, MANUAL), (START_S + 200.0, MISSION)]
    assert not broken(run, "pilot")
    assert broken(replace(run, commanded=[Commanded("cw-1", START_S + 153.1, "fly", "")]), "pilot")
    assert not broken(replace(run, commanded=[Commanded("cw-1", START_S + 201.0, "fly", "")]), "pilot")
    back = [*RECORD, event(160.0, "operator_command", command="resume", actor="op")]
    handed = replace(run, orders=[OrderOutcome("vaccine", VIEW, events=back)])
    assert not broken(replace(handed, commanded=[Commanded("cw-1", START_S + 161.0, "fly", "")]), "pilot")
    killed = fault(148.0, "kill") | {"kind": "controller_killed"}
    down = replace(run, world=[*run.world, killed], commanded=[Commanded("cw-1", START_S + 155.0, "fly", "")])
    assert ruled(down, "pilot", "{name: kill, kind: controller_killed}").excuse == "unheard"
    assert broken(down, "pilot", "{name: kill, kind: controller_killed}"), "nobody was told"
