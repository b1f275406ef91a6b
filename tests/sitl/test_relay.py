"""Between a real PX4 and who speaks to it, in fake time; sockets only where sockets are meant."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitl.radio import CLEAR, Air, Radio
from sitl.relay import Hear, Meeting, Relay, msg_id
from sitl.wire.dialect import BY_NAME, Packer

VEHICLE = Packer(7)
HEARTBEAT = VEHICLE.pack("HEARTBEAT", {"type": 2})


def relay(**more: object) -> tuple[Relay, list[bytes], list[bytes]]:
    """With what reached the ground and what reached the vehicle."""
    ground: list[bytes] = []
    vehicle: list[bytes] = []
    end = Relay("gcs", vehicle.append, random.Random(1), **more)  # type: ignore[arg-type]
    end.hearers.append(ground.append)
    return end, ground, vehicle


def test_in_clear_air_every_byte_passes_both_ways_at_once() -> None:
    end, ground, vehicle = relay()
    end.hear(HEARTBEAT, 1.0)
    end.receive(b"hello", 1.0)
    assert (ground, vehicle) == ([HEARTBEAT], [b"hello"])
    assert end.heard_s == 1.0


def test_each_direction_has_its_own_troubles() -> None:
    end, ground, vehicle = relay()
    end.suffer(Radio(down=Air(loss=1.0), up=Air(delay_s=0.5)))
    end.hear(HEARTBEAT, 1.0)
    end.receive(b"late", 1.0)
    end.step(1.4)
    assert (ground, vehicle) == ([], [])
    end.step(1.5)
    assert (ground, vehicle) == ([], [b"late"])
    end.suffer(CLEAR)
    end.hear(HEARTBEAT, 2.0)
    assert ground == [HEARTBEAT]


def test_witnesses_stand_at_the_vehicle_they_see_what_it_sends_and_what_reaches_it() -> None:
    end, _, _ = relay()
    seen: list[tuple[bytes, bool]] = []
    end.witnesses.append(lambda frame, from_vehicle: seen.append((frame, from_vehicle)))
    end.suffer(Radio(down=Air(loss=1.0), up=Air(loss=1.0)))
    end.hear(HEARTBEAT, 1.0)
    end.receive(b"lost on its way", 1.0)
    end.suffer(CLEAR)
    end.receive(b"heard", 1.0)
    assert seen == [(HEARTBEAT, True), (b"heard", False)]


def test_streams_are_thinned_to_the_rates_asked_for_and_answers_pass() -> None:
    end, ground, _ = relay(rates_hz={"GLOBAL_POSITION_INT": 4.0})
    position = VEHICLE.pack("GLOBAL_POSITION_INT", {"lat": 1})
    for n in range(500):
        end.hear(position, n * 0.02)
        end.hear(VEHICLE.pack("ATTITUDE", {"roll": 1.0}), n * 0.02)
    end.hear(VEHICLE.pack("COMMAND_ACK", {"command": 400}), 10.0)
    heard = [msg_id(frame) for frame in ground]
    assert heard.count(BY_NAME["GLOBAL_POSITION_INT"].msg_id) == pytest.approx(40, abs=1)
    assert heard.count(BY_NAME["ATTITUDE"].msg_id) == 0
    assert heard.count(BY_NAME["COMMAND_ACK"].msg_id) == 1


@given(st.binary(max_size=300))
def test_any_datagram_has_a_message_id_or_none(data: bytes) -> None:
    assert -1 <= msg_id(data) < 1 << 24


def test_message_ids_of_both_versions() -> None:
    assert msg_id(HEARTBEAT) == 0
    assert msg_id(VEHICLE.pack("EVENT", {"id": 1})) == BY_NAME["EVENT"].msg_id > 255
    assert msg_id(bytes((0xFE, 9, 0, 1, 1, 77)) + bytes(11)) == 77


async def test_instances_that_share_a_port_are_told_apart_by_where_they_send_from() -> None:
    meeting = Meeting()
    try:
        heard: list[tuple[str, bytes]] = []
        both = asyncio.Event()

        def hear(name: str) -> Hear:
            def heard_by(data: bytes) -> None:
                heard.append((name, data))
                if len(heard) == 2:
                    both.set()

            return heard_by

        with _socket() as one, _socket() as two, _socket() as stranger:
            to_one = meeting.meet(one.getsockname()[1], hear("one"))
            meeting.meet(two.getsockname()[1], hear("two"))
            for sender, data in ((stranger, b"?"), (two, b"2"), (one, b"1")):
                sender.sendto(data, ("127.0.0.1", meeting.port))
            async with asyncio.timeout(10.0):
                await both.wait()
            assert sorted(heard) == [("one", b"1"), ("two", b"2")]
            to_one(b"back")
            assert one.recvfrom(100) == (b"back", ("127.0.0.1", meeting.port))
    finally:
        meeting.close()


async def test_a_taken_port_is_named() -> None:
    with _socket() as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"UDP port {port} is taken: end who else listens to PX4 there"):
            Meeting(port)


def _socket() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.settimeout(10.0)
    return udp
