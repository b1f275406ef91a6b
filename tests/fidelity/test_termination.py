"""Flight termination, which only an operator may ask for: it does not end but with a new start."""

from __future__ import annotations

from tests.fidelity.subjects import Hangar
from tests.fidelity.wire import ACCEPTED, DENIED, TERMINATED

TERMINATE = 185
TERMINATION = 0x000A0000


def test_termination_is_denied_disarmed_and_armed_it_has_its_number_its_state_and_no_way_back(hangar: Hangar) -> None:
    vehicle = hangar.vehicle
    vehicle.until_ready()
    assert vehicle.command(TERMINATE, 1) == DENIED
    assert vehicle.command(400, 1) == ACCEPTED
    assert vehicle.command(TERMINATE, 1) == ACCEPTED
    beat = vehicle.wait("HEARTBEAT", lambda m: m["custom_mode"] == TERMINATION, 3.0)
    assert beat["system_status"] == TERMINATED
    vehicle.set_mode(4, 3)
    vehicle.run(2.0)
    assert vehicle.mode == TERMINATION
