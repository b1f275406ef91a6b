"""The candidates of one flight: everything its vehicle could do now, each with a route, energy and outlook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from geofences.geodesy import LatLon, distance_m
from missions.coldchain.forecast import Arrival
from missions.decision.types import Candidate, CandidateKind, FlightPhase, Forecast, LastLine
from missions.delivery import Flight
from missions.draw import end_pct, left_pct
from missions.lastline import last_line
from missions.orders import Order
from missions.plan import Ending, Infeasible, Plan
from missions.sites import Site, SiteKind
from missions.snapshot import VehicleState
from missions.togo import energy_end, time_left_s, wind_of
from missions.vehicles import Vehicle
from missions.world import World, plan_to

TURNAROUND_S = 60.0
"""time on the pad of a re-icing station besides the swap itself: spool-down, checks, upload"""
MOST_ALTERNATES = 3
"""a region has dozens of landing sites, and a vehicle in trouble has use for a near one"""
_TO_DESTINATION = frozenset({CandidateKind.CONTINUE, CandidateKind.REROUTE, CandidateKind.DELIVER})

Outlook = Callable[[float, float | None, float], Arrival | None]
"""(arrive_s, time of the pack swap or None, mean height of the way in m AMSL) → what the dose will be like there"""


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


def gross_payload_kg(flight: Flight) -> float:
    """Box and content while they are on board."""
    return flight.payload_kg + flight.box.empty_mass_kg if flight.payload_on_board else 0.0


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
