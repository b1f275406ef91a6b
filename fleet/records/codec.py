"""The one JSON codec of the contracts' frozen dataclasses: what is stored, hashed and read back goes through here.

A dataclass becomes an object by field name; a tuple or frozenset a list (a frozenset sorted); a StrEnum its value and
an IntEnum its name; datetime and time ISO 8601 strings; a union of dataclasses carries the class name under `type`, one
of times and StrEnums is told by its text.
Encoders are compiled once per type, because a full Snapshot is encoded on every decision.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, time
from enum import Enum, IntEnum, StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, Union, get_args, get_origin, overload

T = TypeVar("T")

Encoder = Callable[[Any], Any]
Decoder = Callable[[Any], Any]

_PLAIN = frozenset({str, int, float, bool, types.NoneType})
_TAG = "type"


class CodecError(ValueError):
    """Data that does not fit the type; the message starts with the path to the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def under(self, part: str) -> CodecError:
        """The same error seen from the value that contains it."""
        joined = part + self.path if self.path.startswith("[") or not self.path else f"{part}.{self.path}"
        return CodecError(self.message, joined)


def to_json(value: Any, hint: Any = None) -> Any:
    """A value of the contracts as plain dicts, lists, strings and numbers.

    `hint` is needed only where the type of `value` does not say it all (a bare tuple or a union with a tag).
    """
    kind: Any = type(value) if hint is None else hint
    encode = _encoder(kind)
    return value if encode is None else encode(value)


@overload
def from_json(hint: type[T], data: Any) -> T: ...
@overload
def from_json(hint: Any, data: Any) -> Any: ...
def from_json(hint: Any, data: Any) -> Any:
    """The value of type `hint` that `to_json` made `data` from; a missing field takes its default.

    Raises CodecError with the path of the field for anything else, unknown fields included.
    """
    return _decoder(hint)(data)


