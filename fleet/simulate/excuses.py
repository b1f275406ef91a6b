"""A finished run as incidents are looked up in it, and the excuses there are for them: rows with name and reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleet.service import RecordedEvent
from fleet.simulate.evidence import Alarm, Duty, Stay, alarms, duties
from fleet.simulate.outcome import OrderOutcome, Outcome, ZoneSeen
from fleet.simulate.scenario import Scenario
from geofences.geodesy import LatLon, distance_m
from geofences.volumes import Circle

FOREVER_S = float("inf")
LEAVE_WITHIN_S = 60.0
"""to notice (a second), to hold, plan and upload (15 s) and to fly 500 m at 12 m/s"""
STOPPING_M = 120.0
"""at 20 m/s: a second to hear of it, one to record and command, one to be heard, then 67 m at 3 m/s²"""
RECOVERY_S = 20.0
"""after a time in which nothing could be commanded: to hear, to adopt after a restart, to hold, plan and upload"""
IN_TIME_S = 15.0
"""before a landing: time to do something about it"""
AT_ONCE_S = 5.0
"""after a fault: to be reported by the vehicle, and to be seen as what it is"""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that must not be."""

    text: str
    vehicle_id: str
    since_s: float
    """from when on it could have been prevented"""
    at_s: float
    stay: Stay | None = None
    zone: ZoneSeen | None = None
    box_id: str = ""
    order: OrderOutcome | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the scenario while it lasted."""

    kind: str
    on: str | None
    since_s: float
    until_s: float
    args: dict[str, Any]

    def touches(self, since_s: float, until_s: float) -> bool:
        return self.since_s <= until_s and self.until_s >= since_s


class Trial:
    """A finished run, looked up by vehicle and time."""

    def __init__(self, scenario: Scenario, run: Outcome) -> None:
        self.scenario, self.run = scenario, run

    @cached_property
    def duties(self) -> list[Duty]:
        return duties(self.run)

    @cached_property
    def troubles(self) -> list[Trouble]:
        told = [e for e in self.run.world if e.get("event") == "fault"]
        over = {e["name"]: float(e["at_s"]) for e in told if e["state"] == "over"}
        args = {h.name: dict(h.args) for h in self.scenario.happenings}
        return [
            Trouble(e["kind"], e["on"], float(e["at_s"]), over.get(e["name"], FOREVER_S), args[e["name"]])
            for e in told
            if e["state"] == "begun"
        ]

    def of(self, about: Incident, *kinds: str) -> list[Trouble]:
        """Those of these kinds that the incident's vehicle, its box or everybody had, up to the incident."""
        mine = (None, about.vehicle_id, about.box_id)
        return [t for t in self.troubles if t.kind in kinds and t.on in mine and t.since_s <= about.at_s]

    def duty(self, vehicle_id: str, at_s: float) -> Duty | None:
        return next((d for d in reversed(self.duties) if d.vehicle_id == vehicle_id and d.since_s <= at_s), None)

    def in_air(self, vehicle_id: str, at_s: float) -> bool:
        return any(up_s <= at_s <= down_s for up_s, down_s in self.run.sightings[vehicle_id].flights())

    def events(self, vehicle_id: str, at_s: float) -> Sequence[RecordedEvent]:
        """What was recorded of the vehicle, and of the order that it served then."""
        duty = self.duty(vehicle_id, at_s)
        order = next((o for o in self.run.orders if duty is not None and o.name == duty.order), None)
        own = [e for e in self.run.events if e.stream == f"vehicle/{vehicle_id}"]
        return [*(order.events if order is not None else ()), *own]

    def alarms(self, about: Incident) -> list[Alarm]:
        """Since the order was given to the vehicle."""
        duty = self.duty(about.vehicle_id, about.at_s)
        since_s = duty.since_s if duty is not None else -FOREVER_S
        found = alarms(self.events(about.vehicle_id, about.at_s))
        return [a for a in found if since_s <= a.at_s <= about.at_s + RECOVERY_S]

    def rows(self, about: Incident) -> set[str]:
        """Of the fault table, as told from the time on from which it could have been prevented."""
        return self.standing(about.vehicle_id, about.since_s - RECOVERY_S, about.at_s)

    def standing(self, vehicle_id: str, since_s: float, until_s: float) -> set[str]:
        """Rows of the fault table that were raised at some time of these; also the actions that were decided on."""
        told = [e for e in self.events(vehicle_id, until_s) if e.kind == "decision" and e.at_s <= until_s]
        ends = [*(e.at_s for e in told[1:]), FOREVER_S]
        found: set[str] = set()
        for event, end_s in zip(told, ends, strict=False):
            if end_s >= since_s:
                decision = event.body["decision"]
                found |= {f["name"] for f in decision["faults"]} | {str(decision["action"]).lower()}
        return found


