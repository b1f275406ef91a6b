"""The people of a scenario: the pharmacist who packs, the staff who re-ice, the recipient who gives the code.

They act as people do, over the same port as any client, and with their hands in the simulated world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.controller import Controller
from fleet.service import CustodyStep, OrderRequest, OrderView, Refused
from fleet.simulate.scenario import Scenario, ScenarioOrder
from fleet.simulate.stage import Stage
from missions.orders import FINAL_ORDER_STATES, OrderState

LOOK_EVERY_S = 1.0
AGAIN_S = 5.0
"""what people could not do they try again"""


@dataclass(slots=True)
class Delivery:
    """An order of the scenario and what became of it."""

    wanted: ScenarioOrder
    order_id: str | None = None
    refused: Refused | None = None
    loads: int = 0
    """how often it was brought to a vehicle: once, unless dispatch takes another"""
    receiving: bool = False


class People:
    """Runs the scenario's orders and hands. While the controller is down they wait."""

    def __init__(self, scenario: Scenario, stage: Stage, say: Callable[[str, dict[str, Any]], None]) -> None:
        self.deliveries = [Delivery(o) for o in scenario.file.orders]
        self._scenario = scenario
        self._stage = stage
        self._clock = stage.clock
        self._say = say
        self._reiced: set[str] = set()
        self._docked: dict[str, str] = {}
        """box → the vehicle that it is on"""
        stage.heard.append(self._heard)

    def _heard(self, event: dict[str, Any]) -> None:
        if event.get("event") == "reiced":
            self._reiced.add(str(event.get("box")))
        elif event.get("event") == "loaded":
            self._docked[str(event.get("box"))] = str(event.get("vehicle"))
        elif event.get("event") in ("unloaded", "released"):
            self._docked.pop(str(event.get("box")), None)

    def view(self, name: str) -> OrderView | None:
        """The order of that name as it stands, once it is placed."""
        delivery = next(d for d in self.deliveries if d.wanted.name == name)
        app = self._stage.app
        return app.service.order(delivery.order_id) if app is not None and delivery.order_id is not None else None

    async def run(self) -> None:
        """Until every order is final and, unless nobody waits for that, every vehicle is back from its flight."""
        async with asyncio.TaskGroup() as tasks:
            for delivery in self.deliveries:
                tasks.create_task(self._deliver(delivery), name=f"people of {delivery.wanted.name}")

    async def _service(self) -> Controller:
        while (app := self._stage.app) is None:
            await self._clock.sleep(LOOK_EVERY_S)
        return app.service

    async def _deliver(self, delivery: Delivery) -> None:
        wanted = delivery.wanted
        await self._clock.sleep(wanted.at_s)
        placed = await (await self._service()).place_order(
            OrderRequest(
                product_id=wanted.product,
                destination_site=wanted.to,
                recipient_ref=f"demo-{wanted.name}",
                mass_kg=wanted.mass_kg,
                volume_l=wanted.volume_l,
                deadline_s=self._clock.now_s() + wanted.deadline_min * 60.0,
                priority=wanted.priority,
                budget_min=tuple(wanted.budget_min.items()),
                single_patient=wanted.single_patient,
            ),
            requester="scenario",
            idempotency_key=wanted.name,
            fingerprint=wanted.name,
        )
        if isinstance(placed, Refused):
            delivery.refused = placed
            return
        delivery.order_id = placed.order.order_id
        while True:
            view = (await self._service()).order(placed.order.order_id)
            assert view is not None
            await self._act(delivery, view)
            waits = self._scenario.file.waits_for_landing and view.phase is not None
            if view.state in FINAL_ORDER_STATES and not waits:
                return
            await self._clock.sleep(LOOK_EVERY_S)

    async def _act(self, delivery: Delivery, view: OrderView) -> None:
        people = self._scenario.file.people
        if view.state is OrderState.LOADING and view.box_id and view.vehicle_id and await self._is_new(delivery):
            delivery.loads += 1
            await self._clock.sleep(people.load_s)
            await self._load(delivery.wanted, view.order.order_id, view.box_id, view.vehicle_id)
        elif view.phase == "reicing" and view.box_id in self._reiced:
            self._reiced.discard(view.box_id)
            detail = {"pack": "fresh", "seal": "mended"}
            await self._custody(view.order.order_id, CustodyStep.REICED, "station-staff", detail)
        elif view.state is OrderState.RELEASED and not delivery.receiving:
            delivery.receiving = True
            await self._clock.sleep(people.receive_s)
            await self._receive(view.order.order_id)

    async def _is_new(self, delivery: Delivery) -> bool:
        """Whether it is to be loaded once more than it was."""
        events = (await self._service()).record(f"order/{delivery.order_id}")
        asked = sum(e.kind == "order_state" and e.body["state"] == OrderState.LOADING for e in events)
        return bool(asked > delivery.loads)

    async def _load(self, wanted: ScenarioOrder, order_id: str, box_id: str, vehicle_id: str) -> None:
        pack = {} if wanted.pack_left_kj is None else {"pack_left_kj": wanted.pack_left_kj}
        for other, where in list(self._docked.items()):  # what came back, or had been meant for another vehicle
            if other == box_id or where == vehicle_id:
                await self._handle(other, None, do="unload", box=other)
        dose = {"payload_kg": wanted.mass_kg, "payload_c": wanted.payload_c, **pack}
        await self._handle(box_id, vehicle_id, do="load", box=box_id, vehicle=vehicle_id, **dose)
        await self._custody(order_id, CustodyStep.LOAD, "pharmacist", {"vehicle_id": vehicle_id, "box_id": box_id})
        # The pharmacist notes what the pack's indicator shows, so that the forecast starts from it.
        await self._custody(order_id, CustodyStep.SEAL, "pharmacist", {"seal": f"seal-{order_id[-4:]}", **pack})

    async def _handle(self, box_id: str, vehicle_id: str | None, **hands: Any) -> None:
        """Until the box is on that vehicle, or on none: nobody reaches under rotors that turn."""
        while self._docked.get(box_id) != vehicle_id:
            self._stage.tell(**hands)
            since_s = self._clock.now_s()
            while self._docked.get(box_id) != vehicle_id and self._clock.now_s() - since_s < AGAIN_S:
                await self._clock.sleep(0.5)

    async def _custody(self, order_id: str, step: CustodyStep, actor: str, detail: dict[str, Any]) -> None:
        answer = await (await self._service()).custody(order_id, step, actor=actor, detail=detail)
        if isinstance(answer, Refused):
            self._say("refused", {"order_id": order_id, "step": step.value, "why": answer.reasons[0].text})

    async def _receive(self, order_id: str) -> None:
        """The recipient reads the verdict first, then gives the code."""
        service = await self._service()
        view = service.order(order_id)
        assert view is not None
        if view.box_id in self._docked:
            return  # it is said to be here, and is not
        await self._custody(order_id, CustodyStep.HAND_OVER, "recipient", {})
        answer = await service.confirm_receipt(
            order_id, code=view.confirmation_code or "", verdict_seen=view.verdict or "unknown", actor="recipient"
        )
        if isinstance(answer, Refused):
            self._say("refused", {"order_id": order_id, "step": "receipt", "why": answer.reasons[0].text})
