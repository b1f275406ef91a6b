"""The people on the ground and the boxes in their hands: loading, unloading, re-icing, batteries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sitl import geo
from sitl.coldbox import BoxDevice, BoxHeat, Mount
from sitl.faults import BoxTroubles, Faults
from sitl.fields import Fields, SpecError
from sitl.spec import BoxSpec, FaultSpec, SimSpec, StationSpec
from sitl.vehicle.dynamics import FleetState
from sitl.world import Weather

STATION_M = 25.0
LIFTED_M = 0.5
"""a vehicle this far above the ground holds its box by the gripper alone"""

Emit = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Box:
    spec: BoxSpec
    heat: BoxHeat
    device: BoxDevice
    lat: float
    lon: float
    payload_kg: float
    on: int | None = None
    """index of the vehicle that carries it"""
    outdoors: bool = False
    """on a vehicle or where one let it go; people keep theirs in the shade"""
    waiting: dict[str, float] = field(default_factory=dict)
    """since when it stands at a station"""

    @property
    def mass_kg(self) -> float:
        return self.spec.empty_mass_kg + self.payload_kg


class Ground:
    """Holds the boxes; knows which vehicle carries which."""

    def __init__(
        self, spec: SimSpec, fleet: FleetState, weather: Weather, faults: Faults, emit: Emit, now_s: float
    ) -> None:
        self.spec, self.fleet, self.weather, self.faults, self.emit = spec, fleet, weather, faults, emit
        self.index = {v.vehicle_id: i for i, v in enumerate(spec.vehicles)}
        first = spec.vehicles[0]
        carriers = {v.box: i for i, v in enumerate(spec.vehicles) if v.box is not None}
        self._open = [False] * len(spec.vehicles)
        """whether the jaws of vehicle i's gripper are open"""
        self.boxes: dict[str, Box] = {}
        for box in spec.boxes:
            at = spec.vehicles[carriers[box.box_id]] if box.box_id in carriers else first
            self.boxes[box.box_id] = Box(
                box,
                BoxHeat(box),
                BoxDevice(box, now_s, spec.seed),
                at.lat_deg if box.lat_deg is None else box.lat_deg,
                at.lon_deg if box.lon_deg is None else box.lon_deg,
                box.payload_kg,
            )
            if box.box_id in carriers:
                self._dock(self.boxes[box.box_id], carriers[box.box_id])
        self._last_s = now_s

    def _dock(self, box: Box, i: int) -> None:
        box.on, box.outdoors = i, True
        self.fleet.payload_kg[i] = box.mass_kg

    def _undock(self, box: Box) -> None:
        if box.on is not None:
            box.lat, box.lon = float(self.fleet.lat[box.on]), float(self.fleet.lon[box.on])
            self.fleet.payload_kg[box.on] = 0.0
            box.on = None

    def carried(self, i: int) -> Box | None:
        return next((box for box in self.boxes.values() if box.on == i), None)

    # --- what happens by itself

    def release(self, i: int, open_it: bool) -> None:
        """Vehicle i's gripper has moved: what it held stays where it falls."""
        self._open[i] = open_it
        box = self.carried(i)
        if not open_it or box is None:
            return
        height = self.fleet.height_m(i)
        self._undock(box)
        self.emit(
            {
                "event": "released",
                "box": box.spec.box_id,
                "vehicle": self.spec.vehicles[i].vehicle_id,
                "lat_deg": round(box.lat, 7),
                "lon_deg": round(box.lon, 7),
                "agl_m": round(height, 2),
            }
        )

    def tick(self, now_s: float) -> None:
        """Heat and samples of every box, and the re-icing stations."""
        elapsed_s, self._last_s = now_s - self._last_s, now_s
        for box in self.boxes.values():
            if box.on is not None and self._open[box.on] and self.fleet.height_m(box.on) > LIFTED_M:
                self.release(box.on, True)  # it was put onto a vehicle whose gripper nobody has closed
            troubles = self.faults.troubles(BoxTroubles, box.spec.box_id, now_s)
            mount = self._mount(box)
            ambient_c = self.weather.ambient_c(mount.amsl_m)
            sun_w_m2 = self.weather.sun_w_m2() if box.outdoors else 0.0
            box.heat.advance(
                elapsed_s, ambient_c, sun_w_m2, seal_failed=troubles.seal_failed, lid_open=troubles.lid_open
            )
            box.device.tick(now_s, box.heat, mount, troubles)
            for station in self.spec.stations:
                self._wait_at(box, station, now_s)

    def _mount(self, box: Box) -> Mount:
        if box.on is None:
            return Mount(False, self.weather.ground_amsl_m(box.lat, box.lon))
        roll, pitch, _ = self.fleet.attitude(box.on)
        return Mount(True, float(self.fleet.alt[box.on]), abs(roll * 57.3) + abs(pitch * 57.3))

    def _wait_at(self, box: Box, station: StationSpec, now_s: float) -> None:
        i = box.on
        stands = (
            i is not None
            and not self.fleet.armed[i]
            and geo.distance_m(float(self.fleet.lat[i]), float(self.fleet.lon[i]), station.lat_deg, station.lon_deg)
            <= STATION_M
        )
        if not stands or i is None:
            box.waiting.pop(station.site_id, None)
            return
        since_s = box.waiting.setdefault(station.site_id, now_s)
        if 0.0 <= now_s - since_s < station.reice_s or since_s == float("inf"):
            return
        box.waiting[station.site_id] = float("inf")  # once per stay
        box.heat.reice()
        self.faults.mend(box.spec.box_id)
        vehicle = self.spec.vehicles[i].vehicle_id
        self.emit({"event": "reiced", "box": box.spec.box_id, "vehicle": vehicle, "site": station.site_id})

    # --- what people do

    def command(self, raw: object) -> None:
        """One command from standard input. Answers with an event; a refusal names the reason."""
        try:
            f = Fields(raw, "")
            what = f.text("do", choices=("load", "unload", "battery", "fault"))
            {"load": self._load, "unload": self._unload, "battery": self._battery, "fault": self._fault}[what](f)
        except SpecError as error:
            asked = raw if isinstance(raw, dict) else {"text": str(raw)}
            self.emit({"event": "refused", "reason": str(error), "asked": asked})

    def _box(self, f: Fields) -> Box:
        name = f.text("box")
        if name not in self.boxes:
            raise SpecError(f"box: no box {name!r}; use one of {', '.join(self.boxes) or 'none: declare boxes'}")
        return self.boxes[name]

    def _vehicle(self, f: Fields) -> int:
        name = f.text("vehicle")
        if name not in self.index:
            raise SpecError(f"vehicle: no vehicle {name!r}; use one of {', '.join(self.index)}")
        return self.index[name]

    def _load(self, f: Fields) -> None:
        box, i = self._box(f), self._vehicle(f)
        vehicle = self.spec.vehicles[i]
        payload_kg = f.number("payload_kg", box.payload_kg, low=0)
        payload_c = f.number("payload_c", box.heat.payload_c, low=-80, high=60)
        left_kj = f.number("pack_left_kj", box.heat.latent_kj, low=0, high=box.spec.pack_latent_kj)
        f.done()
        holder = self.carried(i)
        mass_kg = box.spec.empty_mass_kg + payload_kg
        if self.fleet.armed[i]:
            raise SpecError(f"vehicle: {vehicle.vehicle_id} is armed; wait until it stands disarmed")
        if holder is not None and holder is not box:
            raise SpecError(f"vehicle: {vehicle.vehicle_id} carries {holder.spec.box_id}; unload that first")
        if box.on is not None and box.on != i:
            raise SpecError(f"box: {box.spec.box_id} is on another vehicle; unload it first")
        if mass_kg > vehicle.performance.max_payload_kg:
            limit = vehicle.performance.max_payload_kg
            raise SpecError(
                f"payload_kg: box and payload weigh {mass_kg:.2f} kg, the vehicle lifts {limit:.2f}; take less"
            )
        box.payload_kg = payload_kg
        box.heat.load(payload_c, left_kj)
        self._dock(box, i)
        self.emit(
            {"event": "loaded", "box": box.spec.box_id, "vehicle": vehicle.vehicle_id, "mass_kg": round(mass_kg, 3)}
        )

    def _unload(self, f: Fields) -> None:
        box = self._box(f)
        f.done()
        if box.on is None:
            raise SpecError(f"box: {box.spec.box_id} is on no vehicle; nothing to unload")
        if self.fleet.armed[box.on]:
            raise SpecError(f"box: its vehicle {self.spec.vehicles[box.on].vehicle_id} is armed; wait until it is not")
        vehicle = self.spec.vehicles[box.on].vehicle_id
        self._undock(box)
        box.outdoors = False
        self.emit({"event": "unloaded", "box": box.spec.box_id, "vehicle": vehicle})

    def _battery(self, f: Fields) -> None:
        i = self._vehicle(f)
        percent = f.number("battery_pct", 100.0, low=0, high=100)
        f.done()
        name = self.spec.vehicles[i].vehicle_id
        if self.fleet.armed[i]:
            raise SpecError(f"vehicle: {name} is armed; wait until it stands disarmed")
        self.fleet.used_wh[i] = self.fleet.capacity_wh[i] * (1.0 - percent / 100.0)
        self.emit({"event": "battery", "vehicle": name, "battery_pct": percent})

    def _fault(self, f: Fields) -> None:
        spec = FaultSpec.read(f)
        for name in (spec.on, spec.when.vehicle):
            if name is not None and name not in self.index and name not in self.boxes:
                raise SpecError(f"on: nothing is called {name!r}; use the id of a vehicle or box")
        self.faults.add(spec)
