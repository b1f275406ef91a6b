"""A cold box: its heat, and the samples it takes of itself.

Five nodes – outer wall, inner air with liner, pack, payload, probes – so that an estimator of one or two nodes is
tested against something that it is not. Heat in kJ, resistances in K/W.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sitl.faults import BoxTroubles
from sitl.spec import BoxSpec

STEP_S = 0.5
"""explicit Euler; the fastest node (air against pack, about 50 s) allows it by far"""
SEAL_FACTOR = 8.0
"""a failed seal divides the resistance by this"""
LID_OPEN_K_W = 0.04
"""warm air that falls out and in: about 25 W/K through a 6 l opening"""
WALL_KJ_K = 0.8
AIR_SHARE = 0.15
"""of the box's heat capacity: air and liner; the rest is payload"""
PACK_K_W = 0.05
PAYLOAD_K_W = 0.25
PACK_SOLID_KJ_K = 1.0
"""sensible heat of the pack once it is molten"""
PROBES_S = (20.0, 35.0)
"""lag of each probe: both sit among the vials in glycol, as a probe that stands for the product must"""
NOISE_C = 0.04
HISTORY = 200
FILM_K_W = 0.15
"""between the skin of a 6 l box (0.33 m²) and air that moves at a few m/s (20 W/m²K): how much of the sun goes in"""


