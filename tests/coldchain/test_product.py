"""Stability profiles: the catalogue is complete, and a profile that cannot be signed is refused with file and fix."""

from __future__ import annotations

from typing import Any

import pytest

from missions.coldchain.product import Outcome, ProfileError, product_from_mapping
from tests.coldchain.builders import CATALOGUE, profile

GOOD: dict[str, Any] = {
    "product_id": "x",
    "name": "X",
    "source": "label",
    "band": {"lower_c": 2, "upper_c": 8},
    "excursions": [{"name": "cool", "lower_c": 8, "upper_c": 15, "allowed_min": 60}],
}


def changed(**fields: Any) -> dict[str, Any]:
    return {k: v for k, v in {**GOOD, **fields}.items() if v != "absent"}


@pytest.mark.parametrize("name", sorted(p.stem for p in CATALOGUE.glob("*.yaml")))
def test_every_profile_of_the_catalogue_loads_and_names_its_source(name: str) -> None:
    product = profile(name)
    assert product.product_id == name
    assert len(product.source) > 20


def test_the_catalogue_has_what_the_demonstration_and_the_first_customers_fly() -> None:
    names = {p.stem for p in CATALOGUE.glob("*.yaml")}
    assert names >= {
        "antibiotic_crt", "vaccine_freeze_sensitive", "vaccine_heat_sensitive", "red_cells", "insulin", "oxytocin",
    }  # fmt: skip


def test_the_who_type_1_profile_has_its_three_alarms() -> None:
    product = profile("vaccine_freeze_sensitive")
    found = {(a.threshold_c, a.above, a.minutes, a.consecutive) for a in product.alarms}
    assert found == {(45.0, True, 60.0, True), (30.0, True, 600.0, False), (-0.5, False, 60.0, True)}


def test_the_who_type_2_profile_has_its_three_alarms() -> None:
    product = profile("vaccine_heat_sensitive")
    found = {(a.threshold_c, a.above, a.minutes, a.consecutive) for a in product.alarms}
    assert found == {(45.0, True, 60.0, True), (30.0, True, 600.0, False), (10.0, True, 1200.0, False)}


def test_an_alarm_without_an_outcome_asks_for_quarantine() -> None:
    alarm = {"name": "hot", "at_or_above_c": 45, "consecutive_min": 60}
    assert product_from_mapping(changed(alarms=[alarm]), "p.yaml").alarms[0].outcome is Outcome.QUARANTINE


@pytest.mark.parametrize(
    ("fields", "place", "fix"),
    [
        ({"source": "absent"}, "source: is missing", "give the standard, regulation or label"),
        ({"source": "  "}, "source: is missing", "give the standard"),
        ({"band": "absent"}, "band: is missing", "band: {lower_c: 2, upper_c: 8}"),
        ({"band": {"lower_c": 2}}, "band.upper_c: is missing", "give a number"),
        ({"band": {"lower_c": 8, "upper_c": 2}}, "band.lower_c: 8 is not below upper_c 2", "swap them"),
        ({"band": {"lower_c": float("nan"), "upper_c": 8}}, "band.lower_c: nan is not a number", "finite number"),
        ({"band": {"lower_c": True, "upper_c": 8}}, "band.lower_c: True is not a number", "finite number"),
        ({"band": [2, 8]}, "band: [2, 8] is not a mapping", "name: value"),
        ({"typo": 1}, "typo: is not known here", "use one of"),
        (
            {"excursions": [{"name": "cool", "lower_c": 7, "upper_c": 15, "allowed_min": 1}]},
            "excursions: band and cool overlap from 7 to 8 °C",
            "let one end where the other starts",
        ),
        (
            {"excursions": [{"name": "cool", "lower_c": 9, "upper_c": 15, "allowed_min": 1}]},
            "excursions: nothing is said about 8 to 9 °C between band and cool",
            "let one end where the other starts",
        ),
        (
            {"excursions": [{"name": "cool", "lower_c": 8, "upper_c": 15}]},
            "excursions[0].allowed_min: is missing",
            "null for no limit",
        ),
        (
            {"excursions": [{"name": "cool", "lower_c": 8, "upper_c": 15, "allowed_min": -1}]},
            "excursions[0].allowed_min: -1 is below 0",
            "give 0 or more",
        ),
        (
            {"excursions": [GOOD["excursions"][0], {"name": "cool", "lower_c": 15, "upper_c": 20, "allowed_min": 1}]},
            "excursions: two have the same name",
            "give each its own",
        ),
        ({"excursions": "cool"}, "excursions: is not a list of mappings", "start each entry"),
        (
            {"alarms": [{"name": "hot", "at_or_above_c": 45}]},
            "alarms[0].consecutive_min: and cumulative_min: exactly one is needed",
            "say how the time is counted",
        ),
        (
            {"alarms": [{"name": "hot", "consecutive_min": 60}]},
            "alarms[0].at_or_above_c: and at_or_below_c: exactly one is needed",
            "one threshold per alarm",
        ),
        (
            {"alarms": [{"name": "hot", "at_or_above_c": 5, "consecutive_min": 60}]},
            "alarms[0].at_or_above_c: 5 °C lies inside the band",
            "move the threshold outside",
        ),
        (
            {"alarms": [{"name": "hot", "at_or_above_c": 45, "consecutive_min": 60, "outcome": "bad"}]},
            "alarms[0].outcome: 'bad' is not known",
            "use quarantine or spoiled",
        ),
        ({"spoiled": {"at_or_below_c": 3}}, "spoiled.at_or_below_c: 3 lies inside the band", "below band.lower_c"),
        ({"spoiled": {"at_or_above_c": 8}}, "spoiled.at_or_above_c: 8 lies inside the band", "above band.upper_c"),
        ({"mkt": {"limit_c": 8, "window_h": 0}}, "mkt.window_h: 0 is not above 0", "give more than 0"),
        ({"max_gap_s": 0}, "max_gap_s: 0 is not above 0", "give more than 0"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_with_file_field_and_fix(
    fields: dict[str, Any], place: str, fix: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        product_from_mapping(changed(**fields), "p.yaml")
    message = str(caught.value)
    assert message.startswith(f"p.yaml: {place}")
    assert fix in message


def test_a_temperature_on_an_edge_belongs_to_the_milder_range() -> None:
    ranges = [GOOD["excursions"][0], {"name": "warm", "lower_c": 15, "upper_c": 25, "allowed_min": 10}]
    product = product_from_mapping(changed(excursions=ranges), "p.yaml")
    assert product.in_band(8.0)
    assert product.in_band(2.0)
    at_15 = product.excursion_at(15.0)
    assert at_15 is not None
    assert at_15.name == "cool"
    assert product.excursion_at(25.01) is None
