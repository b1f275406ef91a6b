"""The fault table: when something is wrong, when it is over, what the operator reads and what is asked for.

Conditions are pure: (snapshot, policy, now) → what is wrong with numbers, or "" when nothing is. Cold-chain rows ask
for no safety action, for that would only be the threshold alarm again: they open the payload comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from missions.coldchain.samples import BENIGN
from missions.decision.types import (
    Action,
    Candidate,
    CandidateKind,
    FaultMemory,
    FlightPhase,
    Forecast,
    Policy,
    Snapshot,
)
from missions.snapshot import BoxVerdict

Condition = Callable[[Snapshot, Policy, float], str]

_P = FlightPhase
AIRBORNE = frozenset({_P.LAUNCHING, _P.OUTBOUND, _P.AT_DROP, _P.RELEASING, _P.INBOUND})
STEERABLE = frozenset({_P.OUTBOUND, _P.AT_DROP, _P.RELEASING, _P.INBOUND})
"""phases in which a decision can turn the vehicle; a launch is finished first"""
EN_ROUTE = frozenset({_P.OUTBOUND, _P.INBOUND})
CARRYING = frozenset({_P.OUTBOUND, _P.AT_DROP, _P.INBOUND})


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table."""

    name: str
    condition: Condition
    text: str
    """for the operator: what is wrong and what is being done; numbers are appended"""
    when: str
    """the condition in words, for the documentation"""
    asks: Action = Action.CONTINUE
    phases: frozenset[FlightPhase] = AIRBORNE
    raise_after_s: Callable[[Policy], float] = lambda policy: 0.0
    """how long the condition must hold without a break"""
    clear_after_s: float = 0.0
    """and how long it must be over: a fault that comes and goes stays"""
    opens_comparison: bool = False
    needs_new_route: bool = False
    """the present plan must not be flown on; any other feasible route answers it, a HOLD it asks for included"""
    silences: bool = False
    """nothing can or may be commanded while it lasts: PX4 acts by itself"""
    stands_down: bool = False
    """somebody else flies: no command until an operator hands authority back"""


def low_end_pct(end: Forecast, policy: Policy) -> float:
    """The battery at the end that is exceeded with the probability policy asks for."""
    return end.mean - NormalDist().inv_cdf(policy.min_p_reach) * end.sd


def planned(s: Snapshot) -> Candidate | None:
    """The candidate of flying on as planned."""
    return next((c for c in s.candidates if c.kind is CandidateKind.CONTINUE), None)


def payload_aboard(s: Snapshot) -> bool:
    if s.box is not None and s.box.sample is not None and s.box.sample.value.docked is False:
        return False
    if s.payload_aboard is not None:
        return s.payload_aboard
    return s.phase is not FlightPhase.INBOUND or s.box is not None


def is_link_stale(s: Snapshot, policy: Policy, now_s: float) -> bool:
    return s.vehicle.heard_s is None or now_s - s.vehicle.heard_s > policy.link_stale_s


def _link_stale(s: Snapshot, policy: Policy, now_s: float) -> str:
    if not is_link_stale(s, policy, now_s):
        return ""
    return "never heard" if s.vehicle.heard_s is None else f"silent for {now_s - s.vehicle.heard_s:.1f} s"


def _px4_failsafe(s: Snapshot, policy: Policy, now_s: float) -> str:
    failsafe, mode = s.vehicle.failsafe, s.vehicle.mode
    if failsafe is None or not failsafe.value:
        return ""
    return f"in mode {mode.value}" if mode is not None else "mode not known"


def _takeover(s: Snapshot, policy: Policy, now_s: float) -> str:
    mode, failsafe = s.vehicle.mode, s.vehicle.failsafe
    if not s.authority:
        return "an operator has to hand authority back"
    if mode is None or s.expected_mode is None or mode.value.value == s.expected_mode:
        return ""
    if is_link_stale(s, policy, now_s) or (failsafe is not None and failsafe.value):
        return ""
    if now_s - s.dispatched_at_s <= policy.takeover_settle_s:
        return ""
    return f"mode {mode.value}, {s.expected_mode} was commanded"


