"""What users get wrong, against real processes: a sentence with a fix and the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.e2e.stack import FLEET, OPERATOR, WARD, BrokerThread, free_port, wait_for, write_config

pytestmark = pytest.mark.processes

BOW_TIE = [[38.16, 7.51], [38.18, 7.53], [38.18, 7.51], [38.16, 7.53], [38.16, 7.51]]
ZONE = {
    "type": "Feature",
    "properties": {"id": "closure-7", "role": "keep_out", "restriction": "PROHIBITED"},
    "geometry": {"type": "Polygon", "coordinates": [BOW_TIE]},
}


def fleet(*words: str, token: str = "demo-operator-token", **environment: str) -> SimpleNamespace:
    """Runs `fleet WORDS --json` as a user would; whatever went wrong, there is no trace and stdout is JSON."""
    env = os.environ | {"NO_COLOR": "1", "COLDWING_TOKEN": token} | environment
    done = subprocess.run([*FLEET, *words, "--json"], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    value = json.loads(done.stdout) if done.stdout else None
    if done.returncode:
        assert value["error"]["exit_code"] == done.returncode
    return SimpleNamespace(code=done.returncode, err=done.stderr, value=value)


def config_in(folder: Path, **changes: Any) -> Path:
    """The demo fleet on ports of its own, with a broker that is not there."""
    broker = SimpleNamespace(host="127.0.0.1", port=free_port(), username="coldwing", password="not-there-yet")
    link = changes.pop("link_port", None) or free_port(socket.SOCK_DGRAM)
    return write_config(folder, link_port=link, api_port=changes.pop("api_port", None) or free_port(),
                        broker=broker, **changes)  # fmt: skip


# a configuration that cannot be used


def broken_yaml(path: Path) -> tuple[str, ...]:
    path.write_text(path.read_text() + "\nsites: [unclosed\n")
    return str(path), "is not YAML"


def unknown_site(path: Path) -> tuple[str, ...]:
    path.write_text(path.read_text().replace("home: teral", "home: terall", 1))
    return f"{path}:", "vehicles[0].home", "'terall' is no site", "Did you mean `teral`?"


def unknown_link_scheme(path: Path) -> tuple[str, ...]:
    path.write_text(path.read_text().replace("link: udpin://", "link: carrier-pigeon://", 1))
    return f"{path}:", "vehicles[0].link", "carrier-pigeon://", "udpin://127.0.0.1:14550"


def crossing_zone(path: Path) -> tuple[str, ...]:
    zones = path.with_name("zones.geojson")
    zones.write_text(json.dumps({"type": "FeatureCollection", "features": [ZONE]}))
    path.write_text(path.read_text().replace("airspace:\n", f"airspace:\n- {zones}\n", 1))
    return str(zones), "closure-7", "crosses or touches itself", "draw the corners in order"


@pytest.mark.parametrize("mistake", [broken_yaml, unknown_site, unknown_link_scheme, crossing_zone])
def test_a_refused_configuration_is_3_with_the_same_words_in_every_command(
    tmp_path: Path, mistake: Callable[[Path], tuple[str, ...]]
) -> None:
    path = config_in(tmp_path)
    words = mistake(path)
    scenario = tmp_path / "scenario.yaml"
    order = {"name": "a", "product": "insulin", "to": "ndeba", "mass_kg": 1, "volume_l": 1, "deadline_min": 60,
             "payload_c": 5, "expect": {"state": ["received"]}}  # fmt: skip
    story = {"title": "none", "fleet": path.name, "start": "2026-03-01T08:00:00Z", "orders": [order]}
    scenario.write_text(json.dumps(story))
    commands = (("config", "check", str(path)), ("serve", "--config", str(path)), ("scenario", "run", str(scenario)))
    ended = [fleet(*command) for command in commands]
    assert [e.code for e in ended] == [3, 3, 3]
    for e in ended:
        for word in words:
            assert word in e.err
    reasons = [e.value["error"]["reasons"] for e in ended]
    assert reasons[0] == reasons[1] == reasons[2]
    assert all(r["fix"] for r in reasons[0])
    assert not list(tmp_path.glob("*.sqlite3")), "a store is not even made"


# a machine on which it cannot run


def test_a_port_that_another_program_has_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = fleet("serve", "--config", str(config_in(tmp_path, api_port=port)))
    assert ended.code == 5
    assert f"something else listens on 127.0.0.1:{port}; stop it, or choose another port" in ended.err
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        ended = fleet("serve", "--config", str(config_in(tmp_path, link_port=port)))
    assert ended.code == 5
    assert f"link udpin://127.0.0.1:{port}: port {port} is in use by another program" in ended.err


def test_a_store_that_cannot_be_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = tmp_path / "text.sqlite3"
    text.write_text(
        "not a database, but quite a long text, longer than a header of one hundred bytes would ever be." * 9
    )
    for path, says in (
        (tmp_path / "no" / "such" / "fleet.sqlite3", "mkdir -p"),
        (Path("/proc/coldwing/fleet.sqlite3"), "/proc/coldwing does not exist and cannot be made"),
        (tmp_path / "file" / "fleet.sqlite3", "is a file, not a directory"),
        (text, "is not an SQLite file"),
    ):
        ended = fleet("serve", "--config", str(config_in(tmp_path, store={"path": str(path)})))
        assert (ended.code, says in ended.err) == (5, True), ended.err
        assert "store.path" in ended.err
        assert ended.value["error"]["text"] in ended.err.replace("\n", "")
    assert text.read_text().startswith("not a database"), "a file of somebody else's is left as it is"


# a controller without broker and vehicles, and the orders it is given


class Lonely:
    """`fleet serve` on its own; its broker and vehicles may come later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api, self.broker, self.link = free_port(), free_port(), free_port(socket.SOCK_DGRAM)
        self.credentials = {"host": "127.0.0.1", "port": self.broker, "username": "box", "password": "cold-and-dry"}
        self.config = write_config(
            folder, link_port=self.link, api_port=self.api, broker=SimpleNamespace(**self.credentials)
        )
        self.url = f"http://127.0.0.1:{self.api}"

    def start(self) -> None:
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("ab") as err:
            self.process = subprocess.Popen([*FLEET, "serve", "--config", str(self.config)], stdout=out, stderr=err)

        def answers() -> bool:
            assert self.process.poll() is None, (self.folder / "err").read_text()[-2000:]
            try:
                return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        wait_for(answers, "the controller answers")

    def end(self, sign: signal.Signals) -> int:
        self.process.send_signal(sign)
        return self.process.wait(20)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=OPERATOR, timeout=20)

    def place(self, headers: dict[str, str] = WARD, **changes: Any) -> httpx.Response:
        body = {"product_id": "red_cells", "destination_site": "salme", "recipient_ref": "ward-7", "mass_kg": 0.8,
                "volume_l": 1.5, "deadline": in_minutes(120)} | changes  # fmt: skip
        key = {"Idempotency-Key": f'"{time.monotonic_ns()}"'}
        return httpx.post(f"{self.url}/v1/orders", json=body, headers=headers | key, timeout=20)

    def orders(self) -> dict[str, str]:
        return {o["order_id"]: o["state"] for o in self.get("/v1/orders").json()["orders"]}

    def fleet(self, *words: str, **more: str) -> SimpleNamespace:
        return fleet(*words, COLDWING_URL=self.url, **more)


