"""The fence of a QGroundControl plan as an airspace format; the whole file is `geofences.formats.qgc_plan`'s matter.

PX4 wants a vehicle inside every inclusion, while several keep-in zones mean their union: so several inclusions are read
as one keep-in, which is what they have in common. A fence has no ids; members of our own (`id`, `name`, `restriction`),
which QGroundControl passes over, keep them from file to file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import shapely

from geofences.formats.codec import Keeps
from geofences.formats.common import AreaOfOperation, FeatureError, Json, ParsedAirspace, Reader
from geofences.formats.qgc_plan import FenceArea, PlanFile, attempt, dump_plan, open_document, read_fence
from geofences.geodesy import LatLon, destination
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone

NAME = "QGC"
KEEPS = Keeps(
    heights=False,
    times=False,
    open_zones=False,
    unions=False,
    holes=False,
    message=False,
    authority=False,
)
_CIRCLE_CORNERS = 64


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The fence as zones: one keep-in at most, and a keep-out per exclusion."""
    reader = Reader(source, NAME, area)
    document = open_document(reader, text)
    areas = None if document is None else attempt(reader, "", lambda: read_fence(reader, document))
    keep_ins = [a for a in areas or () if a.inclusion]
    if keep_ins and not reader.problems:  # a boundary without one of its parts would be wider than was meant
        common = attempt(reader, "fence", lambda: _common(reader, [a.outline for a in keep_ins]))
        if common is not None:
            named = keep_ins[0].extra if len(keep_ins) == 1 else {}
            _add(reader, {"id": "keep-in", **named}, Volume(common), Role.KEEP_IN)
    for i, one in enumerate((a for a in areas or () if not a.inclusion), start=1):
        _add(reader, {"id": f"keep-out-{i}", **one.extra}, Volume(one.outline), Role.KEEP_OUT)
    return reader.result()


def dump(zones: Sequence[Zone]) -> Json:
    """The zones as a fence without mission. ValueError, which names the zone, for what a fence cannot hold.

    A fence has neither heights nor times: a keep-out loses them and so grows; a keep-in that has any is refused.
    """
    keep_ins = [z for z in zones if z.role is Role.KEEP_IN]
    if len(keep_ins) > 1 or any(len(z.volumes) > 1 for z in keep_ins):
        raise ValueError(f"{keep_ins[-1].zone_id}: a fence holds one keep-in; PX4 wants a vehicle inside all of them")
    areas = [a for z in zones for a in _areas(z)]
    first = next((a.outline for a in areas), None)
    home = LatLon(0.0, 0.0) if first is None else first.centre if isinstance(first, Circle) else first.outer[0]
    return dump_plan(PlanFile(home, 0.0, (), tuple(areas)))


def write(zones: Sequence[Zone]) -> str:
    """`dump` as text, for zones that fit `KEEPS`."""
    return json.dumps(dump(zones), indent=1)


def _areas(zone: Zone) -> Iterator[FenceArea]:
    inclusion = zone.role is Role.KEEP_IN
    if zone.restriction is Restriction.NO_RESTRICTION and not inclusion:
        return
    extra = {"id": zone.zone_id, "name": zone.name, "restriction": zone.restriction.value}
    for volume in zone.volumes:
        if inclusion and (volume.lower or volume.upper or zone.applicability):
            raise ValueError(f"{zone.zone_id}: a fence has no heights and no times, as this keep-in has")
        if isinstance(volume.outline, Circle):
            yield FenceArea(volume.outline, inclusion, extra)
            continue
        # A fence knows no holes: one in the keep-in becomes a keep-out, one in a keep-out is filled, to be safe.
        yield FenceArea(Polygon(volume.outline.outer), inclusion, extra)
        if inclusion:
            for k, hole in enumerate(volume.outline.holes, start=1):
                yield FenceArea(Polygon(hole), inclusion=False, extra={"id": f"{zone.zone_id}-hole-{k}"})


def _add(reader: Reader, members: Json, volume: Volume, role: Role) -> None:
    """The volume as a zone, or as a further one of the zone that has its id."""
    reader.feature_id = zone_id = str(members["id"])
    default = Restriction.PROHIBITED if role is Role.KEEP_OUT else Restriction.NO_RESTRICTION
    restriction = members.get("restriction", default)
    if restriction not in list(Restriction):
        reader.refuse("restriction", f"unknown restriction {restriction!r}", f"give one of {', '.join(Restriction)}")
        return
    name = str(members.get("name", zone_id))
    zone = Zone(zone_id, name, Restriction(restriction), (volume,), role, source=f"{reader.source}: {zone_id}")
    for i, known in enumerate(reader.zones):
        if replace(known, volumes=zone.volumes) == zone:
            reader.zones[i] = replace(known, volumes=known.volumes + zone.volumes)
            return
    reader.add(zone)


def _common(reader: Reader, outlines: Sequence[Polygon | Circle]) -> Polygon | Circle:
    """What all have in common; a circle among several is the polygon inside of it."""
    if len(outlines) == 1:
        return outlines[0]
    rings = [o.outer if isinstance(o, Polygon) else _within(o) for o in outlines]
    shapes = [shapely.Polygon([(p.lon_deg, p.lat_deg) for p in ring]) for ring in rings]
    common = shapely.intersection_all(shapes)
    if common.geom_type != "Polygon" or common.is_empty:
        fix = "PX4 wants a vehicle inside of every inclusion: draw one, around all of the flight"
        raise FeatureError("inclusion", f"the {len(outlines)} inclusions have no single area in common", fix)
    reader.note("inclusion", f"{len(outlines)} inclusions are read as one keep-in: what they have in common")
    return Polygon(tuple(LatLon(lat, lon) for lon, lat in shapely.get_coordinates(common.exterior)[:-1]))


def _within(circle_: Circle) -> tuple[LatLon, ...]:
    step = 360.0 / _CIRCLE_CORNERS
    return tuple(destination(circle_.centre, k * step, circle_.radius_m) for k in range(_CIRCLE_CORNERS))
