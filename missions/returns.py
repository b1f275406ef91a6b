"""What PX4 flies by itself from every place of a route if its link dies there, and the rally points that make it good.

Proven per stretch, not sampled. PX4 v1.17 flies straight to the horizontally closest of its destinations. Along a leg
the squares of the distances to two of them differ by a linear function, so each destination has one interval of the
leg; from it the returns sweep a triangle. What is closed and reaches into the triangle throws a shadow on the leg, seen
from the destination: from there, and from nowhere else, the return is not legal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.bands import AglBand
from geofences.geodesy import LatLon
from geofences.heights import FlatTerrain
from missions.contingency import Carrier
from missions.energy import LegCost
from missions.plan import Leg, Return
from missions.routing.scene import Scene
from missions.sites import Site
from missions.vehicles import ReturnRule

Array = NDArray[np.float64]
Shadows = dict[tuple[int, int], list[tuple[float, float, str]]]
"""(leg, destination) → stretches of the leg, as shares of its length, from where the way there is closed, and why"""

CLEAR_M = 10.0
"""what a return must keep from a closed zone beside what turns need: PX4 holds a straight line to some metres"""
TERRAIN_CLEAR_M = 20.0
"""above the highest ground found below a return; the relief between two places looked at is left to it"""
ROTORS_CARRY_M = 600.0
"""PX4 returns a VTOL from a hover on its rotors, which are not meant to carry it farther"""
MAX_CANDIDATES = 6
"""rally points are chosen among so many, the nearest to the route: all 64 subsets are tried. PX4 stores 8"""
_HEIGHT_MARGIN_M = 5.0
_TIE_M = 3.0
"""PX4 takes a rally point only where it is 2 m nearer; a metre more for where it believes to be"""
_APART_M = 10.0
"""a rally point nearer to home than this is left out by PX4"""
_LEAST_M = 1000.0
"""what a vertical leg weighs in the choice: the vehicle hovers there for a while"""
_PX4_EARTH_M = 6_371_000.0
_LEAST_SHARE = 1e-6
_LATTICE = 24
_LEAST_CELL_M = 30.0
_EARLY_S = 60.0
"""flights run early and late; the checker asks for as much"""
_FLAT_M = 0.1


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where PX4's own return leads from every place of the legs."""

    per_leg: tuple[tuple[Return, ...], ...]
    swept: shapely.Geometry
    """all that these returns fly over, in the scene's frame"""

    @property
    def full(self) -> bool:
        """From everywhere PX4's own return is legal."""
        return all(r.legal for returns in self.per_leg for r in returns)

    def illegal_share(self, legs: Sequence[Leg]) -> float:
        """Of the route's length."""
        total = sum(leg.length_m for leg in legs)
        bad = sum(r.to_m - r.from_m for returns in self.per_leg for r in returns if not r.legal)
        return min(1.0, bad / total) if total > 0.0 else float(not self.full)


def return_band(rule: ReturnRule, cruise_agl_m: float) -> AglBand:
    """Heights above ground that a return may have over level ground: never lower than where it begins."""
    low, high = min(rule.lowest_m, cruise_agl_m), max(rule.highest_m, cruise_agl_m)
    return AglBand(low - _HEIGHT_MARGIN_M, high + _HEIGHT_MARGIN_M)


