"""The candidates of one flight: everything its vehicle could do now, each with a route, energy and outlook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from geofences.airspace import Airspace
from geofences.geodesy import LatLon, bearing_deg, distance_m
from geofences.heights import Terrain
from missions.coldchain.forecast import Arrival
from missions.decision.payload import quantile
from missions.decision.types import Candidate, CandidateKind, FlightPhase, Forecast, LastLine
from missions.delivery import Flight
from missions.draw import Assurance, Draw, end_pct, left_pct
from missions.energy import FREE, climb_cost, hover_cost, leg_energy
from missions.lastline import last_line
from missions.orders import Order
from missions.plan import Ending, Infeasible, OnBoard, Plan, Waypoint
from missions.planning import DROP_HOVER_S, PlanRequest, make_plan
from missions.routing.conflict import progress
from missions.routing.route import Corridor
from missions.sites import Site, SiteKind
from missions.snapshot import Position, VehicleState, Wind
from missions.vehicles import Vehicle, VehicleType

TURNAROUND_S = 60.0
"""time on the pad of a re-icing station besides the swap itself: spool-down, checks, upload"""
MOST_ALTERNATES = 3
"""a region has dozens of landing sites, and a vehicle in trouble has use for a near one"""
_FOR_WANT_OF_RESERVE = frozenset({"reserve", "no_alternate", "alternate_reserve"})
_TO_DESTINATION = frozenset({CandidateKind.CONTINUE, CandidateKind.REROUTE, CandidateKind.DELIVER})

Outlook = Callable[[float, float | None, float], Arrival | None]
"""(arrive_s, time of the pack swap or None, mean height of the way in m AMSL) → what the dose will be like there"""


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


@dataclass(frozen=True, slots=True)
class Situation:
    flight: Flight
    order: Order
    vehicle: Vehicle
    state: VehicleState
    world: World
    free_sites: frozenset[str]
    """sites with a pad for this vehicle"""
    reroute: bool
    """the present plan meets a closed zone"""
    outlook: Outlook
    now_s: float


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


def gross_payload_kg(flight: Flight) -> float:
    """Box and content while they are on board."""
    return flight.payload_kg + flight.box.empty_mass_kg if flight.payload_on_board else 0.0


def energy_end(
    plan: Plan, state: VehicleState, vehicle: VehicleType, payload_kg: float, draw: Draw | None = None
) -> Forecast | None:
    """Battery percent at the end of the plan (with its way home after a drop), from the present battery and place.

    What is left to fly costs what the plan says, or what it costs in the wind of now where that is more; and by what
    the vehicle is known to draw for it.
    """
    if state.battery is None or state.position is None:
        return None
    at = progress(plan, state.position.value.point, state.position.value.alt_amsl_m)
    leg = plan.legs[at.leg_index]
    flown = min(1.0, max(0.0, at.along_m / leg.length_m)) if leg.length_m > 0 else 0.0
    flown_wh = sum(leg.energy_wh for leg in plan.legs[: at.leg_index]) + flown * leg.energy_wh
    to_go_wh = max(0.0, plan.energy.use_wh - flown_wh)
    loaded_wh, empty_wh = _to_go_wh(plan, at.leg_index, flown, vehicle, payload_kg, wind_of(state))
    in_wind_wh = loaded_wh + empty_wh
    pct = 100.0 * max(to_go_wh, in_wind_wh) / vehicle.battery_wh
    empty_pct = pct * empty_wh / in_wind_wh if in_wind_wh > 0.0 and payload_kg > 0.0 else 0.0
    return end_pct(draw, left_pct(draw, state), pct - empty_pct, empty_pct)


def _to_go_wh(
    plan: Plan, leg_index: int, flown: float, vehicle: VehicleType, payload_kg: float, wind: Wind
) -> tuple[float, float]:
    """Of the rest of the plan in this wind, with the load of now and without; where it cannot be held, all that a
    battery has."""
    way = [(leg.start, leg.end) for leg in plan.legs]
    shares = [1.0 - flown, *[1.0] * len(way)]
    rest = [(leg, share, payload_kg) for leg, share in zip(way[leg_index:], shares, strict=False)]
    after = FREE
    if plan.ending is Ending.HOLD_AT_DROP:
        over_home = Waypoint(plan.home, plan.home_amsl_m + plan.cruise_agl_m, 0.0)
        # A plan made in the air does not lead from home: straight there is the least that its way home can be.
        back = [(end, start) for start, end in reversed(way)] if plan.take_off else [(way[-1][1], over_home)]
        rest += [(leg, 1.0, 0.0) for leg in back]
        after = hover_cost(vehicle, payload_kg, DROP_HOVER_S) + climb_cost(vehicle, 0.0, -plan.cruise_agl_m)
    loaded_wh, empty_wh = after.energy_wh, 0.0
    for (start, end), share, carried_kg in rest:
        cost = leg_energy(
            vehicle,
            carried_kg,
            length_m=distance_m(start.position, end.position),
            track_deg=bearing_deg(start.position, end.position),
            climb_m=end.alt_amsl_m - start.alt_amsl_m,
            wind=wind,
        )
        if cost is None:
            return vehicle.battery_wh, 0.0
        if carried_kg > 0.0:
            loaded_wh += share * cost.energy_wh
        else:
            empty_wh += share * cost.energy_wh
    return loaded_wh, empty_wh


def time_left_s(plan: Plan, here: Position) -> float:
    """Planned time from where the vehicle is on its plan to the plan's end."""
    at = progress(plan, here.point, here.alt_amsl_m)
    leg = plan.legs[at.leg_index]
    rise_m = leg.end.alt_amsl_m - leg.start.alt_amsl_m
    if leg.length_m > 0:
        share = at.along_m / leg.length_m
    elif rise_m:
        share = (here.alt_amsl_m - leg.start.alt_amsl_m) / rise_m
    else:
        share = 1.0
    start_s, end_s = leg.start.eta_s, leg.end.eta_s
    return plan.arrive_s - (start_s + min(1.0, max(0.0, share)) * (end_s - start_s))


