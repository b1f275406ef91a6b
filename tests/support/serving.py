"""The API over the fake fleet, as an ASGI app or really served, for the tests of the shells."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI

from fleet.api.app import create_app
from fleet.api.auth import Principal, Role, TokenTable
from fleet.api.server import serve
from fleet.service import OrderRequest
from tests.support.fake_service import START_S, FakeFleet

T = TypeVar("T")
TOKENS = {
    "op-token": Principal("olga", Role.OPERATOR),
    "clinic-token": Principal("clinic", Role.REQUESTER),
    "other-token": Principal("other", Role.REQUESTER),
    "view-token": Principal("vera", Role.VIEWER),
}


def make_app(fleet: FakeFleet, **more: Any) -> FastAPI:
    return create_app(fleet, TokenTable(TOKENS.items()), now_s=lambda: fleet.now_s, **more)


def request(**fields: Any) -> OrderRequest:
    """An order request that can be served."""
    values = {
        "product_id": "antibiotics",
        "destination_site": "ndeba",
        "recipient_ref": "req-2041",
        "mass_kg": 0.8,
        "volume_l": 2.0,
        "deadline_s": START_S + 3600.0,
    }
    return OrderRequest(**(values | fields))


@dataclass
class Served:
    """A fleet served on a free port by a loop in another thread; `do` changes the fleet inside that loop."""

    url: str
    fleet: FakeFleet
    loop: asyncio.AbstractEventLoop

    def do(self, change: Callable[[FakeFleet], T]) -> T:
        async def run() -> T:
            return change(self.fleet)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)


@contextmanager
def served(fleet: FakeFleet, **more: Any) -> Iterator[Served]:
    """For clients that block: browsers and command lines."""
    ready, found = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        try:
            async with serve(make_app(fleet, **more), port=0) as url:
                found.append(url)
                ready.set()
                await stop.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="served-fleet")
    thread.start()
    try:
        assert ready.wait(20)
        yield Served(found[0], fleet, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
