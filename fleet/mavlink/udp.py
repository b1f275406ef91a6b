"""The UDP socket of a link: drained in bounded turns, never blocking."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.mavlink.frame import scan
from fleet.mavlink.sockets import resolve, why_not
from fleet.mavlink.transport import Received
from fleet.mavlink.urls import LinkError, LinkUrl

MAX_DATAGRAMS_PER_TURN = 256
"""then the event loop gets its turn: at 5 µs each about a millisecond"""
REST_S = 0.015
"""a socket that woke the loop less than this ago is looked at again after this, for as long as it has something: to
wake costs many times what a datagram does, and nothing in telemetry is that urgent"""
SHORT_REST_S = 0.004
MANY = 8
"""datagrams in one look, after which a short rest is enough to be worth while"""
RECEIVE_BUFFER = 4 << 20
"""bytes asked of the kernel: a thousand vehicles for about ten seconds (it may give less, see net.core.rmem_max)"""


class UdpTransport:
    """A bound socket; nothing is read before `open`."""

    def __init__(self, url: LinkUrl) -> None:
        self.url = url
        self.send_drops = 0
        self.peer: Any = None
        """where udpout sends before anything was heard"""
        self._rest: asyncio.TimerHandle | None = None
        """until then the socket is not looked at"""
        self._woken_s = float("-inf")
        self._trouble: str | None = None
        self._kernel_drops: int | None = None
        family, address = resolve(url, socket.SOCK_DGRAM)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
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
            raise LinkError(why_not(url, fault)) from None

    @property
    def port(self) -> int:
        """The local port."""
        return int(self._socket.getsockname()[1])

    @property
    def trouble(self) -> str | None:
        """udpout only: the network does not take what we send. A socket that waits has no trouble it could know of."""
        return self._trouble

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        """Calls `received` with each datagram's frames and `turn_over` after each burst, from now on."""
        self._read(received, turn_over)

    def _read(self, received: Received, turn_over: Callable[[], None]) -> None:
        self._rest = None
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._woken, received, turn_over)

    def _woken(self, received: Received, turn_over: Callable[[], None]) -> None:
        """The socket has something. When it is busy, the next look comes after a rest."""
        loop = asyncio.get_running_loop()
        before_s, self._woken_s = self._woken_s, loop.time()
        took = self._drain(received, turn_over)
        if self._woken_s - before_s < REST_S and self._socket.fileno() >= 0:
            loop.remove_reader(self._socket.fileno())
            self._rest = loop.call_later(_rest_s(took), self._rested, received, turn_over)

    def _rested(self, received: Received, turn_over: Callable[[], None]) -> None:
        took = self._drain(received, turn_over)
        if self._socket.fileno() < 0:
            return
        if took == 0:
            self._read(received, turn_over)
            return
        self._rest = asyncio.get_running_loop().call_later(_rest_s(took), self._rested, received, turn_over)

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self.kernel_drops()
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        if self._rest is not None:
            self._rest.cancel()
        self._socket.close()

    def send(self, data: bytes, address: Any) -> None:
        """Sends or drops: telemetry's next datagram is worth more than a late one."""
        try:
            self._socket.sendto(data, address)
        except BlockingIOError:
            self.send_drops += 1
        except OSError as fault:
            self.send_drops += 1
            if self.peer is not None:
                self._trouble = f"link {self.url}: nothing can be sent ({fault.strerror}); check the network there"
        else:
            self._trouble = None

    def _drain(self, received: Received, turn_over: Callable[[], None]) -> int:
        """Reads what there is, up to a bound; how much that was."""
        took = 0
        receive = self._socket.recvfrom
        while took < MAX_DATAGRAMS_PER_TURN:
            took += 1
            try:
                data, address = receive(4096)
            except BlockingIOError:
                took -= 1
                break
            except OSError:
                # An ICMP error for something we sent: the peer is gone, which its silence shows soon enough.
                continue
            found = scan(data)
            received(found.frames, found.bad, address)
        turn_over()
        return took

    def gone(self, address: Any) -> bool:
        """Never: nobody tells when a sender of datagrams is."""
        return False

    def kernel_drops(self) -> int | None:
        """Datagrams the kernel threw away because its buffer was full (/proc/net/udp); None where it does not tell."""
        if self._socket.fileno() < 0:
            return self._kernel_drops
        table = Path("/proc/net/udp6" if self._socket.family == socket.AF_INET6 else "/proc/net/udp")
        try:
            inode = str(Path(f"/proc/self/fd/{self._socket.fileno()}").stat().st_ino)
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[9] == inode:
                    self._kernel_drops = int(columns[12])
        except OSError:
            pass
        return self._kernel_drops


def _rest_s(took: int) -> float:
    if took == MAX_DATAGRAMS_PER_TURN:
        return 0.0
    return REST_S if took < MANY else SHORT_REST_S
