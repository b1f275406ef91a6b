"""What all that is flown is judged by: the rules, and each line of flight against zones, heights and PX4's fence.

It serves plans of our own (`missions.routing.checker`) and plans made elsewhere (`missions.routing.imported`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import FlatTerrain, Terrain
from geofences.times import applies_throughout, intervals
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone
from missions.energy import STILL
from missions.routing.judge import (
    CONTACT_M,
    IdentityCache,
    Outline,
    Outlines,
    Track,
    covered,
    outside_keep_ins,
    polygon_of,
    track,
)
from missions.sites import Site
from missions.snapshot import Wind
from missions.vehicles import VehicleType

TIME_SLACK_S = 60.0
"""a zone in force up to this long before or after the planned time over it counts: flights run early and late"""
MAX_FENCE_VERTICES = 64
"""what PX4 stores (DM_KEY_FENCE_POINTS_MAX); a circle takes one"""
MAX_RALLY_POINTS = 8
"""DM_KEY_SAFE_POINTS_MAX"""
MIN_AGL_M = 3.0
_GEOD = Geod(ellps="WGS84")
_HEIGHT_TOLERANCE_M = 0.5
_SEA = FlatTerrain(0.0)
FENCE = Zone("fence", "", Restriction.PROHIBITED, ())
_keep_outs: IdentityCache[Outline] = IdentityCache(4096)
"""plans made in the air share the fence that is on board"""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan is judged by. What is None is not judged."""

    airspace: Airspace
    authorised: frozenset[str]
    terrain: Terrain
    ceiling_agl_m: float = 120.0
    reserve_pct: float = 20.0
    vehicle: VehicleType | None = None
    payload_kg: float = 0.0
    wind: Wind = STILL
    goal: Site | None = None
    sites: Mapping[str, Site] = field(default_factory=dict)
    """sites that alternates may name; empty: their names are not judged"""
    require_contingency: bool = False
    """no take-off where a plan says that PX4's own return would not be legal from everywhere"""
    time_slack_s: float = TIME_SLACK_S


@dataclass(frozen=True, slots=True)
class Violation:
    """`leg_index` is the leg, or the item's number of an imported plan; -1 where the plan as a whole is at fault."""

    leg_index: int
    code: str
    text: str
    zone_id: str | None = None
    at: LatLon | None = None


