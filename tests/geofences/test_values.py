"""A quick value is the same value: only the making of it is shorter."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.values import quick


@dataclass(frozen=True, slots=True)
class Plain:
    """As dataclasses make it."""

    a: int
    b: float = 2.5
    c: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a is negative")


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same, made quickly."""

    a: int
    b: float = 2.5
    c: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a is negative")


def outcome(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The fields, or what was raised in making it."""
    try:
        made = cls(*args, **kwargs)
    except (TypeError, ValueError) as fault:
        return str(fault).replace("Plain", "Quick")
    return (made.a, made.b, made.c)


@given(st.lists(st.integers(-3, 9), max_size=4), st.dictionaries(st.sampled_from("abcd"), st.integers(-3, 9)))
def test_it_takes_and_refuses_the_same_arguments(args: list[int], kwargs: dict[str, int]) -> None:
    assert outcome(Quick, tuple(args), kwargs) == outcome(Plain, tuple(args), kwargs)
    assert str(inspect.signature(Quick)) == str(inspect.signature(Plain))


def test_it_is_frozen_and_copies_compares_and_travels_as_before() -> None:
    value = Quick(1, c=(3,))
    with pytest.raises(FrozenInstanceError):
        value.a = 2  # type: ignore[misc]
    assert value == Quick(1, 2.5, (3,))
    assert hash(value) == hash(Quick(1, 2.5, (3,)))
    assert replace(value, a=5) == Quick(5, 2.5, (3,))
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    assert repr(value) == "Quick(a=1, b=2.5, c=(3,))"
    with pytest.raises(ValueError, match="a is negative"):
        replace(value, a=-1)


def test_a_field_it_does_not_know_how_to_make_is_refused_at_once() -> None:
    @dataclass(frozen=True, slots=True)
    class WithFactory:
        rows: list[int] = field(default_factory=list)

    with pytest.raises(TypeError, match=r"WithFactory\.rows: quick knows plain fields"):
        quick(WithFactory)
