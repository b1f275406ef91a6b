"""The configuration in the repository: loads, says what it should, and its schema is current."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from fleet.api.auth import Role
from fleet.config import data_dir
from fleet.config.models import PlanningModel, PolicyModel
from fleet.config.schema import schema_path, schema_text
from geofences.geodesy import LatLon, LocalFrame
from missions.decision.types import Policy
from missions.sites import SiteKind
from missions.world import PlanningNumbers

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

VALLEY_M = {
    "teral": (0, 0),
    "ndeba": (5200, 2600),
    "koru": (6800, -2400),
    "salme": (-4200, 4600),
    "orvane": (2500, -6200),
    "midway": (3500, -1000),
    "quarry": (2600, 3600),
    "ferry": (-2200, 1900),
    "kiln": (44.15, -4401.6),
}


def test_the_data_folder_of_a_checkout_is_its_configs():
    assert data_dir() == CONFIGS


def test_the_demonstration_has_one_hub_four_clinics_a_re_icing_station_and_three_alternates(sandbox):
    config = sandbox.load()
    kinds = [s.kind for s in config.sites.values()]
    assert [kinds.count(k) for k in (SiteKind.HUB, SiteKind.CLINIC, SiteKind.REICING, SiteKind.ALTERNATE)] == [
        1,
        4,
        1,
        3,
    ]
    assert config.sites["teral"].pads == 4
    assert {s.elevation_amsl_m for s in config.sites.values()} == {420.0}


@pytest.mark.parametrize(("site", "east_north_m"), VALLEY_M.items())
def test_the_sites_stand_where_the_valley_s_plan_puts_them(sandbox, site, east_north_m):
    frame = LocalFrame(LatLon(7.5, 38.2))
    east_m, north_m = frame.to_xy([sandbox.load().sites[site].position])[0]
    assert (east_m, north_m) == pytest.approx(east_north_m, abs=0.05)


def test_the_demonstration_s_fleet(sandbox):
    config = sandbox.load()
    courier = config.vehicle_types["courier-x8"]
    assert (courier.cruise_m_s, courier.battery_wh, courier.max_payload_kg) == (20.0, 710.0, 3.0)
    assert [(v.system_id, v.home_site) for v in config.vehicles.values()] == [(1, "teral"), (2, "teral"), (3, "teral")]
    assert set(config.links.values()) == {("udpin://127.0.0.1:14550",)}
    box = config.boxes["box-3"]
    assert (box.pack_latent_kj, box.resistance_k_w, box.capacity_kj_k) == (150.0, 1.2, 7.0)
    assert box.product_ids < set(config.products), "a pack of 4 °C is not for frozen goods"
    assert config.box_homes == {"box-1": "teral", "box-2": "teral", "box-3": "teral"}
    assert config.terrain.ground_amsl_m(LatLon(7.5, 38.2)) == 420.0
    assert config.weather.air_c_at(1420.0, 0.0) == pytest.approx(31.5)
    assert config.api.host == "127.0.0.1"
    assert {t.role for t in config.api.tokens} == set(Role)
    assert config.policy.reserve_pct == config.planning.reserve_pct == 20.0
    assert config.planning.drop_height_agl_m == 8.0
    assert config.planning.ceiling_agl_m == 120.0
    assert config.planning.layers_agl_m[0] == 80.0


def test_the_file_in_the_repository_fits_the_schema_that_editors_use():
    data = YAML(typ="safe", pure=True).load(CONFIGS / "fleet.yaml")
    jsonschema.Draft202012Validator(json.loads(schema_text())).validate(data)


def test_the_committed_schema_is_that_of_the_models():
    assert schema_path().read_text(encoding="utf-8") == schema_text(), "run `python -m fleet.config.schema`"


def test_the_schema_explains_keys_and_refuses_unknown_ones():
    schema = json.loads(schema_text())
    assert schema["$defs"]["VehicleModel"]["properties"]["home"]["description"] == "the hub where it stands"
    assert schema["$defs"]["SiteModel"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("model", "cls", "elsewhere"),
    [
        (PolicyModel, Policy, {"authorised_zones"}),
        (PlanningModel, PlanningNumbers, {"reserve_pct", "min_p_reach", "battery_margin_pct"}),
    ],
)
def test_every_number_of_the_domain_can_be_configured_with_the_domain_s_default(model, cls, elsewhere):
    fields = {f.name: f.default for f in dataclasses.fields(cls) if f.name not in elsewhere}
    assert {name: f.default for name, f in model.model_fields.items()} == fields
    model()


def test_secrets_are_not_shown_when_a_configuration_is_printed(sandbox):
    sandbox.replace("mqtt://coldwing:demo-broker-password@127.0.0.1:1883", "mqtt://fleet:hush-hush@127.0.0.1:1883")
    config = sandbox.load(COLDWING_BOX_KEY_BOX_1="a key of box number one", COLDWING_SECRET="deep")
    assert config.mqtt.password == "hush-hush"
    assert config.box_keys == {"box-1": b"a key of box number one"}
    assert config.secret == b"deep"
    for hidden in ("hush-hush", "a key of box", "deep", "demo-operator-token"):
        assert hidden not in repr(config)
    assert config.mqtt.url == "mqtt://fleet@127.0.0.1:1883"


def test_the_hashes_change_with_what_they_stand_for_and_with_nothing_else(sandbox):
    before = sandbox.load()
    sandbox.replace("demo-operator-token", "another-operator-token")
    secret_changed = sandbox.load(COLDWING_SECRET="x")
    assert secret_changed.config_hash == before.config_hash
    type_file = sandbox.folder / "vehicles" / "courier-x8.yaml"
    type_file.write_text(type_file.read_text().replace("battery_wh: 710", "battery_wh: 700"))
    type_changed = sandbox.load()
    assert type_changed.config_hash != before.config_hash
    assert type_changed.policy_hash == before.policy_hash
    (sandbox.folder / "airspace" / "valley.ed318.json").write_text('{"type": "FeatureCollection", "features": [1]}')
    assert sandbox.load().config_hash != type_changed.config_hash
    sandbox.replace("margin_m: 30", "margin_m: 40")
    assert sandbox.load().policy_hash != before.policy_hash
