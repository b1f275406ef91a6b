"""The simulator as users run it: a process, real UDP on loopback, a real broker, and a client that is not ours."""

import asyncio
import json
import math
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import development as mavlink

from sitl.broker import BrokerError, start_broker
from tests.sitl.helpers import item, spec_dict, takeoff_and

pytestmark = pytest.mark.processes
SPEED = 25.0


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    async def event(self, name: str) -> dict[str, Any]:
        """The next event of that name."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20.0):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == name:
                    return self.events[-1]
        raise AssertionError(f"ended without {name}: {self.events}")

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")


@asynccontextmanager
async def simulator(folder: Path, **changes: Any) -> AsyncIterator[Process]:
    file = folder / "spec.json"
    raw = spec_dict(**changes) | {"epoch_s": time.time(), "monotonic_s": time.monotonic(), "speed": SPEED}
    file.write_text(json.dumps(raw))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sitl", "--spec", str(file),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fly(port: int) -> list[str]:
    """A plain pymavlink ground station: uploads, arms, flies, lands. Blocking; returns the modes it saw."""
    gcs = mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}", dialect="development", source_system=245)
    try:
        return _fly(gcs)
    finally:
        gcs.close()


def _fly(gcs: Any) -> list[str]:
    def wait(name: str, condition: Any = lambda m: True) -> Any:
        deadline = time.monotonic() + 40.0
        while time.monotonic() < deadline:
            gcs.mav.heartbeat_send(6, 8, 0, 0, 4)
            found = gcs.recv_match(type=name, blocking=True, timeout=0.1)
            if found is not None and condition(found):
                return found
        raise AssertionError(f"no {name}")

    gcs.target_system = wait("HEARTBEAT").get_srcSystem()
    wait("SYS_STATUS", lambda m: m.onboard_control_sensors_health & 1 << 28)
    items = takeoff_and(item(16, 200), item(21, 100, z=0.0), z=20.0)
    gcs.mav.mission_count_send(1, 1, len(items), 0)
    while True:
        asked = wait(["MISSION_REQUEST_INT", "MISSION_ACK"])
        if asked.get_type() == "MISSION_ACK":
            assert asked.type == mavlink.MAV_MISSION_ACCEPTED
            break
        f = items[asked.seq]
        gcs.mav.mission_item_int_send(
            1, 1, asked.seq, f["frame"], f["command"], 0, 1, f["param1"], f["param2"], f["param3"], math.nan,
            f["x"], f["y"], f["z"], 0,
        )  # fmt: skip
    wait("MISSION_CURRENT", lambda m: m.mission_state == 2)
    gcs.mav.command_long_send(1, 1, mavlink.MAV_CMD_MISSION_START, 0, 0, 0, 0, 0, 0, 0, 0)
    assert wait("COMMAND_ACK").result == mavlink.MAV_RESULT_ACCEPTED
    modes: list[str] = []

    def disarmed(m: Any) -> bool:
        modes.append(f"{m.custom_mode:#010x}")
        return not m.base_mode & mavlink.MAV_MODE_FLAG_SAFETY_ARMED and len(modes) > 2

    wait("HEARTBEAT", disarmed)
    return modes


async def test_a_plain_pymavlink_client_flies_a_mission_over_udp_and_lands(tmp_path: Path) -> None:
    port = free_port()
    started = time.monotonic()
    async with simulator(tmp_path, vehicle={"gcs": {"local_port": 0, "port": port}}) as sim:
        ready = await sim.event("ready")
        assert list(ready["ports"]) == ["cw-1"]
        modes = await asyncio.to_thread(fly, port)
        assert "0x04040000" in modes
        assert modes[-1] == "0x03040000"
        landed = await sim.event("landed")
        assert landed["lat_deg"] == pytest.approx(7.5 + 100 / 110_600.0, abs=2e-5)
    assert time.monotonic() - started < 45.0


async def test_sigterm_ends_the_process_within_a_second_and_the_end_of_input_does_not(tmp_path: Path) -> None:
    async with simulator(tmp_path, vehicle={"gcs": {"local_port": 0, "port": free_port()}}) as sim:
        await sim.event("ready")
        sim.tell("nonsense")
        assert "not JSON" in (await sim.event("refused"))["reason"]
        sim.tell('{"do": "unload", "box": "box-1"}')
        assert (await sim.event("unloaded"))["vehicle"] == "cw-1"
        assert sim.process.stdin is not None
        sim.process.stdin.close()
        await asyncio.sleep(0.3)
        assert sim.process.returncode is None
        asked = time.monotonic()
        sim.process.send_signal(signal.SIGTERM)
        assert await sim.process.wait() == 0
        assert time.monotonic() - asked < 1.0


async def test_a_bad_spec_file_is_named_with_field_and_fix(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    for text, words in (
        ("{", "bad.json:1: not JSON"),
        (json.dumps(spec_dict(vehicle={"lat_deg": "north"})), "bad.json: vehicles[0].lat_deg: is str 'north'"),
    ):
        file.write_text(text)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sitl", "--spec", str(file), stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == 2
        assert words in said.decode()
        assert "Traceback" not in said.decode()


async def test_boxes_publish_what_they_measured_while_the_broker_was_away_oldest_first(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    mqtt = {"host": "127.0.0.1", "port": port, "username": "coldwing", "password": "secret"}
    box = {"sample_s": 5.0}
    vehicle = {"gcs": {"local_port": 0, "port": free_port()}}
    async with simulator(tmp_path, vehicle=vehicle, box=box, mqtt=mqtt) as sim:
        await sim.event("ready")
        await asyncio.sleep(1.0)  # five samples without a broker
        seqs: list[int] = []
        async with (
            start_broker(port=port, username="coldwing", password="secret") as broker,
            aiomqtt.Client("127.0.0.1", port, username="coldwing", password="secret") as client,
        ):
            await client.subscribe("coldwing/v1/boxes/+/samples", qos=1)
            async with asyncio.timeout(20.0):
                async for message in client.messages:
                    assert str(message.topic) == "coldwing/v1/boxes/box-1/samples"
                    seqs.append(json.loads(message.payload)["seq"])
                    if len(seqs) >= 12:
                        break
            assert broker.username == "coldwing"
        assert seqs[0] == 0
        assert seqs == list(range(seqs[0], seqs[0] + 12))


async def test_the_broker_lets_nobody_in_without_the_password_and_stops_within_a_second() -> None:
    async with start_broker() as broker:
        for username, password in (("coldwing", "guess"), (None, None)):
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client(broker.host, broker.port, username=username, password=password):
                    pass
        at = time.monotonic()
    assert time.monotonic() - at < 2.0
    assert broker.process.returncode is not None


async def test_a_broker_whose_starter_was_killed_ends_by_itself() -> None:
    starter = """
import asyncio
from sitl.broker import start_broker
async def main():
    async with start_broker() as broker:
        print(broker.port, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", starter, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    async with asyncio.timeout(10.0):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.2)


async def test_a_broker_whose_port_is_taken_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerError, match=r"did not start on 127\.0\.0\.1"):
            async with start_broker(port=taken.getsockname()[1]):
                pass
