"""The run as a story: what the record holds, what the world did and what the observer saw, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from fleet.service import RecordedEvent
from fleet.simulate.outcome import Outcome

MODES = {
    0x02040000: "take-off",
    0x03040000: "hold",
    0x04040000: "mission",
    0x05040000: "return",
    0x06040000: "land",
    0x00010000: "manual",
    0x00020000: "altitude",
    0x00030000: "position",
    0x00060000: "offboard",
    0x000A0000: "termination",
}
"""PX4's custom_mode"""
ALARMS = {"alarm", "link_event", "abandoned", "infeasible", "return_by_px4"}
ROUTINE = {"requested", "accepted", "assigned", "loading", "ready", "at_drop"}
SKIPPED = {"box_sample", "order_requested", "judged"}


@dataclass(frozen=True, slots=True)
class Line:
    """`kind` is a class of the style sheet: fault, decision, alarm, zone, state, people, world, seen, more."""

    at_s: float
    who: str
    """order, vehicle, box, or nobody"""
    kind: str
    text: str
    details: str = ""
    """HTML that unfolds"""
    minor: bool = False
    """shown only on request"""
    mark: bool = False
    """marked on the map and on the time line"""


def story(run: Outcome) -> list[Line]:
    lines = [line for e in run.world for line in _happened(e)]
    for zone in run.zones:
        if zone.since_s > run.started_s:
            lines.append(Line(zone.since_s, zone.zone.zone_id, "zone", f"{zone.zone.name} appears", mark=True))
        if zone.until_s is not None:
            lines.append(Line(zone.until_s, zone.zone.zone_id, "zone", f"{zone.zone.name} is withdrawn"))
    lines += [line for order in run.orders for e in order.events for line in _recorded(e, order.name)]
    lines += [line for e in run.events for line in _recorded(e, e.stream.partition("/")[2])]
    for vehicle, seen in run.sightings.items():
        lines += [Line(at_s, vehicle, "seen", "takes off") for at_s in seen.takeoffs]
        for x in seen.landings:
            with_pct = "" if x.battery_pct is None else f" with {x.battery_pct:.0f} % battery"
            lines.append(Line(x.at_s, vehicle, "seen", f"lands{with_pct}"))
        lines += [Line(at_s, vehicle, "seen", f"mode {mode_name(m)}", minor=True) for at_s, m in seen.modes]
    # What happens in the same instant stays in this order: first the world, then what was made of it.
    return sorted(lines, key=lambda line: line.at_s)


def mode_name(custom_mode: int) -> str:
    return MODES.get(custom_mode, f"0x{custom_mode:08x}")


def _recorded(e: RecordedEvent, who: str) -> Iterator[Line]:
    b: Mapping[str, Any] = e.body
    match e.kind:
        case "decision":
            yield from _decision(e, who)
        case "order_state":
            yield Line(e.at_s, who, "state", f"is {str(b['state']).replace('_', ' ')}", minor=b["state"] in ROUTINE)
        case "assigned":
            yield Line(e.at_s, who, "state", f"{b['vehicle_id']} and {b['box_id']} are to carry it")
        case "custody":
            said = f": {b['verdict']} ({b['verdict_why']})" if b.get("verdict") else ""
            by = f" by {b['actor']}" if b.get("actor") else ""
            done, routine = str(b["step"]).replace("_", " "), b["step"] in ("load", "seal", "hand_over")
            yield Line(e.at_s, who, "people", f"{done}{by}{said}", minor=routine)
        case "operator_command":
            yield Line(e.at_s, who, "people", f"{b['actor']} commands: {b['command']}")
        case "landed":
            yield Line(e.at_s, who, "state", f"its flight ended at {b['at']}", minor=True)
        case "phase":
            yield Line(e.at_s, who, "more", f"phase {b['phase']}", minor=True)
        case "planned":
            yield Line(e.at_s, who, "more", f"route to {b['plan']['goal_site']}", _reasons(b["plan"]["notes"]), True)
        case "command":
            yield Line(e.at_s, who, "more", f"commands {b['step']}", minor=True)
        case "outcome":
            yield Line(e.at_s, who, "more", f"{b['step']}: {b.get('text') or b.get('verdict')}", minor=True)
        case "not_assigned":
            yield Line(e.at_s, who, "more", "not assigned yet", _reasons(b["reasons"]), True)
        case "zone_added" | "zone_withdrawn":
            return  # told by the zones themselves
        case kind if kind in ALARMS:
            text = b.get("text") or b.get("why") or "; ".join(r["text"] for r in b.get("reasons", ()))
            yield Line(e.at_s, who, "alarm", str(text), mark=True)
        case kind if kind not in SKIPPED:
            yield Line(e.at_s, who, "more", kind.replace("_", " "), minor=True)


def _decision(e: RecordedEvent, who: str) -> Iterator[Line]:
    decision = e.body["decision"]
    acts = decision["candidate"] is not None or decision["action"] != "CONTINUE" or bool(decision.get("stand_down"))
    known = bool(decision["faults"])
    kind = "decision" if acts else "alarm" if known else "more"
    details = _considered(decision.get("considered") or ())
    yield Line(e.at_s, who, kind, decision["sentence"], details, minor=not (acts or known), mark=acts)


def _happened(e: Mapping[str, Any]) -> Iterator[Line]:
    at_s = float(e.get("at_s", 0.0))
    match e.get("event"):
        case "fault":
            begun = e.get("state") == "begun"
            name, kind = str(e.get("name") or e.get("kind")), str(e.get("kind"))
            text = name if name == kind else f"{name} ({kind})"
            said = text.replace("_", " ") + ("" if begun else " is over")
            yield Line(at_s, str(e.get("on") or ""), "fault", said, mark=begun)
        case "loaded":
            yield Line(at_s, str(e.get("vehicle")), "world", f"carries {e.get('box')}", minor=True)
        case "released":
            yield Line(at_s, str(e.get("vehicle")), "world", f"{e.get('box')} leaves it")
        case "reiced":
            yield Line(at_s, str(e.get("box")), "world", f"gets a fresh pack at {e.get('site')}")
        case "crashed":
            yield Line(at_s, str(e.get("vehicle")), "fault", "crashed", mark=True)
        case "refused":
            yield Line(at_s, "", "more", f"refused: {e.get('reason')}", minor=True)


def _considered(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a decision compared, as a table."""
    if not rows:
        return ""

    def number(value: Any, form: str) -> str:
        return "" if value is None else format(float(value), form)

    body = "".join(
        f"<tr><td>{escape(str(r['kind']))} {escape(str(r['site_id']))}</td>"
        f"<td>{number(r.get('expected_loss'), '.2f')}</td>"
        f"<td>{number(r.get('p_in_range'), '.0%')}</td><td>{number(r.get('energy_end_pct'), '.0f')}</td>"
        f"<td>{escape(str(r.get('rejected') or ''))}</td></tr>"
        for r in rows
    )
    head = "<th>option<th>expected loss<th>in range<th>battery %<th>not allowed because"
    return f"<table class=inner><tr>{head}</tr>{body}</table>"


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(f"<li>{escape(str(r['text']))}</li>" for r in reasons)
    return f"<ul>{items}</ul>" if items else ""
