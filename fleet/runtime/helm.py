"""The helm: the one command that is missing is recorded, sent, and its answer recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from fleet.mavlink.port import Outcome, UploadOutcome, Verdict
from fleet.records.codec import to_json
from fleet.runtime.cockpit import CANDIDATES_EVERY_S, Cockpit
from fleet.runtime.departure import LAUNCH_TRIES
from fleet.runtime.drop import Drop
from fleet.store import StoreUnavailableError
from geofences.geodesy import distance_m
from missions.decision.types import FlightPhase
from missions.delivery import (
    AIRBORNE_PHASES,
    EXPECTED_AFTER,
    Flight,
    HeldPlan,
    ReleaseState,
    Step,
    in_air,
    may_be_in,
    next_step,
)
from missions.drop import may_release
from missions.plan import Plan
from missions.snapshot import VehicleState

log = structlog.get_logger()

RETRY_S = 2.0
PLANS_REFUSED = 3
"""uploads in the air, one after the other, before PX4 is left to return by itself"""
START_TOLERANCE_M = 15.0


class Helm:
    """Brings the vehicle to the intent of its flight. Nothing else commands a vehicle."""

    def __init__(self, cockpit: Cockpit, drop: Drop) -> None:
        self._cockpit = cockpit
        self._drop = drop

    def steer(self, state: VehicleState, now_s: float) -> None:
        """Starts the one command that is missing; a command that no longer fits the intent is broken off."""
        flight, watch = self._cockpit.flight, self._cockpit.watch
        if self._cockpit.watch.silent and flight.phase in AIRBORNE_PHASES:
            return
        if state.mode is not None and not may_be_in(flight, state, state.mode.value):
            # Somebody else may have taken over: the fault table decides, no command goes out meanwhile, nor is one that
            # is under way repeated against them.
            if watch.step is not None and watch.step_kind is not Step.RELEASE:
                watch.step.cancel()
            return
        step = next_step(flight, state)
        plan_id = flight.plan.plan_id if flight.plan is not None else ""
        if watch.step is not None:
            if _must_break_off(watch.step_kind, watch.step_plan_id, step, plan_id):
                watch.step.cancel()
            return
        if step is None:
            if may_release(flight, state, now_s):
                watch.step_kind, watch.step_plan_id = None, plan_id
                watch.step = asyncio.create_task(self._run_release(state, now_s), name=f"release {flight.flight_id}")
            return
        if now_s < watch.retry_at_s:
            return
        watch.step_kind, watch.step_plan_id = step, plan_id
        watch.step = asyncio.create_task(self._carry_out(step), name=f"{step} {flight.flight_id}")

    async def _run_release(self, state: VehicleState, now_s: float) -> None:
        try:
            await self._drop.begin(state, now_s)
        finally:
            self._cockpit.watch.step = None
            self._cockpit.wake()

    async def _carry_out(self, step: Step) -> None:
        """Records the command, sends it, records the answer."""
        try:
            await self._command(step)
        except StoreUnavailableError as e:
            log.error("command not recorded, not sent", step=step.value, reason=str(e))
            self._cockpit.watch.retry_at_s = self._cockpit.clock.now_s() + RETRY_S
        except Exception:
            log.exception("command failed", step=step.value, vehicle=self._cockpit.vehicle.vehicle_id)
            self._cockpit.watch.retry_at_s = self._cockpit.clock.now_s() + RETRY_S
        finally:
            self._cockpit.watch.step = None
            self._cockpit.wake()

    def _from_where_it_holds(self) -> None:
        """The vehicle has come to rest far from the place its new plan begins at: the plan is made anew from here.

        So too where the plan it took off with was overwritten in flight: with it back, PX4 would first fly to its
        first item, the pad, by a straight line that nobody has checked.
        """
        flight, state = self._cockpit.flight, self._cockpit.port.state()
        plan, now_s = flight.plan, self._cockpit.clock.now_s()
        if plan is None or state.position is None:
            return
        if distance_m(state.position.value.point, plan.waypoints[0].position) <= START_TOLERANCE_M:
            return
        made = self._cockpit.plan_from_here(
            state, self._cockpit.site(flight.goal_site), plan.ending, f"{plan.plan_id}b", now_s
        )
        if isinstance(made, Plan):
            self._cockpit.flight = replace(flight, plan=made)
            self._cockpit.watch.step_plan_id = made.plan_id

    async def _command(self, step: Step) -> None:
        if step is Step.UPLOAD and in_air(self._cockpit.port.state()):
            # It holds, with a route known: whoever has none yet is planned for first.
            async with self._cockpit.around.plans.take(self._cockpit.due_s(CANDIDATES_EVERY_S)):
                self._from_where_it_holds()
        plan = self._cockpit.flight.plan
        body = {"step": step.value, "plan_id": plan.plan_id if plan is not None else None}
        before = self._cockpit.flight
        if step is Step.RELEASE:
            now_s, tries = self._cockpit.clock.now_s(), before.release_tries + 1
            before = replace(before, release=ReleaseState.COMMANDED, release_at_s=now_s, release_tries=tries)
        elif before.expected:
            # Until the answer is known the vehicle may be in the old mode or the new one, also after a restart.
            before = replace(before, expected=before.expected | EXPECTED_AFTER.get(step, frozenset()))
        with self._cockpit.around.plans.quiet():
            await self._cockpit.set(before, self._cockpit.note("command", **body))
        barred = self._drop.barred() if step is Step.RELEASE else None
        outcome = barred or await self._fit(step) or await self._grip(step, before) or await self._send(step, plan)
        now_s = self._cockpit.clock.now_s()
        flight = self._cockpit.flight
        if outcome.verdict is Verdict.DONE:
            self._cockpit.watch.failures, self._cockpit.watch.retry_at_s = 0, now_s
            if isinstance(outcome, UploadOutcome) and outcome.ids is not None and plan is not None:
                ids = outcome.ids
                boot = self._cockpit.port.state().boot
                flight = replace(flight, held=HeldPlan(plan.plan_id, ids.mission, ids.fence, ids.rally, boot))
            elif step is Step.RELEASE:
                flight = replace(flight, release=ReleaseState.ACKNOWLEDGED)
            else:
                flight = replace(flight, expected=EXPECTED_AFTER[step], expected_since_s=now_s)
                if step in (Step.HOLD, Step.STAY) and flight.reckoning is not None:
                    flight = replace(flight, stays_s=flight.reckoning.fix.clock_s)
        else:
            self._cockpit.watch.failures += 1
            self._cockpit.watch.failed = outcome.text
            self._cockpit.watch.retry_at_s = now_s + RETRY_S * min(8, self._cockpit.watch.failures)
            log.warning("command not done", vehicle=flight.vehicle_id, step=step.value, outcome=outcome.text)
            if barred is not None:
                unsent = flight.release_tries - 1
                flight = replace(flight, release=ReleaseState.NONE, release_at_s=None, release_tries=unsent)
        if step is Step.UPLOAD and outcome.verdict is Verdict.REFUSED and self._gets_no_plan():
            await self._cockpit.set(flight, self._cockpit.note("outcome", **body, verdict="refused", text=outcome.text))
            await self._cockpit.return_by_px4(f"it refuses every plan: {outcome.text}")
            return
        answer = {**body, "verdict": outcome.verdict.value, "text": outcome.text}
        if step is Step.UPLOAD and flight.held is not None:
            answer["held"] = to_json(flight.held)
        await self._cockpit.set(flight, self._cockpit.note("outcome", **answer))
        if flight.phase is FlightPhase.LAUNCHING and self._cockpit.watch.failures >= LAUNCH_TRIES:
            await self._cockpit.abandon(f"would not start: {outcome.text}", unassign=not flight.was_airborne)

    def _gets_no_plan(self) -> bool:
        """In the air PX4 refuses all that it is given, as inside a keep-out of its own fence: holding leads nowhere."""
        return in_air(self._cockpit.port.state()) and self._cockpit.watch.failures >= PLANS_REFUSED

    async def _fit(self, step: Step) -> Outcome | None:
        """Before a plan or a start goes to a vehicle on the ground, it must keep its contract; what it lacks, or None.

        A refusal ends the flight at once: trying again changes no parameter.
        """
        cockpit = self._cockpit
        if step not in (Step.UPLOAD, Step.START) or in_air(cockpit.port.state()):
            return None
        fit = await cockpit.around.check(cockpit.vehicle.vehicle_id)
        if fit.ok:
            return None
        if fit.verdict is Verdict.REFUSED:
            cockpit.watch.failures = LAUNCH_TRIES
        return fit

    async def _grip(self, step: Step, flight: Flight) -> Outcome | None:
        """A box is carried, and let go once more, only by a gripper that was closed; what bars it, or None.

        PX4 answers the release of a gripper that it holds to be open with ACCEPTED, and moves nothing.
        """
        if step is Step.START or (step is Step.RELEASE and flight.release_tries > 1):
            closed = await self._cockpit.port.grab()
            return None if closed.ok else closed
        return None

    async def _send(self, step: Step, plan: Plan | None) -> Outcome | UploadOutcome:
        match step:
            case Step.UPLOAD:
                assert plan is not None
                return await self._cockpit.port.upload(
                    plan, with_fence_and_rally=not in_air(self._cockpit.port.state())
                )
            case Step.START:
                return await self._cockpit.port.start_mission()
            case Step.FLY:
                return await self._cockpit.port.fly_mission()
            case Step.HOLD:
                return await self._cockpit.port.hold()
            case Step.STAY:
                here = self._cockpit.port.state().position
                assert here is not None  # it has jumped
                return await self._cockpit.port.reposition(here.value.point, here.value.alt_amsl_m)
            case Step.RETURN:
                return await self._cockpit.port.return_home()
            case Step.LAND:
                return await self._cockpit.port.land()
            case Step.RELEASE:
                return await self._cockpit.port.release()


def _must_break_off(running: Step | None, running_plan_id: str, wanted: Step | None, plan_id: str) -> bool:
    """An upload of a plan no longer wanted, or a flight command that a milder or stronger one has overtaken.

    A HOLD is left to finish where an upload is wanted next, and a release is never broken off: it was sent once.
    """
    if running is Step.UPLOAD:
        return plan_id != running_plan_id or wanted in (Step.LAND, Step.RETURN)
    return (
        wanted in (Step.HOLD, Step.LAND, Step.RETURN)
        and running in (Step.START, Step.FLY, Step.HOLD, Step.STAY, Step.RETURN)
        and (running is not wanted)
    )
