"""One message of a cold box: read by the rules of its schema, or refused with a reason."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from fleet.records.codec import canonical_json
from missions.boxes import BoxSample

MAX_PAYLOAD = 4096
"""bytes; a full sample with eight probes has about 600"""


class Refusal(StrEnum):
    """Why a message was not taken."""

    UNKNOWN_BOX = "unknown_box"
    RETAINED = "retained"
    """a broker's copy of unknown age"""
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID = "invalid"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    REPEATED = "repeated"
    """QoS 1 may deliver twice, and so may somebody who recorded the message"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was not taken; `text` names the field and the rule."""

    kind: Refusal
    text: str


class _InvalidError(ValueError):
    pass


def _number(name: str, value: Any, lowest: float | None = None, highest: float | None = None) -> float:
    if type(value) not in (int, float):
        raise _InvalidError(f"{name} is {value!r:.40}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise _InvalidError(f"{name} is not finite")
    if (lowest is not None and number < lowest) or (highest is not None and number > highest):
        raise _InvalidError(f"{name} is {number:g}, outside {lowest:g} to {highest:g}")
    return number


def _optional(message: Mapping[str, Any], name: str, *bounds: float) -> float | None:
    value = message.get(name)
    return None if value is None else _number(name, value, *bounds)


def _choice(message: Mapping[str, Any], name: str, when_true: str, when_false: str) -> bool | None:
    value = message.get(name)
    if value is None:
        return None
    if value not in (when_true, when_false):
        raise _InvalidError(f"{name} is {value!r:.40}, neither {when_true!r} nor {when_false!r}")
    return bool(value == when_true)


def _boot_id(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise _InvalidError(f"boot_id is {value!r:.40}, not a text of 1 to 64 characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _InvalidError("boot_id is not Unicode text") from None
    return value


def _seq(value: Any) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)  # JSON Schema: 3.0 is an integer
    if type(value) is not int or value < 0:
        raise _InvalidError(f"seq is {value!r:.40}, not a whole number from 0 on")
    return value


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")


def _time_s(value: Any) -> float:
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise _InvalidError(f"box_time is {value!r:.40}, not a time such as 2026-11-21T08:00:00.000Z")
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError as error:
        raise _InvalidError(f"box_time is {value!r:.40}: {error}") from None


def _temperatures(value: Any) -> tuple[float | None, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 8:
        raise _InvalidError("temp_c is not a list of 1 to 8 probes")
    return tuple(None if t is None else _number(f"temp_c[{i}]", t) for i, t in enumerate(value))


_REQUIRED = ("boot_id", "seq", "box_time", "temp_c")
_KNOWN = frozenset(_REQUIRED) | {
    *("rh_pct", "lid", "seal", "tilt_deg", "shock_g", "light_lux", "battery_pct", "docked", "hmac")
}
_HMAC = re.compile(r"[0-9a-f]{64}")


def _validated(box_id: str, message: Any) -> BoxSample:
    """The sample, or _InvalidError: the rules of box_sample.schema.json, by hand because they run on every message."""
    if not isinstance(message, dict):
        raise _InvalidError("the message is not an object")
    if unknown := message.keys() - _KNOWN:
        raise _InvalidError(f"{min(unknown)!r:.40} is not a field of a sample")
    for name in _REQUIRED:
        if name not in message:
            raise _InvalidError(f"{name} is missing")
    signature = message.get("hmac", "0" * 64)
    if not isinstance(signature, str) or _HMAC.fullmatch(signature) is None:
        raise _InvalidError("hmac is not 64 small hexadecimal digits")
    docked = message.get("docked")
    if docked is not None and not isinstance(docked, bool):
        raise _InvalidError(f"docked is {docked!r:.40}, neither true nor false")
    return BoxSample(
        box_id=box_id,
        boot_id=_boot_id(message["boot_id"]),
        seq=_seq(message["seq"]),
        box_time_s=_time_s(message["box_time"]),
        temp_c=_temperatures(message["temp_c"]),
        rh_pct=_optional(message, "rh_pct", 0.0, 100.0),
        lid_open=_choice(message, "lid", "open", "closed"),
        seal_ok=_choice(message, "seal", "ok", "broken"),
        tilt_deg=_optional(message, "tilt_deg"),
        shock_g=_optional(message, "shock_g"),
        light_lux=_optional(message, "light_lux"),
        battery_pct=_optional(message, "battery_pct", 0.0, 100.0),
        docked=docked,
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a field is given twice")  # two readers of the message could take different ones
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_sample(box_id: str, payload: bytes, key: bytes | None) -> BoxSample | Refused:
    """The sample in a message, or why it is none. With a key it must be signed with it; times are the box's own."""
    if len(payload) > MAX_PAYLOAD:
        return Refused(Refusal.TOO_LARGE, f"{len(payload)} bytes, more than {MAX_PAYLOAD}")
    try:
        message = json.loads(payload, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return Refused(Refusal.NOT_JSON, str(error) or type(error).__name__)
    try:
        sample = _validated(box_id, message)
    except _InvalidError as error:
        return Refused(Refusal.INVALID, str(error))
    if key is not None:
        given = message.pop("hmac", None)
        if given is None:
            return Refused(Refusal.UNSIGNED, "hmac is missing, and this box has a key")
        if not hmac.compare_digest(given, sign(message, key)):
            return Refused(Refusal.FORGED, "hmac is not that of this message with this box's key")
    return sample


def sign(message: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA256 over the message as canonical JSON, without its `hmac`."""
    return hmac.new(key, canonical_json({k: v for k, v in message.items() if k != "hmac"}), "sha256").hexdigest()
