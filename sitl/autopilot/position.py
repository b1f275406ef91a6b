"""Whether an autopilot knows where it is: what losing and finding GPS does to it, and when.

Flown on PX4 v1.17.0 (SIH, satellites taken away and given back in flight, twice): the estimator goes on by inertia for
5.2 s, then the position counts as lost; it is good again 2.4 s after the fix.
"""

from __future__ import annotations

from sitl.autopilot.modes import Mode

COASTS_S = 5.2
FINDS_S = 2.4
WITHOUT_POSITION = frozenset({Mode.MANUAL, Mode.ACRO, Mode.STABILIZED, Mode.ALTITUDE, Mode.LAND, Mode.TERMINATION})
"""modes that can be entered without knowing where; LAND then goes down wherever the wind takes the vehicle"""


class Position:
    """`update` is told of the fix at each turn, and answers whether `known` has changed."""

    def __init__(self) -> None:
        self.known = True
        self._fix = True
        self._since_s = 0.0

    def update(self, now_s: float, *, fix: bool) -> bool:
        if fix != self._fix:
            self._fix, self._since_s = fix, now_s
        if fix == self.known or now_s - self._since_s < (FINDS_S if fix else COASTS_S):
            return False
        self.known = fix
        return True
