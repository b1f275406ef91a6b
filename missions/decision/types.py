"""Values that go into and come out of `decide`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from geofences.values import quick
from missions.orders import Order
from missions.plan import Plan, Reason
from missions.position import Reckoning
from missions.snapshot import BoxVerdict, BoxView, VehicleState


class Action(IntEnum):
    """The safety ladder, mildest first: a larger value is a stronger safety action."""

    CONTINUE = 0
    HOLD = 1
    RETURN = 2
    DIVERT_AND_LAND = 3
    LAND_NOW = 4


class FlightPhase(StrEnum):
    """Where a flight is. `missions.delivery` has the transition table."""

    PREPARING = "preparing"
    """check, upload, verify"""
    READY = "ready"
    """verified, waiting for its launch slot"""
    LAUNCHING = "launching"
    OUTBOUND = "outbound"
    """to the destination, or to a re-icing station on the way"""
    AT_DROP = "at_drop"
    RELEASING = "releasing"
    INBOUND = "inbound"
    """home with or without payload, or to an alternate"""
    REICING = "reicing"
    """on the ground at a re-icing station"""
    LANDED = "landed"
    STOOD_DOWN = "stood_down"
    """a pilot or another station flies; Coldwing only watches"""
    CLOSED = "closed"


class CandidateKind(StrEnum):
    CONTINUE = "continue"
    """the plan as uploaded"""
    REROUTE = "reroute"
    """same goal, another route"""
    REICE = "reice"
    """land at a re-icing station, swap the pack, go on to the destination"""
    RETURN = "return"
    """back to the home site"""
    ALTERNATE = "alternate"
    """to an alternate landing site"""
    DELIVER = "deliver"
    """to the destination after all, on a flight that had turned away from it"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A value at arrival as a normal distribution."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class LastLine:
    """What would become of the vehicle on its way if its link died there: PX4 then returns by its own rule."""

    bad_s: float
    """of what is left to fly: where PX4's own return is not legal, or does not reach with the reserve"""
    left_s: float

    @property
    def bad_share(self) -> float:
        return min(1.0, self.bad_s / self.left_s) if self.left_s > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something the vehicle could do now, with a legal route that was checked."""

    kind: CandidateKind
    site_id: str
    """where this candidate lands or drops first"""
    plan: Plan
    energy_end_pct: Forecast
    """battery at the end of this candidate, with the way home or to an alternate afterwards where it ends in a drop"""
    arrive_s: float
    """when the payload is where it is safe: at the destination for continue, reroute and re-ice"""
    product_temp_c: Forecast | None
    """product temperature when it comes into cold storage there, after the site's handover; None: no usable box"""
    p_in_range: float | None
    """probability that the product's verdict is in_range or excursion_allowed then"""
    p_on_time: float = 1.0
    budget_left_min: tuple[tuple[str, Forecast], ...] = ()
    """of each limited allowance of the order, by its name, then"""
    last_line: LastLine | None = None
    """None: not worked out"""


@dataclass(frozen=True, slots=True)
class NoReturn:
    """The place on the plan up to which home is still reached above reserve and margin: turning later is too late."""

    distance_m: float
    """along the plan from where the vehicle was; 0: it is past it"""
    at_s: float
    """when it gets there by the plan's pace"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A closed zone that the rest of the plan would enter."""

    zone_id: str
    distance_ahead_m: float
    """along the route from the present position; 0: inside it now"""
    enter_s: float


@quick
@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything `decide` looks at, besides its memory and policy. Immutable and storable."""

    phase: FlightPhase
    order: Order
    plan: Plan
    vehicle: VehicleState
    box: BoxView | None
    candidates: tuple[Candidate, ...]
    candidates_at_s: float | None
    """when the candidates' routes were computed; they are kept warm"""
    conflict: Conflict | None
    cross_track_m: float | None
    """distance from the planned tube's centre line, 3D"""
    home_end_pct: Forecast | None
    """battery at touchdown if it turned home now"""
    expected_mode: str | None
    """mode the session last commanded or PX4 reaches by itself from there; None: not known yet"""
    authority: bool
    """False after a takeover, until an operator hands authority back"""
    dispatched_at_s: float
    airspace_version: int
    payload_aboard: bool | None = None
    """None: it is, unless the flight is inbound and no box is watched"""
    plan_held: bool | None = None
    """False: the vehicle reports another plan than the one it proved to hold; None: not known, or an upload goes on"""
    held_boot: int | None = None
    """the vehicle's boot count when it proved to hold the plan"""
    reckoning: Reckoning | None = None
    """how far its positions agree with its velocity; None: not known yet"""
    no_return: NoReturn | None = None
    """None: home stays in reach to the end of the plan, or the flight leads there"""
    operator_heard_s: float | None = None
    """when an operator who could answer was last known to be connected; None: never"""


