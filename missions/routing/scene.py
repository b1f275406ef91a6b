"""What is closed to one flight: an airspace seen at one layer of heights, over one window of time, with a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import Airspace, is_closed
from geofences.bands import AglBand, inner_band, outer_band
from geofences.geodesy import LocalFrame
from geofences.heights import Terrain
from geofences.shapes import inflate
from geofences.times import applies_throughout, applies_within, intervals
from geofences.volumes import Role, Zone
from missions.routing.judge import IdentityCache
from missions.routing.tangent import Field, Obstacles

Array = NDArray[np.float64]

MIN_MARGIN_M = 5.0
"""a pad closer than this to a closed zone is not flown from or to: PX4 holds a position to some metres"""
VERTICAL_MARGIN_M = 5.0
"""between a zone's limit and the height flown: barometric drift and PX4's height control"""
_TIGHT = 0.9
_OUTSIDE_M = 1e6


def band_at(layer_agl_m: float) -> AglBand:
    """The heights that a flight in a layer may have."""
    return AglBand(layer_agl_m - VERTICAL_MARGIN_M, layer_agl_m + VERTICAL_MARGIN_M)


@dataclass(frozen=True, slots=True)
class View:
    """The question: which heights, when, how far to stay away, and what is authorised."""

    band: AglBand
    start_s: float
    end_s: float
    margin_m: float
    authorised: frozenset[str]
    ceiling_agl_m: float = 120.0


class Scene:
    """The closed zones of an airspace as obstacles for the planner, inflated by the margin.

    A `near` point (a pad, or a vehicle) that is outside of a zone but within the margin makes the margin to that zone
    smaller, to 0.9 of its distance: `tightened` says where, in metres. `more` are further obstacles, with margin, and
    what they stand for.
    """

    def __init__(
        self,
        airspace: Airspace,
        terrain: Terrain,
        frame: LocalFrame,
        view: View,
        near: tuple[Array, ...] = (),
        more: Sequence[tuple[shapely.Polygon, tuple[str, ...]]] = (),
    ) -> None:
        self.view = view
        self.terrain = terrain
        self.frame = frame
        self.index = airspace.index(frame)
        self.tightened: dict[str, float] = {}
        self.keep_in_ids = tuple(z.zone_id for z in airspace.keep_ins())
        self.keep_in = self._keep_in() if self.keep_in_ids else None
        self._shared = self.index.grown(view.margin_m, Obstacles)
        self._closed: dict[int, bool] = {}
        self._replaced: set[int] = set()
        self._own: list[tuple[shapely.Polygon, tuple[str, ...]]] = []
        self._own_zones: dict[int, Zone] = {}
        """of those of the own ones that stand for a zone; the others stand for the outside of the keep-ins"""
        self._tighten(near)
        if self.keep_in is not None:
            self._own.extend((part, self.keep_in_ids) for part in self._outside(self.keep_in, near))
        self._own.extend(more)
        self.field = Field(self._shared, self._in_the_way, [p for p, _ in self._own])

    def closed(self, i: int) -> bool:
        """True if shape i is closed at these heights at some time of the window."""
        known = self._closed.get(i)
        if known is None:
            shape, view = self.index.shapes[i], self.view
            known = self._closed[i] = (
                is_closed(shape.zone, view.authorised)
                and outer_band(shape.volume, self.terrain).overlaps(view.band)
                and applies_within(shape.zone, view.start_s, view.end_s)
            )
        return known

    def zone(self, zone_id: str) -> Zone | None:
        return next((s.zone for s in self.index.shapes if s.zone.zone_id == zone_id), None)

    @property
    def shared_count(self) -> int:
        """The obstacles of `field` numbered below this are the airspace's shapes; the others are this scene's own."""
        return len(self._shared)

    @property
    def count(self) -> int:
        """Of obstacles of `field`, in the way or not."""
        return len(self._shared) + len(self._own)

    def closures(self, i: int) -> Sequence[tuple[float, float]] | None:
        """When obstacle i of `field` is closed within the view's time, seconds since the epoch; None: all of it."""
        view, n = self.view, len(self._shared)
        if i < n and not self._in_the_way(i):
            return ()
        zone = self.index.shapes[i].zone if i < n else self._own_zones.get(i - n)
        if zone is None or not zone.applicability:
            return None
        spans = intervals(zone, view.start_s, view.end_s)
        return None if spans == [(view.start_s, view.end_s)] else spans

    def zone_ids(self, obstacles: tuple[int, ...]) -> tuple[str, ...]:
        """The zones behind obstacle numbers of `field`, in order and once each."""
        n, shapes = len(self._shared), self.index.shapes
        names = [(shapes[i].zone.zone_id,) if i < n else self._own[i - n][1] for i in obstacles]
        return tuple(dict.fromkeys(zone_id for group in names for zone_id in group))

    def holding(self, point: Array) -> tuple[str, ...]:
        """Closed zones that hold the point itself, without margin; the keep-ins, where it is outside of all."""
        here = shapely.Point(point)
        over = sorted(self.index.tree.query(here, predicate="intersects").tolist())
        ids = [self.index.shapes[i].zone.zone_id for i in over if self.closed(i)]
        if self.keep_in is not None and not self.keep_in.covers(here):
            ids.extend(self.keep_in_ids)
        return tuple(dict.fromkeys(ids))

    def way_out(self, point: Array) -> Array:
        """The nearest place to `point` outside of every obstacle that holds it, and of those that overlap there."""
        here = shapely.Point(point)
        solid = shapely.Polygon()
        end = point
        around = self.field.around(point)
        while around:
            solid = shapely.union_all([solid, *(self.field.polygon(i) for i in around)])
            edge = shapely.get_coordinates(shapely.shortest_line(here, solid.boundary))[-1]
            step = edge - point
            reach = float(np.hypot(step[0], step[1]))
            # A centimetre beyond the edge, so that it is outside by more than rounding.
            end = edge + step / reach * 0.01 if reach > 1e-6 else edge + np.array([0.01, 0.0])
            more = [i for i in self.field.around(end) if i not in around]
            if not more:
                break
            around.extend(more)
        return end

    def without(self, zone_ids: frozenset[str]) -> Field:
        """The field as if these zones were open: to find out what blocks."""
        shapes = self.index.shapes
        return Field(
            self._shared,
            lambda i: self._in_the_way(i) and shapes[i].zone.zone_id not in zone_ids,
            [p for p, names in self._own if not zone_ids.intersection(names)],
        )

    def _in_the_way(self, i: int) -> bool:
        return i not in self._replaced and self.closed(i)

    def _tighten(self, near: tuple[Array, ...]) -> None:
        points = shapely.points(np.array(near).reshape(-1, 2))
        which, what = self._shared.tree.query(points, predicate="intersects")
        for k, i in zip(which.tolist(), what.tolist(), strict=True):
            shape = self.index.shapes[i]
            gap = float(shapely.distance(shape.polygon, points[k]))
            if gap > 0.0 and self._in_the_way(i):
                margin = _TIGHT * gap
                self._replaced.add(i)
                self._own_zones[len(self._own)] = shape.zone
                self._own.append((inflate([shape.polygon], margin)[0], (shape.zone.zone_id,)))
                self.tightened[shape.zone.zone_id] = margin

    def _keep_in(self) -> shapely.Geometry:
        """The union of the keep-ins that hold all heights of the band all the time; it may be empty."""
        view = self.view
        parts = [
            s.polygon
            for s in self.index.shapes
            if s.zone.role is Role.KEEP_IN
            and inner_band(s.volume, self.terrain).covers(view.band)
            and applies_throughout(s.zone, view.start_s, view.end_s)
        ]
        return parts[0] if len(parts) == 1 else shapely.union_all(parts)

    def _outside(self, keep_in: shapely.Geometry, near: tuple[Array, ...]) -> list[shapely.Polygon]:
        """Everything out of the keep-ins, and within the margin of their edge, as obstacles."""
        margin = self.view.margin_m
        for point in near:
            here = shapely.Point(point)
            gap = float(shapely.distance(keep_in.boundary, here)) if keep_in.covers(here) else 0.0
            if 0.0 < gap <= margin * 1.5:
                margin = min(margin, _TIGHT * gap / 1.5)
                self.tightened.update(dict.fromkeys(self.keep_in_ids, margin))
        return _beyond.get(keep_in, extra=margin, make=lambda: _all_but(keep_in, margin))


_beyond: IdentityCache[list[shapely.Polygon]] = IdentityCache(64)
"""one keep-in is the same object for every question"""


def _all_but(keep_in: shapely.Geometry, margin_m: float) -> list[shapely.Polygon]:
    """All around the frame's origin but the inside of the keep-ins."""
    inside = shapely.buffer(keep_in, -margin_m, join_style="mitre", mitre_limit=1.5)
    world = shapely.box(-_OUTSIDE_M, -_OUTSIDE_M, _OUTSIDE_M, _OUTSIDE_M)
    return list(shapely.get_parts(shapely.difference(world, inside)))
