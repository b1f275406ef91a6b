"""What is asked of the planner and what it answers: requests, routes, corridors, and what going up and down costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Terrain
from missions.energy import climb_cost, cruise_power_w
from missions.plan import FenceSet, Reason
from missions.routing.pace import Pace
from missions.vehicles import VehicleType

STOP_S = 5.0
"""braking from cruise and speeding up again; a VTOL's transitions come on top"""


@dataclass(frozen=True, slots=True)
class Climbing:
    """What a metre up and a metre down takes in seconds, and what it is worth in seconds of cruise.

    The two are the same where the quickest route is wanted. For the one of least energy the worth is energy over
    cruise power: at one air speed the energy of cruise is its time, so one search serves both.
    """

    up_s_per_m: float = 1.0 / 3.0
    down_s_per_m: float = 1.0 / 2.0
    up_cost_per_m: float = 1.0 / 3.0
    down_cost_per_m: float = 1.0 / 2.0
    stop_s: float = STOP_S
    """of a stop on the way to climb or descend; over the pads there is one anyway"""
    stop_cost_s: float = STOP_S

    @classmethod
    def least_time(cls, vehicle: VehicleType) -> Climbing:
        up, down = 1.0 / vehicle.climb_m_s, 1.0 / vehicle.descent_m_s
        stop = STOP_S + climb_cost(vehicle, 0.0, 0.0).time_s
        return cls(up, down, up, down, stop, stop)

    @classmethod
    def least_energy(cls, vehicle: VehicleType, payload_kg: float) -> Climbing:
        quick, power_w = cls.least_time(vehicle), cruise_power_w(vehicle, payload_kg)
        level, up, down = (3600.0 * climb_cost(vehicle, payload_kg, d).energy_wh / power_w for d in (0.0, 1.0, -1.0))
        return replace(quick, up_cost_per_m=up - level, down_cost_per_m=down - level, stop_cost_s=STOP_S + level)

    def time_s(self, rise_m: float) -> float:
        """Of going up (positive) or down by `rise_m`."""
        return rise_m * self.up_s_per_m if rise_m >= 0.0 else -rise_m * self.down_s_per_m

    def cost_s(self, rise_m: float) -> float:
        """The same in seconds of cruise that are worth as much."""
        return rise_m * self.up_cost_per_m if rise_m >= 0.0 else -rise_m * self.down_cost_per_m


@dataclass(frozen=True, slots=True)
class Corridor:
    """A way that is liked: a second on it, either way, counts as `factor` (0 < factor ≤ 1) of one elsewhere.

    It is joined and left at its points; between two of them it is straight. It opens no zone.
    """

    name: str
    points: tuple[LatLon, ...]
    factor: float

    def __post_init__(self) -> None:
        if len(self.points) < 2 or not 0.0 < self.factor <= 1.0:
            raise ValueError(f"corridor {self.name!r} needs two points or more and a factor above 0 and up to 1")


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """Where from and to, through which airspace, when and how. `layers_agl_m`: cruise heights that may be flown."""

    start: LatLon
    goal: LatLon
    airspace: Airspace
    authorised: frozenset[str]
    terrain: Terrain
    depart_s: float
    ground_speed_m_s: float = 20.0
    """where no pace is given: the slowest expected, all the way"""
    layers_agl_m: tuple[float, ...] = (80.0,)
    """of two that cost the same the one named first is flown"""
    margin_m: float = 30.0
    ceiling_agl_m: float = 120.0
    in_air: bool = False
    """the vehicle is flying at the start: if a zone has closed around it, the way out comes first"""
    start_agl_m: float = 0.0
    """the start's column reaches from here to the layer"""
    goal_agl_m: float = 0.0
    """the goal's column reaches from here to the layer"""
    window_s: float | None = None
    """zones in force at any time from depart_s to window_s later are closed; None: each is judged when it is passed"""
    pace: Pace | None = None
    """air speed and wind: the route of least time (or energy) for it"""
    climbing: Climbing = Climbing()
    latest_depart_s: float | None = None
    """waiting on the pad is allowed until then; None: no waiting"""
    time_slack_s: float = 90.0
    """a zone in force this long before or after it is passed counts; the checker asks for 60 s"""
    corridors: tuple[Corridor, ...] = ()
    fence: FenceSet | None = None
    """on board of a vehicle in the air: PX4 knows no heights and times of it, so neither does the route"""
    turn_radius_m: float = 0.0
    """of a wing: added to the margin, so that every bend can be flown as an arc (see `missions.routing.turns`)"""
    max_gradient: float | None = None
    """steepest climb or descent that can be flown in cruise, metres per metre; None: any, flown more slowly"""
    deadline_s: float | None = None
    """computing time; needs a clock. The best legal route found until then is given"""
    clock: Callable[[], float] | None = None
    """monotonic seconds"""

    @property
    def speed(self) -> Pace:
        """The pace, or the ground speed as one."""
        return self.pace if self.pace is not None else Pace(self.ground_speed_m_s)

    @property
    def clear_m(self) -> float:
        """Room kept beside the route: the margin and what a turn needs."""
        return self.margin_m + self.turn_radius_m


@dataclass(frozen=True, slots=True)
class Route:
    """`points` runs from start to goal, straight (geodesic) in between."""

    points: tuple[LatLon, ...]
    layer_agl_m: float
    """the height that most of it is flown at"""
    length_m: float
    straight_m: float
    reasons: tuple[Reason, ...]
    """why it runs around, under, over or through each zone that lies in the straight way, and why it waits"""
    exits_zone: tuple[str, ...] = ()
    """closed zones that hold the start: the first piece is the shortest way out"""
    heights_agl_m: tuple[float, ...] = ()
    """above ground at each point; two points at one place with two heights are a climb or descent over it"""
    depart_s: float = 0.0
    time_s: float = 0.0
    """from departure, with the climb, to the end of the descent"""
    cost_s: float = 0.0
    """what was made least: seconds of waiting, and of flight or its energy in seconds of cruise"""
    proven_optimal: bool = True
    """nothing cheaper exists in the class of routes that was searched"""

    @property
    def arrive_s(self) -> float:
        return self.depart_s + self.time_s
