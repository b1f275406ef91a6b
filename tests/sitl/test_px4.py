"""Finding, starting and ending a real PX4."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sitl import px4
from sitl.px4 import QUAD, VTOL, Px4Error, Px4Instance, Px4Vehicle, command_for, find_px4, start_px4
from tests.sitl.fake_px4 import program, ready_px4

FIRST = 90
"""from index 9 on all share one onboard port"""
HOME = (7.5, 38.2, 420.0)

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a `px4` that gets ready in place of the real one, on a port that nobody else uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr("sitl.px4.ONBOARD_PORT", port - 9)

    def install(extra: str = "") -> Path:
        path = ready_px4(tmp_path / "px4", port, indices=range(FIRST, FIRST + 4), extra=extra)
        monkeypatch.setenv("PX4_SITL_BIN", str(path))
        return path

    return install


@pytest.fixture
def fake(install: Install) -> Path:
    return install()


def told(instance: Px4Instance) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((instance.folder / "told.json").read_text())
    return values


async def until(done: Callable[[], bool]) -> None:
    """Another process does it; 30 s is for a machine that is busy."""
    end_s = time.monotonic() + 30.0
    while not done():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_px4_sitl_bin_comes_first_and_its_start_up_scripts_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = program(tmp_path / "a"), program(tmp_path / "b")
    monkeypatch.setenv("PATH", str(other.parent))
    found = find_px4()
    assert found is not None
    assert found.path == other
    monkeypatch.setenv("PX4_SITL_BIN", str(named))
    found = find_px4()
    assert found is not None
    assert (found.path, found.program, found.etc) == (named, named, tmp_path / "a" / "etc")
    assert command_for(found, 3)[-4:] == ["-i", "3", "-d", str(tmp_path / "a" / "etc")]


def test_a_wrapper_script_leads_to_the_scripts_of_the_program_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = program(tmp_path / "build")
    wrapper = tmp_path / "px4"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PX4_SITL_BIN", str(wrapper))
    found = find_px4()
    assert found is not None
    assert (found.program, found.etc) == (real, tmp_path / "build" / "etc")


async def test_no_px4_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PX4_SITL_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sitl.px4.PACKAGE_PLACE", tmp_path / "none")
    with pytest.raises(Px4Error, match="set PX4_SITL_BIN"):
        async with start_px4([(7.5, 38.2, 420.0)]):
            pass
    monkeypatch.setenv("PX4_SITL_BIN", str(tmp_path / "missing"))
    with pytest.raises(Px4Error, match="is no executable file"):
        find_px4()


async def test_each_instance_gets_its_model_home_speed_and_parameters(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PX4_SYS_AUTOSTART", "4001")  # a developer's: it would win over the model
    params = {"SIM_BAT_DRAIN": 3600.0, "SIM_BAT_MIN_PCT": 0.5, "COM_DL_LOSS_T": 30.0}
    vehicles = [
        HOME,
        Px4Vehicle((7.51, 38.21, 431.5), VTOL, params),
    ]
    async with start_px4(vehicles, speed=4.0, first_index=FIRST, folder=tmp_path) as (quad, vtol):
        pids = [quad.pid, vtol.pid]
        assert [quad.system_id, vtol.system_id] == [FIRST + 1, FIRST + 2]
        assert told(quad)["PX4_SIM_MODEL"] == QUAD
        assert "PX4_SYS_AUTOSTART" not in told(quad)
        theirs = told(vtol)
        assert theirs["PX4_SIM_MODEL"] == VTOL
        assert [theirs[f"PX4_HOME_{k}"] for k in ("LAT", "LON", "ALT")] == ["7.51", "38.21", "431.5"]
        assert theirs["PX4_SIM_SPEED_FACTOR"] == "4"
        assert theirs["PX4_PARAM_SIM_BAT_DRAIN"] == "3600"
        assert theirs["PX4_PARAM_SIM_BAT_MIN_PCT"] == "0.5"
        # rcS sets this one by the speed factor, after the environment's.
        asked = (fake.parent / "clients.log").read_text().splitlines()
        assert asked == [f"px4-param --instance {FIRST + 1} set COM_DL_LOSS_T 30 fail"]
        assert "hello from 90" in quad.log.read_text()
    assert all(is_gone(pid) for pid in pids)


async def test_an_instance_that_dies_at_start_up_takes_the_others_along(tmp_path: Path, install: Install) -> None:
    extra = f"open({str(tmp_path)!r} + f'/pid-{{index}}', 'w').write(str(os.getpid()))\n"
    extra += f"if index == {FIRST + 1}: time.sleep(0.3); sys.exit('no such airframe')"
    install(extra)
    with pytest.raises(Px4Error, match="PX4 91 ended by itself: no such airframe"):
        async with start_px4([HOME, HOME], first_index=FIRST, folder=tmp_path):
            pass
    assert is_gone(int((tmp_path / f"pid-{FIRST}").read_text()))


async def test_a_caller_who_gives_up_while_it_boots_leaves_nothing_behind(tmp_path: Path, install: Install) -> None:
    noted = tmp_path / "pid"
    extra = f"open({str(noted)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    install(extra)

    async def start() -> None:
        async with start_px4([HOME], first_index=FIRST, folder=tmp_path):
            raise AssertionError("it never gets ready")

    work = asyncio.create_task(start())
    await until(lambda: noted.exists() and noted.read_text() != "")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert is_gone(int(noted.read_text()))


async def test_one_that_ignores_sigterm_is_killed(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    install(extra)
    monkeypatch.setattr("sitl.px4.STOP_S", 0.1)
    async with start_px4([HOME], first_index=FIRST, folder=tmp_path) as (instance,):
        pid = instance.pid
    assert is_gone(pid)


async def test_a_launcher_that_is_killed_takes_its_instances_along(fake: Path, tmp_path: Path) -> None:
    launcher = f"""
