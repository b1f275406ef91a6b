"""Assessment: the mean kinetic temperature of the standard, every rule at its exact edge, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain import assess
from missions.coldchain.assess import Assessment, Rules, budget_left, judge, rules_for, start, step, until
from missions.coldchain.mkt import mkt_c, mkt_finding, window_mkt
from missions.coldchain.product import Outcome, ProfileError, product_from_mapping
from missions.coldchain.tally import Bounds
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, profile, rules

MIN = 60.0


def run(by: Rules, *points: tuple[float, float]) -> Assessment:
    """(minutes after T0, temperature) in order."""
    a = start(by)
    for minutes, temp in points:
        a = step(a, by, T0 + minutes * MIN, temp)
    return a


def verdict(a: Assessment, by: Rules, now_s: float) -> tuple[BoxVerdict, str]:
    found = judge(a, by, now_s)
    return found.verdict, found.why


def mkt_of(by: Rules, a: Assessment) -> float:
    """As read, over a window longer than the record."""
    found = window_mkt(by, a, None, None)
    assert found is not None
    return found.read


def judged(by: Rules, *points: tuple[float, float]) -> BoxVerdict:
    return verdict(run(by, *points), by, T0 + points[-1][0] * MIN)[0]


def every_minute(temp: float, minutes: int, start_min: int = 0) -> list[tuple[float, float]]:
    """From start_min to start_min + minutes, both included: the last reading closes the last minute."""
    return [(float(m), temp) for m in range(start_min, start_min + minutes + 1)]


# mean kinetic temperature


@pytest.mark.parametrize(("hours", "expected_c"), [(1, 5.764), (4, 7.705), (6, 8.786)])
def test_a_day_at_5_degrees_with_some_hours_at_15_has_the_standards_mean(hours: int, expected_c: float) -> None:
    assert mkt_c([((24 - hours) * 3600, 5.0), (hours * 3600, 15.0)]) == pytest.approx(expected_c, abs=0.001)


@pytest.mark.parametrize(("hours", "expected_c"), [(1, 5.764), (4, 7.705), (6, 8.786)])
def test_the_incremental_mean_gives_the_standards_vectors_too(hours: int, expected_c: float) -> None:
    by = rules_for(profile("cct_biologic"), max_gap_s=3600.0)
    a = run(by, *[(h * 60.0, 15.0 if h < hours else 5.0) for h in range(25)])
    assert mkt_of(by, a) == pytest.approx(expected_c, abs=0.001)


def test_a_mean_without_time_is_a_fault() -> None:
    with pytest.raises(ValueError, match="needs time"):
        mkt_c([(0.0, 5.0)])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(1.0, 119.0), st.floats(-30.0, 45.0)), min_size=2, max_size=60))
def test_the_incremental_mean_equals_direct_evaluation(series: list[tuple[float, float]]) -> None:
    by = rules_for(product_from_mapping(_free_profile(), "p.yaml"))
    a, t = start(by), T0
    for held_s, temp in series:
        a = step(a, by, t, temp)
        t += held_s
    a = step(a, by, t, 0.0)
    kelvin = np.array([temp + 273.15 for _, temp in series])
    held = np.array([h for h, _ in series])
    direct = 10_000.0 / -np.log(np.sum(held * np.exp(-10_000.0 / kelvin)) / held.sum()) - 273.15
    assert mkt_of(by, a) == pytest.approx(direct, abs=1e-4)


def test_ten_thousand_random_series_have_the_mean_of_direct_evaluation() -> None:
    """Without the product's code for rates, sums and logarithms: numpy on absolute temperatures."""
    by, rng = rules_for(product_from_mapping(_free_profile(), "p.yaml")), np.random.default_rng(20260101)
    worst = 0.0
    for _ in range(10_000):
        n = int(rng.integers(1, 9))
        held, temps = rng.uniform(0.001, 119.0, n), rng.uniform(-30.0, 60.0, n)
        a, t = start(by), T0
        for held_s, temp in zip(held.tolist(), temps.tolist(), strict=True):
            a = step(a, by, t, temp)
            t += held_s
        a = step(a, by, t, 5.0)
        direct = 10_000.0 / -np.log(np.sum(held * np.exp(-10_000.0 / (temps + 273.15))) / held.sum()) - 273.15
        worst = max(worst, abs(mkt_of(by, a) - direct))
    assert worst < 0.001


