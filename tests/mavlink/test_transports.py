"""Transports on real sockets and pseudo-terminals: both directions, breaking and mending, floods, and errors."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from fleet.clock import ScaledClock
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.opening import make_transport
from fleet.mavlink.station import Station
from fleet.mavlink.stream import READ_BYTES
from fleet.mavlink.udp import MAX_DATAGRAMS_PER_TURN
from fleet.mavlink.urls import SCHEMES, LinkError, parse_url
from tests.mavlink.wires import (
    LOOPBACK,
    Far,
    free_port,
    listening,
    opened,
    ours,
    until,
    wired,
)

DO_SET_MODE, RETURN = 176, 0x05040000


# -- every scheme ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_frames_go_both_ways(scheme: str, tmp_path: Path) -> None:
    async with wired(scheme, tmp_path) as (transport, ear, far):
        far.say(far.beat(1))
        await ear.hears(1)
        far.say(far.beat(2) + far.beat(3))
        await ear.hears(1, 2, 3)
        (address,) = ear.addresses()
        for seq in range(3):
            transport.send(ours(seq), address)
        await far.hears(3)
        assert [(m.get_type(), m.get_srcSystem(), m.get_seq()) for m in far.heard] == [
            ("HEARTBEAT", 245, seq) for seq in range(3)
        ]
        assert (transport.trouble, transport.send_drops, ear.bad) == (None, 0, 0)
        assert transport.peer in (None, address), "who is called before anything was heard is who answers"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_vehicle_is_commanded_over_it(scheme: str, tmp_path: Path) -> None:
    station = Station(clock=ScaledClock())

    class Listener:
        def __init__(self, transport: Any) -> None:
            self.received = station.receiver(station.add_link(scheme, transport, {1: "cw-1"}))
            self.turn_over = station.turn_over

    async with wired(scheme, tmp_path, Listener) as (_, _, far):
        peer = station.peer("cw-1")
        far.say(far.beat(0))
        await until(lambda: peer.state().mode is not None)
        returning = asyncio.create_task(NativeVehicle(peer).return_home())
        await until(lambda: far.listen() > 0 and far.heard[-1].get_type() == "COMMAND_LONG")
        assert far.heard[-1].command == DO_SET_MODE
        far.say(far.ack(DO_SET_MODE))
        far.say(far.beat(2, RETURN))
        outcome = await returning
        assert outcome.ok, outcome


@pytest.mark.parametrize("scheme", ["tcpin", "tcpout", "serial"])
async def test_a_frame_that_comes_byte_by_byte_is_one_frame(scheme: str, tmp_path: Path) -> None:
    async with wired(scheme, tmp_path) as (_, ear, far):
        for byte in far.beat(9):
            turns = len(ear.turns)
            far.say(bytes((byte,)))
            await until(lambda turns=turns: len(ear.turns) > turns)  # type: ignore[misc]
        assert ear.seqs == [9]
        assert ear.bad == 0


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_noise_is_counted_and_harms_nothing(scheme: str, tmp_path: Path) -> None:
    async with wired(scheme, tmp_path) as (_, ear, far):
        far.say(bytes(100))
        far.say(far.beat(4))
        await ear.hears(4)
        assert ear.bad == 100


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_flood_leaves_the_event_loop_its_turns(scheme: str, tmp_path: Path) -> None:
    async with wired(scheme, tmp_path) as (_, ear, far):
        beats, datagram = [far.beat(n & 0xFF) for n in range(4000)], scheme.startswith("udp")
        most = MAX_DATAGRAMS_PER_TURN if datagram else READ_BYTES // len(beats[0]) + 1
        sent = 0
        try:
            for n in range(0, len(beats), 1 if datagram else 50):
                far.say(b"".join(beats[n : n + (1 if datagram else 50)]))
                sent = n
        except BlockingIOError:
            pass  # as much as the kernel holds
        assert sent > 100
        await until(lambda: sum(ear.turns) > sent // 2)
        assert max(ear.turns) <= most


@pytest.mark.parametrize("scheme", ["tcpin", "tcpout", "serial"])
async def test_a_far_end_that_reads_nothing_is_not_waited_for_and_never_gets_half_a_frame(
    scheme: str, tmp_path: Path
) -> None:
    async with wired(scheme, tmp_path) as (transport, ear, far):
        far.say(far.beat(1))
        await ear.hears(1)
        (address,) = ear.addresses()
        sent = 0
        while transport.send_drops < 1000:
            transport.send(ours(sent), address)
            sent += 1
        far.listen()
        transport.send(ours(sent), address)  # there is room again, but perhaps in the middle of a frame
        sent += 1
        await far.hears(sent - transport.send_drops)  # half a frame among them would raise
        dropped = transport.send_drops
        transport.send(ours(77), address)
        await until(lambda: far.listen() > 0 and far.heard[-1].get_seq() == 77)
        assert transport.send_drops == dropped


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_closing_twice_and_asking_afterwards_is_harmless(scheme: str, tmp_path: Path) -> None:
    async with wired(scheme, tmp_path) as (transport, ear, far):
        far.say(far.beat(1))
        await ear.hears(1)
        transport.close()
        transport.close()
        transport.send(ours(1), ear.addresses()[0])
        assert transport.send_drops == 1
        assert transport.kernel_drops() in (0, None)


# -- UDP -------------------------------------------------------------------------------------------------------------


async def test_a_udp_vehicle_that_vanishes_is_not_noticed_by_the_other() -> None:
    async with opened(f"udpin://{LOOPBACK}:{free_port(socket.SOCK_DGRAM)}") as (transport, ear):
        with listening(kind=socket.SOCK_DGRAM) as one:
            with listening(kind=socket.SOCK_DGRAM) as two:
                for sock in (one, two):
                    sock.connect((LOOPBACK, transport.port))
                    sock.send(Far(sock.fileno()).beat(1))
                await until(lambda: len(ear.frames) == 2)
                first, gone = one.getsockname(), two.getsockname()
            far = Far(one.fileno())
            for seq in range(50):
                transport.send(ours(seq), gone)
                far.say(far.beat(seq))
            transport.send(ours(50), first)
            await ear.hears(48, 49)
            await far.hears(1)
            assert transport.trouble is None


async def test_a_network_that_takes_nothing_shows_as_trouble_of_udpout() -> None:
    async with opened("udpout://255.255.255.255:14550") as (transport, _):
        transport.send(ours(1), transport.peer)  # broadcasts are not allowed to us
        assert "link udpout://255.255.255.255:14550: nothing can be sent (Permission denied)" in transport.trouble
        transport.send(ours(2), (LOOPBACK, free_port(socket.SOCK_DGRAM)))
        assert transport.trouble is None


async def test_what_the_kernel_drops_is_counted() -> None:
    async with opened(f"udpin://{LOOPBACK}:{free_port(socket.SOCK_DGRAM)}") as (transport, _):
        with listening(kind=socket.SOCK_DGRAM) as sock:
            sock.connect((LOOPBACK, transport.port))
            room = transport._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            for _ in range(room // 1000 + 100):
                sock.send(bytes(1000))
            drops = transport.kernel_drops()
        if drops is None:
            pytest.skip("this system does not tell what its kernel drops")
        assert drops > 0
    assert transport.kernel_drops() == drops, "and is remembered after the end"


# -- what cannot be opened -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "kind"), [("udpin", socket.SOCK_DGRAM), ("tcpin", socket.SOCK_STREAM)])
async def test_a_port_in_use_is_told_with_the_fix(scheme: str, kind: socket.SocketKind) -> None:
    with listening(kind=kind) as sock:
        port = sock.getsockname()[1]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        with pytest.raises(LinkError) as refused:
            make_transport(parse_url(f"{scheme}://{LOOPBACK}:{port}"), ScaledClock())
    assert f"link {scheme}://{LOOPBACK}:{port}: port {port} is in use by another program" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tcpin://192.0.2.1:5760", "this computer has no address 192.0.2.1; use 0.0.0.0"),
        ("udpin://192.0.2.1:14550", "this computer has no address 192.0.2.1; use 0.0.0.0"),
        (f"tcpout://{'x' * 64}.invalid:5760", "is not known"),
        ("tcpout://256.0.0.1:5760", "the host '256.0.0.1' is not known"),
    ],
)
async def test_a_host_that_cannot_be_is_told(url: str, says: str) -> None:
    with pytest.raises(LinkError, match=re.escape(says)) as refused:
        make_transport(parse_url(url), ScaledClock())
    assert url in str(refused.value)