def candidates(s: Situation) -> Iterator[Candidate]:
    """All feasible candidates, the present plan first. Routes that cannot be are left out: there is nothing to fly.

    Each takes some milliseconds of planning, so that a caller on an event loop can let others in between two. Another
    way to the same place and the way home are ready to be flown: they are what is wanted at once, by many together.
    What leads elsewhere is a draft, of which `proven` makes what may be flown.
    """
    flight, sites, plan = s.flight, s.world.sites, s.flight.plan
    if plan is None or s.state.position is None or s.state.battery is None:
        return
    yield _continue(s, plan)
    if s.reroute and isinstance(again := _reroute(s, plan), Candidate):
        yield again
    elsewhere: list[tuple[CandidateKind, Site]] = []
    goal = s.order.destination_site
    # Its pad was given up when it turned away: another flight may be bound for it by now.
    if flight.may_deliver and flight.phase is FlightPhase.INBOUND and flight.payload_on_board and goal in s.free_sites:
        elsewhere.append((CandidateKind.DELIVER, sites[goal]))
    if flight.payload_on_board and flight.directive in _TO_DESTINATION:
        elsewhere += [(CandidateKind.REICE, station) for station in _of_kind(s, SiteKind.REICING)]
    if flight.goal_site != flight.home_site:
        elsewhere.append((CandidateKind.RETURN, sites[flight.home_site]))
    for kind, site in elsewhere:
        ready = kind is CandidateKind.RETURN
        if isinstance(found := _elsewhere(s, kind, site, draft=not ready), Candidate):
            yield found
    yield from _alternates(s, s.state.position.value.point)


