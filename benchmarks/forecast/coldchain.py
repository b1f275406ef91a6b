"""Forecasts of the product's temperature and of its being in range, against the truth of `boxes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.forecast.boxes import (
    DECLARED,
    FAULTS,
    HORIZONS_S,
    SAMPLE_S,
    SWAP_AFTER_S,
    Array,
    Flights,
    Histories,
    draw,
    run,
)
from benchmarks.forecast.scores import Z90, coverage, crps_normal, interval_score
from missions.coldchain import thermal
from missions.coldchain.assess import Assessment, Rules, rules_for, start, step
from missions.coldchain.calibration import Reading, Recorded, fitted
from missions.coldchain.forecast import Outlook
from missions.coldchain.product import Product
from missions.coldchain.thermal import PRIORS, Priors

LEVEL_READINGS = 10
"""a persistence forecast takes the mean of the last half minute"""
PRODUCT = Product("label_2_8", "what is labelled for 2 to 8 °C", "this benchmark", 2.0, 8.0)


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One row a forecast."""

    fault: Array
    horizon_s: Array
    reiced: Array
    truth_c: Array
    mean_c: Array
    sd_c: Array
    low_c: Array
    high_c: Array
    p_in_range: Array
    in_range: Array
    broken_before: Array
    """a rule was broken when the forecast was made: nothing was left to foretell"""
    last_c: Array
    """mean of the last readings: what persistence foretells"""


def make(seed: int, flights: int, say: Callable[[str], None], priors: Priors = PRIORS) -> Forecasts:
    """Forecasts of that many drawn flights, one for each horizon; every fourth with a re-icing stop on the way."""
    rng = np.random.default_rng(seed)
    drawn = draw(rng, flights)
    noise = rng.integers(0, 2**32)
    straight = run(drawn, np.random.default_rng(noise))
    stopped = run(drawn, np.random.default_rng(noise), reice=True)
    rules = rules_for(PRODUCT)
    rows: list[tuple[float, ...]] = []
    for i in range(flights):
        if i % 200 == 0:
            say(f"seed {seed}: flight {i} of {flights}")
        reice = i % 4 == 3
        rows += _one(drawn, stopped if reice else straight, i, rules, priors, reice=reice)
    return Forecasts(*np.array(rows, dtype=np.float64).T)


