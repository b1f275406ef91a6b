"""Plays a scenario on a stage to its end, and has it judged by what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.config import data_dir, load_airspace
from fleet.records.chain import verify
from fleet.service import OrderView, RecordedEvent
from fleet.simulate.director import Director
from fleet.simulate.inprocess import sim_fields
from fleet.simulate.judge import judge
from fleet.simulate.outcome import Carried, OrderOutcome, Outcome, ZoneSeen
from fleet.simulate.people import Delivery, People
from fleet.simulate.processes import SimulatorError
from fleet.simulate.scenario import Scenario
from fleet.simulate.stage import Stage
from geofences import heights
from geofences.geodesy import LatLon
from missions.coldchain.product import Product
from sitl.spec import SimSpec
from sitl.terrain import Terrain

Say = Callable[[str, dict[str, Any]], None]

SETTLE_S = 15.0
"""after the last order has ended, the longest wait for the observer to see the last landing"""
WATCH_EVERY_S = 1.0
AIRSPACE, FLEET = "airspace", "fleet"


@dataclass(slots=True)
class Play:
    """A scenario that is under way: what a terminal looks at."""

    scenario: Scenario
    stage: Stage
    seed: int
    say: Say
    people: People = field(init=False)
    director: Director = field(init=False)
    world: list[dict[str, Any]] = field(default_factory=list)
    """what happened in the world, in order"""
    started_s: float = field(init=False)
    measured: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    carried: dict[str, list[Carried]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started_s = self.stage.clock.now_s()
        self.people = People(self.scenario, self.stage, self.say)
        self.director = Director(self.scenario.happenings, self.stage, self.people, self._happened)
        self.stage.heard.append(self._heard)

    async def watch(self) -> None:
        """Notes once a second which vehicle has which order, and how warm its box is."""
        while True:
            app, now_s = self.stage.app, self.stage.clock.now_s()
            names = {d.order_id: d.wanted.name for d in self.people.deliveries}
            for v in app.service.vehicles() if app is not None else ():
                name = names.get(v.order_id) if v.order_id is not None else None
                if name is None:
                    continue
                if v.box_temp_c is not None:
                    self.measured.setdefault(name, []).append((now_s, v.box_temp_c))
                stays = self.carried.setdefault(name, [])
                if stays and stays[-1].vehicle_id == v.vehicle_id:
                    stays[-1] = replace(stays[-1], until_s=now_s)
                else:
                    stays.append(Carried(v.vehicle_id, now_s, now_s))
            await self.stage.clock.sleep(WATCH_EVERY_S)

    async def quiet(self, for_s: float) -> None:
        """Returns once no vehicle has flown, no order has changed and nothing has happened for so long."""
        last: tuple[Any, ...] = ()
        since_s = self.stage.clock.now_s()
        while self.stage.clock.now_s() - since_s < for_s:
            views = [self.people.view(d.wanted.name) for d in self.people.deliveries]
            now = (len(self.world), *((v.state, v.phase) for v in views if v is not None))
            if now != last or self._flies():
                last, since_s = now, self.stage.clock.now_s()
            await self.stage.clock.sleep(WATCH_EVERY_S)

    async def settle(self) -> None:
        """Returns once the observer has seen the last landing, or has waited for it long enough."""
        since_s = self.stage.clock.now_s()
        await self.stage.clock.sleep(WATCH_EVERY_S)
        while self._flies() and self.stage.clock.now_s() - since_s < SETTLE_S:
            await self.stage.clock.sleep(WATCH_EVERY_S)

    def _flies(self) -> bool:
        """Whether the observer sees a vehicle in the air."""
        seen = (x.flights() for x in self.stage.observer.sightings.values())
        return any(flights and flights[-1][1] == float("inf") for flights in seen)

    def _heard(self, event: dict[str, Any]) -> None:
        if event.get("event") != "fault":  # the director tells of those, by their names
            self._happened(event)

    def _happened(self, event: dict[str, Any]) -> None:
        self.world.append(event)
        self.say("world", event)


async def play(run: Play) -> Outcome:
    """Runs the story to its end or its time limit, then judges it."""
    file, clock, stage = run.scenario.file, run.stage.clock, run.stage
    began = time.monotonic()
    limit_min = file.limit_min if file.ends_min is None else file.ends_min
    timed_out = False
    try:
        async with asyncio.timeout(clock.wall_s(limit_min * 60.0)):
            await _story(run)
    except TimeoutError:
        timed_out = file.ends_min is None
    while stage.app is None:
        await clock.sleep(1.0)
    _did_go_wrong(run.world)
    outcome = _outcome(run, time.monotonic() - began, timed_out)
    return replace(outcome, findings=judge(run.scenario, outcome))


def _did_go_wrong(world: Sequence[Mapping[str, Any]]) -> None:
    """A fault that the world would not have makes every verdict on how it was borne void."""
    for event in world:
        if event["event"] == "refused" and event.get("asked", {}).get("do") == "fault":
            raise SimulatorError(f"the fault {event['asked']['kind']} was refused: {event['reason']}")


async def _story(run: Play) -> None:
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(run.watch(), name="watch")
        directing = tasks.create_task(run.director.run(), name="director")
        playing = tasks.create_task(run.people.run(), name="people")
        if (quiet_min := run.scenario.file.quiet_min) is None:
            await playing
        else:
            quiet = tasks.create_task(run.quiet(quiet_min * 60.0), name="quiet")
            await asyncio.wait((playing, quiet), return_when=asyncio.FIRST_COMPLETED)
            playing.cancel()
            quiet.cancel()
        await run.settle()
        watching.cancel()
        directing.cancel()


def _outcome(run: Play, wall_s: float, timed_out: bool) -> Outcome:
    stage, scenario = run.stage, run.scenario
    assert stage.app is not None
    service = stage.app.service
    products = scenario.config.products
    orders = [_order(d, service.order, service.record, products[d.wanted.product]) for d in run.people.deliveries]
    world = SimSpec.from_dict(sim_fields(scenario, run.seed)).world
    others = [AIRSPACE, FLEET, *(f"vehicle/{v}" for v in scenario.config.vehicles)]
    streams = [*others, *(f"order/{d.order_id}" for d in run.people.deliveries if d.order_id is not None)]
    reports = {s: verify(service.record(s), stream=s) for s in streams}
    return Outcome(
        title=scenario.file.title,
        scenario_text=scenario.text,
        seed=run.seed,
        stage=stage.name,
        started_s=run.started_s,
        ended_s=stage.clock.now_s(),
        wall_s=wall_s,
        timed_out=timed_out,
        orders=orders,
        sightings=stage.observer.sightings,
        world=run.world,
        zones=_zones(service.record(AIRSPACE), run),
        sites={
            name: (s.position.lat_deg, s.position.lon_deg, s.elevation_amsl_m)
            for name, s in scenario.config.sites.items()
        },
        streams_intact={s: "" if r.ok else r.text for s, r in reports.items()},
        box_truth=stage.box_truth,
        commanded=stage.commanded,
        faults=[h.name for h in scenario.happenings],
        measured=run.measured,
        carried=run.carried,
        terrain=_Ground(Terrain(world.terrain, world.ground_amsl_m)),
        events=[e for s in others for e in service.record(s)],
        base_map=(data_dir() / "airspace" / "valley-base.geojson").read_text(encoding="utf-8"),
    )


@dataclass(frozen=True, slots=True)
class _Ground(heights.Terrain):
    """The simulated world's terrain, as the judge asks for it."""

    terrain: Terrain

    def ground_amsl_m(self, at: LatLon) -> float:
        return self.terrain.at(at.lat_deg, at.lon_deg)


