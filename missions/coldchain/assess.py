"""Assessment of a temperature record against a product's rules: pure, incremental, exact.

A reading holds from its own time until the next one's; a longer wait than `max_gap_s` is unmeasured time, not held.
Mean kinetic temperature: USP <1079.2>, ΔH = 83.144 kJ/mol, weighted by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import exp, log

from missions.coldchain.product import Alarm, Outcome, Product, ProfileError
from missions.snapshot import BoxVerdict

ZERO_C_K = 273.15
ACTIVATION_K = 10_000.0
"""ΔH/R of USP <1079.2>: 83.144 kJ/mol over 8.3144e-3 kJ/(mol·K)"""


CLOCK_GRAIN_S = 1e-3
"""box times come in milliseconds, so sums of their differences are exact to that: an edge is met within it"""


def rate(temp_c: float) -> float:
    """Arrhenius rate relative to 0 °C; scaled so that sums over a month keep their precision."""
    return exp(ACTIVATION_K / ZERO_C_K - ACTIVATION_K / (ZERO_C_K + temp_c))


def temp_of_rate(mean_rate: float) -> float:
    """The temperature in °C with that rate: the inverse of `rate`."""
    return ACTIVATION_K / (ACTIVATION_K / ZERO_C_K - log(mean_rate)) - ZERO_C_K


def mkt_c(intervals: Iterable[tuple[float, float]]) -> float:
    """Mean kinetic temperature in °C of (duration, temperature in °C) pairs, by time. Direct evaluation.

    Raises ValueError without any duration.
    """
    pairs = list(intervals)
    total = sum(d for d, _ in pairs)
    if total <= 0:
        raise ValueError("a mean kinetic temperature needs time: the durations add up to zero")
    return temp_of_rate(sum(d * rate(t) for d, t in pairs) / total)


@dataclass(frozen=True, slots=True)
class Rules:
    """A product's rules with what an order has left of its allowances, in seconds."""

    product: Product
    allowed_s: tuple[float | None, ...]
    """per excursion of the product"""
    max_gap_s: float
    expires_s: float | None = None
    """the lot's expiry, seconds since the Unix epoch"""


def rules_for(
    product: Product,
    budget_min: Sequence[tuple[str, float]] = (),
    max_gap_s: float | None = None,
    expires_s: float | None = None,
) -> Rules:
    """Rules for an order: its budget can only shorten what the profile allows. Raises ProfileError for a budget that
    names no excursion of the product."""
    left = dict(budget_min)
    names = [e.name for e in product.excursions]
    for name in left:
        if name not in names:
            known = ", ".join(names) or "none: it has no allowance"
            problem = f"{product.product_id} has no such excursion"
            raise ProfileError("order", ("budget_min", name), problem, f"use {known}")
    allowed: list[float | None] = []
    for e in product.excursions:
        limits = [m for m in (e.allowed_min, left.get(e.name)) if m is not None]
        allowed.append(60.0 * max(0.0, min(limits)) if limits else None)
    return Rules(product, tuple(allowed), product.max_gap_s if max_gap_s is None else max_gap_s, expires_s)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule: it stays broken."""

    outcome: Outcome
    why: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a record amounts to, up to its last believed reading."""

    first_at_s: float | None = None
    at_s: float = 0.0
    temp_c: float | None = None
    """the last believed reading: of the probe furthest out"""
    measured_s: float = 0.0
    unmeasured_s: float = 0.0
    rate_s: float = 0.0
    """∑ duration · rate, for the mean kinetic temperature"""
    spent_s: tuple[float, ...] = ()
    """per excursion"""
    touched: bool = False
    """it has been outside the band"""
    alarm_total_s: tuple[float, ...] = ()
    alarm_run_s: tuple[float, ...] = ()
    """per alarm, without a break up to now; a gap neither adds nor breaks"""
    lowest_c: float | None = None
    highest_c: float | None = None
    finding: Finding | None = None


def start(rules: Rules) -> Assessment:
    product = rules.product
    zeros = (0.0,) * len(product.alarms)
    return Assessment(spent_s=(0.0,) * len(product.excursions), alarm_total_s=zeros, alarm_run_s=zeros)


def furthest(product: Product, temps_c: Sequence[float]) -> float:
    """The reading to assess: of the probe furthest out of the band, or nearest to its edge."""
    return temps_c[0] if len(temps_c) == 1 else max(temps_c, key=product.excess_c)


