"""What every protocol machine looks like: messages and times in, messages out, no socket and no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from fleet.mavlink.messages import Message

R = TypeVar("R")
Messages = Sequence[Message]


class Parties(NamedTuple):
    """Who talks to whom: system and component ids."""

    own_system: int
    own_component: int
    vehicle_system: int
    vehicle_component: int = 1

    def is_for_us(self, system: int, component: int) -> bool:
        return system == self.own_system and component in (0, self.own_component)


class Exchange(ABC, Generic[R]):
    """A conversation with one vehicle, over when `result` is set; until then `tick` is due at `next_deadline`."""

    result: R | None = None
    next_deadline: float | None = None

    @abstractmethod
    def start(self, now_s: float) -> Messages: ...

    @abstractmethod
    def receive(self, message: Message, now_s: float) -> Messages: ...

    @abstractmethod
    def tick(self, now_s: float) -> Messages: ...
