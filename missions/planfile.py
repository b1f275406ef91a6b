"""A plan made in QGroundControl as lines of flight: what PX4 makes of each item, with its times and energy.

- From the ground a vehicle climbs straight up to the height of the first place, then flies to it: NAV_TAKEOFF does no
  more, and PX4 does so without one.
- A waypoint is flown to straight, the height changing along the way.
- NAV_LAND and NAV_VTOL_LAND are approached at the height before them; over the place it goes straight down.
- RETURN_TO_LAUNCH climbs to `RETURN_M` above where it will land (PX4 RTL_RETURN_ALT), flies straight to the
  horizontally closest of home and rally points (v1.17, RTL_TYPE 0), and lands.
- DO_JUMP is flown as often as it says. Where it never ends, once.

Heights above home count from the planned home. Where an item gives no speed, the file's own counts, never faster than
the vehicle's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from geofences.formats.qgc_plan import AMSL_FRAMES, MISSION_FRAME, TERRAIN_FRAMES, MissionItem, PlanFile
from geofences.geodesy import LatLon, bearing_deg, distance_m
from geofences.heights import Terrain
from geofences.volumes import Polygon
from missions.energy import STILL, climb_cost, hover_cost, leg_energy
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, RallyPoint, Reason, Waypoint
from missions.snapshot import Wind
from missions.vehicles import Airframe, VehicleType

WAYPOINT, LOITER_UNLIMITED, LOITER_TIME, RETURN, LAND, TAKEOFF, LOITER_TO_ALT = 16, 17, 19, 20, 21, 22, 31
VTOL_TAKEOFF, VTOL_LAND, DELAY, DO_JUMP, CHANGE_SPEED, SET_HOME = 84, 85, 93, 177, 178, 179
GATE, VTOL_TRANSITION = 4501, 3000
FLOWN_TO = frozenset(
    {WAYPOINT, LOITER_UNLIMITED, LOITER_TIME, LAND, TAKEOFF, LOITER_TO_ALT, VTOL_TAKEOFF, VTOL_LAND}
)  # fmt: skip
TAKE_OFFS, LANDINGS = frozenset({TAKEOFF, VTOL_TAKEOFF}), frozenset({LAND, VTOL_LAND})
RETURN_M = 30.0
"""PX4's RTL_RETURN_ALT of a multirotor, where its parameters are not known"""
MAX_STEPS = 20_000
"""a mission that takes more, with its jumps, is a mistake"""
_TYPICAL_M_S = 5.0
"""PX4's default speed of a multirotor's mission, where nothing else is known"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A straight line of flight towards what an item asks for."""

    item: int
    """its number as QGroundControl shows it"""
    doing: str
    start: Waypoint
    end: Waypoint
    energy_wh: float
    """with what the item asks for at its end, such as to wait; 0 where no vehicle is known"""

    @property
    def length_m(self) -> float:
        return 0.0 if self.start.position == self.end.position else distance_m(self.start.position, self.end.position)


@dataclass(frozen=True, slots=True)
class Fault:
    """An item that cannot be flown as the file says."""

    item: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class FlightOfFile:
    stretches: tuple[Stretch, ...]
    faults: tuple[Fault, ...]
    landed: bool
    """it ends on the ground"""


def nearest_landing(file: PlanFile, at: LatLon) -> tuple[str, LatLon, float]:
    """Where PX4 v1.17 would return to from there: name, place, and height of the ground AMSL."""
    places = [("home", file.home, file.home_amsl_m)]
    places += [
        (f"rally point {i}", r.position, file.home_amsl_m + r.alt_rel_home_m) for i, r in enumerate(file.rally, start=1)
    ]
    return min(places, key=lambda p: distance_m(at, p[1]))


def amsl_m(item: MissionItem, file: PlanFile, terrain: Terrain) -> float | None:
    """The item's height above mean sea level; None where the file gives none, or the ground below is not known."""
    height = item.params[6]
    if height is None or item.frame == MISSION_FRAME:
        return None
    if item.frame in AMSL_FRAMES:
        return height
    if item.frame in TERRAIN_FRAMES:
        ground = None if item.position is None else terrain.ground_amsl_m(item.position)
        return None if ground is None else ground + height
    return file.home_amsl_m + height


