"""Times as intervals: when something is closed, and which departures are left."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

Interval = tuple[float, float]
Spans = tuple[Interval, ...]
"""times in seconds since departure was wished, apart and in order"""

ALWAYS: Spans = ((-inf, inf),)
_EPS_S = 1e-6


def during(spans: Spans, start: float, end: float) -> bool:
    return any(a < end - _EPS_S and start + _EPS_S < b for a, b in spans)


def outside(whole: Interval, shut: list[Interval]) -> list[Interval]:
    """What is left of an interval (both ends included) outside of others (their ends are free)."""
    if not shut:
        return [whole]
    left: list[Interval] = []
    at, end = whole
    for a, b in sorted(shut):
        if b <= at or a >= end:
            continue
        if a >= at:
            left.append((at, a))
        at = b
        if at > end:
            return left
    return [*left, (at, end)]


def uncovered(whole: Interval, covered: Sequence[Interval]) -> list[Interval]:
    """What is left of an interval outside of others, all ends included: no single moment is left over."""
    left: list[Interval] = []
    at, end = whole
    for a, b in sorted(covered):
        if b < at or a > end:
            continue
        if a > at:
            left.append((at, a))
        at = max(at, b)
        if at >= end:
            return left
    return [*left, (at, end)]
