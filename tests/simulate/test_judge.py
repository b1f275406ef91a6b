"""Every expectation, met and not met, by runs made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.config.problems import ConfigError, Problems
from fleet.config.source import read_yaml
from fleet.simulate.expect import Choice, Expect, ExpectRun
from fleet.simulate.judge import ORDER_ROWS, RUN_ROWS, findings_of
from fleet.simulate.outcome import Finding, OrderOutcome, Outcome, ZoneSeen
from geofences.heights import Datum, FlatTerrain, Height
from geofences.volumes import Applicability, Circle, Restriction, Role, Volume
from missions.decision.types import Action, CandidateKind
from missions.orders import OrderState
from missions.plan import Reason
from sitl.observer import Landing
from tests.support.outcomes import (
    DOWN_S,
    DROP_S,
    START_S,
    THERE_S,
    UP_S,
    VIEW,
    decision,
    event,
    fault,
    flown,
    outcome,
    place,
    square,
    world,
)

MIDWAY_S = 200.0
"""half way there, 80 m above ground"""


def found(run: Outcome, **expect: Any) -> Finding:
    """The finding on the one thing that is expected of the order."""
    findings = [f for f in findings_of(run, {"vaccine": Expect.model_validate(expect)}, ExpectRun()) if f.order]
    assert len(findings) == 1
    return findings[0]


def of_run(run: Outcome, text: str, **expect: Any) -> Finding:
    return next(f for f in findings_of(run, {}, ExpectRun.model_validate(expect)) if text in f.expectation)


def met(run: Outcome, **expect: Any) -> bool:
    return found(run, **expect).met


# --- the table


def test_every_expectation_has_its_row_and_every_row_its_expectation() -> None:
    parameters = {"leave_within_s", "sound"}  # the latter has rules of its own: fleet.simulate.sound
    assert {r.field for r in ORDER_ROWS} == set(Expect.model_fields) - parameters
    assert {r.field for r in RUN_ROWS} == set(ExpectRun.model_fields) - parameters


def test_what_can_be_chosen_is_what_decisions_can_choose() -> None:
    kinds = {k.value for k in CandidateKind} | {a.name.lower() for a in Action} | {"stand_down"}
    assert {c.value for c in Choice} == kinds - {"continue"}


def test_a_run_as_it_should_be_meets_everything() -> None:
    expect = Expect.model_validate(
        {
            "state": ["received"],
            "verdict": ["in_range"],
            "never_inside": ["PARK"],
            "never_below_reserve": 20,
            "lands_at": "teral",
            "released": 1,
            "released_at": "ndeba",
            "no_alarm": ["any"],
            "delivered_within_min": 10,
            "temperature_at_hand_over_c": [2, 8],
        }
    )
    findings = findings_of(outcome(), {"vaccine": expect}, ExpectRun())
    assert len(findings) == 14
    assert all(f.met for f in findings), [f for f in findings if not f.met]
    assert replace(outcome(), findings=findings).ok


# --- the order's end


def test_the_state_at_the_end() -> None:
    assert found(outcome(), state=["received"]) == Finding("vaccine", "ends received", True, "it ended received")
    assert not met(outcome(), state=["returned", "quarantined"])
    never = outcome(orders=[OrderOutcome("vaccine", None)])
    assert found(never, state=["received"]).seen == "it was never placed"


def test_a_refusal_is_expected_by_its_reason() -> None:
    at_once = outcome(orders=[OrderOutcome("vaccine", None, "too heavy: 3.0 kg, the vehicle lifts 2.5")])
    assert met(at_once, refusal="Too heavy")
    assert not met(at_once, refusal="no route")
    assert not met(at_once, state=["received"])
    view = replace(VIEW, state=OrderState.REFUSED, reasons=(Reason("no_route", "no legal route to ndeba"),))
    later = outcome(orders=[OrderOutcome("vaccine", view)])
    assert found(later, refusal="legal route").seen == "refused: no legal route to ndeba"
    assert found(outcome(), refusal="no route").seen == "it was not refused"


def test_the_cold_verdict() -> None:
    assert met(outcome(), verdict=["in_range", "excursion_allowed"])
    assert not met(outcome(), verdict=["spoiled"])
    assert found(outcome(orders=[OrderOutcome("vaccine", None)]), verdict=["in_range"]).seen == "no verdict was given"


# --- decisions


def test_what_was_chosen_in_flight_be_it_a_route_or_a_safety_action() -> None:
    run = outcome(record=[decision(150.0), decision(MIDWAY_S, "reroute"), decision(250.0, action="HOLD")])
    assert met(run, decision=["reroute"])
    assert met(run, decision=["hold", "return"])
    assert found(run, decision=["return"]).seen == "chosen: reroute, hold"
    assert not met(outcome(record=[decision(MIDWAY_S)]), decision=["reroute"])


def test_a_decision_must_come_soon_after_its_fault() -> None:
    asked = {"kind": "reice", "after": "seal_failure", "s": 5.0}
    begun = fault(MIDWAY_S, "seal_failure", on="box-1")
    early = decision(MIDWAY_S - 10.0, "reice")

    in_time = found(outcome(happened=[begun], record=[early, decision(204.0, "reice")]), decision_within_s=asked)
    assert in_time.met
    assert in_time.seen == "chosen 4.0 s after seal_failure began"
    late = outcome(happened=[begun], record=[decision(206.0, "reice"), decision(204.0, "return")])
    assert not met(late, decision_within_s=asked)
    assert not met(outcome(happened=[begun], record=[early]), decision_within_s=asked)
    assert found(outcome(record=[early]), decision_within_s=asked).seen == "seal_failure never began"


def test_the_fault_of_the_orders_own_box_counts_not_an_earlier_one_elsewhere() -> None:
    happened = [fault(120.0, "seal_failure", on="box-9"), fault(MIDWAY_S, "seal_failure", on="box-1")]
    run = outcome(happened=happened, record=[decision(203.0, "reice")])
    assert met(run, decision_within_s={"kind": "reice", "after": "seal_failure", "s": 5.0})


def test_a_closures_zone_may_stand_for_its_fault() -> None:
    closed = [ZoneSeen(square("TFR-1", place(0.9)), START_S + MIDWAY_S)]
    run = outcome(zones=closed, record=[decision(203.0, "reroute")])
    assert met(run, decision_within_s={"kind": "reroute", "after": "TFR-1", "s": 5.0})


# --- zones


def zoned(zone: Any, since_s: float = 0.0, until_s: float | None = None, **changes: Any) -> Outcome:
    end = None if until_s is None else START_S + until_s
    return outcome(zones=[ZoneSeen(zone, START_S + since_s, end)], **changes)


def test_a_zone_on_the_way_is_flown_into_and_one_beside_it_is_not() -> None:
    inside = found(zoned(square("TFR-1", place(0.5))), never_inside=["TFR-1"])
    assert not inside.met
    assert inside.seen.startswith("cw-1 in TFR-1 from 09:03:")
    assert "it flew in, left after" in inside.seen
    beside = found(zoned(square("TFR-1", place(0.5, east_m=101.0))), never_inside=["TFR-1"])
    assert beside.met
    assert "positions in the air lies inside" in beside.seen
    assert found(outcome(), never_inside=["TFR-9"]).seen == "the zone never appeared"


def test_a_circle_counts_to_its_edge() -> None:
    def circle(east_m: float, radius_m: float) -> Any:
        return replace(square("C", HALF_WAY), volumes=(Volume(Circle(place(0.5, east_m=east_m), radius_m)),))

    assert not met(zoned(circle(100.0, 101.0)), never_inside=["C"])
    assert met(zoned(circle(100.0, 99.0)), never_inside=["C"])


HALF_WAY = place(0.5)


@pytest.mark.parametrize(
    ("lower", "upper", "inside"),
    [
        (None, Height(70.0, Datum.AGL), False),
        (None, Height(90.0, Datum.AGL), True),
        (Height(510.0, Datum.AMSL), None, False),
        (Height(490.0, Datum.AMSL), Height(510.0, Datum.AMSL), True),
        (Height(9000.0, Datum.WGS84), None, True),
    ],
)
def test_heights_count_and_those_that_cannot_be_compared_are_all_heights(lower: Any, upper: Any, inside: bool) -> None:
    run = zoned(square("Z", HALF_WAY, lower=lower, upper=upper))
    assert met(run, never_inside=["Z"]) is not inside


def test_height_above_ground_is_measured_from_the_ground_below_where_it_is_known() -> None:
    low = square("Z", HALF_WAY, upper=Height(50.0, Datum.AGL))
    assert met(zoned(low), never_inside=["Z"]), "80 m above home"
    assert not met(zoned(low, terrain=FlatTerrain(470.0)), never_inside=["Z"]), "30 m above the hill"


def test_a_zone_counts_from_when_it_appears_until_it_goes_and_only_while_it_applies() -> None:
    zone = square("Z", HALF_WAY)
    assert met(zoned(zone, since_s=260.0, until_s=400.0), never_inside=["Z"])
    assert not met(zoned(zone, since_s=260.0), never_inside=["Z"]), "entered on the way home"
    later = Applicability(start=datetime.fromtimestamp(START_S + 3600.0, UTC))
    assert met(zoned(replace(zone, applicability=(later,))), never_inside=["Z"])


def test_one_that_appears_around_the_vehicle_must_be_left_in_time() -> None:
    zone, home = square("Z", HALF_WAY), {"sightings": {"cw-1": cut(flown(), 300.0)}}
    run = zoned(zone, since_s=MIDWAY_S, **home)
    left = found(run, never_inside=["Z"])
    assert left.met
    assert "it appeared around it, left after" in left.seen
    assert not met(run, never_inside=["Z"], leave_within_s=5.0)
    stuck = zoned(zone, since_s=MIDWAY_S, sightings={"cw-1": cut(flown(), MIDWAY_S + 4.0)})
    lost = found(stuck, never_inside=["Z"])
    assert "never left" in lost.seen
    assert not lost.met


def cut(sighting: Any, end_s: float) -> Any:
    """The same, lost from sight at that time."""
    seen = replace(sighting, fixes=[f for f in sighting.fixes if f.at_s <= START_S + end_s])
    seen.landings = [x for x in sighting.landings if x.at_s <= START_S + end_s]
    return seen


def test_standing_in_a_zone_is_not_flying_in_it() -> None:
    pads = square("PADS", place(0.0, east_m=30.0), 40.0, lower=Height(-1.0, Datum.AGL), upper=Height(1.0, Datum.AGL))
    seen = flown(east_m=30.0)
    seen.takeoffs, seen.landings = [START_S + UP_S + 5.0], [Landing(START_S + DOWN_S - 5.0, 7.5, 38.2, 73.0)]
    assert met(zoned(pads, sightings={"cw-1": seen}), never_inside=["PADS"])


def test_without_a_vehicle_or_a_look_at_it_nothing_is_proven() -> None:
    zone = [ZoneSeen(square("Z", place(0.5, east_m=900.0)), 0.0)]
    assert found(outcome(zones=zone, sightings={}), never_inside=["Z"]).seen == "cw-1 was not observed"
    unserved = outcome(zones=zone, orders=[OrderOutcome("vaccine", VIEW)])
    assert found(unserved, never_inside=["Z"]).seen == "no vehicle served it"


@given(east_m=st.floats(-300.0, 300.0), half_m=st.floats(1.0, 200.0))
def test_a_square_is_entered_exactly_if_it_reaches_over_the_track(east_m: float, half_m: float) -> None:
    gap_m = abs(east_m) - half_m
    if abs(gap_m) > 0.5 and half_m > 3.0:  # 2.75 m between fixes; half a metre for the corners' latitude
        run = zoned(square("Z", place(0.5, east_m=east_m), half_m), sightings={"cw-1": SEEN})
        assert met(run, never_inside=["Z"]) == (gap_m > 0.0)


SEEN = flown()


# --- battery, places, box


def test_the_battery_at_the_drop_and_at_landings() -> None:
    assert found(outcome(), never_below_reserve=70).seen == "lowest 73 % as cw-1 landed 09:09:00"
    assert not met(outcome(), never_below_reserve=74)
    seen = flown()
    seen.battery = [(START_S, 100.0), (START_S + DROP_S - 1.0, 15.0), (START_S + DROP_S + 1.0, 80.0)]
    assert "at the drop" in found(outcome(sightings={"cw-1": seen}), never_below_reserve=20).seen
    seen = flown()
    seen.landings = [Landing(START_S + DOWN_S, 7.5, 38.2, None)]
    assert "not known" in found(outcome(sightings={"cw-1": seen}), never_below_reserve=20).seen
    seen.landings = []
    assert found(outcome(sightings={"cw-1": seen}), never_below_reserve=20).seen == "no landing was seen"


def test_where_it_landed_by_the_observer() -> None:
    assert found(outcome(), lands_at="teral").seen == "landed 0 m from teral"
    assert not met(outcome(), lands_at="ndeba")
    seen = flown()
    seen.landings = [Landing(START_S + DOWN_S, 7.5, 38.2 + 16.0 / 110_000.0, 73.0)]
    assert found(outcome(sightings={"cw-1": seen}), lands_at="teral").met is False
    seen.landings = [Landing(START_S + 10.0, 7.5, 38.2, 90.0)]
    before = found(outcome(sightings={"cw-1": seen}), lands_at="teral")
    assert before.seen == "no landing was seen", "it landed before it was given the order"


def test_how_often_and_where_the_box_left_the_vehicle_by_the_world() -> None:
    assert found(outcome(), released=1).seen == "the box left the vehicle once: 09:05:20"
    assert not met(outcome(), released=0)
    stays = outcome(world=[])
    assert met(stays, released=0)
    assert not met(stays, released=1)
    assert not met(stays, released_at="ndeba")
    assert found(outcome(), released_at="ndeba").seen == "set down 2 m from ndeba"
    assert not met(outcome(), released_at="teral")


def test_a_box_released_by_a_vehicle_on_another_order_is_not_this_orders() -> None:
    freed = event(310.0, "order_state", event="unassign", state="accepted")
    assert met(outcome(record=[freed]), released=0)
    other = OrderOutcome("blood", VIEW, events=[event(310.0, "assigned", vehicle_id="cw-1", box_id="box-2")])
    run = outcome()
    assert met(replace(run, orders=[*run.orders, other]), released=0)
    elsewhere = [event(310.0, "assigned", vehicle_id="cw-2", box_id="box-2")]
    assert met(replace(run, orders=[*run.orders, replace(other, events=elsewhere)]), released=1)


def test_the_payloads_true_temperature_at_hand_over() -> None:
    assert found(outcome(), temperature_at_hand_over_c=[2, 8]).seen == "4.6 °C at 09:05:50"
    assert not met(outcome(), temperature_at_hand_over_c=[5, 8])
    assert not met(outcome(box_truth={}), temperature_at_hand_over_c=[2, 8])
    kept = [e for e in outcome().orders[0].events if e.kind != "custody" and e.body.get("state") != "received"]
    nobody = outcome(orders=[OrderOutcome("vaccine", VIEW, events=kept)])
    assert found(nobody, temperature_at_hand_over_c=[2, 8]).seen == "nobody took the payload"


def test_how_long_it_took() -> None:
    assert found(outcome(), delivered_within_min=6).seen == "received after 5.8 min"
    assert not met(outcome(), delivered_within_min=5.5)
    unreceived = outcome(orders=[OrderOutcome("vaccine", VIEW)])
    assert not met(unreceived, delivered_within_min=60)


# --- alarms and commands


def test_alarms_by_the_fault_tables_names_or_by_words_of_their_texts() -> None:
    run = outcome(
        record=[
            decision(MIDWAY_S, faults=[("box_silent", "The cold box is silent (61 s)")]),
            event(DROP_S, "alarm", text="the box is still docked after the release: once more"),
        ]
    )
    assert met(run, alarm=["box_silent"])
    assert met(run, alarm=["Still Docked"])
    assert found(run, alarm=["takeover"]).seen == "raised: box_silent, alarm"
    assert met(run, no_alarm=["takeover"])
    assert not met(run, no_alarm=["box_silent"])
    assert not met(run, no_alarm=["any"])
    assert met(outcome(), no_alarm=["any"])
    assert found(outcome(), alarm=["box_silent"]).seen == "no alarm was raised"


def test_what_is_recorded_of_the_vehicle_while_it_serves_the_order_counts_too() -> None:
    rival = event(50.0, "link_event", stream="vehicle/cw-1", what="other_gcs", text="GCS 255 is heard on cw-1")
    earlier, other = replace(rival, at_s=START_S + 10.0), replace(rival, stream="vehicle/cw-2")
    assert met(outcome(events=[rival]), alarm=["other_gcs"])
    assert not met(outcome(events=[earlier, other]), alarm=["other_gcs"])


def test_each_words_of_a_list_are_looked_for() -> None:
    run = outcome(record=[decision(MIDWAY_S, faults=[("box_silent", "silent")])])
    expect = Expect.model_validate({"alarm": ["box_silent", "takeover"]})
    findings = [f for f in findings_of(run, {"vaccine": expect}, ExpectRun()) if f.order]
    assert [(f.expectation, f.met) for f in findings] == [("alarm: box_silent", True), ("alarm: takeover", False)]


def test_no_commands_while_a_pilot_flies() -> None:
    asked = {"after": "pilot"}
    pilot = [fault(150.0, "pilot", on="cw-1"), fault(250.0, "pilot", on="cw-1", state="over")]
    quiet = outcome(happened=pilot, record=[event(151.0, "command", step="hold"), event(251.0, "command", step="fly")])
    assert found(quiet, no_commands_between=asked).seen == "none from 09:02:30 to 09:04:10"
    fights = outcome(happened=pilot, record=[event(200.0, "command", step="hold")])
    assert found(fights, no_commands_between=asked).seen == "09:03:20 hold, once in all"
    handed_back = [event(190.0, "operator_command", command="resume"), event(200.0, "command", step="fly")]
    assert met(outcome(happened=pilot, record=handed_back), no_commands_between=asked)
    assert not met(outcome(), no_commands_between=asked)


def test_no_commands_up_to_another_fault() -> None:
    happened = [fault(110.0, "silence"), fault(250.0, "voice")]
    asked = {"after": "silence", "before": "voice"}
    assert met(outcome(happened=happened), no_commands_between=asked), "the release came later"
    assert not met(outcome(happened=happened), no_commands_between={"after": "silence"})
    assert found(outcome(happened=happened[:1]), no_commands_between=asked).seen == "voice never began"


def test_an_alarm_must_come_soon_after_its_fault_and_not_before_it() -> None:
    asked = {"alarm": "link_stale", "after": "link_loss", "s": 6.0}
    begun = fault(MIDWAY_S, "link_loss", on="cw-1")
    stale = [("link_stale", "Link lost")]
    run = outcome(happened=[begun], record=[decision(MIDWAY_S + 4.5, faults=stale)])
    assert found(run, alarm_within_s=[asked]).seen == "4.5 s after link_loss began: Link lost"
    late = outcome(happened=[begun], record=[decision(MIDWAY_S + 7.0, faults=stale)])
    assert not met(late, alarm_within_s=[asked])
    early = outcome(happened=[begun], record=[decision(MIDWAY_S - 10.0, faults=stale)])
    assert found(early, alarm_within_s=[asked]).seen.startswith("only before, 09:03:10")
    assert found(outcome(happened=[begun]), alarm_within_s=[asked]).seen.startswith("never raised")
    assert found(outcome(), alarm_within_s=[asked]).seen == "link_loss never began"
    twice = [event(at_s, "link_event", what="rival_plan", text="cw-1: changed") for at_s in (120.0, MIDWAY_S + 1.0)]
    again = {"alarm": "rival_plan", "after": "link_loss", "s": 2.0}
    assert met(outcome(happened=[begun], record=twice), alarm_within_s=[again]), "the same words, told a second time"


def test_a_vehicle_stays_on_the_ground_while_a_fault_lasts() -> None:
    lid = [fault(20.0, "lid_open", on="box-1"), fault(UP_S - 5.0, "lid_open", on="box-1", state="over")]
    waited = found(outcome(happened=lid), grounded_during=["lid_open"])
    assert waited.met
    assert waited.seen.endswith("took off 5 s later")
    too_soon = [lid[0], fault(UP_S + 5.0, "lid_open", on="box-1", state="over")]
    assert found(outcome(happened=too_soon), grounded_during=["lid_open"]).seen == "took off 09:01:40"
    assert not met(outcome(happened=lid[:1]), grounded_during=["lid_open"]), "it never ended"
    assert not met(outcome(), grounded_during=["lid_open"])
    assert found(outcome(happened=lid, sightings={}), grounded_during=["lid_open"]).seen == "no vehicle was observed"


# --- the whole run


def test_no_vehicle_may_fly_in_any_prohibited_zone_whether_it_serves_an_order_or_not() -> None:
    text = "prohibited"
    stray = {"cw-1": flown(), "cw-2": flown("cw-2", east_m=1000.0)}
    seen = of_run(outcome(sightings=stray), text)
    assert not seen.met
    assert seen.seen.startswith("cw-2 in PARK from")
    assert of_run(outcome(), text).met
    for other in ({"restriction": Restriction.CONDITIONAL}, {"role": Role.KEEP_IN}):
        allowed = [ZoneSeen(square("PARK", place(0.5, east_m=1000.0), **other), 0.0)]
        assert of_run(outcome(sightings=stray, zones=allowed), text).met
    assert of_run(outcome(sightings={}), text).seen == "nothing was seen in the air"
    findings = findings_of(outcome(sightings=stray), {}, ExpectRun(never_inside_prohibited=False))
    assert all(f.met for f in findings)


def test_the_record_must_be_intact() -> None:
    broken = outcome(streams_intact={"airspace": "", "order/ord-1": "event 3 was changed after it was written"})
    assert of_run(outcome(), "record").seen == "the hash chains of 2 streams hold"
    assert of_run(broken, "record").seen == "order/ord-1: event 3 was changed after it was written"
    assert not of_run(broken, "record").met
    assert not of_run(outcome(streams_intact={}), "record").met


def test_what_was_to_go_wrong_must_have_begun_or_nothing_is_proven() -> None:
    text = "what was to go wrong"
    run = outcome(faults=["radio", "gust"], happened=[fault(MIDWAY_S, "radio"), fault(MIDWAY_S, "gust")])
    assert of_run(run, text).seen == "radio, gust began"
    assert (
        of_run(outcome(faults=["radio", "gust"], happened=[fault(MIDWAY_S, "gust")]), text).seen == "never began: radio"
    )
    assert of_run(outcome(), text).met


def test_no_box_is_released_twice_or_by_a_vehicle_without_an_order() -> None:
    assert of_run(outcome(world=[]), "released twice").seen == "no box left a vehicle"
    again = world(DROP_S + 60.0, "released", box="box-1", vehicle="cw-1")
    assert of_run(outcome(), "released twice").seen == "1 in all, each by a vehicle on its order"
    assert not of_run(outcome(happened=[again]), "released twice").met
    loaded = world(DROP_S + 30.0, "loaded", box="box-1", vehicle="cw-1")
    assert of_run(outcome(happened=[loaded, again]), "released twice").met
    stranger = world(THERE_S, "released", box="box-2", vehicle="cw-2")
    assert "served no order" in of_run(outcome(happened=[stranger]), "released twice").seen


# --- bad files


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ("state: [recieved]", "state[0]", "Did you mean `received`?"),
        ("decision: [rerout]", "decision[0]", "Did you mean `reroute`?"),
        ("never_insid: [TFR-1]", "never_insid", "Did you mean `never_inside`?"),
        ("decision_within_s: {kind: reice, s: 5}", "decision_within_s.after", "Add `after:`"),
        ("decision_within_s: {kind: reice, after: x, s: 0}", "decision_within_s.s", "greater than 0"),
        ("never_below_reserve: 120", "never_below_reserve", "less than or equal to 100"),
        ("temperature_at_hand_over_c: [8, 2]", "temperature_at_hand_over_c", "the lower one first"),
        ("released: 2", "released", "less than or equal to 1"),
        ("{}", "", "at least one expectation"),
    ],
)
def test_a_bad_expectation_is_told_with_its_line_and_the_fix(tmp_path: Any, line: str, field: str, words: str) -> None:
    path = tmp_path / "expect.yaml"
    path.write_text(f"# what must come of it\n{line}\n")
    document, problems = read_yaml(path), Problems()
    with pytest.raises(ValidationError) as raised:
        Expect.model_validate(document.data)
    for details in raised.value.errors(include_url=False):
        problems.add_details(document, Expect, details)
    with pytest.raises(ConfigError) as refused:
        problems.raise_if_any()
    (problem,) = refused.value.problems
    assert (problem.line, problem.field) == (2, field)
    assert words in str(problem)


def test_the_names_it_speaks_of_can_be_looked_up() -> None:
    expect = Expect.model_validate(
        {
            "never_inside": ["TFR-1"],
            "lands_at": "teral",
            "released_at": "ndeba",
            "decision_within_s": {"kind": "reice", "after": "seal", "s": 5},
            "no_commands_between": {"after": "pilot", "before": "gust"},
            "alarm_within_s": [{"alarm": "link_stale", "after": "radio", "s": 6}],
            "grounded_during": ["lid"],
        }
    )
    names = [(what, name) for _, what, name in expect.names()]
    faults = [("fault", name) for name in ("seal", "pilot", "gust", "radio", "lid")]
    assert names == [("zone", "TFR-1"), ("site", "teral"), ("site", "ndeba"), *faults, ("alarm", "link_stale")]
    assert list(ExpectRun().names()) == []


def test_two_vehicles_that_serve_one_order_are_both_looked_at() -> None:
    record = [
        event(150.0, "order_state", event="unassign", state="accepted"),
        event(160.0, "assigned", vehicle_id="cw-2", box_id="box-2"),
    ]
    seen = {"cw-1": flown(), "cw-2": flown("cw-2", east_m=50.0)}
    run = zoned(square("Z", place(0.5, east_m=60.0), 30.0), record=record, sightings=seen)
    assert found(run, never_inside=["Z"]).seen.startswith("cw-2 in Z")
