"""How badly a radio treats frames: lost, late, overtaken, doubled. Never changed, and never made up.

Sans-IO: one `Channel` for each direction of a link, of a simulated vehicle or of a relay before a real one.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Air:
    """One direction. What is zero does not happen."""

    loss: float = 0.0
    """share of frames that never arrive"""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """each frame takes up to this much longer (evenly spread), so that frames overtake each other"""
    duplicate: float = 0.0
    """share of frames that arrive twice; the copy has a jitter of its own"""


STILL_AIR = Air()


@dataclass(frozen=True, slots=True)
class Radio:
    """Both directions: `down` is from the vehicle, `up` to it."""

    down: Air = STILL_AIR
    up: Air = STILL_AIR


CLEAR = Radio()


@dataclass(slots=True)
class Counts:
    """Frames of one direction since the start, while its air was not still."""

    lost: int = 0
    doubled: int = 0
    overtaken: int = 0
    """arrived after one that was sent later"""


class Channel:
    """`send` frames into it; `deliver(frame, now_s)` is told of each that arrives, some of them not before `step`."""

    def __init__(self, deliver: Callable[[bytes, float], None], rng: random.Random) -> None:
        self.air = STILL_AIR
        self.counts = Counts()
        self._deliver, self._rng = deliver, rng
        self._late: list[tuple[float, int, int, bytes]] = []
        """(when it arrives, a tie-break, its number in the order of sending, the frame)"""
        self._sent = self._copies = 0
        self._newest = 0
        """the highest number that has arrived"""
        self.next_s = math.inf
        """when `step` has something to do; infinite while nothing is under way"""

    def send(self, frame: bytes, now_s: float) -> None:
        air = self.air
        if air is STILL_AIR and not self._late:
            self._deliver(frame, now_s)
            return
        self._sent += 1
        if air.loss > 0.0 and self._rng.random() < air.loss:
            self.counts.lost += 1
            return
        self._carry(frame, now_s)
        if air.duplicate > 0.0 and self._rng.random() < air.duplicate:
            self.counts.doubled += 1
            self._carry(frame, now_s)

    def _carry(self, frame: bytes, now_s: float) -> None:
        air = self.air
        takes_s = air.delay_s + (air.jitter_s * self._rng.random() if air.jitter_s > 0.0 else 0.0)
        if takes_s <= 0.0:
            self._arrive(self._sent, frame, now_s)
            return
        self._copies += 1
        heapq.heappush(self._late, (now_s + takes_s, self._copies, self._sent, frame))
        self.next_s = self._late[0][0]

    def step(self, now_s: float) -> None:
        """Delivers what arrives by now."""
        while self._late and self._late[0][0] <= now_s:
            _, _, number, frame = heapq.heappop(self._late)
            self._arrive(number, frame, now_s)
        self.next_s = self._late[0][0] if self._late else math.inf

    def _arrive(self, number: int, frame: bytes, now_s: float) -> None:
        if number < self._newest:
            self.counts.overtaken += 1
        self._newest = max(self._newest, number)
        self._deliver(frame, now_s)
