"""Server-sent events and the embedded server, over real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from fleet.api import sse
from fleet.api.server import ListenError, serve
from missions.orders import OrderEvent, OrderState
from tests.support.calls import CLINIC, VIEWER, codes
from tests.support.fake_service import CODE, FakeFleet
from tests.support.serving import make_app, request

Event = tuple[str | None, str, dict]


@asynccontextmanager
async def running(fleet: FakeFleet) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serve(make_app(fleet), port=0) as url,
        httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client,
    ):
        yield client


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """(id, event, data); comments are left out."""
    event_id, kind, data = None, "message", ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            event_id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line and data:
            yield event_id, kind, json.loads(data)
            event_id, kind, data = None, "message", ""


async def test_an_order_is_followed_from_what_is_stored_to_its_end(fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    async with (
        asyncio.timeout(20),
        running(fleet) as api,
        api.stream("GET", f"/v1/orders/{order_id}/events", headers=CLINIC) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = []
        async for event_id, kind, data in events(response):
            assert (event_id, kind) == (str(data["seq"]), data["kind"])
            seen.append(kind)
            if kind == "accept":
                fleet.set_order(order_id, OrderEvent.CANCEL)
        assert seen == ["requested", "accept", "cancel"]


async def test_a_broken_stream_is_resumed_after_the_last_event_seen(fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    fleet.set_order(order_id, OrderEvent.CANCEL)
    path = f"/v1/orders/{order_id}/events"
    async with running(fleet) as api:
        by_header = await api.get(path, headers=CLINIC | {"Last-Event-ID": "2"})
        by_query = await api.get(f"{path}?after=2", headers=CLINIC)
        assert by_header.text == by_query.text
        assert by_header.text.count("id: 3\nevent: cancel\n") == by_header.text.count("id: ") == 1
        wrong = await api.get(path, headers=CLINIC | {"Last-Event-ID": "-1"})
        assert (wrong.status_code, codes(wrong)) == (400, ["event_id_invalid"])


async def test_events_come_as_a_json_list_for_who_asks_for_json(api: httpx.AsyncClient, fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    headers = CLINIC | {"Accept": "application/json"}
    answer = await api.get(f"/v1/orders/{order_id}/events?after=1", headers=headers)
    assert [event["kind"] for event in answer.json()["events"]] == ["accept"]


async def test_the_live_stream_gives_the_whole_picture_and_then_changes_without_codes(fleet: FakeFleet) -> None:
    fleet.put_order(request())
    async with (
        asyncio.timeout(20),
        running(fleet) as api,
        api.stream("GET", "/v1/live", headers=VIEWER) as response,
    ):
        stream = events(response)
        first = [await anext(stream) for _ in range(6)]
        assert [kind for _, kind, _ in first] == ["alive", "order", "vehicle", "vehicle", "vehicle", "airspace"]
        assert first[1][2]["order"]["confirmation_code"] is None

        fleet.now_s += 1.5
        fleet.set_vehicle("cw-2", battery_pct=41.0)
        fleet.alarm("Closure ahead.", vehicle_id="cw-2")
        fleet.set_order("ord-1", OrderEvent.CANCEL)
        _, _, moved = await anext(stream)
        assert (moved["at"], moved["vehicle"]["battery_pct"]) == ("2030-01-01T00:00:01.500Z", 41.0)
        _, _, alarm = await anext(stream)
        assert alarm["alarm"] == {"text": "Closure ahead.", "vehicle_id": "cw-2", "order_id": None}
        _, _, cancelled = await anext(stream)
        assert cancelled["order"]["state"] == "cancelled"
        assert CODE not in json.dumps(cancelled)


async def test_a_silent_stream_shows_that_it_is_alive(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    async with asyncio.timeout(20), running(fleet) as api, api.stream("GET", "/v1/live", headers=VIEWER) as response:
        kinds = []
        async for _, kind, _ in events(response):
            kinds.append(kind)
            if kinds[-2:] == ["alive", "alive"]:
                break
        assert kinds.count("vehicle") == 3


async def test_a_reader_who_leaves_is_forgotten(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    async with asyncio.timeout(20), running(fleet) as api:
        async with api.stream("GET", "/v1/live", headers=VIEWER) as response:
            async for _, kind, _ in events(response):
                if kind == "airspace":
                    break
        await fleet.reader_left.wait()


async def test_stopping_the_server_ends_open_streams(fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    server = serve(make_app(fleet), port=0)
    url = await server.__aenter__()
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
        async with client.stream("GET", f"/v1/orders/{order_id}/events", headers=CLINIC) as response:
            stream = events(response)
            assert (await anext(stream))[1] == "requested"
            await server.__aexit__(None, None, None)
            assert [kind async for _, kind, _ in stream] == ["accept"]
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")


async def test_a_port_in_use_is_named_with_the_fix(fleet: FakeFleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"port in use: something else listens on 127\.0\.0\.1:{port}; stop it"):
            async with serve(make_app(fleet), port=port):
                pytest.fail("served on a taken port")


@pytest.mark.parametrize(("host", "words"), [("no.such.host.invalid", "cannot be resolved"), ("192.0.2.1", "not an")])
async def test_an_address_that_is_not_ours_is_named(fleet: FakeFleet, host: str, words: str) -> None:
    with pytest.raises(ListenError, match=words):
        async with serve(make_app(fleet), host, 0):
            pytest.fail("served on a foreign address")


async def test_the_server_takes_no_signal_of_the_process(fleet: FakeFleet) -> None:
    import signal

    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    async with serve(make_app(fleet), port=0):
        assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


async def test_an_order_that_is_in_flight_keeps_its_stream_open_over_many_events(fleet: FakeFleet) -> None:
    order_id = fleet.put_order(request()).order.order_id
    async with (
        asyncio.timeout(20),
        running(fleet) as api,
        api.stream("GET", f"/v1/orders/{order_id}/events", headers=CLINIC) as response,
    ):
        stream = events(response)
        assert [(await anext(stream))[1] for _ in range(2)] == ["requested", "accept"]
        fleet.deliver(order_id, upto=OrderState.AT_DROP)
        kinds = [(await anext(stream))[1] for _ in range(5)]
        assert kinds == ["assign", "begin_loading", "sealed", "depart", "arrive"]
