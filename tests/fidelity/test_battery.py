"""The battery failsafe. Its warning only ever gets worse until the vehicle is disarmed: each check flies by itself.

A full battery counts as low, critical or empty once the threshold is above it.
"""

from __future__ import annotations

import pytest

from tests.fidelity.flights import modes, on_its_way
from tests.fidelity.wire import HOLD, LAND, MISSION, RETURN, Wire

PX4_SPEED = 1.0
"""every check arms, and a PX4 that runs faster may take its sensors for dead while it opens its log"""
LOW, CRITICAL, EMERGENCY = "BAT_LOW_THR", "BAT_CRIT_THR", "BAT_EMERGEN_THR"
ABOVE = 1.1


def flying(wire: Wire, action: int) -> Wire:
    wire.set_param("COM_LOW_BAT_ACT", action)
    wire.to_air()
    return on_its_way(wire)


def test_with_com_low_bat_act_0_a_low_and_a_critical_battery_are_only_told(wire: Wire) -> None:
    flying(wire, 0)
    since = wire.mark()
    wire.set_param(LOW, ABOVE)
    wire.wait_event("commander_failsafe_enter_low_bat", 4.0, since)
    wire.set_param(CRITICAL, ABOVE)
    wire.wait_event("commander_failsafe_enter_crit_bat_warn", 4.0, since)
    wire.run(2.0)
    assert wire.mode == MISSION


@pytest.mark.parametrize(("action", "then"), [(2, LAND), (3, RETURN)])
def test_at_a_critical_battery_the_vehicle_holds_five_seconds_and_lands_or_returns(
    wire: Wire, action: int, then: int
) -> None:
    flying(wire, action)
    since = wire.mark()
    wire.set_param(CRITICAL, ABOVE)
    wire.until(lambda: wire.mode == then, 10.0)
    (first, hold_s), (second, then_s) = modes(wire, since)
    assert (first, second) == (HOLD, then)
    assert then_s - hold_s == pytest.approx(5.0, abs=1.2)
    wire.wait_text("Failsafe activated: entering Hold for 5 seconds", 1.0, since)
    wire.wait_event("commander_failsafe_enter_hold", 1.0, since)
    if action == 3:
        wire.set_param(EMERGENCY, ABOVE)
        wire.until(lambda: wire.mode == LAND, 10.0, "a landing at the emergency level")
