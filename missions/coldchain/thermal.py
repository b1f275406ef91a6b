"""A lumped thermal model of box, payload and pack, with what is not known about them carried as a distribution.

Heat flows from ambient through the wall (R) to the air inside, from there to the pack (R_p; latent heat E left at its
melting point T_m) and to the payload (R_i, capacity C). The air holds next to nothing, so its temperature follows at
once and one equation of first order remains: C·dT/dt = (T_air − T)/R_i. None of R (a seal can fail), E (a pack loses
its cold in the pharmacy), R_p and R_i (how box and payload are packed) can be read off a label in flight, so a bank of
hypotheses is carried: rows are multipliers of the declared R between which a box may switch (interacting multiple
models, Blom & Bar-Shalom 1988), columns are fixed guesses of E at loading, R_p and R_i. Each has its own temperature
and pack, moved by the exact solution of its equation and corrected by each sample as a scalar Kalman filter.

A probe shows what was a while ago: its own mass and that of the air and liner come between. So each hypothesis carries
what its probe would read besides what the payload is; else the first half minute after a lid has opened, in which no
probe shows anything yet, would speak for a lid that does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from missions.boxes import Box

Array = NDArray[np.float64]

MULTIPLIERS = np.array([1.3, 1.0, 0.77, 0.59, 0.45, 0.34, 0.25, 0.18, 0.125, 0.09, 0.06, 0.04, 0.025])
"""of the declared resistance: an intact box scatters by a quarter about its label, an open lid leaves a fortieth"""
INTACT = np.array([0.24, 0.5, 0.2, 0.03, 0.01, 0.005, 0.004, 0.003, 0.003, 0.002, 0.001, 0.001, 0.001])
FAILED = np.array([0.0, 0.01, 0.03, 0.06, 0.09, 0.11, 0.13, 0.13, 0.13, 0.11, 0.09, 0.06, 0.05])
COUPLINGS_K_W = np.array(
    [
        (0.0005, 0.0),
        (0.003, 0.0),
        (0.008, 0.0),
        (0.018, 0.0),
        (0.04, 0.0),
        (0.01, 0.1),
        (0.05, 0.1),
        (0.02, 0.3),
        (0.08, 0.3),
    ]
)
"""(air to pack, air to payload), K/W: from a pack wrapped round the payload to loose vials in a carton with the pack at
the far end; steps fine enough that the wall need not make up for them"""
COUPLING_WEIGHTS = np.array([0.12, 0.12, 0.12, 0.12, 0.12, 0.1, 0.1, 0.1, 0.1])
PACK_LEVELS = 7
EMPTY_WEIGHT = 0.03
"""chance that the pack is spent whatever was declared: forgotten in the sun, or swapped for a warm one"""
WORN_WEIGHT = 0.08
WORN_SHARES = (0.12, 0.35)
"""and that it holds but a part of it: worn, cracked, or frozen at its rim alone"""
SWITCH_PER_S = 2e-4
"""rate at which resistance changes without a flag: about one unseen failure in 80 minutes keeps the filter awake"""
CREEP_PER_S = 0.005
"""rate at which the resistance of a box with a failed seal moves to a neighbouring multiplier: a gasket peels on, and
the air takes a minute or two to warm, which looks like a leak that grows"""
FLAG_BELIEVED = 0.95
"""share of the belief in an intact box that moves when lid or seal contact opens"""
FLAG_CLEARED = 0.8
"""and back when it closes: a lid is on or it is not, but a gasket may be torn still"""
MENDED_BELIEVED = 0.9
"""of what the staff of a station say who have pressed the seal home and looked at it"""
SENSOR_VAR_C2 = 0.07**2
PROBE_LAG_S = 30.0
"""time constant with which a reading follows: a probe's own (10 to 40 s) and the air's in a leaking box"""
PROCESS_VAR_C2_S = 0.012**2
"""what the one-node model leaves out, as a random walk"""
OUTLIER = 0.01
"""share of samples that fit no hypothesis, so that one of them does not empty the bank"""
LEAST_WEIGHT = 1e-30
"""nothing is impossible; and numbers below 1e-308 would be computed ten times slower"""
LONGEST_STEP_S = 10.0
LONGEST_GAP_S = 1800.0
FRESH_SHARE = 0.9
"""of the latent heat in a pack taken from the station's freezer and tempered"""
FRESH_SD_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Priors:
    """Belief about a kind of box before its first sample; weights that add up to 1."""

    intact: tuple[float, ...]
    """of each of `MULTIPLIERS` where lid and seal hold"""
    couplings: tuple[float, ...]
    """of each of `COUPLINGS_K_W`"""


