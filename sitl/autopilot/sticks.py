"""A pilot's sticks (MANUAL_CONTROL): heard, moved, missed.

Flown on PX4 v1.17.0: sticks that move take an automatic mode away at once; sticks that fall silent after they were
heard in flight are missed, in modes that COM_RCL_EXCEPT does not name.
"""

from __future__ import annotations

from sitl.autopilot.modes import Mode
from sitl.autopilot.params import Params

EXCEPT = {Mode.MISSION: 1, Mode.HOLD: 2, Mode.TAKEOFF: 2, Mode.OFFBOARD: 4}
"""bits of COM_RCL_EXCEPT"""
OVERRIDE_AUTO = 1
"""bit of COM_RC_OVERRIDE"""
Axes = tuple[float, float, float]


class Sticks:
    def __init__(self, params: Params) -> None:
        self._params = params
        self.at: Axes = (0.0, 0.0, 0.0)
        """forward, right, up, −1…1"""
        self._heard_s: float | None = None
        self._counted_on = False

    def hear(self, at: Axes, now_s: float, *, armed: bool) -> bool:
        """Whether they have been moved so far that the pilot wants the vehicle."""
        way = max(abs(a - b) for a, b in zip(at, self.at, strict=True))
        moved = self.out(now_s) and 100.0 * way > self._params["COM_RC_STICK_OV"]
        self.at, self._heard_s = at, now_s
        self._counted_on = self._counted_on or armed
        return moved and bool(int(self._params["COM_RC_OVERRIDE"]) & OVERRIDE_AUTO)

    def out(self, now_s: float) -> bool:
        """Somebody holds them."""
        return self._heard_s is not None and now_s - self._heard_s < self._params["COM_RC_LOSS_T"]

    def missed(self, now_s: float, intended: Mode) -> bool:
        """They were there on this flight, or the mode cannot do without."""
        if self.out(now_s):
            return False
        if intended.flown_by_hand or not self._counted_on:
            return intended.flown_by_hand
        return not int(self._params["COM_RCL_EXCEPT"]) & EXCEPT.get(intended, 0)

    def put_down(self) -> None:
        """Disarmed: sticks are optional again until they are heard in flight (PX4 asks at each arming)."""
        self._counted_on = False
