"""MAVLink 2 message signing: who sent a frame, and that it was not sent before.

    guard = KeyGuard(key)                                   # one for each vehicle with a key
    wire = guard.seal(frame.build(...), link_id=0, now_s=now_s)
    if guard.check(frame, now_s).authentic: ...

https://mavlink.io/en/guide/message_signing.html. A signature is the first 48 bits of SHA-256 over the key, the frame,
a link id and a 48-bit timestamp that only ever grows within a stream (system, component, link id).

The time of signing need not be the time of day. PX4 starts each boot with the timestamp it kept when its key was
installed and adds one for each frame it signs; only a signed frame that reaches it takes it to its sender's time. So
the frames of a vehicle that has just booted are authentic and yet too old (`Verdict.behind`). It must be sent a signed
message, and takes our time from it: the link answers with its heartbeat, also to an address it has not admitted yet.
For the same reason age is judged on a stream's first frame only: a vehicle that hears nothing more from us falls
behind by a second every second, and its telemetry is wanted then more than ever.

A vehicle without a key has no guard: its frames are taken unverified, signed or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest

from fastcrc.crc16 import mcrf4xx

from fleet.mavlink.crc_extras import CRC_EXTRA
from fleet.mavlink.frame import MAGIC_2, SIGNATURE_SIZE, SIGNED, Frame

KEY_BYTES = 32
EPOCH_S = 1_420_070_400
"""2015-01-01T00:00:00 GMT as Unix time: where timestamps count from"""
PER_S = 100_000
"""timestamps a second: one each 10 µs"""
MAX_TIMESTAMP = (1 << 48) - 1
"""reached in the year 2104"""
LATEST = MAX_TIMESTAMP - 365 * 86_400 * PER_S
"""where we set or follow a clock to at most: one that claims the end of time may not leave us without timestamps"""
MAX_AGE_S = 60
"""how far behind ours the first timestamp of a stream may be (message_signing.html)"""
ALWAYS_UNSIGNED = frozenset({0, 109, 246, 247})
"""HEARTBEAT, RADIO_STATUS, ADSB_VEHICLE, COLLISION: what PX4 accepts without a signature from anybody"""


class Verdict(StrEnum):
    """What the verifier says to one frame."""

    ACCEPTED = "accepted"
    """signed with the vehicle's key, and newer than all before it"""
    UNSIGNED_ALLOWED = "unsigned_allowed"
    """not signed, and of a kind that need not be: it may be looked at, and proves nothing about the vehicle"""
    UNSIGNED_REFUSED = "unsigned_refused"
    MAVLINK_1 = "mavlink_1"
    """MAVLink 1 cannot sign"""
    BAD_SIGNATURE = "bad_signature"
    """damaged, forged, or signed with another key"""
    REPLAYED = "replayed"
    """the right key, but not newer than what this stream has sent already"""
    TOO_OLD = "too_old"
    """the right key, but the first of its stream and more than a minute behind our time"""

    @property
    def authentic(self) -> bool:
        """The vehicle's own word: only this may be folded into its state, answer a command or open the door."""
        return self is Verdict.ACCEPTED

    @property
    def passes(self) -> bool:
        """May be looked at; unless it is `authentic` too, it may come from anybody."""
        return self is Verdict.ACCEPTED or self is Verdict.UNSIGNED_ALLOWED

    @property
    def behind(self) -> bool:
        """A capture, or a vehicle whose clock is behind ours: a signed message takes it to our time."""
        return self is Verdict.REPLAYED or self is Verdict.TOO_OLD

    @property
    def text(self) -> str:
        """For the operator: what is wrong, and what to do."""
        return _TEXTS[self]


_TEXTS = {
    Verdict.ACCEPTED: "signed with the vehicle's key",
    Verdict.UNSIGNED_ALLOWED: "not signed, and of a kind that PX4 takes from anybody: it proves nothing",
    Verdict.UNSIGNED_REFUSED: "it sends unsigned frames: install its key on it, or configure it without one",
    Verdict.MAVLINK_1: "it speaks MAVLink 1, which cannot sign: set MAV_PROTO_VER to 2 on it",
    Verdict.BAD_SIGNATURE: "its signatures do not fit its key: install the key on it anew, or correct the configured",
    Verdict.REPLAYED: "it repeats timestamps: somebody replays a capture, or it has booted and does not hear us yet",
    Verdict.TOO_OLD: "its timestamps are old: somebody replays a capture, or it has booted and does not hear us yet",
}


Stream = tuple[int, int, int]
"""system, component and link id: whose timestamps grow together"""


@dataclass(frozen=True, slots=True)
class Marks:
    """What must outlive a restart: timestamps that may have been used already, ours and those of each stream."""

    sent: int = 0
    received: Mapping[Stream, int] = field(default_factory=dict)


def timestamp(unix_s: float) -> int:
    """The signing time at a Unix time; 0 before 2015, as a machine without a clock believes."""
    return min(LATEST, max(0, int((unix_s - EPOCH_S) * PER_S)))


