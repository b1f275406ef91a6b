"""A plan as the vehicle gets it."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest

from fleet.mavlink.items import plan_items
from fleet.mavlink.messages import MissionItemInt
from geofences.geodesy import LatLon, destination, distance_m
from missions.plan import Ending, FenceSet, Leg, Plan
from missions.vehicles import Airframe
from tests.mavlink.plans import HUB, PARK, SQUARE, plan


def test_a_delivery_takes_off_first_sets_its_speed_and_ends_at_the_drop() -> None:
    mission = plan_items(plan(), cruise_m_s=20.0).mission
    assert [item.command for item in mission] == [22, 178, 16, 16]
    take_off, speed, across, drop = mission
    assert (take_off.x, take_off.y, take_off.z, take_off.frame) == (75000000, 382000000, 500.0, 5)
    assert (speed.frame, speed.param1, speed.param2, speed.param3) == (2, 1.0, 20.0, -1.0)
    assert (across.frame, across.z) == (5, 500.0)
    assert (drop.frame, drop.z) == (5, 428.0)
    assert all(isnan(item.param4) for item in (take_off, across, drop))


def test_a_landing_is_the_last_item_at_ground_elevation() -> None:
    mission = plan_items(plan(Ending.LAND)).mission
    assert [item.command for item in mission] == [22, 16, 21]
    assert mission[-1].z == 420.0


def test_a_plan_in_the_air_has_no_take_off_and_does_not_fly_back_to_where_it_was_made() -> None:
    mission = plan_items(plan(Ending.LAND, take_off=False), cruise_m_s=20.0).mission
    assert [item.command for item in mission] == [178, 16, 21]
    assert [item.current for item in mission] == [1, 0, 0], "else PX4 would go on where the old mission had got to"


def test_every_fence_vertex_carries_its_rings_count_and_holes_become_keep_outs() -> None:
    fence = plan_items(plan()).fence
    rings = [(item.command, item.param1) for item in fence]
    assert rings == [(5001, 4.0)] * 4 + [(5002, 3.0)] * 3 + [(5002, 3.0)] * 3 + [(5004, 500.0)]
    assert (fence[0].x, fence[0].y) == (round(SQUARE[0].lat_deg * 1e7), round(SQUARE[0].lon_deg * 1e7))
    assert (fence[4].x, fence[4].y) == (round(PARK[0].lat_deg * 1e7), round(PARK[0].lon_deg * 1e7))


def test_rally_points_are_frame_3_relative_to_home_because_px4_ignores_frame_6() -> None:
    assert [(item.command, item.frame, item.z) for item in plan_items(plan()).rally] == [
        (5100, 3, 30.0),
        (5100, 3, 40.0),
    ]


def test_no_keep_in_and_no_zones_is_an_empty_fence() -> None:
    assert plan_items(replace(plan(), fence=FenceSet(None, (), ()), rally=())).fence == ()


def test_no_item_uses_nav_delay_which_makes_px4_sink() -> None:
    items = plan_items(plan(), cruise_m_s=20.0)
    assert all(item.command != 93 for rows in items for item in rows)


def test_a_plan_without_legs_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="p1 has no legs"):
        plan_items(replace(plan(), legs=()))
    assert plan().home == HUB


def vtol_mission(made: Plan, cruise_m_s: float | None = 25.0) -> tuple[MissionItemInt, ...]:
    return plan_items(made, cruise_m_s=cruise_m_s, airframe=Airframe.VTOL).mission


def from_hub_m(item: MissionItemInt) -> float:
    return distance_m(HUB, LatLon(item.x * 1e-7, item.y * 1e-7))


def flown(ending: Ending, *, climb: bool = False, take_off: bool = True, ground_m_s: float = 25.0) -> Plan:
    """Straight from the hub to the goal of `plan`; `climb`: from 428 m there, as after a drop."""
    made = plan(ending, take_off=take_off)
    across, down = made.legs
    way_m = distance_m(across.start.position, across.end.position)
    across = replace(across, length_m=way_m, end=replace(across.end, eta_s=way_m / ground_m_s))
    up = Leg(replace(across.start, alt_amsl_m=428.0), across.start, 0.0, 5.0, ())
    return replace(made, legs=(*((up,) if climb else ()), across, replace(down, length_m=0.0)))


def test_a_vtol_takes_off_towards_its_way_and_hovers_over_the_drop() -> None:
    mission = vtol_mission(flown(Ending.HOLD_AT_DROP))
    assert [item.command for item in mission] == [84, 178, 16, 3000, 16, 16]
    take_off, speed, brake, to_rotors, over, drop = mission
    assert from_hub_m(take_off) == pytest.approx(250.0, abs=0.1), "PX4 turns towards it before the transition"
    assert take_off.z == 500.0
    assert (speed.param1, speed.param2) == (0.0, 25.0), "through the air"
    # It brakes for 25²/4 m, and PX4 leaves a waypoint 10 m early.
    assert from_hub_m(over) - from_hub_m(brake) == pytest.approx(156.25 - 10.0, abs=0.5)
    assert (to_rotors.frame, to_rotors.param1) == (2, 3.0)
    assert (over.z, drop.z) == (500.0, 428.0)
    assert (over.x, over.y) == (drop.x, drop.y)


def test_a_vtol_brakes_later_against_the_wind_and_earlier_before_it() -> None:
    def before_m(ground_m_s: float) -> float:
        mission = vtol_mission(flown(Ending.HOLD_AT_DROP, ground_m_s=ground_m_s))
        return from_hub_m(mission[4]) - from_hub_m(mission[2])

    assert before_m(15.0) < before_m(25.0) < before_m(35.0)


def test_a_vtols_way_home_climbs_before_it_transitions_and_lands_from_a_waypoint_at_cruise_height() -> None:
    mission = vtol_mission(flown(Ending.LAND, climb=True, take_off=False))
    assert [item.command for item in mission] == [16, 3000, 178, 16, 85]
    climb, to_wing, _, approach, land = mission
    assert (from_hub_m(climb), climb.z) == (pytest.approx(0.0, abs=1e-3), 500.0)
    assert to_wing.param1 == 4.0
    assert approach.z == 500.0
    assert from_hub_m(land) - from_hub_m(approach) == pytest.approx(2.0 * 156.25, abs=0.5)
    assert land.z == 420.0
    assert [item.current for item in mission] == [1, 0, 0, 0, 0]


def test_a_new_plan_in_cruise_begins_with_the_transition_which_a_wing_already_has_behind_it() -> None:
    mission = vtol_mission(flown(Ending.HOLD_AT_DROP, take_off=False))
    assert [item.command for item in mission] == [3000, 178, 16, 3000, 16, 16]


def test_a_way_too_short_for_two_transitions_is_flown_on_the_rotors() -> None:
    def short(ending: Ending, *, take_off: bool = True) -> list[int]:
        made = flown(ending, take_off=take_off)
        across, down = made.legs
        near = replace(across.end, position=destination(HUB, 90.0, 400.0))
        low = replace(near, alt_amsl_m=down.end.alt_amsl_m)
        legs = (replace(across, end=near, length_m=400.0), replace(down, start=near, end=low))
        return [item.command for item in vtol_mission(replace(made, legs=legs))]

    assert short(Ending.HOLD_AT_DROP) == [22, 16, 16]
    assert short(Ending.LAND, take_off=False) == [3000, 16, 21]
