"""Shortest paths among random polygons: the planner's tangent search against a full visibility graph by shapely."""

from __future__ import annotations

import heapq
import time
from itertools import combinations
from math import inf

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.report import percentile, report, say
from missions.routing.tangent import Field, Obstacles, Path

Array = NDArray[np.float64]
SIZE_M = 50_000.0
SAME_M = 0.05
"""the planner keeps 0.1 mm off each corner; more than this is another path"""


def disjoint_polygons(rng: np.random.Generator, n: int) -> list[shapely.Polygon]:
    """Star-shaped, 4 to 9 corners, none touching another; together about a quarter of the square."""
    radius_m = SIZE_M * (0.25 / (n * np.pi)) ** 0.5 * 1.6
    found: list[shapely.Polygon] = []
    while len(found) < n:
        k = int(rng.integers(4, 10))
        angles = np.sort(rng.uniform(0, 2 * np.pi, k))
        if np.diff(angles, append=angles[0] + 2 * np.pi).max() > 0.95 * np.pi:
            continue
        radii = radius_m * rng.uniform(0.4, 1.0, k)
        centre = rng.uniform(0.08, 0.92, 2) * SIZE_M
        polygon = shapely.Polygon(centre + np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]))
        if polygon.is_valid and not any(polygon.distance(other) < 20.0 for other in found):
            found.append(polygon)
    return found


class VisibilityGraph:
    """Every pair of corners, looked at once per map; a query adds its two ends."""

    def __init__(self, polygons: list[shapely.Polygon]) -> None:
        self.solid = shapely.union_all([p.buffer(-1e-6, join_style="mitre") for p in polygons])
        self.tree = shapely.STRtree(list(shapely.get_parts(self.solid)))
        self.points = np.concatenate([shapely.get_coordinates(p)[:-1] for p in polygons])
        pairs = np.array(list(combinations(range(len(self.points)), 2)))
        free = self._free(self.points[pairs[:, 0]], self.points[pairs[:, 1]])
        self.edges: list[list[tuple[int, float]]] = [[] for _ in self.points]
        for i, j in pairs[free].tolist():
            length = float(np.hypot(*(self.points[i] - self.points[j])))
            self.edges[i].append((j, length))
            self.edges[j].append((i, length))

    def _free(self, a: Array, b: Array) -> NDArray[np.bool_]:
        lines = shapely.linestrings(np.stack([a, b], axis=1))
        free = np.ones(len(lines), dtype=bool)
        free[self.tree.query(lines, predicate="intersects")[0]] = False
        return free

    def length(self, start: Array, goal: Array) -> float:
        n = len(self.points)
        if self._free(start[None], goal[None])[0]:
            return float(np.hypot(*(goal - start)))
        seen = [np.flatnonzero(self._free(np.tile(p, (n, 1)), self.points)) for p in (start, goal)]
        to_goal = {int(i): float(np.hypot(*(self.points[i] - goal))) for i in seen[1]}
        queue = [(float(np.hypot(*(self.points[i] - start))), int(i)) for i in seen[0]]
        heapq.heapify(queue)
        best = {i: cost for cost, i in queue}
        shortest = inf
        while queue:
            cost, i = heapq.heappop(queue)
            if cost >= shortest:
                break
            if cost > best[i]:
                continue
            shortest = min(shortest, cost + to_goal.get(i, inf))
            for j, length in self.edges[i]:
                if cost + length < best.get(j, inf):
                    best[j] = cost + length
                    heapq.heappush(queue, (cost + length, j))
        return shortest


def run(n: int, queries: int) -> dict[str, float | int | bool]:
    rng = np.random.default_rng(7)
    polygons = disjoint_polygons(rng, n)
    solid = shapely.union_all(polygons).buffer(5.0)
    ends: list[tuple[Array, Array]] = []
    while len(ends) < queries:
        a, b = rng.uniform(0, SIZE_M, (2, 2))
        if not shapely.intersects_xy(solid, *a) and not shapely.intersects_xy(solid, *b):
            ends.append((a, b))
    ours_ms, theirs_ms, worst_m = [], [], 0.0
    obstacles = Obstacles(polygons)
    say(f"{n} zones: building the visibility graph")
    start_s = time.perf_counter()
    graph = VisibilityGraph(polygons)
    build_ms = 1e3 * (time.perf_counter() - start_s)
    for a, b in ends:
        start_s = time.perf_counter()
        found = Field(obstacles, lambda _: True).shortest(a, b)
        ours_ms.append(1e3 * (time.perf_counter() - start_s))
        start_s = time.perf_counter()
        length = graph.length(a, b)
        theirs_ms.append(1e3 * (time.perf_counter() - start_s))
        assert isinstance(found, Path)
        worst_m = max(worst_m, abs(found.length - length))
    ours, theirs = percentile(ours_ms, 0.5), percentile(theirs_ms, 0.5)
    return {
        "queries": queries,
        "corners": len(graph.points),
        "ours_median_ms": round(ours, 3),
        "ours_p99_ms": round(percentile(ours_ms, 0.99), 3),
        "graph_build_ms": round(build_ms, 1),
        "graph_query_median_ms": round(theirs, 3),
        "ratio_one_query_on_a_new_map": round((build_ms + theirs) / ours, 1),
        "ratio_query_with_the_graph_built": round(theirs / ours, 2),
        "largest_difference_of_length_m": round(worst_m, 6),
        "same_lengths": worst_m < SAME_M,
    }


def main() -> None:
    figures = {f"zones_{n}": run(n, queries) for n, queries in ((50, 200), (200, 100))}
    how = (
        "the same random disjoint polygons and ends in one process, one thread; ours builds nothing ahead but an "
        "R-tree, the graph is exhaustive and kept between queries; a closure makes a new map"
    )
    report("planner", figures, how, ("shapely", "numpy"))


if __name__ == "__main__":
    main()
