"""The stable JSON of orders, vehicles, events and zones. Times are RFC 3339 strings in UTC; units are in the names.

`order_json`, `vehicle_json`, `airspace_json` and `alarm_json` make the `data` of a `LiveEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any

from pydantic import BaseModel, Field

from fleet.api.problems import ReasonOut
from fleet.mavlink.link import LinkStats
from fleet.service import OrderView, Quote, RecordedEvent, VehicleView
from missions.orders import FINAL_ORDER_STATES, OrderState, Priority
from missions.plan import Plan, Reason
from missions.sites import Site, SiteKind
from missions.snapshot import BoxVerdict

Time = Field(json_schema_extra={"format": "date-time"}, examples=["2026-03-01T09:30:00.000Z"])
OptionalTime = Field(
    json_schema_extra={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    examples=["2026-03-01T09:30:00.000Z"],
)

Point = Annotated[list[float], Field(min_length=3, max_length=3)]
"""latitude, longitude, metres AMSL: a list, because tools stumble over JSON Schema's tuples"""


def rfc3339(at_s: float) -> str:
    """Seconds since the Unix epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(at_s: float | None) -> str | None:
    return None if at_s is None or not isfinite(at_s) else rfc3339(at_s)


def _finite(value: float | None) -> float | None:
    """JSON has no NaN: what is not a number is not known."""
    return value if value is not None and isfinite(value) else None


def _reasons(reasons: Sequence[Reason]) -> list[ReasonOut]:
    return [ReasonOut(code=r.code, text=r.text, fix=r.fix) for r in reasons]


class OrderOut(BaseModel):
    """An order as it is now."""

    order_id: str = Field(examples=["ord-7f3a"])
    state: OrderState
    final: bool = Field(description="it will not change any more")
    product_id: str
    origin_site: str
    destination_site: str
    recipient_ref: str = Field(description="the health system's own opaque reference; never patient data")
    mass_kg: float
    volume_l: float
    priority: Priority
    deadline: str = Time
    requested_at: str = Time
    lot: str
    budget_min: dict[str, float] = Field(description="stability budget left when ordered: minutes per band")
    single_patient: bool
    expires: str | None = OptionalTime
    reasons: list[ReasonOut] = Field(description="why it was refused, or why it is not assigned yet")
    vehicle_id: str | None
    box_id: str | None
    eta: str | None = OptionalTime
    phase: str | None = Field(description="of its flight", examples=["outbound"])
    verdict: BoxVerdict | None = Field(description="the cold verdict; shown before use, asked back at receipt")
    verdict_why: str | None
    confirmation_code: str | None = Field(description="one-time code for the receipt; only to who placed the order")
    decision: str | None = Field(description="the newest decision, one sentence")


def order_out(view: OrderView, *, with_code: bool = False) -> OrderOut:
    """`with_code` only for the requester who placed the order."""
    order = view.order
    return OrderOut(
        order_id=order.order_id,
        state=view.state,
        final=view.state in FINAL_ORDER_STATES,
        product_id=order.product_id,
        origin_site=order.origin_site,
        destination_site=order.destination_site,
        recipient_ref=order.recipient_ref,
        mass_kg=order.mass_kg,
        volume_l=order.volume_l,
        priority=order.priority,
        deadline=rfc3339(order.deadline_s),
        requested_at=rfc3339(order.requested_at_s),
        lot=order.lot,
        budget_min=dict(order.budget_min),
        single_patient=order.single_patient,
        expires=_time(order.expires_s),
        reasons=_reasons(view.reasons),
        vehicle_id=view.vehicle_id,
        box_id=view.box_id,
        eta=_time(view.eta_s),
        phase=view.phase,
        verdict=None if view.verdict is None else BoxVerdict(view.verdict),
        verdict_why=view.verdict_why,
        confirmation_code=view.confirmation_code if with_code else None,
        decision=view.decision,
    )


class OrderPage(BaseModel):
    orders: list[OrderOut] = Field(description="newest first")
    total: int = Field(description="orders that match the filter")
    next: str | None = Field(description="the next page's path, or null at the end")


class PathOut(BaseModel):
    """One link to a vehicle. Telemetry is taken from the one in use; the others stand by."""

    link: str = Field(examples=["udpin://127.0.0.1:14550"])
    up: bool
    in_use: bool
    rtt_s: float | None
    loss_pct: float | None
    trouble: str | None = Field(description="why nothing is taken from here")


class PlanIdsOut(BaseModel):
    """The vehicle's own checksums (opaque_id) of its lists; 0 for an empty one."""

    mission: int
    fence: int
    rally: int


