"""The thermal bank and its forecasts, against a box simulated by small steps of its differential equation."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain import thermal
from missions.coldchain.assess import Assessment, start, step
from missions.coldchain.forecast import Outlook
from missions.coldchain.thermal import ThermalEstimate
from tests.coldchain.builders import BOX, rules, shown, simulate

AMBIENT_C = 37.5
"""80 m above a valley floor at 38 °C"""


def flown(
    seconds: int, *, seed: int = 3, declared_kj: float | None = 20.0, flags: bool = True, **box: float
) -> tuple[ThermalEstimate, Assessment]:
    """Belief and record after so many seconds of one-second samples with a probe's noise."""
    rng, by = random.Random(seed), rules()
    estimate, a = None, start(by)
    truth = simulate(seconds + 1, ambient_c=AMBIENT_C, **box)  # type: ignore[arg-type]
    for t, probe_c in enumerate(shown(truth)):
        reading = round(probe_c + rng.gauss(0.0, 0.05), 2)
        fails = box.get("seal_fails_s")
        seal_ok = None if not flags else fails is None or t < fails
        if estimate is None:
            estimate = thermal.initial(BOX, reading, float(t), pack_left_kj=declared_kj)
        else:
            estimate = thermal.update(estimate, reading, AMBIENT_C, float(t), False if flags else None, seal_ok)
        a = step(a, by, float(t), reading)
    assert estimate is not None
    return estimate, a


def p_at(estimate: ThermalEstimate, a: Assessment, arrive_s: float, swap_at_s: float | None = None) -> float:
    return Outlook(estimate, a, rules(), AMBIENT_C, estimate.at_s)(arrive_s, swap_at_s).p_in_range


ARRIVAL_S = 400.0
"""a courier at 20 m/s to a clinic 7.2 km away"""


def test_an_intact_box_with_a_nearly_spent_pack_will_arrive_in_range() -> None:
    estimate, a = flown(59)
    assert p_at(estimate, a, ARRIVAL_S) > 0.95
    assert estimate.resistance_k_w == pytest.approx(1.2, rel=0.25)


@pytest.mark.parametrize("coupling", [0.0005, 0.004, 0.01, 0.03])
def test_twenty_samples_after_the_seal_failed_the_forecast_says_it_will_not_arrive_in_range(coupling: float) -> None:
    estimate, a = flown(80, seal_fails_s=60.0, coupling_k_w=coupling)
    assert max(t for _, t, _ in simulate(400, seal_fails_s=60.0, coupling_k_w=coupling)) > 9.0
    assert p_at(estimate, a, ARRIVAL_S) < 0.5
    assert p_at(estimate, a, 150.0) > 0.8  # back at the hub in time


def test_the_seal_contact_alone_already_opens_the_question() -> None:
    before, a = flown(60, seal_fails_s=60.5)
    after, b = flown(61, seal_fails_s=60.5)
    assert p_at(before, a, ARRIVAL_S) > 0.9
    assert p_at(after, b, ARRIVAL_S) < 0.7


def test_without_any_contact_the_temperature_tells_in_time() -> None:
    estimate, a = flown(115, seal_fails_s=60.0, flags=False)
    assert p_at(estimate, a, ARRIVAL_S) < 0.5


def test_once_the_pack_is_gone_the_resistance_is_known() -> None:
    estimate, _ = flown(260, seal_fails_s=60.0)
    assert estimate.resistance_k_w == pytest.approx(1.2 / 8, rel=0.15)
    assert estimate.pack_left_kj < 1.0


@pytest.mark.parametrize("coupling", [0.004, 0.01, 0.03])
def test_a_healthy_box_raises_no_false_alarm(coupling: float) -> None:
    for seconds in (5, 20, 60, 180, 300):
        estimate, a = flown(seconds, pack_kj=60.0, declared_kj=60.0, coupling_k_w=coupling)
        assert p_at(estimate, a, seconds + 360.0) > 0.9, seconds


def test_a_torn_seal_that_the_contact_invents_is_not_believed_for_ever() -> None:
    rng = random.Random(5)
    estimate = thermal.initial(BOX, 6.0, 0.0, pack_left_kj=0.0)
    temp = 6.0
    for t in range(1, 240):
        temp += (AMBIENT_C - temp) / 1.2 / 7000.0
        estimate = thermal.update(estimate, round(temp + rng.gauss(0, 0.05), 2), AMBIENT_C, float(t), False, False)
    assert estimate.resistance_k_w > 0.7


def test_a_pack_that_was_declared_too_full_is_found_out() -> None:
    estimate, _ = flown(200, pack_kj=0.0, declared_kj=100.0, start_c=5.0)
    assert estimate.pack_left_kj < 20.0


