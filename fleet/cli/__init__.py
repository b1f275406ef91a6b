"""The command `fleet`. Nothing heavy is imported before the command that needs it runs."""

from __future__ import annotations


def main() -> None:
    """Runs the command line and exits with its code."""
    from fleet.cli.app import run

    run()