import asyncio, pathlib, sitl.px4
sitl.px4.ONBOARD_PORT = {px4.ONBOARD_PORT}
async def main():
    async with sitl.px4.start_px4([{HOME}], first_index={FIRST}, folder=pathlib.Path({str(tmp_path)!r})) as (instance,):
        print(instance.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", launcher, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert not is_gone(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: is_gone(pid))


async def test_a_restart_is_a_new_process_in_the_same_folder_where_the_vehicle_stands(
    fake: Path, tmp_path: Path
) -> None:
    async with start_px4([HOME], first_index=FIRST, folder=tmp_path) as (instance,):
        before = instance.pid
        (instance.folder / "told.json").unlink()
        await instance.restart((7.6, 38.3, 420.0))
        assert is_gone(before)
        await until((instance.folder / "told.json").exists)
        assert instance.pid != before
        assert told(instance)["PX4_HOME_LAT"] == "7.6"
        assert instance.log.read_text().count("hello from") == 2


async def test_commands_go_to_the_instance_and_a_refusal_is_told_in_its_words(fake: Path, tmp_path: Path) -> None:
    async with start_px4([HOME], first_index=FIRST, folder=tmp_path) as (instance,):
        assert await instance.run("failure", "battery", "off") == "done"
        with pytest.raises(Px4Error, match="refused `param set NO_SUCH 1 fail`: Parameter NO_SUCH not found"):
            await instance.set_params({"NO_SUCH": 1.0})
        with pytest.raises(Px4Error, match=r"px4-listener is missing: .* install the whole package"):
            await instance.run("listener")
    said = (fake.parent / "clients.log").read_text().splitlines()
    assert said == [f"px4-failure --instance {FIRST} battery off"]


async def test_a_taken_port_and_an_unknown_model_are_said_before_anything_starts(fake: Path, tmp_path: Path) -> None:
    with pytest.raises(Px4Error, match=r"model 'gz_x500' is not known to fly; use one of sihsim_quadx"):
        async with start_px4([Px4Vehicle(HOME, "gz_x500")], first_index=FIRST, folder=tmp_path):
            pass
    async with start_px4([HOME], first_index=FIRST, folder=tmp_path) as (instance,):
        # Ready: the onboard port is free again for who wants to listen there.
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", instance.onboard_port)
        )
        with pytest.raises(Px4Error, match=f"UDP port {instance.onboard_port} is taken"):
            async with start_px4([HOME], first_index=FIRST + 1, folder=tmp_path):
                pass
        transport.close()


@pytest.mark.px4
async def test_four_real_instances_start_one_of_them_a_vtol_get_ready_and_are_gone_afterwards(tmp_path: Path) -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    params = {"SIM_BAT_DRAIN": 1800.0, "COM_DISARM_PRFLT": 60.0, "COM_DL_LOSS_T": 33.0}
    vehicles = [
        Px4Vehicle((7.5, 38.2 + n * 0.0001, 420.0), VTOL if n == 3 else QUAD, params | {"SIM_BAT_MIN_PCT": float(n)})
        for n in range(4)
    ]
    async with start_px4(vehicles, speed=2.0, first_index=30, folder=tmp_path) as instances:
        assert [i.system_id for i in instances] == [31, 32, 33, 34]
        for n, instance in enumerate(instances):
            assert float(await instance.run("param", "show", "-q", "SIM_BAT_DRAIN")) == 1800.0
            assert float(await instance.run("param", "show", "-q", "SIM_BAT_MIN_PCT")) == float(n)
            assert float(await instance.run("param", "show", "-q", "COM_DL_LOSS_T")) == 33.0
            assert int(await instance.run("param", "show", "-q", "MAV_TYPE")) == (22 if n == 3 else 2)
        with pytest.raises(Px4Error, match="NO_SUCH"):
            await instances[0].set_params({"NO_SUCH": 1.0})
        pids = [i.pid for i in instances]
        assert all(not is_gone(pid) for pid in pids)
    assert all(is_gone(pid) for pid in pids)
