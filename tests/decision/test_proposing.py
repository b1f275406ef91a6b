"""A choice for the dose is proposed to an operator first, where policy gives the operator time for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from missions.decision.engine import decide
from missions.decision.proposing import answered
from missions.decision.types import Action, Decision, Memory, NoReturn, Policy, Snapshot
from tests.decision.situations import (
    CALM,
    FAULTS,
    NOW,
    REICE,
    RETURN,
    at,
    candidate,
    closure,
    excursion_forecast,
    sagging,
    short_plan,
    with_candidates,
)

ASKS = Policy(operator_wait_s=30.0)
LEAKING = excursion_forecast(CALM)


def watched(
    s: Snapshot,
    seconds: float,
    memory: Memory | None = None,
    *,
    begin_s: float = NOW,
    heard: bool = True,
    policy: Policy = ASKS,
) -> tuple[Memory, list[Decision]]:
    """Looked at twice a second, with an operator who is connected (or has been gone since `begin_s`)."""
    memory, decisions = memory or Memory(), []
    for i in range(int(seconds * 2) + 1):
        now_s = begin_s + i / 2
        looked = replace(at(s, now_s), operator_heard_s=now_s - 1.0 if heard else begin_s)
        memory, decision = decide(memory, looked, policy, now_s)
        decisions.append(decision)
    return memory, decisions


def flown(decision: Decision) -> tuple[object, str] | None:
    return None if decision.candidate is None else (decision.candidate.kind, decision.candidate.site_id)


def test_it_flies_on_while_the_operator_thinks_and_acts_alone_when_the_time_is_up() -> None:
    memory, decisions = watched(LEAKING, 31.0)
    waiting, acting = decisions[:60], decisions[60:]
    assert all(d.action is Action.CONTINUE and d.candidate is None and d.awaits is not None for d in waiting)
    first = waiting[0].awaits
    assert first is not None
    assert (first.kind, first.site_id, first.until_s) == (REICE, "midway", NOW + 30.0)
    assert "proposed to the operator, done at 11:00:30Z without an answer" in waiting[0].sentence
    assert all(flown(d) == (REICE, "midway") for d in acting)
    assert "no operator has answered in time" in acting[0].sentence
    assert memory.proposal is None


def test_a_confirmed_proposal_is_flown_at_once_and_waits_for_nobody_again() -> None:
    memory, _ = watched(LEAKING, 5.0)
    confirmed = answered(memory, confirmed=True)
    assert confirmed is not None
    after, decisions = watched(LEAKING, 10.0, confirmed, begin_s=NOW + 5.5)
    assert all(flown(d) == (REICE, "midway") for d in decisions)
    assert "an operator has confirmed it" in decisions[0].sentence
    assert after.proposal is None


def test_what_was_declined_is_neither_flown_nor_proposed_again_until_all_is_well() -> None:
    memory, _ = watched(LEAKING, 5.0)
    declined = answered(memory, confirmed=False)
    assert declined is not None
    memory, decisions = watched(LEAKING, 60.0, declined, begin_s=NOW + 5.5)
    assert all(flown(d) != (REICE, "midway") for d in decisions)
    assert all(d.awaits is None or d.awaits.site_id != "midway" for d in decisions)
    well, _ = watched(CALM, 40.0, memory, begin_s=NOW + 70.0)
    assert well.declined == ()
    _, again = watched(LEAKING, 1.0, replace(well, chosen_at_s=None), begin_s=NOW + 120.0)
    assert again[0].awaits is not None
    assert again[0].awaits.site_id == "midway"


def test_what_is_said_of_a_proposed_choice_is_all_that_is_said_of_the_choice() -> None:
    told = decide(Memory(), LEAKING, Policy(), NOW)[1].sentence.removesuffix(".")
    alone = decide(Memory(), LEAKING, ASKS, NOW)[1]
    assert alone.sentence == f"{told}; no operator is connected."
    waiting = decide(Memory(), replace(LEAKING, operator_heard_s=NOW), ASKS, NOW)[1]
    assert waiting.sentence == f"{told}; proposed to the operator, done at 11:00:30Z without an answer."


def test_without_a_proposal_there_is_nothing_to_answer() -> None:
    assert answered(Memory(), confirmed=True) is None
    assert answered(Memory(), confirmed=False) is None


def test_what_was_declined_before_stays_declined() -> None:
    memory, _ = watched(LEAKING, 1.0, Memory(declined=((RETURN, "teral"),)))
    after = answered(memory, confirmed=False)
    assert after is not None
    assert after.declined == ((RETURN, "teral"), (REICE, "midway"))
    assert after.proposal is None


def test_a_confirmation_is_of_what_was_proposed_and_of_nothing_else() -> None:
    """While the operator answered, the station was lost: the way home is another proposal."""
    memory, _ = watched(LEAKING, 2.0)
    confirmed = answered(memory, confirmed=True)
    assert confirmed is not None
    without = replace(LEAKING, candidates=tuple(c for c in LEAKING.candidates if c.kind is not REICE))
    _, decisions = watched(without, 0.0, confirmed, begin_s=NOW + 2.5)
    assert decisions[0].candidate is None
    assert decisions[0].awaits is not None
    assert (decisions[0].awaits.kind, decisions[0].awaits.site_id) == (RETURN, "teral")
    assert decisions[0].awaits.since_s == NOW, "and the time goes on"


def test_nothing_waits_for_an_operator_who_is_not_there() -> None:
    assert flown(watched(LEAKING, 0.0, policy=ASKS)[1][0]) is None
    never = decide(Memory(), LEAKING, ASKS, NOW)[1]
    assert flown(never) == (REICE, "midway")
    assert "no operator is connected" in never.sentence
    _, decisions = watched(LEAKING, 20.0, heard=False)
    acted = next(i for i, d in enumerate(decisions) if d.candidate is not None)
    assert acted / 2 == pytest.approx(ASKS.operator_silent_s, abs=1.0)


def test_by_default_nobody_is_asked() -> None:
    assert flown(watched(LEAKING, 0.0, policy=Policy())[1][0]) == (REICE, "midway")


def test_nothing_waits_beyond_the_point_of_no_return() -> None:
    soon = replace(LEAKING, no_return=NoReturn(150.0, NOW + 8.0))
    _, decisions = watched(soon, 12.0)
    acted = next(i for i, d in enumerate(decisions) if d.candidate is not None)
    assert acted / 2 == pytest.approx(8.0, abs=0.5)


@pytest.mark.parametrize("unsafe", [sagging, short_plan, closure(0.0), closure(300.0), FAULTS["battery_critical"]])
def test_what_safety_asks_for_waits_for_nobody(unsafe) -> None:
    memory, _ = watched(LEAKING, 5.0)
    wrong = unsafe(LEAKING)
    _, asked = watched(wrong, 8.0, memory, begin_s=NOW + 5.5)
    _, alone = watched(wrong, 8.0, replace(memory, proposal=None), begin_s=NOW + 5.5, policy=Policy())
    assert asked[-1].awaits is None
    assert (asked[-1].action, flown(asked[-1])) == (alone[-1].action, flown(alone[-1]))


def test_a_declined_way_is_flown_all_the_same_where_safety_needs_it() -> None:
    """The plan does not keep the reserve any more: an operator's no was about the dose."""
    only = replace(LEAKING, candidates=tuple(c for c in LEAKING.candidates if c.kind is REICE or c.site_id == "koru"))
    memory = Memory(declined=((REICE, "midway"),))
    short = with_candidates(only, candidate(LEAKING.candidates[0].kind, "koru", end_pct=15.0, p=0.05))
    assert flown(watched(short, 6.0, memory)[1][-1]) == (REICE, "midway")


@given(swings=st.lists(st.floats(-0.04, 0.04), min_size=10, max_size=40))
def test_what_is_proposed_does_not_change_under_the_operators_hands(swings: list[float]) -> None:
    """Two ways nearly as good as each other: the proposal stays the one that the operator is reading."""
    memory, asked = Memory(), []
    for i, swing in enumerate(swings):
        now_s = NOW + 0.5 * i
        near = with_candidates(
            LEAKING,
            candidate(REICE, "midway", p=0.90 + swing, after_s=560.0, end_pct=50.0),
            candidate(REICE, "upper", p=0.90 - swing, after_s=560.0, end_pct=50.0),
            candidate(RETURN, "teral", p=0.5, after_s=110.0),
        )
        looked = replace(at(near, now_s), operator_heard_s=now_s)
        memory, decision = decide(memory, looked, replace(ASKS, hysteresis_loss=0.15), now_s)
        assert decision.awaits is not None
        asked.append(decision.awaits.site_id)
    assert len(set(asked)) == 1
    assert memory.proposal is not None
    assert memory.proposal.since_s == NOW
