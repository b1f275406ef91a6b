"""A simulated world goes in whole steps: the same seed gives the same bytes, in whatever slices time comes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitl.radio import Air, Radio
from sitl.simulation import STEP_TICKS, TICK_S, World
from sitl.spec import SimSpec
from sitl.wire.streams import GCS_RATES
from tests.sitl.helpers import START_S, Station, item, spec_dict, takeoff_and

FLIGHT_S = 40.0


def world(seed: int = 3) -> World:
    spec = SimSpec.from_dict(spec_dict(seed=seed, world={"gust_m_s": 1.5}))
    return World(spec, START_S)


def on_the_wire(seed: int, slices: random.Random | None) -> bytes:
    """What a vehicle says from power-on and on a short flight; `slices`: time comes in small pieces."""
    w = world(seed)
    heard: list[bytes] = []
    gcs = Station(w).ready(thin=True)
    gcs.link.hearers.append(heard.append)
    gcs.start(takeoff_and(item(16, 60.0), item(16, 60.0, 60.0)))
    for second in range(int(FLIGHT_S)):
        gcs.heartbeat()
        end_s = START_S + 7.0 + second + 1.0
        while slices is not None and w.now_s < end_s - TICK_S:
            w.advance(min(end_s, w.now_s + slices.random() * 0.5))
            if slices.random() < 0.3:
                w.advance(end_s, max_ticks=slices.randrange(3))
        w.advance(end_s)
    assert w.fleet.height_m(0) > 10.0
    return b"".join(heard)


def test_the_same_seed_gives_the_same_bytes_on_the_wire() -> None:
    assert on_the_wire(3, None) == on_the_wire(3, None)


def test_another_seed_gives_other_bytes() -> None:
    assert on_the_wire(3, None) != on_the_wire(4, None)


def test_in_which_slices_time_comes_makes_no_difference() -> None:
    assert on_the_wire(3, random.Random(1)) == on_the_wire(3, None)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 0.7), max_size=20))
def test_a_world_stands_on_a_whole_tick_and_less_than_one_behind_what_was_asked(slices: list[float]) -> None:
    w, asked_s = world(), START_S
    for slice_s in slices:
        asked_s += slice_s
        w.advance(asked_s)
        ticks = (w.now_s - START_S) / TICK_S
        assert ticks == pytest.approx(round(ticks), abs=1e-3)
        assert asked_s - TICK_S < w.now_s + 1e-5
        assert w.now_s < asked_s + 1e-5


def test_no_more_ticks_are_taken_than_allowed() -> None:
    w = world()
    w.advance(START_S + 10.0, max_ticks=3)
    assert w.now_s == pytest.approx(START_S + 3 * TICK_S)
    assert w.behind(START_S + 10.0)


def test_between_two_steps_a_vehicle_moves_on_at_its_velocity() -> None:
    gcs = Station(world()).ready(thin=True)
    gcs.start(takeoff_and(item(16, 500.0)))
    gcs.until(lambda: float(gcs.world.fleet.vn[0]) > 10.0)
    fleet, places = gcs.world.fleet, []
    for _ in range(3 * STEP_TICKS):
        gcs.world.advance(gcs.world.now_s + TICK_S)
        places.append(fleet.seen(0)[0] * fleet.per_lat[0])
    moved_m = [float(b - a) for a, b in pairwise(places)]
    # Within one step the velocity may change by 0.24 m/s, which makes 2 cm.
    assert moved_m == pytest.approx([float(fleet.vn[0]) * TICK_S] * len(moved_m), abs=0.05)


def test_late_frames_are_waited_for_by_a_link_that_has_nothing_else_to_do() -> None:
    gcs = Station(world()).ready(thin=True)
    for name in GCS_RATES:
        gcs.link.set_interval(name, -1.0, gcs.world.now_s)
    gcs.link.suffer(Radio(up=Air(delay_s=1.0), down=Air(delay_s=0.5)))
    gcs.quiet = True
    gcs.run(12.0)  # until the last stream's turn, which is skipped, is over
    gcs.heard.clear()
    gcs.run(5.0)
    assert gcs.of("CURRENT_EVENT_SEQUENCE")  # said of its own accord, and late
    gcs.heard.clear()
    gcs.send(gcs.mav.timesync_encode(0, 42))
    gcs.world.advance(gcs.world.now_s + 1.4)
    assert gcs.of("TIMESYNC") == []
    gcs.world.advance(gcs.world.now_s + 0.2)
    assert [m["ts1"] for m in gcs.of("TIMESYNC")] == [42]
