"""Sensor truth: each way a probe or its message can lie is named, and none of them is ever read as in range."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.boxes import BoxSample
from missions.coldchain import monitor, samples
from missions.coldchain.samples import Probe, Reading, SensorLimits, SensorState, judge
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import noisy, sample, watched

LIMITS = SensorLimits()


def judge_all(series: Sequence[BoxSample]) -> list[Reading]:
    state, readings = SensorState(), []
    for s in series:
        state, reading = judge(state, s, s.box_time_s, LIMITS)
        readings.append(reading)
    return readings


def test_a_healthy_series_is_believed_from_the_first_reading_to_the_last() -> None:
    readings = judge_all(noisy(600))
    assert all(r.usable and not r.faults for r in readings)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_probe_without_a_number_is_no_reading(bad: float | None) -> None:
    reading = judge_all([sample(0, 5.0), sample(1, bad)])[-1]
    assert not reading.usable
    assert reading.faults == (samples.NO_READING,)


@pytest.mark.parametrize("bad", [-60.0, 85.0, 327.67])
def test_what_no_probe_can_show_is_not_read(bad: float) -> None:
    reading = judge_all([sample(0, 5.0), sample(1, bad)])[-1]
    assert not reading.usable
    assert samples.OUT_OF_PHYSICAL_RANGE in reading.faults


def test_a_jump_that_no_box_can_make_is_not_read() -> None:
    reading = judge_all([sample(0, 20.0), sample(1, 5.0)])[-1]
    assert not reading.usable
    assert reading.faults == (samples.IMPOSSIBLE_SLOPE,)


def test_one_spike_is_left_out_and_the_series_goes_on() -> None:
    readings = judge_all([*noisy(60), sample(60, 40.0), sample(61, 5.0)])
    assert not readings[60].usable
    assert readings[61].usable


def test_after_a_longer_fault_a_sensor_must_first_show_good_readings_again() -> None:
    bad = [sample(60 + i, None) for i in range(6)]
    back = [sample(66 + i, 5.0 + 0.01 * (i % 3)) for i in range(12)]
    readings = judge_all([*noisy(60), *bad, *back])
    assert [r.usable for r in readings[66:]] == [False] * 10 + [True] * 2
    assert readings[66].faults == (samples.RECOVERING,)


def test_a_sensor_that_used_to_flicker_and_then_repeats_itself_is_stuck() -> None:
    readings = judge_all([*noisy(120), *[sample(120 + i, 5.0) for i in range(60)]])
    assert readings[125].usable
    assert not readings[-1].usable
    assert samples.STUCK in readings[-1].faults


def test_a_coarse_sensor_on_the_packs_plateau_is_not_called_stuck() -> None:
    rng = random.Random(4)
    coarse = [sample(i, round(2 * (4.05 + rng.gauss(0.0, 0.03))) / 2) for i in range(1800)]
    assert all(r.usable for r in judge_all(coarse))


def test_two_probes_that_disagree_are_both_not_read() -> None:
    reading = judge_all([sample(0, 5.0, 5.1), sample(1, 3.9, 6.3)])[-1]
    assert not reading.usable
    assert samples.PROBES_DISAGREE in reading.faults


def test_a_probe_that_fails_openly_leaves_the_other_one() -> None:
    reading = judge_all([sample(0, 5.0, 5.1), sample(1, None, 5.2)])[-1]
    assert reading.temp_c == (5.2,)
    assert reading.faults == (samples.PROBE_FAILED,)


def test_a_probe_that_jumps_casts_doubt_on_the_other_one_too() -> None:
    reading = judge_all([sample(0, 5.0, 5.1), sample(1, 4.0, 5.1), sample(2, 30.0, 5.1)])[-1]
    assert not reading.usable
    assert samples.IMPOSSIBLE_SLOPE in reading.faults


@pytest.mark.parametrize(("bad", "learns"), [(4, False), (5, True), (40, True)])
def test_five_bad_readings_in_a_row_are_a_longer_fault_and_ten_good_ones_end_any(bad: int, learns: bool) -> None:
    assert (LIMITS.relearn_after, LIMITS.relearn_ok) == (5, 10)
    failed = [sample(60 + i, None) for i in range(bad)]
    back = [sample(60 + bad + i, 5.0 + 0.01 * (i % 3)) for i in range(12)]
    readings = judge_all([*noisy(60), *failed, *back])[-12:]
    assert [r.usable for r in readings] == ([False] * 10 + [True] * 2 if learns else [True] * 12)


def test_missing_sequence_numbers_are_counted() -> None:
    state = SensorState()
    for s in (sample(0, 5.0), sample(4, 5.0)):
        state, reading = judge(state, s, s.box_time_s, LIMITS)
    assert state.missing == 3
    assert reading.usable
    assert reading.faults == (samples.GAP,)


def test_a_single_missing_number_is_counted() -> None:
    state = SensorState()
    for s in (sample(0, 5.0), sample(2, 5.0)):
        state, reading = judge(state, s, s.box_time_s, LIMITS)
    assert (state.missing, reading.faults) == (1, (samples.GAP,))


@pytest.mark.parametrize("temp", [-50.0, 70.0])
def test_what_a_probe_can_just_show_is_read(temp: float) -> None:
    assert judge_all([sample(0, temp)])[0].usable


def test_a_probe_that_fails_now_and_again_among_good_readings_must_learn_again() -> None:
    mixed = [sample(i, None if i % 2 else 5.0 + 0.01 * (i % 3)) for i in range(30)]
    assert any(samples.RECOVERING in r.faults for r in judge_all(mixed))
    rare = [sample(i, None if i % 4 == 3 else 5.0 + 0.01 * (i % 3)) for i in range(60)]
    assert not any(samples.RECOVERING in r.faults for r in judge_all(rare))


def moved(*temps: float | None) -> Probe:
    probe = Probe(temps[0])
    for temp in temps[1:]:
        probe = probe.then(temp)
    return probe


def test_a_probe_flickers_when_it_turns_across_three_levels_of_its_resolution() -> None:
    assert moved(5.0, 5.1, 5.0, 5.1, 5.0).flickers == 0, "on the edge between two levels it hops"
    assert moved(5.0, 5.1, 5.3, 5.1).flickers == 1
    assert moved(5.1, 5.0, 5.2, 5.0, 5.2).flickers == 3
    assert moved(5.0, 5.1, 5.3, 5.6).flickers == 0, "it only rises"
    assert moved(5.0, 5.1, 5.1, 5.3).flickers == 0, "it rested on the way"
    assert moved(5.0, 5.1, 5.3, 5.3, 5.1).flickers == 0


def test_a_run_of_equal_readings_begins_anew_with_another_one_or_none() -> None:
    assert (moved(5.0, 5.0, 5.0).run, moved(5.0, 5.0, 5.1).run, moved(5.0, 5.0, 5.1, 5.1).run) == (3, 1, 2)
    failed = moved(5.0, 5.1, 5.3, 5.1, None)
    assert (failed.last_c, failed.run, failed.flickers) == (None, 1, 1)
    assert failed.grain_c == pytest.approx(0.1)
    back = failed.then(5.1)
    assert (back.run, back.flickers, back.previous_c) == (1, 1, None)
    assert back.then(5.1).run == 2
    assert moved(5.0, float("nan"), 5.0, 5.0).run == 2


# a bad sensor is never read as in range: each kind of badness, from a moment on, for longer than a gap may last

SECONDS, BAD_FROM = 400, 120
Badness = Callable[[random.Random, int, float], tuple[float | None, ...]]


def _probe_dead(rng: random.Random, i: int, true_c: float) -> tuple[float | None, ...]:
    return (None,)


def _not_a_number(rng: random.Random, i: int, true_c: float) -> tuple[float | None, ...]:
    return (float("nan"),)


def _open_circuit(rng: random.Random, i: int, true_c: float) -> tuple[float | None, ...]:
    return (rng.choice((-127.0, 85.0, 327.67)),)


def _frozen_value(rng: random.Random, i: int, true_c: float) -> tuple[float | None, ...]:
    return (5.0,)


def _nonsense(rng: random.Random, i: int, true_c: float) -> tuple[float | None, ...]:
    return (rng.uniform(-45.0, 65.0),)


def _second_probe_wrong(rng: random.Random, i: int, true_c: float) -> tuple[float | None, ...]:
    return (round(true_c + rng.gauss(0, 0.05), 2), round(true_c - 4.0 + rng.gauss(0, 0.05), 2))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
@pytest.mark.parametrize(
    "badness", [_probe_dead, _not_a_number, _open_circuit, _frozen_value, _nonsense, _second_probe_wrong]
)
def test_a_bad_sensor_is_never_read_as_in_range(badness: Badness, seed: int) -> None:
    rng = random.Random(seed)
    series = []
    for i in range(SECONDS):
        good = (round(5.0 + rng.gauss(0, 0.05), 2),)
        if badness is _second_probe_wrong:
            good = (*good, round(5.0 + rng.gauss(0, 0.05), 2))
        series.append(sample(i, *(badness(rng, i, 5.0) if i >= BAD_FROM else good)))
    seen = watched(series)
    view = monitor.view(seen, series[-1].box_time_s + 0.2)
    assert view.verdict is not BoxVerdict.IN_RANGE
    assert view.verdict is not BoxVerdict.EXCURSION_ALLOWED
    assert view.sensor_faults


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), probes=st.integers(1, 3), digits=st.integers(1, 3))
def test_a_clean_series_is_never_unknown(seed: int, probes: int, digits: int) -> None:
    rng, truth, series = random.Random(seed), 4.5, []
    for i in range(300):
        truth += rng.gauss(0.0, 0.002)
        temps = [round(truth + rng.gauss(0.0, 0.05), digits) for _ in range(probes)]
        series.append(sample(i, *temps))
    view = monitor.view(watched(series), series[-1].box_time_s + 0.2)
    assert view.verdict is BoxVerdict.IN_RANGE