def _free_profile() -> dict[str, object]:
    band = {"lower_c": -80, "upper_c": 80}
    return {"product_id": "x", "name": "X", "source": "s", "band": band, "mkt": {"limit_c": 79, "window_h": 1000}}


def test_the_mean_never_excuses_a_freeze() -> None:
    by = rules("cct_biologic")
    frozen = [*every_minute(5.0, 600), (601.0, -0.5), (602.0, 5.0)]
    assert judged(by, *frozen) is BoxVerdict.SPOILED


def test_a_mean_above_the_limit_is_quarantined_with_the_number() -> None:
    by = rules_for(profile("cct_biologic"), max_gap_s=3600.0)
    series = [(h * 60.0, 15.0 if h < 6 else 5.0) for h in range(25)]
    a = run(by, *series)
    finding = mkt_finding(by, window_mkt(by, a, None, None), a)
    assert finding is not None
    assert "8.79 °C over 24 h" in finding.why


# alarms, at their exact edges


def test_type_1_one_hour_at_minus_half_a_degree_is_spoiled_and_a_second_less_is_not() -> None:
    by = rules()
    cold = every_minute(-0.5, 59)
    just_under = (59.0 + 59.0 / 60.0, -0.5)
    assert judged(by, *cold, just_under) is BoxVerdict.QUARANTINE
    assert judged(by, *cold, just_under, (60.0, -0.5)) is BoxVerdict.SPOILED


def test_type_1_minus_half_a_degree_counts_and_a_little_warmer_does_not() -> None:
    assert judged(rules(), *every_minute(-0.5, 60)) is BoxVerdict.SPOILED
    assert judged(rules(), *every_minute(-0.499, 60)) is BoxVerdict.QUARANTINE


def test_a_consecutive_alarm_starts_anew_after_a_break() -> None:
    broken = [*every_minute(-0.5, 40), (41.0, 3.0), *every_minute(-0.5, 40, 42)]
    assert judged(rules(), *broken) is BoxVerdict.QUARANTINE
    assert judged(rules(), *every_minute(-0.5, 82)) is BoxVerdict.SPOILED


def test_a_cumulative_alarm_goes_on_after_a_break() -> None:
    broken = [*every_minute(30.0, 299), (300.0, 5.0), *every_minute(30.0, 299, 301)]
    assert judged(rules(), *broken) is BoxVerdict.QUARANTINE
    assert judged(rules(), *broken, (601.0, 30.0)) is BoxVerdict.SPOILED


@pytest.mark.parametrize(
    ("name", "temp", "minutes", "outcome"),
    [
        ("vaccine_freeze_sensitive", 45.0, 60, BoxVerdict.SPOILED),
        ("vaccine_freeze_sensitive", 30.0, 600, BoxVerdict.SPOILED),
        ("vaccine_heat_sensitive", 45.0, 60, BoxVerdict.SPOILED),
        ("vaccine_heat_sensitive", 30.0, 600, BoxVerdict.SPOILED),
    ],
)
def test_each_heat_alarm_fires_at_its_last_minute_and_not_before(
    name: str, temp: float, minutes: int, outcome: BoxVerdict
) -> None:
    by = rules(name)
    before, at = run(by, *every_minute(temp, minutes - 1)), run(by, *every_minute(temp, minutes))
    assert verdict(before, by, before.at_s)[0] is BoxVerdict.QUARANTINE
    assert verdict(at, by, at.at_s)[0] is outcome
    assert f"{minutes} min is the limit" in verdict(at, by, at.at_s)[1]


def test_type_2_twenty_hours_at_ten_degrees_raises_its_alarm() -> None:
    by = rules("vaccine_heat_sensitive")
    alarm = next(i for i, a in enumerate(by.product.alarms) if a.threshold_c == 10.0)
    assert run(by, *every_minute(10.0, 1200)).alarm_total_s[alarm] == 1200 * MIN
    assert run(by, *every_minute(9.99, 1200)).alarm_total_s[alarm] == 0.0


# bands and budgets


