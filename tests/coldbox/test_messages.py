"""One message: what is taken and what is refused, against the published schema."""

import json
import math
import re
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.coldbox import MAX_PAYLOAD, Refusal, Refused, read_sample, sign
from missions.boxes import BoxSample

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "configs/schemas/box_sample.schema.json").read_text(encoding="utf-8")
)
KEY = b"a key of box one"
GOOD = {
    "boot_id": "b-7",
    "seq": 41,
    "box_time": "2026-11-21T08:00:00.250Z",
    "temp_c": [4.5, None, 5],
    "rh_pct": 61.0,
    "lid": "closed",
    "seal": "broken",
    "tilt_deg": 3.0,
    "shock_g": 0.1,
    "light_lux": 0,
    "battery_pct": 88,
    "docked": True,
}


def read(message, key=None):
    return read_sample("box-1", json.dumps(message).encode(), key)


def test_a_full_message_becomes_a_sample_with_the_box_s_own_time():
    assert read(GOOD) == BoxSample(
        box_id="box-1",
        boot_id="b-7",
        seq=41,
        box_time_s=1795248000.25,
        temp_c=(4.5, None, 5.0),
        rh_pct=61.0,
        lid_open=False,
        seal_ok=False,
        tilt_deg=3.0,
        shock_g=0.1,
        light_lux=0.0,
        battery_pct=88.0,
        docked=True,
    )


def test_what_a_box_does_not_measure_is_none():
    sample = read({name: GOOD[name] for name in SCHEMA["required"]})
    assert (sample.rh_pct, sample.lid_open, sample.seal_ok, sample.docked, sample.battery_pct) == (None,) * 5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seq": -1}, "seq is -1, not a whole number from 0 on"),
        ({"seq": True}, "seq is True"),
        ({"boot_id": ""}, "boot_id is ''"),
        ({"box_time": "2026-11-21T08:00:00"}, "box_time is"),
        ({"box_time": "2026-13-21T08:00:00Z"}, "month must be in 1..12"),
        ({"temp_c": []}, "temp_c is not a list of 1 to 8 probes"),
        ({"temp_c": [4.0, "5"]}, "temp_c[1] is '5', not a number"),
        ({"temp_c": [10**400]}, "temp_c[0] is not finite"),
        ({"battery_pct": 101}, "battery_pct is 101, outside 0 to 100"),
        ({"lid": "ajar"}, "lid is 'ajar', neither 'open' nor 'closed'"),
        ({"docked": 1}, "docked is 1"),
        ({"hmac": "AB" * 32}, "hmac is not 64"),
        ({"patient": "x"}, "'patient' is not a field of a sample"),
    ],
)
def test_a_refusal_names_the_field_and_the_rule(change, text):
    refused = read(GOOD | change)
    assert isinstance(refused, Refused)
    assert refused.kind is Refusal.INVALID
    assert text in refused.text


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 4000,
        b'{"temp_c": [NaN]}',
        b'{"seq": 1, "seq": 2}',
        b'{"seq": ' + b"1" * 4000 + b"}",  # [Python] refuses integers this long before they cost time
    ],
    ids=["empty", "not UTF-8", "cut", "deep", "NaN", "a field twice", "a huge number"],
)
def test_what_is_not_plain_json_is_refused(payload):
    refused = read_sample("box-1", payload, None)
    assert isinstance(refused, Refused)
    assert refused.kind in (Refusal.NOT_JSON, Refusal.INVALID)


def test_a_message_longer_than_any_sample_is_not_even_parsed():
    assert read_sample("box-1", b" " * (MAX_PAYLOAD + 1), None).kind is Refusal.TOO_LARGE


