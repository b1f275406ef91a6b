"""Work takes turns on the loop: one piece at a time, what is due first first, and everybody else in between.

A zone that closes across a hundred routes asks for a hundred decisions and hundreds of plans in one instant. Done as
they come they would keep the loop for a second at a time, and a vehicle that must be told to hold would wait for the
routes of all others. So looks go before plans, and no plan is begun while a command is on its way to the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Iterator
from itertools import count

MOST_PASSED = 50
"""turns of what goes first, after which one is given here all the same: a flood of looks must not end all planning"""
BETWEEN = 8
"""times that the loop turns before a turn of what does not go first: meanwhile what has come in is taken off its
connections, and what waits for the record or for an answer goes on"""


class Turns:
    """Who is due first is served first, and so everybody is in the end; equals in the order in which they came."""

    def __init__(self, first: Turns | None = None) -> None:
        """`first`: while somebody waits for a turn there, none is given here."""
        self._first = first
        self._then: Turns | None = None
        if first is not None:
            first._then = self
        self._passed = self._quiet = 0
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
                # Not at once: whoever has just finished may ask again, and may be the next.
                loop.call_soon(self._free, BETWEEN if self._first is not None else 0)

    def _free(self, passes: int) -> None:
        if passes:
            asyncio.get_running_loop().call_soon(self._free, passes - 1)
            return
        self._taken = False
        self._give()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """No turn is given inside: what is on its way, as a command into the record, is not to wait for one."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1
            if not self._quiet:
                asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        if not self._quiet and not self._others_first():
            while self._waiting and not self._taken:
                turn = heapq.heappop(self._waiting)[2]
                if not turn.done():  # whoever was cancelled does not wait any more
                    self._taken, self._passed = True, 0
                    turn.set_result(None)
        if self._then is not None:
            self._then._give()

    def _others_first(self) -> bool:
        if self._first is None or not (self._first._waiting or self._first._taken) or self._passed >= MOST_PASSED:
            return False
        self._passed += 1
        return True
