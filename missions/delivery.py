"""The life of one flight: its phases as a table, the intent the vehicle is to be brought to, and how to get there.

A session always drives the vehicle towards the flight's intent: `next_step` says which one command is missing, or
None when the vehicle already does what is meant. A restart needs no case of its own: the stored flight has the
intent, the vehicle has its state, and only what differs is commanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from geofences.geodesy import distance_m
from missions.boxes import Box
from missions.decision.types import CandidateKind, FlightPhase, Memory
from missions.draw import Draw
from missions.orders import IllegalTransitionError
from missions.plan import Ending, Plan
from missions.position import Reckoning, doubt
from missions.snapshot import BoxVerdict, BoxView, Landed, MissionState, Mode, VehicleState


class FlightEvent(StrEnum):
    """The one cause of each change of phase."""

    VERIFIED = "verified"
    LAUNCH = "launch"
    AIRBORNE = "airborne"
    REACHED_DROP = "reached_drop"
    RELEASE_COMMANDED = "release_commanded"
    RELEASED = "released"
    STRAYED = "strayed"
    """it is no longer over the drop, and nothing was released: it flies there once more"""
    KEPT = "kept"
    """the payload stayed on board at the drop"""
    TURN_BACK = "turn_back"
    GO_ON = "go_on"
    """it had turned away, as out of a zone, and there is a way to the destination after all"""
    TOUCHED_DOWN = "touched_down"
    AT_STATION = "at_station"
    REICED = "reiced"
    TAKEOVER = "takeover"
    HANDED_BACK = "handed_back"
    ABANDON = "abandon"
    """given up on the ground before take-off"""
    CLOSE = "close"


_P, _E = FlightPhase, FlightEvent

PHASE_TRANSITIONS: Mapping[tuple[FlightPhase, FlightEvent], FlightPhase] = MappingProxyType(
    {
        (_P.PREPARING, _E.VERIFIED): _P.READY,
        (_P.PREPARING, _E.ABANDON): _P.CLOSED,
        (_P.READY, _E.LAUNCH): _P.LAUNCHING,
        (_P.READY, _E.ABANDON): _P.CLOSED,
        (_P.LAUNCHING, _E.AIRBORNE): _P.OUTBOUND,
        (_P.LAUNCHING, _E.ABANDON): _P.CLOSED,
        (_P.OUTBOUND, _E.REACHED_DROP): _P.AT_DROP,
        (_P.OUTBOUND, _E.TURN_BACK): _P.INBOUND,
        (_P.OUTBOUND, _E.AT_STATION): _P.REICING,
        (_P.OUTBOUND, _E.TOUCHED_DOWN): _P.LANDED,
        (_P.AT_DROP, _E.RELEASE_COMMANDED): _P.RELEASING,
        (_P.AT_DROP, _E.STRAYED): _P.OUTBOUND,
        (_P.AT_DROP, _E.TURN_BACK): _P.INBOUND,
        (_P.AT_DROP, _E.TOUCHED_DOWN): _P.LANDED,
        (_P.RELEASING, _E.RELEASED): _P.INBOUND,
        (_P.RELEASING, _E.STRAYED): _P.OUTBOUND,
        (_P.RELEASING, _E.KEPT): _P.INBOUND,
        (_P.RELEASING, _E.TOUCHED_DOWN): _P.LANDED,
        (_P.INBOUND, _E.TOUCHED_DOWN): _P.LANDED,
        (_P.INBOUND, _E.GO_ON): _P.OUTBOUND,
        (_P.REICING, _E.REICED): _P.PREPARING,
        (_P.REICING, _E.CLOSE): _P.CLOSED,
        (_P.LANDED, _E.CLOSE): _P.CLOSED,
        (_P.LAUNCHING, _E.TAKEOVER): _P.STOOD_DOWN,
        (_P.OUTBOUND, _E.TAKEOVER): _P.STOOD_DOWN,
        (_P.AT_DROP, _E.TAKEOVER): _P.STOOD_DOWN,
        (_P.RELEASING, _E.TAKEOVER): _P.STOOD_DOWN,
        (_P.INBOUND, _E.TAKEOVER): _P.STOOD_DOWN,
        (_P.STOOD_DOWN, _E.TOUCHED_DOWN): _P.LANDED,
        (_P.STOOD_DOWN, _E.HANDED_BACK): _P.INBOUND,
    }
)
"""HANDED_BACK leads to the phase stored in `Flight.resume_phase`; the table names the default."""

AIRBORNE_PHASES = frozenset({_P.LAUNCHING, _P.OUTBOUND, _P.AT_DROP, _P.RELEASING, _P.INBOUND})


def next_phase(phase: FlightPhase, event: FlightEvent) -> FlightPhase:
    """The table's answer. Raises IllegalTransitionError and changes nothing if there is none."""
    try:
        return PHASE_TRANSITIONS[phase, event]
    except KeyError:
        raise IllegalTransitionError(f"a flight that is {phase} cannot take {event}") from None


