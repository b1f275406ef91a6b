"""Orders over HTTP: placed once, seen by those who may, received after the verdict was read."""

import asyncio

import httpx
import pytest

from missions.orders import OrderEvent, OrderState
from tests.support.calls import CLINIC, OPERATOR, ORDER, OTHER, QUOTE, VIEWER, codes, key
from tests.support.fake_service import CODE, FakeFleet
from tests.support.serving import request


async def test_an_order_is_stored_answered_with_201_and_found_where_location_says(api: httpx.AsyncClient) -> None:
    placed = await api.post("/v1/orders", json=ORDER, headers=CLINIC | key())
    assert placed.status_code == 201
    assert placed.json()["state"] == "accepted"
    assert placed.json()["deadline"] == "2030-01-01T01:00:00.000Z"

    found = await api.get(placed.headers["location"], headers=CLINIC)
    assert found.json() == placed.json()


async def test_without_an_idempotency_key_nothing_is_ordered(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    refused = await api.post("/v1/orders", json=ORDER, headers=CLINIC)
    assert (refused.status_code, codes(refused)) == (400, ["idempotency_key_missing"])
    assert not fleet.order_views


@pytest.mark.parametrize("bad", ["", '""', '"a', "a b", "x" * 129, '"æ"'])
async def test_a_key_that_is_no_short_printable_string_is_refused(api: httpx.AsyncClient, bad: str) -> None:
    refused = await api.post("/v1/orders", json=ORDER, headers=CLINIC | {"Idempotency-Key": bad.encode()})  # type: ignore[operator]
    assert (refused.status_code, codes(refused)) == (400, ["idempotency_key_invalid"])


async def test_the_same_key_and_body_give_the_same_order_and_another_body_is_refused(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    first = await api.post("/v1/orders", json=ORDER, headers=CLINIC | key("once"))
    reordered = dict(reversed(ORDER.items())) | {"deadline": "2030-01-01T02:00:00+01:00"}
    again = await api.post("/v1/orders", json=reordered, headers=CLINIC | {"Idempotency-Key": "once"})
    other = await api.post("/v1/orders", json=ORDER | {"mass_kg": 0.9}, headers=CLINIC | key("once"))
    elsewhere = await api.post("/v1/orders", json=ORDER, headers=OTHER | key("once"))

    assert (again.status_code, again.json()) == (201, first.json())
    assert (other.status_code, codes(other)) == (422, ["idempotency_key_reused"])
    assert elsewhere.json()["order_id"] != first.json()["order_id"]
    assert len(fleet.order_views) == 2


async def test_a_hundred_posts_with_one_key_at_once_make_one_order(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    fleet.place_gate = asyncio.Event()
    posts = [asyncio.create_task(api.post("/v1/orders", json=ORDER, headers=CLINIC | key())) for _ in range(100)]
    done, _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
    assert {response.result().status_code for response in done} == {409}

    fleet.place_gate.set()
    answers = [response.status_code for response in await asyncio.gather(*posts)]
    assert sorted(set(answers)) == [201, 409]
    assert len(fleet.order_views) == 1
    assert codes(next(p.result() for p in posts if p.result().status_code == 409)) == ["idempotency_key_in_flight"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"destination_site": "atlantis"}, "site_unknown"),
        ({"deadline": "2029-12-31T23:59:59Z"}, "deadline_past"),
        ({"mass_kg": 3.5}, "order_too_heavy"),
    ],
)
async def test_what_the_service_refuses_comes_back_with_its_reasons(
    api: httpx.AsyncClient, change: dict[str, object], code: str
) -> None:
    refused = await api.post("/v1/orders", json=ORDER | change, headers=CLINIC | key())
    assert (refused.status_code, codes(refused)) == (422, [code])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"patient": "A. B."}, "patient"),
        ({"recipient_ref": "Ada Byron, 10.12.1815"}, "recipient_ref"),
        ({"recipient_ref": "x" * 65}, "recipient_ref"),
        ({"mass_kg": "0.8"}, "mass_kg"),
        ({"mass_kg": 0}, "mass_kg"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"deadline": "2030-01-01T00:00:00"}, "deadline"),
        ({"deadline": 1893456000}, "deadline"),
        ({"deadline": "2030-02-30T00:00:00Z"}, "deadline"),
        ({"priority": "whenever"}, "priority"),
        ({"budget_min": {"8-15": -1}}, "budget_min"),
        ({"single_patient": "yes"}, "single_patient"),
        ({"expires": "next year"}, "expires"),
    ],
)
async def test_a_field_that_is_not_as_documented_is_named(
    api: httpx.AsyncClient, fleet: FakeFleet, change: dict[str, object], field: str
) -> None:
    refused = await api.post("/v1/orders", json=ORDER | change, headers=CLINIC | key())
    assert (refused.status_code, codes(refused)) == (422, ["invalid_request"])
    assert field in refused.json()["reasons"][0]["text"]
    assert not fleet.order_views


@pytest.mark.parametrize("body", ["", "{", "[]", "NaN", '{"mass_kg": NaN}', "[" * 100_000, "\udcff"])
async def test_a_body_that_is_no_order_is_a_problem_and_no_crash(api: httpx.AsyncClient, body: str) -> None:
    content = body.encode("utf-8", "surrogateescape")
    headers = CLINIC | key() | {"Content-Type": "application/json"}
    refused = await api.post("/v1/orders", content=content, headers=headers)
    assert refused.status_code in (400, 422)
    codes(refused)


