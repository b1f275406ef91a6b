"""What is wrong with a configuration: all of it, each with file, line, field and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from fleet.config.source import Document, Loc


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `line` counts from 1; None where the whole file is meant."""

    file: str
    line: int | None
    field: str
    text: str
    fix: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        field = f"{self.field} " if self.field else ""
        end = "" if self.fix.endswith("?") else "."
        return f"{place}: {field}{self.text}. {self.fix}{end}"


class ConfigError(Exception):
    """The configuration was refused; `problems` has all that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


class Problems:
    """Collects problems in the order of the file."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, document: Document, loc: Loc, text: str, fix: str) -> None:
        within, inner, line = document.locate(loc)
        problem = Problem(str(within.path), line, field_path(inner), text, fix)
        if problem not in self.found:
            self.found.append(problem)

    def add_details(self, document: Document, model: type[BaseModel], details: ErrorDetails) -> None:
        """One of pydantic's errors in our words."""
        text, fix = _explain(model, details)
        self.add(document, tuple(details["loc"]), text, fix)

    def raise_if_any(self) -> None:
        if self.found:
            raise ConfigError(sorted(self.found, key=lambda p: (p.file, p.line or 0)))


def field_path(loc: Loc) -> str:
    """`vehicles[2].home` for ("vehicles", 2, "home")."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A fix for a name that is not known: the nearest one, or all of them."""
    names = sorted(known)
    close = get_close_matches(str(word), names, n=1)
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"Known: {', '.join(names)}" if names else "There are none yet: add one"


def _explain(model: type[BaseModel], details: ErrorDetails) -> tuple[str, str]:
    loc, given = details["loc"], details.get("input")
    name = loc[-1] if loc else ""
    match details["type"]:
        case "missing" if isinstance(name, int):
            return "is missing", f"Give at least {name + 1} in the brackets"
        case "missing":
            return "is missing", f"Add `{name}:`"
        case "extra_forbidden":
            parent = _model_at(model, loc[:-1])
            return "is not a known key", did_you_mean(name, parent.model_fields if parent else ())
        case "enum":
            known = details.get("ctx", {}).get("expected", "").replace("'", "").replace(" or ", ", ").split(", ")
            return f"is {given!r}", did_you_mean(given, known)
        case "string_pattern_mismatch":
            return f"is {given!r}", "Use letters, digits, `_`, `.` and `-`, at most 32, starting with a letter or digit"
        case "too_short":
            return (
                "is empty" if not given else f"has only {len(given)}",
                f"Give at least {details['ctx']['min_length']}",
            )
        case "list_type":
            return f"is {_shown(name, given)}", f"It must be a valid list: put it in brackets, [{_shown(name, given)}]"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"is {given!r:.40}", "Give a mapping of keys here"
    message = details["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"is {_shown(name, given)}", f"It must be {message}"


def _shown(name: object, given: object) -> str:
    """The value as the message repeats it, without a secret: messages end up in logs and tickets."""
    if name in ("token", "key"):
        return "not shown here"
    hidden = re.sub("//.*@", "//…@", given) if isinstance(given, str) else given
    return f"{hidden!r:.60}"


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model that holds the keys at `loc`."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue  # an item of a list is what the list holds
        holder = next(iter(_models_in(here)), None)
        if holder is None or part not in holder.model_fields:
            return None
        here = holder.model_fields[part].annotation
    return next(iter(_models_in(here)), None)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _models_in(arg)]
