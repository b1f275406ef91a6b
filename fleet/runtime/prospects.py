"""What the standing fleet could fly, apart from who is free at the moment: refusals with reasons, and quotes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.config import Handling
from missions.boxes import Box
from missions.coldchain.product import Product
from missions.decision.types import Policy
from missions.orders import Order
from missions.plan import Ending, Infeasible, Plan, Reason
from missions.snapshot import Wind
from missions.vehicles import Vehicle
from missions.world import World, plan_to

CALM = Wind(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The standing fleet: what configuration says there is."""

    vehicles: Mapping[str, Vehicle]
    boxes: Mapping[str, Box]
    products: Mapping[str, Product]
    policy: Policy
    policy_hash: str
    handling: Handling


class Prospects:
    """Plans for orders with the vehicles there are, in the air as it is now."""

    def __init__(self, fleet: Fleet, world: Callable[[], World]) -> None:
        self._fleet = fleet
        self._world = world

    def why_not(self, order: Order, now_s: float) -> tuple[Reason, ...]:
        """Why no vehicle and box of this fleet could ever fly the order; empty if one could."""
        fleet, world = self._fleet, self._world()
        if order.deadline_s <= now_s:
            return (Reason("deadline_passed", "the deadline is in the past", "give a later deadline"),)
        if order.expires_s is not None and order.expires_s < order.deadline_s:
            text = "the lot expires before the deadline"
            return (Reason("expires_first", text, "choose a lot that lasts, or a deadline before it expires"),)
        fitting = [b for b in fleet.boxes.values() if order.product_id in b.product_ids]
        if not fitting:
            return (
                Reason("no_box", f"no box is qualified for {order.product_id}", "choose a product of the catalogue"),
            )
        largest_l = max(b.volume_l for b in fitting)
        if order.volume_l > largest_l:
            text = f"{order.volume_l:g} l do not fit: the largest suitable box holds {largest_l:g} l"
            return (Reason("box_too_small", text, "split the order"),)
        roomy = [b for b in fitting if b.volume_l >= order.volume_l]
        most_kg = max(v.type.max_payload_kg for v in fleet.vehicles.values()) - min(b.empty_mass_kg for b in roomy)
        if order.mass_kg > most_kg:
            text = f"{order.mass_kg:g} kg are too heavy: the fleet lifts {most_kg:.2f} kg besides the box"
            return (Reason("too_heavy", text, "split the order"),)
        layer = world.numbers.layers_agl_m[0]
        # A way that opens in time is a way: dispatch waits for it.
        made = [self.plan(order, v, layer, 100.0, now_s, latest_depart_s=order.deadline_s) for v in self._types()]
        plans = [m for m in made if isinstance(m, Plan)]
        if not plans:
            return next((m.reasons for m in made if isinstance(m, Infeasible)), ())
        if min(p.arrive_s for p in plans) > order.deadline_s:
            late_s = min(p.arrive_s for p in plans) - order.deadline_s
            text = f"the fastest flight would be {late_s / 60:.0f} min late"
            return (Reason("too_late", text, "give a later deadline"),)
        return ()

    def _types(self) -> list[Vehicle]:
        """One vehicle of each type: what could be flown, apart from who is free."""
        return list({v.type.name: v for v in self._fleet.vehicles.values()}.values())

    def plan(
        self,
        order: Order,
        vehicle: Vehicle,
        layer_agl_m: float,
        battery_pct: float,
        now_s: float,
        wind: Wind = CALM,
        latest_depart_s: float | None = None,
    ) -> Plan | Infeasible:
        world = self._world()
        start = world.sites[order.origin_site]
        box_kg = min(b.empty_mass_kg for b in self._fleet.boxes.values())
        return plan_to(
            world,
            vehicle,
            plan_id=f"quote-{order.order_id}-{vehicle.vehicle_id}",
            start=start.position,
            start_amsl_m=start.elevation_amsl_m,
            take_off=True,
            goal=world.sites[order.destination_site],
            ending=Ending.HOLD_AT_DROP,
            home=world.sites[vehicle.home_site],
            payload_kg=order.mass_kg + box_kg,
            battery_pct=battery_pct,
            wind=wind,
            layer_agl_m=layer_agl_m,
            depart_s=now_s,
            latest_depart_s=latest_depart_s,
        )

    def quote(self, order: Order, now_s: float) -> tuple[Plan | Infeasible, str]:
        """A plan for the order with the first vehicle type that can fly it, and that type's name."""
        made: Plan | Infeasible = Infeasible((Reason("no_vehicle", "the fleet has no vehicle"),))
        for vehicle in self._types():
            made = self.plan(order, vehicle, self._world().numbers.layers_agl_m[0], 100.0, now_s)
            if isinstance(made, Plan):
                return made, vehicle.type.name
        return made, ""
