"""One question of the tangent search: an A* that learns of obstacles as it goes. Points are complex numbers.

The search knows a few of the obstacles, S; its edges are tangents between their corners. When the cheapest edge is
taken from the queue it is held against all obstacles. If it meets none that is known, the nearest that it meets joins
S, with edges to its corners from every place settled so far, and the edge is dropped. If it is free, its end is
settled, and that cost is final: it was the cheapest among S, a bound from below as S is only a part, and it can be
flown, a bound from above. So nothing is ever done twice, and most corners of most obstacles are never looked at.

A cheapest path is taut: at a corner it goes on straight or turns about the obstacle, at most along its next edge. So
from a place settled only that sector is looked at.
"""

from __future__ import annotations

import heapq
from cmath import phase
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf, pi, sin
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from missions.routing.pace import Pace

Plane = NDArray[np.complex128]
Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]

_SLACK = 1e-6
"""radians by which a tangent may miss: rounding must not lose one, and a false one is only an edge more"""
_GRAZE = 1e-7
"""radians by which a view must be inside of what hides it"""
_SAME_M = 1e-6
"""corners closer than this are one place: there is no direction between them"""
_NONE = -2.0
"""less than any cosine: no leg is tangent"""
_ASK_AFTER = 256
"""places settled: by then a question without an answer is told from a long one"""
_ROOM = 64


class World(Protocol):
    """All obstacles."""

    def corners(self, i: int) -> tuple[Floats, Floats, Floats]:
        """(n, 2) each: convex corners of obstacle i pushed out, and the unit vectors to their two neighbours."""
        ...

    def met(self, starts: Plane, ends: Plane) -> list[list[int]]:
        """The obstacles that each segment touches or crosses."""
        ...

    def nearest(self, among: Sequence[int], place: complex) -> int:
        """The obstacle nearest to a place."""
        ...

    def apart(self, a: complex, b: complex) -> bool:
        """True if obstacles that touch close every way between two free places."""
        ...


@dataclass(slots=True)
class _Edges:
    """Edges found at one look, held against all obstacles together when the first of them is taken."""

    starts: Plane
    ends: Plane
    rows: list[int]
    corners: list[int]
    costs: list[float]
    _met: list[list[int]] = field(default_factory=list)

    def met(self, world: World) -> list[list[int]]:
        if not self._met:
            self._met = world.met(self.starts, self.ends)
        return self._met


