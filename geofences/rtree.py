"""An R-tree that follows changes: a big tree that stays as it was built, and a small one of what came since.

Building the tree of 5,000 polygons takes milliseconds, and there is one per frame and margin. A change makes a small
tree of what was added since the last merge and a table of the numbers that the polygons of the big one have now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

MOST_CHANGES = 64
"""so many polygons added or gone since the big tree was built, it is built anew: queries must not feel them"""
QUICKLY_BUILT = 256
"""a tree of so few takes some tens of microseconds to build: a change makes a new one"""

Numbers = NDArray[np.intp]
Predicate = Literal["intersects", "covers", "contains", "dwithin"]


class PolygonTree:
    """Polygons by number, never changed once built. `changed` gives the next one."""

    __slots__ = ("_base", "_base_now", "_recent", "_recent_first", "polygons")

    def __init__(self, polygons: Sequence[shapely.Polygon] | NDArray[np.object_]) -> None:
        self.polygons: NDArray[np.object_] = np.array(polygons, dtype=object)
        self._base = shapely.STRtree(self.polygons)
        self._base_now: Numbers | None = None
        """number now of each polygon of the base, -1 if it is gone; None: as they were"""
        self._recent: shapely.STRtree | None = None
        self._recent_first = len(self.polygons)

    def __len__(self) -> int:
        return len(self.polygons)

    def query(
        self, geometry: Any, predicate: Predicate | None = None, distance_m: float | None = None
    ) -> NDArray[np.intp]:
        """As `shapely.STRtree.query`: numbers for one geometry, (2, n) pairs for an array of them; in no order.

        `distance_m` is for "dwithin".
        """
        found: Numbers = self._base.query(geometry, predicate, distance_m)
        if self._base_now is not None:
            now = self._base_now[found[-1] if found.ndim == 2 else found]
            found = (np.stack([found[0], now]) if found.ndim == 2 else now)[..., now >= 0]
        if self._recent is not None:
            more: Numbers = self._recent.query(geometry, predicate, distance_m)
            more[-1 if more.ndim == 2 else ...] += self._recent_first
            found = np.concatenate([found, more], axis=-1)
        return found

    def changed(self, gone: range, added: Sequence[shapely.Polygon] | NDArray[np.object_]) -> PolygonTree:
        """Without the polygons `gone`, those after them moving up, and with `added` at the end."""
        kept = np.concatenate([self.polygons[: gone.start], self.polygons[gone.stop :]])
        polygons = np.concatenate([kept, np.array(added, dtype=object)]) if len(added) else kept
        first = self._recent_first - len(range(gone.start, min(gone.stop, self._recent_first)))
        base_now = self._base_now if self._base_now is not None else np.arange(len(self._base.geometries))
        if len(gone):
            taken = (base_now >= gone.start) & (base_now < gone.stop)
            base_now = np.where(taken, -1, np.where(base_now >= gone.stop, base_now - len(gone), base_now))
        changes = len(polygons) - first + np.count_nonzero(base_now < 0)
        if changes > MOST_CHANGES or len(polygons) <= QUICKLY_BUILT:
            return PolygonTree(polygons)
        after = object.__new__(PolygonTree)
        after.polygons = polygons
        after._base = self._base
        after._base_now = base_now
        after._recent = shapely.STRtree(polygons[first:]) if len(polygons) > first else None
        after._recent_first = first
        return after
