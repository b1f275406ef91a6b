"""What PX4 would do by itself: told for where the vehicle is by the proof of its plan, counted over what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.geodesy import LatLon, destination
from missions.decision.engine import decide
from missions.decision.payload import expected_loss
from missions.decision.types import Candidate, FlightPhase, Forecast, LastLine, Memory, NoReturn
from missions.energy import leg_energy
from missions.lastline import if_link_dies, last_line
from missions.noreturn import point_of_no_return
from missions.plan import Leg, Plan, RallyPoint, Return, Waypoint
from missions.sites import Site, SiteKind
from missions.snapshot import Position, Timed, Wind
from missions.vehicles import Airframe, VehicleType
from tests.decision.situations import ALTERNATE, CALM, HUB, NOW, POLICY, REICE, candidate, excursion_forecast, plan

COURIER = VehicleType("courier", Airframe.MULTIROTOR, 20.0, 4.0, 2.5, 900.0, 850.0, 8.0, 3.0, 700.0, 12.0)
LEG_M = 4000.0
LEG_S = 200.0
CALM_AIR = Wind(0.0, 0.0)


def route(*returns: tuple[Return, ...], home: LatLon = HUB):
    """Legs of 4 km one after the other away from home, flown in 200 s each; PX4's returns from each."""
    legs, here = [], Waypoint(home, 500.0, NOW)
    for i, each in enumerate(returns):
        there = Waypoint(destination(home, 110.0, LEG_M * (i + 1)), 500.0, here.eta_s + LEG_S)
        legs.append(Leg(here, there, LEG_M, 40.0, (), each))
        here = there
    return replace(plan("koru"), legs=tuple(legs), rally=())


def good(a: float = 0.0, b: float = LEG_M) -> Return:
    return Return(a, b, "teral", legal=True)


def bad(a: float, b: float, why: str = "closed by prison") -> Return:
    return Return(a, b, "teral", legal=False, reason=why)


def at(metres: float) -> Position:
    return Position(destination(HUB, 110.0, metres), 500.0, 80.0)


def test_what_is_left_counts_from_where_the_vehicle_is() -> None:
    flown = route((good(0, 1000), bad(1000, 3000), good(3000, LEG_M)), (good(),))
    assert last_line(flown) == LastLine(pytest.approx(100.0), pytest.approx(400.0))
    assert last_line(flown, at(2000.0)).bad_s == pytest.approx(50.0, abs=0.5)
    assert last_line(flown, at(2000.0)).left_s == pytest.approx(300.0, abs=0.5)
    assert last_line(flown, at(3500.0)).bad_s == 0.0
    assert last_line(flown, at(5000.0)) == LastLine(0.0, pytest.approx(150.0, abs=0.5))


def test_where_px4_may_choose_either_of_two_the_worse_counts_and_an_unknown_return_is_no_good_one() -> None:
    tie = route((good(0, 2500), bad(2000, LEG_M)))
    assert last_line(tie).bad_share == pytest.approx(0.5)
    assert last_line(route(())).bad_share == 1.0
    assert last_line(route((good(0, 3000),))).bad_share == pytest.approx(0.25, abs=0.01)


@given(
    cuts=st.lists(st.floats(0.0, LEG_M), min_size=1, max_size=5),
    legal=st.lists(st.booleans(), min_size=6, max_size=6),
    here=st.floats(0.0, LEG_M - 100.0),
)
def test_the_share_is_that_of_places_looked_at_one_by_one(cuts: list[float], legal: list[bool], here: float) -> None:
    ends = sorted({0.0, *cuts, LEG_M})
    stretches = tuple(
        Return(a, b, "teral", legal=ok, reason="" if ok else "closed")
        for a, b, ok in zip(ends, ends[1:], legal, strict=False)
    )
    flown = route(stretches)
    line = last_line(flown, at(here))
    steps = 400
    left = [here + (LEG_M - here) * (i + 0.5) / steps for i in range(steps)]
    seen = sum(any(not r.legal for r in stretches if r.from_m - 1 <= x <= r.to_m + 1) for x in left) / steps
    # A bad stretch's neighbour is taken as bad within a metre of it.
    assert line.bad_share == pytest.approx(seen, abs=0.03 + 10.0 / max(LEG_M - here, 100.0))


