"""The point of no return, known ahead: how far a vehicle may follow its plan and still get home above the reserve.

Reckoned by a way home that is certainly there: back along the plan to where the vehicle is now, and from here by the
way home that was just planned. Where home lies behind, that is the way itself; else there may be a shorter one, and the
point moves on as it comes nearer, never back.
"""

from __future__ import annotations

from geofences.geodesy import bearing_deg
from missions.decision.types import Forecast, NoReturn
from missions.energy import leg_energy
from missions.plan import Leg, Plan
from missions.routing.conflict import progress
from missions.snapshot import Position, Wind
from missions.vehicles import VehicleType


def point_of_no_return(
    plan: Plan,
    here: Position,
    vehicle: VehicleType,
    payload_kg: float,
    wind: Wind,
    home: Forecast,
    *,
    least_pct: float,
    sds: float,
    per_planned: Forecast,
    now_s: float,
) -> NoReturn | None:
    """Where `home`, the battery at touchdown there if it turned now, has sunk to `least_pct`; None: not on the plan.

    `sds`: so many standard deviations below the mean must be enough. `per_planned`: what is really
    drawn for each percent that the way out and back is planned to take.
    """
    spare_pct = home.mean - sds * home.sd - least_pct
    if spare_pct < 0.0:
        return NoReturn(0.0, now_s)
    at = progress(plan, here.point, here.alt_amsl_m)
    distance_m, time_s = 0.0, 0.0
    for i, leg in enumerate(plan.legs[at.leg_index :]):
        share = 1.0 - min(1.0, at.along_m / leg.length_m) if i == 0 and leg.length_m > 0.0 else 1.0
        back_wh = _back_wh(leg, vehicle, payload_kg, wind)
        if back_wh is None:
            return NoReturn(distance_m, now_s + time_s)
        planned_pct = 100.0 * share * (leg.energy_wh + back_wh) / vehicle.battery_wh
        takes_pct = (per_planned.mean + sds * per_planned.sd) * planned_pct
        flown = share if takes_pct <= spare_pct else share * spare_pct / takes_pct
        distance_m += flown * leg.length_m
        time_s += flown * (leg.end.eta_s - leg.start.eta_s)
        if takes_pct > spare_pct:
            return NoReturn(distance_m, now_s + time_s)
        spare_pct -= takes_pct
    return None


def _back_wh(leg: Leg, vehicle: VehicleType, payload_kg: float, wind: Wind) -> float | None:
    """The same leg flown back; None where the wind does not let it be held."""
    cost = leg_energy(
        vehicle,
        payload_kg,
        length_m=leg.length_m,
        track_deg=bearing_deg(leg.end.position, leg.start.position) if leg.length_m > 0.0 else 0.0,
        climb_m=leg.start.alt_amsl_m - leg.end.alt_amsl_m,
        wind=wind,
    )
    return None if cost is None else cost.energy_wh
