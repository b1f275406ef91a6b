"""Stability profiles: the catalogue is complete, and a profile that cannot be signed is refused with file and fix."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from missions.coldchain.product import Outcome, ProfileError, product_from_mapping, product_to_mapping
from tests.coldchain.builders import CATALOGUE, profile

GOOD: dict[str, Any] = {
    "product_id": "x",
    "name": "X",
    "source": "label",
    "band": {"lower_c": 2, "upper_c": 8},
    "excursions": [{"name": "cool", "lower_c": 8, "upper_c": 15, "allowed_min": 60}],
}


LIMITS = (
    "light_lux_max", "tilt_deg_max", "shock_g_max", "rh_pct_max", "unagitated_max_min", "shelf_life_days", "max_gap_s",
)  # fmt: skip
TENTHS = st.integers(1, 200).map(lambda n: n / 10)


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    """A band somewhere, ranges that touch above and below it, and whatever else a profile may say."""
    lower, width = draw(st.integers(-400, 300)) / 10, draw(TENTHS)
    band = {"lower_c": lower, "upper_c": round(lower + width, 1)}
    below, above, excursions = lower, band["upper_c"], []
    for n, (up, step) in enumerate(draw(st.lists(st.tuples(st.booleans(), TENTHS), max_size=4))):
        start, below, above = (above, below, round(above + step, 1)) if up else (below, round(below - step, 1), above)
        ends = (start, above) if up else (below, start)
        minutes = draw(st.none() | st.integers(0, 50_000))
        excursions.append({"name": f"e{n}", "lower_c": ends[0], "upper_c": ends[1], "allowed_min": minutes})
    sides = {True: ("at_or_above_c", above), False: ("at_or_below_c", below)}
    alarms = []
    for n, (up, run, far) in enumerate(draw(st.lists(st.tuples(st.booleans(), st.booleans(), TENTHS), max_size=3))):
        side, end = sides[up]
        kind = "consecutive_min" if run else "cumulative_min"
        threshold = round(end + far if up else end - far, 1)
        alarms.append({"name": f"a{n}", side: threshold, kind: draw(st.integers(0, 900)), "outcome": "spoiled"})
    limits = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(LIMITS, TENTHS)))
    mkt = draw(st.none() | st.fixed_dictionaries({"limit_c": TENTHS, "window_h": TENTHS}, optional={"prior_c": TENTHS}))
    spoiled = draw(st.none() | st.just({"at_or_below_c": below - 1.0}) | st.just({"at_or_above_c": above + 1.0}))
    given_too = {"excursions": excursions, "alarms": alarms, "mkt": mkt, "spoiled": spoiled, **limits}
    return {"product_id": "x", "name": "X", "source": "a label", "band": band, **given_too}


PROFILES = profiles()


def changed(**fields: Any) -> dict[str, Any]:
    return {k: v for k, v in {**GOOD, **fields}.items() if v != "absent"}


@pytest.mark.parametrize("name", sorted(p.stem for p in CATALOGUE.glob("*.yaml")))
def test_every_profile_of_the_catalogue_loads_and_names_its_source(name: str) -> None:
    product = profile(name)
    assert product.product_id == name
    assert len(product.source) > 20
    assert len(product.notes) > 20, "what was chosen here, and what was checked"


@pytest.mark.parametrize("name", sorted(p.stem for p in CATALOGUE.glob("*.yaml")))
def test_every_profile_of_the_catalogue_is_the_same_after_it_was_written_and_read_again(name: str) -> None:
    text = StringIO()
    YAML(typ="safe").dump(product_to_mapping(profile(name)), text)
    assert product_from_mapping(YAML(typ="safe").load(text.getvalue()), "again.yaml") == profile(name)


def test_the_catalogue_covers_frozen_to_room_temperature_and_what_is_made_for_one_patient() -> None:
    names = {p.stem for p in CATALOGUE.glob("*.yaml")}
    assert names == {
        "antibiotic_crt", "antivenom", "car_t_dry_shipper", "cct_biologic", "insulin", "oxytocin", "plasma_frozen",
        "platelets", "printed_tablet", "red_cells", "vaccine_freeze_sensitive", "vaccine_frozen",
        "vaccine_heat_sensitive",
    }  # fmt: skip


@settings(deadline=None)
@given(PROFILES)
def test_any_profile_that_can_be_read_is_the_same_after_it_was_written_and_read_again(mapping: dict[str, Any]) -> None:
    product = product_from_mapping(mapping, "p.yaml")
    assert product_from_mapping(product_to_mapping(product), "again.yaml") == product


@settings(deadline=None)
@given(PROFILES, st.integers(-700, 700).map(lambda n: n / 10))
def test_each_temperature_has_one_rule_at_most(mapping: dict[str, Any], temp_c: float) -> None:
    product = product_from_mapping(mapping, "p.yaml")
    inside = [e for e in product.excursions if e.lower_c < temp_c < e.upper_c]
    assert len(inside) + (product.lower_c <= temp_c <= product.upper_c) <= 1
    edges = {product.lower_c, product.upper_c, *(x for e in product.excursions for x in (e.lower_c, e.upper_c))}
    ruled = product.in_band(temp_c) or product.excursion_at(temp_c) is not None
    assert ruled == (min(edges) <= temp_c <= max(edges)), "there is no hole in between"


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
        ({"tilt_deg_max": -1}, "tilt_deg_max: -1 is not above 0", "give more than 0"),
        (
            {"alarms": [{"name": "hot", "at_or_above_c": 45, "consecutive_min": 60}] * 2},
            "alarms: two are named 'hot'",
            "verdicts name the alarm",
        ),
        (
            {"freeze": {"at_or_below_c": 3, "consecutive_min": 0}},
            "freeze.at_or_below_c: 3 °C lies inside the band",
            "move the threshold outside",
        ),
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
