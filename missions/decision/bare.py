"""What a record keeps of the values of a decision: all that `decide` looks at, and no plan's geometry.

Of a candidate's plan `decide` looks at where it leads and against which airspace it was made, never at its legs: those
are judged before it is flown. So a decision over eight ways is kept in a tenth of the bytes. The plan that is flown is
looked at; it is in the record once, when it was planned, and `whole` puts it back.
"""

from __future__ import annotations

from dataclasses import replace

from missions.decision.types import Candidate, Decision, Snapshot
from missions.plan import FenceSet, Plan

_NO_FENCE = FenceSet(None, (), ())


def bare_plan(plan: Plan) -> Plan:
    """The plan without its legs, fence, rally points and notes; the same object if it has none."""
    if not plan.legs:
        return plan
    return replace(plan, legs=(), fence=_NO_FENCE, rally=(), notes=())


def bare_candidate(candidate: Candidate) -> Candidate:
    return replace(candidate, plan=bare_plan(candidate.plan))


def bare_snapshot(s: Snapshot) -> Snapshot:
    """For the record."""
    return replace(s, plan=bare_plan(s.plan), candidates=tuple(bare_candidate(c) for c in s.candidates))


def bare_decision(decision: Decision) -> Decision:
    """For the record."""
    if decision.candidate is None:
        return decision
    return replace(decision, candidate=bare_candidate(decision.candidate))


def whole(s: Snapshot, plan: Plan) -> Snapshot:
    """The snapshot of a record with the plan that was flown, whose id it names."""
    if plan.plan_id != s.plan.plan_id:
        raise ValueError(f"the snapshot is of a flight by plan {s.plan.plan_id}, not {plan.plan_id}")
    return replace(s, plan=plan)