def _vehicle_rebooted(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.held_boot is None or s.vehicle.boot == s.held_boot:
        return ""
    return f"boot {s.vehicle.boot}, the plan was proven in boot {s.held_boot}"


def _plan_not_verified(s: Snapshot, policy: Policy, now_s: float) -> str:
    return f"it does not hold {s.plan.plan_id}" if s.plan_held is False else ""


def _telemetry_stale(s: Snapshot, policy: Policy, now_s: float) -> str:
    if is_link_stale(s, policy, now_s):
        return ""
    late = []
    for name, field in (("position", s.vehicle.position), ("mode", s.vehicle.mode)):
        if field is None:
            late.append(f"no {name}")
        elif field.age_s(now_s) > policy.telemetry_stale_s:
            late.append(f"{name} {field.age_s(now_s):.1f} s old")
    return ", ".join(late)


def _battery_critical(s: Snapshot, policy: Policy, now_s: float) -> str:
    battery = s.vehicle.battery
    if battery is None or battery.value.remaining_pct > policy.battery_critical_pct:
        return ""
    return f"{battery.value.remaining_pct:.0f} %, {policy.battery_critical_pct:.0f} % is critical"


def _battery_below_way_home(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.home_end_pct is None:
        return ""
    low, need = low_end_pct(s.home_end_pct, policy), policy.reserve_pct + policy.battery_margin_pct
    if low >= need:
        return ""
    return f"{low:.1f} % left at home if it turned now, {need:.1f} % is the limit"


def _plan_below_reserve(s: Snapshot, policy: Policy, now_s: float) -> str:
    now = planned(s)
    if now is None or low_end_pct(now.energy_end_pct, policy) >= policy.reserve_pct:
        return ""
    low = low_end_pct(now.energy_end_pct, policy)
    return f"{low:.1f} % left at its end, the reserve is {policy.reserve_pct:.0f} %"


def _inside_closed_zone(s: Snapshot, policy: Policy, now_s: float) -> str:
    return s.conflict.zone_id if s.conflict is not None and s.conflict.distance_ahead_m <= 0.0 else ""


def _closure_ahead(s: Snapshot, policy: Policy, now_s: float) -> str:
    c = s.conflict
    if c is None or c.distance_ahead_m <= 0.0:
        return ""
    return f"{c.zone_id} in {c.distance_ahead_m:.0f} m, entered in {max(0.0, c.enter_s - now_s):.0f} s"


def _closure_near(s: Snapshot, policy: Policy, now_s: float) -> str:
    c = s.conflict
    if c is None or not 0.0 < c.distance_ahead_m <= policy.closure_hold_m:
        return ""
    return f"{c.zone_id} in {c.distance_ahead_m:.0f} m, {policy.closure_hold_m:.0f} m is the limit"


def _conformance_lost(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.cross_track_m is None or s.cross_track_m <= policy.conformance_m:
        return ""
    return f"{s.cross_track_m:.0f} m off the route, {policy.conformance_m:.0f} m allowed"


def _box_silent(s: Snapshot, policy: Policy, now_s: float) -> str:
    if not payload_aboard(s):
        return ""
    if s.box is None or s.box.sample is None:
        return "no sample yet"
    age_s = s.box.sample.age_s(now_s)
    return f"silent for {age_s:.0f} s" if age_s > policy.box_silent_s else ""


def _sensor_untrusted(s: Snapshot, policy: Policy, now_s: float) -> str:
    if not payload_aboard(s) or s.box is None or s.box.sample is None:
        return ""
    if s.box.sample.age_s(now_s) > policy.box_silent_s:
        return ""
    bad = [f for f in s.box.sensor_faults if f not in BENIGN]
    if bad:
        return ", ".join(bad)
    return s.box.why if s.box.verdict is BoxVerdict.UNKNOWN else ""


def _excursion_now(s: Snapshot, policy: Policy, now_s: float) -> str:
    if not payload_aboard(s) or s.box is None:
        return ""
    out = (BoxVerdict.EXCURSION_ALLOWED, BoxVerdict.QUARANTINE, BoxVerdict.SPOILED)
    return s.box.why if s.box.verdict in out else ""


def _excursion_forecast(s: Snapshot, policy: Policy, now_s: float) -> str:
    now = planned(s)
    if not payload_aboard(s) or now is None or now.p_in_range is None or now.p_in_range >= policy.min_p_in_range:
        return ""
    temp = now.product_temp_c
    at = f"{temp.mean:.1f} ± {temp.sd:.1f} °C at {now.site_id}, " if temp is not None else ""
    return f"{at}{100 * now.p_in_range:.0f} % chance of arriving in range"


TABLE: tuple[Fault, ...] = (
    Fault(
        "link_stale",
        _link_stale,
        "Link lost: nothing can be commanded, PX4 acts by itself",
        "nothing heard for longer than `link_stale_s`",
        clear_after_s=1.0,
        silences=True,
    ),
    Fault(
        "px4_failsafe",
        _px4_failsafe,
        "PX4 flies its own failsafe: nothing is commanded against it",
        "HEARTBEAT says critical",
        clear_after_s=2.0,
        silences=True,
    ),
    Fault(
        "takeover",
        _takeover,
        "A pilot or another station has taken over: Coldwing stands down and watches",
        "another mode than commanded for `takeover_settle_s`, without PX4's failsafe; or authority not handed back",
        raise_after_s=lambda policy: policy.takeover_settle_s,
        stands_down=True,
    ),
    Fault(
        "vehicle_rebooted",
        _vehicle_rebooted,
        "The vehicle has restarted: it holds until its plan is proven again",
        "the boot count differs from the one in which the plan was proven",
        asks=Action.HOLD,
    ),
    Fault(
        "plan_not_verified",
        _plan_not_verified,
        "The vehicle reports another plan than the one uploaded: it holds",
        "the ids of the stored plan are not those of the proof",
        asks=Action.HOLD,
        raise_after_s=lambda policy: 2.0,
        clear_after_s=2.0,
    ),
    Fault(
        "telemetry_stale",
        _telemetry_stale,
        "Telemetry is late although the link is up: it holds",
        "position or mode older than `telemetry_stale_s`",
        asks=Action.HOLD,
        raise_after_s=lambda policy: policy.telemetry_stale_s,
        clear_after_s=5.0,
    ),
    Fault(
        "battery_critical",
        _battery_critical,
        "Battery critical: landing at the nearest place",
        "battery at or below `battery_critical_pct`",
        asks=Action.DIVERT_AND_LAND,
        clear_after_s=60.0,
    ),
    Fault(
        "battery_below_way_home",
        _battery_below_way_home,
        "Battery is down to what the way home needs: turning home",
        "battery at home, if it turned now, below reserve and margin at `min_p_reach`",
        asks=Action.RETURN,
        phases=STEERABLE,
        raise_after_s=lambda policy: 1.0,
        clear_after_s=30.0,
    ),
    Fault(
        "plan_below_reserve",
        _plan_below_reserve,
        "The plan would end below the reserve: another way is chosen",
        "battery at the end of the plan below reserve at `min_p_reach`",
        phases=EN_ROUTE,
        raise_after_s=lambda policy: 3.0,
        clear_after_s=30.0,
        opens_comparison=True,
        needs_new_route=True,
    ),
    Fault(
        "inside_closed_zone",
        _inside_closed_zone,
        "Inside a closed zone: leaving it",
        "a closed zone contains the present position",
        asks=Action.RETURN,
        phases=STEERABLE,
    ),
    Fault(
        "closure_near",
        _closure_near,
        "A closed zone is near: another route, or hold until there is one",
        "the plan enters a closed zone within `closure_hold_m`",
        asks=Action.HOLD,
        phases=STEERABLE,
        needs_new_route=True,
    ),
    Fault(
        "closure_ahead",
        _closure_ahead,
        "A closed zone lies on the route: another route is chosen",
        "the plan enters a closed zone",
        phases=STEERABLE,
        needs_new_route=True,
    ),
    Fault(
        "conformance_lost",
        _conformance_lost,
        "Off the planned route: another route from here, or hold",
        "further than `conformance_m` from the route for 2 s",
        asks=Action.HOLD,
        phases=EN_ROUTE,
        raise_after_s=lambda policy: 2.0,
        clear_after_s=3.0,
        needs_new_route=True,
    ),
    Fault(
        "box_silent",
        _box_silent,
        "The cold box is silent: the dose's state is unknown from here on",
        "no sample for `box_silent_s`",
        phases=CARRYING,
        clear_after_s=5.0,
    ),
    Fault(
        "sensor_untrusted",
        _sensor_untrusted,
        "The cold box's readings cannot be believed: they do not count as in range",
        "a sensor fault that matters, or the verdict is unknown while samples come",
        phases=CARRYING,
        raise_after_s=lambda policy: 5.0,
        clear_after_s=10.0,
    ),
    Fault(
        "excursion_now",
        _excursion_now,
        "The dose is or was out of range: what is best for it is compared",
        "the verdict is excursion_allowed, quarantine or spoiled",
        phases=CARRYING,
        clear_after_s=30.0,
        opens_comparison=True,
    ),
    Fault(
        "excursion_forecast",
        _excursion_forecast,
        "The dose will probably not arrive in range: what is best for it is compared",
        "chance of arriving in range as planned below `min_p_in_range`",
        phases=CARRYING,
        clear_after_s=30.0,
        opens_comparison=True,
    ),
)

BY_NAME = {row.name: row for row in TABLE}


@dataclass(frozen=True, slots=True)
class Raised:
    """A row that is active now; `detail` is empty while it only waits to be cleared."""

    row: Fault
    since_s: float
    detail: str

    @property
    def text(self) -> str:
        return f"{self.row.text} ({self.detail})" if self.detail else f"{self.row.text} (clearing)"


def fold(
    before: tuple[FaultMemory, ...], s: Snapshot, policy: Policy, now_s: float
) -> tuple[tuple[FaultMemory, ...], tuple[Raised, ...]]:
    """The memory of all rows after this snapshot, and the active ones in table order."""
    known = {m.name: m for m in before}
    memories: list[FaultMemory] = []
    raised: list[Raised] = []
    for row in TABLE:
        if s.phase not in row.phases:
            continue
        detail = row.condition(s, policy, now_s)
        memory = _fold_one(row, known.get(row.name), bool(detail), policy, now_s)
        if memory is None:
            continue
        memories.append(memory)
        if memory.active:
            raised.append(Raised(row, memory.since_s, detail))
    return tuple(memories), tuple(raised)


def _fold_one(row: Fault, memory: FaultMemory | None, holds: bool, policy: Policy, now_s: float) -> FaultMemory | None:
    if holds:
        since_s = memory.since_s if memory is not None else now_s
        active = (memory is not None and memory.active) or now_s - since_s >= row.raise_after_s(policy)
        return FaultMemory(row.name, since_s, active)
    if memory is None or not memory.active:
        return None
    clear_since_s = memory.clear_since_s if memory.clear_since_s is not None else now_s
    if now_s - clear_since_s >= row.clear_after_s:
        return None
    return FaultMemory(row.name, memory.since_s, True, clear_since_s)


def as_markdown(policy: Policy | None = None) -> str:
    """The table for the documentation, made from the rows themselves."""
    policy = policy or Policy()
    lines = [
        "| fault | when | after | asks for | and | clears after | the operator reads |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in TABLE:
        also = [
            words
            for flag, words in (
                (row.opens_comparison, "opens the payload comparison"),
                (row.needs_new_route, "needs another route"),
                (row.silences, "no commands while it lasts"),
                (row.stands_down, "stands down"),
            )
            if flag
        ]
        asks = row.asks.name.lower().replace("_", " ")
        cells = (
            f"`{row.name}`", row.when, f"{row.raise_after_s(policy):g} s", asks, ", ".join(also),
            f"{row.clear_after_s:g} s", row.text,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
