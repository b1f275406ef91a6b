"""Orders, flights and airspace as they stand, and the one way to change them.

A change is applied in memory at once, so that two tasks cannot both take an order, and written to the store in the
order of the changes; whoever needs it durable before going on (a command to a vehicle, an answer to a client) awaits
the write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.clock import Clock
from fleet.records.codec import from_json, to_json
from fleet.service import RecordedEvent
from fleet.store import IdempotencyKey, NewEvent, Put, StorePort
from geofences.airspace import Airspace
from geofences.volumes import Zone
from missions.delivery import Flight
from missions.orders import FINAL_ORDER_STATES, Order, OrderEvent, OrderState, next_order_state
from missions.plan import Reason


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """An order and where it stands."""

    order: Order
    state: OrderState
    requester: str
    reasons: tuple[Reason, ...] = ()
    flight_id: str | None = None
    vehicle_id: str | None = None
    box_id: str | None = None
    wrong_codes: int = 0
    decision: str | None = None
    verdict: str | None = None
    verdict_why: str | None = None
    box_away: bool = False
    """handed over with the product and not back yet"""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_ORDER_STATES


@dataclass(frozen=True, slots=True)
class Note:
    """One event for the record, before it has its place in a stream."""

    stream: str
    kind: str
    body: dict[str, Any] = field(default_factory=dict)


def order_stream(order_id: str) -> str:
    return f"order/{order_id}"


def vehicle_stream(vehicle_id: str) -> str:
    return f"vehicle/{vehicle_id}"


AIRSPACE_STREAM = "airspace"
FLEET_STREAM = "fleet"
"""what is of no order and no vehicle"""


class Ledger:
    """Current state over the store. `changed` is called after each change with what changed."""

    def __init__(self, store: StorePort, clock: Clock, airspace: Airspace) -> None:
        self._store = store
        self._clock = clock
        self.orders: dict[str, OrderEntry] = {}
        self.flights: dict[str, Flight] = {}
        self.airspace = airspace
        self.changed: Callable[[str, str], None] = lambda kind, key: None
        self._load()

    def _load(self) -> None:
        for key, body in self._store.load("orders").items():
            self.orders[key] = from_json(OrderEntry, body)
        for key, body in self._store.load("flights").items():
            flight = from_json(Flight, body)
            if flight.is_open:
                self.flights[key] = flight
        for zone_id, body in self._store.load("zones").items():
            if not body.get("withdrawn"):
                self.airspace = self.airspace.with_zone(from_json(Zone, body))
            elif self.airspace.zone(zone_id) is not None:  # else it had been added too: there is nothing to take away
                self.airspace = self.airspace.without_zone(zone_id)
        # Each change was a version. Counting anew, a plan of before could pass for one that knows of all of them.
        changes, _ = self._store.head(AIRSPACE_STREAM)
        self.airspace = replace(self.airspace, version=max(self.airspace.version, 1 + changes))

    # reading

    def flight_of_vehicle(self, vehicle_id: str) -> Flight | None:
        return next((f for f in self.flights.values() if f.vehicle_id == vehicle_id), None)

    def history(self, stream: str, after_seq: int = 0) -> Sequence[RecordedEvent]:
        return self._store.events(stream, after_seq=after_seq)

    # changing

    def note(self, note: Note) -> Awaitable[object]:
        """An event that changes nothing here. Queued at once; await it to know that it is durable."""
        return self._store.commit(events=[NewEvent(note.stream, self._clock.now_s(), note.kind, note.body)])

    async def write(
        self,
        *notes: Note,
        flight: Flight | None = None,
        order_id: str | None = None,
        order_events: Sequence[OrderEvent] = (),
        order_changes: dict[str, Any] | None = None,
    ) -> None:
        """Applies the change and returns when it is durable. Order events are taken one after the other.

        Raises IllegalTransitionError with nothing changed if the order's table has no such row, and
        StoreUnavailableError if it could not be written; memory then holds what really happened, and the next write
        carries it.
        """
        puts: list[Put] = []
        events = [NewEvent(n.stream, self._clock.now_s(), n.kind, n.body) for n in notes]
        if order_id is not None:
            entry = replace(self.orders[order_id], **(order_changes or {}))
            for event in order_events:
                entry = replace(entry, state=next_order_state(entry.state, event))
                body = {"event": event.value, "state": entry.state.value}
                events.append(NewEvent(order_stream(order_id), self._clock.now_s(), "order_state", body))
            self.orders[order_id] = entry
            puts.append(Put("orders", order_id, to_json(entry)))
        if flight is not None:
            if flight.is_open:
                self.flights[flight.flight_id] = flight
            else:
                self.flights.pop(flight.flight_id, None)
            puts.append(Put("flights", flight.flight_id, to_json(flight)))
        if order_id is not None:
            self.changed("order", order_id)
        if flight is not None:
            self.changed("vehicle", flight.vehicle_id)
        await self._store.commit(events=events, puts=puts)

    async def add_order(self, entry: OrderEntry, idempotency: IdempotencyKey) -> None:
        """A new order: durable before it exists for others. Raises IdempotencyConflictError if the key is taken."""
        order_id = entry.order.order_id
        body = {"order": to_json(entry.order), "requester": entry.requester}
        await self._store.commit(
            events=[
                NewEvent(order_stream(order_id), self._clock.now_s(), "order_requested", body),
                NewEvent(order_stream(order_id), self._clock.now_s(), "order_state", {"state": entry.state.value}),
            ],
            puts=[Put("orders", order_id, to_json(entry))],
            idempotency=idempotency,
        )
        self.orders[order_id] = entry
        self.changed("order", order_id)

    async def set_airspace(self, airspace: Airspace, zone: Zone | None, withdrawn: str | None, actor: str) -> None:
        """A zone was added or withdrawn by somebody. A withdrawal is stored too, as the zone may come from a file."""
        self.airspace = airspace
        key = zone.zone_id if zone is not None else withdrawn
        assert key is not None
        put = Put("zones", key, to_json(zone) if zone is not None else {"withdrawn": True})
        body = {"version": airspace.version, "zone_id": key, "actor": actor}
        if zone is not None:
            body["zone"] = to_json(zone)
        kind = "zone_added" if zone is not None else "zone_withdrawn"
        self.changed("airspace", key)
        await self._store.commit(events=[NewEvent(AIRSPACE_STREAM, self._clock.now_s(), kind, body)], puts=[put])
