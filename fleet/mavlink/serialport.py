"""Serial links: a cable or a telemetry radio, opened again by itself after it was unplugged."""

from __future__ import annotations

import errno
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import serial
from serial.tools import list_ports

from fleet.clock import Clock
from fleet.mavlink.stream import Reopening
from fleet.mavlink.transport import Received
from fleet.mavlink.urls import LinkError, LinkUrl


class SerialTransport(Reopening):
    """A device opened for us alone, 8N1 without flow control. Raises LinkError when it cannot be opened at first."""

    def __init__(self, url: LinkUrl, clock: Clock) -> None:
        super().__init__(self._reopen, clock)
        self.url = url
        self.peer: Any = url.device
        self.trouble: str | None = None
        self._port: serial.Serial | None = None
        why = self._open_port()
        if why is not None:
            raise LinkError(f"link {url}: {why}; the serial devices here: {_devices()}")

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        super().open(received, turn_over)
        self._start()

    def close(self) -> None:
        self._retry.stop()
        self._let_go()

    def _open_port(self) -> str | None:
        """Why it cannot be opened, with the fix; None when it is open."""
        try:
            self._port = serial.Serial(self.url.device, self.url.baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as fault:
            return _why_not(self.url, fault)
        return None

    def _start(self) -> None:
        assert self._port is not None
        self.trouble = None
        self._carry(self._port.fileno(), self.peer, self._unplugged)

    def _unplugged(self, why: str) -> None:
        self._let_go()
        self.trouble = f"link {self.url}: the device is gone ({why}); plug it in again, it is opened by itself"
        self._retry.later()

    def _reopen(self) -> None:
        why = self._open_port()
        if why is None:
            self._start()
            return
        self.trouble = f"link {self.url}: {why}; it is tried again by itself"
        self._retry.later()

    def _let_go(self) -> None:
        if self._stream is not None:
            self._stream.stop()
        if self._port is not None:
            with suppress(OSError, termios.error):
                self._port.reset_output_buffer()  # else close() may wait for bytes that a dead radio never takes
            with suppress(OSError, termios.error):
                self._port.close()
        self._port = self._stream = None


def _why_not(url: LinkUrl, fault: Exception) -> str:
    device = url.device
    number = fault.errno if isinstance(fault, OSError) else None
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return (
            f"there is no device {device}; plug it in, or correct the path (those in /dev/serial/by-id stay the same)"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission for {device}; add this user to the group dialout (sudo usermod -aG dialout $USER)"
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"{device} is in use by another program (a ground station, a second controller, ModemManager?); stop it"
    if isinstance(fault, ValueError):
        return f"{device} cannot do {url.baud} bits/s; configure the rate that the radio is set to"
    return f"{device} cannot be opened as a serial device ({fault}); correct the path"


def _devices() -> str:
    """Those that exist, and the names by which USB ones stay the same."""
    return ", ".join(sorted(port.device for port in list_ports.comports(include_links=True))) or "none"
