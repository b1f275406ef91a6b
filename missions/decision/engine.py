"""`decide`: what a flight does now. Safety first, then what is best for the dose; the same inputs, the same decision.

1. Fold the fault table. A takeover stands down; a silent link or PX4's own failsafe means nothing is commanded.
2. The worst safety action asked for wins; what cannot be carried out falls through to the next that can.
3. Within what safety allows, feasible candidates are compared by expected loss, where a row asks for it.
4. While its position cannot be believed nothing is flown by it: the vehicle holds, or lands on the spot.
5. A choice stays until another is better by a margin and the choice has some age, unless it cannot be flown any more.
6. Where policy says so a choice for the dose is proposed to an operator first, and flown when its time is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from missions.decision import faults
from missions.decision.faults import STEERABLE, Raised
from missions.decision.payload import Judged, dose_value, judge, question
from missions.decision.proposing import proposed
from missions.decision.repeats import PerVehicle
from missions.decision.types import (
    Action,
    ActiveFault,
    Candidate,
    CandidateKind,
    Decision,
    FlightPhase,
    Memory,
    Policy,
    Proposal,
    Snapshot,
)
from missions.lastline import if_link_dies
from missions.snapshot import Mode

ACTION_OF = {
    CandidateKind.CONTINUE: Action.CONTINUE,
    CandidateKind.REROUTE: Action.CONTINUE,
    CandidateKind.REICE: Action.CONTINUE,
    CandidateKind.DELIVER: Action.CONTINUE,
    CandidateKind.RETURN: Action.RETURN,
    CandidateKind.ALTERNATE: Action.DIVERT_AND_LAND,
}
_RANK = {kind: i for i, kind in enumerate(CandidateKind)}
"""of two that are equally good the one that changes less"""
WAYS_OUT_S = 5.0
"""how long it holds where a zone has closed around it, until there are checked ways out: to plan them takes one"""
PLAN = "plan"
"""cause of a decision when nothing is wrong"""


def decide(memory: Memory, snapshot: Snapshot, policy: Policy, now_s: float) -> tuple[Memory, Decision]:
    """The decision for this snapshot, and what to remember for the next. Pure."""
    fault_memory, raised = faults.fold(memory.faults, snapshot, policy, now_s)
    if fault_memory != memory.faults:
        memory = replace(memory, faults=fault_memory)
    if not raised and snapshot.authority:
        decision = _undisturbed(snapshot, policy, now_s)
        return _remember(memory, decision, snapshot, now_s), decision
    active = tuple(ActiveFault(r.row.name, r.text, r.since_s, r.row.asks) for r in raised)
    away = next((r for r in raised if r.row.stands_down), None)
    if away is not None or not snapshot.authority:
        cause = away.row.name if away is not None else "takeover"
        text = away.text if away is not None else faults.BY_NAME["takeover"].text
        return memory, Decision(memory.action, None, cause, f"{text}.", active, stand_down=True)
    silent = next((r for r in raised if r.row.silences and not _rests(r, snapshot, now_s)), None)
    if silent is not None:
        sentence = f"{silent.text}; {_by_itself(snapshot)}."
        return memory, Decision(memory.action, None, silent.row.name, sentence, active, link_silent=True)
    decision = _steer(memory, snapshot, policy, now_s, raised)
    return _remember(memory, decision, snapshot, now_s), replace(decision, faults=active)


def _rests(r: Raised, s: Snapshot, now_s: float) -> bool:
    """PX4 has come to a HOLD by itself, as beyond its fence, and will hold until its battery is empty."""
    holds = s.vehicle.mode is not None and s.vehicle.mode.value is Mode.HOLD
    return holds and r.row.rests_after_s is not None and now_s - r.since_s > r.row.rests_after_s


def _by_itself(s: Snapshot) -> str:
    airborne = s.phase in faults.AIRBORNE
    return if_link_dies(s.plan, s.vehicle, airborne=airborne, airspace_version=s.airspace_version)


def _undisturbed(s: Snapshot, policy: Policy, now_s: float) -> Decision:
    """The decision when no row is raised: that of a moment ago, while all that it hangs on is the same."""
    if s.phase not in STEERABLE:
        return _nothing_to_decide(s)
    legal_yet = s.conflict is None or _legal_yet(s, policy, ())
    vehicle_id = s.vehicle.vehicle_id
    asked = (*question(s, policy, now_s, plan_legal_yet=legal_yet), s.no_return)
    held = _quiet.get(vehicle_id, asked)
    if held is None:
        options = judge(s, policy, now_s, plan_legal_yet=legal_yet)
        held = _quiet.keep(vehicle_id, asked, _as_planned(options, s))
    return held


_quiet: PerVehicle[Decision] = PerVehicle()


def _nothing_to_decide(s: Snapshot) -> Decision:
    return Decision(Action.CONTINUE, None, PLAN, f"{s.phase.value.capitalize()}: nothing to decide.")


def _steer(memory: Memory, s: Snapshot, policy: Policy, now_s: float, raised: Sequence[Raised]) -> Decision:
    asked, by = _worst(raised)
    if s.phase not in STEERABLE:
        if asked is Action.CONTINUE:
            return _nothing_to_decide(s)
        return Decision(asked, None, by.row.name if by else PLAN, f"{by.text if by else ''}.")
    lost = next((r for r in raised if r.row.blinds), None)
    if lost is not None:
        return _on_the_spot(asked, by, lost)
    # A row that only waits to be cleared speaks of the plan before: barring the new one too would swap plans for ever.
    barred = [r for r in raised if r.row.needs_new_route and r.detail]
    options = judge(s, policy, now_s, plan_barred=bool(barred), plan_legal_yet=_legal_yet(s, policy, barred))
    considered = tuple(o.scored for o in options)
    if asked >= Action.RETURN and not _led_out(raised, options):
        assert by is not None
        decision = _carry_out(asked, by, options, memory, s, policy, now_s)
    else:
        decision = _compare(options, raised, memory, s, policy, now_s)
        if asked > decision.action and by is not None and not (by.row.needs_new_route and decision.candidate):
            decision = Decision(asked, None, by.row.name, f"{by.text}.")
    return replace(decision, considered=considered)


def _led_out(raised: Sequence[Raised], options: Sequence[Judged]) -> bool:
    """True where nothing but the route is wrong, and another to the same goal was found and checked: one that begins
    inside a closed zone leaves it by the shortest way, like every other."""
    if any(r.row.asks > Action.CONTINUE and not r.row.needs_new_route for r in raised):
        return False
    return any(o.feasible and o.candidate.kind is CandidateKind.REROUTE for o in options)


def _on_the_spot(asked: Action, by: Raised | None, lost: Raised) -> Decision:
    """Where it is is not known. Any way to anywhere would lead somewhere else: it waits for as long as it can."""
    if by is None or asked < Action.DIVERT_AND_LAND:
        return Decision(Action.HOLD, None, lost.row.name, f"{lost.text}.")
    sentence = f"{by.text}: where it is is not known, it lands here."
    return Decision(Action.LAND_NOW, None, by.row.name, sentence)


def _worst(raised: Sequence[Raised]) -> tuple[Action, Raised | None]:
    """The strongest action asked for, and the first row of the table that asks for it."""
    asking = [r for r in raised if r.row.asks > Action.CONTINUE]
    if not asking:
        return Action.CONTINUE, None
    worst = max(r.row.asks for r in asking)
    # A row that no other route answers goes first: its HOLD stands whatever else is found.
    rows = sorted((r for r in asking if r.row.asks is worst), key=lambda r: r.row.needs_new_route)
    return worst, rows[0]


# the ladder


def _carry_out(
    asked: Action, by: Raised, options: Sequence[Judged], memory: Memory, s: Snapshot, policy: Policy, now_s: float
) -> Decision:
    """RETURN, DIVERT_AND_LAND or LAND_NOW: the first from there on that can be carried out."""
    cause, text = by.row.name, by.text
    landing = [o for o in options if o.lands]
    if asked is Action.RETURN:
        homeward = [o for o in landing if o.feasible and _leads_home(o.candidate)]
        if homeward:
            chosen = _kept(homeward, asked, memory)
            return _fly(asked, chosen, cause, f"{text}: {_numbers(chosen)}")
    fresh = [o for o in landing if o.legal]
    if asked <= Action.DIVERT_AND_LAND:
        divert = Action.DIVERT_AND_LAND
        reserve = sorted((o for o in fresh if o.feasible), key=_nearest)
        floor = [o for o in fresh if o.low_end_pct >= policy.land_floor_pct]
        if reserve:
            chosen = _kept(reserve, divert, memory)
            return _fly(divert, chosen, cause, f"{text}: {_numbers(chosen)}")
        if floor:
            floor.sort(key=_nearest if asked is divert else _most_left)
            floor.sort(key=lambda o: _is_cut_off(o, s))
            chosen = floor[0] if _is_cut_off(floor[-1], s) else _kept(floor, divert, memory)
            if _is_cut_off(chosen, s):
                site = chosen.candidate.site_id
                return Decision(divert, None, cause, f"{text}: on towards {site} until a route around it is found.")
            note = "no landing place is reached legally above the reserve, the best is"
            return _fly(divert, chosen, cause, f"{text}: {note} {_numbers(chosen)}")
    if not _routes_known(s, policy, now_s):
        return _without_routes(asked, by, memory, s, now_s)
    return Decision(Action.LAND_NOW, None, cause, f"{text}: no landing place can be reached, it lands here.")


def _without_routes(asked: Action, by: Raised, memory: Memory, s: Snapshot, now_s: float) -> Decision:
    """No route is warm. A landing under way goes on; else PX4's own return is known to end somewhere prepared."""
    cause, text = by.row.name, by.text
    if s.phase is FlightPhase.INBOUND:
        action = max(asked, memory.action) if memory.chosen_site == s.plan.goal_site else asked
        if action < Action.LAND_NOW:
            return Decision(action, None, cause, f"{text}: flying on to {s.plan.goal_site}.")
    if asked is Action.RETURN:
        if by.row.needs_new_route and now_s - by.since_s < WAYS_OUT_S:
            return Decision(Action.HOLD, None, cause, f"{text}: routes out of it are looked for.")
        sentence = f"{text}: no route is warm, so PX4's own return; {_by_itself(s)}."
        return Decision(asked, None, cause, sentence)
    return Decision(Action.LAND_NOW, None, cause, f"{text}: no route to a landing place is known, it lands here.")


