"""MAVLink 1 and 2 framing: bytes to checked frames and back. Nothing past this point sees an unchecked byte.

Layouts: https://mavlink.io/en/guide/serialization.html. CRC-16/MCRF4XX over everything after the start byte and
CRC_EXTRA, which ties a frame to its message's definition.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastcrc.crc16 import mcrf4xx

from fleet.mavlink.crc_extras import CRC_EXTRA

MAGIC_1 = 0xFE
MAGIC_2 = 0xFD
SIGNED = 0x01
"""the only incompatibility flag that exists; a frame with another one cannot be read and must be dropped"""
SIGNATURE_SIZE = 13
MAX_FRAME = 10 + 255 + 2 + SIGNATURE_SIZE
STALL_S = 0.5
"""no serial sender pauses so long within a frame: 280 bytes take 0.3 s at 9600 bits/s, a radio's turns 0.2 s"""

_EXTRA = {msg_id: bytes([extra]) for msg_id, extra in CRC_EXTRA.items()}
_new: Any = tuple.__new__
"""makes a NamedTuple of a tuple in a third of its own constructor's time; this module runs for every frame"""


class Frame(NamedTuple):
    """One frame whose checksum held."""

    msg_id: int
    system: int
    component: int
    seq: int
    payload: bytes
    version: int
    raw: bytes
    """as received, with any signature"""

    @property
    def signed(self) -> bool:
        return self.version == 2 and bool(self.raw[2] & SIGNED)


class Scan(NamedTuple):
    frames: list[Frame]
    consumed: int
    """bytes that need not be seen again; fewer than given only when `more` may complete a frame"""
    bad: int
    """bytes skipped because no valid frame of a known message began there"""


def scan(data: bytes, *, more: bool = False) -> Scan:
    """All valid frames in `data`. With `more`, the beginning of a frame at the end is left for the next call.

    A datagram stands alone (`more` False): a length that points past its end is damage, not a promise.
    """
    frames: list[Frame] = []
    at = bad = 0
    size = len(data)
    while at < size:
        magic = data[at]
        if magic == MAGIC_2 and at + 10 <= size:
            flags = data[at + 2]
            msg_id = data[at + 7] | data[at + 8] << 8 | data[at + 9] << 16
            extra = _EXTRA.get(msg_id) if flags <= SIGNED else None
            version, ids, head = 2, at + 4, at + 10
            crc_at = head + data[at + 1]
            end = crc_at + 2 if not flags else crc_at + 2 + SIGNATURE_SIZE
        elif magic == MAGIC_1 and at + 6 <= size:
            msg_id = data[at + 5]
            extra = _EXTRA.get(msg_id)
            version, ids, head = 1, at + 2, at + 6
            crc_at = head + data[at + 1]
            end = crc_at + 2
        elif more and magic in (MAGIC_2, MAGIC_1):
            break
        else:
            extra = None
        if extra is not None:
            if end <= size:
                if mcrf4xx(data[at + 1 : crc_at] + extra) == data[crc_at] | data[crc_at + 1] << 8:
                    raw = data if end - at == size else data[at:end]
                    fields = (msg_id, data[ids + 1], data[ids + 2], data[ids], data[head:crc_at], version, raw)
                    frames.append(_new(Frame, fields))
                    at = end
                    continue
            elif more:
                break
        at += 1
        bad += 1
    found: Scan = _new(Scan, (frames, at, bad))
    return found


class StreamParser:
    """Frames out of a byte stream (TCP, serial). Holds at most one unfinished frame, so less than MAX_FRAME bytes.

    Noise can look like the beginning of a long frame and so hold back good ones behind it. When such a beginning has
    waited for STALL_S and whole frames have come after it, it is given up; without them it may be a true frame whose
    rest is late.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._since_s = 0.0
        self.bad_bytes = 0

    def feed(self, data: bytes, now_s: float) -> list[Frame]:
        held, buffer = len(self._rest), self._rest + data
        frames, start, bad = scan(buffer, more=True)
        if start < held and now_s - self._since_s >= STALL_S:
            more, end, worse = _behind(buffer[start:])
            frames, start, bad = frames + more, start + end, bad + worse
        if start >= held:
            self._since_s = now_s
        self._rest = buffer[start:]
        self.bad_bytes += bad
        return frames


def _behind(buffer: bytes) -> Scan:
    """The frames after an unfinished one; nothing is consumed when there are none."""
    at = 1
    while at < len(buffer):
        frames, consumed, bad = scan(buffer[at:], more=True)
        if frames:
            return Scan(frames, at + consumed, at + bad)
        at += consumed + 1
    return Scan([], 0, 0)


def build(msg_id: int, payload: bytes, *, seq: int, system: int, component: int) -> bytes:
    """A MAVLink 2 frame, unsigned; trailing zeros of the payload are cut as the protocol demands (one byte stays)."""
    body = payload.rstrip(b"\0") or payload[:1]
    inner = (
        bytes((len(body), 0, 0, seq & 0xFF, system, component, msg_id & 0xFF, msg_id >> 8 & 0xFF, msg_id >> 16)) + body
    )
    return bytes((MAGIC_2,)) + inner + int(mcrf4xx(inner + _EXTRA[msg_id])).to_bytes(2, "little")


def build_v1(msg_id: int, payload: bytes, *, seq: int, system: int, component: int) -> bytes:
    """A MAVLink 1 frame; `payload` is the message without extensions."""
    inner = bytes((len(payload), seq & 0xFF, system, component, msg_id)) + payload
    return bytes((MAGIC_1,)) + inner + int(mcrf4xx(inner + _EXTRA[msg_id])).to_bytes(2, "little")
