"""The exact cheapest path among polygons in a plane, looking only at the obstacles that are in its way.

A shortest path among polygons bends only at convex corners and its pieces are tangents there (Lozano-Pérez & Wesley
1979); so does a path of least time in uniform wind (`missions.routing.pace`). `missions.routing.search` finds it, and
where one small field is asked many questions `missions.routing.roadmap`; here are the obstacles, and what these two ask
about them.

Corners are pushed out by `PUSH_M`, so that a path never touches an obstacle and no predicate is asked about contact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.rtree import PolygonTree, Predicate
from missions.routing.judge import IdentityCache
from missions.routing.pace import Pace
from missions.routing.roadmap import Roadmap
from missions.routing.search import Plane, Search

Array = NDArray[np.float64]

PUSH_M = 1e-4
"""far above rounding (1e-9 m at 100 km) and far below what a length of kilometres notices (1e-7)"""

_FLAT = 1e-12
"""sine below which three points count as one line"""
_EDGE_M = 10.0 * PUSH_M
"""an end this near to an obstacle may lie between it and its corners pushed out: it begins a step away"""
_PAIRS_A_ROUND = 650
"""of corners: so many cost as much in making a roadmap as a round of the search"""
_CORNERS_A_ROUND = 150
"""so many cost as much in one question to a roadmap. Like the other a ratio of array work to array work, measured"""
_BESIDE = 2.0 * _EDGE_M * np.exp(2j * np.pi / 16 * np.arange(16))


class Obstacles:
    """Polygons (holes allowed) in an R-tree; all corners are worked out on first use. Never changed once built."""

    def __init__(self, polygons: Sequence[shapely.Polygon] | NDArray[np.object_] | PolygonTree) -> None:
        self.tree = polygons if isinstance(polygons, PolygonTree) else PolygonTree(polygons)
        self.polygons = self.tree.polygons

    def __len__(self) -> int:
        return len(self.polygons)

    def changed(self, gone: range, added: Sequence[shapely.Polygon] | NDArray[np.object_]) -> Obstacles:
        """Without the polygons numbered `gone` and with `added` at the end; the corners of the others stay known."""
        after = Obstacles(self.tree.changed(gone, added))
        if "_corners" in self.__dict__:
            (corners, first), (new, new_first) = self._corners, _corners(np.array(added, dtype=object))
            a, b = first[gone.start], first[gone.stop]
            firsts = (first[: gone.start], first[gone.stop :] - (b - a), first[-1] - (b - a) + new_first[1:])
            kept = np.concatenate([corners[:, :a], corners[:, b:], new], axis=1)
            after.__dict__["_corners"] = kept, np.concatenate(firsts)
        return after

    def corners(self, i: int) -> Array:
        """(3, n, 2): convex corners of polygon i pushed out, and the unit vectors from each to its two neighbours."""
        corners, first = self._corners
        return corners[:, first[i] : first[i + 1]]

    def corner_count(self) -> int:
        return int(self._corners[1][-1])

    @cached_property
    def _corners(self) -> tuple[Array, NDArray[np.intp]]:
        return _corners(self.polygons)


@dataclass(frozen=True, slots=True)
class Path:
    """Bends from start to goal (n, 2), its length in metres, its cost, and the obstacles looked at (indices).

    The cost is the length, or where a pace was given the time in seconds.
    """

    xy: Array
    length: float
    cost: float
    met: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NoPath:
    """Start and goal lie apart: `met` are the obstacles looked at, of which some close every way."""

    met: tuple[int, ...]


class Field:
    """Obstacles that are in the way for one question: shared `Obstacles`, a filter, and some of the question's own."""

    def __init__(
        self,
        shared: Obstacles,
        active: Callable[[int], bool],
        own: Sequence[shapely.Polygon] = (),
    ) -> None:
        self._shared = shared
        # The outside of a keep-in, or the fence on board, is the same objects for many questions.
        self._own = _own.get(*own, make=lambda: Obstacles(own)) if len(own) else None
        self._active = active
        self._known: dict[int, bool] = {}
        self._questions = self._rounds = 0
        """of the search so far"""
        self._map: tuple[Roadmap, tuple[int, ...]] | None = None
        """and the obstacles in it"""

    def polygon(self, i: int) -> shapely.Polygon:
        n = len(self._shared)
        return self._shared.polygons[i] if i < n or self._own is None else self._own.polygons[i - n]

    def corners(self, i: int) -> Array:
        """(3, n, 2): convex corners of obstacle i pushed out, and the unit vectors from each to its two neighbours."""
        n = len(self._shared)
        return self._shared.corners(i) if i < n or self._own is None else self._own.corners(i - n)

    def hits(self, geometries: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs (geometry, obstacle) that touch or cross, of obstacles in the way."""
        return self._found(geometries, "intersects")

    def free(self, starts: Array, ends: Array) -> NDArray[np.bool_]:
        """For each segment whether it meets nothing. One call for many segments is far cheaper than many calls."""
        result = np.ones(len(starts), dtype=bool)
        if len(starts):
            result[self.hits(segments(starts, ends))[0]] = False
        return result

    def around(self, point: Array) -> list[int]:
        """Obstacles that hold the point."""
        return sorted(set(self.hits(np.array([shapely.Point(point)], dtype=object))[1].tolist()))

    def shortest(self, start: Array, goal: Array, pace: Pace | None = None) -> Path | NoPath:
        """The shortest path, or with a pace that of least time. There is none from or to the inside of an obstacle.

        An end on the very edge of an obstacle is outside of it.
        """
        ends = self._outside(np.array([complex(*start), complex(*goal)]))
        if isinstance(ends, NoPath):
            return ends
        if pace is not None and _cost(ends, pace) == np.inf:
            return NoPath(())  # nor is there another way: displacements that can be flown add up to such
        here, there = complex(ends[0]), complex(ends[1])
        bends, met = self._bends(here, there, pace) if abs(there - here) > PUSH_M else ([here, there], ())
        if bends is None:
            return NoPath(self._closing(here, there) or met)
        points = np.array(bends)
        xy = points.view(np.float64).reshape(-1, 2).copy()
        xy[0], xy[-1] = start, goal
        length = _cost(points, None)
        return Path(xy, length, length if pace is None else _cost(points, pace), met)

    def prepare(self) -> None:
        """Makes the roadmap now, which is else made when questions have cost as much as it does."""
        n, own = len(self._shared), 0 if self._own is None else len(self._own)
        active = (*self._in_the_way(), *range(n, n + own))
        corners = [np.empty((3, 0, 2)), *(self.corners(i) for i in active)]
        polygons = np.array([self.polygon(i) for i in active], dtype=object)
        self._map = Roadmap(polygons, np.concatenate(corners, axis=1), self._clear), active

    def _bends(self, start: complex, goal: complex, pace: Pace | None) -> tuple[list[complex] | None, tuple[int, ...]]:
        """Those of the best path, and the obstacles looked at."""
        if self._map is None and self._worth_a_map():
            self.prepare()
        if self._map is not None:
            roadmap, obstacles = self._map
            return roadmap.bends(start, goal, pace), obstacles
        search = Search(self, start, goal, pace)
        bends = search.run()
        self._questions += 1
        self._rounds += search.rounds
        return bends, tuple(sorted(search.obstacles))

    def _worth_a_map(self) -> bool:
        """True if the rounds of the search would have paid for it, and a question to it costs less than they do."""
        if not self._questions:
            return False
        corners = self._shared.corner_count() + (0 if self._own is None else self._own.corner_count())
        paid = self._rounds * _PAIRS_A_ROUND >= corners * corners
        return paid and self._rounds > self._questions * (1.0 + corners / _CORNERS_A_ROUND)

    def met(self, ways: Plane) -> list[list[int]]:
        """The obstacles that each of the segments (n, 2) touches or crosses."""
        found: list[list[int]] = [[] for _ in ways]
        which, what = self.hits(_lines(ways))
        for i, k in zip(which.tolist(), what.tolist(), strict=True):
            found[i].append(k)
        return found

    def _clear(self, ways: Plane) -> NDArray[np.bool_]:
        """Of each of the segments (n, 2) whether it meets nothing."""
        clear = np.ones(len(ways), dtype=bool)
        clear[self.hits(_lines(ways))[0]] = False
        return clear

    def apart(self, a: complex, b: complex) -> bool:
        """True if obstacles that touch close every way between two free places."""
        return bool(self._closing(a, b))

    def _closing(self, a: complex, b: complex) -> tuple[int, ...]:
        """The fewest obstacles that together enclose one of two places and not the other; () if none do."""
        walls = [
            yard.exterior
            for yard in self._yards
            if shapely.contains_xy(yard, a.real, a.imag) != shapely.contains_xy(yard, b.real, b.imag)
        ]
        if not walls:
            return ()
        which, what = self.hits(np.array(walls, dtype=object))
        closing = [tuple(sorted(what[which == i].tolist())) for i in range(len(walls))]
        return min(closing, key=len)

    @cached_property
    def _yards(self) -> NDArray[np.object_]:
        """What obstacles enclose, one with a hole or several that touch: disjoint ones enclose nothing together."""
        active = self._in_the_way()
        own = [] if self._own is None else self._own.polygons.tolist()
        polygons = np.array([*self._shared.polygons[active], *own], dtype=object)
        one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
        walls = shapely.get_num_interior_rings(polygons) > 0
        walls[one[one != other]] = True
        parts = shapely.get_parts(shapely.union_all(polygons[walls]))
        rings = [shapely.Polygon(ring) for part in parts for ring in part.interiors]
        return np.array(rings, dtype=object)

    def _outside(self, ends: Plane) -> Plane | NoPath:
        """The ends, from the edge of an obstacle a step beside it; `NoPath` if one is inside."""
        which, what = self._found(shapely.points(ends.view(np.float64).reshape(-1, 2)), "dwithin", _EDGE_M)
        if not len(which):
            return ends
        outside = ends.copy()
        for i in sorted(set(which.tolist())):
            around = what[which == i]
            beside = ends[i] + _BESIDE
            steps = shapely.points(beside.real, beside.imag)
            room = np.min([shapely.distance(self.polygon(k), steps) for k in around.tolist()], axis=0)
            room[self.hits(steps)[0]] = 0.0
            if room.max() == 0.0:
                return NoPath(tuple(sorted(set(around.tolist()))))
            outside[i] = beside[room.argmax()]
        return outside

    def _found(
        self, geometries: NDArray[np.object_], predicate: Predicate, distance_m: float | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        which, what = self._shared.tree.query(geometries, predicate, distance_m)
        if len(what):
            keep = [self._is_active(i) for i in what.tolist()]
            if not all(keep):
                which, what = which[keep], what[keep]
        if self._own is not None:
            own_which, own_what = self._own.tree.query(geometries, predicate, distance_m)
            which = np.concatenate([which, own_which])
            what = np.concatenate([what, own_what + len(self._shared)])
        return which, what

    def _in_the_way(self) -> list[int]:
        """Of the shared obstacles."""
        return [i for i in range(len(self._shared)) if self._is_active(i)]

    def _is_active(self, i: int) -> bool:
        known = self._known.get(i)
        if known is None:
            known = self._known[i] = self._active(i)
        return known


_own: IdentityCache[Obstacles] = IdentityCache(2048)


def segments(starts: Array, ends: Array) -> NDArray[np.object_]:
    """Line strings from each start to its end."""
    lines: NDArray[np.object_] = shapely.linestrings(np.stack([starts, ends], axis=1))
    return lines


def _lines(ways: Plane) -> NDArray[np.object_]:
    lines: NDArray[np.object_] = shapely.linestrings(ways.view(np.float64).reshape(-1, 2, 2))
    return lines


def _corners(polygons: NDArray[np.object_]) -> tuple[Array, NDArray[np.intp]]:
    """As `Obstacles.corners`, of all polygons (3, N, 2), and the number of each polygon's first corner, with N last."""
    # The solid lies on the left of every ring.
    rings, owner = shapely.get_rings(shapely.orient_polygons(polygons), return_index=True)
    v, ring = shapely.get_coordinates(rings, return_index=True)
    closing = np.append(ring[1:] != ring[:-1], np.ones(len(ring[:1]), dtype=bool))
    v, ring = v[~closing], ring[~closing]
    last = np.cumsum(np.bincount(ring, minlength=len(rings))) - 1
    start = np.append(0, last + 1)[:-1]
    before, after = np.arange(len(v)) - 1, np.arange(len(v)) + 1
    before[start], after[last] = last, start
    back, ahead = v[before] - v, v[after] - v
    into = -back / np.maximum(np.hypot(back[:, 0], back[:, 1]), 1e-12)[:, None]
    out = ahead / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-12)[:, None]
    convex = into[:, 0] * out[:, 1] - into[:, 1] * out[:, 0] > _FLAT
    normals = np.column_stack([into[:, 1] + out[:, 1], -into[:, 0] - out[:, 0]])  # sum of the two outward normals
    spread = 1.0 + (into * out).sum(axis=1)
    push = normals / np.maximum(spread, 0.02)[:, None] * PUSH_M
    counts = np.bincount(owner[ring[convex]], minlength=len(polygons))
    return np.array([v + push, -into, out])[:, convex], np.append(0, np.cumsum(counts))


def _cost(points: Plane, pace: Pace | None) -> float:
    legs = points[1:] - points[:-1]
    return float((np.abs(legs) if pace is None else pace.seconds(legs.real, legs.imag)).sum())
