"""Serial links, on pseudo-terminals: unplugged, taken, missing and what is none."""

from __future__ import annotations

import errno
import re
import termios
from pathlib import Path
from typing import Any

import pytest
import serial

from fleet.clock import ScaledClock
from fleet.mavlink.opening import make_transport
from fleet.mavlink.urls import LinkError, parse_url
from tests.mavlink.wires import (
    Far,
    opened,
    ours,
    plugged,
    until,
)


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
