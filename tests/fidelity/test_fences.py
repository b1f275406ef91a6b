"""Fences of several shapes, as PX4 v1.17 really reads them."""

from __future__ import annotations

from tests.fidelity.items import circle, item, square
from tests.fidelity.test_feasibility import judged
from tests.fidelity.wire import FENCE_LIST, Wire

KEEP_OUT = 5002
FAR_CIRCLE = circle(5004, 10.0, north_m=-200.0)
TWO_SQUARES = [*square(KEEP_OUT, 10.0, north_m=60.0), *square(KEEP_OUT, 10.0, north_m=120.0)]
BETWEEN_M, INSIDE_M = 90.0, 60.0


def test_polygons_before_a_circle_are_read_as_they_are(wire: Wire) -> None:
    wire.hold_plan([*TWO_SQUARES, FAR_CIRCLE], FENCE_LIST)
    assert judged(wire, [item(22), item(16, BETWEEN_M)]) == 2
    assert judged(wire, [item(22), item(16, INSIDE_M)]) == 1


def test_polygons_after_a_circle_are_misread_and_the_space_between_two_of_them_counts_as_closed(wire: Wire) -> None:
    wire.hold_plan([FAR_CIRCLE, *TWO_SQUARES], FENCE_LIST)
    assert judged(wire, [item(22), item(16, BETWEEN_M)]) == 1
