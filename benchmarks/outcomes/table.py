"""Many outcomes as figures: shares with their intervals, what was gained, and whether anybody beat the clairvoyant."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from benchmarks.outcomes.judging import AS_GOOD, SAVED, End
from benchmarks.outcomes.series import POLICIES, SEEING

Z_95 = 1.959964
BEATEN_BY = 0.005
"""less is a turn some seconds earlier than the clairvoyant's grid of decision times has: 90 s of lateness at most"""
RESAMPLES = 2000

Lines = Sequence[dict[str, Any]]


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = k / n, Z_95 * Z_95
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), Z_95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def counts(lines: Lines, policy: str) -> dict[str, int]:
    """Deliveries by what became of them under a policy."""
    own = [line["outcomes"][policy] for line in lines]
    best = [line["outcomes"]["clairvoyant"] for line in lines]
    found = {end.value: sum(o["end"] == end for o in own) for end in End}
    found["wasted_that_could_have_been_good"] = sum(
        o["end"] not in SAVED and b["end"] in SAVED for o, b in zip(own, best, strict=True)
    )
    found["spoiled_as_good"] = sum(o["end"] in AS_GOOD for o in own)
    found["vehicles_lost"] = sum(o["vehicle_lost"] for o in own)
    found["below_reserve"] = sum(o["below_reserve"] for o in own)
    found["below_reserve_avoidable"] = sum(
        o["below_reserve"] and not b["below_reserve"] for o, b in zip(own, best, strict=True)
    )
    found["good_at_the_edge"] = sum(policy in line["at_the_edge"] for line in lines)
    return found


def beaten(lines: Lines) -> list[dict[str, Any]]:
    """Deliveries in which a policy did better than the clairvoyant."""
    return [
        {"seed": line["seed"], "policy": name, "loss": line["outcomes"][name]["loss"], "clairvoyant": best}
        for line in lines
        for best in [line["outcomes"]["clairvoyant"]["loss"]]
        for name in POLICIES
        if line["outcomes"][name]["loss"] < best - BEATEN_BY
    ]


def gap_closed(lines: Lines, of: str = "loss", best_of: str = "clairvoyant") -> tuple[float, float, float]:
    """The share of the gap between threshold alarm and clairvoyant that the engine closes, with its 95 % interval by
    resampling deliveries (paired). `of`: the mean loss, or the doses delivered good."""
    alarm, own, best = (_values(lines, name, of) for name in ("threshold", "engine", best_of))
    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(lines), (RESAMPLES, len(lines)))
    gaps = alarm[picks].mean(axis=1) - best[picks].mean(axis=1)
    gained = alarm[picks].mean(axis=1) - own[picks].mean(axis=1)
    shares = gained[gaps != 0.0] / gaps[gaps != 0.0]
    whole = alarm.mean() - best.mean()
    closed = float((alarm.mean() - own.mean()) / whole) if whole else 1.0
    low, high = np.quantile(shares, [0.025, 0.975]) if len(shares) else (0.0, 1.0)
    return closed, float(low), float(high)


def mean_loss(lines: Lines, policy: str) -> tuple[float, float]:
    """And half of its 95 % interval."""
    values = _values(lines, policy, "loss")
    return float(values.mean()), float(Z_95 * values.std() / sqrt(len(values)))


def _values(lines: Lines, policy: str, of: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    own = [line["outcomes"][policy] for line in lines]
    values = [o["loss"] if of == "loss" else -float(o["end"] == End.DELIVERED_GOOD) for o in own]
    return np.array(values, dtype=np.float64)


ROWS = (
    ("delivered good", (End.DELIVERED_GOOD,)),
    ("delivered, spoiled, flagged", (End.DELIVERED_SPOILED_FLAGGED,)),
    ("delivered, good, flagged", (End.DELIVERED_GOOD_FLAGGED,)),
    ("**delivered, spoiled, as good**", (End.DELIVERED_SPOILED_AS_GOOD,)),
    ("back, good", (End.BACK_GOOD,)),
    ("back, spoiled, flagged", (End.BACK_SPOILED_FLAGGED,)),
    ("back, good, flagged", (End.BACK_GOOD_FLAGGED,)),
    ("**back, spoiled, as good**", (End.BACK_SPOILED_AS_GOOD,)),
    ("lost with its vehicle", (End.LOST,)),
    ("wasted that could have been good", ("wasted_that_could_have_been_good",)),
    ("vehicles lost", ("vehicles_lost",)),
    ("ended below the reserve", ("below_reserve",)),
    ("**of these avoidable**", ("below_reserve_avoidable",)),
)


def markdown(lines: Lines) -> str:
    """The table of the documentation."""
    n = len(lines)
    by = {name: counts(lines, name) for name in POLICIES}
    text = [f"| of {n:,} deliveries | {' | '.join(POLICIES)} |", f"|---|{'---|' * len(POLICIES)}"]
    for label, names in ROWS:
        cells = []
        for policy in POLICIES:
            k = sum(by[policy][name] for name in names)
            low, high = wilson(k, n)
            cells.append(f"{k} ({100 * low:.1f}–{100 * high:.1f} %)")
        text.append(f"| {label} | {' | '.join(cells)} |")
    losses = [mean_loss(lines, policy) for policy in POLICIES]
    text.append(f"| mean loss, in doses | {' | '.join(f'{m:.3f} ± {h:.3f}' for m, h in losses)} |")
    return "\n".join(text) + "\n"


def figures(lines: Lines) -> dict[str, Any]:
    """Everything, for the one JSON object."""
    n = len(lines)
    policies: dict[str, Any] = {}
    for name in POLICIES:
        found = counts(lines, name)
        policies[name] = {
            "counts": found,
            "share_95": {key: [round(x, 5) for x in wilson(k, n)] for key, k in found.items()},
            "mean_loss": [round(x, 4) for x in mean_loss(lines, name)],
        }
    engine = policies["engine"]["counts"]
    closed, delivered = gap_closed(lines), gap_closed(lines, "delivered")
    won = beaten(lines)
    return {
        "deliveries": n,
        "policies": policies,
        "gap_closed_of_loss": [round(x, 3) for x in closed],
        "gap_closed_of_doses_delivered_good": [round(x, 3) for x in delivered],
        "gap_closed_of_loss_once_something_is_wrong": [round(x, 3) for x in gap_closed(lines, best_of=SEEING)],
        "mean_loss_of_who_turns_once_something_is_wrong": [round(x, 4) for x in mean_loss(lines, SEEING)],
        "clairvoyant_beaten": won,
        "bars": {
            "clairvoyant_never_beaten": not won,
            "half_of_the_gap_closed": closed[0] >= 0.5,
            "no_spoiled_dose_as_good": engine["spoiled_as_good"] == 0,
            "no_avoidable_end_below_reserve": engine["below_reserve_avoidable"] == 0,
        },
        "cpu_s_per_delivery": round(float(np.mean([line["cpu_s"] for line in lines])), 3),
    }
