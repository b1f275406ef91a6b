"""A wind that rises in flight, in virtual time: another decision is taken before the battery shows it at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fleet.virtual import run_virtual
from missions.plan import Plan
from missions.snapshot import Timed, VehicleState, Wind
from tests.runtime.rig import Rig, rig

SPARE_PCT = 7.0
"""of battery above the reserve, for the flight in still air"""


def in_wind(r: Rig, blows: list[Wind]) -> None:
    """What the vehicles tell of the wind: the last of the list."""

    def told(state: Callable[[], VehicleState]) -> Callable[[], VehicleState]:
        return lambda: replace(state(), wind=Timed(blows[-1], r.clock.now_s()))

    for vehicle in r.vehicles.values():
        vehicle.state = told(vehicle.state)  # type: ignore[method-assign]


def test_a_risen_wind_turns_the_vehicle_back_before_the_reserve_is_touched():
    async def main() -> None:
        async with rig() as r:
            blows = [Wind(0.0, 0.0)]
            in_wind(r, blows)
            reserve = r.config.policy.reserve_pct
            plan, _ = r.supervisor.prospects.quote(r.ledger.orders[(await r.place("orvane")).order.order_id].order, 0.0)
            assert isinstance(plan, Plan)
            needs = plan.energy.start_pct - plan.energy.end_pct
            for vehicle in r.vehicles.values():
                vehicle.battery_pct = reserve + needs + SPARE_PCT
                vehicle.drain_pct_s = needs / (2.0 * (plan.arrive_s - plan.depart_s))
            (order_id,) = r.ledger.orders
            await r.until_phase(order_id, "outbound")
            vehicle = r.vehicle_of(order_id)
            await r.clock.sleep(60)
            assert [d["decision"]["candidate"] for d in r.events(order_id, "decision")][-1:] in ([], [None])
            blows.append(Wind(10.9, -4.4))  # against the course of 158°
            rose_s, had = r.clock.now_s(), vehicle.battery_pct
            await r.until(lambda: "return" in kinds(r, order_id) or "alternate" in kinds(r, order_id), 60.0)
            assert r.clock.now_s() - rose_s < 30.0, "candidates are made anew each 7.5 s"
            assert vehicle.battery_pct > had - 3.0
            await r.until_phase(order_id, None)
            assert vehicle.releases == 0
            assert vehicle.battery_pct > reserve, "it was early enough"

    run_virtual(main())


def kinds(r: Rig, order_id: str) -> list[str]:
    chosen = [d["decision"]["candidate"] for d in r.events(order_id, "decision")]
    return [c["kind"] for c in chosen if c is not None]