PRIORS = Priors(tuple((INTACT / INTACT.sum()).tolist()), tuple(COUPLING_WEIGHTS.tolist()))

_STEP = np.eye(len(MULTIPLIERS), k=1) + np.eye(len(MULTIPLIERS), k=-1)
_NEIGHBOURS = _STEP / _STEP.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True, eq=False)
class ThermalEstimate:
    """Belief about one box: arrays are (multiplier, guess); never written to after they are made."""

    box: Box
    at_s: float
    weight: Array
    temp_c: Array
    """of the payload"""
    probe_c: Array
    """what the probe shows of it by now"""
    var_c2: Array
    pack_kj: Array
    pack_k_w: Array
    """(guess,) R_p"""
    inner_k_w: Array
    """(guess,) R_i"""
    flagged: bool
    """lid open or seal broken, as last reported"""
    lid_since_s: float | None = None
    """the lid, and nothing but the lid, has been reported open since then"""

    @property
    def mean_c(self) -> float:
        return float(np.sum(self.weight * self.temp_c))

    @property
    def resistance_k_w(self) -> float:
        """Geometric mean of the belief."""
        log_r = np.log(MULTIPLIERS * self.box.resistance_k_w)
        return float(np.exp(np.sum(self.weight.sum(axis=1) * log_r)))

    @property
    def pack_left_kj(self) -> float:
        return float(np.sum(self.weight * self.pack_kj))


def initial(
    box: Box,
    temp_c: float,
    at_s: float,
    *,
    pack_left_kj: float | None = None,
    flagged: bool = False,
    priors: Priors = PRIORS,
) -> ThermalEstimate:
    """The belief at loading. `pack_left_kj` is what the pharmacy declared; None: anything up to fresh is likely."""
    levels, weights = _pack_prior(box, pack_left_kj)
    rows = FAILED if flagged else np.array(priors.intact)
    return _bank(box, temp_c, at_s, rows, levels, weights, np.array(priors.couplings), flagged)


def coupling_weights(estimate: ThermalEstimate) -> Array:
    """The belief in each of `COUPLINGS_K_W`."""
    return np.asarray(estimate.weight.sum(axis=0).reshape(-1, len(COUPLINGS_K_W)).sum(axis=0))


def _pack_prior(box: Box, declared_kj: float | None) -> tuple[Array, Array]:
    fresh = box.pack_latent_kj
    if declared_kj is None:
        mean, sd = 0.6 * fresh, 0.3 * fresh
    else:
        # A pack is judged by how it feels: a quarter of what is said, and 3 % of a fresh one, either way.
        mean, sd = declared_kj, max(0.25 * declared_kj, 0.03 * fresh)
    return _levels(mean, sd, fresh)


def _levels(mean_kj: float, sd_kj: float, fresh_kj: float) -> tuple[Array, Array]:
    """Equally likely levels of a normal distribution cut at 0 and fresh, and the empty and the worn pack."""
    dist = NormalDist(mean_kj, max(sd_kj, 1e-6))
    low, high = dist.cdf(0.0), dist.cdf(fresh_kj)
    if high - low < 1e-9:
        low, high = 0.0, 1.0
    shares = [low + (high - low) * (i + 0.5) / PACK_LEVELS for i in range(PACK_LEVELS)]
    levels = [min(fresh_kj, max(0.0, dist.inv_cdf(min(1 - 1e-9, max(1e-9, s))))) for s in shares]
    worn = [share * mean_kj for share in WORN_SHARES]
    sound = (1.0 - EMPTY_WEIGHT - WORN_WEIGHT) / PACK_LEVELS
    weights = [EMPTY_WEIGHT, *[WORN_WEIGHT / len(worn)] * len(worn), *[sound] * PACK_LEVELS]
    return np.array([0.0, *worn, *levels]), np.array(weights)


