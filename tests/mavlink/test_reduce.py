"""Telemetry folded into the vehicle's state: values, times, nonsense kept out, reboots."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.mavlink.events import event_id
from fleet.mavlink.messages import (
    Attitude,
    AutopilotVersion,
    BatteryStatus,
    Event,
    ExtendedSysState,
    GlobalPositionInt,
    GpsRawInt,
    Heartbeat,
    HomePosition,
    MissionCurrent,
    Spec,
    StatusText,
    SysStatus,
    SystemTime,
    TimeSync,
    VfrHud,
    WindCov,
)
from fleet.mavlink.px4 import mode_of, version_text
from fleet.mavlink.reduce import Track
from geofences.geodesy import LatLon
from missions.snapshot import Gps, Landed, MissionState, Mode, Timed, VehicleState

PREARM = 1 << 28


def sys_status(**changes: int) -> SysStatus:
    return SysStatus(PREARM, PREARM, PREARM, 300, 24000, 1500, 0, 0, 0, 0, 0, 0, 87)._replace(**changes)


def wind(north: float, east: float) -> WindCov:
    return WindCov(0, north, east, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def at(boot_ms: int, lat: int = 75000000, lon: int = 382000000) -> GlobalPositionInt:
    return GlobalPositionInt(boot_ms, lat, lon, 500000, 80000, 1000, -500, 20, 9000)


def test_each_field_comes_with_the_time_it_was_received() -> None:
    track = Track("cw-1")
    for n, message in enumerate(
        [
            Heartbeat(0x04040000, 2, 12, 157, 4),
            at(1000),
            sys_status(),
            ExtendedSysState(0, 2),
            VfrHud(1.0, 2.0, 3.0, 4.0, 5, 63),
            HomePosition(75000000, 382000000, 420000, 0.0, 0.0, 0.0, bytes(16), 0.0, 0.0, 0.0),
            wind(3.0, -4.0),
            MissionCurrent(2, 6, 3, 1, 11, 22, 33),
            AutopilotVersion(0, 77, 0x011100FF, 0, 0, 0, 0, 0, bytes(8), bytes(8), bytes(8)),
        ]
    ):
        track.reduce(message, 100.0 + n)
    state = track.state()
    assert state.armed is not None
    assert state.mode is not None
    assert (state.armed.value, state.mode.value, state.mode.at_s) == (True, Mode.MISSION, 100.0)
    assert state.position is not None
    assert state.velocity is not None
    assert (state.position.value.point.lat_deg, state.position.value.alt_amsl_m) == (7.5, 500.0)
    assert (state.velocity.value.north_m_s, state.velocity.value.east_m_s, state.velocity.at_s) == (10.0, -5.0, 101.0)
    assert state.battery is not None
    assert (state.battery.value.remaining_pct, state.battery.value.voltage_v) == (87.0, 24.0)
    assert state.health_ok is not None
    assert state.health_ok.value
    assert state.landed is not None
    assert state.landed.value is Landed.IN_AIR
    assert state.throttle_pct is not None
    assert state.throttle_pct.value == 63.0
    assert state.home is not None
    assert state.home.value.alt_amsl_m == 420.0
    assert state.wind is not None
    assert (state.wind.value.north_m_s, state.wind.value.east_m_s) == (3.0, -4.0)
    assert state.mission is not None
    mission = state.mission.value
    assert (mission.state, mission.mission_id, mission.fence_id, mission.rally_id) == (MissionState.ACTIVE, 11, 22, 33)
    assert (state.firmware, state.uid) == ("1.17.0", 77)


def test_the_same_state_is_given_until_something_changes() -> None:
    track = Track("cw-1")
    track.reduce(at(1000), 1.0)
    first = track.state()
    assert track.state() is first
    track.reduce(at(1250), 1.25)
    assert track.state() is not first
    assert first.position is not None
    assert first.position.at_s == 1.0


def test_numbers_that_are_none_never_replace_the_last_good_one() -> None:
    track = Track("cw-1")
    for message in (wind(1.0, 2.0), at(1000), sys_status(), VfrHud(0, 0, 0, 0, 0, 40)):
        track.reduce(message, 1.0)
    good = track.state()
    nan, inf = math.nan, math.inf
    for message in (
        wind(nan, 0.0),
        wind(0.0, inf),
        wind(1e9, 0.0),
        at(1100, lat=950000000),
        at(1100, lon=-1900000000),
        at(1100, lat=0, lon=0),
        VfrHud(nan, nan, nan, nan, 0, 65535),
        BatteryStatus(0, 0, 0, bytes(20), 0, 0, 0, 0, -1),
    ):
        track.reduce(message, 2.0)
    assert track.state() == good
    track.reduce(sys_status(battery_remaining=-1), 3.0)
    assert track.state().battery == good.battery


def all_numbers(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple):
        return [n for v in value for n in all_numbers(v)]
    slots = getattr(type(value), "__slots__", ())
    return [n for name in slots if not name.startswith("_") for n in all_numbers(getattr(value, name))]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Spec.by_id.values())), st.randoms()), max_size=30))
def test_no_message_whatever_its_fields_brings_a_nan_or_a_fault_into_the_state(rows: list[Any]) -> None:
    track = Track("cw-1")
    for n, (spec, chance) in enumerate(rows):
        track.reduce(spec.make(spec.layout.unpack(chance.randbytes(spec.size))), float(n))
        assert all(math.isfinite(number) for number in all_numbers(track.state()))


def test_boot_time_running_backwards_is_a_reboot_and_voids_what_was_known() -> None:
    track = Track("cw-1")
    track.reduce(Heartbeat(0x03040000, 2, 12, 157, 4), 1.0)
    track.reduce(SystemTime(0, 60_000), 1.0)
    assert not track.reduce(Attitude(59_500), 1.1), "a datagram that was overtaken"
    assert track.reduce(Attitude(4_000), 9.0)
    assert track.state() == VehicleState("cw-1", boot=1)
    assert not track.reduce(SystemTime(0, 5_000), 10.0)


def test_the_answer_to_a_timesync_shows_a_reboot_too() -> None:
    track = Track("cw-1")
    track.reduce(TimeSync(100_000_000_000, 1), 1.0)
    assert track.reduce(TimeSync(3_000_000_000, 1), 9.0)
    assert not track.reduce(TimeSync(0, 99), 9.1), "the vehicle's own question tells nothing"
    assert track.boot == 1


def test_the_newer_of_two_battery_messages_stands() -> None:
    track = Track("cw-1")
    status = BatteryStatus(0, 0, 0, b"\xa0\x0f" + b"\xff" * 18, -1, 0, 0, 0, 50)
    track.reduce(status._replace(battery_remaining=70), 1.0)
    track.reduce(sys_status(battery_remaining=60), 2.0)
    track.reduce(status, 3.0)
    battery = track.state().battery
    assert battery is not None
    assert (battery.value.remaining_pct, battery.value.voltage_v, battery.value.current_a) == (50.0, 4.0, None)


def test_ids_of_firmware_that_reports_none_are_unknown_and_of_an_empty_vehicle_zero() -> None:
    track = Track("cw-1")
    track.reduce(MissionCurrent(0, 6, 0, 0, 0, 0, 0), 1.0)
    assert track.state().mission is not None
    assert track.state().mission.value.mission_id is None  # type: ignore[union-attr]
    track.reduce(MissionCurrent(0, 65535, 1, 0, 0, 0, 0), 2.0)
    mission = track.state().mission
    assert mission is not None
    assert (mission.value.mission_id, mission.value.total, mission.value.state) == (0, None, MissionState.NO_MISSION)


def test_failsafe_is_a_critical_system_status() -> None:
    track = Track("cw-1")
    track.reduce(Heartbeat(0x05040000, 2, 12, 157, 5), 1.0)
    failsafe = track.state().failsafe
    assert failsafe is not None
    assert failsafe.value


def test_texts_are_put_together_and_events_become_sentences() -> None:
    track = Track("cw-1")
    track.reduce(StatusText(6, b"RTL: start return at 524 m (35 m above destination", 15, 0), 1.0)
    track.reduce(StatusText(6, b")\t", 15, 1), 1.1)
    track.reduce(Event(event_id("navigator_mis_takeoff_not_first"), 0, 1, 0, 0, 99, bytes(40)), 2.0)
    track.reduce(Event(0x01123456, 0, 2, 0, 0, 0x66, bytes(40)), 3.0)
    track.reduce(Event(0x01123457, 0, 3, 0, 0, 0x61, bytes(40)), 3.0)
    assert [t.value for t in track.state().texts] == [
        "RTL: start return at 524 m (35 m above destination)",
        "Mission rejected: take-off is not the first waypoint item",
        "event 0x01123457",
    ]


def test_at_most_twenty_texts_are_kept_and_a_reboot_keeps_them() -> None:
    track = Track("cw-1")
    for n in range(30):
        track.reduce(StatusText(6, b"text %d" % n), float(n))
    track.reduce(SystemTime(0, 60_000), 40.0)
    track.reduce(SystemTime(0, 1_000), 41.0)
    assert len(track.state().texts) == 20
    track.reduce(StatusText(6, b"booted"), 42.0)
    texts = [t.value for t in track.state().texts]
    assert (len(texts), texts[0], texts[-1]) == (20, "text 11", "booted")


def test_px4_modes_are_told_apart() -> None:
    assert mode_of(0x03040000) is Mode.HOLD
    assert mode_of(0x02040000) is Mode.TAKEOFF
    assert mode_of(0x04040000) is Mode.MISSION
    assert mode_of(0x05040000) is Mode.RETURN
    assert mode_of(0x06040000) is Mode.LAND
    assert mode_of(0x00060000) is Mode.OFFBOARD
    assert mode_of(0x000A0000) is Mode.TERMINATION
    assert [mode_of(main << 16) for main in (1, 2, 3, 5, 7)] == [Mode.MANUAL] * 5
    assert mode_of(0x63040000) is Mode.OTHER
    assert [version_text(v) for v in (0x011100FF, 0x011200C0, 0x01120000)] == ["1.17.0", "1.18.0rc", "1.18.0dev"]


def test_the_receivers_own_word_is_kept_beside_the_estimators_and_without_a_fix_it_names_no_place():
    track = Track("cw-1")
    gps = GpsRawInt(12_500_000, 75_000_000, 382_000_000, 500_000, 90, 130, 0, 0, 3, 16)
    track.reduce(gps, 1.0)
    assert track.state().gps == Timed(Gps(LatLon(7.5, 38.2), 12.5), 1.0)
    track.reduce(gps._replace(time_usec=13_000_000, fix_type=2), 1.5)
    assert track.state().gps == Timed(Gps(None, 13.0), 1.5)
    track.reduce(GlobalPositionInt(13_100, 75_000_000, 382_000_000, 500_000, 80_000, 0, 0, 0, 0), 1.6)
    position = track.state().position
    assert position is not None
    assert position.value.clock_s == 13.1
