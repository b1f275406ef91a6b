"""Scenarios by chance: the seed says what is ordered, in what weather, and what goes wrong when and where.

A random scenario is an ordinary file (`fleet scenario random SEED --write FILE`). What must come of it: `sound.py`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from ruamel.yaml import YAML

from fleet.config import FleetConfig, data_dir, load_airspace, load_config
from fleet.config.source import parse_yaml
from fleet.simulate.scenario import Scenario, scenario_of
from geofences.airspace import Airspace, is_closed
from geofences.bands import AglBand
from geofences.geodesy import LatLon, bearing_deg, destination, distance_m

START = "2026-03-10T09:00:00Z"
START_S = 1_773_133_200.0
ENDS_MIN = 15.0
"""two or three of its flights; what has not ended then waits for somebody"""
QUIET_MIN = 4.0
"""longer than most of what keeps a vehicle on its pad"""
NEAR_M, FAR_M = 800.0, 1500.0
"""from the hub: four to six minutes there and back, most of them straight up and down"""
CLEAR_M = 150.0
"""between an invented place and a closed zone: the plan's margin and room to come to rest"""
MOST_FAULTS = 5
PRODUCTS = (
    "insulin", "oxytocin", "red_cells", "vaccine_freeze_sensitive", "vaccine_heat_sensitive", "cct_biologic",
    "antibiotic_crt",
)  # fmt: skip

Draw = Callable[[Random], dict[str, Any]]


@cache
def _config(path: Path) -> FleetConfig:
    return load_config(path)


@cache
def _airspace(path: Path) -> Airspace:
    return load_airspace(_config(path))


def random_scenario(seed: int) -> Scenario:
    """The seed's scenario, checked like any other. The same seed gives the same one."""
    path = data_dir() / "scenarios" / f"random-{seed}.yaml"
    return scenario_of(parse_yaml(path, scenario_text(seed, path.parent).encode()), _config)


def scenario_text(seed: int, folder: Path) -> str:
    """The same as a file that is to lie in that folder."""
    fleet = data_dir() / "fleet.yaml"
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = None, 120, False  # type: ignore[assignment]
    yaml.dump({"fleet": os.path.relpath(fleet, folder), **_Story(seed, fleet).told()}, text)
    return text.getvalue()


