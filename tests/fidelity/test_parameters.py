"""Parameters on the wire: types, what is answered and what is met with silence."""

from __future__ import annotations

import pytest

from tests.fidelity.messages import INT32, REAL32, number_of, on_wire
from tests.fidelity.wire import Wire


def set_raw(wire: Wire, name: str, value: float, kind: int) -> int:
    since = wire.mark()
    wire.send(wire.mav.param_set_encode(wire.target, 1, name.encode(), on_wire(value), kind))
    return since


def restored(wire: Wire, name: str) -> None:
    """`restore` puts back whatever this check does to it."""
    wire._before.setdefault(name, wire.param(name))


DEFAULTS = {
    "BAT_CRIT_THR": 0.07,
    "BAT_EMERGEN_THR": 0.05,
    "BAT_LOW_THR": 0.15,
    "COM_ARMABLE": 1,
    "COM_DISARM_LAND": 2.0,
    "COM_FAIL_ACT_T": 5.0,
    "COM_FLTT_LOW_ACT": 0,
    "COM_RCL_EXCEPT": 0,
    "COM_RC_IN_MODE": 1,
    "GF_ACTION": 2,
    "GF_MAX_HOR_DIST": 0.0,
    "GF_MAX_VER_DIST": 0.0,
    "GF_PREDICT": 0,
    "GF_SOURCE": 0,
    "MIS_DIST_1WP": 10000.0,
    "MIS_TAKEOFF_ALT": 2.5,
    "MIS_TKO_LAND_REQ": 0,
    "MPC_LAND_SPEED": 0.7,
    "NAV_ACC_RAD": 2.0,
    "NAV_DLL_ACT": 0,
    "NAV_MC_ALT_RAD": 0.8,
    "NAV_RCL_ACT": 2,
    "PD_GRIPPER_TO": 1.0,
    "PD_GRIPPER_TYPE": 0,
    "RTL_CONE_ANG": 45,
    "RTL_DESCEND_ALT": 10.0,
    "RTL_LAND_DELAY": 0.0,
    "RTL_MIN_DIST": 10.0,
    "RTL_RETURN_ALT": 30.0,
    "RTL_TYPE": 0,
    "SIM_BAT_MIN_PCT": 50.0,
    "SYS_AUTOSTART": 10040,
    "SYS_HAS_MAG": 1,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_a_parameter_has_px4s_type_and_default(wire: Wire, name: str, value: float) -> None:
    since = wire.mark()
    wire.send(wire.mav.param_request_read_encode(wire.target, 1, name.encode(), -1))
    told = wire.wait("PARAM_VALUE", lambda m: m["param_id"] == name, 1.0, since)
    assert told["param_type"] == (INT32 if isinstance(value, int) else REAL32)
    assert number_of(told) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("COM_DL_LOSS_T", 10), ("COM_RC_LOSS_T", 1.0), ("COM_OF_LOSS_T", 1.0), ("COM_OBC_LOSS_T", 5.0)],
)
def test_a_time_until_something_counts_as_lost_grows_with_the_speed_of_the_simulation(
    wire: Wire, name: str, seconds: float
) -> None:
    """SITL's start-up script does so, for clients that live on the wall clock."""
    assert wire.param(name) == seconds * wire.subject.speed


def test_the_action_at_a_critical_battery_is_set_by_the_start_up_script_of_sitl(wire: Wire) -> None:
    assert wire.param("COM_LOW_BAT_ACT") == wire.differs(
        px4=3, simulator=0, because="the simulator has what a vehicle has, which a fleet must set"
    )


def test_an_integer_travels_bytewise_and_is_told_back_at_once(wire: Wire) -> None:
    restored(wire, "NAV_DLL_ACT")
    since = set_raw(wire, "NAV_DLL_ACT", 2, INT32)
    told = wire.wait("PARAM_VALUE", lambda m: True, 1.0, since)
    assert (told["param_id"], told["param_type"], number_of(told)) == ("NAV_DLL_ACT", INT32, 2)


