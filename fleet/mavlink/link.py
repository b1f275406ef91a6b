"""One MAVLink link with many vehicles on it: who is admitted, what goes to whom, our heartbeat.

    async with open_link("udpin://127.0.0.1:14550", clock=clock, vehicles={1: "cw-1"}) as link:
        vehicle = NativeVehicle(link.peer("cw-1"))

Adopting a vehicle changes nothing on it but the rates of its telemetry: no mission and no mode message is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.beacon import GCS_HEARTBEAT, Beacon
from fleet.mavlink.codec import decode, encode
from fleet.mavlink.exchange import Parties
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import Heartbeat, Message
from fleet.mavlink.opening import make_transport
from fleet.mavlink.peer import Peer
from fleet.mavlink.px4 import AUTOPILOT_PX4
from fleet.mavlink.transport import Transport, shown
from fleet.mavlink.urls import LinkError, parse_url

OWN_COMPONENT = 190
"""MAV_COMP_ID_MISSIONPLANNER: what ground stations use"""
QGROUNDCONTROL = 255
TYPE_GCS = 6
ADDRESS_HELD_S = 3.0
"""a second sender with a live vehicle's system id is refused; one silent for this long may come from elsewhere"""
TICK_S = 0.25

OnChange = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sender that was not admitted, for the operator's eyes."""

    system_id: int
    address: str
    why: str
    first_s: float
    last_s: float
    frames: int


@dataclass(frozen=True, slots=True)
class LinkStats:
    frames: int
    bad_bytes: int
    refused_frames: int
    over_budget: dict[str, int]
    """frames dropped per vehicle because it sent too many"""
    send_drops: int
    kernel_drops: int | None


