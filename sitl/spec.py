"""What a simulation consists of: frozen values, read from plain JSON by `SimSpec.from_dict`.

Angles are degrees WGS84, heights metres above mean sea level, wind is the velocity of the air (a positive
`wind_north_m_s` blows towards the north).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sitl.fields import Fields, SpecError
from sitl.worldspec import WorldSpec

GCS_PORT = 14550
"""where every PX4 instance's ground-station link sends to"""
GCS_LOCAL_PORT = 18570
"""instance i's ground-station link is bound to this + i"""
ONBOARD_PORT = 14540
ONBOARD_LOCAL_PORT = 14580
MODELS = ("quad", "vtol")
"""a multirotor, and a standard VTOL: lift rotors, pusher and wing"""


@dataclass(frozen=True, slots=True)
class Performance:
    """Of one vehicle. Powers are of the empty vehicle, with avionics, in still air at sea level."""

    cruise_m_s: float = 15.0
    climb_m_s: float = 3.0
    descent_m_s: float = 1.5
    hover_power_w: float = 900.0
    cruise_power_w: float = 700.0
    empty_mass_kg: float = 9.0
    """with battery, without box"""
    max_payload_kg: float = 3.0
    battery_wh: float = 710.0
    max_airspeed_m_s: float = 25.0
    """what full tilt (of a VTOL: its pusher) reaches: against a stronger wind the vehicle drifts"""
    avionics_w: float = 25.0

    @staticmethod
    def read(f: Fields) -> Performance:
        cruise = f.number("cruise_m_s", 15.0, low=1, high=100)
        values = Performance(
            cruise_m_s=cruise,
            climb_m_s=f.number("climb_m_s", 3.0, low=0.2, high=20),
            descent_m_s=f.number("descent_m_s", 1.5, low=0.2, high=20),
            hover_power_w=f.number("hover_power_w", 900.0, low=1),
            cruise_power_w=f.number("cruise_power_w", 700.0, low=1),
            empty_mass_kg=f.number("empty_mass_kg", 9.0, low=0.05),
            max_payload_kg=f.number("max_payload_kg", 3.0, low=0),
            battery_wh=f.number("battery_wh", 710.0, low=1),
            # A multirotor trimmed for cruise has about a quarter of airspeed in hand before it runs out of tilt.
            max_airspeed_m_s=f.number("max_airspeed_m_s", 1.25 * cruise, low=1, high=150),
            avionics_w=f.number("avionics_w", 25.0, low=0),
        )
        if values.max_airspeed_m_s < cruise:
            raise SpecError(f"{f.at('max_airspeed_m_s')}: is below cruise_m_s {cruise:g}; give at least that")
        if values.avionics_w >= min(values.hover_power_w, values.cruise_power_w):
            raise SpecError(f"{f.at('avionics_w')}: exceeds the flight power; give less than the cruise power")
        f.done()
        return values


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A UDP link of a vehicle: bound to `local_port` (0: any), sending to host:port until a peer speaks first."""

    local_port: int
    host: str = "127.0.0.1"
    port: int = GCS_PORT
    rates_hz: tuple[tuple[str, float], ...] | None = None
    """message → Hz, in place of PX4's defaults"""

    @staticmethod
    def read(f: Fields, local_port: int, port: int) -> LinkSpec:
        rates = f.optional_inner("rates_hz")
        link = LinkSpec(
            local_port=f.integer("local_port", local_port, low=0, high=65535),
            host=f.text("host", "127.0.0.1"),
            port=f.integer("port", port, low=1, high=65535),
            rates_hz=tuple((n, rates.number(n, low=0.01, high=1000.0)) for n in list(rates.left)) if rates else None,
        )
        f.done()
        return link


