"""What each way costs the patient, worked out by hand; and which ways may be flown at all."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import pytest

from missions.decision.payload import delivers, dose_value, expected_loss, judge, lands, p_above, quantile
from missions.decision.types import Candidate, CandidateKind, FlightPhase, Forecast, LastLine, Policy
from missions.orders import Priority
from tests.decision.situations import (
    ALTERNATE,
    CALM,
    CONTINUE,
    NOW,
    ORDER,
    POLICY,
    REICE,
    REROUTE,
    RETURN,
    candidate,
    closure,
)

OUT, HOME = FlightPhase.OUTBOUND, FlightPhase.INBOUND
WORTH = Policy(
    loss_spoiled=1.0, loss_undelivered=0.4, loss_late_per_h=0.2, single_patient_factor=3.0, p_unknown=0.5,
    p_keep_at_alternate=0.6, loss_last_line_per_h=1.0,
)  # fmt: skip
ROUTINE = replace(ORDER, priority=Priority.ROUTINE)
STAT = replace(ORDER, priority=Priority.STAT)
FOR_ONE = replace(ROUTINE, single_patient=True)


def loss(c: Candidate, order=ROUTINE, phase: FlightPhase = OUT, p_reach: float = 1.0) -> float:
    return expected_loss(c, order, phase, WORTH, p_reach)


def way(kind: CandidateKind, p: float | None, **more: float) -> Candidate:
    return candidate(kind, "there", p=p, **more)


def test_a_delivery_out_of_range_loses_the_dose_and_the_patient_goes_without() -> None:
    assert loss(way(CONTINUE, 0.9)) == pytest.approx(0.1 * (1.0 + 0.4))
    assert loss(way(REROUTE, 0.9)) == loss(way(REICE, 0.9)) == loss(way(CONTINUE, 0.9))
    assert loss(way(CONTINUE, 1.0)) == 0.0


def test_one_brought_home_is_kept_and_goes_undelivered() -> None:
    assert loss(way(RETURN, 0.9)) == pytest.approx(0.4 + 0.1)
    assert loss(way(RETURN, 0.9), STAT) == pytest.approx(0.8 + 0.1)


def test_one_at_an_alternate_has_yet_to_be_fetched() -> None:
    assert loss(way(ALTERNATE, 0.9)) == pytest.approx(0.4 + (1.0 - 0.9 * 0.6))


def test_a_dose_for_one_patient_is_worth_more_and_no_more_late() -> None:
    assert dose_value(FOR_ONE, WORTH) == 3.0
    assert dose_value(ROUTINE, replace(WORTH, loss_spoiled=2.0)) == 2.0
    assert loss(way(CONTINUE, 0.9), FOR_ONE) == pytest.approx(0.1 * (3.0 + 0.4))
    assert loss(way(RETURN, 0.9), FOR_ONE) == pytest.approx(0.4 + 0.1 * 3.0)


def test_what_may_not_get_there_may_not_keep_the_dose() -> None:
    assert loss(way(CONTINUE, 0.9), p_reach=0.8) == pytest.approx((1.0 - 0.72) * 1.4)
    assert loss(way(RETURN, 0.9), p_reach=0.8) == pytest.approx(0.4 + (1.0 - 0.72))


def test_without_a_forecast_the_policys_chance_counts() -> None:
    assert loss(way(CONTINUE, None)) == pytest.approx(0.5 * 1.4)


@pytest.mark.parametrize(
    ("after_deadline_h", "late"), [(-1.0, 0.0), (0.0, 0.0), (0.5, 0.1), (1.5, 0.3), (2.0, 0.4), (9.0, 0.4)]
)
def test_lateness_costs_by_the_hour_up_to_not_coming_at_all(after_deadline_h: float, late: float) -> None:
    arrival = replace(way(CONTINUE, 0.9), arrive_s=ROUTINE.deadline_s + 3600.0 * after_deadline_h)
    assert loss(arrival) == pytest.approx(0.1 * 1.4 + 0.9 * late)
    assert loss(arrival, replace(STAT, deadline_s=ROUTINE.deadline_s)) == pytest.approx(0.1 * 1.8 + 0.9 * 2.0 * late)


def test_a_flight_that_may_be_late_is_late_by_a_quarter_of_an_hour() -> None:
    assert loss(way(CONTINUE, 1.0, p_on_time=0.0)) == pytest.approx(0.2 * 0.25)
    assert loss(way(CONTINUE, 1.0, p_on_time=0.6)) == pytest.approx(0.2 * 0.25 * 0.4)


def test_an_hour_without_a_way_out_costs_on_every_way() -> None:
    exposed = LastLine(bad_s=900.0, left_s=1800.0)
    for kind in (CONTINUE, REICE, RETURN, ALTERNATE):
        c = way(kind, 0.9)
        assert loss(replace(c, last_line=exposed)) - loss(c) == pytest.approx(0.25)


def test_on_the_way_home_the_plan_and_a_way_around_land_and_deliver_nothing() -> None:
    for kind in (CONTINUE, REROUTE):
        c = way(kind, 0.9)
        assert (delivers(c, OUT), lands(c, OUT)) == (True, False)
        assert (delivers(c, HOME), lands(c, HOME)) == (False, True)
        assert loss(c, phase=HOME) == pytest.approx(0.4 + 0.1)
    for kind, ends in ((RETURN, True), (ALTERNATE, True), (REICE, False)):
        for phase in (OUT, HOME):
            assert (delivers(way(kind, 0.9), phase), lands(way(kind, 0.9), phase)) == (not ends, ends)


# which ways may be flown


def test_the_chance_to_reach_is_that_of_the_normal_distribution_and_certain_without_a_spread() -> None:
    assert p_above(Forecast(23.0, 2.0), 20.0) == pytest.approx(NormalDist().cdf(1.5))
    assert p_above(Forecast(17.0, 2.0), 20.0) == pytest.approx(NormalDist().cdf(-1.5))
    assert (p_above(Forecast(20.0, 0.0), 20.0), p_above(Forecast(19.99, 0.0), 20.0)) == (1.0, 0.0)
    assert (p_above(Forecast(30.0, -1.0), 20.0), p_above(Forecast(10.0, -1.0), 20.0)) == (1.0, 0.0)
    assert quantile(0.95) == pytest.approx(1.6449, abs=1e-4)


def test_a_way_is_judged_with_its_numbers() -> None:
    c = replace(candidate(RETURN, "teral", end_pct=40.0, sd=2.0), last_line=LastLine(30.0, 120.0))
    (judged,) = judge(replace(CALM, candidates=(c,)), POLICY, NOW)
    scored = judged.scored
    assert (scored.kind, scored.site_id, scored.energy_end_pct, scored.arrive_s) == (RETURN, "teral", 40.0, c.arrive_s)
    assert (scored.p_in_range, scored.bad_share, scored.rejected) == (0.99, 0.25, "")
    assert scored.p_reach == pytest.approx(1.0)
    assert scored.expected_loss == pytest.approx(expected_loss(c, ORDER, OUT, POLICY, scored.p_reach))
    assert judged.low_end_pct == pytest.approx(40.0 - 1.6449 * 2.0, abs=1e-3)
    assert (judged.candidate, judged.legal, judged.feasible, judged.lands) == (c, True, True, True)
    (unknown,) = judge(replace(CALM, candidates=(replace(c, last_line=None),)), POLICY, NOW)
    assert unknown.scored.bad_share is None


@pytest.mark.parametrize(("p_reach", "feasible"), [(0.9501, True), (0.9499, False)])
def test_a_way_must_keep_the_reserve_as_surely_as_policy_asks(p_reach: float, feasible: bool) -> None:
    mean = 20.0 + 2.0 * NormalDist().inv_cdf(p_reach)
    (judged,) = judge(replace(CALM, candidates=(candidate(RETURN, "teral", end_pct=mean, sd=2.0),)), POLICY, NOW)
    assert (judged.feasible, judged.legal) == (feasible, True)
    assert feasible or judged.scored.expected_loss is None
    assert feasible or judged.scored.rejected == "95 % chance of ending above the reserve of 20 %"


def test_each_reason_against_a_way_is_named_and_says_whether_it_is_legal() -> None:
    new = replace(CALM, candidates=(candidate(CONTINUE, "koru"), candidate(RETURN, "teral")))
    old = replace(new, candidates_at_s=NOW - POLICY.max_candidate_age_s - 0.1)
    never = replace(new, candidates_at_s=None)
    for s in (old, never):
        on, home = judge(s, POLICY, NOW)
        assert (on.feasible, home.feasible, home.legal) == (True, False, False), "the plan itself needs no new route"
        assert home.scored.rejected == "its route is too old"
    assert all(j.feasible for j in judge(replace(new, candidates_at_s=NOW - 10.0), POLICY, NOW))
    on, home = judge(replace(new, airspace_version=3), POLICY, NOW)
    assert (on.feasible, home.legal) == (True, False)
    assert home.scored.rejected == "planned against airspace 1, now 3"
    on, home = judge(closure(900.0)(new), POLICY, NOW)
    assert (on.scored.rejected, on.legal, home.feasible) == ("enters closed zone valley-closure", False, True)
    on, _ = judge(closure(900.0)(new), POLICY, NOW, plan_legal_yet=True)
    assert (on.feasible, on.legal) == (False, True)
    on, home = judge(new, POLICY, NOW, plan_barred=True)
    assert (on.scored.rejected, on.legal, home.feasible) == ("the present plan must not be flown on", True, True)
