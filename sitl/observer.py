"""An independent observer: what a vehicle says on a second link, to somebody who only listens.

It reads with pymavlink, so that no error of a driver or of the simulator's own dialect can hide in it, and it cannot
send: no heartbeat, no request, no command. What it saw is what a scenario is judged by.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import hypot
from typing import Any

from pymavlink.dialects.v20 import development as mavlink

from sitl.outsider import frames_by_header

FIX_EVERY_S = 0.25
"""4 Hz: at 20 m/s every 5 m, while PX4 tells its position 50 times a second"""
READ_AT_ONCE = 256
"""datagrams taken per turn of the event loop: half a second of one vehicle"""
_AUTOPILOT = 1
_HEADER_2 = 10
_AFTER_SEQUENCE = {mavlink.PROTOCOL_MARKER_V1: 3, mavlink.PROTOCOL_MARKER_V2: 5}
"""from there to the checksum a frame differs only if its words do"""
_MISSION_ID = struct.Struct("<I")
_MISSION_ID_AT = 6
"""where MISSION_CURRENT holds mission_id: seq, total, mission_state, mission_mode before it. pymavlink 2.4.50 does not
know the field, so it is read here, after pymavlink has verified the frame."""
_ON_GROUND = mavlink.MAV_LANDED_STATE_ON_GROUND
_ALOFT = frozenset(
    {mavlink.MAV_LANDED_STATE_IN_AIR, mavlink.MAV_LANDED_STATE_TAKEOFF, mavlink.MAV_LANDED_STATE_LANDING}
)


@dataclass(frozen=True, slots=True)
class Fix:
    """Where the vehicle believed itself (GLOBAL_POSITION_INT)."""

    at_s: float
    lat_deg: float
    lon_deg: float
    amsl_m: float
    relative_m: float
    """above home"""
    ground_m_s: float


@dataclass(frozen=True, slots=True)
class Landing:
    at_s: float
    lat_deg: float
    lon_deg: float
    battery_pct: float | None


@dataclass(slots=True)
class Sighting:
    """One vehicle, as seen from outside. Each list is in the order of time."""

    vehicle_id: str
    fixes: list[Fix] = field(default_factory=list)
    modes: list[tuple[float, int]] = field(default_factory=list)
    """(at_s, custom_mode), at each change"""
    armed: list[tuple[float, bool]] = field(default_factory=list)
    takeoffs: list[float] = field(default_factory=list)
    landings: list[Landing] = field(default_factory=list)
    battery: list[tuple[float, float]] = field(default_factory=list)
    """(at_s, percent), at each change"""
    states: list[tuple[float, int]] = field(default_factory=list)
    """(at_s, MAV_STATE), at each change"""
    missions: list[tuple[float, int]] = field(default_factory=list)
    """(at_s, opaque_id of the stored mission), at each change; 0: none"""
    wind: list[tuple[float, float, float]] = field(default_factory=list)
    """(at_s, north, east) in m/s, the air's motion as the vehicle estimates it (WIND_COV)"""

    def flights(self) -> list[tuple[float, float]]:
        """When it was in the air; the end of a flight that was never seen to land is infinite."""
        ends = sorted([(s, True) for s in self.takeoffs] + [(x.at_s, False) for x in self.landings])
        if self.fixes and ends and not ends[0][1]:
            ends.insert(0, (self.fixes[0].at_s, True))  # it was in the air already when first heard
        flights: list[tuple[float, float]] = []
        for at_s, up in ends:
            if up and (not flights or flights[-1][1] < float("inf")):
                flights.append((at_s, float("inf")))
            elif not up and flights and flights[-1][1] == float("inf"):
                flights[-1] = (flights[-1][0], at_s)
        return flights


