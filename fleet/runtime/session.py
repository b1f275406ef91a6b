"""A session flies one flight: it watches, decides, records, and is the only one that commands its vehicle.

The loop has no memory of its own that matters: what must survive is in the `Flight`, which is written to the store
before a command leaves. After a restart the same loop runs on the stored flight and commands only what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from fleet.clock import Clock
from fleet.mavlink.port import Outcome, UploadOutcome, VehiclePort, Verdict
from fleet.records.codec import to_json
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.ledger import Ledger, Note, order_stream
from fleet.store import StoreUnavailableError
from geofences.geodesy import distance_m
from missions.decision.engine import decide
from missions.decision.types import (
    Action,
    Candidate,
    CandidateKind,
    Conflict,
    Decision,
    FlightPhase,
    Memory,
    Policy,
    Snapshot,
)
from missions.delivery import (
    AIRBORNE_PHASES,
    EXPECTED_AFTER,
    NEAR_SITE_M,
    Flight,
    FlightEvent,
    HeldPlan,
    Intent,
    ReleaseState,
    Step,
    holds,
    in_air,
    may_be_in,
    may_have_ended,
    next_phase,
    next_step,
    observe,
    release_sign,
)
from missions.options import Situation, World, candidates, energy_end, gross_payload_kg, plan_to
from missions.orders import OrderEvent, OrderState
from missions.plan import Ending, Infeasible, Plan
from missions.routing.conflict import first_conflict, progress
from missions.sites import Site
from missions.snapshot import BoxVerdict, Mode, VehicleState, Wind
from missions.vehicles import Vehicle

log = structlog.get_logger()

PX4_BY_ITSELF = frozenset({Mode.HOLD, Mode.RETURN, Mode.LAND})
"""modes that PX4's failsafes choose while nothing can be commanded: no sign of somebody else"""

TICK_S = 0.5
"""how often a session looks when nothing wakes it"""
PACE_S = 0.2
"""telemetry wakes a session no more often than this: nothing in it changes what is right within a fifth of a second"""
CANDIDATES_EVERY_S = 5.0
"""half of the age at which policy stops believing a candidate's route"""
ADOPT_WAIT_S = 4.0
"""the slowest stream that a decision needs comes every 2 s; after twice that its absence is a fault"""
RETRY_S = 2.0
START_TOLERANCE_M = 15.0
RELEASE_TRIES = 2
LAUNCH_TRIES = 6
"""uploads or starts that may fail on the ground before the order goes back to dispatch"""
PLAN_MAX_AGE_S = 90.0
"""a plan waiting on the ground longer than this is made anew before take-off: wind, times and zones have moved"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session needs of the rest of the controller."""

    clock: Clock
    ledger: Ledger
    boxes: BoxDesk
    world: Callable[[], World]
    policy: Policy
    policy_hash: str
    free_sites: Callable[[str], frozenset[str]]
    take_launch_slot: Callable[[Flight], bool]
    """True, once, when launch spacing at the flight's site and the pad at its goal allow it to go"""
    notify: Callable[[str], None]
    """tells the live stream that this vehicle's view has changed"""
    auto_reice: bool
    """the pack swap is taken as done after the station's time for it: nobody confirms it"""


@dataclass(slots=True)
class _Watch:
    """What a session may forget at a restart."""

    candidates: tuple[Candidate, ...] = ()
    candidates_at_s: float | None = None
    refreshing: asyncio.Task[None] | None = None
    step: asyncio.Task[None] | None = None
    step_kind: Step | None = None
    step_plan_id: str = ""
    retry_at_s: float = 0.0
    failures: int = 0
    decision: Decision | None = None
    decision_key: tuple[Any, ...] = ()
    conflict: Conflict | None = None
    off_route: bool = False
    silent: bool = False
    adopted: bool = False
    first_heard_s: float = 0.0
    throttle: list[float] = field(default_factory=list)


