"""The vehicles' side of `benchmarks.link_ingest`: thinned PX4s, each with a socket of its own, paced evenly.

As a process: `python -m benchmarks.link_vehicles PORT,PORT.. VEHICLES` flies until its standard input ends, answers
what a PX4 answers, and prints how many frames it sent.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from fleet.mavlink import frame as framing
from fleet.mavlink.codec import decode
from fleet.mavlink.messages import (
    AutopilotVersion,
    BatteryStatus,
    CommandLong,
    ExtendedSysState,
    GlobalPositionInt,
    Heartbeat,
    HomePosition,
    MissionCurrent,
    Ping,
    Spec,
    SysStatus,
    TimeSync,
    VfrHud,
    WindCov,
)

HZ = 15
PER_LINK = 250
"""system ids are one byte, so a thousand vehicles need at least four links"""
OWN_ID = 245
"""the controller's default system id: no vehicle may have it"""
SYSTEMS = [n for n in range(1, 255) if n != OWN_ID][:PER_LINK]
STAMP_US = 1 << 31
"""the clock in the frame wraps here: 36 minutes"""
CURRENT_MODE = 436

_HEARTBEAT = Heartbeat(0x04040000, 2, 12, 157, 4)
_HEALTH = 0x1321FC2F
_MESSAGES: tuple[tuple[Any, int], ...] = (
    (GlobalPositionInt, 8),
    (ExtendedSysState(3, 2), 4),
    (VfrHud(15.2, 14.8, 583.4, 0.3, 112, 61), 4),
    (_HEARTBEAT, 2),
    (SysStatus(_HEALTH, _HEALTH, _HEALTH, 412, 23811, 1510, 0, 0, 0, 0, 0, 0, 78), 2),
    (MissionCurrent(3, 9, 3, 1, 559842085, 70211, 90001), 2),
    (Ping, 2),
    (TimeSync, 2),
    (BatteryStatus(1840, 157000, 3012, b"\x83\x0f" * 6 + b"\xff" * 8, 1510, 0, 1, 1, 78, 1260), 1),
    (HomePosition(75_000_000, 382_000_000, 420_000, 1.5, -2.5, -0.1, bytes(16), 0.0, 0.0, 0.0, 77_000_000), 1),
    (WindCov(81_000_000, 2.1, -3.3, 0.0, 0.4, 0.0, 583.0, 0.5, 0.0), 1),
    (CURRENT_MODE, 1),
)
"""(message, how many in two seconds): what a PX4 sends once fleet.mavlink.thinning has set its rates, and what it then
still sends unasked (HEARTBEAT, MISSION_CURRENT, PING, TIMESYNC, CURRENT_MODE)"""


def _spread() -> tuple[Any, ...]:
    """The two seconds' messages, each kind evenly apart."""
    slots = [((k + 0.5) / count, n, what) for n, (what, count) in enumerate(_MESSAGES) for k in range(count)]
    return tuple(what for _, _, what in sorted(slots, key=lambda slot: slot[:2]))


CYCLE = _spread()


def stamp_us() -> int:
    """The computer's monotonic clock, the same in all of its processes."""
    return time.monotonic_ns() // 1000 % STAMP_US


