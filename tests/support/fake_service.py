"""A hand-written fleet in memory, for tests of the API, the console and the CLI."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from fleet.api.views import airspace_json, alarm_json, order_json, vehicle_json
from fleet.mavlink.link import LinkStats, Refusal
from fleet.records import chain
from fleet.records.codec import canonical_json
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
)
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone
from missions.orders import FINAL_ORDER_STATES, Order, OrderEvent, OrderState, next_order_state
from missions.plan import Alternate, Ending, EnergyBudget, FenceSet, Leg, Plan, Reason, Waypoint
from missions.sites import Site, SiteKind
from missions.snapshot import LinkPath

HUB = LatLon(7.5, 38.2)
START_S = 1_893_456_000.0
"""2030-01-01T00:00:00Z: the fake's present until a test moves it"""
CODE = "481923"
MAX_PAYLOAD_KG = 3.0


def east_north(east_m: float, north_m: float) -> LatLon:
    """Good enough for pictures: a flat earth about the hub."""
    return LatLon(HUB.lat_deg + north_m / 110_600.0, HUB.lon_deg + east_m / 110_370.0)


def _site(site_id: str, name: str, kind: SiteKind, east_m: float, north_m: float) -> Site:
    return Site(site_id, name, kind, east_north(east_m, north_m), 420.0)


SITES = (
    _site("teral", "Teral Hub", SiteKind.HUB, 0, 0),
    _site("ndeba", "Ndeba Health Post", SiteKind.CLINIC, 5200, 2600),
    _site("koru", "Koru Clinic", SiteKind.CLINIC, 6800, -2400),
    _site("salme", "Salme Maternity", SiteKind.CLINIC, -4200, 4600),
    _site("orvane", "Orvane Dispensary", SiteKind.CLINIC, 2500, -6200),
    _site("midway", "Midway Ice House", SiteKind.REICING, 3500, -1000),
    _site("quarry", "Old Quarry Field", SiteKind.ALTERNATE, 2600, 3600),
    _site("ferry", "Ferry Landing", SiteKind.ALTERNATE, -2200, 1900),
)


def _box(east_m: float, north_m: float, half_m: float) -> Polygon:
    corners = ((-half_m, -half_m), (half_m, -half_m), (half_m, half_m), (-half_m, half_m))
    return Polygon(tuple(east_north(east_m + e, north_m + n) for e, n in corners))


def zone(zone_id: str, name: str, restriction: Restriction, outline: Polygon | Circle, **more: Any) -> Zone:
    low, high = more.pop("band", (0.0, 300.0))
    volume = Volume(outline, Height(low, Datum.AGL), Height(high, Datum.AGL))
    return Zone(zone_id, name, restriction, (volume,), **more)


ZONES = (
    zone("keep-in", "Teral valley", Restriction.NO_RESTRICTION, _box(1000, -500, 9000), role=Role.KEEP_IN),
    zone("prison", "Hill prison", Restriction.PROHIBITED, _box(2600, 1500, 500), message="No flights."),
    zone("ctr", "Airfield control zone", Restriction.REQ_AUTHORISATION, Circle(east_north(4300, -4200), 1500.0)),
    zone("park", "Crane marsh", Restriction.CONDITIONAL, _box(-3600, 1800, 700), band=(0.0, 60.0)),
    zone("uspace", "Town U-space", Restriction.USPACE, Circle(east_north(-1500, -3500), 1100.0)),
)


def vehicle(vehicle_id: str, **fields: Any) -> VehicleView:
    """A vehicle on its pad, link up; `fields` change it."""
    on_pad = VehicleView(
        vehicle_id=vehicle_id,
        type_name="courier-x8",
        home_site="teral",
        link="up",
        heard_age_s=0.3,
        lat_deg=HUB.lat_deg,
        lon_deg=HUB.lon_deg,
        alt_amsl_m=420.0,
        alt_agl_m=0.0,
        ground_speed_m_s=0.0,
        heading_deg=0.0,
        mode="hold",
        armed=False,
        battery_pct=100.0,
        phase=None,
        order_id=None,
        box_id=None,
        box_temp_c=None,
        verdict=None,
        eta_s=None,
        authority=True,
        faults=(),
        decision=None,
        firmware="1.17.0",
        uid=0x4D,
        links=(LinkPath("udpin://127.0.0.1:14550", up=True, in_use=True, rtt_s=0.04, loss_pct=0.2),),
        if_link_dies="Hold 10 s, then return to Teral Hub.",
    )
    return replace(on_pad, **fields)


