"""One delivery drawn from the declared fault model: everything that will happen in it, known to the simulator only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, pi, sin
from pathlib import Path
from random import Random
from typing import Any

from ruamel.yaml import YAML

from fleet.config import FleetConfig, data_dir, load_airspace, load_config
from geofences.airspace import Airspace
from geofences.geodesy import bearing_deg, destination, distance_m
from geofences.volumes import Circle, Restriction, Volume, Zone
from missions.coldchain.product import Product
from missions.orders import Order, Priority
from missions.plan import Ending, Plan
from missions.snapshot import Wind
from missions.world import World, plan_to

MODEL_FILE = Path(__file__).with_name("model.yaml")
TAKE_OFF_S = 1_773_133_200.0
"""Tuesday 2026-03-10, 09:00 UTC"""
VEHICLE, BOX, HUB = "cw-1", "box-1", "teral"
LAYER_M = 80.0
ATTEMPTS = 200


@cache
def model() -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(MODEL_FILE.read_text(encoding="utf-8")))


@cache
def model_hash() -> str:
    return hashlib.sha256(MODEL_FILE.read_bytes()).hexdigest()[:12]


@cache
def fleet() -> FleetConfig:
    return load_config(data_dir() / "fleet.yaml")


@cache
def airspace() -> Airspace:
    return load_airspace(fleet())


@dataclass(frozen=True, slots=True)
class Course:
    """A value over time: straight between the given times, constant beyond them."""

    points: tuple[tuple[float, float], ...]

    def at(self, t_s: float) -> float:
        before = self.points[0]
        for after in self.points:
            if t_s < after[0]:
                if after is before:
                    return before[1]
                return before[1] + (after[1] - before[1]) * (t_s - before[0]) / (after[0] - before[0])
            before = after
        return before[1]


@dataclass(frozen=True, slots=True)
class Span:
    """From one time to another; what is in it depends on the fault."""

    from_s: float
    to_s: float
    size: float = 0.0
    reported: bool = True
    kind: str = ""

    def holds(self, t_s: float) -> bool:
        return self.from_s <= t_s < self.to_s


@dataclass(frozen=True, slots=True)
class BoxTruth:
    """The box as it is, not as its maker declares it; see `truth`."""

    resistance_k_w: float
    capacity_kj_k: float
    latent_kj: float
    pack_temp_c: float
    pack_left_kj: float
    pack_k_w: float
    payload_k_w: float
    inside_k_w: float
    outer_share: float
    probe_lag_s: tuple[float, float]
    probe_offset_c: tuple[float, float]
    payload_c: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery and its future. Times are seconds since the Unix epoch; nothing here is handed to a policy."""

    seed: int
    order: Order
    product: Product
    plan: Plan
    declared_kj: float | None
    box: BoxTruth
    sealed_s: float
    ambient_c: Course
    ambient_believed_c: float
    wind_north: Course
    wind_east: Course
    wind_error: Wind
    battery_pct: float
    draw_factor: float
    sag: Span | None
    drain: Span | None
    lid: Span | None
    seal: Span | None
    mends: bool
    """whether the staff of a station can mend its seal"""
    sensor: Span | None
    closure: tuple[float, Zone] | None
    read_s: float
    fetch_s: float
    faults: tuple[str, ...]
    onset_s: float
    """when the first of them happens; without any, the take-off"""

    def wind(self, t_s: float) -> Wind:
        return Wind(self.wind_north.at(t_s), self.wind_east.at(t_s))


@cache
def world(version: int, closed: Zone | None) -> World:
    """The world as the controller knows it, without or with the closure."""
    config, zones = fleet(), airspace() if closed is None else airspace().with_zone(closed)
    assert zones.version == airspace().version + version
    return World(config.sites, zones, frozenset(), config.terrain, config.planning)


def draw(seed: int) -> Delivery:
    """The seed's delivery. One that could not take off is drawn again: the comparison is of what flies."""
    for attempt in range(ATTEMPTS):
        made = _Draw(Random(f"{seed}/{attempt}"), seed).delivery()
        if made is not None:
            return made
    raise ValueError(f"seed {seed}: none of {ATTEMPTS} draws can take off; look at model.yaml")


