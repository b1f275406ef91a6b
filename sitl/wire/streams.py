"""Telemetry: what each message says about a vehicle, and PX4's default rates on its two links."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sitl.autopilot.autopilot import Autopilot
from sitl.autopilot.modes import ARMED_FLAG

Fields = dict[str, Any]
Stream = Callable[[Autopilot, float], Fields]

PX4 = 12
"""MAV_AUTOPILOT"""
PRESENT, ENABLED = 0x0300402F, 0x0301402F
HEALTH, PREARM_OK, COMPASS_OK = 0x0320C83F, 1 << 28, 1 << 2
"""SYS_STATUS sensor bits as a real PX4 v1.17 SITL sets them"""
FLIGHT_SW_VERSION = 1 << 24 | 17 << 16 | 0 << 8 | 255
"""v1.17.0, release"""
CAPABILITIES = 59647
CELLS = 12
CELL_EMPTY_V, CELL_FULL_V, CELL_OHM = 3.4, 4.15, 0.0025
GPS_FIX_3D = 3
POSITION_OK = 1 << 14
"""of the same health bits: the horizontal position control's"""
ESTIMATES_ALL, ESTIMATES_HEIGHT, GPS_GLITCH = 831, 101, 1024
"""ESTIMATOR_STATUS flags with a position, and once it is lost; and while GPS is disregarded"""


def _clamp(value: float, low: int, high: int) -> int:
    return low if value < low else high if value > high else round(value)


def _i16(value: float) -> int:
    return round(value) if -32768.0 <= value <= 32767.0 else _clamp(value, -32768, 32767)


def _place(p: Autopilot) -> tuple[int, int]:
    lat, lon = p.fleet.seen(p.i)
    return round(lat * 1e7), round(lon * 1e7)


def _home_amsl(p: Autopilot) -> float:
    home = p.navigator.home
    return home.amsl if home else float(p.fleet.ground[p.i])


def _voltage(p: Autopilot) -> tuple[float, float]:
    """Volts and amperes: a linear open-circuit voltage less what the current takes."""
    charge = p.fleet.charge(p.i)
    open_v = CELLS * (CELL_EMPTY_V + (CELL_FULL_V - CELL_EMPTY_V) * charge)
    amps = float(p.fleet.power_w[p.i]) / open_v
    return open_v - amps * CELLS * CELL_OHM, amps


def heartbeat(p: Autopilot, now_s: float) -> Fields:
    return {
        "type": int(p.params["MAV_TYPE"]),
        "autopilot": PX4,
        "base_mode": p.mode.base | (ARMED_FLAG if p.armed else 0),
        "custom_mode": p.mode.custom_mode,
        "system_status": p.system_status(now_s),
        "mavlink_version": 3,
    }


def sys_status(p: Autopilot, now_s: float) -> Fields:
    volts, amps = _voltage(p)
    health = HEALTH & ~COMPASS_OK if p.compass_failed else HEALTH
    health = health if p.position.known else health & ~POSITION_OK
    return {
        "onboard_control_sensors_present": PRESENT,
        "onboard_control_sensors_enabled": ENABLED,
        "onboard_control_sensors_health": health | (PREARM_OK if p.healthy(now_s) else 0),
        "load": 320,
        "voltage_battery": _clamp(volts * 1000.0, 0, 65534),
        "current_battery": _i16(amps * 100.0),
        "battery_remaining": math.ceil(p.fleet.charge(p.i) * 100.0),
    }


def extended_sys_state(p: Autopilot, now_s: float) -> Fields:
    return {"vtol_state": int(p.navigator.vtol.state), "landed_state": p.landed_state()}


def global_position_int(p: Autopilot, now_s: float) -> Fields:
    f, i = p.fleet, p.i
    lat, lon = _place(p)
    alt = f.amsl_m(i)
    return {
        "time_boot_ms": p.boot_ms(now_s),
        "lat": lat,
        "lon": lon,
        "alt": round(alt * 1000.0),
        "relative_alt": round((alt - _home_amsl(p)) * 1000.0),
        "vx": _i16(f.vn.item(i) * 100.0),
        "vy": _i16(f.ve.item(i) * 100.0),
        "vz": _i16(f.vu.item(i) * -100.0),
        "hdg": round(math.degrees(f.yaw.item(i)) * 100.0) % 36000,
    }


