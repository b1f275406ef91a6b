"""The graph of routes over several heights and through time: tangents between corners, and what closes them when.

Nodes are start and goal, the points of corridors, the convex corners of the obstacles added so far, and places to
change layers: those asked for, and where the outlines of two obstacles cross, since what one closes in one layer and
the other in another leaves a gap that ends there. What is known of a node is completed when obstacles are added, as in
the static search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.cuts import Outlines
from missions.routing.space import Hits, Space
from missions.routing.spans import ALWAYS, Interval, Spans
from missions.routing.tangent import segments

Array = NDArray[np.float64]

START, GOAL = 0, 1
_SLACK = 1e-6
"""sine by which a tangent may miss, as in the static search"""
_BESIDE_M = 0.05
"""how far before and behind an obstacle a place to change layers lies"""


@dataclass(frozen=True, slots=True)
class Edges:
    """From a node in a layer: to which nodes, in how many seconds, at what cost, and what closes them when."""

    nodes: list[int]
    seconds: list[float]
    costs: list[float]
    closed: dict[int, list[tuple[float, float, Spans]]]
    """by place in the list: (share of the piece at which an obstacle is entered, and left, when it is closed)"""


@dataclass(frozen=True, slots=True)
class Slant:
    """A tangent to a node that changes layers on its way."""

    node: int
    layer: int
    seconds: float
    """of the tangent"""
    changes: tuple[tuple[float, int], ...]
    """after which share of it, and to which layer"""
    closed: tuple[Interval, ...]
    """times at which it must not be begun"""


@dataclass(frozen=True, slots=True)
class _Sight:
    """Tangents from a node, and which of the obstacles in so many batches they meet, between which shares of them."""

    batches: int
    ids: NDArray[np.intp]
    seconds: Array
    lines: NDArray[np.object_]
    hits: Hits
    cuts: Array


_NO_HITS = Hits(np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp))
_NO_CUTS = np.empty((0, 2))


class Graph:
    """Of one question to a space."""

    def __init__(self, space: Space, start: Array, goal: Array) -> None:
        self._space = space
        self._pace = space.request.speed
        self._goal = goal
        self.known: dict[int, None] = {}
        """the obstacles added, in order"""
        self.xy = np.empty((0, 2))
        self.to_goal: list[float] = []
        """seconds straight to the goal"""
        self._prev, self._next = np.empty((0, 2)), np.empty((0, 2))
        self._outlines = Outlines()
        self._trees: list[shapely.STRtree] = []
        self._first: list[int] = []  # number of the first polygon of each tree
        self._states = [np.empty(0, dtype=np.int8) for _ in space.layers]
        """per layer, of each polygon added: 0 it is open there, 1 closed, 2 closed at times"""
        self.liked = self._add_corridors(np.array([start, goal]))
        """factors of the pieces of corridors"""
        self._counts = [len(self.xy)]  # number of nodes at first and after each call of add
        self._sights: dict[int, _Sight] = {}
        self._edges: dict[tuple[int, int], tuple[int, Edges]] = {}
        self._slants: dict[tuple[int, int], tuple[int, list[Slant]]] = {}
        self._pins: dict[tuple[int, int], tuple[int, NDArray[np.bool_]]] = {}
        self._keys: list[int] = []

    def _add_corridors(self, ends: Array) -> dict[tuple[int, int], float]:
        xy, liked = [ends], {}
        first = len(ends)
        for corridor in self._space.request.corridors:
            xy.append(self._space.scenes[0].frame.to_xy(corridor.points))
            for a, b in pairwise(range(first, first + len(corridor.points))):
                liked[a, b] = liked[b, a] = corridor.factor
            first += len(corridor.points)
        self._add_free(np.concatenate(xy))
        return liked

    def _add_free(self, xy: Array) -> None:
        self._add_nodes([np.array([xy, np.zeros_like(xy), np.zeros_like(xy)])])

    def _add_nodes(self, corners: Sequence[Array]) -> None:
        first = len(self.xy)
        self.xy = np.concatenate([self.xy, *(c[0] for c in corners)])
        self._prev = np.concatenate([self._prev, *(c[1] for c in corners)])
        self._next = np.concatenate([self._next, *(c[2] for c in corners)])
        left = self._goal - self.xy[first:]
        self.to_goal.extend(self._pace.seconds(left[:, 0], left[:, 1]).tolist())

    def add(self, obstacles: Sequence[int], places: Array) -> None:
        polygons = np.array([self._space.polygon(k) for k in obstacles], dtype=object)
        self._add_nodes([self._space.corners(k) for k in obstacles])
        crossings = self._outlines.crossings(polygons) if len(self._states) > 1 else _NO_CUTS
        if len(places) or len(crossings):
            self._add_free(np.concatenate([places, crossings]))
        self._first.append(len(self.known))
        self._trees.append(shapely.STRtree(polygons))
        self._counts.append(len(self.xy))
        self.known |= dict.fromkeys(obstacles)
        self._keys.extend(obstacles)
        for layer, state in enumerate(self._states):
            spans = [self._space.closed(k, layer) for k in obstacles]
            more = np.array([0 if not s else 1 if s is ALWAYS else 2 for s in spans], dtype=np.int8)
            self._states[layer] = np.concatenate([state, more])
        self._outlines.add(polygons)

    def _query(self, lines: NDArray[np.object_], batches: range) -> Hits:
        which, what = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
        for b in batches:
            i, k = self._trees[b].query(lines, predicate="intersects")
            which.append(i)
            what.append(k + self._first[b])
        return Hits(np.concatenate(which), np.concatenate(what))

    def _sight(self, u: int) -> _Sight:
        """Tangents from a node with what they meet; those that nothing lets through in any layer are gone."""
        n, old = len(self._trees), self._sights.get(u)
        if old is not None and old.batches == n:
            return old
        ids, seconds = self._candidates(u, self._counts[old.batches] if old is not None else 0)
        lines = segments(np.broadcast_to(self.xy[u], (len(ids), 2)), self.xy[ids])
        fresh = self._looked(u, _Sight(n, ids, seconds, lines, _NO_HITS, _NO_CUTS), range(n))
        if old is not None:
            fresh = _joined(self._looked(u, replace(old, batches=n), range(old.batches, n)), fresh)
        self._sights[u] = fresh
        return fresh

    def _looked(self, u: int, sight: _Sight, batches: range) -> _Sight:
        """With what its lines meet in these batches of obstacles."""
        met = self._query(sight.lines, batches)
        keep = np.ones(len(sight.ids), dtype=bool)
        keep[met.which[np.all([state[met.what] == 1 for state in self._states], axis=0)]] = False
        new = np.cumsum(keep) - 1
        still, held = keep[met.which], keep[sight.hits.which]
        met = Hits(new[met.which[still]], met.what[still])
        ids = sight.ids[keep]
        cuts = self._outlines.cuts(self.xy[u], self.xy[ids[met.which]], met.what)
        which = np.concatenate([new[sight.hits.which[held]], met.which])
        hits = Hits(which, np.concatenate([sight.hits.what[held], met.what]))
        cuts = np.concatenate([sight.cuts[held], cuts])
        return _Sight(sight.batches, ids, sight.seconds[keep], sight.lines[keep], hits, cuts)

    def edges_of(self, u: int, layer: int) -> Edges:
        known = self._edges.get((u, layer))
        if known is not None and known[0] == len(self._trees):
            return known[1]
        sight = self._sight(u)
        hits, keep = sight.hits, np.ones(len(sight.ids), dtype=bool)
        state = self._states[layer][hits.what]
        keep[hits.which[state == 1]] = False
        some = np.flatnonzero((state == 2) & keep[hits.which])
        new = (np.cumsum(keep) - 1)[hits.which[some]].tolist()
        timed: dict[int, list[tuple[float, float, Spans]]] = {}
        for i, k, (enter, leave) in zip(new, hits.what[some].tolist(), sight.cuts[some].tolist(), strict=True):
            timed.setdefault(i, []).append((enter, leave, self._space.closed(self._keys[k], layer)))
        nodes, times = sight.ids[keep].tolist(), sight.seconds[keep].tolist()
        costs = times
        if self.liked:
            costs = [s * self.liked.get((u, v), 1.0) for v, s in zip(nodes, times, strict=True)]
        edges = Edges(nodes, times, costs, timed)
        self._edges[u, layer] = len(self._trees), edges
        return edges

    def _candidates(self, u: int, first: int) -> tuple[NDArray[np.intp], Array]:
        """Nodes from `first` on whose line to u is tangent at both ends, and the time to them."""
        d = self.xy[first:] - self.xy[u]
        dx, dy = d[:, 0], d[:, 1]
        slack = _SLACK * np.hypot(dx, dy)
        (px, py), (nx, ny) = self._prev[u], self._next[u]
        a, b = dx * py - dy * px, dx * ny - dy * nx
        p, n = self._prev[first:], self._next[first:]
        c, e = dx * p[:, 1] - dy * p[:, 0], dx * n[:, 1] - dy * n[:, 0]
        ok = (np.minimum(a, b) >= -slack) | (np.maximum(a, b) <= slack)
        ok &= (np.minimum(c, e) >= -slack) | (np.maximum(c, e) <= slack)
        ok &= slack > 0.0
        ids = np.flatnonzero(ok)
        seconds = self._pace.seconds(dx[ids], dy[ids])
        held = np.isfinite(seconds)
        return ids[held] + first, seconds[held]

    def shut_to_step(self, u: int, layer: int, other: int, seconds: float) -> list[Interval]:
        """The times at which a climb or descent over a node that takes so long must not begin."""
        here = np.array([shapely.Point(self.xy[u])], dtype=object)
        over = [self._keys[k] for k in self._query(here, range(len(self._trees))).what.tolist()]
        return [(a - seconds, b) for k in over for a, b in self._space.closed_to_step(k, layer, other)]

    def slants(self, u: int, layer: int) -> list[Slant]:
        """The tangents from a node that change layers on their way, where no layer is open all the way."""
        known = self._slants.get((u, layer))
        if known is None or known[0] != len(self._trees):
            known = self._slants[u, layer] = len(self._trees), list(self._slanted(u, layer))
        return known[1]

    def _slanted(self, u: int, layer: int) -> Iterator[Slant]:
        """Once to another layer, or there and back: as if what is closed at times were open, and as if it were not."""
        found: dict[Slant, None] = {}
        met = self._sight(u).hits.what
        timed = any((state[met] == 2).any() for state in self._states)
        for least in (1, 2) if timed else (1,):  # of these states: what is 1 is closed always
            shut = [(state == 1) | (state == least) for state in self._states]
            for other in range(len(self._states)):
                if other != layer:
                    found |= dict.fromkeys(self._between(u, layer, other, shut))
        yield from found

    def _between(self, u: int, layer: int, other: int, closed: list[NDArray[np.bool_]]) -> Iterator[Slant]:
        sight = self._sight(u)
        which, what, (enter, leave) = sight.hits.which, sight.hits.what, sight.cuts.T
        n, here, there = len(sight.ids), closed[layer][what], closed[other][what]
        pinned = self._pinned(layer, other)
        until, after, since = np.ones(n), np.zeros(n), np.zeros(n)
        np.minimum.at(until, which[here], enter[here])  # where the first that closes this layer begins
        np.maximum.at(after, which[here], leave[here])  # and the last ends
        np.maximum.at(since, which[there], leave[there])
        # Worth it only where layers cannot be changed at the tangent's end, nor at its start.
        leaves, enters = pinned[sight.ids], np.full(n, pinned[u])
        leaves[which[here]] = enters[which[there]] = True
        for i in np.flatnonzero(leaves & enters & (since < until)).tolist():
            up = self._change(u, i, since[i], until[i], layer, other)
            if up is not None:
                yield self._slant(u, i, layer, ((up, other),))
        # There and back: the other layer is open from before the first to behind the last that closes this one.
        early, late = there & (leave < until[which]), there & (enter > after[which])
        since, before = np.zeros(n), np.ones(n)
        np.maximum.at(since, which[early], leave[early])
        np.minimum.at(before, which[late], enter[late])
        over = until < after
        over[which[there & ~early & ~late]] = False
        over &= ((since > 0.0) | pinned[u]) & ((before < 1.0) | pinned[sight.ids])
        for i in np.flatnonzero(over).tolist():
            up = self._change(u, i, since[i], until[i], layer, other)
            down = self._change(u, i, after[i], before[i], layer, other)
            if up is not None and down is not None:
                yield self._slant(u, i, layer, ((up, other), (down, layer)))

    def _change(self, u: int, i: int, since: float, until: float, layer: int, other: int) -> float | None:
        """The first share of the tangent from node u, between two, where layers can be changed."""
        sight = self._sight(u)
        aside = _BESIDE_M / float(np.hypot(*(self.xy[sight.ids[i]] - self.xy[u])))
        share, among = since + aside, np.flatnonzero(sight.hits.which == i)
        for enter, leave, k in sorted((*sight.cuts[j].tolist(), int(sight.hits.what[j])) for j in among.tolist()):
            if enter < share < leave + aside and self._to_step(k, layer, other):
                share = leave + aside
        return float(share) if share < until else None

    def _slant(self, u: int, i: int, layer: int, changes: tuple[tuple[float, int], ...]) -> Slant:
        """With when a departure from its start is shut: where it changes layers nothing is closed at any time."""
        sight, climbing, heights = self._sight(u), self._space.request.climbing, self._space.layers
        among, seconds = np.flatnonzero(sight.hits.which == i).tolist(), float(sight.seconds[i])
        levels, cuts = [layer, *(other for _, other in changes)], [0.0, *(share for share, _ in changes), 1.0]
        shut: list[Interval] = []
        late_s = 0.0
        for n, level in enumerate(levels):
            if n:
                late_s += climbing.stop_s + climbing.time_s(heights[level] - heights[levels[n - 1]])
            for j in among:
                enter, leave = max(cuts[n], float(sight.cuts[j, 0])), min(cuts[n + 1], float(sight.cuts[j, 1]))
                if enter < leave:
                    spans = self._space.closed(self._keys[int(sight.hits.what[j])], level)
                    shut += [(a - late_s - leave * seconds, b - late_s - enter * seconds) for a, b in spans]
        return Slant(int(sight.ids[i]), levels[-1], seconds, changes, tuple(shut))

    def _pinned(self, layer: int, other: int) -> NDArray[np.bool_]:
        """Of each node, whether a change between two layers over it is closed at some time."""
        known = self._pins.get((layer, other))
        if known is None or known[0] != len(self._trees):
            shut = np.array([bool(self._to_step(k, layer, other)) for k in range(len(self._keys))], dtype=bool)
            pinned = np.zeros(len(self.xy), dtype=bool)
            points = shapely.points(self.xy)
            for first, tree in zip(self._first, self._trees, strict=True):
                node, what = tree.query(points, predicate="intersects")
                pinned[node[shut[what + first]]] = True
            known = self._pins[layer, other] = len(self._trees), pinned
        return known[1]

    def _to_step(self, number: int, layer: int, other: int) -> Spans:
        return self._space.closed_to_step(self._keys[number], layer, other)


def _joined(a: _Sight, b: _Sight) -> _Sight:
    return _Sight(
        a.batches,
        np.concatenate([a.ids, b.ids]),
        np.concatenate([a.seconds, b.seconds]),
        np.concatenate([a.lines, b.lines]),
        Hits(np.concatenate([a.hits.which, b.hits.which + len(a.ids)]), np.concatenate([a.hits.what, b.hits.what])),
        np.concatenate([a.cuts, b.cuts]),
    )
