"""A referee apart from the checker: it samples a plan each 25 m or less, with its own geodesy and its own arithmetic.

It knows no geometry library. Zones are straight in longitude and latitude; near a place they are measured in the plane
that touches the ellipsoid there (radii of curvature M and N), which is true to 1e-4 over a kilometre. Legs are great
circles between n-vectors: the geodesic leaves these by less than 1 cm over 10 km.

What is within `UNSURE_M` of an edge, or within `UNSURE_S` of a time at which a zone opens or closes, is left open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from geofences.heights import Datum
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone
from missions.plan import Plan

STEP_M = 25.0
UNSURE_M = 1.0
UNSURE_S = 10.0
SLACK_S = 60.0
FAR_M = 1e9
A_M, F = 6_378_137.0, 1 / 298.257223563
E2 = F * (2 - F)


@dataclass
class Finding:
    """`gap_m` > 0: safe by that much; < 0: inside by that much."""

    what: str
    gap_m: float


def radii(lat_deg):
    """Metres per degree of latitude and of longitude."""
    s = np.sin(np.radians(lat_deg))
    w = 1 - E2 * s * s
    north = A_M * (1 - E2) / w**1.5
    east = A_M / np.sqrt(w) * np.cos(np.radians(lat_deg))
    return np.radians(1.0) * north, np.radians(1.0) * east


def gap(a: LatLon, b: LatLon) -> float:
    m, n = radii((a.lat_deg + b.lat_deg) / 2)
    return float(np.hypot((a.lat_deg - b.lat_deg) * m, (a.lon_deg - b.lon_deg) * n))


def along(a: LatLon, b: LatLon, step_m: float = STEP_M) -> np.ndarray:
    """(n, 2) latitude, longitude of places from a to b, each `step_m` or less from the next."""
    n = max(1, int(np.ceil(gap(a, b) / step_m)))
    u, v = (_normal(p) for p in (a, b))
    angle = np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v)
    t = np.linspace(0.0, 1.0, n + 1)[:, None]
    at = u + t * (v - u) if angle < 1e-9 else (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    lat, lon = np.arctan2(at[:, 2], np.hypot(at[:, 0], at[:, 1])), np.arctan2(at[:, 1], at[:, 0])
    return np.degrees(np.column_stack([lat, lon]))


def _normal(p: LatLon) -> np.ndarray:
    lat, lon = np.radians([p.lat_deg, p.lon_deg])
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def outside(at: np.ndarray, outline: Polygon | Circle) -> np.ndarray:
    """Metres from the outline, negative inside, of (n, 2) latitudes and longitudes."""
    if isinstance(outline, Circle):
        c = outline.centre
        m, n = radii((at[:, 0] + c.lat_deg) / 2)
        return np.hypot((at[:, 0] - c.lat_deg) * m, (at[:, 1] - c.lon_deg) * n) - outline.radius_m
    ring = np.array([(p.lat_deg, p.lon_deg) for p in outline.outer])
    m, n = radii(at[:, 0])
    y = (ring[None, :, 0] - at[:, :1]) * m[:, None]
    x = (ring[None, :, 1] - at[:, 1:]) * n[:, None]
    bx, by = np.concatenate([x[:, 1:], x[:, :1]], axis=1), np.concatenate([y[:, 1:], y[:, :1]], axis=1)
    dx, dy = bx - x, by - y
    share = np.clip(-(x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0.0, 1.0)
    near = np.hypot(x + share * dx, y + share * dy).min(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = ((y > 0) != (by > 0)) & (x - y * dx / dy > 0)
    return np.where(crossed.sum(axis=1) % 2 == 1, -near, near)


def into_band(volume: Volume, amsl: np.ndarray, ground_m: float) -> np.ndarray:
    """How far heights are outside of a volume's band, metres; 0 within."""

    def level(limit):
        return limit.value_m + (ground_m if limit.datum is Datum.AGL else 0.0)

    off = np.zeros(len(amsl))
    if volume.lower is not None:
        off = np.maximum(off, level(volume.lower) - amsl)
    if volume.upper is not None:
        off = np.maximum(off, amsl - level(volume.upper))
    return off


def in_force(zone: Zone, times: np.ndarray, slack_s: float) -> np.ndarray:
    """Asked each 5 s around each time."""
    if not zone.applicability:
        return np.ones(len(times), dtype=bool)
    around = np.arange(-slack_s, slack_s + 0.1, 5.0)
    answers = {t: any(zone.applies_at(t + s) for s in around) for t in set(times.tolist())}
    return np.array([answers[t] for t in times.tolist()])


