"""`fleet sim`: vehicles, simulated or real PX4s, for a controller started apart, on the wall clock or faster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet.cli.output import Output
from fleet.clock import ScaledClock
from fleet.config import FleetConfig, data_dir, load_config
from fleet.mavlink.urls import parse_url
from fleet.simulate.processes import SimulatorError, simulator
from fleet.simulate.spec import sim_spec
from sitl.broker import BrokerError, start_broker
from sitl.px4 import Px4Error, start_px4
from sitl.px4_faults import impossible, vehicles_of
from sitl.px4_world import Px4Simulation
from sitl.spec import SimSpec


def configured(path: Path | None) -> FleetConfig:
    """The named configuration, or the demonstration fleet's."""
    return load_config(path if path is not None else data_dir() / "fleet.yaml")


def first_link(config: FleetConfig) -> tuple[str, int]:
    """Where simulated vehicles send to: the first link that waits for datagrams. Raises SimulatorError without one."""
    for url in (parse_url(link) for links in config.links.values() for link in links):
        if url.scheme == "udpin":
            return ("127.0.0.1" if url.host in ("0.0.0.0", "::") else url.host), url.port
    raise SimulatorError("simulated vehicles send UDP, and no vehicle has a `link: udpin://…`; give one to them")


async def run_sim(path: Path | None, speed: float, out: Output) -> int:
    """The bundled simulator with the configured fleet at home, until cancelled; starts a broker if none answers."""
    config = configured(path)
    async with contextlib.AsyncExitStack() as stack:
        spec = await _spec(config, speed, stack, out)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldwing-sim-")))
        sim = await stack.enter_async_context(simulator(spec, folder / "simulator.log"))
        sim.listeners.append(lambda event: out.line(event, json.dumps(event)))
        host, port = first_link(config)
        out.say(f"{len(config.vehicles)} vehicles send to {host}:{port} at {speed:g} times real time; Ctrl-C ends them")
        _obey_stdin(lambda command: sim.tell(**command), out)
        await asyncio.Event().wait()
    return 0


async def run_px4(count: int, path: Path | None, speed: float, out: Output) -> int:
    """The same with real PX4s, as many as asked for: the configured vehicles first, then more of their kind."""
    config = of_size(configured(path), count)
    async with contextlib.AsyncExitStack() as stack:
        raw = await _spec(config, speed, stack, out)
        spec = SimSpec.from_dict(raw)
        for why in impossible(spec):
            out.say(f"not with a real PX4: {why}")
        out.say(f"starting {count} PX4 …")
        # Each stands at its own home's height; the bundled simulator knows one.
        amsl_m = [config.sites[v.home_site].elevation_amsl_m for v in config.vehicles.values()]
        wanted = [replace(v, home=(*v.home[:2], h)) for v, h in zip(vehicles_of(spec), amsl_m, strict=True)]
        try:
            instances = await stack.enter_async_context(start_px4(wanted, speed=speed, folder=px4_folder()))
            sim = Px4Simulation(spec, instances, emit=lambda event: out.line(event, json.dumps(event)))
            await stack.enter_async_context(sim)
            for i in instances:
                ready = f"PX4 {i.system_id} ({i.vehicle.model}) is ready, log {i.log}"
                out.line({"event": "ready", "system_id": i.system_id}, ready)
            host, port = first_link(config)
            out.say(f"{count} PX4 send to {host}:{port} at {speed:g} times real time; Ctrl-C ends them")
            _obey_stdin(sim.command, out)
            await sim.run()
        except (Px4Error, OSError) as error:
            raise SimulatorError(str(error.strerror or error) if isinstance(error, OSError) else str(error)) from None
    return 0


def of_size(config: FleetConfig, count: int) -> FleetConfig:
    """With that many vehicles. Those added beside the configured ones are no part of the controller's fleet."""
    vehicles = list(config.vehicles.values())
    free = (n for n in itertools.count(1) if n not in {v.system_id for v in vehicles})
    for like in itertools.islice(itertools.cycle(vehicles), max(0, count - len(vehicles))):
        number = next(free)
        vehicles.append(replace(like, vehicle_id=f"px4-{number}", system_id=number))
    return replace(config, vehicles={v.vehicle_id: v for v in vehicles[:count]})


async def _spec(config: FleetConfig, speed: float, stack: contextlib.AsyncExitStack, out: Output) -> dict[str, Any]:
    """What is simulated, with a broker that answers."""
    clock = ScaledClock(speed, epoch_s=time.time(), monotonic_s=time.monotonic())
    weather = {
        "ambient_c": config.weather.air_c,
        "lapse_k_km": config.weather.lapse_k_km,
        "day_amplitude_k": config.weather.day_amplitude_k,
        "wind_north_m_s": config.weather.wind.north_m_s,
        "wind_east_m_s": config.weather.wind.east_m_s,
    }
    host, port = first_link(config)
    mqtt: dict[str, Any] = {
        "host": config.mqtt.host,
        "port": config.mqtt.port,
        "username": config.mqtt.username,
        "password": config.mqtt.password,
    }
    if not _answers(config.mqtt.host, config.mqtt.port):
        await stack.enter_async_context(_broker(mqtt))
        out.say(f"no broker answered at {config.mqtt.host}:{config.mqtt.port}: started the bundled one there")
    gcs = {"gcs": {"local_port": 0, "host": host, "port": port}}
    return {
        "epoch_s": clock.epoch_s,
        "monotonic_s": clock.monotonic_s,
        "speed": clock.speed,
        "mqtt": mqtt,
        **sim_spec(config, weather, seed=1, wire=lambda n, vehicle: gcs, carrying=True),
    }


def _obey_stdin(tell: Callable[[dict[str, Any]], None], out: Output) -> None:
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read_stdin, args=(loop, lambda line: _tell(tell, line, out)), daemon=True).start()


def _read_stdin(loop: asyncio.AbstractEventLoop, tell: Callable[[bytes], None]) -> None:
    """In a thread, because stdin may be a terminal, a pipe, a plain file or /dev/null, and a loop can't poll them all.

    Unbuffered: a daemon thread that held the lock of `sys.stdin` would break the interpreter's end.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError), open(0, "rb", buffering=0, closefd=False) as stdin:
        for line in stdin:
            loop.call_soon_threadsafe(tell, line)


@contextlib.asynccontextmanager
async def _broker(mqtt: dict[str, Any]) -> AsyncIterator[None]:
    """The bundled broker where the configuration expects one. Raises SimulatorError with the fix."""
    if not mqtt["username"] or not mqtt["password"]:
        at = f"{mqtt['host']}:{mqtt['port']}"
        raise SimulatorError(
            f"no broker answers at {at}, and the bundled one lets nobody in without a name and password: "
            f"start a broker there, or write `url: mqtt://NAME:PASSWORD@{at}` under `mqtt:`"
        )
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(start_broker(**mqtt))
        except (BrokerError, OSError) as error:
            raise SimulatorError(f"{error}; start a broker there yourself, or mend `mqtt.url`") from None
        yield


def _tell(tell: Callable[[dict[str, Any]], None], line: bytes, out: Output) -> None:
    try:
        command = json.loads(line)
    except json.JSONDecodeError:
        command = None
    if isinstance(command, dict):
        tell(command)
    elif line.strip():
        out.say('not understood: give JSON, such as {"do": "load", "box": "box-1", "vehicle": "cw-1"}')


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def px4_folder() -> Path:
    """State belongs where the simulation runs: parameters set on an instance are there the next time."""
    return Path("var/px4").resolve()
