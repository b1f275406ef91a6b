"""The root command: a table of commands, each loaded when it is run, and the last resort for what nobody expected."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from fleet.cli.output import ExitCode, fail, print_failure


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lives. `attribute` names a Typer app, a function, or `register(app)`, which adds it."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Lazy] = {
    "demo": Lazy("fleet.cli.run", "register", "Fly the demonstration: three orders, nothing to install."),
    "serve": Lazy("fleet.cli.run", "register", "Run the controller with a configuration."),
    "sim": Lazy("fleet.cli.run", "register", "Run simulated vehicles and boxes."),
    "scenario": Lazy("fleet.cli.run", "register", "Run a scenario and check how it ends."),
    "plan": Lazy("fleet.cli.plan_group", "app", "Plan a route with its reasons; check plan files."),
    "airspace": Lazy(
        "fleet.cli.airspace", "app", "Look at, check, convert and compare airspace files; the controller's zones."
    ),
    "order": Lazy("fleet.cli.orders", "app", "Place, follow, cancel and receive orders; record custody steps."),
    "vehicle": Lazy("fleet.cli.vehicles", "app", "List, show and command vehicles."),
    "record": Lazy("fleet.cli.record", "app", "Show and verify an order's hash-chained record; list its recordings."),
    "coldchain": Lazy("fleet.cli.coldchain", "app", "Judge a logger's file by a product's rules; list the products."),
    "config": Lazy("fleet.cli.config", "app", "Check configuration files."),
    "completion": Lazy("fleet.cli.completion", "completion", "Print the completion script of a shell."),
}


def load(name: str) -> Any:
    """The command itself, with its module imported."""
    lazy = COMMANDS[name]
    target = getattr(importlib.import_module(lazy.module), lazy.attribute)
    if isinstance(target, typer.Typer):
        command: Any = get_group(target)
        command.name, command.help = name, command.help or lazy.help
    else:
        holder = typer.Typer(add_completion=False)
        if lazy.attribute == "register":
            target(holder)
        else:
            holder.command(name)(target)
        command = get_group(holder).commands[name]
    return _plain(command)


def _plain(command: Any) -> Any:
    """Help and usage without Rich: importing its Markdown and syntax parts takes longer than all the rest."""
    command.rich_markup_mode = None
    for sub in getattr(command, "commands", {}).values():
        _plain(sub)
    return command


class LazyGroup(TyperGroup):
    """Lists every command by its line in the table; imports one only to run or complete it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, lazy in COMMANDS.items():
            if find_spec(lazy.module) is not None:
                self.add_command(TyperCommand(name, help=lazy.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, placeholder, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and placeholder else None, rest


app = typer.Typer(
    name="fleet",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Coldwing flies medicines to places that roads serve badly.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 refused with reasons, 4 not allowed, 5 unreachable or timed out.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("coldwing"))
        raise typer.Exit(ExitCode.DONE)


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an unexpected error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["COLDWING_DEBUG"] = "1"


def run() -> None:
    """Runs the command line; what nobody expected becomes one line, and its trace goes to the log."""
    try:
        sys.exit(app(prog_name="fleet", standalone_mode=False))
    except typer.TyperException as error:
        sys.exit(_usage(error))
    except typer.Abort:
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        sys.exit(_unexpected(error))


def _usage(error: Any) -> int:
    """What typer found wrong with the command line: as it says it, and as JSON where that was asked for."""
    error.show()
    known = sys.argv[1] in COMMANDS
    if "--json" in sys.argv:
        words = itertools.takewhile(lambda word: not word.startswith("-"), sys.argv[1 : 3 if known else 1])
        print_failure(ExitCode.USAGE, error.format_message(), f"see `{' '.join(['fleet', *words])} --help`")
    return int(error.exit_code)


def _unexpected(error: Exception) -> int:
    if os.environ.get("COLDWING_DEBUG"):
        traceback.print_exception(error)
    text = f"something went wrong inside fleet: {type(error).__name__}: {_one_line(error)}"
    try:
        fix = f"the trace is in {_log(error)}; `fleet --debug …` shows it here"
        fail(ExitCode.FAILED, text, fix, json="--json" in sys.argv)
    except typer.Exit as done:
        return done.exit_code


def _one_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def log_path() -> Path:
    """Where traces go: COLDWING_LOG, or the user's state directory (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get("COLDWING_LOG") or Path(state) / "coldwing" / "fleet.log")


def _log(error: Exception) -> str:
    path = log_path()
    lines = "".join(traceback.format_exception(error))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            # The command only: arguments may hold a token or a code.
            file.write(f"{datetime.now(UTC).isoformat()} fleet {' '.join(sys.argv[1:3])}\n{lines}\n")
    except OSError as cause:
        return f"no log ({path} cannot be written: {cause.strerror})"
    return str(path)
