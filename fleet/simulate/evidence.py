"""What a finished run shows from outside: who served which order, when faults began, and where vehicles were in zones.

Written apart from the planner's and the checker's zone tests, so that the judge does not repeat their errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from fleet.service import RecordedEvent
from fleet.simulate.outcome import Outcome, ZoneSeen
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height, Terrain
from geofences.volumes import Circle, Volume
from sitl.observer import Fix, Sighting

Mask = NDArray[np.bool_]
_GEOD = Geod(ellps="WGS84")
_FOREVER = float("inf")


def clock_text(at_s: float) -> str:
    """Time of day, UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S")


# --- who served whom


@dataclass(frozen=True, slots=True)
class Duty:
    """A vehicle and a box serve an order, from their assignment until one of the three is assigned anew or freed."""

    order: str
    vehicle_id: str
    box_id: str
    since_s: float
    until_s: float = _FOREVER

    def covers(self, at_s: float) -> bool:
        return self.since_s <= at_s < self.until_s


def duties(outcome: Outcome) -> list[Duty]:
    """In the order of time. A vehicle's way home after the drop belongs to the order."""
    assigned = sorted(
        (
            (Duty(o.name, e.body["vehicle_id"], e.body["box_id"], e.at_s), e.seq)
            for o in outcome.orders
            for e in o.events
            if e.kind == "assigned"
        ),
        key=lambda given: given[0].since_s,
    )
    freed = {
        o.name: [(e.at_s, e.seq) for e in o.events if e.kind == "order_state" and e.body.get("event") == "unassign"]
        for o in outcome.orders
    }
    ended = []
    for i, (duty, seq) in enumerate(assigned):
        # Given back and given anew may be one instant: the record's own order counts.
        ends = [at_s for at_s, n in freed[duty.order] if (at_s, n) > (duty.since_s, seq)]
        later = [d for d, _ in assigned[i + 1 :]]
        ends += [d.since_s for d in later if d.order == duty.order or d.vehicle_id == duty.vehicle_id]
        until_s = min(ends, default=_FOREVER)
        ended.append(Duty(duty.order, duty.vehicle_id, duty.box_id, duty.since_s, until_s))
    return ended


# --- when


def fault_s(outcome: Outcome, name: str, state: str = "begun", subjects: Sequence[str] = ()) -> float | None:
    """When the fault of this name or kind began (or was `over`): first the one on a vehicle or box of `subjects`, then
    any. A zone's id tells when the zone appeared."""
    told = [
        e
        for e in outcome.world
        if e.get("event") == "fault" and e.get("state") == state and name in (e.get("name"), e.get("kind"))
    ]
    mine = [e for e in told if e.get("on") in subjects]
    times = [float(e["at_s"]) for e in mine or told]
    if not times and state == "begun":
        times = [z.since_s for z in outcome.zones if z.zone.zone_id == name]
    return min(times, default=None)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something an operator was told: `name` is a row of the fault table, or the kind of event."""

    at_s: float
    name: str
    text: str


def alarms(events: Sequence[RecordedEvent], *, repeated: bool = False) -> list[Alarm]:
    """Each once, when it first came, unless `repeated`; in the order of time."""
    found: dict[tuple[str, str], Alarm] = {}
    for e in events:
        told: list[Alarm] = []
        match e.kind:
            case "decision":
                # Of a fault that stays, the numbers in its text change: only its coming is news.
                told = [Alarm(f["since_s"], f["name"], f["text"]) for f in e.body["decision"]["faults"]]
                for a in told:
                    found.setdefault((a.name, str(a.at_s)), a)
                continue
            case "alarm":
                told = [Alarm(e.at_s, "alarm", e.body["text"])]
            case "link_event":
                told = [Alarm(e.at_s, str(e.body["what"]), e.body["text"])]
            case "abandoned":
                told = [Alarm(e.at_s, "abandoned", e.body["why"])]
        for a in told:
            found.setdefault((a.name, str(a.at_s) if repeated else a.text), a)
    return sorted(found.values(), key=lambda a: a.at_s)


def choices(events: Sequence[RecordedEvent]) -> list[tuple[float, str]]:
    """(at_s, what was chosen) of each decision that did not simply go on: see `fleet.simulate.expect.Choice`."""
    chosen = []
    for e in events:
        if e.kind != "decision":
            continue
        decision = e.body["decision"]
        words = [decision["candidate"]["kind"]] if decision.get("candidate") is not None else []
        words += [decision["action"].lower()] + (["stand_down"] if decision.get("stand_down") else [])
        chosen += [(e.at_s, word) for word in dict.fromkeys(words) if word != "continue"]
    return chosen


# --- where


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle in the air inside a zone in force, from its first position inside to its last."""

    vehicle_id: str
    zone_id: str
    since_s: float
    until_s: float
    caught: bool
    """it was there already when the zone came into force"""
    left: bool
    """it flew out, or the zone's time was over; False: it landed inside, or was still there at the end"""

    @property
    def seconds(self) -> float:
        return self.until_s - self.since_s

    def __str__(self) -> str:
        how = "it appeared around it" if self.caught else "it flew in"
        end = f"left after {self.seconds:.0f} s" if self.left else f"never left, {self.seconds:.0f} s"
        return f"{self.vehicle_id} in {self.zone_id} from {clock_text(self.since_s)}: {how}, {end}"


