"""UDP for one vehicle link, as PX4 does it: sends to its configured address until somebody speaks, then to him."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from sitl.spec import LinkSpec

READ_AT_ONCE = 64
"""datagrams taken per turn of the event loop, so that one talkative peer cannot starve the rest"""
BUFFER_BYTES = 65536


class End(Protocol):
    """A vehicle's end of a link, simulated or relayed."""

    name: str
    hearers: list[Callable[[bytes], None]]

    def receive(self, data: bytes, now_s: float, /) -> None: ...


class UdpPort:
    """Binds in `open`. The first peer heard keeps the link, as in PX4; an observer uses a link of its own."""

    def __init__(self, spec: LinkSpec, link: End, now_s: Callable[[], float]) -> None:
        self._spec, self._link, self._now_s = spec, link, now_s
        self._peer: tuple[str, int] = (spec.host, spec.port)
        self._met = False
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port it is bound to."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def open(self) -> None:
        """Raises OSError with the address when the port is taken."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        address = "127.0.0.1" if self._spec.host.startswith("127.") or self._spec.host == "localhost" else "0.0.0.0"
        try:
            udp.bind((address, self._spec.local_port))
        except OSError as error:
            udp.close()
            raise OSError(
                error.errno,
                f"UDP port {self._spec.local_port} of {self._link.name} is taken: choose another local_port",
            ) from error
        self._socket = udp
        self._link.hearers.append(self._send)
        asyncio.get_running_loop().add_reader(udp.fileno(), self._read)

    def close(self) -> None:
        if self._socket is not None:
            self._link.hearers.remove(self._send)
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _send(self, data: bytes) -> None:
        # A full buffer or an absent listener loses the datagram, as UDP does.
        with suppress(OSError):
            if self._socket is not None:
                self._socket.sendto(data, self._peer)

    def _read(self) -> None:
        for _ in range(READ_AT_ONCE):
            if self._socket is None:
                return
            try:
                data, peer = self._socket.recvfrom(BUFFER_BYTES)
            except OSError:
                return
            if not self._met:
                self._met, self._peer = True, peer
            self._link.receive(data, self._now_s())