UDP = "udpin://127.0.0.1:14550"
LINK = LinkStats(
    link=UDP,
    frames=4500,
    bad_bytes=12,
    refused_frames=3,
    over_budget={},
    unsigned={},
    send_drops=0,
    kernel_drops=0,
    trouble=None,
    refused=(Refusal(UDP, 42, "10.9.9.9:9999", "no vehicle with system id 42 is configured", START_S, START_S, 3),),
)


class FakeFleet:
    """Implements `fleet.service.FleetService`; tests read and change its attributes."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.order_views: dict[str, OrderView] = {}
        self.requesters: dict[str, str] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}
        self.records: dict[str, list[RecordedEvent]] = defaultdict(list)
        self.vehicle_views = {v: vehicle(v) for v in ("cw-1", "cw-2", "cw-3")}
        self.link_views: list[LinkStats] = [LINK]
        self.zone_list = {z.zone_id: z for z in ZONES}
        self.airspace_version = 1
        self.commands: list[tuple[str, VehicleCommand, str]] = []
        self.operators_seen = 0
        self.checks = {"store": "ok", "mqtt": "ok"}
        self.place_gate: asyncio.Event | None = None
        """set to hold orders in the middle of being placed"""
        self.crash: Exception | None = None
        """raised by the next call of anything that changes or lists"""
        self.reader_left = asyncio.Event()
        self._readers: list[asyncio.Queue[LiveEvent | None]] = []
        self._written = asyncio.Event()
        self._global_seq = 0

    # what tests do to it

    def write(self, stream: str, kind: str, **body: Any) -> RecordedEvent:
        """Appends an event to a record and wakes those who follow it."""
        events = self.records[stream]
        seq, prev = len(events) + 1, events[-1].hash if events else chain.genesis(stream)
        self._global_seq += 1
        facts = {"stream": stream, "seq": seq, "global_seq": self._global_seq, "at_s": self.now_s, "kind": kind}
        digest = chain.event_hash(prev, **facts, body_json=canonical_json(body))
        events.append(RecordedEvent(**facts, body=body, prev_hash=prev, hash=digest))
        self._written.set()
        self._written = asyncio.Event()
        return events[-1]

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        for queue in self._readers:
            queue.put_nowait(LiveEvent(kind, data))

    def break_readers(self) -> None:
        """Ends every live stream."""
        for queue in self._readers:
            queue.put_nowait(None)

    def set_vehicle(self, vehicle_id: str, **fields: Any) -> VehicleView:
        view = replace(self.vehicle_views.get(vehicle_id, vehicle(vehicle_id)), **fields)
        self.vehicle_views[vehicle_id] = view
        self.tell("vehicle", vehicle_json(view))
        return view

    def set_order(self, order_id: str, event: OrderEvent | None = None, **fields: Any) -> OrderView:
        """Moves an order by an event of its table, and changes other fields of its view."""
        view = self.order_views[order_id]
        if event is not None:
            fields["state"] = next_order_state(view.state, event)
            self.order_views[order_id] = replace(view, **fields)
            self.write(f"order/{order_id}", event.value, state=fields["state"].value)
        self.order_views[order_id] = view = replace(view, **fields)
        self.tell("order", {**order_json(view), "confirmation_code": view.confirmation_code})
        return view

    def alarm(self, text: str, **about: Any) -> None:
        self.tell("alarm", alarm_json(text, **about))

    def put_order(self, request: OrderRequest, requester: str = "clinic") -> OrderView:
        """An accepted order, as if it had been placed."""
        order_id = f"ord-{len(self.order_views) + 1}"
        order = Order(
            order_id=order_id,
            product_id=request.product_id,
            origin_site=request.origin_site or "teral",
            destination_site=request.destination_site,
            recipient_ref=request.recipient_ref,
            mass_kg=request.mass_kg,
            volume_l=request.volume_l,
            priority=request.priority,
            deadline_s=request.deadline_s,
            requested_at_s=self.now_s + len(self.order_views),
            lot=request.lot,
            budget_min=request.budget_min,
            single_patient=request.single_patient,
            expires_s=request.expires_s,
        )
        self.requesters[order_id] = requester
        self.order_views[order_id] = OrderView(order, OrderState.REQUESTED, confirmation_code=CODE)
        self.write(f"order/{order_id}", "requested", product_id=order.product_id, mass_kg=order.mass_kg)
        if request.product_id == "unobtainium":
            why = Reason("product_unknown", "No box is qualified for unobtainium.", "Order a configured product.")
            return self.set_order(order_id, OrderEvent.REFUSE, reasons=(why,))
        return self.set_order(order_id, OrderEvent.ACCEPT)

    def deliver(self, order_id: str, upto: OrderState = OrderState.RELEASED, verdict: str = "in_range") -> OrderView:
        """The happy way as far as `upto`."""
        way = (OrderEvent.ASSIGN, OrderEvent.BEGIN_LOADING, OrderEvent.SEALED, OrderEvent.DEPART)
        for event in (*way, OrderEvent.ARRIVE, OrderEvent.RELEASE):
            if self.order_views[order_id].state is upto:
                break
            self.set_order(order_id, event, vehicle_id="cw-1", box_id="box-1", verdict=verdict)
        return self.set_order(order_id, verdict_why="2.0 to 8.0 °C held since the seal")

    # the port

    async def place_order(
        self, request: OrderRequest, *, requester: str, idempotency_key: str, fingerprint: str
    ) -> OrderView | Refused:
        self._crash()
        if self.place_gate is not None:
            await self.place_gate.wait()
        known = self.keys.get((requester, idempotency_key))
        if known is not None:
            if known[1] != fingerprint:
                text = "This Idempotency-Key was used for another order."
                return _refused(422, "Key reused", "idempotency_key_reused", text, "Use a new key.")
            return self.order_views[known[0]]
        if all(s.site_id != request.destination_site for s in SITES):
            text = f"There is no site {request.destination_site!r}."
            return _refused(
                422, "Unknown site", "site_unknown", text, f"Use one of {', '.join(s.site_id for s in SITES)}."
            )
        if request.deadline_s <= self.now_s:
            return _refused(422, "Too late", "deadline_past", "The deadline is past.", "Give a later deadline.")
        if request.mass_kg > MAX_PAYLOAD_KG:
            text = f"{request.mass_kg:g} kg is over the {MAX_PAYLOAD_KG:g} kg that a vehicle carries."
            return _refused(422, "Too heavy", "order_too_heavy", text, "Split the order.")
        view = self.put_order(request, requester)
        self.keys[requester, idempotency_key] = (view.order.order_id, fingerprint)
        return view

    def orders(self) -> Sequence[OrderView]:
        self._crash()
        return tuple(self.order_views.values())

    def order(self, order_id: str) -> OrderView | None:
        return self.order_views.get(order_id)

    def requester_of(self, order_id: str) -> str | None:
        return self.requesters.get(order_id)

    async def cancel_order(self, order_id: str, *, actor: str) -> OrderView | Refused:
        view = self.order_views[order_id]
        if view.state in FINAL_ORDER_STATES or view.state in (
            OrderState.IN_FLIGHT,
            OrderState.AT_DROP,
            OrderState.RELEASED,
        ):
            text = f"An order that is {view.state} cannot be cancelled."
            return _refused(409, "Too late", "order_not_cancellable", text, "Ask an operator to return the vehicle.")
        return self.set_order(order_id, OrderEvent.CANCEL)

    async def confirm_receipt(self, order_id: str, *, code: str, verdict_seen: str, actor: str) -> OrderView | Refused:
        view = self.order_views[order_id]
        if view.state is not OrderState.RELEASED:
            return _refused(
                409, "Not there", "order_not_released", f"The order is {view.state}.", "Wait for its release."
            )
        if code != view.confirmation_code:
            return _refused(422, "Wrong code", "code_wrong", "The code is not the order's.", "Check the code.")
        if verdict_seen != view.verdict:
            return _refused(409, "Verdict changed", "verdict_changed", "The verdict has changed.", "Read it again.")
        return self.set_order(order_id, OrderEvent.RECEIVE)

    async def custody(
        self, order_id: str, step: CustodyStep, *, actor: str, detail: dict[str, Any]
    ) -> OrderView | Refused:
        self.write(f"order/{order_id}", f"custody.{step.value}", actor=actor, **detail)
        return self.order_views[order_id]

    def record(self, stream: str, *, after_seq: int = 0) -> Sequence[RecordedEvent]:
        return tuple(self.records[stream][after_seq:])

    async def follow(self, stream: str, *, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        order_id = stream.removeprefix("order/")
        while True:
            written = self._written
            for event in self.records[stream][after_seq:]:
                after_seq = event.seq
                yield event
            if self.order_views[order_id].state in FINAL_ORDER_STATES and after_seq == len(self.records[stream]):
                return
            if written is self._written:
                await written.wait()

    async def quote(self, request: OrderRequest) -> Quote | Refused:
        goal = next((s for s in SITES if s.site_id == request.destination_site), None)
        if goal is None:
            return _refused(422, "Unknown site", "site_unknown", "There is no such site.", "See /v1/sites.")
        start = Waypoint(HUB, 500.0, self.now_s)
        end = Waypoint(goal.position, 500.0, self.now_s + 290.0)
        leg = Leg(start, end, 5800.0, 60.0, (Alternate("quarry", 2800.0, 30.0, 55.0),))
        plan = Plan(
            plan_id="plan-1",
            goal_site=goal.site_id,
            ending=Ending.HOLD_AT_DROP,
            take_off=True,
            legs=(leg,),
            fence=FenceSet(None, (), ()),
            rally=(),
            energy=EnergyBudget(100.0, 130.0, 81.7, 20.0),
            home=HUB,
            home_amsl_m=420.0,
            cruise_agl_m=80.0,
            depart_s=start.eta_s,
            arrive_s=end.eta_s,
            airspace_version=self.airspace_version,
        )
        return Quote(plan, "courier-x8", cold_ok=True)

    def vehicles(self) -> Sequence[VehicleView]:
        self._crash()
        return tuple(self.vehicle_views.values())

    def vehicle(self, vehicle_id: str) -> VehicleView | None:
        return self.vehicle_views.get(vehicle_id)

    async def command(self, vehicle_id: str, command: VehicleCommand, *, actor: str) -> VehicleView | Refused:
        view = self.vehicle_views.get(vehicle_id)
        if view is None:
            return _refused(
                404, "No such vehicle", "vehicle_unknown", f"There is no vehicle {vehicle_id!r}.", "Check its id."
            )
        if view.link != "up":
            text = f"The link to {vehicle_id} is {view.link}: nothing can be commanded."
            return _refused(409, "Link down", "link_stale", text, f"By itself it will: {view.if_link_dies}")
        self.commands.append((vehicle_id, command, actor))
        if command in (VehicleCommand.CONFIRM, VehicleCommand.DECLINE):
            if view.awaits is None:
                text = f"{vehicle_id} asks nothing: there is no proposal to answer"
                return _refused(409, "Refused", "not_now", text, "See the vehicle's phase.")
            return self.set_vehicle(vehicle_id, awaits=None, awaits_until_s=None)
        mode = {"resume": "mission"}.get(command.value, command.value)
        return self.set_vehicle(vehicle_id, mode=mode, decision=f"{actor} asked for {command.value}")

    def operator_seen(self) -> None:
        self.operators_seen += 1

    def links(self) -> Sequence[LinkStats]:
        return self.link_views

    def zones(self) -> tuple[int, Sequence[Zone]]:
        return self.airspace_version, tuple(self.zone_list.values())

    async def add_zone(self, zone: Zone, *, actor: str) -> int | Refused:
        if zone.zone_id in self.zone_list:
            text = f"There is a zone {zone.zone_id!r} already."
            return _refused(409, "Zone exists", "zone_exists", text, "Withdraw it first, or use another id.")
        self.zone_list[zone.zone_id] = zone
        return self._airspace_changed()

    async def withdraw_zone(self, zone_id: str, *, actor: str) -> int | Refused:
        if self.zone_list.pop(zone_id, None) is None:
            return _refused(404, "No such zone", "zone_unknown", f"There is no zone {zone_id!r}.", "Check its id.")
        return self._airspace_changed()

    def sites(self) -> Sequence[Site]:
        return SITES

    async def live(self) -> AsyncIterator[LiveEvent]:
        queue: asyncio.Queue[LiveEvent | None] = asyncio.Queue()
        self._readers.append(queue)
        try:
            for view in self.order_views.values():
                yield LiveEvent("order", {**order_json(view), "confirmation_code": view.confirmation_code})
            for known in self.vehicle_views.values():
                yield LiveEvent("vehicle", vehicle_json(known))
            yield LiveEvent("airspace", airspace_json(self.airspace_version))
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._readers.remove(queue)
            self.reader_left.set()

    def health(self) -> Health:
        return Health(all(state == "ok" for state in self.checks.values()), dict(self.checks))

    def _airspace_changed(self) -> int:
        self.airspace_version += 1
        self.tell("airspace", airspace_json(self.airspace_version))
        return self.airspace_version

    def _crash(self) -> None:
        if self.crash is not None:
            raise self.crash


def _refused(status: int, title: str, code: str, text: str, fix: str) -> Refused:
    return Refused(status, title, (Reason(code, text, fix),))
