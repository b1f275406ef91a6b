"""A dose goes on warming after it has arrived: until it is in cold storage there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from missions.sites import HANDOVER_S, Site
from tests.missions.test_candidates import (
    ALTERNATE,
    CONTINUE,
    ORDER,
    REICE,
    RETURN,
    SITES,
    WORLD,
    Asked,
    loaded,
    offered,
    situation,
)


def waits(s: Any) -> dict[Any, float]:
    """Of each way: how long after its arrival the forecast ends."""
    ways = offered(s)
    assert isinstance(s.outlook, Asked)
    return {way: asked[0] - c.arrive_s for (way, c), asked in zip(ways.items(), s.outlook.ways, strict=True)}


def test_the_forecast_ends_when_the_dose_is_in_cold_storage_and_not_when_it_lands() -> None:
    assert waits(situation()) == pytest.approx(
        {
            (CONTINUE, "koru"): 120.0,
            (REICE, "midway"): 120.0,  # at the clinic that it flies on to
            (RETURN, "teral"): 60.0,
            (ALTERNATE, "quarry"): 2400.0,
            (ALTERNATE, "ferry"): 2400.0,
        }
    )


def test_a_site_may_say_how_long_it_takes_there() -> None:
    ferry: Site = replace(SITES["ferry"], handover_s=90.0)
    sites = {**SITES, "ferry": ferry}
    assert waits(situation(world=replace(WORLD, sites=sites)))[ALTERNATE, "ferry"] == pytest.approx(90.0)
    assert replace(ferry, handover_s=0.0).cold_after_s == 0.0
    assert {s.cold_after_s for s in SITES.values()} <= set(HANDOVER_S.values())


def test_at_a_station_nothing_is_handed_over() -> None:
    to_station = situation(loaded(directive=REICE, goal_site="midway"))
    assert ORDER.destination_site != "midway"
    assert waits(to_station)[CONTINUE, "midway"] == pytest.approx(0.0)
