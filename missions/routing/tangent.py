"""The exact shortest path among polygons in a plane, adding only the obstacles that a path meets.

A shortest path among polygons bends only at convex corners and its pieces are tangents there (Lozano-Pérez & Wesley
1979). Let S be a few of the obstacles: the shortest path among S alone is never longer than the true one. So: find it
by A*, look what it meets among all obstacles, add that to S, repeat. When it meets nothing it is the true optimum.
Within A* a corner's tangents are worked out when it is first expanded, and afterwards only completed for what was
added to S since: most corners of most obstacles are never looked at.

Corners are pushed out by `PUSH_M`, so that a path never touches an obstacle and no predicate is asked about contact.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.rtree import PolygonTree
from missions.routing.pace import Pace

Array = NDArray[np.float64]

PUSH_M = 1e-4
"""far above rounding (1e-9 m at 100 km) and far below what a length of kilometres notices (1e-7)"""

_FLAT = 1e-12
"""sine below which three points count as one line"""
_SLACK = 1e-6
"""sine by which a tangent may miss: rounding must not lose one, and a false one is only a candidate more"""


class Obstacles:
    """Polygons (holes allowed) in an R-tree; their corners are worked out on first use. Never changed once built."""

    def __init__(self, polygons: Sequence[shapely.Polygon] | NDArray[np.object_] | PolygonTree) -> None:
        self.tree = polygons if isinstance(polygons, PolygonTree) else PolygonTree(polygons)
        self.polygons = self.tree.polygons
        self._corners: list[tuple[Array, Array, Array] | None] = [None] * len(self.polygons)

    def __len__(self) -> int:
        return len(self.polygons)

    def changed(self, gone: range, added: Sequence[shapely.Polygon] | NDArray[np.object_]) -> Obstacles:
        """Without the polygons numbered `gone` and with `added` at the end; the corners of the others stay known."""
        after = Obstacles(self.tree.changed(gone, added))
        kept = self._corners[: gone.start] + self._corners[gone.stop :]
        after._corners[: len(kept)] = kept
        return after

    def corners(self, i: int) -> tuple[Array, Array, Array]:
        """Convex corners of polygon i pushed out, and the unit vectors from each corner to its two neighbours."""
        found = self._corners[i]
        if found is None:
            found = self._corners[i] = _corners(self.polygons[i])
        return found


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
        self._own = Obstacles(own) if len(own) else None
        self._active = active
        self._known: dict[int, bool] = {}

    def polygon(self, i: int) -> shapely.Polygon:
        n = len(self._shared)
        return self._shared.polygons[i] if i < n or self._own is None else self._own.polygons[i - n]

    def corners(self, i: int) -> tuple[Array, Array, Array]:
        n = len(self._shared)
        return self._shared.corners(i) if i < n or self._own is None else self._own.corners(i - n)

    def hits(self, geometries: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs (geometry, obstacle) that touch or cross, of obstacles in the way."""
        which, what = self._shared.tree.query(geometries, predicate="intersects")
        if len(what):
            keep = np.fromiter((self._is_active(i) for i in what.tolist()), dtype=bool, count=len(what))
            which, what = which[keep], what[keep]
        if self._own is not None:
            own_which, own_what = self._own.tree.query(geometries, predicate="intersects")
            which = np.concatenate([which, own_which])
            what = np.concatenate([what, own_what + len(self._shared)])
        return which, what

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
        """The shortest path, or with a pace that of least time; none if an end is inside of an obstacle."""
        search = _Search(self, start, goal, pace)
        if search.to_goal[0] == np.inf:  # nor is there another way: displacements that can be flown add up to such
            return NoPath(())
        path = [0, 1]
        proven: set[tuple[int, int]] = set()
        while True:
            pieces = [p for p in pairwise(path) if p not in proven]
            xy = search.xy
            which, what = self.hits(segments(xy[[a for a, _ in pieces]], xy[[b for _, b in pieces]]))
            met = set(what.tolist()) - search.obstacles
            if not met:
                if len(what):  # only a start or goal inside an obstacle leaves a piece that still meets a known one
                    return NoPath(tuple(sorted(search.obstacles)))
                points = xy[path]
                return Path(points, _sum(points, None), _sum(points, pace), tuple(sorted(search.obstacles)))
            blocked = set(which.tolist())
            proven.update(p for k, p in enumerate(pieces) if k not in blocked)
            search.add(sorted(met))
            found = search.run()
            if found is None:
                return NoPath(tuple(sorted(search.obstacles)))
            path = found

    def _is_active(self, i: int) -> bool:
        known = self._known.get(i)
        if known is None:
            known = self._known[i] = self._active(i)
        return known


