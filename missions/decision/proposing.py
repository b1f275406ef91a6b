"""A choice for the dose is proposed to an operator before it is flown, where policy gives the operator time for it.

Only where nothing is wrong but the dose: a safety action never waits. Nor does anything wait that nobody can answer,
because no operator is connected, or that would be too late, because home is out of reach by then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from missions.decision.types import Action, Awaited, CandidateKind, Decision, Memory, Policy, Snapshot

TURNS = frozenset({CandidateKind.REICE, CandidateKind.RETURN, CandidateKind.ALTERNATE, CandidateKind.DELIVER})
"""choices that change where the flight goes"""


def proposed(decision: Decision, memory: Memory, s: Snapshot, policy: Policy, now_s: float) -> Decision:
    """The decision, or, while an operator may still answer, flying on with the choice as a proposal."""
    c = decision.candidate
    if policy.operator_wait_s <= 0.0 or c is None or c.kind not in TURNS:
        return decision
    if (c.kind, c.site_id) == (memory.chosen_kind, memory.chosen_site):
        return decision  # under way already
    asked = memory.proposal
    since_s = now_s if asked is None else asked.since_s
    until_s = since_s + policy.operator_wait_s
    if s.no_return is not None:
        until_s = min(until_s, s.no_return.at_s)
    if asked is not None and asked.confirmed and (asked.kind, asked.site_id) == (c.kind, c.site_id):
        return _acting(decision, "an operator has confirmed it")
    if s.operator_heard_s is None or now_s - s.operator_heard_s > policy.operator_silent_s:
        return _acting(decision, "no operator is connected")
    if now_s >= until_s:
        return _acting(decision, "no operator has answered in time")
    told = f"{decision.sentence[:-1]}; proposed to the operator, done at {_clock(until_s)} without an answer."
    waiting = Awaited(c.kind, c.site_id, since_s, until_s)
    return replace(decision, action=Action.CONTINUE, candidate=None, sentence=told, awaits=waiting)


def answered(memory: Memory, *, confirmed: bool) -> Memory | None:
    """The memory after the operator's answer to what is proposed; None: nothing is."""
    asked = memory.proposal
    if asked is None:
        return None
    if confirmed:
        return replace(memory, proposal=replace(asked, confirmed=True))
    return replace(memory, proposal=None, declined=(*memory.declined, (asked.kind, asked.site_id)))


def _acting(decision: Decision, why: str) -> Decision:
    return replace(decision, sentence=f"{decision.sentence[:-1]}; {why}.")


def _clock(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%H:%M:%S}Z"
