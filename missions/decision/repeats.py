"""The same question several times a second for every vehicle in flight, with inputs that change every few seconds."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

T = TypeVar("T")
MAX_VEHICLES = 4096
"""more than any fleet; a process that makes up vehicle ids without end must not grow without end"""


class PerVehicle(Generic[T]):
    """The last answer of a pure function for each vehicle, given again while the question is the same.

    It holds what it was asked: values that live as long elsewhere. Equal objects that are the same object, as they
    mostly are here, compare at no cost.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[Any, ...], T]] = {}

    def get(self, vehicle_id: str, asked: tuple[Any, ...]) -> T | None:
        """The answer, if `asked` is what it was given for: everything that the function looks at."""
        held = self._last.get(vehicle_id)
        return held[1] if held is not None and held[0] == asked else None

    def keep(self, vehicle_id: str, asked: tuple[Any, ...], answer: T) -> T:
        """Notes the answer, and gives it."""
        if len(self._last) >= MAX_VEHICLES:
            self._last.clear()
        self._last[vehicle_id] = (asked, answer)
        return answer
