"""A vehicle that breaks its contract is known before somebody needs it, and never flies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fleet.mavlink.watch import EventKind, LinkEvent
from fleet.virtual import run_virtual
from tests.runtime.rig import Rig, rig

Story = Callable[[Rig], Coroutine[Any, Any, None]]
WRONG = "parameters: NAV_DLL_ACT is 0, required 2"


def tell(story: Story) -> None:
    async def main() -> None:
        async with rig() as r:
            await story(r)

    run_virtual(main())


def unfit(r: Rig, vehicle_id: str) -> str | None:
    view = r.service.vehicle(vehicle_id)
    assert view is not None
    return view.unfit


def test_an_unfit_vehicle_is_shown_so_and_another_one_flies() -> None:
    async def story(r: Rig) -> None:
        r.vehicles["cw-1"].unfit = WRONG
        await r.until(lambda: unfit(r, "cw-2") is None)
        assert unfit(r, "cw-1") == f"unfit: {WRONG}"
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        assert r.order(order_id).vehicle_id != "cw-1"

    tell(story)


def test_where_all_are_unfit_the_order_waits_and_says_why_until_one_is_mended() -> None:
    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.unfit = WRONG
        order_id = (await r.place()).order.order_id
        await r.until(lambda: any(WRONG in reason.text for reason in r.order(order_id).reasons))
        assert r.order(order_id).state == "accepted"
        r.vehicles["cw-2"].unfit = ""
        await r.until_state(order_id, "in_flight", limit_s=120.0)
        assert r.order(order_id).vehicle_id == "cw-2"
        assert r.vehicles["cw-1"].commands == []

    tell(story)


def test_a_vehicle_is_checked_again_before_its_plan_and_before_its_start() -> None:
    async def story(r: Rig) -> None:
        await r.until(lambda: unfit(r, "cw-1") is None)
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        assert r.vehicle_of(order_id).checks == 3

    tell(story)


def test_a_vehicle_found_unfit_after_its_assignment_gives_the_order_back_at_once() -> None:
    async def story(r: Rig) -> None:
        await r.until(lambda: all(unfit(r, v) is None for v in r.vehicles))
        order_id = (await r.place()).order.order_id
        await r.until(lambda: r.order(order_id).vehicle_id is not None)
        first = r.vehicle_of(order_id)
        first.unfit = WRONG
        await r.until(lambda: r.order(order_id).vehicle_id not in (None, first.vehicle_id))
        assert first.commands == []
        assert unfit(r, first.vehicle_id) == f"unfit: {WRONG}"
        (abandoned,) = r.events(order_id, "abandoned")
        assert WRONG in abandoned["why"]
        await r.until_state(order_id, "in_flight")

    tell(story)


def test_a_reboot_makes_a_vehicle_unknown_until_it_was_looked_at_again() -> None:
    async def story(r: Rig) -> None:
        await r.until(lambda: unfit(r, "cw-1") is None)
        r.vehicles["cw-1"].boot = 1
        assert unfit(r, "cw-1") == "its firmware and parameters are being checked"
        await r.until(lambda: unfit(r, "cw-1") is None, limit_s=5.0)

    tell(story)


def test_what_others_do_to_a_vehicle_is_on_record_and_before_the_operators_eyes() -> None:
    async def story(r: Rig) -> None:
        alarms: list[Any] = []

        async def watch() -> None:
            async for line in r.service.live():
                if line.kind == "alarm":
                    alarms.append(line.data)  # noqa: PERF401

        watching = asyncio.create_task(watch())
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        vehicle_id = r.order(order_id).vehicle_id
        text = "cw-1: another station changed its mission: it will not be started on that plan"
        r.service.link_event(LinkEvent(EventKind.RIVAL_PLAN, text, r.clock.now_s(), vehicle_id))
        await r.clock.sleep(1.0)
        (event,) = r.events(order_id, "link_event")
        assert (event["what"], event["text"], event["vehicle_id"]) == ("rival_plan", text, vehicle_id)
        assert alarms == [{"text": text, "vehicle_id": vehicle_id, "order_id": order_id}]
        watching.cancel()
        idle = next(v for v in r.vehicles if v != vehicle_id)
        r.service.link_event(LinkEvent(EventKind.OTHER_GCS, "x", r.clock.now_s(), idle))
        r.service.link_event(LinkEvent(EventKind.REFUSED, "y", r.clock.now_s()))
        await r.clock.sleep(1.0)
        assert [e.body["text"] for e in r.store.events(f"vehicle/{idle}")] == ["x"]
        assert [e.body["text"] for e in r.store.events("fleet")] == ["y"]

    tell(story)
