"""The vehicle contract: which firmware may fly, what parameters must hold, what is set and what refuses a flight."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.config import data_dir, load_config
from fleet.mavlink import px4
from fleet.mavlink.contract import (
    Contract,
    Demand,
    Denial,
    Memory,
    VersionError,
    Versions,
    fulfil,
    judge_firmware,
    parse_version,
)
from fleet.mavlink.messages import ParamRequestRead, ParamSet
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.params import INT32, REAL32, Param, float32
from fleet.mavlink.port import Outcome, Verdict
from missions.snapshot import Timed, VehicleState
from sitl.autopilot.params import Params
from sitl.spec import Performance
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


# -- firmware --------------------------------------------------------------------------------------------------------


def test_versions_sort_as_releases_come_out_a_pre_release_before_its_release() -> None:
    texts = ["1.9.4", "1.16.0dev", "1.16.0alpha", "1.16.0beta", "1.16.0rc", "1.16.0", "1.16.1", "1.17.0dev", "2.0.0"]
    versions = [parse_version(text).first for text in texts]
    assert versions == sorted(versions)
    assert len(set(versions)) == len(texts)


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_every_version_that_a_vehicle_can_report_is_understood(parts: tuple[int, ...]) -> None:
    major, minor, patch, kind = parts
    reported = px4.version_text(int.from_bytes(bytes(parts), "big"))
    span = parse_version(reported)
    assert span.first[:3] == (major, minor, patch)
    assert span.first.kind == {True: 4}.get(kind == 255, kind // 64)
    assert span.first < span.after


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("1.16.0", ["1.16.0"], ["1.16.0rc", "1.16.1"]),
        ("==1.16.0rc", ["1.16.0rc"], ["1.16.0", "1.16.0beta"]),
        ("1.16", ["1.16.0dev", "1.16.0", "1.16.9"], ["1.15.4", "1.17.0dev"]),
        ("<1.17.0", ["1.17.0rc", "1.16.2"], ["1.17.0"]),
        ("<1.17", ["1.16.2"], ["1.17.0dev", "1.17.0"]),
        ("<=1.17", ["1.17.3", "1.17.0dev"], ["1.18.0dev"]),
        (">1.17", ["1.18.0dev"], ["1.17.9"]),
        (">1.17.0", ["1.17.1dev"], ["1.17.0", "1.17.0rc"]),
        (">=1.14,<1.15.4", ["1.14.0beta", "1.14.3", "1.15.4dev"], ["1.13.3", "1.15.4"]),
        (" >= 1.14.0 , < 1.15.4 ", ["1.14.0"], ["1.14.0rc", "1.15.4"]),
    ],
)
def test_a_rule_names_one_version_a_series_or_a_range(rule: str, inside: list[str], outside: list[str]) -> None:
    versions = Versions.parse(rule)
    assert [text for text in (*inside, *outside) if parse_version(text).first in versions] == inside


@pytest.mark.parametrize("text", ["", "1", "1.16.x", "v1.16.0", "1.17.0-rc2", "1.17.0rc2", ">=", "~1.16", "1.2.3.4"])
def test_what_is_no_version_says_how_to_write_one(text: str) -> None:
    with pytest.raises(VersionError, match=r"a PX4 version such as 1\.17\.0"):
        Versions.parse(text)


def test_firmware_is_refused_with_its_reasons_and_unknown_while_the_vehicle_has_not_said() -> None:
    leaky = Denial(Versions.parse("<1.17.0"), "CVE-2026-32724")
    contract = Contract(minimum=parse_version("1.15.0"), denied=(leaky,))
    assert judge_firmware(contract, "1.17.0") == Outcome(Verdict.DONE, "PX4 1.17.0")
    refused = judge_firmware(contract, "1.16.2")
    assert refused == Outcome(Verdict.REFUSED, "firmware: PX4 1.16.2 may not fly: CVE-2026-32724")
    old = judge_firmware(contract, "1.15.0rc")
    assert old.text.endswith("CVE-2026-32724; PX4 1.15.0rc is older than 1.15.0, the oldest that may")
    assert judge_firmware(contract, None).verdict is Verdict.UNKNOWN
    assert judge_firmware(Contract(), None).ok, "who demands nothing need not know"


# -- what a parameter must be ----------------------------------------------------------------------------------------


@given(FLOATS, FLOATS, FLOATS)
def test_a_float_meets_a_range_as_a_32_bit_float(a: float, b: float, held: float) -> None:
    demand = Demand(min(a, b), max(a, b))
    assert demand.met_by(Param("P", held, REAL32)) == (min(a, b) <= held <= max(a, b))


@given(st.floats(-1e6, 1e6))
def test_a_value_written_in_decimals_is_met_by_what_the_vehicle_makes_of_it(value: float) -> None:
    assert Demand.of(value).met_by(Param("P", float32(value), REAL32))


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_whole_numbers_are_compared_exactly(wanted: int, held: int) -> None:
    assert Demand.of(wanted).met_by(Param("P", held, INT32)) == (wanted == held)


@pytest.mark.parametrize("held", [nan, inf, -inf])
def test_what_is_no_number_meets_nothing(held: float) -> None:
    assert not Demand(None, 5).met_by(Param("P", held, REAL32))
    assert not Demand(5, None).met_by(Param("P", held, REAL32))


@given(st.one_of(FLOATS, st.just(nan)), FLOATS, FLOATS)
def test_what_is_set_meets_the_demand_and_is_the_nearer_end(held: float, a: float, b: float) -> None:
    demand = Demand(min(a, b), max(a, b))
    param = Param("P", held, REAL32)
    value = demand.target(param)
    assert value is not None
    assert demand.met_by(Param("P", value, REAL32))
    if held < demand.low or held > demand.high:  # type: ignore[operator]
        assert value == (demand.low if held < demand.low else demand.high)  # type: ignore[operator]


def test_half_a_whole_number_cannot_be_set() -> None:
    assert Demand.of(2.5).target(Param("P", 0, INT32)) is None
    assert Demand.of(2.0).target(Param("P", 0, INT32)) == 2


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (None, None, "demands nothing"),
        (3, 2, "min 3 is more than max 2"),
        (nan, nan, "not a finite"),
        (1e39, 1e39, "not a finite 32-bit number"),
        (2**31, 2**31, "32 bits"),
    ],
)
def test_a_demand_that_no_vehicle_can_meet_is_refused(low: Any, high: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Demand(low, high)


# -- before a flight -------------------------------------------------------------------------------------------------

STANDING = VehicleState("cw-1", firmware="1.17.0", armed=Timed(False, 0.0))


@dataclass
class Bench:
    """A vehicle whose parameters lie open."""

    held: dict[str, Param] = field(default_factory=dict)
    now: VehicleState = STANDING
    stubborn: set[str] = field(default_factory=set)
    silent: bool = False
    has_hash: bool = True
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, **values: float) -> Bench:
        return cls({n: Param(n, v, INT32 if isinstance(v, int) else REAL32) for n, v in values.items()})

    def state(self) -> VehicleState:
        return self.now

    async def read_param(self, name: str) -> Param | None:
        self.said.append(f"read {name}")
        return None if self.silent else self.held.get(name)

    async def write_param(self, param: Param) -> bool:
        self.said.append(f"write {param.name}")
        if param.name not in self.stubborn:
            self.held[param.name] = param
        return param.name not in self.stubborn

    async def params_hash(self) -> int | None:
        self.said.append("hash")
        return hash(tuple(sorted((p.name, p.value) for p in self.held.values()))) if self.has_hash else None

    @property
    def written(self) -> list[str]:
        return [line.removeprefix("write ") for line in self.said if line.startswith("write")]


def demands(*, may_set: bool = True, **wanted: Any) -> Contract:
    return Contract(may_set, {n: w if isinstance(w, Demand) else Demand.of(w) for n, w in wanted.items()})


async def test_what_differs_is_set_read_back_and_named() -> None:
    bench = Bench.of(GF_ACTION=1, NAV_DLL_ACT=0, RTL_RETURN_ALT=30.0, COM_DL_LOSS_T=10)
    contract = demands(GF_ACTION=2, NAV_DLL_ACT=(2, 3), RTL_RETURN_ALT=(60, 110), COM_DL_LOSS_T=(10, 30))
    outcome = await fulfil(bench, contract, Memory())
    assert outcome.ok
    assert outcome.text == (
        "4 parameters as required, of these set: GF_ACTION 1 → 2, NAV_DLL_ACT 0 → 2, RTL_RETURN_ALT 30 → 60"
    )
    assert bench.written == ["GF_ACTION", "NAV_DLL_ACT", "RTL_RETURN_ALT"]
    assert bench.said.index("read RTL_RETURN_ALT", bench.said.index("write RTL_RETURN_ALT")) > 0


async def test_what_may_not_be_set_refuses_the_flight_and_every_mismatch_is_named_with_both_values() -> None:
    bench = Bench.of(GF_ACTION=99, BAT_CRIT_THR=0.2)
    contract = demands(may_set=False, GF_ACTION=2, BAT_CRIT_THR=(0.07, 0.1))
    outcome = await fulfil(bench, contract, Memory())
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.text == "parameters: GF_ACTION is 99, required 2; BAT_CRIT_THR is 0.2, required 0.07..0.1"
    assert bench.written == []


@pytest.mark.parametrize("armed", [Timed(True, 0.0), None])
async def test_nothing_is_set_on_a_vehicle_that_is_armed_or_may_be(armed: Timed[bool] | None) -> None:
    bench = Bench.of(GF_ACTION=1)
    bench.now = replace(STANDING, armed=armed)
    outcome = await fulfil(bench, demands(GF_ACTION=2), Memory())
    assert outcome.verdict is Verdict.REFUSED
    assert "GF_ACTION is 1, required 2 (not set: " in outcome.text
    assert bench.written == []


async def test_a_vehicle_that_is_armed_while_it_is_being_set_is_left_alone_from_then_on() -> None:
    bench = Bench.of(A=1, B=1)

    class Armed(Bench):
        async def write_param(self, param: Param) -> bool:
            self.now = replace(STANDING, armed=Timed(True, 1.0))
            return await super().write_param(param)

    bench = Armed(bench.held)
    outcome = await fulfil(bench, demands(A=2, B=2), Memory())
    assert outcome.verdict is Verdict.REFUSED
    assert bench.written == ["A"]


async def test_a_value_that_does_not_stick_is_said_to_have_been_tried() -> None:
    bench = Bench.of(GF_ACTION=1)
    bench.stubborn = {"GF_ACTION"}
    outcome = await fulfil(bench, demands(GF_ACTION=2), Memory())
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.text == "parameters: GF_ACTION is 1, required 2, and did not become 2 when set"


async def test_a_parameter_that_the_vehicle_does_not_know_is_named() -> None:
    bench = Bench.of(GF_ACTION=2)
    outcome = await fulfil(bench, demands(GF_ACTION=2, NO_SUCH=1, NOR_THIS=1), Memory())
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.text == "parameters: the vehicle does not know NO_SUCH, NOR_THIS, or does not answer"


async def test_a_mismatch_refuses_even_where_others_could_not_be_read() -> None:
    outcome = await fulfil(Bench.of(GF_ACTION=1), demands(may_set=False, GF_ACTION=2, NO_SUCH=1), Memory())
    assert outcome.verdict is Verdict.REFUSED
    assert "GF_ACTION is 1" in outcome.text
    assert "does not know NO_SUCH" in outcome.text


async def test_a_silent_vehicle_is_not_asked_for_all_that_is_left() -> None:
    bench = Bench(silent=True)
    contract = demands(**{f"P_{n}": 1 for n in range(40)})
    assert (await fulfil(bench, contract, Memory())).verdict is Verdict.UNKNOWN
    assert sum(line.startswith("read") for line in bench.said) == 8


async def test_an_unchanged_checksum_since_the_last_good_look_spares_the_reading() -> None:
    bench, memory = Bench.of(GF_ACTION=2, OTHER=5), Memory()
    contract = demands(GF_ACTION=2)
    assert (await fulfil(bench, contract, memory)).ok
    bench.said.clear()
    again = await fulfil(bench, contract, memory)
    assert again == Outcome(Verdict.DONE, "1 parameters as required, unchanged since the last look")
    assert bench.said == ["hash"]
    bench.held["OTHER"] = Param("OTHER", 6, INT32)
    assert (await fulfil(bench, contract, memory)).ok
    assert bench.said == ["hash", "hash", "read GF_ACTION"]


async def test_after_setting_the_next_look_reads_again_before_it_trusts_a_checksum() -> None:
    bench, memory = Bench.of(GF_ACTION=1), Memory()
    assert (await fulfil(bench, demands(GF_ACTION=2), memory)).ok
    bench.said.clear()
    assert (await fulfil(bench, demands(GF_ACTION=2), memory)).ok
    assert bench.said == ["hash", "read GF_ACTION"]


async def test_what_was_set_and_then_undone_by_another_is_found_although_the_checksum_is_an_old_one_again() -> None:
    bench, memory = Bench.of(GF_ACTION=1), Memory()
    assert (await fulfil(bench, demands(GF_ACTION=2), memory)).ok
    bench.held["GF_ACTION"] = Param("GF_ACTION", 1, INT32)
    assert "GF_ACTION 1 → 2" in (await fulfil(bench, demands(GF_ACTION=2), memory)).text


@pytest.mark.parametrize("change", ["boot", "contract", "no hash"])
async def test_the_checksum_counts_for_the_same_boot_and_contract_only(change: str) -> None:
    bench, memory = Bench.of(GF_ACTION=2), Memory()
    contract = demands(GF_ACTION=2)
    assert (await fulfil(bench, contract, memory)).ok
    bench.said.clear()
    if change == "boot":
        bench.now = replace(STANDING, boot=1)
    elif change == "no hash":
        bench.has_hash = False
    else:
        contract = demands(GF_ACTION=(1, 2))
    assert (await fulfil(bench, contract, memory)).ok
    assert "read GF_ACTION" in bench.said


async def test_what_px4_reads_at_its_start_only_refuses_flights_until_it_has_started_anew() -> None:
    bench, memory = Bench.of(PD_GRIPPER_TYPE=-1), Memory()
    contract = demands(PD_GRIPPER_TYPE=Demand(0, 0, reboot=True))
    for _ in range(2):
        outcome = await fulfil(bench, contract, memory)
        assert outcome.verdict is Verdict.REFUSED
        assert outcome.text == (
            "parameters: PD_GRIPPER_TYPE is set, but PX4 takes it up only when it starts: restart the vehicle"
        )
    bench.now = replace(STANDING, boot=1)
    assert (await fulfil(bench, contract, memory)).ok


async def test_refused_firmware_is_not_even_asked_for_its_parameters() -> None:
    bench = Bench.of(GF_ACTION=1)
    contract = replace(demands(GF_ACTION=2), denied=(Denial(Versions.parse("1.17"), "it leaks"),))
    outcome = await fulfil(bench, contract, Memory())
    assert outcome == Outcome(Verdict.REFUSED, "firmware: PX4 1.17.0 may not fly: it leaks")
    assert bench.said == []


# -- over real frames ------------------------------------------------------------------------------------------------


def ints(**values: int) -> dict[str, tuple[bytes, int]]:
    return {name: (struct.pack("<i", value), INT32) for name, value in values.items()}


def test_the_native_driver_keeps_a_contract_through_thirty_percent_loss_each_way() -> None:
    vehicle = FakePx4(params=ints(**{f"P_{n}": n for n in range(20)}, GF_ACTION=1, NAV_DLL_ACT=0))
    contract = demands(GF_ACTION=2, NAV_DLL_ACT=2, **{f"P_{n}": n for n in range(20)})

    async def story() -> Outcome:
        async with Air(vehicle, rtt_s=0.4, loss=0.3, seed=3) as air:
            port = NativeVehicle(air.station.peer("cw-1"), contract=contract)
            await air.clock.sleep(5.0)
            first = await port.check()
            while not first.ok:
                first = await port.check()
            return first

    assert in_fake_time(story()).ok
    assert vehicle.params["GF_ACTION"] == (struct.pack("<i", 2), INT32)
    assert vehicle.params["NAV_DLL_ACT"] == (struct.pack("<i", 2), INT32)


def test_a_second_look_over_the_link_asks_for_the_checksum_alone_and_sets_nothing() -> None:
    vehicle = FakePx4(params=ints(GF_ACTION=2, NAV_DLL_ACT=2))

    async def story() -> list[str]:
        async with Air(vehicle) as air:
            port = NativeVehicle(air.station.peer("cw-1"), contract=demands(GF_ACTION=2, NAV_DLL_ACT=2))
            await air.clock.sleep(2.0)
            assert (await port.check()).ok
            vehicle.log.clear()
            assert (await port.check()).ok
            assert not [m for m in vehicle.log if isinstance(m, ParamSet)]
            return [m.param_id.rstrip(b"\0").decode() for m in vehicle.log if isinstance(m, ParamRequestRead)]

    assert in_fake_time(story()) == ["_HASH_CHECK"]


def test_all_parameters_of_a_vehicle_can_be_read_over_the_link() -> None:
    vehicle = FakePx4(params=ints(**{f"P_{n}": -n for n in range(300)}))

    async def story() -> None:
        async with Air(vehicle, loss=0.1) as air:
            table = await NativeVehicle(air.station.peer("cw-1")).params()
            assert table.whole
            assert table.params["P_299"] == Param("P_299", -299, INT32)

    in_fake_time(story())


# -- the courier's ---------------------------------------------------------------------------------------------------


async def test_the_courier_s_contract_is_set_on_an_autopilot_fresh_from_its_box() -> None:
    contract = load_config(data_dir() / "fleet.yaml", {}).contracts["cw-1"]
    fresh = Params(1, Performance(), ())
    bench = Bench({n: Param(n, fresh[n], fresh.types[n]) for n in fresh.names})
    outcome = await fulfil(bench, contract, Memory())
    assert outcome.ok, outcome.text
    assert bench.written == ["NAV_DLL_ACT", "COM_DL_LOSS_T", "RTL_RETURN_ALT", "COM_LOW_BAT_ACT", "COM_RCL_EXCEPT"]
    assert (await fulfil(bench, contract, Memory())).text == f"{len(contract.parameters)} parameters as required"


def test_the_courier_s_firmware_with_known_holes_is_refused_and_the_simulator_s_may_fly() -> None:
    contract = load_config(data_dir() / "fleet.yaml", {}).contracts["cw-1"]
    for version in ("1.14.3", "1.16.0dev", "1.16.2", "1.17.0rc"):
        refused = judge_firmware(contract, version)
        assert refused.verdict is Verdict.REFUSED
        assert "CVE-2026-32743" in refused.text
    assert judge_firmware(contract, "1.17.0").ok