def in_minutes(minutes: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60 * minutes))


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The only reason of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    (reason,) = answer.json()["reasons"]
    assert reason["text"]
    assert reason["fix"]
    return reason


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lonely]:
    made = Lonely(tmp_path_factory.mktemp("lonely"))
    made.start()
    yield made
    assert made.end(signal.SIGTERM) == 0


def test_without_its_broker_it_serves_says_so_and_recovers_when_the_broker_appears(lonely: Lonely) -> None:
    answer = wait_for(
        lambda: (a := lonely.get("/readyz")).status_code == 503 and "refused" in a.text and a, "not ready"
    )
    assert answer.json()["checks"]["store"] == "ok"
    assert f"127.0.0.1:{lonely.broker}" in answer.json()["checks"]["boxes"]
    assert "cold-and-dry" not in answer.text
    with BrokerThread(**lonely.credentials):
        wait_for(lambda: lonely.get("/readyz").status_code == 200, "ready")
    wait_for(lambda: lonely.get("/readyz").status_code == 503, "not ready again")


def test_vehicles_that_were_never_heard_are_shown_so_and_an_order_waits_for_them_by_name(lonely: Lonely) -> None:
    shown = lonely.fleet("vehicle", "list")
    assert {v["vehicle_id"]: v["link"] for v in shown.value["vehicles"]} == dict.fromkeys(
        ("cw-1", "cw-2", "cw-3"), "never"
    )
    order_id = lonely.place().json()["order_id"]
    order = wait_for(lambda: (o := lonely.get(f"/v1/orders/{order_id}").json())["reasons"] and o, "a reason")
    assert order["state"] == "accepted"
    assert "cw-1 never heard" in order["reasons"][0]["text"]
    held = lonely.fleet("vehicle", "hold", "cw-1")
    assert (held.code, "cw-1 has no flight" in held.err) == (3, True)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"destination_site": "atlantis"}, "site_unknown", "'atlantis'"),
        ({"origin_site": "atlantis"}, "site_unknown", "'atlantis'"),
        ({"product_id": "snake_oil"}, "product_unknown", "'snake_oil'"),
        ({"deadline": in_minutes(-5)}, "deadline_passed", "in the past"),
        ({"mass_kg": "heavy"}, "invalid_request", "mass_kg"),
    ],
)
def test_an_order_that_makes_no_sense_is_a_problem_and_is_not_stored(
    lonely: Lonely, changes: dict[str, Any], code: str, says: str
) -> None:
    before = lonely.orders()
    answer = lonely.place(**changes)
    assert answer.status_code == 422
    assert problem(answer)["code"] == code
    assert says in problem(answer)["text"]
    assert lonely.orders() == before


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"mass_kg": 2.5}, "too_heavy", "1.80 kg besides the box"),
        ({"volume_l": 9.0}, "box_too_small", "the largest suitable box holds 6 l"),
        ({"deadline": 2}, "too_late", "late"),
        ({"lot": "L-1", "expires": "2020-01-01T00:00:00Z"}, "expires_first", "expires before the deadline"),
    ],
)
def test_an_order_that_this_fleet_cannot_fly_is_stored_and_refused_with_the_reason(
    lonely: Lonely, changes: dict[str, Any], code: str, says: str
) -> None:
    if "deadline" in changes:  # minutes from now, not from when the tests were collected
        changes = {"deadline": in_minutes(changes["deadline"])}
    order = lonely.place(**changes).json()
    assert order["state"] == "refused"
    assert [r["code"] for r in order["reasons"]] == [code]
    assert says in order["reasons"][0]["text"]
    kinds = [e["kind"] for e in lonely.get(f"/v1/orders/{order['order_id']}/record").json()["events"]]
    assert "judged" in kinds


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--to", "atlantis"), "site_unknown"),
        (("--deadline", in_minutes(-5)), "deadline_passed"),
        (("--mass-kg", "2.5"), "too_heavy"),
        (("--volume-l", "9"), "box_too_small"),
    ],
)
def test_at_the_command_line_it_is_3_with_the_same_reason(lonely: Lonely, options: tuple[str, str], code: str) -> None:
    good = {"--product": "red_cells", "--to": "salme", "--recipient": "ward-7", "--mass-kg": "0.8", "--volume-l": "1.5",
            "--deadline": "+2h"} | dict([options])  # fmt: skip
    ended = lonely.fleet("order", "place", *(word for pair in good.items() for word in pair))
    assert ended.code == 3
    assert [r["code"] for r in ended.value["error"]["reasons"]] == [code]
    assert "fix:" in ended.err


