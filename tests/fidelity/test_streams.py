"""What PX4 streams unasked on its two links, and how that is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sitl.px4 import find_px4
from tests.fidelity.conftest import REAL
from tests.fidelity.subjects import Simulated, meet, real_px4
from tests.fidelity.wire import ACCEPTED, DENIED, FAILED, Wire

LOOK_S = 20.0
ON_GCS_LINK = {
    "ATTITUDE": 50.0,
    "ATTITUDE_QUATERNION": 50.0,
    "ATTITUDE_TARGET": 50.0,
    "GLOBAL_POSITION_INT": 50.0,
    "LOCAL_POSITION_NED": 50.0,
    "SERVO_OUTPUT_RAW": 50.0,
    "GPS_RAW_INT": 5.0,
    "VFR_HUD": 4.0,
    "ALTITUDE": 1.0,
    "SYS_STATUS": 1.0,
    "EXTENDED_SYS_STATE": 1.0,
    "HEARTBEAT": 1.0,
    "MISSION_CURRENT": 1.0,
    "HOME_POSITION": 0.5,
    "BATTERY_STATUS": 0.5,
    "CURRENT_MODE": 0.5,
    "ESTIMATOR_STATUS": 0.5,
}
ON_ONBOARD_LINK = {
    "ATTITUDE": 100.0,
    "ATTITUDE_QUATERNION": 50.0,
    "GLOBAL_POSITION_INT": 50.0,
    "LOCAL_POSITION_NED": 30.0,
    "VFR_HUD": 10.0,
    "ALTITUDE": 10.0,
    "SERVO_OUTPUT_RAW": 10.0,
    "ATTITUDE_TARGET": 10.0,
    "GPS_RAW_INT": 8.0,
    "SYS_STATUS": 5.0,
    "EXTENDED_SYS_STATE": 5.0,
    "HEARTBEAT": 1.0,
    "MISSION_CURRENT": 1.0,
    "ESTIMATOR_STATUS": 1.0,
    "SYSTEM_TIME": 1.0,
    "HOME_POSITION": 0.5,
    "BATTERY_STATUS": 0.5,
    "CURRENT_MODE": 0.5,
}
ONLY_REAL = {"HIGHRES_IMU": 50.0, "ODOMETRY": 30.0, "TIMESYNC": 10.0, "PING": 1.0}
"""onboard link: what nobody here reads is not streamed by the simulator"""


@pytest.fixture(scope="module", params=["simulator", REAL])
def talkative(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A vehicle whose streams nobody has thinned yet, watched for a while on both links."""

    def watched(wire: Wire) -> Wire:
        wire.run(4.0)
        for each in (wire, *wire.others):
            each.heard.clear()
        wire.run(LOOK_S)
        return wire

    if request.param == "simulator":
        yield watched(meet(Simulated(), thin=False))
        return
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    with real_px4(tmp_path_factory.mktemp("px4"), speed=1.0) as subject:
        yield watched(meet(subject, thin=False))


@pytest.fixture(scope="module")
def counted(talkative: Wire) -> dict[str, dict[str, float]]:
    """Hz by link and message."""

    def rates(wire: Wire) -> dict[str, float]:
        names = [m.name for m in wire.heard]
        return {name: names.count(name) / LOOK_S for name in set(names)}

    return {"gcs": rates(talkative), "onboard": rates(talkative.others[0])}


@pytest.mark.parametrize(
    ("link", "name", "hz"),
    [("gcs", *row) for row in ON_GCS_LINK.items()] + [("onboard", *row) for row in ON_ONBOARD_LINK.items()],
)
def test_a_stream_has_its_default_rate_within_a_tenth(
    counted: dict[str, dict[str, float]], link: str, name: str, hz: float
) -> None:
    # One more or less of the slow ones is where the window was cut.
    assert counted[link].get(name, 0.0) == pytest.approx(hz, rel=0.1, abs=1.01 / LOOK_S)


@pytest.mark.parametrize(("name", "hz"), ONLY_REAL.items())
def test_streams_for_a_companion_computer_are_the_real_ones_alone(
    talkative: Wire, counted: dict[str, dict[str, float]], name: str, hz: float
) -> None:
    expected = talkative.differs(px4=hz, simulator=0.0, because="nobody here reads them")
    assert counted["onboard"].get(name, 0.0) == pytest.approx(expected, rel=0.1, abs=1.01 / LOOK_S)


def rate(wire: Wire, name: str, seconds: float = 6.0) -> float:
    wire.run(0.5)
    since = wire.mark()
    wire.run(seconds)
    return len(wire.of(name, since)) / seconds


def test_a_message_interval_thins_a_stream_turns_it_off_and_restores_px4s_own_rate(talkative: Wire) -> None:
    """Not the 50 Hz from before, which SITL's start-up script had asked for."""
    for asked_us, hz in ((500_000, 2.0), (-1, 0.0), (0, 5.0)):
        assert talkative.command(511, 33, asked_us) == ACCEPTED
        assert rate(talkative, "GLOBAL_POSITION_INT") == pytest.approx(hz, rel=0.1, abs=0.2)


def test_an_interval_holds_for_its_own_link_alone(talkative: Wire) -> None:
    assert talkative.command(511, 33, 500_000) == ACCEPTED
    assert rate(talkative.others[0], "GLOBAL_POSITION_INT") == pytest.approx(50.0, rel=0.1)
    assert talkative.command(511, 33, 0) == ACCEPTED


def test_a_stream_that_was_not_there_is_begun(talkative: Wire) -> None:
    assert talkative.command(511, 2, 200_000) == ACCEPTED
    assert rate(talkative, "SYSTEM_TIME") == pytest.approx(5.0, rel=0.1)
    assert talkative.command(511, 2, -1) == ACCEPTED


def test_the_interval_of_a_stream_is_told(talkative: Wire) -> None:
    since = talkative.mark()
    assert talkative.command(510, 30) == ACCEPTED
    told = talkative.wait("MESSAGE_INTERVAL", lambda m: m["message_id"] == 30, 1.0, since)
    assert told["interval_us"] == pytest.approx(20_000, rel=0.1)


def test_mission_current_comes_once_a_second_and_cannot_be_had_otherwise(talkative: Wire) -> None:
    assert (talkative.command(511, 42, 100_000), talkative.command(512, 42)) == (FAILED, DENIED)
    assert rate(talkative, "MISSION_CURRENT") == pytest.approx(1.0, abs=0.2)


def test_the_heartbeats_interval_cannot_be_set(talkative: Wire) -> None:
    assert talkative.command(511, 0, 2_000_000) == FAILED


def test_a_streamed_message_comes_at_once_on_request(talkative: Wire) -> None:
    since, began_s = talkative.mark(), talkative.now_s
    assert talkative.command(512, 242) == ACCEPTED
    assert talkative.wait("HOME_POSITION", lambda m: True, 1.0, since).at_s - began_s < 0.2
