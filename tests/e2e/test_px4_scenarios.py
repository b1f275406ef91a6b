"""The scenarios of the folder on real PX4s, one instance per vehicle: `make test-px4`, or some by -k.

    pytest tests/e2e/test_px4_scenarios.py -m px4 -k "happy or pilot"

What SIH cannot do is skipped with the reason: those are simulated only. Minutes each: a PX4 lives on the wall clock.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fleet.config import data_dir
from fleet.simulate.px4 import SPEED, why_not
from fleet.simulate.scenario import load_scenario
from sitl.px4 import find_px4
from tests.e2e.stack import FLEET

pytestmark = [pytest.mark.px4, pytest.mark.e2e]

FILES = sorted((data_dir() / "scenarios").glob("*.yaml"))
START_S = 120.0
"""wall seconds until the instances are ready, and until they are ended"""


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_scenario_ends_on_a_real_px4_as_its_file_expects(path: Path, tmp_path: Path) -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    scenario = load_scenario(path)
    if reasons := why_not(scenario):
        pytest.skip(f"needs a real PX4 that can do what SIH cannot: {'; '.join(reasons)}")
    limit_min = scenario.file.limit_min if scenario.file.ends_min is None else scenario.file.ends_min
    run = subprocess.run(
        [*FLEET, "scenario", "run", str(path), "--px4", "--json", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=START_S + limit_min * 60.0 / SPEED,
        check=False,
    )
    assert run.stdout, run.stderr[-2000:]
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary["kind"] == "summary", run.stderr[-2000:]
    missed = [f"{f['order']} {f['expectation']}: {f['seen']}" for f in summary["findings"] if not f["met"]]
    assert not missed, f"kept under {tmp_path}"
    assert not summary["timed_out"]
    assert summary["stage"] == "px4"