class VehicleOut(BaseModel):
    """A vehicle as last known. `link` and `heard_age_s` say how old that is: stale values are shown, not hidden."""

    vehicle_id: str
    type_name: str
    home_site: str
    link: str = Field(description="up, stale or never", examples=["up"])
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
    eta: str | None = OptionalTime
    authority: bool = Field(description="false after a pilot or another station took over")
    faults: list[str] = Field(description="what is wrong now, for the operator")
    decision: str | None
    route: list[Point] = Field(description="present plan: latitude, longitude, metres AMSL")
    rtt_s: float | None
    loss_pct: float | None
    firmware: str | None
    plan_verified: bool
    if_link_dies: str = Field(description="what PX4 would do by itself")
    no_return_m: float | None = Field(description="how far along its plan home stays in reach; null: to its end")
    no_return: str | None = OptionalTime
    awaits: str | None = Field(description="what an operator is asked; `confirm` and `decline` answer it")
    awaits_until: str | None = OptionalTime
    driver: str = Field(description="native or mavsdk")
    uid: str | None = Field(description="the autopilot's hardware id, hexadecimal", examples=["0x4d"])
    signing: str = Field(description="off, waiting (for the first signed frame) or verified")
    links: list[PathOut] = Field(description="links that may reach it, the preferred one first")
    plan_ids: PlanIdsOut | None = Field(description="what was proven to be on board and still is")
    other_gcs: list[int] = Field(description="system ids of other ground stations heard on it")
    unfit: str | None = Field(description="why its firmware or parameters keep it from being given a flight")
    not_ready: list[str] = Field(description="why PX4 would not arm it")


def vehicle_out(view: VehicleView) -> VehicleOut:
    return VehicleOut(
        vehicle_id=view.vehicle_id,
        type_name=view.type_name,
        home_site=view.home_site,
        link=view.link,
        heard_age_s=_finite(view.heard_age_s),
        lat_deg=_finite(view.lat_deg),
        lon_deg=_finite(view.lon_deg),
        alt_amsl_m=_finite(view.alt_amsl_m),
        alt_agl_m=_finite(view.alt_agl_m),
        ground_speed_m_s=_finite(view.ground_speed_m_s),
        heading_deg=_finite(view.heading_deg),
        mode=view.mode,
        armed=view.armed,
        battery_pct=_finite(view.battery_pct),
        phase=view.phase,
        order_id=view.order_id,
        box_id=view.box_id,
        box_temp_c=_finite(view.box_temp_c),
        verdict=view.verdict,
        eta=_time(view.eta_s),
        authority=view.authority,
        faults=list(view.faults),
        decision=view.decision,
        route=[list(point) for point in view.route],
        rtt_s=_finite(view.rtt_s),
        loss_pct=_finite(view.loss_pct),
        firmware=view.firmware,
        plan_verified=view.plan_verified,
        if_link_dies=view.if_link_dies,
        no_return_m=_finite(view.no_return_m),
        no_return=_time(view.no_return_s),
        awaits=view.awaits,
        awaits_until=_time(view.awaits_until_s),
        driver=view.driver,
        uid=None if view.uid is None else f"{view.uid:#x}",
        signing=view.signing,
        links=[
            PathOut(
                link=path.link,
                up=path.up,
                in_use=path.in_use,
                rtt_s=_finite(path.rtt_s),
                loss_pct=_finite(path.loss_pct),
                trouble=path.trouble,
            )
            for path in view.links
        ],
        plan_ids=None
        if view.plan_ids is None
        else PlanIdsOut(mission=view.plan_ids.mission, fence=view.plan_ids.fence, rally=view.plan_ids.rally),
        other_gcs=list(view.other_gcs),
        unfit=view.unfit,
        not_ready=list(view.not_ready),
    )


class Vehicles(BaseModel):
    vehicles: list[VehicleOut]


class RefusedSenderOut(BaseModel):
    system_id: int
    address: str
    why: str
    first: str = Time
    last: str = Time
    frames: int


class LinkOut(BaseModel):
    """A MAVLink link. Counters since the controller started."""

    link: str
    trouble: str | None = Field(description="why nothing can come in at present, with the fix")
    frames: int
    bad_bytes: int = Field(description="bytes that were no valid frame")
    refused_frames: int
    over_budget: dict[str, int] = Field(description="frames dropped by vehicle because it sent too many")
    unsigned: dict[str, int] = Field(description="frames refused by vehicle: not signed with its key, or replayed")
    send_drops: int
    kernel_drops: int | None
    refused: list[RefusedSenderOut] = Field(description="who was not admitted, newest last")


class Links(BaseModel):
    links: list[LinkOut]


def link_out(view: LinkStats) -> LinkOut:
    return LinkOut(
        link=view.link,
        trouble=view.trouble,
        frames=view.frames,
        bad_bytes=view.bad_bytes,
        refused_frames=view.refused_frames,
        over_budget=dict(view.over_budget),
        unsigned=dict(view.unsigned),
        send_drops=view.send_drops,
        kernel_drops=view.kernel_drops,
        refused=[
            RefusedSenderOut(
                system_id=each.system_id,
                address=each.address,
                why=each.why,
                first=rfc3339(each.first_s),
                last=rfc3339(each.last_s),
                frames=each.frames,
            )
            for each in view.refused
        ],
    )


class EventOut(BaseModel):
    """One line of a hash-chained record. `at_s` is the exact value that was hashed; `at` is the same for people."""

    stream: str = Field(examples=["order/ord-7f3a"])
    seq: int
    global_seq: int
    at: str = Time
    at_s: float
    kind: str
    body: dict[str, Any]
    prev_hash: str
    hash: str