def test_the_operator_reads_whether_px4s_own_return_is_safe_from_here() -> None:
    flown = route((good(0, 2000), bad(2000, LEG_M)), (good(),))

    def told(metres: float, **changes: object) -> str:
        state = replace(CALM.vehicle, position=Timed(at(metres), NOW), **changes)
        return if_link_dies(flown, state, airborne=True, airspace_version=1)

    assert told(1000.0) == "PX4 returns straight to home, 1.0 km away: open all the way, with the reserve"
    assert told(3000.0) == "PX4 returns straight to home, 3.0 km away: not safe (closed by prison)"
    rotors = told(3000.0, on_wing=Timed(False, NOW))
    assert (
        rotors == "PX4 returns straight to home, 3.0 km away, on its rotors, which are not meant to carry it that far"
    )
    aside = replace(CALM.vehicle, position=Timed(Position(destination(at(1000.0).point, 20.0, 90.0), 500.0, 80.0), NOW))
    assert "not proven to be open from here" in if_link_dies(flown, aside, airborne=True)
    later = replace(CALM.vehicle, position=Timed(at(1000.0), NOW))
    changed = if_link_dies(flown, later, airborne=True, airspace_version=2)
    assert changed.endswith("open all the way, with the reserve, by the airspace of when it was planned")
    assert if_link_dies(flown, later, airborne=False) == "it stays on the ground"
    shared = replace(later, link=replace(later.link, other_gcs=(255,)))
    assert "flies on as it was last told" in if_link_dies(flown, shared, airborne=True)


def test_px4_returns_to_the_nearest_of_home_and_the_rally_points_and_to_home_where_both_are_as_near() -> None:
    here = at(3000.0)
    near, far = (
        RallyPoint(name, destination(here.point, 20.0, m), 0.0) for name, m in (("zeta", 700.0), ("alpha", 1500.0))
    )
    state = replace(CALM.vehicle, position=Timed(here, NOW))

    def told(*rally: RallyPoint, sites: dict[str, Site] | None = None) -> str:
        flown = replace(route((good(),)), rally=rally)
        return if_link_dies(flown, state, airborne=True, sites=sites or {}).partition(":")[0]

    assert told(far, near) == told(near, far) == "PX4 returns straight to rally point zeta, 0.7 km away"
    named = {"zeta": Site("zeta", "The old quarry", SiteKind.ALTERNATE, near.position, 420.0)}
    assert told(near, sites=named) == "PX4 returns straight to The old quarry, 0.7 km away"
    assert told(replace(far, position=HUB)) == "PX4 returns straight to home, 3.0 km away"
    assert told() == "PX4 returns straight to home, 3.0 km away"


def test_without_a_plan_or_a_place_only_px4s_rule_is_told() -> None:
    rule = "PX4 returns straight to the nearest of home and rally points"
    assert if_link_dies(None, replace(CALM.vehicle, position=Timed(at(0.0), NOW)), airborne=True) == rule
    assert if_link_dies(route((good(),)), replace(CALM.vehicle, position=None), airborne=True) == rule


def test_only_a_vtol_on_its_rotors_is_not_carried_far() -> None:
    flown = route((good(),))

    def told(metres: float, on_wing: bool | None) -> str:
        wing = None if on_wing is None else Timed(on_wing, NOW)
        return if_link_dies(flown, replace(CALM.vehicle, position=Timed(at(metres), NOW), on_wing=wing), airborne=True)

    for on_wing in (True, None):
        assert told(900.0, on_wing).endswith("0.9 km away: open all the way, with the reserve")
    assert told(500.0, False).endswith("0.5 km away: open all the way, with the reserve")
    assert told(700.0, False).endswith("on its rotors, which are not meant to carry it that far")


