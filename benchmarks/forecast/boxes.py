"""The truth that forecasts of the cold chain are held against: many boxes at once, each with parameters of its own.

Six nodes – wall, inner air with liner, pack, outer and inner payload, probe – where the estimator has one and a pack.
Nothing here is known to the estimator but what a box is declared as, its samples, and the air the weather tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from missions.boxes import Box

Array = NDArray[np.float64]

DECLARED = (
    Box("6 l", 6.0, 1.2, frozenset(), 4.0, 150.0, 1.2, 7.0),
    Box("12 l", 12.0, 2.1, frozenset(), 4.0, 260.0, 1.0, 13.0),
    Box("3 l", 3.0, 0.8, frozenset(), 5.0, 80.0, 1.6, 4.0),
)
FAULTS = ("none", "lid", "seal", "pack_worn", "heat", "sun", "struck_later")
FAULT_SHARES = (0.40, 0.13, 0.13, 0.11, 0.11, 0.10, 0.02)
"""`struck_later`: a lid or seal that fails between the forecast and the arrival, which no forecast can know"""
HORIZONS_S = (180, 360, 720, 1440)
FORECAST_S = (240, 1500)
"""when the forecast is made, since the box was sealed"""
END_S = FORECAST_S[1] + HORIZONS_S[-1]
SAMPLE_S = 3
STEP_S = 0.5
"""explicit Euler; the fastest node takes 5 s with the lid open"""
SWAP_AFTER_S = 150.0
"""a re-icing stop: the pack is swapped that long after the forecast"""
SWAP_KJ_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Flights:
    """n drawn flights; all arrays have n entries."""

    box: NDArray[np.int64]
    """index into DECLARED"""
    fault: NDArray[np.int64]
    """index into FAULTS"""
    fault_s: Array
    forecast_s: NDArray[np.int64]
    declared_kj: Array
    """NaN: the pharmacy says nothing"""
    pack_kj: Array
    start_c: Array
    resistance_k_w: Array
    capacity_kj_k: Array
    pack_k_w: Array
    payload_k_w: Array
    inner_k_w: Array
    air_share: Array
    weather_c: Array
    """the air on the ground, as told"""
    off_c: Array
    """and how much it is off"""
    climb_s: Array
    height_m: Array
    leak_w_k: Array
    """what the fault opens"""
    shut_s: Array
    """when a lid is shut again"""
    heat_c: Array
    sun_c: Array
    """by how much the sun heats the skin"""
    told: NDArray[np.bool_]
    """the box's contact reports the fault"""
    probe_off_c: Array
    fresh_kj: Array

    def __len__(self) -> int:
        return len(self.box)


