"""Work takes turns on the loop: one piece at a time, what is due first first, and everybody else in between.

A zone that closes across a hundred routes asks for a hundred decisions and hundreds of plans in one instant. Done as
they come they would keep the loop for a second at a time, and a vehicle that must be told to hold would wait for the
routes of all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator
from itertools import count


class Turns:
    """Who is due first is served first, and so everybody is in the end; equals in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = count()
        self._taken = False

    @contextlib.asynccontextmanager
    async def take(self, due_s: float) -> AsyncIterator[None]:
        """The body is one piece of work, some milliseconds long. Before it begins the loop has turned at least once."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (due_s, next(self._count), turn))
        loop.call_soon(self._give)
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._taken = False
                # Not at once: whoever has just finished may ask again, and may be the next.
                loop.call_soon(self._give)

    def _give(self) -> None:
        while self._waiting and not self._taken:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():  # whoever was cancelled does not wait any more
                self._taken = True
                turn.set_result(None)