def test_of_a_climb_or_descent_all_its_time_is_as_good_as_its_return() -> None:
    """Three legs of 200 s: up at home, 4 km out, down there."""
    flown = route((good(),))
    a, b = flown.legs[0].start, flown.legs[0].end

    def with_ends(*there: Return) -> LastLine:
        low = [replace(p, alt_amsl_m=430.0) for p in (a, b)]
        up = Leg(replace(low[0], eta_s=NOW - 200.0), a, 0.0, 9.0, (), (good(0.0, 0.0),))
        down = Leg(b, replace(low[1], eta_s=b.eta_s + 200.0), 0.0, 9.0, (), there)
        return last_line(replace(flown, legs=(up, *flown.legs, down)))

    assert with_ends(good(0.0, 0.0)) == LastLine(0.0, pytest.approx(600.0))
    for there in ((), (bad(0.0, 0.0),), (good(0.0, 0.0), bad(0.0, 0.0))):
        assert with_ends(*there) == LastLine(pytest.approx(200.0), pytest.approx(600.0))


def test_nothing_left_to_fly_has_nothing_bad_in_it() -> None:
    assert LastLine(0.0, 0.0).bad_share == 0.0
    assert LastLine(5.0, 4.0).bad_share == 1.0
    assert LastLine(1.0, 4.0).bad_share == 0.25


def test_of_two_ways_as_good_the_one_that_stays_good_without_the_link_is_flown() -> None:
    def way(kind: object, site: str, bad_s: float, p: float = 0.9) -> Candidate:
        made = candidate(kind, site, p=p, after_s=400.0, end_pct=50.0)  # type: ignore[arg-type]
        return replace(made, last_line=LastLine(bad_s, 400.0))

    leaking = excursion_forecast(CALM)
    plan_now = leaking.candidates[0]
    for first, second, chosen in ((0.0, 200.0, "a"), (200.0, 0.0, "b")):
        s = replace(leaking, candidates=(plan_now, way(REICE, "a", first), way(REICE, "b", second)))
        decision = decide(Memory(), s, POLICY, NOW)[1]
        assert decision.candidate is not None
        assert decision.candidate.site_id == chosen
        shares = {o.site_id: o.bad_share for o in decision.considered}
        assert (shares["a"], shares["b"], shares["koru"]) == (first / 400.0, second / 400.0, None)
    far_better = replace(leaking, candidates=(plan_now, way(REICE, "a", 0.0, p=0.5), way(REICE, "b", 200.0, p=0.9)))
    decision = decide(Memory(), far_better, POLICY, NOW)[1]
    assert decision.candidate is not None
    assert decision.candidate.site_id == "b", "a minute without a way out does not outweigh the dose"
    assert "no safe return by itself on 50 % of the way" in decision.sentence


@given(bad_s=st.floats(0.0, 3600.0), kind=st.sampled_from([REICE, ALTERNATE]))
def test_each_hour_without_a_way_out_costs_what_policy_says(bad_s: float, kind: object) -> None:
    safe = candidate(kind, "a")  # type: ignore[arg-type]
    exposed = replace(safe, last_line=LastLine(bad_s, 3600.0))
    losses = [expected_loss(c, CALM.order, FlightPhase.OUTBOUND, POLICY, 0.97) for c in (safe, exposed)]
    assert losses[1] - losses[0] == pytest.approx(POLICY.loss_last_line_per_h * bad_s / 3600.0)


# the point of no return


def no_return(metres: float, home_pct: float, wind: Wind = CALM_AIR, sds: float = 0.0) -> NoReturn | None:
    return point_of_no_return(
        route((good(),), (good(),), (good(),)), at(metres), COURIER, 1.0, wind, Forecast(home_pct, 0.0),
        least_pct=22.0, sds=sds, per_planned=Forecast(1.0, 0.08), now_s=NOW,
    )  # fmt: skip


def back_pct(metres: float) -> float:
    cost = leg_energy(COURIER, 1.0, length_m=metres, track_deg=290.0, climb_m=0.0)
    assert cost is not None
    return 100.0 * cost.energy_wh / COURIER.battery_wh


def test_the_point_of_no_return_is_where_out_and_back_have_used_up_what_is_spare() -> None:
    per_m = 40.0 / LEG_M / COURIER.battery_wh * 100.0 + back_pct(1000.0) / 1000.0
    for ahead_m in (500.0, 3500.0, 7000.0):
        found = no_return(1000.0, 22.0 + ahead_m * per_m)
        assert found is not None
        assert found.distance_m == pytest.approx(ahead_m, rel=0.01)
        assert found.at_s == pytest.approx(NOW + ahead_m / 20.0, rel=1e-6, abs=1.0)


