"""Decoded messages of one vehicle folded into what is known of it.

Taking a message in only stores it; the frozen values are built when somebody looks. A value that is not a finite
number, or a position that is none, never gets in: the last good one stays, with its time.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from fleet.mavlink import px4
from fleet.mavlink.completion import Completion
from fleet.mavlink.events import EventFeed, event_text
from fleet.mavlink.messages import (
    Attitude,
    AutopilotVersion,
    BatteryStatus,
    CurrentEventSequence,
    Event,
    ExtendedSysState,
    GlobalPositionInt,
    GpsRawInt,
    Heartbeat,
    HomePosition,
    Message,
    MissionCurrent,
    MissionItemReached,
    StatusText,
    SysStatus,
    SystemTime,
    TimeSync,
    VfrHud,
    WindCov,
)
from fleet.mavlink.texts import StatusTexts
from geofences.geodesy import LatLon
from missions.snapshot import (
    Battery,
    Gps,
    Landed,
    LinkQuality,
    MissionState,
    MissionStatus,
    Mode,
    Position,
    Timed,
    VehicleState,
    Velocity,
    Wind,
)

BOOT_BACKWARDS_MS = 2000
"""boot time this far behind the newest is a reboot; less is a datagram that overtook another"""
MAX_TEXTS = 20
ON_WING = 4
"""MAV_VTOL_STATE_FW"""
FIX_3D = 3
"""GPS_FIX_TYPE; above it come the better ones"""
MAX_WIND_M_S = 150.0
"""more is no wind; NaN and infinity fail this comparison too"""
_LANDED = (Landed.UNKNOWN, Landed.ON_GROUND, Landed.IN_AIR, Landed.TAKING_OFF, Landed.LANDING)
_MISSION = (
    MissionState.UNKNOWN,
    MissionState.NO_MISSION,
    MissionState.NOT_STARTED,
    MissionState.ACTIVE,
    MissionState.PAUSED,
    MissionState.COMPLETE,
)
_MAX_LAT, _MAX_LON = 900_000_000, 1_800_000_000
_UNKNOWN = {field.name: getattr(VehicleState(""), field.name) for field in dataclasses.fields(VehicleState)}


class Track:
    """One vehicle's telemetry, mutable; `state()` gives the frozen picture."""

    def __init__(self, vehicle_id: str) -> None:
        self.vehicle_id = vehicle_id
        self.heard_s: float | None = None
        """when any valid frame of the vehicle's autopilot arrived"""
        self.boot = 0
        self._texts: deque[Timed[str]] = deque(maxlen=MAX_TEXTS)
        self._said = False
        """there is something new in words that `state` does not show yet"""
        self._quality = LinkQuality(None, None)
        self._state: VehicleState = VehicleState(vehicle_id)
        self._clear()

    def _clear(self) -> None:
        self._fresh: dict[type[Any], tuple[Any, float]] = {}
        """not in `_fields` yet"""
        self._fields = dict(_UNKNOWN)
        self._beat: Heartbeat | None = None
        self._mission_s = 0.0
        self._newest_boot_ms = -1
        self._status_texts = StatusTexts()
        self._completion = Completion()
        self.events = EventFeed()

    def reduce(self, message: Message, now_s: float) -> bool:
        """Takes a message in. True when it shows that the vehicle has booted anew: all before it is void."""
        take = _TAKE.get(type(message))
        return take is not None and take(self, message, now_s)

    def _store(self, message: Message, now_s: float) -> bool:
        self._fresh[type(message)] = (message, now_s)
        return False

    def _battery(self, message: SysStatus | BatteryStatus, now_s: float) -> bool:
        """Both tell of the battery, and the newer one shall stand: it is put last."""
        self._fresh.pop(type(message), None)
        return self._store(message, now_s)

    def _heartbeat(self, beat: Heartbeat, now_s: float) -> bool:
        turned = self._beat is None or beat.custom_mode != self._beat.custom_mode
        self._beat = beat
        self._completion.mode(px4.mode_of(beat.custom_mode))
        if turned:
            self._judge_readiness()
        self._say(self._status_texts.flush(now_s), now_s)
        return self._store(beat, now_s)

    def _position(self, here: GlobalPositionInt, now_s: float) -> bool:
        if not _is_place(here.lat, here.lon):
            return False
        rebooted = self._booted(here.time_boot_ms)
        self._fresh[GlobalPositionInt] = (here, now_s)
        return rebooted

    def _mission(self, mission: MissionCurrent, now_s: float) -> bool:
        self._mission_s = now_s
        return self._store(self._completion.current(mission), now_s)

    def _reached(self, item: MissionItemReached, now_s: float) -> bool:
        if self._completion.reached(item.seq, now_s):
            self._mission_complete()
        return False

    def reboot(self) -> None:
        """Forgets what was known before the boot. Texts stay: they may say why."""
        self.boot += 1
        self._clear()
        self._said = True

    def rebase(self, boot_ms: int) -> None:
        """Telemetry comes by another path now, whose newest time since boot was this; −1 where it told none yet."""
        self._newest_boot_ms = boot_ms

    def set_quality(self, quality: LinkQuality) -> None:
        self._quality = quality

    def _booted(self, boot_ms: int) -> bool:
        if boot_ms < self._newest_boot_ms - BOOT_BACKWARDS_MS:
            self.reboot()
            self._newest_boot_ms = boot_ms
            return True
        if boot_ms > self._newest_boot_ms:
            self._newest_boot_ms = boot_ms
        return False

    def _text(self, text: StatusText, now_s: float) -> bool:
        self._say(self._status_texts.receive(text, now_s), now_s)
        return False

    def _say(self, lines: list[str], now_s: float) -> None:
        for line in lines:
            if line:
                self._texts.append(Timed(line, now_s))
                self._said = True
                if self._completion.said(line):
                    self._mission_complete()

    def _event(self, event: Event, now_s: float) -> bool:
        """Says what is news: the sentence of an event, and why the vehicle would not arm or what fails in the air."""
        before = self.events.report
        if not self.events.receive(event, now_s):
            return False
        sentence = event_text(event)
        self._say([] if sentence is None else [sentence], now_s)
        report = self.events.report
        if report is None or report is before:
            return False
        self._judge_readiness()
        if self._beat is None or not self._beat.base_mode & px4.ARMED:
            reasons = report.reasons(self._mode())
            if reasons and (before is None or reasons != before.reasons(self._mode())):
                self._say(["Not ready to arm: " + "; ".join(reasons)], now_s)
        else:
            self._say([f"Check failed in flight: {line}" for line in report.grave_beside(before)], now_s)
        return False

    def _event_sequence(self, current: CurrentEventSequence, now_s: float) -> bool:
        self.events.current(current)
        return False

    def _judge_readiness(self) -> None:
        """PX4 arms in the mode it is in, so the answer hangs on both, the report and the mode."""
        if self.events.report is not None:
            self._fields["not_ready"] = self.events.report.reasons(self._mode())
            self._said = True

    def wants_report(self, now_s: float) -> bool:
        """PX4 reports its arming checks when they change: one that was ready before we came has to be asked."""
        beat = self._beat
        return beat is not None and not beat.base_mode & px4.ARMED and self.events.wants_report(now_s)

    def _mode(self) -> Mode:
        return Mode.HOLD if self._beat is None else px4.mode_of(self._beat.custom_mode)

    def _mission_complete(self) -> None:
        completed = self._completion.completed()
        if completed is not None:
            self._store(completed, self._mission_s)

    def state(self) -> VehicleState:
        """The newest picture; only what changed is built anew."""
        fields = self._fields
        if self._fresh or self._said:
            for kind, (message, at_s) in self._fresh.items():
                _UNFOLD[kind](fields, message, at_s)
            self._fresh.clear()
            if self._said:
                self._said = False
                fields["texts"] = tuple(self._texts)
        elif self._state.heard_s == self.heard_s and self._state.link is self._quality:
            return self._state
        fields["vehicle_id"] = self.vehicle_id
        fields["heard_s"] = self.heard_s
        fields["boot"] = self.boot
        fields["link"] = self._quality
        # In the order of VehicleState's own fields: twenty names to match would take as long as all the rest.
        self._state = VehicleState(*fields.values())
        return self._state


