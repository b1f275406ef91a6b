"""The UDP socket of a link: drained in bounded turns, never blocking."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.mavlink.frame import scan
from fleet.mavlink.transport import Received
from fleet.mavlink.urls import LinkError, LinkUrl

MAX_DATAGRAMS_PER_TURN = 256
"""then the event loop gets its turn: at 5 µs each about a millisecond"""
RECEIVE_BUFFER = 4 << 20
"""bytes asked of the kernel: a thousand vehicles for about ten seconds (it may give less, see net.core.rmem_max)"""


class UdpTransport:
    """A bound socket; nothing is read before `open`."""

    def __init__(self, url: LinkUrl) -> None:
        self.url = url
        self.send_drops = 0
        self.peer: Any = None
        """where udpout sends before anything was heard"""
        try:
            family, kind, proto, _, address = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_DGRAM)[0]
        except socket.gaierror as fault:
            raise LinkError(f"link {url}: the host {url.host!r} is not known ({fault.strerror})") from None
        self._socket = socket.socket(family, kind, proto)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        try:
            if url.scheme == "udpin":
                self._socket.bind(address)
            else:
                self.peer = address
                self._socket.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))
        except OSError as fault:
            self._socket.close()
            raise LinkError(_why_not(url, fault)) from None

    @property
    def port(self) -> int:
        """The local port."""
        return int(self._socket.getsockname()[1])

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        """Calls `received` with each datagram's frames and `turn_over` after each burst, from now on."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._drain, received, turn_over)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    @property
    def trouble(self) -> str | None:
        """A bound socket has none."""
        return None

    def send(self, data: bytes, address: Any) -> None:
        """Sends or drops: telemetry's next datagram is worth more than a late one."""
        try:
            self._socket.sendto(data, address)
        except OSError:
            self.send_drops += 1

    def _drain(self, received: Received, turn_over: Callable[[], None]) -> None:
        for _ in range(MAX_DATAGRAMS_PER_TURN):
            try:
                data, address = self._socket.recvfrom(4096)
            except BlockingIOError:
                break
            except OSError:
                # An ICMP error for something we sent: the peer is gone, which its silence shows soon enough.
                continue
            found = scan(data)
            received(found.frames, found.bad, address)
        turn_over()

    def kernel_drops(self) -> int | None:
        """Datagrams the kernel threw away because its buffer was full (/proc/net/udp); None where it does not tell."""
        inode = str(Path(f"/proc/self/fd/{self._socket.fileno()}").stat().st_ino)
        table = Path("/proc/net/udp6" if self._socket.family == socket.AF_INET6 else "/proc/net/udp")
        try:
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[9] == inode:
                    return int(columns[12])
        except OSError:
            pass
        return None


def _why_not(url: LinkUrl, fault: OSError) -> str:
    if fault.errno == errno.EADDRINUSE:
        return (
            f"link {url}: port {url.port} is in use by another program (a second controller or a ground station?); "
            f"stop it, or configure another port"
        )
    if fault.errno == errno.EADDRNOTAVAIL:
        return f"link {url}: this computer has no address {url.host}; use 0.0.0.0 to listen on all of its addresses"
    if fault.errno == errno.EACCES:
        return f"link {url}: no permission for port {url.port}; use a port above 1023"
    return f"link {url}: cannot be opened ({fault.strerror})"