def step(before: Assessment, rules: Rules, at_s: float, temp_c: float) -> Assessment:
    """One believed reading later than everything in `before`. Costs microseconds, whatever came before."""
    product = rules.product
    measured, unmeasured, rate_s = before.measured_s, before.unmeasured_s, before.rate_s
    spent, totals, runs = before.spent_s, before.alarm_total_s, before.alarm_run_s
    held = 0.0
    if before.temp_c is not None:
        held = at_s - before.at_s
        if held > rules.max_gap_s:
            unmeasured += held
            held = 0.0
        else:
            measured += held
            rate_s += held * rate(before.temp_c)
    if held > 0.0 and before.temp_c is not None:
        then = before.temp_c
        if not product.in_band(then):
            e = product.excursion_at(then)
            spent = tuple(s + held if e is other else s for s, other in zip(spent, product.excursions, strict=True))
        if product.alarms:
            held_in = [a.holds(then) for a in product.alarms]
            totals = tuple(t + held if h else t for t, h in zip(totals, held_in, strict=True))
            runs = tuple(r + held if h else 0.0 for r, h in zip(runs, held_in, strict=True))
    new = Assessment(
        first_at_s=at_s if before.first_at_s is None else before.first_at_s,
        at_s=at_s,
        temp_c=temp_c,
        measured_s=measured,
        unmeasured_s=unmeasured,
        rate_s=rate_s,
        spent_s=spent,
        touched=before.touched or not product.in_band(temp_c),
        alarm_total_s=totals,
        alarm_run_s=runs,
        lowest_c=temp_c if before.lowest_c is None else min(before.lowest_c, temp_c),
        highest_c=temp_c if before.highest_c is None else max(before.highest_c, temp_c),
        finding=before.finding,
    )
    return new if _final(new.finding) else with_finding(new, _broken(new, rules))


def with_finding(assessment: Assessment, finding: Finding | None) -> Assessment:
    """The assessment with another broken rule; the first stays unless the new one is worse."""
    old = assessment.finding
    if finding is None or _final(old) or (old is not None and finding.outcome is old.outcome):
        return assessment
    return replace(assessment, finding=finding)


def _final(finding: Finding | None) -> bool:
    return finding is not None and finding.outcome is Outcome.SPOILED


def _broken(a: Assessment, rules: Rules) -> Finding | None:
    """The worst rule broken at the newest reading."""
    product, temp = rules.product, a.temp_c
    assert temp is not None
    when = clock_time(a.at_s)
    low, high = product.spoiled_at_or_below_c, product.spoiled_at_or_above_c
    if low is not None and temp <= low:
        return Finding(Outcome.SPOILED, f"{temp:.1f} °C at {when}: spoiled at or below {low:g} °C", a.at_s)
    if high is not None and temp >= high:
        return Finding(Outcome.SPOILED, f"{temp:.1f} °C at {when}: spoiled at or above {high:g} °C", a.at_s)
    worst: Finding | None = None
    for alarm, total_s, run_s in zip(product.alarms, a.alarm_total_s, a.alarm_run_s, strict=True):
        time_s = run_s if alarm.consecutive else total_s
        if (alarm.holds(temp) or time_s > 0.0) and time_s >= 60.0 * alarm.minutes - CLOCK_GRAIN_S:
            found = Finding(alarm.outcome, _alarm_text(alarm, time_s, when), a.at_s)
            if found.outcome is Outcome.SPOILED:
                return found
            worst = worst or found
    for e, spent_s, allowed_s in zip(product.excursions, a.spent_s, rules.allowed_s, strict=True):
        if allowed_s is not None and spent_s > allowed_s + CLOCK_GRAIN_S:
            text = f"{spent_s / 60:.1f} min in {e.name} ({e.lower_c:g} to {e.upper_c:g} °C) by {when}"
            worst = worst or Finding(Outcome.QUARANTINE, f"{text}: {allowed_s / 60:g} min allowed", a.at_s)
    if not product.in_band(temp):
        e_now = product.excursion_at(temp)
        band = f"{product.lower_c:g} to {product.upper_c:g} °C"
        if e_now is None:
            text = f"{temp:.1f} °C at {when}: outside {band}, no time allowed there"
            worst = worst or Finding(Outcome.QUARANTINE, text, a.at_s)
        elif rules.allowed_s[product.excursions.index(e_now)] == 0.0:
            text = f"{temp:.1f} °C at {when}: outside {band}, the order has no budget left for {e_now.name}"
            worst = worst or Finding(Outcome.QUARANTINE, text, a.at_s)
    return worst or overdue(rules, a.first_at_s, a.at_s)


