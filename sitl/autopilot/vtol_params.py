"""What a standard VTOL's parameters have besides or instead of a multirotor's: rc.vtol_defaults and its modules'."""

from __future__ import annotations

from sitl.spec import Performance

INTS = {
    "COM_QC_ACT": 0,
    "MAV_TYPE": 22,
    "MIS_TKO_LAND_REQ": 2,
    "NAV_FORCE_VT": 1,
    "RTL_TYPE": 1,
    "SYS_AUTOSTART": 10043,
    "SYS_HAS_NUM_ASPD": 1,
    "VT_TYPE": 2,
}
_FLOATS = {
    "FW_R_LIM": 50.0,
    "MIS_TAKEOFF_ALT": 20.0,
    "MIS_YAW_ERR": 12.0,
    "MIS_YAW_TMT": 10.0,
    "MPC_XY_CRUISE": 5.0,
    "MPC_XY_VEL_MAX": 8.0,
    "NAV_ACC_RAD": 10.0,
    "NAV_FW_ALT_RAD": 10.0,
    "NAV_LOITER_RAD": 80.0,
    "RTL_DESCEND_ALT": 30.0,
    "RTL_LOITER_RAD": 80.0,
    "RTL_RETURN_ALT": 60.0,
    "VT_B_DEC_MSS": 2.0,
    "VT_B_TRANS_DUR": 10.0,
    "VT_F_TRANS_DUR": 5.0,
    "VT_F_TRANS_THR": 1.0,
    "VT_F_TR_OL_TM": 6.0,
    "VT_TRANS_MIN_TM": 2.0,
    "VT_TRANS_TIMEOUT": 15.0,
}
TRANSITION_SHARE, BLEND_SHARE = 0.7, 0.5
"""of cruise airspeed. PX4's defaults, 10 and 8 m/s, are for a wing that cruises at 15"""


def floats(performance: Performance) -> dict[str, float]:
    """PX4's defaults, and what an integrator sets for the wing."""
    cruise = performance.cruise_m_s
    return _FLOATS | {
        "FW_AIRSPD_MAX": performance.max_airspeed_m_s,
        "FW_AIRSPD_MIN": TRANSITION_SHARE * cruise,
        "FW_AIRSPD_TRIM": cruise,
        "FW_T_CLMB_R_SP": performance.climb_m_s,
        "FW_T_SINK_R_SP": performance.descent_m_s,
        "VT_ARSP_BLEND": BLEND_SHARE * cruise,
        "VT_ARSP_TRANS": TRANSITION_SHARE * cruise,
    }