class Session:
    """One open flight and its vehicle. `run` returns when the flight is closed."""

    def __init__(self, flight: Flight, vehicle: Vehicle, port: VehiclePort, around: Surroundings) -> None:
        self.flight = flight
        self.vehicle = vehicle
        self._port = port
        self._around = around
        self._ledger = around.ledger
        self._clock = around.clock
        self._watch = _Watch()
        self._woken = asyncio.Event()
        self._urgent = False
        self._looked_s = 0.0
        self._was_flying = flight.phase in AIRBORNE_PHASES

    # what others may ask

    @property
    def decision(self) -> Decision | None:
        return self._watch.decision

    @property
    def conflict(self) -> Conflict | None:
        return self._watch.conflict

    def wake(self, *, urgent: bool = True) -> None:
        """Something about this flight has changed: look now rather than at the next tick."""
        self._urgent = self._urgent or urgent
        self._woken.set()

    async def operate(self, command: str, actor: str) -> str | None:
        """An operator's request, as an event. Returns why it is refused, or None."""
        flight = self.flight
        note = Note(order_stream(flight.order_id), "operator_command", {"command": command, "actor": actor})
        if flight.phase not in AIRBORNE_PHASES and flight.phase is not FlightPhase.STOOD_DOWN:
            return f"{flight.vehicle_id} is {flight.phase}, not in flight"
        if not flight.authority and command != "resume":
            return "somebody else flies this vehicle; resume hands it back to Coldwing first"
        match command:
            case "hold":
                await self._set(replace(flight, intent=Intent.HOLD, operator_hold=True), note)
            case "resume" if flight.phase is FlightPhase.STOOD_DOWN:
                phase = flight.resume_phase or FlightPhase.INBOUND
                handed = replace(flight, phase=phase, authority=True, intent=Intent.FLY, held=None, operator_hold=False)
                await self._set(replace(handed, expected=frozenset()), note)
            case "resume":
                await self._set(replace(flight, intent=Intent.FLY, operator_hold=False), note)
            case "return":
                await self._turn_home(note)
            case "land":
                await self._set(replace(self._turned_back(), intent=Intent.LAND, operator_hold=True), note)
        self.wake()
        return None

    async def reiced(self, custody: Note) -> None:
        """The station's staff have swapped the pack: plan the rest of the way."""
        flight = replace(self.flight, phase=next_phase(self.flight.phase, FlightEvent.REICED), intent=Intent.WAIT)
        # What was chosen before has been done: the rest of the way is decided afresh.
        flight = replace(
            flight, plan=None, held=None, directive=CandidateKind.CONTINUE, expected=frozenset(), memory=Memory()
        )
        await self._set(flight, custody, self._note("phase", phase=flight.phase.value, event="reiced"))
        self.wake()

    # the loop

    async def run(self) -> None:
        """Flies until the flight is closed. Every pass: observe, decide, steer."""
        try:
            while self.flight.is_open:
                await self._wait()
                try:
                    await self._look()
                except StoreUnavailableError as e:
                    # The vehicle is flown on; what could not be written is in the ledger's memory.
                    log.error("record not written", vehicle=self.vehicle.vehicle_id, reason=str(e))
                self._around.notify(self.vehicle.vehicle_id)
        finally:
            tasks = [t for t in (self._watch.step, self._watch.refreshing) if t is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self) -> None:
        """Until something wakes the session or a tick has passed; only telemetry has to wait for its turn."""
        now_s = self._clock.now_s()
        try:
            async with asyncio.timeout(self._clock.wall_s(TICK_S)):
                await self._woken.wait()
                if not self._urgent:
                    await self._clock.sleep(self._looked_s + PACE_S - now_s)
        except TimeoutError:
            pass
        self._woken.clear()
        self._urgent = False
        self._looked_s = self._clock.now_s()

    async def _look(self) -> None:
        now_s = self._clock.now_s()
        state = self._port.state()
        if state.heard_s is None or state.mode is None or state.armed is None:
            return
        if not self._watch.adopted:
            await self._adopt_vehicle(state, now_s)
        if not self._watch.adopted:
            return
        await self._observe(state, now_s)
        if not self.flight.is_open:
            return
        if self.flight.phase in AIRBORNE_PHASES:
            self._keep_candidates_warm(state, now_s)
            await self._decide(state, now_s)
        elif self.flight.phase in (FlightPhase.PREPARING, FlightPhase.READY):
            await self._prepare(state, now_s)
        elif self.flight.phase is FlightPhase.REICING and self._around.auto_reice:
            station = self._around.world().sites.get(self.flight.goal_site)
            if station is not None and now_s - (self.flight.arrived_s or now_s) >= station.reice_s:
                self._around.boxes.reiced(self.flight.box.box_id, now_s, {})
                await self.reiced(self._note("custody", step="reiced", actor="automatic"))
        self._steer(state, now_s)

    async def _set(self, flight: Flight, *notes: Note, order_event: OrderEvent | None = None, **order: Any) -> None:
        """The flight is changed at once; the call returns when the record of it is durable."""
        self.flight = flight
        events = (order_event,) if order_event is not None else ()
        order_id = flight.order_id if events or order else None
        await self._ledger.write(*notes, flight=flight, order_id=order_id, order_events=events, order_changes=order)

    def _note(self, kind: str, **body: Any) -> Note:
        return Note(order_stream(self.flight.order_id), kind, {"vehicle_id": self.vehicle.vehicle_id, **body})

    def _site(self, site_id: str) -> Site:
        return self._around.world().sites[site_id]

    def _battery_pct(self, state: VehicleState) -> float:
        return state.battery.value.remaining_pct if state.battery is not None else 0.0

    # a restart

    async def _adopt_vehicle(self, state: VehicleState, now_s: float) -> None:
        """First sight of the vehicle after a start of the controller: say what was found, change nothing."""
        flight = self.flight
        self._watch.first_heard_s = self._watch.first_heard_s or now_s
        whole = None not in (state.mission, state.position, state.landed, state.battery)
        if self._was_flying and not whole and now_s - self._watch.first_heard_s < ADOPT_WAIT_S:
            return  # slow streams have not all come yet: that is no reason to stop a vehicle that flies well
        self._watch.adopted = True
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
        await self._set(flight, self._note("readopted", mode=mode, phase=flight.phase.value))
        log.info("re-adopted", vehicle=self.vehicle.vehicle_id, mode=mode, phase=flight.phase.value)

    # observing

    async def _observe(self, state: VehicleState, now_s: float) -> None:
        flight = self.flight
        if flight.phase in AIRBORNE_PHASES and state.throttle_pct is not None:
            self._watch.throttle = [*self._watch.throttle[-7:], state.throttle_pct.value]
        if flight.phase is FlightPhase.RELEASING:
            await self._watch_release(state, now_s)
        event = observe(self.flight, state, now_s)
        if event is None:
            if self.flight.phase is FlightPhase.LANDED:
                await self._close_after_landing(state)
            return
        await self._take(event, state, now_s)

    async def _take(self, event: FlightEvent, state: VehicleState, now_s: float) -> None:
        flight = replace(self.flight, phase=next_phase(self.flight.phase, event), arrived_s=now_s)
        note = self._note("phase", phase=flight.phase.value, event=event.value, state=_brief(state))
        match event:
            case FlightEvent.AIRBORNE:
                first = self._ledger.orders[flight.order_id].state is OrderState.READY
                flight = replace(flight, launched_s=now_s, was_airborne=True)
                await self._set(flight, note, order_event=OrderEvent.DEPART if first else None)
            case FlightEvent.REACHED_DROP:
                # The mission is complete: PX4 holds here, in mission mode or in HOLD.
                holding = replace(flight, expected=frozenset({Mode.HOLD, Mode.MISSION}), expected_since_s=now_s)
                await self._set(holding, note, order_event=OrderEvent.ARRIVE)
            case FlightEvent.AT_STATION:
                await self._set(replace(flight, intent=Intent.WAIT, expected=frozenset()), note)
            case FlightEvent.TOUCHED_DOWN:
                await self._set(replace(flight, intent=Intent.WAIT, expected=frozenset()), note)
            case _:
                await self._set(flight, note)

    async def _close_after_landing(self, state: VehicleState) -> None:
        """On the ground and disarmed: the order ends here if the payload is still on board."""
        flight = self.flight
        entry = self._ledger.orders[flight.order_id]
        closed = replace(flight, phase=next_phase(flight.phase, FlightEvent.CLOSE))
        place = self._where(state)
        note = self._note("landed", at=place, payload_on_board=flight.payload_on_board)
        if not flight.payload_on_board or entry.is_final:
            await self._set(closed, note)
            return
        if entry.state is OrderState.AT_DROP:
            await self._set(flight, order_event=OrderEvent.LEAVE_DROP)
        verdict = self._around.boxes.view(flight.box.box_id, self._clock.now_s())
        spoiled = verdict is None or verdict.verdict in (BoxVerdict.SPOILED, BoxVerdict.QUARANTINE, BoxVerdict.UNKNOWN)
        event = OrderEvent.QUARANTINE if spoiled or place != flight.home_site else OrderEvent.COME_BACK
        changes: dict[str, Any] = {}
        if verdict is not None:
            changes = {"verdict": verdict.verdict.value, "verdict_why": verdict.why}
        await self._set(closed, note, order_event=event, **changes)

    def _where(self, state: VehicleState) -> str:
        """The site it stands at, or its coordinates."""
        if state.position is None:
            return "unknown"
        here = state.position.value.point
        for site in self._around.world().sites.values():
            if distance_m(here, site.position) <= NEAR_SITE_M:
                return site.site_id
        return f"{here.lat_deg:.6f},{here.lon_deg:.6f}"

    # before take-off

    async def _prepare(self, state: VehicleState, now_s: float) -> None:
        flight = self.flight
        entry = self._ledger.orders[flight.order_id]
        if entry.state is OrderState.CANCELLED or entry.is_final:
            await self._abandon("the order is over", unassign=False)
            return
        if self._watch.failures >= LAUNCH_TRIES:
            await self._abandon(
                "the vehicle did not take the plan or would not start", unassign=not flight.was_airborne
            )
            return
        if entry.state not in (OrderState.READY, OrderState.IN_FLIGHT):
            return  # still being loaded
        plan = flight.plan
        world = self._around.world()
        stale = (
            plan is None or plan.airspace_version != world.airspace.version or now_s - plan.depart_s > PLAN_MAX_AGE_S
        )
        if stale and self._watch.step is None:
            await self._plan_departure(state, now_s, world)
            return
        if plan is not None and flight.held is not None and flight.held.plan_id == plan.plan_id:
            if flight.phase is FlightPhase.PREPARING:
                verified = replace(flight, phase=next_phase(flight.phase, FlightEvent.VERIFIED))
                await self._set(verified, self._note("phase", phase=verified.phase.value, held=to_json(flight.held)))
            elif self._around.take_launch_slot(flight) and (state.health_ok is None or state.health_ok.value):
                launched = replace(flight, phase=next_phase(flight.phase, FlightEvent.LAUNCH), intent=Intent.FLY)
                await self._set(
                    replace(launched, launched_s=now_s), self._note("phase", phase=launched.phase.value, event="launch")
                )

    async def _plan_departure(self, state: VehicleState, now_s: float, world: World) -> None:
        flight = self.flight
        order = self._ledger.orders[flight.order_id].order
        if state.position is None or state.battery is None:
            return
        here = state.position.value
        start_site = self._where(state)
        ground = self._site(start_site).elevation_amsl_m if start_site in world.sites else here.alt_amsl_m
        made = plan_to(
            world,
            self.vehicle,
            plan_id=f"{flight.flight_id}-out-{now_s:.1f}",
            start=here.point,
            start_amsl_m=ground,
            take_off=True,
            goal=self._site(order.destination_site),
            ending=Ending.HOLD_AT_DROP,
            home=self._site(flight.home_site),
            payload_kg=gross_payload_kg(flight),
            battery_pct=self._battery_pct(state),
            wind=state.wind.value if state.wind is not None else Wind(0.0, 0.0),
            layer_agl_m=flight.layer_agl_m,
            depart_s=now_s,
        )
        if isinstance(made, Infeasible):
            self._watch.failures += 1
            await self._set(flight, self._note("infeasible", reasons=[to_json(r) for r in made.reasons]))
            if not flight.was_airborne:
                await self._abandon(str(made), unassign=True)
            return
        await self._set(
            replace(
                flight,
                plan=made,
                goal_site=made.goal_site,
                held=None,
                intent=Intent.PREPARE,
                phase=FlightPhase.PREPARING,
            ),
            self._note("planned", plan=to_json(made)),
        )

    async def _abandon(self, why: str, *, unassign: bool) -> None:
        """Given up on the ground. An order that has not flown yet goes back to dispatch."""
        phase = self.flight.phase
        if phase is FlightPhase.LAUNCHING or (phase in (FlightPhase.PREPARING, FlightPhase.READY)):
            flight = replace(self.flight, phase=next_phase(phase, FlightEvent.ABANDON), intent=Intent.WAIT)
            note = self._note("abandoned", why=why)
            entry = self._ledger.orders[flight.order_id]
            back = unassign and entry.state in (OrderState.ASSIGNED, OrderState.LOADING, OrderState.READY)
            if back:
                changes: dict[str, Any] = {"flight_id": None, "vehicle_id": None, "box_id": None}
                await self._set(flight, note, order_event=OrderEvent.UNASSIGN, **changes)
            else:
                await self._set(flight, note)

    # deciding

    def _keep_candidates_warm(self, state: VehicleState, now_s: float) -> None:
        watch = self._watch
        plan = self.flight.plan
        if plan is None or state.position is None:
            return
        world = self._around.world()
        before = watch.conflict
        watch.conflict = first_conflict(
            plan,
            state.position.value.point,
            state.position.value.alt_amsl_m,
            world.airspace,
            world.authorised,
            world.terrain,
            now_s,
        )
        due = watch.candidates_at_s is None or now_s - watch.candidates_at_s >= CANDIDATES_EVERY_S
        here = state.position.value
        off_m = progress(plan, here.point, here.alt_amsl_m).cross_track_m if holds(self.flight, state) else 0.0
        watch.off_route = off_m > self._around.policy.conformance_m
        if (due or (watch.conflict is not None and before is None)) and watch.refreshing is None:
            situation = Situation(
                flight=self.flight,
                order=self._ledger.orders[self.flight.order_id].order,
                vehicle=self.vehicle,
                state=state,
                world=world,
                free_sites=self._around.free_sites(self.vehicle.vehicle_id),
                reroute=watch.conflict is not None or off_m > 0.5 * self._around.policy.conformance_m,
                outlook=self._around.boxes.outlook(self.flight.box.box_id, now_s),
                now_s=now_s,
            )
            watch.refreshing = asyncio.create_task(
                self._refresh(situation), name=f"candidates {situation.flight.flight_id}"
            )

    async def _refresh(self, situation: Situation) -> None:
        # Not in a thread: PROJ's objects must stay in the one that made them, and a route takes milliseconds.
        try:
            found = []
            for candidate in candidates(situation):
                found.append(candidate)
                await asyncio.sleep(0)
            if situation.flight.plan is self.flight.plan:
                self._watch.candidates = tuple(found)
                self._watch.candidates_at_s = situation.now_s
        except Exception:
            log.exception("candidates failed", vehicle=self.vehicle.vehicle_id)
        finally:
            self._watch.refreshing = None
            self.wake()

    def _snapshot(self, state: VehicleState, now_s: float) -> Snapshot | None:
        flight, watch = self.flight, self._watch
        if flight.plan is None:
            return None
        expected = None
        if flight.expected and state.mode is not None and not may_have_ended(flight, state, state.mode.value):
            settled = may_be_in(flight, state, state.mode.value)
            expected = state.mode.value.value if settled else sorted(flight.expected)[0].value
        here = state.position.value if state.position is not None else None
        held = flight.held is not None and holds(flight, state)
        at = progress(flight.plan, here.point, here.alt_amsl_m) if here is not None and held else None
        home = next((c.energy_end_pct for c in watch.candidates if c.site_id == flight.home_site), None)
        if home is None and flight.goal_site == flight.home_site:
            home = energy_end(flight.plan, state, self.vehicle.type.battery_wh)
        return Snapshot(
            phase=flight.phase,
            order=self._ledger.orders[flight.order_id].order,
            plan=flight.plan,
            vehicle=state,
            box=self._around.boxes.view(flight.box.box_id, now_s) if flight.payload_on_board else None,
            candidates=watch.candidates,
            candidates_at_s=watch.candidates_at_s,
            conflict=watch.conflict,
            cross_track_m=at.cross_track_m if at is not None else None,
            home_end_pct=home,
            expected_mode=expected,
            authority=flight.authority,
            dispatched_at_s=flight.expected_since_s,
            airspace_version=self._around.world().airspace.version,
            payload_aboard=flight.payload_on_board,
            held_boot=flight.held.boot if flight.held is not None else None,
            plan_held=holds(flight, state) if flight.held is not None else None,
        )

    async def _decide(self, state: VehicleState, now_s: float) -> None:
        snapshot = self._snapshot(state, now_s)
        if snapshot is None:
            return
        before = self.flight.memory
        memory, decision = decide(before, snapshot, self._around.policy, now_s)
        self._watch.silent = decision.link_silent
        key = _decision_key(decision)
        changed = key != self._watch.decision_key
        self._watch.decision, self._watch.decision_key = decision, key
        flight = replace(self.flight, memory=memory)
        if decision.link_silent and flight.expected and not flight.expected >= PX4_BY_ITSELF:
            flight = replace(flight, expected=flight.expected | PX4_BY_ITSELF)
        if not changed:
            self.flight = flight
            return
        note = self._note(
            "decision",
            decision=to_json(decision),
            memory=to_json(before),
            snapshot=to_json(snapshot),
            policy_hash=self._around.policy_hash,
        )
        flight = self._adopt(flight, decision)
        box = snapshot.box
        verdict: dict[str, Any] = {}
        if box is not None:
            verdict = {"verdict": box.verdict.value, "verdict_why": box.why}
        await self._set(flight, note, decision=decision.sentence, **verdict)

    def _adopt(self, flight: Flight, decision: Decision) -> Flight:
        """The flight as the decision wants it."""
        candidate = decision.candidate
        if decision.stand_down:
            if flight.phase is FlightPhase.STOOD_DOWN:
                return flight
            phase = next_phase(flight.phase, FlightEvent.TAKEOVER)
            return replace(flight, phase=phase, resume_phase=flight.phase, authority=False, intent=Intent.WATCH)
        if decision.link_silent or flight.phase is FlightPhase.LAUNCHING:
            return flight
        if candidate is not None and self._is_new(flight, candidate):
            return self._fly_candidate(flight, candidate)
        match decision.action:
            case Action.HOLD:
                return replace(flight, intent=Intent.HOLD)
            case Action.LAND_NOW if flight.intent is not Intent.LAND:
                return replace(self._turned_back(flight), intent=Intent.LAND)
            case Action.RETURN if candidate is None and flight.goal_site != flight.home_site:
                return replace(self._turned_back(flight), intent=Intent.RETURN)
            case Action.CONTINUE if flight.intent is Intent.HOLD and not flight.operator_hold:
                return replace(flight, intent=Intent.FLY)
        return flight

    def _is_new(self, flight: Flight, candidate: Candidate) -> bool:
        match candidate.kind:
            case CandidateKind.CONTINUE:
                return False
            case CandidateKind.REROUTE:
                return self._watch.conflict is not None or self._watch.off_route
            case _:
                return (flight.directive, flight.goal_site) != (candidate.kind, candidate.site_id)

    def _fly_candidate(self, flight: Flight, candidate: Candidate) -> Flight:
        if candidate.kind in (CandidateKind.RETURN, CandidateKind.ALTERNATE):
            flight = self._turned_back(flight)
        directive = flight.directive if candidate.kind is CandidateKind.REROUTE else candidate.kind
        self._watch.candidates, self._watch.candidates_at_s = (), None
        return replace(
            flight,
            plan=candidate.plan,
            goal_site=candidate.plan.goal_site,
            directive=directive,
            held=None,
            intent=Intent.FLY,
            operator_hold=False,
        )

    def _turned_back(self, flight: Flight | None = None) -> Flight:
        flight = flight or self.flight
        if flight.phase in (FlightPhase.OUTBOUND, FlightPhase.AT_DROP):
            return replace(flight, phase=next_phase(flight.phase, FlightEvent.TURN_BACK))
        if flight.phase is FlightPhase.RELEASING:
            return replace(flight, phase=next_phase(flight.phase, FlightEvent.KEPT))
        return flight

    async def _turn_home(self, *notes: Note, order_event: OrderEvent | None = None, **order: Any) -> None:
        """Home from here by a planned route, or by PX4's own return if there is none.

        What led to it is written together with it: a restart must not find a flight that is inbound without a way home.
        """
        flight, state, now_s = self._turned_back(), self._port.state(), self._clock.now_s()
        plan_id = f"{flight.flight_id}-home-{now_s:.1f}"
        made = self._plan_from_here(state, self._site(flight.home_site), Ending.LAND, plan_id, now_s)
        if isinstance(made, Plan):
            flight = replace(
                flight,
                plan=made,
                held=None,
                intent=Intent.FLY,
                goal_site=flight.home_site,
                directive=CandidateKind.RETURN,
            )
            notes = (*notes, self._note("planned", plan=to_json(made)))
        else:
            why = str(made) if made is not None else "no position"
            flight = replace(flight, intent=Intent.RETURN, goal_site=flight.home_site, directive=CandidateKind.RETURN)
            notes = (*notes, self._note("return_by_px4", why=why))
        self._watch.candidates, self._watch.candidates_at_s = (), None
        await self._set(replace(flight, operator_hold=False), *notes, order_event=order_event, **order)

    def _plan_from_here(
        self, state: VehicleState, goal: Site, ending: Ending, plan_id: str, now_s: float
    ) -> Plan | Infeasible | None:
        """A plan in the air from the present position; None without one."""
        if state.position is None:
            return None
        return plan_to(
            self._around.world(),
            self.vehicle,
            plan_id=plan_id,
            start=state.position.value.point,
            start_amsl_m=state.position.value.alt_amsl_m,
            take_off=False,
            goal=goal,
            ending=ending,
            home=self._site(self.flight.home_site),
            payload_kg=gross_payload_kg(self.flight),
            battery_pct=self._battery_pct(state),
            wind=state.wind.value if state.wind is not None else Wind(0.0, 0.0),
            layer_agl_m=self.flight.layer_agl_m,
            depart_s=now_s,
        )

    # the drop

    async def _watch_release(self, state: VehicleState, now_s: float) -> None:
        flight = self.flight
        if flight.release in (ReleaseState.NONE, ReleaseState.COMMANDED) and self._watch.step is not None:
            return
        throttle = state.throttle_pct.value if state.throttle_pct is not None else None
        view = self._around.boxes.view(flight.box.box_id, now_s)
        docked = None
        if view is not None and view.sample is not None and view.sample.at_s > (flight.release_at_s or 0.0):
            docked = view.sample.value.docked
        sign = release_sign(flight, throttle, self.vehicle.type.empty_mass_kg, docked, now_s)
        match sign:
            case None:
                return
            case ReleaseState.CONFIRMED | ReleaseState.UNCONFIRMED:
                await self._released(sign, state)
            case ReleaseState.FAILED if flight.release_tries < RELEASE_TRIES:
                # Not blind: the mount's contact says that the box is still there.
                again = replace(flight, release=ReleaseState.NONE, release_at_s=None)
                await self._set(again, self._note("alarm", text="the box is still docked after the release: once more"))
            case ReleaseState.FAILED:
                kept = replace(flight, phase=next_phase(flight.phase, FlightEvent.KEPT), release=sign)
                self.flight = kept
                text = "the gripper did not let the box go; it is carried home, not tried again"
                await self._turn_home(self._note("alarm", text=text), order_event=OrderEvent.LEAVE_DROP)
            case ReleaseState.UNKNOWN:
                if flight.release is not sign:
                    text = "no sign whether the box was released: an operator must look; it is not repeated blindly"
                    await self._set(replace(flight, release=sign), self._note("alarm", text=text))

    async def _released(self, sign: ReleaseState, state: VehicleState) -> None:
        flight = self.flight
        view = self._around.boxes.view(flight.box.box_id, self._clock.now_s())
        verdict: dict[str, Any] = {}
        if view is not None:
            verdict = {"verdict": view.verdict.value, "verdict_why": view.why}
        note = self._note("custody", step="release", confirmed=sign.value, state=_brief(state), **verdict)
        self.flight = replace(
            flight, phase=next_phase(flight.phase, FlightEvent.RELEASED), release=sign, payload_on_board=False
        )
        await self._turn_home(note, order_event=OrderEvent.RELEASE, box_away=True, **verdict)

    async def _begin_release(self, state: VehicleState, now_s: float) -> None:
        """At the drop, still and in authority: the release is recorded, then commanded once."""
        flight = self.flight
        view = self._around.boxes.view(flight.box.box_id, now_s)
        if view is not None and view.verdict in (BoxVerdict.SPOILED, BoxVerdict.QUARANTINE):
            text = f"not released at the drop: {view.why}"
            await self._turn_home(self._note("alarm", text=text), order_event=OrderEvent.LEAVE_DROP)
            return
        throttles = self._watch.throttle
        flight = replace(
            flight,
            phase=next_phase(flight.phase, FlightEvent.RELEASE_COMMANDED),
            intent=Intent.RELEASE,
            hover_throttle_pct=sum(throttles) / len(throttles) if throttles else None,
        )
        await self._set(flight, self._note("phase", phase=flight.phase.value, state=_brief(state)))

    # steering

    def _steer(self, state: VehicleState, now_s: float) -> None:
        """Starts the one command that is missing; a command that no longer fits the intent is broken off."""
        flight, watch = self.flight, self._watch
        if self._watch.silent and flight.phase in AIRBORNE_PHASES:
            return
        if state.mode is not None and not may_be_in(flight, state, state.mode.value):
            return  # somebody else may have taken over: the fault table decides, no command goes out meanwhile
        step = next_step(flight, state)
        plan_id = flight.plan.plan_id if flight.plan is not None else ""
        if watch.step is not None:
            if _must_break_off(watch.step_kind, watch.step_plan_id, step, plan_id):
                watch.step.cancel()
            return
        if step is None:
            if flight.phase is FlightPhase.AT_DROP and flight.intent is Intent.FLY:
                watch.step_kind, watch.step_plan_id = None, plan_id
                watch.step = asyncio.create_task(self._run_release(state, now_s), name=f"release {flight.flight_id}")
            return
        if now_s < watch.retry_at_s:
            return
        watch.step_kind, watch.step_plan_id = step, plan_id
        watch.step = asyncio.create_task(self._carry_out(step), name=f"{step} {flight.flight_id}")

    async def _run_release(self, state: VehicleState, now_s: float) -> None:
        try:
            await self._begin_release(state, now_s)
        finally:
            self._watch.step = None
            self.wake()

    async def _carry_out(self, step: Step) -> None:
        """Records the command, sends it, records the answer."""
        try:
            await self._command(step)
        except StoreUnavailableError as e:
            log.error("command not recorded, not sent", step=step.value, reason=str(e))
            self._watch.retry_at_s = self._clock.now_s() + RETRY_S
        except Exception:
            log.exception("command failed", step=step.value, vehicle=self.vehicle.vehicle_id)
            self._watch.retry_at_s = self._clock.now_s() + RETRY_S
        finally:
            self._watch.step = None
            self.wake()

    def _from_where_it_holds(self) -> None:
        """The vehicle has come to rest past the place its new plan begins at: the plan is made anew from here."""
        flight, state = self.flight, self._port.state()
        plan, now_s = flight.plan, self._clock.now_s()
        if plan is None or plan.take_off or state.position is None:
            return
        if distance_m(state.position.value.point, plan.waypoints[0].position) <= START_TOLERANCE_M:
            return
        made = self._plan_from_here(state, self._site(flight.goal_site), plan.ending, f"{plan.plan_id}b", now_s)
        if isinstance(made, Plan):
            self.flight = replace(flight, plan=made)
            self._watch.step_plan_id = made.plan_id

    async def _command(self, step: Step) -> None:
        if step is Step.UPLOAD and in_air(self._port.state()):
            self._from_where_it_holds()
        plan = self.flight.plan
        body = {"step": step.value, "plan_id": plan.plan_id if plan is not None else None}
        before = self.flight
        if step is Step.RELEASE:
            now_s, tries = self._clock.now_s(), before.release_tries + 1
            before = replace(before, release=ReleaseState.COMMANDED, release_at_s=now_s, release_tries=tries)
        elif before.expected:
            # Until the answer is known the vehicle may be in the old mode or the new one, also after a restart.
            before = replace(before, expected=before.expected | EXPECTED_AFTER.get(step, frozenset()))
        await self._set(before, self._note("command", **body))
        outcome = await self._send(step, plan)
        now_s = self._clock.now_s()
        flight = self.flight
        if outcome.verdict is Verdict.DONE:
            self._watch.failures, self._watch.retry_at_s = 0, now_s
            if isinstance(outcome, UploadOutcome) and outcome.ids is not None and plan is not None:
                ids = outcome.ids
                boot = self._port.state().boot
                flight = replace(flight, held=HeldPlan(plan.plan_id, ids.mission, ids.fence, ids.rally, boot))
            elif step is Step.RELEASE:
                flight = replace(flight, release=ReleaseState.ACKNOWLEDGED)
            else:
                flight = replace(flight, expected=EXPECTED_AFTER[step], expected_since_s=now_s)
        else:
            self._watch.failures += 1
            self._watch.retry_at_s = now_s + RETRY_S * min(8, self._watch.failures)
            log.warning("command not done", vehicle=flight.vehicle_id, step=step.value, outcome=outcome.text)
        answer = {**body, "verdict": outcome.verdict.value, "text": outcome.text}
        if step is Step.UPLOAD and flight.held is not None:
            answer["held"] = to_json(flight.held)
        await self._set(flight, self._note("outcome", **answer))
        if flight.phase is FlightPhase.LAUNCHING and self._watch.failures >= LAUNCH_TRIES:
            await self._abandon(f"would not start: {outcome.text}", unassign=not flight.was_airborne)

    async def _send(self, step: Step, plan: Plan | None) -> Outcome | UploadOutcome:
        match step:
            case Step.UPLOAD:
                assert plan is not None
                return await self._port.upload(plan, with_fence_and_rally=not in_air(self._port.state()))
            case Step.START:
                return await self._port.start_mission()
            case Step.FLY:
                return await self._port.fly_mission()
            case Step.HOLD:
                return await self._port.hold()
            case Step.RETURN:
                return await self._port.return_home()
            case Step.LAND:
                return await self._port.land()
            case Step.RELEASE:
                return await self._port.release()


