"""Decisions as timelines: what happens, what is decided, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from missions.decision.engine import decide
from missions.decision.types import Action, CandidateKind, Decision, FlightPhase, Forecast, Memory, Policy, Snapshot
from missions.orders import Priority
from missions.snapshot import BoxVerdict, Mode, Timed
from tests.decision.situations import (
    ALTERNATE,
    CALM,
    CONTINUE,
    DELIVER,
    FAULTS,
    NOW,
    POLICY,
    REICE,
    REROUTE,
    RETURN,
    at,
    candidate,
    closure,
    critical,
    excursion_forecast,
    failsafe,
    good_after_all,
    link_lost,
    mode,
    off_route,
    plan,
    position_late,
    run,
    sagging,
    settled,
    short_plan,
    verdict,
    with_candidates,
    without,
)  # fmt: skip


def chosen(d: Decision) -> tuple[CandidateKind, str] | None:
    return None if d.candidate is None else (d.candidate.kind, d.candidate.site_id)


# the cold box


def test_the_seal_fails_and_a_new_pack_half_way_is_chosen_at_once() -> None:
    memory, before = run(CALM, 5.0)
    memory, after = decide(memory, at(excursion_forecast(CALM), NOW + 5.5), POLICY, NOW + 5.5)
    assert before[-1].candidate is None
    assert chosen(after) == (REICE, "midway")
    assert after.action is Action.CONTINUE
    assert after.cause == "excursion_forecast"
    assert "10.5 ± 0.6 °C at koru, 5 % chance" in after.sentence
    assert "new pack at midway, then on, 50 % battery at the end, 6.5 ± 0.6 °C, 93 % chance in range" in after.sentence


def test_without_a_station_in_reach_the_dose_goes_home() -> None:
    decision = settled(without(excursion_forecast(CALM), REICE))
    assert chosen(decision) == (RETURN, "teral")
    assert decision.action is Action.RETURN
    assert decision.cause == "excursion_forecast"


def test_a_station_that_would_be_too_late_is_not_chosen() -> None:
    late = with_candidates(excursion_forecast(CALM), candidate(REICE, "midway", p=0.3))
    assert chosen(settled(late)) == (RETURN, "teral")


def test_a_small_risk_is_worth_taking_for_a_patient_who_cannot_wait() -> None:
    risky = with_candidates(without(CALM, REICE), candidate(CONTINUE, "koru", p=0.68))
    assert chosen(settled(risky)) == (RETURN, "teral") or settled(risky).candidate is None
    routine = replace(risky, order=replace(risky.order, priority=Priority.ROUTINE))
    stat = replace(risky, order=replace(risky.order, priority=Priority.STAT))
    at_50 = with_candidates(stat, candidate(CONTINUE, "koru", p=0.5))
    assert settled(at_50).candidate is None  # losing 0.5 doses against a patient going without
    assert chosen(settled(with_candidates(routine, candidate(CONTINUE, "koru", p=0.5)))) == (RETURN, "teral")


def test_a_dose_made_for_one_patient_is_brought_home_at_a_risk_another_would_take() -> None:
    risky = with_candidates(without(CALM, REICE), candidate(CONTINUE, "koru", p=0.75))
    assert settled(risky).candidate is None
    only = replace(risky, order=replace(risky.order, single_patient=True))
    assert chosen(settled(only)) == (RETURN, "teral")


def test_an_excursion_within_the_budget_flies_on() -> None:
    decision = settled(verdict(BoxVerdict.EXCURSION_ALLOWED)(CALM))
    assert decision.candidate is None
    assert decision.action is Action.CONTINUE
    assert decision.cause == "excursion_now"


def test_lateness_counts_by_the_hour_but_never_more_than_going_without() -> None:
    near = with_candidates(excursion_forecast(CALM), candidate(REICE, "midway", p=0.95, after_s=3600.0 + 1800.0))
    assert chosen(settled(near)) == (REICE, "midway")
    far = with_candidates(excursion_forecast(CALM), candidate(REICE, "midway", p=0.95, after_s=3600.0 * 7))
    assert chosen(settled(far)) == (RETURN, "teral")


def test_on_the_way_home_with_the_payload_the_comparison_goes_on_without_a_delivery() -> None:
    home = replace(verdict(BoxVerdict.QUARANTINE)(CALM), phase=FlightPhase.INBOUND, plan=plan("teral"))
    home = replace(home, candidates=(candidate(CONTINUE, "teral", p=0.0), candidate(ALTERNATE, "ferry", p=0.0)))
    decision = settled(home)
    assert decision.candidate is None
    assert decision.action is Action.CONTINUE


def test_a_flight_that_turned_home_delivers_when_the_dose_would_arrive_in_range_after_all() -> None:
    memory, turned = run(without(excursion_forecast(CALM), REICE), 10.0)
    assert chosen(turned[-1]) == (RETURN, "teral")
    shut = good_after_all(CALM)
    memory, soon = run(shut, 8.0, memory, begin_s=NOW + 10.5)
    assert {chosen(d) for d in soon} == {None}  # it has only just turned
    memory, later = run(shut, 60.0, memory, begin_s=NOW + 19.0)
    assert chosen(later[-1]) == (DELIVER, "koru")
    assert (later[-1].action, later[-1].cause) == (Action.CONTINUE, "delivery_possible")
    assert "to koru after all, 55 % battery at the end" in later[-1].sentence
    assert settled(shut).cause == "delivery_possible"


def test_it_goes_on_home_with_a_dose_that_would_probably_not_arrive_in_range() -> None:
    home = good_after_all(CALM)
    for p in (0.89, 0.5, 0.0, None):
        assert chosen(settled(with_candidates(home, candidate(DELIVER, "koru", p=p)))) is None
    assert chosen(settled(with_candidates(home, candidate(DELIVER, "koru", p=0.91)))) == (DELIVER, "koru")


def test_it_does_not_turn_to_the_destination_again_with_a_battery_that_may_not_do() -> None:
    assert chosen(settled(with_candidates(good_after_all(CALM), candidate(DELIVER, "koru", end_pct=21.0)))) is None


@pytest.mark.parametrize("unsure", ["box_silent", "sensor_untrusted", "excursion_now"])
def test_what_cannot_be_believed_or_is_out_of_range_is_not_taken_out_again(unsure: str) -> None:
    assert chosen(settled(FAULTS[unsure](good_after_all(CALM)))) is None


def test_after_the_release_nothing_about_the_cold_is_decided() -> None:
    home = replace(excursion_forecast(CALM), phase=FlightPhase.INBOUND, box=None, plan=plan("teral"))
    decision = settled(home)
    assert (decision.candidate, decision.cause) == (None, "plan")


# closures


def test_a_closure_appears_and_the_route_around_it_is_flown() -> None:
    memory, _ = run(CALM, 5.0)
    rerouted = with_candidates(closure(2500.0)(CALM), candidate(REROUTE, "koru", end_pct=57.0, after_s=290.0))
    memory, decision = decide(memory, at(rerouted, NOW + 5.5), POLICY, NOW + 5.5)
    assert chosen(decision) == (REROUTE, "koru")
    assert decision.action is Action.CONTINUE
    assert decision.cause == "closure_ahead"
    assert "valley-closure in 2500 m" in decision.sentence
    assert "by another route to koru, 57 % battery at the end" in decision.sentence


def test_while_the_closure_is_far_it_flies_on_until_a_route_is_found() -> None:
    decision = settled(closure(2500.0)(CALM))
    assert (decision.action, decision.candidate) == (Action.CONTINUE, None)
    assert "a route around it is looked for" in decision.sentence


def test_near_the_closure_without_a_warm_route_it_holds() -> None:
    stale = replace(closure(300.0)(CALM), candidates_at_s=None, candidates=())
    decision = settled(stale)
    assert (decision.action, decision.candidate, decision.cause) == (Action.HOLD, None, "closure_near")


def test_near_the_closure_it_holds_until_a_route_was_looked_for_and_then_takes_what_there_is() -> None:
    near = closure(300.0)(without(CALM, REICE))
    memory, decision = decide(Memory(), near, POLICY, NOW)
    assert decision.action is Action.HOLD
    looked = replace(at(near, NOW + 3.0), candidates_at_s=NOW + 2.0)
    memory, decision = decide(memory, looked, POLICY, NOW + 3.0)
    assert chosen(decision) == (RETURN, "teral")


def test_a_hold_ends_when_the_closure_is_lifted() -> None:
    memory, decisions = run(replace(closure(300.0)(CALM), candidates=()), 2.0)
    assert decisions[-1].action is Action.HOLD
    memory, decision = decide(memory, at(CALM, NOW + 2.5), POLICY, NOW + 2.5)
    assert (decision.action, decision.cause) == (Action.CONTINUE, "plan")


def test_a_route_planned_against_an_older_airspace_is_not_flown() -> None:
    old = with_candidates(closure(300.0)(CALM), candidate(REROUTE, "koru"))
    decision = settled(replace(old, airspace_version=2))
    assert decision.action is Action.HOLD
    why = {c.site_id: c.rejected for c in decision.considered if c.kind is REROUTE}
    assert why == {"koru": "planned against airspace 1, now 2"}


def test_inside_a_closed_zone_it_leaves_for_home_by_a_legal_route() -> None:
    decision = settled(closure(0.0)(CALM))
    assert (decision.action, chosen(decision)) == (Action.RETURN, (RETURN, "teral"))


def test_a_zone_closes_around_it_and_it_goes_on_by_another_route_that_leads_out() -> None:
    decision = settled(with_candidates(closure(0.0)(CALM), candidate(REROUTE, "koru")))
    assert (decision.action, chosen(decision)) == (Action.CONTINUE, (REROUTE, "koru"))
    assert decision.cause == "inside_closed_zone"


@pytest.mark.parametrize("name", ["battery_below_way_home", "vehicle_rebooted", "plan_not_verified"])
def test_with_something_else_wrong_inside_a_closed_zone_it_does_not_go_on(name: str) -> None:
    decision = settled(FAULTS[name](with_candidates(closure(0.0)(CALM), candidate(REROUTE, "koru"))))
    assert (decision.action, chosen(decision)) == (Action.RETURN, (RETURN, "teral"))


def test_a_zone_closes_around_it_and_it_holds_for_five_seconds_until_there_are_routes_then_px4_returns() -> None:
    closed = replace(closure(0.0)(CALM), airspace_version=2)  # its candidates are of the airspace before
    _, decisions = run(closed, 8.0)
    assert [d.action for d in decisions] == [Action.HOLD] * 10 + [Action.RETURN] * 7
    assert all(d.candidate is None for d in decisions)
    memory, _ = run(closed, 2.0)
    found = with_candidates(closed, candidate(REROUTE, "koru", version=2))
    _, decision = decide(memory, at(found, NOW + 2.5), POLICY, NOW + 2.5)
    assert (decision.action, chosen(decision)) == (Action.CONTINUE, (REROUTE, "koru"))


def test_seconds_before_the_drop_it_is_not_turned_home_with_the_load_for_a_margin() -> None:
    s = replace(sagging(CALM), home_end_pct=Forecast(22.0, 0.5))
    for after_s, action in ((25.0, Action.CONTINUE), (120.0, Action.RETURN)):
        near = with_candidates(s, candidate(CONTINUE, "koru", end_pct=22.0, sd=0.5, after_s=after_s))
        assert decide(*_raised(near), POLICY, NOW + 1.5)[1].action is action


def _raised(s: Snapshot) -> tuple[Memory, Snapshot]:
    return run(s, 1.0)[0], at(s, NOW + 1.5)


def test_an_inbound_flight_meets_a_closure_and_goes_round_it() -> None:
    home = replace(closure(2500.0)(CALM), phase=FlightPhase.INBOUND, box=None, plan=plan("teral"))
    home = replace(home, candidates=(candidate(CONTINUE, "teral", p=None), candidate(REROUTE, "teral", p=None)))
    decision = settled(home)
    assert chosen(decision) == (REROUTE, "teral")


# the ladder


def test_the_battery_sags_and_it_turns_home() -> None:
    decision = settled(sagging(CALM))
    assert (decision.action, chosen(decision)) == (Action.RETURN, (RETURN, "teral"))
    assert decision.cause == "battery_below_way_home"
    assert "21.4 % left at home if it turned now, 22.0 % is the limit" in decision.sentence


def test_where_home_is_out_of_reach_the_nearest_alternate_is_taken() -> None:
    s = with_candidates(
        sagging(CALM), candidate(RETURN, "teral", end_pct=15.0), candidate(ALTERNATE, "quarry", end_pct=30.0)
    )
    decision = settled(s)
    assert (decision.action, chosen(decision)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "quarry"))


def test_where_nothing_keeps_the_reserve_the_place_with_most_left_is_taken() -> None:
    s = replace(
        sagging(CALM),
        candidates=(
            candidate(CONTINUE, "koru", end_pct=1.0),
            candidate(RETURN, "teral", end_pct=11.0, after_s=100.0),
            candidate(ALTERNATE, "quarry", end_pct=12.0, after_s=130.0),
        ),
    )
    decision = settled(s)
    assert (decision.action, chosen(decision)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "quarry"))
    assert "no landing place is reached legally above the reserve" in decision.sentence


def test_where_no_place_can_be_reached_at_all_it_lands_where_it_is() -> None:
    s = replace(
        sagging(CALM), candidates=(candidate(RETURN, "teral", end_pct=1.0), candidate(ALTERNATE, "quarry", end_pct=2.0))
    )
    decision = settled(s)
    assert (decision.action, decision.candidate) == (Action.LAND_NOW, None)


def test_a_critical_battery_lands_at_the_nearest_place_even_below_the_reserve() -> None:
    decision = settled(critical(CALM))
    assert (decision.action, chosen(decision)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "quarry"))
    assert decision.cause == "battery_critical"


def test_without_a_warm_route_home_px4s_own_return_is_asked_for() -> None:
    decision = settled(replace(sagging(CALM), candidates=(), candidates_at_s=None))
    assert (decision.action, decision.candidate) == (Action.RETURN, None)
    assert "straight to rally point quarry, 0.9 km away" in decision.sentence


def test_a_landing_under_way_goes_on_while_its_routes_are_made_anew() -> None:
    memory, _ = run(sagging(CALM), 3.0)
    underway = replace(
        sagging(CALM), phase=FlightPhase.INBOUND, plan=plan("teral"), candidates=(), candidates_at_s=None
    )
    memory, decision = decide(memory, at(underway, NOW + 3.5), POLICY, NOW + 3.5)
    assert (decision.action, decision.candidate) == (Action.RETURN, None)
    assert "flying on to teral" in decision.sentence


def test_a_plan_that_would_end_below_the_reserve_is_left_for_another_way() -> None:
    decision = settled(short_plan(CALM))
    assert chosen(decision) == (REICE, "midway") or chosen(decision) == (RETURN, "teral")
    assert decision.cause == "plan_below_reserve"
    assert {c.kind for c in decision.considered if c.rejected} == {CONTINUE}


def test_candidates_that_are_too_old_are_not_chosen() -> None:
    decision = settled(replace(excursion_forecast(CALM), candidates_at_s=NOW - 11.0))
    assert decision.candidate is None
    assert all(c.rejected == "its route is too old" for c in decision.considered if c.kind is not CONTINUE)


def test_off_the_route_it_holds_until_a_route_from_here_is_known() -> None:
    memory, decisions = run(off_route(CALM), 2.0)
    assert [d.action for d in decisions] == [Action.CONTINUE] * 4 + [Action.HOLD]
    again = with_candidates(off_route(CALM), candidate(REROUTE, "koru"))
    memory, decision = decide(memory, at(again, NOW + 2.5), POLICY, NOW + 2.5)
    assert (decision.action, chosen(decision)) == (Action.CONTINUE, (REROUTE, "koru"))


def test_late_telemetry_holds_even_with_another_route_at_hand() -> None:
    s = with_candidates(position_late(closure(300.0)(CALM)), candidate(REROUTE, "koru"))
    decision = settled(s)
    assert (decision.action, decision.cause) == (Action.HOLD, "telemetry_stale")


# who commands


def test_a_pilot_takes_over_and_the_session_stands_down_within_its_settling_time() -> None:
    memory, _ = run(CALM, 2.0)
    _, decisions = run(mode(Mode.MANUAL)(CALM), 3.0, memory, begin_s=NOW + 2.5)
    first = next(i for i, d in enumerate(decisions) if d.stand_down)
    assert first / 2 == POLICY.takeover_settle_s
    assert all(d.stand_down and d.candidate is None for d in decisions[first:])
    assert decisions[-1].cause == "takeover"
    assert "mode manual, mission was commanded" in decisions[-1].sentence


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_without_authority_nothing_is_commanded_whatever_else_is_wrong(name: str) -> None:
    decision = settled(replace(FAULTS[name](CALM), authority=False))
    assert decision.stand_down
    assert decision.candidate is None


def test_a_stale_link_commands_nothing_and_says_what_px4_will_do() -> None:
    decision = settled(sagging(link_lost(CALM)))
    assert decision.link_silent
    assert decision.candidate is None
    assert decision.cause == "link_stale"
    assert "silent for 6.0 s" in decision.sentence
    assert (
        "PX4 returns straight to rally point quarry, 0.9 km away: not proven to be open from here" in decision.sentence
    )


def test_where_another_ground_station_is_heard_a_stale_link_is_said_to_bring_no_failsafe() -> None:
    shared = replace(CALM.vehicle, link=replace(CALM.vehicle.link, other_gcs=(255,)))
    decision = settled(link_lost(replace(CALM, vehicle=shared)))
    assert decision.link_silent
    assert "it flies on as it was last told: another ground station keeps PX4's data-link failsafe" in decision.sentence


def test_px4s_own_failsafe_is_not_fought_and_is_no_takeover() -> None:
    decision = settled(failsafe(CALM))
    assert decision.link_silent
    assert not decision.stand_down
    assert decision.cause == "px4_failsafe"


def test_a_failsafe_that_does_no_more_than_hold_is_led_on_after_a_while() -> None:
    """Beyond its fence PX4 holds, and would hold until its battery is empty."""
    held = replace(CALM.vehicle, failsafe=Timed(True, NOW - 0.5), mode=Timed(Mode.HOLD, NOW - 0.5))
    decisions = run(replace(CALM, vehicle=held), 25.0)[1]
    silent_s = [i / 2 for i, decision in enumerate(decisions) if decision.link_silent]
    assert silent_s[-1] == pytest.approx(20.0, abs=1.0)
    assert decisions[-1].action is Action.CONTINUE
    assert not decisions[-1].stand_down
    returning = run(failsafe(CALM), 25.0)[1][-1]
    assert returning.link_silent


def test_when_the_link_comes_back_the_decision_is_taken_up_again() -> None:
    memory, _ = run(link_lost(excursion_forecast(CALM)), 3.0)
    _, decisions = run(excursion_forecast(CALM), 2.0, memory, begin_s=NOW + 3.5)
    assert decisions[0].link_silent
    assert not decisions[-1].link_silent
    assert chosen(decisions[-1]) == (REICE, "midway")


@pytest.mark.parametrize("phase", [FlightPhase.PREPARING, FlightPhase.READY, FlightPhase.REICING, FlightPhase.LANDED])
def test_on_the_ground_there_is_nothing_to_decide(phase: FlightPhase) -> None:
    decision = settled(replace(sagging(excursion_forecast(CALM)), phase=phase))
    assert (decision.action, decision.candidate) == (Action.CONTINUE, None)


def test_a_launch_is_finished_before_anything_is_chosen() -> None:
    memory, decisions = run(replace(excursion_forecast(CALM), phase=FlightPhase.LAUNCHING), 5.0)
    assert all(d.candidate is None for d in decisions)
    assert memory.chosen_site in ("", "koru")


# staying with a choice


def test_the_same_situation_gives_the_same_choice_for_ten_minutes() -> None:
    for change in (excursion_forecast, sagging, critical, closure(300.0), off_route):
        _, decisions = run(change(CALM), 600.0)
        late = decisions[20:]
        assert len({(d.action, chosen(d), d.cause) for d in late}) == 1, change


def test_a_slightly_better_candidate_does_not_replace_the_chosen_one() -> None:
    memory, _ = run(excursion_forecast(CALM), 2.0)
    better = with_candidates(
        excursion_forecast(CALM),
        candidate(REICE, "glacier", p=0.955, after_s=560.0),
        candidate(REICE, "midway", p=0.93),
    )
    _, decisions = run(better, 60.0, memory, begin_s=NOW + 2.5)
    assert {chosen(d) for d in decisions} == {(REICE, "midway")}


def test_a_much_better_candidate_replaces_it_after_the_dwell_and_not_before() -> None:
    s = with_candidates(excursion_forecast(CALM), candidate(REICE, "midway", p=0.80))
    memory, decisions = run(s, 2.0)
    assert chosen(decisions[-1]) == (REICE, "midway")
    better = with_candidates(s, candidate(REICE, "glacier", p=0.99))
    _, decisions = run(better, 30.0, memory, begin_s=NOW + 2.5)
    switch = next(i for i, d in enumerate(decisions) if chosen(d) == (REICE, "glacier"))
    assert NOW + 2.5 + switch / 2 == NOW + POLICY.dwell_s


def test_a_choice_that_cannot_be_flown_any_more_is_replaced_at_once() -> None:
    memory, _ = run(excursion_forecast(CALM), 2.0)
    memory, decision = decide(memory, at(without(excursion_forecast(CALM), REICE), NOW + 2.5), POLICY, NOW + 2.5)
    assert chosen(decision) == (RETURN, "teral")


def test_two_alternates_equally_near_do_not_alternate() -> None:
    def places(first: float, second: float) -> Snapshot:
        return replace(
            critical(CALM),
            candidates=(
                candidate(ALTERNATE, "quarry", end_pct=8.0, sd=0.5, after_s=first),
                candidate(ALTERNATE, "ferry", end_pct=8.0, sd=0.5, after_s=second),
            ),
        )

    memory, _ = run(places(60.0, 61.0), 1.0)
    for i in range(20):
        s = places(61.0, 60.0) if i % 2 else places(60.0, 61.0)
        memory, decision = decide(memory, at(s, NOW + 1.5 + i), POLICY, NOW + 1.5 + i)
        assert chosen(decision) == (ALTERNATE, "quarry")


def test_flying_where_it_was_sent_is_flying_the_plan() -> None:
    memory, _ = run(excursion_forecast(CALM), 2.0)
    sent = replace(
        CALM,
        plan=plan("midway"),
        candidates=(candidate(CONTINUE, "midway", p=0.96), candidate(RETURN, "teral", p=0.97)),
    )
    memory, decisions = run(sent, 60.0, memory, begin_s=NOW + 2.5)
    assert all(d.candidate is None and d.action is Action.CONTINUE for d in decisions)
    assert (memory.chosen_kind, memory.chosen_site) == (REICE, "midway")


def test_every_decision_lists_what_was_considered_with_its_numbers() -> None:
    decision = settled(excursion_forecast(CALM))
    assert len(decision.considered) == len(CALM.candidates)
    for scored in decision.considered:
        assert (scored.expected_loss is None) == bool(scored.rejected)
        assert scored.p_reach > 0.99
    losses = {c.site_id: c.expected_loss for c in decision.considered}
    assert losses["midway"] == pytest.approx(0.07 * (1.0 + 0.45 * 1.3), abs=0.01)
    assert losses["teral"] == pytest.approx(0.45 * 1.3 + 0.02, abs=0.01)
    assert losses["quarry"] == pytest.approx(0.45 * 1.3 + (1 - 0.99 * 0.9), abs=0.01)


def test_a_policy_decides_what_a_delivery_is_worth() -> None:
    s = with_candidates(without(excursion_forecast(CALM), REICE), candidate(CONTINUE, "koru", p=0.5))
    assert chosen(settled(s)) == (RETURN, "teral")
    assert settled(s, policy=Policy(loss_undelivered=0.9)).candidate is None


def test_a_reading_of_energy_without_spread_is_taken_at_its_word() -> None:
    exact = replace(excursion_forecast(CALM))
    exact = with_candidates(exact, replace(candidate(REICE, "midway", p=0.95), energy_end_pct=Forecast(20.0, 0.0)))
    assert chosen(settled(exact)) == (REICE, "midway")


# a position that cannot be believed


def test_a_position_that_jumps_has_the_vehicle_hold_at_once_and_go_on_five_seconds_after_it_jumped_back() -> None:
    memory, _ = run(CALM, 5.0)
    memory, lost = decide(memory, at(FAULTS["position_untrusted"](CALM), NOW + 5.5), POLICY, NOW + 5.5)
    assert (lost.action, lost.candidate, lost.cause) == (Action.HOLD, None, "position_untrusted")
    assert "500 m north of where its own velocity leads" in lost.sentence
    _, back = run(CALM, 6.0, memory, begin_s=NOW + 10.0)
    assert [d.action for d in back] == [Action.HOLD] * 10 + [Action.CONTINUE] * 3


@pytest.mark.parametrize("name", ["inside_closed_zone", "closure_near", "conformance_lost", "battery_below_way_home"])
def test_nothing_is_flown_around_or_home_by_a_wrong_position(name: str) -> None:
    decision = settled(FAULTS["position_untrusted"](FAULTS[name](CALM)))
    assert (decision.action, decision.candidate) == (Action.HOLD, None)


def test_a_vehicle_that_cannot_wait_lands_where_it_is() -> None:
    decision = settled(FAULTS["position_untrusted"](critical(CALM)))
    assert (decision.action, decision.candidate, decision.cause) == (Action.LAND_NOW, None, "battery_critical")
    assert decision.sentence.endswith("where it is is not known, it lands here.")
