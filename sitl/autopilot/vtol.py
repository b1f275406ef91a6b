"""The transitions of a standard VTOL as PX4's vtol_att_control makes them, and the parameters of its kind."""

from __future__ import annotations

from enum import IntEnum
from math import hypot, radians

from sitl.autopilot.events import Level
from sitl.autopilot.outlet import Outlet
from sitl.autopilot.params import Params
from sitl.vehicle.dynamics import FleetState
from sitl.vehicle.wing import PUSH_M_S2, Regime


class VtolState(IntEnum):
    """MAV_VTOL_STATE."""

    NONE = 0
    """no VTOL"""
    TO_FW = 1
    TO_MC = 2
    MC = 3
    FW = 4


_REGIMES = {
    VtolState.TO_FW: Regime.PUSHING,
    VtolState.TO_MC: Regime.BRAKING,
    VtolState.MC: Regime.ROTORS,
    VtolState.FW: Regime.WING,
}


class Transitions:
    """Of vehicle i. A multirotor has none: its state stays NONE, and every request is without effect."""

    def __init__(self, i: int, fleet: FleetState, params: Params, out: Outlet) -> None:
        self.i, self.fleet, self.params, self.out = i, fleet, params, out
        self.winged = bool(fleet.wings.fitted[i])
        self.state = VtolState.MC if self.winged else VtolState.NONE
        self.failed = False
        """the last one to forward flight was given up (quad-chute); a new request tries again"""
        self._since_s = 0.0

    @property
    def on_rotors(self) -> bool:
        """The multirotor's laws of motion hold."""
        return self.state in (VtolState.NONE, VtolState.MC)

    @property
    def on_wing(self) -> bool:
        """What PX4 calls its vehicle type fixed-wing."""
        return self.state is VtolState.FW

    def request(self, now_s: float, *, wing: bool) -> None:
        """DO_VTOL_TRANSITION: begins one, unless it flies so already or is about to."""
        if wing and self.state in (VtolState.MC, VtolState.TO_MC):
            self.failed = False
            self.fleet.wings.push[self.i] = PUSH_M_S2 * self.params["VT_F_TRANS_THR"]
            self._enter(VtolState.TO_FW, now_s)
        elif not wing and self.state is VtolState.FW:
            self._enter(VtolState.TO_MC, now_s)
        elif not wing and self.state is VtolState.TO_FW:
            self._enter(VtolState.MC, now_s)  # rotors have carried it all the time

    def quad_chute(self, now_s: float, event: str) -> None:
        """Rotors at once. COM_QC_ACT 0, PX4's default, does nothing more: a mission waits in the hover."""
        self.failed = True
        self._enter(VtolState.MC, now_s)
        self.out.text(Level.CRITICAL, "Quad-chute triggered")
        self.out.event(event, Level.CRITICAL)

    def landed(self, now_s: float) -> None:
        """On the ground it stands on its rotors."""
        if self.winged and self.state is not VtolState.MC:
            self._enter(VtolState.MC, now_s)

    def _enter(self, state: VtolState, now_s: float) -> None:
        self.state, self._since_s = state, now_s
        self.fleet.wings.bank_limit[self.i] = radians(self.params["FW_R_LIM"])
        self.fleet.wings.enter(self.i, _REGIMES[state])

    def tick(self, now_s: float) -> None:
        """Ends what has run its course."""
        elapsed_s = now_s - self._since_s
        if self.state is VtolState.TO_FW:
            airspeed = self.fleet.wings.pitot_m_s(self.fleet, self.i)
            if elapsed_s > self.params["VT_TRANS_MIN_TM"] and airspeed >= self.params["VT_ARSP_TRANS"]:
                self._enter(VtolState.FW, now_s)
            elif elapsed_s > self.params["VT_TRANS_TIMEOUT"] or (
                elapsed_s > self.params["VT_F_TR_OL_TM"] and airspeed < self.params["VT_ARSP_BLEND"]
            ):
                self.quad_chute(now_s, "vtol_att_ctrl_quadchute_tout")
        elif self.state is VtolState.TO_MC:
            ground = hypot(float(self.fleet.vn[self.i]), float(self.fleet.ve[self.i]))
            if ground < self.params["MPC_XY_CRUISE"] or elapsed_s > self.params["VT_B_TRANS_DUR"]:
                self._enter(VtolState.MC, now_s)

    def brake_m(self) -> float:
        """How far before a place PX4 begins the back transition: v² / 2a with VT_B_DEC_MSS."""
        v = hypot(float(self.fleet.vn[self.i]), float(self.fleet.ve[self.i]))
        return v * v / (2.0 * self.params["VT_B_DEC_MSS"])
