"""Side by side with extremitypathfinder and pyvisgraph: the same random instances, the same ends, the same lengths.

As the peers' environment, one field of ours is asked all questions of an instance. It makes its roadmap on the way,
where that pays, and the question at which it does takes longer for it. A row besides tells of a new field for each.

The peers run in an environment of their own, made by uv from the package registry: extremitypathfinder asks for a numpy
older than ours. What they prepare is kept under `var/` between runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.planner.instances import Array, disjoint_polygons, ends, prepared
from benchmarks.planner.peer import asked
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
    for n, queries in ((50, 300), (200, 100 if quick else 300)):
        polygons = disjoint_polygons(7, n, COVERAGE)
        pairs = ends(8, polygons, queries)
        found[f"zones_{n}"] = side_by_side(polygons, pairs, bound_s=45.0 if quick else _WAIT_S)
    return found


def side_by_side(polygons: list[shapely.Polygon], pairs: Array, bound_s: float) -> dict[str, Any]:
    prepare_s = best_s(lambda: prepared(polygons))
    obstacles = prepared(polygons)

    def lengths_by(field: Callable[[], Field]) -> tuple[list[float], dict[str, float]]:
        def length(start: Array, goal: Array) -> float:
            found = field().shortest(start, goal)
            assert isinstance(found, Found)
            return found.length

        lengths, wall, cpu = asked(length, list(pairs))
        return lengths, _row(prepare_s, wall, cpu)

    one = Field(obstacles, lambda _: True)
    _, ours_anew = lengths_by(lambda: Field(obstacles, lambda _: True))
    lengths, ours = lengths_by(lambda: one)
    row: dict[str, Any] = {
        "vertices": sum(len(p.exterior.coords) - 1 for p in polygons),
        "queries": len(pairs),
        "ours": ours,
        "ours_a_new_field_for_each": ours_anew,
    }
    for peer in PACKAGES:
        say(f"{len(polygons)} zones: {peer}")
        told = _ask(peer, polygons, pairs, bound_s)
        row[peer] = _compared(told, ours, lengths) if told is not None else {"ran": False}
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


def _compared(told: dict[str, Any], ours: dict[str, float], lengths: list[float]) -> dict[str, Any]:
    theirs = _row(told["prepare_s"], told["query_s"], told["query_cpu_s"])
    row = {
        **theirs,
        "prepared": told["prepared"],
        "times_faster_prepared": round(theirs["prepare_ms"] / ours["prepare_ms"], 1),
        "times_faster_query": round(theirs["query_median_ms"] / ours["query_median_ms"], 1),
        "times_faster_query_cpu": round(theirs["query_cpu_median_ms"] / ours["query_cpu_median_ms"], 1),
    }
    if told.get("only_a_part"):
        return {**row, "query_is": "only its sweeps about start and goal: a bound from below"}
    off = np.array(told["lengths_m"]) / np.array(lengths) - 1.0
    return {
        **row,
        "lengths_same": int((np.abs(off) < SAME).sum()),
        "theirs_shorter_by_at_most": float(max(0.0, -off.min())),
        "theirs_longer_by_at_most": float(max(0.0, off.max())),
    }


def _row(prepare_s: float, wall: list[float], cpu: list[float]) -> dict[str, float]:
    """On a busy machine short questions are hardly interrupted and long ones are: then CPU tells more than the wall."""
    return {
        "prepare_ms": round(1e3 * prepare_s, 4),
        "query_median_ms": round(1e3 * percentile(wall, 0.5), 3),
        "query_p99_ms": round(1e3 * percentile(wall, 0.99), 3),
        "query_cpu_median_ms": round(1e3 * percentile(cpu, 0.5), 3),
    }
