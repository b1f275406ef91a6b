"""A session flies one flight: it watches, decides, records, and is the only one that commands its vehicle.

The loop has no memory of its own that matters: what must survive is in the `Flight`, which is written to the store
before a command leaves. After a restart the same loop runs on the stored flight and commands only what is missing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import structlog

from fleet.mavlink.port import VehiclePort
from fleet.runtime.cockpit import Cockpit, Surroundings, brief
from fleet.runtime.deciding import Decider
from fleet.runtime.departure import Departure
from fleet.runtime.drop import Drop
from fleet.runtime.helm import Helm
from fleet.runtime.ledger import Note, order_stream
from fleet.store import StoreUnavailableError
from missions.decision.proposing import answered
from missions.decision.types import CandidateKind, Decision, FlightPhase, Memory, NoReturn
from missions.delivery import AIRBORNE_PHASES, Flight, FlightEvent, Intent, in_air, next_phase, observe
from missions.draw import drawn
from missions.drop import has_strayed, owes_way_home
from missions.options import gross_payload_kg
from missions.orders import OrderEvent, OrderState
from missions.position import reckoned
from missions.snapshot import BoxVerdict, Mode, VehicleState
from missions.vehicles import Vehicle

log = structlog.get_logger()

TICK_S = 0.5
"""how often a session looks when nothing wakes it"""
URGENT_S = 0.1
"""when it should have looked at news: who only ticks makes room"""
ADOPT_WAIT_S = 4.0
"""the slowest stream that a decision needs comes every 2 s; after twice that its absence is a fault"""


class Session:
    """One open flight and its vehicle. `run` returns when the flight is closed."""

    def __init__(self, flight: Flight, vehicle: Vehicle, port: VehiclePort, around: Surroundings) -> None:
        self._cockpit = Cockpit(flight, vehicle, port, around, self.wake)
        self._drop = Drop(self._cockpit)
        self._departure = Departure(self._cockpit)
        self._decider = Decider(self._cockpit)
        self._helm = Helm(self._cockpit, self._drop)
        self._woken = asyncio.Event()
        self._was_flying = flight.phase in AIRBORNE_PHASES

    # what others may ask

    @property
    def flight(self) -> Flight:
        return self._cockpit.flight

    @property
    def vehicle(self) -> Vehicle:
        return self._cockpit.vehicle

    @property
    def decision(self) -> Decision | None:
        return self._cockpit.watch.decision

    @property
    def no_return(self) -> NoReturn | None:
        return self._cockpit.watch.no_return

    def wake(self) -> None:
        """Something about this flight has changed: look now rather than at the next tick."""
        self._woken.set()

    def look_ahead(self) -> None:
        """Finds out what lies closed on its way, as the airspace is now: so urgent is its next look."""
        if self._cockpit.flight.phase in AIRBORNE_PHASES:
            self._decider.look_ahead(self._cockpit.port.state(), self._cockpit.clock.now_s())

    async def operate(self, command: str, actor: str) -> str | None:
        """An operator's request, as an event. Returns why it is refused, or None."""
        flight, state = self._cockpit.flight, self._cockpit.port.state()
        lost = self._cockpit.doubt(state)
        note = Note(order_stream(flight.order_id), "operator_command", {"command": command, "actor": actor})
        if flight.phase not in AIRBORNE_PHASES and flight.phase is not FlightPhase.STOOD_DOWN:
            return f"{flight.vehicle_id} is {flight.phase}, not in flight"
        if not flight.authority and command != "resume":
            return "somebody else flies this vehicle; resume hands it back to Coldwing first"
        if command in ("return", "land") and flight.phase is FlightPhase.LAUNCHING and not in_air(state):
            return f"{flight.vehicle_id} is still on the ground: hold keeps it there"
        if command == "return" and lost:
            return f"its position cannot be believed ({lost}): resume vouches for it, or let it land where it is"
        if command in ("confirm", "decline"):
            return await self._answer(note, confirmed=command == "confirm")
        if command == "resume" and flight.reckoning is not None:
            flight = replace(flight, reckoning=flight.reckoning.forgiven())
        match command:
            case "hold":
                await self._cockpit.set(replace(flight, intent=Intent.HOLD, operator_hold=True), note)
            case "resume" if flight.phase is FlightPhase.STOOD_DOWN:
                phase = flight.resume_phase or FlightPhase.INBOUND
                handed = replace(flight, phase=phase, authority=True, intent=Intent.FLY, held=None, operator_hold=False)
                await self._cockpit.set(replace(handed, expected=frozenset()), note)
            case "resume":
                await self._cockpit.set(replace(flight, intent=Intent.FLY, operator_hold=False), note)
            case "return":
                await self._cockpit.turn_home(note)
            case "land":
                await self._cockpit.set(
                    replace(self._cockpit.turned_back(), intent=Intent.LAND, operator_hold=True), note
                )
        self.wake()
        return None

    async def _answer(self, note: Note, *, confirmed: bool) -> str | None:
        flight = self._cockpit.flight
        memory = answered(flight.memory, confirmed=confirmed)
        if memory is None:
            return f"{flight.vehicle_id} asks nothing: there is no proposal to answer"
        await self._cockpit.set(replace(flight, memory=memory), note)
        self.wake()
        return None

    async def reiced(self, custody: Note) -> None:
        """The station's staff have swapped the pack: plan the rest of the way."""
        flight = replace(
            self._cockpit.flight, phase=next_phase(self._cockpit.flight.phase, FlightEvent.REICED), intent=Intent.WAIT
        )
        # What was chosen before has been done: the rest of the way is decided afresh.
        flight = replace(
            flight, plan=None, held=None, directive=CandidateKind.CONTINUE, expected=frozenset(), memory=Memory()
        )
        await self._cockpit.set(flight, custody, self._cockpit.note("phase", phase=flight.phase.value, event="reiced"))
        self.wake()

    # the loop

    async def run(self) -> None:
        """Flies until the flight is closed. Every pass: observe, decide, steer."""
        try:
            while self._cockpit.flight.is_open:
                news = await self._wait()
                async with self._cockpit.around.looks.take(self._cockpit.due_s(URGENT_S if news else TICK_S)):
                    self._woken.clear()
                try:
                    await self._look()
                except StoreUnavailableError as e:
                    # The vehicle is flown on; what could not be written is in the ledger's memory.
                    log.error("record not written", vehicle=self._cockpit.vehicle.vehicle_id, reason=str(e))
                self._cockpit.around.notify(self._cockpit.vehicle.vehicle_id)
        finally:
            tasks = [t for t in (self._cockpit.watch.step, self._cockpit.watch.refreshing) if t is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self) -> bool:
        """Until something wakes the session, or (False) a tick has passed."""
        try:
            async with asyncio.timeout(self._cockpit.clock.wall_s(TICK_S)):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        now_s = self._cockpit.clock.now_s()
        state = self._cockpit.port.state()
        if state.heard_s is None or state.mode is None or state.armed is None:
            return
        if not self._cockpit.watch.adopted:
            await self._adopt_vehicle(state, now_s)
        if not self._cockpit.watch.adopted:
            return
        self._reckon(state)
        await self._observe(state, now_s)
        if not self._cockpit.flight.is_open:
            return
        if self._cockpit.flight.phase in AIRBORNE_PHASES:
            self._decider.keep_candidates_warm(state, now_s)
            await self._decider.decide(state, now_s)
            await self._after_doubt(state, now_s)
        elif self._cockpit.flight.phase in (FlightPhase.PREPARING, FlightPhase.READY):
            await self._departure.prepare(state, now_s)
        elif self._cockpit.flight.phase is FlightPhase.REICING and self._cockpit.around.auto_reice:
            station = self._cockpit.around.world().sites.get(self._cockpit.flight.goal_site)
            if station is not None and now_s - (self._cockpit.flight.arrived_s or now_s) >= station.reice_s:
                self._cockpit.around.boxes.reiced(self._cockpit.flight.box.box_id, now_s, {})
                await self.reiced(self._cockpit.note("custody", step="reiced", actor="automatic"))
        self._helm.steer(state, now_s)

    # where it is

    def _reckon(self, state: VehicleState) -> None:
        flight = self._cockpit.flight
        if flight.phase in AIRBORNE_PHASES or flight.phase is FlightPhase.STOOD_DOWN:
            reckoning = reckoned(flight.reckoning, state)
            load_kg = gross_payload_kg(flight)
            draw = drawn(flight.draw, self._cockpit.vehicle.type, load_kg, state, airborne=in_air(state))
            if reckoning != flight.reckoning or draw is not flight.draw:
                self._cockpit.flight = replace(flight, reckoning=reckoning, draw=draw)

    async def _after_doubt(self, state: VehicleState, now_s: float) -> None:
        """Its position was wrong and is believed again: what could not be planned or released then is made good."""
        if owes_way_home(self._cockpit.flight) and not self._cockpit.doubt(state):
            await self._cockpit.turn_home()
        elif has_strayed(self._cockpit.flight, state) and self._cockpit.watch.step is None:
            await self._drop.back(state, now_s)

    # a restart

    async def _adopt_vehicle(self, state: VehicleState, now_s: float) -> None:
        """First sight of the vehicle after a start of the controller: say what was found, change nothing."""
        flight = self._cockpit.flight
        self._cockpit.watch.first_heard_s = self._cockpit.watch.first_heard_s or now_s
        whole = None not in (state.mission, state.position, state.landed, state.battery)
        if self._was_flying and not whole and now_s - self._cockpit.watch.first_heard_s < ADOPT_WAIT_S:
            return  # slow streams have not all come yet: that is no reason to stop a vehicle that flies well
        self._cockpit.watch.adopted = True
        if flight.held is not None and not in_air(state) and not (state.armed is not None and state.armed.value):
            # What proved the plan died with the last process: before a start it is proven again.
            self._cockpit.flight = flight = replace(flight, held=None)
        if not self._was_flying:
            return
        if flight.held is not None and flight.held.boot != state.boot:
            # Boots are counted from our own start: the stored proof is of this vehicle's present boot as long as
            # it still reports the same ids.
            mission = state.mission.value if state.mission is not None else None
            if mission is not None and mission.mission_id == flight.held.mission:
                flight = replace(flight, held=replace(flight.held, boot=state.boot))
        mode = state.mode.value.value if state.mode is not None else "unknown"
        if flight.expected:
            flight = replace(flight, expected_since_s=now_s)
        await self._cockpit.set(flight, self._cockpit.note("readopted", mode=mode, phase=flight.phase.value))
        log.info("re-adopted", vehicle=self._cockpit.vehicle.vehicle_id, mode=mode, phase=flight.phase.value)

    # observing

    async def _observe(self, state: VehicleState, now_s: float) -> None:
        flight = self._cockpit.flight
        if flight.phase in AIRBORNE_PHASES and state.throttle_pct is not None:
            self._cockpit.watch.throttle = [*self._cockpit.watch.throttle[-7:], state.throttle_pct.value]
        if flight.phase is FlightPhase.LAUNCHING and flight.intent is Intent.LAND and not in_air(state):
            await self._cockpit.abandon("it had to land during its launch", unassign=not flight.was_airborne)
            return
        if flight.phase is FlightPhase.RELEASING:
            await self._drop.watch(state, now_s)
        else:
            await self._drop.settle(state, now_s)
        event = observe(self._cockpit.flight, state, now_s)
        if event is None:
            if self._cockpit.flight.phase is FlightPhase.LANDED:
                await self._close_after_landing(state)
            return
        await self._take(event, state, now_s)

    async def _take(self, event: FlightEvent, state: VehicleState, now_s: float) -> None:
        flight = replace(self._cockpit.flight, phase=next_phase(self._cockpit.flight.phase, event), arrived_s=now_s)
        note = self._cockpit.note("phase", phase=flight.phase.value, event=event.value, state=brief(state))
        match event:
            case FlightEvent.AIRBORNE:
                first = self._cockpit.ledger.orders[flight.order_id].state is OrderState.READY
                flight = replace(flight, launched_s=now_s, was_airborne=True)
                await self._cockpit.set(flight, note, order_event=OrderEvent.DEPART if first else None)
            case FlightEvent.REACHED_DROP:
                # The mission is complete: PX4 holds here, in mission mode or in HOLD.
                holding = replace(flight, expected=frozenset({Mode.HOLD, Mode.MISSION}), expected_since_s=now_s)
                await self._cockpit.set(holding, note, order_event=OrderEvent.ARRIVE)
            case FlightEvent.AT_STATION:
                await self._cockpit.set(replace(flight, intent=Intent.WAIT, expected=frozenset()), note)
            case FlightEvent.TOUCHED_DOWN:
                await self._cockpit.set(replace(flight, intent=Intent.WAIT, expected=frozenset()), note)
            case _:
                await self._cockpit.set(flight, note)

    async def _close_after_landing(self, state: VehicleState) -> None:
        """On the ground and disarmed: the order ends here if the payload is still on board."""
        flight = self._cockpit.flight
        entry = self._cockpit.ledger.orders[flight.order_id]
        closed = replace(flight, phase=next_phase(flight.phase, FlightEvent.CLOSE))
        place = self._cockpit.where(state)
        note = self._cockpit.note("landed", at=place, payload_on_board=flight.payload_on_board)
        if not flight.payload_on_board or entry.is_final:
            await self._cockpit.set(closed, note)
            return
        if entry.state is OrderState.AT_DROP:
            await self._cockpit.set(flight, order_event=OrderEvent.LEAVE_DROP)
        elif entry.state is OrderState.READY:
            # Somebody took it over during its launch: it is not sent off again without people having a look.
            await self._cockpit.set(flight, order_event=OrderEvent.DEPART)
        verdict = self._cockpit.around.boxes.view(flight.box.box_id, self._cockpit.clock.now_s())
        spoiled = verdict is None or verdict.verdict in (BoxVerdict.SPOILED, BoxVerdict.QUARANTINE, BoxVerdict.UNKNOWN)
        event = OrderEvent.QUARANTINE if spoiled or place != flight.home_site else OrderEvent.COME_BACK
        changes: dict[str, Any] = {}
        if verdict is not None:
            changes = {"verdict": verdict.verdict.value, "verdict_why": verdict.why}
        await self._cockpit.set(closed, note, order_event=event, **changes)