def _is_cut_off(o: Judged, s: Snapshot) -> bool:
    """True for the present plan when a closed zone lies further along it."""
    return o.candidate.kind is CandidateKind.CONTINUE and s.conflict is not None


def _routes_known(s: Snapshot, policy: Policy, now_s: float) -> bool:
    """True if the candidates are fresh: then a way that is not among them is not possible."""
    if not s.candidates or s.candidates_at_s is None or now_s - s.candidates_at_s > policy.max_candidate_age_s:
        return False
    return all(c.kind is CandidateKind.CONTINUE or c.plan.airspace_version == s.airspace_version for c in s.candidates)


def _legal_yet(s: Snapshot, policy: Policy, barred: Sequence[Raised]) -> bool:
    """True while a closed zone on the plan is far, or near but routes around it have not been looked for yet."""
    if s.conflict is None or s.conflict.distance_ahead_m > policy.closure_hold_m:
        return True
    return s.conflict.distance_ahead_m > 0.0 and not _looked_for(s, barred)


def _looked_for(s: Snapshot, barred: Sequence[Raised]) -> bool:
    """True if the candidates were made after it was known that another route is needed."""
    since_s = min((r.since_s for r in barred), default=0.0)
    return s.candidates_at_s is not None and s.candidates_at_s > since_s


