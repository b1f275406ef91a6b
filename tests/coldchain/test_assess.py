"""Assessment: the mean kinetic temperature of the standard, every rule at its exact edge, and what is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain.assess import budget_left, judge, rules_for, start, step
from missions.coldchain.mkt import mkt_c, mkt_finding, window_mkt
from missions.coldchain.product import ProfileError, product_from_mapping
from missions.coldchain.tally import Bounds
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, profile, rules
from tests.coldchain.courses import MIN, every_minute, judged, mkt_of, run, verdict

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
