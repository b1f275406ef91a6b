"""Parameters: bytewise integers, setting, silence, the whole list through a lossy link."""

from __future__ import annotations

import struct
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.mavlink.exchange import Parties
from fleet.mavlink.messages import Message, ParamRequestList, ParamRequestRead, ParamValue
from fleet.mavlink.params import (
    HASH_CHECK,
    INT32,
    REAL32,
    UINT32,
    Param,
    ParamList,
    ParamRead,
    ParamTable,
    ParamWrite,
    compare,
    float32,
    from_wire,
    to_wire,
)
from fleet.mavlink.timing import RoundTrip
from tests.mavlink.converse import converse
from tests.mavlink.fake_px4 import FakePx4

US = Parties(245, 190, 1)


def thousand(count: int = 887) -> FakePx4:
    """As many as PX4 v1.17 has on a quad, ints and floats in turn."""
    return FakePx4(
        params={
            f"P_{n:04}": (struct.pack("<i", -n), INT32) if n % 2 else (struct.pack("<f", n / 7), REAL32)
            for n in range(count)
        }
    )


def measured(rtt_s: float) -> RoundTrip:
    rtt = RoundTrip()
    for _ in range(20):
        rtt.sample(rtt_s)
    return rtt


# -- one parameter ---------------------------------------------------------------------------------------------------


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_int32_survives_the_wire(value: int) -> None:
    assert from_wire(ParamValue(to_wire(value, INT32), 1, 0, b"GF_ACTION", INT32)) == Param("GF_ACTION", value, INT32)


@given(st.integers(0, 2**32 - 1))
def test_every_checksum_survives_the_wire(value: int) -> None:
    assert from_wire(ParamValue(to_wire(value, UINT32), 1, 0, b"_HASH_CHECK", UINT32)).value == value


@given(st.floats(width=32, allow_nan=False))
def test_every_float_survives_as_a_float32(value: float) -> None:
    assert from_wire(ParamValue(to_wire(value, REAL32), 1, 0, b"BAT_LOW_THR", REAL32)).value == float32(value) == value


def test_a_value_is_read_despite_loss() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 3), INT32)})
    answer, _ = converse(ParamRead(US, "GF_ACTION", RoundTrip()), vehicle, loss=0.4, seed=4)
    assert answer is not None
    assert answer.param == Param("GF_ACTION", 3, INT32)


def test_an_unknown_name_is_silence_and_ends() -> None:
    answer, _ = converse(ParamRead(US, "NO_SUCH", RoundTrip()), FakePx4())
    assert answer is not None
    assert answer.param is None