@dataclass(frozen=True, slots=True)
class VehicleSpec:
    vehicle_id: str
    system_id: int
    lat_deg: float
    lon_deg: float
    model: str = "quad"
    gcs: LinkSpec = field(default_factory=lambda: LinkSpec(GCS_LOCAL_PORT))
    onboard: LinkSpec | None = None
    """PX4's second link (companion computer); none unless asked for"""
    performance: Performance = field(default_factory=Performance)
    battery_pct: float = 100.0
    box: str | None = None
    """box_id it carries at the start"""
    params: tuple[tuple[str, float], ...] = ()
    """PX4 parameters that differ from this model's"""

    @staticmethod
    def read(f: Fields, index: int) -> VehicleSpec:
        gcs = f.optional_inner("gcs")
        onboard = f.optional_inner("onboard")
        performance = f.optional_inner("performance")
        params = f.inner("params", {})
        vehicle = VehicleSpec(
            vehicle_id=f.text("vehicle_id"),
            system_id=f.integer("system_id", low=1, high=254),
            lat_deg=f.number("lat_deg", low=-85, high=85),
            lon_deg=f.number("lon_deg", low=-180, high=180),
            model=f.text("model", "quad", choices=MODELS),
            gcs=LinkSpec.read(gcs or Fields({}, f.at("gcs")), GCS_LOCAL_PORT + index, GCS_PORT),
            onboard=LinkSpec.read(onboard, ONBOARD_LOCAL_PORT + index, ONBOARD_PORT + index) if onboard else None,
            performance=Performance.read(performance or Fields({}, f.at("performance"))),
            battery_pct=f.number("battery_pct", 100.0, low=0, high=100),
            box=f.optional_text("box"),
            params=tuple((name, params.number(name)) for name in list(params.left)),
        )
        f.done()
        return vehicle


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """A cold box as it stands at the start. `key` (text) turns on the HMAC of its samples."""

    box_id: str
    key: str | None = None
    empty_mass_kg: float = 1.2
    payload_kg: float = 0.0
    resistance_k_w: float = 1.2
    """inside to ambient, lid closed and seal intact"""
    capacity_kj_k: float = 7.0
    """payload and inner wall"""
    pack_temp_c: float = 4.0
    pack_latent_kj: float = 150.0
    pack_left_kj: float = 150.0
    temp_c: float = 5.0
    sample_s: float = 5.0
    clock_skew_s: float = 0.0
    clock_drift_ppm: float = 0.0
    """its clock gains this since the start; a plain crystal is within ±20: 1.7 s a day"""
    buffer_samples: int = 20_000
    """kept while they cannot be sent, then the oldest go: a day at 5 s"""
    sunlit_area_m2: float = 0.06
    """seen from above: the lid of a 6 l box"""
    absorptance: float = 0.5
    """of sunlight: fresh white 0.2, weathered or grey 0.5, black 0.95"""
    lat_deg: float | None = None
    lon_deg: float | None = None
    """where it stands; None: with its vehicle, or where the first vehicle stands"""

    @staticmethod
    def read(f: Fields) -> BoxSpec:
        latent = f.number("pack_latent_kj", 150.0, low=0)
        box = BoxSpec(
            box_id=f.text("box_id"),
            key=f.optional_text("key"),
            empty_mass_kg=f.number("empty_mass_kg", 1.2, low=0),
            payload_kg=f.number("payload_kg", 0.0, low=0),
            resistance_k_w=f.number("resistance_k_w", 1.2, low=0.05),
            capacity_kj_k=f.number("capacity_kj_k", 7.0, low=0.5),
            pack_temp_c=f.number("pack_temp_c", 4.0, low=-80, high=40),
            pack_latent_kj=latent,
            pack_left_kj=f.number("pack_left_kj", latent, low=0, high=latent),
            temp_c=f.number("temp_c", 5.0, low=-80, high=60),
            sample_s=f.number("sample_s", 5.0, low=0.1, high=3600),
            clock_skew_s=f.number("clock_skew_s", 0.0, low=-1e9, high=1e9),
            clock_drift_ppm=f.number("clock_drift_ppm", 0.0, low=-100_000, high=100_000),
            buffer_samples=f.integer("buffer_samples", 20_000, low=1, high=1_000_000),
            sunlit_area_m2=f.number("sunlit_area_m2", 0.06, low=0, high=10),
            absorptance=f.number("absorptance", 0.5, low=0, high=1),
            lat_deg=f.optional_number("lat_deg", low=-85, high=85),
            lon_deg=f.optional_number("lon_deg", low=-180, high=180),
        )
        f.done()
        return box


