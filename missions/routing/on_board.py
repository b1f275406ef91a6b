"""The fence that a vehicle in the air has on board, as obstacles: no plan may trip PX4's own fence.

PX4 takes no other fence in the air, so it keeps what was uploaded on the ground: at all heights and times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from geofences.geodesy import LocalFrame
from geofences.shapes import circumscribed
from geofences.volumes import Circle, Polygon
from missions.plan import FenceSet
from missions.routing.judge import IdentityCache

Array = NDArray[np.float64]

KEEP_IN = "the keep-in on board"
_TIGHT = 0.9
_OUTSIDE_M = 1e6

_projected: IdentityCache[NDArray[np.object_]] = IdentityCache(2048)
_whole: IdentityCache[NDArray[np.object_]] = IdentityCache(4096)
"""grown by the whole margin"""


def on_board(
    fence: FenceSet | None, frame: LocalFrame, margin_m: float, near: Sequence[Array]
) -> list[tuple[shapely.Polygon, tuple[str, ...]]]:
    """What may not be flown into, grown by the margin, and the zone that each stands for; nothing without a fence.

    The margin to one that is nearer to a `near` point (a pad, or the vehicle) than that is 0.9 of that distance.
    """
    if fence is None:
        return []
    shapes = _projected.get(fence, frame, make=lambda: _project(fence, frame))
    if not len(shapes):
        return []
    gaps = shapely.distance(shapes[:, None], shapely.points(np.array(near))[None, :])
    gaps = np.where(gaps > 0.0, gaps, np.inf).min(axis=1)
    margins = np.minimum(margin_m, _TIGHT * gaps)
    grown = _whole.get(fence, frame, extra=margin_m, make=lambda: _grown(shapes, margin_m)).copy()
    tight = margins < margin_m
    grown[tight] = _grown(shapes[tight], margins[tight])
    names = [*(fence.on_vehicle or [""] * len(fence.keep_out)), KEEP_IN]
    return [(polygon, (name,)) for polygon, name in zip(grown.tolist(), names, strict=False)]


def _grown(shapes: NDArray[np.object_], margins_m: Array | float) -> NDArray[np.object_]:
    grown: NDArray[np.object_] = shapely.buffer(shapes, margins_m, join_style="mitre", mitre_limit=1.5)
    return grown


def _project(fence: FenceSet, frame: LocalFrame) -> NDArray[np.object_]:
    """The keep-outs and, last, everything out of the keep-in."""
    shapes = [_keep_out(outline, frame) for outline in fence.keep_out]
    if fence.keep_in is not None:
        x, y = frame.to_xy([frame.origin])[0]
        world = shapely.box(x - _OUTSIDE_M, y - _OUTSIDE_M, x + _OUTSIDE_M, y + _OUTSIDE_M)
        shapes.append(shapely.difference(world, shapely.Polygon(frame.to_xy(fence.keep_in.outer))))
    return np.array(shapes, dtype=object)


def _keep_out(outline: Polygon | Circle, frame: LocalFrame) -> shapely.Polygon:
    if isinstance(outline, Circle):
        return circumscribed(frame.to_xy([outline.centre])[0], outline.radius_m)
    return shapely.Polygon(frame.to_xy(outline.outer))
