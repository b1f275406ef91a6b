"""An airspace: a version and its zones, immutable, with a spatial index per local frame.

What is closed: PROHIBITED always; REQ_AUTHORISATION, CONDITIONAL and USPACE unless the zone's id is authorised;
NO_RESTRICTION never. Several keep-ins mean their union: where there is any, one must be inside one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil, nan
from typing import Protocol, Self, TypeVar, cast

import numpy as np
import shapely

from geofences.bands import AglBand, outer_band
from geofences.geodesy import LatLon, LocalFrame, local_frame
from geofences.heights import Terrain
from geofences.shapes import ShapeIndex
from geofences.times import applies_within
from geofences.volumes import Restriction, Role, Zone

_FRAME_GRID_DEG = 0.5
"""frames are shared between queries by rounding their origin: 39 km at most to the next one"""

PIECE_M = 100.0
"""how finely a leg is looked at in four dimensions"""


def is_closed(zone: Zone, authorised: frozenset[str]) -> bool:
    """True if a vehicle with these authorisations must stay out of the zone while it is in force."""
    if zone.role is Role.KEEP_IN or zone.restriction is Restriction.NO_RESTRICTION:
        return False
    return zone.restriction is Restriction.PROHIBITED or zone.zone_id not in authorised


def frame_for(points: Iterable[LatLon]) -> LocalFrame:
    """A shared frame near the middle of `points`; its distances are true to 0.4 m within 50 km of its origin.

    Raises ValueError across the antimeridian and beyond 85° latitude, where zones as drawn in lon, lat break down.
    """
    lats, lons = zip(*((p.lat_deg, p.lon_deg) for p in points), strict=True)
    if max(lons) - min(lons) > 180.0:
        raise ValueError("an area of operation across the antimeridian is not supported; plan each side by itself")
    if max(map(abs, lats)) > 85.0:
        raise ValueError("an area of operation beyond 85 degrees of latitude is not supported")

    def middle(values: tuple[float, ...]) -> float:
        return round((min(values) + max(values)) / 2 / _FRAME_GRID_DEG) * _FRAME_GRID_DEG

    return local_frame(LatLon(middle(lats), middle(lons)))


class Derived(Protocol):
    """Made of all volumes of an airspace, numbered in the order of its zones."""

    def changed(self, gone: range, added: Zone | None, /) -> Self:
        """That of the next version: the volumes numbered `gone` taken out, those of `added` put at the end."""
        ...


D = TypeVar("D", bound=Derived)


class Fix(Protocol):
    """A place, a height and a time, such as a plan's waypoint."""

    @property
    def position(self) -> LatLon: ...
    @property
    def alt_amsl_m(self) -> float: ...
    @property
    def eta_s(self) -> float: ...


class FlownLeg(Protocol):
    """A straight way between two fixes, such as a plan's leg."""

    @property
    def start(self) -> Fix: ...
    @property
    def end(self) -> Fix: ...


@dataclass(frozen=True, slots=True)
class Meeting:
    """A zone, closed or not, met on a leg while it is in force."""

    zone: Zone
    leg_index: int
    enter_s: float
    leave_s: float
    """from the beginning of the first piece inside to the end of the last, of all stretches inside"""