def overdue(rules: Rules, first_at_s: float | None, at_s: float) -> Finding | None:
    """What time alone does, whatever the temperature: the lot's expiry, and too long in a box that does not agitate."""
    if rules.expires_s is not None and at_s >= rules.expires_s:
        expired = datetime.fromtimestamp(rules.expires_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return Finding(Outcome.QUARANTINE, f"the lot expired at {expired}", at_s)
    longest_min = rules.product.unagitated_max_min
    if longest_min is not None and first_at_s is not None and at_s - first_at_s > 60.0 * longest_min + CLOCK_GRAIN_S:
        text = (
            f"{(at_s - first_at_s) / 60:.1f} min without agitation by {clock_time(at_s)}: {longest_min:g} min allowed"
        )
        return Finding(Outcome.QUARANTINE, text, at_s)
    return None


def _alarm_text(alarm: Alarm, time_s: float, when: str) -> str:
    side, kind = ("≥" if alarm.above else "≤"), ("consecutive" if alarm.consecutive else "cumulative")
    text = f"{alarm.name}: {time_s / 60:.1f} min {kind} at {side} {alarm.threshold_c:g} °C by {when}"
    return f"{text}, {alarm.minutes:g} min is the limit"


def window_mkt_c(rules: Rules, now: Assessment, before: Assessment | None, after: Assessment | None) -> float | None:
    """Mean kinetic temperature over the product's window up to the newest reading; None without rule or time.

    `before` and `after` are the assessments on both sides of the window's start; None when the record is younger than
    the window: then the time before it counts as `prior_c`, if the profile gives one.
    """
    rule = rules.product.mkt
    if rule is None:
        return None
    rate_s, time_s, window_s = now.rate_s, now.measured_s, 3600.0 * rule.window_h
    if before is not None and after is not None and before.temp_c is not None:
        cut_s = (now.at_s - window_s) - before.at_s if after.measured_s > before.measured_s else 0.0
        rate_s -= before.rate_s + cut_s * rate(before.temp_c)
        time_s -= before.measured_s + cut_s
    elif rule.prior_c is not None and now.first_at_s is not None:
        prior_s = max(0.0, window_s - (now.at_s - now.first_at_s))
        rate_s, time_s = rate_s + prior_s * rate(rule.prior_c), time_s + prior_s
    return temp_of_rate(rate_s / time_s) if time_s > 0.0 else now.temp_c


MKT_TOLERANCE_C = 1e-6
"""rounding of a month's sum must not turn `at most` into `above`"""


def mkt_finding(rules: Rules, mkt: float | None, at_s: float) -> Finding | None:
    """The finding if the mean kinetic temperature is above the profile's limit."""
    rule = rules.product.mkt
    if rule is None or mkt is None or mkt <= rule.limit_c + MKT_TOLERANCE_C:
        return None
    text = f"mean kinetic temperature {mkt:.2f} °C over {rule.window_h:g} h at {clock_time(at_s)}"
    return Finding(Outcome.QUARANTINE, f"{text}: at most {rule.limit_c:g} °C", at_s)


def verdict(a: Assessment, rules: Rules, now_s: float) -> tuple[BoxVerdict, str]:
    """The verdict at `now_s` and the rule behind it, one sentence."""
    product = rules.product
    if a.finding is not None:
        kind = BoxVerdict.SPOILED if a.finding.outcome is Outcome.SPOILED else BoxVerdict.QUARANTINE
        return kind, a.finding.why
    late = overdue(rules, a.first_at_s, now_s)
    if late is not None:
        return BoxVerdict.QUARANTINE, late.why
    if a.temp_c is None:
        return BoxVerdict.UNKNOWN, "no believable reading yet"
    silent_s = now_s - a.at_s
    if silent_s > rules.max_gap_s:
        return BoxVerdict.UNKNOWN, f"no believable reading for {silent_s:.0f} s, {rules.max_gap_s:.0f} s is the limit"
    if a.unmeasured_s > 0.0:
        return BoxVerdict.UNKNOWN, f"{a.unmeasured_s:.0f} s of the record are missing"
    band = f"{product.lower_c:g} to {product.upper_c:g} °C"
    if not a.touched:
        return BoxVerdict.IN_RANGE, f"{a.lowest_c:.1f} to {a.highest_c:.1f} °C, within {band}"
    used = [
        f"{spent / 60:.1f} min of {_minutes(allowed)} in {e.name} ({e.lower_c:g} to {e.upper_c:g} °C)"
        for e, spent, allowed in zip(product.excursions, a.spent_s, rules.allowed_s, strict=True)
        if spent > 0.0 or product.excursion_at(a.temp_c) is e
    ]
    return BoxVerdict.EXCURSION_ALLOWED, f"outside {band}: {', '.join(used)}"


def _minutes(allowed_s: float | None) -> str:
    return "any time" if allowed_s is None else f"{allowed_s / 60:g} min"


def budget_left_min(a: Assessment, rules: Rules) -> tuple[tuple[str, float], ...]:
    """What is left of each limited allowance, minutes: carried on with the dose."""
    return tuple(
        (e.name, max(0.0, allowed - spent) / 60.0)
        for e, spent, allowed in zip(rules.product.excursions, a.spent_s, rules.allowed_s, strict=True)
        if allowed is not None
    )


def clock_time(at_s: float) -> str:
    """Time of day in UTC, for sentences."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%SZ")