class FakeVehicle:
    """One vehicle's frames. Its height above home is the time of sending in microseconds, told as millimetres."""

    def __init__(self, system: int) -> None:
        self.system = system
        self.seq = 0
        self.sent = 0
        self._fixed = {
            slot: (Spec.by_class[type(what)].msg_id, Spec.by_class[type(what)].layout.pack(*what))
            for slot, what in enumerate(CYCLE)
            if isinstance(what, tuple)
        }

    def telemetry(self, slot: int, now_us: int) -> bytes:
        """The next frame of the cycle."""
        fixed = self._fixed.get(slot)
        if fixed is not None:
            return self.frame(*fixed)
        what, boot_ms = CYCLE[slot], now_us // 1000
        if what is GlobalPositionInt:
            here = GlobalPositionInt(
                boot_ms, 75_100_000 + slot, 382_200_000 + slot, 583_400, now_us, 1402, -490, 8, 11200
            )
            return self.message(here)
        if what is Ping:
            return self.message(Ping(now_us, self.seq, 0, 0))
        if what is TimeSync:
            return self.message(TimeSync(0, now_us * 1000))
        return self.frame(CURRENT_MODE, b"\x00\x00\x04\x04\x00\x00\x04\x04\x00")

    def heartbeat(self) -> bytes:
        return self.message(_HEARTBEAT)

    def answer(self, data: bytes) -> Iterator[bytes]:
        for frame in framing.scan(data).frames:
            message = decode(frame)
            if isinstance(message, TimeSync):
                yield self.message(TimeSync(stamp_us() * 1000, message.ts1, OWN_ID, 190))
            elif isinstance(message, CommandLong) and message.param1 == 148.0:
                yield self.message(AutopilotVersion(0, self.system, 0x011100FF, 0, 0, 0, 0, 0, *(bytes(8),) * 3))

    def message(self, message: Any) -> bytes:
        spec = Spec.by_class[type(message)]
        return self.frame(spec.msg_id, spec.layout.pack(*message))

    def frame(self, msg_id: int, payload: bytes) -> bytes:
        self.sent += 1
        self.seq = (self.seq + 1) & 0xFF
        return framing.build(msg_id, payload, seq=self.seq, system=self.system, component=1)


def stream(vehicles: int, seconds: float) -> list[bytes]:
    """The frames of a fleet of at most `PER_LINK` in the order of sending, heartbeats first."""
    fleet = [FakeVehicle(system) for system in SYSTEMS[:vehicles]]
    out = [vehicle.heartbeat() for vehicle in fleet]
    for n in range(int(seconds * HZ * vehicles)):
        turn, v = divmod(n, vehicles)
        # Spread over the cycle, so that not all vehicles send the same message at the same time.
        out.append(fleet[v].telemetry((turn + v) % len(CYCLE), 1_000_000 + n * 1_000_000 // (HZ * vehicles)))
    return out


def fly(ports: list[int], vehicles: int) -> None:
    poll = select.epoll()
    poll.register(sys.stdin.fileno())
    fleet: list[tuple[FakeVehicle, socket.socket]] = []
    by_fd: dict[int, tuple[FakeVehicle, socket.socket]] = {}
    for n in range(vehicles):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", ports[n // PER_LINK]))
        sock.setblocking(False)
        poll.register(sock.fileno(), select.EPOLLIN)
        row = (FakeVehicle(SYSTEMS[n % PER_LINK]), sock)
        by_fd[sock.fileno()] = row
        fleet.append(row)
    for vehicle, sock in fleet:  # their heartbeats open the door
        sock.send(vehicle.heartbeat())
        time.sleep(1.0 / vehicles)
    rate_hz, n, flying, start_s = vehicles * HZ, 0, True, time.monotonic()
    while flying:
        due = int((time.monotonic() - start_s) * rate_hz)
        while n < due:
            turn, v = divmod(n, vehicles)
            vehicle, sock = fleet[v]
            sock.send(vehicle.telemetry((turn + v) % len(CYCLE), stamp_us()))
            n += 1
        for fd, _ in poll.poll(0, 64):
            if fd not in by_fd:
                flying = False
                break
            vehicle, sock = by_fd[fd]
            for answer in vehicle.answer(sock.recv(2048)):
                sock.send(answer)
        time.sleep(0.0003)
    sys.stdout.write(json.dumps({"sent": sum(vehicle.sent for vehicle, _ in fleet)}) + "\n")


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        # A core of its own, as far as there is one: what it costs is not the controller's.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    fly([int(port) for port in sys.argv[1].split(",")], int(sys.argv[2]))
