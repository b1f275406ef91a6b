"""Cold boxes: what one is, and one message of its telemetry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A cold box as declared by its maker."""

    box_id: str
    volume_l: float
    empty_mass_kg: float
    """with its pack"""
    product_ids: frozenset[str]
    """stability profiles the box is qualified for"""
    pack_temp_c: float
    """melting point of its phase-change pack"""
    pack_latent_kj: float
    """latent heat of a fresh pack"""
    resistance_k_w: float
    """thermal resistance inside to ambient with lid and seal intact"""
    capacity_kj_k: float
    """heat capacity of payload and inner wall"""


@dataclass(frozen=True, slots=True)
class BoxSample:
    """One sample as the box measured it. Times are the box's own clock, seconds since the Unix epoch."""

    box_id: str
    boot_id: str
    seq: int
    box_time_s: float
    temp_c: tuple[float | None, ...]
    """one per probe; None where the probe failed"""
    rh_pct: float | None = None
    lid_open: bool | None = None
    seal_ok: bool | None = None
    tilt_deg: float | None = None
    shock_g: float | None = None
    light_lux: float | None = None
    battery_pct: float | None = None
    docked: bool | None = None
    """contact of the vehicle's mount: False after a release; None where a box has no such contact"""
