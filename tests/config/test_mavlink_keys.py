"""Signing keys: where they may come from, which ones are refused, and what the production profile demands."""

import base64
import hashlib
import os

import pytest

KEY = bytes(range(100, 132))
OTHER = bytes(range(50, 82))
FILE = 'system_id: 1, link: "udpin://127.0.0.1:14550"'

SOME = (hashlib.sha256(b"one").hexdigest() + hashlib.sha256(b"two").hexdigest()).encode()
"""hexadecimal digits as of keys, the same in every process"""


def give_file(sandbox, content: bytes, mode: int = 0o600) -> None:
    if "mavlink_key_file" not in sandbox.path.read_text():
        sandbox.replace(FILE, f"{FILE}, mavlink_key_file: keys/cw-1.key")
    (sandbox.folder / "keys").mkdir(exist_ok=True)
    file = sandbox.folder / "keys" / "cw-1.key"
    file.write_bytes(content)
    file.chmod(mode)


def test_without_keys_nobody_signs(sandbox):
    assert sandbox.load().mavlink_keys == {}


def test_a_key_comes_from_the_environment_before_the_file(sandbox):
    give_file(sandbox, OTHER.hex().encode())
    assert sandbox.load().mavlink_keys == {"cw-1": OTHER}
    assert sandbox.load(COLDWING_MAVLINK_KEY_CW_1=KEY.hex()).mavlink_keys == {"cw-1": KEY}


@pytest.mark.parametrize(
    "content",
    [
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\n",
        base64.b64encode(KEY) + b"\n",
        base64.urlsafe_b64encode(bytes(range(220, 252))).rstrip(b"="),
        bytes(range(220, 252)),
    ],
    ids=["hex", "HEX", "base64", "urlsafe base64", "raw"],
)
def test_a_key_file_may_hold_hex_base64_or_the_bytes_themselves(sandbox, content):
    give_file(sandbox, content)
    assert sandbox.load().mavlink_keys["cw-1"] in (KEY, bytes(range(220, 252)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (SOME[:32], "too short: 16 bytes, and a key has 32"),
        (SOME[:62], "too short: 31 bytes"),
        (SOME[:66], "too long: 33 bytes"),
        (b"correct horse battery staple", "neither 64 hexadecimal digits nor base64"),
        (b"sixteen letters sixteen letters!", "neither 64 hexadecimal digits nor base64"),
        (bytes(range(200, 231)), "31 bytes that are not text"),
        (b"0" * 64, "can be guessed"),
        (b"\0" * 32, "can be guessed"),
    ],
)
def test_a_key_that_is_none_is_refused_with_the_way_to_make_one(sandbox, content, says):
    give_file(sandbox, content)
    problem = sandbox.problem()
    assert problem.field == "vehicles[0].mavlink_key_file"
    assert problem.line == sandbox.line_of("mavlink_key_file")
    assert says in problem.text
    assert "cw-1.key" in problem.text
    assert "openssl rand -hex 32" in problem.fix


def test_a_missing_key_file_is_named(sandbox):
    give_file(sandbox, KEY)
    (sandbox.folder / "keys" / "cw-1.key").unlink()
    problem = sandbox.problem()
    assert "cw-1.key cannot be read: No such file" in problem.text
    assert "Check the path" in problem.fix


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_key_file_that_others_can_open_is_refused_with_the_command_that_mends_it(sandbox, mode):
    give_file(sandbox, KEY.hex().encode(), mode)
    problem = sandbox.problem()
    assert "open to every user" in problem.text
    command = problem.fix.removeprefix("Run `").removesuffix("`")
    assert os.system(command) == 0
    assert sandbox.load().mavlink_keys == {"cw-1": KEY}


def test_a_wrong_key_in_the_environment_names_the_variable_and_not_the_key(sandbox):
    weak = SOME[:40].decode()
    problem = sandbox.problem(COLDWING_MAVLINK_KEY_CW_1=weak)
    assert "COLDWING_MAVLINK_KEY_CW_1 is too short: 20 bytes" in problem.text
    assert weak not in str(problem)


def test_two_vehicles_may_not_share_a_key(sandbox):
    problem = sandbox.problem(COLDWING_MAVLINK_KEY_CW_1=KEY.hex(), COLDWING_MAVLINK_KEY_CW_3=KEY.hex())
    assert problem.line == sandbox.line_of("id: cw-3")
    assert "is the key of cw-1 too" in problem.text
    both = sandbox.load(COLDWING_MAVLINK_KEY_CW_1=KEY.hex(), COLDWING_MAVLINK_KEY_CW_3=OTHER.hex()).mavlink_keys
    assert both == {"cw-1": KEY, "cw-3": OTHER}


def test_keys_are_in_no_print_and_no_hash(sandbox):
    config = sandbox.load(COLDWING_MAVLINK_KEY_CW_1=KEY.hex())
    assert repr(KEY) not in repr(config)
    assert KEY.hex() not in repr(config)
    before = config.config_hash
    give_file(sandbox, OTHER.hex().encode())
    assert sandbox.load().config_hash == before


def test_in_production_every_vehicle_signs_or_has_an_authenticated_link(sandbox):
    sandbox.path.write_text("profile: production\n" + sandbox.path.read_text())
    vehicles = len(sandbox.problems())
    assert vehicles == 3
    problem = sandbox.problems(COLDWING_MAVLINK_KEY_CW_1=KEY.hex())[0]
    assert problem.field == "vehicles[1].link"
    assert "neither signed nor declared authenticated" in problem.text
    assert "COLDWING_MAVLINK_KEY_CW_2 or mavlink_key_file" in problem.fix
    assert "authenticated_links" in problem.fix
    declared = 'authenticated_links: [{url: "udpin://127.0.0.1:14550", by: WireGuard wg0}]\n'
    sandbox.path.write_text(declared + sandbox.path.read_text())
    assert sandbox.load().mavlink_keys == {}


def test_in_production_each_of_a_vehicle_s_links_must_be_safe(sandbox):
    declared = 'authenticated_links: [{url: "udpin://127.0.0.1:14550", by: WireGuard wg0}]\n'
    sandbox.path.write_text("profile: production\n" + declared + sandbox.path.read_text())
    sandbox.replace(FILE, 'system_id: 1, link: ["udpin://127.0.0.1:14550", "udpin://127.0.0.1:14551"]')
    assert "14551" in sandbox.problem().text
    sandbox.load(COLDWING_MAVLINK_KEY_CW_1=KEY.hex())


def test_a_wrong_key_in_production_is_one_problem_not_two(sandbox):
    declared = 'authenticated_links: [{url: "udpin://127.0.0.1:14550", by: WireGuard wg0}]\n'
    sandbox.path.write_text("profile: production\n" + declared + sandbox.path.read_text())
    sandbox.replace('system_id: 1, link: "udpin://127.0.0.1:14550"', 'system_id: 1, link: "udpin://127.0.0.1:14551"')
    assert "too short" in sandbox.problem(COLDWING_MAVLINK_KEY_CW_1="00ff").text


def test_the_mavsdk_driver_cannot_sign(sandbox):
    sandbox.replace(FILE, 'system_id: 1, driver: mavsdk, link: "udpin://127.0.0.1:14551"')
    sandbox.load()
    problem = sandbox.problem(COLDWING_MAVLINK_KEY_CW_1=KEY.hex())
    assert problem.field == "vehicles[0].driver"
    assert "driver: native" in problem.fix
