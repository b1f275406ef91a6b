"""What proves that a vehicle holds a plan, and what must still be true when it is started.

A plan is proven by the vehicle's own words after its last acknowledgement: MISSION_CURRENT shows the lists' opaque_ids
and a mission that was judged feasible. Where nobody compares the ACK's opaque_id (older firmware tells none, MAVSDK
hides it), the lists are read back between two MISSION_CURRENT that show the same ids: what was read is then what the
ids stand for, and a rival's upload in between shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fleet.mavlink.peer import Peer
from fleet.mavlink.port import PlanIds, UploadOutcome, Verdict
from fleet.mavlink.transfer import ListType
from missions.snapshot import MissionState, MissionStatus, VehicleState

JUDGE_S = 0.7
"""PX4 judges feasibility up to 0.35 s after its ACK; MISSION_CURRENT from before that proves nothing"""
BLIND_S = 2.0
"""and where the firmware reports no mission_state, so much longer for it to object in words"""
PROOF_S = 8.0
"""MISSION_CURRENT comes once a second; with this many lost the plan counts as unproven"""

ReadBack = Callable[[], Awaitable[str | None]]
"""reads the lists back and compares them; None when they are what was sent, else what is wrong"""


@dataclass(frozen=True, slots=True)
class Proof:
    """A plan that may be started: the boot it was proven in and its ids (0 where the vehicle tells none)."""

    boot: int
    ids: PlanIds


@dataclass(frozen=True, slots=True)
class Acked:
    """Lists that the vehicle said it stored: the boot before the first of them and the opaque_ids it answered."""

    boot: int
    ids: Mapping[ListType, int]


class Prover:
    """Watches one vehicle for the proof that it holds what it acknowledged just now."""

    def __init__(self, peer: Peer, acked: Acked) -> None:
        self._peer = peer
        self._boot = acked.boot
        self._ids: Mapping[ListType, int] = acked.ids
        self._from_s = peer.clock.now_s()
        """what was said before is about the old plan"""
        self._wait_s = JUDGE_S + (peer.rtt.rtt_s or 0.0)

    async def prove(self, read_back: ReadBack | None) -> UploadOutcome:
        """Waits for the proof. With `read_back` the ACK's ids count for nothing, and the lists are compared instead."""
        if read_back is None:
            return await self._judged("verified by opaque_id")
        self._ids = {}
        first = await self._judged("")
        if first.ids is None:
            return first
        wrong = await read_back()
        if wrong is not None:
            return UploadOutcome(Verdict.UNKNOWN, None, wrong)
        self._ids = dict(zip(ListType, (first.ids.mission, first.ids.fence, first.ids.rally), strict=True))
        self._from_s, self._wait_s = self._peer.clock.now_s(), 0.0
        return await self._judged("verified by read-back")

    async def _judged(self, how: str) -> UploadOutcome:
        """Waits until MISSION_CURRENT shows the ids that are known, and a mission judged feasible."""
        await self._peer.wait_until(self._settled, PROOF_S + 4 * self._peer.rtt.timeout_s)
        state = self._peer.state()
        mission = self._seen(state)
        if state.boot != self._boot:
            return UploadOutcome(Verdict.UNKNOWN, None, "the vehicle booted anew during the upload")
        if mission is None:
            text = "the lists were acknowledged, but no MISSION_CURRENT came to prove it"
            return UploadOutcome(Verdict.UNKNOWN, None, text)
        if not self._holds(mission):
            text = (
                f"the vehicle holds mission {mission.mission_id}, fence {mission.fence_id}, rally {mission.rally_id}, "
                f"not what was uploaded: another station may be uploading too"
            )
            return UploadOutcome(Verdict.UNKNOWN, None, text)
        if self._good(state):
            return UploadOutcome(Verdict.DONE, _told(mission), how)
        text = "the vehicle holds the plan and " + (
            "judges it infeasible" if self._bad(state) else "has not judged it feasible: has it a position and a home?"
        )
        return UploadOutcome(Verdict.REFUSED, None, text)

    def _settled(self, state: VehicleState) -> bool:
        return self._good(state) or self._bad(state) or state.boot != self._boot

    def _seen(self, state: VehicleState) -> MissionStatus | None:
        """MISSION_CURRENT, if it came late enough to be about what was acknowledged."""
        mission = state.mission
        if mission is None:
            return None
        blind_s = BLIND_S if mission.value.state is MissionState.UNKNOWN and self._wait_s else 0.0
        return mission.value if mission.at_s >= self._from_s + self._wait_s + blind_s else None

    def _holds(self, mission: MissionStatus) -> bool:
        told = _told(mission)
        row = zip(ListType, (told.mission, told.fence, told.rally), strict=True)
        return all(self._ids.get(kind, value) == value for kind, value in row)

    def _rejected(self, state: VehicleState) -> bool:
        """PX4's objection in words. Words from before the last ACK may be about the old mission and the new fence."""
        return any(text.startswith("Mission rejected") for text in said_since(state, self._from_s))

    def _infeasible(self, state: VehicleState, mission: MissionStatus) -> bool:
        # PX4 before 1.16 reports no mission_state and says it in words alone.
        blind = mission.state is MissionState.UNKNOWN
        return mission.state is MissionState.NO_MISSION or (blind and self._rejected(state))

    def _good(self, state: VehicleState) -> bool:
        mission = self._seen(state)
        return mission is not None and self._holds(mission) and not self._infeasible(state, mission)

    def _bad(self, state: VehicleState) -> bool:
        mission = self._seen(state)
        return (
            mission is not None and self._holds(mission) and self._infeasible(state, mission) and self._rejected(state)
        )


def why_not_start(proof: Proof | None, state: VehicleState) -> str | None:
    """None when the vehicle still holds what was proven; else why it may not start."""
    if proof is None:
        return "no plan was proven to be on the vehicle: upload it"
    if state.boot != proof.boot:
        return "the vehicle booted anew since its plan was proven: upload it again"
    if state.mission is None:
        return "the vehicle does not say which plan it holds"
    held = state.mission.value
    told = _told(held)
    if held.mission_id is not None and proof.ids.mission and told != proof.ids:
        return (
            f"the vehicle now holds mission {told.mission}, fence {told.fence}, rally {told.rally}: "
            f"somebody changed its plan"
        )
    if held.state is MissionState.NO_MISSION:
        return "the vehicle no longer finds its plan feasible"
    return None


def said_since(state: VehicleState, since_s: float) -> list[str]:
    """The vehicle's texts since then, oldest first."""
    return [line.value for line in state.texts if line.at_s >= since_s]


def _told(mission: MissionStatus) -> PlanIds:
    return PlanIds(mission.mission_id or 0, mission.fence_id or 0, mission.rally_id or 0)
