"""What the parts of a session share: the flight, its vehicle, and the ways to change the flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.port import Outcome, VehiclePort
from fleet.records.codec import to_json
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.ledger import Ledger, Note, order_stream
from fleet.runtime.turns import Turns
from geofences.geodesy import distance_m
from missions.decision.types import Candidate, CandidateKind, Conflict, Decision, FlightPhase, NoReturn, Policy
from missions.delivery import NEAR_SITE_M, Flight, FlightEvent, Intent, Step, next_phase
from missions.draw import left_pct
from missions.options import Situation, gross_payload_kg, ground_velocity
from missions.orders import OrderEvent, OrderState
from missions.plan import Ending, Infeasible, Plan
from missions.position import doubt
from missions.sites import Site, SiteKind
from missions.snapshot import VehicleState, Wind
from missions.vehicles import Vehicle
from missions.world import World, plan_to

CANDIDATES_EVERY_S = 7.5
"""well below the 10 s at which policy stops believing a candidate's route"""
FAR_M = 10_000.0
"""a closed zone this far ahead presses as little as none"""


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
    check: Callable[[str], Awaitable[Outcome]]
    """compares the vehicle with its contract, before a flight"""
    auto_reice: bool
    """the pack swap is taken as done after the station's time for it: nobody confirms it"""
    looks: Turns
    """who decides next: commands leave and the store writes between two"""
    plans: Turns
    """who plans next"""
    operator_heard_s: Callable[[], float | None]
    """when an operator who could answer a proposal was last known to be connected"""


@dataclass(slots=True)
class Watch:
    """What a session may forget at a restart."""

    candidates: tuple[Candidate, ...] = ()
    candidates_at_s: float | None = None
    situation: Situation | None = None
    """that the candidates were made for"""
    no_return: NoReturn | None = None
    refreshing: asyncio.Task[None] | None = None
    asked_for: tuple[int, bool] = (0, False)
    """airspace version that the newest candidates are made for, and whether another route is among them"""
    step: asyncio.Task[None] | None = None
    step_kind: Step | None = None
    step_plan_id: str = ""
    retry_at_s: float = 0.0
    failures: int = 0
    failed: str = ""
    """what the newest of them was"""
    decision: Decision | None = None
    decision_key: tuple[Any, ...] = ()
    conflict: Conflict | None = None
    off_route: bool = False
    silent: bool = False
    adopted: bool = False
    barred: str | None = None
    """why the box must not leave the ground, as told last"""
    first_heard_s: float = 0.0
    throttle: list[float] = field(default_factory=list)

    def keep(self, found: tuple[Candidate, ...], situation: Situation) -> None:
        self.candidates, self.candidates_at_s, self.situation = found, situation.now_s, situation


