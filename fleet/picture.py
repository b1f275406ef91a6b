"""What is shown of orders and vehicles: their views, made of the ledger, the boxes, the sessions and telemetry."""

from __future__ import annotations

from collections.abc import Callable
from math import atan2, degrees, hypot

from fleet.clock import Clock
from fleet.mavlink.port import PlanIds
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.ledger import Ledger, OrderEntry
from fleet.runtime.supervisor import Supervisor
from fleet.service import OrderView, VehicleView
from missions.delivery import AIRBORNE_PHASES, Flight, holds, in_air
from missions.lastline import if_link_dies
from missions.snapshot import VehicleState
from missions.togo import time_left_s
from missions.world import World


class Picture:
    """Reads only."""

    def __init__(
        self,
        clock: Clock,
        ledger: Ledger,
        boxes: BoxDesk,
        supervisor: Supervisor,
        world: Callable[[], World],
        code: Callable[[str], str],
    ) -> None:
        """`code`: the one-time code for the receipt of an order."""
        self._clock = clock
        self._ledger = ledger
        self._boxes = boxes
        self._supervisor = supervisor
        self._world = world
        self._code = code

    def order(self, entry: OrderEntry) -> OrderView:
        flight = self.flight(entry)
        bound = entry.box_id is not None and not entry.is_final
        verdict, why = self.verdict(entry) if bound else (entry.verdict, entry.verdict_why)
        return OrderView(
            order=entry.order,
            state=entry.state,
            reasons=entry.reasons,
            vehicle_id=entry.vehicle_id,
            box_id=entry.box_id,
            eta_s=self._eta_s(flight) if not entry.is_final else None,
            phase=flight.phase.value if flight is not None else None,
            verdict=verdict,
            verdict_why=why,
            confirmation_code=self._code(entry.order.order_id),
            decision=self._sentence(entry),
        )

    def _sentence(self, entry: OrderEntry) -> str | None:
        """The newest decision with the numbers of this moment while it flies, else as it was last recorded."""
        session = self._supervisor.sessions.get(entry.vehicle_id or "")
        if session is not None and session.flight.order_id == entry.order.order_id and session.decision is not None:
            return session.decision.sentence
        return entry.decision

    def flight(self, entry: OrderEntry) -> Flight | None:
        return self._ledger.flights.get(entry.flight_id) if entry.flight_id is not None else None

    def _eta_s(self, flight: Flight | None) -> float | None:
        """When the present plan ends, by what of it is still to fly."""
        if flight is None or flight.plan is None or flight.phase not in AIRBORNE_PHASES:
            return None
        state = self._supervisor.ports[flight.vehicle_id].state()
        if state.position is None:
            return flight.plan.arrive_s
        return self._clock.now_s() + time_left_s(flight.plan, state.position.value)

    def verdict(self, entry: OrderEntry) -> tuple[str, str]:
        """The newest cold verdict: from the box while its samples still come, else as last written down."""
        view = self._boxes.view(entry.box_id, self._clock.now_s()) if entry.box_id and not entry.is_final else None
        if view is not None:
            return view.verdict.value, view.why
        return entry.verdict or "unknown", entry.verdict_why or "no sample was received"

    def vehicle(self, vehicle_id: str) -> VehicleView:
        now_s = self._clock.now_s()
        vehicle = self._supervisor.fleet.vehicles[vehicle_id]
        trouble = self._supervisor.trouble(vehicle_id)
        ours = (trouble,) if trouble is not None else ()
        state = self._supervisor.ports[vehicle_id].state()
        flight = self._ledger.flight_of_vehicle(vehicle_id)
        session = self._supervisor.sessions.get(vehicle_id)
        decision = session.decision if session is not None else None
        no_return = session.no_return if session is not None else None
        awaits = decision.awaits if decision is not None else None
        box = self._boxes.view(flight.box.box_id, now_s) if flight is not None else None
        age_s = None if state.heard_s is None else now_s - state.heard_s
        stale = age_s is not None and age_s > self._supervisor.fleet.policy.link_stale_s
        position = state.position.value if state.position is not None else None
        velocity = state.velocity.value if state.velocity is not None else None
        ground = self._world().terrain.ground_amsl_m(position.point) if position is not None else None
        speed = hypot(velocity.north_m_s, velocity.east_m_s) if velocity is not None else None
        heading = None
        if velocity is not None and speed is not None and speed > 0.5:
            heading = degrees(atan2(velocity.east_m_s, velocity.north_m_s)) % 360.0
        plan = flight.plan if flight is not None else None
        held = flight.held if flight is not None else None
        verified = flight is not None and holds(flight, state)
        return VehicleView(
            vehicle_id=vehicle_id,
            type_name=vehicle.type.name,
            home_site=vehicle.home_site,
            link="never" if age_s is None else "stale" if stale else "up",
            heard_age_s=age_s,
            lat_deg=position.point.lat_deg if position is not None else None,
            lon_deg=position.point.lon_deg if position is not None else None,
            alt_amsl_m=position.alt_amsl_m if position is not None else None,
            alt_agl_m=position.alt_amsl_m - ground if position is not None and ground is not None else None,
            ground_speed_m_s=speed,
            heading_deg=heading,
            mode=state.mode.value.value if state.mode is not None else None,
            armed=state.armed.value if state.armed is not None else None,
            battery_pct=state.battery.value.remaining_pct if state.battery is not None else None,
            phase=flight.phase.value if flight is not None else None,
            order_id=flight.order_id if flight is not None else None,
            box_id=flight.box.box_id if flight is not None and flight.payload_on_board else None,
            box_temp_c=box.temp_c if box is not None else None,
            verdict=box.verdict.value if box is not None else None,
            eta_s=self._eta_s(flight),
            authority=flight.authority if flight is not None else True,
            faults=ours + (tuple(f.text for f in decision.faults) if decision is not None else ()),
            decision=decision.sentence if decision is not None else None,
            route=tuple((w.position.lat_deg, w.position.lon_deg, w.alt_amsl_m) for w in plan.waypoints) if plan else (),
            rtt_s=state.link.rtt_s,
            loss_pct=state.link.loss_pct,
            firmware=state.firmware,
            plan_verified=verified,
            if_link_dies=self._if_link_dies(flight, state) if flight is not None else "",
            no_return_m=no_return.distance_m if no_return is not None else None,
            no_return_s=no_return.at_s if no_return is not None else None,
            awaits=f"{awaits.kind} {awaits.site_id}" if awaits is not None else None,
            awaits_until_s=awaits.until_s if awaits is not None else None,
            driver=self._supervisor.ports[vehicle_id].capabilities.driver,
            uid=state.uid,
            signing=state.link.signing.value,
            links=state.link.paths,
            plan_ids=PlanIds(held.mission, held.fence, held.rally) if verified and held is not None else None,
            other_gcs=state.link.other_gcs,
            not_ready=state.not_ready,
            unfit=self._supervisor.fitness.why_not(vehicle_id, state) if age_s is not None else None,
        )

    def _if_link_dies(self, flight: Flight, state: VehicleState) -> str:
        world = self._world()
        version = world.airspace.version
        return if_link_dies(flight.plan, state, airborne=in_air(state), airspace_version=version, sites=world.sites)
