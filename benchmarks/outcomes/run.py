"""One delivery flown: the vehicle's course under somebody's commands, second by second or from event to event."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from math import ceil, inf
from random import Random

from benchmarks.outcomes.drawing import BOX, LAYER_M, TAKE_OFF_S, VEHICLE, Delivery, fleet, model, world
from benchmarks.outcomes.motion import Fix, Motion, Place, battery_pct, start_fix, vehicle_type
from benchmarks.outcomes.policies import way_clear
from benchmarks.outcomes.seen import Command, Policy, Seen, Stay
from benchmarks.outcomes.sensing import BoxLine
from missions.decision.types import Candidate, CandidateKind, Conflict, FlightPhase
from missions.delivery import Flight, Intent, bars_launch, turns_away
from missions.draw import drawn
from missions.options import TURNAROUND_S, Outlook, Situation, candidates, gross_payload_kg
from missions.plan import Ending, Infeasible, Plan
from missions.routing.conflict import first_conflict, progress
from missions.snapshot import Battery, Landed, Mode, Position, Timed, VehicleState, Velocity, Wind
from missions.world import World, plan_to

FIELD = "field"
"""down somewhere that is no site"""
STEERABLE = frozenset({FlightPhase.OUTBOUND, FlightPhase.AT_DROP, FlightPhase.INBOUND})
CLEARLY_ENOUGH_PCT = 8.0
"""a vehicle that will be home with this much above the reserve has nothing left to decide but about its dose"""
HOVER_S = 1200.0


@dataclass(slots=True)
class Shared:
    """What all policies' runs of one delivery have in common, so that it is made once: the same question has the same
    answer for each of them."""

    delivery: Delivery
    line: BoxLine
    gauge_error_pct: float
    ways: dict[tuple[str, float, int], tuple[Candidate, ...]] = field(default_factory=dict)
    """by plan, time and airspace; without an outlook"""
    onward: dict[tuple[str, str, int], Plan | Infeasible] = field(default_factory=dict)
    """by start and goal, where only the places on the way matter"""

    @staticmethod
    def of(delivery: Delivery) -> Shared:
        error_pct = Random(f"{delivery.seed}/gauge").gauss(0.0, model()["flight"]["gauge_noise_pct"])
        return Shared(delivery, BoxLine(delivery), error_pct)


class Run:
    """The vehicle and its dose from take-off to the end. `story` has a line for each turn of it."""

    def __init__(self, shared: Shared, policy: Policy | None = None) -> None:
        """Without a policy nobody asks about the dose: it flies on, around closed zones like everybody."""
        d = shared.delivery
        self.shared, self.delivery, self.policy, self.line = shared, d, policy, shared.line
        self.second = round(TAKE_OFF_S - d.sealed_s)
        self.closed = False
        self.flight = Flight(
            flight_id=f"{d.seed}",
            order_id=d.order.order_id,
            vehicle_id=VEHICLE,
            box=fleet().boxes[BOX],
            payload_kg=d.order.mass_kg,
            home_site=d.order.origin_site,
            layer_agl_m=LAYER_M,
            phase=FlightPhase.LAUNCHING,
            intent=Intent.FLY,
            plan=d.plan,
            goal_site=d.order.destination_site,
        )
        self.motion = self._motion(start_fix(d)).fly(_places(d.plan, from_ground=True))
        self._limits()
        self.airborne_s = d.plan.legs[0].start.eta_s
        self.holding = False
        self.home_from_station = False
        self.swap_second: int | None = None
        self.released_second: int | None = None
        self.landed_second: int | None = None
        self.place = ""
        self.story: list[tuple[int, str]] = []

    def fork(self) -> Run:
        other = copy(self)
        other.story = list(self.story)
        return other

    @property
    def now_s(self) -> float:
        return self.delivery.sealed_s + self.second

    @property
    def over(self) -> bool:
        return self.landed_second is not None

    @property
    def world(self) -> World:
        return world(1, self.delivery.closure[1]) if self.closed and self.delivery.closure else world(0, None)

    def tell(self, text: str) -> None:
        self.story.append((round(self.now_s - TAKE_OFF_S), text))

    # from second to second

    def fly(self) -> Run:
        """To the end under its policy."""
        assert self.policy is not None
        while not self.over:
            self.second += 1
            self.happen()
            if self.over:
                break
            self._reckon_draw()
            if self.flight.phase not in STEERABLE:
                continue
            if self._nothing_to_gain() and self._clearly_home():
                return self.finish()
            self.obey(self.policy.decide(self.seen()))
        return self

    def _reckon_draw(self) -> None:
        """What the controller learns of the battery from each second's telemetry."""
        flight, in_air = self.flight, self.flight.phase is not FlightPhase.REICING
        draw = drawn(flight.draw, vehicle_type(), gross_payload_kg(flight), self.state(), airborne=in_air)
        self.flight = replace(flight, draw=draw)

    def finish(self) -> Run:
        """To the end with nobody deciding about the dose, from event to event."""
        while not self.over:
            closure = self.delivery.closure
            events = [self.motion.end.t_s, self.down_s]
            if self.flight.phase is FlightPhase.LAUNCHING:
                events.append(self.airborne_s)
            if self.swap_second is not None:
                events.append(self.delivery.sealed_s + self.swap_second)
            if closure is not None and not self.closed:
                events.append(closure[0])
            self.second = max(self.second + 1, ceil(min(events) - self.delivery.sealed_s))
            was_closed = self.closed
            self.happen()
            if self.closed and not was_closed:
                self.steer_clear()
        return self

    def steer_clear(self) -> None:
        """Around a zone that has just closed."""
        if not self.over and self.flight.phase in STEERABLE and self.conflict() is not None:
            self.obey(way_clear(self.seen(), self.ways()))

    def _nothing_to_gain(self) -> bool:
        """The dose is delivered, or it is spoiled and on its way back: decisions are over, and need no simulating."""
        if not self.flight.payload_on_board:
            return True
        return self.flight.phase is FlightPhase.INBOUND and not self.line.good(self.second)

    def _clearly_home(self) -> bool:
        left = battery_pct(self.delivery, self.motion.end)
        coming = self.delivery.closure is not None and not self.closed
        return left >= model_reserve() + CLEARLY_ENOUGH_PCT and not coming and self.conflict() is None

    def happen(self) -> None:
        """What is due by now, whoever decides."""
        d = self.delivery
        if d.closure is not None and not self.closed and self.now_s >= d.closure[0]:
            self.closed = True
            self.tell("a zone closes")
        if self.now_s >= self.down_s:
            self._down(FIELD, "its battery is at its end: it comes down where it is")
            return
        if self.flight.phase is FlightPhase.LAUNCHING and self.now_s >= self.airborne_s:
            self.flight = replace(self.flight, phase=FlightPhase.OUTBOUND)
            self.airborne_s = inf
            if self.closed:
                self.steer_clear()
        if self.swap_second is not None and self.second >= self.swap_second:
            self.line, self.swap_second = self.line.swapped(self.swap_second), None
            self.tell("a fresh pack is in")
        if self.now_s >= self.motion.end.t_s:
            self._arrive()

    def _arrive(self) -> None:
        flight, plan = self.flight, self.flight.plan
        assert plan is not None
        match flight.phase:
            case _ if self.holding:
                self.motion = self._motion(self.motion.at(self.now_s)).hover(HOVER_S)
                self._limits()
            case FlightPhase.OUTBOUND if plan.ending is Ending.HOLD_AT_DROP:
                self.tell("at the drop")
                self.flight = replace(flight, phase=FlightPhase.AT_DROP)
                self.motion = self._motion(self.motion.end).hover(model()["judgement"]["drop_hover_s"])
                self._limits()
            case FlightPhase.AT_DROP:
                self._release()
            case FlightPhase.OUTBOUND:
                station = fleet().sites[plan.goal_site]
                self.tell(f"landed at {plan.goal_site}")
                self.flight = replace(flight, phase=FlightPhase.REICING)
                self.swap_second = self.second + round(station.reice_s)
                self.motion = self._motion(self.motion.at(self.now_s)).stand(station.reice_s + TURNAROUND_S)
                self._limits()
            case FlightPhase.REICING if self.home_from_station:
                self.go_home()
            case FlightPhase.REICING:
                self._go_on()
            case _:
                self._down(plan.goal_site, f"landed at {plan.goal_site}")

    def _release(self) -> None:
        if self.policy is not None and not self.policy.may_release(self.seen()):
            self.tell(f"not released: {self.line.view(self.second).why}")
            self.go_home()
            return
        self.tell("released")
        self.released_second = self.second
        self.flight = replace(self.flight, payload_on_board=False)
        self.go_home()

    def go_home(self) -> None:
        """From over the drop, or from a station's pad."""
        station = self.flight.phase is FlightPhase.REICING
        made = self._onward(self.flight.goal_site, self.flight.home_site, Ending.LAND, take_off=station)
        if isinstance(made, Infeasible):
            self.flight = replace(self.flight, phase=FlightPhase.INBOUND)
            command = way_clear(self.seen(), self.ways())
            if not isinstance(command, Candidate):
                self._down(FIELD, f"no way home: {made}")
                return
            made = command.plan
        self._depart(made, CandidateKind.RETURN, FlightPhase.INBOUND)

    def _go_on(self) -> None:
        """From the station to the destination."""
        if self.policy is not None and (why := bars_launch(self.line.view(self.second))) is not None:
            self._down(self.flight.goal_site, f"it stays at {self.flight.goal_site}: {why}")
            return
        made = self._onward(
            self.flight.goal_site, self.delivery.order.destination_site, Ending.HOLD_AT_DROP, take_off=True
        )
        if isinstance(made, Infeasible):
            self._down(self.flight.goal_site, f"it stays at {self.flight.goal_site}: {made}")
            return
        self._depart(made, CandidateKind.CONTINUE, FlightPhase.OUTBOUND)

    def _depart(self, plan: Plan, directive: CandidateKind, phase: FlightPhase) -> None:
        self.motion = self._motion(self.motion.at(self.now_s)).fly(_places(plan, from_ground=plan.take_off))
        self.flight = replace(self.flight, plan=plan, goal_site=plan.goal_site, directive=directive, phase=phase)
        self._limits()

    def _onward(self, start: str, goal: str, ending: Ending, *, take_off: bool) -> Plan | Infeasible:
        key = (start, goal, int(self.closed))
        made = None if self.policy is not None else self.shared.onward.get(key)
        if made is None:
            site, fix, numbers = fleet().sites[start], self.motion.at(self.now_s), self.world.numbers
            made = plan_to(
                self.world,
                fleet().vehicles[VEHICLE],
                plan_id=f"{self.flight.flight_id}-{goal}-{self.second}",
                start=site.position,
                start_amsl_m=site.elevation_amsl_m + (0.0 if take_off else numbers.drop_height_agl_m),
                take_off=take_off,
                goal=fleet().sites[goal],
                ending=ending,
                home=fleet().sites[self.flight.home_site],
                payload_kg=gross_payload_kg(self.flight),
                battery_pct=max(0.0, self._gauge_pct(fix)),
                wind=self._wind_believed(),
                layer_agl_m=LAYER_M,
                depart_s=self.now_s,
                on_board=self.delivery.plan.on_board,
                draw=self.flight.draw,
            )
            self.shared.onward.setdefault(key, made)
        return made

    def _down(self, place: str, text: str) -> None:
        self.tell(text)
        self.place, self.landed_second = place, self.second

    # commands

    def obey(self, command: Command) -> None:
        here = self.motion.at(self.now_s)
        match command:
            case Candidate():
                self.tell(f"{command.kind} → {command.site_id}{self._why()}")
                turned = command.kind in (CandidateKind.RETURN, CandidateKind.ALTERNATE)
                phase = FlightPhase.INBOUND if turned else self.flight.phase
                if command.plan.ending is Ending.HOLD_AT_DROP or command.kind is CandidateKind.REICE:
                    phase = FlightPhase.OUTBOUND
                directive = self.flight.directive if command.kind is CandidateKind.REROUTE else command.kind
                may_deliver = turns_away(self.flight, command.kind)
                self.holding = False
                self.motion = self._motion(here).hover(model()["judgement"]["switch_s"])
                self.motion.fly(_places(command.plan, from_ground=False))
                self.flight = replace(
                    self.flight,
                    plan=command.plan,
                    goal_site=command.plan.goal_site,
                    directive=directive,
                    may_deliver=may_deliver,
                    phase=phase,
                    intent=Intent.FLY,
                )
                self._limits()
            case Stay.HOLD:
                self.tell(f"hold{self._why()}")
                self.holding = True
                self.flight = replace(self.flight, intent=Intent.HOLD)
                self.motion = self._motion(here).hover(HOVER_S)
                self._limits()
            case Stay.RESUME:
                self.tell(f"go on{self._why()}")
                self.holding = False
                self.flight = replace(self.flight, intent=Intent.FLY)
                assert self.flight.plan is not None
                self.motion = self._motion(here).fly(_rest(self.flight.plan, here))
                self._limits()
            case Stay.LAND:
                self._down(FIELD, f"lands where it is{self._why()}")
            case Stay.PX4_RETURN:
                self.tell(f"PX4's own return{self._why()}")
                home = fleet().sites[self.flight.home_site]
                self.motion = self._motion(here).fly(
                    [(home.position, here.amsl_m), (home.position, home.elevation_amsl_m)]
                )
                self.flight = replace(self.flight, phase=FlightPhase.INBOUND, goal_site=home.site_id)
                self._limits()

    def _why(self) -> str:
        sentence = getattr(self.policy, "sentence", "")
        return f": {sentence}" if sentence else ""

    def _motion(self, start: Fix) -> Motion:
        return Motion(self.delivery, start, gross_payload_kg(self.flight))

    def _limits(self) -> None:
        """When the battery brings it down on this way."""
        by_itself = model()["judgement"]["lands_by_itself_pct"]
        self.down_s = min(self.motion.first_below(by_itself, self.motion.last_leg_s), self.motion.first_below(0.0, inf))

    # what is seen

    def seen(self) -> Seen:
        d = self.delivery
        second, line = self.second, self.line
        return Seen(
            now_s=self.now_s,
            flight=self.flight,
            order=d.order,
            product=d.product,
            vehicle=vehicle_type(),
            state=self.state(),
            samples=tuple(line.messages(second)),
            view=lambda: line.view(second),
            conflict=self.conflict(),
            airspace_version=self.world.airspace.version,
            holding=self.holding,
            planned=lambda: next(candidates(self._situation(line.outlook(second)))),
            ways=self.ways_with_outlook,
        )

    def conflict(self) -> Conflict | None:
        """Nothing closes but by the delivery's closure: before it the plan stays as open as it was proven."""
        if not self.closed or self.flight.plan is None or self.over:
            return None
        here, w = self.motion.at(self.now_s), self.world
        return first_conflict(self.flight.plan, here.at, here.amsl_m, w.airspace, w.authorised, w.terrain, self.now_s)

    def state(self) -> VehicleState:
        now_s, fix = self.now_s, self.motion.at(self.now_s)
        mode = Mode.HOLD if self.holding or self.flight.phase is FlightPhase.AT_DROP else Mode.MISSION
        home_m = self.delivery.plan.home_amsl_m
        return VehicleState(
            VEHICLE,
            heard_s=now_s,
            armed=Timed(True, now_s),
            mode=Timed(mode, now_s),
            landed=Timed(Landed.IN_AIR, now_s),
            position=Timed(Position(fix.at, fix.amsl_m, fix.amsl_m - home_m), now_s),
            velocity=Timed(Velocity(fix.north_m_s, fix.east_m_s, fix.down_m_s), now_s),
            battery=Timed(Battery(self._gauge_pct(fix)), now_s),
            wind=Timed(self._wind_believed(), now_s),
            failsafe=Timed(False, now_s),
        )

    def _gauge_pct(self, fix: Fix) -> float:
        """In whole percents, rounded up, as PX4 tells it."""
        return float(ceil(battery_pct(self.delivery, fix) + self.shared.gauge_error_pct))

    def _wind_believed(self) -> Wind:
        wind, error = self.delivery.wind(self.now_s), self.delivery.wind_error
        return Wind(wind.north_m_s + error.north_m_s, wind.east_m_s + error.east_m_s)

    def ways(self) -> tuple[Candidate, ...]:
        """Every candidate from here now, without an outlook for the dose."""
        assert self.flight.plan is not None
        key = (self.flight.plan.plan_id, self.now_s, int(self.closed))
        found = self.shared.ways.get(key)
        if found is None:
            found = self.shared.ways[key] = self._plan_all(lambda arrive_s, swap_s, amsl_m: None)
        return found

    def ways_with_outlook(self) -> tuple[Candidate, ...]:
        assert self.flight.plan is not None
        found = self._plan_all(self.line.outlook(self.second))
        self.shared.ways.setdefault((self.flight.plan.plan_id, self.now_s, int(self.closed)), found)
        return found

    def _plan_all(self, outlook: Outlook) -> tuple[Candidate, ...]:
        return tuple(candidates(self._situation(outlook)))

    def _situation(self, outlook: Outlook) -> Situation:
        return Situation(
            flight=self.flight,
            order=self.delivery.order,
            vehicle=fleet().vehicles[VEHICLE],
            state=self.state(),
            world=self.world,
            free_sites=frozenset(fleet().sites),
            reroute=self.conflict() is not None,
            outlook=outlook,
            now_s=self.now_s,
        )


def model_reserve() -> float:
    return fleet().policy.reserve_pct


def _places(plan: Plan, *, from_ground: bool) -> list[Place]:
    """What is flown to, one after the other: where a plan made in the air begins is not among it."""
    points = plan.waypoints if from_ground else plan.waypoints[1:]
    return [(w.position, w.alt_amsl_m) for w in points]


def _rest(plan: Plan, here: Fix) -> list[Place]:
    leg = progress(plan, here.at, here.amsl_m).leg_index
    return [(leg.end.position, leg.end.alt_amsl_m) for leg in plan.legs[leg:]]
