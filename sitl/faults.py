"""Faults as rows: a new one is a row. Each turns the troubles of its subject into worse troubles, and no more.

Troubles are values, folded anew from the faults that are active: what ends is gone without a trace, but for what it
did meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sitl.fields import Fields, SpecError
from sitl.spec import FaultSpec, Trigger

Args = Mapping[str, Any]
Pair = tuple[float, float]
"""for each of a box's two probes"""


@dataclass(frozen=True, slots=True)
class VehicleTroubles:
    loss_down: float = 0.0
    loss_up: float = 0.0
    delay_s: float = 0.0
    gripper_jammed: bool = False
    compass_failed: bool = False
    gps_north_m: float = 0.0
    gps_east_m: float = 0.0
    charge_lost: float = 0.0
    """share of the battery's whole charge that is gone"""
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
    probe_drift_c_h: Pair = (0.0, 0.0)


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


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    about: type[T]
    text: str
    apply: Callable[[T, Args], T]
    args: tuple[Arg, ...] = ()


def _loss(t: VehicleTroubles, a: Args) -> VehicleTroubles:
    down = a["rate"] if a["direction"] in ("both", "down") else 0.0
    up = a["rate"] if a["direction"] in ("both", "up") else 0.0
    return replace(t, loss_down=max(t.loss_down, down), loss_up=max(t.loss_up, up))


def _gps(t: VehicleTroubles, a: Args) -> VehicleTroubles:
    return replace(t, gps_north_m=t.gps_north_m + a["north_m"], gps_east_m=t.gps_east_m + a["east_m"])


def _wind(t: WorldTroubles, a: Args) -> WorldTroubles:
    return WorldTroubles(t.wind_north_m_s + a["north_m_s"], t.wind_east_m_s + a["east_m_s"])


PROBE = Arg("probe", "both", choices=("both", "first", "second"))


def _probes(now: Pair, a: Args, value: float) -> Pair:
    """Adds the value at the probes that are meant."""
    return now[0] + value * (a["probe"] != "second"), now[1] + value * (a["probe"] != "first")


FAULTS: dict[str, Row[Any]] = {
    "seal_failure": Row(
        BoxTroubles,
        "the lid's seal leaks: resistance ÷ 8; the box notices only if `reported` is yes",
        lambda t, a: replace(t, seal_failed=True, seal_reported=a["reported"] == "yes"),
        (Arg("reported", "no", choices=("no", "yes")),),
    ),
    "lid_open": Row(BoxTroubles, "the lid stands open", lambda t, a: replace(t, lid_open=True)),
    "box_silent": Row(BoxTroubles, "no samples are taken", lambda t, a: replace(t, silent=True)),
    "box_stuck": Row(BoxTroubles, "every sample repeats the last temperatures", lambda t, a: replace(t, stuck=True)),
    "box_nan": Row(BoxTroubles, "the probes fail: null", lambda t, a: replace(t, nan=True)),
    "box_skewed": Row(
        BoxTroubles,
        "the box's clock is off",
        lambda t, a: replace(t, skew_s=t.skew_s + a["skew_s"]),
        (Arg("skew_s"),),
    ),
    "box_offline": Row(
        BoxTroubles,
        "the box's own link is gone: samples are taken, and sent when it is back, oldest first",
        lambda t, a: replace(t, offline=True),
    ),
    "box_probe_wrong": Row(
        BoxTroubles,
        "a probe, or both, shows this much more than there is",
        lambda t, a: replace(t, probe_offset_c=_probes(t.probe_offset_c, a, a["offset_c"])),
        (Arg("offset_c", None, -100.0, 100.0), PROBE),
    ),
    "box_probe_drift": Row(
        BoxTroubles,
        "a probe, or both, goes astray by this much more each hour",
        lambda t, a: replace(t, probe_drift_c_h=_probes(t.probe_drift_c_h, a, a["drift_c_h"])),
        (Arg("drift_c_h", None, -100.0, 100.0), PROBE),
    ),
    "box_replayed": Row(BoxTroubles, "old samples are sent again", lambda t, a: replace(t, replayed=True)),
    "link_loss": Row(
        VehicleTroubles,
        "the ground-station link loses frames; rate 1 loses all",
        _loss,
        (Arg("rate", 1.0, 0.0, 1.0), Arg("direction", "both", choices=("both", "up", "down"))),
    ),
    "link_delay": Row(
        VehicleTroubles,
        "frames arrive late, each way",
        lambda t, a: replace(t, delay_s=t.delay_s + a["delay_s"]),
        (Arg("delay_s", None, 0.0, 60.0),),
    ),
    "gripper_jam": Row(
        VehicleTroubles,
        "the gripper reports success and stays shut",
        lambda t, a: replace(t, gripper_jammed=True),
    ),
    "battery_sag": Row(
        VehicleTroubles,
        "a share of the whole charge is gone at once",
        lambda t, a: replace(t, charge_lost=t.charge_lost + a["share"]),
        (Arg("share", None, 0.0, 1.0),),
    ),
    "gps_jump": Row(
        VehicleTroubles,
        "the vehicle believes itself elsewhere",
        _gps,
        (Arg("north_m", 0.0), Arg("east_m", 0.0)),
    ),
    "reboot": Row(
        VehicleTroubles,
        "the autopilot restarts; in the air the vehicle falls",
        lambda t, a: replace(t, reboots=t.reboots + 1),
    ),
    "compass_failure": Row(VehicleTroubles, "arming is refused", lambda t, a: replace(t, compass_failed=True)),
    "wind_change": Row(
        WorldTroubles,
        "this much wind is added to the mean",
        _wind,
        (Arg("north_m_s", 0.0, -60.0, 60.0), Arg("east_m_s", 0.0, -60.0, 60.0)),
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


class Faults:
    """Which faults wait and which are active."""

    def __init__(self, specs: tuple[FaultSpec, ...]) -> None:
        self._waiting = list(specs)
        self._active: list[_Active] = []

    def add(self, spec: FaultSpec) -> None:
        self._waiting.append(spec)

    def mend(self, box_id: str) -> None:
        """Staff have repaired the box."""
        self._active = [x for x in self._active if x.spec.on != box_id or x.spec.kind not in MENDED_BY_ICE]

    def update(self, now_s: float, due: Callable[[Trigger], bool]) -> tuple[list[FaultSpec], list[FaultSpec]]:
        """Those that begin and those that end now."""
        begun = [spec for spec in self._waiting if due(spec.when)]
        self._waiting = [spec for spec in self._waiting if spec not in begun]
        self._active += [_Active(spec, now_s) for spec in begun]
        ended = [x.spec for x in self._active if x.over(now_s)]
        self._active = [x for x in self._active if not x.over(now_s)]
        return begun, ended

    def troubles(self, about: type[T], on: str | None) -> T:
        """What the active faults make of the subject."""
        state = about()
        for x in self._active:
            row = FAULTS[x.spec.kind]
            if row.about is about and x.spec.on == on:
                state = row.apply(state, dict(x.spec.args))
        return state
