"""Between a real PX4 and who speaks to it: troubles of the radio, and others who look on.

A `Relay` is sans-IO and stands for one link of one vehicle, with what a simulated vehicle's `Link` has for those who
connect to it. `Meeting` is the socket on which PX4 instances are met.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

from sitl.radio import Channel, Radio
from sitl.wire.dialect import BY_NAME, MAGIC_V1, MAGIC_V2
from sitl.wire.streams import ONBOARD_RATES

READ_AT_ONCE = 64
BUFFER_BYTES = 65536
QUEUE_BYTES = 1 << 22
"""a PX4 sends 400 datagrams a second, times its speed factor; the kernel's usual queue holds a fifth of a second"""
STREAMS = frozenset(BY_NAME[name].msg_id for name in ONBOARD_RATES)

Hear = Callable[[bytes], None]
Witness = Callable[[bytes, bool], None]
"""a frame, and whether it comes from the vehicle"""


def msg_id(frame: bytes) -> int:
    """Of a whole MAVLink frame; −1 for anything else."""
    if len(frame) >= 12 and frame[0] == MAGIC_V2:
        return frame[7] | frame[8] << 8 | frame[9] << 16
    return frame[5] if len(frame) >= 8 and frame[0] == MAGIC_V1 else -1


class Relay:
    """Frames from the vehicle come in by `hear`, those to it by `receive`; `transmit` is given what reaches it."""

    def __init__(
        self, name: str, transmit: Hear, rng: random.Random, rates_hz: Mapping[str, float] | None = None
    ) -> None:
        self.name, self.transmit = name, transmit
        self.hearers: list[Hear] = []
        """get what the radio lets through"""
        self.witnesses: list[Witness] = []
        """see every frame at the vehicle's end: what it sends, and what reaches it"""
        self.heard_s = -math.inf
        self.down, self.up = Channel(self._put, rng), Channel(self._take, rng)
        self._every_s = None if rates_hz is None else {BY_NAME[n].msg_id: 1.0 / hz for n, hz in rates_hz.items()}
        self._next_s: dict[int, float] = {}

    def suffer(self, radio: Radio) -> None:
        """From now on the radio is this good."""
        self.down.air, self.up.air = radio.down, radio.up

    def hear(self, frame: bytes, now_s: float) -> None:
        self.heard_s = now_s
        for witness in self.witnesses:
            witness(frame, True)
        if self._every_s is None or self._wanted(msg_id(frame), now_s):
            self.down.send(frame, now_s)

    def receive(self, frame: bytes, now_s: float) -> None:
        self.up.send(frame, now_s)

    def step(self, now_s: float) -> None:
        """Late frames arrive."""
        self.down.step(now_s)
        self.up.step(now_s)

    def _wanted(self, number: int, now_s: float) -> bool:
        """Streams are thinned to `rates_hz`; answers, events and texts pass."""
        assert self._every_s is not None
        every_s = self._every_s.get(number)
        if every_s is None:
            return number not in STREAMS
        due_s = self._next_s.get(number, -math.inf)
        if now_s < due_s:
            return False
        following_s = due_s + every_s
        self._next_s[number] = following_s if following_s > now_s else now_s + every_s
        return True

    def _put(self, frame: bytes, now_s: float) -> None:
        for hear in self.hearers:
            hear(frame)

    def _take(self, frame: bytes, now_s: float) -> None:
        for witness in self.witnesses:
            witness(frame, False)
        self.transmit(frame)


class Meeting:
    """A UDP socket on 127.0.0.1 where PX4 instances send to; whose a datagram is, its port of origin tells."""

    def __init__(self, local_port: int = 0) -> None:
        """Port 0 takes a free one. Raises OSError, with the port, when it is taken."""
        self._hear: dict[int, Hear] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        try:
            self._socket.bind(("127.0.0.1", local_port))
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"UDP port {local_port} is taken: end who else listens to PX4 there") from error
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def meet(self, origin_port: int, hear: Hear) -> Hear:
        """`hear` gets what comes from there; the result sends to it."""
        self._hear[origin_port] = hear
        return lambda data: self._send(data, origin_port)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _send(self, data: bytes, port: int) -> None:
        # A full buffer or a PX4 that is not there loses the datagram, as UDP does.
        with suppress(OSError):
            self._socket.sendto(data, ("127.0.0.1", port))

    def _read(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                data, (_, port) = self._socket.recvfrom(BUFFER_BYTES)
            except OSError:
                return
            if hear := self._hear.get(port):
                hear(data)