def _leads_home(c: Candidate) -> bool:
    """The plan and another route to its goal are only among the landing candidates of a flight already inbound."""
    return c.kind is not CandidateKind.ALTERNATE


def _nearest(o: Judged) -> tuple[float, str]:
    return (o.candidate.arrive_s, o.candidate.site_id)


def _most_left(o: Judged) -> tuple[float, str]:
    return (-o.low_end_pct, o.candidate.site_id)


def _kept(options: Sequence[Judged], action: Action, memory: Memory) -> Judged:
    """The first; or, once that action is under way, the place chosen for it: two equally near must not alternate."""
    if memory.action >= action:
        for o in options:
            c = o.candidate
            if c.kind is CandidateKind.CONTINUE or (c.kind, c.site_id) == (memory.chosen_kind, memory.chosen_site):
                return o
    return options[0]


def _fly(action: Action, chosen: Judged, cause: str, sentence: str) -> Decision:
    return Decision(action, chosen.candidate, cause, f"{sentence}.")


# the payload comparison


def _compare(
    options: Sequence[Judged], raised: Sequence[Raised], memory: Memory, s: Snapshot, policy: Policy, now_s: float
) -> Decision:
    """The best candidate for the dose, if a row asks to compare; else the plan."""
    opening = next((r for r in raised if r.row.opens_comparison or r.row.needs_new_route), None)
    if opening is None:
        return _as_planned(options, s)
    for_dose = not any(r.row.needs_new_route or r.row.asks > Action.CONTINUE for r in raised)
    feasible = [o for o in options if o.feasible]
    if for_dose:  # safety asks nobody
        feasible = [o for o in feasible if (o.candidate.kind, o.candidate.site_id) not in memory.declined]
    if not any(r.row is faults.GOOD_AFTER_ALL and r.detail for r in raised):
        feasible = [o for o in feasible if o.candidate.kind is not CandidateKind.DELIVER]
    if _awaits_reroute(feasible, raised, s):
        return Decision(Action.CONTINUE, None, opening.row.name, f"{opening.text}: a route around it is looked for.")
    if not options:
        text = f"{opening.text}: flying on to {s.plan.goal_site} while routes are made."
        return Decision(Action.CONTINUE, None, opening.row.name, text)
    if not feasible:
        return Decision(Action.CONTINUE, None, opening.row.name, f"{opening.text}: there is nothing better to fly.")
    incumbent, remembered = _incumbent(feasible, memory, s)
    best = min(feasible, key=lambda o: (_loss(o), o is not incumbent, _RANK[o.candidate.kind], o.candidate.site_id))
    chosen, margin = best, policy.hysteresis_loss * dose_value(s.order, policy)
    if incumbent is not None and best is not incumbent:
        young = remembered and memory.chosen_at_s is not None and now_s - memory.chosen_at_s < policy.dwell_s
        if _loss(incumbent) - _loss(best) < margin or young:
            chosen = incumbent
    asked = next((o for o in feasible if _is_proposed(o, memory)), None)
    if asked is not None and chosen is not incumbent and _loss(asked) - _loss(chosen) < margin:
        chosen = asked  # an operator thinks about it
    sentence = f"{opening.text}: {_numbers(chosen)}{_instead_of(chosen, options)}"
    kind = chosen.candidate.kind
    candidate = None if kind is CandidateKind.CONTINUE else chosen.candidate
    decision = Decision(ACTION_OF[kind], candidate, opening.row.name, f"{sentence}.")
    return proposed(decision, memory, s, policy, now_s) if for_dose else decision


