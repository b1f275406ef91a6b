"""`python -m benchmarks.planner`: one JSON object with every row. `--only NAME` runs one, `--full` takes longer."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from benchmarks.report import report, say

ROWS = ("peers", "dense", "whole", "national", "closure")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planner", description="Routing and airspace, measured.")
    parser.add_argument("--only", choices=ROWS, help="run one row")
    parser.add_argument("--full", action="store_true", help="more queries, and the peers' preparation without a bound")
    asked = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in (asked.only,) if asked.only else ROWS:
        say(f"--- {name}")
        figures[name] = importlib.import_module(f"benchmarks.planner.{name}").run(quick=not asked.full)
    how = (
        "random instances with fixed seeds, one thread; beside the peers one field is asked all queries of an "
        "instance, elsewhere each is on a field that was never asked before; peers on the same instances in the same "
        "run, in their own process; bars are held against time on the wall"
    )
    report("planner", figures, how, ("shapely", "numpy"))


if __name__ == "__main__":
    main()
