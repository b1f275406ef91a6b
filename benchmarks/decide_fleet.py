"""A fleet in the air for `benchmarks.decide`: the controller as `fleet serve` runs it, with its flights under way.

The flights are put into the store as a controller would have left them, and re-adopted from there. The controller has a
core to itself; vehicles and boxes are a process on another one (`benchmarks.decide_vehicles`).
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.link_vehicles import SYSTEMS
from benchmarks.report import percentile, say
from fleet.app import Outside, running
from fleet.clock import ScaledClock
from fleet.coldbox import MOST_AT_ONCE, ColdBoxFeed
from fleet.config import FleetConfig, RecordingConfig, data_dir, load_airspace, load_config
from fleet.heap import steady_heap
from fleet.logs import configure_logs
from fleet.records.codec import to_json
from fleet.runtime.ledger import OrderEntry
from fleet.store import NewEvent, Put, Store
from geofences.geodesy import bearing_deg, destination, distance_m
from missions.decision.types import CandidateKind, FlightPhase
from missions.delivery import Flight, HeldPlan, Intent
from missions.orders import Order, OrderState, Priority
from missions.plan import Ending, Plan
from missions.snapshot import Mode, Wind
from missions.vehicles import Vehicle
from missions.world import World, plan_to

VEHICLES = 200
GOAL, HOME = "koru", "teral"
PRODUCT, BUDGET_MIN = "cct_biologic", (("cool", 4.5),)
"""too little for the rest of the way to the goal, enough for the way home: at the first sample out of range it turns"""
SEALED = {"step": "seal", "actor": "bench", "detail": {"pack_left_kj": 0.0}}
"""with a pack that is spent: it warms, and how fast is known"""
SPEED_M_S = 16.0
SETTLE_S, WINDOW_S, TAIL_S = 14.0, 20.0, 5.0


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _config(folder: Path, port: int, count: int) -> FleetConfig:
    base = load_config(data_dir() / "fleet.yaml")
    kind, box = base.vehicles["cw-1"], base.boxes["box-1"]
    names = [f"cw-{n:03}" for n in range(count)]
    return replace(
        base,
        vehicles={v: Vehicle(v, kind.type, HOME, s) for v, s in zip(names, SYSTEMS, strict=False)},
        links=dict.fromkeys(names, (f"udpin://127.0.0.1:{port}",)),
        boxes={f"box-{v}": replace(box, box_id=f"box-{v}") for v in names},
        box_homes={f"box-{v}": HOME for v in names},
        box_keys={},
        drivers={},
        contracts={},
        uids={},
        store_path=folder / "fleet.db",
        recording=RecordingConfig(folder / "tlog", 64.0, 1.0),
        # Only what has left its range opens the comparison: so it is known which sample a command answers.
        policy=replace(base.policy, min_p_in_range=0.0),
    )


def _plan(config: FleetConfig, vehicle: Vehicle, now_s: float) -> Plan:
    world = World(
        config.sites, load_airspace(config), config.policy.authorised_zones, config.terrain, config.planning
    )  # fmt: skip
    home = config.sites[HOME]
    made = plan_to(
        world, vehicle, plan_id="bench", start=home.position, start_amsl_m=home.elevation_amsl_m, take_off=True,
        goal=config.sites[GOAL], ending=Ending.HOLD_AT_DROP, home=home, payload_kg=2.0, battery_pct=90.0,
        wind=Wind(0.0, 0.0), layer_agl_m=80.0, depart_s=now_s - 100.0,
    )  # fmt: skip
    assert isinstance(made, Plan), made
    return made


async def _put_in_flight(config: FleetConfig, plan: Plan, now_s: float) -> None:
    """Orders in the air, as the controller would have left them in its store."""
    async with Store.open(config.store_path) as store:
        for n, (vehicle_id, vehicle) in enumerate(config.vehicles.items()):
            box, own = config.boxes[f"box-{vehicle_id}"], replace(plan, plan_id=f"bench-{n}")
            order = Order(
                f"ord-{n}", PRODUCT, HOME, GOAL, "ward", 0.8, 1.5, Priority.URGENT, now_s + 3600.0, now_s - 300.0,
                budget_min=BUDGET_MIN,
            )  # fmt: skip
            flight = Flight(
                flight_id=f"ord-{n}-1", order_id=order.order_id, vehicle_id=vehicle_id, box=box, payload_kg=0.8,
                home_site=vehicle.home_site, layer_agl_m=80.0, phase=FlightPhase.OUTBOUND, intent=Intent.FLY, plan=own,
                goal_site=GOAL, directive=CandidateKind.CONTINUE, held=HeldPlan(own.plan_id, 1000 + n, 7, 8, 0),
                expected=frozenset({Mode.MISSION}), was_airborne=True, launched_s=now_s - 100.0,
            )  # fmt: skip
            entry = OrderEntry(order, OrderState.IN_FLIGHT, "bench", (), flight.flight_id, vehicle_id, box.box_id)
            stream = f"order/{order.order_id}"
            await store.commit(
                events=[
                    NewEvent(stream, now_s - 300.0, "custody", SEALED),
                    NewEvent(stream, now_s - 100.0, "planned", {"plan": to_json(own)}),
                ],
                puts=[Put("orders", order.order_id, to_json(entry)), Put("flights", flight.flight_id, to_json(flight))],
            )


def _rows(config: FleetConfig, plan: Plan, *, burst: bool) -> list[dict[str, Any]]:
    """Who flies where on the plan's cruise, and when its dose leaves its range."""
    chance = random.Random(7)
    cruise = max(plan.legs, key=lambda leg: leg.length_m)
    course = bearing_deg(cruise.start.position, cruise.end.position)
    ahead = destination(cruise.start.position, course, 1000.0)
    north = distance_m(cruise.start.position, replace(ahead, lon_deg=cruise.start.position.lon_deg)) / 1000.0
    north *= 1.0 if ahead.lat_deg > cruise.start.position.lat_deg else -1.0
    east = distance_m(ahead, replace(ahead, lon_deg=cruise.start.position.lon_deg)) / 1000.0
    east *= 1.0 if ahead.lon_deg > cruise.start.position.lon_deg else -1.0
    rows = []
    for n, (vehicle_id, vehicle) in enumerate(config.vehicles.items()):
        at = destination(cruise.start.position, course, chance.uniform(300.0, 1200.0))
        phase_s = chance.uniform(0.0, 1.0)
        # Just before a sample is due, so that this one is the first out of range.
        cross_s = SETTLE_S + 0.5 * WINDOW_S if burst else SETTLE_S + phase_s + chance.randrange(int(WINDOW_S)) - 0.05
        rows.append(
            {
                "system": vehicle.system_id, "box": f"box-{vehicle_id}", "ids": [1000 + n, 7, 8],
                "total": len(plan.legs), "lat": at.lat_deg, "lon": at.lon_deg, "amsl_m": cruise.start.alt_amsl_m,
                "home_amsl_m": plan.home_amsl_m, "north_m_s": SPEED_M_S * north, "east_m_s": SPEED_M_S * east,
                "phase_s": 0.0 if burst else phase_s, "cross_s": cross_s,
            }
        )  # fmt: skip
    return rows


