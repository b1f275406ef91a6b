"""A whole flight of the vaccine whose seal fails: measured temperatures in, decisions out, nothing told beforehand."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from missions.coldchain import thermal
from missions.coldchain.forecast import Outlook
from missions.coldchain.monitor import Monitor, observe, view
from missions.decision.engine import decide
from missions.decision.types import Candidate, CandidateKind, Decision, Memory
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import BOX, rules, sample, shown, simulate
from tests.decision.situations import ALTERNATE, CALM, CONTINUE, NOW, POLICY, REICE, RETURN, at, candidate

AMBIENT_C, FAILS_S, CLINIC_S, STATION_S = 37.5, 60, 390.0, 205.0
"""a courier at 20 m/s: the clinic 7.2 km, the station 3.6 km from the hub"""


@dataclass
class Flown:
    decisions: list[tuple[int, Decision]]
    chances: dict[int, dict[CandidateKind, float]]
    first_other: tuple[int, CandidateKind] | None
    verdict_then: BoxVerdict | None


def fly(*, fails_s: float | None, pack_kj: float, swap_s: float, coupling_k_w: float = 0.004, seed: int = 1) -> Flown:
    """One sample and one decision a second until another way than the plan is chosen."""
    rng, memory, monitor = random.Random(seed), Memory(), Monitor("box-1", rules())
    estimate: thermal.ThermalEstimate | None = None
    flown = Flown([], {}, None, None)
    truth = simulate(
        360, seal_fails_s=fails_s, pack_kj=pack_kj, ambient_c=AMBIENT_C, coupling_k_w=coupling_k_w, start_c=4.3
    )
    for t, probe_c in enumerate(shown(truth)):
        seal_ok = fails_s is None or t < fails_s
        s = sample(t, round(probe_c + rng.gauss(0.0, 0.05), 2), lid_open=False, seal_ok=seal_ok)
        monitor = observe(monitor, s, s.box_time_s + 0.2)
        assert monitor.newest is not None
        reading = monitor.newest.assessment.temp_c
        assert reading is not None
        if estimate is None:
            estimate = thermal.initial(BOX, reading, s.box_time_s, pack_left_kj=20.0)
        else:
            estimate = thermal.update(estimate, reading, AMBIENT_C, s.box_time_s, s.lid_open, s.seal_ok)
        now = s.box_time_s
        outlook = Outlook(estimate, monitor.newest.assessment, rules(), AMBIENT_C, now)

        def way(
            kind: CandidateKind,
            site: str,
            after_s: float,
            swap: float | None = None,
            outlook: Outlook = outlook,
            now: float = now,
        ) -> Candidate:
            dose = outlook(now + after_s, None if swap is None else now + swap)
            made = candidate(kind, site, p=dose.p_in_range, after_s=after_s)
            return replace(made, product_temp_c=dose.temp_c)

        ways = [way(CONTINUE, "koru", CLINIC_S - t), way(RETURN, "teral", t + 25.0), way(ALTERNATE, "quarry", 180.0)]
        if t < STATION_S - 20:
            landed = STATION_S - t
            ways.append(way(REICE, "midway", landed + swap_s + 60.0 + 230.0, landed + swap_s))
        box = view(monitor, now + 0.3)
        situation = replace(CALM, candidates=tuple(ways))
        situation = replace(at(situation, NOW + t), box=replace(box, sample=replace(box.sample, at_s=NOW + t - 0.1)))  # type: ignore[type-var]
        memory, decision = decide(memory, situation, POLICY, NOW + t)
        flown.decisions.append((t, decision))
        flown.chances[t] = {w.kind: w.p_in_range or 0.0 for w in ways}
        if decision.candidate is not None:
            flown.first_other, flown.verdict_then = (t, decision.candidate.kind), box.verdict
            break
    return flown


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("coupling", [0.0005, 0.004, 0.012])
def test_the_seal_fails_and_within_twenty_samples_the_dose_is_on_its_way_to_safety_in_range(
    seed: int, coupling: float
) -> None:
    flown = fly(fails_s=FAILS_S, pack_kj=20.0, swap_s=30.0, seed=seed, coupling_k_w=coupling)
    assert flown.first_other is not None
    when, kind = flown.first_other
    assert FAILS_S <= when <= FAILS_S + 20
    assert kind in (REICE, RETURN)
    assert flown.verdict_then is BoxVerdict.IN_RANGE
    truth = {t: temp for t, temp, _ in simulate(
        2 * when + 60, seal_fails_s=FAILS_S, pack_kj=20.0, ambient_c=AMBIENT_C, coupling_k_w=coupling, start_c=4.3
    )}  # fmt: skip
    if kind is RETURN:
        assert truth[2 * when + 25] < 8.0


def test_flying_on_would_have_ended_out_of_range() -> None:
    arrived = simulate(int(CLINIC_S) + 1, seal_fails_s=FAILS_S, pack_kj=20.0, ambient_c=AMBIENT_C, start_c=4.3)
    assert arrived[-1][1] > 9.0


def test_a_station_that_swaps_quickly_is_preferred_to_going_home_undelivered() -> None:
    flown = fly(fails_s=FAILS_S, pack_kj=20.0, swap_s=20.0, coupling_k_w=0.0005)
    assert flown.first_other is not None
    assert flown.first_other[1] is REICE


def test_a_station_that_swaps_too_late_is_passed_over_for_home() -> None:
    flown = fly(fails_s=FAILS_S, pack_kj=20.0, swap_s=300.0)
    assert flown.first_other is not None
    assert flown.first_other[1] is RETURN


@pytest.mark.parametrize("seed", range(3))
def test_an_intact_box_flies_to_the_clinic_without_a_word(seed: int) -> None:
    flown = fly(fails_s=None, pack_kj=20.0, swap_s=60.0, seed=seed)
    assert flown.first_other is None
    assert all(not d.faults for _, d in flown.decisions)
