"""What goes on around the vehicles, whoever flies them: weather, boxes, people, and faults when they are due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from sitl import geo
from sitl.faults import Faults, VehicleTroubles, WorldTroubles
from sitl.ground import Ground
from sitl.spec import SimSpec, Trigger
from sitl.vehicle.dynamics import FleetState
from sitl.world import Weather

Emit = Callable[[dict[str, Any]], None]


def ignore(event: dict[str, Any]) -> None:
    """An `Emit` for nobody."""


class Scene(ABC):
    """Tended about twice a second; `now_s` is kept by who steps it. Deterministic for a seed."""

    def __init__(self, spec: SimSpec, start_s: float, emit: Emit, fleet: type[FleetState] = FleetState) -> None:
        self.spec, self.start_s, self.emit = spec, start_s, emit
        self.now_s = start_s
        rng, first = np.random.default_rng(spec.seed), spec.vehicles[0]
        self.weather = Weather(
            spec.world, len(spec.vehicles), rng, start_s=start_s, lat_deg=first.lat_deg, lon_deg=first.lon_deg
        )
        self.fleet = fleet(spec.vehicles, self.weather)
        self.faults = Faults(spec.faults)
        self.ground = Ground(spec, self.fleet, self.weather, self.faults, self._emit, start_s)
        self._landed = [True] * len(spec.vehicles)
        self._seen: list[VehicleTroubles] = [VehicleTroubles()] * len(spec.vehicles)

    def _emit(self, event: dict[str, Any]) -> None:
        self.emit(event | {"at_s": round(self.now_s, 3)})

    def _tend(self) -> None:
        """Faults, people and boxes."""
        self._suffer()
        self.ground.tick(self.now_s)

    def _report_landing(self, i: int, *, landed: bool) -> None:
        if landed and not self._landed[i]:
            event = "crashed" if self.fleet.crashed[i] else "landed"
            self._emit(
                {
                    "event": event,
                    "vehicle": self.spec.vehicles[i].vehicle_id,
                    "lat_deg": round(float(self.fleet.lat[i]), 7),
                    "lon_deg": round(float(self.fleet.lon[i]), 7),
                    "battery_pct": round(100.0 * self.fleet.charge(i), 1),
                }
            )
        self._landed[i] = landed

    # --- faults

    def _due(self, when: Trigger) -> bool:
        if when.at_s is not None and self.now_s - self.start_s < when.at_s:
            return False
        if when.vehicle is None:
            return True
        i = self.ground.index[when.vehicle]
        if when.armed and not self.fleet.armed[i]:
            return False
        if when.flown_m is not None and (not self.fleet.armed[i] or self.fleet.flown_m[i] < when.flown_m):
            return False
        if when.within_m is None or when.lat_deg is None or when.lon_deg is None:
            return True
        there = geo.distance_m(float(self.fleet.lat[i]), float(self.fleet.lon[i]), when.lat_deg, when.lon_deg)
        return there <= when.within_m

    def _suffer(self) -> None:
        begun, ended = self.faults.update(self.now_s, self._due)
        for state, specs in (("begun", begun), ("over", ended)):
            for x in specs:
                self._emit({"event": "fault", "kind": x.kind, "name": x.name, "on": x.on, "state": state})
        if not (begun or ended or self.faults.growing):
            return
        wind = self.faults.troubles(WorldTroubles, None, self.now_s)
        self.weather.extra_north_m_s, self.weather.extra_east_m_s = wind.wind_north_m_s, wind.wind_east_m_s
        for i, vehicle in enumerate(self.spec.vehicles):
            before, now = self._seen[i], self.faults.troubles(VehicleTroubles, vehicle.vehicle_id, self.now_s)
            self._seen[i] = now
            self._afflict(i, before, now)

    @abstractmethod
    def _afflict(self, i: int, before: VehicleTroubles, now: VehicleTroubles) -> None:
        """Vehicle i's troubles may have changed."""
