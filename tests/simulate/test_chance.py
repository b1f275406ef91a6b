"""Random scenarios are ordinary scenarios, the same for the same seed, and have every kind of fault among them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fleet.config import ConfigError, data_dir
from fleet.config.source import parse_yaml
from fleet.simulate.chance import KINDS, random_scenario, scenario_text
from fleet.simulate.happenings import AROUND
from fleet.simulate.scenario import load_scenario, scenario_of
from fleet.virtual import StandstillError, run_virtual
from sitl.faults import FAULTS

SEEDS = range(60)


def test_the_same_seed_is_the_same_scenario_and_another_one_another(tmp_path: Path) -> None:
    assert scenario_text(7, tmp_path) == scenario_text(7, tmp_path)
    assert scenario_text(7, tmp_path) != scenario_text(8, tmp_path)


def test_a_written_scenario_is_the_one_that_the_seed_flies(tmp_path: Path) -> None:
    file = tmp_path / "random-5.yaml"
    file.write_text(scenario_text(5, tmp_path), encoding="utf-8")
    read, drawn = load_scenario(file), random_scenario(5)
    assert read.file.model_copy(update={"fleet": ""}) == drawn.file.model_copy(update={"fleet": ""})
    assert read.happenings == drawn.happenings


def test_every_kind_of_fault_can_come_and_many_seeds_have_nearly_all() -> None:
    assert set(KINDS) == set(FAULTS) | set(AROUND)
    met = {h.kind for seed in SEEDS for h in random_scenario(seed).happenings}
    assert len(met) >= 0.9 * len(KINDS)


def _one(fault: str) -> bytes:
    return f"""
fleet: ../fleet.yaml
title: One
start: 2026-03-10T09:00:00Z
sites: [{{id: post, lat: 7.51, lon: 38.2}}]
orders: [{{name: a, product: insulin, to: post, mass_kg: 1, volume_l: 1, deadline_min: 60, payload_c: 5}}]
faults: [{fault}]
expect: {{sound: true}}
""".encode()


@pytest.mark.parametrize(
    ("fault", "field", "said"),
    [
        ("{kind: closure}", "file", "missing"),
        ("{kind: closure, circle: {lat: 7.5, lon: 38.2}}", "circle.radius_m", "missing"),
        ("{kind: closure, circle: {lat: 97.5, lon: 38.2, radius_m: 300}}", "circle.lat", "out of range"),
        ("{kind: closure, circle: {lat: 7.5, lon: 38.2, radius: 300}}", "circle.radius_m", "rename 'radius'"),
        ("{kind: closure, file: x, circle: {lat: 7.5, lon: 38.2, radius_m: 300}}", "file", "leave one of them out"),
    ],
)
def test_a_closure_in_the_scenario_itself_is_checked(fault: str, field: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        scenario_of(parse_yaml(data_dir() / "scenarios" / "one.yaml", _one(fault)))
    (problem,) = refused.value.problems
    assert problem.line == 7
    assert field in problem.field
    assert said.lower() in f"{problem.text}. {problem.fix}".lower()


def test_an_order_of_which_nothing_is_expected_needs_a_run_that_must_be_sound() -> None:
    text = _one("").replace(b"expect: {sound: true}\n", b"")
    with pytest.raises(ConfigError, match="expects nothing"):
        scenario_of(parse_yaml(data_dir() / "scenarios" / "one.yaml", text))


def test_time_that_does_not_pass_any_more_is_told_instead_of_waited_for() -> None:
    async def circle() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(StandstillError, match="time does not pass"):
        run_virtual(circle())
