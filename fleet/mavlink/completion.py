"""Whether a mission is complete, where MISSION_CURRENT does not say so: not yet, or (older firmware) never.

PX4 says it in three ways: mission_state, once a second, so that HEARTBEAT may show HOLD before it; "Mission finished"
in words; and MISSION_ITEM_REACHED of the last item, about ten times over. The last two count only for the mission that
MISSION_CURRENT shows, and while it shows its last item. A mode of HOLD at the last item proves nothing: a failsafe or
another station may have stopped the vehicle on its way there.
"""

from __future__ import annotations

from fleet.mavlink.messages import MissionCurrent
from missions.snapshot import Mode

NOT_REPORTED, COMPLETE = 0, 5
"""MISSION_STATE"""
NO_MISSION = 0xFFFF
REPEATS_S = 12.0
"""PX4 repeats a reached item once a second for about ten: the same item within this time is no news, and may be of the
mission before"""
FINISHED = "Mission finished"


class Completion:
    """Fed with what one vehicle says, in the order of arrival; a sign once seen holds until it is overtaken."""

    def __init__(self) -> None:
        self._newest: MissionCurrent | None = None
        self._mode: Mode | None = None
        self._reached: tuple[int, float] | None = None
        self._complete = False

    def current(self, message: MissionCurrent) -> MissionCurrent:
        """A new message; complete where it leaves mission_state open and the vehicle has said so otherwise."""
        before, self._newest = self._newest, message
        same = before is not None and (before.total, before.mission_id) == (message.total, message.mission_id)
        self._complete = self._complete and same and self._at_last_item()
        if self._complete and message.mission_state == NOT_REPORTED:
            return message._replace(mission_state=COMPLETE)
        return message

    def completed(self) -> MissionCurrent | None:
        """The newest message, told with what was said since. None before the first."""
        return None if self._newest is None else self._newest._replace(mission_state=COMPLETE)

    def mode(self, mode: Mode) -> None:
        """Entering mission mode flies it, or its last item, again."""
        if mode is Mode.MISSION and self._mode is not Mode.MISSION:
            self._complete = False
        self._mode = mode

    def reached(self, seq: int, now_s: float) -> bool:
        """MISSION_ITEM_REACHED. True when it completes the mission."""
        before, self._reached = self._reached, (seq, now_s)
        repeated = before is not None and before[0] == seq and now_s - before[1] < REPEATS_S
        return not repeated and self._newest is not None and seq == self._newest.seq and self._finish()

    def said(self, line: str) -> bool:
        """A STATUSTEXT or EVENT. True when it completes the mission."""
        return line.startswith(FINISHED) and self._finish()

    def _at_last_item(self) -> bool:
        newest = self._newest
        return newest is not None and 0 < newest.total < NO_MISSION and newest.seq == newest.total - 1

    def _finish(self) -> bool:
        news = not self._complete and self._at_last_item()
        self._complete = self._complete or news
        return news