def test_a_zone_that_crosses_itself_changes_nothing(lonely: Lonely, tmp_path: Path) -> None:
    before = lonely.get("/v1/airspace/zones").json()["airspace_version"]
    answer = httpx.post(f"{lonely.url}/v1/airspace/zones", json=ZONE, headers=OPERATOR, timeout=20)
    assert answer.status_code == 422
    assert "crosses or touches itself" in problem(answer)["text"]
    file = tmp_path / "closure.geojson"
    file.write_text(json.dumps(ZONE))
    ended = lonely.fleet("airspace", "zones", "add", str(file))
    assert (ended.code, str(file) in ended.err, "closure-7" in ended.err) == (3, True, True)
    assert lonely.get("/v1/airspace/zones").json()["airspace_version"] == before


def test_a_wrong_token_or_role_is_4_and_a_problem(lonely: Lonely) -> None:
    stranger = lonely.fleet("order", "list", token="not-a-token-of-this-fleet")
    assert (stranger.code, "The token is not known" in stranger.err) == (4, True)
    for words in (("vehicle", "land", "cw-1"), ("airspace", "zones", "withdraw", "PARK"), ("order", "seal", "ord-1")):
        ended = lonely.fleet(*words, token="demo-viewer-token")
        assert (ended.code, "viewer" in ended.err) == (4, True), words
        assert "Use an operator's token." in ended.err
    answer = lonely.place(headers={"Authorization": "Bearer demo-viewer-token"})
    assert (answer.status_code, problem(answer)["code"]) == (403, "role_not_allowed")
    answer = lonely.place(headers={})
    assert (answer.status_code, problem(answer)["code"]) == (401, "token_missing")


def test_after_all_these_mistakes_and_a_kill_nothing_is_lost(lonely: Lonely) -> None:
    before = lonely.orders()
    assert "accepted" in before.values()
    lonely.end(signal.SIGKILL)
    lonely.start()
    assert lonely.orders() == before
    for order_id in (min(before), max(before)):
        assert lonely.fleet("record", "verify", order_id).code == 0


def test_the_log_is_json_lines_on_stderr_and_stdout_has_only_the_address(lonely: Lonely) -> None:
    out = (lonely.folder / "out").read_text().splitlines()
    assert {line.split()[:2][0] for line in out} == {"serving"}
    lines = [json.loads(line) for line in (lonely.folder / "err").read_text().splitlines()]
    assert any("no cold-box samples" in line.get("status", "") for line in lines)
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
