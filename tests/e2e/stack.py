"""Broker, simulator and controller as real processes on loopback, each started and ended by the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from fleet.clock import ScaledClock
from fleet.config import data_dir, load_config
from fleet.simulate.spec import sim_spec
from sitl.broker import start_broker
from tests.e2e.tap import Tap

FLEET = [sys.executable, "-m", "fleet"]
OPERATOR = {"Authorization": "Bearer demo-operator-token"}
WARD = {"Authorization": "Bearer demo-requester-token"}


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, limit_s: float = 60.0) -> Any:
    """Polls until it gives something; the limit is generous, it only ends a run that hangs."""
    end_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end_s:
            raise AssertionError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.02)


class BrokerThread:
    """The embedded broker's child process, looked after by a loop of its own; `at` is `start_broker`'s."""

    def __init__(self, **at: Any) -> None:
        self._at = at

    def __enter__(self) -> Any:
        self._loop = asyncio.new_event_loop()
        self._context = start_broker(**self._at)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._context.__aenter__(), self._loop).result(30)

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._context.__aexit__(None, None, None), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def write_config(folder: Path, *, link_port: int, api_port: int, broker: Any, **changes: Any) -> Path:
    """The demo fleet on these ports, with a store of its own."""
    yaml = YAML(typ="safe", pure=True)
    root = data_dir()
    raw = yaml.load((root / "fleet.yaml").read_text(encoding="utf-8"))
    for vehicle in raw["vehicles"]:
        vehicle["link"] = f"udpin://127.0.0.1:{link_port}"
    raw["vehicle_types"] = [{"file": str(root / "vehicles" / "courier-x8.yaml")}]
    raw["products"] = [str(root / "products")]
    raw["airspace"] = [str(root / "airspace" / "valley.ed318.json")]
    raw["api"]["port"] = api_port
    raw["mqtt"] = {"url": f"mqtt://{broker.username}:{broker.password}@{broker.host}:{broker.port}"}
    raw["store"] = {"path": str(folder / "fleet.sqlite3")}
    raw.update(changes)
    path = folder / "fleet.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(raw, file)
    return path


@dataclass
class Stack:
    folder: Path
    config: Path
    url: str
    tap: Tap
    sim: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)
    controller: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    """wall clock of the last exec"""

    def start(self) -> None:
        log = (self.folder / "controller.log").open("ab")
        self.started_s = time.time()
        self.controller = subprocess.Popen(
            [*FLEET, "serve", "--config", str(self.config)], stdout=log, stderr=log, env=os.environ | {"NO_COLOR": "1"}
        )
        log.close()

    def kill(self) -> None:
        assert self.controller is not None
        self.controller.send_signal(signal.SIGKILL)
        self.controller.wait(10)

    def stop(self) -> int:
        assert self.controller is not None
        self.controller.send_signal(signal.SIGTERM)
        return self.controller.wait(20)

    def wait_ready(self) -> None:
        def answers() -> bool:
            assert self.controller is not None
            if self.controller.poll() is not None:
                raise AssertionError((self.folder / "controller.log").read_text(errors="replace")[-2000:])
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
            return False

        wait_for(answers, "the controller answers")

    def get(self, path: str, headers: dict[str, str] = OPERATOR) -> Any:
        answer = httpx.get(f"{self.url}{path}", headers=headers, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any, headers: dict[str, str] = OPERATOR) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=20)

    def order(self, to: str, product: str = "red_cells", key: str | None = None) -> str:
        deadline = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))
        body = {
            "product_id": product,
            "destination_site": to,
            "recipient_ref": "ward-7",
            "mass_kg": 0.8,
            "volume_l": 1.5,
            "deadline": deadline,
        }
        headers = WARD | {"Idempotency-Key": f'"{key or to}"'}
        answer = self.post("/v1/orders", body, headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["order_id"])

    def tell(self, **command: Any) -> None:
        assert self.sim.stdin is not None
        self.sim.stdin.write(json.dumps(command) + "\n")
        self.sim.stdin.flush()


@contextlib.contextmanager
def stack(folder: Path, *, speed: float = 1.0, **changes: Any) -> Iterator[Stack]:
    """Broker, simulator and a relay on the wire; the controller is started by the test."""
    with contextlib.ExitStack() as cleanup:
        broker = cleanup.enter_context(BrokerThread())
        link_port, api_port = free_port(socket.SOCK_DGRAM), free_port()
        path = write_config(folder, link_port=link_port, api_port=api_port, broker=broker, **changes)
        tap = Tap(link_port)
        cleanup.callback(tap.close)
        clock = ScaledClock(speed)
        mqtt = {"host": broker.host, "port": broker.port, "username": broker.username, "password": broker.password}
        gcs = {"gcs": {"local_port": 0, "port": tap.port}}
        fleet = sim_spec(load_config(path), {"ambient_c": 38.0}, seed=3, wire=lambda n, vehicle: gcs, carrying=True)
        time_of = {"epoch_s": clock.epoch_s, "monotonic_s": clock.monotonic_s, "speed": clock.speed}
        spec = {**time_of, "mqtt": mqtt, **fleet}
        spec_path = folder / "sim.json"
        spec_path.write_text(json.dumps(spec), encoding="utf-8")
        with (folder / "sim.log").open("wb") as err:
            sim = subprocess.Popen(
                [sys.executable, "-m", "sitl", "--spec", str(spec_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        made = Stack(folder, path, f"http://127.0.0.1:{api_port}", tap, sim)
        reader = threading.Thread(target=_read, args=(sim, made.events), daemon=True)
        reader.start()

        def end() -> None:
            for process in (made.controller, sim):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait(10)
            reader.join(5)
            assert sim.stdin is not None
            assert sim.stdout is not None
            sim.stdin.close()
            sim.stdout.close()

        cleanup.callback(end)
        wait_for(lambda: any(e.get("event") == "ready" for e in made.events), "the simulator is ready")
        yield made


def _read(sim: subprocess.Popen[str], events: list[dict[str, Any]]) -> None:
    assert sim.stdout is not None
    with contextlib.suppress(ValueError):
        for line in sim.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                events.append(json.loads(line))
