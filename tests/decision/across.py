"""Decisions in many situations as lines of JSON: `python -m tests.decision.across`, for comparing processes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from fleet.records.codec import canonical_json, to_json
from missions.decision.bare import bare_decision
from missions.decision.types import Forecast, LastLine, Policy, Snapshot
from tests.decision.situations import CALM, FAULTS, NOW, run

POLICY = Policy(authorised_zones=frozenset({"lake", "prison", "airfield"}))


def shaken(s: Snapshot, seed: int) -> Snapshot:
    """The same situation with other numbers, from a generator that is the same in every process and version."""
    chance = random.Random(seed)
    candidates = tuple(
        replace(
            c,
            energy_end_pct=Forecast(chance.uniform(5.0, 80.0), chance.uniform(0.1, 4.0)),
            p_in_range=chance.random(),
            last_line=LastLine(chance.uniform(0.0, 300.0), 300.0),
        )
        for c in s.candidates
    )
    return replace(s, candidates=candidates)


def lines() -> Iterator[str]:
    for n, (one, other) in enumerate(combinations(sorted(FAULTS), 2)):
        situation = FAULTS[other](FAULTS[one](shaken(CALM, n)))
        memory, decisions = run(situation, 5.0, begin_s=NOW, policy=POLICY)
        told = {"faults": [one, other], "memory": to_json(memory), "last": to_json(bare_decision(decisions[-1]))}
        yield canonical_json(told).decode()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
