"""A stage with real PX4s: the same people, boxes, faults and judges, against the wall clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fleet.clock import ScaledClock
from fleet.simulate.inprocess import InProcessStage, in_process, sim_fields
from fleet.simulate.processes import SimulatorError
from fleet.simulate.scenario import Scenario
from sitl.px4 import Px4Error, start_px4
from sitl.px4_faults import IMPOSSIBLE, impossible, vehicles_of
from sitl.px4_world import Px4Simulation
from sitl.spec import SimSpec

TICK_S = 0.02
SPEED = 2.0
"""four instances keep up with about four times real time on two cores, and the controller wants its share"""


def why_not(scenario: Scenario) -> list[str]:
    """What of the scenario no real PX4 can fly; empty if it can."""
    if scenario.file.not_on_px4:
        return [scenario.file.not_on_px4]
    spec = SimSpec.from_dict(sim_fields(scenario, scenario.file.seed))
    return impossible(spec) + [
        f"fault {h.name}: {IMPOSSIBLE[h.kind]}" for h in scenario.happenings if h.kind in IMPOSSIBLE
    ]


@asynccontextmanager
async def px4_stage(
    scenario: Scenario, *, speed: float | None, folder: Path, seed: int
) -> AsyncIterator[InProcessStage]:
    """One PX4 per vehicle, alive inside. Raises SimulatorError where there is none, or one does not get ready."""
    speed = speed or SPEED
    spec = SimSpec.from_dict(sim_fields(scenario, seed, speed))
    try:
        async with start_px4(vehicles_of(spec), speed=speed, folder=folder / "px4") as instances:
            clock = ScaledClock(speed, epoch_s=scenario.start_s, monotonic_s=time.monotonic())
            made: list[Px4Simulation] = []

            def simulated(emit: Callable[[dict[str, Any]], None]) -> Px4Simulation:
                made.append(Px4Simulation(spec, instances, clock=clock, emit=emit, sockets=False))
                return made[0]

            stage = InProcessStage(
                "px4",
                in_process(scenario.config),
                clock,
                simulated,
                seed=seed,
                tick_s=TICK_S * speed,
                offload=asyncio.to_thread,
            )
            async with made[0], asyncio.TaskGroup() as tasks:
                following = tasks.create_task(made[0].run(), name="px4 world")
                async with stage.playing(lambda now_s: None):
                    yield stage
                following.cancel()
    except Px4Error as error:
        raise SimulatorError(str(error)) from None
