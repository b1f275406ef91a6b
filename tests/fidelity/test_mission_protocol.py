"""The mission protocol: who asks for what, when, and how it ends. Mission, fence and rally go the same way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.fidelity.items import circle, item, place, square
from tests.fidelity.wire import FENCE_LIST, MISSION_LIST, RALLY_LIST, Wire

ACK_ACCEPTED, ACK_ERROR, UNSUPPORTED_FRAME, ACK_UNSUPPORTED, NO_SPACE, ACK_CANCELLED = 0, 1, 2, 3, 4, 15
SHORT = [item(22), item(16, 20.0)]


def ack(wire: Wire, since: int) -> Any:
    return wire.wait("MISSION_ACK", lambda m: True, 2.0, since)["type"]


def asked(wire: Wire, since: int) -> list[int]:
    return [m["seq"] for m in wire.of("MISSION_REQUEST_INT", since)]


@pytest.fixture(autouse=True)
def _no_upload_is_open(wire: Wire) -> Any:
    yield
    wire.send(wire.mav.mission_ack_encode(wire.target, 1, ACK_CANCELLED, 0))
    wire.run(0.3)


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        (MISSION_LIST, SHORT),
        (FENCE_LIST, square(5001, 100.0)),
        (RALLY_LIST, [item(5100, 20.0, frame=3), item(5100, 40.0, frame=3)]),
    ],
)
def test_each_item_is_asked_for_once_in_order_and_then_acknowledged(wire: Wire, kind: int, items: list[dict]) -> None:
    since = wire.mark()
    answer = wire.upload(items, kind)
    assert asked(wire, since) == list(range(len(items)))
    assert (answer["type"], answer["mission_type"]) == (ACK_ACCEPTED, kind)


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        pytest.param(item(16, 20.0, frame=9), MISSION_LIST, UNSUPPORTED_FRAME, id="a frame PX4 does not take"),
        pytest.param(item(9999, 20.0), MISSION_LIST, ACK_UNSUPPORTED, id="an unknown command"),
        pytest.param(item(211), MISSION_LIST, ACK_UNSUPPORTED, id="a gripper item with a place"),
        pytest.param(item(93), MISSION_LIST, ACK_UNSUPPORTED, id="a delay item with a place"),
        pytest.param(circle(5003, 50.0), MISSION_LIST, ACK_ERROR, id="a fence item in a mission"),
        pytest.param(item(5001, z=0.0, frame=0, param1=2.0), FENCE_LIST, ACK_ERROR, id="a polygon of two corners"),
    ],
)
def test_a_refused_item_ends_the_upload_with_its_code_and_the_old_plan_stays(
    wire: Wire, fields: dict[str, Any], kind: int, code: int
) -> None:
    old = wire.hold_plan(SHORT)["mission_id"]
    since = wire.count(2, kind)
    wire.wait("MISSION_REQUEST_INT", lambda m: True, 1.0, since)
    since = wire.give(0, fields, kind)
    assert ack(wire, since) == code
    wire.run(1.0)
    assert asked(wire, since) == [], "the upload is over"
    assert wire.next("MISSION_CURRENT")["mission_id"] == old


@pytest.mark.parametrize(
    ("n", "kind"),
    [
        pytest.param(10_001, MISSION_LIST, id="mission"),
        pytest.param(1_000, FENCE_LIST, id="fence"),
        pytest.param(1_000, RALLY_LIST, id="rally"),
        pytest.param(1, 9, id="a list of a kind that does not exist"),
    ],
)
def test_what_does_not_fit_gets_no_space(wire: Wire, n: int, kind: int) -> None:
    assert ack(wire, wire.count(n, kind)) == NO_SPACE


def test_a_missing_item_is_asked_for_again_about_every_0_28_s(wire: Wire) -> None:
    since = wire.count(2)
    wire.run(3.0)
    times = [m.at_s for m in wire.of("MISSION_REQUEST_INT", since)]
    gaps = [b - a for a, b in pairwise(times)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.28, abs=0.05), gaps


def test_after_five_seconds_the_vehicle_gives_up_with_a_text_and_without_an_ack(wire: Wire) -> None:
    since, began_s = wire.count(2), wire.now_s
    wire.wait_text("Operation timeout", 8.0, since)
    assert wire.now_s - began_s == pytest.approx(5.0, abs=0.6)
    then = wire.mark()
    wire.run(1.5)
    assert asked(wire, then) == []
    assert not wire.of("MISSION_ACK", since)


def test_a_wrong_sequence_number_is_ignored(wire: Wire) -> None:
    since = wire.count(2)
    wire.give(1, SHORT[1])
    wire.run(0.2)
    assert not wire.of("MISSION_ACK", since)
    wire.give(0, SHORT[0])
    wire.run(0.1)
    assert ack(wire, wire.give(1, SHORT[1])) == ACK_ACCEPTED


def test_the_last_item_again_gets_the_ack_again(wire: Wire) -> None:
    first = wire.upload(SHORT)
    since = wire.give(1, SHORT[1])
    again = wire.wait("MISSION_ACK", lambda m: True, 1.0, since)
    assert (again["type"], again["opaque_id"]) == (ACK_ACCEPTED, first["opaque_id"])


def test_a_second_uploader_on_the_same_link_gets_an_error_and_the_first_goes_on(wire: Wire) -> None:
    since = wire.count(2)
    wire.run(0.1)
    with wire.station(99):
        wire.count(1)
        wire.run(0.3)
    assert [(m["type"], m["target_system"]) for m in wire.of("MISSION_ACK", since)] == [(ACK_ERROR, 99)]
    wire.give(0, SHORT[0])
    wire.run(0.1)
    assert ack(wire, wire.give(1, SHORT[1])) == ACK_ACCEPTED


def test_a_second_uploader_on_the_other_link_gets_an_error_and_the_first_goes_on(wire: Wire) -> None:
    rival = wire.others[0]
    wire.count(2)
    wire.run(0.1)
    assert ack(rival, rival.count(1)) == ACK_ERROR
    wire.give(0, SHORT[0])
    wire.run(0.1)
    assert ack(wire, wire.give(1, SHORT[1])) == ACK_ACCEPTED


def test_a_clear_on_the_same_link_is_ignored_during_an_upload(wire: Wire) -> None:
    old = wire.hold_plan(SHORT)["mission_id"]
    since = wire.count(2)
    with wire.station(99):
        wire.send(wire.mav.mission_clear_all_encode(wire.target, 1, 0))
        wire.run(1.2)
    wire.wait_text("Busy", 1.0, since)
    assert wire.next("MISSION_CURRENT")["mission_id"] == old


def test_a_clear_on_the_other_link_is_carried_out_during_an_upload_that_then_replaces_it(wire: Wire) -> None:
    wire.hold_plan(SHORT)
    wire.count(2)
    wire.run(0.1)
    assert wire.others[0].clear(0)["type"] == ACK_ACCEPTED
    wire.wait("MISSION_CURRENT", lambda m: m["mission_id"] == 0, 2.0)
    wire.give(0, SHORT[0])
    wire.run(0.1)
    assert ack(wire, wire.give(1, SHORT[1])) == ACK_ACCEPTED


def test_a_list_on_the_other_link_is_answered_during_an_upload(wire: Wire) -> None:
    rival = wire.others[0]
    wire.hold_plan(SHORT)
    wire.count(2)
    since = rival.mark()
    rival.send(rival.mav.mission_request_list_encode(rival.target, 1, 0))
    assert rival.wait("MISSION_COUNT", lambda m: True, 1.0, since)["count"] == 2


def test_a_cancelled_upload_is_over_at_once_and_the_next_is_taken(wire: Wire) -> None:
    wire.count(3)
    wire.run(0.1)
    wire.give(0, SHORT[0])
    wire.run(0.1)
    wire.send(wire.mav.mission_ack_encode(wire.target, 1, ACK_CANCELLED, 0))
    wire.run(0.1)
    since = wire.mark()
    assert wire.upload(SHORT)["type"] == ACK_ACCEPTED
    assert asked(wire, since) == [0, 1]


def test_somebody_else_cannot_cancel_an_upload(wire: Wire) -> None:
    since = wire.count(2)
    wire.run(0.1)
    with wire.station(99):
        wire.send(wire.mav.mission_ack_encode(wire.target, 1, ACK_CANCELLED, 0))
        wire.run(0.6)
    wire.wait_text("partner id mismatch", 1.0, since)
    since = wire.mark()
    wire.run(0.6)
    assert 0 in asked(wire, since)


def test_a_new_count_in_the_middle_of_an_upload_is_an_error_and_the_old_one_goes_on(wire: Wire) -> None:
    wire.count(3)
    wire.run(0.1)
    wire.give(0, SHORT[0])
    wire.run(0.1)
    since = wire.count(2)
    assert ack(wire, since) == ACK_ERROR
    wire.wait_text("Busy", 1.0, since)
    wire.run(0.6)
    assert set(asked(wire, since)) == {1}


def test_a_new_count_before_the_first_item_is_taken_for_a_repetition(wire: Wire) -> None:
    wire.count(2)
    wire.run(0.1)
    since = wire.count(9)
    wire.run(0.1)
    assert asked(wire, since) == [0]
    assert not wire.of("MISSION_ACK", since)
    wire.give(0, SHORT[0])
    wire.run(0.1)
    assert ack(wire, wire.give(1, SHORT[1])) == ACK_ACCEPTED, "the number of items stays that of the first COUNT"


def test_a_download_gives_frame_0_back_as_5_and_3_as_6_with_the_checksum(wire: Wire) -> None:
    plan = [item(22, frame=3), item(16, 20.0, z=440.0, frame=0), item(211, frame=2, param1=1.0)]
    held = wire.upload(plan)
    since = wire.mark()
    wire.send(wire.mav.mission_request_list_encode(wire.target, 1, 0))
    count = wire.wait("MISSION_COUNT", lambda m: True, 1.0, since)
    assert (count["count"], count["opaque_id"]) == (3, held["opaque_id"])
    for seq in range(3):
        wire.send(wire.mav.mission_request_int_encode(wire.target, 1, seq, 0))
        wire.wait("MISSION_ITEM_INT", lambda m, seq=seq: m["seq"] == seq, 1.0, since)
    got = wire.of("MISSION_ITEM_INT", since)
    assert [m["frame"] for m in got] == [6, 5, 2]
    assert (got[1]["x"], got[1]["y"]) == place(20.0, 0.0)


def test_a_download_of_items_out_of_order_ends_in_an_error(wire: Wire) -> None:
    wire.upload(SHORT)
    since = wire.mark()
    wire.send(wire.mav.mission_request_list_encode(wire.target, 1, 0))
    wire.wait("MISSION_COUNT", lambda m: True, 1.0, since)
    wire.send(wire.mav.mission_request_int_encode(wire.target, 1, 1, 0))
    assert ack(wire, since) == ACK_ERROR
    wire.wait_text("unexpected", 1.0, since)


def test_after_a_download_in_the_old_style_the_next_upload_is_asked_for_in_it(wire: Wire) -> None:
    wire.upload(SHORT)
    since = wire.mark()
    wire.send(wire.mav.mission_request_list_encode(wire.target, 1, 0))
    wire.wait("MISSION_COUNT", lambda m: True, 1.0, since)
    wire.send(wire.mav.mission_request_encode(wire.target, 1, 0, 0))
    wire.wait("MISSION_ITEM", lambda m: m["frame"] == 3, 1.0, since)
    wire.send(wire.mav.mission_ack_encode(wire.target, 1, 0, 0))
    wire.run(0.1)
    since = wire.count(1)
    wire.wait("MISSION_REQUEST", lambda m: True, 1.0, since)
    assert asked(wire, since) == []
    assert ack(wire, wire.give(0, item(16, 20.0))) == ACK_ACCEPTED
    wire.upload(SHORT)
    wire.run(0.1)
    since = wire.count(1)
    assert wire.wait("MISSION_REQUEST_INT", lambda m: True, 1.0, since), "an upload in integers turned it back"


def test_an_item_that_nobody_asked_for_is_an_error(wire: Wire) -> None:
    wire.upload(SHORT)
    since = wire.give(0, SHORT[0])
    assert ack(wire, since) == ACK_ERROR
    wire.wait_text("No transfer", 1.0, since)
