"""Gives waiting orders to vehicles and boxes: judges, plans each with each free vehicle, lets the solver choose."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from fleet.clock import Clock
from fleet.mavlink.port import VehiclePort
from fleet.records.codec import to_json
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.departure import PAD_WAIT_S
from fleet.runtime.fitness import FitnessDesk
from fleet.runtime.ledger import Ledger, Note, OrderEntry, order_stream
from fleet.runtime.prospects import CALM, Fleet, Prospects
from fleet.runtime.turns import Turns
from fleet.store import StoreUnavailableError
from geofences.geodesy import distance_m
from missions.boxes import Box
from missions.decision.types import FlightPhase
from missions.delivery import NEAR_SITE_M, Flight, Intent, in_air
from missions.dispatch import Cost, dispatch
from missions.orders import OrderEvent, OrderState
from missions.plan import Infeasible, Plan, Reason
from missions.separation import choose_layer
from missions.snapshot import VehicleState
from missions.vehicles import Vehicle
from missions.world import World

log = structlog.get_logger()

Offload = Callable[..., Awaitable[Any]]
Start = Callable[[Flight], None]
"""begins an assigned flight"""

DISPATCH_EVERY_S = 2.0
ASK_AGAIN_S = 30.0
"""a way that zones close is looked for again after this, or in another airspace: to look everywhere takes long"""


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why a vehicle cannot fly an order, so that it is not planned again every other second."""

    airspace_version: int
    battery_pct: float | None
    """None: it does not hang on the charge"""
    again_s: float
    reasons: tuple[Reason, ...]

    def stands(self, airspace_version: int, battery_pct: float, now_s: float) -> bool:
        more_charge = self.battery_pct is not None and battery_pct > self.battery_pct
        return airspace_version == self.airspace_version and now_s < self.again_s and not more_charge


