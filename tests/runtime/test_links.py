"""A flight over a link that comes and goes: told seldom, and nothing is commanded twice."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fleet.virtual import run_virtual
from tests.runtime.rig import Rig, rig

Story = Callable[[Rig], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    async def main() -> None:
        async with rig() as r:
            await story(r)

    run_virtual(main())


def test_a_link_that_is_up_one_second_in_five_for_half_an_hour_is_told_once_a_minute_at_most() -> None:
    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.speed_m_s, vehicle.drain_pct_s = 2.5, 0.005
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(20)
        vehicle = r.vehicle_of(order_id)
        before = list(vehicle.commands)
        told_before = len(r.events(order_id, "decision"))
        for _ in range(30 * 60 // 5):
            vehicle.go_silent()
            await r.clock.sleep(4.0)
            vehicle.be_heard()
            await r.clock.sleep(1.0)
        told = r.events(order_id, "decision")[told_before:]
        assert r.order(order_id).state == "in_flight"
        assert vehicle.commands == before
        assert len(told) <= 30, [d["decision"]["sentence"] for d in told]

    tell(story)


def test_a_link_that_is_up_one_second_in_six_is_lost_again_and_again_and_told_once_a_minute_at_most() -> None:
    """The same a little slower, so that every gap is longer than what counts as a lost link."""

    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.speed_m_s, vehicle.drain_pct_s = 2.5, 0.005
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(20)
        vehicle = r.vehicle_of(order_id)
        before = list(vehicle.commands)
        told_before = len(r.events(order_id, "decision"))
        for _ in range(30 * 10):
            vehicle.go_silent()
            await r.clock.sleep(5.0)
            vehicle.be_heard()
            await r.clock.sleep(1.0)
        told = r.events(order_id, "decision")[told_before:]
        assert vehicle.commands == before
        assert told
        assert len(told) <= 30, len(told)

    tell(story)
