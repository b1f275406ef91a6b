"""Time spent in ranges of temperature, and heat taken up, with what is not certain about them.

Everything is counted three ways: as read, and the least and the most that the probe's accuracy and unmeasured time
allow. In unmeasured time the temperature may have gone from the reading before it and to the reading after it as fast
as a probe in the box can change, and no faster; the bounds follow from that in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

ZERO_C_K = 273.15
ACTIVATION_K = 10_000.0
"""ΔH/R of USP <1079.2>: 83.144 kJ/mol over 8.3144e-3 kJ/(mol·K)"""
FASTEST_C_S = 0.5
"""fastest believable change: a probe in 38 °C air after the lid flew off; the payload itself is ten times slower"""
RAMP_PIECES = 8


def rate(temp_c: float) -> float:
    """Arrhenius rate relative to 0 °C; scaled so that sums over a month keep their precision."""
    return exp(ACTIVATION_K / ZERO_C_K - ACTIVATION_K / (ZERO_C_K + temp_c))


def temp_of_rate(mean_rate: float) -> float:
    """The temperature in °C with that rate: the inverse of `rate`."""
    return ACTIVATION_K / (ACTIVATION_K / ZERO_C_K - log(mean_rate)) - ZERO_C_K


@dataclass(frozen=True, slots=True)
class Bounds:
    """A quantity as read, and the least and the most it may be."""

    least: float
    read: float
    most: float


@dataclass(frozen=True, slots=True)
class Range:
    """Temperatures from `low_c` to `high_c`, both included."""

    low_c: float
    high_c: float

    def holds(self, low_c: float, high_c: float) -> bool:
        """True if everything from `low_c` to `high_c` lies in it."""
        return self.low_c <= low_c and high_c <= self.high_c

    def meets(self, low_c: float, high_c: float) -> bool:
        """True if anything from `low_c` to `high_c` lies in it."""
        return low_c <= self.high_c and high_c >= self.low_c


@dataclass(frozen=True, slots=True)
class Times:
    """Per range: seconds in all, up to now without a break, and longest without a break; when each first began, and
    when the present stay began (None: never)."""

    total_s: tuple[float, ...]
    run_s: tuple[float, ...]
    longest_s: tuple[float, ...]
    first_s: tuple[float | None, ...]
    began_s: tuple[float | None, ...]


def no_times(ranges: int) -> Times:
    zeros, never = (0.0,) * ranges, (None,) * ranges
    return Times(zeros, zeros, zeros, never, never)


Span = tuple[float, float]
"""from and to, seconds from the start of a stretch of time"""


def held(times: Times, inside: Sequence[bool], at_s: float, for_s: float) -> Times:
    """From `at_s` on for `for_s` seconds the temperature was in these ranges and in no others."""
    if not any(inside) and not any(times.run_s):
        return times
    stays = list(zip(times.run_s, inside, strict=True))
    run_s = tuple([run + for_s if i else 0.0 for run, i in stays])
    starts = [i and run == 0.0 for run, i in stays]
    first_s, began_s = times.first_s, times.began_s
    if any(starts):
        first_s = tuple([at_s if new and was is None else was for was, new in zip(first_s, starts, strict=True)])
        began_s = tuple([at_s if new else was for was, new in zip(began_s, starts, strict=True)])
    return Times(
        total_s=tuple([t + for_s if i else t for t, i in zip(times.total_s, inside, strict=True)]),
        run_s=run_s,
        longest_s=tuple(map(max, times.longest_s, run_s)),
        first_s=first_s,
        began_s=began_s,
    )


def spent(times: Times, spans: Sequence[Sequence[Span]], at_s: float, for_s: float) -> Times:
    """From `at_s` on for `for_s` seconds the temperature was in each range for those spans."""
    columns = []
    for i, within in enumerate(spans):
        total, longest = times.total_s[i], times.longest_s[i]
        first, began = times.first_s[i], times.began_s[i]
        run = times.run_s[i]
        for start, end in within:
            if start > 0.0:
                run = 0.0
            if run == 0.0:
                began = at_s + start
                first = began if first is None else first
            run += end - start
            total += end - start
            longest = max(longest, run)
        if not within or within[-1][1] < for_s:
            run = 0.0
        columns.append((total, run, longest, first, began))
    if not columns:
        return times
    total_s, run_s, longest_s, first_s, began_s = zip(*columns, strict=True)
    return Times(total_s, run_s, longest_s, first_s, began_s)


# -- unmeasured time: from a reading of `a_c` to one of `b_c` (None: none has come yet), each ± accuracy_c -------------


def may_be_in(r: Range, a_c: float, b_c: float | None, gap_s: float, accuracy_c: float) -> list[Span]:
    """The time for which it may have been in the range: one span, or none."""
    start = max(0.0, r.low_c - (a_c + accuracy_c), (a_c - accuracy_c) - r.high_c) / FASTEST_C_S
    end = gap_s
    if b_c is not None:
        end -= max(0.0, r.low_c - (b_c + accuracy_c), (b_c - accuracy_c) - r.high_c) / FASTEST_C_S
    return [(start, end)] if start < end else []


def must_be_in(r: Range, a_c: float, b_c: float | None, gap_s: float, accuracy_c: float) -> list[Span]:
    """The time for which it cannot have been outside the range: what it takes to get out, and back in again."""
    head = max(0.0, min(r.high_c - (a_c + accuracy_c), (a_c - accuracy_c) - r.low_c)) / FASTEST_C_S
    tail = 0.0
    if b_c is not None:
        tail = max(0.0, min(r.high_c - (b_c + accuracy_c), (b_c - accuracy_c) - r.low_c)) / FASTEST_C_S
    if head + tail >= gap_s:
        return [(0.0, gap_s)]
    return [span for span in ((0.0, head), (gap_s - tail, gap_s)) if span[0] < span[1]]


def turning_c(a_c: float, b_c: float | None, gap_s: float, sign: int, utmost_c: float) -> float:
    """The warmest (`sign` 1) or coldest (−1) it may have been, and no further than `utmost_c`."""
    reach = sign * FASTEST_C_S * gap_s
    ends = (a_c, a_c if b_c is None else b_c)
    turn = a_c + reach if b_c is None else (a_c + b_c + reach) / 2.0
    return max(*ends, min(turn, utmost_c)) if sign > 0 else min(*ends, max(turn, utmost_c))


def gap_rate_s(a_c: float, b_c: float | None, gap_s: float, sign: int, utmost_c: float) -> float:
    """The most (`sign` 1) or least (−1) that duration · rate may come to: a ramp to the turn, time there, a ramp back.

    `rate` is convex below 4700 °C: trapezoids never give too little, midpoints never too much.
    """
    turn = turning_c(a_c, b_c, gap_s, sign, utmost_c)
    total, left_s = 0.0, gap_s
    for end_c in (a_c,) if b_c is None else (a_c, b_c):
        ramp_s = min(left_s, abs(turn - end_c) / FASTEST_C_S)
        step_c = (turn - end_c) / RAMP_PIECES
        if sign > 0:
            inner = sum(rate(end_c + k * step_c) for k in range(1, RAMP_PIECES))
            mean = (0.5 * (rate(end_c) + rate(turn)) + inner) / RAMP_PIECES
        else:
            mean = sum(rate(end_c + (k + 0.5) * step_c) for k in range(RAMP_PIECES)) / RAMP_PIECES
        total += ramp_s * mean
        left_s -= ramp_s
    return total + left_s * rate(turn)
