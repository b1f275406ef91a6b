"""A whole record at once says what a monitor says that saw it reading by reading, and how it came to that."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.boxes import BoxSample
from missions.coldchain.assess import Rules, budget_left, rules_for, until
from missions.coldchain.history import Gap, History, Temps, judge_record, probe_temps
from missions.coldchain.mkt import mkt_c
from missions.coldchain.monitor import Monitor, judgement, observe
from missions.coldchain.samples import limits_for
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, profile, rules

Series = list[tuple[float, Temps]]


def every(step_s: float, temps: list[float | None], start_s: float = T0) -> Series:
    return [(start_s + step_s * i, (t,)) for i, t in enumerate(temps)]


def logged(name: str, series: Series, **more: float) -> History:
    return judge_record(rules_for(profile(name), max_gap_s=more.pop("max_gap_s", 900.0)), series)


def monitored(by: Rules, series: Series) -> Monitor:
    """The same readings as a box would have sent them, each as it was measured."""
    box = Monitor("log", by, limits_for(by.product))
    for n, (at_s, temps) in enumerate(series):
        box = observe(box, BoxSample("log", "log", n, at_s, temps), at_s)
    return box


def same_as_monitored(name: str, series: Series, step_s: float) -> None:
    by = rules_for(profile(name), max_gap_s=2.0 * step_s)
    history, box, end_s = judge_record(by, series), monitored(by, series), series[-1][0]
    assert box.newest is not None
    live = judgement(box, end_s)
    told = history.judgement
    assert (told.verdict, told.rule, told.since_s, told.at_s) == (live.verdict, live.rule, live.since_s, live.at_s)
    assert history.assessment == until(box.newest.assessment, by, end_s)
    assert history.assessment.unmeasured_s == pytest.approx(sum(g.to_s - g.from_s for g in history.gaps))


READINGS = st.lists(
    st.tuples(
        st.sampled_from((60.0, 60.0, 60.0, 60.0, 300.0)),
        st.one_of(st.floats(-3.0, 18.0).map(lambda t: round(t, 1)), st.floats(4.0, 6.0).map(lambda t: round(t, 1)))
        | st.none(),
    ),
    min_size=1,
    max_size=60,
)  # fmt: skip


@settings(deadline=None)
@given(READINGS, st.sampled_from(("cct_biologic", "vaccine_freeze_sensitive", "insulin")))
def test_any_record_is_judged_as_if_it_had_been_watched(readings: list[tuple[float, float | None]], name: str) -> None:
    at_s, series = T0, []
    for step_s, temp_c in readings:
        at_s += step_s
        series.append((at_s, (temp_c,)))
    same_as_monitored(name, series, 60.0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("probes", [1, 2])
def test_a_sensor_that_sticks_and_comes_back_is_judged_as_if_it_had_been_watched(seed: int, probes: int) -> None:
    rng = random.Random(seed)
    stuck_at, until_n = rng.randrange(100, 200), rng.randrange(350, 500)
    series: Series = []
    for n in range(600):
        temps = [round(5.0 + rng.gauss(0.0, 0.4), 1) for _ in range(probes)]
        if stuck_at < n < until_n:
            temps[0] = 5.0
        series.append((T0 + 60.0 * n, tuple(temps)))
    same_as_monitored("cct_biologic", series, 60.0)
    history = judge_record(rules_for(profile("cct_biologic"), max_gap_s=120.0), series)
    assert history.judgement.verdict is BoxVerdict.UNKNOWN
    assert history.believed < 600 - (until_n - stuck_at) + 5
    assert history.faults[0].name in ("stuck", "recovering")
    assert history.gaps[0].from_s <= T0 + 60.0 * (stuck_at + 1) < T0 + 60.0 * (until_n - 1) <= history.gaps[-1].to_s


def test_a_dose_out_of_the_refrigerator_for_an_hour_has_spent_an_hour_of_its_day() -> None:
    temps = [5.0] * 12 + [12.0] * 6 + [5.0] * 12
    history = logged("cct_biologic", every(600.0, temps))
    assert history.judgement.verdict is BoxVerdict.EXCURSION_ALLOWED
    assert (history.judgement.since_s, history.judgement.at_s) == (T0 + 7200.0, T0 + 600.0 * 29)
    ((name, left),) = budget_left(history.assessment, history.rules)
    assert (name, left.read) == ("cool", 1440.0 - 60.0)
    assert history.mkt_c is not None
    assert history.mkt_c.read == pytest.approx(mkt_c([(600.0, t) for t in temps[:-1]]))
    assert history.mkt_c.least == pytest.approx(mkt_c([(600.0, t - 0.5) for t in temps[:-1]]))


def test_the_worst_day_of_a_record_is_found_wherever_it_lies() -> None:
    temps = [5.0] * 300 + [11.0] * 100 + [5.0] * 300
    history = logged("cct_biologic", every(600.0, temps))
    assert history.highest_mkt_c is not None
    day = [(600.0, t) for t in temps[400 - 144 : 400]]
    assert history.highest_mkt_c.read == pytest.approx(mkt_c(day))
    assert history.highest_mkt_at_s == T0 + 600.0 * 400
    assert (history.judgement.verdict, history.judgement.rule) == (BoxVerdict.QUARANTINE, "mkt")


def test_the_window_of_the_mean_begins_within_a_reading_and_is_cut_there() -> None:
    steps = every(700.0, [5.0 + (n % 7) for n in range(400)])
    history = logged("cct_biologic", steps)
    window_s, best = 86_400.0, -math.inf
    for now, _ in steps:
        spans = []
        for (a_s, (t,)), (b_s, _) in pairwise(steps):
            from_s, to_s = max(a_s, now - window_s), min(b_s, now)
            if t is not None and from_s < to_s:
                spans.append((to_s - from_s, t))
        prior_s = window_s - sum(s for s, _ in spans)
        best = max(best, mkt_c([*spans, (prior_s, 5.0)]) if prior_s > 0 else mkt_c(spans))
    assert history.highest_mkt_c is not None
    assert history.highest_mkt_c.read == pytest.approx(best, abs=1e-9)


def test_what_is_missing_is_listed_gap_by_gap() -> None:
    series = every(600.0, [5.0] * 10) + every(600.0, [5.0, None, None, 5.0], T0 + 9000.0)
    history = logged("vaccine_freeze_sensitive", series)
    assert history.gaps == (Gap(T0 + 5400.0, T0 + 9000.0), Gap(T0 + 9000.0, T0 + 10_800.0))
    assert (history.judgement.verdict, history.judgement.rule) == (BoxVerdict.UNKNOWN, "gap")
    assert [(f.name, f.readings, f.first_at_s) for f in history.faults] == [("no_reading", 2, T0 + 9600.0)]
    assert history.believed == 12


def test_a_record_that_ends_without_a_believed_reading_is_not_in_range() -> None:
    brief = logged("vaccine_freeze_sensitive", every(600.0, [5.0, 5.0, None]))
    assert (brief.judgement.verdict, brief.judgement.rule) == (BoxVerdict.UNKNOWN, "sensor")
    assert brief.judgement.why == "the last reading is not believed: no_reading"
    long = logged("vaccine_freeze_sensitive", every(600.0, [5.0, 5.0, None, None, None]))
    assert (long.judgement.verdict, long.judgement.rule) == (BoxVerdict.UNKNOWN, "silence")
    assert long.gaps == (Gap(T0 + 600.0, T0 + 2400.0),)
    nothing = logged("vaccine_freeze_sensitive", every(600.0, [None, None]))
    assert (nothing.judgement.verdict, nothing.mkt_c, nothing.gaps) == (BoxVerdict.UNKNOWN, None, ())


def test_a_frozen_vaccine_is_spoiled_at_the_hour_and_the_reading_is_named() -> None:
    history = logged("vaccine_freeze_sensitive", every(600.0, [5.0] * 5 + [-0.5] * 7 + [5.0] * 5))
    assert history.judgement.verdict is BoxVerdict.SPOILED
    assert (history.judgement.rule, history.judgement.since_s) == ("alarm.freeze", T0 + 3000.0)
    assert history.judgement.at_s == T0 + 3000.0 + 3600.0
    short = logged("vaccine_freeze_sensitive", every(600.0, [5.0] * 5 + [-0.5] * 5 + [5.0] * 5))
    assert short.judgement.verdict is BoxVerdict.QUARANTINE


def test_the_probe_furthest_out_counts_and_a_broken_one_does_not() -> None:
    series: Series = [(T0 + 60.0 * n, (6.0 + n % 2, 7.5 - n % 3 / 10, math.nan)) for n in range(9)]
    history = judge_record(rules("oxytocin"), [(at_s, probe_temps(temps)) for at_s, temps in series])  # type: ignore[arg-type]
    assert history.assessment.highest_c == 7.5
    assert history.believed == 9
    assert [f.name for f in history.faults] == ["probe_failed"]


def test_progress_is_told_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("missions.coldchain.history.EVERY", 20)
    told: list[int] = []
    judge_record(rules(), every(1.0, [5.0] * 41), told.append)
    assert told == [0, 20, 40]
