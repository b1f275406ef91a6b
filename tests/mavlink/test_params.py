"""Parameters: bytewise integers, comparing, setting, silence."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink.exchange import Parties
from fleet.mavlink.messages import ParamValue
from fleet.mavlink.params import INT32, REAL32, Param, ParamRead, ParamWrite, from_wire, satisfies, target, to_wire
from fleet.mavlink.timing import RoundTrip
from tests.mavlink.converse import converse
from tests.mavlink.fake_px4 import FakePx4

US = Parties(245, 190, 1)


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_int32_survives_the_wire(value: int) -> None:
    assert from_wire(ParamValue(to_wire(value, INT32), 1, 0, b"GF_ACTION", INT32)) == Param("GF_ACTION", value, INT32)


def test_a_float_survives_as_a_float32() -> None:
    param = from_wire(ParamValue(to_wire(0.15, REAL32), 1, 0, b"BAT_LOW_THR", REAL32))
    assert satisfies(param.value, 0.15)


def test_a_value_is_read_despite_loss() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 3), INT32)})
    answer, _ = converse(ParamRead(US, "GF_ACTION", RoundTrip()), vehicle, loss=0.4, seed=4)
    assert answer is not None
    assert answer.param == Param("GF_ACTION", 3, INT32)


def test_an_unknown_name_is_silence_and_ends() -> None:
    answer, _ = converse(ParamRead(US, "NO_SUCH", RoundTrip()), FakePx4())
    assert answer is not None
    assert answer.param is None


def test_a_set_counts_when_the_vehicle_says_the_new_value() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 2), INT32)})
    answer, _ = converse(ParamWrite(US, Param("GF_ACTION", 3, INT32), RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param == Param("GF_ACTION", 3, INT32)


def test_a_wrong_type_is_ignored_by_the_vehicle_and_shows() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 2), INT32)})
    answer, _ = converse(ParamWrite(US, Param("GF_ACTION", 3.0, REAL32), RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param is None


@pytest.mark.parametrize(
    ("value", "wanted", "good"),
    [(3, 3, True), (3, (2, 3), True), (1, (2, 3), False), (float("nan"), (0, 1), False), (float("nan"), 0, False)],
)
def test_a_value_satisfies_a_number_or_a_range(value: float, wanted: tuple[float, float] | float, good: bool) -> None:
    assert satisfies(value, wanted) is good


def test_what_is_set_is_the_nearer_end_of_the_range() -> None:
    assert target((2, 5), 9) == 5
    assert target((2, 5), 0) == 2
    assert target((2, 5), float("nan")) == 2
