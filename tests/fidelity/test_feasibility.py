"""PX4 judges a mission after it has acknowledged it: what is refused then, by which words, and the race this makes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.items import circle, item, square
from tests.fidelity.messages import event_id
from tests.fidelity.wire import ACCEPTED, DENIED, FENCE_LIST, HOLD, MISSION, Wire


def judged(wire: Wire, items: list[dict[str, Any]]) -> int:
    """Uploads (which is accepted); the mission_state two beats later."""
    assert wire.upload(items)["type"] == 0
    wire.next("MISSION_CURRENT")
    return int(wire.next("MISSION_CURRENT")["mission_state"])


@pytest.mark.parametrize(
    ("items", "event"),
    [
        ([item(21)], "navigator_mis_starts_w_landing"),
        ([item(16, 20.0), item(22)], "navigator_mis_takeoff_not_first"),
        ([item(22, z=-5.0), item(16, 20.0)], "navigator_mis_takeoff_too_low"),
        ([item(84), item(16, 20.0)], "navigator_mis_vtol_items"),
    ],
)
def test_an_infeasible_mission_is_acknowledged_then_refused_by_its_state_and_an_event_without_a_text(
    wire: Wire, items: list[dict[str, Any]], event: str
) -> None:
    since = wire.mark()
    assert judged(wire, items) == 1
    assert event_id(event) in [m["id"] for m in wire.of("EVENT", since)]
    assert wire.texts(since) == []
    assert wire.command(300, 0, 0) == DENIED


def test_a_waypoint_outside_the_fence_makes_a_mission_infeasible(wire: Wire) -> None:
    wire.hold_plan([circle(5003, 60.0)], FENCE_LIST)
    since = wire.mark()
    assert judged(wire, [item(22), item(16, 100.0)]) == 1
    wire.wait_text("eofence violation", 1.0, since)
    assert event_id("navigator_mis_geofence_violation") in [m["id"] for m in wire.of("EVENT", since)]


def test_a_waypoint_inside_a_keep_out_polygon_makes_a_mission_infeasible(wire: Wire) -> None:
    wire.hold_plan(square(5002, 20.0, north_m=60.0), FENCE_LIST)
    assert judged(wire, [item(22), item(16, 60.0)]) == 1
    assert judged(wire, [item(22), item(16, 30.0)]) == 2


def test_a_vehicle_must_be_inside_every_keep_in(wire: Wire) -> None:
    wire.hold_plan([circle(5003, 100.0), circle(5003, 40.0)], FENCE_LIST)
    assert judged(wire, [item(22), item(16, 60.0)]) == 1
    assert judged(wire, [item(22), item(16, 30.0)]) == 2


def test_a_new_fence_makes_the_stored_mission_be_judged_again(wire: Wire) -> None:
    assert judged(wire, [item(22), item(16, 100.0)]) == 2
    wire.hold_plan([circle(5003, 60.0)], FENCE_LIST)
    wire.wait("MISSION_CURRENT", lambda m: m["mission_state"] == 1, 3.0)


def test_a_fence_that_excludes_home_is_acknowledged_reported_invalid_and_not_enforced(wire: Wire) -> None:
    since = wire.mark()
    fence_id = wire.upload([circle(5003, 50.0, north_m=200.0)], FENCE_LIST)["opaque_id"]
    assert wire.wait("MISSION_CURRENT", lambda m: m["fence_id"] == fence_id, 3.0)
    wire.wait_text("eofence invalid", 3.0, since)
    assert judged(wire, [item(22), item(16, 60.0)]) == 2, "a waypoint outside it is no violation"


def test_a_first_waypoint_fifteen_kilometres_away_is_only_a_warning(wire: Wire) -> None:
    since = wire.mark()
    assert judged(wire, [item(16, 15_000.0)]) == 2
    assert event_id("navigator_mis_first_wp_far") in [m["id"] for m in wire.of("EVENT", since)]


def test_a_feasible_mission_is_not_started_and_has_all_its_items(wire: Wire) -> None:
    assert judged(wire, [item(22), item(16, 20.0), item(21, 20.0, z=0.0)]) == 2
    now = wire.last("MISSION_CURRENT")
    assert (now["total"], now["seq"]) == (3, 0)


def test_hold_race_mission_mode_right_after_the_ack_is_accepted_but_comes_only_when_the_mission_is_judged(
    air: Wire,
) -> None:
    air.count(1)
    air.run(0.1)
    since = air.give(0, item(16, 30.0, current=1))
    air.until(lambda: air.of("MISSION_ACK", since), 1.0)
    assert air.command(176, 1, 4, 4) == ACCEPTED
    held = air.of("MISSION_ACK", since)[0]["opaque_id"]
    air.wait("MISSION_CURRENT", lambda m: m["mission_id"] == held and m["mission_state"] != 1, 3.0)
    # PX4's arming checks hear of it a tenth of a second later.
    air.run(0.3)
    assert air.set_mode(4, 4) == ACCEPTED
    air.until(lambda: air.mode == MISSION, 2.0)


def test_an_infeasible_mission_cannot_be_flown_in_the_air(air: Wire) -> None:
    air.hold_plan([circle(5003, 60.0)], FENCE_LIST)
    assert judged(air, [item(16, 100.0)]) == 1
    air.set_mode(4, 4)
    air.run(2.0)
    assert air.mode == HOLD
