"""`fleet config`: check configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output

if TYPE_CHECKING:
    from fleet.config import ConfigError

app = typer.Typer(no_args_is_help=True, help="Check configuration files.")


@app.callback()
def _group() -> None:
    """Keeps `check` a subcommand while it is the only one."""


@app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="a fleet.yaml")], json: JsonFlag = False) -> None:
    """Check a configuration and the files it names: every problem with its file, line, field and fix."""
    from fleet.config import ConfigError, load_airspace, load_config

    out = Output(json)
    try:
        config = load_config(file)
        zones = load_airspace(config).zones
    except ConfigError as error:
        refuse(out, error)
    counts = {
        "sites": len(config.sites), "vehicles": len(config.vehicles), "boxes": len(config.boxes), "zones": len(zones),
    }  # fmt: skip
    counted = ", ".join(f"{n} {what}" for what, n in counts.items())
    out.data({"file": str(file), "ok": True, **counts}, f"{file} is good: {counted}.")


def refuse(out: Output, error: ConfigError, what: str = "the configuration") -> NoReturn:
    """Ends a command whose configuration, or other such file, was refused: the same words in every command."""
    from missions.plan import Reason

    reasons = []
    for p in error.problems:
        place = p.file if p.line is None else f"{p.file}:{p.line}"
        reasons.append(Reason("config_invalid", f"{place}: {p.field} {p.text}".replace(":  ", ": "), p.fix))
    count = f"{len(reasons)} problem{'s' if len(reasons) != 1 else ''}"
    out.fail(ExitCode.REFUSED, f"{what} cannot be used: {count}", reasons=reasons)