def _order(
    delivery: Delivery,
    order: Callable[[str], OrderView | None],
    record: Callable[[str], Sequence[RecordedEvent]],
    product: Product,
) -> OrderOutcome:
    name, order_id = delivery.wanted.name, delivery.order_id
    band_c = (product.lower_c, product.upper_c)
    if order_id is None:
        why = delivery.refused.reasons[0].text if delivery.refused is not None else "was never placed"
        return OrderOutcome(name, None, why, band_c=band_c)
    return OrderOutcome(name, order(order_id), events=tuple(record(f"order/{order_id}")), band_c=band_c)


def _zones(events: Sequence[RecordedEvent], run: Play) -> list[ZoneSeen]:
    """Those of the configured airspace, and each closure from when it appeared until it was withdrawn."""
    times = {(e.kind, e.body["zone_id"]): e.at_s for e in events if e.kind in ("zone_added", "zone_withdrawn")}
    standing = [ZoneSeen(z, 0.0) for z in load_airspace(run.scenario.config).zones]
    closures = [h.zone for h in run.scenario.happenings if h.zone is not None]
    return standing + [
        ZoneSeen(z, times["zone_added", z.zone_id], times.get(("zone_withdrawn", z.zone_id)))
        for z in closures
        if ("zone_added", z.zone_id) in times
    ]
