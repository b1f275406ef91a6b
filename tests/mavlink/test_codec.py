"""Framing and decoding, beside pymavlink's `development` dialect and against damage of all kinds."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest
from fastcrc.crc16 import mcrf4xx
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import development

from fleet.mavlink.codec import decode, decode_any, encode
from fleet.mavlink.crc_extras import CRC_EXTRA
from fleet.mavlink.frame import StreamParser, build, build_v1, scan
from fleet.mavlink.messages import CommandAck, Heartbeat, MissionAck, MissionCurrent, Spec
from tests.mavlink.recordings import recorded_files, recorded_frames

HEARTBEAT = Heartbeat(0x03040000, 2, 12, 29, 3)
ATTITUDE = 30


def frame_of(message: Any, seq: int = 7) -> bytes:
    return encode(message, seq=seq, system=1, component=1)


def as_pymavlink_has_it(ours: Any, name: str, theirs: Any) -> Any:
    """Our raw bytes in pymavlink's shape."""
    value = getattr(ours, name)
    if not isinstance(value, bytes):
        return value
    if isinstance(theirs, str):
        return value.split(b"\0")[0].decode("ascii", "replace")
    if isinstance(theirs, float):
        return struct.unpack("<f", value)[0]
    if isinstance(theirs, list):
        kinds = {10: "H", 4: "f" if len(value) == 16 else "H"}
        return list(struct.unpack(f"<{len(theirs)}{kinds.get(len(theirs), 'B')}", value))
    return value


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def test_every_recorded_message_decodes_as_pymavlink_decodes_it() -> None:
    compared = dict.fromkeys(Spec.by_id, 0)
    for file in recorded_files():
        parser = development.MAVLink(None)
        for _, raw in recorded_frames(file):
            (frame,) = scan(raw).frames
            assert frame.raw == raw
            ours = decode(frame)
            assert (ours is not None) == (frame.msg_id in Spec.by_id)
            # Attitude alone is a third of the traffic and all alike; a tenth of it is enough.
            if ours is None or frame.msg_id not in development.mavlink_map:
                continue
            if frame.msg_id == ATTITUDE and frame.seq % 10:
                continue
            theirs = parser.decode(bytearray(raw))
            assert (frame.system, frame.component) == (theirs.get_srcSystem(), theirs.get_srcComponent())
            for name in theirs.get_fieldnames() if frame.msg_id != ATTITUDE else ["time_boot_ms"]:
                expected = getattr(theirs, name)
                assert same(as_pymavlink_has_it(ours, name, expected), expected), (theirs, ours)
            compared[frame.msg_id] += 1
    assert sum(n > 0 for n in compared.values()) >= 20
    assert compared[33] > 20_000


def test_the_plan_id_of_a_recorded_upload_reappears_in_mission_current() -> None:
    """pymavlink 2.4.50 does not know these fields, so the recording itself is the judge."""
    acked, shown = None, set()
    file = next(f for f in recorded_files() if f.name.startswith("quad-gripper-mission"))
    for _, raw in recorded_frames(file):
        for frame in scan(raw).frames:
            message = decode(frame)
            if isinstance(message, MissionAck):
                acked = message.opaque_id
            elif isinstance(message, MissionCurrent):
                shown.add((message.mission_id, message.total, message.mission_state))
    assert acked == 559842085
    assert shown == {(0, 65535, 1), (acked, 6, 2), (acked, 6, 3), (acked, 6, 5)}


@pytest.mark.parametrize("spec", Spec.by_id.values(), ids=lambda spec: spec.cls.__name__)
def test_each_layout_agrees_with_pymavlink_as_far_as_it_goes(spec: Spec) -> None:
    theirs = development.mavlink_map.get(spec.msg_id)
    if theirs is None:
        assert spec.msg_id in (410, 411, 412), "pymavlink 2.4.50 lacks the events alone"
        return
    names = theirs.ordered_fieldnames
    if spec.msg_id == ATTITUDE:
        assert spec.cls._fields == (names[0],), "only its time is read"
    else:
        assert spec.cls._fields[: len(names)] == tuple(names)
        assert spec.size >= theirs.unpacker.size
    assert CRC_EXTRA[spec.msg_id] == theirs.crc_extra


