"""Parameters: read and set one by name, read all of them. PX4 sends INT32 bytewise inside the float of the message.

https://mavlink.io/en/services/parameter.html. PX4 answers an unknown name with silence, ignores a wrong type and
accepts values out of range, so every set is read back and ranges are checked by the caller (`contract.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from fleet.mavlink.codec import text
from fleet.mavlink.exchange import Exchange, Messages, Parties
from fleet.mavlink.messages import Message, ParamRequestList, ParamRequestRead, ParamSet, ParamValue
from fleet.mavlink.timing import RoundTrip

UINT32 = 5
INT32 = 6
REAL32 = 9
"""MAV_PARAM_TYPE: the last two are all that PX4's parameters have; its `_HASH_CHECK` is of the first"""
MAX_NAME = 16
"""characters; a name of that length has no NUL behind it"""
HASH_CHECK = "_HASH_CHECK"
"""not a parameter but PX4's checksum over the names and values of all; it changes when one of them does"""
NO_INDEX = 0xFFFF
"""what has no place in the list: `_HASH_CHECK`, and a parameter that nothing on the vehicle uses"""
_WIRE = {UINT32: struct.Struct("<I"), INT32: struct.Struct("<i")}
_FLOAT = struct.Struct("<f")

Number: TypeAlias = int | float
Required: TypeAlias = Mapping[str, "Number | tuple[Number, Number]"]
"""name → the value, or (lowest, highest) allowed"""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter as the vehicle holds it; `value` is an int for the integer types."""

    name: str
    value: Number
    type: int


def from_wire(message: ParamValue) -> Param:
    value: Number = _WIRE.get(message.param_type, _FLOAT).unpack(message.param_value)[0]
    return Param(text(message.param_id), value, message.param_type)


def to_wire(value: Number, param_type: int) -> bytes:
    """The four bytes of the message's float field. Never as a float: −1 is a NaN's bits."""
    wire = _WIRE.get(param_type)
    return _FLOAT.pack(value) if wire is None else wire.pack(int(value))


def float32(value: Number) -> float:
    """The 32-bit float nearest to the value, which is what a vehicle holds of it."""
    return float(_FLOAT.unpack(_FLOAT.pack(value))[0])


# -- one parameter ---------------------------------------------------------------------------------------------------


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
    """Sets one parameter; over when the vehicle reports exactly the new value, bit for bit."""

    def __init__(self, parties: Parties, param: Param, rtt: RoundTrip, *, tries: int = 6) -> None:
        super().__init__(parties, param.name, rtt, tries=tries)
        self._type = param.type
        self._value = to_wire(param.value, param.type)

    def _message(self) -> Message:
        to = self._to
        return ParamSet(self._value, to.vehicle_system, to.vehicle_component, self.name.encode(), self._type)

    def _answers(self, param: Param) -> bool:
        return param.name == self.name and param.type == self._type and to_wire(param.value, param.type) == self._value


# -- all of them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParamTable:
    """A vehicle's parameters by name. Whole when `missing` is empty and `count` is known."""

    params: Mapping[str, Param]
    count: int | None
    """how many it says it has; None: it answered nothing"""
    missing: tuple[int, ...]
    """indices that could not be read"""
    hash: int | None
    """`_HASH_CHECK` when the list began"""

    @property
    def whole(self) -> bool:
        return self.count is not None and not self.missing

    def __str__(self) -> str:
        if self.count is None:
            return "the vehicle does not answer a request for its parameters"
        if self.missing:
            shown = ", ".join(map(str, self.missing[:5])) + (", …" if len(self.missing) > 5 else "")
            return f"{len(self.missing)} of {self.count} parameters could not be read (index {shown})"
        return f"{self.count} parameters"


class Difference(NamedTuple):
    """A parameter that two tables do not agree on; None: it is not in that table."""

    name: str
    one: Param | None
    other: Param | None


def compare(one: Mapping[str, Param], other: Mapping[str, Param]) -> tuple[Difference, ...]:
    """What differs, by name: bit for bit, so that a NaN equals itself."""
    names = sorted(one.keys() | other.keys())
    pairs = (Difference(name, one.get(name), other.get(name)) for name in names)
    return tuple(pair for pair in pairs if _bits(pair.one) != _bits(pair.other))


