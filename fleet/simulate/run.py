"""Runs a scenario: starts broker, simulator and controller on one scaled clock, and judges how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleet.app import Running, running
from fleet.clock import ScaledClock
from fleet.config import ConfigError, Driver, FleetConfig, Handling, MqttConfig, Problem, load_config
from fleet.simulate.judge import Finding, Tracks, judge
from fleet.simulate.people import People
from fleet.simulate.processes import Simulator, SimulatorError, simulator
from fleet.simulate.scenario import Scenario, World
from geofences.formats import load_airspace_text
from geofences.volumes import Zone
from missions.sites import SiteKind
from sitl.broker import BrokerError, start_broker

Say = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Run:
    """A run that is under way: what a terminal or a test looks at."""

    scenario: Scenario
    app: Running
    people: People
    clock: ScaledClock
    tracks: Tracks = field(default_factory=Tracks)
    findings: list[Finding] = field(default_factory=list)
    timed_out: bool = False
    wall_s: float = 0.0

    @property
    def ok(self) -> bool:
        return bool(self.findings) and all(f.met for f in self.findings) and not self.timed_out


def load_closures(scenario: Scenario) -> list[Zone]:
    """The zones that will appear. Raises ConfigError if a file does not hold exactly one."""
    zones = []
    for path in scenario.closure_paths:
        parsed = load_airspace_text(path.read_text(encoding="utf-8"), str(path))
        if len(parsed.zones) != 1:
            said = "; ".join(str(p) for p in parsed.problems) or f"holds {len(parsed.zones)} zones"
            raise ConfigError([Problem(str(path), None, "", f"must hold one usable zone: {said}", "Mend the file")])
        zones.append(parsed.zones[0])
    return zones


def sim_spec(
    config: FleetConfig,
    weather: World,
    seed: int,
    clock: ScaledClock,
    mqtt: dict[str, Any],
    gcs: tuple[str, int],
    *,
    carrying: bool = False,
) -> dict[str, Any]:
    """What the simulator is told: the fleet as configured, at home, in this weather.

    `carrying`: the first box is on the first vehicle and so on, where no people load them.
    """
    boxes = list(config.boxes)
    sites = config.sites
    ground = next(iter(sites.values())).elevation_amsl_m
    return {
        "epoch_s": clock.epoch_s,
        "monotonic_s": clock.monotonic_s,
        "speed": clock.speed,
        "seed": seed,
        "world": {**weather.model_dump(), "ground_amsl_m": ground},
        "vehicles": [
            {
                "vehicle_id": v.vehicle_id,
                "system_id": v.system_id,
                "lat_deg": sites[v.home_site].position.lat_deg,
                # Side by side on the hub's pads, 6 m apart.
                "lon_deg": sites[v.home_site].position.lon_deg + i * 6.0 / 110_000.0,
                "gcs": {"local_port": 0, "host": gcs[0], "port": gcs[1]},
                **({"box": boxes[i]} if carrying and i < len(boxes) else {}),
                "performance": {
                    "cruise_m_s": v.type.cruise_m_s,
                    "climb_m_s": v.type.climb_m_s,
                    "descent_m_s": v.type.descent_m_s,
                    "hover_power_w": v.type.hover_power_w,
                    "cruise_power_w": v.type.cruise_power_w,
                    "empty_mass_kg": v.type.empty_mass_kg,
                    "max_payload_kg": v.type.max_payload_kg,
                    "battery_wh": v.type.battery_wh,
                },
            }
            for i, v in enumerate(config.vehicles.values())
        ],
        "boxes": [
            {
                "box_id": b.box_id,
                "empty_mass_kg": b.empty_mass_kg,
                "resistance_k_w": b.resistance_k_w,
                "capacity_kj_k": b.capacity_kj_k,
                "pack_temp_c": b.pack_temp_c,
                "pack_latent_kj": b.pack_latent_kj,
                "pack_left_kj": b.pack_latent_kj,
                "sample_s": 2.0,
            }
            for b in config.boxes.values()
        ],
        "stations": [
            {
                "site_id": s.site_id,
                "lat_deg": s.position.lat_deg,
                "lon_deg": s.position.lon_deg,
                "reice_s": s.reice_s,
            }
            for s in sites.values()
            if s.kind is SiteKind.REICING
        ],
        "mqtt": mqtt,
    }


def _usual_or_free(port: int) -> int:
    """The usual port, so that the console is where people expect it; 0 if something else listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def embedded(
    scenario: Scenario, *, speed: float, folder: Path, api_port: int | None
) -> AsyncIterator[tuple[Running, Simulator, ScaledClock]]:
    """Broker, simulator and controller, ended in the other order whatever happens."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    clock = ScaledClock(speed, epoch_s=scenario.start_s, monotonic_s=time.monotonic())
    config = load_config(scenario.fleet_path)
    async with contextlib.AsyncExitStack() as stack:
        try:
            broker = await stack.enter_async_context(start_broker())
        except BrokerError as error:
            raise SimulatorError(str(error)) from None
        at = {"host": broker.host, "port": broker.port, "username": broker.username, "password": broker.password}
        config = replace(
            config,
            mqtt=MqttConfig(broker.host, broker.port, broker.username, broker.password),
            store_path=folder / "fleet.sqlite3",
            recording=replace(config.recording, folder=folder / "tlog"),
            api=replace(config.api, port=_usual_or_free(config.api.port) if api_port is None else api_port),
            handling=Handling(),
            # A port of its own, so that a ground station on this computer is not in the way.
            links=dict.fromkeys(config.links, (f"udpin://127.0.0.1:{_free_udp_port()}",)),
            # Simulated autopilots have neither the real ones' hardware ids nor their keys.
            uids={},
            mavlink_keys={},
            drivers=dict.fromkeys(config.links, Driver.NATIVE),
        )
        app = await stack.enter_async_context(running(config, clock))
        spec = sim_spec(config, scenario.file.world, scenario.file.seed, clock, at, ("127.0.0.1", app.gcs_port))
        sim = await stack.enter_async_context(simulator(spec, folder / "simulator.log"))
        yield app, sim, clock


@contextlib.asynccontextmanager
async def scenario_run(
    scenario: Scenario, *, speed: float, folder: Path, api_port: int | None, say: Say
) -> AsyncIterator[Run]:
    """The parts are up and the people wait; `fly` lets the run begin."""
    closures = load_closures(scenario)
    async with embedded(scenario, speed=speed, folder=folder, api_port=api_port) as (app, sim, clock):
        people = People(scenario, closures, app.service, sim, clock, say)
        yield Run(scenario, app, people, clock)


async def fly(run: Run) -> None:
    """Runs the story to its end or its time limit, then judges it."""
    began = time.monotonic()
    watching = asyncio.create_task(_watch(run), name="tracks")
    try:
        async with asyncio.timeout(run.clock.wall_s(run.scenario.file.limit_min * 60.0)):
            await run.people.run()
    except TimeoutError:
        run.timed_out = True
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    run.wall_s = time.monotonic() - began
    run.findings = judge(run.people.deliveries, run.app.service, run.tracks, _appeared(run))


async def _watch(run: Run) -> None:
    while True:
        run.tracks.look(run.app.service, run.clock.now_s())
        await run.clock.sleep(1.0)


def _appeared(run: Run) -> dict[str, tuple[Zone, float]]:
    times = {e.body["zone_id"]: e.at_s for e in run.app.service.record("airspace") if e.kind == "zone_added"}
    _, zones = run.app.service.zones()
    return {z.zone_id: (z, times.get(z.zone_id, 0.0)) for z in zones}
