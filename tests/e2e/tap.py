"""A relay between vehicles and controller that reads along with pymavlink: what was really said on the wire."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

MISSION_WRITES = frozenset(
    {"MISSION_COUNT", "MISSION_ITEM_INT", "MISSION_ITEM", "MISSION_CLEAR_ALL", "MISSION_WRITE_PARTIAL_LIST"}
)
MODE_COMMANDS = frozenset(
    {
        mavlink.MAV_CMD_DO_SET_MODE,
        mavlink.MAV_CMD_MISSION_START,
        mavlink.MAV_CMD_NAV_RETURN_TO_LAUNCH,
        mavlink.MAV_CMD_NAV_LAND,
        mavlink.MAV_CMD_NAV_TAKEOFF,
        mavlink.MAV_CMD_DO_REPOSITION,
        mavlink.MAV_CMD_COMPONENT_ARM_DISARM,
    }
)


@dataclass(frozen=True)
class Said:
    """One message from the controller to a vehicle."""

    at_s: float
    """time.monotonic()"""
    system: int
    """target system"""
    kind: str
    message: Any

    @property
    def writes(self) -> bool:
        """It changes the vehicle's plan or mode."""
        return self.kind in MISSION_WRITES or (
            self.kind in ("COMMAND_LONG", "COMMAND_INT") and self.message.command in MODE_COMMANDS
        )


@dataclass
class Tap:
    """Vehicles send to `port`; everything is passed on to `controller_port` and back."""

    controller_port: int
    said: list[Said] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._down = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._down.bind(("127.0.0.1", 0))
        self.port = self._down.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._down, selectors.EVENT_READ)
        self._up: dict[Any, socket.socket] = {}
        self._vehicle_of: dict[socket.socket, Any] = {}
        self._parsers: dict[socket.socket, mavlink.MAVLink] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        for sock in (self._down, *self._up.values()):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.2):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    data, address = sock.recvfrom(2048)
                except OSError:
                    continue  # nobody listens there just now: the controller is down
                if sock is self._down:
                    self._send(self._upward(address), data, ("127.0.0.1", self.controller_port))
                else:
                    self._note(sock, data)
                    self._send(self._down, data, self._vehicle_of[sock])

    @staticmethod
    def _send(sock: socket.socket, data: bytes, address: Any) -> None:
        with contextlib.suppress(OSError):  # nobody listens there just now
            sock.sendto(data, address)

    def _upward(self, address: Any) -> socket.socket:
        if address not in self._up:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            self._up[address] = sock
            self._vehicle_of[sock] = address
            parser = mavlink.MAVLink(None)
            parser.robust_parsing = True
            self._parsers[sock] = parser
            self._selector.register(sock, selectors.EVENT_READ)
        return self._up[address]

    def _note(self, sock: socket.socket, data: bytes) -> None:
        now_s = time.monotonic()
        for message in self._parsers[sock].parse_buffer(data) or ():
            kind = message.get_type()
            self.said.append(Said(now_s, getattr(message, "target_system", 0), kind, message))

    def writes(self, since_s: float, until_s: float = float("inf")) -> list[Said]:
        return [s for s in list(self.said) if s.writes and since_s <= s.at_s < until_s]
