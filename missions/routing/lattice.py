"""The search over layers, through time and along corridors: one A* over (corner, layer), each with when it departs.

Pieces in a layer are tangents as in `missions.routing.tangent`; a step between layers is straight up or down over a
node of `missions.routing.graph`, or on a tangent (a slant): once to another layer, or there and back.
Where a piece that was tried meets an obstacle, the places before and behind it become nodes.

A label at a node says: leaving the pad at any time of [first, last], one is there `tau_s` later, at a cost. What
closes a piece for a time cuts departures out of that interval, and may leave two. A label is dropped where another
departs as early for no more cost. So for each departure the result is that of Dijkstra's algorithm over the graph,
and departures are not sampled: the earliest that lets a way through is found exactly. Waiting is done on the pad, not
in the air.

A change of layers costs at least a climb and a descent, or a stop: it is looked at when the bound has come to that.

As in the static search only obstacles that a path meets are looked at: find the best among a few, look what it meets
at the times it is there, add that, repeat. What is found without meeting anything is the best among all.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.cuts import shares
from missions.routing.ends import Ends
from missions.routing.graph import GOAL, START, Graph, Slant
from missions.routing.space import Space
from missions.routing.spans import Interval, during, outside, uncovered
from missions.routing.tangent import segments

Array = NDArray[np.float64]

_EPS_S = 1e-6
_LANDED = -1
_BESIDE_M = 0.05
"""how far before and behind an obstacle a place to change layers lies"""


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
    slant: Slant | None = None
    """the piece that leads here, where it changes layers on its way"""


@dataclass(frozen=True, slots=True, eq=False)
class _Stop:
    xy: Array
    layer: int
    at_s: float


_Onward = tuple[int, int, float, float, Interval, Slant | None]
"""(node, layer, cost, seconds, departures, slant) of something that can be done next"""


class Lattice:
    """One question to a space."""

    def __init__(self, space: Space, start: Array, goal: Array, ends: Ends, stop: Callable[[], bool]) -> None:
        self._space = space
        self._graph = Graph(space, start, goal)
        self._ends = ends
        self._stop = stop
        self._least_factor = min(self._graph.liked.values(), default=1.0)
        self._late = [self._least_change(layer) for layer in range(len(space.layers))]
        """of each layer, by how much a change to another one makes the bound of a path worse at least"""
        self._hits: dict[tuple[bytes, int], list[int]] = {}

    def best(self) -> Way | NoWay | Expired:
        """The way of least cost."""
        while True:
            chain = self._run()
            if isinstance(chain, Expired):
                return chain
            if chain is None:
                return NoWay(tuple(self._graph.known))
            fresh, places = self._in_the_way(chain)
            if not fresh and not places:
                return self._way(chain)
            self._graph.add(fresh, np.array(places).reshape(-1, 2))

    def _least_change(self, layer: int) -> float:
        """To another layer, from which the descent costs less or more, or there and back."""
        down, step = self._ends.descent, self._ends.step
        once, back = [], []
        for other in range(len(self._space.layers)):
            if other != layer:
                there = min(step(layer, other, on_the_way=way)[1] for way in (True, False))
                once.append(there + down[other].cost_s - down[layer].cost_s)
                back.append(there + step(other, layer, on_the_way=True)[1])
        return max(0.0, min([*once, *back], default=0.0))

    def _way(self, chain: Sequence[_Label]) -> Way:
        last = chain[-1]
        stops = [_Stop(self._graph.xy[START], chain[0].layer, last.first_s + chain[0].tau_s)]
        for a, b in pairwise(chain[:-1]):
            stops += self._stops(a, b, last.first_s)
        xy, at_s = np.array([s.xy for s in stops]), tuple(s.at_s for s in stops)
        return Way(xy, tuple(s.layer for s in stops), at_s, last.first_s, last.tau_s, last.cost_s)

    def _stops(self, a: _Label, b: _Label, depart_s: float) -> list[_Stop]:
        """Where a piece leads: one place, but for a slant also twice those where it changes layers."""
        xy, at_s, layer, flown = self._graph.xy, depart_s + a.tau_s, a.layer, 0.0
        changes, seconds = (b.slant.changes, b.slant.seconds) if b.slant is not None else ((), 0.0)
        stops = []
        for share, other in changes:
            place = xy[a.node] + share * (xy[b.node] - xy[a.node])
            at_s += (share - flown) * seconds
            stops.append(_Stop(place, layer, at_s))
            at_s += self._ends.step(layer, other, on_the_way=True)[0]
            stops.append(_Stop(place, other, at_s))
            layer, flown = other, share
        return [*stops, _Stop(xy[b.node], b.layer, depart_s + b.tau_s)]

    def _run(self) -> list[_Label] | Expired | None:
        """Labels from the start to the landing; None if there is no way."""
        labels: list[_Label] = []
        queue: list[tuple[float, int]] = []
        settled: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        offers: dict[tuple[int, int], list[tuple[float, float, float]]] = {}

        def push(label: _Label) -> None:
            rest = 0.0
            if label.node != _LANDED:
                rest = self._least_factor * self._graph.to_goal[label.node] + self._ends.descent[label.layer].cost_s
            labels.append(label)
            heapq.heappush(queue, (label.first_s + label.cost_s + rest, len(labels) - 1))

        def offer(at: int, onward: Iterator[_Onward]) -> None:
            label = labels[at]
            for node, layer, extra, seconds, (first, last), slant in onward:
                cost = label.cost_s + extra
                known = offers.setdefault((node, layer), [])
                if not any(a <= first and last <= b and c <= cost for a, b, c in known):
                    known.append((first, last, cost))
                    push(_Label(node, layer, cost, label.tau_s + seconds, first, last, at, slant))

        for layer, climb in enumerate(self._ends.climb):
            for departs in climb.departures:
                push(_Label(START, layer, climb.cost_s, climb.time_s, *departs, -1))
        popped = 0
        while queue:
            popped += 1
            if popped % 32 == 0 and self._stop():
                return Expired()
            bound, at = heapq.heappop(queue)
            if at < 0:
                offer(~at, self._changes(labels[~at]))
                continue
            label = labels[at]
            if label.node == _LANDED:
                return _chain(labels, at)
            here = label.node, label.layer
            done = settled.setdefault(here, [])
            whole = label.first_s, label.last_s
            left = uncovered(whole, [(a, b) for a, b, c in done if c <= label.cost_s + _EPS_S])
            if left != [whole]:
                for first, last in left:
                    push(replace(label, first_s=first, last_s=last))
                continue
            done.append((*whole, label.cost_s))
            offer(at, self._onward(label))
            if len(self._space.layers) > 1:  # a change costs so much that mostly the best path is found before
                heapq.heappush(queue, (bound + self._late[label.layer], ~at))
        return None

    def _onward(self, label: _Label) -> Iterator[_Onward]:
        """What can be done next in the same layer."""
        u, layer, tau = label.node, label.layer, label.tau_s
        departs = label.first_s, label.last_s
        edges = self._graph.edges_of(u, layer)
        for i, (v, seconds, cost) in enumerate(zip(edges.nodes, edges.seconds, edges.costs, strict=True)):
            if i in edges.closed:
                shut = [
                    (a - tau - leave * seconds, b - tau - enter * seconds)
                    for enter, leave, spans in edges.closed[i]
                    for a, b in spans
                ]
                for part in outside(departs, shut):
                    yield v, layer, cost, seconds, part, None
            else:
                yield v, layer, cost, seconds, departs, None
        if u == GOAL:
            down = self._ends.descent[layer]
            shut = [(a - tau - down.time_s, b - tau) for spans in down.closed for a, b in spans]
            for part in outside(departs, shut):
                yield _LANDED, layer, down.cost_s, down.time_s, part, None

    def _changes(self, label: _Label) -> Iterator[_Onward]:
        """The steps to other layers, and the tangents on which one gets there."""
        u, layer, tau = label.node, label.layer, label.tau_s
        departs = label.first_s, label.last_s
        for other in range(len(self._space.layers)):
            if other != layer:
                seconds, cost = self._ends.step(layer, other, on_the_way=u > GOAL)
                shut = [(a - tau, b - tau) for a, b in self._graph.shut_to_step(u, layer, other, seconds)]
                for part in outside(departs, shut):
                    yield u, other, cost, seconds, part, None
        for slant in self._graph.slants(u, layer):
            levels = [layer, *(other for _, other in slant.changes)]
            steps = [self._ends.step(a, b, on_the_way=True) for a, b in pairwise(levels)]
            seconds, cost = (slant.seconds + sum(step[i] for step in steps) for i in (0, 1))
            for part in outside(departs, [(a - tau, b - tau) for a, b in slant.closed]):
                yield slant.node, slant.layer, cost, seconds, part, slant

    # what the found way meets

    def _in_the_way(self, chain: Sequence[_Label]) -> tuple[list[int], list[Array]]:
        """Obstacles not looked at yet that the chain meets while they are closed, and places to change layers there."""
        depart_s, known = chain[-1].first_s, self._graph.known
        fresh: dict[int, None] = {}
        places: list[Array] = []
        for i, (a, b) in enumerate(pairwise(chain[:-1])):
            here = _Stop(self._graph.xy[a.node], a.layer, depart_s + a.tau_s)
            stops = [here, *self._stops(a, b, depart_s)]
            met = dict.fromkeys(k for p, q in pairwise(stops) for k in self._met_between(p, q))
            new = [k for k in met if k not in known]
            fresh |= dict.fromkeys(new)
            if len(self._space.layers) > 1:
                about = dict.fromkeys(label.node for label in chain[max(0, i - 1) : i + 3] if label.node != _LANDED)
                near = self._graph.xy[list(about)]
                places += [place for k in new for p, q in pairwise(near) for place in self._beside(k, p, q)]
        return list(fresh), places

    def _beside(self, k: int, a: Array, b: Array) -> Iterator[Array]:
        """Just before and behind an obstacle on a piece that meets it: there a change of layers may be best."""
        line, polygon = segments(a[None], b[None]), self._space.polygon(k)
        if shapely.intersects(polygon, line[0]):
            aside = _BESIDE_M / float(np.hypot(*(b - a)))
            enter, leave = shares(line, np.array([polygon]))[0]
            yield from (a + share * (b - a) for share in (enter - aside, leave + aside) if 0.0 < share < 1.0)

    def _met_between(self, a: _Stop, b: _Stop) -> Iterator[int]:
        if a.layer != b.layer:
            for k in self._space.over(a.xy, a.layer, b.layer):
                if during(self._space.closed_to_step(k, a.layer, b.layer), a.at_s, b.at_s):
                    yield k
            return
        line = segments(a.xy[None], b.xy[None])
        key = line[0].wkb, a.layer
        if key not in self._hits:
            self._hits[key] = self._space.hits(line, a.layer).what.tolist()
        for k in self._hits[key]:
            (enter, leave), lasts_s = shares(line, np.array([self._space.polygon(k)]))[0], b.at_s - a.at_s
            if during(self._space.closed(k, a.layer), a.at_s + enter * lasts_s, a.at_s + leave * lasts_s):
                yield k


def _chain(labels: Sequence[_Label], at: int) -> list[_Label]:
    chain = []
    while at >= 0:
        chain.append(labels[at])
        at = labels[at].parent
    return chain[::-1]
