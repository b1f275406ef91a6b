"""The thousand dense zones again, through the whole planner: wind, two cruise heights, zones with limits and schedules.

Each zone is in force always, or on workdays until noon or from one; at all heights, or only low or only high.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from datetime import time as clock
from typing import Any

import shapely

from benchmarks.planner.dense import COVERAGE, MEDIAN_BAR_MS, P99_BAR_MS, PREPARE_BAR_MS, WIND, ZONES
from benchmarks.planner.instances import SIZE_M, disjoint_polygons, ends, used
from benchmarks.report import percentile, say
from geofences.airspace import Airspace, frame_for
from geofences.geodesy import LatLon, local_frame
from geofences.heights import Datum, FlatTerrain, Height
from geofences.volumes import Applicability, DailyPeriod, Polygon, Restriction, Volume, Zone
from missions.plan import Infeasible
from missions.routing.planner import plan_route
from missions.routing.route import RouteRequest
from missions.routing.tangent import Obstacles

TIMES_SLOWER_BAR = 5.0
_MIDDLE = LatLon(47.0, 8.0)
_DEPART_S = datetime(2026, 3, 4, 11, 0, tzinfo=UTC).timestamp()
"""a Wednesday: flights of up to three hours see zones close at noon and open at one"""
_SCHEDULES = (
    (),
    (Applicability(daily=(DailyPeriod(frozenset(range(1, 6)), clock(6), clock(12)),)),),
    (Applicability(daily=(DailyPeriod(frozenset(range(1, 6)), clock(13), clock(18)),)),),
)
_LIMITS = (
    (None, None),
    (None, Height(70.0, Datum.AGL)),
    (Height(80.0, Datum.AGL), None),
)


def run(*, quick: bool = True) -> dict[str, Any]:
    """Each request is planned from nothing but what is prepared: the airspace's index for its frame, and the zones
    grown by the margin with their R-tree and corners, as in the other rows.
    """
    polygons = disjoint_polygons(7, ZONES, COVERAGE)
    pairs = ends(8, polygons, 30 if quick else 300)
    frame = local_frame(_MIDDLE)
    half = SIZE_M / 2
    zones = []
    for i, polygon in enumerate(polygons):
        corners = frame.to_latlon(shapely.get_coordinates(polygon)[:-1] - half)
        volume = Volume(Polygon(tuple(corners)), *_LIMITS[i // 3 % 3])
        zones.append(Zone(f"Z{i}", f"Z{i}", Restriction.PROHIBITED, (volume,), applicability=_SCHEDULES[i % 3]))
    airspace = Airspace(1, tuple(zones))
    wall, cpu, prepare, refused = [], [], [], 0
    say(f"{len(pairs)} requests")
    for pair in pairs:
        start, goal = frame.to_latlon(pair - half)
        request = RouteRequest(
            start, goal, airspace, frozenset(), FlatTerrain(400.0), _DEPART_S, layers_agl_m=(60.0, 90.0), pace=WIND
        )
        start_s = time.perf_counter()
        used(airspace.index(frame_for((start, goal))).grown(request.clear_m, Obstacles))
        prepare.append(1e3 * (time.perf_counter() - start_s))
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        made = plan_route(request)
        wall.append(1e3 * (time.perf_counter() - wall_s))
        cpu.append(1e3 * (time.thread_time() - cpu_s))
        refused += isinstance(made, Infeasible)
    row = {
        "requests": len(pairs),
        "refused": refused,
        "prepare_worst_ms": round(max(prepare), 1),
        "median_ms": round(percentile(wall, 0.5), 1),
        "p99_ms": round(percentile(wall, 0.99), 1),
        "cpu_median_ms": round(percentile(cpu, 0.5), 1),
        "cpu_p99_ms": round(percentile(cpu, 0.99), 1),
    }
    bars = (PREPARE_BAR_MS, MEDIAN_BAR_MS, P99_BAR_MS)
    told = (row["prepare_worst_ms"], row["median_ms"], row["p99_ms"])
    row["within_bars"] = all(t <= TIMES_SLOWER_BAR * b for t, b in zip(told, bars, strict=True))
    return row
