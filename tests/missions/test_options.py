"""What the rest of a plan costs, by the plan and by the wind of now; and which ways are known at all."""

from __future__ import annotations

from typing import Any

import pytest

from missions.decision.conditions import low_end_pct
from missions.decision.types import Forecast, Policy
from missions.draw import Draw
from missions.plan import Ending, Infeasible, Plan
from missions.planning import make_plan
from missions.snapshot import Battery, Position, Timed, VehicleState, Wind
from missions.togo import energy_end
from missions.vehicles import Vehicle
from missions.world import PlanningNumbers, World, plan_to
from tests.routing.valley import COURIER, GROUND, SITES, SUNDAY, VALLEY, planned, request

PAYLOAD_KG = 1.8
STILL = Wind(0.0, 0.0)


def out(wind: Wind = STILL) -> Plan:
    return planned(make_plan(request("koru", payload_kg=PAYLOAD_KG, then_home=True, wind=wind)))


def end(plan: Plan, wind: Wind | None, *, battery_pct: float = 90.0) -> Forecast:
    """At the first waypoint, with this wind reported."""
    at = plan.waypoints[0]
    here = Position(at.position, at.alt_amsl_m, 80.0)
    state = VehicleState(
        "cw-1",
        battery=Timed(Battery(battery_pct), 0.0),
        position=Timed(here, 0.0),
        wind=None if wind is None else Timed(wind, 0.0),
    )
    forecast = energy_end(plan, state, COURIER, PAYLOAD_KG)
    assert forecast is not None
    return forecast


def test_in_the_wind_of_the_plan_the_end_is_the_plans() -> None:
    plan = out()
    spent_pct = plan.energy.start_pct - plan.energy.end_pct
    assert end(plan, None).mean == pytest.approx(90.0 - spent_pct, abs=0.5)
    assert end(plan, STILL) == end(plan, None)


def test_wind_that_was_not_planned_for_lowers_the_end_before_it_has_cost_anything() -> None:
    plan = out()
    still, windy, stormy = (end(plan, Wind(0.0, east)).mean for east in (0.0, -8.0, -14.0))
    assert still - 2.0 > windy > stormy + 5.0


def test_wind_that_falls_asleep_is_not_counted_on() -> None:
    plan = out(Wind(0.0, -8.0))
    asleep, as_planned = end(plan, STILL), end(plan, Wind(0.0, -8.0))
    assert (asleep.mean, asleep.sd) == pytest.approx((as_planned.mean, as_planned.sd))


def test_what_cannot_be_flown_in_this_wind_costs_all_there_is() -> None:
    assert end(out(), Wind(0.0, -25.0)).mean <= -10.0 + 1e-9


def ways(battery_pct: float, **changes: Any) -> Plan | Infeasible:
    """From over Koru, 6 km out, home to land, in the air."""
    world = World({s.site_id: s for s in SITES.values()}, VALLEY, frozenset(), GROUND, PlanningNumbers())
    koru, home = SITES["koru"], SITES["teral"]
    asked: dict[str, Any] = {
        "plan_id": "p", "start": koru.position, "start_amsl_m": 500.0, "take_off": False, "goal": home,
        "ending": Ending.LAND, "home": home, "payload_kg": PAYLOAD_KG, "battery_pct": battery_pct, "wind": STILL,
        "layer_agl_m": 80.0, "depart_s": SUNDAY,
    }  # fmt: skip
    return plan_to(world, Vehicle("cw-1", COURIER, "teral", 1), **asked | changes)


def test_in_the_air_a_way_to_a_landing_is_known_also_where_it_does_not_keep_the_reserve() -> None:
    low = ways(30.0)
    assert isinstance(low, Plan)
    assert 5.0 < low.energy.end_pct < 20.0
    assert low.energy.reserve_pct == 0.0
    enough = ways(60.0)
    assert isinstance(enough, Plan)
    assert enough.energy.reserve_pct == 20.0
    assert isinstance(ways(5.0), Infeasible), "with an empty battery there is none"
    assert isinstance(ways(30.0, take_off=True, start_amsl_m=420.0), Infeasible)
    assert isinstance(ways(30.0, ending=Ending.HOLD_AT_DROP), Infeasible)


def departs(battery_pct: float, **changes: Any) -> Plan | Infeasible:
    """From Teral to Koru and back, on the ground."""
    home = SITES["teral"]
    out: dict[str, Any] = {
        "take_off": True, "start": home.position, "start_amsl_m": 420.0, "goal": SITES["koru"],
        "ending": Ending.HOLD_AT_DROP,
    }  # fmt: skip
    return ways(battery_pct, **out | changes)


def least_pct(**changes: Any) -> float:
    """The least charge with which it is let go, in steps of a half."""
    return next(p / 2 for p in range(40, 201) if isinstance(departs(p / 2, **changes), Plan))


def test_what_is_let_go_is_not_turned_back_by_the_first_reading_in_the_air() -> None:
    least, policy = least_pct(), Policy()
    plan = departs(least)
    assert isinstance(plan, Plan)
    in_air = low_end_pct(end(plan, None, battery_pct=least - 0.5), policy)
    assert policy.reserve_pct <= in_air + 0.5  # half a percent went for the climb
    assert in_air < policy.reserve_pct + policy.battery_margin_pct + 3.0, "nor is more asked for than that"


def test_a_departure_that_would_be_turned_back_in_the_air_is_refused_with_its_reason_and_what_helps() -> None:
    refused = departs(least_pct() - 0.5)
    assert isinstance(refused, Infeasible)
    assert [r.code for r in refused.reasons] == ["reserve"]
    assert "for sure" in refused.reasons[0].text
    assert "carry less" in refused.reasons[0].fix
    assert isinstance(departs(least_pct() - 0.5, payload_kg=0.3), Plan)


def test_a_vehicle_that_is_known_to_draw_more_needs_more_charge_to_depart_again() -> None:
    known = Draw(0.0, 60.0, ratio=1.3, var=0.02**2)
    assert least_pct(draw=known) > least_pct() + 5.0