def test_the_table_of_crc_extras_agrees_with_pymavlink() -> None:
    theirs = {msg_id: cls.crc_extra for msg_id, cls in development.mavlink_map.items()}
    assert {msg_id: CRC_EXTRA[msg_id] for msg_id in theirs} == theirs


def messages() -> st.SearchStrategy[Any]:
    return st.sampled_from(list(Spec.by_id.values())).flatmap(
        lambda spec: st.binary(min_size=spec.size, max_size=spec.size).map(
            lambda raw: spec.make(spec.layout.unpack(raw))
        )
    )


@settings(max_examples=150, deadline=None)
@given(messages())
def test_what_is_encoded_decodes_to_the_same(message: Any) -> None:
    (frame,) = scan(frame_of(message)).frames
    back = decode(frame)
    spec = Spec.by_class[type(message)]
    assert back is not None
    again = Spec.by_class[type(back)].layout.pack(*back)
    packed = spec.layout.pack(*message)
    assert type(back) is type(message)
    assert again == packed or any(isinstance(v, float) and math.isnan(v) for v in message)


def test_trailing_zeros_are_cut_and_come_back() -> None:
    raw = frame_of(MissionCurrent(0, 0, 0, 0, 0, 0, 0))
    assert raw[1] == 1, "one byte of payload stays"
    assert decode(scan(raw).frames[0]) == MissionCurrent(0, 0, 0, 0, 0, 0, 0)


def test_older_and_newer_definitions_of_a_message_are_read() -> None:
    short = build(47, struct.pack("<BBB", 245, 190, 0) + b"\x01", seq=0, system=1, component=1)
    assert decode(scan(short).frames[0]) == MissionAck(245, 190, 0, 1, 0)
    longer = build(47, struct.pack("<BBBBI", 245, 190, 0, 1, 99) + b"new!", seq=0, system=1, component=1)
    assert decode(scan(longer).frames[0]) == MissionAck(245, 190, 0, 1, 99)


def test_mavlink_1_carries_no_extensions_and_must_be_whole() -> None:
    raw = build_v1(77, struct.pack("<HB", 300, 0), seq=3, system=1, component=1)
    (frame,) = scan(raw).frames
    assert (frame.version, frame.seq, decode(frame)) == (1, 3, CommandAck(300, 0))
    cut = build_v1(77, b"\x2c", seq=3, system=1, component=1)
    assert decode(scan(cut).frames[0]) is None


def test_a_signed_frame_is_read_to_its_end() -> None:
    key_owner = development.MAVLink(None, srcSystem=1, srcComponent=1)
    key_owner.signing.secret_key = bytes(32)
    key_owner.signing.sign_outgoing = True
    signed = bytes(key_owner.heartbeat_encode(2, 12, 29, 0x03040000, 3).pack(key_owner))
    found = scan(signed + frame_of(HEARTBEAT))
    assert [f.signed for f in found.frames] == [True, False]
    assert [decode(f) for f in found.frames] == [HEARTBEAT, HEARTBEAT]


def test_a_frame_with_an_unknown_incompatibility_flag_is_dropped() -> None:
    """Also with a good checksum: nobody can know what such a flag changes."""
    inner = bytes((9, 0x02, 0, 7, 1, 1, 0, 0, 0)) + Spec.by_id[0].layout.pack(*HEARTBEAT)
    raw = b"\xfd" + inner + mcrf4xx(inner + bytes([CRC_EXTRA[0]])).to_bytes(2, "little")
    assert scan(raw).frames == []
    plain = bytes((9, 0, 0, 7, 1, 1, 0, 0, 0)) + Spec.by_id[0].layout.pack(*HEARTBEAT)
    raw = b"\xfd" + plain + mcrf4xx(plain + bytes([CRC_EXTRA[0]])).to_bytes(2, "little")
    assert len(scan(raw).frames) == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 20), st.integers(1, 255))
