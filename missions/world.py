"""The standing data that plans are made against, and one plan against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from missions.decision.payload import quantile
from missions.draw import Assurance, Draw
from missions.plan import Ending, Infeasible, OnBoard, Plan
from missions.planning import PlanRequest, make_plan
from missions.routing.route import Corridor
from missions.sites import Site, SiteKind
from missions.snapshot import Wind
from missions.vehicles import Vehicle

_FOR_WANT_OF_RESERVE = frozenset({"reserve", "no_alternate", "alternate_reserve"})


@dataclass(frozen=True, slots=True)
class PlanningNumbers:
    """What every plan of the fleet obeys; configuration `planning:`."""

    layers_agl_m: tuple[float, ...] = (80.0, 95.0, 65.0)
    ceiling_agl_m: float = 120.0
    margin_m: float = 30.0
    drop_height_agl_m: float = 8.0
    reserve_pct: float = 20.0
    min_p_reach: float = 0.95
    battery_margin_pct: float = 2.0
    """a departure ends that much above the reserve with that probability: what the policy asks for in the air"""
    corridor_width_m: float = 100.0
    launch_spacing_s: float = 20.0
    require_contingency: bool = True
    """no take-off where PX4's own return, should the link die, would not be legal from every place of the route"""
    corridors: tuple[Corridor, ...] = ()
    """ways that departures like to take; in the air the shortest way counts"""


@dataclass(frozen=True, slots=True)
class World:
    """The standing data a plan is made against."""

    sites: Mapping[str, Site]
    airspace: Airspace
    authorised: frozenset[str]
    terrain: Terrain
    numbers: PlanningNumbers


def plan_to(
    world: World,
    vehicle: Vehicle,
    *,
    plan_id: str,
    start: LatLon,
    start_amsl_m: float,
    take_off: bool,
    goal: Site,
    ending: Ending,
    home: Site,
    payload_kg: float,
    battery_pct: float,
    wind: Wind,
    layer_agl_m: float,
    depart_s: float,
    on_board: OnBoard | None = None,
    velocity_m_s: tuple[float, float] | None = None,
    latest_depart_s: float | None = None,
    draw: Draw | None = None,
    draft: bool = False,
) -> Plan | Infeasible:
    """One plan against the world's airspace and numbers; after a drop the way home is part of its energy.

    A departure that zones do not let go now, in its layer, may with `latest_depart_s` use all of the fleet's layers and
    wait on the pad until then.

    In the air a way to a landing that does not keep the reserve is still a way: it is given where there is no better
    one, and whether it is flown is not decided here.
    """
    numbers = world.numbers
    request = PlanRequest(
        plan_id=plan_id,
        start=start,
        start_amsl_m=start_amsl_m,
        take_off=take_off,
        goal=goal,
        ending=ending,
        home=home,
        alternates=tuple(s for s in world.sites.values() if s.kind in (SiteKind.ALTERNATE, SiteKind.REICING)),
        vehicle=vehicle.type,
        payload_kg=payload_kg,
        battery_pct=battery_pct,
        wind=wind,
        depart_s=depart_s,
        airspace=world.airspace,
        authorised=world.authorised,
        terrain=world.terrain,
        cruise_agl_m=layer_agl_m,
        drop_height_agl_m=numbers.drop_height_agl_m,
        ceiling_agl_m=numbers.ceiling_agl_m,
        margin_m=numbers.margin_m,
        reserve_pct=numbers.reserve_pct,
        then_home=ending is Ending.HOLD_AT_DROP,
        on_board=on_board,
        velocity_m_s=velocity_m_s,
        assurance=Assurance(quantile(numbers.min_p_reach), numbers.battery_margin_pct, draw),
        require_contingency=numbers.require_contingency,
        corridors=numbers.corridors if take_off else (),
        draft=draft,
    )
    made = make_plan(request)
    if isinstance(made, Infeasible) and take_off and latest_depart_s is not None and made.zone_ids:
        wider = replace(request, layers_agl_m=numbers.layers_agl_m, latest_depart_s=max(depart_s, latest_depart_s))
        other = make_plan(wider)
        return other if isinstance(other, Plan) else made
    if isinstance(made, Plan) or ending is not Ending.LAND or take_off:
        return made
    spent = all(reason.code in _FOR_WANT_OF_RESERVE for reason in made.reasons)
    return make_plan(replace(request, reserve_pct=0.0)) if spent else made
