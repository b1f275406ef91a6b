"""Frames to typed messages and back, for the messages the controller uses; pymavlink for any other on request."""

from __future__ import annotations

from typing import Any, cast

from fleet.mavlink import frame as framing
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import Message, Spec

_BY_ID = Spec.by_id


def decode(frame: Frame) -> Message | None:
    """The frame's message, or None when the controller does not use it or it is too short for MAVLink 1.

    MAVLink 2 cuts trailing zeros, and older firmware sends fewer extension fields: both read as zero.
    """
    spec = _BY_ID.get(frame.msg_id)
    if spec is None:
        return None
    payload = frame.payload
    if len(payload) != spec.size:
        if frame.version == 1 and len(payload) < spec.base_size:
            return None
        payload = payload.ljust(spec.size, b"\0")[: spec.size]
    return cast("Message", spec.make(spec.layout.unpack(payload)))


def encode(message: Message, *, seq: int, system: int, component: int) -> bytes:
    """A MAVLink 2 frame. struct.error for a field out of its type's range: the caller's fault."""
    spec = Spec.by_class[type(message)]
    return framing.build(spec.msg_id, spec.layout.pack(*message), seq=seq, system=system, component=component)


def decode_any(frame: Frame) -> Any:
    """The frame as a pymavlink `development` message, for tools that read what the controller does not.

    The import costs 65 MiB and half a second, so it happens only here, at the first call.
    """
    from pymavlink.dialects.v20 import development

    return development.MAVLink(None).decode(bytearray(frame.raw))


def text(raw: bytes) -> str:
    """A char[] field: up to the first NUL, undecodable bytes replaced."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