def sign(unsigned: bytes, key: bytes, *, link_id: int, at: int) -> bytes:
    """The frame with a signature. `unsigned`: of `frame.build`; `at`: a timestamp no stream of ours used before."""
    head = bytes((unsigned[1], unsigned[2] | SIGNED)) + unsigned[3:-2]
    signed = bytes((MAGIC_2,)) + head + _crc(head) + bytes((link_id,)) + at.to_bytes(6, "little")
    return signed + _signature(key, signed)


def without_signature(raw: bytes) -> bytes:
    """The same frame unsigned, for logs: many signatures in one place would help whoever wants to find the key."""
    if raw[0] != MAGIC_2 or not raw[2] & SIGNED:
        return raw
    head = bytes((raw[1], raw[2] & ~SIGNED)) + raw[3 : -2 - SIGNATURE_SIZE]
    return bytes((MAGIC_2,)) + head + _crc(head)


def _crc(head: bytes) -> bytes:
    """Checksum of a frame's bytes after the start byte."""
    extra = CRC_EXTRA[head[6] | head[7] << 8 | head[8] << 16]
    return int(mcrf4xx(head + bytes((extra,)))).to_bytes(2, "little")


def _signature(key: bytes, signed: bytes) -> bytes:
    return sha256(key + signed).digest()[:6]


class SigningClock:
    """Our time towards one vehicle. It only grows, whatever the wall clock does, and follows the vehicle's.

    One for each vehicle: whoever holds a stolen vehicle's key can set the clock ahead towards that vehicle alone.
    """

    def __init__(self, newest: int = 0, reserve: Callable[[], None] = lambda: None) -> None:
        """`newest`: what may have been used before. `reserve`: called before a timestamp beyond `reserved` is used."""
        self.newest = newest
        self.reserved = newest
        """timestamps up to here are known to be passed over after a restart"""
        self._reserve = reserve

    def now(self, now_s: float) -> int:
        """The signing time; `now_s` is Unix time."""
        return max(self.newest, timestamp(now_s))

    def stamp(self, now_s: float) -> int:
        """A timestamp for one frame, never given before."""
        self.newest = at = max(self.newest + 1, timestamp(now_s))
        if at > self.reserved:
            self._reserve()
        return at

    def follow(self, at: int) -> None:
        """A vehicle's signed frame had this timestamp: ours are newer from now on."""
        if at > self.newest:
            self.newest = min(at, max(self.newest, LATEST))


class KeyGuard:
    """Signs what goes to one vehicle and judges what claims to come from it, before anything else looks at it.

    One for all links of the vehicle: what was heard on one link is a replay on another.
    """

    def __init__(
        self,
        key: bytes,
        clock: SigningClock | None = None,
        received: Mapping[Stream, int] | None = None,
        unsaved: Callable[[], None] = lambda: None,
    ) -> None:
        """`received`: each stream's newest timestamp. `unsaved`: called when one beyond `reserved` was accepted."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a signing key has {KEY_BYTES} bytes, this one has {len(key)}")
        self._key = key
        self.clock = clock if clock is not None else SigningClock()
        self.newest: dict[Stream, int] = dict(received or {})
        self.reserved: Mapping[Stream, int] = dict(self.newest)
        """timestamps up to these are known to be refused after a restart"""
        self.counts: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
        self._unsaved = unsaved

    def seal(self, raw: bytes, link_id: int, now_s: float) -> bytes:
        """A frame of `frame.build`, signed now. `link_id`: of its own for each of our links."""
        return sign(raw, self._key, link_id=link_id, at=self.clock.stamp(now_s))

    def authentic(self, frame: Frame, now_s: float) -> bool:
        """Whether the frame is the vehicle's own word, and new."""
        return self.check(frame, now_s) is Verdict.ACCEPTED

    def check(self, frame: Frame, now_s: float) -> Verdict:
        """The verdict, which is counted. Only an accepted frame changes what is accepted next."""
        verdict = self._judge(frame, now_s)
        self.counts[verdict] += 1
        return verdict

    def _judge(self, frame: Frame, now_s: float) -> Verdict:
        if frame.version == 1:
            return Verdict.MAVLINK_1
        if not frame.signed:
            return Verdict.UNSIGNED_ALLOWED if frame.msg_id in ALWAYS_UNSIGNED else Verdict.UNSIGNED_REFUSED
        raw = frame.raw
        if not compare_digest(_signature(self._key, raw[:-6]), raw[-6:]):
            return Verdict.BAD_SIGNATURE
        at = int.from_bytes(raw[-12:-6], "little")
        stream = (frame.system, frame.component, raw[-13])
        newest = self.newest.get(stream)
        if newest is None:
            if at < self.clock.now(now_s) - MAX_AGE_S * PER_S:
                return Verdict.TOO_OLD
        elif at <= newest:
            return Verdict.REPLAYED
        self.newest[stream] = at
        self.clock.follow(at)
        if at > self.reserved.get(stream, -1):
            self._unsaved()
        return Verdict.ACCEPTED
