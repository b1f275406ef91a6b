"""EVENT messages: what they say, each once, lost ones asked for again; and why the vehicle would not arm.

PX4 numbers its events per boot, keeps the newest few, and sends one again to all who listen when anybody asks
(REQUEST_EVENT), so a repeated number is no news. Its health and arming findings are no single events but a report:
a summary, the findings, a second summary. It comes only when something changes, so it may be older than our link:
RUN_PREARM_CHECKS makes PX4 send it anew. Format of events: mavlink.io/en/services/events.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import isfinite
from typing import Any

from fleet.mavlink.event_checks import CHECKS
from fleet.mavlink.event_table import CHOICES, EVENTS
from fleet.mavlink.messages import CurrentEventSequence, Event, Message, RequestEvent
from missions.snapshot import Mode

CRITICAL, ERROR = 2, 3
"""MAV_SEVERITY. An event that is not in our table is shown from CRITICAL on."""
WINDOW = 64
"""events remembered; PX4 keeps fewer for those who ask again"""
ASK_AGAIN = 3
"""times a lost event is asked for: PX4 forgets it soon"""
REPORT_S = 10.0
"""between two requests for a report; an autopilot without reports is left alone after ASK_AGAIN of them"""
MODE_GROUPS = {Mode.MISSION: 3, Mode.HOLD: 4, Mode.RETURN: 5, Mode.TAKEOFF: 17, Mode.LAND: 18}
"""bit of a mode in an arming report; PX4 arms in the mode it is in"""
FLOWN = sum(1 << bit for bit in MODE_GROUPS.values())
EVERY_MODE = 0xFFFFFFFF
"""a finding on every mode may also be one that forbids nothing: PX4 reports optional checks so"""
ARGUMENTS = 40
"""bytes of an event's arguments"""
SUMMARY = struct.Struct("<BIIII")
"""of the arming checks: chunk, components with errors, with warnings, modes one can arm in, modes that can run"""
CHECKED = struct.Struct("<IB")
"""the first arguments of a check: the modes it bears on, the component"""


def event_id(name: str, component: int = 1) -> int:
    """FNV-1a of the name, 24 bits, under the component's number, as PX4's `events::ID` computes it."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value & 0xFFFFFF | component << 24


_EVENTS = {event_id(name): row for name, row in EVENTS.items()}
_CHECKS = {event_id(name): row for name, row in CHECKS.items()}
_ARMING_SUMMARY = event_id("commander_arming_check_summary")
_HEALTH_SUMMARY = event_id("commander_health_summary")
_REPORT = _CHECKS.keys() | {_ARMING_SUMMARY, _HEALTH_SUMMARY}


def level(event: Event) -> int:
    """Its external level: MAV_SEVERITY, 8 for one that is protocol and not for people."""
    return event.log_levels & 0x0F


def event_text(event: Event) -> str | None:
    """The sentence of an event; `event 0x…` for a critical one not in the table; None for chatter and for checks."""
    row = _EVENTS.get(event.id)
    if row is not None:
        return _sentence(row, event)
    if event.id in _REPORT:
        return None
    return f"event {event.id:#010x}" if level(event) <= CRITICAL else None


def event_arguments(event: Event) -> bytes:
    """At their full length: MAVLink cuts trailing zeros off."""
    return event.arguments.ljust(ARGUMENTS, b"\0")


def _sentence(row: tuple[str, str], event: Event, at: int = 0) -> str:
    types, sentence = row
    if not types:
        return sentence
    layout = "<" + "".join(CHOICES[t].layout if t in CHOICES else t for t in types)
    values = struct.unpack_from(layout, event_arguments(event), at)
    return sentence.format(*(_shown(t, value) for t, value in zip(types, values, strict=True)))


class _NoNumber:
    """NaN or infinity, which no sentence should show in figures."""

    def __format__(self, _: str) -> str:
        return "?"


def _shown(kind: str, value: Any) -> Any:
    choice = CHOICES.get(kind)
    if choice is None:
        return value if isfinite(value) else _NoNumber()
    if choice.bits:
        return " and ".join(word for bit, word in choice.words.items() if value & bit) or f"reason {value}"
    return choice.words.get(value, f"number {value}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One failed check of an arming report."""

    sentence: str
    level: int
    """MAV_SEVERITY"""
    modes: int
    """a bit for each mode it bears on"""

    @property
    def certain(self) -> bool:
        """It forbids arming, and is not one of those that only warn."""
        return self.level <= ERROR or self.modes != EVERY_MODE