class Returns:
    """The returns from one route to some destinations; `sites[0]` is home.

    The scene shows what is closed at the heights of returns during the flight and the returns from it.
    """

    def __init__(
        self,
        scene: Scene,
        legs: Sequence[Leg],
        sites: Sequence[Site],
        rule: ReturnRule,
        *,
        on_rotors: bool,
        shut: Sequence[str],
    ) -> None:
        """`on_rotors`: a VTOL, which hovers on its rotors. `shut`: per site why none may come down there, or ""."""
        self._scene, self._legs, self._sites, self._rule = scene, legs, sites, rule
        self._on_rotors, self._shut = on_rotors, shut
        places = [legs[0].start.position, *(leg.end.position for leg in legs)]
        xy = scene.frame.to_xy([*places, *(s.position for s in sites)])
        self._nodes, self._there = xy[: len(places)], xy[len(places) :]
        plane = _px4_plane([*places, *(s.position for s in sites)])
        nodes, there = plane[: len(places)], plane[len(places) :]
        self._squares = ((nodes[:, None, :] - there[None, :, :]) ** 2).sum(axis=2)
        self._leg_squares = (np.diff(nodes, axis=0) ** 2).sum(axis=1)

    def best_rally(self) -> tuple[int, ...]:
        """Numbers of the sites whose set leaves least of the route without an open return; of equals the shortest."""
        near = np.argsort(self._squares[:, 1:].min(axis=0))[:MAX_CANDIDATES] + 1
        near = near[np.hypot(*(self._there[near] - self._there[0]).T) > _APART_M]
        columns = np.array([0, *near.tolist()])
        subsets = _subsets(len(near))
        low, high = self._intervals(columns, subsets)
        closed = self._shadows([(i, k, 0.0, 1.0) for i in range(len(self._legs)) for k in columns.tolist()])
        bad = np.zeros(len(subsets))
        for (i, site), spans in closed.items():
            k = int(np.flatnonzero(columns == site)[0])
            for a, b, _ in spans:
                shared = np.minimum(high[:, i, k], b) - np.maximum(low[:, i, k], a)
                bad += np.maximum(shared, 0.0) * max(self._legs[i].length_m, _LEAST_M)
        far = np.where(subsets[:, None, :], np.sqrt(self._squares[:, columns])[None], np.inf).min(axis=2).sum(axis=1)
        best = int(np.lexsort((far.round(3), bad.round(1)))[0])
        return tuple(sorted(columns[subsets[best]].tolist()[1:]))

    def envelope(
        self, rally: Sequence[int], carrier: Carrier, used_wh: Sequence[float], reserve_pct: float
    ) -> Envelope:
        """With these of the sites as rally points; `used_wh[i]` from the battery at the end of leg i."""
        if self._rule.rtl_type != 0:
            why = f"RTL_TYPE {self._rule.rtl_type} is not judged; demand 0 in the vehicle's contract"
            whole = [
                (Return(0.0, leg.length_m, self._sites[0].site_id, legal=False, reason=why),) for leg in self._legs
            ]
            return Envelope(tuple(whole), shapely.GeometryCollection())
        columns = np.array([0, *rally])
        low, high = (part[0] for part in self._intervals(columns, np.ones((1, len(columns)), dtype=np.bool_)))
        swept = [
            (i, int(columns[k]), float(low[i, k]), float(high[i, k]))
            for i, k in zip(*np.nonzero(low <= high), strict=True)
        ]
        closed = self._shadows(swept)
        ends, to = self._reach(swept)
        ways = to[:, None, :] - ends
        longest_s = carrier.seconds(ways).max(axis=1)  # from one of the ends: it is convex along a leg
        per_leg: list[list[Return]] = [[] for _ in self._legs]
        for (i, site, a, b), time_s in zip(swept, longest_s.tolist(), strict=True):
            left = carrier.left_pct(used_wh[i] + self._cost(i, site, time_s, carrier).energy_wh)
            poor = f"{left:.0f} % of battery would be left, less than {reserve_pct:.0f} %" if left < reserve_pct else ""
            name, spans = self._sites[site].site_id, closed.get((i, site), [])
            per_leg[i] += _stretches(self._legs[i].length_m, name, (a, b), spans, poor)
        ordered = (tuple(sorted(found, key=lambda r: (r.from_m, r.to_m))) for found in per_leg)
        return Envelope(tuple(ordered), shapely.GeometryCollection(_hulls(ends, to).tolist()))

    def _intervals(self, columns: NDArray[np.intp], subsets: NDArray[np.bool_]) -> tuple[Array, Array]:
        """(subset, leg, column): from which shares of a leg PX4 may choose that destination; low > high: from none."""
        squares = self._squares[:, columns]
        constant = squares[:-1]  # |a + t(b − a) − s|² = t²|b − a|² + t·slope + constant
        slope = np.diff(squares, axis=0) - self._leg_squares[:, None]
        far = np.sqrt(np.maximum(squares[:-1, 0], squares[1:, 0]))
        slack = (2.0 * far + _TIE_M) * _TIE_M
        rise = slope[:, :, None] - slope[:, None, :]  # (leg, destination, rival)
        room = slack[:, None, None] - (constant[:, :, None] - constant[:, None, :])
        level = np.abs(rise) < 1e-6
        cut = room / np.where(level, 1.0, rise)
        upper = np.where(level, np.where(room >= 0.0, np.inf, -np.inf), np.where(rise > 0.0, cut, np.inf))
        lower = np.where(~level & (rise < 0.0), cut, -np.inf)
        rivals = subsets[:, None, None, :]
        high = np.minimum(np.where(rivals, upper[None], np.inf).min(axis=3), 1.0)
        low = np.maximum(np.where(rivals, lower[None], -np.inf).max(axis=3), 0.0)
        return np.where(subsets[:, None, :], low, 1.0), np.where(subsets[:, None, :], high, 0.0) - 2.0 * ~subsets[
            :, None, :
        ]

    def _shadows(self, swept: Sequence[tuple[int, int, float, float]]) -> Shadows:
        """Where on stretches (leg, site, from share, to share) the way to the site is closed."""
        field, closed = self._scene.field, Shadows()
        hulls = _hulls(*self._reach(swept))
        which, what = field.hits(hulls)
        for k, obstacle in zip(which.tolist(), what.tolist(), strict=True):
            if self._during(obstacle, swept[k][0]):
                why = f"closed by {', '.join(self._scene.zone_ids((obstacle,)))}"
                self._shade(closed, swept[k], hulls[k], field.polygon(obstacle), why)
        for leg, site, low, high in swept:
            if self._shut[site]:
                closed.setdefault((leg, site), []).append((low, high, self._shut[site]))
        for leg, site, low, high in swept if self._on_rotors else ():
            way_m = float(np.hypot(*(self._there[site] - self._nodes[leg])))
            if self._legs[leg].length_m == 0.0 and way_m > ROTORS_CARRY_M:
                why = f"from a hover it would return {way_m / 1000.0:.1f} km on its rotors"
                closed.setdefault((leg, site), []).append((low, high, why))
        if not isinstance(self._scene.terrain, FlatTerrain):
            for stretch, hull in zip(swept, hulls, strict=True):
                for cell in self._ground_in(*stretch[:2], hull):
                    self._shade(closed, stretch, hull, cell, "the ground below it is too high or not known")
        return closed

    def _during(self, obstacle: int, leg: int) -> bool:
        """Whether it is closed at some time of returns that begin on the leg."""
        spans = self._scene.closures(obstacle)
        begin, end = self._legs[leg].start.eta_s, self._legs[leg].end.eta_s
        last = end + (self._scene.view.end_s - self._legs[-1].end.eta_s)
        return spans is None or any(a <= last + _EARLY_S and b >= begin - _EARLY_S for a, b in spans)

    def _shade(
        self,
        closed: Shadows,
        stretch: tuple[int, int, float, float],
        hull: shapely.Geometry,
        what: shapely.Geometry,
        why: str,
    ) -> None:
        leg, site, low, high = stretch
        a, b, s = self._nodes[leg], self._nodes[leg + 1], self._there[site]
        spans = closed.setdefault((leg, site), [])
        if hull.geom_type != "Polygon":
            spans.append((low, high, why))
            return
        for part in shapely.get_parts(shapely.intersection(hull, what)):
            seen = shapely.get_coordinates(part) - s
            along = _cross(b - a, seen)
            if np.abs(along).min() < 1e-6:  # it reaches to the destination itself
                spans.append((low, high, why))
                continue
            shares = -_cross(a - s, seen) / along
            spans.append((float(shares.min()), float(shares.max()), why))

    def _ground_in(self, leg: int, site: int, hull: shapely.Geometry) -> list[shapely.Polygon]:
        """Cells below a return in which the ground is not known or comes too near."""
        ends = self._legs[leg]
        level = self._sites[site].elevation_amsl_m + self._rule.lowest_m
        flown_m = max(min(ends.start.alt_amsl_m, ends.end.alt_amsl_m), level)
        west, south, east, north = hull.bounds
        step = max((east - west) / _LATTICE, (north - south) / _LATTICE, _LEAST_CELL_M)
        x, y = (
            axis.ravel()
            for axis in np.meshgrid(np.arange(west, east + step, step), np.arange(south, north + step, step))
        )
        cells = shapely.box(x - step / 2, y - step / 2, x + step / 2, y + step / 2)
        under = shapely.intersects(hull, cells)
        at = self._scene.frame.to_latlon(np.column_stack([x, y])[under])
        lat, lon = np.array([p.lat_deg for p in at]), np.array([p.lon_deg for p in at])
        clear = self._scene.terrain.ground_amsl_m_many(lat, lon) + TERRAIN_CLEAR_M <= flown_m  # NaN is not
        bad: list[shapely.Polygon] = cells[under][~clear].tolist()
        return bad

    def _cost(self, leg: int, site: int, time_s: float, carrier: Carrier) -> LegCost:
        here_m = self._legs[leg].end.alt_amsl_m - self._sites[site].elevation_amsl_m
        level_m = max(self._rule.highest_m, here_m)
        return carrier.px4_return(time_s, level_m - here_m, level_m)

    def _reach(self, swept: Sequence[tuple[int, int, float, float]]) -> tuple[Array, Array]:
        """(n, 2, 2), (n, 2): the ends of the stretches, and where the returns from them lead."""
        leg = np.array([s[0] for s in swept], dtype=np.intp)
        shares = np.array([s[2:] for s in swept])[:, :, None]
        start = self._nodes[leg][:, None, :]
        ends = start + shares * (self._nodes[leg + 1][:, None, :] - start)
        return ends, self._there[[s[1] for s in swept]]


