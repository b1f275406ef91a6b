"""What somebody else does to a vehicle, told from what we did and what PX4 does by itself.

Pure: vehicle states and our own commands in, events out. Whoever flies a vehicle for us tells its watch what was
commanded and which plan was proven; everything else that changes is a pilot's or another ground station's doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.mavlink.port import PlanIds
from missions.snapshot import MissionState, MissionStatus, Mode, VehicleState

COMMAND_SHOWS_S = 10.0
"""a commanded mode may show this late: its command may be repeated, on a satellite link, and HEARTBEAT is slow"""
END_SHOWS_S = 3.0
"""PX4 leaves mission mode when the mission is complete and says so within the next second"""

BY_ITSELF = frozenset(
    {
        (Mode.TAKEOFF, Mode.HOLD),
        (Mode.TAKEOFF, Mode.MISSION),
        (Mode.MISSION, Mode.TAKEOFF),
        (Mode.RETURN, Mode.LAND),
        (Mode.RETURN, Mode.HOLD),
        (Mode.LAND, Mode.HOLD),
    }
)
"""mode changes that PX4 makes without being told"""


class EventKind(StrEnum):
    RIVAL_PLAN = "rival_plan"
    """the stored mission, fence or rally points are not what we put there"""
    MODE_TAKEN = "mode_taken"
    ARMED_BY_OTHER = "armed_by_other"
    OTHER_GCS = "other_gcs"
    OTHER_GCS_GONE = "other_gcs_gone"
    REBOOTED = "rebooted"
    LINK_CHANGED = "link_changed"
    """another of its links is used now"""
    REFUSED = "refused"
    """a sender that was not admitted: unknown, a clash, or not signed as it must be"""


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """Something an operator should know. `vehicle_id` is None where no configured vehicle is concerned."""

    kind: EventKind
    text: str
    at_s: float
    vehicle_id: str | None = None


class Watch:
    """Follows one vehicle. `observe` is called after each change of its state and is cheap when little changed."""

    def __init__(self, vehicle_id: str) -> None:
        self.vehicle_id = vehicle_id
        self._state: VehicleState | None = None
        self._commanded: dict[Mode, float] = {}
        self._arming_until_s = 0.0
        self._uploading = 0
        self._held: PlanIds | None = None
        """what the vehicle holds with our consent; None: whatever it reports next"""
        self._left_mission_s: float | None = None

    # -- what we do --------------------------------------------------------------------------------------------------

    def commanding(self, modes: frozenset[Mode], now_s: float, patience_s: float, *, arms: bool = False) -> None:
        """A command leaves that puts the vehicle into one of these modes; `patience_s`: how long that may take."""
        until_s = now_s + max(COMMAND_SHOWS_S, patience_s)
        self._commanded |= dict.fromkeys(modes, until_s)
        if arms:
            self._arming_until_s = until_s

    def upload_begins(self) -> None:
        self._uploading += 1

    def upload_ends(self, proven: PlanIds | None) -> None:
        """What was proven to be held; None where it is not known what the vehicle holds now."""
        self._uploading -= 1
        self._held = proven

    # -- what the vehicle shows --------------------------------------------------------------------------------------

    def observe(self, state: VehicleState, now_s: float) -> list[LinkEvent]:
        before, self._state = self._state, state
        if before is None:
            self._held = _ids(state) if self._held is None else self._held
            return []
        found: list[tuple[EventKind, str]] = []
        if state.boot != before.boot:
            found.append((EventKind.REBOOTED, "the vehicle has booted anew"))
            self._held, self._left_mission_s = None, None
        else:
            found += self._modes(before, state, now_s)
            found += self._arming(before, state, now_s)
        found += self._plan(state)
        found += self._stations(before, state)
        return [LinkEvent(kind, f"{self.vehicle_id}: {text}", now_s, self.vehicle_id) for kind, text in found]

    def _modes(self, before: VehicleState, state: VehicleState, now_s: float) -> list[tuple[EventKind, str]]:
        if before.mode is None or state.mode is None:
            return []
        was, now = before.mode.value, state.mode.value
        if was is not now:
            self._left_mission_s = None
            if self._explained(was, now, state, now_s):
                return []
            if was is Mode.MISSION and now is Mode.HOLD:
                self._left_mission_s = now_s  # the mission's end, or somebody's hold: MISSION_CURRENT will tell
                return []
            return [(EventKind.MODE_TAKEN, _taken(was, now))]
        if self._left_mission_s is None:
            return []
        if _complete(state):
            self._left_mission_s = None
        elif now_s - self._left_mission_s > END_SHOWS_S:
            self._left_mission_s = None
            return [(EventKind.MODE_TAKEN, _taken(Mode.MISSION, now))]
        return []

    def _explained(self, was: Mode, now: Mode, state: VehicleState, now_s: float) -> bool:
        """Ours, or PX4's own doing: a failsafe, the end of a mission or landing, or a disarmed vehicle at rest."""
        if self._commanded.get(now, 0.0) >= now_s or (was, now) in BY_ITSELF:
            return True
        if state.failsafe is not None and state.failsafe.value:
            return True
        if was is Mode.MISSION and now in (Mode.HOLD, Mode.LAND) and _complete(state):
            return True
        disarmed = state.armed is not None and not state.armed.value
        return disarmed and now not in (Mode.MANUAL, Mode.OFFBOARD)

    def _arming(self, before: VehicleState, state: VehicleState, now_s: float) -> list[tuple[EventKind, str]]:
        if before.armed is None or state.armed is None or before.armed.value or not state.armed.value:
            return []
        if now_s <= self._arming_until_s:
            return []
        return [(EventKind.ARMED_BY_OTHER, "armed, not by Coldwing: a pilot or another ground station flies it")]

    def _plan(self, state: VehicleState) -> list[tuple[EventKind, str]]:
        ids = _ids(state)
        if ids is None or self._uploading:
            return []
        held, self._held = self._held, ids
        if held is None or held == ids:
            return []
        lists = ("mission", "fence", "rally points")
        changed = [name for name, a, b in zip(lists, _row(held), _row(ids), strict=True) if a != b]
        text = f"another station changed its {' and '.join(changed)}: it will not be started on that plan"
        return [(EventKind.RIVAL_PLAN, text)]

    def _stations(self, before: VehicleState, state: VehicleState) -> list[tuple[EventKind, str]]:
        was, now = before.link.other_gcs, state.link.other_gcs
        if was == now:
            return []
        come = [
            (
                EventKind.OTHER_GCS,
                f"another ground station (system id {gcs}) is on it: it can command the vehicle, "
                f"and its heartbeats hide a failure of ours from PX4's data-link failsafe",
            )
            for gcs in now
            if gcs not in was
        ]
        gone = [
            (EventKind.OTHER_GCS_GONE, f"the other ground station (system id {g}) is gone") for g in was if g not in now
        ]
        return come + gone


def _ids(state: VehicleState) -> PlanIds | None:
    mission: MissionStatus | None = state.mission.value if state.mission is not None else None
    if mission is None or mission.mission_id is None or mission.fence_id is None or mission.rally_id is None:
        return None
    return PlanIds(mission.mission_id, mission.fence_id, mission.rally_id)


def _row(ids: PlanIds) -> tuple[int, int, int]:
    return ids.mission, ids.fence, ids.rally


def _complete(state: VehicleState) -> bool:
    return state.mission is not None and state.mission.value.state is MissionState.COMPLETE


def _taken(was: Mode, now: Mode) -> str:
    return f"changed from {was} to {now}, not by Coldwing: a pilot or another ground station flies it"
