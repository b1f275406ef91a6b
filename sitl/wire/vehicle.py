"""A vehicle on its links: hears messages, answers them as PX4 does, and speaks for the autopilot."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sitl.autopilot.autopilot import Autopilot
from sitl.autopilot.commands import Command, execute
from sitl.autopilot.events import Level, event_id
from sitl.autopilot.params import HASH_NAME
from sitl.autopilot.results import ACCEPTED, DENIED, FAILED
from sitl.spec import VehicleSpec
from sitl.vehicle.dynamics import FleetState
from sitl.wire.dialect import BY_ID, BY_NAME, Message, Packer
from sitl.wire.link import Link
from sitl.wire.mission_protocol import MissionServer, Turnstile
from sitl.wire.streams import (
    FIXED_RATE,
    GCS_RATES,
    NOT_ON_REQUEST,
    ONBOARD_RATES,
    ONLY_ON_REQUEST,
    STREAMS,
)

AUTOPILOT = 1
"""MAV_COMP_ID_AUTOPILOT1"""
MISSION_PLANNER = 190
"""a component id under which PX4 also takes mission messages"""
MAV_TYPE_GCS = 6
REQUEST_CAPABILITIES, GET_INTERVAL, SET_INTERVAL, REQUEST_MESSAGE = 520, 510, 511, 512
TO_ALL_SYSTEMS = {"PING", "TIMESYNC"}
"""messages that PX4 takes with target_system 0; the rest it takes from who knows its system id"""
COMMANDS_TO_ALL_SYSTEMS = {519, REQUEST_CAPABILITIES}
EVENTS_KEPT = 20
EVENTS_ANSWERED = 100
"""of one request, so that a senseless one does not flood the link"""
REACHED_TIMES = 11
EVENT_BEAT_S = 3.0
"""CURRENT_EVENT_SEQUENCE, about a third of a hertz in the recordings"""


class WireVehicle:
    """Implements `sitl.autopilot.outlet.Outlet`. `on_release(open)` is told when the gripper has moved."""

    def __init__(
        self,
        i: int,
        spec: VehicleSpec,
        fleet: FleetState,
        now_s: float,
        *,
        seed: int,
        on_release: Callable[[bool], None],
    ) -> None:
        self.spec = spec
        self._on_release = on_release
        self.links: list[Link] = []
        self._missions: dict[str, MissionServer] = {}
        self._now_s = now_s
        self._event_sequence = 0
        self._events: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=EVENTS_KEPT)
        self._event_beat_s = now_s
        self.pilot = Autopilot(i, spec, fleet, self, now_s)
        self._was_silent = True
        self._told = -1
        self._reached = self._reached_left = 0
        self._reached_next_s = 0.0
        turnstile, rng = Turnstile(), random.Random(seed * 1009 + i)
        kinds = [("gcs", spec.gcs, GCS_RATES), ("onboard", spec.onboard, ONBOARD_RATES)]
        for name, wanted, usual in kinds:
            if wanted is None:
                continue
            rates = usual if wanted.rates_hz is None else dict(wanted.rates_hz)
            # Each link counts its own frames: who hears one of two would otherwise take half of them for lost.
            link = Link(name, self.pilot, Packer(spec.system_id), rates, self._hear, rng)
            self.links.append(link)
            self._missions[name] = MissionServer(
                self.pilot, turnstile, link.send, lambda level, text: self.text(level, text)
            )

    def link(self, name: str) -> Link:
        return next(link for link in self.links if link.name == name)

    # --- time

    def tick(self, now_s: float) -> None:
        """The autopilot's turn."""
        self._now_s = now_s
        if self.pilot.silent(now_s):
            self._was_silent = True
            return
        self.pilot.tick(now_s)
        if self._was_silent:
            self._was_silent = False
            for link in self.links:
                link.start(now_s)
        self._report_mission(now_s)
        for server in self._missions.values():
            server.tick(now_s)
        if now_s - self._event_beat_s > EVENT_BEAT_S:
            self._event_beat_s = now_s
            self.message("CURRENT_EVENT_SEQUENCE", {"sequence": self._event_sequence})

    def _report_mission(self, now_s: float) -> None:
        """MISSION_CURRENT at once when its item changes, what else it tells once a second; MISSION_ITEM_REACHED at once
        and ten times more, once a second."""
        seq = self.pilot.navigator.seq
        if seq != self._told:
            self._told = seq
            for link in self.links:
                link.stream("MISSION_CURRENT", now_s)
        if self._reached_left and now_s >= self._reached_next_s:
            self._reached_left -= 1
            self._reached_next_s = now_s + 1.0
            self._tell_reached()

    def step(self, now_s: float) -> None:
        """The streams' turn."""
        if self._was_silent:
            return
        for link in self.links:
            link.now_s = now_s
            if link.wake_s <= now_s:
                link.step(now_s)

    # --- Outlet

    def text(self, level: Level, text: str) -> None:
        for link in self.links:
            link.send_text(int(level), text, self._now_s)

    def event(self, name: str, level: Level, internal: Level = Level.INFO, arguments: bytes = b"") -> None:
        self._event_sequence = (self._event_sequence + 1) % 65536
        fields = {
            "id": event_id(name),
            "event_time_boot_ms": self.pilot.boot_ms(self._now_s),
            "sequence": self._event_sequence,
            "log_levels": int(internal) << 4 | int(level),
            "arguments": list(arguments.ljust(40, b"\0")),
        }
        self._events.append((self._event_sequence, fields))
        self.message("EVENT", fields)

    def reached(self, seq: int) -> None:
        if self._reached_left == REACHED_TIMES:  # two items in one turn: the first is told all the same
            self._tell_reached()
        self._reached, self._reached_left, self._reached_next_s = seq, REACHED_TIMES, 0.0

    def _tell_reached(self) -> None:
        for link in self.links:
            link.send("MISSION_ITEM_REACHED", {"seq": self._reached})

    def message(self, name: str, fields: Mapping[str, Any]) -> None:
        """On every link."""
        for link in self.links:
            link.send(name, fields)

    def release(self, open_it: bool) -> None:
        self._on_release(open_it)

    # --- hearing

    def _hear(self, link: Link, message: Message, now_s: float) -> None:
        if message.system == self.spec.system_id and message.component == AUTOPILOT:
            return
        self._now_s = now_s
        fields = message.fields
        link.seen.add((message.system, message.component))
        if (fields.get("target_system"), fields.get("target_component")) != (self.spec.system_id, AUTOPILOT):
            # PX4 hands on what may concern others, heartbeats among it (MAV_HB_FORW_EN): so a controller hears of
            # another ground station on another link of its vehicle.
            for other in self.links:
                if other is not link:
                    other.pass_on(message)
        to = fields.get("target_system", self.spec.system_id)
        to_all = message.name in TO_ALL_SYSTEMS or fields.get("command") in COMMANDS_TO_ALL_SYSTEMS
        if to != self.spec.system_id and not (to == 0 and to_all):
            return
        server = self._missions[link.name]
        components = (0, AUTOPILOT, MISSION_PLANNER) if message.name in server.names else (0, AUTOPILOT)
        if fields.get("target_component", AUTOPILOT) not in components:
            return
        if message.name in server.names:
            server.receive(message, now_s)
            return
        handler = self._HANDLERS.get(message.name)
        if handler is not None:
            handler(self, link, message, now_s)

    def _on_heartbeat(self, link: Link, message: Message, now_s: float) -> None:
        if message["type"] == MAV_TYPE_GCS:
            link.gcs_s = now_s
            self.pilot.gcs_heard_s = now_s

    def _on_command_long(self, link: Link, message: Message, now_s: float) -> None:
        p = [message[f"param{k}"] for k in range(1, 8)]
        self._command(link, message, Command(message["command"], p, p[4], p[5]), now_s)

    def _on_command_int(self, link: Link, message: Message, now_s: float) -> None:
        p = [message[name] for name in ("param1", "param2", "param3", "param4", "x", "y", "z")]
        unset = 2**31 - 1
        lat, lon = (float("nan") if v == unset else v * 1e-7 for v in (message["x"], message["y"]))
        self._command(link, message, Command(message["command"], p, lat, lon), now_s)

    def _command(self, link: Link, message: Message, command: Command, now_s: float) -> None:
        def reply(result: int) -> None:
            fields = {
                "command": command.number,
                "result": result,
                "target_system": message.system,
                "target_component": message.component,
            }
            link.send("COMMAND_ACK", fields)

        if command.number in (REQUEST_MESSAGE, REQUEST_CAPABILITIES):
            number = (
                int(command.params[0]) if command.number == REQUEST_MESSAGE else BY_NAME["AUTOPILOT_VERSION"].msg_id
            )
            reply(self._send_once(link, number, now_s))
        elif command.number == SET_INTERVAL:
            name = self._stream_name(int(command.params[0]))
            if name is not None:
                link.set_interval(name, command.params[1], now_s)
            reply(FAILED if name is None else ACCEPTED)
        elif command.number == GET_INTERVAL:
            number = int(command.params[0])
            name = self._stream_name(number)
            interval_us = link.interval_us(name) if name else 0
            link.send("MESSAGE_INTERVAL", {"message_id": number, "interval_us": interval_us or -1})
            reply(ACCEPTED)
        else:
            execute(self.pilot, command, now_s, reply)

    @staticmethod
    def _stream_name(number: int) -> str | None:
        definition = BY_ID.get(number)
        name = definition.name if definition else ""
        return name if name in STREAMS and name not in ONLY_ON_REQUEST | FIXED_RATE else None

    def _send_once(self, link: Link, number: int, now_s: float) -> int:
        definition = BY_ID.get(number)
        if definition is None or definition.name not in STREAMS or definition.name in NOT_ON_REQUEST:
            return DENIED
        link.stream(definition.name, now_s)
        return ACCEPTED

    def _on_set_mode(self, link: Link, message: Message, now_s: float) -> None:
        """The old SET_MODE message: no answer but the mode."""
        custom = message["custom_mode"]
        params = (float(message["base_mode"]), float(custom >> 16 & 0xFF), float(custom >> 24), 0.0, 0.0, 0.0, 0.0)
        execute(self.pilot, Command(176, params, 0.0, 0.0), now_s, lambda result: None)

    def _on_set_current(self, link: Link, message: Message, now_s: float) -> None:
        if message["seq"] < len(self.pilot.plans[0].items):
            self.pilot.navigator.set_current(message["seq"], now_s)
        else:
            self.text(Level.CRITICAL, "WPM: WP CURR CMD: Not in list")

    def _on_param_list(self, link: Link, message: Message, now_s: float) -> None:
        link.params_to_send = [HASH_NAME, *self.pilot.params.names]

    def _on_param_read(self, link: Link, message: Message, now_s: float) -> None:
        index, names = message["param_index"], self.pilot.params.names
        if index < 0:
            link.send_param(message["param_id"])
        elif index < len(names):
            link.send_param(names[index])

    def _on_param_set(self, link: Link, message: Message, now_s: float) -> None:
        name = message["param_id"]
        if self.pilot.params.set_from_wire(name, message["param_value"], message["param_type"]):
            for every in self.links:
                every.send_param(name)

    def _on_timesync(self, link: Link, message: Message, now_s: float) -> None:
        if message["tc1"] == 0:
            link.send("TIMESYNC", {"tc1": self.pilot.boot_ms(now_s) * 1_000_000, "ts1": message["ts1"]})

    def _on_ping(self, link: Link, message: Message, now_s: float) -> None:
        if message["target_system"] == 0:
            fields = dict(message.fields) | {"target_system": message.system, "target_component": message.component}
            link.send("PING", fields)

    def _on_sticks(self, link: Link, message: Message, now_s: float) -> None:
        """A pilot's joystick: forward, right, and up from a centred throttle at 500."""
        x, y, z = message["x"], message["y"], message["z"]
        self.pilot.hear_sticks((x / 1000.0, y / 1000.0, (z - 500) / 500.0), now_s)

    def _on_request_event(self, link: Link, message: Message, now_s: float) -> None:
        kept = dict(self._events)
        sequence, end = message["first_sequence"], (message["last_sequence"] + 1) % 65536
        for _ in range(EVENTS_ANSWERED):
            if sequence == end:
                return
            if sequence in kept:
                link.send("EVENT", kept[sequence])
            else:
                fields = {
                    "target_system": message.system,
                    "target_component": message.component,
                    "sequence": sequence,
                    "sequence_oldest_available": next(iter(kept), 0),
                }
                link.send("RESPONSE_EVENT_ERROR", fields)
            sequence = (sequence + 1) % 65536

    _HANDLERS: Mapping[str, Callable[[WireVehicle, Link, Message, float], None]] = {
        "COMMAND_INT": _on_command_int,
        "COMMAND_LONG": _on_command_long,
        "HEARTBEAT": _on_heartbeat,
        "MANUAL_CONTROL": _on_sticks,
        "MISSION_SET_CURRENT": _on_set_current,
        "PARAM_REQUEST_LIST": _on_param_list,
        "PARAM_REQUEST_READ": _on_param_read,
        "PARAM_SET": _on_param_set,
        "PING": _on_ping,
        "REQUEST_EVENT": _on_request_event,
        "SET_MODE": _on_set_mode,
        "TIMESYNC": _on_timesync,
    }
