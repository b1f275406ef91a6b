"""What may go wrong in a scenario: the simulator's faults, and what happens around the vehicles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fleet.config import FleetConfig
from fleet.config.problems import did_you_mean
from fleet.service import VehicleCommand
from geofences.volumes import Zone
from missions.decision.types import FlightPhase
from missions.orders import OrderState
from sitl.faults import FAULTS, Arg, BoxTroubles, VehicleTroubles, read_args
from sitl.fields import Fields, SpecError


class When(BaseModel):
    """When something happens: once all that is given holds, and then `after_s` later. Nothing given: at the start."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    at_s: float | None = Field(default=None, ge=0, description="simulated seconds since the start")
    state: OrderState | None = Field(default=None, description="the order has reached this state")
    phase: FlightPhase | None = Field(default=None, description="the order's flight has come to this phase")
    flown_m: float | None = Field(default=None, ge=0, description="flown since the last take-off, as observed")
    near: str | None = Field(default=None, description="the vehicle is within `within_m` of this site")
    within_m: float = Field(default=100.0, gt=0, description="of `near`")
    after: str | None = Field(default=None, description="the fault of this name has begun")
    after_s: float = Field(default=0.0, ge=0, description="so much later than all the rest holds")


class Fault(BaseModel):
    """Something that goes wrong, of a kind that `fleet scenario faults` lists; its arguments stand beside these."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    kind: str = Field(description="what goes wrong")
    name: str | None = Field(default=None, description="for `after` and for expectations; none: its kind")
    order: str | None = Field(default=None, description="whose vehicle or box suffers it, and whom `when` speaks of")
    vehicle: str | None = Field(default=None, description="the one that suffers it, whatever order it serves")
    box: str | None = Field(default=None, description="the one that suffers it")
    when: When = Field(default=When(), description="nothing given: at the start")
    duration_s: float | None = Field(default=None, ge=0, description="none: for good")

    @property
    def args(self) -> Mapping[str, Any]:
        return self.model_extra or {}


@dataclass(frozen=True, slots=True)
class Around:
    """A kind of event around the vehicles. `of` says whom it concerns."""

    text: str
    of: str = "nobody"
    """`nobody` or `vehicle`"""
    args: tuple[Arg, ...] = ()


AROUND: dict[str, Around] = {
    "closure": Around(
        "an authority closes the air: the zone of `file`, or a `circle: {lat, lon, radius_m}` from the ground up, "
        "appears, and is withdrawn after `duration_s`",
        args=(Arg("file", ""), Arg("circle", "")),
    ),
    "controller_killed": Around(
        "the controller dies without a word and is started again", args=(Arg("down_s", 3.0, 0.0, 3600.0),)
    ),
    "broker_down": Around("nobody's samples come through; the boxes keep them"),
    "rival_upload": Around("another ground station uploads a mission of its own", of="vehicle"),
    "second_gcs": Around("another ground station sends heartbeats, as QGroundControl does", of="vehicle"),
    "pilot": Around("a pilot takes the sticks, gives them back after `duration_s`, and asks to resume", of="vehicle"),
    "operator": Around(
        "an operator gives a command",
        of="vehicle",
        args=(Arg("command", None, choices=tuple(c.value for c in VehicleCommand)),),
    ),
}


@dataclass(frozen=True, slots=True)
class Happening:
    """A fault of a scenario, checked."""

    name: str
    kind: str
    args: Mapping[str, Any]
    order: str | None
    vehicle: str | None
    box: str | None
    when: When
    duration_s: float | None
    zone: Zone | None = None
    """of a closure"""

    @property
    def of_box(self) -> bool:
        return self.kind in FAULTS and FAULTS[self.kind].about is BoxTroubles


def check_happening(
    kind: str,
    args: Mapping[str, Any],
    order: str | None,
    vehicle: str | None,
    box: str | None,
    config: FleetConfig,
) -> tuple[str, str, str] | None:
    """What is wrong with a fault of a file: (field, text, fix); None if nothing is."""
    if kind not in FAULTS and kind not in AROUND:
        return "kind", f"{kind!r} is no kind of fault", did_you_mean(kind, [*FAULTS, *AROUND])
    about = FAULTS[kind].about if kind in FAULTS else None
    needs = {BoxTroubles: "box", VehicleTroubles: "vehicle"}.get(about) if about else AROUND[kind].of
    for field, name, known in (("vehicle", vehicle, config.vehicles), ("box", box, config.boxes)):
        if name is not None and name not in known:
            return field, f"{name!r} is no {field}", did_you_mean(name, known)
        if name is not None and needs != field:
            return field, f"a {kind} concerns no {field}", "Remove it"
    if needs in ("vehicle", "box") and order is None and (vehicle if needs == "vehicle" else box) is None:
        return "", f"{kind} happens to whom?", f"Add `order:` or `{needs}:`"
    f = Fields(args, "")
    try:
        if kind in FAULTS:
            read_args(kind, None if needs is None else "somebody", f)
        elif kind == "closure":
            _read_closure(f)
        else:
            _read_around(AROUND[kind], f)
        f.done()
    except SpecError as e:
        field, _, rest = str(e).partition(": ")
        text, _, fix = rest.partition("; ")
        return field, text, fix[:1].upper() + fix[1:]
    return None


def _read_closure(f: Fields) -> None:
    circle = f.optional_inner("circle")
    if circle is None:
        f.text("file")
        return
    circle.number("lat", low=-85, high=85)
    circle.number("lon", low=-180, high=180)
    circle.number("radius_m", low=1, high=50_000)
    circle.done()
    if f.optional_text("file") is not None:
        raise SpecError("file: stands beside `circle`; leave one of them out")


def _read_around(kind: Around, f: Fields) -> None:
    for arg in kind.args:
        default = ... if arg.default in (None, "") else arg.default
        if arg.choices or arg.default == "":
            f.text(arg.name, default, choices=arg.choices)
        else:
            f.number(arg.name, default, low=arg.low, high=arg.high)


def fault_table() -> list[dict[str, str]]:
    """All kinds, for people who write scenarios."""
    subjects = {BoxTroubles: "box", VehicleTroubles: "vehicle"}
    rows = [(kind, subjects.get(row.about, ""), row.text, row.args) for kind, row in FAULTS.items()]
    rows += [(kind, row.of.replace("nobody", ""), row.text, row.args) for kind, row in AROUND.items()]
    return [
        {"kind": kind, "of": of, "text": text, "arguments": ", ".join(_argument(a) for a in args)}
        for kind, of, text, args in rows
    ]


def _argument(arg: Arg) -> str:
    choices = f" ({', '.join(arg.choices)})" if arg.choices else ""
    return f"{arg.name}{choices}" + ("" if arg.default in (None, "") else f" = {arg.default}")