def test_the_edges_of_the_band_are_in_range() -> None:
    assert judged(rules(), (0, 2.0), (1, 8.0), (2, 5.0)) is BoxVerdict.IN_RANGE


@pytest.mark.parametrize("temp", [1.99, 8.01])
def test_without_an_allowance_the_first_reading_outside_is_quarantined(temp: float) -> None:
    by = rules()
    a = run(by, (0, 5.0), (1, temp), (2, 5.0))
    kind, why = verdict(a, by, a.at_s)
    assert kind is BoxVerdict.QUARANTINE
    assert "no time allowed there" in why
    assert "10:01:00Z" in why


def test_an_allowed_excursion_is_named_with_what_it_spent() -> None:
    by = rules("cct_biologic")
    a = run(by, (0, 5.0), (1, 9.0), (2, 9.0), (3, 5.0))
    kind, why = verdict(a, by, a.at_s)
    assert kind is BoxVerdict.EXCURSION_ALLOWED
    assert "2.0 min of 1440 min in cool" in why
    assert budget_left(a, by) == (("cool", Bounds(1438.0, 1438.0, 1438.0)),)


def test_the_allowance_may_be_spent_to_the_last_second_and_not_beyond() -> None:
    by = rules_for(profile("cct_biologic"), budget_min=(("cool", 10.0),))
    assert judged(by, *every_minute(9.0, 10)) is BoxVerdict.EXCURSION_ALLOWED
    assert judged(by, *every_minute(9.0, 10), (10.1, 9.0)) is BoxVerdict.QUARANTINE


def test_an_order_without_budget_left_is_quarantined_at_the_first_reading_outside() -> None:
    by = rules_for(profile("cct_biologic"), budget_min=(("cool", 0.0),))
    a = run(by, (0, 5.0), (1, 8.5))
    assert "no budget left for cool" in verdict(a, by, a.at_s)[1]


def test_an_order_cannot_widen_the_profile() -> None:
    by = rules_for(profile("cct_biologic"), budget_min=(("cool", 99_999.0),))
    assert by.allowed_s == (1440 * MIN,)


def test_a_budget_for_an_unknown_excursion_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"budget_min\.hot: cct_biologic has no such excursion; use cool"):
        rules_for(profile("cct_biologic"), budget_min=(("hot", 5.0),))


def test_spoiled_is_final_and_quarantine_can_only_get_worse() -> None:
    by = rules("red_cells")
    a = run(by, (0, 5.0), (1, 11.0))
    assert verdict(a, by, a.at_s)[0] is BoxVerdict.QUARANTINE
    a = step(a, by, T0 + 120, -0.5)
    assert verdict(a, by, a.at_s)[0] is BoxVerdict.SPOILED
    later = step(step(a, by, T0 + 180, 12.0), by, T0 + 240, 5.0)
    assert verdict(later, by, later.at_s) == verdict(a, by, a.at_s)


def test_red_cells_may_be_between_1_and_10_degrees() -> None:
    assert judged(rules("red_cells"), (0, 1.0), (1, 10.0), (2, 4.0)) is BoxVerdict.IN_RANGE
    assert judged(rules("red_cells"), (0, 10.1)) is BoxVerdict.QUARANTINE


def test_the_last_reading_goes_on_spending_until_the_next_one_comes() -> None:
    by = rules_for(profile("cct_biologic"), budget_min=(("cool", 10.0),))
    a = run(by, *every_minute(9.0, 9))
    assert judge(a, by, a.at_s + 60.0).verdict is BoxVerdict.EXCURSION_ALLOWED
    spent = judge(a, by, a.at_s + 61.0)
    assert spent.verdict is BoxVerdict.QUARANTINE
    assert spent.rule == "budget.cool"


