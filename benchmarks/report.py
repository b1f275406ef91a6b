"""Progress on stderr, one JSON object last on stdout."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def best_s(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of a few runs: what else the machine does only makes a run longer."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(name: str, figures: dict[str, Any], how_measured: str, packages: tuple[str, ...] = ()) -> None:
    """Prints the one object. Figures carry their units in their names."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    out = {
        "benchmark": name,
        **figures,
        "how_measured": how_measured,
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}},
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "load_1_min": load},
    }
    sys.stdout.write(json.dumps(out) + "\n")