def in_the_air(sighting: Sighting, since_s: float = -_FOREVER, until_s: float = _FOREVER) -> list[list[Fix]]:
    """The fixes of each flight within these times."""
    flights = []
    for up_s, down_s in sighting.flights():
        a, b = max(up_s, since_s), min(down_s, until_s)
        if fixes := [f for f in sighting.fixes if a <= f.at_s <= b]:
            flights.append(fixes)
    return flights


def stays(seen: ZoneSeen, vehicle_id: str, flights: Sequence[Sequence[Fix]], terrain: Terrain | None) -> Iterator[Stay]:
    """Each stay of the vehicle in the zone. Heights that cannot be compared count as inside."""
    zone = seen.zone
    end_s = _FOREVER if seen.until_s is None else seen.until_s
    for fixes in flights:
        within = np.zeros(len(fixes), dtype=np.bool_)
        for volume in zone.volumes:
            within |= _within(volume, fixes, terrain)
        if not within.any():
            continue
        force = np.array([seen.since_s <= f.at_s < end_s and zone.applies_at(f.at_s) for f in fixes], dtype=np.bool_)
        inside = within & force
        begin: int | None = None
        for i, now in enumerate(inside):
            if now and begin is None:
                begin = i
            if begin is not None and (not now or i == len(fixes) - 1):
                last = i - 1 if not now else i
                caught = begin > 0 and bool(within[begin - 1])
                yield Stay(vehicle_id, zone.zone_id, fixes[begin].at_s, fixes[last].at_s, caught, not now)
                begin = None


def _within(volume: Volume, fixes: Sequence[Fix], terrain: Terrain | None) -> Mask:
    """Which fixes lie inside the outline or on its edge and between the heights. Edges are straight in lon, lat."""
    lon, lat = np.array([f.lon_deg for f in fixes]), np.array([f.lat_deg for f in fixes])
    outline = volume.outline
    if isinstance(outline, Circle):
        c = outline.centre
        _, _, away = _GEOD.inv(np.full_like(lon, c.lon_deg), np.full_like(lat, c.lat_deg), lon, lat)
        flat: Mask = np.asarray(away) <= outline.radius_m
    else:
        polygon = shapely.Polygon(_ring(outline.outer), [_ring(h) for h in outline.holes])
        west, south, east, north = polygon.bounds
        flat = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        flat[flat] = shapely.intersects_xy(polygon, lon[flat], lat[flat])
    for i in np.flatnonzero(flat).tolist():
        flat[i] = _beyond(volume.lower, fixes[i], terrain, +1) and _beyond(volume.upper, fixes[i], terrain, -1)
    return flat


def _beyond(limit: Height | None, fix: Fix, terrain: Terrain | None, sign: int) -> bool:
    """Whether the fix is at or above (+1) or at or below (−1) the limit, or might be."""
    if limit is None or limit.datum is Datum.WGS84:  # which would need a geoid
        return True
    height_m = fix.amsl_m
    if limit.datum is Datum.AGL:
        ground_m = terrain.ground_amsl_m(LatLon(fix.lat_deg, fix.lon_deg)) if terrain is not None else None
        # Where nobody knows the ground, it is as high as home's.
        height_m = fix.relative_m if ground_m is None else fix.amsl_m - ground_m
    return (height_m - limit.value_m) * sign >= 0.0


def _ring(ring: Sequence[LatLon]) -> list[tuple[float, float]]:
    return [(p.lon_deg, p.lat_deg) for p in ring]


def battery_at(sighting: Sighting, at_s: float) -> float | None:
    """Percent, as last told before."""
    return next((pct for told_s, pct in reversed(sighting.battery) if told_s <= at_s), None)
