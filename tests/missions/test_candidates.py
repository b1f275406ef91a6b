"""What a vehicle could do now: which ways are offered, from where, with which load, energy, time and outlook."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from geofences.geodesy import distance_m
from geofences.volumes import Applicability, Zone
from missions.coldchain.forecast import Arrival
from missions.decision.types import Candidate, CandidateKind, FlightPhase, Forecast
from missions.delivery import Flight
from missions.draw import Draw, end_pct
from missions.energy import leg_energy
from missions.lastline import last_line
from missions.options import (
    MOST_ALTERNATES,
    TURNAROUND_S,
    Situation,
    candidates,
    gross_payload_kg,
    ground_velocity,
    nearest_hub,
    proven,
)
from missions.orders import Order, Priority
from missions.plan import Ending, Infeasible, Leg, Plan, Waypoint
from missions.planning import make_plan
from missions.sites import SiteKind
from missions.snapshot import Battery, Position, Timed, VehicleState, Velocity, Wind
from missions.togo import energy_end, time_left_s, wind_of
from missions.vehicles import Vehicle
from missions.world import PlanningNumbers, World, plan_to
from tests.missions.builders import BOX, HOME, flight
from tests.missions.builders import plan as straight_plan
from tests.routing.valley import CLOSURE, COURIER, GROUND, SITES, SUNDAY, VALLEY, at, circle, planned, request, site, xy

CONTINUE, REROUTE, REICE = CandidateKind.CONTINUE, CandidateKind.REROUTE, CandidateKind.REICE
RETURN, ALTERNATE, DELIVER = CandidateKind.RETURN, CandidateKind.ALTERNATE, CandidateKind.DELIVER
LOAD_KG = BOX.empty_mass_kg + 0.8
WORLD = World(SITES, VALLEY, frozenset(), GROUND, PlanningNumbers())
PLAN = planned(make_plan(request("koru", payload_kg=LOAD_KG, then_home=True)))
NOW = SUNDAY + 120.0
ORDER = Order("o1", "vaccine", "teral", "koru", "r-1", 0.8, 1.5, Priority.URGENT, SUNDAY + 7200.0, SUNDAY)
WARM = Arrival(Forecast(9.0, 0.4), 0.3, (("cool", Forecast(7.0, 1.0)),))


@dataclass
class Asked:
    """An outlook that notes what it is asked."""

    ways: list[tuple[float, float | None, float]] = field(default_factory=list)

    def __call__(self, arrive_s: float, reice_at_s: float | None, amsl_m: float) -> Arrival:
        self.ways.append((arrive_s, reice_at_s, amsl_m))
        return WARM


def loaded(**changes: Any) -> Flight:
    return flight(plan=PLAN, home_site="teral", **changes)


def over(share: float = 0.5) -> Position:
    """On the straight way to Koru, that much of it flown."""
    return Position(at(share * 6800, share * -2400), 500.0, 80.0)


def seen(here: Position | None = None, battery_pct: float = 80.0, **more: Any) -> VehicleState:
    return VehicleState("cw-1", battery=Timed(Battery(battery_pct), NOW), position=Timed(here or over(), NOW), **more)


def situation(f: Flight | None = None, state: VehicleState | None = None, **changes: Any) -> Situation:
    made = Situation(
        flight=f or loaded(),
        order=ORDER,
        vehicle=Vehicle("cw-1", COURIER, "teral", 1),
        state=state or seen(),
        world=WORLD,
        free_sites=frozenset(SITES),
        reroute=False,
        outlook=Asked(),
        now_s=NOW,
    )
    return replace(made, **changes)


def offered(s: Situation) -> dict[tuple[CandidateKind, str], Candidate]:
    return {(c.kind, c.site_id): c for c in candidates(s)}


# which ways there are


def test_a_loaded_flight_may_go_on_re_ice_go_home_or_land_at_an_alternate() -> None:
    assert list(offered(situation())) == [
        (CONTINUE, "koru"), (REICE, "midway"), (RETURN, "teral"), (ALTERNATE, "quarry"), (ALTERNATE, "ferry"),
    ]  # fmt: skip


def test_a_loaded_flight_that_turned_home_by_its_own_decision_may_deliver_after_all() -> None:
    home = offered(situation())[RETURN, "teral"].plan
    turned = loaded(phase=FlightPhase.INBOUND, directive=RETURN, goal_site="teral", may_deliver=True)
    found = offered(situation(replace(turned, plan=home)))
    again = found[DELIVER, "koru"]
    assert (again.plan.ending, again.plan.goal_site) == (Ending.HOLD_AT_DROP, "koru")
    assert again.energy_end_pct.mean < found[CONTINUE, "teral"].energy_end_pct.mean - 10.0  # there, and home again
    flown = proven(situation(replace(turned, plan=home)), again)
    assert isinstance(flown, Candidate)
    assert flown.plan.checked_by
    taken = situation(turned, free_sites=frozenset(SITES) - {"koru"})
    assert (DELIVER, "koru") not in offered(taken), "another flight is bound for the pad that it gave up"
    for other in ({"may_deliver": False}, {"payload_on_board": False}):
        assert (DELIVER, "koru") not in offered(situation(replace(turned, plan=home, **other)))


def test_a_site_without_a_free_pad_is_not_offered() -> None:
    assert list(offered(situation(free_sites=frozenset({"teral", "ferry"})))) == [
        (CONTINUE, "koru"), (RETURN, "teral"), (ALTERNATE, "ferry"),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["plan", "position", "battery"])
def test_without_a_plan_a_place_or_a_battery_reading_nothing_is_offered(missing: str) -> None:
    s = situation()
    if missing == "plan":
        assert not offered(replace(s, flight=replace(s.flight, plan=None)))
    else:
        assert not offered(replace(s, state=replace(s.state, **{missing: None})))


def test_of_many_alternates_those_are_offered_that_the_shortest_ways_lead_to() -> None:
    """A row of pads across the way to Koru, the nearest ones beside the vehicle."""
    row = {f"pad-{n}": site(f"pad-{n}", SiteKind.ALTERNATE, 1000.0 + 400.0 * n, -3500.0) for n in range(8)}
    sites = {k: v for k, v in SITES.items() if v.kind is not SiteKind.ALTERNATE} | row

    def pads(*more: Zone) -> list[str]:
        airspace = VALLEY
        for zone in more:
            airspace = airspace.with_zone(zone)
        s = situation(world=replace(WORLD, sites=sites, airspace=airspace), free_sites=frozenset(sites))
        return [site_id for kind, site_id in offered(s) if kind is ALTERNATE]

    free = pads()
    assert len(free) == MOST_ALTERNATES
    east_m, north_m = xy(row[free[0]].position).tolist()
    shut = pads(circle("SHUT", east_m, north_m, 100.0))
    assert free[0] not in shut
    assert len(shut) >= MOST_ALTERNATES
    assert set(free[1:]) <= set(shut)


def test_another_route_is_looked_for_only_where_the_plan_meets_a_closed_zone() -> None:
    closed = replace(WORLD, airspace=replace(VALLEY, version=2, zones=(*VALLEY.zones, CLOSURE)))
    ways = offered(situation(world=closed, reroute=True))
    around = ways[REROUTE, "koru"]
    assert around.plan.airspace_version == 2
    assert around.plan.ending is PLAN.ending
    assert around.plan.goal_site == "koru"
    assert around.plan.checked_by, "it is wanted at once"
    assert (REROUTE, "koru") not in offered(situation(world=closed))
    blocked = replace(WORLD, numbers=replace(WORLD.numbers, ceiling_agl_m=1.0))
    assert (REROUTE, "koru") not in offered(situation(world=blocked, reroute=True))


@pytest.mark.parametrize(("directive", "again"), [(CONTINUE, True), (REROUTE, True), (REICE, False), (RETURN, False)])
def test_a_new_pack_is_offered_once_and_only_on_the_way_to_the_clinic(directive: CandidateKind, again: bool) -> None:
    assert ((REICE, "midway") in offered(situation(loaded(directive=directive)))) is again


def test_without_the_load_there_is_nothing_to_keep_cold() -> None:
    s = situation(loaded(payload_on_board=False))
    ways = offered(s)
    assert (REICE, "midway") not in ways
    assert all((c.product_temp_c, c.p_in_range, c.budget_left_min) == (None, None, ()) for c in ways.values())
    assert s.outlook.ways == []  # type: ignore[attr-defined]


def test_where_it_is_bound_for_already_is_not_offered_again() -> None:
    home = situation(replace(loaded(phase=FlightPhase.INBOUND), goal_site="teral"))
    assert [kind for kind, _ in offered(home)] == [CONTINUE, REICE, ALTERNATE, ALTERNATE]
    field = situation(replace(loaded(), goal_site="quarry"))
    assert (ALTERNATE, "quarry") not in offered(field)
    assert (ALTERNATE, "ferry") in offered(field)


# a way as it is offered


def test_going_on_is_the_plan_with_what_is_left_of_its_time() -> None:
    there = offered(situation())[CONTINUE, "koru"]
    assert there.plan is PLAN
    cruise = PLAN.legs[0]
    left_s = PLAN.arrive_s - (cruise.start.eta_s + cruise.end.eta_s) / 2.0
    assert there.arrive_s == pytest.approx(NOW + left_s, abs=0.1)
    assert there.energy_end_pct == energy_end(PLAN, seen(), COURIER, LOAD_KG)
    assert there.last_line == last_line(PLAN, over())
    assert there.last_line != last_line(PLAN)


def test_bound_for_a_station_the_dose_waits_there_for_its_new_pack() -> None:
    bound = situation(replace(loaded(directive=REICE), goal_site="midway"))
    ahead = offered(bound)[CONTINUE, "midway"]
    without = offered(situation())[CONTINUE, "koru"]
    assert ahead.arrive_s - without.arrive_s == pytest.approx(SITES["midway"].reice_s)


def test_a_landing_is_planned_from_where_the_vehicle_is_with_what_it_carries_and_has_left() -> None:
    wind, velocity = Wind(1.0, -3.0), Velocity(2.0, 9.0, 0.0)
    s = situation(state=seen(wind=Timed(wind, NOW), velocity=Timed(velocity, NOW)))
    home = offered(s)[RETURN, "teral"]
    here = over()

    def made(*, draft: bool) -> Plan | Infeasible:
        return plan_to(
            WORLD, s.vehicle, plan_id=home.plan.plan_id, start=here.point, start_amsl_m=here.alt_amsl_m,
            take_off=False, goal=SITES["teral"], ending=Ending.LAND, home=SITES["teral"], payload_kg=LOAD_KG,
            battery_pct=80.0, wind=wind, layer_agl_m=80.0, depart_s=NOW, on_board=PLAN.on_board,
            velocity_m_s=(2.0, 9.0), draft=draft,
        )  # fmt: skip

    assert home.plan == made(draft=False), "the way home is wanted at once"
    field = offered(s)[ALTERNATE, "quarry"]
    assert not field.plan.checked_by, "to be compared"
    for draft in (home, field):
        to_fly = proven(s, draft)
        assert isinstance(to_fly, Candidate)
        assert to_fly.plan.checked_by
        assert (to_fly.kind, to_fly.site_id, to_fly.arrive_s) == (draft.kind, draft.site_id, draft.arrive_s)
        assert to_fly.energy_end_pct == draft.energy_end_pct
    assert not home.plan.take_off
    assert home.plan.ending is Ending.LAND
    assert distance_m(home.plan.waypoints[0].position, here.point) < 60.0, "where it can stop"
    assert home.plan.waypoints[0].alt_amsl_m == pytest.approx(here.alt_amsl_m)
    assert home.plan.depart_s == NOW
    assert home.arrive_s == home.plan.arrive_s
    assert home.plan.rally == PLAN.rally, "the vehicle keeps what was uploaded on the ground"
    assert home.last_line == last_line(home.plan)
    assert home.energy_end_pct.mean == pytest.approx(home.plan.energy.end_pct)


def test_every_way_has_a_plan_of_its_own_name() -> None:
    names = [c.plan.plan_id for c in candidates(situation())]
    assert len(set(names)) == len(names)
    later = [c.plan.plan_id for c in candidates(situation(now_s=NOW + 10.0))]
    assert not set(names[1:]) & set(later[1:])


def test_a_place_out_of_reach_is_never_worth_choosing_and_never_proven() -> None:
    empty = situation(state=seen(battery_pct=2.0))
    for (kind, _), way in offered(empty).items():
        assert way.energy_end_pct.mean < 0.0
        assert kind is CONTINUE or isinstance(proven(empty, way), Infeasible)


def test_a_new_pack_is_proven_with_the_flight_on_from_the_station() -> None:
    s = situation()
    draft = offered(s)[REICE, "midway"]
    to_fly = proven(s, draft)
    assert isinstance(to_fly, Candidate)
    assert (to_fly.arrive_s, to_fly.energy_end_pct) == (draft.arrive_s, draft.energy_end_pct)
    assert to_fly.plan.checked_by
    assert to_fly.plan.goal_site == "midway"


def test_what_is_not_believed_of_the_charge_is_not_planned_with() -> None:
    """The reading says 80 %, the belief 60 %."""
    drawn = Draw(NOW, 60.0, since_pct=60.0)
    sure, doubted = (offered(situation(loaded(draw=d)))[RETURN, "teral"] for d in (None, drawn))
    assert doubted.plan.energy.start_pct == 60.0
    assert doubted.energy_end_pct.mean == pytest.approx(sure.energy_end_pct.mean - 20.0, abs=0.1)
    thirsty = offered(situation(loaded(draw=replace(drawn, ratio=1.5))))
    calm = offered(situation(loaded(draw=drawn)))
    for way in ((CONTINUE, "koru"), (RETURN, "teral")):
        assert thirsty[way].energy_end_pct.mean < calm[way].energy_end_pct.mean - 1.0


# a new pack on the way


def test_a_new_pack_costs_the_flight_there_the_swap_the_turnaround_and_the_flight_on() -> None:
    s = situation()
    there = offered(s)[REICE, "midway"]
    first, midway = there.plan, SITES["midway"]
    assert (first.goal_site, first.ending) == ("midway", Ending.LAND)
    after_first_pct = 80.0 - 100.0 * first.energy.use_wh / COURIER.battery_wh
    second = plan_to(
        WORLD, s.vehicle, plan_id="", start=midway.position, start_amsl_m=420.0, take_off=True, goal=SITES["koru"],
        ending=Ending.HOLD_AT_DROP, home=SITES["teral"], payload_kg=LOAD_KG, battery_pct=after_first_pct,
        wind=Wind(0.0, 0.0), layer_agl_m=80.0, depart_s=first.arrive_s + midway.reice_s + TURNAROUND_S,
    )  # fmt: skip
    assert isinstance(second, Plan)
    assert there.arrive_s == second.arrive_s
    assert there.arrive_s > first.arrive_s + midway.reice_s + TURNAROUND_S
    on, then = last_line(first), last_line(second)
    assert there.last_line is not None
    assert (there.last_line.bad_s, there.last_line.left_s) == (on.bad_s + then.bad_s, on.left_s + then.left_s)
    loaded_wh = sum(leg.energy_wh for leg in (*first.legs, *second.legs))
    empty_wh = first.energy.use_wh + second.energy.use_wh - loaded_wh
    assert empty_wh > 5.0, "home again without the load"
    pct = 100.0 / COURIER.battery_wh
    expected = end_pct(None, 80.0, pct * loaded_wh, pct * empty_wh)
    assert (there.energy_end_pct.mean, there.energy_end_pct.sd) == pytest.approx((expected.mean, expected.sd))


def test_a_new_pack_is_not_offered_where_the_flight_on_from_the_station_is_not_possible() -> None:
    """Enough to land at the station or at home above the reserve, too little to go on to the clinic and home."""
    ways = offered(situation(state=seen(battery_pct=42.0)))
    assert (REICE, "midway") not in ways
    assert ways[RETURN, "teral"].energy_end_pct.mean > 20.0


def test_the_flight_on_from_the_station_reckons_with_what_the_vehicle_really_draws() -> None:
    calm = situation(loaded(draw=Draw(NOW, 60.0, since_pct=60.0)))
    thirsty = situation(loaded(draw=Draw(NOW, 60.0, since_pct=60.0, ratio=1.5)))
    draft = offered(calm)[REICE, "midway"]
    assert isinstance(proven(calm, draft), Candidate)
    assert isinstance(proven(thirsty, draft), Infeasible)


# what it will be like for the dose


def test_the_outlook_is_asked_for_each_way_when_it_ends_and_at_its_height() -> None:
    s = situation()
    ways, asked = offered(s), s.outlook.ways  # type: ignore[attr-defined]
    assert all(c.arrive_s <= a[0] <= c.arrive_s + 3600.0 for c, a in zip(ways.values(), asked, strict=True))
    swaps = {way: a[1] for way, a in zip(ways, asked, strict=True)}
    station = ways[REICE, "midway"]
    assert swaps.pop((REICE, "midway")) == station.plan.arrive_s + SITES["midway"].reice_s
    assert set(swaps.values()) == {None}
    heights = [w.alt_amsl_m for w in PLAN.waypoints]
    assert asked[0][2] == pytest.approx(sum(heights) / len(heights))
    for c in ways.values():
        assert (c.product_temp_c, c.p_in_range, c.budget_left_min) == (WARM.temp_c, 0.3, WARM.budget_left_min)


def test_a_box_without_a_forecast_says_nothing_of_the_dose() -> None:
    ways = offered(situation(outlook=lambda *_: None))
    assert all((c.product_temp_c, c.p_in_range, c.budget_left_min) == (None, None, ()) for c in ways.values())


def test_up_to_its_deadline_an_arrival_is_on_time() -> None:
    at_s = offered(situation())[CONTINUE, "koru"].arrive_s
    on_time, late = (situation(order=replace(ORDER, deadline_s=at_s + d)) for d in (0.0, -0.001))
    assert offered(on_time)[CONTINUE, "koru"].p_on_time == 1.0
    assert offered(late)[CONTINUE, "koru"].p_on_time == 0.0


# the battery at the end


def test_each_part_of_the_plan_that_is_flown_is_not_paid_again() -> None:
    ends = [energy_end(PLAN, seen(over(x)), COURIER, LOAD_KG) for x in (0.0, 0.5, 1.0)]
    spent_pct = [80.0 - end.mean for end in ends if end is not None]
    leg_pct = 100.0 * PLAN.legs[0].energy_wh / COURIER.battery_wh
    assert spent_pct[0] - spent_pct[1] == pytest.approx(leg_pct / 2.0, abs=0.05)
    assert spent_pct[1] - spent_pct[2] == pytest.approx(leg_pct / 2.0, abs=0.05)
    assert spent_pct[2] > 5.0, "the way home is still to fly"


def test_without_a_place_or_a_battery_there_is_no_end() -> None:
    assert energy_end(PLAN, replace(seen(), battery=None), COURIER, LOAD_KG) is None
    assert energy_end(PLAN, replace(seen(), position=None), COURIER, LOAD_KG) is None


def test_the_way_out_and_the_way_back_are_counted_in_the_wind_of_now() -> None:
    """At the start, in a wind along the way: whichever way it blows, one of the two ways is against it."""
    start = over(0.0)
    ends = []
    for wind in (Wind(0.0, 0.0), Wind(-2.7, 7.5), Wind(2.7, -7.5)):  # Koru lies east, a little south
        found = energy_end(PLAN, seen(start, wind=Timed(wind, NOW)), COURIER, LOAD_KG)
        assert found is not None
        ends.append(found.mean)
    still, along, against = ends
    assert along < still - 0.5, "home again against it"
    assert against < along - 0.5, "against it with the load is dearer"


def test_what_the_load_weighs_now_counts_not_what_it_weighed_in_the_plan() -> None:
    strong = Timed(Wind(0.0, -9.0), NOW)
    ends = [energy_end(PLAN, seen(wind=strong), COURIER, kg) for kg in (0.0, 1.5, 3.0)]
    means = [e.mean for e in ends if e is not None]
    assert means[0] > means[1] + 0.3
    assert means[1] > means[2] + 0.3


def test_a_plan_made_in_the_air_counts_the_straight_way_home_from_the_drop() -> None:
    """Its own legs do not lead from home: backwards they would end in the middle of nowhere."""
    near = replace(planned(make_plan(request("koru", payload_kg=LOAD_KG, then_home=True))), take_off=False)
    legs = near.legs[-2:]
    cut = replace(near, legs=legs, energy=replace(near.energy, use_wh=0.0))
    here = Position(legs[0].start.position, legs[0].start.alt_amsl_m, 80.0)
    found = energy_end(cut, seen(here), COURIER, LOAD_KG)
    assert found is not None
    over_home = Waypoint(cut.home, cut.home_amsl_m + cut.cruise_agl_m, 0.0)
    drop = legs[-1].end
    back = leg_energy(
        COURIER, 0.0, length_m=distance_m(drop.position, over_home.position), track_deg=0.0,
        climb_m=over_home.alt_amsl_m - drop.alt_amsl_m,
    )  # fmt: skip
    assert back is not None
    least_pct = 100.0 * back.energy_wh / COURIER.battery_wh
    assert least_pct > 5.0
    assert found.mean < 80.0 - least_pct


# the time that is left


def test_the_time_left_goes_by_the_way_that_is_flown_also_straight_up_and_down() -> None:
    end = Waypoint(at(0, 2000), 500.0, 300.0)
    ways = [Waypoint(at(0, 0), 420.0, 0.0), Waypoint(at(0, 0), 500.0, 40.0), end, Waypoint(end.position, 428.0, 348.0)]
    legs = tuple(Leg(a, b, distance_m(a.position, b.position), 1.0, ()) for a, b in pairwise(ways))
    plan = replace(straight_plan(), legs=legs, depart_s=0.0, arrive_s=360.0)

    def left(east_m: float, north_m: float, amsl_m: float) -> float:
        return time_left_s(plan, Position(at(east_m, north_m), amsl_m, amsl_m - 420.0))

    assert left(0, 0, 420.0) == pytest.approx(360.0, abs=0.5)
    assert left(0, 0, 460.0) == pytest.approx(340.0, abs=0.5)
    assert left(0, 1000, 500.0) == pytest.approx(190.0, abs=0.5)
    assert left(0, 2000, 464.0) == pytest.approx(36.0, abs=0.5)
    assert left(0, 2000, 428.0) == pytest.approx(12.0, abs=0.5)
    assert left(0, 2000, 400.0) == pytest.approx(12.0, abs=0.5), "below the end of the plan"


# one plan


def departing(**changes: Any) -> Plan | Infeasible:
    asked: dict[str, Any] = {
        "plan_id": "p", "start": SITES["teral"].position, "start_amsl_m": 420.0, "take_off": True,
        "goal": SITES["koru"], "ending": Ending.HOLD_AT_DROP, "home": SITES["teral"], "payload_kg": LOAD_KG,
        "battery_pct": 100.0, "wind": Wind(0.0, 0.0), "layer_agl_m": 80.0, "depart_s": SUNDAY,
    }  # fmt: skip
    world = changes.pop("world", WORLD)
    return plan_to(world, Vehicle("cw-1", COURIER, "teral", 1), **asked | changes)


def test_a_departure_is_planned_by_the_fleets_numbers() -> None:
    numbers = PlanningNumbers(drop_height_agl_m=12.0, reserve_pct=33.0, margin_m=45.0, ceiling_agl_m=110.0)
    plan = planned(departing(world=replace(WORLD, numbers=numbers), layer_agl_m=95.0))
    asked = request(
        "koru", plan_id="p", payload_kg=LOAD_KG, cruise_agl_m=95.0, drop_height_agl_m=12.0, reserve_pct=33.0,
        margin_m=45.0, ceiling_agl_m=110.0, then_home=True, require_contingency=numbers.require_contingency,
    )  # fmt: skip
    assert plan == planned(make_plan(asked))
    assert (plan.energy.reserve_pct, plan.cruise_agl_m) == (33.0, 95.0)
    assert plan.waypoints[-1].alt_amsl_m == pytest.approx(432.0)
    assert {r.site_id for r in plan.rally} <= {"midway", "quarry", "ferry"}


def test_what_an_operator_authorised_is_open() -> None:
    ids = {z.zone_id for z in VALLEY.zones}
    closed, open_ = (departing(world=replace(WORLD, authorised=a)) for a in (frozenset(), frozenset(ids)))
    assert planned(open_).length_m <= planned(closed).length_m


def test_a_departure_before_a_zone_opens_waits_only_where_it_may() -> None:
    """A closure over the hub for the next ten minutes."""
    shut = replace(WORLD, airspace=replace(VALLEY, zones=(*VALLEY.zones, shut_until(SUNDAY + 600.0))))
    now = departing(world=shut)
    assert isinstance(now, Infeasible)
    waiting = planned(departing(world=shut, latest_depart_s=SUNDAY + 1800.0))
    assert SUNDAY + 600.0 <= waiting.depart_s <= SUNDAY + 1800.0
    assert isinstance(departing(world=shut, latest_depart_s=SUNDAY + 300.0), Infeasible)
    assert isinstance(departing(world=shut, latest_depart_s=SUNDAY - 300.0), Infeasible)
    spent = departing(battery_pct=22.0, latest_depart_s=SUNDAY + 1800.0)
    assert isinstance(spent, Infeasible), "waiting charges no battery"


def shut_until(end_s: float) -> Zone:
    when = Applicability(end=datetime.fromtimestamp(end_s, UTC))
    return circle("shut", 0, 0, 900.0, applicability=(when,))


# small things that much hangs on


def test_the_box_counts_with_its_content_while_it_is_on_board() -> None:
    assert gross_payload_kg(loaded()) == pytest.approx(BOX.empty_mass_kg + 0.8)
    assert gross_payload_kg(loaded(payload_on_board=False)) == 0.0


def test_wind_and_velocity_are_as_reported_and_calm_or_unknown_where_they_are_not() -> None:
    assert wind_of(seen()) == Wind(0.0, 0.0)
    assert wind_of(seen(wind=Timed(Wind(1.0, 2.0), NOW))) == Wind(1.0, 2.0)
    assert ground_velocity(seen()) is None
    assert ground_velocity(seen(velocity=Timed(Velocity(3.0, 4.0, 1.0), NOW))) == (3.0, 4.0)


def test_the_nearest_hub_is_the_nearest_of_the_hubs() -> None:
    two = {**SITES, "upper": site("upper", SiteKind.HUB, 9000, 0)}
    assert nearest_hub(two, SITES["koru"].position) == two["upper"]
    assert nearest_hub(two, SITES["ferry"].position) == two["teral"]
    assert nearest_hub({"koru": SITES["koru"]}, HOME) is None