class Intent(StrEnum):
    """What the vehicle is to do now."""

    WAIT = "wait"
    """stay on the ground: no command"""
    PREPARE = "prepare"
    """on the ground, holding the verified plan"""
    FLY = "fly"
    """fly the plan"""
    HOLD = "hold"
    RETURN = "return"
    """PX4's own return, where no planned way home is possible"""
    LAND = "land"
    RELEASE = "release"
    WATCH = "watch"
    """somebody else flies: no command"""


class ReleaseState(StrEnum):
    NONE = "none"
    COMMANDED = "commanded"
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    """ACK and an independent sign agree"""
    UNCONFIRMED = "unconfirmed"
    """ACK, but no independent sign exists on this vehicle and box: the recipient's receipt decides"""
    FAILED = "failed"
    """the independent sign shows the payload still on board"""
    UNKNOWN = "unknown"
    """no final ACK and no sign"""


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """What the vehicle proved to hold: the opaque ids of its three lists, and which plan they stand for."""

    plan_id: str
    mission: int
    fence: int
    rally: int
    boot: int
    """vehicle boot count at the proof; a reboot voids it"""


@dataclass(frozen=True, slots=True)
class Flight:
    """Everything about a flight that must survive a restart."""

    flight_id: str
    order_id: str
    vehicle_id: str
    box: Box
    payload_kg: float
    home_site: str
    layer_agl_m: float
    phase: FlightPhase
    intent: Intent
    plan: Plan | None
    goal_site: str
    """where the present plan ends"""
    directive: CandidateKind = CandidateKind.CONTINUE
    """why it flies there: continue, reroute and deliver lead to the order's destination"""
    may_deliver: bool = False
    """it turned away by a decision of its own, which may turn out to have been too careful; once in a flight"""
    held: HeldPlan | None = None
    payload_on_board: bool = True
    release: ReleaseState = ReleaseState.NONE
    release_at_s: float | None = None
    release_tries: int = 0
    hover_throttle_pct: float | None = None
    """mean throttle in the hover before the release: the reference for the independent sign"""
    expected: frozenset[Mode] = field(default_factory=frozenset)
    """modes the vehicle may be in after the last acknowledged command; empty: nothing commanded yet"""
    expected_since_s: float = 0.0
    resume_phase: FlightPhase | None = None
    authority: bool = True
    operator_hold: bool = False
    was_airborne: bool = False
    memory: Memory = field(default_factory=Memory)
    reckoning: Reckoning | None = None
    """how far its positions agree with its velocity, since the launch or since an operator vouched for them"""
    draw: Draw | None = None
    """what it really draws from its battery, and how much of that is left"""
    stays_s: float = 0.0
    """when it was last told to hold, by the vehicle's clock: a jump of its position since then moves that place"""
    created_s: float = 0.0
    launched_s: float | None = None
    arrived_s: float | None = None
    """when the present phase's place was reached: the drop, the station, the ground"""

    @property
    def is_open(self) -> bool:
        return self.phase is not FlightPhase.CLOSED


def turns_away(flight: Flight, to: CandidateKind) -> bool:
    """Whether a flight that turns there by its own decision may still deliver later: once, and from its way out."""
    away = to in (CandidateKind.RETURN, CandidateKind.ALTERNATE)
    if flight.phase is FlightPhase.OUTBOUND:
        return away and flight.payload_on_board and flight.directive is not CandidateKind.DELIVER
    return away and flight.may_deliver


class Step(StrEnum):
    """One command to the vehicle."""

    UPLOAD = "upload"
    START = "start"
    FLY = "fly"
    HOLD = "hold"
    STAY = "stay"
    """hold where it is now: with its position the place at which it holds has moved"""
    RETURN = "return"
    LAND = "land"
    RELEASE = "release"