def test_an_allowance_that_may_be_overspent_is_not_granted() -> None:
    """±0.5 °C at 15 °C: as read the dose spent nothing of the warmer allowance, at most all of it."""
    ranges = [
        {"name": "cool", "lower_c": 8, "upper_c": 15, "allowed_min": 600},
        {"name": "warm", "lower_c": 15, "upper_c": 25, "allowed_min": 10},
    ]
    band = {"lower_c": 2, "upper_c": 8}
    by = rules_for(
        product_from_mapping({"product_id": "x", "name": "X", "source": "s", "band": band, "excursions": ranges}, "p")
    )
    a = run(by, *every_minute(14.9, 10))
    assert judge(a, by, a.at_s).verdict is BoxVerdict.EXCURSION_ALLOWED
    a = run(by, *every_minute(14.9, 11))
    found = judge(a, by, a.at_s)
    assert found.verdict is BoxVerdict.UNKNOWN
    assert found.why == "whether warm is overspent cannot be told: 1.0 min over to 10.0 min left"
    assert (found.rule, found.since_s, found.at_s) == ("budget.warm", T0, T0 + 660.0)
    assert budget_left(a, by) == (("cool", Bounds(589.0, 589.0, 600.0)), ("warm", Bounds(-1.0, 10.0, 10.0)))
    exact = rules_for(by.product, accuracy_c=0.0)
    assert judge(run(exact, *every_minute(14.9, 11)), exact, a.at_s).verdict is BoxVerdict.EXCURSION_ALLOWED


# uncertainty


def test_far_from_every_edge_nothing_is_uncertain() -> None:
    a = run(rules(), *every_minute(5.0, 10))
    assert a.least is a.read
    assert a.read is a.most
    assert a.read.bands.total_s == (600.0, 0.0, 0.0)


def test_time_is_told_per_band_and_outside_all_of_them() -> None:
    by = rules("cct_biologic")
    a = run(by, (0, 5.0), (1, 9.0), (2, 1.0), (4, 20.0), (5, 8.0), (6, 15.0), (7, 5.0))
    assert a.read.bands.total_s == (120.0, 120.0, 120.0, 60.0)
    assert a.read.bands.longest_s == (60.0, 60.0, 120.0, 60.0)
    assert a.read.bands.run_s == (0.0, 60.0, 0.0, 0.0)
    assert a.read.bands.first_s == (T0, T0 + 60.0, T0 + 120.0, T0 + 240.0)


def test_near_an_edge_accuracy_leaves_room_both_ways() -> None:
    by = rules("cct_biologic")
    a = run(by, (0, 7.6), (1, 8.2), (2, 5.0), (3, 5.0))
    cool = 1
    assert [t.bands.total_s[cool] for t in (a.least, a.read, a.most)] == [0.0, 60.0, 120.0]
    assert [t.bands.longest_s[cool] for t in (a.least, a.read, a.most)] == [0.0, 60.0, 120.0]
    assert [t.bands.total_s[0] for t in (a.least, a.read, a.most)] == [60.0, 120.0, 180.0]


def test_a_gap_adds_what_it_may_hide() -> None:
    """Ten minutes unseen at 0.5 K/s from 5 °C: 8 °C is 5 s away by 0.5 °C of accuracy, from both ends."""
    by = rules("cct_biologic")
    a = run(by, (0, 5.0), (10, 5.0))
    assert (a.measured_s, a.unmeasured_s, a.gap_at_s) == (0.0, 600.0, T0)
    assert [t.bands.total_s[1] for t in (a.least, a.read, a.most)] == pytest.approx([0.0, 0.0, 590.0])
    assert [t.bands.total_s[0] for t in (a.least, a.read, a.most)] == pytest.approx([10.0, 0.0, 600.0])
    freeze = [t.alarms.longest_s[0] for t in (a.least, a.read, a.most)]
    assert freeze == pytest.approx([0.0, 0.0, 580.0])
    mean = window_mkt(by, a, None, None)
    assert mean is not None
    assert mean.read == pytest.approx(5.0, abs=0.01)
    assert mean.least < mean.read
    assert mean.most > mean.read + 5.0


def test_silence_counts_as_a_gap_that_is_not_over() -> None:
    by = rules("cct_biologic")
    a = run(by, (0, 9.0))
    held = until(a, by, T0 + 120.0)
    assert held.read.bands.total_s[1] == 120.0
    silent = until(a, by, T0 + 121.0)
    assert silent.unmeasured_s == 121.0
    assert [t.bands.total_s[1] for t in (silent.least, silent.read, silent.most)] == pytest.approx([1.0, 0.0, 121.0])
    assert until(a, by, T0) is a
    assert until(start(by), by, T0 + 5.0) == start(by)


@settings(max_examples=150, deadline=None)
@given(
    series=st.lists(
        st.tuples(st.sampled_from([1.0, 30.0, 119.0]), st.floats(-3.0, 20.0), st.floats(-0.5, 0.5)),
        min_size=2, max_size=40,
    )
)  # fmt: skip
def test_the_truth_lies_within_the_bounds_whatever_the_errors_of_the_readings(
    series: list[tuple[float, float, float]],
) -> None:
    by = rules("cct_biologic")
    exact = rules_for(by.product, accuracy_c=0.0)
    seen, true, t = start(by), start(exact), T0
    for held_s, temp, error in series:
        seen, true = step(seen, by, t, temp + error), step(true, exact, t, temp)
        t += held_s
    for kind in ("bands", "alarms"):
        for times in ("total_s", "longest_s", "run_s"):
            least, was, most = (
                np.array(getattr(getattr(tally, kind), times)) for tally in (seen.least, true.read, seen.most)
            )
            assert (least <= was + 1e-6).all()
            assert (was <= most + 1e-6).all()
    bounds, mean = window_mkt(by, seen, None, None), window_mkt(exact, true, None, None)
    assert bounds is not None
    assert mean is not None
    assert bounds.least - 1e-9 <= mean.read <= bounds.most + 1e-9


# the rule and the readings behind a verdict


@pytest.mark.parametrize(
    ("name", "points", "verdict_is", "rule", "since_min", "at_min"),
    [
        ("cct_biologic", [(0, 5.0), (1, 5.0)], BoxVerdict.IN_RANGE, "band", 0, 1),
        ("cct_biologic", [(0, 5.0), (1, 9.0), (2, 5.0)], BoxVerdict.EXCURSION_ALLOWED, "allowance", 1, 2),
        ("cct_biologic", [(0, 5.0), (1, 16.0), (2, 5.0)], BoxVerdict.QUARANTINE, "band", 1, 1),
        ("cct_biologic", [(0, 5.0), (1, -0.5), (2, 5.0)], BoxVerdict.SPOILED, "alarm.freeze", 1, 1),
        ("insulin", [(0, 5.0), (1, -0.5), (2, 5.0)], BoxVerdict.SPOILED, "spoiled", 1, 1),
        ("cct_biologic", [(0, 5.0), (1, 5.0), (9, 5.0), (19, 5.0)], BoxVerdict.UNKNOWN, "gap", 1, 19),
        ("vaccine_freeze_sensitive", [(0, 5.0), *[(1.0 + m, -0.5) for m in range(61)]], BoxVerdict.SPOILED,
         "alarm.freeze", 1, 61),
        ("vaccine_freeze_sensitive", [(0, 30.0), (1, 5.0), *[(2.0 + m, 30.0) for m in range(600)]],
         BoxVerdict.SPOILED, "alarm.who_30c_10h", 0, 601),
    ],
)  # fmt: skip
def test_a_verdict_names_its_rule_and_the_readings_that_count_for_it(
    name: str,
    points: list[tuple[float, float]],
    verdict_is: BoxVerdict,
    rule: str,
    since_min: float,
    at_min: float,
) -> None:
    by = rules(name)
    a = run(by, *points)
    found = judge(a, by, a.at_s)
    assert (found.verdict, found.rule) == (verdict_is, rule)
    assert (found.since_s, found.at_s) == (T0 + 60.0 * since_min, T0 + 60.0 * at_min)


