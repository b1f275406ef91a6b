"""MAVLink frames: definitions taken from pymavlink's `development` dialect, packed and checked here.

Two reasons for an own packer: the published dialect lacks fields and messages that PX4 v1.17 sends (`opaque_id`,
EVENT), and a vehicle at PX4's default rates sends thousands of frames a second at a high speed factor.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from fastcrc import crc16
from pymavlink.dialects.v20 import development

MAGIC_V1, MAGIC_V2 = 0xFE, 0xFD
SIGNED = 0x01
SIGNATURE_BYTES = 13
_MAGIC = bytes((MAGIC_V2,))
_BODY = struct.Struct("<6BHB")
"""after the magic: length, two flags, sequence, system, component, message id in 16 + 8 bits"""

_ZEROS = repeat(0)
_LETTERS = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "int16_t": "h", "float": "f", "uint64_t": "Q"}


@dataclass(frozen=True, slots=True)
class Definition:
    """One message. Names are in wire order: by size of their type, extensions last."""

    name: str
    msg_id: int
    crc_extra: bytes
    """one byte that the checksum takes in last"""
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    """0 for a scalar or a text, else the number of elements"""
    layout: struct.Struct
    arrays: bool = field(init=False)
    """whether there are any, or a text"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrays", any(self.lengths))

    def values(self, fields: Mapping[str, Any]) -> list[Any]:
        """In wire order; what is not given is zero."""
        if not self.arrays:
            return list(map(fields.get, self.names, _ZEROS))
        flat: list[Any] = []
        for name, length in zip(self.names, self.lengths, strict=True):
            if length == 0:
                flat.append(fields.get(name, 0))
            elif length < 0:
                text = fields.get(name, b"")
                flat.append(text.encode() if isinstance(text, str) else text)
            else:
                flat.extend(fields.get(name) or [0] * length)
        return flat

    def unpack(self, payload: bytes) -> dict[str, Any]:
        size = self.layout.size
        flat = self.layout.unpack(payload[:size].ljust(size, b"\0"))
        fields: dict[str, Any] = {}
        at = 0
        for name, length in zip(self.names, self.lengths, strict=True):
            if length > 0:
                fields[name] = list(flat[at : at + length])
                at += length
            else:
                value = flat[at]
                fields[name] = value.split(b"\0")[0].decode(errors="replace") if length < 0 else value
                at += 1
        return fields


def _published(cls: Any) -> Definition:
    lengths = []
    for name, length in zip(cls.ordered_fieldnames, cls.array_lengths, strict=True):
        is_text = cls.fieldtypes[cls.fieldnames.index(name)] == "char" and length
        lengths.append(-1 if is_text else length)
    layout = struct.Struct(cls.unpacker.format)
    return Definition(
        cls.msgname, cls.id, bytes((cls.crc_extra,)), tuple(cls.ordered_fieldnames), tuple(lengths), layout
    )


def _extended(base: Definition, *extensions: tuple[str, str]) -> Definition:
    """Adds extension fields: they do not enter the CRC seed, so old readers still accept the message."""
    missing = [(kind, name) for kind, name in extensions if name not in base.names]
    layout = base.layout.format + "".join(_LETTERS[kind] for kind, _ in missing)
    names = base.names + tuple(name for _, name in missing)
    return Definition(
        base.name, base.msg_id, base.crc_extra, names, base.lengths + (0,) * len(missing), struct.Struct(layout)
    )


def _own(name: str, msg_id: int, *fields: tuple[str, str, int]) -> Definition:
    """A message the published dialect lacks: (type, name, array length) in wire order; the CRC seed as mavgen's."""
    text = f"{name} ".encode()
    layout = "<"
    for kind, label, length in fields:
        text += f"{kind} {label} ".encode() + (bytes([length]) if length else b"")
        layout += _LETTERS[kind] * max(1, length)
    crc = crc16.mcrf4xx(text)
    names = tuple(label for _, label, _ in fields)
    lengths = tuple(length for _, _, length in fields)
    return Definition(name, msg_id, bytes(((crc & 0xFF) ^ (crc >> 8),)), names, lengths, struct.Struct(layout))


