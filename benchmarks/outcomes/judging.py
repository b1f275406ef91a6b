"""What an end is worth, by the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from benchmarks.outcomes.drawing import HUB, TAKE_OFF_S, fleet, model
from benchmarks.outcomes.motion import battery_pct
from benchmarks.outcomes.run import FIELD, Run
from benchmarks.outcomes.truth import DoseJudge
from missions.decision.payload import URGENCY, dose_value
from missions.snapshot import BoxVerdict

USABLE = frozenset({BoxVerdict.IN_RANGE, BoxVerdict.EXCURSION_ALLOWED})


class End(StrEnum):
    """What became of the dose."""

    DELIVERED_GOOD = "delivered_good"
    DELIVERED_GOOD_FLAGGED = "delivered_good_flagged"
    """good, but shown as quarantined or unknown: not used"""
    DELIVERED_SPOILED_FLAGGED = "delivered_spoiled_flagged"
    DELIVERED_SPOILED_AS_GOOD = "delivered_spoiled_as_good"
    BACK_GOOD = "back_good"
    """at the hub, or fetched from where it came down: to be sent again"""
    BACK_GOOD_FLAGGED = "back_good_flagged"
    BACK_SPOILED_FLAGGED = "back_spoiled_flagged"
    BACK_SPOILED_AS_GOOD = "back_spoiled_as_good"
    LOST = "lost"
    """with its vehicle, down in the fields"""


SAVED = frozenset({End.DELIVERED_GOOD, End.BACK_GOOD})
AS_GOOD = frozenset({End.DELIVERED_SPOILED_AS_GOOD, End.BACK_SPOILED_AS_GOOD})
_ENDS = {
    (True, True, True): End.DELIVERED_GOOD,
    (True, True, False): End.DELIVERED_GOOD_FLAGGED,
    (True, False, False): End.DELIVERED_SPOILED_FLAGGED,
    (True, False, True): End.DELIVERED_SPOILED_AS_GOOD,
    (False, True, True): End.BACK_GOOD,
    (False, True, False): End.BACK_GOOD_FLAGGED,
    (False, False, False): End.BACK_SPOILED_FLAGGED,
    (False, False, True): End.BACK_SPOILED_AS_GOOD,
}
"""(delivered, good, shown as usable)"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy's end of one delivery."""

    end: End
    loss: float
    """in values of one dose"""
    battery_end_pct: float
    below_reserve: bool
    vehicle_lost: bool
    arrived_s: int
    """when the dose was read or kept, since take-off"""
    place: str
    verdict: str
    """as people would read it, with its reason"""
    story: tuple[tuple[int, str], ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def best_case(run: Run) -> float:
    """The least loss that the run's end can come to, whatever the box will have shown."""
    return _loss(run, _end(run, shown=None))


def judge(run: Run) -> Outcome:
    """The end of a run that is over, with the verdict that people would read."""
    kept = kept_second(run)
    view = run.line.view(kept)
    end = _end(run, shown=view.verdict in USABLE)
    left = _battery_left(run)
    return Outcome(
        end=end,
        loss=round(_loss(run, end), 6),
        battery_end_pct=round(left, 2),
        below_reserve=left < fleet().policy.reserve_pct,
        vehicle_lost=run.place == FIELD,
        arrived_s=round(run.delivery.sealed_s + kept - TAKE_OFF_S),
        place=run.place,
        verdict=f"{view.verdict}: {view.why}",
        story=tuple(run.story),
    )


def kept_second(run: Run) -> int:
    """When the dose's verdict is read: by the recipient, or at the refrigerator that it comes back to."""
    assert run.landed_second is not None
    if run.released_second is not None:
        return run.released_second + round(run.delivery.read_s)
    wait_s = model()["judgement"]["hub_s"] if run.place == HUB else run.delivery.fetch_s
    return run.landed_second + round(wait_s)


def ends_below_reserve(run: Run) -> bool:
    return run.place == FIELD or _battery_left(run) < fleet().policy.reserve_pct


def _battery_left(run: Run) -> float:
    assert run.landed_second is not None
    return battery_pct(run.delivery, run.motion.at(run.delivery.sealed_s + run.landed_second))


def _end(run: Run, *, shown: bool | None) -> End:
    if run.released_second is None and run.place == FIELD:
        return End.LOST
    good = run.line.good(kept_second(run))
    return _ENDS[run.released_second is not None, good, good if shown is None else shown]


def _loss(run: Run, end: End) -> float:
    order, policy, losses = run.delivery.order, fleet().policy, model()["judgement"]["losses"]
    dose, urgency = dose_value(order, policy), URGENCY[order.priority]
    without = policy.loss_undelivered * urgency
    if end is End.DELIVERED_GOOD:
        assert run.released_second is not None
        late_h = max(0.0, run.delivery.sealed_s + run.released_second - order.deadline_s) / 3600.0
        loss = min(without, urgency * policy.loss_late_per_h * late_h)
    elif end is End.BACK_GOOD:
        loss = without
    else:
        loss = dose + without
    if end in AS_GOOD:
        loss += losses["used_though_spoiled"]
    if run.place == FIELD:
        return float(loss + losses["vehicle"])
    return float(loss + losses["below_reserve"]) if _battery_left(run) < policy.reserve_pct else float(loss)


def is_good_to_the_last_digit(run: Run) -> bool:
    """Whether the dose kept its rules without any allowance for what a probe can tell."""
    strict = DoseJudge(run.delivery.product, run.delivery.order.budget_min, 0.0)
    for second in range(kept_second(run) + 1):
        n = run.line.nodes(second)
        if not strict.second(n.outer, n.inner):
            return False
    return True
