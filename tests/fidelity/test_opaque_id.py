"""The life of `opaque_id`: the checksum of what is stored, by which a vehicle proves which plan it holds."""

from __future__ import annotations

import binascii
import struct
from typing import Any

import pytest

from tests.fidelity.items import circle, item, square
from tests.fidelity.wire import FENCE_LIST, MISSION_LIST, RALLY_LIST, Wire

SHORT = [item(22), item(16, 20.0)]


def worked_out(items: list[dict[str, Any]]) -> int:
    """The CRC-32 (reflected, no inversion before or after) of each item's fields as they were sent."""
    crc = 0
    for i in items:
        raw = struct.pack("<BHB4f", i["frame"], i["command"], 1, *(i[f"param{n}"] for n in (1, 2, 3, 4)))
        raw += struct.pack("<iif", i["x"], i["y"], i["z"])
        crc = ~binascii.crc32(raw, ~crc & 0xFFFFFFFF) & 0xFFFFFFFF
    return crc


def current(wire: Wire) -> tuple[int, int, int]:
    """What MISSION_CURRENT tells in two beats from now."""
    wire.next("MISSION_CURRENT")
    m = wire.next("MISSION_CURRENT")
    return m["mission_id"], m["fence_id"], m["rally_points_id"]


def test_the_ack_carries_the_checksum_of_the_items_and_mission_current_repeats_it(wire: Wire) -> None:
    answer = wire.upload(SHORT)
    assert answer["opaque_id"] == worked_out(SHORT) != 0
    now = wire.wait("MISSION_CURRENT", lambda m: m["mission_id"] == answer["opaque_id"], 3.0)
    assert now["total"] == 2


def test_fence_and_rally_points_have_checksums_of_their_own(wire: Wire) -> None:
    fence, rally = square(5001, 100.0), [item(5100, 20.0, frame=3)]
    assert wire.upload(fence, FENCE_LIST)["opaque_id"] == worked_out(fence)
    assert wire.upload(rally, RALLY_LIST)["opaque_id"] == worked_out(rally)
    assert current(wire) == (0, worked_out(fence), worked_out(rally))


def test_other_items_give_another_checksum_and_the_same_items_the_same(wire: Wire) -> None:
    first = wire.upload(SHORT)["opaque_id"]
    other = wire.upload([item(22), item(16, 21.0)])["opaque_id"]
    assert other != first
    assert wire.upload(SHORT)["opaque_id"] == first


def test_a_mission_that_is_cleared_has_checksum_zero_no_items_and_no_state(wire: Wire) -> None:
    wire.hold_plan(SHORT)
    answer = wire.clear(MISSION_LIST)
    assert (answer["type"], answer["opaque_id"]) == (0, 0)
    now = wire.wait("MISSION_CURRENT", lambda m: m["mission_id"] == 0, 3.0)
    assert (now["total"], now["mission_state"]) == (65535, 1)


def test_clearing_everything_clears_fence_and_rally_points_too(wire: Wire) -> None:
    wire.upload(square(5001, 100.0), FENCE_LIST)
    wire.upload([item(5100, 20.0, frame=3)], RALLY_LIST)
    wire.hold_plan(SHORT)
    wire.clear(255)
    assert current(wire) == (0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "items"),
    [(MISSION_LIST, SHORT), (FENCE_LIST, [circle(5003, 100.0)]), (RALLY_LIST, [item(5100, 20.0, frame=3)])],
)
def test_an_empty_upload_clears_and_its_checksum_is_zero(wire: Wire, kind: int, items: list[dict[str, Any]]) -> None:
    wire.upload(items, kind)
    wire.next("MISSION_CURRENT")
    answer = wire.upload([], kind)
    assert (answer["type"], answer["opaque_id"]) == (0, 0)
    assert current(wire)[kind] == 0


def test_a_refused_upload_carries_no_checksum_and_keeps_the_old_one(wire: Wire) -> None:
    old = wire.hold_plan(SHORT)["mission_id"]
    since = wire.count(1)
    wire.wait("MISSION_REQUEST_INT", lambda m: True, 1.0, since)
    since = wire.give(0, item(9999))
    assert wire.wait("MISSION_ACK", lambda m: True, 1.0, since)["opaque_id"] == 0
    assert current(wire)[0] == old


def test_a_broken_off_upload_keeps_the_old_checksum(wire: Wire) -> None:
    old = wire.hold_plan(SHORT)["mission_id"]
    since = wire.count(2)
    wire.run(0.1)
    wire.give(0, item(22))
    wire.wait_text("Operation timeout", 8.0, since)
    assert current(wire)[0] == old


def test_an_infeasible_mission_is_held_all_the_same_and_shows_its_checksum(wire: Wire) -> None:
    answer = wire.upload([item(21)])
    assert (answer["type"], answer["opaque_id"]) == (0, worked_out([item(21)]))
    assert current(wire)[0] == answer["opaque_id"]
    assert wire.last("MISSION_CURRENT")["mission_state"] == 1


def test_another_ground_stations_upload_on_the_other_link_shows_in_mission_current(wire: Wire) -> None:
    wire.hold_plan(SHORT)
    theirs = wire.others[0].upload([item(22), item(16, 30.0)])["opaque_id"]
    wire.wait("MISSION_CURRENT", lambda m: m["mission_id"] == theirs, 2.5)


def test_every_download_tells_the_checksum_of_its_list(wire: Wire) -> None:
    fence = [circle(5003, 100.0)]
    wire.upload(fence, FENCE_LIST)
    since = wire.mark()
    for kind in (MISSION_LIST, FENCE_LIST, RALLY_LIST):
        wire.send(wire.mav.mission_request_list_encode(wire.target, 1, kind))
        wire.wait("MISSION_COUNT", lambda m, kind=kind: m["mission_type"] == kind, 1.0, since)
        wire.send(wire.mav.mission_ack_encode(wire.target, 1, 0, kind))
        wire.run(0.2)
    told = {m["mission_type"]: (m["count"], m["opaque_id"]) for m in wire.of("MISSION_COUNT", since)}
    assert told == {MISSION_LIST: (0, 0), FENCE_LIST: (1, worked_out(fence)), RALLY_LIST: (0, 0)}