class Dispatcher:
    """One per process. `run` assigns for as long as the controller lives."""

    def __init__(
        self,
        fleet: Fleet,
        ports: Mapping[str, VehiclePort],
        ledger: Ledger,
        boxes: BoxDesk,
        clock: Clock,
        world: Callable[[], World],
        *,
        prospects: Prospects,
        fitness: FitnessDesk,
        plans: Turns,
        offload: Offload,
    ) -> None:
        """`plans`: who plans next; `offload` runs the solver beside the loop."""
        self._fleet = fleet
        self._ports = ports
        self._ledger = ledger
        self._boxes = boxes
        self._clock = clock
        self._world = world
        self._prospects = prospects
        self._fitness = fitness
        self._plans = plans
        self._offload = offload
        self._now = asyncio.Event()
        self._refused: dict[tuple[str, str], _Refused] = {}
        """(order, vehicle type) where zones close the way, (order, vehicle) where anything else does"""

    def soon(self) -> None:
        """Something has changed that an assignment may hang on."""
        self._now.set()

    async def run(self, start: Start) -> None:
        """Assigns every other second and whenever something changes, until cancelled or a fault of ours."""
        # The solver takes a second to import: beside the loop.
        await self._offload(importlib.import_module, "ortools.sat.python.cp_model")
        while True:
            try:
                async with asyncio.timeout(self._clock.wall_s(DISPATCH_EVERY_S)):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            try:
                await self._dispatch(start)
            except StoreUnavailableError as e:
                log.error("dispatch waits for the store", reason=str(e))

    async def _dispatch(self, start: Start) -> None:
        now_s = self._clock.now_s()
        for entry in [e for e in self._ledger.orders.values() if e.state is OrderState.REQUESTED]:
            await self.judge(entry.order.order_id, now_s)
        waiting = [e for e in self._ledger.orders.values() if e.state is OrderState.ACCEPTED]
        waiting = [e for e in waiting if not await self._expired(e, now_s)]
        if not waiting:
            return
        free = self._free_vehicles(now_s)
        boxes = self._free_boxes()
        others = [f.plan for f in self._ledger.flights.values() if f.plan is not None]
        costs, blocked = await self._costs(waiting, free, others, now_s)
        orders, vehicles = [e.order for e in waiting], [v for v, _ in free]
        result = await self._offload(dispatch, orders, vehicles, boxes, costs, self._fleet.products, now_s)
        faults = []
        for pair in result.pairs:
            try:
                flight = await self._assign(pair.order_id, pair.vehicle_id, self._fleet.boxes[pair.box_id], costs)
            except StoreUnavailableError:
                raise
            except Exception as fault:  # one order that cannot be assigned by a fault of ours must not stop the others
                faults.append(fault)
                continue
            if flight is not None:
                start(flight)
        for order_id, reasons in result.unassigned.items():
            entry = self._ledger.orders[order_id]
            why = blocked.get(order_id) or self._naming_vehicles(reasons, now_s)
            if entry.state is OrderState.ACCEPTED and entry.reasons != why:
                note = Note(order_stream(order_id), "not_assigned", {"reasons": [to_json(r) for r in why]})
                await self._ledger.write(note, order_id=order_id, order_changes={"reasons": why})
        if faults:
            raise faults[0]

    def _naming_vehicles(self, reasons: tuple[Reason, ...], now_s: float) -> tuple[Reason, ...]:
        """Where no vehicle is free, the reason says of each why not: a dead link must not look like a busy day."""
        whys = [
            f"{v.vehicle_id} {self.why_not_free(v, self._ports[v.vehicle_id].state(), now_s) or 'free again'}"
            for v in self._fleet.vehicles.values()
        ]
        text = f"no vehicle is free: {', '.join(whys)}"
        return tuple(Reason(r.code, text, r.fix) if r.code == "no_free_vehicle" else r for r in reasons)

    async def judge(self, order_id: str, now_s: float) -> None:
        """Accepts an order that some vehicle of the fleet could fly with a full battery; refuses it with reasons."""
        reasons = self._prospects.why_not(self._ledger.orders[order_id].order, now_s)
        if self._ledger.orders[order_id].state is not OrderState.REQUESTED:
            return
        event = OrderEvent.REFUSE if reasons else OrderEvent.ACCEPT
        note = Note(order_stream(order_id), "judged", {"reasons": [to_json(r) for r in reasons]})
        await self._ledger.write(note, order_id=order_id, order_events=(event,), order_changes={"reasons": reasons})

    async def _expired(self, entry: OrderEntry, now_s: float) -> bool:
        if entry.order.deadline_s > now_s:
            return False
        reasons = (Reason("deadline_passed", "the deadline passed before a vehicle and box were free", "order again"),)
        await self._ledger.write(
            order_id=entry.order.order_id, order_events=(OrderEvent.REFUSE,), order_changes={"reasons": reasons}
        )
        return True

    def _free_vehicles(self, now_s: float) -> list[tuple[Vehicle, VehicleState]]:
        """On their home pad, heard, disarmed, healthy and without a flight."""
        free = []
        for vehicle in self._fleet.vehicles.values():
            state = self._ports[vehicle.vehicle_id].state()
            if self.why_not_free(vehicle, state, now_s) is None:
                free.append((vehicle, state))
        return free

    def why_not_free(self, vehicle: Vehicle, state: VehicleState, now_s: float) -> str | None:
        """One phrase for the operator; None if the vehicle may be assigned."""
        if self._ledger.flight_of_vehicle(vehicle.vehicle_id) is not None:
            return "in flight"
        if state.heard_s is None:
            return "never heard"
        if now_s - state.heard_s > self._fleet.policy.link_stale_s:
            return "link stale"
        if state.position is None or state.battery is None or state.armed is None or state.landed is None:
            return "telemetry incomplete"
        if in_air(state):
            return "in the air without a flight of ours"
        if state.health_ok is not None and not state.health_ok.value:
            return f"not ready to arm{': ' + ', '.join(state.not_ready) if state.not_ready else ''}"
        home = self._world().sites[vehicle.home_site]
        if distance_m(state.position.value.point, home.position) > NEAR_SITE_M:
            return f"not at its home {home.site_id}"
        return self._fitness.why_not(vehicle.vehicle_id, state)

    def _free_boxes(self) -> list[Box]:
        busy = {f.box.box_id for f in self._ledger.flights.values()}
        away = self._boxes.away()
        return [b for b in self._fleet.boxes.values() if b.box_id not in busy and b.box_id not in away]

    async def _costs(
        self,
        waiting: Sequence[OrderEntry],
        free: Sequence[tuple[Vehicle, VehicleState]],
        others: Sequence[Plan],
        now_s: float,
    ) -> tuple[dict[tuple[str, str], Cost], dict[str, tuple[Reason, ...]]]:
        """What each free vehicle would need for each waiting order, and why none can where none can."""
        costs: dict[tuple[str, str], Cost] = {}
        blocked: dict[str, tuple[Reason, ...]] = {}
        numbers, version = self._world().numbers, self._world().airspace.version
        for entry in waiting:
            reasons: tuple[Reason, ...] = ()
            for vehicle, state in free:
                if vehicle.home_site != entry.order.origin_site:
                    continue
                battery = state.battery.value.remaining_pct if state.battery is not None else 0.0
                order_id = entry.order.order_id
                by_type, by_itself = (order_id, vehicle.type.name), (order_id, vehicle.vehicle_id)
                before = [self._refused[asked] for asked in (by_type, by_itself) if asked in self._refused]
                standing = next((b for b in before if b.stands(version, battery, now_s)), None)
                if standing is not None:
                    reasons = standing.reasons
                    continue
                # With the wind that the departure is planned with: else it is assigned, refused, and assigned again.
                wind = state.wind.value if state.wind is not None else CALM
                async with self._plans.take(now_s + DISPATCH_EVERY_S):
                    made = self._prospects.plan(
                        entry.order, vehicle, numbers.layers_agl_m[0], battery, now_s, wind, now_s + PAD_WAIT_S
                    )
                if isinstance(made, Infeasible):
                    reasons = made.reasons
                    charge = None if made.zone_ids else battery
                    again_s = now_s + ASK_AGAIN_S
                    self._refused[by_type if made.zone_ids else by_itself] = _Refused(version, charge, again_s, reasons)
                    continue
                route = [w.position for w in made.waypoints]
                layer = choose_layer(route, numbers.layers_agl_m, others, numbers.corridor_width_m)
                costs[entry.order.order_id, vehicle.vehicle_id] = Cost(
                    arrive_s=made.arrive_s, energy_wh=made.energy.use_wh, layer_agl_m=layer
                )
            if free and reasons and not any(key[0] == entry.order.order_id for key in costs):
                blocked[entry.order.order_id] = reasons
        orders = {entry.order.order_id for entry in waiting}
        self._refused = {asked: why for asked, why in self._refused.items() if asked[0] in orders}
        return costs, blocked

    async def _assign(
        self,
        order_id: str,
        vehicle_id: str,
        box: Box,
        costs: Mapping[tuple[str, str], Cost],
    ) -> Flight | None:
        entry = self._ledger.orders[order_id]
        if entry.state is not OrderState.ACCEPTED:
            return None  # cancelled while dispatch was thinking
        now_s = self._clock.now_s()
        vehicle = self._fleet.vehicles[vehicle_id]
        sorties = sum(e.kind == "assigned" for e in self._ledger.history(order_stream(order_id)))
        flight = Flight(
            flight_id=f"{order_id}-{sorties + 1}",
            order_id=order_id,
            vehicle_id=vehicle_id,
            box=box,
            payload_kg=entry.order.mass_kg,
            home_site=vehicle.home_site,
            layer_agl_m=costs[order_id, vehicle_id].layer_agl_m,
            phase=FlightPhase.PREPARING,
            intent=Intent.WAIT,
            plan=None,
            goal_site=entry.order.destination_site,
            created_s=now_s,
        )
        notes = [Note(order_stream(order_id), "assigned", {"vehicle_id": vehicle_id, "box_id": box.box_id})]
        events = [OrderEvent.ASSIGN, OrderEvent.BEGIN_LOADING]
        if self._fleet.handling.auto_load:
            notes.append(Note(order_stream(order_id), "custody", {"step": "seal", "actor": "automatic"}))
            events.append(OrderEvent.SEALED)
        changes = {"flight_id": flight.flight_id, "vehicle_id": vehicle_id, "box_id": box.box_id, "reasons": ()}
        self._boxes.bind(box, entry.order, self._fleet.products[entry.order.product_id])
        await self._ledger.write(*notes, flight=flight, order_id=order_id, order_events=events, order_changes=changes)
        if self._fleet.handling.auto_load:
            self._boxes.sealed(box.box_id, None, now_s)
        return flight
