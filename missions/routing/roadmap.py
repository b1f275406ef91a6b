"""Every free tangent between the corners of a field: made where one field is asked many questions.

The search (`missions.routing.search`) learns of a few obstacles for one question. Here all pairs of corners are looked
at once, and a question only joins its two ends to them: an A* over lists. Both find the same optimum.

A node is a corner and the side on which its obstacle lies as one passes: 2 * corner + side. A taut path keeps that
side, so tangents are filed by it. Whether anything is in the way from or to an end is asked only when the A* comes
there, of several likely pieces at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.pace import Pace
from missions.routing.search import SAME_M, SLACK, Plane

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]
Label = tuple[float, float, int, int]
"""bound of a path that goes this way, cost at the node, node, the node before"""

_AT_ONCE = 5
"""pieces from or to the ends looked at together"""
_AHEAD = 16
"""as many labels of the queue are looked through for them"""
_END = -1
"""as a node the goal, as the one before it the start"""
_WELL_INSIDE = 0.999
"""of a disc: what comes so near to its middle crosses the polygon around it, whatever rounding does"""
_BLOCK = 12_000
"""numbers in one array: more than 128 kB come from the system anew each time, page by page, which costs tenfold"""
_LARGE = 12
"""as many discs, the largest ones as seen from an end, tell what it cannot see"""


class Roadmap:
    """Of obstacles with these polygons and corners (3, N, 2); `free` tells of segments (n, 2) which meet nothing."""

    def __init__(
        self, polygons: NDArray[np.object_], corners: Floats, free: Callable[[Plane], NDArray[np.bool_]]
    ) -> None:
        self._is_free = free
        self._at, back, ahead = np.ascontiguousarray(corners).view(complex)[..., 0]
        self._places: list[complex] = self._at.tolist()
        self._into = (back + ahead).conj()
        self._fold, self._wide = (back * ahead).conj(), (back.conj() * ahead).real + SLACK
        # A disc in each polygon, none where its middle is outside: what crosses it crosses the polygon.
        middle = shapely.centroid(polygons)
        self._middle = shapely.get_coordinates(middle).view(complex)[:, 0]
        reach = shapely.distance(middle, shapely.boundary(polygons)) * _WELL_INSIDE
        self._reach = np.where(shapely.contains(polygons, middle), reach, 0.0)
        u, v = self._tangents(back, ahead)
        clear = free(np.column_stack([self._at[u], self._at[v]]))
        u, v = u[clear], v[clear]
        u, v = np.append(u, v), np.append(v, u)
        legs = self._at[v] - self._at[u]
        leaves = self._nodes(u, legs)
        order = np.argsort(leaves, kind="stable")
        self._legs = legs[order]
        self._to: list[int] = self._nodes(v, legs)[order].tolist()
        self._begin: list[int] = np.searchsorted(leaves[order], np.arange(2 * len(self._at) + 1)).tolist()
        self._costs: tuple[Pace | None, list[float]] = None, np.abs(self._legs).tolist()

    def bends(self, start: complex, goal: complex, pace: Pace | None) -> list[complex] | None:
        """The cheapest path between two free places, with both; None if there is none."""
        kept = self._costs
        if kept[0] != pace:
            kept = self._costs = pace, _cost(self._legs, pace).tolist()
        costs, to, begin, places = kept[1], self._to, self._begin, self._places
        both = np.array([start, goal])
        legs = self._at - both[:, None]
        first, last = self._seen(both, legs)
        lasts = set(self._nodes(last, -legs[1, last]).tolist())
        to_goal: list[float] = _cost(-legs[1], pace).tolist()
        straight = float(_cost(np.array([goal - start]), pace)[0])
        queue: list[Label] = [(straight, straight, _END, _END)]
        out = legs[0, first]
        for node, cost in zip(self._nodes(first, out).tolist(), _cost(out, pace).tolist(), strict=True):
            queue.append((cost + to_goal[node >> 1], cost, node, _END))
        heapq.heapify(queue)
        came: dict[int, int] = {}
        best: dict[int, float] = {}
        free: dict[tuple[int, int], bool] = {}
        while queue and queue[0][0] < inf:
            bound, cost, node, before = heapq.heappop(queue)
            if node in came:
                continue
            if before == _END or node == _END:
                if (before, node) not in free:
                    asked = _asked((before, node), queue, lasts, free)
                    ways = [
                        (start if b == _END else places[b >> 1], goal if n == _END else places[n >> 1])
                        for b, n in asked
                    ]
                    free.update(zip(asked, self._is_free(np.array(ways)).tolist(), strict=True))
                if not free[before, node]:
                    continue
            came[node] = before
            if node == _END:
                return [start, *(places[n >> 1] for n in _chain(came)), goal]
            if node in lasts and free.get((node, _END), True):
                heapq.heappush(queue, (bound, bound, _END, node))
            for way in range(begin[node], begin[node + 1]):
                onward, reached = to[way], cost + costs[way]
                if reached < best.get(onward, inf):
                    best[onward] = reached
                    heapq.heappush(queue, (reached + to_goal[onward >> 1], reached, onward, node))
        return None

    def _nodes(self, corners: Numbers, legs: Plane) -> Numbers:
        """Of corners passed by legs that are tangent there."""
        nodes: Numbers = 2 * corners + ((self._into[corners] * legs).imag < 0.0)
        return nodes

    def _seen(self, ends: Plane, legs: Plane) -> tuple[Numbers, Numbers]:
        """The corners that may be seen from each of two ends on a tangent there; legs (2, N) lead to all."""
        length = np.abs(legs)
        tangent = (legs * legs * self._fold).real <= length * length * self._wide
        end, corner = (tangent & (length > SAME_M)).nonzero()
        away = np.abs(self._middle - ends[:, None])
        large = np.argpartition(self._reach / away, -min(_LARGE, away.shape[1]))[:, -_LARGE:]
        clear = ~self._crossed(ends[end], legs[end, corner], large.ravel())
        corner, n = corner[clear], int(np.count_nonzero(end[clear] == 0))
        return corner[:n], corner[n:]

    def _tangents(self, back: Plane, ahead: Plane) -> tuple[Numbers, Numbers]:
        """Pairs of corners whose line is tangent at both and crosses no disc."""
        n, found = len(self._at), [np.empty((2, 0), dtype=np.intp)]
        x, y = self._at.real, self._at.imag
        rows = _BLOCK // (n + 1) + 1
        for i in (slice(first, first + rows) for first in range(0, n, rows)):
            j = slice(i.start, n)
            dx, dy = np.subtract.outer(x[i], x[j]), np.subtract.outer(y[i], y[j])
            square = dx * dx + dy * dy
            ok, slack = square > SAME_M * SAME_M, square * (-0.5 * SLACK)
            # At either corner the sines of the angles to its two edges are of one sign, but for slack.
            for b, a in ((back[i, None], ahead[i, None]), (back[j], ahead[j])):
                ok &= (dx * b.imag - dy * b.real) * (dx * a.imag - dy * a.real) >= slack
            u, v = np.triu(ok, 1).nonzero()
            found.append(np.array([u, v]) + i.start)
        u, v = np.concatenate(found, axis=1)
        clear = ~self._crossed(self._at[u], self._at[v] - self._at[u])
        return u[clear], v[clear]

    def _crossed(self, starts: Plane, legs: Plane, discs: Numbers | slice = slice(None)) -> NDArray[np.bool_]:
        """Of each leg whether it crosses one of the discs; one that does not may still cross a polygon."""
        crossed = np.empty(len(legs), dtype=bool)
        at, reach = self._middle[discs], self._reach[discs, None]
        middle = np.array([at.real, at.imag, np.ones(len(at))]).T
        rows = _BLOCK // (2 * len(reach) + 1) + 1
        for first in range(0, len(legs), rows):
            part = slice(first, first + rows)
            length = np.abs(legs[part])
            way, half = legs[part].conj() / length, length / 2.0
            begin = starts[part] * way
            # Of each middle how far it is along the leg, from the leg's own middle, and how far beside it.
            along = way.real, -way.imag, -begin.real - half
            beside = way.imag, way.real, -begin.imag
            from_middle = np.abs(middle @ np.array([along, beside]))
            met = from_middle[0] < half
            met &= from_middle[1] < reach
            met.any(axis=0, out=crossed[part])
        return crossed


def _asked(
    piece: tuple[int, int], queue: list[Label], lasts: set[int], known: dict[tuple[int, int], bool]
) -> list[tuple[int, int]]:
    """A piece from or to an end, and those that are likely to be asked about next."""
    asked = {piece: None}
    for _, _, node, before in queue[:_AHEAD]:
        other = (node, _END) if before != _END and node in lasts else (before, node)
        if _END in other and other not in known:
            asked[other] = None
            if len(asked) == _AT_ONCE:
                break
    return list(asked)


def _chain(came: dict[int, int]) -> list[int]:
    """The nodes before the goal, from the first."""
    chain, node = [], came[_END]
    while node != _END:
        chain.append(node)
        node = came[node]
    return chain[::-1]


def _cost(legs: Plane, pace: Pace | None) -> Floats:
    return np.abs(legs) if pace is None else pace.seconds(legs.real, legs.imag)