def test_a_damaged_byte_costs_its_frame_and_no_other(where: int, flip: int) -> None:
    good = frame_of(HEARTBEAT)
    bad = bytearray(good)
    bad[where % len(bad)] ^= flip
    found = scan(good + bytes(bad) + good)
    assert found.frames[0].raw == good
    assert found.frames[-1].raw == good


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=20))
def test_a_stream_gives_the_same_frames_however_it_is_cut(cuts: list[int]) -> None:
    stream = (
        b"noise" + frame_of(HEARTBEAT, 1) + frame_of(MissionCurrent(3, 9, 3, 1, 5, 6, 7), 2) + frame_of(HEARTBEAT, 3)
    )
    parser, seen, at = StreamParser(), [], 0
    for cut in [*cuts, len(stream)]:
        seen += parser.feed(stream[at : at + cut], 0.0)
        at += cut
    assert [f.seq for f in seen] == [1, 2, 3]
    assert parser.bad_bytes == 5


def test_random_bytes_never_raise_and_never_pass_the_checksum_by_more_than_chance() -> None:
    chance = random.Random(20261121)
    parser = StreamParser()
    accepted = 0
    for _ in range(200):
        blob = chance.randbytes(4096)
        accepted += len(scan(blob).frames) + len(parser.feed(blob, 0.0))
    assert accepted <= 4, "a CRC of 16 bits lets one in 65,536 of about 12,000 candidates through"


def test_frames_with_random_payloads_decode_or_are_left_alone() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        msg_id = chance.choice(list(CRC_EXTRA))
        raw = build(msg_id, chance.randbytes(chance.randint(1, 255)), seq=0, system=1, component=1)
        (frame,) = scan(raw).frames
        assert (decode(frame) is None) == (msg_id not in Spec.by_id)


def test_any_other_message_is_read_by_pymavlink_on_request() -> None:
    vibration = development.MAVLink(None, srcSystem=1, srcComponent=1)
    raw = bytes(vibration.vibration_encode(5, 1.0, 2.0, 3.0, 4, 5, 6).pack(vibration))
    (frame,) = scan(raw).frames
    assert decode(frame) is None
    assert decode_any(frame).vibration_y == 2.0


def signed(raw: bytes) -> bytes:
    """A MAVLink 2 frame with a signature of some key."""
    inner = bytes((raw[1], 0x01)) + raw[3:-2]
    msg_id = raw[7] | raw[8] << 8 | raw[9] << 16
    return b"\xfd" + inner + mcrf4xx(inner + bytes([CRC_EXTRA[msg_id]])).to_bytes(2, "little") + bytes(13)


@pytest.mark.parametrize("form", ["MAVLink 1", "MAVLink 2", "signed"])
def test_every_known_id_is_read_by_pymavlink_on_request_ours_too(form: str) -> None:
    """Fields of our own layouts agree with it."""
    chance = random.Random(20261122)
    for msg_id in CRC_EXTRA:
        if form == "MAVLink 1" and msg_id > 0xFF:
            continue
        theirs = development.mavlink_map.get(msg_id)
        # Bytes below 128 are text and no NaN; the last one not zero, so that nothing is cut.
        payload = bytes(chance.randrange(1, 100) for _ in range(theirs.unpacker.size if theirs else 30))
        if form == "MAVLink 1":
            payload = payload[: Spec.by_id[msg_id].base_size if msg_id in Spec.by_id else None]
            raw = build_v1(msg_id, payload, seq=9, system=3, component=4)
        else:
            raw = build(msg_id, payload, seq=9, system=3, component=4)
        (frame,) = scan(signed(raw) if form == "signed" else raw).frames
        message = decode_any(frame)
        if theirs is None:
            assert message.get_type() == f"UNKNOWN_{msg_id}", "its definition is newer than pymavlink's"
            continue
        assert (message.get_msgId(), message.get_srcSystem(), message.get_seq()) == (msg_id, 3, 9)
        ours = decode(frame)
        assert (ours is not None) == (msg_id in Spec.by_id)
        for name in [] if ours is None else set(ours._fields) & set(message.get_fieldnames()):
            expected = getattr(message, name)
            assert same(as_pymavlink_has_it(ours, name, expected), expected), (message, ours)
