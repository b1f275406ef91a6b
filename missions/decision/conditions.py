"""The conditions of the fault table: pure functions of (snapshot, policy, now) → what is wrong with numbers, or ""."""

from __future__ import annotations

from missions.coldchain.samples import BENIGN
from missions.decision.payload import quantile
from missions.decision.types import Candidate, CandidateKind, FlightPhase, Forecast, Policy, Snapshot
from missions.plan import Ending
from missions.position import doubt
from missions.snapshot import BoxVerdict, Mode

STILL_M_S = 0.4
"""a vehicle that lands sinks at 0.7 m/s, one in a hover wanders at 0.1"""
AT_DROP_S = 30.0
"""so near to the drop turning home loaded saves nothing"""
OUT_OF_RANGE = (BoxVerdict.EXCURSION_ALLOWED, BoxVerdict.QUARANTINE, BoxVerdict.SPOILED)


def low_end_pct(end: Forecast, policy: Policy) -> float:
    """The battery at the end that is exceeded with the probability policy asks for."""
    return end.mean - quantile(policy.min_p_reach) * end.sd


def after_all(s: Snapshot) -> Candidate | None:
    """The candidate of turning to the destination again."""
    return next((c for c in s.candidates if c.kind is CandidateKind.DELIVER), None)


def planned(s: Snapshot) -> Candidate | None:
    """The candidate of flying on as planned."""
    for candidate in s.candidates:
        if candidate.kind is CandidateKind.CONTINUE:
            return candidate
    return None


def payload_aboard(s: Snapshot) -> bool:
    if s.box is not None and s.box.sample is not None and s.box.sample.value.docked is False:
        return False
    if s.payload_aboard is not None:
        return s.payload_aboard
    return s.phase is not FlightPhase.INBOUND or s.box is not None


def is_link_stale(s: Snapshot, policy: Policy, now_s: float) -> bool:
    return s.vehicle.heard_s is None or now_s - s.vehicle.heard_s > policy.link_stale_s


def link_stale(s: Snapshot, policy: Policy, now_s: float) -> str:
    if not is_link_stale(s, policy, now_s):
        return ""
    return "never heard" if s.vehicle.heard_s is None else f"silent for {now_s - s.vehicle.heard_s:.1f} s"


def px4_failsafe(s: Snapshot, policy: Policy, now_s: float) -> str:
    failsafe, mode = s.vehicle.failsafe, s.vehicle.mode
    if failsafe is None or not failsafe.value:
        return ""
    return f"in mode {mode.value}" if mode is not None else "mode not known"


def takeover(s: Snapshot, policy: Policy, now_s: float) -> str:
    mode, failsafe = s.vehicle.mode, s.vehicle.failsafe
    if not s.authority:
        return "an operator has to hand authority back"
    if mode is None or s.expected_mode is None or mode.value == s.expected_mode:
        return ""
    if is_link_stale(s, policy, now_s) or (failsafe is not None and failsafe.value):
        return ""
    if now_s - s.dispatched_at_s <= policy.takeover_settle_s:
        return ""
    return f"mode {mode.value}, {s.expected_mode} was commanded"


