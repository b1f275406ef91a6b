"""Server-sent events (WHATWG HTML, section 9.2) that end when the server stops and show that they are alive."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse

HEARTBEAT_S = 3.0
"""wall clock: a reader that hears nothing for a few of these knows that what it shows is old"""


def message(event: str, data: Any, *, event_id: int | None = None) -> bytes:
    """One event. JSON escapes line breaks, so one data line is enough."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n".encode()


class EventStream(StreamingResponse):
    """`text/event-stream` of `messages`, with `beat()` sent whenever nothing else was for HEARTBEAT_S."""

    def __init__(self, messages: AsyncIterator[bytes], *, beat: Callable[[], bytes], stopping: asyncio.Event) -> None:
        super().__init__(
            _alive(messages, beat, stopping),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _alive(
    messages: AsyncIterator[bytes], beat: Callable[[], bytes], stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    stop = asyncio.create_task(stopping.wait(), name="sse-stop")
    pending: asyncio.Task[bytes | None] | None = None
    try:
        yield beat()
        while True:
            pending = pending or asyncio.create_task(_next(messages), name="sse-next")
            done, _ = await asyncio.wait({pending, stop}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if stop in done:
                return
            if not done:
                yield beat()
                continue
            item = pending.result()
            pending = None
            if item is None:
                return
            yield item
    finally:
        tasks = [task for task in (stop, pending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        close = getattr(messages, "aclose", None)
        if close is not None:
            with contextlib.suppress(RuntimeError):
                await close()


async def _next(messages: AsyncIterator[bytes]) -> bytes | None:
    return await anext(messages, None)
