"""A scripted PX4 in fake time: answers as ../shared/px4-facts.md says, owns no socket and no clock."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from fleet.mavlink.events import event_id
from fleet.mavlink.messages import (
    AutopilotVersion,
    CommandAck,
    CommandInt,
    CommandLong,
    Event,
    ExtendedSysState,
    GlobalPositionInt,
    Heartbeat,
    HomePosition,
    Message,
    MissionAck,
    MissionClearAll,
    MissionCount,
    MissionCurrent,
    MissionItemInt,
    MissionRequestInt,
    MissionRequestList,
    StatusText,
    SysStatus,
    SystemTime,
    TimeSync,
)
from tests.mavlink.fake_params import FakeParams

HOLD, MISSION, RTL, LAND = 0x03040000, 0x04040000, 0x05040000, 0x06040000
CANCELLED = 15
ASK_AGAIN_S, GIVE_UP_S = 0.28, 5.0
MAX_ITEMS = {0: 500, 1: 64, 2: 32}


def crc_of(items: list[MissionItemInt]) -> int:
    """As PX4 does it: frame, command, autocontinue and the seven numbers of each item, packed."""
    crc = 0
    for item in items:
        numbers = (item.param1, item.param2, item.param3, item.param4, item.x, item.y, item.z)
        row = struct.pack("<BHB4fiif", item.frame, item.command, item.autocontinue, *numbers)
        crc = zlib.crc32(row, crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc


@dataclass
class FakePx4:
    """Set its fields to make it misbehave; read them to see what it was told."""

    system: int = 1
    boot_s: float = 0.0
    mode: int = HOLD
    armed: bool = False
    lat: int = 75000000
    lon: int = 382000000
    alt_mm: int = 420000
    lists: dict[int, list[MissionItemInt]] = field(default_factory=lambda: {0: [], 1: [], 2: []})
    ids: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0, 2: 0})
    feasible: bool = True
    mission_state: int = 1
    seq_now: int = 0
    params: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    knows_ids: bool = True
    ignore_modes: int = 0
    """how many accepted DO_SET_MODEs have no effect: the HOLD race"""
    arm_refused: bool = False
    judged_late: int = 0
    """how many starts are denied although mission_state says that the mission is good"""
    failing: tuple[str, ...] = ()
    """the checks that a report names as errors; RUN_PREARM_CHECKS alone brings one"""
    grips: int = 0
    starts: int = 0
    final_grip_ack: bool = True
    log: list[Message] = field(default_factory=list)
    """all that it received"""
    rates: dict[int, float] = field(default_factory=dict)
    silent: bool = False

    def __post_init__(self) -> None:
        self.parameters = FakeParams(self.params)
        self._partner: tuple[int, int] | None = None
        self._state = "idle"
        self._kind = 0
        self._incoming: list[MissionItemInt] = []
        self._seq = self._count = 0
        """of the transfer under way: the next item, and how many"""
        self._heard_s = self._asked_s = 0.0
        self._judge_s: float | None = None
        self._grip_s: float | None = None
        self._next_s = 0.0
        self._event_seq = 0

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float:
        return self._next_s

    def tick(self, now_s: float) -> list[Message]:
        """Call every 50 ms or so."""
        out: list[Message] = []
        if self._state == "get" and now_s - self._asked_s > ASK_AGAIN_S:
            out += self._ask(now_s)
        if self._state != "idle" and now_s - self._heard_s > GIVE_UP_S:
            self._state = "idle"
            out += self._say("Operation timeout")
        if self._judge_s is not None and now_s >= self._judge_s:
            self._judge_s = None
            if self.lists[0] and self.feasible:
                self.mission_state = 2
            else:
                self.mission_state = 1
                if self.lists[0]:
                    out.append(self.event("navigator_mis_geofence_violation", now_s))
            out.append(self.current())
        out += self.parameters.tick()
        if self._grip_s is not None and now_s >= self._grip_s:
            self._grip_s = None
            if self.final_grip_ack:
                out.append(CommandAck(211, 0, 0, 0, 245, 190))
        return out

    def telemetry(self, now_s: float) -> list[Message]:
        """What it sends once a second."""
        boot_ms = int((now_s - self.boot_s) * 1000)
        health = 1 << 28
        return [
            self.heartbeat(),
            SystemTime(0, boot_ms),
            GlobalPositionInt(boot_ms, self.lat, self.lon, self.alt_mm, self.alt_mm - 420000, 0, 0, 0, 0),
            SysStatus(health, health, health, 300, 24000, 1500, 0, 0, 0, 0, 0, 0, 87),
            ExtendedSysState(0, 2 if self.armed else 1),
            HomePosition(75000000, 382000000, 420000, 0.0, 0.0, 0.0, bytes(16), 0.0, 0.0, 0.0),
            self.current(),
        ]

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.mode, 2, 12, 157 if self.armed else 29, 4 if self.armed else 3)

    def current(self) -> MissionCurrent:
        total = len(self.lists[0]) or 0xFFFF
        ids = (self.ids[0], self.ids[1], self.ids[2]) if self.knows_ids else (0, 0, 0)
        return MissionCurrent(self.seq_now, total, self.mission_state, 0, *ids)

    def event(self, name: str, now_s: float, arguments: bytes = b"") -> Event:
        self._event_seq += 1
        boot_ms = int((now_s - self.boot_s) * 1000)
        return Event(event_id(name), boot_ms, self._event_seq, 0, 0, 99, arguments.ljust(40, b"\0"))

    def report(self, now_s: float) -> list[Message]:
        """The arming checks: one can arm in any mode, or in none."""
        can_arm = 0 if self.failing else 0xFFFFFFFF
        summary = struct.pack("<BIIII", 0, 0, 0, can_arm, can_arm)
        begin = self.event("commander_arming_check_summary", now_s, summary)
        checks = [self.event(name, now_s, struct.pack("<IB", 0xFFFFFFFF, 0)) for name in self.failing]
        return [begin, *checks, self.event("commander_health_summary", now_s)]

    # -- messages ----------------------------------------------------------------------------------------------------

    def receive(self, message: Message, now_s: float, source: tuple[int, int] = (245, 190)) -> list[Message]:
        self.log.append(message)
        if self.silent:
            return []
        if isinstance(message, MissionCount):
            return self._on_count(message, now_s, source)
        if isinstance(message, MissionItemInt):
            return self._on_item(message, now_s, source)
        if isinstance(message, MissionRequestList):
            return self._on_request_list(message, now_s, source)
        if isinstance(message, MissionRequestInt):
            return self._on_request(message, now_s, source)
        if isinstance(message, MissionAck):
            if source != self._partner:
                return self._say("REJ. WP CMD: partner id mismatch")
            if (self._state == "send" and message.mission_type == self._kind) or (
                self._state == "get" and message.type == CANCELLED
            ):
                self._state = "idle"
            return []
        if isinstance(message, MissionClearAll):
            if self._state != "idle":
                return self._say("WPM: IGN CLEAR CMD: Busy")
            self._kind = message.mission_type
            self.lists[message.mission_type], self.ids[message.mission_type] = [], 0
            return [MissionAck(*source, 0, message.mission_type)]
        if isinstance(message, CommandLong | CommandInt):
            return self._on_command(message, now_s, source)
        if isinstance(message, TimeSync) and message.tc1 == 0:
            return [TimeSync(int((now_s - self.boot_s) * 1e9) + 1, message.ts1)]
        return self.parameters.receive(message)

    # The mission protocol, state for state what PX4's MavlinkMissionManager does, its oddities included: a COUNT of
    # anybody keeps a transfer alive, and a repeated item after the end is acknowledged with what was taken so far.

    def _on_count(self, message: MissionCount, now_s: float, source: tuple[int, int]) -> list[Message]:
        if self._state == "get":
            self._heard_s = now_s
            if source != self._partner:
                return [self._mission_ack(1, to=source)]
            return self._ask(now_s) if self._seq == 0 else [*self._say("WPM: REJ. CMD: Busy"), self._mission_ack(1)]
        if self._state == "send":
            return [*self._say("WPM: IGN MISSION_COUNT: Busy"), self._mission_ack(1, to=source)]
        self._partner, self._kind, self._heard_s = source, message.mission_type, now_s
        if message.count > MAX_ITEMS.get(self._kind, 0):
            return [self._mission_ack(4)]
        self._incoming, self._count = [], message.count
        if message.count == 0:
            return self._keep(now_s)
        self._state, self._seq = "get", 0
        return self._ask(now_s)

    def _ask(self, now_s: float) -> list[Message]:
        assert self._partner is not None
        self._asked_s = now_s
        return [MissionRequestInt(self._seq, *self._partner, self._kind)]

    def _mission_ack(self, code: int, opaque_id: int = 0, *, to: tuple[int, int] | None = None) -> MissionAck:
        whom = to or self._partner
        assert whom is not None
        return MissionAck(*whom, code, self._kind, opaque_id if self.knows_ids else 0)

    def _say(self, text: str) -> list[Message]:
        return [StatusText(2, f"{text}\t".encode(), 0)]

    def _on_item(self, item: MissionItemInt, now_s: float, source: tuple[int, int]) -> list[Message]:
        if source != self._partner:
            return self._say("REJ. MIS ITEM: partner id mismatch")
        if item.mission_type != self._kind:
            return [self._mission_ack(1)]
        if self._state != "get":
            if self._state == "idle" and self._seq == item.seq + 1:
                return [self._mission_ack(0, crc_of(self._incoming))]
            return [*self._say("IGN MISSION_ITEM"), self._mission_ack(1)]
        self._heard_s = now_s
        if item.seq != self._seq:
            return []
        refused = self._refusal(item)
        if refused:
            self._state = "idle"
            return [self._mission_ack(refused)]
        self._incoming.append(item)
        self._seq += 1
        return self._keep(now_s) if self._seq == self._count else self._ask(now_s)

    def _refusal(self, item: MissionItemInt) -> int:
        if item.frame not in (0, 2, 3, 5, 6):
            return 2
        if self._kind == 0 and item.command >= 5000:
            return 1
        return 1 if item.command in (5001, 5002) and item.param1 < 3 else 0

    def _keep(self, now_s: float) -> list[Message]:
        self._state = "idle"
        self.lists[self._kind] = list(self._incoming)
        new = crc_of(self._incoming)
        if self._kind == 0 and new != self.ids[0]:
            self.mission_state, self._judge_s = 2, now_s + 0.3
        self.ids[self._kind] = new
        return [self._mission_ack(0, new)]

    def _on_request_list(self, message: MissionRequestList, now_s: float, source: tuple[int, int]) -> list[Message]:
        if self._seq == len(self.lists[self._kind]):
            self._state = "idle"  # all was sent, and only the ACK of it was lost
        again = self._state == "send" and (message.mission_type, source) == (self._kind, self._partner)
        if self._state != "idle" and not again:
            return self._say("Mission download request ignored, already active")
        self._state, self._kind, self._partner, self._heard_s = "send", message.mission_type, source, now_s
        held, self._seq = self.lists[self._kind], 0
        return [MissionCount(len(held), *source, self._kind, self.ids[self._kind] if self.knows_ids else 0)]

    def _on_request(self, message: MissionRequestInt, now_s: float, source: tuple[int, int]) -> list[Message]:
        if source != self._partner:
            return self._say("WPM: REJ. CMD: partner id mismatch")
        if self._state == "get":
            return self._say("WPM: REJ. CMD: Busy")
        if self._state != "send" or message.mission_type != self._kind:
            return []
        held = self.lists[self._kind]
        self._heard_s = now_s
        if message.seq == self._seq and self._seq < len(held):
            self._seq += 1
        elif message.seq != self._seq - 1:
            self._state = "idle"
            return [self._mission_ack(1), *self._say("WPM: REJ. CMD: Req. WP was unexpected")]
        back = {0: 5, 3: 6}
        item = held[message.seq]
        return [
            item._replace(target_system=source[0], target_component=source[1], frame=back.get(item.frame, item.frame))
        ]

    def _on_command(self, message: CommandLong | CommandInt, now_s: float, source: tuple[int, int]) -> list[Message]:
        command = message.command
        result, more = 0, list[Message]()
        if command == 176 and isinstance(message, CommandLong):
            if self.ignore_modes:
                self.ignore_modes -= 1
            else:
                self.mode = int(message.param2) << 16 | int(message.param3) << 24
        elif command == 300:
            self.starts += 1
            if not self.lists[0] or self.mission_state == 1 or self.judged_late:
                self.judged_late = max(0, self.judged_late - 1)
                result, more = 2, [self.event("commander_mission_start_denied_no_mission", now_s)]
            elif self.arm_refused:
                result = 1
                more = [StatusText(2, b"Arming denied: Resolve system health failures firs", 7, 0)]
                more += [StatusText(2, b"t\t", 7, 1)]
            else:
                self.armed, self.mode, self.mission_state = True, MISSION, 3
        elif command == 400 and isinstance(message, CommandLong):
            if self.alt_mm > 421000:
                result = 1
            else:
                self.armed = message.param1 == 1.0
        elif command == 211:
            self.grips += 1
            self._grip_s = now_s + 1.0
            result = 5
        elif command == 192:
            self.mode = HOLD
        elif command == 511 and isinstance(message, CommandLong):
            self.rates[int(message.param1)] = message.param2
        elif command == 401:
            more = self.report(now_s)
        elif command == 512:
            version = AutopilotVersion(0, 77, 0x011100FF, 0, 0, 0, 0, 0, bytes(8), bytes(8), bytes(8))
            more = [version]
        else:
            result = 3
        return [CommandAck(command, result, 0, 0, *source), *more]