# --- excuses


@dataclass(frozen=True, slots=True)
class Excuse:
    name: str
    reason: str
    fits: Callable[[Trial, Incident], bool]
    alarmed: Callable[[Trial, Incident], bool] = lambda trial, about: bool(trial.alarms(about))


def _appeared_there(trial: Trial, about: Incident) -> bool:
    stay, zone = about.stay, about.zone
    if stay is None or zone is None or stay.seconds > LEAVE_WITHIN_S:
        return False
    if stay.caught:
        return True
    return zone.since_s > 0.0 and _edge_m(trial, about.vehicle_id, zone) <= STOPPING_M


def _edge_m(trial: Trial, vehicle_id: str, seen: ZoneSeen) -> float:
    """How far the vehicle was from the zone's edge when that appeared; circles only, others are never near."""
    at = next((f for f in trial.run.sightings[vehicle_id].fixes if f.at_s >= seen.since_s), None)
    outline = seen.zone.volumes[0].outline
    if at is None or not isinstance(outline, Circle):
        return FOREVER_S
    return distance_m(LatLon(at.lat_deg, at.lon_deg), outline.centre) - outline.radius_m


def _unheard(trial: Trial, about: Incident) -> list[Trouble]:
    """What kept the controller from hearing or being heard."""
    dead = [t for t in trial.of(about, "link_loss") if t.args.get("rate", 1.0) >= 0.5]
    dead += [t for t in trial.of(about, "link_delay") if t.args["delay_s"] >= 0.5]
    return dead + trial.of(about, "controller_killed")


def _was_unheard(trial: Trial, about: Incident) -> bool:
    return any(t.touches(about.since_s - RECOVERY_S, about.at_s) for t in _unheard(trial, about))


def _helpless(trial: Trial, about: Incident) -> bool:
    """Nobody could command it in the time in which it could have been prevented."""
    dead = [*_unheard(trial, about), *trial.of(about, "pilot")]
    since_s = max(about.since_s, about.at_s - RECOVERY_S) - RECOVERY_S
    if any(t.touches(since_s, about.at_s) for t in dead):
        return True
    return bool({"link_stale", "takeover"} & trial.standing(about.vehicle_id, since_s, about.at_s))


def _battery_forced(trial: Trial, about: Incident) -> bool:
    rows = trial.rows(about)
    return bool({"battery_critical"} & rows) or bool(
        {"battery_below_way_home", "px4_failsafe"} & rows and trial.of(about, *ENERGY)
    )


def _gps_untrue(trial: Trial, about: Incident) -> bool:
    return bool(trial.of(about, "gps_jump", "gps_loss", "gps_drift"))


def _gps_drifted(trial: Trial, about: Incident) -> bool:
    small = [t for t in trial.of(about, "gps_jump") if abs(t.args["north_m"]) + abs(t.args["east_m"]) < 60.0]
    return bool(trial.of(about, "gps_drift") or small)


def _fell(trial: Trial, about: Incident) -> bool:
    weak = sum(t.args.get("share", 0.125) for t in trial.of(about, "motor_failure"))
    rebooted = [t for t in trial.of(about, "reboot") if trial.in_air(about.vehicle_id, t.since_s)]
    return weak >= 0.5 or bool(rebooted)


def _empty(trial: Trial, about: Incident) -> bool:
    told = [(s, pct) for s, pct in trial.run.sightings[about.vehicle_id].battery if s <= about.at_s]
    return bool(told) and told[-1][1] <= 1.0 and bool(trial.of(about, *ENERGY))


def _energy_taken(trial: Trial, about: Incident) -> bool:
    return bool(trial.of(about, *ENERGY))


