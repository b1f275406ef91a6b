"""Keeping vehicles apart: pads are reserved, launches spaced, and shared corridors flown at different heights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import shapely

from geofences.geodesy import LatLon, local_frame
from missions.plan import Plan


@dataclass(frozen=True, slots=True)
class PadBook:
    """Who has which site's pads. A pad is taken from the decision to fly there until the vehicle has left it."""

    capacity: Mapping[str, int]
    taken: Mapping[str, frozenset[str]]

    def free(self, site_id: str, vehicle_id: str) -> bool:
        """True if the site has a pad for this vehicle, or it has one already. Unknown sites have one pad."""
        holders = self.taken.get(site_id, frozenset())
        return vehicle_id in holders or len(holders) < self.capacity.get(site_id, 1)


def pad_book(capacity: Mapping[str, int], claims: Sequence[tuple[str, str]]) -> PadBook:
    """The book from (site_id, vehicle_id) claims: where each flight's present plan ends or the vehicle stands."""
    taken: dict[str, set[str]] = {}
    for site_id, vehicle_id in claims:
        taken.setdefault(site_id, set()).add(vehicle_id)
    return PadBook(capacity, {site: frozenset(ids) for site, ids in taken.items()})


def launch_wait_s(last_launch_s: float | None, spacing_s: float, now_s: float) -> float:
    """How long a launch from a site must still wait so that launches are `spacing_s` apart; 0 when it may go."""
    return 0.0 if last_launch_s is None else max(0.0, last_launch_s + spacing_s - now_s)


def choose_layer(
    route: Sequence[LatLon], layers_agl_m: Sequence[float], others: Sequence[Plan], width_m: float
) -> float:
    """The first cruise layer that no other flight uses within `width_m` of this route; else the least used one."""
    if len(route) < 2:
        return layers_agl_m[0]
    frame = local_frame(route[0])
    corridor = shapely.LineString(frame.to_xy(route)).buffer(width_m)
    shared = [
        plan
        for plan in others
        if len(plan.waypoints) > 1
        and corridor.intersects(shapely.LineString(frame.to_xy([w.position for w in plan.waypoints])))
    ]
    use = {layer: sum(abs(plan.cruise_agl_m - layer) < 1.0 for plan in shared) for layer in layers_agl_m}
    return min(layers_agl_m, key=lambda layer: use[layer])