@dataclass(frozen=True, slots=True)
class Flown:
    """A straight line of flight: the leg or item it belongs to, its pieces, and when it begins and ends."""

    index: int
    name: str
    """for people: "leg 2", "item 5" """
    line: Track
    start_s: float
    end_s: float
    vertical: bool = False
    may_descend: bool = False
    """it begins where the vehicle is: too high or too low is excused as long as it ends well"""

    def passages(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When each piece begins and ends."""
        at = np.linspace(self.start_s, self.end_s, len(self.line.lon))
        return at[:-1], at[1:]


Met = dict[str, tuple[Zone, Mask]]


def forbidden(flown: Flown, rules: Rules, found: Outlines) -> Met:
    """Per zone, the pieces inside of it that are passed while it is closed; for keep-ins, the pieces outside of all."""
    met = entered(flown, rules, found.closed_near(flown.line, rules.authorised))
    outside = out_of_keep_ins(flown, rules, found)
    if outside.any():
        met |= {o.zone.zone_id: (o.zone, outside.copy()) for o in found.keep_ins}
    return met


def entered(flown: Flown, rules: Rules, closed: Iterable[Outline]) -> Met:
    """Per zone of the closed ones given, the pieces inside of it that are passed while it is in force."""
    met: Met = {}
    for outline in closed:
        inside = outline.inside(flown.line)
        if outline.zone.applicability and inside.any():
            inside = inside & in_force(outline.zone, flown, rules.time_slack_s)
        if inside.any():
            known = met.get(outline.zone.zone_id)
            met[outline.zone.zone_id] = outline.zone, inside if known is None else inside | known[1]
    return met


def out_of_keep_ins(flown: Flown, rules: Rules, found: Outlines) -> Mask:
    """The pieces outside of all keep-ins; none where there are none."""
    return outside_keep_ins(found, flown.line, lambda z: _always(z, flown, rules.time_slack_s))


def in_force(zone: Zone, flown: Flown, slack_s: float) -> Mask:
    """The pieces passed while the zone is in force, or up to `slack_s` before or after.

    Both the calendar's spans and a look at each passage itself count: what either finds is closed.
    """
    enter, leave = flown.passages()
    mask = np.array([zone.applies_at(t) for t in enter.tolist()])
    for a, b in intervals(zone, flown.start_s - slack_s, flown.end_s + slack_s):
        mask |= (enter - slack_s <= b) & (leave + slack_s >= a)
    return mask


def airspace_violations(lines: Sequence[Flown], rules: Rules, found: Outlines, exits: set[str]) -> Iterator[Violation]:
    """A flight that starts inside the zones `exits` may leave them, once: until it is first outside, no more after."""
    leaving = set(exits)
    for flown in lines:
        met = forbidden(flown, rules, found)
        for zone_id, (zone, inside) in met.items():
            left = np.flatnonzero(~inside)
            if zone_id in leaving:
                inside[: left[0] if len(left) else None] = False
            if not inside.any():
                continue
            at = flown.line.place(int(np.argmax(inside)))
            if zone.role is Role.KEEP_IN:
                text = f"{flown.name} leaves the keep-in boundary {zone_id}"
                yield Violation(flown.index, "keep_in", text, zone_id, at)
            else:
                text = f"{flown.name} enters {zone_id} ({zone.name}), closed ({zone.restriction})"
                yield Violation(flown.index, "zone", text, zone_id, at)
        if leaving:
            leaving &= _met_at_end(flown, rules, found)


def _met_at_end(flown: Flown, rules: Rules, found: Outlines) -> set[str]:
    at, amsl_m = flown.line.place(-1), float(flown.line.alt_amsl_m[-1])
    here = track(at, amsl_m, at, amsl_m, rules.terrain)
    return set(forbidden(Flown(flown.index, flown.name, here, flown.start_s, flown.end_s), rules, found))


def _always(zone: Zone, flown: Flown, slack_s: float) -> bool:
    ends = flown.start_s - slack_s, flown.end_s + slack_s
    return not zone.applicability or (applies_throughout(zone, *ends) and all(map(zone.applies_at, ends)))


def height_violations(lines: Sequence[Flown], rules: Rules) -> Iterator[Violation]:
    """Too high or too low above the ground."""
    for flown in lines:
        line = flown.line
        low, high = line.agl_m
        if np.isnan(low).any():
            at = line.place(int(np.argmax(np.isnan(low))))
            yield Violation(flown.index, "terrain", f"the ground below {flown.name} is not known", at=at)
            continue
        excused = flown.may_descend and high[-1] <= rules.ceiling_agl_m
        if high.max() > rules.ceiling_agl_m + _HEIGHT_TOLERANCE_M and not excused:
            k = int(np.argmax(high))
            text = f"{flown.name} is {high[k]:.0f} m above ground; the ceiling is {rules.ceiling_agl_m:.0f} m"
            yield Violation(flown.index, "ceiling", text, at=line.place(k))
        lowest = -2.0 if flown.vertical or flown.may_descend else MIN_AGL_M
        if low.min() < lowest:
            k = int(np.argmin(low))
            yield Violation(flown.index, "terrain", f"{flown.name} is {low[k]:.1f} m above ground", at=line.place(k))


def fence_violations(
    keep_ins: Sequence[Polygon | Circle],
    keep_outs: Sequence[Polygon | Circle],
    home: LatLon,
    lines: Sequence[Flown],
    rally: Sequence[tuple[str, LatLon]],
    *,
    strayed: bool = False,
) -> Iterator[Violation]:
    """PX4's own rules: home, rally points and all lines inside every inclusion and outside of every exclusion.

    `strayed`: the flight begins outside of an inclusion already, so that any way back is one.
    """
    vertices = sum(_vertices(k) for k in (*keep_ins, *keep_outs))
    if vertices > MAX_FENCE_VERTICES:
        yield Violation(-1, "fence", f"the fence has {vertices} vertices; PX4 stores {MAX_FENCE_VERTICES}")
    if len(rally) > MAX_RALLY_POINTS:
        yield Violation(-1, "rally", f"there are {len(rally)} rally points; PX4 stores {MAX_RALLY_POINTS}")
    places = [("home", home), *((f"rally point {name}", at) for name, at in rally)]
    points = [_point(at) for _, at in places]
    for keep_in in keep_ins:
        area = keep_in_of(keep_in)
        for (name, at), point in zip(places, points, strict=True):
            if not area.holds(point).all():
                more = ": PX4 would not enforce it" if name == "home" else ""
                yield Violation(-1, "fence", f"the fence's keep-in does not hold {name}{more}", at=at)
        for flown in () if strayed else lines:
            held = area.holds(flown.line)
            if not held.all():
                at = flown.line.place(int(np.argmin(held)))
                yield Violation(flown.index, "fence", f"{flown.name} leaves the fence's keep-in", at=at)
    extents = np.array([_extent(flown.line) for flown in lines] + [_extent(point) for point in points], dtype=object)
    for keep_out in keep_outs:
        outline = keep_out_of(keep_out)
        for i in np.flatnonzero(shapely.intersects(outline.bounds, extents)).tolist():
            line = lines[i].line if i < len(lines) else points[i - len(lines)]
            touched = outline.touched(line)
            if not touched.any():
                continue
            if i < len(lines):
                at = line.place(int(np.argmax(touched)))
                yield Violation(lines[i].index, "fence", f"{lines[i].name} touches a keep-out of the fence", at=at)
            else:
                name, at = places[i - len(lines)]
                yield Violation(-1, "fence", f"{name} is inside a keep-out of the fence", at=at)


def keep_out_of(outline: Polygon | Circle) -> Outline:
    """A keep-out of the fence, ready to be asked about."""
    return _keep_outs.get(outline, make=partial(Outline, FENCE, Volume(outline)))


class Inside:
    """A keep-in of the fence: what it surely holds."""

    def __init__(self, outline: Polygon | Circle) -> None:
        self._circle = outline if isinstance(outline, Circle) else None
        if isinstance(outline, Polygon):
            self._polygon = polygon_of(outline)
            shapely.prepare(self._polygon)

    def holds(self, line: Track) -> Mask:
        """The pieces that are inside; of a circle those whose ends are, since it is convex."""
        if self._circle is None:
            return covered(self._polygon, line)
        c, n = self._circle.centre, len(line.lon)
        away = np.asarray(_GEOD.inv(np.full(n, c.lon_deg), np.full(n, c.lat_deg), line.lon, line.lat)[2])
        inside = away <= self._circle.radius_m - CONTACT_M
        return np.asarray(inside[:-1] & inside[1:])

    def holds_area(self, area: shapely.Geometry, room_deg: float) -> bool:
        """Whether it holds an area in degrees and all around it; of a circle nothing is said so."""
        return (
            self._circle is None
            and bool(shapely.covers(self._polygon, area))
            and not shapely.dwithin(self._polygon.boundary, area, room_deg)
        )


_insides: IdentityCache[Inside] = IdentityCache(2048)
"""plans made in the air share the fence that is on board"""


def holds(keep_in: Polygon | Circle, at: LatLon) -> bool:
    """Whether a keep-in of the fence surely holds the place."""
    return bool(keep_in_of(keep_in).holds(_point(at)).all())


def keep_in_of(outline: Polygon | Circle) -> Inside:
    """A keep-in of the fence, ready to be asked about."""
    return _insides.get(outline, make=partial(Inside, outline))


def _extent(line: Track) -> shapely.Polygon:
    return shapely.box(line.lon.min(), line.lat.min(), line.lon.max(), line.lat.max())


@lru_cache(1024)
def _point(at: LatLon) -> Track:
    """Home and rally points are the same for many plans."""
    return track(at, 0.0, at, 0.0, _SEA)


def _vertices(outline: Polygon | Circle) -> int:
    """Holes count too: PX4 gets them as exclusions."""
    return 1 if isinstance(outline, Circle) else len(outline.outer) + sum(map(len, outline.holes))


def distance_m(a: LatLon, b: LatLon) -> float:
    return float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[2])


def bearing_deg(a: LatLon, b: LatLon) -> float:
    return float(_GEOD.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[0])
