"""What came of a scenario run, as values: what was seen from outside, what was recorded, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleet.service import OrderView, RecordedEvent
from geofences.heights import Terrain
from geofences.volumes import Zone
from sitl.observer import Sighting


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation, met or not, and by what."""

    order: str
    """its name in the scenario; empty: the whole run"""
    expectation: str
    met: bool
    seen: str


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """An order of the scenario at the end."""

    name: str
    view: OrderView | None
    """None: it was never placed, or not taken"""
    refused: str = ""
    """why it was not taken"""
    events: Sequence[RecordedEvent] = ()
    """its whole record"""
    band_c: tuple[float, float] | None = None
    """lowest and highest temperature its product may have"""


@dataclass(frozen=True, slots=True)
class Carried:
    """A vehicle's time on an order, from its assignment until it is back."""

    vehicle_id: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Commanded:
    """A command as it left for a vehicle."""

    vehicle_id: str
    at_s: float
    step: str
    wrong: str
    """what is wrong with it, by the store at that instant; empty: nothing"""


@dataclass(frozen=True, slots=True)
class ZoneSeen:
    zone: Zone
    since_s: float
    """when it appeared; 0: it was there from the start"""
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run. Times are seconds since the epoch on the run's own clock."""

    title: str
    scenario_text: str
    seed: int
    stage: str
    """`virtual`, `live` or `px4`"""
    started_s: float
    ended_s: float
    wall_s: float
    timed_out: bool
    orders: Sequence[OrderOutcome]
    sightings: Mapping[str, Sighting]
    """vehicle → what the independent observer saw of it"""
    world: Sequence[Mapping[str, Any]]
    """the simulated world's own events (`event`, `at_s`, …): fault, released, reiced, landed, crashed, loaded"""
    zones: Sequence[ZoneSeen]
    sites: Mapping[str, tuple[float, float, float]]
    """site → latitude, longitude, AMSL"""
    streams_intact: Mapping[str, str]
    """record stream → empty if its hash chain holds, else what is wrong"""
    box_truth: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """box → (at_s, the payload's true temperature in °C), some seconds apart"""
    measured: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """order → (at_s, its box's temperature in °C as the controller had it)"""
    carried: Mapping[str, Sequence[Carried]] = field(default_factory=dict)
    """order → by which vehicles it was carried, and when"""
    commanded: Sequence[Commanded] = ()
    """what left for the vehicles; empty where controller and vehicles are not in one process"""
    faults: Sequence[str] = ()
    """names of all that was to go wrong"""
    findings: Sequence[Finding] = ()
    events: Sequence[RecordedEvent] = ()
    """recorded outside the orders: of the vehicles, the airspace and the fleet"""
    terrain: Terrain | None = None
    """the ground as the simulated world has it; None: as high as each vehicle's home"""
    base_map: str | None = None
    """GeoJSON of rivers, roads and places, for the report"""

    @property
    def ok(self) -> bool:
        return bool(self.findings) and all(f.met for f in self.findings) and not self.timed_out
