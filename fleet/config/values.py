"""The configuration as the rest of the controller sees it: the domain's values and a few of the controller's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import cos, pi
from pathlib import Path

from fleet.api.auth import Role
from fleet.mavlink.contract import Contract
from fleet.records.codec import to_json
from fleet.records.policy import hash_of
from geofences.heights import Terrain
from missions.boxes import Box
from missions.coldchain.product import Product
from missions.decision.types import Policy
from missions.sites import Site, SiteKind
from missions.snapshot import Wind
from missions.vehicles import Vehicle, VehicleType
from missions.world import PlanningNumbers


@dataclass(frozen=True, slots=True)
class Weather:
    """What is assumed of the air where nothing measures it: temperature at a height, its lapse, and the wind."""

    air_c: float = 25.0
    at_amsl_m: float = 0.0
    lapse_k_km: float = 6.5
    """ICAO standard atmosphere"""
    day_amplitude_k: float = 0.0
    """warmer by this at 15:00 local solar time, some hours after the sun was highest, and colder by it at 3:00"""
    lon_deg: float = 0.0
    """whose solar time it is"""
    wind: Wind = field(default_factory=lambda: Wind(0.0, 0.0))

    def air_c_at(self, amsl_m: float, at_s: float) -> float:
        """At a height and a time (Unix epoch)."""
        since_warmest_h = at_s / 3600.0 + self.lon_deg / 15.0 - 15.0
        day_k = self.day_amplitude_k * cos(2.0 * pi * since_warmest_h / 24.0)
        return self.air_c + day_k - (amsl_m - self.at_amsl_m) / 1000.0 * self.lapse_k_km


@dataclass(frozen=True, slots=True)
class Handling:
    """Which steps of people are taken as done by themselves: for demonstrations and tests without people."""

    auto_load: bool = False
    """sealing and loading, at assignment"""
    auto_reice: bool = False
    """the pack swap, after the site's `reice_s`"""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token and who bears it. `scope` is free text for the record, such as the health system's name."""

    name: str
    role: Role
    secret: str = field(repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ApiConfig:
    host: str
    port: int
    """0: any free one"""
    tokens: tuple[ApiToken, ...]


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """The broker of the cold boxes."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: Path | None = None
    client_id: str = "coldwing"
    """stable: the broker keeps the session, and with it missed samples, under this name"""

    @property
    def url(self) -> str:
        """Without the password, for people."""
        user = f"{self.username}@" if self.username else ""
        return f"{'mqtts' if self.tls else 'mqtt'}://{user}{self.host}:{self.port}"


class Profile(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"
    """every vehicle's link is signed or declared authenticated"""


class Driver(StrEnum):
    """What speaks to a vehicle."""

    NATIVE = "native"
    MAVSDK = "mavsdk"


@dataclass(frozen=True, slots=True)
class AuthenticatedLink:
    """A link that others cannot reach. `by`: what keeps them off, for people."""

    url: str
    by: str


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """Where each flight's tlog goes and how much is kept; `folder` None: nowhere."""

    folder: Path | None
    max_mb: float
    keep_gb: float


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """Everything `fleet.yaml` and the files it names say, checked against each other. Mappings are by id."""

    path: Path
    name: str
    sites: Mapping[str, Site]
    vehicle_types: Mapping[str, VehicleType]
    vehicles: Mapping[str, Vehicle]
    links: Mapping[str, tuple[str, ...]]
    """vehicle id → MAVLink URLs, the preferred one first"""
    boxes: Mapping[str, Box]
    box_homes: Mapping[str, str]
    """box id → the hub it is kept at"""
    box_keys: Mapping[str, bytes] = field(repr=False)
    """box id → HMAC key, for the boxes that sign their samples"""
    products: Mapping[str, Product]
    airspace_files: tuple[Path, ...]
    terrain: Terrain
    weather: Weather
    policy: Policy
    planning: PlanningNumbers
    handling: Handling
    api: ApiConfig
    mqtt: MqttConfig
    store_path: Path
    gcs_system_id: int
    config_hash: str
    """SHA-256 over fleet.yaml without its secrets and over the files it names"""
    uids: Mapping[str, int] = field(default_factory=dict)
    """vehicle id → its autopilot's hardware id, where it is given"""
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    """vehicle id → what speaks to it"""
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    """vehicle id → what its autopilot must hold before a flight"""
    mavlink_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """vehicle id → MAVLink signing key (32 bytes), for the vehicles that sign"""
    profile: Profile = Profile.DEVELOPMENT
    authenticated_links: tuple[AuthenticatedLink, ...] = ()
    recording: RecordingConfig = RecordingConfig(None, 64.0, 10.0)
    secret: bytes | None = field(default=None, repr=False)
    """COLDWING_SECRET: what the controller derives its own keys from; None: it makes one and keeps it in the store"""

    @property
    def hub_amsl_m(self) -> float:
        """Elevation of the first hub: the ground, where nothing tells a place."""
        return next(s.elevation_amsl_m for s in self.sites.values() if s.kind is SiteKind.HUB)

    @property
    def policy_hash(self) -> str:
        """SHA-256 over the numbers that decisions and plans depend on; it goes into every record."""
        return hash_of(to_json(self.policy), to_json(self.planning))
