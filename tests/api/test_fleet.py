"""Vehicles, airspace and sites over HTTP."""

from math import nan

import httpx
import pytest

from fleet.api.views import vehicle_json
from geofences.formats import geojson
from tests.support.calls import CLINIC, OPERATOR, VIEWER, codes
from tests.support.fake_service import ZONES, FakeFleet

CLOSURE = {
    "type": "Feature",
    "properties": {
        "id": "closure-7",
        "role": "keep_out",
        "radius_m": 800,
        "lower_m": 0,
        "lower_datum": "AGL",
        "upper_m": 150,
        "upper_datum": "AGL",
    },
    "geometry": {"type": "Point", "coordinates": [38.17, 7.52]},
}


async def test_vehicles_show_what_is_known_and_never_a_number_that_is_none(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.set_vehicle("cw-2", battery_pct=nan, ground_speed_m_s=float("inf"), link="stale", heard_age_s=12.5)
    shown = (await api.get("/v1/vehicles/cw-2", headers=VIEWER)).json()
    assert (shown["battery_pct"], shown["ground_speed_m_s"]) == (None, None)
    assert (shown["link"], shown["heard_age_s"]) == ("stale", 12.5)
    assert vehicle_json(fleet.vehicle_views["cw-2"])["battery_pct"] is None
    listed = (await api.get("/v1/vehicles", headers=VIEWER)).json()["vehicles"]
    assert [v["vehicle_id"] for v in listed] == ["cw-1", "cw-2", "cw-3"]
    missing = await api.get("/v1/vehicles/cw-9", headers=VIEWER)
    assert (missing.status_code, codes(missing)) == (404, ["vehicle_unknown"])


async def test_an_operators_command_reaches_the_service_with_who_gave_it(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    for command in ("hold", "resume", "return", "land"):
        answer = await api.post("/v1/vehicles/cw-1/commands", json={"command": command}, headers=OPERATOR)
        assert answer.status_code == 200
    assert [(v, c.value, who) for v, c, who in fleet.commands] == [
        ("cw-1", "hold", "olga"),
        ("cw-1", "resume", "olga"),
        ("cw-1", "return", "olga"),
        ("cw-1", "land", "olga"),
    ]


async def test_a_vehicle_whose_link_is_stale_cannot_be_commanded_and_says_what_it_will_do(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.set_vehicle("cw-1", link="stale")
    refused = await api.post("/v1/vehicles/cw-1/commands", json={"command": "hold"}, headers=OPERATOR)
    assert (refused.status_code, codes(refused)) == (409, ["link_stale"])
    assert "return to Teral Hub" in refused.json()["reasons"][0]["fix"]
    assert not fleet.commands


@pytest.mark.parametrize("body", [{"command": "terminate"}, {}, {"command": "hold", "force": True}])
async def test_commands_that_do_not_exist_are_refused(
    api: httpx.AsyncClient, fleet: FakeFleet, body: dict[str, object]
) -> None:
    refused = await api.post("/v1/vehicles/cw-1/commands", json=body, headers=OPERATOR)
    assert (refused.status_code, codes(refused)) == (422, ["invalid_request"])
    assert not fleet.commands


async def test_zones_come_as_geojson_that_reads_back_equal(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/airspace/zones", headers=VIEWER)
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.json()["airspace_version"] == 1
    parsed = geojson.parse(answer.text, "answer")
    assert not parsed.problems
    assert {z.zone_id: z for z in parsed.zones} == {z.zone_id: z for z in ZONES}


async def test_a_zone_is_added_once_and_withdrawn_once_each_a_new_version(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    added = await api.post("/v1/airspace/zones", json=CLOSURE, headers=OPERATOR)
    assert (added.status_code, added.json()) == (201, {"airspace_version": 2, "zone_id": "closure-7"})
    assert fleet.zone_list["closure-7"].volumes[0].upper is not None

    twice = await api.post("/v1/airspace/zones", json=CLOSURE, headers=OPERATOR)
    assert (twice.status_code, codes(twice)) == (409, ["zone_exists"])

    gone = await api.delete("/v1/airspace/zones/closure-7", headers=OPERATOR)
    assert gone.json() == {"airspace_version": 3, "zone_id": "closure-7"}
    again = await api.delete("/v1/airspace/zones/closure-7", headers=OPERATOR)
    assert (again.status_code, codes(again)) == (404, ["zone_unknown"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "zone_invalid"),
        ("[" * 100_000, "zone_invalid"),
        ("[]", "zone_invalid"),
        ('{"type": "FeatureCollection", "features": []}', "zone_count"),
        ('{"type": "Feature", "properties": {"id": "z", "role": "keep_out"}, "geometry": null}', "zone_invalid"),
    ],
)
async def test_what_is_not_one_zone_is_refused_with_the_reason(
    api: httpx.AsyncClient, fleet: FakeFleet, text: str, code: str
) -> None:
    refused = await api.post("/v1/airspace/zones", content=text, headers=OPERATOR)
    assert (refused.status_code, codes(refused)) == (422, [code])
    assert fleet.airspace_version == 1


async def test_sites_are_known_to_whoever_may_order(api: httpx.AsyncClient) -> None:
    sites = (await api.get("/v1/sites", headers=CLINIC)).json()["sites"]
    assert {"site_id": "midway", "kind": "reicing"}.items() <= sites[5].items()
    assert len(sites) == 8


async def test_me_says_whose_token_it_is(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/me", headers=OPERATOR)).json() == {"name": "olga", "role": "operator"}
