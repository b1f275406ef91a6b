"""What is wrong with a logger's file."""

from __future__ import annotations

from pathlib import Path


class LogError(Exception):
    """A file that cannot be judged: the line (from 1; None for the whole file), what is wrong, and the fix."""

    def __init__(self, path: Path, line: int | None, text: str, fix: str) -> None:
        place = str(path) if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {text}; {fix}")
        self.path, self.line, self.text, self.fix, self.place = path, line, text, fix, place
