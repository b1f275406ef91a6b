"""The tables of docs/scenarios.md, made from the models: `python -m fleet.simulate.manual docs/scenarios.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fleet.config import data_dir
from fleet.simulate.expect import Expect, ExpectRun
from fleet.simulate.happenings import Fault, When, fault_table
from fleet.simulate.judge import ORDER_ROWS, RUN_ROWS
from fleet.simulate.scenario import People, ScenarioFile, ScenarioOrder, ScenarioSite, load_scenario

SECTIONS = {
    "People": "[people](#people)",
    "ScenarioSite": "[place](#places)",
    "ScenarioOrder": "[order](#orders)",
    "Fault": "[fault](#faults)",
    "When": "[when](#when-it-happens)",
    "Expect": "[expectations](#of-an-order)",
    "ExpectRun": "[expectations](#of-the-whole-run)",
}
"""models that have a table of their own"""
PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The page with each `<!-- made: NAME -->` … `<!-- end -->` as the code has it now."""
    return PART.sub(lambda m: f"{m[1]}\n{TABLES[m[2]]()}\n{m[3]}", text)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _keys(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    rows = []
    for name, part in schema["properties"].items():
        given = _kind(part, schema.get("$defs", {}))
        usual = part.get("default")
        needs = "**needed**; " if name in schema.get("required", ()) else ""
        shown = f" ({_shown(usual)})" if usual not in (None, "", [], {}) and not isinstance(usual, dict) else ""
        rows.append([f"`{name}`", needs + given + shown, part.get("description", "")])
    return _table(["key", "what may be given (default)", "meaning"], rows)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _kind(part: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        found = defs[name]
        if "enum" in found:
            return ", ".join(f"`{v}`" for v in found["enum"])
        if name in SECTIONS:
            return SECTIONS[name]
        return "{" + ", ".join(f"`{key}`" for key in found["properties"]) + "}"
    if "anyOf" in part:
        return " or ".join(_kind(p, defs) for p in part["anyOf"] if p.get("type") != "null")
    if "enum" in part:
        return ", ".join(f"`{v}`" for v in part["enum"])
    match part.get("type"):
        case "number" | "integer":
            return _number(part)
        case "boolean":
            return "true or false"
        case "array":
            inner = part.get("prefixItems")
            return "two numbers" if inner is not None else f"a list: {_kind(part['items'], defs)}"
        case "object":
            return "a mapping"
    return "a date and time" if part.get("format") == "date-time" else "a text"


def _number(part: Mapping[str, Any]) -> str:
    above, least = part.get("exclusiveMinimum"), part.get("minimum")
    most = part.get("maximum")
    if least is not None and most is not None:
        return f"{least:g}…{most:g}"
    if above is not None:
        return f"above {above:g}" + (f", up to {most:g}" if most is not None else "")
    return "a number" if least is None else f"{least:g} or more"


def _kinds() -> str:
    rows = [[f"`{row['kind']}`", row["of"] or "the world", row["text"], row["arguments"]] for row in fault_table()]
    return _table(["`kind`", "of", "what happens", "its own keys"], rows)


def _expected(model: type[Expect | ExpectRun]) -> str:
    """What may be expected, and by what it is judged."""
    reads = {row.field: row.reads for row in (*ORDER_ROWS, *RUN_ROWS)}
    schema = model.model_json_schema()
    rows = [
        [f"`{name}`", _kind(part, schema.get("$defs", {})), part.get("description", ""), reads.get(name, "")]
        for name, part in schema["properties"].items()
    ]
    return _table(["key", "what may be given", "met if", "judged by"], rows)


def _files() -> str:
    """The scenarios that come with Coldwing."""
    rows = []
    for path in sorted((data_dir() / "scenarios").glob("*.yaml")):
        file = load_scenario(path).file
        rows.append([f"[{path.stem}](../configs/scenarios/{path.name})", f"{file.title}. {file.about.strip()}"])
    return _table(["file", "shows"], rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "scenario": lambda: _keys(ScenarioFile),
    "people": lambda: _keys(People),
    "sites": lambda: _keys(ScenarioSite),
    "order": lambda: _keys(ScenarioOrder),
    "fault": lambda: _keys(Fault),
    "when": lambda: _keys(When),
    "kinds": _kinds,
    "expect": lambda: _expected(Expect),
    "run": lambda: _expected(ExpectRun),
    "files": _files,
}


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
