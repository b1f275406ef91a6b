"""Vehicle and world faults, each with what it does to a flight; the last test keeps table and tests together."""

import re
from pathlib import Path

import pytest

from sitl.autopilot.events import event_id
from sitl.faults import FAULTS, as_markdown
from sitl.spec import SimSpec, SpecError
from tests.sitl.helpers import HOLD, LAND, MISSION, Station, item, spec_dict, station, takeoff_and


def with_fault(
    kind: str, on: str | None = "cw-1", /, *, thin: bool = True, world: dict | None = None, **fields: object
) -> Station:
    fault = {"kind": kind, **({"on": on} if on else {}), **fields}
    return station(thin=thin, faults=[fault], world=world or {})


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


def test_a_gps_jump_is_disregarded_for_seconds_then_the_vehicle_believes_it_and_flies_there() -> None:
    gcs = with_fault("gps_jump", north_m=500.0, when={"vehicle": "cw-1", "flown_m": 300.0})
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: gcs.world.vehicles[0].pilot.position.glitch)

    def told(name: str) -> float:
        return (gcs.of(name)[-1]["lat"] * 1e-7 - 7.5) * 110_600.0

    gcs.run(3.0)
    assert told("GPS_RAW_INT") - gcs.away() == pytest.approx(500.0, abs=15.0)
    assert told("GLOBAL_POSITION_INT") == pytest.approx(gcs.away(), abs=15.0)
    assert gcs.of("ESTIMATOR_STATUS")[-1]["flags"] & 1024
    gcs.run(6.0)
    assert told("GLOBAL_POSITION_INT") - gcs.away() == pytest.approx(500.0, abs=15.0), "it steps in one go"
    gcs.until(lambda: gcs.mission_state() == 5)
    gcs.run(10.0)
    assert not gcs.of("ESTIMATOR_STATUS")[-1]["flags"] & 1024
    assert gcs.away(500) < 5.0
    assert told("GLOBAL_POSITION_INT") == pytest.approx(1000.0, abs=6.0)


def test_a_small_gps_jump_is_followed_at_once() -> None:
    gcs = with_fault("gps_jump", north_m=3.0, when={"at_s": 10.0})
    gcs.run(6.0)
    assert (gcs.of("GLOBAL_POSITION_INT")[-1]["lat"] * 1e-7 - 7.5) * 110_600.0 == pytest.approx(3.0, abs=0.1)


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


def test_doubled_frames_are_heard_twice() -> None:
    gcs = with_fault("link_duplicate", rate=0.5, direction="down", when={"at_s": 1.0})
    gcs.heard.clear()
    gcs.run(60.0)
    beats = [m["time_boot_ms"] for m in gcs.of("GLOBAL_POSITION_INT")]
    assert len(beats) / len(set(beats)) == pytest.approx(1.5, rel=0.15)


def test_jitter_lets_frames_overtake_each_other() -> None:
    gcs = with_fault("link_delay", thin=False, delay_s=0.0, jitter_s=0.2, direction="down", when={"at_s": 1.0})
    gcs.heard.clear()
    gcs.run(5.0)
    times = [m["time_boot_ms"] for m in gcs.of("ATTITUDE")]
    assert times != sorted(times)
    assert gcs.link.down.counts.overtaken > 100


def test_a_fault_of_the_onboard_link_leaves_the_other_alone() -> None:
    gcs = with_fault("link_loss", link="onboard", when={"at_s": 1.0})
    gcs.heard.clear()
    gcs.run(5.0)
    assert gcs.heard


def test_a_draining_battery_empties_that_much_faster_than_its_power_tells() -> None:
    used = []
    for factor in (1.0, 3.0):
        gcs = with_fault("battery_drain", factor=factor)
        gcs.start(takeoff_and(item(16, 300)))
        before = gcs.world.fleet.charge(0)
        gcs.run(60.0)
        used.append((before - gcs.world.fleet.charge(0), float(gcs.world.fleet.power_w[0])))
    assert used[1][0] == pytest.approx(3.0 * used[0][0], rel=0.01)
    assert used[1][1] == pytest.approx(used[0][1], rel=0.01)


def test_with_one_motor_of_eight_gone_it_flies_on_slower_and_needs_more_power() -> None:
    when = {"vehicle": "cw-1", "flown_m": 400.0}
    gcs = with_fault("motor_failure", when=when, world={"wind_north_m_s": -8.0})
    gcs.start(takeoff_and(item(16, 1500)))
    gcs.until(lambda: gcs.away() > 350.0)
    before_m_s = float(gcs.world.fleet.airspeed[0])
    gcs.until(lambda: gcs.away() > 600.0)
    after_m_s = float(gcs.world.fleet.airspeed[0])
    assert after_m_s == pytest.approx(0.875 * before_m_s, rel=0.01)
    assert gcs.height() == pytest.approx(30.0, abs=2.0)
    model = gcs.world.fleet.power
    assert float(gcs.world.fleet.power_w[0]) > 1.06 * float(
        model.flying_w(gcs.world.fleet.mass_kg(), gcs.world.fleet.airspeed, gcs.world.fleet.vu)[0]
    )


def test_with_half_its_motors_gone_it_falls() -> None:
    gcs = with_fault("motor_failure", share=0.5, when={"vehicle": "cw-1", "flown_m": 200.0})
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: bool(gcs.world.fleet.crashed[0]))
    assert gcs.away() < 350.0