def _stretches(
    length_m: float, site_id: str, span: tuple[float, float], closed: Sequence[tuple[float, float, str]], poor: str
) -> list[Return]:
    """The span of a leg cut where what is closed begins and ends."""
    begin, end = span
    inner = sorted({c for a, b, _ in closed for c in (a, b) if begin + _LEAST_SHARE < c < end - _LEAST_SHARE})
    cuts = [begin, *inner, end]
    found: list[Return] = []
    for a, b in pairwise(cuts):
        middle = (a + b) / 2.0
        whys = [why for low, high, why in closed if low <= middle <= high]
        why = "; ".join(dict.fromkeys([*whys, *([poor] if poor else [])]))
        piece = Return(a * length_m, b * length_m, site_id, legal=not why, reason=why)
        if found and found[-1].reason == why:
            piece = replace(piece, from_m=found.pop().from_m)
        found.append(piece)
    return found


@lru_cache
def _subsets(n: int) -> NDArray[np.bool_]:
    """Which of home and n sites are in each subset, the smallest ones first; home is in all."""
    rows = [subset for size in range(n + 1) for subset in combinations(range(1, n + 1), size)]
    masks = np.zeros((len(rows), n + 1), dtype=np.bool_)
    for mask, subset in zip(masks, rows, strict=True):
        mask[[0, *subset]] = True
    return masks


