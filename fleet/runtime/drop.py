"""The drop: a release is recorded, sent once, and believed only on an independent sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fleet.runtime.cockpit import Cockpit, brief
from missions.delivery import FlightEvent, Intent, ReleaseState, next_phase, release_sign
from missions.orders import OrderEvent
from missions.snapshot import BoxVerdict, VehicleState

RELEASE_TRIES = 2


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
        flight = replace(
            flight,
            phase=next_phase(flight.phase, FlightEvent.RELEASE_COMMANDED),
            intent=Intent.RELEASE,
            hover_throttle_pct=sum(throttles) / len(throttles) if throttles else None,
        )
        await self._cockpit.set(flight, self._cockpit.note("phase", phase=flight.phase.value, state=brief(state)))

    async def watch(self, state: VehicleState, now_s: float) -> None:
        flight = self._cockpit.flight
        if flight.release in (ReleaseState.NONE, ReleaseState.COMMANDED) and self._cockpit.watch.step is not None:
            return
        throttle = state.throttle_pct.value if state.throttle_pct is not None else None
        view = self._cockpit.around.boxes.view(flight.box.box_id, now_s)
        docked = None
        if view is not None and view.sample is not None and view.sample.at_s > (flight.release_at_s or 0.0):
            docked = view.sample.value.docked
        sign = release_sign(flight, throttle, self._cockpit.vehicle.type.empty_mass_kg, docked, now_s)
        match sign:
            case None:
                return
            case ReleaseState.CONFIRMED | ReleaseState.UNCONFIRMED:
                await self._released(sign, state)
            case ReleaseState.FAILED if flight.release_tries < RELEASE_TRIES:
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

    async def _released(self, sign: ReleaseState, state: VehicleState) -> None:
        flight = self._cockpit.flight
        view = self._cockpit.around.boxes.view(flight.box.box_id, self._cockpit.clock.now_s())
        verdict: dict[str, Any] = {}
        if view is not None:
            verdict = {"verdict": view.verdict.value, "verdict_why": view.why}
        note = self._cockpit.note("custody", step="release", confirmed=sign.value, state=brief(state), **verdict)
        self._cockpit.flight = replace(
            flight, phase=next_phase(flight.phase, FlightEvent.RELEASED), release=sign, payload_on_board=False
        )
        await self._cockpit.turn_home(note, order_event=OrderEvent.RELEASE, box_away=True, **verdict)
