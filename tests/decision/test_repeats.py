"""Answers that are given again: never another one than the question would get if it were asked for the first time."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from missions.decision.engine import decide
from missions.decision.repeats import MAX_VEHICLES, PerVehicle
from missions.decision.types import FlightPhase, Memory, Policy, Snapshot
from missions.orders import Priority
from tests.decision.situations import CALM, FAULTS, NOW, POLICY, at

NEW_IDS = count()


def never_seen(s: Snapshot) -> Snapshot:
    """The same situation of a vehicle about which nothing was asked before."""
    return replace(s, vehicle=replace(s.vehicle, vehicle_id=f"new-{next(NEW_IDS)}"))


CHANGES = [
    *FAULTS.values(),
    lambda s: s,
    lambda s: replace(s, phase=FlightPhase.INBOUND),
    lambda s: replace(s, order=replace(s.order, priority=Priority.STAT, deadline_s=NOW)),
    lambda s: replace(s, airspace_version=2),
    lambda s: replace(s, candidates_at_s=NOW - 60.0),
    lambda s: replace(s, candidates=s.candidates[1:]),
]
POLICIES = [POLICY, replace(POLICY, reserve_pct=65.0), Policy(min_p_reach=0.5)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(POLICIES)), min_size=2, max_size=12))
def test_a_flight_is_decided_as_if_each_question_were_the_first(rows: list[tuple[object, Policy]]) -> None:
    memory = fresh = Memory()
    for n, (change, policy) in enumerate(rows):
        now_s = NOW + n
        situation = at(change(CALM), now_s)  # type: ignore[operator]
        memory, decision = decide(memory, situation, policy, now_s)
        fresh, expected = decide(fresh, never_seen(situation), policy, now_s)
        assert (memory, decision) == (fresh, expected)


def test_the_same_question_is_not_worked_out_twice_and_another_one_is() -> None:
    asked: list[int] = []
    last: PerVehicle[int] = PerVehicle()

    def ask(vehicle_id: str, question: int) -> int:
        held = last.get(vehicle_id, (question,))
        if held is not None:
            return held
        asked.append(question)
        return last.keep(vehicle_id, (question,), question * 10)

    assert [ask("cw-1", 1), ask("cw-1", 1), ask("cw-2", 1), ask("cw-1", 2), ask("cw-1", 1)] == [10, 10, 10, 20, 10]
    assert asked == [1, 1, 2, 1]
    for n in range(2 * MAX_VEHICLES):
        ask(f"made-up-{n}", n)
    assert len(last._last) <= MAX_VEHICLES