class Cockpit:
    """One open flight. `flight` is replaced, never written to, and every replacement goes through `set`."""

    def __init__(
        self, flight: Flight, vehicle: Vehicle, port: VehiclePort, around: Surroundings, wake: Callable[[], None]
    ) -> None:
        self.flight = flight
        self.vehicle = vehicle
        self.port = port
        self.around = around
        self.ledger = around.ledger
        self.clock = around.clock
        self.watch = Watch()
        self._plan_on_record = flight.plan
        self.wake = wake

    async def set(self, flight: Flight, *notes: Note, order_event: OrderEvent | None = None, **order: Any) -> None:
        """The flight is changed at once; the call returns when the record of it is durable.

        A plan that it has not flown by before is in the record from here on, once and whole.
        """
        if flight.plan is not None and flight.plan is not self._plan_on_record:
            if not flight.plan.checked_by:
                raise ValueError(f"{flight.plan.plan_id} is a draft that nobody has checked: it must not be flown")
            notes = (*notes, self.note("planned", plan=to_json(flight.plan)))
            self._plan_on_record = flight.plan
        self.flight = flight
        events = (order_event,) if order_event is not None else ()
        order_id = flight.order_id if events or order else None
        await self.ledger.write(*notes, flight=flight, order_id=order_id, order_events=events, order_changes=order)

    def note(self, kind: str, **body: Any) -> Note:
        return Note(order_stream(self.flight.order_id), kind, {"vehicle_id": self.vehicle.vehicle_id, **body})

    def due_s(self, within_s: float) -> float:
        """When what is to be done within a time must be done: the sooner, the nearer the first closed zone ahead."""
        conflict = self.watch.conflict
        near = 1.0 if conflict is None else min(1.0, conflict.distance_ahead_m / FAR_M)
        return self.clock.now_s() + near * within_s

    def site(self, site_id: str) -> Site:
        return self.around.world().sites[site_id]

    def battery_pct(self, state: VehicleState) -> float:
        return left_pct(self.flight.draw, state) if state.battery is not None else 0.0

    def doubt(self, state: VehicleState) -> str:
        """Why its position cannot be believed; empty when it can."""
        return doubt(self.flight.reckoning, state)

    def where(self, state: VehicleState) -> str:
        """The site it stands at, or its coordinates."""
        if state.position is None or self.doubt(state):
            return "unknown"
        here = state.position.value.point
        for site in self.around.world().sites.values():
            if distance_m(here, site.position) <= NEAR_SITE_M:
                return site.site_id
        return f"{here.lat_deg:.6f},{here.lon_deg:.6f}"

    def turned_back(self, flight: Flight | None = None) -> Flight:
        flight = flight or self.flight
        if flight.phase in (FlightPhase.OUTBOUND, FlightPhase.AT_DROP):
            return replace(flight, phase=next_phase(flight.phase, FlightEvent.TURN_BACK))
        if flight.phase is FlightPhase.RELEASING:
            return replace(flight, phase=next_phase(flight.phase, FlightEvent.KEPT))
        return flight

    async def turn_home(self, *notes: Note, order_event: OrderEvent | None = None, **order: Any) -> None:
        """Home from here by a planned route; where there is none, to the alternate that is reached first, else by PX4's
        own return.

        While its position cannot be believed it holds: the way is planned when it can (`owes_way_home`).

        What led to it is written together with it: a restart must not find a flight that is inbound without a way home.
        """
        flight, state, now_s = replace(self.turned_back(), may_deliver=False), self.port.state(), self.clock.now_s()
        home = flight.home_site
        lost = self.doubt(state)
        made = self._way_down(state, home, f"{flight.flight_id}-home-{now_s:.1f}", now_s) if not lost else None
        elsewhere = self._elsewhere(state, now_s) if not lost and not isinstance(made, Plan) else None
        if lost:
            flight = replace(flight, intent=Intent.HOLD, goal_site=home, directive=CandidateKind.RETURN)
            notes = (*notes, self.note("way_home_waits", why=lost))
        elif isinstance(made, Plan):
            flight = self._bound_for(flight, made, CandidateKind.RETURN)
        elif elsewhere is not None:
            flight = self._bound_for(flight, elsewhere, CandidateKind.ALTERNATE)
            text = f"no way home ({made or 'no position'}): it lands at {elsewhere.goal_site}"
            notes = (*notes, self.note("alarm", text=text))
        else:
            flight = replace(flight, intent=Intent.RETURN, goal_site=home, directive=CandidateKind.RETURN)
            notes = (*notes, self.note("return_by_px4", why=str(made) if made is not None else "no position"))
        self.forget_ways()
        await self.set(replace(flight, operator_hold=False), *notes, order_event=order_event, **order)

    async def return_by_px4(self, why: str) -> None:
        """PX4 flies straight, past whatever lies there; but it knows a place to land, and holding leads to none."""
        flight = self.turned_back()
        flight = replace(flight, intent=Intent.RETURN, goal_site=flight.home_site, directive=CandidateKind.RETURN)
        self.forget_ways()
        self.watch.failures = 0
        await self.set(replace(flight, operator_hold=False), self.note("return_by_px4", why=why))

    def forget_ways(self) -> None:
        self.watch.candidates, self.watch.candidates_at_s, self.watch.no_return = (), None, None

    def _bound_for(self, flight: Flight, plan: Plan, why: CandidateKind) -> Flight:
        return replace(flight, plan=plan, held=None, intent=Intent.FLY, goal_site=plan.goal_site, directive=why)

    def _elsewhere(self, state: VehicleState, now_s: float) -> Plan | None:
        """The way to the alternate that is reached first."""
        free, sites = self.around.free_sites(self.vehicle.vehicle_id), self.around.world().sites.values()
        goals = [s.site_id for s in sites if s.kind is SiteKind.ALTERNATE and s.site_id in free]
        made = [self._way_down(state, g, f"{self.flight.flight_id}-{g}-{now_s:.1f}", now_s) for g in goals]
        return min((p for p in made if isinstance(p, Plan)), key=lambda p: p.arrive_s, default=None)

    def _way_down(self, state: VehicleState, site_id: str, plan_id: str, now_s: float) -> Plan | Infeasible | None:
        return self.plan_from_here(state, self.site(site_id), Ending.LAND, plan_id, now_s)

    def plan_from_here(
        self, state: VehicleState, goal: Site, ending: Ending, plan_id: str, now_s: float
    ) -> Plan | Infeasible | None:
        """A plan in the air from the present position; None without one that can be believed."""
        if state.position is None or self.doubt(state):
            return None
        return plan_to(
            self.around.world(),
            self.vehicle,
            plan_id=plan_id,
            start=state.position.value.point,
            start_amsl_m=state.position.value.alt_amsl_m,
            take_off=False,
            goal=goal,
            ending=ending,
            home=self.site(self.flight.home_site),
            payload_kg=gross_payload_kg(self.flight),
            battery_pct=self.battery_pct(state),
            wind=state.wind.value if state.wind is not None else Wind(0.0, 0.0),
            layer_agl_m=self.flight.layer_agl_m,
            depart_s=now_s,
            on_board=self.flight.plan.on_board if self.flight.plan is not None else None,
            velocity_m_s=ground_velocity(state),
        )

    async def abandon(self, why: str, *, unassign: bool) -> None:
        """Given up on the ground. An order that has not flown yet goes back to dispatch."""
        phase = self.flight.phase
        if phase is FlightPhase.LAUNCHING or (phase in (FlightPhase.PREPARING, FlightPhase.READY)):
            flight = replace(self.flight, phase=next_phase(phase, FlightEvent.ABANDON), intent=Intent.WAIT)
            note = self.note("abandoned", why=why)
            entry = self.ledger.orders[flight.order_id]
            back = unassign and entry.state in (OrderState.ASSIGNED, OrderState.LOADING, OrderState.READY)
            if back:
                changes: dict[str, Any] = {"flight_id": None, "vehicle_id": None, "box_id": None}
                await self.set(flight, note, order_event=OrderEvent.UNASSIGN, **changes)
            elif entry.state is OrderState.IN_FLIGHT:  # it stands where a new pack was put in: somebody has to fetch it
                await self.set(flight, note, order_event=OrderEvent.QUARANTINE)
            else:
                await self.set(flight, note)


def brief(state: VehicleState) -> Mapping[str, Any]:
    """Where the vehicle was, for the record."""
    position = state.position.value if state.position is not None else None
    return {
        "lat_deg": position.point.lat_deg if position else None,
        "lon_deg": position.point.lon_deg if position else None,
        "alt_amsl_m": position.alt_amsl_m if position else None,
        "mode": state.mode.value.value if state.mode is not None else None,
        "battery_pct": state.battery.value.remaining_pct if state.battery is not None else None,
    }
