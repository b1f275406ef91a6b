"""Frames out of a byte stream: cut anywhere, with noise between them, and with parts that never come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink.codec import encode
from fleet.mavlink.frame import MAX_FRAME, STALL_S, StreamParser, build_v1
from fleet.mavlink.messages import GlobalPositionInt, Heartbeat

BEAT = Heartbeat(0x03040000, 2, 12, 29, 3)
POSITION = GlobalPositionInt(1000, 75000000, 382000000, 420000, 0, 0, 0, 0, 0)
PROMISE = bytes((0xFE, 255, 1, 1, 1, 0))
"""looks like the beginning of a HEARTBEAT of 255 bytes"""


def beat(seq: int) -> bytes:
    return encode(BEAT, seq=seq, system=1, component=1)


def held(parser: StreamParser) -> int:
    return len(parser._rest)


FRAMES = beat(1) + encode(POSITION, seq=2, system=1, component=1) + build_v1(0, bytes(9), seq=3, system=1, component=1)


@given(st.sets(st.integers(0, len(FRAMES))), st.floats(0.0, 100.0))
def test_frames_cut_at_any_bytes_are_whole_again_however_late_the_rest_comes(cuts: set[int], gap_s: float) -> None:
    parser, seen, at, now_s = StreamParser(), [], 0, 0.0
    for cut in [*sorted(cuts), len(FRAMES)]:
        seen += parser.feed(FRAMES[at:cut], now_s)
        at, now_s = cut, now_s + gap_s
    assert [frame.seq for frame in seen] == [1, 2, 3]
    assert b"".join(frame.raw for frame in seen) == FRAMES
    assert (parser.bad_bytes, held(parser)) == (0, 0)


def test_a_false_beginning_holds_back_the_next_frame_only_until_it_has_stalled() -> None:
    parser = StreamParser()
    assert parser.feed(PROMISE, 0.0) == []
    assert parser.feed(beat(1), STALL_S / 2) == [], "it may still be the rest of it"
    assert [frame.seq for frame in parser.feed(beat(2), 1.0)] == [1, 2]
    assert [frame.seq for frame in parser.feed(beat(3), 1.1)] == [3]
    assert parser.bad_bytes == len(PROMISE)


def test_a_false_beginning_within_old_noise_is_as_old_as_the_noise() -> None:
    parser = StreamParser()
    parser.feed(bytes((0xFE, 20, 1, 1, 1, 0)) + PROMISE, 0.0)
    assert parser.feed(bytes(16), 1.0) == [], "the first is settled, the second is not"
    assert [frame.seq for frame in parser.feed(beat(1), 1.0 + STALL_S / 2)] == [1]


@pytest.mark.parametrize("lost", range(len(encode(POSITION, seq=1, system=1, component=1))))
def test_a_frame_that_lost_a_byte_costs_itself_alone(lost: int) -> None:
    """Its CRC ends in FE 27: with the last byte lost, FE and the next frame look like a long MAVLink 1 frame."""
    parser = StreamParser()
    broken = encode(POSITION, seq=1, system=1, component=1)
    seen = parser.feed(broken[:lost] + broken[lost + 1 :], 0.0)
    seen += parser.feed(beat(2), 0.1)
    seen += parser.feed(beat(3), 1.1)
    assert [frame.seq for frame in seen] == [2, 3]


def test_a_frame_whose_rest_is_seconds_late_is_not_given_up_while_nothing_else_comes() -> None:
    parser = StreamParser()
    frame = encode(POSITION, seq=1, system=1, component=1)
    for at, byte in enumerate(frame[:-1]):
        assert parser.feed(bytes((byte,)), 10.0 * at) == []
    assert len(parser.feed(frame[-1:], 1e4)) == 1
    assert parser.bad_bytes == 0


noise = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.just(PROMISE),
        st.just(PROMISE[:3]),
        st.just(bytes((0xFD, 255, 1, 0, 0, 1, 1, 33, 0, 0))),
    ),
    max_size=30,
).map(b"".join)


@given(noise, st.floats(STALL_S, 60.0))
def test_after_any_noise_a_vehicle_that_sends_once_in_a_while_is_heard_at_once(bytes_: bytes, gap_s: float) -> None:
    parser, now_s = StreamParser(), 0.0
    parser.feed(bytes_, now_s)
    for seq in range(4):
        now_s += gap_s
        assert [frame.seq for frame in parser.feed(beat(seq), now_s)] == [seq]
        assert held(parser) < MAX_FRAME
    assert parser.bad_bytes + held(parser) == len(bytes_)


@given(noise, st.lists(st.integers(1, 40), max_size=40))
def test_noise_never_swallows_a_frame_and_never_piles_up(bytes_: bytes, cuts: list[int]) -> None:
    """All in one moment, so that nothing is ever given up: the next 280 bytes settle every false beginning."""
    stream = bytes_ + FRAMES + bytes(MAX_FRAME)
    parser, seen, at = StreamParser(), [], 0
    for cut in [*cuts, len(stream)]:
        seen += parser.feed(stream[at : at + cut], 0.0)
        assert held(parser) < MAX_FRAME
        at += cut
    assert [frame.seq for frame in seen] == [1, 2, 3]
