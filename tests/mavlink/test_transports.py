"""Transports on real sockets and pseudo-terminals: both directions, breaking and mending, floods, and errors."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import serial

from fleet.clock import ScaledClock
from fleet.mavlink import tcp
from fleet.mavlink.codec import encode
from fleet.mavlink.messages import Heartbeat
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.opening import make_transport
from fleet.mavlink.station import Station
from fleet.mavlink.stream import READ_BYTES
from fleet.mavlink.udp import MAX_DATAGRAMS_PER_TURN
from fleet.mavlink.urls import SCHEMES, LinkError, parse_url
from tests.mavlink.wires import HASTE, Ear, Far, accepted, free_port, listening, opened, plugged, until

OURS = Heartbeat(0, 6, 8, 0, 4)
LOOPBACK = "127.0.0.1"
DO_SET_MODE, RETURN = 176, 0x05040000


def ours(seq: int) -> bytes:
    return encode(OURS, seq=seq & 0xFF, system=245, component=190)


def client_of(transport: Any, stack: ExitStack) -> Far:
    sock = stack.enter_context(socket.create_connection((LOOPBACK, transport.port)))
    return Far(sock.fileno())


@asynccontextmanager
async def wired(
    scheme: str, folder: Path, listener: Callable[[Any], Any] = lambda transport: Ear()
) -> AsyncIterator[tuple[Any, Any, Far]]:
    """A transport of that scheme, what listens to it, and a vehicle at the other end of it."""
    with ExitStack() as stack:

        def enter(url: str) -> tuple[Any, Any]:
            transport = make_transport(parse_url(url), ScaledClock(HASTE))
            stack.callback(transport.close)
            ear = listener(transport)
            transport.open(ear.received, ear.turn_over)
            return transport, ear

        if scheme == "serial":
            cable = stack.enter_context(plugged(folder / "radio"))
            transport, ear = enter(f"serial://{cable.device}:57600")
            far = Far(cable.fd)
        elif scheme == "tcpin":
            transport, ear = enter(f"tcpin://{LOOPBACK}:{free_port()}")
            far = client_of(transport, stack)
        elif scheme == "tcpout":
            server = stack.enter_context(listening())
            transport, ear = enter(f"tcpout://{LOOPBACK}:{server.getsockname()[1]}")
            far = Far(stack.enter_context(await accepted(server)).fileno())
        else:
            sock = stack.enter_context(listening(kind=socket.SOCK_DGRAM))
            port = sock.getsockname()[1] if scheme == "udpout" else free_port(socket.SOCK_DGRAM)
            transport, ear = enter(f"{scheme}://{LOOPBACK}:{port}")
            sock.connect((LOOPBACK, transport.port))
            far = Far(sock.fileno())
        yield transport, ear, far


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


# -- TCP, waiting ----------------------------------------------------------------------------------------------------


async def test_a_client_that_dies_in_mid_frame_is_not_noticed_by_the_other() -> None:
    async with opened(f"tcpin://{LOOPBACK}:{free_port()}") as (transport, ear):
        with ExitStack() as stack:
            one = client_of(transport, stack)
            dying = socket.create_connection((LOOPBACK, transport.port))
            two = Far(dying.fileno())
            one.say(one.beat(1))
            await ear.hears(1)
            two.say(two.beat(2) + two.beat(3)[:10])
            await ear.hears(2)
            one.say(one.beat(4)[:5])
            dying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            dying.close()  # with a reset
            first, gone = ear.addresses()
            one.say(one.beat(4)[5:])
            await ear.hears(4)
            assert (ear.frames[-1][1], ear.bad) == (first, 0)
            transport.send(ours(1), gone)
            assert transport.send_drops == 1
            transport.send(ours(2), first)
            await one.hears(1)


async def test_a_client_that_reads_nothing_costs_the_other_nothing() -> None:
    async with opened(f"tcpin://{LOOPBACK}:{free_port()}") as (transport, ear):
        with ExitStack() as stack:
            deaf, good = client_of(transport, stack), client_of(transport, stack)
            deaf.say(deaf.beat(1))
            await ear.hears(1)
            good.say(good.beat(2))
            await ear.hears(2)
            to_deaf, to_good = ear.addresses()
            while transport.send_drops < 100:
                transport.send(ours(0), to_deaf)
            for seq in range(20):
                transport.send(ours(seq), to_good)
            await good.hears(20)


async def test_a_vehicle_that_connects_anew_has_an_address_of_its_own() -> None:
    async with opened(f"tcpin://{LOOPBACK}:{free_port()}") as (transport, ear):
        for seq in range(3):
            with ExitStack() as stack:
                far = client_of(transport, stack)
                far.say(far.beat(seq))
                await ear.hears(seq)
                transport.send(ours(seq), ear.frames[-1][1])
                await far.hears(1)
        assert len(ear.addresses()) == 3


async def test_no_more_clients_than_vehicles_can_be_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_CLIENTS", 2)
    async with opened(f"tcpin://{LOOPBACK}:{free_port()}") as (transport, ear):
        with ExitStack() as stack:
            one = client_of(transport, stack)
            with socket.create_connection((LOOPBACK, transport.port)):
                stranger = stack.enter_context(socket.create_connection((LOOPBACK, transport.port)))
                await until(lambda: transport.trouble is not None)
                assert "2 clients are connected and no more let in" in transport.trouble
                stranger.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(stranger, 1) == b"", "it is told at once"
                one.say(one.beat(1))
                await ear.hears(1)
            await until(lambda: transport.trouble is None)
            three = client_of(transport, stack)
            three.say(three.beat(2))
            await ear.hears(1, 2)


async def test_without_descriptors_left_it_says_so_and_lets_in_when_there_are_some() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with opened(f"tcpin://{LOOPBACK}:{free_port()}") as (transport, ear):
        with ExitStack() as stack:
            one, two = client_of(transport, stack), client_of(transport, stack)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))), hard))
            try:
                spare = [os.dup(0) for _ in range(_room())]
                try:
                    await until(lambda: transport.trouble is not None)
                    assert "nobody can be let in (Too many open files); raise the limit" in transport.trouble
                finally:
                    for fd in spare:
                        os.close(fd)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            one.say(one.beat(1))
            await ear.hears(1)
            two.say(two.beat(2))
            await ear.hears(2)
            assert transport.trouble is None


def _room() -> int:
    """How many descriptors may still be opened."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sum(1 for fd in range(limit) if not os.path.exists(f"/dev/fd/{fd}"))


