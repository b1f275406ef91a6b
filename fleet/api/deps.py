"""What every route needs: the service, who asks, and whether they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fleet.api.auth import Principal, Right, Role, TokenTable
from fleet.api.problems import ProblemError, refuse
from fleet.service import FleetService, OrderView


@dataclass(slots=True)
class Context:
    """What the application's routes share."""

    service: FleetService
    auth: TokenTable
    now_s: Callable[[], float]
    base_map: Path | None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    placing: set[tuple[str, str]] = field(default_factory=set)
    """(requester, idempotency key) of orders being placed just now"""
    verdicts_shown: dict[tuple[str, str], str] = field(default_factory=dict)
    """(name, order id) → the cold verdict that was last shown to them; lost on restart: then they read it again"""


def context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


_bearer = HTTPBearer(auto_error=False, description="a token of the configuration; its role decides what it may do")
Ctx = Annotated[Context, Depends(context)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def principal(ctx: Ctx, credentials: Credentials) -> Principal:
    """Who asks; 401 without a known token."""
    found = ctx.auth.find(credentials.credentials) if credentials else None
    if found is None:
        code = "token_unknown" if credentials else "token_missing"
        text = "The token is not known." if credentials else "This needs a token."
        error = refuse(401, "Not signed in", code, text, "Send `Authorization: Bearer TOKEN` with a configured token.")
        raise ProblemError(401, error.title, error.reasons, {"WWW-Authenticate": "Bearer"})
    if found.may(Right.OPERATE):
        ctx.service.operator_seen()
    return found


def _allow(right: Right, fix: str) -> Callable[[Principal], Principal]:
    def check(who: Annotated[Principal, Depends(principal)]) -> Principal:
        if not who.may(right):
            text = f"The role {who.role} of {who.name} does not allow this."
            raise refuse(403, "Not allowed", "role_not_allowed", text, fix)
        return who

    return check


Reader = Annotated[Principal, Depends(_allow(Right.READ, "Use a viewer's or an operator's token."))]
OrderReader = Annotated[Principal, Depends(_allow(Right.ORDERS, "Use another token."))]
Requester = Annotated[Principal, Depends(_allow(Right.PLACE, "Use a requester's or an operator's token."))]
Operator = Annotated[Principal, Depends(_allow(Right.OPERATE, "Use an operator's token."))]


def known_query(request: Request) -> None:
    """Refuses query parameters that the route does not have: a mistyped filter would otherwise filter nothing."""
    names = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in names:
            text = f"There is no query parameter {name!r} here."
            fix = f"Use {', '.join(sorted(names))}." if names else "Leave it out."
            raise refuse(422, "Unknown query parameter", "query_unknown", text, fix)


def visible_order(ctx: Context, who: Principal, order_id: str) -> OrderView:
    """The order, or 404: also for a requester who asks for another's, so that ids cannot be tried out."""
    view = ctx.service.order(order_id)
    if view is None or (who.role is Role.REQUESTER and ctx.service.requester_of(order_id) != who.name):
        raise refuse(404, "No such order", "order_unknown", f"There is no order {order_id!r} for you.", "Check its id.")
    return view
