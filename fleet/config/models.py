"""The shape of `fleet.yaml` and of a vehicle type's file: types, ranges, defaults. The JSON schema comes from here too.

The docstrings below a field are what an editor shows.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Annotated, Any

from annotated_types import BaseMetadata, Ge, Gt, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fleet.api.auth import Role
from fleet.config.values import Driver, Profile
from fleet.mavlink.contract import Demand, VersionError, Versions, parse_version
from fleet.mavlink.params import MAX_NAME
from fleet.mavlink.urls import LinkError, parse_url
from missions.coldchain.calibration import COLD_LIFE_LIMIT_C
from missions.decision.types import Policy
from missions.sites import SiteKind
from missions.vehicles import Airframe
from missions.world import PlanningNumbers

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]


def _link(url: str) -> str:
    try:
        parse_url(url)
    except LinkError as error:
        why = str(error).removeprefix(f"link URL {url!r}: ")
        raise PydanticCustomError("link_url", "a link: {why}", {"why": why}) from None
    return url


_LINKS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_UID = {"anyOf": [{"type": "string", "pattern": "^0x[0-9A-Fa-f]{1,16}$"}, {"type": "integer", "minimum": 1}]}
_DEMAND = {
    "type": "object",
    "properties": {
        "value": {"type": "number"},
        "min": {"type": "number"},
        "max": {"type": "number"},
        "reboot": {"type": "boolean", "description": "PX4 looks at it only when it starts"},
    },
    "minProperties": 1,
    "additionalProperties": False,
}
_PARAMETERS = {
    "type": "object",
    "propertyNames": {"pattern": f"^[A-Z0-9_]{{1,{MAX_NAME}}}$"},
    "additionalProperties": {"anyOf": [{"type": "number"}, _DEMAND]},
}


def _links(given: Any) -> tuple[str, ...]:
    """One URL or several."""
    urls = [given] if isinstance(given, str) else given
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise PydanticCustomError("link_urls", "a link such as udpin://127.0.0.1:14550, or a list of links")
    return tuple(_link(url) for url in urls)


def _uid(given: Any) -> int:
    try:
        value = int(given, 16) if isinstance(given, str) and given.startswith("0x") else given
    except ValueError:
        value = None
    if type(value) is not int or not 0 < value < 1 << 64:
        raise PydanticCustomError("uid", 'the `uid` of AUTOPILOT_VERSION, such as "0x3233510f002c001b"')
    return value


def _versions(text: str) -> str:
    try:
        Versions.parse(text)
    except VersionError as error:
        raise PydanticCustomError("versions", "{error}", {"error": str(error)}) from None
    return text


def _version(text: str) -> str:
    try:
        parse_version(text)
    except VersionError as error:
        raise PydanticCustomError("version", "{error}", {"error": str(error)}) from None
    return text


def _demands(given: Any) -> dict[str, Demand]:
    """Parameter name → value, or {min, max}."""
    if not isinstance(given, dict):
        raise PydanticCustomError("parameters", "a mapping such as {GF_ACTION: 2, RTL_RETURN_ALT: {min: 30, max: 90}}")
    return {name: _demand(name, value) for name, value in given.items()}


def _written(demands: dict[str, Demand]) -> dict[str, Any]:
    return {name: dataclasses.asdict(demand) for name, demand in demands.items()}


def _demand(name: Any, given: Any) -> Demand:
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Z0-9_]{{1,{MAX_NAME}}}", name):
        text = "a mapping of PX4's names (at most {most} capitals, digits and _), which {name} is none of"
        raise PydanticCustomError("parameter_name", text, {"name": repr(name), "most": MAX_NAME})
    asked = given if isinstance(given, dict) else {"value": given}
    try:
        if unknown := set(asked) - {"value", "min", "max", "reboot"}:
            raise ValueError(f"{min(unknown)!r} is not a known key; give value, min, max or reboot")
        if "value" in asked and ("min" in asked or "max" in asked):
            raise ValueError("give either a value or min and max")
        low, high = (asked.get("value", asked.get(end)) for end in ("min", "max"))
        if not all(value is None or type(value) in (int, float) for value in (low, high)):
            raise ValueError("give a number, or {min: …, max: …}")
        reboot = asked.get("reboot", False)
        if not isinstance(reboot, bool):
            raise ValueError("reboot is true or false")
        return Demand(low, high, reboot)
    except ValueError as error:
        text = "a demand that a vehicle can meet; {name}: {error}"
        raise PydanticCustomError("parameter", text, {"name": name, "error": str(error)}) from None


def _mqtt_url(url: str) -> str:
    if not re.fullmatch(r"mqtts?://([^@/\s]*@)?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?", url):
        raise PydanticCustomError("mqtt_url", "a broker such as mqtt://user:password@host:1883 or mqtts://host:8883")
    return url


class Strict(BaseModel):
    """Unknown keys, NaN and silent conversions are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class SiteModel(Strict):
    id: Id
    name: str
    kind: SiteKind
    lat: Annotated[float, Ge(-90), Le(90)]
    """degrees, WGS84"""
    lon: Annotated[float, Ge(-180), Le(180)]
    """degrees, WGS84"""
    elevation_amsl_m: float | None = None
    """height of the pad above mean sea level, metres; without it the terrain's"""
    pads: Annotated[int, Ge(1)] = 1
    """vehicles that can stand here at once"""
    reice_s: Positive = 180.0
    """how long a pack swap takes here (only for kind reicing)"""
    handover_s: Annotated[float, Ge(0)] | None = None
    """from a dose's arrival here until it is in cold storage; without it a hub's 60, a clinic's or station's 120, an
    alternate's 2400"""


