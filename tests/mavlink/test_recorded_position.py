"""Flights of a real PX4: its positions, velocities and receiver agree, by one clock, at any pace of telemetry."""

from __future__ import annotations

import pytest

from fleet.mavlink.codec import decode
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import GlobalPositionInt
from fleet.mavlink.reduce import Track
from missions.position import Reckoning, doubt, receiver_off_m, reckoned
from tests.mavlink.recordings import recorded_files, recorded_frames

GPS_RAW_INT, GLOBAL_POSITION_INT = 24, 33


@pytest.mark.parametrize("every", [1, 12, 50])
def test_no_position_of_a_recorded_flight_is_doubted(every: int):
    compared = 0
    for file in recorded_files():
        track, reckoning, n = Track("cw-1"), None, 0
        for at_s, raw in recorded_frames(file):
            if raw[0] != 0xFD or raw[7] not in (GPS_RAW_INT, GLOBAL_POSITION_INT) or raw[8] or raw[9]:
                continue
            (frame,) = scan(raw).frames
            message = decode(frame)
            assert message is not None
            n += isinstance(message, GlobalPositionInt)
            if isinstance(message, GlobalPositionInt) and n % every:
                continue
            track.heard_s = at_s
            track.reduce(message, at_s)
            state = track.state()
            reckoning = reckoned(reckoning, state)
            assert doubt(reckoning, state) == ""
            assert receiver_off_m(state) < 5.0
            compared += 1
        assert isinstance(reckoning, Reckoning)
        assert reckoning.jumped_s is None
        assert state.gps is not None
        assert state.position is not None
        assert state.position.value.clock_s is not None
        assert abs(state.gps.value.clock_s - state.position.value.clock_s) < 2.0
    assert compared > 1000
