"""The drop: a release is recorded, sent once, and believed only on an independent sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fleet.mavlink.port import Outcome, Verdict
from fleet.runtime.cockpit import Cockpit, brief
from fleet.runtime.ledger import Note
from missions.decision.types import FlightPhase
from missions.delivery import FlightEvent, Intent, ReleaseState, next_phase, over_pad
from missions.drop import release_sign
from missions.orders import OrderEvent, OrderState
from missions.plan import Plan
from missions.snapshot import BoxVerdict, VehicleState

RELEASE_TRIES = 2
"""of a gripper that answers and keeps the box"""
UNHEARD_TRIES = 5
"""of commands that nobody answered while the box stays docked: they were lost on a bad radio, not jammed"""


class Drop:
    """From the hover over the pad to the way home."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit = cockpit

    async def begin(self, state: VehicleState, now_s: float) -> None:
        """At the drop, still and in authority: the release is recorded, then commanded once."""
        flight = self._cockpit.flight
        view = self._cockpit.around.boxes.view(flight.box.box_id, now_s)
        if view is not None and view.verdict in (BoxVerdict.SPOILED, BoxVerdict.QUARANTINE):
            text = f"not released at the drop: {view.why}"
            await self._cockpit.turn_home(self._cockpit.note("alarm", text=text), order_event=OrderEvent.LEAVE_DROP)
            return
        throttles = self._cockpit.watch.throttle
        phase = flight.phase
        flight = replace(
            flight,
            phase=phase if phase is FlightPhase.RELEASING else next_phase(phase, FlightEvent.RELEASE_COMMANDED),
            intent=Intent.RELEASE,
            hover_throttle_pct=sum(throttles) / len(throttles) if throttles else None,
        )
        await self._cockpit.set(flight, self._cockpit.note("phase", phase=flight.phase.value, state=brief(state)))

    def barred(self) -> Outcome | None:
        """Why the release must not be sent now that it is about to be; None when it may."""
        state, now_s = self._cockpit.port.state(), self._cockpit.clock.now_s()
        if over_pad(self._cockpit.flight, state, now_s):
            return None
        return Outcome(Verdict.REFUSED, f"not sent: {self._cockpit.doubt(state) or 'it is not still over the pad'}")

    async def back(self, state: VehicleState, now_s: float) -> None:
        """It rests elsewhere than over its pad, because its position had been wrong: there once more, or home."""
        flight = self._cockpit.flight
        at_drop = self._cockpit.ledger.orders[flight.order_id].state is OrderState.AT_DROP
        left = OrderEvent.LEAVE_DROP if at_drop else None
        assert flight.plan is not None  # it has flown it to the end
        plan_id, ending = f"{flight.flight_id}-back-{now_s:.1f}", flight.plan.ending
        made = self._cockpit.plan_from_here(state, self._cockpit.site(flight.goal_site), ending, plan_id, now_s)
        if not isinstance(made, Plan):
            text = f"not over the pad, and it cannot be reached any more: {made}"
            await self._cockpit.turn_home(self._cockpit.note("alarm", text=text), order_event=left)
            return
        if flight.phase is not FlightPhase.OUTBOUND:
            flight = replace(flight, phase=next_phase(flight.phase, FlightEvent.STRAYED))
        await self._cockpit.set(
            replace(flight, plan=made, held=None, intent=Intent.FLY),
            order_event=left,
        )

    async def watch(self, state: VehicleState, now_s: float) -> None:
        flight = self._cockpit.flight
        if flight.release in (ReleaseState.NONE, ReleaseState.COMMANDED) and self._cockpit.watch.step is not None:
            return
        sign = self._sign(state.throttle_pct.value if state.throttle_pct is not None else None, now_s)
        answered = flight.release is ReleaseState.ACKNOWLEDGED
        match sign:
            case None:
                return
            case ReleaseState.CONFIRMED | ReleaseState.UNCONFIRMED:
                await self._released(sign, state)
            case ReleaseState.FAILED if flight.release_tries < (RELEASE_TRIES if answered else UNHEARD_TRIES):
                # Not blind: the mount's contact says that the box is still there.
                again = replace(flight, release=ReleaseState.NONE, release_at_s=None)
                await self._cockpit.set(
                    again, self._cockpit.note("alarm", text="the box is still docked after the release: once more")
                )
            case ReleaseState.FAILED:
                kept = replace(flight, phase=next_phase(flight.phase, FlightEvent.KEPT), release=sign)
                self._cockpit.flight = kept
                text = "the gripper did not let the box go; it is carried home, not tried again"
                await self._cockpit.turn_home(self._cockpit.note("alarm", text=text), order_event=OrderEvent.LEAVE_DROP)
            case ReleaseState.UNKNOWN:
                if flight.release is not sign:
                    text = "no sign whether the box was released: an operator must look; it is not repeated blindly"
                    await self._cockpit.set(replace(flight, release=sign), self._cockpit.note("alarm", text=text))

    async def settle(self, state: VehicleState, now_s: float) -> None:
        """It was turned away while its release was under way: the signs still tell whether the box is gone."""
        flight = self._cockpit.flight
        unsettled = flight.release in (ReleaseState.COMMANDED, ReleaseState.ACKNOWLEDGED)
        if flight.phase is FlightPhase.RELEASING or not flight.payload_on_board or not unsettled:
            return
        sign = self._sign(None, now_s)  # it climbs or descends: its throttle tells nothing
        if sign in (ReleaseState.CONFIRMED, ReleaseState.UNCONFIRMED):
            notes, verdict = self._let_go(sign, state)
            at_drop = self._cockpit.ledger.orders[flight.order_id].state is OrderState.AT_DROP
            event = OrderEvent.RELEASE if at_drop else None
            gone = replace(flight, release=sign, payload_on_board=False)
            await self._cockpit.set(gone, *notes, order_event=event, box_away=True, **verdict)
        elif sign is not None:
            text = (
                "the box is still docked after the release" if sign is ReleaseState.FAILED else "no sign of a release"
            )
            await self._cockpit.set(replace(flight, release=sign), self._cockpit.note("alarm", text=text))

    def _sign(self, throttle_pct: float | None, now_s: float) -> ReleaseState | None:
        flight = self._cockpit.flight
        view = self._cockpit.around.boxes.view(flight.box.box_id, now_s)
        docked = None
        if view is not None and view.sample is not None and view.sample.at_s > (flight.release_at_s or 0.0):
            docked = view.sample.value.docked
        return release_sign(flight, throttle_pct, self._cockpit.vehicle.type.empty_mass_kg, docked, now_s)

    async def _released(self, sign: ReleaseState, state: VehicleState) -> None:
        flight = self._cockpit.flight
        notes, verdict = self._let_go(sign, state)
        self._cockpit.flight = replace(
            flight, phase=next_phase(flight.phase, FlightEvent.RELEASED), release=sign, payload_on_board=False
        )
        await self._cockpit.turn_home(*notes, order_event=OrderEvent.RELEASE, box_away=True, **verdict)

    def _let_go(self, sign: ReleaseState, state: VehicleState) -> tuple[list[Note], dict[str, Any]]:
        """What is recorded of a release, and the dose's verdict at it."""
        flight = self._cockpit.flight
        view = self._cockpit.around.boxes.view(flight.box.box_id, self._cockpit.clock.now_s())
        verdict: dict[str, Any] = {}
        if view is not None:
            verdict = {"verdict": view.verdict.value, "verdict_why": view.why}
        note = self._cockpit.note("custody", step="release", confirmed=sign.value, state=brief(state), **verdict)
        notes = [note]
        if sign is ReleaseState.UNCONFIRMED:
            text = "released by the vehicle's own answer alone, nothing else shows it: the recipient's receipt decides"
            notes.append(self._cockpit.note("alarm", text=text))
        return notes, verdict