def test_a_fresh_pack_on_the_way_cools_again() -> None:
    estimate, a = flown(90, seal_fails_s=60.0, coupling_k_w=0.004)
    outlook = Outlook(estimate, a, rules(), AMBIENT_C, 90.0)
    with_stop, without = outlook(500.0, 160.0), outlook(500.0)
    assert with_stop.temp_c.mean < without.temp_c.mean - 4.0
    assert with_stop.p_in_range > without.p_in_range


def test_reicing_resets_the_pack_and_keeps_what_is_known_of_the_seal() -> None:
    estimate, _ = flown(260, seal_fails_s=60.0)
    again = thermal.reiced(estimate, 270.0)
    assert again.pack_left_kj > 100.0
    assert again.resistance_k_w == pytest.approx(estimate.resistance_k_w, rel=1e-6)
    assert again.at_s == 270.0


def test_a_dose_whose_rule_is_broken_cannot_come_back_into_range() -> None:
    estimate, a = flown(30)
    broken = step(a, rules(), 31.0, 9.0)
    assert Outlook(estimate, broken, rules(), AMBIENT_C, 31.0)(60.0).p_in_range == 0.0


def test_the_budget_already_spent_counts_against_the_forecast() -> None:
    by = rules("cct_biologic", budget_min=(("cool", 6.0),))
    estimate, _ = flown(200, seal_fails_s=60.0)
    fresh = start(by)
    spent = step(step(step(fresh, by, 0.0, 9.0), by, 100.0, 9.0), by, 200.0, 9.0)
    arrive = 500.0
    with_all = Outlook(estimate, fresh, by, AMBIENT_C, 200.0)(arrive)
    with_little = Outlook(estimate, spent, by, AMBIENT_C, 200.0)(arrive)
    assert with_all.p_in_range > 0.7
    assert with_little.p_in_range < with_all.p_in_range - 0.35
    (name, left), (_, less) = with_all.budget_left_min[0], with_little.budget_left_min[0]
    assert name == "cool"
    assert 1.0 <= left.mean <= 6.0
    assert left.sd > 0.0
    assert less.mean < left.mean - 1.0


def test_an_update_that_is_not_newer_changes_nothing() -> None:
    estimate, _ = flown(10)
    assert thermal.update(estimate, 9.0, AMBIENT_C, estimate.at_s) is estimate


def test_the_belief_never_loses_its_weight_nor_its_mind() -> None:
    estimate = thermal.initial(BOX, 5.0, 0.0)
    for i, temp in enumerate([5.0, -40.0, 69.0, 5.0, 5.0]):
        estimate = thermal.update(estimate, temp, AMBIENT_C, 1.0 + i)
        assert estimate.weight.sum() == pytest.approx(1.0)
        assert np.isfinite(estimate.temp_c).all()
        assert (estimate.pack_kj >= 0.0).all()


@settings(max_examples=40, deadline=None)
@given(
    start_c=st.floats(4.0, 12.0),
    pack=st.floats(0.0, 60.0),
    row=st.integers(0, len(thermal.MULTIPLIERS) - 1),
    column=st.integers(0, len(thermal.COUPLINGS_K_W) - 1),
)
def test_every_hypothesis_follows_the_differential_equation(start_c: float, pack: float, row: int, column: int) -> None:
    """One hypothesis of the bank, set to the truth, must give the simulated temperature a few minutes ahead."""
    bank = thermal.initial(BOX, start_c, 0.0, pack_left_kj=pack)
    weight = np.zeros_like(bank.weight)
    weight[row, column] = 1.0
    packs = np.full_like(bank.pack_kj, pack)
    certain = replace(bank, weight=weight, var_c2=bank.var_c2 * 0.0, pack_kj=packs)
    to_pack, to_payload = (float(x) for x in thermal.COUPLINGS_K_W[column])
    truth = simulate(
        361, seal_fails_s=0.0, failed_share=float(thermal.MULTIPLIERS[row]), pack_kj=pack, start_c=start_c,
        ambient_c=AMBIENT_C, coupling_k_w=to_pack, inner_k_w=to_payload,
    )  # fmt: skip
    outlook = Outlook(certain, None, rules(), AMBIENT_C, 0.0)
    for t in (60, 180, 360):
        assert outlook(float(t)).temp_c.mean == pytest.approx(truth[t][1], abs=0.1)
    moved = thermal._drift(certain, 180.0, AMBIENT_C)
    assert moved.temp_c[row, column] == pytest.approx(truth[180][1], abs=0.1)
    assert moved.pack_kj[row, column] == pytest.approx(truth[180][2], abs=0.6)


