"""The native vehicle against the bundled simulator in its own process, at many times wall speed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from fleet.clock import ScaledClock
from fleet.mavlink.port import Verdict
from tests.mavlink.flight import controlled, fly_everything
from tests.mavlink.test_link import free_port

SPEED = 10.0


@pytest.mark.e2e
async def test_the_bundled_simulator_is_flown_through_the_whole_port(tmp_path: Path) -> None:
    clock, port = ScaledClock(SPEED), free_port()
    spec = {
        "epoch_s": clock.epoch_s,
        "monotonic_s": clock.monotonic_s,
        "speed": SPEED,
        "world": {"ground_amsl_m": 420.0},
        "vehicles": [
            {
                "vehicle_id": "cw-1",
                "system_id": 1,
                "lat_deg": 7.5,
                "lon_deg": 38.2,
                "gcs": {"local_port": 0, "host": "127.0.0.1", "port": port},
            }
        ],
    }
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sitl",
        "--spec",
        str(file),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with controlled(f"udpin://127.0.0.1:{port}", 1, clock) as vehicle:
            told = await fly_everything(vehicle)
    finally:
        process.terminate()
        await process.wait()
    assert told["release"].verdict is Verdict.DONE
    assert told["off_m"] < 8.0
