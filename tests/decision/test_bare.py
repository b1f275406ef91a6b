"""What the record keeps of a decision is enough to take it again, and holds no geometry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.volumes import Circle
from missions.decision.bare import bare_decision, bare_snapshot, whole
from missions.decision.engine import decide
from missions.decision.types import Memory
from missions.plan import FenceSet, Reason
from tests.decision.situations import CALM, EVERYWHERE, FAULTS, HUB, NOW, POLICY, excursion_forecast, plan


@given(name=st.sampled_from(sorted(FAULTS)))
def test_from_what_is_kept_and_the_plan_that_was_flown_the_same_is_decided(name: str) -> None:
    s = FAULTS[name](CALM)
    memory, decision = decide(Memory(), s, POLICY, NOW)
    again, replayed = decide(Memory(), whole(bare_snapshot(s), s.plan), POLICY, NOW)
    assert again == memory
    assert bare_decision(replayed) == bare_decision(decision)


def test_the_legs_and_the_fence_of_no_plan_are_kept_and_all_else_is() -> None:
    fenced = replace(
        CALM.plan, fence=FenceSet(None, (Circle(HUB, 300.0),), ("prison",)), notes=(Reason("around", "x"),)
    )
    kept = bare_snapshot(replace(CALM, plan=fenced))
    assert [(c.kind, c.site_id, c.plan.plan_id) for c in kept.candidates] == [
        (c.kind, c.site_id, c.plan.plan_id) for c in EVERYWHERE
    ]
    for short in (kept.plan, *(c.plan for c in kept.candidates)):
        assert (short.legs, short.rally, short.notes, short.fence) == ((), (), (), FenceSet(None, (), ()))
        assert short.energy == CALM.plan.energy
        assert short.airspace_version == 1
    assert whole(kept, fenced).plan == fenced
    assert bare_snapshot(kept) == kept


def test_of_a_choice_its_plan_is_kept_by_name() -> None:
    chosen = decide(Memory(), excursion_forecast(CALM), POLICY, NOW)[1]
    assert chosen.candidate is not None
    kept = bare_decision(chosen)
    assert kept.candidate is not None
    assert (kept.candidate.site_id, kept.candidate.plan.plan_id, kept.candidate.plan.legs) == (
        "midway",
        "reice-midway",
        (),
    )
    assert kept.sentence == chosen.sentence
    calm = decide(Memory(), CALM, POLICY, NOW)[1]
    assert bare_decision(calm) is calm


def test_a_snapshot_is_not_put_together_with_the_plan_of_another_flight() -> None:
    with pytest.raises(ValueError, match="flight by plan to-koru, not to-teral"):
        whole(bare_snapshot(CALM), plan("teral"))