def _battery_alarmed(trial: Trial, about: Incident) -> bool:
    """In time to do something about it, or as soon as the fault had taken the energy."""
    told = {"battery_critical", "battery_below_way_home", "plan_below_reserve", "px4_failsafe", "link_stale"}
    struck_s = max((t.since_s for t in trial.of(about, *ENERGY)), default=-FOREVER_S)
    latest_s = max(about.at_s - IN_TIME_S, min(about.at_s, struck_s + AT_ONCE_S))
    return any(a.name in told and a.at_s <= latest_s for a in trial.alarms(about))


def _by_operator(trial: Trial, about: Incident) -> bool:
    return bool(trial.of(about, "operator"))


def _crashed(trial: Trial, about: Incident) -> bool:
    return any(e.get("event") == "crashed" and e.get("vehicle") == about.vehicle_id for e in trial.run.world)


def _link_gone(trial: Trial, about: Incident) -> bool:
    return any(t.args.get("rate", 1.0) >= 0.5 and t.until_s == FOREVER_S for t in trial.of(about, "link_loss"))


def _stood_down(trial: Trial, about: Incident) -> bool:
    return "takeover" in trial.standing(about.vehicle_id, about.at_s, about.at_s)


def _doubted(trial: Trial, about: Incident) -> bool:
    return "position_untrusted" in trial.standing(about.vehicle_id, about.at_s, about.at_s)


def _says_why(trial: Trial, about: Incident) -> bool:
    view = about.order.view if about.order is not None else None
    return bool(view is not None and view.reasons) or bool(trial.alarms(about))


def _foreign(trial: Trial, about: Incident) -> bool:
    return "plan_not_verified" in trial.standing(about.vehicle_id, about.at_s, about.at_s)


def _unconfirmed(trial: Trial, about: Incident) -> bool:
    events = about.order.events if about.order is not None else ()
    return any(e.kind == "custody" and e.body.get("confirmed") == "unconfirmed" for e in events)


def _never_left(trial: Trial, about: Incident) -> bool:
    """It still waits on the ground: given to nobody, or to a vehicle that has not taken off with it."""
    view = about.order.view if about.order is not None else None
    if view is not None and view.vehicle_id is None:
        return True
    return not about.vehicle_id or not any(
        up_s >= about.since_s for up_s, _ in trial.run.sightings[about.vehicle_id].flights()
    )


def _sensors_lied(trial: Trial, about: Incident) -> bool:
    both = [t for t in trial.of(about, "box_probe_wrong", "box_probe_drift") if t.args.get("probe", "both") == "both"]
    return bool(both)


ENERGY = ("battery_sag", "battery_drain", "motor_failure", "wind_change")


def _always(trial: Trial, about: Incident) -> bool:
    return True


EXCUSES: dict[str, Excuse] = {
    e.name: e
    for e in (
        Excuse("appeared_there", "the zone appeared around it, or nearer than it can stop; it left", _appeared_there),
        Excuse("fell", "it lost half its thrust, or restarted in the air", _fell),
        Excuse("crashed", "it has crashed; somebody has to go and look", _crashed),
        Excuse("empty", "the battery was empty after a fault of it", _empty, _battery_alarmed),
        Excuse("battery_forced", "the battery forced it down by the nearest way", _battery_forced, _battery_alarmed),
        Excuse("energy_taken", "a fault took energy in flight", _energy_taken, _battery_alarmed),
        Excuse("gps_untrue", "its position was wrong", _gps_untrue),
        Excuse("gps_drifted", "its position went astray too slowly to be seen by anybody", _gps_drifted, _always),
        Excuse("nobody_could_command", "the link, the controller or a pilot's hands were in the way", _helpless),
        Excuse("unheard", "the controller was down, or could not hear of it", _was_unheard),
        Excuse("link_gone", "its link is gone for good", _link_gone),
        Excuse("stood_down", "somebody else flies it", _stood_down),
        Excuse("doubted", "its position is in doubt, and no operator has vouched for it", _doubted),
        Excuse("operator", "an operator had commanded it", _by_operator, _always),
        Excuse("foreign_plan", "somebody else has changed its plan, and no operator has cleared that up", _foreign),
        Excuse("unconfirmed", "the vehicle says that it let go, and nothing shows whether it did", _unconfirmed),
        Excuse("waits", "it waits on the ground, and says why", _never_left, _says_why),
        Excuse("sensors_lied", "both probes of its box lied alike", _sensors_lied, _always),
    )
}
