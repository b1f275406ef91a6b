"""Between which shares of its length a piece of way is inside of a polygon: from the first entry to the last leaving.

Of a polygon that is not convex that may be more than is inside. It is meant for closures, which it never shortens.
"""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.spans import Interval

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

_ROUNDING = 1e-9
_BESIDE_M = 0.05
_ROSE = np.array([(cos(t), sin(t)) for t in (pi * k / 16 for k in range(32))])


class Outlines:
    """Polygons by number, asked about many pieces at once; they may be added to."""

    def __init__(self) -> None:
        self._polygons = np.array([], dtype=object)
        self._sides = np.empty((0, 4))
        self._first = np.empty(0, dtype=np.intp)
        self._count = np.empty(0, dtype=np.intp)

    def add(self, polygons: NDArray[np.object_]) -> None:
        sides = [_sides(p) for p in polygons]
        count = np.array([len(s) for s in sides], dtype=np.intp)
        first = len(self._sides) + np.cumsum(count) - count
        self._polygons = np.concatenate([self._polygons, polygons])
        self._sides = np.concatenate([self._sides, *sides])
        self._first, self._count = np.concatenate([self._first, first]), np.concatenate([self._count, count])

    def crossings(self, fresh: NDArray[np.object_]) -> Array:
        """Places (n, 2) just outside of where the outlines of fresh polygons cross each other's and those added."""
        every = np.concatenate([self._polygons, fresh])
        which, what = shapely.STRtree(every).query(fresh, predicate="intersects")
        new = which + len(self._polygons) > what
        a, b = fresh[which[new]], every[what[new]]
        met = shapely.intersection(shapely.boundary(a), shapely.boundary(b))
        points, pair = shapely.get_coordinates(met, return_index=True)
        found = [_beside(point, a[i], b[i]) for point, i in zip(points, pair.tolist(), strict=True)]
        return np.array([place for place in found if place is not None]).reshape(-1, 2)

    def cuts(self, start: Array, ends: Array, what: Numbers) -> Array:
        """Shares (n, 2) of the pieces from `start` to each end at which each enters and leaves its polygon."""
        if not len(what):
            return np.empty((0, 2))
        count = self._count[what]
        begins = np.cumsum(count) - count
        piece = np.repeat(np.arange(len(what)), count)
        side = self._sides[np.arange(len(piece)) + np.repeat(self._first[what] - begins, count)]
        way, along = (ends - start)[piece], side[:, 2:] - side[:, :2]
        to = side[:, :2] - start
        across = way[:, 0] * along[:, 1] - way[:, 1] * along[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (to[:, 0] * along[:, 1] - to[:, 1] * along[:, 0]) / across
            where = (to[:, 0] * way[:, 1] - to[:, 1] * way[:, 0]) / across
        met = (np.abs(where - 0.5) <= 0.5 + _ROUNDING) & (np.abs(share - 0.5) <= 0.5 + _ROUNDING)
        enter = np.minimum.reduceat(np.where(met, share, np.inf), begins)
        leave = np.maximum.reduceat(np.where(met, share, -np.inf), begins)
        polygons = self._polygons[what]
        enter[shapely.intersects_xy(polygons, start[0], start[1])] = 0.0
        leave[shapely.intersects_xy(polygons, ends[:, 0], ends[:, 1])] = 1.0
        # A piece that only grazes a corner, or runs along a side, may seem to meet nothing.
        graze = enter > leave
        enter[graze], leave[graze] = 0.0, 1.0
        shares: Array = np.clip(np.column_stack([enter, leave]), 0.0, 1.0)
        return shares


def _beside(point: Array, a: shapely.Polygon, b: shapely.Polygon) -> Array | None:
    """A place outside of both polygons next to a point where their outlines cross."""
    around = point + _BESIDE_M * _ROSE
    free = around[~shapely.intersects_xy(a, around[:, 0], around[:, 1])]
    free = free[~shapely.intersects_xy(b, free[:, 0], free[:, 1])]
    return free.mean(axis=0) if len(free) else None


def _sides(polygon: shapely.Polygon) -> Array:
    rings = [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
    return np.concatenate([np.column_stack([ring[:-1], ring[1:]]) for ring in rings])


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