async def _listen(feed: ColdBoxFeed, port: int) -> None:
    """Samples from a socket in the place of the broker, taken as the feed takes them from there."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", port))

    def read() -> None:
        with suppress(BlockingIOError):
            for _ in range(MOST_AT_ONCE):
                box, _, payload = sock.recv(4096).partition(b"\n")
                feed.receive(f"coldwing/v1/boxes/{box.decode()}/samples", payload)

    loop = asyncio.get_running_loop()
    with closing(sock):
        loop.add_reader(sock.fileno(), read)
        feed.note(True, "ok")
        try:
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(sock.fileno())


async def _ages(supervisor: Any, clock: ScaledClock, into: list[float]) -> None:
    """How old the candidates are at any moment, of every vehicle that has not turned yet."""
    while True:
        await asyncio.sleep(0.5)
        for session in supervisor.sessions.values():
            at_s = session._cockpit.watch.candidates_at_s
            if at_s is not None and session.flight.directive is CandidateKind.CONTINUE:
                into.append(clock.now_s() - at_s)


async def _flown(folder: Path, count: int, *, burst: bool) -> dict[str, Any]:
    port, boxes_port, clock = _free_port(), _free_port(), ScaledClock()
    config = _config(folder, port, count)
    plan = _plan(config, next(iter(config.vehicles.values())), clock.now_s())
    await _put_in_flight(config, plan, clock.now_s())
    spec = {
        "port": port, "boxes_port": boxes_port, "seconds": SETTLE_S + WINDOW_S + TAIL_S,
        "vehicles": _rows(config, plan, burst=burst),
    }  # fmt: skip
    vehicles = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.decide_vehicles",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    ages: list[float] = []
    outside = Outside(listen=lambda feed: _listen(feed, boxes_port), serves=False)
    try:
        async with running(config, clock, outside) as app:
            with steady_heap():
                assert vehicles.stdin is not None
                vehicles.stdin.write(json.dumps(spec).encode() + b"\n")
                await vehicles.stdin.drain()
                await asyncio.sleep(SETTLE_S)
                watching = asyncio.create_task(_ages(app.service._supervisor, clock, ages))
                before_s, begun_s = time.process_time(), time.monotonic()
                await asyncio.sleep(0.4 * WINDOW_S)
                busy = (time.process_time() - before_s) / (time.monotonic() - begun_s)
                assert vehicles.stdout is not None
                told = json.loads(await vehicles.stdout.readline())
                watching.cancel()
    finally:
        with suppress(ProcessLookupError):
            vehicles.kill()
        await vehicles.wait()
    figures: dict[str, Any] = told | {"core_share": busy, "candidate_ages_s": ages}
    return figures


def _one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def end_to_end(count: int = VEHICLES) -> Mapping[str, Any]:
    """Both runs: in random phase, and all at once."""
    configure_logs(json=True, stream=io.StringIO())
    _one_core()
    figures: dict[str, Any] = {"vehicles": count, "messages_s_vehicle": 15, "box_hz": 1}
    for name, burst in (("random_phase", False), ("burst", True)):
        say(f"{count} vehicles, {name.replace('_', ' ')}")
        with tempfile.TemporaryDirectory() as folder:
            told = asyncio.run(_flown(Path(folder), count, burst=burst))
        ms = sorted(1e3 * s for s in told["latency_s"])
        ages = told["candidate_ages_s"]
        figures[name] = {
            "timed": len(ms),
            "never_commanded": told["crossed"] - len(ms),
            "median_ms": round(percentile(ms, 0.5), 1) if ms else None,
            "p99_ms": round(percentile(ms, 0.99), 1) if ms else None,
            "max_ms": round(ms[-1], 1) if ms else None,
            "core_share_before_any_turned": round(told["core_share"], 3),
            "candidates_age_p99_s": round(percentile(ages, 0.99), 1) if ages else None,
            "candidates_age_max_s": round(max(ages), 1) if ages else None,
            "frames_sent": told["sent"],
        }
        if burst and ms:
            figures[name]["first_sample_to_last_command_s"] = round(
                told["last_commanded_s"] - told["first_crossed_s"], 3
            )
    return figures
