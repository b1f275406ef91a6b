"""What time alone does to a dose, whatever its temperature: expiry, and a box in which nothing agitates it."""

from __future__ import annotations

from missions.coldchain import samples
from missions.coldchain.monitor import Monitor, observe, view
from missions.coldchain.samples import limits_for
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, profile, rules, sample, watched


def test_a_dose_is_good_until_its_lot_expires_and_never_after() -> None:
    by = rules("vaccine_freeze_sensitive", expires_s=T0 + 60.0)
    box = watched([sample(i, 5.0) for i in range(60)], by)
    assert view(box, T0 + 59.9).verdict is BoxVerdict.IN_RANGE
    late = view(box, T0 + 60.0)
    assert late.verdict is BoxVerdict.QUARANTINE
    assert late.why == "the lot expired at 2026-03-10 10:01:00Z"


def test_a_slow_clock_in_the_box_keeps_no_lot_fresh() -> None:
    by = rules("vaccine_freeze_sensitive", expires_s=T0 + 100.0)
    box = watched([sample(i, 5.0) for i in range(60)], by, delay_s=60.0)
    assert box.clock.lag_s == 60.0
    assert view(box, T0 + 120.0).verdict is BoxVerdict.QUARANTINE


def test_an_expired_lot_stays_so_in_the_record_and_what_spoiled_it_goes_first() -> None:
    by = rules("vaccine_freeze_sensitive", expires_s=T0 + 2.0)
    box = watched([sample(i, 5.0) for i in range(4)], by)
    assert box.newest is not None
    assert box.newest.assessment.finding is not None
    assert box.newest.assessment.finding.at_s == T0 + 2.0
    frozen = watched([sample(i, -1.0) for i in range(3700)], rules(expires_s=T0 + 2.0))
    assert view(frozen, T0 + 3699.0).verdict is BoxVerdict.SPOILED


def test_platelets_may_stay_in_the_box_for_eight_hours_and_not_a_second_longer() -> None:
    by = rules("platelets", max_gap_s=600.0)
    box = watched([sample(i, 22.0, at=300.0 * i) for i in range(97)], by)
    assert view(box, T0 + 28_800.0).verdict is BoxVerdict.IN_RANGE
    late = view(box, T0 + 28_801.0)
    assert late.verdict is BoxVerdict.QUARANTINE
    assert late.why == "480.0 min without agitation by 18:00:00Z: 480 min allowed"


def test_humidity_above_the_profile_s_limit_is_quarantined() -> None:
    by = rules("printed_tablet")
    dry = watched([sample(i, 22.0, rh_pct=65.0) for i in range(5)], by)
    assert view(dry, T0 + 4.5).verdict is BoxVerdict.IN_RANGE
    damp = watched([sample(i, 22.0, rh_pct=65.0 + (i == 3)) for i in range(5)], by)
    assert view(damp, T0 + 4.5).verdict is BoxVerdict.QUARANTINE
    assert view(damp, T0 + 4.5).why == "humidity 66 % at 10:00:03Z: at most 65 %"


def test_a_dry_shipper_on_its_side_is_quarantined() -> None:
    by = rules("car_t_dry_shipper")
    box = Monitor("box-1", by, limits_for(by.product))
    for i in range(5):
        box = observe(box, sample(i, -180.0, tilt_deg=90.0 if i == 2 else 20.0), T0 + i + 0.1)
    assert view(box, T0 + 4.5).verdict is BoxVerdict.QUARANTINE
    assert "tilt 90 °" in view(box, T0 + 4.5).why


def test_a_probe_in_a_dry_shipper_is_believed_where_one_beside_a_vaccine_is_not() -> None:
    def seen(name: str) -> Monitor:
        by = rules(name)
        box = Monitor("box-1", by, limits_for(by.product))
        for i in range(3):
            box = observe(box, sample(i, -180.0 + 0.1 * i), T0 + i + 0.1)
        return box

    cold = seen("car_t_dry_shipper")
    assert view(cold, T0 + 2.5).verdict is BoxVerdict.IN_RANGE
    broken = view(seen("vaccine_frozen"), T0 + 2.5)
    assert broken.verdict is BoxVerdict.UNKNOWN
    assert samples.OUT_OF_PHYSICAL_RANGE in broken.sensor_faults
    assert profile("car_t_dry_shipper").probe_range_c == (-210.0, 70.0)
    assert profile("vaccine_frozen").probe_range_c == (-60.0, 70.0)
