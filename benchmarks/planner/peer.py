"""One peer on one instance, in an environment of its own: JSON on stdin, JSON on stdout. Run by `peers.py`.

What a peer prepares is kept in a file, with the time that it took.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

BOUNDARY_M = (-100_000.0, 300_000.0)
_SAMPLE = 8


class Extremity:
    """extremitypathfinder: obstacles are the holes of a boundary, which is far enough away not to matter."""

    def __init__(self, polygons: list[list[list[float]]]) -> None:
        from extremitypathfinder import PolygonEnvironment

        self.make = PolygonEnvironment
        low, high = BOUNDARY_M
        self.boundary = [(low, low), (high, low), (high, high), (low, high)]
        self.holes = [[tuple(p) for p in reversed(ring)] for ring in polygons]
        self.prepared: Any = None

    def warm_up(self) -> None:
        """Its compiler must not be counted."""
        env = self.make()
        env.store(self.boundary, [[(0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (9.0, 0.0)]], validate=False)
        env.prepare()
        env.find_shortest_path((-5.0, 4.0), (20.0, 5.0))

    def prepare(self) -> None:
        self.prepared = self.make()
        self.prepared.store(self.boundary, self.holes, validate=False)
        self.prepared.prepare()

    def length(self, start: list[float], goal: list[float]) -> float:
        return float(self.prepared.find_shortest_path(tuple(start), tuple(goal))[1])


class Visgraph:
    """pyvisgraph."""

    def __init__(self, polygons: list[list[list[float]]]) -> None:
        import pyvisgraph
        from pyvisgraph.graph import Graph
        from pyvisgraph.visible_vertices import visible_vertices

        self.module = pyvisgraph
        self.polygons = [[pyvisgraph.Point(*p) for p in ring] for ring in polygons]
        self.graph = Graph(self.polygons)
        self.seen = visible_vertices
        self.prepared: Any = None

    def warm_up(self) -> None:
        """Plain Python."""

    def estimate_s(self) -> float:
        """The preparation sweeps about each vertex."""
        points = sorted(self.graph.get_points(), key=hash)
        start_s = time.perf_counter()
        for point in points[:: max(1, len(points) // _SAMPLE)][:_SAMPLE]:
            self.seen(point, self.graph, scan="half")
        return (time.perf_counter() - start_s) / _SAMPLE * len(points)

    def prepare(self) -> None:
        self.prepared = self.module.VisGraph()
        self.prepared.build(self.polygons, status=False)

    def length(self, start: list[float], goal: list[float]) -> float:
        path = self.prepared.shortest_path(self.module.Point(*start), self.module.Point(*goal))
        return float(sum(((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5 for a, b in pairwise(path)))

    def part_of_a_query(self, start: list[float], goal: list[float]) -> None:
        """The sweeps about start and goal, with which each query that is not straight begins."""
        for place in (start, goal):
            self.seen(self.module.Point(*place), self.graph)


PEERS: dict[str, type[Extremity] | type[Visgraph]] = {
    "extremitypathfinder": Extremity,
    "extremitypathfinder_numba": Extremity,
    "pyvisgraph": Visgraph,
}


def run(task: dict[str, Any]) -> dict[str, Any]:
    peer, cache = PEERS[task["peer"]](task["polygons"]), Path(task["cache"])
    peer.warm_up()
    if cache.exists():
        prepare_s, peer.prepared = pickle.loads(cache.read_bytes())
        out = {"prepared": "before", "prepare_s": prepare_s}
    elif isinstance(peer, Visgraph) and (estimate_s := peer.estimate_s()) > task["bound_s"]:
        _, wall, cpu = asked(peer.part_of_a_query, task["ends"])
        told = {"prepared": "estimated from a sample", "prepare_s": estimate_s, "only_a_part": True}
        return {**told, "query_s": wall, "query_cpu_s": cpu}
    else:
        start_s = time.perf_counter()
        peer.prepare()
        out = {"prepared": "now", "prepare_s": time.perf_counter() - start_s}
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(pickle.dumps((out["prepare_s"], peer.prepared)))
    lengths, wall, cpu = asked(peer.length, task["ends"])
    return {**out, "query_s": wall, "query_cpu_s": cpu, "lengths_m": lengths}


def asked(question: Callable[[Any, Any], Any], ends: list[Any]) -> tuple[list[Any], list[float], list[float]]:
    """Answers, and the seconds that each took: on the wall, and of CPU."""
    answers, wall, cpu = [], [], []
    for start, goal in ends:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        answers.append(question(start, goal))
        wall.append(time.perf_counter() - wall_s)
        cpu.append(time.process_time() - cpu_s)
    return answers, wall, cpu


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        answer = run(json.load(sys.stdin))
    sys.stdout.write(json.dumps(answer))
