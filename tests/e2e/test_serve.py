"""The controller as its users start it: a real process, an order by HTTP, and what a foreign ear hears on the wire."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import httpx
import pytest
from pymavlink.dialects.v20 import common as mavlink

from tests.e2e.stack import FLEET, OPERATOR, Stack, stack, wait_for

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    with stack(tmp_path_factory.mktemp("serve")) as s:
        s.start()
        s.wait_ready()
        yield s
        assert s.stop() == 0


DEADLINE = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))


def curl_order(s: Stack) -> dict:
    """Exactly what the README shows, with curl where there is one."""
    body = {
        "product_id": "red_cells",
        "destination_site": "salme",
        "recipient_ref": "ward-7",
        "mass_kg": 0.8,
        "volume_l": 1.5,
        "deadline": DEADLINE,
    }
    headers = {
        "Authorization": "Bearer demo-requester-token",
        "Idempotency-Key": '"first"',
        "Content-Type": "application/json",
    }
    curl = shutil.which("curl")
    if curl is None:
        answer = httpx.post(f"{s.url}/v1/orders", content=json.dumps(body), headers=headers, timeout=20)
        return answer.json()
    words = [w for name, value in headers.items() for w in ("-H", f"{name}: {value}")]
    command = [curl, "-sS", *words, "-d", json.dumps(body), f"{s.url}/v1/orders"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_an_order_by_curl_becomes_a_mission_a_fence_and_a_start_on_the_wire(served: Stack):
    wait_for(lambda: sum(v["link"] == "up" for v in served.get("/v1/vehicles")["vehicles"]) == 3, "vehicles are heard")
    order = curl_order(served)
    assert order["state"] in ("accepted", "requested"), order
    vehicle_id = wait_for(lambda: served.get(f"/v1/orders/{order['order_id']}")["vehicle_id"], "assigned")
    wait_for(lambda: served.get(f"/v1/orders/{order['order_id']}")["state"] == "in_flight", "in flight", 120)
    system = int(vehicle_id.removeprefix("cw-"))
    heard = [s for s in served.tap.said if s.system == system]
    items = [s.message for s in heard if s.kind == "MISSION_ITEM_INT"]
    of_type = {t: [i for i in items if getattr(i, "mission_type", 0) == t] for t in (0, 1, 2)}
    assert [i.command for i in of_type[0] if i.command == mavlink.MAV_CMD_NAV_TAKEOFF], (
        "the mission begins with a take-off"
    )
    assert any(i.command == mavlink.MAV_CMD_NAV_FENCE_POLYGON_VERTEX_INCLUSION for i in of_type[1])
    assert any(i.command == mavlink.MAV_CMD_NAV_RALLY_POINT and i.frame == 3 for i in of_type[2])
    commands = [s.message.command for s in heard if s.kind in ("COMMAND_LONG", "COMMAND_INT")]
    assert mavlink.MAV_CMD_MISSION_START in commands
    goal = served.get("/v1/sites")["sites"]
    salme = next(site for site in goal if site["site_id"] == "salme")
    last = max(of_type[0], key=lambda i: i.seq)
    assert abs(last.x * 1e-7 - salme["lat_deg"]) < 1e-6
    assert abs(last.y * 1e-7 - salme["lon_deg"]) < 1e-6
    others = [s for s in served.tap.said if s.writes and s.system != system]
    assert others == [], "no other vehicle was told anything"


def test_the_same_order_again_is_the_same_order(served: Stack):
    again = curl_order(served)
    assert [o["order_id"] for o in served.get("/v1/orders")["orders"]] == [again["order_id"]]


def test_the_command_line_sees_it_and_verifies_its_record(served: Stack):
    order_id = served.get("/v1/orders")["orders"][0]["order_id"]
    words = ["--url", served.url, "--token", "demo-operator-token", "--json"]
    listed = subprocess.run([*FLEET, "order", "list", *words], capture_output=True, text=True, check=True)
    assert order_id in listed.stdout
    verified = subprocess.run(
        [*FLEET, "record", "verify", order_id, *words], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["ok"] is True


def test_an_operator_holds_and_resumes_by_http(served: Stack):
    vehicle_id = served.get("/v1/orders")["orders"][0]["vehicle_id"]
    path = f"/v1/vehicles/{vehicle_id}"
    assert served.post(f"{path}/commands", {"command": "hold"}).status_code == 200
    wait_for(lambda: served.get(path)["mode"] == "hold", "holds")
    assert served.post(f"{path}/commands", {"command": "resume"}).status_code == 200
    wait_for(lambda: served.get(path)["mode"] == "mission", "flies on")


def test_nothing_is_open_without_a_token(served: Stack):
    for path in ("/v1/orders", "/v1/vehicles", "/v1/airspace/zones", "/metrics", "/v1/live"):
        assert httpx.get(f"{served.url}{path}", timeout=10).status_code == 401
    assert httpx.get(f"{served.url}/healthz", timeout=10).status_code == 200
    assert httpx.get(f"{served.url}/metrics", headers=OPERATOR, timeout=10).status_code == 200


def test_a_second_controller_on_the_same_store_is_turned_away(served: Stack):
    second = subprocess.run(
        [*FLEET, "serve", "--config", str(served.config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 5
    assert "Traceback" not in second.stderr
    assert "fleet.sqlite3" in second.stderr
