"""What the benchmark of outcomes rests on: the same worlds for all, a truth that nobody sees, and a fair yardstick."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pytest

from benchmarks.outcomes import __main__ as command
from benchmarks.outcomes import series, table
from benchmarks.outcomes.drawing import TAKE_OFF_S, Course, Delivery, Span, draw, fleet, model
from benchmarks.outcomes.judging import End, judge
from benchmarks.outcomes.motion import Fix, Motion, vehicle_type
from benchmarks.outcomes.policies import AlwaysContinue, Engine, ThresholdAlarm
from benchmarks.outcomes.run import Run, Shared
from benchmarks.outcomes.seen import Seen
from benchmarks.outcomes.sensing import BoxLine
from benchmarks.outcomes.truth import DoseJudge
from geofences.geodesy import destination

QUIET, SEAL = 2_000_103, 2_000_101
"""deliveries of the exploration seeds, which belong neither to the report nor to the tuning"""
ALARM = ThresholdAlarm(0.0, 0.0, 25.0)


def calm(**changes: Any) -> Delivery:
    """A delivery in which nothing goes wrong, but for what is named."""
    found = replace(
        draw(QUIET), lid=None, seal=None, sensor=None, closure=None, sag=None, drain=None,
        ambient_c=Course(((TAKE_OFF_S, 30.0),)), faults=(),
    )  # fmt: skip
    return replace(found, **changes)


def test_the_same_seed_ends_in_the_same_way() -> None:
    first, again = series.fly_seed(QUIET, ALARM), series.fly_seed(QUIET, ALARM)
    assert first.outcomes == again.outcomes


def test_nothing_that_a_policy_is_given_leads_to_the_truth() -> None:
    met: set[Any] = set()

    def walk(kind: Any) -> None:
        for part in typing.get_args(kind):
            for each in part if isinstance(part, list) else [part]:
                walk(each)
        if not isinstance(kind, type) or kind in met:
            return
        met.add(kind)
        if dataclasses.is_dataclass(kind):
            for hint in typing.get_type_hints(kind).values():
                walk(hint)

    walk(Seen)
    ours = {k.__module__ for k in met if k.__module__.startswith("benchmarks")}
    assert ours == {"benchmarks.outcomes.seen"}, "what is handed out is the product's own values"
    assert len(met) > 20


def test_policies_that_leave_the_pack_alone_read_the_same_samples_to_the_last_digit() -> None:
    shared = Shared.of(calm())
    runs = [Run(shared, policy).fly() for policy in (AlwaysContinue(), ThresholdAlarm(0.0, 0.0, 25.0))]
    assert runs[0].line is runs[1].line
    assert judge(runs[0]).end is judge(runs[1]).end is End.DELIVERED_GOOD


def test_planning_only_what_can_matter_changes_no_decision() -> None:
    for seed in (QUIET, SEAL):
        delivery = draw(seed)
        ends = [judge(Run(Shared.of(delivery), Engine(fleet().policy, eager=eager)).fly()) for eager in (False, True)]
        assert ends[0] == ends[1]


def test_the_clairvoyant_turns_back_from_a_fault_that_nobody_can_know_of_yet_and_is_not_beaten() -> None:
    flown = series.fly_seed(1_000_021, ALARM)  # a seal fails a minute after the launch
    best = flown.outcomes["clairvoyant"]
    assert best.end is End.BACK_GOOD
    assert all(o.loss >= best.loss for o in flown.outcomes.values())
    assert not table.beaten([series.as_line(flown)])


def test_a_run_in_which_a_policy_beats_the_clairvoyant_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = series.as_line(series.fly_seed(QUIET, ALARM))
    monkeypatch.setattr("sys.argv", ["outcomes", "--runs", "1", "--file", str(tmp_path / "f.jsonl")])
    monkeypatch.setattr(command, "fly_all", lambda runs, path, minutes: [line])
    assert command.main() == 0
    line["outcomes"]["clairvoyant"]["loss"] = 1.0
    assert command.main() == 1
    assert f'"seed": {QUIET}, "policy": "engine"' in capsys.readouterr().out


def test_a_series_goes_on_where_it_stopped_also_in_the_middle_of_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flown: list[int] = []
    one = series.fly_seed(QUIET, ALARM)

    def fly(seed: int, threshold: ThresholdAlarm) -> series.Flown:
        flown.append(seed)
        return replace(one, seed=seed)

    monkeypatch.setattr(series, "fly_seed", fly)
    path = tmp_path / "deep" / "outcomes.jsonl"
    assert [line["seed"] for line in series.fly_all(2, path)] == [1, 2]
    path.write_bytes(path.read_bytes()[:-40])
    assert [line["seed"] for line in series.fly_all(3, path)] == [1, 2, 3]
    assert flown == [1, 2, 2, 3]
    assert [line["seed"] for line in series.fly_all(9, path, minutes=0.0)] == [1, 2, 3], "no time for more"
    assert [line["seed"] for line in series.read(path)] == [1, 2, 3]


def test_deliveries_of_another_version_are_not_mixed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text('{"seed": 1, "version": "of-yesterday"}\n')
    with pytest.raises(series.OtherVersionError, match=r"of-yesterday.*another --file"):
        series.read(path)


def test_the_seeds_of_tuning_and_report_do_not_meet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tuning"):
        next(series.fly_all(1_000_001, tmp_path / "f.jsonl"))
    assert series.tuned()["deliveries"] == model()["seeds"]["tuning_deliveries"]


def test_a_dose_counts_as_spoiled_when_it_leaves_its_rules_by_more_than_a_probe_can_tell() -> None:
    vaccine = fleet().products["vaccine_freeze_sensitive"]
    assert DoseJudge(vaccine, (), 0.5).second(8.0, 8.49)
    assert not DoseJudge(vaccine, (), 0.5).second(8.0, 8.51)
    assert not DoseJudge(vaccine, (), 0.5).second(1.49, 5.0)
    assert not DoseJudge(vaccine, (), 0.0).second(8.01)


def test_an_allowance_of_the_order_is_spent_by_the_second_and_the_mean_kinetic_temperature_has_its_limit() -> None:
    biologic = fleet().products["cct_biologic"]
    dose = DoseJudge(biologic, (("cool", 2.0),), 0.0)
    assert [dose.second(12.0) for _ in range(121)] == [True] * 120 + [False]
    warm = DoseJudge(biologic, (), 0.0)
    held = sum(warm.second(15.0) for _ in range(5 * 3600))
    five, eight, fifteen = (exp(10_000 / 278.15 - 10_000 / (273.15 + t)) for t in (5.0, 8.0, 15.0))
    assert held / 3600 == pytest.approx(24 * (eight - five) / (fifteen - five), abs=0.001)


def test_a_lid_that_stays_open_warms_the_dose_and_a_fresh_pack_cools_it() -> None:
    spent = replace(calm().box, pack_left_kj=0.0)
    shut, lid = BoxLine(calm(box=spent)), BoxLine(calm(box=spent, lid=Span(TAKE_OFF_S, float("inf"), 20.0)))
    before, after = round(TAKE_OFF_S - shut.delivery.sealed_s), 900
    assert lid.nodes(before) == shut.nodes(before)
    assert lid.nodes(after).outer > shut.nodes(after).outer + 2.0
    assert lid.swapped(600).nodes(after).outer < lid.nodes(after).outer - 0.3
    assert lid.swapped(600).measured(599) == lid.measured(599), "what was measured before stays"


def test_a_silent_box_sends_nothing_and_a_buffering_one_sends_it_all_later() -> None:
    span = (TAKE_OFF_S + 10.0, TAKE_OFF_S + 40.0)
    first, last = (round(t - calm().sealed_s) for t in span)
    silent = BoxLine(calm(sensor=Span(*span, kind="silent")))
    buffered = BoxLine(calm(sensor=Span(*span, kind="buffered")))
    assert [len(silent.messages(s)) for s in (first - 1, first, last - 1, last)] == [1, 0, 0, 1]
    assert [len(buffered.messages(s)) for s in (first - 1, first, last - 1, last)] == [1, 0, 0, last - first + 1]
    assert buffered.messages(last) == [buffered.measured(s) for s in range(first, last + 1)]


def test_a_headwind_costs_time_and_a_drain_costs_energy() -> None:
    start = Fix(TAKE_OFF_S, fleet().sites["teral"].position, 500.0, 0.0, 0.0, 0.0, 0.0)
    way = [(destination(start.at, 0.0, 6000.0), 500.0)]
    still = calm(wind_north=Course(((0.0, 0.0),)), wind_east=Course(((0.0, 0.0),)))

    def end(delivery: Delivery) -> Fix:
        return Motion(delivery, start, 2.0).fly(way).end

    assert end(still).t_s - TAKE_OFF_S == pytest.approx(6000.0 / vehicle_type().cruise_m_s, abs=0.1)
    against = end(replace(still, wind_north=Course(((0.0, -10.0),))))
    assert against.t_s - TAKE_OFF_S == pytest.approx(6000.0 / (vehicle_type().cruise_m_s - 10.0), abs=0.1)
    drained = end(replace(still, drain=Span(TAKE_OFF_S, float("inf"), 1.5)))
    assert drained.used_wh == pytest.approx(1.5 * end(still).used_wh)


def test_an_empty_battery_brings_the_vehicle_down_and_its_dose_with_it() -> None:
    lost = judge(Run(Shared.of(calm(sag=Span(TAKE_OFF_S + 200.0, float("inf"), 0.9)))).finish())
    assert lost.end is End.LOST
    assert lost.vehicle_lost


def test_shares_have_wilsons_interval() -> None:
    assert table.wilson(50, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)
    assert table.wilson(0, 1000) == pytest.approx((0.0, 0.0038268), abs=1e-6)