def _alternates(s: Situation, here: LatLon) -> Iterator[Candidate]:
    """The nearest by the way there, and others only until no straight way could be shorter."""
    away_m = {
        site.site_id: distance_m(here, site.position)
        for site in _of_kind(s, SiteKind.ALTERNATE)
        if site.site_id != s.flight.goal_site
    }
    ways_m: list[float] = []
    for site_id in sorted(away_m, key=away_m.__getitem__):
        if len(ways_m) >= MOST_ALTERNATES and sorted(ways_m)[MOST_ALTERNATES - 1] <= away_m[site_id]:
            return
        found = _elsewhere(s, CandidateKind.ALTERNATE, s.world.sites[site_id], draft=True)
        if isinstance(found, Candidate):
            ways_m.append(found.plan.length_m)
            yield found


def proven(s: Situation, draft: Candidate) -> Candidate | Infeasible:
    """The candidate planned anew from the situation, with its ways out, and checked: or why it may not be flown."""
    return _elsewhere(s, draft.kind, s.world.sites[draft.site_id], draft=False)


def _elsewhere(s: Situation, kind: CandidateKind, site: Site, *, draft: bool) -> Candidate | Infeasible:
    if kind is CandidateKind.REICE:
        return _reice(s, site, draft=draft)
    ending = Ending.HOLD_AT_DROP if kind is CandidateKind.DELIVER else Ending.LAND
    plan = _plan_from_here(s, site, ending, f"{kind}-{site.site_id}", draft=draft)
    if isinstance(plan, Infeasible):
        return plan
    return _candidate(s, kind, plan, _planned_end(s, plan), plan.arrive_s, None)


def _of_kind(s: Situation, kind: SiteKind) -> list[Site]:
    return [x for x in s.world.sites.values() if x.kind is kind and x.site_id in s.free_sites]


def _continue(s: Situation, plan: Plan) -> Candidate:
    energy = energy_end(plan, s.state, s.vehicle.type, gross_payload_kg(s.flight), s.flight.draw)
    if energy is None:
        raise ValueError("candidates need a position and a battery reading")
    assert s.state.position is not None
    arrive_s = s.now_s + time_left_s(plan, s.state.position.value)
    if s.flight.directive is CandidateKind.REICE:
        # At the station the product waits for its new pack in the box as it is.
        arrive_s += s.world.sites[s.flight.goal_site].reice_s
    ahead = last_line(plan, s.state.position.value)
    return _candidate(s, CandidateKind.CONTINUE, plan, energy, arrive_s, None, ahead)


def _reroute(s: Situation, plan: Plan) -> Candidate | Infeasible:
    goal = s.world.sites[s.flight.goal_site]
    other = _plan_from_here(s, goal, plan.ending, "reroute", draft=False)
    if isinstance(other, Infeasible):
        return other
    return _candidate(s, CandidateKind.REROUTE, other, _planned_end(s, other), other.arrive_s, None)


def _reice(s: Situation, station: Site, *, draft: bool) -> Candidate | Infeasible:
    """To the station, then on to the destination and home: both flights must be feasible before the first is flown."""
    first = _plan_from_here(s, station, Ending.LAND, f"reice-{station.site_id}", draft=draft)
    if isinstance(first, Infeasible):
        return first
    leave_s = first.arrive_s + station.reice_s + TURNAROUND_S
    second = plan_to(
        s.world,
        s.vehicle,
        plan_id="",
        start=station.position,
        start_amsl_m=station.elevation_amsl_m,
        take_off=True,
        goal=s.world.sites[s.order.destination_site],
        ending=Ending.HOLD_AT_DROP,
        home=s.world.sites[s.flight.home_site],
        payload_kg=gross_payload_kg(s.flight),
        battery_pct=_planned_end(s, first).mean,
        wind=wind_of(s.state),
        layer_agl_m=s.flight.layer_agl_m,
        depart_s=leave_s,
        draw=s.flight.draw,
        draft=draft,
    )
    if isinstance(second, Infeasible):
        return second
    reice_at_s, on, then = first.arrive_s + station.reice_s, last_line(first), last_line(second)
    both = LastLine(on.bad_s + then.bad_s, on.left_s + then.left_s)
    return _candidate(s, CandidateKind.REICE, first, _planned_end(s, first, second), second.arrive_s, reice_at_s, both)


