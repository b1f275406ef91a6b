"""The rungs of the ladder at their edges: which place goes first, when a way counts, and what is done without one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from missions.decision.engine import decide
from missions.decision.types import (
    Action,
    Candidate,
    CandidateKind,
    Decision,
    FlightPhase,
    Forecast,
    Memory,
    NoReturn,
    Snapshot,
)
from missions.plan import Return
from missions.snapshot import BoxVerdict, Timed, Velocity
from tests.decision.situations import (
    ALTERNATE,
    CALM,
    CONTINUE,
    NOW,
    POLICY,
    REROUTE,
    RETURN,
    at,
    candidate,
    closure,
    critical,
    link_lost,
    other_plan,
    plan,
    run,
    sagging,
    settled,
    verdict,
)


def with_battery(c: Candidate, end_pct: float, sd: float = 0.0) -> Candidate:
    return replace(c, energy_end_pct=Forecast(end_pct, sd))


def place(kind: CandidateKind, site: str, end_pct: float, after_s: float) -> Candidate:
    return with_battery(candidate(kind, site, after_s=after_s), end_pct)


def flown(d: Decision) -> tuple[Action, tuple[CandidateKind, str] | None]:
    return d.action, None if d.candidate is None else (d.candidate.kind, d.candidate.site_id)


def low(*candidates: Candidate) -> Snapshot:
    """The battery is critical, and these are the ways."""
    return replace(critical(CALM), candidates=candidates)


def homeward(s: Snapshot, *candidates: Candidate) -> Snapshot:
    return replace(s, phase=FlightPhase.INBOUND, plan=plan("teral"), candidates=candidates)


# which place goes first


def test_a_critical_battery_prefers_a_place_above_the_reserve_to_a_nearer_one_below_it() -> None:
    s = low(place(ALTERNATE, "quarry", 12.0, 60.0), place(ALTERNATE, "ferry", 25.0, 200.0))
    assert flown(settled(s)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "ferry"))


def test_of_two_places_above_the_reserve_the_nearer_is_taken_though_the_other_leaves_more() -> None:
    s = low(place(ALTERNATE, "ferry", 40.0, 200.0), place(RETURN, "teral", 25.0, 60.0))
    assert flown(settled(s)) == (Action.DIVERT_AND_LAND, (RETURN, "teral"))


def test_below_the_reserve_a_critical_battery_takes_the_nearest_place_and_a_weak_one_that_with_most_left() -> None:
    ways = place(ALTERNATE, "quarry", 8.0, 60.0), place(ALTERNATE, "ferry", 14.0, 200.0)
    assert flown(settled(low(*ways))) == (Action.DIVERT_AND_LAND, (ALTERNATE, "quarry"))
    weak = replace(sagging(CALM), candidates=ways)
    assert flown(settled(weak)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "ferry"))


@pytest.mark.parametrize(("left_pct", "action"), [(3.0, Action.DIVERT_AND_LAND), (2.99, Action.LAND_NOW)])
def test_a_place_that_is_just_reached_with_the_least_charge_is_flown_to(left_pct: float, action: Action) -> None:
    assert POLICY.land_floor_pct == 3.0
    assert settled(low(place(ALTERNATE, "quarry", left_pct, 60.0))).action is action


def test_home_goes_before_a_nearer_alternate_where_only_home_is_asked_for() -> None:
    s = replace(sagging(CALM), candidates=(place(ALTERNATE, "quarry", 60.0, 30.0), place(RETURN, "teral", 25.0, 300.0)))
    assert flown(settled(s)) == (Action.RETURN, (RETURN, "teral"))


def test_a_place_whose_route_is_not_legal_any_more_is_not_flown_to_however_near() -> None:
    old = candidate(ALTERNATE, "quarry", version=0, after_s=30.0)
    s = low(with_battery(old, 60.0), place(ALTERNATE, "ferry", 25.0, 200.0))
    assert flown(settled(s)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "ferry"))
    assert flown(settled(low(with_battery(old, 60.0)))) == (Action.LAND_NOW, None)


# a landing whose plan leads into a closed zone


def test_towards_home_with_a_closed_zone_far_ahead_a_critical_battery_flies_on_until_a_route_is_found() -> None:
    on = place(CONTINUE, "teral", 8.0, 60.0)
    decision = settled(homeward(closure(2500.0)(critical(CALM)), on))
    assert flown(decision) == (Action.DIVERT_AND_LAND, None)
    assert "on towards teral until a route around it is found" in decision.sentence


def test_a_place_that_is_not_cut_off_goes_before_a_nearer_end_of_the_plan_that_is() -> None:
    on, field = place(CONTINUE, "teral", 8.0, 60.0), place(ALTERNATE, "quarry", 5.0, 90.0)
    assert flown(settled(homeward(closure(2500.0)(critical(CALM)), on, field)))[1] == (ALTERNATE, "quarry")
    assert flown(settled(homeward(critical(CALM), on, field)))[1] == (CONTINUE, "teral")


# without routes


@pytest.mark.parametrize("stale", [{"candidates": ()}, {"candidates_at_s": None}, {"candidates_at_s": NOW - 10.5}])
def test_while_no_route_is_known_px4s_own_return_is_better_than_landing_anywhere(stale: dict[str, object]) -> None:
    s = replace(sagging(CALM), **stale)  # type: ignore[arg-type]
    decision = settled(s)
    assert flown(decision) == (Action.RETURN, None)
    assert "no route is warm, so PX4's own return" in decision.sentence


def test_routes_of_an_older_airspace_are_no_routes_and_the_plan_itself_needs_no_new_one() -> None:
    old = replace(sagging(CALM), airspace_version=2)
    assert flown(settled(old)) == (Action.RETURN, None)
    none_left = replace(old, candidates=(place(CONTINUE, "koru", 1.0, 60.0),))
    assert flown(settled(none_left)) == (Action.LAND_NOW, None), "all are known, and none leads anywhere"


def test_a_critical_battery_without_routes_lands_here_but_not_where_it_is_landing_already() -> None:
    blank = replace(critical(CALM), candidates=(), candidates_at_s=None)
    assert flown(settled(blank)) == (Action.LAND_NOW, None)
    inbound = homeward(blank)
    decision = settled(inbound)
    assert flown(decision) == (Action.DIVERT_AND_LAND, None)
    assert "flying on to teral" in decision.sentence


def test_a_landing_for_a_critical_battery_does_not_become_a_milder_return_while_routes_are_made() -> None:
    """The battery's voltage recovers: it is not critical any more, and still too low for the way home."""
    memory, _ = run(sagging(CALM), 2.0)
    landing = replace(memory, action=Action.DIVERT_AND_LAND, chosen_kind=ALTERNATE, chosen_site="quarry")
    blank = replace(sagging(CALM), candidates=(), candidates_at_s=None, phase=FlightPhase.INBOUND, plan=plan("quarry"))
    assert settled(blank, landing).action is Action.DIVERT_AND_LAND
    elsewhere = replace(landing, chosen_site="ferry")
    assert settled(blank, elsewhere).action is Action.RETURN