def local_position_ned(p: Autopilot, now_s: float) -> Fields:
    f, i, home = p.fleet, p.i, p.navigator.home
    lat, lon = f.seen(i)
    return {
        "time_boot_ms": p.boot_ms(now_s),
        "x": (lat - home.lat) * float(f.per_lat[i]) if home else 0.0,
        "y": (lon - home.lon) * float(f.per_lon[i]) if home else 0.0,
        "z": _home_amsl(p) - f.amsl_m(i),
        "vx": float(f.vn[i]),
        "vy": float(f.ve[i]),
        "vz": -float(f.vu[i]),
    }


def position_target_local_ned(p: Autopilot, now_s: float) -> Fields:
    f, i, home = p.fleet, p.i, p.navigator.home
    return {
        "time_boot_ms": p.boot_ms(now_s),
        "coordinate_frame": 1,
        "x": (float(f.to_lat[i]) - home.lat) * float(f.per_lat[i]) if home else 0.0,
        "y": (float(f.to_lon[i]) - home.lon) * float(f.per_lon[i]) if home else 0.0,
        "z": _home_amsl(p) - float(f.to_alt[i]),
    }


def attitude(p: Autopilot, now_s: float) -> Fields:
    roll, pitch, yaw = p.fleet.attitude(p.i)
    return {"time_boot_ms": p.boot_ms(now_s), "roll": roll, "pitch": pitch, "yaw": yaw}


def _quaternion(p: Autopilot) -> list[float]:
    roll, pitch, yaw = (angle / 2.0 for angle in p.fleet.attitude(p.i))
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    return [
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    ]


def attitude_quaternion(p: Autopilot, now_s: float) -> Fields:
    return {"time_boot_ms": p.boot_ms(now_s), **{f"q{k + 1}": v for k, v in enumerate(_quaternion(p))}}


def attitude_target(p: Autopilot, now_s: float) -> Fields:
    return {"time_boot_ms": p.boot_ms(now_s), "q": _quaternion(p), "thrust": p.fleet.throttle(p.i)}


def servo_output_raw(p: Autopilot, now_s: float) -> Fields:
    pulse = 1000 + round(1000.0 * p.fleet.throttle(p.i)) if p.armed else 900
    return {"time_usec": p.boot_ms(now_s) * 1000 % 2**32, **{f"servo{k}_raw": pulse for k in (1, 2, 3, 4)}}


def vfr_hud(p: Autopilot, now_s: float) -> Fields:
    f, i = p.fleet, p.i
    return {
        # PX4 without an airspeed sensor reports the estimate from wind and ground speed.
        "airspeed": float(f.airspeed[i]),
        "groundspeed": math.hypot(float(f.vn[i]), float(f.ve[i])),
        "heading": round(math.degrees(float(f.yaw[i]))) % 360,
        "throttle": round(100.0 * f.throttle(i)),
        "alt": f.amsl_m(i),
        "climb": float(f.vu[i]),
    }


def altitude(p: Autopilot, now_s: float) -> Fields:
    alt, home = p.fleet.amsl_m(p.i), _home_amsl(p)
    return {
        "time_usec": p.boot_ms(now_s) * 1000,
        "altitude_monotonic": alt,
        "altitude_amsl": alt,
        "altitude_local": alt - home,
        "altitude_relative": alt - home,
        "altitude_terrain": math.nan,
        "bottom_clearance": p.fleet.height_m(p.i),
    }


def gps_raw_int(p: Autopilot, now_s: float) -> Fields:
    f, i = p.fleet, p.i
    # The receiver's own word; what the estimator makes of it is in the position messages.
    lat, lon = f.shifted(i, p.gps.north_m, p.gps.east_m)
    course = math.degrees(math.atan2(float(f.ve[i]), float(f.vn[i])))
    fix = p.navigator.home is not None and p.gps.fix
    return {
        "time_usec": p.boot_ms(now_s) * 1000,
        "fix_type": GPS_FIX_3D if fix else 0,
        "lat": round(lat * 1e7),
        "lon": round(lon * 1e7),
        "alt": round(f.amsl_m(i) * 1000.0),
        "eph": 90 if fix else 10_000,
        "epv": 130 if fix else 10_000,
        "vel": _clamp(100.0 * math.hypot(float(f.vn[i]), float(f.ve[i])), 0, 65534),
        "cog": round(course * 100.0) % 36000,
        "satellites_visible": 16 if fix else 0,
        "alt_ellipsoid": round(f.amsl_m(i) * 1000.0),
        "h_acc": 900 if fix else 100_000,
        "v_acc": 1300 if fix else 100_000,
    }


