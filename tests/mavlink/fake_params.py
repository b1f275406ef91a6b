"""The scripted PX4's parameter protocol, as PX4 v1.17's mavlink_parameters.cpp answers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from fleet.mavlink.messages import Message, ParamRequestList, ParamRequestRead, ParamSet, ParamValue
from fleet.mavlink.params import HASH_CHECK, NO_INDEX, UINT32

AT_ONCE = 20
"""what it sends of a list in one turn"""


@dataclass
class FakeParams:
    held: dict[str, tuple[bytes, int]]
    """name → the value's four bytes, MAV_PARAM_TYPE"""
    knows_hash: bool = True
    deaf_to: set[str] = field(default_factory=set)
    """parameters that do not become what they are set to"""
    _next: int | None = None
    _hash_due: bool = False

    def hash(self) -> int:
        return zlib.crc32(b"".join(name.encode() + self.held[name][0] for name in sorted(self.held)))

    def receive(self, message: Message) -> list[Message]:
        if isinstance(message, ParamRequestList):
            # A second request begins anew, without the hash.
            self._next, self._hash_due = 0, self._next is None and self.knows_hash
            return []
        if not isinstance(message, ParamRequestRead | ParamSet):
            return []
        name = message.param_id.split(b"\0")[0].decode()
        if isinstance(message, ParamSet):
            if name not in self.held or message.param_type != self.held[name][1]:
                return []
            if name not in self.deaf_to:
                self.held[name] = (message.param_value, message.param_type)
            return [self._value(name)]
        if message.param_index >= 0:
            names = sorted(self.held)
            return [self._value(names[message.param_index])] if message.param_index < len(names) else []
        if name == HASH_CHECK and self.knows_hash:
            return [self._hash_value()]
        return [self._value(name)] if name in self.held else []

    def tick(self) -> list[Message]:
        if self._next is None:
            return []
        out: list[Message] = [self._hash_value()] if self._hash_due else []
        names = sorted(self.held)[self._next : self._next + AT_ONCE]
        self._next, self._hash_due = (self._next + AT_ONCE, False) if names else (None, False)
        return out + [self._value(name) for name in names]

    def _value(self, name: str) -> ParamValue:
        value, kind = self.held[name]
        return ParamValue(value, len(self.held), sorted(self.held).index(name), name.encode(), kind)

    def _hash_value(self) -> ParamValue:
        raw = self.hash().to_bytes(4, "little")
        return ParamValue(raw, len(self.held), NO_INDEX, HASH_CHECK.encode(), UINT32)