# -- TCP, calling ----------------------------------------------------------------------------------------------------


async def test_nobody_listening_is_trouble_until_somebody_does() -> None:
    port = free_port()
    async with opened(f"tcpout://{LOOPBACK}:{port}") as (transport, ear):
        assert "not connected" in transport.trouble
        await until(lambda: "Connection refused" in transport.trouble)
        assert transport.trouble == (
            f"link tcpout://{LOOPBACK}:{port}: not connected (Connection refused); "
            f"start what listens there, it is called again by itself"
        )
        transport.send(ours(1), transport.peer)
        assert transport.send_drops == 1
        with listening(port=port) as server, await accepted(server) as sock:
            far = Far(sock.fileno())
            far.say(far.beat(1))
            await ear.hears(1)
            assert transport.trouble is None


async def test_a_connection_that_breaks_in_mid_frame_is_made_again_and_starts_afresh() -> None:
    with listening() as server:
        port = server.getsockname()[1]
        async with opened(f"tcpout://{LOOPBACK}:{port}") as (transport, ear):
            for seq in range(3):
                with await accepted(server) as sock:
                    far = Far(sock.fileno())
                    far.say(far.beat(seq) + far.beat(99)[:9])
                    await ear.hears(seq)
                await until(lambda: transport.trouble is not None)
                assert "not connected (closed by the far end)" in transport.trouble
            assert ear.addresses() == [transport.peer], "it is the same vehicle at the same place"
            assert ear.seqs == [0, 1, 2]


async def test_pauses_between_calls_grow_to_a_few_seconds_and_are_short_again_after_a_frame() -> None:
    class Pauses(ScaledClock):
        def wall_s(self, duration_s: float) -> float:
            pauses.append(duration_s)
            return super().wall_s(duration_s)

    pauses: list[float] = []
    port = free_port()
    async with opened(f"tcpout://{LOOPBACK}:{port}", Pauses(200.0)) as (_, ear):
        await until(lambda: pauses.count(3.0) >= 2)
        with listening(port=port) as server, await accepted(server) as sock:
            far = Far(sock.fileno())
            far.say(far.beat(1))
            await ear.hears(1)
            pauses.clear()
        await until(lambda: len(pauses) >= 3)
    tries = [pause for pause in pauses if pause != tcp.CONNECT_S]
    assert tries[:2] == [0.25, 0.5]


async def test_a_far_end_that_does_not_answer_is_given_up_and_called_again() -> None:
    with listening() as server, ExitStack() as stack:
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(3):  # fill the queue of those who wait to be accepted: the kernel ignores the next
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex((LOOPBACK, port))
        async with opened(f"tcpout://{LOOPBACK}:{port}") as (transport, _):
            await until(lambda: "no answer in 5 s" in transport.trouble)


