"""Frames to typed messages and back, for the messages the controller uses; pymavlink for any other on request."""

from __future__ import annotations

from functools import cache
from typing import Any

from fleet.mavlink import frame as framing
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import Message, Spec

_ROWS = {spec.msg_id: (spec.size, spec.base_size, spec.layout.unpack, spec.cls) for spec in Spec.by_id.values()}
"""all that decoding needs, by one look-up: this is done for every frame"""
_new: Any = tuple.__new__


def decode(frame: Frame) -> Message | None:
    """The frame's message, or None when the controller does not use it or it is too short for MAVLink 1.

    MAVLink 2 cuts trailing zeros, and older firmware sends fewer extension fields: both read as zero.
    """
    row = _ROWS.get(frame.msg_id)
    if row is None:
        return None
    size, base_size, unpack, cls = row
    payload = frame.payload
    got = len(payload)
    if got < size:
        if got < base_size and frame.version == 1:
            return None
        payload = payload.ljust(size, b"\0")
    elif got > size:
        payload = payload[:size]
    return _new(cls, unpack(payload))  # type: ignore[no-any-return]


def encode(message: Message, *, seq: int, system: int, component: int) -> bytes:
    """A MAVLink 2 frame. struct.error for a field out of its type's range: the caller's fault."""
    spec = Spec.by_class[type(message)]
    return framing.build(spec.msg_id, spec.layout.pack(*message), seq=seq, system=system, component=component)


def decode_any(frame: Frame) -> Any:
    """The frame as a pymavlink `development` message, for tools that read what the controller does not.

    A message that the dialect lacks comes back as its MAVLink_unknown. A signature is not looked at: who asks here
    has a frame that was judged before.
    """
    return _dialect().decode(bytearray(frame.raw))


@cache
def _dialect() -> Any:
    """The import costs 65 MiB and half a second, so it happens only when somebody asks."""
    from pymavlink.dialects.v20 import development

    return development.MAVLink(None)


def text(raw: bytes) -> str:
    """A char[] field: up to the first NUL, undecodable bytes replaced."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