async def test_a_requester_sees_its_own_orders_only_and_the_others_see_all(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    mine = fleet.put_order(request(), "clinic").order.order_id
    theirs = fleet.put_order(request(), "other").order.order_id

    async def listed(who: dict[str, str]) -> set[str]:
        return {o["order_id"] for o in (await api.get("/v1/orders", headers=who)).json()["orders"]}

    assert await listed(CLINIC) == {mine}
    assert await listed(OPERATOR) == await listed(VIEWER) == {mine, theirs}
    for path in ("", "/record", "/events"):
        hidden = await api.get(f"/v1/orders/{theirs}{path}", headers=CLINIC)
        assert (hidden.status_code, codes(hidden)) == (404, ["order_unknown"])
    for action, body in (("cancel", None), ("receipt", {"code": CODE, "verdict_seen": "in_range"})):
        hidden = await api.post(f"/v1/orders/{theirs}/{action}", json=body, headers=CLINIC)
        assert (hidden.status_code, codes(hidden)) == (404, ["order_unknown"])


async def test_only_who_placed_an_order_gets_its_code(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    placed = (await api.post("/v1/orders", json=ORDER, headers=CLINIC | key())).json()
    assert placed["confirmation_code"] == CODE
    path = f"/v1/orders/{placed['order_id']}"
    assert (await api.get(path, headers=CLINIC)).json()["confirmation_code"] == CODE
    for who in (OPERATOR, VIEWER):
        assert CODE not in (await api.get(path, headers=who)).text
        assert CODE not in (await api.get("/v1/orders", headers=who)).text
    assert CODE not in (await api.get(f"{path}/record", headers=CLINIC)).text


async def test_the_list_is_newest_first_filtered_by_state_and_paged_to_its_end(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    for _ in range(5):
        fleet.put_order(request())
    fleet.set_order("ord-2", OrderEvent.CANCEL)

    path, seen = "/v1/orders?limit=2&state=accepted", []
    while path:
        page = (await api.get(path, headers=CLINIC)).json()
        assert page["total"] == 4
        assert len(page["orders"]) == 2
        seen += [order["order_id"] for order in page["orders"]]
        path = page["next"]
    assert seen == ["ord-5", "ord-4", "ord-3", "ord-1"]

    typo = await api.get("/v1/orders?stat=lost", headers=CLINIC)
    assert (typo.status_code, codes(typo)) == (422, ["query_unknown"])
    lost = await api.get("/v1/orders?after=ord-99", headers=CLINIC)
    assert (lost.status_code, codes(lost)) == (422, ["cursor_unknown"])


async def test_the_receipt_needs_the_verdict_to_have_been_shown_first(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    fleet.deliver(order_id, verdict="excursion_allowed")
    receipt = {"code": CODE, "verdict_seen": "excursion_allowed"}

    unread = await api.post(f"/v1/orders/{order_id}/receipt", json=receipt, headers=CLINIC)
    assert (unread.status_code, codes(unread)) == (409, ["verdict_not_shown"])

    shown = (await api.get(f"/v1/orders/{order_id}", headers=CLINIC)).json()
    assert (shown["verdict"], shown["verdict_why"]) == ("excursion_allowed", "2.0 to 8.0 °C held since the seal")
    guessed = await api.post(
        f"/v1/orders/{order_id}/receipt", json=receipt | {"verdict_seen": "in_range"}, headers=CLINIC
    )
    assert (guessed.status_code, codes(guessed)) == (409, ["verdict_not_shown"])
    wrong = await api.post(f"/v1/orders/{order_id}/receipt", json=receipt | {"code": "1"}, headers=CLINIC)
    assert (wrong.status_code, codes(wrong)) == (422, ["code_wrong"])

    received = await api.post(f"/v1/orders/{order_id}/receipt", json=receipt, headers=CLINIC)
    assert (received.status_code, received.json()["state"]) == (200, "received")


async def test_an_order_can_be_cancelled_until_it_flies(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    early, late = (fleet.put_order(request()).order.order_id for _ in range(2))
    fleet.deliver(late, upto=OrderState.IN_FLIGHT)
    assert (await api.post(f"/v1/orders/{early}/cancel", headers=CLINIC)).json()["state"] == "cancelled"
    refused = await api.post(f"/v1/orders/{late}/cancel", headers=CLINIC)
    assert (refused.status_code, codes(refused)) == (409, ["order_not_cancellable"])


async def test_custody_steps_are_recorded_with_who_did_them(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    step = {"step": "seal", "detail": {"seal": "S-20411"}}
    assert (await api.post(f"/v1/orders/{order_id}/custody", json=step, headers=OPERATOR)).status_code == 200
    last = (await api.get(f"/v1/orders/{order_id}/record", headers=VIEWER)).json()["events"][-1]
    assert (last["kind"], last["body"]) == ("custody.seal", {"actor": "olga", "seal": "S-20411"})


async def test_a_quote_tells_route_energy_and_cold_without_storing_anything(
    api: httpx.AsyncClient, fleet: FakeFleet
) -> None:
    quote = (await api.post("/v1/quotes", json=QUOTE, headers=CLINIC)).json()
    assert quote["cold_ok"] is True
    assert quote["plan"]["legs"][0]["alternates"][0]["site_id"] == "quarry"
    assert quote["plan"]["arrive"] == "2030-01-01T00:04:50.000Z"
    assert not fleet.order_views
