"""A fake vehicle for random flights: its link falls silent, pilots take it over, PX4 returns by itself.

It notes every breach of what must hold whatever happens: see `breaches`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from fleet.mavlink.port import Outcome, UploadOutcome, Verdict
from geofences.geodesy import LatLon, distance_m
from missions.plan import Plan
from missions.snapshot import Mode, VehicleState
from tests.support.fake_vehicle import FakeVehicle

NO_ANSWER_S = 3.0
"""how long a command waits for an answer on a silent link"""
DATA_LINK_LOSS_S = 10.0
"""PX4's COM_DL_LOSS_T: after that it returns by itself, where it is set to"""
STAND_DOWN_S = 1.0
"""a session must be silent this long after a pilot's takeover"""


@dataclass
class WildVehicle(FakeVehicle):
    """Once sent, a command takes effect even if the controller that sent it is killed while it waits."""

    returns_when_silent: bool = False
    pilot_since_s: float | None = None
    let_go: int = 0
    """how often a box really left the mount"""
    may_command: Callable[[str], str] = lambda name: ""
    """the test's own view of whether this command is right: what is wrong with it, or nothing"""
    breaches: list[str] = field(default_factory=list)
    home: LatLon = field(init=False)
    _frozen: VehicleState | None = None
    _sent: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.home = self.at

    # what is heard

    def state(self) -> VehicleState:
        if self._frozen is not None:
            self._advance(self.clock.now_s())
            return self._frozen
        return super().state()

    def go_silent(self) -> None:
        self._frozen = self._frozen or super().state()
        super().go_silent()

    def be_heard(self) -> None:
        self._frozen = None
        super().be_heard()

    def forget(self) -> None:
        """A controller that starts now knows nothing of a vehicle that it does not hear."""
        if self._frozen is not None:
            self._frozen = VehicleState(self.vehicle_id)

    # who flies

    def take_over(self) -> None:
        self.mode, self.pilot_since_s = Mode.MANUAL, self.clock.now_s()

    def give_back(self) -> None:
        self.pilot_since_s = None

    # commands

    async def upload(self, plan: Plan, *, with_fence_and_rally: bool) -> UploadOutcome:
        return await self._outlive(super().upload(plan, with_fence_and_rally=with_fence_and_rally))

    async def release(self) -> Outcome:
        return await self._outlive(self._release())

    async def _release(self) -> Outcome:
        if self.released:
            self.breaches.append("released once more although the box is gone")
        before = self.released
        outcome = await super().release()
        if self.released and not before:
            self.let_go += 1
        return outcome

    async def _outlive(self, effect: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.create_task(effect, name=f"sent to {self.vehicle_id}")
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)
        return await asyncio.shield(task)

    async def _command(self, name: str, mode: Mode | None = None, *, arm: bool = False) -> Outcome:
        now_s = self.clock.now_s()
        if wrong := self.may_command(name):
            self.breaches.append(f"{name}: {wrong}")
        if self.pilot_since_s is not None and now_s - self.pilot_since_s > STAND_DOWN_S:
            self.breaches.append(f"{name} {now_s - self.pilot_since_s:.1f} s after a pilot took over")
        return await self._outlive(self._answer(name, mode, arm))

    async def _answer(self, name: str, mode: Mode | None, arm: bool) -> Outcome:
        if self._frozen is not None:
            self.commands.append(name)
            await self.clock.sleep(NO_ANSWER_S)
            return Outcome(Verdict.UNKNOWN, "no answer")
        flown_by_pilot = self.pilot_since_s is not None
        outcome = await super()._command(name, None if flown_by_pilot else mode, arm=arm and not flown_by_pilot)
        if self.pilot_since_s is not None:
            if mode is not None:
                self.mode = Mode.MANUAL  # the pilot's sticks win
            return Outcome(Verdict.REFUSED, "a pilot flies")
        return outcome

    # flight

    def _advance(self, now_s: float) -> None:
        dt = now_s - self.last_s
        super()._advance(now_s)
        silent_s = now_s - self.silent_since_s if self._frozen is not None and self.silent_since_s is not None else 0.0
        if (
            self.returns_when_silent
            and silent_s > DATA_LINK_LOSS_S
            and self.armed
            and self.mode in (Mode.MISSION, Mode.HOLD)
        ):
            self.mode = Mode.RETURN
        if self.armed and self.mode is Mode.RETURN:
            if distance_m(self.at, self.home) > 0.5:
                dt = self._towards(self.home, self.alt_amsl_m, dt)
            if distance_m(self.at, self.home) <= 0.5:
                self.mode = Mode.LAND
                self._descend(dt)
