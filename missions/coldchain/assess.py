"""Assessment of a temperature record against a product's rules: pure, incremental, exact.

A reading holds from its own time until the next one's; a longer wait than `max_gap_s` is unmeasured time, not held.
Temperatures are compared with limits as read, as labels and WHO's alarms mean them (JCGM 106, simple acceptance): the
accuracy of the probe is theirs already. What adds up is judged by its cautious end: unmeasured time is never in range,
and an excursion is allowed only while the most it may have spent is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf, nextafter

from missions.coldchain import tally
from missions.coldchain.product import Alarm, Outcome, Product, ProfileError
from missions.coldchain.tally import Bounds, Range, Span, Times, rate
from missions.snapshot import BoxVerdict

CLOCK_GRAIN_S = 1e-3
"""box times come in milliseconds, so sums of their differences are exact to that: an edge is met within it"""
DEFAULT_ACCURACY_C = 0.5
"""what WHO/PQS/E006 asks of a temperature logger, either way"""


@dataclass(frozen=True, slots=True)
class Rules:
    """A product's rules with what an order has left of its allowances, in seconds."""

    product: Product
    allowed_s: tuple[float | None, ...]
    """per excursion of the product"""
    max_gap_s: float
    expires_s: float | None = None
    """the lot's expiry, seconds since the Unix epoch"""
    accuracy_c: float = DEFAULT_ACCURACY_C
    """of the probes, either way"""
    bands: tuple[Range, ...] = field(init=False, repr=False, compare=False)
    """the label's, then each excursion's, then what lies below and above them all"""
    alarms: tuple[Range, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", _bands(self.product))
        alarms = [Range(a.threshold_c, inf) if a.above else Range(-inf, a.threshold_c) for a in self.product.alarms]
        object.__setattr__(self, "alarms", tuple(alarms))

    def tolerates(self, temp_c: float) -> bool:
        """Whether some time at this temperature is allowed at all."""
        e = self.product.excursion_at(temp_c)
        return self.product.in_band(temp_c) or (
            e is not None and self.allowed_s[self.product.excursions.index(e)] != 0.0
        )


def _bands(product: Product) -> tuple[Range, ...]:
    """As `Product.excursion_at` has them: an edge belongs to the milder range."""
    excursions = [
        Range(nextafter(e.lower_c, inf), e.upper_c)
        if e.lower_c >= product.upper_c
        else Range(e.lower_c, nextafter(e.upper_c, -inf))
        for e in product.excursions
    ]
    declared = (Range(product.lower_c, product.upper_c), *excursions)
    below = Range(-inf, nextafter(min(r.low_c for r in declared), -inf))
    above = Range(nextafter(max(r.high_c for r in declared), inf), inf)
    return (*declared, below, above)


def rules_for(
    product: Product,
    budget_min: Sequence[tuple[str, float]] = (),
    max_gap_s: float | None = None,
    expires_s: float | None = None,
    accuracy_c: float = DEFAULT_ACCURACY_C,
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
    return Rules(product, tuple(allowed), product.max_gap_s if max_gap_s is None else max_gap_s, expires_s, accuracy_c)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule: it stays broken."""

    outcome: Outcome
    why: str
    at_s: float
    """time of the reading that broke it"""
    rule: str = ""
    """its name: `band`, `spoiled`, `mkt`, `expiry`, `agitation`, `alarm.NAME`, `budget.NAME`, or a handling limit"""
    since_s: float | None = None
    """time of the first reading that counts for it; None: that one alone"""


@dataclass(frozen=True, slots=True)
class Tally:
    """Times per band and per alarm, in the order of `Rules`."""

    bands: Times
    alarms: Times


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a record amounts to, up to its last believed reading."""

    least: Tally
    read: Tally
    """here a gap neither adds nor breaks"""
    most: Tally
    rates_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """∑ duration · rate, for the mean kinetic temperature: least, as read, most"""
    first_at_s: float | None = None
    at_s: float = 0.0
    temp_c: float | None = None
    """the last believed reading: of the probe furthest out"""
    measured_s: float = 0.0
    unmeasured_s: float = 0.0
    gap_at_s: float | None = None
    """the last reading before the first gap"""
    touched: bool = False
    """it has been outside the band"""
    touched_at_s: float | None = None
    lowest_c: float | None = None
    highest_c: float | None = None
    finding: Finding | None = None

    @property
    def rate_s(self) -> float:
        return self.rates_s[1]

    @property
    def spent_s(self) -> tuple[float, ...]:
        """Per excursion, as read."""
        return self.read.bands.total_s[1:-2]

    @property
    def alarm_total_s(self) -> tuple[float, ...]:
        """Per alarm, as read."""
        return self.read.alarms.total_s

    @property
    def alarm_run_s(self) -> tuple[float, ...]:
        """Per alarm, without a break up to now, as read."""
        return self.read.alarms.run_s


def start(rules: Rules) -> Assessment:
    nothing = Tally(tally.no_times(len(rules.bands)), tally.no_times(len(rules.alarms)))
    return Assessment(nothing, nothing, nothing)


def furthest(product: Product, temps_c: Sequence[float]) -> float:
    """The reading to assess: of the probe furthest out of the band, or nearest to its edge."""
    return temps_c[0] if len(temps_c) == 1 else max(temps_c, key=product.excess_c)


def step(before: Assessment, rules: Rules, at_s: float, temp_c: float) -> Assessment:
    """One believed reading later than everything in `before`. Costs microseconds, whatever came before."""
    passed, outside = _passed(before, rules, at_s, temp_c), not rules.product.in_band(temp_c)
    new = Assessment(
        least=passed.least,
        read=passed.read,
        most=passed.most,
        rates_s=passed.rates_s,
        first_at_s=at_s if before.first_at_s is None else before.first_at_s,
        at_s=at_s,
        temp_c=temp_c,
        measured_s=passed.measured_s,
        unmeasured_s=passed.unmeasured_s,
        gap_at_s=passed.gap_at_s,
        touched=before.touched or outside,
        touched_at_s=at_s if outside and not before.touched else before.touched_at_s,
        lowest_c=temp_c if before.lowest_c is None else min(before.lowest_c, temp_c),
        highest_c=temp_c if before.highest_c is None else max(before.highest_c, temp_c),
        finding=before.finding,
    )
    return new if _final(new.finding) else with_finding(new, _broken(new, rules))


def until(a: Assessment, rules: Rules, now_s: float) -> Assessment:
    """The assessment with the time since its last reading: held for as long as a reading may be, unmeasured after."""
    if a.temp_c is None or now_s <= a.at_s:
        return a
    passed = _passed(a, rules, now_s, None)
    return passed if _final(a.finding) else with_finding(passed, _broken(passed, rules))


def _passed(a: Assessment, rules: Rules, at_s: float, next_c: float | None) -> Assessment:
    """The time from the last reading to `at_s`, where the next one says `next_c`, counted."""
    then, for_s = a.temp_c, at_s - a.at_s
    if then is None:
        return replace(a, at_s=at_s)
    accuracy = rules.accuracy_c
    low, high = then - accuracy, then + accuracy
    if for_s <= rules.max_gap_s:
        least = most = read = _held(a.read, rules, then, then, Range.meets, a.at_s, for_s)
        if not _certain(a, rules, low, high):
            least = _held(a.least, rules, low, high, Range.holds, a.at_s, for_s)
            most = _held(a.most, rules, low, high, Range.meets, a.at_s, for_s)
        r0, r1, r2 = a.rates_s
        rates = (r0 + for_s * rate(low), r1 + for_s * rate(then), r2 + for_s * rate(high))
        return replace(a, least=least, read=read, most=most, rates_s=rates, at_s=at_s, measured_s=a.measured_s + for_s)
    next_low, next_high = (None, None) if next_c is None else (next_c - accuracy, next_c + accuracy)
    coldest, warmest = rules.product.probe_range_c
    r0, r1, r2 = a.rates_s
    return replace(
        a,
        least=_unmeasured(a.least, rules, tally.must_be_in, then, next_c, a.at_s, for_s),
        most=_unmeasured(a.most, rules, tally.may_be_in, then, next_c, a.at_s, for_s),
        rates_s=(
            r0 + tally.gap_rate_s(low, next_low, for_s, -1, coldest),
            r1,
            r2 + tally.gap_rate_s(high, next_high, for_s, 1, warmest),
        ),
        at_s=at_s,
        unmeasured_s=a.unmeasured_s + for_s,
        gap_at_s=a.at_s if a.gap_at_s is None else a.gap_at_s,
    )


def _certain(a: Assessment, rules: Rules, low_c: float, high_c: float) -> bool:
    """True if nothing that was counted so far was in doubt, nor is this."""
    if not a.least is a.read is a.most:
        return False
    if rules.bands[0].holds(low_c, high_c):  # and in nothing else: excursions and alarms lie outside the band
        return True
    return not any(r.meets(low_c, high_c) and not r.holds(low_c, high_c) for r in (*rules.bands, *rules.alarms))


def _held(
    t: Tally, rules: Rules, low_c: float, high_c: float, test: Callable[[Range, float, float], bool],
    at_s: float, for_s: float,
) -> Tally:  # fmt: skip
    bands = tally.held(t.bands, [test(r, low_c, high_c) for r in rules.bands], at_s, for_s)
    alarms = tally.held(t.alarms, [test(r, low_c, high_c) for r in rules.alarms], at_s, for_s)
    return Tally(bands, alarms)


def _unmeasured(
    t: Tally, rules: Rules, spans: Callable[[Range, float, float | None, float, float], list[Span]],
    then_c: float, next_c: float | None, at_s: float, for_s: float,
) -> Tally:  # fmt: skip
    def through(times: Times, ranges: tuple[Range, ...]) -> Times:
        within = [spans(r, then_c, next_c, for_s, rules.accuracy_c) for r in ranges]
        return tally.spent(times, within, at_s, for_s)

    return Tally(through(t.bands, rules.bands), through(t.alarms, rules.alarms))


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
    if not a.touched:
        return overdue(rules, a.first_at_s, a.at_s)
    when, at_s = clock_time(a.at_s), a.at_s
    low, high = product.spoiled_at_or_below_c, product.spoiled_at_or_above_c
    if low is not None and temp <= low:
        return Finding(Outcome.SPOILED, f"{temp:.1f} °C at {when}: spoiled at or below {low:g} °C", at_s, "spoiled")
    if high is not None and temp >= high:
        return Finding(Outcome.SPOILED, f"{temp:.1f} °C at {when}: spoiled at or above {high:g} °C", at_s, "spoiled")
    worst: Finding | None = None
    for i, alarm in enumerate(product.alarms):
        times = a.read.alarms
        time_s = times.run_s[i] if alarm.consecutive else times.total_s[i]
        if (alarm.holds(temp) or time_s > 0.0) and time_s >= 60.0 * alarm.minutes - CLOCK_GRAIN_S:
            since_s = times.began_s[i] if alarm.consecutive else times.first_s[i]
            text = _alarm_text(alarm, time_s, when)
            found = Finding(alarm.outcome, text, at_s, f"alarm.{alarm.name}", since_s if time_s > 0.0 else None)
            if found.outcome is Outcome.SPOILED:
                return found
            worst = worst or found
    for i, (e, allowed_s) in enumerate(zip(product.excursions, rules.allowed_s, strict=True), 1):
        spent_s = a.read.bands.total_s[i]
        if allowed_s is not None and spent_s > allowed_s + CLOCK_GRAIN_S:
            text = f"{spent_s / 60:.1f} min in {e.name} ({e.lower_c:g} to {e.upper_c:g} °C) by {when}"
            text, since_s = f"{text}: {allowed_s / 60:g} min allowed", a.read.bands.first_s[i]
            worst = worst or Finding(Outcome.QUARANTINE, text, at_s, f"budget.{e.name}", since_s)
    if not product.in_band(temp):
        e_now = product.excursion_at(temp)
        band = f"{product.lower_c:g} to {product.upper_c:g} °C"
        if e_now is None:
            text = f"{temp:.1f} °C at {when}: outside {band}, no time allowed there"
            worst = worst or Finding(Outcome.QUARANTINE, text, at_s, "band")
        elif rules.allowed_s[product.excursions.index(e_now)] == 0.0:
            text = f"{temp:.1f} °C at {when}: outside {band}, the order has no budget left for {e_now.name}"
            worst = worst or Finding(Outcome.QUARANTINE, text, at_s, f"budget.{e_now.name}")
    return worst or overdue(rules, a.first_at_s, a.at_s)


def overdue(rules: Rules, first_at_s: float | None, at_s: float) -> Finding | None:
    """What time alone does, whatever the temperature: the lot's expiry, and too long in a box that does not agitate."""
    if rules.expires_s is not None and at_s >= rules.expires_s:
        expired = datetime.fromtimestamp(rules.expires_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return Finding(Outcome.QUARANTINE, f"the lot expired at {expired}", at_s, "expiry")
    longest_min = rules.product.unagitated_max_min
    if longest_min is not None and first_at_s is not None and at_s - first_at_s > 60.0 * longest_min + CLOCK_GRAIN_S:
        text = f"{(at_s - first_at_s) / 60:.1f} min without agitation by {clock_time(at_s)}"
        text = f"{text}: {longest_min:g} min allowed"
        return Finding(Outcome.QUARANTINE, text, at_s, "agitation", first_at_s)
    return None


def _alarm_text(alarm: Alarm, time_s: float, when: str) -> str:
    side, kind = ("≥" if alarm.above else "≤"), ("consecutive" if alarm.consecutive else "cumulative")
    text = f"{alarm.name}: {time_s / 60:.1f} min {kind} at {side} {alarm.threshold_c:g} °C by {when}"
    return f"{text}, {alarm.minutes:g} min is the limit"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on."""

    verdict: BoxVerdict
    why: str
    """one sentence"""
    rule: str
    """its name as in `Finding`; or `band` where all is well, `allowance`, `gap`, `silence`, `sensor`, `no_reading`"""
    since_s: float | None = None
    at_s: float | None = None
    """times of the first and the last reading that count for it"""


def judge(a: Assessment, rules: Rules, now_s: float) -> Judgement:
    """The verdict at `now_s`. The last reading holds until then, or is silent for too long."""
    if a.temp_c is None:
        return _overdue(rules, a, now_s) or Judgement(BoxVerdict.UNKNOWN, "no believable reading yet", "no_reading")
    silent_s = now_s - a.at_s
    lasting = until(a, rules, now_s) if a.touched and silent_s <= rules.max_gap_s else a
    if lasting.finding is not None:
        return of_finding(lasting.finding)
    late = _overdue(rules, a, now_s)
    if late is not None:
        return late
    if silent_s > rules.max_gap_s:
        text = f"no believable reading for {silent_s:.0f} s, {rules.max_gap_s:.0f} s is the limit"
        return Judgement(BoxVerdict.UNKNOWN, text, "silence", a.at_s, a.at_s)
    if a.gap_at_s is not None:
        text = f"{a.unmeasured_s:.0f} s of the record are missing"
        return Judgement(BoxVerdict.UNKNOWN, text, "gap", a.gap_at_s, a.at_s)
    if not a.touched:
        text = f"{a.lowest_c:.1f} to {a.highest_c:.1f} °C, within {_band(rules)}"
        return Judgement(BoxVerdict.IN_RANGE, text, "band", a.first_at_s, a.at_s)
    for e, left in budget_left(lasting, rules):
        if left.least < 0.0:
            text = f"whether {e} is overspent cannot be told: {-left.least:.1f} min over to {left.most:.1f} min left"
            return Judgement(BoxVerdict.UNKNOWN, text, f"budget.{e}", a.touched_at_s, a.at_s)
    return Judgement(BoxVerdict.EXCURSION_ALLOWED, excursion(a, rules), "allowance", a.touched_at_s, a.at_s)


def of_finding(found: Finding) -> Judgement:
    """The verdict of a broken rule."""
    kind = BoxVerdict.SPOILED if found.outcome is Outcome.SPOILED else BoxVerdict.QUARANTINE
    return Judgement(kind, found.why, found.rule, found.at_s if found.since_s is None else found.since_s, found.at_s)


def _overdue(rules: Rules, a: Assessment, now_s: float) -> Judgement | None:
    late = overdue(rules, a.first_at_s, now_s)
    return None if late is None else of_finding(late)


def _band(rules: Rules) -> str:
    return f"{rules.product.lower_c:g} to {rules.product.upper_c:g} °C"


def excursion(a: Assessment, rules: Rules) -> str:
    """The excursion the dose is or was in, one sentence; empty if none was ever read. Silence does not end it."""
    if a.finding is not None:
        return a.finding.why
    if not a.touched or a.temp_c is None:
        return ""
    used = [
        f"{spent / 60:.1f} min of {_minutes(allowed)} in {e.name} ({e.lower_c:g} to {e.upper_c:g} °C)"
        for e, spent, allowed in zip(rules.product.excursions, a.spent_s, rules.allowed_s, strict=True)
        if spent > 0.0 or (not rules.product.in_band(a.temp_c) and rules.product.excursion_at(a.temp_c) is e)
    ]
    return f"outside {_band(rules)}: {', '.join(used)}"


def _minutes(allowed_s: float | None) -> str:
    return "any time" if allowed_s is None else f"{allowed_s / 60:g} min"


def budget_left(a: Assessment, rules: Rules) -> tuple[tuple[str, Bounds], ...]:
    """What is left of each limited allowance, minutes; negative: overspent. `least` is what the dose carries on."""
    return tuple(
        (e.name, Bounds(*((allowed - t.bands.total_s[i]) / 60.0 for t in (a.most, a.read, a.least))))
        for i, (e, allowed) in enumerate(zip(rules.product.excursions, rules.allowed_s, strict=True), 1)
        if allowed is not None
    )


def clock_time(at_s: float) -> str:
    """Time of day in UTC, for sentences."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%SZ")
