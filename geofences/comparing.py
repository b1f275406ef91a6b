"""What a set of zones holds, and what changed from one set to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import shapely

from geofences.geodesy import Box, LatLon, bearing_deg, distance_m, local_frame
from geofences.heights import Height
from geofences.shapes import ShapeIndex
from geofences.volumes import Circle, Volume, Zone, box_of

_WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_SAME_M2 = 1.0


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a set of zones."""

    zones: int
    volumes: int
    vertices: int
    """of polygons; a circle has none"""
    largest_zone: str
    """the id of the zone with the most vertices"""
    roles: Mapping[str, int]
    restrictions: Mapping[str, int]
    """of keep-outs"""
    outlines: Mapping[str, int]
    datums: Mapping[str, int]
    """of height limits, AGL, AMSL and WGS84, and `none`"""
    times: Mapping[str, int]
    """zones in force `always`, within `dates`, on a `schedule`, by `daylight`"""
    authorities: Mapping[str, int]
    """zones by the name of each authority; `none` for zones that name none"""
    lowest_m: float | None
    highest_m: float | None
    """of all limits, each over its own datum"""
    box: Box | None
    """None without zones"""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What is other about a zone: outline, heights, times, restriction, role, name, message or authority."""

    field: str
    text: str
    closes: bool
    """it may forbid what was allowed"""


@dataclass(frozen=True, slots=True)
class ZoneChange:
    before: Zone
    after: Zone
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """From an old set of zones to a new one, told apart by id; each in the order of its set."""

    added: tuple[Zone, ...]
    withdrawn: tuple[Zone, ...]
    changed: tuple[ZoneChange, ...]
    same: int

    def __bool__(self) -> bool:
        return bool(self.added or self.withdrawn or self.changed)


def compare(old: Sequence[Zone], new: Sequence[Zone]) -> Difference:
    """What was added, withdrawn and changed. Where a zone came from does not count."""
    before, after = {z.zone_id: z for z in old}, {z.zone_id: z for z in new}
    both = [(before[z.zone_id], z) for z in new if z.zone_id in before]
    changes = [ZoneChange(a, b, tuple(_changes(a, b))) for a, b in both if a != b]
    return Difference(
        added=tuple(z for z in new if z.zone_id not in before),
        withdrawn=tuple(z for z in old if z.zone_id not in after),
        changed=tuple(changes),
        same=len(both) - len(changes),
    )


def summarise(zones: Sequence[Zone]) -> Summary:
    volumes = [v for z in zones for v in z.volumes]
    limits = [limit for v in volumes for limit in (v.lower, v.upper)]
    heights = [h.value_m for h in limits if h is not None]
    names = [n for z in zones for n in ({a.name for a in z.authority if a.name} or {"none"})]
    largest = max(zones, key=_vertices, default=None)
    return Summary(
        zones=len(zones),
        volumes=len(volumes),
        vertices=sum(map(_vertices, zones)),
        largest_zone=largest.zone_id if largest is not None else "",
        roles=_counted(z.role.value for z in zones),
        restrictions=_counted(z.restriction.value for z in zones if z.role.value == "keep_out"),
        outlines=_counted("circle" if isinstance(v.outline, Circle) else "polygon" for v in volumes),
        datums=_counted("none" if h is None else h.datum.value for h in limits),
        times=_counted(times_kind(z) for z in zones),
        authorities=_counted(names),
        lowest_m=min(heights, default=None),
        highest_m=max(heights, default=None),
        box=box_of(*(v.outline for v in volumes)) if volumes else None,
    )


def times_kind(zone: Zone) -> str:
    """`always`, `dates`, `schedule` or `daylight`: the most particular of its periods."""
    if not zone.applicability:
        return "always"
    periods = [p for a in zone.applicability for p in a.daily]
    if not periods:
        return "dates"
    return "daylight" if any(p.by_sun for p in periods) else "schedule"


def heights_text(volume: Volume) -> str:
    """As "ground – 120 m AGL"."""
    return f"{_limit(volume.lower, 'ground')} – {_limit(volume.upper, 'no limit')}"


def _changes(a: Zone, b: Zone) -> Iterator[FieldChange]:
    if a.role is not b.role:
        yield FieldChange("role", f"{a.role.value} → {b.role.value}", closes=True)
    if a.restriction is not b.restriction:
        yield FieldChange("restriction", f"{a.restriction.value} → {b.restriction.value}", closes=True)
    if [v.outline for v in a.volumes] != [v.outline for v in b.volumes]:
        yield _outline_change(a, b)
    was, now = ["; ".join(dict.fromkeys(map(heights_text, z.volumes))) for z in (a, b)]
    if was != now:
        yield FieldChange("heights", f"{was} → {now}", closes=True)
    if a.applicability != b.applicability:
        yield FieldChange("times", _times_change(a, b), closes=True)
    for name in ("name", "message"):
        if getattr(a, name) != getattr(b, name):
            yield FieldChange(name, f"{getattr(a, name)!r} → {getattr(b, name)!r}", closes=False)
    if a.authority != b.authority:
        text = f"{_authorities(a)} → {_authorities(b)}"
        yield FieldChange("authority", text, closes=False)


def _outline_change(a: Zone, b: Zone) -> FieldChange:
    """By areas in a frame at the zone: how much is new, how much is left, and which way it lies."""
    frame = local_frame(box_of(*(v.outline for z in (a, b) for v in z.volumes)).middle)
    was, now = (shapely.union_all([s.polygon for s in ShapeIndex.build(frame, [z]).shapes]) for z in (a, b))
    gained, lost = shapely.difference(now, was), shapely.difference(was, now)
    parts = [f"{was.area / 1e6:.2f} → {now.area / 1e6:.2f} km²"]
    for text, part in (("new", gained), ("no longer", lost)):
        if part.area > _SAME_M2:
            middle, there = frame.to_latlon([was.centroid.coords[0], part.centroid.coords[0]])
            parts.append(f"{part.area / 1e6:.3f} km² {text}{_where(middle, there)}")
    if len(parts) == 1:
        parts.append("drawn otherwise, the same area")
    return FieldChange("outline", ", ".join(parts), closes=gained.area > _SAME_M2)


def _where(middle: LatLon, part: LatLon) -> str:
    if distance_m(middle, part) < 1.0:
        return " all around"
    return f" in the {_WINDS[round(bearing_deg(middle, part) / 45.0) % 8]}"


def _times_change(a: Zone, b: Zone) -> str:
    was, now = times_kind(a), times_kind(b)
    if was != now:
        return f"{was} → {now}"
    return f"another {was.rstrip('s')}" if was != "dates" else f"{_dates(a)} → {_dates(b)}"


def _dates(zone: Zone) -> str:
    return ", ".join(f"{_instant(a.start)} to {_instant(a.end)} UTC" for a in zone.applicability)


def _instant(at: datetime | None) -> str:
    return "…" if at is None else f"{at:%Y-%m-%d %H:%M}"


def _authorities(zone: Zone) -> str:
    return ", ".join(a.name or "unnamed" for a in zone.authority) or "none"


def _limit(limit: Height | None, none: str) -> str:
    return none if limit is None else f"{limit.value_m:.0f} m {limit.datum}"


def _vertices(zone: Zone) -> int:
    rings = [r for v in zone.volumes if not isinstance(v.outline, Circle) for r in (v.outline.outer, *v.outline.holes)]
    return sum(map(len, rings))


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
