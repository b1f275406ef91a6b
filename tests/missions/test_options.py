"""What the rest of a plan costs, by the plan and by the wind of now."""

from __future__ import annotations

import pytest

from missions.decision.types import Forecast
from missions.options import energy_end
from missions.plan import Plan
from missions.planning import make_plan
from missions.snapshot import Battery, Position, Timed, VehicleState, Wind
from tests.routing.valley import COURIER, planned, request

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
    assert end(plan, STILL) == end(plan, Wind(0.0, -8.0))


def test_what_cannot_be_flown_in_this_wind_costs_all_there_is() -> None:
    assert end(out(), Wind(0.0, -25.0)).mean <= -10.0 + 1e-9
