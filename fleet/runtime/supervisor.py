"""Starts a session per flight, assigns orders to vehicles and boxes, and keeps the link's heartbeat honest."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from fleet.clock import Clock
from fleet.config import Handling
from fleet.mavlink.port import VehiclePort
from fleet.mavlink.recorder import UNRECORDED, FlightRecorder
from fleet.records.codec import to_json
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.cockpit import Surroundings
from fleet.runtime.departure import PAD_WAIT_S
from fleet.runtime.fitness import FitnessDesk
from fleet.runtime.ledger import FLEET_STREAM, Ledger, Note, OrderEntry, order_stream
from fleet.runtime.session import Session
from fleet.runtime.turns import Turns
from fleet.store import StoreUnavailableError
from geofences.geodesy import distance_m
from geofences.shapes import distances_m
from geofences.volumes import Zone
from missions.boxes import Box
from missions.coldchain.product import Product
from missions.decision.types import FlightPhase, Policy
from missions.delivery import NEAR_SITE_M, Flight, Intent, in_air
from missions.dispatch import Cost, dispatch
from missions.options import World, plan_to
from missions.orders import Order, OrderEvent, OrderState
from missions.plan import Ending, Infeasible, Plan, Reason
from missions.separation import choose_layer, launch_wait_s, pad_book
from missions.snapshot import VehicleState, Wind
from missions.vehicles import Vehicle

log = structlog.get_logger()

Offload = Callable[..., Awaitable[Any]]

CALM = Wind(0.0, 0.0)
DISPATCH_EVERY_S = 2.0
ADOPTION_FIRST_S = 5.0
ASK_AGAIN_S = 30.0
"""a way that zones close is looked for again after this, or in another airspace: to look everywhere takes long"""
AGAIN_S = 2.0
"""a session that failed is begun anew after that, as after a start of the controller"""
BEAT_EVERY_S = 0.5
"""the link's own heartbeats stop when this loop has not run for 2 s: a hung controller must not look alive"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The standing fleet: what configuration says there is."""

    vehicles: Mapping[str, Vehicle]
    boxes: Mapping[str, Box]
    products: Mapping[str, Product]
    policy: Policy
    policy_hash: str
    handling: Handling


