"""The OpenAPI document: every error is described as the problem document that it is."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fleet.api.problems import PROBLEM_JSON, ProblemOut

Responses = dict[int | str, dict[str, Any]]
_METHODS = ("get", "post", "put", "patch", "delete")
SSE_SCHEMA = {
    "type": "object",
    "description": "one server-sent event; `data` is JSON",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
_OPEN = ("/healthz", "/readyz")


def problems(*statuses: int) -> Responses:
    """The documentation of problem answers."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def document(app: FastAPI) -> None:
    """Replaces FastAPI's own description of errors in the app's OpenAPI document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the documented way to extend it


def _described(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document["components"]["schemas"]
    for leftover in ("HTTPValidationError", "ValidationError"):
        schemas.pop(leftover, None)
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemOut"] = problem
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            responses = operations.get(method, {}).get("responses", {})
            for status, response in responses.items():
                if status[0] in "45" and path not in _OPEN:
                    responses[status] = {"description": response["description"], "content": content}
            if responses and path not in _OPEN:
                responses["default"] = {"description": "Any other problem", "content": content}
    return document
