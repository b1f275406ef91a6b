"""From the checked model to the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from fleet.config.models import ContractModel, FleetFile, MqttModel
from fleet.config.secrets import Secrets
from fleet.config.values import (
    ApiConfig,
    ApiToken,
    AuthenticatedLink,
    FleetConfig,
    Handling,
    MqttConfig,
    RecordingConfig,
    Weather,
)
from fleet.mavlink.contract import Contract, Denial, Versions, parse_version
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from missions.boxes import Box
from missions.coldchain.calibration import resistance_of_cold_life
from missions.coldchain.product import Product
from missions.decision.types import Policy
from missions.routing.route import Corridor
from missions.sites import Site, SiteKind
from missions.snapshot import Wind
from missions.vehicles import ReturnRule, Vehicle, VehicleType
from missions.world import PlanningNumbers

_PX4_HIGHEST_M = 150.0
"""the most that PX4 lets RTL_RETURN_ALT be"""


def build(
    model: FleetFile,
    path: Path,
    products: Mapping[str, Product],
    airspace_files: tuple[Path, ...],
    terrain: Terrain,
    secrets: Secrets,
    mavlink_keys: Mapping[str, bytes],
    config_hash: str,
) -> FleetConfig:
    """The configuration. `model` was checked: every name in it resolves."""
    contracts = {t.name: _contract(t.contract) for t in model.vehicle_types}
    types = {
        t.name: VehicleType(**t.model_dump(exclude={"contract"}), returns=_returns(contracts[t.name]))
        for t in model.vehicle_types
    }
    first_hub = next(s.id for s in model.sites if s.kind is SiteKind.HUB)
    policy: Any = model.policy
    planning: Any = model.planning
    return FleetConfig(
        path=path,
        name=model.name,
        sites=_by_id({s.id: _site(s, terrain) for s in model.sites}),
        vehicle_types=_by_id(types),
        vehicles=_by_id({v.id: Vehicle(v.id, types[v.type], v.home, v.system_id) for v in model.vehicles}),
        links=_by_id({v.id: v.link for v in model.vehicles}),
        boxes=_by_id({b.id: _box(b) for b in model.boxes}),
        box_homes=_by_id({b.id: b.home or first_hub for b in model.boxes}),
        box_keys=_by_id(dict(secrets.box_keys)),
        products=_by_id(dict(products)),
        airspace_files=airspace_files,
        terrain=terrain,
        weather=Weather(
            air_c=model.weather.air_c,
            at_amsl_m=model.weather.at_amsl_m,
            lapse_k_km=model.weather.lapse_k_km,
            day_amplitude_k=model.weather.day_amplitude_k,
            lon_deg=next(s.lon for s in model.sites if s.id == first_hub),
            wind=Wind(model.weather.wind_north_m_s, model.weather.wind_east_m_s),
        ),
        policy=Policy(**policy.model_dump(), authorised_zones=frozenset(model.authorised_zones)),
        planning=PlanningNumbers(
            **planning.model_dump(exclude={"corridors"}),
            reserve_pct=policy.reserve_pct,
            min_p_reach=policy.min_p_reach,
            battery_margin_pct=policy.battery_margin_pct,
            corridors=tuple(
                Corridor(c.name, tuple(LatLon(p.lat, p.lon) for p in c.points), c.factor) for c in planning.corridors
            ),
        ),
        handling=Handling(model.handling.auto_load, model.handling.auto_reice),
        api=ApiConfig(
            model.api.host,
            model.api.port,
            tuple(ApiToken(t.name, t.role, secrets.tokens[t.name], t.scope) for t in model.api.tokens),
        ),
        mqtt=_mqtt(model.mqtt, path, secrets.mqtt_password),
        store_path=Path(model.store.path),
        gcs_system_id=model.gcs.system_id,
        config_hash=config_hash,
        uids=_by_id({v.id: v.uid for v in model.vehicles if v.uid is not None}),
        drivers=_by_id({v.id: v.driver for v in model.vehicles}),
        contracts=_by_id({v.id: contracts[v.type] for v in model.vehicles}),
        mavlink_keys=_by_id(dict(mavlink_keys)),
        profile=model.profile,
        authenticated_links=tuple(AuthenticatedLink(a.url, a.by) for a in model.authenticated_links),
        recording=RecordingConfig(
            None if model.recording.folder is None else Path(model.recording.folder),
            model.recording.max_mb,
            model.recording.keep_gb,
        ),
        secret=secrets.secret,
    )


def _by_id(values: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(values)


def _site(site: Any, terrain: Terrain) -> Site:
    at = LatLon(site.lat, site.lon)
    elevation = terrain.ground_amsl_m(at) if site.elevation_amsl_m is None else site.elevation_amsl_m
    assert elevation is not None, "checked: the ground is known at each site"
    return Site(site.id, site.name, site.kind, at, elevation, site.pads, site.reice_s, site.handover_s)


def _contract(contract: ContractModel) -> Contract:
    firmware = contract.firmware
    return Contract(
        may_set=contract.may_set,
        parameters=MappingProxyType(dict(contract.parameters)),
        minimum=None if firmware.minimum is None else parse_version(firmware.minimum),
        denied=tuple(Denial(Versions.parse(d.versions), d.reason) for d in firmware.deny),
    )


def _returns(contract: Contract) -> ReturnRule:
    """How PX4 returns by itself: what the contract leaves open counts as PX4's default."""
    kind, height = contract.parameters.get("RTL_TYPE"), contract.parameters.get("RTL_RETURN_ALT")
    rule = ReturnRule()
    if kind is not None:
        rule = replace(rule, rtl_type=int(kind.low) if kind.low is not None and kind.low == kind.high else -1)
    if height is not None:
        low, high = height.low, height.high
        lowest_m = rule.lowest_m if low is None else float(low)
        rule = replace(rule, lowest_m=lowest_m, highest_m=_PX4_HIGHEST_M if high is None else float(high))
    return rule


def _box(box: Any) -> Box:
    return Box(
        box_id=box.id,
        volume_l=box.volume_l,
        empty_mass_kg=box.empty_mass_kg,
        product_ids=frozenset(box.products),
        pack_temp_c=box.pack_temp_c,
        pack_latent_kj=box.pack_latent_kj,
        resistance_k_w=box.resistance_k_w
        or resistance_of_cold_life(box.cold_life_h, box.pack_latent_kj, box.pack_temp_c, box.capacity_kj_k),
        capacity_kj_k=box.capacity_kj_k,
    )


def _mqtt(mqtt: MqttModel, path: Path, password: str | None) -> MqttConfig:
    url = urlsplit(mqtt.url)
    tls = url.scheme == "mqtts"
    return MqttConfig(
        host=url.hostname or "",
        port=url.port or (8883 if tls else 1883),
        username=None if url.username is None else unquote(url.username),
        password=password,
        tls=tls,
        ca_file=None if mqtt.ca_file is None else path.parent / mqtt.ca_file,
        client_id=mqtt.client_id,
    )
