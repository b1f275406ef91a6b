"""Real sockets and pseudo-terminals for transports, and a far end that speaks through pymavlink."""

from __future__ import annotations

import asyncio
import os
import socket
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from pymavlink.dialects.v20 import development

from fleet.clock import Clock, ScaledClock
from fleet.mavlink.codec import encode
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import Heartbeat
from fleet.mavlink.opening import make_transport
from fleet.mavlink.transport import Transport
from fleet.mavlink.urls import parse_url

OURS = Heartbeat(0, 6, 8, 0, 4)
LOOPBACK = "127.0.0.1"
HASTE = 20.0
"""these tests' clocks run so much faster than the wall: back-off and time-outs take no time to speak of"""


async def until(holds: Callable[[], bool]) -> None:
    """Lets the event loop run until it holds; a minute is for a machine that stands still."""
    async with asyncio.timeout(60.0):
        while not holds():  # noqa: ASYNC110 - what comes out of a socket sets no event
            await asyncio.sleep(0.001)


class Ear:
    """What a transport delivered."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, Any]] = []
        """(sequence number, address)"""
        self.bad = 0
        self.turns: list[int] = []
        """frames per burst"""
        self._burst = 0

    def received(self, frames: Sequence[Frame], bad: int, address: Any) -> None:
        self.frames += [(frame.seq, address) for frame in frames]
        self.bad += bad
        self._burst += len(frames)

    def turn_over(self) -> None:
        self.turns.append(self._burst)
        self._burst = 0

    @property
    def seqs(self) -> list[int]:
        return [seq for seq, _ in self.frames]

    def addresses(self) -> list[Any]:
        """Each once, in the order heard."""
        return list(dict.fromkeys(address for _, address in self.frames))

    async def hears(self, *seqs: int) -> None:
        await until(lambda: self.seqs[-len(seqs) :] == list(seqs))


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[tuple[Any, Ear]]:
    """A transport at work and the ear it talks to."""
    transport: Transport = make_transport(parse_url(url), clock or ScaledClock(HASTE))
    ear = Ear()
    try:
        transport.open(ear.received, ear.turn_over)
        yield transport, ear
    finally:
        transport.close()


class Far:
    """The other end of a wire: a non-blocking descriptor, and pymavlink's codec."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self._mav = development.MAVLink(None, srcSystem=1, srcComponent=1)
        self.heard: list[Any] = []

    def beat(self, seq: int, mode: int = 0x03040000) -> bytes:
        """A HEARTBEAT as a PX4 sends it."""
        self._mav.seq = seq
        return bytes(self._mav.heartbeat_encode(2, 12, 29, mode, 3).pack(self._mav))

    def ack(self, command: int) -> bytes:
        """COMMAND_ACK ACCEPTED."""
        return bytes(self._mav.command_ack_encode(command, 0).pack(self._mav))

    def say(self, data: bytes) -> int:
        return os.write(self.fd, data)

    def listen(self) -> int:
        """Takes all that has come; the number of messages so far. Bytes that are no message raise."""
        with suppress(BlockingIOError):
            while data := os.read(self.fd, 65536):
                self.heard += self._mav.parse_buffer(data) or []
        return len(self.heard)

    async def hears(self, count: int) -> None:
        await until(lambda: self.listen() >= count)


@contextmanager
def listening(*, port: int = 0, kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        sock.setblocking(False)
        yield sock


async def accepted(server: socket.socket) -> socket.socket:
    sock, _ = await asyncio.get_running_loop().sock_accept(server)
    return sock


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with listening(kind=kind) as sock:
        return int(sock.getsockname()[1])


class Cable:
    """A pseudo-terminal that `device`, a link as udev makes them, leads to; it can be unplugged and plugged in."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self.plug()

    def plug(self, first: Callable[[str], None] = lambda name: None) -> None:
        """`first` gets hold of the new device before others see it."""
        self.fd, self.device_fd = os.openpty()
        tty.setraw(self.device_fd)
        name = os.ttyname(self.device_fd)
        first(name)
        self.device.symlink_to(name)

    def unplug(self) -> None:
        self.device.unlink()
        os.close(self.device_fd)
        os.close(self.fd)


@contextmanager
def plugged(device: Path) -> Iterator[Cable]:
    cable = Cable(device)
    try:
        yield cable
    finally:
        with suppress(OSError):
            cable.unplug()


class Nowhere:
    """A transport that carries nothing: what the link sends is made, and dropped."""

    peer: Any = None
    send_drops = 0
    trouble: str | None = None

    def open(self, received: Any, turn_over: Any) -> None: ...
    def close(self) -> None: ...
    def send(self, data: bytes, address: Any) -> None: ...
    def gone(self, address: Any) -> bool:
        return False

    def kernel_drops(self) -> int | None:
        return None


def ours(seq: int) -> bytes:
    return encode(OURS, seq=seq & 0xFF, system=245, component=190)


def client_of(transport: Any, stack: ExitStack) -> Far:
    sock = stack.enter_context(socket.create_connection((LOOPBACK, transport.port)))
    return Far(sock.fileno())


@asynccontextmanager
async def wired(
    scheme: str, folder: Path, listener: Callable[[Any], Any] = lambda transport: Ear()
) -> AsyncIterator[tuple[Any, Any, Far]]:
    """A transport of that scheme, what listens to it, and a vehicle at the other end of it."""
    with ExitStack() as stack:

        def enter(url: str) -> tuple[Any, Any]:
            transport = make_transport(parse_url(url), ScaledClock(HASTE))
            stack.callback(transport.close)
            ear = listener(transport)
            transport.open(ear.received, ear.turn_over)
            return transport, ear

        if scheme == "serial":
            cable = stack.enter_context(plugged(folder / "radio"))
            transport, ear = enter(f"serial://{cable.device}:57600")
            far = Far(cable.fd)
        elif scheme == "tcpin":
            transport, ear = enter(f"tcpin://{LOOPBACK}:{free_port()}")
            far = client_of(transport, stack)
        elif scheme == "tcpout":
            server = stack.enter_context(listening())
            transport, ear = enter(f"tcpout://{LOOPBACK}:{server.getsockname()[1]}")
            far = Far(stack.enter_context(await accepted(server)).fileno())
        else:
            sock = stack.enter_context(listening(kind=socket.SOCK_DGRAM))
            port = sock.getsockname()[1] if scheme == "udpout" else free_port(socket.SOCK_DGRAM)
            transport, ear = enter(f"{scheme}://{LOOPBACK}:{port}")
            sock.connect((LOOPBACK, transport.port))
            far = Far(sock.fileno())
        yield transport, ear, far