class DenialModel(Strict):
    versions: Annotated[str, AfterValidator(_versions)]
    """`1.16.0`, or a range such as `>=1.14, <1.15.4`; a pre-release sorts before its release"""
    reason: Annotated[str, StringConstraints(min_length=1)]
    """what is wrong with it: the operator reads this when a flight is refused"""


class FirmwareModel(Strict):
    minimum: Annotated[str, AfterValidator(_version)] | None = None
    """the oldest PX4 that may fly, such as `1.17.0`"""
    deny: list[DenialModel] = []
    """what may not fly although it is new enough"""


class ContractModel(Strict):
    may_set: bool = False
    """set on the vehicle, on the ground, what differs; else a difference refuses the flight"""
    parameters: Annotated[
        dict[str, Demand], PlainValidator(_demands), PlainSerializer(_written), WithJsonSchema(_PARAMETERS)
    ] = {}
    """PX4 parameter → its value, or {min: …, max: …}; `reboot: true` beside them where PX4 looks only when it starts"""
    firmware: FirmwareModel = FirmwareModel()


class VehicleTypeModel(Strict):
    name: Id
    airframe: Airframe
    cruise_m_s: Positive
    """true airspeed in cruise"""
    climb_m_s: Positive
    descent_m_s: Positive
    hover_power_w: Positive
    """with an empty vehicle, avionics included"""
    cruise_power_w: Positive
    """with an empty vehicle, avionics included"""
    empty_mass_kg: Positive
    """with battery, without box"""
    max_payload_kg: Positive
    battery_wh: Positive
    """usable energy of a full battery"""
    max_wind_m_s: Positive
    min_turn_radius_m: NotNegative = 0.0
    """for a vtol in forward flight"""
    contract: ContractModel = ContractModel()
    """what PX4 must hold before a flight: parameters and firmware"""


class FileRef(Strict):
    file: str
    """path of the vehicle type's own file, relative to this one"""


class VehicleModel(Strict):
    id: Id
    type: Id
    """name of one of the vehicle_types"""
    home: Id
    """the hub where it stands"""
    system_id: Annotated[int, Ge(1), Le(254)]
    """MAVLink system id (MAV_SYS_ID), its own on its link"""
    link: Annotated[tuple[str, ...], PlainValidator(_links), PlainSerializer(list), WithJsonSchema(_LINKS)]
    """udpin://host:port and tcpin://host:port wait for vehicles there, udpout:// and tcpout:// call one,
    serial:///dev/ttyACM0:57600 is a cable or a radio; vehicles may share a link. Several: a list, the first is
    preferred"""
    uid: Annotated[int, PlainValidator(_uid), WithJsonSchema(_UID)] | None = None
    """the autopilot's own hardware id (AUTOPILOT_VERSION.uid): another autopilot with this system id is refused"""
    driver: Driver = Driver.NATIVE
    """mavsdk: through MAVSDK, on a link of its own"""
    mavlink_key_file: str | None = None
    """file with its MAVLink signing key, relative to this one; better: COLDWING_MAVLINK_KEY_<ID> in the environment"""


