"""Many seeded random fault flights. A seed that fails is run alone with COLDWING_SOAK_SEED."""

from __future__ import annotations

import os

import pytest

from tests.support.random_flights import fly

ALONE = os.environ.get("COLDWING_SOAK_SEED")
FLIGHTS = int(os.environ.get("COLDWING_SOAK_FLIGHTS", "200"))
FIRST_SEED = 1000
"""the sample in tests/runtime has the seeds below"""
SEEDS = [int(ALONE)] if ALONE else range(FIRST_SEED, FIRST_SEED + FLIGHTS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_what_must_hold_holds(seed):
    assert fly(seed) == []