class BoxHeat:
    """The truth. `leak` puts seal and lid in parallel with the intact wall."""

    def __init__(self, spec: BoxSpec) -> None:
        self.spec = spec
        self.wall_c = self.air_c = self.payload_c = self.pack_c = spec.temp_c
        self.latent_kj = spec.pack_left_kj
        """still frozen"""
        if self.latent_kj > 0.0:
            self.pack_c = min(spec.temp_c, spec.pack_temp_c)
        self.probes_c = [self.payload_c] * len(PROBES_S)
        self._payload_kj_k = spec.capacity_kj_k * (1.0 - AIR_SHARE)
        self._air_kj_k = spec.capacity_kj_k * AIR_SHARE
        self._left_s = 0.0
        self.gained_kj = 0.0
        """from outside since the start, for the energy balance"""

    def reice(self) -> None:
        """A fresh pack."""
        self.latent_kj = self.spec.pack_latent_kj
        self.pack_c = self.spec.pack_temp_c

    def load(self, payload_c: float, pack_left_kj: float) -> None:
        self.payload_c = self.air_c = payload_c
        self.probes_c = [payload_c] * len(PROBES_S)
        self.latent_kj = pack_left_kj
        self.pack_c = min(payload_c, self.spec.pack_temp_c) if pack_left_kj > 0.0 else payload_c

    def stored_kj(self) -> float:
        """Heat content above 0 °C with a molten pack."""
        return (
            WALL_KJ_K * self.wall_c
            + self._air_kj_k * self.air_c
            + self._payload_kj_k * self.payload_c
            + PACK_SOLID_KJ_K * self.pack_c
            - self.latent_kj
        )

    def advance(
        self, duration_s: float, ambient_c: float, sun_w_m2: float = 0.0, *, seal_failed: bool, lid_open: bool
    ) -> None:
        """`sun_w_m2` falls on the lid from above; 0 in the shade."""
        self._left_s += duration_s
        while self._left_s >= STEP_S:
            self._left_s -= STEP_S
            self._step(STEP_S, ambient_c, sun_w_m2, seal_failed=seal_failed, lid_open=lid_open)

    def skin_c(self, ambient_c: float, sun_w_m2: float) -> float:
        """Sol-air temperature (Mackey & Wright, 1944): air that would heat the wall as this air with the sun does."""
        film = min(FILM_K_W, self.spec.resistance_k_w / 2.0)
        return ambient_c + sun_w_m2 * self.spec.absorptance * self.spec.sunlit_area_m2 * film

    def _step(self, dt: float, ambient_c: float, sun_w_m2: float, *, seal_failed: bool, lid_open: bool) -> None:
        half = self.spec.resistance_k_w / 2.0
        outer_w = (self.skin_c(ambient_c, sun_w_m2) - self.wall_c) / half
        inner_w = (self.wall_c - self.air_c) / half
        leak_w_k = (SEAL_FACTOR - 1.0) / self.spec.resistance_k_w if seal_failed else 0.0
        if lid_open:
            leak_w_k += 1.0 / LID_OPEN_K_W
        leak_w = (ambient_c - self.air_c) * leak_w_k
        pack_w = (self.air_c - self.pack_c) / PACK_K_W
        payload_w = (self.air_c - self.payload_c) / PAYLOAD_K_W
        kilo = dt / 1000.0
        self.gained_kj += (outer_w + leak_w) * kilo
        self.wall_c += (outer_w - inner_w) * kilo / WALL_KJ_K
        self.payload_c += payload_w * kilo / self._payload_kj_k
        self.air_c += (inner_w + leak_w - pack_w - payload_w) * kilo / self._air_kj_k
        self._melt(pack_w * kilo)
        for n, lag_s in enumerate(PROBES_S):
            self.probes_c[n] += (self.payload_c - self.probes_c[n]) * min(1.0, dt / lag_s)

    def _melt(self, heat_kj: float) -> None:
        """Sensible up to the melting point, latent there, sensible beyond; heat may also flow out and freeze it."""
        melting = self.spec.pack_temp_c
        if self.latent_kj > 0.0 and self.pack_c < melting:
            warm = min(heat_kj, (melting - self.pack_c) * PACK_SOLID_KJ_K)
            self.pack_c += warm / PACK_SOLID_KJ_K
            heat_kj -= warm
        if self.latent_kj > 0.0 and heat_kj > 0.0:
            melted = min(heat_kj, self.latent_kj)
            self.latent_kj -= melted
            heat_kj -= melted
        self.pack_c += heat_kj / PACK_SOLID_KJ_K


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a box is and what it feels there."""

    docked: bool
    amsl_m: float
    tilt_deg: float = 0.0


class BoxDevice:
    """The electronics: clock, probes, and the queue of samples still to send (oldest first)."""

    def __init__(self, spec: BoxSpec, now_s: float, seed: int) -> None:
        self.spec = spec
        self._rng = random.Random(f"{seed}/{spec.box_id}")
        self.boot_id = f"{self._rng.getrandbits(64):016x}"
        self.seq = 0
        self.queue: deque[bytes] = deque(maxlen=spec.buffer_samples)
        self.offline = False
        """its own link is gone: it samples, and sends nothing"""
        self.battery_pct = 100.0
        self._start_s = now_s
        self._next_s = now_s + self._rng.random() * spec.sample_s
        self._history: deque[bytes] = deque(maxlen=HISTORY)
        self._last: list[float | None] = []

    def tick(self, now_s: float, heat: BoxHeat, mount: Mount, troubles: BoxTroubles) -> None:
        """Takes the samples that are due."""
        self.offline = troubles.offline
        while now_s >= self._next_s:
            at_s = self._next_s
            self._next_s += self.spec.sample_s
            self.battery_pct = max(0.0, self.battery_pct - self.spec.sample_s * 100.0 / (72 * 3600.0))
            if troubles.silent:
                continue
            if troubles.replayed and self._history:
                self.queue.append(self._history[self._rng.randrange(len(self._history))])
                continue
            payload = self._sample(at_s, heat, mount, troubles)
            self._history.append(payload)
            self.queue.append(payload)

    def peek(self) -> bytes | None:
        """The oldest sample, if the box can send one now."""
        return self.queue[0] if self.queue and not self.offline else None

    def sent(self, sample: bytes) -> None:
        """The broker has it. Meanwhile a full buffer may have dropped it."""
        if self.queue and self.queue[0] is sample:
            self.queue.popleft()

    def take(self, limit: int | None = None) -> list[bytes]:
        """Sends up to that many of the oldest at once, as if each were acknowledged."""
        if self.offline or not self.queue:
            return []
        return [self.queue.popleft() for _ in range(len(self.queue) if limit is None else min(limit, len(self.queue)))]

    def _sample(self, at_s: float, heat: BoxHeat, mount: Mount, troubles: BoxTroubles) -> bytes:
        measured: list[float | None] = [
            round(t + self._rng.gauss(0.0, NOISE_C) + off, 2)
            for t, off in zip(heat.probes_c, troubles.probe_offset_c, strict=True)
        ]
        if troubles.nan:
            measured = [None] * len(measured)
        elif troubles.stuck and self._last:
            measured = self._last
        self._last = measured
        gained_s = (at_s - self._start_s) * self.spec.clock_drift_ppm * 1e-6
        box_s = at_s + self.spec.clock_skew_s + gained_s + troubles.skew_s
        sample: dict[str, Any] = {
            "boot_id": self.boot_id,
            "seq": self.seq,
            "box_time": datetime.fromtimestamp(box_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "temp_c": measured,
            "rh_pct": round(min(100.0, 45.0 + 2.0 * max(0.0, heat.air_c - 4.0)), 1),
            "lid": "open" if troubles.lid_open else "closed",
            "seal": "broken" if troubles.seal_reported else "ok",
            "tilt_deg": round(mount.tilt_deg, 1),
            "shock_g": round(abs(self._rng.gauss(0.0, 0.02)), 3),
            "light_lux": 9000.0 if troubles.lid_open else 0.0,
            "battery_pct": round(self.battery_pct, 1),
            "docked": mount.docked,
        }
        self.seq += 1
        if self.spec.key is not None:
            sample["hmac"] = hmac.new(self.spec.key.encode(), canonical(sample), hashlib.sha256).hexdigest()
        return canonical(sample)


def canonical(sample: dict[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(sample, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
