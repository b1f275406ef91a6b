"""What a judged logger's file amounts to: as JSON, as text, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet.cli.coldchain_catalogue import alarm_limit
from fleet.cli.output import when
from fleet.loggers import LogFile
from missions.coldchain.assess import budget_left
from missions.coldchain.history import History
from missions.coldchain.product import Alarm
from missions.coldchain.tally import Bounds
from missions.snapshot import BoxVerdict

if TYPE_CHECKING:
    from rich.console import Group

    from fleet.maps.record import RecordPicture

USABLE = frozenset((BoxVerdict.IN_RANGE, BoxVerdict.EXCURSION_ALLOWED))
COLOURS = {"in_range": "green", "excursion_allowed": "green", "quarantine": "yellow", "unknown": "yellow"}
LISTED = 8
"""gaps told to people; JSON has all"""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A logger's file with the judgement of its readings."""

    log: LogFile
    interval_s: float | None
    """how far apart the readings usually are"""
    history: History

    @property
    def usable(self) -> bool:
        """The verdict lets the product be used."""
        return self.history.judgement.verdict in USABLE

    def row(self, at_s: float) -> int:
        """The reading of that time."""
        return min(int(np.searchsorted(self.log.at_s, at_s)), len(self.log.at_s) - 1)

    def sample(self, at_s: float | None) -> dict[str, Any] | None:
        """A reading as it stands in the file."""
        if at_s is None:
            return None
        i = self.row(at_s)
        temps = [None if t != t else round(float(t), 3) for t in self.log.temp_c[:, i]]
        return {"line": int(self.log.lines[i]), "at": when(float(self.log.at_s[i])), "temp_c": temps}

    def picture(self) -> RecordPicture:
        """What a plot of it shows."""
        from fleet.maps.record import RecordPicture

        h, product = self.history, self.history.rules.product
        since_s, at_s = h.judgement.since_s, h.judgement.at_s
        caused = None
        # Gaps are hatched each by itself: that a record is incomplete has no one place.
        if not self.usable and h.judgement.rule != "gap" and since_s is not None and at_s is not None:
            caused = since_s, at_s
        return RecordPicture(
            title=f"{_title(h.judgement.verdict)} · {product.name}",
            subtitle=h.judgement.why,
            facts=tuple(facts(self)),
            at_s=self.log.at_s,
            temp_c=self.log.temp_c,
            probes=self.log.probes,
            band_c=(product.lower_c, product.upper_c),
            excursions=tuple((e.name, e.lower_c, e.upper_c) for e in product.excursions),
            limits=tuple((a.name, a.threshold_c) for a in product.alarms),
            gaps=tuple((g.from_s, g.to_s) for g in h.gaps),
            caused=caused,
        )


def as_json(judged: Judged) -> dict[str, Any]:
    """Times in minutes, temperatures in °C; `least` and `most` are what accuracy and gaps allow."""
    log, h = judged.log, judged.history
    a, rules, product = h.assessment, h.rules, h.rules.product
    return {
        "file": str(log.path),
        "layout": log.layout,
        "probes": list(log.probes),
        "unit": log.unit,
        "zone": log.zone,
        "newest_first": log.newest_first,
        "readings": len(log.at_s),
        "believed": h.believed,
        "events": log.events,
        "duplicates": log.duplicates,
        "interval_s": judged.interval_s,
        "max_gap_s": rules.max_gap_s,
        "accuracy_c": rules.accuracy_c,
        "from": judged.sample(float(log.at_s[0])),
        "to": judged.sample(float(log.at_s[-1])),
        "product": {"product_id": product.product_id, "name": product.name, "source": product.source},
        "verdict": h.judgement.verdict.value,
        "usable": judged.usable,
        "why": h.judgement.why,
        "rule": h.judgement.rule,
        "samples": [judged.sample(h.judgement.since_s), judged.sample(h.judgement.at_s)],
        "lowest_c": a.lowest_c,
        "highest_c": a.highest_c,
        "measured_min": a.measured_s / 60.0,
        "unmeasured_min": a.unmeasured_s / 60.0,
        "mkt_c": _bounds(h.mkt_c),
        "highest_mkt": None
        if h.highest_mkt_c is None or product.mkt is None
        else {
            "mkt_c": _bounds(h.highest_mkt_c),
            "window_h": product.mkt.window_h,
            "limit_c": product.mkt.limit_c,
            "until": when(h.highest_mkt_at_s),
        },
        "bands": _bands(judged),
        "alarms": [_alarm(judged, i, alarm) for i, alarm in enumerate(product.alarms)],
        "freeze": freeze(judged),
        "budget": [{"name": name, "left_min": _bounds(left)} for name, left in budget_left(a, rules)],
        "gaps": [
            {"from": judged.sample(g.from_s), "to": judged.sample(g.to_s), "minutes": (g.to_s - g.from_s) / 60.0}
            for g in h.gaps
        ],
        "sensor": [{"fault": f.name, "readings": f.readings, "first": judged.sample(f.first_at_s)} for f in h.faults],
    }


