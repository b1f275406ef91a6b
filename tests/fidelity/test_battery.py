"""The battery failsafe. Its warning only ever gets worse until the vehicle is disarmed: each check flies by itself."""

from __future__ import annotations

import pytest

from tests.fidelity.flights import modes, on_its_way
from tests.fidelity.wire import HOLD, LAND, MISSION, RETURN, Wire, event_id


@pytest.mark.parametrize(("action", "course"), [(0, []), (1, [HOLD, RETURN]), (2, [HOLD, LAND]), (3, [HOLD, LAND])])
def test_at_a_critical_battery_the_vehicle_does_as_com_low_bat_act_says(
    wire: Wire, action: int, course: list[int]
) -> None:
    """A full battery counts as critical once the threshold is above it."""
    wire.set_param("COM_LOW_BAT_ACT", action)
    wire.to_air()
    on_its_way(wire)
    since = wire.mark()
    wire.set_param("BAT_CRIT_THR", 1.1)
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
