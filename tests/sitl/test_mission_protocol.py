"""The mission protocol, line by line as a real PX4 v1.17 answered."""

import math

import pytest

from sitl.autopilot.events import event_id
from sitl.autopilot.plans import opaque_id
from tests.sitl.helpers import Station, item, point, station, takeoff_and

ACCEPTED, ERROR, UNSUPPORTED_FRAME, UNSUPPORTED, NO_SPACE = 0, 1, 2, 3, 4
SQUARE = [(-500, -500), (-500, 500), (500, 500), (500, -500)]


def fence(corners: list[tuple[float, float]], command: int = 5001) -> list[dict[str, object]]:
    return [item(command, n, e, z=0.0, param1=float(len(corners)), param4=0.0) for n, e in corners]


def test_each_item_is_asked_for_and_the_ack_carries_the_checksum_that_mission_current_repeats() -> None:
    gcs = station()
    ack = gcs.upload(takeoff_and(item(16, 100)))
    assert [m["seq"] for m in gcs.of("MISSION_REQUEST_INT")] == [0, 1]
    assert ack["type"] == ACCEPTED
    assert ack["opaque_id"] != 0
    gcs.run(1.1)
    assert gcs.of("MISSION_CURRENT")[-1]["mission_id"] == ack["opaque_id"]
    assert gcs.of("MISSION_CURRENT")[-1]["total"] == 2


def test_the_same_items_give_the_same_checksum_and_other_items_another() -> None:
    one, other = station(), station()
    first = one.upload(takeoff_and(item(16, 100)))["opaque_id"]
    assert other.upload(takeoff_and(item(16, 100)))["opaque_id"] == first
    assert other.upload(takeoff_and(item(16, 101)))["opaque_id"] != first


def test_a_new_mission_counts_as_none_until_it_is_judged() -> None:
    gcs = station()
    gcs.upload(takeoff_and(item(16, 100)))
    gcs.run(0.1)
    assert gcs.mission_state() == 1
    assert gcs.command(300) == [2], "MISSION_START is denied: no valid mission yet"
    gcs.run(0.5)
    assert gcs.mission_state() == 2


def test_hold_race_mission_mode_right_after_the_ack_is_accepted_and_does_not_come() -> None:
    gcs = station()
    gcs.command(22, 0, 0, 0, math.nan, math.nan, math.nan, 440.0)
    gcs.command(400, 1)
    gcs.until(lambda: gcs.height() > 19.0)
    gcs.run(2.0)
    hold = gcs.mode()
    gcs.upload([item(16, 100)])
    gcs.run(0.1)
    assert gcs.set_mode(4, 4) == [0, 1]
    assert gcs.mode() == hold
    gcs.run(0.5)
    assert gcs.set_mode(4, 4) == [0, 0]
    assert gcs.mode() == 0x04040000


@pytest.mark.parametrize(
    ("items", "event"),
    [
        ([item(21)], "navigator_mis_starts_w_landing"),
        ([item(16, 50), item(22)], "navigator_mis_takeoff_not_first"),
        ([item(22, z=0.0), item(16, 50)], "navigator_mis_takeoff_too_low"),
        ([item(84), item(16, 50)], "navigator_mis_vtol_items"),
    ],
)
def test_an_infeasible_plan_is_acknowledged_first_and_judged_afterwards(items: list[dict], event: str) -> None:
    gcs = station()
    assert gcs.upload(items)["type"] == ACCEPTED
    gcs.run(0.5)
    assert gcs.mission_state() == 1
    assert event_id(event) in [m["id"] for m in gcs.of("EVENT")]


def test_a_waypoint_outside_the_fence_makes_the_mission_infeasible() -> None:
    gcs = station()
    assert gcs.upload(fence(SQUARE), 1)["type"] == ACCEPTED
    gcs.run(0.5)
    assert gcs.upload(takeoff_and(item(16, 800)))["type"] == ACCEPTED
    gcs.run(0.5)
    assert gcs.mission_state() == 1
    assert "Geofence violation for waypoint 2\t" in gcs.texts()


def test_a_first_waypoint_far_away_is_only_a_warning() -> None:
    gcs = station()
    gcs.upload([item(16, 15_000)])
    gcs.run(0.5)
    assert gcs.mission_state() == 2
    assert event_id("navigator_mis_first_wp_far") in [m["id"] for m in gcs.of("EVENT")]


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        (item(16, 100) | {"frame": 9}, 0, UNSUPPORTED_FRAME),
        (item(9999, 100), 0, UNSUPPORTED),
        (item(211, 0, 0), 0, UNSUPPORTED),  # a gripper item must be in frame 2
        (item(93, 0, 0), 0, UNSUPPORTED),
        (item(5001, 0, 0, param1=4.0), 0, ERROR),  # a fence item in a mission
        (item(5001, 0, 0, param1=2.0), 1, ERROR),  # a polygon of two corners
    ],
)
def test_a_refused_item_ends_the_upload_and_keeps_the_old_plan(fields: dict, kind: int, code: int) -> None:
    gcs = station()
    old = gcs.upload(takeoff_and(item(16, 100)))["opaque_id"]
    gcs.count(1, kind)
    gcs.give(0, fields, kind)
    assert gcs.of("MISSION_ACK")[-1]["type"] == code
    gcs.run(1.5)
    assert gcs.of("MISSION_CURRENT")[-1]["mission_id"] == old


