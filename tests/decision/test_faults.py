"""The fault table: every row is raised by its situation, says what is wrong with numbers, and clears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from missions.decision import conditions, faults
from missions.decision.conditions import planned
from missions.decision.types import Action, FlightPhase, Forecast, Memory, Policy, Snapshot
from missions.snapshot import Battery, BoxVerdict, Mode, Timed
from tests.decision.situations import (
    BOX,
    CALM,
    FAULTS,
    NOW,
    POLICY,
    at,
    closure,
    excursion_forecast,
    mode,
    run,
    sagging,
    settled,
    verdict,
)  # fmt: skip

ROWS = [row.name for row in faults.TABLE]


def test_no_row_of_the_table_lacks_a_situation_that_raises_it() -> None:
    assert sorted(FAULTS) == sorted(ROWS)
    assert len(set(ROWS)) == len(ROWS)


def test_nothing_is_wrong_in_a_calm_flight() -> None:
    decision = settled(CALM)
    assert decision.faults == ()
    assert decision.action is Action.CONTINUE
    assert decision.candidate is None
    assert decision.cause == "plan"
    assert "on to koru, 60 % battery at the end" in decision.sentence


@pytest.mark.parametrize("name", ROWS)
def test_each_situation_raises_its_row_with_a_text_for_the_operator(name: str) -> None:
    wait_s = max(10.0, faults.BY_NAME[name].raise_after_s(POLICY) + 1.0)
    decision = run(FAULTS[name](CALM), wait_s)[1][-1]
    raised = {f.name: f for f in decision.faults}
    assert name in raised
    assert raised[name].text.startswith(faults.BY_NAME[name].text)
    assert len(raised[name].text) > len(faults.BY_NAME[name].text) + 3
    assert raised[name].asks is faults.BY_NAME[name].asks


@pytest.mark.parametrize("name", ROWS)
def test_each_row_waits_for_its_time_and_clears_after_its_time(name: str) -> None:
    row, bad = faults.BY_NAME[name], FAULTS[name](CALM)
    wait_s = row.raise_after_s(POLICY)
    memory, raised = faults.fold((), bad, POLICY, NOW)
    assert (name in {r.row.name for r in raised}) is (wait_s == 0.0)
    memory, raised = faults.fold(memory, at(bad, NOW + wait_s), POLICY, NOW + wait_s)
    assert name in {r.row.name for r in raised}
    over_s = NOW + wait_s + 1.0
    memory, raised = faults.fold(memory, at(CALM, over_s), POLICY, over_s)
    assert (name in {r.row.name for r in raised}) is (row.clear_after_s > 0.0)
    memory, raised = faults.fold(memory, at(CALM, over_s + row.clear_after_s), POLICY, over_s + row.clear_after_s)
    assert name not in {r.row.name for r in raised}


@pytest.mark.parametrize("name", [n for n in ROWS if faults.BY_NAME[n].raise_after_s(POLICY) > 0])
def test_a_condition_that_comes_and_goes_before_its_time_is_not_raised(name: str) -> None:
    bad, memory = FAULTS[name](CALM), ()
    for i in range(20):
        s = bad if i % 2 else CALM
        memory, raised = faults.fold(memory, at(s, NOW + i * 0.5), POLICY, NOW + i * 0.5)
        assert name not in {r.row.name for r in raised}


def test_a_fault_that_flaps_faster_than_it_clears_stays_raised() -> None:
    memory: tuple[faults.FaultMemory, ...] = ()
    for i in range(40):
        s = excursion_forecast(CALM) if i % 10 == 0 else CALM
        memory, raised = faults.fold(memory, at(s, NOW + i), POLICY, NOW + i)
        assert "excursion_forecast" in {r.row.name for r in raised}
    assert raised[0].since_s == NOW


COLD = {"box_silent", "sensor_untrusted", "excursion_now", "excursion_forecast"}


def test_cold_rows_do_not_apply_after_the_release() -> None:
    home = replace(excursion_forecast(CALM), phase=FlightPhase.INBOUND, box=None)
    assert not {f.name for f in settled(home).faults} & COLD


def test_a_box_that_has_left_its_mount_is_not_on_board_whatever_the_phase_says() -> None:
    assert BOX.sample is not None
    gone = Timed(replace(BOX.sample.value, docked=False), BOX.sample.at_s)
    s = replace(excursion_forecast(CALM), box=replace(BOX, sample=gone, verdict=BoxVerdict.SPOILED))
    assert not {f.name for f in settled(s).faults} & COLD


def test_cold_rows_apply_on_the_way_home_with_the_payload() -> None:
    home = replace(verdict(BoxVerdict.QUARANTINE)(CALM), phase=FlightPhase.INBOUND)
    assert "excursion_now" in {f.name for f in settled(home).faults}
    said = replace(home, payload_aboard=False)
    assert settled(said).faults == ()


def test_an_excursion_does_not_end_because_the_box_falls_silent() -> None:
    sample = Timed(BOX.sample.value, NOW - 200.0) if BOX.sample is not None else None
    box = replace(
        BOX, sample=sample, verdict=BoxVerdict.UNKNOWN, excursion="outside 2 to 8 °C: 2.0 min of 60 min in cool"
    )
    found = {f.name: f.text for f in settled(replace(CALM, box=box)).faults}
    assert "outside 2 to 8 °C" in found["excursion_now"]
    assert "box_silent" in found


def test_a_mode_that_settles_in_time_is_no_takeover() -> None:
    switching = replace(mode(Mode.HOLD)(CALM), dispatched_at_s=NOW - 1.0)
    _, decisions = run(switching, 0.5)
    assert not any(d.stand_down for d in decisions)


def test_without_an_expected_mode_nobody_has_taken_over() -> None:
    assert not settled(replace(mode(Mode.MANUAL)(CALM), expected_mode=None)).stand_down


@pytest.mark.parametrize(("mean", "raised"), [(24.0, False), (23.0, True)])
def test_turning_home_is_asked_for_while_it_still_arrives_above_the_reserve(mean: float, raised: bool) -> None:
    """20 % reserve, 2 % margin and 1.645 standard deviations of 1 %: the limit is 23.645 %."""
    s = replace(sagging(CALM), home_end_pct=Forecast(mean, 1.0))
    assert ("battery_below_way_home" in {f.name for f in settled(s).faults}) is raised


def test_near_the_drop_the_least_way_home_is_to_let_go_of_the_load_first() -> None:
    """Loaded it would come home with less than reserve and margin; by the plan, empty, with more."""
    loaded = replace(CALM, home_end_pct=Forecast(23.0, 1.0))
    assert planned(loaded).energy_end_pct.mean > 30.0
    for phase in (FlightPhase.OUTBOUND, FlightPhase.AT_DROP, FlightPhase.RELEASING):
        assert not settled(replace(loaded, phase=phase)).faults
    assert "battery_below_way_home" in {f.name for f in settled(closure(900.0)(loaded)).faults}, "the plan is closed"
    stale = replace(loaded, candidates_at_s=NOW - 60.0)
    assert "battery_below_way_home" in {f.name for f in settled(stale).faults}, "nobody knows what the plan leaves now"
    carried_back = replace(loaded, phase=FlightPhase.INBOUND)
    assert "battery_below_way_home" in {f.name for f in settled(carried_back).faults}, "the drop did not work"


def test_the_thresholds_are_the_policys() -> None:
    strict = Policy(conformance_m=2.0)
    memory = Memory()
    _, decisions = run(CALM, 3.0, memory, policy=strict)
    assert "conformance_lost" in {f.name for f in decisions[-1].faults}


def test_a_box_that_is_sure_about_nothing_is_untrusted_but_its_silence_has_its_own_row() -> None:
    names = {f.name for f in settled(FAULTS["box_silent"](CALM)).faults}
    assert names == {"box_silent"}
    benign = replace(CALM, box=replace(BOX, sensor_faults=("gap", "clock_skew", "probe_failed")))
    assert settled(benign).faults == ()


def test_the_documentation_lists_every_row() -> None:
    table = faults.as_markdown()
    lines = table.splitlines()
    assert len(lines) == len(ROWS) + 2
    assert all(line.count("|") == 8 for line in lines)
    for name in ROWS:
        assert f"| `{name}` |" in table


def test_rows_that_only_look_at_the_dose_ask_for_no_safety_action() -> None:
    for name in COLD:
        assert faults.BY_NAME[name].asks is Action.CONTINUE


def test_a_link_that_was_lost_again_within_a_minute_must_be_back_for_longer() -> None:
    lost, memory = FAULTS["link_stale"](CALM), ()

    def raised(after_s: float, *, is_lost: bool) -> bool:
        nonlocal memory
        now_s = NOW + after_s
        memory, found = faults.fold(memory, at(lost if is_lost else CALM, now_s), POLICY, now_s)
        return "link_stale" in {r.row.name for r in found}

    assert raised(0, is_lost=True)
    assert raised(1, is_lost=False)
    assert not raised(2, is_lost=False), "lost once: back after a second"
    assert raised(30, is_lost=True)
    assert raised(31, is_lost=False)
    assert raised(45, is_lost=False), "lost again within a minute"
    assert not raised(46, is_lost=False)
    assert not raised(106, is_lost=False)
    assert raised(107, is_lost=True)
    assert raised(108, is_lost=False)
    assert not raised(109, is_lost=False), "a minute without it, and it counts as the first time"


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ({"position": None}, "no position"),
        ({"mode": None}, "no mode"),
        ({"position": None, "mode": None}, "no position, no mode"),
        ({"mode": Timed(Mode.MISSION, NOW - 3.5)}, "mode 3.5 s old"),
    ],
)
def test_late_telemetry_says_what_is_late(missing: dict[str, object], told: str) -> None:
    s = replace(CALM, vehicle=replace(CALM.vehicle, **missing))  # type: ignore[arg-type]
    assert conditions.telemetry_stale(s, POLICY, NOW) == told
    lost = replace(s, vehicle=replace(s.vehicle, heard_s=NOW - 5.0))
    assert conditions.telemetry_stale(lost, POLICY, NOW) == "", "a lost link has a row of its own"


def test_telemetry_of_just_the_allowed_age_is_not_late() -> None:
    at_limit = Timed(Mode.MISSION, NOW - POLICY.telemetry_stale_s)
    assert conditions.telemetry_stale(replace(CALM, vehicle=replace(CALM.vehicle, mode=at_limit)), POLICY, NOW) == ""
    quiet = replace(CALM, vehicle=replace(CALM.vehicle, heard_s=NOW - POLICY.link_stale_s))
    assert conditions.link_stale(quiet, POLICY, NOW) == ""


@pytest.mark.parametrize(("name", "edge"), [
    ("battery_critical", lambda: replace(CALM, vehicle=replace(CALM.vehicle, battery=Timed(Battery(10.0), NOW)))),
    ("closure_near", lambda: closure(POLICY.closure_hold_m)(CALM)),
])  # fmt: skip
def test_at_its_limit_a_danger_is_one(name: str, edge: Callable[[], Snapshot]) -> None:
    assert faults.BY_NAME[name].condition(edge(), POLICY, NOW)


def test_at_its_limit_what_policy_allows_is_allowed() -> None:
    off = replace(CALM, cross_track_m=POLICY.conformance_m)
    assert conditions.conformance_lost(off, POLICY, NOW) == ""
    on, *rest = CALM.candidates
    probable = replace(CALM, candidates=(replace(on, p_in_range=POLICY.min_p_in_range), *rest))
    assert conditions.excursion_forecast(probable, POLICY, NOW) == ""
    just = replace(CALM, candidates=(replace(on, energy_end_pct=Forecast(POLICY.reserve_pct, 0.0)), *rest))
    assert conditions.plan_below_reserve(just, POLICY, NOW) == ""
    home = replace(CALM, phase=FlightPhase.INBOUND, home_end_pct=Forecast(22.0, 0.0))
    assert conditions.battery_below_way_home(home, POLICY, NOW) == ""
    assert BOX.sample is not None
    heard = replace(CALM, box=replace(BOX, sample=Timed(BOX.sample.value, NOW - POLICY.box_silent_s)))
    assert conditions.box_silent(heard, POLICY, NOW) == ""


def test_it_is_the_low_end_of_the_battery_that_counts() -> None:
    """Exceeded with 95 %: 1.645 standard deviations below the mean."""
    assert conditions.low_end_pct(Forecast(30.0, 2.0), POLICY) == pytest.approx(30.0 - 2.0 * 1.6449, abs=1e-3)
    assert conditions.low_end_pct(Forecast(30.0, 2.0), replace(POLICY, min_p_reach=0.5)) == pytest.approx(30.0)


def test_what_is_wrong_with_the_dose_is_said_with_its_numbers() -> None:
    on, *rest = CALM.candidates
    warm = replace(on, p_in_range=0.85, product_temp_c=Forecast(7.9, 0.6))
    told = conditions.excursion_forecast(replace(CALM, candidates=(warm, *rest)), POLICY, NOW)
    assert told == "7.9 ± 0.6 °C at koru, 85 % chance of arriving in range"
    bad = replace(BOX, sensor_faults=("gap", "stuck", "impossible_slope"))
    assert conditions.sensor_untrusted(replace(CALM, box=bad), POLICY, NOW) == "stuck, impossible_slope"


def test_a_closed_zone_half_a_metre_ahead_is_near() -> None:
    assert settled(replace(closure(0.5)(CALM), candidates=())).action is Action.HOLD
