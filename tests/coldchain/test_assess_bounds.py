"""What readings, gaps and silence leave open: the truth lies within the bounds, and what is not known is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain import assess
from missions.coldchain.assess import rules_for, start, step, until
from missions.coldchain.mkt import window_mkt
from missions.coldchain.tally import gap_rate_s
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, profile, rules
from tests.coldchain.courses import MIN, every_minute, judged, run, verdict

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


@pytest.mark.parametrize("gap_s", [130.0, 1000.0])
def test_the_heat_of_a_gap_is_bounded_from_both_its_ends_each_as_wrong_as_a_probe_may_be(gap_s: float) -> None:
    by = rules("cct_biologic")
    coldest, warmest = by.product.probe_range_c
    between = run(by, (0, 5.0), (gap_s / MIN, 7.0)).rates_s
    least, most = gap_rate_s(4.5, 6.5, gap_s, -1, coldest), gap_rate_s(5.5, 7.5, gap_s, 1, warmest)
    assert between == pytest.approx((least, 0.0, most))
    not_over = until(run(by, (0, 5.0)), by, T0 + gap_s).rates_s
    least, most = gap_rate_s(4.5, None, gap_s, -1, coldest), gap_rate_s(5.5, None, gap_s, 1, warmest)
    assert not_over == pytest.approx((least, 0.0, most))


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
