"""One vehicle: the paths that reach it, its track, and the exchanges under way with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from fleet.clock import Clock
from fleet.mavlink.codec import decode
from fleet.mavlink.exchange import Exchange, Parties
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import (
    CommandAck,
    CommandLong,
    Message,
    MissionAck,
    MissionCount,
    MissionItemInt,
    MissionRequest,
    MissionRequestInt,
    ParamValue,
    RequestEvent,
)
from fleet.mavlink.path import SAME_BOOT_S, Chooser, Path
from fleet.mavlink.reduce import Track
from fleet.mavlink.signing import KeyGuard, without_signature
from fleet.mavlink.signing import Verdict as Signature
from fleet.mavlink.timing import RoundTrip
from fleet.mavlink.watch import EventKind, LinkEvent, Watch
from missions.snapshot import LinkQuality, Signing, VehicleState

R = TypeVar("R")
REQUEST_MESSAGE = 512
RUN_PREARM_CHECKS = 401
AUTOPILOT_VERSION = 148
FIRST_WISHES = (1, 245, 33)
"""SYS_STATUS, EXTENDED_SYS_STATE, GLOBAL_POSITION_INT: asked for at first sight, as what a vehicle
in the air needs must not wait for the next turn of streams that come once a second"""
OTHER_GCS_S = 10.0
"""another ground station silent for this long, while the vehicle is heard, is gone"""
SILENT_S = 2.0
"""without a frame the vehicle itself is not heard: a heartbeat comes each second"""
MAX_FRAMES_PER_S = 1000.0
"""a PX4 sends about 400 a second before it is thinned; more is a fault, and may not starve the other vehicles"""
OF_THE_PATH = frozenset({4, 111, AUTOPILOT_VERSION})
"""PING, TIMESYNC: round trip, who answers"""
OF_SEVERAL_PATHS = OF_THE_PATH | {2, 33}
"""and SYSTEM_TIME, GLOBAL_POSITION_INT: how long the vehicle has been running, which must agree on all of them"""
ANSWERS = (CommandAck, MissionAck, MissionCount, MissionItemInt, MissionRequest, MissionRequestInt, ParamValue)
"""count from whatever path they come by: a vehicle answers where it was asked, also after a fail-over"""


class Tap(Protocol):
    """Where frames in both directions are recorded."""

    def frame(self, raw: bytes, now_s: float, link: int) -> None: ...


class Peer:
    """A configured vehicle. All times by the clock."""

    def __init__(
        self,
        vehicle_id: str,
        parties: Parties,
        clock: Clock,
        *,
        uid: int | None = None,
        guard: KeyGuard | None = None,
        tap: Tap | None = None,
    ) -> None:
        """`uid`: the autopilot's hardware id, if it is known beforehand. `guard`: its key, if it signs."""
        self.vehicle_id = vehicle_id
        self.parties = parties
        self._component = parties.vehicle_component
        self.clock = clock
        self.uid = uid
        self.guard = guard
        self.tap = tap
        self.rtt = RoundTrip()
        """of the path in use; one object for the vehicle's life, so that an exchange follows a fail-over"""
        self.path = Path("", 0, lambda path, messages: None)
        """the one in use; one that leads nowhere until a link has added its own"""
        self.paths: list[Path] = []
        self._of_the_path = OF_THE_PATH
        self.track = Track(vehicle_id)
        self.watch = Watch(vehicle_id)
        self.events: list[LinkEvent] = []
        """what the station has still to tell"""
        self.dropped = 0
        self.unsigned_frames = 0
        """refused because they are not signed with the vehicle's key, or replayed"""
        self._signatures_told: set[Signature] = set()
        self._signing = Signing.OFF if guard is None else Signing.WAITING
        self._chooser = Chooser()
        self._budget = MAX_FRAMES_PER_S
        self._budget_s = 0.0
        self._other_gcs: dict[int, float] = {}
        self._exchanges: dict[Exchange[Any], asyncio.Event] = {}
        self._waiters: set[asyncio.Future[None]] = set()

    def add_path(self, link: str, send: Callable[[Peer, Path, Iterable[Message]], None]) -> Path:
        """A link that may reach the vehicle; the first is the preferred one."""
        path = Path(link, len(self.paths), lambda path, messages: send(self, path, messages))
        if not self.paths:
            self.path = path
            path.measure_by(self.rtt)
        self.paths.append(path)
        if len(self.paths) > 1:
            self._of_the_path = OF_SEVERAL_PATHS
        return path

    def prefer(self, links: Sequence[str]) -> None:
        """The order in which the paths are preferred, the best first. Before anything was heard."""
        self.paths.sort(key=lambda path: links.index(path.link))
        if self.paths[0] is not self.path:
            self.path.measure_by(RoundTrip())
            self.path = self.paths[0]
            self.path.measure_by(self.rtt)

    # -- frames in ---------------------------------------------------------------------------------------------------

    def judge(self, frame: Frame, now_s: float) -> Signature:
        """Whether the frame may be looked at as this vehicle's. Without a key every frame may.

        What PX4 itself accepts unsigned proves nothing here: an unsigned HEARTBEAT is not the vehicle's word.
        """
        if self.guard is None:
            return Signature.ACCEPTED
        verdict = self.guard.check(frame, now_s)
        if verdict.authentic:
            self._signing = Signing.VERIFIED
            return verdict
        self.unsigned_frames += 1
        if verdict not in self._signatures_told:
            self._signatures_told.add(verdict)
            self._tell(EventKind.REFUSED, f"a frame in its name was refused: {verdict.text}", now_s)
        return verdict

    def receive(self, path: Path, frame: Frame, now_s: float) -> bool:
        """Takes an authentic frame. True when something an onlooker could see may have changed."""
        if self._budget < 1.0:
            self.dropped += 1
            return False
        self._budget -= 1.0
        if self.tap is not None:
            self.tap.frame(frame.raw if self.guard is None else without_signature(frame.raw), now_s, path.number)
        if frame.component != self._component:
            return False
        msg_id = frame.msg_id
        path.heard_s = now_s
        path.meter.count(frame.seq, now_s)
        path.thinning.counts[msg_id] += 1
        message = decode(frame)
        if message is not None and msg_id in self._of_the_path:
            path.learn(message, now_s)
            if msg_id == AUTOPILOT_VERSION:
                self._identify(path, now_s)
        if self.uid is not None and path.uid != self.uid:
            return False  # not, or not yet, known to be this vehicle
        if path is not self.path:
            if self._exchanges and isinstance(message, ANSWERS):
                self._feed(message, now_s)
            return False
        track = self.track
        track.heard_s = now_s
        if message is None:
            return False
        if track.reduce(message, now_s):
            for each in self.paths:
                each.rebooted()
        if self._exchanges:
            self._feed(message, now_s)
        return True

    def recall(self, path: Path, frame: Frame, at_s: float) -> None:
        """A frame that came, with its own time, shortly before the vehicle was admitted on this path."""
        message = decode(frame)
        if message is not None and path is self.path and self.uid is None:
            self.track.reduce(message, at_s)

    def _feed(self, message: Message, now_s: float) -> None:
        for exchange, wake in list(self._exchanges.items()):
            self.send(exchange.receive(message, now_s))
            wake.set()

    def _identify(self, path: Path, now_s: float) -> None:
        """An autopilot has told its hardware id: the first one is remembered, another one is somebody else."""
        if not path.uid:
            return
        if self.uid is None:
            self.uid = path.uid
        elif path.uid != self.uid and path.trouble is None:
            path.trouble = (
                f"another autopilot answers here: its uid is {path.uid:#x}, that of {self.vehicle_id} {self.uid:#x}; "
                f"give one of the two another MAV_SYS_ID, or correct the vehicle's uid in the configuration"
            )
            self._tell(EventKind.REFUSED, path.trouble, now_s)
        if path.uid == self.uid:
            path.trouble = None

    def hear_gcs(self, system: int, now_s: float) -> None:
        """Another ground station's heartbeat came from this vehicle's address: PX4 forwards between its links."""
        self._other_gcs[system] = now_s

    # -- messages out ------------------------------------------------------------------------------------------------

    def send(self, messages: Iterable[Message]) -> None:
        """By the path in use."""
        self.path.send(messages)

    def tick(self, now_s: float) -> None:
        """Housekeeping, about four times a second: paths, round trip, thinning, who it is, what changed."""
        self._budget = min(MAX_FRAMES_PER_S, self._budget + (now_s - self._budget_s) * MAX_FRAMES_PER_S)
        self._budget_s = now_s
        if len(self.paths) > 1:
            self._choose(now_s)
        for path in self.paths:
            if path.heard_s is not None:
                path.send([_aimed(wish, self.parties) for wish in self._wishes(path, now_s)])
        if self.track.heard_s is None or now_s - self.track.heard_s > SILENT_S:
            # Who falls silent together with the vehicle is not gone: it still hides our failure from PX4's failsafe.
            self._other_gcs = dict.fromkeys(self.track.state().link.other_gcs, now_s)
        gcs = tuple(sorted(system for system, at_s in self._other_gcs.items() if now_s - at_s < OTHER_GCS_S))
        paths = tuple(path.view(now_s, self.path) for path in self.paths)
        quality = LinkQuality(self.rtt.rtt_s, self.path.meter.loss_pct, gcs, self._signing, paths)
        if quality != self.track.state().link:
            self.track.set_quality(quality)
        if self.track.heard_s is not None:
            self.events += self.watch.observe(self.track.state(), now_s)

    def _wishes(self, path: Path, now_s: float) -> list[Message]:
        wishes = [*path.meter.tick(now_s), *path.thinning.tick(now_s)]
        if not path.greeted:
            path.greeted = True
            wishes += [_request(message_id) for message_id in FIRST_WISHES]
        unknown = path.uid is None or (path is self.path and self.track.state().firmware is None)
        if unknown and now_s - path.version_asked_s > 2 * path.rtt.timeout_s:
            path.version_asked_s = now_s
            wishes.append(_request(AUTOPILOT_VERSION))
        if path is self.path:
            wishes += self.track.events.tick(now_s, path.rtt.timeout_s)
            if self.track.wants_report(now_s):
                wishes.append(CommandLong(*(0.0,) * 7, RUN_PREARM_CHECKS, 0, 0))
        return wishes

    def _choose(self, now_s: float) -> None:
        usable = [path for path in self.paths if self.uid is None or path.uid == self.uid]
        best, old = self._chooser.choose(usable, self.path, now_s), self.path
        if best is old:
            return
        why = "is clearly better" if old.up(now_s) else "answers, the one used before is silent"
        self._tell(EventKind.LINK_CHANGED, f"goes on over {best.link}: it {why}", now_s)
        old.measure_by(self.rtt.copy())
        self.rtt.become(best.rtt)
        best.measure_by(self.rtt)
        self.path = best
        if old.boot_ms >= 0 and best.boot_ms >= 0 and best.boot_epoch_s - old.boot_epoch_s > SAME_BOOT_S:
            self.track.reboot()
        self.track.rebase(best.boot_ms)

    def _tell(self, kind: EventKind, text: str, now_s: float) -> None:
        self.events.append(LinkEvent(kind, f"{self.vehicle_id}: {text}", now_s, self.vehicle_id))

    # -- for those who command it ------------------------------------------------------------------------------------

    def state(self) -> VehicleState:
        return self.track.state()

    async def run(self, exchange: Exchange[R]) -> R:
        """Carries an exchange to its result. Cancelling it ends it without a further word to the vehicle."""
        wake = self._exchanges[exchange] = asyncio.Event()
        try:
            self.send(exchange.start(self.clock.now_s()))
            while exchange.result is None:
                deadline = exchange.next_deadline
                wait_s = None if deadline is None else self.clock.wall_s(deadline - self.clock.now_s())
                try:
                    async with asyncio.timeout(None if wait_s is None else max(0.0, wait_s)):
                        await wake.wait()
                except TimeoutError:
                    self.send(exchange.tick(self.clock.now_s()))
                wake.clear()
            return exchange.result
        finally:
            del self._exchanges[exchange]

    def nudge(self, exchange: Exchange[Any]) -> None:
        """Somebody changed the exchange from outside: let its runner look."""
        if exchange in self._exchanges:
            self._exchanges[exchange].set()

    async def wait_changed(self, timeout_s: float | None = None) -> bool:
        """Waits for the next change of the vehicle's state; False when none came in time."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(None if timeout_s is None else self.clock.wall_s(timeout_s)):
                await waiter
            return True
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)

    async def wait_until(self, holds: Callable[[VehicleState], bool], timeout_s: float) -> bool:
        """Waits until the state fulfils a condition; False when it did not in time."""
        until_s = self.clock.now_s() + timeout_s
        while not holds(self.state()):
            left_s = until_s - self.clock.now_s()
            if left_s <= 0 or not await self.wait_changed(left_s):
                return holds(self.state())
        return True

    def changed(self) -> None:
        """Wakes all who wait for a change."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _request(message_id: int) -> CommandLong:
    return CommandLong(float(message_id), *(0.0,) * 6, REQUEST_MESSAGE, 0, 0)


def _aimed(message: Message, parties: Parties) -> Message:
    if isinstance(message, CommandLong | RequestEvent):
        return message._replace(target_system=parties.vehicle_system, target_component=parties.vehicle_component)
    return message
