"""Forecasts of the battery at the end of a flight, against flights by the simulator's dynamics and power model.

A courier's round trips and one-way trips in wind and gusts. Neither its power at speed, its drag, its battery's worth
nor the wind are quite what they were planned with, and in two of five flights something happens on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot
from typing import Any

import numpy as np

from benchmarks.forecast.scores import Z90, Array, coverage, crps_normal
from geofences.geodesy import LatLon, LocalFrame, bearing_deg, distance_m
from missions.draw import Draw, drawn
from missions.energy import LegCost, climb_cost, hover_cost, leg_energy
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, Waypoint
from missions.planning import DROP_HOVER_S
from missions.snapshot import Battery, Position, Timed, VehicleState, Velocity, Wind
from missions.togo import energy_end
from missions.vehicles import Airframe, VehicleType
from sitl.spec import Performance, VehicleSpec
from sitl.vehicle.dynamics import STEP_S, FleetState
from sitl.world import Weather
from sitl.worldspec import WorldSpec

COURIER = VehicleType("courier", Airframe.MULTIROTOR, 20.0, 3.0, 2.0, 900.0, 700.0, 9.0, 3.0, 710.0, 12.0)
PERFORMANCE = Performance(20.0, 3.0, 2.0, 900.0, 700.0, 9.0, 3.0, 710.0, 25.0)
HUB = LatLon(7.5, 38.2)
CRUISE_M = 80.0
DROP_M = 8.0
BEAT_STEPS = 12
"""about a second: telemetry and autopilot"""
FAULTS = ("none", "draws_more", "charge_lost", "wind_turns", "bad_readings")
FAULT_SHARES = (0.6, 0.12, 0.08, 0.12, 0.08)
CORNER_M_S = 8.0
"""PX4 rounds a gentle corner at about this"""
MOST_S = 2400.0
FIXED_SD_SHARE = 0.08
"""what a forecast that learns nothing takes for the spread of what is still to be used"""


@dataclass(slots=True)
class Trip:
    """One flight under way. `to` are its waypoints: north, east, height above ground."""

    plan: Plan
    to: list[tuple[float, float, float]]
    payload_kg: float
    fault: int
    fault_s: float
    size: float
    """of the fault, 0 to 1"""
    ask_s: float
    """after its take-off, when the forecast is made"""
    home: list[tuple[float, float, float]]
    """from the drop, once it has dropped; empty: it lands where `to` ends"""
    wind: Wind
    places: list[LatLon]
    """of `to`"""
    draw: Draw | None = None
    leg: int = 0
    drop_s: float | None = None
    """when it came to hover over the drop"""
    asked: tuple[float, float, float, float] | None = None
    """forecast's mean and sd, and those of one that learns nothing"""
    end_pct: float | None = None


def _draw_trip(rng: np.random.Generator, start_pct: float, wind: Wind, frame: LocalFrame) -> Trip:
    payload = float(rng.uniform(0.3, 3.0))
    direction, length = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(2500.0, 7500.0)
    bends = np.cumsum(rng.uniform(0.3, 1.0, int(rng.integers(1, 4))))
    points = [(0.0, 0.0)]
    for share in bends / bends[-1]:
        aside = rng.normal(0.0, 0.12) * length if share < 1.0 else 0.0
        points.append(
            (
                float(share * length * np.cos(direction) - aside * np.sin(direction)),
                float(share * length * np.sin(direction) + aside * np.cos(direction)),
            )
        )
    drops = rng.random() < 0.5
    to = [*((n, e, CRUISE_M) for n, e in points), (*points[-1], DROP_M if drops else 0.0)]
    home = [*((n, e, CRUISE_M) for n, e in reversed(points)), (0.0, 0.0, 0.0)] if drops else []
    plan = _plan(to, payload, wind, start_pct, frame, home)
    fault = int(rng.choice(len(FAULTS), p=FAULT_SHARES))
    whole_s = plan.arrive_s + (plan.arrive_s + DROP_HOVER_S if drops else 0.0)
    ask_s = float(rng.uniform(60.0, 0.8 * whole_s))
    before_s = float(rng.uniform(60.0, 300.0))
    return Trip(
        plan,
        to,
        payload,
        fault,
        max(20.0, ask_s - before_s),
        float(rng.random()),
        ask_s,
        home,
        wind,
        _places(to, frame),
    )


def _plan(
    to: list[tuple[float, float, float]],
    payload_kg: float,
    wind: Wind,
    start_pct: float,
    frame: LocalFrame,
    home: list[tuple[float, float, float]],
    *,
    climbed_m: float = 0.0,
) -> Plan:
    """As `missions.planning` reckons: the climb is in the first leg, hover and way home come after the last."""
    legs, at_s = _legs(to, payload_kg, wind, frame, climb_cost(COURIER, payload_kg, CRUISE_M - climbed_m))
    use_wh = sum(leg.energy_wh for leg in legs)
    if home:
        back, _ = _legs(home, 0.0, wind, frame, climb_cost(COURIER, 0.0, CRUISE_M - DROP_M))
        use_wh += sum(leg.energy_wh for leg in back) + hover_cost(COURIER, payload_kg, DROP_HOVER_S).energy_wh
    budget = EnergyBudget(start_pct, use_wh, start_pct - 100.0 * use_wh / COURIER.battery_wh, 20.0)
    ending = Ending.HOLD_AT_DROP if home else Ending.LAND
    fence = FenceSet(None, (), ())
    return Plan("p", "goal", ending, True, legs, fence, (), budget, HUB, 0.0, CRUISE_M, 0.0, at_s, 1)


