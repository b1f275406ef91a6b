"""Signing beside pymavlink on the other side, and against everybody who has not got the key."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from fastcrc.crc16 import mcrf4xx
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import development

from fleet.mavlink.codec import encode
from fleet.mavlink.crc_extras import CRC_EXTRA
from fleet.mavlink.frame import SIGNATURE_SIZE, Frame, build, build_v1, scan
from fleet.mavlink.messages import CommandLong, Heartbeat, Message, Spec, SysStatus
from fleet.mavlink.signing import (
    ALWAYS_UNSIGNED,
    LATEST,
    MAX_TIMESTAMP,
    PER_S,
    KeyGuard,
    SigningClock,
    Verdict,
    sign,
    timestamp,
    without_signature,
)

KEY = bytes(range(7, 39))
NOW_S = 1_800_000_000.0
HEARTBEAT = Heartbeat(0x03040000, 2, 12, 29, 3)
ARM = CommandLong(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 400, 1, 1)


class Px4:
    """A vehicle that signs with pymavlink. Like PX4 it has no time but what it counts and what it hears."""

    def __init__(self, key: bytes = KEY, *, at: int = timestamp(NOW_S), link_id: int = 0) -> None:
        self.mav = development.MAVLink(None, srcSystem=1, srcComponent=1)
        self.mav.signing.secret_key = key
        self.mav.signing.sign_outgoing = True
        self.mav.signing.timestamp = at
        self.mav.signing.link_id = link_id

    def beats(self) -> bytes:
        return bytes(self.mav.heartbeat_encode(2, 12, 29, 0x03040000, 3).pack(self.mav))

    def hears(self, raw: bytes) -> Any:
        """The message; MAVError if the vehicle refuses the frame."""
        return self.mav.decode(bytearray(raw))


def the_frame(raw: bytes) -> Frame:
    (frame,) = scan(raw).frames
    return frame


def ours(message: Message = HEARTBEAT) -> bytes:
    return encode(message, seq=3, system=245, component=190)


# -- with those who have the key -------------------------------------------------------------------------------------


def test_a_vehicle_accepts_every_message_that_we_sign() -> None:
    guard, vehicle = KeyGuard(KEY), Px4()
    for n, msg_id in enumerate(sorted(Spec.by_id.keys() & development.mavlink_map.keys())):
        spec = Spec.by_id[msg_id]
        for payload in (bytes(spec.size), bytes(i * 37 & 0x3F | 1 for i in range(spec.size))):
            raw = build(msg_id, payload, seq=n, system=245, component=190)
            heard = vehicle.hears(guard.seal(raw, n & 3, NOW_S))
            assert (heard.get_msgId(), heard.get_signed()) == (msg_id, True)


def test_we_accept_everything_a_vehicle_signs_once() -> None:
    guard, vehicle = KeyGuard(KEY), Px4()
    sent = [vehicle.beats() for _ in range(50)]
    assert [guard.check(the_frame(raw), NOW_S) for raw in sent] == [Verdict.ACCEPTED] * 50
    assert [guard.check(the_frame(raw), NOW_S) for raw in sent] == [Verdict.REPLAYED] * 50
    assert guard.counts[Verdict.ACCEPTED] == guard.counts[Verdict.REPLAYED] == 50


def test_a_signed_frame_without_its_signature_is_the_frame_that_was_signed() -> None:
    raw = ours(ARM)
    signed = sign(raw, KEY, link_id=2, at=timestamp(NOW_S))
    assert len(signed) == len(raw) + SIGNATURE_SIZE
    assert the_frame(signed).payload == the_frame(raw).payload
    assert without_signature(signed) == raw
    assert without_signature(raw) == raw
    v1 = build_v1(0, bytes(9), seq=1, system=1, component=1)
    assert without_signature(v1) == v1


def test_a_px4_that_has_just_booted_is_behind_until_it_hears_us() -> None:
    month_ago = timestamp(NOW_S - 30 * 86_400)
    guard, vehicle = KeyGuard(KEY), Px4(at=month_ago)
    for _ in range(5):
        verdict = guard.check(the_frame(vehicle.beats()), NOW_S)
        assert verdict is Verdict.TOO_OLD
        assert verdict.behind
        assert not verdict.passes
    vehicle.hears(guard.seal(ours(), 0, NOW_S))
    assert guard.check(the_frame(vehicle.beats()), NOW_S) is Verdict.ACCEPTED
    # It boots again in mid-session: now its stream is known, and its frames are those of long ago.
    vehicle = Px4(at=month_ago)
    verdict = guard.check(the_frame(vehicle.beats()), NOW_S + 1.0)
    assert verdict is Verdict.REPLAYED
    assert verdict.behind
    vehicle.hears(guard.seal(ours(), 0, NOW_S + 1.0))
    assert guard.check(the_frame(vehicle.beats()), NOW_S + 1.0) is Verdict.ACCEPTED


def test_a_vehicle_that_no_longer_hears_us_is_heard_on() -> None:
    guard, vehicle = KeyGuard(KEY), Px4()
    for minute in range(120):
        guard.seal(ours(), 0, NOW_S + 60.0 * minute)  # sent, and lost
        assert guard.check(the_frame(vehicle.beats()), NOW_S + 60.0 * minute) is Verdict.ACCEPTED


def test_a_vehicle_ahead_of_our_time_takes_our_timestamps_along() -> None:
    guard, vehicle = KeyGuard(KEY), Px4(at=timestamp(NOW_S + 3600.0))
    assert guard.authentic(the_frame(vehicle.beats()), NOW_S)
    vehicle.hears(guard.seal(ours(), 0, NOW_S))  # would be an hour too old for it by our own clock


@pytest.mark.parametrize(("behind_s", "verdict"), [(60.0, Verdict.ACCEPTED), (60.001, Verdict.TOO_OLD)])
def test_the_first_frame_of_a_stream_may_be_a_minute_behind(behind_s: float, verdict: Verdict) -> None:
    vehicle = Px4(at=timestamp(NOW_S) - round(behind_s * PER_S))
    assert KeyGuard(KEY).check(the_frame(vehicle.beats()), NOW_S) is verdict


def test_components_and_links_of_a_vehicle_count_for_themselves() -> None:
    guard = KeyGuard(KEY)
    at = timestamp(NOW_S)
    for component in (1, 100):
        for link_id in (0, 1):
            raw = encode(HEARTBEAT, seq=0, system=1, component=component)
            assert guard.authentic(the_frame(sign(raw, KEY, link_id=link_id, at=at)), NOW_S)
    assert guard.counts[Verdict.ACCEPTED] == 4


@given(
    frames=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(0, 30)), max_size=60),
)
def test_in_whatever_order_frames_come_each_stream_only_moves_forward(frames: list[tuple[int, int, int]]) -> None:
    guard = KeyGuard(KEY)
    accepted: dict[tuple[int, int], list[int]] = {}
    for component, link_id, tick in frames:
        raw = encode(HEARTBEAT, seq=0, system=1, component=component)
        frame = the_frame(sign(raw, KEY, link_id=link_id, at=timestamp(NOW_S) + tick))
        newest = max(accepted.get((component, link_id), [-1]))
        assert guard.check(frame, NOW_S) is (Verdict.ACCEPTED if tick > newest else Verdict.REPLAYED)
        if tick > newest:
            accepted.setdefault((component, link_id), []).append(tick)


# -- without the key -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("msg_id", sorted(ALWAYS_UNSIGNED))
def test_what_px4_accepts_unsigned_may_be_looked_at_and_is_not_the_vehicle_s_word(msg_id: int) -> None:
    guard = KeyGuard(KEY)
    frame = the_frame(build(msg_id, bytes(range(1, 10)), seq=0, system=1, component=1))
    verdict = guard.check(frame, NOW_S)
    assert verdict is Verdict.UNSIGNED_ALLOWED
    assert verdict.passes
    assert not verdict.authentic
    assert not guard.authentic(frame, NOW_S)


def test_every_other_message_must_be_signed() -> None:
    guard = KeyGuard(KEY)
    for msg_id in Spec.by_id.keys() - ALWAYS_UNSIGNED:
        verdict = guard.check(the_frame(build(msg_id, bytes(5), seq=0, system=1, component=1)), NOW_S)
        assert verdict is Verdict.UNSIGNED_REFUSED
        assert not verdict.passes


def test_mavlink_1_is_refused_where_signing_is_demanded_its_heartbeat_too() -> None:
    frame = the_frame(build_v1(0, bytes(9), seq=0, system=1, component=1))
    assert KeyGuard(KEY).check(frame, NOW_S) is Verdict.MAVLINK_1
    assert not Verdict.MAVLINK_1.passes


def test_a_forged_frame_from_the_future_does_not_lock_the_vehicle_out() -> None:
    guard, vehicle = KeyGuard(KEY), Px4()
    forged = the_frame(sign(vehicle.beats()[:-SIGNATURE_SIZE], bytes(32), link_id=0, at=MAX_TIMESTAMP))
    assert guard.check(forged, NOW_S) is Verdict.BAD_SIGNATURE
    assert guard.authentic(the_frame(vehicle.beats()), NOW_S)


def test_what_was_heard_on_one_link_is_a_replay_on_another() -> None:
    guard = KeyGuard(KEY)
    captured = the_frame(Px4(link_id=4).beats())
    assert guard.authentic(captured, NOW_S)
    elsewhere = bytearray(captured.raw)
    elsewhere[-SIGNATURE_SIZE] = 5
    assert guard.check(captured, NOW_S) is Verdict.REPLAYED
    assert guard.check(the_frame(bytes(elsewhere)), NOW_S) is Verdict.BAD_SIGNATURE


def with_crc(raw: bytes) -> bytes:
    """The signed frame with the checksum that its bytes demand, so that only the signature can tell."""
    body, block = raw[:-SIGNATURE_SIZE], raw[-SIGNATURE_SIZE:]
    extra = CRC_EXTRA[int.from_bytes(body[7:10], "little")]
    return body[:-2] + int(mcrf4xx(body[1:-2] + bytes([extra]))).to_bytes(2, "little") + block


def flipped(raw: bytes, first: int, last: int, chance: random.Random) -> bytes:
    """With 1 to 5 bits flipped between two places."""
    spoiled = bytearray(raw)
    for bit in chance.sample(range(first * 8, last * 8), chance.choice((1, 1, 2, 5))):
        spoiled[bit // 8] ^= 1 << bit % 8
    return bytes(spoiled)


class Forger:
    """Has heard everything and knows everything but the key; each trick makes one frame."""

    def __init__(self, heard: list[bytes], held: list[bytes], old: list[bytes], chance: random.Random) -> None:
        """`heard`: what was let through; `held`: what was kept back meanwhile; `old`: a capture of other streams."""
        self.heard, self.held, self.old, self.chance = heard, held, old, chance
        self.tricks: list[Callable[[], bytes]] = [
            self.replays,
            self.delivers_late,
            self.opens_a_stream_with_a_capture,
            self.spoils_the_message,
            self.spoils_the_signature_block,
            self.guesses_the_key,
            self.strips_the_signature,
            self.sends_unsigned,
            self.sends_mavlink_1,
            self.takes_another_stream,
        ]

    def replays(self) -> bytes:
        return self.chance.choice(self.heard)

    def delivers_late(self) -> bytes:
        return self.chance.choice(self.held)

    def opens_a_stream_with_a_capture(self) -> bytes:
        return self.chance.choice(self.old)

    def spoils_the_message(self) -> bytes:
        raw = self.chance.choice(self.heard)
        return with_crc(flipped(raw, 10, len(raw) - SIGNATURE_SIZE - 2, self.chance))

    def spoils_the_signature_block(self) -> bytes:
        raw = self.chance.choice(self.heard)
        return flipped(raw, len(raw) - SIGNATURE_SIZE, len(raw), self.chance)

    def guesses_the_key(self) -> bytes:
        raw = without_signature(self.chance.choice(self.heard))
        key = flipped(KEY, 0, 32, self.chance) if self.chance.random() < 0.5 else self.chance.randbytes(32)
        return sign(raw, key, link_id=self.chance.randrange(256), at=timestamp(NOW_S) + self.chance.randrange(10**8))

    def strips_the_signature(self) -> bytes:
        return without_signature(self.chance.choice(self.heard))

    def sends_unsigned(self) -> bytes:
        msg_id = self.chance.choice(sorted(Spec.by_id))
        payload = self.chance.randbytes(Spec.by_id[msg_id].size)
        return build(msg_id, payload, seq=self.chance.randrange(256), system=1, component=1)

    def sends_mavlink_1(self) -> bytes:
        return build_v1(0, self.chance.randbytes(9), seq=0, system=1, component=1)

    def takes_another_stream(self) -> bytes:
        raw = bytearray(self.chance.choice(self.heard))
        place = self.chance.choice((4, 6, -SIGNATURE_SIZE))
        raw[place] = (raw[place] + self.chance.randrange(1, 256)) & 0xFF
        return with_crc(bytes(raw))


def attacked(seed: int, frames: int) -> dict[Verdict, int]:
    """A session in which a forger sends so many frames among a vehicle's own; what the guard said to the forger."""
    chance = random.Random(seed)
    guard = KeyGuard(KEY)
    at = timestamp(NOW_S)
    old = [
        sign(encode(message, seq=i, system=1, component=c), KEY, link_id=7, at=at - (61 + i) * PER_S)
        for i, message in enumerate((HEARTBEAT, SysStatus(*(1 for _ in SysStatus._fields)), ARM))
        for c in (1, 2)
    ]
    heard: list[bytes] = []
    held: list[bytes] = []
    said = dict.fromkeys(Verdict, 0)
    for n in range(frames):
        if n % 20 == 0:
            for message in (HEARTBEAT, ARM):
                at += 2
                raw = encode(message, seq=n & 0xFF, system=1, component=1)
                held.append(sign(raw, KEY, link_id=0, at=at - 1))
                heard.append(sign(raw, KEY, link_id=0, at=at))
                assert guard.check(the_frame(heard[-1]), NOW_S) is Verdict.ACCEPTED, "the vehicle itself is heard"
        forger = Forger(heard, held, old, chance)
        for frame in scan(chance.choice(forger.tricks)()).frames:
            verdict = guard.check(frame, NOW_S)
            said[verdict] += 1
            if verdict.passes:
                assert frame.msg_id in ALWAYS_UNSIGNED
                assert not frame.signed
    return said


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_of_ten_thousand_forged_or_replayed_frames_none_is_accepted(seed: int) -> None:
    said = attacked(seed, 200)
    assert said[Verdict.ACCEPTED] == 0
    assert sum(said.values()) > 190, "forgeries must get as far as the guard to prove anything"


