"""Routes about airspace zones, in Coldwing's GeoJSON."""

from __future__ import annotations

import json

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from fleet.api.deps import Ctx, Operator, Reader, known_query
from fleet.api.docs import problems
from fleet.api.problems import ProblemError, refuse, unwrap
from fleet.api.views import AirspaceChange
from geofences.formats import geojson
from missions.plan import Reason

router = APIRouter(
    prefix="/v1/airspace", tags=["airspace"], responses=problems(401, 403), dependencies=[Depends(known_query)]
)
_EXAMPLE = {
    "type": "Feature",
    "properties": {
        "id": "closure-7",
        "name": "Helicopter work",
        "role": "keep_out",
        "restriction": "PROHIBITED",
        "lower_m": 0,
        "lower_datum": "AGL",
        "upper_m": 150,
        "upper_datum": "AGL",
        "radius_m": 800,
    },
    "geometry": {"type": "Point", "coordinates": [38.17, 7.52]},
}


@router.get(
    "/zones",
    response_class=Response,
    responses={
        200: {
            "description": "A GeoJSON FeatureCollection; `airspace_version` says which state of the airspace it is.",
            "content": {"application/geo+json": {"schema": {"type": "object"}}},
        }
    },
)
async def list_zones(ctx: Ctx, _who: Reader) -> Response:
    """All zones, with heights, datum and times."""
    version, zones = ctx.service.zones()
    collection = {**geojson.dump(zones), "airspace_version": version}
    return Response(json.dumps(collection, ensure_ascii=False), media_type="application/geo+json")


@router.post(
    "/zones",
    status_code=201,
    response_model=AirspaceChange,
    responses=problems(400, 409, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/geo+json": {"schema": {"type": "object"}, "example": _EXAMPLE}},
        }
    },
)
async def add_zone(ctx: Ctx, who: Operator, request: Request) -> AirspaceChange:
    """Adds one zone; flights are re-checked against it at once."""
    text = (await request.body()).decode("utf-8", "replace")
    parsed = await run_in_threadpool(geojson.parse, text, "request")
    if not parsed.ok:
        reasons = [
            Reason("zone_invalid", f"{p.feature_id} {p.field}: {p.text}".strip(" :"), p.fix) for p in parsed.problems
        ]
        raise ProblemError(422, "The zone is not valid", reasons)
    if len(parsed.zones) != 1:
        found = f"The request holds {len(parsed.zones)} zones."
        raise refuse(
            422, "Not one zone", "zone_count", found, "Send one zone per request, so that it is all or nothing."
        )
    zone = parsed.zones[0]
    version = unwrap(await ctx.service.add_zone(zone, actor=who.name))
    return AirspaceChange(airspace_version=version, zone_id=zone.zone_id)


@router.delete("/zones/{zone_id}", response_model=AirspaceChange, responses=problems(404, 409, 422, 503))
async def withdraw_zone(ctx: Ctx, who: Operator, zone_id: str) -> AirspaceChange:
    """Withdraws a zone; flights are re-checked at once."""
    version = unwrap(await ctx.service.withdraw_zone(zone_id, actor=who.name))
    return AirspaceChange(airspace_version=version, zone_id=zone_id)
