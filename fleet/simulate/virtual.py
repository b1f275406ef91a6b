"""A stage in virtual time: nothing waits for the wall, and the same seed gives the same run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fleet.clock import LoopClock
from fleet.simulate.inprocess import InProcessStage, in_process, sim_fields
from fleet.simulate.scenario import Scenario
from sitl.simulation import Simulation
from sitl.spec import SimSpec

TICK_S = 0.1
"""what vehicles and boxes say in this time arrives together: a latency that no decision notices"""


@asynccontextmanager
async def virtual_stage(scenario: Scenario, seed: int) -> AsyncIterator[InProcessStage]:
    """Alive inside; to be entered on a `fleet.virtual.VirtualLoop`."""
    clock = LoopClock(scenario.start_s)
    spec = SimSpec.from_dict(sim_fields(scenario, seed))
    made: list[Simulation] = []

    def simulated(emit: Callable[[dict[str, Any]], None]) -> Simulation:
        made.append(Simulation(spec, clock=clock, emit=emit, sockets=False))
        return made[0]

    stage = InProcessStage(
        "virtual", in_process(scenario.config), clock, simulated, seed=seed, tick_s=TICK_S, offload=_inline
    )
    async with stage.playing(made[0].world.advance):
        yield stage


async def _inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """In place of a thread, which virtual time would not wait for."""
    return function(*arguments)
