"""Where a scenario is played: the same people, faults and judges over simulated or real autopilots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fleet.app import Running
from fleet.clock import Clock
from fleet.config import FleetConfig
from fleet.simulate.outcome import Commanded
from sitl.observer import Observer
from sitl.rival import Rival

Heard = Callable[[dict[str, Any]], None]

OBSERVED_HZ = {
    "HEARTBEAT": 1.0,
    "GLOBAL_POSITION_INT": 4.0,
    "EXTENDED_SYS_STATE": 1.0,
    "BATTERY_STATUS": 0.5,
    "SYS_STATUS": 0.5,
    "MISSION_CURRENT": 0.5,
    "WIND_COV": 0.5,
}
"""what a simulated vehicle sends on its second link; a real one sends forty times as much, of which the observer reads
no more than this"""
RIVAL_SYSTEM = 255
"""QGroundControl's"""


class Stage(Protocol):
    """A controller under test, vehicles, boxes, and somebody who watches from outside."""

    @property
    def name(self) -> str:
        """`virtual`, `live` or `px4`"""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def config(self) -> FleetConfig: ...

    @property
    def observer(self) -> Observer: ...

    @property
    def heard(self) -> list[Heard]:
        """Who is told the world's own events."""
        ...

    @property
    def box_truth(self) -> Mapping[str, Sequence[tuple[float, float]]]:
        """Box → (at_s, the payload's true temperature); empty where only the world's own process knows."""
        ...

    @property
    def commanded(self) -> Sequence[Commanded]:
        """What has left for the vehicles; empty where nobody could look."""
        ...

    @property
    def app(self) -> Running | None:
        """The controller; None while it is down."""
        ...

    def tell(self, **command: Any) -> None:
        """What the people on the ground do in the world: see `sitl.ground`."""
        ...

    async def kill_controller(self, down_s: float) -> None:
        """It dies without a word, and is started again so much later."""
        ...

    async def set_broker(self, up: bool) -> None:
        """Whether samples come through."""
        ...

    def rival(self, vehicle_id: str) -> Rival:
        """Another ground station that hears and may speak to the vehicle, on its second link."""
        ...