def _is_proposed(o: Judged, memory: Memory) -> bool:
    p = memory.proposal
    return p is not None and (o.candidate.kind, o.candidate.site_id) == (p.kind, p.site_id)


def _awaits_reroute(feasible: Sequence[Judged], raised: Sequence[Raised], s: Snapshot) -> bool:
    """True while the only trouble is the route, and another one may yet be found or be far from needed."""
    if any(r.row.opens_comparison for r in raised):
        return False
    if any(o.candidate.kind is CandidateKind.REROUTE for o in feasible):
        return False
    barred = [r for r in raised if r.row.needs_new_route]
    urgent = any(r.row.asks > Action.CONTINUE for r in barred)
    return not (urgent and _looked_for(s, barred))


def _loss(o: Judged) -> float:
    assert o.scored.expected_loss is not None
    return o.scored.expected_loss


def _incumbent(feasible: Sequence[Judged], memory: Memory, s: Snapshot) -> tuple[Judged | None, bool]:
    """What a better candidate has to beat: the last choice, the plan, or another route to its goal.

    Also whether that is where the last choice leads, so that the dwell applies.
    """
    for o in feasible:
        if (o.candidate.kind, o.candidate.site_id) == (memory.chosen_kind, memory.chosen_site):
            return o, True
    same_goal = [o for o in feasible if o.candidate.kind in (CandidateKind.CONTINUE, CandidateKind.REROUTE)]
    planned = min(same_goal, key=lambda o: _RANK[o.candidate.kind], default=None)
    return planned, s.plan.goal_site == memory.chosen_site