def _bounds(b: Bounds | None, per: float = 1.0) -> dict[str, float] | None:
    return None if b is None else {"least": b.least / per, "read": b.read / per, "most": b.most / per}


def _bands(judged: Judged) -> list[dict[str, Any]]:
    """Time per band, from the coldest to the warmest; those outside everything declared only if they were met."""
    a, rules, product = judged.history.assessment, judged.history.rules, judged.history.rules.product
    names = ["band", *(e.name for e in product.excursions), "below", "above"]
    allowed = [None, *(None if s is None else s / 60.0 for s in rules.allowed_s), 0.0, 0.0]
    ends = [(product.lower_c, product.upper_c), *((e.lower_c, e.upper_c) for e in product.excursions)]
    low, high = min(lower for lower, _ in ends), max(upper for _, upper in ends)
    ends += [(None, low), (high, None)]  # type: ignore[list-item]
    found = []
    for i, (name, (lower, upper)) in enumerate(zip(names, ends, strict=True)):
        total = Bounds(*(t.bands.total_s[i] / 60.0 for t in (a.least, a.read, a.most)))
        found.append(
            {
                "name": name,
                "lower_c": lower,
                "upper_c": upper,
                "minutes": _bounds(total),
                "longest_min": a.read.bands.longest_s[i] / 60.0,
                "allowed_min": allowed[i],
            }
        )
    return sorted(found, key=lambda b: (b["lower_c"] is not None, b["lower_c"]))


def _alarm(judged: Judged, i: int, alarm: Alarm) -> dict[str, Any]:
    a = judged.history.assessment
    tallies = (a.least, a.read, a.most)
    times = [t.alarms.longest_s[i] if alarm.consecutive else t.alarms.total_s[i] for t in tallies]
    return {
        "name": alarm.name,
        "at_or_above_c" if alarm.above else "at_or_below_c": alarm.threshold_c,
        "consecutive_min" if alarm.consecutive else "cumulative_min": alarm.minutes,
        "outcome": alarm.outcome.value,
        "minutes": _bounds(Bounds(*(t / 60.0 for t in times))),
    }


def freeze(judged: Judged) -> dict[str, Any] | None:
    """Time at or below where the product counts as freezing, as read; None where it may freeze."""
    rules, log = judged.history.rules, judged.log
    below = [a.threshold_c for a in rules.product.alarms if not a.above]
    if rules.product.spoiled_at_or_below_c is not None:
        below.append(rules.product.spoiled_at_or_below_c)
    if not below:
        return None
    limit_c = max(below)
    coldest = np.full(len(log.at_s), np.inf)
    for probe in log.temp_c:
        coldest = np.fmin(coldest, probe)
    held_s = np.diff(log.at_s)
    frozen = (coldest[:-1] <= limit_c) & (held_s <= rules.max_gap_s)
    lowest = float(np.min(coldest))
    return {
        "at_or_below_c": limit_c,
        "minutes": float(np.sum(held_s[frozen])) / 60.0,
        "readings": int(np.sum(coldest <= limit_c)),
        "lowest_c": lowest if np.isfinite(lowest) else None,
    }


def facts(judged: Judged) -> list[tuple[str, str]]:
    """The head of a report for people."""
    log, h = judged.log, judged.history
    a, rules = h.assessment, h.rules
    every = "" if judged.interval_s is None else f" every {_span(judged.interval_s)}"
    told = [
        ("File", f"{log.path.name}: {log.layout}, °{log.unit}, clock {log.zone}"),
        ("Readings", f"{len(log.at_s)}{every}, {when(float(log.at_s[0]))} to {when(float(log.at_s[-1]))}"),
    ]
    if a.lowest_c is not None and a.highest_c is not None:
        told.append(("Temperature", f"{a.lowest_c:.1f} to {a.highest_c:.1f} °C, ± {rules.accuracy_c:g} K"))
    if h.mkt_c is not None:
        told.append(("Kinetic mean", f"{_range(h.mkt_c, '.2f')} °C over all of it"))
    if h.highest_mkt_c is not None and rules.product.mkt is not None:
        rule = rules.product.mkt
        told.append((f"Worst {rule.window_h:g} h", f"{_range(h.highest_mkt_c, '.2f')} °C, {rule.limit_c:g} °C allowed"))
    cold = freeze(judged)
    if cold is not None:
        told.append(("Freezing", f"{cold['minutes']:.1f} min at or below {cold['at_or_below_c']:g} °C"))
    for name, left in budget_left(a, rules):
        told.append(("Budget", f"{_range(left, '.1f')} min left of {name}"))
    if a.unmeasured_s > 0.0:
        told.append(("Missing", f"{_span(a.unmeasured_s)} in {len(h.gaps)} gap{'s' if len(h.gaps) != 1 else ''}"))
    return told


