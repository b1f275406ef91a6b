"""Brute force for small problems of layers and schedules: every corner and a grid of places, every departure on a grid.

It shares nothing with the planner but the numbers of the problem: a full visibility graph per layer by shapely, and
Dijkstra's algorithm once for each departure, every piece judged at the time it is flown.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import inf

import numpy as np
import shapely

from missions.routing.pace import Pace
from missions.routing.route import Climbing

INSIDE_M = 0.01


@dataclass(frozen=True)
class Block:
    """A zone of a problem: heights above ground, and times (from, to) after the first departure; () is always."""

    corners: tuple[tuple[float, float], ...]
    low_m: float = -inf
    high_m: float = inf
    times: tuple[tuple[float, float], ...] = ()

    @property
    def polygon(self) -> shapely.Polygon:
        return shapely.Polygon(self.corners)

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        return self.times or ((-inf, inf),)

    def blocks(self, low_m: float, high_m: float) -> bool:
        return self.low_m <= high_m and low_m <= self.high_m


class Brute:
    """Costs from start to goal: the start and goal are never inside a block."""

    def __init__(self, start, goal, blocks, layers, pace: Pace, climbing: Climbing, grid: int, band_m: float = 5.0):
        self.layers, self.climbing = sorted(layers), climbing
        solid = [b.polygon.buffer(-INSIDE_M, join_style="mitre") for b in blocks]
        corners = [c for b in blocks for c in b.corners]
        low, high = np.min([start, goal, *corners], axis=0), np.max([start, goal, *corners], axis=0)
        places = [
            (x, y) for x in np.linspace(low[0], high[0], grid) for y in np.linspace(low[1], high[1], grid)
        ] if grid else []  # fmt: skip
        self.xy = np.array([start, goal, *corners, *places])
        n = len(self.xy)
        i, j = (k.ravel() for k in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
        i, j = i[i != j], j[i != j]
        way = self.xy[j] - self.xy[i]
        seconds = pace.seconds(way[:, 0], way[:, 1])
        lines = shapely.linestrings(np.stack([self.xy[i], self.xy[j]], axis=1))
        self.edges: list[list[list[tuple[int, float, list]]]] = []
        closed = [np.zeros(len(i), dtype=bool) for _ in self.layers]
        timed: list[dict[int, list[tuple[float, float, tuple]]]] = [{} for _ in self.layers]
        for b, polygon in zip(blocks, solid, strict=True):
            met = np.flatnonzero(shapely.intersects(polygon, lines))
            for level, layer in enumerate(self.layers):
                if not b.blocks(layer - band_m, layer + band_m):
                    continue
                if not b.times:
                    closed[level][met] = True
                    continue
                box = shapely.bounds(shapely.intersection(lines[met], polygon)).reshape(-1, 2, 2)
                axis = np.argmax(np.abs(way[met]), axis=1)
                rows = np.arange(len(met))
                share = [(box[rows, k, axis] - self.xy[i[met], axis]) / way[met, axis] for k in (0, 1)]
                for e, a, z in zip(met.tolist(), np.minimum(*share), np.maximum(*share), strict=True):
                    timed[level].setdefault(e, []).append((a * seconds[e], z * seconds[e], b.times))
        for level in range(len(self.layers)):
            out: list[list[tuple[int, float, list]]] = [[] for _ in range(n)]
            for e in np.flatnonzero(~closed[level] & np.isfinite(seconds)).tolist():
                out[i[e]].append((int(j[e]), float(seconds[e]), timed[level].get(e, [])))
            self.edges.append(out)
        self.over: list[list[int]] = [
            [k for k, p in enumerate(solid) if shapely.intersects_xy(p, *at)] for at in self.xy
        ]
        self.blocks, self.band_m = blocks, band_m

    def cost(self, depart_s: float) -> float:
        """Waiting and flight of the quickest way that departs then; inf if there is none."""
        top = self.layers
        queue = [(depart_s + self.climbing.time_s(h), 0, level) for level, h in enumerate(top)]
        best = {(node, level): t for t, node, level in queue}
        heapq.heapify(queue)
        arrived = inf
        while queue:
            t, u, level = heapq.heappop(queue)
            if t >= arrived:
                break
            if t > best[u, level]:
                continue
            if u == 1:
                arrived = min(arrived, t + self.climbing.time_s(-top[level]))
            for v, seconds, closures in self.edges[level][u]:
                if not any(t + x < b and a < t + z for x, z, spans in closures for a, b in spans):
                    self._reach(best, queue, t + seconds, v, level)
            for other in range(len(top)):
                if other == level:
                    continue
                seconds = self.climbing.time_s(top[other] - top[level]) + (self.climbing.stop_s if u > 1 else 0.0)
                low, high = sorted((top[level], top[other]))
                shut = [self.blocks[k] for k in self.over[u]]
                if not any(
                    b.blocks(low - self.band_m, high + self.band_m)
                    and any(t < y and x < t + seconds for x, y in b.spans)
                    for b in shut
                ):
                    self._reach(best, queue, t + seconds, u, other)
        return arrived

    @staticmethod
    def _reach(best, queue, t: float, node: int, level: int) -> None:
        if t < best.get((node, level), inf):
            best[node, level] = t
            heapq.heappush(queue, (t, node, level))

    def least(self, latest_s: float, step_s: float) -> float:
        return min(self.cost(float(d)) for d in np.arange(0.0, latest_s + step_s / 2, step_s))
