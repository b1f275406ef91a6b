"""Watches a scenario run from outside the controller's decisions and says whether each expectation was met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import shapely

from fleet.service import FleetService, RecordedEvent
from fleet.simulate.people import Delivery
from geofences.geodesy import LatLon, local_frame
from geofences.volumes import Circle, Zone


@dataclass(frozen=True, slots=True)
class TrackPoint:
    at_s: float
    lat_deg: float
    lon_deg: float
    alt_amsl_m: float
    battery_pct: float | None
    box_temp_c: float | None
    order_id: str | None


@dataclass(slots=True)
class Tracks:
    """Where each vehicle was, as its telemetry said, about once a simulated second."""

    points: dict[str, list[TrackPoint]] = field(default_factory=dict)

    def look(self, service: FleetService, now_s: float) -> None:
        for v in service.vehicles():
            if v.lat_deg is None or v.lon_deg is None or v.alt_amsl_m is None:
                continue
            point = TrackPoint(now_s, v.lat_deg, v.lon_deg, v.alt_amsl_m, v.battery_pct, v.box_temp_c, v.order_id)
            self.points.setdefault(v.vehicle_id, []).append(point)


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation, met or not, and by what."""

    order: str
    expectation: str
    met: bool
    seen: str


def judge(
    deliveries: Sequence[Delivery], service: FleetService, tracks: Tracks, zones: dict[str, tuple[Zone, float]]
) -> list[Finding]:
    """`zones`: id → the zone and the time it appeared."""
    findings: list[Finding] = []
    for delivery in deliveries:
        name, expect = delivery.wanted.name, delivery.wanted.expect
        ends = " or ".join(expect.state)
        view = service.order(delivery.order_id) if delivery.order_id is not None else None
        if view is None:
            why = delivery.refused.reasons[0].text if delivery.refused is not None else "was never placed"
            findings.append(Finding(name, f"ends {ends}", False, why))
            continue
        findings.append(Finding(name, f"ends {ends}", view.state in expect.state, view.state.value))
        if expect.verdict:
            seen = f"{view.verdict} ({view.verdict_why})"
            wanted = f"cold verdict {' or '.join(expect.verdict)}"
            findings.append(Finding(name, wanted, view.verdict in expect.verdict, seen))
        chosen = _chosen(service.record(f"order/{view.order.order_id}"))
        if expect.decision:
            met = bool(set(chosen) & set(expect.decision))
            findings.append(
                Finding(name, f"decides to {' or '.join(expect.decision)}", met, ", ".join(chosen) or "none")
            )
        order_id = view.order.order_id
        findings += [_never_inside(name, order_id, zone_id, tracks, zones) for zone_id in expect.never_inside]
    return findings


def _chosen(events: Sequence[RecordedEvent]) -> list[str]:
    """The kinds of candidate that decisions chose, in order, without repeats."""
    kinds = [
        e.body["decision"]["candidate"]["kind"]
        for e in events
        if e.kind == "decision" and e.body["decision"].get("candidate") is not None
    ]
    return list(dict.fromkeys(k for k in kinds if k != "continue"))


def _never_inside(
    name: str, order_id: str, zone_id: str, tracks: Tracks, zones: dict[str, tuple[Zone, float]]
) -> Finding:
    if zone_id not in zones:
        return Finding(name, f"never inside {zone_id}", False, "the zone never appeared")
    zone, since_s = zones[zone_id]
    points = [p for track in tracks.points.values() for p in track if p.order_id == order_id and p.at_s >= since_s]
    inside = 0
    for volume in zone.volumes:
        outline = volume.outline
        ring = outline.outer if not isinstance(outline, Circle) else (outline.centre,)
        frame = local_frame(ring[0])
        shape = shapely.Polygon(frame.to_xy(ring)) if not isinstance(outline, Circle) else None
        if shape is None:
            assert isinstance(outline, Circle)
            shape = shapely.Point(0.0, 0.0).buffer(outline.radius_m)
        xy = frame.to_xy([LatLon(p.lat_deg, p.lon_deg) for p in points])
        inside += sum(shape.contains(shapely.Point(x, y)) for x, y in xy)
    met = len(points) > 0 and inside == 0
    return Finding(name, f"never inside {zone_id}", met, f"{inside} of {len(points)} positions inside")
