"""What begins several stories."""

from __future__ import annotations

from collections.abc import Callable

from fleet.service import CustodyStep
from tests.runtime.rig import Rig


async def flying(r: Rig, temp_c: float, pack_left_kj: float) -> str:
    """An order of a freeze-sensitive vaccine that has just taken off, in a box with that much left of its pack."""
    order_id = (await r.place("koru", "vaccine_freeze_sensitive")).order.order_id
    await r.until_state(order_id, "loading")
    box_id = r.order(order_id).box_id
    assert box_id is not None
    r.temps_c[box_id] = temp_c
    await r.custody(order_id, CustodyStep.SEAL, pack_left_kj=pack_left_kj)
    await r.until_state(order_id, "in_flight")
    return order_id


async def with_a_failing_box(r: Rig) -> str:
    """An order under way whose seal begins to leak: its pack lasts for a minute yet."""
    order_id = await flying(r, 5.0, 18.0)
    await r.clock.sleep(130)
    r.seal_ok = False
    return order_id


async def warming_until(r: Rig, order_id: str, condition: Callable[[], bool]) -> None:
    """The seal leaks eight times as much: the last of the pack lasts a minute, then 7 kJ/K warm from 38 °C air."""
    box_id = r.order(order_id).box_id
    assert box_id is not None
    for second in range(200):
        if condition():
            return
        temp = r.temps_c[box_id] or 0.0
        r.temps_c[box_id] = temp + (0.0 if second < 68 else (38.0 - temp) / (0.15 * 7000.0))
        await r.clock.sleep(1.0)
    raise AssertionError("it warmed for minutes and nothing came of it")
