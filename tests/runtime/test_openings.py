"""Departures in virtual time through zones that open: orders wait for them, loaded vehicles only a little while."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

import pytest

from fleet.app import load_airspace
from fleet.runtime.prospects import Prospects
from fleet.virtual import run_virtual
from geofences.heights import Datum, Height
from geofences.volumes import Applicability, Circle, DailyPeriod, Restriction, Volume, Zone
from missions.orders import Order
from missions.plan import Plan
from missions.vehicles import Vehicle
from tests.runtime.rig import Rig, demo_config, rig


def market(until: time) -> Zone:
    """Closed over the clinic of Salme from eight o'clock on; the rig's clock begins at nine."""
    outline = Circle(demo_config().sites["salme"].position, 400.0)
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(8), until),)),)
    return Zone("MARKET", "Market day", Restriction.PROHIBITED, (Volume(outline),), applicability=hours)


def plans(r: Rig, order_id: str) -> Plan:
    flight = next(f for f in r.ledger.flights.values() if f.order_id == order_id)
    assert flight.plan is not None
    return flight.plan


def test_an_order_waits_for_its_zone_to_open_and_its_vehicle_on_the_pad_for_a_little():
    async def main() -> None:
        airspace = load_airspace(demo_config()).with_zone(market(time(9, 20)))
        async with rig(airspace=airspace) as r:
            order_id = (await r.place("salme")).order.order_id
            await r.clock.sleep(60)
            assert r.order(order_id).state == "accepted", "it can be flown before its deadline"
            assert any("MARKET" in reason.text for reason in r.order(order_id).reasons)
            assert r.events(order_id, "assigned") == [], "no dose is loaded for a flight that cannot begin"
            await r.until(lambda: r.order(order_id).phase == "ready")
            plan, now_s = plans(r, order_id), r.clock.now_s()
            assert 0.0 < plan.depart_s - now_s <= 300.0
            await r.until(lambda: "start" in r.vehicle_of(order_id).commands)
            assert r.clock.now_s() >= plan.depart_s
            await r.until_state(order_id, "released")
            at = datetime.fromtimestamp(r.clock.now_s(), UTC)
            assert time(9, 21) <= at.time() <= time(9, 26)

    run_virtual(main())


def test_a_departure_that_is_closed_at_its_height_is_flown_at_another_of_the_fleets():
    async def main() -> None:
        low = Height(72.0, Datum.AGL)
        above = replace(market(time(23)), applicability=())
        above = replace(above, volumes=(replace(above.volumes[0], lower=low),))
        config = demo_config()  # PX4's own return could climb into it
        config = replace(config, planning=replace(config.planning, require_contingency=False))
        async with rig(config, airspace=load_airspace(config).with_zone(above)) as r:
            order_id = (await r.place("salme")).order.order_id
            await r.until(lambda: "start" in r.vehicle_of(order_id).commands if r.order(order_id).vehicle_id else False)
            assert plans(r, order_id).cruise_agl_m == 65.0
            assert next(iter(r.ledger.flights.values())).layer_agl_m == 65.0

    run_virtual(main())


def test_an_order_whose_zone_opens_too_late_is_refused_for_it():
    async def main() -> None:
        async with rig(airspace=load_airspace(demo_config()).with_zone(market(time(12)))) as r:
            order_id = (await r.place("salme")).order.order_id
            await r.clock.sleep(5)
            view = r.order(order_id)
            assert view.state == "refused"
            assert any("MARKET" in reason.text for reason in view.reasons)

    run_virtual(main())


def test_an_order_waits_for_a_charged_vehicle_and_is_not_planned_again_and_again_for_empty_ones(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[float] = []
    plan = Prospects.plan

    def noted(
        self: Prospects, order: Order, vehicle: Vehicle, layer_agl_m: float, battery_pct: float, *rest: Any, **more: Any
    ):
        asked.append(battery_pct)
        return plan(self, order, vehicle, layer_agl_m, battery_pct, *rest, **more)

    async def main() -> None:
        monkeypatch.setattr(Prospects, "plan", noted)
        async with rig() as r:
            for vehicle in r.vehicles.values():
                vehicle.battery_pct = 35.0
            order_id = (await r.place("salme")).order.order_id
            await r.clock.sleep(25)
            assert "battery" in r.order(order_id).reasons[0].text
            assert asked.count(35.0) == len(r.vehicles), "once each, though dispatch looks every other second"
            next(iter(r.vehicles.values())).battery_pct = 100.0
            await r.until(lambda: r.events(order_id, "assigned") != [], 4.0)

    run_virtual(main())
