"""Starts a session per flight and keeps it going, gives out pads and launches, keeps the link's heartbeat honest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from fleet.clock import Clock
from fleet.mavlink.port import VehiclePort
from fleet.mavlink.recorder import UNRECORDED, FlightRecorder
from fleet.runtime.again import Again
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.cockpit import Surroundings
from fleet.runtime.dispatcher import Dispatcher, Offload
from fleet.runtime.fitness import FitnessDesk
from fleet.runtime.ledger import FLEET_STREAM, Ledger, Note
from fleet.runtime.prospects import Fleet, Prospects
from fleet.runtime.session import Session
from fleet.runtime.turns import Turns
from fleet.store import StoreUnavailableError
from geofences.shapes import distances_m
from geofences.volumes import Zone
from missions.decision.types import FlightPhase
from missions.delivery import Flight
from missions.separation import launch_wait_s, pad_book
from missions.vehicles import Vehicle
from missions.world import World

log = structlog.get_logger()

Alarm = Callable[[str, str | None, str | None], None]
"""(text, vehicle id, order id)"""

ADOPTION_FIRST_S = 5.0
BEAT_EVERY_S = 0.5
"""the link's own heartbeats stop when this loop has not run for 2 s: a hung controller must not look alive"""


class Supervisor:
    """Owns the sessions. `run` never returns while the controller lives."""

    def __init__(
        self,
        fleet: Fleet,
        ports: Mapping[str, VehiclePort],
        ledger: Ledger,
        boxes: BoxDesk,
        clock: Clock,
        world: Callable[[], World],
        beat: Callable[[float], None],
        notify: Callable[[str], None],
        offload: Offload = asyncio.to_thread,
        recorder: FlightRecorder = UNRECORDED,
    ) -> None:
        """`offload` runs the solver beside the loop; on virtual time it must run in place.

        `operator_heard_s` may be set by whoever knows: when an operator was last connected; and `alarm` by whoever
        can tell people.
        """
        self.operator_heard_s: Callable[[], float | None] = lambda: None
        self.alarm: Alarm = lambda text, vehicle_id, order_id: None
        self._recorder = recorder
        self.fleet = fleet
        self.ports = ports
        self.sessions: dict[str, Session] = {}
        """by vehicle id"""
        self._ledger = ledger
        self._boxes = boxes
        self._clock = clock
        self._world = world
        self._beat = beat
        self.fitness = FitnessDesk(ports, clock, self._fitness_changed)
        self._notify = notify
        self._last_launch_s: dict[str, float] = {}
        self._flying: dict[str, Again] = {}
        """by vehicle id, as the sessions"""
        looks = Turns()
        plans = Turns(first=looks)
        self._around = Surroundings(
            clock=clock,
            ledger=ledger,
            boxes=boxes,
            world=world,
            policy=fleet.policy,
            policy_hash=fleet.policy_hash,
            free_sites=self._free_sites,
            take_launch_slot=self._take_launch_slot,
            notify=notify,
            check=self.fitness.check,
            auto_reice=fleet.handling.auto_reice,
            looks=looks,
            plans=plans,
            operator_heard_s=lambda: self.operator_heard_s(),
        )
        self.prospects = Prospects(fleet, world)
        self.dispatcher = Dispatcher(
            fleet,
            ports,
            ledger,
            boxes,
            clock,
            world,
            prospects=self.prospects,
            fitness=self.fitness,
            plans=plans,
            offload=offload,
        )
        self._dispatching = Again("dispatch", clock, self._report)

    async def run(self) -> None:
        """Resumes the stored flights, then beats and dispatches until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for flight in self._ledger.flights.values():
                self._start(tasks, flight)
            tasks.create_task(self._beat_for_ever(), name="heartbeat")
            tasks.create_task(self.fitness.run(self.sessions.__contains__), name="fitness")
            tasks.create_task(self._dispatch_for_ever(tasks), name="dispatch")

    def wake_vehicle(self, vehicle_id: str) -> None:
        """A box sample or an order's change concerns this vehicle."""
        session = self.sessions.get(vehicle_id)
        if session is not None:
            session.wake()

    def airspace_changed(self, zone: Zone) -> None:
        """A zone came or went: all flights are asked at once what lies ahead of them, the nearest to it first.

        Then each looks and decides, whoever is nearest to what is closed first (`Surroundings.looks`).
        """
        self.dispatcher.soon()
        positions = {session: self.ports[v].state().position for v, session in self.sessions.items()}
        known = {session: position.value.point for session, position in positions.items() if position is not None}
        away_m = dict(zip(known, distances_m(zone, list(known.values())), strict=True))
        for session in sorted(positions, key=lambda session: away_m.get(session, 0.0)):
            # In one go: to ask takes half a millisecond, to decide and write that down ten times as long.
            session.look_ahead()
            session.wake()

    def trouble(self, vehicle_id: str) -> str | None:
        """What of ours fails in the flight of this vehicle, for its operator; None if nothing does."""
        flying = self._flying.get(vehicle_id)
        return flying.trouble if flying is not None else None

    @property
    def dispatch_trouble(self) -> str | None:
        return self._dispatching.trouble

    def _fitness_changed(self, vehicle_id: str) -> None:
        self._notify(vehicle_id)
        self.dispatcher.soon()

    def _start(self, tasks: asyncio.TaskGroup, flight: Flight) -> None:
        vehicle = self.fleet.vehicles.get(flight.vehicle_id)
        if vehicle is None:
            log.error("a stored flight's vehicle is not configured", vehicle=flight.vehicle_id, flight=flight.flight_id)
            return
        self._recorder.begin(flight.vehicle_id, flight.flight_id)
        tasks.create_task(self._fly(flight, vehicle), name=f"flight {flight.flight_id}")

    async def _fly(self, flight: Flight, vehicle: Vehicle) -> None:
        """Until it is closed. A fault of ours in one flight must not take the hand off all the others."""
        vehicle_id = vehicle.vehicle_id

        def stored() -> Flight | None:
            return self._ledger.flights.get(flight.flight_id)

        async def fly() -> None:
            now = stored()
            if now is not None:  # else it was closed before the fault
                self.sessions[vehicle_id] = Session(now, vehicle, self.ports[vehicle_id], self._around)
                await self.sessions[vehicle_id].run()

        async def report(kind: str, text: str, body: dict[str, Any]) -> None:
            await self._report(kind, text, body, flight)

        what = f"flight {flight.flight_id} of {vehicle_id}"
        flying = self._flying[vehicle_id] = Again(what, self._clock, report, lambda: self._notify(vehicle_id))
        try:
            # What an operator commands meanwhile changes the stored flight: that is tried without more waiting.
            await flying.keep(fly, mark=stored)
        finally:
            if self._flying.get(vehicle_id) is flying:  # else its next flight has begun already
                del self._flying[vehicle_id]
                self.sessions.pop(vehicle_id, None)
                self._recorder.end(vehicle_id)
            self.dispatcher.soon()

    async def _report(self, kind: str, text: str, body: dict[str, Any], flight: Flight | None = None) -> None:
        """A fault of ours, for people to see and on record."""
        if kind == "fault":
            self.alarm(text, flight.vehicle_id if flight else None, flight.order_id if flight else None)
        with suppress(StoreUnavailableError):
            await self._ledger.note(Note(FLEET_STREAM, kind, body))

    async def _dispatch_for_ever(self, tasks: asyncio.TaskGroup) -> None:
        if self._ledger.flights:  # vehicles in the air are re-adopted first
            await self._clock.sleep(ADOPTION_FIRST_S)
        await self._dispatching.keep(lambda: self.dispatcher.run(partial(self._start, tasks)))

    async def _beat_for_ever(self) -> None:
        while True:
            self._beat(self._clock.now_s())
            await self._clock.sleep(BEAT_EVERY_S)

    # pads and launches

    def _claims(self) -> list[tuple[str, str]]:
        """From its launch on a flight claims the pads where it ends; every vehicle has its own at home."""
        waiting = (FlightPhase.PREPARING, FlightPhase.READY)
        flights = self._ledger.flights.values()
        return [(f.goal_site, f.vehicle_id) for f in flights if f.phase not in waiting]

    def _free_sites(self, vehicle_id: str) -> frozenset[str]:
        sites = self._world().sites
        book = pad_book({s.site_id: s.pads for s in sites.values()}, self._claims())
        return frozenset(s for s in sites if book.free(s, vehicle_id))

    def _take_launch_slot(self, flight: Flight) -> bool:
        now_s, site = self._clock.now_s(), flight.home_site
        if launch_wait_s(self._last_launch_s.get(site), self._world().numbers.launch_spacing_s, now_s) > 0:
            return False
        if flight.goal_site not in self._free_sites(flight.vehicle_id):
            return False
        self._last_launch_s[site] = now_s
        return True
