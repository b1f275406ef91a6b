"""The search over layers, through time and along corridors: one A* over (corner, layer), each with when it departs.

Nodes are start and goal, the convex corners of obstacles, the points of corridors, and where a tried piece of way
enters or leaves an obstacle (there a change of layer may be best). Pieces in a layer are tangents as in
`missions.routing.tangent`; a step between layers is straight up or down over a node.

A label at a node says: leaving the pad at any time of [first, last], one is there `tau_s` later, at a cost. What
closes a piece for a time cuts departures out of that interval, and may leave two. A label is dropped where another
departs as early for no more cost. So for each departure the result is that of Dijkstra's algorithm over the graph,
and departures are not sampled: the earliest that lets a way through is found exactly. Waiting is done on the pad, not
in the air.

As in the static search only obstacles that a path meets are looked at: find the best among a few, look what it meets
at the times it is there, add that, repeat. What is found without meeting anything is the best among all.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.ends import Ends, outside
from missions.routing.route import RouteRequest
from missions.routing.space import ALWAYS, Hits, Space, Spans
from missions.routing.tangent import segments

Array = NDArray[np.float64]
Interval = tuple[float, float]

_SLACK = 1e-6
"""sine by which a tangent may miss, as in the static search"""
_EPS_S = 1e-6
_BESIDE_M = 0.05
"""how far before and behind an obstacle a place to change layers lies"""
_START, _GOAL = 0, 1
_LANDED = -1


@dataclass(frozen=True, slots=True)
class Way:
    """Places (n, 2), with the layer and the time at each; times in seconds after the wished departure."""

    xy: Array
    layers: tuple[int, ...]
    at_s: tuple[float, ...]
    depart_s: float
    tau_s: float
    """from departure to the end of the descent"""
    cost_s: float
    """without waiting"""


@dataclass(frozen=True, slots=True)
class NoWay:
    """No way for any departure: `met` are the obstacles looked at."""

    met: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline came first."""


@dataclass(slots=True)
class _Label:
    node: int
    layer: int
    cost_s: float
    tau_s: float
    first_s: float
    last_s: float
    parent: int


@dataclass(frozen=True, slots=True)
class _Edges:
    """From a node in a layer: to which nodes, in how many seconds, at what cost, and what closes them when."""

    nodes: list[int]
    seconds: list[float]
    costs: list[float]
    closed: dict[int, list[tuple[float, float, Spans]]]
    """by place in the list: (share of the piece at which an obstacle is entered, and left, when it is closed)"""


class Lattice:
    """One question to a space."""

    def __init__(self, space: Space, start: Array, goal: Array, ends: Ends, stop: Callable[[], bool]) -> None:
        self._space = space
        self._request: RouteRequest = space.request
        self._ends = ends
        self._stop = stop
        self._pace = self._request.speed
        self._known: dict[int, None] = {}
        self._polygons = np.array([], dtype=object)
        self._trees: list[shapely.STRtree] = []
        self._first: list[int] = []  # number of the first polygon of each tree
        self._states = [np.empty(0, dtype=np.int8) for _ in space.layers]
        """per layer, of each polygon added: 0 it is open there, 1 closed, 2 closed at times"""
        self._xy, self._prev, self._next = np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2))
        self._to_goal: list[float] = []
        self._goal = goal
        self._liked = self._add_corridors(np.array([start, goal]))
        self._least_factor = min(self._liked.values(), default=1.0)
        self._counts = [len(self._xy)]  # number of nodes at first and after each call of add
        self._seen: dict[int, int] = {}
        self._out: dict[int, tuple[NDArray[np.intp], Array, NDArray[np.object_], Hits]] = {}
        self._edges: dict[tuple[int, int], tuple[int, _Edges]] = {}
        self._met: dict[tuple[int, int, int], Hits] = {}

    def best(self) -> Way | NoWay | Expired:
        """The way of least cost."""
        while True:
            chain = self._run()
            if not isinstance(chain, list):
                return NoWay(tuple(self._known)) if chain is None else chain
            fresh, places = self._in_the_way(chain)
            if not fresh:
                last = chain[-1]
                stops = [label for label in chain if label.node != _LANDED]
                xy = self._xy[[label.node for label in stops]]
                at_s = tuple(last.first_s + label.tau_s for label in stops)
                return Way(xy, tuple(s.layer for s in stops), at_s, last.first_s, last.tau_s, last.cost_s)
            self._add(fresh, places)

    # the graph

    def _add_corridors(self, ends: Array) -> dict[tuple[int, int], float]:
        xy, liked = [ends], {}
        first = len(ends)
        for corridor in self._request.corridors:
            xy.append(self._space.scenes[0].frame.to_xy(corridor.points))
            for a, b in pairwise(range(first, first + len(corridor.points))):
                liked[a, b] = liked[b, a] = corridor.factor
            first += len(corridor.points)
        self._add_free(np.concatenate(xy))
        return liked

    def _add_free(self, xy: Array) -> None:
        nothing = np.zeros_like(xy)
        self._add_nodes([(xy, nothing, nothing)])

    def _add_nodes(self, corners: Sequence[tuple[Array, Array, Array]]) -> None:
        first = len(self._xy)
        self._xy = np.concatenate([self._xy, *(c[0] for c in corners)])
        self._prev = np.concatenate([self._prev, *(c[1] for c in corners)])
        self._next = np.concatenate([self._next, *(c[2] for c in corners)])
        left = self._goal - self._xy[first:]
        self._to_goal.extend(self._pace.seconds(left[:, 0], left[:, 1]).tolist())

    def _add(self, obstacles: Sequence[int], places: Array) -> None:
        polygons = np.array([self._space.polygon(k) for k in obstacles], dtype=object)
        self._add_nodes([self._space.corners(k) for k in obstacles])
        if len(places):
            self._add_free(places)
        self._first.append(len(self._polygons))
        self._trees.append(shapely.STRtree(polygons))
        self._counts.append(len(self._xy))
        self._known |= dict.fromkeys(obstacles)
        for layer, state in enumerate(self._states):
            spans = [self._space.closed(k, layer) for k in obstacles]
            more = np.array([0 if not s else 1 if s is ALWAYS else 2 for s in spans], dtype=np.int8)
            self._states[layer] = np.concatenate([state, more])
        self._polygons = np.concatenate([self._polygons, polygons])

    def _query(self, lines: NDArray[np.object_], batches: range) -> Hits:
        which, what = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
        for b in batches:
            i, k = self._trees[b].query(lines, predicate="intersects")
            which.append(i)
            what.append(k + self._first[b])
        return Hits(np.concatenate(which), np.concatenate(what))

    def _seen_from(self, u: int) -> tuple[NDArray[np.intp], Array, NDArray[np.object_], Hits]:
        """Tangents from a node with what they meet; those that nothing lets through in any layer are gone."""
        n, seen = len(self._trees), self._seen.get(u, 0)
        if u in self._out and seen == n:
            return self._out[u]
        first = self._counts[seen] if u in self._out else 0
        ids, seconds = self._candidates(u, first)
        lines = segments(np.broadcast_to(self._xy[u], (len(ids), 2)), self._xy[ids])
        ids, seconds, lines, hits = self._thinned(ids, seconds, lines, self._query(lines, range(n)))
        if u in self._out:
            old_ids, old_seconds, old_lines, old_hits = self._out[u]
            more = self._query(old_lines, range(seen, n))
            more = Hits(np.concatenate([old_hits.which, more.which]), np.concatenate([old_hits.what, more.what]))
            old_ids, old_seconds, old_lines, more = self._thinned(old_ids, old_seconds, old_lines, more)
            hits = Hits(np.concatenate([more.which, hits.which + len(old_ids)]), np.concatenate([more.what, hits.what]))
            ids, seconds = np.concatenate([old_ids, ids]), np.concatenate([old_seconds, seconds])
            lines = np.concatenate([old_lines, lines])
        self._seen[u] = n
        self._out[u] = ids, seconds, lines, hits
        return self._out[u]

    def _thinned(
        self, ids: NDArray[np.intp], seconds: Array, lines: NDArray[np.object_], hits: Hits
    ) -> tuple[NDArray[np.intp], Array, NDArray[np.object_], Hits]:
        keep = np.ones(len(ids), dtype=bool)
        if len(hits.what):
            solid = np.all([state[hits.what] == 1 for state in self._states], axis=0)
            keep[hits.which[solid]] = False
        if keep.all():
            return ids, seconds, lines, hits
        new = np.cumsum(keep) - 1
        still = keep[hits.which]
        return ids[keep], seconds[keep], lines[keep], Hits(new[hits.which[still]], hits.what[still])

    def _edges_of(self, u: int, layer: int) -> _Edges:
        known = self._edges.get((u, layer))
        if known is not None and known[0] == len(self._trees):
            return known[1]
        ids, seconds, lines, hits = self._seen_from(u)
        keep = np.ones(len(ids), dtype=bool)
        timed: dict[int, list[tuple[float, float, Spans]]] = {}
        if len(hits.what):
            state = self._states[layer][hits.what]
            keep[hits.which[state == 1]] = False
            some = np.flatnonzero((state == 2) & keep[hits.which])
            new = np.cumsum(keep) - 1
            keys = list(self._known)
            cuts = shares(lines[hits.which[some]], self._polygons[hits.what[some]])
            for i, k, (enter, leave) in zip(
                new[hits.which[some]].tolist(), hits.what[some].tolist(), cuts, strict=True
            ):
                timed.setdefault(i, []).append((enter, leave, self._space.closed(keys[k], layer)))
        nodes, times = ids[keep].tolist(), seconds[keep].tolist()
        costs = times
        if self._liked:
            costs = [s * self._liked.get((u, v), 1.0) for v, s in zip(nodes, times, strict=True)]
        edges = _Edges(nodes, times, costs, timed)
        self._edges[u, layer] = len(self._trees), edges
        return edges

    def _candidates(self, u: int, first: int) -> tuple[NDArray[np.intp], Array]:
        """Nodes from `first` on whose line to u is tangent at both ends, and the time to them."""
        d = self._xy[first:] - self._xy[u]
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

    # the search

    def _run(self) -> list[_Label] | Expired | None:
        """Labels from the start to the landing; None if there is no way."""
        labels: list[_Label] = []
        queue: list[tuple[float, int]] = []
        settled: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        offers: dict[tuple[int, int], list[tuple[float, float, float]]] = {}

        def push(label: _Label) -> None:
            rest = 0.0
            if label.node != _LANDED:
                rest = self._least_factor * self._to_goal[label.node] + self._ends.descent[label.layer].cost_s
            labels.append(label)
            heapq.heappush(queue, (label.first_s + label.cost_s + rest, len(labels) - 1))

        for layer, climb in enumerate(self._ends.climb):
            for departs in climb.departures:
                push(_Label(_START, layer, climb.cost_s, climb.time_s, *departs, -1))
        popped = 0
        while queue:
            popped += 1
            if popped % 32 == 0 and self._stop():
                return Expired()
            _, at = heapq.heappop(queue)
            label = labels[at]
            if label.node == _LANDED:
                return _chain(labels, at)
            here = label.node, label.layer
            done = settled.setdefault(here, [])
            whole = label.first_s, label.last_s
            left = _uncovered(whole, [(a, b) for a, b, c in done if c <= label.cost_s + _EPS_S])
            if left != [whole]:
                for first, last in left:
                    push(_Label(*here, label.cost_s, label.tau_s, first, last, label.parent))
                continue
            done.append((*whole, label.cost_s))
            for node, layer, extra, seconds, (first, last) in self._onward(label):
                cost = label.cost_s + extra
                known = offers.setdefault((node, layer), [])
                if not any(a <= first and last <= b and c <= cost for a, b, c in known):
                    known.append((first, last, cost))
                    push(_Label(node, layer, cost, label.tau_s + seconds, first, last, at))
        return None

    def _onward(self, label: _Label) -> Iterator[tuple[int, int, float, float, Interval]]:
        """(node, layer, cost, seconds, departures) of everything that can be done next."""
        u, layer, tau = label.node, label.layer, label.tau_s
        departs = label.first_s, label.last_s
        edges = self._edges_of(u, layer)
        for i, (v, seconds, cost) in enumerate(zip(edges.nodes, edges.seconds, edges.costs, strict=True)):
            if i in edges.closed:
                shut = [
                    (a - tau - leave * seconds, b - tau - enter * seconds)
                    for enter, leave, spans in edges.closed[i]
                    for a, b in spans
                ]
                for part in outside(departs, shut):
                    yield v, layer, cost, seconds, part
            else:
                yield v, layer, cost, seconds, departs
        for other in range(len(self._space.layers)):
            if other != layer:
                seconds, cost = self._ends.step(layer, other, on_the_way=u > _GOAL)
                shut = self._shut_to_step(u, layer, other, tau, seconds)
                for part in outside(departs, shut):
                    yield u, other, cost, seconds, part
        if u == _GOAL:
            down = self._ends.descent[layer]
            shut = [(a - tau - down.time_s, b - tau) for spans in down.closed for a, b in spans]
            for part in outside(departs, shut):
                yield _LANDED, layer, down.cost_s, down.time_s, part

    def _shut_to_step(self, u: int, layer: int, other: int, tau: float, seconds: float) -> list[Interval]:
        here = np.array([shapely.Point(self._xy[u])], dtype=object)
        keys = list(self._known)
        over = [keys[k] for k in self._query(here, range(len(self._trees))).what.tolist()]
        return [(a - tau - seconds, b - tau) for k in over for a, b in self._space.closed_to_step(k, layer, other)]

    # what the found way meets of what was not looked at yet

    def _in_the_way(self, chain: Sequence[_Label]) -> tuple[list[int], Array]:
        """Obstacles that the chain meets while they are closed, and the places beside them."""
        depart = chain[-1].first_s
        fresh: dict[int, None] = {}
        places: list[Array] = []
        for i, (a, b) in enumerate(pairwise(chain)):
            if b.node == _LANDED:
                continue
            start, end = depart + a.tau_s, depart + b.tau_s
            if a.node == b.node:
                for k in self._space.over(self._xy[a.node], a.layer, b.layer):
                    if k not in self._known and during(self._space.closed_to_step(k, a.layer, b.layer), start, end):
                        fresh[k] = None
                        places += self._beside(k, chain, i)
                continue
            line = segments(self._xy[[a.node]], self._xy[[b.node]])
            key = a.node, b.node, a.layer
            if key not in self._met:
                self._met[key] = self._space.hits(line, a.layer)
            for k in self._met[key].what.tolist():
                if k in self._known:
                    continue
                (enter, leave), seconds = shares(line, np.array([self._space.polygon(k)]))[0], end - start
                if during(self._space.closed(k, a.layer), start + enter * seconds, start + leave * seconds):
                    fresh[k] = None
                    places += self._beside(k, chain, i)
        return list(fresh), np.array(places).reshape(-1, 2)

    def _beside(self, k: int, chain: Sequence[_Label], i: int) -> Iterator[Array]:
        """Where the pieces about place i of the chain enter and leave an obstacle: places to change layers."""
        if len(self._space.layers) == 1:
            return
        polygon = self._space.polygon(k)
        for a, b in pairwise(chain[max(0, i - 1) : i + 3]):
            if b.node == _LANDED or a.node == b.node:
                continue
            line = segments(self._xy[[a.node]], self._xy[[b.node]])
            if not shapely.intersects(polygon, line[0]):
                continue
            way = self._xy[b.node] - self._xy[a.node]
            aside = _BESIDE_M / float(np.hypot(way[0], way[1]))
            enter, leave = shares(line, np.array([polygon]))[0]
            for share in (enter - aside, leave + aside):
                if 0.0 < share < 1.0:
                    yield self._xy[a.node] + share * way


