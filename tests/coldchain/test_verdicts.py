"""A verdict names its rule, the readings behind it, and says why in one sentence."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from missions.coldchain import assess, monitor
from missions.coldchain.assess import judge, rules_for, start, step
from missions.coldchain.mkt import mkt_c, mkt_finding, window_mkt
from missions.coldchain.monitor import Monitor, observe, view
from missions.coldchain.product import Outcome, product_from_mapping
from missions.coldchain.tally import Bounds
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, noisy, profile, rules, sample
from tests.coldchain.courses import MIN, every_minute, run


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


def test_a_window_that_begins_in_a_short_gap_is_as_warm_as_the_probe_can_have_become() -> None:
    """A gap of 130 s from 4 to 6 °C: at 0.5 K/s it may have reached 37.5 + 0.5 and −27.5 − 0.5 °C, and no more."""
    by = rules("cct_biologic")
    assert by.product.mkt is not None
    by = replace(by, product=replace(by.product, mkt=replace(by.product.mkt, window_h=1.0, prior_c=None)))
    before = run(by, (0, 4.0))
    after = now = step(before, by, T0 + 130.0, 6.0)
    for minute in range(1, 60):
        now = step(now, by, T0 + 130.0 + minute * MIN, 6.0)
    found = window_mkt(by, now, before, after)
    assert found is not None
    assert found.read == pytest.approx(6.0, abs=1e-9)
    assert found.least == pytest.approx(mkt_c([(60.0, -28.0), (3540.0, 5.5)]), abs=1e-6)
    assert found.most == pytest.approx(mkt_c([(60.0, 38.0), (3540.0, 6.5)]), abs=1e-6)


def test_after_a_silence_longer_than_the_window_what_was_before_is_not_in_the_mean() -> None:
    by = rules("cct_biologic")
    assert by.product.mkt is not None
    by = replace(by, product=replace(by.product, mkt=replace(by.product.mkt, window_h=0.05, prior_c=None)))
    seen = Monitor("box-1", by)
    for s in [*noisy(60, 7.9), sample(60, 5.0, at=4000.0)]:
        seen = observe(seen, s, s.box_time_s + 0.2)
    newest = seen.newest
    assert newest is not None
    mean = monitor._window_mkt(seen, newest.parent, newest.assessment)
    assert mean is not None
    assert mean.read == pytest.approx(5.0)
    assert mean.least < -10.0
    assert mean.most > 20.0, "nobody saw it for the whole window"
    assert view(seen, T0 + 4001.0).rule == "gap"


def test_a_mean_exactly_at_the_limit_is_within_it() -> None:
    by = rules_for(profile("cct_biologic"), max_gap_s=3600.0)
    a = run(by, *[(h * 60.0, 8.0) for h in range(30)])
    assert mkt_finding(by, Bounds(7.5, 8.0, 8.5), a) is None
    assert mkt_finding(by, Bounds(7.5, 8.00001, 8.5), a) is not None


def test_up_to_the_longest_gap_the_last_reading_goes_on_spending_its_allowance() -> None:
    by = rules_for(profile("cct_biologic"), budget_min=(("cool", 1.0),))
    a = run(by, (0, 5.0), (1, 9.0))
    for silent_s, verdict in ((60.0, BoxVerdict.EXCURSION_ALLOWED), (by.max_gap_s, BoxVerdict.QUARANTINE)):
        assert judge(a, by, a.at_s + silent_s).verdict is verdict


def test_silence_does_not_end_an_excursion() -> None:
    by = rules("cct_biologic")
    a = run(by, (0, 5.0), (1, 9.0), (2, 9.0))
    assert judge(a, by, a.at_s + 500.0).verdict is BoxVerdict.UNKNOWN
    assert assess.excursion(a, by) == "outside 2 to 8 °C: 1.0 min of 1440 min in cool (8 to 15 °C)"
    assert assess.excursion(run(by, (0, 5.0)), by) == ""
    assert assess.excursion(run(by, (0, 16.0)), by).startswith("16.0 °C at 10:00:00Z: outside 2 to 8 °C")


def test_an_overspent_allowance_is_quarantined_and_can_still_become_spoiled() -> None:
    by = rules_for(product_from_mapping(MANY, "p.yaml"))
    a = run(by, *every_minute(9.0, 31))
    assert a.finding is not None
    assert (a.finding.outcome, a.finding.rule) == (Outcome.QUARANTINE, "budget.cool")
    assert a.finding.since_s == T0
    later = step(a, by, T0 + 32 * MIN, -4.0)
    assert later.finding is not None
    assert later.finding.outcome is Outcome.SPOILED


@pytest.mark.parametrize("temp", [20.5, 17.0])
def test_what_is_outside_without_time_allowed_is_quarantined_by_that_reading(temp: float) -> None:
    found = run(rules_for(product_from_mapping(MANY, "p.yaml")), (0, temp)).finding
    assert found is not None
    assert found.outcome is Outcome.QUARANTINE
    assert (found.at_s, found.since_s) == (T0, None)


def test_times_are_told_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EAT-3")
    time.tzset()
    try:
        gone = assess.overdue(rules(expires_s=T0 + 600.0), None, T0 + 600.0)
        assert gone is not None
        assert gone.why == "the lot expired at 2026-03-10 10:10:00Z"
        assert assess.clock_time(T0) == "10:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()
