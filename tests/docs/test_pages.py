"""What the documentation says of the code is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fleet.cli import main
from fleet.config import data_dir, load_config
from missions.decision.faults import TABLE
from missions.decision.render import page

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_hazards_name_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/hazards.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    missing = []
    for path, name in named:
        file = ROOT / path
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
        functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        if name not in functions:
            missing.append(f"{path}::{name}")
    assert not missing


def test_every_row_of_the_hazards_names_a_test_and_a_state():
    rows = re.findall(r"^\| \d+ .*$", (ROOT / "docs/hazards.md").read_text(encoding="utf-8"), re.MULTILINE)
    for row in rows:
        cells = [c.strip() for c in row.strip("|").split("|")]
        assert len(cells) == 6, row
        assert cells[4] in ("held", "part"), row
        assert "::test_" in cells[5], row


def test_the_page_of_the_fault_table_is_current():
    current = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    assert current == page(), "make it anew: python -m missions.decision.render > docs/faults.md"
    assert all(f"`{row.name}`" in current for row in TABLE)


def test_links_between_pages_lead_somewhere():
    for document in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} → {target}"


def test_the_courier_s_parameters_in_the_table_are_those_of_its_file():
    text = (ROOT / "docs/px4.md").read_text(encoding="utf-8").split("## The courier's parameters")[1].split("\n## ")[0]
    shown: dict[str, str] = {}
    for row in re.findall(r"^\| (`[A-Z][^|]*) \| ([^|]+) \|", text, re.MULTILINE):
        shown |= dict.fromkeys(re.findall(r"`(\w+)`", row[0]), row[1])
    contract = load_config(data_dir() / "fleet.yaml", {}).contracts["cw-1"]
    assert shown.keys() == contract.parameters.keys()
    for name, demand in contract.parameters.items():
        ends = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", shown[name])]
        assert (ends[0], ends[-1]) == (demand.low, demand.high), name


def test_the_worked_example_of_a_logger_s_file_is_what_the_command_says(monkeypatch, capsys):
    page = (ROOT / "docs/coldchain.md").read_text(encoding="utf-8")
    command, _, shown = page.split("```\n$ fleet ")[1].split("```")[0].partition("\n")
    monkeypatch.chdir(ROOT / "docs/examples")
    monkeypatch.setattr("sys.argv", ["fleet", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    told = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines())
    assert told == shown.strip()
    assert ended.value.code in (0, None)
