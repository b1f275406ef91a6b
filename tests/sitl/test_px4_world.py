"""The simulation with PX4s in it: first with sockets that play PX4, then with a real one that flies."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.clock import ScaledClock
from fleet.mavlink.port import Verdict
from sitl.px4 import Px4Error, Px4Vehicle, find_px4, start_px4
from sitl.px4_faults import vehicles_of
from sitl.px4_world import KNOCK, Px4Simulation
from sitl.spec import SimSpec
from sitl.wire.dialect import Packer
from tests.mavlink.flight import controlled, small_plan, until
from tests.sitl.helpers import GROUND_M, HOME, spec_dict

SPEED = 20.0
"""of the clock, so that half a simulated second is soon over"""
PX4 = Packer(1)
HEARTBEAT = PX4.pack("HEARTBEAT", {"base_mode": 29})


def _udp() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.setblocking(False)
    return udp


class Instance:
    """Plays a `Px4Instance`: two sockets, and a note of what it was told."""

    index, system_id, last = 0, 1, "segmentation fault (log px4.log)"

    def __init__(self) -> None:
        self.vehicle = Px4Vehicle((*HOME, GROUND_M))
        self.gcs, self.onboard, probe = _udp(), _udp(), _udp()
        self.gcs_local_port, self.onboard_local_port = self.gcs.getsockname()[1], self.onboard.getsockname()[1]
        self.onboard_port = probe.getsockname()[1]
        probe.close()
        self.ended = False
        self.told: list[Any] = []
        self.refuses = ""
        self.told_something = asyncio.Event()

    def last_words(self) -> str:
        return self.last

    async def run(self, *command: str) -> str:
        if self.refuses:
            raise Px4Error(self.refuses)
        self._note(" ".join(command))
        return ""

    async def restart(self, home: Any) -> None:
        self.ended = True
        await asyncio.sleep(0.05)
        self.ended = False
        self._note(home)

    def _note(self, what: Any) -> None:
        self.told.append(what)
        self.told_something.set()

    def close(self) -> None:
        self.gcs.close()
        self.onboard.close()


async def received(udp: socket.socket) -> tuple[bytes, Any]:
    async with asyncio.timeout(10.0):
        return await asyncio.get_running_loop().sock_recvfrom(udp, 1000)


@asynccontextmanager
async def simulated(
    emit: Callable[[dict[str, Any]], None] = lambda event: None, *, sockets: bool = False, **changes: Any
) -> AsyncIterator[tuple[Instance, Px4Simulation, asyncio.Task[None]]]:
    spec = spec_dict(speed=SPEED, **changes) | {"epoch_s": time.time(), "monotonic_s": time.monotonic()}
    px4 = Instance()
    try:
        async with Px4Simulation(SimSpec.from_dict(spec), [px4], emit=emit, sockets=sockets) as simulation:  # type: ignore[list-item]
            work = asyncio.create_task(simulation.run())
            try:
                yield px4, simulation, work
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
    finally:
        px4.close()


async def test_a_knock_makes_px4_speak_to_us_and_a_pipe_leads_there_and_back() -> None:
    async with simulated() as (px4, simulation, _):
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        send = simulation.connect("cw-1", heard.put_nowait)
        knock, us = await received(px4.gcs)
        assert knock == KNOCK
        px4.gcs.sendto(HEARTBEAT, us)
        assert await asyncio.wait_for(heard.get(), 10.0) == HEARTBEAT
        send(b"mode")
        assert await received(px4.gcs) == (b"mode", us)


async def test_on_its_second_link_a_px4_is_heard_without_a_word_and_answered_when_there_is_one() -> None:
    async with simulated() as (px4, simulation, _):
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        send = simulation.connect("cw-1", heard.put_nowait, "onboard")
        px4.onboard.sendto(HEARTBEAT, ("127.0.0.1", px4.onboard_port))
        assert await asyncio.wait_for(heard.get(), 10.0) == HEARTBEAT
        send(b"rival")
        assert (await received(px4.onboard))[0] == b"rival"
        simulation.disconnect("cw-1", heard.put_nowait, "onboard")


async def test_the_specs_udp_links_are_served_in_its_stead() -> None:
    with _udp() as station:
        gcs = {"local_port": 0, "port": station.getsockname()[1]}
        async with simulated(sockets=True, vehicle={"gcs": gcs}) as (px4, simulation, _):
            _, us = await received(px4.gcs)
            px4.gcs.sendto(HEARTBEAT, us)
            said, (_, port) = await received(station)
            assert said == HEARTBEAT
            assert port == simulation.ports["cw-1", "gcs"]
            station.sendto(b"mode", ("127.0.0.1", port))
            assert (await received(px4.gcs))[0] == b"mode"


async def test_a_reboot_is_a_restart_where_it_stands_and_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitl.px4_world.KNOCK_S", 0.01)
    faults = [{"kind": "reboot", "on": "cw-1"}]
    async with simulated(faults=faults) as (px4, _, work):
        await asyncio.wait_for(px4.told_something.wait(), 10.0)
        assert px4.told == [(*HOME, GROUND_M)]
        assert not work.done()


async def test_a_fault_is_done_by_px4s_own_commands_and_one_it_refuses_ends_the_run() -> None:
    fault = {"do": "fault", "kind": "compass_failure", "on": "cw-1"}
    async with simulated() as (px4, simulation, work):
        simulation.command(fault)
        await asyncio.wait_for(px4.told_something.wait(), 10.0)
        assert px4.told == ["sensor_mag_sim stop"]
        px4.refuses = "PX4 0 refused `param set SIM_GPS_USED 0 fail`: not found"
        simulation.command(fault | {"kind": "gps_loss"})
        with pytest.raises(Px4Error, match="PX4 0 refused `param set SIM_GPS_USED"):
            await asyncio.wait_for(work, 10.0)


async def test_a_px4_that_ends_by_itself_ends_the_run_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitl.px4_world.KNOCK_S", 0.01)
    async with simulated() as (px4, _, work):
        px4.ended = True
        with pytest.raises(Px4Error, match="PX4 0 ended by itself: segmentation fault"):
            await asyncio.wait_for(work, 10.0)


async def test_what_no_real_px4_can_do_is_refused_with_the_reason() -> None:
    events: list[dict[str, Any]] = []
    async with simulated(events.append) as (_, simulation, _):
        simulation.command({"do": "fault", "kind": "wind_change", "north_m_s": 5.0})
        simulation.command({"do": "battery", "vehicle": "cw-1", "battery_pct": 40.0})
        simulation.command({"do": "battery", "vehicle": "cw-1"})
        simulation.command("load it")
    said = [e.get("reason", e["event"]) for e in events]
    assert said[0] == "not possible on a real PX4: SIH's air is still"
    assert said[1] == "not possible on a real PX4: SIH's battery is full whenever the vehicle stands disarmed"
    assert said[2] == "battery"
    assert said[3].startswith("the spec: is str 'load it'")


@pytest.mark.px4
async def test_a_box_rides_on_a_real_px4_suffers_with_it_and_is_let_go_by_its_gripper(tmp_path: Path) -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    speed = 3.0
    clock = ScaledClock(speed, epoch_s=time.time(), monotonic_s=time.monotonic())
    changes = {"speed": speed, "epoch_s": clock.epoch_s, "monotonic_s": clock.monotonic_s}
    faults = [
        # Over before the drop: a release whose answer is lost is never repeated.
        {"kind": "link_loss", "on": "cw-1", "rate": 0.05, "duration_s": 20.0},
        {"kind": "link_delay", "on": "cw-1", "delay_s": 0.1, "jitter_s": 0.1},
        {"kind": "battery_sag", "on": "cw-1", "share": 0.3, "when": {"vehicle": "cw-1", "flown_m": 50.0}},
    ]
    vehicle = {"system_id": 31, "gcs": {"local_port": 0}}
    spec = SimSpec.from_dict(spec_dict(vehicle=vehicle, faults=faults) | changes)
    events: list[dict[str, Any]] = []
    frames = 0

    def observe(frame: bytes) -> None:
        nonlocal frames
        frames += 1

    async with (
        start_px4(vehicles_of(spec), speed=speed, folder=tmp_path) as (px4,),
        Px4Simulation(spec, [px4], emit=events.append) as simulation,
    ):
        simulation.connect("cw-1", observe, "onboard")
        work = asyncio.create_task(simulation.run())
        fleet = simulation.world.fleet
        url = f"udpout://127.0.0.1:{simulation.ports['cw-1', 'gcs']}"
        async with controlled(url, px4.system_id, clock) as controller:
            await until(controller, "healthy", lambda s: bool(s.health_ok and s.health_ok.value and s.home), 60.0)
            home = controller.state().home
            assert home is not None
            plan = small_plan(home.value.point, home.value.alt_amsl_m)
            assert (await controller.upload(plan, with_fence_and_rally=True)).verdict is Verdict.DONE
            assert (await controller.start_mission()).verdict is Verdict.DONE
            await until(controller, "over the drop", lambda s: fleet.flown_m[0] > 140 and fleet.height_m(0) < 14, 120.0)
            assert fleet.charge(0) < 0.72, "the battery sagged on the way"
            samples = simulation.take_samples("box-1")
            assert len(samples) > 3
            assert b'"docked":true' in samples[-1]
            assert (await controller.release()).verdict is Verdict.DONE
            (released,) = [e for e in events if e["event"] == "released"]
            assert released["agl_m"] == pytest.approx(12.0, abs=1.5)
            assert (await controller.return_home()).verdict is Verdict.DONE
            await until(controller, "landed", lambda s: not fleet.armed[0] and bool(fleet.on_ground[0]), 180.0)
            # A reboot on the pad: PX4 starts where it stands, and is heard again without our doing anything.
            before = px4.pid
            simulation.command({"do": "fault", "kind": "reboot", "on": "cw-1"})
            await until(controller, "booted", lambda s: s.boot == 1, 60.0)
            assert px4.pid != before
        begun = [e["kind"] for e in events if e["event"] == "fault" and e["state"] == "begun"]
        assert begun == ["link_loss", "link_delay", "battery_sag", "reboot"]
        assert [e["event"] for e in events if e["event"] in ("landed", "crashed")] == ["landed"]
        assert frames > 1000
        assert b'"docked":false' in simulation.take_samples("box-1")[-1]
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
