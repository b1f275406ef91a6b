"""A vehicle, its link and its box as last known, each field with the time it was received.

Stale is a fault, not a value: a reader asks `age_s` and decides; nothing here turns an old reading into None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from geofences.geodesy import LatLon
from geofences.values import quick
from missions.boxes import BoxSample

T = TypeVar("T")


@quick
@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """A value and when it was received, seconds since the Unix epoch by the controller's clock."""

    value: T
    at_s: float

    def age_s(self, now_s: float) -> float:
        return now_s - self.at_s


class Mode(StrEnum):
    """PX4 flight modes that the controller tells apart."""

    HOLD = "hold"
    TAKEOFF = "takeoff"
    MISSION = "mission"
    RETURN = "return"
    LAND = "land"
    MANUAL = "manual"
    """any mode flown by a pilot: manual, altitude, position, acro, stabilized"""
    OFFBOARD = "offboard"
    TERMINATION = "termination"
    OTHER = "other"


class Landed(StrEnum):
    """MAV_LANDED_STATE."""

    UNKNOWN = "unknown"
    ON_GROUND = "on_ground"
    IN_AIR = "in_air"
    TAKING_OFF = "taking_off"
    LANDING = "landing"


class MissionState(StrEnum):
    """MISSION_STATE of MISSION_CURRENT."""

    UNKNOWN = "unknown"
    NO_MISSION = "no_mission"
    NOT_STARTED = "not_started"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETE = "complete"


@quick
@dataclass(frozen=True, slots=True)
class Position:
    point: LatLon
    alt_amsl_m: float
    alt_rel_home_m: float
    clock_s: float | None = None
    """when it was measured, by the vehicle's own clock since its boot; None where it does not say"""


@quick
@dataclass(frozen=True, slots=True)
class Velocity:
    """North, east, down in m/s over ground."""

    north_m_s: float
    east_m_s: float
    down_m_s: float


@quick
@dataclass(frozen=True, slots=True)
class Gps:
    """What the satellite receiver says, before the vehicle's estimator has made up its mind about it."""

    point: LatLon | None
    """None without a fix in three dimensions"""
    clock_s: float
    """by the vehicle's clock since its boot"""


@quick
@dataclass(frozen=True, slots=True)
class Wind:
    """The air's motion: towards north and east, m/s."""

    north_m_s: float
    east_m_s: float


@quick
@dataclass(frozen=True, slots=True)
class Battery:
    remaining_pct: float
    voltage_v: float | None = None
    current_a: float | None = None


@quick
@dataclass(frozen=True, slots=True)
class MissionStatus:
    """MISSION_CURRENT. The ids are PX4's opaque_id of what it stores; 0 means nothing stored, None not reported."""

    state: MissionState
    seq: int
    total: int | None
    mission_id: int | None
    fence_id: int | None
    rally_id: int | None


class Signing(StrEnum):
    """MAVLink 2 message signing between the controller and a vehicle."""

    OFF = "off"
    """no key is configured"""
    WAITING = "waiting"
    """a key is configured, and no frame signed with it has come yet"""
    VERIFIED = "verified"
    """every frame that was taken in was signed with the vehicle's key"""


@dataclass(frozen=True, slots=True)
class LinkPath:
    """One of the links that reach a vehicle."""

    link: str
    """its URL"""
    up: bool
    in_use: bool
    """telemetry is taken from here, and commands leave here"""
    rtt_s: float | None
    loss_pct: float | None
    trouble: str | None = None
    """why nothing is taken from here"""


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """Of the link in use; `paths` lists all that are configured."""

    rtt_s: float | None
    loss_pct: float | None
    other_gcs: tuple[int, ...] = ()
    """system ids of other ground stations heard on this vehicle's link"""
    signing: Signing = Signing.OFF
    paths: tuple[LinkPath, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class VehicleState:
    """Telemetry folded. A field is None until it was first received since the vehicle's last boot."""

    vehicle_id: str
    heard_s: float | None = None
    boot: int = 0
    """counts reboots seen: a change invalidates everything cached about the vehicle"""
    armed: Timed[bool] | None = None
    mode: Timed[Mode] | None = None
    landed: Timed[Landed] | None = None
    position: Timed[Position] | None = None
    velocity: Timed[Velocity] | None = None
    home: Timed[Position] | None = None
    battery: Timed[Battery] | None = None
    wind: Timed[Wind] | None = None
    health_ok: Timed[bool] | None = None
    """PX4's prearm check (SYS_STATUS bit 28)"""
    failsafe: Timed[bool] | None = None
    """HEARTBEAT system_status is CRITICAL: PX4 acts by itself"""
    gps: Timed[Gps] | None = None
    """None where no receiver is reported"""
    throttle_pct: Timed[float] | None = None
    mission: Timed[MissionStatus] | None = None
    link: LinkQuality = LinkQuality(None, None)
    firmware: str | None = None
    """flight software version, as `1.17.0` or `1.18.0alpha`"""
    uid: int | None = None
    """the autopilot's hardware id (AUTOPILOT_VERSION)"""
    on_wing: Timed[bool] | None = None
    """a VTOL flies on its wing (EXTENDED_SYS_STATE.vtol_state): it cannot stop, in HOLD it circles"""
    not_ready: tuple[str, ...] = ()
    """why it would not arm in its present mode, by its own newest report; empty when it would or has not reported"""
    texts: tuple[Timed[str], ...] = ()
    """the newest STATUSTEXT and EVENT texts, oldest first, at most 20"""


class BoxVerdict(StrEnum):
    IN_RANGE = "in_range"
    EXCURSION_ALLOWED = "excursion_allowed"
    QUARANTINE = "quarantine"
    SPOILED = "spoiled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SampleRef:
    """A sample of the box's record, and when it was measured, on the record's axis."""

    boot_id: str
    seq: int
    at_s: float


@dataclass(frozen=True, slots=True)
class BoxView:
    """What is known of the box on a vehicle: newest good sample, verdict with its cause, and trust in the sensor."""

    box_id: str
    sample: Timed[BoxSample] | None
    temp_c: float | None
    """the value assessed: the probe furthest out of the product's band"""
    verdict: BoxVerdict
    why: str
    """the rule behind the verdict, one sentence"""
    sensor_faults: tuple[str, ...] = ()
    ambient_c: float | None = None
    excursion: str = ""
    """the excursion the dose is or was in, one sentence: silence does not end it, though the verdict becomes unknown"""
    rule: str = ""
    """the rule's name"""
    caused_by: tuple[SampleRef, ...] = ()
    """the first and the last sample that count for the verdict"""