def canonical_json(obj: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal data, equal bytes; numbers as Python's shortest repr.

    Raises ValueError for NaN, infinity, lone surrogates and keys that are not strings (they would sort otherwise after
    reading back), TypeError for what is not JSON.
    """
    _require_str_keys(obj)
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _require_str_keys(obj: Any) -> None:
    items = obj
    if isinstance(obj, dict):
        try:
            "".join(obj)  # the quickest test there is that every key is a string: a walk of 46 kB takes 0.3 ms
        except TypeError:
            raise ValueError(f"of the keys {list(obj)!r:.80} not every one is a string") from None
        items = obj.values()
    elif not isinstance(obj, (list, tuple)):
        return
    for item in items:
        if type(item) not in _PLAIN:
            _require_str_keys(item)


# -- types ------------------------------------------------------------------------------------------------------------


@cache
def _fields(hint: Any) -> dict[str, Any]:
    """Field name → type of a dataclass or of a parametrised generic one."""
    cls: Any = get_origin(hint) or hint
    bound = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=False))
    hints = typing.get_type_hints(cls)
    return {f.name: _bind(hints[f.name], bound) for f in dataclasses.fields(cls) if f.init}


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    free = getattr(hint, "__parameters__", ())
    return hint[tuple(bound.get(p, p) for p in free)] if free and bound else hint


def _is_dataclass(hint: Any) -> bool:
    cls = get_origin(hint) or hint
    return isinstance(cls, type) and dataclasses.is_dataclass(cls)


def _union_members(hint: Any) -> tuple[Any, ...] | None:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else None


def _is_text(hint: Any) -> bool:
    """What becomes a string that tells by itself which of several types it was."""
    return hint in (datetime, time) or (isinstance(hint, type) and issubclass(hint, StrEnum))


def _without_none(members: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(m for m in members if m is not types.NoneType)


def _class_name(hint: Any) -> str:
    return str((get_origin(hint) or hint).__name__)


def _unsupported(hint: Any) -> TypeError:
    return TypeError(f"the codec has no rule for {hint!r}")


# -- encoding ---------------------------------------------------------------------------------------------------------


@cache
def _encoder(hint: Any) -> Encoder | None:
    """How to encode a value of this type; None: it is JSON as it stands."""
    if hint in _PLAIN or hint is Any:
        return None
    if isinstance(hint, TypeVar):
        return to_json
    if _is_dataclass(hint):
        return _dataclass_encoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return attrgetter("_name_" if issubclass(hint, IntEnum) else "_value_")
    if hint in (datetime, time):
        return lambda v: v.isoformat()
    if (members := _union_members(hint)) is not None:
        return _union_encoder(_without_none(members))
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (tuple, list):
        return _sequence_encoder(args if origin is tuple else (*args, ...))
    if origin in (frozenset, set):
        member = (_encoder(args[0]) if args else None) or _as_is
        return lambda v: sorted(map(member, v))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = (_encoder(args[1]) if args else None) or _as_is
        return lambda v: {k: item(x) for k, x in v.items()}
    raise _unsupported(hint)


def _as_is(value: Any) -> Any:
    return value


def _dataclass_encoder(hint: Any) -> Encoder:
    # One dict display per class, as dataclasses itself makes __init__: four times as fast as a loop over the fields.
    namespace: dict[str, Any] = {}
    parts = []
    for i, (name, field_hint) in enumerate(_fields(hint).items()):
        encode = _encoder(field_hint)
        namespace[f"e{i}"] = encode
        parts.append(f"{name!r}: v.{name}" if encode is None else f"{name!r}: e{i}(v.{name})")
    return typing.cast("Encoder", eval(f"lambda v: {{{', '.join(parts)}}}", namespace))


def _sequence_encoder(args: tuple[Any, ...]) -> Encoder:
    if not args:
        return list
    if len(args) == 2 and args[1] is ...:
        item = _encoder(args[0])
        return list if item is None else lambda v: [item(x) for x in v]
    each = [_encoder(a) for a in args]
    if not any(each):
        return list
    return lambda v: [x if e is None else e(x) for e, x in zip(each, v, strict=True)]


def _union_encoder(members: tuple[Any, ...]) -> Encoder | None:
    if len(members) == 1:
        only = _encoder(members[0])
        return None if only is None else lambda v: None if v is None else only(v)
    if all(_is_dataclass(m) for m in members):
        tagged = {get_origin(m) or m: (_class_name(m), _dataclass_encoder(m)) for m in members}

        def encode(v: Any) -> Any:
            if v is None:
                return None
            name, fields = tagged[type(v)]
            return {_TAG: name, **fields(v)}

        return encode
    if all(m in _PLAIN for m in members):
        return None
    if all(_is_text(m) for m in members):
        return to_json
    raise _unsupported(Union[members])  # noqa: UP007  (built from a tuple)


# -- decoding ---------------------------------------------------------------------------------------------------------


@cache
def _decoder(hint: Any) -> Decoder:
    if hint is Any:
        return lambda data: data
    if hint in _PLAIN:
        return _plain_decoder((hint,))
    if _is_dataclass(hint):
        return _dataclass_decoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_decoder(hint)
    if hint in (datetime, time):
        return lambda data: _parse_iso(hint, data)
    if (members := _union_members(hint)) is not None:
        return _union_decoder(members)
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (tuple, list, frozenset, set):
        return _sequence_decoder(origin, args)
    if isinstance(origin, type) and issubclass(origin, Mapping) and args:
        item = _decoder(args[1])
        return lambda data: {k: _at(f"[{k!r}]", item, v) for k, v in _require(dict, data).items()}
    raise _unsupported(hint)


def _at(part: str, decode: Decoder, data: Any) -> Any:
    try:
        return decode(data)
    except CodecError as error:
        raise error.under(part) from None


def _require(kind: type, data: Any) -> Any:
    if not isinstance(data, kind):
        raise CodecError(f"{data!r:.60} is not {'an object' if kind is dict else f'a {kind.__name__}'}")
    return data


def _plain_decoder(kinds: tuple[type, ...]) -> Decoder:
    names = " or ".join("null" if k is types.NoneType else k.__name__ for k in kinds)

    def decode(data: Any) -> Any:
        if type(data) in kinds:
            return data
        if type(data) is int and float in kinds:
            return float(data)
        raise CodecError(f"{data!r:.60} is not {names}")

    return decode


def _enum_decoder(enum: type[Enum]) -> Decoder:
    by_key = {m.name if issubclass(enum, IntEnum) else m.value: m for m in enum}

    def decode(data: Any) -> Any:
        try:
            return by_key[data]
        except (KeyError, TypeError):
            raise CodecError(f"{data!r:.60} is not one of {', '.join(by_key)}") from None

    return decode


def _parse_iso(kind: Any, data: Any) -> Any:
    try:
        return kind.fromisoformat(data)
    except (ValueError, TypeError):
        raise CodecError(f"{data!r:.60} is not an ISO 8601 {kind.__name__}") from None


def _dataclass_decoder(hint: Any) -> Decoder:
    cls = get_origin(hint) or hint
    decoders = {name: _decoder(field_hint) for name, field_hint in _fields(hint).items()}

    def decode(data: Any) -> Any:
        values = {}
        for name, item in _require(dict, data).items():
            if name not in decoders:
                raise CodecError(f"{cls.__name__} has no field {name!r}")
            values[name] = _at(name, decoders[name], item)
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            text = str(error).removeprefix(f"{cls.__name__}.__init__() ")
            raise CodecError(f"{cls.__name__} {text}") from None

    return decode


def _sequence_decoder(origin: type, args: tuple[Any, ...]) -> Decoder:
    if origin is tuple and not (len(args) == 2 and args[1] is ...):
        items = [_decoder(a) for a in args]

        def decode_fixed(data: Any) -> Any:
            if len(_require(list, data)) != len(items):
                raise CodecError(f"{len(data)} values where {len(items)} belong")
            return tuple(_at(f"[{i}]", d, x) for i, (d, x) in enumerate(zip(items, data, strict=True)))

        return decode_fixed
    item = _decoder(args[0])
    return lambda data: origin(_at(f"[{i}]", item, x) for i, x in enumerate(_require(list, data)))


def _text_decoder(members: tuple[Any, ...]) -> Decoder:
    decoders = [_decoder(m) for m in members]

    def decode(data: Any) -> Any:
        reasons = []
        for each in decoders:
            try:
                return each(data)
            except CodecError as error:
                reasons.append(error.message)
        raise CodecError("; ".join(reasons))

    return decode


def _union_decoder(members: tuple[Any, ...]) -> Decoder:
    some, optional = _without_none(members), types.NoneType in members
    if all(m in _PLAIN for m in some):
        return _plain_decoder(members)
    if len(some) == 1:
        only = _decoder(some[0])
        return lambda data: None if data is None and optional else only(data)
    if all(_is_text(m) for m in some) and not optional:
        return _text_decoder(some)
    if not all(_is_dataclass(m) for m in some):
        raise _unsupported(Union[members])  # noqa: UP007
    tagged = {_class_name(m): _decoder(m) for m in some}

    def decode(data: Any) -> Any:
        if data is None and optional:
            return None
        name = _require(dict, data).get(_TAG)
        if name not in tagged:
            raise CodecError(f"{name!r} is not one of {', '.join(tagged)}", _TAG)
        return tagged[name]({k: v for k, v in data.items() if k != _TAG})

    return decode
