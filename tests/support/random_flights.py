"""Random scenarios in virtual time, told by their seeds: what must hold whatever goes wrong, and the story where it
does not."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

from fleet.heap import MIDDLE, OLD, YOUNG
from fleet.simulate.chance import random_scenario, scenario_text
from fleet.simulate.outcome import Outcome
from fleet.simulate.report import write_report
from fleet.simulate.run import Play, play
from fleet.simulate.scenario import Scenario
from fleet.simulate.sound import rulings
from fleet.simulate.virtual import virtual_stage
from fleet.virtual import run_virtual

MOST_OFTEN = 0.2
"""share of the flights that one excuse may cover: more would hide something"""


class Flights:
    """Flies seeds one after the other, and counts the excuses that were needed."""

    def __init__(self) -> None:
        self.flown = 0
        self.excused: Counter[tuple[str, str]] = Counter()
        """(rule, excuse) → flights"""

    def fly(self, seed: int, story: Path | None = None) -> list[str]:
        """What was broken, or nothing. `story`: a folder for the scenario and its report."""
        if self.flown == 0:
            gc.collect()
            gc.freeze()  # what every flight shares is not looked through again and again
            gc.set_threshold(YOUNG, MIDDLE, OLD)
        scenario = random_scenario(seed)
        outcome = run_virtual(_played(scenario, seed))
        self.flown += 1
        self.excused.update({(r.rule, r.excuse) for r in rulings(scenario, outcome) if r.excuse and not r.broken})
        broken = [f"{f.expectation}: {f.seen}" for f in outcome.findings if not f.met]
        if story is not None:
            story.mkdir(parents=True, exist_ok=True)
            (story / f"random-{seed}.yaml").write_text(scenario_text(seed, story), encoding="utf-8")
            write_report(outcome, story / f"random-{seed}.html")
        if broken:
            told = f"`fleet scenario random {seed}`, or with its report COLDWING_SOAK_SEED={seed} make soak"
            print(f"seed {seed}, alone: {told}", *broken, sep="\n  ")
        return broken

    def often(self) -> list[str]:
        """Excuses that cover too many flights."""
        return [f"{rule}: {name} in {n} of {self.flown}" for (rule, name), n in self.excused.items() if n > self._most]

    @property
    def _most(self) -> float:
        return MOST_OFTEN * self.flown

    def __str__(self) -> str:
        rows = [f"{n:5d}  {rule}: {name}" for (rule, name), n in self.excused.most_common()]
        return "\n".join([f"{self.flown} random flights; in so many of them an excuse was needed:", *rows])


async def _played(scenario: Scenario, seed: int) -> Outcome:
    async with virtual_stage(scenario, seed) as stage:
        return await play(Play(scenario, stage, seed, lambda kind, data: None))