@dataclass(frozen=True, slots=True)
class StationSpec:
    """A re-icing station: a docked box that stands within 25 m of it for `reice_s` gets a fresh pack."""

    site_id: str
    lat_deg: float
    lon_deg: float
    reice_s: float = 180.0

    @staticmethod
    def read(f: Fields) -> StationSpec:
        station = StationSpec(
            site_id=f.text("site_id"),
            lat_deg=f.number("lat_deg", low=-85, high=85),
            lon_deg=f.number("lon_deg", low=-180, high=180),
            reice_s=f.number("reice_s", 180.0, low=0),
        )
        f.done()
        return station


@dataclass(frozen=True, slots=True)
class MqttSpec:
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @staticmethod
    def read(f: Fields) -> MqttSpec:
        mqtt = MqttSpec(
            host=f.text("host", "127.0.0.1"),
            port=f.integer("port", low=1, high=65535),
            username=f.optional_text("username"),
            password=f.optional_text("password"),
        )
        f.done()
        return mqtt


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a fault begins. All that is given must hold; nothing given means at once."""

    at_s: float | None = None
    """seconds of simulated time since the start"""
    vehicle: str | None = None
    """whose flight `flown_m`, `within_m` and `armed` speak of"""
    flown_m: float | None = None
    """ground distance since its last take-off"""
    within_m: float | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    armed: bool = False
    """it is armed"""
    after: str | None = None
    """the name of another fault that has begun"""
    after_s: float = 0.0
    """this long ago"""

    @staticmethod
    def read(f: Fields) -> Trigger:
        trigger = Trigger(
            at_s=f.optional_number("at_s", low=0),
            vehicle=f.optional_text("vehicle"),
            flown_m=f.optional_number("flown_m", low=0),
            within_m=f.optional_number("within_m", low=0),
            lat_deg=f.optional_number("lat_deg", low=-85, high=85),
            lon_deg=f.optional_number("lon_deg", low=-180, high=180),
            armed=f.flag("armed", False),
            after=f.optional_text("after"),
            after_s=f.number("after_s", 0.0, low=0),
        )
        f.done()
        of_flight = trigger.flown_m is not None or trigger.within_m is not None or trigger.armed
        if of_flight and trigger.vehicle is None:
            raise SpecError(f"{f.at('vehicle')}: missing; flown_m, within_m and armed need the vehicle they speak of")
        if trigger.after_s and trigger.after is None:
            raise SpecError(f"{f.at('after_s')}: needs `after`, the name of another fault; for a time give at_s")
        if trigger.within_m is not None and (trigger.lat_deg is None or trigger.lon_deg is None):
            raise SpecError(f"{f.at('within_m')}: needs lat_deg and lon_deg; add both")
        return trigger


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault: its kind is a row of `sitl.faults.FAULTS`, which also says what `on` names and what `args` hold."""

    kind: str
    on: str | None
    """the vehicle or box; None where the kind concerns the world"""
    when: Trigger = field(default_factory=Trigger)
    duration_s: float | None = None
    """None: for good"""
    args: tuple[tuple[str, float], ...] = ()
    name: str = ""
    """what other faults call it in `after`, its kind unless given"""

    @staticmethod
    def read(f: Fields) -> FaultSpec:
        from sitl.faults import read_args  # the registry knows each kind's fields; it imports this module

        kind = f.text("kind")
        on = f.optional_text("on")
        when = f.optional_inner("when")
        trigger = Trigger.read(when) if when else Trigger()
        duration_s = f.optional_number("duration_s", low=0)
        name = f.text("name", kind)
        args = read_args(kind, on, f)
        f.done()
        return FaultSpec(kind, on, trigger, duration_s, args, name)


