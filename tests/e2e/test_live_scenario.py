"""A scenario over real sockets: broker, simulator and controller as processes, and what happens to them.

Whatever is judged by time has half a minute of simulated time and more: how loaded the machine is must not decide.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fleet.config import data_dir
from tests.e2e.stack import FLEET

pytestmark = pytest.mark.e2e

SPEED = 6
STORY = f"""
title: Everything that can happen around a vehicle, on real sockets
fleet: {data_dir() / "fleet.yaml"}
start: 2026-03-10T09:00:00Z
limit_min: 15
waits_for_landing: false
world: {{ambient_c: 25.0}}
people: {{load_s: 2, receive_s: 2}}
only: [cw-1]
sites:
  - {{id: mill, lat: 7.5105, lon: 38.1905}}
orders:
  - name: insulin
    product: insulin
    to: mill
    mass_kg: 0.5
    volume_l: 1.0
    deadline_min: 60
    payload_c: 5.0
    faults:
      - {{kind: second_gcs, when: {{state: loading}}}}
      - {{kind: rival_upload, when: {{phase: ready}}}}
      - {{kind: broker_down, duration_s: 30, when: {{flown_m: 100}}}}
      - {{kind: controller_killed, down_s: 2, when: {{flown_m: 250}}}}
      - {{name: winching, kind: closure, circle: {{lat: 7.5067, lon: 38.1939, radius_m: 80}}, when: {{flown_m: 500}}}}
    expect:
      state: [received]
      verdict: [in_range]
      alarm_within_s:
        - {{alarm: other_gcs, after: second_gcs, s: 60}}
        - {{alarm: rival_plan, after: rival_upload, s: 60}}
      decision_within_s: {{kind: reroute, after: winching, s: 30}}
      never_inside: [winching]
      released: 1
      released_at: mill
"""


def test_a_delivery_survives_what_happens_around_it_on_real_sockets(tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_text(STORY, encoding="utf-8")
    run = subprocess.run(
        [*FLEET, "scenario", "run", str(path), "--live", "--speed", str(SPEED), "--port", "0", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.stdout, run.stderr[-2000:]
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    summary = lines[-1]
    missed = [f for f in summary["findings"] if not f["met"]]
    assert not missed, (missed, run.stderr[-2000:])
    assert run.returncode == 0
    assert summary["stage"] == "live"
    happened = {line["name"] for line in lines if line.get("event") == "fault" and line["state"] == "begun"}
    assert happened == {"second_gcs", "rival_upload", "broker_down", "controller_killed", "winching"}
    assert "Traceback" not in run.stderr
