"""The policy that knows the future: the best, by the truth, of every candidate at every decision time.

From the course that everybody flies who does nothing about the dose, it turns off at each decision time to each
candidate that the planner has there, flies it to its end in the delivery's truth, and takes the best end of all; from a
re-icing station it may go on or go home, and once empty it may come down elsewhere. Nothing can do better but by
turning twice, and whether any policy did is looked at in each delivery.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from benchmarks.outcomes.judging import End, Outcome, best_case, ends_below_reserve, judge
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
    for trunk in _decision_times(Run(shared)):
        if not trunk.flight.payload_on_board:
            break
        for candidate in trunk.ways():
            if candidate.kind is CandidateKind.CONTINUE:
                continue
            turned = trunk.fork()
            turned.obey(candidate)
            if candidate.kind is CandidateKind.REICE:
                back = turned.fork()
                back.home_from_station = True
                yield trunk.now_s, back.finish()
                for _, course in _elsewhere_when_empty(turned):
                    yield trunk.now_s, course
            yield trunk.now_s, turned.finish()
    yield from _elsewhere_when_empty(Run(shared))


def _elsewhere_when_empty(start: Run) -> Iterator[tuple[float, Run]]:
    """The same course, but after its drop down at an alternate: where it would come home below the reserve."""
    end = start.fork().finish()
    if end.released_second is None or not ends_below_reserve(end):
        return
    for run in _decision_times(start.fork()):
        if run.flight.payload_on_board:
            continue
        for candidate in run.ways():
            if candidate.kind is CandidateKind.ALTERNATE:
                down = run.fork()
                down.obey(candidate)
                yield run.now_s, down.finish()


def _decision_times(run: Run) -> Iterator[Run]:
    """The run at each time at which it could turn: every so often, and when a zone has closed or the dose is out."""
    due, aboard = None, True
    while not run.over:
        run.second += 1
        was_closed = run.closed
        run.happen()
        if run.over or run.flight.phase in _NO_TURN:
            continue
        closes = run.closed and not was_closed
        if due is None or closes or aboard is not run.flight.payload_on_board:
            due, aboard = run.second, run.flight.payload_on_board
        if run.second == due:
            due += EVERY_S
            yield run
        if closes:
            run.steer_clear()


_NO_TURN = frozenset({FlightPhase.LAUNCHING, FlightPhase.REICING})
