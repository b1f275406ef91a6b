"""The application: routes, errors, metrics, health, and the console's files."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security.utils import get_authorization_scheme_param
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.api import airspace, orders, problems, vehicles
from fleet.api.auth import Principal, Role, TokenTable
from fleet.api.deps import Context, Ctx, Reader, principal
from fleet.api.docs import document
from fleet.api.docs import problems as problems_of
from fleet.api.metrics import FleetCollector, RequestMetrics
from fleet.api.problems import LastResort
from fleet.api.views import HealthOut
from fleet.service import FleetService

MAX_BODY_BYTES = 1_000_000
"""a zone of 10,000 vertices (ASTM F3548-21's limit) is some 400 kB of GeoJSON"""

_DESCRIPTION = """
Medicines by air: place orders, follow them, watch the fleet, change the airspace.

Errors are RFC 9457 `application/problem+json` with `reasons`, each with a code, a sentence and a fix. Times are
RFC 3339; units are in the names. **No patient data**: `recipient_ref` is your own opaque reference.
"""
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
}


def create_app(
    service: FleetService,
    auth: TokenTable,
    *,
    base_map: Path | None = None,
    now_s: Callable[[], float] = time.time,
    registry: CollectorRegistry | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The API and console over `service`.

    `base_map` is the console's GeoJSON background, `now_s` the controller's clock, and `registry` may hold further
    metrics of the process.
    """
    registry = registry if registry is not None else CollectorRegistry()
    app = FastAPI(
        title="Coldwing",
        version=_version(),
        description=_DESCRIPTION,
        docs_url=None,  # the documentation pages of FastAPI load scripts from the internet
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    document(app)
    app.state.context = Context(service, auth, now_s, base_map)
    problems.install(app)
    for router in (orders.router, vehicles.router, airspace.router):
        app.include_router(router)
    _operations(app, registry)
    _console(app, base_map)
    registry.register(FleetCollector(service))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(LastResort, max_body_bytes=max_body_bytes)
    app.add_middleware(RequestMetrics, registry=registry)
    return app


class SecurityHeaders:
    """Headers that keep a browser from running or framing what is not ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, sending)


class Me(BaseModel):
    name: str
    role: Role


def _operations(app: FastAPI, registry: CollectorRegistry) -> None:
    @app.get("/healthz", tags=["operations"], response_model=dict[str, str])
    async def healthz() -> dict[str, str]:
        """The process answers. Open."""
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["operations"],
        response_model=HealthOut,
        responses={503: {"description": "Not ready", "model": HealthOut}},
    )
    async def readyz(ctx: Ctx, request: Request) -> Response:
        """Whether orders can be taken now. Open; with a token also says what is wrong."""
        health = ctx.service.health()
        known = ctx.auth.find(get_authorization_scheme_param(request.headers.get("Authorization"))[1]) is not None
        checks = {part: state if known or state == "ok" else "not ok" for part, state in health.checks.items()}
        return JSONResponse({"ready": health.ready, "checks": checks}, 200 if health.ready else 503)

    @app.get("/v1/me", tags=["operations"], response_model=Me, responses=problems_of(401))
    async def me(who: Annotated[Principal, Depends(principal)]) -> Me:
        """Whose token this is."""
        return Me(name=who.name, role=who.role)

    @app.get(
        "/metrics",
        tags=["operations"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems_of(401, 403)},
    )
    async def metrics(_who: Reader) -> Response:
        """Prometheus text format."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _console(app: FastAPI, base_map: Path | None) -> None:
    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/console/")

    @app.get("/console", include_in_schema=False)
    async def console() -> Response:
        return RedirectResponse("/console/")

    @app.get("/console/base.geojson", include_in_schema=False)
    def base(_who: Reader) -> Response:
        if base_map is None or not base_map.is_file():
            return JSONResponse({"type": "FeatureCollection", "features": []})
        return FileResponse(base_map, media_type="application/geo+json")

    static = Path(str(files("fleet.console") / "static"))
    app.mount("/console", StaticFiles(directory=static, html=True), name="console")


def _version() -> str:
    try:
        return version("coldwing")
    except PackageNotFoundError:
        return "0"