def _must_break_off(running: Step | None, running_plan_id: str, wanted: Step | None, plan_id: str) -> bool:
    """An upload of a plan no longer wanted, or a flight command that a milder or stronger one has overtaken.

    A HOLD is left to finish where an upload is wanted next, and a release is never broken off: it was sent once.
    """
    if running is Step.UPLOAD:
        return plan_id != running_plan_id or wanted in (Step.LAND, Step.RETURN)
    return (
        wanted in (Step.HOLD, Step.LAND, Step.RETURN)
        and running in (Step.START, Step.FLY, Step.HOLD, Step.RETURN)
        and (running is not wanted)
    )


def _decision_key(decision: Decision) -> tuple[Any, ...]:
    """What makes a decision another one: not its numbers, which move with every sample."""
    candidate = decision.candidate
    return (
        decision.action,
        decision.cause,
        (candidate.kind, candidate.site_id) if candidate is not None else None,
        tuple(f.name for f in decision.faults),
        decision.stand_down,
        decision.link_silent,
    )


def _brief(state: VehicleState) -> Mapping[str, Any]:
    """Where the vehicle was, for the record."""
    position = state.position.value if state.position is not None else None
    return {
        "lat_deg": position.point.lat_deg if position else None,
        "lon_deg": position.point.lon_deg if position else None,
        "alt_amsl_m": position.alt_amsl_m if position else None,
        "mode": state.mode.value.value if state.mode is not None else None,
        "battery_pct": state.battery.value.remaining_pct if state.battery is not None else None,
    }
