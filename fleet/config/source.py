"""YAML that remembers its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError

Loc = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """A file's data, the line of each part, and the files that were put in place of parts of it."""

    path: Path
    data: Any
    lines: dict[Loc, int]
    text: bytes
    includes: dict[Loc, Document] = field(default_factory=dict)

    def locate(self, loc: Loc) -> tuple[Document, Loc, int | None]:
        """The document that holds `loc`, `loc` within it, and its line or that of the nearest part around it."""
        for prefix, document in self.includes.items():
            if loc[: len(prefix)] == prefix:
                return document.locate(loc[len(prefix) :])
        near = loc
        while near and near not in self.lines:
            near = near[:-1]
        return self, loc, self.lines.get(near)

    def items(self, section: Loc) -> list[tuple[int, dict[str, Any]]]:
        """The mappings of a list in the file as written, the wrong ones too, with their indices."""
        data: Any = self.data
        for part in section:
            data = data.get(part) if isinstance(data, dict) else None
        listed = data if isinstance(data, list) else []
        read = [self.includes[*section, i].data if (*section, i) in self.includes else x for i, x in enumerate(listed)]
        return [(i, item) for i, item in enumerate(read) if isinstance(item, dict)]

    def item(self, section: Loc, key: str, name: str) -> Loc:
        """Where the list's item of that name stands."""
        return next(((*section, i) for i, item in self.items(section) if item.get(key) == name), section)


class SourceError(Exception):
    """A file that cannot be read or is not YAML."""

    def __init__(self, path: Path, line: int | None, text: str, fix: str) -> None:
        super().__init__(text)
        self.path, self.line, self.text, self.fix = path, line, text, fix


def read_yaml(path: Path) -> Document:
    """The file's one YAML document, which must be a mapping. Raises SourceError."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(path, None, "does not exist", "Check the path") from None
    except OSError as error:
        raise SourceError(
            path, None, f"cannot be read: {error.strerror}", "Check the path and its permissions"
        ) from None
    return parse_yaml(path, text)


def parse_yaml(path: Path, text: bytes) -> Document:
    """The same of text that is, or will be, that file's."""
    yaml = YAML(typ="safe", pure=True)
    try:
        data = yaml.load(text)
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        fix = "Mend the YAML at this line; look at the indentation, the colons and the quotes around it"
        raise SourceError(path, None if mark is None else mark.line + 1, f"is not YAML: {what}", fix) from None
    except ReaderError as error:
        line = text[: error.position].count(b"\n") + 1
        what = f"is not YAML in UTF-8: {error.reason}"
        raise SourceError(path, line, what, "Save it as UTF-8, without control characters") from None
    except (YAMLError, ValueError) as error:
        raise SourceError(path, None, f"is not YAML: {error}", "Mend it") from None
    if not isinstance(data, dict):
        raise SourceError(
            path, 1, "is not a mapping of keys", "Write keys with their values, one on each line, as `name: value`"
        )
    lines: dict[Loc, int] = {}
    _note_lines(node, (), lines)
    return Document(path, data, lines, text)


def _note_lines(node: Node, loc: Loc, lines: dict[Loc, int]) -> None:
    lines.setdefault(loc, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            lines[*loc, key.value] = key.start_mark.line + 1
            _note_lines(value, (*loc, key.value), lines)
    elif isinstance(node, SequenceNode):
        for i, item in enumerate(node.value):
            _note_lines(item, (*loc, i), lines)
