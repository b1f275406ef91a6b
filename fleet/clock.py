"""The clock port: everything that waits or asks the time does it here.

Time is in seconds since the Unix epoch. A clock never steps: it reads the wall once and goes on by the monotonic
clock, so that an operator who sets the computer's time changes no time-out, lease or decision.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now_s(self) -> float:
        """The present, seconds since the Unix epoch."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Waits for that long by this clock; zero or less yields once."""
        ...

    def wall_s(self, duration_s: float) -> float:
        """How long a duration of this clock takes on the wall: for loop.call_later and socket time-outs."""
        ...


class ScaledClock:
    """Runs `speed` times as fast as the wall from `epoch_s` at `monotonic_s` on: processes share one time by these."""

    def __init__(self, speed: float = 1.0, *, epoch_s: float | None = None, monotonic_s: float | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"speed {speed} must be positive")
        self.speed = speed
        self.epoch_s = time.time() if epoch_s is None else epoch_s
        self.monotonic_s = time.monotonic() if monotonic_s is None else monotonic_s

    def now_s(self) -> float:
        return self.epoch_s + (time.monotonic() - self.monotonic_s) * self.speed

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, duration_s / self.speed))

    def wall_s(self, duration_s: float) -> float:
        return duration_s / self.speed


class LoopClock:
    """The running event loop's own time from `epoch_s` on; on a `fleet.virtual.VirtualLoop` that is virtual time."""

    def __init__(self, epoch_s: float) -> None:
        self.epoch_s = epoch_s

    def now_s(self) -> float:
        return self.epoch_s + asyncio.get_running_loop().time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, duration_s))

    def wall_s(self, duration_s: float) -> float:
        return duration_s
