"""Random instances: disjoint polygons of 8 to 20 vertices in 200 x 200 km, and pairs of places between them."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.tangent import Obstacles

Array = NDArray[np.float64]

SIZE_M = 200_000.0
GAP_M = 20.0
"""at least so far is each polygon from the next"""
ENDS_CLEAR_M = 5.0
_TRIES = 40


def disjoint_polygons(seed: int, n: int, coverage: float) -> list[shapely.Polygon]:
    """Star-shaped and in general not convex, of sizes within a factor of three, covering this share of the square."""
    scale = 1.0
    for _ in range(12):
        found = _placed(np.random.default_rng(seed), n, scale * SIZE_M * (coverage / (n * np.pi)) ** 0.5)
        covered = sum(p.area for p in found) / SIZE_M**2
        if abs(covered / coverage - 1.0) < 0.01:
            return found
        scale *= min(1.5, (coverage / covered) ** 0.8)
    raise ValueError(f"{n} polygons cover {covered:.0%} at most, not {coverage:.0%}")


def prepared(polygons: list[shapely.Polygon]) -> Obstacles:
    """What is made before the first query."""
    return used(Obstacles(polygons))


def used(obstacles: Obstacles) -> Obstacles:
    """Their R-tree and corners are made when first asked for: so they are."""
    obstacles.tree.query(shapely.Point(0.0, 0.0))
    obstacles.corner_count()
    return obstacles


def ends(seed: int, polygons: list[shapely.Polygon], n: int) -> Array:
    """Starts and goals (n, 2, 2), uniform in the square, outside of every polygon."""
    rng = np.random.default_rng(seed)
    solid = shapely.union_all(shapely.buffer(np.array(polygons, dtype=object), ENDS_CLEAR_M))
    shapely.prepare(solid)
    points = rng.uniform(0.0, SIZE_M, (8 * n + 50, 2))
    free = points[~shapely.intersects_xy(solid, *points.T)]
    return free[: 2 * n].reshape(n, 2, 2)


def _placed(rng: np.random.Generator, n: int, radius_m: float) -> list[shapely.Polygon]:
    """Large ones first, each somewhere where it fits; where it does not after some tries it is made smaller."""
    radii = np.sort(radius_m * rng.uniform(0.7, 2.1, n))[::-1]
    found: list[shapely.Polygon] = []
    centres, reach = np.zeros((n, 2)), np.zeros(n)
    for i, r in enumerate(radii):
        size, shape, tries = float(r), _star(rng), 0
        while True:
            centre = rng.uniform(size, SIZE_M - size, 2)
            polygon = shapely.Polygon(centre + size * shape)
            near = np.flatnonzero(np.hypot(*(centres[:i] - centre).T) < reach[:i] + size + GAP_M)
            if not any(shapely.dwithin(polygon, found[k], GAP_M) for k in near.tolist()):
                break
            tries += 1
            if tries % _TRIES == 0:
                size *= 0.9
        found.append(polygon)
        centres[i], reach[i] = centre, size
    return found


def _star(rng: np.random.Generator) -> Array:
    k = int(rng.integers(8, 21))
    angles = (np.arange(k) + rng.uniform(0.1, 0.9, k)) * (2 * np.pi / k)
    return rng.uniform(0.55, 1.0, k)[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
