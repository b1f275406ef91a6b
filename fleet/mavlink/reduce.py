"""Decoded messages of one vehicle folded into what is known of it.

Taking a message in only stores it; the frozen values are built when somebody looks. A value that is not a finite
number, or a position that is none, never gets in: the last good one stays, with its time.
"""

from __future__ import annotations

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


class Track:
    """One vehicle's telemetry, mutable; `state()` gives the frozen picture."""

    def __init__(self, vehicle_id: str) -> None:
        self.vehicle_id = vehicle_id
        self.heard_s: float | None = None
        self.boot = 0
        self._texts: deque[Timed[str]] = deque(maxlen=MAX_TEXTS)
        self._quality = LinkQuality(None, None)
        self._state: VehicleState = VehicleState(vehicle_id)
        self._clear()

    def _clear(self) -> None:
        self._raw: dict[type[Any], tuple[Any, float]] = {}
        self._fields: dict[str, Any] = {}
        self._dirty: set[type[Any]] = set()
        self._newest_boot_ms = -1
        self._status_texts = StatusTexts()
        self._completion = Completion()
        self.events = EventFeed()

    def reduce(self, message: Message, now_s: float) -> bool:
        """Takes a message in. True when it shows that the vehicle has booted anew: all before it is void."""
        check = _CHECKS.get(type(message))
        if check is None or not check(message):
            return False
        kind = type(message)
        rebooted = False
        if kind in _BOOT_TIMED:
            rebooted = self._booted(message)
            if kind is Attitude or kind is SystemTime or kind is TimeSync:
                return rebooted
        if kind is StatusText:
            self._say(self._status_texts.receive(message, now_s), now_s)  # type: ignore[arg-type]
        elif kind is Event:
            self._event(message, now_s)  # type: ignore[arg-type]
        elif kind is CurrentEventSequence:
            self.events.current(message)  # type: ignore[arg-type]
        elif kind is MissionItemReached:
            if self._completion.reached(message.seq, now_s):  # type: ignore[union-attr]
                self._mission_complete()
        else:
            if kind is Heartbeat:
                self._completion.mode(px4.mode_of(message.custom_mode))  # type: ignore[union-attr]
                self._say(self._status_texts.flush(now_s), now_s)
            elif kind is MissionCurrent:
                message = self._completion.current(message)  # type: ignore[arg-type]
            self._raw[kind] = (message, now_s)
            self._dirty.add(kind)
        return rebooted

    def hear(self, now_s: float) -> None:
        """Any valid frame of the vehicle's autopilot arrived."""
        self.heard_s = now_s

    def reboot(self) -> None:
        """Forgets what was known before the boot. Texts stay: they may say why."""
        self.boot += 1
        self._clear()
        self._dirty.add(StatusText)

    def rebase(self, boot_ms: int) -> None:
        """Telemetry comes by another path now, whose newest time since boot was this; −1 where it told none yet."""
        self._newest_boot_ms = boot_ms

    def set_quality(self, quality: LinkQuality) -> None:
        self._quality = quality

    def _booted(self, message: Any) -> bool:
        boot_ms = message.tc1 // 1_000_000 if type(message) is TimeSync else message.time_boot_ms
        if boot_ms < self._newest_boot_ms - BOOT_BACKWARDS_MS:
            self.reboot()
            self._newest_boot_ms = boot_ms
            return True
        if boot_ms > self._newest_boot_ms:
            self._newest_boot_ms = boot_ms
        return False

    def _say(self, lines: list[str], now_s: float) -> None:
        for line in lines:
            if line:
                self._texts.append(Timed(line, now_s))
                self._dirty.add(StatusText)
                if self._completion.said(line):
                    self._mission_complete()

    def _event(self, event: Event, now_s: float) -> None:
        """Says what is news: the sentence of an event, and why the vehicle would not arm or what fails in the air."""
        before = self.events.report
        if not self.events.receive(event, now_s):
            return
        sentence = event_text(event)
        self._say([] if sentence is None else [sentence], now_s)
        report = self.events.report
        if report is None or report is before:
            return
        beat = self._raw.get(Heartbeat)
        if beat is None or not beat[0].base_mode & px4.ARMED:
            reasons = self.not_ready()
            if reasons and (before is None or reasons != before.reasons(self._mode())):
                self._say(["Not ready to arm: " + "; ".join(reasons)], now_s)
        else:
            self._say([f"Check failed in flight: {line}" for line in report.grave_beside(before)], now_s)

    def not_ready(self) -> tuple[str, ...]:
        """Why the vehicle would not arm, by its own last report; empty when it would, or has not reported."""
        return () if self.events.report is None else self.events.report.reasons(self._mode())

    def wants_report(self, now_s: float) -> bool:
        """PX4 reports its arming checks when they change: one that was ready before we came has to be asked."""
        beat = self._raw.get(Heartbeat)
        return beat is not None and not beat[0].base_mode & px4.ARMED and self.events.wants_report(now_s)

    def _mode(self) -> Mode:
        beat = self._raw.get(Heartbeat)
        return Mode.HOLD if beat is None else px4.mode_of(beat[0].custom_mode)

    def _mission_complete(self) -> None:
        completed = self._completion.completed()
        if completed is not None:
            self._raw[MissionCurrent] = (completed, self._raw[MissionCurrent][1])
            self._dirty.add(MissionCurrent)

    def state(self) -> VehicleState:
        """The newest picture; only what changed is built anew."""
        fields = self._fields
        if self._dirty:
            if StatusText in self._dirty:
                self._dirty.discard(StatusText)
                fields["texts"] = tuple(self._texts)
            rows = [self._raw[kind] for kind in self._dirty]
            if len(rows) > 1:
                # Oldest first: battery comes by two messages, and the newer one shall stand.
                rows.sort(key=_received)
            for message, at_s in rows:
                fields |= _FIELDS[type(message)](message, at_s)
            self._dirty.clear()
        elif self._state.heard_s == self.heard_s and self._state.link is self._quality:
            return self._state
        self._state = VehicleState(self.vehicle_id, heard_s=self.heard_s, boot=self.boot, link=self._quality, **fields)
        return self._state