class BoxModel(Strict):
    id: Id
    """also the box's name in its MQTT topic"""
    home: Id | None = None
    """the hub where it is kept; may be left out where there is one hub"""
    volume_l: Positive
    empty_mass_kg: Positive
    """with its pack"""
    products: Annotated[list[Id], Field(min_length=1)]
    """product ids the box is qualified for"""
    pack_temp_c: float
    """melting point of its phase-change pack"""
    pack_latent_kj: NotNegative
    """latent heat of a fresh pack"""
    resistance_k_w: Positive | None = None
    """thermal resistance inside to ambient with lid and seal intact; or give cold_life_h"""
    cold_life_h: Positive | None = None
    """hours in air of 43 °C until it is 10 °C inside (WHO PQS E004), from which the resistance follows"""
    capacity_kj_k: Positive
    """heat capacity of payload and inner wall"""
    key: Annotated[str, Field(min_length=16)] | None = None
    """HMAC key of its samples; better: COLDWING_BOX_KEY_<ID> in the environment, or key_file"""
    key_file: str | None = None
    """file that holds the key, relative to this one"""

    @model_validator(mode="after")
    def _one_of_both(self) -> BoxModel:
        if (self.resistance_k_w is None) == (self.cold_life_h is None):
            raise ValueError("give either resistance_k_w or cold_life_h")
        if self.cold_life_h is not None and not self.pack_temp_c < COLD_LIFE_LIMIT_C:
            raise ValueError(f"cold_life_h ends at {COLD_LIFE_LIMIT_C:g} °C: for a warmer pack give resistance_k_w")
        return self


class TerrainModel(Strict):
    flat_amsl_m: float | None = None
    """level ground at this elevation; 0 m where neither grid nor tiles are given"""
    grid: str | None = None
    """an ESRI ASCII grid (.asc) in degrees of WGS84, heights above mean sea level; relative to this file"""
    tiles: str | None = None
    """a folder of SRTM tiles such as N07E038.hgt; relative to this file"""
    geoid: str | None = None
    """a grid of EGM96 that PROJ reads (.tif, .gtx), for zones with heights over the ellipsoid; relative to this file.
    Without it what is installed is used"""


class WeatherModel(Strict):
    air_c: float = 25.0
    """air temperature at `at_amsl_m`"""
    at_amsl_m: float = 0.0
    lapse_k_km: float = 6.5
    """how much colder it gets per kilometre of height"""
    day_amplitude_k: float = Field(default=0.0, ge=0.0, le=30.0)
    """warmer by this at 15:00 local solar time and colder by it at 3:00; `air_c` is the mean of the day then"""
    wind_north_m_s: float = 0.0
    """the air's motion towards north"""
    wind_east_m_s: float = 0.0
    """the air's motion towards east"""


class HandlingModel(Strict):
    auto_load: bool = False
    """take sealing and loading as done at assignment: only where there are no people"""
    auto_reice: bool = False
    """take a pack swap as done after the site's reice_s"""


class TokenModel(Strict):
    name: Id
    """who bears it: goes into the record as the actor"""
    role: Role
    scope: str | None = None
    """free text, such as the health system's name"""
    token: str | None = None
    """the value itself, for a loopback API only; better: COLDWING_API_TOKEN_<NAME> in the environment, or token_file"""
    token_file: str | None = None
    """file that holds the value, relative to this one"""


class ApiModel(Strict):
    host: str = "127.0.0.1"
    """address to listen on; beyond loopback no token may stand in this file"""
    port: Annotated[int, Ge(0), Le(65535)] = 8080
    """0: any free one"""
    tokens: list[TokenModel] = []


class MqttModel(Strict):
    url: Annotated[str, AfterValidator(_mqtt_url)] = "mqtt://127.0.0.1:1883"
    """mqtt://user:password@host:port, mqtts:// with TLS; better: the password as COLDWING_MQTT_PASSWORD"""
    ca_file: str | None = None
    """certificate authority of the broker, relative to this file"""
    client_id: Id = "coldwing"
    """stable, and this controller's alone"""


