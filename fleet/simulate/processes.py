"""The simulator and the broker as child processes: started, spoken to by JSON lines, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

STOP_S = 3.0
"""wall clock; what does not end by SIGTERM within this is killed"""


class SimulatorError(Exception):
    """The simulator did not start or ended by itself; the message carries what it said."""


class Simulator:
    """A running `python -m sitl`: commands of the people on the ground go in, events come out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.ready = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, **command: Any) -> None:
        """`do=load, box=…, vehicle=…` and the like; see `python -m sitl --help`."""
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(command) + "\n").encode())

    async def read(self) -> None:
        """Hands each event on; returns when the simulator has ended."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if event.get("event") == "ready":
                    self.ready.set()
                for listener in self.listeners:
                    listener(event)


@contextlib.asynccontextmanager
async def simulator(spec: dict[str, Any], log: Path) -> AsyncIterator[Simulator]:
    """Starts it and waits until it flies. Raises SimulatorError with its last words."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="sitl-", delete=False) as file:
        json.dump(spec, file)
    with log.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sitl",
            "--spec",
            file.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
        )
    sim = Simulator(process)
    reading = asyncio.create_task(sim.read(), name="simulator events")
    ready = asyncio.create_task(sim.ready.wait(), name="simulator ready")
    try:
        await asyncio.wait({reading, ready}, timeout=30.0, return_when=asyncio.FIRST_COMPLETED)
        if not sim.ready.is_set():
            raise SimulatorError(f"the simulator did not start: {_last_words(log)} (see {log})")
        yield sim
    finally:
        await end(process)
        for task in (ready, reading):
            task.cancel()
        await asyncio.gather(ready, reading, return_exceptions=True)
        await asyncio.to_thread(Path(file.name).unlink, missing_ok=True)


def _last_words(log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "no word from it"


async def end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL for what does not listen."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
