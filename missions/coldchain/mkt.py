"""Mean kinetic temperature: USP <1079.2>, ΔH = 83.144 kJ/mol, weighted by time, over a sliding window."""

from __future__ import annotations

from collections.abc import Iterable

from missions.coldchain import tally
from missions.coldchain.assess import Assessment, Finding, Rules, clock_time
from missions.coldchain.product import Outcome
from missions.coldchain.tally import Bounds, rate, temp_of_rate

MKT_TOLERANCE_C = 1e-6
"""rounding of a month's sum must not turn `at most` into `above`"""


def mkt_c(intervals: Iterable[tuple[float, float]]) -> float:
    """Mean kinetic temperature in °C of (duration, temperature in °C) pairs, by time. Direct evaluation.

    Raises ValueError without any duration.
    """
    pairs = list(intervals)
    total = sum(d for d, _ in pairs)
    if total <= 0:
        raise ValueError("a mean kinetic temperature needs time: the durations add up to zero")
    return temp_of_rate(sum(d * rate(t) for d, t in pairs) / total)


def window_mkt(rules: Rules, now: Assessment, before: Assessment | None, after: Assessment | None) -> Bounds | None:
    """Over the product's window up to the newest reading, °C; None without a rule or a reading.

    `before` and `after` are the assessments on both sides of the window's start; without `after` it starts at `before`.
    Both are None when the record is younger than the window: then the time before it counts as `prior_c`, if the
    profile gives one. Unmeasured time is left out of the value as read, and bounded in the others.
    """
    rule = rules.product.mkt
    if rule is None or now.temp_c is None:
        return None
    rates, measured, unmeasured = list(now.rates_s), now.measured_s, now.unmeasured_s
    if before is not None and before.temp_c is not None:
        start_s, accuracy = now.at_s - 3600.0 * rule.window_h, rules.accuracy_c
        if after is None:
            rates = [r - b for r, b in zip(rates, before.rates_s, strict=True)]
            measured, unmeasured = measured - before.measured_s, unmeasured - before.unmeasured_s
        elif after.measured_s > before.measured_s:
            cut_s = start_s - before.at_s
            for i, error in enumerate((-accuracy, 0.0, accuracy)):
                rates[i] -= before.rates_s[i] + cut_s * rate(before.temp_c + error)
            measured, unmeasured = measured - before.measured_s - cut_s, unmeasured - before.unmeasured_s
        else:
            # The window begins in a gap: what is left of it counts at the utmost it may have been.
            left_s = after.at_s - start_s
            for i, sign in ((0, -1), (2, 1)):
                rates[i] -= after.rates_s[i] - left_s * rate(_utmost_c(rules, before, after, sign))
            rates[1] -= before.rates_s[1]
            measured, unmeasured = measured - before.measured_s, unmeasured - after.unmeasured_s + left_s
    elif rule.prior_c is not None and now.first_at_s is not None:
        prior_s = max(0.0, 3600.0 * rule.window_h - (now.at_s - now.first_at_s))
        rates = [r + prior_s * rate(rule.prior_c) for r in rates]
        measured += prior_s
    return Bounds(
        _mean_c(rates[0], measured + unmeasured, now.temp_c - rules.accuracy_c),
        _mean_c(rates[1], measured, now.temp_c),
        _mean_c(rates[2], measured + unmeasured, now.temp_c + rules.accuracy_c),
    )


def _mean_c(rate_s: float, time_s: float, otherwise_c: float) -> float:
    return temp_of_rate(rate_s / time_s) if time_s > 0.0 else otherwise_c


def _utmost_c(rules: Rules, before: Assessment, after: Assessment, sign: int) -> float:
    """The coldest or warmest it may have been in the gap between the two."""
    assert before.temp_c is not None
    assert after.temp_c is not None
    error, limits = sign * rules.accuracy_c, rules.product.probe_range_c
    ends = (before.temp_c + error, after.temp_c + error)
    return tally.turning_c(*ends, after.at_s - before.at_s, sign, limits[sign > 0])


def mkt_finding(rules: Rules, mkt: Bounds | None, now: Assessment) -> Finding | None:
    """The finding if the mean kinetic temperature as read is above the profile's limit."""
    rule = rules.product.mkt
    if rule is None or mkt is None or mkt.read <= rule.limit_c + MKT_TOLERANCE_C:
        return None
    text = f"mean kinetic temperature {mkt.read:.2f} °C over {rule.window_h:g} h at {clock_time(now.at_s)}"
    since_s = now.at_s - 3600.0 * rule.window_h
    if now.first_at_s is not None:
        since_s = max(since_s, now.first_at_s)
    return Finding(Outcome.QUARANTINE, f"{text}: at most {rule.limit_c:g} °C", now.at_s, "mkt", since_s)
