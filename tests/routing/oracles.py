"""Oracles that share nothing with what they judge: an exhaustive visibility graph, and sampling each 25 m."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise
from math import inf

import numpy as np
import shapely
import shapely.affinity

GROWN_M = 1e-5


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


def tricky_polygons(rng: np.random.Generator, n: int, size: float = 10_000.0) -> list[shapely.Polygon]:
    """Of three kinds: stars that overlap, stars with a hole, and boxes on a grid, with edges in one line or shared and
    corners that touch."""
    found = []
    for star in random_polygons(rng, n, size):
        kind = rng.integers(0, 3)
        if kind == 0:
            found.append(star)
        elif kind == 1:
            hole = shapely.affinity.scale(star, 0.5, 0.5, origin=star.representative_point())
            found.append(shapely.Polygon(star.exterior, [hole.exterior]) if star.covers(hole) else star)
        else:
            x, y = rng.integers(2, 17, 2) * size / 20
            w, h = rng.integers(1, 4, 2) * size / 20
            found.append(shapely.box(x, y, x + w, y + h))
    return found


def exhaustive_length(start: np.ndarray, goal: np.ndarray, polygons: list[shapely.Polygon]) -> float:
    """The shortest way by a full visibility graph over every corner of every polygon; inf if there is none."""
    return exhaustive_cost(start, goal, polygons, np.hypot)


def exhaustive_cost(
    start: np.ndarray,
    goal: np.ndarray,
    polygons: list[shapely.Polygon],
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> float:
    """The same for the least sum of the costs of pieces, each of its (dx, dy); there and back may differ.

    Start and goal must be outside by more than `GROWN_M`.
    """
    # A little larger: what touches, be it in a corner, leaves no crack. Less by a tenth: contact is free.
    style = {"join_style": "mitre", "mitre_limit": 50.0}
    solid = shapely.buffer(shapely.union_all(polygons), GROWN_M, **style)
    inner = shapely.buffer(solid, -0.1 * GROWN_M, **style)
    shapely.prepare(inner)
    points = np.concatenate([[start, goal], shapely.get_coordinates(solid)])
    points = points[~shapely.intersects_xy(inner, points[:, 0], points[:, 1])]
    one, other = np.triu_indices(len(points), 1)
    free = ~shapely.intersects(inner, shapely.linestrings(np.stack([points[one], points[other]], axis=1)))
    edges: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(points))}
    for a, b in ((one[free], other[free]), (other[free], one[free])):
        d = points[b] - points[a]
        for i, j, c in zip(a.tolist(), b.tolist(), cost(d[:, 0], d[:, 1]).tolist(), strict=True):
            edges[i].append((j, c))
    best = {0: 0.0}
    queue = [(0.0, 0)]
    while queue:
        reached, i = heapq.heappop(queue)
        if i == 1:
            return reached
        if reached > best[i]:
            continue
        for j, c in edges[i]:
            if reached + c < best.get(j, inf):
                best[j] = reached + c
                heapq.heappush(queue, (reached + c, j))
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
