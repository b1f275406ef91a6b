"""What is believed of a kind of box, from its label and from its flights."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.coldchain import thermal
from missions.coldchain.calibration import Reading, Recorded, fitted, followed, resistance_of_cold_life
from missions.coldchain.thermal import COUPLINGS_K_W, MULTIPLIERS, PRIORS, coupling_weights
from tests.coldchain.builders import BOX, shown, simulate


@settings(max_examples=30, deadline=None)
@given(hours=st.floats(1.0, 60.0), latent_kj=st.floats(50.0, 400.0), capacity=st.floats(3.0, 20.0))
def test_a_box_with_the_resistance_of_its_cold_life_takes_up_its_heat_in_that_time(
    hours: float, latent_kj: float, capacity: float
) -> None:
    r = resistance_of_cold_life(hours, latent_kj, 4.0, capacity)
    let_in_kj = (43.0 - 4.0) / r * 3.6 * hours
    assert let_in_kj == pytest.approx(latent_kj + capacity * 6.0)


def test_the_box_of_the_demonstration_would_be_declared_with_an_hour_and_a_half() -> None:
    assert resistance_of_cold_life(1.6, BOX.pack_latent_kj, BOX.pack_temp_c, BOX.capacity_kj_k) == pytest.approx(
        BOX.resistance_k_w, rel=0.1
    )


def record(seed: int, *, share: float = 1.0, inner_k_w: float = 0.3, coupling_k_w: float = 0.08) -> Recorded:
    """Ten minutes of a box whose wall is `share` of what its label says, a sample every 5 s."""
    rng = random.Random(seed)
    truth = simulate(
        601, seal_fails_s=0.0, failed_share=share, pack_kj=90.0, coupling_k_w=coupling_k_w, inner_k_w=inner_k_w
    )  # fmt: skip
    readings = tuple(
        Reading(5.0 * n, round(probe_c + rng.gauss(0.0, 0.05), 2), 38.0, False, True)
        for n, probe_c in enumerate(shown(truth)[::5])
    )
    return Recorded(BOX, readings, 90.0)


def test_flights_of_loosely_packed_boxes_make_loose_packing_likelier() -> None:
    flights = [record(seed) for seed in range(3)]
    after = fitted(flights)
    loose = COUPLINGS_K_W[:, 1] >= 0.3
    assert sum(np.array(after.couplings)[loose]) > 1.15 * sum(np.array(PRIORS.couplings)[loose])
    assert sum(after.couplings) == pytest.approx(1.0)
    assert sum(after.intact) == pytest.approx(1.0)


def test_flights_of_boxes_below_their_label_lower_what_is_expected_of_the_wall() -> None:
    flights = [record(seed, share=0.77, inner_k_w=0.1, coupling_k_w=0.05) for seed in range(3)]
    after = fitted(flights)
    mean = [float(np.exp(np.array(w) @ np.log(MULTIPLIERS))) for w in (PRIORS.intact, after.intact)]
    assert mean[1] < mean[0]


def test_without_flights_nothing_is_learnt_and_an_empty_record_is_refused() -> None:
    assert fitted([]).couplings == pytest.approx(PRIORS.couplings)
    with pytest.raises(ValueError, match="box-1 is empty"):
        followed(Recorded(BOX, ()))


def test_a_new_pack_does_not_make_forget_how_the_payload_is_packed() -> None:
    before = followed(record(1))
    after = thermal.reiced(before, before.at_s + 10.0)
    assert coupling_weights(after) == pytest.approx(coupling_weights(before), rel=1e-6)
