"""The controller as its shells see it: implements `FleetService` over the ledger, the boxes and the supervisor."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from fleet.api.views import airspace_json, alarm_json, order_json, vehicle_json
from fleet.clock import Clock
from fleet.intake import order_from
from fleet.mavlink.link import LinkStats
from fleet.mavlink.watch import LinkEvent
from fleet.picture import Picture
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.hub import Hub
from fleet.runtime.ledger import FLEET_STREAM, Ledger, Note, OrderEntry, order_stream, vehicle_stream
from fleet.runtime.supervisor import Supervisor
from fleet.service import (
    CustodyStep,
    Health,
    LiveEvent,
    OrderRequest,
    OrderView,
    Quote,
    RecordedEvent,
    Refused,
    VehicleCommand,
    VehicleView,
    refused,
)
from fleet.store import IdempotencyConflictError, IdempotencyKey, StorePort, StoreUnavailableError
from geofences.volumes import Zone
from missions.decision.types import FlightPhase
from missions.orders import IllegalTransitionError, Order, OrderEvent, OrderState
from missions.plan import Infeasible, Reason
from missions.sites import Site
from missions.world import World

log = structlog.get_logger()

_NO_STORE = ("store_unavailable", "Nothing was changed.", "Try again later; the operator must look at the store.")
ORDERS_NEED = ("store", "boxes")
"""the parts without which no order can be taken"""
MAX_WRONG_CODES = 5
"""a six-digit code stands a guesser a chance of 5 in a million before the order needs an operator"""


class Controller:
    """One per process; made by `fleet.app`."""

    def __init__(
        self,
        *,
        clock: Clock,
        store: StorePort,
        ledger: Ledger,
        boxes: BoxDesk,
        supervisor: Supervisor,
        world: Callable[[], World],
        code_secret: bytes,
        air_c: Callable[[float], float],
        checks: Callable[[], dict[str, str]],
        links: Callable[[], Sequence[LinkStats]] = tuple,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """`token(bytes)`: what makes an order's id unique."""
        self._clock = clock
        self._store = store
        self._ledger = ledger
        self._boxes = boxes
        self._supervisor = supervisor
        self._world = world
        self._code_secret = code_secret
        self._air_c = air_c
        self._checks = checks
        self.links = links
        self._token = token
        self._background: set[asyncio.Task[None]] = set()
        self._operator_heard_s: float | None = None
        supervisor.operator_heard_s = lambda: self._operator_heard_s
        supervisor.alarm = self.alarm
        self._picture = Picture(clock, ledger, boxes, supervisor, world, self._code)
        self.hub = Hub(self._render)
        ledger.changed = self._changed

    # orders

    def _order_from(self, request: OrderRequest) -> Order | Refused:
        sites, products = self._world().sites, self._supervisor.fleet.products
        order_id = f"ord-{self._token(5)}"
        return order_from(request, sites, products, order_id=order_id, now_s=self._clock.now_s())

    async def place_order(
        self, request: OrderRequest, *, requester: str, idempotency_key: str, fingerprint: str
    ) -> OrderView | Refused:
        made = self._order_from(request)
        if isinstance(made, Refused):
            return made
        now_s = self._clock.now_s()
        reasons = self._supervisor.prospects.why_not(made, now_s)
        if reasons and reasons[0].code == "deadline_passed":
            return Refused(422, "The order cannot be met", reasons)
        entry = OrderEntry(made, OrderState.REQUESTED, requester)
        key = IdempotencyKey(requester, idempotency_key, fingerprint, made.order_id)
        try:
            await self._ledger.add_order(entry, key)
        except IdempotencyConflictError as conflict:
            return self._same_again(conflict.stored, fingerprint)
        except StoreUnavailableError as e:
            return Refused(503, f"The order could not be stored: {e}", (Reason(*_NO_STORE),))
        await self._supervisor.dispatcher.judge(made.order_id, now_s)
        self._supervisor.dispatcher.soon()
        return self._picture.order(self._ledger.orders[made.order_id])

    def _same_again(self, stored: IdempotencyKey, fingerprint: str) -> OrderView | Refused:
        if stored.fingerprint != fingerprint:
            return refused(
                422,
                "Idempotency-Key reused with another body",
                "idempotency_key_reused",
                "This key belongs to an earlier, different order.",
                "Use a new key for a new order.",
            )
        return self._picture.order(self._ledger.orders[stored.order_id])

    def orders(self) -> Sequence[OrderView]:
        return [self._picture.order(e) for e in self._ledger.orders.values()]

    def order(self, order_id: str) -> OrderView | None:
        entry = self._ledger.orders.get(order_id)
        return None if entry is None else self._picture.order(entry)

    def requester_of(self, order_id: str) -> str | None:
        entry = self._ledger.orders.get(order_id)
        return None if entry is None else entry.requester

    async def cancel_order(self, order_id: str, *, actor: str) -> OrderView | Refused:
        entry = self._ledger.orders.get(order_id)
        if entry is None:
            return self._no_order(order_id)
        if entry.state is OrderState.CANCELLED:
            return self._picture.order(entry)
        flight = self._picture.flight(entry)
        if flight is not None and flight.phase is FlightPhase.LAUNCHING:
            return self._not_now(entry, "its vehicle is taking off; command the vehicle to return instead")
        note = Note(order_stream(order_id), "cancel_requested", {"actor": actor})
        return await self._order_step(entry, OrderEvent.CANCEL, note)

    async def confirm_receipt(self, order_id: str, *, code: str, verdict_seen: str, actor: str) -> OrderView | Refused:
        entry = self._ledger.orders.get(order_id)
        if entry is None:
            return self._no_order(order_id)
        if entry.state is OrderState.RECEIVED:
            return self._picture.order(entry)
        if entry.wrong_codes >= MAX_WRONG_CODES:
            return self._not_now(entry, "too many wrong codes were given; an operator must settle the receipt")
        if entry.state is not OrderState.RELEASED:
            return self._not_now(entry, f"it is {entry.state}, not released")
        verdict, why = self._picture.verdict(entry)
        if verdict_seen != verdict:
            text = f"the cold verdict is {verdict}: {why}; it must be read first"
            return self._not_now(entry, text, code="verdict_not_seen", fix="Show the order's verdict and send it back.")
        if not hmac.compare_digest(code.encode(), self._code(order_id).encode()):
            note = Note(order_stream(order_id), "wrong_code", {"actor": actor})
            await self._ledger.write(note, order_id=order_id, order_changes={"wrong_codes": entry.wrong_codes + 1})
            return refused(422, "Wrong code", "wrong_code", "The code does not belong to this order.", "Read it again.")
        body = {"step": "receipt", "actor": actor, "verdict_seen": verdict_seen, "why": why}
        note = Note(order_stream(order_id), "custody", body)
        answer = await self._order_step(entry, OrderEvent.RECEIVE, note, verdict=verdict, verdict_why=why)
        if not isinstance(answer, Refused) and entry.box_id is not None:
            self._boxes.free(entry.box_id)
        return answer

    async def custody(
        self, order_id: str, step: CustodyStep, *, actor: str, detail: dict[str, Any]
    ) -> OrderView | Refused:
        entry = self._ledger.orders.get(order_id)
        if entry is None:
            return self._no_order(order_id)
        note = Note(order_stream(order_id), "custody", {"step": step.value, "actor": actor, "detail": detail})
        flight = self._picture.flight(entry)
        match step:
            case CustodyStep.SEAL:
                answer = await self._order_step(entry, OrderEvent.SEALED, note)
                if not isinstance(answer, Refused) and entry.box_id is not None:
                    self._boxes.sealed(entry.box_id, detail.get("pack_left_kj"), self._clock.now_s())
                return answer
            case CustodyStep.REICED:
                session = self._supervisor.sessions.get(entry.vehicle_id or "")
                if flight is None or session is None or flight.phase is not FlightPhase.REICING:
                    return self._not_now(entry, "its vehicle is not on the ground at a re-icing station")
                self._boxes.reiced(flight.box.box_id, self._clock.now_s(), detail)
                await session.reiced(note)
                return self._picture.order(self._ledger.orders[order_id])
            case CustodyStep.BOX_BACK:
                if not entry.box_away or not entry.is_final:
                    return self._not_now(entry, "it has no empty box that could come back")
                await self._ledger.write(note, order_id=order_id, order_changes={"box_away": False})
                return self._picture.order(self._ledger.orders[order_id])
            case CustodyStep.LOAD | CustodyStep.HAND_OVER:
                await self._ledger.write(note)
                return self._picture.order(entry)

    async def _order_step(
        self, entry: OrderEntry, event: OrderEvent, note: Note, **changes: Any
    ) -> OrderView | Refused:
        order_id = entry.order.order_id
        try:
            await self._ledger.write(note, order_id=order_id, order_events=(event,), order_changes=changes)
        except IllegalTransitionError as e:
            return self._not_now(entry, str(e))
        except StoreUnavailableError as e:
            return Refused(503, f"Not stored: {e}", (Reason(*_NO_STORE),))
        self._supervisor.wake_vehicle(entry.vehicle_id or "")
        return self._picture.order(self._ledger.orders[order_id])

    def _no_order(self, order_id: str) -> Refused:
        return refused(404, "No such order", "order_unknown", f"There is no order {order_id!r}.", "Check its id.")

    def _not_now(self, entry: OrderEntry, text: str, *, code: str = "wrong_state", fix: str = "") -> Refused:
        order_id = entry.order.order_id
        fix = fix or f"The order is {entry.state}; see its events."
        return refused(409, "Not in this state", code, f"Order {order_id}: {text}.", fix)

    def _code(self, order_id: str) -> str:
        digest = hmac.new(self._code_secret, order_id.encode(), hashlib.sha256).digest()
        return f"{int.from_bytes(digest[:8]) % 1_000_000:06d}"

    def record(self, stream: str, *, after_seq: int = 0) -> Sequence[RecordedEvent]:
        return self._store.events(stream, after_seq=after_seq)

    async def follow(self, stream: str, *, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        order_id = stream.removeprefix("order/")
        entry = self._ledger.orders.get(order_id)
        if entry is not None and entry.is_final and self._picture.flight(entry) is None:
            for event in self._store.events(stream, after_seq=after_seq):
                yield event
            return
        async for event in self._store.follow(stream, after_seq=after_seq):
            yield event
            entry = self._ledger.orders.get(order_id)
            if entry is not None and entry.is_final and self._picture.flight(entry) is None:
                head = self._store.head(stream)
                if head is None or event.seq >= head[0]:
                    return

    async def quote(self, request: OrderRequest) -> Quote | Refused:
        order = self._order_from(request)
        if isinstance(order, Refused):
            return order
        reasons = self._supervisor.prospects.why_not(order, self._clock.now_s())
        if reasons:
            return Refused(422, "The order cannot be met", reasons)
        made, type_name = self._supervisor.prospects.quote(order, self._clock.now_s())
        if isinstance(made, Infeasible):
            return Refused(422, "No route", made.reasons)
        air_c = self._air_c(made.cruise_agl_m)
        return Quote(made, type_name, cold_ok=self._boxes.fresh_box_ok(order, made.arrive_s - made.depart_s, air_c))

    # vehicles

    def vehicles(self) -> Sequence[VehicleView]:
        return [self._picture.vehicle(v) for v in self._supervisor.fleet.vehicles]

    def vehicle(self, vehicle_id: str) -> VehicleView | None:
        return self._picture.vehicle(vehicle_id) if vehicle_id in self._supervisor.fleet.vehicles else None

    def operator_seen(self) -> None:
        self._operator_heard_s = self._clock.now_s()

    async def command(self, vehicle_id: str, command: VehicleCommand, *, actor: str) -> VehicleView | Refused:
        if vehicle_id not in self._supervisor.fleet.vehicles:
            return refused(
                404, "No such vehicle", "vehicle_unknown", f"There is no vehicle {vehicle_id!r}.", "Check its id."
            )
        session = self._supervisor.sessions.get(vehicle_id)
        if session is None:
            text = f"{vehicle_id} has no flight that Coldwing commands."
            return refused(409, "No flight", "no_flight", text, "Order a delivery first.")
        try:
            why_not = await session.operate(command.value, actor)
        except StoreUnavailableError as e:
            return Refused(503, f"Not recorded, so not commanded: {e}", (Reason(*_NO_STORE),))
        if why_not is not None:
            return refused(409, "Refused", "not_now", why_not, "See the vehicle's phase.")
        return self._picture.vehicle(vehicle_id)

    # airspace

    def zones(self) -> tuple[int, Sequence[Zone]]:
        return self._ledger.airspace.version, self._ledger.airspace.zones

    async def add_zone(self, zone: Zone, *, actor: str) -> int | Refused:
        if any(z.zone_id == zone.zone_id for z in self._ledger.airspace.zones):
            text = f"There is already a zone {zone.zone_id!r}."
            return refused(409, "Zone exists", "zone_exists", text, "Withdraw it first or use another id.")
        return await self._set_airspace(zone, None, actor)

    async def withdraw_zone(self, zone_id: str, *, actor: str) -> int | Refused:
        if all(z.zone_id != zone_id for z in self._ledger.airspace.zones):
            return refused(
                404, "No such zone", "zone_unknown", f"There is no zone {zone_id!r}.", "See GET /v1/airspace/zones."
            )
        return await self._set_airspace(None, zone_id, actor)

    async def _set_airspace(self, zone: Zone | None, withdrawn: str | None, actor: str) -> int | Refused:
        now = self._ledger.airspace
        after = now.with_zone(zone) if zone is not None else now.without_zone(withdrawn or "")
        changed = zone or now.zone(withdrawn or "")
        assert changed is not None
        storing = asyncio.ensure_future(self._ledger.set_airspace(after, zone, withdrawn, actor))
        await asyncio.sleep(0)  # changed from here on; no flight waits for the disk to hear of it
        self._supervisor.airspace_changed(changed)
        try:
            await storing
        except StoreUnavailableError as e:
            # Safety first: a closure is flown around even when it cannot be recorded.
            if zone is None:
                return Refused(503, f"Not stored: {e}", (Reason(*_NO_STORE),))
        return after.version

    def sites(self) -> Sequence[Site]:
        return list(self._world().sites.values())

    # live

    def live(self) -> AsyncIterator[LiveEvent]:
        first = [("airspace", "")]
        first += [("vehicle", v) for v in self._supervisor.fleet.vehicles]
        first += [("order", o) for o in self._ledger.orders]
        return self.hub.read(first)

    def _changed(self, kind: str, key: str) -> None:
        self.hub.changed(kind, key)
        if kind in ("airspace", "order"):
            self._supervisor.dispatcher.soon()

    def alarm(self, text: str, vehicle_id: str | None, order_id: str | None) -> None:
        self.hub.alarm(alarm_json(text, vehicle_id=vehicle_id, order_id=order_id))

    def link_event(self, event: LinkEvent) -> None:
        """Somebody else acts on a vehicle, or tries to: on record, and before the operator's eyes."""
        flight = self._ledger.flight_of_vehicle(event.vehicle_id) if event.vehicle_id is not None else None
        stream = FLEET_STREAM
        if flight is not None:
            stream = order_stream(flight.order_id)
        elif event.vehicle_id is not None:
            stream = vehicle_stream(event.vehicle_id)
        body = {"what": event.kind.value, "text": event.text, "vehicle_id": event.vehicle_id}
        writing = self._write_event(Note(stream, "link_event", body))
        self._background.add(task := asyncio.create_task(writing, name=f"link event {event.kind}"))
        task.add_done_callback(self._background.discard)
        log.warning("link event", what=event.kind.value, vehicle=event.vehicle_id, text=event.text)
        self.alarm(event.text, event.vehicle_id, flight.order_id if flight is not None else None)

    async def _write_event(self, note: Note) -> None:
        try:
            await self._ledger.note(note)
        except StoreUnavailableError as e:
            log.error("link event not recorded", reason=str(e), **note.body)

    def _render(self, kind: str, key: str) -> dict[str, Any] | None:
        match kind:
            case "vehicle":
                view = self.vehicle(key)
                return vehicle_json(view) if view is not None else None
            case "order":
                order = self.order(key)
                return order_json(replace(order, confirmation_code=None)) if order is not None else None
            case "airspace":
                return airspace_json(self._ledger.airspace.version)
        return None

    def health(self) -> Health:
        checks = {**self._checks(), "dispatch": self._supervisor.dispatch_trouble or "ok"}
        # A radio unplugged or a full disk for recordings is shown, and is no reason to turn orders away.
        return Health(ready=all(checks[part] == "ok" for part in ORDERS_NEED if part in checks), checks=checks)
