"""Ways out: for every point of every leg the sites that can be reached legally, with the reserve, in the wind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from missions.energy import FREE, LegCost, climb_cost, cruise_power_w
from missions.plan import Alternate
from missions.routing.pace import Pace
from missions.routing.scene import Scene
from missions.routing.static import column_block
from missions.routing.tangent import Path
from missions.sites import Site
from missions.snapshot import Wind
from missions.vehicles import VehicleType

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Carrier:
    """The vehicle as energy sees it."""

    vehicle: VehicleType
    payload_kg: float
    wind: Wind
    start_pct: float

    def left_pct(self, used_wh: float) -> float:
        return self.start_pct - 100.0 * used_wh / self.vehicle.battery_wh

    def seconds(self, ways: Array) -> Array:
        """Time of each straight way (n, 2: east, north) in the wind; inf where it cannot be held."""
        pace = Pace(self.vehicle.cruise_m_s, self.wind.east_m_s, self.wind.north_m_s)
        return pace.seconds(ways[..., 0], ways[..., 1])

    def way(self, time_s: float, descent_m: float) -> LegCost:
        """So long in cruise, and the descent at its end."""
        cruise = LegCost(time_s, cruise_power_w(self.vehicle, self.payload_kg) * time_s / 3600.0)
        return cruise + climb_cost(self.vehicle, self.payload_kg, -descent_m)

    def px4_return(self, time_s: float, climb_m: float, descent_m: float) -> LegCost:
        """So long in cruise, with the climb before and the descent after it."""
        up = climb_cost(self.vehicle, self.payload_kg, climb_m) if climb_m > 0.0 else FREE
        return up + self.way(time_s, descent_m)


def usable(scene: Scene, sites: Sequence[Site], cruise_agl_m: float) -> list[Site]:
    """Sites where a descent from cruise height is legal, once each."""
    unique = {s.site_id: s for s in sites}.values()
    return [s for s in unique if column_block(scene, s.position, 0.0, cruise_agl_m, s.site_id) is None]


def leg_alternates(
    scene: Scene,
    nodes: Array,
    used_wh: Sequence[float],
    sites: Sequence[Site],
    carrier: Carrier,
    cruise_agl_m: float,
    reserve_pct: float,
) -> list[tuple[Alternate, ...]]:
    """For each leg (from node i to node i + 1; `used_wh[i]` at its end) the sites that every point of it can reach.

    From a point of a leg one can fly back along it, which is legal, and on from its start by the legal way found from
    there, or the same by its end. The first takes longer the farther the point, the second the nearer; where the two
    are equal the better of them is at its worst. So the bound holds for every point, and what is carried is proven
    without looking at each.
    """
    if not sites:
        return [() for _ in range(len(nodes) - 1)]
    there = scene.frame.to_xy([s.position for s in sites])
    direct = there[None, :, :] - nodes[:, None, :]
    away = np.hypot(direct[..., 0], direct[..., 1])
    free = scene.field.free(np.repeat(nodes, len(sites), axis=0), np.tile(there, (len(nodes), 1)))
    ways = np.where(free.reshape(away.shape), away, np.inf)
    times = np.where(free.reshape(away.shape), carrier.seconds(direct), np.inf)
    steps = np.diff(nodes, axis=0)
    lengths, on_s, back_s = np.hypot(*steps.T), carrier.seconds(steps), carrier.seconds(-steps)
    for i in range(len(nodes) - 1):
        if np.isinf(ways[i]).all() and np.isinf(ways[i + 1]).all():
            _plan_ways(scene, nodes[i + 1], there, carrier, ways[i + 1], times[i + 1])
    for i in reversed(range(len(nodes) - 1)):
        if np.isinf(ways[i]).all():  # inside a zone that closed around the vehicle: first out along the route
            ways[i], times[i] = lengths[i] + ways[i + 1], on_s[i] + times[i + 1]
    reach_m = _worst(ways, lengths, lengths)
    reach_s = _worst(times, back_s, on_s)
    result = []
    for used, far, long in zip(used_wh, reach_m.tolist(), reach_s.tolist(), strict=True):
        found = []
        for site, way_m, way_s in zip(sites, far, long, strict=True):
            if not isfinite(way_s):
                continue
            cost = carrier.way(way_s, cruise_agl_m)
            left = carrier.left_pct(used + cost.energy_wh)
            if left >= reserve_pct:
                found.append(Alternate(site.site_id, way_m, cost.energy_wh, left))
        result.append(tuple(sorted(found, key=lambda a: a.distance_m)))
    return result


def _worst(ways: Array, back: Array, on: Array) -> Array:
    """(leg, site): the most that the better of going back to its start and on to its end comes to along a leg.

    `ways` (node, site) from the nodes; `back` and `on` (leg): all the way along it.
    """
    before, after, back, on = ways[:-1], ways[1:], back[:, None], on[:, None]
    both = np.isfinite(before) & np.isfinite(after)
    start, end = np.where(both, before, 0.0), np.where(both, after, 0.0)
    share = (on + end - start) / np.maximum(back + on, 1e-12)
    met = np.where(share < 0.0, on + end, start + back * np.minimum(share, 1.0))
    result: Array = np.where(both, met, np.minimum(back + before, on + after))
    return result


def _plan_ways(scene: Scene, node: Array, there: Array, carrier: Carrier, ways: Array, times: Array) -> None:
    """Planned ways home (the first site) and to the two nearest, where no straight one is free."""
    nearest = np.argsort(np.hypot(*(there - node).T))[:2].tolist()
    for k in {0, *nearest}:
        path = scene.field.shortest(node, there[k])
        if isinstance(path, Path):
            steps = np.diff(path.xy, axis=0)
            ways[k], times[k] = float(np.hypot(*steps.T).sum()), float(carrier.seconds(steps).sum())