def _places(to: list[tuple[float, float, float]], frame: LocalFrame) -> list[LatLon]:
    return list(frame.to_latlon([(e, n) for n, e, _ in to]))


def _legs(
    to: list[tuple[float, float, float]], payload_kg: float, wind: Wind, frame: LocalFrame, climb: LegCost
) -> tuple[tuple[Leg, ...], float]:
    at_s, legs, first_wh = climb.time_s, [], climb.energy_wh
    places = _places(to, frame)
    here = Waypoint(places[0], to[0][2], at_s)
    for place, (*_, up) in zip(places[1:], to[1:], strict=True):
        length_m = distance_m(here.position, place)
        track_deg = bearing_deg(here.position, place) if length_m > 0.5 else 0.0
        rise_m = up - here.alt_amsl_m
        cost = leg_energy(COURIER, payload_kg, length_m=length_m, track_deg=track_deg, climb_m=rise_m, wind=wind)
        assert cost is not None
        at_s += cost.time_s
        there = Waypoint(place, up, at_s)
        legs.append(Leg(here, there, length_m, cost.energy_wh + first_wh, ()))
        here, first_wh = there, 0.0
    return tuple(legs), at_s


def make(seed: int, flights: int) -> dict[str, Array]:
    """That many flights at once, each asked for its end once on the way."""
    rng = np.random.default_rng(seed)
    frame = LocalFrame(HUB)
    start_pct = rng.uniform(80.0, 100.0, flights)
    specs = [
        VehicleSpec(f"v{i}", 1, HUB.lat_deg, HUB.lon_deg, performance=PERFORMANCE, battery_pct=float(start_pct[i]))
        for i in range(flights)
    ]
    weather = Weather(WorldSpec(gust_m_s=1.2), flights, rng)
    fleet = FleetState(specs, weather)
    foretold = rng.normal(0.0, 3.2, (2, flights))
    fleet.weather.extra_north_m_s, fleet.weather.extra_east_m_s = foretold + rng.normal(0.0, 1.2, (2, flights))  # type: ignore[assignment]
    fleet.drain = rng.lognormal(0.0, 0.05, flights)
    worth = rng.uniform(0.85, 1.02, flights)
    fleet.capacity_wh = fleet.capacity_wh * worth
    fleet.used_wh = fleet.used_wh * worth
    trips = [_draw_trip(rng, float(start_pct[i]), Wind(*map(float, foretold[:, i])), frame) for i in range(flights)]
    fleet.payload_kg = np.array([t.payload_kg for t in trips])
    fleet.armed[:] = True
    now_s = 0.0
    while now_s < MOST_S and any(t.end_pct is None for t in trips):
        east_north = frame.to_xy([LatLon(*fleet.seen(i)) for i in range(flights)])
        for i, trip in enumerate(trips):
            if trip.end_pct is None:
                _beat(fleet, i, trip, now_s, east_north[i], frame, rng)
        for _ in range(BEAT_STEPS):
            fleet.step()
        now_s += BEAT_STEPS * STEP_S
    done = [t for t in trips if t.asked is not None and t.end_pct is not None and t.end_pct > 0.0]
    asked = np.array([t.asked for t in done])
    return {
        "fault": np.array([t.fault for t in done], dtype=np.float64),
        "truth_pct": np.array([t.end_pct for t in done], dtype=np.float64),
        "mean_pct": asked[:, 0],
        "sd_pct": asked[:, 1],
        "fixed_mean_pct": asked[:, 2],
        "fixed_sd_pct": asked[:, 3],
        "ratio": np.array([t.draw.ratio for t in done if t.draw is not None]),
    }


