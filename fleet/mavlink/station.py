"""Our ground station: the vehicles, the links that reach them, one heartbeat, and what there is to tell.

    async with open_station({"udpin://127.0.0.1:14550": {1: "cw-1"}}, clock=clock) as station:
        vehicle = NativeVehicle(station.peer("cw-1"))

A vehicle may be named on several links: the best one is used, the others stand by.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.beacon import Beacon
from fleet.mavlink.exchange import Parties
from fleet.mavlink.frame import Frame
from fleet.mavlink.link import OWN_COMPONENT, MavlinkLink, Refusal
from fleet.mavlink.opening import make_transport
from fleet.mavlink.peer import Peer, Tap
from fleet.mavlink.signing import KeyGuard
from fleet.mavlink.transport import Received, Transport
from fleet.mavlink.urls import LinkError, LinkUrl, parse_url
from fleet.mavlink.watch import EventKind, LinkEvent

QGROUNDCONTROL = 255
TICK_S = 0.25
VEHICLES_PER_PART = 50
"""seen to in one go: about half a millisecond"""

OnChange = Callable[[str], None]
OnEvent = Callable[[LinkEvent], None]


class Station:
    """Vehicles and links. Works with any transport; `open_station` opens those that URLs name."""

    def __init__(
        self,
        *,
        clock: Clock,
        system_id: int = 245,
        uids: Mapping[str, int] | None = None,
        guards: Mapping[str, KeyGuard] | None = None,
        tap: Callable[[str], Tap] | None = None,
    ) -> None:
        """All mappings by vehicle id. `uids`: hardware ids that are known beforehand; `guards`: of vehicles with a key;
        `tap`: where a vehicle's frames are recorded. Raises LinkError for a system id that cannot be."""
        if not 1 <= system_id <= 254:
            hint = " (255 is QGroundControl's)" if system_id == QGROUNDCONTROL else ""
            raise LinkError(
                f"our MAVLink system id {system_id}{hint} cannot be used; configure one from 1 to 254, as 245"
            )
        self.clock = clock
        self.system_id = system_id
        self.links: list[MavlinkLink] = []
        self._uids = uids or {}
        self._guards = guards or {}
        self._tap = tap
        self._peers: dict[str, Peer] = {}
        self._beacon = Beacon(clock.now_s())
        self._on_change: list[OnChange] = []
        self._on_event: list[OnEvent] = []

    def add_link(self, name: str, transport: Transport, vehicles: Mapping[int, str]) -> MavlinkLink:
        """A link by which these vehicles may be reached: system id → vehicle id. Raises LinkError for ids that cannot
        be. A vehicle that is named on several links prefers the one added first."""
        self._check_ids(vehicles)
        peers = {system: self._peer(vehicle_id, system) for system, vehicle_id in vehicles.items()}
        link = MavlinkLink(name, len(self.links), transport, peers, self.system_id)
        self.links.append(link)
        return link

    def _peer(self, vehicle_id: str, system: int) -> Peer:
        peer = self._peers.get(vehicle_id)
        if peer is None:
            peer = self._peers[vehicle_id] = Peer(
                vehicle_id,
                Parties(self.system_id, OWN_COMPONENT, system),
                self.clock,
                uid=self._uids.get(vehicle_id),
                guard=self._guards.get(vehicle_id),
                tap=self._tap(vehicle_id) if self._tap is not None else None,
            )
        elif peer.parties.vehicle_system != system:
            first = peer.parties.vehicle_system
            raise LinkError(f"vehicle {vehicle_id} has two system ids, {first} and {system}; leave one")
        return peer

    def _check_ids(self, vehicles: Mapping[int, str]) -> None:
        for system, name in vehicles.items():
            if not 1 <= system <= 254:
                raise LinkError(f"vehicle {name}: system id {system} is not within 1..254")
            if system == self.system_id:
                raise LinkError(f"vehicle {name}: system id {system} is the controller's own; change one of the two")
        names = list(vehicles.values())
        for name in names:
            if names.count(name) > 1:
                raise LinkError(f"vehicle {name} has two system ids on one link; leave one")

    def receiver(self, link: MavlinkLink) -> Received:
        """What the link's transport calls with each datagram or piece of a stream."""

        take, now_s = link.received, self.clock.now_s

        def received(frames: Sequence[Frame], bad: int, address: Any) -> None:
            take(frames, bad, address, now_s())

        return received

    # -- for the composition root and sessions -----------------------------------------------------------------------

    def peer(self, vehicle_id: str) -> Peer:
        """KeyError for a vehicle that is on no link."""
        return self._peers[vehicle_id]

    @property
    def peers(self) -> tuple[Peer, ...]:
        return tuple(self._peers.values())

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Who was not admitted on any link and why, newest last."""
        return tuple(sorted((r for link in self.links for r in link.refusals), key=lambda r: r.last_s))

    def on_change(self, listener: OnChange) -> Callable[[], None]:
        """Calls `listener(vehicle_id)` after new telemetry, once per burst. Returns what ends it."""
        self._on_change.append(listener)
        return lambda: self._on_change.remove(listener)

    def on_event(self, listener: OnEvent) -> Callable[[], None]:
        """Calls `listener(event)` for what an operator should know. Returns what ends it."""
        self._on_event.append(listener)
        return lambda: self._on_event.remove(listener)

    def beat(self, now_s: float) -> None:
        """The control loop is alive. Without this for 2 s our heartbeats stop, and PX4 sees a lost link."""
        self._beacon.beat(now_s)

    @property
    def beacon_silent(self) -> bool:
        return self._beacon.silent(self.clock.now_s())

    # -- the turn of the wheel ---------------------------------------------------------------------------------------

    def turn_over(self) -> None:
        """A burst was taken in: tell those who wait."""
        for link in self.links:
            if not link.changed:
                continue
            changed, link.changed = link.changed, {}
            for vehicle_id, peer in changed.items():
                peer.changed()
                for listener in self._on_change:
                    listener(vehicle_id)

    def tick(self) -> None:
        """Heartbeats and housekeeping; call it a few times a second."""
        for _ in self._tick_in_parts():
            pass

    def _tick_in_parts(self) -> Iterator[None]:
        """Stops where something else may have its turn: a thousand vehicles in one go would hold up their telemetry."""
        if self._beacon.due(self.clock.now_s()):
            for link in self.links:
                link.beat()
                yield
        for n, peer in enumerate(tuple(self._peers.values()), 1):
            peer.tick(self.clock.now_s())
            if peer.events:
                events, peer.events = peer.events, []
                self._tell(events)
            if n % VEHICLES_PER_PART == 0:
                yield
        for link in self.links:
            link.listen_for_noise(self.clock.now_s())
            if link.news:
                news, link.news = link.news, []
                self._tell(_refused(refusal) for refusal in news)

    def _tell(self, events: Any) -> None:
        for event in events:
            for listener in self._on_event:
                listener(event)

    async def run(self) -> None:
        """Ticks until cancelled."""
        while True:
            for _ in self._tick_in_parts():
                await asyncio.sleep(0)
            self.turn_over()
            await self.clock.sleep(TICK_S)


def _refused(refusal: Refusal) -> LinkEvent:
    text = f"not admitted on {refusal.link}: system id {refusal.system_id} at {refusal.address}: {refusal.why}"
    return LinkEvent(EventKind.REFUSED, text, refusal.first_s)


@asynccontextmanager
async def open_station(
    links: Mapping[str, Mapping[int, str]],
    *,
    clock: Clock,
    system_id: int = 245,
    transport: Callable[[LinkUrl, Clock], Transport] = make_transport,
    **of_vehicles: Any,
) -> AsyncIterator[Station]:
    """A station on these links (URL → system id → vehicle id), alive inside the `async with`.

    `transport` makes what a URL names; `of_vehicles` as for Station. Raises LinkError with the URL and the fix.
    """
    station = Station(clock=clock, system_id=system_id, **of_vehicles)
    with ExitStack() as opened:
        for url, vehicles in links.items():
            where = parse_url(url)
            carrier = transport(where, clock)
            opened.callback(carrier.close)
            link = station.add_link(str(where), carrier, vehicles)
            carrier.open(station.receiver(link), station.turn_over)
        try:
            async with asyncio.TaskGroup() as tasks:
                runner = tasks.create_task(station.run(), name="mavlink station")
                try:
                    yield station
                finally:
                    runner.cancel()
        except BaseExceptionGroup as group:
            # The group is how we are built, not what the caller asked about: a single fault leaves as itself.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise
