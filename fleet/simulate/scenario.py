"""Scenario files: a world, orders, people, faults, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.config.problems import ConfigError, Problem, Problems, did_you_mean
from fleet.config.source import SourceError, read_yaml
from missions.orders import OrderState, Priority
from missions.snapshot import BoxVerdict


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class World(_Strict):
    """Weather the simulator makes. Wind is the air's motion, towards north and east."""

    ambient_c: float = 25.0
    lapse_k_km: float = 6.5
    wind_north_m_s: float = 0.0
    wind_east_m_s: float = 0.0
    gust_m_s: float = 0.0


class People(_Strict):
    """How long the people on the ground take, simulated seconds."""

    load_s: float = 15.0
    receive_s: float = 20.0


class Expect(_Strict):
    """How an order must end for the run to count as a success."""

    state: list[OrderState]
    verdict: list[BoxVerdict] = Field(default_factory=list, description="empty: any")
    decision: list[str] = Field(default_factory=list, description="one of these candidates was chosen in flight")
    never_inside: list[str] = Field(default_factory=list, description="zones the vehicle must never have been in")


class ScenarioOrder(_Strict):
    name: str
    at_s: float = 0.0
    product: str
    to: str
    mass_kg: float = Field(gt=0)
    volume_l: float = Field(gt=0)
    deadline_min: float = Field(gt=0)
    priority: Priority = Priority.ROUTINE
    budget_min: dict[str, float] = Field(default_factory=dict)
    single_patient: bool = False
    payload_c: float = Field(description="temperature at which the pharmacy packs it")
    pack_left_kj: float | None = Field(default=None, description="coolant left when it is packed; none: a fresh pack")
    faults: list[dict[str, Any]] = Field(
        default_factory=list, description="simulator faults; `on: box` or `on: vehicle` is filled in at loading"
    )
    expect: Expect


class Closure(_Strict):
    """A zone that appears in flight, added over the API as an authority would."""

    file: str
    when_order: str
    flown_m: float = Field(ge=0, description="ground distance of that order's vehicle since take-off")


class ScenarioFile(_Strict):
    title: str
    fleet: str
    start: datetime
    seed: int = 1
    speed: float = Field(default=10.0, gt=0, le=100)
    limit_min: float = Field(default=60.0, gt=0, description="simulated minutes after which the run has failed")
    world: World = World()
    people: People = People()
    orders: list[ScenarioOrder] = Field(min_length=1)
    closures: list[Closure] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, checked, and the paths it names."""

    path: Path
    file: ScenarioFile
    fleet_path: Path
    closure_paths: tuple[Path, ...]

    @property
    def start_s(self) -> float:
        start = self.file.start
        return (start if start.tzinfo is not None else start.replace(tzinfo=UTC)).timestamp()


def load_scenario(path: Path) -> Scenario:
    """Raises ConfigError with all problems at once. A folder stands for its `scenario.yaml`."""
    path = path / "scenario.yaml" if path.is_dir() else path
    problems = Problems()
    try:
        document = read_yaml(path)
    except SourceError as e:
        raise ConfigError([Problem(str(e.path), e.line, "", e.text, e.fix)]) from None
    try:
        file = ScenarioFile.model_validate(document.data)
    except ValidationError as e:
        for details in e.errors(include_url=False):
            problems.add_details(document, ScenarioFile, details)
        problems.raise_if_any()
        raise
    here = path.parent
    fleet, closures = here / file.fleet, tuple(here / c.file for c in file.closures)
    if not fleet.is_file():
        problems.add(document, ("fleet",), f"names {fleet}, which does not exist", "Check the path")
    names = [o.name for o in file.orders]
    for i, closure in enumerate(file.closures):
        if not closures[i].is_file():
            problems.add(
                document, ("closures", i, "file"), f"names {closures[i]}, which does not exist", "Check the path"
            )
        if closure.when_order not in names:
            fix = did_you_mean(closure.when_order, names)
            problems.add(document, ("closures", i, "when_order"), f"{closure.when_order!r} is no order", fix)
    problems.raise_if_any()
    return Scenario(path, file, fleet, closures)
