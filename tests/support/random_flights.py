"""One random delivery in virtual time, told by a seed: what goes wrong, when, and what must hold all the same."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest import mock

from fleet.clock import LoopClock
from fleet.records.chain import verify
from fleet.service import Refused, VehicleCommand
from fleet.virtual import run_virtual
from geofences.geodesy import LatLon, bearing_deg, destination, distance_m
from geofences.volumes import Circle, Restriction, Volume, Zone
from missions.orders import FINAL_ORDER_STATES, OrderState
from missions.snapshot import Mode
from tests.runtime.rig import START_S, Rig, demo_config, make, restarted
from fleet.store import MemoryStore
from tests.support.wild_vehicle import WildVehicle

DESTINATIONS = ("ndeba", "koru", "salme", "orvane")
PRODUCTS = ("red_cells", "vaccine_freeze_sensitive", "antibiotic_crt", "insulin")
TICK_S = 0.5
LIMIT_S = 2400.0
"""after the last thing that goes wrong: a flight takes a quarter of an hour, a second one waits for its pad"""
GRACE_S = 4.0
"""after a time in which nothing could be commanded: hearing, looking, and the answer to a hold"""
MOST_COMMITS = 100
"""at one instant; a busy one has ten"""
EDGE_M = 60.0
"""a closure that appears this near cannot be avoided: two seconds at 20 m/s and the answer to a hold"""
ENDED = {s.value for s in FINAL_ORDER_STATES | {OrderState.RELEASED}}


@dataclass
class Closure:
    zone: Zone
    centre: LatLon
    radius_m: float
    ends_s: float
    excused: set[str] = field(default_factory=set)
    """vehicles that were inside, or nearly, when it appeared"""


@dataclass
class Flying:
    """The state of one random run."""

    seed: int
    rig: Rig
    rng: random.Random
    controller: asyncio.Task[None] | None = None
    closures: list[Closure] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    helpless_until_s: dict[str, float] = field(default_factory=dict)
    """per vehicle: until when nobody could have kept it out of a closure"""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    orders: list[str] = field(default_factory=list)
    commits: tuple[float, int] = (0.0, 0)
    """an instant and the commits made at it"""

    def tell(self, text: str) -> None:
        self.story.append(f"{self.rig.clock.now_s() - START_S:7.1f} s  {text}")

    def vehicles(self) -> list[WildVehicle]:
        return [v for v in self.rig.vehicles.values() if isinstance(v, WildVehicle)]

    def airborne(self) -> list[WildVehicle]:
        return [v for v in self.vehicles() if v.armed and v.alt_amsl_m > v.ground_amsl_m + 5.0]

    def count_commit(self, events: object) -> None:
        """A controller that never lets time pass is caught here; virtual time alone would wait for it for ever."""
        now_s = self.rig.clock.now_s()
        self.commits = (now_s, self.commits[1] + 1 if self.commits[0] == now_s else 1)
        if self.commits[1] > MOST_COMMITS:
            raise AssertionError(f"seed {self.seed}: {MOST_COMMITS} commits at one instant: it decides in circles")

    # the controller's process

    def start(self) -> None:
        self.controller = asyncio.create_task(self.rig.run(), name="controller")

    async def kill(self) -> None:
        assert self.controller is not None
        if self.controller.done():
            self.controller.result()
        self.controller.cancel()
        await asyncio.wait([self.controller])

    # what goes wrong

    async def restart(self) -> None:
        down_s = self.rng.uniform(0.2, 20.0)
        self.tell(f"the controller is killed and back after {down_s:.1f} s")
        await self.kill()
        self.helpless(down_s + GRACE_S, *self.vehicles())
        for vehicle in self.vehicles():
            vehicle.forget()
        end_s = self.rig.clock.now_s() + down_s
        while self.rig.clock.now_s() < end_s:
            await self.rig.clock.sleep(TICK_S)
            self.watch()
        self.rig = restarted(self.rig)
        self.start()

    async def silence(self) -> None:
        for vehicle in self.pick():
            quiet_s = self.rng.choice([self.rng.uniform(1.0, 6.0), self.rng.uniform(6.0, 60.0)])
            self.tell(f"{vehicle.vehicle_id} is silent for {quiet_s:.1f} s")
            vehicle.go_silent()
            self.helpless(quiet_s + GRACE_S, vehicle)
            self.later(quiet_s, vehicle.be_heard)

    async def closure(self) -> None:
        for vehicle in self.pick():
            goal = self.rig.config.sites[self.rng.choice([*DESTINATIONS, "teral"])].position
            way_m = distance_m(vehicle.at, goal) * self.rng.uniform(0.05, 0.9)
            side_m, side_deg = self.rng.uniform(0.0, 400.0), self.rng.uniform(0.0, 360.0)
            centre = destination(vehicle.at, bearing_deg(vehicle.at, goal), way_m) if way_m > 1.0 else goal
            centre = destination(centre, side_deg, side_m)
            radius_m, lasts_s = self.rng.uniform(100.0, 600.0), self.rng.uniform(60.0, 600.0)
            zone_id = f"closure-{len(self.closures)}"
            zone = Zone(zone_id, "Closure", Restriction.PROHIBITED, (Volume(Circle(centre, radius_m)),))
            appeared = Closure(zone, centre, radius_m, self.rig.clock.now_s() + lasts_s)
            appeared.excused = {v.vehicle_id for v in self.vehicles() if distance_m(v.at, centre) < radius_m + EDGE_M}
            self.closures.append(appeared)
            self.tell(f"{zone_id} of {radius_m:.0f} m appears {way_m:.0f} m ahead of {vehicle.vehicle_id}")
            await self.rig.service.add_zone(zone, actor="authority")
            self.later(lasts_s, functools.partial(self.closures.remove, appeared))

    async def warm(self) -> None:
        box_id, rate_c_s = self.rng.choice(sorted(self.rig.config.boxes)), self.rng.uniform(0.01, 0.2)
        rate_c_s *= self.rng.choice([1.0, 1.0, -1.0])
        self.tell(f"{box_id} changes by {rate_c_s:.2f} °C/s")
        temps = self.rig.temps_c
        for second in range(self.rng.randint(10, 90)):
            self.later(float(second), lambda: temps.update({box_id: (temps.get(box_id) or 4.6) + rate_c_s}))

    async def mute_box(self) -> None:
        box_id, quiet_s = self.rng.choice(sorted(self.rig.config.boxes)), self.rng.uniform(20.0, 200.0)
        self.tell(f"{box_id} is silent for {quiet_s:.0f} s")
        temps, before = self.rig.temps_c, self.rig.temps_c.get(box_id) or 4.6
        temps[box_id] = None
        self.later(quiet_s, lambda: temps.update({box_id: before}))

    async def sag(self) -> None:
        for vehicle in self.pick():
            loss_pct = self.rng.uniform(5.0, 45.0)
            self.tell(f"{vehicle.vehicle_id} loses {loss_pct:.0f} % of battery")
            vehicle.battery_pct = max(12.0, vehicle.battery_pct - loss_pct)

    async def takeover(self) -> None:
        for vehicle in self.pick():
            self.tell(f"a pilot takes {vehicle.vehicle_id}")
            vehicle.take_over()
            flown_s = self.rng.uniform(5.0, 60.0)
            self.helpless(flown_s + GRACE_S, vehicle)
            await self.wait(flown_s)
            view = self.rig.service.vehicle(vehicle.vehicle_id)
            if not vehicle.heard or view is None:
                self.later(90.0, lambda: None)
                await self.wait(90.0)
            vehicle.give_back()
            answer = await self.rig.service.command(vehicle.vehicle_id, VehicleCommand.RESUME, actor="op")
            self.tell(f"{vehicle.vehicle_id} is handed back: {'refused' if isinstance(answer, Refused) else 'taken'}")
            if isinstance(answer, Refused):
                self.breaches.append(f"{vehicle.vehicle_id} could not be handed back: {answer.reasons}")

    async def jam(self) -> None:
        for vehicle in self.vehicles():
            vehicle.gripper_works = False
        self.tell("the grippers jam")

    async def lost_answers(self) -> None:
        for vehicle in self.vehicles():
            vehicle.ack_release = False
        self.tell("answers to a release are lost")

    def pick(self) -> list[WildVehicle]:
        """One vehicle in the air that no pilot flies, if there is one."""
        free = [v for v in self.airborne() if v.pilot_since_s is None and v.heard]
        return [self.rng.choice(free)] if free else []

    def helpless(self, duration_s: float, *vehicles: WildVehicle) -> None:
        end_s = self.rig.clock.now_s() + duration_s
        for v in vehicles:
            self.helpless_until_s[v.vehicle_id] = max(end_s, self.helpless_until_s.get(v.vehicle_id, 0.0))

    def later(self, delay_s: float, then: Callable[[], object]) -> None:
        async def run() -> None:
            await self.rig.clock.sleep(delay_s)
            then()

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # what must hold

    def right(self, vehicle_id: str) -> Callable[[str], str]:
        """Whether a command that leaves now is recorded and within authority, by the store alone."""

        def check(step: str) -> str:
            tables = self.rig.store.tables.get("flights", {})
            flights = [f for f in tables.values() if f["vehicle_id"] == vehicle_id and f["phase"] != "closed"]
            if len(flights) != 1:
                return f"it has {len(flights)} open flights"
            flight = flights[0]
            if not flight["authority"]:
                return "sent without authority"
            events = self.rig.store.events(f"order/{flight['order_id']}")
            said = next((e for e in reversed(events) if e.kind in ("command", "outcome")), None)
            if said is None or said.kind != "command" or said.body["step"] != step:
                return "not in the record before it was sent"
            return ""

        return check

    def watch(self) -> None:
        now_s = self.rig.clock.now_s()
        flying = {f.vehicle_id for f in self.rig.ledger.flights.values()}
        for vehicle in self.vehicles():
            vehicle._advance(now_s)
            if vehicle.vehicle_id not in flying and not vehicle.armed:
                vehicle.released = False  # the empty mount gets its next box
            for closure in self.closures:
                self._watch_closure(closure, vehicle, now_s)

    def _watch_closure(self, closure: Closure, vehicle: WildVehicle, now_s: float) -> None:
        inside = vehicle in self.airborne() and distance_m(vehicle.at, closure.centre) < closure.radius_m - 1.0
        if not inside or vehicle.vehicle_id in closure.excused:
            return
        closure.excused.add(vehicle.vehicle_id)  # told once
        if now_s > self.helpless_until_s.get(vehicle.vehicle_id, 0.0) and vehicle.mode is not Mode.RETURN:
            self.breaches.append(
                f"at {now_s - START_S:.1f} s {vehicle.vehicle_id} ({vehicle.mode}) entered {closure.zone.zone_id}"
            )

    def ended(self) -> bool:
        return not self.rig.ledger.flights and all(self.rig.order(i).state in ENDED for i in self.orders)

    def judge(self) -> None:
        """At the end: orders, releases and the record."""
        for order_id in self.orders:
            view = self.rig.order(order_id)
            releases = sum(e["event"] == "release" for e in self.rig.events(order_id, "order_state") if "event" in e)
            if releases > 1:
                self.breaches.append(f"{order_id} was released {releases} times in the record")
            if view.state not in ENDED:
                self.breaches.append(f"{order_id} ends {view.state}, phase {view.phase}: {view.decision}")
        said = sum(
            e["event"] == "release" for i in self.orders for e in self.rig.events(i, "order_state") if "event" in e
        )
        let_go = sum(v.let_go for v in self.vehicles())
        if let_go != said:
            self.breaches.append(f"{let_go} boxes were let go, the record knows {said}")
        for stream in self.rig.store.streams_:
            report = verify(self.rig.store.events(stream), stream=stream)
            if not report.ok:
                self.breaches.append(f"{stream}: {report.text}")
        for vehicle in self.vehicles():
            self.breaches += [f"{vehicle.vehicle_id}: {b}" for b in vehicle.breaches]

    async def wait(self, duration_s: float) -> None:
        end_s = self.rig.clock.now_s() + duration_s
        while self.rig.clock.now_s() < end_s:
            if self.controller is not None and self.controller.done():
                self.controller.result()
                raise AssertionError("the controller has ended by itself")
            await self.rig.clock.sleep(TICK_S)
            self.watch()


async def _fly(seed: int) -> Flying:
    rng = random.Random(seed)
    config, clock = demo_config(), LoopClock(START_S)
    vehicles: dict[str, WildVehicle] = {}
    for vehicle_id, vehicle in config.vehicles.items():
        home = config.sites[vehicle.home_site]
        vehicles[vehicle_id] = WildVehicle(
            vehicle_id, clock, home.position, home.elevation_amsl_m, returns_when_silent=rng.random() < 0.5
        )
    run = Flying(seed, make(config, clock, MemoryStore(), dict(vehicles)), rng)
    for vehicle_id, wild in vehicles.items():
        wild.may_command = run.right(vehicle_id)
    run.rig.store.on_commit = run.count_commit
    run.start()
    try:
        for _ in range(rng.choice([1, 1, 2])):
            to, product = rng.choice(DESTINATIONS), rng.choice(PRODUCTS)
            run.orders.append((await run.rig.place(to, product)).order.order_id)
            run.tell(f"order {run.orders[-1]} of {product} to {to}")
        faults = [run.restart, run.silence, run.closure, run.closure, run.warm, run.mute_box, run.sag, run.takeover]
        if rng.random() < 0.15:
            await run.jam()
        if rng.random() < 0.15:
            await run.lost_answers()
        for fault in rng.choices(faults, k=rng.randint(1, 6)):
            await run.wait(rng.uniform(5.0, 200.0))
            await fault()
        end_s = clock.now_s() + LIMIT_S
        while not run.ended() and clock.now_s() < end_s:
            await run.wait(5.0)
        run.judge()
    finally:
        await run.kill()
        for task in list(run.tasks):
            task.cancel()
    return run


def fly(seed: int) -> list[str]:
    """Flies the seed's story; what was broken, or nothing. The story is printed where something was."""
    ids = random.Random(seed)
    with mock.patch("secrets.token_hex", lambda n: f"{ids.getrandbits(8 * n):0{2 * n}x}"):
        run = run_virtual(_fly(seed))
    if run.breaches:
        print(f"seed {seed}: run it alone with COLDWING_SOAK_SEED={seed} make soak")
        print("\n".join([*run.story, *run.breaches]))
    return run.breaches
