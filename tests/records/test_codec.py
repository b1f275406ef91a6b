import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.records.codec import CodecError, canonical_json, from_json, to_json
from geofences.daylight import SunEvent
from geofences.geodesy import LatLon
from geofences.volumes import Applicability, Circle, DailyPeriod, Polygon, Volume, Zone
from missions.boxes import Box, BoxSample
from missions.decision.types import Action, ActiveFault, CandidateKind, Decision, Memory, Policy, Scored, Snapshot
from missions.delivery import Flight
from missions.orders import Order, Priority
from missions.plan import Infeasible, Plan
from missions.sites import Site
from missions.snapshot import BoxView, Mode, Timed, VehicleState
from tests.records.contract_values import values

CONTRACTS = [Order, Plan, Infeasible, Memory, Decision, Snapshot, VehicleState, BoxView, BoxSample, Box, Zone, Site]
CONTRACTS += [Policy, Flight, Timed[LatLon]]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: getattr(c, "__name__", str(c)))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_value_of_a_contract_survives_the_way_through_json_text(contract, data):
    value = data.draw(values(contract))
    text = canonical_json(to_json(value, contract))
    again = from_json(contract, json.loads(text))
    assert again == value
    assert canonical_json(to_json(again, contract)) == text


def test_the_json_reads_as_the_values_are_named():
    decision = Decision(
        action=Action.DIVERT_AND_LAND,
        candidate=None,
        cause="lid_open",
        sentence="Divert.",
        faults=(ActiveFault("lid_open", "The lid is open.", 5.0, Action.CONTINUE),),
        considered=(Scored(CandidateKind.REICE, "midway", 0.2, None, 1.0, 55.0, 9.0),),
    )
    encoded = to_json(decision)
    assert encoded["action"] == "DIVERT_AND_LAND"
    assert encoded["faults"] == [
        {"name": "lid_open", "text": "The lid is open.", "since_s": 5.0, "asks": "CONTINUE"},
    ]
    assert encoded["considered"][0]["kind"] == "reice"


def test_a_union_of_shapes_says_which_one_it_is():
    circle = Volume(Circle(LatLon(1.0, 2.0), 50.0))
    assert to_json(circle)["outline"]["type"] == "Circle"
    square = Volume(Polygon((LatLon(0.0, 0.0), LatLon(0.0, 1.0), LatLon(1.0, 1.0))))
    assert from_json(Volume, to_json(square)) == square


def test_times_and_sets_are_written_in_one_way():
    daily = DailyPeriod(frozenset({5, 1, 3}), time(6, 30), time(18, 0))
    applies = Applicability(start=datetime(2026, 11, 21, 8, tzinfo=UTC), daily=(daily,))
    assert to_json(applies) == {
        "start": "2026-11-21T08:00:00+00:00",
        "end": None,
        "daily": [{"weekdays": [1, 3, 5], "start": "06:30:00", "end": "18:00:00"}],
    }


def test_a_time_of_day_or_a_sunset_is_told_by_its_text():
    period = DailyPeriod(frozenset(), time(8), SunEvent.SS)
    assert to_json(period) == {"weekdays": [], "start": "08:00:00", "end": "SS"}
    assert from_json(DailyPeriod, to_json(period)) == period
    with pytest.raises(CodecError, match="end: 'dusk' is not an ISO 8601 time; 'dusk' is not one of BMCT"):
        from_json(DailyPeriod, {"weekdays": [], "start": "08:00:00", "end": "dusk"})


def test_a_field_that_a_newer_version_added_takes_its_default_when_an_old_row_is_read():
    old = to_json(Policy())
    del old["dwell_s"]
    assert from_json(Policy, old) == Policy()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mass_kg": "heavy"}, "mass_kg: 'heavy' is not float"),
        ({"mass_kg": True}, "mass_kg: True is not float"),
        ({"priority": "soon"}, "priority: 'soon' is not one of routine, urgent, asap, stat"),
        ({"budget_min": [["2-8", 5.0], ["8-15"]]}, "budget_min[1]: 1 values where 2 belong"),
        ({"budget_min": [["2-8", None]]}, "budget_min[0][1]: None is not float"),
        ({"patient": "x"}, "Order has no field 'patient'"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_the_path_of_the_field(change, complaint):
    order = Order("o-1", "p", "teral", "koru", "r", 1.0, 2.0, Priority.STAT, 9.0, 1.0)
    with pytest.raises(CodecError) as refused:
        from_json(Order, to_json(order) | change)
    assert str(refused.value) == complaint


def test_a_missing_field_without_default_is_named():
    with pytest.raises(CodecError, match="missing 1 required positional argument: 'lon_deg'"):
        from_json(LatLon, {"lat_deg": 1.0})


def test_a_value_that_the_class_itself_refuses_is_refused_with_its_path():
    with pytest.raises(CodecError, match=r"^value: LatLon latitude 95.0 is not within"):
        from_json(Timed[LatLon], {"value": {"lat_deg": 95.0, "lon_deg": 0.0}, "at_s": 1.0})


def test_a_generic_value_needs_no_hint_to_be_written():
    assert to_json(Timed(Mode.HOLD, 3.0)) == {"value": "hold", "at_s": 3.0}


def test_a_type_the_codec_has_no_rule_for_is_a_fault_of_ours():
    @dataclass(frozen=True)
    class Odd:
        blob: bytes

    with pytest.raises(TypeError, match="no rule"):
        to_json(Odd(b""), Odd)


TEXT = st.text(st.characters(codec="utf-8"))
SCALAR = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALAR | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_canonical_json_is_the_same_after_reading_it_back(data: Any):
    text = canonical_json(data)
    assert json.loads(text) == data
    assert canonical_json(json.loads(text)) == text


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=6), st.randoms(use_true_random=False))
def test_canonical_json_does_not_depend_on_the_order_of_keys(data, random):
    items = list(data.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(data)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_canonical_json_refuses_numbers_that_json_has_not(bad):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": [1, {"b": bad}]})


def test_canonical_json_refuses_keys_that_would_sort_otherwise_after_reading_back():
    with pytest.raises(ValueError, match="string"):
        canonical_json({"a": [({9: 1, 10: 2},)]})


def test_canonical_json_refuses_text_that_is_not_unicode():
    with pytest.raises(ValueError, match="surrogate"):
        canonical_json({"a": "\ud800"})