def _is_place(lat: int, lon: int) -> bool:
    return -_MAX_LAT <= lat <= _MAX_LAT and -_MAX_LON <= lon <= _MAX_LON and (lat != 0 or lon != 0)


_TAKE: dict[type[Any], Callable[[Track, Any, float], bool]] = {
    Heartbeat: Track._heartbeat,
    SysStatus: Track._battery,
    SystemTime: lambda track, m, now_s: track._booted(m.time_boot_ms),
    Attitude: lambda track, m, now_s: track._booted(m.time_boot_ms),
    TimeSync: lambda track, m, now_s: m.tc1 > 0 and track._booted(m.tc1 // 1_000_000),
    GlobalPositionInt: Track._position,
    GpsRawInt: Track._store,
    HomePosition: lambda track, m, now_s: _is_place(m.latitude, m.longitude) and track._store(m, now_s),
    ExtendedSysState: Track._store,
    MissionCurrent: Track._mission,
    MissionItemReached: Track._reached,
    VfrHud: lambda track, m, now_s: m.throttle <= 100 and track._store(m, now_s),
    BatteryStatus: lambda track, m, now_s: m.id == 0 and 0 <= m.battery_remaining <= 100 and track._battery(m, now_s),
    WindCov: lambda track, m, now_s: (
        abs(m.wind_x) < MAX_WIND_M_S and abs(m.wind_y) < MAX_WIND_M_S and track._store(m, now_s)
    ),
    AutopilotVersion: Track._store,
    StatusText: Track._text,
    Event: Track._event,
    CurrentEventSequence: Track._event_sequence,
}
"""what is taken in at all, and when it makes sense; True for a reboot"""


def _heartbeat(fields: dict[str, Any], m: Heartbeat, at_s: float) -> None:
    fields["armed"] = Timed(bool(m.base_mode & px4.ARMED), at_s)
    fields["mode"] = Timed(px4.mode_of(m.custom_mode), at_s)
    fields["failsafe"] = Timed(m.system_status in px4.FAILSAFE_STATES, at_s)


def _position(fields: dict[str, Any], m: GlobalPositionInt, at_s: float) -> None:
    position = Position(LatLon(m.lat / 1e7, m.lon / 1e7), m.alt / 1000, m.relative_alt / 1000, m.time_boot_ms / 1000)
    fields["position"] = Timed(position, at_s)
    fields["velocity"] = Timed(Velocity(m.vx / 100, m.vy / 100, m.vz / 100), at_s)


def _gps(fields: dict[str, Any], m: GpsRawInt, at_s: float) -> None:
    fixed = m.fix_type >= FIX_3D and _is_place(m.lat, m.lon)
    fields["gps"] = Timed(Gps(LatLon(m.lat / 1e7, m.lon / 1e7) if fixed else None, m.time_usec / 1e6), at_s)


def _home(fields: dict[str, Any], m: HomePosition, at_s: float) -> None:
    place = LatLon(m.latitude / 1e7, m.longitude / 1e7)
    fields["home"] = Timed(Position(place, m.altitude / 1000, 0.0), at_s)


def _sys_status(fields: dict[str, Any], m: SysStatus, at_s: float) -> None:
    fields["health_ok"] = Timed(bool(m.onboard_control_sensors_health & px4.PREARM_CHECK), at_s)
    if 0 <= m.battery_remaining <= 100:
        volts = None if m.voltage_battery == 0xFFFF else m.voltage_battery / 1000
        amps = None if m.current_battery < 0 else m.current_battery / 100
        fields["battery"] = Timed(Battery(float(m.battery_remaining), volts, amps), at_s)


def _battery(fields: dict[str, Any], m: BatteryStatus, at_s: float) -> None:
    cells = [c for c in struct.unpack("<10H", m.voltages) if c != 0xFFFF]
    amps = None if m.current_battery < 0 else m.current_battery / 100
    volts = sum(cells) / 1000 if cells else None
    fields["battery"] = Timed(Battery(float(m.battery_remaining), volts, amps), at_s)


def _landed(fields: dict[str, Any], m: ExtendedSysState, at_s: float) -> None:
    fields["landed"] = Timed(_LANDED[m.landed_state] if m.landed_state < len(_LANDED) else Landed.UNKNOWN, at_s)
    fields["on_wing"] = Timed(m.vtol_state == ON_WING, at_s)


def _throttle(fields: dict[str, Any], m: VfrHud, at_s: float) -> None:
    fields["throttle_pct"] = Timed(float(m.throttle), at_s)


def _mission(fields: dict[str, Any], m: MissionCurrent, at_s: float) -> None:
    state = _MISSION[m.mission_state] if m.mission_state < len(_MISSION) else MissionState.UNKNOWN
    total = None if m.total == 0xFFFF else m.total
    # Firmware without plan ids leaves all three at 0 although it stores a mission.
    told = m.mission_id != 0 or m.fence_id != 0 or m.rally_points_id != 0 or not total
    ids = (m.mission_id, m.fence_id, m.rally_points_id) if told else (None, None, None)
    fields["mission"] = Timed(MissionStatus(state, m.seq, total, *ids), at_s)


def _wind(fields: dict[str, Any], m: WindCov, at_s: float) -> None:
    fields["wind"] = Timed(Wind(m.wind_x, m.wind_y), at_s)


def _version(fields: dict[str, Any], m: AutopilotVersion, at_s: float) -> None:
    fields["firmware"] = px4.version_text(m.flight_sw_version)
    fields["uid"] = m.uid or None


_UNFOLD: dict[type[Any], Callable[[dict[str, Any], Any, float], None]] = {
    Heartbeat: _heartbeat,
    GlobalPositionInt: _position,
    GpsRawInt: _gps,
    HomePosition: _home,
    SysStatus: _sys_status,
    BatteryStatus: _battery,
    MissionCurrent: _mission,
    ExtendedSysState: _landed,
    VfrHud: _throttle,
    WindCov: _wind,
    AutopilotVersion: _version,
}
"""a stored message → the fields of the vehicle's state"""