@dataclass(frozen=True, slots=True)
class ArmingReport:
    """PX4's newest report of its health and arming checks."""

    can_arm: int
    """a bit for each mode"""
    findings: tuple[Finding, ...]
    missing: int
    """events of this report that were lost"""

    def reasons(self, mode: Mode) -> tuple[str, ...]:
        """Why the vehicle would not arm in this mode, worst first; empty when it would."""
        bit = 1 << MODE_GROUPS.get(mode, MODE_GROUPS[Mode.HOLD])
        if self.can_arm & bit:
            return ()
        bearing = sorted((f for f in self.findings if f.modes & bit), key=lambda f: f.level)
        told = [f.sentence for f in bearing if f.certain] or [f.sentence for f in bearing]
        if self.missing or not told:
            told.append("a reason that was not received" if self.missing else "a reason it does not tell")
        return tuple(dict.fromkeys(told))

    def grave_beside(self, before: ArmingReport | None) -> tuple[str, ...]:
        """Errors that bear on the modes we fly and were not in the report before."""
        known = before.findings if before is not None else ()
        return tuple(f.sentence for f in self.findings if f.level <= ERROR and f.modes & FLOWN and f not in known)


class EventFeed:
    """The events of one vehicle since it booted, from all its links."""

    def __init__(self) -> None:
        self.report: ArmingReport | None = None
        self.reported_s: float | None = None
        """when the newest report, or a lost part of it, arrived"""
        self._newest: int | None = None
        self._seen: dict[int, Event] = {}
        self._lost: dict[int, int] = {}
        """number → how often it was asked for"""
        self._asked_s = float("-inf")
        self._reports_asked = 0
        self._report_asked_s = float("-inf")

    def receive(self, event: Event, now_s: float) -> bool:
        """False for an event that was there before."""
        if self._seen.get(event.sequence) == event:
            return False
        self._advance(event.sequence)
        self._seen[event.sequence] = event
        self._lost.pop(event.sequence, None)
        if event.id in _REPORT or (self.report is not None and self.report.missing):
            report = self._newest_report()
            if report is not None and (report != self.report or event.id == _HEALTH_SUMMARY):
                self.report, self.reported_s = report, now_s
        return True

    def current(self, message: CurrentEventSequence) -> None:
        """PX4 says every 3 s which number is its newest, so that a lost last event is missed, too."""
        if self._newest is not None and message.sequence not in self._seen:
            self._advance(message.sequence)
            self._lost.setdefault(message.sequence, 0)

    def tick(self, now_s: float, wait_s: float) -> list[Message]:
        """Asks for what was lost; `wait_s`: how long an answer may take. The target is filled in by the caller."""
        if not self._lost or now_s - self._asked_s < wait_s:
            return []
        self._asked_s = now_s
        run = [next(iter(self._lost))]
        while (following := run[-1] + 1 & 0xFFFF) in self._lost:
            run.append(following)
        for number in run:
            self._lost[number] += 1
            if self._lost[number] == ASK_AGAIN:
                del self._lost[number]
        return [RequestEvent(run[0], run[-1], 0, 0)]

    def wants_report(self, now_s: float) -> bool:
        """True, a few times, while none is known: time to ask for one (RUN_PREARM_CHECKS), on the ground."""
        if self.report is not None or self._reports_asked == ASK_AGAIN or now_s - self._report_asked_s < REPORT_S:
            return False
        self._reports_asked += 1
        self._report_asked_s = now_s
        return True

    def _advance(self, sequence: int) -> None:
        """Notes the numbers that were skipped, and forgets those long past."""
        ahead = 1 if self._newest is None else sequence - self._newest & 0xFFFF
        if ahead >= 0x10000 - WINDOW:
            return  # one of the past, sent again or late
        if ahead > WINDOW:
            # Numbered anew, or we were away for long: what lies between is nobody's news any more.
            self._seen.clear()
            self._lost.clear()
            ahead = 1
        for back in range(ahead - 1, 0, -1):
            self._lost[sequence - back & 0xFFFF] = 0
        self._newest = sequence
        for known in (self._seen, self._lost):
            for number in [n for n in known if sequence - n & 0xFFFF > WINDOW]:
                del known[number]

    def _newest_report(self) -> ArmingReport | None:
        """Put together from the events at hand."""
        newest: ArmingReport | None = None
        report: list[Event | None] = []
        summary: Event | None = None
        for back in range(WINDOW, -1, -1):
            event = self._seen.get((self._newest or 0) - back & 0xFFFF)
            if event is not None and event.id == _ARMING_SUMMARY:
                summary, report = event, []
            elif event is not None and event.id == _HEALTH_SUMMARY and summary is not None:
                *_, can_arm, _can_run = SUMMARY.unpack_from(event_arguments(summary))
                findings = tuple(_finding(e) for e in report if e is not None and e.id not in _EVENTS)
                newest, summary = ArmingReport(can_arm, findings, report.count(None)), None
            else:
                report.append(event)
        return newest


def _finding(event: Event) -> Finding:
    row = _CHECKS.get(event.id)
    if row is None:
        # An external mode's own check, or one of another PX4.
        return Finding(f"check {event.id:#010x}", level(event), EVERY_MODE)
    modes, _component = CHECKED.unpack_from(event_arguments(event))
    return Finding(_sentence(row, event, CHECKED.size), level(event), modes)