def judge(
    plan: Plan, airspace: Airspace, ground_m: float, ceiling_m: float = 120.0, step_m: float = STEP_M
) -> Iterator[Finding]:
    """Zones, keep-ins, heights and the fence along every leg. Ground is level; nothing is authorised."""
    for at, amsl, times in _samples(plan, ground_m, step_m):
        yield from _zones(at, amsl, times, airspace, ground_m)
        agl = amsl - ground_m
        yield Finding("ceiling", ceiling_m + 0.5 - agl.max())
        if gap(LatLon(*at[0]), LatLon(*at[-1])) > 2.0:
            yield Finding("terrain", agl.min() - 3.0)
        else:
            yield Finding("terrain", agl.min() + 2.0)
        yield from _fence(plan, at)
    home = np.array([[plan.home.lat_deg, plan.home.lon_deg]])
    if plan.fence.keep_in is not None:
        yield Finding("fence", -outside(home, plan.fence.keep_in)[0])
        for point in plan.rally:
            p = np.array([[point.position.lat_deg, point.position.lon_deg]])
            yield Finding("fence", -outside(p, plan.fence.keep_in)[0])
    corners = len(plan.fence.keep_in.outer) if plan.fence.keep_in is not None else 0
    corners += sum(1 if isinstance(k, Circle) else len(k.outer) for k in plan.fence.keep_out)
    yield Finding("fence", 9.0 if corners <= 64 else -9.0)
    yield Finding("rally", 9.0 if len(plan.rally) <= 8 else -9.0)


def ways_out(plan: Plan, airspace: Airspace, places: dict[str, LatLon], ground_m: float) -> Iterator[Finding]:
    """Whether the alternates are open, from the ground to cruise height, all the time of the plan."""
    times = np.arange(plan.legs[0].start.eta_s, plan.arrive_s + 15.0, 15.0)
    heights = np.linspace(ground_m, ground_m + plan.cruise_agl_m, 9)
    amsl, when = (grid.ravel() for grid in np.meshgrid(heights, times))
    for name in {a.site_id for leg in plan.legs for a in leg.alternates} & places.keys():
        at = np.array([[places[name].lat_deg, places[name].lon_deg]])
        for finding in _zones(at, amsl, when, airspace, ground_m):
            yield Finding("alternate_closed", finding.gap_m)


def _samples(plan: Plan, ground_m: float, step_m: float):
    first = plan.legs[0].start
    where = np.array([[first.position.lat_deg, first.position.lon_deg]])
    climb = np.linspace(ground_m, first.alt_amsl_m, 20)
    yield np.repeat(where, 20, axis=0), climb, np.linspace(plan.depart_s, first.eta_s, 20)
    for leg in plan.legs:
        at = along(leg.start.position, leg.end.position, step_m)
        n = max(len(at), int(abs(leg.end.alt_amsl_m - leg.start.alt_amsl_m) / 2.0) + 2)
        if len(at) < n:
            share = np.linspace(0, len(at) - 1, n)
            at = np.column_stack([np.interp(share, np.arange(len(at)), at[:, k]) for k in (0, 1)])
        amsl = np.linspace(leg.start.alt_amsl_m, leg.end.alt_amsl_m, len(at))
        yield at, amsl, np.linspace(leg.start.eta_s, leg.end.eta_s, len(at))


def _zones(at, amsl, times, airspace: Airspace, ground_m: float) -> Iterator[Finding]:
    kept = None
    for zone in airspace.zones:
        for volume in zone.volumes:
            if zone.role is not Role.KEEP_IN and zone.restriction is Restriction.NO_RESTRICTION:
                continue
            away = outside(at, volume.outline)
            if zone.role is Role.KEEP_IN:
                kept = -away if kept is None else np.maximum(kept, -away)
                continue
            # Outside in place or in height is outside; between the two limits of the time it is left open.
            away = np.maximum(away, np.where((off := into_band(volume, amsl, ground_m)) > 0, off, -FAR_M))
            if zone.applicability and away.min() < 60.0:
                surely, maybe = (in_force(zone, times, SLACK_S + s) for s in (-UNSURE_S, UNSURE_S))
                away = np.where(maybe, np.where(surely, away, np.maximum(away, 0.0)), FAR_M)
            yield Finding("zone", float(away.min()))
    if kept is not None:
        yield Finding("keep_in", float(kept.min()))


def _fence(plan: Plan, at: np.ndarray) -> Iterator[Finding]:
    if plan.fence.keep_in is not None:
        yield Finding("fence", float(-outside(at, plan.fence.keep_in).max()))
    for keep_out in plan.fence.keep_out:
        yield Finding("fence", float(outside(at, keep_out).min()))