class Search:
    """A row is a place settled, row 0 the start. A column is an obstacle of S; column 0 and corner 0 are the goal.

    Angles at a row are from the direction of arrival, positive to the side of the obstacle that the path turns about.
    """

    def __init__(self, world: World, start: complex, goal: complex, pace: Pace | None) -> None:
        self.obstacles: list[int] = []
        """S, in the order in which they joined"""
        self._world = world
        self._pace = pace
        self._start, self._goal = start, goal
        self._known: set[int] = set()
        self._at = np.array([goal])
        self._back, self._ahead = np.zeros(1, complex), np.zeros(1, complex)
        self._to_goal = np.zeros(1)
        self._column = np.zeros(1, np.intp)
        self._settled = [False]
        # A leg of direction e is tangent at a corner with edges b and a where sin(e, b) sin(e, a) >= 0, which is
        # Re(e² conj(b a)) <= Re(conj(b) a). The goal takes every leg, a corner settled none.
        self._fold, self._wide = np.zeros(1, complex), np.ones(1)
        self._first = np.zeros(1, np.intp)  # corner of each column
        self._rows = 0
        self._place = np.zeros(_ROOM, complex)
        self._turn = np.ones(_ROOM, complex)  # a direction times this is seen from the direction of arrival
        self._side = np.ones(_ROOM)
        self._least, self._most = np.full(_ROOM, -inf), np.full(_ROOM, inf)
        self._cost = np.zeros(_ROOM)
        self._parent: list[int] = []
        # An obstacle hides of a row's view what is between two angles and farther than its farthest corner.
        self._low, self._high, self._far = (np.full((_ROOM, _ROOM), inf) for _ in range(3))
        self._queue: list[tuple[float, int, _Edges, int]] = []
        self._tick = count()

    def run(self) -> list[complex] | None:
        """The bends of the cheapest path from start to goal; None if there is none."""
        self._settle(self._start, -1, 0.0, 0)
        while self._queue:
            _, _, edges, k = heapq.heappop(self._queue)
            corner = edges.corners[k]
            if self._settled[corner]:
                continue
            met = edges.met(self._world)[k]
            if met:
                if self._known.isdisjoint(met):
                    self._add(self._world.nearest(met, complex(edges.starts[k])))
            elif corner == 0:
                return self._bends(edges.rows[k])
            elif self._rows == _ASK_AFTER and self._world.apart(self._start, self._goal):
                return None
            else:
                self._settle(complex(self._at[corner]), edges.rows[k], edges.costs[k], corner)
        return None

    def _bends(self, row: int) -> list[complex]:
        bends = [self._goal]
        while row >= 0:
            bends.append(complex(self._place[row]))
            row = self._parent[row]
        return bends[::-1]

    def _settle(self, place: complex, parent: int, cost: float, corner: int) -> None:
        row = self._rows
        if row == len(self._place):
            for name in ("_place", "_turn", "_side", "_least", "_most", "_cost", "_low", "_high", "_far"):
                table = getattr(self, name)
                setattr(self, name, np.concatenate([table, table]))
        self._rows += 1
        self._parent.append(parent)
        self._place[row], self._cost[row] = place, cost
        if corner:
            self._settled[corner], self._wide[corner] = True, _NONE
            came = place - complex(self._place[parent])
            turn = came.conjugate() / abs(came)
            edges = [phase(complex(e[corner]) * turn) for e in (self._back, self._ahead)]
            side = 1.0 if max(edges, key=lambda a: abs(sin(a))) > 0.0 else -1.0
            self._turn[row], self._side[row], self._least[row] = turn, side, -_SLACK
            # The edge along which a path came lies behind, at a half turn, to whichever side rounding puts it.
            self._most[row] = min(a * side if a * side > -1.0 else pi for a in edges) + _SLACK
        self._look(slice(row, row + 1), 0, 0, int(self._column[corner]))

    def _add(self, obstacle: int) -> None:
        """From now on its corners are ways, also from the places settled before."""
        at, back, ahead = (np.ascontiguousarray(a).view(complex)[:, 0] for a in self._world.corners(obstacle))
        first, column = len(self._at), len(self._first)
        if column == self._low.shape[1]:
            for name in ("_low", "_high", "_far"):
                table = getattr(self, name)
                setattr(self, name, np.concatenate([table, table], axis=1))
        self._at = np.concatenate([self._at, at])
        self._back = np.concatenate([self._back, back])
        self._ahead = np.concatenate([self._ahead, ahead])
        self._to_goal = np.concatenate([self._to_goal, self._costs(self._goal - at)])
        self._column = np.concatenate([self._column, np.full(len(at), column)])
        self._settled.extend([False] * len(at))
        self._fold = np.concatenate([self._fold, (back * ahead).conj()])
        self._wide = np.concatenate([self._wide, (back.conj() * ahead).real + _SLACK])
        self._first = np.append(self._first, first)
        self._known.add(obstacle)
        self.obstacles.append(obstacle)
        self._look(slice(0, self._rows), first, column, 0)

    def _look(self, rows: slice, first: int, column: int, own: int) -> None:
        """Queues edges from these rows to the corners from `first` on, whose obstacles are those from `column` on.

        `own` is the column of the obstacle whose corner the row is at (0: none): it hides nothing.
        """
        width = len(self._first)
        legs = self._at[first:] - self._place[rows, None]
        length = np.abs(legs)
        turned = legs * self._turn[rows, None]
        angle = np.arctan2(turned.imag, turned.real) * self._side[rows, None]
        at = self._first[column:] - first
        low, high = np.minimum.reduceat(angle, at, axis=1), np.maximum.reduceat(angle, at, axis=1)
        low[high - low > pi - _SLACK] = inf  # across the cut behind, or all around: that is for the exact test
        self._low[rows, column:width], self._high[rows, column:width] = low, high
        self._far[rows, column:width] = np.maximum.reduceat(length, at, axis=1)
        if own:
            self._low[rows, own] = inf
        ok = (legs * legs * self._fold[first:]).real <= length * length * self._wide[first:]
        ok &= (angle >= self._least[rows, None]) & (angle <= self._most[rows, None])
        which, what = ok.nonzero()
        if not len(which):
            return
        row = which + rows.start
        view = row if rows.stop - rows.start > 1 else rows
        seen, far = angle[which, what, None], length[which, what, None]
        hidden = self._far[view, :width] < far
        hidden &= self._low[view, :width] < seen - _GRAZE
        hidden &= self._high[view, :width] > seen + _GRAZE
        keep = ~(hidden.any(axis=1) | (far[:, 0] <= _SAME_M))
        which, what, row = which[keep], what[keep], row[keep]
        if len(row):
            self._push(row, what + first, legs[which, what])

    def _push(self, rows: Numbers, corners: Numbers, legs: Plane) -> None:
        cost = self._cost[rows] + self._costs(legs)
        edges = _Edges(self._place[rows], self._at[corners], rows.tolist(), corners.tolist(), cost.tolist())
        for k, bound in enumerate((cost + self._to_goal[corners]).tolist()):
            if bound < inf:
                heapq.heappush(self._queue, (bound, next(self._tick), edges, k))

    def _costs(self, legs: Plane) -> Floats:
        return np.abs(legs) if self._pace is None else self._pace.seconds(legs.real, legs.imag)
