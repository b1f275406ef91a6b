"""The MAVLink messages the controller reads or writes, each as a tuple in wire order.

One definition serves both directions: `Spec.layout` packs the tuple and unpacks it. Field names and units are
MAVLink's own (common.xml); arrays stay bytes until somebody wants them.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, ClassVar, NamedTuple, TypeAlias


class Heartbeat(NamedTuple):
    custom_mode: int
    type: int
    autopilot: int
    base_mode: int
    system_status: int
    mavlink_version: int = 3


class SysStatus(NamedTuple):
    onboard_control_sensors_present: int
    onboard_control_sensors_enabled: int
    onboard_control_sensors_health: int
    load: int
    voltage_battery: int
    current_battery: int
    drop_rate_comm: int
    errors_comm: int
    errors_count1: int
    errors_count2: int
    errors_count3: int
    errors_count4: int
    battery_remaining: int
    onboard_control_sensors_present_extended: int = 0
    onboard_control_sensors_enabled_extended: int = 0
    onboard_control_sensors_health_extended: int = 0


class SystemTime(NamedTuple):
    time_unix_usec: int
    time_boot_ms: int


class Ping(NamedTuple):
    time_usec: int
    seq: int
    target_system: int
    target_component: int


class ParamRequestRead(NamedTuple):
    param_index: int
    target_system: int
    target_component: int
    param_id: bytes


class ParamRequestList(NamedTuple):
    target_system: int
    target_component: int


class ParamValue(NamedTuple):
    param_value: bytes
    """a float, or an INT32 bytewise"""
    param_count: int
    param_index: int
    param_id: bytes
    param_type: int


class ParamSet(NamedTuple):
    param_value: bytes
    target_system: int
    target_component: int
    param_id: bytes
    param_type: int


class GpsRawInt(NamedTuple):
    time_usec: int
    lat: int
    lon: int
    alt: int
    eph: int
    epv: int
    vel: int
    cog: int
    fix_type: int
    satellites_visible: int
    alt_ellipsoid: int = 0
    h_acc: int = 0
    v_acc: int = 0
    vel_acc: int = 0
    hdg_acc: int = 0
    yaw: int = 0


class Attitude(NamedTuple):
    """Its time alone: nobody here asks for the angles, and before it is thinned it is a third of all traffic."""

    time_boot_ms: int


class GlobalPositionInt(NamedTuple):
    time_boot_ms: int
    lat: int
    lon: int
    alt: int
    relative_alt: int
    vx: int
    vy: int
    vz: int
    hdg: int


class MissionRequest(NamedTuple):
    seq: int
    target_system: int
    target_component: int
    mission_type: int = 0


class MissionCurrent(NamedTuple):
    seq: int
    total: int = 0
    mission_state: int = 0
    mission_mode: int = 0
    mission_id: int = 0
    fence_id: int = 0
    rally_points_id: int = 0


class MissionRequestList(NamedTuple):
    target_system: int
    target_component: int
    mission_type: int = 0


class MissionCount(NamedTuple):
    count: int  # type: ignore[assignment]
    target_system: int
    target_component: int
    mission_type: int = 0
    opaque_id: int = 0


class MissionClearAll(NamedTuple):
    target_system: int
    target_component: int
    mission_type: int = 0


class MissionItemReached(NamedTuple):
    seq: int


class MissionAck(NamedTuple):
    target_system: int
    target_component: int
    type: int
    mission_type: int = 0
    opaque_id: int = 0


class MissionRequestInt(NamedTuple):
    seq: int
    target_system: int
    target_component: int
    mission_type: int = 0


class MissionItemInt(NamedTuple):
    param1: float
    param2: float
    param3: float
    param4: float
    x: int
    y: int
    z: float
    seq: int
    command: int
    target_system: int
    target_component: int
    frame: int
    current: int = 0
    autocontinue: int = 1
    mission_type: int = 0


class VfrHud(NamedTuple):
    airspeed: float
    groundspeed: float
    alt: float
    climb: float
    heading: int
    throttle: int


class CommandInt(NamedTuple):
    param1: float
    param2: float
    param3: float
    param4: float
    x: int
    y: int
    z: float
    command: int
    target_system: int
    target_component: int
    frame: int
    current: int = 0
    autocontinue: int = 0


class CommandLong(NamedTuple):
    param1: float
    param2: float
    param3: float
    param4: float
    param5: float
    param6: float
    param7: float
    command: int
    target_system: int
    target_component: int
    confirmation: int = 0


class CommandAck(NamedTuple):
    command: int
    result: int
    progress: int = 0
    result_param2: int = 0
    target_system: int = 0
    target_component: int = 0


class TimeSync(NamedTuple):
    tc1: int
    ts1: int
    target_system: int = 0
    target_component: int = 0


class BatteryStatus(NamedTuple):
    current_consumed: int
    energy_consumed: int
    temperature: int
    voltages: bytes
    """uint16[10], millivolts"""
    current_battery: int
    id: int
    battery_function: int
    type: int
    battery_remaining: int
    time_remaining: int = 0
    charge_state: int = 0
    voltages_ext: bytes = bytes(8)
    """uint16[4]"""
    mode: int = 0
    fault_bitmask: int = 0


class AutopilotVersion(NamedTuple):
    capabilities: int
    uid: int
    flight_sw_version: int
    middleware_sw_version: int
    os_sw_version: int
    board_version: int
    vendor_id: int
    product_id: int
    flight_custom_version: bytes
    middleware_custom_version: bytes
    os_custom_version: bytes
    uid2: bytes = bytes(18)


class WindCov(NamedTuple):
    time_usec: int
    wind_x: float
    wind_y: float
    wind_z: float
    var_horiz: float
    var_vert: float
    wind_alt: float
    horiz_accuracy: float
    vert_accuracy: float


class HomePosition(NamedTuple):
    latitude: int
    longitude: int
    altitude: int
    x: float
    y: float
    z: float
    q: bytes
    """float[4]"""
    approach_x: float
    approach_y: float
    approach_z: float
    time_usec: int = 0


class MessageInterval(NamedTuple):
    interval_us: int
    message_id: int


class ExtendedSysState(NamedTuple):
    vtol_state: int
    landed_state: int


class StatusText(NamedTuple):
    severity: int
    text: bytes
    id: int = 0
    chunk_seq: int = 0


class Event(NamedTuple):
    id: int
    event_time_boot_ms: int
    sequence: int
    destination_component: int
    destination_system: int
    log_levels: int
    """internal level in the high four bits, external (MAV_SEVERITY) in the low four"""
    arguments: bytes


class CurrentEventSequence(NamedTuple):
    sequence: int
    flags: int


class RequestEvent(NamedTuple):
    first_sequence: int
    last_sequence: int
    target_system: int
    target_component: int


Message: TypeAlias = (
    Heartbeat
    | SysStatus
    | SystemTime
    | Ping
    | ParamRequestRead
    | ParamRequestList
    | ParamValue
    | ParamSet
    | GpsRawInt
    | Attitude
    | GlobalPositionInt
    | MissionRequest
    | MissionCurrent
    | MissionRequestList
    | MissionCount
    | MissionClearAll
    | MissionItemReached
    | MissionAck
    | MissionRequestInt
    | MissionItemInt
    | VfrHud
    | CommandInt
    | CommandLong
    | CommandAck
    | TimeSync
    | BatteryStatus
    | AutopilotVersion
    | WindCov
    | HomePosition
    | MessageInterval
    | ExtendedSysState
    | StatusText
    | Event
    | CurrentEventSequence
    | RequestEvent
)


class Spec:
    """How one message lies on the wire. `base_size` is the size without extensions: all that MAVLink 1 carries."""

    __slots__ = ("base_size", "cls", "layout", "make", "msg_id", "size")

    by_id: ClassVar[dict[int, Spec]] = {}
    by_class: ClassVar[dict[type[Any], Spec]] = {}

    def __init__(self, msg_id: int, cls: type[Any], base: str, extensions: str = "") -> None:
        self.msg_id = msg_id
        self.cls = cls
        self.make = cls._make
        self.layout = Struct("<" + base + extensions)
        self.base_size = Struct("<" + base).size
        self.size = self.layout.size
        Spec.by_id[msg_id] = self
        Spec.by_class[cls] = self


for _row in (
    (0, Heartbeat, "IBBBBB"),
    (1, SysStatus, "IIIHHhHHHHHHb", "III"),
    (2, SystemTime, "QI"),
    (4, Ping, "QIBB"),
    (20, ParamRequestRead, "hBB16s"),
    (21, ParamRequestList, "BB"),
    (22, ParamValue, "4sHH16sB"),
    (23, ParamSet, "4sBB16sB"),
    (24, GpsRawInt, "QiiiHHHHBB", "iIIIIH"),
    (30, Attitude, "I"),
    (33, GlobalPositionInt, "IiiiihhhH"),
    (40, MissionRequest, "HBB", "B"),
    (42, MissionCurrent, "H", "HBBIII"),
    (43, MissionRequestList, "BB", "B"),
    (44, MissionCount, "HBB", "BI"),
    (45, MissionClearAll, "BB", "B"),
    (46, MissionItemReached, "H"),
    (47, MissionAck, "BBB", "BI"),
    (51, MissionRequestInt, "HBB", "B"),
    (73, MissionItemInt, "ffffiifHHBBBBB", "B"),
    (74, VfrHud, "ffffhH"),
    (75, CommandInt, "ffffiifHBBBBB"),
    (76, CommandLong, "fffffffHBBB"),
    (77, CommandAck, "HB", "BiBB"),
    (111, TimeSync, "qq", "BB"),
    (147, BatteryStatus, "iih20shBBBb", "iB8sBI"),
    (148, AutopilotVersion, "QQIIIIHH8s8s8s", "18s"),
    (231, WindCov, "Qffffffff"),
    (242, HomePosition, "iiifff16sfff", "Q"),
    (244, MessageInterval, "iH"),
    (245, ExtendedSysState, "BB"),
    (253, StatusText, "B50s", "HB"),
    (410, Event, "IIHBBB40s"),
    (411, CurrentEventSequence, "HB"),
    (412, RequestEvent, "HHBB"),
):
    Spec(*_row)