async def test_it_never_talks_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to a free port of this computer can come out of that very port, and TCP then connects it with itself."""
    port, tune = free_port(), tcp._tune

    def bound(sock: socket.socket) -> None:
        tune(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, port))

    monkeypatch.setattr(tcp, "_tune", bound)
    async with opened(f"tcpout://{LOOPBACK}:{port}") as (transport, _):
        await until(lambda: transport.trouble is None or "Connection refused" in transport.trouble)
        assert transport.trouble is not None


# -- serial ----------------------------------------------------------------------------------------------------------


async def test_a_device_unplugged_says_so_and_is_opened_again_when_it_is_back(tmp_path: Path) -> None:
    with plugged(tmp_path / "radio") as cable:
        async with opened(f"serial://{cable.device}:57600") as (transport, ear):
            for seq in range(2):
                far = Far(cable.fd)
                far.say(far.beat(seq) + far.beat(99)[:9])
                await ear.hears(seq)
                transport.send(ours(seq), ear.addresses()[0])
                await far.hears(1)
                cable.unplug()
                await until(lambda: transport.trouble is not None)
                assert "is gone" in transport.trouble
                assert "plug it in again" in transport.trouble
                await until(lambda: "there is no device" in transport.trouble)
                transport.send(ours(seq), ear.addresses()[0])
                assert transport.send_drops == seq + 1
                cable.plug()
                await until(lambda: transport.trouble is None)
            assert ear.addresses() == [str(cable.device)]


async def test_the_device_is_set_to_the_rate_of_the_url_and_raw(tmp_path: Path) -> None:
    with plugged(tmp_path / "radio") as cable:
        async with opened(f"serial://{cable.device}:921600") as (_, ear):
            flags = termios.tcgetattr(cable.device_fd)
            assert flags[4] == flags[5] == termios.B921600
            far = Far(cable.fd)
            far.say(bytes(range(0xFD)) + far.beat(5))
            await ear.hears(5)
            assert ear.bad == 0xFD, "no byte is taken for a control character"


async def test_a_missing_device_is_named_with_those_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Port:
        device = "/dev/serial/by-id/usb-Holybro_Radio"

    monkeypatch.setattr("fleet.mavlink.serialport.list_ports.comports", lambda include_links: [Port()])
    url = f"serial://{tmp_path}/ttyACM7:57600"
    with pytest.raises(LinkError) as refused:
        make_transport(parse_url(url), ScaledClock())
    assert f"link {url}: there is no device {tmp_path}/ttyACM7; plug it in" in str(refused.value)
    assert "the serial devices here: /dev/serial/by-id/usb-Holybro_Radio" in str(refused.value)


async def test_two_controllers_on_one_device_are_told(tmp_path: Path) -> None:
    with plugged(tmp_path / "radio") as cable:
        url = f"serial://{cable.device}:57600"
        async with opened(url):
            with pytest.raises(LinkError, match="in use by another program"):
                make_transport(parse_url(url), ScaledClock())


async def test_what_is_no_serial_device_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("hello")
    for path in (tmp_path, tmp_path / "notes"):
        with pytest.raises(LinkError, match="cannot be opened as a serial device"):
            make_transport(parse_url(f"serial://{path}:57600"), ScaledClock())


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (serial.SerialException(errno.EACCES, "could not open port"), "add this user to the group dialout"),
        (serial.SerialException(errno.EBUSY, "could not open port"), "in use by another program"),
        (ValueError("Failed to set custom baud rate (57601)"), "cannot do 57601 bits/s"),
        (termios.error(5, "Input/output error"), "cannot be opened as a serial device"),
    ],
)
async def test_what_the_system_refuses_is_said_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(LinkError, match=re.escape(says)):
        make_transport(parse_url("serial:///dev/ttyACM0:57601"), ScaledClock())


async def test_a_device_that_another_program_took_meanwhile_is_opened_when_it_is_free(tmp_path: Path) -> None:
    with plugged(tmp_path / "radio") as cable:
        async with opened(f"serial://{cable.device}:57600") as (transport, ear):
            cable.unplug()
            await until(lambda: transport.trouble is not None)
            thieves: list[serial.Serial] = []
            cable.plug(lambda name: thieves.append(serial.Serial(name, exclusive=True)))
            await until(lambda: "in use by another program" in transport.trouble)
            thieves[0].close()
            await until(lambda: transport.trouble is None)
            far = Far(cable.fd)
            far.say(far.beat(3))
            await ear.hears(3)


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