def _bank(
    box: Box,
    temp_c: float,
    at_s: float,
    rows: Array,
    levels: Array,
    level_weights: Array,
    coupling_weights: Array,
    flagged: bool,
) -> ThermalEstimate:
    pack = np.repeat(levels, len(COUPLINGS_K_W))
    couplings = np.tile(COUPLINGS_K_W, (len(levels), 1))
    columns = np.repeat(level_weights, len(COUPLINGS_K_W)) * np.tile(coupling_weights, len(levels))
    shape = (len(MULTIPLIERS), len(pack))
    return ThermalEstimate(
        box=box,
        at_s=at_s,
        weight=np.outer(rows / rows.sum(), columns),
        temp_c=np.full(shape, temp_c),
        probe_c=np.full(shape, temp_c),
        var_c2=np.full(shape, SENSOR_VAR_C2),
        pack_kj=np.broadcast_to(pack, shape).copy(),
        pack_k_w=couplings[:, 0],
        inner_k_w=couplings[:, 1],
        flagged=flagged,
    )


def reiced(
    estimate: ThermalEstimate, at_s: float, pack_kj: float | None = None, *, mended: bool = False
) -> ThermalEstimate:
    """The pack was swapped for a fresh one (or as declared). What is known of the resistance and of how all is packed
    stays, unless the staff say that they have mended the seal."""
    box = estimate.box
    if pack_kj is None:
        levels, weights = _levels(
            FRESH_SHARE * box.pack_latent_kj, FRESH_SD_SHARE * box.pack_latent_kj, box.pack_latent_kj
        )
    else:
        levels, weights = _pack_prior(box, pack_kj)
    rows = estimate.weight.sum(axis=1)
    if mended:
        rows = (1.0 - MENDED_BELIEVED) * rows + MENDED_BELIEVED * INTACT / INTACT.sum()
    return _bank(box, estimate.mean_c, at_s, rows, levels, weights, coupling_weights(estimate), estimate.flagged)


def update(
    estimate: ThermalEstimate,
    temp_c: float,
    ambient_c: float,
    at_s: float,
    lid_open: bool | None = None,
    seal_ok: bool | None = None,
) -> ThermalEstimate:
    """The belief after a believed reading. One that is not newer than the belief changes nothing."""
    dt = at_s - estimate.at_s
    if dt <= 0.0:
        return estimate
    new = _with_lid(_switch(estimate, dt, lid_open, seal_ok), at_s, lid_open, seal_ok)
    new = _drift(new, min(dt, LONGEST_GAP_S), ambient_c)
    spread = new.var_c2 + SENSOR_VAR_C2
    error = temp_c - new.probe_c
    fit = np.exp(-0.5 * error * error / spread) / np.sqrt(spread)
    weight = np.maximum(new.weight * (fit + OUTLIER), LEAST_WEIGHT)
    gain = new.var_c2 / spread
    return replace(
        new,
        at_s=at_s,
        weight=weight / weight.sum(),
        temp_c=new.temp_c + gain * error,
        probe_c=new.probe_c + gain * error,
        var_c2=new.var_c2 * (1.0 - gain),
    )


def _with_lid(estimate: ThermalEstimate, at_s: float, lid_open: bool | None, seal_ok: bool | None) -> ThermalEstimate:
    """A lid may be shut again, as `forecast` reckons with; a seal that has failed as well leaks on."""
    since_s = estimate.lid_since_s
    if lid_open is False or seal_ok is False:
        since_s = None
    elif lid_open and since_s is None:
        since_s = at_s
    return estimate if since_s == estimate.lid_since_s else replace(estimate, lid_since_s=since_s)


def _switch(estimate: ThermalEstimate, dt: float, lid_open: bool | None, seal_ok: bool | None) -> ThermalEstimate:
    """Resistance may have changed: by itself, rarely; surely, when a contact says so."""
    told = lid_open is not None or seal_ok is not None
    flagged = (lid_open is True or seal_ok is False) if told else estimate.flagged
    move = _transition(round(min(dt, 60.0), 1), estimate.flagged, flagged)
    w = estimate.weight
    mixed = move.T @ w
    safe = np.maximum(mixed, LEAST_WEIGHT)
    temp = (move.T @ (w * estimate.temp_c)) / safe
    probe = (move.T @ (w * estimate.probe_c)) / safe
    pack = (move.T @ (w * estimate.pack_kj)) / safe
    var = (move.T @ (w * (estimate.var_c2 + estimate.temp_c**2))) / safe - temp**2
    var = np.clip(var, 1e-6, 4.0)
    return replace(estimate, weight=mixed, temp_c=temp, probe_c=probe, pack_kj=pack, var_c2=var, flagged=flagged)