# a choice that is under way


def test_a_landing_under_way_is_not_given_up_for_one_that_became_a_little_nearer() -> None:
    ways = place(ALTERNATE, "quarry", 25.0, 60.0), place(ALTERNATE, "ferry", 25.0, 55.0)
    memory, _ = run(low(ways[0]), 1.0)
    assert flown(settled(low(*ways), memory))[1] == (ALTERNATE, "quarry")
    assert flown(settled(low(*ways)))[1] == (ALTERNATE, "ferry")


def test_a_return_under_way_does_not_hold_back_a_stronger_action() -> None:
    """Home was chosen while only home was asked for; a critical battery looks for the nearest place anew."""
    ways = place(RETURN, "teral", 25.0, 300.0), place(ALTERNATE, "quarry", 25.0, 60.0)
    memory, _ = run(replace(sagging(CALM), candidates=ways), 2.0)
    assert (memory.action, memory.chosen_site) == (Action.RETURN, "teral")
    assert flown(settled(low(*ways), memory)) == (Action.DIVERT_AND_LAND, (ALTERNATE, "quarry"))


# holds


def test_a_launch_is_held_by_what_asks_for_it_and_its_cause_is_named() -> None:
    decision = settled(replace(other_plan(CALM), phase=FlightPhase.LAUNCHING))
    assert (decision.action, decision.candidate, decision.cause) == (Action.HOLD, None, "plan_not_verified")
    assert decision.sentence.startswith("The vehicle reports another plan than the one uploaded: it holds")