class Supervisor:
    """Owns the sessions. `run` never returns while the controller lives."""

    def __init__(
        self,
        fleet: Fleet,
        ports: Mapping[str, VehiclePort],
        ledger: Ledger,
        boxes: BoxDesk,
        clock: Clock,
        world: Callable[[], World],
        beat: Callable[[float], None],
        notify: Callable[[str], None],
        offload: Offload = asyncio.to_thread,
        recorder: FlightRecorder = UNRECORDED,
    ) -> None:
        """`offload` runs the solver beside the loop; on virtual time it must run in place.

        `operator_heard_s` may be set by whoever knows: when an operator was last connected; and `alarm` by whoever
        can tell people.
        """
        self.operator_heard_s: Callable[[], float | None] = lambda: None
        self.alarm: Callable[[str], None] = log.error
        self._offload = offload
        self._recorder = recorder
        self.fleet = fleet
        self.ports = ports
        self.sessions: dict[str, Session] = {}
        """by vehicle id"""
        self._ledger = ledger
        self._boxes = boxes
        self._clock = clock
        self._world = world
        self._beat = beat
        self._dispatch_now = asyncio.Event()
        self.fitness = FitnessDesk(ports, clock, self._fitness_changed)
        self._notify = notify
        self._last_launch_s: dict[str, float] = {}
        self._shut: dict[tuple[str, str], tuple[int, float, tuple[Reason, ...]]] = {}
        """(order, vehicle type) → airspace that closed the way, when to ask again, and why"""
        looks = Turns()
        self._around = Surroundings(
            clock=clock,
            ledger=ledger,
            boxes=boxes,
            world=world,
            policy=fleet.policy,
            policy_hash=fleet.policy_hash,
            free_sites=self._free_sites,
            take_launch_slot=self._take_launch_slot,
            notify=notify,
            check=self.fitness.check,
            auto_reice=fleet.handling.auto_reice,
            looks=looks,
            plans=Turns(first=looks),
            operator_heard_s=lambda: self.operator_heard_s(),
        )

    async def run(self) -> None:
        """Resumes the stored flights, then beats and dispatches until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for flight in self._ledger.flights.values():
                self._start(tasks, flight)
            tasks.create_task(self._beat_for_ever(), name="heartbeat")
            tasks.create_task(self.fitness.run(self.sessions.__contains__), name="fitness")
            tasks.create_task(self._dispatch_for_ever(tasks), name="dispatch")

    def wake_vehicle(self, vehicle_id: str, *, urgent: bool = True) -> None:
        """A box sample, an order's change or (not urgent) new telemetry concerns this vehicle."""
        session = self.sessions.get(vehicle_id)
        if session is not None:
            session.wake(urgent=urgent)

    def airspace_changed(self, zone: Zone) -> None:
        """A zone came or went: all flights are asked at once what lies ahead of them, the nearest to it first.

        Then each looks and decides, whoever is nearest to what is closed first (`Surroundings.looks`).
        """
        self.dispatch_soon()
        positions = {session: self.ports[v].state().position for v, session in self.sessions.items()}
        known = {session: position.value.point for session, position in positions.items() if position is not None}
        away_m = dict(zip(known, distances_m(zone, list(known.values())), strict=True))
        for session in sorted(positions, key=lambda session: away_m.get(session, 0.0)):
            # In one go: to ask takes half a millisecond, to decide and write that down ten times as long.
            session.look_ahead()
            session.wake()

    def dispatch_soon(self) -> None:
        self._dispatch_now.set()

    def _fitness_changed(self, vehicle_id: str) -> None:
        self._notify(vehicle_id)
        self.dispatch_soon()

    def _start(self, tasks: asyncio.TaskGroup, flight: Flight) -> None:
        vehicle = self.fleet.vehicles.get(flight.vehicle_id)
        if vehicle is None:
            log.error("a stored flight's vehicle is not configured", vehicle=flight.vehicle_id, flight=flight.flight_id)
            return
        self._recorder.begin(flight.vehicle_id, flight.flight_id)
        tasks.create_task(self._fly(flight, vehicle), name=f"flight {flight.flight_id}")

    async def _fly(self, flight: Flight, vehicle: Vehicle) -> None:
        """Until it is closed. A fault of ours in one flight must not take the hand off all the others."""
        stored: Flight | None = flight
        session: Session | None = None
        try:
            while stored is not None:
                session = Session(stored, vehicle, self.ports[vehicle.vehicle_id], self._around)
                self.sessions[vehicle.vehicle_id] = session
                try:
                    await session.run()
                    break
                except Exception as fault:
                    await self._failed(f"flight {flight.flight_id} of {vehicle.vehicle_id}", fault)
                await self._clock.sleep(AGAIN_S)
                stored = self._ledger.flights.get(flight.flight_id)
        finally:
            if self.sessions.get(vehicle.vehicle_id) is session:  # else its next flight has begun already
                del self.sessions[vehicle.vehicle_id]
                self._recorder.end(vehicle.vehicle_id)
            self.dispatch_soon()

    async def _failed(self, what: str, fault: Exception) -> None:
        """For people to see; what failed is tried again."""
        log.exception("a fault of the controller", what=what)
        self.alarm(f"a fault of the controller in {what}: it is begun anew")
        note = Note(FLEET_STREAM, "fault", {"what": what, "text": f"{type(fault).__name__}: {fault}"})
        with suppress(StoreUnavailableError):
            await self._ledger.note(note)

    async def _beat_for_ever(self) -> None:
        while True:
            self._beat(self._clock.now_s())
            await self._clock.sleep(BEAT_EVERY_S)

    # pads and launches

    def _claims(self) -> list[tuple[str, str]]:
        """From its launch on a flight claims the pads where it ends; every vehicle has its own at home."""
        waiting = (FlightPhase.PREPARING, FlightPhase.READY)
        flights = self._ledger.flights.values()
        return [(f.goal_site, f.vehicle_id) for f in flights if f.phase not in waiting]

    def _free_sites(self, vehicle_id: str) -> frozenset[str]:
        sites = self._world().sites
        book = pad_book({s.site_id: s.pads for s in sites.values()}, self._claims())
        return frozenset(s for s in sites if book.free(s, vehicle_id))

    def _take_launch_slot(self, flight: Flight) -> bool:
        now_s, site = self._clock.now_s(), flight.home_site
        if launch_wait_s(self._last_launch_s.get(site), self._world().numbers.launch_spacing_s, now_s) > 0:
            return False
        if flight.goal_site not in self._free_sites(flight.vehicle_id):
            return False
        self._last_launch_s[site] = now_s
        return True

    # dispatch

    async def _dispatch_for_ever(self, tasks: asyncio.TaskGroup) -> None:
        # The solver takes a second to import: beside the loop, and not before the vehicles in the air are re-adopted.
        if self._ledger.flights:
            await self._clock.sleep(ADOPTION_FIRST_S)
        await self._offload(importlib.import_module, "ortools.sat.python.cp_model")
        while True:
            try:
                async with asyncio.timeout(self._clock.wall_s(DISPATCH_EVERY_S)):
                    await self._dispatch_now.wait()
            except TimeoutError:
                pass
            self._dispatch_now.clear()
            try:
                await self._dispatch(tasks)
            except StoreUnavailableError as e:
                log.error("dispatch waits for the store", reason=str(e))
            except Exception as fault:
                await self._failed("dispatch", fault)

    async def _dispatch(self, tasks: asyncio.TaskGroup) -> None:
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
        result = await self._offload(dispatch, orders, vehicles, boxes, costs, self.fleet.products, now_s)
        for pair in result.pairs:
            await self._assign(tasks, pair.order_id, pair.vehicle_id, self.fleet.boxes[pair.box_id], costs)
        for order_id, reasons in result.unassigned.items():
            entry = self._ledger.orders[order_id]
            why = blocked.get(order_id) or self._naming_vehicles(reasons, now_s)
            if entry.state is OrderState.ACCEPTED and entry.reasons != why:
                note = Note(order_stream(order_id), "not_assigned", {"reasons": [to_json(r) for r in why]})
                await self._ledger.write(note, order_id=order_id, order_changes={"reasons": why})

    def _naming_vehicles(self, reasons: tuple[Reason, ...], now_s: float) -> tuple[Reason, ...]:
        """Where no vehicle is free, the reason says of each why not: a dead link must not look like a busy day."""
        whys = [
            f"{v.vehicle_id} {self.why_not_free(v, self.ports[v.vehicle_id].state(), now_s) or 'free again'}"
            for v in self.fleet.vehicles.values()
        ]
        text = f"no vehicle is free: {', '.join(whys)}"
        return tuple(Reason(r.code, text, r.fix) if r.code == "no_free_vehicle" else r for r in reasons)

    async def judge(self, order_id: str, now_s: float) -> None:
        """Accepts an order that some vehicle of the fleet could fly with a full battery; refuses it with reasons."""
        reasons = self.why_not(self._ledger.orders[order_id].order, now_s)
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

    def why_not(self, order: Order, now_s: float) -> tuple[Reason, ...]:
        """Why no vehicle and box of this fleet could ever fly the order; empty if one could."""
        fleet, world = self.fleet, self._world()
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
        made = [self._plan_for(order, v, layer, 100.0, now_s, latest_depart_s=order.deadline_s) for v in self._types()]
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
        return list({v.type.name: v for v in self.fleet.vehicles.values()}.values())

    def _plan_for(
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
        box_kg = min(b.empty_mass_kg for b in self.fleet.boxes.values())
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
            made = self._plan_for(order, vehicle, self._world().numbers.layers_agl_m[0], 100.0, now_s)
            if isinstance(made, Plan):
                return made, vehicle.type.name
        return made, ""

    def _free_vehicles(self, now_s: float) -> list[tuple[Vehicle, VehicleState]]:
        """On their home pad, heard, disarmed, healthy and without a flight."""
        free = []
        for vehicle in self.fleet.vehicles.values():
            state = self.ports[vehicle.vehicle_id].state()
            if self.why_not_free(vehicle, state, now_s) is None:
                free.append((vehicle, state))
        return free

    def why_not_free(self, vehicle: Vehicle, state: VehicleState, now_s: float) -> str | None:
        """One phrase for the operator; None if the vehicle may be assigned."""
        if self._ledger.flight_of_vehicle(vehicle.vehicle_id) is not None:
            return "in flight"
        if state.heard_s is None:
            return "never heard"
        if now_s - state.heard_s > self.fleet.policy.link_stale_s:
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
        return self.fitness.why_not(vehicle.vehicle_id, state)

    def _free_boxes(self) -> list[Box]:
        busy = {f.box.box_id for f in self._ledger.flights.values()}
        away = self._boxes.away()
        return [b for b in self.fleet.boxes.values() if b.box_id not in busy and b.box_id not in away]

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
                asked = entry.order.order_id, vehicle.type.name
                shut = self._shut.get(asked)
                if shut is not None and shut[0] == version and now_s < shut[1]:
                    reasons = shut[2]
                    continue
                battery = state.battery.value.remaining_pct if state.battery is not None else 0.0
                # With the wind that the departure is planned with: else it is assigned, refused, and assigned again.
                wind = state.wind.value if state.wind is not None else CALM
                async with self._around.plans.take(now_s + DISPATCH_EVERY_S):
                    made = self._plan_for(
                        entry.order, vehicle, numbers.layers_agl_m[0], battery, now_s, wind, now_s + PAD_WAIT_S
                    )
                if isinstance(made, Infeasible):
                    reasons = made.reasons
                    if made.zone_ids:
                        self._shut[asked] = version, now_s + ASK_AGAIN_S, reasons
                    continue
                route = [w.position for w in made.waypoints]
                layer = choose_layer(route, numbers.layers_agl_m, others, numbers.corridor_width_m)
                costs[entry.order.order_id, vehicle.vehicle_id] = Cost(
                    arrive_s=made.arrive_s, energy_wh=made.energy.use_wh, layer_agl_m=layer
                )
            if free and reasons and not any(key[0] == entry.order.order_id for key in costs):
                blocked[entry.order.order_id] = reasons
        orders = {entry.order.order_id for entry in waiting}
        self._shut = {asked: why for asked, why in self._shut.items() if asked[0] in orders}
        return costs, blocked

    async def _assign(
        self,
        tasks: asyncio.TaskGroup,
        order_id: str,
        vehicle_id: str,
        box: Box,
        costs: Mapping[tuple[str, str], Cost],
    ) -> None:
        entry = self._ledger.orders[order_id]
        if entry.state is not OrderState.ACCEPTED:
            return  # cancelled while dispatch was thinking
        now_s = self._clock.now_s()
        vehicle = self.fleet.vehicles[vehicle_id]
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
        if self.fleet.handling.auto_load:
            notes.append(Note(order_stream(order_id), "custody", {"step": "seal", "actor": "automatic"}))
            events.append(OrderEvent.SEALED)
        changes = {"flight_id": flight.flight_id, "vehicle_id": vehicle_id, "box_id": box.box_id, "reasons": ()}
        self._boxes.bind(box, entry.order, self.fleet.products[entry.order.product_id])
        await self._ledger.write(*notes, flight=flight, order_id=order_id, order_events=events, order_changes=changes)
        if self.fleet.handling.auto_load:
            self._boxes.sealed(box.box_id, None, now_s)
        self._start(tasks, flight)
