"""Every scenario of the folder on the bundled simulator, in virtual time; and that a seed gives the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.config import data_dir
from fleet.simulate.happenings import AROUND
from fleet.simulate.outcome import Outcome
from fleet.simulate.px4 import why_not
from fleet.simulate.run import Play, play
from fleet.simulate.scenario import Scenario, load_scenario
from fleet.simulate.virtual import virtual_stage
from fleet.virtual import run_virtual

FOLDER = data_dir() / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))
ASKED_FOR = {
    "happy_delivery", "gripper_jam", "return_for_wind", "link_lost_30s", "link_lost_for_good", "gps_jump_at_drop",
    "closure_around", "battery_sag", "lid_open_before_takeoff", "box_silent", "broker_down", "two_to_one_pad",
    "vtol_headwind", "pilot_takes_over", "second_gcs", "controller_killed", "rival_upload", "reboot_on_pad",
}  # fmt: skip
RATIO = 20.0
"""simulated seconds per second of CPU, at the least: an hour's flight in three minutes, where half a minute is usual"""


def flown(scenario: Scenario, seed: int | None = None) -> Outcome:
    chosen = scenario.file.seed if seed is None else seed

    async def story() -> Outcome:
        async with virtual_stage(scenario, chosen) as stage:
            return await play(Play(scenario, stage, chosen, lambda kind, data: None))

    return run_virtual(story())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_scenario_ends_as_its_file_expects(path: Path) -> None:
    outcome = flown(load_scenario(path))
    missed = [f"{f.order} {f.expectation}: {f.seen}" for f in outcome.findings if not f.met]
    assert not missed
    assert not outcome.timed_out


def test_the_stories_that_must_be_told_are_there_and_say_what_they_show() -> None:
    assert {p.stem for p in FILES} >= ASKED_FOR
    for path in FILES:
        file = load_scenario(path).file
        assert file.about, f"{path.name} does not say what it shows"
        for order in file.orders:
            assert order.expect is not None
            assert len(order.expect.model_fields_set) >= 2, f"{path.name} expects next to nothing of {order.name}"


def test_every_kind_of_event_around_the_vehicles_happens_in_some_scenario() -> None:
    kinds = {h.kind for path in FILES for h in load_scenario(path).happenings}
    assert set(AROUND) <= kinds


def test_most_of_them_can_be_flown_by_a_real_px4_too() -> None:
    flown_too = [path.stem for path in FILES if not why_not(load_scenario(path))]
    assert len(flown_too) >= 15, flown_too


# --- the same seed


CHANCY = """
title: As much chance as there is, for three minutes
fleet: {fleet}
start: 2026-03-10T09:00:00Z
ends_min: 3
world: {{ambient_c: 30.0, wind_east_m_s: 4.0, gust_m_s: 1.5}}
only: [cw-1, cw-2]
orders:
  - &order
    name: first
    product: insulin
    to: ndeba
    mass_kg: 0.5
    volume_l: 1.0
    deadline_min: 60
    payload_c: 5.0
    faults:
      - {{kind: link_loss, rate: 0.2, when: {{flown_m: 300}}}}
      - {{kind: controller_killed, down_s: 2, name: killed, when: {{flown_m: 900}}}}
      - {{kind: closure, file: {closure}, when: {{flown_m: 1500}}}}
    expect: {{state: [in_flight]}}
  - {{<<: *order, name: second, to: salme, faults: []}}
"""


def chancy(folder: Path) -> Scenario:
    path = folder / "chancy.yaml"
    closure = data_dir() / "airspace" / "valley-closure.geojson"
    path.write_text(CHANCY.format(fleet=data_dir() / "fleet.yaml", closure=closure), encoding="utf-8")
    return load_scenario(path)


def told(outcome: Outcome) -> list[Any]:
    """Everything that a run leaves behind: the whole record with its hashes, and what was seen from outside."""
    events = [*outcome.events, *(e for o in outcome.orders for e in o.events)]
    record = [(e.stream, e.seq, e.at_s, e.kind, dict(e.body), e.hash) for e in events]
    seen = [(v, s.fixes, s.modes, s.battery, s.takeoffs, s.landings) for v, s in sorted(outcome.sightings.items())]
    return [record, seen, list(outcome.world), dict(outcome.box_truth)]


def test_a_seed_gives_the_same_run_to_the_last_digit_and_another_seed_another(tmp_path: Path) -> None:
    scenario = chancy(tmp_path)
    began_s = time.process_time()
    one, again, other = flown(scenario, 1), flown(scenario, 1), flown(scenario, 2)
    cpu_s = time.process_time() - began_s
    assert [o.view.state for o in one.orders if o.view is not None] == ["in_flight", "in_flight"]
    assert told(one) == told(again)
    a, b = (run.sightings["cw-1"].fixes[-1] for run in (one, other))
    assert (a.lat_deg, a.lon_deg) != (b.lat_deg, b.lon_deg), "its gusts blow otherwise"
    flown_s = sum(run.ended_s - run.started_s for run in (one, again, other))
    assert flown_s > RATIO * cpu_s, f"{flown_s:.0f} s flown in {cpu_s:.1f} s of CPU"


def test_a_seed_gives_the_same_run_in_another_process(tmp_path: Path) -> None:
    """Where sets and dictionaries hash otherwise."""
    path = chancy(tmp_path).path
    ends = []
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-m", "fleet", "scenario", "run", str(path), "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert run.returncode == 0, run.stderr[-2000:]
        lines = [line for line in run.stdout.splitlines() if '"kind": "summary"' not in line]
        assert len(lines) > 10
        ends.append(lines)
    assert ends[0] == ends[1]
