"""Where secrets may come from, and where they may stand."""

import pytest

LONG = "0123456789abcdef0123456789abcdef"


def listen_beyond_loopback(sandbox):
    sandbox.replace("host: 127.0.0.1", "host: 0.0.0.0")


def tokens(config):
    return {t.name: t.secret for t in config.api.tokens}


def test_the_environment_goes_before_the_file(sandbox):
    found = tokens(sandbox.load(COLDWING_API_TOKEN_WARD=LONG))
    assert found["ward"] == LONG
    assert found["viewer"] == "demo-viewer-token"


def test_beyond_loopback_no_token_may_stand_in_the_file(sandbox):
    listen_beyond_loopback(sandbox)
    problems = sandbox.problems()
    assert [p.field for p in problems] == ["api.tokens[0].token", "api.tokens[1].token", "api.tokens[2].token"]
    assert "set COLDWING_API_TOKEN_OPERATOR in the environment" in problems[0].fix
    env = {f"COLDWING_API_TOKEN_{name}": LONG + name for name in ("OPERATOR", "WARD", "VIEWER")}
    assert tokens(sandbox.load(**env))["ward"] == LONG + "WARD"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.9", '"::1"'])
def test_these_hosts_are_loopback(sandbox, host):
    sandbox.replace("host: 127.0.0.1", f"host: {host}")
    sandbox.load()


@pytest.mark.parametrize(
    "host", ["192.168.1.7", '"::"', "fleet.example.org", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_these_hosts_are_not(sandbox, host):
    sandbox.replace("host: 127.0.0.1", f"host: {host}")
    assert len(sandbox.problems()) == 3


def test_a_token_may_come_from_a_file_also_beyond_loopback(sandbox):
    listen_beyond_loopback(sandbox)
    for name in ("operator", "requester", "viewer"):
        sandbox.replace(f"token: demo-{name}-token", f"token_file: secrets/{name}")
        (sandbox.folder / "secrets").mkdir(exist_ok=True)
        (sandbox.folder / "secrets" / name).write_text(f"{LONG}-{name}\n")
    assert tokens(sandbox.load())["ward"] == f"{LONG}-requester"
    (sandbox.folder / "secrets" / "viewer").unlink()
    (sandbox.folder / "secrets" / "operator").write_text("\n")
    problems = sandbox.problems()
    assert [p.field for p in problems] == ["api.tokens[0].token_file", "api.tokens[2].token_file"]
    assert "is empty" in problems[0].text
    assert "No such file" in problems[1].text


def test_a_token_without_a_value_says_which_variable_to_set(sandbox):
    sandbox.replace(", token: demo-viewer-token", "")
    problem = sandbox.problem()
    assert (problem.field, problem.text) == ("api.tokens[2].token", "has no value")
    assert problem.line == sandbox.line_of("name: viewer")
    assert "COLDWING_API_TOKEN_VIEWER" in problem.fix
    assert tokens(sandbox.load(COLDWING_API_TOKEN_VIEWER=LONG))["viewer"] == LONG


def test_the_broker_s_password_may_stand_in_the_url_on_loopback_only(sandbox):
    sandbox.replace("mqtt://coldwing:demo-broker-password@127.0.0.1:1883", "mqtts://fleet:p%40ss@broker.example.org")
    problem = sandbox.problem()
    assert problem.field == "mqtt.url"
    assert "COLDWING_MQTT_PASSWORD" in problem.fix
    mqtt = sandbox.load(COLDWING_MQTT_PASSWORD="other").mqtt
    assert (mqtt.host, mqtt.port, mqtt.tls) == ("broker.example.org", 8883, True)
    assert (mqtt.username, mqtt.password) == ("fleet", "other")


def test_a_password_in_the_url_is_percent_decoded(sandbox):
    sandbox.replace("mqtt://coldwing:demo-broker-password@127.0.0.1:1883", "mqtt://fleet:p%40ss@127.0.0.1")
    mqtt = sandbox.load().mqtt
    assert (mqtt.port, mqtt.tls, mqtt.password) == (1883, False, "p@ss")


def test_a_box_s_key_may_come_from_its_line_a_file_or_the_environment(sandbox):
    sandbox.replace("id: box-2}", "id: box-2, key: sixteen letters or more}")
    sandbox.replace("id: box-3}", "id: box-3, key_file: box3.key}")
    (sandbox.folder / "box3.key").write_text("from a file\n")
    keys = sandbox.load(COLDWING_BOX_KEY_BOX_1="from the environment").box_keys
    assert keys == {
        "box-1": b"from the environment",
        "box-2": b"sixteen letters or more",
        "box-3": b"from a file",
    }


def test_a_message_about_a_wrong_value_does_not_repeat_its_secret(sandbox):
    sandbox.replace("demo-broker-password@127.0.0.1:1883", "hush hush@127.0.0.1:1883")
    sandbox.replace("token: demo-operator-token", "token: 48151623421234567")
    token, url = sandbox.problems()
    assert (token.field, url.field) == ("api.tokens[0].token", "mqtt.url")
    assert "48151623421234567" not in str(token)
    assert "hush" not in str(url)
    assert "@127.0.0.1:1883" in str(url)