def test_what_it_does_now_is_remembered_also_where_nothing_was_chosen() -> None:
    memory, held = run(other_plan(CALM), 5.0)
    assert (held[-1].action, memory.action) == (Action.HOLD, Action.HOLD)
    assert (memory.chosen_kind, memory.chosen_site) == (CONTINUE, "koru"), "it holds on its way there"
    memory, flown_on = run(CALM, 5.0, memory, begin_s=NOW + 5.5)
    assert (flown_on[-1].action, memory.action) == (Action.CONTINUE, Action.CONTINUE)


def test_another_route_does_not_end_a_hold_that_it_does_not_answer() -> None:
    near = replace(closure(300.0)(CALM), candidates=(*CALM.candidates, candidate(REROUTE, "koru")))
    assert flown(settled(near)) == (Action.CONTINUE, (REROUTE, "koru"))
    both = settled(other_plan(near))
    assert (both.action, both.candidate, both.cause) == (Action.HOLD, None, "plan_not_verified")


def test_with_the_dose_in_doubt_and_no_routes_yet_it_flies_on_while_they_are_made() -> None:
    decision = settled(replace(verdict(BoxVerdict.QUARANTINE)(CALM), candidates=()))
    assert flown(decision) == (Action.CONTINUE, None)
    assert "flying on to koru while routes are made" in decision.sentence


# what is said of what nobody can command


def test_of_a_plan_made_in_an_older_airspace_a_lost_link_says_so() -> None:
    leg = CALM.plan.legs[0]
    proven = replace(CALM.plan, legs=(replace(leg, returns=(Return(0.0, leg.length_m, "teral", legal=True),)),))
    lost = link_lost(replace(CALM, plan=proven))
    assert settled(lost).sentence.endswith("open all the way, with the reserve.")
    assert settled(replace(lost, airspace_version=2)).sentence.endswith("by the airspace of when it was planned.")


def test_how_far_home_stays_in_reach_is_said_in_kilometres() -> None:
    s = replace(CALM, no_return=NoReturn(3240.0, NOW + 160.0))
    assert "home is in reach for another 3.2 km" in settled(s).sentence


# standing still


@pytest.mark.parametrize(
    ("velocity", "still"),
    [
        (Velocity(0.3, 0.2, 0.1), True),
        (Velocity(0.39, 0.0, 0.0), True),
        (Velocity(0.0, 0.0, 0.7), False),
        (Velocity(0.3, 0.3, 0.0), False),
        (Velocity(0.0, -0.5, 0.0), False),
        (Velocity(-12.0, 16.0, 0.0), False),
    ],
)
def test_a_vehicle_that_moves_in_any_direction_does_not_stand_still(velocity: Velocity, still: bool) -> None:
    s = replace(CALM, vehicle=replace(CALM.vehicle, velocity=Timed(velocity, NOW - 0.2)))
    decision = run(s, 62.0)[1][-1]
    assert ("standing_still" in {f.name for f in decision.faults}) is still


def test_only_a_mission_is_expected_to_move() -> None:
    hovering = replace(CALM.vehicle, velocity=Timed(Velocity(0.0, 0.0, 0.0), NOW - 0.2))
    waiting = replace(CALM, vehicle=hovering, expected_mode="hold")
    assert "standing_still" not in {f.name for f in run(waiting, 62.0)[1][-1].faults}


def test_the_very_first_look_decides_as_every_later_one() -> None:
    memory, decision = decide(Memory(), at(CALM, NOW), POLICY, NOW)
    assert flown(decision) == (Action.CONTINUE, None)
    assert (memory.chosen_kind, memory.chosen_site, memory.chosen_at_s) == (CONTINUE, "koru", None)