class _Story:
    """Draws everything from one generator, in a fixed order."""

    def __init__(self, seed: int, fleet: Path) -> None:
        self.seed, self.rng = seed, Random(seed)
        self.config, self.airspace = _config(fleet), _airspace(fleet)
        self.hub = self.config.sites["teral"].position
        self.places: list[tuple[str, LatLon]] = []

    def told(self) -> dict[str, Any]:
        rng = self.rng
        orders, vehicles = rng.choices([(1, 1), (2, 2), (1, 2), (2, 1)], [16, 2, 1, 1])[0]
        self.places = [(f"place-{i + 1}", self._place()) for i in range(orders)]
        sites = [_site(name, "clinic", at) for name, at in self.places]
        if rng.random() < 0.5:
            sites.append(_site("meadow", "alternate", self._place()))
        chosen = list(self.config.vehicles)[:vehicles]
        placed = [self._order(i) for i in range(orders)]
        return {
            "title": f"Whatever goes wrong, seed {self.seed}",
            "start": START,
            "seed": self.seed,
            "ends_min": ENDS_MIN,
            "quiet_min": QUIET_MIN,
            "world": self._world(),
            "people": {"load_s": round(rng.uniform(2, 8), 1), "receive_s": round(rng.uniform(3, 20), 1)},
            "only": chosen,
            "sites": sites,
            "vehicles": {v: {"battery_pct": self._battery()} for v in chosen},
            "orders": placed,
            "faults": [fault for n in range(rng.randint(1, MOST_FAULTS)) for fault in self._fault(n)],
            "expect": {"sound": True, "never_inside_prohibited": False, "faults_begin": False},
        }

    def _place(self) -> LatLon:
        """Somewhere around the hub, with every closed zone at a distance."""
        ground, band = self.config.terrain, AglBand(0.0, 120.0)
        while True:
            at = destination(self.hub, self.rng.uniform(0, 360), self.rng.uniform(NEAR_M, FAR_M))
            around = [at, *(destination(at, deg, CLEAR_M) for deg in range(0, 360, 45))]
            met = [z for p in around for z in self.airspace.at(p, band, START_S, START_S + 3600.0, ground)]
            if not any(is_closed(z, self.config.policy.authorised_zones) for z in met):
                return LatLon(round(at.lat_deg, 6), round(at.lon_deg, 6))

    def _world(self) -> dict[str, Any]:
        rng = self.rng
        # Up to the couriers' limit of 12 m/s, gusts besides.
        wind_m_s, towards = rng.choices([rng.uniform(0, 5), rng.uniform(5, 9), rng.uniform(9, 12)], [5, 3, 2])[0], 0.0
        towards = rng.uniform(0, 360)
        north, east = _parts(wind_m_s, towards)
        gust = rng.choice([0.0, rng.uniform(0.3, 1.5), rng.uniform(1.5, 3.0)])
        return {
            "ambient_c": round(rng.uniform(2, 42), 1),
            "wind_north_m_s": north,
            "wind_east_m_s": east,
            "gust_m_s": round(gust, 1),
        }

    def _battery(self) -> float:
        rng = self.rng
        return round(rng.choices([100.0, rng.uniform(48, 100), rng.uniform(37, 48)], [5, 3, 2])[0], 1)

    def _order(self, i: int) -> dict[str, Any]:
        rng, product = self.rng, self.config.products[self.rng.choice(PRODUCTS)]
        low_c, high_c = max(product.lower_c, 1.0), product.upper_c
        order: dict[str, Any] = {
            "name": f"order-{i + 1}",
            "at_s": round(rng.uniform(0, 60), 1) if i else 0.0,
            "product": product.product_id,
            "to": self.places[i][0],
            "priority": rng.choice(["routine", "urgent", "asap", "stat"]),
            "mass_kg": round(rng.uniform(0.2, 1.6), 2),
            "volume_l": round(rng.uniform(0.5, 3.0), 1),
            "deadline_min": round(rng.uniform(20, 90)),
            "payload_c": round(low_c + (high_c - low_c) * rng.uniform(0.2, 0.8), 1),
        }
        if rng.random() < 0.3:
            order["pack_left_kj"] = round(rng.uniform(0, 150))
        if rng.random() < 0.15:
            order["single_patient"] = True
        return order

    def _fault(self, n: int) -> list[dict[str, Any]]:
        rng = self.rng
        kind = rng.choices(list(KINDS), [weight for weight, _, _ in KINDS.values()])[0]
        _, draw, whens = KINDS[kind]
        i = rng.randrange(len(self.places))
        fault: dict[str, Any] = {"name": f"{kind}-{n + 1}", "kind": kind}
        if kind == "closure":
            fault["circle"] = self._circle(self.places[i][1])
        if kind not in ALL_AROUND:
            fault["order"] = f"order-{i + 1}"
        when = WHENS[rng.choice(whens)](rng, distance_m(self.hub, self.places[i][1]))
        if "order" not in fault and when.keys() & {"flown_m", "phase", "state"}:
            fault["order"] = f"order-{i + 1}"
        fault |= {**draw(rng), "when": when}
        # An operator who holds a vehicle lets it go on. Who is told that its position or its plan is in doubt mostly
        # looks, and then lets it go on, once or twice.
        doubted = kind in DOUBTFUL and rng.random() < 0.9
        if fault.get("command") != "hold" and not doubted:
            return [fault]
        faults, after_s = [fault], fault.get("duration_s", 0.0)
        for again in "bc" if doubted else "b":
            after_s += rng.uniform(5, 60)
            later = {"after": fault["name"], "after_s": round(after_s, 1)}
            resume = {"name": f"{kind}-{n + 1}{again}", "kind": "operator", "order": fault["order"]}
            faults.append({**resume, "command": "resume", "when": later})
        return faults

    def _circle(self, to: LatLon) -> dict[str, float]:
        """On the way to that place, or beside it."""
        rng, radius_m = self.rng, self.rng.uniform(50, 400)
        length_m = distance_m(self.hub, to)
        on_way = destination(self.hub, bearing_deg(self.hub, to), length_m * rng.uniform(-0.1, 1.15))
        at = destination(on_way, rng.uniform(0, 360), rng.uniform(0, 1.2) * radius_m)
        return {"lat": round(at.lat_deg, 6), "lon": round(at.lon_deg, 6), "radius_m": round(radius_m)}