class StoreModel(Strict):
    path: str = "var/coldwing.sqlite3"
    """the record and the current state; relative to the working directory"""


class GcsModel(Strict):
    system_id: Annotated[int, Ge(1), Le(255)] = 250
    """our MAVLink system id; 255 is QGroundControl's and refused"""


class RecordingModel(Strict):
    folder: str | None = "var/tlog"
    """where a tlog of every flight goes, relative to the working directory; null: none are kept"""
    max_mb: Positive = 64.0
    """a longer flight goes on in a next file"""
    keep_gb: Positive = 10.0
    """the oldest flights go when the folder holds more"""


class AuthenticatedLinkModel(Strict):
    url: Annotated[str, AfterValidator(_link)]
    """one of the vehicles' links"""
    by: Annotated[str, StringConstraints(min_length=1)]
    """what keeps others off it, such as `WireGuard wg0`"""


def numbers_model(name: str, cls: type, *, without: frozenset[str]) -> type[BaseModel]:
    """A model with the dataclass's fields and defaults: the units in their names say the ranges."""
    hints = typing.get_type_hints(cls)
    fields: dict[str, Any] = {
        f.name: (_bounded(f.name, hints[f.name]), f.default) for f in dataclasses.fields(cls) if f.name not in without
    }
    return create_model(name, __base__=Strict, **fields)


def _bounded(name: str, hint: Any) -> Any:
    if hint is bool:
        return bool
    bounds: list[BaseMetadata] = [Ge(0)]
    if name.endswith("_pct"):
        bounds.append(Le(100))
    elif name.startswith("min_p_"):
        bounds.append(Le(1))
    if hint == tuple[float, ...]:
        return Annotated[tuple[Positive, ...], Field(min_length=1)]
    return Annotated[(hint, *bounds)]


PolicyModel = numbers_model("PolicyModel", Policy, without=frozenset({"authorised_zones"}))
_PlanningNumbers: Any = numbers_model(
    "PlanningNumbers",
    PlanningNumbers,
    without=frozenset({"reserve_pct", "min_p_reach", "battery_margin_pct", "corridors"}),
)


class PlaceModel(Strict):
    lat: Annotated[float, Ge(-90), Le(90)]
    """degrees, WGS84"""
    lon: Annotated[float, Ge(-180), Le(180)]
    """degrees, WGS84"""


class CorridorModel(Strict):
    name: Id
    points: Annotated[list[PlaceModel], Field(min_length=2)]
    """straight in between; joined and left at these, flown both ways"""
    factor: Annotated[float, Gt(0), Le(1)] = 0.8
    """a second on it counts as so much of one elsewhere"""


class PlanningModel(_PlanningNumbers):  # type: ignore[misc]
    corridors: tuple[CorridorModel, ...] = ()
    """ways that departures prefer, such as along a river; they open no zone"""


class FleetFile(Strict):
    """fleet.yaml. Paths are relative to this file, except the store's."""

    name: str = "Coldwing fleet"
    profile: Profile = Profile.DEVELOPMENT
    """production: each vehicle signs, or each of its links is among the authenticated_links"""
    sites: list[SiteModel] = []
    vehicle_types: list[VehicleTypeModel] = []
    """each given here, or by `file:`"""
    vehicles: list[VehicleModel] = []
    boxes: list[BoxModel] = []
    products: list[str] = []
    """stability profiles: files, or folders of them"""
    airspace: list[str] = []
    """airspace files (ED-318, ED-269, GeoJSON), or folders of them"""
    authorised_zones: list[str] = []
    """ids of zones that need an authorisation which this fleet has"""
    terrain: TerrainModel = TerrainModel()
    weather: WeatherModel = WeatherModel()
    policy: PolicyModel = PolicyModel()  # type: ignore[valid-type]
    """numbers of the decision engine"""
    planning: PlanningModel = PlanningModel()
    """numbers every plan obeys"""
    handling: HandlingModel = HandlingModel()
    api: ApiModel = ApiModel()
    mqtt: MqttModel = MqttModel()
    store: StoreModel = StoreModel()
    gcs: GcsModel = GcsModel()
    authenticated_links: list[AuthenticatedLinkModel] = []
    """links that only our own vehicles can reach, by other means than MAVLink signing"""
    recording: RecordingModel = RecordingModel()
