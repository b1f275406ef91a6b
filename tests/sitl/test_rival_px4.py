"""The rival does to a real PX4 what it does to the simulated one: `make test-px4`."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sitl.px4 import Px4Instance, Px4Vehicle, find_px4, start_px4
from sitl.rival import Rival, RivalItem, Transfer
from sitl.wire.dialect import Message, frames
from tests.sitl.helpers import HOLD, HOME

INDEX = 6
"""away from the instances of other tests"""
MISSION_START, POSITION = 300, 0x00030000
PARAMS = {"SIM_BAT_DRAIN": 3600.0, "COM_DISARM_PRFLT": 60.0, "COM_RCL_EXCEPT": 3}

pytestmark = [pytest.mark.px4]


class Station:
    """A rival on a UDP socket, and what it last heard of each message."""

    def __init__(self, system_id: int, px4: Px4Instance, udp: socket.socket, port: int) -> None:
        self.socket = udp
        self.rival = Rival(system_id, px4.system_id, lambda data: self._send(data, port))
        self.last: dict[str, Message] = {}

    def _send(self, data: bytes, port: int) -> None:
        self.socket.sendto(data, ("127.0.0.1", port))

    def turn(self) -> None:
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                break
            self.rival.hear(data, time.monotonic())
            self.last |= {m.name: m for m in frames(data)}
        self.rival.tick(time.monotonic())

    def height_m(self) -> float:
        return self.last["GLOBAL_POSITION_INT"]["relative_alt"] / 1000.0 if "GLOBAL_POSITION_INT" in self.last else 0.0


def items(north_m: float) -> list[RivalItem]:
    lat = HOME[0] + north_m / 110_600.0
    stay = (600.0, 0.0, 0.0, math.nan)
    return [RivalItem(22, *HOME, 15.0, current=True), RivalItem(16, lat, HOME[1], 15.0, params=stay)]


@contextmanager
def sockets(n: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(n)]
        for udp in opened:
            udp.setblocking(False)
        yield opened


async def test_a_rival_replaces_the_plan_of_a_real_px4_and_a_pilot_takes_it_and_gives_it_back(tmp_path: Path) -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    vehicle = Px4Vehicle(home=(*HOME, 420.0), params=PARAMS)
    async with start_px4([vehicle], first_index=INDEX, folder=tmp_path) as (px4,):
        with sockets(2) as (a, b):
            await story(Station(255, px4, a, px4.gcs_local_port), Station(246, px4, b, px4.onboard_local_port))


async def story(ours: Station, theirs: Station) -> None:
    async def until(what: str, condition: Callable[[], object], limit_s: float) -> None:
        start_s = time.monotonic()
        while not condition():
            assert time.monotonic() - start_s < limit_s, f"not within {limit_s} s: {what}"
            ours.turn()
            theirs.turn()
            await asyncio.sleep(0.01)

    def held() -> int:
        return int(ours.last["MISSION_CURRENT"]["mission_id"]) if "MISSION_CURRENT" in ours.last else 0

    ours.rival.heartbeat(True)
    ours.rival.upload(items(300.0))
    await until("our plan is held", lambda: ours.rival.transfer is Transfer.ACCEPTED and held(), 10.0)
    before = held()
    await until("our plan is judged good", lambda: ours.last["MISSION_CURRENT"]["mission_state"] == 2, 5.0)
    ours.rival.command(MISSION_START)
    await until("it climbs", lambda: ours.height_m() > 5.0, 30.0)

    theirs.rival.upload(items(-300.0))
    await until("the rival's plan is held", lambda: held() not in (0, before), 5.0)
    assert theirs.rival.transfer is Transfer.ACCEPTED

    theirs.rival.take_over(right=0.5)
    await until("the pilot flies", lambda: theirs.rival.custom_mode == POSITION, 10.0)
    theirs.rival.give_back()
    await until("the pilot is through", lambda: not theirs.rival.flies, 10.0)
    later_s = time.monotonic() + 5.0
    await until("nothing happens for 5 s", lambda: time.monotonic() > later_s, 6.0)
    assert theirs.rival.custom_mode == HOLD
    assert {(t.number, t.result) for t in theirs.rival.told if t.what == "COMMAND_ACK"} == {(176, 0)}
