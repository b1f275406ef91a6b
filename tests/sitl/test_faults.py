"""Vehicle and world faults, each with what it does to a flight; the last test keeps table and tests together."""

import re
from pathlib import Path

import pytest

from sitl.autopilot.events import event_id
from sitl.faults import FAULTS
from sitl.spec import SimSpec, SpecError
from tests.sitl.helpers import HOLD, MISSION, Station, item, spec_dict, station, takeoff_and


def with_fault(kind: str, on: str | None = "cw-1", /, *, thin: bool = True, **fields: object) -> Station:
    fault = {"kind": kind, **({"on": on} if on else {}), **fields}
    return station(thin=thin, faults=[fault])


def test_a_seal_failure_begins_where_the_vehicle_has_flown_so_far() -> None:
    events: list[dict] = []
    gcs = with_fault("seal_failure", "box-1", when={"vehicle": "cw-1", "flown_m": 500.0})
    gcs.world.emit = events.append
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: bool(events))
    assert events[0]["kind"] == "seal_failure"
    assert gcs.away() == pytest.approx(500.0, abs=15.0)


def test_a_fault_begins_within_a_radius_of_a_place() -> None:
    events: list[dict] = []
    lat = 7.5 + 800 / 110_600.0
    when = {"vehicle": "cw-1", "within_m": 200.0, "lat_deg": lat, "lon_deg": 38.2}
    gcs = with_fault("gripper_jam", when=when)
    gcs.world.emit = events.append
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: bool(events))
    assert gcs.away(800) == pytest.approx(200.0, abs=15.0)


def test_link_loss_silences_both_ways_or_one_and_ends() -> None:
    gcs = with_fault("link_loss", when={"at_s": 10.0}, duration_s=20.0)
    gcs.run(6.0)
    gcs.heard.clear()
    gcs.run(17.0)
    assert not gcs.heard
    gcs.run(5.0)
    assert gcs.heard

    gcs = with_fault("link_loss", direction="up")
    gcs.heard.clear()
    gcs.run(5.0)
    assert gcs.heard
    assert gcs.command(400, 1) == []


def test_link_loss_at_a_rate_loses_about_that_share() -> None:
    gcs = with_fault("link_loss", thin=False, rate=0.3, direction="down", when={"at_s": 1.0})
    gcs.heard.clear()
    gcs.run(20.0)
    assert len(gcs.of("ATTITUDE")) / 20.0 == pytest.approx(35.0, rel=0.15)


def test_link_delay_delays_each_way() -> None:
    gcs = with_fault("link_delay", delay_s=1.0, when={"at_s": 5.0})
    gcs.run(2.0)
    assert gcs.command(400, 1) == []
    gcs.run(1.5)
    assert not gcs.acks(400)
    gcs.run(1.0)
    assert gcs.acks(400) == [0]


def test_a_jammed_gripper_reports_success_and_keeps_the_box() -> None:
    gcs = with_fault("gripper_jam")
    gcs.command(211, 1, 0)
    gcs.run(2.0)
    assert gcs.acks(211) == [5, 0]
    assert gcs.world.ground.boxes["box-1"].on == 0
    assert gcs.world.fleet.payload_kg[0] == 2.0


def test_a_battery_sag_takes_its_share_once() -> None:
    gcs = with_fault("battery_sag", share=0.4, when={"at_s": 10.0}, duration_s=5.0)
    gcs.run(1.0)
    before = gcs.world.fleet.charge(0)
    gcs.run(20.0)
    assert before - gcs.world.fleet.charge(0) == pytest.approx(0.4, abs=0.01)


def test_after_a_gps_jump_the_vehicle_believes_itself_elsewhere_and_flies_there() -> None:
    gcs = with_fault("gps_jump", north_m=500.0, when={"vehicle": "cw-1", "flown_m": 900.0})
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: gcs.mission_state() == 5)
    gcs.run(30.0)
    assert gcs.away(500) < 5.0
    seen = gcs.of("GLOBAL_POSITION_INT")[-1]["lat"] * 1e-7
    assert (seen - 7.5) * 110_600.0 == pytest.approx(1000.0, abs=6.0)


