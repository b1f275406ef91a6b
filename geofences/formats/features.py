"""Zones as features with named properties: what Coldwing's GeoJSON and KML have in common.

Each feature is one volume; features with one `id` make one zone. Properties: `id`; `role` keep_out | keep_in; `name`;
`restriction` (default PROHIBITED for a keep-out); `lower_m` with `lower_datum`, `upper_m` with `upper_datum` (AGL,
AMSL, WGS84; a limit left out means no limit); `times`, a list of `{start, end, daily: [{day, startTime | startEvent,
endTime | endEvent}]}`; `message`; `conditions`; `authority`; and `radius_m` for a Point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from geofences.formats import schedules
from geofences.formats.common import FeatureError, Json, Reader, contact, height, member
from geofences.heights import Height
from geofences.volumes import Applicability, Authority, Circle, Restriction, Role, Volume, Zone

NAMES = {"id", "name", "role", "restriction", "times", "message", "conditions", "authority", "radius_m"} | {
    f"{end}_{what}" for end in ("lower", "upper") for what in ("m", "datum")
}


@dataclass(slots=True)
class Merger:
    """Puts the volumes of one id together. Half a zone would look as if it had been read: it is left out whole."""

    reader: Reader
    _zones: dict[str, Zone] = field(default_factory=dict)
    _volumes: dict[str, list[Volume]] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)

    def add(self, zone: Zone) -> None:
        known = self._zones.setdefault(zone.zone_id, zone)
        if _stated(known) == _stated(zone):
            self._volumes.setdefault(zone.zone_id, []).extend(zone.volumes)
        else:
            text = "features of this id differ in more than their volume"
            self.reader.refuse("properties", text, "give them the same properties, or different ids")
            self._broken.add(zone.zone_id)

    def refuse(self, error: FeatureError) -> None:
        """The feature that the reader is at cannot be used, and so no other of its id."""
        self._broken.add(self.reader.feature_id)
        self.reader.refuse(error.field, error.text, error.fix)

    def finish(self) -> None:
        """Hands the zones to the reader."""
        for zone_id, zone in self._zones.items():
            if zone_id not in self._broken:
                volumes = self._volumes[zone_id]
                self.reader.add(zone if len(volumes) == len(zone.volumes) else replace(zone, volumes=tuple(volumes)))


def zone(reader: Reader, zone_id: str, role: Role, properties: Json, volumes: Sequence[Volume]) -> Zone:
    """A zone of one feature, for a `Merger`."""
    for name in properties.keys() - NAMES:
        reader.tally(f"properties.{name}", "this property is not known and was not read")
    default = Restriction.PROHIBITED if role is Role.KEEP_OUT else Restriction.NO_RESTRICTION
    restriction = properties.get("restriction", default)
    if restriction not in list(Restriction):
        fix = f"give one of {', '.join(Restriction)}"
        raise FeatureError("properties.restriction", f"unknown restriction {restriction!r}", fix)
    return Zone(
        zone_id=zone_id,
        name=_string(properties, "name") or zone_id,
        restriction=Restriction(restriction),
        volumes=tuple(volumes),
        role=role,
        applicability=_applicability(properties.get("times")),
        message=_string(properties, "message"),
        conditions=_string(properties, "conditions"),
        authority=tuple(_authorities(properties.get("authority"))),
        source=f"{reader.source}: {zone_id}",
    )


def role_of(value: Any) -> Role:
    if value not in list(Role):
        raise FeatureError("properties.role", f"{value!r} is not a role", "give keep_out or keep_in")
    return Role(value)


def limits(properties: Json) -> tuple[Height | None, Height | None]:
    """Lower and upper."""
    return _limit(properties, "lower"), _limit(properties, "upper")


def properties(zone: Zone, v: Volume) -> Json:
    """The inverse: what the feature of one volume says, but for its outline."""
    found: Json = {
        "id": zone.zone_id,
        "name": zone.name,
        "role": zone.role.value,
        "restriction": zone.restriction.value,
    }
    for name, limit in (("lower", v.lower), ("upper", v.upper)):
        if limit is not None:
            found |= {f"{name}_m": limit.value_m, f"{name}_datum": limit.datum.value}
    if zone.applicability:
        found["times"] = [_period(a) for a in zone.applicability]
    if zone.message:
        found["message"] = zone.message
    if zone.conditions:
        found["conditions"] = zone.conditions
    if zone.authority:
        found["authority"] = [
            {"name": a.name, "phone": a.phone, "email": a.email, "site_url": a.site_url} for a in zone.authority
        ]
    if isinstance(v.outline, Circle):
        found["radius_m"] = v.outline.radius_m
    return found


def _stated(zone: Zone) -> tuple[Any, ...]:
    return zone.name, zone.restriction, zone.role, zone.applicability, zone.message, zone.authority, zone.conditions


def _limit(properties: Json, name: str) -> Height | None:
    value = properties.get(f"{name}_m")
    if value is not None and properties.get(f"{name}_datum") is None:
        raise FeatureError(f"properties.{name}_datum", "is missing", "give AGL, AMSL or WGS84")
    return height(value, properties.get(f"{name}_datum"), "m", f"properties.{name}_m")


def _applicability(value: Any) -> tuple[Applicability, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FeatureError("properties.times", "is not a list", "give a list of {start, end, daily}")
    periods = []
    for i, entry in enumerate(value):
        field = f"properties.times[{i}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("daily", []), list):
            raise FeatureError(field, "is not an object", "give {start, end, daily: […]}")
        daily = [schedules.daily_period(e, f"{field}.daily[{k}]") for k, e in enumerate(entry.get("daily", []))]
        periods.append(schedules.applicability(entry.get("start"), entry.get("end"), daily, field, ("start", "end")))
    return () if schedules.permanent(tuple(periods)) else tuple(periods)


def _authorities(value: Any) -> Iterator[Authority]:
    if value is not None and not isinstance(value, list):
        raise FeatureError("properties.authority", "is not a list", "give a list of {name, phone, email, site_url}")
    for i, entry in enumerate(value or []):
        field = f"properties.authority[{i}]"
        name = member(entry, "name", field, str, "the authority's name")
        yield Authority(name, *(contact(entry, k, field) for k in ("phone", "email", "site_url")))


def _string(properties: Json, name: str) -> str:
    value = properties.get(name, "")
    if not isinstance(value, str):
        raise FeatureError(f"properties.{name}", f"{value!r} is not text", "give text in quotes")
    return value


def _period(a: Applicability) -> Json:
    period: Json = {}
    if a.start is not None:
        period["start"] = schedules.instant_json(a.start)
    if a.end is not None:
        period["end"] = schedules.instant_json(a.end)
    if a.daily:
        period["daily"] = [schedules.daily_json(d) for d in a.daily]
    return period
