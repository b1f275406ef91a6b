"""The two ends of a route, per layer: the climb over the start, the descent over the goal, and when they are shut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from missions.routing.route import Climbing, RouteRequest
from missions.routing.scene import MIN_MARGIN_M
from missions.routing.space import Space
from missions.routing.spans import ALWAYS, Interval, Spans, outside

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Climb:
    """To a layer: what it takes, and the departures that let it through, in seconds after the wished one."""

    time_s: float
    cost_s: float
    departures: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Descent:
    """From a layer: what it takes, and when it is closed."""

    time_s: float
    cost_s: float
    closed: tuple[Spans, ...]


@dataclass(frozen=True, slots=True)
class Ends:
    """Both, for each layer of a space; and what a step from one layer to another takes."""

    layers: tuple[float, ...]
    climbing: Climbing
    climb: tuple[Climb, ...]
    descent: tuple[Descent, ...]

    def step(self, layer: int, other: int, *, on_the_way: bool) -> tuple[float, float]:
        """(seconds, cost); over the pads the vehicle stands anyway."""
        rise, climbing = self.layers[other] - self.layers[layer], self.climbing
        if not on_the_way:
            return climbing.time_s(rise), climbing.cost_s(rise)
        return climbing.stop_s + climbing.time_s(rise), climbing.stop_cost_s + climbing.cost_s(rise)


def ends_of(space: Space) -> Ends:
    """The ends of the space's request."""
    request = space.request
    climbs, descents = [], []
    nearest = min(space.layers, key=lambda layer: abs(layer - request.start_agl_m))
    for number, layer in enumerate(space.layers):
        up, down = layer - request.start_agl_m, request.goal_agl_m - layer
        time_s = request.climbing.time_s(up)
        shut = _shut(space, number, at_start=True)
        # In the air another layer than the nearest is reached by steps, which are looked at.
        reached = not request.in_air or layer == nearest
        free = (
            outside((0.0, _wait_s(request)), [(a - time_s, b) for spans in shut for a, b in spans]) if reached else []
        )
        climbs.append(Climb(time_s, request.climbing.cost_s(up), tuple(free)))
        shut = _shut(space, number, at_start=False)
        descents.append(Descent(request.climbing.time_s(down), request.climbing.cost_s(down), shut))
    return Ends(space.layers, request.climbing, tuple(climbs), tuple(descents))


def _wait_s(request: RouteRequest) -> float:
    return max(0.0, (request.latest_depart_s or request.depart_s) - request.depart_s)


def _shut(space: Space, number: int, *, at_start: bool) -> tuple[Spans, ...]:
    request, scene, layer = space.request, space.scenes[number], space.layers[number]
    if at_start and request.in_air:
        return ()  # where the vehicle is it must leave, whatever has closed around it
    if any(margin < MIN_MARGIN_M * 0.5 for margin in scene.tightened.values()) and not request.in_air:
        return (ALWAYS,)
    at, low = (request.start, request.start_agl_m) if at_start else (request.goal, request.goal_agl_m)
    if scene.keep_in is not None and not scene.keep_in.covers(shapely.Point(scene.frame.to_xy([at])[0])):
        return (ALWAYS,)
    return tuple(spans for _, spans in space.column(at, low, layer))
