"""The policy that knows the future: the best, by the truth, of every candidate at every decision time.

From the course that everybody flies who does nothing about the dose, it turns off at each decision time to each
candidate that the planner has there, flies it to its end in the delivery's truth, and takes the best end of all; from a
re-icing station it may go on or go home. Nothing can do better but by turning twice, and whether any policy did is
looked at in each delivery.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from benchmarks.outcomes.judging import End, Outcome, best_case, judge
from benchmarks.outcomes.run import Run, Shared
from missions.decision.types import CandidateKind, FlightPhase

EVERY_S = 30
"""between two decision times. A turn for the dose's sake is the better the earlier it is flown, and the first decision
time is the engine's own first second; so finer steps find nothing, as `table.beaten` shows delivery by delivery"""


def clairvoyant(shared: Shared) -> tuple[Outcome, Outcome]:
    """Its end, and that of one that knows as much but does not turn before the first fault has happened: what of the
    gap could be closed by anybody who has to see before he acts."""
    trunk = Run(shared).finish()
    flown_on = judge(trunk)
    if flown_on.end is End.DELIVERED_GOOD and not flown_on.below_reserve:
        return flown_on, flown_on  # no detour delivers it earlier
    order = count()
    ends = sorted((best_case(run), next(order), turned_s, run) for turned_s, run in _courses(shared))
    onset_s = shared.delivery.onset_s
    return (
        _best(flown_on, [(bound, run) for bound, _, _, run in ends]),
        _best(flown_on, [(bound, run) for bound, _, turned_s, run in ends if turned_s >= onset_s]),
    )


def _best(found: Outcome, ends: list[tuple[float, Run]]) -> Outcome:
    """The best of these ends. The verdict that the box will have shown is worked out only where the truth leaves
    something to gain."""
    for bound, run in ends:
        if bound >= found.loss - 1e-9:
            break
        tried = judge(run)
        if tried.loss < found.loss:
            found = tried
    return found


def _courses(shared: Shared) -> Iterator[tuple[float, Run]]:
    """Every single turn off the trunk, flown to its end, with its time."""
    trunk = Run(shared)
    due = None
    while not trunk.over and trunk.flight.payload_on_board:
        trunk.second += 1
        was_closed = trunk.closed
        trunk.happen()
        closes = trunk.closed and not was_closed
        if trunk.over or not trunk.flight.payload_on_board or trunk.flight.phase in _NO_TURN:
            continue
        due = trunk.second if due is None or closes else due
        if trunk.second == due:
            due += EVERY_S
            for candidate in trunk.ways():
                if candidate.kind is CandidateKind.CONTINUE:
                    continue
                turned = trunk.fork()
                turned.obey(candidate)
                if candidate.kind is CandidateKind.REICE:
                    back = turned.fork()
                    back.home_from_station = True
                    yield trunk.now_s, back.finish()
                yield trunk.now_s, turned.finish()
        if closes:
            trunk.steer_clear()


_NO_TURN = frozenset({FlightPhase.LAUNCHING, FlightPhase.REICING})
