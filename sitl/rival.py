"""Another ground station, or a pilot with sticks: somebody who commands a vehicle that we believe to be ours.

Plain pymavlink, sans-IO, and nothing of our own link code: what it does to a vehicle is what QGroundControl would do.
The same object speaks to a simulated vehicle through a byte pipe and to a real PX4 through a socket.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pymavlink.dialects.v20 import development as mavlink

from sitl.outsider import frames_by_header

HEARTBEAT_S = 1.0
STICKS_S = 0.1
"""QGroundControl sends its joystick at 10 Hz or more"""
RETRY_S = 1.0
RETRIES = 5
SETTLE_S = 1.0
"""sticks are heard this long before a mode is asked for: PX4 refuses position mode without them, and takes HOLD away
again (COM_RC_OVERRIDE) while they still move"""
MODE_S = 2.0
"""a mode shows in HEARTBEAT, once a second, before it is asked for again"""
AUTOPILOT = 1
DO_SET_MODE, CUSTOM_MODE = 176, 1
POSITION, AUTO, LOITER = 3, 4, 3
"""main modes POSCTL and AUTO, sub mode HOLD"""
CENTRED = (0.0, 0.0, 0.0)
MISSION = 0
ACCEPTED, CANCELLED = 0, 15
"""MAV_MISSION_RESULT"""


@dataclass(frozen=True, slots=True)
class RivalItem:
    """A mission item as it is sent; unnamed parameters are 0. Degrees WGS84; `z_m` in the datum of `frame`."""

    command: int
    lat_deg: float = 0.0
    lon_deg: float = 0.0
    z_m: float = 0.0
    frame: int = 6
    """MAV_FRAME: 6 above home, 2 none"""
    params: tuple[float, float, float, float] = (0.0, 0.0, 0.0, math.nan)
    current: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: `what` is a message's name, `number` the command or mission type, `result` its code."""

    at_s: float
    what: str
    number: int
    result: int


class Transfer(Enum):
    """How its last upload or clearing stands."""

    NONE = "none"
    RUNNING = "running"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


@dataclass(slots=True)
class _Retried:
    """What is sent again until it is answered."""

    message: Any
    sent_s: float
    left: int = RETRIES


