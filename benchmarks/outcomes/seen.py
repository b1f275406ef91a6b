"""All that a policy is given, and what it may command. Nothing here knows the delivery's truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from missions.boxes import BoxSample
from missions.coldchain.product import Product
from missions.decision.types import Candidate, Conflict
from missions.delivery import Flight
from missions.orders import Order
from missions.snapshot import BoxView, VehicleState
from missions.vehicles import VehicleType


class Stay(StrEnum):
    """Commands that need no route."""

    HOLD = "hold"
    RESUME = "resume"
    LAND = "land"
    """here, wherever that is"""
    PX4_RETURN = "px4_return"
    """straight home, as the autopilot does by itself"""


Command: TypeAlias = Candidate | Stay | None
"""the candidate to fly, or to stay, or nothing new"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One second as the controller sees it: telemetry, samples, the airspace as published."""

    now_s: float
    flight: Flight
    order: Order
    product: Product
    vehicle: VehicleType
    state: VehicleState
    samples: tuple[BoxSample, ...]
    """that arrived in this second"""
    view: Callable[[], BoxView]
    """the monitor's view of the box, made when asked for"""
    conflict: Conflict | None
    """the first closed zone on the present plan"""
    airspace_version: int
    holding: bool
    planned: Callable[[], Candidate]
    """the candidate of flying on as planned, alone: a hundredth of the work of"""
    ways: Callable[[], tuple[Candidate, ...]]
    """every candidate from here now, the present plan first"""


class Policy(Protocol):
    """Asked every second while there is something to decide; it may remember what it has seen."""

    name: str

    def decide(self, seen: Seen) -> Command: ...

    def may_release(self, seen: Seen) -> bool: ...