class _Draw:
    """Draws from one generator in a fixed order."""

    def __init__(self, rng: Random, seed: int) -> None:
        self.rng, self.seed, self.faults, self.onsets = rng, seed, list[str](), list[float]()

    def delivery(self) -> Delivery | None:
        rng, flight, judged = self.rng, model()["flight"], model()["judgement"]
        product = fleet().products[rng.choice(flight["products"])]
        site = rng.choice(flight["destinations"])
        priorities = flight["priorities"]
        budget: tuple[tuple[str, float], ...] = ()
        if rng.random() < flight["budget_left"]["share"]:
            left = self.between(flight["budget_left"]["range_min"])
            budget = tuple((e.name, left) for e in product.excursions if e.allowed_min is not None)
        order = Order(
            order_id=f"o-{self.seed}",
            product_id=product.product_id,
            origin_site=HUB,
            destination_site=site,
            recipient_ref="r",
            mass_kg=self.between(flight["mass_kg"]),
            volume_l=1.5,
            priority=Priority(rng.choices(list(priorities), list(priorities.values()))[0]),
            deadline_s=TAKE_OFF_S + 60.0 * self.between(flight["deadline_min"]),
            requested_at_s=TAKE_OFF_S - 600.0,
            budget_min=budget,
            single_patient=rng.random() < flight["single_patient"],
        )
        wind = self.wind(self.ranged(flight["wind_m_s"]))
        error = Wind(*(rng.gauss(0.0, flight["wind_believed_sd_m_s"]) for _ in range(2)))
        battery_pct = self.ranged(flight["battery_pct"])
        plan = plan_to(
            world(0, None),
            fleet().vehicles[VEHICLE],
            plan_id=f"{self.seed}-out",
            start=fleet().sites[HUB].position,
            start_amsl_m=fleet().sites[HUB].elevation_amsl_m,
            take_off=True,
            goal=fleet().sites[site],
            ending=Ending.HOLD_AT_DROP,
            home=fleet().sites[HUB],
            payload_kg=order.mass_kg + fleet().boxes[BOX].empty_mass_kg,
            battery_pct=battery_pct,
            wind=Wind(wind.north_m_s + error.north_m_s, wind.east_m_s + error.east_m_s),
            layer_agl_m=LAYER_M,
            depart_s=TAKE_OFF_S,
        )
        if not isinstance(plan, Plan):
            return None
        way_s = plan.arrive_s - TAKE_OFF_S
        box, declared_kj = self.box(product)
        ambient = self.between(flight["ambient_c"])
        north, east = self.wind_course(wind, way_s)
        return Delivery(
            seed=self.seed,
            order=order,
            product=product,
            plan=plan,
            declared_kj=declared_kj,
            box=box,
            sealed_s=TAKE_OFF_S - model()["box"]["sealed_before_s"],
            ambient_c=self.ambient(ambient, way_s),
            ambient_believed_c=ambient + rng.gauss(0.0, flight["ambient_believed_sd_c"]),
            wind_north=north,
            wind_east=east,
            wind_error=error,
            battery_pct=battery_pct,
            draw_factor=self.between(flight["draw_factor"]),
            sag=self.battery("battery_sag", "share", way_s),
            drain=self.battery("battery_drain", "factor", way_s),
            lid=self.lid(way_s),
            seal=self.seal(way_s),
            mends=rng.random() < model()["faults"]["seal"]["mended_at_station"],
            sensor=self.sensor(way_s),
            closure=self.closure(site, way_s),
            read_s=self.between(judged["read_s"]),
            fetch_s=60.0 * self.between(judged["fetch_min"]),
            faults=tuple(self.faults),
            onset_s=min(self.onsets, default=TAKE_OFF_S),
        )

    def between(self, limits: Sequence[float]) -> float:
        return self.rng.uniform(*limits)

    def ranged(self, ranges: Sequence[dict[str, Any]]) -> float:
        return self.between(self.rng.choices(ranges, [r["share"] for r in ranges])[0]["range"])

    def wind(self, speed_m_s: float) -> Wind:
        towards = self.rng.uniform(0.0, 2.0 * pi)
        return Wind(speed_m_s * cos(towards), speed_m_s * sin(towards))

    def strikes(self, name: str, way_s: float) -> tuple[dict[str, Any], float] | None:
        """The fault's figures and its time, if it happens. All is drawn in any case: one chance more or less in the
        model must not draw another world."""
        figures: dict[str, Any] = model()["faults"][name]
        happens, at_s = self.rng.random() < figures["chance"], TAKE_OFF_S
        if "at" in figures:
            at_s += way_s * self.between(figures["at"])
        if happens:
            self.faults.append(name)
            self.onsets.append(max(TAKE_OFF_S, at_s))
        return (figures, at_s) if happens else None

    def box(self, product: Product) -> tuple[BoxTruth, float | None]:
        rng, made, declared = self.rng, model()["box"], fleet().boxes[BOX]
        low, high = max(product.lower_c, 2.0), min(product.upper_c, 20.0)
        latent = declared.pack_latent_kj * self.between(made["latent_factor"])
        left = self.ranged(made["pack_left"])
        told: float | None = left * declared.pack_latent_kj
        told = told * (1.0 + made["pack_declared_error"] * rng.uniform(-1.0, 1.0)) if told is not None else None
        if rng.random() >= made["pack_declared"]:
            told = None
        worn = self.strikes("pack", 0.0)
        if worn is not None:
            left = self.between(worn[0]["left"])
        truth = BoxTruth(
            resistance_k_w=declared.resistance_k_w * self.between(made["resistance_factor"]),
            capacity_kj_k=declared.capacity_kj_k * self.between(made["capacity_factor"]),
            latent_kj=latent,
            pack_temp_c=declared.pack_temp_c,
            pack_left_kj=left * latent,
            pack_k_w=self.between(made["pack_k_w"]),
            payload_k_w=self.between(made["payload_k_w"]),
            inside_k_w=self.between(made["inside_k_w"]),
            outer_share=self.between(made["outer_share"]),
            probe_lag_s=(self.between(made["probe_lag_s"]), self.between(made["probe_lag_s"])),
            probe_offset_c=(rng.gauss(0.0, made["probe_offset_sd_c"]), rng.gauss(0.0, made["probe_offset_sd_c"])),
            payload_c=low + (high - low) * self.between(made["payload_in_band"]),
        )
        return truth, None if told is None else min(told, declared.pack_latent_kj)

    def ambient(self, ambient_c: float, way_s: float) -> Course:
        """In the shade until take-off, in the sun from then on."""
        sun_k = self.between(model()["box"]["sun_k"])
        points = [(TAKE_OFF_S - 1.0, ambient_c), (TAKE_OFF_S, ambient_c + sun_k)]
        heat = self.strikes("heat", way_s)
        if heat is not None:
            figures, at_s = heat
            warm_c = ambient_c + sun_k + self.between(figures["rise_k"])
            points += [(at_s + 1.0, ambient_c + sun_k), (at_s + 1.0 + figures["ramp_s"], warm_c)]
        return Course(tuple(points))

    def wind_course(self, wind: Wind, way_s: float) -> tuple[Course, Course]:
        north, east = [(TAKE_OFF_S, wind.north_m_s)], [(TAKE_OFF_S, wind.east_m_s)]
        change = self.strikes("wind", way_s)
        if change is not None:
            figures, at_s = change
            new, end_s = self.wind(self.between(figures["speed_m_s"])), at_s + 1.0 + self.between(figures["ramp_s"])
            north += [(at_s + 1.0, wind.north_m_s), (end_s, new.north_m_s)]
            east += [(at_s + 1.0, wind.east_m_s), (end_s, new.east_m_s)]
        return Course(tuple(north)), Course(tuple(east))

    def battery(self, name: str, size: str, way_s: float) -> Span | None:
        found = self.strikes(name, way_s)
        return None if found is None else Span(found[1], float("inf"), self.between(found[0][size]))

    def lid(self, way_s: float) -> Span | None:
        found = self.strikes("lid", way_s)
        if found is None:
            return None
        figures, at_s = found
        open_s = self.between(figures["open_s"])
        to_s = float("inf") if self.rng.random() < figures["for_good"] else at_s + open_s
        reported = self.rng.random() < figures["reported"]
        return Span(at_s, to_s, self.between(figures["conductance_w_k"]), reported)

    def seal(self, way_s: float) -> Span | None:
        found = self.strikes("seal", way_s)
        if found is None:
            return None
        return Span(found[1], float("inf"), self.between(found[0]["factor"]), self.rng.random() < found[0]["reported"])

    def sensor(self, way_s: float) -> Span | None:
        found = self.strikes("sensor", way_s)
        if found is None:
            return None
        figures, at_s = found
        kind = self.rng.choice(figures["kinds"])
        self.faults[-1] = f"sensor {kind}"
        ranges = {"one_probe_off": "offset_c", "one_probe_drifts": "drift_c_min", "clock_ahead": "skew_s"}
        size = self.between(figures[ranges[kind]]) if kind in ranges else 0.0
        if kind != "clock_ahead" and self.rng.random() < 0.5:
            size = -size
        at_s = float(round(at_s))
        return Span(at_s, at_s + round(self.between(figures["lasts_s"])), size, kind=kind)

    def closure(self, site: str, way_s: float) -> tuple[float, Zone] | None:
        found = self.strikes("closure", way_s)
        if found is None:
            return None
        figures, at_s = found
        hub, goal = fleet().sites[HUB].position, fleet().sites[site].position
        radius_m, course = self.between(figures["radius_m"]), bearing_deg(hub, goal)
        on_way = destination(hub, course, distance_m(hub, goal) * self.between(figures["along"]))
        side = self.rng.choice((-90.0, 90.0))
        centre = destination(on_way, (course + side) % 360.0, radius_m * self.between(figures["aside"]))
        circle = Circle(centre, radius_m)
        return float(round(at_s)), Zone("CLOSED", "a closure in flight", Restriction.PROHIBITED, (Volume(circle),))
