"""What goes wrong with a real PX4: which of the faults its simulator SIH can play, and by which of PX4's own commands.

Nothing here goes over a MAVLink link: the controller would hear of it. Sources: PX4 v1.17's battery_simulator,
sensor_gps_sim, sensor_mag_sim and simulator_sih.
"""

from __future__ import annotations

from dataclasses import dataclass

from sitl.faults import VehicleTroubles
from sitl.px4 import QUAD, VTOL, Px4Vehicle, text
from sitl.spec import SimSpec, VehicleSpec
from sitl.vehicle.power import G_M_S2

IMPOSSIBLE = {
    "gps_jump": "SIH's GPS has no offset: it reports where the vehicle is",
    "gps_drift": "SIH's GPS has no offset: it reports where the vehicle is",
    "wind_change": "SIH's air is still",
}
"""kinds of faults, and why"""
MODELS = {"quad": QUAD, "vtol": VTOL}
THRUST_N = {QUAD: 5.0, VTOL: 2.0}
"""SIH_T_MAX of each model: thrust of one rotor"""
SIH_KG = 1.0
"""SIH_MASS of the quadrotor"""
CRUISE_TILT = 0.7
"""horizontal force per weight in cruise, 35°: SIH's drag is chosen for that, which leaves thrust to steer with"""
SATELLITES = 10
"""SIM_GPS_USED; below 4 there is no fix"""
DRAIN_S = 1.0
"""the shortest SIM_BAT_DRAIN: seconds from full to empty while armed"""
SAG_S = 3.0
"""longer than any share takes at DRAIN_S, as a PX4 on a busy machine falls behind the clock"""
GROUND_START_S = 60.0
"""COM_DISARM_PRFLT: PX4's 10 s are over before a slow machine has taken off"""


@dataclass(frozen=True, slots=True)
class Run:
    """One of PX4's commands, as `Px4Instance.run` takes it."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    seconds_s: float
    """of simulated time"""


@dataclass(frozen=True, slots=True)
class Restart:
    """Off and on again, there where it stands."""


Deed = Run | Wait | Restart


def impossible(spec: SimSpec) -> list[str]:
    """What of this world no real PX4 can fly, each with the reason; empty: it can be flown."""
    world = spec.world
    said = []
    if any((world.wind_north_m_s, world.wind_east_m_s, world.gust_m_s)) or world.fronts:
        said.append(f"wind: {IMPOSSIBLE['wind_change']}")
    if world.terrain.hills or world.terrain.grid is not None:
        said.append("terrain: SIH's ground is level, at the height of each vehicle's home")
    said += [
        f"vehicle {v.vehicle_id}: SIH's battery is full at every arming" for v in spec.vehicles if v.battery_pct < 100.0
    ]
    said += [f"fault {f.name or f.kind}: {IMPOSSIBLE[f.kind]}" for f in spec.faults if f.kind in IMPOSSIBLE]
    return said


def vehicles_of(spec: SimSpec) -> list[Px4Vehicle]:
    """The same fleet as PX4 instances: at their places, on level ground, as fast, with batteries that last as long."""
    return [
        Px4Vehicle(
            (v.lat_deg, v.lon_deg, spec.world.ground_amsl_m),
            MODELS[v.model],
            params_of(v),
            index=v.system_id - 1,
        )
        for v in spec.vehicles
    ]


def params_of(vehicle: VehicleSpec) -> dict[str, float]:
    """What makes SIH's small vehicle fly like this one. A VTOL keeps SIH's own speeds: 10 m/s on its wing."""
    fit = vehicle.performance
    params = {"SIM_BAT_DRAIN": endurance_s(vehicle), "SIM_BAT_MIN_PCT": 0.0, "COM_DISARM_PRFLT": GROUND_START_S}
    if vehicle.model == "quad":
        params |= {
            "SIH_KDV": round(SIH_KG * G_M_S2 * CRUISE_TILT / fit.cruise_m_s, 3),
            "MPC_XY_CRUISE": fit.cruise_m_s,
            "MPC_XY_VEL_MAX": fit.max_airspeed_m_s,
            "MPC_Z_V_AUTO_UP": fit.climb_m_s,
            "MPC_Z_VEL_MAX_UP": fit.climb_m_s,
            "MPC_Z_V_AUTO_DN": fit.descent_m_s,
            "MPC_Z_VEL_MAX_DN": fit.descent_m_s,
        }
    return params | dict(vehicle.params)


def endurance_s(vehicle: VehicleSpec) -> float:
    """SIH's battery empties evenly while armed: as it would in cruise."""
    return round(3600.0 * vehicle.performance.battery_wh / vehicle.performance.cruise_power_w)


def deeds(vehicle: VehicleSpec, before: VehicleTroubles, now: VehicleTroubles, battery_pct: float) -> list[Deed]:
    """What turns the one state into the other, in order; `battery_pct` is what is left now."""
    todo: list[Deed] = []
    drain_s = endurance_s(vehicle) / max(now.drain, 1e-3)
    if now.charge_lost > before.charge_lost:
        # SIM_BAT_MIN_PCT holds the fall where it is to end.
        left_pct = max(0.0, battery_pct - 100.0 * (now.charge_lost - before.charge_lost))
        todo += [_set("SIM_BAT_MIN_PCT", left_pct), _set("SIM_BAT_DRAIN", DRAIN_S), Wait(SAG_S)]
        todo += [_set("SIM_BAT_DRAIN", drain_s), _set("SIM_BAT_MIN_PCT", 0.0)]
    elif now.drain != before.drain:
        todo.append(_set("SIM_BAT_DRAIN", drain_s))
    if now.gps_lost != before.gps_lost:
        todo.append(_set("SIM_GPS_USED", 0 if now.gps_lost else SATELLITES))
    if now.compass_failed != before.compass_failed:
        todo.append(Run(("sensor_mag_sim", "stop" if now.compass_failed else "start")))
    if now.thrust_lost != before.thrust_lost:
        todo.append(_set("SIH_T_MAX", THRUST_N[MODELS[vehicle.model]] * (1.0 - now.thrust_lost)))
    if now.reboots > before.reboots:
        todo.append(Restart())
    return todo


def _set(name: str, value: float) -> Run:
    return Run(("param", "set", name, text(value), "fail"))
