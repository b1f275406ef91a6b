"""Starts real PX4 instances (SITL with its built-in simulator SIH) and always ends them.

`px4` is looked for in PX4_SITL_BIN, on PATH, and where PX4's Debian package puts it. Instance i speaks on its
ground-station link from 18570+i to the shared 14550 and on its onboard link from 14580+i to 14540+i.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sitl.spec import GCS_LOCAL_PORT, GCS_PORT, ONBOARD_LOCAL_PORT, ONBOARD_PORT
from sitl.wire.dialect import frames
from sitl.wire.streams import PREARM_OK

PACKAGE_PLACE = Path("/opt/px4/bin/px4")
"""of the package `px4` (docs.px4.io, Pre-built SITL Packages)"""
MODELS = ("sihsim_quadx", "sihsim_standard_vtol", "sihsim_airplane")
READY_S = 60.0
"""wall clock; a single instance takes 5 to 8 s, four on two cores longer"""
STOP_S = 3.0
POLL_S = 0.05
_WRAPPED = re.compile(rb"(/[^\s\"']+/bin/px4)\b")


class Px4Error(RuntimeError):
    """There is no PX4, or it does not start: what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Px4Binary:
    path: Path
    etc: Path | None
    """its start-up scripts; None: PX4 finds them itself"""


@dataclass(frozen=True, slots=True)
class Px4Instance:
    index: int
    system_id: int
    folder: Path
    log: Path
    pid: int

    @property
    def gcs_local_port(self) -> int:
        return GCS_LOCAL_PORT + self.index

    @property
    def gcs_port(self) -> int:
        return GCS_PORT

    @property
    def onboard_local_port(self) -> int:
        return ONBOARD_LOCAL_PORT + self.index

    @property
    def onboard_port(self) -> int:
        return _onboard_port(self.index)


def _onboard_port(index: int) -> int:
    """PX4's px4-rc.mavlink: instances from 9 on share 14549."""
    return ONBOARD_PORT + min(index, 9)


def find_px4() -> Px4Binary | None:
    """The PX4 to use. Raises Px4Error when PX4_SITL_BIN names no program."""
    named = os.environ.get("PX4_SITL_BIN")
    if named:
        path = Path(named)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise Px4Error(f"PX4_SITL_BIN={named} is no executable file; name PX4's bin/px4, or unset it")
        return Px4Binary(path, _etc_of(path))
    found = shutil.which("px4")
    for path in [Path(found)] if found else [PACKAGE_PLACE]:
        if path.is_file():
            return Px4Binary(path, _etc_of(path))
    return None


def _etc_of(path: Path) -> Path | None:
    """The etc folder beside the program's bin, also when `path` is a shell script around the program."""
    real = path.resolve()
    candidates = [real]
    with real.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"#!"):
        candidates += [Path(os.fsdecode(name)) for name in reversed(_WRAPPED.findall(head))]
    for candidate in candidates:
        etc = candidate.parent.parent / "etc"
        if (etc / "init.d-posix" / "rcS").is_file():
            return etc
    return None


def command_for(binary: Px4Binary, index: int) -> list[str]:
    """As root PX4 would take real-time scheduling and starve its neighbours: it starts without that right.

    It goes a little before them instead: a PX4 that has to wait for the processor counts its sensors as lost and lands.
    """
    command = [str(binary.path), "-i", str(index), "-d"]
    if binary.etc is not None:
        command.append(str(binary.etc))
    if os.geteuid() == 0 and shutil.which("setpriv"):
        command = ["nice", "-n", "-10", "setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice", *command]
    return ["sh", "-c", 'ulimit -r 0 2>/dev/null; exec "$@"', "px4", *command]


