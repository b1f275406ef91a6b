"""GPS led astray in flight, in virtual time: flagged at once, nothing released meanwhile, delivered where it should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.config import data_dir
from fleet.simulate.happenings import When
from fleet.simulate.outcome import Outcome
from fleet.simulate.run import Play, play
from fleet.simulate.scenario import Scenario, load_scenario
from fleet.simulate.virtual import virtual_stage
from fleet.virtual import run_virtual

FILE = data_dir() / "scenarios" / "gps_jump_at_drop.yaml"
BELIEVED_S = 40.0 + 7.0
"""it lasts 40 s, and PX4's estimator takes 7 s more to believe that it is over"""


def played(scenario: Scenario) -> tuple[Outcome, float]:
    """What came of it, and when GPS jumped."""

    async def main() -> tuple[Outcome, float]:
        async with virtual_stage(scenario, 1) as stage:
            run = Play(scenario, stage, 1, lambda kind, event: None)
            outcome = await play(run)
        return outcome, run.director.begun["gps_jump"]

    return run_virtual(main())


@pytest.mark.parametrize(
    "when",
    [When(near="salme", within_m=15.0), When(phase="outbound", flown_m=1500.0)],
    ids=["over the pad", "on the way"],
)
def test_a_jump_by_half_a_kilometre_is_flagged_within_a_second_and_the_box_is_set_down_at_the_clinic(when: When):
    scenario = load_scenario(FILE)
    (jump,) = scenario.happenings
    outcome, jumped_s = played(replace(scenario, happenings=(replace(jump, when=when),)))
    assert [f for f in outcome.findings if not f.met] == []
    commands = [e for e in outcome.orders[0].events if e.kind == "command"]
    released = [e for e in commands if e.body["step"] == "release"]
    assert len(released) == 1
    assert released[0].at_s > jumped_s + BELIEVED_S
    meanwhile = [e for e in commands if jumped_s < e.at_s <= jumped_s + BELIEVED_S]
    assert {e.body["step"] for e in meanwhile} == {"hold", "stay"}
