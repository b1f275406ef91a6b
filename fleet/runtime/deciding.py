"""What a session sees and decides: warm candidates, the snapshot, the decision, and what it makes of the flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import structlog

from fleet.records.codec import to_json
from fleet.records.policy import policy_body
from fleet.runtime.cockpit import CANDIDATES_EVERY_S, Cockpit
from fleet.runtime.ledger import Note
from missions.decision.bare import bare_decision, bare_snapshot
from missions.decision.conditions import low_end_pct
from missions.decision.engine import decide
from missions.decision.payload import quantile
from missions.decision.types import Action, Candidate, CandidateKind, Decision, FlightPhase, NoReturn, Snapshot
from missions.delivery import Flight, FlightEvent, Intent, holds, may_be_in, may_have_ended, next_phase, turns_away
from missions.draw import per_planned
from missions.noreturn import point_of_no_return
from missions.options import Situation, candidates, gross_payload_kg, proven
from missions.plan import Ending, Infeasible, Reason
from missions.routing.conflict import first_conflict, progress
from missions.snapshot import Mode, VehicleState
from missions.togo import energy_end, wind_of

log = structlog.get_logger()

PX4_BY_ITSELF = frozenset({Mode.HOLD, Mode.RETURN, Mode.LAND})
"""modes that PX4's failsafes choose while nothing can be commanded: no sign of somebody else"""
AS_GOOD = 0.01
"""a lesser chance of arriving in range than by the plan that still counts as the same: the forecast's own rounding"""