def event_out(event: RecordedEvent) -> EventOut:
    return EventOut(
        stream=event.stream,
        seq=event.seq,
        global_seq=event.global_seq,
        at=rfc3339(event.at_s),
        at_s=event.at_s,
        kind=event.kind,
        body=event.body,
        prev_hash=event.prev_hash,
        hash=event.hash,
    )


def event_from_json(data: Mapping[str, Any]) -> RecordedEvent:
    """The event again, exactly as it was hashed. Raises KeyError or TypeError for what is not an EventOut."""
    fields = ("stream", "seq", "global_seq", "at_s", "kind", "body", "prev_hash", "hash")
    return RecordedEvent(**{name: data[name] for name in fields})


class RecordOut(BaseModel):
    stream: str
    events: list[EventOut]


class AlternateOut(BaseModel):
    site_id: str
    distance_m: float
    energy_wh: float
    reserve_pct: float = Field(description="battery left at touchdown there")


class LegOut(BaseModel):
    to: Point = Field(description="latitude, longitude, metres AMSL")
    eta: str = Time
    length_m: float
    energy_wh: float
    alternates: list[AlternateOut]


class PlanOut(BaseModel):
    """One flight, as planned and independently checked."""

    plan_id: str
    goal_site: str
    start: Point | None = Field(description="latitude, longitude, metres AMSL")
    legs: list[LegOut]
    length_m: float
    depart: str = Time
    arrive: str = Time
    energy_use_wh: float
    battery_start_pct: float
    battery_end_pct: float
    reserve_pct: float = Field(description="what policy requires at touchdown")
    airspace_version: int
    checked_by: str


def plan_out(plan: Plan) -> PlanOut:
    points = [[w.position.lat_deg, w.position.lon_deg, w.alt_amsl_m] for w in plan.waypoints]
    legs = [
        LegOut(
            to=point,
            eta=rfc3339(leg.end.eta_s),
            length_m=leg.length_m,
            energy_wh=leg.energy_wh,
            alternates=[
                AlternateOut(
                    site_id=a.site_id, distance_m=a.distance_m, energy_wh=a.energy_wh, reserve_pct=a.reserve_pct
                )
                for a in leg.alternates
            ],
        )
        for leg, point in zip(plan.legs, points[1:], strict=True)
    ]
    return PlanOut(
        plan_id=plan.plan_id,
        goal_site=plan.goal_site,
        start=points[0] if points else None,
        legs=legs,
        length_m=plan.length_m,
        depart=rfc3339(plan.depart_s),
        arrive=rfc3339(plan.arrive_s),
        energy_use_wh=plan.energy.use_wh,
        battery_start_pct=plan.energy.start_pct,
        battery_end_pct=plan.energy.end_pct,
        reserve_pct=plan.energy.reserve_pct,
        airspace_version=plan.airspace_version,
        checked_by=plan.checked_by,
    )


class QuoteOut(BaseModel):
    """What a delivery would take if it left now. Nothing is reserved."""

    vehicle_type: str
    cold_ok: bool | None = Field(description="whether the forecast keeps the product in range; null: not known")
    reasons: list[ReasonOut]
    plan: PlanOut


def quote_out(quote: Quote) -> QuoteOut:
    return QuoteOut(
        vehicle_type=quote.vehicle_type,
        cold_ok=quote.cold_ok,
        reasons=_reasons(quote.reasons),
        plan=plan_out(quote.plan),
    )


class SiteOut(BaseModel):
    site_id: str
    name: str
    kind: SiteKind
    lat_deg: float
    lon_deg: float
    elevation_amsl_m: float
    pads: int


def site_out(site: Site) -> SiteOut:
    return SiteOut(
        site_id=site.site_id,
        name=site.name,
        kind=site.kind,
        lat_deg=site.position.lat_deg,
        lon_deg=site.position.lon_deg,
        elevation_amsl_m=site.elevation_amsl_m,
        pads=site.pads,
    )


class Sites(BaseModel):
    sites: list[SiteOut]


class AirspaceChange(BaseModel):
    """After a zone was added or withdrawn: flights are re-checked against this version."""

    airspace_version: int
    zone_id: str


class HealthOut(BaseModel):
    ready: bool
    checks: dict[str, str] = Field(description="part → ok, or what is wrong (without a token: only `not ok`)")


def order_json(view: OrderView) -> dict[str, Any]:
    """An order as the `data` of a live event, always without its confirmation code."""
    return order_out(view).model_dump(mode="json")


def vehicle_json(view: VehicleView) -> dict[str, Any]:
    """A vehicle as the `data` of a live event."""
    return vehicle_out(view).model_dump(mode="json")


def airspace_json(version: int) -> dict[str, Any]:
    """The `data` of a live event of kind `airspace`: readers fetch the zones again."""
    return {"version": version}


def alarm_json(text: str, *, vehicle_id: str | None = None, order_id: str | None = None) -> dict[str, Any]:
    """The `data` of a live event of kind `alarm`: something an operator must see."""
    return {"text": text, "vehicle_id": vehicle_id, "order_id": order_id}