class _Search:
    """A* over the corners of the obstacles added so far; node 0 is the start, node 1 the goal."""

    def __init__(self, field: Field, start: Array, goal: Array, pace: Pace | None) -> None:
        self.field = field
        self.pace = pace
        self.obstacles: set[int] = set()
        self.xy = np.array([start, goal], dtype=np.float64)
        self.prev = np.zeros((2, 2))
        self.next = np.zeros((2, 2))
        self.to_goal: list[float] = [_sum(self.xy, pace), 0.0]
        self._trees: list[shapely.STRtree] = []  # one per call of add: corners know which of them they have seen
        self._nodes: list[int] = []  # number of nodes after each call of add
        self._seen: dict[int, int] = {}
        self._out: dict[int, tuple[NDArray[np.intp], Array, NDArray[np.object_]]] = {}
        self._lists: dict[int, list[tuple[int, float]]] = {}

    def add(self, obstacles: Sequence[int]) -> None:
        corners = [self.field.corners(i) for i in obstacles]
        self.xy = np.concatenate([self.xy, *(c[0] for c in corners)])
        self.prev = np.concatenate([self.prev, *(c[1] for c in corners)])
        self.next = np.concatenate([self.next, *(c[2] for c in corners)])
        left = self.xy[1] - self.xy[len(self.to_goal) :]
        self.to_goal.extend(_costs(left[:, 0], left[:, 1], self.pace).tolist())
        polygons = np.array([self.field.polygon(i) for i in obstacles], dtype=object)
        self._trees.append(shapely.STRtree(polygons))
        self._nodes.append(len(self.xy))
        self.obstacles.update(obstacles)

    def run(self) -> list[int] | None:
        """Node numbers of the shortest path among the obstacles added; None if there is none."""
        cost: dict[int, float] = {0: 0.0}
        parent: dict[int, int] = {}
        done: set[int] = set()
        queue: list[tuple[float, int]] = [(self.to_goal[0], 0)]
        while queue:
            _, node = heapq.heappop(queue)
            if node == 1:
                path = [1]
                while path[-1] != 0:
                    path.append(parent[path[-1]])
                return path[::-1]
            if node in done:
                continue
            done.add(node)
            here = cost[node]
            for other, length in self._tangents(node):
                reach = here + length
                if other not in done and reach < cost.get(other, np.inf):
                    cost[other] = reach
                    parent[other] = node
                    heapq.heappush(queue, (reach + self.to_goal[other], other))
        return None

    def _tangents(self, u: int) -> list[tuple[int, float]]:
        """The nodes seen from u along tangents, with their distances; brought up to date with what was added."""
        seen = self._seen.get(u, 0)
        if seen == len(self._trees):
            return self._lists[u]
        first = self._nodes[seen - 1] if seen else 0
        ids, lengths = self._candidates(u, first)
        lines = segments(np.broadcast_to(self.xy[u], (len(ids), 2)), self.xy[ids])
        keep = _clear(lines, self._trees)
        ids, lengths, lines = ids[keep], lengths[keep], lines[keep]
        if seen:
            old_ids, old_lengths, old_lines = self._out[u]
            keep = _clear(old_lines, self._trees[seen:])
            ids = np.concatenate([old_ids[keep], ids])
            lengths = np.concatenate([old_lengths[keep], lengths])
            lines = np.concatenate([old_lines[keep], lines])
        self._out[u] = ids, lengths, lines
        self._seen[u] = len(self._trees)
        result = self._lists[u] = list(zip(ids.tolist(), lengths.tolist(), strict=True))
        return result

    def _candidates(self, u: int, first: int) -> tuple[NDArray[np.intp], Array]:
        """Nodes from `first` on whose line to u is tangent at both ends."""
        d = self.xy[first:] - self.xy[u]
        dx, dy = d[:, 0], d[:, 1]
        length = np.hypot(dx, dy)
        slack = _SLACK * length
        # Both neighbours of a corner on one side of the line, or on it.
        (px, py), (nx, ny) = self.prev[u], self.next[u]
        a, b = dx * py - dy * px, dx * ny - dy * nx
        p, n = self.prev[first:], self.next[first:]
        c, e = dx * p[:, 1] - dy * p[:, 0], dx * n[:, 1] - dy * n[:, 0]
        ok = (np.minimum(a, b) >= -slack) | (np.maximum(a, b) <= slack)
        ok &= (np.minimum(c, e) >= -slack) | (np.maximum(c, e) <= slack)
        ok &= length > 0.0
        ids = np.flatnonzero(ok)
        return ids + first, length[ids] if self.pace is None else self.pace.seconds(dx[ids], dy[ids])


def segments(starts: Array, ends: Array) -> NDArray[np.object_]:
    """Line strings from each start to its end."""
    lines: NDArray[np.object_] = shapely.linestrings(np.stack([starts, ends], axis=1))
    return lines


def _clear(lines: NDArray[np.object_], trees: Sequence[shapely.STRtree]) -> NDArray[np.bool_]:
    clear = np.ones(len(lines), dtype=bool)
    for tree in trees:
        left = np.flatnonzero(clear)
        if not len(left):
            break
        clear[left[tree.query(lines[left], predicate="intersects")[0]]] = False
    return clear


def _corners(polygon: shapely.Polygon) -> tuple[Array, Array, Array]:
    solid = shapely.orient_polygons(polygon)  # the solid on the left of every ring
    found = [_ring_corners(shapely.get_coordinates(r)[:-1]) for r in (solid.exterior, *solid.interiors)]
    return (
        np.concatenate([f[0] for f in found]),
        np.concatenate([f[1] for f in found]),
        np.concatenate([f[2] for f in found]),
    )


def _ring_corners(v: Array) -> tuple[Array, Array, Array]:
    back, ahead = np.roll(v, 1, axis=0) - v, np.roll(v, -1, axis=0) - v
    into = -back / np.maximum(np.hypot(back[:, 0], back[:, 1]), 1e-12)[:, None]
    out = ahead / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-12)[:, None]
    convex = into[:, 0] * out[:, 1] - into[:, 1] * out[:, 0] > _FLAT
    normals = np.column_stack([into[:, 1] + out[:, 1], -into[:, 0] - out[:, 0]])  # sum of the two outward normals
    spread = 1.0 + (into * out).sum(axis=1)
    push = normals / np.maximum(spread, 0.02)[:, None] * PUSH_M
    return (v + push)[convex], -into[convex], out[convex]


def _costs(dx: Array, dy: Array, pace: Pace | None) -> Array:
    return np.hypot(dx, dy) if pace is None else pace.seconds(dx, dy)


def _sum(points: Array, pace: Pace | None) -> float:
    steps = np.diff(points, axis=0)
    return float(_costs(steps[:, 0], steps[:, 1], pace).sum())
