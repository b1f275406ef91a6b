"""Boxes, profiles and series for the cold-chain tests, and a box simulated by other means than the product's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from missions.boxes import Box, BoxSample
from missions.coldchain.assess import Rules, rules_for
from missions.coldchain.monitor import Monitor, observe
from missions.coldchain.product import Product, product_from_mapping

CATALOGUE = Path(__file__).resolve().parents[2] / "configs" / "products"
T0 = 1_773_136_800.0
"""2026-03-10 10:00 UTC"""
BOX = Box("box-1", 6.0, 1.2, frozenset({"vaccine_freeze_sensitive"}), 4.0, 150.0, 1.2, 7.0)


def profile(name: str) -> Product:
    path = CATALOGUE / f"{name}.yaml"
    return product_from_mapping(YAML(typ="safe").load(path.read_text()), path.name)


def rules(name: str = "vaccine_freeze_sensitive", **more: object) -> Rules:
    return rules_for(profile(name), **more)  # type: ignore[arg-type]


def sample(seq: int, *temps: float | None, at: float | None = None, boot: str = "b1", **more: object) -> BoxSample:
    """One sample a second from T0 on unless `at` says otherwise."""
    time_s = T0 + (seq if at is None else at)
    return BoxSample("box-1", boot, seq, time_s, temps or (5.0,), **more)  # type: ignore[arg-type]


def noisy(n: int, mean_c: float = 5.0, seed: int = 1) -> list[BoxSample]:
    """A healthy series with the noise and resolution of a real probe."""
    rng = random.Random(seed)
    return [sample(i, round(mean_c + rng.gauss(0.0, 0.05), 2)) for i in range(n)]


def watched(samples: Sequence[BoxSample], by: Rules | None = None, delay_s: float = 0.2) -> Monitor:
    """A monitor that has seen the samples in this order, each when it was measured or later."""
    monitor, received = Monitor("box-1", by or rules()), 0.0
    for s in samples:
        received = max(received, s.box_time_s + delay_s)
        monitor = observe(monitor, s, received)
    return monitor


PROBE_S = 25.0
"""lag of a probe among the vials"""


def shown(truth: list[tuple[int, float, float]], lag_s: float = PROBE_S) -> list[float]:
    """What a probe reads each second: it follows the temperature late."""
    readings = [truth[0][1]]
    for _, temp, _ in truth[1:]:
        readings.append(readings[-1] + (temp - readings[-1]) / lag_s)
    return readings


def simulate(
    seconds: int,
    *,
    seal_fails_s: float | None = None,
    pack_kj: float = 20.0,
    start_c: float = 4.6,
    ambient_c: float = 38.0,
    coupling_k_w: float = 0.01,
    inner_k_w: float = 0.0,
    failed_share: float = 1 / 8,
) -> list[tuple[int, float, float]]:
    """(second, temperature, pack left in kJ) by Euler steps of 20 ms: nothing of the product's model is used."""
    temp, pack_j, dt, out = start_c, 1000.0 * pack_kj, 0.02, []
    for k in range(int(seconds / dt)):
        t = k * dt
        if k % round(1 / dt) == 0:
            out.append((round(t), temp, pack_j / 1000.0))
        r = 1.2 * failed_share if seal_fails_s is not None and t >= seal_fails_s else 1.2
        # Air without capacity between wall, pack and payload; with inner_k_w 0 it has the payload's temperature.
        g, gp, gi = 1.0 / r, 1.0 / coupling_k_w if pack_j > 0.0 else 0.0, 1.0 / max(inner_k_w, 1e-9)
        air = (g * ambient_c + gp * 4.0 + gi * temp) / (g + gp + gi)
        to_pack = (air - 4.0) * gp
        temp += ((ambient_c - air) * g - to_pack) * dt / 7000.0
        pack_j = max(0.0, pack_j - to_pack * dt)
    return out
