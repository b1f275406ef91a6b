"""A hundred seeded random fault flights in virtual time; `make soak` flies a thousand."""

from __future__ import annotations

import pytest

from tests.support.random_flights import Flights

FLIGHTS = Flights()


@pytest.mark.parametrize("seed", range(100))
def test_whatever_goes_wrong_what_must_hold_holds(seed):
    assert FLIGHTS.fly(seed) == []
