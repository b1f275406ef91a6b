"""A controller without sockets, threads or real time: the demo valley, fake vehicles, boxes that obey the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.app import load_airspace
from fleet.clock import LoopClock
from fleet.config import FleetConfig, Handling, data_dir, load_config
from fleet.controller import Controller
from fleet.mavlink.recorder import UNRECORDED, FlightRecorder
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.ledger import Ledger
from fleet.runtime.prospects import Fleet
from fleet.runtime.supervisor import Supervisor
from fleet.service import CustodyStep, OrderRequest, OrderView, Refused
from fleet.store import MemoryStore
from fleet.virtual import run_virtual
from geofences.airspace import Airspace
from missions.boxes import BoxSample
from missions.orders import Priority
from missions.world import World
from tests.support.fake_vehicle import FakeVehicle

START_S = 1_773_133_200.0
"""a Tuesday, 09:00 UTC"""


def demo_config(**changes: Any) -> FleetConfig:
    config = load_config(data_dir() / "fleet.yaml")
    return replace(config, **{"handling": Handling(auto_load=True, auto_reice=True), **changes})


@dataclass
class Rig:
    """One controller process; `restarted` makes the next one on the same store, vehicles and boxes."""

    config: FleetConfig
    clock: LoopClock
    store: MemoryStore
    vehicles: dict[str, FakeVehicle]
    ledger: Ledger
    boxes: BoxDesk
    supervisor: Supervisor
    service: Controller
    temps_c: dict[str, float | None] = field(default_factory=dict)
    """box → what its probe shows; None: it is silent"""
    seal_ok: bool = True
    lid_open: bool = False

    async def place(self, to: str = "salme", product: str = "red_cells", **changes: Any) -> OrderView:
        request = OrderRequest(
            product_id=product,
            destination_site=to,
            recipient_ref="ward-7",
            mass_kg=0.8,
            volume_l=1.5,
            deadline_s=self.clock.now_s() + 3600.0,
            priority=Priority.URGENT,
        )
        request = replace(request, **changes)
        key = f"key-{len(self.ledger.orders)}"
        answer = await self.service.place_order(request, requester="ward", idempotency_key=key, fingerprint=key)
        assert not isinstance(answer, Refused), answer
        return answer

    def order(self, order_id: str) -> OrderView:
        view = self.service.order(order_id)
        assert view is not None
        return view

    async def until(self, condition: Callable[[], bool], limit_s: float = 1800.0) -> None:
        """Lets time pass until it holds. Fails after `limit_s` with where everything stands."""
        end_s = self.clock.now_s() + limit_s
        while not condition():
            if self.clock.now_s() > end_s:
                orders = [(v.state, v.phase, v.decision, v.reasons) for v in self.service.orders()]
                raise AssertionError(f"not within {limit_s:g} s; orders: {orders}")
            await self.clock.sleep(0.25)

    async def until_state(self, order_id: str, state: str, limit_s: float = 1800.0) -> None:
        await self.until(lambda: self.order(order_id).state == state, limit_s)

    async def until_phase(self, order_id: str, phase: str | None, limit_s: float = 1800.0) -> None:
        await self.until(lambda: self.order(order_id).phase == phase, limit_s)

    def vehicle_of(self, order_id: str) -> FakeVehicle:
        vehicle_id = self.order(order_id).vehicle_id
        assert vehicle_id is not None
        return self.vehicles[vehicle_id]

    async def receive(self, order_id: str) -> OrderView | Refused:
        view = self.order(order_id)
        return await self.service.confirm_receipt(
            order_id, code=view.confirmation_code or "", verdict_seen=view.verdict or "unknown", actor="nurse"
        )

    async def custody(self, order_id: str, step: CustodyStep, **detail: Any) -> OrderView | Refused:
        return await self.service.custody(order_id, step, actor="pharmacist", detail=detail)

    def events(self, order_id: str, kind: str) -> list[dict[str, Any]]:
        return [e.body for e in self.store.events(f"order/{order_id}") if e.kind == kind]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.supervisor.run(), name="supervisor")
            tasks.create_task(self._sample(), name="boxes")

    async def _sample(self) -> None:
        seq = 0
        while True:
            seq += 1
            for box_id in self.config.boxes:
                temp = self.temps_c.get(box_id, 4.6)
                if temp is None:
                    continue
                flight = next((f for f in self.ledger.flights.values() if f.box.box_id == box_id), None)
                released = flight is not None and self.vehicles[flight.vehicle_id].released
                wobble = 0.05 * ((seq * 7) % 5 - 2)
                sample = BoxSample(
                    box_id,
                    "boot-1",
                    seq,
                    self.clock.now_s(),
                    (temp + wobble,),
                    lid_open=self.lid_open,
                    seal_ok=self.seal_ok,
                    docked=not released,
                )
                self.boxes.take(sample, self.clock.now_s())
            await self.clock.sleep(2.0)


def make(
    config: FleetConfig,
    clock: LoopClock,
    store: MemoryStore,
    vehicles: dict[str, FakeVehicle] | None = None,
    airspace: Airspace | None = None,
    recorder: FlightRecorder = UNRECORDED,
) -> Rig:
    ledger = Ledger(store, clock, airspace or load_airspace(config))
    if vehicles is None:
        vehicles = {}
        for vehicle_id, vehicle in config.vehicles.items():
            home = config.sites[vehicle.home_site]
            vehicles[vehicle_id] = FakeVehicle(vehicle_id, clock, home.position, home.elevation_amsl_m)

    def world() -> World:
        return World(config.sites, ledger.airspace, config.policy.authorised_zones, config.terrain, config.planning)

    boxes = BoxDesk(dict(config.boxes), dict(config.products), ledger, lambda order_id: 38.0, lambda amsl_m, at_s: 38.0)
    boxes.resume()
    fleet = Fleet(config.vehicles, config.boxes, config.products, config.policy, config.policy_hash, config.handling)
    supervisor = Supervisor(
        fleet,
        vehicles,
        ledger,
        boxes,
        clock,
        world,
        lambda now_s: None,
        lambda vehicle_id: None,
        offload=inline,
        recorder=recorder,
    )
    service = Controller(
        clock=clock,
        store=store,
        ledger=ledger,
        boxes=boxes,
        supervisor=supervisor,
        world=world,
        code_secret=b"secret",
        air_c=lambda agl_m: 38.0,
        checks=lambda: {"store": "ok"},
    )
    return Rig(config, clock, store, vehicles, ledger, boxes, supervisor, service)


async def inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """In place of a thread, which virtual time would not wait for."""
    return function(*arguments)


@contextlib.asynccontextmanager
async def rig(config: FleetConfig | None = None, **changes: Any) -> AsyncIterator[Rig]:
    """A running controller in the demo valley."""
    made = make(config or demo_config(), LoopClock(START_S), MemoryStore(), **changes)
    async with alive(made):
        yield made


@contextlib.asynccontextmanager
async def alive(made: Rig) -> AsyncIterator[None]:
    """Runs it inside the context; leaving is as sudden as a kill: nothing is told to anybody."""
    task = asyncio.create_task(made.run(), name="controller")
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def restarted(old: Rig, recorder: FlightRecorder = UNRECORDED) -> Rig:
    """The next process: the same store and vehicles, nothing else."""
    airspace = load_airspace(old.config)
    made = make(old.config, old.clock, old.store, old.vehicles, airspace=airspace, recorder=recorder)
    made.temps_c, made.seal_ok, made.lid_open = old.temps_c, old.seal_ok, old.lid_open
    return made


Story = Callable[[Rig], Coroutine[Any, Any, None]]


def tell(story: Story, **changes: Any) -> None:
    async def main() -> None:
        async with rig(**changes) as r:
            await story(r)

    run_virtual(main())