class Observer:
    """`systems`: MAVLink system id → vehicle id. `hear` takes what a second link of these vehicles carries."""

    def __init__(self, systems: Mapping[int, str]) -> None:
        self.sightings = {vehicle: Sighting(vehicle) for vehicle in systems.values()}
        self.rejected = 0
        """frames that pymavlink did not accept"""
        self._said: dict[tuple[int, int], bytes] = {}
        """(system id, message id) → the words read last: the same again are no news, and are not read"""
        self._systems = {system: self.sightings[vehicle] for system, vehicle in systems.items()}
        self._mav = mavlink.MAVLink(None)
        self._aloft: dict[str, bool] = {}

    def hear(self, data: bytes, now_s: float) -> None:
        """Whole frames, as a datagram or a byte pipe carries them. Ids that are not needed are skipped by header."""
        for frame, message_id, system in frames_by_header(data):
            seen, take = self._systems.get(system), _TAKES.get(message_id)
            if seen is None or take is None or (message_id == _POSITION and self._too_soon(seen, now_s)):
                continue
            words = frame[_AFTER_SEQUENCE[frame[0]] : -2]
            if self._said.get((system, message_id)) == words:
                continue
            try:
                message = self._mav.decode(bytearray(frame))
            except mavlink.MAVError:
                self.rejected += 1
                continue
            self._said[system, message_id] = words
            take(self, seen, message, now_s)

    def _too_soon(self, seen: Sighting, now_s: float) -> bool:
        return bool(seen.fixes) and now_s - seen.fixes[-1].at_s < FIX_EVERY_S - 1e-6

    # --- what is taken from each message

    def _heartbeat(self, seen: Sighting, message: Any, now_s: float) -> None:
        if message.get_srcComponent() != _AUTOPILOT:
            return
        _note(seen.modes, now_s, int(message.custom_mode))
        _note(seen.armed, now_s, bool(message.base_mode & mavlink.MAV_MODE_FLAG_SAFETY_ARMED))
        _note(seen.states, now_s, int(message.system_status))

    def _sys_status(self, seen: Sighting, message: Any, now_s: float) -> None:
        if message.battery_remaining >= 0:  # −1: not known
            _note(seen.battery, now_s, float(message.battery_remaining))

    def _position(self, seen: Sighting, message: Any, now_s: float) -> None:
        lat, lon = message.lat / 1e7, message.lon / 1e7
        speed = hypot(message.vx, message.vy) / 100.0
        seen.fixes.append(Fix(now_s, lat, lon, message.alt / 1000.0, message.relative_alt / 1000.0, speed))

    def _mission(self, seen: Sighting, message: Any, now_s: float) -> None:
        # Not `get_payload()`, which in pymavlink 2.4.50 takes the header for MAVLink 1's. Zeros at the end are cut off.
        frame = bytes(message.get_msgbuf())
        payload = frame[_HEADER_2 : _HEADER_2 + frame[1]].ljust(_MISSION_ID_AT + 4, b"\0")
        if frame[0] == mavlink.PROTOCOL_MARKER_V2:  # MAVLink 1 has no extensions
            _note(seen.missions, now_s, _MISSION_ID.unpack_from(payload, _MISSION_ID_AT)[0])

    def _landed(self, seen: Sighting, message: Any, now_s: float) -> None:
        now, before = message.landed_state, self._aloft.get(seen.vehicle_id)
        if now == _ON_GROUND:
            if before and seen.fixes:
                at, battery = seen.fixes[-1], seen.battery[-1][1] if seen.battery else None
                seen.landings.append(Landing(now_s, at.lat_deg, at.lon_deg, battery))
            self._aloft[seen.vehicle_id] = False
        elif now in _ALOFT:
            if before is False:
                seen.takeoffs.append(now_s)
            self._aloft[seen.vehicle_id] = True

    def _wind(self, seen: Sighting, message: Any, now_s: float) -> None:
        seen.wind.append((now_s, float(message.wind_x), float(message.wind_y)))


_POSITION = mavlink.MAVLINK_MSG_ID_GLOBAL_POSITION_INT
_TAKES: dict[int, Callable[[Observer, Sighting, Any, float], None]] = {
    mavlink.MAVLINK_MSG_ID_HEARTBEAT: Observer._heartbeat,
    mavlink.MAVLINK_MSG_ID_SYS_STATUS: Observer._sys_status,
    _POSITION: Observer._position,
    mavlink.MAVLINK_MSG_ID_MISSION_CURRENT: Observer._mission,
    mavlink.MAVLINK_MSG_ID_WIND_COV: Observer._wind,
    mavlink.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: Observer._landed,
}


def _note(changes: list[tuple[float, Any]], now_s: float, value: Any) -> None:
    if not changes or changes[-1][1] != value:
        changes.append((now_s, value))


@contextlib.asynccontextmanager
async def listen(observer: Observer, ports: Iterable[int], now_s: Callable[[], float]) -> AsyncIterator[None]:
    """Gives the observer what comes in on these UDP ports of this computer, 14540+i for a PX4's onboard link.

    Raises OSError, naming the port, where one is taken.
    """
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for port in sorted(set(ports)):
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.setblocking(False)
            try:
                udp.bind(("127.0.0.1", port))
            except OSError as error:
                text = f"UDP port {port} is taken: end the program that listens there (a companion computer's?)"
                raise OSError(error.errno, text) from error
            loop.add_reader(udp, partial(_drain, udp, observer, now_s))
            stack.callback(loop.remove_reader, udp)
        yield


def _drain(udp: socket.socket, observer: Observer, now_s: Callable[[], float]) -> None:
    for _ in range(READ_AT_ONCE):
        try:
            data = udp.recv(65536)
        except OSError:  # nothing more
            return
        observer.hear(data, now_s())