def draw(rng: np.random.Generator, n: int) -> Flights:
    box = rng.integers(0, len(DECLARED), n)
    latent, resistance, capacity, melt = (
        np.array([getattr(b, name) for b in DECLARED])[box]
        for name in ("pack_latent_kj", "resistance_k_w", "capacity_kj_k", "pack_temp_c")
    )
    fault = rng.choice(len(FAULTS), n, p=FAULT_SHARES)
    name = np.array(FAULTS)[fault]
    forecast_s = SAMPLE_S * (rng.integers(*FORECAST_S, n) // SAMPLE_S)
    before_s = np.minimum(forecast_s - 30.0, rng.uniform(30.0, 600.0, n))
    fault_s = np.where(name == "struck_later", forecast_s + rng.uniform(0.0, HORIZONS_S[-1], n), forecast_s - before_s)
    declared = np.where(rng.random(n) < 0.2, np.nan, rng.uniform(0.05, 0.95, n) * latent)
    told_kj = np.where(np.isnan(declared), rng.uniform(0.1, 0.95, n) * latent, declared)
    pack = np.clip(told_kj * rng.normal(1.0, 0.15, n) + rng.normal(0.0, 0.02, n) * latent, 0.0, latent)
    pack = np.where(name == "pack_worn", pack * rng.uniform(0.0, 0.4, n), pack)
    is_lid = (name == "lid") | ((name == "struck_later") & (rng.random(n) < 0.5))
    r = resistance * rng.lognormal(0.0, 0.12, n)
    leak = np.where(
        is_lid, 1.0 / np.exp(rng.uniform(np.log(0.04), np.log(0.6), n)), (rng.uniform(2.0, 12.0, n) - 1) / r
    )
    shut = np.where(is_lid & (rng.random(n) < 0.5), fault_s + rng.uniform(20.0, 180.0, n), np.inf)
    return Flights(
        box=box,
        fault=fault,
        fault_s=fault_s,
        forecast_s=forecast_s,
        declared_kj=declared,
        pack_kj=pack,
        start_c=melt + rng.uniform(0.2, 2.5, n),
        resistance_k_w=r,
        capacity_kj_k=capacity * rng.lognormal(0.0, 0.10, n),
        pack_k_w=np.exp(rng.uniform(np.log(0.015), np.log(0.12), n)),
        payload_k_w=np.exp(rng.uniform(np.log(0.08), np.log(0.45), n)),
        inner_k_w=np.exp(rng.uniform(np.log(0.02), np.log(0.2), n)),
        air_share=rng.uniform(0.08, 0.2, n),
        weather_c=rng.uniform(8.0, 42.0, n),
        off_c=rng.normal(0.0, 1.2, n),
        climb_s=rng.uniform(60.0, 600.0, n),
        height_m=rng.uniform(60.0, 500.0, n),
        leak_w_k=np.where(is_lid | np.isin(name, ("seal", "struck_later")), leak, 0.0),
        shut_s=shut,
        heat_c=np.where(name == "heat", rng.uniform(4.0, 12.0, n), 0.0),
        sun_c=np.where(name == "sun", rng.uniform(3.0, 12.0, n), 0.0),
        told=rng.random(n) < 0.8,
        probe_off_c=rng.normal(0.0, 0.12, n),
        fresh_kj=latent * np.clip(rng.normal(SWAP_KJ_SHARE, 0.04, n), 0.5, 1.0),
    )


@dataclass(frozen=True, slots=True)
class Histories:
    """What happened, one row a flight, one column every SAMPLE_S."""

    reading_c: Array
    payload_c: Array
    weather_c: Array
    open: NDArray[np.bool_]
    """the lid or seal contact reports it"""


def run(flights: Flights, rng: np.random.Generator, *, reice: bool = False) -> Histories:
    """Every flight from its sealing to END_S; with `reice` each has its pack swapped after its forecast."""
    f, n = flights, len(flights)
    melt = np.array([b.pack_temp_c for b in DECLARED])[f.box]
    wall_kj, pack_solid_kj = 0.12 * f.capacity_kj_k, 1.0
    air_kj = f.air_share * f.capacity_kj_k
    skin_kj = core_kj = 0.5 * (1.0 - f.air_share) * f.capacity_kj_k
    skin_c, core_c, air_c, wall_c = (f.start_c.copy() for _ in range(4))
    pack_c, latent, probe_c = np.minimum(melt, f.start_c), f.pack_kj.copy(), f.start_c.copy()
    drift = np.zeros(n)
    lag_s = rng.uniform(15.0, 40.0, n)
    columns = END_S // SAMPLE_S + 1
    out = [np.empty((n, columns)) for _ in range(3)]
    opened = np.empty((n, columns), dtype=np.bool_)
    every = round(SAMPLE_S / STEP_S)
    for k in range((columns - 1) * every + 1):
        t = k * STEP_S
        height_m = f.height_m * np.clip((t - f.climb_s) / 60.0, 0.0, 1.0)
        weather = f.weather_c - 0.0065 * height_m
        struck = (t >= f.fault_s) & (t < f.shut_s)
        if k % every == 0:
            c = k // every
            drift += -drift * SAMPLE_S / 600.0 + rng.normal(0.0, 0.6 * np.sqrt(2.0 * SAMPLE_S / 600.0), n)
            out[0][:, c] = np.round(probe_c + f.probe_off_c + rng.normal(0.0, 0.05, n), 2)
            out[1][:, c] = (skin_kj * skin_c + core_kj * core_c) / (skin_kj + core_kj)
            out[2][:, c] = weather
            opened[:, c] = struck & (f.leak_w_k > 0.0) & f.told
        if reice:
            swap = np.abs(t - f.forecast_s - SWAP_AFTER_S) < STEP_S / 4.0
            latent, pack_c = np.where(swap, f.fresh_kj, latent), np.where(swap, melt, pack_c)
        air_out = weather + f.off_c + drift + np.where(struck, f.heat_c, 0.0)
        half = f.resistance_k_w / 2.0
        into_wall = (air_out + np.where(struck, f.sun_c, 0.0) - wall_c) / half
        through = (wall_c - air_c) / half
        leak = (air_out - air_c) * np.where(struck, f.leak_w_k, 0.0)
        to_pack, to_skin = (air_c - pack_c) / f.pack_k_w, (air_c - skin_c) / f.payload_k_w
        to_core = (skin_c - core_c) / f.inner_k_w
        kilo = STEP_S / 1000.0
        wall_c = wall_c + (into_wall - through) * kilo / wall_kj
        air_c = air_c + (through + leak - to_pack - to_skin) * kilo / air_kj
        skin_c = skin_c + (to_skin - to_core) * kilo / skin_kj
        core_c = core_c + to_core * kilo / core_kj
        probe_c = probe_c + (skin_c - probe_c) * STEP_S / lag_s
        # Below its melting point the pack warms, at it it melts, beyond it warms again; and back.
        heat = to_pack * kilo + (pack_c - melt) * pack_solid_kj
        melted = np.clip(heat, latent - np.array([b.pack_latent_kj for b in DECLARED])[f.box], latent)
        latent = latent - melted
        pack_c = melt + (heat - melted) / pack_solid_kj
    return Histories(out[0], out[1], out[2], opened)
