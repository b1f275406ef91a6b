"""TCP links, waiting and calling: broken, silent and overfull ends harm nobody else."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
from contextlib import ExitStack

import pytest

from fleet.clock import ScaledClock
from fleet.mavlink import tcp
from tests.mavlink.wires import (
    LOOPBACK,
    Far,
    accepted,
    client_of,
    free_port,
    listening,
    opened,
    ours,
    until,
)

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
