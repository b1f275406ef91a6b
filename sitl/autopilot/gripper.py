"""The gripper as PX4's payload deliverer drives it: by time alone, without a sensor."""

from __future__ import annotations

from collections.abc import Callable

from sitl.autopilot.outlet import Reply
from sitl.autopilot.params import Params
from sitl.autopilot.results import ACCEPTED, CANCELLED, IN_PROGRESS, TEMPORARILY_REJECTED


class Gripper:
    """Closed after the boot. `let_go(open)` is told when the servo has moved."""

    def __init__(self, params: Params, let_go: Callable[[bool], None]) -> None:
        self.params, self._let_go = params, let_go
        self._open = False
        self._moving: tuple[float, bool, Reply | None] | None = None
        """until when, to open it, and who is told"""

    def move(self, open_it: bool, now_s: float, reply: Reply | None = None) -> None:
        """One way at a time: the other way cancels, the same again is rejected, what is done already is ACCEPTED."""
        answer = reply or (lambda result: None)
        if self._moving is not None:
            _, opening, asked = self._moving
            if opening is open_it:
                answer(TEMPORARILY_REJECTED)
                return
            if asked is not None:
                asked(CANCELLED)
        elif self._open is open_it:
            answer(ACCEPTED)
            return
        self._moving = (now_s + self.params["PD_GRIPPER_TO"], open_it, reply)
        answer(IN_PROGRESS)

    def tick(self, now_s: float) -> None:
        if self._moving is None or now_s < self._moving[0]:
            return
        _, self._open, reply = self._moving
        self._moving = None
        if reply is not None:
            reply(ACCEPTED)
        self._let_go(self._open)
