"""The ways to one vehicle: what each link does, and which of them is used.

PX4 runs an instance of its MAVLink module for each of its links: each numbers its own frames, answers where it was
asked and keeps its own message intervals. So all of that is counted for a path, not for a vehicle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import AutopilotVersion, GlobalPositionInt, Message, Ping, SystemTime, TimeSync
from fleet.mavlink.quality import LinkMeter
from fleet.mavlink.thinning import Thinning
from fleet.mavlink.timing import RoundTrip
from missions.snapshot import LinkPath

STALE_S = 2.5
"""a path that carried nothing for this long is down: two HEARTBEATs in a row may be lost on one that is up"""
SWITCH_AFTER_S = 10.0
"""another path must have been the better one for so long: fail-over answers silence, not noise"""
CLEARLY_BETTER = 0.5
"""and its cost must be this share of the present one's, or less"""
SAME_BOOT_S = 10.0
"""two paths tell of the same boot when their boot times agree within this: a satellite's delay and more"""
UNMEASURED_S = 1.0
"""taken for the round trip of a path on which none was measured yet"""


class Path:
    """One link to the vehicle, and where it lives on it."""

    def __init__(self, link: str, number: int, send: Callable[[Path, Iterable[Message]], None]) -> None:
        """`number`: tells the vehicle's paths apart in its recording."""
        self.link = link
        self.number = number
        self._send = send
        self.address: Any = None
        """None until the vehicle was heard here"""
        self.rtt = RoundTrip()
        self.meter = LinkMeter(self.rtt)
        self.thinning = Thinning()
        self.heard_s: float | None = None
        """when a frame of the vehicle came this way"""
        self.uid: int | None = None
        """hardware id of the autopilot that answers here; 0 where it has none to tell"""
        self.boot_ms = -1
        """the newest time since boot that came this way"""
        self.boot_epoch_s = 0.0
        """when, by our clock, that boot was"""
        self.trouble: str | None = None
        """why nothing is taken from here, for the operator"""
        self.early: dict[int, tuple[Any, float, Frame]] = {}
        """by message id: from where, when and what came before the vehicle was admitted"""
        self.greeted = False
        self.version_asked_s = 0.0
        self.called_s = 0.0
        """when a signed frame was last sent to an address that is not admitted"""

    def moved(self, address: Any) -> None:
        """The vehicle was heard from there: who answers is asked anew."""
        self.address = address
        self.uid = self.trouble = None
        self.greeted = False
        self.version_asked_s = 0.0

    def measure_by(self, rtt: RoundTrip) -> None:
        """Round trips are kept there from now on."""
        self.rtt = self.meter.rtt = rtt

    def learn(self, message: Message, now_s: float) -> None:
        """What concerns the path: since when it runs, round trip, who answers."""
        kind = type(message)
        if kind is GlobalPositionInt or kind is SystemTime:
            self._runs_for(message.time_boot_ms, now_s)  # type: ignore[union-attr]
        elif kind is TimeSync:
            self.meter.receive(message, now_s)  # type: ignore[arg-type]
            if message.tc1 > 0:  # type: ignore[union-attr]
                self._runs_for(message.tc1 // 1_000_000, now_s)  # type: ignore[union-attr]
        elif kind is Ping:
            self.meter.receive(message, now_s)  # type: ignore[arg-type]
        elif kind is AutopilotVersion:
            self.uid = message.uid  # type: ignore[union-attr]

    def _runs_for(self, boot_ms: int, now_s: float) -> None:
        self.boot_ms = boot_ms
        self.boot_epoch_s = now_s - boot_ms / 1000.0

    def rebooted(self) -> None:
        """The vehicle numbers its frames anew and sends its defaults again."""
        self.meter.restart()
        self.thinning.restart()
        self.version_asked_s = 0.0

    def up(self, now_s: float) -> bool:
        return self.heard_s is not None and now_s - self.heard_s <= STALE_S

    def cost_s(self) -> float:
        """The time a question and its answer take on average, with what must be repeated."""
        rtt_s = UNMEASURED_S if self.rtt.rtt_s is None else self.rtt.rtt_s
        through = 1.0 - (self.meter.loss_pct or 0.0) / 100.0
        return rtt_s / max(0.01, through * through)

    def send(self, messages: Iterable[Message]) -> None:
        if messages:
            self._send(self, messages)

    def view(self, now_s: float, in_use: Path) -> LinkPath:
        loss_pct = self.meter.loss_pct
        return LinkPath(self.link, self.up(now_s), self is in_use, self.rtt.rtt_s, loss_pct, self.trouble)


class Chooser:
    """Which path is used: the first configured while it is up; another when it falls silent or is clearly worse."""

    def __init__(self) -> None:
        self._better: Path | None = None
        self._better_since_s = 0.0

    def choose(self, paths: Sequence[Path], present: Path, now_s: float) -> Path:
        """`paths`: those that may be used, in the order of preference."""
        up = [path for path in paths if path.up(now_s)]
        if not up or (present in up and len(up) == 1):
            self._better = None
            return present
        best = min(up, key=Path.cost_s)  # of equals the first
        if present not in up:
            self._better = None
            return best
        if best is present or best.cost_s() > CLEARLY_BETTER * present.cost_s():
            self._better = None
            return present
        if best is not self._better:
            self._better, self._better_since_s = best, now_s
        if now_s - self._better_since_s < SWITCH_AFTER_S:
            return present
        self._better = None
        return best
