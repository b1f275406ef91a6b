"""A fake vehicle whose commands outlive the controller that sent them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from fleet.mavlink.port import Outcome, UploadOutcome
from missions.plan import Plan
from missions.snapshot import Mode
from tests.support.fake_vehicle import FakeVehicle


@dataclass
class WildVehicle(FakeVehicle):
    """Once sent, a command takes effect even if the controller that sent it is killed while it waits."""

    let_go: int = 0
    """how often a box really left the mount"""
    _sent: set[asyncio.Task[Any]] = field(default_factory=set)

    async def upload(self, plan: Plan, *, with_fence_and_rally: bool) -> UploadOutcome:
        return await self._outlive(super().upload(plan, with_fence_and_rally=with_fence_and_rally))

    async def release(self) -> Outcome:
        return await self._outlive(self._release())

    async def _release(self) -> Outcome:
        before = self.released
        outcome = await super().release()
        if self.released and not before:
            self.let_go += 1
        return outcome

    async def _command(self, name: str, mode: Mode | None = None, *, arm: bool = False) -> Outcome:
        return await self._outlive(super()._command(name, mode, arm=arm))

    async def _outlive(self, effect: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.create_task(effect, name=f"sent to {self.vehicle_id}")
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)
        return await asyncio.shield(task)
