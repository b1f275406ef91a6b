"""What the manual and the editors' schema say of scenarios is so."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from fleet.config import data_dir
from fleet.simulate.happenings import AROUND
from fleet.simulate.manual import TABLES, filled
from fleet.simulate.schema import schema_path, schema_text
from sitl.faults import FAULTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"
FILES = sorted((data_dir() / "scenarios").glob("**/*.yaml"))


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text) == text, "make them anew: python -m fleet.simulate.manual docs/scenarios.md"
    assert {name for name in TABLES if f"<!-- made: {name} -->" in text} == set(TABLES)
    assert all(f"`{kind}`" in text for kind in (*FAULTS, *AROUND))


def test_a_table_that_is_not_current_shows() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text.replace("| `grounded_during`", "| `ground_during`")) == text


def test_no_key_is_left_without_its_meaning() -> None:
    clear_by_their_names = {"volume_l"}
    for name in ("scenario", "people", "sites", "order", "fault", "when", "expect", "run"):
        for key, meaning in re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", TABLES[name](), re.MULTILINE):
            assert meaning.strip() or key in clear_by_their_names, f"{name}: {key}"


def test_the_committed_schema_is_that_of_the_models() -> None:
    assert schema_path().read_text(encoding="utf-8") == schema_text(), "run `python -m fleet.simulate.schema`"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_scenario_fits_the_schema_that_its_first_line_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (path.parent / named[1]).resolve() == schema_path().resolve()
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    data = plain(YAML(typ="safe").load(text))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)] == []


def test_the_schema_refuses_unknown_keys_and_kinds() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    good = plain(YAML(typ="safe").load((data_dir() / "scenarios" / "gripper_jam.yaml").read_text(encoding="utf-8")))
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {"wrold": {}})
    order = good["orders"][0]
    assert not validator.is_valid(good | {"orders": [order | {"faults": [{"kind": "griper_jam"}]}]})
