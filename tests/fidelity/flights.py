"""Flights that several files begin with."""

from __future__ import annotations

from itertools import pairwise

from tests.fidelity.items import item
from tests.fidelity.wire import MISSION, Wire


def on_its_way(air: Wire) -> Wire:
    air.hold_plan([item(16, 200.0, current=1)])
    air.become(MISSION)
    return air


def modes(wire: Wire, since: int) -> list[tuple[int, float]]:
    """Each mode in turn with the time it was first told, after MISSION."""
    told = [(m["custom_mode"], m.at_s) for m in wire.of("HEARTBEAT", since)]
    return [b for a, b in pairwise([(MISSION, 0.0), *told]) if a[0] != b[0]]
