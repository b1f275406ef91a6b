"""PX4's own return, judged: where it would go from each place of a line of flight, and whether that may be flown.

For the checker, and written apart from `missions.returns`: nothing is projected.

Where: PX4 v1.17 with RTL_TYPE 0 goes to the horizontally closest of home and rally points, by great circles on a sphere
of 6371 km. There a line is p(t) = (a sin((1 − t)ω) + b sin(tω)) / sin ω (unit vectors), and two destinations are
equally far where p · (c − d) = 0: solved exactly, and between two such places the closest does not change.

Whether: the returns from a stretch sweep a triangle. What does not come near that triangle is in the way of none. What
does is looked at along the geodesics from both ends of the stretch, each `STEP_M` between, and from where each face
that outlines cut the triangle into is seen from the destination: a line through its middle meets it. What crosses the
line of flight is one more face: the line may pass below it, or before it is in force. A circle's outline is a polygon
there, true to 0.12 % of its radius; what is looked at is judged by the circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import ceil, cos, hypot, radians, tan

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from geofences.geodesy import LatLon
from geofences.heights import FlatTerrain
from geofences.volumes import Circle, Polygon
from missions.energy import FREE, LegCost, climb_cost, leg_energy
from missions.plan import Waypoint
from missions.routing.flown import (
    FENCE,
    MIN_AGL_M,
    Flown,
    Rules,
    Violation,
    bearing_deg,
    distance_m,
    entered,
    keep_in_of,
    keep_out_of,
    out_of_keep_ins,
)
from missions.routing.judge import Outline, Outlines, Track, track, up_to
from missions.vehicles import ReturnRule

Array = NDArray[np.float64]

TIE_M = 2.0
"""PX4 takes a rally point only where it is so much nearer; where less is between two, either may be meant"""
STEP_M = 250.0
"""between looks at what is near the returns, and at the ground below them"""
ROTORS_CARRY_M = 600.0
"""PX4 returns a VTOL from a hover on its rotors, which are not meant to carry it farther"""
DOUBTS = frozenset({"return", "return_reserve", "return_wind", "return_rotors", "return_rule"})
"""codes of objections: of all that is said of a plan, they alone are no reason against flying it"""
_PX4_EARTH_M = 6_371_000.0
_EARTH_M = 6_350_000.0
"""less than any radius of curvature of the ellipsoid: what is bounded by it is bounded for good"""
_DEG_M = 110_500.0
"""less than a degree of latitude anywhere"""
_COVER_M = 1.0
"""so much may lie between two stretches of a plan: what is rounded is no gap"""
_RIM_DEG = 1e-4
_AT_ONE_PLACE = 1e-9
"""an angle: what lies 6 mm from a destination has no direction from there"""
_SEA = FlatTerrain(0.0)
_TYPICAL_M_S = 5.0
"""a slow return, where no vehicle is known"""
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where PX4 may return to: home or a rally point."""

    name: str
    position: LatLon
    ground_amsl_m: float


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a return may not be flown, and from where."""

    code: str
    text: str
    """goes on from "PX4's own return to … from here" """
    zone_id: str | None
    at: LatLon

    def violation(self, index: int, name: str, to: Destination) -> Violation:
        """Of the leg or item with that number and name."""
        text = f"{name}: PX4's own return to {to.name} from here {self.text}"
        return Violation(index, self.code, text, self.zone_id, self.at)


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line of flight, with the battery at both ends (percent; None where energy is not judged)."""

    start: Waypoint
    end: Waypoint
    left_pct: tuple[float, float] | None = None
    on_rotors: bool = False
    """a VTOL hovers there"""

    @property
    def length_m(self) -> float:
        return 0.0 if self.start.position == self.end.position else distance_m(self.start.position, self.end.position)

    def at(self, share: float) -> Waypoint:
        a, b = self.start, self.end
        if share <= 0.0 or share >= 1.0:
            return a if share <= 0.0 else b
        course, length = bearing_deg(a.position, b.position), self.length_m
        lon, lat, _ = _GEOD.fwd(a.position.lon_deg, a.position.lat_deg, course, share * length)
        height, eta_s = a.alt_amsl_m + share * (b.alt_amsl_m - a.alt_amsl_m), a.eta_s + share * (b.eta_s - a.eta_s)
        return Waypoint(LatLon(lat, lon), height, eta_s)


