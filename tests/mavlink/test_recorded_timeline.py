"""Recorded PX4 traffic replayed: our state over time against pymavlink's, message by message.

pymavlink's `development` dialect decodes; for what that of 2.4.50 does not know yet (plan ids, events), a dialect that
pymavlink's own generator makes of px4_messages.xml. This is done in two ways: pymavlink's fields folded by the same
reducer, so that decoding is all that differs, of every message; and what its fields mean, said here once more without
our code.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pymavlink.dialects.v20 import development as dialect
from pymavlink.generator import mavgen

from fleet.mavlink.codec import decode
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import Message, Spec
from fleet.mavlink.reduce import Track
from missions.snapshot import Landed, MissionState, Mode, VehicleState
from tests.mavlink.recordings import recorded_files, recorded_frames

Parse = Callable[[int, bytes], Any]
PARAM_VALUE = 22
_ELEMENT = {"uint8_t": "B", "int8_t": "b", "uint16_t": "H", "float": "f"}
MODES = {
    0x03040000: Mode.HOLD,
    0x02040000: Mode.TAKEOFF,
    0x04040000: Mode.MISSION,
    0x05040000: Mode.RETURN,
    0x06040000: Mode.LAND,
    0x00060000: Mode.OFFBOARD,
    0x000A0000: Mode.TERMINATION,
}
ACTS_BY_ITSELF = (dialect.MAV_STATE_CRITICAL, dialect.MAV_STATE_EMERGENCY, dialect.MAV_STATE_FLIGHT_TERMINATION)
LANDED = [Landed.UNKNOWN, Landed.ON_GROUND, Landed.IN_AIR, Landed.TAKING_OFF, Landed.LANDING]
MISSIONS = [
    MissionState.UNKNOWN,
    MissionState.NO_MISSION,
    MissionState.NOT_STARTED,
    MissionState.ACTIVE,
    MissionState.PAUSED,
    MissionState.COMPLETE,
]


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """(message id, frame) → pymavlink's message."""
    newer = _generated(tmp_path_factory.mktemp("dialect") / "px4_messages.py")
    parsers = {True: newer.MAVLink(None), False: dialect.MAVLink(None)}
    return lambda msg_id, raw: parsers[msg_id in newer.mavlink_map].decode(bytearray(raw))


def _generated(to: Path) -> ModuleType:
    options = mavgen.Opts(str(to.with_suffix("")), wire_protocol="2.0", language="Python3", validate=False)
    with contextlib.redirect_stdout(io.StringIO()):
        mavgen.mavgen(options, [str(Path(__file__).with_name("px4_messages.xml"))])
    spec = importlib.util.spec_from_file_location("px4_messages", to)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_our_form(theirs: Any) -> Message:
    """pymavlink's message as ours: the same values, arrays as the bytes that they were."""
    spec = Spec.by_id[theirs.get_msgId()]
    types = dict(zip(theirs.fieldnames, theirs.fieldtypes, strict=True))

    def value(name: str) -> Any:
        raw = getattr(theirs, f"_{name}_raw", None)
        if raw is not None:
            return bytes(raw).ljust(50, b"\0")  # the only text among them is STATUSTEXT's
        field = getattr(theirs, name)
        if isinstance(field, list):
            return struct.pack(f"<{len(field)}{_ELEMENT[types[name]]}", *field)
        return field

    return spec.make(value(name) for name in spec.cls._fields)  # type: ignore[no-any-return]


def _amps(m: Any) -> float | None:
    """PX4 sends −1 A where it measures none."""
    return None if m.current_battery < 0 else m.current_battery / 1e2