def learnt(seed: int, flights: int) -> Priors:
    """Priors fitted to that many recorded flights without a fault."""
    rng = np.random.default_rng(seed)
    drawn = draw(rng, 4 * flights)
    h = run(drawn, rng)
    records = []
    for i in np.flatnonzero(drawn.fault == FAULTS.index("none"))[:flights]:
        readings = tuple(
            Reading(float(k * SAMPLE_S), float(h.reading_c[i, k]), float(h.weather_c[i, k]), False, True)
            for k in range(int(drawn.forecast_s[i]) // SAMPLE_S + 1)
        )
        records.append(Recorded(DECLARED[int(drawn.box[i])], readings, _declared(drawn, int(i))))
    return fitted(records)


def _declared(f: Flights, i: int) -> float | None:
    return None if np.isnan(f.declared_kj[i]) else float(f.declared_kj[i])


def _one(f: Flights, h: Histories, i: int, rules: Rules, priors: Priors, *, reice: bool) -> list[tuple[float, ...]]:
    box, now_s = DECLARED[int(f.box[i])], int(f.forecast_s[i])
    upto = now_s // SAMPLE_S
    declared = _declared(f, i)
    estimate = thermal.initial(box, float(h.reading_c[i, 0]), 0.0, pack_left_kj=declared, priors=priors)
    measured = step(start(rules), rules, 0.0, float(h.reading_c[i, 0]))
    for k in range(1, upto + 1):
        reading, told = float(h.reading_c[i, k]), bool(h.open[i, k])
        estimate = thermal.update(
            estimate, reading, float(h.weather_c[i, k]), float(k * SAMPLE_S), told, None if told else True
        )
        measured = step(measured, rules, float(k * SAMPLE_S), reading)
    outlook = Outlook(estimate, measured, rules, float(h.weather_c[i, upto]), float(now_s))
    truth_ok = _holds(rules, h.payload_c[i], upto)
    level = _level(h, i, upto)
    rows = []
    for horizon_s in HORIZONS_S:
        swap_s = now_s + SWAP_AFTER_S if reice and horizon_s > SWAP_AFTER_S else None
        end = upto + horizon_s // SAMPLE_S
        made = outlook(float(now_s + horizon_s), swap_s)
        low_c, high_c = outlook.interval_c(float(now_s + horizon_s), swap_s)
        rows.append(
            (
                float(f.fault[i]),
                float(horizon_s),
                float(swap_s is not None),
                float(h.payload_c[i, end]),
                made.temp_c.mean,
                made.temp_c.sd,
                low_c,
                high_c,
                made.p_in_range,
                float(end < truth_ok),
                float(measured.finding is not None or truth_ok <= upto),
                level,
            )
        )
    return rows


def _holds(rules: Rules, payload_c: Array, since: int) -> int:
    """The first column at which the truth has broken a rule."""
    a: Assessment = start(rules)
    for k in range(len(payload_c)):
        a = step(a, rules, float(k * SAMPLE_S), float(payload_c[k]))
        if a.finding is not None:
            return k
    return len(payload_c)


@dataclass(frozen=True, slots=True)
class Persistence:
    """It stays as it is, within what was seen to happen on the tuning seeds: 5 % and 95 % by horizon."""

    low_c: dict[float, float]
    high_c: dict[float, float]
    mean_c: dict[float, float]
    sd_c: dict[float, float]


def truths(seed: int, flights: int) -> Array:
    """Of that many drawn flights: horizon, and how far the truth then lay from the last readings."""
    rng = np.random.default_rng(seed)
    drawn = draw(rng, flights)
    noise = rng.integers(0, 2**32)
    straight = run(drawn, np.random.default_rng(noise))
    stopped = run(drawn, np.random.default_rng(noise), reice=True)
    rows = []
    for i in range(flights):
        h = stopped if i % 4 == 3 else straight
        upto = int(drawn.forecast_s[i]) // SAMPLE_S
        level = _level(h, i, upto)
        rows += [(float(s), float(h.payload_c[i, upto + s // SAMPLE_S]) - level) for s in HORIZONS_S]
    return np.array(rows, dtype=np.float64)


def _level(h: Histories, i: int, upto: int) -> float:
    return float(np.mean(h.reading_c[i, max(0, upto - LEVEL_READINGS + 1) : upto + 1]))


def tuned(seen: list[Array]) -> Persistence:
    rows = np.concatenate(seen)
    by: dict[float, Array] = {h: rows[rows[:, 0] == h, 1] for h in HORIZONS_S}
    return Persistence(
        {h: float(np.quantile(e, 0.05)) for h, e in by.items()},
        {h: float(np.quantile(e, 0.95)) for h, e in by.items()},
        {h: float(np.mean(e)) for h, e in by.items()},
        {h: float(np.std(e)) for h, e in by.items()},
    )


def joined(parts: list[Forecasts]) -> Forecasts:
    return Forecasts(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Forecasts)))


def figures(f: Forecasts, persistence: Persistence) -> dict[str, Any]:
    """Coverage overall, by horizon and by fault, sharpness against persistence, and how far p_in_range comes true."""

    def at(table: dict[float, float]) -> Array:
        return np.array([table[h] for h in f.horizon_s])

    low_p, high_p = f.last_c + at(persistence.low_c), f.last_c + at(persistence.high_c)
    mean_p, sd_p = f.last_c + at(persistence.mean_c), at(persistence.sd_c)
    table: dict[str, Any] = {}
    groups = {"all": np.ones(len(f.truth_c), dtype=np.bool_)}
    groups |= {f"in {h // 60} min": f.horizon_s == h for h in HORIZONS_S}
    groups |= {name: f.fault == k for k, name in enumerate(FAULTS)}
    groups["reiced"] = f.reiced > 0.0
    for name, of in groups.items():
        t = f.truth_c[of]
        table[name] = {
            "forecasts": int(of.sum()),
            "inside_90_pct": coverage(t, f.low_c[of], f.high_c[of]),
            "width_k": round(float(np.mean(f.high_c[of] - f.low_c[of])), 2),
            "interval_score_k": interval_score(t, f.low_c[of], f.high_c[of]),
            "crps_k": crps_normal(t, f.mean_c[of], f.sd_c[of]),
            "bias_k": round(float(np.mean(t - f.mean_c[of])), 3),
            "persistence": {
                "inside_90_pct": coverage(t, low_p[of], high_p[of]),
                "width_k": round(float(np.mean(high_p[of] - low_p[of])), 2),
                "interval_score_k": interval_score(t, low_p[of], high_p[of]),
                "crps_k": crps_normal(t, mean_p[of], sd_p[of]),
            },
        }
    return {"temperature": table, "p_in_range": reliability(f), "interval_z": round(Z90, 3)}


def reliability(f: Forecasts) -> list[dict[str, float]]:
    """Of the forecasts that gave a chance within each range, how many stayed in range."""
    open_ = f.broken_before == 0.0
    rows = []
    edges = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
    for low, high in pairwise(edges):
        of = open_ & (f.p_in_range >= low) & ((f.p_in_range < high) | ((high == 1.0) & (f.p_in_range <= 1.0)))
        if of.any():
            rows.append(
                {
                    "from": low,
                    "to": high,
                    "forecasts": int(of.sum()),
                    "mean_p": round(float(f.p_in_range[of].mean()), 3),
                    "stayed": round(float(f.in_range[of].mean()), 3),
                }
            )
    return rows
