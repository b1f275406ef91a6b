"""The JSON schema of `fleet.yaml` for editors: `python -m fleet.config.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path

from fleet.config.models import FileRef, FleetFile
from fleet.config.paths import data_dir


def schema_path() -> Path:
    return data_dir() / "schemas" / "fleet.schema.json"


def schema_text() -> str:
    """The schema of the models as they are now."""
    schema = FleetFile.model_json_schema()
    schema["$defs"]["FileRef"] = FileRef.model_json_schema()
    types = schema["properties"]["vehicle_types"]  # the loader puts files in the place of their references
    types["items"] = {"anyOf": [types["items"], {"$ref": "#/$defs/FileRef"}]}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://coldwing.dev/schemas/fleet/v1",
    }
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    schema_path().write_text(schema_text(), encoding="utf-8")
