"""The policies that know no more than a controller does."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.outcomes.seen import Command, Seen, Stay
from missions.decision.conditions import low_end_pct
from missions.decision.engine import decide
from missions.decision.types import Action, Candidate, CandidateKind, Decision, Memory, Snapshot
from missions.decision.types import Policy as Numbers
from missions.options import gross_payload_kg
from missions.snapshot import BoxVerdict
from missions.togo import energy_end

CANDIDATES_EVERY_S = 10.0
"""as old as policy lets them become"""
AMPLE_PCT = 15.0
"""a way home with the payload may cost a third more than the same way without it, some 5 % of a battery"""


def way_clear(seen: Seen, candidates: tuple[Candidate, ...]) -> Command:
    """What everybody does about a closed zone on the way: around it, else home, else down at the nearest alternate."""
    for kind in (CandidateKind.REROUTE, CandidateKind.RETURN):
        found = next((c for c in candidates if c.kind is kind), None)
        if found is not None:
            return found
    others = [c for c in candidates if c.kind is CandidateKind.ALTERNATE]
    return min(others, key=lambda c: c.arrive_s, default=Stay.HOLD if not seen.holding else None)


class AlwaysContinue:
    """On to the destination, whatever the box says; around closed zones like everybody."""

    name = "continue"

    def decide(self, seen: Seen) -> Command:
        return way_clear(seen, seen.ways()) if seen.conflict is not None else None

    def may_release(self, seen: Seen) -> bool:
        return True


class ThresholdAlarm:
    """Today's practice: home when any probe has read out of the label's band, or the battery is low."""

    name = "threshold"

    def __init__(self, excess_c: float, delay_s: float, battery_pct: float) -> None:
        self.excess_c, self.delay_s, self.battery_pct = excess_c, delay_s, battery_pct
        self._out_since_s: float | None = None

    def decide(self, seen: Seen) -> Command:
        for sample in seen.samples:
            read = [t for t in sample.temp_c if t is not None]
            if read and max(map(seen.product.excess_c, read)) > self.excess_c:
                self._out_since_s = self._out_since_s or seen.now_s
            elif read:
                self._out_since_s = None
        outbound = seen.flight.goal_site != seen.flight.home_site
        battery = seen.state.battery.value.remaining_pct if seen.state.battery is not None else 100.0
        late = self._out_since_s is not None and seen.now_s - self._out_since_s >= self.delay_s
        if outbound and (late or battery <= self.battery_pct):
            found = next((c for c in seen.ways() if c.kind is CandidateKind.RETURN), None)
            if found is not None:
                return found
        return way_clear(seen, seen.ways()) if seen.conflict is not None else None

    def may_release(self, seen: Seen) -> bool:
        return True


class Engine:
    """Coldwing's own: `missions.decision.decide` with warm candidates, carried out as `fleet.runtime.deciding` does."""

    name = "engine"
    WITHHELD: ClassVar = (BoxVerdict.SPOILED, BoxVerdict.QUARANTINE)
    """verdicts at which the session does not release, as in `fleet.runtime.drop`"""

    def __init__(self, numbers: Numbers, *, eager: bool = False) -> None:
        """`eager`: all candidates are planned every ten seconds, whether or not they can make a difference."""
        self.numbers, self.memory, self.eager = numbers, Memory(), eager
        self.sentence = ""
        self._candidates: tuple[Candidate, ...] = ()
        self._candidates_at_s: float | None = None
        self._whole = False
        self._asked_for: tuple[int, bool] = (0, False)

    def decide(self, seen: Seen) -> Command:
        memory, decision = self._decide(seen)
        self.memory = memory
        self.sentence = decision.sentence
        flight, candidate = seen.flight, decision.candidate
        if candidate is not None and self._is_new(seen, candidate):
            self._candidates, self._candidates_at_s = (), None
            return candidate
        match decision.action:
            case Action.HOLD if not seen.holding:
                return Stay.HOLD
            case Action.LAND_NOW:
                return Stay.LAND
            case Action.RETURN if candidate is None and flight.goal_site != flight.home_site:
                return Stay.PX4_RETURN
            case Action.CONTINUE if seen.holding:
                return Stay.RESUME
        return None

    def may_release(self, seen: Seen) -> bool:
        return seen.view().verdict not in self.WITHHELD

    def _decide(self, seen: Seen) -> tuple[Memory, Decision]:
        """With warm candidates, of which all but the present plan are made only where they can make a difference.

        While no row of the fault table is raised the engine flies the plan whatever else there is. Rows look at the
        plan's own candidate and at the battery at home, which cannot be short while the plan, with its way home from
        farther out, ends `AMPLE_PCT` above the reserve.
        """
        old = self._candidates_at_s is None or seen.now_s - self._candidates_at_s >= CANDIDATES_EVERY_S
        asked = seen.airspace_version, seen.conflict is not None
        if old or (seen.conflict is not None and asked != self._asked_for):
            self._asked_for, self._candidates_at_s = asked, seen.now_s
            self._candidates, self._whole = (seen.planned(),), False
            if self.eager or seen.conflict is not None or seen.flight.may_deliver or self._battery_matters():
                self._candidates, self._whole = seen.ways(), True
        memory, decision = decide(self.memory, self._snapshot(seen), self.numbers, seen.now_s)
        if memory.faults and not self._whole:
            self._candidates, self._candidates_at_s, self._whole = seen.ways(), seen.now_s, True
            memory, decision = decide(self.memory, self._snapshot(seen), self.numbers, seen.now_s)
        return memory, decision

    def _battery_matters(self) -> bool:
        return low_end_pct(self._candidates[0].energy_end_pct, self.numbers) < self.numbers.reserve_pct + AMPLE_PCT

    def _is_new(self, seen: Seen, candidate: Candidate) -> bool:
        match candidate.kind:
            case CandidateKind.CONTINUE:
                return False
            case CandidateKind.REROUTE:
                return seen.conflict is not None
            case _:
                return (seen.flight.directive, seen.flight.goal_site) != (candidate.kind, candidate.site_id)

    def _snapshot(self, seen: Seen) -> Snapshot:
        flight = seen.flight
        assert flight.plan is not None
        home = next((c.energy_end_pct for c in self._candidates if c.site_id == flight.home_site), None)
        if home is None and flight.goal_site == flight.home_site:
            home = energy_end(flight.plan, seen.state, seen.vehicle, gross_payload_kg(flight), flight.draw)
        return Snapshot(
            phase=flight.phase,
            order=seen.order,
            plan=flight.plan,
            vehicle=seen.state,
            box=seen.view() if flight.payload_on_board else None,
            candidates=self._candidates,
            candidates_at_s=self._candidates_at_s,
            conflict=seen.conflict,
            cross_track_m=0.0,
            home_end_pct=home,
            expected_mode=None if seen.state.mode is None else seen.state.mode.value.value,
            authority=True,
            dispatched_at_s=flight.expected_since_s,
            airspace_version=seen.airspace_version,
            payload_aboard=flight.payload_on_board,
        )
