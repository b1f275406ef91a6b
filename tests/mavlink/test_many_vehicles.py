"""What keeps a thousand vehicles from holding each other up: rests between reads, housekeeping in parts."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fleet.clock import ScaledClock
from fleet.mavlink import udp
from fleet.mavlink.codec import encode
from fleet.mavlink.messages import Heartbeat
from fleet.mavlink.station import VEHICLES_PER_PART, Station
from fleet.mavlink.udp import MAX_DATAGRAMS_PER_TURN, UdpTransport
from fleet.mavlink.urls import LinkUrl
from tests.mavlink.wires import Nowhere


class Ear:
    """What a transport delivered, and in how many bursts."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.bursts = 0
        self.transport = UdpTransport(LinkUrl("udpin", "127.0.0.1", 0))
        self.transport.open(self.received, self.turn_over)
        self.voice = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.voice.connect(("127.0.0.1", self.transport.port))

    def received(self, frames: Any, bad: int, address: Any) -> None:
        self.seqs += [frame.seq for frame in frames]

    def turn_over(self) -> None:
        self.bursts += 1

    def say(self, seq: int) -> None:
        self.voice.send(encode(Heartbeat(0, 2, 12, 0, 4), seq=seq, system=1, component=1))

    async def hear(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.seqs) < count:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def close(self) -> None:
        self.transport.close()
        self.voice.close()


async def test_a_busy_socket_is_read_in_few_bursts_and_a_quiet_one_at_once_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp, "REST_S", 0.2)  # far from what a loaded machine takes for a datagram
    ear = Ear()
    for n in range(50):
        ear.say(n)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await ear.hear(50)
    assert ear.seqs == list(range(50))
    assert ear.bursts < 10, "each datagram woke the loop"
    async with asyncio.timeout(10):
        while ear.transport._rest is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    ear.say(50)
    await ear.hear(51)
    ear.close()


async def test_a_flood_is_read_in_bounded_turns_without_a_rest_between_and_a_resting_socket_can_be_closed() -> None:
    ear = Ear()
    ear.say(0)
    await ear.hear(1)
    for n in range(1, MAX_DATAGRAMS_PER_TURN + 50):
        ear.say(n & 0xFF)
    await ear.hear(MAX_DATAGRAMS_PER_TURN + 50)
    ear.say(0)
    ear.close()
    heard = len(ear.seqs)
    await asyncio.sleep(0.01)
    assert len(ear.seqs) == heard


async def test_housekeeping_of_many_vehicles_leaves_the_loop_to_others_in_between() -> None:
    station = Station(clock=ScaledClock())
    station.add_link("nowhere", Nowhere(), {n: f"cw-{n}" for n in range(1, 201)})
    ticked: list[str] = []
    for peer in station.peers:
        peer.tick = lambda now_s, name=peer.vehicle_id: ticked.append(name)  # type: ignore[method-assign, misc]
    running = asyncio.create_task(station.run())
    seen = []
    while len(ticked) < 200:
        await asyncio.sleep(0)
        seen.append(len(ticked))
    running.cancel()
    assert ticked == [peer.vehicle_id for peer in station.peers]
    assert max(b - a for a, b in zip([0, *seen], seen, strict=False)) <= VEHICLES_PER_PART
