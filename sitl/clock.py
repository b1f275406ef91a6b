"""The simulation's time: seconds since the Unix epoch by a clock that all processes of the machine share."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now_s(self) -> float: ...

    async def sleep(self, duration_s: float) -> None:
        """Waits for that long by this clock."""
        ...


class SharedClock:
    """`epoch_s + (CLOCK_MONOTONIC − monotonic_s) · speed`: two processes with the same three numbers agree."""

    def __init__(self, epoch_s: float, monotonic_s: float, speed: float) -> None:
        self.epoch_s, self.monotonic_s, self.speed = epoch_s, monotonic_s, speed

    def now_s(self) -> float:
        return self.epoch_s + (time.monotonic() - self.monotonic_s) * self.speed

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, duration_s / self.speed))