@dataclass(frozen=True, slots=True)
class Airspace:
    """One version of the zones. Zone ids are unique; adding a zone with a known id replaces it."""

    version: int
    zones: tuple[Zone, ...]
    _by_id: dict[str, Zone] = field(init=False, repr=False, compare=False)
    _keep_ins: tuple[Zone, ...] = field(init=False, repr=False, compare=False)
    _derived: dict[Hashable, Derived] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        by_id = {z.zone_id: z for z in self.zones}
        if len(by_id) < len(self.zones):
            seen: set[str] = set()
            for zone in self.zones:
                if zone.zone_id in seen:
                    raise ValueError(f"zone id {zone.zone_id!r} occurs twice ({zone.source or 'unknown source'})")
                seen.add(zone.zone_id)
        object.__setattr__(self, "_by_id", by_id)
        object.__setattr__(self, "_keep_ins", tuple(z for z in self.zones if z.role is Role.KEEP_IN))

    def with_zone(self, zone: Zone) -> Airspace:
        """The next version, with `zone` added or replaced. Costs milliseconds at thousands of zones."""
        return self._next(self._by_id.get(zone.zone_id), zone)

    def without_zone(self, zone_id: str) -> Airspace:
        """The next version, without the zone. Raises KeyError if there is none of that id."""
        return self._next(self._by_id[zone_id], None)

    def zone(self, zone_id: str) -> Zone | None:
        return self._by_id.get(zone_id)

    def closed_zones(self, authorised: frozenset[str] = frozenset()) -> tuple[Zone, ...]:
        """The zones to keep out of while they are in force."""
        return tuple(z for z in self.zones if is_closed(z, authorised))

    def keep_ins(self) -> tuple[Zone, ...]:
        return self._keep_ins

    def derived(self, key: Hashable, make: Callable[[tuple[Zone, ...]], D]) -> D:
        """What `make` makes of the zones: made once, carried to later versions by its `changed`."""
        found = self._derived.get(key)
        if found is None:
            found = self._derived[key] = make(self.zones)
        return cast("D", found)

    def index(self, frame: LocalFrame) -> ShapeIndex:
        """The zones' shapes in a frame."""
        return self.derived(("shapes", frame.origin), partial(ShapeIndex.build, frame))

    def at(self, point: LatLon, band: AglBand, start_s: float, end_s: float, terrain: Terrain) -> tuple[Zone, ...]:
        """Every zone, closed or not, over `point` within a height band at some time of [start_s, end_s]."""
        return self.along(point, point, band, start_s, end_s, terrain)

    def along(
        self, a: LatLon, b: LatLon, band: AglBand, start_s: float, end_s: float, terrain: Terrain
    ) -> tuple[Zone, ...]:
        """Every zone, closed or not, met on the straight way from a to b; in the order of `zones`."""
        frame = frame_for((a, b))
        index = self.index(frame)
        xy = frame.to_xy([a, b])
        line = shapely.Point(xy[0]) if a == b else shapely.LineString(xy)
        met: dict[str, Zone] = {}
        for i in sorted(index.tree.query(line, predicate="intersects").tolist()):
            shape = index.shapes[i]
            if outer_band(shape.volume, terrain).overlaps(band) and applies_within(shape.zone, start_s, end_s):
                met[shape.zone.zone_id] = shape.zone
        return tuple(met.values())

    def along_4d(self, a: Fix, b: Fix, terrain: Terrain) -> tuple[Meeting, ...]:
        """Every zone, closed or not, met by what moves straight and evenly from a to b; in the order of `zones`.

        The line is looked at in pieces of at most `PIECE_M`: a zone counts where one piece agrees in place, height (its
        widest band above ground) and time. Ground that is not known counts as all heights.
        """
        frame = frame_for((a.position, b.position))
        return tuple(_met_on(self.index(frame), 0, a, b, terrain))

    def meets(self, legs: Sequence[FlownLeg], terrain: Terrain) -> tuple[Meeting, ...]:
        """Every zone, closed or not, met on each leg of a plan, by time."""
        if not legs:
            return ()
        frame = frame_for([legs[0].start.position, *(leg.end.position for leg in legs)])
        index = self.index(frame)
        found = [m for i, leg in enumerate(legs) for m in _met_on(index, i, leg.start, leg.end, terrain)]
        return tuple(sorted(found, key=lambda m: (m.enter_s, m.leg_index)))

    def _next(self, gone: Zone | None, added: Zone | None) -> Airspace:
        left = self.zones
        volumes = range(0)
        if gone is not None:
            k = next(i for i, z in enumerate(self.zones) if z is gone)
            first = sum(len(z.volumes) for z in self.zones[:k])
            volumes = range(first, first + len(gone.volumes))
            left = (*self.zones[:k], *self.zones[k + 1 :])
        after = Airspace(self.version + 1, left if added is None else (*left, added))
        after._derived.update({key: d.changed(volumes, added) for key, d in self._derived.items()})
        return after


def _met_on(index: ShapeIndex, leg_index: int, a: Fix, b: Fix, terrain: Terrain) -> Iterator[Meeting]:
    xy = index.frame.to_xy([a.position, b.position])
    n = max(1, ceil(float(np.hypot(*(xy[1] - xy[0]))) / PIECE_M))
    share = np.arange(n + 1) / n
    at = xy[0] + share[:, None] * (xy[1] - xy[0])
    over = sorted(index.tree.query(shapely.LineString(xy), predicate="intersects").tolist())
    if not over:
        return
    pieces = shapely.linestrings(np.stack([at[:-1], at[1:]], axis=1))
    ground = [terrain.ground_amsl_m(p) for p in index.frame.to_latlon(at)]
    agl = a.alt_amsl_m + share * (b.alt_amsl_m - a.alt_amsl_m)
    agl -= np.array([nan if g is None else g for g in ground])
    low, high = np.minimum(agl[:-1], agl[1:]), np.maximum(agl[:-1], agl[1:])
    times = (a.eta_s + share * (b.eta_s - a.eta_s)).tolist()
    met: dict[str, Meeting] = {}
    for i in over:
        zone, volume = index.shapes[i].zone, index.shapes[i].volume
        band = outer_band(volume, terrain)
        # What is not known compares false: so it asks for what is surely outside, and takes the rest.
        hit = shapely.intersects(index.shapes[i].polygon, pieces) & ~((high < band.lower_m) | (low > band.upper_m))
        inside = [k for k in np.flatnonzero(hit).tolist() if applies_within(zone, times[k], times[k + 1])]
        if inside:
            enter_s, leave_s = times[inside[0]], times[inside[-1] + 1]
            if (before := met.get(zone.zone_id)) is not None:
                enter_s, leave_s = min(enter_s, before.enter_s), max(leave_s, before.leave_s)
            met[zone.zone_id] = Meeting(zone, leg_index, enter_s, leave_s)
    yield from met.values()
