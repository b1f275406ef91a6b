"""Stability profiles: what temperatures a product tolerates for how long, and who says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Any, NoReturn

DEFAULT_MAX_GAP_S = 120.0
"""two missed minutes: a payload of 7 kJ/K behind a failed seal warms by at most 4 K in them"""

PROBE_LOWEST_C = -50.0
PROBE_HIGHEST_C = 70.0
"""ends of what common probes measure; −127 °C and 85 °C are what some of them say when they are broken"""
PROBE_MARGIN_C = 10.0


class Outcome(StrEnum):
    """What a broken rule makes of a dose."""

    QUARANTINE = "quarantine"
    """not to be used until a pharmacist or the manufacturer has judged it"""
    SPOILED = "spoiled"


@dataclass(frozen=True, slots=True)
class Excursion:
    """A range outside the label's band, next to it or to another excursion, and the time a dose may spend there."""

    name: str
    lower_c: float
    upper_c: float
    allowed_min: float | None
    """cumulative minutes; None: no limit of its own (the mean kinetic temperature may have one)"""


@dataclass(frozen=True, slots=True)
class Alarm:
    """At or beyond `threshold_c` for `minutes` or more: both edges inclusive, as in WHO/PQS/E006/TR07."""

    name: str
    threshold_c: float
    above: bool
    minutes: float
    consecutive: bool
    outcome: Outcome

    def holds(self, temp_c: float) -> bool:
        return temp_c >= self.threshold_c if self.above else temp_c <= self.threshold_c


@dataclass(frozen=True, slots=True)
class MktRule:
    """Mean kinetic temperature (USP <1079.2>) over a sliding window must not exceed `limit_c`."""

    limit_c: float
    window_h: float
    prior_c: float | None = None
    """what the part of the window before the first sample counts as; None: the mean is of the measured time alone"""


