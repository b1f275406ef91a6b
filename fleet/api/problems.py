"""Errors as RFC 9457 problem+json, each with reasons: a code for programs, a sentence and a fix for people."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.service import Refused
from missions.plan import Reason

PROBLEM_JSON = "application/problem+json"
log = logging.getLogger("fleet.api")
T = TypeVar("T")


class ReasonOut(BaseModel):
    """Why something cannot be."""

    code: str = Field(description="stable, for programs", examples=["order_too_heavy"])
    text: str = Field(description="one sentence for people")
    fix: str = Field(default="", description="what would change it")


class ProblemOut(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    reasons: list[ReasonOut] = []


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self, status: int, title: str, reasons: Sequence[Reason], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.reasons, self.headers = status, title, tuple(reasons), headers


def refuse(status: int, title: str, code: str, text: str, fix: str = "") -> ProblemError:
    """A problem with one reason."""
    return ProblemError(status, title, (Reason(code, text, fix),))


def unwrap(outcome: T | Refused) -> T:
    """The service's answer, or its refusal as a problem."""
    if isinstance(outcome, Refused):
        raise ProblemError(outcome.status, outcome.title, outcome.reasons)
    return outcome


def problem(
    status: int, title: str, reasons: Sequence[Reason] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """The problem document as a response."""
    body = ProblemOut(
        title=title,
        status=status,
        detail="; ".join(r.text for r in reasons),
        reasons=[ReasonOut(code=r.code, text=r.text, fix=r.fix) for r in reasons],
    )
    return JSONResponse(body.model_dump(mode="json"), status, headers=dict(headers or {}), media_type=PROBLEM_JSON)


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""

    @app.exception_handler(ProblemError)
    async def _problem(_: Request, error: ProblemError) -> Response:
        return problem(error.status, error.title, error.reasons, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "The request is not valid", [_validation_reason(e) for e in error.errors()])

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        title = HTTPStatus(error.status_code).phrase
        # RFC 9110 asks for every allowed method; the framework names those of the first route it met.
        headers = {"Allow": ", ".join(_allowed(request))} if error.status_code == 405 else error.headers
        return problem(error.status_code, title, [_http_reason(request, error)], headers)


def _validation_reason(error: Mapping[str, Any]) -> Reason:
    where = [str(part) for part in error["loc"]]
    place, field = where[0] if where else "body", ".".join(where[1:])
    name = f"{place} field {field}" if field else place
    fix = {
        "extra_forbidden": "Remove it: it is not a field of this request (see /openapi.json).",
        "missing": "Add it (see /openapi.json for the type and an example).",
        "json_invalid": "Send one valid JSON document in UTF-8.",
    }.get(error["type"], "Correct it (see /openapi.json for the type and an example).")
    return Reason("invalid_request", f"{name}: {error['msg']}", fix)


def _allowed(request: Request) -> list[str]:
    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if takes(method)]


def _http_reason(request: Request, error: HTTPException) -> Reason:
    path = request.url.path
    if error.status_code == 404:
        return Reason("no_such_path", f"There is nothing at {path}.", "See /openapi.json for what there is.")
    if error.status_code == 405:
        allowed = ", ".join(_allowed(request)) or "another method"
        return Reason("method_not_allowed", f"{path} does not take {request.method}.", f"Use {allowed}.")
    if error.status_code == 413:
        return Reason("body_too_large", str(error.detail), "Send less in one request.")
    return Reason("bad_request", str(error.detail), "See /openapi.json.")


class LastResort:
    """Outermost layer: limits the body's size, and turns what nobody expected into a 500 without its trace."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app, self._max = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, self._limited(scope, receive), sending)
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception("unexpected error %s at %s %s", error_id, scope["method"], scope["path"])
            if started:
                raise
            text = f"Something went wrong on our side (error {error_id})."
            fix = f"Try again; if it stays, look for {error_id} in the controller's log."
            await problem(500, "Internal error", [Reason("internal", text, fix)])(scope, receive, send)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        announced_bytes = int(announced) if announced.isdigit() and len(announced) < 20 else 0
        arrived = 0

        async def receiving() -> Message:
            nonlocal arrived
            if announced_bytes > self._max:
                raise self._too_large()
            message = await receive()
            arrived += len(message.get("body", b""))  # a chunked body announces nothing
            if arrived > self._max:
                raise self._too_large()
            return message

        return receiving

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"The body is over {self._max} bytes.", {"Connection": "close"})
