"""A thousand seeded random fault flights in virtual time. COLDWING_SOAK_SEED flies one alone and tells its story."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.random_flights import Flights

ALONE = os.environ.get("COLDWING_SOAK_SEED")
COUNT = int(os.environ.get("COLDWING_SOAK_FLIGHTS", "1000"))
FIRST_SEED = 1000
"""the sample in tests/simulate has the seeds below"""
SEEDS = [int(ALONE)] if ALONE else range(FIRST_SEED, FIRST_SEED + COUNT)
STORY = Path("var/soak") if ALONE else None
FLIGHTS = Flights()


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_what_must_hold_holds(seed):
    assert FLIGHTS.fly(seed, STORY) == []


@pytest.mark.soak
def test_no_excuse_covers_much_of_the_flights(capsys):
    with capsys.disabled():
        print(f"\n{FLIGHTS}", file=sys.stderr)  # what a worker of xdist prints to stdout is lost
    if FLIGHTS.flown >= 100:
        assert FLIGHTS.often() == []