def meaning(theirs: Any) -> dict[str, Any]:
    """What a message says, by field of the vehicle's state."""
    m, kind = theirs, theirs.get_type()
    if kind == "HEARTBEAT":
        armed = m.base_mode & dialect.MAV_MODE_FLAG_SAFETY_ARMED
        return {
            "armed": armed != 0,
            "mode": MODES[m.custom_mode],
            "failsafe": m.system_status in ACTS_BY_ITSELF,
        }
    if kind == "SYS_STATUS":
        health = m.onboard_control_sensors_health & dialect.MAV_SYS_STATUS_PREARM_CHECK
        battery = (m.battery_remaining, m.voltage_battery / 1e3, _amps(m))
        return {"health_ok": health != 0, "battery": battery}
    if kind == "BATTERY_STATUS":
        volts = sum(v for v in m.voltages if v != 65535) / 1e3
        return {"battery": (m.battery_remaining, volts, _amps(m))}
    if kind == "GLOBAL_POSITION_INT":
        return {
            "position": (m.lat / 1e7, m.lon / 1e7, m.alt / 1e3, m.relative_alt / 1e3),
            "velocity": (m.vx / 1e2, m.vy / 1e2, m.vz / 1e2),
        }
    if kind == "HOME_POSITION":
        return {"home": (m.latitude / 1e7, m.longitude / 1e7, m.altitude / 1e3, 0.0)}
    if kind == "EXTENDED_SYS_STATE":
        return {"landed": LANDED[m.landed_state]}
    if kind == "VFR_HUD":
        return {"throttle_pct": m.throttle}
    if kind == "MISSION_CURRENT":
        total = None if m.total == 65535 else m.total
        return {"mission": (MISSIONS[m.mission_state], m.seq, total, m.mission_id, m.fence_id, m.rally_points_id)}
    return {}


def shown(state: VehicleState, field: str) -> tuple[Any, float]:
    """A field of the state as `meaning` writes it, and its time."""
    timed = getattr(state, field)
    assert timed is not None, field
    value = timed.value
    if field == "battery":
        value = (value.remaining_pct, value.voltage_v, value.current_a)
    elif field in ("position", "home"):
        value = (value.point.lat_deg, value.point.lon_deg, value.alt_amsl_m, value.alt_rel_home_m)
    elif field == "velocity":
        value = (value.north_m_s, value.east_m_s, value.down_m_s)
    elif field == "mission":
        value = (value.state, value.seq, value.total, value.mission_id, value.fence_id, value.rally_id)
    return value, timed.at_s


def test_replayed_recordings_give_the_timeline_that_pymavlink_gives(parse: Parse) -> None:
    told: dict[str, int] = {}
    for file in recorded_files():
        ours, theirs = Track("px4"), Track("px4")
        for at_s, raw in recorded_frames(file):
            (frame,) = scan(raw).frames
            message = decode(frame)
            assert (message is None) == (frame.msg_id not in Spec.by_id)
            if message is None or (frame.system, frame.component) != (1, 1):
                continue
            if frame.msg_id == PARAM_VALUE:
                continue  # no telemetry; and pymavlink makes a float of an INT32, of which some are NaN
            decoded = parse(frame.msg_id, raw)
            same = in_our_form(decoded)
            assert message == same or repr(message) == repr(same), "NaN is not even itself"
            assert ours.reduce(message, at_s) is theirs.reduce(same, at_s) is False
            state = ours.state()
            assert state == theirs.state()
            for field, value in meaning(decoded).items():
                assert shown(state, field) == (value, at_s)
                told[field] = told.get(field, 0) + 1
        assert ours.boot == 0
    assert told.keys() == {
        "armed", "mode", "failsafe", "health_ok", "battery", "position", "velocity", "home", "landed", "throttle_pct",
        "mission",
    }  # fmt: skip
    assert min(told.values()) > 200


def test_the_id_that_an_upload_was_acknowledged_with_is_the_one_that_the_state_then_shows(parse: Parse) -> None:
    uploads = 0
    for file in recorded_files():
        track, acked = Track("px4"), 0
        for at_s, raw in recorded_frames(file):
            (frame,) = scan(raw).frames
            if frame.system != 1 or frame.msg_id not in (42, 47):
                continue
            decoded = parse(frame.msg_id, raw)
            message = decode(frame)
            assert message is not None
            if frame.msg_id == 47:
                acked = decoded.opaque_id if decoded.type == dialect.MAV_MISSION_ACCEPTED else 0
                continue
            track.reduce(message, at_s)
            mission = track.state().mission
            assert mission is not None
            if acked and mission.value.mission_id == acked:
                uploads += 1
                acked = 0
        assert not acked, f"{file.name}: an acknowledged plan never showed"
    assert uploads >= 1