class Decider:
    """Asks `missions.decision` with everything that is known, records the answer, and turns it into intents."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit = cockpit
        self._policy_on_record = False

    def look_ahead(self, state: VehicleState, now_s: float) -> bool:
        """Finds the first closed zone on the plan, as the airspace is now. False: where it is cannot be told."""
        plan, world = self._cockpit.flight.plan, self._cockpit.around.world()
        if plan is None or state.position is None or self._cockpit.doubt(state):
            return False
        here = state.position.value
        self._cockpit.watch.conflict = first_conflict(
            plan, here.point, here.alt_amsl_m, world.airspace, world.authorised, world.terrain, now_s
        )
        return True

    def keep_candidates_warm(self, state: VehicleState, now_s: float) -> None:
        if not self.look_ahead(state, now_s):
            return
        watch, world, policy = self._cockpit.watch, self._cockpit.around.world(), self._cockpit.around.policy
        due = watch.candidates_at_s is None or now_s - watch.candidates_at_s >= CANDIDATES_EVERY_S
        off_m = self._off_route_m(state) or 0.0
        watch.off_route = off_m > policy.conformance_m
        asked = world.airspace.version, watch.conflict is not None or off_m > 0.5 * policy.conformance_m
        if watch.conflict is not None and asked != watch.asked_for and watch.refreshing is not None:
            watch.refreshing.cancel()  # the routes that it makes lead through what has closed
            watch.refreshing = None
        if (due or (watch.conflict is not None and asked != watch.asked_for)) and watch.refreshing is None:
            watch.asked_for = asked
            watch.refreshing = asyncio.create_task(self._refresh(), name=f"candidates {self._cockpit.flight.flight_id}")

    def _situation(self) -> Situation | None:
        """As it is now; None where it is not known."""
        state, now_s = self._cockpit.port.state(), self._cockpit.clock.now_s()
        if state.position is None or self._cockpit.doubt(state):
            return None
        flight = self._cockpit.flight
        return Situation(
            flight=flight,
            order=self._cockpit.ledger.orders[flight.order_id].order,
            vehicle=self._cockpit.vehicle,
            state=state,
            world=self._cockpit.around.world(),
            free_sites=self._cockpit.around.free_sites(self._cockpit.vehicle.vehicle_id),
            reroute=self._cockpit.watch.asked_for[1],
            outlook=self._cockpit.around.boxes.outlook(flight.box.box_id, now_s),
            now_s=now_s,
        )

    def _off_route_m(self, state: VehicleState) -> float | None:
        """Beyond the room that its turns have, which the plan's margin keeps clear; None: it does not fly the plan."""
        flight = self._cockpit.flight
        if flight.plan is None or state.position is None or self._cockpit.doubt(state) or not holds(flight, state):
            return None
        here = state.position.value
        off_m = progress(flight.plan, here.point, here.alt_amsl_m).cross_track_m
        return max(0.0, off_m - self._cockpit.vehicle.type.min_turn_radius_m)

    def _due_s(self) -> float:
        """When the policy stops to believe in what there is; of what has closed ahead, the sooner the nearer it is."""
        at_s = self._cockpit.watch.candidates_at_s
        if at_s is None or self._cockpit.watch.conflict is not None:
            return self._cockpit.due_s(CANDIDATES_EVERY_S)
        return at_s + self._cockpit.around.policy.max_candidate_age_s

    async def _refresh(self) -> None:
        # Not in a thread: PROJ's objects must stay in the one that made them, and a route takes milliseconds.
        watch, found, due_s = self._cockpit.watch, [], self._due_s()
        try:
            # As things are when its turn comes: where many wait, they would all be old, and all again at once.
            async with self._cockpit.around.plans.take(due_s):
                situation = self._situation()
            if situation is None:
                return
            watch.asked_for = situation.world.airspace.version, situation.reroute
            making: Iterator[Candidate | None] = candidates(situation)
            while True:
                async with self._cockpit.around.plans.take(due_s):
                    candidate = next(making, None)
                if candidate is None or situation.flight.plan is not self._cockpit.flight.plan:
                    break
                found.append(candidate)
                if candidate.kind is CandidateKind.REROUTE and self._answers(candidate, found[0]):
                    # The rest, of older airspace and so not to be flown, stays: nobody may think that there is none.
                    rest = [c for c in watch.candidates if c.kind not in (CandidateKind.CONTINUE, candidate.kind)]
                    watch.keep((*found, *rest), situation)
                    due_s = situation.now_s + CANDIDATES_EVERY_S
                    self._cockpit.wake()
            if situation.flight.plan is self._cockpit.flight.plan:
                watch.keep(tuple(found), situation)
                watch.no_return = self._no_return(situation, found)
        except Exception:
            log.exception("candidates failed", vehicle=self._cockpit.vehicle.vehicle_id)
        finally:
            if watch.refreshing is asyncio.current_task():
                watch.refreshing = None
            self._cockpit.wake()

    def _no_return(self, s: Situation, found: Sequence[Candidate]) -> NoReturn | None:
        """Up to where home stays in reach, by the way home that was just planned."""
        home = next((c for c in found if c.kind is CandidateKind.RETURN), None)
        if home is None or s.flight.plan is None or s.state.position is None:
            return None
        policy = self._cockpit.around.policy
        return point_of_no_return(
            s.flight.plan,
            s.state.position.value,
            s.vehicle.type,
            gross_payload_kg(s.flight),
            wind_of(s.state),
            home.energy_end_pct,
            least_pct=policy.reserve_pct + policy.battery_margin_pct,
            sds=quantile(policy.min_p_reach),
            per_planned=per_planned(s.flight.draw),
            now_s=s.now_s,
        )

    def _answers(self, reroute: Candidate, plan: Candidate) -> bool:
        """Whether a new route may be flown before all else is planned, which in a wave of closures takes seconds.

        It may where a zone has just come, and where it serves the payload as well as the plan did: nothing that is
        still to be planned could be preferred to it then.
        """
        watch, policy = self._cockpit.watch, self._cockpit.around.policy
        others = [c for c in watch.candidates if c.kind is not CandidateKind.CONTINUE]
        return (
            watch.conflict is not None
            and any(c.plan.airspace_version != reroute.plan.airspace_version for c in others)
            and low_end_pct(reroute.energy_end_pct, policy) >= policy.reserve_pct
            and reroute.p_on_time >= plan.p_on_time
            and (reroute.p_in_range or 0.0) >= (plan.p_in_range or 0.0) - AS_GOOD
        )

    def _snapshot(self, state: VehicleState, now_s: float) -> Snapshot | None:
        flight, watch = self._cockpit.flight, self._cockpit.watch
        if flight.plan is None:
            return None
        expected = None
        if flight.expected and state.mode is not None and not may_have_ended(flight, state, state.mode.value):
            settled = may_be_in(flight, state, state.mode.value)
            expected = state.mode.value.value if settled else sorted(flight.expected)[0].value
        home = next((c.energy_end_pct for c in watch.candidates if c.site_id == flight.home_site), None)
        if home is None and flight.goal_site == flight.home_site:
            vehicle = self._cockpit.vehicle.type
            home = energy_end(flight.plan, state, vehicle, gross_payload_kg(flight), flight.draw)
        return Snapshot(
            phase=flight.phase,
            order=self._cockpit.ledger.orders[flight.order_id].order,
            plan=flight.plan,
            vehicle=state,
            box=self._cockpit.around.boxes.view(flight.box.box_id, now_s) if flight.payload_on_board else None,
            candidates=watch.candidates,
            candidates_at_s=watch.candidates_at_s,
            conflict=watch.conflict,
            cross_track_m=self._off_route_m(state),
            home_end_pct=home,
            expected_mode=expected,
            authority=flight.authority,
            dispatched_at_s=flight.expected_since_s,
            airspace_version=self._cockpit.around.world().airspace.version,
            payload_aboard=flight.payload_on_board,
            held_boot=flight.held.boot if flight.held is not None else None,
            plan_held=holds(flight, state) if flight.held is not None else None,
            reckoning=flight.reckoning,
            no_return=watch.no_return,
            operator_heard_s=self._cockpit.around.operator_heard_s(),
        )

    async def decide(self, state: VehicleState, now_s: float) -> None:
        snapshot = self._snapshot(state, now_s)
        if snapshot is None:
            return
        before, policy = self._cockpit.flight.memory, self._cockpit.around.policy
        memory, decision = decide(before, snapshot, policy, now_s)
        ready, refused = self._made_ready(decision), list[Note]()
        while isinstance(ready, Infeasible):
            assert decision.candidate is not None
            refused.append(self._refused(decision.candidate, ready))
            snapshot = replace(snapshot, candidates=self._cockpit.watch.candidates)
            memory, decision = decide(before, snapshot, policy, now_s)
            ready = self._made_ready(decision)
        self._cockpit.watch.silent = decision.link_silent
        key = _decision_key(decision, self._cockpit.flight.phase)
        changed = key != self._cockpit.watch.decision_key
        self._cockpit.watch.decision, self._cockpit.watch.decision_key = decision, key
        flight = self._cockpit.flight if memory == before else replace(self._cockpit.flight, memory=memory)
        if decision.link_silent and flight.expected and not flight.expected >= PX4_BY_ITSELF:
            flight = replace(flight, expected=flight.expected | PX4_BY_ITSELF)
        if not changed:
            self._cockpit.flight = flight
            return
        notes = [
            *refused,
            self._cockpit.note(
                "decision",
                decision=to_json(bare_decision(decision)),
                memory=to_json(before),
                snapshot=to_json(bare_snapshot(snapshot)),
                now_s=now_s,
                policy_hash=self._cockpit.around.policy_hash,
            ),
        ]
        if not self._policy_on_record:
            around = self._cockpit.around
            body = policy_body(around.policy_hash, around.policy, around.world().numbers)
            notes.insert(0, self._cockpit.note("policy", **body))
            self._policy_on_record = True
        flight = self._adopt(flight, decision, ready)
        box = snapshot.box
        verdict: dict[str, Any] = {}
        if box is not None:
            verdict = {"verdict": box.verdict.value, "verdict_why": box.why}
        with self._cockpit.around.plans.quiet():
            await self._cockpit.set(flight, *notes, decision=decision.sentence, **verdict)

    def _made_ready(self, decision: Decision) -> Candidate | Infeasible | None:
        """What is to be flown from now on, proven and checked; None: nothing else than what is flown already.

        Candidates are drafts, since of all that are compared hardly one is ever flown.
        """
        flight, watch, wanted = self._cockpit.flight, self._cockpit.watch, decision.candidate
        barred = decision.stand_down or decision.link_silent or flight.phase is FlightPhase.LAUNCHING
        if wanted is None or barred or not self._is_new(flight, wanted):
            return None
        if _decision_key(decision, flight.phase) == watch.decision_key:
            return None
        if wanted.plan.checked_by:
            return wanted
        if wanted.site_id not in self._cockpit.around.free_sites(flight.vehicle_id):
            return Infeasible((Reason("pad", f"another flight has taken the pad at {wanted.site_id} meanwhile"),))
        assert watch.situation is not None
        return proven(watch.situation, wanted)

    def _refused(self, draft: Candidate, why: Infeasible) -> Note:
        """It is no candidate any more."""
        watch = self._cockpit.watch
        watch.candidates = tuple(c for c in watch.candidates if c is not draft)
        log.warning("candidate refused", vehicle=self._cockpit.vehicle.vehicle_id, kind=draft.kind.value, why=str(why))
        return self._cockpit.note("candidate_refused", candidate=draft.kind.value, site_id=draft.site_id, why=str(why))

    def _adopt(self, flight: Flight, decision: Decision, ready: Candidate | None) -> Flight:
        """The flight as the decision wants it."""
        candidate = decision.candidate
        if decision.stand_down:
            if flight.phase is FlightPhase.STOOD_DOWN:
                return flight
            phase = next_phase(flight.phase, FlightEvent.TAKEOVER)
            return replace(flight, phase=phase, resume_phase=flight.phase, authority=False, intent=Intent.WATCH)
        if decision.link_silent or flight.phase is FlightPhase.LAUNCHING:
            return flight
        if ready is not None:
            return self._fly_candidate(flight, ready)
        match decision.action:
            case Action.HOLD:
                return replace(flight, intent=Intent.HOLD)
            case Action.LAND_NOW if flight.intent is not Intent.LAND:
                return replace(self._cockpit.turned_back(flight), intent=Intent.LAND)
            case Action.RETURN if candidate is None and flight.goal_site != flight.home_site:
                return replace(self._cockpit.turned_back(flight), intent=Intent.RETURN)
            case Action.CONTINUE if flight.intent is Intent.HOLD and not flight.operator_hold:
                return replace(flight, intent=Intent.FLY)
        return flight

    def _is_new(self, flight: Flight, candidate: Candidate) -> bool:
        match candidate.kind:
            case CandidateKind.CONTINUE:
                return False
            case CandidateKind.REROUTE:
                return self._cockpit.watch.conflict is not None or self._cockpit.watch.off_route
            case _:
                return (flight.directive, flight.goal_site) != (candidate.kind, candidate.site_id)

    def _fly_candidate(self, flight: Flight, candidate: Candidate) -> Flight:
        may_deliver = turns_away(flight, candidate.kind)
        if candidate.kind in (CandidateKind.RETURN, CandidateKind.ALTERNATE):
            flight = self._cockpit.turned_back(flight)
        elif flight.phase is FlightPhase.INBOUND and candidate.plan.ending is Ending.HOLD_AT_DROP:
            flight = replace(flight, phase=next_phase(flight.phase, FlightEvent.GO_ON))
        directive = flight.directive if candidate.kind is CandidateKind.REROUTE else candidate.kind
        self._cockpit.forget_ways()
        return replace(
            flight,
            plan=candidate.plan,
            goal_site=candidate.plan.goal_site,
            directive=directive,
            may_deliver=may_deliver,
            held=None,
            intent=Intent.FLY,
            operator_hold=False,
        )


def _decision_key(decision: Decision, phase: FlightPhase) -> tuple[Any, ...]:
    """What makes a decision another one: not its numbers, which move with every sample.

    A launch is finished first: what was asked for meanwhile is news once it is over.
    """
    candidate = decision.candidate
    return (
        decision.action,
        decision.cause,
        (candidate.kind, candidate.site_id) if candidate is not None else None,
        tuple(f.name for f in decision.faults),
        decision.stand_down,
        decision.link_silent,
        (decision.awaits.kind, decision.awaits.site_id) if decision.awaits is not None else None,
        decision.action > Action.CONTINUE and phase is FlightPhase.LAUNCHING,
    )
