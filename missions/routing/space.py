"""Several cruise heights of one airspace over one time: what is closed in each, and when, as numbered obstacles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.airspace import is_closed
from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon, LocalFrame
from geofences.times import intervals
from geofences.volumes import Zone
from missions.routing.on_board import on_board
from missions.routing.route import RouteRequest
from missions.routing.scene import Scene, View, band_at
from missions.routing.spans import ALWAYS, Spans

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hits:
    """Pieces of way (`which`) that meet obstacles (`what`)."""

    which: NDArray[np.intp]
    what: NDArray[np.intp]


class Space:
    """Layers from low to high. Obstacles shared by all layers come first, then those of single layers.

    Times are seconds since the request's departure, zones widened by its slack.

    A step from one layer to another may meet what neither of the two does: it has a scene of its own.
    """

    def __init__(self, request: RouteRequest, frame: LocalFrame, near: Sequence[Array], lasts_s: float) -> None:
        self.request = request
        self.layers = tuple(sorted(set(request.layers_agl_m)))
        self._fence = on_board(request.fence, frame, request.clear_m, near)
        self._start_s, slack = request.depart_s, request.time_slack_s
        latest_s = max(request.depart_s, request.latest_depart_s or 0.0)
        self.view = View(
            band_at(self.layers[0]),
            request.depart_s - slack,
            latest_s + lasts_s + slack,
            request.clear_m,
            request.authorised,
            request.ceiling_agl_m,
        )
        self.scenes = [self._scene(frame, band_at(layer), near) for layer in self.layers]
        self._steps = {
            (i, j): self._scene(frame, AglBand(band_at(low).lower_m, band_at(high).upper_m), ())
            for (i, low), (j, high) in combinations(enumerate(self.layers), 2)
        }
        counts = [scene.count for scene in self.scenes]
        self._shared = self.scenes[0].shared_count
        self._first = self._shared + np.concatenate([[0], np.cumsum([c - self._shared for c in counts])])
        self._spans: dict[tuple[int, int], Spans] = {}

    def _scene(self, frame: LocalFrame, band: AglBand, near: Sequence[Array]) -> Scene:
        request = self.request
        view = replace(self.view, band=band)
        return Scene(request.airspace, request.terrain, frame, view, near=tuple(near), more=self._fence)

    def hits(self, lines: NDArray[np.object_], layer: int) -> Hits:
        """What is closed in the layer at some time and met by the lines."""
        which, what = self.scenes[layer].field.hits(lines)
        own = what >= self._shared
        return Hits(which, np.where(own, what + (self._first[layer] - self._shared), what))

    def polygon(self, k: int) -> shapely.Polygon:
        scene, i = self._place(k)
        return scene.field.polygon(i)

    def corners(self, k: int) -> Array:
        scene, i = self._place(k)
        return scene.field.corners(i)

    def closed(self, k: int, layer: int) -> Spans:
        """When obstacle k closes the layer, widened by the slack; empty: never."""
        found = self._spans.get((k, layer))
        if found is None:
            found = self._spans[k, layer] = self._closed(k, layer)
        return found

    def closed_to_step(self, k: int, layer: int, other: int) -> Spans:
        """When obstacle k closes the climb or descent between two layers."""
        low, high = min(layer, other), max(layer, other)
        if k < self._shared:
            return self._widened(self._steps[low, high].closures(k))
        return next((spans for i in range(low, high + 1) if (spans := self._closed(k, i))), ())

    def over(self, at: Array, layer: int, other: int) -> list[int]:
        """Obstacles that hold the place where a step between two layers is closed at some time."""
        low, high = min(layer, other), max(layer, other)
        here = np.array([shapely.Point(at)], dtype=object)
        step = self._steps[low, high].field.hits(here)[1]
        found = set(step[step < self._shared].tolist())
        # A pad near a zone has a smaller margin to it: that is an obstacle of the layers' own.
        found |= {k for i in range(low, high + 1) for k in self.hits(here, i).what.tolist()}
        return sorted(found)

    def zone_ids(self, obstacles: Sequence[int]) -> tuple[str, ...]:
        """The zones behind obstacles, once each."""
        ids: dict[str, None] = {}
        for k in obstacles:
            scene, i = self._place(k)
            ids |= dict.fromkeys(scene.zone_ids((i,)))
        return tuple(ids)

    def column(self, at: LatLon, low_agl_m: float, high_agl_m: float) -> Iterator[tuple[Zone, Spans]]:
        """The closed zones over a place between two heights, each with when; keep-ins are not looked at."""
        scene, band = self.scenes[0], AglBand(min(low_agl_m, high_agl_m), max(low_agl_m, high_agl_m))
        here = shapely.Point(scene.frame.to_xy([at])[0])
        for i in sorted(scene.index.tree.query(here, predicate="intersects").tolist()):
            shape = scene.index.shapes[i]
            if is_closed(shape.zone, self.view.authorised) and outer_band(shape.volume, scene.terrain).overlaps(band):
                times = intervals(shape.zone, self.view.start_s, self.view.end_s) if shape.zone.applicability else None
                if spans := self._widened(times):
                    yield shape.zone, spans

    def _place(self, k: int) -> tuple[Scene, int]:
        if k < self._shared:
            return self.scenes[0], k
        layer = int(np.searchsorted(self._first, k, side="right")) - 1
        return self.scenes[layer], k - int(self._first[layer]) + self._shared

    def _closed(self, k: int, layer: int) -> Spans:
        scene, i = self._place(k)
        if k < self._shared:
            scene = self.scenes[layer]
        elif scene is not self.scenes[layer]:
            return ()
        return self._widened(scene.closures(i))

    def _widened(self, times: Sequence[tuple[float, float]] | None) -> Spans:
        if times is None:
            return ALWAYS
        slack, zero = self.request.time_slack_s, self._start_s
        merged: list[tuple[float, float]] = []
        for a, b in times:
            if merged and a - slack <= merged[-1][1] + zero:
                merged[-1] = (merged[-1][0], b + slack - zero)
            else:
                merged.append((a - slack - zero, b + slack - zero))
        return tuple(merged)
