"""Parameters: read and set one by name. PX4 sends INT32 bytewise inside the float of the message.

https://mavlink.io/en/services/parameter.html. PX4 answers an unknown name with silence, ignores a wrong type and
accepts values out of range, so every set is read back and ranges are checked here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from fleet.mavlink.codec import text
from fleet.mavlink.exchange import Exchange, Messages, Parties
from fleet.mavlink.messages import Message, ParamRequestRead, ParamSet, ParamValue
from fleet.mavlink.timing import RoundTrip

INT32 = 6
REAL32 = 9
"""MAV_PARAM_TYPE: the only two that PX4 has"""
MAX_NAME = 16
"""characters; a name of that length has no NUL behind it"""

Number: TypeAlias = int | float
Required: TypeAlias = Mapping[str, "Number | tuple[Number, Number]"]
"""name → the value, or (lowest, highest) allowed"""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter as the vehicle holds it; `value` is an int for INT32."""

    name: str
    value: Number
    type: int


def from_wire(message: ParamValue) -> Param:
    value: Number = struct.unpack("<i" if message.param_type == INT32 else "<f", message.param_value)[0]
    return Param(text(message.param_id), value, message.param_type)


def to_wire(value: Number, param_type: int) -> bytes:
    """The four bytes of the message's float field. Never as a float: −1 is a NaN's bits."""
    return struct.pack("<i", int(value)) if param_type == INT32 else struct.pack("<f", value)


def float32(value: Number) -> float:
    """The 32-bit float nearest to the value, which is what a vehicle holds of it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def satisfies(value: Number, wanted: Number | tuple[Number, Number]) -> bool:
    """Whether a value is the wanted one (as 32-bit floats) or lies in the wanted range, ends included."""
    if not isfinite(value):
        return False
    if isinstance(wanted, tuple):
        return wanted[0] <= value <= wanted[1]
    return abs(value - wanted) <= 1e-6 * max(1.0, abs(wanted))


def target(wanted: Number | tuple[Number, Number], held: Number) -> Number:
    """What to set: the value, or the end of the range that is nearer to what is held."""
    if not isinstance(wanted, tuple):
        return wanted
    low, high = wanted
    return low if not isfinite(held) or held < low else high


@dataclass(frozen=True, slots=True)
class ParamAnswer:
    """None: the vehicle does not know the parameter, or did not answer, or did not take the value."""

    param: Param | None


class ParamRead(Exchange[ParamAnswer]):
    """Reads one parameter."""

    def __init__(self, parties: Parties, name: str, rtt: RoundTrip, *, tries: int = 6) -> None:
        if len(name) > MAX_NAME:
            raise ValueError(f"parameter name {name!r} is longer than {MAX_NAME} characters")
        self._to = parties
        self.name = name
        self._rtt = rtt
        self._max_tries = tries
        self._tries = 0

    def start(self, now_s: float) -> Messages:
        return self._ask(now_s)

    def _message(self) -> Message:
        return ParamRequestRead(-1, self._to.vehicle_system, self._to.vehicle_component, self.name.encode())

    def _ask(self, now_s: float) -> Messages:
        self.next_deadline = now_s + self._rtt.backoff_s(self._tries)
        self._tries += 1
        return [self._message()]

    def _answers(self, param: Param) -> bool:
        return param.name == self.name

    def receive(self, message: Message, now_s: float) -> Messages:
        if self.result is not None or not isinstance(message, ParamValue):
            return ()
        param = from_wire(message)
        if self._answers(param):
            self.result, self.next_deadline = ParamAnswer(param), None
        return ()

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        if self._tries < self._max_tries:
            return self._ask(now_s)
        self.result, self.next_deadline = ParamAnswer(None), None
        return ()


class ParamWrite(ParamRead):
    """Sets one parameter; over when the vehicle reports exactly the new value."""

    def __init__(self, parties: Parties, param: Param, rtt: RoundTrip, *, tries: int = 6) -> None:
        super().__init__(parties, param.name, rtt, tries=tries)
        self._param = param

    def _message(self) -> Message:
        param = self._param
        value = to_wire(param.value, param.type)
        name = self.name.encode()
        return ParamSet(value, self._to.vehicle_system, self._to.vehicle_component, name, param.type)

    def _answers(self, param: Param) -> bool:
        return param.name == self.name and satisfies(param.value, self._param.value)