def _build() -> dict[str, Definition]:
    table = {cls.msgname: _published(cls) for cls in development.mavlink_map.values()}
    # mavlink/mavlink common.xml; PX4 v1.17 fills them.
    table["MISSION_ACK"] = _extended(table["MISSION_ACK"], ("uint32_t", "opaque_id"))
    table["MISSION_COUNT"] = _extended(table["MISSION_COUNT"], ("uint32_t", "opaque_id"))
    table["MISSION_CURRENT"] = _extended(
        table["MISSION_CURRENT"],
        ("uint32_t", "mission_id"),
        ("uint32_t", "fence_id"),
        ("uint32_t", "rally_points_id"),
    )
    for definition in (
        _own(
            "EVENT",
            410,
            ("uint32_t", "id", 0),
            ("uint32_t", "event_time_boot_ms", 0),
            ("uint16_t", "sequence", 0),
            ("uint8_t", "destination_component", 0),
            ("uint8_t", "destination_system", 0),
            ("uint8_t", "log_levels", 0),
            ("uint8_t", "arguments", 40),
        ),
        _own("CURRENT_EVENT_SEQUENCE", 411, ("uint16_t", "sequence", 0), ("uint8_t", "flags", 0)),
        _own(
            "REQUEST_EVENT",
            412,
            ("uint16_t", "first_sequence", 0),
            ("uint16_t", "last_sequence", 0),
            ("uint8_t", "target_system", 0),
            ("uint8_t", "target_component", 0),
        ),
        _own(
            "RESPONSE_EVENT_ERROR",
            413,
            ("uint16_t", "sequence", 0),
            ("uint16_t", "sequence_oldest_available", 0),
            ("uint8_t", "target_system", 0),
            ("uint8_t", "target_component", 0),
            ("uint8_t", "reason", 0),
        ),
    ):
        table[definition.name] = definition
    return table


BY_NAME = _build()
BY_ID = {d.msg_id: d for d in BY_NAME.values()}


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded frame."""

    name: str
    system: int
    component: int
    fields: dict[str, Any]
    frame: bytes = b""
    """as it came"""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


class Packer:
    """Packs one component's outgoing frames, counting their sequence."""

    def __init__(self, system: int, component: int = 1) -> None:
        self.system, self.component = system, component
        self._sequence = 0

    def pack(self, name: str, fields: Mapping[str, Any]) -> bytes:
        definition = BY_NAME[name]
        payload = definition.layout.pack(*definition.values(fields)).rstrip(b"\0") or b"\0"
        msg_id, sequence = definition.msg_id, self._sequence
        self._sequence = (sequence + 1) & 0xFF
        body = _BODY.pack(len(payload), 0, 0, sequence, self.system, self.component, msg_id & 0xFFFF, msg_id >> 16)
        body += payload
        return b"".join((_MAGIC, body, crc16.mcrf4xx(body + definition.crc_extra).to_bytes(2, "little")))


def frames(data: bytes) -> Iterator[Message]:
    """All whole, known, intact messages in the data (MAVLink 1 and 2); signatures are not looked at, as in PX4 1.17."""
    at, end = 0, len(data)
    while at + 8 <= end:
        magic = data[at]
        if magic == MAGIC_V2 and at + 12 <= end:
            header, length = 10, data[at + 1]
            total = header + length + 2 + (SIGNATURE_BYTES if data[at + 2] & SIGNED else 0)
            msg_id = int.from_bytes(data[at + 7 : at + 10], "little")
            system, component = data[at + 5], data[at + 6]
        elif magic == MAGIC_V1:
            header, length = 6, data[at + 1]
            total = header + length + 2
            system, component, msg_id = data[at + 3], data[at + 4], data[at + 5]
        else:
            at += 1
            continue
        definition = BY_ID.get(msg_id)
        stop = at + header + length
        if at + total > end or definition is None:
            at += 1 if at + total > end else total
            continue
        crc = int.from_bytes(data[stop : stop + 2], "little")
        if crc16.mcrf4xx(data[at + 1 : stop] + definition.crc_extra) != crc:
            at += 1
            continue
        fields = definition.unpack(data[at + header : stop])
        yield Message(definition.name, system, component, fields, data[at : at + total])
        at += total