def fly(
    file: PlanFile,
    terrain: Terrain,
    depart_s: float,
    *,
    vehicle: VehicleType | None = None,
    payload_kg: float = 0.0,
    wind: Wind = STILL,
    return_m: float = RETURN_M,
) -> FlightOfFile:
    """All lines of flight of the file's mission, in the order they are flown."""
    pilot = _Pilot(file, terrain, depart_s, vehicle, payload_kg, wind, return_m)
    for item in pilot.in_order():
        pilot.carry_out(item)
    return FlightOfFile(tuple(pilot.stretches), tuple(pilot.faults), pilot.landed)


class _Pilot:
    """Carries out the items one by one."""

    def __init__(
        self,
        file: PlanFile,
        terrain: Terrain,
        depart_s: float,
        vehicle: VehicleType | None,
        payload_kg: float,
        wind: Wind,
        return_m: float,
    ) -> None:
        self.file, self.terrain, self.vehicle = file, terrain, vehicle
        self.payload_kg, self.wind, self.return_m = payload_kg, wind, return_m
        ground = terrain.ground_amsl_m(file.home)
        self.here = Waypoint(file.home, file.home_amsl_m if ground is None else ground, depart_s)
        self.landed = True
        self.speed_m_s = file.cruise_m_s if self._is_vtol() else file.hover_m_s
        self.stretches: list[Stretch] = []
        self.faults: list[Fault] = []

    def in_order(self) -> Iterator[MissionItem]:
        """The items as they are executed, jumps taken."""
        items = self.file.items
        by_id = {i.jump_id if i.jump_id is not None else i.number: k for k, i in enumerate(items)}
        left: dict[int, int] = {}
        at = steps = 0
        while at < len(items):
            item = items[at]
            at += 1
            steps += 1
            if steps > MAX_STEPS:
                self._fault(item, "endless", f"with its jumps the mission has over {MAX_STEPS} steps")
                return
            if item.command != DO_JUMP:
                yield item
                continue
            target, times = by_id.get(int(item.param(1))), int(item.param(2))
            if target is None:
                self._fault(item, "jump", f"jumps to item {item.param(1):.0f}, which there is not")
                return
            if times < 0 and item.number not in left:
                self._fault(item, "endless", "jumps without end: the battery ends it")
            if left.setdefault(item.number, 1 if times < 0 else times) > 0:
                left[item.number] -= 1
                at = target

    def carry_out(self, item: MissionItem) -> None:
        if item.command in FLOWN_TO:
            self._go(item)
        elif item.command == RETURN:
            self._return(item)
        elif item.command == CHANGE_SPEED and item.param(2) > 0.0:
            self.speed_m_s = item.param(2)
        elif item.command == SET_HOME:
            self._fault(item, "set_home", "moves home: heights and returns after it cannot be judged")

    def _go(self, item: MissionItem) -> None:
        doing = "take-off" if item.command in TAKE_OFFS else "landing" if item.command in LANDINGS else "waypoint"
        place = item.position or self.here.position
        height = amsl_m(item, self.file, self.terrain)
        if doing == "landing":
            height = self.here.alt_amsl_m if not self.landed else height
        if height is None:
            self._fault(item, "height", "gives no height that is known")
            return
        if self.landed:
            self._line(item, "climb", self.here.position, height)
            self.landed = False
        self._line(item, doing, place, height)
        wait_s = item.param(1) if item.command in (WAYPOINT, LOITER_TIME) else 0.0
        if wait_s > 0.0:
            self._wait(wait_s)
        if item.command == LOITER_UNLIMITED:
            self._fault(item, "endless", "circles without end: the battery ends it")
        if doing == "landing":
            ground = self.terrain.ground_amsl_m(place)
            touch = ground if ground is not None else amsl_m(item, self.file, self.terrain)
            self._descend(item, self.file.home_amsl_m if touch is None else touch)

    def _return(self, item: MissionItem) -> None:
        if self.landed:
            self._fault(item, "return", "returns before it has taken off")
            return
        _, place, ground = nearest_landing(self.file, self.here.position)
        height = max(self.here.alt_amsl_m, ground + self.return_m)
        self._line(item, "climb", self.here.position, height)
        self._line(item, "return", place, height)
        known = self.terrain.ground_amsl_m(place)
        self._descend(item, ground if known is None else known)

    def _descend(self, item: MissionItem, ground_amsl_m: float) -> None:
        self._line(item, "descent", self.here.position, min(ground_amsl_m, self.here.alt_amsl_m))
        self.landed = True

    def _line(self, item: MissionItem, doing: str, to: LatLon, alt_amsl_m: float) -> None:
        start = self.here
        if start.position == to and start.alt_amsl_m == alt_amsl_m:
            return
        time_s, energy_wh = self._cost(start, to, alt_amsl_m)
        self.here = Waypoint(to, alt_amsl_m, start.eta_s + time_s)
        self.stretches.append(Stretch(item.number, doing, start, self.here, energy_wh))

    def _cost(self, start: Waypoint, to: LatLon, alt_amsl_m: float) -> tuple[float, float]:
        climb, length = alt_amsl_m - start.alt_amsl_m, distance_m(start.position, to)
        flies = self._at_speed()
        if flies is None:
            return max(length / (self.speed_m_s or _TYPICAL_M_S), abs(climb)), 0.0
        if length < 0.5:
            cost = climb_cost(flies, self.payload_kg, climb)
            return cost.time_s, cost.energy_wh
        track = bearing_deg(start.position, to)
        leg = leg_energy(flies, self.payload_kg, length_m=length, track_deg=track, climb_m=climb, wind=self.wind)
        if leg is None:
            number = self.stretches[-1].item if self.stretches else 0
            self.faults.append(Fault(number, "wind", "the way cannot be held in this wind"))
            return length / flies.cruise_m_s, 0.0
        return leg.time_s, leg.energy_wh

    def _at_speed(self) -> VehicleType | None:
        """The vehicle at the mission's speed. What power slow flight takes is not known: at most that of hovering."""
        vehicle, speed = self.vehicle, self.speed_m_s
        if vehicle is None or speed is None or speed >= vehicle.cruise_m_s:
            return vehicle
        return replace(vehicle, cruise_m_s=speed, cruise_power_w=max(vehicle.cruise_power_w, vehicle.hover_power_w))

    def _wait(self, seconds: float) -> None:
        self.here = replace(self.here, eta_s=self.here.eta_s + seconds)
        if self.stretches:
            more = hover_cost(self.vehicle, self.payload_kg, seconds).energy_wh if self.vehicle is not None else 0.0
            last = self.stretches[-1]
            self.stretches[-1] = replace(last, end=self.here, energy_wh=last.energy_wh + more)

    def _is_vtol(self) -> bool:
        return self.vehicle is not None and self.vehicle.airframe is Airframe.VTOL

    def _fault(self, item: MissionItem, code: str, text: str) -> None:
        self.faults.append(Fault(item.number, code, text))


def as_plan(file: PlanFile, flight: FlightOfFile, *, notes: tuple[Reason, ...] = ()) -> Plan:
    """The imported flight as a plan, to be drawn; it proves nothing, and has no alternates. At least one stretch."""
    stretches = flight.stretches
    keep_in = next((a.outline for a in file.fence if a.inclusion and isinstance(a.outline, Polygon)), None)
    keep_out = tuple(a.outline for a in file.fence if not a.inclusion)
    rally = tuple(RallyPoint(f"rally {i}", r.position, r.alt_rel_home_m) for i, r in enumerate(file.rally, start=1))
    return Plan(
        plan_id="imported",
        goal_site="",
        ending=Ending.LAND if flight.landed else Ending.HOLD_AT_DROP,
        take_off=False,
        legs=tuple(Leg(s.start, s.end, s.length_m, s.energy_wh, ()) for s in stretches),
        fence=FenceSet(keep_in, keep_out, ()),
        rally=rally,
        energy=EnergyBudget(100.0, sum(s.energy_wh for s in stretches), 100.0, 0.0),
        home=file.home,
        home_amsl_m=file.home_amsl_m,
        cruise_agl_m=max(s.end.alt_amsl_m for s in stretches) - file.home_amsl_m,
        depart_s=stretches[0].start.eta_s,
        arrive_s=stretches[-1].end.eta_s,
        airspace_version=0,
        checked_by="",
        notes=notes,
    )
