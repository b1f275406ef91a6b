"""Who may do what, and what answers look like when something is wrong."""

import logging

import httpx
import pytest

from fleet.api.auth import Principal, Role, TokenTable
from tests.support.calls import CLINIC, OPERATOR, ORDER, QUOTE, VIEWER, codes, key
from tests.support.fake_service import FakeFleet
from tests.support.serving import make_app, request

ZONE = {
    "type": "Feature",
    "properties": {"id": "z-9", "role": "keep_out", "radius_m": 500},
    "geometry": {"type": "Point", "coordinates": [38.2, 7.5]},
}
READS = ["/v1/vehicles", "/v1/vehicles/cw-1", "/v1/airspace/zones", "/metrics", "/console/base.geojson", "/v1/live"]
ORDER_READS = ["/v1/orders", "/v1/orders/ord-1", "/v1/orders/ord-1/record", "/v1/orders/ord-1/events", "/v1/sites"]
PLACES = [("/v1/orders", ORDER), ("/v1/quotes", QUOTE), ("/v1/orders/ord-1/cancel", None)]
OPERATES = [
    ("/v1/vehicles/cw-1/commands", {"command": "hold"}),
    ("/v1/airspace/zones", ZONE),
    ("/v1/orders/ord-1/custody", {"step": "load"}),
]


@pytest.mark.parametrize("path", READS + ORDER_READS + ["/v1/me"])
async def test_nothing_is_read_without_a_known_token(api: httpx.AsyncClient, fleet: FakeFleet, path: str) -> None:
    fleet.put_order(request())
    strangers: list[tuple[dict[str, str], str]] = [
        ({}, "token_missing"),
        ({"Authorization": "Bearer guess"}, "token_unknown"),
        ({"Authorization": "Bearer "}, "token_missing"),
        ({"Authorization": "Basic b3A6dG9rZW4="}, "token_missing"),
    ]
    for headers, code in strangers:
        refused = await api.get(path, headers=headers)
        assert (refused.status_code, codes(refused)) == (401, [code])
        assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("path", "body"), PLACES + OPERATES)
async def test_nothing_is_changed_without_the_right_role(
    api: httpx.AsyncClient, fleet: FakeFleet, path: str, body: object
) -> None:
    fleet.put_order(request())
    before = (dict(fleet.order_views), dict(fleet.zone_list), list(fleet.commands))
    lower = [VIEWER] if (path, body) in PLACES else [VIEWER, CLINIC]
    for who in lower:
        refused = await api.post(path, json=body, headers=who | key())
        assert (refused.status_code, codes(refused)) == (403, ["role_not_allowed"])
    assert (await api.post(path, json=body, headers=key())).status_code == 401
    assert before == (dict(fleet.order_views), dict(fleet.zone_list), list(fleet.commands))
    assert (await api.post(path, json=body, headers=OPERATOR | key())).is_success


@pytest.mark.parametrize("path", READS)
async def test_a_requester_reads_nothing_but_orders(api: httpx.AsyncClient, path: str) -> None:
    refused = await api.get(path, headers=CLINIC)
    assert (refused.status_code, codes(refused)) == (403, ["role_not_allowed"])


async def test_health_is_open_but_says_what_is_wrong_only_to_who_has_a_token(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    fleet.checks["mqtt"] = "no broker at mqtt://coldwing:secret@broker"
    assert (await api.get("/healthz")).json() == {"status": "ok"}
    stranger, operator = await api.get("/readyz"), await api.get("/readyz", headers=OPERATOR)
    assert stranger.status_code == operator.status_code == 503
    assert stranger.json() == {"ready": False, "checks": {"store": "ok", "mqtt": "not ok"}}
    assert "no broker" in operator.json()["checks"]["mqtt"]


async def test_the_token_table_knows_its_tokens_and_refuses_empty_or_doubled_ones() -> None:
    olga = Principal("olga", Role.OPERATOR)
    table = TokenTable([("one", olga)])
    assert table.find("one") == olga
    assert table.find("One") is table.find("") is table.find("ø\udc80") is None
    with pytest.raises(ValueError, match="empty"):
        TokenTable([("", olga)])
    with pytest.raises(ValueError, match="equal"):
        TokenTable([("one", olga), ("one", Principal("vera", Role.VIEWER))])


async def test_unknown_paths_and_methods_are_problems_with_a_fix(api: httpx.AsyncClient) -> None:
    missing = await api.get("/v1/nothing", headers=OPERATOR)
    assert (missing.status_code, codes(missing)) == (404, ["no_such_path"])
    for path, allowed in (("/v1/orders/ord-1", "GET"), ("/v1/orders", "GET, POST"), ("/healthz", "GET")):
        wrong = await api.put(path, headers=OPERATOR)
        assert (wrong.status_code, codes(wrong), wrong.headers["allow"]) == (405, ["method_not_allowed"], allowed)


async def test_a_fault_of_ours_is_a_500_with_an_id_that_the_log_knows_and_no_trace(
    api: httpx.AsyncClient, fleet: FakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.crash = RuntimeError("the inner name of a thing")
    with caplog.at_level(logging.ERROR, "fleet.api"):
        broken = await api.get("/v1/vehicles", headers=OPERATOR)
    assert (broken.status_code, codes(broken)) == (500, ["internal"])
    assert "inner name" not in broken.text
    assert "Traceback" not in broken.text
    error_id = broken.json()["reasons"][0]["text"].rpartition("error ")[2].rstrip(").")
    assert error_id in caplog.text
    assert "inner name" in caplog.text


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_also_when_its_length_was_not_announced(
    fleet: FakeFleet, chunked: bool
) -> None:
    async def chunks():
        for _ in range(100):
            yield b" " * 100

    transport = httpx.ASGITransport(make_app(fleet, max_body_bytes=2000))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet") as api:
        headers = CLINIC | key() | {"Content-Type": "application/json"}
        content = chunks() if chunked else b" " * 10_000
        refused = await api.post("/v1/orders", content=content, headers=headers)
    assert (refused.status_code, codes(refused)) == (413, ["body_too_large"])


async def test_answers_tell_browsers_not_to_sniff_frame_or_run_foreign_scripts(api: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/console/", "/nothing"):
        headers = (await api.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]


async def test_metrics_count_by_route_and_state_and_never_by_id(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    fleet.put_order(request(recipient_ref="canary-ref"))
    await api.get("/v1/orders/ord-1", headers=OPERATOR)
    text = (await api.get("/metrics", headers=VIEWER)).text
    assert 'coldwing_http_requests_total{method="GET",route="/v1/orders/{order_id}",status="200"} 1.0' in text
    assert 'coldwing_orders{state="accepted"} 1.0' in text
    assert 'coldwing_vehicles{link="up"} 3.0' in text
    assert "ord-1" not in text
    assert "canary" not in text
