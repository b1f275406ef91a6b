"""Commands and parameters, each with the answer a real PX4 v1.17 gave."""

import math
import struct

import pytest

from sitl.autopilot.events import event_id
from tests.sitl.helpers import HOLD, LAND, MISSION, RETURN, Station, item, station, takeoff_and

ACCEPTED, TEMPORARILY_REJECTED, DENIED, UNSUPPORTED, FAILED, IN_PROGRESS, CANCELLED = 0, 1, 2, 3, 4, 5, 6


def airborne(gcs: Station, amsl: float = 450.0) -> Station:
    assert gcs.command(22, 0, 0, 0, math.nan, math.nan, math.nan, amsl) == [ACCEPTED]
    assert gcs.command(400, 1) == [ACCEPTED]
    gcs.until(lambda: gcs.height() > amsl - 420.0 - 1.0)
    gcs.until(lambda: gcs.mode() == HOLD)
    return gcs


def test_arming_is_refused_until_the_vehicle_has_booted() -> None:
    from sitl.simulation import World
    from sitl.spec import SimSpec
    from tests.sitl.helpers import START_S, spec_dict

    gcs = Station(World(SimSpec.from_dict(spec_dict()), START_S))
    gcs.run(3.0)
    assert not gcs.of("SYS_STATUS")[-1]["onboard_control_sensors_health"] & 1 << 28
    assert gcs.of("HEARTBEAT")[-1]["system_status"] == 0
    assert gcs.command(400, 1) == [TEMPORARILY_REJECTED]
    gcs.run(3.5)
    assert gcs.of("SYS_STATUS")[-1]["onboard_control_sensors_health"] & 1 << 28
    assert gcs.of("HEARTBEAT")[-1]["system_status"] == 3
    assert gcs.command(400, 1) == [ACCEPTED]


def test_disarming_in_the_air_is_rejected() -> None:
    gcs = airborne(station())
    assert gcs.command(400, 0) == [TEMPORARILY_REJECTED]
    assert "Disarming denied: not landed\t" in gcs.texts()
    assert gcs.armed()


def test_an_armed_vehicle_that_does_not_take_off_disarms_after_ten_seconds() -> None:
    gcs = station()
    assert gcs.command(400, 1) == [ACCEPTED]
    gcs.run(9.0)
    assert gcs.armed()
    gcs.run(2.0)
    assert not gcs.armed()


@pytest.mark.parametrize("command", [193, 207, 181, 183, 224, 31000])
def test_what_px4_does_not_know_is_unsupported(command: int) -> None:
    assert station().command(command) == [UNSUPPORTED]


def test_winch_and_a_wrong_component_get_no_answer_at_all() -> None:
    gcs = station()
    assert gcs.command(42600, 1, 0) == []
    assert gcs.command(400, 1, component=42) == []
    assert not gcs.armed()


def test_set_mode_is_always_accepted_first_and_only_the_heartbeat_tells() -> None:
    gcs = station()
    assert gcs.set_mode(99, 0) == [ACCEPTED, ACCEPTED]
    assert gcs.mode() == HOLD
    assert gcs.set_mode(4, 99) == [ACCEPTED, TEMPORARILY_REJECTED]
    assert "Unsupported auto mode\t" in gcs.texts()
    assert gcs.set_mode(4, 5) == [ACCEPTED, ACCEPTED]
    gcs.run(1.5)
    assert gcs.of("HEARTBEAT")[-1]["custom_mode"] == RETURN
    assert gcs.command(400, 1) == [TEMPORARILY_REJECTED], "RETURN is no mode to arm in"


def test_land_and_return_are_accepted_even_on_the_ground() -> None:
    gcs = station()
    assert gcs.command(21) == [ACCEPTED]
    assert gcs.mode() == LAND
    assert gcs.command(20) == [ACCEPTED]
    assert gcs.mode() == RETURN


def test_mission_start_needs_a_mission() -> None:
    gcs = station()
    assert gcs.command(300) == [DENIED]
    assert "Mission start denied! No valid mission\t" in gcs.texts()


