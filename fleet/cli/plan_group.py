"""`fleet plan` and what belongs to it: without a further command it plans a route."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from fleet.cli.plan import plan
from fleet.cli.plan_check import check

ROUTE = "route"


class _RouteFirst(TyperGroup):
    """`fleet plan --from … --to …` is `fleet plan route --from … --to …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help", "-h"):
            args = [ROUTE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RouteFirst,
    no_args_is_help=True,
    help="Plan a route through the airspace (`fleet plan --from … --to …`), or check a plan file.",
)
app.command(ROUTE)(plan)
app.command("check")(check)
