"""From legs to a plan: its ways out, PX4's own returns, the fence on board, and the checker's word on all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geofences.geodesy import LocalFrame
from missions import contingency, fence
from missions.contingency import Carrier
from missions.energy import LegCost
from missions.plan import Alternate, Ending, EnergyBudget, FenceSet, Infeasible, Leg, Plan, RallyPoint, Reason
from missions.planrequest import PlanRequest
from missions.returns import CLEAR_M, Envelope, Returns, return_band
from missions.routing.checker import TIME_SLACK_S, Rules, Violation, check_plan
from missions.routing.homeward import DOUBTS
from missions.routing.on_board import on_board
from missions.routing.route import Route
from missions.routing.scene import Scene, View, band_at
from missions.routing.static import column_block
from missions.sites import Site, SiteKind
from missions.vehicles import Airframe

Array = NDArray[np.float64]


def scene_for(
    request: PlanRequest, frame: LocalFrame, layer_agl_m: float, end_s: float, near: tuple[Array, ...]
) -> Scene:
    """What is closed to the request at one layer from its departure on, with the fence on board."""
    margin = request.margin_m + request.vehicle.min_turn_radius_m
    view = View(band_at(layer_agl_m), request.depart_s, end_s, margin, request.authorised, request.ceiling_agl_m)
    held = request.on_board.fence if request.on_board is not None and not request.take_off else None
    more = on_board(held, frame, margin, near)
    return Scene(request.airspace, request.terrain, frame, view, near, more)


def proven_plan(
    request: PlanRequest, scene: Scene, route: Route, legs: list[Leg], after: LegCost, *, timed: bool
) -> Plan | Infeasible:
    """The plan with everything that goes along with its legs; of a draft only what a comparison looks at.

    `timed`: each leg has been planned for the time and the height that it is flown at, and so are its ways out.
    """
    used = np.cumsum([leg.energy_wh for leg in legs]).tolist()
    nodes = scene.frame.to_xy([legs[0].start.position, *(leg.end.position for leg in legs)])
    carrier = Carrier(request.vehicle, request.payload_kg, request.wind, request.battery_pct)
    landing = [request.goal] if request.ending is Ending.LAND else []
    cruise, kept = request.cruise_agl_m, request.on_board
    sites: list[Site] = []
    if kept is None or not request.draft:
        sites = contingency.usable(scene, [request.home, *request.alternates, *landing], cruise)
    alternates: list[tuple[Alternate, ...]] = [()] * len(legs)
    if timed and not request.draft:
        alternates = _timed_alternates(request, scene, legs, nodes, used, sites, carrier)
    elif not request.draft:
        alternates = contingency.leg_alternates(scene, nodes, used, sites, carrier, cruise, request.reserve_pct)
    envelope, rally, held = _last_line(request, scene, legs, nodes, sites, carrier, used)
    notes = route.reasons
    if not envelope.full:
        why = Reason("rtl", _without_return(envelope, legs), "add a landing site near there, or keep the link up there")
        if request.require_contingency and request.take_off:
            return Infeasible((why,))
        notes = (*notes, why)
    use_wh = used[-1] + after.energy_wh
    return Plan(
        plan_id=request.plan_id,
        goal_site=request.goal.site_id,
        ending=request.ending,
        take_off=request.take_off,
        legs=tuple(
            replace(leg, alternates=ways, returns=returns)
            for leg, ways, returns in zip(legs, alternates, envelope.per_leg, strict=True)
        ),
        fence=held,
        rally=rally,
        energy=EnergyBudget(request.battery_pct, use_wh, carrier.left_pct(use_wh), request.reserve_pct),
        home=request.home.position,
        home_amsl_m=request.home.elevation_amsl_m,
        cruise_agl_m=cruise,
        depart_s=request.depart_s,
        arrive_s=legs[-1].end.eta_s,
        airspace_version=request.airspace.version,
        checked_by="" if request.draft else check_plan.__module__,
        exits_zone=route.exits_zone,
        notes=notes,
    )


def _timed_alternates(
    request: PlanRequest,
    scene: Scene,
    legs: list[Leg],
    nodes: Array,
    used_wh: list[float],
    sites: list[Site],
    carrier: Carrier,
) -> list[tuple[Alternate, ...]]:
    """Of each leg at the height that it is flown at, by what is closed from then on."""
    found = []
    for i, leg in enumerate(legs):
        ground = request.terrain.ground_amsl_m(leg.start.position)
        layer = max(leg.start.alt_amsl_m, leg.end.alt_amsl_m) - (ground if ground is not None else 0.0)
        begun = replace(request, depart_s=leg.start.eta_s - TIME_SLACK_S)
        there = scene_for(begun, scene.frame, layer, scene.view.end_s, (nodes[i], nodes[i + 1]))
        ends, used = nodes[i : i + 2], used_wh[i : i + 1]
        found += contingency.leg_alternates(there, ends, used, sites, carrier, layer, request.reserve_pct)
    return found


def _last_line(
    request: PlanRequest,
    scene: Scene,
    legs: list[Leg],
    nodes: Array,
    sites: list[Site],
    carrier: Carrier,
    used_wh: list[float],
) -> tuple[Envelope, tuple[RallyPoint, ...], FenceSet]:
    """What PX4 does without us: its returns, the rally points they lead to, and the fence that it holds."""
    rule, home = request.vehicle.returns, request.home
    if request.on_board is not None:
        others = [_at(rally, home) for rally in request.on_board.rally]
    else:
        landing = request.goal.site_id if request.ending is Ending.LAND else None
        others = [s for s in sites if s.site_id not in (home.site_id, landing)]
        if request.vehicle.airframe is Airframe.VTOL and request.ending is Ending.HOLD_AT_DROP:
            # PX4 returns a VTOL that hovers on its rotors, which do not carry it far: the pad below must be an answer.
            others += contingency.usable(scene, [request.goal], request.cruise_agl_m)
    there = scene.frame.to_xy([home.position, *(s.position for s in others)])
    band = return_band(rule, request.cruise_agl_m)
    longest_s = float(carrier.seconds(there[None, :, :] - nodes[:, None, :]).max())
    longest_s += band.upper_m / request.vehicle.climb_m_s + band.upper_m / request.vehicle.descent_m_s
    view = replace(
        scene.view,
        band=band,
        end_s=max(scene.view.end_s, legs[-1].end.eta_s + longest_s),
        margin_m=min(CLEAR_M, request.margin_m) + request.vehicle.min_turn_radius_m,
    )
    near = (nodes[0], nodes[-1], *there)
    held = request.on_board.fence if request.on_board is not None else None
    more = on_board(held, scene.frame, view.margin_m, near)
    sky = Scene(request.airspace, request.terrain, scene.frame, view, near, more)
    found = Returns(
        sky,
        legs,
        [home, *others],
        rule,
        on_rotors=request.vehicle.airframe is Airframe.VTOL,
        shut=[_closed_over(sky, s) for s in (home, *others)],
    )
    everything = range(1, 1 + len(others))
    chosen = everything if request.on_board is not None else found.best_rally()
    envelope = found.envelope(chosen, carrier, used_wh, request.reserve_pct)
    top = max(view.band.upper_m, request.ceiling_agl_m)
    if request.on_board is not None and request.draft:
        return envelope, request.on_board.rally, request.on_board.fence
    if request.on_board is not None:
        return envelope, request.on_board.rally, fence.kept(sky, nodes, request.on_board.fence, top)
    rally = fence.rally_points([others[k - 1] for k in chosen], home)
    if request.draft:
        return envelope, rally, FenceSet(None, (), ())
    return envelope, rally, fence.fence_set(sky, nodes, there, envelope.swept, top)


def _closed_over(sky: Scene, site: Site) -> str:
    """Why a return must not come down there; empty if it may."""
    blocked = column_block(sky, site.position, 0.0, sky.view.band.upper_m, site.site_id)
    return "" if blocked is None else f"{site.site_id} is closed by {', '.join(blocked.zone_ids)}"


def _at(rally: RallyPoint, home: Site) -> Site:
    amsl_m = home.elevation_amsl_m + rally.alt_rel_home_m
    return Site(rally.site_id, rally.site_id, SiteKind.ALTERNATE, rally.position, amsl_m)


def _without_return(envelope: Envelope, legs: list[Leg]) -> str:
    bad = (r for returns in envelope.per_leg for r in returns if not r.legal)
    whys = dict.fromkeys(why for r in bad for why in r.reason.split("; "))
    share = 100.0 * envelope.illegal_share(legs)
    return f"on {share:.0f} % of the route PX4's own straight return would not be legal: {'; '.join(whys)}"


def checked(request: PlanRequest, plan: Plan) -> Plan | Infeasible:
    sites = {s.site_id: s for s in (request.home, *request.alternates, request.goal)}
    violations = check_plan(
        plan,
        Rules(
            airspace=request.airspace,
            authorised=request.authorised,
            terrain=request.terrain,
            ceiling_agl_m=request.ceiling_agl_m,
            reserve_pct=request.reserve_pct,
            vehicle=request.vehicle,
            payload_kg=request.payload_kg,
            wind=request.wind,
            goal=request.goal,
            sites=sites,
            require_contingency=request.require_contingency,
        ),
    )
    if violations and not (request.take_off and request.require_contingency):
        plan, violations = _undoubted(plan, violations)
    if not violations:
        return plan
    stranded = ", ".join(str(v.leg_index) for v in violations if v.code == "no_alternate")
    told = {"no_alternate": f"no legal place to land is within reach from leg {stranded}"}
    texts = dict.fromkeys((v.code, told.get(v.code, v.text)) for v in violations)
    reasons = [Reason(code, text, _FIXES.get(code, "")) for code, text in texts]
    return Infeasible(tuple(reasons), tuple(dict.fromkeys(v.zone_id for v in violations if v.zone_id)))


def sure(request: PlanRequest, plan: Plan) -> Plan | Infeasible:
    """The plan, or why its departure would be turned back in the air, where it must end above the reserve surely."""
    if request.assurance is None or not request.take_off:
        return plan
    low = request.assurance.low_end_pct(request.battery_pct, 100.0 * plan.energy.use_wh / request.vehicle.battery_wh)
    if low >= request.reserve_pct:
        return plan
    margin = request.assurance.margin_pct
    text = (
        f"{plan.energy.end_pct:.0f} % of battery left at the end on average, but only {low + margin:.0f} % for sure; "
        f"the reserve is {request.reserve_pct:.0f} % and {margin:.0f} % of margin"
    )
    return Infeasible((Reason("reserve", text, _FIXES["reserve"]),))


def _undoubted(plan: Plan, violations: tuple[Violation, ...]) -> tuple[Plan, tuple[Violation, ...]]:
    """The plan without what it said of PX4's returns and the checker did not find so, and what else is wrong with it.

    Such a doubt must not keep a vehicle in the air from a way down: it flies that way while there is a link.
    """
    whys = {v.leg_index: v.text for v in violations if v.code in DOUBTS}
    legs = tuple(
        replace(leg, returns=tuple(replace(r, legal=False, reason=r.reason or whys[i]) for r in leg.returns))
        if i in whys
        else leg
        for i, leg in enumerate(plan.legs)
    )
    return replace(plan, legs=legs), tuple(v for v in violations if v.code not in DOUBTS)


_FIXES = {
    "reserve": "charge the battery, carry less, or choose a nearer site",
    "no_alternate": "add an alternate landing site near the route, or charge the battery",
    "ceiling": "choose a lower cruise height",
}
