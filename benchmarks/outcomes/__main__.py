"""`python -m benchmarks.outcomes`: one JSON object; it fails (1) when any policy has beaten the clairvoyant."""

from __future__ import annotations

import argparse
import sys
from math import inf
from pathlib import Path

from benchmarks.outcomes import plot, table
from benchmarks.outcomes.drawing import draw
from benchmarks.outcomes.series import POLICIES, OtherVersionError, fly_all, fly_seed, tune, tuned, tuned_alarm
from benchmarks.report import report, say


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.outcomes", description="What the decisions are worth, in simulated deliveries."
    )
    parser.add_argument("--runs", type=int, default=1000, help="deliveries; those in the file are not flown again")
    parser.add_argument("--file", type=Path, default=Path("var/outcomes.jsonl"), help="one JSON line per delivery")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no other delivery after so long")
    parser.add_argument("--seed", type=int, help="tell the story of one delivery under each policy")
    parser.add_argument("--tune", action="store_true", help="tune the threshold alarm on its own seeds, and stop")
    parser.add_argument("--plot", type=Path, help="draw the picture to this PNG")
    asked = parser.parse_args()
    try:
        if asked.tune:
            say(str(tune()))
            return 0
        if asked.seed is not None:
            tell(asked.seed)
            return 0
        lines = list(fly_all(asked.runs, asked.file, asked.minutes))
    except (OtherVersionError, ValueError) as error:
        say(str(error))
        return 2
    say(table.markdown(lines))
    if asked.plot is not None:
        plot.draw(lines, asked.plot)
    figures = table.figures(lines) | {"threshold": tuned()}
    how = (
        "the same seeded deliveries under each policy, in the declared fault model of benchmarks/outcomes/model.yaml; "
        "the truth has six thermal nodes and another power model than the planner; shares with Wilson's 95 % interval"
    )
    report("outcomes", figures, how, ("numpy", "shapely"))
    return 1 if figures["clairvoyant_beaten"] else 0


def tell(seed: int) -> None:
    delivery, flown = draw(seed), fly_seed(seed, tuned_alarm())
    order = delivery.order
    say(f"seed {seed}: {order.product_id} to {order.destination_site}, {order.priority}; {', '.join(flown.faults)}")
    for name in POLICIES:
        o = flown.outcomes[name]
        say(f"\n{name}: {o.end}, loss {o.loss:.3f}, {o.battery_end_pct:.1f} % left, {o.place}; {o.verdict}")
        for at_s, text in o.story:
            say(f"  {at_s:5d} s  {text}")


if __name__ == "__main__":
    sys.exit(main())
