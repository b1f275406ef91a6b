"""Byte streams (TCP connections, serial devices) as carriers of frames, and the patience to open them again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.frame import Frame, StreamParser
from fleet.mavlink.transport import Received

READ_BYTES = 8 << 10
"""taken per turn of the event loop: 200 frames of usual size, or at worst 6 ms of noise; the kernel keeps the rest"""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 3.0
"""between attempts: what comes back is used within seconds, and what stays away costs nothing to speak of"""


class Stream:
    """A non-blocking file descriptor, read from the moment it is made. `lost(why)` is called once when it ends.

    Nothing queues here. The kernel's buffer takes a frame at once or the frame is dropped; only the tail of a frame
    that it took half of is kept, as half a frame would spoil the next.
    """

    def __init__(
        self,
        fd: int,
        address: Any,
        clock: Clock,
        received: Received,
        turn_over: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self.address = address
        self._fd = fd
        self._clock = clock
        self._received = received
        self._turn_over = turn_over
        self._lost = lost
        self._parser = StreamParser()
        self._tail = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)

    def stop(self) -> None:
        """Lets go of the descriptor, which remains its owner's to close."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)

    def send(self, data: bytes) -> bool:
        """False when the frame was dropped."""
        if self._tail:
            return False
        try:
            taken = os.write(self._fd, data)
        except OSError:
            return False  # full, or gone, of which reading will tell
        if 0 < taken < len(data):
            self._tail = data[taken:]
            self._loop.add_writer(self._fd, self._send_tail)
        return taken > 0

    def _send_tail(self) -> None:
        try:
            self._tail = self._tail[os.write(self._fd, self._tail) :]
        except BlockingIOError:
            return
        except OSError:
            self._tail = b""
        if not self._tail:
            self._loop.remove_writer(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as fault:
            self._lost(fault.strerror or str(fault))
            return
        if not data:
            self._lost("closed by the far end")
            return
        bad = self._parser.bad_bytes
        frames = self._parser.feed(data, self._clock.now_s())
        self._received(frames, self._parser.bad_bytes - bad, self.address)
        self._turn_over()


class Retry:
    """Calls `attempt` again after pauses that double, and are short again once something `worked`."""

    def __init__(self, attempt: Callable[[], None], clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._pause_s = FIRST_PAUSE_S
        self._timer: asyncio.TimerHandle | None = None

    def later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._clock.wall_s(self._pause_s), self._attempt)
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def worked(self) -> None:
        self._pause_s = FIRST_PAUSE_S

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class Reopening:
    """What a transport of one stream that is opened again by itself shares with others of its kind."""

    def __init__(self, open_again: Callable[[], None], clock: Clock) -> None:
        self.send_drops = 0
        self._clock = clock
        self._retry = Retry(open_again, clock)
        self._stream: Stream | None = None

    def _carry(self, fd: int, address: Any, lost: Callable[[str], None]) -> None:
        """Begins to read from an opened descriptor."""
        self._stream = Stream(fd, address, self._clock, self._taken, self._turn_over, lost)

    def _taken(self, frames: Sequence[Frame], bad: int, address: Any) -> None:
        if frames:
            self._retry.worked()  # not before: a router that lets us in and drops us at once is not to be hammered
        self._received(frames, bad, address)

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        self._received, self._turn_over = received, turn_over

    def send(self, data: bytes, address: Any) -> None:
        if self._stream is None or not self._stream.send(data):
            self.send_drops += 1

    def gone(self, address: Any) -> bool:
        """Never: it is opened again."""
        return False

    def kernel_drops(self) -> int | None:
        """None: TCP makes the sender wait, and serial drivers do not tell in a way that all of them share."""
        return None
