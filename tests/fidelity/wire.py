"""A ground station that believes nothing: pymavlink's `development` dialect on a raw link, and the vehicle's own time.

Neither the controller's link nor the simulator's codec is used, so that no error can hide by being made on both sides.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from pymavlink.dialects.v20 import development as mavlink

from tests.fidelity.items import GROUND_M, HOME, METRES_PER_DEGREE, place
from tests.fidelity.messages import INT32, REAL32, Heard, event_id, number_of, on_wire

ACCEPTED, TEMPORARILY_REJECTED, DENIED, UNSUPPORTED, FAILED, IN_PROGRESS, CANCELLED = range(7)
"""MAV_RESULT"""
HOLD, TAKEOFF, MISSION, RETURN, LAND = 0x03040000, 0x02040000, 0x04040000, 0x05040000, 0x06040000
"""custom_mode"""
ARMED = 128
STANDBY, ACTIVE, FAILSAFE, TERMINATED = 3, 4, 5, 8
"""MAV_STATE"""
PREARM_OK = 1 << 28
MISSION_LIST, FENCE_LIST, RALLY_LIST = 0, 1, 2
GCS, COMPANION = 6, 18
"""MAV_TYPE of who speaks"""
ITEM_FIELDS = ("frame", "command", "current", "autocontinue", "param1", "param2", "param3", "param4", "x", "y", "z")
UPLOAD_ANSWERS = ("MISSION_ACK", "MISSION_REQUEST_INT", "MISSION_REQUEST")
BEAT_S = 0.5
REQUEST_EVENT, REQUEST_EVENT_CRC_EXTRA = 412, 33
BACK_M_S = 10.0
"""from one check to the next"""
SAVING_S = 4.0
STALL_TURNS = 400
"""turns without any progress of the vehicle's time after which it counts as dead: 20 s on real sockets"""


class Subject(Protocol):
    """A vehicle to hold to the facts, with two links."""

    is_real: bool
    system_id: int
    speed: float
    """simulated seconds in one of the wall clock's"""

    def put(self, link: str, data: bytes) -> None: ...

    def turn(self) -> Iterable[tuple[str, bytes]]:
        """Lets a little time pass; what came on which link."""
        ...