NUMBERS = st.floats(-1e6, 1e6) | st.integers(-200, 200) | st.sampled_from([0, 100, 100.5, -0.5, 3.0])
ODDITIES = st.none() | st.booleans() | NUMBERS | st.text(max_size=4) | st.lists(NUMBERS | st.none(), max_size=9)
VALUES = {
    "boot_id": st.text(st.characters(codec="utf-8"), max_size=70),
    "seq": st.integers(-3, 10**12) | st.sampled_from([3.0, 3.5]),
    "box_time": st.sampled_from([GOOD["box_time"], "2026-11-21T08:00:00Z", "2026-11-21 08:00:00Z", "yesterday"]),
    "temp_c": st.lists(NUMBERS | st.none() | st.booleans(), max_size=9),
    "rh_pct": NUMBERS | st.none(),
    "lid": st.sampled_from(["open", "closed", "Open", None, False]),
    "seal": st.sampled_from(["ok", "broken", "", None, 0]),
    "tilt_deg": NUMBERS | st.none(),
    "shock_g": NUMBERS | st.none(),
    "light_lux": NUMBERS | st.none(),
    "battery_pct": NUMBERS | st.none(),
    "docked": st.sampled_from([True, False, None, 0, 1]),
    "hmac": st.sampled_from(["0f" * 32, "0F" * 32, "0f" * 31, None, 5]),
}


@st.composite
def near_messages(draw):
    """A good message with some fields dropped, replaced by values near the rules, or by anything."""
    message = deepcopy(GOOD)
    for name in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4)):
        message[name] = draw(VALUES[name])
    for name in draw(st.lists(st.sampled_from([*VALUES, "patient"]), max_size=1)):
        message[name] = draw(ODDITIES)
    for name in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=1)):
        message.pop(name, None)
    return message


CHECKER = jsonschema.FormatChecker(formats=())


@CHECKER.checks("date-time")
def rfc_3339_with_z(value):
    return not isinstance(value, str) or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None


ORACLE = jsonschema.Draft202012Validator(SCHEMA, format_checker=CHECKER)


@settings(max_examples=400, deadline=None)
@given(near_messages())
def test_the_hand_written_rules_agree_with_the_published_schema(message):
    errors = [e.message for e in ORACLE.iter_errors(message)]
    taken = read(message)
    assert isinstance(taken, BoxSample) == (not errors), (taken, errors)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | near_messages().map(lambda m: json.dumps(m).encode()[:-9]))
def test_no_payload_raises(payload):
    assert isinstance(read_sample("box-1", payload, KEY), (BoxSample, Refused))


def test_a_box_with_a_key_is_believed_only_when_signed_with_it():
    assert isinstance(read(GOOD | {"hmac": sign(GOOD, KEY)}, KEY), BoxSample)
    assert read(GOOD, KEY).kind is Refusal.UNSIGNED
    assert read(GOOD | {"hmac": sign(GOOD, b"another box's key")}, KEY).kind is Refusal.FORGED


@settings(max_examples=100, deadline=None)
@given(near_messages())
def test_a_signature_covers_every_field(message):
    message.pop("hmac", None)
    signed = GOOD | {"hmac": sign(GOOD, KEY)}
    taken = read(message | {"hmac": signed["hmac"]}, KEY)
    assert isinstance(taken, BoxSample) == (json.dumps(message, sort_keys=True) == json.dumps(GOOD, sort_keys=True))


def test_the_signature_is_hmac_sha256_over_canonical_json():
    # Computed with: printf '{"a":[4.5,null],"b":"é"}' | openssl dgst -sha256 -hmac 'a key of box one'
    expected = "7231b5a6e6b862d4274a0d3c2d4ec9e9236d1fa1ea98ac020fdc791b827e4cfd"
    assert sign({"b": "é", "a": [4.5, None], "hmac": "ignored"}, KEY) == expected


def test_no_temperature_that_is_taken_is_other_than_a_finite_number():
    for text in ("1e999", "-1e999"):
        payload = json.dumps(GOOD).replace("4.5", text).encode()
        assert read_sample("box-1", payload, None).kind is Refusal.INVALID
    assert all(t is None or math.isfinite(t) for t in read(GOOD).temp_c)
