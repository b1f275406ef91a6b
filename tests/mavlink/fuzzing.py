"""Random bytes and random frames for a whole link that carries a good vehicle, a mad one, and strangers."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from typing import Any

from fastcrc.crc16 import mcrf4xx

from fleet.mavlink.codec import encode
from fleet.mavlink.command import Command, Repeat
from fleet.mavlink.crc_extras import CRC_EXTRA
from fleet.mavlink.frame import StreamParser, scan
from fleet.mavlink.messages import CommandLong, Heartbeat, MissionItemInt, Spec
from fleet.mavlink.timing import RoundTrip
from fleet.mavlink.transfer import Download, ListType, Upload
from missions.snapshot import Mode
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air

IDS = sorted(CRC_EXTRA)
KNOWN = sorted(Spec.by_id)
GOOD, MAD = 1, 2
FRAMES_PER_S = 900.0
"""below what a link takes of one vehicle, so that nothing is spared by its budget"""
_WILD = (
    struct.pack("<f", float("nan")),
    struct.pack("<f", float("inf")),
    struct.pack("<f", -float("inf")),
    b"\xff" * 4,
)


def _fields(chance: random.Random) -> bytes:
    """A payload: random, or zero with some of it NaN, infinite or all ones; often too short or too long."""
    size = chance.choice((0, 1, chance.randrange(256), chance.randrange(64), 255))
    if chance.random() < 0.5:
        return chance.randbytes(size)
    words = [chance.choice(_WILD) if chance.random() < 0.3 else bytes(4) for _ in range(size // 4 + 1)]
    return b"".join(words)[:size]


def random_frame(chance: random.Random, system: int | None = None) -> bytes:
    """A frame whose checksum holds: MAVLink 1 or 2, any known id, any sender, some signed with nonsense; and here and
    there the HEARTBEAT of a PX4, which opens the door to an address."""
    if chance.random() < 0.05:
        beat = Heartbeat(chance.randrange(1 << 32), 2, 12, chance.randrange(256), chance.randrange(9))
        return encode(beat, seq=0, system=chance.choice((GOOD, MAD)) if system is None else system, component=1)
    # Half of the others are messages that are read, half from the whole table.
    msg_id = chance.choice(KNOWN if chance.random() < 0.5 else IDS)
    payload = _fields(chance)
    sender = chance.randrange(256) if system is None else system
    component = 1 if chance.random() < 0.8 else chance.randrange(256)
    seq = chance.randrange(256)
    extra = bytes([CRC_EXTRA[msg_id]])
    if msg_id < 256 and chance.random() < 0.3:
        inner = bytes((len(payload), seq, sender, component, msg_id)) + payload
        return b"\xfe" + inner + int(mcrf4xx(inner + extra)).to_bytes(2, "little")
    flags = chance.choice((0, 0, 0, 0, 1, chance.randrange(256)))
    inner = bytes((len(payload), flags, chance.randrange(256), seq, sender, component)) + msg_id.to_bytes(3, "little")
    inner += payload
    signature = chance.randbytes(13) if flags & 1 else b""
    return b"\xfd" + inner + int(mcrf4xx(inner + extra)).to_bytes(2, "little") + signature


class Bedlam:
    """The link under fire. `GOOD` flies on and is heard once a second; `MAD` sends random frames in its own name."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.good, self.mad = FakePx4(system=GOOD, lat=76543210, armed=True), FakePx4(system=MAD)
        self.air = Air(self.good, self.mad)
        self.frames = self.bytes = self.exchanges = 0
        self._stream = StreamParser()

    def strange_address(self) -> Any:
        return (f"10.9.{self.chance.randrange(256)}.{self.chance.randrange(256)}", self.chance.randrange(1, 65536))

    async def bytes_in(self, size: int) -> None:
        """Random bytes as datagrams from everywhere, the good vehicle's address too, and as one stream."""
        until = self.bytes + size
        while self.bytes < until:
            data = self.chance.randbytes(self.chance.randrange(1, 1500))
            if self.chance.random() < 0.5:
                # Bytes that look like beginnings, of which random ones have only one in 128.
                data = data.replace(data[:1], b"\xfd").replace(data[-1:], b"\xfe")
            self.bytes += len(data)
            found = scan(data)
            address = self.air.addresses[GOOD] if self.chance.random() < 0.3 else self.strange_address()
            now_s = self.air.clock.now_s()
            self.air.link.received(found.frames, found.bad, address, now_s)
            before = self._stream.bad_bytes
            self.air.link.received(self._stream.feed(data, now_s), self._stream.bad_bytes - before, "serial", now_s)
            if self.bytes // 65536 != (self.bytes - len(data)) // 65536:
                await self._breathe(0.2)

    async def frames_in(self, count: int) -> None:
        """Random frames: in the name of the mad vehicle from its address; in any name from strangers; in any name but
        its own from the good vehicle's address, as a radio in between might forward."""
        link, chance = self.air.link, self.chance
        for n in range(count):
            source = chance.random()
            if source < 0.5:
                data, address = random_frame(chance, MAD), self.air.addresses[MAD]
            elif source < 0.9:
                data, address = random_frame(chance), self.strange_address()
            else:
                data, address = random_frame(chance, chance.choice((0, *range(3, 256)))), self.air.addresses[GOOD]
            found = scan(data)
            link.received(found.frames, found.bad, address, self.air.clock.now_s())
            self.frames += 1
            if n % 50 == 49:
                await self._breathe(50 / FRAMES_PER_S)

    async def _breathe(self, for_s: float) -> None:
        self.air.station.turn_over()
        self.air.sent.clear()
        self.good.log.clear()
        self.mad.log.clear()
        await asyncio.sleep(for_s)
        _ = self.air.station.peer("cw-2").state()
        self.check()

    async def _command_the_mad_one(self) -> None:
        """Exchanges are under way with it all the time, of every kind at once."""
        peer = self.air.station.peer("cw-2")
        us = peer.parties
        items = [MissionItemInt(0, 0, 0, 0, 75000000, 382000000, 500.0, k, 16, 0, 0, 5) for k in range(20)]
        hold = CommandLong(1.0, 4.0, 3.0, 0.0, 0.0, 0.0, 0.0, 176, 0, 0)
        kinds: list[Callable[[], Any]] = [
            lambda: Upload(us, ListType.MISSION, items, peer.rtt),
            lambda: Download(us, ListType.FENCE, peer.rtt),
            lambda: Command(us, hold, RoundTrip(), repeat=Repeat.FREELY, effect=lambda beat: beat.custom_mode == 1),
            lambda: Command(us, hold._replace(command=300), RoundTrip(), repeat=Repeat.IF_NO_EFFECT, effect=bool),
        ]

        async def again_and_again(kind: Callable[[], Any]) -> None:
            while True:
                await peer.run(kind())
                self.exchanges += 1

        await asyncio.gather(*(again_and_again(kind) for kind in kinds))

    async def run(self, byte_count: int, frame_count: int) -> None:
        """Everything. Raises what escaped; AssertionError names what of the vehicle table is no longer true."""
        async with self.air as air:
            busy = asyncio.create_task(self._command_the_mad_one())
            await self.frames_in(frame_count // 2)
            await self.bytes_in(byte_count)
            await self.frames_in(frame_count - frame_count // 2)
            await asyncio.sleep(3.0)
            for task in (busy, *air._tasks):
                if task.done():
                    task.result()
                    raise AssertionError(f"{task.get_name()} has ended")
            busy.cancel()

    def check(self) -> None:
        """AssertionError for what of the vehicle table is no longer true."""
        station, now_s = self.air.station, self.air.clock.now_s()
        assert [peer.vehicle_id for peer in station.peers] == ["cw-1", "cw-2"], "no vehicle appears out of nothing"
        assert len(station.refusals) <= 512
        state = station.peer("cw-1").state()
        assert state.boot == 0
        assert state.position is not None
        assert state.mode is not None
        assert state.armed is not None
        assert state.mission is not None
        assert (state.position.value.point.lat_deg, state.position.value.alt_amsl_m) == (7.654321, 420.0)
        assert (state.mode.value, state.armed.value) == (Mode.HOLD, True)
        assert (state.mission.value.total, state.firmware, state.uid) == (None, "1.17.0", 77)
        assert now_s - state.position.at_s < 1.5, "what is shown of it is new"
        assert not state.texts, "nobody spoke in its name"