MANY = {
    "product_id": "many", "name": "Many rules", "source": "s", "band": {"lower_c": 2, "upper_c": 8},
    "excursions": [
        {"name": "cool", "lower_c": 8, "upper_c": 15, "allowed_min": 30},
        {"name": "cold", "lower_c": 0, "upper_c": 2, "allowed_min": None},
        {"name": "none", "lower_c": 15, "upper_c": 20, "allowed_min": 0},
    ],
    "spoiled": {"at_or_below_c": -4, "at_or_above_c": 50},
    "alarms": [
        {"name": "hot", "at_or_above_c": 30, "cumulative_min": 10},
        {"name": "frost", "at_or_below_c": -1, "consecutive_min": 10, "outcome": "spoiled"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(0, 5.0), (1, 4.2)], "4.2 to 5.0 °C, within 2 to 8 °C"),
        ([(0, 5.0), (1, 1.0), (3, 9.0), (4, 9.0)],
         "outside 2 to 8 °C: 1.0 min of 30 min in cool (8 to 15 °C), 2.0 min of any time in cold (0 to 2 °C)"),
        ([(0, 5.0), (1, 9.0)], "outside 2 to 8 °C: 0.0 min of 30 min in cool (8 to 15 °C)"),
        ([(0, -4.0)], "-4.0 °C at 10:00:00Z: spoiled at or below -4 °C"),
        ([(0, 50.0)], "50.0 °C at 10:00:00Z: spoiled at or above 50 °C"),
        ([(0, 20.5)], "20.5 °C at 10:00:00Z: outside 2 to 8 °C, no time allowed there"),
        ([(0, 17.0)], "17.0 °C at 10:00:00Z: outside 2 to 8 °C, the order has no budget left for none"),
        ([*[(float(m), 9.0) for m in range(31)], (31, 9.0)],
         "31.0 min in cool (8 to 15 °C) by 10:31:00Z: 30 min allowed"),
        ([(float(m), -2.0) for m in range(11)],
         "frost: 10.0 min consecutive at ≤ -1 °C by 10:10:00Z, 10 min is the limit"),
        ([(0, 5.0), (5, 5.0), (6, 5.0)], "300 s of the record are missing"),
        ([], "no believable reading yet"),
    ],
)  # fmt: skip
def test_a_verdict_says_why_in_one_sentence(points: list[tuple[float, float]], why: str) -> None:
    by = rules_for(product_from_mapping(MANY, "p.yaml"))
    a = run(by, *points)
    assert judge(a, by, a.at_s).why == why


def test_an_alarm_that_only_quarantines_says_so_too() -> None:
    by = rules_for(product_from_mapping({**MANY, "excursions": [], "band": {"lower_c": 2, "upper_c": 29}}, "p.yaml"))
    a = run(by, *every_minute(30.0, 10))
    alarm = assess._broken(a, by)
    assert alarm is not None
    assert alarm.why == "hot: 10.0 min cumulative at ≥ 30 °C by 10:10:00Z, 10 min is the limit"
    assert (alarm.rule, alarm.since_s, alarm.outcome) == ("alarm.hot", T0, Outcome.QUARANTINE)


def test_expiry_and_agitation_have_their_sentences() -> None:
    by = rules_for(replace(profile("platelets"), unagitated_max_min=2.0), expires_s=T0 + 600.0)
    assert by.product.unagitated_max_min == 2.0
    late = run(by, (0, 22.0), (1, 22.0), (2, 22.0), (3, 22.0)).finding
    assert late is not None
    assert late.why == "3.0 min without agitation by 10:03:00Z: 2 min allowed"
    assert (late.rule, late.since_s, late.at_s) == ("agitation", T0, T0 + 180.0)
    assert run(by, (0, 22.0), (1, 22.0), (2, 22.0)).finding is None
    gone = assess.overdue(by, None, T0 + 600.0)
    assert gone is not None
    assert (gone.rule, gone.why) == ("expiry", "the lot expired at 2026-03-10 10:10:00Z")
    assert gone.outcome is Outcome.QUARANTINE
    assert assess.overdue(by, None, T0 + 599.9) is None


def test_no_reading_and_silence_have_names_too() -> None:
    by = rules()
    assert judge(start(by), by, T0).rule == "no_reading"
    a = run(by, (0, 5.0))
    silent = judge(a, by, T0 + 200.0)
    assert (silent.rule, silent.since_s, silent.at_s) == ("silence", T0, T0)


def test_a_mean_above_the_limit_names_its_window() -> None:
    by = rules_for(profile("cct_biologic"), max_gap_s=3600.0)
    a = run(by, *[(h * 60.0, 15.0) for h in range(30)])
    found = mkt_finding(by, window_mkt(by, a, None, None), a)
    assert found is not None
    assert (found.rule, found.since_s, found.at_s) == ("mkt", a.at_s - 86_400.0, a.at_s)


