"""One box on one order: whatever order messages come in, the verdict is that of the clean series."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain import monitor, samples
from missions.coldchain.mkt import window_mkt
from missions.coldchain.monitor import Monitor, links, observe, view
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, noisy, rules, sample, watched


def test_samples_in_order_are_accepted_and_in_range() -> None:
    seen = watched(noisy(60))
    now = view(seen, T0 + 60.0, ambient_c=38.0)
    assert now.verdict is BoxVerdict.IN_RANGE
    assert now.sensor_faults == ()
    assert now.ambient_c == 38.0
    assert now.sample is not None
    assert now.sample.value.seq == 59
    assert seen.count("accepted") == 60


def test_before_the_first_sample_nothing_is_known() -> None:
    assert view(Monitor("box-1", rules()), T0).verdict is BoxVerdict.UNKNOWN


def test_a_sample_of_another_box_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="box-1 given to the monitor of box-2"):
        observe(Monitor("box-2", rules()), sample(0), T0)


def test_silence_turns_the_verdict_unknown_after_the_longest_gap() -> None:
    seen = watched(noisy(60))
    assert view(seen, T0 + 59.0 + 119.0).verdict is BoxVerdict.IN_RANGE
    late = view(seen, T0 + 59.0 + 121.0)
    assert late.verdict is BoxVerdict.UNKNOWN
    assert "no believable reading for 121 s" in late.why


def test_a_duplicate_changes_nothing_but_its_count() -> None:
    series = noisy(60)
    once, twice = watched(series), watched([*series, series[-1], series[10]])
    assert twice.count("duplicate") == 2
    assert view(twice, T0 + 60) == view(once, T0 + 60)


def test_a_late_batch_fills_its_gap_and_the_verdict_is_whole_again() -> None:
    series = noisy(400)
    seen = watched([*series[:100], *series[300:]])
    assert view(seen, T0 + 400).verdict is BoxVerdict.UNKNOWN
    assert samples.GAP in view(seen, T0 + 400).sensor_faults
    for s in series[100:300]:
        seen = observe(seen, s, T0 + 400.0)
    assert seen.count("late") == 200
    assert view(seen, T0 + 400) == view(watched(series), T0 + 400)


def test_an_excursion_in_a_late_batch_changes_the_verdict() -> None:
    series = [*noisy(100), *[sample(100 + i, 5.0 + 0.1 * i) for i in range(40)], *[sample(140, 8.2)]]
    warm_then_cold = [*series, *[sample(141 + i, 8.2 - 0.1 * i) for i in range(30)]]
    seen = watched([*warm_then_cold[:100], *warm_then_cold[160:]])
    assert view(seen, T0 + 171).verdict is BoxVerdict.IN_RANGE
    for s in warm_then_cold[100:160]:
        seen = observe(seen, s, T0 + 171.0)
    assert view(seen, T0 + 171).verdict is BoxVerdict.QUARANTINE


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), warm=st.booleans())
def test_buffered_reordered_and_duplicated_arrival_gives_the_verdict_of_the_clean_series(seed: int, warm: bool) -> None:
    rng = random.Random(seed)
    truth = [5.0 + (0.05 * i if warm else 0.0) + rng.gauss(0, 0.05) for i in range(80)]
    series = [sample(i, round(t, 2)) for i, t in enumerate(truth)]
    arrival = [*series, *rng.sample(series, 10)]
    for _ in range(rng.randrange(1, 6)):
        i, j = sorted(rng.sample(range(len(arrival)), 2))
        arrival[i:j] = rng.sample(arrival[i:j], j - i)
    seen, clean = watched(arrival), watched(series)
    now = T0 + 90.0
    assert view(seen, now).verdict is view(clean, now).verdict
    assert view(seen, now).why == view(clean, now).why
    assert [x.sample.seq for x in links(seen.newest)] == list(range(79, -1, -1))
    assert seen.newest is not None
    assert clean.newest is not None
    assert seen.newest.assessment == clean.newest.assessment


@pytest.mark.parametrize("arrives_late", [False, True])
def test_a_number_that_comes_again_with_another_temperature_is_a_replay(arrives_late: bool) -> None:
    series = noisy(60)
    seen = watched(series)
    forged = sample(30, 4.0) if arrives_late else sample(59, 4.0)
    after = observe(seen, forged, T0 + 60)
    assert after.newest is seen.newest
    assert after.count(samples.REPLAYED) == 1
    assert samples.REPLAYED in view(after, T0 + 60).sensor_faults


def test_an_old_number_with_a_new_time_is_a_replay() -> None:
    seen = watched(noisy(60))
    after = observe(seen, sample(20, 5.0, at=60.5), T0 + 60.7)
    assert after.newest is seen.newest
    assert after.count(samples.REPLAYED) == 1


def test_a_new_number_with_an_old_time_is_a_replay() -> None:
    seen = watched(noisy(60))
    after = observe(seen, sample(70, 5.0, at=20.5), T0 + 60.7)
    assert after.newest is seen.newest


def test_another_boot_in_the_middle_of_one_is_a_replay() -> None:
    seen = watched(noisy(60))
    after = observe(seen, sample(0, 5.0, at=30.5, boot="b0"), T0 + 60.7)
    assert after.count(samples.REPLAYED) == 1


def test_a_box_that_reboots_goes_on_in_the_same_record() -> None:
    again = [sample(i, 5.0 + 0.01 * (i % 5), at=70.0 + i, boot="b2") for i in range(30)]
    seen = watched([*noisy(60), *again])
    assert view(seen, T0 + 100).verdict is BoxVerdict.IN_RANGE
    assert seen.count("accepted") == 90


def test_a_time_that_has_not_come_yet_is_a_clock_step_and_not_recorded() -> None:
    seen = watched(noisy(60))
    after = observe(seen, sample(60, 5.0, at=600.0), T0 + 60.2)
    assert after.newest is seen.newest
    assert after.count(samples.CLOCK_STEP) == 1


def test_a_fast_box_clock_is_named_and_corrected() -> None:
    seen = Monitor("box-1", rules())
    for i in range(30):
        seen = observe(seen, sample(i, 5.0 + 0.01 * (i % 3), at=i + 90.0), T0 + i + 0.2)
    now = view(seen, T0 + 29.5)
    assert now.verdict is BoxVerdict.IN_RANGE
    assert samples.CLOCK_SKEW in now.sensor_faults
    assert view(seen, T0 + 29.5 + 125.0).verdict is BoxVerdict.UNKNOWN


def test_a_slow_box_clock_is_named_once_the_stream_proves_to_be_live() -> None:
    seen = Monitor("box-1", rules())
    for i in range(30):
        seen = observe(seen, sample(i, 5.0 + 0.01 * (i % 3), at=i - 300.0), T0 + i + 0.2)
    now = view(seen, T0 + 29.5)
    assert now.verdict is BoxVerdict.IN_RANGE
    assert samples.CLOCK_SKEW in now.sensor_faults
    assert view(seen, T0 + 29.5 + 125.0).verdict is BoxVerdict.UNKNOWN


def test_a_buffer_sent_late_does_not_pass_for_fresh_readings() -> None:
    seen = Monitor("box-1", rules())
    for s in noisy(100):
        seen = observe(seen, s, T0 + 600.0)
    assert view(seen, T0 + 600.5).verdict is BoxVerdict.UNKNOWN


def test_a_clock_that_was_never_set_still_gives_durations() -> None:
    seen = Monitor("box-1", rules())
    for i in range(30):
        seen = observe(seen, sample(i, 5.0 + 0.01 * (i % 3), at=i - T0), T0 + i + 0.2)
    assert view(seen, T0 + 30).verdict is BoxVerdict.IN_RANGE
    assert samples.CLOCK_SKEW in view(seen, T0 + 30).sensor_faults


@pytest.mark.parametrize(
    ("limit", "reading", "word"),
    [("light_lux_max", {"light_lux": 900.0}, "light"), ("tilt_deg_max", {"tilt_deg": 80.0}, "tilt"),
     ("shock_g_max", {"shock_g": 12.0}, "shock")],
)  # fmt: skip
def test_rough_handling_is_quarantined_where_the_product_has_a_limit(
    limit: str, reading: dict[str, float], word: str
) -> None:
    by = rules()
    strict = replace(by, product=replace(by.product, **{limit: 10.0}))
    bad = sample(10, 5.0, **reading)
    assert view(watched([*noisy(10), bad], by), T0 + 11).verdict is BoxVerdict.IN_RANGE
    now = view(watched([*noisy(10), bad], strict), T0 + 11)
    assert now.verdict is BoxVerdict.QUARANTINE
    assert now.why.startswith(word)


def test_a_sliding_window_forgets_a_warm_time_older_than_itself() -> None:
    by = rules("cct_biologic")
    assert by.product.mkt is not None
    by = replace(by, product=replace(by.product, mkt=replace(by.product.mkt, window_h=1.0, prior_c=None, limit_c=99.0)))
    series = [sample(i, 14.0 if i < 60 else 5.0, at=i * 60.0) for i in range(240)]
    limits = samples.SensorLimits(slope_c_s=99.0, stuck_run=10**6)
    seen = Monitor("box-1", by, limits)
    for s in series:
        seen = observe(seen, s, s.box_time_s)
    newest = seen.newest
    assert newest is not None
    after = monitor._oldest_after(newest, newest.at_s - 3600.0)
    assert after is not None
    assert after.parent is not None
    mkt = window_mkt(by, newest.assessment, after.parent.assessment, after.assessment)
    assert mkt is not None
    assert (mkt.least, mkt.read, mkt.most) == pytest.approx((4.5, 5.0, 5.5), abs=1e-9)
    whole = window_mkt(by, newest.assessment, None, None)
    assert whole is not None
    assert whole.read > 8.0


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 300), t=st.floats(-5.0, 310.0))
def test_the_skip_pointers_find_the_same_link_as_a_walk(n: int, t: float) -> None:
    newest = watched([sample(i, 5.0) for i in range(n)]).newest
    assert newest is not None
    walked = [x for x in links(newest) if x.at_s > T0 + t]
    assert monitor._oldest_after(newest, T0 + t) is (walked[-1] if walked else None)
