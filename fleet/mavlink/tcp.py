"""TCP links: `tcpin` waits for vehicles that connect, `tcpout` connects to one and does so again when it breaks."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.sockets import resolve, why_not
from fleet.mavlink.stream import Reopening, Retry, Stream
from fleet.mavlink.transport import Received
from fleet.mavlink.urls import LinkError, LinkUrl

MAX_CLIENTS = 300
"""a link has 254 system ids; the rest is for those who look on"""
CONNECT_S = 5.0
"""an answer to a SYN that takes longer was lost: the kernel repeats it after 1 s and 3 s"""
SEND_BUFFER = 32 << 10
"""bytes asked of the kernel: 254 vehicles behind one router at a turn, and as few old commands as that allows
for a peer that did not read for a while"""
PROBE_IDLE_S, PROBE_EVERY_S, PROBES = 5, 5, 2
"""a connection whose far end vanished without a word is given up after 15 s: it holds nobody up until then"""
OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TcpInTransport:
    """Listens. Each client has a parser and an address of its own, and none waits for another."""

    def __init__(self, url: LinkUrl, clock: Clock) -> None:
        self.url = url
        self.peer: Any = None
        self.send_drops = 0
        self._clock = clock
        self._clients: dict[Any, tuple[socket.socket, Stream]] = {}
        self._fault: str | None = None
        self._retry = Retry(self._listen, clock)
        family, address = resolve(url, socket.SOCK_STREAM)
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        # Else the connections of a controller that just ended would bar its successor for a minute.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(address)
            self._socket.listen(128)
        except OSError as fault:
            self._socket.close()
            raise LinkError(why_not(url, fault)) from None

    @property
    def port(self) -> int:
        """The local port."""
        return int(self._socket.getsockname()[1])

    @property
    def trouble(self) -> str | None:
        """Why no further vehicle can connect; those that are connected stay."""
        if self._fault is None and len(self._clients) >= MAX_CLIENTS:
            return (
                f"link {self.url}: {MAX_CLIENTS} clients are connected and no more let in; stop those you do not know"
            )
        return self._fault

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        self._received, self._turn_over = received, turn_over
        self._listen()

    def close(self) -> None:
        self._retry.stop()
        if self._socket.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        for address in list(self._clients):
            self._forget(address)

    def send(self, data: bytes, address: Any) -> None:
        client = self._clients.get(address)
        if client is None or not client[1].send(data):
            self.send_drops += 1

    def gone(self, address: Any) -> bool:
        return address not in self._clients

    def kernel_drops(self) -> int | None:
        """TCP drops nothing: it makes the sender wait."""
        return None

    def _listen(self) -> None:
        self._fault = None
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            client, address = self._socket.accept()
        except OSError as fault:
            if fault.errno in OUT_OF:
                self._fault = f"link {self.url}: nobody can be let in ({fault.strerror}); raise the limit (ulimit -n)"
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
                self._retry.later()
            return  # else the client left again before we came
        self._retry.worked()
        if len(self._clients) >= MAX_CLIENTS:
            client.close()
            return
        _tune(client)
        self._forget(address)

        def lost(_: str) -> None:
            self._forget(address)

        stream = Stream(client.fileno(), address, self._clock, self._received, self._turn_over, lost)
        self._clients[address] = client, stream

    def _forget(self, address: Any) -> None:
        client = self._clients.pop(address, None)
        if client is not None:
            client[1].stop()
            client[0].close()


class TcpOutTransport(Reopening):
    """Connects, and connects again by itself. Nobody listening is no error: the far end may start later."""

    def __init__(self, url: LinkUrl, clock: Clock) -> None:
        super().__init__(self._connect, clock)
        self.url = url
        self.trouble: str | None = f"link {url}: not connected yet"
        self._family, self.peer = resolve(url, socket.SOCK_STREAM)
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        super().open(received, turn_over)
        self._connect()

    def close(self) -> None:
        self._retry.stop()
        self._let_go()

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock = self._socket = socket.socket(self._family, socket.SOCK_STREAM)
            _tune(sock)
            sock.connect(self.peer)
        except BlockingIOError:
            pass
        except OSError as fault:
            self._failed(fault.strerror or str(fault))
            return
        loop.add_writer(sock.fileno(), self._connected, sock)
        self._timer = loop.call_later(self._clock.wall_s(CONNECT_S), self._failed, f"no answer in {CONNECT_S:g} s")

    def _connected(self, sock: socket.socket) -> None:
        asyncio.get_running_loop().remove_writer(sock.fileno())
        if self._timer is not None:
            self._timer.cancel()
        fault = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # Calling a free port of this computer again and again, TCP may at last connect us with ourselves.
        if fault == 0 and sock.getsockname() == sock.getpeername():
            fault = errno.ECONNREFUSED
        if fault:
            self._failed(os.strerror(fault))
            return
        self.trouble = None
        self._carry(sock.fileno(), self.peer, self._failed)

    def _failed(self, why: str) -> None:
        self._let_go()
        self.trouble = f"link {self.url}: not connected ({why}); start what listens there, it is called again by itself"
        self._retry.later()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket.fileno())
            loop.remove_writer(self._socket.fileno())
            self._socket.close()
        self._socket = self._stream = None


def _tune(sock: socket.socket) -> None:
    """Frames leave at once, and a far end that is gone is noticed."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (
        ("TCP_KEEPIDLE", PROBE_IDLE_S),
        ("TCP_KEEPINTVL", PROBE_EVERY_S),
        ("TCP_KEEPCNT", PROBES),
        # Keepalive is silent while something of ours is not acknowledged: this one is for then. In ms.
        ("TCP_USER_TIMEOUT", 1000 * (PROBE_IDLE_S + PROBE_EVERY_S * PROBES)),
    ):
        option = getattr(socket, name, None)  # as far as the system has them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
