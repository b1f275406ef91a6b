"""MAVSDK below our station: its JSON, its queue, its heartbeats, and addresses that cannot be had."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import development

from fleet.clock import ScaledClock
from fleet.mavlink import mavsdk_transport
from fleet.mavlink.codec import decode, encode
from fleet.mavlink.frame import Frame, scan
from fleet.mavlink.mavsdk_driver import open_mavsdk
from fleet.mavlink.mavsdk_transport import MavsdkTransport
from fleet.mavlink.mavsdk_wire import UnspeakableError, from_fields, to_json
from fleet.mavlink.messages import (
    CommandInt,
    CurrentEventSequence,
    Event,
    GlobalPositionInt,
    Heartbeat,
    Message,
    ParamValue,
    RequestEvent,
    Spec,
)
from fleet.mavlink.quality import LinkMeter
from fleet.mavlink.timing import RoundTrip
from fleet.mavlink.urls import LinkError, parse_url
from missions.snapshot import Mode
from tests.mavlink.test_link import free_port

HOLD = 0x03040000
NAMES = {spec.cls: development.mavlink_map[i].msgname for i, spec in Spec.by_id.items() if i in development.mavlink_map}
NAMES |= {Event: "EVENT", RequestEvent: "REQUEST_EVENT", CurrentEventSequence: "CURRENT_EVENT_SEQUENCE"}
"""MAVLink's own names; those that the published dialect lacks"""


def as_mavsdk_says(message: Message) -> dict[str, Any]:
    """The JSON of MAVSDK 4.1: arrays as lists, texts cut at the first NUL, null for what is no finite number."""
    spec = Spec.by_class[type(message)]
    fields = {"message_id": spec.msg_id, **message._asdict()}
    published = development.mavlink_map.get(spec.msg_id)
    for name, value in message._asdict().items():
        if isinstance(value, bytes):
            kind = published.fieldtypes[published.fieldnames.index(name)] if published is not None else "uint8_t"
            fields[name] = _array(value, kind)
    return dict(json.loads(json.dumps(fields), parse_constant=lambda _: None))


def _array(value: bytes, kind: str) -> Any:
    if kind == "char":
        return value.split(b"\0", 1)[0].decode()
    letter = {"uint8_t": "B", "uint16_t": "H", "float": "f"}[kind]
    numbers = list(struct.unpack(f"<{len(value) // struct.calcsize(letter)}{letter}", value))
    return numbers[0] if kind == "float" and len(numbers) == 1 else numbers


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message the controller reads, with any bits. Texts are of plain letters: JSON carries no other bytes."""
    spec = Spec.by_id[draw(st.sampled_from(sorted(Spec.by_id)))]
    message = spec.make(spec.layout.unpack(draw(st.binary(min_size=spec.size, max_size=spec.size))))
    texts = {name: b"GF_ACTION" for name in ("param_id", "text") if name in message._fields}
    return message._replace(**{name: text.ljust(len(getattr(message, name)), b"\0") for name, text in texts.items()})


def same(a: Any, b: Any) -> bool:
    """As the controller sees it: NaN and infinity are alike, no finite number."""
    if isinstance(a, float):
        return a == b or (json.dumps(a) in ("NaN", "Infinity", "-Infinity") and b != b)
    return bool(a == b)


@given(messages())
def test_what_mavsdk_tells_is_what_was_sent(message: Message) -> None:
    fields = as_mavsdk_says(message)
    if fields.get("param_value", 0) is None:
        with pytest.raises(struct.error):
            from_fields(NAMES[type(message)], fields)
        return
    told = from_fields(NAMES[type(message)], fields)
    assert type(told) is type(message), "also of MESSAGE_INTERVAL, whose own field hides its id"
    for name, value in message._asdict().items():
        if name == "q":
            continue  # an attitude of NaNs is one of other NaNs
        assert same(value, getattr(told, name)), name


def test_a_command_is_said_with_null_for_what_is_left_to_the_vehicle() -> None:
    name, text = to_json(CommandInt(-1.0, 1.0, 0.0, float("nan"), 75, 38, 500.5, 192, 1, 1, 5))
    fields = json.loads(text)
    assert (name, fields["param4"], fields["x"], fields["z"]) == ("COMMAND_INT", None, 75, 500.5)


def test_a_parameter_whose_bits_are_no_number_is_neither_said_nor_believed() -> None:
    value = ParamValue(struct.pack("<i", -1), 1, 0, b"A".ljust(16, b"\0"), 6)
    with pytest.raises(UnspeakableError):
        to_json(value)
    with pytest.raises(struct.error):
        from_fields("PARAM_VALUE", {**as_mavsdk_says(value), "param_value": None})


def test_a_field_that_mavsdk_does_not_know_yet_is_zero_and_a_message_that_we_do_not_know_is_none() -> None:
    assert from_fields("HEARTBEAT", {"type": 2, "autopilot": 12}) == Heartbeat(0, 2, 12, 0, 0, 0)
    assert from_fields("RAW_IMU", {}) is None


def test_no_loss_is_shown_where_frames_have_no_numbers() -> None:
    meter = LinkMeter(RoundTrip())
    for n in range(10):
        meter.count(mavsdk_transport.UNNUMBERED, float(n))
    assert meter.loss_pct is None


# -- on a socket -----------------------------------------------------------------------------------------------------


class Aircraft:
    """A vehicle that sends heartbeats, notes what it hears and never answers."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.heard: list[tuple[Frame, Message | None]] = []

    async def fly(self) -> None:
        beat = encode(Heartbeat(HOLD, 2, 12, 29, 3), seq=0, system=1, component=1)
        while True:
            self._socket.sendto(beat, self._to)
            self.listen()
            await asyncio.sleep(0.05)

    def listen(self) -> None:
        try:
            while True:
                frames = scan(self._socket.recv(2048)).frames
                self.heard += [(frame, decode(frame)) for frame in frames]
        except BlockingIOError:
            return

    async def __aenter__(self) -> Aircraft:
        self._flying = asyncio.create_task(self.fly())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._flying.cancel()
        await asyncio.gather(self._flying, return_exceptions=True)
        self._socket.close()

    def heartbeats(self) -> set[int]:
        """The types under which we sent heartbeats."""
        return {message.type for _, message in self.heard if isinstance(message, Heartbeat)}

    async def until_heartbeats_of(self, types: set[int]) -> None:
        async with asyncio.timeout(30.0):
            while not types <= self.heartbeats():  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_the_heartbeat_that_px4_counts_stops_with_the_control_loop_and_mavsdks_own_is_none_of_it() -> None:
    clock, port = ScaledClock(10.0), free_port()
    async with (
        Aircraft(port) as aircraft,
        open_mavsdk(f"udpin://127.0.0.1:{port}", clock=clock, vehicles={1: "cw-1"}) as fleet,
    ):
        station = fleet.station
        async with asyncio.timeout(30.0):
            while 6 not in aircraft.heartbeats():
                station.beat(clock.now_s())
                await asyncio.sleep(0.05)
        state = fleet["cw-1"].state()
        assert state.mode is not None
        assert state.mode.value is Mode.HOLD
        assert {(f.system, f.component) for f, _ in aircraft.heard} == {(245, 190)}
        while not station.beacon_silent:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for _ in range(2):  # what was still on its way comes before the first of these
            aircraft.listen()
            aircraft.heard.clear()
            await aircraft.until_heartbeats_of({18})
        assert aircraft.heartbeats() == {18}