@pytest.mark.parametrize("temp", [-4.0, 50.0])
def test_what_spoils_at_once_is_called_spoiled(temp: float) -> None:
    by = rules_for(product_from_mapping(MANY, "p.yaml"))
    assert judge(run(by, (0, temp)), by, T0).rule == "spoiled"


def test_a_window_that_begins_in_a_gap_holds_what_is_left_of_it() -> None:
    """An hour's window, of which the first 10 minutes were not seen and may have been as warm as a probe can show."""
    by = rules("cct_biologic")
    assert by.product.mkt is not None
    by = replace(by, product=replace(by.product, mkt=replace(by.product.mkt, window_h=1.0, prior_c=None)))
    before = run(by, (0, 4.0), (1, 4.0))
    after = step(before, by, T0 + 31 * MIN, 6.0)
    now = after
    for minute in range(32, 82):
        now = step(now, by, T0 + minute * MIN, 6.0)
    found = window_mkt(by, now, before, after)
    assert found is not None
    assert found.read == pytest.approx(6.0, abs=1e-9)
    assert found.least == pytest.approx(mkt_c([(600.0, -50.0), (3000.0, 5.5)]), abs=1e-6)
    assert found.most == pytest.approx(mkt_c([(600.0, 70.0), (3000.0, 6.5)]), abs=1e-6)


def test_a_mean_exactly_at_the_limit_is_within_it() -> None:
    by = rules_for(profile("cct_biologic"), max_gap_s=3600.0)
    a = run(by, *[(h * 60.0, 8.0) for h in range(30)])
    assert mkt_finding(by, Bounds(7.5, 8.0, 8.5), a) is None
    assert mkt_finding(by, Bounds(7.5, 8.00001, 8.5), a) is not None


def test_silence_does_not_end_an_excursion() -> None:
    by = rules("cct_biologic")
    a = run(by, (0, 5.0), (1, 9.0), (2, 9.0))
    assert judge(a, by, a.at_s + 500.0).verdict is BoxVerdict.UNKNOWN
    assert assess.excursion(a, by) == "outside 2 to 8 °C: 1.0 min of 1440 min in cool (8 to 15 °C)"
    assert assess.excursion(run(by, (0, 5.0)), by) == ""
    assert assess.excursion(run(by, (0, 16.0)), by).startswith("16.0 °C at 10:00:00Z: outside 2 to 8 °C")


# what is not known


def test_no_reading_is_unknown() -> None:
    by = rules()
    assert verdict(start(by), by, T0)[0] is BoxVerdict.UNKNOWN


def test_a_reading_counts_for_as_long_as_a_gap_may_be_and_not_longer() -> None:
    by = rules()
    a = run(by, (0, 5.0))
    assert verdict(a, by, a.at_s + 120.0)[0] is BoxVerdict.IN_RANGE
    assert verdict(a, by, a.at_s + 120.1)[0] is BoxVerdict.UNKNOWN


def test_a_gap_in_the_record_is_unknown_even_when_readings_come_again() -> None:
    by = rules()
    a = run(by, (0, 5.0), (3, 5.0), (4, 5.0))
    kind, why = verdict(a, by, a.at_s)
    assert kind is BoxVerdict.UNKNOWN
    assert "180 s of the record are missing" in why
    assert a.measured_s == 60.0


def test_a_broken_rule_stays_broken_through_a_gap() -> None:
    assert judged(rules(), (0, 9.0), (30, 5.0)) is BoxVerdict.QUARANTINE


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5.0, 50.0), min_size=1, max_size=80))
def test_a_record_with_any_reading_outside_every_declared_range_is_never_in_range(temps: Sequence[float]) -> None:
    by = rules()
    points = [(float(i), t) for i, t in enumerate(temps)]
    outside = any(not 2.0 <= t <= 8.0 for t in temps)
    assert (judged(by, *points) is BoxVerdict.IN_RANGE) == (not outside)


def test_the_probe_furthest_out_is_the_one_assessed() -> None:
    product = profile("vaccine_freeze_sensitive")
    assert assess.furthest(product, (5.0, 7.9, 3.0)) == 7.9
    assert assess.furthest(product, (1.0, 8.5)) == 1.0
