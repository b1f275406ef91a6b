"""A few seeded random fault flights; `make soak` flies many."""

from __future__ import annotations

import pytest

from tests.support.random_flights import fly


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_whatever_goes_wrong_what_must_hold_holds(seed):
    assert fly(seed) == []