def _bits(param: Param | None) -> tuple[int, bytes] | None:
    return None if param is None else (param.type, to_wire(param.value, param.type))


class ParamList(Exchange[ParamTable]):
    """Reads all parameters: asks for the list, then for each that did not come, by its index.

    A second request for the list makes PX4 begin anew, so it is only repeated while nothing came at all. Gives up when
    nothing new came for as long as a dozen tries of one question take.
    """

    WINDOW = 20
    """questions under way at once: what PX4 sends in one go over UDP; half a second of a 57,600 baud radio"""
    TRIES = 12
    """of 1,000 parameters at 30 % loss each way, one in three runs would miss one with 6 tries, one in 4,000 here"""
    ANEW = 3
    """a parameter that comes into use shifts the indices of others: so often the list is read from its beginning"""

    def __init__(self, parties: Parties, rtt: RoundTrip) -> None:
        self._to = parties
        self._rtt = rtt
        self._count: int | None = None
        self._hash: int | None = None
        self._held: dict[int, Param] = {}
        self._asked: dict[int, tuple[float, int]] = {}
        """index → when to ask again, tries so far; the list itself counts as −1"""
        self._flowing_s = 0.0
        """until then the list may still be coming by itself"""
        self._new_s = 0.0
        self._anew = 0

    def start(self, now_s: float) -> Messages:
        self._new_s = now_s
        return self._begin(now_s)

    def _begin(self, now_s: float) -> Messages:
        self._count, self._hash = None, None
        self._held.clear()
        self._asked.clear()
        return self._ask_list(now_s)

    def _ask_list(self, now_s: float) -> Messages:
        _, tries = self._asked.get(-1, (0.0, 0))
        self._asked[-1] = (now_s + self._rtt.backoff_s(tries), tries + 1)
        self._set_deadline(now_s)
        return [ParamRequestList(self._to.vehicle_system, self._to.vehicle_component)]

    def receive(self, message: Message, now_s: float) -> Messages:
        if self.result is not None or not isinstance(message, ParamValue):
            return ()
        param = from_wire(message)
        if param.name == HASH_CHECK:
            self._hash = int(param.value) if self._hash is None else self._hash
            return ()
        index = message.param_index
        if index >= message.param_count:
            return ()
        if self._count is not None and message.param_count != self._count and self._anew < self.ANEW:
            self._anew += 1
            return self._begin(now_s)
        self._count = message.param_count
        self._asked.pop(-1, None)
        if index not in self._held:
            self._new_s = now_s
            if index not in self._asked:
                self._flowing_s = now_s + self._rtt.timeout_s
        self._held[index] = param
        self._asked.pop(index, None)
        if len(self._held) == self._count:
            return self._end()
        return self._go_on(now_s)

    def tick(self, now_s: float) -> Messages:
        if self.result is not None or self.next_deadline is None or now_s < self.next_deadline:
            return ()
        if now_s - self._new_s >= self._rtt.patience_s(self.TRIES):
            return self._end()
        return self._ask_list(now_s) if self._count is None else self._go_on(now_s)

    def _go_on(self, now_s: float) -> Messages:
        """While the list flows, nothing; then the questions that are due."""
        out: list[Message] = []
        if now_s >= self._flowing_s:
            for index, (again_s, tries) in list(self._asked.items()):
                if now_s >= again_s:
                    out.append(self._ask(index, tries, now_s))
            for index in range(self._count or 0):
                if len(self._asked) >= self.WINDOW:
                    break
                if index not in self._held and index not in self._asked:
                    out.append(self._ask(index, 0, now_s))
        self._set_deadline(now_s)
        return out

    def _ask(self, index: int, tries: int, now_s: float) -> Message:
        self._asked[index] = (now_s + self._rtt.backoff_s(tries), tries + 1)
        return ParamRequestRead(index, self._to.vehicle_system, self._to.vehicle_component, b"")

    def _set_deadline(self, now_s: float) -> None:
        if self._count is not None and now_s < self._flowing_s:
            self.next_deadline = self._flowing_s
        else:
            self.next_deadline = min(again_s for again_s, _ in self._asked.values())

    def _end(self) -> Messages:
        missing = tuple(index for index in range(self._count or 0) if index not in self._held)
        params = {param.name: param for param in self._held.values()}
        self.result = ParamTable(params, self._count, missing, self._hash)
        self.next_deadline = None
        return ()
