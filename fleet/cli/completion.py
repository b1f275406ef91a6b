"""`fleet completion SHELL`: the script that makes a shell complete `fleet`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined] # typer re-exports it untyped


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="whose script to print")]) -> None:
    """Print the completion script of a shell, as in: source <(fleet completion bash)."""
    print(get_completion_script(prog_name="fleet", complete_var="_FLEET_COMPLETE", shell=shell.value))