@contextlib.asynccontextmanager
async def start_px4(
    homes: Sequence[tuple[float, float, float]],
    *,
    speed: float = 1.0,
    model: str = "sihsim_quadx",
    first_index: int = 0,
    folder: Path | None = None,
) -> AsyncIterator[list[Px4Instance]]:
    """One PX4 per home (lat, lon, AMSL), ready to arm. Logs and state go to `folder`, or to one that is removed.

    Raises Px4Error with the log's last words when there is no PX4 or one is not ready within a minute.
    """
    binary = find_px4()
    if binary is None:
        raise Px4Error(
            "no PX4 found: set PX4_SITL_BIN to its bin/px4, put `px4` on PATH, or install PX4's Debian package "
            "`px4` from github.com/PX4/PX4-Autopilot/releases"
        )
    if model not in MODELS:
        raise Px4Error(f"model {model!r} is not known to fly; use one of {', '.join(MODELS)}")
    async with contextlib.AsyncExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="px4-", ignore_cleanup_errors=True)))
        ports = sorted({_onboard_port(first_index + n) for n in range(len(homes))})
        listeners = [stack.enter_context(_listen(port)) for port in ports]
        processes: dict[Px4Instance, asyncio.subprocess.Process] = {}
        for offset, home in enumerate(homes):
            instance, process = await _start(binary, first_index + offset, home, speed, model, folder)
            stack.push_async_callback(_end, process)
            processes[instance] = process
        await _until_ready(processes, listeners)
        yield list(processes)


async def _start(
    binary: Px4Binary, index: int, home: tuple[float, float, float], speed: float, model: str, folder: Path
) -> tuple[Px4Instance, asyncio.subprocess.Process]:
    place = folder / f"instance-{index}"
    place.mkdir(parents=True, exist_ok=True)
    log = place / "px4.log"
    lat, lon, amsl = home
    environment = os.environ | {
        "PX4_SIM_MODEL": model,
        "PX4_HOME_LAT": repr(lat),
        "PX4_HOME_LON": repr(lon),
        "PX4_HOME_ALT": repr(amsl),
        "PX4_SIM_SPEED_FACTOR": f"{speed:g}",
        # The Debian package keeps its instances' state here; others use the working directory.
        "XDG_DATA_HOME": str(place),
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command_for(binary, index),
            cwd=place,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return Px4Instance(index, index + 1, place, log, process.pid), process


@contextlib.contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        try:
            udp.bind(("127.0.0.1", port))
        except OSError as error:
            raise Px4Error(
                f"UDP port {port} is taken: end the other simulation, or give another first_index"
            ) from error
        yield udp


async def _until_ready(
    processes: Mapping[Px4Instance, asyncio.subprocess.Process], listeners: Sequence[socket.socket]
) -> None:
    """Waits for each one's prearm check on the onboard links, and only listens: who speaks first is kept as peer."""
    waiting = dict(processes)
    try:
        async with asyncio.timeout(READY_S):
            while waiting:
                for instance, process in waiting.items():
                    if process.returncode is not None:
                        raise Px4Error(f"PX4 {instance.index} ended by itself: {_last_words(instance.log)}")
                ready = {system for udp in listeners for system in _ready_systems(udp)}
                waiting = {i: process for i, process in waiting.items() if i.system_id not in ready}
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        slow = next(iter(waiting))
        words = _last_words(slow.log)
        raise Px4Error(f"PX4 {slow.index} was not ready within {READY_S:.0f} s: {words}") from error


def _ready_systems(udp: socket.socket) -> set[int]:
    """The system ids that say so in what has arrived."""
    ready: set[int] = set()
    with contextlib.suppress(BlockingIOError):
        while True:
            for message in frames(udp.recv(65536)):
                if message.name == "SYS_STATUS" and message["onboard_control_sensors_health"] & PREARM_OK:
                    ready.add(message.system)
    return ready


def _last_words(log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()
    return f"{said[-1] if said else 'no word from it'} (log {log})"


async def _end(process: asyncio.subprocess.Process) -> None:
    """The whole process group: PX4's start-up shell may still be running."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()
                return
