"""What the report's map, plots and time-lapse share: places as percent of the map, times as seconds of the run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fleet.records.codec import CodecError, from_json
from fleet.simulate.evidence import Duty, duties
from fleet.simulate.outcome import Outcome
from geofences.geodesy import LatLon, local_frame
from missions.plan import Plan
from sitl.observer import Fix, Sighting

MOST_POINTS = 12_000
"""of all vehicles in the time-lapse: about 300 kB"""
PARKED_S = 20.0
"""a point so often is enough of a vehicle that stands"""
MARGIN = 1.14
LEAST_M = 800.0
FLATTEST, TALLEST = 0.62, 0.8
"""height of the map by its width"""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """A vehicle at a time: percent of the map from its left and top."""

    t_s: float
    left_pct: float
    top_pct: float
    height_m: float
    ground_m_s: float


class Scene:
    """One run, laid out."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.served: list[Duty] = duties(outcome)
        flown = {v for v, seen in outcome.sightings.items() if seen.takeoffs} | {d.vehicle_id for d in self.served}
        self.vehicles = [v for v in outcome.sightings if v in flown]
        """in the order of their colours"""
        self.plans = {o.name: list(_plans(o.events)) for o in outcome.orders}
        everywhere = [*self._of_interest()] or [LatLon(lat, lon) for lat, lon, _ in outcome.sites.values()]
        lats, lons = [p.lat_deg for p in everywhere], [p.lon_deg for p in everywhere]
        self.frame = local_frame(LatLon((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2))
        xy = self.frame.to_xy(everywhere)
        low, high = xy.min(axis=0), xy.max(axis=0)
        half = np.maximum((high - low) / 2 * MARGIN, LEAST_M / 2)
        half[0] = max(half[0], half[1] / TALLEST)
        half[1] = max(half[1], half[0] * FLATTEST)
        middle = (low + high) / 2
        self.west, self.south = (float(x) for x in middle - half)
        self.east, self.north = (float(x) for x in middle + half)

    @property
    def aspect(self) -> float:
        """Height of the map by its width."""
        return (self.north - self.south) / (self.east - self.west)

    @property
    def duration_s(self) -> float:
        return max(1.0, self.outcome.ended_s - self.outcome.started_s)

    def colour(self, vehicle_id: str | None) -> str:
        """Its class in the style sheet."""
        return f"c{self.vehicles.index(vehicle_id) % 6}" if vehicle_id in self.vehicles else "c-none"

    def order_colour(self, order: str) -> str:
        """That of the vehicle that served it last."""
        return self.colour(next((d.vehicle_id for d in reversed(self.served) if d.order == order), None))

    def percent(self, xy: Array) -> Array:
        """Metres of the frame as percent of the map from its left and top."""
        x = (xy[:, 0] - self.west) / (self.east - self.west)
        y = (self.north - xy[:, 1]) / (self.north - self.south)
        return np.column_stack([x, y]) * 100.0

    def place(self, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        left, top = self.percent(self.frame.to_xy([LatLon(lat_deg, lon_deg)]))[0].tolist()
        return left, top

    def vehicle_at(self, who: str, at_s: float) -> str | None:
        """The vehicle meant by a vehicle's, a box's or an order's name at that time."""
        if who in self.vehicles:
            return who
        return next((d.vehicle_id for d in self.served if who in (d.order, d.box_id) and d.covers(at_s)), None)

    def place_of(self, vehicle_id: str | None, at_s: float) -> tuple[float, float] | None:
        """Where the vehicle was on the map."""
        points = self.tracks.get(vehicle_id or "")
        if not points:
            return None
        t_s = at_s - self.outcome.started_s
        point = points[max(0, bisect_right(points, t_s, key=lambda p: p.t_s) - 1)]
        return point.left_pct, point.top_pct

    @cached_property
    def tracks(self) -> dict[str, list[Point]]:
        """Thinned to about a point a second, coarser where there would be too many."""
        total_s = sum(_moving_s(self.outcome.sightings[v]) for v in self.vehicles)
        every_s = max(1.0, total_s / MOST_POINTS)
        return {v: self._track(self.outcome.sightings[v].fixes, every_s) for v in self.vehicles}

    def _track(self, fixes: Sequence[Fix], every_s: float) -> list[Point]:
        kept: list[Fix] = []
        for i, fix in enumerate(fixes):
            gap_s = PARKED_S if kept and not _moves(fix) and not _moves(kept[-1]) else every_s
            if not kept or fix.at_s - kept[-1].at_s >= gap_s - 1e-6 or i == len(fixes) - 1:
                kept.append(fix)
        if not kept:
            return []
        places = self.percent(self.frame.to_xy([LatLon(f.lat_deg, f.lon_deg) for f in kept])).tolist()
        start_s = self.outcome.started_s
        return [
            Point(f.at_s - start_s, left, top, f.relative_m, f.ground_m_s)
            for f, (left, top) in zip(kept, places, strict=True)
        ]

    def _of_interest(self) -> Iterable[LatLon]:
        for vehicle in self.vehicles:
            yield from (LatLon(f.lat_deg, f.lon_deg) for f in self.outcome.sightings[vehicle].fixes[::8])
        for plans in self.plans.values():
            yield from (w.position for _, plan in plans for w in plan.waypoints)


def _moves(fix: Fix) -> bool:
    return fix.ground_m_s > 0.3 or fix.relative_m > 1.0


def _moving_s(seen: Sighting) -> float:
    return sum(min(b, seen.fixes[-1].at_s) - a for a, b in seen.flights()) if seen.fixes else 0.0


def _plans(events: Sequence[object]) -> Iterable[tuple[float, Plan]]:
    """(when, plan) of each route that was made."""
    for event in events:
        if getattr(event, "kind", "") != "planned":
            continue
        try:
            yield event.at_s, from_json(Plan, event.body["plan"])  # type: ignore[attr-defined]
        except (CodecError, KeyError):  # a plan of another version: the report does without its line
            continue
