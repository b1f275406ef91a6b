"""PX4's checksum of a plan, as real vehicles told it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink.checksum import opaque_id
from fleet.mavlink.codec import decode
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import MissionAck, MissionItemInt
from tests.mavlink.recordings import recorded_files, recorded_frames

ITEM = MissionItemInt(0.0, 0.0, 0.0, float("nan"), 75000000, 382000000, 500.0, 0, 16, 1, 1, 5)


def test_it_is_what_a_real_px4_answered_to_each_recorded_upload() -> None:
    compared = 0
    for file in recorded_files():
        sent: dict[int, MissionItemInt] = {}
        for _, raw in recorded_frames(file):
            (frame,) = scan(raw).frames
            message = decode(frame)
            if isinstance(message, MissionItemInt) and frame.system != 1:
                sent[message.seq] = message
            elif isinstance(message, MissionAck) and frame.system == 1 and message.type == 0:
                assert message.opaque_id == opaque_id(sent[n] for n in sorted(sent))
                sent.clear()
                compared += 1
    assert compared == 2


def test_an_empty_list_has_none() -> None:
    assert opaque_id([]) == 0


@given(st.integers(0, 5), st.sampled_from(["param1", "x", "z", "command", "frame"]))
def test_a_change_in_any_item_shows(at: int, field: str) -> None:
    items = [ITEM._replace(x=ITEM.x + n) for n in range(6)]
    other = list(items)
    other[at] = other[at]._replace(**{field: getattr(other[at], field) + 1})
    assert opaque_id(other) != opaque_id(items)
    assert opaque_id(reversed(items)) != opaque_id(items)