def battery_status(p: Autopilot, now_s: float) -> Fields:
    volts, amps = _voltage(p)
    used_wh = float(p.fleet.used_wh[p.i])
    charge = p.fleet.charge(p.i)
    thresholds = (("BAT_EMERGEN_THR", 4), ("BAT_CRIT_THR", 3), ("BAT_LOW_THR", 2))
    state = next((level for name, level in thresholds if charge < p.params[name]), 1)
    return {
        "id": 0,
        "battery_function": 0,
        "type": 1,
        "temperature": 32767,
        "voltages": [_clamp(volts * 1000.0, 0, 65534)] + [65535] * 9,
        "current_battery": _i16(amps * 100.0),
        "current_consumed": round(used_wh / (CELLS * 3.7) * 1000.0),
        "energy_consumed": round(used_wh * 36.0),
        "battery_remaining": math.ceil(charge * 100.0),
        "charge_state": state,
    }


def home_position(p: Autopilot, now_s: float) -> Fields:
    home = p.navigator.home
    assert home is not None  # not sent before (see `ready`)
    return {
        "latitude": round(home.lat * 1e7),
        "longitude": round(home.lon * 1e7),
        "altitude": round(home.amsl * 1000.0),
        "q": [1.0, 0.0, 0.0, 0.0],
        "time_usec": p.boot_ms(now_s) * 1000,
    }


def mission_current(p: Autopilot, now_s: float) -> Fields:
    mission, fence, rally = (p.plans[kind] for kind in (0, 1, 2))
    return {
        "seq": min(p.navigator.seq, 65534),
        "total": len(mission.items) or 65535,
        "mission_state": p.mission_state(),
        "mission_mode": 1 if p.in_mission_mode else 2,
        "mission_id": mission.opaque_id,
        "fence_id": fence.opaque_id,
        "rally_points_id": rally.opaque_id,
    }


def wind_cov(p: Autopilot, now_s: float) -> Fields:
    north, east = p.fleet.weather.mean(p.i)
    return {
        "time_usec": p.boot_ms(now_s) * 1000,
        "wind_x": north,
        "wind_y": east,
        "var_horiz": 0.5,
        "wind_alt": math.nan,
    }


def current_mode(p: Autopilot, now_s: float) -> Fields:
    return {
        "standard_mode": p.mode.standard,
        "custom_mode": p.mode.custom_mode,
        "intended_custom_mode": p.intended.custom_mode,
    }


def autopilot_version(p: Autopilot, now_s: float) -> Fields:
    return {
        "capabilities": CAPABILITIES,
        "flight_sw_version": FLIGHT_SW_VERSION,
        "middleware_sw_version": FLIGHT_SW_VERSION,
        "board_version": 1,
        "uid": 0x434F4C4457494E00 + p.spec.system_id,
    }


def protocol_version(p: Autopilot, now_s: float) -> Fields:
    return {"version": 200, "min_version": 100, "max_version": 200}


def estimator_status(p: Autopilot, now_s: float) -> Fields:
    known, glitch = p.position.known, p.position.glitch
    return {
        "time_usec": p.boot_ms(now_s) * 1000,
        "flags": (ESTIMATES_ALL if known else ESTIMATES_HEIGHT) | (GPS_GLITCH if glitch else 0),
        "pos_horiz_ratio": 2.0 if glitch else 0.05,
        "pos_horiz_accuracy": 0.5 if known else 4.0,
        "pos_vert_accuracy": 0.8,
    }


def system_time(p: Autopilot, now_s: float) -> Fields:
    return {"time_unix_usec": int(now_s * 1e6), "time_boot_ms": p.boot_ms(now_s)}


def scaled_pressure(p: Autopilot, now_s: float) -> Fields:
    amsl = p.fleet.amsl_m(p.i)
    pressure = 1013.25 * max(0.1, 1.0 - 2.25577e-5 * amsl) ** 5.25588  # ICAO standard atmosphere
    temperature = p.fleet.weather.ambient_c(amsl)
    return {"time_boot_ms": p.boot_ms(now_s), "press_abs": pressure, "temperature": _i16(temperature * 100.0)}


def vibration(p: Autopilot, now_s: float) -> Fields:
    return {"time_usec": p.boot_ms(now_s) * 1000}


def gps_global_origin(p: Autopilot, now_s: float) -> Fields:
    fields = home_position(p, now_s)
    return {name: fields[name] for name in ("latitude", "longitude", "altitude", "time_usec")}


