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
from dataclasses import dataclass, field, replace
from pathlib import Path

from sitl.spec import GCS_LOCAL_PORT, GCS_PORT, ONBOARD_LOCAL_PORT, ONBOARD_PORT
from sitl.wire.dialect import frames
from sitl.wire.streams import PREARM_OK

PACKAGE_PLACE = Path("/opt/px4/bin/px4")
"""of the package `px4` (docs.px4.io, Pre-built SITL Packages)"""
QUAD, VTOL, PLANE = "sihsim_quadx", "sihsim_standard_vtol", "sihsim_airplane"
MODELS = (QUAD, VTOL, PLANE)
READY_S = 60.0
"""wall clock; a single instance takes 5 to 8 s, four on two cores longer"""
STOP_S = 3.0
CLIENT_S = 10.0
"""wall clock; a client of a running instance answers within 20 ms"""
POLL_S = 0.05
SET_BY_SPEED = ("COM_DL_LOSS_T", "COM_RC_LOSS_T", "COM_OF_LOSS_T", "COM_OBC_LOSS_T")
"""parameters that PX4's rcS sets by the speed factor, after those of the environment"""
_WRAPPED = re.compile(rb"(/[^\s\"']+/bin/px4)\b")

Home = tuple[float, float, float]
"""latitude and longitude in degrees, metres AMSL"""


class Px4Error(RuntimeError):
    """There is no PX4, or it does not do what it is told: what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Px4Binary:
    path: Path
    program: Path
    """behind a shell script, else the same"""
    etc: Path | None
    """its start-up scripts; None: PX4 finds them itself"""

    def client(self, name: str) -> Path:
        """`px4-param` and the like: PX4 puts them beside the program."""
        return self.program.parent / f"px4-{name}"


@dataclass(frozen=True, slots=True)
class Px4Vehicle:
    """What one instance is to fly."""

    home: Home
    model: str = QUAD
    params: Mapping[str, float] = field(default_factory=dict)
    """set at every start, over those that the instance has stored"""
    index: int | None = None
    """of the instance, whose system id is one more; None: the first one's and its place in the list"""


class Px4Instance:
    """One PX4. `start_px4` makes, starts and ends them; `restart` is for those who want to see it boot."""

    def __init__(self, binary: Px4Binary, index: int, vehicle: Px4Vehicle, speed: float, folder: Path) -> None:
        self.index, self.system_id, self.vehicle = index, index + 1, vehicle
        self.folder = folder / f"instance-{index}"
        self.log = self.folder / "px4.log"
        """of this start and the ones before it in this run"""
        self._binary, self._speed = binary, speed
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of its last start."""
        assert self._process is not None
        return self._process.pid

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
        """PX4's px4-rc.mavlink: instances from 9 on share 14549."""
        return ONBOARD_PORT + min(self.index, 9)

    @property
    def ended(self) -> bool:
        """By itself or by us."""
        return self._process is None or self._process.returncode is not None

    def last_words(self) -> str:
        said = self.log.read_text(errors="replace").strip().splitlines()
        return f"{said[-1] if said else 'no word from it'} (log {self.log})"

    async def start(self) -> None:
        """Returns at once: it is ready some seconds later."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lat, lon, amsl = self.vehicle.home
        environment = os.environ | {
            "PX4_SIM_MODEL": self.vehicle.model,
            "PX4_HOME_LAT": repr(lat),
            "PX4_HOME_LON": repr(lon),
            "PX4_HOME_ALT": repr(amsl),
            "PX4_SIM_SPEED_FACTOR": f"{self._speed:g}",
            # The Debian package keeps its instances' state here; others use the working directory.
            "XDG_DATA_HOME": str(self.folder),
        }
        environment |= {f"PX4_PARAM_{name}": text(value) for name, value in self.vehicle.params.items()}
        # It would go before the model.
        environment.pop("PX4_SYS_AUTOSTART", None)
        with self.log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *command_for(self._binary, self.index),
                cwd=self.folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    async def stop(self) -> None:
        """The whole process group: PX4's start-up shell may still be running."""
        if self._process is None:
            return
        try:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
        finally:
            self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def restart(self, home: Home | None = None) -> None:
        """A power cycle, there where it stands: parameters and missions are kept, SIH begins on the ground."""
        await self.stop()
        if home is not None:
            self.vehicle = replace(self.vehicle, home=home)
        await self.start()

    async def run(self, client: str, *arguments: str) -> str:
        """One of PX4's own commands (`param`, `failure`, …) in the running instance; what it said.

        Raises Px4Error with its words.
        """
        path = self._binary.client(client)
        if not path.exists():
            raise Px4Error(f"{path} is missing: PX4's commands must lie beside the program; install the whole package")
        process = await asyncio.create_subprocess_exec(
            str(path),
            "--instance",
            str(self.index),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(CLIENT_S):
                out, _ = await process.communicate()
        except TimeoutError as error:
            raise Px4Error(f"PX4 {self.index} did not answer `{client} {' '.join(arguments)}`") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        said = out.decode(errors="replace").strip()
        if process.returncode != 0:
            raise Px4Error(f"PX4 {self.index} refused `{client} {' '.join(arguments)}`: {said or 'no word from it'}")
        return said

    async def set_params(self, params: Mapping[str, float]) -> None:
        """In the running instance. Raises Px4Error when it knows no such parameter."""
        for name, value in params.items():
            # Without `fail` an unknown name is success.
            await self.run("param", "set", name, text(value), "fail")


def text(value: float) -> str:
    """As `px4-param` reads it: whole numbers without a dot, for parameters that are integers."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def find_px4() -> Px4Binary | None:
    """The PX4 to use. Raises Px4Error when PX4_SITL_BIN names no program."""
    named = os.environ.get("PX4_SITL_BIN")
    if named:
        path = Path(named)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise Px4Error(f"PX4_SITL_BIN={named} is no executable file; name PX4's bin/px4, or unset it")
        return _binary(path)
    found = shutil.which("px4")
    for path in [Path(found)] if found else [PACKAGE_PLACE]:
        if path.is_file():
            return _binary(path)
    return None


def _binary(path: Path) -> Px4Binary:
    """With the etc folder beside the program's bin, also when `path` is a shell script around the program."""
    real = path.resolve()
    candidates = [real]
    with real.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"#!"):
        candidates += [Path(os.fsdecode(name)) for name in reversed(_WRAPPED.findall(head))]
    for candidate in candidates:
        etc = candidate.parent.parent / "etc"
        if (etc / "init.d-posix" / "rcS").is_file():
            return Px4Binary(path, candidate, etc)
    return Px4Binary(path, real, None)


