"""Any value of a type of the contracts, from its annotations; written apart from the codec, as its oracle."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import UTC, datetime, time
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin

from hypothesis import strategies as st

from geofences.geodesy import LatLon

FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = {
    str: st.text(st.characters(codec="utf-8"), max_size=8),
    int: st.integers(-(2**60), 2**60),
    float: FINITE,
    bool: st.booleans(),
    types.NoneType: st.none(),
    LatLon: st.builds(LatLon, st.floats(-90, 90), st.floats(-180, 180)),
    datetime: st.datetimes(timezones=st.just(UTC)),
    time: st.times(),
}


def values(hint: Any, bound: dict[Any, Any] | None = None) -> st.SearchStrategy[Any]:
    """A strategy for a dataclass of the contracts, parametrised or not, and for what its fields are made of."""
    bound = bound or {}
    if isinstance(hint, TypeVar):
        return values(bound[hint])
    if hint in PLAIN:
        return PLAIN[hint]
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([values(a, bound) for a in args])
    if origin is tuple:
        if args[1:] == (...,):
            return st.lists(values(args[0], bound), max_size=2).map(tuple)
        return st.tuples(*(values(a, bound) for a in args))
    if origin is frozenset:
        return st.frozensets(values(args[0], bound), max_size=3)
    if dataclasses.is_dataclass(origin):
        mine = dict(zip(getattr(origin, "__parameters__", ()), args, strict=True))
        hints = typing.get_type_hints(origin)
        given = [f.name for f in dataclasses.fields(origin) if f.init]
        return st.builds(origin, **{name: values(hints[name], mine) for name in given})
    if isinstance(origin, type) and issubclass(origin, Enum):
        return st.sampled_from(list(origin))
    raise TypeError(f"no strategy for {hint!r}")
