"""The battery failsafe. Its warning only ever gets worse until the vehicle is disarmed: each check flies by itself."""

from __future__ import annotations

import pytest

from tests.fidelity.flights import modes, on_its_way
from tests.fidelity.wire import HOLD, LAND, MISSION, RETURN, Wire, event_id

CRITICAL, EMERGENCY = "BAT_CRIT_THR", "BAT_EMERGEN_THR"


@pytest.mark.parametrize(
    ("action", "threshold", "course"),
    [
        (0, CRITICAL, []),
        (1, CRITICAL, [HOLD, RETURN]),
        (2, CRITICAL, [HOLD, LAND]),
        (3, CRITICAL, [HOLD, RETURN]),
        (3, EMERGENCY, [HOLD, LAND]),
    ],
)
def test_at_a_critical_and_at_an_empty_battery_the_vehicle_does_as_com_low_bat_act_says(
    wire: Wire, action: int, threshold: str, course: list[int]
) -> None:
    """A full battery counts as critical once the threshold is above it."""
    wire.set_param("COM_LOW_BAT_ACT", action)
    wire.to_air()
    on_its_way(wire)
    since = wire.mark()
    wire.set_param(threshold, 1.1)
    wire.run(9.5)
    assert [mode for mode, _ in modes(wire, since)] == course
    said = "Failsafe activated: entering Hold for 5 seconds"
    assert (said in wire.texts(since)) == bool(course)
    told = "commander_failsafe_enter_hold" if course else "commander_failsafe_enter_crit_bat_warn"
    assert event_id(told) in [m["id"] for m in wire.of("EVENT", since)]


def test_a_low_battery_is_only_said(wire: Wire) -> None:
    wire.set_param("COM_LOW_BAT_ACT", 3)
    wire.to_air()
    on_its_way(wire)
    since = wire.mark()
    wire.set_param("BAT_LOW_THR", 1.1)
    wire.wait_event("commander_failsafe_enter_low_bat", 4.0, since)
    wire.run(6.0)
    assert wire.mode == MISSION
