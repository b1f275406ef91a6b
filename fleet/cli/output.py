"""What every command of `fleet` shares: data on stdout, talk on stderr, exit codes, refusals with their reasons."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    """refused with reasons"""
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    """unreachable or timed out"""


class ReasonLike(Protocol):
    """`missions.plan.Reason`, or anything shaped like it."""

    @property
    def code(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def fix(self) -> str: ...


JsonFlag = Annotated[bool, typer.Option("--json", help="print JSON on stdout instead of text")]
"""The type of every command's `json` parameter: `json: JsonFlag = False`."""


def console(*, stderr: bool = False) -> Console:
    """A Rich console; without a terminal it is wide enough not to fold what a program reads."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False, soft_wrap=not stream.isatty())


def fail(
    exit_code: ExitCode | int, sentence: str, fix: str = "", *, reasons: Sequence[ReasonLike] = (), json: bool = False
) -> NoReturn:
    """Says what is wrong and what to do about it on stderr and ends the command with that exit code.

    With `json`, stdout also gets one object: {"error": {exit_code, text, fix, reasons}}.
    """
    from rich.text import Text

    err = console(stderr=True)
    err.print(Text.assemble(("error: ", "bold red"), sentence))
    for reason in reasons:
        err.print(Text.assemble("  - ", reason.text, (f"  [{reason.code}]", "dim")))
        if reason.fix:
            err.print(Text.assemble(("    fix: ", "bold"), reason.fix))
    if fix:
        err.print(Text.assemble(("  fix: ", "bold"), fix))
    if json:
        print_failure(exit_code, sentence, fix, reasons)
    raise typer.Exit(int(exit_code))


def print_failure(exit_code: ExitCode | int, text: str, fix: str = "", reasons: Sequence[ReasonLike] = ()) -> None:
    """A failure as one JSON object on stdout."""
    listed = [{"code": r.code, "text": r.text, "fix": r.fix} for r in reasons]
    _print_json({"error": {"exit_code": int(exit_code), "text": text, "fix": fix, "reasons": listed}})


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's results go. With `json`, stdout carries JSON only."""

    json: bool = False

    def say(self, text: str) -> None:
        """Talk: one line on stderr."""
        from rich.text import Text

        console(stderr=True).print(Text(text))

    def data(self, value: Any, human: Any = None) -> None:
        """The result on stdout: `value` as JSON, or `human` (a string or Rich renderable) for people."""
        if self.json or human is None:
            _print_json(value)
        else:
            console().print(human, markup=False)

    def line(self, value: Any, human: str) -> None:
        """One of many results as they come: one JSON value per line, or one line of text; flushed at once."""
        print(json_module.dumps(to_json(value), ensure_ascii=False) if self.json else human, flush=True)

    def table(self, value: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "none") -> None:
        """`value` as JSON, or a table of `rows` for people; `empty` is said when there are no rows."""
        if self.json:
            _print_json(value)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text("–" if cell is None or cell == "" else str(cell)) for cell in row))
        if table.row_count:
            console().print(table)
        else:
            self.say(empty)

    def fail(
        self, exit_code: ExitCode | int, sentence: str, fix: str = "", *, reasons: Sequence[ReasonLike] = ()
    ) -> NoReturn:
        """`fail`, in this output's format."""
        fail(exit_code, sentence, fix, reasons=reasons, json=self.json)


def to_json(value: Any) -> Any:
    """Dataclasses, enums, sets and datetimes as plain JSON values."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, dict):
        return {str(to_json(k)): to_json(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((to_json(v) for v in value), key=str)
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def when(at_s: float | None) -> str:
    """Seconds since the Unix epoch as RFC 3339 in UTC, to the second; `–` for None."""
    return "–" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_json(value: Any) -> None:
    print(json_module.dumps(to_json(value), indent=2, ensure_ascii=False), flush=True)


def check_picture(out: Output, file: Path | None, option: str = "--map") -> None:
    """Ends with a usage error unless the file is a kind of picture that can be drawn: before the work, not after."""
    if file is not None and file.suffix.lower() not in (".png", ".html", ".htm"):
        out.fail(ExitCode.USAGE, f"{option} {file}: unknown kind of picture", "end it in .png or .html")