def test_a_float_is_told_back_as_a_32_bit_float(wire: Wire) -> None:
    restored(wire, "RTL_RETURN_ALT")
    since = set_raw(wire, "RTL_RETURN_ALT", 35.1, REAL32)
    assert number_of(wire.wait("PARAM_VALUE", lambda m: True, 1.0, since)) == pytest.approx(35.1, abs=1e-5)


def test_a_value_out_of_range_is_taken(wire: Wire) -> None:
    restored(wire, "GF_ACTION")
    since = set_raw(wire, "GF_ACTION", 99, INT32)
    assert number_of(wire.wait("PARAM_VALUE", lambda m: True, 1.0, since)) == 99


def test_an_unknown_name_is_met_with_silence(wire: Wire) -> None:
    since = set_raw(wire, "NO_SUCH_PARAM", 1.0, REAL32)
    wire.send(wire.mav.param_request_read_encode(wire.target, 1, b"NO_SUCH_PARAM", -1))
    wire.run(1.5)
    assert not wire.of("PARAM_VALUE", since)


def test_a_wrong_type_is_met_with_silence_and_changes_nothing(wire: Wire) -> None:
    since = set_raw(wire, "RTL_RETURN_ALT", 35, INT32)
    wire.run(1.5)
    assert not wire.of("PARAM_VALUE", since)
    assert wire.param("RTL_RETURN_ALT") == 30.0


def test_a_value_that_was_set_on_one_link_is_told_on_the_other_too(wire: Wire) -> None:
    restored(wire, "NAV_DLL_ACT")
    other = wire.others[0]
    since = other.mark()
    set_raw(wire, "NAV_DLL_ACT", 2, INT32)
    assert number_of(other.wait("PARAM_VALUE", lambda m: m["param_id"] == "NAV_DLL_ACT", 3.0, since)) == 2


def test_the_hash_is_read_by_name_and_changes_with_a_value(wire: Wire) -> None:
    def hash_told() -> float:
        since = wire.mark()
        wire.send(wire.mav.param_request_read_encode(wire.target, 1, b"_HASH_CHECK", -1))
        told = wire.wait("PARAM_VALUE", lambda m: m["param_id"] == "_HASH_CHECK", 1.0, since)
        assert (told["param_type"], told["param_index"]) == (5, 65535)
        return number_of(told)

    restored(wire, "NAV_DLL_ACT")
    first = hash_told()
    assert hash_told() == first
    wire.set_param("NAV_DLL_ACT", 2)
    assert hash_told() != first
    wire.set_param("NAV_DLL_ACT", 0)
    assert hash_told() == first


def test_an_index_that_does_not_exist_is_met_with_silence(wire: Wire) -> None:
    since = wire.mark()
    wire.send(wire.mav.param_request_read_encode(wire.target, 1, b"", 32000))
    wire.run(1.5)
    assert not wire.of("PARAM_VALUE", since)


def test_the_list_is_complete_and_carries_the_hash(wire: Wire) -> None:
    since = wire.mark()
    wire.send(wire.mav.param_request_list_encode(wire.target, 1))

    def listed() -> dict[int, str]:
        return {m["param_index"]: m["param_id"] for m in wire.of("PARAM_VALUE", since)}

    wire.until(lambda: len(listed()) > 1 and len(listed()) > wire.last("PARAM_VALUE")["param_count"], 60.0)
    wire.run(1.0)
    told = listed()
    count = wire.last("PARAM_VALUE")["param_count"]
    assert sorted(told) == [*range(count), 65535]
    assert told[65535] == "_HASH_CHECK"
    names = [told[i] for i in range(count)]
    assert names == sorted(names)
    assert count == wire.differs(px4=887, simulator=count, because="those that matter here alone")


def test_all_systems_at_once_are_not_answered(wire: Wire) -> None:
    since = wire.mark()
    wire.send(wire.mav.param_request_read_encode(0, 1, b"GF_ACTION", -1))
    wire.run(1.0)
    assert not wire.of("PARAM_VALUE", since)
