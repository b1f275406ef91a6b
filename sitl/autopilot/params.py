"""PX4 parameters: the ones that matter here, with PX4's types, answers and
multirotor defaults (rc.mc_defaults).

A type is MAV_PARAM_TYPE: 5 UINT32 (of the checksum alone), 6 INT32 (both travel bytewise in the float), 9 REAL32.
"""

from __future__ import annotations

import binascii
import struct

from sitl.autopilot import vtol_params
from sitl.spec import Performance

UINT32, INT32, REAL32 = 5, 6, 9
HASH_NAME, HASH_INDEX = "_HASH_CHECK", 65535

_INTS = {
    "CBRK_SUPPLY_CHK": 0,
    "COM_ARMABLE": 1,
    "COM_DL_LOSS_T": 10,
    "COM_FLTMODE1": -1,
    "COM_FLTT_LOW_ACT": 0,
    "COM_LOW_BAT_ACT": 0,
    "COM_RCL_EXCEPT": 0,
    "COM_RC_IN_MODE": 1,
    "COM_RC_OVERRIDE": 1,
    "GF_ACTION": 2,
    "GF_PREDICT": 0,
    "GF_SOURCE": 0,
    "MAV_COMP_ID": 1,
    "MAV_SYS_ID": 1,
    "MAV_TYPE": 2,
    "MIS_TKO_LAND_REQ": 0,
    "NAV_DLL_ACT": 0,
    "NAV_RCL_ACT": 2,
    "PD_GRIPPER_TYPE": 0,
    "RTL_CONE_ANG": 45,
    "RTL_TYPE": 0,
    "SYS_AUTOSTART": 10040,
    "SYS_HAS_MAG": 1,
}
_FLOATS = {
    "BAT_CRIT_THR": 0.07,
    "BAT_EMERGEN_THR": 0.05,
    "BAT_LOW_THR": 0.15,
    "COM_DISARM_LAND": 2.0,
    "COM_DISARM_PRFLT": 10.0,
    "COM_FAIL_ACT_T": 5.0,
    "COM_OBC_LOSS_T": 5.0,
    "COM_OF_LOSS_T": 1.0,
    "COM_RC_LOSS_T": 1.0,
    "COM_RC_STICK_OV": 30.0,
    "GF_MAX_HOR_DIST": 0.0,
    "GF_MAX_VER_DIST": 0.0,
    "MIS_DIST_1WP": 10000.0,
    "MIS_TAKEOFF_ALT": 2.5,
    "MPC_LAND_SPEED": 0.7,
    "MPC_TKO_SPEED": 1.5,
    "MPC_XY_CRUISE": 5.0,
    "MPC_XY_VEL_MAX": 12.0,
    "MPC_Z_V_AUTO_DN": 1.5,
    "MPC_Z_V_AUTO_UP": 3.0,
    "NAV_ACC_RAD": 2.0,
    "NAV_MC_ALT_RAD": 0.8,
    "PD_GRIPPER_TO": 1.0,
    "RTL_DESCEND_ALT": 10.0,
    "RTL_LAND_DELAY": 0.0,
    "RTL_MIN_DIST": 10.0,
    "RTL_RETURN_ALT": 30.0,
    "SIM_BAT_DRAIN": 60.0,
    "SIM_BAT_MIN_PCT": 50.0,
}


class Params(dict[str, float]):
    """One vehicle's parameters by name. Values are kept as PX4 keeps them: 32-bit integers and 32-bit floats."""

    def __init__(
        self,
        system_id: int,
        performance: Performance,
        overrides: tuple[tuple[str, float], ...],
        *,
        vtol: bool = False,
    ) -> None:
        self.types = dict.fromkeys(_INTS, INT32) | dict.fromkeys(_FLOATS, REAL32)
        values: dict[str, float] = {**_INTS, **_FLOATS}
        # What an integrator sets for the airframe.
        values |= {
            "MAV_SYS_ID": system_id,
            "MPC_XY_CRUISE": performance.cruise_m_s,
            "MPC_XY_VEL_MAX": max(12.0, performance.cruise_m_s),
            "MPC_Z_V_AUTO_UP": performance.climb_m_s,
            "MPC_Z_V_AUTO_DN": performance.descent_m_s,
            "MPC_TKO_SPEED": performance.climb_m_s,
        }
        if vtol:
            wing = vtol_params.floats(performance)
            self.types |= dict.fromkeys(vtol_params.INTS, INT32) | dict.fromkeys(wing, REAL32)
            values |= {**vtol_params.INTS, **wing}
        for name, value in overrides:
            self.types.setdefault(name, REAL32 if value != int(value) else INT32)
            values[name] = value
        self.names = sorted(values)
        super().__init__((name, _narrow(values[name], self.types[name])) for name in self.names)

    def wire(self, name: str) -> dict[str, object] | None:
        """PARAM_VALUE's fields; None for a name PX4 does not know (it stays silent)."""
        if name == HASH_NAME:
            return self._fields(name, _bytewise(self.hash(), "<I"), UINT32, HASH_INDEX)
        if name not in self:
            return None
        kind = self.types[name]
        value = _bytewise(int(self[name])) if kind == INT32 else self[name]
        return self._fields(name, value, kind, self.names.index(name))

    def _fields(self, name: str, value: float, kind: int, index: int) -> dict[str, object]:
        return {
            "param_id": name.encode(),
            "param_value": value,
            "param_type": kind,
            "param_count": len(self.names),
            "param_index": index,
        }

    def set_from_wire(self, name: str, value: float, kind: int) -> bool:
        """PARAM_SET: takes any value of the right type, however senseless; False where PX4 would not answer."""
        if name not in self or kind != self.types[name]:
            return False
        self[name] = struct.unpack("<i", struct.pack("<f", value))[0] if kind == INT32 else value
        return True

    def hash(self) -> int:
        """Changes with any value; unsigned 32 bit like PX4's."""
        crc = 0
        for name in self.names:
            kind = "<i" if self.types[name] == INT32 else "<f"
            value = int(self[name]) if kind == "<i" else self[name]
            crc = binascii.crc32(name.encode() + struct.pack(kind, value), crc)
        return crc


def _narrow(value: float, kind: int) -> float:
    return int(value) if kind == INT32 else float(struct.unpack("<f", struct.pack("<f", value))[0])


def _bytewise(value: int, kind: str = "<i") -> float:
    """The float whose bytes are the integer's."""
    return float(struct.unpack("<f", struct.pack(kind, value))[0])