class Rival:
    """`send` puts bytes on the vehicle's link, `hear` takes what comes from there, `tick` is called at 10 Hz or more.

    Orders take effect at the next `tick`.
    """

    def __init__(
        self, system_id: int, target_system: int, send: Callable[[bytes], None], *, component: int = 190
    ) -> None:
        self.system_id, self.target = system_id, target_system
        self.told: list[Told] = []
        self.texts: list[tuple[float, str]] = []
        """STATUSTEXTs as they come, in chunks: PX4 sends them to whoever sends heartbeats"""
        self.custom_mode: int | None = None
        """the vehicle's, from its HEARTBEAT"""
        self.transfer = Transfer.NONE
        self.flies = False
        """its sticks are out: `take_over` until `give_back` is through"""
        self._send = send
        self._mav = mavlink.MAVLink(None, srcSystem=system_id, srcComponent=component)
        self._heartbeats = False
        self._heartbeat_s = self._stick_s = self._asked_s = -math.inf
        self._items: Sequence[RivalItem] = ()
        self._kind = MISSION
        self._transferring: _Retried | None = None
        self._commands: dict[int, _Retried] = {}
        self._sticks = CENTRED
        self._settled_s: float | None = None
        """when the sticks have been at rest long enough; None: they have just been moved"""
        self._wants: tuple[int, int] | None = None
        """the mode that its sticks need, or the one it hands back to"""
        self._handlers: dict[int, Callable[[Any, float], None]] = {
            mavlink.MAVLINK_MSG_ID_HEARTBEAT: self._on_heartbeat,
            mavlink.MAVLINK_MSG_ID_COMMAND_ACK: self._on_command_ack,
            mavlink.MAVLINK_MSG_ID_MISSION_REQUEST: self._on_request,
            mavlink.MAVLINK_MSG_ID_MISSION_REQUEST_INT: self._on_request,
            mavlink.MAVLINK_MSG_ID_MISSION_ACK: self._on_mission_ack,
            mavlink.MAVLINK_MSG_ID_STATUSTEXT: self._on_text,
        }

    # --- orders

    def heartbeat(self, on: bool) -> None:
        """A ground station's heartbeat once a second: it alone feeds the vehicle's data-link failsafe."""
        self._heartbeats = on

    def upload(self, items: Sequence[RivalItem], kind: int = MISSION) -> None:
        """Replaces the whole list of that MAV_MISSION_TYPE; `transfer` tells how it went."""
        self._items, self._kind, self.transfer = tuple(items), kind, Transfer.RUNNING
        count = self._mav.mission_count_encode(self.target, AUTOPILOT, len(items), kind)
        self._transferring = _Retried(count, -math.inf)

    def clear(self, kind: int = MISSION) -> None:
        """Deletes the list of that MAV_MISSION_TYPE."""
        self._items, self._kind, self.transfer = (), kind, Transfer.RUNNING
        self._transferring = _Retried(self._mav.mission_clear_all_encode(self.target, AUTOPILOT, kind), -math.inf)

    def command(self, number: int, *params: float) -> None:
        """COMMAND_LONG with these first parameters, once, and again while nobody answers."""
        seven = (*params, *[0.0] * (7 - len(params)))
        encoded = self._mav.command_long_encode(self.target, AUTOPILOT, number, 0, *seven)
        self._commands[number] = _Retried(encoded, -math.inf)

    def set_mode(self, main: int, sub: int = 0) -> None:
        """DO_SET_MODE with PX4's numbers."""
        self.command(DO_SET_MODE, CUSTOM_MODE, main, sub)

    def take_over(self, forward: float = 0.0, right: float = 0.0, up: float = 0.0) -> None:
        """A pilot: sticks at 10 Hz (−1…1 each, body axes), and position mode. Again while flying: moves the sticks."""
        self._move((forward, right, up), (POSITION, 0))
        self.flies = True

    def give_back(self) -> None:
        """Sticks centred and HOLD; once the vehicle is in HOLD the sticks fall silent."""
        if self.flies:
            self._move(CENTRED, (AUTO, LOITER))

    def _move(self, sticks: tuple[float, float, float], mode: tuple[int, int]) -> None:
        self._sticks, self._wants, self._settled_s = sticks, mode, None

    # --- time

    def tick(self, now_s: float) -> None:
        """Sends what is due."""
        if self._heartbeats and now_s - self._heartbeat_s >= HEARTBEAT_S:
            self._heartbeat_s = now_s
            self._put(self._mav.heartbeat_encode(mavlink.MAV_TYPE_GCS, mavlink.MAV_AUTOPILOT_INVALID, 0, 0, 4))
        if self.flies:
            self._fly(now_s)
        if self._transferring is not None and not self._again(self._transferring, now_s):
            self._transferring, self.transfer = None, Transfer.UNANSWERED
        for number, command in list(self._commands.items()):
            if not self._again(command, now_s):
                del self._commands[number]

    def _again(self, what: _Retried, now_s: float) -> bool:
        """False: it has been sent often enough."""
        if now_s - what.sent_s < RETRY_S:
            return True
        if what.left == 0:
            return False
        what.left, what.sent_s = what.left - 1, now_s
        self._put(what.message)
        return True

    def _fly(self, now_s: float) -> None:
        if self._settled_s is None:
            self._settled_s = now_s + SETTLE_S
        if now_s - self._stick_s >= STICKS_S:
            self._stick_s = now_s
            forward, right, up = self._sticks
            x, y, z = round(1000 * forward), round(1000 * right), round(500 + 500 * up)
            self._put(self._mav.manual_control_encode(self.target, x, y, z, 0, 0))
        if self._wants is None or now_s < self._settled_s:
            return
        if self.custom_mode == _custom(*self._wants):
            # Reached once is enough: who changes the mode from now on has it.
            self.flies, self._wants = self._wants == (POSITION, 0), None
        elif now_s - self._asked_s >= MODE_S:
            self._asked_s = now_s
            self.set_mode(*self._wants)

    def _put(self, message: Any) -> None:
        self._send(bytes(message.pack(self._mav)))

    # --- hearing

    def hear(self, data: bytes, now_s: float) -> None:
        """Whole frames, one or several, from whomever; only the target's are heeded."""
        for frame, message_id, system in frames_by_header(data):
            take = self._handlers.get(message_id)
            if system == self.target and take is not None:
                with contextlib.suppress(mavlink.MAVError):  # damaged on the way
                    take(self._mav.decode(bytearray(frame)), now_s)

    def _for_us(self, message: Any) -> bool:
        return message.target_system in (0, self.system_id)

    def _on_heartbeat(self, message: Any, now_s: float) -> None:
        if message.get_srcComponent() == AUTOPILOT:
            self.custom_mode = message.custom_mode

    def _on_command_ack(self, message: Any, now_s: float) -> None:
        if self._for_us(message):
            self.told.append(Told(now_s, "COMMAND_ACK", message.command, message.result))
            self._commands.pop(message.command, None)

    def _on_request(self, message: Any, now_s: float) -> None:
        if not self._for_us(message) or message.mission_type != self._kind or self.transfer is not Transfer.RUNNING:
            return
        if message.seq >= len(self._items):
            return
        item = self._items[message.seq]
        place = (round(item.lat_deg * 1e7), round(item.lon_deg * 1e7), item.z_m)
        encoded = self._mav.mission_item_int_encode(
            self.target, AUTOPILOT, message.seq, item.frame, item.command, int(item.current), 1,
            *item.params, *place, self._kind,
        )  # fmt: skip
        self._transferring = _Retried(encoded, now_s, RETRIES - 1)
        self._put(encoded)

    def _on_mission_ack(self, message: Any, now_s: float) -> None:
        if not self._for_us(message):
            return
        self.told.append(Told(now_s, "MISSION_ACK", message.mission_type, message.type))
        if self.transfer is Transfer.RUNNING and message.mission_type == self._kind:
            self.transfer = Transfer.ACCEPTED if message.type == ACCEPTED else Transfer.REFUSED
            self._transferring = None

    def _on_text(self, message: Any, now_s: float) -> None:
        self.texts.append((now_s, message.text.rstrip("\t")))


def _custom(main: int, sub: int) -> int:
    return main << 16 | sub << 24