@dataclass(frozen=True, slots=True)
class SimSpec:
    """The simulation's clock is `epoch_s + (CLOCK_MONOTONIC − monotonic_s) · speed`, shared by all processes."""

    epoch_s: float
    monotonic_s: float
    speed: float
    seed: int
    world: WorldSpec
    vehicles: tuple[VehicleSpec, ...]
    boxes: tuple[BoxSpec, ...] = ()
    stations: tuple[StationSpec, ...] = ()
    mqtt: MqttSpec | None = None
    faults: tuple[FaultSpec, ...] = ()

    @staticmethod
    def from_dict(raw: object) -> SimSpec:
        """Raises SpecError with the field's path, what is wrong and the fix."""
        f = Fields(raw, "")
        mqtt = f.optional_inner("mqtt")
        spec = SimSpec(
            epoch_s=f.number("epoch_s", low=0),
            monotonic_s=f.number("monotonic_s"),
            speed=f.number("speed", 1.0, low=0.01, high=1000),
            seed=f.integer("seed", 1, low=0, high=2**31),
            world=WorldSpec.read(f.inner("world", {})),
            vehicles=tuple(VehicleSpec.read(Fields(v, path), i) for i, (path, v) in enumerate(f.items("vehicles"))),
            boxes=tuple(BoxSpec.read(Fields(b, path)) for path, b in f.items("boxes")),
            stations=tuple(StationSpec.read(Fields(s, path)) for path, s in f.items("stations")),
            mqtt=MqttSpec.read(mqtt) if mqtt else None,
            faults=tuple(FaultSpec.read(Fields(x, path)) for path, x in f.items("faults")),
        )
        f.done()
        spec.check()
        return spec

    def check(self) -> None:
        """That ids are unique and that names lead somewhere."""
        if not self.vehicles:
            raise SpecError("vehicles: is empty; add at least one vehicle")
        _unique("vehicles", "vehicle_id", [v.vehicle_id for v in self.vehicles])
        _unique("vehicles", "system_id", [v.system_id for v in self.vehicles])
        _unique("boxes", "box_id", [b.box_id for b in self.boxes])
        _unique("vehicles", "box", [v.box for v in self.vehicles if v.box is not None])
        _unique("vehicles", "gcs.local_port", [v.gcs.local_port for v in self.vehicles if v.gcs.local_port])
        vehicles = {v.vehicle_id for v in self.vehicles}
        boxes = {b.box_id for b in self.boxes}
        faults = {x.name for x in self.faults}
        for i, v in enumerate(self.vehicles):
            if v.box is not None and v.box not in boxes:
                raise SpecError(f"vehicles[{i}].box: no box {v.box!r}; declare it in boxes")
        for i, fault in enumerate(self.faults):
            if fault.on is not None and fault.on not in vehicles | boxes:
                raise SpecError(f"faults[{i}].on: nothing is called {fault.on!r}; use the id of a vehicle or box")
            if fault.when.vehicle is not None and fault.when.vehicle not in vehicles:
                raise SpecError(f"faults[{i}].when.vehicle: no vehicle {fault.when.vehicle!r}; declare it in vehicles")
            if fault.when.after is not None and fault.when.after not in faults:
                known = ", ".join(sorted(faults))
                raise SpecError(f"faults[{i}].when.after: no fault {fault.when.after!r}; use one of {known}")


def _unique(where: str, name: str, values: list[Any]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SpecError(f"{where}: {name} {value!r} is used twice; give each its own")
