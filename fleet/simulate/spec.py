"""What the simulator is told of a configured fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fleet.config import FleetConfig
from missions.sites import SiteKind
from missions.vehicles import Airframe, Vehicle

PAD_M = 6.0
"""between vehicles on a hub's pads"""
SAMPLE_S = 2.0

WireOf = Callable[[int, Vehicle], dict[str, Any]]
"""the links of the n-th vehicle, as fields of its spec"""
MODELS = {Airframe.MULTIROTOR: "quad", Airframe.VTOL: "vtol"}


def sim_spec(
    config: FleetConfig,
    world: Mapping[str, Any],
    *,
    seed: int,
    wire: WireOf,
    vehicles: Mapping[str, Mapping[str, Any]] | None = None,
    boxes: Mapping[str, Mapping[str, Any]] | None = None,
    carrying: bool = False,
) -> dict[str, Any]:
    """The fleet as configured, at home, in this weather; `vehicles` and `boxes` say by id what differs.

    `carrying`: the first box is on the first vehicle and so on, where no people load them.
    """
    ids = list(config.boxes)
    sites = config.sites
    ground = next(iter(sites.values())).elevation_amsl_m
    return {
        "seed": seed,
        "world": {"ground_amsl_m": ground, **world},
        "vehicles": [
            {
                "vehicle_id": v.vehicle_id,
                "system_id": v.system_id,
                "model": MODELS[v.type.airframe],
                "lat_deg": sites[v.home_site].position.lat_deg,
                "lon_deg": sites[v.home_site].position.lon_deg + i * PAD_M / 110_000.0,
                **({"box": ids[i]} if carrying and i < len(ids) else {}),
                "performance": {
                    "cruise_m_s": v.type.cruise_m_s,
                    "climb_m_s": v.type.climb_m_s,
                    "descent_m_s": v.type.descent_m_s,
                    "hover_power_w": v.type.hover_power_w,
                    "cruise_power_w": v.type.cruise_power_w,
                    "empty_mass_kg": v.type.empty_mass_kg,
                    "max_payload_kg": v.type.max_payload_kg,
                    "battery_wh": v.type.battery_wh,
                },
                **wire(i, v),
                **(vehicles or {}).get(v.vehicle_id, {}),
            }
            for i, v in enumerate(config.vehicles.values())
        ],
        "boxes": [
            {
                "box_id": b.box_id,
                "empty_mass_kg": b.empty_mass_kg,
                "resistance_k_w": b.resistance_k_w,
                "capacity_kj_k": b.capacity_kj_k,
                "pack_temp_c": b.pack_temp_c,
                "pack_latent_kj": b.pack_latent_kj,
                "pack_left_kj": b.pack_latent_kj,
                "sample_s": SAMPLE_S,
                **(boxes or {}).get(b.box_id, {}),
            }
            for b in config.boxes.values()
        ],
        "stations": [
            {
                "site_id": s.site_id,
                "lat_deg": s.position.lat_deg,
                "lon_deg": s.position.lon_deg,
                "reice_s": s.reice_s,
            }
            for s in sites.values()
            if s.kind is SiteKind.REICING
        ],
    }