EXPECTED_AFTER: Mapping[Step, frozenset[Mode]] = MappingProxyType(
    {
        # A mission takes off in TAKEOFF or MISSION, and falls to HOLD by itself when it is complete.
        Step.START: frozenset({Mode.TAKEOFF, Mode.MISSION}),
        Step.FLY: frozenset({Mode.TAKEOFF, Mode.MISSION}),
        Step.HOLD: frozenset({Mode.HOLD}),
        Step.STAY: frozenset({Mode.HOLD}),
        Step.RETURN: frozenset({Mode.RETURN}),
        Step.LAND: frozenset({Mode.LAND}),
    }
)


def in_air(state: VehicleState) -> bool:
    """True unless the vehicle says that it stands on the ground or is disarmed."""
    if state.armed is not None and not state.armed.value:
        return False
    return state.landed is None or state.landed.value is not Landed.ON_GROUND


def holds(flight: Flight, state: VehicleState) -> bool:
    """True if the vehicle is known to hold the flight's plan, by what it reports now where it reports ids."""
    held = flight.held
    if held is None or flight.plan is None or held.plan_id != flight.plan.plan_id or held.boot != state.boot:
        return False
    mission = state.mission.value if state.mission is not None else None
    if mission is None or mission.mission_id is None:
        return True
    # A fence or a rally point decides where PX4 would fly by itself: another one is another plan.
    told = (mission.mission_id, mission.fence_id, mission.rally_id)
    return told == (held.mission, held.fence, held.rally)


def bars_launch(box: BoxView | None) -> str | None:
    """Why a box must not leave the ground, by what it says of itself; None if nothing speaks against it."""
    if box is None:
        return None
    if box.sample is not None and box.sample.value.lid_open:
        return f"the lid of {box.box_id} is open: shut it"
    if box.verdict in (BoxVerdict.SPOILED, BoxVerdict.QUARANTINE):
        return f"the dose in {box.box_id} is not fit to fly: {box.why}"
    return None


def mission_complete(state: VehicleState) -> bool:
    return state.mission is not None and state.mission.value.state is MissionState.COMPLETE


def may_be_in(flight: Flight, state: VehicleState, mode: Mode) -> bool:
    """True if `mode` follows from what was last commanded, or from what PX4 does by itself after it."""
    if not flight.expected or mode in flight.expected:
        return True
    if Mode.MISSION in flight.expected:
        # PX4 leaves mission mode by itself when the mission is complete, and on the ground after landing.
        return mode in (Mode.HOLD, Mode.LAND) and (mission_complete(state) or not in_air(state))
    return not in_air(state) and mode in (Mode.HOLD, Mode.LAND, Mode.MISSION, Mode.RETURN)


def may_have_ended(flight: Flight, state: VehicleState, mode: Mode) -> bool:
    """True while a HOLD at the mission's last item cannot be told from its end: until MISSION_CURRENT is newer than it.

    PX4 leaves mission mode as soon as the mission is complete, and says that it is so within the next second.
    """
    mission, seen = state.mission, state.mode
    if mode is not Mode.HOLD or Mode.MISSION not in flight.expected or mission is None or seen is None:
        return False
    behind_s = seen.at_s - mission.at_s
    return mission.value.total == mission.value.seq + 1 and 0 < behind_s <= MISSION_SAID_S and holds(flight, state)


MISSION_SAID_S = 3.0
"""MISSION_CURRENT comes once a second: with this many lost the vehicle is taken at its mode's word"""


def next_step(flight: Flight, state: VehicleState) -> Step | None:
    """The one command that brings the vehicle nearer to the intent; None when there is nothing to command."""
    mode = state.mode.value if state.mode is not None else None
    if state.armed is None or mode is None or not flight.authority:
        return None
    airborne = in_air(state)
    match flight.intent:
        case Intent.PREPARE:
            return None if airborne or holds(flight, state) else Step.UPLOAD
        case Intent.FLY:
            return _step_to_fly(flight, state, mode, airborne)
        case Intent.HOLD:
            if not airborne:
                return None
            if mode is not Mode.HOLD:
                return Step.HOLD
            jumped_s = flight.reckoning.jumped_s if flight.reckoning is not None else None
            return Step.STAY if jumped_s is not None and jumped_s > flight.stays_s else None
        case Intent.RETURN:
            return Step.RETURN if airborne and mode not in (Mode.RETURN, Mode.LAND) else None
        case Intent.LAND:
            return Step.LAND if airborne and mode is not Mode.LAND else None
        case Intent.RELEASE:
            return Step.RELEASE if flight.release is ReleaseState.NONE else None
        case Intent.WAIT | Intent.WATCH:
            return None


