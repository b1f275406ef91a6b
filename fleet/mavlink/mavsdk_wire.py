"""Messages as MAVSDK hands them out and takes them: a name and a JSON object of the fields.

Its numbers are exact (a float comes as the shortest decimal of its value), NaN and infinity both travel as null, and a
char[] is a text. So all that the controller reads comes through whole, except an INT32 parameter whose bits are a NaN:
parameters go by MAVSDK's own plugin.
"""

from __future__ import annotations

import json
import re
import struct
from functools import cache
from math import isfinite, nan
from typing import Any, cast

from fleet.mavlink.messages import Message, Spec

_NAMES = {"TimeSync": "TIMESYNC", "StatusText": "STATUSTEXT"}
"""class names that are not MAVLink's own in camel case"""
_OF_SIZE = {1: "B", 2: "H", 4: "f", 8: "Q"}
"""the element types of the arrays that the controller reads, by their size: no two of the same size"""


class UnspeakableError(ValueError):
    """A message that JSON cannot carry."""


def from_fields(name: str, fields: dict[str, Any]) -> Message | None:
    """The message, or None where the controller does not use it. ValueError, TypeError or struct.error for nonsense.

    By its name: the `message_id` beside the fields is overwritten by the field of that name in MESSAGE_INTERVAL.
    """
    spec = _by_name().get(name)
    if spec is None:
        return None
    # What MAVSDK's definitions do not know yet is 0, as an extension field that was not sent.
    values = [_value(fields.get(name, 0), size, code) for name, size, code in _layout(spec.msg_id)]
    # Packed and unpacked once, so that every value is what its field can hold: an odd one is a fault here and nowhere
    # else.
    return cast("Message", spec.make(spec.layout.unpack(spec.layout.pack(*values))))


def to_json(message: Message) -> tuple[str, str]:
    """MAVLink's name of the message and its fields. Raises UnspeakableError."""
    spec = Spec.by_class[type(message)]
    out: dict[str, Any] = {}
    for (name, size, code), value in zip(_layout(spec.msg_id), message, strict=True):
        out[name] = _spoken(name, value, size, code)
    return _name(type(message).__name__), json.dumps(out, allow_nan=False)


@cache
def _layout(message_id: int) -> tuple[tuple[str, int, str], ...]:
    """(field, bytes of an array or text or 0, struct letter) in wire order."""
    spec = Spec.by_id[message_id]
    codes = [(int(size or 0), code) for size, code in re.findall(r"(\d*)([a-zA-Z])", spec.layout.format)]
    names: tuple[str, ...] = spec.cls._fields
    return tuple((name, size, code) for name, (size, code) in zip(names, codes, strict=True))


@cache
def _by_name() -> dict[str, Spec]:
    return {_name(spec.cls.__name__): spec for spec in Spec.by_id.values()}


@cache
def _name(of_class: str) -> str:
    return _NAMES.get(of_class) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", of_class).upper()


def _value(value: Any, size: int, code: str) -> Any:
    if code != "s":
        return nan if value is None and code in "fd" else value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list) and value:
        letter = _OF_SIZE[size // len(value)]
        return struct.pack(f"<{len(value)}{letter}", *(nan if each is None else each for each in value))
    if size == 4:
        return struct.pack("<f", value)  # a fault for null: which NaN it was, and so which whole number, is lost
    return b""


def _spoken(name: str, value: Any, size: int, code: str) -> Any:
    if code in "fd":
        return value if isfinite(value) else None
    if code != "s":
        return value
    if size == 4:
        number = struct.unpack("<f", value)[0]
        if not isfinite(number):
            raise UnspeakableError(f"{name}: its bits are those of no number")
        return number
    return value.split(b"\0", 1)[0].decode()