def _px4_plane(points: Sequence[LatLon]) -> Array:
    """Points in a plane in which distances are as PX4 reckons them: great circles on a sphere of 6371 km.

    Azimuthal equidistant about the first point (Snyder 1987, 25-2 to 25-4); good to 1e-5 within 50 km.
    """
    lat = np.radians([p.lat_deg for p in points])
    east = np.radians([p.lon_deg for p in points]) - np.radians(points[0].lon_deg)
    x = np.cos(lat) * np.sin(east)
    y = np.cos(lat[0]) * np.sin(lat) - np.sin(lat[0]) * np.cos(lat) * np.cos(east)
    reach = np.hypot(x, y)
    angle = np.arctan2(reach, np.sin(lat[0]) * np.sin(lat) + np.cos(lat[0]) * np.cos(lat) * np.cos(east))
    scale = _PX4_EARTH_M * np.where(reach > 0.0, angle / np.where(reach > 0.0, reach, 1.0), 1.0)
    return np.column_stack([x * scale, y * scale])


def _hulls(ends: Array, to: Array) -> NDArray[np.object_]:
    """What straight ways from between two places (n, 2, 2) to a third (n, 2) sweep: triangles, or lines where the three
    lie on one."""
    corners = np.concatenate([ends, to[:, None, :]], axis=1)
    along = ends[:, 1] - ends[:, 0]
    flat = np.abs(_cross(along, to - ends[:, 0])) <= _FLAT_M * np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    hulls = np.empty(len(corners), dtype=object)
    hulls[flat] = shapely.linestrings(corners[flat])
    hulls[~flat] = shapely.polygons(corners[~flat])
    return hulls


def _cross(a: Array, b: Array) -> Array:
    result: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return result
