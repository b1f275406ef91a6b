"""What a vehicle's autopilot must hold before a flight: parameters and firmware. Declared in `configs/vehicles/`.

PX4 flies by its own failsafes once its link is gone, and takes any value for a parameter, however senseless. So what
they are set to is read, compared and, where that is allowed, set before arming.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple, Protocol

from fleet.mavlink.params import INT32, Number, Param, float32
from fleet.mavlink.port import Outcome, Verdict
from missions.snapshot import VehicleState

AT_ONCE = 8
"""reads under way together: over a satellite's 2 s round trip a courier's contract takes 10 s instead of a minute, and
the answers (37 bytes each) still fit into a tenth of a second of a slow radio"""
FLOAT32_MAX = 3.4028234663852886e38
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

    text: str
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
        return Span(found[0], Version(major, minor, 0, 0), Version(major, minor + 1, 0, 0))
    exact = Version(major, minor, int(found[3]), _KINDS.index(found[4] or ""))
    return Span(found[0], exact, exact._replace(kind=exact.kind + 1))


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
            if not isfinite(value) or (isinstance(value, float) and abs(value) > FLOAT32_MAX):
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


def judge_firmware(contract: Contract, firmware: str | None) -> Outcome:
    """Whether firmware of this version (as px4.version_text writes it) may fly; UNKNOWN where it did not say."""
    if contract.minimum is None and not contract.denied:
        return Outcome(Verdict.DONE, "any firmware may fly")
    if firmware is None:
        return Outcome(Verdict.UNKNOWN, "firmware: the vehicle has not said which version it runs")
    version = parse_version(firmware).first
    why = [f"PX4 {firmware} may not fly: {denial.reason}" for denial in contract.denied if version in denial.versions]
    if contract.minimum is not None and version < contract.minimum.first:
        why.append(f"PX4 {firmware} is older than {contract.minimum.text}, the oldest that may")
    return Outcome(Verdict.REFUSED, "firmware: " + "; ".join(why)) if why else Outcome(Verdict.DONE, f"PX4 {firmware}")


# -- before a flight -------------------------------------------------------------------------------------------------


class Holder(Protocol):
    """A vehicle's parameters, as a driver offers them."""

    def state(self) -> VehicleState: ...

    async def read_param(self, name: str) -> Param | None:
        """None: the vehicle does not know it, or does not answer. PX4 is silent about a name it does not know."""

    async def write_param(self, param: Param) -> bool:
        """Whether the vehicle answered with the new value."""

    async def params_hash(self) -> int | None:
        """PX4's checksum over its parameters; None where there is none."""


@dataclass(slots=True)
class Memory:
    """What need not be looked at again; one per vehicle. Of another boot it is forgotten."""

    boot: int | None = None
    fulfilled: tuple[Contract, int] | None = None
    """held with this `_HASH_CHECK`"""
    waiting: set[str] = field(default_factory=set)
    """set, and in force only after the next start"""


async def fulfil(vehicle: Holder, contract: Contract, memory: Memory) -> Outcome:
    """Compares firmware and parameters with the contract; sets and reads back what differs, if that is allowed.

    Never sets anything on a vehicle that is armed, or does not say that it is not. REFUSED names each mismatch with the
    held and the required value, UNKNOWN each parameter that could not be read.
    """
    state = vehicle.state()
    if memory.boot != state.boot:
        memory.boot, memory.fulfilled = state.boot, None
        memory.waiting.clear()
    firmware = judge_firmware(contract, state.firmware)
    if not firmware.ok or not contract.parameters:
        return firmware
    digest = await vehicle.params_hash()
    if digest is not None and memory.fulfilled == (contract, digest):
        return Outcome(
            Verdict.DONE, f"{len(contract.parameters)} parameters as required, unchanged since the last look"
        )
    memory.fulfilled = None
    held = await _read_all(vehicle, list(contract.parameters))
    unread = [name for name in contract.parameters if name not in held]
    wrong: list[str] = []
    done: list[str] = []
    for name, param in held.items():
        demand = contract.parameters[name]
        if demand.met_by(param):
            continue
        objection = await _mend(vehicle, contract, param, state.boot)
        if objection is not None:
            wrong.append(f"{name} is {shown(param.value)}, required {demand}{objection}")
            continue
        done.append(f"{name} {shown(param.value)} → {shown(demand.target(param))}")
        if demand.reboot:
            memory.waiting.add(name)
    wrong += [f"{name} is set, but PX4 takes it up only when it starts: restart the vehicle" for name in memory.waiting]
    if wrong or unread:
        silent = [f"the vehicle does not know {', '.join(unread)}, or does not answer"] if unread else []
        verdict = Verdict.REFUSED if wrong else Verdict.UNKNOWN
        return Outcome(verdict, "parameters: " + "; ".join([*wrong, *silent]))
    if vehicle.state().boot != state.boot:
        return Outcome(Verdict.UNKNOWN, "parameters: the vehicle booted anew while they were read")
    if digest is not None and not done:
        # Only what was read under this very checksum: after a set, somebody else's change could hide in the new one.
        memory.fulfilled = (contract, digest)
    text = f"{len(held)} parameters as required"
    return Outcome(Verdict.DONE, f"{text}, of these set: {', '.join(done)}" if done else text)


async def _read_all(vehicle: Holder, names: Sequence[str]) -> dict[str, Param]:
    """What could be read, by name. Stops when a whole batch is silent and nothing was answered: the link is gone."""
    held: dict[str, Param] = {}
    for first in range(0, len(names), AT_ONCE):
        async with asyncio.TaskGroup() as group:
            batch = names[first : first + AT_ONCE]
            reads = {name: group.create_task(vehicle.read_param(name), name=f"read {name}") for name in batch}
        held |= {name: param for name, read in reads.items() if (param := read.result()) is not None}
        if not held:
            break
    return held


async def _mend(vehicle: Holder, contract: Contract, held: Param, boot: int) -> str | None:
    """Sets one parameter and reads it back; None when it is as required then, else why it is not."""
    demand = contract.parameters[held.name]
    value = demand.target(held)
    if value is None:
        return ", which is no whole number as this parameter needs"
    if not contract.may_set:
        return ""
    for _ in range(2):  # an answer from before the set may still have been on its way
        state = vehicle.state()
        if state.boot != boot:
            return " (not set: the vehicle booted anew)"
        if state.armed is None or state.armed.value:
            return " (not set: the vehicle is armed)" if state.armed else " (not set: is the vehicle armed? unknown)"
        await vehicle.write_param(Param(held.name, value, held.type))
        now = await vehicle.read_param(held.name)
        if now is not None and demand.met_by(now):
            return None
    return f", and did not become {shown(value)} when set"


def shown(value: Number | None) -> str:
    """A value for people: a 32-bit float has about seven digits."""
    return f"{value:.7g}" if isinstance(value, float) else f"{value}"
