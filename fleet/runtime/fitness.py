"""Whether each vehicle keeps its contract (firmware, parameters): looked at when it is first seen, and before flights.

An unfit vehicle is known before somebody needs it, and is not assigned; what mends it (a parameter set, a restart) is
noticed within half a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from fleet.clock import Clock
from fleet.mavlink.port import Outcome, VehiclePort, Verdict
from missions.snapshot import VehicleState

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
AGAIN_AFTER_S = 30.0
"""an unfit vehicle is checked again this often while it stands"""
AT_ONCE = 8
"""checks under way together: a fleet that boots at once must not crowd its links"""


@dataclass(frozen=True, slots=True)
class Fitness:
    """The last look at a vehicle, in one of its boots."""

    boot: int
    outcome: Outcome
    at_s: float


class FitnessDesk:
    """What was found, by vehicle. A session that checks its own vehicle before a flight reports here too."""

    def __init__(self, ports: Mapping[str, VehiclePort], clock: Clock, changed: Callable[[str], None]) -> None:
        """`changed(vehicle_id)` is called when a vehicle became fit or unfit."""
        self._ports = ports
        self._clock = clock
        self._changed = changed
        self._known: dict[str, Fitness] = {}

    def why_not(self, vehicle_id: str, state: VehicleState) -> str | None:
        """Why the vehicle may not be assigned; None if it keeps its contract, as far as is known in this boot."""
        known = self._known.get(vehicle_id)
        if known is None or known.boot != state.boot:
            return "its firmware and parameters are being checked"
        return None if known.outcome.ok else f"unfit: {known.outcome.text}"

    async def check(self, vehicle_id: str) -> Outcome:
        """Looks now."""
        port = self._ports[vehicle_id]
        boot = port.state().boot
        outcome = await port.check()
        before = self._known.get(vehicle_id)
        self._known[vehicle_id] = Fitness(boot, outcome, self._clock.now_s())
        if before is None or before.outcome.ok != outcome.ok or before.boot != boot:
            if not outcome.ok:
                log.warning("vehicle unfit", vehicle=vehicle_id, reason=outcome.text)
            self._changed(vehicle_id)
        return outcome

    async def run(self, busy: Callable[[str], bool]) -> None:
        """Checks each vehicle that stands disarmed and is not `busy` with a flight, until cancelled."""
        slots = asyncio.Semaphore(AT_ONCE)
        under_way: set[str] = set()

        async def look(vehicle_id: str) -> None:
            try:
                async with slots:
                    if not busy(vehicle_id):
                        await self.check(vehicle_id)
            except Exception:
                log.exception("the check of a vehicle failed", vehicle=vehicle_id)
            finally:
                under_way.discard(vehicle_id)

        async with asyncio.TaskGroup() as tasks:
            while True:
                now_s = self._clock.now_s()
                for vehicle_id, port in self._ports.items():
                    if vehicle_id not in under_way and not busy(vehicle_id) and self._due(port.state(), now_s):
                        under_way.add(vehicle_id)
                        tasks.create_task(look(vehicle_id), name=f"fitness {vehicle_id}")
                await self._clock.sleep(LOOK_EVERY_S)

    def _due(self, state: VehicleState, now_s: float) -> bool:
        if state.heard_s is None or now_s - state.heard_s > AGAIN_AFTER_S or state.armed is None or state.armed.value:
            return False
        known = self._known.get(state.vehicle_id)
        if known is None or known.boot != state.boot:
            return True
        pause_s = AGAIN_AFTER_S if known.outcome.verdict is Verdict.REFUSED else AGAIN_AFTER_S / 6
        return not known.outcome.ok and now_s - known.at_s > pause_s