def test_reposition_flies_there_and_needs_the_change_mode_flag() -> None:
    gcs = airborne(station())
    assert gcs.command(192, -1, 0, 0, math.nan, 7.501, 38.2, 450.0) == [UNSUPPORTED]
    assert gcs.command(192, -1, 1, 0, math.nan, 7.501, 38.2, 450.0) == [ACCEPTED]
    gcs.until(lambda: gcs.away(110.6) < 3.0)


def test_reposition_outside_the_fence_is_accepted_and_does_not_move() -> None:
    gcs = station()
    gcs.upload([item(5003, 0, 0, z=0.0, param1=300.0, param4=0.0)], 1)
    gcs.run(0.5)
    airborne(gcs)
    assert gcs.command(192, -1, 1, 0, math.nan, 7.51, 38.2, 450.0) == [ACCEPTED]
    assert "Reposition is outside geofence\t" in gcs.texts()
    gcs.run(10.0)
    assert gcs.away() < 5.0


def test_the_gripper_reports_progress_then_success_and_the_opposite_command_cancels_it() -> None:
    gcs = station()
    assert gcs.command(211, 1, 0) == [IN_PROGRESS]
    gcs.run(0.3)
    gcs.heard.clear()
    gcs.send(gcs.mav.command_long_encode(1, 1, 211, 0, 1, 1, 0, 0, 0, 0, 0))
    assert gcs.acks(211) == [CANCELLED, IN_PROGRESS]
    gcs.run(1.2)
    assert gcs.acks(211) == [CANCELLED, IN_PROGRESS, ACCEPTED]


def test_a_released_box_lightens_the_vehicle_and_stays_where_it_fell() -> None:
    gcs = airborne(station())
    gcs.run(3.0)
    before = gcs.of("VFR_HUD")[-1]["throttle"]
    gcs.command(211, 1, 0)
    gcs.run(3.0)
    assert gcs.of("VFR_HUD")[-1]["throttle"] < before - 3
    box = gcs.world.ground.boxes["box-1"]
    assert box.on is None
    dropped = (box.lat, box.lon)
    gcs.command(192, -1, 1, 0, math.nan, 7.501, 38.2, 450.0)
    gcs.until(lambda: gcs.away(110.6) < 3.0)
    assert (box.lat, box.lon) == dropped


def test_a_box_put_onto_an_open_gripper_stays_behind_when_the_vehicle_takes_off() -> None:
    for closed in (False, True):
        gcs = station()
        gcs.command(211, 1, 0)
        gcs.run(1.5)
        ground = gcs.world.ground
        assert ground.boxes["box-1"].on is None
        ground.command({"do": "load", "box": "box-1", "vehicle": "cw-1", "payload_kg": 0.5, "payload_c": 5.0})
        assert ground.boxes["box-1"].on == 0
        if closed:
            gcs.command(211, 1, 1)
            gcs.run(1.5)
        airborne(gcs)
        assert (ground.boxes["box-1"].on == 0) is closed


def test_requested_messages_and_unknown_ones() -> None:
    gcs = station()
    assert gcs.command(512, 148) == [ACCEPTED]
    assert gcs.of("AUTOPILOT_VERSION")[-1]["flight_sw_version"] == 0x011100FF
    assert gcs.command(512, 9999) == [DENIED]
    assert gcs.command(511, 9999, 1e6) == [FAILED]


def test_mission_current_comes_once_a_second_and_cannot_be_had_sooner() -> None:
    gcs = station()
    assert (gcs.command(512, 42), gcs.command(511, 42, 100_000)) == ([DENIED], [FAILED])
    gcs.heard.clear()
    gcs.run(10.0)
    assert len(gcs.of("MISSION_CURRENT")) in (10, 11)


def test_the_arming_checks_are_reported_when_asked_for_and_else_only_when_they_change() -> None:
    gcs = station()
    gcs.run(3.0)

    def reported() -> list[tuple[int, int]]:
        """Id and level of each event; a report begins and ends with a summary that is for no people's eyes."""
        return [(m["id"], m["log_levels"] & 0x0F) for m in gcs.of("EVENT")]

    gcs.heard.clear()
    gcs.run(10.0)
    assert reported() == [], "nothing has changed"
    assert gcs.command(401) == [ACCEPTED]
    assert reported() == [(event_id("commander_arming_check_summary"), 8), (event_id("commander_health_summary"), 8)]