def command_for(binary: Px4Binary, index: int) -> list[str]:
    """As root PX4 would take real-time scheduling and starve its neighbours: it starts without that right.

    It goes a little before them instead: a PX4 that has to wait for the processor counts its sensors as lost and lands.
    Linux weighs sessions against each other first (sched(7), autogroup), and each PX4 has one of its own, so that this
    is what has to be asked for; `nice` is for where it doesn't. It also ends when we are killed.
    """
    command = [str(binary.path), "-i", str(index), "-d"]
    if binary.etc is not None:
        command.append(str(binary.etc))
    if shutil.which("setpriv"):
        is_root = os.geteuid() == 0
        rights = ["--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice"] if is_root else []
        nice = ["nice", "-n", "-10"] if is_root else []
        command = [*nice, "setpriv", "--pdeathsig", "TERM", *rights, *command]
    first = "ulimit -r 0 2>/dev/null; { echo -10 >/proc/self/autogroup; } 2>/dev/null"
    return ["sh", "-c", f'{first}; exec "$@"', "px4", *command]


@contextlib.asynccontextmanager
async def start_px4(
    vehicles: Sequence[Px4Vehicle | Home],
    *,
    speed: float = 1.0,
    first_index: int = 0,
    folder: Path | None = None,
) -> AsyncIterator[list[Px4Instance]]:
    """One PX4 each (a bare home is a quadrotor's), ready to arm. Logs and state go to `folder`, or to one that is
    removed.

    Raises Px4Error with the log's last words when there is no PX4 or one is not ready within a minute.
    """
    binary = find_px4()
    if binary is None:
        raise Px4Error(
            "no PX4 found: set PX4_SITL_BIN to its bin/px4, put `px4` on PATH, or install PX4's Debian package "
            "`px4` from github.com/PX4/PX4-Autopilot/releases"
        )
    wanted = [v if isinstance(v, Px4Vehicle) else Px4Vehicle(v) for v in vehicles]
    for vehicle in wanted:
        if vehicle.model not in MODELS:
            raise Px4Error(f"model {vehicle.model!r} is not known to fly; use one of {', '.join(MODELS)}")
    async with contextlib.AsyncExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="px4-", ignore_cleanup_errors=True)))
        indices = [first_index + n if v.index is None else v.index for n, v in enumerate(wanted)]
        instances = [Px4Instance(binary, i, v, speed, folder) for i, v in zip(indices, wanted, strict=True)]
        stack.push_async_callback(_stop_all, instances)
        with _listening(instances) as listeners:
            for instance in instances:
                instance.log.unlink(missing_ok=True)
                await instance.start()
            await _until_ready(instances, listeners)
        for instance in instances:
            late = {name: value for name, value in instance.vehicle.params.items() if name in SET_BY_SPEED}
            await instance.set_params(late)
        yield instances


async def _stop_all(instances: Sequence[Px4Instance]) -> None:
    await asyncio.gather(*(instance.stop() for instance in instances))


@contextlib.contextmanager
def _listening(instances: Sequence[Px4Instance]) -> Iterator[list[socket.socket]]:
    """On the onboard links, until all are ready: then the ports are free for others."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_listen(port)) for port in sorted({i.onboard_port for i in instances})]


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


async def _until_ready(instances: Sequence[Px4Instance], listeners: Sequence[socket.socket]) -> None:
    """Waits for each one's prearm check on the onboard links, and only listens: who speaks first is kept as peer."""
    waiting = list(instances)
    try:
        async with asyncio.timeout(READY_S):
            while waiting:
                for instance in waiting:
                    if instance.ended:
                        raise Px4Error(f"PX4 {instance.index} ended by itself: {instance.last_words()}")
                ready = {system for udp in listeners for system in _ready_systems(udp)}
                waiting = [i for i in waiting if i.system_id not in ready]
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        slow = waiting[0]
        raise Px4Error(f"PX4 {slow.index} was not ready within {READY_S:.0f} s: {slow.last_words()}") from error


def _ready_systems(udp: socket.socket) -> set[int]:
    """The system ids that say so in what has arrived."""
    ready: set[int] = set()
    with contextlib.suppress(BlockingIOError):
        while True:
            for message in frames(udp.recv(65536)):
                if message.name == "SYS_STATUS" and message["onboard_control_sensors_health"] & PREARM_OK:
                    ready.add(message.system)
    return ready
