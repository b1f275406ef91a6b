"""The vehicles and boxes of `benchmarks.decide`, in a process of their own: they say what flies, and hear commands.

As a process: one JSON object on standard input says who flies where and whose dose leaves its range when; until the end
it sends what thinned PX4s send, a sample of each box a second, and answers a change of mode. Then it prints, of each
vehicle, how long after that sample the first command to it came, by this process's own clock.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from math import cos, radians
from typing import Any

from benchmarks.link_vehicles import CYCLE, HZ, OWN_ID, FakeVehicle, stamp_us
from fleet.mavlink import frame as framing
from fleet.mavlink.codec import decode
from fleet.mavlink.messages import CommandAck, CommandLong, GlobalPositionInt, Heartbeat, MissionCurrent

MISSION, HOLD = 0x04040000, 0x03040000
SET_MODE = 176
M_PER_DEG = 111_195.0
LIMIT_C = 8.0
RISE_C_S = 0.0036
"""as a box warms whose pack is spent"""


class Flown(FakeVehicle):
    """Flies straight on its mission until it is told to hold, with a box on board."""

    def __init__(self, row: dict[str, Any], begun_s: float) -> None:
        super().__init__(row["system"])
        self.row, self.begun_s = row, begun_s
        self.held_s: float | None = None
        self.crossed_s: float | None = None
        self.commanded_s: float | None = None
        self.samples = 0

    def telemetry(self, slot: int, now_us: int) -> bytes:
        what, r = CYCLE[slot], self.row
        mode = MISSION if self.held_s is None else HOLD
        if isinstance(what, Heartbeat):
            return self.message(Heartbeat(mode, 2, 12, 157, 4))
        if isinstance(what, MissionCurrent):
            state = 3 if self.held_s is None else 4
            return self.message(MissionCurrent(1, r["total"], state, 1, *r["ids"]))
        if what is GlobalPositionInt:
            until_s = time.monotonic() if self.held_s is None else self.held_s
            flown_s, moves = until_s - self.begun_s, self.held_s is None
            lat = r["lat"] + flown_s * r["north_m_s"] / M_PER_DEG
            lon = r["lon"] + flown_s * r["east_m_s"] / M_PER_DEG / cos(radians(r["lat"]))
            north, east = (100.0 * r["north_m_s"], 100.0 * r["east_m_s"]) if moves else (0.0, 0.0)
            height = round(1000.0 * (r["amsl_m"] - r["home_amsl_m"]))
            where = (round(lat * 1e7), round(lon * 1e7), round(1000.0 * r["amsl_m"]), height)
            return self.message(GlobalPositionInt(now_us // 1000, *where, round(north), round(east), 0, 0))
        if isinstance(what, int):  # CURRENT_MODE
            return self.frame(what, mode.to_bytes(4, "little") * 2 + b"\x00")
        return super().telemetry(slot, now_us)

    def hear(self, data: bytes) -> list[bytes]:
        now_s, answers = time.monotonic(), list(self.answer(data))
        for frame in framing.scan(data).frames:
            message = decode(frame)
            if isinstance(message, CommandLong) and message.command == SET_MODE:
                if self.commanded_s is None and self.crossed_s is not None:
                    self.commanded_s = now_s
                self.held_s = self.held_s or now_s
                answers.append(self.message(CommandAck(SET_MODE, 0, 0, 0, OWN_ID, 190)))
        return answers

    def sample(self, now_s: float) -> bytes:
        """The first one above the limit is the one that is timed."""
        self.samples += 1
        # As it is told: what is rounded down to the limit is in range.
        temp_c = round(LIMIT_C + RISE_C_S * (now_s - self.begun_s - self.row["cross_s"]), 4)
        if temp_c > LIMIT_C and self.crossed_s is None:
            self.crossed_s = now_s
        body = {
            "boot_id": "bench",
            "seq": self.samples,
            "box_time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "temp_c": [temp_c],
            "lid": "closed",
            "seal": "ok",
            "docked": True,
        }
        return f"{self.row['box']}\n{json.dumps(body)}".encode()


def _send(sock: socket.socket, data: bytes) -> None:
    with suppress(ConnectionRefusedError, BlockingIOError):  # nobody listens yet, or not any more
        sock.send(data)


def fly(spec: dict[str, Any]) -> dict[str, Any]:
    begun_s = time.monotonic()
    poll = select.epoll()
    boxes = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    boxes.connect(("127.0.0.1", spec["boxes_port"]))
    fleet: list[tuple[Flown, socket.socket]] = []
    by_fd: dict[int, tuple[Flown, socket.socket]] = {}
    for row in spec["vehicles"]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", spec["port"]))
        sock.setblocking(False)
        poll.register(sock.fileno(), select.EPOLLIN)
        by_fd[sock.fileno()] = (Flown(row, begun_s), sock)
        fleet.append(by_fd[sock.fileno()])
    due = [(begun_s + vehicle.row["phase_s"], vehicle) for vehicle, _ in fleet]
    rate_hz, sent, late_s = len(fleet) * HZ, 0, 0.0
    while (now_s := time.monotonic()) - begun_s < spec["seconds"]:
        wanted = int((now_s - begun_s) * rate_hz)
        while sent < wanted:
            turn, v = divmod(sent, len(fleet))
            vehicle, sock = fleet[v]
            _send(sock, vehicle.telemetry((turn + v) % len(CYCLE), stamp_us()))
            sent += 1
        for i, (due_s, vehicle) in enumerate(due):
            if now_s >= due_s:
                late_s = max(late_s, now_s - due_s)
                _send(boxes, vehicle.sample(time.monotonic()))
                due[i] = (due_s + 1.0, vehicle)
        for fd, _ in poll.poll(0, 64):
            vehicle, sock = by_fd[fd]
            try:
                answers = vehicle.hear(sock.recv(2048))
            except ConnectionRefusedError:
                continue  # the controller does not listen yet
            for answer in answers:
                _send(sock, answer)
        time.sleep(0.0005)
    return {
        "sent": sent,
        "samples": sum(vehicle.samples for vehicle, _ in fleet),
        "latest_sample_s": late_s,
        "crossed": sum(vehicle.crossed_s is not None for vehicle, _ in fleet),
        "first_crossed_s": min((v.crossed_s for v, _ in fleet if v.crossed_s is not None), default=None),
        "last_commanded_s": max((v.commanded_s for v, _ in fleet if v.commanded_s is not None), default=None),
        "latency_s": [v.commanded_s - v.crossed_s for v, _ in fleet if v.commanded_s and v.crossed_s],
    }


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.stdout.write(json.dumps(fly(json.loads(sys.stdin.readline()))) + "\n")
