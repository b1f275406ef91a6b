"""A thousand zones that cover 40 % of 200 x 200 km, each query on a field that was never asked before."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.planner.instances import disjoint_polygons, ends, prepared
from benchmarks.report import best_s, percentile, say
from missions.routing.pace import Pace
from missions.routing.tangent import Field, Path

ZONES = 1_000
COVERAGE = 0.4
PREPARE_BAR_MS, MEDIAN_BAR_MS, P99_BAR_MS = 200.0, 10.0, 150.0
WIND = Pace(22.0, 5.0, -3.0)


def run(*, quick: bool = True) -> dict[str, Any]:
    """Of the search alone, without and with wind: on the wall, and of CPU, which tells more on a busy machine."""
    say(f"placing {ZONES} zones")
    polygons = disjoint_polygons(7, ZONES, COVERAGE)
    pairs = ends(8, polygons, 100 if quick else 500)
    obstacles = prepared(polygons)
    row: dict[str, Any] = {
        "vertices": sum(len(p.exterior.coords) - 1 for p in polygons),
        "queries": len(pairs),
        "prepare_ms": round(1e3 * best_s(lambda: prepared(polygons)), 3),
    }
    for name, pace in (("shortest", None), ("least_time_in_wind", WIND)):
        say(f"{len(pairs)} queries, {name}")
        wall, cpu = [], []
        for start, goal in pairs:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            found = Field(obstacles, lambda _: True).shortest(start, goal, pace)
            wall.append(1e3 * (time.perf_counter() - wall_s))
            cpu.append(1e3 * (time.thread_time() - cpu_s))
            assert isinstance(found, Path)
        row[name] = {
            "median_ms": round(percentile(wall, 0.5), 2),
            "p99_ms": round(percentile(wall, 0.99), 2),
            "cpu_median_ms": round(percentile(cpu, 0.5), 2),
            "cpu_p99_ms": round(percentile(cpu, 0.99), 2),
        }
    short = row["shortest"]
    row["within_bars"] = (
        row["prepare_ms"] <= PREPARE_BAR_MS and short["median_ms"] <= MEDIAN_BAR_MS and short["p99_ms"] <= P99_BAR_MS
    )
    return row
