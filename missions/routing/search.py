"""One question of the tangent search: an A* that learns of obstacles as it goes. Points are complex numbers.

The search knows a few of the obstacles, S; its edges are tangents between their corners. The cheapest few edges of the
queue are taken together and held against all obstacles. What an edge meets joins S, unless S could have told, with
edges to its corners from every place settled so far, and the edge is dropped. If it meets nothing its end is settled.

The queue goes by a bound from below: S is only a part, and straight on to the goal nothing is in the way. What is
settled can be flown, so its cost is a bound from above. Of edges taken together one may come too early: then a cheaper
one comes later and settles that place anew. It ends when no edge is left that could lead to the goal for less than a
way that was found. So most corners of most obstacles are never looked at; and as each round costs some hundred calls of
numpy, however few places it settles, it is rounds that are saved.

A cheapest path is taut: at a corner it goes on straight or turns about the obstacle, at most along its next edge. So
from a place settled only that sector is looked at.
"""

from __future__ import annotations

import heapq
from cmath import phase, rect
from itertools import count
from math import inf, pi
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from missions.routing.pace import Pace

Plane = NDArray[np.complex128]
Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]
Edge = tuple[float, int, int, int, float]
"""bound of a path that goes this way, tick, row, corner, cost at its end"""

_AT_ONCE = 4
_ROWS_FOR_ONE_MORE = 25
"""edges taken together: more where the search is long, as those too early are then few"""
SLACK = 1e-6
"""radians by which a tangent may miss: rounding must not lose one, and a false one is only an edge more"""
_GRAZE = 1e-7
"""radians by which a view must be inside of what hides it"""
SAME_M = 1e-6
"""corners closer than this are one place: there is no direction between them"""
_ASK_AFTER = 256
"""places settled: by then a question without an answer is told from a long one"""
_ROOM = 32


class World(Protocol):
    """All obstacles."""

    def corners(self, i: int) -> Floats:
        """(3, n, 2): convex corners of obstacle i pushed out, and the unit vectors from each to its two neighbours."""
        ...

    def met(self, ways: Plane) -> list[list[int]]:
        """The obstacles that each of the segments (n, 2) touches or crosses."""
        ...

    def apart(self, a: complex, b: complex) -> bool:
        """True if obstacles that touch close every way between two free places."""
        ...