def test_in_the_cold_a_melted_pack_keeps_the_payload_from_freezing_for_a_while() -> None:
    by = rules()
    estimate = thermal.initial(BOX, 5.0, 0.0, pack_left_kj=20.0)
    with_pack = Outlook(estimate, None, by, -20.0, 0.0)(1800.0).temp_c.mean
    assert with_pack > 3.0
    frozen_through = thermal.initial(BOX, 5.0, 0.0, pack_left_kj=150.0)
    assert Outlook(frozen_through, None, by, -20.0, 0.0)(1800.0).temp_c.mean < with_pack


def test_the_seconds_in_which_no_probe_shows_anything_yet_are_no_comfort() -> None:
    told, a = flown(61, seal_fails_s=60.5)
    later, b = flown(75, seal_fails_s=60.5)
    assert p_at(later, b, ARRIVAL_S) < p_at(told, a, ARRIVAL_S) + 0.1


def test_a_reading_that_rises_is_behind_its_payload() -> None:
    estimate, a = flown(120, seal_fails_s=60.0)
    truth = simulate(121, ambient_c=AMBIENT_C, seal_fails_s=60.0)[120][1]
    assert a.temp_c is not None
    assert a.temp_c < truth - 0.3
    assert estimate.mean_c == pytest.approx(truth, abs=0.25)


def opened(for_s: float, *, lid: bool = True) -> Outlook:
    """A box that has been reported open, and has not warmed yet, since so many seconds."""
    estimate = thermal.initial(BOX, 5.0, 0.0, pack_left_kj=20.0)
    certain = replace(estimate, weight=np.zeros_like(estimate.weight), flagged=True)
    certain.weight[-3, 20] = 1.0
    return Outlook(replace(certain, lid_since_s=-for_s if lid else None), None, rules(), AMBIENT_C, 0.0)


def test_a_lid_that_has_just_opened_may_be_shut_again_and_one_that_is_open_for_long_will_hardly_be() -> None:
    just, long, seal = (opened(s, lid=lid)(300.0) for s, lid in ((1.0, True), (900.0, True), (1.0, False)))
    assert just.p_in_range > long.p_in_range + 0.1
    assert just.temp_c.mean < long.temp_c.mean - 1.0
    assert just.temp_c.sd > long.temp_c.sd
    assert seal.p_in_range == pytest.approx(0.0, abs=1e-6)
    assert long.temp_c.mean == pytest.approx(seal.temp_c.mean, abs=0.05)


def test_a_lid_that_may_be_shut_goes_on_from_where_it_is_then() -> None:
    """Followed in two pieces against one, with the shutting at a known time."""
    outlook = opened(1.0)
    n = len(outlook._bank.weight) // 4
    times, temps = outlook._path(400.0, None, None)
    assert np.isinf(outlook._bank.shut_s[:n]).all()
    for k in range(1, 4):
        shut_s = float(outlook._bank.shut_s[k * n])
        before = times < shut_s
        assert temps[k * n][before] == pytest.approx(temps[0][before])
        truth = _two_pieces(shut_s)
        assert temps[k * n][-1] == pytest.approx(truth, abs=0.15)


def _two_pieces(shut_s: float) -> float:
    row, (to_pack, to_payload) = -3, (float(x) for x in thermal.COUPLINGS_K_W[20 % len(thermal.COUPLINGS_K_W)])
    pack_kj = float(thermal.initial(BOX, 5.0, 0.0, pack_left_kj=20.0).pack_kj[row, 20])
    common = {"ambient_c": AMBIENT_C, "coupling_k_w": to_pack, "inner_k_w": to_payload, "seal_fails_s": 0.0}
    open_share = float(thermal.MULTIPLIERS[row])
    first = simulate(int(shut_s) + 2, failed_share=open_share, pack_kj=pack_kj, start_c=5.0, **common)  # type: ignore[arg-type]
    _, temp, left = first[round(shut_s)]
    second = simulate(402 - round(shut_s), failed_share=1.0, pack_kj=left, start_c=temp, **common)  # type: ignore[arg-type]
    return second[400 - round(shut_s)][1]


def test_a_lid_that_is_shut_or_a_seal_that_fails_as_well_ends_the_hope_of_its_being_shut() -> None:
    estimate = thermal.initial(BOX, 5.0, 0.0)
    open_ = thermal.update(estimate, 5.0, AMBIENT_C, 1.0, True, True)
    assert open_.lid_since_s == 1.0
    assert thermal.update(open_, 5.0, AMBIENT_C, 2.0, True, True).lid_since_s == 1.0
    assert thermal.update(open_, 5.0, AMBIENT_C, 2.0, None, None).lid_since_s == 1.0
    assert thermal.update(open_, 5.0, AMBIENT_C, 2.0, False, True).lid_since_s is None
    assert thermal.update(open_, 5.0, AMBIENT_C, 2.0, True, False).lid_since_s is None