class MavlinkLink:
    """Routes between a transport and the admitted vehicles. Works with any transport; `open_link` opens a URL."""

    def __init__(
        self, transport: Transport, *, clock: Clock, vehicles: Mapping[int, str], system_id: int = 245
    ) -> None:
        """`vehicles`: system id → vehicle id. Raises LinkError for ids that cannot be."""
        _check_ids(vehicles, system_id)
        self.transport = transport
        self.clock = clock
        self.system_id = system_id
        self.frames = self.bad_bytes = self.refused_frames = 0
        self._seq = 0
        self._beacon = Beacon(clock.now_s())
        self._refusals: dict[tuple[int, str], Refusal] = {}
        self._listeners: list[OnChange] = []
        self._changed: dict[str, Peer] = {}
        self._peers = {
            system: Peer(name, Parties(system_id, OWN_COMPONENT, system), clock, self._send)
            for system, name in vehicles.items()
        }
        self._by_name = {peer.vehicle_id: peer for peer in self._peers.values()}

    # -- for the composition root and sessions -----------------------------------------------------------------------

    def peer(self, vehicle_id: str) -> Peer:
        """KeyError for a vehicle that is not configured on this link."""
        return self._by_name[vehicle_id]

    @property
    def peers(self) -> tuple[Peer, ...]:
        return tuple(self._peers.values())

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Unknown systems, clashes of system ids and autopilots that are not PX4, newest last."""
        return tuple(sorted(self._refusals.values(), key=lambda r: r.last_s))

    def on_change(self, listener: OnChange) -> Callable[[], None]:
        """Calls `listener(vehicle_id)` after new telemetry, once per burst. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def beat(self, now_s: float) -> None:
        """The control loop is alive. Without this for 2 s our heartbeats stop, and PX4 sees a lost link."""
        self._beacon.beat(now_s)

    @property
    def beacon_silent(self) -> bool:
        return self._beacon.silent(self.clock.now_s())

    def stats(self) -> LinkStats:
        return LinkStats(
            self.frames,
            self.bad_bytes,
            self.refused_frames,
            {peer.vehicle_id: peer.dropped for peer in self._peers.values() if peer.dropped},
            self.transport.send_drops,
            self.transport.kernel_drops(),
        )

    # -- frames in ---------------------------------------------------------------------------------------------------

    def received(self, frames: Sequence[Frame], bad: int, address: Any) -> None:
        """What the transport took in: frames, and how many bytes were none. Nothing they hold can raise."""
        now_s = self.clock.now_s()
        self.bad_bytes += bad
        self.frames += len(frames)
        for frame in frames:
            peer = self._peers.get(frame.system)
            if peer is None or peer.address != address:
                peer = self._admit(frame, address, now_s)
                if peer is None:
                    self.refused_frames += 1
                    continue
            if peer.receive(frame, now_s):
                self._changed[peer.vehicle_id] = peer

    def turn_over(self) -> None:
        """A burst was taken in: tell those who wait."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        for vehicle_id, peer in changed.items():
            peer.changed()
            for listener in self._listeners:
                listener(vehicle_id)

    def _admit(self, frame: Frame, address: Any, now_s: float) -> Peer | None:
        """The peer of a frame from a new address. Only a PX4's own heartbeat opens the door."""
        message = decode(frame) if frame.msg_id == 0 else None
        heartbeat = message if isinstance(message, Heartbeat) else None
        peer = self._peers.get(frame.system)
        if peer is None:
            if heartbeat is not None and heartbeat.type == TYPE_GCS and frame.system != self.system_id:
                for other in self._peers.values():
                    if other.address == address:
                        other.hear_gcs(frame.system, now_s)
            self._refuse(frame.system, address, now_s, self._stranger(frame.system, heartbeat))
            return None
        if heartbeat is None or frame.component != peer.parties.vehicle_component:
            return None
        if heartbeat.autopilot != AUTOPILOT_PX4:
            self._refuse(frame.system, address, now_s, f"its autopilot is type {heartbeat.autopilot}, not PX4 (12)")
            return None
        heard_s = peer.track.heard_s
        if peer.address is not None and heard_s is not None and now_s - heard_s < ADDRESS_HELD_S:
            self._refuse(
                frame.system,
                address,
                now_s,
                f"system id {frame.system} is already in use by {peer.vehicle_id} at {shown(peer.address)}; "
                f"give one of the two another MAV_SYS_ID",
            )
            return None
        peer.address = address
        return peer

    def _stranger(self, system: int, heartbeat: Heartbeat | None) -> str:
        if system == self.system_id:
            return f"it uses our own system id {system}; configure another one for the controller or for that station"
        if heartbeat is not None and heartbeat.type == TYPE_GCS:
            return "another ground station"
        return f"no vehicle with system id {system} is configured on this link; add it to the vehicles or stop it"

    def _refuse(self, system: int, address: Any, now_s: float, why: str) -> None:
        key = (system, why)
        old = self._refusals.get(key)
        if old is not None:
            self._refusals[key] = replace(old, address=shown(address), last_s=now_s, frames=old.frames + 1)
        elif len(self._refusals) < 512:
            self._refusals[key] = Refusal(system, shown(address), why, now_s, now_s, 1)

    # -- bytes out ---------------------------------------------------------------------------------------------------

    def _send(self, peer: Peer, messages: Iterable[Message]) -> None:
        address = peer.address if peer.address is not None else self.transport.peer
        if address is None:
            return
        for message in messages:
            frame = encode(message, seq=peer.seq, system=self.system_id, component=OWN_COMPONENT)
            peer.seq = (peer.seq + 1) & 0xFF
            self.transport.send(frame, address)

    def tick(self) -> None:
        """Heartbeats and housekeeping; call it a few times a second."""
        now_s = self.clock.now_s()
        if self._beacon.due(now_s):
            heard = [peer for peer in self._peers.values() if peer.address is not None]
            for peer in heard or self.peers[:1]:
                # udpout calls before anything was heard; udpin has nobody to call until then.
                self._send(peer, [GCS_HEARTBEAT])
        for peer in self._peers.values():
            peer.tick(now_s)

    async def run(self) -> None:
        """Ticks until cancelled."""
        while True:
            self.tick()
            self.turn_over()
            await self.clock.sleep(TICK_S)


@asynccontextmanager
async def open_link(
    url: str, *, clock: Clock, vehicles: Mapping[int, str], system_id: int = 245
) -> AsyncIterator[MavlinkLink]:
    """A link on a URL, alive inside the `async with`. Raises LinkError with the URL and the fix."""
    where = parse_url(url)
    transport = make_transport(where, clock)
    try:
        link = MavlinkLink(transport, clock=clock, vehicles=vehicles, system_id=system_id)
        transport.open(link.received, link.turn_over)
        async with asyncio.TaskGroup() as tasks:
            runner = tasks.create_task(link.run(), name=f"mavlink {where}")
            try:
                yield link
            finally:
                runner.cancel()
    except BaseExceptionGroup as group:
        # The group is how we are built, not what the caller asked about: a single fault leaves as itself.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    finally:
        transport.close()


def _check_ids(vehicles: Mapping[int, str], system_id: int) -> None:
    if not 1 <= system_id <= 254:
        hint = " (255 is QGroundControl's)" if system_id == QGROUNDCONTROL else ""
        raise LinkError(f"our MAVLink system id {system_id}{hint} cannot be used; configure one from 1 to 254, as 245")
    for system, name in vehicles.items():
        if not 1 <= system <= 254:
            raise LinkError(f"vehicle {name}: system id {system} is not within 1..254")
        if system == system_id:
            raise LinkError(f"vehicle {name}: system id {system} is the controller's own; change one of the two")
    names = list(vehicles.values())
    for name in names:
        if names.count(name) > 1:
            raise LinkError(f"vehicle {name} has two system ids on one link; leave one")