def test_a_message_interval_thins_a_stream_turns_it_off_and_restores_it() -> None:
    gcs = station(thin=False)

    def rate(seconds: float = 10.0) -> float:
        gcs.heard.clear()
        gcs.run(seconds)
        return len(gcs.of("GLOBAL_POSITION_INT")) / seconds

    assert rate() == pytest.approx(50.0, rel=0.1)
    assert gcs.command(511, 33, 500_000) == [ACCEPTED]
    assert rate() == pytest.approx(2.0, rel=0.1)
    assert gcs.command(511, 33, -1) == [ACCEPTED]
    assert rate() == 0.0
    assert gcs.command(511, 33, 0) == [ACCEPTED]
    assert rate() == pytest.approx(5.0, rel=0.1), "PX4's own rate; the 50 Hz before were the start-up script's"


def test_status_texts_go_only_to_a_link_that_hears_a_ground_station_events_to_all() -> None:
    gcs = station(vehicle={"onboard": {"local_port": 0}})
    companion = Station(gcs.world, link="onboard", system=11)
    companion.heartbeat(kind=18)
    gcs.set_mode(4, 99)
    gcs.run(0.5)
    assert gcs.texts()
    assert gcs.of("EVENT")
    assert not companion.texts()
    assert companion.of("EVENT")


def test_long_texts_come_in_chunks_and_end_in_a_tab() -> None:
    gcs = station()
    gcs.set_mode(4, 5)
    gcs.command(400, 1)
    chunks = [m["text"] for m in gcs.of("STATUSTEXT")]
    assert chunks[-2:] == ["Arming denied: Resolve system health failures firs", "t\t"]


def test_integer_parameters_travel_bytewise_and_nonsense_is_taken() -> None:
    gcs = station()

    def set_param(name: str, raw: float, kind: int) -> None:
        gcs.heard.clear()
        gcs.send(gcs.mav.param_set_encode(1, 1, name.encode(), raw, kind))

    set_param("GF_ACTION", struct.unpack("<f", struct.pack("<i", 99))[0], 6)
    answer = gcs.of("PARAM_VALUE")[-1]
    assert struct.unpack("<i", struct.pack("<f", answer["param_value"]))[0] == 99
    set_param("RTL_RETURN_ALT", 35.0, 6)
    assert not gcs.of("PARAM_VALUE"), "a wrong type is ignored"
    set_param("NO_SUCH_PARAM", 1.0, 9)
    assert not gcs.of("PARAM_VALUE"), "an unknown name is met with silence"


def test_the_parameter_list_is_complete_and_carries_a_hash() -> None:
    gcs = station()
    gcs.send(gcs.mav.param_request_list_encode(1, 1))
    gcs.run(2.0)
    got = gcs.of("PARAM_VALUE")
    hashes = [m for m in got if m["param_id"] == "_HASH_CHECK"]
    assert [(m["param_index"], m["param_type"]) for m in hashes] == [(65535, 5)]
    assert len(got) - 1 == got[0]["param_count"]
    assert sorted(m["param_index"] for m in got if m not in hashes) == list(range(len(got) - 1))


def test_resume_goes_on_with_the_stored_mission_after_a_hold() -> None:
    gcs = station()
    gcs.start(takeoff_and(item(16, 300), item(16, 600)))
    gcs.until(lambda: gcs.away() > 100.0)
    gcs.set_mode(4, 3)
    gcs.run(15.0)
    assert gcs.mission_state() == 4
    held = gcs.away()
    gcs.run(3.0)
    assert gcs.away() == pytest.approx(held, abs=1.0)
    gcs.set_mode(4, 4)
    assert gcs.mode() == MISSION
    gcs.until(lambda: gcs.away(600) < 5.0)
