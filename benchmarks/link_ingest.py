"""What a telemetry message costs: our decoder and reducer against pymavlink's parser, and a socket of 100 vehicles."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
import time
from typing import Any

from benchmarks.report import best_s, report, say
from fleet.clock import ScaledClock
from fleet.mavlink.codec import decode, encode
from fleet.mavlink.frame import scan
from fleet.mavlink.link import open_link
from fleet.mavlink.messages import (
    Attitude,
    ExtendedSysState,
    GlobalPositionInt,
    Heartbeat,
    Message,
    MissionCurrent,
    Spec,
    VfrHud,
)
from fleet.mavlink.reduce import Track

SOCKET_S = 10.0
SOCKET_VEHICLES = 100
MESSAGES_PER_S = 15
MIX: tuple[tuple[type[Any], int], ...] = (
    (Attitude, 4),
    (GlobalPositionInt, 4),
    (VfrHud, 2),
    (Heartbeat, 2),
    (ExtendedSysState, 1),
    (MissionCurrent, 2),
)
"""15 messages: what a vehicle sends in a second once it is thinned"""


def message(cls: type[Any], n: int) -> Message:
    """A valid message with values that move."""
    known: dict[str, Any] = {
        "type": 2, "autopilot": 12, "base_mode": 157, "custom_mode": 0x04040000, "system_status": 4,
        "mavlink_version": 3, "time_boot_ms": 1000 + 100 * n, "lat": 75_000_000 + n, "lon": 382_000_000 + n,
        "alt": 500_000, "relative_alt": 80_000, "landed_state": 2, "heading": 90,
    }  # fmt: skip
    spec = Spec.by_class[cls]
    zero = cls._make(spec.make(spec.layout.unpack(bytes(spec.size))))
    return zero._replace(**{k: v for k, v in known.items() if k in cls._fields})  # type: ignore[no-any-return]


def frames(vehicles: int, seconds: int) -> list[tuple[int, bytes]]:
    """(system, frame) in the order in which they would arrive."""
    mix = [cls for cls, count in MIX for _ in range(count)]
    out: list[tuple[int, bytes]] = []
    for second in range(seconds):
        for k, cls in enumerate(mix):
            for v in range(1, vehicles + 1):
                n = second * len(mix) + k
                out.append((v, encode(message(cls, n), seq=n % 256, system=v, component=1)))
    return out


def ours(stream: list[tuple[int, bytes]], vehicles: int) -> None:
    tracks = {v: Track(f"cw-{v}") for v in range(1, vehicles + 1)}
    for n, (_, data) in enumerate(stream):
        for frame in scan(data).frames:
            found = decode(frame)
            if found is not None:
                tracks[frame.system].reduce(found, n * 1e-4)


def peers(stream: list[tuple[int, bytes]], vehicles: int) -> None:
    from pymavlink.dialects.v20 import development

    parsers = {v: development.MAVLink(None) for v in range(1, vehicles + 1)}
    for system, data in stream:
        for found in parsers[system].parse_buffer(data) or []:
            found.get_type()


def cost(vehicles: int) -> dict[str, float]:
    stream = frames(vehicles, max(2, 60 // (vehicles // 20) // 10))
    say(f"{vehicles} vehicles, {len(stream)} messages")
    ours_us = 1e6 * best_s(lambda: ours(stream, vehicles)) / len(stream)
    peers_us = 1e6 * best_s(lambda: peers(stream, vehicles)) / len(stream)
    return {
        "messages": len(stream),
        "ours_decode_and_reduce_us_per_message": round(ours_us, 2),
        "pymavlink_parse_only_us_per_message": round(peers_us, 2),
        "ratio": round(peers_us / ours_us, 2),
    }


def send(port: int) -> None:
    """The vehicles' side, in its own process: spread evenly over each second."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream = sorted(frames(SOCKET_VEHICLES, 1), key=lambda f: f[1][7] != 0)  # heartbeats open the door
    start_s, n = time.monotonic(), 0
    total = int(SOCKET_S) * len(stream)
    while n < total:
        due = min(total, int((time.monotonic() - start_s) / SOCKET_S * total))
        for k in range(n, due):
            sock.sendto(stream[k % len(stream)][1], ("127.0.0.1", port))
        n = max(n, due)
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ingest() -> dict[str, Any]:
    say(f"a socket, {SOCKET_VEHICLES} vehicles at {MESSAGES_PER_S} messages/s for {SOCKET_S:g} s")
    names = {v: f"cw-{v}" for v in range(1, SOCKET_VEHICLES + 1)}
    port = free_port()
    async with open_link(f"udpin://127.0.0.1:{port}", clock=ScaledClock(), vehicles=names) as link:
        before = resource.getrusage(resource.RUSAGE_SELF)
        start_s = time.perf_counter()
        sender = [sys.executable, "-m", "benchmarks.link_ingest", "--send", str(port)]
        vehicles = subprocess.Popen(sender)  # noqa: ASYNC220
        while vehicles.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
        took_s = time.perf_counter() - start_s
        after = resource.getrusage(resource.RUSAGE_SELF)
        stats = link.stats()
        sent = int(SOCKET_S) * SOCKET_VEHICLES * MESSAGES_PER_S
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "sent": sent,
            "received": stats.frames,
            "lost": sent - stats.frames,
            "kernel_drops": stats.kernel_drops,
            "refused": stats.refused_frames,
            "vehicles_heard": sum(p.state().heard_s is not None for p in link.peers),
            "cpu_pct_of_a_core": round(100.0 * cpu_s / took_s, 1),
        }


def main() -> None:
    if sys.argv[1:2] == ["--send"]:
        send(int(sys.argv[2]))
        return
    how = (
        "the same frames in one process, best of 3; ours scans, checks, decodes and folds into vehicle state, "
        "pymavlink only parses; the socket is real UDP on loopback, the sender a process of its own, "
        "CPU with all of the link"
    )
    figures: dict[str, Any] = {f"vehicles_{n}": cost(n) for n in (20, 100)}
    figures["socket_100_vehicles"] = asyncio.run(ingest())
    figures["not_measured"] = ["mavsdk streams of the same mix"]
    report("link_ingest", figures, how, ("pymavlink", "fastcrc"))


if __name__ == "__main__":
    main()
