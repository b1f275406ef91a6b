"""A file with other numbers of the policy, to ask what they would have done."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fleet.config.models import PolicyModel
from fleet.config.problems import ConfigError, Problem, Problems
from fleet.config.source import SourceError, read_yaml
from missions.decision.types import Policy


class _File(BaseModel):
    """A fleet's configuration, of which the policy alone is read."""

    model_config = ConfigDict(extra="ignore")
    policy: PolicyModel  # type: ignore[valid-type]


def read_policy(path: Path, base: Policy) -> Policy:
    """`base` with the numbers that the file gives, at its top or under `policy:`. Raises ConfigError with the line."""
    try:
        document = read_yaml(path)
    except SourceError as error:
        raise ConfigError([Problem(str(error.path), error.line, "", error.text, error.fix)]) from None
    inside = "policy" in document.data
    given: Any = document.data["policy"] if inside else document.data
    known = {f.name: getattr(base, f.name) for f in fields(Policy) if f.name != "authorised_zones"}
    merged = {**known, **given} if isinstance(given, dict) else given
    model: type[BaseModel] = _File if inside else PolicyModel
    problems = Problems()
    try:
        read: Any = model.model_validate_json(json.dumps({"policy": merged} if inside else merged, default=str))
    except ValidationError as error:
        for details in error.errors(include_url=False):
            problems.add_details(document, model, details)
        problems.raise_if_any()
        raise
    return replace(base, **(read.policy if inside else read).model_dump())