def _chain(labels: Sequence[_Label], at: int) -> list[_Label]:
    chain = []
    while at >= 0:
        chain.append(labels[at])
        at = labels[at].parent
    return chain[::-1]


def shares(lines: NDArray[np.object_], polygons: NDArray[np.object_]) -> list[Interval]:
    """Between which shares of its length each line is inside its polygon, as one interval."""
    if not len(lines):
        return []
    ends = shapely.get_coordinates(lines).reshape(-1, 2, 2)
    way = ends[:, 1] - ends[:, 0]
    axis = np.argmax(np.abs(way), axis=1)
    rows = np.arange(len(lines))
    box = shapely.bounds(shapely.intersection(lines, polygons)).reshape(-1, 2, 2)
    low, high = ((box[rows, k, axis] - ends[rows, 0, axis]) / way[rows, axis] for k in (0, 1))
    return list(zip(np.minimum(low, high).tolist(), np.maximum(low, high).tolist(), strict=True))


def during(spans: Spans, start: float, end: float) -> bool:
    return any(a < end - _EPS_S and start + _EPS_S < b for a, b in spans)


def _uncovered(whole: Interval, covered: Sequence[Interval]) -> list[Interval]:
    """What is left of an interval outside of others, all ends included: no single moment is left over."""
    left: list[Interval] = []
    at, end = whole
    for a, b in sorted(covered):
        if b < at or a > end:
            continue
        if a > at:
            left.append((at, a))
        at = max(at, b)
        if at >= end:
            return left
    return [*left, (at, end)]