def _plan_from_here(s: Situation, goal: Site, ending: Ending, label: str, *, draft: bool) -> Plan | Infeasible:
    here, battery = s.state.position, s.state.battery
    assert here is not None
    assert battery is not None
    return plan_to(
        s.world,
        s.vehicle,
        plan_id=f"{s.flight.flight_id}-{label}-{s.now_s:.1f}",
        start=here.value.point,
        start_amsl_m=here.value.alt_amsl_m,
        take_off=False,
        goal=goal,
        ending=ending,
        home=s.world.sites[s.flight.home_site],
        payload_kg=gross_payload_kg(s.flight),
        battery_pct=left_pct(s.flight.draw, s.state),
        wind=wind_of(s.state),
        layer_agl_m=s.flight.layer_agl_m,
        depart_s=s.now_s,
        on_board=s.flight.plan.on_board if s.flight.plan is not None else None,
        velocity_m_s=ground_velocity(s.state),
        draft=draft,
    )


def ground_velocity(state: VehicleState) -> tuple[float, float] | None:
    """North and east in m/s; None where it is not known."""
    return None if state.velocity is None else (state.velocity.value.north_m_s, state.velocity.value.east_m_s)


def wind_of(state: VehicleState) -> Wind:
    """As the vehicle estimates it; calm where it does not."""
    return state.wind.value if state.wind is not None else Wind(0.0, 0.0)


def _planned_end(s: Situation, *plans: Plan) -> Forecast:
    """After plans that begin here, each where the one before it ends."""
    total_wh = sum(plan.energy.use_wh for plan in plans)
    # What comes after the legs of a plan is the way home from a drop.
    home_wh = total_wh - sum(leg.energy_wh for plan in plans for leg in plan.legs) if s.flight.payload_on_board else 0.0
    of_battery = 100.0 / s.vehicle.type.battery_wh
    draw = s.flight.draw
    return end_pct(draw, left_pct(draw, s.state), of_battery * (total_wh - home_wh), of_battery * home_wh)


def _candidate(
    s: Situation,
    kind: CandidateKind,
    plan: Plan,
    energy: Forecast,
    arrive_s: float,
    reice_at_s: float | None,
    ahead: LastLine | None = None,
) -> Candidate:
    """`ahead`: over all that it flies; None: that is the plan."""
    kept_s = arrive_s + _handover_s(s, kind, plan)
    dose = s.outlook(kept_s, reice_at_s, _mean_amsl_m(plan)) if s.flight.payload_on_board else None
    return Candidate(
        kind=kind,
        site_id=s.flight.goal_site if kind is CandidateKind.CONTINUE else plan.goal_site,
        plan=plan,
        energy_end_pct=energy,
        arrive_s=arrive_s,
        product_temp_c=dose.temp_c if dose is not None else None,
        p_in_range=dose.p_in_range if dose is not None else None,
        budget_left_min=dose.budget_left_min if dose is not None else (),
        p_on_time=1.0 if arrive_s <= s.order.deadline_s else 0.0,
        last_line=last_line(plan) if ahead is None else ahead,
    )


def _handover_s(s: Situation, kind: CandidateKind, plan: Plan) -> float:
    """From the arrival until the dose is in cold storage: it stays in its box until then."""
    if kind is CandidateKind.CONTINUE and s.flight.directive is CandidateKind.REICE:
        return 0.0  # to a station, and on with a fresh pack
    return s.world.sites[s.order.destination_site if kind is CandidateKind.REICE else plan.goal_site].cold_after_s


def _mean_amsl_m(plan: Plan) -> float:
    """Over the plan's waypoints: a degree of air for 150 m, so that how long it is at each of them does not matter."""
    heights = [w.alt_amsl_m for w in plan.waypoints]
    return sum(heights) / len(heights)


def nearest_hub(sites: Mapping[str, Site], to: LatLon) -> Site | None:
    """The hub nearest to a place."""
    hubs = [site for site in sites.values() if site.kind is SiteKind.HUB]
    return min(hubs, key=lambda hub: distance_m(hub.position, to), default=None)