def as_text(judged: Judged) -> Group:
    """The report for people."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    h = judged.history
    colour = COLOURS.get(h.judgement.verdict.value, "red")
    head = Text.assemble((_title(h.judgement.verdict), f"bold {colour}"), "  ", h.judgement.why)
    lines = [s["line"] for s in map(judged.sample, (h.judgement.since_s, h.judgement.at_s)) if s is not None]
    where = "" if not lines else f"line {lines[0]}" if lines[0] == lines[-1] else f"lines {lines[0]} to {lines[-1]}"
    rule = Text(f"rule {h.judgement.rule}{': ' if where else ''}{where} of {judged.log.path}", style="dim")
    sheet = Table.grid(padding=(0, 2))
    for name, value in [("Product", h.rules.product.name), *facts(judged)]:
        sheet.add_row(Text(name, style="bold"), Text(value))
    bands = Table(box=None, header_style="bold", pad_edge=False)
    for column, justify in (("band", "left"), ("°C", "left"), ("min", "right"), ("least to most", "right"),
                            ("longest", "right"), ("allowed", "right")):  # fmt: skip
        bands.add_column(column, justify=justify)  # type: ignore[arg-type]
    for b in _bands(judged):
        if b["name"] in ("below", "above") and b["minutes"]["most"] == 0.0:
            continue
        bands.add_row(*_band_row(b))
    parts: list[Any] = [head, rule, Text(), sheet, Text(), bands]
    alarms = [_alarm(judged, i, alarm) for i, alarm in enumerate(h.rules.product.alarms)]
    if alarms:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("alarm", "limit", "min", "least to most"):
            table.add_column(column, justify="left" if column in ("alarm", "limit") else "right")
        for alarm, row in zip(h.rules.product.alarms, alarms, strict=True):
            m = row["minutes"]
            table.add_row(alarm.name, alarm_limit(alarm), f"{m['read']:.1f}", f"{m['least']:.1f} to {m['most']:.1f}")
        parts += [Text(), table]
    return Group(*parts)


def _band_row(b: dict[str, Any]) -> tuple[str, ...]:
    lower, upper, m = b["lower_c"], b["upper_c"], b["minutes"]
    ends = f"below {upper:g}" if lower is None else f"above {lower:g}" if upper is None else f"{lower:g} to {upper:g}"
    allowed = "label" if b["name"] == "band" else "any time" if b["allowed_min"] is None else f"{b['allowed_min']:g}"
    spread = f"{m['least']:.1f} to {m['most']:.1f}"
    return b["name"], ends, f"{m['read']:.1f}", spread, f"{b['longest_min']:.1f}", allowed


def notes(judged: Judged) -> list[str]:
    """What was left out or not believed, and what could be done about it."""
    log, h = judged.log, judged.history
    told = []
    if log.newest_first:
        told.append("the file has the newest reading first; it was read from its end")
    if log.duplicates:
        told.append(f"{log.duplicates} rows say again what the row before said; they count once")
    if log.events:
        told.append(f"{log.events} rows without a temperature (marks, downloads) were left out")
    for f in h.faults:
        first = judged.sample(f.first_at_s)
        told.append(f"{f.readings} readings: {f.name}, from line {first['line'] if first else '?'}")
    for gap in h.gaps[:LISTED]:
        a, b = judged.sample(gap.from_s), judged.sample(gap.to_s)
        assert a is not None
        assert b is not None
        told.append(f"gap of {_span(gap.to_s - gap.from_s)} between lines {a['line']} and {b['line']}")
    if len(h.gaps) > LISTED:
        told.append(f"and {len(h.gaps) - LISTED} more gaps; --json lists them all")
    if judged.interval_s is not None and judged.interval_s > h.rules.max_gap_s:
        minutes = h.rules.max_gap_s / 60.0
        text = (
            f"readings {_span(judged.interval_s)} apart say nothing of the time between: {minutes:g} min is the limit"
        )
        told.append(f"{text}; if yours is longer, --max-gap MIN")
    return told


def _title(verdict: BoxVerdict) -> str:
    return verdict.value.replace("_", " ").upper()


def _range(b: Bounds, spec: str) -> str:
    return f"{b.read:{spec}} ({b.least:{spec}} to {b.most:{spec}})"


def _span(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:g} s"
    return f"{seconds / 60:.4g} min" if seconds < 7200.0 else f"{seconds / 3600:.3g} h"
