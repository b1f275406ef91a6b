"""What is left of a plan from where its vehicle is: the time it takes, and the battery at its end."""

from __future__ import annotations

from geofences.geodesy import bearing_deg, distance_m
from missions.decision.types import Forecast
from missions.draw import Draw, end_pct, left_pct
from missions.energy import FREE, climb_cost, hover_cost, leg_energy
from missions.plan import Ending, Plan, Waypoint
from missions.planning import DROP_HOVER_S
from missions.routing.conflict import progress
from missions.snapshot import Position, VehicleState, Wind
from missions.vehicles import VehicleType


def energy_end(
    plan: Plan, state: VehicleState, vehicle: VehicleType, payload_kg: float, draw: Draw | None = None
) -> Forecast | None:
    """Battery percent at the end of the plan (with its way home after a drop), from the present battery and place.

    What is left to fly costs what the plan says, or what it costs in the wind of now where that is more; and by what
    the vehicle is known to draw for it.
    """
    if state.battery is None or state.position is None:
        return None
    at = progress(plan, state.position.value.point, state.position.value.alt_amsl_m)
    leg = plan.legs[at.leg_index]
    flown = min(1.0, max(0.0, at.along_m / leg.length_m)) if leg.length_m > 0 else 0.0
    flown_wh = sum(leg.energy_wh for leg in plan.legs[: at.leg_index]) + flown * leg.energy_wh
    to_go_wh = max(0.0, plan.energy.use_wh - flown_wh)
    loaded_wh, empty_wh = _to_go_wh(plan, at.leg_index, flown, vehicle, payload_kg, wind_of(state))
    in_wind_wh = loaded_wh + empty_wh
    pct = 100.0 * max(to_go_wh, in_wind_wh) / vehicle.battery_wh
    empty_pct = pct * empty_wh / in_wind_wh if in_wind_wh > 0.0 and payload_kg > 0.0 else 0.0
    return end_pct(draw, left_pct(draw, state), pct - empty_pct, empty_pct)


def _to_go_wh(
    plan: Plan, leg_index: int, flown: float, vehicle: VehicleType, payload_kg: float, wind: Wind
) -> tuple[float, float]:
    """Of the rest of the plan in this wind, with the load of now and without; where it cannot be held, all that a
    battery has."""
    way = [(leg.start, leg.end) for leg in plan.legs]
    shares = [1.0 - flown, *[1.0] * len(way)]
    rest = [(leg, share, payload_kg) for leg, share in zip(way[leg_index:], shares, strict=False)]
    after = FREE
    if plan.ending is Ending.HOLD_AT_DROP:
        over_home = Waypoint(plan.home, plan.home_amsl_m + plan.cruise_agl_m, 0.0)
        # A plan made in the air does not lead from home: straight there is the least that its way home can be.
        back = [(end, start) for start, end in reversed(way)] if plan.take_off else [(way[-1][1], over_home)]
        rest += [(leg, 1.0, 0.0) for leg in back]
        after = hover_cost(vehicle, payload_kg, DROP_HOVER_S) + climb_cost(vehicle, 0.0, -plan.cruise_agl_m)
    loaded_wh, empty_wh = after.energy_wh, 0.0
    for (start, end), share, carried_kg in rest:
        cost = leg_energy(
            vehicle,
            carried_kg,
            length_m=distance_m(start.position, end.position),
            track_deg=bearing_deg(start.position, end.position),
            climb_m=end.alt_amsl_m - start.alt_amsl_m,
            wind=wind,
        )
        if cost is None:
            return vehicle.battery_wh, 0.0
        if carried_kg > 0.0:
            loaded_wh += share * cost.energy_wh
        else:
            empty_wh += share * cost.energy_wh
    return loaded_wh, empty_wh


def time_left_s(plan: Plan, here: Position) -> float:
    """Planned time from where the vehicle is on its plan to the plan's end."""
    at = progress(plan, here.point, here.alt_amsl_m)
    leg = plan.legs[at.leg_index]
    rise_m = leg.end.alt_amsl_m - leg.start.alt_amsl_m
    if leg.length_m > 0:
        share = at.along_m / leg.length_m
    elif rise_m:
        share = (here.alt_amsl_m - leg.start.alt_amsl_m) / rise_m
    else:
        share = 1.0
    start_s, end_s = leg.start.eta_s, leg.end.eta_s
    return plan.arrive_s - (start_s + min(1.0, max(0.0, share)) * (end_s - start_s))


def wind_of(state: VehicleState) -> Wind:
    """As the vehicle estimates it; calm where it does not."""
    return state.wind.value if state.wind is not None else Wind(0.0, 0.0)