# --- what goes wrong, when


def _in_flight(rng: Random, length_m: float) -> dict[str, Any]:
    return {"flown_m": round(rng.uniform(0.0, 2.1) * length_m)}


def _on_way_out(rng: Random, length_m: float) -> dict[str, Any]:
    return {"flown_m": round(rng.uniform(0.1, 1.0) * length_m)}


def _in_phase(rng: Random, length_m: float) -> dict[str, Any]:
    phase = rng.choice(["launching", "outbound", "at_drop", "releasing", "inbound"])
    return {"phase": phase, "after_s": round(rng.uniform(0, 20), 1)}


def _at_drop(rng: Random, length_m: float) -> dict[str, Any]:
    return {"phase": rng.choice(["at_drop", "releasing"]), "after_s": round(rng.uniform(0, 2), 1)}


def _on_pad(rng: Random, length_m: float) -> dict[str, Any]:
    when = rng.choice([{"state": "loading"}, {"state": "ready"}, {"phase": "preparing"}, {"phase": "ready"}])
    return {**when, "after_s": round(rng.uniform(0, 5), 1)}


def _some_time(rng: Random, length_m: float) -> dict[str, Any]:
    return {"at_s": round(rng.uniform(0, 300), 1)}


WHENS: dict[str, Callable[[Random, float], dict[str, Any]]] = {
    "air": _in_flight, "out": _on_way_out, "phase": _in_phase, "drop": _at_drop, "pad": _on_pad, "time": _some_time,
}  # fmt: skip


def _parts(size: float, towards_deg: float) -> tuple[float, float]:
    """North and east of a vector, to a tenth."""
    end = destination(LatLon(0.0, 0.0), towards_deg, 1000.0)
    north, east = end.lat_deg * 110.574, end.lon_deg * 111.320
    return round(size * north, 1), round(size * east, 1)


def _for(low_s: float, high_s: float, forever: float = 0.0) -> Draw:
    """So long; with that chance for good."""
    return lambda rng: {} if rng.random() < forever else {"duration_s": round(rng.uniform(low_s, high_s), 1)}


def _and(*draws: Draw) -> Draw:
    def draw(rng: Random) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        for each in draws:
            drawn |= each(rng)
        return drawn

    return draw


def _number(name: str, low: float, high: float, digits: int = 2) -> Draw:
    return lambda rng: {name: round(rng.uniform(low, high), digits)}


def _one_of(name: str, *values: Any) -> Draw:
    return lambda rng: {name: rng.choice(values)}


def _vector(unit: str, *sizes: tuple[float, float]) -> Draw:
    """A size from one of the ranges, in any direction."""

    def draw(rng: Random) -> dict[str, Any]:
        north, east = _parts(rng.uniform(*rng.choice(sizes)), rng.uniform(0, 360))
        return {f"north_{unit}": north, f"east_{unit}": east}

    return draw


def _either(*draws: Draw) -> Draw:
    return lambda rng: rng.choice(draws)(rng)


def _nothing(rng: Random) -> dict[str, Any]:
    return {}


_DIRECTION = _one_of("direction", "both", "both", "down", "up")
_LINK_DEAD = _and(_one_of("rate", 1.0), _DIRECTION, _either(_for(1, 8), _for(8, 38), _for(45, 120, forever=0.2)))
_LINK_BAD = _and(_number("rate", 0.1, 0.7), _DIRECTION, _for(10, 200))
_LONG = _for(30, 300, forever=0.3)