@dataclass(frozen=True, slots=True)
class FaultMemory:
    name: str
    since_s: float
    """condition first true"""
    active: bool
    clear_since_s: float | None = None
    """condition over since then; kept for a while after the row is cleared where it matters that it came back"""
    again: bool = False
    """it came back soon after it had been cleared"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A choice for the dose that waits for an operator."""

    kind: CandidateKind
    site_id: str
    since_s: float
    """when something was first proposed: another proposal in its place does not begin the time anew"""
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What `decide` remembers between calls; stored with the record so that a decision can be replayed."""

    faults: tuple[FaultMemory, ...] = ()
    action: Action = Action.CONTINUE
    chosen_kind: CandidateKind = CandidateKind.CONTINUE
    chosen_site: str = ""
    chosen_at_s: float | None = None
    proposal: Proposal | None = None
    declined: tuple[tuple[CandidateKind, str], ...] = ()
    """(kind, site) that an operator does not want, until nothing is wrong any more"""


@quick
@dataclass(frozen=True, slots=True)
class Scored:
    """One candidate in the comparison, with its numbers; `rejected` says why it was not allowed."""

    kind: CandidateKind
    site_id: str
    expected_loss: float | None
    p_in_range: float | None
    p_reach: float
    energy_end_pct: float
    arrive_s: float
    rejected: str = ""
    bad_share: float | None = None
    """of what is left to fly: where PX4's own return would be no way out; None: not worked out"""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a decision proposes to an operator, and when it is done without an answer."""

    kind: CandidateKind
    site_id: str
    since_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class ActiveFault:
    name: str
    text: str
    """for the operator: what is wrong and what is being done"""
    since_s: float
    asks: Action


@dataclass(frozen=True, slots=True)
class Decision:
    """What the session carries out. With `candidate` set, the action is to fly that candidate's plan."""

    action: Action
    candidate: Candidate | None
    cause: str
    """name of the fault-table row that decided, or `plan` when nothing is wrong"""
    sentence: str
    faults: tuple[ActiveFault, ...] = ()
    considered: tuple[Scored, ...] = ()
    stand_down: bool = False
    link_silent: bool = False
    """nothing can be commanded; PX4 acts by itself as `sentence` says"""
    awaits: Awaited | None = None
    """it flies on for now: what is best for the dose waits for an operator"""


@dataclass(frozen=True, slots=True)
class Policy:
    """Numbers of the decision engine; configuration `policy:`. Its hash goes into every record."""

    reserve_pct: float = 20.0
    link_stale_s: float = 4.0
    box_silent_s: float = 60.0
    telemetry_stale_s: float = 3.0
    conformance_m: float = 60.0
    closure_hold_m: float = 400.0
    """a closure nearer than this with no other route warm asks for a hold"""
    takeover_settle_s: float = 2.0
    """how long a commanded mode change may take before another mode counts as somebody else's"""
    min_p_reach: float = 0.95
    hysteresis_loss: float = 0.05
    """a new candidate must be better by this much (of the order's value) to replace the chosen one"""
    dwell_s: float = 20.0
    """and the last choice must be at least this old, unless safety asks"""
    min_p_in_range: float = 0.9
    """below this forecast the comparison opens"""
    max_candidate_age_s: float = 10.0
    loss_spoiled: float = 1.0
    loss_undelivered: float = 0.45
    loss_late_per_h: float = 0.2
    single_patient_factor: float = 3.0
    p_unknown: float = 0.5
    """chance of being in range where there is no forecast"""
    p_keep_at_alternate: float = 0.9
    """chance that a dose landed at an alternate is fetched within that site's handover time; how warm it is by then is
    the forecast's"""
    loss_last_line_per_h: float = 1.0
    """of flying where PX4's own return would be no way out: a link that dies for good once in 20 h there, times a loss
    of 20 doses for a vehicle that goes down astray or flies through what is closed"""
    operator_wait_s: float = 0.0
    """a choice for the dose that changes where it goes waits so long for an operator; 0: none does. What safety asks
    for never waits"""
    operator_silent_s: float = 15.0
    """no operator was connected for so long: nobody can answer, so nothing waits"""
    battery_margin_pct: float = 2.0
    """turn home while it still arrives with this much above the reserve: routes are up to ten seconds old"""
    battery_critical_pct: float = 10.0
    """land at the nearest place: PX4 itself lands at 7 % at the latest"""
    land_floor_pct: float = 3.0
    """below reserve a landing place counts as reachable with this much left at touchdown"""
    authorised_zones: frozenset[str] = field(default_factory=frozenset)


__all__ = [
    "Action",
    "ActiveFault",
    "Awaited",
    "BoxVerdict",
    "Candidate",
    "CandidateKind",
    "Conflict",
    "Decision",
    "FaultMemory",
    "FlightPhase",
    "Forecast",
    "LastLine",
    "Memory",
    "NoReturn",
    "Policy",
    "Proposal",
    "Reason",
    "Scored",
    "Snapshot",
]
