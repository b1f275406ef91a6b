"""Reads plain JSON objects field by field: an error names the field's path, what is wrong and how to mend it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any


class SpecError(ValueError):
    """`path: what is wrong; the fix`."""


class Fields:
    """One JSON object. Every getter takes its field away; `done` refuses what nobody asked for."""

    def __init__(self, raw: object, path: str) -> None:
        if not isinstance(raw, Mapping):
            raise SpecError(f"{path or 'the spec'}: is {_kind(raw)}; give an object in braces")
        self.path = path
        self.left: dict[str, Any] = dict(raw)
        self._known: list[str] = []

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        if name in self.left:
            return self.left.pop(name)
        if default is ...:
            near = difflib.get_close_matches(name, list(self.left), 1)
            hint = f"rename {near[0]!r} to {name!r}" if near else f"add {name!r}"
            raise SpecError(f"{self.at(name)}: missing; {hint}")
        return default

    def number(self, name: str, default: Any = ..., *, low: float = -math.inf, high: float = math.inf) -> float:
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SpecError(f"{self.at(name)}: is {_kind(value)}; give a number")
        if not math.isfinite(value):
            raise SpecError(f"{self.at(name)}: {value} is not finite; give a number from {low:g} to {high:g}")
        if not low <= value <= high:
            raise SpecError(f"{self.at(name)}: {value:g} is out of range; give a number from {low:g} to {high:g}")
        return float(value)

    def optional_number(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> float | None:
        if self.left.get(name) is None:
            self._take(name, None)
            return None
        return self.number(name, low=low, high=high)

    def integer(self, name: str, default: Any = ..., *, low: int, high: int) -> int:
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpecError(f"{self.at(name)}: is {_kind(value)}; give a whole number")
        if not low <= value <= high:
            raise SpecError(f"{self.at(name)}: {value} is out of range; give a whole number from {low} to {high}")
        return value

    def text(self, name: str, default: Any = ..., *, choices: tuple[str, ...] = ()) -> str:
        value = self._take(name, default)
        if not isinstance(value, str) or (not value and default is ...):
            raise SpecError(f"{self.at(name)}: is {_kind(value)}; give a text in quotes")
        if choices and value not in choices:
            raise SpecError(f"{self.at(name)}: {value!r} is unknown; use one of {', '.join(choices)}")
        return value

    def optional_text(self, name: str) -> str | None:
        if self.left.get(name) is None:
            self._take(name, None)
            return None
        return self.text(name)

    def flag(self, name: str, default: Any = ...) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise SpecError(f"{self.at(name)}: is {_kind(value)}; give true or false")
        return value

    def items(self, name: str) -> list[tuple[str, Any]]:
        """The list's members, each with its path; an absent list is empty."""
        value = self._take(name, [])
        if not isinstance(value, list):
            raise SpecError(f"{self.at(name)}: is {_kind(value)}; give a list in square brackets")
        return [(f"{self.at(name)}[{i}]", member) for i, member in enumerate(value)]

    def inner(self, name: str, default: Any = ...) -> Fields:
        return Fields(self._take(name, default), self.at(name))

    def optional_inner(self, name: str) -> Fields | None:
        value = self._take(name, None)
        return None if value is None else Fields(value, self.at(name))

    def done(self) -> None:
        for name in self.left:
            near = difflib.get_close_matches(name, self._known, 1)
            fix = f"did you mean {near[0]!r}?" if near else f"remove it; known are {', '.join(self._known)}"
            raise SpecError(f"{self.at(name)}: unknown field; {fix}")


def _kind(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
