"""`python -m sitl --spec FILE`: the bundled simulator as a process.

Commands from the people on the ground come as JSON lines on standard input, events leave as JSON lines on standard
output. SIGTERM and SIGINT end it; the end of standard input does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sitl.fields import SpecError
from sitl.simulation import Simulation
from sitl.spec import SimSpec

DONE, FAILED, USAGE = 0, 1, 2


def _emit(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def read_spec(path: Path) -> SimSpec:
    """Raises SpecError naming the file, the field or line, and the fix."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); give the path of a JSON file") from error
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}:{error.lineno}: not JSON ({error.msg}); mend that line") from error
    try:
        return SimSpec.from_dict(raw)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


async def _read_commands(obey: Callable[[object], None]) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except (ValueError, OSError):
        return  # standard input is closed or a plain file: there is nobody on the ground
    while line := await reader.readline():
        try:
            obey(json.loads(line))
        except json.JSONDecodeError as error:
            asked = {"text": line.decode(errors="replace").strip()}
            _emit({"event": "refused", "reason": f"not JSON ({error.msg}); send one object per line", "asked": asked})


async def _main(spec: SimSpec) -> None:
    async with Simulation(spec, emit=_emit) as simulation:
        work = asyncio.create_task(simulation.run(), name="simulation")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        commands = asyncio.create_task(_read_commands(simulation.command), name="commands")
        vehicles = {v.vehicle_id: simulation.ports[v.vehicle_id, "gcs"] for v in spec.vehicles}
        _emit({"event": "ready", "at_s": round(simulation.clock.now_s(), 3), "ports": vehicles})
        try:
            with suppress(asyncio.CancelledError):
                await work
        finally:
            commands.cancel()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sitl", description="Coldwing's bundled vehicle simulator.")
    parser.add_argument("--spec", type=Path, required=True, help="JSON file: see sitl/spec.py")
    options = parser.parse_args(arguments)
    try:
        spec = read_spec(options.spec)
    except SpecError as error:
        print(error, file=sys.stderr)
        return USAGE
    try:
        asyncio.run(_main(spec))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
