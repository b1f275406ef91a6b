"""Faults as rows: a new one is a row. Each turns the troubles of its subject into worse troubles, and no more.

Troubles are values, folded anew from the faults that are active: what ends is gone without a trace, but for what it
did meanwhile. `python -m sitl.faults` prints the table as Markdown.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sitl.fields import Fields, SpecError
from sitl.radio import CLEAR, Air, Radio
from sitl.spec import FaultSpec, Trigger

Args = Mapping[str, Any]
Pair = tuple[float, float]
"""for each of a box's two probes"""


@dataclass(frozen=True, slots=True)
class VehicleTroubles:
    gcs: Radio = CLEAR
    onboard: Radio = CLEAR
    gripper_jammed: bool = False
    compass_failed: bool = False
    gps_lost: bool = False
    gps_north_m: float = 0.0
    gps_east_m: float = 0.0
    charge_lost: float = 0.0
    """share of the battery's whole charge that is gone"""
    drain: float = 1.0
    """how much faster than its power tells the battery empties"""
    thrust_lost: float = 0.0
    """share of all rotors' thrust"""
    reboots: int = 0


@dataclass(frozen=True, slots=True)
class BoxTroubles:
    seal_failed: bool = False
    seal_reported: bool = False
    lid_open: bool = False
    silent: bool = False
    stuck: bool = False
    nan: bool = False
    skew_s: float = 0.0
    replayed: bool = False
    offline: bool = False
    probe_offset_c: Pair = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class WorldTroubles:
    wind_north_m_s: float = 0.0
    wind_east_m_s: float = 0.0


T = TypeVar("T", VehicleTroubles, BoxTroubles, WorldTroubles)


@dataclass(frozen=True, slots=True)
class Arg:
    """A field of a fault. `choices` makes it a text; `default` None makes it required."""

    name: str
    default: Any = None
    low: float = -1e9
    high: float = 1e9
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As the table prints it: what may be given, and the default."""
        limits = f"{self.low:g}…{self.high:g}" if self.high < 1e9 else "a number"
        may = ", ".join(self.choices) if self.choices else limits
        usual = self.default if self.choices or self.default is None else f"{self.default:g}"
        return f"`{self.name}`: {may}" + ("" if usual is None else f" ({usual})")


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    about: type[T]
    text: str
    apply: Callable[[T, Args, float], T]
    """the troubles with this fault, which has lasted that many seconds"""
    args: tuple[Arg, ...] = ()
    grows: bool = False
    """gets worse with time"""


WHERE = (
    Arg("direction", "both", choices=("both", "down", "up")),
    Arg("link", "gcs", choices=("gcs", "onboard", "both")),
)


def _radio(worsen: Callable[[Air, Args], Air]) -> Callable[[VehicleTroubles, Args, float], VehicleTroubles]:
    """A row's `apply` that worsens the air of the links and directions that are meant."""

    def apply(t: VehicleTroubles, a: Args, _: float) -> VehicleTroubles:
        def worse(radio: Radio) -> Radio:
            return Radio(
                worsen(radio.down, a) if a["direction"] != "up" else radio.down,
                worsen(radio.up, a) if a["direction"] != "down" else radio.up,
            )

        return replace(
            t,
            gcs=worse(t.gcs) if a["link"] != "onboard" else t.gcs,
            onboard=worse(t.onboard) if a["link"] != "gcs" else t.onboard,
        )

    return apply


def _late(air: Air, a: Args) -> Air:
    return replace(air, delay_s=air.delay_s + a["delay_s"], jitter_s=air.jitter_s + a["jitter_s"])


def _gps(t: VehicleTroubles, a: Args, _: float) -> VehicleTroubles:
    return replace(t, gps_north_m=t.gps_north_m + a["north_m"], gps_east_m=t.gps_east_m + a["east_m"])


def _drift(t: VehicleTroubles, a: Args, for_s: float) -> VehicleTroubles:
    north_m, east_m = a["north_m_s"] * for_s, a["east_m_s"] * for_s
    return replace(t, gps_north_m=t.gps_north_m + north_m, gps_east_m=t.gps_east_m + east_m)


def _wind(t: WorldTroubles, a: Args, for_s: float) -> WorldTroubles:
    share = min(1.0, for_s / a["ramp_s"]) if a["ramp_s"] > 0.0 else 1.0
    return WorldTroubles(t.wind_north_m_s + a["north_m_s"] * share, t.wind_east_m_s + a["east_m_s"] * share)


PROBE = Arg("probe", "both", choices=("both", "first", "second"))


def _probes(now: Pair, a: Args, value: float) -> Pair:
    """Adds the value at the probes that are meant."""
    return now[0] + value * (a["probe"] != "second"), now[1] + value * (a["probe"] != "first")