KINDS: dict[str, tuple[float, Draw, tuple[str, ...]]] = {
    # how often, its figures, when
    "closure": (8, _for(60, 500, forever=0.3), ("air", "air", "air", "time", "phase", "pad")),
    "link_loss": (6, _either(_LINK_DEAD, _LINK_DEAD, _LINK_BAD), ("air", "air", "phase", "pad")),
    "link_delay": (2, _and(_number("delay_s", 0.05, 1.2), _number("jitter_s", 0, 0.8), _LONG), ("air", "pad")),
    "link_duplicate": (1, _and(_number("rate", 0.1, 1.0), _LONG), ("pad", "air")),
    "controller_killed": (4, _number("down_s", 0.2, 20.0, 1), ("air", "phase", "pad", "time", "drop")),
    "broker_down": (2, _for(20, 300), ("time", "air")),
    "second_gcs": (2, _for(20, 300), ("pad", "air")),
    "pilot": (3, _for(5, 60), ("air", "air", "phase")),
    "rival_upload": (3, _nothing, ("pad", "air", "phase")),
    "operator": (3, _one_of("command", "hold", "resume", "return", "land"), ("air", "phase")),
    "battery_sag": (3, _number("share", 0.05, 0.5), ("air", "pad")),
    "battery_drain": (2, _and(_number("factor", 1.2, 5.0, 1), _LONG), ("air", "pad")),
    "motor_failure": (2, _either(_one_of("share", 0.125, 0.125, 0.25), _number("share", 0.1, 0.6)), ("air",)),
    "wind_change": (3, _and(_vector("m_s", (2, 8), (8, 13)), _number("ramp_s", 5, 90, 0), _LONG), ("air", "time")),
    "gps_jump": (3, _and(_vector("m", (3, 25), (25, 500)), _for(10, 60)), ("air", "out", "drop")),
    "gps_drift": (1, _and(_vector("m_s", (0.2, 2.0)), _for(15, 60)), ("air", "out")),
    "gps_loss": (1, _for(2, 20), ("air", "drop", "pad")),
    "reboot": (1.5, _nothing, ("pad", "pad", "pad", "pad", "air")),
    "compass_failure": (1.5, _for(10, 200), ("pad", "time")),
    "gripper_jam": (2, _for(3, 60, forever=0.6), ("out", "drop", "pad")),
    "seal_failure": (2, _and(_one_of("reported", "no", "yes"), _LONG), ("pad", "out")),
    "lid_open": (2, _for(10, 120), ("pad", "out")),
    "box_silent": (1.5, _for(30, 200, forever=0.3), ("pad", "out")),
    "box_stuck": (1, _LONG, ("pad", "out")),
    "box_nan": (1, _LONG, ("pad", "out")),
    "box_skewed": (1, _and(_number("skew_s", -4000, 4000, 0), _LONG), ("pad", "out")),
    "box_offline": (1, _for(20, 200), ("pad", "out")),
    "box_probe_wrong": (
        1.5,
        _and(_number("offset_c", -12, 12, 1), _one_of("probe", "both", "first", "second"), _LONG),
        ("pad", "out"),
    ),
    "box_probe_drift": (
        1,
        _and(_number("drift_c_h", -90, 90, 0), _one_of("probe", "both", "first", "second"), _LONG),
        ("pad", "out"),
    ),
    "box_replayed": (1, _LONG, ("pad", "out")),
}
DOUBTFUL = frozenset({"gps_jump", "gps_drift", "gps_loss", "rival_upload"})
"""after these the vehicle waits for an operator"""
ALL_AROUND = frozenset({"closure", "controller_killed", "broker_down", "wind_change"})
"""these happen to nobody in particular"""


def _site(name: str, kind: str, at: LatLon) -> dict[str, Any]:
    return {"id": name, "kind": kind, "lat": at.lat_deg, "lon": at.lon_deg}
