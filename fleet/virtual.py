"""An event loop on virtual time: it never waits for a timer, it moves its clock to it.

The same program then runs an hour's flight in the time its work takes, and the same way each time. Sockets and threads
still work, but time does not wait for them: what must be deterministic keeps to one thread.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


MOST_TURNS = 100_000
"""of the loop without any time passing; a busy instant has a hundred"""


class StandstillError(RuntimeError):
    """A task that never waits would keep virtual time from passing for ever."""


class _Jump(selectors.DefaultSelector):
    """Looks for input and output without waiting; where nothing is ready, the loop's time moves on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns = self._turns + 1 if timeout is not None and timeout <= 0.0 else 0
        if self._turns > MOST_TURNS:
            raise StandstillError(f"at {self.now_s:.1f} s something goes in circles: time does not pass")
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            return super().select(None)  # nothing is scheduled: only a socket or a thread can go on
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        # Timers that are due within the clock's resolution count as due: virtual time has no such grain, but adding up
        # floating-point waits has.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jump.now_s


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