def test_a_reboot_on_the_pad_is_silent_then_boots_again_and_keeps_its_plan() -> None:
    gcs = with_fault("reboot", when={"at_s": 20.0})
    plan = gcs.upload(takeoff_and(item(16, 100)))["opaque_id"]
    gcs.run(14.5)
    gcs.heard.clear()
    gcs.run(2.0)
    assert not gcs.heard
    gcs.run(3.0)
    assert gcs.of("HEARTBEAT")[-1]["system_status"] == 0
    assert gcs.of("GLOBAL_POSITION_INT")[-1]["time_boot_ms"] < 5000
    gcs.run(6.0)
    assert gcs.of("HEARTBEAT")[-1]["system_status"] == 3
    assert gcs.of("MISSION_CURRENT")[-1]["mission_id"] == plan


def test_a_reboot_in_the_air_is_a_crash() -> None:
    events: list[dict] = []
    gcs = with_fault("reboot", when={"vehicle": "cw-1", "flown_m": 100.0})
    gcs.world.emit = events.append
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: bool(gcs.world.fleet.crashed[0]))
    assert not gcs.armed()


def test_a_failed_compass_refuses_arming() -> None:
    gcs = with_fault("compass_failure", duration_s=30.0)
    assert gcs.command(400, 1) == [1]
    gcs.run(1.5)
    assert not gcs.of("SYS_STATUS")[-1]["onboard_control_sensors_health"] & 1 << 28
    gcs.heard.clear()
    assert gcs.command(401) == [0]
    assert event_id("check_mag_fault") in {m["id"] for m in gcs.of("EVENT")}
    gcs.heard.clear()
    gcs.run(30.0)
    assert gcs.command(400, 1) == [0]
    told = [m["id"] for m in gcs.of("EVENT")]
    assert event_id("commander_health_summary") in told, "a report comes by itself when the fault has gone"
    assert event_id("check_mag_fault") not in told


def test_a_wind_change_is_felt_and_reported() -> None:
    gcs = with_fault("wind_change", None, north_m_s=-8.0)
    gcs.run(3.0)
    assert gcs.of("WIND_COV")[-1]["wind_x"] == -8.0
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: gcs.away() > 300.0)
    assert float(gcs.world.fleet.airspeed[0]) == pytest.approx(25.0, abs=0.5)
    assert gcs.mode() in (MISSION, HOLD)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "meteor"}, "faults[0].kind: 'meteor' is unknown; use one of seal_failure"),
        ({"kind": "gripper_jam"}, "faults[0].on: missing; name the vehicle"),
        ({"kind": "gripper_jam", "on": "cw-7"}, "faults[0].on: nothing is called 'cw-7'"),
        ({"kind": "wind_change", "on": "cw-1"}, "remove it"),
        ({"kind": "battery_sag", "on": "cw-1"}, "faults[0].share: missing"),
        ({"kind": "battery_sag", "on": "cw-1", "share": 2}, "faults[0].share: 2 is out of range"),
        ({"kind": "reboot", "on": "cw-1", "when": {"flown_m": 5}}, "faults[0].when.vehicle: missing"),
        ({"kind": "reboot", "on": "cw-1", "dely_s": 5}, "faults[0].dely_s: unknown field"),
    ],
)
def test_a_bad_fault_names_the_field_and_the_fix(fault: dict, words: str) -> None:
    with pytest.raises(SpecError) as error:
        SimSpec.from_dict(spec_dict(faults=[fault]))
    assert words in str(error.value)


def test_every_row_of_the_table_is_tested() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untested = [kind for kind in FAULTS if not re.search(rf'["\']{kind}["\']', tests)]
    assert not untested