STREAMS: dict[str, Stream] = {
    "ALTITUDE": altitude,
    "ATTITUDE": attitude,
    "ATTITUDE_QUATERNION": attitude_quaternion,
    "ATTITUDE_TARGET": attitude_target,
    "AUTOPILOT_VERSION": autopilot_version,
    "BATTERY_STATUS": battery_status,
    "CURRENT_MODE": current_mode,
    "ESTIMATOR_STATUS": estimator_status,
    "EXTENDED_SYS_STATE": extended_sys_state,
    "GLOBAL_POSITION_INT": global_position_int,
    "GPS_GLOBAL_ORIGIN": gps_global_origin,
    "GPS_RAW_INT": gps_raw_int,
    "HEARTBEAT": heartbeat,
    "HOME_POSITION": home_position,
    "LOCAL_POSITION_NED": local_position_ned,
    "MISSION_CURRENT": mission_current,
    "POSITION_TARGET_LOCAL_NED": position_target_local_ned,
    "PROTOCOL_VERSION": protocol_version,
    "SCALED_PRESSURE": scaled_pressure,
    "SERVO_OUTPUT_RAW": servo_output_raw,
    "SYSTEM_TIME": system_time,
    "SYS_STATUS": sys_status,
    "VFR_HUD": vfr_hud,
    "VIBRATION": vibration,
    "WIND_COV": wind_cov,
}
NEEDS_HOME = {"HOME_POSITION", "GPS_GLOBAL_ORIGIN", "GLOBAL_POSITION_INT"}
ONLY_ON_REQUEST = {"AUTOPILOT_VERSION", "PROTOCOL_VERSION", "GPS_GLOBAL_ORIGIN"}
NOT_ON_REQUEST = {"CURRENT_MODE", "MISSION_CURRENT"}
"""REQUEST_MESSAGE for it was DENIED by a real PX4 although it is streamed"""
FIXED_RATE = {"HEARTBEAT", "MISSION_CURRENT"}
"""SET_MESSAGE_INTERVAL for it FAILED; the mission manager sends its own once a second"""

GCS_RATES: dict[str, float] = {
    **dict.fromkeys(
        (
            "ATTITUDE",
            "ATTITUDE_QUATERNION",
            "ATTITUDE_TARGET",
            "GLOBAL_POSITION_INT",
            "LOCAL_POSITION_NED",
            "POSITION_TARGET_LOCAL_NED",
            "SERVO_OUTPUT_RAW",
        ),
        50.0,
    ),
    "GPS_RAW_INT": 5.0,
    "VFR_HUD": 4.0,
    **dict.fromkeys(
        ("ALTITUDE", "EXTENDED_SYS_STATE", "HEARTBEAT", "MISSION_CURRENT", "SCALED_PRESSURE", "SYS_STATUS"), 1.0
    ),
    **dict.fromkeys(("BATTERY_STATUS", "CURRENT_MODE", "ESTIMATOR_STATUS", "HOME_POSITION", "WIND_COV"), 0.5),
    "VIBRATION": 0.1,
}
"""Hz, from the recordings; messages about sensors this vehicle lacks are left out"""
RESTORED_HZ: dict[str, dict[str, float]] = {
    "gcs": {
        "ATTITUDE": 15.0,
        "ATTITUDE_QUATERNION": 10.0,
        "ATTITUDE_TARGET": 2.0,
        "GLOBAL_POSITION_INT": 5.0,
        "LOCAL_POSITION_NED": 1.0,
        "POSITION_TARGET_LOCAL_NED": 1.5,
        "SERVO_OUTPUT_RAW": 1.0,
    }
}
"""Hz by link: what SET_MESSAGE_INTERVAL 0 goes back to, where SITL's start-up script asks for more than PX4 itself"""
ONBOARD_RATES: dict[str, float] = {
    "ATTITUDE": 100.0,
    **dict.fromkeys(("ATTITUDE_QUATERNION", "GLOBAL_POSITION_INT"), 50.0),
    "LOCAL_POSITION_NED": 30.0,
    **dict.fromkeys(("ALTITUDE", "ATTITUDE_TARGET", "POSITION_TARGET_LOCAL_NED", "SERVO_OUTPUT_RAW", "VFR_HUD"), 10.0),
    "GPS_RAW_INT": 8.0,
    **dict.fromkeys(("EXTENDED_SYS_STATE", "SYS_STATUS"), 5.0),
    **dict.fromkeys(("ESTIMATOR_STATUS", "HEARTBEAT", "MISSION_CURRENT", "SCALED_PRESSURE", "SYSTEM_TIME"), 1.0),
    **dict.fromkeys(("BATTERY_STATUS", "CURRENT_MODE", "HOME_POSITION", "VIBRATION", "WIND_COV"), 0.5),
}
