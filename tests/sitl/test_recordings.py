"""The simulator against recordings of a real PX4 v1.17 (`../shared/data/px4-recordings`), where they are at hand."""

import gzip
from collections import Counter
from functools import lru_cache

import pytest

from sitl.autopilot.events import event_id
from sitl.autopilot.plans import opaque_id
from sitl.wire.dialect import Message, frames
from sitl.wire.streams import CAPABILITIES, FLIGHT_SW_VERSION, GCS_RATES, HEALTH, ONBOARD_RATES, PREARM_OK
from tests.support.shared import SHARED_DATA, needs_shared

FOLDER = SHARED_DATA / "px4-recordings"
pytestmark = needs_shared("px4-recordings")

OURS = {"WIND_COV"}
"""streamed here for lack of a wind estimate in SIH; a vehicle with an airspeed sensor has it"""


@lru_cache
def recording(name: str) -> list[tuple[float, Message]]:
    """Time in seconds and message, for every frame that decodes."""
    data = gzip.decompress((FOLDER / f"{name}.tlog.gz").read_bytes())
    at, got = 0, []
    while at < len(data):
        time_s = int.from_bytes(data[at : at + 8], "big") / 1e6
        end = at + 8 + 12 + data[at + 9]
        got += [(time_s, message) for message in frames(data[at + 8 : end])]
        at = end
    return got


@pytest.mark.parametrize("name", ["quad-gripper-mission-onboard", "quad-land-delivery-onboard"])
def test_the_checksum_of_an_uploaded_plan_is_the_one_px4_gave(name: str) -> None:
    messages = [m for _, m in recording(name)]
    items = [m.fields for m in messages if m.name == "MISSION_ITEM_INT"]
    ack = next(m for m in messages if m.name == "MISSION_ACK")
    assert opaque_id(items) == ack["opaque_id"] != 0


def test_event_names_hash_to_the_ids_on_the_wire() -> None:
    recorded = ("quad-gripper-mission-onboard", "quad-command-battery-gcs", "quad-land-delivery-onboard")
    seen = {m["id"] for name in recorded for _, m in recording(name) if m.name == "EVENT"}
    for name in (
        "commander_armed_by",
        "commander_disarmed_by",
        "commander_takeoff_detected",
        "commander_landing_detected",
        "commander_disarm_denied_not_landed",
        "commander_mission_start_denied_no_mission",
        "commander_unsupported_auto_mode",
        "commander_landing_current_pos",
        "commander_rtl",
        "mission_execute",
        "mission_climb_before_start",
        "mission_finished_loiter",
        "navigator_mis_takeoff_not_first",
        "rtl_land_at_destination",
        "vrtl_return_at",
    ):
        assert event_id(name) in seen, name


@pytest.mark.parametrize(
    ("name", "rates"), [("quad-mission-rtl-gcs", GCS_RATES), ("quad-mission-rtl-onboard", ONBOARD_RATES)]
)
def test_default_rates_are_those_recorded_at_real_time(name: str, rates: dict[str, float]) -> None:
    # From the fourth second on: everything streams, and nothing has been thinned yet.
    start = recording(name)[0][0]
    window = [(t, m) for t, m in recording(name) if start + 4.0 < t < start + 36.0 and m.system == 1]
    counts = Counter(m.name for _, m in window)
    for stream, hz in rates.items():
        if stream not in OURS:
            assert counts[stream] / 32.0 == pytest.approx(hz, rel=0.1, abs=0.05), stream


def test_identity_and_health_bits_are_the_recorded_ones() -> None:
    messages = [m for _, m in recording("quad-mission-rtl-onboard")]
    version = next(m for m in messages if m.name == "AUTOPILOT_VERSION")
    assert (version["capabilities"], version["flight_sw_version"]) == (CAPABILITIES, FLIGHT_SW_VERSION)
    health = [m["onboard_control_sensors_health"] for m in messages if m.name == "SYS_STATUS"]
    assert health[-1] == HEALTH | PREARM_OK


def test_mission_state_goes_the_recorded_way() -> None:
    from tests.sitl.helpers import item, station, takeoff_and

    def course(messages: list[Message]) -> list[tuple[int, int]]:
        states = [(m["mission_state"], m["mission_mode"]) for m in messages if m.name == "MISSION_CURRENT"]
        return [s for i, s in enumerate(states) if i == 0 or s != states[i - 1]]

    gcs = station()
    gcs.run(1.5)
    drop = [item(16, 40, z=20.0), item(211, frame=2, param1=1.0), item(16, 80, z=20.0), item(16, 80, 60, z=20.0)]
    gcs.upload(takeoff_and(*drop, item(20, frame=2), z=20.0))
    gcs.run(2.0)
    assert gcs.command(300) == [0]
    gcs.until(lambda: not gcs.armed())
    real = course([m for _, m in recording("quad-gripper-mission-onboard")])
    # A real one was recorded with its judgement between two beats: state 1 does not show again after the upload.
    assert [s for s in course(gcs.heard) if s[0] != 1] == [s for s in real if s[0] != 1]
