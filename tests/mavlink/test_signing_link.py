"""A whole station with keys: vehicles that sign, that have just booted, that share a radio, and everybody else."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from pymavlink.dialects.v20.development import MAVError

from fleet.mavlink.codec import encode
from fleet.mavlink.frame import build_v1, scan
from fleet.mavlink.messages import Heartbeat, Message
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from fleet.mavlink.signing import KeyGuard, sign, timestamp
from fleet.mavlink.watch import EventKind, LinkEvent
from missions.snapshot import Mode, Signing
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import EPOCH_S, Air, in_fake_time
from tests.mavlink.test_signing import KEY, Forger, Px4

ARMED_IN_MISSION = Heartbeat(0x04040000, 2, 12, 157, 4)


class SignedAir(Air):
    """The vehicles sign with keys of their own, and refuse what pymavlink refuses."""

    def __init__(self, *vehicles: FakePx4, at: int = timestamp(EPOCH_S), keys: dict[int, bytes] | None = None) -> None:
        self.keys = keys if keys is not None else {vehicle.system: KEY for vehicle in vehicles}
        super().__init__(*vehicles, guards={f"cw-{system}": KeyGuard(key) for system, key in self.keys.items()})
        self.autopilots = {system: Px4(key, at=at) for system, key in self.keys.items()}
        self.heard: list[bytes] = []
        self.ours_refused = 0

    def send(self, data: bytes, address: Any) -> None:
        system = next((s for s, a in self.addresses.items() if a == address), None)
        if system is None:
            return  # it lived there once
        try:
            self.autopilots[system].hears(data)
        except MAVError:
            self.ours_refused += 1
            return
        super().send(data, address)

    def from_vehicle(self, system: int, messages: list[Message], *, address: Any = None) -> None:
        clock = self.autopilots[system].mav.signing
        for message in messages:
            raw = encode(message, seq=self._seq[system], system=system, component=1)
            self._seq[system] = (self._seq[system] + 1) & 0xFF
            clock.timestamp += 1
            self.heard.append(sign(raw, self.keys[system], link_id=0, at=clock.timestamp))
            self._later(self.arrive, self.heard[-1], address or self.addresses[system])


def test_a_vehicle_that_signs_is_flown_as_any_other() -> None:
    async def story() -> None:
        async with SignedAir(FakePx4()) as air:
            vehicle = NativeVehicle(air.station.peer("cw-1"))
            assert (await vehicle.hold()).verdict is Verdict.DONE
            assert vehicle.state().link.signing is Signing.VERIFIED
            assert air.link.refused_frames == air.ours_refused == 0

    in_fake_time(story())


def test_a_px4_that_booted_with_last_month_s_time_is_with_us_in_two_seconds() -> None:
    async def story() -> None:
        air = SignedAir(FakePx4(), at=timestamp(EPOCH_S - 30 * 86_400))
        assert air.peer is None, "nobody is called before he was heard"
        async with air:  # 1.5 s
            await asyncio.sleep(0.5)
            state = air.station.peer("cw-1").state()
            assert state.mode is not None
            assert state.link.signing is Signing.VERIFIED
            refused = air.link.refused_frames
            assert refused > 0
            # It loses power and comes back under another address, as mobile networks give them out.
            air.autopilots[1] = Px4(KEY, at=timestamp(EPOCH_S - 30 * 86_400))
            air.addresses[1] = ("10.0.0.99", 2000)
            await asyncio.sleep(5.0)
            assert air.link.refused_frames > refused
            mode = air.station.peer("cw-1").state().mode
            assert mode is not None
            assert air.clock.now_s() - mode.at_s < 1.2

    in_fake_time(story())


def test_vehicles_behind_one_radio_each_take_the_time_from_a_heartbeat_of_their_own() -> None:
    async def story() -> None:
        keys = {1: KEY, 2: bytes(reversed(KEY))}
        air = SignedAir(FakePx4(), FakePx4(system=2), keys=keys, at=timestamp(EPOCH_S - 86_400))
        air.addresses = dict.fromkeys(keys, ("10.0.0.7", 14580))

        def send(data: bytes, address: Any) -> None:  # the radio carries it to both
            for system, autopilot in air.autopilots.items():
                try:
                    autopilot.hears(data)
                except MAVError:
                    continue
                air.sent.append((system, Heartbeat(0, 0, 0, 0, 0)))

        air.send = send  # type: ignore[method-assign]
        async with air:
            await asyncio.sleep(2.0)
            for peer in air.station.peers:
                assert peer.state().link.signing is Signing.VERIFIED
            before = [sum(s == system for s, _ in air.sent) for system in keys]
            await asyncio.sleep(10.0)
            after = [sum(s == system for s, _ in air.sent) for system in keys]
            assert all(b - a >= 9 for a, b in zip(before, after, strict=True))

    in_fake_time(story())


def test_a_thousand_forged_heartbeats_change_neither_a_keyed_vehicle_s_state_nor_where_it_lives() -> None:
    async def story() -> None:
        async with SignedAir(FakePx4()) as air:
            peer = air.station.peer("cw-1")
            events: list[LinkEvent] = []
            air.station.on_event(events.append)
            chance = random.Random(16)
            for n in range(1000):
                seq, at = chance.randrange(256), chance.randrange(1 << 48)
                unsigned = encode(ARMED_IN_MISSION, seq=seq, system=1, component=1)
                raw = (
                    unsigned,
                    build_v1(0, bytes((0, 0, 4, 4, 2, 12, 157, 4, 3)), seq=seq, system=1, component=1),
                    sign(unsigned, chance.randbytes(32), link_id=0, at=at),
                )[n % 3]
                air.arrive(raw, chance.choice((air.addresses[1], ("10.6.6.6", 666))))
            state = peer.state()
            assert state.armed is not None
            assert state.mode is not None
            assert (state.armed.value, state.mode.value) == (False, Mode.HOLD)
            assert peer.path.address == air.addresses[1]
            await asyncio.sleep(1.0)
            told = [event.text for event in events if event.kind is EventKind.REFUSED]
            assert any("not signed" in text for text in told)
            assert any("MAVLink 1" in text for text in told)
            assert any("do not fit its key" in text for text in told)
            assert len(told) == 3, "each kind once, not each frame"

    in_fake_time(story())


def test_a_vehicle_that_does_not_sign_is_not_taken_for_the_one_with_the_key() -> None:
    async def story() -> None:
        air = Air(FakePx4(), guards={"cw-1": KeyGuard(KEY)})
        async with air:
            await asyncio.sleep(10.0)
            state = air.station.peer("cw-1").state()
            assert state.mode is None
            assert state.link.signing is Signing.WAITING
            assert air.sent == []

    in_fake_time(story())


def test_ten_thousand_forged_and_replayed_frames_change_nothing_of_what_is_known_of_a_vehicle() -> None:
    async def story() -> None:
        px4 = FakePx4()
        async with SignedAir(px4) as air:
            await asyncio.sleep(3.0)
            px4.silent = True
            await asyncio.sleep(1.0)
            peer = air.station.peer("cw-1")
            before, refused = peer.state(), air.link.refused_frames
            chance = random.Random(4)
            held = [sign(scan(raw).frames[0].raw[:-13], KEY, link_id=0, at=1) for raw in air.heard[:20]]
            old = [sign(scan(raw).frames[0].raw[:-13], KEY, link_id=9, at=1) for raw in air.heard[:20]]
            forger = Forger(air.heard, held, old, chance)
            arrived = 0
            while arrived < 10_000:
                raw = chance.choice(forger.tricks)()
                arrived += sum(frame.system == 1 for frame in scan(raw).frames)
                air.arrive(raw, air.addresses[1] if chance.random() < 0.5 else ("10.6.6.6", chance.randrange(9)))
            assert peer.state() == before
            assert air.link.refused_frames - refused >= 10_000
            assert peer.path.address == air.addresses[1]
            px4.silent = False
            await asyncio.sleep(2.0)
            beat = peer.state().mode
            assert beat is not None
            assert air.clock.now_s() - beat.at_s < 1.2, "the vehicle itself is heard on"

    in_fake_time(story())