def _received(row: tuple[Any, float]) -> float:
    return row[1]


def _place(lat: int, lon: int) -> bool:
    return -_MAX_LAT <= lat <= _MAX_LAT and -_MAX_LON <= lon <= _MAX_LON and (lat != 0 or lon != 0)


def _yes(_: Any) -> bool:
    return True


_CHECKS: dict[type[Any], Callable[[Any], bool]] = {
    Heartbeat: _yes,
    SysStatus: _yes,
    SystemTime: _yes,
    Attitude: _yes,
    TimeSync: lambda m: m.tc1 > 0,
    GlobalPositionInt: lambda m: _place(m.lat, m.lon),
    HomePosition: lambda m: _place(m.latitude, m.longitude),
    ExtendedSysState: _yes,
    MissionCurrent: _yes,
    MissionItemReached: _yes,
    VfrHud: lambda m: m.throttle <= 100,
    BatteryStatus: lambda m: m.id == 0 and 0 <= m.battery_remaining <= 100,
    WindCov: lambda m: abs(m.wind_x) < MAX_WIND_M_S and abs(m.wind_y) < MAX_WIND_M_S,
    AutopilotVersion: _yes,
    StatusText: _yes,
    Event: _yes,
    CurrentEventSequence: _yes,
}
"""what is taken in at all, and when it makes sense"""
_BOOT_TIMED = frozenset({GlobalPositionInt, SystemTime, Attitude, TimeSync})


def _heartbeat(m: Heartbeat, at_s: float) -> dict[str, Any]:
    return {
        "armed": Timed(bool(m.base_mode & px4.ARMED), at_s),
        "mode": Timed(px4.mode_of(m.custom_mode), at_s),
        "failsafe": Timed(m.system_status in px4.FAILSAFE_STATES, at_s),
    }


def _position(m: GlobalPositionInt, at_s: float) -> dict[str, Any]:
    position = Position(LatLon(m.lat / 1e7, m.lon / 1e7), m.alt / 1000, m.relative_alt / 1000)
    return {
        "position": Timed(position, at_s),
        "velocity": Timed(Velocity(m.vx / 100, m.vy / 100, m.vz / 100), at_s),
    }


def _home(m: HomePosition, at_s: float) -> dict[str, Any]:
    place = LatLon(m.latitude / 1e7, m.longitude / 1e7)
    return {"home": Timed(Position(place, m.altitude / 1000, 0.0), at_s)}


def _sys_status(m: SysStatus, at_s: float) -> dict[str, Any]:
    out: dict[str, Any] = {"health_ok": Timed(bool(m.onboard_control_sensors_health & px4.PREARM_CHECK), at_s)}
    if 0 <= m.battery_remaining <= 100:
        volts = None if m.voltage_battery == 0xFFFF else m.voltage_battery / 1000
        amps = None if m.current_battery < 0 else m.current_battery / 100
        out["battery"] = Timed(Battery(float(m.battery_remaining), volts, amps), at_s)
    return out


def _battery(m: BatteryStatus, at_s: float) -> dict[str, Any]:
    cells = [c for c in struct.unpack("<10H", m.voltages) if c != 0xFFFF]
    amps = None if m.current_battery < 0 else m.current_battery / 100
    volts = sum(cells) / 1000 if cells else None
    return {"battery": Timed(Battery(float(m.battery_remaining), volts, amps), at_s)}


def _mission(m: MissionCurrent, at_s: float) -> dict[str, Any]:
    state = _MISSION[m.mission_state] if m.mission_state < len(_MISSION) else MissionState.UNKNOWN
    total = None if m.total == 0xFFFF else m.total
    # Firmware without plan ids leaves all three at 0 although it stores a mission.
    told = m.mission_id != 0 or m.fence_id != 0 or m.rally_points_id != 0 or not total
    ids = (m.mission_id, m.fence_id, m.rally_points_id) if told else (None, None, None)
    return {"mission": Timed(MissionStatus(state, m.seq, total, *ids), at_s)}


_FIELDS: dict[type[Any], Callable[[Any, float], dict[str, Any]]] = {
    Heartbeat: _heartbeat,
    GlobalPositionInt: _position,
    HomePosition: _home,
    SysStatus: _sys_status,
    BatteryStatus: _battery,
    MissionCurrent: _mission,
    ExtendedSysState: lambda m, at_s: {
        "landed": Timed(_LANDED[m.landed_state] if m.landed_state < len(_LANDED) else Landed.UNKNOWN, at_s)
    },
    VfrHud: lambda m, at_s: {"throttle_pct": Timed(float(m.throttle), at_s)},
    WindCov: lambda m, at_s: {"wind": Timed(Wind(m.wind_x, m.wind_y), at_s)},
    AutopilotVersion: lambda m, at_s: {"firmware": px4.version_text(m.flight_sw_version), "uid": m.uid or None},
}
