"""Routes about orders: place, read, follow, cancel, receive, custody, record."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.responses import JSONResponse

from fleet.api import sse
from fleet.api.auth import Principal
from fleet.api.deps import Context, Ctx, Operator, OrderReader, Requester, known_query, visible_order
from fleet.api.docs import SSE_SCHEMA, problems
from fleet.api.models import CustodyIn, OrderIn, QuoteIn, ReceiptIn
from fleet.api.problems import refuse, unwrap
from fleet.api.views import (
    OrderOut,
    OrderPage,
    QuoteOut,
    RecordOut,
    event_out,
    order_out,
    quote_out,
)
from fleet.service import OrderView, RecordedEvent
from missions.orders import OrderState

router = APIRouter(prefix="/v1", tags=["orders"], responses=problems(401, 403), dependencies=[Depends(known_query)])
_KEY = re.compile(r'"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,128}"|[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]{1,128}')


def _idempotency_key(header: str | None) -> str:
    """The key of the Idempotency-Key header (IETF draft-07: a quoted string; bare ones are common and taken)."""
    if header is None:
        text = "The Idempotency-Key header is missing."
        fix = 'Send one new value per order, like `Idempotency-Key: "8e03978e-40d5"`, and the same one on a retry.'
        raise refuse(400, "Idempotency-Key is missing", "idempotency_key_missing", text, fix)
    if not _KEY.fullmatch(header):
        text = "The Idempotency-Key header is not a string of 1 to 128 printable ASCII characters."
        raise refuse(400, "Idempotency-Key is not valid", "idempotency_key_invalid", text, "Send a UUID in quotes.")
    return header.strip('"')


def _answer(ctx: Context, who: Principal, view: OrderView) -> OrderOut:
    return order_out(view, with_code=ctx.service.requester_of(view.order.order_id) == who.name)


@router.post(
    "/orders",
    status_code=201,
    response_model=OrderOut,
    responses={
        201: {"description": "Stored. Its state says whether it was accepted."},
        **problems(400, 404, 409, 413, 422, 503),
    },
)
async def place_order(
    ctx: Ctx,
    who: Requester,
    body: OrderIn,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="IETF draft-07: required; the same key and body give the same order", examples=['"8e03978e"']
        ),
    ] = None,
) -> OrderOut:
    """Places an order; it is stored durably before this answers."""
    key = _idempotency_key(idempotency_key)
    slot = (who.name, key)
    if slot in ctx.placing:
        text = "An order with this Idempotency-Key is being placed just now."
        raise refuse(409, "Still being placed", "idempotency_key_in_flight", text, "Wait a second and send it again.")
    ctx.placing.add(slot)
    try:
        view = unwrap(
            await ctx.service.place_order(
                body.to_request(body.recipient_ref),
                requester=who.name,
                idempotency_key=key,
                fingerprint=body.fingerprint(),
            )
        )
    finally:
        ctx.placing.discard(slot)
    response.headers["Location"] = f"/v1/orders/{view.order.order_id}"
    return _answer(ctx, who, view)


@router.get("/orders", response_model=OrderPage, responses=problems(422))
async def list_orders(
    ctx: Ctx,
    who: OrderReader,
    state: Annotated[list[OrderState], Query(description="only these states")] = [],  # noqa: B006 - FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=64, description="the last order id of the page before")] = None,
) -> OrderPage:
    """Orders, newest first. A requester sees its own."""
    mine = ctx.service.requester_of
    views = sorted(
        (
            v
            for v in ctx.service.orders()
            if (not state or v.state in state) and (who.role != "requester" or mine(v.order.order_id) == who.name)
        ),
        key=lambda v: (-v.order.requested_at_s, v.order.order_id),
    )
    start = 0
    if after is not None:
        ids = [v.order.order_id for v in views]
        if after not in ids:
            text = f"The order {after!r} of `after` is not in this list."
            raise refuse(422, "No such page", "cursor_unknown", text, "Start again without `after`.")
        start = ids.index(after) + 1
    page = views[start : start + limit]
    more = start + limit < len(views)
    query = [("after", page[-1].order.order_id), ("limit", limit), *(("state", s.value) for s in state)] if more else []
    return OrderPage(
        orders=[_answer(ctx, who, v) for v in page],
        total=len(views),
        next=f"/v1/orders?{urlencode(query)}" if more else None,
    )


@router.get("/orders/{order_id}", response_model=OrderOut, responses=problems(404))
async def get_order(ctx: Ctx, who: OrderReader, order_id: str) -> OrderOut:
    """One order. Reading it here is how a recipient is shown the cold verdict before the receipt."""
    view = visible_order(ctx, who, order_id)
    ctx.verdicts_shown[who.name, order_id] = view.verdict or "unknown"
    return _answer(ctx, who, view)


@router.post("/orders/{order_id}/cancel", response_model=OrderOut, responses=problems(404, 409, 422, 503))
async def cancel_order(ctx: Ctx, who: Requester, order_id: str) -> OrderOut:
    """Cancels an order that has not taken off."""
    visible_order(ctx, who, order_id)
    return _answer(ctx, who, unwrap(await ctx.service.cancel_order(order_id, actor=who.name)))


@router.post("/orders/{order_id}/receipt", response_model=OrderOut, responses=problems(404, 409, 413, 422, 503))
async def confirm_receipt(ctx: Ctx, who: Requester, order_id: str, body: ReceiptIn) -> OrderOut:
    """The recipient takes the medicine over: the one-time code and the verdict that was shown are needed."""
    visible_order(ctx, who, order_id)
    shown = ctx.verdicts_shown.get((who.name, order_id))
    if shown != body.verdict_seen:
        text = (
            "The cold verdict has not been shown to you yet."
            if shown is None
            else f"The cold verdict shown to you was {shown}, not {body.verdict_seen.value}."
        )
        fix = f"Read /v1/orders/{order_id}, check the verdict, and send it back as `verdict_seen`."
        raise refuse(409, "Verdict not shown", "verdict_not_shown", text, fix)
    outcome = await ctx.service.confirm_receipt(
        order_id, code=body.code, verdict_seen=body.verdict_seen.value, actor=who.name
    )
    return _answer(ctx, who, unwrap(outcome))


@router.post("/orders/{order_id}/custody", response_model=OrderOut, responses=problems(404, 409, 413, 422, 503))
async def custody(ctx: Ctx, who: Operator, order_id: str, body: CustodyIn) -> OrderOut:
    """Records what people did with the box: seal, load, hand over, re-ice."""
    visible_order(ctx, who, order_id)
    outcome = await ctx.service.custody(order_id, body.step, actor=who.name, detail=dict(body.detail))
    return _answer(ctx, who, unwrap(outcome))


@router.get("/orders/{order_id}/record", response_model=RecordOut, responses=problems(404))
async def get_record(ctx: Ctx, who: OrderReader, order_id: str) -> RecordOut:
    """The whole hash-chained record so far."""
    visible_order(ctx, who, order_id)
    stream = f"order/{order_id}"
    return RecordOut(stream=stream, events=[event_out(e) for e in ctx.service.record(stream)])


@router.get(
    "/orders/{order_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "`text/event-stream`: `id` is the event's seq, `event` its kind, `data` an EventOut; ends "
            "when the order is final. With `Accept: application/json` the events so far.",
            "content": {
                "text/event-stream": {"schema": SSE_SCHEMA},
                "application/json": {"schema": {"$ref": "#/components/schemas/RecordOut"}},
            },
        },
        **problems(400, 404, 422),
    },
)
async def follow_order(
    ctx: Ctx,
    who: OrderReader,
    order_id: str,
    request: Request,
    last_event_id: Annotated[str | None, Header(description="resume after this event")] = None,
    after: Annotated[int, Query(ge=0, le=2**53, description="the same for clients that cannot set headers")] = 0,
) -> Response:
    """An order's events, stored and then live."""
    visible_order(ctx, who, order_id)
    stream = f"order/{order_id}"
    after = after if last_event_id is None else _event_id(last_event_id)
    if "application/json" in request.headers.get("accept", ""):
        events = [event_out(e) for e in ctx.service.record(stream, after_seq=after)]
        return JSONResponse(RecordOut(stream=stream, events=events).model_dump(mode="json"))
    messages = _messages(ctx.service.follow(stream, after_seq=after))
    return sse.EventStream(messages, beat=lambda: b": alive\n\n", stopping=ctx.stopping)


def _event_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        detail = f"Last-Event-ID {text!r} is not an event id of this stream."
        raise refuse(400, "Last-Event-ID is not valid", "event_id_invalid", detail, "Send the last `id` you received.")
    return int(text)


async def _messages(events: AsyncIterator[RecordedEvent]) -> AsyncIterator[bytes]:
    async for event in events:
        yield sse.message(event.kind, event_out(event).model_dump(mode="json"), event_id=event.seq)


@router.post("/quotes", response_model=QuoteOut, tags=["quotes"], responses=problems(404, 409, 413, 422, 503))
async def quote(ctx: Ctx, _who: Requester, body: QuoteIn) -> QuoteOut:
    """Whether a delivery can be made now, by which route, with which battery and cold forecast."""
    return quote_out(unwrap(await ctx.service.quote(body.to_request())))