# sentences


def _as_planned(options: Sequence[Judged], s: Snapshot) -> Decision:
    now = next((o for o in options if o.candidate.kind is CandidateKind.CONTINUE), None)
    parts = ["Flying the plan" if now is None else f"Flying the plan: {_numbers(now)}"]
    if s.no_return is not None:
        parts.append(f"home is in reach for another {s.no_return.distance_m / 1000.0:.1f} km")
    sentence = f"{'; '.join(parts)}."
    return Decision(Action.CONTINUE, None, PLAN, sentence, considered=tuple(o.scored for o in options))


def _numbers(o: Judged) -> str:
    c = o.candidate
    parts = [f"{o.scored.energy_end_pct:.0f} % battery at the end"]
    if c.product_temp_c is not None:
        parts.append(f"{c.product_temp_c.mean:.1f} ± {c.product_temp_c.sd:.1f} °C")
    if c.p_in_range is not None:
        parts.append(f"{100 * c.p_in_range:.0f} % chance in range")
    if o.scored.bad_share is not None and o.scored.bad_share >= 0.005:
        parts.append(f"no safe return by itself on {100 * o.scored.bad_share:.0f} % of the way")
    return f"{_WORDS[c.kind].format(site=c.site_id)}, {', '.join(parts)}"


_WORDS = {
    CandidateKind.CONTINUE: "on to {site}",
    CandidateKind.REROUTE: "by another route to {site}",
    CandidateKind.REICE: "new pack at {site}, then on",
    CandidateKind.RETURN: "back to {site}",
    CandidateKind.ALTERNATE: "land at {site}",
    CandidateKind.DELIVER: "to {site} after all",
}


def _instead_of(chosen: Judged, options: Sequence[Judged]) -> str:
    """What the plan would have meant, where something else was chosen."""
    now = next((o for o in options if o.candidate.kind is CandidateKind.CONTINUE), None)
    if now is None or now is chosen:
        return ""
    if now.scored.rejected:
        return f"; the plan {now.scored.rejected}" if not now.legal else ""
    return f"; expected loss {_loss(chosen):.2f} instead of {_loss(now):.2f}"


def _remember(memory: Memory, decision: Decision, s: Snapshot, now_s: float) -> Memory:
    """Choices are remembered by kind and site: their routes are made anew every few seconds."""
    memory = _with_proposal(memory, decision)
    same = memory if memory.action is decision.action else replace(memory, action=decision.action)
    if decision.candidate is None and (memory.chosen_site == s.plan.goal_site or decision.action >= Action.HOLD):
        # It holds or flies on to where it was sent: that stays the choice, with its age.
        return same
    c = decision.candidate
    kind = c.kind if c is not None else CandidateKind.CONTINUE
    site = c.site_id if c is not None else s.plan.goal_site
    if kind is CandidateKind.CONTINUE:
        site = s.plan.goal_site
        if memory.chosen_site == site:
            return same
    if (kind, site) == (memory.chosen_kind, memory.chosen_site):
        return same
    first = memory.chosen_site == "" and kind is CandidateKind.CONTINUE
    return replace(
        memory,
        action=decision.action,
        chosen_kind=kind,
        chosen_site=site,
        chosen_at_s=None if first else now_s,
    )


def _with_proposal(memory: Memory, decision: Decision) -> Memory:
    """What waits for an operator goes on waiting; what was declined is forgotten when nothing is wrong any more."""
    a = decision.awaits
    proposal = None if a is None else Proposal(a.kind, a.site_id, a.since_s)
    refused = () if decision.cause == PLAN else memory.declined
    if proposal == memory.proposal and refused == memory.declined:
        return memory
    return replace(memory, proposal=proposal, declined=refused)