class Homeward:
    """The returns of one flight. `destinations[0]` is home; the fence is what the vehicle has on board."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        rules: Rules,
        rule: ReturnRule,
        found: Outlines,
        keep_ins: Sequence[Polygon | Circle] = (),
        keep_outs: Sequence[Polygon | Circle] = (),
    ) -> None:
        self.destinations, self._rules, self._rule, self._found = destinations, rules, rule, found
        self._keep_ins = [keep_in_of(k) for k in keep_ins]
        self._keep_outs = [keep_out_of(k) for k in keep_outs]
        self._rings = [o.corners for o in (*found.keep_ins, *(keep_out_of(k) for k in keep_ins))]
        self._there = _unit_of([d.position for d in destinations])

    @property
    def known(self) -> bool:
        """Whether it is known where PX4 goes."""
        return self._rule.rtl_type == 0

    def chosen(self, line: Line, cuts: Sequence[float] = ()) -> Iterator[tuple[float, float, list[int]]]:
        """The line in stretches (from share, to share) of one closest destination, also cut at `cuts`; and places.

        With each the numbers of those that PX4 may choose in its middle.
        """
        a, b = _unit_of([line.start.position, line.end.position])
        omega = 2.0 * np.arcsin(min(1.0, float(np.linalg.norm(b - a)) / 2.0))
        if omega * _PX4_EARTH_M < _COVER_M:
            yield 0.0, 0.0, self._closest(a[None])[0]
            return
        pairs = np.array(list(combinations(range(len(self._there)), 2)), dtype=np.intp).reshape(-1, 2)
        apart = self._there[pairs[:, 0]] - self._there[pairs[:, 1]]
        from_a, from_b = apart @ a, apart @ b
        equal = (np.arctan2(from_a * np.sin(omega), from_a * np.cos(omega) - from_b) % np.pi) / omega
        inner = {float(s) for s in (*equal, *cuts) if 0.0 < s < 1.0}
        shares = sorted({0.0, 1.0} | inner)
        looks = [*((s, s) for s in shares), *pairwise(shares)]
        middle = np.array([(s + t) / 2.0 for s, t in looks])[:, None]
        places = (a * np.sin((1.0 - middle) * omega) + b * np.sin(middle * omega)) / np.sin(omega)
        for (s, t), numbers in zip(looks, self._closest(places), strict=True):
            yield s, t, numbers

    def gap(self, line: Line, said: Sequence[tuple[float, float, int]]) -> tuple[LatLon, str] | None:
        """The first place from which PX4 may go where the stretches said (from share, to share, number) do not lead."""
        room = _COVER_M / max(line.length_m, _COVER_M)
        for s, t, numbers in self.chosen(line, [share for span in said for share in span[:2]]):
            middle = (s + t) / 2.0
            for k in numbers:
                if not any(number == k and a - room <= middle <= b + room for a, b, number in said):
                    return line.at(middle).position, self.destinations[k].name
        return None

    def objection(self, line: Line, low: float, high: float, number: int) -> Objection | None:
        """Why PX4's return to a destination may not be flown from somewhere of a stretch of the line; None if it may.

        The first reason that is found.
        """
        to, ends = self.destinations[number], (line.at(low), line.at(high))
        if not self.known:
            text = f"is not known: RTL_TYPE {self._rule.rtl_type} is not judged"
            return Objection("return_rule", text, None, ends[0].position)
        for share, here in zip((low, high), ends, strict=True):
            if (why := self._within_reach(line, share, here, to)) is not None:
                return why
        flat = isinstance(self._rules.terrain, FlatTerrain)
        area, bow_deg = _area(ends[0].position, ends[1].position, to.position)
        near = list(self._near(area, bow_deg))
        held = self._found.surely_in(area, bow_deg) and all(k.holds_area(area, bow_deg) for k in self._keep_ins)
        if flat and held and not near:
            return self._too_low(ends[0], to) or self._too_low(ends[1], to)
        steps = max(1, ceil((high - low) * line.length_m / STEP_M))
        shares = {low, high, *(low + (high - low) * k / steps for k in range(1, steps))}
        outlines = [*(o.corners for o in near), *([] if held else self._rings)]
        shares |= set(self._seen(line, low, high, to, outlines) if outlines else ())
        looks = (self._look(line.at(share), to, near, held=held) for share in sorted(shares))
        return next((why for why in looks if why is not None), None)

    def _closest(self, places: Array) -> list[list[int]]:
        chord = np.linalg.norm(places[:, None, :] - self._there[None, :, :], axis=2)
        away_m = 2.0 * _PX4_EARTH_M * np.arcsin(np.minimum(chord / 2.0, 1.0))
        return [np.flatnonzero(row <= row.min() + TIE_M).tolist() for row in away_m]

    def _levels(self, here: Waypoint, to: Destination) -> tuple[float, float]:
        """AMSL of the lowest and the highest way: never lower than where it begins."""
        low_m, high_m = to.ground_amsl_m + self._rule.lowest_m, to.ground_amsl_m + self._rule.highest_m
        return max(here.alt_amsl_m, low_m), max(here.alt_amsl_m, high_m)

    def _too_low(self, here: Waypoint, to: Destination) -> Objection | None:
        """Over level ground."""
        ground = self._rules.terrain.ground_amsl_m(here.position)
        if ground is not None and self._levels(here, to)[0] - ground >= MIN_AGL_M:
            return None
        return Objection("return", "would come too near the ground", None, here.position)

    def _near(self, area: shapely.Geometry, bow_deg: float) -> Iterator[Outline]:
        """Closed volumes and keep-outs on board that come near an area."""
        west, south, east, north = area.bounds
        box = west - bow_deg, south - bow_deg, east + bow_deg, north + bow_deg
        for outline in (*self._found.closed_in(*box, self._rules.authorised), *self._keep_outs):
            shape = outline.bounds if outline.polygon is None else outline.polygon
            if shapely.dwithin(shape, area, bow_deg):
                yield outline

    def _seen(
        self, line: Line, low: float, high: float, to: Destination, outlines: Sequence[shapely.Polygon]
    ) -> Iterator[float]:
        """From which shares of the stretch a return leads through the middle of each face that the area is cut into."""
        a, b, s = _unit_of([line.start.position, line.end.position, to.position])
        omega = 2.0 * np.arcsin(min(1.0, float(np.linalg.norm(b - a)) / 2.0))
        if omega * _EARTH_M < _COVER_M:  # it stands still: all returns lie on one line
            return
        for corners in _faces(line.at(low).position, line.at(high).position, to.position, outlines):
            beside = np.cross(s, corners)  # a return by way of q meets the line where p · (s × q) = 0
            beside = beside[np.linalg.norm(beside, axis=1) > _AT_ONE_PLACE]
            from_a, from_b = beside @ a, beside @ b
            angle = np.arctan2(from_a * np.sin(omega), from_a * np.cos(omega) - from_b)
            shares = np.clip(((angle + np.pi / 2) % np.pi - np.pi / 2) / omega, low, high)
            first, last = float(shares.min(initial=high)), float(shares.max(initial=low))
            if 0.0 <= last - first < 0.999 * (high - low):  # else it is seen from the ends
                yield from (first + part * (last - first) for part in (0.05, 0.5, 0.95))

    def _look(self, here: Waypoint, to: Destination, near: Sequence[Outline], *, held: bool) -> Objection | None:
        """One return: the climb, the way at any of its heights, and the descent."""
        low_m, high_m = self._levels(here, to)
        way = track(here.position, low_m, to.position, low_m, self._rules.terrain)
        if not way.agl_m[0].min() >= MIN_AGL_M:
            unknown = np.isnan(way.agl_m[0]).any()
            text = "would lead over ground that is not known" if unknown else "would come too near the ground"
            return Objection("return", text, None, here.position)
        lasts_s = self._seconds(here.position, to.position)
        up_s, down_s = self._climb_s(high_m - here.alt_amsl_m), self._climb_s(to.ground_amsl_m - high_m)
        over_s = here.eta_s + up_s + lasts_s
        parts = [
            (self._column(here.position, here.alt_amsl_m, high_m), here.eta_s, here.eta_s + up_s),
            (up_to(way, high_m), here.eta_s, over_s),
            (self._column(to.position, min(to.ground_amsl_m, high_m), high_m), over_s, over_s + down_s),
        ]
        for line, start_s, end_s in parts:
            flown = Flown(-1, "", line, start_s, end_s)
            hit = next(iter(entered(flown, self._rules, near)), None)
            if hit == FENCE.zone_id:
                return Objection("return", "would enter a keep-out of the fence", None, here.position)
            if hit is not None:
                return Objection("return", f"would enter {hit}", hit, here.position)
            if not held and out_of_keep_ins(flown, self._rules, self._found).any():
                zone_id = self._found.keep_ins[0].zone.zone_id
                return Objection("return", f"would leave {zone_id}", zone_id, here.position)
            if not held and not all(k.holds(line).all() for k in self._keep_ins):
                return Objection("return", "would leave the fence's keep-in", None, here.position)
        return None

    def _column(self, at: LatLon, low_m: float, high_m: float) -> Track:
        return track(at, low_m, at, high_m, self._rules.terrain)

    def _within_reach(self, line: Line, share: float, here: Waypoint, to: Destination) -> Objection | None:
        vehicle, away_m = self._rules.vehicle, distance_m(here.position, to.position)
        if line.on_rotors and away_m > ROTORS_CARRY_M:
            text = f"would be {away_m / 1000.0:.1f} km on its rotors, from a hover"
            return Objection("return_rotors", text, None, here.position)
        if vehicle is None or line.left_pct is None:
            return None
        high_m = self._levels(here, to)[1]
        cost = self._way(here.position, to.position)
        if cost is None:
            return Objection("return_wind", "cannot be held in this wind", None, here.position)
        if high_m > here.alt_amsl_m:
            cost += climb_cost(vehicle, self._rules.payload_kg, high_m - here.alt_amsl_m)
        cost += climb_cost(vehicle, self._rules.payload_kg, min(0.0, to.ground_amsl_m - high_m))
        before, after = line.left_pct
        left = before + share * (after - before) - 100.0 * cost.energy_wh / vehicle.battery_wh
        if left >= self._rules.reserve_pct - 0.1:
            return None
        return Objection("return_reserve", f"leaves {left:.0f} % of battery", None, here.position)

    def _way(self, start: LatLon, to: LatLon) -> LegCost | None:
        vehicle, length = self._rules.vehicle, distance_m(start, to)
        assert vehicle is not None
        if length < 0.5:
            return FREE
        course = bearing_deg(start, to)
        return leg_energy(
            vehicle, self._rules.payload_kg, length_m=length, track_deg=course, climb_m=0.0, wind=self._rules.wind
        )

    def _seconds(self, start: LatLon, to: LatLon) -> float:
        cost = self._way(start, to) if self._rules.vehicle is not None else None
        return distance_m(start, to) / _TYPICAL_M_S if cost is None else cost.time_s

    def _climb_s(self, rise_m: float) -> float:
        vehicle = self._rules.vehicle
        speed = 1.0 if vehicle is None else vehicle.climb_m_s if rise_m > 0.0 else vehicle.descent_m_s
        return abs(rise_m) / speed


def _unit_of(places: Sequence[LatLon]) -> Array:
    return _unit(np.array([(p.lon_deg, p.lat_deg) for p in places]))


def _unit(lon_lat_deg: Array) -> Array:
    """(n, 3): on the unit sphere."""
    lon, lat = np.radians(lon_lat_deg).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _faces(a: LatLon, b: LatLon, to: LatLon, outlines: Sequence[shapely.Polygon]) -> Iterator[Array]:
    """The faces that outlines cut the triangle of the returns into, as the unit vectors of their corners.

    Each is in one piece, and wholly inside or wholly outside of any outline: a line through its middle meets it.
    """
    sides = [track(p, 0.0, q, 0.0, _SEA) for p, q in ((a, b), (b, to), (to, a))]
    corners = np.concatenate([np.column_stack([side.lon, side.lat])[:-1] for side in sides])
    triangle = shapely.Polygon(corners)
    west, south, east, north = triangle.bounds
    rings = shapely.get_rings(outlines)
    rings = shapely.clip_by_rect(rings, west - _RIM_DEG, south - _RIM_DEG, east + _RIM_DEG, north + _RIM_DEG)
    faces = shapely.get_parts(shapely.polygonize([shapely.union_all([*rings, triangle.exterior])]))
    for face in faces[shapely.contains_xy(triangle, *shapely.get_coordinates(shapely.point_on_surface(faces)).T)]:
        yield _unit(shapely.get_coordinates(face))


def _lon_lat(at: LatLon) -> Array:
    return np.array([at.lon_deg, at.lat_deg])


def _area(a: LatLon, b: LatLon, to: LatLon) -> tuple[shapely.Geometry, float]:
    """The triangle in degrees, and how far its geodesics may be from its sides: 1.1 s² tan(lat) / 8R, and a metre."""
    corners = np.array([_lon_lat(p) for p in (a, b, to)])
    lat = radians(min(89.0, max(abs(p.lat_deg) for p in (a, b, to))))
    west_east, south_north = np.ptp(corners, axis=0) * _DEG_M * 1.02
    bow_m = 1.1 * hypot(west_east, south_north) ** 2 * tan(lat) / (8.0 * _EARTH_M) + 1.0
    return shapely.MultiPoint(corners).convex_hull, bow_m / (_DEG_M * cos(lat))
