"""The JSON schema of scenario files for editors: `python -m fleet.simulate.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path

from fleet.config.paths import data_dir
from fleet.simulate.happenings import AROUND
from fleet.simulate.scenario import ScenarioFile
from sitl.faults import FAULTS


def schema_path() -> Path:
    return data_dir() / "schemas" / "scenario.schema.json"


def schema_text() -> str:
    """The schema of the models as they are now, with the kinds of fault that there are."""
    schema = ScenarioFile.model_json_schema()
    schema["$defs"]["Fault"]["properties"]["kind"]["enum"] = [*FAULTS, *AROUND]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://coldwing.dev/schemas/scenario/v1",
    }
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    schema_path().write_text(schema_text(), encoding="utf-8")