@dataclass(frozen=True, slots=True)
class Product:
    """A stability profile. In band means lower_c ≤ T ≤ upper_c; what is declared nowhere is quarantined at once."""

    product_id: str
    name: str
    source: str
    """the standard, regulation or label behind the numbers"""
    lower_c: float
    upper_c: float
    excursions: tuple[Excursion, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    mkt: MktRule | None = None
    spoiled_at_or_below_c: float | None = None
    spoiled_at_or_above_c: float | None = None
    light_lux_max: float | None = None
    tilt_deg_max: float | None = None
    shock_g_max: float | None = None
    rh_pct_max: float | None = None
    unagitated_max_min: float | None = None
    """longest time in the box, where nothing agitates it, whatever the temperature"""
    shelf_life_days: float | None = None
    """by its source, for people: what counts is the lot's expiry, which the order carries"""
    max_gap_s: float = DEFAULT_MAX_GAP_S
    """a longer time without a believable sample counts as unknown, not as the last value"""
    notes: str = ""

    def in_band(self, temp_c: float) -> bool:
        return self.lower_c <= temp_c <= self.upper_c

    def excess_c(self, temp_c: float) -> float:
        """How far outside the band, in kelvin; negative inside: the distance to the nearer edge."""
        return max(self.lower_c - temp_c, temp_c - self.upper_c)

    def excursion_at(self, temp_c: float) -> Excursion | None:
        """The declared excursion a temperature outside the band belongs to; an edge belongs to the milder range."""
        best: Excursion | None = None
        for e in self.excursions:
            if e.lower_c <= temp_c <= e.upper_c and (best is None or self._distance(e) < self._distance(best)):
                best = e
        return best

    @property
    def probe_range_c(self) -> tuple[float, float]:
        """What a working probe beside it can show: a reading outside is a broken probe, not a temperature."""
        return min(PROBE_LOWEST_C, self.lower_c - PROBE_MARGIN_C), max(PROBE_HIGHEST_C, self.upper_c + PROBE_MARGIN_C)

    def _distance(self, e: Excursion) -> float:
        return e.lower_c - self.upper_c if e.lower_c >= self.upper_c else self.lower_c - e.upper_c


class ProfileError(ValueError):
    """A profile that cannot be used: which file (or order), which field and where it stands, what is wrong, the fix."""

    def __init__(self, source: str, loc: Loc, problem: str, fix: str) -> None:
        super().__init__(f"{source}: {_path(loc)}: {problem}; {fix}")
        self.source, self.loc, self.field, self.problem, self.fix = source, loc, _path(loc), problem, fix


Loc = tuple[str | int, ...]


def _path(loc: Loc) -> str:
    """`excursions[0].lower_c` for ("excursions", 0, "lower_c")."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


_LIMITS = ("light_lux_max", "tilt_deg_max", "shock_g_max", "rh_pct_max", "unagitated_max_min", "shelf_life_days")
_FIELDS = {
    "product_id", "name", "source", "band", "excursions", "freeze", "alarms", "mkt", "spoiled", *_LIMITS,
    "max_gap_s", "notes",
}  # fmt: skip


def product_from_mapping(mapping: Mapping[str, Any], source: str) -> Product:
    """A profile from parsed YAML; `source` is the file's name, for messages. Raises ProfileError."""
    p = _Reader(mapping, source, ())
    p.only(_FIELDS)
    band = p.part("band", "the label's range, for example `band: {lower_c: 2, upper_c: 8}`")
    band.only({"lower_c", "upper_c"})
    lower, upper = band.number("lower_c"), band.number("upper_c")
    if lower >= upper:
        band.fail("lower_c", f"{lower:g} is not below upper_c {upper:g}", "swap them")
    spoiled = p.optional_part("spoiled")
    if spoiled is not None:
        spoiled.only({"at_or_below_c", "at_or_above_c"})
    product = Product(
        product_id=p.text("product_id", "a short name without spaces, as orders give it"),
        name=p.text("name", "what people call it"),
        source=p.text(
            "source", "the standard, regulation or label the numbers come from; without one nobody can sign it"
        ),
        lower_c=lower,
        upper_c=upper,
        excursions=tuple(_excursion(e) for e in p.parts("excursions")),
        alarms=(*_freeze(p, lower, upper), *(_alarm(a, lower, upper) for a in p.parts("alarms"))),
        mkt=_mkt(p),
        spoiled_at_or_below_c=spoiled.optional_number("at_or_below_c") if spoiled else None,
        spoiled_at_or_above_c=spoiled.optional_number("at_or_above_c") if spoiled else None,
        max_gap_s=p.optional_number("max_gap_s", above=0.0) or DEFAULT_MAX_GAP_S,
        notes=str(mapping.get("notes", "")).strip(),
        **{limit: p.optional_number(limit, above=0.0) for limit in _LIMITS},
    )
    _check_ranges(product, p)
    return product


def product_to_mapping(product: Product) -> dict[str, Any]:
    """The profile as `product_from_mapping` reads it, without what is left at its default."""
    spoiled = {"at_or_below_c": product.spoiled_at_or_below_c, "at_or_above_c": product.spoiled_at_or_above_c}
    mapping: dict[str, Any] = {
        "product_id": product.product_id,
        "name": product.name,
        "source": product.source,
        "band": {"lower_c": product.lower_c, "upper_c": product.upper_c},
        "excursions": [asdict(e) for e in product.excursions],
        "alarms": [_alarm_to_mapping(a) for a in product.alarms],
        "mkt": None if product.mkt is None else asdict(product.mkt),
        "spoiled": {end: temp for end, temp in spoiled.items() if temp is not None},
        **{limit: getattr(product, limit) for limit in _LIMITS},
        "max_gap_s": None if product.max_gap_s == DEFAULT_MAX_GAP_S else product.max_gap_s,
        "notes": product.notes,
    }
    return {key: value for key, value in mapping.items() if value not in (None, "", [], {})}


def _alarm_to_mapping(alarm: Alarm) -> dict[str, Any]:
    return {
        "name": alarm.name,
        "at_or_above_c" if alarm.above else "at_or_below_c": alarm.threshold_c,
        "consecutive_min" if alarm.consecutive else "cumulative_min": alarm.minutes,
        "outcome": alarm.outcome.value,
    }


def _excursion(e: _Reader) -> Excursion:
    e.only({"name", "lower_c", "upper_c", "allowed_min"})
    lower, upper = e.number("lower_c"), e.number("upper_c")
    if lower >= upper:
        e.fail("lower_c", f"{lower:g} is not below upper_c {upper:g}", "swap them")
    if "allowed_min" not in e.mapping:
        e.fail("allowed_min", "is missing", "give the cumulative minutes allowed, or null for no limit of its own")
    return Excursion(
        e.text("name", "orders give their budget by it"), lower, upper, e.optional_number("allowed_min", 0.0)
    )


def _alarm(a: _Reader, lower_c: float, upper_c: float) -> Alarm:
    a.only({"name", "at_or_above_c", "at_or_below_c", "consecutive_min", "cumulative_min", "outcome"})
    high, low = a.optional_number("at_or_above_c"), a.optional_number("at_or_below_c")
    if (high is None) == (low is None):
        a.fail("at_or_above_c", "and at_or_below_c: exactly one is needed", "give one threshold per alarm")
    run, total = a.optional_number("consecutive_min", 0.0), a.optional_number("cumulative_min", 0.0)
    if (run is None) == (total is None):
        a.fail("consecutive_min", "and cumulative_min: exactly one is needed", "say how the time is counted")
    outcome = a.mapping.get("outcome", "quarantine")
    if outcome not in set(Outcome):
        a.fail("outcome", f"{outcome!r} is not known", "use quarantine or spoiled")
    threshold, minutes = (high if high is not None else low), (run if run is not None else total)
    assert threshold is not None
    assert minutes is not None
    if lower_c <= threshold <= upper_c:
        a.fail(
            "at_or_above_c" if high is not None else "at_or_below_c",
            f"{threshold:g} °C lies inside the band",
            "move the threshold outside",
        )
    return Alarm(
        a.text("name", "it appears in verdicts"),
        threshold,
        high is not None,
        minutes,
        run is not None,
        Outcome(outcome),
    )


def _freeze(p: _Reader, lower_c: float, upper_c: float) -> tuple[Alarm, ...]:
    """The freeze rule is an alarm with a name of its own, because a mean never excuses it."""
    part = p.optional_part("freeze")
    if part is None:
        return ()
    return (_alarm(replace(part, mapping={"name": "freeze", **part.mapping}), lower_c, upper_c),)


def _mkt(p: _Reader) -> MktRule | None:
    m = p.optional_part("mkt")
    if m is None:
        return None
    m.only({"limit_c", "window_h", "prior_c"})
    return MktRule(m.number("limit_c"), m.number("window_h", above=0.0), m.optional_number("prior_c"))


def _check_ranges(product: Product, p: _Reader) -> None:
    """Band and excursions must tile one range: an overlap has two rules for a temperature, a hole has none."""
    names = [e.name for e in product.excursions]
    if len(set(names)) != len(names):
        p.fail("excursions", "two have the same name", "give each its own: orders give their budget by name")
    ranges = sorted(
        [(product.lower_c, product.upper_c, "band"), *((e.lower_c, e.upper_c, e.name) for e in product.excursions)]
    )
    for (_, end, first), (start, _, second) in pairwise(ranges):
        if start < end:
            p.fail(
                "excursions",
                f"{first} and {second} overlap from {start:g} to {end:g} °C",
                "let one end where the other starts",
            )
        if start > end:
            p.fail(
                "excursions", f"nothing is said about {end:g} to {start:g} °C between {first} and {second}",
                "let one end where the other starts",
            )  # fmt: skip
    low, high = product.spoiled_at_or_below_c, product.spoiled_at_or_above_c
    spoiled = replace(p, loc=("spoiled",))
    if low is not None and low >= product.lower_c:
        spoiled.fail("at_or_below_c", f"{low:g} lies inside the band", "it must be below band.lower_c")
    if high is not None and high <= product.upper_c:
        spoiled.fail("at_or_above_c", f"{high:g} lies inside the band", "it must be above band.upper_c")
    twice = [name for name, n in Counter(a.name for a in product.alarms).items() if n > 1]
    if twice:
        p.fail("alarms", f"two are named {twice[0]!r}", "give each its own: verdicts name the alarm")


@dataclass(frozen=True, slots=True)
class _Reader:
    """One mapping of the file, with where it stands in it."""

    mapping: Mapping[str, Any]
    source: str
    loc: Loc

    def fail(self, field: str, problem: str, fix: str) -> NoReturn:
        raise ProfileError(self.source, (*self.loc, field), problem, fix)

    def only(self, known: set[str]) -> None:
        for key in self.mapping:
            if key not in known:
                self.fail(str(key), "is not known here", f"use one of {', '.join(sorted(known))}")

    def text(self, field: str, what: str) -> str:
        value = self.mapping.get(field)
        if not isinstance(value, str) or not value.strip():
            self.fail(field, "is missing", f"give {what}" if not what.startswith("it ") else f"give one: {what}")
        return str(value).strip()

    def number(self, field: str, above: float | None = None) -> float:
        value = self.optional_number(field, above=above)
        if value is None:
            self.fail(field, "is missing", "give a number")
        return value

    def optional_number(self, field: str, at_least: float | None = None, above: float | None = None) -> float | None:
        value = self.mapping.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            self.fail(field, f"{value!r} is not a number", "give a finite number")
        number = float(value)
        if at_least is not None and number < at_least:
            self.fail(field, f"{number:g} is below {at_least:g}", f"give {at_least:g} or more")
        if above is not None and number <= above:
            self.fail(field, f"{number:g} is not above {above:g}", f"give more than {above:g}")
        return number

    def part(self, field: str, what: str) -> _Reader:
        part = self.optional_part(field)
        if part is None:
            self.fail(field, "is missing", f"give {what}")
        return part

    def optional_part(self, field: str) -> _Reader | None:
        value = self.mapping.get(field)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.fail(field, f"{value!r} is not a mapping", "give its fields as `name: value`")
        return _Reader(value, self.source, (*self.loc, field))

    def parts(self, field: str) -> list[_Reader]:
        value = self.mapping.get(field)
        if value is None:
            return []
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, Mapping) for v in value):
            self.fail(field, "is not a list of mappings", "start each entry with `- name: …`")
        return [_Reader(v, self.source, (*self.loc, field, i)) for i, v in enumerate(value)]