def vehicle_rebooted(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.held_boot is None or s.vehicle.boot == s.held_boot:
        return ""
    return f"boot {s.vehicle.boot}, the plan was proven in boot {s.held_boot}"


def plan_not_verified(s: Snapshot, policy: Policy, now_s: float) -> str:
    return f"it does not hold {s.plan.plan_id}" if s.plan_held is False else ""


def telemetry_stale(s: Snapshot, policy: Policy, now_s: float) -> str:
    position, mode = s.vehicle.position, s.vehicle.mode
    most_s = policy.telemetry_stale_s
    if position is not None and mode is not None and now_s - position.at_s <= most_s and now_s - mode.at_s <= most_s:
        return ""
    if is_link_stale(s, policy, now_s):
        return ""
    late = []
    for name, field in (("position", position), ("mode", mode)):
        if field is None:
            late.append(f"no {name}")
        elif field.age_s(now_s) > policy.telemetry_stale_s:
            late.append(f"{name} {field.age_s(now_s):.1f} s old")
    return ", ".join(late)


def position_untrusted(s: Snapshot, policy: Policy, now_s: float) -> str:
    return doubt(s.reckoning, s.vehicle)


def battery_critical(s: Snapshot, policy: Policy, now_s: float) -> str:
    battery = s.vehicle.battery
    if battery is None or battery.value.remaining_pct > policy.battery_critical_pct:
        return ""
    return f"{battery.value.remaining_pct:.0f} %, {policy.battery_critical_pct:.0f} % is critical"


def battery_below_way_home(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.home_end_pct is None:
        return ""
    low, need = low_end_pct(s.home_end_pct, policy), policy.reserve_pct + policy.battery_margin_pct
    if low >= need or _home_without_it(s, policy, now_s):
        return ""
    return f"{low:.1f} % left at home if it turned now, {need:.1f} % is the limit"


def _home_without_it(s: Snapshot, policy: Policy, now_s: float) -> bool:
    """Near the drop the least way home is by the plan: to let go of the load and carry it no farther.

    With the drop below it there is nothing left on the way out that could take more than is reckoned: the reserve
    alone is asked for then, as of the plan itself.
    """
    now = planned(s)
    over_drop = now is not None and now.arrive_s - now_s <= AT_DROP_S
    need_pct = policy.reserve_pct + (0.0 if over_drop else policy.battery_margin_pct)
    leads_there = s.phase in (FlightPhase.OUTBOUND, FlightPhase.AT_DROP, FlightPhase.RELEASING)
    fresh = s.candidates_at_s is not None and now_s - s.candidates_at_s <= policy.max_candidate_age_s
    return (
        leads_there
        and fresh  # what is old excuses nothing: the battery may have sagged since
        and s.plan.ending is Ending.HOLD_AT_DROP
        and s.conflict is None
        and now is not None
        and low_end_pct(now.energy_end_pct, policy) >= need_pct
    )


def plan_below_reserve(s: Snapshot, policy: Policy, now_s: float) -> str:
    now = planned(s)
    if now is None or low_end_pct(now.energy_end_pct, policy) >= policy.reserve_pct:
        return ""
    low = low_end_pct(now.energy_end_pct, policy)
    return f"{low:.1f} % left at its end, the reserve is {policy.reserve_pct:.0f} %"


def inside_closed_zone(s: Snapshot, policy: Policy, now_s: float) -> str:
    return s.conflict.zone_id if s.conflict is not None and s.conflict.distance_ahead_m <= 0.0 else ""


def closure_ahead(s: Snapshot, policy: Policy, now_s: float) -> str:
    c = s.conflict
    if c is None or c.distance_ahead_m <= 0.0:
        return ""
    return f"{c.zone_id} in {c.distance_ahead_m:.0f} m, entered in {max(0.0, c.enter_s - now_s):.0f} s"


def closure_near(s: Snapshot, policy: Policy, now_s: float) -> str:
    c = s.conflict
    if c is None or not 0.0 < c.distance_ahead_m <= policy.closure_hold_m:
        return ""
    return f"{c.zone_id} in {c.distance_ahead_m:.0f} m, {policy.closure_hold_m:.0f} m is the limit"


def conformance_lost(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.cross_track_m is None or s.cross_track_m <= policy.conformance_m:
        return ""
    return f"{s.cross_track_m:.0f} m off the route, {policy.conformance_m:.0f} m allowed"


def standing_still(s: Snapshot, policy: Policy, now_s: float) -> str:
    """It is told to fly its plan and does not move: a transition that failed, a mission that does not go on."""
    velocity = s.vehicle.velocity
    if s.expected_mode != Mode.MISSION or velocity is None:
        return ""
    v = velocity.value
    speed_m_s = (v.north_m_s**2 + v.east_m_s**2 + v.down_m_s**2) ** 0.5
    return f"at {speed_m_s:.1f} m/s" if speed_m_s < STILL_M_S else ""


def box_silent(s: Snapshot, policy: Policy, now_s: float) -> str:
    sample = s.box.sample if s.box is not None else None
    age_s = now_s - sample.at_s if sample is not None else None
    if (age_s is not None and age_s <= policy.box_silent_s) or not payload_aboard(s):
        return ""
    return "no sample yet" if age_s is None else f"silent for {age_s:.0f} s"


def sensor_untrusted(s: Snapshot, policy: Policy, now_s: float) -> str:
    box = s.box
    if box is None or (not box.sensor_faults and box.verdict is not BoxVerdict.UNKNOWN):
        return ""
    if box.sample is None or box.sample.age_s(now_s) > policy.box_silent_s or not payload_aboard(s):
        return ""
    bad = [f for f in box.sensor_faults if f not in BENIGN]
    if bad:
        return ", ".join(bad)
    return box.why if box.verdict is BoxVerdict.UNKNOWN else ""


def excursion_now(s: Snapshot, policy: Policy, now_s: float) -> str:
    if s.box is None or not payload_aboard(s):
        return ""
    # What was read stays true through silence: an open excursion is not over because nobody sees it any more.
    return s.box.why if s.box.verdict in OUT_OF_RANGE else s.box.excursion


def excursion_forecast(s: Snapshot, policy: Policy, now_s: float) -> str:
    now = planned(s)
    if now is None or now.p_in_range is None or now.p_in_range >= policy.min_p_in_range or not payload_aboard(s):
        return ""
    temp = now.product_temp_c
    at = f"{temp.mean:.1f} ± {temp.sd:.1f} °C at {now.site_id}, " if temp is not None else ""
    return f"{at}{100 * now.p_in_range:.0f} % chance of arriving in range"


def delivery_possible(s: Snapshot, policy: Policy, now_s: float) -> str:
    back, box = after_all(s), s.box
    if back is None or back.p_in_range is None or back.p_in_range < policy.min_p_in_range or not payload_aboard(s):
        return ""
    # To go out again the dose has to be known as good, not only foretold as good by what was known earlier.
    known = box is not None and box.verdict in (BoxVerdict.IN_RANGE, BoxVerdict.EXCURSION_ALLOWED)
    if not known or box_silent(s, policy, now_s) or sensor_untrusted(s, policy, now_s):
        return ""
    return f"{100 * back.p_in_range:.0f} % chance of arriving in range at {back.site_id}"