FAULTS: dict[str, Row[Any]] = {
    "seal_failure": Row(
        BoxTroubles,
        "the lid's seal leaks: resistance ÷ 8; the box notices only if `reported` is yes",
        lambda t, a, _: replace(t, seal_failed=True, seal_reported=a["reported"] == "yes"),
        (Arg("reported", "no", choices=("no", "yes")),),
    ),
    "lid_open": Row(BoxTroubles, "the lid stands open", lambda t, a, _: replace(t, lid_open=True)),
    "box_silent": Row(BoxTroubles, "no samples are taken", lambda t, a, _: replace(t, silent=True)),
    "box_stuck": Row(BoxTroubles, "every sample repeats the last temperatures", lambda t, a, _: replace(t, stuck=True)),
    "box_nan": Row(BoxTroubles, "the probes fail: null", lambda t, a, _: replace(t, nan=True)),
    "box_skewed": Row(
        BoxTroubles,
        "the box's clock is off",
        lambda t, a, _: replace(t, skew_s=t.skew_s + a["skew_s"]),
        (Arg("skew_s"),),
    ),
    "box_offline": Row(
        BoxTroubles,
        "the box's own link is gone: samples are taken, and sent when it is back, oldest first",
        lambda t, a, _: replace(t, offline=True),
    ),
    "box_probe_wrong": Row(
        BoxTroubles,
        "a probe, or both, shows this much more than there is",
        lambda t, a, _: replace(t, probe_offset_c=_probes(t.probe_offset_c, a, a["offset_c"])),
        (Arg("offset_c", None, -100.0, 100.0), PROBE),
    ),
    "box_probe_drift": Row(
        BoxTroubles,
        "a probe, or both, goes astray by this much more each hour",
        lambda t, a, for_s: replace(t, probe_offset_c=_probes(t.probe_offset_c, a, a["drift_c_h"] * for_s / 3600.0)),
        (Arg("drift_c_h", None, -100.0, 100.0), PROBE),
        grows=True,
    ),
    "box_replayed": Row(BoxTroubles, "old samples are sent again", lambda t, a, _: replace(t, replayed=True)),
    "link_loss": Row(
        VehicleTroubles,
        "a link loses this share of its frames; `down` is from the vehicle, `up` to it",
        _radio(lambda air, a: replace(air, loss=max(air.loss, a["rate"]))),
        (Arg("rate", 1.0, 0.0, 1.0), *WHERE),
    ),
    "link_delay": Row(
        VehicleTroubles,
        "frames arrive late, each way; with jitter each takes up to that much longer, so that they overtake each other",
        _radio(_late),
        (Arg("delay_s", None, 0.0, 60.0), Arg("jitter_s", 0.0, 0.0, 60.0), *WHERE),
    ),
    "link_duplicate": Row(
        VehicleTroubles,
        "this share of the frames arrives twice",
        _radio(lambda air, a: replace(air, duplicate=max(air.duplicate, a["rate"]))),
        (Arg("rate", 1.0, 0.0, 1.0), *WHERE),
    ),
    "gripper_jam": Row(
        VehicleTroubles,
        "the gripper reports success and stays shut",
        lambda t, a, _: replace(t, gripper_jammed=True),
    ),
    "battery_sag": Row(
        VehicleTroubles,
        "a share of the whole charge is gone at once",
        lambda t, a, _: replace(t, charge_lost=t.charge_lost + a["share"]),
        (Arg("share", None, 0.0, 1.0),),
    ),
    "battery_drain": Row(
        VehicleTroubles,
        "the charge falls this many times as fast as the power in use tells",
        lambda t, a, _: replace(t, drain=t.drain * a["factor"]),
        (Arg("factor", None, 1.0, 100.0),),
    ),
    "motor_failure": Row(
        VehicleTroubles,
        "this share of the rotors' thrust is gone (one of eight: 0.125): more power, less speed; from 0.5 on it falls",
        lambda t, a, _: replace(t, thrust_lost=min(1.0, t.thrust_lost + a["share"])),
        (Arg("share", 0.125, 0.0, 1.0),),
    ),
    "gps_jump": Row(
        VehicleTroubles,
        "GPS tells a place that much further north and east: up to 4 m is believed at once, more after 7 s",
        _gps,
        (Arg("north_m", 0.0), Arg("east_m", 0.0)),
    ),
    "gps_drift": Row(
        VehicleTroubles,
        "the same, growing by this each second",
        _drift,
        (Arg("north_m_s", 0.0, -100.0, 100.0), Arg("east_m_s", 0.0, -100.0, 100.0)),
        grows=True,
    ),
    "gps_loss": Row(
        VehicleTroubles,
        "no fix: after a few seconds of dead reckoning a blind landing, drifting with the wind",
        lambda t, a, _: replace(t, gps_lost=True),
    ),
    "reboot": Row(
        VehicleTroubles,
        "the autopilot restarts; in the air the vehicle falls",
        lambda t, a, _: replace(t, reboots=t.reboots + 1),
    ),
    "compass_failure": Row(
        VehicleTroubles,
        "the compass fails its check: arming is refused",
        lambda t, a, _: replace(t, compass_failed=True),
    ),
    "wind_change": Row(
        WorldTroubles,
        "this much wind is added to the mean, rising to it within `ramp_s`",
        _wind,
        (Arg("north_m_s", 0.0, -60.0, 60.0), Arg("east_m_s", 0.0, -60.0, 60.0), Arg("ramp_s", 0.0, 0.0, 86_400.0)),
        grows=True,
    ),
}
MENDED_BY_ICE = {"seal_failure", "lid_open"}
"""what the people of a re-icing station put right"""