def test_px4_s_checksum_is_read_by_its_name() -> None:
    vehicle = thousand(3)
    answer, _ = converse(ParamRead(US, HASH_CHECK, RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param == Param(HASH_CHECK, vehicle.parameters.hash(), UINT32)


def test_a_set_counts_when_the_vehicle_says_the_new_value() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 2), INT32)})
    answer, _ = converse(ParamWrite(US, Param("GF_ACTION", 3, INT32), RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param == Param("GF_ACTION", 3, INT32)


def test_an_answer_with_the_old_value_is_not_taken_for_the_new_one() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 2), INT32)})
    vehicle.parameters.deaf_to.add("GF_ACTION")
    answer, _ = converse(ParamWrite(US, Param("GF_ACTION", 3, INT32), RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param is None


def test_minus_one_whose_bytes_are_a_nan_can_be_set_and_is_seen() -> None:
    vehicle = FakePx4(params={"COM_FLTMODE1": (struct.pack("<i", 2), INT32)})
    answer, _ = converse(ParamWrite(US, Param("COM_FLTMODE1", -1, INT32), RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param == Param("COM_FLTMODE1", -1, INT32)
    assert vehicle.params["COM_FLTMODE1"][0] == b"\xff\xff\xff\xff"


def test_a_wrong_type_is_ignored_by_the_vehicle_and_shows() -> None:
    vehicle = FakePx4(params={"GF_ACTION": (struct.pack("<i", 2), INT32)})
    answer, _ = converse(ParamWrite(US, Param("GF_ACTION", 3.0, REAL32), RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param is None


def test_a_name_of_sixteen_characters_fits_and_a_longer_one_does_not() -> None:
    vehicle = FakePx4(params={"A" * 16: (struct.pack("<i", 2), INT32)})
    answer, _ = converse(ParamRead(US, "A" * 16, RoundTrip()), vehicle)
    assert answer is not None
    assert answer.param is not None
    with pytest.raises(ValueError, match="longer than 16"):
        ParamRead(US, "A" * 17, RoundTrip())


# -- all of them -----------------------------------------------------------------------------------------------------


def read_all(vehicle: FakePx4, rtt: RoundTrip | None = None, **pipe: object) -> tuple[ParamTable, float]:
    table, took_s = converse(ParamList(US, rtt or RoundTrip()), vehicle, **pipe)  # type: ignore[arg-type]
    assert table is not None
    return table, took_s


def holds(table: ParamTable, vehicle: FakePx4) -> bool:
    """Every parameter, byte for byte."""
    return {p.name: (to_wire(p.value, p.type), p.type) for p in table.params.values()} == vehicle.params


def test_the_whole_list_comes_on_a_good_link_and_nothing_is_asked_twice() -> None:
    vehicle = thousand()
    table, took_s = read_all(vehicle)
    assert table.whole
    assert holds(table, vehicle)
    assert table.hash == vehicle.parameters.hash()
    assert [type(m) for m in vehicle.log] == [ParamRequestList]
    assert took_s < 4.0


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), loss=st.floats(0.0, 0.3), rtt_s=st.sampled_from([0.02, 0.2, 2.0]))
def test_the_whole_list_comes_through_any_loss_up_to_thirty_percent_each_way(
    seed: int, loss: float, rtt_s: float
) -> None:
    vehicle = thousand(120)
    table, _ = read_all(vehicle, measured(rtt_s), rtt_s=rtt_s, loss=loss, seed=seed)
    assert table.whole
    assert holds(table, vehicle)


@pytest.mark.parametrize(("rtt_s", "within_s"), [(0.2, 120.0), (2.0, 600.0)])
def test_887_parameters_come_through_thirty_percent_loss_each_way(rtt_s: float, within_s: float) -> None:
    vehicle = thousand()
    table, took_s = read_all(vehicle, measured(rtt_s), rtt_s=rtt_s, loss=0.3, seed=7)
    assert table.whole
    assert holds(table, vehicle)
    assert took_s < within_s


def test_what_never_comes_is_named_and_the_rest_is_kept() -> None:
    def lost(message: Message) -> bool:
        return isinstance(message, ParamValue) and message.param_index in (3, 50)

    table, took_s = read_all(thousand(60), drop=lost)
    assert not table.whole
    assert table.missing == (3, 50)
    assert len(table.params) == 58
    assert str(table) == "2 of 60 parameters could not be read (index 3, 50)"
    assert took_s < 120.0


def test_a_vehicle_that_answers_nothing_is_given_up() -> None:
    vehicle = thousand(10)
    vehicle.silent = True
    vehicle.parameters.held.clear()
    table, _ = read_all(vehicle)
    assert (table.whole, table.count, table.params) == (False, None, {})
    assert "does not answer" in str(table)


def test_a_parameter_that_comes_into_use_meanwhile_shifts_the_rest_and_the_list_is_read_anew() -> None:
    vehicle = thousand(100)
    heard = 0

    def grow(message: Message) -> bool:
        nonlocal heard
        heard += isinstance(message, ParamValue)
        if heard == 40:
            vehicle.params["A_FIRST"] = (struct.pack("<i", 1), INT32)
        return False

    table, _ = read_all(vehicle, drop=grow)
    assert table.whole
    assert holds(table, vehicle)
    assert table.count == 101


def test_only_what_is_missing_is_asked_for_again() -> None:
    vehicle = thousand(100)
    dropped: set[int] = set()

    def once(message: Message) -> bool:
        if isinstance(message, ParamValue) and message.param_index in (7, 8, 99) and message.param_index not in dropped:
            dropped.add(message.param_index)
            return True
        return False

    table, _ = read_all(vehicle, drop=once)
    assert table.whole
    assert [m.param_index for m in vehicle.log if isinstance(m, ParamRequestRead)] == [7, 8, 99]


def test_two_sets_are_compared_bit_for_bit() -> None:
    one = {"A": Param("A", 1, INT32), "B": Param("B", nan, REAL32), "C": Param("C", 0.1, REAL32)}
    other = {"B": Param("B", nan, REAL32), "C": Param("C", 0.2, REAL32), "D": Param("D", 4, INT32)}
    assert [d.name for d in compare(one, other)] == ["A", "C", "D"]
    assert compare(one, one) == ()