def test_a_drifting_gps_leads_the_vehicle_astray_as_fast_as_it_drifts() -> None:
    gcs = with_fault("gps_drift", east_m_s=2.0, when={"vehicle": "cw-1", "flown_m": 900.0})
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: gcs.mission_state() == 5)
    gcs.run(20.0)
    there = gcs.away(1000, 0)
    gcs.run(20.0)
    assert gcs.away(1000, 0) - there == pytest.approx(40.0, abs=3.0)
    lon = gcs.of("GLOBAL_POSITION_INT")[-1]["lon"] * 1e-7
    assert (lon - 38.2) * 110_000.0 == pytest.approx(0.0, abs=5.0), "what it tells is where it believes itself"


def lost_gps(**fields: object) -> Station:
    """In flight on a mission, in a wind from the west, with GPS just lost."""
    gcs = with_fault("gps_loss", when={"vehicle": "cw-1", "flown_m": 200.0}, world={"wind_east_m_s": 4.0}, **fields)
    gcs.start(takeoff_and(item(16, 1000)))
    gcs.until(lambda: not gcs.world.vehicles[0].pilot.gps.fix)
    gcs.heard.clear()
    return gcs


def test_without_gps_it_coasts_then_lands_blind_where_the_wind_takes_it() -> None:
    gcs = lost_gps()
    gcs.run(4.5)
    assert gcs.mode() == MISSION
    gcs.run(2.0)
    assert gcs.of("GPS_RAW_INT")[-1]["fix_type"] == 0
    assert (gcs.of("HEARTBEAT")[-1]["custom_mode"], gcs.of("HEARTBEAT")[-1]["system_status"]) == (LAND, 5)
    told = {m["id"] for m in gcs.of("EVENT")}
    assert event_id("commander_failsafe_enter_autopilot_disengaged") in told
    assert event_id("check_modes_local_pos") in told
    north, before_m = gcs.of("GLOBAL_POSITION_INT")[-1]["lat"], gcs.away()
    gcs.set_mode(4, 3)
    assert gcs.mode() == LAND, "no mode that needs a position can be entered"
    took_s = gcs.until(gcs.landed)
    assert took_s == pytest.approx(30.0 / 0.7, rel=0.15)
    assert gcs.away() > before_m
    assert gcs.of("GLOBAL_POSITION_INT")[-1]["lat"] == north, "it cannot know that it drifted"
    assert not gcs.world.fleet.crashed[0]
    gcs.run(4.0)
    assert not gcs.armed()
    assert gcs.command(400, 1) == [1]


def test_with_gps_back_it_takes_up_its_mission_again_by_itself() -> None:
    gcs = lost_gps(duration_s=15.0)
    gcs.until(lambda: gcs.mode() == LAND)
    gcs.until(lambda: gcs.world.vehicles[0].pilot.gps.fix)
    gcs.run(1.5)
    assert gcs.mode() == LAND
    gcs.run(2.0)
    assert gcs.mode() == MISSION
    gcs.until(lambda: gcs.mission_state() == 5)
    assert gcs.away(1000) < 5.0


def test_a_short_loss_of_gps_goes_by() -> None:
    gcs = lost_gps(duration_s=4.0)
    gcs.run(12.0)
    assert gcs.mode() == MISSION
    assert not [m for m in gcs.texts() if "Failsafe" in m]


def test_a_rising_wind_rises_evenly() -> None:
    gcs = with_fault("wind_change", None, east_m_s=10.0, ramp_s=20.0, when={"at_s": 7.0})
    winds = []
    for _ in range(4):
        gcs.run(10.0)
        winds.append(gcs.of("WIND_COV")[-1]["wind_y"])
    assert winds[0] == pytest.approx(4.0, abs=1.1)
    assert winds[2:] == [10.0, 10.0]


def test_a_fault_begins_with_the_first_arming_and_another_some_time_after_it() -> None:
    events: list[dict] = []
    faults = [
        {"kind": "gripper_jam", "on": "cw-1", "name": "stuck", "when": {"vehicle": "cw-1", "armed": True}},
        {"kind": "battery_sag", "on": "cw-1", "share": 0.1, "when": {"after": "stuck", "after_s": 20.0}},
    ]
    gcs = station(faults=faults)
    gcs.world.emit = events.append
    gcs.run(10.0)
    assert not events
    armed_s = gcs.world.now_s
    gcs.start(takeoff_and(item(16, 100)))
    gcs.run(30.0)
    begun = {e["name"]: e["at_s"] - armed_s for e in events if e["event"] == "fault"}
    assert begun["stuck"] == pytest.approx(1.0, abs=0.6)
    assert begun["battery_sag"] - begun["stuck"] == pytest.approx(20.0, abs=0.6)


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
        ({"kind": "reboot", "on": "cw-1", "when": {"armed": True}}, "faults[0].when.vehicle: missing"),
        ({"kind": "reboot", "on": "cw-1", "when": {"after": "storm"}}, "no fault 'storm'; use one of reboot"),
        ({"kind": "reboot", "on": "cw-1", "when": {"after_s": 3}}, "faults[0].when.after_s: needs `after`"),
        ({"kind": "link_loss", "on": "cw-1", "link": "radio"}, "use one of gcs, onboard, both"),
        ({"kind": "battery_drain", "on": "cw-1", "factor": 0.5}, "give a number from 1 to 100"),
    ],
)
def test_a_bad_fault_names_the_field_and_the_fix(fault: dict, words: str) -> None:
    with pytest.raises(SpecError) as error:
        SimSpec.from_dict(spec_dict(faults=[fault]))
    assert words in str(error.value)


def test_the_table_in_the_manual_is_current() -> None:
    manual = Path(__file__).parents[2] / "docs" / "simulator.md"
    assert as_markdown() in manual.read_text(encoding="utf-8"), "print it anew: python -m sitl.faults"


def test_every_row_of_the_table_is_tested() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untested = [kind for kind in FAULTS if not re.search(rf'["\']{kind}["\']', tests)]
    assert not untested
