"""The fault table: when something is wrong, when it is over, what the operator reads and what is asked for.

Conditions are pure: (snapshot, policy, now) → what is wrong with numbers, or "" when nothing is. Cold-chain rows ask
for no safety action, for that would only be the threshold alarm again: they open the payload comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from missions.decision import conditions
from missions.decision.types import Action, FaultMemory, FlightPhase, Policy, Snapshot

Condition = Callable[[Snapshot, Policy, float], str]

_P = FlightPhase
CALM_S = 60.0
"""a fault that comes back within this time of its end has not been over"""
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
    clear_again_s: float | None = None
    """the same for one that was back within `CALM_S`: where going on at once is worth much, and being told of each
    change of a flapping thing worth nothing"""
    opens_comparison: bool = False
    needs_new_route: bool = False
    """the present plan must not be flown on; another feasible route answers it, whatever it asks for"""
    silences: bool = False
    """nothing can or may be commanded while it lasts: PX4 acts by itself"""
    rests_after_s: float | None = None
    """from then on PX4 that does no more than hold is commanded again: nothing follows on that HOLD"""
    blinds: bool = False
    """where it is is not known: nothing is flown by its position, it holds or lands on the spot"""
    stands_down: bool = False
    """somebody else flies: no command until an operator hands authority back"""


TABLE: tuple[Fault, ...] = (
    Fault(
        "link_stale",
        conditions.link_stale,
        "Link lost: nothing can be commanded, PX4 acts by itself",
        "nothing heard for longer than `link_stale_s`",
        clear_after_s=1.0,
        clear_again_s=15.0,
        silences=True,
    ),
    Fault(
        "px4_failsafe",
        conditions.px4_failsafe,
        "PX4 flies its own failsafe: nothing is commanded against it",
        "HEARTBEAT says critical",
        clear_after_s=2.0,
        silences=True,
        rests_after_s=20.0,  # COM_FAIL_ACT_T, PX4's HOLD before it acts, is 5 s
    ),
    Fault(
        "takeover",
        conditions.takeover,
        "A pilot or another station has taken over: Coldwing stands down and watches",
        "another mode than commanded for `takeover_settle_s`, without PX4's failsafe; or authority not handed back",
        raise_after_s=lambda policy: policy.takeover_settle_s,
        stands_down=True,
    ),
    Fault(
        "vehicle_rebooted",
        conditions.vehicle_rebooted,
        "The vehicle has restarted: it holds until its plan is proven again",
        "the boot count differs from the one in which the plan was proven",
        asks=Action.HOLD,
    ),
    Fault(
        "plan_not_verified",
        conditions.plan_not_verified,
        "The vehicle reports another plan than the one uploaded: it holds",
        "the ids of the stored plan are not those of the proof",
        asks=Action.HOLD,
        raise_after_s=lambda policy: 2.0,
        clear_after_s=2.0,
    ),
    Fault(
        "telemetry_stale",
        conditions.telemetry_stale,
        "Telemetry is late although the link is up: it holds",
        "position or mode older than `telemetry_stale_s`",
        asks=Action.HOLD,
        raise_after_s=lambda policy: policy.telemetry_stale_s,
        clear_after_s=5.0,
    ),
    Fault(
        "position_untrusted",
        conditions.position_untrusted,
        "Its position cannot be believed: it holds, nothing is flown or released by it; `resume` vouches for it",
        "the GPS receiver is more than 30 m from the position; or the position has moved 30 m more than its own "
        "velocity tells, in steps of more than 5 m; or no GPS fix in 3D",
        asks=Action.HOLD,
        clear_after_s=5.0,
        blinds=True,
    ),
    Fault(
        "battery_critical",
        conditions.battery_critical,
        "Battery critical: landing at the nearest place",
        "battery at or below `battery_critical_pct`",
        asks=Action.DIVERT_AND_LAND,
        clear_after_s=60.0,
    ),
    Fault(
        "battery_below_way_home",
        conditions.battery_below_way_home,
        "Battery is down to what the way home needs: turning home",
        "battery at home, if it turned now, below reserve and margin at `min_p_reach`; and so at the end of the plan, "
        "which comes home without the load (in the last 30 s before the drop: below the reserve alone)",
        asks=Action.RETURN,
        phases=STEERABLE,
        raise_after_s=lambda policy: 1.0,
        clear_after_s=30.0,
    ),
    Fault(
        "plan_below_reserve",
        conditions.plan_below_reserve,
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
        conditions.inside_closed_zone,
        "Inside a closed zone: leaving it",
        "a closed zone contains the present position; without routes out for 5 s, PX4's own return",
        asks=Action.RETURN,
        needs_new_route=True,
    ),
    Fault(
        "closure_near",
        conditions.closure_near,
        "A closed zone is near: another route, or hold until there is one",
        "the plan enters a closed zone within `closure_hold_m`",
        asks=Action.HOLD,
        phases=STEERABLE,
        needs_new_route=True,
    ),
    Fault(
        "closure_ahead",
        conditions.closure_ahead,
        "A closed zone lies on the route: another route is chosen",
        "the plan enters a closed zone",
        phases=STEERABLE,
        needs_new_route=True,
    ),
    Fault(
        "conformance_lost",
        conditions.conformance_lost,
        "Off the planned route: another route from here, or hold",
        "further than `conformance_m` from the route for 2 s",
        asks=Action.HOLD,
        phases=EN_ROUTE,
        raise_after_s=lambda policy: 2.0,
        clear_after_s=3.0,
        needs_new_route=True,
    ),
    Fault(
        "standing_still",
        conditions.standing_still,
        "It should fly its plan and does not move: look at it, and command what it is to do",
        "slower than 0.4 m/s for a minute with a mission to fly",
        phases=EN_ROUTE,
        raise_after_s=lambda policy: 60.0,
        clear_after_s=5.0,
    ),
    Fault(
        "box_silent",
        conditions.box_silent,
        "The cold box is silent: the dose's state is unknown from here on",
        "no sample for `box_silent_s`",
        phases=CARRYING,
        clear_after_s=5.0,
    ),
    Fault(
        "sensor_untrusted",
        conditions.sensor_untrusted,
        "The cold box's readings cannot be believed: they do not count as in range",
        "a sensor fault that matters, or the verdict is unknown while samples come",
        phases=CARRYING,
        raise_after_s=lambda policy: 5.0,
        clear_after_s=10.0,
    ),
    Fault(
        "excursion_now",
        conditions.excursion_now,
        "The dose is or was out of range: what is best for it is compared",
        "the verdict is excursion_allowed, quarantine or spoiled, or was before it became unknown",
        phases=CARRYING,
        clear_after_s=30.0,
        opens_comparison=True,
    ),
    Fault(
        "excursion_forecast",
        conditions.excursion_forecast,
        "The dose will probably not arrive in range: what is best for it is compared",
        "chance of arriving in range as planned below `min_p_in_range`",
        phases=CARRYING,
        clear_after_s=30.0,
        opens_comparison=True,
    ),
    Fault(
        "delivery_possible",
        conditions.delivery_possible,
        "It turned away, and the dose would arrive in range after all: what is best for it is compared",
        "turned away by a decision of its own, its dose in range and its box believed, with a chance of arriving in "
        "range at the destination of at least `min_p_in_range`",
        phases=frozenset({_P.INBOUND}),
        raise_after_s=lambda policy: 5.0,
        opens_comparison=True,
    ),
)

BY_NAME = {row.name: row for row in TABLE}
GOOD_AFTER_ALL = BY_NAME["delivery_possible"]
"""no dose is taken out again but by this row"""
_ROWS = {phase: tuple(row for row in TABLE if phase in row.phases) for phase in FlightPhase}
_CONDITIONS = {phase: tuple(row.condition for row in rows) for phase, rows in _ROWS.items()}


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
    if not before:
        # Nothing was wrong, and nothing is: mostly so, several times a second, for every flight.
        for condition in _CONDITIONS[s.phase]:
            if condition(s, policy, now_s):
                break
        else:
            return (), ()
    known = {m.name: m for m in before}
    memories: list[FaultMemory] = []
    raised: list[Raised] = []
    for row in _ROWS[s.phase]:
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
        cleared = memory is not None and not memory.active and memory.clear_since_s is not None
        again = memory is not None and (memory.again or cleared)
        since_s = memory.since_s if memory is not None and not cleared else now_s
        active = (memory is not None and memory.active) or now_s - since_s >= row.raise_after_s(policy)
        return FaultMemory(row.name, since_s, active, again=again)
    if memory is None:
        return None
    if not memory.active:
        over = memory.clear_since_s is None or now_s - memory.clear_since_s >= CALM_S
        return None if over else memory
    clear_since_s = memory.clear_since_s if memory.clear_since_s is not None else now_s
    clear_after_s = row.clear_after_s if row.clear_again_s is None or not memory.again else row.clear_again_s
    if now_s - clear_since_s < clear_after_s:
        return FaultMemory(row.name, memory.since_s, True, clear_since_s, memory.again)
    return None if row.clear_again_s is None else FaultMemory(row.name, memory.since_s, False, now_s, memory.again)


def _silence(row: Fault) -> str:
    if row.rests_after_s is None:
        return "no commands while it lasts"
    return f"no commands while it lasts; of a HOLD, for {row.rests_after_s:g} s"


def _clears(row: Fault) -> str:
    again = "" if row.clear_again_s is None else f", {row.clear_again_s:g} s when it was back within {CALM_S:g} s"
    return f"{row.clear_after_s:g} s{again}"


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
                (row.blinds, "nothing is flown by its position"),
                (row.silences, _silence(row)),
                (row.stands_down, "stands down"),
            )
            if flag
        ]
        asks = row.asks.name.lower().replace("_", " ")
        cells = (
            f"`{row.name}`", row.when, f"{row.raise_after_s(policy):g} s", asks, ", ".join(also),
            _clears(row), row.text,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