class Search:
    """A row is a place settled, row 0 the start. A column is an obstacle of S; column 0 and corner 0 are the goal.

    Angles at a row are from the middle of its sector.
    """

    def __init__(self, world: World, start: complex, goal: complex, pace: Pace | None) -> None:
        self.obstacles: list[int] = []
        """S, in the order in which they joined"""
        self.rounds = 0
        self._world = world
        self._pace = pace
        self._start, self._goal = start, goal
        self._known: set[int] = set()
        self._corners: list[tuple[complex, complex, complex]] = [(goal, 0j, 0j)]
        """place and directions to the neighbours"""
        self._at = np.array([goal])
        # A leg of direction e is tangent at a corner with edges b and a where sin(e, b) sin(e, a) >= 0, which is
        # Re(e² conj(b a)) <= Re(conj(b) a). The goal takes every leg.
        self._fold, self._wide = np.zeros(1, complex), np.ones(1)
        self._to_goal = np.zeros(1)
        self._best = np.full(1, inf)
        """least cost at which each corner was reached"""
        self._first = np.zeros(1, np.intp)  # corner of each column
        self._places = [start]
        self._parent = [-1]
        self._row_of: dict[int, int] = {}
        """of a corner settled"""
        self._place = np.full(_ROOM, start)
        self._turn = np.ones(_ROOM, complex)  # a direction times this is seen from the middle of the sector
        self._half = np.full(_ROOM, inf)  # the sector's width
        self._cost = np.zeros(_ROOM)
        # An obstacle hides of a row's view what is between two angles and farther than its farthest corner: per row and
        # column the larger angle, minus the smaller one, and minus the distance.
        self._views = np.zeros((3, _ROOM, _ROOM))
        self._queue: list[Edge] = []
        self._tick = count()

    def run(self) -> list[complex] | None:
        """The bends of the cheapest path from start to goal; None if there is none."""
        straight = float(self._costs(self._goal - self._place[:1])[0])
        heapq.heappush(self._queue, (straight, next(self._tick), 0, 0, straight))
        last = -1
        while edges := self._cheapest():
            self.rounds += 1
            best = self._best
            ways = np.array([(self._places[row], self._corners[corner][0]) for _, _, row, corner, _ in edges])
            unknown: dict[int, None] = {}
            free: dict[int, int] = {}
            for (bound, _, row, corner, cost), met in zip(edges, self._world.met(ways), strict=True):
                if bound >= best[0]:
                    break
                if met:
                    if self._known.isdisjoint(met):
                        unknown |= dict.fromkeys(met)
                elif cost < best[corner]:
                    best[corner] = cost
                    if corner:
                        free[corner] = row
                    else:
                        last = row
            settled = len(self._places)
            many = settled <= _ASK_AFTER < settled + len(free)
            if many and last < 0 and self._world.apart(self._start, self._goal):
                return None
            if unknown:
                self._add(list(unknown))
            if free:
                self._settle(list(free), list(free.values()))
        return None if last < 0 else self._bends(last)

    def _cheapest(self) -> list[Edge]:
        """The next edges that could be part of a cheapest path."""
        queue, best, edges = self._queue, self._best, list[Edge]()
        most, end = _AT_ONCE + len(self._places) // _ROWS_FOR_ONE_MORE, best[0]
        while queue and len(edges) < most and queue[0][0] < end:
            edge = heapq.heappop(queue)
            if edge[4] < best[edge[3]]:
                edges.append(edge)
        return edges

    def _bends(self, row: int) -> list[complex]:
        bends = [self._goal]
        while row >= 0:
            bends.append(self._places[row])
            row = self._parent[row]
        return bends[::-1]

    def _settle(self, corners: list[int], parents: list[int]) -> None:
        first = len(self._places)
        rows = slice(first, first + len(corners))
        while rows.stop > len(self._place):
            self._place, self._turn, self._half, self._cost = (
                np.concatenate([a, a]) for a in (self._place, self._turn, self._half, self._cost)
            )
            self._views = np.concatenate([self._views, self._views], axis=1)
        turns, halves = [], []
        for row, corner, parent in zip(range(rows.start, rows.stop), corners, parents, strict=True):
            if corner in self._row_of:
                self._half[self._row_of[corner]] = -inf  # there is a cheaper way here: that row looks no more
            self._row_of[corner] = row
            at, back, ahead = self._corners[corner]
            came = at - self._places[parent]
            turn = came.conjugate() / abs(came)
            back, ahead = back * turn, ahead * turn
            side = 1.0 if back.imag + ahead.imag > 0.0 else -1.0  # of the obstacle
            # The edge along which a path came lies behind, at a half turn, to whichever side rounding puts it.
            half = min(a if a > -1.0 else pi for a in (phase(back) * side, phase(ahead) * side)) / 2.0
            self._places.append(at)
            turns.append(turn * rect(1.0, -side * half))
            halves.append(half + SLACK)
        self._parent += parents
        self._place[rows], self._turn[rows], self._half[rows] = self._places[first:], turns, halves
        self._cost[rows] = self._best[corners]
        self._look(rows, 0, 0, self._first.searchsorted(corners, side="right") - 1)

    def _add(self, obstacles: list[int]) -> None:
        """From now on their corners are ways, also from the places settled before."""
        new = [self._world.corners(i) for i in obstacles]
        at, back, ahead = np.concatenate(new, axis=1).view(complex)[..., 0]
        first, column = len(self._at), len(self._first)
        while column + len(new) > self._views.shape[2]:
            self._views = np.concatenate([self._views, self._views], axis=2)
        self._corners += zip(at.tolist(), back.tolist(), ahead.tolist(), strict=True)
        self._at = np.concatenate([self._at, at])
        self._fold = np.concatenate([self._fold, (back * ahead).conj()])
        self._wide = np.concatenate([self._wide, (back.conj() * ahead).real + SLACK])
        self._to_goal = np.concatenate([self._to_goal, self._costs(self._goal - at)])
        self._best = np.concatenate([self._best, np.full(len(at), inf)])
        self._first = np.concatenate([self._first, np.cumsum([first, *(c.shape[1] for c in new[:-1])])])
        self._known.update(obstacles)
        self.obstacles += obstacles
        self._look(slice(0, len(self._places)), first, column)

    def _look(self, rows: slice, first: int, column: int, own: Numbers | None = None) -> None:
        """Queues edges from these rows to the corners from `first` on, whose obstacles are those from `column` on.

        `own` are the columns of the obstacles whose corners the rows are at: they hide nothing.
        """
        width = len(self._first)
        legs = self._at[first:] - self._place[rows, None]
        turned = legs * self._turn[rows, None]
        seen = np.empty((3, *legs.shape))
        angle, opposite, length = seen
        np.arctan2(turned.imag, turned.real, out=angle)
        np.negative(angle, out=opposite)
        np.abs(legs, out=length)
        seen[:2, length <= SAME_M] = -inf  # a corner at the very place of the row is in no direction
        views = np.maximum.reduceat(seen, self._first[column:] - first, axis=2)
        views[0][views[0] + views[1] > pi - SLACK] = -inf  # across the cut behind, or all around: left to `met`
        np.negative(views[2], out=views[2])
        self._views[:, rows, column:width] = views
        if own is not None:
            self._views[0, np.arange(rows.start, rows.stop), own] = -inf
        ok = (legs * legs * self._fold[first:]).real <= length * length * self._wide[first:]
        ok &= np.abs(angle) <= self._half[rows, None]
        row, corner = ok.nonzero()
        if not len(row):
            return
        limit = seen[:, row, corner]
        far = limit[2].copy()
        limit[:2] += _GRAZE
        np.negative(far, out=limit[2])
        leg_cost = far if self._pace is None else self._costs(legs[row, corner])
        row += rows.start
        corner += first
        left, right, behind = self._views[:, row, :width] > limit[:, :, None]
        cost = self._cost[row] + leg_cost
        keep = (cost < self._best[corner]) & (far > SAME_M) & ~(left & right & behind).any(axis=1)
        row, corner, cost = row[keep], corner[keep], cost[keep]
        bound = cost + self._to_goal[corner]
        for edge in zip(bound.tolist(), self._tick, row.tolist(), corner.tolist(), cost.tolist(), strict=False):
            heapq.heappush(self._queue, edge)

    def _costs(self, legs: Plane) -> Floats:
        return np.abs(legs) if self._pace is None else self._pace.seconds(legs.real, legs.imag)