def _step_to_fly(flight: Flight, state: VehicleState, mode: Mode, airborne: bool) -> Step | None:
    held = holds(flight, state)
    if not airborne:
        if flight.phase is not FlightPhase.LAUNCHING:
            return None  # it has landed, or waits for its launch
        if held and state.armed is not None and state.armed.value and mode in (Mode.MISSION, Mode.TAKEOFF):
            return None  # started, not yet off the ground
        return Step.START if held else Step.UPLOAD
    if not held:
        # A plan is only replaced in HOLD: in mission mode PX4 would turn to the new first item before it is verified.
        # And only at rest, so that the new plan begins where the vehicle is; a wing circles around there instead.
        if mode is not Mode.HOLD:
            return Step.HOLD
        circling = state.on_wing is not None and state.on_wing.value
        return Step.UPLOAD if circling or speed_m_s(state) <= AT_REST_M_S else None
    if mode in (Mode.MISSION, Mode.TAKEOFF) or mission_complete(state):
        return None
    return Step.FLY


def speed_m_s(state: VehicleState) -> float:
    """Over ground, in three dimensions; 0 where it is not known."""
    if state.velocity is None:
        return 0.0
    v = state.velocity.value
    return float((v.north_m_s**2 + v.east_m_s**2 + v.down_m_s**2) ** 0.5)


AT_REST_M_S = 1.5
AT_DROP_RADIUS_M = 6.0
AT_DROP_HEIGHT_M = 3.0
AT_DROP_SPEED_M_S = 0.8
NEAR_SITE_M = 40.0


def observe(flight: Flight, state: VehicleState, now_s: float) -> FlightEvent | None:
    """The change of phase that telemetry shows, if any. Only fresh readings count: at most 3 s old."""
    fresh_s = 3.0
    if state.landed is None or state.armed is None or state.landed.age_s(now_s) > fresh_s:
        return None
    on_ground = state.landed.value is Landed.ON_GROUND and not state.armed.value
    match flight.phase:
        case FlightPhase.LAUNCHING:
            airborne = state.landed.value is Landed.IN_AIR and state.armed.value
            return FlightEvent.AIRBORNE if airborne else None
        case FlightPhase.OUTBOUND if on_ground:
            at_station = flight.directive is CandidateKind.REICE and near_goal(flight, state)
            return FlightEvent.AT_STATION if at_station else FlightEvent.TOUCHED_DOWN
        case FlightPhase.OUTBOUND:
            return FlightEvent.REACHED_DROP if at_drop(flight, state, now_s) else None
        case FlightPhase.AT_DROP | FlightPhase.RELEASING | FlightPhase.INBOUND | FlightPhase.STOOD_DOWN if on_ground:
            return FlightEvent.TOUCHED_DOWN
        case _:
            return None


def near_goal(flight: Flight, state: VehicleState) -> bool:
    """Within 40 m of where the plan ends: on its pad rather than somewhere else."""
    if flight.plan is None or state.position is None or doubt(flight.reckoning, state):
        return False
    return distance_m(state.position.value.point, flight.plan.waypoints[-1].position) <= NEAR_SITE_M


def at_drop(flight: Flight, state: VehicleState, now_s: float) -> bool:
    """Over the pad at the end of the verified mission: position alone is never enough.

    A GPS jump onto the pad is not an arrival, because the mission would not be complete; a completed mission far from
    the pad is not one either.
    """
    return mission_complete(state) and over_pad(flight, state, now_s)


def over_pad(flight: Flight, state: VehicleState, now_s: float) -> bool:
    """Still, over the pad and at drop height by a position that can be believed, with the verified plan."""
    plan = flight.plan
    if plan is None or plan.ending is not Ending.HOLD_AT_DROP or not holds(flight, state):
        return False
    if state.position is None or state.velocity is None or doubt(flight.reckoning, state):
        return False
    if max(state.position.age_s(now_s), state.velocity.age_s(now_s)) > 2.0:
        return False
    last = plan.waypoints[-1]
    here = state.position.value
    return (
        distance_m(here.point, last.position) <= AT_DROP_RADIUS_M
        and abs(here.alt_amsl_m - last.alt_amsl_m) <= AT_DROP_HEIGHT_M
        and speed_m_s(state) <= AT_DROP_SPEED_M_S
    )