def _beat(
    fleet: FleetState, i: int, trip: Trip, now_s: float, xy: Array, frame: LocalFrame, rng: np.random.Generator
) -> None:
    """What the autopilot and the controller do once a second."""
    _strike(fleet, i, trip, now_s)
    here = LatLon(*fleet.seen(i))
    east, north = xy.tolist()
    goal = trip.to[trip.leg]
    last = trip.leg == len(trip.to) - 1
    lands = last and not trip.home
    if lands and bool(fleet.on_ground[i]):
        trip.end_pct = 100.0 * fleet.charge(i)
        fleet.stop_motors(i)
        fleet.armed[i] = False
        return
    near = hypot(goal[0] - north, goal[1] - east) < 10.0 and abs(goal[2] - float(fleet.alt[i])) < 1.0
    if near and not last:
        trip.leg += 1
    elif near and not lands:
        _hover(fleet, i, trip, now_s, frame)
    goal, last = trip.to[trip.leg], trip.leg == len(trip.to) - 1
    place = trip.places[trip.leg]
    stops = last or trip.leg == 0 or goal[:2] == trip.to[trip.leg + 1][:2]
    fleet.aim(
        i, place.lat_deg, place.lon_deg, goal[2],
        speed=COURIER.cruise_m_s, climb=COURIER.climb_m_s, sink=COURIER.descent_m_s,
        landing=last and not trip.home, corner=0.0 if stops else CORNER_M_S,
    )  # fmt: skip
    state = _state(fleet, i, trip, now_s, here, rng)
    trip.draw = drawn(trip.draw, COURIER, trip.payload_kg, state, airborne=not bool(fleet.on_ground[i]))
    # Over the drop and on the climb from it there is no plan that says how much is left.
    if trip.asked is None and now_s >= trip.ask_s and trip.drop_s is None and trip.leg > 0:
        learnt = energy_end(trip.plan, state, COURIER, trip.payload_kg, trip.draw)
        told = energy_end(trip.plan, state, COURIER, trip.payload_kg)
        assert learnt is not None
        assert told is not None
        to_go = state.battery.value.remaining_pct - told.mean if state.battery is not None else 0.0
        trip.asked = (learnt.mean, learnt.sd, told.mean, FIXED_SD_SHARE * to_go)


def _hover(fleet: FleetState, i: int, trip: Trip, now_s: float, frame: LocalFrame) -> None:
    """Over the drop, until it is done: then it flies home without what it carried, by a plan of its own."""
    if trip.drop_s is None:
        trip.drop_s = now_s
    if now_s - trip.drop_s < DROP_HOVER_S:
        return
    trip.places = _places(trip.home, frame)
    trip.to, trip.home, trip.leg, trip.drop_s, trip.payload_kg = trip.home, [], 0, None, 0.0
    fleet.payload_kg[i] = 0.0
    trip.plan = _plan(trip.to, 0.0, trip.wind, 100.0 * fleet.charge(i), frame, [], climbed_m=DROP_M)


def _strike(fleet: FleetState, i: int, trip: Trip, now_s: float) -> None:
    if not trip.fault_s <= now_s < trip.fault_s + BEAT_STEPS * STEP_S:
        return
    match FAULTS[trip.fault]:
        case "draws_more":
            fleet.drain[i] *= 1.25 + 0.75 * trip.size
        case "charge_lost":
            fleet.used_wh[i] += (0.04 + 0.11 * trip.size) * fleet.capacity_wh[i]
        case "wind_turns":
            turn = (trip.size - 0.5) * 10.0
            fleet.weather.extra_north_m_s[i] += turn  # type: ignore[index]
            fleet.weather.extra_east_m_s[i] -= turn  # type: ignore[index]


def _state(fleet: FleetState, i: int, trip: Trip, now_s: float, here: LatLon, rng: np.random.Generator) -> VehicleState:
    pct = float(ceil(100.0 * fleet.charge(i)))
    if (
        FAULTS[trip.fault] == "bad_readings"
        and now_s > trip.fault_s
        and rng.random() < 0.05
        and now_s < trip.ask_s - 25
    ):
        pct = float(rng.integers(0, 101))
    north, east = fleet.weather.mean(i)
    wind = Wind(north + float(rng.normal(0.0, 0.6)), east + float(rng.normal(0.0, 0.6)))
    alt_m = float(fleet.alt[i])
    return VehicleState(
        "v",
        battery=Timed(Battery(pct), now_s),
        position=Timed(Position(here, alt_m, alt_m), now_s),
        velocity=Timed(Velocity(float(fleet.vn[i]), float(fleet.ve[i]), -float(fleet.vu[i])), now_s),
        wind=Timed(wind, now_s),
    )


def figures(f: dict[str, Array]) -> dict[str, Any]:
    """Coverage of the 90 % interval and of its low end, beside a forecast of a fixed share that learns nothing."""
    groups = {"all": np.ones(len(f["fault"]), dtype=np.bool_)}
    groups |= {name: f["fault"] == k for k, name in enumerate(FAULTS)}
    table: dict[str, Any] = {}
    for name, of in groups.items():
        truth = f["truth_pct"][of]
        table[name] = {"segments": int(of.sum())}
        for prefix, label in (("", "learnt"), ("fixed_", "fixed")):
            mean, sd = f[prefix + "mean_pct"][of], f[prefix + "sd_pct"][of]
            table[name][label] = {
                "inside_90_pct": coverage(truth, mean - Z90 * sd, mean + Z90 * sd),
                "above_low_end_pct": coverage(truth, mean - Z90 * sd, np.full(len(truth), np.inf)),
                "width_pct": round(float(np.mean(2.0 * Z90 * sd)), 2),
                "bias_pct": round(float(np.mean(truth - mean)), 2),
                "crps_pct": crps_normal(truth, mean, sd),
            }
    return table
