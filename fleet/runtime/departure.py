"""Before take-off: the plan of the departure, its proof, and the launch."""

from __future__ import annotations

from dataclasses import replace

from fleet.records.codec import to_json
from fleet.runtime.cockpit import Cockpit
from missions.decision.types import FlightPhase
from missions.delivery import FlightEvent, Intent, bars_launch, next_phase
from missions.options import gross_payload_kg
from missions.orders import OrderState
from missions.plan import Ending, Infeasible
from missions.snapshot import VehicleState, Wind
from missions.world import World, plan_to

PAD_WAIT_S = 300.0
"""how long a loaded vehicle may wait on its pad for a zone to open: the dose is in the box, and the box in the sun"""
LAUNCH_TRIES = 6
"""uploads or starts that may fail on the ground before the order goes back to dispatch"""
PLAN_MAX_AGE_S = 90.0
"""a plan waiting on the ground longer than this is made anew before take-off: wind, times and zones have moved"""


class Departure:
    """From loading to launch, also after a pack swap on the way."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit = cockpit

    async def prepare(self, state: VehicleState, now_s: float) -> None:
        flight = self._cockpit.flight
        entry = self._cockpit.ledger.orders[flight.order_id]
        if entry.state is OrderState.CANCELLED or entry.is_final:
            await self._cockpit.abandon("the order is over", unassign=False)
            return
        if self._cockpit.watch.failures >= LAUNCH_TRIES:
            await self._cockpit.abandon(
                f"the vehicle did not take the plan or would not start: {self._cockpit.watch.failed}",
                unassign=not flight.was_airborne,
            )
            return
        if entry.state not in (OrderState.READY, OrderState.IN_FLIGHT):
            return  # still being loaded
        plan = flight.plan
        world = self._cockpit.around.world()
        stale = (
            plan is None or plan.airspace_version != world.airspace.version or now_s - plan.depart_s > PLAN_MAX_AGE_S
        )
        if stale and self._cockpit.watch.step is None:
            await self._plan_departure(state, now_s, world)
            return
        if plan is not None and flight.held is not None and flight.held.plan_id == plan.plan_id:
            if flight.phase is FlightPhase.PREPARING:
                verified = replace(flight, phase=next_phase(flight.phase, FlightEvent.VERIFIED))
                await self._cockpit.set(
                    verified, self._cockpit.note("phase", phase=verified.phase.value, held=to_json(flight.held))
                )
            elif now_s < plan.depart_s or await self._barred(state, now_s):
                return  # a zone is still to open, or something to be mended
            elif self._cockpit.around.take_launch_slot(flight):
                launched = replace(flight, phase=next_phase(flight.phase, FlightEvent.LAUNCH), intent=Intent.FLY)
                await self._cockpit.set(
                    replace(launched, launched_s=now_s),
                    self._cockpit.note("phase", phase=launched.phase.value, event="launch"),
                )

    async def _barred(self, state: VehicleState, now_s: float) -> bool:
        """Box or vehicle must not leave the ground as they are: told once, and looked at again at each turn."""
        view = self._cockpit.around.boxes.view(self._cockpit.flight.box.box_id, now_s)
        why = bars_launch(view) or _not_ready(state)
        watch = self._cockpit.watch
        if why is not None and why != watch.barred:
            await self._cockpit.set(self._cockpit.flight, self._cockpit.note("alarm", text=f"not launched: {why}"))
        watch.barred = why
        return why is not None

    async def _plan_departure(self, state: VehicleState, now_s: float, world: World) -> None:
        flight = self._cockpit.flight
        order = self._cockpit.ledger.orders[flight.order_id].order
        if state.position is None or state.battery is None:
            return
        here = state.position.value
        start_site = self._cockpit.where(state)
        ground = self._cockpit.site(start_site).elevation_amsl_m if start_site in world.sites else here.alt_amsl_m
        made = plan_to(
            world,
            self._cockpit.vehicle,
            plan_id=f"{flight.flight_id}-out-{now_s:.1f}",
            start=here.point,
            start_amsl_m=ground,
            take_off=True,
            goal=self._cockpit.site(order.destination_site),
            ending=Ending.HOLD_AT_DROP,
            home=self._cockpit.site(flight.home_site),
            payload_kg=gross_payload_kg(flight),
            battery_pct=self._cockpit.battery_pct(state),
            wind=state.wind.value if state.wind is not None else Wind(0.0, 0.0),
            layer_agl_m=flight.layer_agl_m,
            depart_s=now_s,
            latest_depart_s=now_s + PAD_WAIT_S,
            draw=flight.draw,
        )
        if isinstance(made, Infeasible):
            self._cockpit.watch.failures += 1
            await self._cockpit.set(
                flight, self._cockpit.note("infeasible", reasons=[to_json(r) for r in made.reasons])
            )
            if not flight.was_airborne:
                await self._cockpit.abandon(str(made), unassign=True)
            return
        await self._cockpit.set(
            replace(
                flight,
                plan=made,
                layer_agl_m=made.cruise_agl_m,
                goal_site=made.goal_site,
                held=None,
                intent=Intent.PREPARE,
                phase=FlightPhase.PREPARING,
            ),
        )


def _not_ready(state: VehicleState) -> str | None:
    """Why the vehicle would refuse to arm; None if it would not, or says nothing of it."""
    if state.health_ok is None or state.health_ok.value:
        return None
    return f"{state.vehicle_id} is not ready to arm{': ' + ', '.join(state.not_ready) if state.not_ready else ''}"