async def test_a_release_that_nobody_answers_is_sent_once() -> None:
    clock, port = ScaledClock(20.0), free_port()
    async with (
        Aircraft(port) as aircraft,
        open_mavsdk(f"udpin://127.0.0.1:{port}", clock=clock, vehicles={1: "cw-1"}) as fleet,
    ):
        vehicle = fleet["cw-1"]
        async with asyncio.timeout(30.0):
            while vehicle.state().mode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        outcome = await vehicle.release()
        assert outcome.verdict.value == "unknown", outcome
        aircraft.listen()
        assert sum(getattr(message, "command", 0) == 211 for _, message in aircraft.heard) == 1


class Tape:
    """A recorder's tap."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def frame(self, raw: bytes, now_s: float, link: int = 0) -> None:
        self.frames.append(raw)


async def test_nothing_is_recorded_as_there_are_no_frames_to_record() -> None:
    clock, port, tape = ScaledClock(10.0), free_port(), Tape()
    url, of_station = f"udpin://127.0.0.1:{port}", {"tap": lambda _: tape}
    async with Aircraft(port), open_mavsdk(url, clock=clock, vehicles={1: "cw-1"}, of_station=of_station) as fleet:
        vehicle = fleet["cw-1"]
        async with asyncio.timeout(30.0):
            while vehicle.state().mode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert not vehicle.capabilities.records
        assert tape.frames == []


async def test_what_comes_faster_than_it_is_taken_in_is_dropped_counted_and_taken_in_bit_by_bit() -> None:
    transport = await asyncio.to_thread(MavsdkTransport, parse_url(f"udpin://127.0.0.1:{free_port()}"), 245)
    portions: list[int] = []
    bad: list[int] = []

    def received(frames: Sequence[Frame], ruined: int, address: Any) -> None:
        portions.append(len(frames))
        bad.append(ruined)

    try:
        transport.open(received, lambda: None)
        for system in (1, 2):
            transport._inbox[system] = mavsdk_transport.deque(maxlen=mavsdk_transport.QUEUE)
        position = json.dumps(as_mavsdk_says(GlobalPositionInt(1, 2, 3, 4, 5, 6, 7, 8, 9)))
        for n in range(mavsdk_transport.QUEUE + 50):
            transport._hear(
                SimpleNamespace(system_id=1, message_name="GLOBAL_POSITION_INT", component_id=1, fields_json=position),
                None,
            )
            if n < 3:
                transport._hear(SimpleNamespace(system_id=2, message_name="", component_id=1, fields_json="{"), None)
        async with asyncio.timeout(30.0):
            while any(transport._inbox.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await asyncio.to_thread(transport.close)
    assert transport.dropped == 50
    assert sum(portions) == mavsdk_transport.QUEUE
    assert max(portions) <= mavsdk_transport.AT_ONCE
    assert sum(bad) == 3


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("udpin://127.0.0.1:{taken}", "port {taken} is in use by another program"),
        ("udpin://[::1]:14550", "takes no IPv6 address"),
        ("serial:///dev/not-there:57600", "is /dev/not-there plugged in"),
        ("bogus://127.0.0.1:1", "unknown scheme 'bogus'"),
    ],
)
async def test_an_address_that_cannot_be_had_is_told_with_the_fix(url: str, says: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        with pytest.raises(LinkError) as told:
            async with open_mavsdk(url.format(taken=taken), clock=ScaledClock(), vehicles={1: "cw-1"}):
                pass
    assert says.format(taken=taken) in str(told.value)


async def test_without_mavsdk_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mavsdk", None)
    with pytest.raises(LinkError, match="pip install 'coldwing\\[mavsdk\\]'"):
        async with open_mavsdk(f"udpin://127.0.0.1:{free_port()}", clock=ScaledClock(), vehicles={1: "cw-1"}):
            pass