def test_every_way_to_be_refused_is_tried() -> None:
    said = attacked(1, 2000)
    assert said.pop(Verdict.ACCEPTED) == 0
    assert all(count > 20 for count in said.values()), said


# -- our clock -------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("stamp"), st.floats(-1e10, 1e10)),
            st.tuples(st.just("follow"), st.integers(0, MAX_TIMESTAMP)),
        ),
        max_size=50,
    )
)
def test_timestamps_only_grow_whatever_the_wall_clock_and_the_vehicle_say(steps: list[tuple[str, Any]]) -> None:
    clock = SigningClock()
    last = 0
    for step, value in steps:
        if step == "follow":
            clock.follow(value)
            continue
        at = clock.stamp(value)
        assert last < at <= MAX_TIMESTAMP
        last = at


def test_a_vehicle_at_the_end_of_time_leaves_us_a_year_of_timestamps() -> None:
    guard, vehicle = KeyGuard(KEY), Px4(at=MAX_TIMESTAMP - 1)
    assert guard.authentic(the_frame(vehicle.beats()), NOW_S)
    assert guard.clock.stamp(NOW_S) == LATEST + 1


def test_a_burst_gets_ahead_of_the_time_of_day_rather_than_repeat_itself() -> None:
    clock = SigningClock()
    assert [clock.stamp(NOW_S) - timestamp(NOW_S) for _ in range(4)] == [0, 1, 2, 3]
    assert clock.stamp(NOW_S + 1.0) == timestamp(NOW_S + 1.0)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one has 16"):
        KeyGuard(bytes(16))
