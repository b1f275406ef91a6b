"""Oracles that share nothing with what they judge: an exhaustive visibility graph, and sampling each 25 m."""

from __future__ import annotations

import heapq
from itertools import combinations, pairwise
from math import inf

import numpy as np
import shapely


def random_polygons(rng: np.random.Generator, n: int, size: float = 10_000.0) -> list[shapely.Polygon]:
    """Star-shaped polygons of 3 to 9 corners, not convex in general, that may overlap."""
    found = []
    while len(found) < n:
        k = int(rng.integers(3, 10))
        angles = np.sort(rng.uniform(0, 2 * np.pi, k))
        if np.diff(angles, append=angles[0] + 2 * np.pi).max() > np.pi * 0.95:
            continue
        radii = rng.uniform(0.25, 1.0, k) * size * rng.uniform(0.05, 0.16)
        centre = rng.uniform(0.12, 0.88, 2) * size
        polygon = shapely.Polygon(centre + np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]))
        if polygon.is_valid:
            found.append(polygon)
    return found


def exhaustive_length(start: np.ndarray, goal: np.ndarray, polygons: list[shapely.Polygon]) -> float:
    """The shortest way by a full visibility graph over every corner of every polygon; inf if there is none."""
    solid = shapely.union_all(polygons)
    points = [tuple(start), tuple(goal), *(tuple(c) for p in polygons for c in shapely.get_coordinates(p)[:-1])]
    inner = solid.buffer(-1e-6, join_style="mitre")  # contact is free: corners themselves are ways
    shapely.prepare(inner)
    points = [p for p in points if not shapely.intersects_xy(inner, *p)]
    edges: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(points))}
    pairs = list(combinations(range(len(points)), 2))
    lines = shapely.linestrings([[points[i], points[j]] for i, j in pairs])
    for (i, j), blocked in zip(pairs, shapely.intersects(inner, lines), strict=True):
        if not blocked:
            length = float(np.hypot(points[i][0] - points[j][0], points[i][1] - points[j][1]))
            edges[i].append((j, length))
            edges[j].append((i, length))
    best = {0: 0.0}
    queue = [(0.0, 0)]
    while queue:
        cost, i = heapq.heappop(queue)
        if i == 1:
            return cost
        if cost > best[i]:
            continue
        for j, length in edges[i]:
            if cost + length < best.get(j, inf):
                best[j] = cost + length
                heapq.heappush(queue, (cost + length, j))
    return inf


def samples(points: np.ndarray, step: float = 25.0) -> np.ndarray:
    """Points along a polyline, each at most `step` from the next."""
    parts = []
    for a, b in pairwise(points):
        n = max(1, int(np.ceil(np.hypot(*(b - a)) / step)))
        parts.append(a + (b - a) * (np.arange(n + 1) / n)[:, None])
    return np.concatenate(parts)


def winding_inside(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Which points lie inside a ring, by crossings of a ray: no geometry library."""
    inside = np.zeros(len(points), dtype=bool)
    x, y = points.T
    for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (ay > y) != (by > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside
