"""Nonsense on the wire: no exception escapes, and the vehicle table stays true. In full: benchmarks/link_fuzz.py."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.mavlink.messages import Message, Spec
from fleet.mavlink.reduce import Track
from tests.mavlink.fake_time import in_fake_time
from tests.mavlink.fuzzing import Bedlam

WITH_FLOATS = [spec for spec in Spec.by_id.values() if "f" in spec.layout.format]
FLOATS = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-40, 0.0])


@pytest.mark.parametrize("seed", [1, 2])
def test_random_bytes_and_frames_leave_the_vehicle_table_true(seed: int) -> None:
    async def story() -> None:
        bedlam = Bedlam(seed)
        await bedlam.run(200_000, 20_000)
        assert bedlam.exchanges, "and the mad vehicle was commanded all the while"
        assert bedlam.air.station.peer("cw-2").dropped == 0, "its frames were all taken in"

    in_fake_time(story())


def test_memory_does_not_grow_with_nonsense() -> None:
    async def story() -> int:
        bedlam = Bedlam(3)
        async with bedlam.air:
            await bedlam.frames_in(4_000)
            tracemalloc.start()
            try:
                await bedlam.frames_in(4_000)
                return tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()

    assert in_fake_time(story()) < 300_000


def numbers(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple):
        return [n for v in value for n in numbers(v)]
    slots = getattr(type(value), "__slots__", ())
    return [n for name in slots if not name.startswith("_") for n in numbers(getattr(value, name))]


@st.composite
def with_wild_floats(draw: st.DrawFn) -> Message:
    """A message that makes sense but for its floats."""
    spec = draw(st.sampled_from(WITH_FLOATS))
    zero = spec.make(spec.layout.unpack(bytes(spec.size)))
    return zero._replace(
        **{  # type: ignore[no-any-return]
            name: draw(FLOATS) for name, value in zip(zero._fields, zero, strict=True) if isinstance(value, float)
        }
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(with_wild_floats(), min_size=1, max_size=8))
def test_no_float_of_any_message_brings_a_nan_or_an_infinity_into_the_state(messages: list[Message]) -> None:
    track = Track("cw-1")
    for n, message in enumerate(messages):
        track.reduce(message, float(n))
        found = numbers(track.state())
        assert all(math.isfinite(number) for number in found)
    assert track.boot == 0


def test_every_message_with_a_float_is_among_them() -> None:
    assert {spec.cls.__name__ for spec in WITH_FLOATS} >= {"VfrHud", "WindCov", "HomePosition"}