class Wire:
    """One of a vehicle's links. A heartbeat goes out every half second of vehicle time unless `quiet`."""

    def __init__(self, subject: Subject, link: str = "gcs", *, system: int = 245, kind: int = GCS) -> None:
        self.subject, self.link, self.kind = subject, link, kind
        self.target = subject.system_id
        self.heard: list[Heard] = []
        self.now_s = 0.0
        self.quiet = False
        self.others: list[Wire] = []
        """further wires of the same vehicle: they are given what comes for them"""
        self.mav = mavlink.MAVLink(None, srcSystem=system, srcComponent=190)
        self._reader = mavlink.MAVLink(None)
        self._reader.robust_parsing = True
        self._beat_s = -math.inf
        self._last: dict[str, Heard] = {}
        self._before: dict[str, float] = {}
        """parameters as they were before a check changed them"""
        self._set_s = -math.inf

    # --- time

    def send(self, message: Any) -> None:
        self.subject.put(self.link, message.pack(self.mav))

    def beat(self, kind: int | None = None) -> None:
        self.send(self.mav.heartbeat_encode(self.kind if kind is None else kind, 8, 0, 0, 4))

    def _beat_if_due(self) -> None:
        if not self.quiet and self.now_s - self._beat_s >= BEAT_S:
            self._beat_s = self.now_s
            self.beat()

    def pump(self) -> None:
        """One turn: what has come on all wires is taken in."""
        wires = {wire.link: wire for wire in (self, *self.others)}
        for wire in wires.values():
            wire._beat_if_due()
        for link, data in self.subject.turn():
            if link in wires:
                wires[link].take(data)

    def take(self, data: bytes) -> None:
        for message in self._reader.parse_buffer(data) or ():
            boot_ms = getattr(message, "time_boot_ms", None)
            if boot_ms is not None and message.get_srcSystem() == self.target:
                at_s = boot_ms / 1000.0
                # Streams differ by some milliseconds; a second back is a boot.
                if at_s > self.now_s or at_s < self.now_s - 1.0:
                    self.now_s = at_s
                    if at_s < self._beat_s:
                        self._beat_s = -math.inf
            heard = Heard(message, self.now_s)
            if heard.system == self.target:
                self.heard.append(heard)
                self._last[heard.name] = heard

    def run(self, seconds: float) -> None:
        """Lets that much of the vehicle's time pass."""
        end_s = self.now_s + seconds
        self._pump_while(lambda: self.now_s < end_s)

    def until(self, condition: Callable[[], Any], within_s: float, what: str = "") -> float:
        """Waits until it holds; how long that took."""
        start_s = self.now_s
        self._pump_while(lambda: not condition() and self.now_s - start_s < within_s)
        assert condition(), f"not within {within_s} s: {what}; mode {self.mode:#x}; said: {self.texts()[-5:]}"
        return self.now_s - start_s

    def _pump_while(self, going_on: Callable[[], bool]) -> None:
        turns, last_s = 0, self.now_s
        while going_on():
            self.pump()
            turns = turns + 1 if self.now_s == last_s else 0
            last_s = self.now_s
            assert turns < STALL_TURNS, "the vehicle has fallen silent"

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Without heartbeats from this ground station."""
        self.quiet = True
        try:
            yield
        finally:
            self.quiet = False
            self._beat_s = -math.inf

    @contextmanager
    def station(self, system: int) -> Iterator[None]:
        """Speaks as another ground station on the same link."""
        own, self.mav.srcSystem = self.mav.srcSystem, system
        try:
            yield
        finally:
            self.mav.srcSystem = own

    # --- what was heard

    def mark(self) -> int:
        """A place in the stream, for `since`."""
        return len(self.heard)

    def of(self, name: str | tuple[str, ...], since: int = 0) -> list[Heard]:
        names = (name,) if isinstance(name, str) else name
        return [m for m in self.heard[since:] if m.name in names]

    def has(self, *names: str) -> bool:
        return all(name in self._last for name in names)

    def last(self, name: str) -> Heard:
        assert name in self._last, f"no {name} yet"
        return self._last[name]

    def next(self, name: str, within_s: float = 3.0) -> Heard:
        """The next message of that name from now on."""
        return self.wait(name, lambda m: True, within_s)

    def wait(
        self,
        name: str | tuple[str, ...],
        fits: Callable[[Heard], Any],
        within_s: float = 3.0,
        since: int | None = None,
    ) -> Heard:
        """The first such message from now on, or from a mark."""
        start = self.mark() if since is None else since

        def found() -> list[Heard]:
            return [m for m in self.of(name, start) if fits(m)]

        self.until(found, within_s, f"{name} that fits")
        return found()[0]

    def texts(self, since: int = 0) -> list[str]:
        """Status texts, chunks joined, without PX4's trailing tab."""
        joined: dict[int, str] = {}
        for m in self.of("STATUSTEXT", since):
            joined[m["id"]] = joined.get(m["id"], "") + m["text"]
        return [text.removesuffix("\t") for text in joined.values()]

    def wait_text(self, part: str, within_s: float = 3.0, since: int | None = None) -> None:
        start = self.mark() if since is None else since
        self.until(lambda: any(part in t for t in self.texts(start)), within_s, repr(part))

    @property
    def mode(self) -> int:
        return int(self.last("HEARTBEAT")["custom_mode"])

    @property
    def armed(self) -> bool:
        return bool(self.last("HEARTBEAT")["base_mode"] & ARMED)

    @property
    def height_m(self) -> float:
        """Above home."""
        return float(self.last("GLOBAL_POSITION_INT")["relative_alt"]) / 1000.0

    @property
    def landed(self) -> bool:
        return int(self.last("EXTENDED_SYS_STATE")["landed_state"]) == 1

    def off_m(self, north_m: float = 0.0, east_m: float = 0.0) -> float:
        """Horizontal distance from a place given in metres from home."""
        at, (lat, lon) = self.last("GLOBAL_POSITION_INT"), place(north_m, east_m)
        scale = METRES_PER_DEGREE / 1e7
        return math.hypot((at["lat"] - lat) * scale, (at["lon"] - lon) * scale * math.cos(math.radians(HOME[0])))

    # --- commands

    def tell(self, number: int, *params: float, component: int = 1, system: int | None = None) -> int:
        """COMMAND_LONG; a mark before its answers."""
        since = self.mark()
        target = self.target if system is None else system
        self.send(self.mav.command_long_encode(target, component, number, 0, *seven(params)))
        return since

    def command(self, number: int, *params: float) -> int:
        """COMMAND_LONG; its first answer."""
        since = self.tell(number, *params)
        return int(self.wait("COMMAND_ACK", lambda m: m["command"] == number, 2.0, since)["result"])

    def results(self, number: int, since: int) -> list[int]:
        return [int(m["result"]) for m in self.of("COMMAND_ACK", since) if m["command"] == number]

    def set_mode(self, main: int, sub: int = 0) -> int:
        return self.command(176, 1, main, sub)

    def become(self, mode: int, within_s: float = 5.0) -> None:
        """Commands the mode and waits until the heartbeat shows it."""
        assert self.set_mode(mode >> 16 & 0xFF, mode >> 24) == ACCEPTED
        self.until(lambda: self.mode == mode, within_s, f"mode {mode:#x}")

    def reposition(
        self, north_m: float, east_m: float, height_m: float, *, flags: int = 1, speed_m_s: float = -1.0
    ) -> int:
        """DO_REPOSITION as COMMAND_INT: frame 5, AMSL; the mark before its answer. Speed −1: the usual one."""
        lat, lon = place(north_m, east_m)
        since = self.mark()
        # param4, the heading, is left alone.
        self.send(
            self.mav.command_int_encode(
                self.target, 1, 5, 192, 0, 0, speed_m_s, flags, 0, math.nan, lat, lon, GROUND_M + height_m
            )
        )
        return since

    def intervals(self, hz: dict[int, float]) -> None:
        """SET_MESSAGE_INTERVAL for each message id; 0 Hz is off."""
        for number, rate in hz.items():
            self.command(511, number, 1e6 / rate if rate else -1)

    # --- parameters

    def param(self, name: str) -> float:
        since = self.mark()
        self.send(self.mav.param_request_read_encode(self.target, 1, name.encode(), -1))
        return number_of(self.wait("PARAM_VALUE", lambda m: m["param_id"] == name, 3.0, since))

    def set_param(self, name: str, value: float) -> None:
        """An int as INT32, a float as REAL32; the value that the vehicle then tells is the one set."""
        self._before.setdefault(name, self.param(name))
        since, self._set_s = self.mark(), self.now_s
        kind = INT32 if isinstance(value, int) else REAL32
        self.send(self.mav.param_set_encode(self.target, 1, name.encode(), on_wire(value), kind))
        kept = value if isinstance(value, int) else struct.unpack("<f", struct.pack("<f", value))[0]
        # What was set before may be told once more, for the sake of the other links.
        self.wait("PARAM_VALUE", lambda m: m["param_id"] == name and number_of(m) == kept, 3.0, since)

    # --- plans

    def count(self, n: int, kind: int = MISSION_LIST) -> int:
        since = self.mark()
        self.send(self.mav.mission_count_encode(self.target, 1, n, kind))
        return since

    def give(self, seq: int, fields: dict[str, Any], kind: int = MISSION_LIST) -> int:
        """MISSION_ITEM_INT."""
        f = {"autocontinue": 1, "current": 0} | fields
        since = self.mark()
        self.send(self.mav.mission_item_int_encode(self.target, 1, seq, *(f[n] for n in ITEM_FIELDS), kind))
        return since

    def upload(self, items: Sequence[dict[str, Any]], kind: int = MISSION_LIST) -> Heard:
        """A whole upload, item by item as they are asked for; the ACK it ends with."""
        since = self.count(len(items), kind)
        given = -1
        while True:
            answer = self.wait(UPLOAD_ANSWERS, lambda m: True, 3.0, since)
            since = self.heard.index(answer, since) + 1
            if answer.name == "MISSION_ACK":
                return answer
            if answer["seq"] != given:
                given = answer["seq"]
                self.give(given, items[given], kind)

    def clear(self, kind: int = 255) -> Heard:
        since = self.mark()
        self.send(self.mav.mission_clear_all_encode(self.target, 1, kind))
        return self.wait("MISSION_ACK", lambda m: True, 3.0, since)

    def hold_plan(self, items: Sequence[dict[str, Any]], kind: int = MISSION_LIST) -> Heard:
        """Uploads, and waits until MISSION_CURRENT shows it judged; that MISSION_CURRENT."""
        ack = self.upload(items, kind)
        assert ack["type"] == 0, ack
        name = ("mission_id", "fence_id", "rally_points_id")[kind]

        def judged(m: Heard) -> bool:
            return bool(m[name] == ack["opaque_id"]) and (kind != MISSION_LIST or m["mission_state"] != 1)

        told = self.wait("MISSION_CURRENT", judged, 5.0)
        # PX4's arming checks, which bar a mode, hear of it a tenth of a second later.
        self.run(0.3)
        return told

    # --- events

    def request_events(self, first: int, last: int) -> int:
        """REQUEST_EVENT, which pymavlink cannot pack; the mark before its answers."""
        since = self.mark()
        payload = struct.pack("<HHBB", first, last, self.target, 1)
        head = struct.pack("<BBBBBB", len(payload), 0, 0, 0, self.mav.srcSystem, self.mav.srcComponent)
        body = head + REQUEST_EVENT.to_bytes(3, "little") + payload
        crc = mavlink.x25crc(body + bytes((REQUEST_EVENT_CRC_EXTRA,))).crc
        self.subject.put(self.link, b"\xfd" + body + struct.pack("<H", crc))
        return since

    def wait_event(self, name: str, within_s: float = 3.0, since: int | None = None) -> Heard:
        return self.wait("EVENT", lambda m: m["id"] == event_id(name), within_s, since)

    # --- where the simulator is not PX4

    def differs(self, *, px4: Any, simulator: Any, because: str) -> Any:
        """What is expected of this subject where the two are known to differ: docs/px4.md says why."""
        return px4 if self.subject.is_real else simulator

    # --- between checks

    def keep(self) -> None:
        """The parameters stay as they are now."""
        self._before.clear()

    def restore(self) -> None:
        """Parameters as before, no plans, and a clean sheet."""
        self.quiet = False
        for name, value in list(self._before.items()):
            self.set_param(name, value)
        self.keep()
        self.clear()
        self.heard.clear()

    def to_ground(self) -> None:
        """Landed, disarmed, in HOLD."""
        if self.armed:
            self.become(LAND)
            self.until(lambda: not self.armed, 120.0, "disarmed after landing")
        if self.mode != HOLD:
            self.become(HOLD)

    def until_ready(self) -> None:
        """The prearm check passes: SYS_STATUS health bit 28."""
        self.until(lambda: self.ready, 30.0, "ready to arm")

    @property
    def ready(self) -> bool:
        return bool(self.last("SYS_STATUS")["onboard_control_sensors_health"] & PREARM_OK)

    def to_air(self, height_m: float = 10.0) -> None:
        """In HOLD over home."""
        if not self.armed:
            self.until_ready()
            self.take_off(height_m)
        elif self.last("HEARTBEAT")["system_status"] == FAILSAFE:
            # Only another mode ends it: a place to hold at is not heard.
            self.become(RETURN)
        if self.mode != HOLD:
            self.become(HOLD)
        if self.off_m() > 3.0 or abs(self.height_m - height_m) > 2.0:
            since = self.reposition(0.0, 0.0, height_m, speed_m_s=BACK_M_S)
            self.wait("COMMAND_ACK", lambda m: m["result"] == ACCEPTED, 2.0, since)
            self.until(lambda: self.off_m() < 2.0 and abs(self.height_m - height_m) < 1.5, 90.0, "back over home")

    def take_off(self, height_m: float = 10.0) -> None:
        # PX4 saves changed parameters a moment later, and SIH at speed may take its sensors for dead meanwhile.
        self.until(lambda: self.now_s - self._set_s > SAVING_S, 2.0 * SAVING_S, "parameters are saved")
        assert self.command(22, 0, 0, 0, math.nan, math.nan, math.nan, GROUND_M + height_m) == ACCEPTED
        self.until(lambda: self.mode == TAKEOFF, 3.0, "mode TAKEOFF")
        assert self.command(400, 1) == ACCEPTED, self.texts()
        self.until(lambda: self.mode != TAKEOFF, 40.0, "the end of the take-off")
        assert self.mode == HOLD, f"a take-off that ended in {self.mode:#x}: {self.texts()[-5:]}"


def seven(params: Sequence[float]) -> list[float]:
    return [*params, *[0.0] * (7 - len(params))]
