"""What is believed of a kind of box before its first sample, from what its maker declares and from recorded flights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from missions.boxes import Box
from missions.coldchain import thermal
from missions.coldchain.thermal import PRIORS, Array, Priors, ThermalEstimate

COLD_LIFE_AMBIENT_C = 43.0
COLD_LIFE_LIMIT_C = 10.0
"""WHO PQS E004 VP01: cold life ends when the warmest place inside comes to this, in air of 43 °C"""
PRIOR_FLIGHTS = 20.0
"""what was believed before counts as so many recorded flights"""
ROUNDS = 3


def resistance_of_cold_life(
    cold_life_h: float, pack_latent_kj: float, pack_temp_c: float, capacity_kj_k: float
) -> float:
    """The wall's thermal resistance, K/W: it lets in, in that time, the heat that pack and payload take up by then."""
    taken_kj = pack_latent_kj + capacity_kj_k * (COLD_LIFE_LIMIT_C - pack_temp_c)
    return (COLD_LIFE_AMBIENT_C - pack_temp_c) * 3.6 * cold_life_h / taken_kj


@dataclass(frozen=True, slots=True)
class Reading:
    """One believed sample of a record."""

    at_s: float
    temp_c: float
    ambient_c: float
    lid_open: bool | None = None
    seal_ok: bool | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One flight of a box whose lid and seal held, from sealing on."""

    box: Box
    readings: tuple[Reading, ...]
    pack_left_kj: float | None = None
    """as declared at the sealing"""


def followed(flight: Recorded, priors: Priors = PRIORS) -> ThermalEstimate:
    """The belief after a whole record. Raises ValueError for an empty one."""
    if not flight.readings:
        raise ValueError(f"the record of {flight.box.box_id} is empty: give at least one reading")
    first, *rest = flight.readings
    estimate = thermal.initial(
        flight.box, first.temp_c, first.at_s, pack_left_kj=flight.pack_left_kj, priors=priors
    )  # fmt: skip
    for r in rest:
        estimate = thermal.update(estimate, r.temp_c, r.ambient_c, r.at_s, r.lid_open, r.seal_ok)
    return estimate


def fitted(flights: Sequence[Recorded], before: Priors = PRIORS) -> Priors:
    """The priors that make the recorded flights likelier: expectation-maximisation over the bank's weights (Dempster,
    Laird & Rubin 1977), where what was believed before counts as `PRIOR_FLIGHTS` more.

    For flights whose lid and seal held: how often boxes fail is not learnt from a handful of them.
    """
    priors = before
    for _ in range(ROUNDS):
        ends = [followed(flight, priors) for flight in flights]
        priors = Priors(
            intact=_mixed(before.intact, [e.weight.sum(axis=1) for e in ends]),
            couplings=_mixed(before.couplings, [thermal.coupling_weights(e) for e in ends]),
        )
    return priors


def _mixed(before: Iterable[float], seen: Sequence[Array]) -> tuple[float, ...]:
    total = np.sum([PRIOR_FLIGHTS * np.array(tuple(before)), *seen], axis=0)
    return tuple(float(w) for w in total / total.sum())
