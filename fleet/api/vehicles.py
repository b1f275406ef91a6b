"""Routes about vehicles, sites and the live picture."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Depends, Response

from fleet.api import sse
from fleet.api.deps import Context, Ctx, Operator, OrderReader, Reader, known_query
from fleet.api.docs import SSE_SCHEMA, problems
from fleet.api.models import CommandIn
from fleet.api.problems import refuse, unwrap
from fleet.api.views import Links, Sites, VehicleOut, Vehicles, link_out, rfc3339, site_out, vehicle_out

router = APIRouter(prefix="/v1", responses=problems(401, 403), dependencies=[Depends(known_query)])


@router.get("/vehicles", response_model=Vehicles, tags=["vehicles"])
async def list_vehicles(ctx: Ctx, _who: Reader) -> Vehicles:
    """All vehicles as last known."""
    return Vehicles(vehicles=[vehicle_out(v) for v in ctx.service.vehicles()])


@router.get("/vehicles/{vehicle_id}", response_model=VehicleOut, tags=["vehicles"], responses=problems(404))
async def get_vehicle(ctx: Ctx, _who: Reader, vehicle_id: str) -> VehicleOut:
    """One vehicle as last known."""
    view = ctx.service.vehicle(vehicle_id)
    if view is None:
        raise refuse(404, "No such vehicle", "vehicle_unknown", f"There is no vehicle {vehicle_id!r}.", "Check its id.")
    return vehicle_out(view)


@router.post(
    "/vehicles/{vehicle_id}/commands",
    response_model=VehicleOut,
    tags=["vehicles"],
    responses=problems(404, 409, 413, 422, 503),
)
async def command_vehicle(ctx: Ctx, who: Operator, vehicle_id: str, body: CommandIn) -> VehicleOut:
    """An operator's request: hold, resume (also hands authority back), return, land; or an answer to what it proposes:
    confirm, decline."""
    return vehicle_out(unwrap(await ctx.service.command(vehicle_id, body.command, actor=who.name)))


@router.get("/links", response_model=Links, tags=["vehicles"])
async def list_links(ctx: Ctx, _who: Reader) -> Links:
    """The MAVLink links to the fleet: what comes in, what is dropped, and who was not admitted and why."""
    return Links(links=[link_out(view) for view in ctx.service.links()])


@router.get("/sites", response_model=Sites, tags=["airspace"])
async def list_sites(ctx: Ctx, _who: OrderReader) -> Sites:
    """Hubs, clinics, re-icing stations and alternate landing sites."""
    return Sites(sites=[site_out(s) for s in ctx.service.sites()])


@router.get(
    "/live",
    response_class=Response,
    tags=["live"],
    responses={
        200: {
            "description": "`text/event-stream`: the whole picture once, then changes. `event` is order, vehicle, "
            'airspace, alarm or alive; `data` is `{"at": time, KIND: view}`. Something comes at least every 3 s.',
            "content": {"text/event-stream": {"schema": SSE_SCHEMA}},
        }
    },
)
async def live(ctx: Ctx, _who: Reader) -> Response:
    """Everything as it happens, for consoles."""
    return sse.EventStream(_messages(ctx), beat=lambda: sse.message("alive", {"at": _now(ctx)}), stopping=ctx.stopping)


def _now(ctx: Context) -> str:
    return rfc3339(ctx.now_s())


async def _messages(ctx: Context) -> AsyncIterator[bytes]:
    async for event in ctx.service.live():
        data = event.data
        if event.kind == "order" and data.get("confirmation_code") is not None:
            data = {**data, "confirmation_code": None}  # the code is the recipient's alone
        yield sse.message(event.kind, {"at": _now(ctx), event.kind: data})
