"""What the controller offers to its shells: the API, the console, the CLI and the demo all speak to this port.

Expected outcomes are values: a `Refused` carries the reasons; exceptions mean a fault of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from fleet.mavlink.link import LinkStats
from fleet.mavlink.port import PlanIds
from geofences.volumes import Zone
from missions.orders import Order, OrderState, Priority
from missions.plan import Plan, Reason
from missions.sites import Site
from missions.snapshot import LinkPath


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed. `status` is the HTTP status that fits: 404, 409, 422, 503."""

    status: int
    title: str
    reasons: tuple[Reason, ...]


def refused(status: int, title: str, code: str, text: str, fix: str = "") -> Refused:
    """For one reason."""
    return Refused(status, title, (Reason(code, text, fix),))


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A health system's wish, already checked for types. `deadline_s` is seconds since the Unix epoch."""

    product_id: str
    destination_site: str
    recipient_ref: str
    mass_kg: float
    volume_l: float
    deadline_s: float
    priority: Priority = Priority.ROUTINE
    origin_site: str | None = None
    """None: the hub nearest to the destination"""
    lot: str = ""
    budget_min: tuple[tuple[str, float], ...] = ()
    single_patient: bool = False
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class OrderView:
    order: Order
    state: OrderState
    reasons: tuple[Reason, ...] = ()
    """why it was refused, or why it is not assigned yet"""
    vehicle_id: str | None = None
    box_id: str | None = None
    eta_s: float | None = None
    phase: str | None = None
    """of its flight: missions.decision.types.FlightPhase"""
    verdict: str | None = None
    """missions.snapshot.BoxVerdict"""
    verdict_why: str | None = None
    confirmation_code: str | None = None
    """one-time code for the recipient; only ever given to the requester who placed the order"""
    decision: str | None = None
    """the newest decision's sentence"""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One line of an order's (or vehicle's, or the airspace's) record."""

    stream: str
    """`order/ID`, `vehicle/ID` or `airspace`"""
    seq: int
    """from 1 within the stream"""
    global_seq: int
    at_s: float
    kind: str
    body: dict[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class VehicleView:
    vehicle_id: str
    type_name: str
    home_site: str
    link: str
    """`up`, `stale` or `never`"""
    heard_age_s: float | None
    lat_deg: float | None
    lon_deg: float | None
    alt_amsl_m: float | None
    alt_agl_m: float | None
    ground_speed_m_s: float | None
    heading_deg: float | None
    mode: str | None
    armed: bool | None
    battery_pct: float | None
    phase: str | None
    order_id: str | None
    box_id: str | None
    box_temp_c: float | None
    verdict: str | None
    eta_s: float | None
    authority: bool
    faults: tuple[str, ...]
    """operator texts of what is wrong now"""
    decision: str | None
    route: tuple[tuple[float, float, float], ...] = ()
    """lat, lon, AMSL metres of the present plan"""
    rtt_s: float | None = None
    loss_pct: float | None = None
    firmware: str | None = None
    plan_verified: bool = False
    if_link_dies: str = ""
    """what PX4 would do by itself"""
    no_return_m: float | None = None
    """how far along its plan home stays in reach above the reserve; None: to its end, or it flies there"""
    no_return_s: float | None = None
    """when it gets there"""
    awaits: str | None = None
    """what an operator is asked: `confirm` and `decline` answer it"""
    awaits_until_s: float | None = None
    """when it is done without an answer"""
    driver: str = "native"
    uid: int | None = None
    """the autopilot's hardware id"""
    signing: str = "off"
    """off, waiting (for the first signed frame) or verified"""
    links: tuple[LinkPath, ...] = ()
    """the links that may reach it, the preferred one first"""
    plan_ids: PlanIds | None = None
    """opaque_ids of mission, fence and rally points that were proven to be on board, while they still are"""
    other_gcs: tuple[int, ...] = ()
    """system ids of other ground stations heard on it"""
    unfit: str | None = None
    """why it may not be given a flight, by its firmware and parameters"""
    not_ready: tuple[str, ...] = ()
    """why PX4 would not arm it, in its own findings"""


@dataclass(frozen=True, slots=True)
class Quote:
    plan: Plan
    vehicle_type: str
    cold_ok: bool | None
    reasons: tuple[Reason, ...] = ()


class VehicleCommand(StrEnum):
    HOLD = "hold"
    RESUME = "resume"
    RETURN = "return"
    LAND = "land"
    CONFIRM = "confirm"
    """do what is proposed for the dose now"""
    DECLINE = "decline"
    """fly on: what is proposed is not to be done"""


class CustodyStep(StrEnum):
    """Custody events that people cause; release is the vehicle's."""

    SEAL = "seal"
    LOAD = "load"
    HAND_OVER = "hand_over"
    REICED = "reiced"
    BOX_BACK = "box_back"
    """the empty box is back at its hub and may carry the next order"""


@dataclass(frozen=True, slots=True)
class Health:
    ready: bool
    checks: dict[str, str] = field(default_factory=dict)
    """part → `ok` or what is wrong"""


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One line of the live stream: `kind` is `order`, `vehicle`, `airspace` or `alarm`; `data` is a view as JSON."""

    kind: str
    data: dict[str, Any]


class FleetService(Protocol):
    """Implemented by `fleet.app.Controller`; faked in tests of the shells."""

    async def place_order(
        self, request: OrderRequest, *, requester: str, idempotency_key: str, fingerprint: str
    ) -> OrderView | Refused:
        """Durable before it returns. Same key and fingerprint: the same order again; another fingerprint: 422."""
        ...

    def orders(self) -> Sequence[OrderView]: ...

    def order(self, order_id: str) -> OrderView | None: ...

    def requester_of(self, order_id: str) -> str | None:
        """Who placed it (the token's name): only they get its confirmation code, and requesters see only their own."""
        ...

    async def cancel_order(self, order_id: str, *, actor: str) -> OrderView | Refused: ...

    async def confirm_receipt(self, order_id: str, *, code: str, verdict_seen: str, actor: str) -> OrderView | Refused:
        """The recipient has read the cold verdict (sent back as `verdict_seen`) and gives the one-time code."""
        ...

    async def custody(
        self, order_id: str, step: CustodyStep, *, actor: str, detail: dict[str, Any]
    ) -> OrderView | Refused: ...

    def record(self, stream: str, *, after_seq: int = 0) -> Sequence[RecordedEvent]: ...

    def follow(self, stream: str, *, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        """The stored events and then the new ones as they are written; ends when the order is final."""
        ...

    async def quote(self, request: OrderRequest) -> Quote | Refused: ...

    def vehicles(self) -> Sequence[VehicleView]: ...

    def vehicle(self, vehicle_id: str) -> VehicleView | None: ...

    async def command(self, vehicle_id: str, command: VehicleCommand, *, actor: str) -> VehicleView | Refused:
        """An operator's request; enters the session as an event. RESUME also hands authority back."""
        ...

    def operator_seen(self) -> None:
        """Somebody who may command has just asked for something: there is one who can answer."""
        ...

    def links(self) -> Sequence[LinkStats]:
        """The MAVLink links, and who was not admitted on them."""
        ...

    def zones(self) -> tuple[int, Sequence[Zone]]:
        """Airspace version and all zones."""
        ...

    async def add_zone(self, zone: Zone, *, actor: str) -> int | Refused: ...

    async def withdraw_zone(self, zone_id: str, *, actor: str) -> int | Refused: ...

    def sites(self) -> Sequence[Site]: ...

    def live(self) -> AsyncIterator[LiveEvent]:
        """The whole picture once, then changes; a slow reader loses old vehicle states, never order events."""
        ...

    def health(self) -> Health: ...
