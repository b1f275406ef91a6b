"""A box may be declared by its cold life in place of its wall's resistance."""

import pytest

from fleet.config import ConfigError


def boxes(**values):
    def edit(data):
        for box in data["boxes"]:
            box.pop("resistance_k_w")
            box.update(values)

    return edit


def test_the_resistance_follows_from_the_cold_life(sandbox):
    sandbox.change(boxes(cold_life_h=1.6))
    assert sandbox.load().boxes["box-1"].resistance_k_w == pytest.approx(1.17, abs=0.01)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "give either resistance_k_w or cold_life_h"),
        ({"cold_life_h": 5.0, "resistance_k_w": 1.2}, "give either resistance_k_w or cold_life_h"),
        ({"cold_life_h": 5.0, "pack_temp_c": 22.0}, "for a warmer pack give resistance_k_w"),
    ],
)
def test_one_of_both_is_needed_and_a_warm_pack_has_no_cold_life(sandbox, values, says):
    sandbox.change(boxes(**values))
    with pytest.raises(ConfigError) as refused:
        sandbox.load()
    assert "boxes[0]" in str(refused.value)
    assert says in str(refused.value)
