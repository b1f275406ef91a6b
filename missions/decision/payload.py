"""Which candidates may be flown at all, and what each costs the patient: expected loss in units of one dose's value.

A dose that arrives out of range is lost and the patient goes without; one that turns home goes undelivered but can be
sent again; one that lands at an alternate has yet to be fetched. Late is worse by the hour, up to not at all. And a way
on which the vehicle could not get home by itself, should its link die there, costs by the time that it is flown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TypeAlias

from geofences.values import quick
from missions.decision.types import Candidate, CandidateKind, FlightPhase, Forecast, Policy, Scored, Snapshot
from missions.orders import Order, Priority

URGENCY = {Priority.ROUTINE: 1.0, Priority.URGENT: 1.3, Priority.ASAP: 1.6, Priority.STAT: 2.0}
"""weight of going without, by priority: for a routine order tomorrow will do, for STAT it will not"""
USUAL_DELAY_H = 0.25
"""what a flight that may be late is late by"""
_NORMAL = NormalDist()


@quick
@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with its numbers. `lands`: it ends on the ground; `legal`: no closed zone; `feasible`: all of it."""

    candidate: Candidate
    scored: Scored
    legal: bool
    low_end_pct: float
    lands: bool

    @property
    def feasible(self) -> bool:
        return not self.scored.rejected


@cache
def quantile(p: float) -> float:
    """How many standard deviations below the mean a value is exceeded with probability p."""
    return _NORMAL.inv_cdf(p)


def p_above(end: Forecast, floor: float) -> float:
    """Probability that a normally distributed value is at or above the floor."""
    if end.sd <= 0.0:
        return 1.0 if end.mean >= floor else 0.0
    return _NORMAL.cdf((end.mean - floor) / end.sd)


def judge(
    s: Snapshot, policy: Policy, now_s: float, *, plan_barred: bool = False, plan_legal_yet: bool = False
) -> tuple[Judged, ...]:
    """Every candidate with its loss, or why it may not be flown. The present plan needs no fresh route.

    `plan_barred`: a row forbids to fly the present plan on. `plan_legal_yet`: the closure on it is still so far that
    flying on for now is legal, though not to its end.
    """
    return _judge(*question(s, policy, now_s, plan_barred, plan_legal_yet))


Question: TypeAlias = tuple[tuple[Candidate, ...], Order, Policy, FlightPhase, int, str | None, bool, bool, bool]


def question(
    s: Snapshot, policy: Policy, now_s: float, plan_barred: bool = False, plan_legal_yet: bool = False
) -> Question:
    """All that `judge` looks at: where this is the same, so is its answer."""
    too_old = s.candidates_at_s is None or now_s - s.candidates_at_s > policy.max_candidate_age_s
    closed = None if s.conflict is None else s.conflict.zone_id
    return s.candidates, s.order, policy, s.phase, s.airspace_version, closed, too_old, plan_barred, plan_legal_yet


def _judge(
    candidates: tuple[Candidate, ...],
    order: Order,
    policy: Policy,
    phase: FlightPhase,
    airspace_version: int,
    closed: str | None,
    too_old: bool,
    plan_barred: bool,
    plan_legal_yet: bool,
) -> tuple[Judged, ...]:
    z = quantile(policy.min_p_reach)
    judged = []
    for c in candidates:
        why, legal = "", True
        p_reach = p_above(c.energy_end_pct, policy.reserve_pct)
        if c.kind is CandidateKind.CONTINUE:
            if closed is not None:
                why, legal = f"enters closed zone {closed}", plan_legal_yet
        elif too_old:
            why, legal = "its route is too old", False
        elif c.plan.airspace_version != airspace_version:
            why = f"planned against airspace {c.plan.airspace_version}, now {airspace_version}"
            legal = False
        if not why and p_reach < policy.min_p_reach:
            why = f"{100 * p_reach:.0f} % chance of ending above the reserve of {policy.reserve_pct:.0f} %"
        if not why and c.kind is CandidateKind.CONTINUE and plan_barred:
            why = "the present plan must not be flown on"
        loss = None if why else expected_loss(c, order, phase, policy, p_reach)
        bad_share = None if c.last_line is None else c.last_line.bad_share
        end_pct = c.energy_end_pct.mean
        scored = Scored(c.kind, c.site_id, loss, c.p_in_range, p_reach, end_pct, c.arrive_s, why, bad_share)
        judged.append(Judged(c, scored, legal, c.energy_end_pct.mean - z * c.energy_end_pct.sd, lands(c, phase)))
    return tuple(judged)


def lands(c: Candidate, phase: FlightPhase) -> bool:
    """True if it ends on the ground somewhere for good: home, an alternate, or the plan of a flight already inbound."""
    if c.kind in (CandidateKind.CONTINUE, CandidateKind.REROUTE):
        return phase is FlightPhase.INBOUND
    return c.kind in (CandidateKind.RETURN, CandidateKind.ALTERNATE)


def delivers(c: Candidate, phase: FlightPhase) -> bool:
    """True if it leads to the order's destination."""
    if c.kind in (CandidateKind.CONTINUE, CandidateKind.REROUTE):
        return phase is not FlightPhase.INBOUND
    return c.kind in (CandidateKind.REICE, CandidateKind.DELIVER)


def dose_value(order: Order, policy: Policy) -> float:
    """A dose made for one patient cannot be replaced by another from the shelf."""
    return policy.loss_spoiled * (policy.single_patient_factor if order.single_patient else 1.0)


def expected_loss(c: Candidate, order: Order, phase: FlightPhase, policy: Policy, p_reach: float) -> float:
    """Expected loss of flying this candidate to its end."""
    dose = dose_value(order, policy)
    without = policy.loss_undelivered * URGENCY[order.priority]
    p_good = (policy.p_unknown if c.p_in_range is None else c.p_in_range) * p_reach
    alone = 0.0 if c.last_line is None else policy.loss_last_line_per_h * c.last_line.bad_s / 3600.0
    if delivers(c, phase):
        late_h = max((c.arrive_s - order.deadline_s) / 3600.0, (1.0 - c.p_on_time) * USUAL_DELAY_H)
        late = min(without, URGENCY[order.priority] * policy.loss_late_per_h * late_h)
        return (1.0 - p_good) * (dose + without) + p_good * late + alone
    kept = p_good * (policy.p_keep_at_alternate if c.kind is CandidateKind.ALTERNATE else 1.0)
    return without + (1.0 - kept) * dose + alone
