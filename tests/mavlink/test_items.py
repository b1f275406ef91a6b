"""A plan as the vehicle gets it."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest

from fleet.mavlink.items import plan_items
from missions.plan import Ending, FenceSet
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