@pytest.mark.parametrize(("n", "kind"), [(10_001, 0), (1, 9), (33, 2)])
def test_too_many_items_or_an_unknown_kind_get_no_space(n: int, kind: int) -> None:
    gcs = station()
    gcs.count(n, kind)
    assert gcs.of("MISSION_ACK")[-1]["type"] == NO_SPACE


def test_a_missing_item_is_asked_for_again_and_after_five_seconds_the_vehicle_gives_up_without_an_ack() -> None:
    gcs = station()
    gcs.count(2)
    gcs.run(1.0)
    assert 3 <= len(gcs.of("MISSION_REQUEST_INT")) <= 5
    gcs.run(5.0)
    asked = len(gcs.of("MISSION_REQUEST_INT"))
    assert "Operation timeout\t" in gcs.texts()
    gcs.run(2.0)
    assert len(gcs.of("MISSION_REQUEST_INT")) == asked
    assert not gcs.of("MISSION_ACK")


def test_a_wrong_sequence_number_is_ignored() -> None:
    gcs = station()
    gcs.count(2)
    gcs.give(1, item(16, 100))
    assert not gcs.of("MISSION_ACK")
    gcs.give(0, item(22))
    gcs.give(1, item(16, 100))
    assert gcs.of("MISSION_ACK")[-1]["type"] == ACCEPTED


def test_the_last_item_again_gets_the_lost_ack_again() -> None:
    gcs = station()
    ack = gcs.upload(takeoff_and(item(16, 100)))
    gcs.give(1, item(16, 100))
    assert gcs.of("MISSION_ACK")[-1].fields == ack.fields


def test_a_second_uploader_gets_an_error_on_the_same_link_and_on_another() -> None:
    gcs = station(vehicle={"onboard": {"local_port": 0}})
    companion = Station(gcs.world, link="onboard", system=11)
    gcs.count(2)
    companion.count(1)
    assert companion.of("MISSION_ACK")[-1]["type"] == ERROR
    gcs.mav.srcSystem = 99
    gcs.count(1)
    assert gcs.of("MISSION_ACK")[-1]["type"] == ERROR
    gcs.mav.srcSystem = 245
    gcs.give(0, item(22))
    gcs.give(1, item(16, 100))
    assert gcs.of("MISSION_ACK")[-1]["type"] == ACCEPTED


def test_a_download_returns_the_plan_in_integer_frames_with_its_checksum() -> None:
    gcs = station()
    ack = gcs.upload([item(22, frame=3), item(16, 100, z=500.0, frame=0), item(211, frame=2, param1=1.0)])
    gcs.send(gcs.mav.mission_request_list_encode(1, 1, 0))
    assert gcs.of("MISSION_COUNT")[-1]["count"] == 3
    assert gcs.of("MISSION_COUNT")[-1]["opaque_id"] == ack["opaque_id"]
    for seq in range(3):
        gcs.send(gcs.mav.mission_request_int_encode(1, 1, seq, 0))
    got = gcs.of("MISSION_ITEM_INT")
    assert [m["frame"] for m in got] == [6, 5, 2]
    assert (got[1]["x"], got[1]["y"]) == point(100, 0)


def test_after_a_download_in_the_old_style_the_next_upload_is_asked_for_in_it() -> None:
    gcs = station()
    gcs.upload([item(16, 100)])
    gcs.send(gcs.mav.mission_request_list_encode(1, 1, 0))
    gcs.send(gcs.mav.mission_request_encode(1, 1, 0, 0))
    assert gcs.of("MISSION_ITEM")
    gcs.send(gcs.mav.mission_ack_encode(1, 1, 0, 0))
    gcs.count(1)
    assert gcs.of("MISSION_REQUEST")


def test_clearing_takes_the_plan_and_its_checksum() -> None:
    gcs = station()
    gcs.upload(takeoff_and(item(16, 100)))
    gcs.run(1.0)
    gcs.send(gcs.mav.mission_clear_all_encode(1, 1, 0))
    gcs.run(1.0)
    now = gcs.of("MISSION_CURRENT")[-1]
    assert (now["total"], now["mission_id"], now["mission_state"]) == (65535, 0, 1)
    assert gcs.of("MISSION_ACK")[-1]["opaque_id"] == 0


def test_a_fence_and_rally_points_have_checksums_of_their_own() -> None:
    gcs = station()
    fence_id = gcs.upload(fence(SQUARE), 1)["opaque_id"]
    rally_id = gcs.upload([item(5100, 50, z=0.0, frame=3)], 2)["opaque_id"]
    gcs.run(1.5)
    now = gcs.of("MISSION_CURRENT")[-1]
    assert (now["mission_id"], now["fence_id"], now["rally_points_id"]) == (0, fence_id, rally_id)


def test_a_fence_that_excludes_home_is_acknowledged_reported_and_not_enforced() -> None:
    gcs = station()
    away = [(n + 2000, e) for n, e in SQUARE]
    assert gcs.upload(fence(away), 1)["type"] == ACCEPTED
    gcs.run(0.5)
    assert "Geofence invalid, doesn't contain Home position\t" in gcs.texts()
    gcs.start(takeoff_and(item(16, 100)))
    gcs.until(lambda: gcs.away(100) < 5.0)


def test_an_empty_plan_has_checksum_zero() -> None:
    assert opaque_id([]) == 0
