"""Side by side with extremitypathfinder and pyvisgraph: the same random instances, the same ends, the same lengths.

The peers run in an environment of their own, made by uv from the package registry: extremitypathfinder asks for a numpy
older than ours. What they prepare is kept under `var/` between runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.planner.instances import Array, disjoint_polygons, ends, prepared
from benchmarks.report import best_s, percentile, say
from missions.routing.tangent import Field
from missions.routing.tangent import Path as Found

PACKAGES = {
    "extremitypathfinder": ("extremitypathfinder==2.7.2",),
    "extremitypathfinder_numba": ("extremitypathfinder[numba]==2.7.2",),
    "pyvisgraph": ("pyvisgraph==0.2.1", "tqdm"),
}
COVERAGE = 0.25
CACHE = Path("var/benchmarks/peers")
SAME = 1e-6
_WAIT_S = 900.0


def run(*, quick: bool = True) -> dict[str, Any]:
    """Per number of zones: ours, each peer, and how many times faster ours is."""
    found = {}
    for n, queries in ((50, 60), (200, 30 if quick else 100)):
        polygons = disjoint_polygons(7, n, COVERAGE)
        pairs = ends(8, polygons, queries)
        found[f"zones_{n}"] = side_by_side(polygons, pairs, bound_s=45.0 if quick else _WAIT_S)
    return found


def side_by_side(polygons: list[shapely.Polygon], pairs: Array, bound_s: float) -> dict[str, Any]:
    prepare_s = best_s(lambda: prepared(polygons))
    obstacles = prepared(polygons)
    times, lengths = [], []
    for start, goal in pairs:
        start_s = time.perf_counter()
        found = Field(obstacles, lambda _: True).shortest(start, goal)
        times.append(time.perf_counter() - start_s)
        assert isinstance(found, Found)
        lengths.append(found.length)
    row: dict[str, Any] = {
        "vertices": sum(len(p.exterior.coords) - 1 for p in polygons),
        "queries": len(pairs),
        "ours": _row(prepare_s, times),
    }
    for peer in PACKAGES:
        say(f"{len(polygons)} zones: {peer}")
        told = _ask(peer, polygons, pairs, bound_s)
        row[peer] = _compared(told, prepare_s, times, lengths) if told is not None else {"ran": False}
    return row


def _ask(peer: str, polygons: list[shapely.Polygon], pairs: Array, bound_s: float) -> dict[str, Any] | None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        say("uv is not installed: no peers")
        return None
    rings = [shapely.get_coordinates(shapely.orient_polygons(p).exterior)[:-1].tolist() for p in polygons]
    name = hashlib.sha256(json.dumps([peer, PACKAGES[peer], rings]).encode()).hexdigest()[:16]
    task = {
        "peer": peer,
        "polygons": rings,
        "ends": pairs.tolist(),
        "cache": str((CACHE / f"{peer}-{name}.pickle").absolute()),
        "bound_s": bound_s,
    }
    packages = [part for p in (*PACKAGES[peer], "numpy<2") for part in ("--with", p)]
    command = [uv, "run", "-q", "--no-project", "--isolated", "--python", sys.executable, *packages, "python"]
    worker = Path(__file__).with_name("peer.py")
    try:
        done = subprocess.run(
            [*command, str(worker)],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        say(f"{peer} was not done in {_WAIT_S:.0f} s")
        return None
    if done.returncode:
        say(f"{peer} failed: {done.stderr[-500:]}")
        return None
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _compared(told: dict[str, Any], prepare_s: float, times: list[float], lengths: list[float]) -> dict[str, Any]:
    theirs = told.get("query_s") or told["part_of_query_s"]
    row = {
        **_row(told["prepare_s"], theirs),
        "prepared": told["prepared"],
        "times_faster_prepared": round(told["prepare_s"] / prepare_s, 1),
        "times_faster_query": round(percentile(theirs, 0.5) / percentile(times, 0.5), 1),
    }
    if "lengths_m" in told:
        off = np.array(told["lengths_m"]) / np.array(lengths) - 1.0
        return {
            **row,
            "lengths_same": int((np.abs(off) < SAME).sum()),
            "theirs_shorter_by_at_most": float(max(0.0, -off.min())),
            "theirs_longer_by_at_most": float(max(0.0, off.max())),
        }
    return {**row, "query_is": "only its sweeps about start and goal: a bound from below"}


def _row(prepare_s: float, times: list[float]) -> dict[str, Any]:
    return {
        "prepare_ms": round(1e3 * prepare_s, 3),
        "query_median_ms": round(1e3 * percentile(times, 0.5), 3),
        "query_p99_ms": round(1e3 * percentile(times, 0.99), 3),
    }
