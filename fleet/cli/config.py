"""`fleet config`: check configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output

app = typer.Typer(no_args_is_help=True, help="Check configuration files.")


@app.callback()
def _group() -> None:
    """Keeps `check` a subcommand while it is the only one."""


@app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="a fleet.yaml")], json: JsonFlag = False) -> None:
    """Check a configuration: every problem with its file, line, field and fix."""
    from fleet.cli.client import ApiReason
    from fleet.config import ConfigError, load_config

    out = Output(json)
    try:
        config = load_config(file)
    except ConfigError as error:
        reasons = [ApiReason("config_invalid", _place(p.file, p.line, p.field, p.text), p.fix) for p in error.problems]
        count = f"{len(reasons)} problem{'s' if len(reasons) != 1 else ''}"
        out.fail(ExitCode.REFUSED, f"{file} cannot be used: {count}", reasons=reasons)
    found = {"file": str(file), "ok": True, "sites": len(config.sites), "vehicles": len(config.vehicles)}
    out.data(found, f"{file} is good: {found['sites']} sites, {found['vehicles']} vehicles.")


def _place(file: str, line: int | None, field: str, text: str) -> str:
    return f"{file}{f':{line}' if line else ''}: {field} {text}".replace(":  ", ": ")
