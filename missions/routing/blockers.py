"""Why there is no route: a smallest set of zones that block, and what would unblock, each way planned with.

Smallest by inclusion: with all of the set open there is a route, with any one of them closed there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from geofences.bands import outer_band
from geofences.times import HORIZON_S
from geofences.volumes import Restriction, Role, Zone
from missions.plan import Infeasible, Reason
from missions.routing.explain import kind, label
from missions.routing.route import Route, RouteRequest
from missions.routing.scene import VERTICAL_MARGIN_M

Solve = Callable[[RouteRequest], Route | Infeasible]
Stop = Callable[[], bool]

LOWEST_LAYER_M = 20.0
"""no lower cruise height is proposed: trees, masts and houses are not in the airspace"""
_MAX_TRIED = 24
"""zones looked at one by one; of more the set named may not be the smallest"""
_JUST_M = 0.5


def blockers(request: RouteRequest, refused: Infeasible, solve: Solve, stop: Stop) -> Infeasible:
    """The refusal with the smallest set of zones and verified fixes; as it is where no zone is at fault."""
    if not refused.zone_ids:
        return refused
    ids = _enough(request, refused.zone_ids, solve, stop)
    if ids is None:
        return refused
    ids = _fewest(request, ids, solve, stop)
    zones = [z for z in request.airspace.zones if z.zone_id in ids]
    fix = "; or ".join(_fixes(request, zones, solve, stop))
    said = {r.text: r for r in refused.reasons if r.code in ("inside_zone", "outside", "too_near")}
    reasons = tuple(
        next(
            (replace(r, fix=fix) for text, r in said.items() if label(z) in text),
            Reason("blocked", f"every way is closed by {label(z)} ({kind(z)})", fix),
        )
        for z in zones
    )
    return Infeasible(reasons, tuple(z.zone_id for z in zones))


def _enough(request: RouteRequest, ids: Sequence[str], solve: Solve, stop: Stop) -> list[str] | None:
    """Zones that suffice when all of them are open; None if none do."""
    found = dict.fromkeys(ids)
    while not stop():
        made = solve(_open(request, found))
        if isinstance(made, Route):
            return list(found)
        if not set(made.zone_ids) - found.keys():
            return None
        found |= dict.fromkeys(made.zone_ids)
    return None


def _fewest(request: RouteRequest, ids: list[str], solve: Solve, stop: Stop) -> list[str]:
    # The keep-ins are one: to leave them is to leave their union.
    inner = [z.zone_id for z in request.airspace.keep_ins() if z.zone_id in ids]
    groups = [[i] for i in ids if i not in inner] + ([inner] if inner else [])
    left = list(groups)
    for group in groups[:_MAX_TRIED]:
        if stop():
            break
        fewer = [g for g in left if g is not group]
        if isinstance(solve(_open(request, [i for g in fewer for i in g])), Route):
            left = fewer
    return [i for g in left for i in g]


def _open(request: RouteRequest, ids: Sequence[str] | dict[str, None]) -> RouteRequest:
    airspace = request.airspace
    for zone_id in ids:
        if airspace.zone(zone_id) is not None:  # what a fence on board stands for may be gone from the airspace
            airspace = airspace.without_zone(zone_id)
    return replace(request, airspace=airspace)


def _fixes(request: RouteRequest, zones: Sequence[Zone], solve: Solve, stop: Stop) -> Iterator[str]:
    if any(z.role is Role.KEEP_IN for z in zones):
        yield "extend the keep-in boundary"
    elif all(z.restriction is not Restriction.PROHIBITED for z in zones):
        ids = frozenset(z.zone_id for z in zones)
        if not stop() and isinstance(solve(replace(request, authorised=request.authorised | ids)), Route):
            yield f"authorise {' and '.join(sorted(ids))}"
    for text, layer in _other_heights(request, zones):
        if not stop() and isinstance(solve(replace(request, layers_agl_m=(layer,))), Route):
            yield text
    if any(z.applicability for z in zones) and not request.in_air and request.window_s is None and not stop():
        later = solve(replace(request, latest_depart_s=request.depart_s + HORIZON_S))
        if isinstance(later, Route):
            at = datetime.fromtimestamp(60.0 * -(-later.depart_s // 60.0), UTC)
            yield f"depart at {at:%Y-%m-%d %H:%M} UTC"


def _other_heights(request: RouteRequest, zones: Sequence[Zone]) -> Iterator[tuple[str, float]]:
    """Cruise heights just below and above the zones."""
    bands = [outer_band(v, request.terrain) for z in zones if z.role is Role.KEEP_OUT for v in z.volumes]
    if not bands:
        return
    below = min(b.lower_m for b in bands) - VERTICAL_MARGIN_M
    above = max(b.upper_m for b in bands) + VERTICAL_MARGIN_M
    if below - _JUST_M >= LOWEST_LAYER_M:
        yield f"fly below {below:.0f} m above ground", below - _JUST_M
    if above + _JUST_M <= request.ceiling_agl_m:
        yield f"fly above {above:.0f} m above ground", above + _JUST_M