@lru_cache(maxsize=256)
def _transition(dt: float, was: bool, flagged: bool) -> Array:
    n = len(MULTIPLIERS)
    intact, failed = INTACT / INTACT.sum(), FAILED / FAILED.sum()
    stray = 0.7 * failed + 0.3 * (failed if flagged else intact)
    p = min(0.5, SWITCH_PER_S * dt)
    move = (1.0 - p) * np.eye(n) + p * np.tile(stray, (n, 1))
    if flagged:
        creep = min(0.25, CREEP_PER_S * dt)
        move = move @ ((1.0 - creep) * np.eye(n) + creep * _NEIGHBOURS)
    sound = MULTIPLIERS >= 0.7
    if flagged and not was:
        move[sound] = (1.0 - FLAG_BELIEVED) * move[sound] + FLAG_BELIEVED * failed
    elif was and not flagged:
        move[~sound] = (1.0 - FLAG_CLEARED) * move[~sound] + FLAG_CLEARED * intact
    move.setflags(write=False)
    return move


def _drift(estimate: ThermalEstimate, dt: float, ambient_c: float) -> ThermalEstimate:
    """Every hypothesis moved by dt, in steps short enough for one change of regime each."""
    steps = max(1, int(np.ceil(dt / LONGEST_STEP_S)))
    temp, probe, pack = estimate.temp_c, estimate.probe_c, estimate.pack_kj
    r = (MULTIPLIERS * estimate.box.resistance_k_w)[:, None]
    step_s = dt / steps
    for _ in range(steps):
        before = temp
        temp, pack = _advance(
            estimate.box, r, estimate.pack_k_w[None, :], estimate.inner_k_w[None, :], temp, pack, ambient_c, step_s
        )
        # Behind a payload that moves evenly over the step: it tends to be one time constant late.
        late = (temp - before) * (PROBE_LAG_S / step_s)
        probe = temp - late + (probe - before + late) * np.exp(-step_s / PROBE_LAG_S)
    var = estimate.var_c2 + PROCESS_VAR_C2_S * dt
    return replace(estimate, temp_c=temp, probe_c=probe, pack_kj=pack, var_c2=var)


def _advance(
    box: Box, r: Array, r_pack: Array, r_inner: Array, temp: Array, pack: Array, ambient_c: float, dt: float
) -> tuple[Array, Array]:
    """Temperature and pack after dt at constant ambient: the exact solution within a regime."""
    melt, full = box.pack_temp_c, box.pack_latent_kj
    flow = balance(box, r, r_pack, r_inner, ambient_c)
    active = np.where(temp >= melt, pack > 0.0, pack < full) | ((pack > 0.0) & (ambient_c > melt))
    decay = np.exp(-dt / flow.tau_s)
    with_pack = flow.settle_c + (temp - flow.settle_c) * decay
    taken_kj = (flow.steady_w * dt + flow.bend_w_k * (temp - flow.settle_c) * flow.tau_s * (1.0 - decay)) / 1000.0
    taken_kj = np.where(active, taken_kj, 0.0)
    over = taken_kj > pack
    share = np.where(active, np.where(over, pack / np.where(over, taken_kj, 1.0), 1.0), 0.0)
    at_end = temp + (with_pack - temp) * share
    free = ambient_c + (at_end - ambient_c) * np.exp(-(1.0 - share) * dt / flow.tau_free_s)
    return free, np.clip(pack - taken_kj, 0.0, full)


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """The solution's constants. With a working pack the payload tends to `settle_c` with `tau_s`, and the pack takes
    steady + bend · (T − settle) watts; without one it tends to ambient with `tau_free_s`."""

    settle_c: Array
    tau_s: Array
    steady_w: Array
    bend_w_k: Array
    tau_free_s: Array


def balance(box: Box, r: Array, r_pack: Array, r_inner: Array, ambient_c: float) -> Balance:
    """From the air's heat balance: (T_amb − T_a)/R = (T_a − T_m)/R_p + (T_a − T)/R_i."""
    c, melt = 1000.0 * box.capacity_kj_k, box.pack_temp_c
    g, gp = 1.0 / r, 1.0 / r_pack
    settle = (g * ambient_c + gp * melt) / (g + gp)
    # Off the balance the air moves with the payload by the share 1 / (1 + R_i (g + gp)).
    with_payload = 1.0 / (1.0 + r_inner * (g + gp))
    return Balance(
        settle_c=settle,
        tau_s=c * (1.0 / (g + gp) + r_inner),
        steady_w=gp * (settle - melt),
        bend_w_k=gp * with_payload,
        tau_free_s=c * (r + r_inner),
    )
