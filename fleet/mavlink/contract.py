"""What a vehicle's autopilot must hold before a flight: parameters and firmware. Declared in `configs/vehicles/`.

PX4 flies by its own failsafes once its link is gone, and takes any value for a parameter, however senseless. So what
they are set to is read, compared and, where that is allowed, set before arming.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple

from fleet.mavlink.params import INT32, Number, Param, float32

AT_ONCE = 8
"""reads under way together: over a satellite's 2 s round trip a courier's contract takes 10 s instead of a minute, and
the answers (37 bytes each) still fit into a tenth of a second of a slow radio"""
_KINDS = ("dev", "alpha", "beta", "rc", "")
"""FIRMWARE_VERSION_TYPE as px4.version_text writes it, oldest first"""


# -- firmware --------------------------------------------------------------------------------------------------------


class VersionError(ValueError):
    """Not a version, or not a range of them. The text says how to write one."""


class Version(NamedTuple):
    """A firmware version; tuples sort as versions do, a pre-release before its release."""

    major: int
    minor: int
    patch: int
    kind: int


class Span(NamedTuple):
    """What a written version stands for: `1.17.0` for itself alone, `1.17` for its whole series with pre-releases."""

    first: Version
    after: Version
    """the first that is newer"""


def parse_version(text: str) -> Span:
    """`1.17.0`, `1.16.0dev`, `1.18.0beta`, `1.17`. Raises VersionError."""
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3})(dev|alpha|beta|rc)?)?", text.strip())
    if found is None:
        raise VersionError(f"a PX4 version such as 1.17.0, 1.17.0rc or 1.17, which {text.strip()!r} is not")
    major, minor = int(found[1]), int(found[2])
    if found[3] is None:
        return Span(Version(major, minor, 0, 0), Version(major, minor + 1, 0, 0))
    exact = Version(major, minor, int(found[3]), _KINDS.index(found[4] or ""))
    return Span(exact, exact._replace(kind=exact.kind + 1))


@dataclass(frozen=True, slots=True)
class Versions:
    """A set of versions: one, or all within bounds such as `>=1.14, <1.15.4`."""

    text: str
    bounds: tuple[tuple[str, Span], ...]

    @classmethod
    def parse(cls, text: str) -> Versions:
        """Raises VersionError."""
        bounds: list[tuple[str, Span]] = []
        for part in text.split(","):
            found = re.match(r"\s*(>=|>|<=|<|==|)", part)
            operator = found[1] if found else ""
            bounds.append((operator, parse_version(part.strip()[len(operator) :])))
        return cls(text, tuple(bounds))

    def __contains__(self, version: Version) -> bool:
        return all(_within(version, operator, span) for operator, span in self.bounds)


def _within(version: Version, operator: str, span: Span) -> bool:
    match operator:
        case ">=":
            return version >= span.first
        case ">":
            return version >= span.after
        case "<=":
            return version < span.after
        case "<":
            return version < span.first
        case _:
            return span.first <= version < span.after


@dataclass(frozen=True, slots=True)
class Denial:
    """Firmware that may not fly, and why."""

    versions: Versions
    reason: str


# -- parameters ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Demand:
    """The values a parameter may have, ends included; None: open on that side. ValueError for what PX4 cannot hold."""

    low: Number | None
    high: Number | None
    reboot: bool = False
    """PX4 looks at it only when it starts"""

    def __post_init__(self) -> None:
        for value in (self.low, self.high):
            if value is None:
                continue
            if not isfinite(value) or (isinstance(value, float) and abs(value) > 3.4e38):
                raise ValueError(f"{value} is not a finite 32-bit number")
            if isinstance(value, int) and not -(1 << 31) <= value < 1 << 31:
                raise ValueError(f"{value} does not fit into 32 bits")
        if self.low is None and self.high is None:
            raise ValueError("it demands nothing")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"min {self.low} is more than max {self.high}")

    @classmethod
    def of(cls, wanted: Number | tuple[Number, Number]) -> Demand:
        """One value, or (lowest, highest)."""
        return cls(*wanted) if isinstance(wanted, tuple) else cls(wanted, wanted)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low}"
        if self.low is None or self.high is None:
            return f"at most {self.high}" if self.low is None else f"at least {self.low}"
        return f"{self.low}..{self.high}"

    def met_by(self, held: Param) -> bool:
        """Compared as the vehicle compares: 32-bit floats, or whole numbers."""
        if not isfinite(held.value):
            return False
        low, high = ((v if v is None or held.type == INT32 else float32(v)) for v in (self.low, self.high))
        return (low is None or low <= held.value) and (high is None or held.value <= high)

    def target(self, held: Param) -> Number | None:
        """What to set: the end that is nearer to what is held. None: it cannot be, it is no whole number."""
        value = self.low if self.high is None or (self.low is not None and not held.value > self.high) else self.high
        if value is None or (held.type == INT32 and value != int(value)):
            return None
        return int(value) if held.type == INT32 else float(value)


@dataclass(frozen=True, slots=True)
class Contract:
    """What an autopilot must hold. An empty one asks for nothing."""

    may_set: bool = False
    parameters: Mapping[str, Demand] = field(default_factory=dict)
    minimum: Span | None = None
    denied: tuple[Denial, ...] = ()
