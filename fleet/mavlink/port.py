"""The vehicle port: all that a session may do to a vehicle. Outcomes are values; exceptions are for our own faults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from geofences.geodesy import LatLon
from missions.plan import Plan
from missions.snapshot import VehicleState


class Verdict(StrEnum):
    DONE = "done"
    """acknowledged, and where an effect can be seen, seen"""
    REFUSED = "refused"
    """the vehicle said no; nothing changed"""
    UNKNOWN = "unknown"
    """no answer, or an ACK without the effect: it may or may not have happened"""


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    text: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.DONE


@dataclass(frozen=True, slots=True)
class PlanIds:
    """opaque_id of each stored list; 0 for an empty one."""

    mission: int
    fence: int
    rally: int


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """`ids` is set only when the vehicle proved that it holds the plan and found it feasible."""

    verdict: Verdict
    ids: PlanIds | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do; where it cannot, it says so here and makes up for it in a way named here."""

    driver: str
    compares_opaque_id: bool
    """proves a plan by the vehicle's own checksum; else by reading it back"""
    verifies_signing: bool
    several_links: bool
    """one vehicle over several links, with fail-over"""
    records: bool
    """writes a tlog per flight"""


class VehiclePort(Protocol):
    """One vehicle on a link. Every method may be cancelled; a command is repeated only where that is harmless."""

    vehicle_id: str
    capabilities: Capabilities

    def state(self) -> VehicleState:
        """The newest folded telemetry; cheap enough to call on every event."""
        ...

    async def check(self) -> Outcome:
        """Compares firmware and parameters with the vehicle's contract, on the ground, before a flight.

        What may be set is set and read back. REFUSED names each mismatch, UNKNOWN what could not be read.
        """
        ...

    async def upload(self, plan: Plan, *, with_fence_and_rally: bool) -> UploadOutcome:
        """Uploads mission (and fence and rally), then proves by opaque_id that it is held and judged feasible.

        In the air `with_fence_and_rally` is False: PX4 cannot rely on a new fence while armed.
        """
        ...

    async def start_mission(self) -> Outcome:
        """Arms and starts at item 0 (MISSION_START); DONE when armed and in mission mode."""
        ...

    async def fly_mission(self) -> Outcome:
        """In the air: mission mode, to the stored mission's current item. DONE when HEARTBEAT shows the mode."""
        ...

    async def hold(self) -> Outcome: ...

    async def return_home(self) -> Outcome: ...

    async def land(self) -> Outcome: ...

    async def reposition(self, to: LatLon, alt_amsl_m: float) -> Outcome: ...

    async def grab(self) -> Outcome:
        """Closes the gripper, which stays closed if it is: PX4's knows only its last command, and has no sensor."""
        ...

    async def release(self) -> Outcome:
        """Opens the gripper, sent once and never repeated: UNKNOWN if no final ACK came."""
        ...

    async def disarm(self) -> Outcome: ...