def test_with_enough_there_is_none_and_with_too_little_it_is_passed() -> None:
    assert no_return(1000.0, 95.0) is None
    assert no_return(1000.0, 21.9) == NoReturn(0.0, NOW)


def test_the_way_back_is_reckoned_against_the_wind_that_blows_there() -> None:
    """From the east: with the wind home, against it out; and from the west the other way round."""
    for wind in (Wind(0.0, -6.0), Wind(0.0, 6.0)):
        cost = leg_energy(COURIER, 1.0, length_m=1000.0, track_deg=290.0, climb_m=0.0, wind=wind)
        assert cost is not None
        per_m = (40.0 / LEG_M + cost.energy_wh / 1000.0) / COURIER.battery_wh * 100.0
        found = no_return(1000.0, 22.0 + 5000.0 * per_m, wind)
        assert found is not None
        assert found.distance_m == pytest.approx(5000.0, rel=0.01)


def test_each_leg_costs_what_it_costs_and_of_the_first_only_what_is_left() -> None:
    """3 km of the first leg are left; the second is twice as dear on the way out."""
    flat = route((good(),), (good(),))
    dear = replace(flat, legs=(flat.legs[0], replace(flat.legs[1], energy_wh=80.0)))
    first, second = ((wh / LEG_M / COURIER.battery_wh * 100.0 + back_pct(1000.0) / 1000.0) for wh in (40.0, 80.0))
    found = point_of_no_return(
        dear, at(1000.0), COURIER, 1.0, CALM_AIR, Forecast(22.0 + 3000.0 * first + 500.0 * second, 0.0),
        least_pct=22.0, sds=0.0, per_planned=Forecast(1.0, 0.0), now_s=NOW,
    )  # fmt: skip
    assert found is not None
    assert found.distance_m == pytest.approx(3500.0, rel=0.01)


def test_where_the_way_back_cannot_be_held_in_the_wind_it_is_here() -> None:
    assert no_return(1000.0, 95.0, Wind(0.0, 30.0)) == NoReturn(0.0, NOW)


def test_a_climb_that_is_flown_already_is_not_counted_again() -> None:
    flat = route((good(),), (good(),))
    top = flat.legs[0].start
    climb = Leg(replace(top, alt_amsl_m=420.0, eta_s=NOW - 30.0), top, 0.0, 20.0, ())
    whole = replace(flat, legs=(climb, *flat.legs))

    def ahead(plan: Plan, metres: float, alt_m: float) -> NoReturn | None:
        here = replace(at(metres), alt_amsl_m=alt_m)
        return point_of_no_return(
            plan, here, COURIER, 1.0, CALM_AIR, Forecast(40.0, 0.0),
            least_pct=22.0, sds=0.0, per_planned=Forecast(1.0, 0.0), now_s=NOW,
        )  # fmt: skip

    over, before = ahead(whole, 10.0, 500.0), ahead(whole, 0.0, 420.0)
    assert over is not None
    assert before is not None
    assert over == ahead(flat, 10.0, 500.0)
    assert before.distance_m < over.distance_m - 100.0
    assert before.at_s == pytest.approx(NOW + 30.0 + before.distance_m / 20.0)


@given(metres=st.floats(0.0, 11_000.0), home_pct=st.floats(22.0, 60.0), more=st.floats(0.1, 20.0))
def test_more_battery_never_brings_it_nearer_and_doubt_never_puts_it_off(
    metres: float, home_pct: float, more: float
) -> None:
    def ahead(found: NoReturn | None) -> float:
        return float("inf") if found is None else found.distance_m

    less, greater = no_return(metres, home_pct), no_return(metres, home_pct + more)
    assert ahead(greater) >= ahead(less)
    assert ahead(no_return(metres, home_pct, sds=1.6)) <= ahead(less)
    against = no_return(metres, home_pct, wind=Wind(-8.0 * 0.342, 8.0 * 0.94))  # a headwind on the way back
    assert ahead(against) <= ahead(less)