def read_args(kind: str, on: str | None, f: Fields) -> tuple[tuple[str, Any], ...]:
    """Reads the fields that this kind of fault has. Raises SpecError."""
    row = FAULTS.get(kind)
    if row is None:
        raise SpecError(f"{f.at('kind')}: {kind!r} is unknown; use one of {', '.join(FAULTS)}")
    if row.about is WorldTroubles and on is not None:
        raise SpecError(f"{f.at('on')}: {kind} concerns the whole world; remove it")
    if row.about is not WorldTroubles and on is None:
        what = "vehicle" if row.about is VehicleTroubles else "box"
        raise SpecError(f"{f.at('on')}: missing; name the {what} that suffers it")
    values: list[tuple[str, Any]] = []
    for arg in row.args:
        default = ... if arg.default is None else arg.default
        if arg.choices:
            values.append((arg.name, f.text(arg.name, default, choices=arg.choices)))
        else:
            values.append((arg.name, f.number(arg.name, default, low=arg.low, high=arg.high)))
    return tuple(values)


@dataclass(frozen=True, slots=True)
class _Active:
    spec: FaultSpec
    since_s: float

    def over(self, now_s: float) -> bool:
        return self.spec.duration_s is not None and now_s - self.since_s >= self.spec.duration_s

    @property
    def row(self) -> Row[Any]:
        return FAULTS[self.spec.kind]


class Faults:
    """Which faults wait and which are active."""

    def __init__(self, specs: tuple[FaultSpec, ...]) -> None:
        self._waiting = list(specs)
        self._active: list[_Active] = []
        self._begun_s: dict[str, float] = {}
        """by name, when it first began"""

    @property
    def growing(self) -> bool:
        """Whether troubles change by themselves."""
        return any(x.row.grows for x in self._active)

    def add(self, spec: FaultSpec) -> None:
        self._waiting.append(spec)

    def mend(self, box_id: str) -> None:
        """Staff have repaired the box."""
        self._active = [x for x in self._active if x.spec.on != box_id or x.spec.kind not in MENDED_BY_ICE]

    def update(self, now_s: float, due: Callable[[Trigger], bool]) -> tuple[list[FaultSpec], list[FaultSpec]]:
        """Those that begin and those that end now."""
        begun = [spec for spec in self._waiting if self._follows(spec.when, now_s) and due(spec.when)]
        self._waiting = [spec for spec in self._waiting if spec not in begun]
        for spec in begun:
            self._begun_s.setdefault(spec.name, now_s)
        self._active += [_Active(spec, now_s) for spec in begun]
        ended = [x.spec for x in self._active if x.over(now_s)]
        self._active = [x for x in self._active if not x.over(now_s)]
        return begun, ended

    def _follows(self, when: Trigger, now_s: float) -> bool:
        """Whether the fault that it comes after began long enough ago."""
        return when.after is None or now_s - self._begun_s.get(when.after, math.inf) >= when.after_s

    def troubles(self, about: type[T], on: str | None, now_s: float) -> T:
        """What the active faults make of the subject."""
        state = about()
        for x in self._active:
            if x.row.about is about and x.spec.on == on:
                state = x.row.apply(state, dict(x.spec.args), now_s - x.since_s)
        return state


def as_markdown() -> str:
    """The table, for docs/simulator.md."""
    subjects = {VehicleTroubles: "a vehicle", BoxTroubles: "a box", WorldTroubles: "the world"}
    lines = ["| `kind` | on | what happens | fields (default) |", "|---|---|---|---|"]
    for about, subject in subjects.items():
        lines += [
            f"| `{kind}` | {subject} | {row.text} | {'; '.join(map(str, row.args))} |"
            for kind, row in FAULTS.items()
            if row.about is about
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
