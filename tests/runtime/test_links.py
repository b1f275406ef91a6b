"""A flight over a link that comes and goes: told seldom, and nothing is commanded twice."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fleet.virtual import run_virtual
from tests.runtime.rig import Rig, rig

Story = Callable[[Rig], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    async def main() -> None:
        async with rig() as r:
            await story(r)

    run_virtual(main())


@pytest.mark.parametrize("down_s", [4.0, 5.0])
def test_a_link_that_is_up_one_second_at_a_time_for_half_an_hour_is_told_once_a_minute_at_most(down_s: float) -> None:
    """With gaps just shorter, and longer, than what counts as a lost link."""

    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.speed_m_s, vehicle.drain_pct_s = 2.5, 0.005
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(20)
        vehicle = r.vehicle_of(order_id)
        before = list(vehicle.commands)
        told_before = len(r.events(order_id, "decision"))
        for _ in range(round(30 * 60 / (down_s + 1.0))):
            vehicle.go_silent()
            await r.clock.sleep(down_s)
            vehicle.be_heard()
            await r.clock.sleep(1.0)
        told = r.events(order_id, "decision")[told_before:]
        assert vehicle.commands == before
        assert bool(told) is (down_s > r.config.policy.link_stale_s)
        assert len(told) <= 30, [d["decision"]["sentence"] for d in told]

    tell(story)
